//! Which PostgreSQL is installed, which one a directory takes, and how a new cluster is made.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::error::{LocalError, cannot_use};
use super::process::command;
use super::{Account, Settings, last_lines, private_directory};

/// The oldest major version of PostgreSQL that will do.
pub(super) const OLDEST_MAJOR: u32 = 15;
/// Where Debian and Ubuntu keep one directory per major version.
pub(super) const PACKAGED: &str = "/usr/lib/postgresql";

/// An installed PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installation {
    pub(super) major: u32,
    pub(super) bin: PathBuf,
}

impl Installation {
    /// Whether PostgreSQL, under its own user, can be run in this directory: the kernel knows best.
    pub(super) fn reaches(&self, directory: &Path, account: Option<Account>) -> bool {
        let mut command = command(&self.bin.join("postgres"), account, Signal::KILL);
        command
            .arg("--version")
            .current_dir(directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    /// Makes a new cluster, beside its place and then renamed, so that it is there as a whole or not at all.
    pub(super) fn make(
        &self,
        home: &Path,
        account: Option<Account>,
        settings: &Settings,
    ) -> Result<(), LocalError> {
        let unfinished = home.with_extension(format!("new-{}", std::process::id()));
        let _ = fs::remove_dir_all(&unfinished);
        private_directory(&unfinished, account).map_err(cannot_use(&unfinished))?;
        let mut initdb = command(&self.bin.join("initdb"), account, Signal::KILL);
        initdb
            .arg("--pgdata")
            .arg(&unfinished)
            .args([
                "--username=postgres",
                "--auth-local=trust",
                "--auth-host=reject",
                "--encoding=UTF8",
            ])
            .args([
                "--lc-collate=C",
                "--lc-ctype=C.UTF-8",
                "--lc-messages=C",
                "--no-instructions",
            ]);
        if !settings.fsync {
            initdb.arg("--no-sync");
        }
        let output = initdb.output().map_err(cannot_use(&self.bin))?;
        if !output.status.success() {
            let _ = fs::remove_dir_all(&unfinished);
            let text = [output.stdout, output.stderr].concat();
            return Err(LocalError::InitFailed {
                output: last_lines(&String::from_utf8_lossy(&text)),
            });
        }
        fs::rename(&unfinished, home).map_err(cannot_use(home))?;
        let parent = home.parent().unwrap_or(home);
        File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(cannot_use(parent))
    }
}

/// The major version the cluster was made by; `None` if there is no cluster yet.
pub(super) fn major_of(home: &Path) -> Result<Option<u32>, LocalError> {
    let path = home.join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(text) => text
            .trim()
            .parse()
            .map(Some)
            .map_err(|error| cannot_use(&path)(io::Error::other(error))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot_use(&path)(error)),
    }
}

/// Every PostgreSQL server in PATH and in the packages' own directories.
pub(super) fn installed() -> Vec<Installation> {
    let packaged = fs::read_dir(PACKAGED)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"));
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .chain(packaged)
        .filter(|bin| bin.is_absolute() && bin.join("initdb").is_file())
        .filter_map(|bin| {
            let output = Command::new(bin.join("postgres"))
                .arg("--version")
                .output()
                .ok()?;
            // postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)
            let text = String::from_utf8(output.stdout).ok()?;
            let digits = text
                .split_whitespace()
                .nth(2)?
                .split(|c: char| !c.is_ascii_digit())
                .next()?;
            Some(Installation {
                major: digits.parse().ok()?,
                bin,
            })
        })
        .collect()
}

/// The newest for a new directory, the directory's own for an old one.
pub(super) fn choose(
    installed: Vec<Installation>,
    wanted: Option<u32>,
    home: &Path,
) -> Result<Installation, LocalError> {
    let newest = installed
        .iter()
        .map(|found| found.major)
        .max()
        .ok_or(LocalError::NotInstalled)?;
    if newest < OLDEST_MAJOR {
        return Err(LocalError::TooOld { newest });
    }
    let major = wanted.unwrap_or(newest);
    installed
        .into_iter()
        .find(|found| found.major == major)
        .ok_or(LocalError::MajorNotInstalled {
            directory: home.to_owned(),
            major,
            newest,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(majors: &[u32]) -> Vec<Installation> {
        majors
            .iter()
            .map(|&major| Installation {
                major,
                bin: PathBuf::from(format!("/{major}")),
            })
            .collect()
    }

    #[test]
    fn the_newest_serves_a_new_directory_and_its_own_an_old_one() {
        let home = Path::new("/data");
        assert_eq!(choose(with(&[15, 17, 16]), None, home).unwrap().major, 17);
        assert_eq!(
            choose(with(&[15, 17, 16]), Some(16), home).unwrap().major,
            16
        );
    }

    #[test]
    fn a_missing_old_or_other_postgresql_is_refused_with_what_to_install() {
        let refusal = |majors: &[u32], own| {
            choose(with(majors), own, Path::new("/data"))
                .unwrap_err()
                .to_string()
        };
        assert!(refusal(&[], None).starts_with("PostgreSQL is not installed"));
        assert!(refusal(&[13, 14], None).contains("is 14: install version 15 or newer"));
        assert!(refusal(&[17], Some(16)).contains("install PostgreSQL 16"));
    }
}
