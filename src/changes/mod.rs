//! The change log: every changed resource appends one entry, in the transaction that changes it.
//!
//! One log, three readers: the audit trail, the change feed and the webhooks read it once a sequencer has numbered and chained it.
//! An entry says who, for whom, through which client, what, and in which request; what it was before and after lies beside it,
//! bound to it by a digest, so that disposal (gallring) can delete contents and the chain still verifies.

pub mod chain;
pub mod handlers;
pub mod queries;
pub mod reminders;
pub mod sequencer;
pub mod verification;

use chrono::{DateTime, Utc};
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{Binary, Integer, Json, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::Write;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Error;
use crate::http::call::Call;
use crate::stored_as_text;

/// What was done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// Made, at revision 1.
    Create,
    /// Changed.
    Update,
    /// Gone, as only what is no record may be: a calendar feed.
    Delete,
    /// Nothing was done: the service reminds of what is due.
    Remind,
    /// Disposed of (gallring) with all below it, by a decision that the entry names.
    Dispose,
}

/// What kind of resource was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ResourceType {
    /// A version of the guideline.
    GuidelineVersion,
    /// A unit of the municipal group.
    Unit,
    /// A person, by their personRef.
    Person,
    /// Who holds the office of a head, ordinarily or acting.
    OfficeAppointment,
    /// A goal that events serve.
    BusinessGoal,
    /// A place where events are held.
    Venue,
    /// A contract with a supplier of venues.
    SupplierContract,
    /// A planning day, training day or other event.
    Event,
    /// The answer to one planning question of an event.
    PlanningAnswer,
    /// A request for an exception from the guideline.
    ExceptionRequest,
    /// What was decided on a request for an exception.
    Decision,
    /// That a decision taken by delegation was reported to the board.
    DecisionReport,
    /// A follow-up of an event.
    FollowUp,
    /// What was learned at a follow-up, and its result.
    FollowUpEntry,
    /// How long a kind of record is kept.
    RetentionRule,
    /// A machine that uses the service.
    ApiClient,
    /// A system that is told of changes.
    WebhookSubscription,
    /// A calendar that a person subscribes to.
    CalendarFeed,
}

stored_as_text!(Operation, ResourceType);

/// What was changed in a resource: one property, or one inside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Where: a JSON pointer (RFC 6901) into the resource. Arrays are compared as wholes.
    #[schema(example = "/title")]
    pub pointer: String,
    /// What stood there; absent when nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Planeringsdag")]
    pub before: Option<Value>,
    /// What stands there since; absent when nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Planeringsdag i september")]
    pub after: Option<Value>,
}

/// What differs between two states of a resource, in order of the pointers.
pub fn differences(before: Option<&Value>, after: Option<&Value>) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(String::new(), before, after, &mut found);
    found
}

fn compare(
    pointer: String,
    before: Option<&Value>,
    after: Option<&Value>,
    found: &mut Vec<Difference>,
) {
    if before == after {
        return;
    }
    let members = |state: Option<&Value>| state.and_then(Value::as_object).cloned();
    let is_object_or_absent = |state: Option<&Value>| state.is_none_or(Value::is_object);
    if is_object_or_absent(before) && is_object_or_absent(after) {
        let (before, after) = (
            members(before).unwrap_or_default(),
            members(after).unwrap_or_default(),
        );
        let names: std::collections::BTreeSet<&String> =
            before.keys().chain(after.keys()).collect();
        for name in names {
            let step = name.replace('~', "~0").replace('/', "~1");
            compare(
                format!("{pointer}/{step}"),
                before.get(name),
                after.get(name),
                found,
            );
        }
        return;
    }
    found.push(Difference {
        pointer,
        before: before.cloned(),
        after: after.cloned(),
    });
}

/// An entry of the audit trail: who changed what, when, for whom, and how.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// The entry's own id, in order of appending; ids may be missing where a change was undone.
    #[schema(example = 17)]
    pub entry_id: i64,
    /// Its number in the chain, without gaps; null until it has been numbered, within a second.
    #[schema(required = true, example = 17)]
    pub number: Option<i64>,
    /// Its hash in the chain (SHA-256, hex): `kompetens verify-audit` computes it anew.
    #[schema(
        required = true,
        example = "5f1d7a2c0b6f5a0f3c0a6b8e9d7f4c2b1a0e9d8c7b6a5f4e3d2c1b0a9f8e7d6c"
    )]
    pub hash: Option<String>,
    /// When the change was made.
    #[schema(example = "2026-10-05T06:30:00Z")]
    pub occurred_at: DateTime<Utc>,
    /// Who made it: a personRef, `client:` and the id of an API client, or `system`.
    #[schema(example = "person-0001")]
    pub actor: String,
    /// The person for whom it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "person-0003")]
    pub on_behalf_of: Option<String>,
    /// The API client through which it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0190a000-0000-7000-8000-000000001a01")]
    pub client: Option<String>,
    /// The request; all entries of one request share it.
    #[schema(example = "0190a000-0000-7000-8000-0000000000ff")]
    pub request_id: String,
    pub operation: Operation,
    /// What was changed.
    #[schema(value_type = ResourceType, example = "event")]
    pub resource_type: String,
    /// Its id.
    #[schema(example = "0190a000-0000-7000-8000-000000001001")]
    pub resource_id: Uuid,
    /// The revision it got.
    #[schema(example = 2)]
    pub revision: i32,
    /// The event it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0190a000-0000-7000-8000-000000001001")]
    pub event_id: Option<Uuid>,
    /// Have the contents been disposed of (gallring)? Then nothing is left to compare.
    #[schema(example = false)]
    pub disposed: bool,
    /// What differs from before, property by property; all of them for what was created.
    pub differences: Vec<Difference>,
}

/// A numbered change, as those see it who keep a copy.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Change)]
#[serde(rename_all = "camelCase")]
pub struct NumberedChange {
    /// Its number: later changes have higher ones, and a number never expires.
    #[schema(example = 17)]
    pub number: i64,
    pub operation: Operation,
    /// What was changed.
    #[schema(value_type = ResourceType, example = "event")]
    pub resource_type: String,
    /// Its id.
    #[schema(example = "0190a000-0000-7000-8000-000000001001")]
    pub resource_id: Uuid,
    /// The revision it got.
    #[schema(example = 2)]
    pub revision: i32,
    /// The event it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0190a000-0000-7000-8000-000000001001")]
    pub event_id: Option<Uuid>,
    /// When the change was made.
    #[schema(example = "2026-10-05T06:30:00Z")]
    pub occurred_at: DateTime<Utc>,
    /// The request that made it.
    #[schema(example = "0190a000-0000-7000-8000-0000000000ff")]
    pub request_id: String,
    /// Is it gone, or gone from what you may read? Then delete your copy, and all below it.
    #[schema(example = false)]
    pub tombstone: bool,
    /// The resource as it was after the change; absent in a tombstone, in a reminder, and when it has been disposed of since.
    /// Its schema has the name of `resourceType`: an `event` is an `Event`, an `officeAppointment` an `OfficeAppointment`. Three have
    /// others: a `planningAnswer` is a `GivenAnswer`, a `followUp` a `StoredFollowUp`, an `apiClient` a `MachineClient`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub resource: Option<Value>,
    /// What is reminded of, when `operation` is `remind`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<reminders::Reminder>)]
    pub reminder: Option<Value>,
}

/// Changes in the order of their numbers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeList {
    /// Those of the changes looked at that you may read: at most `limit`, and perhaps none.
    pub items: Vec<NumberedChange>,
    /// How many changes are looked at for one answer, at most.
    #[schema(example = 20)]
    pub limit: i64,
    /// Send this as `after` next time: the last number that was looked at.
    #[schema(example = 17)]
    pub next_after: i64,
    /// Do more changes stand? If not, ask again in a while.
    #[schema(example = false)]
    pub has_more: bool,
}

/// Which resource was changed, to what.
pub struct Change<'a, T> {
    pub operation: Operation,
    pub resource: ResourceType,
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
    const NAME: ResourceType;

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
    let text = |state: Option<&T>| {
        state
            .map(serde_json::to_string)
            .transpose()
            .map_err(Error::internal)
    };
    let (before, after) = (text(change.before)?, text(change.after)?);
    let salt = *Uuid::new_v4().as_bytes();
    Append {
        call,
        client: call
            .actor
            .integration()
            .map(|machine| machine.client_id.to_string()),
        operation: change.operation,
        resource: change.resource,
        id: change.id,
        revision: change.revision,
        event_id: change.event_id,
        digest: chain::digest(&salt, before.as_deref(), after.as_deref()),
        salt: salt.to_vec(),
        before: before.map(Digested),
        after: after.map(Digested),
    }
    .execute(conn)?;
    Ok(())
}

/// Entry and payload in one statement with fixed columns, so that it is prepared once and costs one round trip.
struct Append<'a> {
    call: &'a Call,
    client: Option<String>,
    operation: Operation,
    resource: ResourceType,
    id: Uuid,
    revision: i32,
    event_id: Option<Uuid>,
    digest: Vec<u8>,
    salt: Vec<u8>,
    before: Option<Digested>,
    after: Option<Digested>,
}

/// JSON that is stored as the text that was digested.
#[derive(Debug)]
struct Digested(String);

impl ToSql<Json, Pg> for Digested {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(self.0.as_bytes())?;
        Ok(IsNull::No)
    }
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
        out.push_bind_param::<Text, _>(&self.operation)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&self.resource)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_differs_is_named_property_by_property() {
        let before = json!({"title": "A", "same": 1, "count": {"total": 3}, "list": [1, 2], "gone": true, "a/b": 1});
        let after = json!({"title": "B", "same": 1, "count": {"total": 4}, "list": [2], "new": null, "a/b": 2});
        let found = differences(Some(&before), Some(&after));
        let told: Vec<_> = found
            .iter()
            .map(|one| (one.pointer.as_str(), one.before.clone(), one.after.clone()))
            .collect();
        assert_eq!(
            told,
            [
                ("/a~1b", Some(json!(1)), Some(json!(2))),
                ("/count/total", Some(json!(3)), Some(json!(4))),
                ("/gone", Some(json!(true)), None),
                ("/list", Some(json!([1, 2])), Some(json!([2]))),
                ("/new", None, Some(json!(null))),
                ("/title", Some(json!("A")), Some(json!("B"))),
            ]
        );
        assert_eq!(differences(Some(&after), Some(&after)), []);
        assert_eq!(differences(None, Some(&json!({"a": 1}))).len(), 1);
    }
}
