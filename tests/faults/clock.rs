//! The clock is set forward and back under writers, and runs through both nights of summer time.

use chrono::{DateTime, Duration, Offset, TimeZone, Utc};
use chrono_tz::Europe::Stockholm;
use std::sync::atomic::AtomicBool;

use crate::cluster::Cluster;
use crate::ledger::{Ledger, planning_day};
use crate::lies::Lies;
use crate::program::{Client, HR, Program, ask_operations, free_address};
use crate::{judge, rounds};

/// The last moments before now at which Stockholm's clocks were moved: the two nights of a year, the later one first.
fn nights() -> Vec<DateTime<Utc>> {
    let offset = |at: &DateTime<Utc>| Stockholm.offset_from_utc_datetime(&at.naive_utc()).fix();
    let hours = (0..).map(|hour| {
        let midnight = Utc::now().date_naive().and_hms_opt(0, 0, 0).unwrap();
        midnight.and_utc() - Duration::hours(hour)
    });
    hours
        .filter(|at| offset(at) != offset(&(*at - Duration::hours(1))))
        .take(2)
        .collect()
}

/// A service whose clock a test sets, and an event that is changed again and again.
struct Clocked {
    cluster: Cluster,
    lies: Lies,
    program: Program,
    client: Client,
    event: String,
    changes: i64,
}

impl Clocked {
    fn new() -> Clocked {
        let cluster = Cluster::new();
        let lies = Lies::new();
        let url = cluster.url("kompetens_service", "kompetens");
        let program = Program::at(free_address(), lies.told_to(&mut Program::command(&url)));
        let mut client = Client::new(program.address, &HR);
        let event = client
            .send("POST", "/events", &[], Some(&planning_day("Ändras")))
            .unwrap()
            .id();
        Clocked {
            cluster,
            lies,
            program,
            client,
            event,
            changes: 0,
        }
    }

    /// Changes the event, perhaps before it was made: its revision goes up all the same.
    fn change(&mut self) {
        self.changes += 1;
        let changes = self.changes;
        let reply = self
            .client
            .send(
                "PATCH",
                &format!("/events/{}", self.event),
                &[("If-Match", &format!("\"{changes}\""))],
                Some(&format!(r#"{{"estimatedCost": {changes}}}"#)),
            )
            .unwrap();
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.json()["revision"], changes + 1);
        assert_eq!(ask_operations(&self.program, "/readyz").0, 200);
    }

    fn judge(&self, fault: &str, rounds: usize, ledger: &Ledger) {
        let failed = (
            ledger.unknown.lock().unwrap().len(),
            ledger.refused.lock().unwrap().len(),
        );
        assert_eq!(failed, (0, 0), "requests without an answer, and refused");
        judge(
            fault,
            rounds,
            ledger,
            &self.cluster,
            self.program.address,
            format!("no request failed; {} changes of one event", self.changes),
        );
    }
}

#[test]
fn a_clock_that_is_set_forward_and_back_loses_and_doubles_nothing() {
    let mut clocked = Clocked::new();
    let ledger = Ledger::default();
    let stop = AtomicBool::new(false);
    let rounds = rounds(2, 50);
    ledger.writers(clocked.program.address, 8, &stop, || {
        for _ in 0..rounds {
            for seconds in [3600, 0, -3600, 0, 1, -1, 7 * 3600, 0] {
                clocked.lies.clock_is_ahead(seconds);
                ledger.await_more(8);
                clocked.change();
            }
        }
    });
    clocked.judge("clock: set forward and back", rounds * 8, &ledger);
}

#[test]
fn the_nights_of_summer_time_lose_and_double_nothing() {
    for night in nights() {
        let mut clocked = Clocked::new();
        let ledger = Ledger::default();
        let stop = AtomicBool::new(false);
        // the hour before, the moment itself, and the hour that is there twice, or not at all
        let moments = [-3601, -2, 0, 1800, 3599, 3601];
        ledger.writers(clocked.program.address, 8, &stop, || {
            for from in moments {
                let ahead = night + Duration::seconds(from) - Utc::now();
                clocked.lies.clock_is_ahead(ahead.num_seconds());
                ledger.await_more(rounds(8, 400));
                clocked.change();
            }
        });
        let date = night.with_timezone(&Stockholm).date_naive();
        let fault = format!("clock: the night of {date}");
        clocked.judge(&fault, moments.len(), &ledger);
    }
}

#[test]
fn the_program_believes_the_clock_that_it_is_told() {
    let cluster = Cluster::new();
    let lies = Lies::new();
    let url = cluster.url("kompetens_service", "kompetens");
    let program = Program::at(free_address(), lies.told_to(&mut Program::command(&url)));
    let mut client = Client::new(program.address, &HR);
    for ahead in [0, 3600, -3600] {
        lies.clock_is_ahead(ahead);
        let title = format!("Skapas {ahead} sekunder fram");
        let reply = client
            .send("POST", "/events", &[], Some(&planning_day(&title)))
            .unwrap();
        let made: DateTime<Utc> = reply.json()["createdAt"].as_str().unwrap().parse().unwrap();
        let off = made - (Utc::now() + Duration::seconds(ahead));
        assert!(off.num_seconds().abs() < 30, "{ahead}: {off}");
    }
    // with its token's time gone, nobody is let in
    lies.clock_is_ahead(400 * 86400);
    assert_eq!(client.get("/units").unwrap().status, 401);
}
