//! The program as it is shipped, on a PostgreSQL of its own, under every fault that we could think of.
//!
//! Each test is one fault: clients keep a ledger of what they sent and heard, and afterwards the database is held against it
//! and against what must always hold. `cargo test` runs few rounds; `./dev faults` runs all of them with the release build
//! and prints the table of docs/RELIABILITY.md, a row a fault.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod cluster;
mod ledger;
mod lies;
mod program;
#[path = "../api/schema.rs"]
mod schema;
mod wire;

mod clock;
mod database;
mod imports;
mod kills;
mod line;
mod parsers;
mod pressure;
mod rolling;
mod texts;
mod webhooks;

/// `few` rounds in the suite, `all` of them for the table.
fn rounds(few: usize, all: usize) -> usize {
    if std::env::var_os("KOMPETENS_FAULTS").is_some_and(|how| how == "all") {
        all
    } else {
        few
    }
}

/// One row of the table.
struct Row<'a> {
    fault: &'a str,
    rounds: usize,
    requests: u64,
    acknowledged: usize,
    lost: usize,
    doubled: usize,
    broken: u64,
    note: String,
}

impl Row<'_> {
    /// Prints the row and holds it to the promise: zeros where zeros belong.
    #[track_caller]
    fn promise_kept(self) {
        println!(
            "\n| {} | {} | {} | {} | {} | {} | {} | {} |",
            self.fault,
            self.rounds,
            self.requests,
            self.acknowledged,
            self.lost,
            self.doubled,
            self.broken,
            self.note
        );
        assert!(
            self.acknowledged > 0,
            "{}: something went through",
            self.fault
        );
        assert_eq!(
            (self.lost, self.doubled, self.broken),
            (0, 0, 0),
            "{}",
            self.fault
        );
    }
}

/// Settles what is unknown and holds ledger and database against each other.
#[track_caller]
fn judge(
    fault: &str,
    rounds: usize,
    ledger: &ledger::Ledger,
    cluster: &cluster::Cluster,
    address: std::net::SocketAddr,
    note: String,
) {
    ledger.settle(address);
    ledger.expect_equal_replays(address);
    ledger::expect_numbered(cluster);
    ledger::expect_whole(cluster);
    program::expect_nothing_secret_is_logged();
    let (lost, doubled) = ledger.lost_and_doubled(cluster);
    Row {
        fault,
        rounds,
        requests: ledger.requests(),
        acknowledged: ledger.acknowledged.lock().unwrap().len(),
        lost,
        doubled,
        broken: ledger.broken.load(std::sync::atomic::Ordering::SeqCst),
        note,
    }
    .promise_kept();
}
