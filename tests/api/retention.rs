//! Disposal (gallring): by rule and decision alone, whole, and the log still verifies and says so.

use crate::app::{owner_url, service_url};
use crate::given::Hedemora;
use diesel::connection::SimpleConnection;
use kompetens::changes::verification::verify;
use kompetens::retention;
use kompetens::rules::access::Role;
use serde_json::{Value, json};
use std::sync::Mutex;

/// Runs `kompetens dispose` on a day; answers what it told.
fn dispose(hedemora: &Hedemora, by: Option<&str>, now: &str) -> String {
    let told = Mutex::new(String::new());
    let tell = |line: &str| {
        told.lock().unwrap().push_str(line);
        Ok(())
    };
    let database = &hedemora.app.database;
    let url = if by.is_some() {
        owner_url(database)
    } else {
        service_url(database)
    };
    retention::run(&url, by, now.parse().expect("a time"), &tell).expect("it runs");
    told.into_inner().unwrap()
}

fn post_rule(hedemora: &Hedemora, rule: &Value) {
    let archivist = hedemora
        .app
        .person("person-archivist", &[Role::Archivist], &[]);
    hedemora
        .app
        .post(&archivist, "/retention-rules", rule)
        .expect(201);
}

/// A cancelled event with answers, an exception request and a follow-up below it.
fn cancelled(hedemora: &Hedemora) -> String {
    let event = hedemora.draft(&hedemora.castle).id();
    hedemora.answer_everything(&event);
    hedemora.plan_follow_up(&event);
    hedemora
        .app
        .post(
            &hedemora.planner,
            &format!("/events/{event}/exception-requests"),
            &json!({"ruleIds": ["venueLadder"], "reason": "Slottet är det enda som rymmer alla.",
                    "alternativesConsidered": "Stadshuset är för litet.", "addressee": "municipalDirector", "decisionNeededBy": "2026-09-20"}),
        )
        .expect(201);
    hedemora
        .app
        .change_status(
            &hedemora.planner,
            &event,
            &json!({"status": "cancelled", "reason": "Inställt."}),
        )
        .expect(200);
    event
}

/// A closed event whose follow-up was completed by an entry, after another entry was voided.
fn closed(hedemora: &Hedemora) -> String {
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    app.it_is(crate::given::NOW);
    let event = hedemora.confirmed();
    app.it_is("2026-10-20T08:00:00Z");
    let held = json!({"status": "held", "actualParticipants": {"total": 20}});
    app.change_status(hr, &event, &held).expect(200);
    let follow_ups = app
        .get(hr, &format!("/events/{event}/follow-ups"))
        .expect(200);
    let follow_up = follow_ups.body["items"][0]["id"].as_str().expect("an id");
    let entries = format!("/follow-ups/{follow_up}/entries");
    let entry = json!({"conductedOn": "2026-10-19", "level": "results", "carriedOut": "asPlanned", "lessons": "Öva mer."});
    let wrong = app.post(hr, &entries, &entry).expect(201).id();
    app.send(
        hr,
        "POST",
        &format!("{entries}/{wrong}/voiding"),
        &[("If-Match", "*"), ("Content-Type", "application/json")],
        Some(r#"{"reason": "Fel evenemang."}"#),
    )
    .expect(200);
    app.post(hr, &entries, &entry).expect(201);
    app.change_status(hr, &event, &json!({"status": "closed"}))
        .expect(200);
    event
}

#[test]
fn a_closed_event_is_disposed_of_with_the_entries_that_completed_its_follow_ups() {
    let hedemora = Hedemora::new();
    let (first, second) = (closed(&hedemora), closed(&hedemora));
    post_rule(
        &hedemora,
        &json!({"recordKind": "closedEvent", "years": 1, "decisionReference": "KS 2"}),
    );
    let told = dispose(&hedemora, Some("person-archivist"), "2028-01-01T00:00:00Z");
    assert!(
        told.contains("2 events were disposed of by person-archivist"),
        "{told}"
    );
    let mut owner: diesel::PgConnection =
        diesel::Connection::establish(&owner_url(&hedemora.app.database)).expect("it answers");
    for event in [first, second] {
        assert_eq!(left_of(&mut owner, &event), ["changes"]);
    }
}

#[test]
fn the_person_in_whose_name_it_is_done_is_a_reference_and_never_a_personal_number() {
    for by in ["19121212-1212", "191212121212", "", "two words"] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_kompetens"))
            .args(["dispose", "--carry-out", "--by", by])
            .env_remove("DATABASE_URL")
            .output()
            .expect("the program runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && told.contains("expected a personRef"),
            "{by}: {told}"
        );
    }
}

#[test]
fn what_a_rule_says_is_due_is_disposed_of_whole_and_the_log_still_verifies_and_says_by_which_decision()
 {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    let (gone, kept) = (cancelled(&hedemora), hedemora.confirmed());
    assert!(
        dispose(&hedemora, None, "2090-01-01T00:00:00Z").starts_with("0 events are due"),
        "no rule means keep"
    );
    post_rule(
        &hedemora,
        &json!({"recordKind": "cancelledEvent", "years": 5, "decisionReference": "KS 2026/117 § 42"}),
    );
    // cancelled on 2026-09-01
    assert!(dispose(&hedemora, None, "2031-08-31T12:00:00Z").starts_with("0 events are due"));
    let shown = dispose(&hedemora, None, "2031-09-01T12:00:00Z");
    assert!(
        shown.contains(&gone)
            && shown.contains("KS 2026/117 § 42")
            && shown.contains("1 events are due"),
        "{shown}"
    );
    app.get(&hedemora.hr, &format!("/events/{gone}"))
        .expect(200);

    app.until_numbered();
    let before = verify(&service_url(&app.database), None).expect("it can be read");
    let told = dispose(&hedemora, Some("person-archivist"), "2031-09-01T12:00:00Z");
    assert!(
        told.contains("1 events were disposed of by person-archivist"),
        "{told}"
    );
    app.get(&hedemora.hr, &format!("/events/{gone}"))
        .expect_problem(404, "not-found");
    app.get(&hedemora.hr, &format!("/events/{kept}"))
        .expect(200);

    // nothing is left of it anywhere but in the metadata of the log
    let mut owner: diesel::PgConnection =
        diesel::Connection::establish(&owner_url(&app.database)).expect("it answers");
    assert_eq!(left_of(&mut owner, &gone), ["changes"]);
    assert!(
        left_of(&mut owner, &kept).len() > 4,
        "the control: an event that is kept stands in many tables"
    );

    let kept_head = before.head.clone().expect("a head");
    let report = verify(&service_url(&app.database), Some(&kept_head)).expect("it can be read");
    assert_eq!(report.faults, Vec::<String>::new());
    assert!(report.disposed > 10 && before.disposed == 0);
    // the protocol is in the log
    let archivist = app.person("person-archivist", &[Role::Archivist], &[]);
    let protocol = app
        .get(&archivist, "/audit-entries?operation=dispose")
        .expect(200)
        .body;
    let entry = &protocol["items"][0];
    assert_eq!(
        (&entry["actor"], &entry["resourceId"]),
        (&json!("person-archivist"), &json!(gone))
    );
    let said = entry["differences"].to_string();
    assert!(
        said.contains("KS 2026/117 § 42") && said.contains("cancelledEvent"),
        "{said}"
    );
    let emptied = app
        .get(
            &archivist,
            &format!("/audit-entries?eventId={gone}&limit=1"),
        )
        .expect(200)
        .body;
    assert_eq!(
        (
            &emptied["items"][0]["disposed"],
            &emptied["items"][0]["differences"]
        ),
        (&json!(true), &json!([]))
    );
    // who follows the feed is told
    post_rule(
        &hedemora,
        &json!({"recordKind": "cancelledEvent", "decisionReference": "KS 2031/1 § 1"}),
    );
    app.until_numbered();
    let mut after = kept_head.number;
    let mut tombstones = Vec::new();
    loop {
        let answer = app
            .get(&hedemora.hr, &format!("/changes?after={after}"))
            .expect(200)
            .body;
        let items = answer["items"].as_array().expect("items").clone();
        tombstones.extend(
            items
                .into_iter()
                .filter(|item| item["tombstone"] == json!(true)),
        );
        after = answer["nextAfter"].as_i64().expect("a number");
        if answer["hasMore"] == json!(false) {
            break;
        }
    }
    assert_eq!(tombstones.len(), 1);
    assert_eq!(tombstones[0]["resourceId"], json!(gone));
    // the rule posted last says: keep
    cancelled(&hedemora);
    assert!(dispose(&hedemora, None, "2090-01-01T00:00:00Z").starts_with("0 events are due"));
}

/// The tables that hold a text anywhere.
fn left_of(conn: &mut diesel::PgConnection, text: &str) -> Vec<String> {
    use diesel::prelude::*;
    let tables: Vec<String> = diesel::select(diesel::dsl::sql::<diesel::sql_types::Array<diesel::sql_types::Text>>(
        "array(select relname::text from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace
             and relname not in ('idempotency_records') order by relname)",
    ))
    .get_result(conn)
    .expect("tables");
    let protocol_alone = is_protocol_alone(conn, text);
    tables
        .into_iter()
        .filter(|table| table != "change_payloads" || !protocol_alone)
        .filter(|table| {
            diesel::select(diesel::dsl::sql::<diesel::sql_types::Bool>(&format!(
                "exists (select from {table} t where t::text like '%{text}%')"
            )))
            .get_result(conn)
            .expect("a table can be searched")
        })
        .collect()
}

/// Of the contents of the log, is only the protocol of the disposal left?
fn is_protocol_alone(conn: &mut diesel::PgConnection, text: &str) -> bool {
    use diesel::prelude::*;
    diesel::select(diesel::dsl::sql::<diesel::sql_types::Bool>(&format!(
        "not exists (select from change_payloads p join changes c using (entry_id) where p::text like '%{text}%' and c.operation <> 'dispose')"
    )))
    .get_result(conn)
    .expect("an answer")
}

#[test]
fn only_an_archivist_posts_rules_and_the_running_role_can_dispose_of_nothing() {
    let hedemora = Hedemora::new();
    let rule =
        json!({"recordKind": "closedEvent", "years": 10, "decisionReference": "KS 2026/117 § 42"});
    for caller in [
        hedemora.hr.clone(),
        hedemora.planner.clone(),
        hedemora.app.person("person-auditor", &[Role::Auditor], &[]),
    ] {
        hedemora
            .app
            .post(&caller, "/retention-rules", &rule)
            .expect_problem(403, "forbidden");
    }
    post_rule(&hedemora, &rule);
    let rules = hedemora
        .app
        .get(&hedemora.planner, "/retention-rules")
        .expect(200)
        .body;
    assert_eq!(rules["items"][0]["years"], json!(10));
    let mut conn = hedemora.app.database();
    for sql in [
        "set kompetens.disposal = 'on'; delete from change_payloads",
        "set kompetens.disposal = 'on'; delete from retention_rules",
        "select delete_with_all_below('events', 'true')",
        "update retention_rules set years = 1",
    ] {
        assert!(conn.batch_execute(sql).is_err(), "{sql}");
    }
    let mut owner: diesel::PgConnection =
        diesel::Connection::establish(&owner_url(&hedemora.app.database)).expect("it answers");
    for sql in [
        "delete from change_payloads",
        "set kompetens.disposal = 'on'; delete from changes",
    ] {
        assert!(
            owner.batch_execute(sql).is_err(),
            "{sql}: not even the owner by mistake"
        );
    }
}
