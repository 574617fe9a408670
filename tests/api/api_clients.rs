//! API clients: machines with a secret of their own, their scopes, and the persons they speak for (domain section 7).

use crate::app::{Caller, Reply, TestApp, fresh_database, service_url, superuser_url};
use crate::given::Hedemora;
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use kompetens::identity::tokens::SECRETS_HOLD;
use kompetens::rules::access::Role;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn new_client(scopes: &[&str]) -> Value {
    json!({"name": "HR-systemet", "scopes": scopes, "sourceSystem": "hr", "expiresAt": "2099-01-01T00:00:00Z"})
}

/// The caller that an answer with a secret makes.
fn machine(reply: &Reply) -> Caller {
    let secret = reply.body["secret"].as_str().expect("a secret");
    Caller(Some(secret.to_owned()))
}

fn client(app: &TestApp, scopes: &[&str]) -> (String, Caller) {
    let made = app
        .post(&app.hr(), "/api-clients", &new_client(scopes))
        .expect(201);
    (made.id(), machine(&made))
}

/// Takes an action on a client at its present revision.
fn act(app: &TestApp, id: &str, action: &str, body: Option<&Value>) -> Reply {
    let path = format!("/api-clients/{id}");
    let etag = app.get(&app.hr(), &path).expect(200).etag().to_owned();
    let body = body.map(Value::to_string);
    let (method, path) = match action {
        "patch" => ("PATCH", path),
        action => ("POST", format!("{path}/{action}")),
    };
    let headers = [("If-Match", etag.as_str())];
    app.send(&app.hr(), method, &path, &headers, body.as_deref())
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn refused(app: &TestApp, caller: &Caller) -> bool {
    let reply = app.get(caller, "/me");
    if reply.status == 401 {
        let challenge = reply.header("WWW-Authenticate");
        assert_eq!(challenge, Some("Bearer error=\"invalid_token\""));
    }
    reply.status == 401
}

#[test]
fn a_secret_is_shown_once_lets_the_machine_in_at_once_and_stands_in_no_other_answer_and_in_no_log()
{
    let app = TestApp::empty();
    let body = new_client(&["events:read"]).to_string();
    let key = [("Idempotency-Key", "the-first-client")];
    let made = app
        .send(&app.hr(), "POST", "/api-clients", &key, Some(&body))
        .expect(201);
    let secret = made.body["secret"].as_str().expect("a secret");
    assert!(
        secret.starts_with("kompetens_") && secret.len() > 70,
        "{secret}"
    );
    let me = app.get(&machine(&made), "/me").expect(200).body;
    assert_eq!(me["clientId"], made.body["id"]);
    assert_eq!(me["scopes"], json!(["events:read"]));
    assert_eq!((&me["roles"], me.get("personRef")), (&json!([]), None));

    let again = app
        .send(&app.hr(), "POST", "/api-clients", &key, Some(&body))
        .expect_problem(409, "secret-already-shown");
    assert_eq!(again.header("Location"), made.header("Location"));
    let path = format!("/api-clients/{}", made.id());
    let random = &secret[secret.len() - 30..];
    for reply in [
        app.get(&app.hr(), &path).expect(200),
        app.get(&app.hr(), "/api-clients").expect(200),
    ] {
        assert!(!reply.text.contains(random) && !reply.text.contains("\"secret\""));
        assert!(reply.text.contains("HR-systemet"));
    }
    for table in [
        "change_payloads",
        "changes",
        "idempotency_records",
        "api_client_secrets",
    ] {
        let found = format!("select count(*) from {table} t where t::text like '%{random}%'");
        assert_eq!(app.count(&found), 0, "{table}");
    }
    let entries = "select count(*) from changes where resource_type = 'apiClient'";
    assert_eq!(app.count(entries), 1);
    wait_until("its use is written", || {
        let client = app.get(&app.hr(), &path).expect(200).body;
        client["secrets"][0]["lastUsedAt"].is_string()
    });
    // using it changed nothing of the client
    assert_eq!(app.get(&app.hr(), &path).body["revision"], 1);
    assert_eq!(app.count(entries), 1);
}

#[test]
fn only_an_hr_administrator_manages_clients_and_nobody_else_learns_whether_there_is_one() {
    let app = TestApp::empty();
    let (id, machine) = client(
        &app,
        &[
            "events:read",
            "events:write",
            "organisation:write",
            "imports:write",
            "audit:read",
            "changes:read",
        ],
    );
    let others = [
        app.employee("person-1"),
        app.person("person-2", &[Role::Planner, Role::UnitManager], &[]),
        app.person("person-3", &[Role::Auditor, Role::Archivist], &[]),
        machine,
    ];
    let absent = "0190a000-0000-7000-8000-00000000dead";
    for other in &others {
        app.get(other, "/api-clients")
            .expect_problem(403, "forbidden");
        app.post(other, "/api-clients", &new_client(&["events:read"]))
            .expect_problem(403, "forbidden");
        for id in [&*id, absent] {
            let path = format!("/api-clients/{id}");
            app.get(other, &path).expect_problem(403, "forbidden");
            for (method, path, body) in [
                ("PATCH", path.clone(), Some("{\"name\": \"X\"}")),
                ("POST", format!("{path}/secret-rotation"), None),
                ("POST", format!("{path}/ending"), None),
            ] {
                app.send(other, method, &path, &[("If-Match", "*")], body)
                    .expect_problem(403, "forbidden");
            }
        }
    }
    app.get(&app.hr(), &format!("/api-clients/{absent}"))
        .expect_problem(404, "not-found");
}

#[test]
fn while_a_secret_is_replaced_both_are_good_and_never_more_than_two() {
    let app = TestApp::empty();
    app.it_is("2026-09-01T08:00:00Z");
    let (id, first) = client(&app, &["events:read"]);
    let rotated = act(&app, &id, "secret-rotation", None).expect(200);
    let second = machine(&rotated);
    assert_eq!(
        rotated.body["secrets"][0]["expiresAt"],
        "2026-09-08T08:00:00Z"
    );
    assert_eq!(rotated.body["revision"], 2);
    assert!(!refused(&app, &first) && !refused(&app, &second));

    // the one before the last ends with the next rotation
    let third = machine(&act(&app, &id, "secret-rotation", None).expect(200));
    assert!(!refused(&app, &third) && !refused(&app, &second));
    wait_until("the first is refused", || refused(&app, &first));

    // a leaked one ends now
    let now = json!({"previousExpiresAt": "2026-09-01T07:00:00Z"});
    let fourth = machine(&act(&app, &id, "secret-rotation", Some(&now)).expect(200));
    assert!(!refused(&app, &fourth));
    wait_until("the others are refused", || {
        refused(&app, &second) && refused(&app, &third)
    });

    // a week later the one before is over
    let fifth = machine(&act(&app, &id, "secret-rotation", None).expect(200));
    app.it_is("2026-09-08T07:59:00Z");
    assert!(!refused(&app, &fourth) && !refused(&app, &fifth));
    app.it_is("2026-09-08T08:00:00Z");
    assert!(refused(&app, &fourth) && !refused(&app, &fifth));
}

#[test]
fn an_ended_or_expired_client_is_refused_and_changed_no_more() {
    let app = TestApp::empty();
    app.it_is("2026-09-01T08:00:00Z");
    let (id, machine_one) = client(&app, &["events:read"]);
    assert!(!refused(&app, &machine_one));
    let patched = json!({"name": "Lönesystemet", "expiresAt": "2026-10-01T00:00:00Z"});
    act(&app, &id, "patch", Some(&patched)).expect(200);
    act(&app, &id, "patch", Some(&json!({"sourceSystem": "other"})))
        .expect_problem(422, "immutable-field");
    let past = act(
        &app,
        &id,
        "patch",
        Some(&json!({"expiresAt": "2026-09-01T08:00:00Z"})),
    );
    assert_eq!(
        past.expect_problem(422, "invalid-body").faults(),
        ["/expiresAt"]
    );
    app.it_is("2026-10-01T00:00:00Z");
    wait_until("it has expired", || refused(&app, &machine_one));

    app.it_is("2026-09-01T09:00:00Z");
    assert!(!refused(&app, &machine_one));
    let ended = act(&app, &id, "ending", None).expect(200);
    assert_eq!(ended.body["endedAt"], "2026-09-01T09:00:00Z");
    assert_eq!(ended.body["secrets"], json!([]));
    wait_until("it has ended", || refused(&app, &machine_one));
    let again = act(&app, &id, "ending", None).expect(200);
    assert_eq!(again.body["revision"], ended.body["revision"]);
    act(&app, &id, "secret-rotation", None).expect_problem(409, "api-client-ended");
    act(&app, &id, "patch", Some(&json!({"name": "X"}))).expect_problem(409, "api-client-ended");
}

#[test]
fn two_instances_on_one_database_take_a_new_secret_at_once_and_end_it_within_five_seconds() {
    let database = fresh_database();
    let (one, other) = (TestApp::on(&database, 4), TestApp::on(&database, 4));
    for round in 0..3 {
        let (id, machine) = client(&one, &["events:read"]);
        assert!(!refused(&other, &machine), "round {round}");
        assert!(!refused(&one, &machine), "round {round}");
        act(&one, &id, "ending", None).expect(200);
        let ended = Instant::now();
        wait_until("both refuse it", || {
            refused(&one, &machine) && refused(&other, &machine)
        });
        assert!(
            ended.elapsed() < Duration::from_secs(5),
            "{:?}",
            ended.elapsed()
        );
    }
}

/// Takes the database away from every service.
fn close(database: &str) {
    PgConnection::establish(&superuser_url("postgres"))
        .expect("the cluster answers")
        .batch_execute(&format!(
            "alter database {database} with allow_connections false;
             select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'"
        ))
        .expect("the database can be closed");
}

#[test]
fn a_secret_holds_without_the_database_for_so_long_and_then_no_more_since_it_may_have_been_ended() {
    assert_eq!(SECRETS_HOLD, Duration::from_secs(300));
    let database = fresh_database();
    let app = TestApp::adjusted(&service_url(&database), &database, 2, |service| {
        let verifier = Arc::get_mut(&mut service.verifier).expect("nobody shares it yet");
        verifier.secrets_hold = Duration::from_millis(2500);
    });
    let (_, machine) = client(&app, &["events:read"]);
    assert!(!refused(&app, &machine));
    close(&database);
    app.get(&machine, "/me").expect(200);
    wait_until("the secret holds no more", || {
        app.get(&machine, "/me").status != 200
    });
    app.get(&machine, "/me")
        .expect_problem(503, "database-unavailable");
    // who needs no database is known all the same
    app.get(&app.employee("person-1"), "/nothing")
        .expect_problem(404, "not-found");
}

#[test]
fn no_trick_with_a_secret_lets_a_machine_in_and_what_is_good_holds_while_the_database_is_away() {
    let database = fresh_database();
    let app = TestApp::on(&database, 4);
    let (_, machine) = client(&app, &["events:read"]);
    let secret = machine.0.clone().expect("a secret");
    assert!(!refused(&app, &machine));
    let (id, random) = secret["kompetens_".len()..]
        .split_once('_')
        .expect("two parts");
    let flipped = if random.starts_with('A') { "B" } else { "A" };
    let tricks = [
        "kompetens_".to_owned(),
        format!("kompetens_{id}"),
        format!("kompetens_{id}_"),
        format!("kompetens_{id}_{flipped}{}", &random[1..]),
        format!("kompetens_{id}_{}", &random[1..]),
        format!("kompetens_{id}_{random}="),
        format!("kompetens_{id}_{random}{}", "x".repeat(9000)),
        format!("Kompetens_{id}_{random}"),
        format!("kompetens_{}_{random}", "0".repeat(32)),
        format!("{id}_{random}"),
        "kompetens_%00_%00".to_owned(),
    ];
    let try_all = |app: &TestApp| {
        for trick in &tricks {
            assert!(refused(app, &Caller(Some(trick.clone()))), "{trick}");
        }
    };
    try_all(&app);

    close(&database);
    try_all(&app);
    // it is let in, by what is held in memory; what it asks for needs the database
    assert_eq!(
        app.get(&machine, "/me").expect(200).body["scopes"],
        json!(["events:read"])
    );
    app.get(&machine, "/events")
        .expect_problem(503, "database-unavailable");
    // an instance that has never known the secrets cannot tell
    let newcomer = TestApp::on(&database, 1);
    newcomer
        .get(&machine, "/me")
        .expect_problem(503, "database-unavailable");
}

#[test]
fn a_scope_opens_what_it_names_and_units_bound_it() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    let drafted = hedemora.draft(&hedemora.town_hall).id();
    let reader = |units: Option<&str>| {
        let mut new = new_client(&["events:read"]);
        if let Some(unit) = units {
            new["unitIds"] = json!([unit]);
        }
        machine(&app.post(&hedemora.hr, "/api-clients", &new).expect(201))
    };
    let event = format!("/events/{drafted}");
    for (units, sees) in [
        (None, true),
        (Some(&*hedemora.municipality), true),
        (Some(&*hedemora.education), true),
        (Some(&*hedemora.preschool), false),
        (Some(&*hedemora.energy), false),
    ] {
        let reader = reader(units);
        let listed = app.get(&reader, "/events").expect(200).body["items"]
            .as_array()
            .map(Vec::len);
        assert_eq!(listed, Some(usize::from(sees)), "{units:?}");
        let status = if sees { 200 } else { 404 };
        app.get(&reader, &event).expect(status);
        let patch = app.send(
            &reader,
            "PATCH",
            &event,
            &[("If-Match", "*")],
            Some("{\"title\": \"X\"}"),
        );
        patch.expect(if sees { 403 } else { 404 });
    }
    let mut bounded = new_client(&["organisation:write"]);
    bounded["unitIds"] = json!([hedemora.education]);
    let refused = app.post(&hedemora.hr, "/api-clients", &bounded);
    assert_eq!(
        refused.expect_problem(422, "invalid-body").faults(),
        ["/unitIds"]
    );
    let mut nowhere = new_client(&["events:read"]);
    nowhere["unitIds"] = json!(["0190a000-0000-7000-8000-00000000dead"]);
    let refused = app.post(&hedemora.hr, "/api-clients", &nowhere);
    assert_eq!(
        refused.expect_problem(422, "unknown-unit").faults(),
        ["/unitIds/0"]
    );
}

#[test]
fn an_integration_asks_for_an_exception_on_behalf_of_someone_who_may_and_the_log_keeps_both() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    let event = hedemora.draft(&hedemora.castle).id();
    let (id, booking) = client(app, &["events:read", "exceptions:write"]);
    let (_, reader) = client(app, &["events:read"]);
    app.post(
        &hedemora.hr,
        "/people",
        &json!({"personRef": "person-gone", "displayName": "Har slutat", "unitId": hedemora.education, "validFrom": "2020-01-01", "validTo": "2026-09-01"}),
    )
    .expect(201);
    let path = format!("/events/{event}/exception-requests");
    let ask = |caller: &Caller, on_behalf_of: Option<&str>| {
        let body = json!({
            "ruleIds": ["venueLadder"], "reason": "Plats för 200.", "alternativesConsidered": "Inga.",
            "addressee": "municipalDirector", "decisionNeededBy": "2026-10-01", "onBehalfOf": on_behalf_of,
        });
        app.post(caller, &path, &body)
    };
    let at = ["/onBehalfOf"];
    assert_eq!(
        ask(&booking, None)
            .expect_problem(422, "invalid-body")
            .faults(),
        at
    );
    for unknown in ["person-nobody", "person-gone", "client:x"] {
        let reply = ask(&booking, Some(unknown)).expect_problem(422, "unknown-person");
        assert_eq!(reply.faults(), at);
    }
    // who works in another unit has no right of their own to it
    assert_eq!(
        ask(&booking, Some("person-other"))
            .expect_problem(403, "forbidden")
            .faults(),
        at
    );
    // nor has an integration without the scope, whoever it names
    ask(&reader, Some("person-planner")).expect_problem(403, "forbidden");
    // a person asks in their own name
    assert_eq!(
        ask(&hedemora.planner, Some("person-head"))
            .expect_problem(403, "forbidden")
            .faults(),
        at
    );
    assert_eq!(
        ask(&hedemora.hr, Some("person-head"))
            .expect_problem(403, "forbidden")
            .faults(),
        at
    );
    assert_eq!(app.count("select count(*) from exception_requests"), 0);

    let asked = ask(&booking, Some("person-planner")).expect(201);
    assert_eq!(asked.body["requestedBy"], "person-planner");
    let kept = |operation: &str| {
        app.count(&format!(
            "select count(*) from changes where resource_type = 'exceptionRequest' and operation = '{operation}'
             and actor = 'client:{id}' and client = '{id}' and on_behalf_of = 'person-planner'"
        ))
    };
    assert_eq!((kept("create"), kept("update")), (1, 0));

    // a machine never decides, and withdraws only for the requester
    let request = format!("/exception-requests/{}", asked.id());
    let decision = json!({"outcome": "approved", "reasons": "Ja.", "noConflictOfInterest": true});
    app.post(&booking, &format!("{request}/decisions"), &decision)
        .expect_problem(403, "wrong-office");
    let withdraw = |caller: &Caller, body: Option<Value>| {
        let body = body.map(|body| body.to_string());
        let path = format!("{request}/withdrawal");
        app.send(caller, "POST", &path, &[("If-Match", "*")], body.as_deref())
    };
    assert_eq!(
        withdraw(&booking, None)
            .expect_problem(422, "invalid-body")
            .faults(),
        at
    );
    let of = |person: &str| Some(json!({"onBehalfOf": person}));
    withdraw(&booking, of("person-head")).expect_problem(403, "forbidden");
    withdraw(&hedemora.planner, of("person-planner")).expect_problem(403, "forbidden");
    let withdrawn = withdraw(&booking, of("person-planner")).expect(200);
    assert_eq!(withdrawn.body["status"], "withdrawn");
    assert_eq!(kept("update"), 1);
}
