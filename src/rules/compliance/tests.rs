use chrono::Days;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::guideline::{NewGuidelineVersion, Place, hedemora};

const OWN: OccasionPlace = OccasionPlace::Venue(Place::OwnPremises);
const LOCAL: OccasionPlace = OccasionPlace::Venue(Place::ProcuredLocal);
const OTHER: OccasionPlace = OccasionPlace::Venue(Place::ProcuredOther);
const NOT_PROCURED: OccasionPlace = OccasionPlace::Venue(Place::NotProcured);

const MUNICIPALITY: Uuid = Uuid::from_u128(1);
const DEPARTMENT: Uuid = Uuid::from_u128(2);
const SCHOOL: Uuid = Uuid::from_u128(3);
const COMPANY: Uuid = Uuid::from_u128(4);

fn day(number: u64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 10, 1).expect("a date") + Days::new(number)
}

/// A plan for day 10 in which nothing has been done.
fn empty() -> PlanFacts {
    PlanFacts {
        answers: BTreeMap::new(),
        occasions: vec![OWN],
        last_day: day(10),
        follow_ups: Vec::new(),
        exceptions: BTreeMap::new(),
        organisers: vec![vec![MUNICIPALITY, DEPARTMENT]],
    }
}

fn answered(id: &str, given: Given) -> PlanFacts {
    let mut plan = empty();
    plan.answers.insert(id.to_owned(), given);
    plan
}

/// Hedemora's version with these questions mandatory.
fn with_mandatory(ids: &[&str]) -> NewGuidelineVersion {
    let mut version = hedemora();
    for question in &mut version.questions {
        if ids.contains(&question.id.as_str()) {
            question.weight = Weight::Mandatory;
        }
    }
    version
}

fn finding_in(version: &NewGuidelineVersion, plan: &PlanFacts, rule: &str) -> Option<RuleFinding> {
    assess(&version.questions, &version.ladder, plan)
        .into_iter()
        .find(|of| of.rule_id == rule)
}

fn finding(plan: &PlanFacts, rule: &str) -> Finding {
    finding_in(&hedemora(), plan, rule).expect("a rule").finding
}

fn reason_for(rung_id: &str) -> Given {
    Given::VenueReason {
        rung_id: rung_id.to_owned(),
    }
}

#[test]
fn there_is_one_finding_for_each_rule_in_the_versions_order() {
    let plan = empty();
    let version = hedemora();
    let rules: Vec<_> = assess(&version.questions, &version.ladder, &plan)
        .into_iter()
        .map(|of| of.rule_id)
        .collect();
    let expected = [
        "question.purpose",
        "question.businessGoals",
        "question.individualEffects",
        "question.residentEffects",
        "question.beneficiaries",
        "question.guidelineGoals",
        "question.form",
        "question.trainer",
        "question.engagement",
        "venueLadder",
        "question.governingDocuments",
        "question.evidenceBase",
        "question.practice",
        "question.followUp",
    ];
    assert_eq!(rules, expected);
}

#[test]
fn without_a_reason_question_the_ladder_is_judged_last() {
    let mut version = hedemora();
    version
        .questions
        .retain(|question| question.answer_kind != AnswerKind::Reason);
    let findings = assess(&version.questions, &version.ladder, &empty());
    assert_eq!(findings.len(), 14);
    assert_eq!(findings[13].rule_id, VENUE_LADDER);
}

// "Weight decides what a 'no' does."

#[test]
fn every_question_needs_an_answer_or_not_applicable_with_a_reason() {
    for question in hedemora().questions {
        if matches!(
            question.answer_kind,
            AnswerKind::Reason | AnswerKind::FollowUps
        ) {
            continue;
        }
        let rule = question_rule(&question.id);
        assert_eq!(finding(&empty(), &rule), Finding::AnswerNeeded);
        assert_eq!(
            finding(&answered(&question.id, Given::Answer), &rule),
            Finding::Met
        );
        assert_eq!(
            finding(&answered(&question.id, Given::NotApplicable), &rule),
            Finding::NotApplicable
        );
    }
}

#[test]
fn an_advisory_attestation_answered_no_needs_a_reason_and_is_then_met() {
    for (reasoned, expected) in [(false, Finding::ReasonNeeded), (true, Finding::Met)] {
        let plan = answered("practice", Given::AttestedNo { reasoned });
        assert_eq!(finding(&plan, "question.practice"), expected);
    }
}

#[test]
fn a_mandatory_question_not_applicable_or_answered_no_needs_an_exception() {
    let version = with_mandatory(&["purpose", "practice"]);
    for (id, given, expected) in [
        ("purpose", None, Finding::AnswerNeeded),
        ("purpose", Some(Given::Answer), Finding::Met),
        (
            "purpose",
            Some(Given::NotApplicable),
            Finding::ExceptionNeeded,
        ),
        ("practice", Some(Given::Answer), Finding::Met),
        (
            "practice",
            Some(Given::NotApplicable),
            Finding::ExceptionNeeded,
        ),
        (
            "practice",
            Some(Given::AttestedNo { reasoned: false }),
            Finding::ExceptionNeeded,
        ),
        (
            "practice",
            Some(Given::AttestedNo { reasoned: true }),
            Finding::ExceptionNeeded,
        ),
    ] {
        let plan = given
            .clone()
            .map_or_else(empty, |given| answered(id, given));
        let of = finding_in(&version, &plan, &question_rule(id)).expect("a rule");
        assert_eq!(of.finding, expected, "{id} {given:?}");
    }
}

#[test]
fn what_an_answer_gives_is_read_off_its_fields() {
    for (answer, rung_id, given) in [
        (json!({"text": "Ja"}), None, Given::Answer),
        (json!({"attested": true}), None, Given::Answer),
        (
            json!({"attested": false}),
            None,
            Given::AttestedNo { reasoned: false },
        ),
        (
            json!({"attested": false, "reason": {"text": "Nej"}}),
            None,
            Given::AttestedNo { reasoned: true },
        ),
        (
            json!({"notApplicable": {"reason": "Nej"}}),
            None,
            Given::NotApplicable,
        ),
        (
            json!({"reason": {"code": "other", "text": "Nej"}}),
            Some("procuredLocal"),
            reason_for("procuredLocal"),
        ),
    ] {
        let answer = serde_json::from_value(answer).expect("an answer");
        assert_eq!(Given::new(&answer, rung_id), given);
    }
}

// Follow-ups

#[test]
fn a_planned_completed_or_waived_follow_up_on_the_last_day_or_later_answers_the_question() {
    use FollowUpStatus::*;
    for (status, due, expected) in [
        (Planned, 9, Finding::AnswerNeeded),
        (Planned, 10, Finding::Met),
        (Planned, 100, Finding::Met),
        (Completed, 10, Finding::Met),
        (Waived, 10, Finding::Met),
        (Cancelled, 10, Finding::AnswerNeeded),
    ] {
        let mut plan = empty();
        plan.follow_ups.push((status, day(due)));
        assert_eq!(
            finding(&plan, "question.followUp"),
            expected,
            "{status:?} {due}"
        );
    }
    assert_eq!(
        finding(&empty(), "question.followUp"),
        Finding::AnswerNeeded
    );
}

#[test]
fn moving_the_event_later_opens_the_finding_again() {
    let mut plan = empty();
    plan.follow_ups.push((FollowUpStatus::Planned, day(10)));
    assert_eq!(finding(&plan, "question.followUp"), Finding::Met);
    plan.last_day = day(11);
    assert_eq!(finding(&plan, "question.followUp"), Finding::AnswerNeeded);
}

#[test]
fn an_answer_stored_for_the_follow_up_question_does_not_satisfy_it() {
    let plan = answered("followUp", Given::Answer);
    assert_eq!(finding(&plan, "question.followUp"), Finding::AnswerNeeded);
}

// The venue ladder

#[test]
fn the_rung_decides_what_the_venue_needs() {
    use OccasionPlace::{Digital, Undecided};
    for (occasions, expected, rung_id) in [
        (vec![Digital], Finding::NotApplicable, None),
        (vec![OWN, Undecided], Finding::AnswerNeeded, None),
        (vec![OWN], Finding::Met, Some("ownPremises")),
        (
            vec![OWN, LOCAL],
            Finding::ReasonNeeded,
            Some("procuredLocal"),
        ),
        (
            vec![OTHER, OWN],
            Finding::ReasonNeeded,
            Some("procuredOther"),
        ),
        (
            vec![NOT_PROCURED, Digital],
            Finding::ExceptionNeeded,
            Some("notProcured"),
        ),
    ] {
        let plan = PlanFacts {
            occasions: occasions.clone(),
            ..empty()
        };
        let of = finding_in(&hedemora(), &plan, VENUE_LADDER).expect("a rule");
        assert_eq!(
            (of.finding, of.rung_id.as_deref()),
            (expected, rung_id),
            "{occasions:?}"
        );
    }
}

#[test]
fn a_place_that_the_ladder_does_not_list_needs_an_exception() {
    let mut version = hedemora();
    version.ladder.truncate(3);
    let plan = PlanFacts {
        occasions: vec![NOT_PROCURED],
        ..empty()
    };
    let of = finding_in(&version, &plan, VENUE_LADDER).expect("a rule");
    assert_eq!((of.finding, of.rung_id), (Finding::ExceptionNeeded, None));
}

#[test]
fn a_reason_satisfies_its_rung_and_better_ones_and_a_worse_one_asks_again() {
    for (given_for, place, expected) in [
        ("procuredLocal", OWN, Finding::Met),
        ("procuredLocal", LOCAL, Finding::Met),
        ("procuredLocal", OTHER, Finding::ReasonNeeded),
        ("procuredOther", LOCAL, Finding::Met),
        ("procuredOther", OTHER, Finding::Met),
        ("procuredOther", NOT_PROCURED, Finding::ExceptionNeeded),
        ("notProcured", NOT_PROCURED, Finding::ExceptionNeeded),
        ("goneFromTheLadder", LOCAL, Finding::ReasonNeeded),
    ] {
        let plan = PlanFacts {
            occasions: vec![place],
            ..answered("venueChoice", reason_for(given_for))
        };
        assert_eq!(
            finding(&plan, VENUE_LADDER),
            expected,
            "{given_for} {place:?}"
        );
    }
}

#[test]
fn only_a_venue_reason_answers_for_the_venue() {
    for given in [Given::Answer, Given::NotApplicable] {
        let plan = PlanFacts {
            occasions: vec![LOCAL],
            ..answered("venueChoice", given)
        };
        assert_eq!(finding(&plan, VENUE_LADDER), Finding::ReasonNeeded);
    }
}

// Questions of a unit's own

#[test]
fn a_units_own_question_is_asked_when_the_unit_or_one_below_it_organises() {
    let mut version = hedemora();
    version.questions[0].unit_id = Some(DEPARTMENT);
    for (organisers, asked) in [
        (vec![vec![MUNICIPALITY, DEPARTMENT]], true),
        (vec![vec![MUNICIPALITY, DEPARTMENT, SCHOOL]], true),
        (
            vec![
                vec![MUNICIPALITY, COMPANY],
                vec![MUNICIPALITY, DEPARTMENT, SCHOOL],
            ],
            true,
        ),
        (vec![vec![MUNICIPALITY, COMPANY]], false),
        (vec![vec![MUNICIPALITY]], false),
    ] {
        let plan = PlanFacts {
            organisers: organisers.clone(),
            ..empty()
        };
        let of = finding_in(&version, &plan, "question.purpose");
        assert_eq!(of.is_some(), asked, "{organisers:?}");
    }
}

// Exceptions

#[test]
fn an_approved_exception_covers_any_open_finding_and_says_which_it_is() {
    let request = Uuid::from_u128(7);
    let open = |rule: &str, plan: PlanFacts| {
        let exceptions = BTreeMap::from([(rule.to_owned(), request)]);
        let plan = PlanFacts { exceptions, ..plan };
        let of = finding_in(&hedemora(), &plan, rule).expect("a rule");
        (of.finding, of.exception_request_id)
    };
    let covered = (Finding::CoveredByException, Some(request));
    assert_eq!(open("question.purpose", empty()), covered);
    assert_eq!(open("question.followUp", empty()), covered);
    let said_no = answered("practice", Given::AttestedNo { reasoned: false });
    assert_eq!(open("question.practice", said_no), covered);
    let hired = PlanFacts {
        occasions: vec![NOT_PROCURED],
        ..empty()
    };
    assert_eq!(open(VENUE_LADDER, hired), covered);
}

#[test]
fn a_rule_that_is_met_or_not_applicable_needs_no_exception() {
    let request = Uuid::from_u128(7);
    for (given, expected) in [
        (Given::Answer, Finding::Met),
        (Given::NotApplicable, Finding::NotApplicable),
    ] {
        let mut plan = answered("purpose", given);
        plan.exceptions
            .insert("question.purpose".to_owned(), request);
        let of = finding_in(&hedemora(), &plan, "question.purpose").expect("a rule");
        assert_eq!((of.finding, of.exception_request_id), (expected, None));
    }
}

#[test]
fn an_exception_covers_the_rule_that_it_names_and_no_other() {
    let mut plan = empty();
    plan.exceptions
        .insert("question.purpose".to_owned(), Uuid::from_u128(7));
    assert_eq!(
        finding(&plan, "question.businessGoals"),
        Finding::AnswerNeeded
    );
}

#[test]
fn a_kept_finding_reads_as_it_was_written() {
    let kept = RuleFinding {
        rule_id: VENUE_LADDER.to_owned(),
        finding: Finding::CoveredByException,
        rung_id: Some("notProcured".to_owned()),
        exception_request_id: Some(Uuid::from_u128(7)),
    };
    let written = json!({
        "ruleId": "venueLadder",
        "finding": "coveredByException",
        "rungId": "notProcured",
        "exceptionRequestId": "00000000-0000-0000-0000-000000000007",
    });
    assert_eq!(serde_json::to_value(&kept).expect("json"), written);
    assert_eq!(
        serde_json::from_value::<RuleFinding>(written).expect("a finding"),
        kept
    );
}

// Properties over every plan

fn any_given() -> impl Strategy<Value = Given> {
    let rung = prop::sample::select(vec![
        "ownPremises",
        "procuredLocal",
        "procuredOther",
        "gone",
    ]);
    prop_oneof![
        Just(Given::Answer),
        Just(Given::NotApplicable),
        any::<bool>().prop_map(|reasoned| Given::AttestedNo { reasoned }),
        rung.prop_map(reason_for),
    ]
}

fn any_plan() -> impl Strategy<Value = PlanFacts> {
    let ids: Vec<_> = hedemora()
        .questions
        .into_iter()
        .map(|question| question.id)
        .collect();
    let rules: Vec<_> = ids
        .iter()
        .map(|id| question_rule(id))
        .chain([VENUE_LADDER.to_owned()])
        .collect();
    let occasion = prop::sample::select(vec![
        OccasionPlace::Digital,
        OccasionPlace::Undecided,
        OWN,
        LOCAL,
        OTHER,
        NOT_PROCURED,
    ]);
    let status = prop::sample::select(vec![
        FollowUpStatus::Planned,
        FollowUpStatus::Completed,
        FollowUpStatus::Waived,
        FollowUpStatus::Cancelled,
    ]);
    let organiser = prop::sample::select(vec![
        vec![MUNICIPALITY],
        vec![MUNICIPALITY, DEPARTMENT],
        vec![MUNICIPALITY, DEPARTMENT, SCHOOL],
        vec![MUNICIPALITY, COMPANY],
    ]);
    (
        prop::collection::btree_map(prop::sample::select(ids), any_given(), 0..14),
        prop::collection::vec(occasion, 1..4),
        prop::collection::vec((status, (5u64..15).prop_map(day)), 0..3),
        prop::collection::btree_map(prop::sample::select(rules), Just(Uuid::from_u128(7)), 0..6),
        prop::collection::vec(organiser, 1..3),
    )
        .prop_map(
            |(answers, occasions, follow_ups, exceptions, organisers)| PlanFacts {
                answers,
                occasions,
                last_day: day(10),
                follow_ups,
                exceptions,
                organisers,
            },
        )
}

fn any_version() -> impl Strategy<Value = NewGuidelineVersion> {
    let weight = prop::sample::select(vec![Weight::Advisory, Weight::Mandatory]);
    let unit = prop_oneof![
        3 => Just(None),
        1 => prop::sample::select(vec![DEPARTMENT, SCHOOL]).prop_map(Some),
    ];
    (prop::collection::vec((weight, unit), 14), 1usize..=4).prop_map(|(questions, rungs)| {
        let mut version = hedemora();
        version.ladder.truncate(rungs);
        for (question, (weight, unit)) in version.questions.iter_mut().zip(questions) {
            question.weight = weight;
            if !matches!(
                question.answer_kind,
                AnswerKind::Reason | AnswerKind::FollowUps
            ) {
                question.unit_id = unit;
            }
        }
        version
    })
}

proptest! {
    #[test]
    fn each_rule_that_applies_is_found_once(version in any_version(), plan in any_plan()) {
        prop_assert_eq!(version.check(), []);
        let found: Vec<_> = assess(&version.questions, &version.ladder, &plan)
            .into_iter()
            .map(|of| of.rule_id)
            .collect();
        let rules: Vec<_> = version
            .questions
            .iter()
            .filter(|question| applies(question, &plan.organisers))
            .map(|question| match question.answer_kind {
                AnswerKind::Reason => VENUE_LADDER.to_owned(),
                _ => question_rule(&question.id),
            })
            .collect();
        prop_assert_eq!(found, rules);
    }

    #[test]
    fn an_event_is_confirmable_exactly_when_no_rule_is_open(version in any_version(), plan in any_plan()) {
        let findings = assess(&version.questions, &version.ladder, &plan);
        prop_assert_eq!(confirmable(&findings), open(&findings).is_empty());
    }

    #[test]
    fn only_an_exception_that_names_the_rule_clears_what_needs_one(version in any_version(), plan in any_plan()) {
        let without = PlanFacts { exceptions: BTreeMap::new(), ..plan.clone() };
        let before = assess(&version.questions, &version.ladder, &without);
        let after = assess(&version.questions, &version.ladder, &plan);
        for (before, after) in before.into_iter().zip(after) {
            let request = plan.exceptions.get(&before.rule_id).filter(|_| before.finding.is_open());
            prop_assert_eq!(after.exception_request_id.as_ref(), request);
            let expected = if request.is_some() { Finding::CoveredByException } else { before.finding };
            prop_assert_eq!(after.finding, expected);
        }
    }

    #[test]
    fn an_answer_closes_its_own_question_and_touches_no_other(version in any_version(), plan in any_plan(), index in 0usize..14) {
        let question = &version.questions[index];
        prop_assume!(!matches!(question.answer_kind, AnswerKind::Reason | AnswerKind::FollowUps));
        let mut answered = plan.clone();
        answered.answers.insert(question.id.clone(), Given::Answer);
        let before = assess(&version.questions, &version.ladder, &plan);
        let after = assess(&version.questions, &version.ladder, &answered);
        for (before, after) in before.into_iter().zip(after) {
            if after.rule_id == question_rule(&question.id) {
                prop_assert_eq!(after.finding, Finding::Met);
            } else {
                prop_assert_eq!(after, before);
            }
        }
    }
}
