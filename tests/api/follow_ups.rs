//! Follow-ups that are planned: when they are due, and what they have to do with the event's dates (R32, I9, I10).

use crate::given::Hedemora;
use serde_json::{Value, json};

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
