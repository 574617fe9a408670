//! The change log in the database, as its readers read it.

use diesel::dsl::sql;
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Uuid as SqlUuid};
use serde_json::Value;
use std::collections::HashMap;
use uuid::Uuid;

use super::chain::{Entry, hex};
use super::handlers::AuditFilter;
use super::{AuditEntry, Operation, differences};
use crate::db::schema::{change_payloads, changes};
use crate::error::Error;
use crate::http::paging::Paging;
use crate::rules::access::Reach;
use crate::rules::calendar;

/// What an entry's resource was before and after.
#[derive(Debug, Clone, Default)]
pub struct Payload {
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// The contents of these entries, by entry; those that have been disposed of are missing.
pub fn payloads(
    conn: &mut PgConnection,
    entries: &[Entry],
) -> Result<HashMap<i64, Payload>, Error> {
    let ids: Vec<i64> = entries.iter().map(|entry| entry.entry_id).collect();
    let rows: Vec<(i64, Option<Value>, Option<Value>)> = change_payloads::table
        .filter(change_payloads::entry_id.eq_any(ids))
        .select((
            change_payloads::entry_id,
            change_payloads::before,
            change_payloads::after,
        ))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(id, before, after)| (id, Payload { before, after }))
        .collect())
}

/// The entries that match and that the caller may read.
pub fn audit(
    conn: &mut PgConnection,
    filter: &AuditFilter,
    reach: &Reach,
    paging: &Paging,
) -> Result<(Vec<AuditEntry>, Option<i64>), Error> {
    let total = paging.total(|| matching(filter, reach).count().get_result(conn))?;
    let mut query = matching(filter, reach).select(Entry::as_select());
    let descending = filter.sort.is_descending();
    if let Some((last, _)) = paging.after::<i64>()? {
        query = if descending {
            query.filter(changes::entry_id.lt(last))
        } else {
            query.filter(changes::entry_id.gt(last))
        };
    }
    query = if descending {
        query.order(changes::entry_id.desc())
    } else {
        query.order(changes::entry_id.asc())
    };
    let entries: Vec<Entry> = query
        .limit(paging.rows())
        .offset(paging.offset())
        .load(conn)?;
    let mut payloads = payloads(conn, &entries)?;
    let shown = entries.into_iter().map(|entry| {
        let payload = payloads.remove(&entry.entry_id);
        show(entry, payload)
    });
    Ok((shown.collect::<Result<_, Error>>()?, total))
}

fn show(entry: Entry, payload: Option<Payload>) -> Result<AuditEntry, Error> {
    let disposed = payload.is_none();
    let Payload { before, after } = payload.unwrap_or_default();
    Ok(AuditEntry {
        entry_id: entry.entry_id,
        number: entry.number,
        hash: entry.hash.as_deref().map(hex),
        occurred_at: entry.occurred_at,
        actor: entry.actor,
        on_behalf_of: entry.on_behalf_of,
        client: entry.client,
        request_id: entry.request_id,
        operation: operation(&entry.operation)?,
        resource_type: entry.resource_type,
        resource_id: entry.resource_id,
        revision: entry.revision,
        event_id: entry.event_id,
        disposed,
        differences: differences(before.as_ref(), after.as_ref()),
    })
}

/// The stored word as what it means.
pub fn operation(word: &str) -> Result<Operation, Error> {
    serde_json::from_value(Value::from(word)).map_err(Error::internal)
}

fn matching<'a>(filter: &'a AuditFilter, reach: &Reach) -> changes::BoxedQuery<'a, Pg> {
    let mut query = changes::table.into_boxed();
    if let Reach::Part { subtrees, .. } = reach {
        let subtrees: Vec<Uuid> = subtrees.iter().copied().collect();
        // an entry about an event is read by where the event is organised now, one about the organisation by its own unit
        let part = |from: &str, condition: &str| {
            format!("exists (select from {from}units u where {condition} and u.path && ")
        };
        query = query.filter(
            sql::<Bool>(&format!(
                "({}",
                part(
                    "event_organisers o, ",
                    "o.event_id = changes.event_id and u.id = o.unit_id",
                )
            ))
            .bind::<Array<SqlUuid>, _>(subtrees.clone())
            .sql(&format!(") or {}", part("", "u.id = changes.resource_id")))
            .bind::<Array<SqlUuid>, _>(subtrees.clone())
            .sql(&format!(
                ") or {}",
                part(
                    "people p, ",
                    "p.id = changes.resource_id and u.id = p.unit_id"
                )
            ))
            .bind::<Array<SqlUuid>, _>(subtrees.clone())
            .sql(&format!(
                ") or {}",
                part(
                    "office_appointments a, ",
                    "a.id = changes.resource_id and u.id = a.unit_id"
                )
            ))
            .bind::<Array<SqlUuid>, _>(subtrees.clone())
            .sql(&format!(
                ") or {}",
                part(
                    "business_goals g, ",
                    "g.id = changes.resource_id and u.id = g.unit_id"
                )
            ))
            .bind::<Array<SqlUuid>, _>(subtrees)
            .sql("))"),
        );
    }
    if let Some(types) = &filter.resource_type {
        query = query.filter(changes::resource_type.eq_any(types));
    }
    if let Some(id) = filter.resource_id {
        query = query.filter(changes::resource_id.eq(id));
    }
    if let Some(id) = filter.event_id {
        query = query.filter(changes::event_id.eq(id));
    }
    if let Some(operations) = &filter.operation {
        query = query.filter(changes::operation.eq_any(operations));
    }
    if let Some(actor) = &filter.actor {
        query = query.filter(changes::actor.eq(actor));
    }
    if let Some(person) = &filter.on_behalf_of {
        query = query.filter(changes::on_behalf_of.eq(person));
    }
    if let Some(client) = &filter.client {
        query = query.filter(changes::client.eq(client));
    }
    if let Some(request) = &filter.request_id {
        query = query.filter(changes::request_id.eq(request));
    }
    if let Some(from) = filter.from {
        query = query.filter(changes::occurred_at.ge(calendar::start_of_day(from)));
    }
    if let Some(to) = filter.to {
        query = query
            .filter(changes::occurred_at.lt(calendar::start_of_day(to + chrono::Days::new(1))));
    }
    query
}

/// The numbered entries after a number, one more than `limit`.
pub fn numbered_after(
    conn: &mut PgConnection,
    after: i64,
    limit: i64,
) -> Result<Vec<Entry>, Error> {
    Ok(changes::table
        .filter(changes::number.gt(after))
        .order(changes::number)
        .limit(limit + 1)
        .select(Entry::as_select())
        .load(conn)?)
}
