//! `./dev bench`: what the service does beside what PostgreSQL can do, on the same database in the same run.
//!
//! For each operation, and for each number of connections, rounds of load on the service alternate with rounds of
//! `pgbench -M prepared` sending the same statements one by one, as the server's log had them. Printed are medians:
//! requests per second over pgbench's transactions per second, CPU seconds per 1,000 requests, latencies, memory.

mod database;
mod load;
mod machine;
mod statements;

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use database::{Database, succeed};
use load::Load;
use statements::{Numbers, Statement};

const USAGE: &str = "\
./dev bench [--quick] [--events 200000] [--connections 1,16,64] [--rounds 5] [--seconds 3]
            [--only get,list,…] [--peers] [--growth] [--statements] [--socket] [--fresh]
  --quick       one round of one second at 16 connections, with 20,000 events: does it all work?
  --peers       the implementations under bench/peers too, get, list and create only
  --growth      one connection, with 10,000 and with 1,000,000 events (--quick: 100,000), and how much dearer the second is
  --statements  prints what each operation sends to PostgreSQL, and measures nothing
  --socket      pgbench over the unix socket too, as the service itself is connected
  --fresh       loads the events anew; else what an earlier run loaded is used again";

struct Options {
    events: u64,
    /// The larger size of `--growth`.
    grown: u64,
    connections: Vec<usize>,
    rounds: usize,
    duration: Duration,
    only: Vec<String>,
    peers: bool,
    growth: bool,
    statements: bool,
    socket: bool,
    fresh: bool,
}

impl Options {
    fn read() -> Result<Options, String> {
        let mut options = Options {
            events: 200_000,
            grown: 1_000_000,
            connections: vec![1, 16, 64],
            rounds: 5,
            duration: Duration::from_secs(3),
            only: Vec::new(),
            peers: false,
            growth: false,
            statements: false,
            socket: false,
            fresh: false,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value\n{USAGE}"));
            let number = |text: String| text.parse::<u64>().map_err(|_| format!("{text}: expected a number\n{USAGE}"));
            match word.as_str() {
                "--quick" => {
                    options.events = 20_000;
                    options.grown = 100_000;
                    options.connections = vec![16];
                    options.rounds = 1;
                    options.duration = Duration::from_secs(1);
                }
                "--events" => options.events = number(value()?)?.max(1000),
                "--rounds" => options.rounds = number(value()?)?.max(1) as usize,
                "--seconds" => options.duration = Duration::from_secs(number(value()?)?.max(1)),
                "--connections" => {
                    let list = value()?;
                    options.connections = list
                        .split(',')
                        .map(|text| number(text.to_owned()).map(|count| count.clamp(1, 256) as usize))
                        .collect::<Result<_, _>>()?;
                }
                "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
                "--peers" => options.peers = true,
                "--growth" => options.growth = true,
                "--statements" => options.statements = true,
                "--socket" => options.socket = true,
                "--fresh" => options.fresh = true,
                _ => return Err(USAGE.to_owned()),
            }
        }
        Ok(options)
    }
}

fn main() -> std::process::ExitCode {
    match Options::read().and_then(|options| run(&options)) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bench: {problem}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    if options.growth {
        return growth(options);
    }
    let database = prepare(options.events, options.fresh)?;
    let service = Service::start(&database)?;
    println!(
        "{}; {} events; {}; start {:.0} ms; medians of {} rounds of {} s",
        machine::describe(),
        options.events,
        database.sql("postgres", "select split_part(version(), ' on ', 1)")?,
        service.start_millis,
        options.rounds,
        options.duration.as_secs(),
    );
    let operations = chosen(options, &service)?;
    let world = World::new(&service, options.events, &operations)?;
    if options.statements {
        for operation in operations {
            println!("\n{}", operation.name);
            for statement in record(&database, &service, &world, &operation)?.1 {
                println!(
                    "  {}{}",
                    if statement.prepared { "" } else { "PARSED AGAIN " },
                    statement.sql.replace('\n', "\n    ")
                );
            }
        }
        return Ok(());
    }
    let mut peers = Vec::new();
    if options.peers {
        peers = Peer::start_all(&database)?;
    }
    heading(&[
        "operation",
        "conns",
        "by",
        "req/s",
        "of pgbench",
        "of pgbench, socket",
        "CPU s/1000",
        "db CPU s/1000",
        "p50 ms",
        "p99 ms",
        "503 %",
        "MB",
    ]);
    let mut run_number = 0;
    for operation in operations {
        let (sample, statements) = record(&database, &service, &world, &operation)?;
        for &connections in &options.connections {
            // what waits for its turn in the service is no load of PostgreSQL's
            let admitted = connections.min(operation.at_once);
            let mut subjects = vec![Subject {
                name: "service",
                address: service.address,
                pid: service.child.id(),
            }];
            if operation.for_peers {
                subjects.extend(peers.iter().map(|peer| Subject {
                    name: peer.name,
                    address: peer.address,
                    pid: peer.child.id(),
                }));
            }
            let mut measured: Vec<Vec<Measured>> = vec![Vec::new(); subjects.len()];
            let (mut tcp, mut socket) = (Vec::new(), Vec::new());
            for round in 0..options.rounds {
                for (subject, results) in subjects.iter().zip(&mut measured) {
                    operation.reset(&database)?;
                    results.push(measure(
                        subject,
                        &database,
                        &world,
                        &operation,
                        connections,
                        options.duration,
                        round,
                    )?);
                }
                for (over_tcp, results) in [(true, &mut tcp), (false, &mut socket)] {
                    if over_tcp || options.socket {
                        operation.reset(&database)?;
                        run_number += 1;
                        results.push(limit(
                            &database,
                            &world,
                            &operation,
                            (sample, &statements),
                            admitted,
                            options.duration,
                            over_tcp,
                            run_number,
                        )?);
                    }
                }
            }
            let (tcp, socket) = (median(tcp), median(socket));
            for (subject, results) in subjects.iter().zip(measured) {
                let of = |part: fn(&Measured) -> f64| median(results.iter().map(part).collect());
                let per_second = of(|m| m.load.per_second);
                row(&[
                    operation.name,
                    &connections.to_string(),
                    subject.name,
                    &format!("{per_second:.0}"),
                    &format!("{:.2}", per_second / tcp),
                    &if options.socket {
                        format!("{:.2}", per_second / socket)
                    } else {
                        "-".to_owned()
                    },
                    &format!("{:.3}", of(|m| m.cpu_per_thousand)),
                    &format!("{:.3}", of(|m| m.database_cpu_per_thousand)),
                    &format!("{:.2}", of(|m| m.load.p50_millis)),
                    &format!("{:.2}", of(|m| m.load.p99_millis)),
                    &format!("{:.0}", of(|m| m.refused_percent)),
                    &format!("{:.0}", of(|m| m.memory_mb)),
                ]);
            }
            row(&[
                operation.name,
                &admitted.to_string(),
                "pgbench",
                &format!("{tcp:.0}"),
                "1",
                "-",
                "-",
                "-",
                "-",
                "-",
                "-",
                "-",
            ]);
        }
    }
    Ok(())
}

/// The same at 10,000 and 1,000,000 events, by turns on two databases.
fn growth(options: &Options) -> Result<(), String> {
    let sizes = [10_000, options.grown];
    let mut places = Vec::new();
    for events in sizes {
        let database = prepare(events, options.fresh)?;
        let service = Service::start(&database)?;
        let operations = chosen(options, &service)?;
        let world = World::new(&service, events, &operations)?;
        places.push((database, service, world));
    }
    let operations = chosen(options, &places[0].1)?;
    println!(
        "{}; {} and {} events; one connection; medians of {} rounds",
        machine::describe(),
        sizes[0],
        sizes[1],
        options.rounds
    );
    heading(&[
        "operation",
        "ms, fewer",
        "ms, more",
        "grows",
        "db CPU ms, fewer",
        "db CPU ms, more",
        "grows",
    ]);
    for operation in operations {
        let mut results = vec![Vec::new(), Vec::new()];
        for round in 0..options.rounds {
            for ((database, service, world), results) in places.iter().zip(&mut results) {
                operation.reset(database)?;
                let subject = Subject {
                    name: "service",
                    address: service.address,
                    pid: service.child.id(),
                };
                results.push(measure(&subject, database, world, &operation, 1, options.duration, round)?);
            }
        }
        let of = |part: fn(&Measured) -> f64| -> Vec<f64> { results.iter().map(|all| median(all.iter().map(part).collect())).collect() };
        let (millis, cpu) = (of(|m| 1000.0 / m.load.per_second), of(|m| m.database_cpu_per_thousand));
        let text = |value: f64| format!("{value:.3}");
        row(&[
            operation.name,
            &text(millis[0]),
            &text(millis[1]),
            &format!("{:.2}", millis[1] / millis[0]),
            &text(cpu[0]),
            &text(cpu[1]),
            &format!("{:.2}", cpu[1] / cpu[0]),
        ]);
    }
    Ok(())
}

fn heading(cells: &[&str]) {
    row(cells);
    row(&vec!["---"; cells.len()]);
}

/// A row of a table in Markdown, shown at once.
fn row(cells: &[&str]) {
    println!("| {} |", cells.join(" | "));
    let _ = std::io::stdout().flush();
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Where the benchmark keeps its databases and what it writes.
fn home() -> PathBuf {
    let target = std::env::var_os("KOMPETENS_BENCH_DATA").map(PathBuf::from);
    target.unwrap_or_else(|| Path::new("/var/tmp").join("kompetens-bench"))
}

fn program() -> PathBuf {
    std::env::var_os("KOMPETENS_PROGRAM").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/kompetens"),
        PathBuf::from,
    )
}

/// A database with so many events, from an earlier run if there is one.
fn prepare(events: u64, fresh: bool) -> Result<Database, String> {
    let home = home().join(events.to_string());
    if fresh {
        let _ = fs::remove_dir_all(&home);
    }
    let database = Database::start(&home)?;
    let loaded = home.join("loaded");
    let migrate = || {
        succeed(
            Command::new(program())
                .args(["migrate", "--grant-to", "kompetens_service"])
                .env("DATABASE_URL", database.url("kompetens_owner")),
        )
    };
    if loaded.exists() {
        migrate()?;
    } else {
        eprintln!("loading {events} events into {} …", home.display());
        database.sql("postgres", "drop database if exists kompetens")?;
        for role in ["kompetens_owner", "kompetens_service"] {
            // it may be there from an earlier try
            let _ = database.sql("postgres", &format!("create role {role} login"));
        }
        database.sql("postgres", "create database kompetens owner kompetens_owner")?;
        database.sql("kompetens", "create extension pg_stat_statements")?;
        migrate()?;
        succeed(
            Command::new(program())
                .arg("demo")
                .env("DATABASE_URL", database.url("kompetens_service")),
        )?;
        database.file(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("load.sql"),
            &[("events", events.to_string())],
        )?;
        database.sql("kompetens", "vacuum analyze")?;
        fs::write(&loaded, "").map_err(|error| error.to_string())?;
    }
    database.sql("kompetens", "checkpoint")?;
    Ok(database)
}

/// The service under test, or a peer: something that serves at an address.
struct Service {
    child: Child,
    address: SocketAddr,
    start_millis: f64,
    issuer: PathBuf,
}

const ISSUER: &str = "https://bench.example.se";
const AUDIENCE: &str = "kompetens";

impl Service {
    fn start(database: &Database) -> Result<Service, String> {
        let issuer = home().join("issuer");
        succeed(Command::new(program()).arg("token").arg("--new-key").arg(&issuer))?;
        let (address, operations) = (free_address()?, free_address()?);
        let log = fs::File::create(home().join("service.log")).map_err(|error| error.to_string())?;
        let begun = Instant::now();
        let child = Command::new(program())
            .arg("serve")
            .env("DATABASE_URL", database.url("kompetens_service"))
            .env("KOMPETENS_ADDRESS", address.to_string())
            .env("KOMPETENS_OPERATIONS_ADDRESS", operations.to_string())
            .env("KOMPETENS_ISSUER", ISSUER)
            .env("KOMPETENS_AUDIENCE", AUDIENCE)
            .env("KOMPETENS_JWKS_FILE", issuer.join("jwks.json"))
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{}: {error}", program().display()))?;
        let mut service = Service {
            child,
            address,
            start_millis: 0.0,
            issuer,
        };
        service.await_answer(begun)?;
        Ok(service)
    }

    fn await_answer(&mut self, begun: Instant) -> Result<(), String> {
        while load::once(self.address, &get("/kompetens/v1/me", "none")).is_err() {
            if begun.elapsed() > Duration::from_secs(20) || self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Err(format!("the service does not start; see {}", home().join("service.log").display()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.start_millis = begun.elapsed().as_secs_f64() * 1000.0;
        Ok(())
    }

    fn token(&self, person: &str, role: Option<&str>, units: &[&str]) -> Result<String, String> {
        let mut command = Command::new(program());
        command
            .args(["token", "--person", person, "--issuer", ISSUER, "--audience", AUDIENCE, "--key"])
            .arg(self.issuer.join("key.pem"));
        for unit in units {
            command.args(["--unit", unit]);
        }
        if let Some(role) = role {
            command.args(["--role", role]);
        }
        succeed(&mut command)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> Result<SocketAddr, String> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map_err(|error| error.to_string())
}

/// What the requests need to know.
struct World {
    events: u64,
    planner: String,
    head: String,
    administrator: String,
    /// Cursors of lists of events, from the first rows to the last.
    cursors: Vec<String>,
    today: chronology::Day,
}

impl World {
    fn new(service: &Service, events: u64, operations: &[Operation]) -> Result<World, String> {
        let mut world = World {
            events,
            planner: service.token("person-0003", Some("planner"), &["0190a000-0000-7000-8000-000000000101"])?,
            head: service.token("person-0002", None, &[])?,
            administrator: service.token("person-0001", Some("hrAdministrator"), &[])?,
            cursors: Vec::new(),
            today: chronology::today(),
        };
        // to the middle of the list, by a hundred, keeping fifty of the cursors
        let steps = if operations.iter().any(|operation| operation.name == "list-deep") {
            events / 200
        } else {
            0
        };
        let mut next = String::new();
        for step in 0..steps {
            let request = get(&format!("/kompetens/v1/events?limit=100{next}"), &world.planner);
            let (status, body) = load::once(service.address, &request)?;
            let body: serde_json::Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
            let cursor = body["nextCursor"]
                .as_str()
                .ok_or_else(|| format!("a list answers {status}: {body}"))?;
            if step % (steps / 50).max(1) == 0 {
                world.cursors.push(cursor.to_owned());
            }
            next = format!("&cursor={cursor}");
        }
        Ok(world)
    }

    fn drafts(&self) -> (u64, u64) {
        (self.events - self.events * 3 / 40 + 1, self.events)
    }

    /// Every twentieth of the past events is held and waits for its follow-up.
    fn held(&self) -> u64 {
        self.events * 5 / 6 / 20
    }
}

/// Days, without a library.
mod chronology {
    pub type Day = i64;

    /// Days since 1970-01-01.
    pub fn today() -> Day {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs() as i64 / 86_400)
    }

    /// As RFC 3339 writes it; Howard Hinnant's algorithm.
    pub fn date(day: Day) -> String {
        let z = day + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + i64::from(month <= 2);
        format!("{year:04}-{month:02}-{:02}", doy - (153 * mp + 2) / 5 + 1)
    }
}

struct Subject {
    name: &'static str,
    address: SocketAddr,
    pid: u32,
}

struct Operation {
    name: &'static str,
    /// As the document has it.
    path: &'static str,
    expected: u16,
    numbers: fn(&World) -> Numbers,
    request: fn(&World, u64) -> String,
    /// SQL that takes back what a run of a consuming operation did.
    reset: Option<&'static str>,
    /// Each number can be used once.
    consumes: bool,
    /// How many of them the service runs at once, of its own choice; the rest wait, and when that is too long, they get 503.
    at_once: usize,
    for_peers: bool,
}

impl Operation {
    fn reset(&self, database: &Database) -> Result<(), String> {
        match self.reset {
            Some(sql) => database.sql("kompetens", sql).map(|_| ()),
            None => Ok(()),
        }
    }
}

fn uuid(prefix: &str, number: u64) -> String {
    let hex = format!("{prefix}{number:0width$x}", width = 32 - prefix.len());
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Spreads 0, 1, 2, … over a range, the same in every run.
fn scattered(number: u64, first: u64, last: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    first + (z ^ (z >> 31)) % (last - first + 1)
}

fn get(path: &str, token: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n\r\n")
}

fn post(path: &str, token: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The operations asked for that this version of the service has.
fn chosen(options: &Options, service: &Service) -> Result<Vec<Operation>, String> {
    let (_, document) = load::once(service.address, &get("/kompetens/v1/openapi.json", "none"))?;
    let document: serde_json::Value = serde_json::from_str(&document).map_err(|error| error.to_string())?;
    let asked = |operation: &Operation| options.only.is_empty() || options.only.iter().any(|name| name == operation.name);
    Ok(operations()
        .into_iter()
        .filter(asked)
        .filter(|operation| !document["paths"][operation.path].is_null())
        .collect())
}

fn any_event(world: &World) -> Numbers {
    Numbers::Random {
        first: 1,
        last: world.events,
    }
}

fn operations() -> Vec<Operation> {
    let reading = Operation {
        name: "",
        path: "",
        expected: 200,
        numbers: any_event,
        request: |_, _| String::new(),
        reset: None,
        consumes: false,
        at_once: usize::MAX,
        for_peers: false,
    };
    // src/db: `Db::report`
    const REPORTS: usize = 2;
    vec![
        Operation {
            name: "get",
            path: "/events/{eventId}",
            request: |world, number| {
                get(
                    &format!("/kompetens/v1/events/{}", uuid("", scattered(number, 1, world.events))),
                    &world.planner,
                )
            },
            for_peers: true,
            ..reading
        },
        // fifty events to come, whose findings are computed
        Operation {
            name: "list",
            path: "/events",
            request: |world, number| {
                let from = chronology::date(world.today + scattered(number, 1, 300) as i64);
                get(&format!("/kompetens/v1/events?limit=50&from={from}"), &world.planner)
            },
            for_peers: true,
            ..reading
        },
        Operation {
            name: "list-deep",
            path: "/events",
            request: |world, number| {
                let cursor = &world.cursors[scattered(number, 0, world.cursors.len() as u64 - 1) as usize];
                get(&format!("/kompetens/v1/events?limit=50&cursor={cursor}"), &world.planner)
            },
            ..reading
        },
        Operation {
            name: "create",
            path: "/events",
            expected: 201,
            request: |world, number| {
                let day = chronology::date(world.today + 30 + (number % 300) as i64);
                let body = format!(
                    r#"{{"title":"Planeringsdag {number} för arbetslaget","description":"Vi planerar läsåret tillsammans.","kind":"planningDay","arranger":"group","organisingUnitIds":["0190a000-0000-7000-8000-000000000101"],"responsiblePerson":"person-0003","occasions":[{{"startsAt":"{day}T08:30:00+01:00","endsAt":"{day}T16:30:00+01:00","place":"venue","venueId":"0190a000-0000-7000-8000-000000000501"}}],"expectedParticipants":{{"total":45,"perUnit":[{{"unitId":"0190a000-0000-7000-8000-000000000101","count":30}}]}},"estimatedCost":12000,"registryNumber":"BUN {number}"}}"#
                );
                post("/kompetens/v1/events", &world.planner, &body)
            },
            for_peers: true,
            ..reading
        },
        Operation {
            name: "decide",
            path: "/exception-requests/{exceptionRequestId}/decisions",
            expected: 201,
            numbers: |world| {
                let (first, last) = world.drafts();
                Numbers::Once { first, last, step: 1 }
            },
            request: |world, number| {
                let request = uuid("e0", world.drafts().0 + number % (world.drafts().1 - world.drafts().0 + 1));
                let body = r#"{"outcome":"approved","reasons":"Lokalerna räcker inte och resan blir kort.","noConflictOfInterest":true}"#;
                post(&format!("/kompetens/v1/exception-requests/{request}/decisions"), &world.head, body)
            },
            reset: Some(
                "set session_replication_role = replica; \
                 create temporary table decided as select r.id from exception_requests r join decisions d on d.request_id = r.id where r.id::text like 'e0000000%'; \
                 delete from decisions where request_id in (select id from decided); \
                 update exception_requests set status = 'submitted', revision = 1 where id in (select id from decided); \
                 update exception_request_rules set open = true where request_id in (select id from decided);",
            ),
            consumes: true,
            ..reading
        },
        Operation {
            name: "log-follow-up",
            path: "/follow-ups/{followUpId}/entries",
            expected: 201,
            numbers: |world| Numbers::Once {
                first: 20,
                last: world.held() * 20,
                step: 20,
            },
            request: |world, number| {
                let follow_up = uuid("f0", 20 * (1 + number % world.held()));
                let day = chronology::date(world.today);
                let body = format!(
                    r#"{{"conductedOn":"{day}","level":"behaviour","carriedOut":"asPlanned","observedBehaviour":"Arbetslagen läser tillsammans varje vecka.","goalEffects":[],"lessons":"Börja med ett eget exempel."}}"#
                );
                post(
                    &format!("/kompetens/v1/follow-ups/{follow_up}/entries"),
                    &world.administrator,
                    &body,
                )
            },
            reset: Some(
                "set session_replication_role = replica; \
                 delete from follow_up_entries where id::text not like 'a0000000%' and follow_up_id::text like 'f0000000%'; \
                 update follow_ups f set status = 'planned', revision = 1, completing_entry_id = null, completed_on = null, \
                     status_changed_at = null, status_changed_by = null \
                 where f.status = 'completed' and f.id::text like 'f0000000%' and f.completing_entry_id::text not like 'a0000000%';",
            ),
            consumes: true,
            ..reading
        },
        Operation {
            name: "status-of-unit",
            path: "/follow-up-status",
            request: |world, _| {
                get(
                    "/kompetens/v1/follow-up-status?limit=50&unitId=0190a000-0000-7000-8000-000000000101&includeSubtree=true",
                    &world.planner,
                )
            },
            at_once: REPORTS,
            ..reading
        },
        Operation {
            name: "summary",
            path: "/follow-up-status/summary",
            request: |world, _| get("/kompetens/v1/follow-up-status/summary", &world.administrator),
            at_once: REPORTS,
            ..reading
        },
    ]
}

#[derive(Debug, Clone)]
struct Measured {
    load: Load,
    cpu_per_thousand: f64,
    database_cpu_per_thousand: f64,
    memory_mb: f64,
    /// Of all requests, those that a full service refused.
    refused_percent: f64,
}

fn measure(
    subject: &Subject,
    database: &Database,
    world: &World,
    operation: &Operation,
    connections: usize,
    duration: Duration,
    round: usize,
) -> Result<Measured, String> {
    let before = (machine::usage(subject.pid), machine::usage(database.pid()));
    // each round goes on among other numbers; one that consumes begins anew
    let first = if operation.consumes { 0 } else { round as u64 * 1_000_000 };
    let load = load::run(subject.address, connections, duration, operation.expected, first, &|number| {
        (operation.request)(world, number)
    })?;
    let after = (machine::usage(subject.pid), machine::usage(database.pid()));
    // only a report may be refused, and only by the gate that it waits at
    let by_the_gate = operation.at_once < connections && load.first_refusal.as_ref().is_none_or(|first| first.starts_with("503"));
    if load.refused > 0 && (!by_the_gate || load.answered == 0) {
        return Err(format!(
            "{} of {}: {} of {} requests were refused: {}",
            operation.name,
            subject.name,
            load.refused,
            load.answered + load.refused,
            load.first_refusal.unwrap_or_default()
        ));
    }
    let thousands = load.answered as f64 / 1000.0;
    Ok(Measured {
        cpu_per_thousand: (after.0.cpu_seconds - before.0.cpu_seconds) / thousands,
        database_cpu_per_thousand: (after.1.cpu_seconds - before.1.cpu_seconds) / thousands,
        memory_mb: after.0.memory_mb,
        refused_percent: 100.0 * load.refused as f64 / (load.answered + load.refused) as f64,
        load,
    })
}

/// What PostgreSQL itself does in a second with the same statements.
#[allow(clippy::too_many_arguments)]
fn limit(
    database: &Database,
    world: &World,
    operation: &Operation,
    (sample, statements): (u64, &[Statement]),
    connections: usize,
    duration: Duration,
    tcp: bool,
    run: usize,
) -> Result<f64, String> {
    let (script, mut variables) = statements::script(statements, sample, (operation.numbers)(world), connections);
    variables.push(("run".to_owned(), run.to_string()));
    variables.push(("k".to_owned(), "0".to_owned()));
    let path = home().join(format!("{}.sql", operation.name));
    fs::write(&path, &script).map_err(|error| error.to_string())?;
    database.pgbench(&path, &variables, connections, duration, tcp)
}

/// The statements of one warm request, and the number it was for.
fn record(database: &Database, service: &Service, world: &World, operation: &Operation) -> Result<(u64, Vec<Statement>), String> {
    operation.reset(database)?;
    // the same connection prepares everything first: each thread of the service has one of its own
    for number in 0..200 {
        load::once(
            service.address,
            &(operation.request)(world, 10_000_000 + if operation.consumes { number } else { 0 }),
        )?;
    }
    operation.reset(database)?;
    let logging = |on: bool| {
        database.sql(
            "postgres",
            &format!("alter system set log_statement = '{}'", if on { "all" } else { "none" }),
        )?;
        database.sql("postgres", "select pg_reload_conf()")?;
        std::thread::sleep(Duration::from_millis(100));
        Ok::<_, String>(())
    };
    logging(true)?;
    let begun = database.logged().len();
    let request = (operation.request)(world, 10_000_000);
    let answered = load::once(service.address, &request);
    std::thread::sleep(Duration::from_millis(50));
    let recorded = statements::read(&database.logged()[begun..]);
    logging(false)?;
    let (status, body) = answered?;
    if status != operation.expected {
        return Err(format!("{}: {status}: {body}", operation.name));
    }
    // the request names its number in hexadecimal, at the end of an id
    let sample = request
        .split(['/', ' ', '?'])
        .find(|part| part.len() == 36 && ["000000", "e00000", "f00000"].iter().any(|prefix| part.starts_with(prefix)))
        .and_then(|id| u64::from_str_radix(&id.replace('-', "")[16..], 16).ok())
        .unwrap_or_default();
    let statements: Result<_, _> = recorded.into_iter().map(|statement| statement.with_types(database)).collect();
    Ok((sample, statements?))
}

/// A peer of `bench/peers`, built and started by its own `start` script with the same settings as the service.
struct Peer {
    name: &'static str,
    child: Child,
    address: SocketAddr,
}

impl Peer {
    fn start_all(database: &Database) -> Result<Vec<Peer>, String> {
        ["fastapi", "fastify", "tokio-postgres"]
            .into_iter()
            .map(|name| Peer::start(name, database))
            .collect()
    }

    fn start(name: &'static str, database: &Database) -> Result<Peer, String> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name);
        let address = free_address()?;
        let log = fs::File::create(home().join(format!("{name}.log"))).map_err(|error| error.to_string())?;
        let child = Command::new(directory.join("start"))
            .current_dir(&directory)
            .env("DATABASE_URL", database.url("kompetens_service"))
            .env("DATABASE_SOCKET", home())
            .env("PORT", address.port().to_string())
            .env("JWKS_FILE", home().join("issuer/jwks.json"))
            .env("ISSUER", ISSUER)
            .env("AUDIENCE", AUDIENCE)
            .stdout(log.try_clone().map_err(|error| error.to_string())?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        let peer = Peer { name, child, address };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if begun.elapsed() > Duration::from_secs(300) {
                return Err(format!(
                    "{name} does not start; see {}",
                    home().join(format!("{name}.log")).display()
                ));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(peer)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // its script becomes the server, which ends its workers when asked to end
        // SAFETY: a signal to our own child
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let begun = Instant::now();
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
