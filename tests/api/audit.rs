//! The change log: numbered, chained, readable, and beyond the reach of those who would change it.

use crate::app::{TestApp, fresh_database, owner_url, service_url, superuser_url};
use crate::given::Hedemora;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use kompetens::changes::sequencer::{self, Round};
use kompetens::changes::verification::{Head, Report, verify};
use kompetens::rules::access::Role;
use serde_json::{Value, json};

fn connect(url: &str) -> PgConnection {
    PgConnection::establish(url).expect("the database answers")
}

fn verified(database: &str, kept: Option<&Head>) -> Report {
    verify(&service_url(database), kept).expect("the log can be read")
}

/// Appends an entry as a writer of another program might, within the transaction of `conn`.
fn append(conn: &mut PgConnection, request: &str) {
    conn.batch_execute(&format!(
        "with entry as (insert into changes
             (request_id, occurred_at, actor, operation, resource_type, resource_id, revision, digest)
             values ('{request}', now(), 'person-hr', 'update', 'unit', gen_random_uuid(), 2, sha256('sixteen bytes...'::bytea || '[,{{}}]'::bytea))
             returning entry_id)
         insert into change_payloads (entry_id, salt, after) select entry_id, 'sixteen bytes...'::bytea, '{{}}' from entry"
    ))
    .expect("an entry can be appended");
}

fn number_all(conn: &mut PgConnection) {
    loop {
        let round = conn.transaction(|conn| {
            sequencer::number(conn).map_err(|_| diesel::result::Error::RollbackTransaction)
        });
        if round == Ok(Round::Numbered(0)) {
            return;
        }
    }
}

/// What a reader finds who asks for more than it has, by a column of the log.
fn read_on(conn: &mut PgConnection, column: &str, last: &mut i64) -> Vec<String> {
    use diesel::sql_types::{BigInt, Text};
    let rows: Vec<(i64, String)> = diesel::select(diesel::dsl::sql::<
        diesel::sql_types::Array<diesel::sql_types::Record<(BigInt, Text)>>,
    >(&format!(
        "array(select ({column}, request_id) from changes where {column} > {last} order by {column})"
    )))
    .get_result(conn)
    .expect("the log can be read");
    if let Some((read, _)) = rows.last() {
        *last = *read;
    }
    rows.into_iter().map(|(_, request)| request).collect()
}

#[test]
fn an_entry_that_commits_late_gets_a_later_number_so_that_a_reader_of_numbers_misses_none() {
    let database = fresh_database();
    let [mut early, mut late, mut reader] =
        std::array::from_fn(|_| connect(&service_url(&database)));
    number_all(&mut reader);
    let (mut by_number, mut by_entry) = (1, 1);

    // the late writer takes its entry first, and commits last
    late.batch_execute("begin").unwrap();
    append(&mut late, "late");
    append(&mut early, "early");
    number_all(&mut reader);
    assert_eq!(read_on(&mut reader, "number", &mut by_number), ["early"]);
    assert_eq!(read_on(&mut reader, "entry_id", &mut by_entry), ["early"]);

    late.batch_execute("commit").unwrap();
    number_all(&mut reader);
    assert_eq!(read_on(&mut reader, "number", &mut by_number), ["late"]);
    // the control: a reader that follows the order of appending misses it
    assert_eq!(
        read_on(&mut reader, "entry_id", &mut by_entry),
        Vec::<String>::new()
    );
    assert_eq!(verified(&database, None).faults, Vec::<String>::new());
}

#[test]
fn one_sequencer_works_at_a_time_and_no_write_waits_for_it() {
    let database = fresh_database();
    let [mut first, mut second] = std::array::from_fn(|_| connect(&service_url(&database)));
    append(&mut first, "before");
    first.batch_execute("begin").unwrap();
    assert_eq!(
        sequencer::number(&mut first).expect("a round"),
        Round::Numbered(2)
    );
    // while the first has numbered and not committed, another appends at once, and is told to wait with numbering
    second
        .batch_execute("set statement_timeout = '2s'")
        .unwrap();
    append(&mut second, "meanwhile");
    second.batch_execute("begin").unwrap();
    assert_eq!(
        sequencer::number(&mut second).expect("a round"),
        Round::Busy
    );
    second.batch_execute("rollback").unwrap();
    first.batch_execute("commit").unwrap();
    number_all(&mut second);
    let report = verified(&database, None);
    assert_eq!(report.faults, Vec::<String>::new());
    assert_eq!(report.head.expect("a head").number, 3);
}

#[test]
fn sixteen_writers_and_four_sequencers_leave_one_chain_without_gaps() {
    let database = fresh_database();
    std::thread::scope(|scope| {
        for writer in 0..16 {
            let database = &database;
            scope.spawn(move || {
                let mut conn = connect(&service_url(database));
                for round in 0..20 {
                    conn.batch_execute("begin").unwrap();
                    append(&mut conn, &format!("{writer}-{round}"));
                    if round % 3 == 0 {
                        conn.batch_execute("select pg_sleep(0.003)").unwrap();
                    }
                    // some change their mind, and leave a gap among the ids but none among the numbers
                    let end = if round % 7 == 0 { "rollback" } else { "commit" };
                    conn.batch_execute(end).unwrap();
                }
            });
        }
        for _ in 0..4 {
            let database = &database;
            scope.spawn(move || {
                let mut conn = connect(&service_url(database));
                for _ in 0..40 {
                    let _ = conn.transaction(|conn| {
                        sequencer::number(conn)
                            .map_err(|_| diesel::result::Error::RollbackTransaction)
                    });
                }
            });
        }
    });
    number_all(&mut connect(&service_url(&database)));
    let report = verified(&database, None);
    assert_eq!(report.faults, Vec::<String>::new());
    assert_eq!(report.unnumbered, Vec::<i64>::new());
    assert_eq!(report.head.expect("a head").number, 1 + 16 * 17);
}

/// A log of six entries, all numbered, with its head.
fn log() -> (String, Head) {
    let database = fresh_database();
    let mut conn = connect(&service_url(&database));
    for entry in 0..5 {
        append(&mut conn, &format!("request-{entry}"));
    }
    number_all(&mut conn);
    let report = verified(&database, None);
    assert_eq!(report.faults, Vec::<String>::new());
    (database, report.head.expect("a head"))
}

/// Does what only someone with all rights can do to the database, with the triggers off.
fn tamper(database: &str, sql: &str) {
    connect(&superuser_url(database))
        .batch_execute(&format!(
            "begin; alter table changes disable trigger all; alter table change_payloads disable trigger all; {sql};
             alter table changes enable trigger all; alter table change_payloads enable trigger all; commit"
        ))
        .expect("a superuser may");
}

#[test]
fn a_changed_a_removed_and_a_moved_entry_are_each_found_and_named() {
    let attacks = [
        ("update changes set actor = 'person-other' where number = 3", "number 3 does not fit its hash"),
        ("update changes set occurred_at = occurred_at - interval '1 day' where number = 4", "number 4 does not fit its hash"),
        ("update changes set digest = sha256('x'::bytea) where number = 2", "number 2 does not fit its hash"),
        ("update change_payloads p set after = '{\"a\": 1}' from changes c where c.entry_id = p.entry_id and c.number = 3", "number 3 does not fit its contents"),
        ("delete from change_payloads p using changes c where c.entry_id = p.entry_id and c.number = 3", "number 3 has lost its contents without a decision"),
        ("delete from change_payloads p using changes c where c.entry_id = p.entry_id and c.number = 3; delete from changes where number = 3", "numbers 3 to 3 are missing"),
        // removed, and those after it moved up
        ("delete from change_payloads p using changes c where c.entry_id = p.entry_id and c.number = 3; delete from changes where number = 3;
          update changes set number = number - 1 where number = 4; update changes set number = number - 1 where number = 5; update changes set number = number - 1 where number = 6", "number 3 does not fit its hash"),
        // contents moved from one side to the other, or into the salt
        ("update change_payloads p set before = after, after = null from changes c where c.entry_id = p.entry_id and c.number = 3", "number 3 does not fit its contents"),
        ("alter table change_payloads drop constraint change_payloads_salt_length;
          update change_payloads p set salt = salt || '[,{}'::bytea, after = null from changes c where c.entry_id = p.entry_id and c.number = 3", "number 3 does not fit its contents"),
        // hidden where no reader looks, and an entry that was never written
        ("alter table changes drop constraint changes_numbered_from_one; update changes set number = -3 where number = 6", "number -3 is none that an entry gets"),
        ("alter table changes drop constraint changes_numbered_from_one;
          insert into changes overriding system value select -5, request_id, occurred_at, actor, on_behalf_of, client, operation, resource_type, resource_id, revision, event_id, digest, 0, hash from changes where number = 6;
          insert into change_payloads select -5, salt, before, after from change_payloads p join changes c using (entry_id) where c.number = 6", "number 0 is none that an entry gets"),
        // two entries change places
        ("update changes set number = 1000 where number = 3; update changes set number = 3 where number = 4; update changes set number = 4 where number = 1000", "number 3 does not fit its hash"),
    ];
    for (attack, finding) in attacks {
        let (database, _) = log();
        tamper(&database, attack);
        let faults = verified(&database, None).faults;
        assert!(
            faults.iter().any(|fault| fault.starts_with(finding)),
            "{attack}: {faults:?}"
        );
    }
}

#[test]
fn a_head_kept_elsewhere_shows_that_the_end_was_cut_off_or_everything_rewritten() {
    let (database, head) = log();
    append(&mut connect(&service_url(&database)), "later");
    assert_eq!(
        verified(&database, Some(&head)).faults,
        Vec::<String>::new()
    );

    // the end is cut off: the chain alone still fits
    let (cut, head) = log();
    tamper(
        &cut,
        "delete from change_payloads p using changes c where c.entry_id = p.entry_id and c.number = 6; delete from changes where number = 6",
    );
    assert_eq!(verified(&cut, None).faults, Vec::<String>::new());
    let faults = verified(&cut, Some(&head)).faults;
    assert!(faults[0].contains("is not in the log"), "{faults:?}");

    // the last entry is replaced by another that is chained anew: the chain alone still fits
    tamper(&cut, "select 1");
    append(&mut connect(&service_url(&cut)), "another");
    number_all(&mut connect(&service_url(&cut)));
    assert_eq!(verified(&cut, None).faults, Vec::<String>::new());
    let faults = verified(&cut, Some(&head)).faults;
    assert!(
        faults[0].contains("another hash than the head"),
        "{faults:?}"
    );
}

#[test]
fn verify_audit_says_the_head_and_names_what_is_not_numbered_and_fails_when_the_log_does_not_verify()
 {
    let (database, head) = log();
    append(&mut connect(&service_url(&database)), "tail");
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_kompetens"))
            .arg("verify-audit")
            .args(arguments)
            .env("DATABASE_URL", service_url(&database))
            .output()
            .expect("the program runs");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (well, told) = run(&["--head", &head.to_string()]);
    assert!(
        well && told.contains("6 numbered entries verified"),
        "{told}"
    );
    assert!(
        told.contains("1 entries are not numbered yet: entries 7 to 7"),
        "{told}"
    );
    assert!(told.contains(&format!("head {head}")), "{told}");
    tamper(
        &database,
        "update changes set actor = 'person-other' where number = 3",
    );
    let (well, told) = run(&[]);
    assert!(
        !well && told.contains("FAULT number 3 does not fit its hash"),
        "{told}"
    );
}

#[test]
fn the_running_role_adds_and_numbers_entries_and_can_do_nothing_else_to_the_log() {
    let (database, _) = log();
    let mut conn = connect(&service_url(&database));
    append(&mut conn, "waiting");
    let refused = [
        "update changes set actor = 'x'",
        "update changes set number = 1000, hash = 'x' where number = 3",
        "update changes set number = null, hash = null where number = 3",
        "update changes set number = 7 where number is null",
        "update changes set number = -7, hash = sha256('x') where number is null",
        "insert into changes overriding system value select -5, request_id, occurred_at, actor, on_behalf_of, client, operation, resource_type, resource_id, revision, event_id, digest, null, null from changes where number = 3",
        "insert into changes overriding system value select 500, request_id, occurred_at, actor, on_behalf_of, client, operation, resource_type, resource_id, revision, event_id, digest, 500, hash from changes where number = 3",
        "with entry as (insert into changes (request_id, occurred_at, actor, operation, resource_type, resource_id, revision, digest)
             values ('r', now(), 'x', 'update', 'unit', gen_random_uuid(), 2, sha256('x')) returning entry_id)
         insert into change_payloads (entry_id, salt) select entry_id, 'longer than sixteen bytes' from entry",
        "update changes set number = 7, hash = 'x', actor = 'x' where number is null",
        "delete from changes",
        "truncate changes",
        "truncate changes cascade",
        "update change_payloads set after = null",
        "delete from change_payloads",
        "truncate change_payloads",
        "alter table changes disable trigger all",
        "alter table changes add column x text",
        "alter table changes owner to kompetens_service",
        "drop table changes cascade",
        "drop trigger changes_no_delete on changes",
        "create or replace function refuse_change() returns trigger language plpgsql as 'begin return old; end'",
        "set session_replication_role = replica",
        "set role kompetens_owner",
        "create table public.x (y int)",
        "alter table events disable trigger all",
        "delete from events",
        "delete from decisions",
        "update decisions set reasons = 'x'",
    ];
    for sql in refused {
        assert!(conn.batch_execute(sql).is_err(), "{sql}");
    }
    // the control: each of them is refused for what it asks, not for how it is written
    number_all(&mut conn);
    let report = verified(&database, None);
    assert_eq!((report.faults, report.unnumbered), (Vec::new(), Vec::new()));
    let mut owner = connect(&owner_url(&database));
    for sql in refused
        .iter()
        .filter(|sql| sql.starts_with("alter table changes add"))
    {
        owner.batch_execute(sql).expect("the owner may");
    }
}

#[test]
fn an_entry_says_who_did_what_and_what_differs_and_has_its_number_within_a_second() {
    let hedemora = Hedemora::new();
    let event = hedemora.draft(&hedemora.town_hall).id();
    let path = format!("/events/{event}");
    let changed = hedemora
        .app
        .patch(
            &hedemora.planner,
            &path,
            &json!({"title": "Planeringsdag i oktober"}),
        )
        .expect(200);
    hedemora.app.until_numbered();
    let auditor = hedemora.app.person("person-auditor", &[Role::Auditor], &[]);
    let list = |query: &str| {
        let path = format!("/audit-entries?limit=100&{query}");
        hedemora.app.get(&auditor, &path).expect(200).body["items"]
            .as_array()
            .expect("items")
            .clone()
    };
    let entries = list(&format!("resourceId={event}&sort=-entryId"));
    assert_eq!(entries.len(), 2);
    let entry = &entries[0];
    assert_eq!(entry["operation"], "update");
    assert_eq!(entry["resourceType"], "event");
    assert_eq!(entry["actor"], "person-planner");
    assert_eq!(entry["revision"], 2);
    assert_eq!(entry["requestId"].as_str(), changed.header("X-Request-Id"));
    assert!(
        entry["number"].is_i64() && entry["hash"].as_str().is_some_and(|hash| hash.len() == 64)
    );
    let title = entry["differences"]
        .as_array()
        .expect("differences")
        .iter()
        .find(|one| one["pointer"] == "/title")
        .expect("the title differs");
    assert_eq!(
        (&title["before"], &title["after"]),
        (&json!("Planeringsdag"), &json!("Planeringsdag i oktober"))
    );

    let all = list("").len();
    assert!(all > 10);
    assert_eq!(
        list(&format!(
            "requestId={}",
            changed.header("X-Request-Id").unwrap()
        ))
        .len(),
        1
    );
    assert_eq!(list("actor=person-planner").len(), 2);
    assert_eq!(list("resourceType=unit,person").len(), 10);
    let mistyped = hedemora
        .app
        .get(&auditor, "/audit-entries?resourceType=units")
        .expect_problem(400, "invalid-parameter");
    assert_eq!(mistyped.faults(), ["resourceType"]);
    assert_eq!(list("operation=update").len(), 1);
    assert_eq!(list("actor=nobody&operation=create").len(), 0);
    // the built-in version was stored by the clock of the machine, all else on the day of the test
    assert_eq!(list("from=2026-09-01&to=2026-09-01").len(), all - 1);
    assert_eq!(list("from=2026-09-02&to=2026-09-03").len(), 0);
    let by_cursor = walk(
        &hedemora.app,
        &auditor,
        "/audit-entries?limit=7&sort=-entryId",
    );
    assert_eq!(by_cursor.len(), all);
    assert!(by_cursor.is_sorted_by(|a, b| a["entryId"].as_i64() > b["entryId"].as_i64()));
}

fn walk(app: &TestApp, caller: &crate::app::Caller, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut next = path.to_owned();
    loop {
        let page = app.get(caller, &next).expect(200).body;
        items.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["nextCursor"].as_str() {
            Some(cursor) => next = format!("{path}&cursor={cursor}"),
            None => return items,
        }
    }
}

#[test]
fn an_entry_that_is_not_numbered_yet_is_listed_without_a_number() {
    let database = fresh_database();
    let app = TestApp::on(&database, 4);
    // another instance that died before it numbered
    let mut holder = connect(&service_url(&database));
    app.until_numbered();
    holder.batch_execute("begin").unwrap();
    append(&mut holder, "tail");
    holder.batch_execute("commit").unwrap();
    let auditor = app.person("person-auditor", &[Role::Auditor], &[]);
    let entries = app
        .get(&auditor, "/audit-entries?requestId=tail")
        .expect(200)
        .body;
    assert_eq!(entries["items"][0]["number"], Value::Null);
    assert_eq!(entries["items"][0]["hash"], Value::Null);
    // this instance's next write wakes the sequencer, which numbers both
    app.post(
        &app.hr(),
        "/units",
        &json!({"name": "Hedemora kommun", "type": "municipality", "validFrom": "2020-01-01"}),
    )
    .expect(201);
    app.until_numbered();
}

#[test]
fn office_holders_see_what_concerns_their_units_and_others_are_refused() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    app.post(
        &hedemora.hr,
        "/office-appointments",
        &json!({"officeType": "departmentHead", "unitId": hedemora.education, "personRef": "person-head",
                "capacity": "ordinary", "validFrom": "2020-01-01"}),
    )
    .expect(201);
    let own = hedemora.draft(&hedemora.town_hall).id();
    let mut of_care = hedemora.planning_day(&hedemora.town_hall);
    of_care["organisingUnitIds"] = json!([hedemora.care]);
    let others = app.post(&hedemora.hr, "/events", &of_care).expect(201).id();

    let seen = |caller: &crate::app::Caller| -> Vec<String> {
        walk(app, caller, "/audit-entries?limit=100")
            .iter()
            .map(|entry| entry["resourceId"].as_str().expect("an id").to_owned())
            .collect()
    };
    let head = seen(&app.employee("person-head"));
    assert!(
        head.contains(&own)
            && head.contains(&hedemora.preschool)
            && head.contains(&hedemora.education)
    );
    assert!(
        !head.contains(&others)
            && !head.contains(&hedemora.care)
            && !head.contains(&hedemora.municipality)
    );
    // filters narrow what they may see, and pages go on
    let office_holder = app.employee("person-head");
    let by_page = walk(app, &office_holder, "/audit-entries?limit=2");
    assert_eq!(by_page.len(), head.len());
    for filter in [
        format!("eventId={others}"),
        format!("resourceId={others}"),
        "actor=nobody".to_owned(),
        "operation=delete".to_owned(),
        "to=1950-01-01".to_owned(),
    ] {
        let found = walk(app, &office_holder, &format!("/audit-entries?{filter}"));
        assert!(found.is_empty(), "{filter}: {found:?}");
    }
    for role in [Role::Archivist, Role::Auditor] {
        let all = seen(&app.person("person-reader", &[role], &[]));
        assert!(all.contains(&own) && all.contains(&others) && all.len() > head.len());
    }
    for caller in [
        hedemora.hr.clone(),
        hedemora.planner.clone(),
        app.employee("person-other"),
        app.person(
            "person-manager",
            &[Role::UnitManager],
            &[&hedemora.education],
        ),
    ] {
        app.get(&caller, "/audit-entries")
            .expect_problem(403, "forbidden");
    }
}
