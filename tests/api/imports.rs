//! Imports: JSON lines, each of which is one write by external id.

use crate::app::{Caller, Reply, TestApp};
use crate::given::Hedemora;
use chrono::Utc;
use diesel::Connection;
use diesel::prelude::*;
use kompetens::http::contract::LARGEST_IMPORT;
use kompetens::imports;
use kompetens::rules::access::Role;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const LINES: (&str, &str) = ("Content-Type", "application/x-ndjson");

fn goal(town: &Hedemora, id: &str, title: &str) -> Value {
    line(
        "businessGoal",
        id,
        json!({"unitId": town.education, "title": title, "validFrom": "2021-01-01"}),
    )
}

fn line(resource: &str, id: &str, body: Value) -> Value {
    json!({"resource": resource, "sourceSystem": "hr-system", "externalId": id, "body": body})
}

fn text(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn send(app: &TestApp, caller: &Caller, query: &str, body: &str) -> Reply {
    app.send(
        caller,
        "POST",
        &format!("/imports{query}"),
        &[LINES],
        Some(body),
    )
}

/// The import once every line has its result.
fn completed(app: &TestApp, caller: &Caller, sent: &Reply) -> Value {
    let (path, began) = (format!("/imports/{}", sent.id()), Instant::now());
    loop {
        let import = app.get(caller, &path).expect(200).body;
        if import["status"] == "completed" {
            return import;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{import}");
        std::thread::yield_now();
    }
}

/// Each line's number, outcome and code of problem.
fn outcomes(app: &TestApp, caller: &Caller, sent: &Reply) -> Vec<(i64, String, String)> {
    let rows = app
        .get(caller, &format!("/imports/{}/rows?limit=100", sent.id()))
        .expect(200);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    rows.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["line"].as_i64().unwrap(),
                text(&row["outcome"]),
                text(&row["problem"]["code"]),
            )
        })
        .collect()
}

fn expected(rows: &[(i64, &str, &str)]) -> Vec<(i64, String, String)> {
    rows.iter()
        .map(|(line, outcome, code)| (*line, (*outcome).to_owned(), (*code).to_owned()))
        .collect()
}

#[test]
fn a_bad_line_loses_no_good_one_and_each_says_what_became_of_it() {
    let town = Hedemora::new();
    let (app, hr) = (&town.app, &town.hr);
    let mut visit = town.planning_day(&town.town_hall);
    visit["kind"] = json!("studyVisit");
    let mut body = text(&[
        goal(&town, "1", "Ett"),
        line("event", "1", visit),
        line("event", "2", town.planning_day(&town.town_hall)),
        goal(&town, "2", "19121212-1212"),
        line("businessGoal", "3", json!({"title": "Tre"})),
        line(
            "person",
            "4",
            json!({"personRef": "person-hr", "displayName": "Ny", "unitId": town.education, "validFrom": "2021-01-01"}),
        ),
    ]);
    body.push_str("\n{not json\n");
    body.push_str(&goal(&town, "1", "Ett, ändrat").to_string());
    let before = app.count("select count(*) from changes");

    let sent = send(app, hr, "", &body).expect(201);
    assert_eq!(
        sent.header("location"),
        Some(format!("/kompetens/v1/imports/{}", sent.id()).as_str())
    );
    let import = completed(app, hr, &sent);
    assert_eq!(
        outcomes(app, hr, &sent),
        expected(&[
            (1, "created", ""),
            (2, "outsideGuideline", "outside-guideline"),
            (3, "created", ""),
            (4, "refused", "personal-number"),
            (5, "refused", "invalid-body"),
            (6, "refused", "already-exists"),
            (8, "refused", "malformed-json"),
            (9, "changed", ""),
        ])
    );
    for (count, expected) in [
        ("lines", 8),
        ("processed", 8),
        ("created", 2),
        ("changed", 1),
        ("unchanged", 0),
        ("outsideGuideline", 1),
        ("refused", 4),
    ] {
        assert_eq!(import[count], expected, "{count}: {import}");
    }
    assert_eq!(
        app.count("select count(*) from changes"),
        before + 3,
        "one entry a change"
    );
    assert_eq!(
        app.count("select count(*) from import_rows where said is not null"),
        0
    );
    assert_eq!(
        app.count("select count(*) from import_rows r where r::text like '%191212%'"),
        0,
        "what is refused for a personal number is not stored"
    );

    // the problems are those of the single operation, with pointers into the line
    let refused = app
        .get(hr, &format!("/imports/{}/rows?outcome=refused", sent.id()))
        .expect(200);
    let fault = &refused.body["items"][1]["problem"]["errors"][0];
    assert_eq!(fault["pointer"], "/body/unitId", "{}", refused.text);
    assert_eq!(fault["code"], "required");
    assert_eq!(
        refused.body["items"][2]["problem"]["errors"][0]["pointer"],
        "/body/personRef"
    );

    // sent again, what was done is left alone
    let again = send(app, hr, "", &text(&[goal(&town, "1", "Ett, ändrat")])).expect(201);
    assert_eq!(completed(app, hr, &again)["unchanged"], 1);
    assert_eq!(app.count("select count(*) from changes"), before + 3);
}

#[test]
fn a_dry_run_says_the_same_and_leaves_nothing() {
    let town = Hedemora::new();
    let (app, hr) = (&town.app, &town.hr);
    let before = app.count("select count(*) from changes");
    let lines = text(&[
        goal(&town, "1", "Ett"),
        line(
            "businessGoal",
            "2",
            json!({"unitId": "0190a000-0000-7000-8000-00000000ffff", "title": "Två", "validFrom": "2021-01-01"}),
        ),
    ]);
    let sent = send(app, hr, "?dryRun=true", &lines).expect(201);
    assert_eq!(completed(app, hr, &sent)["dryRun"], true);
    assert_eq!(
        outcomes(app, hr, &sent),
        expected(&[(1, "created", ""), (2, "refused", "unknown-unit")])
    );
    assert_eq!(app.count("select count(*) from business_goals"), 0);
    assert_eq!(app.count("select count(*) from changes"), before);
}

#[test]
fn only_hr_administrators_among_people_import_and_read_imports() {
    let town = Hedemora::new();
    let app = &town.app;
    let lines = text(&[goal(&town, "1", "Ett")]);
    send(app, &town.planner, "", &lines).expect_problem(403, "forbidden");
    let sent = send(app, &town.hr, "", &lines).expect(201);
    let auditor = app.person("person-other", &[Role::Auditor], &[]);
    for path in ["", "/rows"] {
        app.get(&auditor, &format!("/imports/{}{path}", sent.id()))
            .expect_problem(403, "forbidden");
    }
    assert_eq!(app.count("select count(*) from imports"), 1);
}

#[test]
fn an_import_is_json_lines_of_ten_mebibytes_at_most_and_nothing_of_a_larger_one_is_done() {
    let town = Hedemora::new();
    let (app, hr) = (&town.app, &town.hr);
    let lines = text(&[goal(&town, "1", "Ett")]);
    let kind = |kind: &str| {
        app.send(
            hr,
            "POST",
            "/imports",
            &[("Content-Type", kind)],
            Some(&lines),
        )
    };
    kind("text/plain").expect_problem(415, "unsupported-media-type");
    completed(app, hr, &kind("application/jsonl").expect(201));

    let padded = |size: usize| {
        let mut body = text(&[goal(&town, "2", "Två")]);
        let blank = " ".repeat(1023) + "\n";
        while body.len() + blank.len() <= size {
            body.push_str(&blank);
        }
        body.push_str(&" ".repeat(size - body.len()));
        body
    };
    let largest = send(app, hr, "", &padded(LARGEST_IMPORT)).expect(201);
    assert_eq!(completed(app, hr, &largest)["lines"], 1);
    // announced as larger, and larger without having said so
    let token = hr.0.clone().expect("a token");
    let asked = |framing: &str, body: &str| {
        let mut line = TcpStream::connect(app.address).unwrap();
        let _ = write!(
            line,
            "POST /kompetens/v1/imports HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/x-ndjson\r\n{framing}\r\n\r\n{body}"
        );
        let mut answer = [0; 12];
        line.read_exact(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    let length = format!("Content-Length: {}", LARGEST_IMPORT + 1);
    assert_eq!(asked(&length, ""), "HTTP/1.1 413");
    let chunk = format!(
        "{:x}\r\n{}\r\n0\r\n\r\n",
        LARGEST_IMPORT + 1,
        padded(LARGEST_IMPORT + 1)
    );
    assert_eq!(asked("Transfer-Encoding: chunked", &chunk), "HTTP/1.1 413");
    assert_eq!(app.count("select count(*) from imports"), 2);
}

#[test]
fn a_body_that_stops_on_its_way_is_408_and_nothing_of_it_is_done() {
    let town = Hedemora::new();
    let app = &town.app;
    let token = town.hr.0.clone().expect("a token");
    let mut line = TcpStream::connect(app.address).unwrap();
    let begun = text(&[goal(&town, "1", "Ett")]);
    write!(
        line,
        "POST /kompetens/v1/imports HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/x-ndjson\r\nContent-Length: 5000\r\n\r\n{begun}"
    )
    .unwrap();
    let mut answer = String::new();
    let _ = line.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(app.count("select count(*) from imports"), 0);
    assert_eq!(app.count("select count(*) from business_goals"), 0);
}

#[test]
fn the_same_key_with_the_same_lines_is_one_import_and_with_others_refused() {
    let town = Hedemora::new();
    let (app, hr) = (&town.app, &town.hr);
    let keyed = |title: &str| {
        let body = text(&[goal(&town, "1", title)]);
        app.send(
            hr,
            "POST",
            "/imports",
            &[LINES, ("Idempotency-Key", "k-1")],
            Some(&body),
        )
    };
    let first = keyed("Ett").expect(201);
    let replay = keyed("Ett").expect(201);
    assert_eq!(replay.id(), first.id());
    assert_eq!(replay.header("idempotency-replayed"), Some("true"));
    keyed("Två").expect_problem(422, "key-reused");
    completed(app, hr, &first);
    assert_eq!(
        app.count("select count(*) from imports where status = 'completed'"),
        1
    );
}

#[test]
fn one_line_as_json_is_refused_at_once_when_it_has_not_the_form_of_a_line() {
    let town = Hedemora::new();
    let (app, hr) = (&town.app, &town.hr);
    let send = |body: &str| app.send(hr, "POST", "/imports", &[JSON], Some(body));
    let sent = send(&format!("{:#}", goal(&town, "1", "Ett"))).expect(201);
    assert_eq!(completed(app, hr, &sent)["created"], 1);
    send(&text(&[goal(&town, "1", "Ett"), goal(&town, "2", "Två")]))
        .expect_problem(400, "malformed-json");
    send(r#"{"resource": "goal"}"#).expect_problem(422, "invalid-body");
    assert_eq!(app.count("select count(*) from imports"), 1);
}

/// An instance that dies leaves its transaction undone; the next goes on at the same line.
#[test]
fn several_instances_share_the_lines_and_no_line_is_done_twice() {
    let town = Hedemora::new();
    let (app, hr) = (&town.app, &town.hr);
    let before = app.count("select count(*) from changes");
    let lines: Vec<Value> = (0..40)
        .map(|id| goal(&town, &id.to_string(), "Mål"))
        .collect();
    let sent = send(app, hr, "", &text(&lines)).expect(201);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut conn = app.database();
                for round in 0..30 {
                    let step: Result<bool, kompetens::error::Error> = conn.transaction(|conn| {
                        let more = imports::step(conn, Utc::now())?;
                        if round % 3 == 0 {
                            // it dies before it has committed
                            return Err(diesel::result::Error::RollbackTransaction.into());
                        }
                        Ok(more)
                    });
                    let _ = step;
                }
            });
        }
    });
    let import = completed(app, hr, &sent);
    assert_eq!(
        (&import["created"], &import["refused"]),
        (&json!(40), &json!(0))
    );
    assert_eq!(app.count("select count(*) from changes"), before + 40);
}

#[test]
fn a_body_whose_instance_died_shows_as_interrupted() {
    let town = Hedemora::new();
    let id = "0190a000-0000-7000-8000-00000000abcd";
    diesel::sql_query(format!(
        "insert into imports (id, status, dry_run, created_by, importer, request_id, created_at, updated_at)
         values ('{id}', 'receiving', false, 'person-hr', '{{}}', 'r', '2026-09-01 07:50Z', '2026-09-01 07:50Z')"
    ))
    .execute(&mut town.app.database())
    .unwrap();
    let import = town
        .app
        .get(&town.hr, &format!("/imports/{id}"))
        .expect(200);
    assert_eq!(import.body["status"], "interrupted");
}
