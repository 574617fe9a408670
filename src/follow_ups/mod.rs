//! Follow-ups: how the effect of an event will be looked for, by whom and when (R20, R32), and what came of it (`entries`).
//!
//! `planned → completed | waived | cancelled`. An entry completes it, and voiding that entry makes it planned again. Before the event
//! is held a follow-up may be cancelled while another remains; afterwards only an HR administrator may waive it. The guideline sets no
//! deadline; the version's settings give the default. Whether it is late is derived whenever it is read.

pub mod entries;
pub mod handlers;
pub mod queries;

use chrono::{DateTime, NaiveDate, Utc};
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::changes::{self, Change, Operation, ResourceType};
use crate::db::schema::follow_ups;
use crate::error::{Code, Error};
use crate::events::{self, Event};
use crate::guideline::{self, GuidelineVersion};
use crate::http::call::Call;
use crate::http::patch::merged;
use crate::organisation::people;
use crate::planning::Plan;
use crate::rules::follow_up::{
    self, CarriedOut, DueFacts, DueStatus, EffectSeen, FollowUpMethod, FollowUpStatus, Level,
};
use crate::rules::lifecycle::{self, Editable, EventStatus};

crate::stored_as_text!(
    Level,
    FollowUpMethod,
    FollowUpStatus,
    CarriedOut,
    EffectSeen
);

/// A follow-up as it is stored, and as a baseline and the change log show it.
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    Queryable,
    Selectable,
    Insertable,
    AsChangeset,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[diesel(table_name = follow_ups, check_for_backend(Pg), treat_none_as_null = true, treat_none_as_default_value = false)]
#[serde(rename_all = "camelCase")]
pub struct StoredFollowUp {
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
    pub method: FollowUpMethod,
    /// The last day to do it (Stockholm).
    #[schema(example = "2027-01-03")]
    pub due_date: NaiveDate,
    /// Who does it (personRef).
    #[schema(example = "person-0003")]
    pub responsible_person: String,
    /// Where it is in its life.
    #[schema(example = "planned")]
    pub status: FollowUpStatus,
    /// The entry that completed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0190a000-0000-7000-8000-000000141a02")]
    pub completing_entry_id: Option<Uuid>,
    /// The day on which it was done: that entry's `conductedOn`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-12-15")]
    pub completed_on: Option<NaiveDate>,
    /// Why it was waived or cancelled, or why the entry that completed it was voided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Gruppen har upphört.")]
    pub status_reason: Option<String>,
    /// Who gave it its status; absent while it is as it was planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "person-0001")]
    pub status_changed_by: Option<String>,
    /// When; absent while it is as it was planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-12-15T08:00:00Z")]
    pub status_changed_at: Option<DateTime<Utc>>,
    /// When it was planned.
    #[schema(example = "2026-09-02T08:00:00Z")]
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    #[schema(example = "2026-09-02T08:00:00Z")]
    pub updated_at: DateTime<Utc>,
}

/// A follow-up of an event, and what its due date means today.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
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
    pub method: FollowUpMethod,
    /// The last day to do it (Stockholm).
    #[schema(example = "2027-01-03")]
    pub due_date: NaiveDate,
    /// Who does it (personRef).
    #[schema(example = "person-0003")]
    pub responsible_person: String,
    /// Where it is in its life.
    #[schema(example = "planned")]
    pub status: FollowUpStatus,
    /// What its due date means today; derived whenever it is read.
    #[schema(example = "upcoming")]
    pub due_status: DueStatus,
    /// How many days ago it was due; only while it is overdue.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 3)]
    pub days_overdue: Option<i64>,
    /// The entry that completed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0190a000-0000-7000-8000-000000141a02")]
    pub completing_entry_id: Option<Uuid>,
    /// The day on which it was done: that entry's `conductedOn`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-12-15")]
    pub completed_on: Option<NaiveDate>,
    /// Why it was waived or cancelled, or why the entry that completed it was voided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Gruppen har upphört.")]
    pub status_reason: Option<String>,
    /// Who gave it its status; absent while it is as it was planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "person-0001")]
    pub status_changed_by: Option<String>,
    /// When; absent while it is as it was planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-12-15T08:00:00Z")]
    pub status_changed_at: Option<DateTime<Utc>>,
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
    pub method: FollowUpMethod,
    /// The last day to do it (Stockholm), not before the last occasion. Without it the guideline version's days after that.
    #[schema(example = "2027-01-03")]
    pub due_date: Option<NaiveDate>,
    /// Who does it (personRef).
    #[schema(min_length = 1, max_length = 100, example = "person-0003")]
    pub responsible_person: String,
}

/// Why something planned or written will not stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grounds {
    /// Why.
    #[schema(
        min_length = 1,
        max_length = 2000,
        pattern = r"\S",
        example = "Gruppen har upphört."
    )]
    pub reason: String,
}

impl StoredFollowUp {
    /// As it is shown on this day under this version.
    pub fn shown(&self, version: &GuidelineVersion, today: NaiveDate) -> FollowUp {
        let facts = DueFacts {
            status: self.status,
            due_date: self.due_date,
            completed_on: self.completed_on,
        };
        let bounds = follow_up::bounds(today, version.settings.due_soon_days);
        FollowUp {
            id: self.id,
            event_id: self.event_id,
            revision: self.revision,
            level: self.level,
            method: self.method,
            due_date: self.due_date,
            responsible_person: self.responsible_person.clone(),
            status: self.status,
            due_status: follow_up::due_status(facts, bounds),
            days_overdue: follow_up::days_overdue(facts, bounds),
            completing_entry_id: self.completing_entry_id,
            completed_on: self.completed_on,
            status_reason: self.status_reason.clone(),
            status_changed_by: self.status_changed_by.clone(),
            status_changed_at: self.status_changed_at,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }

    /// The same, taking another status by what the caller does now.
    fn taking(&self, status: FollowUpStatus, reason: Option<&str>, call: &Call) -> StoredFollowUp {
        StoredFollowUp {
            status,
            status_reason: reason.map(str::to_owned),
            status_changed_by: Some(call.actor.name().to_owned()),
            status_changed_at: Some(call.now),
            ..self.clone()
        }
    }
}

/// As it is shown today, by its event's version.
pub fn show(
    conn: &mut PgConnection,
    call: &Call,
    event: &Event,
    follow_up: &StoredFollowUp,
) -> Result<FollowUp, Error> {
    let version = guideline::queries::find(conn, event.guideline_version_id)?;
    Ok(follow_up.shown(&version, call.today()))
}

/// The event and the follow-up, both locked, in this order.
pub fn lock(conn: &mut PgConnection, id: Uuid) -> Result<(Event, StoredFollowUp), Error> {
    let event_id = queries::find(conn, id)?.event_id;
    let event = events::queries::load_for_update(conn, event_id)?;
    let follow_up = queries::find_for_update(conn, id)?;
    Ok((event, follow_up))
}

/// Plans a follow-up of an event, which is locked.
pub fn plan(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    event: &Event,
    new: &NewFollowUp,
) -> Result<StoredFollowUp, Error> {
    expect_known(conn, new)?;
    let due_date = due_date(conn, event, new)?;
    expect_due_after(event, due_date)?;
    if lifecycle::editable(event.status) == Editable::Nothing {
        return Err(Error::new(Code::NotEditableInStatus));
    }
    let planned = StoredFollowUp {
        id,
        event_id: event.id,
        revision: 1,
        level: new.level,
        method: new.method,
        due_date,
        responsible_person: new.responsible_person.clone(),
        status: FollowUpStatus::Planned,
        completing_entry_id: None,
        completed_on: None,
        status_reason: None,
        status_changed_by: None,
        status_changed_at: None,
        created_at: call.now,
        updated_at: call.now,
    };
    queries::insert(conn, &planned)?;
    append(conn, call, Operation::Create, None, &planned)?;
    Ok(planned)
}

/// Changes a planned follow-up, which is locked with its event; leaves it alone when nothing differs.
pub fn change(
    conn: &mut PgConnection,
    call: &Call,
    (event, before): (&Event, &StoredFollowUp),
    patch: &Map<String, Value>,
) -> Result<StoredFollowUp, Error> {
    call.expect_revision(before.revision)?;
    let new: NewFollowUp = merged(before, patch)?;
    let after = StoredFollowUp {
        level: new.level,
        method: new.method,
        due_date: due_date(conn, event, &new)?,
        responsible_person: new.responsible_person.clone(),
        ..before.clone()
    };
    if after == *before {
        return Ok(after);
    }
    expect_known(conn, &new)?;
    if after.due_date != before.due_date {
        expect_due_after(event, after.due_date)?;
    }
    expect_planned(before)?;
    // an entry at a level that was too low before may be enough now
    let after = entries::settled(conn, call, after, None)?;
    update(conn, call, before, after)
}

/// Waives a planned follow-up of an event that was held; both are locked.
pub fn waive(
    conn: &mut PgConnection,
    call: &Call,
    (event, before): (&Event, &StoredFollowUp),
    grounds: &Grounds,
) -> Result<StoredFollowUp, Error> {
    expect_planned(before)?;
    expect_held(event)?;
    let after = before.taking(FollowUpStatus::Waived, Some(&grounds.reason), call);
    update(conn, call, before, after)
}

/// Cancels a planned follow-up of an event that is not held yet, while another remains; both are locked.
pub fn cancel(
    conn: &mut PgConnection,
    call: &Call,
    (event, before): (&Event, &StoredFollowUp),
    grounds: &Grounds,
) -> Result<StoredFollowUp, Error> {
    if expect_held(event).is_ok() {
        return Err(Error::new(Code::WaiveInstead));
    }
    expect_planned(before)?;
    let plan = Plan::load(conn, event)?;
    let others: Vec<NaiveDate> = plan
        .follow_ups
        .iter()
        .filter(|other| other.id != before.id && other.status == FollowUpStatus::Planned)
        .map(|other| other.due_date)
        .collect();
    let last_day = event.last_day();
    if !follow_up::may_cancel(
        before.due_date,
        &others,
        last_day,
        plan.follow_up_excepted(),
    ) {
        return Err(Error::new(Code::LastFollowUp));
    }
    let after = before.taking(FollowUpStatus::Cancelled, Some(&grounds.reason), call);
    update(conn, call, before, after)
}

/// Cancels the planned follow-ups of an event that is cancelled, each with its change entry.
pub fn cancel_planned(
    conn: &mut PgConnection,
    call: &Call,
    event_id: Uuid,
    reason: Option<&str>,
) -> Result<(), Error> {
    for before in queries::of_event_for_update(conn, event_id)? {
        if before.status == FollowUpStatus::Planned {
            let after = before.taking(FollowUpStatus::Cancelled, reason, call);
            update(conn, call, &before, after)?;
        }
    }
    Ok(())
}

/// The day that was given, or the version's days after the event's last one.
fn due_date(conn: &mut PgConnection, event: &Event, new: &NewFollowUp) -> Result<NaiveDate, Error> {
    match new.due_date {
        Some(day) => Ok(day),
        None => {
            let version = guideline::queries::find(conn, event.guideline_version_id)?;
            let days = version.settings.follow_up_due_days;
            Ok(follow_up::default_due_date(event.last_day(), days))
        }
    }
}

fn expect_known(conn: &mut PgConnection, new: &NewFollowUp) -> Result<(), Error> {
    if people::queries::exists(conn, &new.responsible_person)? {
        Ok(())
    } else {
        Err(Error::at_pointer(Code::UnknownPerson, "/responsiblePerson"))
    }
}

fn expect_due_after(event: &Event, due_date: NaiveDate) -> Result<(), Error> {
    follow_up::check_due_date(due_date, event.last_day())
        .map_err(|_| Error::at_pointer(Code::DueBeforeEvent, "/dueDate"))
}

fn expect_planned(follow_up: &StoredFollowUp) -> Result<(), Error> {
    match follow_up.status {
        FollowUpStatus::Planned => Ok(()),
        _ => Err(Error::new(Code::FollowUpNotOpen)),
    }
}

fn expect_held(event: &Event) -> Result<(), Error> {
    match event.status {
        EventStatus::Held | EventStatus::Closed => Ok(()),
        _ => Err(Error::new(Code::NotHeld)),
    }
}

/// Stores what a follow-up became, with its one change entry.
fn update(
    conn: &mut PgConnection,
    call: &Call,
    before: &StoredFollowUp,
    after: StoredFollowUp,
) -> Result<StoredFollowUp, Error> {
    let after = StoredFollowUp {
        revision: before.revision + 1,
        updated_at: call.now,
        ..after
    };
    queries::update(conn, &after)?;
    append(conn, call, Operation::Update, Some(before), &after)?;
    Ok(after)
}

fn append(
    conn: &mut PgConnection,
    call: &Call,
    operation: Operation,
    before: Option<&StoredFollowUp>,
    after: &StoredFollowUp,
) -> Result<(), Error> {
    let change = Change {
        operation,
        resource: ResourceType::FollowUp,
        id: after.id,
        revision: after.revision,
        event_id: Some(after.event_id),
        before,
        after: Some(after),
    };
    changes::append(conn, call, &change)
}
