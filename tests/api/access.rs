//! Who may do what (domain section 7), and who is let in at all: tokens, roles, units, offices.

use crate::app::{Caller, Reply, TestApp, scratch};
use crate::given::{Hedemora, NOW};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::Utc;
use kompetens::identity::tokens::{Issuer, LOCAL_AUDIENCE, LOCAL_ISSUER};
use kompetens::rules::access::Role;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const ABSENT: &str = "01990000-0000-7000-8000-000000000404";

/// What an answer means for access: allowed (A, whatever else is wrong with the request), forbidden (F) or hidden (H).
fn letter(reply: &Reply) -> char {
    match reply.status {
        // 412 and 422 by data come after the question of access
        200 | 201 | 412 | 422 => 'A',
        403 => {
            reply.clone().expect_problem(403, "forbidden");
            'F'
        }
        404 => {
            reply.clone().expect_problem(404, "not-found");
            'H'
        }
        other => panic!("{other} says nothing of access: {}", reply.text),
    }
}

/// The seven columns of the table; the education department is everybody's own unit.
fn columns(hedemora: &Hedemora) -> [(&'static str, Caller); 7] {
    let education: &str = &hedemora.education;
    let with = |person: &str, role| hedemora.app.person(person, &[role], &[education]);
    [
        ("employee", with("person-employee", Role::Employee)),
        ("planner", with("person-plans", Role::Planner)),
        ("unit manager", with("person-manages", Role::UnitManager)),
        // the office comes from an appointment, not from the token
        ("office holder", hedemora.app.employee("person-head")),
        (
            "HR administrator",
            with("person-administers", Role::HrAdministrator),
        ),
        ("archivist", with("person-archives", Role::Archivist)),
        ("auditor", with("person-audits", Role::Auditor)),
    ]
}

const PEOPLE: [&str; 7] = [
    "person-employee",
    "person-plans",
    "person-manages",
    "person-head",
    "person-administers",
    "person-archives",
    "person-audits",
];

/// Hedemora with a head of education and everybody of the table among the people.
fn hedemora() -> Hedemora {
    let hedemora = Hedemora::new();
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    for person in PEOPLE {
        let body = json!({"personRef": person, "displayName": person, "unitId": hedemora.education, "validFrom": "2020-01-01"});
        let added = app.post(hr, "/people", &body);
        assert!(
            added.status == 201 || person == "person-head",
            "{}",
            added.text
        );
    }
    let head = json!({"officeType": "departmentHead", "unitId": hedemora.education, "personRef": "person-head", "capacity": "ordinary", "validFrom": "2021-01-01"});
    app.post(hr, "/office-appointments", &head).expect(201);
    hedemora
}

/// A digital planning day of this unit, for which this person answers.
fn event_of(unit: &str, responsible: &str) -> Value {
    json!({"title": "Planeringsdag", "kind": "planningDay", "arranger": "group", "organisingUnitIds": [unit], "responsiblePerson": responsible,
        "occasions": [{"startsAt": "2026-10-05T08:30:00+02:00", "endsAt": "2026-10-05T16:30:00+02:00", "place": "digital"}]})
}

/// Takes a draft to confirmation: nothing of it applies, and a follow-up is planned.
fn confirm(hedemora: &Hedemora, event: &str) {
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    let path = format!("/events/{event}");
    let answers = app
        .get(hr, &format!("{path}/planning-answers"))
        .expect(200)
        .body;
    for item in answers["items"].as_array().unwrap() {
        let kind = item["question"]["answerKind"].as_str().unwrap();
        if kind != "reason" && kind != "followUps" {
            let question = item["question"]["id"].as_str().unwrap();
            let answer = json!({"notApplicable": {"reason": "Prövas på annat håll."}});
            app.put(hr, &format!("{path}/planning-answers/{question}"), &answer)
                .expect(201);
        }
    }
    follow_up(hedemora, event, "person-other");
    app.change_status(hr, event, &json!({"status": "confirmed"}))
        .expect(200);
}

fn follow_up(hedemora: &Hedemora, event: &str, responsible: &str) -> String {
    let body = json!({"level": "behaviour", "method": "survey", "responsiblePerson": responsible});
    hedemora
        .app
        .post(&hedemora.hr, &format!("/events/{event}/follow-ups"), &body)
        .expect(201)
        .id()
}

/// Asks without changing anything: what is changed is changed from a revision that never stood, or by an unknown person.
fn ask(app: &TestApp, caller: &Caller, operation: &str, event: &str) -> Reply {
    let path = format!("/events/{event}");
    let never = [("If-Match", "\"999\"")];
    let change = |path: &str, method: &str, body: Value| {
        app.send(caller, method, path, &never, Some(&body.to_string()))
    };
    match operation.split_once(' ').unwrap_or((operation, "")) {
        ("read", "event") => app.get(caller, &path),
        ("read", part) => app.get(caller, &format!("{path}/{part}")),
        ("edit", "event") => change(&path, "PATCH", json!({"title": "Nytt namn"})),
        ("edit", "answer") => change(
            &format!("{path}/planning-answers/purpose"),
            "PUT",
            json!({"text": "Så här."}),
        ),
        ("plan", "follow-up") => {
            let body = json!({"level": "behaviour", "method": "survey", "responsiblePerson": "person-unknown"});
            app.post(caller, &format!("{path}/follow-ups"), &body)
        }
        ("status", to) => change(
            &format!("{path}/status-changes"),
            "POST",
            json!({"status": to, "reason": "Därför."}),
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_event_is_open_to_each_role_as_the_table_says_for_every_relation_and_lists_show_what_single_reads_allow()
 {
    let hedemora = hedemora();
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    let Hedemora {
        municipality,
        education,
        care,
        preschool,
        energy,
        ..
    } = &hedemora;
    let create = |unit: &str, responsible: &str| {
        app.post(hr, "/events", &event_of(unit, responsible))
            .expect(201)
            .id()
    };
    let four =
        || [education, preschool, municipality, care].map(|unit| create(unit, "person-other"));
    let drafts = four();
    let confirmed = four();
    let cancelled = four();
    let mine: Vec<(String, String)> = PEOPLE
        .iter()
        .map(|person| (create(care, person), create(energy, person)))
        .collect();
    for event in confirmed
        .iter()
        .chain(mine.iter().map(|(_, confirmed)| confirmed))
    {
        confirm(&hedemora, event);
    }
    for event in &cancelled {
        app.change_status(
            hr,
            event,
            &json!({"status": "cancelled", "reason": "Inställt."}),
        )
        .expect(200);
    }
    let entries = app.count("select count(*) from changes");

    // the event's organiser is the caller's own unit, one below it, the one above it, another;
    // another while the caller answers for the event; and there is no such event
    let draft_table: &[(&str, [&str; 7])] = &[
        //                      employee  planner   manager   head      HR        archivist auditor
        (
            "read event",
            [
                "HHHHAH", "AHHHAH", "AAHHAH", "AAHHAH", "AAAAAH", "AAAAAH", "AAAAAH",
            ],
        ),
        (
            "read planning-answers",
            [
                "HHHHAH", "AHHHAH", "AAHHAH", "AAHHAH", "AAAAAH", "AAAAAH", "AAAAAH",
            ],
        ),
        (
            "read compliance",
            [
                "HHHHAH", "AHHHAH", "AAHHAH", "AAHHAH", "AAAAAH", "AAAAAH", "AAAAAH",
            ],
        ),
        (
            "read status-changes",
            [
                "HHHHAH", "AHHHAH", "AAHHAH", "AAHHAH", "AAAAAH", "AAAAAH", "AAAAAH",
            ],
        ),
        (
            "read baselines",
            [
                "HHHHAH", "AHHHAH", "AAHHAH", "AAHHAH", "AAAAAH", "AAAAAH", "AAAAAH",
            ],
        ),
        (
            "read follow-ups",
            [
                "HHHHAH", "AHHHAH", "AAHHAH", "AAHHAH", "AAAAAH", "AAAAAH", "AAAAAH",
            ],
        ),
        (
            "edit event",
            [
                "HHHHFH", "AHHHFH", "AAHHFH", "AAHHFH", "AAAAAH", "FFFFFH", "FFFFFH",
            ],
        ),
        (
            "edit answer",
            [
                "HHHHFH", "AHHHFH", "AAHHFH", "AAHHFH", "AAAAAH", "FFFFFH", "FFFFFH",
            ],
        ),
        (
            "plan follow-up",
            [
                "HHHHFH", "AHHHFH", "AAHHFH", "AAHHFH", "AAAAAH", "FFFFFH", "FFFFFH",
            ],
        ),
        (
            "status confirmed",
            [
                "HHHHFH", "AHHHFH", "AAHHFH", "AAHHFH", "AAAAAH", "FFFFFH", "FFFFFH",
            ],
        ),
        (
            "status cancelled",
            [
                "HHHHFH", "AHHHFH", "AAHHFH", "AAHHFH", "AAAAAH", "FFFFFH", "FFFFFH",
            ],
        ),
        (
            "status held",
            [
                "HHHHFH", "FHHHFH", "FFHHFH", "FFHHFH", "AAAAAH", "FFFFFH", "FFFFFH",
            ],
        ),
    ];
    let confirmed_table: &[(&str, [&str; 7])] = &[
        (
            "read event",
            [
                "AAAAAH", "AAAAAH", "AAAAAH", "AAAAAH", "AAAAAH", "AAAAAH", "AAAAAH",
            ],
        ),
        (
            "read planning-answers",
            [
                "FFFFAH", "AFFFAH", "AAFFAH", "AAFFAH", "AAAAAH", "AAAAAH", "AAAAAH",
            ],
        ),
        (
            "read compliance",
            [
                "FFFFAH", "AFFFAH", "AAFFAH", "AAFFAH", "AAAAAH", "AAAAAH", "AAAAAH",
            ],
        ),
        (
            "read planning-answers/purpose/revisions",
            [
                "FFFFAH", "AFFFAH", "AAFFAH", "AAFFAH", "AAAAAH", "AAAAAH", "AAAAAH",
            ],
        ),
        (
            "read baseline",
            [
                "FFFFAH", "AFFFAH", "AAFFAH", "AAFFAH", "AAAAAH", "AAAAAH", "AAAAAH",
            ],
        ),
        (
            "read follow-ups",
            [
                "FFFFAH", "AFFFAH", "AAFFAH", "AAFFAH", "AAAAAH", "AAAAAH", "AAAAAH",
            ],
        ),
        (
            "edit event",
            [
                "FFFFFH", "AFFFFH", "AAFFFH", "AAFFFH", "AAAAAH", "FFFFFH", "FFFFFH",
            ],
        ),
        (
            "edit answer",
            [
                "FFFFFH", "AFFFFH", "AAFFFH", "AAFFFH", "AAAAAH", "FFFFFH", "FFFFFH",
            ],
        ),
        (
            "plan follow-up",
            [
                "FFFFFH", "AFFFFH", "AAFFFH", "AAFFFH", "AAAAAH", "FFFFFH", "FFFFFH",
            ],
        ),
        (
            "status cancelled",
            [
                "FFFFFH", "AFFFFH", "AAFFFH", "AAFFFH", "AAAAAH", "FFFFFH", "FFFFFH",
            ],
        ),
        (
            "status draft",
            [
                "FFFFFH", "AFFFFH", "AAFFFH", "AAFFFH", "AAAAAH", "FFFFFH", "FFFFFH",
            ],
        ),
        (
            "status held",
            [
                "FFFFAH", "AFFFAH", "AAFFAH", "AAFFAH", "AAAAAH", "FFFFAH", "FFFFAH",
            ],
        ),
    ];
    let mut wrong = Vec::new();
    for (table, events, is_draft) in [
        (draft_table, &drafts, true),
        (confirmed_table, &confirmed, false),
    ] {
        for (operation, cells) in table {
            for (((role, caller), expected), (my_draft, my_confirmed)) in
                columns(&hedemora).iter().zip(cells).zip(&mine)
            {
                let mine = if is_draft { my_draft } else { my_confirmed };
                let related = events
                    .iter()
                    .map(String::as_str)
                    .chain([mine.as_str(), ABSENT]);
                let found: String = related
                    .map(|event| letter(&ask(app, caller, operation, event)))
                    .collect();
                if found != *expected {
                    wrong.push(format!(
                        "{role} {operation}: {found}, not {expected} (draft: {is_draft})"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // cancelled events are read by everyone, their plans are not
    for ((role, caller), plan) in columns(&hedemora)
        .iter()
        .zip(["FFFF", "AFFF", "AAFF", "AAFF", "AAAA", "AAAA", "AAAA"])
    {
        let found = |operation: &str| {
            cancelled
                .iter()
                .map(|event| letter(&ask(app, caller, operation, event)))
                .collect::<String>()
        };
        assert_eq!(
            (
                found("read event").as_str(),
                found("read compliance").as_str()
            ),
            ("AAAA", plan),
            "{role}"
        );
    }
    assert_eq!(
        app.count("select count(*) from changes"),
        entries,
        "asking has changed nothing"
    );

    // a list shows exactly what single reads allow
    let all: Vec<&String> = [&drafts, &confirmed, &cancelled]
        .into_iter()
        .flatten()
        .chain(mine.iter().flat_map(|(one, other)| [one, other]))
        .collect();
    for (role, caller) in columns(&hedemora) {
        let readable: BTreeSet<String> = all
            .iter()
            .filter(|event| app.get(&caller, &format!("/events/{event}")).status == 200)
            .map(|event| (*event).clone())
            .collect();
        let listed = |query: &str| -> (BTreeSet<String>, Value) {
            let list = app
                .get(
                    &caller,
                    &format!("/events?limit=100&includeTotal=true{query}"),
                )
                .expect(200)
                .body;
            let items = list["items"].as_array().unwrap();
            (
                items
                    .iter()
                    .map(|item| item["id"].as_str().unwrap().to_owned())
                    .collect(),
                list["totalItems"].clone(),
            )
        };
        assert_eq!(
            listed(""),
            (readable.clone(), json!(readable.len())),
            "{role}"
        );
        let draft_ids: BTreeSet<String> = drafts
            .iter()
            .chain(mine.iter().map(|(draft, _)| draft))
            .filter(|id| readable.contains(*id))
            .cloned()
            .collect();
        for query in [
            "&status=draft",
            "&finding=answerNeeded",
            "&status=draft&q=planeringsdag",
        ] {
            assert_eq!(
                listed(query),
                (draft_ids.clone(), json!(draft_ids.len())),
                "{role} {query}"
            );
        }
    }

    // a follow-up is known to whoever does it, and its event is not
    let theirs = follow_up(&hedemora, &drafts[3], "person-employee");
    let others = follow_up(&hedemora, &drafts[3], "person-other");
    for ((role, caller), expected) in columns(&hedemora)
        .iter()
        .zip(["AH", "HH", "HH", "HH", "AA", "AA", "AA"])
    {
        let found: String = [&theirs, &others]
            .map(|id| letter(&app.get(caller, &format!("/follow-ups/{id}"))))
            .iter()
            .collect();
        assert_eq!(found, expected, "{role}");
    }
    let (_, employee) = &columns(&hedemora)[0];
    app.get(employee, &format!("/events/{}", drafts[3]))
        .expect(404);
}

#[test]
fn an_event_is_created_and_moved_only_where_one_organiser_is_within_reach_before_and_after() {
    let hedemora = hedemora();
    let app = &hedemora.app;
    let Hedemora {
        municipality,
        education,
        care,
        preschool,
        ..
    } = &hedemora;
    // organised by the own unit, one below, the one above, another, the own and another
    let organisers: [&[&String]; 5] = [
        &[education],
        &[preschool],
        &[municipality],
        &[care],
        &[care, education],
    ];
    let cells = [
        "FFFFF", "AFFFA", "AAFFA", "AAFFA", "AAAAA", "FFFFF", "FFFFF",
    ];
    for ((role, caller), expected) in columns(&hedemora).iter().zip(cells) {
        let created: String = organisers
            .iter()
            .map(|units| {
                let mut event = event_of(education, "person-unknown");
                event["organisingUnitIds"] = json!(units);
                letter(&app.post(caller, "/events", &event))
            })
            .collect();
        assert_eq!(created, expected, "{role} creates");
        let event = app
            .post(
                &hedemora.hr,
                "/events",
                &event_of(education, "person-other"),
            )
            .expect(201)
            .id();
        let moved: String = organisers
            .iter()
            .map(|units| {
                // an unknown person, so that nothing moves
                let change =
                    json!({"organisingUnitIds": units, "responsiblePerson": "person-unknown"});
                let headers = [("If-Match", "\"1\"")];
                let reply = app.send(
                    caller,
                    "PATCH",
                    &format!("/events/{event}"),
                    &headers,
                    Some(&change.to_string()),
                );
                if reply.status == 404 {
                    'F'
                } else {
                    letter(&reply)
                }
            })
            .collect();
        assert_eq!(moved, expected, "{role} moves");
    }
    // what does not exist is a fault of the body, for those who may
    let mut event = event_of(education, "person-other");
    event["organisingUnitIds"] = json!([education, ABSENT]);
    let refused = app
        .post(&hedemora.planner, "/events", &event)
        .expect_problem(422, "unknown-unit");
    assert_eq!(refused.faults(), ["/organisingUnitIds/1"]);
}

#[test]
fn the_organisation_is_read_by_everyone_and_written_by_hr_and_venues_are_added_by_those_who_plan() {
    let hedemora = hedemora();
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    let written: [(&str, Value); 6] = [
        (
            "/units",
            json!({"name": "Enhet", "type": "unit", "parentId": ABSENT, "validFrom": "2020-01-01"}),
        ),
        (
            "/people",
            json!({"personRef": "person-x", "displayName": "X", "unitId": ABSENT, "validFrom": "2020-01-01"}),
        ),
        (
            "/office-appointments",
            json!({"officeType": "departmentHead", "unitId": ABSENT, "personRef": "person-other", "capacity": "acting", "validFrom": "2020-01-01"}),
        ),
        (
            "/business-goals",
            json!({"unitId": ABSENT, "title": "Mål", "validFrom": "2020-01-01"}),
        ),
        (
            "/supplier-contracts",
            json!({"supplierId": "556000-0011", "supplierName": "AB", "title": "Mat", "validFrom": "2020-01-01", "validTo": "2020-01-01"}),
        ),
        (
            "/venues",
            json!({"name": "Sal", "municipalityCode": "2083", "ownerUnitId": ABSENT, "validFrom": "2020-01-01"}),
        ),
    ];
    let goal = json!({"unitId": hedemora.education, "title": "Mål", "validFrom": "2020-01-01"});
    app.post(hr, "/business-goals", &goal).expect(201);
    let mut version = app.get(hr, "/guideline-versions").expect(200).body["items"][0].clone();
    for own in ["id", "revision", "createdAt"] {
        version.as_object_mut().unwrap().remove(own);
    }
    version["questions"][0]["unitId"] = json!(ABSENT);

    for (role, caller) in columns(&hedemora) {
        let administers = role == "HR administrator";
        let expected = if administers { 'A' } else { 'F' };
        for (path, body) in &written {
            assert_eq!(
                letter(&app.post(&caller, path, body)),
                expected,
                "{role} POST {path}"
            );
            let list = app.get(&caller, path).expect(200);
            let one = format!("{path}/{}", list.body["items"][0]["id"].as_str().unwrap());
            app.get(&caller, &one).expect(200);
            let never = [("If-Match", "\"999\"")];
            let change = json!({"validTo": "2029-01-01"}).to_string();
            assert_eq!(
                letter(&app.send(&caller, "PATCH", &one, &never, Some(&change))),
                expected,
                "{role} PATCH {path}"
            );
            // there is nothing to hide
            let absent = app.send(
                &caller,
                "PATCH",
                &format!("{path}/{ABSENT}"),
                &never,
                Some(&change),
            );
            assert_eq!(letter(&absent), 'H', "{role} PATCH {path} that is not");
        }
        assert_eq!(
            letter(&app.post(&caller, "/guideline-versions", &version)),
            expected,
            "{role} posts a version"
        );
        app.get(&caller, "/guideline-versions").expect(200);
        app.get(&caller, "/me").expect(200);
        app.post(
            &caller,
            "/scope-checks",
            &json!({"kind": "studyVisit", "arranger": "group"}),
        )
        .expect(200);
    }

    let venue =
        json!({"name": "Församlingshemmet", "municipalityCode": "2083", "validFrom": "2020-01-01"});
    let rename = |caller: &Caller, path: &str| {
        app.patch(caller, path, &json!({"name": "Församlingshemmet, salen"}))
    };
    for ((role, caller), adds) in columns(&hedemora).into_iter().zip("FAAAAFF".chars()) {
        let added = app.post(&caller, "/venues", &venue);
        assert_eq!(letter(&added), adds, "{role} adds a venue");
        let others = format!("/venues/{}", hedemora.castle);
        assert_eq!(
            letter(&rename(&caller, &others)),
            if role == "HR administrator" { 'A' } else { 'F' },
            "{role}"
        );
        if adds == 'A' {
            let own = format!("/venues/{}", added.id());
            rename(&caller, &own).expect(200);
            // what decides the rung is for HR, on one's own venue too
            for change in [
                json!({"municipalityCode": "2080"}),
                json!({"ownerUnitId": hedemora.municipality}),
                json!({"name": "Annat", "supplierId": "556000-0011"}),
                json!({"validTo": "2029-01-01"}),
            ] {
                let changed = letter(&app.patch(&caller, &own, &change));
                assert_eq!(
                    changed,
                    if role == "HR administrator" { 'A' } else { 'F' },
                    "{role} {change}"
                );
            }
            for rung in ["ownerUnitId", "supplierId"] {
                let mut body = venue.clone();
                body[rung] = if rung == "ownerUnitId" {
                    json!(hedemora.municipality)
                } else {
                    json!("556000-0011")
                };
                assert_eq!(
                    letter(&app.post(&caller, "/venues", &body)),
                    if role == "HR administrator" { 'A' } else { 'F' },
                    "{role} {rung}"
                );
            }
        }
    }
}

#[test]
fn what_a_caller_may_not_know_of_looks_in_every_operation_like_what_does_not_exist() {
    let hedemora = hedemora();
    let app = &hedemora.app;
    let hidden = app
        .post(
            &hedemora.hr,
            "/events",
            &event_of(&hedemora.care, "person-other"),
        )
        .expect(201)
        .id();
    let shown = |reply: Reply| {
        let reply = reply.expect_problem(404, "not-found");
        let mut body = reply.body.clone();
        for own in ["instance", "requestId"] {
            assert!(body.as_object_mut().unwrap().remove(own).is_some());
        }
        let mut headers: Vec<(String, String)> = reply.headers.clone();
        headers
            .retain(|(name, _)| !["date", "x-request-id", "traceparent"].contains(&name.as_str()));
        headers.sort();
        (body, headers)
    };
    let stranger = app.person("person-plans", &[Role::Planner], &[&hedemora.education]);
    for operation in [
        "read event",
        "read planning-answers",
        "read planning-answers/purpose/revisions",
        "read compliance",
        "read baseline",
        "read baselines",
        "read status-changes",
        "read follow-ups",
        "edit event",
        "edit answer",
        "plan follow-up",
        "status confirmed",
        "status held",
    ] {
        assert_eq!(
            shown(ask(app, &stranger, operation, &hidden)),
            shown(ask(app, &stranger, operation, ABSENT)),
            "{operation}"
        );
    }
    let follow_up = follow_up(&hedemora, &hidden, "person-other");
    assert_eq!(
        shown(app.get(&stranger, &format!("/follow-ups/{follow_up}"))),
        shown(app.get(&stranger, &format!("/follow-ups/{ABSENT}")))
    );
}

#[test]
fn an_office_is_held_by_an_appointment_that_is_valid_today_in_stockholm_and_by_no_token() {
    let hedemora = Hedemora::new();
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    let below = app
        .post(
            hr,
            "/events",
            &event_of(&hedemora.preschool, "person-other"),
        )
        .expect(201)
        .id();
    let above = app
        .post(
            hr,
            "/events",
            &event_of(&hedemora.municipality, "person-other"),
        )
        .expect(201)
        .id();
    let reads = |caller: &Caller| -> String {
        [&below, &above]
            .map(|event| letter(&app.get(caller, &format!("/events/{event}"))))
            .iter()
            .collect()
    };
    let appoint = |office: &str,
                   unit: &str,
                   person: &str,
                   capacity: &str,
                   from: &str,
                   to: Option<&str>| {
        let body = json!({"officeType": office, "unitId": unit, "personRef": person, "capacity": capacity, "validFrom": from, "validTo": to});
        app.post(hr, "/office-appointments", &body).expect(201)
    };
    let head = app.employee("person-head");
    assert_eq!(reads(&head), "HH");
    // it is 2026-09-01; the appointment is for the second of September alone
    let appointment = appoint(
        "departmentHead",
        &hedemora.education,
        "person-head",
        "actingShortAbsence",
        "2026-09-02",
        Some("2026-09-03"),
    );
    for (now, seen) in [
        (NOW, "HH"),
        ("2026-09-01T21:59:59Z", "HH"),
        ("2026-09-01T22:00:00Z", "AH"),
        ("2026-09-02T21:59:59Z", "AH"),
        ("2026-09-02T22:00:00Z", "HH"),
    ] {
        app.it_is(now);
        assert_eq!(reads(&head), seen, "{now}");
        let offices = app.get(&head, "/me").expect(200).body["offices"].clone();
        let expected = if seen == "AH" {
            json!([appointment.body])
        } else {
            json!([])
        };
        assert_eq!(offices, expected, "{now}");
    }
    app.it_is(NOW);
    // the director's office is the municipality's, and everything is below it
    appoint(
        "municipalDirector",
        &hedemora.municipality,
        "person-other",
        "ordinary",
        "2020-01-01",
        None,
    );
    assert_eq!(reads(&app.employee("person-other")), "AA");
    // an office that has ended, and another person's, give nothing
    appoint(
        "chiefExecutive",
        &hedemora.energy,
        "person-planner",
        "ordinary",
        "2020-01-01",
        Some("2026-09-01"),
    );
    let energy = app
        .post(hr, "/events", &event_of(&hedemora.energy, "person-other"))
        .expect(201)
        .id();
    app.get(
        &app.employee("person-planner"),
        &format!("/events/{energy}"),
    )
    .expect(404);

    // a token that claims an office, or a role that is none of ours, changes nothing
    let mut claims = claims("person-claims");
    for (claim, value) in [
        (
            "roles",
            json!([
                "municipalDirector",
                "departmentHead",
                "chiefExecutive",
                "system",
                "HrAdministrator",
                "hradministrator"
            ]),
        ),
        (
            "offices",
            json!([{"officeType": "municipalDirector", "unitId": hedemora.municipality}]),
        ),
        ("office", json!("municipalDirector")),
        ("officeType", json!("municipalDirector")),
        (
            "scope",
            json!("events:read events:write organisation:write"),
        ),
        ("units", json!([hedemora.municipality, hedemora.education])),
    ] {
        claims[claim] = value;
    }
    let claimant = Caller(Some(signed(&header(), &claims)));
    let me = app.get(&claimant, "/me").expect(200).body;
    assert_eq!(
        (&me["roles"], &me["offices"]),
        (&json!(["employee"]), &json!([]))
    );
    assert_eq!(reads(&claimant), "HH");
    app.post(
        &claimant,
        "/events",
        &event_of(&hedemora.education, "person-other"),
    )
    .expect_problem(403, "forbidden");
    app.post(&claimant, "/units", &json!({"name": "X", "type": "unit", "parentId": hedemora.education, "validFrom": "2020-01-01"}))
        .expect_problem(403, "forbidden");
}

/// The header and the claims of a good token.
fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "JWT", "kid": jwks()["keys"][0]["kid"]})
}

fn claims(person: &str) -> Value {
    json!({"sub": person, "roles": ["hrAdministrator"], "iss": LOCAL_ISSUER, "aud": LOCAL_AUDIENCE, "exp": Utc::now().timestamp() + 3600})
}

fn jwks() -> Value {
    let file = scratch().join("issuer").join(Issuer::JWKS_FILE);
    serde_json::from_str(&std::fs::read_to_string(file).expect("the key's public half"))
        .expect("a JWKS")
}

fn unsigned(header: &Value, claims: &Value) -> String {
    [header, claims]
        .map(|part| URL_SAFE_NO_PAD.encode(part.to_string()))
        .join(".")
}

/// A token signed with the key of this run.
fn signed(header: &Value, claims: &Value) -> String {
    let file = scratch().join("issuer").join(Issuer::KEY_FILE);
    let pem = std::fs::read_to_string(file).expect("the key");
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let key = Ed25519KeyPair::from_pkcs8(&STANDARD.decode(base64).expect("PEM")).expect("a key");
    let text = unsigned(header, claims);
    let signature = URL_SAFE_NO_PAD.encode(key.sign(text.as_bytes()));
    format!("{text}.{signature}")
}

#[test]
fn no_trick_with_a_token_lets_anyone_in_with_the_database_or_without() {
    let app = TestApp::empty();
    let nowhere = TestApp::at_url(
        "postgresql://nobody@127.0.0.1:1/nowhere?connect_timeout=1",
        "nowhere",
        2,
    );
    let now = Utc::now().timestamp();
    let good = (header(), claims("person-hr"));
    let claiming = |claim: &str, value: Value| {
        let mut claims = good.1.clone();
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(claim)),
            value => claims[claim] = value,
        }
        signed(&good.0, &claims)
    };
    let headed = |name: &str, value: Value| {
        let mut header = good.0.clone();
        match value {
            Value::Null => drop(header.as_object_mut().unwrap().remove(name)),
            value => header[name] = value,
        }
        header
    };
    let public_key = URL_SAFE_NO_PAD
        .decode(jwks()["keys"][0]["x"].as_str().unwrap())
        .expect("base64url");
    let hmac_with = |secret: &[u8]| {
        let text = unsigned(&headed("alg", json!("HS256")), &good.1);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let whole = signed(&good.0, &good.1);
    let parts: Vec<&str> = whole.split('.').collect();
    let other_claims = URL_SAFE_NO_PAD.encode(claims("person-other").to_string());
    let foreign_key = {
        let pair = Ed25519KeyPair::generate().expect("a key");
        let text = unsigned(&good.0, &good.1);
        format!(
            "{text}.{}",
            URL_SAFE_NO_PAD.encode(pair.sign(text.as_bytes()))
        )
    };
    let bearer = |token: String| Some(format!("Bearer {token}"));
    let tricks: Vec<(&str, Option<String>)> = vec![
        ("no token", None),
        ("an empty header", Some(String::new())),
        ("no token after the scheme", Some("Bearer ".to_owned())),
        ("Basic", Some("Basic cGVyc29uLWhyOmhlbWxpZw==".to_owned())),
        ("the token without a scheme", Some(whole.clone())),
        (
            "the token under another scheme",
            Some(format!("Token {whole}")),
        ),
        ("two tokens", Some(format!("Bearer {whole} {whole}"))),
        ("garbage", bearer("garbage".to_owned())),
        ("three parts of garbage", bearer("a.b.c".to_owned())),
        ("four parts", bearer(format!("{whole}.x"))),
        (
            "no signature",
            bearer(format!("{}.{}.", parts[0], parts[1])),
        ),
        (
            "the signature of other claims",
            bearer(format!("{}.{other_claims}.{}", parts[0], parts[2])),
        ),
        (
            "alg none",
            bearer(format!(
                "{}.",
                unsigned(&headed("alg", json!("none")), &good.1)
            )),
        ),
        (
            "alg none with a signature",
            bearer(format!(
                "{}.{}",
                unsigned(&headed("alg", json!("None")), &good.1),
                parts[2]
            )),
        ),
        (
            "no alg",
            bearer(signed(&headed("alg", Value::Null), &good.1)),
        ),
        (
            "another alg in the header",
            bearer(signed(&headed("alg", json!("ES256")), &good.1)),
        ),
        ("HS256 with the public key", bearer(hmac_with(&public_key))),
        (
            "HS256 with the public key as text",
            bearer(hmac_with(
                jwks()["keys"][0]["x"].as_str().unwrap().as_bytes(),
            )),
        ),
        (
            "HS256 with the JWKS",
            bearer(hmac_with(jwks().to_string().as_bytes())),
        ),
        ("another key under our kid", bearer(foreign_key)),
        (
            "an unknown kid",
            bearer(signed(&headed("kid", json!("another")), &good.1)),
        ),
        (
            "no kid",
            bearer(signed(&headed("kid", Value::Null), &good.1)),
        ),
        (
            "a kid that is a path",
            bearer(signed(&headed("kid", json!("../../dev/null")), &good.1)),
        ),
        (
            "another issuer",
            bearer(claiming("iss", json!("https://example.org"))),
        ),
        ("no issuer", bearer(claiming("iss", Value::Null))),
        (
            "another audience",
            bearer(claiming("aud", json!("payroll"))),
        ),
        (
            "other audiences",
            bearer(claiming("aud", json!(["payroll", "calendar"]))),
        ),
        ("no audience", bearer(claiming("aud", Value::Null))),
        ("expired", bearer(claiming("exp", json!(now - 60)))),
        ("no expiry", bearer(claiming("exp", Value::Null))),
        (
            "an expiry that is text",
            bearer(claiming("exp", json!("2030-01-01"))),
        ),
        ("not yet valid", bearer(claiming("nbf", json!(now + 600)))),
        ("no person", bearer(claiming("sub", Value::Null))),
        ("an empty person", bearer(claiming("sub", json!("")))),
        (
            "a person that is a number",
            bearer(claiming("sub", json!(1))),
        ),
        (
            "a person of 101 bytes",
            bearer(claiming("sub", json!("p".repeat(101)))),
        ),
        ("a person of blanks", bearer(claiming("sub", json!("  ")))),
        (
            "a person with a blank",
            bearer(claiming("sub", json!("person hr"))),
        ),
        (
            "the service itself",
            bearer(claiming("sub", json!("system"))),
        ),
        (
            "a person with a line break",
            bearer(claiming("sub", json!("person\n-hr"))),
        ),
        (
            "a personnummer",
            bearer(claiming("sub", json!("19121212-1212"))),
        ),
        (
            "a personnummer of twelve digits",
            bearer(claiming("sub", json!("191212121212"))),
        ),
        (
            "a personnummer of ten digits",
            bearer(claiming("sub", json!("1212121212"))),
        ),
        (
            "a samordningsnummer",
            bearer(claiming("sub", json!("121272-1219"))),
        ),
        (
            "units that are not ids",
            bearer(claiming("units", json!(["bildning"]))),
        ),
        (
            "roles that are no list",
            bearer(claiming("roles", json!({"hrAdministrator": true}))),
        ),
        (
            "an oversized token",
            bearer(claiming("padding", json!("x".repeat(8 * 1024)))),
        ),
    ];
    let jobs = app.database_jobs();
    for (trick, authorization) in &tricks {
        for (service, at) in [(&app, "with the database"), (&nowhere, "without")] {
            let headers: Vec<(&str, &str)> = authorization
                .iter()
                .map(|value| ("Authorization", value.as_str()))
                .collect();
            for (method, path, body) in [
                ("GET", "/me".to_owned(), None),
                // what there is shows as little as what there is not
                ("GET", format!("/events/{ABSENT}"), None),
                ("POST", "/units".to_owned(), Some("not even JSON")),
                ("DELETE", "/units".to_owned(), None),
            ] {
                let reply = service.send(&Caller(None), method, &path, &headers, body);
                assert_eq!(
                    reply.status, 401,
                    "{trick}, {at}: {method} {path} {}",
                    reply.text
                );
                let reply = reply.expect_problem(401, "unauthenticated");
                let challenge = reply.header("WWW-Authenticate").unwrap_or_default();
                assert!(challenge.starts_with("Bearer"), "{trick}: {challenge}");
            }
        }
    }
    assert_eq!(app.database_jobs(), jobs, "none takes a database thread");

    // the same with nothing wrong: let in, and where there is no database that is what is said
    for token in [
        whole.clone(),
        claiming("aud", json!(["payroll", LOCAL_AUDIENCE])),
        claiming("exp", json!(now as f64 + 60.5)),
        claiming("nbf", json!(now - 5)),
        claiming("exp", json!(now - 5)),
    ] {
        let caller = Caller(Some(token));
        assert_eq!(
            app.get(&caller, "/me").expect(200).body["personRef"],
            "person-hr"
        );
        let away = nowhere
            .get(&caller, "/me")
            .expect_problem(503, "database-unavailable");
        assert!(away.header("Retry-After").is_some());
    }
    let lower = app.send(
        &Caller(None),
        "GET",
        "/me",
        &[("authorization", &format!("bearer {whole}"))],
        None,
    );
    lower.expect(200);
    // what needs no token is answered without one, and with a bad one
    for service in [&app, &nowhere] {
        service.get(&Caller(None), "/api-info").expect(200);
        service
            .get(&Caller(Some("garbage".to_owned())), "/api-info")
            .expect(200);
    }
}
