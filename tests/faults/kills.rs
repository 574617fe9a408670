//! The service itself is killed, and PostgreSQL under it.

use rustix::process::Signal;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::ledger::Ledger;
use crate::program::{Program, free_address};
use crate::wire::Wire;
use crate::{judge, rounds};

#[test]
fn the_service_killed_under_16_writers_loses_and_doubles_nothing() {
    let cluster = Cluster::new();
    let ledger = Ledger::default();
    let address = free_address();
    let url = cluster.url("kompetens_service", "kompetens");
    let rounds = rounds(10, 200);
    for round in 0..rounds {
        let mut program = Program::at(address, &mut Program::command(&url));
        let stop = AtomicBool::new(false);
        ledger.writers(address, 16, &stop, || {
            ledger.await_more(16);
            // not always at the same moment
            std::thread::sleep(Duration::from_millis(round as u64 % 7 * 3));
            program.kill();
        });
    }
    let _program = Program::at(address, &mut Program::command(&url));
    judge(
        "service: kill -9 under 16 writers",
        rounds,
        &ledger,
        &cluster,
        address,
        String::new(),
    );
}

#[test]
fn backends_terminated_under_writers_are_not_noticed_but_by_the_clock() {
    let cluster = Cluster::new();
    let program = Program::start(&cluster.url("kompetens_service", "kompetens"));
    let ledger = Ledger::default();
    let stop = AtomicBool::new(false);
    let rounds = rounds(10, 200);
    ledger.writers(program.address, 8, &stop, || {
        for _ in 0..rounds {
            ledger.await_more(8);
            cluster.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'kompetens_service'");
        }
    });
    judge(
        "PostgreSQL: every backend terminated",
        rounds,
        &ledger,
        &cluster,
        program.address,
        String::new(),
    );
}

/// PostgreSQL ends by this signal under writers and comes back, several times.
fn postgresql_ends(fault: &str, signal: Signal, all: usize) {
    let cluster = Cluster::with(&["fsync=off"]);
    // a line in between, so that the service sees a host that goes on
    let wire = Wire::to(cluster.socket());
    let program = Program::start(&wire.url());
    let ledger = Ledger::default();
    let stop = AtomicBool::new(false);
    let rounds = rounds(3, all);
    ledger.writers(program.address, 8, &stop, || {
        for _ in 0..rounds {
            ledger.await_more(8);
            cluster.signal(signal);
            cluster.restart();
        }
        ledger.await_more(8);
    });
    judge(
        fault,
        rounds,
        &ledger,
        &cluster,
        program.address,
        String::new(),
    );
}

#[test]
fn postgresql_stopped_at_once_and_started_again_loses_nothing() {
    postgresql_ends("PostgreSQL: stopped at once (SIGQUIT)", Signal::QUIT, 50);
}

#[test]
fn postgresql_killed_and_started_again_loses_nothing() {
    postgresql_ends("PostgreSQL: kill -9", Signal::KILL, 50);
}
