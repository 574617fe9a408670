//! Follow-ups in the database.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use uuid::Uuid;

use super::FollowUp;
use crate::db::schema::follow_ups;
use crate::error::Error;
use crate::http::paging::Paging;
use crate::rules::follow_up::FollowUpStatus;
use crate::window;

pub fn find(conn: &mut PgConnection, id: Uuid) -> Result<FollowUp, Error> {
    Ok(follow_ups::table
        .find(id)
        .select(FollowUp::as_select())
        .first(conn)?)
}

/// The follow-ups of an event, the next one due first.
pub fn of_event(conn: &mut PgConnection, event_id: Uuid) -> Result<Vec<FollowUp>, Error> {
    Ok(follow_ups::table
        .filter(follow_ups::event_id.eq(event_id))
        .order((follow_ups::due_date, follow_ups::id))
        .select(FollowUp::as_select())
        .load(conn)?)
}

/// The same, locked in the order of their ids.
pub fn of_event_for_update(
    conn: &mut PgConnection,
    event_id: Uuid,
) -> Result<Vec<FollowUp>, Error> {
    Ok(follow_ups::table
        .filter(follow_ups::event_id.eq(event_id))
        .order(follow_ups::id)
        .select(FollowUp::as_select())
        .for_no_key_update()
        .load(conn)?)
}

pub fn list(
    conn: &mut PgConnection,
    event_id: Uuid,
    paging: &Paging,
) -> Result<(Vec<FollowUp>, Option<i64>), Error> {
    let matching = || {
        follow_ups::table
            .filter(follow_ups::event_id.eq(event_id))
            .into_boxed()
    };
    let total = if paging.include_total {
        Some(matching().count().get_result(conn)?)
    } else {
        None
    };
    let query = matching().select(FollowUp::as_select());
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

pub fn insert(conn: &mut PgConnection, planned: &FollowUp) -> Result<(), Error> {
    diesel::insert_into(follow_ups::table)
        .values(planned)
        .execute(conn)?;
    Ok(())
}

pub fn set_status(
    conn: &mut PgConnection,
    before: &FollowUp,
    status: FollowUpStatus,
    now: DateTime<Utc>,
) -> Result<FollowUp, Error> {
    Ok(diesel::update(follow_ups::table.find(before.id))
        .set((
            follow_ups::status.eq(status),
            follow_ups::revision.eq(before.revision + 1),
            follow_ups::updated_at.eq(now),
        ))
        .returning(FollowUp::as_returning())
        .get_result(conn)?)
}
