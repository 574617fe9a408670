//! Two at once about one exception: exactly one order of things comes out, as if they had come one after the other.
//!
//! Each race is run through HTTP from a barrier, many rounds. Its negative control takes the same steps with the same use cases but
//! without the lock, and shows what the lock prevents.

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::prelude::*;
use kompetens::exceptions::{self, NewDecision, StoredRequest};
use kompetens::http::call::Call;
use kompetens::identity::{Actor, Identity};
use kompetens::organisation::appointments;
use serde_json::{Value, json};
use std::sync::Barrier;
use std::time::{Duration, Instant};
use uuid::Uuid;

use crate::app::{Caller, Reply};
use crate::exceptions::Offices;
use crate::given::NOW;

const ROUNDS: usize = 25;

/// Both at once.
fn at_once(
    one: impl FnOnce() -> Reply + Send,
    other: impl FnOnce() -> Reply + Send,
) -> (Reply, Reply) {
    let barrier = Barrier::new(2);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            barrier.wait();
            other()
        });
        barrier.wait();
        (one(), other.join().expect("no panic"))
    })
}

/// The place in the change log of the last entry about a resource.
fn entry(offices: &Offices, id: &str) -> i64 {
    offices.hedemora.app.count(&format!(
        "select max(entry_id) from changes where resource_id = '{id}'"
    ))
}

fn requested(offices: &Offices) -> (String, String) {
    let event = offices.off_the_ladder(&[&offices.hedemora.education]);
    let request = offices.ask(&event, "departmentHead").id();
    (event, request)
}

// what a race without the lock is made of

fn call(person: &str) -> Call {
    let identity = Identity {
        person_ref: person.to_owned(),
        roles: [].into(),
        units: [].into(),
    };
    Call::new(
        Actor::Person(identity),
        NOW.parse().expect("a moment"),
        &Uuid::now_v7().to_string(),
    )
}

fn begin(offices: &Offices) -> PgConnection {
    let mut conn = offices.hedemora.app.database();
    AnsiTransactionManager::begin_transaction(&mut conn).expect("a transaction");
    conn
}

fn commit(mut conn: PgConnection) {
    AnsiTransactionManager::commit_transaction(&mut conn).expect("it commits");
}

/// `exceptions::lock` without the locks.
fn read(conn: &mut PgConnection, request: &str) -> (kompetens::events::Event, StoredRequest) {
    let stored =
        exceptions::queries::find(conn, request.parse().expect("an id")).expect("a request");
    let event = kompetens::events::queries::load(conn, stored.event_id).expect("an event");
    (event, stored)
}

fn decide_unlocked(conn: &mut PgConnection, person: &str, request: &str, outcome: &str) {
    let (event, stored) = read(conn, request);
    let new: NewDecision = serde_json::from_value(
        json!({"outcome": outcome, "reasons": "Det finns skäl.", "noConflictOfInterest": true}),
    )
    .expect("a decision");
    exceptions::decide(conn, &call(person), Uuid::now_v7(), (&event, &stored), &new)
        .expect("it decides");
}

fn await_waiter(offices: &Offices) {
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let begun = Instant::now();
    while offices.hedemora.app.count(waits) == 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "one waits for the other"
        );
    }
}

/// Runs one in a transaction that stays open, lets the other run into it, and commits both.
fn interleaved(
    offices: &Offices,
    one: impl FnOnce(&mut PgConnection),
    other: impl FnOnce(&mut PgConnection) + Send,
) {
    let mut first = begin(offices);
    one(&mut first);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| {
            let mut second = begin(offices);
            other(&mut second);
            commit(second);
        });
        await_waiter(offices);
        commit(first);
        second.join().expect("no panic");
    });
}

fn outcomes(offices: &Offices, request: &str) -> Vec<Value> {
    let path = format!("/exception-requests/{request}/decisions");
    let hedemora = &offices.hedemora;
    let decisions = hedemora.app.get(&hedemora.hr, &path).expect(200).body;
    let items = decisions["items"].as_array().expect("items");
    items.iter().map(|item| item["outcome"].clone()).collect()
}

#[test]
fn of_two_deciders_at_once_one_decides_and_the_other_hears_by_whom() {
    let offices = Offices::new();
    for _ in 0..ROUNDS {
        let (_, request) = requested(&offices);
        let (approval, rejection) = at_once(
            || offices.decide(&offices.director, &request, "approved"),
            || offices.decide(&offices.education_head, &request, "rejected"),
        );
        let (won, lost, stands) = if approval.status == 201 {
            (approval, rejection, "approved")
        } else {
            (rejection, approval, "rejected")
        };
        won.expect(201);
        let lost = lost.expect_problem(409, "already-decided");
        assert!(
            lost.text.contains("person-director") || lost.text.contains("person-head"),
            "it says by whom: {}",
            lost.text
        );
        assert_eq!(offices.status(&request), stands);
        assert_eq!(outcomes(&offices, &request), [stands]);
    }

    // without the lock both decide
    let (_, request) = requested(&offices);
    interleaved(
        &offices,
        |conn| decide_unlocked(conn, "person-director", &request, "approved"),
        |conn| decide_unlocked(conn, "person-head", &request, "rejected"),
    );
    assert_eq!(
        outcomes(&offices, &request).len(),
        2,
        "approved and rejected at once: that is the race"
    );
}

#[test]
fn a_request_is_decided_or_withdrawn_never_both() {
    let offices = Offices::new();
    let mut decided = 0;
    for _ in 0..ROUNDS {
        let (_, request) = requested(&offices);
        let path = format!("/exception-requests/{request}/withdrawal");
        let (decision, withdrawal) = at_once(
            || offices.decide(&offices.education_head, &request, "approved"),
            || {
                let hedemora = &offices.hedemora;
                let if_match = [("If-Match", "*")];
                hedemora
                    .app
                    .send(&hedemora.hr, "POST", &path, &if_match, None)
            },
        );
        if decision.status == 201 {
            decided += 1;
            withdrawal.expect_problem(409, "already-decided");
            assert_eq!(offices.status(&request), "approved");
        } else {
            decision.expect_problem(409, "request-not-open");
            withdrawal.expect(200);
            assert_eq!(offices.status(&request), "withdrawn");
            assert_eq!(outcomes(&offices, &request), [] as [Value; 0]);
        }
    }
    println!("decided first in {decided} of {ROUNDS} rounds");

    // without the lock it is withdrawn with an approval
    let (_, request) = requested(&offices);
    interleaved(
        &offices,
        |conn| decide_unlocked(conn, "person-head", &request, "approved"),
        |conn| {
            let (event, stored) = read(conn, &request);
            exceptions::withdraw(conn, &call("person-hr"), &event, &stored).expect("it withdraws");
        },
    );
    assert_eq!(offices.status(&request), "withdrawn");
    assert_eq!(
        outcomes(&offices, &request),
        ["approved"],
        "that is the race"
    );
}

#[test]
fn an_event_is_decided_as_it_was_or_the_decider_hears_what_changed() {
    let offices = Offices::new();
    let hedemora = &offices.hedemora;
    for _ in 0..ROUNDS {
        let (event, request) = requested(&offices);
        let path = format!("/events/{event}");
        let mut occasion =
            hedemora.app.get(&hedemora.hr, &path).expect(200).body["occasions"][0].clone();
        occasion["venueId"] = json!(hedemora.town_hall);
        let body = json!({"occasions": [occasion]}).to_string();
        let (decision, edit) = at_once(
            || offices.decide(&offices.education_head, &request, "approved"),
            || {
                let if_match = [("If-Match", "*")];
                hedemora
                    .app
                    .send(&hedemora.hr, "PATCH", &path, &if_match, Some(&body))
            },
        );
        edit.expect(200);
        if decision.status == 201 {
            // decided about what the event was, which covers nothing now
            assert!(entry(&offices, &decision.id()) < entry(&offices, &event));
            assert_eq!(offices.read(&request).body["stale"], true);
            assert_ne!(offices.ladder(&event), "coveredByException");
        } else {
            let changed = decision.expect_problem(409, "event-changed");
            assert_eq!(
                changed.body["errors"][0]["code"], "venue",
                "it says what differs"
            );
        }
    }

    // without the lock an edit that came first is not seen
    let (event, request) = requested(&offices);
    let mut edit = begin(&offices);
    let moved = format!(
        "update occasions set venue_id = '{}' where event_id = '{event}'",
        hedemora.town_hall
    );
    diesel::connection::SimpleConnection::batch_execute(&mut edit, &moved).expect("it is edited");
    let mut decider = begin(&offices);
    decide_unlocked(&mut decider, "person-head", &request, "approved");
    commit(decider);
    commit(edit);
    assert_eq!(
        outcomes(&offices, &request),
        ["approved"],
        "that is the race"
    );
    assert_eq!(offices.read(&request).body["stale"], true);
}

#[test]
fn who_decides_holds_the_office_until_the_decision_stands() {
    let offices = Offices::new();
    let hedemora = &offices.hedemora;
    let acting = offices.appoint(
        "departmentHead",
        &hedemora.education,
        "person-stand-in",
        json!({"capacity": "acting"}),
    );
    let stand_in: Caller = hedemora.app.employee("person-stand-in");
    let path = format!("/office-appointments/{}", acting.id());
    let until = |day: Value| {
        let body = json!({"validTo": day}).to_string();
        let if_match = [("If-Match", "*")];
        hedemora
            .app
            .send(&hedemora.hr, "PATCH", &path, &if_match, Some(&body))
    };
    let today = json!(&NOW[..10]);
    for _ in 0..ROUNDS {
        let (_, request) = requested(&offices);
        let (decision, end) = at_once(
            || offices.decide(&stand_in, &request, "approved"),
            || until(today.clone()),
        );
        end.expect(200);
        if decision.status == 201 {
            assert!(entry(&offices, &decision.id()) < entry(&offices, &acting.id()));
            assert_eq!(decision.body["capacity"], "acting");
        } else {
            // who holds no office may not even see the request of a draft
            assert!([403, 404].contains(&decision.status), "{}", decision.text);
            assert_eq!(offices.status(&request), "submitted");
        }
        until(Value::Null).expect(200);
    }

    // without the lock on the appointment its end, which came first, is not seen
    let (event, request) = requested(&offices);
    let mut ending = begin(&offices);
    let end = format!(
        "update office_appointments set valid_to = '{}' where id = '{}'",
        &NOW[..10],
        acting.id()
    );
    diesel::connection::SimpleConnection::batch_execute(&mut ending, &end).expect("it is ended");
    let mut decider = begin(&offices);
    let day = NOW[..10].parse().expect("a day");
    let held =
        appointments::queries::held_by(&mut decider, "person-stand-in", day).expect("appointments");
    let decides = format!(
        "insert into decisions (id, request_id, office_appointment_id, office_type, unit_id, person_ref, capacity, outcome,
             reasons, basis, decided_at)
         values ('{}', '{request}', '{}', 'departmentHead', '{}', 'person-stand-in', 'acting', 'approved', 'Skäl.',
             'execution', '{NOW}')",
        Uuid::now_v7(),
        held[0].id,
        hedemora.education
    );
    diesel::connection::SimpleConnection::batch_execute(&mut decider, &decides)
        .expect("it decides");
    commit(decider);
    commit(ending);
    assert_eq!(
        outcomes(&offices, &request),
        ["approved"],
        "by an office that had ended, about {event}: that is the race"
    );
}
