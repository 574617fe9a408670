//! Reminders: entries of the log that say that something is due, for HR systems that nudge and escalate.
//!
//! A follow-up becomes due soon and then overdue (R32), a decision on an exception is needed within three days. Each is reminded of
//! once per thing, kind and date, whenever an instance next looks: one that slept over midnight misses nothing.
//! The entry names the responsible person, and their head, to whom it can be escalated.

use chrono::{Days, NaiveDate};
use diesel::dsl::sql;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Date, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Change, Operation, ResourceType};
use crate::db::Db;
use crate::db::schema::reminders;
use crate::error::Error;
use crate::http::Clock;
use crate::http::call::Call;
use crate::identity::Actor;

/// How long before the day a needed decision is reminded of.
const DAYS_BEFORE_DECISION: u64 = 3;
/// How many reminders are written in one transaction.
const BATCH: i64 = 200;
/// How often an instance looks.
const EVERY: Duration = Duration::from_secs(60);
/// Any number will do that no other lock has.
const LOCK: i64 = 0x6b6f_6d70_7265_6d69;

/// What is reminded of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ReminderKind {
    /// A follow-up is due soon.
    FollowUpDueSoon,
    /// A follow-up is overdue.
    FollowUpOverdue,
    /// A decision on an exception is needed within three days.
    DecisionNeeded,
}

crate::stored_as_text!(ReminderKind);

/// What is due, when, and whose it is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reminder {
    kind: ReminderKind,
    /// The day it is due, or the decision needed.
    #[schema(example = "2026-10-05")]
    date: NaiveDate,
    /// Who carries out the follow-up, or answers for the event that waits for a decision (personRef).
    #[schema(example = "person-0003")]
    responsible_person: String,
    /// The nearest head of that person who holds the office today, someone acting first (personRef); null when there is none.
    #[schema(required = true, example = "person-0005")]
    head: Option<String>,
}

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = Text)]
    resource: ResourceType,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    event_id: Uuid,
    #[diesel(sql_type = diesel::sql_types::Integer)]
    revision: i32,
    #[diesel(sql_type = Text)]
    kind: ReminderKind,
    #[diesel(sql_type = Date)]
    date: NaiveDate,
    #[diesel(sql_type = Text)]
    responsible_person: String,
    #[diesel(sql_type = Nullable<Text>)]
    head: Option<String>,
}

/// $1 today, $2 now, $3 the last day on which a decision is needed soon, $4 how many.
const DUE: &str = "
    select due.*, (
        select a.person_ref from people p join units own on own.id = p.unit_id
        join units above on above.id = any (own.path)
        join office_appointments a on a.unit_id = above.id
            and a.valid_from <= $1 and (a.valid_to is null or a.valid_to > $1)
        where p.person_ref = due.responsible_person and a.person_ref <> p.person_ref
        order by cardinality(above.path) desc, a.capacity = 'ordinary', a.valid_from desc, a.id limit 1) as head
    from (
        select 'followUp' as resource, f.id, f.event_id, f.revision,
            case when f.due_date < $1 then 'followUpOverdue' else 'followUpDueSoon' end as kind,
            f.due_date::date as date, f.responsible_person
        from follow_ups f join events e on e.id = f.event_id join guideline_versions g on g.id = e.guideline_version_id
        where f.status = 'planned' and e.status in ('confirmed', 'held', 'closed')
            and f.due_date <= $1 + (g.content -> 'settings' ->> 'dueSoonDays')::int
        union all
        select 'exceptionRequest', r.id, r.event_id, r.revision, 'decisionNeeded', r.decision_needed_by::date, e.responsible_person
        from exception_request_details r join events e on e.id = r.event_id
        where r.status = 'submitted' and not r.stale and r.first_start > $2 and r.decision_needed_by <= $3
    ) due
    where not exists (select from reminders r where r.resource_id = due.id and r.kind = due.kind and r.date = due.date)
    order by due.date, due.id limit $4";

/// Reminds of what is due and has not been reminded of; says how many, at most a batch. Zero when another instance is at it.
pub fn remind(conn: &mut PgConnection, call: &Call) -> Result<usize, Error> {
    let turn = sql::<Bool>(&format!("pg_try_advisory_xact_lock({LOCK})"));
    if !diesel::select(turn).get_result::<bool>(conn)? {
        return Ok(0);
    }
    let today = call.today();
    let due: Vec<Due> = diesel::sql_query(DUE)
        .bind::<Date, _>(today)
        .bind::<Timestamptz, _>(call.now)
        .bind::<Date, _>(today + Days::new(DAYS_BEFORE_DECISION))
        .bind::<BigInt, _>(BATCH)
        .load(conn)?;
    let written = due.len();
    for one in due {
        diesel::insert_into(reminders::table)
            .values((
                reminders::resource_id.eq(one.id),
                reminders::kind.eq(one.kind),
                reminders::date.eq(one.date),
            ))
            .execute(conn)?;
        let reminder = Reminder {
            kind: one.kind,
            date: one.date,
            responsible_person: one.responsible_person,
            head: one.head,
        };
        let change = Change {
            operation: Operation::Remind,
            resource: one.resource,
            id: one.id,
            revision: one.revision,
            event_id: Some(one.event_id),
            before: None,
            after: Some(&reminder),
        };
        super::append(conn, call, &change)?;
    }
    Ok(written)
}

/// Looks every minute, for as long as the service runs.
pub async fn run(db: Db, clock: Clock) {
    loop {
        let call = Call::new(Actor::System, (clock.0)(), &Uuid::now_v7().to_string());
        match db.write(move |conn| remind(conn, &call)).await {
            Ok(written) if written > 0 => continue,
            // while the database is away nothing can be reminded of; the next look finds it
            Ok(_) | Err(_) => tokio::time::sleep(EVERY).await,
        }
    }
}
