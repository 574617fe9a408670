//! ETags, If-Match, If-None-Match and merge patch: nobody's change is lost, and what is equal changes nothing.

use crate::given::Hedemora;
use serde_json::{Value, json};

const MERGE_PATCH: (&str, &str) = ("Content-Type", "application/merge-patch+json");

#[test]
fn a_copy_is_current_until_what_is_shown_changes_also_without_a_new_revision() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    let draft = hedemora.draft(&hedemora.town_hall);
    let path = format!("/events/{}", draft.id());
    let (etag, planner) = (draft.etag().to_owned(), &hedemora.planner);
    let with = |header: &str| app.send(planner, "GET", &path, &[("If-None-Match", header)], None);
    assert!(etag.starts_with("\"1-") && etag.len() == 12, "{etag}");
    for known in [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"x\", {etag}"),
        "*".to_owned(),
    ] {
        let reply = with(&known).expect(304);
        assert_eq!((reply.text.as_str(), reply.etag()), ("", etag.as_str()));
    }
    for unknown in ["\"1\"", "\"1-00000000\"", "nonsense", ""] {
        with(unknown).expect(200);
    }
    let answer = format!("{path}/planning-answers/purpose");
    app.put(
        planner,
        &answer,
        &json!({"text": "Vi vill lära av varandra."}),
    )
    .expect(201);
    let after = with(&etag).expect(200);
    assert_eq!(
        after.body["revision"], 1,
        "an answer does not raise the event's revision"
    );
    assert_ne!(after.etag(), etag, "but an open finding went away");
    // and the older ETag still matches for a change: only its revision is compared
    app.send(
        planner,
        "PATCH",
        &path,
        &[("If-Match", &etag)],
        Some(r#"{"title":"Ny"}"#),
    )
    .expect(200);
}

#[test]
fn a_change_names_the_revision_it_was_made_from() {
    let hedemora = Hedemora::new();
    let (app, planner) = (&hedemora.app, &hedemora.planner);
    let draft = hedemora.draft(&hedemora.town_hall);
    let path = format!("/events/{}", draft.id());
    let patch = |header: Option<&str>, body: &Value| {
        let headers: Vec<_> = header
            .map(|value| ("If-Match", value))
            .into_iter()
            .collect();
        app.send(planner, "PATCH", &path, &headers, Some(&body.to_string()))
    };
    let new = json!({"title": "Annan titel"});
    let needed = patch(None, &new).expect_problem(428, "if-match-required");
    assert_eq!(needed.faults(), ["If-Match"]);
    for malformed in [
        "1",
        "\"\"",
        "\"a\"",
        "\"-1\"",
        "W/\"1\"",
        "\"1\", \"2\"",
        "\"99999999999\"",
        "'1'",
    ] {
        patch(Some(malformed), &new).expect_problem(400, "invalid-header");
    }
    patch(Some("\"2\""), &new).expect_problem(412, "stale-revision");
    patch(Some("\"1-00000000\""), &new).expect(200);
    patch(Some("\"1\""), &new).expect_problem(412, "stale-revision");
    patch(Some("\"2\""), &json!({"title": "Tredje"})).expect(200);
    patch(Some("*"), &json!({"title": "Fjärde"})).expect(200);
    let twice = [("If-Match", "\"4\""), ("If-Match", "\"1\"")];
    app.send(planner, "PATCH", &path, &twice, Some("{}"))
        .expect_problem(400, "invalid-header");

    // what is equal is not a change, nor is nothing
    let log = "select count(*) from changes";
    let entries = app.count(log);
    for equal in [
        json!({"title": "Fjärde"}),
        json!({}),
        json!({"description": null}),
        json!({"partners": null}),
        hedemora.planning_day(&hedemora.town_hall),
    ] {
        let mut equal = equal;
        if equal["occasions"].is_array() {
            equal["title"] = json!("Fjärde");
        }
        assert_eq!(
            patch(Some("\"4\""), &equal).expect(200).body["revision"],
            4,
            "{equal}"
        );
    }
    assert_eq!(
        app.count(log),
        entries,
        "an unchanged replay leaves no entry"
    );

    // an answer is created without, and replaced with, a precondition
    let answer = format!("{path}/planning-answers/purpose");
    let put = |headers: &[(&str, &str)], text: &str| {
        app.send(
            planner,
            "PUT",
            &answer,
            headers,
            Some(&json!({"text": text}).to_string()),
        )
    };
    put(&[("If-None-Match", "\"1\"")], "Ett").expect_problem(400, "invalid-header");
    let first = put(&[("If-None-Match", "*")], "Ett").expect(201);
    assert_eq!(
        first.header("Location"),
        Some(format!("/kompetens/v1{answer}").as_str())
    );
    put(&[("If-None-Match", "*")], "Två").expect_problem(412, "stale-revision");
    put(&[], "Två").expect_problem(428, "if-match-required");
    put(&[("If-Match", "\"7\"")], "Två").expect_problem(412, "stale-revision");
    let equal = put(&[("If-Match", first.etag())], "Ett").expect(200);
    assert_eq!(equal.body["revision"], 1);
    assert_eq!(
        put(&[("If-Match", first.etag())], "Två").expect(200).body["revision"],
        2
    );
}

#[test]
fn a_merge_patch_clears_with_null_and_keeps_what_it_does_not_name() {
    let hedemora = Hedemora::new();
    let (app, planner) = (&hedemora.app, &hedemora.planner);
    let mut new = hedemora.planning_day(&hedemora.town_hall);
    new["description"] = json!("Hela dagen");
    new["estimatedCost"] = json!(100);
    new["expectedParticipants"] =
        json!({"total": 9, "perUnit": [{"unitId": hedemora.education, "count": 9}]});
    let path = format!(
        "/events/{}",
        app.post(planner, "/events", &new).expect(201).id()
    );
    for (revision, media) in [MERGE_PATCH, ("Content-Type", "application/json")]
        .into_iter()
        .enumerate()
    {
        let body = [
            r#"{"description":null,"expectedParticipants":{"total":12}}"#,
            r#"{"estimatedCost":0}"#,
        ][revision];
        let if_match = format!("\"{}\"", revision + 1);
        app.send(
            planner,
            "PATCH",
            &path,
            &[("If-Match", &if_match), media],
            Some(body),
        )
        .expect(200);
    }
    let event = app.get(planner, &path).expect(200).body;
    assert_eq!(event.get("description"), None, "cleared");
    assert_eq!(
        (&event["estimatedCost"], &event["title"]),
        (&json!(0), &json!("Planeringsdag"))
    );
    assert_eq!(event["expectedParticipants"]["total"], 12);
    assert_eq!(
        event["expectedParticipants"]["perUnit"][0]["count"], 9,
        "merged at depth"
    );

    // occasions: by id, by equal times, else new; those left out are gone
    let occasion = |day: u32, id: Option<&Value>| json!({"id": id, "startsAt": format!("2026-10-{day:02}T08:30:00+02:00"), "endsAt": format!("2026-10-{day:02}T16:30:00+02:00"), "place": "digital"});
    let ids = |event: &Value| -> Vec<Value> {
        event["occasions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|occasion| occasion["id"].clone())
            .collect()
    };
    let first = ids(&event)[0].clone();
    let two = app
        .patch(
            planner,
            &path,
            &json!({"occasions": [occasion(6, None), occasion(5, None)]}),
        )
        .expect(200);
    let after = ids(&two.body);
    assert_eq!(
        (after.len(), &after[0]),
        (2, &first),
        "equal times keep the id, also in another place"
    );
    assert_eq!(two.body["occasions"][0]["place"], "digital");
    let moved = app
        .patch(
            planner,
            &path,
            &json!({"occasions": [occasion(12, Some(&after[0]))]}),
        )
        .expect(200);
    assert_eq!(
        ids(&moved.body),
        [first],
        "a given id keeps its occasion at other times"
    );
    assert_eq!(moved.body["firstStart"], "2026-10-12T06:30:00Z");
    for (given, code) in [
        (vec![occasion(13, Some(&after[1]))], "unknown-occasion"),
        (
            vec![occasion(13, Some(&after[0])), occasion(14, Some(&after[0]))],
            "invalid-body",
        ),
    ] {
        app.patch(planner, &path, &json!({"occasions": given}))
            .expect_problem(422, code);
    }
    let mut foreign = hedemora.planning_day(&hedemora.town_hall);
    foreign["occasions"][0]["id"] = after[0].clone();
    app.post(planner, "/events", &foreign)
        .expect_problem(422, "unknown-occasion");
}
