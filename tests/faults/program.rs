//! The program under test, as it is shipped, and a client that knows what it sent.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::cluster::{PASSWORD, run, scratch};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "kompetens";

pub fn kompetens() -> Command {
    Command::new(env!("CARGO_BIN_EXE_kompetens"))
}

/// The directory of a signing key and its JWKS.
static KEYS: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = scratch().join("issuer");
    run(kompetens().args(["token", "--new-key"]).arg(&directory));
    directory
});

/// A token of an HR administrator of the demo data.
pub static HR: LazyLock<String> = LazyLock::new(|| token("person-0001", &["hrAdministrator"]));

/// A token of this person of the demo data, good for longer than a test may set the clock.
pub fn token(person: &str, roles: &[&str]) -> String {
    let roles = roles.iter().flat_map(|role| ["--role", role]);
    let output = kompetens()
        .args(["token", "--hours", "8760", "--person", person])
        .args(roles)
        .args(["--issuer", ISSUER, "--audience", AUDIENCE, "--key"])
        .arg(KEYS.join("key.pem"))
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Those of the demo data who may do something that others may not: HR, heads, directors, chief executives, a planner, the archivist.
pub static EVERYONE: LazyLock<Vec<String>> = LazyLock::new(|| {
    let offices = ["02", "04", "05", "06", "07", "08", "09", "10", "03", "18"];
    let offices = offices.map(|person| token(&format!("person-00{person}"), &[]));
    let archivist = token("person-0020", &["archivist"]);
    std::iter::once(HR.clone())
        .chain(offices)
        .chain([archivist])
        .collect()
});

pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
}

/// What every program of this run says; they append to it.
static LOG: LazyLock<PathBuf> = LazyLock::new(|| scratch().join("kompetens.log"));

/// No log holds a secret, a personal number or the traces of a panic.
#[track_caller]
pub fn expect_nothing_secret_is_logged() {
    let log = std::fs::read_to_string(&*LOG).unwrap();
    assert!(!log.is_empty(), "something is logged");
    for line in log.lines() {
        let is_secret = |word: &str| word.starts_with("kompetens_") && word.len() > 40;
        let tells = line.contains(PASSWORD)
            || line.contains("whsec_")
            || line.contains("eyJ")
            || line.contains("121212")
            || line.contains("panicked")
            || line.split([' ', '"', '=']).any(is_secret);
        assert!(!tells, "{line}");
    }
}

pub struct Program {
    child: Child,
    pub address: SocketAddr,
    pub operations: SocketAddr,
}

impl Program {
    pub fn start(database_url: &str) -> Program {
        Program::at(free_address(), &mut Program::command(database_url))
    }

    /// What [`Program::at`] runs; a test may set more.
    pub fn command(database_url: &str) -> Command {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&*LOG)
            .unwrap();
        let mut command = kompetens();
        command
            .arg("serve")
            .stderr(log)
            .env("DATABASE_URL", database_url)
            .env("KOMPETENS_ISSUER", ISSUER)
            .env("KOMPETENS_AUDIENCE", AUDIENCE)
            .env("KOMPETENS_JWKS_FILE", KEYS.join("jwks.json"))
            .env("RUST_LOG", "info")
            // one address, one credential, and as many requests as they like
            .env("KOMPETENS_REQUESTS_PER_MINUTE", "0")
            .env("KOMPETENS_FAILED_LOGINS_PER_MINUTE", "0")
            .stdin(Stdio::null());
        command
    }

    pub fn at(address: SocketAddr, command: &mut Command) -> Program {
        let operations = free_address();
        let child = command
            .env("KOMPETENS_ADDRESS", address.to_string())
            .env("KOMPETENS_OPERATIONS_ADDRESS", operations.to_string())
            .spawn()
            .unwrap();
        let program = Program {
            child,
            address,
            operations,
        };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "it listens");
            std::thread::sleep(Duration::from_millis(2));
        }
        program
    }

    /// Nobody reads its log any more.
    pub fn close_log(&mut self) {
        drop(self.child.stderr.take());
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// How long it takes to end by itself.
    pub fn await_end(&mut self) -> Duration {
        let begun = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(40), "it ends");
            std::thread::sleep(Duration::from_millis(5));
        }
        begun.elapsed()
    }

    /// Threads, open files and resident memory (kB).
    pub fn footprint(&self) -> (usize, usize, usize) {
        let process = Path::new("/proc").join(self.child.id().to_string());
        let listed = |name: &str| std::fs::read_dir(process.join(name)).unwrap().count();
        let status = std::fs::read_to_string(process.join("status")).unwrap();
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|text| text.split_whitespace().next()?.parse().ok())
            .unwrap();
        (listed("task"), listed("fd"), resident)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    pub fn id(&self) -> String {
        self.json()["id"].as_str().unwrap_or_default().to_owned()
    }

    /// Holds for every answer: no 5xx but 503, which says when to come back; every error is a problem.
    #[track_caller]
    pub fn expect_well_formed(&self) {
        assert!(
            self.status < 500 || self.status == 503,
            "{} {}",
            self.status,
            self.body
        );
        if self.status == 503 {
            assert!(self.header("Retry-After").is_some(), "{}", self.head);
        }
        if self.status >= 400 {
            assert_eq!(
                self.header("Content-Type"),
                Some("application/problem+json"),
                "{}",
                self.body
            );
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was sent: nobody listens.
    NotSent,
    /// It was sent, at least in part, and no whole answer came.
    NoAnswer,
}

/// A client with one connection, kept open, that never repeats a request by itself.
pub struct Client {
    pub address: SocketAddr,
    base: &'static str,
    token: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    pub fn new(address: SocketAddr, token: &str) -> Client {
        Client {
            address,
            base: "/kompetens/v1",
            token: token.to_owned(),
            stream: None,
        }
    }

    pub fn get(&mut self, path: &str) -> Result<Reply, Failure> {
        self.send("GET", path, &[], None)
    }

    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<Reply, Failure> {
        let outcome = self.exchange(method, path, headers, body);
        let ends = |reply: &Reply| {
            reply
                .header("Connection")
                .is_some_and(|value| value.eq_ignore_ascii_case("close"))
        };
        if outcome.as_ref().map_or(true, ends) {
            self.stream = None;
        }
        outcome
    }

    fn exchange(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<Reply, Failure> {
        if self.stream.is_none() {
            let stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(5))
                .map_err(|_| Failure::NotSent)?;
            stream
                .set_read_timeout(Some(Duration::from_secs(10)))
                .unwrap();
            stream.set_nodelay(true).unwrap();
            self.stream = Some(BufReader::new(stream));
        }
        let stream = self.stream.as_mut().ok_or(Failure::NotSent)?;
        let base = if path.starts_with("/kompetens/") {
            ""
        } else {
            self.base
        };
        let mut text = format!(
            "{method} {base}{path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\n",
            self.token
        );
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = body {
            text += &format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            );
        }
        text += "\r\n";
        text += body.unwrap_or_default();
        let no_answer = |_| Failure::NoAnswer;
        stream
            .get_mut()
            .write_all(text.as_bytes())
            .map_err(no_answer)?;
        read_reply(stream).map_err(no_answer)
    }
}

pub fn read_reply(stream: &mut impl BufRead) -> std::io::Result<Reply> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let mut reply = Reply {
        status: head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_default(),
        head,
        body: String::new(),
    };
    let length = reply
        .header("Content-Length")
        .and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    reply.body = String::from_utf8_lossy(&body).into_owned();
    Ok(reply)
}

/// The status of an answer of the operators' port, and how long it took.
pub fn ask_operations(program: &Program, path: &str) -> (u16, Duration) {
    let begun = Instant::now();
    let mut client = Client::new(program.operations, "-");
    client.base = "";
    let status = client.get(path).map_or(0, |reply| reply.status);
    (status, begun.elapsed())
}
