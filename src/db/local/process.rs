//! PostgreSQL as a process: how one is run, found and ended.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Account, TICK};

/// A command without this program's environment, which holds secrets and `PG…` settings, that dies with this program.
pub(super) fn command(program: &Path, account: Option<Account>, parting: Signal) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null());
    // Ctrl-C in a terminal is for this program alone
    command.process_group(0);
    if let Some(account) = account {
        command.gid(account.gid).uid(account.uid);
    }
    #[cfg(target_os = "linux")]
    {
        let parent = rustix::process::getpid();
        let bind_to_parent = move || {
            // here and not before: setuid clears it
            rustix::process::set_parent_process_death_signal(Some(parting))?;
            if rustix::process::getppid() == Some(parent) {
                Ok(())
            } else {
                Err(rustix::io::Errno::SRCH.into())
            }
        };
        // SAFETY: between fork and exec the closure makes two system calls and neither allocates nor locks.
        #[allow(unsafe_code, reason = "the only way to a death signal")]
        unsafe {
            command.pre_exec(bind_to_parent)
        };
    }
    command
}

/// Asks a server to end: fast shutdown, else immediate, else by force. `send` sends a signal, if one is given, and tells
/// whether the server is there.
pub(super) fn end(send: impl Fn(Option<Signal>) -> bool) {
    for (signal, seconds) in [(Signal::INT, 10), (Signal::QUIT, 5), (Signal::KILL, 5)] {
        let began = Instant::now();
        let mut there = send(Some(signal));
        while there && began.elapsed() < Duration::from_secs(seconds) {
            thread::sleep(TICK);
            there = send(None);
        }
        if !there {
            return;
        }
    }
}

pub(super) fn send(pid: Option<Pid>, signal: Signal) -> bool {
    pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
}

pub(super) fn pid_of(child: &Child) -> Option<Pid> {
    Pid::from_raw(child.id().cast_signed())
}

/// The process that line 1 of `postmaster.pid` names.
pub(super) fn postmaster(home: &Path) -> Option<Pid> {
    let text = fs::read(home.join("postmaster.pid")).ok()?;
    let line = std::str::from_utf8(text.split(|&byte| byte == b'\n').next()?).ok()?;
    // a single-user PostgreSQL writes its number negated
    Pid::from_raw(line.trim().parse::<i32>().ok()?.checked_abs()?)
}

/// Whether the process is a PostgreSQL server started on this directory; a zombie's command line is empty.
pub(super) fn is_server_of(pid: Option<Pid>, home: &Path) -> bool {
    let Some(pid) = pid else { return false };
    let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    let mut arguments = line.split(|&byte| byte == 0);
    arguments
        .next()
        .is_some_and(|program| program.ends_with(b"postgres"))
        && arguments.any(|argument| argument == home.as_os_str().as_bytes())
}
