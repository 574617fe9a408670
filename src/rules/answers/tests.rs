use serde_json::{Value, json};

use super::*;
use crate::guideline::hedemora;

const GOAL: &str = "0192f0c1-7a00-7000-8000-000000000001";

/// The faults of this answer to the question of Hedemora's version with this id, changed a little.
fn faults_after(
    change: impl FnOnce(&mut Question),
    id: &str,
    answer: Value,
) -> Vec<(String, &'static str)> {
    let version = hedemora();
    let goals = version.goals.iter().map(|goal| goal.id.as_str()).collect();
    let mut question = version
        .questions
        .iter()
        .find(|it| it.id == id)
        .expect("asked")
        .clone();
    change(&mut question);
    let answer: PlanningAnswer = serde_json::from_value(answer).expect("the wire form");
    check(&question, &answer, &goals)
        .into_iter()
        .map(|fault| (fault.pointer, fault.code))
        .collect()
}

fn faults(id: &str, answer: Value) -> Vec<(String, &'static str)> {
    faults_after(|_| {}, id, answer)
}

fn assert_accepted(id: &str, answer: Value) {
    assert_eq!(faults(id, answer.clone()), [], "{id} {answer}");
}

fn assert_refused(id: &str, answer: Value, pointer: &str, code: &'static str) {
    assert_eq!(
        faults(id, answer.clone()),
        [(pointer.to_owned(), code)],
        "{id} {answer}"
    );
}

fn engagement(ids: &[&str]) -> Value {
    let facets: Vec<_> = ids
        .iter()
        .map(|id| json!({"facetId": id, "text": "Ja"}))
        .collect();
    json!({"facets": facets})
}

const FACETS: [&str; 4] = ["motivating", "activating", "inclusive", "sustainable"];

/// An answer to a question of each kind.
fn accepted() -> Vec<(&'static str, Value)> {
    vec![
        ("purpose", json!({"text": "Bättre möten"})),
        ("form", json!({"choices": ["workshop"]})),
        ("businessGoals", json!({"goalIds": [GOAL]})),
        (
            "guidelineGoals",
            json!({"goalIds": ["rightCompetence", "keepDeveloping"]}),
        ),
        ("engagement", engagement(&FACETS)),
        ("practice", json!({"attested": true})),
        (
            "venueChoice",
            json!({"reason": {"code": "capacity", "text": "Vi är 140"}}),
        ),
    ]
}

#[test]
fn each_kind_is_answered_with_its_own_field() {
    for (id, answer) in accepted() {
        assert_accepted(id, answer);
    }
}

#[test]
fn only_the_fields_of_the_questions_kind_are_allowed() {
    // an attestation allows three fields more, so none of these is one of them
    let foreign = [
        ("choices", json!(["workshop"])),
        ("goalIds", json!([GOAL])),
        ("facets", engagement(&FACETS)["facets"].clone()),
        ("attested", json!(true)),
    ];
    for (id, answer) in accepted() {
        for (field, value) in &foreign {
            if answer.get(field).is_none() {
                let mut answer = answer.clone();
                answer[*field] = value.clone();
                assert_refused(id, answer, &format!("/{field}"), "field-not-allowed");
            }
        }
    }
    for field in ["text", "references", "reason"] {
        let mut answer = json!({"choices": ["workshop"]});
        answer[field] = match field {
            "text" => json!("Ja"),
            "references" => json!(["Plan"]),
            _ => json!({"text": "Ja"}),
        };
        assert_refused("form", answer, &format!("/{field}"), "field-not-allowed");
    }
}

#[test]
fn an_answer_without_its_field_says_which_is_missing() {
    for (id, answer) in accepted() {
        let field = answer
            .as_object()
            .expect("an object")
            .keys()
            .next()
            .expect("a field")
            .clone();
        assert_refused(id, json!({}), &format!("/{field}"), "required");
    }
}

#[test]
fn a_question_may_be_not_applicable_with_a_reason_that_stands_alone() {
    let not_applicable = json!({"notApplicable": {"reason": "Gäller bara oss"}});
    for (id, mut answer) in accepted()
        .into_iter()
        .filter(|(id, _)| *id != "venueChoice")
    {
        assert_accepted(id, not_applicable.clone());
        let field = answer
            .as_object()
            .expect("an object")
            .keys()
            .next()
            .expect("a field")
            .clone();
        answer["notApplicable"] = not_applicable["notApplicable"].clone();
        assert_refused(id, answer, &format!("/{field}"), "field-not-allowed");
    }
}

#[test]
fn not_applicable_is_refused_for_the_venue_choice() {
    let mut answer = json!({"reason": {"code": "other", "text": "Brand"}});
    answer["notApplicable"] = json!({"reason": "Vill inte"});
    assert_refused("venueChoice", answer, "/notApplicable", "field-not-allowed");
}

#[test]
fn blank_texts_are_refused_wherever_they_stand() {
    for blank in ["", " ", "\t\n", "\u{a0}\u{2003}"] {
        let mut facets = engagement(&FACETS);
        facets["facets"][2]["text"] = json!(blank);
        for (id, answer, pointer) in [
            ("purpose", json!({"text": blank}), "/text"),
            (
                "purpose",
                json!({"notApplicable": {"reason": blank}}),
                "/notApplicable/reason",
            ),
            (
                "practice",
                json!({"attested": false, "reason": {"text": blank}}),
                "/reason/text",
            ),
            (
                "governingDocuments",
                json!({"attested": true, "references": ["Plan", blank]}),
                "/references/1",
            ),
            (
                "venueChoice",
                json!({"reason": {"code": "other", "text": blank}}),
                "/reason/text",
            ),
            ("engagement", facets, "/facets/2/text"),
        ] {
            assert_refused(id, answer, pointer, "blank");
        }
    }
}

#[test]
fn a_choice_takes_one_of_the_offered_ids_unless_multiple() {
    assert_refused(
        "form",
        json!({"choices": ["seance"]}),
        "/choices/0",
        "unknown-choice",
    );
    assert_refused("form", json!({"choices": []}), "/choices", "wrong-number");
    let two = json!({"choices": ["lecture", "workshop"]});
    assert_refused("form", two.clone(), "/choices", "wrong-number");
    let multiple = |question: &mut Question| question.multiple = Some(true);
    assert_eq!(faults_after(multiple, "form", two), []);
    assert_eq!(
        faults_after(multiple, "form", json!({"choices": ["lecture", "lecture"]})),
        [("/choices/1".to_owned(), "duplicate-value")]
    );
    assert_eq!(
        faults_after(multiple, "form", json!({"choices": []})),
        [("/choices".to_owned(), "wrong-number")]
    );
}

#[test]
fn facets_cover_every_facet_of_the_question_once() {
    assert_refused(
        "engagement",
        engagement(&FACETS[..3]),
        "/facets",
        "facet-missing",
    );
    let twice = engagement(&[
        "motivating",
        "activating",
        "inclusive",
        "sustainable",
        "inclusive",
    ]);
    assert_refused("engagement", twice, "/facets/4/facetId", "duplicate-value");
    let another = engagement(&[
        "motivating",
        "activating",
        "inclusive",
        "sustainable",
        "cheap",
    ]);
    assert_refused("engagement", another, "/facets/4/facetId", "unknown-choice");
}

#[test]
fn goals_are_never_none_and_never_twice() {
    for (id, goal) in [
        ("businessGoals", GOAL),
        ("guidelineGoals", "rightCompetence"),
    ] {
        assert_refused(id, json!({"goalIds": []}), "/goalIds", "wrong-number");
        assert_refused(
            id,
            json!({"goalIds": [goal, goal]}),
            "/goalIds/1",
            "duplicate-value",
        );
    }
}

#[test]
fn a_guideline_goal_is_one_of_the_versions() {
    assert_refused(
        "guidelineGoals",
        json!({"goalIds": ["fame"]}),
        "/goalIds/0",
        "unknown-goal",
    );
}

#[test]
fn a_business_goal_has_one_spelling() {
    for other in [
        GOAL.to_uppercase(),
        GOAL.replace('-', ""),
        format!("{{{GOAL}}}"),
        format!("urn:uuid:{GOAL}"),
        "rightCompetence".to_owned(),
    ] {
        assert_refused(
            "businessGoals",
            json!({"goalIds": [other]}),
            "/goalIds/0",
            "invalid-id",
        );
    }
}

#[test]
fn an_attestation_may_name_its_basis_and_refer_to_documents() {
    assert_accepted(
        "evidenceBase",
        json!({"attested": true, "text": "Skolverkets översikt 2025"}),
    );
    assert_accepted(
        "governingDocuments",
        json!({"attested": true, "references": ["Plan 2026"]}),
    );
}

#[test]
fn no_is_an_answer_with_a_reason_or_still_without_and_a_yes_takes_none() {
    assert_accepted("practice", json!({"attested": false}));
    assert_accepted(
        "practice",
        json!({"attested": false, "reason": {"text": "Ren information"}}),
    );
    assert_refused(
        "practice",
        json!({"attested": true, "reason": {"text": "Ja"}}),
        "/reason",
        "field-not-allowed",
    );
}

#[test]
fn a_reason_code_is_for_the_venue_choice_only_and_one_of_its_codes() {
    let coded = json!({"attested": false, "reason": {"code": "capacity", "text": "Nej"}});
    assert_refused("practice", coded, "/reason/code", "field-not-allowed");
    let code = "/reason/code";
    assert_refused(
        "venueChoice",
        json!({"reason": {"code": "view", "text": "Fin utsikt"}}),
        code,
        "unknown-choice",
    );
    assert_refused(
        "venueChoice",
        json!({"reason": {"text": "Fin utsikt"}}),
        code,
        "required",
    );
    for id in [
        "capacity",
        "accessibility",
        "availability",
        "equipment",
        "contractRanking",
        "other",
    ] {
        assert_accepted(
            "venueChoice",
            json!({"reason": {"code": id, "text": "Därför"}}),
        );
    }
}

#[test]
fn a_version_without_codes_takes_the_reason_in_words() {
    let without = |question: &mut Question| question.choices = None;
    assert_eq!(
        faults_after(
            without,
            "venueChoice",
            json!({"reason": {"text": "Därför"}})
        ),
        []
    );
    assert_eq!(
        faults_after(
            without,
            "venueChoice",
            json!({"reason": {"code": "other", "text": "Därför"}})
        ),
        [("/reason/code".to_owned(), "field-not-allowed")]
    );
}

#[test]
fn follow_ups_are_answered_by_follow_ups() {
    assert_refused("followUp", json!({}), "", "answered-by-follow-ups");
}

#[test]
fn a_reason_always_has_a_text_and_unknown_fields_are_refused() {
    for answer in [
        json!({"reason": {"code": "other"}}),
        json!({"reason": {"text": "Ja", "codes": "other"}}),
        json!({"txt": "Ja"}),
        json!({"notApplicable": {}}),
        json!({"notApplicable": true}),
    ] {
        assert!(
            serde_json::from_value::<PlanningAnswer>(answer.clone()).is_err(),
            "{answer}"
        );
    }
}

#[test]
fn what_is_not_given_is_not_written() {
    for (_, answer) in accepted() {
        let read: PlanningAnswer = serde_json::from_value(answer.clone()).expect("the wire form");
        assert_eq!(serde_json::to_value(read).expect("json"), answer);
    }
}
