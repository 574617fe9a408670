//! The municipal group through HTTP: its units, people, offices, goals, venues and contracts.

use crate::app::{Caller, Reply, TestApp, owner_url};
use crate::given::Hedemora;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use kompetens::error::CONSTRAINTS;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Barrier;

const ABSENT: &str = "01990000-0000-7000-8000-000000000404";

/// One kind of resource of the organisation: how it is added, changed, and what of it never changes.
struct Resource {
    path: &'static str,
    /// Its name in the change log.
    name: &'static str,
    body: Value,
    change: Value,
    /// Properties that are set once, with another value that would be right for them.
    set_once: Value,
}

fn resources(hedemora: &Hedemora) -> [Resource; 6] {
    let Hedemora {
        municipality,
        education,
        care,
        ..
    } = hedemora;
    [
        Resource {
            path: "/units",
            name: "unit",
            body: json!({"name": "Kulturförvaltningen", "type": "department", "parentId": municipality, "organisationNumber": "212000-2254",
                "board": "Kulturnämnden", "successorOf": education, "validFrom": "2021-01-01"}),
            change: json!({"name": "Kultur- och fritidsförvaltningen", "board": null}),
            set_once: json!({"type": "company", "parentId": care}),
        },
        Resource {
            path: "/people",
            name: "person",
            body: json!({"personRef": "person-new", "displayName": "Rektor", "unitId": education, "validFrom": "2021-01-01"}),
            change: json!({"displayName": "Rektor, Vasaskolan", "unitId": care}),
            set_once: json!({"personRef": "person-newer"}),
        },
        Resource {
            path: "/office-appointments",
            name: "officeAppointment",
            body: json!({"officeType": "departmentHead", "unitId": education, "personRef": "person-head", "capacity": "ordinary", "validFrom": "2021-01-01"}),
            change: json!({"validFrom": "2022-01-01"}),
            set_once: json!({"officeType": "chiefExecutive", "unitId": care, "personRef": "person-other", "capacity": "acting"}),
        },
        Resource {
            path: "/business-goals",
            name: "businessGoal",
            body: json!({"unitId": education, "title": "Fler når gymnasiebehörighet", "validFrom": "2021-01-01"}),
            change: json!({"title": "Alla når gymnasiebehörighet"}),
            set_once: json!({}),
        },
        Resource {
            path: "/venues",
            name: "venue",
            body: json!({"name": "Biblioteket", "municipalityCode": "2083", "ownerUnitId": municipality, "validFrom": "2021-01-01"}),
            change: json!({"name": "Stadsbiblioteket", "ownerUnitId": null, "supplierId": "556000-0011"}),
            set_once: json!({}),
        },
        Resource {
            path: "/supplier-contracts",
            name: "supplierContract",
            body: json!({"supplierId": "556000-0013", "supplierName": "Värdshuset AB", "title": "Konferens", "registryNumber": "KS 2021/1", "validFrom": "2021-01-01"}),
            change: json!({"title": "Konferens och logi", "registryNumber": null}),
            set_once: json!({}),
        },
    ]
}

/// Sends a change under a request id of its own and with the ETag that stands.
fn patch_as(app: &TestApp, caller: &Caller, path: &str, body: &Value, request: &str) -> Reply {
    let etag = app.get(caller, path).expect(200).etag().to_owned();
    let headers = [("If-Match", etag.as_str()), ("X-Request-Id", request)];
    app.send(caller, "PATCH", path, &headers, Some(&body.to_string()))
}

fn quoted(value: &Value) -> String {
    format!("'{}'::jsonb", value.to_string().replace('\'', "''"))
}

/// The entries that a request left in the change log.
fn entries(app: &TestApp, request: &str) -> i64 {
    app.count(&format!(
        "select count(*) from changes where request_id = '{request}'"
    ))
}

#[test]
fn every_resource_is_added_read_changed_and_ended_and_each_change_leaves_exactly_one_entry() {
    let hedemora = Hedemora::new();
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    let employee = app.employee("person-other");
    for Resource {
        path,
        name,
        body,
        change,
        set_once,
    } in resources(&hedemora)
    {
        let request = |step: &str| format!("{name}-{step}");
        let added = app.send(
            hr,
            "POST",
            path,
            &[("X-Request-Id", &request("added"))],
            Some(&body.to_string()),
        );
        let added = added.expect(201);
        let location = format!("{path}/{}", added.id());
        assert_eq!(
            added.header("Location"),
            Some(format!("/kompetens/v1{location}").as_str())
        );
        for (property, value) in body.as_object().unwrap() {
            assert_eq!(added.body[property], *value, "{name}.{property}");
        }
        assert_eq!(
            (&added.body["revision"], &added.body["validTo"]),
            (&json!(1), &Value::Null)
        );

        let read = app.get(&employee, &location).expect(200);
        assert_eq!((&read.body, read.etag()), (&added.body, added.etag()));
        app.send(
            &employee,
            "GET",
            &location,
            &[("If-None-Match", read.etag())],
            None,
        )
        .expect(304);
        let one_entry = |request: &str, operation: &str, before: &Value, after: &Value| {
            let before = match before {
                Value::Null => "p.before is null".to_owned(),
                before => format!("p.before::jsonb = {}", quoted(before)),
            };
            let exactly = app.count(&format!(
                "select count(*) from changes c join change_payloads p using (entry_id) where c.request_id = '{request}' \
                 and c.actor = 'person-hr' and c.operation = '{operation}' and c.resource_type = '{name}' \
                 and c.resource_id = '{}' and c.revision = {} and c.event_id is null and {before} and p.after::jsonb = {}",
                after["id"].as_str().unwrap(), after["revision"], quoted(after),
            ));
            assert_eq!((exactly, entries(app, request)), (1, 1), "{request}");
        };
        one_entry(&request("added"), "create", &Value::Null, &added.body);

        let changed = patch_as(app, hr, &location, &change, &request("changed")).expect(200);
        for (property, value) in change.as_object().unwrap() {
            let shown = changed.body.get(property).unwrap_or(&Value::Null);
            assert_eq!(shown, value, "{name}.{property}");
        }
        assert_eq!(changed.body["revision"], 2);
        one_entry(&request("changed"), "update", &added.body, &changed.body);

        // I14: what changes nothing leaves no entry
        let mut whole = body.clone();
        for property in body.as_object().unwrap().keys() {
            whole[property] = changed.body[property].clone();
        }
        for (step, equal) in [
            ("equal", change.clone()),
            ("whole", whole),
            ("empty", json!({})),
        ] {
            let same = patch_as(app, hr, &location, &equal, &request(step)).expect(200);
            assert_eq!((&same.body, same.etag()), (&changed.body, changed.etag()));
            assert_eq!(entries(app, &request(step)), 0, "{name} {step}");
        }

        for (property, other) in set_once.as_object().unwrap() {
            let refused = patch_as(
                app,
                hr,
                &location,
                &json!({property.as_str(): other}),
                &request("set-once"),
            );
            let refused = refused.expect_problem(422, "immutable-field");
            assert_eq!(refused.faults(), [format!("/{property}")], "{name}");
        }
        for own in ["id", "revision", "createdAt", "updatedAt"] {
            let body = json!({own: changed.body[own]});
            let refused = patch_as(app, hr, &location, &body, &request("set-once"));
            assert_eq!(
                refused.expect_problem(422, "invalid-body").faults(),
                [format!("/{own}")],
                "{name}"
            );
        }
        assert_eq!(entries(app, &request("set-once")), 0);
        let stale = [("If-Match", added.etag())];
        let body = json!({"validTo": "2029-01-01"}).to_string();
        app.send(hr, "PATCH", &location, &stale, Some(&body))
            .expect_problem(412, "stale-revision");
        app.send(hr, "PATCH", &location, &[], Some(&body))
            .expect_problem(428, "if-match-required");

        let ended = patch_as(
            app,
            hr,
            &location,
            &json!({"validTo": "2029-01-01"}),
            &request("ended"),
        )
        .expect(200);
        assert_eq!(
            (&ended.body["validTo"], &ended.body["revision"]),
            (&json!("2029-01-01"), &json!(3))
        );
        one_entry(&request("ended"), "update", &changed.body, &ended.body);
        let reopened = app
            .patch(hr, &location, &json!({"validTo": null}))
            .expect(200);
        assert_eq!(reopened.body["validTo"], Value::Null);

        let absent = format!("{path}/{ABSENT}");
        app.get(hr, &absent).expect_problem(404, "not-found");
        app.patch(hr, &absent, &json!({}))
            .expect_problem(404, "not-found");
    }
}

#[test]
fn lists_are_filtered_by_what_they_say_and_by_day_sorted_both_ways_in_swedish_and_read_by_page_or_cursor()
 {
    let hedemora = Hedemora::new();
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    let department = app
        .post(hr, "/units", &json!({"name": "Teknik", "type": "department", "parentId": hedemora.municipality, "validFrom": "2020-01-01"}))
        .expect(201)
        .id();
    // in Swedish order; the first of them ends with 2025
    let names = ["alfa", "Beta", "Zeta", "Åsen", "Ärla", "Östra"];
    let dated = |index: usize, mut body: Value| {
        body["validFrom"] = json!("2021-01-01");
        if index == 0 {
            body["validTo"] = json!("2026-01-01");
        }
        body
    };
    type Body<'a> = &'a dyn Fn(usize) -> Value;
    let lists: [(&str, &str, Vec<String>, Body); 6] = [
        (
            "/units",
            "name",
            vec![format!("parentId={department}")],
            &|i| {
                dated(
                    i,
                    json!({"name": names[i], "type": "unit", "parentId": department}),
                )
            },
        ),
        (
            "/people",
            "displayName",
            vec![format!("unitId={department}")],
            &|i| {
                dated(
                    i,
                    json!({"personRef": format!("listed-{i}"), "displayName": names[i], "unitId": department}),
                )
            },
        ),
        (
            "/business-goals",
            "title",
            vec![format!("unitId={department}")],
            &|i| dated(i, json!({"title": names[i], "unitId": department})),
        ),
        (
            "/venues",
            "name",
            vec![
                "municipalityCode=2084".to_owned(),
                format!("ownerUnitId={department}"),
                "supplierId=556000-0099".to_owned(),
            ],
            &|i| {
                dated(
                    i,
                    json!({"name": names[i], "municipalityCode": "2084", "ownerUnitId": department, "supplierId": "556000-0099"}),
                )
            },
        ),
        (
            "/supplier-contracts",
            "supplierName",
            vec!["supplierId=556000-0099".to_owned()],
            &|i| {
                dated(
                    i,
                    json!({"supplierId": "556000-0099", "supplierName": names[i], "title": "Konferens"}),
                )
            },
        ),
        (
            "/office-appointments",
            "validFrom",
            vec![
                format!("unitId={department}"),
                "personRef=person-head".to_owned(),
                "officeType=departmentHead".to_owned(),
            ],
            // two begin on each day, so that the id breaks the tie
            &|i| {
                json!({"officeType": "departmentHead", "unitId": department, "personRef": "person-head", "capacity": "acting",
                "validFrom": format!("202{}-01-01", i / 2), "validTo": (i == 0).then_some("2026-01-01")})
            },
        ),
    ];
    let items = |path: &str, query: &str| {
        let list = app.get(hr, &format!("{path}?{query}")).expect(200).body;
        list["items"].as_array().expect("items").clone()
    };
    for (path, sort, filters, body) in lists {
        let mut added: Vec<Value> = Vec::new();
        for index in [3, 0, 5, 1, 4, 2] {
            added.push(app.post(hr, path, &body(index)).expect(201).body);
        }
        let position = |item: &Value| {
            let by_name = names.iter().position(|name| item[sort] == *name);
            let id = item["id"].as_str().unwrap().to_owned();
            (
                by_name,
                item["validFrom"].as_str().unwrap().to_owned(),
                if sort == "validFrom" {
                    id
                } else {
                    String::new()
                },
            )
        };
        added.sort_by_key(position);
        let filter = filters.join("&");
        assert_eq!(items(path, &filter), added, "{path} as it comes");
        for one in &filters {
            assert_eq!(
                items(path, &format!("{one}&sort={sort}")),
                added,
                "{path}?{one}"
            );
        }
        let backwards: Vec<Value> = added.iter().rev().cloned().collect();
        assert_eq!(
            items(path, &format!("{filter}&sort=-{sort}")),
            backwards,
            "{path} -{sort}"
        );

        // half-open: the first day counts, validTo is the first day that does not
        let valid = |day: &str| items(path, &format!("{filter}&validOn={day}")).len();
        assert_eq!(
            (valid("2025-12-31"), valid("2026-01-01")),
            (6, 5),
            "{path} by day"
        );
        if sort != "validFrom" {
            assert_eq!((valid("2020-12-31"), valid("2021-01-01")), (0, 6));
        }

        for (order, expected) in [(sort.to_owned(), &added), (format!("-{sort}"), &backwards)] {
            let first = format!("{path}?{filter}&sort={order}&limit=4");
            let paged: Vec<Value> = (1..=3)
                .flat_map(|page| items(path, &format!("{filter}&sort={order}&limit=4&page={page}")))
                .collect();
            assert_eq!(paged, *expected, "{path} {order} by page");
            let one = app
                .get(hr, &format!("{first}&includeTotal=true"))
                .expect(200);
            assert_eq!(
                (&one.body["totalItems"], &one.body["page"]),
                (&json!(6), &json!(1))
            );
            let cursor = one.body["nextCursor"].as_str().expect("there is more");
            let two = app
                .get(hr, &format!("{first}&cursor={cursor}"))
                .expect(200)
                .body;
            assert_eq!(two["nextCursor"], Value::Null);
            let walked =
                [&one.body["items"], &two["items"]].map(|items| items.as_array().unwrap().clone());
            assert_eq!(walked.concat(), *expected, "{path} {order} by cursor");
            let strayed = app.get(hr, &format!("{path}?limit=4&cursor={cursor}"));
            assert_eq!(
                strayed.expect_problem(400, "invalid-cursor").faults(),
                ["cursor"]
            );
        }
    }
    assert_eq!(items("/units", "type=company").len(), 1);
    assert_eq!(items("/units", "type=partlyOwnedCompany").len(), 1);
    assert_eq!(items("/people", "personRef=person-hr").len(), 1);
    for wrong in [
        "/units?type=bolag",
        "/units?parentId=1",
        "/people?validOn=2026-02-30",
        "/venues?sort=municipalityCode",
        "/units?name=Teknik",
    ] {
        app.get(hr, wrong).expect_problem(400, "invalid-parameter");
    }
}

#[test]
fn an_empty_installation_is_started_by_an_hr_administrator_who_is_not_among_the_people() {
    let app = TestApp::empty();
    let hr = app.hr();
    for path in [
        "/units",
        "/people",
        "/office-appointments",
        "/business-goals",
        "/venues",
        "/supplier-contracts",
    ] {
        let list = app
            .get(&hr, &format!("{path}?includeTotal=true"))
            .expect(200);
        assert_eq!(
            (&list.body["items"], &list.body["totalItems"]),
            (&json!([]), &json!(0)),
            "{path}"
        );
    }
    let me = app.get(&hr, "/me").expect(200).body;
    assert_eq!(
        (&me["personRef"], &me["offices"]),
        (&json!("person-hr"), &json!([]))
    );
    let municipality = app
        .post(
            &hr,
            "/units",
            &json!({"name": "Ny kommun", "type": "municipality", "validFrom": "2020-01-01"}),
        )
        .expect(201)
        .id();
    let first = json!({"personRef": "person-first", "displayName": "HR-chef", "unitId": municipality, "validFrom": "2020-01-01"});
    app.post(&hr, "/people", &first).expect(201);
    let event = json!({"title": "Uppstart", "kind": "kickOff", "arranger": "group", "organisingUnitIds": [municipality],
        "responsiblePerson": "person-first",
        "occasions": [{"startsAt": "2027-01-11T09:00:00+01:00", "endsAt": "2027-01-11T12:00:00+01:00", "place": "digital"}]});
    app.post(&hr, "/events", &event).expect(201);
    // but who answers for something must be among them
    let body = json!({"title": "Uppstart", "kind": "kickOff", "arranger": "group", "organisingUnitIds": [municipality],
        "responsiblePerson": "person-hr", "occasions": event["occasions"]});
    let refused = app.post(&hr, "/events", &body);
    assert_eq!(
        refused.expect_problem(422, "unknown-person").faults(),
        ["/responsiblePerson"]
    );
}

/// Constraints that no request can break, because something answers sooner. What must be added to one of the two lists
/// when a migration adds a constraint is a sentence about how a request meets it.
const NEVER_MET: &[(&str, &str)] = &[
    ("_known_", "the published schema lists the values"),
    ("_in_range", "the published schema bounds dates and times"),
    ("_event_id_fkey", "the event is read and locked first"),
    ("changes", "only the service writes its log"),
    ("_external_", "external ids are locked: see external_ids.rs"),
    (
        "follow_up_entries_",
        "the follow-up is locked and the author looked up first: see follow_ups.rs",
    ),
    (
        "follow_up_entry_voidings_",
        "the entry is found first, and its follow-up locked",
    ),
    ("api_client_uses", "the service notes the use itself"),
    (
        "webhook_",
        "the service writes its deliveries itself: see webhooks.rs",
    ),
    (
        "follow_ups_ended_by_someone",
        "who ended it is written with the status",
    ),
    (
        "follow_ups_completing_entry_id_fkey",
        "the entry is written in the same transaction",
    ),
    (
        "follow_ups_completed_by_an_entry",
        "the entry is written with the status",
    ),
    (
        "api_client_secrets_client_id_fkey",
        "a client is locked first and never goes away",
    ),
    ("retention_rules", "the published schema bounds them"),
    (
        "calendar_feeds_",
        "unit, person and owner are looked up first: see calendar_feeds.rs",
    ),
    (
        "import_rows_",
        "rows come with their import, and what becomes of a line is noted under its lock: see imports.rs",
    ),
    (
        "imports_",
        "the service opens and ends imports itself: see imports.rs",
    ),
    ("change_payloads", "only the service writes its log"),
    ("guideline_questions", "a trigger writes them"),
    (
        "exception_request_rules",
        "an exception is asked for about an event: see exceptions.rs",
    ),
    (
        "exception_requests_",
        "an exception is asked for about an event: see exceptions.rs",
    ),
    (
        "decisions_",
        "the request is locked and its decisions read first: see exceptions.rs",
    ),
    (
        "decision_report",
        "a decision is reported once, or left to the other report",
    ),
    ("guideline_rungs", "a trigger writes them"),
    (
        "event_organisers_unit_id_fkey",
        "organisers are read and locked first",
    ),
    (
        "events_guideline_version_id_fkey",
        "the service chooses the version",
    ),
    (
        "planning_answers_one_per_question",
        "the event is locked, so that answers come one after another",
    ),
    (
        "planning_answer_revisions_answer_id_fkey",
        "a revision follows its answer",
    ),
    ("events_arranged_by_the_group", "rules::scope says so first"),
    (
        "events_cost_not_negative",
        "the published schema bounds costs",
    ),
    (
        "events_end_after_start",
        "EventContent::judge says so of each occasion",
    ),
    (
        "events_keep_findings",
        "status::change keeps them exactly then",
    ),
    ("events_external_id", "external ids come with imports"),
    (
        "occasions_end_after_start",
        "EventContent::judge says so first",
    ),
    ("occasions_venue_given", "EventContent::judge says so first"),
];

/// Rows of the table that a handler answers for before the database does, in the same words.
const ANSWERED_SOONER: &[&str] = &[
    // met in exceptions.rs
    "exception_request_rules_one_open",
    "units_parent_id_fkey",
    "events_responsible_person_fkey",
    "follow_ups_responsible_person_fkey",
    "occasions_venue_id_fkey",
];

#[test]
fn every_constraint_that_a_request_can_break_has_its_problem() {
    let hedemora = Hedemora::new();
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    let Hedemora {
        municipality,
        education,
        care,
        preschool,
        energy,
        visit_dalarna,
        ..
    } = &hedemora;
    let unit = |unit_type: &str, parent: Option<&str>, from: &str| json!({"name": "Enhet", "type": unit_type, "parentId": parent, "validFrom": from});
    let office = |office: &str, unit: &str, person: &str, from: &str| json!({"officeType": office, "unitId": unit, "personRef": person, "capacity": "ordinary", "validFrom": from});
    let backwards = |mut body: Value| {
        body["validFrom"] = json!("2026-01-01");
        body["validTo"] = json!("2026-01-01");
        body
    };
    let with = |mut body: Value, property: &str, value: &str| {
        body[property] = json!(value);
        body
    };
    let person = json!({"personRef": "person-late", "displayName": "Sen", "unitId": education, "validFrom": "2026-01-01"});
    app.post(hr, "/people", &person).expect(201);
    app.post(
        hr,
        "/office-appointments",
        &office("departmentHead", care, "person-other", "2021-01-01"),
    )
    .expect(201);
    let other = app
        .get(hr, "/people?personRef=person-other")
        .expect(200)
        .body["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let goal = json!({"unitId": education, "title": "Mål", "validFrom": "2020-01-01"});
    let venue = json!({"name": "Sal", "municipalityCode": "2083", "validFrom": "2020-01-01"});
    let contract = json!({"supplierId": "556000-0011", "supplierName": "AB", "title": "Mat", "validFrom": "2020-01-01"});
    let new_person = with(person.clone(), "personRef", "person-unborn");
    let head = office("departmentHead", education, "person-head", "2021-01-01");
    let units = |body: Value| ("/units".to_owned(), body);
    let people = |body: Value| ("/people".to_owned(), body);
    let offices = |body: Value| ("/office-appointments".to_owned(), body);

    // the constraint, the request that breaks it, and where the problem points; a path with an id is changed
    type Case = (
        &'static str,
        (String, Value),
        u16,
        &'static str,
        &'static str,
    );
    let cases: Vec<Case> = vec![
        (
            "units_validity",
            units(backwards(unit("department", Some(municipality), ""))),
            422,
            "invalid-period",
            "/validTo",
        ),
        (
            "units_root_is_municipality",
            units(unit("department", None, "2020-01-01")),
            422,
            "unit-misplaced",
            "/parentId",
        ),
        (
            "units_root_is_municipality",
            units(unit("municipality", Some(municipality), "2020-01-01")),
            422,
            "unit-misplaced",
            "/parentId",
        ),
        (
            "units_one_municipality",
            units(unit("municipality", None, "2020-01-01")),
            422,
            "unit-misplaced",
            "/type",
        ),
        (
            "units_parent_type",
            units(unit("unit", Some(municipality), "2020-01-01")),
            422,
            "unit-misplaced",
            "/parentId",
        ),
        (
            "units_parent_type",
            units(unit("unit", Some(visit_dalarna), "2020-01-01")),
            422,
            "unit-misplaced",
            "/parentId",
        ),
        (
            "units_parent_type",
            units(unit("department", Some(education), "2020-01-01")),
            422,
            "unit-misplaced",
            "/parentId",
        ),
        (
            "units_parent_type",
            units(unit("company", Some(energy), "2020-01-01")),
            422,
            "unit-misplaced",
            "/parentId",
        ),
        (
            "units_parent_type",
            units(unit("partlyOwnedCompany", Some(preschool), "2020-01-01")),
            422,
            "unit-misplaced",
            "/parentId",
        ),
        (
            "units_parent_valid",
            units(unit("unit", Some(education), "2019-12-31")),
            422,
            "outside-validity",
            "/validFrom",
        ),
        (
            "units_parent_id_fkey",
            units(unit("unit", Some(ABSENT), "2020-01-01")),
            422,
            "unknown-unit",
            "/parentId",
        ),
        (
            "units_successor_of_fkey",
            units(with(
                unit("unit", Some(education), "2020-01-01"),
                "successorOf",
                ABSENT,
            )),
            422,
            "unknown-unit",
            "/successorOf",
        ),
        (
            "units_still_in_use",
            (
                format!("/units/{education}"),
                json!({"validTo": "2027-01-01"}),
            ),
            409,
            "still-in-use",
            "/validTo",
        ),
        (
            "people_validity",
            people(backwards(new_person.clone())),
            422,
            "invalid-period",
            "/validTo",
        ),
        (
            "people_person_ref",
            people(person.clone()),
            409,
            "already-exists",
            "/personRef",
        ),
        (
            "people_unit_id_fkey",
            people(with(new_person.clone(), "unitId", ABSENT)),
            422,
            "unknown-unit",
            "/unitId",
        ),
        (
            "people_still_in_use",
            (format!("/people/{other}"), json!({"validTo": "2027-01-01"})),
            409,
            "still-in-use",
            "/validTo",
        ),
        (
            "office_appointments_validity",
            offices(backwards(head.clone())),
            422,
            "invalid-period",
            "/validTo",
        ),
        (
            "office_appointments_unit_id_fkey",
            offices(with(head.clone(), "unitId", ABSENT)),
            422,
            "unknown-unit",
            "/unitId",
        ),
        (
            "office_appointments_person_ref_fkey",
            offices(with(head.clone(), "personRef", "person-unknown")),
            422,
            "unknown-person",
            "/personRef",
        ),
        (
            "office_appointments_unit_type",
            offices(office(
                "municipalDirector",
                education,
                "person-head",
                "2021-01-01",
            )),
            422,
            "office-misplaced",
            "/officeType",
        ),
        (
            "office_appointments_unit_type",
            offices(office(
                "departmentHead",
                energy,
                "person-head",
                "2021-01-01",
            )),
            422,
            "office-misplaced",
            "/officeType",
        ),
        (
            "office_appointments_unit_type",
            offices(office(
                "departmentHead",
                preschool,
                "person-head",
                "2021-01-01",
            )),
            422,
            "office-misplaced",
            "/officeType",
        ),
        (
            "office_appointments_unit_type",
            offices(office(
                "chiefExecutive",
                visit_dalarna,
                "person-head",
                "2021-01-01",
            )),
            422,
            "office-misplaced",
            "/officeType",
        ),
        (
            "office_appointments_unit_type",
            offices(office(
                "chiefExecutive",
                municipality,
                "person-head",
                "2021-01-01",
            )),
            422,
            "office-misplaced",
            "/officeType",
        ),
        (
            "office_appointments_unit_valid",
            offices(office(
                "departmentHead",
                education,
                "person-head",
                "2019-12-31",
            )),
            422,
            "outside-validity",
            "/validFrom",
        ),
        (
            "office_appointments_person_valid",
            offices(office(
                "departmentHead",
                education,
                "person-late",
                "2025-12-31",
            )),
            422,
            "outside-validity",
            "/validFrom",
        ),
        (
            "office_appointments_one_ordinary_holder",
            offices(office("departmentHead", care, "person-head", "2026-01-01")),
            409,
            "office-taken",
            "/validFrom",
        ),
        (
            "business_goals_validity",
            ("/business-goals".to_owned(), backwards(goal.clone())),
            422,
            "invalid-period",
            "/validTo",
        ),
        (
            "business_goals_unit_id_fkey",
            ("/business-goals".to_owned(), with(goal, "unitId", ABSENT)),
            422,
            "unknown-unit",
            "/unitId",
        ),
        (
            "venues_validity",
            ("/venues".to_owned(), backwards(venue.clone())),
            422,
            "invalid-period",
            "/validTo",
        ),
        (
            "venues_owner_unit_id_fkey",
            ("/venues".to_owned(), with(venue, "ownerUnitId", ABSENT)),
            422,
            "unknown-unit",
            "/ownerUnitId",
        ),
        (
            "supplier_contracts_validity",
            ("/supplier-contracts".to_owned(), backwards(contract)),
            422,
            "invalid-period",
            "/validTo",
        ),
    ];
    let entries = app.count("select count(*) from changes");
    let mut met = BTreeSet::new();
    for (constraint, (path, body), status, code, pointer) in cases {
        let reply = if path.matches('/').count() > 1 {
            app.patch(hr, &path, &body)
        } else {
            app.post(hr, &path, &body)
        };
        assert_eq!(
            (reply.status, reply.body["code"].as_str(), reply.faults()),
            (status, Some(code), vec![pointer.to_owned()]),
            "{constraint}: {body}"
        );
        met.insert(constraint);
    }
    assert_eq!(
        app.count("select count(*) from changes"),
        entries,
        "what is refused leaves nothing"
    );

    let named: Vec<String> = diesel::dsl::sql::<diesel::sql_types::Text>(
        "select conname::text from pg_constraint c join pg_namespace n on n.oid = c.connamespace \
         where n.nspname = 'public' and c.contype in ('c', 'f', 'u', 'x') and conname not like 'gbt%' \
         union select relname from pg_index i join pg_class k on k.oid = i.indexrelid join pg_namespace n on n.oid = k.relnamespace \
         where n.nspname = 'public' and i.indisunique and not exists (select from pg_constraint c where c.conindid = i.indexrelid) \
         union select m[1] from pg_proc p join pg_namespace n on n.oid = p.pronamespace, \
             regexp_matches(p.prosrc, 'constraint = ''(\\w+)''', 'g') m where n.nspname = 'public'",
    )
    .load(&mut app.database())
    .expect("the catalogue");
    for (row, ..) in CONSTRAINTS {
        assert!(
            named.iter().any(|name| name == row),
            "{row} is in src/error.rs and not in the database"
        );
        assert!(
            met.contains(row) || ANSWERED_SOONER.contains(row),
            "no request of this test meets {row}"
        );
    }
    for name in &named {
        let listed = CONSTRAINTS.iter().any(|(row, ..)| row == name);
        let never_met = NEVER_MET.iter().any(|(part, _)| name.contains(part));
        assert!(
            listed || never_met,
            "{name} has no row in CONSTRAINTS of src/error.rs"
        );
    }
}

/// Runs both at once, from behind a barrier, and gives both replies.
fn at_once(one: impl Fn() -> Reply + Sync, other: impl Fn() -> Reply + Sync) -> (Reply, Reply) {
    let barrier = Barrier::new(2);
    std::thread::scope(|scope| {
        let one = scope.spawn(|| {
            barrier.wait();
            one()
        });
        barrier.wait();
        let other = other();
        (one.join().expect("a reply"), other)
    })
}

/// A head's appointment to a department.
fn heads(unit: &str, person: &str, capacity: &str, from: &str, to: Option<&str>) -> Value {
    json!({"officeType": "departmentHead", "unitId": unit, "personRef": person, "capacity": capacity, "validFrom": from, "validTo": to})
}

#[test]
fn nothing_ends_while_a_child_an_appointment_or_a_future_occasion_needs_it() {
    let hedemora = Hedemora::new();
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    let Hedemora {
        education,
        care,
        preschool,
        hotel,
        ..
    } = &hedemora;
    let unit = |id: &str| format!("/units/{id}");
    let stands = |path: &str, change: Value| {
        let refused = app.patch(hr, path, &change);
        let refused = refused.expect_problem(409, "still-in-use");
        assert_eq!(refused.faults(), ["/validTo"]);
    };
    let ends = |path: &str, change: Value| app.patch(hr, path, &change).expect(200);

    // a child: the parent may end on the day that the child does, and not before, nor begin after it
    stands(&unit(education), json!({"validTo": "2027-01-01"}));
    stands(&unit(education), json!({"validFrom": "2020-01-02"}));
    ends(&unit(preschool), json!({"validTo": "2027-01-01"}));
    stands(&unit(education), json!({"validTo": "2026-12-31"}));
    ends(&unit(education), json!({"validTo": "2027-01-01"}));
    let longer = app.patch(hr, &unit(preschool), &json!({"validTo": null}));
    longer.expect_problem(422, "outside-validity");
    ends(&unit(education), json!({"validTo": null}));

    // an appointment, of its unit and of its person
    let appointment = app
        .post(
            hr,
            "/office-appointments",
            &heads(care, "person-other", "ordinary", "2021-01-01", None),
        )
        .expect(201);
    let appointment = format!("/office-appointments/{}", appointment.id());
    let people = app.get(hr, "/people?personRef=person-other").expect(200);
    let person = format!(
        "/people/{}",
        people.body["items"][0]["id"].as_str().unwrap()
    );
    for holder in [&unit(care), &person] {
        stands(holder, json!({"validTo": "2028-01-01"}));
        stands(holder, json!({"validFrom": "2021-01-02"}));
    }
    ends(&appointment, json!({"validTo": "2027-07-01"}));
    for holder in [&unit(care), &person] {
        stands(holder, json!({"validTo": "2027-06-30"}));
        ends(holder, json!({"validTo": "2027-07-01"}));
        let longer = app.patch(hr, &appointment, &json!({"validTo": "2027-07-02"}));
        longer.expect_problem(422, "outside-validity");
    }

    // an occasion to come, of its unit and of its venue: 2026-10-05 is the last day that is needed
    let event = hedemora.draft(hotel).id();
    let venue = format!("/venues/{hotel}");
    ends(&unit(preschool), json!({"validTo": "2026-10-05"}));
    for needed in [&unit(education), &venue] {
        stands(needed, json!({"validTo": "2026-10-05"}));
        stands(needed, json!({"validFrom": "2026-10-06", "validTo": null}));
        ends(needed, json!({"validTo": "2026-10-06"}));
        ends(needed, json!({"validTo": null}));
    }
    // what has been held, or will not be, needs nothing
    app.it_is("2026-10-06T08:00:00Z");
    ends(&venue, json!({"validTo": "2026-10-05"}));
    ends(&venue, json!({"validTo": null}));
    app.it_is(crate::given::NOW);
    stands(&venue, json!({"validTo": "2026-10-05"}));
    app.change_status(
        &hedemora.planner,
        &event,
        &json!({"status": "cancelled", "reason": "Inställt."}),
    )
    .expect(200);
    ends(&venue, json!({"validTo": "2026-10-05"}));
    ends(&unit(education), json!({"validTo": "2026-10-05"}));
}

/// Makes a trigger's function wait before it is done, so that two transactions surely meet; without its locks if so asked.
fn slow_down(app: &TestApp, function: &str, keep_locks: bool) {
    let mut owner = PgConnection::establish(&owner_url(&app.database)).expect("the owner");
    let definition: String = diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>(&format!(
        "pg_get_functiondef('{function}'::regproc)"
    )))
    .get_result(&mut owner)
    .expect("a function");
    let slow = definition.replace("return null;", "perform pg_sleep(0.02); return null;");
    assert_ne!(slow, definition);
    let unlocked = slow.replace(" for share", "");
    assert_ne!(unlocked, slow);
    owner
        .batch_execute(if keep_locks { &slow } else { &unlocked })
        .expect("the function is replaced");
}

#[test]
fn a_parent_cannot_end_while_a_child_is_added_and_it_is_the_lock_that_sees_to_it() {
    let broken_in = |keep_locks: bool, rounds: usize| {
        let hedemora = Hedemora::new();
        let (app, hr) = (&hedemora.app, &hedemora.hr);
        slow_down(app, "unit_fits_parent", keep_locks);
        (0..rounds)
            .filter(|round| {
                let department = json!({"name": format!("Förvaltning {round}"), "type": "department", "parentId": hedemora.municipality, "validFrom": "2020-01-01"});
                let parent = app.post(hr, "/units", &department).expect(201).id();
                let path = format!("/units/{parent}");
                let child = json!({"name": "Enhet", "type": "unit", "parentId": parent, "validFrom": "2020-01-01"});
                let (ended, added) = at_once(
                    || app.patch(hr, &path, &json!({"validTo": "2027-01-01"})),
                    || app.post(hr, "/units", &child),
                );
                match (ended.status, added.status) {
                    (200, 201) => true,
                    (409, 201) => ended.expect_problem(409, "still-in-use").status == 0,
                    _ => ended.expect(200).status == added.expect_problem(422, "outside-validity").status,
                }
            })
            .count()
    };
    assert_eq!(broken_in(true, 8), 0);
    assert!(broken_in(false, 8) > 0, "the control shows that they met");
}

#[test]
fn who_and_what_is_being_needed_does_not_end_and_what_ends_is_not_needed_any_more() {
    let hedemora = Hedemora::new();
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    slow_down(app, "appointment_fits", true);
    let end = |path: &str| app.patch(hr, path, &json!({"validTo": "2026-10-01"}));
    // one wins, and the other is told why
    let one_wins = |(ended, needed): (Reply, Reply), refusal: &str| match needed.status {
        201 => _ = ended.expect_problem(409, "still-in-use"),
        _ => {
            ended.expect(200);
            needed.expect_problem(422, refusal);
        }
    };
    for round in 0..4 {
        let department = json!({"name": "Förvaltning", "type": "department", "parentId": hedemora.municipality, "validFrom": "2020-01-01"});
        let new_department = || app.post(hr, "/units", &department).expect(201).id();
        let unit = new_department();
        let appointment = heads(&unit, "person-head", "ordinary", "2026-01-01", None);
        let path = format!("/units/{unit}");
        one_wins(
            at_once(
                || end(&path),
                || app.post(hr, "/office-appointments", &appointment),
            ),
            "outside-validity",
        );

        let person = json!({"personRef": format!("racer-{round}"), "displayName": "Chef", "unitId": hedemora.care, "validFrom": "2020-01-01"});
        let path = format!(
            "/people/{}",
            app.post(hr, "/people", &person).expect(201).id()
        );
        let unit = new_department();
        let appointment = heads(
            &unit,
            &format!("racer-{round}"),
            "acting",
            "2026-01-01",
            None,
        );
        one_wins(
            at_once(
                || end(&path),
                || app.post(hr, "/office-appointments", &appointment),
            ),
            "outside-validity",
        );

        let unit = new_department();
        let mut event = hedemora.planning_day(&hedemora.town_hall);
        event["organisingUnitIds"] = json!([unit]);
        let path = format!("/units/{unit}");
        one_wins(
            at_once(|| end(&path), || app.post(hr, "/events", &event)),
            "unit-not-covered",
        );

        let venue = json!({"name": "Sal", "municipalityCode": "2083", "validFrom": "2020-01-01"});
        let venue = app.post(hr, "/venues", &venue).expect(201).id();
        let event = hedemora.planning_day(&venue);
        let path = format!("/venues/{venue}");
        one_wins(
            at_once(|| end(&path), || app.post(hr, "/events", &event)),
            "unknown-venue",
        );
    }
}

#[test]
fn an_office_has_one_ordinary_holder_a_day_and_any_number_acting() {
    let hedemora = Hedemora::new();
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    let Hedemora {
        education, care, ..
    } = &hedemora;
    let appoint = |body: &Value| app.post(hr, "/office-appointments", body);
    let first = appoint(&heads(
        education,
        "person-head",
        "ordinary",
        "2022-01-01",
        Some("2025-07-01"),
    ))
    .expect(201);
    // half-open: the next begins on the day that the last ends
    appoint(&heads(
        education,
        "person-other",
        "ordinary",
        "2025-07-01",
        None,
    ))
    .expect(201);
    appoint(&heads(
        education,
        "person-hr",
        "ordinary",
        "2021-01-01",
        Some("2022-01-01"),
    ))
    .expect(201);
    for (from, to) in [
        ("2021-12-31", Some("2022-01-01")),
        ("2025-06-30", Some("2025-07-02")),
        ("2030-01-01", None),
        ("2020-01-01", None),
    ] {
        appoint(&heads(education, "person-hr", "ordinary", from, to))
            .expect_problem(409, "office-taken");
    }
    let path = format!("/office-appointments/{}", first.id());
    app.patch(hr, &path, &json!({"validTo": "2025-07-02"}))
        .expect_problem(409, "office-taken");
    app.patch(hr, &path, &json!({"validTo": null}))
        .expect_problem(409, "office-taken");
    for capacity in ["acting", "actingShortAbsence", "acting"] {
        appoint(&heads(
            education,
            "person-planner",
            capacity,
            "2025-01-01",
            None,
        ))
        .expect(201);
    }
    // another office, held by the same person
    appoint(&heads(care, "person-head", "ordinary", "2022-01-01", None)).expect(201);

    // eight at once: one holds it
    let company = json!({"officeType": "chiefExecutive", "unitId": hedemora.energy, "personRef": "person-head", "capacity": "ordinary", "validFrom": "2026-01-01"});
    let barrier = Barrier::new(8);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    let reply = appoint(&company);
                    if reply.status != 201 {
                        reply.clone().expect_problem(409, "office-taken");
                    }
                    reply.status
                })
            })
            .collect();
        asked
            .into_iter()
            .map(|thread| thread.join().expect("a reply"))
            .collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1);
}

#[test]
fn a_company_s_premises_are_own_premises_for_as_long_as_the_company_is_the_group_s() {
    let hedemora = Hedemora::new();
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    let company = |name: &str, ends: Option<&str>| {
        let body = json!({"name": name, "type": "company", "parentId": hedemora.municipality, "validFrom": "2020-01-01", "validTo": ends});
        app.post(hr, "/units", &body).expect(201).id()
    };
    let below = json!({"name": "Värmeverket", "type": "unit", "parentId": hedemora.energy, "validFrom": "2020-01-01"});
    let below = app.post(hr, "/units", &below).expect(201).id();
    // the event is on 2026-10-05
    for (owner, finding) in [
        (hedemora.energy.clone(), "met"),
        (below, "met"),
        (hedemora.visit_dalarna.clone(), "exceptionNeeded"),
        (
            company("Sålt samma dag", Some("2026-10-05")),
            "exceptionNeeded",
        ),
        (company("Sålt dagen efter", Some("2026-10-06")), "met"),
    ] {
        // where they lie does not matter
        let venue = json!({"name": "Sal", "municipalityCode": "2080", "ownerUnitId": owner, "validFrom": "2020-01-01"});
        let venue = app.post(hr, "/venues", &venue).expect(201).id();
        let event = hedemora.draft(&venue).id();
        assert_eq!(hedemora.finding(&event, "venueLadder"), finding, "{owner}");
    }
}

#[test]
fn a_unit_that_moves_is_ended_and_its_successor_organises_from_the_next_day() {
    let hedemora = Hedemora::new();
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    let Hedemora {
        care, preschool, ..
    } = &hedemora;
    app.patch(
        hr,
        &format!("/units/{preschool}"),
        &json!({"validTo": "2026-10-06"}),
    )
    .expect(200);
    let successor = json!({"name": "Förskolan", "type": "unit", "parentId": care, "successorOf": preschool, "validFrom": "2026-10-06"});
    let successor = app.post(hr, "/units", &successor).expect(201);
    assert_eq!(successor.body["successorOf"], json!(preschool));
    let planned = |unit: &str, day: &str| {
        let mut event = hedemora.planning_day(&hedemora.town_hall);
        event["organisingUnitIds"] = json!([unit]);
        event["occasions"][0]["startsAt"] = json!(format!("{day}T00:00:00+02:00"));
        event["occasions"][0]["endsAt"] = json!(format!("{day}T23:59:59+02:00"));
        app.post(hr, "/events", &event)
    };
    planned(preschool, "2026-10-05").expect(201);
    planned(&successor.id(), "2026-10-06").expect(201);
    for refused in [
        planned(preschool, "2026-10-06"),
        planned(&successor.id(), "2026-10-05"),
    ] {
        let refused = refused.expect_problem(422, "unit-not-covered");
        assert_eq!(refused.faults(), ["/organisingUnitIds/0"]);
    }
    let check = |unit: &str, day: &str| {
        let body = json!({"kind": "planningDay", "arranger": "group", "organisingUnitIds": [unit], "from": day});
        app.post(hr, "/scope-checks", &body).expect(200).body["covered"].clone()
    };
    assert_eq!(check(preschool, "2026-10-05"), true);
    assert_eq!(check(preschool, "2026-10-06"), false);
    // an occasion until midnight belongs to the day before
    let mut event = hedemora.planning_day(&hedemora.town_hall);
    event["organisingUnitIds"] = json!([preschool]);
    event["occasions"][0]["endsAt"] = json!("2026-10-06T00:00:00+02:00");
    app.post(hr, "/events", &event).expect(201);
}
