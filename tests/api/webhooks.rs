//! Webhooks: signed as Standard Webhooks says, missed by nobody, and sent nowhere inside.

use crate::app::{Caller, Reply, TestApp};
use crate::given::Hedemora;
use kompetens::http::answer::BASE;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a receiver was sent.
#[derive(Debug, Clone)]
pub struct Received {
    headers: Vec<(String, String)>,
    body: String,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    fn number(&self) -> i64 {
        self.json()["data"]["number"].as_i64().expect("a number")
    }
}

/// A receiver on this machine, which answers what it is told to.
pub struct Receiver {
    pub url: String,
    answers: Arc<AtomicU16>,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    pub fn new() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let answers = Arc::new(AtomicU16::new(204));
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let (status, kept) = (answers.clone(), received.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (status, kept) = (status.clone(), kept.clone());
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream);
                    // a client may keep its connection
                    while let Some(request) = read(&mut reader) {
                        kept.lock().unwrap().push(request);
                        let status = status.load(Ordering::Relaxed);
                        let answer = format!(
                            "HTTP/1.1 {status} x\r\nContent-Length: 0\r\nLocation: /elsewhere\r\n\r\n"
                        );
                        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Receiver {
            url,
            answers,
            received,
        }
    }

    fn answers(&self, status: u16) {
        self.answers.store(status, Ordering::Relaxed);
    }

    fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits until so many have come.
    #[track_caller]
    pub fn until(&self, count: usize) -> Vec<Received> {
        until(
            || self.received().len() >= count,
            || format!("{count} deliveries, {:?}", self.received()),
        );
        self.received()
    }
}

fn read(reader: &mut BufReader<std::net::TcpStream>) -> Option<Received> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    assert!(line.starts_with("POST /hook "), "{line}");
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else {
            break;
        };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length")?;
    let mut body = vec![0; length.1.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).ok()?;
    Some(Received { headers, body })
}

#[track_caller]
fn until(is_so: impl Fn() -> bool, what: impl Fn() -> String) {
    let began = Instant::now();
    while !is_so() {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "waited for {}",
            what()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn subscribe(app: &TestApp, hr: &Caller, url: &str) -> Reply {
    // it is told of what happens from now on, and not of what waits for its number
    app.until_numbered();
    app.post(hr, "/webhook-subscriptions", &json!({"url": url}))
        .expect(201)
}

fn add_goal(hedemora: &Hedemora, title: &str) {
    let goal = json!({"unitId": hedemora.education, "title": title, "validFrom": "2020-01-01"});
    hedemora
        .app
        .post(&hedemora.hr, "/business-goals", &goal)
        .expect(201);
}

fn deliveries(hedemora: &Hedemora, subscription: &str) -> Vec<Value> {
    let path = format!("/webhook-subscriptions/{subscription}/deliveries?limit=100");
    hedemora.app.get(&hedemora.hr, &path).expect(200).body["items"]
        .as_array()
        .expect("items")
        .clone()
}

fn library(secret: &str) -> Webhook {
    Webhook::new(secret).expect("a secret as the reference library takes it")
}

/// Is one of the signatures what the reference library makes of the message?
fn verifies(secret: &str, received: &Received) -> bool {
    let timestamp = received
        .header("webhook-timestamp")
        .parse()
        .expect("seconds");
    let expected = library(secret)
        .sign(
            received.header("webhook-id"),
            timestamp,
            received.body.as_bytes(),
        )
        .expect("a signature");
    received
        .header("webhook-signature")
        .split(' ')
        .any(|one| one == expected)
}

/// What the reference library says of the message now.
fn verifies_now(secret: &str, received: &Received) -> bool {
    let mut headers = http::HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        headers.insert(name, received.header(name).parse().expect("a header"));
    }
    library(secret)
        .verify(received.body.as_bytes(), &headers)
        .is_ok()
}

#[test]
fn a_change_is_delivered_thin_and_signed_as_the_reference_library_verifies() {
    let hedemora = Hedemora::new();
    // the library compares the time of a message with its own clock
    hedemora.app.it_is(&chrono::Utc::now().to_rfc3339());
    let receiver = Receiver::new();
    let made = subscribe(&hedemora.app, &hedemora.hr, &receiver.url);
    let secret = made.body["secret"].as_str().expect("a secret").to_owned();
    let subscription = made.id();
    let event = hedemora.draft(&hedemora.town_hall);
    // what was made before is not told; first comes the subscription itself, then the event
    let received = receiver.until(2);
    let told = received
        .iter()
        .find(|one| one.json()["type"] == "event.created")
        .expect("the event is told");
    let data = &told.json()["data"];
    assert_eq!(data["resourceId"], json!(event.id()));
    assert_eq!(data["eventId"], json!(event.id()));
    assert_eq!(data["revision"], json!(1));
    assert_eq!(
        told.header("webhook-id"),
        format!("change-{}", told.number())
    );
    for word in ["person-", "Planeringsdag"] {
        assert!(!told.body.contains(word), "{word} in {}", told.body);
    }
    for one in &received {
        assert!(verifies_now(&secret, one), "{one:?}");
        let mut forged = one.clone();
        forged.body = forged.body.replace("revision", "Revision");
        assert!(!verifies_now(&secret, &forged), "the control");
    }
    // the secret was shown once
    let path = format!("/webhook-subscriptions/{subscription}");
    assert_eq!(
        hedemora.app.get(&hedemora.hr, &path).expect(200).body["secret"],
        Value::Null
    );
    until(
        || {
            deliveries(&hedemora, &subscription)
                .iter()
                .filter(|one| one["status"] == "delivered")
                .count()
                >= 2
        },
        || "the log of deliveries".to_owned(),
    );
    let audit = "select count(*) from change_payloads where after::text like '%whsec%' or before::text like '%whsec%'";
    assert_eq!(hedemora.app.count(audit), 0, "no secret in the log");
}

#[test]
fn after_a_rotation_both_secrets_verify_for_a_day_and_then_the_new_one_alone() {
    let hedemora = Hedemora::new();
    let receiver = Receiver::new();
    let made = subscribe(&hedemora.app, &hedemora.hr, &receiver.url);
    let (id, old) = (
        made.id(),
        made.body["secret"].as_str().expect("a secret").to_owned(),
    );
    let path = format!("/webhook-subscriptions/{id}/secret-rotation");
    let etag = made.etag().to_owned();
    let headers = [
        ("If-Match", etag.as_str()),
        ("Idempotency-Key", "rotation-1"),
    ];
    let rotated = hedemora
        .app
        .send(&hedemora.hr, "POST", &path, &headers, None)
        .expect(200);
    let new = rotated.body["secret"]
        .as_str()
        .expect("a secret")
        .to_owned();
    assert_ne!(old, new);
    hedemora
        .app
        .send(&hedemora.hr, "POST", &path, &headers, None)
        .expect_problem(409, "secret-already-shown");
    hedemora
        .app
        .send(&hedemora.hr, "POST", &path, &headers[..1], None)
        .expect_problem(412, "stale-revision");
    add_goal(&hedemora, "Ett");
    let goal = |received: Vec<Received>, nth: usize| {
        received
            .into_iter()
            .filter(|one| one.json()["type"] == "businessGoal.created")
            .nth(nth)
            .expect("the goal")
    };
    let both = goal(receiver.until(3), 0);
    assert!(verifies(&old, &both) && verifies(&new, &both));
    hedemora.app.it_is("2026-09-02T08:00:01Z");
    add_goal(&hedemora, "Två");
    let alone = goal(receiver.until(4), 1);
    assert!(!verifies(&old, &alone) && verifies(&new, &alone));
}

#[test]
fn a_receiver_that_is_down_for_a_while_misses_nothing_and_a_redirect_is_no_delivery() {
    let hedemora = Hedemora::new();
    let receiver = Receiver::new();
    let subscription = subscribe(&hedemora.app, &hedemora.hr, &receiver.url).id();
    receiver.until(1);
    for (status, goals) in [(500, 0..14), (302, 14..16)] {
        receiver.answers(status);
        for goal in goals {
            add_goal(&hedemora, &format!("Mål {goal}"));
        }
        hedemora.app.until_numbered();
    }
    let is_failing = || {
        deliveries(&hedemora, &subscription)
            .iter()
            .filter(|one| one["status"] == "failing")
            .count()
    };
    until(
        || is_failing() == 10,
        || format!("ten open: {:?}", deliveries(&hedemora, &subscription)),
    );
    // with ten open it is left alone until the first is due again
    let tried = receiver.received().len();
    add_goal(&hedemora, "Mål 16");
    hedemora.app.until_numbered();
    assert_eq!(receiver.received().len(), tried);
    let path = format!("/webhook-subscriptions/{subscription}");
    assert!(hedemora.app.get(&hedemora.hr, &path).expect(200).body["failingSince"].is_string());

    receiver.answers(200);
    hedemora.app.it_is("2026-09-01T08:00:07Z");
    hedemora.app.look_for_deliveries();
    // each of them was also sent when it failed
    receiver.until(tried + 17);
    until(
        || {
            deliveries(&hedemora, &subscription)
                .iter()
                .all(|one| one["status"] == "delivered")
        },
        || "all delivered".to_owned(),
    );
    let numbers: BTreeSet<i64> = receiver.received()[tried..]
        .iter()
        .map(Received::number)
        .collect();
    let log = hedemora
        .app
        .get(&hedemora.hr, "/changes?limit=100")
        .expect(200)
        .body;
    let changed: BTreeSet<i64> = log["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter(|change| change["resourceType"] == "businessGoal")
        .filter_map(|change| change["number"].as_i64())
        .collect();
    assert_eq!(changed.len(), 17);
    assert_eq!(numbers, changed, "each of them, and no other");
    assert_eq!(
        hedemora.app.get(&hedemora.hr, &path).expect(200).body["failingSince"],
        Value::Null
    );
}

#[test]
fn after_five_days_of_failure_it_is_turned_off_and_made_active_it_goes_on_where_it_stopped() {
    let hedemora = Hedemora::new();
    let receiver = Receiver::new();
    receiver.answers(503);
    let subscription = subscribe(&hedemora.app, &hedemora.hr, &receiver.url).id();
    receiver.until(1);
    let path = format!("/webhook-subscriptions/{subscription}");
    let state = || hedemora.app.get(&hedemora.hr, &path).expect(200).body;
    until(
        || state()["failingSince"].is_string(),
        || "it is noted".to_owned(),
    );
    hedemora.app.it_is("2026-09-06T08:00:01Z");
    hedemora.app.look_for_deliveries();
    until(
        || state()["status"] == "disabled",
        || format!("{}", state()),
    );
    add_goal(&hedemora, "Medan den är av");
    hedemora.app.until_numbered();
    let tried = receiver.received().len();
    // a test may be sent all the same
    let tests = format!("{path}/test-deliveries");
    let test = hedemora
        .app
        .send(&hedemora.hr, "POST", &tests, &[], None)
        .expect(201);
    let received = receiver.until(tried + 1);
    assert_eq!(received[tried].json()["type"], "webhookSubscription.test");
    let location = test
        .header("Location")
        .expect("a Location")
        .replace(BASE, "");
    until(
        || hedemora.app.get(&hedemora.hr, &location).expect(200).body["responseStatus"] == 503,
        || "what came of it".to_owned(),
    );

    receiver.answers(204);
    hedemora
        .app
        .patch(&hedemora.hr, &path, &json!({"status": "active"}))
        .expect(200);
    until(
        || {
            receiver.received()[tried + 1..]
                .iter()
                .any(|one| one.json()["type"] == "businessGoal.created")
        },
        || "what happened while it was off".to_owned(),
    );
    until(
        || {
            deliveries(&hedemora, &subscription)
                .iter()
                .all(|one| one["status"] == "delivered")
        },
        || "all delivered".to_owned(),
    );
    assert_eq!(state()["failingSince"], Value::Null);
    // one that was delivered is sent again when asked for, under the same id
    let first = deliveries(&hedemora, &subscription)[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let before = receiver.received().len();
    hedemora
        .app
        .send(
            &hedemora.hr,
            "POST",
            &format!("{path}/deliveries/{first}/redelivery"),
            &[],
            None,
        )
        .expect(200);
    receiver.until(before + 1);
}

#[test]
fn several_instances_share_the_work_and_each_change_is_delivered_once() {
    let hedemora = Hedemora::new();
    let other = TestApp::on(&hedemora.app.database, 4);
    other.it_is(crate::given::NOW);
    let receiver = Receiver::new();
    let subscription = subscribe(&hedemora.app, &hedemora.hr, &receiver.url).id();
    std::thread::scope(|scope| {
        for app in [&hedemora.app, &other] {
            let hedemora = &hedemora;
            scope.spawn(move || {
                for goal in 0..10 {
                    let goal = json!({"unitId": hedemora.education, "title": format!("Mål {goal}"), "validFrom": "2020-01-01"});
                    app.post(&hedemora.hr, "/business-goals", &goal).expect(201);
                }
            });
        }
    });
    hedemora.app.until_numbered();
    until(
        || {
            other.look_for_deliveries();
            hedemora.app.look_for_deliveries();
            deliveries(&hedemora, &subscription).len() == 21
        },
        || "all delivered".to_owned(),
    );
    let numbers: Vec<i64> = receiver.received().iter().map(Received::number).collect();
    assert_eq!(numbers.len(), 21, "each once: {numbers:?}");
    assert!(numbers.is_sorted(), "in order: {numbers:?}");
}

#[test]
fn an_address_inside_is_refused_when_made_and_again_when_used() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    for url in [
        "https://10.0.0.1/hook",
        "https://[::1]/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://127.0.0.2/hook",
        "http://1.1.1.1/hook",
        "https://user:secret@1.1.1.1/hook",
        "https://name.invalid/hook",
    ] {
        app.post(&hedemora.hr, "/webhook-subscriptions", &json!({"url": url}))
            .expect_problem(422, "webhook-address-refused");
    }
    // one that was allowed once, or whose name has changed its mind since
    let receiver = Receiver::new();
    let subscription = subscribe(app, &hedemora.hr, &receiver.url).id();
    receiver.until(1);
    let port = receiver.url.rsplit(':').next().expect("a port").to_owned();
    let listener = TcpListener::bind(format!("127.0.0.2:{}", port.trim_end_matches("/hook")))
        .expect("another address of this machine");
    listener.set_nonblocking(true).unwrap();
    let moved = format!(
        "update webhook_subscriptions set url = 'http://127.0.0.2:{port}' where id = '{subscription}'"
    );
    diesel::connection::SimpleConnection::batch_execute(&mut app.database(), &moved)
        .expect("it moves");
    add_goal(&hedemora, "Inåt");
    until(
        || {
            deliveries(&hedemora, &subscription)
                .iter()
                .any(|one| one["error"] == "address-refused")
        },
        || "the refusal".to_owned(),
    );
    assert!(listener.accept().is_err(), "nobody has called");
}

#[test]
fn only_hr_administrators_manage_webhooks_and_a_subscription_is_told_of_the_types_it_asked_for() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    let receiver = Receiver::new();
    let new = json!({"url": receiver.url, "resourceTypes": ["event"]});
    for caller in [hedemora.planner.clone(), app.employee("person-other")] {
        app.post(&caller, "/webhook-subscriptions", &new)
            .expect_problem(403, "forbidden");
        app.get(&caller, "/webhook-subscriptions")
            .expect_problem(403, "forbidden");
    }
    let mistyped = json!({"url": receiver.url, "resourceTypes": ["events"]});
    let refused = app
        .post(&hedemora.hr, "/webhook-subscriptions", &mistyped)
        .expect_problem(422, "invalid-body");
    assert_eq!(refused.faults(), ["/resourceTypes/0"]);
    app.until_numbered();
    let made = app
        .post(&hedemora.hr, "/webhook-subscriptions", &new)
        .expect(201);
    add_goal(&hedemora, "Ett mål");
    let event = hedemora.draft(&hedemora.town_hall).id();
    let received = receiver.until(1);
    assert_eq!(received[0].json()["data"]["resourceId"], json!(event));
    let path = format!("/webhook-subscriptions/{}", made.id());
    let paused = app
        .patch(
            &hedemora.hr,
            &path,
            &json!({"status": "paused", "description": "HR"}),
        )
        .expect(200);
    assert_eq!(
        (&paused.body["status"], &paused.body["revision"]),
        (&json!("paused"), &json!(2))
    );
    let same = app
        .patch(&hedemora.hr, &path, &json!({"status": "paused"}))
        .expect(200);
    assert_eq!(same.body["revision"], json!(2));
    let etag = same.etag().to_owned();
    app.send(&hedemora.hr, "DELETE", &path, &[("If-Match", &etag)], None)
        .expect(204);
    app.get(&hedemora.hr, &path)
        .expect_problem(404, "not-found");
}
