//! A private PostgreSQL for the benchmark: durable as in production, on a unix socket and on a loopback port.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Database {
    server: Child,
    socket: PathBuf,
    pub port: u16,
    log: PathBuf,
    programs: PathBuf,
    account: Option<(u32, u32)>,
}

impl Database {
    /// Makes the cluster if it is missing, and starts it.
    pub fn start(home: &Path) -> Result<Database, String> {
        let programs = programs()?;
        let account = account()?;
        fs::create_dir_all(home).map_err(|error| format!("{}: {error}", home.display()))?;
        if let Some((user, group)) = account {
            std::os::unix::fs::chown(home, Some(user), Some(group)).map_err(|error| error.to_string())?;
        }
        let data = home.join("postgresql");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(|error| error.to_string())?
            .port();
        let log = home.join("postgresql.log");
        let mut database = Database {
            server: Command::new("true").spawn().map_err(|error| error.to_string())?,
            socket: home.to_owned(),
            port,
            log,
            programs,
            account,
        };
        if !data.join("PG_VERSION").exists() {
            let mut initdb = database.as_account("initdb");
            initdb
                .args([
                    "--username=postgres",
                    "--auth=trust",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--pgdata",
                ])
                .arg(&data);
            succeed(&mut initdb)?;
        }
        let log = fs::File::create(&database.log).map_err(|error| error.to_string())?;
        database.server = database
            .as_account("postgres")
            .arg("-D")
            .arg(&data)
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                &format!("port={port}"),
                "-c",
                "lc_messages=C",
            ])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", database.socket.display()))
            .args([
                "-c",
                "max_connections=300",
                "-c",
                &format!("log_line_prefix={}", crate::statements::PREFIX),
                "-c",
                "shared_buffers=512MB",
                "-c",
                "max_wal_size=4GB",
            ])
            .args(["-c", "shared_preload_libraries=pg_stat_statements"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| error.to_string())?;
        let begun = Instant::now();
        while database.sql("postgres", "select 1").is_err() {
            if begun.elapsed() > Duration::from_secs(60) || database.server.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Err(format!("PostgreSQL does not start; see {}", database.log.display()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(database)
    }

    pub fn pid(&self) -> u32 {
        self.server.id()
    }

    /// A libpq URL over the unix socket.
    pub fn url(&self, role: &str) -> String {
        format!(
            "postgresql:///kompetens?host={}&port={}&user={role}",
            self.socket.display(),
            self.port
        )
    }

    /// Runs SQL as the superuser; what it answers.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut psql = self.psql(database);
        psql.args(["-c", sql]);
        succeed(&mut psql)
    }

    pub fn file(&self, path: &Path, variables: &[(&str, String)]) -> Result<String, String> {
        let mut psql = self.psql("kompetens");
        for (name, value) in variables {
            psql.arg("-v").arg(format!("{name}={value}"));
        }
        succeed(psql.arg("-f").arg(path))
    }

    fn psql(&self, database: &str) -> Command {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args([
            "-XqAt",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "postgres",
            "-p",
            &self.port.to_string(),
            "-h",
        ])
        .arg(&self.socket)
        .args(["-d", database]);
        psql
    }

    /// What the server has logged.
    pub fn logged(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Transactions per second of a pgbench script, prepared, over TCP or the unix socket.
    pub fn pgbench(
        &self,
        script: &Path,
        variables: &[(String, String)],
        connections: usize,
        duration: Duration,
        tcp: bool,
    ) -> Result<f64, String> {
        let mut pgbench = Command::new(self.programs.join("pgbench"));
        pgbench.args([
            "-n",
            "-M",
            "prepared",
            "-U",
            "kompetens_service",
            "-p",
            &self.port.to_string(),
            "-h",
        ]);
        if tcp {
            pgbench.arg("127.0.0.1")
        } else {
            pgbench.arg(&self.socket)
        };
        pgbench.args([
            "-c",
            &connections.to_string(),
            "-j",
            &connections.min(2).to_string(),
            "-T",
            &duration.as_secs().max(1).to_string(),
        ]);
        for (name, value) in variables {
            pgbench.arg("-D").arg(format!("{name}={value}"));
        }
        let report = succeed(pgbench.arg("-f").arg(script).arg("kompetens"))?;
        report
            .lines()
            .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
            .ok_or_else(|| format!("pgbench reports no tps:\n{report}"))
    }

    fn as_account(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        command.current_dir("/");
        command
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // SAFETY: a signal to our own child: PostgreSQL's fast shutdown
        unsafe { libc::kill(self.server.id() as i32, libc::SIGINT) };
        let _ = self.server.wait();
    }
}

/// Standard output of a command that succeeds, or what it said.
pub fn succeed(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(format!("{program}: {}", text(&output.stderr)))
    }
}

/// Where the newest PostgreSQL is installed.
fn programs() -> Result<PathBuf, String> {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    found.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    found.retain(|directory| {
        ["postgres", "initdb", "psql", "pgbench"]
            .iter()
            .all(|program| directory.join(program).exists())
    });
    found
        .into_iter()
        .max()
        .ok_or_else(|| "PostgreSQL's server, psql and pgbench are not installed together".to_owned())
}

/// PostgreSQL refuses to run as root; then the account `postgres` runs it.
fn account() -> Result<Option<(u32, u32)>, String> {
    // SAFETY: geteuid only reads
    if unsafe { libc::geteuid() } != 0 {
        return Ok(None);
    }
    let id = |flag| {
        succeed(Command::new("id").args([flag, "postgres"]))?
            .parse::<u32>()
            .map_err(|error| error.to_string())
    };
    Ok(Some((id("-u")?, id("-g")?)))
}
