//! The change log: every changed resource appends one entry, in the transaction that changes it.
//!
//! One log, three readers: the audit trail, the change feed and the webhooks read it once a sequencer has numbered and chained it.
//! An entry says who, for whom, through which client, what, and in which request; what it was before and after lies beside it,
//! bound to it by a digest, so that disposal (gallring) can delete contents and the chain still verifies.

use aws_lc_rs::digest::{Context, SHA256};
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Binary, Integer, Json, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::error::Error;
use crate::http::call::Call;

/// What was done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    /// Gone, as only what is no record may be: a calendar feed.
    Delete,
}

/// Which resource was changed, to what.
pub struct Change<'a, T> {
    pub operation: Operation,
    /// The resource's name in the singular, as in the document: `event`, `officeAppointment`.
    pub resource: &'static str,
    pub id: Uuid,
    /// The revision it has now.
    pub revision: i32,
    /// The event it belongs to, by which access to the entry is judged.
    pub event_id: Option<Uuid>,
    pub before: Option<&'a T>,
    pub after: Option<&'a T>,
}

/// What the log needs to know of a resource.
pub trait Resource: Serialize {
    /// Its name in the singular, as in the document: `event`, `officeAppointment`.
    const NAME: &'static str;

    fn id(&self) -> Uuid;

    fn revision(&self) -> i32;

    /// The event it belongs to, by which access to the entry is judged.
    fn event_id(&self) -> Option<Uuid> {
        None
    }
}

/// Appends that a resource was created.
pub fn created<R: Resource>(conn: &mut PgConnection, call: &Call, after: &R) -> Result<(), Error> {
    append(conn, call, &change(Operation::Create, None, after))
}

/// Appends that a resource was changed.
pub fn updated<R: Resource>(
    conn: &mut PgConnection,
    call: &Call,
    before: &R,
    after: &R,
) -> Result<(), Error> {
    append(conn, call, &change(Operation::Update, Some(before), after))
}

fn change<'a, R: Resource>(
    operation: Operation,
    before: Option<&'a R>,
    after: &'a R,
) -> Change<'a, R> {
    Change {
        operation,
        resource: R::NAME,
        id: after.id(),
        revision: after.revision(),
        event_id: after.event_id(),
        before,
        after: Some(after),
    }
}

/// Appends one entry. A database error here takes the change back too.
pub fn append<T: Serialize>(
    conn: &mut PgConnection,
    call: &Call,
    change: &Change<'_, T>,
) -> Result<(), Error> {
    let value = |state: Option<&T>| {
        state
            .map(serde_json::to_value)
            .transpose()
            .map_err(Error::internal)
    };
    let (before, after) = (value(change.before)?, value(change.after)?);
    let salt = *Uuid::new_v4().as_bytes();
    Append {
        call,
        client: call
            .actor
            .integration()
            .map(|machine| machine.client_id.to_string()),
        operation: match change.operation {
            Operation::Create => "create",
            Operation::Update => "update",
            Operation::Delete => "delete",
        },
        resource: change.resource,
        id: change.id,
        revision: change.revision,
        event_id: change.event_id,
        digest: digest(&salt, before.as_ref(), after.as_ref()),
        salt: salt.to_vec(),
        before,
        after,
    }
    .execute(conn)?;
    Ok(())
}

/// `sha256(salt ‖ before ‖ after)` over the texts as they are stored.
fn digest(salt: &[u8], before: Option<&Value>, after: Option<&Value>) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    context.update(salt);
    for state in [before, after].into_iter().flatten() {
        context.update(state.to_string().as_bytes());
    }
    context.finish().as_ref().to_vec()
}

/// Entry and payload in one statement with fixed columns, so that it is prepared once and costs one round trip.
struct Append<'a> {
    call: &'a Call,
    client: Option<String>,
    operation: &'static str,
    resource: &'static str,
    id: Uuid,
    revision: i32,
    event_id: Option<Uuid>,
    digest: Vec<u8>,
    salt: Vec<u8>,
    before: Option<Value>,
    after: Option<Value>,
}

/// The statement never differs but for its bind parameters.
impl QueryId for Append<'_> {
    type QueryId = Append<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for Append<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "with entry as (insert into changes \
             (request_id, occurred_at, actor, client, on_behalf_of, operation, resource_type, resource_id, revision, event_id, digest) values (",
        );
        out.push_bind_param::<Text, _>(&self.call.request_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Timestamptz, _>(&self.call.now)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(self.call.actor.name())?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&self.client)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&self.call.on_behalf_of)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(self.operation)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(self.resource)?;
        out.push_sql(", ");
        out.push_bind_param::<SqlUuid, _>(&self.id)?;
        out.push_sql(", ");
        out.push_bind_param::<Integer, _>(&self.revision)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<SqlUuid>, _>(&self.event_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Binary, _>(&self.digest)?;
        out.push_sql(") returning entry_id) insert into change_payloads (entry_id, salt, before, after) select entry_id, ");
        out.push_bind_param::<Binary, _>(&self.salt)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Json>, _>(&self.before)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Json>, _>(&self.after)?;
        out.push_sql(" from entry");
        Ok(())
    }
}

impl RunQueryDsl<PgConnection> for Append<'_> {}
