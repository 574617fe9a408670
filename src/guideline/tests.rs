use super::*;
use crate::rules::scope::EventKind;

/// Hedemora's version with one thing changed, and what is then wrong with it.
fn faults_when(change: impl FnOnce(&mut NewGuidelineVersion)) -> Vec<(String, &'static str)> {
    let mut version = hedemora();
    change(&mut version);
    version
        .check()
        .into_iter()
        .map(|fault| (fault.pointer, fault.code))
        .collect()
}

fn fault(pointer: &str, code: &'static str) -> Vec<(String, &'static str)> {
    vec![(pointer.to_owned(), code)]
}

fn position(id: &str) -> usize {
    hedemora()
        .questions
        .iter()
        .position(|question| question.id == id)
        .expect("a question")
}

#[test]
fn the_built_in_version_is_sound() {
    assert_eq!(hedemora().check(), []);
}

#[test]
fn the_built_in_version_asks_what_the_guideline_asks() {
    use AnswerKind::*;
    let asked: Vec<_> = hedemora()
        .questions
        .into_iter()
        .map(|it| (it.id, it.answer_kind))
        .collect();
    let expected = [
        ("purpose", Text),
        ("businessGoals", BusinessGoals),
        ("individualEffects", Text),
        ("residentEffects", Text),
        ("beneficiaries", Text),
        ("guidelineGoals", GuidelineGoals),
        ("form", Choice),
        ("trainer", Choice),
        ("engagement", Facets),
        ("venueChoice", Reason),
        ("governingDocuments", Attestation),
        ("evidenceBase", Attestation),
        ("practice", Attestation),
        ("followUp", FollowUps),
    ];
    assert_eq!(asked, expected.map(|(id, kind)| (id.to_owned(), kind)));
}

#[test]
fn hedemoras_version_has_no_mandatory_question_five_goals_and_three_effects() {
    let version = hedemora();
    assert!(
        version
            .questions
            .iter()
            .all(|question| question.weight == Weight::Advisory)
    );
    assert_eq!((version.goals.len(), version.desired_effects.len()), (5, 3));
}

#[test]
fn the_built_in_version_says_everything_in_both_languages() {
    fn texts(value: &serde_json::Value, found: &mut Vec<Text>) {
        match value {
            serde_json::Value::Object(map) if map.contains_key("sv") => {
                found.push(Text::deserialize(value).expect("a text"));
            }
            serde_json::Value::Object(map) => map.values().for_each(|it| texts(it, found)),
            serde_json::Value::Array(items) => items.iter().for_each(|it| texts(it, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    texts(&serde_json::to_value(hedemora()).expect("json"), &mut found);
    assert!(found.len() > 70);
    for text in found {
        assert!(!text.sv.trim().is_empty() && !text.en.trim().is_empty());
        assert!(text.sv.len() <= 2000 && text.en.len() <= 2000);
    }
}

#[test]
fn the_file_holds_nothing_that_the_types_leave_out() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("hedemora.json")).expect("json");
    assert_eq!(serde_json::to_value(hedemora()).expect("json"), file);
}

#[test]
fn the_built_in_id_is_a_uuid_v7_of_its_first_day() {
    assert_eq!(HEDEMORA_ID.get_version_num(), 7);
    assert_eq!(HEDEMORA_ID.get_variant(), uuid::Variant::RFC4122);
    let (seconds, _) = HEDEMORA_ID.get_timestamp().expect("a time").to_unix();
    let first_day = hedemora()
        .valid_from
        .and_hms_opt(0, 0, 0)
        .expect("midnight")
        .and_utc();
    assert_eq!(i64::try_from(seconds), Ok(first_day.timestamp()));
}

#[test]
fn a_version_becomes_a_resource_with_the_same_content() {
    let posted = hedemora();
    let version = GuidelineVersion::new(HEDEMORA_ID, posted.clone(), DateTime::UNIX_EPOCH);
    let mut resource = serde_json::to_value(version).expect("json");
    let fields = resource.as_object_mut().expect("an object");
    for own in ["id", "revision", "createdAt"] {
        assert!(fields.remove(own).is_some(), "{own}");
    }
    assert_eq!(resource, serde_json::to_value(posted).expect("json"));
}

#[test]
fn the_titles_of_event_kinds_are_the_kinds_of_the_contract() {
    use EventKind::*;
    let kinds = [
        PlanningDay,
        KickOff,
        TrainingDay,
        Training,
        Conference,
        Other,
    ];
    assert_eq!(
        serde_json::to_value(kinds).expect("json"),
        serde_json::to_value(EVENT_KINDS).expect("json")
    );
}

#[test]
fn every_id_is_unique_in_its_list() {
    for (change, pointer) in [
        (
            (|version| version.questions[1].id = version.questions[0].id.clone())
                as fn(&mut NewGuidelineVersion),
            "/questions/1/id",
        ),
        (
            |version| version.goals[4].id = version.goals[2].id.clone(),
            "/goals/4/id",
        ),
        (
            |version| version.desired_effects[1].id = version.desired_effects[0].id.clone(),
            "/desiredEffects/1/id",
        ),
        (
            |version| version.ladder[3].id = version.ladder[0].id.clone(),
            "/ladder/3/id",
        ),
        (
            |version| {
                let choices = version.questions[position("engagement")]
                    .choices
                    .as_mut()
                    .expect("facets");
                choices[3].id = choices[1].id.clone();
            },
            "/questions/8/choices/3/id",
        ),
    ] {
        assert_eq!(faults_when(change), fault(pointer, "duplicate-id"));
    }
}

#[test]
fn choices_are_for_choice_and_facets_and_may_be_reason_codes() {
    let choices = || hedemora().questions[position("form")].choices.clone();
    for (id, choices, code) in [
        ("form", None, Some("choices-required")),
        ("engagement", None, Some("choices-required")),
        ("venueChoice", None, None),
        ("purpose", choices(), Some("choices-not-allowed")),
        ("businessGoals", choices(), Some("choices-not-allowed")),
        ("guidelineGoals", choices(), Some("choices-not-allowed")),
        ("practice", choices(), Some("choices-not-allowed")),
        ("followUp", choices(), Some("choices-not-allowed")),
    ] {
        let at = position(id);
        let expected = code.map(|code| (format!("/questions/{at}/choices"), code));
        assert_eq!(
            faults_when(|version| version.questions[at].choices = choices),
            Vec::from_iter(expected),
            "{id}"
        );
    }
}

#[test]
fn only_a_choice_is_multiple() {
    let (form, purpose) = (position("form"), position("purpose"));
    assert_eq!(
        faults_when(|version| version.questions[form].multiple = Some(true)),
        []
    );
    assert_eq!(
        faults_when(|version| version.questions[purpose].multiple = Some(true)),
        fault("/questions/0/multiple", "multiple-not-allowed")
    );
}

#[test]
fn a_unit_may_ask_more_but_the_venue_and_the_follow_up_are_asked_of_all() {
    for (id, code) in [
        ("purpose", None),
        ("venueChoice", Some("unit-not-allowed")),
        ("followUp", Some("unit-not-allowed")),
    ] {
        let at = position(id);
        let expected = code.map(|code| (format!("/questions/{at}/unitId"), code));
        assert_eq!(
            faults_when(|version| version.questions[at].unit_id = Some(HEDEMORA_ID)),
            Vec::from_iter(expected),
            "{id}"
        );
    }
}

#[test]
fn exactly_one_question_is_answered_by_follow_ups() {
    let expected = fault("/questions", "one-follow-ups-question");
    let (purpose, follow_up) = (position("purpose"), position("followUp"));
    assert_eq!(
        faults_when(|version| drop(version.questions.remove(follow_up))),
        expected
    );
    assert_eq!(
        faults_when(|version| version.questions[purpose].answer_kind = AnswerKind::FollowUps),
        expected
    );
}

#[test]
fn one_question_at_most_takes_the_venue_reason_and_one_is_needed_when_a_rung_asks_for_it() {
    let expected = fault("/questions", "one-reason-question");
    let (purpose, venue) = (position("purpose"), position("venueChoice"));
    assert_eq!(
        faults_when(|version| drop(version.questions.remove(venue))),
        expected
    );
    assert_eq!(
        faults_when(|version| version.questions[purpose].answer_kind = AnswerKind::Reason),
        expected
    );
    let without_reasons = |version: &mut NewGuidelineVersion| {
        version.questions.remove(venue);
        version
            .ladder
            .retain(|rung| rung.requires != Requires::Reason);
    };
    assert_eq!(faults_when(without_reasons), []);
}

#[test]
fn a_question_about_the_guidelines_goals_needs_goals() {
    let goals = position("guidelineGoals");
    assert_eq!(
        faults_when(|version| version.goals.clear()),
        fault("/goals", "goals-required")
    );
    let neither = |version: &mut NewGuidelineVersion| {
        version.goals.clear();
        version.questions.remove(goals);
    };
    assert_eq!(faults_when(neither), []);
}

#[test]
fn a_place_stands_on_one_rung_at_most() {
    assert_eq!(
        faults_when(|version| version.ladder[2].place = Place::ProcuredLocal),
        fault("/ladder/2/place", "duplicate-place")
    );
}

#[test]
fn forms_and_trainers_are_the_contracts_and_a_version_may_offer_fewer() {
    for id in ["form", "trainer"] {
        let at = position(id);
        let offer = |choices: fn(&mut Vec<Choice>)| {
            faults_when(|version| choices(version.questions[at].choices.as_mut().expect("choices")))
        };
        assert_eq!(offer(|choices| choices.truncate(2)), [], "{id}");
        let expected = fault(&format!("/questions/{at}/choices"), "unknown-value");
        assert_eq!(
            offer(|choices| choices[0].id = "seance".to_owned()),
            expected,
            "{id}"
        );
    }
}

#[test]
fn a_title_may_be_missing_but_not_unknown() {
    assert_eq!(
        faults_when(|version| version.titles = Titles::default()),
        []
    );
    for (titles, pointer) in [
        (
            (|titles| &mut titles.office_types) as fn(&mut Titles) -> &mut BTreeMap<String, Text>,
            "/titles/officeTypes",
        ),
        (|titles| &mut titles.event_kinds, "/titles/eventKinds"),
        (|titles| &mut titles.forms, "/titles/forms"),
        (|titles| &mut titles.roles, "/titles/roles"),
    ] {
        let with_another = |version: &mut NewGuidelineVersion| {
            titles(&mut version.titles).insert(
                "studyVisit".to_owned(),
                Text::new("Studiebesök", "Study visit"),
            );
        };
        assert_eq!(faults_when(with_another), fault(pointer, "unknown-value"));
    }
}
