//! API clients in the database.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::upsert::excluded;
use std::sync::Arc;
use uuid::Uuid;

use super::{Known, MachineClient, MachineClientSort, NewMachineClient, Secret, Secrets};
use crate::db::schema::{api_client_details, api_client_secrets, api_client_uses, api_clients};
use crate::error::Error;
use crate::http::call::Call;
use crate::http::paging::Paging;
use crate::identity::Integration;
use crate::rules::access::Scope;
use crate::window;

pub fn find(conn: &mut PgConnection, id: Uuid) -> Result<MachineClient, Error> {
    Ok(api_client_details::table
        .find(id)
        .select(MachineClient::as_select())
        .first(conn)?)
}

pub fn find_for_update(conn: &mut PgConnection, id: Uuid) -> Result<MachineClient, Error> {
    api_clients::table
        .find(id)
        .select(api_clients::id)
        .for_no_key_update()
        .first::<Uuid>(conn)?;
    find(conn, id)
}

pub fn list(
    conn: &mut PgConnection,
    source_system: Option<&str>,
    sort: MachineClientSort,
    paging: &Paging,
) -> Result<(Vec<MachineClient>, Option<i64>), Error> {
    let matching = || {
        let mut query = api_client_details::table.into_boxed();
        if let Some(source_system) = source_system {
            query = query.filter(api_client_details::source_system.eq(source_system));
        }
        query
    };
    let total = paging.total(|| matching().count().get_result(conn))?;
    let query = matching().select(MachineClient::as_select());
    let rows = window!(
        query,
        paging,
        sort.is_descending(),
        api_client_details::name,
        api_client_details::id,
        String
    )
    .load(conn)?;
    Ok((rows, total))
}

pub(super) fn insert(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    new: &NewMachineClient,
) -> Result<(), Error> {
    diesel::insert_into(api_clients::table)
        .values((
            api_clients::id.eq(id),
            api_clients::revision.eq(1),
            api_clients::source_system.eq(&new.source_system),
            values(new),
            api_clients::created_by.eq(call.author()),
            api_clients::created_at.eq(call.now),
            api_clients::updated_at.eq(call.now),
        ))
        .execute(conn)?;
    Ok(())
}

pub(super) fn update(
    conn: &mut PgConnection,
    call: &Call,
    before: &MachineClient,
    new: &NewMachineClient,
) -> Result<(), Error> {
    diesel::update(api_clients::table.find(before.id))
        .set(values(new))
        .execute(conn)?;
    touch(conn, call, before)
}

type Values<'a> = (
    diesel::dsl::Eq<api_clients::name, &'a str>,
    diesel::dsl::Eq<api_clients::scopes, Vec<Scope>>,
    diesel::dsl::Eq<api_clients::unit_ids, Option<Vec<Uuid>>>,
    diesel::dsl::Eq<api_clients::expires_at, DateTime<Utc>>,
);

fn values(new: &NewMachineClient) -> Values<'_> {
    let unit_ids = new.unit_ids.as_ref();
    (
        api_clients::name.eq(new.name.as_str()),
        api_clients::scopes.eq(new.scopes.iter().copied().collect::<Vec<Scope>>()),
        api_clients::unit_ids.eq(unit_ids.map(|ids| ids.iter().copied().collect::<Vec<Uuid>>())),
        api_clients::expires_at.eq(new.expires_at),
    )
}

/// Counts its revision up.
pub(super) fn touch(
    conn: &mut PgConnection,
    call: &Call,
    before: &MachineClient,
) -> Result<(), Error> {
    diesel::update(api_clients::table.find(before.id))
        .set((
            api_clients::revision.eq(before.revision + 1),
            api_clients::updated_at.eq(call.now),
        ))
        .execute(conn)?;
    Ok(())
}

pub(super) fn end(
    conn: &mut PgConnection,
    call: &Call,
    before: &MachineClient,
) -> Result<(), Error> {
    diesel::update(api_clients::table.find(before.id))
        .set(api_clients::ended_at.eq(call.now))
        .execute(conn)?;
    touch(conn, call, before)
}

pub(super) fn insert_secret(
    conn: &mut PgConnection,
    call: &Call,
    client: Uuid,
    secret: &Secret,
) -> Result<(), Error> {
    diesel::insert_into(api_client_secrets::table)
        .values((
            api_client_secrets::id.eq(secret.id),
            api_client_secrets::client_id.eq(client),
            api_client_secrets::hash.eq(secret.hash()),
            api_client_secrets::created_at.eq(call.now),
        ))
        .execute(conn)?;
    Ok(())
}

pub(super) fn let_expire(
    conn: &mut PgConnection,
    secret: Uuid,
    at: DateTime<Utc>,
) -> Result<(), Error> {
    diesel::update(api_client_secrets::table.find(secret))
        .set(api_client_secrets::expires_at.eq(at))
        .execute(conn)?;
    Ok(())
}

pub(super) fn end_secrets(
    conn: &mut PgConnection,
    call: &Call,
    secrets: &[Uuid],
) -> Result<(), Error> {
    diesel::update(api_client_secrets::table.filter(api_client_secrets::id.eq_any(secrets)))
        .set(api_client_secrets::ended_at.eq(call.now))
        .execute(conn)?;
    Ok(())
}

pub(super) fn note_uses(
    conn: &mut PgConnection,
    uses: &[(Uuid, DateTime<Utc>)],
) -> Result<(), Error> {
    let rows: Vec<_> = uses
        .iter()
        .map(|(secret, at)| {
            (
                api_client_uses::secret_id.eq(secret),
                api_client_uses::last_used_at.eq(at),
            )
        })
        .collect();
    diesel::insert_into(api_client_uses::table)
        .values(rows)
        .on_conflict(api_client_uses::secret_id)
        .do_update()
        .set(api_client_uses::last_used_at.eq(excluded(api_client_uses::last_used_at)))
        .execute(conn)?;
    Ok(())
}

/// The client as a caller, unless it has ended or expired.
pub fn integration(
    conn: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<Integration>, Error> {
    type Row = (Vec<Scope>, Option<Vec<Uuid>>, String);
    let row: Option<Row> = api_clients::table
        .find(id)
        .filter(api_clients::ended_at.is_null())
        .filter(api_clients::expires_at.gt(now))
        .select((
            api_clients::scopes,
            api_clients::unit_ids,
            api_clients::source_system,
        ))
        .first(conn)
        .optional()?;
    Ok(row.map(|(scopes, units, source_system)| {
        Integration::new(
            id,
            scopes.into_iter().collect(),
            units.map(|units| units.into_iter().collect()),
            source_system,
        )
    }))
}

/// Every secret that has not ended, with what its client may do.
pub fn secrets(conn: &mut PgConnection) -> Result<Secrets, Error> {
    type Row = (
        (Uuid, Vec<u8>, Option<DateTime<Utc>>),
        (Uuid, Vec<Scope>, Option<Vec<Uuid>>, String, DateTime<Utc>),
    );
    let rows: Vec<Row> = api_client_secrets::table
        .inner_join(api_clients::table)
        .filter(api_client_secrets::ended_at.is_null())
        .filter(api_clients::ended_at.is_null())
        .select((
            (
                api_client_secrets::id,
                api_client_secrets::hash,
                api_client_secrets::expires_at,
            ),
            (
                api_clients::id,
                api_clients::scopes,
                api_clients::unit_ids,
                api_clients::source_system,
                api_clients::expires_at,
            ),
        ))
        .load(conn)?;
    let known = |((id, hash, until), client): Row| {
        let (client_id, scopes, units, source_system, expires_at) = client;
        let integration = Integration::new(
            client_id,
            scopes.into_iter().collect(),
            units.map(|units| units.into_iter().collect()),
            source_system,
        );
        let known = Known {
            hash,
            expires_at: until.map_or(expires_at, |until| until.min(expires_at)),
            integration: Arc::new(integration),
        };
        (id, known)
    };
    Ok(Secrets(rows.into_iter().map(known).collect()))
}
