//! Events from idea to confirmation and on: what the guideline leaves alone, every step of an event's life, and what each
//! leaves behind (domain sections 2 and 3, invariants I1, I2, I9–I11, I14, I18).

use crate::app::{Caller, Reply, TestApp};
use crate::given::Hedemora;
use serde_json::{Value, json};
use std::sync::Barrier;

const AFTERWARDS: &str = "2026-10-06T08:00:00Z";

/// How many events, change entries and status changes there are.
fn stored(app: &TestApp) -> [i64; 3] {
    ["events", "changes", "status_changes"]
        .map(|table| app.count(&format!("select count(*) from {table}")))
}

fn read(hedemora: &Hedemora, event: &str, part: &str) -> Value {
    hedemora
        .app
        .get(&hedemora.planner, &format!("/events/{event}{part}"))
        .expect(200)
        .body
}

/// Takes the event to this status as the HR administrator would, with all that any step asks for.
fn take(hedemora: &Hedemora, event: &str, status: &str) -> Reply {
    let mut body = json!({"status": status, "reason": "Därför."});
    if status == "held" {
        body["actualParticipants"] = json!({"total": 12});
    }
    hedemora.app.change_status(&hedemora.hr, event, &body)
}

/// An event in this status, the clock set to when it took it.
fn in_status(hedemora: &Hedemora, status: &str) -> String {
    hedemora.app.it_is(crate::given::NOW);
    let event = hedemora.ready();
    if status == "draft" || status == "cancelled" {
        if status == "cancelled" {
            take(hedemora, &event, status).expect(200);
        }
        return event;
    }
    take(hedemora, &event, "confirmed").expect(200);
    if status != "confirmed" {
        hedemora.app.it_is(AFTERWARDS);
        take(hedemora, &event, "held").expect(200);
    }
    if status == "closed" {
        hedemora.follow_up_everything(&event);
        take(hedemora, &event, "closed").expect(200);
    }
    event
}

#[test]
fn a_planning_day_in_own_premises_is_planned_answered_followed_up_and_confirmed() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    let event = hedemora.draft(&hedemora.town_hall);
    assert_eq!(
        event.header("Location"),
        Some(format!("/kompetens/v1/events/{}", event.id()).as_str())
    );
    assert_eq!(event.body["status"], "draft");
    assert_eq!(event.body["isoWeek"], "2026-W41");
    let event = event.id();

    let refused = app
        .change_status(&hedemora.planner, &event, &json!({"status": "confirmed"}))
        .expect_problem(409, "not-compliant");
    assert!(refused.body["errors"].as_array().is_some_and(|errors| {
        errors
            .iter()
            .any(|error| error["code"] == "question.purpose")
    }));

    hedemora.answer_everything(&event);
    assert_eq!(
        app.get(&hedemora.planner, &format!("/events/{event}")).body["openFindings"],
        json!(["question.followUp"])
    );
    let follow_up = hedemora.plan_follow_up(&event);
    assert_eq!(
        follow_up.body["dueDate"], "2027-01-03",
        "90 days after the last occasion"
    );
    assert_eq!(
        app.get(&hedemora.planner, &format!("/events/{event}/compliance"))
            .body["confirmable"],
        true
    );

    let confirmed = app
        .change_status(&hedemora.planner, &event, &json!({"status": "confirmed"}))
        .expect(200);
    assert_eq!(confirmed.body["status"], "confirmed");
    assert_eq!(confirmed.body["openFindings"], json!([]));
}

#[test]
fn what_is_outside_the_guideline_gets_a_friendly_answer_to_post_patch_and_scope_check_and_nothing_is_stored()
 {
    let hedemora = Hedemora::new();
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    let unit = |body: Value| app.post(hr, "/units", &body).expect(201).id();
    let ended = unit(
        json!({"name": "Gamla enheten", "type": "unit", "parentId": hedemora.education, "validFrom": "2020-01-01", "validTo": "2026-10-05"}),
    );
    let coming = unit(
        json!({"name": "Nya enheten", "type": "unit", "parentId": hedemora.education, "validFrom": "2026-10-06"}),
    );
    let last_day = unit(
        json!({"name": "Sista dagen", "type": "unit", "parentId": hedemora.education, "validFrom": "2026-10-05", "validTo": "2026-10-06"}),
    );
    let draft = hedemora.draft(&hedemora.town_hall).id();
    let path = format!("/events/{draft}");
    let before = (stored(app), app.get(hr, &path).body);
    let education = &hedemora.education;
    let outside = ("outside-guideline", "no approval is needed");
    let not_covered = ("unit-not-covered", "needs no approval");
    for (kind, arranger, organiser, reason, (code, friendly), pointer) in [
        (
            "studyVisit",
            "group",
            education,
            "studyVisit",
            outside,
            "/kind",
        ),
        (
            "studyVisit",
            "coArranged",
            education,
            "studyVisit",
            outside,
            "/kind",
        ),
        // a study visit wins over all the rest
        (
            "studyVisit",
            "otherActor",
            education,
            "studyVisit",
            outside,
            "/kind",
        ),
        (
            "studyVisit",
            "otherActor",
            &hedemora.visit_dalarna,
            "studyVisit",
            outside,
            "/kind",
        ),
        (
            "conference",
            "otherActor",
            education,
            "externalConference",
            outside,
            "/arranger",
        ),
        (
            "conference",
            "otherActor",
            &ended,
            "externalConference",
            outside,
            "/arranger",
        ),
        (
            "training",
            "otherActor",
            education,
            "notArrangedByGroup",
            outside,
            "/arranger",
        ),
        (
            "planningDay",
            "otherActor",
            education,
            "notArrangedByGroup",
            outside,
            "/arranger",
        ),
        (
            "kickOff",
            "group",
            &hedemora.visit_dalarna,
            "unitNotCovered",
            not_covered,
            "/organisingUnitIds/1",
        ),
        (
            "conference",
            "group",
            &ended,
            "unitNotCovered",
            not_covered,
            "/organisingUnitIds/1",
        ),
        (
            "trainingDay",
            "group",
            &coming,
            "unitNotCovered",
            not_covered,
            "/organisingUnitIds/1",
        ),
    ] {
        let organisers = if organiser == education {
            json!([education])
        } else {
            json!([education, organiser])
        };
        let asked = json!({"kind": kind, "arranger": arranger, "organisingUnitIds": organisers, "from": "2026-10-05", "to": "2026-10-05"});
        // anybody may ask, before asking for anything else
        let verdict = app
            .post(&app.employee("person-anyone"), "/scope-checks", &asked)
            .expect(200)
            .body;
        assert_eq!(
            (&verdict["covered"], &verdict["reason"]),
            (&json!(false), &json!(reason))
        );

        let mut new = hedemora.planning_day(&hedemora.town_hall);
        let mut patch =
            json!({"kind": kind, "arranger": arranger, "organisingUnitIds": organisers});
        if arranger == "coArranged" {
            new["partners"] = json!(["Region Dalarna"]);
            patch["partners"] = json!(["Region Dalarna"]);
        }
        for (member, value) in asked
            .as_object()
            .unwrap()
            .iter()
            .filter(|(member, _)| !["from", "to"].contains(&member.as_str()))
        {
            new[member] = value.clone();
        }
        let etag = app.get(hr, &path).etag().to_owned();
        for language in ["en", "sv"] {
            let headers = [("Accept-Language", language), ("If-Match", etag.as_str())];
            for refused in [
                app.send(
                    &hedemora.planner,
                    "POST",
                    "/events",
                    &headers[..1],
                    Some(&new.to_string()),
                ),
                app.send(
                    &hedemora.planner,
                    "PATCH",
                    &path,
                    &headers,
                    Some(&patch.to_string()),
                ),
            ] {
                let refused = refused.expect_problem(422, code);
                assert_eq!(refused.faults(), [pointer], "{kind} {arranger}");
                // the same words as the scope check's
                let says = if code == "outside-guideline" {
                    &refused.body["detail"]
                } else {
                    &refused.body["errors"][0]["detail"]
                };
                let all = format!(
                    "{} {} {}",
                    refused.body["title"], refused.body["detail"], says
                );
                assert!(
                    all.contains(verdict["text"][language].as_str().unwrap()),
                    "{all}"
                );
                assert!(
                    language == "sv" || all.to_lowercase().contains(friendly),
                    "{all}"
                );
            }
        }
        assert_eq!(
            (stored(app), app.get(hr, &path).body),
            before,
            "{kind} {arranger}"
        );
    }

    // what is inside on just that day is inside
    for (kind, arranger, organiser) in [
        ("conference", "coArranged", education),
        ("other", "group", &last_day),
        ("training", "group", &hedemora.energy),
        ("kickOff", "group", &hedemora.municipality),
    ] {
        let asked = json!({"kind": kind, "arranger": arranger, "organisingUnitIds": [organiser], "from": "2026-10-05", "to": "2026-10-05"});
        let verdict = app.post(hr, "/scope-checks", &asked).expect(200).body;
        assert_eq!(
            (&verdict["covered"], verdict.get("reason")),
            (&json!(true), None)
        );
    }
    let asked = json!({"kind": "other", "arranger": "group", "organisingUnitIds": [last_day], "from": "2026-10-05", "to": "2026-10-06"});
    let verdict = app.post(hr, "/scope-checks", &asked).expect(200).body;
    assert_eq!(verdict["reason"], "unitNotCovered");
    let unknown = json!({"kind": "other", "arranger": "group", "organisingUnitIds": [education, "01990000-0000-7000-8000-000000000404"]});
    let refused = app
        .post(hr, "/scope-checks", &unknown)
        .expect_problem(422, "unknown-unit");
    assert_eq!(refused.faults(), ["/organisingUnitIds/1"]);
    let backwards =
        json!({"kind": "other", "arranger": "group", "from": "2026-10-06", "to": "2026-10-05"});
    app.post(hr, "/scope-checks", &backwards)
        .expect_problem(422, "invalid-body");
    assert_eq!(stored(app), before.0);
}

#[test]
fn travel_on_duty_is_never_blocked_registered_or_asked_approval_for() {
    // I18, R34: no word of it in the contract, and the one thing that can be asked says go ahead
    let document =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/openapi.json"))
            .unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    for path in document["paths"].as_object().unwrap().keys() {
        for word in ["travel", "trip", "visit"] {
            assert!(!path.contains(word), "{path}");
        }
    }
    let kinds = document["components"]["schemas"]["EventKind"].to_string();
    let arrangers = document["components"]["schemas"]["Arranger"].to_string();
    assert!(
        !kinds.contains("studyVisit") && !arrangers.contains("otherActor"),
        "never in an answer"
    );
}

#[test]
fn an_event_goes_from_status_to_status_as_the_table_says_and_in_no_other_way() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    let statuses = ["draft", "confirmed", "held", "closed", "cancelled"];
    for from in statuses {
        // to: draft, confirmed, held, closed, cancelled; -: there is no such step
        let row = match from {
            "draft" => ["-", "yes", "yes", "-", "yes"],
            "confirmed" => ["yes", "-", "yes", "-", "yes"],
            "held" => ["-", "-", "-", "yes", "-"],
            "closed" => ["-", "-", "yes", "-", "-"],
            _ => ["-"; 5],
        };
        for (to, may) in statuses.into_iter().zip(row) {
            let event = in_status(&hedemora, from);
            if to == "held" {
                app.it_is(AFTERWARDS);
            }
            if (from, to) == ("held", "closed") {
                hedemora.follow_up_everything(&event);
            }
            let before = (read(&hedemora, &event, ""), stored(app));
            let reply = take(&hedemora, &event, to);
            if may == "-" {
                reply.expect_problem(409, "status-change-not-allowed");
                assert_eq!((read(&hedemora, &event, ""), stored(app)), before);
                continue;
            }
            let after = reply.expect(200).body;
            assert_eq!(after["status"], to, "{from}");
            assert_eq!(
                after["revision"],
                before.0["revision"].as_i64().unwrap() + 1
            );
            let log = read(&hedemora, &event, "/status-changes")["items"][0].clone();
            assert_eq!(
                (&log["from"], &log["to"], &log["reason"], &log["changedBy"]),
                (
                    &json!(from),
                    &json!(to),
                    &json!("Därför."),
                    &json!("person-hr")
                )
            );
            assert_eq!(stored(app)[2], before.1[2] + 1);
        }
    }
}

#[test]
fn a_step_that_lacks_something_says_what() {
    let hedemora = Hedemora::new();
    let (app, planner, hr) = (&hedemora.app, &hedemora.planner, &hedemora.hr);
    let refused =
        |caller: &Caller, event: &str, body: Value, status: u16, code: &str, faults: &[&str]| {
            let before = stored(app);
            let refused = app
                .change_status(caller, event, &body)
                .expect_problem(status, code);
            assert_eq!(refused.faults(), faults, "{body}");
            assert_eq!(stored(app), before);
        };
    let confirmed = in_status(&hedemora, "confirmed");
    let draft = in_status(&hedemora, "draft");
    for (event, to) in [
        (&draft, "cancelled"),
        (&confirmed, "cancelled"),
        (&confirmed, "draft"),
    ] {
        refused(
            planner,
            event,
            json!({"status": to}),
            422,
            "invalid-body",
            &["/reason"],
        );
        refused(
            planner,
            event,
            json!({"status": to, "reason": " "}),
            422,
            "invalid-body",
            &["/reason"],
        );
    }
    let twelve = json!({"total": 12});
    refused(
        planner,
        &draft,
        json!({"status": "confirmed", "actualParticipants": twelve}),
        422,
        "invalid-body",
        &["/actualParticipants"],
    );
    refused(
        planner,
        &draft,
        json!({"status": "planned"}),
        422,
        "invalid-body",
        &["/status"],
    );
    // held: afterwards, with participants
    let held = |total: i32, of: &str| json!({"status": "held", "actualParticipants": {"total": total, "perUnit": [{"unitId": of, "count": 13}]}});
    refused(
        planner,
        &confirmed,
        json!({"status": "held"}),
        422,
        "invalid-body",
        &["/actualParticipants"],
    );
    refused(
        planner,
        &confirmed,
        held(12, &hedemora.education),
        422,
        "invalid-body",
        &["/actualParticipants/perUnit"],
    );
    refused(
        planner,
        &confirmed,
        held(13, "01990000-0000-7000-8000-000000000404"),
        422,
        "unknown-unit",
        &["/actualParticipants/perUnit/0/unitId"],
    );
    app.it_is("2026-10-05T14:29:59Z");
    refused(
        planner,
        &confirmed,
        held(13, &hedemora.education),
        409,
        "not-ended",
        &[],
    );
    // begun: no confirming, no replanning, for anybody
    for caller in [planner, hr] {
        refused(
            caller,
            &draft,
            json!({"status": "confirmed"}),
            409,
            "too-late",
            &[],
        );
        refused(
            caller,
            &confirmed,
            json!({"status": "draft", "reason": "Därför."}),
            409,
            "too-late",
            &[],
        );
    }
    app.it_is("2026-10-05T14:30:00Z");
    // a draft is held by the HR administrator alone, with a reason
    let hold = json!({"status": "held", "actualParticipants": twelve});
    refused(
        planner,
        &draft,
        json!({"status": "held", "reason": "Därför.", "actualParticipants": twelve}),
        403,
        "forbidden",
        &[],
    );
    refused(hr, &draft, hold.clone(), 422, "invalid-body", &["/reason"]);
    app.change_status(planner, &confirmed, &hold).expect(200);
    // closed: once followed up; reopened by the HR administrator with a reason
    refused(
        planner,
        &confirmed,
        json!({"status": "closed"}),
        409,
        "follow-ups-open",
        &[],
    );
    hedemora.follow_up_everything(&confirmed);
    app.change_status(planner, &confirmed, &json!({"status": "closed"}))
        .expect(200);
    refused(
        planner,
        &confirmed,
        json!({"status": "held", "reason": "Mer att göra."}),
        403,
        "forbidden",
        &[],
    );
    refused(
        hr,
        &confirmed,
        json!({"status": "held"}),
        422,
        "invalid-body",
        &["/reason"],
    );
    let reopened = app
        .change_status(
            hr,
            &confirmed,
            &json!({"status": "held", "reason": "Mer att göra."}),
        )
        .expect(200);
    assert_eq!(reopened.body["actualParticipants"]["total"], 12);
    // a held event cannot be cancelled (I10)
    refused(
        hr,
        &confirmed,
        json!({"status": "cancelled", "reason": "Ångrade oss."}),
        409,
        "status-change-not-allowed",
        &[],
    );
}

#[test]
fn confirming_lists_each_open_rule_and_the_responsible_person_may_hold_but_not_confirm() {
    let hedemora = Hedemora::new();
    let (app, planner) = (&hedemora.app, &hedemora.planner);
    let event = hedemora.draft(&hedemora.castle).id();
    let open = read(&hedemora, &event, "")["openFindings"].clone();
    assert_eq!(open.as_array().map(Vec::len), Some(14));
    let refused = app
        .change_status(planner, &event, &json!({"status": "confirmed"}))
        .expect_problem(409, "not-compliant");
    let errors = refused.body["errors"].as_array().unwrap();
    let rules: Vec<_> = errors.iter().map(|error| error["code"].clone()).collect();
    assert_eq!(json!(rules), open);
    assert!(
        errors
            .iter()
            .all(|error| error["detail"].as_str().is_some_and(|text| text.len() > 20))
    );

    let confirmed = hedemora.ready();
    // the responsible person without any role, and somebody else
    let (responsible, other) = (app.employee("person-planner"), app.employee("person-other"));
    app.change_status(&responsible, &confirmed, &json!({"status": "confirmed"}))
        .expect_problem(403, "forbidden");
    app.change_status(planner, &confirmed, &json!({"status": "confirmed"}))
        .expect(200);
    app.it_is(AFTERWARDS);
    let held = json!({"status": "held", "actualParticipants": {"total": 12}});
    app.change_status(&other, &confirmed, &held)
        .expect_problem(403, "forbidden");
    app.change_status(&responsible, &confirmed, &held)
        .expect(200);
}

#[test]
fn the_answers_are_frozen_at_confirmation_and_a_replan_keeps_everything_until_the_next() {
    let hedemora = Hedemora::new();
    let (app, planner) = (&hedemora.app, &hedemora.planner);
    let event = hedemora.ready();
    app.get(planner, &format!("/events/{event}/baseline"))
        .expect_problem(404, "no-baseline");
    assert_eq!(read(&hedemora, &event, "/baselines")["items"], json!([]));
    let confirm = || {
        app.change_status(planner, &event, &json!({"status": "confirmed"}))
            .expect(200)
    };
    let purpose = |baseline: &Value| baseline["items"][0]["given"]["answer"]["text"].clone();
    let planned = read(&hedemora, &event, "/planning-answers")["items"].clone();
    confirm();
    let first = read(&hedemora, &event, "/baseline");
    assert_eq!(first["items"], planned);
    assert_eq!(first["confirmedBy"], "person-planner");
    assert_eq!(first["followUps"].as_array().map(Vec::len), Some(1));

    // answers of a confirmed event may change; what was confirmed does not
    app.it_is("2026-09-02T08:00:00Z");
    hedemora
        .answer(&event, "purpose", &json!({"text": "Något annat."}))
        .expect(200);
    hedemora.plan_follow_up(&event);
    assert_eq!(read(&hedemora, &event, "/baseline"), first);

    let answers = read(&hedemora, &event, "/planning-answers");
    app.change_status(
        planner,
        &event,
        &json!({"status": "draft", "reason": "Ny lokal."}),
    )
    .expect(200);
    assert_eq!(
        read(&hedemora, &event, "/planning-answers")["items"],
        answers["items"]
    );
    assert_eq!(
        read(&hedemora, &event, "/follow-ups")["items"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    assert_eq!(
        read(&hedemora, &event, "/baseline"),
        first,
        "the old one stays readable"
    );
    app.it_is("2026-09-03T08:00:00Z");
    confirm();
    let second = read(&hedemora, &event, "/baseline");
    assert_eq!(
        (purpose(&first), purpose(&second)),
        (json!("Det här vill vi uppnå."), json!("Något annat."))
    );
    assert_eq!(second["followUps"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        read(&hedemora, &event, "/baselines")["items"],
        json!([second, first])
    );
    let log: Vec<_> = read(&hedemora, &event, "/status-changes")["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["to"].clone())
        .collect();
    assert_eq!(json!(log), json!(["confirmed", "draft", "confirmed"]));
}

#[test]
fn from_holding_or_cancelling_on_the_findings_are_those_of_that_day_whatever_happens_later() {
    let hedemora = Hedemora::new();
    let (app, planner, hr) = (&hedemora.app, &hedemora.planner, &hedemora.hr);
    let supplier = json!({"supplierId": "556000-0101", "supplierName": "Gården AB", "title": "Konferens", "validFrom": "2020-01-01"});
    let contract = app
        .post(hr, "/supplier-contracts", &supplier)
        .expect(201)
        .id();
    let farm = json!({"name": "Gården", "municipalityCode": "2083", "supplierId": "556000-0101", "validFrom": "2020-01-01"});
    let farm = app.post(hr, "/venues", &farm).expect(201);
    let compliance = |event: &str| read(&hedemora, event, "/compliance");

    // held without a plan: by the HR administrator, with a reason; what was open stays open
    let unplanned = hedemora.draft(&farm.id()).id();
    let cancelled = hedemora.draft(&farm.id()).id();
    hedemora.plan_follow_up(&cancelled);
    let confirmed = hedemora.confirmed();
    let before: Vec<_> = [&cancelled, &unplanned, &confirmed]
        .map(|event| compliance(event)["items"].clone())
        .into();
    take(&hedemora, &cancelled, "cancelled").expect(200);
    app.it_is(AFTERWARDS);
    take(&hedemora, &unplanned, "held").expect(200);
    take(&hedemora, &confirmed, "held").expect(200);
    let kept = [&cancelled, &unplanned, &confirmed].map(|event| compliance(event));
    for (kept, (before, as_of)) in
        kept.iter().zip(
            before
                .iter()
                .zip([crate::given::NOW, AFTERWARDS, AFTERWARDS]),
        )
    {
        assert_eq!(
            (&kept["items"], &kept["asOf"], &kept["confirmable"]),
            (before, &json!(as_of), &json!(false))
        );
    }
    let open = read(&hedemora, &unplanned, "")["openFindings"].clone();
    assert_eq!(
        open.as_array().map(Vec::len),
        Some(14),
        "reality is recorded, and what it lacked"
    );
    // the follow-up of the cancelled event was there that day
    assert_eq!(hedemora.finding(&cancelled, "question.followUp"), "met");

    // later the contract turns out to have ended, and the day is followed up
    app.patch(
        hr,
        &format!("/supplier-contracts/{contract}"),
        &json!({"validTo": "2026-10-01"}),
    )
    .expect(200);
    hedemora.plan_follow_up(&unplanned);
    app.patch(
        hr,
        &format!("/venues/{}", farm.id()),
        &json!({"validTo": "2026-10-02"}),
    )
    .expect(200);
    assert_eq!(
        [&cancelled, &unplanned, &confirmed].map(|event| compliance(event)["items"].clone()),
        kept.each_ref().map(|kept| kept["items"].clone())
    );
    assert_eq!(read(&hedemora, &unplanned, "")["openFindings"], open);
    // and what it cost is recorded, though the venue is gone
    app.patch(
        planner,
        &format!("/events/{unplanned}"),
        &json!({"actualCost": 11500}),
    )
    .expect(200);
    // reopened, it keeps them too
    hedemora.follow_up_everything(&confirmed);
    take(&hedemora, &confirmed, "closed").expect(200);
    take(&hedemora, &confirmed, "held").expect(200);
    assert_eq!(compliance(&confirmed)["asOf"], AFTERWARDS);
}

#[test]
fn each_status_lets_change_what_it_should_and_names_every_field_that_it_does_not() {
    let hedemora = Hedemora::new();
    let (app, planner) = (&hedemora.app, &hedemora.planner);
    let patches = [
        ("title", json!("Nytt namn")),
        ("description", json!("Om dagen.")),
        ("kind", json!("kickOff")),
        ("partners", json!(["Region Dalarna"])),
        (
            "organisingUnitIds",
            json!([hedemora.education, hedemora.care]),
        ),
        ("responsiblePerson", json!("person-head")),
        ("occasions", hedemora.occasions_at(&["undecided"])),
        (
            "expectedParticipants",
            json!({"total": 30, "perUnit": [{"unitId": hedemora.preschool, "count": 30}]}),
        ),
        ("estimatedCost", json!(12000)),
        ("externalReference", json!("HR-4711")),
        ("actualParticipants", json!({"total": 25, "perUnit": []})),
        ("actualCost", json!(11500)),
        ("registryNumber", json!("BUN 2026/123")),
    ];
    let outcome = ["actualParticipants", "actualCost", "registryNumber"];
    let all: Value = patches
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect::<serde_json::Map<_, _>>()
        .into();
    for status in ["draft", "confirmed", "held", "closed", "cancelled"] {
        let event = in_status(&hedemora, status);
        let path = format!("/events/{event}");
        let before = (app.get(planner, &path), stored(app));
        let open = status == "draft" || status == "confirmed";
        if !open {
            let refused = app
                .patch(planner, &path, &all)
                .expect_problem(409, "not-editable-in-status");
            let mut expected: Vec<_> = patches
                .iter()
                .map(|(name, _)| *name)
                .filter(|name| status == "cancelled" || !outcome.contains(name))
                .map(|name| format!("/{name}"))
                .collect();
            let mut named = refused.faults();
            expected.sort();
            named.sort();
            assert_eq!(named, expected, "{status}");
            hedemora
                .answer(&event, "purpose", &json!({"text": "Något nytt."}))
                .expect_problem(409, "not-editable-in-status");
            // the same once more changes nothing, in any status
            hedemora
                .answer(
                    &event,
                    "purpose",
                    &json!({"text": "Det här vill vi uppnå."}),
                )
                .expect(200);
        }
        let title = before.0.body["title"].clone();
        let same = app
            .patch(planner, &path, &json!({"title": title}))
            .expect(200);
        assert_eq!((same.body, stored(app)), (before.0.body.clone(), before.1));

        let allowed: Value = patches
            .iter()
            .filter(|(name, _)| open || outcome.contains(name))
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect::<serde_json::Map<_, _>>()
            .into();
        if status == "cancelled" {
            continue;
        }
        let after = app.patch(planner, &path, &allowed).expect(200).body;
        assert_eq!(
            (&after["status"], after["revision"].as_i64()),
            (
                &json!(status),
                before.0.body["revision"].as_i64().map(|it| it + 1)
            )
        );
        for (name, value) in allowed.as_object().unwrap() {
            if name != "occasions" {
                assert_eq!(after[name], *value, "{status}");
            }
        }
        assert_eq!(stored(app)[1], before.1[1] + 1);
        // an open place is a finding again, and a confirmed event stays confirmed
        assert_eq!(
            after["openFindings"],
            if open {
                json!(["venueLadder"])
            } else {
                json!([])
            }
        );
    }
}

#[test]
fn every_write_leaves_one_entry_for_each_resource_it_changed_under_its_request_id_and_an_equal_one_none()
 {
    let hedemora = Hedemora::new();
    let (app, planner) = (&hedemora.app, &hedemora.planner);
    let new = hedemora.planning_day(&hedemora.town_hall);
    let mut number = 0;
    let mut write = |method: &str,
                     path: &str,
                     if_match: Option<&str>,
                     body: &Value,
                     entries: &[(&str, &str)]| {
        number += 1;
        let request = format!("request-{number}");
        let mut headers = vec![("X-Request-Id", request.as_str())];
        headers.extend(if_match.map(|etag| ("If-Match", etag)));
        let reply = app.send(planner, method, path, &headers, Some(&body.to_string()));
        assert!(reply.status < 300, "{}", reply.text);
        let of_request = format!("select count(*) from changes where request_id = '{request}'");
        assert_eq!(
            app.count(&of_request),
            entries.len() as i64,
            "{method} {path}"
        );
        for (resource, operation) in entries {
            let these = entries
                .iter()
                .filter(|entry| *entry == &(*resource, *operation))
                .count();
            let found = format!(
                "select count(distinct resource_id) from changes where request_id = '{request}' and resource_type = '{resource}' and operation = '{operation}' and actor = 'person-planner' and event_id is not null"
            );
            assert_eq!(
                app.count(&found),
                these as i64,
                "{method} {path}: {resource}"
            );
        }
        reply
    };
    let event = write("POST", "/events", None, &new, &[("event", "create")]).id();
    let path = format!("/events/{event}");
    let answer = format!("{path}/planning-answers/purpose");
    let given = write(
        "PUT",
        &answer,
        None,
        &json!({"text": "Ett"}),
        &[("planningAnswer", "create")],
    );
    let given = write(
        "PUT",
        &answer,
        Some(given.etag()),
        &json!({"text": "Två"}),
        &[("planningAnswer", "update")],
    );
    write(
        "PUT",
        &answer,
        Some(given.etag()),
        &json!({"text": "Två"}),
        &[],
    );
    write(
        "PATCH",
        &path,
        Some("\"1\""),
        &json!({"title": "Planeringsdag"}),
        &[],
    );
    write(
        "PATCH",
        &path,
        Some("\"1\""),
        &json!({"title": "Kick-off", "organisingUnitIds": [hedemora.education, hedemora.energy], "occasions": hedemora.occasions_at(&["digital", "digital"])}),
        &[("event", "update")],
    );
    let follow_ups = format!("{path}/follow-ups");
    let follow_up =
        json!({"level": "learning", "method": "survey", "responsiblePerson": "person-head"});
    for _ in 0..2 {
        write(
            "POST",
            &follow_ups,
            None,
            &follow_up,
            &[("followUp", "create")],
        );
    }
    write(
        "POST",
        "/scope-checks",
        None,
        &json!({"kind": "training", "arranger": "group"}),
        &[],
    );
    // cancelling takes the follow-ups with it
    let cancel = json!({"status": "cancelled", "reason": "Sjukdom."});
    let cancelled = write(
        "POST",
        &format!("{path}/status-changes"),
        Some("\"2\""),
        &cancel,
        &[
            ("event", "update"),
            ("followUp", "update"),
            ("followUp", "update"),
        ],
    );
    assert_eq!(cancelled.body["revision"], 3);
    let follow_ups = read(&hedemora, &event, "/follow-ups");
    for follow_up in follow_ups["items"].as_array().unwrap() {
        assert_eq!(
            (&follow_up["status"], &follow_up["revision"]),
            (&json!("cancelled"), &json!(2))
        );
    }
}

#[test]
fn of_those_who_confirm_at_once_one_wins_and_there_is_one_baseline() {
    let hedemora = Hedemora::new();
    let (app, planner) = (&hedemora.app, &hedemora.planner);
    let event = hedemora.ready();
    let etag = app
        .get(planner, &format!("/events/{event}"))
        .etag()
        .to_owned();
    let (at_once, path) = (Barrier::new(6), format!("/events/{event}/status-changes"));
    let confirm = |etag: &str| {
        at_once.wait();
        let body = Some(r#"{"status":"confirmed"}"#);
        app.send(planner, "POST", &path, &[("If-Match", etag)], body)
    };
    let mut outcomes: Vec<_> = std::thread::scope(|scope| {
        // half of them with the revision that they read, half with whatever stands
        let threads: Vec<_> = (0..6)
            .map(|number| if number % 2 == 0 { etag.as_str() } else { "*" })
            .map(|etag| {
                let confirm = &confirm;
                scope.spawn(move || (etag, confirm(etag)))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    outcomes.retain(|(_, reply)| reply.status != 200);
    assert_eq!(outcomes.len(), 5);
    for (etag, reply) in outcomes {
        if etag == "*" {
            reply.expect_problem(409, "status-change-not-allowed");
        } else {
            reply.expect_problem(412, "stale-revision");
        }
    }
    for (table, of) in [("baselines", "event_id"), ("status_changes", "event_id")] {
        assert_eq!(
            app.count(&format!(
                "select count(*) from {table} where {of} = '{event}'"
            )),
            1
        );
    }
    assert_eq!(
        app.count(&format!(
            "select count(*) from changes where resource_id = '{event}' and operation = 'update'"
        )),
        1
    );
}

#[test]
fn a_moment_is_taken_to_the_nanosecond_and_kept_to_the_microsecond() {
    let hedemora = Hedemora::new();
    let mut event = hedemora.planning_day(&hedemora.town_hall);
    // as .NET and Java write it
    event["occasions"][0]["startsAt"] = json!("2026-10-05T08:30:00.0000000+02:00");
    event["occasions"][0]["endsAt"] = json!("2026-10-05T14:30:00.123456789Z");
    let created = hedemora
        .app
        .post(&hedemora.planner, "/events", &event)
        .expect(201);
    assert_eq!(created.body["firstStart"], "2026-10-05T06:30:00Z");
    assert_eq!(created.body["lastEnd"], "2026-10-05T14:30:00.123456Z");
    // the same in other words changes nothing
    let same = json!({"occasions": event["occasions"]});
    let path = format!("/events/{}", created.id());
    let patched = hedemora.app.patch(&hedemora.planner, &path, &same);
    assert_eq!(patched.expect(200).body["revision"], 1);
}

#[test]
fn a_merge_patch_merges_what_is_inside_too_and_null_clears_there() {
    let hedemora = Hedemora::new();
    let event = hedemora.draft(&hedemora.town_hall).id();
    let path = format!("/events/{event}");
    let patch = |body: Value| hedemora.app.patch(&hedemora.planner, &path, &body);
    let participants = |body: Value| patch(body).expect(200).body["expectedParticipants"].clone();
    let five = json!([{"unitId": hedemora.education, "count": 5}]);
    let six = json!([{"unitId": hedemora.education, "count": 6}]);
    assert_eq!(
        participants(json!({"expectedParticipants": {"total": 8, "perUnit": five}})),
        json!({"total": 8, "perUnit": five})
    );
    assert_eq!(
        participants(json!({"expectedParticipants": {"perUnit": six}})),
        json!({"total": 8, "perUnit": six})
    );
    assert_eq!(
        participants(json!({"expectedParticipants": {"total": 9, "perUnit": null}})),
        json!({"total": 9, "perUnit": []})
    );
    assert_eq!(
        participants(json!({"expectedParticipants": null, "partners": null})),
        Value::Null
    );
    // of nothing, a part is too little
    let refused = patch(json!({"expectedParticipants": {"perUnit": six}}));
    assert_eq!(
        refused.expect_problem(422, "invalid-body").faults(),
        ["/expectedParticipants/total"]
    );
}

#[test]
fn how_many_came_can_be_mended_afterwards_but_not_taken_away() {
    let hedemora = Hedemora::new();
    let event = hedemora.confirmed();
    let path = format!("/events/{event}");
    hedemora.app.it_is("2026-10-06T08:00:00Z");
    let held = json!({"status": "held", "actualParticipants": {"total": 7}});
    hedemora
        .app
        .change_status(&hedemora.hr, &event, &held)
        .expect(200);
    let patch = |body: Value| hedemora.app.patch(&hedemora.hr, &path, &body);
    let refused = patch(json!({"actualParticipants": null}));
    assert_eq!(
        refused.expect_problem(422, "invalid-body").faults(),
        ["/actualParticipants"]
    );
    let mended = patch(json!({"actualParticipants": {"total": 8}})).expect(200);
    assert_eq!(mended.body["actualParticipants"]["total"], 8);
}

#[test]
fn what_an_event_is_to_serve_is_an_answer_and_found_by_those_who_may_read_it() {
    let hedemora = Hedemora::new();
    let event = hedemora.confirmed();
    let goals = hedemora
        .app
        .get(
            &hedemora.planner,
            &format!("/events/{event}/planning-answers/guidelineGoals"),
        )
        .expect(200);
    let goal = goals.body["answer"]["goalIds"][0].as_str().expect("a goal");
    let found = |caller: &Caller| {
        let path = format!("/events?guidelineGoal={goal}&includeTotal=true");
        hedemora.app.get(caller, &path).expect(200).body["totalItems"].clone()
    };
    assert_eq!(found(&hedemora.planner), 1);
    assert_eq!(found(&hedemora.hr), 1);
    assert_eq!(found(&hedemora.app.employee("person-other")), 0);
}
