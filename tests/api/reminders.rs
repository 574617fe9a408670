//! Reminders: the log says once, and to everyone who follows it, that something is due.

use crate::app::TestApp;
use crate::given::{Hedemora, NOW};
use diesel::prelude::*;
use kompetens::changes::reminders;
use kompetens::http::call::Call;
use kompetens::identity::Actor;
use serde_json::{Value, json};

/// What an instance does when it looks; says how many it reminded of.
fn look(app: &TestApp, now: &str) -> usize {
    let call = Call::new(Actor::System, now.parse().expect("a time"), "looking");
    app.database()
        .transaction(|conn| {
            reminders::remind(conn, &call).map_err(|_| diesel::result::Error::RollbackTransaction)
        })
        .expect("reminders can be written")
}

/// The reminders that the feed carries, in order.
fn told(hedemora: &Hedemora) -> Vec<Value> {
    // a write of the service wakes the sequencer
    let title = json!({"unitId": hedemora.education, "title": "Mål", "validFrom": "2020-01-01"});
    hedemora
        .app
        .post(&hedemora.hr, "/business-goals", &title)
        .expect(201);
    hedemora.app.until_numbered();
    let mut all = Vec::new();
    let mut after = 0;
    loop {
        let path = format!("/changes?limit=100&after={after}");
        let answer = hedemora.app.get(&hedemora.hr, &path).expect(200).body;
        all.extend(
            answer["items"]
                .as_array()
                .expect("items")
                .iter()
                .filter(|item| item["operation"] == "remind")
                .cloned(),
        );
        after = answer["nextAfter"].as_i64().expect("a number");
        if answer["hasMore"] == json!(false) {
            return all;
        }
    }
}

fn appoint_head(hedemora: &Hedemora) {
    hedemora
        .app
        .post(
            &hedemora.hr,
            "/office-appointments",
            &json!({"officeType": "departmentHead", "unitId": hedemora.education, "personRef": "person-head",
                    "capacity": "ordinary", "validFrom": "2020-01-01"}),
        )
        .expect(201);
}

#[test]
fn a_follow_up_is_reminded_of_once_when_due_soon_and_once_when_overdue_naming_the_head() {
    let hedemora = Hedemora::new();
    appoint_head(&hedemora);
    let event = hedemora.confirmed();
    let app = &hedemora.app;
    let list = app
        .get(&hedemora.planner, &format!("/events/{event}/follow-ups"))
        .expect(200)
        .body;
    let follow_up = &list["items"][0];
    // the event is on 2026-10-05, so it is due 90 days later, and due soon 14 days before that
    assert_eq!(follow_up["dueDate"], "2027-01-03");
    assert_eq!(look(app, NOW), 0);
    assert_eq!(
        look(app, "2026-12-19T22:59:59Z"),
        0,
        "the day before, in Stockholm"
    );
    assert_eq!(
        look(app, "2026-12-19T23:00:00Z"),
        1,
        "the day itself, in Stockholm"
    );
    assert_eq!(look(app, "2026-12-19T23:00:01Z"), 0, "once");
    assert_eq!(look(app, "2027-01-03T12:00:00Z"), 0);
    assert_eq!(
        look(app, "2027-01-20T12:00:00Z"),
        1,
        "no instance ran at midnight"
    );
    assert_eq!(look(app, "2027-03-20T12:00:00Z"), 0);
    let reminders = told(&hedemora);
    assert_eq!(reminders.len(), 2);
    for (reminder, kind) in reminders.iter().zip(["followUpDueSoon", "followUpOverdue"]) {
        assert_eq!(reminder["resourceType"], "followUp");
        assert_eq!(reminder["resourceId"], follow_up["id"]);
        assert_eq!(reminder["eventId"], json!(event));
        assert_eq!(reminder["tombstone"], json!(false));
        assert_eq!(
            reminder["reminder"],
            json!({"kind": kind, "date": "2027-01-03", "responsiblePerson": "person-planner", "head": "person-head"})
        );
    }
}

#[test]
fn an_instance_that_first_looks_when_it_is_overdue_says_only_that_and_drafts_are_left_in_peace() {
    let hedemora = Hedemora::new();
    hedemora.ready();
    assert_eq!(look(&hedemora.app, "2027-02-01T12:00:00Z"), 0, "a draft");
    hedemora.confirmed();
    assert_eq!(look(&hedemora.app, "2027-02-01T12:00:00Z"), 1);
    let reminders = told(&hedemora);
    assert_eq!(reminders[0]["reminder"]["kind"], "followUpOverdue");
    assert_eq!(reminders[0]["reminder"]["head"], Value::Null);
}

#[test]
fn a_decision_needed_within_three_days_is_reminded_of_until_it_is_decided_or_the_event_has_begun() {
    let hedemora = Hedemora::new();
    appoint_head(&hedemora);
    let event = hedemora.draft(&hedemora.castle).id();
    hedemora
        .app
        .post(
            &hedemora.planner,
            &format!("/events/{event}/exception-requests"),
            &json!({"ruleIds": ["venueLadder"], "reason": "Slottet är det enda som rymmer alla.",
                    "alternativesConsidered": "Stadshuset är för litet.", "addressee": "departmentHead", "decisionNeededBy": "2026-09-20"}),
        )
        .expect(201);
    let app = &hedemora.app;
    assert_eq!(look(app, "2026-09-16T12:00:00Z"), 0);
    assert_eq!(look(app, "2026-09-17T12:00:00Z"), 1);
    assert_eq!(look(app, "2026-09-18T12:00:00Z"), 0);
    let reminders = told(&hedemora);
    assert_eq!(reminders.len(), 1);
    assert_eq!(reminders[0]["resourceType"], "exceptionRequest");
    assert_eq!(reminders[0]["reminder"]["kind"], "decisionNeeded");
    assert_eq!(reminders[0]["reminder"]["date"], "2026-09-20");
}

#[test]
fn two_instances_that_look_at_once_remind_once() {
    let hedemora = Hedemora::new();
    hedemora.confirmed();
    let written: usize = std::thread::scope(|scope| {
        let looks: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| look(&hedemora.app, "2027-01-20T12:00:00Z")))
            .collect();
        looks
            .into_iter()
            .map(|look| look.join().expect("a look"))
            .sum()
    });
    assert_eq!(written, 1);
}
