//! Entries: what a follow-up found (R20, R24). Append-only: an entry is voided with a reason, never edited (I12).
//!
//! A follow-up is completed by its first entry that is not voided, was carried out, and looked at least as deep as was planned
//! (`rules::follow_up::completing`). Beside what happened, an entry shows what was planned when the event was held (R33).

use chrono::{DateTime, NaiveDate, Utc};
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Grounds, StoredFollowUp, expect_held, queries, update};
use crate::changes::{self, Change, Operation, ResourceType};
use crate::db::schema::follow_up_entry_details;
use crate::db::sql_types::AsJson;
use crate::error::{Code, Error};
use crate::events::Event;
use crate::guideline::{self, Text};
use crate::http::call::Call;
use crate::organisation::{goals, people};
use crate::rules::Fault;
use crate::rules::access::{self, Action};
use crate::rules::answers::PlanningAnswer;
use crate::rules::calendar;
use crate::rules::follow_up::{self, CarriedOut, EffectSeen, FollowUpStatus, Level};
use crate::rules::lifecycle::EventStatus;

/// What a follow-up found, and beside it what was planned.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = follow_up_entry_details, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct FollowUpEntry {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000141a02")]
    pub id: Uuid,
    /// The follow-up.
    #[schema(example = "0190a000-0000-7000-8000-000000141601")]
    pub follow_up_id: Uuid,
    /// Its place among the entries of the follow-up, from 1.
    #[schema(example = 1)]
    pub number: i32,
    /// 1, and 2 once it is voided; nothing else changes it.
    #[schema(example = 1)]
    pub revision: i32,
    /// The day on which it was done (Stockholm).
    #[schema(example = "2026-12-15")]
    pub conducted_on: NaiveDate,
    /// How deep it looked.
    #[schema(example = "behaviour")]
    pub level: Level,
    /// Was it done as planned?
    #[schema(example = "asPlanned")]
    pub carried_out: CarriedOut,
    /// What the participants do differently at work.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Alla avdelningar håller inskolningssamtalet på samma sätt.")]
    pub observed_behaviour: Option<String>,
    /// What it did for the goals that the event was to serve, or others.
    #[schema(value_type = Vec<GoalEffect>)]
    pub goal_effects: AsJson<Vec<GoalEffect>>,
    /// What it did for those who took part.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Effect>)]
    pub individual_effect: Option<AsJson<Effect>>,
    /// What it did for the operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Effect>)]
    pub operation_effect: Option<AsJson<Effect>>,
    /// What it did for residents, customers, users and patients.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Effect>)]
    pub resident_effect: Option<AsJson<Effect>>,
    /// How what was learned was passed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Två kollegor berättade på arbetsplatsträffen.")]
    pub knowledge_sharing: Option<String>,
    /// What others can learn of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Öva samtalet två gånger innan det används.")]
    pub lessons: Option<String>,
    /// What happens next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Vi upprepar övningen i mars.")]
    pub next_step: Option<String>,
    /// Whose entry it is.
    #[schema(example = "person-0003")]
    pub author: String,
    /// Who wrote it down on the author's behalf; absent when the author did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "person-0001")]
    pub recorded_by: Option<String>,
    /// When it was written down.
    #[schema(example = "2026-12-15T08:00:00Z")]
    pub recorded_at: DateTime<Utc>,
    /// Why it was voided; absent while it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Skrevs på fel evenemang.")]
    pub voiding_reason: Option<String>,
    /// Who voided it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "person-0001")]
    pub voided_by: Option<String>,
    /// When it was voided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-12-16T08:00:00Z")]
    pub voided_at: Option<DateTime<Utc>>,
    /// What was planned when the event was held; absent when it was held without a plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<WhatWasPlanned>)]
    pub planned: Option<AsJson<WhatWasPlanned>>,
}

/// What was to be achieved, from the baseline that stood when the event was held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhatWasPlanned {
    /// The baseline; `GET /events/{eventId}/baseline` shows all of it.
    #[schema(example = "0190a000-0000-7000-8000-000000141401")]
    pub baseline_id: Uuid,
    /// When the event was confirmed so.
    #[schema(example = "2026-09-15T08:00:00Z")]
    pub confirmed_at: DateTime<Utc>,
    /// The follow-up as it was planned then; absent when it was planned later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follow_up: Option<StoredFollowUp>,
    /// The answers that say why, for which goals and with what effect.
    #[serde(default)]
    pub answers: Vec<PlannedAnswer>,
}

/// A question and the answer that stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedAnswer {
    /// The question.
    #[schema(example = "purpose")]
    pub question_id: String,
    /// How it was asked.
    pub text: Text,
    /// The answer.
    pub answer: PlanningAnswer,
}

/// An effect that was seen, or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Effect {
    /// How much of it there was.
    #[schema(example = "some")]
    pub effect: EffectSeen,
    /// What shows it; required unless there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 2000,
        pattern = r"\S",
        example = "Fem av sju arbetslag har ändrat sitt arbetssätt."
    )]
    pub evidence: Option<String>,
}

/// An effect on a goal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GoalEffect {
    /// A business goal's id, or the id of a goal of the event's guideline version.
    #[schema(
        min_length = 1,
        max_length = 100,
        example = "0190a000-0000-7000-8000-000000000402"
    )]
    pub goal_id: String,
    /// How much of it there was.
    #[schema(example = "some")]
    pub effect: EffectSeen,
    /// What shows it; required unless there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 2000,
        pattern = r"\S",
        example = "Fem av sju arbetslag har ändrat sitt arbetssätt."
    )]
    pub evidence: Option<String>,
}

/// An entry to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewFollowUpEntry {
    /// The day on which it was done (Stockholm): from the event's first day to today.
    #[schema(example = "2026-10-05")]
    pub conducted_on: NaiveDate,
    /// How deep it looked.
    #[schema(example = "behaviour")]
    pub level: Level,
    /// Was it done as planned?
    #[schema(example = "asPlanned")]
    pub carried_out: CarriedOut,
    /// What the participants do differently at work.
    #[schema(
        min_length = 1,
        max_length = 4000,
        pattern = r"\S",
        example = "Alla avdelningar håller inskolningssamtalet på samma sätt."
    )]
    pub observed_behaviour: Option<String>,
    /// What it did for goals, each named once.
    #[schema(max_items = 50)]
    pub goal_effects: Option<Vec<GoalEffect>>,
    /// What it did for those who took part.
    pub individual_effect: Option<Effect>,
    /// What it did for the operation.
    pub operation_effect: Option<Effect>,
    /// What it did for residents, customers, users and patients.
    pub resident_effect: Option<Effect>,
    /// How what was learned was passed on.
    #[schema(
        min_length = 1,
        max_length = 4000,
        pattern = r"\S",
        example = "Två kollegor berättade på arbetsplatsträffen."
    )]
    pub knowledge_sharing: Option<String>,
    /// What others can learn of it; every employee can read it, so it names nobody.
    #[schema(
        min_length = 1,
        max_length = 4000,
        pattern = r"\S",
        example = "Öva samtalet två gånger innan det används."
    )]
    pub lessons: Option<String>,
    /// What happens next.
    #[schema(
        min_length = 1,
        max_length = 4000,
        pattern = r"\S",
        example = "Vi upprepar övningen i mars."
    )]
    pub next_step: Option<String>,
    /// Whose entry it is (personRef), when an HR administrator or an integration writes it down for them. An HR administrator who
    /// names nobody writes for the follow-up's responsible person.
    #[schema(min_length = 1, max_length = 100, example = "person-0003")]
    pub on_behalf_of: Option<String>,
}

impl NewFollowUpEntry {
    /// What one field asks of another.
    pub fn judge(&self) -> Result<(), Error> {
        let mut faults = Vec::new();
        let effects = [
            ("individualEffect", &self.individual_effect),
            ("operationEffect", &self.operation_effect),
            ("residentEffect", &self.resident_effect),
        ];
        for (name, effect) in effects {
            if let Some(effect) = effect {
                check_evidence(
                    &format!("/{name}"),
                    effect.effect,
                    &effect.evidence,
                    &mut faults,
                );
            }
        }
        let mut seen = BTreeSet::new();
        for (index, goal) in self.goal_effects.iter().flatten().enumerate() {
            let at = format!("/goalEffects/{index}");
            check_evidence(&at, goal.effect, &goal.evidence, &mut faults);
            if !seen.insert(&goal.goal_id) {
                let detail = Text::new("Målet står två gånger.", "The goal stands twice.");
                faults.push(Fault::new(
                    format!("{at}/goalId"),
                    "duplicate-value",
                    detail,
                ));
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Error::faults(Code::InvalidBody, faults))
        }
    }
}

fn check_evidence(
    at: &str,
    effect: EffectSeen,
    evidence: &Option<String>,
    faults: &mut Vec<Fault>,
) {
    if effect != EffectSeen::None && evidence.is_none() {
        let detail = Text::new(
            "Skriv vad som visar effekten, eller varför det är för tidigt att säga.",
            "Say what shows the effect, or why it is too early to say.",
        );
        faults.push(Fault::new(format!("{at}/evidence"), "required", detail));
    }
}

/// 403 or 404 unless the caller may write entries of a follow-up, or void them.
pub fn expect_may_write(
    conn: &mut PgConnection,
    call: &Call,
    (event, follow_up): (&Event, &StoredFollowUp),
) -> Result<(), Error> {
    let action = Action::LogFollowUp {
        event: &event.facts(),
        responsible_person: &follow_up.responsible_person,
    };
    call.may_with_offices(conn, action)
}

/// The call with the entry's author, once the caller may write it.
///
/// Who may only as an HR administrator always writes for another: who names nobody, for the follow-up's responsible person, or, if that
/// person has left, as themselves and marked so.
pub fn authored(
    conn: &mut PgConnection,
    call: &Call,
    (event, follow_up): (&Event, &StoredFollowUp),
    on_behalf_of: Option<&str>,
) -> Result<Call, Error> {
    let (facts, responsible_person) = (event.facts(), follow_up.responsible_person.as_str());
    let action = Action::LogFollowUp {
        event: &facts,
        responsible_person,
    };
    let caller = call.actor.name();
    let only_as_hr = access::logs_only_as_hr(&call.asker(conn)?, &facts, responsible_person);
    let default = if !only_as_hr {
        None
    } else if people::queries::present(conn, responsible_person, call.today())?.is_some() {
        Some(responsible_person)
    } else {
        Some(caller)
    };
    let authored = call.authored(conn, on_behalf_of.or(default), action)?;
    if !people::queries::exists(conn, authored.author())? {
        return Err(Error::new(Code::UnknownPerson));
    }
    Ok(authored)
}

/// Writes an entry of a follow-up, which is locked with its event, and completes it if the entry does.
pub fn write(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    (event, follow_up): (&Event, &StoredFollowUp),
    new: &NewFollowUpEntry,
) -> Result<FollowUpEntry, Error> {
    expect_known_goals(conn, event, new)?;
    let first_day = calendar::stockholm_date(event.first_start);
    if !(first_day..=call.today()).contains(&new.conducted_on) {
        return Err(Error::at_pointer(Code::ConductedOutOfTime, "/conductedOn"));
    }
    if let FollowUpStatus::Waived | FollowUpStatus::Cancelled = follow_up.status {
        return Err(Error::new(Code::FollowUpNotOpen));
    }
    expect_held(event)?;
    queries::insert_entry(conn, call, id, follow_up.id, new)?;
    let entry = queries::find_entry(conn, follow_up.id, id)?;
    append(conn, call, Operation::Create, event, None, &entry)?;
    settle(conn, call, follow_up, None)?;
    Ok(entry)
}

/// Voids an entry of a follow-up, which is locked with its event; the follow-up is planned again unless another entry completes it.
pub fn void(
    conn: &mut PgConnection,
    call: &Call,
    (event, follow_up): (&Event, &StoredFollowUp),
    before: &FollowUpEntry,
    grounds: &Grounds,
) -> Result<FollowUpEntry, Error> {
    if before.voided_at.is_some() {
        return Err(Error::new(Code::AlreadyVoided));
    }
    if event.status == EventStatus::Closed {
        return Err(Error::new(Code::EventClosed));
    }
    queries::insert_voiding(conn, call, before.id, &grounds.reason)?;
    let after = queries::find_entry(conn, follow_up.id, before.id)?;
    append(conn, call, Operation::Update, event, Some(before), &after)?;
    settle(conn, call, follow_up, Some(&grounds.reason))?;
    Ok(after)
}

/// Gives a follow-up the status that its entries give it, with a change entry if that is another.
fn settle(
    conn: &mut PgConnection,
    call: &Call,
    before: &StoredFollowUp,
    reason: Option<&str>,
) -> Result<(), Error> {
    let after = settled(conn, call, before.clone(), reason)?;
    if after != *before {
        update(conn, call, before, after)?;
    }
    Ok(())
}

/// A planned or completed follow-up as its entries have it: completed by the first that counts, or planned.
pub fn settled(
    conn: &mut PgConnection,
    call: &Call,
    follow_up: StoredFollowUp,
    reason: Option<&str>,
) -> Result<StoredFollowUp, Error> {
    let entries = queries::entry_facts(conn, follow_up.id)?;
    let facts: Vec<_> = entries.iter().map(|entry| entry.facts).collect();
    let completing = follow_up::completing(follow_up.level, &facts).map(|index| &entries[index]);
    if completing.map(|entry| entry.id) == follow_up.completing_entry_id {
        return Ok(follow_up);
    }
    let (status, reason) = match completing {
        Some(_) => (FollowUpStatus::Completed, None),
        None => (FollowUpStatus::Planned, reason),
    };
    Ok(StoredFollowUp {
        completing_entry_id: completing.map(|entry| entry.id),
        completed_on: completing.map(|entry| entry.conducted_on),
        ..follow_up.taking(status, reason, call)
    })
}

/// 422 unless each goal is a business goal or one of the guideline version's.
fn expect_known_goals(
    conn: &mut PgConnection,
    event: &Event,
    new: &NewFollowUpEntry,
) -> Result<(), Error> {
    let Some(named) = new.goal_effects.as_ref().filter(|named| !named.is_empty()) else {
        return Ok(());
    };
    let ids: Vec<Uuid> = named
        .iter()
        .filter_map(|goal| goal.goal_id.parse().ok())
        .collect();
    let business: BTreeSet<String> = goals::queries::known(conn, &ids)?
        .iter()
        .map(Uuid::to_string)
        .collect();
    let version = guideline::queries::find(conn, event.guideline_version_id)?;
    let known =
        |id: &String| business.contains(id) || version.goals.iter().any(|goal| goal.id == *id);
    match named.iter().position(|goal| !known(&goal.goal_id)) {
        Some(index) => Err(Error::at_pointer(
            Code::UnknownGoal,
            format!("/goalEffects/{index}/goalId"),
        )),
        None => Ok(()),
    }
}

/// What was planned stands in the baseline, so the log need not repeat it.
fn append(
    conn: &mut PgConnection,
    call: &Call,
    operation: Operation,
    event: &Event,
    before: Option<&FollowUpEntry>,
    after: &FollowUpEntry,
) -> Result<(), Error> {
    let alone = |entry: &FollowUpEntry| FollowUpEntry {
        planned: None,
        ..entry.clone()
    };
    let (before, after) = (before.map(alone), alone(after));
    let change = Change {
        operation,
        resource: ResourceType::FollowUpEntry,
        id: after.id,
        revision: after.revision,
        event_id: Some(event.id),
        before: before.as_ref(),
        after: Some(&after),
    };
    changes::append(conn, call, &change)
}
