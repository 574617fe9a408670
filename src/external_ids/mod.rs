//! External ids: another system writes what it keeps under its own id, without reading first and without doubt.
//!
//! An id is unique per source system and resource (I15). The digest of the last body received by it is kept: an equal body changes
//! nothing, even if the resource was edited here since, so a system may send all that it has every night. Another body replaces what
//! stands, by the same functions and rules as POST and PATCH. Of two that create at once the later waits and then finds the first.

pub mod handlers;

use aws_lc_rs::digest::{SHA256, digest as sha};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::changes::Resource;
use crate::error::{At, Code, Error};
use crate::guideline::Text;
use crate::http::call::Call;
use crate::http::json_text;
use crate::rules::access::Action;

/// What another system calls something.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
pub struct ExternalId {
    /// The system that keeps it; an integration uses only its own.
    #[param(pattern = r"^[A-Za-z0-9._~-]{1,100}$", example = "hr-system")]
    pub source_system: String,
    /// Its id in that system; never a personal identity number.
    #[param(pattern = r"^[A-Za-z0-9._~-]{1,100}$", example = "4711")]
    pub external_id: String,
}

/// Where something came from, and what was said of it last.
#[derive(Debug, Clone)]
pub struct Origin {
    pub id: ExternalId,
    pub digest: Vec<u8>,
}

impl Origin {
    pub fn new(id: ExternalId, body: &impl Serialize) -> Result<Origin, Error> {
        Ok(Origin {
            digest: digest(body)?,
            id,
        })
    }
}

/// A resource, and the digest of the last body received under its external id.
pub type Kept<T> = (T, Option<Vec<u8>>);

/// A resource that another system can write under its own id.
pub trait External: Resource + Sized + 'static {
    /// What it is made from, as in its POST.
    type Body: Serialize + serde::de::DeserializeOwned + Send + 'static;
    /// Its collection, below the base.
    const PATH: &'static str;
    /// How many new ids a write may need.
    const IDS: usize = 1;

    /// 422 for what can be judged without the database.
    fn judge(_: &Self::Body) -> Result<(), Error> {
        Ok(())
    }

    /// 403 or 404 unless the caller may read it.
    fn expect_may_read(&self, _: &mut PgConnection, call: &Call) -> Result<(), Error> {
        call.may(Action::ReadOrganisation)
    }

    /// 403 or 404 unless the caller may create this, or make this of what stands.
    fn expect_may_write(
        _: &mut PgConnection,
        call: &Call,
        _before: Option<&Self>,
        _: &Self::Body,
    ) -> Result<(), Error> {
        call.may(Action::WriteOrganisation)
    }

    fn find(conn: &mut PgConnection, id: &ExternalId) -> Result<Self, Error>;

    /// Locked, with the digest of the last body received.
    fn find_for_update(
        conn: &mut PgConnection,
        id: &ExternalId,
    ) -> Result<Option<Kept<Self>>, Error>;

    fn keep_digest(conn: &mut PgConnection, id: Uuid, digest: &[u8]) -> Result<(), Error>;

    /// Creates it under the first of these ids, with its one change entry.
    fn create(
        conn: &mut PgConnection,
        call: &Call,
        ids: &[Uuid],
        body: &Self::Body,
        origin: &Origin,
    ) -> Result<Self, Error>;

    /// Gives it other values under the rules of a change, with its one change entry; leaves it alone when they are the same.
    fn replace(
        conn: &mut PgConnection,
        call: &Call,
        ids: &[Uuid],
        before: &Self,
        body: &Self::Body,
    ) -> Result<Self, Error>;
}

/// What a write by external id did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    Created,
    Changed,
    Unchanged,
}

/// Creates or replaces what has this external id; leaves it alone when this body was the last one received.
pub fn write<R: External>(
    conn: &mut PgConnection,
    call: &Call,
    ids: &[Uuid],
    id: &ExternalId,
    body: &R::Body,
) -> Result<(R, Written), Error> {
    expect_own_system(call, id)?;
    let origin = Origin::new(id.clone(), body)?;
    let mut found = R::find_for_update(conn, id)?;
    if found.is_none() {
        // whoever creates it at the same time is waited for; what is there already costs no lock
        lock::<R>(conn, id)?;
        found = R::find_for_update(conn, id)?;
    }
    let Some((before, last)) = found else {
        R::expect_may_write(conn, call, None, body)?;
        if call.if_match.is_some() {
            return Err(Error::new(Code::StaleRevision));
        }
        return Ok((R::create(conn, call, ids, body, &origin)?, Written::Created));
    };
    R::expect_may_write(conn, call, Some(&before), body)?;
    call.expect_revision(before.revision())?;
    if call.only_create {
        return Err(Error::new(Code::StaleRevision));
    }
    if last.as_ref() == Some(&origin.digest) {
        return Ok((before, Written::Unchanged));
    }
    let after = R::replace(conn, call, ids, &before, body)?;
    R::keep_digest(conn, after.id(), &origin.digest)?;
    let written = if after.revision() == before.revision() {
        Written::Unchanged
    } else {
        Written::Changed
    };
    Ok((after, written))
}

/// Holds the external id of what is not there yet until the transaction ends.
fn lock<R: External>(conn: &mut PgConnection, id: &ExternalId) -> Result<(), Error> {
    let name = format!(
        "{} {}/{}",
        json_text::name(&R::NAME),
        id.source_system,
        id.external_id
    );
    diesel::sql_query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind::<diesel::sql_types::Text, _>(name)
        .execute(conn)?;
    Ok(())
}

/// 403 when an integration uses another system's ids; people are not bound to one.
pub fn expect_own_system(call: &Call, id: &ExternalId) -> Result<(), Error> {
    match call.actor.integration() {
        Some(own) if own.source_system != id.source_system => {
            let detail = Text {
                sv: format!(
                    "Integrationen hör till källsystemet {}. Använd det.",
                    own.source_system
                ),
                en: format!(
                    "The integration belongs to the source system {}. Use that.",
                    own.source_system
                ),
            };
            let at = At::Parameter("sourceSystem".to_owned());
            Err(Error::at(Code::Forbidden, at).detail(detail))
        }
        _ => Ok(()),
    }
}

/// SHA-256 of what a body says: neither the order of its members nor a null counts, nor will fields of later versions.
fn digest(body: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut said = serde_json::to_value(body).map_err(Error::internal)?;
    forget_nulls(&mut said);
    Ok(sha(&SHA256, said.to_string().as_bytes()).as_ref().to_vec())
}

fn forget_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(forget_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_nulls),
        _ => {}
    }
}

/// The id of what is created.
pub fn first_of(ids: &[Uuid]) -> Result<Uuid, Error> {
    ids.first()
        .copied()
        .ok_or_else(|| Error::internal("no id for what is created"))
}

/// As many new ids as a write of this resource may need.
pub fn new_ids<R: External>() -> Vec<Uuid> {
    std::iter::repeat_with(Uuid::now_v7).take(R::IDS).collect()
}
