//! The venue ladder, the answers to the planning questions and what they come to: R18–R31, invariant I3.

use crate::app::{Reply, TestApp};
use crate::given::Hedemora;
use kompetens::guideline::HEDEMORA_ID;
use serde_json::{Value, json};

const CAPACITY: &str = "Vi är 140 personer och våra egna lokaler tar som mest 90.";

fn venue_reason() -> Value {
    json!({"reason": {"code": "capacity", "text": CAPACITY}})
}

/// How the venue of an event stands: the finding and the rung.
fn ladder(hedemora: &Hedemora, event: &str) -> (String, Option<String>) {
    let compliance = hedemora
        .app
        .get(&hedemora.planner, &format!("/events/{event}/compliance"))
        .expect(200)
        .body;
    let items = compliance["items"].as_array().unwrap();
    let of = items
        .iter()
        .find(|item| item["ruleId"] == "venueLadder")
        .unwrap();
    let text = |member: &str| of[member].as_str().map(str::to_owned);
    (text("finding").unwrap(), text("rungId"))
}

#[track_caller]
fn stands(hedemora: &Hedemora, event: &str, finding: &str, rung: Option<&str>) {
    let (found, found_rung) = ladder(hedemora, event);
    assert_eq!((found.as_str(), found_rung.as_deref()), (finding, rung));
    // the list of events says the same in SQL
    let event = hedemora
        .app
        .get(&hedemora.planner, &format!("/events/{event}"));
    let open = event.body["openFindings"].as_array().unwrap();
    let is_open = !["met", "notApplicable"].contains(&finding);
    assert_eq!(open.contains(&json!("venueLadder")), is_open);
}

#[test]
fn a_hired_venue_asks_for_a_reason_which_holds_for_its_rung_and_better_ones_and_not_for_a_worse() {
    let hedemora = Hedemora::new();
    let (town_hall, hotel) = (hedemora.town_hall.as_str(), hedemora.hotel.as_str());
    let event = hedemora.draft(town_hall).id();
    let answer = |body: &Value| hedemora.answer(&event, "venueChoice", body);

    stands(&hedemora, &event, "met", Some("ownPremises"));
    answer(&venue_reason()).expect_problem(409, "not-asked");

    hedemora.hold_at(&event, &[hotel]).expect(200);
    stands(&hedemora, &event, "reasonNeeded", Some("procuredLocal"));
    for (body, pointer) in [
        (
            json!({"notApplicable": {"reason": "Ingen fråga."}}),
            "/notApplicable",
        ),
        (json!({}), "/reason"),
        (json!({"text": CAPACITY}), "/text"),
        (json!({"reason": {"text": CAPACITY}}), "/reason/code"),
        (
            json!({"reason": {"code": "price", "text": CAPACITY}}),
            "/reason/code",
        ),
        (
            json!({"reason": {"code": "capacity", "text": CAPACITY}, "rungId": "ownPremises"}),
            "/rungId",
        ),
    ] {
        let refused = answer(&body).expect_problem(422, "invalid-body");
        assert!(
            refused.faults().contains(&pointer.to_owned()),
            "{}",
            refused.text
        );
    }
    let given = answer(&venue_reason()).expect(201);
    assert_eq!(given.body["rungId"], "procuredLocal");
    stands(&hedemora, &event, "met", Some("procuredLocal"));

    // a better rung needs no reason, and takes none; the one given stays for when it is needed again
    hedemora.hold_at(&event, &[town_hall]).expect(200);
    stands(&hedemora, &event, "met", Some("ownPremises"));
    answer(&venue_reason()).expect_problem(409, "not-asked");
    hedemora.hold_at(&event, &[hotel]).expect(200);
    stands(&hedemora, &event, "met", Some("procuredLocal"));

    // a worse one asks again, and the same words for it are a new answer
    hedemora
        .hold_at(&event, &[&hedemora.conference_centre])
        .expect(200);
    stands(&hedemora, &event, "reasonNeeded", Some("procuredOther"));
    let given = answer(&venue_reason()).expect(200);
    assert_eq!(
        (&given.body["rungId"], &given.body["revision"]),
        (&json!("procuredOther"), &json!(2))
    );
    stands(&hedemora, &event, "met", Some("procuredOther"));
    hedemora.hold_at(&event, &[hotel]).expect(200);
    stands(&hedemora, &event, "met", Some("procuredLocal"));
    // what still holds is not given anew by saying it again
    let again = answer(&venue_reason()).expect(200);
    assert_eq!(
        (&again.body["rungId"], &again.body["revision"]),
        (&json!("procuredOther"), &json!(2))
    );

    // off the ladder no reason helps
    hedemora.hold_at(&event, &[&hedemora.castle]).expect(200);
    stands(&hedemora, &event, "exceptionNeeded", Some("notProcured"));
    answer(&venue_reason()).expect_problem(409, "not-asked");
}

#[test]
fn the_worst_of_several_occasions_counts_digital_ones_do_not_and_an_undecided_one_asks_for_a_place()
{
    let hedemora = Hedemora::new();
    let [own, local, other, off] = [
        &hedemora.town_hall,
        &hedemora.hotel,
        &hedemora.conference_centre,
        &hedemora.castle,
    ]
    .map(String::as_str);
    let event = hedemora.draft(own).id();
    for (places, finding, rung) in [
        (&["digital"][..], "notApplicable", None),
        (&["undecided"], "answerNeeded", None),
        (&[off, "undecided"], "answerNeeded", None),
        (&[own, "digital"], "met", Some("ownPremises")),
        (&[own, local, own], "reasonNeeded", Some("procuredLocal")),
        (&[local, other, own], "reasonNeeded", Some("procuredOther")),
        (&[own, off, local], "exceptionNeeded", Some("notProcured")),
    ] {
        hedemora.hold_at(&event, places).expect(200);
        stands(&hedemora, &event, finding, rung);
        if finding != "reasonNeeded" {
            hedemora
                .answer(&event, "venueChoice", &venue_reason())
                .expect_problem(409, "not-asked");
        }
    }
}

#[test]
fn the_rung_follows_from_contract_and_owner_on_the_day_and_no_client_can_set_it() {
    let hedemora = Hedemora::new();
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    let create = |path: &str, body: Value| app.post(hr, path, &body).expect(201).id();
    let sold = create(
        "/units",
        json!({"name": "Sålda bolaget AB", "type": "company", "parentId": hedemora.municipality, "validFrom": "2020-01-01", "validTo": "2026-10-05"}),
    );
    // the event is on 2026-10-05; `validTo` is the first day no longer valid
    type Contracts<'a> = (&'a str, &'a [(&'a str, Option<&'a str>)]);
    let contracts: [Contracts; 5] = [
        ("556000-0101", &[("2020-01-01", Some("2026-10-05"))]),
        ("556000-0102", &[("2020-01-01", Some("2026-10-06"))]),
        ("556000-0103", &[("2026-10-05", None)]),
        ("556000-0104", &[("2026-10-06", None)]),
        (
            "556000-0105",
            &[
                ("2020-01-01", Some("2026-01-01")),
                ("2026-06-01", Some("2027-01-01")),
            ],
        ),
    ];
    for (supplier, periods) in contracts {
        for (from, to) in periods {
            create(
                "/supplier-contracts",
                json!({"supplierId": supplier, "supplierName": "Leverantören AB", "title": "Konferens", "validFrom": from, "validTo": to}),
            );
        }
    }
    for (who, code, owner, supplier, finding, rung) in [
        (
            "the contract ended the day before",
            "2083",
            None,
            Some("556000-0101"),
            "exceptionNeeded",
            "notProcured",
        ),
        (
            "the contract's last day",
            "2083",
            None,
            Some("556000-0102"),
            "reasonNeeded",
            "procuredLocal",
        ),
        (
            "the contract's first day",
            "2083",
            None,
            Some("556000-0103"),
            "reasonNeeded",
            "procuredLocal",
        ),
        (
            "the contract begins the day after",
            "2083",
            None,
            Some("556000-0104"),
            "exceptionNeeded",
            "notProcured",
        ),
        (
            "an ended contract was followed by a new one",
            "2083",
            None,
            Some("556000-0105"),
            "reasonNeeded",
            "procuredLocal",
        ),
        (
            "another municipality's procured venue",
            "2080",
            None,
            Some("556000-0105"),
            "reasonNeeded",
            "procuredOther",
        ),
        (
            "a company's premises are own premises, wherever they lie",
            "2080",
            Some(&hedemora.energy),
            None,
            "met",
            "ownPremises",
        ),
        (
            "owned by the group, so the contract does not matter",
            "2083",
            Some(&hedemora.education),
            Some("556000-0105"),
            "met",
            "ownPremises",
        ),
        (
            "the owner left the group the day before",
            "2083",
            Some(&sold),
            None,
            "exceptionNeeded",
            "notProcured",
        ),
        (
            "the owner left, and its premises are procured",
            "2083",
            Some(&sold),
            Some("556000-0105"),
            "reasonNeeded",
            "procuredLocal",
        ),
        (
            "a partly owned company's premises are not own",
            "2083",
            Some(&hedemora.visit_dalarna),
            None,
            "exceptionNeeded",
            "notProcured",
        ),
    ] {
        let venue = create(
            "/venues",
            json!({"name": who, "municipalityCode": code, "ownerUnitId": owner, "supplierId": supplier, "validFrom": "2020-01-01"}),
        );
        let event = hedemora.draft(&venue).id();
        let (found, at) = ladder(&hedemora, &event);
        assert_eq!(
            (found.as_str(), at.as_deref()),
            (finding, Some(rung)),
            "{who}"
        );
        stands(&hedemora, &event, finding, Some(rung));
    }

    // I3
    let mut event = hedemora.planning_day(&hedemora.hotel);
    event["occasions"][0]["rungId"] = json!("ownPremises");
    app.post(hr, "/events", &event)
        .expect_problem(422, "invalid-body");
    for member in ["rungId", "place", "rung"] {
        let mut venue =
            json!({"name": "Lokalen", "municipalityCode": "2083", "validFrom": "2020-01-01"});
        venue[member] = json!("ownPremises");
        app.post(hr, "/venues", &venue)
            .expect_problem(422, "invalid-body");
    }
}

#[test]
fn a_question_takes_the_answers_of_its_kind_and_says_of_others_what_is_wrong() {
    let hedemora = Hedemora::new();
    let (app, planner) = (&hedemora.app, &hedemora.planner);
    let goal = |unit: &str| {
        let body = json!({"unitId": unit, "title": "Fler behöriga", "validFrom": "2020-01-01"});
        app.post(&hedemora.hr, "/business-goals", &body)
            .expect(201)
            .id()
    };
    let (goal, other) = (goal(&hedemora.education), goal(&hedemora.care));
    let event = hedemora.draft(&hedemora.town_hall).id();
    let before = app.count("select count(*) from changes");

    let facet = |id: &str| json!({"facetId": id, "text": "Så här."});
    let four = ["motivating", "activating", "inclusive", "sustainable"].map(facet);
    let absent = "01990000-0000-7000-8000-000000000404";
    for (question, body, code, pointer) in [
        ("purpose", json!({}), "invalid-body", "/text"),
        ("purpose", json!({"text": "  "}), "invalid-body", "/text"),
        (
            "purpose",
            json!({"text": "Ja.", "choices": ["lecture"]}),
            "invalid-body",
            "/choices",
        ),
        (
            "purpose",
            json!({"text": "Ja.", "notApplicable": {"reason": "Nej."}}),
            "invalid-body",
            "/text",
        ),
        (
            "purpose",
            json!({"notApplicable": {"reason": " "}}),
            "invalid-body",
            "/notApplicable/reason",
        ),
        (
            "purpose",
            json!({"notApplicable": {}}),
            "invalid-body",
            "/notApplicable/reason",
        ),
        (
            "purpose",
            json!({"attested": true}),
            "invalid-body",
            "/attested",
        ),
        (
            "purpose",
            json!({"text": "Ring 19121212-1212."}),
            "personal-number",
            "/text",
        ),
        ("form", json!({"choices": []}), "invalid-body", "/choices"),
        (
            "form",
            json!({"choices": ["lecture", "workshop"]}),
            "invalid-body",
            "/choices",
        ),
        (
            "form",
            json!({"choices": ["cruise"]}),
            "invalid-body",
            "/choices/0",
        ),
        (
            "form",
            json!({"text": "Föreläsning"}),
            "invalid-body",
            "/text",
        ),
        (
            "engagement",
            json!({"facets": four[..3]}),
            "invalid-body",
            "/facets",
        ),
        (
            "engagement",
            json!({"facets": [four[0], four[0], four[1], four[2], four[3]]}),
            "invalid-body",
            "/facets/1/facetId",
        ),
        (
            "engagement",
            json!({"facets": [four[0], four[1], four[2], facet("cheap")]}),
            "invalid-body",
            "/facets/3/facetId",
        ),
        (
            "businessGoals",
            json!({"goalIds": []}),
            "invalid-body",
            "/goalIds",
        ),
        (
            "businessGoals",
            json!({"goalIds": ["improveOperations"]}),
            "invalid-body",
            "/goalIds/0",
        ),
        (
            "businessGoals",
            json!({"goalIds": [goal, absent]}),
            "unknown-goal",
            "/goalIds/1",
        ),
        (
            "businessGoals",
            json!({"goalIds": [goal, goal]}),
            "invalid-body",
            "/goalIds/1",
        ),
        (
            "businessGoals",
            json!({"goalIds": [goal.to_uppercase()]}),
            "invalid-body",
            "/goalIds/0",
        ),
        (
            "guidelineGoals",
            json!({"goalIds": [goal]}),
            "invalid-body",
            "/goalIds/0",
        ),
        (
            "governingDocuments",
            json!({"text": "Ja."}),
            "invalid-body",
            "/attested",
        ),
        (
            "governingDocuments",
            json!({"attested": true, "reason": {"text": "Därför."}}),
            "invalid-body",
            "/reason",
        ),
        (
            "governingDocuments",
            json!({"attested": false, "reason": {"code": "capacity", "text": "Nej."}}),
            "invalid-body",
            "/reason/code",
        ),
        (
            "governingDocuments",
            json!({"attested": true, "references": [""]}),
            "invalid-body",
            "/references/0",
        ),
        (
            "governingDocuments",
            json!({"attested": "yes"}),
            "invalid-body",
            "/attested",
        ),
        (
            "followUp",
            json!({"unknown": true}),
            "invalid-body",
            "/unknown",
        ),
    ] {
        let refused = hedemora
            .answer(&event, question, &body)
            .expect_problem(422, code);
        assert!(
            refused.faults().contains(&pointer.to_owned()),
            "{question} {body}: {}",
            refused.text
        );
    }
    // what has the right form but cannot be said here
    for body in [
        json!({}),
        json!({"text": "Om ett år."}),
        json!({"notApplicable": {"reason": "Nej."}}),
    ] {
        hedemora
            .answer(&event, "followUp", &body)
            .expect_problem(409, "answered-by-follow-ups");
    }
    hedemora
        .answer(&event, "unknown", &json!({"text": "Ja."}))
        .expect_problem(404, "not-found");
    assert_eq!(app.count("select count(*) from changes"), before);
    assert_eq!(app.count("select count(*) from planning_answers"), 0);

    for (question, body) in [
        ("purpose", json!({"text": "Samma arbetssätt."})),
        (
            "individualEffects",
            json!({"notApplicable": {"reason": "Dagen gäller rutiner."}}),
        ),
        ("form", json!({"choices": ["workshop"]})),
        ("engagement", json!({"facets": four})),
        // goals of another unit are goals of the group
        ("businessGoals", json!({"goalIds": [goal, other]})),
        (
            "guidelineGoals",
            json!({"goalIds": ["improveOperations", "growCommitment"]}),
        ),
        (
            "governingDocuments",
            json!({"attested": true, "text": "Skollagen.", "references": ["Plan 2026"]}),
        ),
        (
            "practice",
            json!({"attested": false, "reason": {"text": "Det blir en föreläsning."}}),
        ),
    ] {
        let path = format!("/events/{event}/planning-answers/{question}");
        app.get(planner, &path).expect_problem(404, "not-found");
        let given = hedemora.answer(&event, question, &body).expect(201);
        assert_eq!(given.body["answer"], body);
        assert_eq!(given.body["answeredBy"], "person-planner");
        assert_eq!(
            given.header("Location"),
            Some(format!("/kompetens/v1{path}").as_str())
        );
        let read = app.get(planner, &path).expect(200);
        assert_eq!((&read.body, read.etag()), (&given.body, given.etag()));
    }
}

#[test]
fn an_answer_has_revisions_of_its_own_an_equal_one_changes_nothing_and_none_is_overwritten_unread()
{
    let hedemora = Hedemora::new();
    let (app, planner) = (&hedemora.app, &hedemora.planner);
    let event = hedemora.draft(&hedemora.town_hall);
    let (etag, event) = (event.etag().to_owned(), event.id());
    let path = format!("/events/{event}/planning-answers/purpose");
    let put = |text: &str, header: Option<(&str, &str)>| {
        let headers: Vec<_> = header.into_iter().collect();
        app.send(
            planner,
            "PUT",
            &path,
            &headers,
            Some(&json!({"text": text}).to_string()),
        )
    };
    let entries =
        || app.count("select count(*) from changes where resource_type = 'planningAnswer'");
    put("Ett", Some(("If-Match", "\"1\""))).expect_problem(412, "stale-revision");
    let first = put("Ett", Some(("If-None-Match", "*"))).expect(201);
    put("Två", Some(("If-None-Match", "*"))).expect_problem(412, "stale-revision");
    let unread = put("Två", None).expect_problem(428, "if-match-required");
    assert_eq!(unread.faults(), ["If-Match"]);
    app.it_is("2026-09-02T08:00:00Z");
    let second = put("Två", Some(("If-Match", first.etag()))).expect(200);
    assert_eq!(second.body["revision"], 2);
    assert_eq!(second.body["id"], first.body["id"]);
    put("Tre", Some(("If-Match", first.etag()))).expect_problem(412, "stale-revision");
    let equal = put("Två", Some(("If-Match", second.etag()))).expect(200);
    assert_eq!(
        (&equal.body, equal.etag(), entries()),
        (&second.body, second.etag(), 2)
    );

    let read = app.send(
        planner,
        "GET",
        &path,
        &[("If-None-Match", second.etag())],
        None,
    );
    assert_eq!((read.status, read.text.as_str()), (304, ""));
    let revisions = app
        .get(planner, &format!("{path}/revisions?includeTotal=true"))
        .expect(200)
        .body;
    let texts: Vec<_> = revisions["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|revision| {
            (
                revision["revision"].as_i64(),
                revision["answer"]["text"].as_str(),
            )
        })
        .collect();
    assert_eq!(texts, [(Some(2), Some("Två")), (Some(1), Some("Ett"))]);
    assert_eq!(revisions["totalItems"], 2);
    app.get(
        planner,
        &format!("/events/{event}/planning-answers/form/revisions"),
    )
    .expect_problem(404, "not-found");
    // the event's own revision stands
    let standing = app.get(planner, &format!("/events/{event}")).expect(200);
    assert_eq!(standing.body["revision"], 1);
    assert_eq!(etag.split('-').next(), standing.etag().split('-').next());
}

/// Posts Hedemora's version with this done to it, in force from today.
fn version(app: &TestApp, alter: impl Fn(&mut Value)) {
    let hr = app.hr();
    let mut version = app
        .get(&hr, &format!("/guideline-versions/{HEDEMORA_ID}"))
        .expect(200)
        .body;
    for own in ["id", "revision", "createdAt"] {
        version.as_object_mut().unwrap().remove(own);
    }
    version["validFrom"] = json!("2026-09-01");
    alter(&mut version);
    app.post(&hr, "/guideline-versions", &version).expect(201);
}

#[test]
fn answered_counts_the_questions_for_which_nothing_more_is_to_be_answered_whatever_the_venue_lacks()
{
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    let counts = |event: &str| {
        let answers = app
            .get(
                &hedemora.planner,
                &format!("/events/{event}/planning-answers"),
            )
            .expect(200)
            .body;
        assert_eq!(
            answers["items"].as_array().map(|items| items.len() as u64),
            answers["total"].as_u64()
        );
        (
            answers["answered"].as_u64().unwrap(),
            answers["total"].as_u64().unwrap(),
        )
    };
    let event = hedemora.draft(&hedemora.town_hall).id();
    // own premises, an undecided place, no place and one off the ladder ask for no reason: that question is settled
    assert_eq!(counts(&event), (1, 14));
    for place in ["undecided", "digital", &hedemora.castle] {
        hedemora.hold_at(&event, &[place]).expect(200);
        assert_eq!(counts(&event), (1, 14), "{place}");
    }
    hedemora.hold_at(&event, &[&hedemora.hotel]).expect(200);
    assert_eq!(counts(&event), (0, 14));
    hedemora
        .answer(&event, "venueChoice", &venue_reason())
        .expect(201);
    assert_eq!(counts(&event), (1, 14));

    // an attestation answered no is settled by its reason
    let no = json!({"attested": false});
    hedemora.answer(&event, "practice", &no).expect(201);
    assert_eq!(
        hedemora.finding(&event, "question.practice"),
        "reasonNeeded"
    );
    assert_eq!(counts(&event), (1, 14));
    let reasoned = json!({"attested": false, "reason": {"text": "Det blir en föreläsning."}});
    hedemora.answer(&event, "practice", &reasoned).expect(200);
    assert_eq!(hedemora.finding(&event, "question.practice"), "met");
    assert_eq!(counts(&event), (2, 14));
    hedemora
        .answer(
            &event,
            "practice",
            &json!({"notApplicable": {"reason": "Nej."}}),
        )
        .expect(200);
    assert_eq!(
        hedemora.finding(&event, "question.practice"),
        "notApplicable"
    );
    hedemora.answer(&event, "practice", &no).expect(200);
    assert_eq!(counts(&event), (1, 14));
    hedemora.plan_follow_up(&event);
    assert_eq!(counts(&event), (2, 14));

    // a version whose ladder asks for no reason, with a mandatory question and one of the care department's own
    version(app, |version| {
        let questions = version["questions"].as_array_mut().unwrap();
        questions.retain(|question| {
            ["purpose", "practice", "followUp"]
                .iter()
                .any(|id| question["id"] == *id)
        });
        questions[1]["weight"] = json!("mandatory");
        let mut own = questions[0].clone();
        own["id"] = json!("dignity");
        own["unitId"] = json!(hedemora.care);
        questions.push(own);
        version["ladder"]
            .as_array_mut()
            .unwrap()
            .retain(|rung| rung["requires"] != "reason");
    });
    let event = hedemora.draft(&hedemora.hotel).id();
    assert_eq!(
        ladder(&hedemora, &event),
        ("exceptionNeeded".to_owned(), None)
    );
    assert_eq!(counts(&event), (0, 3));
    hedemora
        .answer(&event, "venueChoice", &venue_reason())
        .expect_problem(404, "not-found");
    hedemora
        .answer(&event, "dignity", &json!({"text": "Ja."}))
        .expect_problem(404, "not-found");
    // answered, though only an exception opens the way
    hedemora.answer(&event, "practice", &no).expect(201);
    assert_eq!(
        hedemora.finding(&event, "question.practice"),
        "exceptionNeeded"
    );
    assert_eq!(counts(&event), (1, 3));
    hedemora
        .answer(&event, "practice", &json!({"attested": true}))
        .expect(200);
    assert_eq!(hedemora.finding(&event, "question.practice"), "met");
    hedemora
        .answer(&event, "purpose", &json!({"text": "Ja."}))
        .expect(201);
    hedemora.plan_follow_up(&event);
    assert_eq!(counts(&event), (3, 3));
    // with an organiser below the unit of a unit's own question, it is asked
    let both = json!({"organisingUnitIds": [hedemora.education, hedemora.care]});
    app.patch(&hedemora.planner, &format!("/events/{event}"), &both)
        .expect(200);
    assert_eq!(counts(&event), (3, 4));
    hedemora
        .answer(&event, "dignity", &json!({"text": "Ja."}))
        .expect(201);
    assert_eq!(counts(&event), (4, 4));
}

#[test]
fn confirmable_is_true_exactly_when_confirming_would_succeed() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    let event = hedemora.ready();
    let confirmable = || {
        let compliance = app
            .get(&hedemora.planner, &format!("/events/{event}/compliance"))
            .expect(200)
            .body;
        assert!(compliance.get("asOf").is_none());
        compliance["confirmable"] == true
    };
    let confirm = || app.change_status(&hedemora.planner, &event, &json!({"status": "confirmed"}));
    let rules = |reply: &Reply| -> Vec<String> {
        let errors = reply.body["errors"].as_array().unwrap();
        errors
            .iter()
            .map(|error| error["code"].as_str().unwrap().to_owned())
            .collect()
    };
    for (place, lacks) in [
        (hedemora.hotel.as_str(), "venueLadder"),
        ("undecided", "venueLadder"),
        (&hedemora.castle, "venueLadder"),
    ] {
        hedemora.hold_at(&event, &[place]).expect(200);
        assert!(!confirmable());
        assert_eq!(
            rules(&confirm().expect_problem(409, "not-compliant")),
            [lacks]
        );
    }
    hedemora.hold_at(&event, &["digital"]).expect(200);
    hedemora
        .answer(&event, "practice", &json!({"attested": false}))
        .expect(200);
    assert!(!confirmable());
    assert_eq!(
        rules(&confirm().expect_problem(409, "not-compliant")),
        ["question.practice"]
    );
    hedemora
        .answer(&event, "practice", &json!({"attested": true}))
        .expect(200);
    // the moment of the first start is too late
    app.it_is("2026-10-05T06:30:00Z");
    assert!(!confirmable());
    confirm().expect_problem(409, "too-late");
    app.it_is("2026-10-05T06:29:59Z");
    assert!(confirmable());
    confirm().expect(200);
    // confirmed already
    assert!(!confirmable());
    confirm().expect_problem(409, "status-change-not-allowed");
}
