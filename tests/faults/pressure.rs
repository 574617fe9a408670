//! More than the service can hold: slow clients, slow requests, few descriptors, no log.

use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::ledger::Ledger;
use crate::program::{Client, HR, Program, free_address};
use crate::wire::{Line, Wire};
use crate::{judge, rounds};

/// How a client can be slow.
#[derive(Debug, Clone, Copy)]
enum Slow {
    SaysNothing,
    FirstHead,
    Body,
    SecondHead,
    NeverReads,
}

fn connect_slowly(address: SocketAddr, slow: Slow) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    let head = |line: &str| {
        format!(
            "{line} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\n",
            *HR
        )
    };
    match slow {
        Slow::SaysNothing => {}
        Slow::FirstHead => stream.write_all(b"GET /kompetens/v1/units HTTP/1.1\r\nHost: te")?,
        Slow::Body => {
            let text = head("POST /kompetens/v1/events")
                + "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{";
            stream.write_all(text.as_bytes())?;
        }
        Slow::SecondHead => {
            stream.write_all((head("GET /kompetens/v1/api-info") + "\r\n").as_bytes())?;
            let _ = stream.read(&mut [0; 4096]);
            stream.write_all(b"GET /kompetens/v1/units HTTP/1.1\r\nHost: te")?;
        }
        Slow::NeverReads => {
            let text = head("GET /kompetens/v1/openapi.json") + "\r\n";
            for _ in 0..20 {
                // the service reads no more once its answers are not taken
                if stream.write_all(text.as_bytes()).is_err() {
                    break;
                }
            }
        }
    }
    Ok(stream)
}

/// The p99 of so many reads at a quiet moment of the machine: what else it does only adds.
fn quiet_p99(client: &mut Client, reads: usize) -> Duration {
    (0..5).map(|_| p99(client, reads)).min().unwrap()
}

/// The time of so many reads, the slowest hundredth left out.
fn p99(client: &mut Client, reads: usize) -> Duration {
    let mut times: Vec<Duration> = (0..reads)
        .map(|_| {
            let begun = Instant::now();
            let reply = client.get("/units?limit=5").unwrap();
            assert_eq!(reply.status, 200, "{}", reply.body);
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[reads * 99 / 100 - 1]
}

#[test]
fn more_slow_clients_of_each_kind_than_the_service_holds_keep_nobody_out() {
    const HELD: usize = 100;
    let cluster = Cluster::new();
    let mut command = Program::command(&cluster.url("kompetens_service", "kompetens"));
    command.env("KOMPETENS_CONNECTIONS", HELD.to_string());
    let program = Program::at(free_address(), &mut command);
    let ledger = Ledger::default();
    let mut client = Client::new(program.address, &HR);
    let reads = rounds(200, 2000);
    let alone = quiet_p99(&mut client, reads);
    let mut slowest = 0.0f64;
    for slow in [
        Slow::SaysNothing,
        Slow::FirstHead,
        Slow::Body,
        Slow::SecondHead,
        Slow::NeverReads,
    ] {
        // one who was there before and goes on, and one who comes when the house is full
        let crowd: Vec<TcpStream> = std::thread::scope(|scope| {
            scope.spawn(|| p99(&mut client, reads));
            (0..HELD * 3 / 2)
                .filter_map(|_| connect_slowly(program.address, slow).ok())
                .collect()
        });
        assert!(crowd.len() > HELD, "{slow:?}: {} of them", crowd.len());
        let times_slower = quiet_p99(&mut client, reads).as_secs_f64() / alone.as_secs_f64();
        slowest = slowest.max(times_slower);
        assert!(
            times_slower < rounds(20, 2) as f64,
            "{slow:?}: p99 of reads is {times_slower:.2} times that without them"
        );
        let mut newcomer = Client::new(program.address, &HR);
        assert!(
            ledger.write(&mut newcomer),
            "{slow:?}: a newcomer is served"
        );
        let (_, descriptors, _) = program.footprint();
        assert!(
            descriptors < 2 * HELD + 60,
            "{slow:?}: {descriptors} descriptors"
        );
    }
    judge(
        "clients: 150 slow ones of each of five kinds, 100 held",
        5,
        &ledger,
        &cluster,
        program.address,
        format!("p99 of the others {slowest:.2} times that without them"),
    );
}

#[test]
fn two_connections_under_200_slow_requests_answer_everyone() {
    let cluster = Cluster::new();
    let wire = Wire::to(cluster.socket());
    let mut command = Program::command(&wire.url());
    command.env("KOMPETENS_DATABASE_CONNECTIONS", "2");
    let program = Program::at(free_address(), &mut command);
    let ledger = Ledger::default();
    wire.is(Line::Delay(Duration::from_millis(20)));
    std::thread::scope(|scope| {
        for _ in 0..200 {
            scope.spawn(|| ledger.write(&mut Client::new(program.address, &HR)));
        }
    });
    wire.is(Line::Pass);
    let refused = ledger.refused.lock().unwrap().len();
    judge(
        "database: two connections, 200 slow requests at once",
        1,
        &ledger,
        &cluster,
        program.address,
        format!("{refused} asked to come back"),
    );
}

#[test]
fn with_64_descriptors_it_serves_on_after_200_connections() {
    let cluster = Cluster::new();
    let mut command = Program::command(&cluster.url("kompetens_service", "kompetens"));
    let few = || {
        let limit = rustix::process::Rlimit {
            current: Some(64),
            maximum: Some(64),
        };
        Ok(rustix::process::setrlimit(
            rustix::process::Resource::Nofile,
            limit,
        )?)
    };
    // SAFETY: between fork and exec the closure makes one system call.
    #[allow(unsafe_code, reason = "a limit of the child alone")]
    unsafe {
        command.pre_exec(few);
    }
    let program = Program::at(free_address(), &mut command);
    let ledger = Ledger::default();
    let crowd: Vec<_> = (0..200)
        .filter_map(|_| TcpStream::connect_timeout(&program.address, Duration::from_secs(1)).ok())
        .collect();
    let mut client = Client::new(program.address, &HR);
    let begun = Instant::now();
    while !ledger.write(&mut client) {
        assert!(begun.elapsed() < Duration::from_secs(20), "it serves on");
    }
    let begun = begun.elapsed();
    drop(crowd);
    judge(
        "service: 64 descriptors, 200 connections",
        1,
        &ledger,
        &cluster,
        program.address,
        format!("served {} ms after", begun.as_millis()),
    );
}

#[test]
fn without_anyone_to_read_its_log_it_serves_on() {
    let cluster = Cluster::new();
    let mut command = Program::command(&cluster.url("kompetens_service", "kompetens"));
    command.stderr(Stdio::piped());
    let mut program = Program::at(free_address(), &mut command);
    program.close_log();
    let ledger = Ledger::default();
    let mut client = Client::new(program.address, &HR);
    for _ in 0..50 {
        assert!(ledger.write(&mut client));
    }
    judge(
        "service: its log output gone",
        1,
        &ledger,
        &cluster,
        program.address,
        String::new(),
    );
}

#[test]
fn after_a_storm_threads_descriptors_memory_and_transactions_are_where_they_were() {
    let cluster = Cluster::new();
    let wire = Wire::to(cluster.socket());
    let program = Program::start(&wire.url());
    let ledger = Ledger::default();
    let storm = || {
        let stop = AtomicBool::new(false);
        ledger.writers(program.address, 16, &stop, || {
            for _ in 0..rounds(2, 10) {
                ledger.await_more(100);
                cluster.signal_all(Signal::STOP);
                std::thread::sleep(Duration::from_millis(1200));
                cluster.signal_all(Signal::CONT);
                wire.is(Line::Reset);
                std::thread::sleep(Duration::from_millis(50));
                wire.is(Line::Pass);
            }
            ledger.await_more(100);
        });
        stop.load(Ordering::SeqCst)
    };
    storm();
    let settled = || {
        let begun = Instant::now();
        let idle = "select count(*) from pg_stat_activity where usename = 'kompetens_service' and state like 'idle in transaction%'";
        while cluster.count(idle) > 0 && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(cluster.count(idle), 0);
        std::thread::sleep(Duration::from_millis(200));
        program.footprint()
    };
    let (threads, descriptors, memory) = settled();
    storm();
    let after = settled();
    assert!(after.0 <= threads, "threads: {threads}, then {}", after.0);
    assert!(
        after.1 <= descriptors + 4,
        "descriptors: {descriptors}, then {}",
        after.1
    );
    assert!(
        after.2 <= memory + memory / 4 + 4096,
        "memory: {memory} kB, then {} kB",
        after.2
    );
    judge(
        "service: two storms in a row",
        2,
        &ledger,
        &cluster,
        program.address,
        format!(
            "threads {threads} → {}, descriptors {descriptors} → {}, memory {} → {} MB",
            after.0,
            after.1,
            memory / 1024,
            after.2 / 1024
        ),
    );
}
