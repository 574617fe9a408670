//! Calendar feeds: what a calendar program reads at a secret address, and nothing more than the feed's owner may read (RFC 5545).

use crate::app::{Caller, Reply, TestApp};
use crate::given::Hedemora;
use chrono::NaiveDateTime;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NOBODY: Caller = Caller(None);

/// Makes a feed and returns its id and address.
fn feed(app: &TestApp, caller: &Caller, body: &Value) -> (String, String) {
    let made = app.post(caller, "/calendar-feeds", body).expect(201);
    let address = made.body["address"]
        .as_str()
        .expect("an address")
        .to_owned();
    (made.id(), address)
}

/// A component of a calendar: its properties by name, each with its parameters, and the components within.
#[derive(Debug, Default)]
struct Component {
    name: String,
    properties: BTreeMap<String, (String, String)>,
    within: Vec<Component>,
}

impl Component {
    fn value(&self, name: &str) -> &str {
        &self
            .properties
            .get(name)
            .unwrap_or_else(|| panic!("{name} in {self:?}"))
            .1
    }

    fn text(&self, name: &str) -> String {
        let mut chars = self.value(name).chars();
        let mut text = String::new();
        while let Some(char) = chars.next() {
            match char {
                '\\' => match chars.next() {
                    Some('n' | 'N') => text.push('\n'),
                    Some(other @ ('\\' | ';' | ',')) => text.push(other),
                    other => panic!("a backslash before {other:?}"),
                },
                ';' | ',' => panic!("a bare {char} in {}", self.value(name)),
                other => text.push(other),
            }
        }
        text
    }
}

/// Reads a calendar strictly: line ends, folding, nesting, and what RFC 5545 asks of each component.
fn read(reply: &Reply) -> Vec<Component> {
    assert_eq!(
        reply.header("Content-Type"),
        Some("text/calendar; charset=utf-8")
    );
    let text = reply
        .text
        .strip_suffix("\r\n")
        .expect("an end of line at the end");
    let mut unfolded: Vec<String> = Vec::new();
    for line in text.split("\r\n") {
        assert!(line.len() <= 75 && !line.contains(['\r', '\n']), "{line:?}");
        match (line.strip_prefix(' '), unfolded.last_mut()) {
            (Some(rest), Some(before)) => before.push_str(rest),
            _ => unfolded.push(line.to_owned()),
        }
    }
    let mut open: Vec<Component> = vec![Component::default()];
    for line in &unfolded {
        let (name, value) = line
            .split_once(':')
            .unwrap_or_else(|| panic!("no colon in {line:?}"));
        let (name, parameters) = name.split_once(';').unwrap_or((name, ""));
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'-'),
            "{line:?}"
        );
        match name {
            "BEGIN" => open.push(Component {
                name: value.to_owned(),
                ..Component::default()
            }),
            "END" => {
                let done = open.pop().expect("something is open");
                assert_eq!(done.name, value);
                open.last_mut()
                    .expect("what it lies within")
                    .within
                    .push(done);
            }
            _ => {
                let component = open.last_mut().expect("a component");
                let before = component
                    .properties
                    .insert(name.to_owned(), (parameters.to_owned(), value.to_owned()));
                assert_eq!(before, None, "{name} twice");
            }
        }
    }
    let mut root = open.pop().expect("the root");
    assert!(open.is_empty() && root.properties.is_empty() && root.within.len() == 1);
    let calendar = root.within.remove(0);
    assert_eq!(
        (calendar.name.as_str(), calendar.value("VERSION")),
        ("VCALENDAR", "2.0")
    );
    assert!(!calendar.value("PRODID").is_empty());
    let (zones, events): (Vec<_>, Vec<_>) = calendar
        .within
        .into_iter()
        .partition(|one| one.name == "VTIMEZONE");
    assert_eq!(zones.len(), 1);
    assert_eq!(zones[0].value("TZID"), "Europe/Stockholm");
    assert_eq!(zones[0].within.len(), 2);
    for event in &events {
        assert_eq!(event.name, "VEVENT");
        assert!(event.value("UID").parse::<uuid::Uuid>().is_ok());
        assert!(event.value("SEQUENCE").parse::<u32>().is_ok());
        NaiveDateTime::parse_from_str(event.value("DTSTAMP"), "%Y%m%dT%H%M%SZ")
            .expect("a moment in UTC");
        assert!(event.value("DTEND") > event.value("DTSTART"), "{event:?}");
        assert_eq!(event.properties["DTSTART"].0, event.properties["DTEND"].0);
    }
    events
}

fn titles(events: &[Component]) -> Vec<String> {
    let mut titles: Vec<String> = events.iter().map(|event| event.text("SUMMARY")).collect();
    titles.sort_unstable();
    titles
}

#[test]
fn a_feed_of_a_unit_shows_what_has_been_confirmed_in_it_and_below_and_the_due_dates_that_its_owner_does()
 {
    let hedemora = Hedemora::new();
    let (app, planner) = (&hedemora.app, &hedemora.planner);
    let title =
        "Planeringsdag; åäö, \\ och ett långt namn som behöver vikas vid sjuttiofem oktetter 🎉🎉";
    let event = hedemora.ready();
    let body = json!({"title": title, "description": "Rad ett\nRad två"});
    app.patch(planner, &format!("/events/{event}"), &body)
        .expect(200);
    let (_, address) = feed(
        app,
        planner,
        &json!({"unitId": hedemora.education, "name": "Våra dagar"}),
    );

    // a draft is not in any calendar; its follow-up, which its owner does, is
    let before = app.get(&NOBODY, &address).expect(200);
    assert_eq!(titles(&read(&before)), [format!("Uppföljning: {title}")]);
    app.change_status(planner, &event, &json!({"status": "confirmed"}))
        .expect(200);
    let reply = app.get(&NOBODY, &address).expect(200);
    assert!(reply.text.contains("\r\nX-WR-CALNAME:Våra dagar\r\n"));
    let entries = read(&reply);
    let shown = app
        .get(planner, &format!("/events/{event}"))
        .expect(200)
        .body;
    let day = &entries[0];
    assert_eq!(day.value("UID"), shown["occasions"][0]["id"]);
    assert_eq!(day.value("SEQUENCE"), shown["revision"].to_string());
    assert_eq!(
        (day.text("SUMMARY"), day.text("DESCRIPTION")),
        (title.to_owned(), "Rad ett\nRad två".to_owned())
    );
    assert_eq!(day.text("LOCATION"), "Stadshuset");
    assert_eq!(
        day.properties["DTSTART"],
        (
            "TZID=Europe/Stockholm".to_owned(),
            "20261005T083000".to_owned()
        )
    );
    assert_eq!(day.value("DTEND"), "20261005T163000");
    assert_eq!(day.value("STATUS"), "CONFIRMED");
    let due = &entries[1];
    assert_eq!(
        due.properties["DTSTART"],
        ("VALUE=DATE".to_owned(), "20270103".to_owned())
    );
    assert_eq!(due.value("TRANSP"), "TRANSPARENT");
    let follow_ups = app
        .get(planner, &format!("/events/{event}/follow-ups"))
        .expect(200)
        .body;
    assert_eq!(due.value("UID"), follow_ups["items"][0]["id"]);
    assert!(!reply.text.contains("person-"), "{}", reply.text);

    // the same whoever asks how often, and nothing new is 304
    let etag = reply.etag().to_owned();
    app.send(&NOBODY, "GET", &address, &[("If-None-Match", &etag)], None)
        .expect(304);
    let head = app.send(&NOBODY, "HEAD", &address, &[], None).expect(200);
    assert_eq!(
        (head.header("ETag"), head.text.as_str()),
        (Some(etag.as_str()), "")
    );

    // cancelled it is shown as such, with a higher sequence, and its follow-up is gone
    app.change_status(
        planner,
        &event,
        &json!({"status": "cancelled", "reason": "Inställt."}),
    )
    .expect(200);
    let cancelled = read(
        &app.send(&NOBODY, "GET", &address, &[("If-None-Match", &etag)], None)
            .expect(200),
    );
    assert_eq!(
        (cancelled.len(), cancelled[0].value("STATUS")),
        (1, "CANCELLED")
    );
    assert_eq!(
        cancelled[0].value("SEQUENCE").parse::<i64>().unwrap(),
        shown["revision"].as_i64().unwrap() + 1
    );
    // what was never confirmed does not come into a calendar by being cancelled
    let other = hedemora.draft(&hedemora.town_hall).id();
    app.change_status(
        planner,
        &other,
        &json!({"status": "cancelled", "reason": "Inställt."}),
    )
    .expect(200);
    assert_eq!(read(&app.get(&NOBODY, &address).expect(200)).len(), 1);

    // the tree counts unless it shall not
    for (body, expected) in [
        (json!({"unitId": hedemora.municipality}), 1),
        (
            json!({"unitId": hedemora.municipality, "includeSubtree": false}),
            0,
        ),
        (json!({"unitId": hedemora.care}), 0),
        (json!({"personRef": "person-planner"}), 1),
        (json!({"personRef": "person-head"}), 0),
    ] {
        let (_, address) = feed(app, planner, &body);
        assert_eq!(
            read(&app.get(&NOBODY, &address).expect(200)).len(),
            expected,
            "{body}"
        );
    }
    // 90 days after the event it leaves the calendar
    app.it_is("2027-01-03T08:00:00Z");
    assert_eq!(read(&app.get(&NOBODY, &address).expect(200)).len(), 1);
    app.it_is("2027-01-04T08:00:00Z");
    assert_eq!(read(&app.get(&NOBODY, &address).expect(200)).len(), 0);
}

#[test]
fn a_feed_shows_due_dates_of_others_only_by_an_office_held_today_and_ends_when_its_owner_leaves() {
    let hedemora = Hedemora::new();
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    hedemora.confirmed();
    // an administrator reads every follow-up with a token, but a calendar program has none
    let (_, of_hr) = feed(app, hr, &json!({"unitId": hedemora.municipality}));
    assert_eq!(
        titles(&read(&app.get(&NOBODY, &of_hr).expect(200))),
        ["Planeringsdag"]
    );
    let head = app.employee("person-head");
    let (_, of_head) = feed(app, &head, &json!({"unitId": hedemora.education}));
    assert_eq!(
        titles(&read(&app.get(&NOBODY, &of_head).expect(200))),
        ["Planeringsdag"]
    );

    let office = json!({"officeType": "departmentHead", "unitId": hedemora.education, "personRef": "person-head",
        "capacity": "ordinary", "validFrom": "2026-09-01", "validTo": "2026-09-10"});
    app.post(hr, "/office-appointments", &office).expect(201);
    let both = ["Planeringsdag", "Uppföljning: Planeringsdag"];
    assert_eq!(titles(&read(&app.get(&NOBODY, &of_head).expect(200))), both);
    app.it_is("2026-09-10T08:00:00Z");
    assert_eq!(
        titles(&read(&app.get(&NOBODY, &of_head).expect(200))),
        ["Planeringsdag"]
    );

    let people = app.get(hr, "/people?limit=100").expect(200).body;
    let person = people["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["personRef"] == "person-head")
        .unwrap();
    let path = format!("/people/{}", person["id"].as_str().unwrap());
    app.patch(hr, &path, &json!({"validTo": "2026-09-12"}))
        .expect(200);
    app.it_is("2026-09-11T21:59:59Z");
    app.get(&NOBODY, &of_head).expect(200);
    app.it_is("2026-09-11T22:00:00Z");
    app.get(&NOBODY, &of_head).expect_problem(404, "not-found");
}

#[test]
fn the_address_is_shown_once_and_kept_nowhere_and_only_the_owner_lists_and_deletes_the_feed() {
    let hedemora = Hedemora::new();
    let (app, planner, hr) = (&hedemora.app, &hedemora.planner, &hedemora.hr);
    let body = json!({"personRef": "person-planner"});
    let key = [("Idempotency-Key", "feed")];
    let post = |caller: &Caller, body: &Value| {
        app.send(
            caller,
            "POST",
            "/calendar-feeds",
            &key,
            Some(&body.to_string()),
        )
    };
    let made = post(planner, &body).expect(201);
    let location = made.header("Location").unwrap().to_owned();
    let path = location.strip_prefix("/kompetens/v1").unwrap();
    assert_eq!(path, format!("/calendar-feeds/{}", made.id()));
    let address = made.body["address"].as_str().unwrap();
    assert!(address.starts_with(&format!("http://{}/kompetens/v1/calendars/", app.address)));

    // the replay does not show it again, and another body is another request
    let again = post(planner, &body).expect_problem(409, "secret-already-shown");
    assert_eq!(again.header("Location"), Some(location.as_str()));
    post(planner, &json!({"personRef": "person-hr"})).expect_problem(422, "key-reused");
    assert_eq!(app.count("select count(*) from calendar_feeds"), 1);
    let secret = address.rsplit('/').next().unwrap().trim_end_matches(".ics");
    for (table, column) in [
        ("calendar_feeds", "t::text"),
        (
            "idempotency_records",
            "t::text || convert_from(body, 'UTF8')",
        ),
        ("change_payloads", "t::text"),
    ] {
        let found = format!("select count(*) from {table} t where {column} like '%{secret}%'");
        assert_eq!(app.count(&found), 0, "{table}");
    }

    let read = app.get(planner, path).expect(200);
    assert_eq!(
        (read.body.get("address"), &read.body["personRef"]),
        (None, &json!("person-planner"))
    );
    let listed = app
        .get(planner, "/calendar-feeds?includeTotal=true")
        .expect(200)
        .body;
    assert_eq!(
        (&listed["items"][0], &listed["totalItems"]),
        (&read.body, &json!(1))
    );
    assert_eq!(
        app.get(hr, "/calendar-feeds").expect(200).body["items"],
        json!([])
    );
    app.get(hr, path).expect_problem(404, "not-found");
    let delete =
        |caller: &Caller, headers: &[(&str, &str)]| app.send(caller, "DELETE", path, headers, None);
    delete(planner, &[]).expect_problem(428, "if-match-required");
    delete(hr, &[("If-Match", "\"1\"")]).expect_problem(404, "not-found");
    delete(planner, &[("If-Match", "\"2\"")]).expect_problem(412, "stale-revision");
    app.get(&NOBODY, address).expect(200);
    let gone = delete(planner, &[("If-Match", read.etag())]).expect(204);
    assert_eq!(
        (gone.text.as_str(), gone.header("Content-Type")),
        ("", None)
    );
    delete(planner, &[("If-Match", read.etag())]).expect_problem(404, "not-found");
    app.get(&NOBODY, address).expect_problem(404, "not-found");
    let log = "select count(*) from changes where resource_type = 'calendarFeed'";
    assert_eq!(app.count(log), 2);
}

#[test]
fn a_wrong_address_is_404_without_repeating_it_and_a_feed_is_of_a_unit_or_a_person_that_there_is() {
    let hedemora = Hedemora::new();
    let (app, planner) = (&hedemora.app, &hedemora.planner);
    let (_, address) = feed(app, planner, &json!({"unitId": hedemora.education}));
    let (start, secret) = address.rsplit_once('/').unwrap();
    let other = format!("A{}", &secret[1..]);
    let other = if other == secret {
        format!("B{}", &secret[1..])
    } else {
        other
    };
    for wrong in [
        format!("{start}/{other}"),
        format!("{start}/{}", &secret[1..]),
        format!("{start}/x.ics"),
        format!("{start}/{}.ics", "A".repeat(5000)),
        format!("{start}/%00%FF.ics"),
        format!(
            "{}/{secret}",
            start.replace(start.rsplit('/').next().unwrap(), &hedemora.care)
        ),
        format!(
            "{}/{secret}",
            start.replace(start.rsplit('/').next().unwrap(), "x")
        ),
        address.replace(".ics", ""),
        address.replace(".ics", ".ics/x"),
    ] {
        let refused = app.get(&NOBODY, &wrong).expect_problem(404, "not-found");
        assert_eq!(
            refused.body["instance"], "/kompetens/v1/calendars/{calendarFeedId}/{secret}.ics",
            "{wrong}"
        );
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let refused = app
            .send(planner, method, &address, &[], None)
            .expect_problem(405, "method-not-allowed");
        assert!(!refused.text.contains(secret));
    }
    app.send(&NOBODY, "OPTIONS", &address, &[], None)
        .expect(204);

    for (body, code, fault) in [
        (json!({}), "invalid-body", vec!["/unitId"]),
        (
            json!({"unitId": hedemora.care, "personRef": "person-hr"}),
            "invalid-body",
            vec!["/unitId"],
        ),
        (
            json!({"unitId": hedemora.town_hall}),
            "unknown-unit",
            vec!["/unitId"],
        ),
        (
            json!({"personRef": "nobody"}),
            "unknown-person",
            vec!["/personRef"],
        ),
        (
            json!({"personRef": "19121212-1212"}),
            "personal-number",
            vec!["/personRef"],
        ),
        (
            json!({"unitId": hedemora.care, "name": " "}),
            "invalid-body",
            vec!["/name"],
        ),
    ] {
        let refused = app
            .post(planner, "/calendar-feeds", &body)
            .expect_problem(422, code);
        assert_eq!(refused.faults(), fault, "{body}");
    }
    // who is not among the people can never leave
    app.post(
        &app.employee("stranger"),
        "/calendar-feeds",
        &json!({"unitId": hedemora.care}),
    )
    .expect_problem(422, "unknown-person");
}
