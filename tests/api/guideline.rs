//! Guideline versions through HTTP: the built-in one, those that are posted, and the events planned under them.

use crate::app::{Reply, TestApp, owner_url};
use crate::given::Hedemora;
use kompetens::db::migrations;
use kompetens::guideline::HEDEMORA_ID;
use serde_json::{Value, json};

/// The built-in version as a body to post.
fn built_in(app: &TestApp) -> Value {
    let mut version = app
        .get(&app.hr(), &format!("/guideline-versions/{HEDEMORA_ID}"))
        .expect(200)
        .body;
    for own in ["id", "revision", "createdAt"] {
        version.as_object_mut().unwrap().remove(own).expect(own);
    }
    version
}

/// The same from another day and under another name.
fn from_day(version: &Value, day: &str, label: &str) -> Value {
    let mut version = version.clone();
    version["validFrom"] = json!(day);
    version["versionLabel"] = json!(label);
    version
}

fn text(text: &str) -> Value {
    json!({"sv": text, "en": text})
}

fn question(id: &str, kind: &str, weight: &str) -> Value {
    json!({"id": id, "section": text("Avsnitt"), "text": text("Fråga?"), "answerKind": kind, "weight": weight})
}

/// The version that an event is planned under, and what it asks.
fn version_of(event: &Reply) -> &str {
    event.body["guidelineVersionId"]
        .as_str()
        .expect("a version")
}

#[test]
fn the_built_in_version_is_there_under_its_fixed_id_and_the_log_says_that_the_system_stored_it_once()
 {
    let app = TestApp::empty();
    let one = |app: &TestApp| {
        let of_system = "select count(*) from changes where resource_type = 'guidelineVersion' and actor = 'system' and operation = 'create'";
        assert_eq!(app.count(of_system), 1);
        assert_eq!(app.count("select count(*) from changes"), 1);
        let named = format!("{of_system} and revision = 1 and resource_id = '{HEDEMORA_ID}'");
        assert_eq!(app.count(&named), 1);
    };
    one(&app);
    let list = app
        .get(
            &app.employee("person-anyone"),
            "/guideline-versions?includeTotal=true",
        )
        .expect(200);
    assert_eq!(list.body["totalItems"], 1);
    let version = &list.body["items"][0];
    assert_eq!(
        HEDEMORA_ID.to_string(),
        "016f5e66-e800-7000-8000-000000002083"
    );
    assert_eq!(
        (
            &version["id"],
            &version["validFrom"],
            &version["municipalityCode"],
            &version["revision"]
        ),
        (
            &json!(HEDEMORA_ID),
            &json!("2020-01-01"),
            &json!("2083"),
            &json!(1)
        )
    );
    let read = app
        .get(&app.hr(), &format!("/guideline-versions/{HEDEMORA_ID}"))
        .expect(200);
    assert_eq!(read.body, *version);

    // migrating again stores it no second time
    migrations::run(&owner_url(&app.database)).expect("the migrations run");
    one(&app);

    // a version never changes
    let path = format!("/guideline-versions/{HEDEMORA_ID}");
    for method in ["PATCH", "PUT", "DELETE"] {
        let refused = app.send(&app.hr(), method, &path, &[("If-Match", "*")], Some("{}"));
        refused.expect_problem(405, "method-not-allowed");
    }
}

#[test]
fn a_version_is_posted_once_and_what_was_posted_is_what_is_read() {
    let app = TestApp::empty();
    let hr = app.hr();
    let version = from_day(&built_in(&app), "2025-01-01", "Andra versionen");
    let posted = app.send(
        &hr,
        "POST",
        "/guideline-versions",
        &[
            ("X-Request-Id", "posting-a-version"),
            ("Idempotency-Key", "version-2"),
        ],
        Some(&version.to_string()),
    );
    let posted = posted.expect(201);
    let path = format!("/guideline-versions/{}", posted.id());
    assert_eq!(
        posted.header("Location"),
        Some(format!("/kompetens/v1{path}").as_str())
    );
    for (property, value) in version.as_object().unwrap() {
        assert_eq!(posted.body[property], *value, "{property}");
    }
    assert_eq!(app.get(&hr, &path).expect(200).body, posted.body);
    let again = app.send(
        &hr,
        "POST",
        "/guideline-versions",
        &[("Idempotency-Key", "version-2")],
        Some(&version.to_string()),
    );
    assert_eq!(again.expect(201).body, posted.body);
    assert_eq!(
        app.count("select count(*) from changes where request_id = 'posting-a-version' and actor = 'person-hr' and resource_type = 'guidelineVersion'"),
        1
    );
    assert_eq!(app.count("select count(*) from changes"), 2);

    let labels = |sort: &str| {
        let list = app
            .get(&hr, &format!("/guideline-versions?sort={sort}"))
            .expect(200);
        let items = list.body["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| item["validFrom"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(labels("validFrom"), ["2020-01-01", "2025-01-01"]);
    assert_eq!(labels("-validFrom"), ["2025-01-01", "2020-01-01"]);
}

#[test]
fn a_broken_version_is_refused_as_a_whole_with_every_fault_in_its_place() {
    let app = TestApp::empty();
    let hr = app.hr();
    let good = built_in(&app);
    let at = |id: &str| {
        let questions = good["questions"].as_array().unwrap();
        questions
            .iter()
            .position(|question| question["id"] == id)
            .expect(id)
    };
    let (form, engagement, venue, follow_up) = (
        at("form"),
        at("engagement"),
        at("venueChoice"),
        at("followUp"),
    );
    let with = |changes: &[(String, Value)]| {
        let mut version = good.clone();
        for (pointer, value) in changes {
            let (parent, last) = pointer.rsplit_once('/').unwrap();
            let parent = version.pointer_mut(parent).expect(pointer);
            match parent.as_array_mut() {
                Some(items) if last == "-" => items.push(value.clone()),
                Some(items) => items[last.parse::<usize>().unwrap()] = value.clone(),
                None if value.is_null() => drop(parent.as_object_mut().unwrap().remove(last)),
                None => parent[last] = value.clone(),
            }
        }
        version
    };
    let choices = json!([{"id": "one", "text": text("Ett")}]);
    let field = |question: usize, field: &str| format!("/questions/{question}/{field}");
    let venue_choices = field(venue, "choices");

    // what is changed in a good version, and the code and pointer of each fault then
    type Case = (Vec<(String, Value)>, Vec<(&'static str, String)>);
    let cases: Vec<Case> = vec![
        // each field by itself, as the schema says
        (
            vec![("/versionLabel".into(), json!(" "))],
            vec![("blank", "/versionLabel".into())],
        ),
        (
            vec![("/municipalityCode".into(), json!("208"))],
            vec![("wrong-pattern", "/municipalityCode".into())],
        ),
        (
            vec![("/validFrom".into(), json!("2026-02-30"))],
            vec![("wrong-format", "/validFrom".into())],
        ),
        (
            vec![("/validFrom".into(), Value::Null)],
            vec![("required", "/validFrom".into())],
        ),
        (
            vec![("/questions".into(), json!([]))],
            vec![("too-few-items", "/questions".into())],
        ),
        (
            vec![("/ladder".into(), json!([]))],
            vec![("too-few-items", "/ladder".into())],
        ),
        (
            vec![("/questions/0/id".into(), json!("1st"))],
            vec![("wrong-pattern", "/questions/0/id".into())],
        ),
        (
            vec![("/questions/0/weight".into(), json!("heavy"))],
            vec![("unknown-value", "/questions/0/weight".into())],
        ),
        (
            vec![("/questions/0/text".into(), json!({"sv": "Bara svenska"}))],
            vec![("required", "/questions/0/text/en".into())],
        ),
        (
            vec![("/questions/0/help".into(), json!("?"))],
            vec![("unknown-field", "/questions/0/help".into())],
        ),
        (
            vec![("/ladder/0/place".into(), json!("castle"))],
            vec![("unknown-value", "/ladder/0/place".into())],
        ),
        (
            vec![("/settings/followUpDueDays".into(), json!(-1))],
            vec![("too-small", "/settings/followUpDueDays".into())],
        ),
        (
            vec![("/settings/requireAllHeads".into(), Value::Null)],
            vec![("required", "/settings/requireAllHeads".into())],
        ),
        (
            vec![(
                "/settings/decisionBasis/departmentHead".into(),
                json!("whim"),
            )],
            vec![(
                "unknown-value",
                "/settings/decisionBasis/departmentHead".into(),
            )],
        ),
        (
            vec![("/goals/0/text/sv".into(), json!("Nå 19121212-1212 i tid"))],
            vec![("personal-number", "/goals/0/text/sv".into())],
        ),
        // the version as a whole
        (
            vec![("/questions/1/id".into(), json!("purpose"))],
            vec![("duplicate-id", "/questions/1/id".into())],
        ),
        (
            vec![("/goals/4/id".into(), good["goals"][0]["id"].clone())],
            vec![("duplicate-id", "/goals/4/id".into())],
        ),
        (
            vec![(
                "/desiredEffects/1/id".into(),
                good["desiredEffects"][0]["id"].clone(),
            )],
            vec![("duplicate-id", "/desiredEffects/1/id".into())],
        ),
        (
            vec![("/ladder/3/id".into(), json!("ownPremises"))],
            vec![("duplicate-id", "/ladder/3/id".into())],
        ),
        (
            vec![("/ladder/3/place".into(), json!("ownPremises"))],
            vec![("duplicate-place", "/ladder/3/place".into())],
        ),
        (
            vec![("/questions/0/choices".into(), choices.clone())],
            vec![("choices-not-allowed", "/questions/0/choices".into())],
        ),
        (
            vec![("/questions/0/multiple".into(), json!(true))],
            vec![("multiple-not-allowed", "/questions/0/multiple".into())],
        ),
        (
            vec![(field(engagement, "choices"), Value::Null)],
            vec![("choices-required", field(engagement, "choices"))],
        ),
        (
            vec![(field(form, "choices"), choices.clone())],
            vec![("unknown-value", field(form, "choices"))],
        ),
        (
            vec![(field(follow_up, "unitId"), json!(HEDEMORA_ID))],
            vec![("unit-not-allowed", field(follow_up, "unitId"))],
        ),
        (
            vec![(field(follow_up, "answerKind"), json!("text"))],
            vec![("one-follow-ups-question", "/questions".into())],
        ),
        (
            vec![
                (field(venue, "answerKind"), json!("text")),
                (venue_choices, Value::Null),
            ],
            vec![("one-reason-question", "/questions".into())],
        ),
        (
            vec![(
                "/questions/-".into(),
                question("second", "reason", "advisory"),
            )],
            vec![("one-reason-question", "/questions".into())],
        ),
        (
            vec![("/goals".into(), json!([]))],
            vec![("goals-required", "/goals".into())],
        ),
        (
            vec![(
                "/titles/roles".into(),
                json!({"mayor": text("Borgmästare")}),
            )],
            vec![("unknown-value", "/titles/roles".into())],
        ),
        // several at once
        (
            vec![
                ("/goals/4/id".into(), good["goals"][0]["id"].clone()),
                ("/questions/0/multiple".into(), json!(false)),
                ("/titles/forms".into(), json!({"seance": text("Seans")})),
            ],
            vec![
                ("duplicate-id", "/goals/4/id".into()),
                ("multiple-not-allowed", "/questions/0/multiple".into()),
                ("unknown-value", "/titles/forms".into()),
            ],
        ),
        // what only the database knows
        (
            vec![("/questions/0/unitId".into(), json!(HEDEMORA_ID))],
            vec![("unknown-unit", "/questions/0/unitId".into())],
        ),
    ];
    for (changes, faults) in cases {
        let refused = app.post(&hr, "/guideline-versions", &with(&changes));
        assert_eq!(refused.status, 422, "{changes:?}: {}", refused.text);
        let mut found: Vec<(String, String)> = refused.body["errors"]
            .as_array()
            .unwrap_or_else(|| panic!("errors in {}", refused.text))
            .iter()
            .map(|error| {
                (
                    error["code"].as_str().unwrap().to_owned(),
                    error["pointer"].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        found.sort();
        let expected: Vec<(String, String)> = faults
            .into_iter()
            .map(|(code, pointer)| (code.to_owned(), pointer))
            .collect();
        assert_eq!(found, expected, "{changes:?}");
        for error in refused.body["errors"].as_array().unwrap() {
            assert!(
                error["detail"]
                    .as_str()
                    .is_some_and(|detail| !detail.is_empty())
            );
        }
    }
    assert_eq!(app.count("select count(*) from guideline_versions"), 1);
    assert_eq!(app.count("select count(*) from changes"), 1);
}

#[test]
fn a_new_event_gets_the_latest_version_that_is_in_force_today_of_equal_ones_the_last_posted_and_keeps_it()
 {
    let hedemora = Hedemora::new();
    let (app, hr, planner) = (&hedemora.app, &hedemora.hr, &hedemora.planner);
    let base = built_in(app);
    let post = |day: &str, label: &str| {
        app.post(hr, "/guideline-versions", &from_day(&base, day, label))
            .expect(201)
            .id()
    };
    let draft = || hedemora.draft(&hedemora.town_hall);
    let old = draft();
    assert_eq!(version_of(&old), HEDEMORA_ID.to_string());

    // it is 2026-09-01
    let first = post("2026-08-01", "Första");
    assert_eq!(version_of(&draft()), first);
    post("2025-08-01", "Äldre, postad senare");
    assert_eq!(version_of(&draft()), first);
    let second = post("2026-08-01", "Samma dag, postad senare");
    assert_eq!(version_of(&draft()), second, "the last posted");
    let tomorrow = post("2026-09-02", "Från i morgon");
    assert_eq!(version_of(&draft()), second, "not yet in force");
    app.it_is("2026-09-01T21:59:59Z");
    assert_eq!(
        version_of(&draft()),
        second,
        "still the first of September in Stockholm"
    );
    app.it_is("2026-09-01T22:00:00Z");
    assert_eq!(version_of(&draft()), tomorrow);

    // I13: the old event is what it was, in every part, after a change too
    let event = old.id();
    let path = format!("/events/{event}");
    let unchanged = app.get(planner, &path).expect(200);
    assert_eq!((&unchanged.body, unchanged.etag()), (&old.body, old.etag()));
    let changed = app
        .patch(planner, &path, &json!({"title": "Planeringsdag 2"}))
        .expect(200);
    assert_eq!(version_of(&changed), HEDEMORA_ID.to_string());
    let compliance = app
        .get(planner, &format!("{path}/compliance"))
        .expect(200)
        .body;
    assert_eq!(compliance["guidelineVersionId"], json!(HEDEMORA_ID));
}

#[test]
fn another_municipality_s_version_works_by_posting_it_from_draft_to_confirmation() {
    let hedemora = Hedemora::new();
    let (app, hr, planner) = (&hedemora.app, &hedemora.hr, &hedemora.planner);
    let old = hedemora.draft(&hedemora.conference_centre).id();
    let read = |path: String| app.get(planner, &path).expect(200);
    let old_before = (
        read(format!("/events/{old}")).text,
        read(format!("/events/{old}/compliance")).text,
        read(format!("/events/{old}/planning-answers")).text,
    );

    // lies in 2080; procured premises in town come first, then own ones with a reason; other places are not on its ladder
    let version = json!({
        "versionLabel": "Granbergs kommun 2026", "validFrom": "2026-01-01", "municipalityCode": "2080",
        "title": text("Lärande i Granberg"), "titles": {"eventKinds": {"planningDay": text("Studiedag")}},
        "questions": [
            question("syfte", "text", "advisory"),
            question("jamlikhet", "attestation", "mandatory"),
            {"id": "stod", "section": text("Avsnitt"), "text": text("Vilket stöd?"), "answerKind": "choice", "multiple": true, "weight": "mandatory",
                "choices": [{"id": "tolk", "text": text("Tolk")}, {"id": "slinga", "text": text("Slinga")}]},
            {"id": "forskolan", "section": text("Avsnitt"), "text": text("Barnskötare?"), "answerKind": "text", "weight": "advisory", "unitId": hedemora.preschool},
            question("lokalen", "reason", "advisory"),
            question("uppfoljning", "followUps", "advisory"),
        ],
        "goals": [], "desiredEffects": [],
        "ladder": [
            {"id": "forst", "place": "procuredLocal", "requires": "nothing"},
            {"id": "sedan", "place": "ownPremises", "requires": "reason"},
        ],
        "settings": {"followUpDueDays": 30, "dueSoonDays": 7, "directorDecidesForCompanies": false, "requireAllHeads": false,
            "decisionBasis": {"municipalDirector": "delegated", "departmentHead": "delegated", "chiefExecutive": "companyManagement"}},
    });
    let version = app
        .post(hr, "/guideline-versions", &version)
        .expect(201)
        .id();
    let draft = |venue: &str, unit: &str| {
        let mut event = hedemora.planning_day(venue);
        event["organisingUnitIds"] = json!([unit]);
        let event = app.post(hr, "/events", &event).expect(201);
        assert_eq!(version_of(&event), version);
        event.id()
    };
    let rules = |event: &str| {
        let compliance = app
            .get(hr, &format!("/events/{event}/compliance"))
            .expect(200)
            .body;
        let items = compliance["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| {
                format!(
                    "{}={}",
                    item["ruleId"].as_str().unwrap(),
                    item["finding"].as_str().unwrap()
                )
            })
            .collect::<Vec<_>>()
    };
    let ladder = |venue: &str| {
        let rules = rules(&draft(venue, &hedemora.education));
        rules
            .iter()
            .find_map(|rule| rule.strip_prefix("venueLadder="))
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        [
            &hedemora.conference_centre,
            &hedemora.town_hall,
            &hedemora.hotel,
            &hedemora.castle
        ]
        .map(|venue| ladder(venue)),
        ["met", "reasonNeeded", "exceptionNeeded", "exceptionNeeded"]
    );

    // a unit's own question is asked of it and of those below, nobody else
    let unanswered = [
        "question.syfte=answerNeeded",
        "question.jamlikhet=answerNeeded",
        "question.stod=answerNeeded",
    ];
    let event = draft(&hedemora.town_hall, &hedemora.education);
    assert_eq!(
        rules(&event),
        [
            &unanswered[..],
            &[
                "venueLadder=reasonNeeded",
                "question.uppfoljning=answerNeeded"
            ]
        ]
        .concat()
    );
    let event = draft(&hedemora.town_hall, &hedemora.preschool);
    let own = [
        "question.forskolan=answerNeeded",
        "venueLadder=reasonNeeded",
        "question.uppfoljning=answerNeeded",
    ];
    assert_eq!(rules(&event), [&unanswered[..], &own].concat());
    let open = |event: &str| {
        app.get(hr, &format!("/events/{event}")).expect(200).body["openFindings"].clone()
    };
    assert_eq!(
        open(&event).as_array().unwrap().len(),
        6,
        "SQL says the same"
    );

    let answer = |question: &str, body: Value| {
        let path = format!("/events/{event}/planning-answers/{question}");
        let etag = app
            .get(hr, &format!("/events/{event}/planning-answers"))
            .expect(200)
            .body["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|item| item["question"]["id"] == question)
            .and_then(|item| item["given"]["revision"].as_i64())
            .map(|revision| format!("\"{revision}\""));
        let headers: Vec<(&str, &str)> = etag
            .iter()
            .map(|etag| ("If-Match", etag.as_str()))
            .collect();
        app.send(hr, "PUT", &path, &headers, Some(&body.to_string()))
    };
    let finding = |rule: &str| {
        let rules = rules(&event);
        rules
            .iter()
            .find_map(|found| found.strip_prefix(&format!("{rule}=")))
            .expect(rule)
            .to_owned()
    };
    // not of this version
    answer("purpose", json!({"text": "Syfte"})).expect_problem(404, "not-found");
    answer("syfte", json!({"notApplicable": {"reason": "Självklart."}})).expect(201);
    assert_eq!(finding("question.syfte"), "notApplicable");
    answer("forskolan", json!({"text": "Ja."})).expect(201);
    // mandatory: neither a no nor "not applicable" will do, with a reason or without
    answer(
        "jamlikhet",
        json!({"attested": false, "reason": {"text": "Vi hinner inte."}}),
    )
    .expect(201);
    assert_eq!(finding("question.jamlikhet"), "exceptionNeeded");
    answer(
        "stod",
        json!({"notApplicable": {"reason": "Ingen har bett om det."}}),
    )
    .expect(201);
    assert_eq!(finding("question.stod"), "exceptionNeeded");
    answer(
        "lokalen",
        json!({"reason": {"text": "Vi får inte plats hos den upphandlade."}}),
    )
    .expect(201);
    assert_eq!(finding("venueLadder"), "met");
    let follow_up =
        json!({"level": "results", "method": "measurement", "responsiblePerson": "person-planner"});
    let follow_up = app
        .post(hr, &format!("/events/{event}/follow-ups"), &follow_up)
        .expect(201);
    assert_eq!(
        follow_up.body["dueDate"], "2026-11-04",
        "30 days after the last occasion"
    );
    assert_eq!(open(&event), json!(["question.jamlikhet", "question.stod"]));
    let refused = app
        .change_status(hr, &event, &json!({"status": "confirmed"}))
        .expect_problem(409, "not-compliant");
    let codes: Vec<&Value> = refused.body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| &error["code"])
        .collect();
    assert_eq!(codes, ["question.jamlikhet", "question.stod"]);

    answer("jamlikhet", json!({"attested": true})).expect(200);
    answer("stod", json!({"choices": ["tolk", "slinga"]})).expect(200);
    assert_eq!(open(&event), json!([]));
    let confirmed = app
        .change_status(hr, &event, &json!({"status": "confirmed"}))
        .expect(200);
    assert_eq!(
        (&confirmed.body["status"], version_of(&confirmed)),
        (&json!("confirmed"), version.as_str())
    );

    // the event that was planned before is untouched: its ladder, its questions, its municipality
    let old_after = (
        read(format!("/events/{old}")).text,
        read(format!("/events/{old}/compliance")).text,
        read(format!("/events/{old}/planning-answers")).text,
    );
    assert_eq!(old_after, old_before);
    assert_eq!(hedemora.finding(&old, "venueLadder"), "reasonNeeded");
}
