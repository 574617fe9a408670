//! Receivers of webhooks that do everything a receiver should not, beside one that behaves.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::ledger::Ledger;
use crate::lies::{Lies, NAME};
use crate::program::{Client, HR, Program, free_address};
use crate::{judge, rounds};

/// How a receiver answers what it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    Well,
    AfterThreeSeconds,
    Never,
    OneByteAtATime,
    HeadWithoutEnd,
    HugeHeader,
    BodyWithoutEnd,
    GzipBomb,
    RedirectInside,
    HalfAHead,
    HalfABody,
    Nothing,
    NoHttp,
    HintsWithoutEnd,
    GarbageForTls,
    NeverForTls,
}

use Answers::*;

/// 100 MB of zeros.
static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut gzip = Command::new("gzip")
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut zeros = gzip.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || {
        for _ in 0..100 {
            zeros.write_all(&vec![0; 1 << 20]).unwrap();
        }
    });
    let mut bomb = Vec::new();
    gzip.stdout.take().unwrap().read_to_end(&mut bomb).unwrap();
    feeding.join().unwrap();
    gzip.wait().unwrap();
    bomb
});

struct Receiver {
    answers: Answers,
    address: SocketAddr,
    /// The numbers of the changes that it was told of, in order.
    heard: Arc<Mutex<Vec<i64>>>,
}

impl Receiver {
    fn new(answers: Answers) -> Receiver {
        Receiver::at("127.0.0.1:0".parse().unwrap(), answers)
    }

    fn at(address: SocketAddr, answers: Answers) -> Receiver {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let heard: Arc<Mutex<Vec<i64>>> = Arc::default();
        let told = heard.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let told = told.clone();
                std::thread::spawn(move || answer(answers, stream, &told));
            }
        });
        Receiver {
            answers,
            address,
            heard,
        }
    }

    fn url(&self) -> String {
        let tls = matches!(self.answers, GarbageForTls | NeverForTls);
        let scheme = if tls { "https" } else { "http" };
        format!("{scheme}://{}/hook", self.address)
    }

    fn heard(&self) -> Vec<i64> {
        self.heard.lock().unwrap().clone()
    }
}

/// Serves one connection until either side has had enough.
fn answer(how: Answers, stream: TcpStream, heard: &Mutex<Vec<i64>>) {
    let mut stream = BufReader::new(stream);
    if how == GarbageForTls {
        let _ = stream.get_mut().write_all(&[0x16; 4096]);
        return;
    }
    if how == NeverForTls {
        let _ = stream.read_to_end(&mut Vec::new());
        return;
    }
    while let Some(number) = read(&mut stream) {
        heard.lock().unwrap().push(number);
        let out = stream.get_mut();
        let mut say = |text: &str| out.write_all(text.as_bytes());
        let ended = match how {
            Well | GarbageForTls | NeverForTls => say("HTTP/1.1 204 x\r\n\r\n"),
            AfterThreeSeconds => {
                std::thread::sleep(Duration::from_secs(3));
                say("HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n")
            }
            Never => stream.read_to_end(&mut Vec::new()).and_then(|_| gone()),
            OneByteAtATime => say("HTTP/1.1 200 x\r\nX: ").and_then(|()| {
                while say("y").is_ok() {
                    std::thread::sleep(Duration::from_millis(50));
                }
                gone()
            }),
            HeadWithoutEnd => say("HTTP/1.1 200 x\r\n").and_then(|()| {
                while say("x: y\r\n").is_ok() {}
                gone()
            }),
            HugeHeader => {
                let _ = say(&format!(
                    "HTTP/1.1 200 x\r\nX: {}\r\n\r\n",
                    "y".repeat(4 << 20)
                ));
                gone()
            }
            BodyWithoutEnd => {
                let _ = say("HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n");
                let chunk = format!("10000\r\n{}\r\n", "z".repeat(0x10000));
                while say(&chunk).is_ok() {}
                gone()
            }
            GzipBomb => {
                let _ = say(&format!(
                    "HTTP/1.1 200 x\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
                    BOMB.len()
                ));
                let _ = out.write_all(&BOMB);
                gone()
            }
            RedirectInside => say(&format!(
                "HTTP/1.1 307 x\r\nLocation: http://127.0.0.2:{INSIDE}/hook\r\nContent-Length: 0\r\n\r\n"
            )),
            HalfAHead => say("HTTP/1.1 200 O").and_then(|()| gone()),
            HalfABody => {
                say("HTTP/1.1 200 x\r\nContent-Length: 1000\r\n\r\nhalf").and_then(|()| gone())
            }
            Nothing => gone(),
            NoHttp => say("SSH-2.0-OpenSSH_9.2p1\r\n\r\n").and_then(|()| gone()),
            HintsWithoutEnd => {
                while say("HTTP/1.1 103 x\r\nLink: </a>\r\n\r\n").is_ok() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                gone()
            }
        };
        if ended.is_err() {
            return;
        }
    }
}

fn gone() -> std::io::Result<()> {
    Err(std::io::ErrorKind::ConnectionAborted.into())
}

/// Reads one delivery: the number of the change, 0 for a test.
fn read(stream: &mut BufReader<TcpStream>) -> Option<i64> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let body: Value = serde_json::from_slice(&body).ok()?;
    Some(body["data"]["number"].as_i64().unwrap_or_default())
}

/// The port of an address inside that nothing may call.
const INSIDE: u16 = 48_127;

fn subscribe(client: &mut Client, url: &str) -> String {
    let reply = client
        .send(
            "POST",
            "/webhook-subscriptions",
            &[],
            Some(&json!({"url": url}).to_string()),
        )
        .unwrap();
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.id()
}

fn deliveries(client: &mut Client, subscription: &str) -> Vec<Value> {
    let path = format!("/webhook-subscriptions/{subscription}/deliveries?limit=100");
    let reply = client.get(&path).unwrap();
    reply.json()["items"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

/// The subscriptions of the demo data would be delivered to as well.
fn only_ours(cluster: &Cluster) {
    cluster.sql("update webhook_subscriptions set status = 'paused'");
}

#[track_caller]
fn within(limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < limit, "{what} within {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    begun.elapsed()
}

fn last_number(cluster: &Cluster) -> i64 {
    crate::ledger::expect_numbered(cluster);
    cluster.count("select max(number) from changes")
}

#[test]
fn receivers_that_do_what_they_should_not_harm_neither_the_service_nor_the_receiver_beside_them() {
    let cluster = Cluster::new();
    only_ours(&cluster);
    let mut command = Program::command(&cluster.url("kompetens_service", "kompetens"));
    command.env("KOMPETENS_WEBHOOK_NETWORKS", "127.0.0.1/32");
    let program = Program::at(free_address(), &mut command);
    let inside = Receiver::at(SocketAddr::from(([127, 0, 0, 2], INSIDE)), Well);
    let ledger = Ledger::default();
    let mut client = Client::new(program.address, &HR);
    LazyLock::force(&BOMB);
    ledger.write(&mut client);
    let (threads, descriptors, memory) = program.footprint();
    // what came of an attempt: a status, or why there was none
    let kinds: [(Answers, &[&str]); 15] = [
        (AfterThreeSeconds, &["200"]),
        (Never, &["timeout"]),
        (OneByteAtATime, &["timeout"]),
        (HeadWithoutEnd, &["connection-failed", "timeout"]),
        (HugeHeader, &["connection-failed"]),
        (BodyWithoutEnd, &["200"]),
        (GzipBomb, &["200"]),
        (RedirectInside, &["307"]),
        (HalfAHead, &["connection-failed"]),
        (HalfABody, &["200"]),
        (Nothing, &["connection-failed"]),
        (NoHttp, &["connection-failed"]),
        (HintsWithoutEnd, &["timeout", "connection-failed"]),
        (GarbageForTls, &["tls", "connection-failed"]),
        (NeverForTls, &["timeout"]),
    ];
    let hostile = kinds.map(|(how, outcomes)| {
        let receiver = Receiver::new(how);
        let subscription = subscribe(&mut client, &receiver.url());
        (receiver, subscription, outcomes)
    });
    let good = Receiver::new(Well);
    subscribe(&mut client, &good.url());
    let from = last_number(&cluster);
    let changes = rounds(5, 40);
    for _ in 0..changes {
        assert!(ledger.write(&mut client));
    }
    let last = last_number(&cluster);
    let told = within(
        Duration::from_secs(10),
        "the good one is told of all",
        || good.heard().last() == Some(&last),
    );
    let heard = good.heard();
    assert!(heard.is_sorted(), "in order: {heard:?}");
    let expected: Vec<i64> = (from + 1..=last).collect();
    assert!(
        expected.iter().all(|number| heard.contains(number)),
        "{heard:?}"
    );
    // 15 seconds are what a receiver may take
    for (receiver, subscription, outcomes) in &hostile {
        within(
            Duration::from_secs(25),
            &format!("{:?}", receiver.answers),
            || {
                deliveries(&mut client, subscription).iter().any(|one| {
                    let status = one["responseStatus"].as_i64();
                    let outcome = status.map(|status| status.to_string());
                    let outcome = outcome.or_else(|| one["error"].as_str().map(str::to_owned));
                    let Some(outcome) = outcome else { return false };
                    assert!(
                        outcomes.contains(&outcome.as_str()),
                        "{:?}: {outcome}",
                        receiver.answers
                    );
                    let delivered = one["status"] == "delivered";
                    assert_eq!(delivered, outcome == "200", "{:?}: {one}", receiver.answers);
                    true
                })
            },
        );
    }
    assert_eq!(inside.heard(), [0i64; 0], "nobody follows a redirect");
    let after = program.footprint();
    assert!(
        after.0 <= threads + 40 && after.1 <= descriptors + 100,
        "threads {threads}, then {}; descriptors {descriptors}, then {}",
        after.0,
        after.1
    );
    assert!(
        after.2 < memory + 64 * 1024,
        "memory: {memory} kB, then {} kB",
        after.2
    );
    judge(
        "webhooks: 15 kinds of hostile receivers, one good",
        changes,
        &ledger,
        &cluster,
        program.address,
        format!(
            "the good one told of the last change after {} ms; memory {} → {} MB",
            told.as_millis(),
            memory / 1024,
            after.2 / 1024
        ),
    );
}

#[test]
fn a_crowd_of_receivers_that_never_answer_keeps_none_from_being_told() {
    let cluster = Cluster::new();
    only_ours(&cluster);
    let mut command = Program::command(&cluster.url("kompetens_service", "kompetens"));
    command.env("KOMPETENS_WEBHOOK_NETWORKS", "127.0.0.1/32");
    let program = Program::at(free_address(), &mut command);
    let ledger = Ledger::default();
    let mut client = Client::new(program.address, &HR);
    let silent = rounds(12, 60);
    let crowd: Vec<Receiver> = (0..silent).map(|_| Receiver::new(Never)).collect();
    for one in &crowd {
        subscribe(&mut client, &one.url());
    }
    // the last one made comes last, if there is an order
    let good = Receiver::new(Well);
    subscribe(&mut client, &good.url());
    within(Duration::from_secs(20), "the crowd is at it", || {
        crowd.iter().filter(|one| !one.heard().is_empty()).count() >= silent.min(30)
    });
    let mut slowest = Duration::ZERO;
    for _ in 0..rounds(1, 5) {
        assert!(ledger.write(&mut client));
        let last = last_number(&cluster);
        slowest = slowest.max(within(
            Duration::from_secs(if silent > 30 { 60 } else { 5 }),
            "the good one is told",
            || good.heard().contains(&last),
        ));
    }
    judge(
        "webhooks: a crowd of receivers that never answer",
        silent,
        &ledger,
        &cluster,
        program.address,
        format!("a good one told after {} ms at most", slowest.as_millis()),
    );
}

#[test]
fn a_name_that_moves_inside_is_not_called_there_and_misses_nothing_when_it_is_back() {
    let cluster = Cluster::new();
    only_ours(&cluster);
    let lies = Lies::new();
    let url = cluster.url("kompetens_service", "kompetens");
    let program = Program::at(free_address(), lies.told_to(&mut Program::command(&url)));
    let ledger = Ledger::default();
    let mut client = Client::new(program.address, &HR);
    let good = Receiver::new(Well);
    let port = good.address.port();
    let (here, inside) = (Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2));
    let trap = Receiver::at((inside, port).into(), Well);
    let hook = format!("http://{NAME}:{port}/hook");
    // already inside: not even made
    lies.name_is_at([inside; 2]);
    let refused = client
        .send(
            "POST",
            "/webhook-subscriptions",
            &[],
            Some(&json!({"url": hook}).to_string()),
        )
        .unwrap();
    assert!(
        refused.body.contains("\"webhook-address-refused\""),
        "{}",
        refused.body
    );
    lies.name_is_at([here; 2]);
    let subscription = subscribe(&mut client, &hook);
    assert!(ledger.write(&mut client));
    let last = last_number(&cluster);
    within(Duration::from_secs(5), "it is told", || {
        good.heard().contains(&last)
    });
    // it moves, and then it answers otherwise each time that it is asked, as between check and use
    let mut ahead = 0;
    for addresses in [[inside; 2], [here, inside], [inside, here]] {
        lies.name_is_at(addresses);
        for _ in 0..rounds(4, 30) {
            assert!(ledger.write(&mut client));
            last_number(&cluster);
            ahead += 400;
            lies.clock_is_ahead(ahead);
        }
        within(Duration::from_secs(10), "it is refused", || {
            deliveries(&mut client, &subscription)
                .iter()
                .any(|one| one["error"] == "address-refused")
        });
    }
    assert_eq!(trap.heard(), [0i64; 0], "nobody calls inside");
    lies.name_is_at([here; 2]);
    let last = last_number(&cluster);
    within(Duration::from_secs(60), "it has missed nothing", || {
        // what has failed several times is tried again hours later
        ahead += 3 * 3600;
        lies.clock_is_ahead(ahead);
        std::thread::sleep(Duration::from_millis(500));
        let heard: BTreeSet<i64> = good.heard().into_iter().collect();
        heard.last() == Some(&last) && heard.len() as i64 == last - heard.first().unwrap() + 1
    });
    lies.clock_is_ahead(0);
    judge(
        "webhooks: a name that changes its address to one inside",
        rounds(4, 30) * 3,
        &ledger,
        &cluster,
        program.address,
        "nothing was sent inside, nothing was missed".to_owned(),
    );
}

/// The control: the trap hears when the operator allows that network.
#[test]
fn a_name_that_moves_to_another_address_that_is_allowed_is_called_there() {
    let cluster = Cluster::new();
    only_ours(&cluster);
    let lies = Lies::new();
    let mut command = Program::command(&cluster.url("kompetens_service", "kompetens"));
    lies.told_to(&mut command);
    command.env("KOMPETENS_WEBHOOK_NETWORKS", "127.0.0.0/8");
    let program = Program::at(free_address(), &mut command);
    let mut client = Client::new(program.address, &HR);
    let trap = Receiver::at("127.0.0.2:0".parse().unwrap(), Well);
    lies.name_is_at([Ipv4Addr::new(127, 0, 0, 2); 2]);
    subscribe(
        &mut client,
        &format!("http://{NAME}:{}/hook", trap.address.port()),
    );
    within(Duration::from_secs(10), "it is told", || {
        !trap.heard().is_empty()
    });
}

#[test]
fn the_service_killed_under_writers_tells_its_webhook_of_every_change() {
    let cluster = Cluster::new();
    only_ours(&cluster);
    let lies = Lies::new();
    let url = cluster.url("kompetens_service", "kompetens");
    let ledger = Ledger::default();
    let address = free_address();
    let good = Receiver::new(Well);
    let mut from = 0;
    let rounds = rounds(4, 100);
    for round in 0..rounds {
        // what the killed one had claimed is let go after a minute
        lies.clock_is_ahead(round as i64 * 61);
        let mut program = Program::at(address, lies.told_to(&mut Program::command(&url)));
        if round == 0 {
            subscribe(&mut Client::new(address, &HR), &good.url());
            from = last_number(&cluster);
        }
        let stop = AtomicBool::new(false);
        ledger.writers(address, 4, &stop, || {
            ledger.await_more(8);
            std::thread::sleep(Duration::from_millis(round as u64 % 11 * 7));
            program.kill();
        });
        assert!(stop.load(Ordering::SeqCst));
    }
    lies.clock_is_ahead(rounds as i64 * 61);
    let _program = Program::at(address, lies.told_to(&mut Program::command(&url)));
    ledger.settle(address);
    let last = last_number(&cluster);
    within(Duration::from_secs(120), "everything is told", || {
        let heard: BTreeSet<i64> = good.heard().into_iter().collect();
        (from + 1..=last).all(|number| heard.contains(&number))
    });
    let heard = good.heard();
    let twice = heard.len() - heard.iter().collect::<BTreeSet<_>>().len();
    judge(
        "service: kill -9 under 4 writers, with a webhook",
        rounds,
        &ledger,
        &cluster,
        address,
        format!(
            "{} changes told, {twice} of them more than once",
            last - from
        ),
    );
}
