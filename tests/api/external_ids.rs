//! External ids: another system writes what it keeps under its own id, and may send it again and again.

use crate::app::{Caller, Reply};
use crate::given::Hedemora;
use chrono::Utc;
use diesel::Connection;
use kompetens::error::{Code, Error};
use kompetens::external_ids::{self, External, ExternalId, Origin, Written, new_ids};
use kompetens::http::call::Call;
use kompetens::identity::{Actor, Identity, Integration};
use kompetens::organisation::people::{NewPerson, Person};
use kompetens::organisation::units::{NewUnit, Unit};
use kompetens::rules::access::{Role, Scope};
use serde_json::{Value, json};
use std::sync::Barrier;
use uuid::Uuid;

/// One body of each resource, and a member of it with another value that a replace may set.
fn kept_elsewhere(town: &Hedemora) -> Vec<(&'static str, Value, (&'static str, Value))> {
    vec![
        (
            "units",
            json!({"name": "Grundskolan", "type": "unit", "parentId": town.education, "validFrom": "2021-01-01"}),
            ("name", json!("Grundskolorna")),
        ),
        (
            "people",
            json!({"personRef": "person-new", "displayName": "Rektor", "unitId": town.education, "validFrom": "2021-01-01"}),
            ("displayName", json!("Rektor, grundskolan")),
        ),
        (
            "office-appointments",
            json!({"officeType": "departmentHead", "unitId": town.care, "personRef": "person-other", "capacity": "ordinary", "validFrom": "2021-01-01"}),
            ("validTo", json!("2029-01-01")),
        ),
        (
            "business-goals",
            json!({"unitId": town.education, "title": "Fler läser", "validFrom": "2021-01-01"}),
            ("title", json!("Alla läser")),
        ),
        (
            "venues",
            json!({"name": "Folkets hus", "municipalityCode": "2083", "supplierId": "556000-0011", "validFrom": "2021-01-01"}),
            ("supplierId", json!(null)),
        ),
        (
            "supplier-contracts",
            json!({"supplierId": "556000-0013", "supplierName": "Stugan AB", "title": "Lokaler", "registryNumber": "KS 1/21", "validFrom": "2021-01-01"}),
            ("registryNumber", json!(null)),
        ),
        (
            "events",
            town.planning_day(&town.town_hall),
            ("title", json!("Planeringsdagen")),
        ),
    ]
}

fn entries(town: &Hedemora) -> i64 {
    town.app.count("select count(*) from changes")
}

#[test]
fn each_of_the_seven_is_created_left_alone_and_replaced_by_its_external_id_with_one_entry_a_change()
{
    let town = Hedemora::new();
    for (resource, body, (field, value)) in kept_elsewhere(&town) {
        let path = format!("/external-{resource}/hr-system/{resource}.1_~-");
        town.app
            .get(&town.hr, &path)
            .expect_problem(404, "not-found");
        let before = entries(&town);

        let created = town.app.put(&town.hr, &path, &body).expect(201);
        let own = format!("/{resource}/{}", created.id());
        assert_eq!(
            created.header("location"),
            Some(format!("/kompetens/v1{own}").as_str())
        );
        assert_eq!(created.body["sourceSystem"], "hr-system");
        assert_eq!(created.body["externalId"], format!("{resource}.1_~-"));
        assert_eq!(town.app.get(&town.hr, &path).expect(200).body, created.body);
        assert_eq!(town.app.get(&town.hr, &own).expect(200).body, created.body);

        let again = town.app.put(&town.hr, &path, &body).expect(200);
        assert_eq!(again.body, created.body, "{resource}: an equal body");
        assert_eq!(entries(&town), before + 1, "{resource}");

        let mut other = body.clone();
        other[field] = value.clone();
        let replaced = town.app.put(&town.hr, &path, &other).expect(200);
        assert_eq!(replaced.body["revision"], 2, "{resource}");
        assert_eq!(replaced.body["id"], created.body["id"]);
        assert_eq!(replaced.body[field], value, "{resource}: {field}");
        assert_eq!(entries(&town), before + 2, "{resource}");

        for (query, found) in [
            ("sourceSystem=hr-system", 1),
            ("sourceSystem=other", 0),
            ("sourceSystem=hr-system&externalId=nobody", 0),
        ] {
            let list = town
                .app
                .get(&town.hr, &format!("/{resource}?{query}"))
                .expect(200);
            assert_eq!(
                list.body["items"].as_array().map(Vec::len),
                Some(found),
                "{resource}?{query}"
            );
        }
    }
}

#[test]
fn the_last_body_received_changes_nothing_even_when_the_resource_was_edited_here_since() {
    let town = Hedemora::new();
    let path = "/external-business-goals/hr-system/7";
    let body = json!({"unitId": town.education, "title": "Fler läser", "validFrom": "2021-01-01"});
    let id = town.app.put(&town.hr, path, &body).expect(201).id();
    town.app
        .patch(
            &town.hr,
            &format!("/business-goals/{id}"),
            &json!({"title": "Här"}),
        )
        .expect(200);
    let entries_before = entries(&town);
    // the same in other words: another order, a null, an offset of no meaning
    let same =
        r#"{"validTo": null, "validFrom": "2021-01-01", "title": "Fler läser", "unitId": "UNIT"}"#
            .replace("UNIT", &town.education);
    let reply = town
        .app
        .send(&town.hr, "PUT", path, &[], Some(&same))
        .expect(200);
    assert_eq!(reply.body["title"], "Här");
    assert_eq!(entries(&town), entries_before);

    let said = json!({"unitId": town.education, "title": "Alla läser", "validFrom": "2021-01-01"});
    let reply = town.app.put(&town.hr, path, &said).expect(200);
    assert_eq!(reply.body["title"], "Alla läser");
    assert_eq!(entries(&town), entries_before + 1);
    // what stands already, in a body that is new: kept as the last one, and no change
    town.app
        .patch(
            &town.hr,
            &format!("/business-goals/{id}"),
            &json!({"title": "Fler läser"}),
        )
        .expect(200);
    town.app.put(&town.hr, path, &body).expect(200);
    assert_eq!(entries(&town), entries_before + 2);
}

#[test]
fn a_replace_obeys_the_rules_of_a_change_and_answers_its_problems() {
    let town = Hedemora::new();
    let hr = &town.hr;
    let unit = "/external-units/hr-system/u1";
    let body = json!({"name": "Grundskolan", "type": "unit", "parentId": town.education, "validFrom": "2021-01-01"});
    town.app.put(hr, unit, &body).expect(201);
    let with = |field: &str, value: Value| {
        let mut other = body.clone();
        other[field] = value;
        other
    };
    let refused = |reply: Reply, status, code: &str, at: &str| {
        let reply = reply.expect_problem(status, code);
        assert_eq!(reply.faults(), [at], "{}", reply.text);
    };
    for (other, status, code, at) in [
        (
            with("parentId", json!(town.care)),
            422,
            "immutable-field",
            "/parentId",
        ),
        (
            with("validTo", json!("2020-01-01")),
            422,
            "invalid-period",
            "/validTo",
        ),
        (with("nmae", json!("x")), 422, "invalid-body", "/nmae"),
        (
            with("name", json!("19121212-1212")),
            422,
            "personal-number",
            "/name",
        ),
    ] {
        refused(town.app.put(hr, unit, &other), status, code, at);
    }
    // a refused body is not the last one received
    town.app.put(hr, unit, &body).expect(200);

    // an event that has been held keeps what came of it, and is not edited
    let event = "/external-events/booking/9";
    let day = town.planning_day(&town.town_hall);
    let id = town.app.put(&town.planner, event, &day).expect(201).id();
    let mut moved = day.clone();
    moved["occasions"][0]["place"] = json!("digital");
    moved["occasions"][0]
        .as_object_mut()
        .unwrap()
        .remove("venueId");
    let kept = town.app.put(&town.planner, event, &moved).expect(200);
    assert_eq!(kept.body["revision"], 2);
    town.app.it_is("2026-10-06T08:00:00Z");
    let held =
        json!({"status": "held", "reason": "Det blev av.", "actualParticipants": {"total": 12}});
    town.app.change_status(hr, &id, &held).expect(200);
    town.app
        .put(&town.planner, event, &day)
        .expect_problem(409, "not-editable-in-status");
    let registered = {
        let mut it = moved.clone();
        it["registryNumber"] = json!("BUN 2026/1");
        it
    };
    let reply = town.app.put(&town.planner, event, &registered).expect(200);
    assert_eq!(reply.body["actualParticipants"]["total"], 12);

    // what the guideline does not cover is not stored under any id
    let mut visit = day.clone();
    visit["kind"] = json!("studyVisit");
    town.app
        .put(&town.planner, "/external-events/booking/10", &visit)
        .expect_problem(422, "outside-guideline");
}

#[test]
fn who_may_write_by_external_id_is_who_may_write() {
    let town = Hedemora::new();
    let employee = town.app.employee("person-other");
    for (resource, body, _) in kept_elsewhere(&town) {
        let path = format!("/external-{resource}/hr-system/1");
        town.app
            .put(&employee, &path, &body)
            .expect_problem(403, "forbidden");
        town.app
            .put(&Caller(None), &path, &body)
            .expect_problem(401, "unauthenticated");
    }
    // a draft does not exist for those who do not plan it
    let (path, day) = (
        "/external-events/booking/1",
        town.planning_day(&town.town_hall),
    );
    town.app.put(&town.planner, path, &day).expect(201);
    town.app
        .get(&employee, path)
        .expect_problem(404, "not-found");
    town.app
        .put(&employee, path, &day)
        .expect_problem(404, "not-found");
    // a planner adds a venue and gives it a name; its owner and supplier are HR's
    let venue = |name: &str, supplier: Option<&str>| json!({"name": name, "municipalityCode": "2083", "supplierId": supplier, "validFrom": "2021-01-01"});
    let path = "/external-venues/booking/1";
    town.app
        .put(&town.planner, path, &venue("A", Some("556000-0011")))
        .expect_problem(403, "forbidden");
    town.app
        .put(&town.planner, path, &venue("A", None))
        .expect(201);
    town.app
        .put(&town.planner, path, &venue("B", None))
        .expect(200);
    town.app
        .put(&town.planner, path, &venue("B", Some("556000-0011")))
        .expect_problem(403, "forbidden");
}

#[test]
fn an_external_id_is_of_the_documented_form_and_no_personal_number() {
    let town = Hedemora::new();
    let body = json!({"unitId": town.education, "title": "Mål", "validFrom": "2021-01-01"});
    let put = |id: &str| {
        town.app.put(
            &town.hr,
            &format!("/external-business-goals/hr/{id}"),
            &body,
        )
    };
    put(&"x".repeat(100)).expect(201);
    put(&"x".repeat(101)).expect_problem(400, "invalid-parameter");
    put("a%2Fb").expect_problem(400, "invalid-parameter");
    put("a+b").expect_problem(400, "invalid-parameter");
    let refused = put("19121212-1212").expect_problem(400, "invalid-parameter");
    assert!(
        !refused.text.contains("19121212-1212\","),
        "{}",
        refused.text
    );
    assert_eq!(
        town.app
            .count("select count(*) from business_goals where external_id is not null"),
        1
    );
}

#[test]
fn no_if_match_is_needed_and_one_that_is_sent_is_obeyed() {
    let town = Hedemora::new();
    let body = json!({"unitId": town.education, "title": "Mål", "validFrom": "2021-01-01"});
    let path = "/external-business-goals/hr/1";
    let put = |name: &str, value: &str| {
        town.app.send(
            &town.hr,
            "PUT",
            path,
            &[(name, value)],
            Some(&body.to_string()),
        )
    };
    put("If-Match", "\"1\"").expect_problem(412, "stale-revision");
    put("If-None-Match", "*").expect(201);
    put("If-None-Match", "*").expect_problem(412, "stale-revision");
    put("If-Match", "\"2\"").expect_problem(412, "stale-revision");
    put("If-Match", "\"1\"").expect(200);
}

#[test]
fn equal_puts_at_once_end_with_one_resource_and_one_entry() {
    let town = Hedemora::new();
    let person = |round: usize| json!({"personRef": format!("person-{round}"), "displayName": "Ny", "unitId": town.education, "validFrom": "2021-01-01"});
    let before = entries(&town);
    for round in 0..20 {
        let (path, body) = (format!("/external-people/hr/{round}"), person(round));
        let mut answered = at_once(4, || town.app.put(&town.hr, &path, &body).status);
        answered.sort_unstable();
        assert_eq!(answered, [200, 200, 200, 201], "round {round}");
    }
    assert_eq!(entries(&town), before + 20);
    assert_eq!(
        town.app
            .count("select count(*) from people where external_id is not null"),
        20
    );

    // the control: the same steps without waiting for each other, of which one is then refused
    let body: NewPerson = serde_json::from_value(person(99)).unwrap();
    let origin = Origin::new(external_id("hr", "99"), &body).unwrap();
    let call = Call::new(hr_actor(), Utc::now(), "a-request");
    let looked = Barrier::new(2);
    let made = at_once(2, || {
        town.app.database().transaction(|conn| {
            let found = Person::find_for_update(conn, &origin.id)?;
            assert!(found.is_none(), "neither finds it: that is the race");
            looked.wait();
            <Person as External>::create(conn, &call, &new_ids::<Person>(), &body, &origin)
        })
    });
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
    assert_eq!(
        made.iter()
            .filter(|made: &&Result<_, Error>| made.is_err())
            .count(),
        1
    );
}

/// Runs it in so many threads, from behind a barrier.
fn at_once<T: Send>(racers: usize, run: impl Fn() -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(racers);
    std::thread::scope(|scope| {
        let racers: Vec<_> = (0..racers)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    run()
                })
            })
            .collect();
        racers
            .into_iter()
            .map(|racer| racer.join().unwrap())
            .collect()
    })
}

fn external_id(source_system: &str, external_id: &str) -> ExternalId {
    ExternalId {
        source_system: source_system.to_owned(),
        external_id: external_id.to_owned(),
    }
}

fn hr_actor() -> Actor {
    Actor::Person(Identity {
        person_ref: "person-hr".to_owned(),
        roles: [Role::HrAdministrator].into(),
        units: [].into(),
    })
}

#[test]
fn an_integration_uses_only_the_ids_of_its_own_source_system() {
    let town = Hedemora::new();
    let integration = Integration::new(
        Uuid::now_v7(),
        [Scope::OrganisationWrite].into(),
        None,
        "hr-system".to_owned(),
    );
    let call = Call::new(
        Actor::Integration(integration.into()),
        Utc::now(),
        "a-request",
    );
    let new: NewUnit = serde_json::from_value(json!({"name": "Grundskolan", "type": "unit", "parentId": town.education, "validFrom": "2021-01-01"})).unwrap();
    let mut conn = town.app.database();
    let mut write = |system: &str| -> Result<Written, Error> {
        let id = external_id(system, "1");
        conn.transaction(|conn| {
            external_ids::write::<Unit>(conn, &call, &new_ids::<Unit>(), &id, &new)
                .map(|(_, written)| written)
        })
    };
    let refused = write("payroll").expect_err("another system's");
    assert_eq!(refused.code(), Code::Forbidden);
    assert_eq!(write("hr-system").ok(), Some(Written::Created));
    assert_eq!(write("hr-system").ok(), Some(Written::Unchanged));
    // people are bound to none
    let hr = town.app.person("person-hr", &[Role::HrAdministrator], &[]);
    town.app.get(&hr, "/external-units/hr-system/1").expect(200);
}
