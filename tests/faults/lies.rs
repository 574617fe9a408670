//! Another time of day, and a name that changes its address, for one program: `lies.c`, put before its C library.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::cluster::{run, scratch};

/// The library, built once.
static LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let library = scratch().join("lies.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/lies.c");
    run(Command::new("cc")
        .args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl"));
    library
});

/// The name whose address may be a lie: that of the document's examples.
pub const NAME: &str = "hr.example.se";

/// What one program is told.
pub struct Lies {
    path: PathBuf,
    file: File,
}

impl Lies {
    pub fn new() -> Lies {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = scratch().join(format!("lies-{number}"));
        std::fs::write(&path, [0; 24]).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let lies = Lies { path, file };
        lies.name_is_at([Ipv4Addr::LOCALHOST; 2]);
        lies
    }

    /// The program of this command will be told them.
    pub fn told_to<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("LD_PRELOAD", &*LIBRARY)
            .env("LIES", &self.path)
            .env("LIES_NAME", NAME)
            .env("KOMPETENS_WEBHOOK_NETWORKS", "127.0.0.1/32")
    }

    /// From now on its clock is so many seconds ahead, or behind.
    pub fn clock_is_ahead(&self, seconds: i64) {
        self.file.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    /// From now on [`NAME`] is at the first of these addresses, then at the second, and so on in turn.
    pub fn name_is_at(&self, addresses: [Ipv4Addr; 2]) {
        let bytes = addresses.map(|address| address.octets()).concat();
        self.file.write_all_at(&bytes, 8).unwrap();
        self.file.write_all_at(&[0; 4], 16).unwrap();
    }
}
