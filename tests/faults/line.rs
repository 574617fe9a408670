//! The line to the database fails at every moment of every write.

use kompetens::http::document;
use serde_json::Value;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::ledger::{Ledger, expect_whole};
use crate::program::{Client, HR, Program, Reply};
use crate::wire::{Line, Wire};
use crate::{Row, judge, rounds};

/// A write of the document with its own example, on the demo data.
struct Write {
    name: String,
    method: String,
    path: String,
    body: Option<String>,
}

fn writes() -> Vec<Write> {
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
            writes.push(Write {
                name,
                method: method.to_uppercase(),
                path,
                body: example.map(Value::to_string),
            });
        }
    }
    assert!(writes.len() > 20);
    writes
}

fn attempt(client: &mut Client, write: &Write, key: &str) -> Reply {
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

#[test]
fn the_line_cut_at_every_message_of_every_write_loses_and_doubles_nothing() {
    let cluster = Cluster::with(&["fsync=off"]);
    let wire = Wire::to(cluster.socket());
    let mut command = Program::command(&wire.url());
    // one connection, so that the messages of one request come one after the other
    command.env("KOMPETENS_DATABASE_CONNECTIONS", "1");
    let program = Program::at(crate::program::free_address(), &mut command);
    let mut client = Client::new(program.address, &HR);
    let (mut cuts, mut requests, mut acknowledged, mut doubled) = (0, 0, 0, 0);
    // the suite cuts at every seventh message, beginning elsewhere for each operation
    let step = rounds(7, 1) as u64;
    for (number, write) in writes().iter().enumerate() {
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
                let most = i64::from(write.method == "POST" && (last.status == 201 || told_once));
                doubled += usize::try_from((new - most).max(0)).unwrap();
                if first.status < 300 && write.method == "POST" && !told_once {
                    assert_eq!(first.body, last.body, "{key}");
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
        note: String::new(),
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
