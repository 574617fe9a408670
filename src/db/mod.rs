//! The gate to the database: a few fixed threads, a bounded queue, one deadline, and a breaker.
//!
//! A request hands over one closure and awaits its answer. [`Db::read`] runs one statement, [`Db::snapshot`] several on
//! one snapshot, [`Db::write`] one transaction. Closures may run more than once, so they have no side effects of their own.
//!
//! Every figure below was tried against a stopped PostgreSQL under 50 clients: the first 503 comes after the queue wait,
//! the next at once, and the first success a few milliseconds after the database goes on.

pub mod local;
pub mod migrations;
pub mod schema;
pub mod sql_types;

use diesel::Connection;
use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::pg::PgConnection;
use diesel::r2d2::ManageConnection;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use crate::error::{Code, Error, Fate};

/// How long a request may wait for a free thread.
const QUEUE_WAIT: Duration = Duration::from_millis(400);
/// How many requests may wait at once; the next is refused right away.
const QUEUE_LENGTH: usize = 256;
/// From arrival to answer.
const DEADLINE: Duration = Duration::from_secs(1);
/// The same for a report, which reads much.
const REPORT_DEADLINE: Duration = Duration::from_secs(5);
/// How many reports may run at once, of eight threads.
const REPORTS: usize = 2;
/// How often a closure is run at most.
const ATTEMPTS: u32 = 3;
/// After so many failures in a row the breaker opens …
const BREAKER_FAILURES: u32 = 10;
/// … and lets one request try every so often.
const BREAKER_PAUSE: Duration = Duration::from_millis(250);

/// What every connection is told before its first statement.
const SESSION: &str = "set timezone = 'UTC'; set statement_timeout = '5s'; set lock_timeout = '2s'; \
     set idle_in_transaction_session_timeout = '10s'; set client_min_messages = 'warning'; set jit = off";

/// What a report's transaction is told: to sort and join much in memory. (PostgreSQL's 4 MB are for plain requests.)
const REPORT_SESSION: &str = "set local work_mem = '32MB'";

/// The handle to the database; cheap to clone.
#[derive(Clone)]
pub struct Db(Arc<Gate>);

struct Gate {
    threads: Mutex<mpsc::Sender<Job>>,
    permits: Arc<Semaphore>,
    reports: Arc<Semaphore>,
    size: usize,
    waiting: AtomicUsize,
    breaker: Arc<Breaker>,
    written: Notify,
    numbered: Notify,
}

type Job = Box<dyn FnOnce(&Pool) + Send>;
type Pool = diesel::r2d2::Pool<Sessions>;

impl Db {
    /// Starts the threads; connects to nothing yet, so the service starts without its database.
    pub fn new(url: &str, size: usize) -> Db {
        let pool = diesel::r2d2::Pool::builder()
            .max_size(u32::try_from(size).unwrap_or(u32::MAX))
            .min_idle(Some(0))
            .connection_timeout(Duration::from_millis(500))
            .test_on_check_out(false)
            .error_handler(Box::new(diesel::r2d2::NopErrorHandler))
            .build_unchecked(Sessions {
                url: with_timeouts(url),
                complained: Mutex::new(None),
            });
        let (threads, jobs) = mpsc::channel::<Job>();
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..size {
            let (pool, jobs) = (pool.clone(), jobs.clone());
            std::thread::Builder::new()
                .name(format!("db-{number}"))
                .spawn(move || {
                    loop {
                        let next = jobs
                            .lock()
                            .unwrap_or_else(std::sync::PoisonError::into_inner)
                            .recv();
                        match next {
                            Ok(job) => job(&pool),
                            Err(mpsc::RecvError) => break,
                        }
                    }
                })
                .expect("a thread can be started");
        }
        Db(Arc::new(Gate {
            threads: Mutex::new(threads),
            permits: Arc::new(Semaphore::new(size)),
            reports: Arc::new(Semaphore::new(REPORTS)),
            size,
            waiting: AtomicUsize::new(0),
            breaker: Arc::new(Breaker::default()),
            written: Notify::new(),
            numbered: Notify::new(),
        }))
    }

    /// Runs one statement, without BEGIN.
    pub async fn read<T, F>(&self, closure: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&mut PgConnection) -> Result<T, Error> + Send + 'static,
    {
        self.run(Kind::Read, closure).await
    }

    /// Runs several statements on one snapshot: REPEATABLE READ, READ ONLY.
    pub async fn snapshot<T, F>(&self, closure: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&mut PgConnection) -> Result<T, Error> + Send + 'static,
    {
        self.run(Kind::Read, move |conn| {
            conn.build_transaction()
                .repeatable_read()
                .read_only()
                .run(|conn| closure(conn))
        })
        .await
    }

    /// Runs the statements of a report on one snapshot, within a longer deadline. Only a few run at once, so that they leave
    /// threads for the rest.
    pub async fn report<T, F>(&self, closure: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&mut PgConnection) -> Result<T, Error> + Send + 'static,
    {
        let turn = tokio::time::timeout(QUEUE_WAIT, self.0.reports.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Error::new(Code::DatabaseUnavailable));
        };
        self.run(Kind::Report, move |conn| {
            // the job holds its turn until it is done
            let _turn = &turn;
            conn.build_transaction()
                .repeatable_read()
                .read_only()
                .run(|conn| {
                    conn.batch_execute(REPORT_SESSION)?;
                    closure(conn)
                })
        })
        .await
    }

    /// Runs one transaction: all of it or nothing. The closure is the use case.
    pub async fn write<T, F>(&self, closure: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&mut PgConnection) -> Result<T, Error> + Send + 'static,
    {
        let outcome = self.keep_house(closure).await;
        self.0.written.notify_one();
        outcome
    }

    /// A transaction of the service's own, which wakes nobody.
    pub async fn keep_house<T, F>(&self, closure: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&mut PgConnection) -> Result<T, Error> + Send + 'static,
    {
        self.run(Kind::Write, move |conn| in_transaction(conn, &closure))
            .await
    }

    /// Rings after each write of this instance.
    pub fn written(&self) -> &Notify {
        &self.0.written
    }

    /// Rings when this instance has numbered entries of the change log.
    pub fn numbered(&self) -> &Notify {
        &self.0.numbered
    }

    async fn run<T, F>(&self, kind: Kind, closure: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&mut PgConnection) -> Result<T, Error> + Send + 'static,
    {
        let gate = &self.0;
        let deadline = Instant::now()
            + if kind == Kind::Report {
                REPORT_DEADLINE
            } else {
                DEADLINE
            };
        if !gate.breaker.lets_through() {
            return Err(Error::new(Code::DatabaseUnavailable));
        }
        let permit = gate.permit().await.inspect_err(|_| gate.breaker.failed())?;

        let ticket = Arc::new(Ticket::default());
        let (answer, answered) = oneshot::channel();
        let breaker = gate.breaker.clone();
        let started = ticket.clone();
        let job: Job = Box::new(move |pool| {
            // the job holds the permit until it is done, even when nobody waits for it any more
            let _permit = permit;
            if started.start() {
                let outcome = attempt(pool, kind, deadline, &closure);
                match &outcome {
                    Err(error) if error.code().status() == 503 => breaker.failed(),
                    _ => breaker.succeeded(),
                }
                let _ = answer.send(outcome);
            }
        });
        gate.threads
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .send(job)
            .map_err(|_| Error::internal("the database threads are gone"))?;

        match tokio::time::timeout_at(deadline.into(), answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Error::internal("a database job panicked")),
            Err(_) => {
                gate.breaker.failed();
                Err(Error::new(match kind {
                    Kind::Write if !ticket.withdraw() => Code::OutcomeUnknown,
                    _ => Code::DatabaseUnavailable,
                }))
            }
        }
    }

    /// Threads in all, threads at work, requests waiting: for the metrics.
    pub fn load(&self) -> (usize, usize, usize) {
        let gate = &self.0;
        (
            gate.size,
            gate.size - gate.permits.available_permits(),
            gate.waiting.load(Ordering::Relaxed),
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Report,
    Write,
}

impl Gate {
    /// A free thread, waited for briefly.
    async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= QUEUE_LENGTH {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::new(Code::DatabaseUnavailable));
        }
        let _left = Leaving(&self.waiting);
        match tokio::time::timeout(QUEUE_WAIT, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Error::new(Code::DatabaseUnavailable)),
        }
    }
}

/// Counts a waiter out, also when its client has gone and the future is dropped.
struct Leaving<'a>(&'a AtomicUsize);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Decides between the job that starts and the request that gives up: exactly one of them wins.
#[derive(Default)]
struct Ticket(AtomicU8);

impl Ticket {
    fn start(&self) -> bool {
        self.0
            .compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    fn withdraw(&self) -> bool {
        self.0
            .compare_exchange(0, 2, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

/// Runs the closure, again while a concurrent transaction or a lost connection is to blame and time is left.
fn attempt<T>(
    pool: &Pool,
    kind: Kind,
    deadline: Instant,
    closure: &impl Fn(&mut PgConnection) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut tries = 0;
    loop {
        tries += 1;
        let mut session = pool
            .get()
            .map_err(|_| Error::new(Code::DatabaseUnavailable))?;
        let outcome =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| closure(&mut session.conn)));
        let error = match outcome {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error,
            Err(_) => {
                session.lost = true;
                return Err(Error::internal("a use case panicked"));
            }
        };
        session.lost = error.fate() == Fate::ConnectionLost;
        let surely_undone = error.code() != Code::OutcomeUnknown;
        if error.fate() == Fate::Final
            || !surely_undone
            || tries == ATTEMPTS
            || Instant::now() >= deadline
        {
            if let Some(cause) = error.internal_cause() {
                log::warn!("a {kind:?} failed after {tries} tries: {cause}");
            }
            return Err(error);
        }
    }
}

/// BEGIN, the closure, COMMIT. A connection lost at COMMIT leaves the outcome unknown; before it, nothing was written.
fn in_transaction<T>(
    conn: &mut PgConnection,
    closure: &impl Fn(&mut PgConnection) -> Result<T, Error>,
) -> Result<T, Error> {
    AnsiTransactionManager::begin_transaction(conn)?;
    match closure(conn) {
        Ok(value) => match AnsiTransactionManager::commit_transaction(conn) {
            Ok(()) => Ok(value),
            Err(error) => {
                let error = Error::from(error);
                match error.fate() {
                    Fate::ConnectionLost => Err(error.recoded(Code::OutcomeUnknown)),
                    _ => Err(error),
                }
            }
        },
        Err(error) => {
            // a rollback that fails leaves a broken connection, which is thrown away
            let _ = AnsiTransactionManager::rollback_transaction(conn);
            Err(error)
        }
    }
}

/// Opens after several failures in a row and then lets one request in a while try.
#[derive(Default)]
struct Breaker(Mutex<BreakerState>);

#[derive(Default)]
struct BreakerState {
    failures: u32,
    next_probe: Option<Instant>,
}

impl Breaker {
    fn lets_through(&self) -> bool {
        let mut state = self.state();
        match state.next_probe {
            None => true,
            Some(at) if Instant::now() >= at => {
                state.next_probe = Some(Instant::now() + BREAKER_PAUSE);
                true
            }
            Some(_) => false,
        }
    }

    fn failed(&self) {
        let mut state = self.state();
        state.failures += 1;
        if state.failures >= BREAKER_FAILURES {
            state.next_probe = Some(Instant::now() + BREAKER_PAUSE);
        }
    }

    fn succeeded(&self) {
        *self.state() = BreakerState::default();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, BreakerState> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// r2d2's manager of connections that remember that they were lost, so that the pool throws them away
/// without asking the server before each use.
struct Sessions {
    url: String,
    complained: Mutex<Option<Instant>>,
}

impl Sessions {
    /// Says why there is no connection, every ten seconds at most. The error's own text holds host and role.
    fn complain(&self, error: &str) {
        let mut last = self
            .complained
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.is_some_and(|at| at.elapsed() < Duration::from_secs(10)) {
            return;
        }
        *last = Some(Instant::now());
        let reasons = [
            ("password", "it refuses the password"),
            ("does not exist", "the role or the database does not exist"),
            ("pg_hba.conf", "it does not let this host in"),
            ("starting up", "it is starting up"),
            ("too many clients", "all of its connections are taken"),
            (
                "remaining connection slots",
                "all of its connections are taken",
            ),
            ("refused", "nothing listens at its address"),
            ("No such file", "nothing listens at its address"),
            ("translate host name", "its host is not known"),
            ("timeout", "it does not answer"),
        ];
        let reason = reasons.iter().find(|(phrase, _)| error.contains(phrase));
        let reason = reason.map_or("it cannot be reached", |(_, reason)| reason);
        log::warn!("no connection to the database: {reason} (DATABASE_URL)");
    }
}

struct Session {
    conn: PgConnection,
    lost: bool,
}

impl ManageConnection for Sessions {
    type Connection = Session;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Session, Self::Error> {
        let mut conn = PgConnection::establish(&self.url)
            .inspect_err(|error| self.complain(&error.to_string()))
            .map_err(diesel::r2d2::Error::ConnectionError)?;
        conn.batch_execute(SESSION)
            .map_err(diesel::r2d2::Error::QueryError)?;
        Ok(Session { conn, lost: false })
    }

    fn is_valid(&self, session: &mut Session) -> Result<(), Self::Error> {
        session
            .conn
            .batch_execute("select 1")
            .map_err(diesel::r2d2::Error::QueryError)
    }

    fn has_broken(&self, session: &mut Session) -> bool {
        session.lost || AnsiTransactionManager::is_broken_transaction_manager(&mut session.conn)
    }
}

/// A database that does not answer is noticed by the client library too.
fn with_timeouts(url: &str) -> String {
    const TIMEOUTS: &str = "connect_timeout=2&keepalives_idle=5&keepalives_interval=2&keepalives_count=3&tcp_user_timeout=5000";
    if url.contains("://") {
        let separator = if url.contains('?') { '&' } else { '?' };
        format!("{url}{separator}{TIMEOUTS}")
    } else {
        format!("{url} {}", TIMEOUTS.replace('&', " "))
    }
}
