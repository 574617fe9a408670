//! Who is behind with which follow-up: the list, its numbers, and the day they are seen from (domain section 9, I16).

use crate::app::{TestApp, fresh_database};
use crate::given::Hedemora;
use crate::many::fill;
use chrono::NaiveDate;
use kompetens::rules::follow_up::{self, AgeBand, DueFacts, DueStatus};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Every item of a list, page after page.
fn all(app: &TestApp, path: &str, query: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("{path}?limit=100&{query}{cursor}");
        let page = app.get(&app.hr(), &path).expect(200).body;
        all.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

fn rows(app: &TestApp, query: &str) -> Vec<Value> {
    all(app, "/follow-up-status", query)
}

fn summary(app: &TestApp, query: &str) -> Vec<Value> {
    all(app, "/follow-up-status/summary", query)
}

fn count(rows: &[Value], status: &str) -> usize {
    rows.iter().filter(|row| row["dueStatus"] == status).count()
}

/// An event held on 5 October 2026, with a follow-up of its effect due on this day.
fn held(hedemora: &Hedemora, due: &str) -> (String, String) {
    let (app, planner) = (&hedemora.app, &hedemora.planner);
    let event = hedemora.confirmed();
    let follow_up = hedemora.follow_ups(&event)[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    app.patch(
        planner,
        &format!("/follow-ups/{follow_up}"),
        &json!({"dueDate": due}),
    )
    .expect(200);
    app.it_is("2026-10-06T08:00:00Z");
    let held = json!({"status": "held", "actualParticipants": {"total": 12}});
    app.change_status(planner, &event, &held).expect(200);
    (event, follow_up)
}

#[test]
fn a_follow_up_is_overdue_at_midnight_in_stockholm_while_it_is_still_the_day_before_in_utc() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    for (due, last_moment, midnight) in [
        // winter, summer, and the nights to winter time and to summer time
        ("2026-12-10", "2026-12-10T22:59:59Z", "2026-12-10T23:00:00Z"),
        ("2027-06-10", "2027-06-10T21:59:59Z", "2027-06-10T22:00:00Z"),
        ("2026-10-24", "2026-10-24T21:59:59Z", "2026-10-24T22:00:00Z"),
        ("2026-10-25", "2026-10-25T22:59:59Z", "2026-10-25T23:00:00Z"),
        ("2027-03-27", "2027-03-27T22:59:59Z", "2027-03-27T23:00:00Z"),
        ("2027-03-28", "2027-03-28T21:59:59Z", "2027-03-28T22:00:00Z"),
    ] {
        app.it_is(crate::given::NOW);
        let (_, follow_up) = held(&hedemora, due);
        let seen = || {
            let row = rows(app, &format!("dueFrom={due}&dueTo={due}"));
            assert_eq!((row.len(), &row[0]["id"]), (1, &json!(follow_up)));
            let shown = app
                .get(&hedemora.hr, &format!("/follow-ups/{follow_up}"))
                .body;
            assert_eq!(shown["dueStatus"], row[0]["dueStatus"]);
            assert_eq!(shown["daysOverdue"], row[0]["daysOverdue"]);
            (row[0]["dueStatus"].clone(), row[0]["daysOverdue"].clone())
        };
        app.it_is(last_moment);
        assert_eq!(seen(), (json!("dueSoon"), Value::Null), "{due}");
        app.it_is(midnight);
        assert_eq!(seen(), (json!("overdue"), json!(1)), "{due}");
    }
}

#[test]
fn as_of_an_earlier_day_it_stands_as_it_stood() {
    let hedemora = Hedemora::new();
    let (app, planner) = (&hedemora.app, &hedemora.planner);
    let (event, follow_up) = held(&hedemora, "2026-10-20");
    let entries = format!("/follow-ups/{follow_up}/entries");
    let entry = |level: &str, on: &str| json!({"conductedOn": on, "level": level, "carriedOut": "asPlanned"});
    app.it_is("2026-10-15T08:00:00Z");
    app.post(planner, &entries, &entry("learning", "2026-10-15"))
        .expect(201);
    app.it_is("2026-10-22T08:00:00Z");
    let first = app
        .post(planner, &entries, &entry("results", "2026-10-19"))
        .expect(201);
    app.it_is("2026-10-25T08:00:00Z");
    app.send(
        planner,
        "POST",
        &format!("{entries}/{}/voiding", first.id()),
        &[("If-Match", first.etag())],
        Some(r#"{"reason": "Fel evenemang."}"#),
    )
    .expect(200);
    app.it_is("2026-10-28T08:00:00Z");
    let waiver = app.get(planner, &format!("/follow-ups/{follow_up}"));
    app.send(
        &hedemora.hr,
        "POST",
        &format!("/follow-ups/{follow_up}/waiver"),
        &[("If-Match", waiver.etag())],
        Some(r#"{"reason": "Gruppen har upphört."}"#),
    )
    .expect(200);

    app.it_is("2026-11-01T08:00:00Z");
    for (day, due_status, overdue, held_on) in [
        ("2026-08-31", None, None, None),
        ("2026-09-01", Some("upcoming"), None, None),
        ("2026-10-05", Some("upcoming"), None, None),
        ("2026-10-06", Some("dueSoon"), None, Some("2026-10-05")),
        ("2026-10-20", Some("dueSoon"), None, Some("2026-10-05")),
        ("2026-10-21", Some("overdue"), Some(1), Some("2026-10-05")),
        // done on the 19th, which was known on the 22nd
        (
            "2026-10-22",
            Some("completedOnTime"),
            None,
            Some("2026-10-05"),
        ),
        (
            "2026-10-24",
            Some("completedOnTime"),
            None,
            Some("2026-10-05"),
        ),
        ("2026-10-25", Some("overdue"), Some(5), Some("2026-10-05")),
        ("2026-10-27", Some("overdue"), Some(7), Some("2026-10-05")),
        ("2026-10-28", Some("waived"), None, Some("2026-10-05")),
        ("2026-11-01", Some("waived"), None, Some("2026-10-05")),
    ] {
        let seen = rows(app, &format!("asOf={day}"));
        let row = seen.first().cloned().unwrap_or_default();
        assert_eq!(row["dueStatus"].as_str(), due_status, "{day}");
        assert_eq!(row["daysOverdue"].as_i64(), overdue, "{day}");
        assert_eq!(row["heldOn"].as_str(), held_on, "{day}");
        let held = i64::from(held_on.is_some());
        let numbers = &summary(app, &format!("asOf={day}"))[0];
        if day != "2026-08-31" {
            assert_eq!(numbers["held"], held, "{day} {event}");
            let ended = i64::from(day == "2026-10-05");
            assert_eq!(numbers["endedNotHeld"], ended, "{day}");
        }
    }
}

const STATUSES: [(&str, &str); 7] = [
    ("upcoming", "upcoming"),
    ("dueSoon", "dueSoon"),
    ("overdue", "overdue"),
    ("completedOnTime", "completedOnTime"),
    ("completedLate", "completedLate"),
    ("waived", "waived"),
    ("cancelled", "cancelled"),
];

/// Several hundred events of every kind, each number compared with the list, and each row with the rule.
#[test]
fn every_number_of_the_summary_is_that_of_the_list_and_each_row_is_as_the_rule_has_it() {
    let database = fresh_database();
    fill(&database, 400, 3, 1);
    let app = &TestApp::on(&database, 8);
    app.it_is("2026-09-01T08:00:00Z");
    let all = rows(app, "");
    assert!(all.len() > 250, "{}", all.len());
    let today: NaiveDate = "2026-09-01".parse().unwrap();
    for row in &all {
        let stored = app
            .get(
                &app.hr(),
                &format!("/follow-ups/{}", row["id"].as_str().unwrap()),
            )
            .expect(200)
            .body;
        let facts = DueFacts {
            status: serde_json::from_value(stored["status"].clone()).unwrap(),
            due_date: serde_json::from_value(stored["dueDate"].clone()).unwrap(),
            completed_on: serde_json::from_value(stored["completedOn"].clone()).unwrap(),
        };
        let bounds = follow_up::bounds(today, 14);
        let due_status: DueStatus = serde_json::from_value(row["dueStatus"].clone()).unwrap();
        assert_eq!(due_status, follow_up::due_status(facts, bounds), "{row}");
        assert_eq!(
            row["daysOverdue"].as_i64(),
            follow_up::days_overdue(facts, bounds)
        );
    }
    let department = &app.get(&app.hr(), "/units?limit=3").body["items"][2]["id"];
    let department = format!("unitId={}", department.as_str().unwrap());
    for filter in [
        "",
        "asOf=2026-08-01",
        "dueStatus=overdue",
        "dueStatus=overdue,completedLate",
        "kind=training,planningDay",
        "level=behaviour,results",
        "guidelineGoal=improveOperations",
        "dueFrom=2026-01-01&dueTo=2026-12-31",
        "ageBand=days1To14,daysOver90",
        &department,
        &format!("{department}&includeSubtree=false&asOf=2026-05-01"),
    ] {
        let listed = rows(app, filter);
        let numbers = summary(app, filter);
        let whole = numbers.first().cloned().unwrap_or_default();
        assert_eq!(
            whole["followUps"].as_u64().unwrap_or(0),
            listed.len() as u64,
            "{filter}"
        );
        for (status, member) in STATUSES {
            assert_eq!(
                whole[member].as_u64().unwrap_or(0),
                count(&listed, status) as u64,
                "{filter} {member}"
            );
        }
        // held events among the rows; every event when it is counted through its follow-ups
        let mut events: BTreeMap<&str, bool> = BTreeMap::new();
        for row in &listed {
            events.insert(row["eventId"].as_str().unwrap(), row["heldOn"].is_string());
        }
        let held = events.values().filter(|held| **held).count() as u64;
        let counted = whole["held"].as_u64().unwrap_or(0);
        if filter.contains("due") || filter.contains("level") || filter.contains("age") {
            assert_eq!(counted, held, "{filter}");
        } else {
            assert!(counted >= held, "{filter}");
            assert!(whole["heldWithFollowUp"].as_u64().unwrap_or(0) <= counted);
        }
        for (group_by, member) in [
            ("kind", "kind"),
            ("responsible", "responsiblePerson"),
            ("year", "dueDate"),
        ] {
            let mut expected: BTreeMap<String, u64> = BTreeMap::new();
            for row in &listed {
                let key = row[member].as_str().unwrap();
                let key = if group_by == "year" { &key[..4] } else { key };
                *expected.entry(key.to_owned()).or_default() += 1;
            }
            let grouped = summary(app, &format!("groupBy={group_by}&{filter}"));
            let counted: BTreeMap<String, u64> = grouped
                .iter()
                .map(|row| {
                    let key = row["group"].as_object().unwrap();
                    let key = ["kind", "responsiblePerson", "period"]
                        .iter()
                        .find_map(|name| key.get(*name));
                    (
                        key.unwrap().as_str().unwrap().to_owned(),
                        row["followUps"].as_u64().unwrap(),
                    )
                })
                .filter(|(_, count)| *count > 0)
                .collect();
            assert_eq!(counted, expected, "{group_by} {filter}");
        }
    }
    let by_age = summary(app, "groupBy=ageBand");
    for row in &by_age {
        let band = row["group"]["ageBand"].as_str().unwrap();
        let listed = rows(app, &format!("ageBand={band}"));
        assert_eq!(row["overdue"], listed.len(), "{band}");
        let (since, until) = serde_json::from_value::<AgeBand>(json!(band))
            .unwrap()
            .days();
        assert!(
            listed
                .iter()
                .all(|row| (since..=until).contains(&row["daysOverdue"].as_i64().unwrap()))
        );
    }
}

#[test]
fn what_no_status_can_be_asked_of_is_refused_by_name() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    for path in ["/follow-up-status", "/follow-up-status/summary"] {
        for (query, parameter) in [
            ("dueFrom=2026-10-02&dueTo=2026-10-01", "dueTo"),
            ("asOf=2026-09-02", "asOf"),
            ("asOf=1899-12-31", "asOf"),
            ("asOf=2026-02-30", "asOf"),
            ("unitId=0190a000-0000-7000-8000-0000000fffff", "unitId"),
            ("dueStatus=late", "dueStatus"),
            ("ageBand=old", "ageBand"),
        ] {
            let refused = app
                .get(&hedemora.hr, &format!("{path}?{query}"))
                .expect_problem(400, "invalid-parameter");
            assert_eq!(refused.faults(), [parameter], "{query}");
        }
        app.get(&app.employee("person-planner"), path)
            .expect_problem(403, "forbidden");
    }
}

#[test]
fn the_csv_for_excel_has_its_mark_semicolons_crlf_and_no_formula() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    let (event, _) = held(&hedemora, "2026-10-20");
    use diesel::connection::SimpleConnection;
    app.database()
        .batch_execute(&format!(
            "update events set title = '=HYPERLINK(\"x\"); Åsa \"Ö\"' where id = '{event}'"
        ))
        .unwrap();
    let csv = |path: &str| {
        app.send(&hedemora.hr, "GET", path, &[("Accept", "text/csv")], None)
            .expect(200)
    };
    let reply = csv("/follow-up-status?excel=true");
    assert_eq!(
        reply.header("Content-Type"),
        Some("text/csv; charset=utf-8")
    );
    let text = reply
        .text
        .strip_prefix('\u{feff}')
        .expect("a byte order mark");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(b';')
        .flexible(false)
        .from_reader(text.as_bytes());
    let columns: Vec<String> = reader
        .headers()
        .unwrap()
        .iter()
        .map(str::to_owned)
        .collect();
    let lines: Vec<csv::StringRecord> = reader.records().map(|line| line.unwrap()).collect();
    assert_eq!((columns.len(), lines.len()), (18, 1));
    let cell = |name: &str| &lines[0][columns.iter().position(|column| column == name).unwrap()];
    assert_eq!(cell("eventTitle"), "'=HYPERLINK(\"x\"); Åsa \"Ö\"");
    assert_eq!(
        (cell("dueDate"), cell("dueStatus"), cell("units")),
        ("2026-10-20", "dueSoon", "Bildningsförvaltningen")
    );
    let plain = csv("/follow-up-status/summary?groupBy=unit");
    assert!(plain.text.starts_with("group,name,held,"), "{}", plain.text);
    assert!(
        plain.text.contains(",Bildningsförvaltningen,1,"),
        "{}",
        plain.text
    );
}

#[test]
fn a_planner_sees_the_own_units_and_no_others() {
    let hedemora = Hedemora::new();
    held(&hedemora, "2026-10-20");
    let app: &TestApp = &hedemora.app;
    let seen = |unit: &str| {
        let planner = app.person(
            "person-x",
            &[kompetens::rules::access::Role::Planner],
            &[unit],
        );
        let listed = app.get(&planner, "/follow-up-status").expect(200).body["items"]
            .as_array()
            .unwrap()
            .len();
        let counted = app
            .get(&planner, "/follow-up-status/summary")
            .expect(200)
            .body["items"][0]["followUps"]
            .clone();
        assert_eq!(counted.as_u64().unwrap_or(0), listed as u64);
        listed
    };
    assert_eq!(seen(&hedemora.education), 1);
    assert_eq!(seen(&hedemora.care), 0);
    assert_eq!(seen(&hedemora.municipality), 0);
}
