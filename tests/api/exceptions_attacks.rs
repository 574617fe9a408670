//! Ways round the authority to decide, tried through HTTP by those who would like one.

use crate::app::{Caller, Reply};
use crate::exceptions::Offices;
use kompetens::rules::access::Role;
use serde_json::{Value, json};

impl Offices {
    fn person(&self, person: &str) -> Caller {
        let body = json!({"personRef": person, "displayName": "Vikarie", "unitId": self.hedemora.education, "validFrom": "2020-01-01"});
        self.hedemora
            .app
            .post(&self.hedemora.hr, "/people", &body)
            .expect(201);
        self.hedemora.app.employee(person)
    }

    /// The built-in version with other settings or another ladder, for events from now on.
    fn guideline(&self, change: impl Fn(&mut Value)) {
        let (app, hr) = (&self.hedemora.app, &self.hedemora.hr);
        let mut version = app.get(hr, "/guideline-versions").expect(200).body["items"][0].clone();
        for member in ["id", "revision", "createdAt"] {
            version.as_object_mut().expect("an object").remove(member);
        }
        change(&mut version);
        app.post(hr, "/guideline-versions", &version).expect(201);
    }

    fn edit(&self, event: &str, change: &Value) {
        let path = format!("/events/{event}");
        self.hedemora
            .app
            .patch(&self.hedemora.hr, &path, change)
            .expect(200);
    }
}

/// The offices that a refusal names.
fn could(refused: &Reply) -> Vec<&str> {
    let errors = refused.body["errors"].as_array().expect("errors");
    errors
        .iter()
        .filter_map(|error| error["code"].as_str())
        .collect()
}

#[test]
fn an_appointment_begins_and_ends_at_midnight_in_stockholm() {
    let offices = Offices::new();
    let education = offices.hedemora.education.clone();
    let stand_in = offices.person("person-for-a-day");
    offices.appoint(
        "departmentHead",
        &education,
        "person-for-a-day",
        json!({"capacity": "acting", "validFrom": "2026-09-15", "validTo": "2026-09-16"}),
    );
    for (now, expected) in [
        ("2026-09-14T21:59:59Z", 404),
        ("2026-09-14T22:00:00Z", 201),
        ("2026-09-15T21:59:59Z", 201),
        ("2026-09-15T22:00:00Z", 404),
    ] {
        let asked = offices
            .ask(&offices.off_the_ladder(&[&education]), "departmentHead")
            .id();
        offices.hedemora.app.it_is(now);
        let reply = offices.decide(&stand_in, &asked, "approved");
        assert_eq!(reply.status, expected, "{now}: {}", reply.text);
    }
}

#[test]
fn an_organiser_who_joins_after_the_request_decides_nothing_and_neither_does_who_was_asked() {
    let offices = Offices::new();
    let (education, care) = (&offices.hedemora.education, &offices.hedemora.care);
    let event = offices.off_the_ladder(&[education]);
    let asked = offices.ask(&event, "departmentHead").id();
    offices.edit(&event, &json!({"organisingUnitIds": [education, care]}));
    for head in [
        &offices.care_head,
        &offices.education_head,
        &offices.director,
    ] {
        let refused = offices
            .decide(head, &asked, "approved")
            .expect_problem(409, "event-changed");
        assert_eq!(could(&refused), ["organisers"]);
    }
    // an approval of one of them covers nothing once the other has joined, and is none of the other's to use
    offices.edit(&event, &json!({"organisingUnitIds": [education]}));
    offices
        .decide(&offices.education_head, &asked, "approved")
        .expect(201);
    offices.edit(&event, &json!({"organisingUnitIds": [education, care]}));
    assert_eq!(offices.ladder(&event), "exceptionNeeded");
    assert_eq!(
        offices
            .hedemora
            .app
            .get(&offices.hedemora.hr, &format!("/events/{event}"))
            .expect(200)
            .body["openFindings"]
            .as_array()
            .map(|open| open.contains(&json!("venueLadder"))),
        Some(true),
        "the event itself says so"
    );
}

#[test]
fn who_becomes_responsible_for_the_event_decides_no_more() {
    let offices = Offices::new();
    let event = offices.off_the_ladder(&[&offices.hedemora.education]);
    let asked = offices.ask(&event, "departmentHead").id();
    let stand_in = offices.person("person-acting");
    offices.appoint(
        "departmentHead",
        &offices.hedemora.education,
        "person-acting",
        json!({"capacity": "acting"}),
    );
    offices.edit(&event, &json!({"responsiblePerson": "person-head"}));
    offices
        .decide(&offices.education_head, &asked, "approved")
        .expect_problem(403, "own-request");
    let refused = offices
        .decide(&stand_in, &asked, "approved")
        .expect_problem(403, "wrong-office");
    assert_eq!(could(&refused), ["municipalDirector"]);
}

#[test]
fn a_director_who_is_also_the_head_and_responsible_decides_through_neither_office() {
    let offices = Offices::new();
    let education = offices.hedemora.education.clone();
    offices.appoint(
        "departmentHead",
        &education,
        "person-director",
        json!({"capacity": "acting"}),
    );
    let event = offices.off_the_ladder(&[&education]);
    offices.edit(&event, &json!({"responsiblePerson": "person-director"}));
    let asked = offices.ask(&event, "departmentHead");
    assert_eq!(asked.body["decidedElsewhere"], true);
    assert_eq!(asked.body["requiredApprovals"], json!([]));
    offices
        .decide(&offices.director, &asked.id(), "approved")
        .expect_problem(403, "own-request");
    offices
        .decide(&offices.education_head, &asked.id(), "approved")
        .expect_problem(409, "decided-elsewhere");
}

#[test]
fn no_token_makes_an_office_and_an_administrator_who_holds_one_does_not_decide() {
    let offices = Offices::new();
    let (app, education) = (&offices.hedemora.app, offices.hedemora.education.clone());
    let asked = offices
        .ask(&offices.off_the_ladder(&[&education]), "departmentHead")
        .id();
    let every_role_but_hr = [
        Role::Planner,
        Role::UnitManager,
        Role::Archivist,
        Role::Auditor,
    ];
    let everything = app.person("person-other", &every_role_but_hr, &[&education]);
    offices
        .decide(&everything, &asked, "approved")
        .expect_problem(403, "wrong-office");
    let head_and_hr = app.person("person-head", &[Role::HrAdministrator], &[]);
    offices
        .decide(&head_and_hr, &asked, "approved")
        .expect_problem(403, "forbidden");
    // nor do they appoint whom they like: only HR administrators appoint
    let appointment = json!({"officeType": "departmentHead", "unitId": education, "personRef": "person-other", "capacity": "acting", "validFrom": "2020-01-01"});
    app.post(&everything, "/office-appointments", &appointment)
        .expect_problem(403, "forbidden");
    app.post(
        &offices.education_head,
        "/office-appointments",
        &appointment,
    )
    .expect_problem(403, "forbidden");
    assert_eq!(offices.status(&asked), "submitted");
}

#[test]
fn a_key_that_decided_decides_nothing_for_another_nor_for_who_has_left_the_office() {
    let offices = Offices::new();
    let (app, education) = (&offices.hedemora.app, offices.hedemora.education.clone());
    let acting = offices.appoint(
        "departmentHead",
        &education,
        "person-stand-in",
        json!({"capacity": "acting"}),
    );
    let stand_in = app.employee("person-stand-in");
    let asked = offices
        .ask(&offices.off_the_ladder(&[&education]), "departmentHead")
        .id();
    let path = format!("/exception-requests/{asked}/decisions");
    let body =
        json!({"outcome": "approved", "reasons": "Ja.", "noConflictOfInterest": true}).to_string();
    let decide = |caller: &Caller| {
        app.send(
            caller,
            "POST",
            &path,
            &[("Idempotency-Key", "one")],
            Some(&body),
        )
    };
    let decided = decide(&stand_in).expect(201);
    assert_eq!(decide(&stand_in).expect(201).text, decided.text);
    decide(&offices.director).expect_problem(409, "already-decided");
    decide(&offices.hedemora.planner).expect_problem(403, "own-request");
    app.patch(
        &offices.hedemora.hr,
        &format!("/office-appointments/{}", acting.id()),
        &json!({"validTo": "2026-09-01"}),
    )
    .expect(200);
    decide(&stand_in).expect_problem(404, "not-found");
}

#[test]
fn a_unit_stays_under_the_department_whose_head_was_asked() {
    let offices = Offices::new();
    let (app, hr) = (&offices.hedemora.app, &offices.hedemora.hr);
    let preschool = &offices.hedemora.preschool;
    let asked = offices.ask(&offices.off_the_ladder(&[preschool]), "departmentHead");
    assert_eq!(
        asked.body["requiredApprovals"][0]["unitId"],
        json!(offices.hedemora.education)
    );
    let unit = format!("/units/{preschool}");
    app.patch(hr, &unit, &json!({"parentId": offices.hedemora.care}))
        .expect(422);
    // a move is an end and a successor, and what has a day ahead does not end before it
    app.patch(hr, &unit, &json!({"validTo": "2026-10-01"}))
        .expect_problem(409, "still-in-use");
}

#[test]
fn where_one_head_is_enough_one_is_and_where_the_director_is_not_the_ceos_he_is_not() {
    let offices = Offices::new();
    let (education, care, energy) = (
        &offices.hedemora.education,
        &offices.hedemora.care,
        &offices.hedemora.energy,
    );
    offices.guideline(|version| {
        version["settings"]["requireAllHeads"] = json!(false);
        version["settings"]["directorDecidesForCompanies"] = json!(false);
        version["settings"]["decisionBasis"]["departmentHead"] = json!("delegated");
    });
    let event = offices.off_the_ladder(&[education, care]);
    let asked = offices.ask(&event, "departmentHead").id();
    let decision = offices
        .decide(&offices.care_head, &asked, "approved")
        .expect(201);
    assert_eq!(decision.body["basis"], "delegated");
    assert_eq!(offices.status(&asked), "approved");

    let asked = offices
        .ask(&offices.off_the_ladder(&[energy]), "chiefExecutive")
        .expect(201);
    assert_eq!(asked.body["directorMayDecide"], false);
    let refused = offices
        .decide(&offices.director, &asked.id(), "approved")
        .expect_problem(403, "wrong-office");
    assert_eq!(could(&refused), ["chiefExecutive"]);
    offices
        .decide(&offices.ceo, &asked.id(), "approved")
        .expect(201);

    let own = offices
        .ask_as(
            &offices.ceo,
            &offices.off_the_ladder(&[energy]),
            "chiefExecutive",
        )
        .expect(201);
    assert_eq!(own.body["decidedElsewhere"], true);
    let record = json!({
        "decidedBy": "Styrelsen", "capacity": "Styrelse", "decidedAt": "2026-08-20T07:00:00Z",
        "outcome": "approved", "reasons": "Egna lokaler räcker inte.", "documentReference": "Protokoll 7",
    });
    // decided before it was asked for here, and recorded in time
    let hr = offices
        .hedemora
        .app
        .person("person-other", &[Role::HrAdministrator], &[]);
    offices
        .act(&hr, &own.id(), "recorded-decision", Some(&record))
        .expect(200);
    let again = offices
        .act(&hr, &own.id(), "recorded-decision", Some(&record))
        .expect_problem(409, "already-decided");
    assert!(again.text.contains("Protokoll 7"), "{}", again.text);
}

#[test]
fn a_place_that_the_ladder_does_not_list_needs_an_exception_and_gets_one() {
    let offices = Offices::new();
    offices.guideline(|version| {
        let ladder = version["ladder"].as_array_mut().expect("a ladder");
        ladder.retain(|rung| rung["place"] == "ownPremises");
    });
    let mut event = offices.hedemora.planning_day(&offices.hedemora.hotel);
    event["organisingUnitIds"] = json!([offices.hedemora.care]);
    let event = offices
        .hedemora
        .app
        .post(&offices.hedemora.hr, "/events", &event)
        .expect(201)
        .id();
    assert_eq!(offices.ladder(&event), "exceptionNeeded");
    let asked = offices.ask(&event, "departmentHead").id();
    offices
        .decide(&offices.care_head, &asked, "approved")
        .expect(201);
    assert_eq!(offices.ladder(&event), "coveredByException");
}

#[test]
fn about_a_confirmed_event_everyone_hears_which_offices_could_decide() {
    let offices = Offices::new();
    let hedemora = &offices.hedemora;
    let event = hedemora.confirmed();
    hedemora.hold_at(&event, &[&hedemora.castle]).expect(200);
    let asked = offices.ask(&event, "departmentHead").id();
    let refused = offices
        .decide(&offices.care_head, &asked, "approved")
        .expect_problem(403, "wrong-office");
    assert_eq!(could(&refused), ["municipalDirector", "departmentHead"]);
    assert!(refused.text.contains(&hedemora.education));
    // what they may not read stays closed
    hedemora
        .app
        .get(&offices.care_head, &format!("/exception-requests/{asked}"))
        .expect_problem(403, "forbidden");
    assert_eq!(offices.status(&asked), "submitted");
}

#[test]
fn many_requests_are_shown_and_awaited_as_each_alone() {
    let offices = Offices::new();
    let (education, care, energy) = (
        &offices.hedemora.education,
        &offices.hedemora.care,
        &offices.hedemora.energy,
    );
    let organisers = [
        vec![education.as_str()],
        vec![education, care],
        vec![care],
        vec![education, energy],
    ];
    let mut asked: Vec<String> = organisers
        .iter()
        .map(|units| {
            offices
                .ask(&offices.off_the_ladder(units), "municipalDirector")
                .id()
        })
        .collect();
    asked.extend(organisers.iter().map(|units| {
        let addressee = if units[0] == energy.as_str() {
            "chiefExecutive"
        } else {
            "departmentHead"
        };
        offices.ask(&offices.off_the_ladder(units), addressee).id()
    }));
    offices
        .decide(&offices.education_head, &asked[5], "approved")
        .expect(201);
    let list = |caller: &Caller, query: &str| {
        let path = format!("/exception-requests?limit=100{query}");
        let page = offices.hedemora.app.get(caller, &path).expect(200).body;
        page["items"].as_array().expect("items").clone()
    };
    let all = list(&offices.hedemora.hr, "");
    assert_eq!(all.len(), asked.len());
    for shown in &all {
        let id = shown["id"].as_str().expect("an id");
        assert_eq!(*shown, offices.read(id).body);
    }
    for (caller, mine) in [
        (&offices.director, (0..8).collect::<Vec<_>>()),
        (&offices.education_head, vec![4, 7]),
        (&offices.care_head, vec![5, 6]),
        (&offices.ceo, vec![7]),
    ] {
        let mut awaiting: Vec<usize> = list(caller, "&awaitingMyDecision=true")
            .iter()
            .filter_map(|shown| asked.iter().position(|id| shown["id"] == json!(id)))
            .collect();
        awaiting.sort_unstable();
        assert_eq!(awaiting, mine);
    }
}
