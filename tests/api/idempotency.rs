//! Idempotency-Key: the same request sent again is done once and answered again.

use crate::app::{Caller, Reply};
use crate::given::Hedemora;
use kompetens::rules::access::Role;
use serde_json::{Value, json};
use std::sync::Barrier;

const KEY: &str = "Idempotency-Key";

fn post(hedemora: &Hedemora, caller: &Caller, path: &str, key: &str, body: &Value) -> Reply {
    hedemora
        .app
        .send(caller, "POST", path, &[(KEY, key)], Some(&body.to_string()))
}

fn events(hedemora: &Hedemora) -> i64 {
    hedemora.app.count("select count(*) from events")
}

#[test]
fn a_request_sent_again_is_answered_again_and_done_once() {
    let hedemora = Hedemora::new();
    let (app, planner) = (&hedemora.app, &hedemora.planner);
    let body = hedemora.planning_day(&hedemora.town_hall);
    let first = post(&hedemora, planner, "/events", "a", &body).expect(201);
    assert_eq!(first.header("Idempotency-Replayed"), None);
    let entries = app.count("select count(*) from changes");
    // the event changes in between: the answer stays what it was
    let path = format!("/events/{}", first.id());
    app.patch(planner, &path, &json!({"title": "Ändrad"}))
        .expect(200);
    let again = post(&hedemora, planner, "/events", "a", &body).expect(201);
    assert_eq!(again.header("Idempotency-Replayed"), Some("true"));
    assert_eq!(again.text, first.text);
    for name in ["Location", "ETag", "Content-Type"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
    assert_eq!(
        (events(&hedemora), app.count("select count(*) from changes")),
        (1, entries + 1)
    );

    // another request under the key: another body, query or path
    let mut other = body.clone();
    other["title"] = json!("Annan");
    let reused = post(&hedemora, planner, "/events", "a", &other).expect_problem(422, "key-reused");
    assert_eq!(reused.faults(), [KEY]);
    let follow_up =
        json!({"level": "behaviour", "method": "interview", "responsiblePerson": "person-planner"});
    post(
        &hedemora,
        planner,
        &format!("{path}/follow-ups"),
        "a",
        &follow_up,
    )
    .expect_problem(422, "key-reused");

    // an action is replayed though its If-Match is stale by now; without the key it is refused
    let cancel = json!({"status": "cancelled", "reason": "Ingen lokal."}).to_string();
    let action = format!("{path}/status-changes");
    let act = |headers: &[(&str, &str)]| app.send(planner, "POST", &action, headers, Some(&cancel));
    let done = act(&[("If-Match", "\"2\""), (KEY, "b")]).expect(200);
    let replayed = act(&[("If-Match", "\"2\""), (KEY, "b")]).expect(200);
    assert_eq!((&replayed.text, replayed.etag()), (&done.text, done.etag()));
    act(&[("If-Match", "\"2\""), (KEY, "c")]).expect_problem(412, "stale-revision");
    act(&[(KEY, "b")]).expect_problem(428, "if-match-required");

    // a refusal is judged anew
    let mut unknown = body.clone();
    unknown["responsiblePerson"] = json!("person-new");
    post(&hedemora, planner, "/events", "d", &unknown).expect_problem(422, "unknown-person");
    let person = json!({"personRef": "person-new", "displayName": "Ny", "unitId": hedemora.education, "validFrom": "2020-01-01"});
    app.post(&hedemora.hr, "/people", &person).expect(201);
    post(&hedemora, planner, "/events", "d", &unknown).expect(201);

    // another caller's key is another key, and whoever may no longer is refused before a replay
    post(&hedemora, &hedemora.hr, "/events", "a", &body).expect(201);
    let demoted = app.person("person-planner", &[Role::Planner], &[&hedemora.care]);
    post(&hedemora, &demoted, "/events", "a", &body).expect_problem(403, "forbidden");

    // for a day
    let before = events(&hedemora);
    app.it_is("2026-09-02T07:59:59Z");
    assert_eq!(
        post(&hedemora, planner, "/events", "a", &body)
            .expect(201)
            .text,
        first.text
    );
    app.it_is("2026-09-02T08:00:00Z");
    assert_ne!(
        post(&hedemora, planner, "/events", "a", &body)
            .expect(201)
            .id(),
        first.id()
    );
    assert_eq!(events(&hedemora), before + 1);

    for malformed in ["", "två ord", "å", &"x".repeat(256)] {
        post(&hedemora, planner, "/events", malformed, &body).expect_problem(400, "invalid-header");
    }
    post(&hedemora, planner, "/events", &"x".repeat(255), &body).expect(201);
}

#[test]
fn a_replay_stands_though_what_it_built_on_has_ended_since() {
    let hedemora = Hedemora::new();
    let (app, planner) = (&hedemora.app, &hedemora.planner);
    let mut body = hedemora.planning_day(&hedemora.town_hall);
    body["organisingUnitIds"] = json!([hedemora.education, hedemora.energy]);
    let first = post(&hedemora, planner, "/events", "a", &body).expect(201);
    let cancel = json!({"status": "cancelled", "reason": "Ingen lokal."});
    app.change_status(planner, &first.id(), &cancel).expect(200);
    app.patch(
        &hedemora.hr,
        &format!("/units/{}", hedemora.energy),
        &json!({"validTo": "2026-09-15"}),
    )
    .expect(200);
    assert_eq!(
        post(&hedemora, planner, "/events", "a", &body)
            .expect(201)
            .text,
        first.text
    );
    post(&hedemora, planner, "/events", "b", &body).expect_problem(422, "unit-not-covered");
}

/// Thirty-two equal requests at once; 409 and 503 are sent again, as they ask.
fn all_at_once(hedemora: &Hedemora, key: Option<&str>) -> (Vec<Reply>, usize) {
    const AT_ONCE: usize = 32;
    let body = hedemora.planning_day(&hedemora.town_hall).to_string();
    let barrier = Barrier::new(AT_ONCE);
    let headers: Vec<_> = key.map(|key| (KEY, key)).into_iter().collect();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    let mut turned_away = 0;
                    loop {
                        let reply = hedemora.app.send(
                            &hedemora.planner,
                            "POST",
                            "/events",
                            &headers,
                            Some(&body),
                        );
                        if !matches!(reply.status, 409 | 503) {
                            return (reply.expect(201), turned_away);
                        }
                        assert_eq!(reply.header("Retry-After"), Some("1"), "{}", reply.text);
                        turned_away += 1;
                        std::thread::sleep(std::time::Duration::from_millis(30));
                    }
                })
            })
            .collect();
        let answers = clients
            .into_iter()
            .map(|client| client.join().expect("an answer"));
        let (replies, turned_away): (Vec<_>, Vec<usize>) = answers.unzip();
        (replies, turned_away.into_iter().sum())
    })
}

#[test]
fn of_32_equal_requests_with_one_key_at_once_exactly_one_makes_an_event() {
    let hedemora = Hedemora::new();
    // without a key each is a wish of its own: the race is there
    let (replies, _) = all_at_once(&hedemora, None);
    assert_eq!((replies.len(), events(&hedemora)), (32, 32));
    for round in 1..=5 {
        let (replies, _) = all_at_once(&hedemora, Some(&format!("round-{round}")));
        assert_eq!(events(&hedemora), 32 + round, "one event a round");
        assert!(
            replies
                .iter()
                .all(|reply| reply.text == replies[0].text && reply.etag() == replies[0].etag())
        );
        let done = replies
            .iter()
            .filter(|reply| reply.header("Idempotency-Replayed").is_none())
            .count();
        assert_eq!(done, 1);
    }
}
