//! The change feed: whoever follows it ends with what the database holds.

use crate::app::{Caller, TestApp, schema_faults};
use crate::given::Hedemora;
use kompetens::rules::access::Role;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

/// A copy kept by following the feed.
#[derive(Default)]
struct Copy {
    after: i64,
    numbers: Vec<i64>,
    resources: BTreeMap<(String, String), Value>,
}

impl Copy {
    /// Reads on until nothing more stands.
    fn follow(&mut self, app: &TestApp, reader: &Caller) {
        loop {
            let path = format!("/changes?after={}&limit=7", self.after);
            let answer = app.get(reader, &path).expect(200).body;
            for item in answer["items"].as_array().expect("items") {
                self.numbers
                    .push(item["number"].as_i64().expect("a number"));
                let text = |name: &str| item[name].as_str().expect("a text").to_owned();
                let key = (text("resourceType"), text("resourceId"));
                if item["tombstone"] == json!(true) {
                    self.resources.remove(&key);
                } else if !item["resource"].is_null() {
                    self.resources.insert(key, item["resource"].clone());
                }
            }
            self.after = answer["nextAfter"].as_i64().expect("where to go on");
            if answer["hasMore"] == json!(false) {
                return;
            }
        }
    }

    fn of_type(&self, resource_type: &str) -> BTreeMap<String, Value> {
        self.resources
            .iter()
            .filter(|((name, _), _)| name == resource_type)
            .map(|((_, id), resource)| (id.clone(), resource.clone()))
            .collect()
    }
}

/// What the database holds now, read by list.
fn held(app: &TestApp, caller: &Caller, path: &str) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    let mut next = format!("{path}?limit=100");
    loop {
        let page = app.get(caller, &next).expect(200).body;
        for item in page["items"].as_array().expect("items") {
            all.insert(item["id"].as_str().expect("an id").to_owned(), item.clone());
        }
        match page["nextCursor"].as_str() {
            Some(cursor) => next = format!("{path}?limit=100&cursor={cursor}"),
            None => return all,
        }
    }
}

#[test]
fn a_reader_that_follows_while_sixteen_writers_write_ends_with_exactly_what_the_database_holds() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    let auditor = app.person("person-auditor", &[Role::Auditor], &[]);
    let is_over = AtomicBool::new(false);
    let mut copy = Copy::default();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                copy.follow(app, &auditor);
            }
        });
        let writers: Vec<_> = (0..16)
            .map(|writer| {
                let hedemora = &hedemora;
                scope.spawn(move || {
                    let app = &hedemora.app;
                    for round in 0..4 {
                        let mut event = hedemora.planning_day(&hedemora.town_hall);
                        event["title"] = json!(format!("Dag {writer}-{round}"));
                        let event = insist(|| app.post(&hedemora.planner, "/events", &event)).id();
                        let path = format!("/events/{event}");
                        let body = json!({"description": format!("Ändrad {round}")});
                        insist(|| app.patch(&hedemora.planner, &path, &body));
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().expect("a writer ends");
        }
        is_over.store(true, Ordering::Relaxed);
        reader.join().expect("the reader ends");
    });
    app.until_numbered();
    copy.follow(app, &auditor);
    assert_eq!(
        copy.numbers,
        (1..=copy.after).collect::<Vec<_>>(),
        "no gap and no number twice"
    );
    let events = held(app, &hedemora.hr, "/events");
    assert!(events.len() >= 64);
    assert_eq!(copy.of_type("event"), events);
    for (name, path) in [
        ("unit", "/units"),
        ("person", "/people"),
        ("venue", "/venues"),
    ] {
        assert_eq!(copy.of_type(name), held(app, &hedemora.hr, path), "{name}");
    }
}

/// The crowd may be told to come again (503); then it comes again.
fn insist(send: impl Fn() -> crate::app::Reply) -> crate::app::Reply {
    loop {
        let reply = send();
        if reply.status != 503 {
            assert!(reply.status < 300, "{}", reply.text);
            return reply;
        }
    }
}

/// Clients choose the type by this.
fn schema_of(resource_type: &str) -> String {
    match resource_type {
        "planningAnswer" => "GivenAnswer".to_owned(),
        "followUp" => "StoredFollowUp".to_owned(),
        "apiClient" => "MachineClient".to_owned(),
        other => other[..1].to_uppercase() + &other[1..],
    }
}

#[test]
fn every_resource_of_the_feed_has_the_schema_that_the_document_names_for_its_type() {
    let database = crate::app::fresh_database();
    let app = TestApp::on(&database, 8);
    kompetens::demo::load(&crate::app::service_url(&database)).expect("the demo data loads");
    let hr = app.hr();
    app.post(&hr, "/business-goals", &json!({"unitId": "0190a000-0000-7000-8000-000000000101", "title": "Mål", "validFrom": "2020-01-01"}))
        .expect(201);
    app.until_numbered();
    let (mut after, mut types) = (0, BTreeSet::new());
    loop {
        let list = app
            .get(&hr, &format!("/changes?limit=100&after={after}"))
            .expect(200)
            .body;
        for item in list["items"].as_array().expect("items") {
            let name = item["resourceType"].as_str().expect("a type");
            let schema = json!({"$ref": format!("#/components/schemas/{}", schema_of(name))});
            if let Some(resource) = item.get("resource") {
                let faults = schema_faults(&schema, resource);
                assert!(faults.is_empty(), "{name}: {faults:?} in {resource}");
                types.insert(name.to_owned());
            }
        }
        after = list["nextAfter"].as_i64().expect("a number");
        if list["hasMore"] == json!(false) {
            break;
        }
    }
    assert!(types.len() >= 14, "{types:?}");
}

#[test]
fn the_feed_is_for_hr_auditors_and_integrations_with_the_scope() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    app.get(&hedemora.hr, "/changes").expect(200);
    for caller in [
        hedemora.planner.clone(),
        app.employee("person-other"),
        app.person("person-archivist", &[Role::Archivist], &[]),
    ] {
        app.get(&caller, "/changes")
            .expect_problem(403, "forbidden");
    }
    app.get(&hedemora.hr, "/changes?after=-1")
        .expect_problem(400, "invalid-parameter");
    app.get(&hedemora.hr, "/changes?limit=101")
        .expect_problem(400, "invalid-parameter");
    let beyond = app
        .get(&hedemora.hr, "/changes?after=1000000")
        .expect(200)
        .body;
    assert_eq!(
        (&beyond["items"], &beyond["nextAfter"], &beyond["hasMore"]),
        (&json!([]), &json!(1_000_000), &json!(false))
    );
}

/// An integration with these scopes that reaches these units.
fn integration(app: &TestApp, scopes: &[&str], units: &[&str]) -> Caller {
    let mut new = json!({"name": "HR-systemet", "scopes": scopes, "sourceSystem": "hr", "expiresAt": "2027-06-30T22:00:00Z"});
    if !units.is_empty() {
        new["unitIds"] = json!(units);
    }
    let made = app.post(&app.hr(), "/api-clients", &new).expect(201);
    Caller(Some(
        made.body["secret"].as_str().expect("a secret").to_owned(),
    ))
}

#[test]
fn an_integration_follows_what_it_may_read_and_an_event_that_leaves_its_units_leaves_a_tombstone() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    let reader = integration(
        app,
        &["changes:read", "events:read"],
        &[&hedemora.education],
    );
    app.get(&integration(app, &["events:read"], &[]), "/changes")
        .expect_problem(403, "forbidden");

    let own = hedemora.draft(&hedemora.town_hall).id();
    hedemora.plan_follow_up(&own);
    let mut of_care = hedemora.planning_day(&hedemora.town_hall);
    of_care["organisingUnitIds"] = json!([hedemora.care]);
    let foreign = app.post(&hedemora.hr, "/events", &of_care).expect(201).id();
    app.until_numbered();
    let mut copy = Copy::default();
    copy.follow(app, &reader);
    assert_eq!(
        copy.of_type("event").into_keys().collect::<Vec<_>>(),
        std::slice::from_ref(&own)
    );
    assert_eq!(copy.of_type("followUp").len(), 1);
    // a draft of another unit, units and people are not for it
    assert!(
        !copy
            .resources
            .keys()
            .any(|(name, id)| *id == foreign || name == "person" || name == "unit")
    );

    let path = format!("/events/{own}");
    app.patch(
        &hedemora.hr,
        &path,
        &json!({"organisingUnitIds": [hedemora.care]}),
    )
    .expect(200);
    app.until_numbered();
    copy.follow(app, &reader);
    assert_eq!(copy.of_type("event").len(), 0, "it has left");
    app.patch(
        &hedemora.hr,
        &path,
        &json!({"organisingUnitIds": [hedemora.education]}),
    )
    .expect(200);
    app.until_numbered();
    copy.follow(app, &reader);
    assert_eq!(
        copy.of_type("event")[&own],
        app.get(&hedemora.hr, &path).expect(200).body,
        "it is back"
    );
}
