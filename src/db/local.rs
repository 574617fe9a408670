//! The private PostgreSQL cluster of `serve --local`, of `demo` and of the tests.
//!
//! It lies in `postgresql` under the data directory and is reached by a unix socket in a directory that only its own user
//! may enter. PostgreSQL is a direct child of this program, under a user of its own when the program runs as root, and it
//! ends with the program, also after kill -9; when PostgreSQL alone is killed, a thread starts it again on the same socket.
//! The kernel's lock on `postgresql.lock` decides which program holds the cluster: it goes with the program, whatever
//! happens, so a `postmaster.pid` found under the lock is a leftover or an orphan's, never a rival's.

mod error;
mod installation;
mod process;

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::pg::PgConnection;
use diesel::sql_types::Bool;
use diesel::{Connection, RunQueryDsl};
use rustix::process::{Signal, WaitId, WaitIdOptions, geteuid, waitid};

pub use error::LocalError;
use error::cannot_use;
use installation::Installation;
use process::{command, end, is_server_of, pid_of, postmaster, send};

/// Where root's cluster goes when its own user cannot reach the data directory, as under `/root`.
const ELSEWHERE: &str = "/var/lib/kompetens";
/// The port is only a part of the socket's name.
const SOCKET: &str = ".s.PGSQL.5432";
/// What fits into `sockaddr_un` beside the closing NUL.
const SOCKET_PATH_BYTES: usize = 107;
/// How long a start may take that has a crash to recover from.
const START_PATIENCE: Duration = Duration::from_secs(120);
/// How long a server that ends at once is tried: the last backends of a killed one need a moment to let go.
const RETRY_PATIENCE: Duration = Duration::from_secs(10);
/// How often a condition is looked at.
const TICK: Duration = Duration::from_millis(10);

/// A private PostgreSQL cluster, for `serve --local`, `demo` and tests.
///
/// The program that started it stops it on drop, with PostgreSQL's fast shutdown; one that joined it leaves it running.
pub struct LocalCluster {
    socket: PathBuf,
    _held: Option<Held>,
}

/// What sets a test's cluster apart from one that keeps data.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Off, a start is quicker, but PostgreSQL killed may lose its last second and a machine that crashes the cluster.
    pub fsync: bool,
    /// Connections from all programs together.
    pub max_connections: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            fsync: true,
            max_connections: 100,
        }
    }
}

impl LocalCluster {
    /// Starts the cluster under the directory `data`, made if it is missing, and waits until it answers.
    ///
    /// It then has the database `kompetens`, the role `kompetens_owner` that migrates it, and the role `kompetens_service`
    /// that may only connect until it is granted more.
    pub fn start(data: &Path, settings: &Settings) -> Result<LocalCluster, LocalError> {
        fs::create_dir_all(data).map_err(cannot_use(data))?;
        let data = data.canonicalize().map_err(cannot_use(data))?;
        let lock = lock(&data)?;

        let at = data.join("postgresql");
        let at = fs::read_link(&at).unwrap_or(at);
        let account = account(&at)?;
        let major = installation::major_of(&at)?;
        let installation = installation::choose(installation::installed(), major, &at)?;
        let home = match major {
            Some(_) if installation.reaches(&at, account) => at,
            Some(_) => return Err(LocalError::OutOfReach { directory: at }),
            None => {
                let home = if installation.reaches(&data, account) {
                    at
                } else {
                    elsewhere(&data)?
                };
                installation.make(&home, account, settings)?;
                home
            }
        };
        let socket = socket_directory(&home)?;
        let log = data.join("postgresql.log");
        let server = Server {
            installation,
            account,
            home,
            socket: socket.clone(),
            log,
            settings: *settings,
        };

        let cluster = LocalCluster {
            socket,
            _held: None,
        };
        let held = Held::start(server, lock, &cluster.superuser_url("postgres"))?;
        cluster.make_database()?;
        Ok(LocalCluster {
            _held: Some(held),
            ..cluster
        })
    }

    /// Joins the cluster that another program holds under `data`, waiting until it is ready; `None` when none does.
    pub fn join(data: &Path) -> Result<Option<LocalCluster>, LocalError> {
        let path = data.join("postgresql.lock");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot_use(&path)(error)),
        };
        let began = Instant::now();
        while let Err(TryLockError::WouldBlock) = file.try_lock_shared() {
            let pid_file = data.join("postgresql").join("postmaster.pid");
            if let Some(socket) = fs::read_to_string(pid_file)
                .ok()
                .and_then(|text| Some(text.lines().nth(4)?.into()))
            {
                let cluster = LocalCluster {
                    socket,
                    _held: None,
                };
                if answers(&cluster.owner_url()) && answers(&cluster.service_url()) {
                    return Ok(Some(cluster));
                }
            }
            if began.elapsed() > START_PATIENCE {
                return Err(LocalError::NotReady {
                    holder: holder(&path),
                    log: data.join("postgresql.log"),
                });
            }
            thread::sleep(TICK);
        }
        Ok(None)
    }

    /// The database `kompetens` as `kompetens_owner`, who migrates.
    pub fn owner_url(&self) -> String {
        self.url("kompetens_owner", "kompetens")
    }

    /// The database `kompetens` as `kompetens_service`, who runs.
    pub fn service_url(&self) -> String {
        self.url("kompetens_service", "kompetens")
    }

    /// A database as the superuser, for tests that make their own.
    pub fn superuser_url(&self, database: &str) -> String {
        self.url("postgres", database)
    }

    fn url(&self, role: &str, database: &str) -> String {
        let mut host = String::new();
        for &byte in self.socket.as_os_str().as_bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' => {
                    host.push(byte.into())
                }
                _ => host.push_str(&format!("%{byte:02X}")),
            }
        }
        format!("postgresql:///{database}?host={host}&port=5432&user={role}")
    }

    /// Makes what is missing of the roles and the database, also after a first start that was killed half way.
    fn make_database(&self) -> Result<(), LocalError> {
        let not_made = |error: &dyn fmt::Display| LocalError::NotMade {
            reason: error.to_string(),
        };
        let mut conn = PgConnection::establish(&self.superuser_url("postgres"))
            .map_err(|error| not_made(&error))?;
        for (catalog, statement) in [
            (
                "pg_roles where rolname = 'kompetens_owner'",
                "create role kompetens_owner login",
            ),
            (
                "pg_roles where rolname = 'kompetens_service'",
                "create role kompetens_service login",
            ),
            (
                "pg_database where datname = 'kompetens'",
                "create database kompetens owner kompetens_owner",
            ),
        ] {
            diesel::select(sql::<Bool>(&format!("exists (select from {catalog})")))
                .get_result(&mut conn)
                .and_then(|exists: bool| {
                    if exists {
                        Ok(())
                    } else {
                        conn.batch_execute(statement)
                    }
                })
                .map_err(|error| not_made(&error))?;
        }
        conn.batch_execute(
            "revoke all on database kompetens from public; grant connect on database kompetens to kompetens_service",
        )
        .map_err(|error| not_made(&error))
    }
}

/// The running server and the lock of its directory, which is released last.
struct Held {
    state: Arc<Mutex<State>>,
    supervisor: Option<JoinHandle<()>>,
    _lock: File,
}

#[derive(Default)]
struct State {
    server: Option<Child>,
    stopping: bool,
}

impl Held {
    fn start(server: Server, lock: File, url: &str) -> Result<Held, LocalError> {
        File::create(&server.log).map_err(cannot_use(&server.log))?;
        let (home, log) = (server.home.clone(), server.log.clone());
        let state = Arc::new(Mutex::new(State::default()));
        let supervisor = thread::Builder::new()
            .name("postgresql".to_owned())
            .spawn({
                let state = state.clone();
                move || server.supervise(&state)
            })
            .map_err(cannot_use(&home))?;
        let held = Held {
            state,
            supervisor: Some(supervisor),
            _lock: lock,
        };

        let began = Instant::now();
        loop {
            let ours = held.state().server.as_ref().and_then(pid_of);
            // an answer alone might be an orphan's
            if ours.is_some() && answers(url) && postmaster(&home) == ours {
                return Ok(held);
            }
            if began.elapsed()
                > if ours.is_some() {
                    START_PATIENCE
                } else {
                    RETRY_PATIENCE
                }
            {
                let text = fs::read_to_string(&log).unwrap_or_default();
                return Err(LocalError::NotStarted {
                    output: last_lines(&text),
                    log,
                });
            }
            thread::sleep(TICK);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        state(&self.state)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.state().stopping = true;
        // under the mutex the child is not yet reaped, so its number is still its own
        end(|signal| match (&self.state().server, signal) {
            (Some(server), Some(signal)) => send(pid_of(server), signal),
            (server, _) => server.is_some(),
        });
        if let Some(supervisor) = self.supervisor.take() {
            let _ = supervisor.join();
        }
    }
}

/// How PostgreSQL is run on one directory.
struct Server {
    installation: Installation,
    account: Option<Account>,
    home: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    settings: Settings,
}

impl Server {
    /// Runs PostgreSQL, again whenever it ends unasked. The thread of this call is the one PostgreSQL's life is bound to.
    fn supervise(&self, shared: &Mutex<State>) {
        let mut pause = TICK;
        loop {
            if let Err(error) = self.clear() {
                log::error!(
                    "what an earlier PostgreSQL left in {} cannot be cleared: {error}",
                    self.home.display()
                );
            }
            let began = Instant::now();
            let pid = {
                let mut state = state(shared);
                if state.stopping {
                    return;
                }
                state.server = self
                    .spawn()
                    .inspect_err(|error| log::error!("PostgreSQL cannot be run: {error}"))
                    .ok();
                state.server.as_ref().and_then(pid_of)
            };
            if let Some(pid) = pid {
                // NOWAIT leaves the child to be reaped under the mutex
                let exit = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
                let _ = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(pid), exit));
            }
            let mut state = state(shared);
            let status = state.server.take().map(|mut server| server.wait());
            if state.stopping {
                let _ = fs::remove_dir(&self.socket);
                return;
            }
            drop(state);
            if let Some(Ok(status)) = status {
                log::error!(
                    "PostgreSQL ended unasked ({status}) and is started again; see {}",
                    self.log.display()
                );
            }
            pause = if began.elapsed() > RETRY_PATIENCE {
                TICK
            } else {
                (pause * 2).min(Duration::from_secs(1))
            };
            thread::sleep(pause);
        }
    }

    fn spawn(&self) -> io::Result<Child> {
        let log = OpenOptions::new().append(true).open(&self.log)?;
        let socket = self.socket.as_os_str().as_bytes();
        let mut directories = Vec::from(b"unix_socket_directories=\"");
        for &byte in socket {
            directories.extend(if byte == b'"' {
                &b"\"\""[..]
            } else {
                std::slice::from_ref(&byte)
            });
        }
        directories.push(b'"');

        let mut command = command(
            &self.installation.bin.join("postgres"),
            self.account,
            Signal::INT,
        );
        command
            .arg("-D")
            .arg(&self.home)
            .args(["-p", "5432", "-c"])
            .arg(std::ffi::OsStr::from_bytes(&directories));
        for setting in [
            "listen_addresses=",
            "unix_socket_permissions=0700",
            "lc_messages=C",
            "timezone=UTC",
            "log_timezone=UTC",
            // what a statement failed on may be personal: the log tells of the server, the service of its requests
            "log_min_messages=log",
            "log_error_verbosity=terse",
        ] {
            command.args(["-c", setting]);
        }
        command.args([
            "-c",
            &format!("max_connections={}", self.settings.max_connections),
        ]);
        if !self.settings.fsync {
            command.args([
                "-c",
                "fsync=off",
                "-c",
                "synchronous_commit=off",
                "-c",
                "full_page_writes=off",
            ]);
        }
        command.stdout(log.try_clone()?).stderr(log).spawn()
    }

    /// Ends an orphan of this directory and disarms a stale `postmaster.pid`.
    fn clear(&self) -> io::Result<()> {
        let pid = postmaster(&self.home);
        let orphaned = || is_server_of(pid, &self.home);
        if orphaned() {
            log::warn!(
                "a PostgreSQL left running in {} is stopped first",
                self.home.display()
            );
            end(|signal| orphaned() && signal.is_none_or(|signal| send(pid, signal)));
        }
        match fs::read(self.home.join("postmaster.pid")) {
            Ok(text) => {
                // The number may be another process's by now. PostgreSQL passes over its parent's, and only with the rest
                // of the file does it see whether backends of the old server still use its shared memory.
                let rest = text
                    .iter()
                    .position(|&byte| byte == b'\n')
                    .map_or(&b"\n"[..], |end| &text[end..]);
                let ours = [std::process::id().to_string().as_bytes(), rest].concat();
                fs::write(self.home.join("postmaster.pid"), ours)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        for name in [SOCKET.to_owned(), format!("{SOCKET}.lock")] {
            match fs::remove_file(self.socket.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The user PostgreSQL runs as when the program runs as root, which PostgreSQL refuses.
#[derive(Debug, Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

/// The cluster's owner if it exists, else `postgres`, who comes with the package, else `nobody`; `None` unless root.
fn account(home: &Path) -> Result<Option<Account>, LocalError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    if let Ok(owner) = fs::metadata(home) {
        return match owner.uid() {
            0 => Err(LocalError::OwnedByRoot {
                directory: home.to_owned(),
            }),
            uid => Ok(Some(Account {
                uid,
                gid: owner.gid(),
            })),
        };
    }
    let users = fs::read_to_string("/etc/passwd").map_err(cannot_use(Path::new("/etc/passwd")))?;
    let account = |name: &str| {
        let mut fields = users
            .lines()
            .map(|line| line.split(':'))
            .find(|line| line.clone().next() == Some(name))?
            .skip(2);
        Some(Account {
            uid: fields.next()?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
        })
    };
    ["postgres", "nobody"]
        .into_iter()
        .find_map(account)
        .map(Some)
        .ok_or(LocalError::NoAccount)
}

/// A place under `/var/lib` for a cluster whose own user cannot reach `data`, remembered by a link in `data`.
fn elsewhere(data: &Path) -> Result<PathBuf, LocalError> {
    let link = data.join("postgresql");
    let home = fs::read_link(&link).or_else(|_| {
        fs::create_dir_all(ELSEWHERE)?;
        let made = std::time::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default()
            .as_millis();
        let home = Path::new(ELSEWHERE).join(format!("postgresql-{made}-{}", std::process::id()));
        symlink(&home, &link).map(|()| home)
    });
    let home = home.map_err(cannot_use(Path::new(ELSEWHERE)))?;
    log::warn!(
        "PostgreSQL does not run as root, and its own user cannot reach {}: the cluster lies in {}",
        data.display(),
        home.display()
    );
    Ok(home)
}

/// Where the socket goes: into the cluster, or into a short directory that is as private, when the path is too deep or
/// holds a comma, which separates hosts in a URL.
fn socket_directory(home: &Path) -> Result<PathBuf, LocalError> {
    let path = home.join(SOCKET).into_os_string().into_encoded_bytes();
    if path.len() <= SOCKET_PATH_BYTES && !path.contains(&b',') {
        return Ok(home.to_owned());
    }
    let owner = fs::metadata(home).map_err(cannot_use(home))?;
    let account = Account {
        uid: owner.uid(),
        gid: owner.gid(),
    };
    let short = PathBuf::from(format!(
        "/tmp/kompetens-{}-{:x}-{:x}",
        owner.uid(),
        owner.dev(),
        owner.ino()
    ));
    let made = private_directory(&short, geteuid().is_root().then_some(account)).or_else(|error| {
        let found = fs::symlink_metadata(&short)?;
        let private = found.is_dir() && found.uid() == owner.uid() && found.mode() & 0o077 == 0;
        if private { Ok(()) } else { Err(error) }
    });
    made.map(|()| short.clone()).map_err(cannot_use(&short))
}

fn private_directory(path: &Path, account: Option<Account>) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)?;
    account.map_or(Ok(()), |account| {
        chown(path, Some(account.uid), Some(account.gid))
    })
}

/// Takes the lock that says who holds the cluster, and writes this program's number into it for whoever comes second.
fn lock(data: &Path) -> Result<File, LocalError> {
    let path = data.join("postgresql.lock");
    let open = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .open(&path);
    let mut file = open.map_err(cannot_use(&path))?;
    let taken = file.try_lock().or_else(|_| {
        // `join` looks at the lock for an instant by taking it
        thread::sleep(5 * TICK);
        file.try_lock()
    });
    match taken {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(LocalError::InUse {
                data: data.to_owned(),
                holder: holder(&path),
            });
        }
        Err(TryLockError::Error(error)) => return Err(cannot_use(&path)(error)),
    }
    file.set_len(0)
        .and_then(|()| write!(file, "{}", std::process::id()))
        .map_err(cannot_use(&path))?;
    Ok(file)
}

/// The program that wrote its number into the lock.
fn holder(lock: &Path) -> Option<u32> {
    fs::read_to_string(lock).ok()?.parse().ok()
}

fn answers(url: &str) -> bool {
    let url = format!("{url}&connect_timeout=2");
    PgConnection::establish(&url).is_ok_and(|mut conn| conn.batch_execute("select 1").is_ok())
}

fn state(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
