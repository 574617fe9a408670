//! What does this event still lack?
//!
//! One finding for each rule of the event's guideline version, in the version's order, computed whenever it is read
//! and never stored before the event is held. The rules are `question.<id>` for every question that applies, and
//! `venueLadder` in the place of the question of kind `reason`, or last where a version has none.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answers::PlanningAnswer;
use super::follow_up::FollowUpStatus;
use super::venue_ladder::{self, OccasionPlace, Standing};
use crate::guideline::{AnswerKind, Question, Requires, Rung, Weight};

/// The rule that judges the venue.
pub const VENUE_LADDER: &str = "venueLadder";

/// The rule that judges this question.
pub fn question_rule(question_id: &str) -> String {
    format!("question.{question_id}")
}

/// What the check against the guideline says of one rule.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Finding {
    /// The rule is satisfied.
    Met,
    /// An answer, a follow-up or a place is missing.
    AnswerNeeded,
    /// A reason is missing.
    ReasonNeeded,
    /// Only an approved exception opens the way.
    ExceptionNeeded,
    /// An approved exception covers it.
    CoveredByException,
    /// The rule does not apply.
    NotApplicable,
}

impl Finding {
    /// An open finding keeps the event from being confirmed, and may be asked an exception for.
    pub fn is_open(self) -> bool {
        matches!(
            self,
            Finding::AnswerNeeded | Finding::ReasonNeeded | Finding::ExceptionNeeded
        )
    }
}

/// The finding of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleFinding {
    /// `question.<id>` or `venueLadder`.
    pub rule_id: String,
    pub finding: Finding,
    /// The rung that the event stands on, for `venueLadder`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rung_id: Option<String>,
    /// The exception request that covers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception_request_id: Option<Uuid>,
}

/// What was given for a question, as far as the findings depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// An answer; of an attestation, yes.
    Answer,
    /// Not applicable, with a reason.
    NotApplicable,
    /// An attestation answered no, with or without a reason.
    AttestedNo { reasoned: bool },
    /// A venue reason, given for the rung with this id.
    VenueReason { rung_id: String },
}

impl Given {
    /// What this answer gives; `rung_id` is the rung stored with a venue reason.
    pub fn new(answer: &PlanningAnswer, rung_id: Option<&str>) -> Given {
        if let Some(rung_id) = rung_id {
            Given::VenueReason {
                rung_id: rung_id.to_owned(),
            }
        } else if answer.not_applicable.is_some() {
            Given::NotApplicable
        } else if answer.attested == Some(false) {
            Given::AttestedNo {
                reasoned: answer.reason.is_some(),
            }
        } else {
            Given::Answer
        }
    }
}

/// What an event's findings depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanFacts {
    /// What was given, by question id.
    pub answers: BTreeMap<String, Given>,
    /// The place of each occasion.
    pub occasions: Vec<OccasionPlace>,
    /// The last of the event's dates in Stockholm.
    pub last_day: NaiveDate,
    /// The follow-ups' states and due dates.
    pub follow_ups: Vec<(FollowUpStatus, NaiveDate)>,
    /// The approved exception requests that are not stale, by the rules they name.
    pub exceptions: BTreeMap<String, Uuid>,
    /// For each organiser the units from the root down to it.
    pub organisers: Vec<Vec<Uuid>>,
}

impl PlanFacts {
    /// A follow-up that has not been cancelled is due on the event's last day or later (R32).
    fn has_follow_up(&self) -> bool {
        self.follow_ups
            .iter()
            .any(|(status, due)| *status != FollowUpStatus::Cancelled && *due >= self.last_day)
    }
}

/// The finding of every rule of a version with these questions and this ladder.
pub fn assess(questions: &[Question], ladder: &[Rung], plan: &PlanFacts) -> Vec<RuleFinding> {
    let asked = || {
        questions
            .iter()
            .filter(|question| applies(question, &plan.organisers))
    };
    let reason = asked().find(|question| question.answer_kind == AnswerKind::Reason);
    let mut findings: Vec<_> = asked()
        .map(|question| match question.answer_kind {
            AnswerKind::Reason => venue_finding(reason, ladder, plan),
            _ => question_finding(question, plan),
        })
        .collect();
    if reason.is_none() {
        findings.push(venue_finding(None, ladder, plan));
    }
    for of in &mut findings {
        let approved = plan.exceptions.get(&of.rule_id);
        if of.finding.is_open() && approved.is_some() {
            of.finding = Finding::CoveredByException;
            of.exception_request_id = approved.copied();
        }
    }
    findings
}

fn question_finding(question: &Question, plan: &PlanFacts) -> RuleFinding {
    let mandatory = question.weight == Weight::Mandatory;
    let finding = if question.answer_kind == AnswerKind::FollowUps {
        if plan.has_follow_up() {
            Finding::Met
        } else {
            Finding::AnswerNeeded
        }
    } else {
        match plan.answers.get(&question.id) {
            None => Finding::AnswerNeeded,
            Some(Given::Answer | Given::VenueReason { .. }) => Finding::Met,
            Some(Given::NotApplicable | Given::AttestedNo { .. }) if mandatory => {
                Finding::ExceptionNeeded
            }
            Some(Given::NotApplicable) => Finding::NotApplicable,
            Some(Given::AttestedNo { reasoned: true }) => Finding::Met,
            Some(Given::AttestedNo { reasoned: false }) => Finding::ReasonNeeded,
        }
    };
    RuleFinding {
        rule_id: question_rule(&question.id),
        finding,
        rung_id: None,
        exception_request_id: None,
    }
}

fn venue_finding(reason: Option<&Question>, ladder: &[Rung], plan: &PlanFacts) -> RuleFinding {
    let has_reason_for = |rung: &Rung| {
        let given = reason.and_then(|question| plan.answers.get(&question.id));
        matches!(given, Some(Given::VenueReason { rung_id }) if venue_ladder::satisfies(ladder, rung_id, &rung.id))
    };
    let standing = venue_ladder::standing(ladder, &plan.occasions);
    let finding = match standing {
        Standing::NotApplicable => Finding::NotApplicable,
        Standing::Undecided => Finding::AnswerNeeded,
        Standing::OffLadder => Finding::ExceptionNeeded,
        Standing::OnLadder { rung, .. } => match rung.requires {
            Requires::Nothing => Finding::Met,
            Requires::Reason if has_reason_for(rung) => Finding::Met,
            Requires::Reason => Finding::ReasonNeeded,
            Requires::Exception => Finding::ExceptionNeeded,
        },
    };
    RuleFinding {
        rule_id: VENUE_LADDER.to_owned(),
        finding,
        rung_id: standing.rung().map(|rung| rung.id.clone()),
        exception_request_id: None,
    }
}

/// An event may be confirmed when no finding is open.
pub fn confirmable(findings: &[RuleFinding]) -> bool {
    !findings.iter().any(|of| of.finding.is_open())
}

/// The rules whose findings are open, in order.
pub fn open(findings: &[RuleFinding]) -> Vec<&str> {
    findings
        .iter()
        .filter(|of| of.finding.is_open())
        .map(|of| of.rule_id.as_str())
        .collect()
}

/// Is nothing more to be answered for this question now? The one of kind `reason` is asked only while the venue asks for a reason.
pub fn is_settled(question: &Question, findings: &[RuleFinding]) -> bool {
    let asking: (String, &[Finding]) = match question.answer_kind {
        AnswerKind::Reason => (VENUE_LADDER.to_owned(), &[Finding::ReasonNeeded]),
        _ => (
            question_rule(&question.id),
            &[Finding::AnswerNeeded, Finding::ReasonNeeded],
        ),
    };
    !findings
        .iter()
        .any(|of| of.rule_id == asking.0 && asking.1.contains(&of.finding))
}

/// Does this question apply to an event of these organisers? One for a unit applies when an organiser is that unit or
/// below it (R23).
pub fn applies(question: &Question, organisers: &[Vec<Uuid>]) -> bool {
    question
        .unit_id
        .is_none_or(|unit| organisers.iter().any(|chain| chain.contains(&unit)))
}

#[cfg(test)]
mod tests;
