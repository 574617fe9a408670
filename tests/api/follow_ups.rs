//! Follow-ups that are planned: when they are due, and what they have to do with the event's dates (R32, I9, I10).

use crate::app::{Caller, Reply, TestApp};
use crate::given::Hedemora;
use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::pg::PgConnection;
use kompetens::follow_ups::entries;
use kompetens::http::call::Call;
use kompetens::identity::{Actor, Identity};
use serde_json::{Value, json};
use uuid::Uuid;

fn follow_up(due_date: Option<&str>) -> Value {
    json!({"level": "behaviour", "method": "interview", "responsiblePerson": "person-planner", "dueDate": due_date})
}

#[test]
fn a_follow_up_is_due_ninety_days_after_the_last_date_in_stockholm_and_on_that_date_at_the_earliest()
 {
    let hedemora = Hedemora::new();
    let (app, planner) = (&hedemora.app, &hedemora.planner);
    for (starts_at, ends_at, last_day, due) in [
        // across the change to winter time, and to summer time
        (
            "2026-10-05T08:30:00+02:00",
            "2026-10-05T16:30:00+02:00",
            "2026-10-05",
            "2027-01-03",
        ),
        (
            "2027-03-01T08:30:00+01:00",
            "2027-03-01T16:30:00+01:00",
            "2027-03-01",
            "2027-05-30",
        ),
        // what ends at midnight in Stockholm ends with the day before, in summer and in winter
        (
            "2026-10-05T18:00:00+02:00",
            "2026-10-05T22:00:00Z",
            "2026-10-05",
            "2027-01-03",
        ),
        (
            "2026-10-05T18:00:00+02:00",
            "2026-10-05T22:00:01Z",
            "2026-10-06",
            "2027-01-04",
        ),
        (
            "2026-12-01T18:00:00+01:00",
            "2026-12-01T23:00:00Z",
            "2026-12-01",
            "2027-03-01",
        ),
        (
            "2026-12-01T18:00:00+01:00",
            "2026-12-01T23:00:01Z",
            "2026-12-02",
            "2027-03-02",
        ),
        // late in the evening it is the next day in UTC, and not here
        (
            "2026-10-05T18:00:00-05:00",
            "2026-10-05T20:00:00-05:00",
            "2026-10-06",
            "2027-01-04",
        ),
    ] {
        let mut event = hedemora.planning_day(&hedemora.town_hall);
        event["occasions"][0]["startsAt"] = json!(starts_at);
        event["occasions"][0]["endsAt"] = json!(ends_at);
        let event = app.post(planner, "/events", &event).expect(201).id();
        let path = format!("/events/{event}/follow-ups");
        let the_day_before = (last_day.parse::<chrono::NaiveDate>().unwrap().pred_opt())
            .unwrap()
            .to_string();
        let refused = app
            .post(planner, &path, &follow_up(Some(&the_day_before)))
            .expect_problem(422, "due-before-event");
        assert_eq!(refused.faults(), ["/dueDate"]);
        assert_eq!(
            hedemora.finding(&event, "question.followUp"),
            "answerNeeded"
        );
        let planned = app
            .post(planner, &path, &follow_up(Some(last_day)))
            .expect(201);
        assert_eq!(planned.body["dueDate"], last_day, "{ends_at}");
        assert_eq!(hedemora.finding(&event, "question.followUp"), "met");
        let planned = app.post(planner, &path, &follow_up(None)).expect(201);
        assert_eq!(planned.body["dueDate"], due, "{ends_at}");
        assert_eq!(
            (&planned.body["status"], &planned.body["revision"]),
            (&json!("planned"), &json!(1))
        );
        let location = format!("/follow-ups/{}", planned.id());
        assert_eq!(
            planned.header("Location"),
            Some(format!("/kompetens/v1{location}").as_str())
        );
        assert_eq!(app.get(planner, &location).expect(200).body, planned.body);
        let listed = app.get(planner, &path).expect(200).body;
        let dates: Vec<_> = listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| &item["dueDate"])
            .collect();
        assert_eq!(dates, [last_day, due], "the next one due first");
    }
}

#[test]
fn moving_the_event_past_its_follow_up_opens_the_finding_again_and_it_is_not_confirmed_so() {
    let hedemora = Hedemora::new();
    let (app, planner) = (&hedemora.app, &hedemora.planner);
    let event = hedemora.ready();
    let path = format!("/events/{event}");
    let move_to = |day: &str| {
        let occasions = json!([{"startsAt": format!("{day}T08:00:00Z"), "endsAt": format!("{day}T15:00:00Z"), "place": "digital"}]);
        app.patch(planner, &path, &json!({"occasions": occasions}))
            .expect(200)
    };
    assert_eq!(
        move_to("2027-01-03").body["openFindings"],
        json!([]),
        "due on the last date"
    );
    assert_eq!(
        move_to("2027-01-04").body["openFindings"],
        json!(["question.followUp"])
    );
    let confirm = || app.change_status(planner, &event, &json!({"status": "confirmed"}));
    let refused = confirm().expect_problem(409, "not-compliant");
    assert_eq!(refused.body["errors"][0]["code"], "question.followUp");
    move_to("2027-01-03");
    confirm().expect(200);
    // a confirmed event stays confirmed, and shows it
    let moved = move_to("2027-01-04").body;
    assert_eq!(
        (&moved["status"], &moved["openFindings"]),
        (&json!("confirmed"), &json!(["question.followUp"]))
    );
    app.post(planner, &format!("{path}/follow-ups"), &follow_up(None))
        .expect(201);
    assert_eq!(app.get(planner, &path).body["openFindings"], json!([]));
}

#[test]
fn a_follow_up_has_a_person_who_exists_and_is_planned_in_every_status_but_cancelled() {
    let hedemora = Hedemora::new();
    let (app, planner, hr) = (&hedemora.app, &hedemora.planner, &hedemora.hr);
    let event = hedemora.confirmed();
    let cancelled = hedemora.draft(&hedemora.town_hall).id();
    app.change_status(
        planner,
        &cancelled,
        &json!({"status": "cancelled", "reason": "Sjukdom."}),
    )
    .expect(200);
    let plan =
        |event: &str, body: &Value| app.post(planner, &format!("/events/{event}/follow-ups"), body);
    let mut unknown = follow_up(None);
    unknown["responsiblePerson"] = json!("person-unknown");
    let refused = plan(&event, &unknown).expect_problem(422, "unknown-person");
    assert_eq!(refused.faults(), ["/responsiblePerson"]);
    for (member, value) in [
        ("level", json!("applause")),
        ("method", json!("guess")),
        ("dueDate", json!("2026-02-30")),
        ("status", json!("completed")),
    ] {
        let mut wrong = follow_up(None);
        wrong[member] = value;
        let refused = plan(&event, &wrong).expect_problem(422, "invalid-body");
        assert_eq!(refused.faults(), [format!("/{member}")]);
    }
    plan(&cancelled, &follow_up(None)).expect_problem(409, "not-editable-in-status");
    assert_eq!(app.count("select count(*) from follow_ups"), 1);

    plan(&event, &follow_up(None)).expect(201);
    app.it_is("2026-10-06T08:00:00Z");
    app.change_status(
        planner,
        &event,
        &json!({"status": "held", "actualParticipants": {"total": 12}}),
    )
    .expect(200);
    plan(&event, &follow_up(None)).expect(201);
    assert_eq!(
        app.count("select count(*) from follow_ups where status = 'planned'"),
        3
    );
    // one entry each, and none for what was refused
    assert_eq!(
        app.count("select count(*) from changes where resource_type = 'followUp'"),
        3
    );
    // the finding was kept at holding; what is planned afterwards does not change it
    assert_eq!(hedemora.finding(&event, "question.followUp"), "met");
    let other = app.employee("person-other");
    app.get(&other, &format!("/events/{event}/follow-ups"))
        .expect_problem(403, "forbidden");
    assert_eq!(
        app.get(hr, &format!("/events/{event}/follow-ups")).body["items"]
            .as_array()
            .map(Vec::len),
        Some(3)
    );
}

/// A held event's follow-up at the level of behaviour, and the event.
fn held(hedemora: &Hedemora) -> (String, String) {
    let event = hedemora.confirmed();
    hedemora.app.it_is("2026-10-06T08:00:00Z");
    let held = json!({"status": "held", "actualParticipants": {"total": 12}});
    hedemora
        .app
        .change_status(&hedemora.planner, &event, &held)
        .expect(200);
    let follow_up = hedemora.follow_ups(&event)[0]["id"].clone();
    (event, follow_up.as_str().unwrap().to_owned())
}

fn entry(level: &str) -> Value {
    json!({"conductedOn": "2026-10-06", "level": level, "carriedOut": "asPlanned"})
}

/// Takes an action on something at its present revision.
pub fn act(app: &TestApp, caller: &Caller, path: &str, action: &str, reason: &str) -> Reply {
    let etag = app
        .get(caller, path)
        .header("ETag")
        .unwrap_or("\"1\"")
        .to_owned();
    let body = json!({"reason": reason}).to_string();
    let path = format!("{path}/{action}");
    app.send(caller, "POST", &path, &[("If-Match", &etag)], Some(&body))
}

#[test]
fn an_event_is_held_followed_up_closed_reopened_its_entry_voided_and_back() {
    let hedemora = Hedemora::new();
    let (app, planner, hr) = (&hedemora.app, &hedemora.planner, &hedemora.hr);
    let (event, id) = held(&hedemora);
    let path = format!("/follow-ups/{id}");
    let entries = format!("{path}/entries");
    let status = || app.get(hr, &path).expect(200).body["status"].clone();
    let close = || app.change_status(planner, &event, &json!({"status": "closed"}));

    // neither a lower level nor what was not carried out completes it
    app.post(planner, &entries, &entry("learning")).expect(201);
    let mut not_done = entry("results");
    not_done["carriedOut"] = json!("notCarriedOut");
    app.post(planner, &entries, &not_done).expect(201);
    assert_eq!(status(), "planned");
    close().expect_problem(409, "follow-ups-open");

    let mut done = entry("behaviour");
    done["lessons"] = json!("Öva två gånger.");
    done["residentEffect"] = json!({"effect": "tooEarly", "evidence": "Enkäten kommer i mars."});
    done["goalEffects"] = json!([{"goalId": "improveOperations", "effect": "none"}]);
    let written = app.post(planner, &entries, &done).expect(201);
    let entry_path = format!("{entries}/{}", written.id());
    assert_eq!(
        written.header("Location"),
        Some(format!("/kompetens/v1{entry_path}").as_str())
    );
    assert_eq!(app.get(planner, &entry_path).expect(200).body, written.body);
    for (member, value) in [
        ("number", json!(3)),
        ("author", json!("person-planner")),
        ("recordedBy", Value::Null),
    ] {
        assert_eq!(written.body[member], value);
    }
    // what was planned stands beside what happened
    let planned = &written.body["planned"];
    let baseline = app
        .get(hr, &format!("/events/{event}/baseline"))
        .expect(200)
        .body;
    assert_eq!(planned["baselineId"], baseline["id"]);
    assert_eq!(planned["followUp"]["level"], "behaviour");
    assert!(
        planned["answers"]
            .as_array()
            .unwrap()
            .iter()
            .any(|answer| answer["questionId"] == "purpose"
                && answer["answer"]["text"] == "Det här vill vi uppnå.")
    );

    let shown = app.get(hr, &path).body;
    assert_eq!(
        (&shown["status"], &shown["dueStatus"]),
        (&json!("completed"), &json!("completedOnTime"))
    );
    assert_eq!(shown["completingEntryId"], json!(written.id()));
    app.patch(planner, &path, &json!({"method": "survey"}))
        .expect_problem(409, "follow-up-not-open");
    close().expect(200);
    act(app, planner, &entry_path, "voiding", "Fel.").expect_problem(409, "event-closed");
    app.change_status(
        hr,
        &event,
        &json!({"status": "held", "reason": "En anteckning var fel."}),
    )
    .expect(200);
    let voided = act(
        app,
        planner,
        &entry_path,
        "voiding",
        "Skrevs på fel evenemang.",
    )
    .expect(200);
    assert_eq!(
        (&voided.body["revision"], &voided.body["voidedBy"]),
        (&json!(2), &json!("person-planner"))
    );
    assert_eq!(
        voided.body["lessons"], "Öva två gånger.",
        "it stays readable"
    );
    act(app, planner, &entry_path, "voiding", "En gång till.")
        .expect_problem(409, "already-voided");
    assert_eq!(status(), "planned");
    close().expect_problem(409, "follow-ups-open");
    // another entry that counts completes it, and keeps it completed when a later one is voided
    app.post(planner, &entries, &entry("results")).expect(201);
    let later = app
        .post(planner, &entries, &entry("behaviour"))
        .expect(201)
        .id();
    act(
        app,
        planner,
        &format!("{entries}/{later}"),
        "voiding",
        "Dubbel.",
    )
    .expect(200);
    assert_eq!(status(), "completed");
    close().expect(200);
    let listed = app.get(hr, &entries).expect(200).body;
    let numbers: Vec<_> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["number"].clone())
        .collect();
    assert_eq!(json!(numbers), json!([1, 2, 3, 4, 5]));
    // one change entry for each resource that a request changed
    assert_eq!(
        app.count("select count(*) from (select 1 from changes group by request_id, resource_id having count(*) > 1) twice"),
        0
    );
}

#[test]
fn what_is_waived_or_cancelled_takes_no_entry_and_an_event_keeps_a_follow_up_of_its_effect() {
    let hedemora = Hedemora::new();
    let (app, planner, hr) = (&hedemora.app, &hedemora.planner, &hedemora.hr);
    let event = hedemora.confirmed();
    let first = format!(
        "/follow-ups/{}",
        hedemora.follow_ups(&event)[0]["id"].as_str().unwrap()
    );
    act(app, planner, &first, "cancellation", "Dubbel.").expect_problem(409, "last-follow-up");
    act(app, hr, &first, "waiver", "Behövs inte.").expect_problem(409, "not-held");
    app.post(
        planner,
        &format!("{first}/entries"),
        &json!({"conductedOn": "2026-09-01", "level": "behaviour", "carriedOut": "asPlanned"}),
    )
    .expect_problem(422, "conducted-out-of-time");
    let second = format!("/follow-ups/{}", hedemora.plan_follow_up(&event).id());
    let cancelled = act(app, planner, &first, "cancellation", "Dubbel.").expect(200);
    assert_eq!(
        (&cancelled.body["status"], &cancelled.body["statusReason"]),
        (&json!("cancelled"), &json!("Dubbel."))
    );

    app.it_is("2026-10-06T08:00:00Z");
    app.post(planner, &format!("{second}/entries"), &entry("behaviour"))
        .expect_problem(409, "not-held");
    let held = json!({"status": "held", "actualParticipants": {"total": 12}});
    app.change_status(planner, &event, &held).expect(200);
    act(app, planner, &second, "cancellation", "Hinns inte.").expect_problem(409, "waive-instead");
    act(app, planner, &second, "waiver", "Hinns inte.").expect_problem(403, "forbidden");
    let body = json!({"reason": "x"}).to_string();
    app.send(hr, "POST", &format!("{second}/waiver"), &[], Some(&body))
        .expect_problem(428, "if-match-required");
    app.send(
        hr,
        "POST",
        &format!("{second}/waiver"),
        &[("If-Match", "\"7\"")],
        Some(&body),
    )
    .expect_problem(412, "stale-revision");
    let waived = act(app, hr, &second, "waiver", "Gruppen har upphört.").expect(200);
    assert_eq!(
        (&waived.body["status"], &waived.body["dueStatus"]),
        (&json!("waived"), &json!("waived"))
    );
    for path in [&first, &second] {
        app.post(planner, &format!("{path}/entries"), &entry("behaviour"))
            .expect_problem(409, "follow-up-not-open");
        act(app, hr, path, "waiver", "Igen.").expect_problem(409, "follow-up-not-open");
    }
    app.change_status(planner, &event, &json!({"status": "closed"}))
        .expect(200);
}

#[test]
fn an_entry_says_whose_it_is_and_a_wrong_one_what_is_wrong_without_repeating_a_personal_number() {
    let hedemora = Hedemora::new();
    let (app, planner, hr) = (&hedemora.app, &hedemora.planner, &hedemora.hr);
    let (_, id) = held(&hedemora);
    let entries = format!("/follow-ups/{id}/entries");
    let with = |member: &str, value: Value| {
        let mut entry = entry("learning");
        entry[member] = value;
        entry
    };
    let number = "19121212-1212";
    let refused = app
        .post(
            planner,
            &entries,
            &with("lessons", json!(format!("Fråga {number} om det."))),
        )
        .expect_problem(422, "personal-number");
    assert_eq!(refused.faults(), ["/lessons"]);
    assert!(!refused.text.contains("1212-1212") && !refused.text.contains("12121212"));
    for (member, value, code, fault) in [
        (
            "conductedOn",
            json!("2026-10-07"),
            "conducted-out-of-time",
            "/conductedOn",
        ),
        (
            "conductedOn",
            json!("2026-10-04"),
            "conducted-out-of-time",
            "/conductedOn",
        ),
        (
            "individualEffect",
            json!({"effect": "some"}),
            "invalid-body",
            "/individualEffect/evidence",
        ),
        (
            "goalEffects",
            json!([{"goalId": "fame", "effect": "none"}]),
            "unknown-goal",
            "/goalEffects/0/goalId",
        ),
        ("lessons", json!(" "), "invalid-body", "/lessons"),
    ] {
        let refused = app
            .post(planner, &entries, &with(member, value))
            .expect_problem(422, code);
        assert_eq!(refused.faults(), [fault]);
    }
    app.post(planner, &entries, &with("onBehalfOf", json!("person-hr")))
        .expect_problem(403, "forbidden");
    app.post(hr, &entries, &with("onBehalfOf", json!("person-unknown")))
        .expect_problem(422, "unknown-person");
    app.post(&app.employee("person-other"), &entries, &entry("learning"))
        .expect_problem(403, "forbidden");
    assert_eq!(app.count("select count(*) from follow_up_entries"), 0);
    // an HR administrator writes for the responsible person, and the entry says so
    let written = app.post(hr, &entries, &entry("learning")).expect(201).body;
    assert_eq!(
        (&written["author"], &written["recordedBy"]),
        (&json!("person-planner"), &json!("person-hr"))
    );
}

/// Both writers at once, many times: says how each went.
fn race(
    rounds: usize,
    round: impl Fn() -> [Box<dyn Fn() -> Reply + Send + Sync>; 2],
) -> Vec<[u16; 2]> {
    (0..rounds)
        .map(|_| {
            let writers = round();
            let start = std::sync::Barrier::new(2);
            std::thread::scope(|scope| {
                let [one, other] = writers.each_ref().map(|writer| {
                    scope.spawn(|| {
                        start.wait();
                        writer().status
                    })
                });
                [one.join().unwrap(), other.join().unwrap()]
            })
        })
        .collect()
}

#[test]
fn of_an_entry_and_a_waiver_at_once_one_wins_and_two_entries_complete_once() {
    let hedemora = std::sync::Arc::new(Hedemora::new());
    let writer = |path: String, body: Value, revision: bool| {
        let hedemora = hedemora.clone();
        Box::new(move || {
            let headers: &[(&str, &str)] = if revision {
                &[("If-Match", "\"1\"")]
            } else {
                &[]
            };
            hedemora.app.send(
                &hedemora.hr,
                "POST",
                &path,
                headers,
                Some(&body.to_string()),
            )
        }) as Box<dyn Fn() -> Reply + Send + Sync>
    };
    let (event, _) = held(&hedemora);
    let planned = || format!("/follow-ups/{}", hedemora.plan_follow_up(&event).id());
    let outcomes = race(8, || {
        let path = planned();
        [
            writer(format!("{path}/entries"), entry("results"), false),
            writer(
                format!("{path}/waiver"),
                json!({"reason": "Hinns inte."}),
                true,
            ),
        ]
    });
    assert!(
        outcomes
            .iter()
            .all(|pair| matches!(pair, [201, 409 | 412] | [409, 200])),
        "{outcomes:?}"
    );
    race(8, || {
        let path = planned();
        [
            writer(format!("{path}/entries"), entry("behaviour"), false),
            writer(format!("{path}/entries"), entry("results"), false),
        ]
    });
    let completed = "from follow_ups where status = 'completed'";
    assert_eq!(
        hedemora
            .app
            .count(&format!("select count(*) {completed} and revision <> 2")),
        0,
        "completed once"
    );
    assert!(hedemora.app.count(&format!("select count(*) {completed}")) >= 8);
    assert_eq!(
        hedemora.app.count(
            "select count(*) from follow_ups f where f.status = 'waived' and exists (select from follow_up_entries e where e.follow_up_id = f.id)"
        ),
        0
    );

    // without the lock both are done: of a waiver and an entry that came meanwhile, the waiver is lost
    let follow_up = hedemora.plan_follow_up(&event).id();
    let begin = || {
        let mut conn = hedemora.app.database();
        AnsiTransactionManager::begin_transaction(&mut conn).expect("a transaction");
        conn
    };
    let read = |conn: &mut PgConnection| {
        let id: Uuid = follow_up.parse().expect("an id");
        let stored = kompetens::follow_ups::queries::find(conn, id).expect("a follow-up");
        let event = kompetens::events::queries::load(conn, stored.event_id).expect("an event");
        (event, stored)
    };
    let mut first = begin();
    let (of_event, before) = read(&mut first);
    let grounds = serde_json::from_value(json!({"reason": "Hinns inte."})).unwrap();
    kompetens::follow_ups::waive(&mut first, &call_of_hr(), (&of_event, &before), &grounds)
        .expect("it is waived");
    std::thread::scope(|scope| {
        let second = scope.spawn(|| {
            let mut second = begin();
            let (of_event, before) = read(&mut second);
            let new = serde_json::from_value(entry("results")).unwrap();
            let on = (&of_event, &before);
            entries::write(&mut second, &call_of_hr(), Uuid::now_v7(), on, &new)
                .expect("it is written");
            AnsiTransactionManager::commit_transaction(&mut second).expect("it commits");
        });
        let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        while hedemora.app.count(waits) == 0 {
            assert!(!second.is_finished(), "one waits for the other");
        }
        AnsiTransactionManager::commit_transaction(&mut first).expect("it commits");
        second.join().expect("no panic");
    });
    let stored = hedemora
        .app
        .get(&hedemora.hr, &format!("/follow-ups/{follow_up}"));
    assert_eq!(
        (&stored.body["status"], &stored.body["revision"]),
        (&json!("completed"), &json!(2)),
        "the waiver is lost, though it was answered"
    );
}

fn call_of_hr() -> Call {
    let identity = Identity {
        person_ref: "person-hr".to_owned(),
        roles: [].into(),
        units: [].into(),
    };
    let now = "2026-10-06T08:00:00Z".parse().expect("a moment");
    Call::new(Actor::Person(identity), now, &Uuid::now_v7().to_string())
}

#[test]
fn a_default_due_date_is_never_later_than_the_last_day_there_is() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    let mut late = hedemora.planning_day(&hedemora.town_hall);
    late["occasions"] = json!([{"startsAt": "2199-12-25T08:00:00Z", "endsAt": "2199-12-25T15:00:00Z", "place": "undecided"}]);
    let event = app
        .post(&hedemora.planner, "/events", &late)
        .expect(201)
        .id();
    let follow_up =
        json!({"level": "behaviour", "method": "survey", "responsiblePerson": "person-planner"});
    let planned = app
        .post(
            &hedemora.planner,
            &format!("/events/{event}/follow-ups"),
            &follow_up,
        )
        .expect(201);
    assert_eq!(planned.body["dueDate"], "2199-12-31");
    late["occasions"][0]["endsAt"] = json!("2199-12-31T23:30:00Z");
    app.post(&hedemora.planner, "/events", &late)
        .expect_problem(422, "invalid-body");
}
