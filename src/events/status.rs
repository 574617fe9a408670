//! Status changes: `draft → confirmed → held → closed`, and the ways back and out. What each step needs is `rules::lifecycle`'s;
//! what it leaves behind is here: a row in the log, a baseline at confirmation, the findings kept at holding and cancelling.

use chrono::{DateTime, Utc};
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Event, Organisers, Participants, append, expect_known_units, queries};
use crate::changes::Operation;
use crate::db::schema::status_changes;
use crate::error::{At, Code, Error, FieldError};
use crate::exceptions;
use crate::follow_ups;
use crate::guideline::Text;
use crate::http::call::Call;
use crate::planning::{self, Plan};
use crate::rules::Fault;
use crate::rules::advice;
use crate::rules::calendar;
use crate::rules::compliance::{self, RuleFinding};
use crate::rules::lifecycle::{self, EventStatus, Facts, Refusal, Transition};

/// A step in an event's life, as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, Serialize, ToSchema)]
#[diesel(table_name = status_changes, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct StatusChange {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000001201")]
    pub id: Uuid,
    /// The status it had.
    #[diesel(column_name = from_status)]
    #[schema(example = "draft")]
    pub from: EventStatus,
    /// The status it took.
    #[diesel(column_name = to_status)]
    #[schema(example = "confirmed")]
    pub to: EventStatus,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Lokalen blev dubbelbokad.")]
    pub reason: Option<String>,
    /// Who changed it.
    #[schema(example = "person-0003")]
    pub changed_by: String,
    /// When.
    #[schema(example = "2026-09-15T08:00:00Z")]
    pub changed_at: DateTime<Utc>,
}

/// A status to take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewStatusChange {
    /// The status to take: `confirmed`, `held`, `closed`, `cancelled`, or back to `draft` (replan) or `held` (reopen).
    #[schema(example = "confirmed")]
    pub status: EventStatus,
    /// Why; required to cancel, replan, reopen, and to hold a draft.
    #[schema(
        min_length = 1,
        max_length = 2000,
        pattern = r"\S",
        example = "Lokalen blev dubbelbokad."
    )]
    pub reason: Option<String>,
    /// How many came; required to hold unless the event says it already.
    pub actual_participants: Option<Participants>,
}

/// What a step leaves on the event.
pub struct Outcome {
    pub actual_participants: Option<Participants>,
    pub kept_findings: Option<Vec<RuleFinding>>,
    pub kept_at: Option<DateTime<Utc>>,
}

/// Takes a step, if the guideline and the event's life allow it now. The new ids are the log row's and the baseline's.
pub fn change(
    conn: &mut PgConnection,
    call: &Call,
    before: &Event,
    new: &NewStatusChange,
    ids: (Uuid, Uuid),
) -> Result<Event, Error> {
    if let Some(participants) = &new.actual_participants {
        expect_known_units(conn, participants, "actualParticipants")?;
    }
    let plan = Plan::load(conn, before)?;
    let findings = plan.findings();
    let open: Vec<String> = compliance::open(&findings)
        .into_iter()
        .map(str::to_owned)
        .collect();
    let participants = new
        .actual_participants
        .clone()
        .or_else(|| before.actual_participants.clone().map(|given| given.0));
    let days = calendar::event_days(before.first_start, before.last_end);
    let organisers = Organisers::find(conn, &before.organising_unit_ids)?;
    let follow_ups = plan.follow_up_facts();
    let facts = Facts {
        now: call.now,
        first_start: before.first_start,
        last_end: before.last_end,
        reason: new.reason.as_deref(),
        covered: before
            .organising_unit_ids
            .iter()
            .all(|id| organisers.covers(*id, &days)),
        open_findings: &open,
        follow_ups,
        follow_up_excepted: plan.follow_up_excepted(),
        participants_given: participants.is_some(),
    };
    let step = lifecycle::change(before.status, new.status, &facts)
        .map_err(|refusal| refused(refusal, &plan, &findings))?;

    let (log_id, baseline_id) = ids;
    match step {
        Transition::Confirm => {
            planning::queries::freeze(conn, call, baseline_id, before.id, &plan)?
        }
        Transition::Cancel => {
            exceptions::withdraw_open(conn, call, before)?;
            follow_ups::cancel_planned(conn, call, before.id, new.reason.as_deref())?;
        }
        _ => {}
    }
    let keeps = matches!(
        step,
        Transition::Hold | Transition::HoldUnplanned | Transition::Cancel
    );
    let outcome = Outcome {
        actual_participants: participants,
        kept_findings: if keeps {
            Some(findings)
        } else {
            before.kept_findings.clone().map(|kept| kept.0)
        },
        kept_at: if keeps {
            Some(call.now)
        } else {
            before.kept_at
        },
    };
    let logged = StatusChange {
        id: log_id,
        from: before.status,
        to: new.status,
        reason: new.reason.clone(),
        changed_by: call.author().to_owned(),
        changed_at: call.now,
    };
    queries::change_status(conn, before, &logged, &outcome)?;
    let after = queries::load(conn, before.id)?;
    append(conn, call, Operation::Update, Some(before), &after)?;
    Ok(after)
}

impl NewStatusChange {
    /// What one field asks of another.
    pub fn judge(&self) -> Result<(), Error> {
        let Some(participants) = &self.actual_participants else {
            return Ok(());
        };
        let fault = if self.status == EventStatus::Held {
            participants.fault("actualParticipants")
        } else {
            let detail = Text::new(
                "Antalet deltagare anges när evenemanget har genomförts.",
                "Participants are given when the event has been held.",
            );
            Some(Fault::new("/actualParticipants", "not-expected", detail))
        };
        fault.map_or(Ok(()), |fault| {
            Err(Error::faults(Code::InvalidBody, vec![fault]))
        })
    }
}

/// Would confirming succeed now?
pub fn confirmable(
    event: &Event,
    plan: &Plan,
    findings: &[RuleFinding],
    covered: bool,
    now: DateTime<Utc>,
) -> bool {
    let open: Vec<String> = compliance::open(findings)
        .into_iter()
        .map(str::to_owned)
        .collect();
    let follow_ups = plan.follow_up_facts();
    let facts = Facts {
        now,
        first_start: event.first_start,
        last_end: event.last_end,
        reason: None,
        covered,
        open_findings: &open,
        follow_ups,
        follow_up_excepted: plan.follow_up_excepted(),
        participants_given: false,
    };
    lifecycle::change(event.status, EventStatus::Confirmed, &facts).is_ok()
}

fn missing(pointer: &str, detail: Text) -> Error {
    Error::faults(
        Code::InvalidBody,
        vec![Fault::new(pointer, "required", detail)],
    )
}

/// 422: of an event that was held it is known how many came.
pub(super) fn participants_missing() -> Error {
    let detail = Text::new("Ange hur många som deltog.", "Say how many took part.");
    missing("/actualParticipants", detail)
}

/// A refusal of the rules as a problem that says what to do.
fn refused(refusal: Refusal, plan: &Plan, findings: &[RuleFinding]) -> Error {
    match refusal {
        Refusal::NoSuchTransition => Error::new(Code::StatusChangeNotAllowed),
        Refusal::ReasonMissing => missing("/reason", Text::new("Skriv varför.", "Say why.")),
        Refusal::ParticipantsMissing => participants_missing(),
        Refusal::TooLate => Error::new(Code::TooLate),
        Refusal::NotCovered => Error::new(Code::UnitNotCovered),
        Refusal::NotEnded => Error::new(Code::NotEnded),
        Refusal::FollowUpOpen | Refusal::NotFollowedUp => Error::new(Code::FollowUpsOpen),
        Refusal::NotCompliant => findings
            .iter()
            .filter(|finding| finding.finding.is_open())
            .fold(Error::new(Code::NotCompliant), |error, finding| {
                let detail =
                    advice::advise(&plan.version.questions, &plan.version.ladder, finding).text;
                error.with(FieldError {
                    at: At::Rule,
                    code: finding.rule_id.clone(),
                    detail,
                })
            }),
        Refusal::FollowUpMissing => {
            let rule = plan.follow_up_rule();
            let detail = Text::new(
                "Planera en uppföljning som infaller efter det sista tillfället: POST /events/{eventId}/follow-ups.",
                "Plan a follow-up that is due after the last occasion: POST /events/{eventId}/follow-ups.",
            );
            Error::new(Code::NotCompliant).with(FieldError {
                at: At::Rule,
                code: rule,
                detail,
            })
        }
    }
}
