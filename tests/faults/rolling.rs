//! Stopping, starting, replacing, migrating, copying: what operators do while clients go on.

use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::cluster::{Cluster, postgres, run};
use crate::ledger::{Ledger, expect_whole};
use crate::program::{Client, HR, Program, ask_operations, free_address, kompetens};
use crate::{judge, rounds};

#[test]
fn sigterm_under_load_finishes_every_request_that_was_taken() {
    let cluster = Cluster::new();
    let url = cluster.url("kompetens_service", "kompetens");
    let ledger = Ledger::default();
    let address = free_address();
    let rounds = rounds(3, 50);
    let mut slowest = Duration::ZERO;
    for _ in 0..rounds {
        let mut program = Program::at(address, &mut Program::command(&url));
        let stop = AtomicBool::new(false);
        ledger.writers(address, 16, &stop, || {
            ledger.await_more(16);
            program.signal(Signal::TERM);
            // clients go elsewhere when it is no longer ready, as a balancer would have them do; what they sent until then is answered
            while ask_operations(&program, "/readyz").0 == 200 {}
            stop.store(true, Ordering::SeqCst);
            slowest = slowest.max(program.await_end());
        });
    }
    assert!(slowest < Duration::from_secs(25), "{slowest:?}");
    let unanswered = ledger.unknown.lock().unwrap().len();
    assert_eq!(unanswered, 0, "requests that were sent and not answered");
    let _program = Program::at(address, &mut Program::command(&url));
    judge(
        "service: SIGTERM under 16 writers",
        rounds,
        &ledger,
        &cluster,
        address,
        format!("ended within {} ms", slowest.as_millis()),
    );
}

/// The control: killed instead of told to end, it leaves requests without an answer.
#[test]
fn kill_under_load_leaves_requests_without_an_answer() {
    let cluster = Cluster::new();
    let ledger = Ledger::default();
    let unanswered = (0..20).any(|_| {
        let mut program = Program::start(&cluster.url("kompetens_service", "kompetens"));
        let stop = AtomicBool::new(false);
        ledger.writers(program.address, 16, &stop, || {
            ledger.await_more(32);
            program.kill();
        });
        !ledger.unknown.lock().unwrap().is_empty()
    });
    assert!(unanswered, "it happens");
}

/// A balancer as small as one can be: it hands each new connection to an instance that says it is ready.
struct Balancer {
    address: SocketAddr,
    ready: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Balancer {
    fn new() -> Balancer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ready: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
        let instances = ready.clone();
        std::thread::spawn(move || {
            for (turn, client) in listener.incoming().flatten().enumerate() {
                let instance = {
                    let ready = instances.lock().unwrap();
                    ready.get(turn % ready.len().max(1)).copied()
                };
                if let Some(server) = instance.and_then(|at| TcpStream::connect(at).ok()) {
                    carry(client.try_clone().unwrap(), server.try_clone().unwrap());
                    carry(server, client);
                }
            }
        });
        Balancer { address, ready }
    }

    /// Takes in or leaves out, as `/readyz` says.
    fn look_at(&self, program: &Program) -> bool {
        let (status, _) = ask_operations(program, "/readyz");
        let mut ready = self.ready.lock().unwrap();
        ready.retain(|known| *known != program.address);
        if status == 200 {
            ready.push(program.address);
        }
        status == 200
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let mut chunk = [0; 65536];
        while let Ok(count) = from.read(&mut chunk) {
            if count == 0 || to.write_all(&chunk[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}

#[test]
fn rolling_restarts_of_two_instances_behind_a_balancer_fail_no_request() {
    let cluster = Cluster::new();
    let url = cluster.url("kompetens_service", "kompetens");
    let balancer = Balancer::new();
    let start = || {
        let program = Program::start(&url);
        while !balancer.look_at(&program) {
            std::thread::sleep(Duration::from_millis(5));
        }
        program
    };
    let mut instances = [start(), start()];
    let ledger = Ledger::default();
    let stop = AtomicBool::new(false);
    let rounds = rounds(2, 20);
    ledger.writers(balancer.address, 8, &stop, || {
        for round in 0..rounds {
            ledger.await_more(8);
            let old = &mut instances[round % 2];
            old.signal(Signal::TERM);
            while balancer.look_at(old) {
                std::thread::sleep(Duration::from_millis(5));
            }
            old.await_end();
            instances[round % 2] = start();
        }
        ledger.await_more(8);
    });
    let failed = (
        ledger.unknown.lock().unwrap().len(),
        ledger.refused.lock().unwrap().len(),
    );
    assert_eq!(failed, (0, 0), "requests without an answer, and refused");
    judge(
        "two instances: restarted in turn behind a balancer",
        rounds,
        &ledger,
        &cluster,
        balancer.address,
        "no request failed".to_owned(),
    );
}

#[test]
fn two_migrators_at_once_both_succeed() {
    let cluster = Cluster::new();
    let rounds = rounds(2, 20);
    for round in 0..rounds {
        let database = format!("fresh_{round}");
        let mut admin = cluster.admin("postgres");
        diesel::connection::SimpleConnection::batch_execute(
            &mut admin,
            &format!("create database {database} owner kompetens_owner"),
        )
        .unwrap();
        let owner = cluster.url("kompetens_owner", &database);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    run(kompetens()
                        .args(["migrate", "--grant-to", "kompetens_service"])
                        .env("KOMPETENS_MIGRATION_DATABASE_URL", &owner));
                });
            }
        });
    }
    println!(
        "\n| operators: two migrators at once | {rounds} | {0} | {0} | 0 | 0 | 0 | both succeed |",
        rounds * 2
    );
}

/// The control: without the lock that `kompetens migrate` takes, one of two that begin together fails.
#[test]
fn two_migrators_without_the_lock_get_in_each_others_way() {
    use diesel::Connection;
    use diesel_migrations::{FileBasedMigrations, MigrationHarness};
    let cluster = Cluster::new();
    let collided = (0..20).any(|round| {
        let database = format!("unlocked_{round}");
        let mut admin = cluster.admin("postgres");
        diesel::connection::SimpleConnection::batch_execute(
            &mut admin,
            &format!("create database {database} owner kompetens_owner"),
        )
        .unwrap();
        let owner = cluster.url("kompetens_owner", &database);
        let together = std::sync::Barrier::new(2);
        let migrate = || {
            let mut conn = diesel::PgConnection::establish(&owner).unwrap();
            let migrations = FileBasedMigrations::find_migrations_directory().unwrap();
            together.wait();
            conn.run_pending_migrations(migrations).is_ok()
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(migrate);
            let one = migrate();
            !(other.join().unwrap() && one)
        })
    });
    assert!(collided, "it happens");
}

#[test]
fn a_dump_taken_under_load_restores_to_a_whole_database_that_serves() {
    let cluster = Cluster::new();
    let url = cluster.url("kompetens_service", "kompetens");
    let program = Program::start(&url);
    let ledger = Ledger::default();
    let stop = AtomicBool::new(false);
    let dump = cluster.home.join("kompetens.dump");
    let mut kept = String::new();
    ledger.writers(program.address, 8, &stop, || {
        ledger.await_more(30);
        // the commands of docs/OPERATIONS.md
        kept = cluster.verify_audit().unwrap();
        run(postgres("pg_dump")
            .args(["--format=custom", "--file"])
            .arg(&dump)
            .arg(cluster.url("kompetens_owner", "kompetens")));
        ledger.await_more(30);
    });
    stop.store(true, Ordering::SeqCst);
    let acknowledged = ledger.acknowledged.lock().unwrap().len();
    run(postgres("createdb").arg("--host").arg(&cluster.home).args([
        "--username=postgres",
        "--owner=kompetens_owner",
        "kompetens_restored",
    ]));
    let restored = cluster.url("kompetens_owner", "kompetens_restored");
    run(postgres("pg_restore")
        .args([
            "--exit-on-error",
            "--single-transaction",
            "--no-owner",
            "--no-privileges",
        ])
        .arg(format!("--dbname={restored}"))
        .arg(&dump));
    run(kompetens()
        .args(["migrate", "--grant-to", "kompetens_service"])
        .env("KOMPETENS_MIGRATION_DATABASE_URL", &restored));
    // the head that was kept elsewhere when the dump was taken stands in what was restored
    let kept = kept
        .lines()
        .find_map(|line| line.strip_prefix("head "))
        .unwrap();
    run(kompetens()
        .args(["verify-audit", "--head", kept])
        .env("DATABASE_URL", &restored));
    cluster.look_into("kompetens_restored");
    expect_whole(&cluster);
    let stored =
        usize::try_from(cluster.count("select count(*) from events where title like 'Dag %'"))
            .unwrap();
    assert!(
        (30..=acknowledged).contains(&stored),
        "{stored} of {acknowledged}"
    );
    let again = Program::start(&cluster.url("kompetens_service", "kompetens_restored"));
    assert!(ask_operations(&again, "/readyz").0 == 200);
    assert!(ledger.write(&mut Client::new(again.address, &HR)));
    println!(
        "\n| backup: dumped under 8 writers, restored | 1 | {} | {acknowledged} | 0 | 0 | 0 | {stored} events in the dump, whole; it serves on |",
        ledger.requests()
    );
}
