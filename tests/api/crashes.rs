//! The program killed in the middle of writes: what was acknowledged is there, once.

use crate::app::{Caller, fresh_database, scratch, service_url};
use crate::given::Hedemora;
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The program itself, on a database of the tests.
struct Program(Child);

impl Program {
    fn start(database: &str, address: SocketAddr, operations: SocketAddr) -> Program {
        let child = Command::new(env!("CARGO_BIN_EXE_kompetens"))
            .arg("serve")
            .env("DATABASE_URL", service_url(database))
            .env(
                "KOMPETENS_ISSUER",
                kompetens::identity::tokens::LOCAL_ISSUER,
            )
            .env(
                "KOMPETENS_AUDIENCE",
                kompetens::identity::tokens::LOCAL_AUDIENCE,
            )
            .env("KOMPETENS_JWKS_FILE", scratch().join("issuer/jwks.json"))
            .env("KOMPETENS_ADDRESS", address.to_string())
            .env("KOMPETENS_OPERATIONS_ADDRESS", operations.to_string())
            .env("RUST_LOG", "error")
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the program starts");
        let begun = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "the program listens"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        Program(child)
    }

    /// kill -9.
    fn kill(mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port is free")
}

#[test]
fn every_acknowledged_event_is_there_once_after_fifty_kills_in_the_middle_of_writes() {
    let hedemora = Hedemora::on(&fresh_database());
    let (address, operations) = (free_address(), free_address());
    let url = format!("http://{address}/kompetens/v1/events");
    let body = |number: u32| {
        let mut event = hedemora.planning_day(&hedemora.town_hall);
        event["title"] = json!(format!("Dag {number}"));
        event.to_string()
    };
    let acknowledged: Mutex<Vec<(u32, String)>> = Mutex::default();
    let numbers = std::sync::atomic::AtomicU32::new(0);
    let send = |caller: &Caller, number: u32| {
        let key = format!("key-{number}");
        let sent = hedemora.app.try_send(
            caller,
            "POST",
            &url,
            &[("Idempotency-Key", &key)],
            Some(&body(number)),
        );
        match sent {
            Ok(reply) if reply.status == 201 => {
                acknowledged.lock().unwrap().push((number, reply.id()));
                true
            }
            _ => false,
        }
    };

    for round in 0..50 {
        let program = Program::start(&hedemora.app.database, address, operations);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        send(&hedemora.planner, numbers.fetch_add(1, Ordering::Relaxed));
                    }
                });
            }
            // once writes are going through, not always at the same moment
            let (before, begun) = (acknowledged.lock().unwrap().len(), Instant::now());
            while acknowledged.lock().unwrap().len() < before + 4 {
                assert!(
                    begun.elapsed() < Duration::from_secs(10),
                    "writes go through"
                );
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(round % 7 * 3));
            program.kill();
            stop.store(true, Ordering::Relaxed);
        });
    }

    // whoever got no answer sends the same again with the same key: once is once
    let program = Program::start(&hedemora.app.database, address, operations);
    let answered: Vec<u32> = acknowledged
        .lock()
        .unwrap()
        .iter()
        .map(|(number, _)| *number)
        .collect();
    let unanswered: Vec<u32> = (0..numbers.load(Ordering::Relaxed))
        .filter(|number| !answered.contains(number))
        .collect();
    for number in &unanswered {
        assert!(
            send(&hedemora.planner, *number),
            "the retry of {number} is answered"
        );
    }
    program.kill();

    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(
        answered.len() >= 50,
        "writes were under way: {}",
        answered.len()
    );
    let events = hedemora.app.count("select count(*) from events");
    assert_eq!(
        events,
        acknowledged.len() as i64,
        "every acknowledged event once, and nothing else"
    );
    assert_eq!(hedemora.app.count("select count(*) from events e where not exists (select from occasions o where o.event_id = e.id)"), 0);
    assert_eq!(
        hedemora
            .app
            .count("select count(*) from changes where resource_type = 'event'"),
        events
    );
    assert_eq!(
        hedemora
            .app
            .count("select count(*) from idempotency_records"),
        events
    );
    for (number, id) in acknowledged.iter().step_by(acknowledged.len() / 20 + 1) {
        let event: Value = hedemora
            .app
            .get(&hedemora.hr, &format!("/events/{id}"))
            .expect(200)
            .body;
        assert_eq!(event["title"], json!(format!("Dag {number}")));
    }
}
