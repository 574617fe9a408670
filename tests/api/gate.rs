//! The gate to the database: what clients and operators see while it is away, slow, or lost at the worst moment.

use crate::app::{Caller, TestApp, fresh_database, owner_url, service_url, superuser_url};
use crate::given::Hedemora;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use kompetens::db::Db;
use kompetens::error::{Code, Error};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const NOBODY: Caller = Caller(None);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Line {
    Up,
    /// Refuses connections and cuts those that stand.
    Cut,
    /// Takes everything and answers nothing.
    Silent,
    /// Cuts when COMMIT comes, before it has reached the database.
    CutBeforeCommit,
    /// Lets COMMIT through and cuts before its answer.
    CutAfterCommit,
}

/// A line to the database that can fail.
struct Wire {
    line: Arc<Mutex<Line>>,
    url: String,
}

impl Wire {
    fn to(database: &str) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = service_url(database);
        let directory = url
            .split("host=")
            .nth(1)
            .unwrap()
            .split('&')
            .next()
            .unwrap();
        let socket = format!("{directory}/.s.PGSQL.5432");
        let line = Arc::new(Mutex::new(Line::Up));
        let shared = line.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let line = shared.clone();
                let socket = socket.clone();
                if *line.lock().unwrap() != Line::Cut {
                    std::thread::spawn(move || carry(client, &socket, &line));
                }
            }
        });
        let url = format!(
            "postgresql://kompetens_service@127.0.0.1:{port}/{database}?sslmode=disable&gssencmode=disable"
        );
        Wire { line, url }
    }

    fn is(&self, line: Line) {
        *self.line.lock().unwrap() = line;
    }
}

fn carry(mut client: TcpStream, socket: &str, line: &Mutex<Line>) {
    let mut server = UnixStream::connect(socket).expect("the database's socket");
    let tick = Some(Duration::from_millis(5));
    client.set_read_timeout(tick).unwrap();
    server.set_read_timeout(tick).unwrap();
    let mut chunk = [0; 65536];
    let mut committing = false;
    loop {
        let now = *line.lock().unwrap();
        if now == Line::Cut {
            break;
        }
        match client.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => {
                let is_commit = chunk[..count].windows(6).any(|text| text == b"COMMIT");
                if now == Line::CutBeforeCommit && is_commit {
                    break;
                }
                committing = now == Line::CutAfterCommit && is_commit;
                if now != Line::Silent {
                    server
                        .write_all(&chunk[..count])
                        .expect("the database reads");
                }
            }
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) => {}
            Err(_) => break,
        }
        match server.read(&mut chunk) {
            Ok(0) => break,
            Ok(_) if committing => break,
            Ok(count) => {
                if client.write_all(&chunk[..count]).is_err() {
                    break;
                }
            }
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) => {}
            Err(_) => break,
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

#[test]
fn a_service_without_its_database_says_so_at_once_and_recovers_by_itself() {
    let database = fresh_database();
    let wire = Wire::to(&database);
    let app = TestApp::at_url(&wire.url, &database, 4);
    let hr = app.hr();
    let operations =
        |path: &str| app.get(&NOBODY, &format!("http://{}{path}", app.operations_address));
    app.get(&hr, "/units").expect(200);
    operations("/readyz").expect(200);
    for line in [Line::Cut, Line::Silent] {
        wire.is(line);
        // the breaker opens after ten failures in a row
        for _ in 0..12 {
            let begun = Instant::now();
            let refused = app
                .get(&hr, "/units")
                .expect_problem(503, "database-unavailable");
            assert_eq!(refused.header("Retry-After"), Some("1"));
            assert!(
                begun.elapsed() < Duration::from_millis(1500),
                "{line:?}: one deadline"
            );
        }
        let begun = Instant::now();
        let mut quick = 0;
        while begun.elapsed() < Duration::from_millis(200) {
            let one = Instant::now();
            app.get(&hr, "/units").expect(503);
            quick += usize::from(one.elapsed() < Duration::from_millis(50));
        }
        assert!(quick >= 3, "{line:?}: {quick} were refused at once");

        // what needs no database works
        app.get(&NOBODY, "/units")
            .expect_problem(401, "unauthenticated");
        app.get(&hr, "/nowhere").expect_problem(404, "not-found");
        app.send(&hr, "DELETE", "/units", &[], None)
            .expect_problem(405, "method-not-allowed");
        app.send(&hr, "OPTIONS", "/units", &[], None).expect(204);
        app.get(&hr, "/units?x=1")
            .expect_problem(400, "invalid-parameter");
        app.post(&hr, "/units", &json!({}))
            .expect_problem(422, "invalid-body");
        app.get(&NOBODY, "/api-info").expect(200);
        app.get(&NOBODY, "/openapi.json").expect(200);
        operations("/livez").expect(200);
        operations("/metrics").expect(200);
        let not_ready = operations("/readyz").expect(503);
        assert!(
            not_ready.body["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains("database")),
            "{}",
            not_ready.text
        );
        assert_eq!(not_ready.header("Retry-After"), Some("1"));

        if line == Line::Silent {
            wire.is(Line::Cut);
            std::thread::sleep(Duration::from_millis(50));
        }
        wire.is(Line::Up);
        let begun = Instant::now();
        while app.get(&hr, "/units").status != 200 {
            assert!(
                begun.elapsed() < Duration::from_secs(5),
                "{line:?}: it recovers by itself"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    operations("/readyz").expect(200);
}

#[test]
fn a_connection_lost_at_commit_leaves_the_outcome_unknown_and_the_key_finds_it_out() {
    let hedemora = Hedemora::new();
    let wire = Wire::to(&hedemora.app.database);
    let app = TestApp::at_url(&wire.url, &hedemora.app.database, 2);
    app.it_is(crate::given::NOW);
    let body = hedemora.planning_day(&hedemora.town_hall).to_string();
    let events = || app.count("select count(*) from events");
    for (round, (line, committed)) in [(Line::CutBeforeCommit, false), (Line::CutAfterCommit, true)]
        .into_iter()
        .enumerate()
    {
        let key = format!("key-{round}");
        let post = || {
            app.send(
                &hedemora.planner,
                "POST",
                "/events",
                &[("Idempotency-Key", &key)],
                Some(&body),
            )
        };
        let before = events();
        wire.is(line);
        let lost = post().expect_problem(503, "outcome-unknown");
        assert_eq!(lost.header("Retry-After"), Some("1"));
        wire.is(Line::Up);
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(events() - before, i64::from(committed), "{line:?}");
        let again = post().expect(201);
        assert_eq!(
            again.header("Idempotency-Replayed"),
            committed.then_some("true"),
            "{line:?}"
        );
        assert_eq!(events() - before, 1, "{line:?}: once");
    }
    // lost before COMMIT nothing was written: the whole transaction is run again, unseen
    app.database().batch_execute("select 1").unwrap();
    let mut admin = PgConnection::establish(&superuser_url(&app.database)).unwrap();
    let service = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'kompetens_service' and datname = current_database()";
    admin.batch_execute(service).unwrap();
    app.send(&hedemora.planner, "POST", "/events", &[], Some(&body))
        .expect(201);
}

/// Runs a closure through the gate, outside HTTP, and counts how often it was run.
fn through_the_gate<F>(db: &Db, closure: F) -> (Result<(), Error>, usize)
where
    F: Fn(&mut PgConnection, usize) -> Result<(), Error> + Send + 'static,
{
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let outcome = actix_web::rt::System::new()
        .block_on(db.write(move |conn| closure(conn, counted.fetch_add(1, Ordering::SeqCst))));
    (outcome, runs.load(Ordering::SeqCst))
}

#[test]
fn each_way_a_transaction_can_fail_has_its_answer() {
    let database = fresh_database();
    let db = Db::new(&service_url(&database), 2);
    let say =
        |sql: &'static str| through_the_gate(&db, move |conn, _| Ok(conn.batch_execute(sql)?));
    for (sql, code, runs) in [
        // lost to others: run again three times, then 503
        (
            "do $$ begin raise exception using errcode = 'deadlock_detected', message = 'deadlock detected'; end $$",
            Code::DatabaseUnavailable,
            3,
        ),
        (
            "do $$ begin raise serialization_failure; end $$",
            Code::DatabaseUnavailable,
            3,
        ),
        // given up: nothing was written, later it may work
        (
            "set local statement_timeout = '20ms'; select pg_sleep(5)",
            Code::DatabaseUnavailable,
            1,
        ),
        (
            "set local transaction_read_only = on; delete from idempotency_records",
            Code::DatabaseUnavailable,
            1,
        ),
        // the program's own faults
        ("select 1 / 0", Code::InternalError, 1),
        ("select nonsense", Code::InternalError, 1),
        ("drop table units", Code::InternalError, 1),
    ] {
        let (outcome, ran) = say(sql);
        assert_eq!((outcome.unwrap_err().code(), ran), (code, runs), "{sql}");
    }
    let (outcome, ran) = through_the_gate(&db, |conn, _| {
        Ok(conn.batch_execute("select pg_terminate_backend(pg_backend_pid())")?)
    });
    assert_eq!(
        (outcome.unwrap_err().code(), ran),
        (Code::DatabaseUnavailable, 3)
    );

    let (outcome, _) = through_the_gate(&db, |_, _| {
        panic!("a use case that panics, as the test wants")
    });
    assert_eq!(outcome.unwrap_err().code(), Code::InternalError);
    // the threads live, and no connection is left in a transaction
    for _ in 0..4 {
        let (outcome, _) = say("select 1");
        outcome.expect("the gate works");
    }
    let begun = Instant::now();
    let (outcome, _) = say("select pg_sleep(2)");
    assert_eq!(
        outcome.unwrap_err().code(),
        Code::OutcomeUnknown,
        "a job still running at the deadline"
    );
    assert!(begun.elapsed() < Duration::from_millis(1500));
}

#[test]
fn a_lock_that_is_not_given_is_503_and_a_deadlock_is_run_again() {
    let hedemora = Hedemora::new();
    let (app, planner) = (&hedemora.app, &hedemora.planner);
    let event = hedemora.draft(&hedemora.town_hall).id();
    let path = format!("/events/{event}");
    let mut admin = PgConnection::establish(&superuser_url(&app.database)).unwrap();
    admin
        .batch_execute(&format!(
            "alter database {} set deadlock_timeout = '400ms'",
            app.database
        ))
        .unwrap();
    let fresh = TestApp::on(&app.database, 2);
    fresh.it_is(crate::given::NOW);
    let patch = |title: &str| {
        let body = json!({"title": title, "estimatedCost": 1}).to_string();
        fresh.send(planner, "PATCH", &path, &[("If-Match", "*")], Some(&body))
    };

    // the other holds the unit and wants the event; the request holds the event and wants the unit
    let mut other = PgConnection::establish(&superuser_url(&app.database)).unwrap();
    other
        .batch_execute(&format!(
            "set deadlock_timeout = '5s'; begin; select 1 from units where id = '{}' for update",
            hedemora.education
        ))
        .unwrap();
    let answered = AtomicBool::new(false);
    let reply = std::thread::scope(|scope| {
        let request = scope.spawn(|| {
            let reply = patch("Efter ett dödläge");
            answered.store(true, Ordering::SeqCst);
            reply
        });
        let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        let begun = Instant::now();
        while app.count(waits) == 0 {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "the request waits for the unit"
            );
        }
        let wish = other.batch_execute(&format!(
            "select 1 from events where id = '{event}' for update"
        ));
        wish.expect("the request, which waited first, gave way");
        assert!(
            !answered.load(Ordering::SeqCst),
            "and is run again, not refused"
        );
        other.batch_execute("commit").unwrap();
        request.join().unwrap()
    });
    assert_eq!(reply.expect(200).body["title"], "Efter ett dödläge");
    other
        .batch_execute(&format!(
            "begin; select 1 from events where id = '{event}' for update"
        ))
        .unwrap();
    let refused = patch("Väntar förgäves").expect_problem(503, "outcome-unknown");
    assert_eq!(
        refused.header("Retry-After"),
        Some("1"),
        "the deadline is shorter than the lock timeout"
    );
    other.batch_execute("rollback").unwrap();
}

#[test]
fn an_older_schema_is_not_ready_and_names_the_command() {
    let database = fresh_database();
    let app = TestApp::on(&database, 2);
    let ready = || {
        app.get(
            &NOBODY,
            &format!("http://{}/readyz", app.operations_address),
        )
    };
    assert_eq!(ready().expect(200).body["status"], "ready");
    let mut owner = PgConnection::establish(&owner_url(&database)).unwrap();
    owner.batch_execute("delete from __diesel_schema_migrations where version = (select max(version) from __diesel_schema_migrations)").unwrap();
    let reply = ready().expect(503);
    assert!(
        reply.body["reason"]
            .as_str()
            .unwrap()
            .contains("kompetens migrate"),
        "{}",
        reply.text
    );
    owner
        .batch_execute("drop table __diesel_schema_migrations")
        .unwrap();
    let reply = ready().expect(503);
    assert!(
        reply.body["reason"]
            .as_str()
            .unwrap()
            .contains("kompetens migrate"),
        "{}",
        reply.text
    );
}
