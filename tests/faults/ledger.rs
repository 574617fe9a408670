//! What clients sent and heard, and what must then stand in the database.

use chrono::{DateTime, SubsecRound, Utc};
use serde_json::json;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};

use diesel::connection::SimpleConnection;

use crate::cluster::Cluster;
use crate::program::{Client, Failure, HR, Reply};

static START: LazyLock<DateTime<Utc>> =
    LazyLock::new(|| Utc::now().trunc_subsecs(0) + chrono::Duration::days(60));

/// A planning day of the demo's education department; the same text for the same title.
pub fn planning_day(title: &str) -> String {
    let start = *START;
    json!({
        "title": title,
        "kind": "planningDay",
        "arranger": "group",
        "organisingUnitIds": ["0190a000-0000-7000-8000-000000000101"],
        "responsiblePerson": "person-0003",
        "occasions": [{
            "startsAt": start,
            "endsAt": start + chrono::Duration::hours(6),
            "place": "digital",
        }],
    })
    .to_string()
}

/// Every request that creates an event, by its key, and what was heard of it.
#[derive(Default)]
pub struct Ledger {
    next: AtomicU64,
    pub acknowledged: Mutex<Vec<(u64, Reply)>>,
    pub unknown: Mutex<Vec<u64>>,
    pub refused: Mutex<Vec<u64>>,
    /// Answers with 5xx other than 503.
    pub broken: AtomicU64,
    pub not_sent: AtomicU64,
    /// The last answer that was no acknowledgement, for whoever asks why nothing goes through.
    last: Mutex<String>,
}

impl Ledger {
    pub fn requests(&self) -> u64 {
        self.next.load(Ordering::SeqCst)
    }

    /// One more event; says whether it was acknowledged.
    pub fn write(&self, client: &mut Client) -> bool {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        self.send(client, number)
    }

    fn send(&self, client: &mut Client, number: u64) -> bool {
        let key = format!("ledger-{number}");
        let body = planning_day(&format!("Dag {number}"));
        match client.send("POST", "/events", &[("Idempotency-Key", &key)], Some(&body)) {
            Ok(reply) if reply.status == 201 => {
                self.acknowledged.lock().unwrap().push((number, reply));
                return true;
            }
            Ok(reply) => {
                if reply.status >= 500 && reply.status != 503 {
                    self.broken.fetch_add(1, Ordering::SeqCst);
                }
                reply.expect_well_formed();
                // the try before, whose connection was lost, may still hold the key
                assert!(
                    reply.status == 503 || reply.body.contains("\"key-in-use\""),
                    "an event that is whole is refused: {}",
                    reply.body
                );
                *self.last.lock().unwrap() = reply.body.clone();
                if reply.body.contains("\"outcome-unknown\"") {
                    self.unknown.lock().unwrap().push(number);
                } else {
                    self.refused.lock().unwrap().push(number);
                }
            }
            Err(Failure::NotSent) => {
                self.not_sent.fetch_add(1, Ordering::SeqCst);
                self.refused.lock().unwrap().push(number);
            }
            Err(Failure::NoAnswer) => self.unknown.lock().unwrap().push(number),
        }
        false
    }

    /// So many writers write until told to stop.
    pub fn writers(
        &self,
        address: SocketAddr,
        how_many: usize,
        stop: &AtomicBool,
        meanwhile: impl FnOnce(),
    ) {
        std::thread::scope(|scope| {
            let stops = StopsAtEnd(stop);
            for _ in 0..how_many {
                scope.spawn(|| {
                    let mut client = Client::new(address, &HR);
                    while !stop.load(Ordering::SeqCst) {
                        if !self.write(&mut client) {
                            std::thread::sleep(std::time::Duration::from_millis(2));
                        }
                    }
                });
            }
            meanwhile();
            drop(stops);
        });
    }

    /// Waits until so many more were acknowledged.
    pub fn await_more(&self, more: usize) {
        let before = self.acknowledged.lock().unwrap().len();
        let begun = std::time::Instant::now();
        while self.acknowledged.lock().unwrap().len() < before + more {
            assert!(
                begun.elapsed().as_secs() < 30,
                "writes go through: {}",
                self.last.lock().unwrap()
            );
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// Writes until a write goes through, which it must within two seconds.
    pub fn await_success(&self, client: &mut Client) {
        let begun = std::time::Instant::now();
        while !self.write(client) {
            assert!(
                begun.elapsed().as_secs() < 2,
                "writes go through again: {}",
                self.last.lock().unwrap()
            );
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Whoever does not know the outcome sends the same again with the same key, until there is one.
    pub fn settle(&self, address: SocketAddr) {
        let mut client = Client::new(address, &HR);
        let unknown: HashSet<u64> = self.unknown.lock().unwrap().drain(..).collect();
        for number in unknown {
            let settled = (0..100).any(|_| {
                let done = self.send(&mut client, number);
                if !done {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                done
            });
            assert!(settled, "the retry of {number} is answered");
        }
        self.unknown.lock().unwrap().clear();
        // refused requests that were settled by another try are settled
        let acknowledged: HashSet<u64> = self
            .acknowledged
            .lock()
            .unwrap()
            .iter()
            .map(|(number, _)| *number)
            .collect();
        self.refused
            .lock()
            .unwrap()
            .retain(|number| !acknowledged.contains(number));
    }

    /// How many acknowledged events are not there, and how many events are there that nobody was told of.
    pub fn lost_and_doubled(&self, cluster: &Cluster) -> (usize, usize) {
        let stored: HashSet<String> = cluster
            .text("select string_agg(id::text, ',') from events where title like 'Dag %'")
            .split(',')
            .filter(|id| !id.is_empty())
            .map(str::to_owned)
            .collect();
        let acknowledged: HashSet<String> = self
            .acknowledged
            .lock()
            .unwrap()
            .iter()
            .map(|(_, reply)| reply.id())
            .collect();
        (
            acknowledged.difference(&stored).count(),
            stored.difference(&acknowledged).count(),
        )
    }

    /// A replay is equal in status, body, Location and ETag.
    pub fn expect_equal_replays(&self, address: SocketAddr) {
        let acknowledged = self.acknowledged.lock().unwrap().clone();
        let mut client = Client::new(address, &HR);
        for (number, first) in acknowledged.iter().step_by(acknowledged.len() / 20 + 1) {
            let key = format!("ledger-{number}");
            let body = planning_day(&format!("Dag {number}"));
            let again = client
                .send("POST", "/events", &[("Idempotency-Key", &key)], Some(&body))
                .unwrap();
            assert_eq!((again.status, &again.body), (first.status, &first.body));
            for name in ["Location", "ETag"] {
                assert_eq!(again.header(name), first.header(name));
            }
            assert_eq!(again.header("Idempotency-Replayed"), Some("true"));
        }
    }
}

/// What must hold of every database, whatever happened: no half event, one change entry for each revision of each resource,
/// revisions without gaps, one decision per request and office and none by the requester, and a chain that verifies.
#[track_caller]
pub fn expect_whole(cluster: &Cluster) {
    for half in [
        "select count(*) from events e where not exists (select from occasions o where o.event_id = e.id)",
        "select count(*) from events e where not exists (select from event_organisers o where o.event_id = e.id)",
        "select count(*) from changes c where not exists (select from change_payloads p where p.entry_id = c.entry_id)",
        "select count(*) from events e where title like 'Dag %' and not exists (
            select from idempotency_records r where r.location like '%' || e.id)",
        DECIDED_TWICE,
        DECIDED_BY_THE_REQUESTER,
    ] {
        assert_eq!(cluster.count(half), 0, "{half}");
    }
    for (table, resource) in [
        ("events", "event"),
        ("follow_ups", "followUp"),
        ("exception_requests", "exceptionRequest"),
        ("units", "unit"),
        ("people", "person"),
    ] {
        let gaps = format!(
            "select count(*) from {table} r where (select array_agg(c.revision order by c.revision) from changes c
                where c.resource_type = '{resource}' and c.resource_id = r.id and c.operation <> 'remind')
             is distinct from array(select generate_series(1, r.revision))"
        );
        assert_eq!(cluster.count(&gaps), 0, "{gaps}");
    }
    let verdict = cluster.verify_audit();
    assert!(verdict.is_ok(), "verify-audit: {verdict:?}");
}

const DECIDED_TWICE: &str = "select count(*) from (
    select from decisions group by request_id, office_type, unit_id having count(*) > 1) twice";
const DECIDED_BY_THE_REQUESTER: &str = "select count(*) from decisions d
    join exception_requests r on r.id = d.request_id where r.requested_by = d.person_ref";

/// The sequencer goes on after whatever happened: every entry of the change log gets its number.
#[track_caller]
pub fn expect_numbered(cluster: &Cluster) {
    let begun = std::time::Instant::now();
    while cluster.count("select count(*) from changes where number is null") > 0 {
        assert!(begun.elapsed().as_secs() < 20, "every entry is numbered");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

struct StopsAtEnd<'a>(&'a AtomicBool);

impl Drop for StopsAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn an_event_that_was_acknowledged_and_is_not_there_is_lost_and_one_that_nobody_was_told_of_is_doubled()
 {
    let cluster = Cluster::new();
    let program = crate::program::Program::start(&cluster.url("kompetens_service", "kompetens"));
    let ledger = Ledger::default();
    let mut client = Client::new(program.address, &HR);
    assert!(ledger.write(&mut client));
    assert_eq!(ledger.lost_and_doubled(&cluster), (0, 0));
    let untold = planning_day("Dag som ingen hörde av");
    client.send("POST", "/events", &[], Some(&untold)).unwrap();
    assert_eq!(ledger.lost_and_doubled(&cluster), (0, 1));
    let mut refused = ledger.acknowledged.lock().unwrap()[0].clone();
    refused.1.body = r#"{"id": "0190a000-0000-7000-8000-00000000ffff"}"#.to_owned();
    ledger.acknowledged.lock().unwrap().push(refused);
    assert_eq!(ledger.lost_and_doubled(&cluster), (1, 1));
}

#[test]
fn the_oracle_sees_a_half_event_a_gap_a_second_decision_and_a_chain_that_was_changed() {
    let cluster = Cluster::new();
    let program = crate::program::Program::start(&cluster.url("kompetens_service", "kompetens"));
    let ledger = Ledger::default();
    assert!(ledger.write(&mut Client::new(program.address, &HR)));
    expect_numbered(&cluster);
    expect_whole(&cluster);
    drop(program);
    for (number, harm) in [
        "delete from occasions where event_id in (select id from events where title like 'Dag %')",
        "delete from event_organisers where event_id in (select id from events where title like 'Dag %')",
        "delete from idempotency_records",
        "update events set revision = revision + 1",
        "update changes set actor = 'person-0002' where number = 7",
        "update change_payloads set after = '{}' where entry_id = (select entry_id from changes where number = 7)",
        "delete from changes where number = 7",
        "alter table decisions drop constraint decisions_one_per_office;
         insert into decisions select gen_random_uuid(), request_id, office_appointment_id, office_type, unit_id, person_ref,
            capacity, outcome, reasons, conditions, basis, decided_at from decisions limit 1",
        "update exception_requests set requested_by = (select person_ref from decisions where request_id = exception_requests.id limit 1)
            where id in (select request_id from decisions)",
    ]
    .iter()
    .enumerate()
    {
        // each harm on a copy of its own
        let copy = format!("harmed_{number}");
        let mut admin = cluster.admin("postgres");
        admin
            .batch_execute(&format!("create database {copy} template kompetens"))
            .unwrap();
        cluster.admin(&copy)
            .batch_execute(&format!("set session_replication_role = replica; {harm}"))
            .unwrap();
        cluster.look_into(&copy);
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            expect_whole(&cluster);
        }));
        assert!(seen.is_err(), "{harm}");
    }
}
