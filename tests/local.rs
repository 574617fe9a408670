//! The private cluster, tried with a real PostgreSQL: starts, stops, and everything that is killed without asking.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::pg::PgConnection;
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, RunQueryDsl};
use kompetens::db::local::{LocalCluster, LocalError, Settings};
use rustix::process::{Pid, Signal, geteuid, kill_process};

const QUICK: Settings = Settings {
    fsync: false,
    max_connections: 20,
};

/// A directory that goes with the test.
struct Data(PathBuf);

impl Data {
    fn new() -> Data {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("kompetens-local-{}-{number}", std::process::id());
        let root = Path::new("/dev/shm");
        let root = if root.is_dir() {
            root.to_owned()
        } else {
            std::env::temp_dir()
        };
        fs::create_dir(root.join(&name)).unwrap();
        Data(root.join(name))
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if let Ok(elsewhere) = fs::read_link(self.0.join("postgresql")) {
            let _ = fs::remove_dir_all(elsewhere);
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn start(data: &Path) -> LocalCluster {
    LocalCluster::start(data, &QUICK).unwrap_or_else(|error| panic!("{error}"))
}

/// With the settings of `serve --local`.
fn start_durably(data: &Path) -> LocalCluster {
    LocalCluster::start(data, &Settings::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(data: &Path) -> LocalError {
    LocalCluster::start(data, &QUICK).err().expect("a refusal")
}

fn execute(url: &str, statements: &str) {
    let mut conn = PgConnection::establish(url).unwrap_or_else(|error| panic!("{error}"));
    conn.batch_execute(statements)
        .unwrap_or_else(|error| panic!("{error}"));
}

fn count(url: &str) -> i64 {
    let mut conn = PgConnection::establish(url).unwrap();
    diesel::select(sql::<BigInt>("(select count(*) from kept)"))
        .get_result(&mut conn)
        .unwrap()
}

fn show(cluster: &LocalCluster, setting: &str) -> String {
    let mut conn = PgConnection::establish(&cluster.superuser_url("postgres")).unwrap();
    diesel::select(sql::<Text>(&format!("current_setting('{setting}')")))
        .get_result(&mut conn)
        .unwrap()
}

fn postmaster(data: &Path) -> Pid {
    let text = fs::read_to_string(data.join("postgresql/postmaster.pid")).unwrap();
    Pid::from_raw(text.lines().next().unwrap().parse().unwrap()).unwrap()
}

fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).unwrap();
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Another program that holds the cluster of `data`.
fn holder(data: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "the_other_program"])
        .env("KOMPETENS_TEST_DATA", data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let is_up = |line: Result<String, _>| line.unwrap().ends_with("the cluster is up");
    assert!(
        output.by_ref().lines().any(is_up),
        "the other program ended early"
    );
    child.stdout = Some(output.into_inner());
    child
}

#[test]
#[ignore = "run by the other tests, as the program that is killed"]
fn the_other_program() {
    let Some(data) = std::env::var_os("KOMPETENS_TEST_DATA") else {
        return;
    };
    let _cluster = start_durably(Path::new(&data));
    println!("the cluster is up");
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn what_was_written_is_there_after_a_stop_and_a_start() {
    let data = Data::new();
    let cluster = start(&data.0);
    execute(
        &cluster.owner_url(),
        "create table kept (n int); insert into kept values (1), (2)",
    );
    let pid = postmaster(&data.0);
    drop(cluster);
    assert!(
        kill_process(pid, Signal::CONT).is_err(),
        "PostgreSQL is gone when drop returns"
    );
    assert!(!data.0.join("postgresql/postmaster.pid").exists());

    assert_eq!(count(&start(&data.0).owner_url()), 2);
}

#[test]
fn the_server_is_private_speaks_c_and_lives_in_utc() {
    let data = Data::new();
    let cluster = start(&data.0);
    assert_eq!(show(&cluster, "lc_messages"), "C");
    assert_eq!(show(&cluster, "timezone"), "UTC");
    assert_eq!(show(&cluster, "server_encoding"), "UTF8");
    assert_eq!(show(&cluster, "listen_addresses"), "");
    assert_eq!(show(&cluster, "fsync"), "off");
    assert_eq!(show(&cluster, "max_connections"), "20");
    let mode = fs::metadata(data.0.join("postgresql"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn the_owner_migrates_and_the_service_may_only_connect() {
    let data = Data::new();
    let cluster = start(&data.0);
    execute(
        &cluster.owner_url(),
        "create extension btree_gist; create table kept (n int)",
    );
    let mut service = PgConnection::establish(&cluster.service_url()).unwrap();
    for forbidden in [
        "select * from kept",
        "create table mine (n int)",
        "create temporary table mine (n int)",
        "drop table kept",
    ] {
        assert!(service.batch_execute(forbidden).is_err(), "{forbidden}");
    }
}

#[test]
fn a_killed_program_takes_postgresql_along_and_the_next_starts_at_once() {
    let data = Data::new();
    drop(start(&data.0));
    for round in 0..5 {
        let mut program = holder(&data.0);
        let pid = postmaster(&data.0);
        program.kill().unwrap();
        program.wait().unwrap();
        let began = Instant::now();
        let cluster = start(&data.0);
        assert_ne!(postmaster(&data.0), pid, "round {round}: an orphan answers");
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "round {round}: {:?}",
            began.elapsed()
        );
        drop(cluster);
    }
}

#[test]
fn a_killed_postgresql_is_started_again_at_the_same_address_with_all_that_was_written() {
    let data = Data::new();
    let cluster = start_durably(&data.0);
    let url = cluster.owner_url();
    execute(&url, "create table kept (n int)");
    for round in 1..=3 {
        // a session is open when the server is killed, and holds its shared memory for a moment
        let mut open = PgConnection::establish(&url).unwrap();
        open.batch_execute("insert into kept values (1)").unwrap();
        let killed = postmaster(&data.0);
        kill(killed);
        wait_until("PostgreSQL answers again", || {
            PgConnection::establish(&url).is_ok() && postmaster(&data.0) != killed
        });
        assert_eq!(count(&url), round);
    }
}

#[test]
fn both_killed_at_once_lose_nothing() {
    let data = Data::new();
    let mut program = holder(&data.0);
    let joined = LocalCluster::join(&data.0)
        .unwrap()
        .expect("a cluster to join");
    execute(
        &joined.owner_url(),
        "create table kept (n int); insert into kept values (1)",
    );
    program.kill().unwrap();
    kill(postmaster(&data.0));
    program.wait().unwrap();
    assert_eq!(count(&start(&data.0).owner_url()), 1);
}

#[test]
fn an_orphan_that_is_still_running_is_stopped_first() {
    let data = Data::new();
    let mut program = holder(&data.0);
    let orphan = postmaster(&data.0);
    // stopped, it cannot follow the program into death
    kill_process(orphan, Signal::STOP).unwrap();
    program.kill().unwrap();
    program.wait().unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            kill_process(orphan, Signal::CONT).unwrap();
        });
        let _cluster = start(&data.0);
        assert_ne!(postmaster(&data.0), orphan);
    });
}

#[test]
fn a_second_program_is_told_who_holds_the_directory_and_may_join_it() {
    let data = Data::new();
    assert!(
        LocalCluster::join(&data.0).unwrap().is_none(),
        "nobody is there yet"
    );

    let mut program = holder(&data.0);
    let began = Instant::now();
    let refusal = refused(&data.0).to_string();
    assert!(began.elapsed() < Duration::from_millis(500));
    assert!(
        refusal.contains(&format!("in use by process {}", program.id())),
        "{refusal}"
    );

    let joined = LocalCluster::join(&data.0)
        .unwrap()
        .expect("a cluster to join");
    execute(&joined.service_url(), "select 1");
    drop(joined);
    assert!(
        LocalCluster::join(&data.0).unwrap().is_some(),
        "a guest does not stop it"
    );

    drop(program.stdin.take());
    program.wait().unwrap();
    assert!(
        LocalCluster::join(&data.0).unwrap().is_none(),
        "it ended with its program"
    );
}

#[test]
fn a_stale_postmaster_pid_is_passed_over_even_when_its_number_lives_again() {
    let data = Data::new();
    drop(start(&data.0));
    let home = data.0.join("postgresql");
    let mut stranger = Command::new("sleep").arg("60").spawn().unwrap();
    for stale in [
        format!("{}\n{}\n1\n5432\n", stranger.id(), home.display()),
        "1\n".to_owned(),
        String::new(),
    ] {
        for name in ["postmaster.pid", ".s.PGSQL.5432.lock"] {
            fs::write(home.join(name), &stale).unwrap();
        }
        fs::write(home.join(".s.PGSQL.5432"), "").unwrap();
        execute(&start(&data.0).owner_url(), "select 1");
    }
    assert!(
        stranger.try_wait().unwrap().is_none(),
        "the stranger was left alone"
    );
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn a_deep_directory_gets_a_short_private_socket() {
    let data = Data::new();
    let deep = data
        .0
        .join("mycket långt, \"ned\" i trädet ".repeat(4))
        .join("x".repeat(90));
    let cluster = start(&deep);
    execute(&cluster.owner_url(), "select 1");
    let pid_file = fs::read_to_string(deep.join("postgresql/postmaster.pid")).unwrap();
    let socket = PathBuf::from(pid_file.lines().nth(4).unwrap());
    let found = fs::metadata(&socket).unwrap();
    assert_eq!(found.permissions().mode() & 0o777, 0o700);
    assert!(LocalCluster::join(&deep).unwrap().is_some());
    drop(cluster);
    assert!(
        !socket.exists(),
        "the short directory goes with the cluster"
    );
}

#[test]
fn a_directory_with_spaces_quotes_and_swedish_letters_will_do() {
    let data = Data::new();
    execute(
        &start(&data.0.join("å \"ä\", ö&?%")).owner_url(),
        "select 1",
    );
}

#[test]
fn a_first_start_that_failed_leaves_nothing_that_hinders_the_next() {
    let data = Data::new();
    let unfinished = data
        .0
        .join(format!("postgresql.new-{}", std::process::id()));
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("half"), "").unwrap();
    execute(&start(&data.0).owner_url(), "select 1");
    assert!(!unfinished.exists());
}

#[test]
fn a_cluster_of_a_version_that_is_not_installed_names_the_version() {
    let data = Data::new();
    drop(start(&data.0));
    fs::write(data.0.join("postgresql/PG_VERSION"), "99\n").unwrap();
    let refusal = refused(&data.0).to_string();
    assert!(refusal.contains("install PostgreSQL 99"), "{refusal}");
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let data = Data::new();
    drop(start(&data.0));
    fs::write(
        data.0.join("postgresql/postgresql.conf"),
        "no_such_setting = 1\n",
    )
    .unwrap();
    let refusal = refused(&data.0).to_string();
    assert!(refusal.contains("no_such_setting"), "{refusal}");
}

#[test]
fn a_path_that_is_no_directory_is_named() {
    let data = Data::new();
    let file = data.0.join("file");
    fs::write(&file, "").unwrap();
    let refusal = refused(&file).to_string();
    assert!(
        refusal.starts_with(&format!("{} cannot be used", file.display())),
        "{refusal}"
    );
}

#[test]
fn root_runs_postgresql_as_another_user() {
    if !geteuid().is_root() {
        return;
    }
    let data = Data::new();
    let cluster = start(&data.0);
    let server = fs::metadata(format!("/proc/{}", postmaster(&data.0).as_raw_nonzero())).unwrap();
    assert_ne!(server.uid(), 0);
    drop(cluster);

    let home = data.0.join("postgresql");
    std::os::unix::fs::chown(&home, Some(0), Some(0)).unwrap();
    assert!(matches!(refused(&data.0), LocalError::OwnedByRoot { .. }));
}

#[test]
fn root_may_keep_the_data_where_no_other_user_gets() {
    if !geteuid().is_root() {
        return;
    }
    let data = Data::new();
    fs::set_permissions(&data.0, fs::Permissions::from_mode(0o700)).unwrap();
    let below = data.0.join("checkout/data");
    let cluster = start(&below);
    execute(
        &cluster.owner_url(),
        "create table kept (n int); insert into kept values (1)",
    );
    drop(cluster);
    assert_eq!(
        count(&start(&below).owner_url()),
        1,
        "the second start finds the first one's place"
    );
    let elsewhere = fs::read_link(below.join("postgresql")).unwrap();
    fs::remove_dir_all(&elsewhere).unwrap();
    fs::remove_file(below.join("postgresql")).unwrap();

    fs::set_permissions(&data.0, fs::Permissions::from_mode(0o755)).unwrap();
    drop(start(&below));
    fs::set_permissions(&data.0, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(
        matches!(refused(&below), LocalError::OutOfReach { .. }),
        "a cluster that was moved out of reach"
    );
}

#[test]
fn a_data_directory_behind_a_link_is_the_same_directory() {
    let data = Data::new();
    let real = data.0.join("real");
    fs::create_dir(&real).unwrap();
    symlink(&real, data.0.join("link")).unwrap();
    let _cluster = start(&real);
    assert!(matches!(
        refused(&data.0.join("link")),
        LocalError::InUse { .. }
    ));
}
