//! Planning: the answers to the guideline's questions (R25–R32) and what the event still lacks.
//!
//! Answers are versioned; those standing at a confirmation are frozen as its baseline (R33). Compliance is computed
//! whenever it is read, by `rules::compliance`, until the event is held or cancelled, when the findings are kept.

pub mod handlers;
pub mod queries;

use chrono::{DateTime, NaiveDate, Utc};
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::changes::{self, Change, Operation, ResourceType};
use crate::db::schema::planning_answers;
use crate::db::sql_types::AsJson;
use crate::error::{Code, Error};
use crate::events::Event;
use crate::exceptions;
use crate::follow_ups::{self, StoredFollowUp};
use crate::guideline::{self, AnswerKind, GuidelineVersion, Question};
use crate::http::call::Call;
use crate::organisation::goals;
use crate::rules::answers::{self, PlanningAnswer};
use crate::rules::compliance::{self, Given, PlanFacts, RuleFinding};
use crate::rules::follow_up::FollowUpStatus;
use crate::rules::lifecycle::{self, Editable};
use crate::rules::venue_ladder;

/// The answer that stands for a question, with its own revision.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, Deserialize, ToSchema)]
#[diesel(table_name = planning_answers, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct GivenAnswer {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000001301")]
    pub id: Uuid,
    /// The event.
    #[schema(example = "0190a000-0000-7000-8000-000000001001")]
    pub event_id: Uuid,
    /// The question.
    #[schema(example = "purpose")]
    pub question_id: String,
    /// Goes up by one with each change of the answer.
    #[schema(example = 1)]
    pub revision: i32,
    /// The answer, as it is given with PUT.
    #[schema(value_type = PlanningAnswer)]
    pub answer: AsJson<PlanningAnswer>,
    /// The rung of the venue ladder that a venue reason was given for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "procuredLocal")]
    pub rung_id: Option<String>,
    /// Who gave it.
    #[schema(example = "person-0003")]
    pub answered_by: String,
    /// When.
    #[schema(example = "2026-09-02T08:00:00Z")]
    pub answered_at: DateTime<Utc>,
}

/// A question with the answer that stands for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanningItem {
    /// The question, as the guideline version asks it.
    pub question: Question,
    /// The answer; absent while there is none, and for `followUps`, which planned follow-ups answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<GivenAnswer>,
}

/// Everything that compliance is judged by.
pub struct Plan {
    pub version: GuidelineVersion,
    pub answers: Vec<GivenAnswer>,
    pub follow_ups: Vec<StoredFollowUp>,
    facts: PlanFacts,
}

impl Plan {
    pub fn load(conn: &mut PgConnection, event: &Event) -> Result<Plan, Error> {
        let version = guideline::queries::find(conn, event.guideline_version_id)?;
        let answers = queries::answers(conn, event.id)?;
        let follow_ups = follow_ups::queries::of_event(conn, event.id)?;
        let facts = PlanFacts {
            answers: answers
                .iter()
                .map(|given| {
                    (
                        given.question_id.clone(),
                        Given::new(&given.answer.0, given.rung_id.as_deref()),
                    )
                })
                .collect::<BTreeMap<_, _>>(),
            occasions: queries::places(conn, event.id, &version.municipality_code)?,
            last_day: event.last_day(),
            follow_ups: follow_ups
                .iter()
                .map(|planned| (planned.status, planned.due_date))
                .collect(),
            exceptions: exceptions::queries::covering(conn, event.id)?
                .into_iter()
                .collect(),
            organisers: event.organiser_paths.0.clone(),
        };
        Ok(Plan {
            version,
            answers,
            follow_ups,
            facts,
        })
    }

    /// One finding per rule, as things stand now.
    pub fn findings(&self) -> Vec<RuleFinding> {
        compliance::assess(&self.version.questions, &self.version.ladder, &self.facts)
    }

    /// The questions that apply to the event, with the answers that stand.
    pub fn items(&self) -> Vec<PlanningItem> {
        self.questions()
            .map(|question| PlanningItem {
                question: question.clone(),
                given: self
                    .answers
                    .iter()
                    .find(|given| given.question_id == question.id)
                    .cloned(),
            })
            .collect()
    }

    fn questions(&self) -> impl Iterator<Item = &Question> {
        self.version
            .questions
            .iter()
            .filter(|question| compliance::applies(question, &self.facts.organisers))
    }

    /// What the rules of an event's life ask of its follow-ups.
    pub fn follow_up_facts(&self) -> &[(FollowUpStatus, NaiveDate)] {
        &self.facts.follow_ups
    }

    /// Is there an approved exception from the rule that asks for a follow-up?
    pub fn follow_up_excepted(&self) -> bool {
        self.facts.exceptions.contains_key(&self.follow_up_rule())
    }

    /// The rule that asks for a follow-up.
    pub fn follow_up_rule(&self) -> String {
        let question = self
            .version
            .questions
            .iter()
            .find(|question| question.answer_kind == AnswerKind::FollowUps);
        compliance::question_rule(question.map_or("followUp", |question| &question.id))
    }

    /// The rung that a venue reason would be given for now.
    fn rung_asking_for_reason(&self) -> Option<String> {
        let standing = venue_ladder::standing(&self.version.ladder, &self.facts.occasions);
        standing
            .rung_asking_for_reason()
            .map(|rung| rung.id.clone())
    }
}

/// Answers a question: the first answer, a changed one, or, when it is equal, nothing.
///
/// Says whether the answer is new.
pub fn answer(
    conn: &mut PgConnection,
    call: &Call,
    event: &Event,
    question_id: &str,
    id: Uuid,
    answer: &PlanningAnswer,
) -> Result<(GivenAnswer, bool), Error> {
    let plan = Plan::load(conn, event)?;
    let question = plan
        .questions()
        .find(|question| question.id == question_id)
        .ok_or(Error::new(Code::NotFound))?;
    let before = plan
        .answers
        .iter()
        .find(|given| given.question_id == question_id);
    match before {
        Some(_) if call.only_create => return Err(Error::new(Code::StaleRevision)),
        Some(before) if call.if_match.is_some() => call.expect_revision(before.revision)?,
        Some(_) => {
            return Err(Error::at(
                Code::IfMatchRequired,
                crate::error::At::Header("If-Match"),
            ));
        }
        None if call.if_match.is_some() => return Err(Error::new(Code::StaleRevision)),
        None => {}
    }
    if question.answer_kind == AnswerKind::FollowUps {
        return Err(Error::new(Code::AnsweredByFollowUps));
    }

    let goal_ids: BTreeSet<&str> = plan
        .version
        .goals
        .iter()
        .map(|goal| goal.id.as_str())
        .collect();
    let faults = answers::check(question, answer, &goal_ids);
    if !faults.is_empty() {
        return Err(Error::faults(Code::InvalidBody, faults));
    }
    if question.answer_kind == AnswerKind::BusinessGoals {
        expect_known_goals(conn, answer.goal_ids.as_deref().unwrap_or_default())?;
    }
    let is_reason = question.answer_kind == AnswerKind::Reason;
    let rung_id = plan.rung_asking_for_reason().filter(|_| is_reason);
    let holds = |before: &GivenAnswer| match (&before.rung_id, &rung_id) {
        (Some(given_for), Some(asked)) => {
            venue_ladder::satisfies(&plan.version.ladder, given_for, asked)
        }
        (given_for, asked) => given_for == asked,
    };
    if let Some(before) = before.filter(|before| before.answer.0 == *answer && holds(before)) {
        return Ok((before.clone(), false));
    }
    if lifecycle::editable(event.status) != Editable::Everything {
        return Err(Error::new(Code::NotEditableInStatus));
    }
    if is_reason && rung_id.is_none() {
        return Err(Error::new(Code::NotAsked));
    }
    let given = GivenAnswer {
        id: before.map_or(id, |before| before.id),
        event_id: event.id,
        question_id: question_id.to_owned(),
        revision: before.map_or(1, |before| before.revision + 1),
        answer: AsJson(answer.clone()),
        rung_id,
        answered_by: call.author().to_owned(),
        answered_at: call.now,
    };
    queries::store(conn, &given)?;
    let change = Change {
        operation: if before.is_some() {
            Operation::Update
        } else {
            Operation::Create
        },
        resource: ResourceType::PlanningAnswer,
        id: given.id,
        revision: given.revision,
        event_id: Some(event.id),
        before,
        after: Some(&given),
    };
    changes::append(conn, call, &change)?;
    Ok((given, before.is_none()))
}

fn expect_known_goals(conn: &mut PgConnection, goal_ids: &[String]) -> Result<(), Error> {
    let ids: Vec<Uuid> = goal_ids.iter().filter_map(|id| id.parse().ok()).collect();
    let known = goals::queries::known(conn, &ids)?;
    match goal_ids
        .iter()
        .position(|id| !known.iter().any(|known| known.to_string() == *id))
    {
        Some(index) => Err(Error::at_pointer(
            Code::UnknownGoal,
            format!("/goalIds/{index}"),
        )),
        None => Ok(()),
    }
}
