//! An import whose instance is killed.

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::ledger::{expect_numbered, expect_whole};
use crate::program::{HR, Program, expect_nothing_secret_is_logged, free_address};
use crate::{Row, rounds};

fn ask(address: SocketAddr, head: &str, body: &str) -> Value {
    let mut line = TcpStream::connect(address).unwrap();
    let token = &*HR;
    write!(
        line,
        "{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    line.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

/// Each line makes one goal; the service is killed again and again before all of them have their result, and started again.
#[test]
fn an_import_whose_instance_is_killed_goes_on_where_it_was_and_does_no_line_twice() {
    const LINES: usize = 300;
    // reminders are the service's own affair
    const ENTRIES: &str = "select count(*) from changes where operation <> 'remind'";
    let cluster = Cluster::new();
    let url = cluster.url("kompetens_service", "kompetens");
    let address = free_address();
    let mut program = Program::at(address, &mut Program::command(&url));
    let unit = ask(address, "GET /kompetens/v1/units?limit=1", "")["items"][0]["id"].clone();
    let before = cluster.count(ENTRIES);
    let lines: String = (0..LINES)
        .map(|line| {
            let body = json!({"unitId": unit, "title": format!("Mål {line}"), "validFrom": "2030-01-01"});
            let line = json!({"resource": "businessGoal", "sourceSystem": "faults", "externalId": line.to_string(), "body": body});
            format!("{line}\n")
        })
        .collect();
    let sent = ask(address, "POST /kompetens/v1/imports", &lines);
    let get = format!("GET /kompetens/v1/imports/{}", sent["id"].as_str().unwrap());
    let processed = "select coalesce(sum(processed), 0) from imports";
    let began = Instant::now();
    let mut kills = 0;
    for round in 0..rounds(5, 50) {
        // a little later in each round, so that it is killed at every moment of a line
        let reached = cluster.count(processed);
        while cluster.count(processed) <= reached && reached < LINES as i64 {
            assert!(began.elapsed() < Duration::from_secs(60), "it goes on");
        }
        std::thread::sleep(Duration::from_micros(300 * round as u64));
        program.kill();
        kills += 1;
        program = Program::at(address, &mut Program::command(&url));
    }
    let import = loop {
        let import = ask(address, &get, "");
        if import["status"] == "completed" {
            break import;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{import}");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(
        (&import["created"], &import["processed"]),
        (&json!(LINES), &json!(LINES))
    );
    expect_numbered(&cluster);
    expect_whole(&cluster);
    expect_nothing_secret_is_logged();
    let made =
        "select count(distinct external_id) from business_goals where source_system = 'faults'";
    let (made, entries) = (cluster.count(made), cluster.count(ENTRIES) - before);
    Row {
        fault: "import: kill -9 while its lines are carried out",
        rounds: kills,
        requests: LINES as u64,
        acknowledged: LINES,
        lost: LINES - made as usize,
        doubled: entries.abs_diff(made) as usize,
        broken: 0,
        note: "a request is one line".to_owned(),
    }
    .promise_kept();
}
