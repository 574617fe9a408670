//! Why the private cluster is not to be had, in words that tell what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::installation::{OLDEST_MAJOR, PACKAGED};

/// Why the private cluster is not to be had. The text tells what to do about it.
#[derive(Debug)]
pub enum LocalError {
    /// No `initdb` and `postgres` in PATH or in the packages' directories.
    NotInstalled,
    /// The newest installed major version is older than 15.
    TooOld { newest: u32 },
    /// The cluster was made by a major version that is not installed, and no other can read it.
    MajorNotInstalled {
        directory: PathBuf,
        major: u32,
        newest: u32,
    },
    /// Another program holds the cluster.
    InUse { data: PathBuf, holder: Option<u32> },
    /// Another program holds the cluster, which does not become ready.
    NotReady { holder: Option<u32>, log: PathBuf },
    /// Root's PostgreSQL runs as another user, and there is none.
    NoAccount,
    /// PostgreSQL does not run as root, so it cannot use root's directory.
    OwnedByRoot { directory: PathBuf },
    /// The user PostgreSQL runs as may not enter a directory above the cluster.
    OutOfReach { directory: PathBuf },
    /// A file or directory cannot be read, made or written.
    CannotUse { path: PathBuf, cause: io::Error },
    /// `initdb` failed; its last lines.
    InitFailed { output: String },
    /// The server ended, or did not answer in time; the last lines of its log.
    NotStarted { output: String, log: PathBuf },
    /// The roles and the database could not be made.
    NotMade { reason: String },
}

impl std::error::Error for LocalError {}

impl fmt::Display for LocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = |holder: &Option<u32>| {
            holder.map_or("another program".to_owned(), |pid| format!("process {pid}"))
        };
        match self {
            LocalError::NotInstalled => write!(
                f,
                "PostgreSQL is not installed: no initdb and postgres in PATH or {PACKAGED}/*/bin. Install version \
                 {OLDEST_MAJOR} or newer (Debian and Ubuntu: `./dev run` does it; else the package postgresql or \
                 postgresql-server with its contrib modules), or run without --local and set DATABASE_URL"
            ),
            LocalError::TooOld { newest } => write!(
                f,
                "the newest installed PostgreSQL is {newest}: install version {OLDEST_MAJOR} or newer, or run without \
                 --local and set DATABASE_URL"
            ),
            LocalError::MajorNotInstalled {
                directory,
                major,
                newest,
            } => write!(
                f,
                "the cluster in {} was made by PostgreSQL {major}, which is not installed (the newest here is {newest}): \
                 install PostgreSQL {major}, or set KOMPETENS_DATA to another directory",
                directory.display()
            ),
            LocalError::InUse { data, holder } => write!(
                f,
                "the data directory {} is in use by {}: stop that program, or set KOMPETENS_DATA to another directory",
                data.display(),
                by(holder)
            ),
            LocalError::NotReady { holder, log } => write!(
                f,
                "the private cluster held by {} does not become ready: look at {}",
                by(holder),
                log.display()
            ),
            LocalError::NoAccount => write!(
                f,
                "PostgreSQL does not run as root, and there is neither a user postgres nor nobody: run as another user"
            ),
            LocalError::OwnedByRoot { directory } => write!(
                f,
                "PostgreSQL does not run as root, and {} is root's: give it to the user it shall run as \
                 (chown -R postgres), or set KOMPETENS_DATA to another directory",
                directory.display()
            ),
            LocalError::OutOfReach { directory } => write!(
                f,
                "PostgreSQL does not run as root, and its own user may not enter {}: allow it on every directory above \
                 (chmod o+x), move the data directory, or set KOMPETENS_DATA to another",
                directory.display()
            ),
            LocalError::CannotUse { path, cause } => write!(
                f,
                "{} cannot be used: {cause}. Its user must be allowed to read and write it; KOMPETENS_DATA names \
                 another directory",
                path.display()
            ),
            LocalError::InitFailed { output } => {
                write!(f, "initdb could not make the cluster:\n{output}")
            }
            LocalError::NotStarted { output, log } => {
                write!(
                    f,
                    "PostgreSQL did not start; the end of {}:\n{output}",
                    log.display()
                )
            }
            LocalError::NotMade { reason } => {
                write!(f, "the database kompetens could not be made: {reason}")
            }
        }
    }
}

pub(super) fn cannot_use(path: &Path) -> impl FnOnce(io::Error) -> LocalError {
    let path = path.to_owned();
    move |cause| LocalError::CannotUse { path, cause }
}
