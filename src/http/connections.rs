//! The clients' connections: no crowd of slow or silent ones keeps the others out.
//!
//! Actix times only the head of a connection's first request. So every connection is known here, with the moment since which it has
//! been waiting for its client. When there are as many as the service may hold, one is closed for the new one: that which has waited
//! longest for its first request, else for its next. Who waits longer than `PATIENCE` is closed anyhow. A client that takes no bytes
//! is the kernel's: `UNREAD`.

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use rustix::fd::OwnedFd;
use rustix::net::{Shutdown, shutdown, sockopt};
use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a client may take from one answer to its next whole request; beyond actix's keep-alive, which ends the quiet ones.
const PATIENCE: Duration = Duration::from_secs(80);
/// How long sent bytes may stay unacknowledged, also when the client's window stays closed.
const UNREAD: u32 = 20_000;
/// Each connection takes two descriptors, its own and the one that it can be ended by; so many are left for everything else.
const OTHER_DESCRIPTORS: u64 = 48;

/// All open connections of the clients' port.
#[derive(Clone)]
pub struct Connections {
    open: Arc<Mutex<Open>>,
    limit: usize,
}

#[derive(Default)]
struct Open {
    last: u64,
    known: HashMap<u64, Known>,
    /// Those that wait for their client, in the order in which they are given up.
    waiting: BTreeSet<Waiting>,
}

struct Known {
    end: OwnedFd,
    waiting: Option<Waiting>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    /// Was it answered before?
    answered: bool,
    since: Instant,
    number: u64,
}

/// A connection's place among the others; it goes with the connection.
pub struct Place {
    connections: Connections,
    number: u64,
}

impl Connections {
    /// As many as asked for, or as the process may have descriptors for.
    pub fn at_most(limit: usize) -> Connections {
        let descriptors = raise_descriptor_limit();
        let affordable = descriptors.saturating_sub(OTHER_DESCRIPTORS) / 2;
        Connections {
            open: Arc::default(),
            limit: limit.min(usize::try_from(affordable.max(8)).unwrap_or(usize::MAX)),
        }
    }

    /// How many each of so many workers may hold, so that no more are taken than can be.
    pub fn for_each_of(&self, workers: usize) -> usize {
        self.limit.div_ceil(workers.max(1)) + 1
    }

    /// For `HttpServer::on_connect`.
    pub fn connected(&self, io: &dyn Any, data: &mut Extensions) {
        let Some(stream) = io.downcast_ref::<TcpStream>() else {
            return;
        };
        // neither is needed for a client that behaves
        let _ = sockopt::set_tcp_user_timeout(stream, UNREAD);
        let Ok(end) = stream.as_fd().try_clone_to_owned() else {
            return;
        };
        let mut open = self.open();
        while open.known.len() >= self.limit {
            if !open.end_first(|_| true) {
                break;
            }
        }
        open.last += 1;
        let number = open.last;
        open.known.insert(number, Known { end, waiting: None });
        open.wait(
            number,
            Some(Waiting {
                answered: false,
                since: Instant::now(),
                number,
            }),
        );
        data.insert(Arc::new(Place {
            connections: self.clone(),
            number,
        }));
    }

    /// Ends those that have waited too long, for as long as the service runs.
    pub async fn end_the_slow(self) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = Instant::now();
            let too_long = |since: Instant| now.duration_since(since) > PATIENCE;
            while self.open().end_first(too_long) {}
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Ends the first connection that has waited so long.
    fn end_first(&mut self, too_long: impl Fn(Instant) -> bool) -> bool {
        let first = self.waiting.iter().find(|one| too_long(one.since)).copied();
        let Some(first) = first else {
            return false;
        };
        self.waiting.remove(&first);
        if let Some(known) = self.known.remove(&first.number) {
            let _ = shutdown(&known.end, Shutdown::Both);
        }
        true
    }

    fn wait(&mut self, number: u64, waiting: Option<Waiting>) {
        let Some(known) = self.known.get_mut(&number) else {
            return;
        };
        if let Some(before) = std::mem::replace(&mut known.waiting, waiting) {
            self.waiting.remove(&before);
        }
        self.waiting.extend(waiting);
    }
}

impl Place {
    /// Its request is being answered, which is not for the client to hurry.
    pub fn is_served(&self) {
        self.connections.open().wait(self.number, None);
    }

    /// It is its client's turn.
    pub fn waits(&self) {
        let waiting = Waiting {
            answered: true,
            since: Instant::now(),
            number: self.number,
        };
        self.connections.open().wait(self.number, Some(waiting));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.wait(self.number, None);
        open.known.remove(&self.number);
    }
}

/// Takes all descriptors that the operator allows; says how many.
fn raise_descriptor_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.or(limit.current).unwrap_or(u64::MAX);
    let raised = Rlimit {
        current: Some(most),
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => most,
        Err(_) => limit.current.unwrap_or(most),
    }
}
