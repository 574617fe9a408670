//! Exceptions, decided by the right office: sections 4 and 5 of the domain, sentence by sentence.

use crate::app::{Caller, Reply};
use crate::given::Hedemora;
use kompetens::rules::access::Role;
use serde_json::{Value, json};

/// The group with its offices: a director, two heads, a CEO.
pub struct Offices {
    pub hedemora: Hedemora,
    pub director: Caller,
    pub education_head: Caller,
    pub care_head: Caller,
    pub ceo: Caller,
}

impl Offices {
    pub fn new() -> Offices {
        let hedemora = Hedemora::new();
        for (person, unit) in [
            ("person-director", &hedemora.municipality),
            ("person-ceo", &hedemora.energy),
            ("person-stand-in", &hedemora.education),
        ] {
            let body = json!({"personRef": person, "displayName": person, "unitId": unit, "validFrom": "2020-01-01"});
            hedemora
                .app
                .post(&hedemora.hr, "/people", &body)
                .expect(201);
        }
        let offices = Offices {
            director: hedemora.app.employee("person-director"),
            education_head: hedemora.app.employee("person-head"),
            care_head: hedemora.app.employee("person-other"),
            ceo: hedemora.app.employee("person-ceo"),
            hedemora,
        };
        offices.appoint(
            "municipalDirector",
            &offices.hedemora.municipality,
            "person-director",
            json!({}),
        );
        offices.appoint(
            "departmentHead",
            &offices.hedemora.education,
            "person-head",
            json!({}),
        );
        offices.appoint(
            "departmentHead",
            &offices.hedemora.care,
            "person-other",
            json!({}),
        );
        offices.appoint(
            "chiefExecutive",
            &offices.hedemora.energy,
            "person-ceo",
            json!({}),
        );
        offices
    }

    pub fn appoint(&self, office: &str, unit: &str, person: &str, more: Value) -> Reply {
        let mut body = json!({"officeType": office, "unitId": unit, "personRef": person, "capacity": "ordinary", "validFrom": "2020-01-01"});
        for (name, value) in more.as_object().expect("an object") {
            body[name] = value.clone();
        }
        self.hedemora
            .app
            .post(&self.hedemora.hr, "/office-appointments", &body)
            .expect(201)
    }

    /// A day in the castle, which no contract covers, organised by these units and answered for by the planner.
    pub fn off_the_ladder(&self, units: &[&str]) -> String {
        let mut event = self.hedemora.planning_day(&self.hedemora.castle);
        event["organisingUnitIds"] = json!(units);
        self.hedemora
            .app
            .post(&self.hedemora.hr, "/events", &event)
            .expect(201)
            .id()
    }

    pub fn ask_as(&self, caller: &Caller, event: &str, addressee: &str) -> Reply {
        self.hedemora.app.post(
            caller,
            &format!("/events/{event}/exception-requests"),
            &request(addressee),
        )
    }

    /// HR asks, so that every head may decide.
    pub fn ask(&self, event: &str, addressee: &str) -> Reply {
        self.ask_as(&self.hedemora.hr, event, addressee).expect(201)
    }

    pub fn decide(&self, caller: &Caller, request: &str, outcome: &str) -> Reply {
        let body =
            json!({"outcome": outcome, "reasons": "Det finns skäl.", "noConflictOfInterest": true});
        self.hedemora.app.post(
            caller,
            &format!("/exception-requests/{request}/decisions"),
            &body,
        )
    }

    pub fn act(&self, caller: &Caller, request: &str, action: &str, body: Option<&Value>) -> Reply {
        let path = format!("/exception-requests/{request}");
        let etag = self
            .read(request)
            .header("ETag")
            .expect("an ETag")
            .to_owned();
        let body = body.map(Value::to_string);
        self.hedemora.app.send(
            caller,
            "POST",
            &format!("{path}/{action}"),
            &[("If-Match", &etag)],
            body.as_deref(),
        )
    }

    pub fn read(&self, request: &str) -> Reply {
        self.hedemora
            .app
            .get(&self.hedemora.hr, &format!("/exception-requests/{request}"))
            .expect(200)
    }

    pub fn status(&self, request: &str) -> Value {
        self.read(request).body["status"].clone()
    }

    pub fn ladder(&self, event: &str) -> String {
        let compliance = self
            .hedemora
            .app
            .get(&self.hedemora.hr, &format!("/events/{event}/compliance"))
            .expect(200)
            .body;
        let item = compliance["items"]
            .as_array()
            .expect("items")
            .iter()
            .find(|item| item["ruleId"] == "venueLadder");
        item.expect("the ladder")["finding"]
            .as_str()
            .expect("a finding")
            .to_owned()
    }

    pub fn move_to(&self, event: &str, venue: &str) {
        let path = format!("/events/{event}");
        let mut occasion = self
            .hedemora
            .app
            .get(&self.hedemora.hr, &path)
            .expect(200)
            .body["occasions"][0]
            .clone();
        occasion["venueId"] = json!(venue);
        self.hedemora
            .app
            .patch(&self.hedemora.hr, &path, &json!({"occasions": [occasion]}))
            .expect(200);
    }
}

fn request(addressee: &str) -> Value {
    json!({
        "ruleIds": ["venueLadder"],
        "reason": "Vi behöver plats för 200.",
        "alternativesConsidered": "Inga egna lokaler räcker.",
        "addressee": addressee,
        "decisionNeededBy": "2026-10-01",
    })
}

#[test]
fn the_own_head_approves_an_off_ladder_venue_and_the_event_can_be_confirmed() {
    let offices = Offices::new();
    let hedemora = &offices.hedemora;
    let event = hedemora.draft(&hedemora.castle).id();
    hedemora.answer_everything(&event);
    hedemora.plan_follow_up(&event);
    hedemora
        .app
        .change_status(&hedemora.planner, &event, &json!({"status": "confirmed"}))
        .expect_problem(409, "not-compliant");

    // the planner answers for the event, so HR asks for it
    let asked = offices.ask(&event, "departmentHead");
    assert_eq!(
        asked.header("Location"),
        Some(format!("/kompetens/v1/exception-requests/{}", asked.id()).as_str())
    );
    assert_eq!(
        asked.body["requiredApprovals"],
        json!([{"office": "departmentHead", "unitId": hedemora.education}])
    );
    assert_eq!(asked.body["directorMayDecide"], true);
    assert_eq!(
        (&asked.body["decidedElsewhere"], &asked.body["stale"]),
        (&json!(false), &json!(false))
    );

    let decision = offices
        .decide(&offices.education_head, &asked.id(), "approved")
        .expect(201)
        .body;
    assert_eq!(decision["office"], "departmentHead");
    assert_eq!(decision["personRef"], "person-head");
    assert_eq!(decision["capacity"], "ordinary");
    assert_eq!(decision["basis"], "execution");
    assert_eq!(offices.status(&asked.id()), "approved");
    assert_eq!(offices.ladder(&event), "coveredByException");
    let confirmed = hedemora
        .app
        .change_status(&hedemora.planner, &event, &json!({"status": "confirmed"}))
        .expect(200);
    assert_eq!(confirmed.body["openFindings"], json!([]));

    // revoked, the confirmed event stays confirmed and says what is missing again
    offices
        .act(&offices.care_head, &asked.id(), "revocation", None)
        .expect(403);
    assert_eq!(
        offices
            .act(&offices.education_head, &asked.id(), "revocation", None)
            .expect(200)
            .body["status"],
        "revoked"
    );
    let event = hedemora
        .app
        .get(&hedemora.planner, &format!("/events/{event}"))
        .expect(200)
        .body;
    assert_eq!(
        (&event["status"], &event["openFindings"]),
        (&json!("confirmed"), &json!(["venueLadder"]))
    );
}

#[test]
fn another_departments_head_cannot_and_is_told_who_could() {
    let offices = Offices::new();
    let education = offices.hedemora.education.clone();
    let asked = offices
        .ask(&offices.off_the_ladder(&[&education]), "departmentHead")
        .id();
    // the care head may not even read a draft of the education department's
    offices
        .decide(&offices.care_head, &asked, "approved")
        .expect_problem(404, "not-found");
    // a manager of the department reads it and holds no office
    let manager = offices
        .hedemora
        .app
        .person("person-other", &[Role::UnitManager], &[&education]);
    // nor does an administrator; each is told whose it is
    let administrator = (offices.hedemora.app).person("person-hr-2", &[Role::HrAdministrator], &[]);
    for caller in [&manager, &administrator] {
        let refused = offices
            .decide(caller, &asked, "approved")
            .expect_problem(403, "wrong-office");
        let could: Vec<&Value> = refused.body["errors"]
            .as_array()
            .expect("errors")
            .iter()
            .map(|error| &error["code"])
            .collect();
        assert_eq!(could, ["municipalDirector", "departmentHead"]);
    }
    // an administrator never decides, even where they hold the office
    let head = (offices.hedemora.app).person("person-head", &[Role::HrAdministrator], &[]);
    offices
        .decide(&head, &asked, "approved")
        .expect_problem(403, "forbidden");
    assert_eq!(offices.status(&asked), "submitted");
}

#[test]
fn a_department_and_a_company_together_need_both_and_the_director_alone_suffices() {
    let offices = Offices::new();
    let units = [
        offices.hedemora.education.clone(),
        offices.hedemora.energy.clone(),
    ];
    let event = offices.off_the_ladder(&[&units[0], &units[1]]);
    let asked = offices.ask(&event, "chiefExecutive").id();
    offices
        .decide(&offices.education_head, &asked, "approved")
        .expect(201);
    assert_eq!(offices.status(&asked), "submitted");
    assert_eq!(
        offices.ladder(&event),
        "exceptionNeeded",
        "one of two is not enough"
    );
    // one office decides once (I7)
    let again = offices
        .decide(&offices.education_head, &asked, "rejected")
        .expect_problem(409, "already-decided");
    assert!(
        again.body["errors"][0]["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("person-head")),
        "{}",
        again.text
    );
    let decision = offices
        .decide(&offices.ceo, &asked, "approved")
        .expect(201)
        .body;
    assert_eq!(decision["basis"], "companyManagement");
    assert_eq!(offices.status(&asked), "approved");
    assert_eq!(offices.ladder(&event), "coveredByException");

    let event = offices.off_the_ladder(&[&units[0], &units[1]]);
    let asked = offices.ask(&event, "departmentHead").id();
    offices
        .decide(&offices.director, &asked, "approved")
        .expect(201);
    assert_eq!(
        offices.status(&asked),
        "approved",
        "the director alone suffices"
    );
    offices
        .decide(&offices.ceo, &asked, "approved")
        .expect_problem(409, "already-decided");

    let event = offices.off_the_ladder(&[&units[0], &units[1]]);
    let asked = offices.ask(&event, "departmentHead").id();
    offices.decide(&offices.ceo, &asked, "rejected").expect(201);
    assert_eq!(
        offices.status(&asked),
        "rejected",
        "any required head rejects"
    );
    let mut next = request("departmentHead");
    next["previousRequestId"] = json!(asked);
    let next = offices
        .hedemora
        .app
        .post(
            &offices.hedemora.hr,
            &format!("/events/{event}/exception-requests"),
            &next,
        )
        .expect(201);
    assert_eq!(next.body["previousRequestId"], json!(asked));
}

#[test]
fn the_heads_own_request_goes_to_the_director_and_no_stand_in_decides_it() {
    let offices = Offices::new();
    let education = offices.hedemora.education.clone();
    offices.appoint(
        "departmentHead",
        &education,
        "person-stand-in",
        json!({"capacity": "acting"}),
    );
    let stand_in = offices.hedemora.app.employee("person-stand-in");
    let event = offices.off_the_ladder(&[&education]);
    let asked = offices
        .ask_as(&offices.education_head, &event, "departmentHead")
        .expect(201);
    assert_eq!(
        asked.body["requiredApprovals"][0]["office"],
        "municipalDirector"
    );
    offices
        .decide(&stand_in, &asked.id(), "approved")
        .expect_problem(403, "wrong-office");
    offices
        .decide(&offices.education_head, &asked.id(), "approved")
        .expect_problem(403, "own-request");
    offices
        .decide(&offices.director, &asked.id(), "approved")
        .expect(201);

    // somebody else's request of the same department is the stand-in's to decide, as acting (tf)
    let asked = offices
        .ask(&offices.off_the_ladder(&[&education]), "departmentHead")
        .id();
    assert_eq!(
        offices
            .decide(&stand_in, &asked, "approved")
            .expect(201)
            .body["capacity"],
        "acting"
    );
}

#[test]
fn an_appointment_that_ended_yesterday_does_not_count() {
    let offices = Offices::new();
    let education = offices.hedemora.education.clone();
    for (until, expected) in [("2026-09-01", 404), ("2026-09-02", 201)] {
        // today is 2026-09-01, and an appointment ends with the day before validTo
        let person = format!("person-until-{until}");
        let body = json!({"personRef": person, "displayName": "Vikarie", "unitId": education, "validFrom": "2020-01-01"});
        offices
            .hedemora
            .app
            .post(&offices.hedemora.hr, "/people", &body)
            .expect(201);
        offices.appoint(
            "departmentHead",
            &education,
            &person,
            json!({"capacity": "actingShortAbsence", "validTo": until}),
        );
        let asked = offices
            .ask(&offices.off_the_ladder(&[&education]), "departmentHead")
            .id();
        offices
            .decide(&offices.hedemora.app.employee(&person), &asked, "approved")
            .expect(expected);
    }
}

#[test]
fn a_changed_venue_makes_the_approval_stale_and_changing_it_back_ends_that() {
    let offices = Offices::new();
    let hedemora = &offices.hedemora;
    let other_castle = {
        let body = json!({"name": "Det andra slottet", "municipalityCode": "2083", "validFrom": "2020-01-01"});
        hedemora
            .app
            .post(&hedemora.hr, "/venues", &body)
            .expect(201)
            .id()
    };
    let event = offices.off_the_ladder(&[&hedemora.education]);
    let asked = offices.ask(&event, "departmentHead").id();
    offices.move_to(&event, &other_castle);
    let refused = offices
        .decide(&offices.education_head, &asked, "approved")
        .expect_problem(409, "event-changed");
    assert_eq!(refused.body["errors"][0]["code"], "venue");
    offices.move_to(&event, &hedemora.castle);
    offices
        .decide(&offices.education_head, &asked, "approved")
        .expect(201);
    assert_eq!(offices.ladder(&event), "coveredByException");

    offices.move_to(&event, &other_castle);
    assert_eq!(offices.read(&asked).body["stale"], true);
    assert_eq!(
        offices.ladder(&event),
        "exceptionNeeded",
        "a stale approval covers nothing"
    );
    let stale = hedemora
        .app
        .get(&hedemora.hr, "/exception-requests?stale=true")
        .expect(200)
        .body;
    assert_eq!(stale["items"].as_array().map(Vec::len), Some(1));
    offices.move_to(&event, &hedemora.castle);
    assert_eq!(offices.read(&asked).body["stale"], false);
    assert_eq!(offices.ladder(&event), "coveredByException");
}

#[test]
fn a_request_says_what_it_is_about_and_one_that_went_stale_makes_room_for_a_new_one() {
    let offices = Offices::new();
    let hedemora = &offices.hedemora;
    let event = offices.off_the_ladder(&[&hedemora.education]);
    let asked = offices.ask(&event, "departmentHead");
    assert_eq!(
        asked.body["snapshot"],
        json!({
            "occasions": [{"startsAt": "2026-10-05T06:30:00Z", "endsAt": "2026-10-05T14:30:00Z", "venueId": hedemora.castle}],
            "organisers": [hedemora.education],
        })
    );
    assert_eq!(asked.body["eventTitle"], "Planeringsdag");
    // while it is about the event as it is, it stands in the way
    let again = || offices.ask_as(&hedemora.planner, &event, "departmentHead");
    again().expect_problem(409, "request-open");
    let later = json!({"occasions": [{"startsAt": "2026-10-06T08:30:00+02:00", "endsAt": "2026-10-06T16:30:00+02:00",
        "place": "venue", "venueId": hedemora.castle}]});
    hedemora
        .app
        .patch(&hedemora.hr, &format!("/events/{event}"), &later)
        .expect(200);
    let second = again().expect(201).id();
    assert_eq!(offices.status(&asked.id()), "withdrawn");
    offices
        .decide(&offices.education_head, &second, "approved")
        .expect(201);
    assert_eq!(offices.ladder(&event), "coveredByException");
}

#[test]
fn what_was_decided_shows_its_decisions_and_asks_nobody_any_more() {
    let offices = Offices::new();
    let hedemora = &offices.hedemora;
    let event = offices.off_the_ladder(&[&hedemora.education]);
    let asked = offices.ask(&event, "departmentHead").id();
    offices
        .decide(&offices.education_head, &asked, "approved")
        .expect(201);
    // the one who decided becomes responsible: today another would have to decide
    let responsible = json!({"responsiblePerson": "person-head"});
    hedemora
        .app
        .patch(&hedemora.hr, &format!("/events/{event}"), &responsible)
        .expect(200);
    let read = offices.read(&asked).body;
    let approvals = read["requiredApprovals"].as_array().expect("approvals");
    assert_eq!(approvals.len(), 1, "{read}");
    assert_eq!(approvals[0]["decision"]["personRef"], "person-head");
    assert_eq!(
        (
            &read["status"],
            &read["directorMayDecide"],
            &read["decidedElsewhere"]
        ),
        (&json!("approved"), &json!(false), &json!(false))
    );
    // what is over is over, whoever would have decided it
    let by_the_director = offices.off_the_ladder(&[&hedemora.education]);
    let own = offices
        .ask_as(&offices.director, &by_the_director, "municipalDirector")
        .expect(201)
        .id();
    offices
        .act(&offices.director, &own, "withdrawal", None)
        .expect(200);
    offices
        .decide(&offices.education_head, &own, "approved")
        .expect_problem(409, "request-not-open");
}

#[test]
fn an_appointment_does_not_move_off_the_decisions_that_were_taken_by_it() {
    let offices = Offices::new();
    let hedemora = &offices.hedemora;
    let event = offices.off_the_ladder(&[&hedemora.education]);
    let asked = offices.ask(&event, "departmentHead").id();
    let decision = offices
        .decide(&offices.education_head, &asked, "approved")
        .expect(201);
    let appointment = decision.body["officeAppointmentId"]
        .as_str()
        .expect("an id");
    let path = format!("/office-appointments/{appointment}");
    for days in [
        json!({"validFrom": "2026-09-02"}),
        json!({"validTo": "2026-08-31"}),
    ] {
        hedemora
            .app
            .patch(&hedemora.hr, &path, &days)
            .expect_problem(409, "still-in-use");
    }
    // an office can be taken away at once
    hedemora
        .app
        .patch(&hedemora.hr, &path, &json!({"validTo": "2026-09-01"}))
        .expect(200);
}

#[test]
fn nothing_is_decided_or_revoked_at_or_after_the_first_start() {
    let offices = Offices::new();
    let education = offices.hedemora.education.clone();
    let (one, two) = (
        offices.off_the_ladder(&[&education]),
        offices.off_the_ladder(&[&education]),
    );
    let (one, two) = (
        offices.ask(&one, "departmentHead").id(),
        offices.ask(&two, "departmentHead").id(),
    );
    offices.hedemora.app.it_is("2026-10-05T06:29:59Z");
    offices
        .decide(&offices.education_head, &one, "approved")
        .expect(201);
    offices.hedemora.app.it_is("2026-10-05T06:30:00Z");
    offices
        .decide(&offices.education_head, &two, "approved")
        .expect_problem(409, "too-late");
    offices
        .act(&offices.education_head, &one, "revocation", None)
        .expect_problem(409, "too-late");
    assert_eq!(offices.status(&two), "lapsed");
    offices
        .act(&offices.hedemora.hr, &two, "withdrawal", None)
        .expect_problem(409, "request-not-open");
    let lapsed = offices
        .hedemora
        .app
        .get(&offices.hedemora.hr, "/exception-requests?status=lapsed")
        .expect(200)
        .body;
    assert_eq!(lapsed["items"][0]["id"], json!(two));
    let submitted = offices
        .hedemora
        .app
        .get(&offices.hedemora.hr, "/exception-requests?status=submitted")
        .expect(200)
        .body;
    assert_eq!(submitted["items"], json!([]));
}

#[test]
fn what_lapsed_makes_room_for_a_new_request_when_the_event_is_moved_ahead() {
    let offices = Offices::new();
    let event = offices.off_the_ladder(&[&offices.hedemora.education]);
    let lapsed = offices.ask(&event, "departmentHead").id();
    offices
        .ask_as(&offices.hedemora.hr, &event, "departmentHead")
        .expect_problem(409, "request-open");
    offices.hedemora.app.it_is("2026-10-06T06:30:00Z");
    let moved = json!({"occasions": [{
        "startsAt": "2026-11-05T08:30:00+01:00", "endsAt": "2026-11-05T16:30:00+01:00", "place": "venue", "venueId": offices.hedemora.castle,
    }]});
    offices
        .hedemora
        .app
        .patch(&offices.hedemora.hr, &format!("/events/{event}"), &moved)
        .expect(200);
    offices.ask(&event, "departmentHead");
    assert_eq!(
        offices.hedemora.app.count(&format!(
            "select count(*) from exception_requests where id = '{lapsed}' and status = 'lapsed'"
        )),
        1
    );
}

#[test]
fn the_directors_own_request_is_recorded_not_decided() {
    let offices = Offices::new();
    let event = offices.off_the_ladder(&[&offices.hedemora.education]);
    let asked = offices
        .ask_as(&offices.director, &event, "municipalDirector")
        .expect(201);
    assert_eq!(asked.body["decidedElsewhere"], true);
    assert_eq!(asked.body["requiredApprovals"], json!([]));
    offices
        .decide(&offices.director, &asked.id(), "approved")
        .expect_problem(403, "own-request");
    offices
        .decide(&offices.education_head, &asked.id(), "approved")
        .expect_problem(409, "decided-elsewhere");
    let record = json!({
        "decidedBy": "Kommunstyrelsens ordförande", "capacity": "Ordförande", "decidedAt": "2026-09-01T08:00:01Z",
        "outcome": "approved", "reasons": "Egna lokaler räcker inte.", "documentReference": "KS 2026/1-2",
    });
    offices
        .act(
            &offices.hedemora.hr,
            &asked.id(),
            "recorded-decision",
            Some(&record),
        )
        .expect_problem(422, "decided-out-of-time");
    offices.hedemora.app.it_is("2026-09-02T08:00:00Z");
    let record = {
        let mut later = record;
        later["decidedAt"] = json!("2026-09-02T07:00:00Z");
        later
    };
    offices
        .act(
            &offices.director,
            &asked.id(),
            "recorded-decision",
            Some(&record),
        )
        .expect_problem(403, "forbidden");
    let recorded = offices
        .act(
            &offices.hedemora.hr,
            &asked.id(),
            "recorded-decision",
            Some(&record),
        )
        .expect(200);
    assert_eq!(recorded.body["status"], "approved");
    assert_eq!(recorded.body["recordedDecision"]["recordedBy"], "person-hr");
    assert_eq!(offices.ladder(&event), "coveredByException");

    // what offices in the service decide is not recorded
    let other = offices
        .ask(
            &offices.off_the_ladder(&[&offices.hedemora.care]),
            "departmentHead",
        )
        .id();
    let involved = offices.act(
        &offices.hedemora.hr,
        &other,
        "recorded-decision",
        Some(&record),
    );
    involved.expect_problem(403, "own-request");
}

#[test]
fn a_person_with_two_offices_names_the_appointment() {
    let offices = Offices::new();
    let (education, care) = (
        offices.hedemora.education.clone(),
        offices.hedemora.care.clone(),
    );
    let second = offices
        .appoint(
            "departmentHead",
            &care,
            "person-head",
            json!({"capacity": "acting"}),
        )
        .id();
    let asked = offices
        .ask(
            &offices.off_the_ladder(&[&education, &care]),
            "departmentHead",
        )
        .id();
    let refused = offices
        .decide(&offices.education_head, &asked, "approved")
        .expect_problem(422, "several-offices");
    assert_eq!(refused.faults(), ["/officeAppointmentId"]);
    let body = json!({"officeAppointmentId": second, "outcome": "approved", "reasons": "Ja.", "noConflictOfInterest": true});
    let decision = offices
        .hedemora
        .app
        .post(
            &offices.education_head,
            &format!("/exception-requests/{asked}/decisions"),
            &body,
        )
        .expect(201);
    assert_eq!(
        (&decision.body["unitId"], &decision.body["capacity"]),
        (&json!(care), &json!("acting"))
    );
    let path = decision
        .header("Location")
        .expect("a Location")
        .replace("/kompetens/v1", "");
    assert_eq!(
        offices
            .hedemora
            .app
            .get(&offices.education_head, &path)
            .expect(200)
            .body,
        decision.body
    );
}

#[test]
fn only_open_findings_are_asked_for_and_in_time() {
    let offices = Offices::new();
    let hedemora = &offices.hedemora;
    let event = hedemora.draft(&hedemora.town_hall).id();
    let path = format!("/events/{event}/exception-requests");
    let ask = |change: Value| {
        let mut body = request("departmentHead");
        for (name, value) in change.as_object().expect("an object") {
            body[name] = value.clone();
        }
        hedemora.app.post(&hedemora.hr, &path, &body)
    };
    ask(json!({})).expect_problem(422, "no-exception-needed");
    ask(json!({"ruleIds": ["question.nope"]})).expect_problem(422, "unknown-rule");
    ask(json!({"ruleIds": ["question.purpose", "question.purpose"]}))
        .expect_problem(422, "invalid-body");
    ask(json!({"ruleIds": ["question.purpose"], "decisionNeededBy": "2026-10-06"}))
        .expect_problem(422, "needed-too-late");
    ask(json!({"ruleIds": ["question.purpose"], "addressee": "chiefExecutive"}))
        .expect_problem(422, "addressee-not-concerned");
    ask(json!({"ruleIds": ["question.purpose"], "previousRequestId": event}))
        .expect_problem(422, "unknown-exception-request");
    let asked = ask(json!({"ruleIds": ["question.purpose", "question.followUp"]}))
        .expect(201)
        .id();
    let body = json!({"outcome": "approved", "reasons": "Ja.", "noConflictOfInterest": false});
    hedemora
        .app
        .post(
            &offices.education_head,
            &format!("/exception-requests/{asked}/decisions"),
            &body,
        )
        .expect_problem(422, "conflict-of-interest");
    offices
        .decide(&offices.education_head, &asked, "approved")
        .expect(201);
    assert_eq!(
        hedemora.finding(&event, "question.purpose"),
        "coveredByException"
    );
    assert_eq!(
        hedemora.finding(&event, "question.followUp"),
        "coveredByException"
    );
    // confirmed without a follow-up, by exception (I9)
    hedemora.answer_everything(&event);
    hedemora
        .app
        .change_status(&hedemora.planner, &event, &json!({"status": "confirmed"}))
        .expect(200);
}

#[test]
fn the_requester_withdraws_and_cancelling_the_event_withdraws_what_is_open() {
    let offices = Offices::new();
    let hedemora = &offices.hedemora;
    let event = offices.off_the_ladder(&[&hedemora.education]);
    let asked = offices.ask(&event, "departmentHead").id();
    offices
        .act(&hedemora.planner, &asked, "withdrawal", None)
        .expect_problem(403, "forbidden");
    assert_eq!(
        offices
            .act(&hedemora.hr, &asked, "withdrawal", None)
            .expect(200)
            .body["status"],
        "withdrawn"
    );
    offices
        .decide(&offices.education_head, &asked, "approved")
        .expect_problem(409, "request-not-open");
    let asked = offices.ask(&event, "departmentHead").id();
    let requests = hedemora
        .app
        .get(
            &offices.education_head,
            "/exception-requests?awaitingMyDecision=true",
        )
        .expect(200)
        .body;
    assert_eq!(requests["items"][0]["id"], json!(asked));
    let none = hedemora
        .app
        .get(
            &offices.care_head,
            "/exception-requests?awaitingMyDecision=true",
        )
        .expect(200)
        .body;
    assert_eq!(none["items"], json!([]));
    hedemora
        .app
        .change_status(
            &hedemora.hr,
            &event,
            &json!({"status": "cancelled", "reason": "Inställt."}),
        )
        .expect(200);
    assert_eq!(offices.status(&asked), "withdrawn");
}
