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
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, Semaphore, oneshot};

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

/// What a report's transaction is told: to sort and join much in memory (PostgreSQL's 4 MB are for plain requests), and alone, since
/// what helpers take is taken from plain requests.
const REPORT_SESSION: &str =
    "set local work_mem = '32MB'; set local max_parallel_workers_per_gather = 0";

/// The handle to the database; cheap to clone.
#[derive(Clone)]
pub struct Db(Arc<Gate>);

struct Gate {
    queue: Arc<Queue>,
    reports: Arc<Semaphore>,
    size: usize,
    breaker: Arc<Breaker>,
    bells: Arc<Bells>,
}

/// What wakes the work that nobody asks for.
#[derive(Default)]
struct Bells {
    written: Notify,
    numbered: Notify,
}

type Pool = diesel::r2d2::Pool<Sessions>;

impl Db {
    /// Starts the threads; connects to nothing yet, so the service starts without its database.
    pub fn new(url: &str, size: usize) -> Db {
        Db::with_bells(url, "kompetens", size, Arc::default())
    }

    /// Another gate to the same database, so that what goes through the one never waits for the other. Both ring the same bells.
    pub fn beside(&self, url: &str, size: usize) -> Db {
        Db::with_bells(url, "kompetens-background", size, self.0.bells.clone())
    }

    fn with_bells(url: &str, name: &str, size: usize, bells: Arc<Bells>) -> Db {
        let pool = diesel::r2d2::Pool::builder()
            .max_size(u32::try_from(size).unwrap_or(u32::MAX))
            .min_idle(Some(0))
            .connection_timeout(Duration::from_millis(500))
            .test_on_check_out(false)
            .error_handler(Box::new(diesel::r2d2::NopErrorHandler))
            .build_unchecked(Sessions {
                url: with_parameters(url, name),
                complained: Mutex::new(None),
            });
        let queue = Arc::new(Queue::default());
        for number in 0..size {
            let (pool, queue) = (pool.clone(), queue.clone());
            std::thread::Builder::new()
                .name(format!("db-{number}"))
                .spawn(move || {
                    while let Some(job) = queue.next() {
                        if job.ticket.start() {
                            (job.work)(&pool);
                        }
                    }
                })
                .expect("a thread can be started");
        }
        Db(Arc::new(Gate {
            queue,
            reports: Arc::new(Semaphore::new(REPORTS)),
            size,
            breaker: Arc::new(Breaker::default()),
            bells,
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
        self.0.bells.written.notify_one();
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
        &self.0.bells.written
    }

    /// Rings when this instance has numbered entries of the change log.
    pub fn numbered(&self) -> &Notify {
        &self.0.bells.numbered
    }

    async fn run<T, F>(&self, kind: Kind, closure: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&mut PgConnection) -> Result<T, Error> + Send + 'static,
    {
        let gate = &self.0;
        let arrived = Instant::now();
        let deadline = arrived
            + if kind == Kind::Report {
                REPORT_DEADLINE
            } else {
                DEADLINE
            };
        if !gate.breaker.lets_through() {
            return Err(Error::new(Code::DatabaseUnavailable));
        }

        let ticket = Arc::new(Ticket::default());
        let (answer, mut answered) = oneshot::channel();
        let breaker = gate.breaker.clone();
        let work = move |pool: &Pool| {
            let outcome = attempt(pool, kind, deadline, &closure);
            match &outcome {
                Err(error) if error.code().status() == 503 => breaker.failed(),
                _ => breaker.succeeded(),
            }
            let _ = answer.send(outcome);
        };
        gate.queue
            .push(Job {
                ticket: ticket.clone(),
                work: Box::new(work),
            })
            .inspect_err(|_| gate.breaker.failed())?;
        // what has not begun when its client goes need not begin
        let waiting = Waiting(&ticket);

        let mut outcome =
            tokio::time::timeout_at((arrived + QUEUE_WAIT).into(), &mut answered).await;
        if outcome.is_err() && !ticket.withdraw() {
            outcome = tokio::time::timeout_at(deadline.into(), &mut answered).await;
        }
        drop(waiting);
        match outcome {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Error::internal("a database job panicked")),
            Err(_) => {
                gate.breaker.failed();
                Err(Error::new(match kind {
                    Kind::Write if ticket.has_started() => Code::OutcomeUnknown,
                    _ => Code::DatabaseUnavailable,
                }))
            }
        }
    }

    pub fn load(&self) -> Load {
        let gate = &self.0;
        let line = gate.queue.line();
        Load {
            threads: gate.size,
            busy: gate.size - line.idle,
            waiting: line.jobs.len(),
            jobs: line.taken_in,
        }
    }
}

/// What the gate has to do, for the metrics.
pub struct Load {
    pub threads: usize,
    /// Threads at work.
    pub busy: usize,
    /// Jobs that wait for a thread.
    pub waiting: usize,
    /// Jobs ever given to the gate.
    pub jobs: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Report,
    Write,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// What a thread does next.
struct Job {
    ticket: Arc<Ticket>,
    work: Box<dyn FnOnce(&Pool) + Send>,
}

/// The jobs that wait for a thread, and the threads that wait for a job. A thread that has done one takes the next without being woken,
/// so that under load nobody sleeps.
#[derive(Default)]
struct Queue {
    line: Mutex<Line>,
    arrived: Condvar,
}

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    taken_in: u64,
    idle: usize,
    closed: bool,
}

impl Queue {
    /// 503 when too many wait already.
    fn push(&self, job: Job) -> Result<(), Error> {
        let mut line = self.line();
        if line.jobs.len() >= QUEUE_LENGTH {
            line.jobs.retain(|job| job.ticket.is_waiting());
        }
        if line.jobs.len() >= QUEUE_LENGTH {
            return Err(Error::new(Code::DatabaseUnavailable));
        }
        line.jobs.push_back(job);
        line.taken_in += 1;
        let someone_sleeps = line.idle > 0;
        drop(line);
        if someone_sleeps {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// The next job, waited for; `None` when there will be no more.
    fn next(&self) -> Option<Job> {
        let mut line = self.line();
        loop {
            if let Some(job) = line.jobs.pop_front() {
                return Some(job);
            }
            if line.closed {
                return None;
            }
            line.idle += 1;
            line = self
                .arrived
                .wait(line)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            line.idle -= 1;
        }
    }

    fn close(&self) {
        self.line().closed = true;
        self.arrived.notify_all();
    }

    fn line(&self) -> std::sync::MutexGuard<'_, Line> {
        self.line
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A request that waits; dropped with its future when the client has gone.
struct Waiting<'a>(&'a Ticket);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.withdraw();
    }
}

/// Decides between the job that starts and the request that gives up: exactly one of them wins.
#[derive(Default)]
struct Ticket(AtomicU8);

impl Ticket {
    const WAITING: u8 = 0;
    const STARTED: u8 = 1;
    const WITHDRAWN: u8 = 2;

    fn start(&self) -> bool {
        self.turn(Self::STARTED)
    }

    fn withdraw(&self) -> bool {
        self.turn(Self::WITHDRAWN)
    }

    fn is_waiting(&self) -> bool {
        self.0.load(Ordering::Acquire) == Self::WAITING
    }

    fn has_started(&self) -> bool {
        self.0.load(Ordering::Acquire) == Self::STARTED
    }

    fn turn(&self, state: u8) -> bool {
        self.0
            .compare_exchange(Self::WAITING, state, Ordering::AcqRel, Ordering::Acquire)
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

/// A database that does not answer is noticed by the client library too; what asks is told apart in `pg_stat_activity`.
fn with_parameters(url: &str, name: &str) -> String {
    let parameters = format!(
        "fallback_application_name={name}&connect_timeout=2&keepalives_idle=5&keepalives_interval=2&keepalives_count=3&tcp_user_timeout=5000"
    );
    if url.contains("://") {
        let separator = if url.contains('?') { '&' } else { '?' };
        format!("{url}{separator}{parameters}")
    } else {
        format!("{url} {}", parameters.replace('&', " "))
    }
}
