//! The audit trail and the change feed over HTTP.

use actix_web::get;
use actix_web::web::Data;
use chrono::NaiveDate;
use diesel::pg::PgConnection;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::chain::Entry;
use super::queries::{self, Payload};
use super::{AuditEntry, ChangeList, NumberedChange, Operation, ResourceType};
use crate::db::Db;
use crate::error::Error;
use crate::events::{self, Organisers};
use crate::http::answer::Answer;
use crate::http::call::{Call, Query};
use crate::http::paging::{Paging, PagingParameters};
use crate::http::parameters::expect_period;
use crate::identity::permitted;
use crate::rules::access::{self, Access, Action, Asker, EventFacts, Reading};
use crate::{page_of, sort_by};

page_of!(
    /// A page of the audit trail.
    AuditEntryPage, AuditEntry
);
sort_by!(
    AuditEntrySort,
    "entryId",
    "-entryId",
    "In order of appending."
);

/// Which entries to list; several values of one parameter are separated by commas.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, style = Form)]
pub struct AuditFilter {
    /// Only entries about resources of one of these types.
    #[param(required = false, explode = false, min_items = 1, max_items = 20, example = json!(["event"]))]
    pub resource_type: Option<Vec<ResourceType>>,
    /// Only entries about the resource with this id.
    #[param(required = false, example = "0190a000-0000-7000-8000-000000001001")]
    pub resource_id: Option<Uuid>,
    /// Only entries about this event and all below it.
    #[param(required = false, example = "0190a000-0000-7000-8000-000000001001")]
    pub event_id: Option<Uuid>,
    /// Only entries where one of these was done.
    #[param(required = false, explode = false, min_items = 1, max_items = 10, example = json!(["create", "update"]))]
    pub operation: Option<Vec<Operation>>,
    /// Only what this actor did: a personRef, `client:` and the id of an API client, or `system`.
    #[param(
        required = false,
        min_length = 1,
        max_length = 100,
        example = "person-0001"
    )]
    pub actor: Option<String>,
    /// Only what was done for this person (personRef) by another.
    #[param(
        required = false,
        min_length = 1,
        max_length = 100,
        example = "person-0003"
    )]
    pub on_behalf_of: Option<String>,
    /// Only what was done through this API client (its id).
    #[param(
        required = false,
        min_length = 1,
        max_length = 100,
        example = "0190a000-0000-7000-8000-000000001a01"
    )]
    pub client: Option<String>,
    /// Only what this request did.
    #[param(
        required = false,
        min_length = 1,
        max_length = 100,
        example = "0190a000-0000-7000-8000-0000000000ff"
    )]
    pub request_id: Option<String>,
    /// Only what was done on this day or later (in Stockholm).
    #[param(required = false, example = "2026-01-01")]
    pub from: Option<NaiveDate>,
    /// Only what was done on this day or earlier (in Stockholm).
    #[param(required = false, example = "2030-12-31")]
    pub to: Option<NaiveDate>,
    /// The order; `-` is descending, the latest first.
    #[param(required = false, inline, example = "entryId")]
    #[serde(default)]
    pub sort: AuditEntrySort,
}

/// Where to go on in the change feed.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ChangeWindow {
    /// The last number that you have: `nextAfter` of the answer before, and 0 the first time.
    #[param(required = false, minimum = 0, default = 0, example = 0)]
    #[serde(default)]
    after: i64,
    /// How many changes to look at, at most.
    #[param(
        required = false,
        minimum = 1,
        maximum = 100,
        default = 20,
        example = 20
    )]
    #[serde(default = "default_limit")]
    limit: i64,
}

fn default_limit() -> i64 {
    20
}

pub fn configure(config: &mut ServiceConfig) {
    config.service(list_audit_entries).service(list_changes);
}

/// List the audit trail
///
/// Who changed what, when, through which client and in which request, with what differs. An entry is appended in the transaction of its
/// change; within a second it gets its number and its hash, which binds it to all entries before it. `kompetens verify-audit`
/// finds an entry that was changed, removed or moved. Office holders see what concerns their units and those below.
#[utoipa::path(
    tag = "service",
    params(AuditFilter, PagingParameters),
    responses((status = 200, description = "The page of entries that match.", body = AuditEntryPage)),
)]
#[get("/kompetens/v1/audit-entries")]
async fn list_audit_entries(
    call: Call,
    db: Data<Db>,
    Query(filter): Query<AuditFilter>,
    paging: Paging,
) -> Result<Answer, Error> {
    expect_period(filter.from, filter.to)?;
    let window = paging.clone();
    let rows = db
        .snapshot(move |conn| {
            let asker = call.asker(conn)?;
            permitted(&asker, Action::List(Reading::Audit))?;
            queries::audit(
                conn,
                &filter,
                &access::reach(&asker, Reading::Audit),
                &window,
            )
        })
        .await?;
    AuditEntryPage::answer(&paging, rows, |entry| (entry.entry_id, Uuid::nil()))
}

/// Follow the changes
///
/// Every change in the order of its number, for those who keep a copy: begin with `after=0`, store `nextAfter` together with what you made
/// of the items, and ask again with it, at once while `hasMore` is true, else in a while. Numbers are given after commit, so a change
/// that commits late has a later number and none is missed; nothing expires. An item carries the whole resource as it was after the
/// change; a `tombstone` says that it is gone, disposed of, or gone from what you may read. HR administrators and auditors see
/// every number; an integration sees what its other scopes let it read, so its numbers have gaps and an answer may be empty
/// though more stands. What was changed before an event came within an integration's units is not repeated: read such an event once.
#[utoipa::path(
    tag = "service",
    params(ChangeWindow),
    responses((status = 200, description = "The changes after that number.", body = ChangeList)),
)]
#[get("/kompetens/v1/changes")]
async fn list_changes(
    call: Call,
    db: Data<Db>,
    Query(window): Query<ChangeWindow>,
) -> Result<Answer, Error> {
    let list = db
        .snapshot(move |conn| {
            let asker = call.asker(conn)?;
            permitted(&asker, Action::ReadChanges)?;
            follow(conn, &asker, &window)
        })
        .await?;
    Answer::plain(&list)
}

fn follow(
    conn: &mut PgConnection,
    asker: &Asker,
    window: &ChangeWindow,
) -> Result<ChangeList, Error> {
    let mut entries = queries::numbered_after(conn, window.after, window.limit)?;
    let limit = usize::try_from(window.limit).map_err(Error::internal)?;
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    let next_after = entries
        .last()
        .and_then(|entry| entry.number)
        .unwrap_or(window.after);
    let mut payloads = queries::payloads(conn, &entries)?;
    let sight = Sight::of(conn, asker, &entries, &payloads)?;
    let mut items = Vec::new();
    for entry in entries {
        let payload = payloads.remove(&entry.entry_id).unwrap_or_default();
        items.extend(sight.show(entry, payload)?);
    }
    Ok(ChangeList {
        items,
        limit: window.limit,
        next_after,
        has_more,
    })
}

/// What a reader of the feed may see of some entries.
enum Sight {
    /// People who may read the feed read all of it.
    Everything,
    /// An integration sees what it could read otherwise.
    As {
        asker: Asker,
        organisers: Organisers,
        /// The events that the entries belong to, as they are now.
        events: HashMap<Uuid, EventFacts>,
    },
}

impl Sight {
    fn of(
        conn: &mut PgConnection,
        asker: &Asker,
        entries: &[Entry],
        payloads: &HashMap<i64, Payload>,
    ) -> Result<Sight, Error> {
        if matches!(asker, Asker::Person { .. }) {
            return Ok(Sight::Everything);
        }
        let ids: BTreeSet<Uuid> = entries.iter().filter_map(|entry| entry.event_id).collect();
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let events = events::queries::load_many(conn, &ids)?;
        let units: BTreeSet<Uuid> = payloads
            .values()
            .flat_map(|payload| [&payload.before, &payload.after])
            .flatten()
            .flat_map(organising_units)
            .collect();
        let units: Vec<Uuid> = units.into_iter().collect();
        Ok(Sight::As {
            asker: asker.clone(),
            organisers: Organisers::read(conn, &units)?,
            events: events
                .into_iter()
                .map(|event| (event.id, event.facts()))
                .collect(),
        })
    }

    /// The entry as an item, if it is seen.
    fn show(&self, entry: Entry, payload: Payload) -> Result<Option<NumberedChange>, Error> {
        let operation = queries::operation(&entry.operation)?;
        let is_gone = matches!(operation, Operation::Delete | Operation::Dispose);
        let was_seen = self.sees(&entry, payload.before.as_ref());
        let is_seen = self.sees(&entry, payload.after.as_ref());
        // of what was disposed of nothing is left to judge by, and its tombstone says nothing more
        let is_shown = was_seen || is_seen || operation == Operation::Dispose;
        let Some(number) = entry.number.filter(|_| is_shown) else {
            return Ok(None);
        };
        let tombstone = is_gone || (was_seen && !is_seen);
        let (resource, reminder) = match operation {
            Operation::Remind => (None, payload.after),
            _ if tombstone => (None, None),
            _ => (payload.after, None),
        };
        Ok(Some(NumberedChange {
            number,
            operation,
            resource_type: entry.resource_type,
            resource_id: entry.resource_id,
            revision: entry.revision,
            event_id: entry.event_id,
            occurred_at: entry.occurred_at,
            request_id: entry.request_id,
            tombstone,
            resource,
            reminder,
        }))
    }

    /// May the reader see this state of the entry's resource?
    fn sees(&self, entry: &Entry, state: Option<&Value>) -> bool {
        let Sight::As {
            asker,
            organisers,
            events,
        } = self
        else {
            return true;
        };
        let may = |action: Action<'_>| access::may(asker, action) == Access::Allowed;
        match (entry.resource_type.as_str(), entry.event_id) {
            // an event by the organisers it had then, so that one that has moved away leaves a tombstone
            ("event", _) => state
                .and_then(|state| then(state, organisers))
                .is_some_and(|event| may(Action::ReadEvent(&event))),
            (_, Some(id)) => {
                state.is_some()
                    && events
                        .get(&id)
                        .is_some_and(|event| may(Action::ReadPlanning(event)))
            }
            (
                "unit" | "person" | "officeAppointment" | "businessGoal" | "venue"
                | "supplierContract" | "guidelineVersion",
                None,
            ) => state.is_some() && may(Action::ReadOrganisation),
            _ => false,
        }
    }
}

fn organising_units(state: &Value) -> Vec<Uuid> {
    state["organisingUnitIds"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|id| id.as_str()?.parse().ok())
        .collect()
}

/// What access judges an event by, out of a state of it in the log.
fn then(state: &Value, organisers: &Organisers) -> Option<EventFacts> {
    Some(EventFacts {
        status: serde_json::from_value(state["status"].clone()).ok()?,
        organisers: organisers.chains(&organising_units(state)),
        responsible_person: state["responsiblePerson"].as_str()?.to_owned(),
    })
}
