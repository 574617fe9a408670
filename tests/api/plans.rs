//! Flat as data grows: the plans that PostgreSQL makes for what the service asks, over 200,000 events.
//!
//! The statements are the service's own: each route is called, and auto_explain writes the plan of every statement into the
//! server's log, those within functions too. The rows are there, since a plan for few rows says little of many.

use crate::app::{Caller, TestApp, fresh_database, scratch, superuser_url};
use crate::many;
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use kompetens::rules::access::Role;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const EVENTS: u32 = 200_000;

/// What grows with the events. The rest, such as units and people, does not, and voidings are as rare as mistakes.
const GROWING: [&str; 14] = [
    "events",
    "event_organisers",
    "occasions",
    "status_changes",
    "planning_answers",
    "planning_answer_revisions",
    "baselines",
    "follow_ups",
    "follow_up_entries",
    "exception_requests",
    "exception_request_rules",
    "decisions",
    "changes",
    "change_payloads",
];

/// Reads the server's log as it grows.
struct Log(u64);

impl Log {
    fn path() -> std::path::PathBuf {
        scratch().join("postgresql.log")
    }

    /// From here on.
    fn now() -> Log {
        Log(std::fs::metadata(Log::path()).expect("a log").len())
    }

    /// The plans since then.
    fn plans(&self) -> Vec<Value> {
        let log = std::fs::read(Log::path()).expect("a log");
        let log = String::from_utf8_lossy(&log[usize::try_from(self.0).expect("a length")..])
            .into_owned();
        log.split("plan:\n")
            .skip(1)
            .map(|rest| {
                let lines = rest.lines().take_while(|line| line.starts_with('\t'));
                let text: String = lines.collect();
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
            })
            .collect()
    }
}

/// The growing tables that a plan reads from end to end.
fn scanned(plan: &Value, found: &mut BTreeSet<String>) {
    match plan {
        Value::Object(node) => {
            let relation = node.get("Relation Name").and_then(Value::as_str);
            if let Some(relation) = relation
                && node["Node Type"]
                    .as_str()
                    .is_some_and(|node| node.contains("Seq Scan"))
                && GROWING.contains(&relation)
            {
                found.insert(relation.to_owned());
            }
            node.values().for_each(|value| scanned(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| scanned(value, found)),
        _ => {}
    }
}

/// A database with so many events, which explains what it does.
fn large() -> TestApp {
    let database = fresh_database();
    many::fill(&database, EVENTS, 25, 1);
    let mut conn =
        PgConnection::establish(&superuser_url(&database)).expect("the database answers");
    let explained = [
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_min_duration", "0"),
        ("auto_explain.log_nested_statements", "on"),
        ("auto_explain.log_format", "json"),
    ];
    conn.batch_execute("load 'auto_explain'")
        .expect("PostgreSQL's contrib modules are there");
    for (setting, value) in explained {
        conn.batch_execute(&format!(
            "alter role kompetens_service in database {database} set {setting} = '{value}'"
        ))
        .expect("the setting is known");
    }
    let app = TestApp::on(&database, 4);
    app.it_is(many::NOW);
    app
}

#[test]
fn no_list_reads_a_growing_table_from_end_to_end() {
    let app = large();
    let hr = app.person("person-0001", &[Role::HrAdministrator], &[]);
    let (department, unit) = (
        "0190b001-0000-7000-8000-000000000002",
        "0190b001-0000-7000-8000-000000000009",
    );
    let manager = app.person("person-0007", &[Role::UnitManager], &[unit]);
    let auditor = app.person("person-0002", &[Role::Auditor], &[]);
    let calendar = |body: &Value| {
        let made = app.post(&manager, "/calendar-feeds", body).expect(201);
        let address = made.body["address"].as_str().expect("an address");
        address.to_owned()
    };
    let event = "0190b010-0000-7000-8000-0000000003e8";
    let goal = "0190b004-0000-7000-8000-000000000009";
    let mut faults = Vec::new();
    let mut check = |caller: &Caller, path: &str| {
        let log = Log::now();
        // explaining it all beside other tests, it may take longer than a request is given
        let mut reply = app.get(caller, path);
        for _ in 0..5 {
            if reply.status == 503 {
                reply = app.get(caller, path);
            }
        }
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        let plans = log.plans();
        assert!(!plans.is_empty(), "{path} was not explained");
        let mut found = BTreeSet::new();
        plans.iter().for_each(|plan| scanned(plan, &mut found));
        if !found.is_empty() {
            faults.push(format!("{path} reads all of {found:?}"));
        }
    };
    for filter in [
        "",
        "status=draft,confirmed",
        "status=cancelled",
        "kind=conference",
        &format!("unitId={unit}"),
        &format!("unitId={department}"),
        &format!("unitId={unit}&includeSubtree=false"),
        "responsiblePerson=person-0007",
        "from=2026-08-01&to=2026-08-31",
        "from=2026-08-01",
        "to=2001-12-31",
        &format!("businessGoalId={goal}"),
        "guidelineGoal=improveOperations",
        "finding=answerNeeded",
        "finding=met&status=confirmed",
        "sourceSystem=hr-system",
        "sourceSystem=hr-system&externalId=HR-4710",
        "q=planeringsdag",
        "q=brandskydd+4711",
        "updatedSince=2026-08-31T00:00:00Z",
    ] {
        for sort in [
            "firstStart",
            "-firstStart",
            "title",
            "-title",
            "updatedAt",
            "-updatedAt",
        ] {
            let callers = [&hr, &manager];
            for caller in &callers[..if sort == "firstStart" { 2 } else { 1 }] {
                check(
                    caller,
                    &format!("/events?{filter}&sort={sort}&limit=50").replace("?&", "?"),
                );
            }
        }
    }
    for (caller, path) in [
        (&hr, format!("/events/{event}")),
        (&hr, format!("/events/{event}/planning-answers")),
        (&hr, format!("/events/{event}/compliance")),
        (&hr, format!("/events/{event}/status-changes")),
        (&hr, format!("/events/{event}/follow-ups")),
        (&hr, format!("/events/{event}/exception-requests")),
        (&hr, "/exception-requests".to_owned()),
        (&hr, "/exception-requests?status=submitted".to_owned()),
        (
            &hr,
            "/exception-requests?from=2026-08-01&to=2026-08-31".to_owned(),
        ),
        (
            &manager,
            "/exception-requests?awaitingMyDecision=true".to_owned(),
        ),
        (
            &manager,
            "/exception-requests?status=approved&stale=true".to_owned(),
        ),
        (&hr, "/lessons".to_owned()),
        (&hr, "/lessons?sort=conductedOn&limit=100".to_owned()),
        (&hr, "/lessons?q=lyftteknik+4711".to_owned()),
        (&hr, format!("/lessons?unitId={unit}")),
        (&hr, "/lessons?kind=conference&from=2026-01-01".to_owned()),
        (
            &manager,
            "/statistics/events?from=2026-08-01&to=2026-08-31&groupBy=unit,month".to_owned(),
        ),
        (
            &hr,
            "/statistics/events?from=2026-08-01&to=2026-08-31&groupBy=goal".to_owned(),
        ),
        (
            &hr,
            format!("/statistics/events?unitId={unit}&from=2026-01-01&to=2026-12-31&groupBy=rule"),
        ),
        (
            &hr,
            "/statistics/exceptions?from=2026-08-01&to=2026-08-31&groupBy=unit,rule".to_owned(),
        ),
        (
            &hr,
            "/statistics/venues?from=2026-08-01&to=2026-08-31&groupBy=responsible".to_owned(),
        ),
        (
            &hr,
            "/statistics/goals?from=2026-08-01&to=2026-08-31".to_owned(),
        ),
        (&hr, "/follow-up-status".to_owned()),
        (&hr, "/follow-up-status?sort=-dueDate&limit=100".to_owned()),
        (&hr, "/follow-up-status?dueStatus=overdue".to_owned()),
        (
            &hr,
            "/follow-up-status?dueStatus=dueSoon,upcoming".to_owned(),
        ),
        (&hr, "/follow-up-status?asOf=2026-03-31".to_owned()),
        (
            &hr,
            "/follow-up-status?asOf=2026-03-31&dueStatus=completedLate".to_owned(),
        ),
        (
            &hr,
            "/follow-up-status?dueFrom=2026-08-01&dueTo=2026-08-31".to_owned(),
        ),
        (&hr, "/follow-up-status?ageBand=days1To14".to_owned()),
        (
            &hr,
            "/follow-up-status?responsiblePerson=person-0007".to_owned(),
        ),
        (&hr, "/follow-up-status?kind=conference".to_owned()),
        (&hr, format!("/follow-up-status?businessGoalId={goal}")),
        (&manager, "/follow-up-status".to_owned()),
        (&hr, format!("/follow-up-status?unitId={department}")),
        (&manager, "/follow-up-status/summary".to_owned()),
        (
            &manager,
            "/follow-up-status/summary?groupBy=responsible".to_owned(),
        ),
        (
            &manager,
            "/follow-up-status/summary?asOf=2026-03-31&groupBy=goal".to_owned(),
        ),
        (
            &hr,
            "/follow-up-status/summary?dueStatus=dueSoon,upcoming&groupBy=unit".to_owned(),
        ),
        (
            &hr,
            "/follow-up-status/summary?ageBand=days1To14&groupBy=ageBand".to_owned(),
        ),
        (
            &hr,
            "/follow-up-status/summary?dueFrom=2026-08-01&dueTo=2026-08-31&groupBy=kind".to_owned(),
        ),
        (&hr, "/decision-reports".to_owned()),
        (
            &hr,
            "/decision-reports?from=2026-08-01&to=2026-08-31".to_owned(),
        ),
        (&hr, "/changes".to_owned()),
        (&hr, "/changes?after=9000".to_owned()),
        (&auditor, "/audit-entries".to_owned()),
        (&auditor, "/audit-entries?resourceType=event".to_owned()),
        (&auditor, format!("/audit-entries?resourceId={event}")),
        (&auditor, format!("/audit-entries?eventId={event}")),
        (&auditor, "/audit-entries?actor=person-0007".to_owned()),
        (&auditor, "/audit-entries?requestId=request-4711".to_owned()),
        (
            &auditor,
            "/audit-entries?from=2026-08-01&to=2026-08-31".to_owned(),
        ),
        (&hr, "/external-events/hr-system/HR-4710".to_owned()),
        (
            &Caller(None),
            calendar(&json!({"name": "Enheten", "unitId": unit})),
        ),
        (
            &Caller(None),
            calendar(&json!({"name": "Mina", "personRef": "person-0007"})),
        ),
    ] {
        check(caller, &path);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
