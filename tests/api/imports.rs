//! Imports: JSON lines, each of which is one write by external id.

use crate::app::{Caller, Reply, TestApp, service_url};
use crate::given::{Hedemora, NOW};
use crate::http::raw;
use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use kompetens::db::schema::import_rows;
use kompetens::error::Error;
use kompetens::http::call::Call;
use kompetens::http::contract::{LARGEST_BODY, LARGEST_IMPORT};
use kompetens::identity::{Actor, Identity};
use kompetens::imports::{self, ImportOutcome, Step};
use kompetens::rules::access::Role;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::time::{Duration, Instant};
use uuid::Uuid;

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
        app.count("select count(*) from imports"),
        1,
        "what was refused or replayed is forgotten"
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
                    let step: Result<Step, Error> = conn.transaction(|conn| {
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
    let import = || {
        town.app
            .get(&town.hr, &format!("/imports/{id}"))
            .expect(200)
    };
    until(|| import().body["status"] == "interrupted");
}

/// Sends bytes as they are, which need be no text.
fn send_bytes(app: &TestApp, caller: &Caller, body: &[u8]) -> Reply {
    let token = caller.0.as_ref().expect("a token");
    let mut request = format!(
        "POST /kompetens/v1/imports HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    let answer = raw(app, &request);
    let (head, text) = answer.split_once("\r\n\r\n").expect("a head");
    Reply {
        status: head[9..12].parse().expect("a status"),
        headers: Vec::new(),
        body: serde_json::from_str(text).unwrap_or_default(),
        text: text.to_owned(),
    }
}

#[test]
fn a_file_is_taken_as_programs_write_it_and_what_is_no_json_is_refused_line_by_line() {
    let town = Hedemora::new();
    let (app, hr) = (&town.app, &town.hr);
    let good = |id: &str| goal(&town, id, "Mål").to_string().into_bytes();
    let deep = [b"{\"a\":".repeat(40_000 / 5), b"1".to_vec()].concat();
    let nul = goal(&town, "x", "a\u{0}b").to_string().into_bytes();
    let repeated = String::from_utf8(good("6")).unwrap().replacen(
        r#""externalId""#,
        r#""externalId":"5","externalId""#,
        1,
    );
    let lines: Vec<(Vec<u8>, &str, &str)> = vec![
        (
            [b"\xef\xbb\xbf".to_vec(), good("1")].concat(),
            "created",
            "",
        ),
        (b"".to_vec(), "", ""),
        (b" \t".to_vec(), "", ""),
        (good("2"), "created", ""),
        (b"\0".to_vec(), "refused", "malformed-json"),
        (nul, "refused", "invalid-body"),
        (
            b"{\"resource\": \"\xff\"}".to_vec(),
            "refused",
            "malformed-json",
        ),
        (
            br#"{"resource": "\ud800"}"#.to_vec(),
            "refused",
            "malformed-json",
        ),
        (deep, "refused", "malformed-json"),
        (b"[1]".to_vec(), "refused", "invalid-body"),
        (b"null".to_vec(), "refused", "invalid-body"),
        (repeated.into_bytes(), "refused", "duplicate-key"),
        (vec![b'x'; LARGEST_BODY + 1], "refused", "body-too-large"),
        (
            [b"\xef\xbb\xbf".to_vec(), good("3")].concat(),
            "refused",
            "malformed-json",
        ),
        (good("4"), "created", ""),
        (good("5"), "created", ""),
    ];
    for ending in ["\n", "\r\n"] {
        let texts: Vec<&[u8]> = lines.iter().map(|(text, ..)| text.as_slice()).collect();
        let sent = send_bytes(app, hr, &texts.join(ending.as_bytes())).expect(201);
        completed(app, hr, &sent);
        let again = ending == "\r\n";
        let expected: Vec<_> = (1..)
            .zip(&lines)
            .filter(|(_, (_, outcome, _))| !outcome.is_empty())
            .map(|(number, (_, outcome, code))| {
                let outcome = if again && *outcome == "created" {
                    "unchanged"
                } else {
                    outcome
                };
                (number, outcome.to_owned(), (*code).to_owned())
            })
            .collect();
        assert_eq!(outcomes(app, hr, &sent), expected);
    }
    assert_eq!(app.count("select count(*) from business_goals"), 4);
}

#[test]
fn one_line_of_ten_mebibytes_is_refused_and_a_body_without_lines_is_an_import_without_lines() {
    let town = Hedemora::new();
    let (app, hr) = (&town.app, &town.hr);
    let sent = send(app, hr, "", &"{".repeat(LARGEST_IMPORT)).expect(201);
    completed(app, hr, &sent);
    assert_eq!(
        outcomes(app, hr, &sent),
        expected(&[(1, "refused", "body-too-large")])
    );
    for nothing in ["", "\n\r\n  \n"] {
        let sent = send(app, hr, "", nothing).expect(201);
        assert_eq!(completed(app, hr, &sent)["lines"], 0);
    }
    // more lines than an import may have, each as short as can be
    let (url, database) = (service_url(&app.database), &app.database);
    let patient = TestApp::adjusted(&url, database, 2, |service| service.body_deadline *= 10);
    send(&patient, hr, "", &"1\n".repeat(50_001)).expect_problem(413, "body-too-large");
    assert_eq!(app.count("select count(*) from imports"), 3);
    assert_eq!(app.count("select count(*) from import_rows"), 1);
}

#[test]
fn an_external_id_that_stands_twice_is_written_twice_in_the_order_of_the_lines() {
    let town = Hedemora::new();
    let (app, hr) = (&town.app, &town.hr);
    let titles = ["Ett", "Ett", "Två", "Ett"];
    let lines: Vec<Value> = titles.map(|title| goal(&town, "1", title)).into();
    let sent = send(app, hr, "", &text(&lines)).expect(201);
    completed(app, hr, &sent);
    assert_eq!(
        outcomes(app, hr, &sent),
        expected(&[
            (1, "created", ""),
            (2, "unchanged", ""),
            (3, "changed", ""),
            (4, "changed", "")
        ])
    );
    let goal = app
        .get(hr, "/external-business-goals/hr-system/1")
        .expect(200)
        .body;
    assert_eq!(
        (&goal["title"], &goal["revision"]),
        (&json!("Ett"), &json!(3))
    );
}

#[test]
fn no_personal_number_stays_in_the_results_wherever_in_a_line_it_stood() {
    let town = Hedemora::new();
    let (app, hr) = (&town.app, &town.hr);
    let number = "191212121212";
    let mut lines = Vec::new();
    for place in ["resource", "sourceSystem", "externalId", number] {
        let mut line = goal(&town, "1", "Ett");
        line[place] = json!(number);
        lines.push(line);
    }
    for (name, value) in [
        ("title", json!(number)),
        (number, json!(1)),
        ("unitId", json!(number)),
    ] {
        let mut line = goal(&town, "1", "Ett");
        line["body"][name] = value;
        lines.push(line);
    }
    let mut body = text(&lines);
    body.push_str(&format!("{{\"{number}\":1,\"{number}\":2}}\n{number}\n"));
    let sent = send(app, hr, "", &body).expect(201);
    assert_eq!(completed(app, hr, &sent)["refused"], 9);
    let rows = app
        .get(hr, &format!("/imports/{}/rows", sent.id()))
        .expect(200);
    assert!(!rows.text.contains("1212"), "{}", rows.text);
    assert_eq!(
        app.count("select count(*) from import_rows r where r::text like '%1212%'"),
        0
    );
}

#[test]
fn a_sender_who_goes_midway_has_sent_nothing() {
    let town = Hedemora::new();
    let app = &town.app;
    let token = town.hr.0.clone().expect("a token");
    let begun = text(&[goal(&town, "1", "Ett")]);
    for half in [
        "Content-Length: 5000\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1000\r\n",
    ] {
        let mut line = TcpStream::connect(app.address).unwrap();
        write!(
            line,
            "POST /kompetens/v1/imports HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/x-ndjson\r\n{half}{begun}"
        )
        .unwrap();
        until(|| app.count("select count(*) from imports where status = 'receiving'") == 1);
        drop(line);
        // it is forgotten at once, or given up a little later
        app.it_is("2026-09-01T08:06:00Z");
        until(|| app.count("select count(*) from imports where status = 'receiving'") == 0);
        app.it_is(NOW);
    }
    assert_eq!(app.count("select count(*) from import_rows"), 0);
    assert_eq!(app.count("select count(*) from business_goals"), 0);
}

#[track_caller]
fn until(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "it comes to be");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn slow_senders_hold_no_connection_of_the_database() {
    let town = Hedemora::new();
    let slow = TestApp::adjusted(
        &service_url(&town.app.database),
        &town.app.database,
        2,
        |service| service.body_deadline = Duration::from_secs(5),
    );
    let token = town.hr.0.clone().expect("a token");
    let waiting: Vec<TcpStream> = (0..9)
        .map(|_| {
            let mut line = TcpStream::connect(slow.address).unwrap();
            write!(
                line,
                "POST /kompetens/v1/imports HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/x-ndjson\r\nContent-Length: 900000\r\n\r\n{}",
                "1\n".repeat(300)
            )
            .unwrap();
            line
        })
        .collect();
    // a batch of each is stored already, and all of them wait for more
    until(|| {
        slow.count("select count(*) from imports where status = 'receiving' and lines = 200") == 9
    });
    for _ in 0..20 {
        slow.get(&town.hr, "/units").expect(200);
    }
    let held = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'";
    assert_eq!(slow.count(held), 0);
    drop(waiting);
}

#[test]
fn ten_imports_of_one_sender_may_be_on_their_way_and_another_sender_is_not_held_up() {
    let town = Hedemora::new();
    let (app, hr) = (&town.app, &town.hr);
    let lines = text(&[goal(&town, "1", "Ett")]);
    let keyed = || {
        let headers = [
            ("Content-Type", "application/x-ndjson"),
            ("Idempotency-Key", "nightly-1"),
        ];
        app.send(hr, "POST", "/imports", &headers, Some(&lines))
            .expect(201)
    };
    let answered = keyed();
    completed(app, hr, &answered);
    let mut conn = app.database();
    diesel::sql_query(
        "insert into imports (id, status, dry_run, created_by, importer, request_id, created_at, updated_at)
         select gen_random_uuid(), 'receiving', false, 'person-hr', '{}', 'r', '2026-09-01 08:00Z', '2026-09-01 08:00Z' from generate_series(1, 10)",
    )
    .execute(&mut conn)
    .unwrap();
    let refused = send(app, hr, "", &lines).expect_problem(429, "too-many-requests");
    assert_eq!(refused.header("retry-after"), Some("10"));
    // what was answered before is answered again
    let replayed = keyed();
    assert_eq!(replayed.header("idempotency-replayed"), Some("true"));
    assert_eq!(replayed.body, answered.body);
    let other = app.person("person-head", &[Role::HrAdministrator], &[]);
    completed(app, &other, &send(app, &other, "", &lines).expect(201));
    // what stopped on its way does not count for long
    app.it_is("2026-09-01T08:06:00Z");
    until(|| app.count("select count(*) from imports where status = 'interrupted'") == 10);
    completed(app, hr, &send(app, hr, "", &lines).expect(201));
}

#[test]
fn the_imports_of_one_sender_are_carried_out_in_their_order_by_however_many_instances() {
    let town = Hedemora::new();
    let (app, hr) = (&town.app, &town.hr);
    let others: Vec<TestApp> = (0..2).map(|_| TestApp::on(&app.database, 2)).collect();
    others.iter().for_each(|other| other.it_is(NOW));
    let people: Vec<Value> = (0..40)
        .map(|id| {
            line("person", &id.to_string(), json!({"personRef": format!("person-{id}"), "displayName": "Ny", "unitId": town.education, "validFrom": "2021-01-01"}))
        })
        .collect();
    let mut day = town.planning_day(&town.town_hall);
    day["responsiblePerson"] = json!("person-39");
    send(app, hr, "", &text(&people)).expect(201);
    let sent = send(app, hr, "", &text(&[line("event", "1", day)])).expect(201);
    completed(app, hr, &sent);
    assert_eq!(outcomes(app, hr, &sent), expected(&[(1, "created", "")]));
}

#[test]
fn equal_imports_at_once_end_with_one_resource_and_one_entry_each() {
    let town = Hedemora::new();
    let app = &town.app;
    let other = TestApp::on(&app.database, 4);
    other.it_is(NOW);
    let before = app.count("select count(*) from changes");
    let lines: Vec<Value> = (0..30)
        .map(|id| goal(&town, &id.to_string(), "Mål"))
        .collect();
    let senders = ["person-hr", "person-head"]
        .map(|person| app.person(person, &[Role::HrAdministrator], &[]));
    let at_once = Barrier::new(2);
    let imports = std::thread::scope(|scope| {
        [(app, &senders[0]), (&other, &senders[1])]
            .map(|(app, sender)| {
                let (at_once, lines) = (&at_once, &lines);
                scope.spawn(move || {
                    at_once.wait();
                    let sent = send(app, sender, "", &text(lines)).expect(201);
                    completed(app, sender, &sent)
                })
            })
            .map(|racer| racer.join().expect("no panic"))
    });
    let sum = |count: &str| {
        imports
            .iter()
            .filter_map(|import| import[count].as_i64())
            .sum::<i64>()
    };
    assert_eq!(
        (sum("created"), sum("unchanged"), sum("refused")),
        (30, 30, 0),
        "{imports:?}"
    );
    assert_eq!(app.count("select count(*) from changes"), before + 30);
    assert_eq!(app.count("select count(*) from business_goals"), 30);
}

/// A database that no service runs on any more, and a call of the HR administrator.
fn left_alone() -> (String, String, Call) {
    let town = Hedemora::new();
    let (database, unit) = (town.app.database.clone(), town.education.clone());
    drop(town);
    let actor = Actor::Person(Identity {
        person_ref: "person-hr".to_owned(),
        roles: [Role::HrAdministrator].into(),
        units: [].into(),
    });
    (
        database,
        unit,
        Call::new(actor, NOW.parse().expect("a moment"), "a-request"),
    )
}

fn connected(database: &str) -> PgConnection {
    PgConnection::establish(&service_url(database)).expect("the database answers")
}

/// An import of goals under these ids that waits to be carried out.
fn waiting(conn: &mut PgConnection, call: &Call, unit: &str, ids: &[&str]) -> Uuid {
    let id = Uuid::now_v7();
    imports::queries::open(conn, call, id, false).unwrap();
    let rows: Vec<_> = (1..)
        .zip(ids)
        .map(|(number, id)| {
            let said = line(
                "businessGoal",
                id,
                json!({"unitId": unit, "title": "Mål", "validFrom": "2021-01-01"}),
            );
            imports::received(call, number, Ok(said.to_string().as_bytes()))
        })
        .collect();
    imports::queries::add(conn, id, &rows, call.now).unwrap();
    imports::queries::start(conn, id, call.now).unwrap();
    id
}

fn stepped(conn: &mut PgConnection, now: DateTime<Utc>) -> Step {
    conn.transaction(|conn| imports::step(conn, now))
        .expect("a step")
}

#[test]
fn a_line_that_the_database_gives_up_is_tried_three_times_and_holds_up_no_other() {
    let (database, unit, call) = left_alone();
    let (mut conn, mut holder) = (connected(&database), connected(&database));
    conn.batch_execute("set lock_timeout = '20ms'").unwrap();
    let import = waiting(&mut conn, &call, &unit, &["1", "2"]);
    // another has the external id in its hands
    holder
        .batch_execute(
            "begin; select pg_advisory_xact_lock(hashtextextended('businessGoal hr-system/1', 0))",
        )
        .unwrap();
    let steps: Vec<Step> = (0..6).map(|_| stepped(&mut conn, call.now)).collect();
    assert_eq!(
        steps,
        [
            Step::HeldUp,
            Step::HeldUp,
            Step::Done,
            Step::Done,
            Step::Done,
            Step::Nothing
        ]
    );
    let rows: Vec<(ImportOutcome, Option<Value>)> = import_rows::table
        .filter(import_rows::import_id.eq(import))
        .order(import_rows::line)
        .select((import_rows::outcome, import_rows::problem))
        .load(&mut conn)
        .unwrap();
    let became: Vec<_> = rows
        .iter()
        .map(|(outcome, problem)| {
            (
                *outcome,
                problem.as_ref().map(|problem| problem["code"].clone()),
            )
        })
        .collect();
    assert_eq!(
        became,
        [
            (ImportOutcome::Refused, Some(json!("database-unavailable"))),
            (ImportOutcome::Created, None)
        ]
    );
}

/// The control of the races above: without the lock on the import both do its one line, and it has two results.
#[test]
fn without_the_lock_on_the_import_its_line_would_be_done_twice() {
    let (database, unit, call) = left_alone();
    let mut conn = connected(&database);
    let import = waiting(&mut conn, &call, &unit, &["1"]);
    let looked = Barrier::new(2);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut conn = connected(&database);
                let done: Result<(), Error> = conn.transaction(|conn| {
                    let line = imports::queries::next(conn, import)?.expect("a line that waits");
                    looked.wait();
                    imports::queries::settle(
                        conn,
                        line.id,
                        ImportOutcome::Created,
                        None,
                        None,
                        call.now,
                    )
                });
                done.expect("nothing hinders it");
            });
        }
    });
    assert_eq!(
        imports::queries::find(&mut conn, import).unwrap().processed,
        2,
        "of one line"
    );
}

#[test]
fn an_integration_imports_with_the_rights_that_it_has_when_the_line_has_its_turn() {
    let town = Hedemora::new();
    let (app, hr) = (&town.app, &town.hr);
    let client = |scopes: &[&str]| {
        let body = json!({"name": "HR-systemet", "scopes": scopes, "sourceSystem": "hr-system", "expiresAt": "2099-01-01T00:00:00Z"});
        let made = app.post(hr, "/api-clients", &body).expect(201);
        (
            made.id(),
            Caller(made.body["secret"].as_str().map(str::to_owned)),
        )
    };
    let mut own = goal(&town, "1", "Ett");
    own.as_object_mut().unwrap().remove("sourceSystem");
    let mut foreign = goal(&town, "2", "Två");
    foreign["sourceSystem"] = json!("payroll");
    let lines = text(&[
        own,
        foreign,
        line("event", "3", town.planning_day(&town.town_hall)),
    ]);

    let (_, narrow) = client(&["imports:write"]);
    let sent = send(app, &narrow, "", &lines).expect(201);
    completed(app, &narrow, &sent);
    assert_eq!(
        outcomes(app, &narrow, &sent),
        expected(&[
            (1, "refused", "forbidden"),
            (2, "refused", "forbidden"),
            (3, "refused", "forbidden")
        ])
    );
    let (id, wide) = client(&["imports:write", "organisation:write"]);
    send(app, hr, "", &text(&[goal(&town, "9", "Nio")])).expect(201);
    app.get(&wide, &format!("/imports/{}", sent.id()))
        .expect_problem(404, "not-found");
    let sent = send(app, &wide, "", &lines).expect(201);
    completed(app, &wide, &sent);
    assert_eq!(
        outcomes(app, &wide, &sent),
        expected(&[
            (1, "created", ""),
            (2, "refused", "forbidden"),
            (3, "refused", "forbidden")
        ])
    );

    // a client that is ended while its import waits does no more
    let mut holder = app.database();
    holder
        .batch_execute("begin; lock table business_goals in share mode")
        .unwrap();
    let changed: Vec<Value> = (0..50)
        .map(|id| goal(&town, &id.to_string(), "Ändrat"))
        .collect();
    let sent = send(app, &wide, "", &text(&changed)).expect(201);
    app.send(
        hr,
        "POST",
        &format!("/api-clients/{id}/ending"),
        &[("If-Match", "*")],
        None,
    )
    .expect(200);
    holder.batch_execute("commit").unwrap();
    completed(app, hr, &sent);
    let became = outcomes(app, hr, &sent);
    assert_eq!(
        became[1..],
        expected(
            &(2..=50)
                .map(|line| (line, "refused", "unauthenticated"))
                .collect::<Vec<_>>()
        )
    );
}

#[test]
fn the_results_are_kept_for_ninety_days() {
    let town = Hedemora::new();
    let (app, hr) = (&town.app, &town.hr);
    let sent = send(app, hr, "", &text(&[goal(&town, "1", "Ett")])).expect(201);
    completed(app, hr, &sent);
    app.it_is("2026-11-30T07:00:00Z");
    app.get(hr, &format!("/imports/{}/rows", sent.id()))
        .expect(200);
    app.it_is("2026-11-30T09:00:00Z");
    until(|| app.get(hr, &format!("/imports/{}", sent.id())).status == 404);
    assert_eq!(app.count("select count(*) from import_rows"), 0);
    app.get(hr, "/external-business-goals/hr-system/1")
        .expect(200);
}
