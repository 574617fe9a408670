//! PostgreSQL freezes, fills its disk, runs out of connections, turns read-only, fails over, holds a lock.

use rustix::process::Signal;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, run, scratch};
use crate::ledger::{Ledger, planning_day};
use crate::program::{Client, HR, Program, ask_operations};
use crate::wire::Wire;
use crate::{judge, rounds};

#[test]
fn a_frozen_postgresql_is_503_soon_then_at_once_and_2xx_soon_after_it_goes_on() {
    let cluster = Cluster::new();
    let program = Program::start(&cluster.url("kompetens_service", "kompetens"));
    let ledger = Ledger::default();
    let stop = AtomicBool::new(false);
    let seconds = rounds(3, 30) as u64;
    let mut notes = String::new();
    ledger.writers(program.address, 8, &stop, || {
        ledger.await_more(8);
        cluster.signal_all(Signal::STOP);
        let frozen = Instant::now();
        let mut client = Client::new(program.address, &HR);
        let mut slowest_live = Duration::ZERO;
        let mut first = None;
        let mut slowest_later = Duration::ZERO;
        while frozen.elapsed() < Duration::from_secs(seconds) {
            let begun = Instant::now();
            let reply = client.get("/units").unwrap();
            assert_eq!(reply.status, 503, "{}", reply.body);
            reply.expect_well_formed();
            match first {
                None => first = Some(begun.elapsed()),
                // "at once" is judged once the breaker knows; until then and when it probes, one deadline
                Some(_) => slowest_later = slowest_later.max(begun.elapsed()),
            }
            let (status, live) = ask_operations(&program, "/livez");
            assert_eq!(status, 200);
            slowest_live = slowest_live.max(live);
            std::thread::sleep(Duration::from_millis(20));
        }
        let first = first.unwrap();
        assert!(first < Duration::from_millis(6500), "{first:?}");
        cluster.signal_all(Signal::CONT);
        let back = Instant::now();
        while client.get("/units").unwrap().status != 200 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let back = back.elapsed();
        assert!(back < Duration::from_secs(2), "{back:?}");
        // on a machine that compiles meanwhile, or with the debug build, time is no measure
        let limit = rounds(500, 50) as u64;
        assert!(
            slowest_live < Duration::from_millis(limit),
            "{slowest_live:?}"
        );
        notes = format!(
            "first 503 after {} ms, 2xx {} ms after it went on, slowest `/livez` {} ms",
            first.as_millis(),
            back.as_millis(),
            slowest_live.as_millis()
        );
        ledger.await_more(8);
    });
    judge(
        "PostgreSQL: frozen (SIGSTOP)",
        1,
        &ledger,
        &cluster,
        program.address,
        notes,
    );
}

#[test]
fn a_full_disk_refuses_writes_and_goes_on_reading() {
    // a small disk for the data, which takes root; without it there is nothing to fill
    let disk = scratch().join("disk");
    std::fs::create_dir_all(&disk).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=48m,mode=0777", "tmpfs"])
        .arg(&disk)
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        println!("not tried: a disk can be mounted by root only");
        return;
    }
    let _unmount = Unmount(&disk);
    let cluster = Cluster::new();
    std::fs::create_dir_all(disk.join("space")).unwrap();
    run(crate::cluster::postgres("initdb").arg("--version"));
    run(Command::new("chown")
        .arg("--reference")
        .arg(&cluster.home)
        .arg(disk.join("space")));
    cluster.admin("postgres").batch(&format!(
        "create tablespace small location '{}'",
        disk.join("space").display()
    ));
    cluster
        .admin("postgres")
        .batch("alter database kompetens set tablespace small");
    let program = Program::start(&cluster.url("kompetens_service", "kompetens"));
    let ledger = Ledger::default();
    let mut client = Client::new(program.address, &HR);
    assert!(ledger.write(&mut client));
    std::fs::write(disk.join("filler"), vec![0; 48 << 20]).unwrap_err();
    let mut refused = 0;
    for _ in 0..200 {
        refused += usize::from(!ledger.write(&mut client));
        let read = client.get("/events?limit=5").unwrap();
        assert_eq!(read.status, 200, "reads go on: {}", read.body);
    }
    assert!(refused > 0, "the disk is full");
    std::fs::remove_file(disk.join("filler")).unwrap();
    ledger.await_success(&mut client);
    judge(
        "PostgreSQL: its disk full",
        1,
        &ledger,
        &cluster,
        program.address,
        format!("{refused} writes refused, reads go on"),
    );
}

struct Unmount<'a>(&'a std::path::Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

#[test]
fn connections_used_up_is_503_until_one_is_free() {
    let cluster = Cluster::with(&["max_connections=12", "superuser_reserved_connections=3"]);
    let hold = || {
        let url = cluster.url("kompetens_owner", "kompetens");
        std::iter::from_fn(|| diesel::Connection::establish(&url).ok())
            .collect::<Vec<diesel::PgConnection>>()
    };
    let held = hold();
    let program = Program::start(&cluster.url("kompetens_service", "kompetens"));
    let ledger = Ledger::default();
    let mut client = Client::new(program.address, &HR);
    for _ in 0..5 {
        assert!(!ledger.write(&mut client));
    }
    drop(held);
    ledger.await_success(&mut client);
    judge(
        "PostgreSQL: its connections used up",
        1,
        &ledger,
        &cluster,
        program.address,
        String::new(),
    );
}

#[test]
fn a_read_only_postgresql_refuses_writes_and_goes_on_reading() {
    let cluster = Cluster::new();
    let program = Program::start(&cluster.url("kompetens_service", "kompetens"));
    let ledger = Ledger::default();
    let mut client = Client::new(program.address, &HR);
    assert!(ledger.write(&mut client));
    cluster.set("default_transaction_read_only", "on");
    cluster.await_setting("default_transaction_read_only", "on");
    std::thread::sleep(Duration::from_millis(100));
    for _ in 0..20 {
        assert!(!ledger.write(&mut client));
        assert_eq!(client.get("/events?limit=5").unwrap().status, 200);
    }
    cluster.set("default_transaction_read_only", "off");
    ledger.await_success(&mut client);
    judge(
        "PostgreSQL: read-only",
        1,
        &ledger,
        &cluster,
        program.address,
        "reads go on".to_owned(),
    );
}

#[test]
fn a_failover_to_a_promoted_standby_loses_nothing_that_was_acknowledged() {
    let cluster = Cluster::with(&["fsync=off", "synchronous_commit=remote_apply"]);
    let standby = cluster.standby();
    cluster.set("synchronous_standby_names", "*");
    cluster.await_setting("synchronous_standby_names", "*");
    let wire = Wire::to(cluster.socket());
    let program = Program::start(&wire.url());
    let ledger = Ledger::default();
    let stop = AtomicBool::new(false);
    ledger.writers(program.address, 8, &stop, || {
        ledger.await_more(30);
        cluster.signal(Signal::KILL);
        // what the old server had not told anybody is settled by the new one
        standby.admin("postgres").batch("select pg_promote()");
        wire.leads_to(standby.socket());
        ledger.await_more(30);
    });
    judge(
        "PostgreSQL: failed over to a promoted standby",
        1,
        &ledger,
        &standby,
        program.address,
        String::new(),
    );
}

/// The control: without synchronous replication, a standby that has fallen behind loses what was acknowledged, and the oracle sees it.
#[test]
fn a_failover_to_a_standby_that_has_fallen_behind_loses_what_was_acknowledged() {
    let cluster = Cluster::with(&["fsync=off"]);
    let standby = cluster.standby();
    let program = Program::start(&cluster.url("kompetens_service", "kompetens"));
    let ledger = Ledger::default();
    let mut client = Client::new(program.address, &HR);
    standby.signal_all(Signal::STOP);
    for _ in 0..300 {
        assert!(ledger.write(&mut client));
    }
    cluster.signal_all(Signal::KILL);
    cluster.await_end();
    standby.signal_all(Signal::CONT);
    standby.admin("postgres").batch("select pg_promote()");
    let (lost, _) = ledger.lost_and_doubled(&standby);
    assert!(lost > 0, "{lost} lost");
}

#[test]
fn a_row_held_by_another_is_503_for_those_who_need_it_only() {
    let cluster = Cluster::new();
    let program = Program::start(&cluster.url("kompetens_service", "kompetens"));
    let ledger = Ledger::default();
    let mut client = Client::new(program.address, &HR);
    let other = client
        .send("POST", "/events", &[], Some(&planning_day("Hålls fast")))
        .unwrap();
    let mut holder = cluster.admin("kompetens");
    holder.batch(&format!(
        "begin; select 1 from events where id = '{}' for update",
        other.id()
    ));
    let stop = AtomicBool::new(false);
    let refused = std::sync::atomic::AtomicU64::new(0);
    ledger.writers(program.address, 4, &stop, || {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut client = Client::new(program.address, &HR);
                    let path = format!("/events/{}", other.id());
                    let begun = Instant::now();
                    while begun.elapsed() < Duration::from_secs(2) {
                        let reply = client
                            .send(
                                "PATCH",
                                &path,
                                &[("If-Match", "*")],
                                Some(r#"{"estimatedCost": 1}"#),
                            )
                            .unwrap();
                        assert_eq!(reply.status, 503);
                        reply.expect_well_formed();
                        refused.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
        ledger.await_more(8);
    });
    holder.batch("rollback");
    let refused = refused.into_inner();
    judge(
        "PostgreSQL: a row held by another",
        1,
        &ledger,
        &cluster,
        program.address,
        format!("{refused} who needed it refused, the others go on"),
    );
}

/// Statements whose outcome must be success.
trait Batch {
    fn batch(&mut self, statements: &str);
}

impl Batch for diesel::PgConnection {
    fn batch(&mut self, statements: &str) {
        diesel::connection::SimpleConnection::batch_execute(self, statements).unwrap();
    }
}
