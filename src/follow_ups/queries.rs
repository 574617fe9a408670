//! Follow-ups and their entries in the database.

use chrono::NaiveDate;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use uuid::Uuid;

use super::StoredFollowUp;
use super::entries::{FollowUpEntry, NewFollowUpEntry};
use crate::db::schema::{
    follow_up_entries as entries, follow_up_entry_details as details,
    follow_up_entry_voidings as voidings, follow_ups,
};
use crate::db::sql_types::AsJson;
use crate::error::Error;
use crate::http::call::Call;
use crate::http::paging::Paging;
use crate::rules::follow_up::{CarriedOut, EntryFacts, Level};
use crate::window;

pub fn find(conn: &mut PgConnection, id: Uuid) -> Result<StoredFollowUp, Error> {
    Ok(follow_ups::table
        .find(id)
        .select(StoredFollowUp::as_select())
        .first(conn)?)
}

/// The same, locked; its event is locked before it.
pub fn find_for_update(conn: &mut PgConnection, id: Uuid) -> Result<StoredFollowUp, Error> {
    Ok(follow_ups::table
        .find(id)
        .select(StoredFollowUp::as_select())
        .for_no_key_update()
        .first(conn)?)
}

/// The follow-ups of an event, the next one due first.
pub fn of_event(conn: &mut PgConnection, event_id: Uuid) -> Result<Vec<StoredFollowUp>, Error> {
    Ok(follow_ups::table
        .filter(follow_ups::event_id.eq(event_id))
        .order((follow_ups::due_date, follow_ups::id))
        .select(StoredFollowUp::as_select())
        .load(conn)?)
}

/// The same, locked in the order of their ids.
pub fn of_event_for_update(
    conn: &mut PgConnection,
    event_id: Uuid,
) -> Result<Vec<StoredFollowUp>, Error> {
    Ok(follow_ups::table
        .filter(follow_ups::event_id.eq(event_id))
        .order(follow_ups::id)
        .select(StoredFollowUp::as_select())
        .for_no_key_update()
        .load(conn)?)
}

pub fn list(
    conn: &mut PgConnection,
    event_id: Uuid,
    paging: &Paging,
) -> Result<(Vec<StoredFollowUp>, Option<i64>), Error> {
    let matching = || {
        follow_ups::table
            .filter(follow_ups::event_id.eq(event_id))
            .into_boxed()
    };
    let total = paging.total(|| matching().count().get_result(conn))?;
    let query = matching().select(StoredFollowUp::as_select());
    let rows = window!(
        query,
        paging,
        false,
        follow_ups::due_date,
        follow_ups::id,
        NaiveDate
    )
    .load(conn)?;
    Ok((rows, total))
}

pub fn insert(conn: &mut PgConnection, planned: &StoredFollowUp) -> Result<(), Error> {
    diesel::insert_into(follow_ups::table)
        .values(planned)
        .execute(conn)?;
    Ok(())
}

/// Stores a follow-up, which is locked, as it is now.
pub fn update(conn: &mut PgConnection, after: &StoredFollowUp) -> Result<(), Error> {
    diesel::update(follow_ups::table.find(after.id))
        .set(after)
        .execute(conn)?;
    Ok(())
}

/// An entry as far as completion depends on it.
pub struct StandingEntry {
    pub id: Uuid,
    pub conducted_on: NaiveDate,
    pub facts: EntryFacts,
}

/// The entries of a follow-up in the order in which they were written.
pub fn entry_facts(
    conn: &mut PgConnection,
    follow_up_id: Uuid,
) -> Result<Vec<StandingEntry>, Error> {
    let rows: Vec<(Uuid, NaiveDate, Level, CarriedOut, Option<Uuid>)> = entries::table
        .left_join(voidings::table)
        .filter(entries::follow_up_id.eq(follow_up_id))
        .order(entries::number)
        .select((
            entries::id,
            entries::conducted_on,
            entries::level,
            entries::carried_out,
            voidings::entry_id.nullable(),
        ))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(
            |(id, conducted_on, level, carried_out, voided)| StandingEntry {
                id,
                conducted_on,
                facts: EntryFacts {
                    level,
                    carried_out,
                    voided: voided.is_some(),
                },
            },
        )
        .collect())
}

/// Stores an entry as the next one of its follow-up, which is locked.
pub fn insert_entry(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    follow_up_id: Uuid,
    new: &NewFollowUpEntry,
) -> Result<(), Error> {
    let last: Option<i32> = entries::table
        .filter(entries::follow_up_id.eq(follow_up_id))
        .select(diesel::dsl::max(entries::number))
        .first(conn)?;
    let recorded_by = call.on_behalf_of.as_ref().map(|_| call.actor.name());
    diesel::insert_into(entries::table)
        .values((
            entries::id.eq(id),
            entries::follow_up_id.eq(follow_up_id),
            entries::number.eq(last.unwrap_or(0) + 1),
            entries::conducted_on.eq(new.conducted_on),
            entries::level.eq(new.level),
            entries::carried_out.eq(new.carried_out),
            entries::observed_behaviour.eq(&new.observed_behaviour),
            entries::goal_effects.eq(AsJson(new.goal_effects.clone().unwrap_or_default())),
            entries::individual_effect.eq(new.individual_effect.clone().map(AsJson)),
            entries::operation_effect.eq(new.operation_effect.clone().map(AsJson)),
            entries::resident_effect.eq(new.resident_effect.clone().map(AsJson)),
            entries::knowledge_sharing.eq(&new.knowledge_sharing),
            (
                entries::lessons.eq(&new.lessons),
                entries::next_step.eq(&new.next_step),
                entries::author.eq(call.author()),
                entries::recorded_by.eq(recorded_by),
                entries::recorded_at.eq(call.now),
            ),
        ))
        .execute(conn)?;
    Ok(())
}

pub fn insert_voiding(
    conn: &mut PgConnection,
    call: &Call,
    entry_id: Uuid,
    reason: &str,
) -> Result<(), Error> {
    diesel::insert_into(voidings::table)
        .values((
            voidings::entry_id.eq(entry_id),
            voidings::reason.eq(reason),
            voidings::voided_by.eq(call.actor.name()),
            voidings::voided_at.eq(call.now),
        ))
        .execute(conn)?;
    Ok(())
}

/// An entry of a follow-up, or 404.
pub fn find_entry(
    conn: &mut PgConnection,
    follow_up_id: Uuid,
    id: Uuid,
) -> Result<FollowUpEntry, Error> {
    Ok(details::table
        .find(id)
        .filter(details::follow_up_id.eq(follow_up_id))
        .select(FollowUpEntry::as_select())
        .first(conn)?)
}

/// The entries of a follow-up, the first one first.
pub fn list_entries(
    conn: &mut PgConnection,
    follow_up_id: Uuid,
    paging: &Paging,
) -> Result<(Vec<FollowUpEntry>, Option<i64>), Error> {
    let matching = || {
        details::table
            .filter(details::follow_up_id.eq(follow_up_id))
            .into_boxed()
    };
    let total = paging.total(|| matching().count().get_result(conn))?;
    let query = matching().select(FollowUpEntry::as_select());
    let rows = window!(query, paging, false, details::number, details::id, i32).load(conn)?;
    Ok((rows, total))
}
