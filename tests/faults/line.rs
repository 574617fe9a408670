//! The line to the database fails at every moment of every write.

use diesel::connection::SimpleConnection;
use kompetens::http::document;
use serde_json::{Value, json};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::ledger::{Ledger, expect_whole, planning_day};
use crate::lies::Lies;
use crate::program::{Client, EVERYONE, HR, Program, Reply};
use crate::wire::{Line, Wire};
use crate::{Row, judge, rounds};

/// A write of the document with its own example, on the demo data.
pub struct Write {
    pub name: String,
    pub method: String,
    pub path: String,
    pub body: Option<String>,
    /// What the body must be like.
    pub schema: Option<&'static Value>,
}

pub fn writes() -> Vec<Write> {
    let mut writes = Vec::new();
    for (path, item) in document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap().to_owned();
            let content = operation["requestBody"]["content"].as_object();
            let example = content.and_then(|content| content.values().next()?.get("example"));
            let takes_json = operation["requestBody"]["content"]
                .get("application/json")
                .is_some();
            if method == "get" || (content.is_some() && !takes_json) {
                continue;
            }
            let mut path = path.clone();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                if parameter["in"] == "path" {
                    let example = &parameter["example"];
                    path = path.replace(
                        &format!("{{{}}}", parameter["name"].as_str().unwrap()),
                        example.as_str().unwrap(),
                    );
                }
            }
            let mut body = example.map(Value::to_string);
            if let Some((elsewhere, other)) = possible(&name) {
                path = elsewhere.map_or(path, |path| {
                    path.replace('#', "0190a000-0000-7000-8000-0000000")
                });
                body = other;
            }
            writes.push(Write {
                name,
                method: method.to_uppercase(),
                path,
                body,
                schema: operation.pointer("/requestBody/content/application~1json/schema"),
            });
        }
    }
    assert!(writes.len() > 20);
    writes
}

/// Where in the demo data, and with which body, a write succeeds whose example in the document tells of something that is over.
fn possible(operation: &str) -> Option<(Option<&'static str>, Option<String>)> {
    let soon = (chrono::Utc::now() + chrono::Duration::days(3)).date_naive();
    let (path, body) = match operation {
        "create_decision" => (
            Some("/exception-requests/#01503/decisions"),
            Some(
                json!({"noConflictOfInterest": true, "outcome": "approved", "reasons": "Resan blir kort.", "conditions": "Samåkning."}),
            ),
        ),
        "withdraw_exception_request" => (
            Some("/exception-requests/#01503/withdrawal"),
            Some(json!({})),
        ),
        "revoke_exception_request" => (Some("/exception-requests/#01505/revocation"), None),
        "create_exception_request" => (
            Some("/events/#01013/exception-requests"),
            Some(
                json!({"ruleIds": ["venueLadder"], "addressee": "departmentHead", "reason": "Allt annat är fullt.",
                "alternativesConsidered": "Stadshuset.", "decisionNeededBy": soon}),
            ),
        ),
        "cancel_follow_up" => (
            Some("/follow-ups/#41602/cancellation"),
            Some(json!({"reason": "Gruppen har upphört."})),
        ),
        "waive_follow_up" => (
            Some("/follow-ups/#41601/waiver"),
            Some(json!({"reason": "Gruppen har upphört."})),
        ),
        "create_person" => (
            None,
            Some(json!({"personRef": "person-9001", "displayName": "Vikarie",
                "unitId": "0190a000-0000-7000-8000-000000000101", "validFrom": "2026-01-01"})),
        ),
        "change_unit" => (None, Some(json!({"name": "Bildning"}))),
        "rotate_api_client_secret" => (None, Some(json!({}))),
        _ => return None,
    };
    Some((path, body.map(|body| body.to_string())))
}

/// One try of a write.
pub fn attempt(client: &mut Client, write: &Write, key: &str) -> Reply {
    let mut headers = vec![("If-Match", "*")];
    if write.method == "POST" {
        headers.push(("Idempotency-Key", key));
    }
    let reply = client
        .send(&write.method, &write.path, &headers, write.body.as_deref())
        .unwrap();
    reply.expect_well_formed();
    reply
}

/// Sends the same again until the line holds.
fn settled(client: &mut Client, write: &Write, key: &str) -> Reply {
    for _ in 0..200 {
        let reply = attempt(client, write, key);
        if reply.status != 503 && !reply.body.contains("\"key-in-use\"") {
            return reply;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{}: no answer in 200 tries", write.name);
}

/// The database as it was when the test began, and the service's connection to it.
fn begin_anew(cluster: &Cluster, client: &mut Client) {
    let mut admin = cluster.admin("postgres");
    for statement in [
        "drop database if exists kompetens with (force)",
        "create database kompetens template untouched owner kompetens_owner strategy file_copy",
    ] {
        admin.batch_execute(statement).unwrap();
    }
    while client.get("/units?limit=1").unwrap().status != 200 {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Who may do it, if anyone, and whether it can be done once only.
fn who_may(
    address: std::net::SocketAddr,
    cluster: &Cluster,
    write: &Write,
) -> Option<(Client, bool)> {
    for token in EVERYONE.iter() {
        let mut client = Client::new(address, token);
        let first = settled(&mut client, write, &format!("{}-1", write.name));
        if first.status >= 300 {
            continue;
        }
        let second = settled(&mut client, write, &format!("{}-2", write.name));
        let once = second.status >= 300;
        if once {
            begin_anew(cluster, &mut client);
        }
        return Some((client, once));
    }
    None
}

#[test]
fn the_line_cut_at_every_message_of_every_write_loses_and_doubles_nothing() {
    let cluster = Cluster::with(&["fsync=off"]);
    cluster
        .admin("postgres")
        .batch_execute("create database untouched template kompetens owner kompetens_owner")
        .unwrap();
    let wire = Wire::to(cluster.socket());
    let mut command = Program::command(&wire.url());
    // one connection, so that the messages of one request come one after the other
    command.env("KOMPETENS_DATABASE_CONNECTIONS", "1");
    // so that the webhook of the examples has an address
    let lies = Lies::new();
    let program = Program::at(crate::program::free_address(), lies.told_to(&mut command));
    let (mut cuts, mut requests, mut acknowledged, mut doubled) = (0, 0, 0, 0);
    let mut refused = Vec::new();
    // the suite cuts at every seventh message, beginning elsewhere for each operation
    let step = rounds(7, 1) as u64;
    for (number, write) in writes().iter().enumerate() {
        let (mut client, once) = who_may(program.address, &cluster, write).unwrap_or_else(|| {
            refused.push(write.name.clone());
            (Client::new(program.address, &HR), false)
        });
        // ten imports may be on their way, and one that was cut counts among them for minutes
        let once = once || write.name == "create_import";
        for handed_on in [false, true] {
            let mut message = number as u64 % step + 1;
            loop {
                let key = format!("{}-{message}-{handed_on}", write.name);
                let created = created(&cluster);
                wire.is(Line::CutAt { message, handed_on });
                let first = attempt(&mut client, write, &key);
                let was_cut = wire.has_cut();
                wire.is(Line::Pass);
                let last = settled(&mut client, write, &key);
                requests += 2;
                cuts += usize::from(was_cut);
                acknowledged += usize::from(last.status < 300);
                // whatever was heard first, the same request with the same key was done once or, refused, never
                let new = created_since(&cluster, &created);
                let told_once = last.body.contains("\"secret-already-shown\"");
                let most = i64::from(write.method == "POST" && (last.status < 300 || told_once));
                doubled += usize::try_from((new - most).max(0)).unwrap();
                if first.status < 300 && write.method == "POST" && !told_once {
                    assert_eq!(first.body, last.body, "{key}");
                }
                if once {
                    expect_whole(&cluster);
                    begin_anew(&cluster, &mut client);
                }
                if !was_cut {
                    break;
                }
                message += step;
            }
        }
    }
    expect_whole(&cluster);
    assert!(cuts > 50, "{cuts} cuts");
    Row {
        fault: "line: cut at every message of every write",
        rounds: cuts,
        requests,
        acknowledged,
        lost: 0,
        doubled,
        broken: 0,
        note: format!("refused to everyone: {}", refused.join(", ")),
    }
    .promise_kept();
}

/// The entries of the change log that say that something of the kind that a request names was created.
fn created(cluster: &Cluster) -> String {
    cluster.text("select coalesce(max(entry_id), 0) from changes")
}

/// How many requests have created something since: one request may create several things.
fn created_since(cluster: &Cluster, entry: &str) -> i64 {
    cluster.count(&format!(
        "select count(distinct request_id) from changes where entry_id > {entry} and operation = 'create'"
    ))
}

#[test]
fn the_line_cut_after_commit_was_sent_loses_and_doubles_nothing() {
    let cluster = Cluster::with(&["fsync=off"]);
    let wire = Wire::to(cluster.socket());
    let program = Program::start(&wire.url());
    let ledger = Ledger::default();
    let mut client = Client::new(program.address, &HR);
    let rounds = rounds(10, 500);
    for round in 0..rounds {
        wire.is(Line::CutAtCommit {
            handed_on: round % 2 == 0,
        });
        ledger.write(&mut client);
        wire.is(Line::Pass);
        ledger.write(&mut client);
    }
    judge(
        "line: cut at COMMIT, before and after it arrived",
        rounds,
        &ledger,
        &cluster,
        program.address,
        String::new(),
    );
}

/// The control: what the key is for.
#[test]
fn the_line_cut_after_commit_was_sent_doubles_the_event_of_a_client_that_sends_no_key() {
    let cluster = Cluster::with(&["fsync=off"]);
    let wire = Wire::to(cluster.socket());
    let program = Program::start(&wire.url());
    let mut client = Client::new(program.address, &HR);
    let doubled = (0..100).any(|number| {
        let title = format!("Dag {number} utan nyckel");
        let mut post = || {
            let body = planning_day(&title);
            client.send("POST", "/events", &[], Some(&body)).unwrap()
        };
        wire.is(Line::CutAtCommit { handed_on: true });
        // the service commits for itself too, and may be cut instead
        let was_cut = post().body.contains("\"outcome-unknown\"");
        wire.is(Line::Pass);
        while was_cut && post().status != 201 {}
        let same = format!("select count(*) from events where title = '{title}'");
        cluster.count(&same) == 2
    });
    assert!(doubled, "it happens");
}

#[test]
fn a_line_that_refuses_resets_swallows_or_delays_loses_and_doubles_nothing() {
    let cluster = Cluster::with(&["fsync=off"]);
    let wire = Wire::to(cluster.socket());
    let program = Program::start(&wire.url());
    let ledger = Ledger::default();
    let stop = AtomicBool::new(false);
    let rounds = rounds(1, 20);
    ledger.writers(program.address, 8, &stop, || {
        for _ in 0..rounds {
            for line in [
                Line::Refuse,
                Line::Reset,
                Line::Swallow,
                Line::Delay(Duration::from_millis(30)),
            ] {
                wire.is(line);
                std::thread::sleep(Duration::from_millis(300));
                if line == Line::Swallow {
                    // what was swallowed is lost, as on a line that was cut
                    wire.is(Line::Reset);
                    std::thread::sleep(Duration::from_millis(20));
                }
                wire.is(Line::Pass);
                ledger.await_more(8);
            }
        }
    });
    judge(
        "line: refuses, resets, swallows, delays",
        rounds * 4,
        &ledger,
        &cluster,
        program.address,
        String::new(),
    );
}
