//! Statistics: each number is that of the list with the same filter (I16), and cut to what the caller may read.

use crate::app::{Caller, TestApp, fresh_database, service_url};
use crate::many;
use kompetens::rules::access::Role;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// All rows of a statistic, by its pages.
fn rows(app: &TestApp, caller: &Caller, path: &str) -> Vec<Value> {
    let separator = if path.contains('?') { '&' } else { '?' };
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app
            .get(caller, &format!("{path}{separator}limit=100{cursor}"))
            .expect(200)
            .body;
        rows.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["nextCursor"].as_str() {
            None => return rows,
            Some(next) => cursor = format!("&cursor={next}"),
        }
    }
}

/// How many the list has, whose address names a parameter.
fn total(app: &TestApp, caller: &Caller, path: &str) -> i64 {
    let page = app
        .get(caller, &format!("{path}&includeTotal=true"))
        .expect(200)
        .body;
    page["totalItems"].as_i64().expect("a total")
}

/// Hedemora's demo data, and its HR administrator.
fn demo() -> (TestApp, Caller) {
    let database = fresh_database();
    kompetens::demo::load(&service_url(&database)).expect("the demo data loads");
    let app = TestApp::on(&database, 8);
    let hr = app.person("person-0001", &[Role::HrAdministrator], &[]);
    (app, hr)
}

/// Random data, and its HR administrator.
fn many(seed: u32) -> (TestApp, Caller) {
    let database = fresh_database();
    many::fill(&database, 400, 2, seed);
    let app = TestApp::on(&database, 8);
    app.it_is(many::NOW);
    let hr = app.person("person-0001", &[Role::HrAdministrator], &[]);
    (app, hr)
}

fn unit(number: u32) -> String {
    format!("0190b001-0000-7000-8000-{number:012x}")
}

/// The filter with which a list shows what a row counts: that of the request, narrowed to the row's group.
fn list_filter(filter: &str, group: &Value) -> String {
    let mut parts: BTreeMap<&str, String> = filter
        .split('&')
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name, value.to_owned()))
        .collect();
    for name in [
        "from",
        "to",
        "unitId",
        "kind",
        "guidelineGoal",
        "businessGoalId",
        "responsiblePerson",
        "ruleId",
    ] {
        if let Some(value) = group[name].as_str() {
            parts.insert(name, value.to_owned());
        }
    }
    parts
        .iter()
        .map(|(name, value)| format!("&{name}={value}"))
        .collect()
}

const GROUPS: [&str; 8] = [
    "year",
    "tertial",
    "month",
    "unit",
    "kind",
    "goal",
    "businessGoal",
    "responsible",
];
const EVENT_STATUSES: [&str; 5] = ["draft", "confirmed", "held", "closed", "cancelled"];

#[test]
fn every_number_of_event_statistics_is_that_of_the_list_with_the_same_filter() {
    for seed in [1, 2] {
        let (app, hr) = many(seed);
        let filters = [
            String::new(),
            "from=2025-11-03&to=2026-09-17".to_owned(),
            format!("unitId={},{}&kind=training,other", unit(2), unit(9)),
            format!("unitId={}&includeSubtree=false&from=2025-01-01", unit(9)),
        ];
        // each row has numbers to compare: one of them, another each time
        let mut turn = 0;
        for filter in &filters {
            for group_by in GROUPS.map(|by| format!("groupBy={by}")).into_iter().chain([
                String::new(),
                "groupBy=unit,month".to_owned(),
                "groupBy=goal,kind".to_owned(),
            ]) {
                let path = format!("/statistics/events?{filter}&{group_by}").replace("?&", "?");
                let counted = rows(&app, &hr, path.trim_end_matches(['&', '?']));
                assert!(
                    !counted.is_empty() || filter.contains("includeSubtree"),
                    "{path}"
                );
                for row in counted.iter().skip(turn % 7).step_by(7) {
                    turn += 1;
                    let (member, narrowed) = match turn % 6 {
                        0 => ("events", String::new()),
                        other => (
                            EVENT_STATUSES[other - 1],
                            format!("&status={}", EVENT_STATUSES[other - 1]),
                        ),
                    };
                    let list = format!(
                        "/events?limit=1{}{narrowed}",
                        list_filter(filter, &row["group"])
                    );
                    assert_eq!(
                        row[member],
                        json!(total(&app, &hr, &list)),
                        "{path} {list}: {row}"
                    );
                }
            }
        }
        assert!(turn > 60, "{turn}");
    }
}

#[test]
fn what_was_planned_stands_beside_what_happened_and_open_rules_are_those_that_the_events_show() {
    let (app, hr) = many(3);
    let events: Vec<Value> = ["draft,confirmed", "held,closed", "cancelled"]
        .iter()
        .flat_map(|status| rows(&app, &hr, &format!("/events?status={status}")))
        .collect();
    let whole = &rows(&app, &hr, "/statistics/events")[0];
    assert_eq!(
        (whole["group"].clone(), &whole["events"]),
        (json!({}), &json!(events.len()))
    );
    let happened: Vec<&Value> = events
        .iter()
        .filter(|event| event["status"] == "held" || event["status"] == "closed")
        .collect();
    let sum = |pointer: &str| {
        happened
            .iter()
            .filter_map(|event| event.pointer(pointer)?.as_i64())
            .sum::<i64>()
    };
    let without = |name: &str| {
        happened
            .iter()
            .filter(|event| event.get(name).is_none())
            .count()
    };
    assert_eq!(
        whole["outcome"],
        json!({
            "events": happened.len(),
            "expectedParticipants": sum("/expectedParticipants/total"),
            "actualParticipants": sum("/actualParticipants/total"),
            "withoutExpectedParticipants": without("expectedParticipants"),
            "estimatedCost": sum("/estimatedCost"),
            "actualCost": sum("/actualCost"),
            "withoutEstimatedCost": without("estimatedCost"),
            "withoutActualCost": without("actualCost"),
        })
    );

    let mut open: BTreeMap<String, i64> = BTreeMap::new();
    for event in &events {
        let in_planning = event["status"] == "draft" || event["status"] == "confirmed";
        // what ended without being held is not planned any more
        if in_planning && event["lastEnd"].as_str().unwrap() <= many::NOW {
            continue;
        }
        for rule in event["openFindings"].as_array().unwrap() {
            *open.entry(rule.as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    let counted: BTreeMap<String, i64> = rows(&app, &hr, "/statistics/events?groupBy=rule")
        .iter()
        .map(|row| {
            (
                row["group"]["ruleId"].as_str().unwrap().to_owned(),
                row["events"].as_i64().unwrap(),
            )
        })
        .collect();
    assert!(counted.len() > 10, "{counted:?}");
    assert_eq!(counted, open);
    let finding = total(
        &app,
        &hr,
        "/events?finding=answerNeeded,reasonNeeded,exceptionNeeded",
    );
    let planned = rows(&app, &hr, "/statistics/events?groupBy=rule")
        .iter()
        .map(|row| row["draft"].as_i64().unwrap() + row["confirmed"].as_i64().unwrap())
        .max();
    assert!(planned.unwrap() <= finding && finding > 0);
}

#[test]
fn every_number_of_exception_statistics_is_that_of_the_list_and_pending_is_counted_from_the_eighth_day()
 {
    let database = fresh_database();
    many::fill(&database, 3000, 2, 4);
    let app = TestApp::on(&database, 8);
    app.it_is(many::NOW);
    let hr = app.person("person-0001", &[Role::HrAdministrator], &[]);
    let statuses = [
        "submitted",
        "approved",
        "rejected",
        "withdrawn",
        "revoked",
        "lapsed",
    ];
    let mut turn = 0;
    for filter in [
        String::new(),
        "from=2026-01-15&to=2026-08-20".to_owned(),
        format!("unitId={}", unit(2)),
    ] {
        for group_by in ["year", "tertial", "month", "unit", "rule", "unit,rule"] {
            let path =
                format!("/statistics/exceptions?{filter}&groupBy={group_by}").replace("?&", "?");
            for row in rows(&app, &hr, &path).iter().skip(turn % 5).step_by(5) {
                turn += 1;
                let (member, narrowed) = match turn % 8 {
                    0 => ("requests", String::new()),
                    1 => ("stale", "&stale=true".to_owned()),
                    other => (
                        statuses[other - 2],
                        format!("&status={}", statuses[other - 2]),
                    ),
                };
                let list = format!(
                    "/exception-requests?limit=1{}{narrowed}",
                    list_filter(&filter, &row["group"])
                );
                assert_eq!(
                    row[member],
                    json!(total(&app, &hr, &list)),
                    "{path} {list}: {row}"
                );
            }
        }
    }
    assert!(turn > 30, "{turn}");

    let whole = &rows(&app, &hr, "/statistics/exceptions")[0];
    assert!(whole["submitted"].as_i64().unwrap() > 1, "{whole}");
    // 1 September in Stockholm: pending since 24 August or earlier is more than seven days
    let pending = total(
        &app,
        &hr,
        "/exception-requests?status=submitted&to=2026-08-24",
    );
    assert_eq!(whole["pendingOverSevenDays"], json!(pending));
    assert!(
        pending > 0 && pending < whole["submitted"].as_i64().unwrap(),
        "{whole}"
    );
}

/// The entries of an event that stand, the latest first.
fn entries(app: &TestApp, hr: &Caller, event: &Value) -> Vec<Value> {
    let id = event["id"].as_str().unwrap();
    let mut entries: Vec<Value> = rows(app, hr, &format!("/events/{id}/follow-ups"))
        .iter()
        .flat_map(|follow_up| {
            rows(
                app,
                hr,
                &format!("/follow-ups/{}/entries", follow_up["id"].as_str().unwrap()),
            )
        })
        .filter(|entry| entry.get("voidedAt").is_none())
        .collect();
    entries.sort_by_key(|entry| {
        std::cmp::Reverse(
            ["conductedOn", "recordedAt", "id"]
                .map(|name| entry[name].as_str().unwrap().to_owned()),
        )
    });
    entries
}

#[test]
fn effects_and_goals_are_counted_by_the_latest_entry_that_stands_and_apart() {
    let database = fresh_database();
    many::fill(&database, 150, 2, 6);
    let app = TestApp::on(&database, 8);
    app.it_is(many::NOW);
    let hr = app.person("person-0001", &[Role::HrAdministrator], &[]);
    let mut effects: BTreeMap<String, i64> = BTreeMap::new();
    let mut voided = 0;
    for event in rows(&app, &hr, "/events?sort=title") {
        if !["held", "closed"].contains(&event["status"].as_str().unwrap()) {
            continue;
        }
        voided += rows(
            &app,
            &hr,
            &format!("/events/{}/follow-ups", event["id"].as_str().unwrap()),
        )
        .len();
        let entries = entries(&app, &hr, &event);
        for part in ["individualEffect", "operationEffect", "residentEffect"] {
            let latest = entries.iter().find_map(|entry| entry.get(part));
            if let Some(effect) = latest.and_then(|effect| effect["effect"].as_str()) {
                *effects.entry(format!("/{part}/{effect}")).or_default() += 1;
            }
        }
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for effect in entries
            .iter()
            .flat_map(|entry| entry["goalEffects"].as_array().unwrap())
        {
            seen.entry(effect["goalId"].as_str().unwrap())
                .or_insert(effect["effect"].as_str().unwrap());
        }
        for (goal, effect) in seen {
            *effects.entry(format!("{goal} {effect}")).or_default() += 1;
        }
    }
    assert!(voided > 0 && app.count("select count(*) from follow_up_entry_voidings") > 0);
    let whole = &rows(&app, &hr, "/statistics/events")[0];
    for part in ["individualEffect", "operationEffect", "residentEffect"] {
        for effect in ["none", "some", "full", "tooEarly"] {
            let pointer = format!("/{part}/{effect}");
            assert_eq!(
                whole.pointer(&pointer),
                Some(&json!(effects.get(&pointer).unwrap_or(&0))),
                "{pointer}"
            );
        }
    }
    let planned = "select count(*) from planning_answers where question_id = 'individualEffects' and not answer ? 'notApplicable'";
    assert_eq!(
        whole["individualEffect"]["planned"],
        json!(app.count(planned))
    );

    let goals = rows(&app, &hr, "/statistics/goals");
    let id = |row: &Value| {
        let group = &row["group"];
        let named = group["guidelineGoal"]
            .as_str()
            .or(group["businessGoalId"].as_str());
        named.expect("a goal").to_owned()
    };
    let mut counted: BTreeMap<String, i64> = BTreeMap::new();
    for row in &goals {
        for effect in ["none", "some", "full", "tooEarly"] {
            let number = row[effect].as_i64().unwrap();
            if number > 0 {
                counted.insert(format!("{} {effect}", id(row)), number);
            }
        }
        let filter = list_filter("", &row["group"]);
        assert_eq!(
            row["events"],
            json!(total(
                &app,
                &hr,
                &format!("/events?{}", filter.trim_start_matches('&'))
            )),
            "{row}"
        );
        assert_eq!(
            row["heldOrClosed"],
            json!(total(
                &app,
                &hr,
                &format!("/events?status=held,closed{filter}")
            )),
            "{row}"
        );
    }
    effects.retain(|name, _| !name.starts_with('/'));
    assert!(effects.len() > 5, "{effects:?}");
    assert_eq!(counted, effects);

    // grouped by goal: the rows of the one kind, and divided further
    let guideline = rows(&app, &hr, "/statistics/goals?groupBy=goal");
    let business = rows(&app, &hr, "/statistics/goals?groupBy=businessGoal");
    assert_eq!(guideline.len() + business.len(), goals.len());
    assert!(
        guideline
            .iter()
            .all(|row| row["group"].get("businessGoalId").is_none())
    );
    assert!(
        business
            .iter()
            .all(|row| row["group"]["businessGoalTitle"].as_str().is_some())
    );
    let by_kind = rows(&app, &hr, "/statistics/goals?groupBy=kind,goal");
    let sum = |rows: &[Value]| {
        rows.iter()
            .map(|row| row["events"].as_i64().unwrap())
            .sum::<i64>()
    };
    assert_eq!(sum(&by_kind), sum(&guideline));
    let csv = app
        .send(
            &hr,
            "GET",
            "/statistics/goals?groupBy=year",
            &[("Accept", "text/csv")],
            None,
        )
        .expect(200);
    assert!(csv.text.starts_with("guidelineGoal,businessGoalId,businessGoalTitle,period,from,to,events,heldOrClosed,followedUp,none,some,full,tooEarly\r\n"), "{}", csv.text);
}

#[test]
fn an_event_counts_on_the_rung_that_its_compliance_names() {
    let (app, hr) = demo();
    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    for event in rows(&app, &hr, "/events?sort=title") {
        let places: Vec<&str> = event["occasions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["place"].as_str().unwrap())
            .collect();
        let rung = if places.contains(&"undecided") {
            "undecided".to_owned()
        } else if !places.contains(&"venue") {
            "digital".to_owned()
        } else {
            let id = event["id"].as_str().unwrap();
            let compliance = app
                .get(&hr, &format!("/events/{id}/compliance"))
                .expect(200)
                .body;
            let ladder = compliance["items"]
                .as_array()
                .unwrap()
                .iter()
                .find(|item| item["ruleId"] == "venueLadder");
            ladder.unwrap()["rungId"]
                .as_str()
                .expect("a rung")
                .to_owned()
        };
        *expected.entry(rung).or_default() += 1;
    }
    let whole = &rows(&app, &hr, "/statistics/venues")[0];
    for (rung, count) in &expected {
        assert_eq!(whole[rung], json!(count), "{rung}");
    }
    assert_eq!(whole["events"], json!(expected.values().sum::<i64>()));
    assert_eq!(
        expected.len(),
        6,
        "every place is in the demo: {expected:?}"
    );

    // of random data the groups add up
    let (app, hr) = many(5);
    for group_by in ["kind", "responsible"] {
        let counted = rows(&app, &hr, &format!("/statistics/venues?groupBy={group_by}"));
        let whole = &rows(&app, &hr, "/statistics/venues")[0];
        for place in [
            "events",
            "ownPremises",
            "procuredLocal",
            "procuredOther",
            "notProcured",
            "digital",
            "undecided",
        ] {
            let sum: i64 = counted.iter().map(|row| row[place].as_i64().unwrap()).sum();
            assert_eq!(json!(sum), whole[place], "{group_by} {place}");
            assert!(sum > 0, "{place}");
        }
    }
}

#[test]
fn statistics_are_cut_to_what_the_caller_may_read_and_closed_to_those_who_may_read_none() {
    let (app, _) = demo();
    let education = "0190a000-0000-7000-8000-000000000101";
    let everything = |caller: &Caller| {
        rows(&app, caller, "/statistics/events")[0]["events"]
            .as_i64()
            .unwrap()
    };
    let planner = app.person("person-0003", &[Role::Planner], &[education]);
    let manager = app.person("person-0003", &[Role::UnitManager], &[education]);
    let own = total(
        &app,
        &planner,
        &format!("/events?unitId={education}&includeSubtree=false"),
    );
    let below = total(&app, &manager, &format!("/events?unitId={education}"));
    assert_eq!((everything(&planner), everything(&manager)), (own, below));
    assert!(0 < own && own < below);
    // the head of the department, by the office held today
    assert_eq!(everything(&app.employee("person-0002")), below);
    for role in [Role::HrAdministrator, Role::Archivist, Role::Auditor] {
        let all = app.count("select count(*) from events");
        assert_eq!(
            everything(&app.person("person-0020", &[role], &[])),
            all,
            "{role:?}"
        );
    }
    for path in [
        "/statistics/events",
        "/statistics/exceptions",
        "/statistics/venues",
        "/statistics/goals",
    ] {
        app.get(&app.employee("person-0003"), path)
            .expect_problem(403, "forbidden");
        for (query, parameter) in [
            ("from=2026-02-01&to=2026-01-31", "to"),
            ("groupBy=unit,unit", "groupBy"),
            ("groupBy=year,month", "groupBy"),
            ("groupBy=unit,kind,goal", "groupBy"),
            ("groupBy=venue", "groupBy"),
            ("from=1899-12-31", "from"),
        ] {
            let refused = app
                .get(&manager, &format!("{path}?{query}"))
                .expect_problem(400, "invalid-parameter");
            assert_eq!(refused.faults(), [parameter], "{query}");
        }
    }
}

#[test]
fn statistics_come_as_csv_with_the_columns_that_were_asked_for() {
    let (app, hr) = demo();
    let csv = |query: &str| {
        app.send(
            &hr,
            "GET",
            &format!("/statistics/exceptions{query}"),
            &[("Accept", "text/csv")],
            None,
        )
        .expect(200)
    };
    let plain = csv("?groupBy=unit,rule");
    assert_eq!(
        plain.header("Content-Type"),
        Some("text/csv; charset=utf-8")
    );
    let numbers =
        "requests,submitted,pendingOverSevenDays,approved,rejected,withdrawn,revoked,lapsed,stale";
    let lines: Vec<&str> = plain.text.trim_end().split("\r\n").collect();
    assert_eq!(lines[0], format!("unitId,unitName,ruleId,{numbers}"));
    let shown = rows(&app, &hr, "/statistics/exceptions?groupBy=unit,rule");
    assert_eq!(lines.len(), shown.len() + 1);
    for (line, row) in lines[1..].iter().zip(&shown) {
        let group = &row["group"];
        let mut cells: Vec<String> = ["unitId", "unitName", "ruleId"]
            .iter()
            .map(|name| group[name].as_str().unwrap().to_owned())
            .collect();
        cells.extend(numbers.split(',').map(|name| row[name].to_string()));
        assert_eq!(*line, cells.join(","));
    }
    let excel = csv("?excel=true&groupBy=month");
    assert!(
        excel.text.starts_with(&format!(
            "\u{feff}period;from;to;{}\r\n",
            numbers.replace(',', ";")
        )),
        "{}",
        excel.text
    );
    // nothing to count is a table without rows, and one row of zeroes when nothing is grouped
    let header = format!("unitId,unitName,{numbers}\r\n");
    assert_eq!(csv("?groupBy=unit&to=1950-01-01").text, header);
    assert_eq!(
        csv("?to=1950-01-01").text,
        format!("{numbers}\r\n{}\r\n", ["0"; 9].join(","))
    );
}
