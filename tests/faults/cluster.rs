//! A PostgreSQL cluster that a test may stop, kill, freeze, fill and fail over.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use crate::program::kompetens;

/// A directory of this run, in memory where there is such a place.
pub fn scratch() -> PathBuf {
    let base = Path::new("/dev/shm");
    let base = if base.is_dir() {
        base.to_owned()
    } else {
        std::env::temp_dir()
    };
    let directory = base.join(format!("kompetens-faults-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Who runs PostgreSQL: it refuses to be root.
fn account() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    ["postgres:", "nobody:"].iter().find_map(|name| {
        let line = users.lines().find(|line| line.starts_with(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

fn binaries() -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let major = entry.file_name().to_str()?.parse().ok()?;
            Some((major, entry.path().join("bin")))
        })
        .collect();
    found.sort();
    if let Some((_, directory)) = found.pop() {
        return directory;
    }
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .find(|directory| directory.join("initdb").exists())
        .expect("PostgreSQL's server is installed")
}

/// A program of PostgreSQL's that dies with the thread that started it.
pub fn postgres(program: &str) -> Command {
    let mut command = Command::new(binaries().join(program));
    command
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null());
    if let Some((uid, gid)) = account() {
        command.uid(uid).gid(gid);
    }
    let bind_to_parent = || {
        Ok(rustix::process::set_parent_process_death_signal(Some(
            Signal::QUIT,
        ))?)
    };
    // SAFETY: between fork and exec the closure makes one system call.
    #[allow(unsafe_code, reason = "the only way to a death signal")]
    unsafe {
        command.pre_exec(bind_to_parent);
    }
    command
}

pub fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-a").arg(from).arg(to));
}

/// The files of a cluster that is stopped, migrated and full of demo data.
static TEMPLATE: LazyLock<PathBuf> = LazyLock::new(|| {
    forget_earlier_runs();
    let home = scratch().join("template");
    directory_for_postgres(&home);
    let data = home.join("data");
    run(postgres("initdb").arg("-D").arg(&data).args([
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--lc-collate=C",
        "--no-sync",
    ]));
    let cluster = Cluster::start(home.clone(), &[]);
    cluster
        .admin("postgres")
        .batch_execute("create role kompetens_owner login; create role kompetens_service login")
        .unwrap();
    cluster
        .admin("postgres")
        .batch_execute("create database kompetens owner kompetens_owner")
        .unwrap();
    let owner = cluster.url("kompetens_owner", "kompetens");
    run(kompetens()
        .args(["migrate", "--grant-to", "kompetens_service"])
        .env("KOMPETENS_MIGRATION_DATABASE_URL", owner));
    run(kompetens().arg("demo").env(
        "DATABASE_URL",
        cluster.url("kompetens_service", "kompetens"),
    ));
    cluster.signal(Signal::INT);
    cluster.await_end();
    home
});

fn forget_earlier_runs() {
    let here = scratch();
    for entry in fs::read_dir(here.parent().unwrap()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix("kompetens-faults-");
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn directory_for_postgres(path: &Path) {
    fs::create_dir_all(path).unwrap();
    if let Some((uid, gid)) = account() {
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).unwrap();
    }
}

/// In every URL of the database, and never to be seen anywhere else.
pub const PASSWORD: &str = "hemligt-losenord";

/// A cluster with demo data of its own, on a unix socket.
pub struct Cluster {
    pub home: PathBuf,
    /// What the oracle looks into.
    database: Mutex<String>,
    options: Vec<String>,
    server: Mutex<Child>,
}

impl Cluster {
    pub fn new() -> Cluster {
        Cluster::with(&[])
    }

    /// A cluster with settings like `max_connections=20`.
    pub fn with(settings: &[&str]) -> Cluster {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let home = scratch().join(number.to_string());
        copy(&TEMPLATE, &home);
        Cluster::start(home, settings)
    }

    /// A standby of this cluster that has caught up.
    pub fn standby(&self) -> Cluster {
        let home = self.home.with_extension("standby");
        directory_for_postgres(&home);
        run(postgres("pg_basebackup")
            .arg("-D")
            .arg(home.join("data"))
            .arg("-h")
            .arg(&self.home)
            .args(["-U", "postgres", "-R", "-c", "fast", "-X", "stream"]));
        Cluster::start(home, &[])
    }

    fn start(home: PathBuf, settings: &[&str]) -> Cluster {
        let options: Vec<String> = settings
            .iter()
            .map(|setting| (*setting).to_owned())
            .collect();
        let server = Mutex::new(spawn(&home, &options));
        let cluster = Cluster {
            home,
            database: Mutex::new("kompetens".to_owned()),
            options,
            server,
        };
        cluster.await_answer();
        cluster
    }

    /// Starts the server again, once it has ended.
    pub fn restart(&self) {
        self.await_end();
        *self.server.lock().unwrap() = spawn(&self.home, &self.options);
        self.await_answer();
    }

    pub fn socket(&self) -> PathBuf {
        self.home.join(".s.PGSQL.5432")
    }

    /// The password is not asked for; it is there to be looked for in the log.
    pub fn url(&self, role: &str, database: &str) -> String {
        format!(
            "postgresql://{role}:{PASSWORD}@/{database}?host={}",
            self.home.display()
        )
    }

    pub fn admin(&self, database: &str) -> PgConnection {
        PgConnection::establish(&self.url("postgres", database)).unwrap()
    }

    pub fn sql(&self, statements: &str) {
        self.admin(&self.database.lock().unwrap())
            .batch_execute(statements)
            .unwrap();
    }

    /// From now on the oracle looks into this database.
    pub fn look_into(&self, database: &str) {
        *self.database.lock().unwrap() = database.to_owned();
    }

    /// Changes a setting of the running server.
    pub fn set(&self, name: &str, value: &str) {
        let mut admin = self.admin("postgres");
        admin
            .batch_execute("set default_transaction_read_only = off")
            .unwrap();
        admin
            .batch_execute(&format!("alter system set {name} = '{value}'"))
            .unwrap();
        admin.batch_execute("select pg_reload_conf()").unwrap();
    }

    pub fn await_setting(&self, name: &str, value: &str) {
        while self.text(&format!("select current_setting('{name}')")) != value {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn count(&self, query: &str) -> i64 {
        diesel::select(diesel::dsl::sql::<BigInt>(&format!("({query})")))
            .get_result(&mut self.admin(&self.database.lock().unwrap()))
            .unwrap()
    }

    pub fn text(&self, query: &str) -> String {
        diesel::select(diesel::dsl::sql::<Text>(&format!(
            "coalesce(({query})::text, '')"
        )))
        .get_result(&mut self.admin(&self.database.lock().unwrap()))
        .unwrap()
    }

    /// What `kompetens verify-audit` says of the database that the oracle looks into.
    pub fn verify_audit(&self) -> Result<String, String> {
        let database = self.database.lock().unwrap().clone();
        let output = kompetens()
            .arg("verify-audit")
            .env("DATABASE_URL", self.url("kompetens_service", &database))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(said)
        } else {
            Err(said + &String::from_utf8_lossy(&output.stderr))
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.server.lock().unwrap())
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Signals the server and every process of it.
    pub fn signal_all(&self, signal: Signal) {
        let parent = self.pid();
        let mut all = vec![parent];
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let after_name = stat.rsplit(')').next().unwrap_or_default();
            let its_parent = after_name.split_whitespace().nth(1);
            if its_parent == Some(&parent.as_raw_nonzero().to_string()) {
                all.extend(Pid::from_raw(pid));
            }
        }
        for pid in all {
            let _ = kill_process(pid, signal);
        }
    }

    pub fn await_end(&self) {
        self.server.lock().unwrap().wait().unwrap();
    }

    pub fn await_answer(&self) {
        let begun = Instant::now();
        let url = self.url("postgres", "postgres");
        while PgConnection::establish(&url).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "PostgreSQL answers"
            );
            // the backends of a killed server need a moment to let go of its memory
            let mut server = self.server.lock().unwrap();
            if server.try_wait().unwrap().is_some() {
                *server = spawn(&self.home, &self.options);
            }
            drop(server);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.signal_all(Signal::CONT);
        let _ = kill_process(self.pid(), Signal::QUIT);
        let _ = self.server.lock().unwrap().wait();
        if self.home.file_name().is_some_and(|name| name != "template") {
            let _ = fs::remove_dir_all(&self.home);
        }
    }
}

fn spawn(home: &Path, settings: &[String]) -> Child {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(home.join("log"))
        .unwrap();
    let mut command = postgres("postgres");
    command.arg("-D").arg(home.join("data"));
    let fixed = [
        "listen_addresses=",
        "lc_messages=C",
        "timezone=UTC",
        "shared_buffers=32MB",
        "max_wal_senders=4",
    ];
    for setting in fixed
        .iter()
        .copied()
        .chain(settings.iter().map(String::as_str))
    {
        command.arg("-c").arg(setting);
    }
    command
        .arg("-k")
        .arg(home)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}
