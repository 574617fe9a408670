//! Follow-ups: how the effect of an event will be looked for, by whom and when (R20, R32).
//!
//! `planned → completed | waived | cancelled`. The guideline sets no deadline; the version's settings give the default.

pub mod handlers;
pub mod queries;

use chrono::{DateTime, NaiveDate, Utc};
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::changes::{self, Change, Operation};
use crate::db::schema::follow_ups;
use crate::error::{Code, Error};
use crate::events::Event;
use crate::guideline;
use crate::http::call::Call;
use crate::organisation::people;
use crate::rules::follow_up::{self, FollowUpStatus, Level, Method};
use crate::rules::lifecycle::{self, Editable};

crate::stored_as_text!(Level, Method, FollowUpStatus);

/// A follow-up of an event.
#[derive(
    Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, Serialize, Deserialize, ToSchema,
)]
#[diesel(table_name = follow_ups, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct FollowUp {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000001601")]
    pub id: Uuid,
    /// The event it follows up.
    #[schema(example = "0190a000-0000-7000-8000-000000001001")]
    pub event_id: Uuid,
    /// Goes up by one with each change.
    #[schema(example = 1)]
    pub revision: i32,
    /// How deep it looks.
    #[schema(example = "behaviour")]
    pub level: Level,
    /// How it looks.
    #[schema(example = "interview")]
    pub method: Method,
    /// The last day to do it (Stockholm).
    #[schema(example = "2027-01-03")]
    pub due_date: NaiveDate,
    /// Who does it (personRef).
    #[schema(example = "person-0003")]
    pub responsible_person: String,
    /// Where it is in its life.
    #[schema(example = "planned")]
    pub status: FollowUpStatus,
    /// When it was planned.
    #[schema(example = "2026-09-02T08:00:00Z")]
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    #[schema(example = "2026-09-02T08:00:00Z")]
    pub updated_at: DateTime<Utc>,
}

/// A follow-up to plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewFollowUp {
    /// How deep it looks; a lower level never completes it.
    #[schema(example = "behaviour")]
    pub level: Level,
    /// How it looks.
    #[schema(example = "interview")]
    pub method: Method,
    /// The last day to do it (Stockholm), not before the last occasion. Without it the guideline version's days after that.
    #[schema(example = "2027-01-03")]
    pub due_date: Option<NaiveDate>,
    /// Who does it (personRef).
    #[schema(min_length = 1, max_length = 100, example = "person-0003")]
    pub responsible_person: String,
}

/// Plans a follow-up of an event, which is locked.
pub fn plan(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    event: &Event,
    new: &NewFollowUp,
) -> Result<FollowUp, Error> {
    if !people::queries::exists(conn, &new.responsible_person)? {
        return Err(Error::at_pointer(Code::UnknownPerson, "/responsiblePerson"));
    }
    let due_date = match new.due_date {
        Some(day) => day,
        None => {
            let version = guideline::queries::find(conn, event.guideline_version_id)?;
            follow_up::default_due_date(event.last_day(), version.settings.follow_up_due_days)
        }
    };
    follow_up::check_due_date(due_date, event.last_day())
        .map_err(|_| Error::at_pointer(Code::DueBeforeEvent, "/dueDate"))?;
    if lifecycle::editable(event.status) == Editable::Nothing {
        return Err(Error::new(Code::NotEditableInStatus));
    }
    let planned = FollowUp {
        id,
        event_id: event.id,
        revision: 1,
        level: new.level,
        method: new.method,
        due_date,
        responsible_person: new.responsible_person.clone(),
        status: FollowUpStatus::Planned,
        created_at: call.now,
        updated_at: call.now,
    };
    queries::insert(conn, &planned)?;
    append(conn, call, Operation::Create, None, &planned)?;
    Ok(planned)
}

/// Cancels the planned follow-ups of an event that is cancelled, each with its change entry.
pub fn cancel_planned(conn: &mut PgConnection, call: &Call, event_id: Uuid) -> Result<(), Error> {
    for before in queries::of_event_for_update(conn, event_id)? {
        if before.status == FollowUpStatus::Planned {
            let after = queries::set_status(conn, &before, FollowUpStatus::Cancelled, call.now)?;
            append(conn, call, Operation::Update, Some(&before), &after)?;
        }
    }
    Ok(())
}

fn append(
    conn: &mut PgConnection,
    call: &Call,
    operation: Operation,
    before: Option<&FollowUp>,
    after: &FollowUp,
) -> Result<(), Error> {
    let change = Change {
        operation,
        resource: "followUp",
        id: after.id,
        revision: after.revision,
        event_id: Some(after.event_id),
        before,
        after: Some(after),
    };
    changes::append(conn, call, &change)
}
