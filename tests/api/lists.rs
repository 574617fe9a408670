//! Lists: pages, cursors to any depth, filters, Swedish order.

use crate::app::{Caller, Reply, TestApp};
use crate::given::Hedemora;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn titles(reply: &Reply) -> Vec<&str> {
    let items = reply.body["items"].as_array().expect("items").iter();
    items
        .map(|item| {
            item["title"]
                .as_str()
                .or(item["name"].as_str())
                .expect("a title")
        })
        .collect()
}

/// Follows the cursors of a list to its end and returns the ids in order.
fn walk(app: &TestApp, caller: &Caller, path: &str, mut between: impl FnMut()) -> Vec<String> {
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app.get(caller, &format!("{path}{cursor}")).expect(200);
        ids.extend(
            page.body["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["id"].as_str().unwrap().to_owned()),
        );
        match page.body["nextCursor"].as_str() {
            None => return ids,
            Some(next) => cursor = format!("&cursor={next}"),
        }
        between();
    }
}

fn goal(hedemora: &Hedemora, title: &str) -> String {
    let body = json!({"unitId": hedemora.education, "title": title, "validFrom": "2026-01-01"});
    hedemora
        .app
        .post(&hedemora.hr, "/business-goals", &body)
        .expect(201)
        .id()
}

#[test]
fn lists_are_read_by_page_or_cursor_and_sorted_in_swedish() {
    let hedemora = Hedemora::new();
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    for title in [
        "Öl", "apa", "Zebra", "ö", "Ärta", "Å", "Apa", "z", "å", "ä", "Yxa", "Wall", "Vall",
    ] {
        goal(&hedemora, title);
    }
    let order = [
        "apa", "Apa", "Vall", "Wall", "Yxa", "z", "Zebra", "å", "Å", "ä", "Ärta", "ö", "Öl",
    ];
    assert_eq!(titles(&app.get(hr, "/business-goals?sort=title")), order);
    let backwards: Vec<&str> = order.into_iter().rev().collect();
    assert_eq!(
        titles(&app.get(hr, "/business-goals?sort=-title")),
        backwards
    );

    let second = app
        .get(hr, "/business-goals?limit=5&page=2&includeTotal=true")
        .expect(200);
    assert_eq!(titles(&second), &order[5..10]);
    assert_eq!(
        (
            &second.body["page"],
            &second.body["limit"],
            &second.body["totalItems"]
        ),
        (&json!(2), &json!(5), &json!(13))
    );
    let next = second.body["nextCursor"].as_str().expect("more");
    let base = "/kompetens/v1/business-goals?";
    assert_eq!(
        second.header("Link").unwrap(),
        format!(
            "<{base}limit=5>; rel=\"first\", <{base}limit=5&page=1>; rel=\"prev\", <{base}limit=5&cursor={next}>; rel=\"next\""
        )
    );
    let last = app
        .get(hr, &format!("/business-goals?limit=5&cursor={next}"))
        .expect(200);
    assert_eq!(
        (titles(&last), &last.body["nextCursor"]),
        (order[10..].to_vec(), &Value::Null)
    );
    assert_eq!(
        (last.body.get("page"), last.body.get("totalItems")),
        (None, None)
    );
    let beyond = app.get(hr, "/business-goals?page=9").expect(200);
    assert_eq!(
        (titles(&beyond).len(), &beyond.body["nextCursor"]),
        (0, &Value::Null)
    );

    // every page once, in both directions, with ties and while others write
    for sort in ["title", "-title"] {
        let standing: BTreeSet<String> = walk(app, hr, "/business-goals?limit=100", || ())
            .into_iter()
            .collect();
        let mut added = 0;
        let seen = walk(
            app,
            hr,
            &format!("/business-goals?sort={sort}&limit=3"),
            || {
                if added < 6 {
                    added += 1;
                    goal(&hedemora, ["Apa", "ö", "m"][added % 3]);
                }
            },
        );
        let once: BTreeSet<String> = seen.iter().cloned().collect();
        assert_eq!(once.len(), seen.len(), "nothing twice");
        assert!(standing.is_subset(&once), "nothing lost");
    }

    for (page, status) in [
        ("page=10000&limit=1", 200),
        ("page=100&limit=100", 200),
        ("page=101&limit=100", 400),
        ("page=10000&limit=2", 400),
    ] {
        let reply = app.get(hr, &format!("/business-goals?{page}"));
        assert_eq!(reply.status, status, "{page}: {}", reply.text);
        assert!(status == 200 || reply.body["code"] == "page-too-deep");
    }
}

#[test]
fn a_cursor_belongs_to_its_list_filters_and_row() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let hedemora = Hedemora::new();
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    for title in ["a", "b", "c"] {
        goal(&hedemora, title);
    }
    let first = app.get(hr, "/business-goals?limit=1").expect(200);
    let cursor = first.body["nextCursor"].as_str().unwrap();
    for ok in ["", "&limit=2", "&includeTotal=true"] {
        app.get(hr, &format!("/business-goals?cursor={cursor}{ok}"))
            .expect(200);
    }
    let mut mended: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(cursor).unwrap()).unwrap();
    mended["k"] = json!("b");
    let mended = URL_SAFE_NO_PAD.encode(mended.to_string());
    let (shorter, longer, flipped) = (
        &cursor[1..],
        format!("{cursor}A"),
        cursor.chars().rev().collect::<String>(),
    );
    for address in [
        format!("/business-goals?sort=-title&cursor={cursor}"),
        format!(
            "/business-goals?unitId={}&cursor={cursor}",
            hedemora.education
        ),
        format!("/units?cursor={cursor}"),
        format!("/business-goals?cursor={mended}"),
        format!("/business-goals?cursor={shorter}"),
        format!("/business-goals?cursor={longer}"),
        format!("/business-goals?cursor={flipped}"),
        "/business-goals?cursor=%F0%9F%98%80".to_owned(),
        format!("/business-goals?cursor={}", URL_SAFE_NO_PAD.encode("{}")),
    ] {
        let refused = app.get(hr, &address).expect_problem(400, "invalid-cursor");
        assert_eq!(refused.faults(), ["cursor"], "{address}");
    }
    app.get(hr, &format!("/business-goals?page=2&cursor={cursor}"))
        .expect_problem(400, "invalid-parameter");
    // generated clients send each default
    let by_cursor = app.get(hr, &format!("/business-goals?cursor={cursor}"));
    let with_default = app.get(hr, &format!("/business-goals?page=1&cursor={cursor}"));
    assert_eq!(with_default.expect(200).body, by_cursor.expect(200).body);
}

/// An event of these units with this title, on these days.
fn event(hedemora: &Hedemora, title: &str, units: &[&String], days: &[(&str, &str)]) -> String {
    let mut body = hedemora.planning_day(&hedemora.town_hall);
    body["title"] = json!(title);
    body["organisingUnitIds"] = json!(units);
    body["occasions"] = days
        .iter()
        .map(|(start, end)| json!({"startsAt": start, "endsAt": end, "place": "venue", "venueId": hedemora.town_hall}))
        .collect();
    hedemora
        .app
        .post(&hedemora.hr, "/events", &body)
        .expect(201)
        .id()
}

#[test]
fn events_are_found_by_each_of_their_filters() {
    let hedemora = Hedemora::new();
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    let day = [("2026-10-05T08:30:00+02:00", "2026-10-05T16:30:00+02:00")];
    let school = event(
        &hedemora,
        "Planeringsdagar för skolan",
        &[&hedemora.education],
        &day,
    );
    event(
        &hedemora,
        "Förskolans kickoff",
        &[&hedemora.preschool],
        &day,
    );
    let care = event(
        &hedemora,
        "Utbildning i vården",
        &[&hedemora.care, &hedemora.energy],
        &day,
    );
    // the night of 25 October 2026 is an hour longer: it begins at 22:00Z and ends at 23:00Z
    event(
        &hedemora,
        "Natten",
        &[&hedemora.care],
        &[("2026-10-25T22:30:00Z", "2026-10-25T22:59:00Z")],
    );
    event(
        &hedemora,
        "Efter natten",
        &[&hedemora.care],
        &[("2026-10-25T23:00:00Z", "2026-10-25T23:30:00Z")],
    );
    event(
        &hedemora,
        "Två gånger",
        &[&hedemora.care],
        &[
            ("2026-11-02T08:00:00Z", "2026-11-02T09:00:00Z"),
            ("2026-11-30T08:00:00Z", "2026-11-30T09:00:00Z"),
        ],
    );
    app.patch(hr, &format!("/events/{care}"), &json!({"kind": "training", "description": "Lyftteknik för undersköterskor", "responsiblePerson": "person-other"})).expect(200);
    app.change_status(
        hr,
        &care,
        &json!({"status": "cancelled", "reason": "Inställt."}),
    )
    .expect(200);
    hedemora.answer_everything(&school);
    hedemora.plan_follow_up(&school);
    app.change_status(hr, &school, &json!({"status": "confirmed"}))
        .expect(200);
    let goals = |question: &str| {
        let answers = app
            .get(hr, &format!("/events/{school}/planning-answers"))
            .expect(200)
            .body;
        let item = answers["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|item| item["question"]["id"] == question);
        item.and_then(|item| item.pointer("/given/answer/goalIds/0"))
            .and_then(Value::as_str)
            .expect("a goal")
            .to_owned()
    };
    let all = [
        "Planeringsdagar för skolan",
        "Förskolans kickoff",
        "Utbildning i vården",
        "Natten",
        "Efter natten",
        "Två gånger",
    ];
    let (skolan, kickoff, varden, natten, efter, ganger) =
        (all[0], all[1], all[2], all[3], all[4], all[5]);
    let cases: Vec<(String, Vec<&str>)> = vec![
        (String::new(), all.to_vec()),
        ("status=confirmed".to_owned(), vec![skolan]),
        (
            "status=confirmed,cancelled".to_owned(),
            vec![skolan, varden],
        ),
        ("kind=training".to_owned(), vec![varden]),
        ("kind=training,conference&status=draft".to_owned(), vec![]),
        (
            format!("unitId={}", hedemora.education),
            vec![skolan, kickoff],
        ),
        (
            format!("unitId={}&includeSubtree=false", hedemora.education),
            vec![skolan],
        ),
        (
            format!("unitId={},{}", hedemora.preschool, hedemora.energy),
            vec![kickoff, varden],
        ),
        (format!("unitId={}", hedemora.municipality), all.to_vec()),
        (
            format!("unitId={}&includeSubtree=false", hedemora.municipality),
            vec![],
        ),
        (format!("unitId={}", hedemora.visit_dalarna), vec![]),
        (
            "responsiblePerson=person-other,nobody".to_owned(),
            vec![varden],
        ),
        (
            "from=2026-10-05&to=2026-10-05".to_owned(),
            vec![skolan, kickoff, varden],
        ),
        ("from=2026-10-06&to=2026-10-24".to_owned(), vec![]),
        ("from=2026-10-25&to=2026-10-25".to_owned(), vec![natten]),
        ("from=2026-10-26&to=2026-10-26".to_owned(), vec![efter]),
        ("from=2026-11-03&to=2026-11-29".to_owned(), vec![]),
        ("from=2026-11-30".to_owned(), vec![ganger]),
        ("to=1900-01-01".to_owned(), vec![]),
        ("to=2199-12-31&from=1900-01-01".to_owned(), all.to_vec()),
        (
            format!("businessGoalId={}", goals("businessGoals")),
            vec![skolan],
        ),
        (
            format!("guidelineGoal={}", goals("guidelineGoals")),
            vec![skolan],
        ),
        (format!("businessGoalId={}", hedemora.care), vec![]),
        ("guidelineGoal=nothing".to_owned(), vec![]),
        (
            "finding=answerNeeded".to_owned(),
            vec![kickoff, natten, efter, ganger],
        ),
        ("finding=met&status=confirmed".to_owned(), vec![skolan]),
        ("finding=exceptionNeeded,reasonNeeded".to_owned(), vec![]),
        ("sourceSystem=hr&externalId=1".to_owned(), vec![]),
        ("q=planeringsdag".to_owned(), vec![skolan]),
        ("q=skolans+PLANERINGSDAGEN".to_owned(), vec![skolan]),
        ("q=undersk%C3%B6terska".to_owned(), vec![varden]),
        ("q=planeringsdag+kickoff".to_owned(), vec![]),
        ("q=%27%20%26%20%7C%20%21%20%3A%2A%20%28".to_owned(), vec![]),
        ("updatedSince=2026-09-01T08:00:00Z".to_owned(), all.to_vec()),
        (
            "updatedSince=2026-09-01T10:00:00.000001%2B02:00".to_owned(),
            vec![],
        ),
    ];
    for (filter, mut expected) in cases {
        let reply = app
            .get(hr, &format!("/events?{filter}&includeTotal=true"))
            .expect(200);
        let mut found = titles(&reply);
        assert_eq!(reply.body["totalItems"], json!(found.len()), "{filter}");
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{filter}");
    }
    for sort in [
        "firstStart",
        "-firstStart",
        "title",
        "-title",
        "updatedAt",
        "-updatedAt",
    ] {
        let whole = walk(app, hr, &format!("/events?sort={sort}&limit=100"), || ());
        let pieces = walk(app, hr, &format!("/events?sort={sort}&limit=1"), || ());
        assert_eq!((pieces.len(), &pieces), (6, &whole), "{sort}");
    }
    // drafts of others are neither shown nor counted
    let stranger = app
        .get(&app.employee("person-head"), "/events?includeTotal=true")
        .expect(200);
    assert_eq!(
        (titles(&stranger), &stranger.body["totalItems"]),
        (vec![skolan, varden], &json!(2))
    );
}

#[test]
fn the_longest_names_there_can_be_are_read_past_by_cursor() {
    let app = TestApp::empty();
    let hr = app.hr();
    let longest: Vec<String> = ["😀", "\"", "å"].map(|sign| sign.repeat(199) + "x").into();
    for name in &longest {
        let venue = json!({"name": name, "municipalityCode": "2083", "validFrom": "2020-01-01"});
        app.post(&hr, "/venues", &venue).expect(201);
    }
    let mut path = "/venues?limit=1".to_owned();
    let mut names = Vec::new();
    loop {
        let page = app.get(&hr, &path).expect(200).body;
        names.extend(page["items"][0]["name"].as_str().map(str::to_owned));
        let Some(cursor) = page["nextCursor"].as_str() else {
            break;
        };
        path = format!("/venues?limit=1&cursor={cursor}");
    }
    names.sort();
    let mut longest = longest;
    longest.sort();
    assert_eq!(names, longest);
}
