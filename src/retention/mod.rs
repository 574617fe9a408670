//! Disposal (gallring): what may be destroyed, by which decision, and its destruction.
//!
//! A record is a closed or a cancelled event with all below it: answers, exceptions, follow-ups, and what the change log holds of them.
//! A retention rule says how many years it is kept after it was closed or cancelled, and which decision says so; no rule means keep.
//! `kompetens dispose` shows what is due, and carries it out only when told to. The log keeps its entries, whose chain still verifies;
//! their contents are deleted, and one more entry per event says who disposed of it by which decision: the protocol.

pub mod handlers;

use chrono::{DateTime, NaiveDate, Utc};
use diesel::connection::SimpleConnection;
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::sql_types::{Date, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::changes::{self, Change, Operation, ResourceType};
use crate::db::schema::retention_rules;
use crate::error::Error;
use crate::http::call::Call;
use crate::identity::{Actor, Identity};
use crate::stored_as_text;

/// A kind of record that rules can be given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum RecordKind {
    /// An event that was closed, with all below it; kept from the day on which it was closed last.
    ClosedEvent,
    /// An event that was cancelled, with all below it; kept from the day on which it was cancelled.
    CancelledEvent,
}

stored_as_text!(RecordKind);

/// How long records of a kind are kept, and who decided so. Of each kind the rule posted last holds.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = retention_rules, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct RetentionRule {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000002101")]
    pub id: Uuid,
    /// A rule never changes: always 1.
    #[schema(example = 1)]
    pub revision: i32,
    pub record_kind: RecordKind,
    /// How many years it is kept; absent: kept for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 10)]
    pub years: Option<i32>,
    /// The decision of disposal: its registry number and paragraph.
    #[schema(example = "KS 2026/117 § 42")]
    pub decision_reference: String,
    /// Who posted it (personRef).
    #[schema(example = "person-0020")]
    pub created_by: String,
    /// When it was posted.
    #[schema(example = "2026-10-05T06:30:00Z")]
    pub created_at: DateTime<Utc>,
}

/// A rule to post.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"recordKind": "closedEvent", "years": 10, "decisionReference": "KS 2026/117 § 42"}))]
pub struct NewRetentionRule {
    pub record_kind: RecordKind,
    /// How many years it is kept after it was closed or cancelled; without it, for ever.
    #[schema(minimum = 1, maximum = 200, example = 10)]
    pub years: Option<i32>,
    /// The decision of disposal: its registry number and paragraph.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"\S",
        example = "KS 2026/117 § 42"
    )]
    pub decision_reference: String,
}

/// Posts a rule.
pub fn post(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    new: &NewRetentionRule,
) -> Result<RetentionRule, Error> {
    let rule = diesel::insert_into(retention_rules::table)
        .values((
            retention_rules::id.eq(id),
            retention_rules::revision.eq(1),
            retention_rules::record_kind.eq(new.record_kind),
            retention_rules::years.eq(new.years),
            retention_rules::decision_reference.eq(&new.decision_reference),
            retention_rules::created_by.eq(call.author()),
            retention_rules::created_at.eq(call.now),
        ))
        .returning(RetentionRule::as_returning())
        .get_result(conn)?;
    let change = Change {
        operation: Operation::Create,
        resource: ResourceType::RetentionRule,
        id,
        revision: rule.revision,
        event_id: None,
        before: None,
        after: Some(&rule),
    };
    changes::append(conn, call, &change)?;
    Ok(rule)
}

/// An event that is due for disposal, and why.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Due {
    #[diesel(sql_type = SqlUuid)]
    pub event_id: Uuid,
    #[diesel(sql_type = Integer)]
    #[serde(skip)]
    revision: i32,
    #[diesel(sql_type = Text)]
    pub record_kind: String,
    /// The event's registry number (diarienummer).
    #[diesel(sql_type = Nullable<Text>)]
    pub registry_number: Option<String>,
    /// When it was closed or cancelled last.
    #[diesel(sql_type = Timestamptz)]
    pub ended_at: DateTime<Utc>,
    #[diesel(sql_type = SqlUuid)]
    pub retention_rule_id: Uuid,
    #[diesel(sql_type = Integer)]
    pub years: i32,
    #[diesel(sql_type = Text)]
    pub decision_reference: String,
}

/// $1 today in Stockholm, $2 one event alone, or null.
const DUE: &str = "
    select e.id as event_id, e.revision, rule.record_kind, e.registry_number, ended.at as ended_at,
        rule.id as retention_rule_id, rule.years, rule.decision_reference
    from (select distinct on (record_kind) * from retention_rules order by record_kind, posted desc) rule
    join events e on e.status = case rule.record_kind when 'closedEvent' then 'closed' else 'cancelled' end
    cross join lateral (select max(s.changed_at) as at from status_changes s
        where s.event_id = e.id and s.to_status = e.status) ended
    where rule.years is not null and ($2 is null or e.id = $2)
        and (ended.at at time zone 'Europe/Stockholm')::date + make_interval(years => rule.years) <= $1
    order by ended.at, e.id";

/// What is due on a day.
pub fn due(
    conn: &mut PgConnection,
    today: NaiveDate,
    event: Option<Uuid>,
) -> QueryResult<Vec<Due>> {
    diesel::sql_query(DUE)
        .bind::<Date, _>(today)
        .bind::<Nullable<SqlUuid>, _>(event)
        .load(conn)
}

/// What the log says of a disposal.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Protocol<'a> {
    disposed: &'a Due,
    /// How many entries of the log have lost their contents.
    entries: i64,
}

/// Disposes of one event, if it is still due, in a transaction of its own: all of it or nothing.
pub fn dispose(conn: &mut PgConnection, call: &Call, event: Uuid) -> Result<Option<Due>, Error> {
    conn.transaction(|conn| {
        let locked = diesel::sql_query("select from events where id = $1 for update");
        locked.bind::<SqlUuid, _>(event).execute(conn)?;
        let Some(due) = due(conn, call.today(), Some(event))?.into_iter().next() else {
            return Ok(None);
        };
        conn.batch_execute("set local kompetens.disposal = 'on'")?;
        diesel::sql_query("select delete_with_all_below('events', format('id = %L', $1))")
            .bind::<SqlUuid, _>(event)
            .execute(conn)?;
        let emptied = diesel::sql_query(
            "delete from change_payloads p using changes c where c.entry_id = p.entry_id and c.event_id = $1",
        );
        let entries = emptied.bind::<SqlUuid, _>(event).execute(conn)?;
        diesel::sql_query("delete from reminders r using changes c where r.resource_id = c.resource_id and c.event_id = $1")
            .bind::<SqlUuid, _>(event)
            .execute(conn)?;
        conn.batch_execute("set local kompetens.disposal = 'off'")?;
        let protocol = Protocol {
            disposed: &due,
            entries: i64::try_from(entries).map_err(Error::internal)?,
        };
        let change = Change {
            operation: Operation::Dispose,
            resource: ResourceType::Event,
            id: event,
            revision: due.revision + 1,
            event_id: Some(event),
            before: None,
            after: Some(&protocol),
        };
        changes::append(conn, call, &change)?;
        Ok(Some(due))
    })
}

/// Shows what is due on the day of `now`, or disposes of it in the name of `person`; tells each line as it is done.
///
/// The URL is that of the owner of the schema when something is to be carried out. The message of an error never names it.
pub fn run(
    url: &str,
    person: Option<&str>,
    now: DateTime<Utc>,
    tell: &dyn Fn(&str) -> Result<(), String>,
) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("the disposal stopped: {error}");
    let mut conn = PgConnection::establish(url).map_err(|_| {
        "the database could not be reached; check the URL and that it accepts connections"
            .to_owned()
    })?;
    conn.batch_execute("set timezone = 'UTC'; set lock_timeout = '5s'")
        .map_err(|error| failed(&error))?;
    let actor = person.map_or(Actor::System, |person| {
        Actor::Person(Identity {
            person_ref: person.to_owned(),
            roles: Default::default(),
            units: Default::default(),
        })
    });
    let call = Call::new(actor, now, &Uuid::now_v7().to_string());
    let found = due(&mut conn, call.today(), None).map_err(|error| failed(&error))?;
    let mut done = 0;
    for one in &found {
        if person.is_some()
            && dispose(&mut conn, &call, one.event_id)
                .map_err(|error| failed(&error))?
                .is_none()
        {
            continue;
        }
        done += 1;
        tell(&format!(
            "{} {} {} ended {} kept {} years by {}\n",
            one.event_id,
            one.record_kind,
            one.registry_number.as_deref().unwrap_or("-"),
            one.ended_at.format("%Y-%m-%d"),
            one.years,
            one.decision_reference,
        ))?;
    }
    match person {
        None => tell(&format!(
            "{done} events are due for disposal. Nothing was changed; carry it out with --carry-out --by PERSONREF.\n"
        )),
        Some(person) => tell(&format!(
            "{done} events were disposed of by {person}, request {}. The protocol: GET /audit-entries?operation=dispose&requestId={}\n",
            call.request_id, call.request_id
        )),
    }
}
