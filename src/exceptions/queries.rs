//! Exception requests and decisions in the database.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use diesel::dsl::{exists, sql};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Jsonb;
use uuid::Uuid;

use super::handlers::ExceptionRequestFilter;
use super::{
    Decision, NewExceptionRequest, NewRecordedDecision, RecordedDecision, RequestStatus,
    StoredRequest,
};
use crate::db::schema::{
    decisions, event_organisers, events, exception_request_details as details,
    exception_request_rules as rules, exception_requests as requests, recorded_decisions, units,
};
use crate::db::sql_types::AsJson;
use crate::error::Error;
use crate::events::Event;
use crate::events::queries::organised_within;
use crate::http::call::Call;
use crate::http::paging::Paging;
use crate::rules::access::Reach;
use crate::rules::authority::Snapshot;
use crate::rules::calendar;
use crate::window;

/// The request as it is now, or 404.
pub fn find(conn: &mut PgConnection, id: Uuid) -> Result<StoredRequest, Error> {
    Ok(details::table
        .find(id)
        .select(StoredRequest::as_select())
        .first(conn)?)
}

/// The event of a request, which every write below the event locks first.
pub fn event_of(conn: &mut PgConnection, id: Uuid) -> Result<Uuid, Error> {
    Ok(requests::table
        .find(id)
        .select(requests::event_id)
        .first(conn)?)
}

/// Locks the request, whose event is locked, and loads it.
pub fn find_for_update(conn: &mut PgConnection, id: Uuid) -> Result<StoredRequest, Error> {
    requests::table
        .find(id)
        .select(requests::id)
        .for_no_key_update()
        .first::<Uuid>(conn)?;
    find(conn, id)
}

/// Is there such a request about this event?
pub fn is_of_event(conn: &mut PgConnection, id: Uuid, event_id: Uuid) -> Result<bool, Error> {
    let of_event = requests::table
        .find(id)
        .filter(requests::event_id.eq(event_id));
    Ok(diesel::select(exists(of_event)).get_result(conn)?)
}

/// The submitted requests of an event, locked in the order of their ids.
pub fn submitted_of_event_for_update(
    conn: &mut PgConnection,
    event_id: Uuid,
) -> Result<Vec<StoredRequest>, Error> {
    let submitted = requests::table
        .filter(requests::event_id.eq(event_id))
        .filter(requests::status.eq(RequestStatus::Submitted));
    let ids: Vec<Uuid> = submitted
        .order(requests::id)
        .select(requests::id)
        .for_no_key_update()
        .load(conn)?;
    Ok(details::table
        .filter(details::id.eq_any(ids))
        .order(details::id)
        .select(StoredRequest::as_select())
        .load(conn)?)
}

/// Stores a request with a snapshot of its event. Two open requests for one rule break a named constraint.
pub fn insert(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    event: &Event,
    new: &NewExceptionRequest,
) -> Result<(), Error> {
    // made where it will be compared, so that equal means equal
    let snapshot = sql::<Jsonb>("event_snapshot(")
        .bind::<diesel::sql_types::Uuid, _>(event.id)
        .sql(")");
    diesel::insert_into(requests::table)
        .values((
            requests::id.eq(id),
            requests::event_id.eq(event.id),
            requests::revision.eq(1),
            requests::rule_ids.eq(&new.rule_ids),
            requests::reason.eq(&new.reason),
            requests::alternatives_considered.eq(&new.alternatives_considered),
            requests::addressee.eq(new.addressee),
            requests::decision_needed_by.eq(new.decision_needed_by),
            requests::previous_request_id.eq(new.previous_request_id),
            requests::requested_by.eq(call.author()),
            requests::status.eq(RequestStatus::Submitted),
            requests::snapshot.eq(snapshot),
            requests::first_start.eq(event.first_start),
            (
                requests::created_at.eq(call.now),
                requests::updated_at.eq(call.now),
            ),
        ))
        .execute(conn)?;
    let named: Vec<_> = new
        .rule_ids
        .iter()
        .map(|rule| {
            (
                rules::request_id.eq(id),
                rules::rule_id.eq(rule),
                rules::event_id.eq(event.id),
                rules::open.eq(true),
            )
        })
        .collect();
    diesel::insert_into(rules::table)
        .values(named)
        .execute(conn)?;
    Ok(())
}

/// Gives a request another status; only a submitted one is open.
pub fn set_status(
    conn: &mut PgConnection,
    call: &Call,
    before: &StoredRequest,
    status: RequestStatus,
) -> Result<StoredRequest, Error> {
    diesel::update(requests::table.find(before.id))
        .set((
            requests::status.eq(status),
            requests::revision.eq(before.revision + 1),
            requests::updated_at.eq(call.now),
        ))
        .execute(conn)?;
    if status != RequestStatus::Submitted {
        diesel::update(rules::table.filter(rules::request_id.eq(before.id)))
            .set(rules::open.eq(false))
            .execute(conn)?;
    }
    find(conn, before.id)
}

/// What the event is now, as a request made now would keep it.
pub fn snapshot_now(conn: &mut PgConnection, event_id: Uuid) -> Result<Snapshot, Error> {
    let snapshot = sql::<Jsonb>("event_snapshot(")
        .bind::<diesel::sql_types::Uuid, _>(event_id)
        .sql(")");
    let AsJson(snapshot) = diesel::select(snapshot).get_result::<AsJson<Snapshot>>(conn)?;
    Ok(snapshot)
}

/// The decisions on a request, in order of time.
pub fn decisions(conn: &mut PgConnection, request_id: Uuid) -> Result<Vec<Decision>, Error> {
    Ok(decisions::table
        .filter(decisions::request_id.eq(request_id))
        .order((decisions::decided_at, decisions::id))
        .select(Decision::as_select())
        .load(conn)?)
}

/// The decisions on several requests, in order of time.
pub fn decisions_of(conn: &mut PgConnection, request_ids: &[Uuid]) -> Result<Vec<Decision>, Error> {
    Ok(decisions::table
        .filter(decisions::request_id.eq_any(request_ids))
        .order((decisions::decided_at, decisions::id))
        .select(Decision::as_select())
        .load(conn)?)
}

/// What authority over the requests of an event is judged by, of the event itself.
pub struct Subject {
    pub id: Uuid,
    pub responsible_person: String,
    pub guideline_version_id: Uuid,
    pub organising_unit_ids: Vec<Uuid>,
}

/// Of each of these events.
pub fn subjects(conn: &mut PgConnection, event_ids: &[Uuid]) -> Result<Vec<Subject>, Error> {
    let mut organisers: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    for (event, unit) in event_organisers::table
        .filter(event_organisers::event_id.eq_any(event_ids))
        .order((event_organisers::event_id, event_organisers::position))
        .select((event_organisers::event_id, event_organisers::unit_id))
        .load(conn)?
    {
        organisers.entry(event).or_default().push(unit);
    }
    let rows: Vec<(Uuid, String, Uuid)> = events::table
        .filter(events::id.eq_any(event_ids))
        .select((
            events::id,
            events::responsible_person,
            events::guideline_version_id,
        ))
        .load(conn)?;
    let subject = |(id, responsible_person, guideline_version_id)| Subject {
        id,
        responsible_person,
        guideline_version_id,
        organising_unit_ids: organisers.remove(&id).unwrap_or_default(),
    };
    Ok(rows.into_iter().map(subject).collect())
}

/// A page of them.
pub fn list_decisions(
    conn: &mut PgConnection,
    request_id: Uuid,
    paging: &Paging,
) -> Result<(Vec<Decision>, Option<i64>), Error> {
    let matching = || {
        decisions::table
            .filter(decisions::request_id.eq(request_id))
            .into_boxed()
    };
    let total = paging.total(|| matching().count().get_result(conn))?;
    let query = matching().select(Decision::as_select());
    let rows = window!(
        query,
        paging,
        false,
        decisions::decided_at,
        decisions::id,
        DateTime<Utc>
    )
    .load(conn)?;
    Ok((rows, total))
}

/// One decision on a request.
pub fn find_decision(
    conn: &mut PgConnection,
    request_id: Uuid,
    id: Uuid,
) -> Result<Decision, Error> {
    Ok(decisions::table
        .find(id)
        .filter(decisions::request_id.eq(request_id))
        .select(Decision::as_select())
        .first(conn)?)
}

/// Stores a decision. A second one of the same office breaks a named constraint.
pub fn insert_decision(conn: &mut PgConnection, decision: &Decision) -> Result<(), Error> {
    diesel::insert_into(decisions::table)
        .values(decision)
        .execute(conn)?;
    Ok(())
}

/// Stores a decision taken elsewhere.
pub fn insert_recorded(
    conn: &mut PgConnection,
    call: &Call,
    request_id: Uuid,
    new: &NewRecordedDecision,
) -> Result<(), Error> {
    diesel::insert_into(recorded_decisions::table)
        .values((
            recorded_decisions::request_id.eq(request_id),
            recorded_decisions::decided_by.eq(&new.decided_by),
            recorded_decisions::capacity.eq(&new.capacity),
            recorded_decisions::decided_at.eq(new.decided_at),
            recorded_decisions::outcome.eq(new.outcome),
            recorded_decisions::reasons.eq(&new.reasons),
            recorded_decisions::document_reference.eq(&new.document_reference),
            recorded_decisions::recorded_by.eq(call.author()),
            recorded_decisions::recorded_at.eq(call.now),
        ))
        .execute(conn)?;
    Ok(())
}

/// The decision taken elsewhere on a request, if one was recorded.
pub fn recorded_decision(
    conn: &mut PgConnection,
    request_id: Uuid,
) -> Result<Option<RecordedDecision>, Error> {
    Ok(recorded_decisions::table
        .find(request_id)
        .select(RecordedDecision::as_select())
        .first(conn)
        .optional()?)
}

/// The decisions taken elsewhere, by the requests that they are about.
pub fn recorded_of(
    conn: &mut PgConnection,
    request_ids: &[Uuid],
) -> Result<BTreeMap<Uuid, RecordedDecision>, Error> {
    let rows: Vec<(Uuid, RecordedDecision)> = recorded_decisions::table
        .filter(recorded_decisions::request_id.eq_any(request_ids))
        .select((
            recorded_decisions::request_id,
            RecordedDecision::as_select(),
        ))
        .load(conn)?;
    Ok(rows.into_iter().collect())
}

/// Which approved request that is not stale covers each rule of an event.
pub fn covering(conn: &mut PgConnection, event_id: Uuid) -> Result<Vec<(String, Uuid)>, Error> {
    let approved = details::table
        .filter(details::event_id.eq(event_id))
        .filter(details::status.eq(RequestStatus::Approved));
    let requests: Vec<(Vec<String>, Uuid)> = approved
        .filter(details::stale.eq(false))
        .order(details::created_at)
        .select((details::rule_ids, details::id))
        .load(conn)?;
    Ok(requests
        .into_iter()
        .flat_map(|(rules, id)| rules.into_iter().map(move |rule| (rule, id)))
        .collect())
}

/// The requests of one event, newest first.
pub fn of_event(
    conn: &mut PgConnection,
    event_id: Uuid,
    paging: &Paging,
) -> Result<(Vec<StoredRequest>, Option<i64>), Error> {
    let matching = || {
        details::table
            .filter(details::event_id.eq(event_id))
            .into_boxed()
    };
    let total = paging.total(|| matching().count().get_result(conn))?;
    let query = matching().select(StoredRequest::as_select());
    let rows = window!(
        query,
        paging,
        true,
        details::created_at,
        details::id,
        DateTime<Utc>
    )
    .load(conn)?;
    Ok((rows, total))
}

/// The open requests about events of these units and all below them: what someone who holds offices there may have to decide.
pub fn open_below(
    conn: &mut PgConnection,
    office_units: &[Uuid],
    now: DateTime<Utc>,
) -> Result<Vec<StoredRequest>, Error> {
    let organised = event_organisers::table
        .inner_join(units::table)
        .filter(event_organisers::event_id.eq(details::event_id))
        .filter(units::path.overlaps_with(office_units));
    Ok(details::table
        .filter(details::status.eq(RequestStatus::Submitted))
        .filter(details::first_start.gt(now))
        .filter(exists(organised))
        .select(StoredRequest::as_select())
        .load(conn)?)
}

/// The requests that match, of events whose planning the caller may read, the next one needed first.
pub fn list(
    conn: &mut PgConnection,
    filter: &ExceptionRequestFilter,
    reach: &Reach,
    mine: Option<&[Uuid]>,
    now: DateTime<Utc>,
    paging: &Paging,
) -> Result<(Vec<StoredRequest>, Option<i64>), Error> {
    let total = paging.total(|| matching(filter, reach, mine, now).count().get_result(conn))?;
    let query = matching(filter, reach, mine, now).select(StoredRequest::as_select());
    let descending = filter.sort.is_descending();
    let rows = window!(
        query,
        paging,
        descending,
        details::decision_needed_by,
        details::id,
        NaiveDate
    )
    .load(conn)?;
    Ok((rows, total))
}

fn matching<'a>(
    filter: &'a ExceptionRequestFilter,
    reach: &'a Reach,
    mine: Option<&'a [Uuid]>,
    now: DateTime<Utc>,
) -> details::BoxedQuery<'a, diesel::pg::Pg> {
    let mut query = details::table.into_boxed();
    let organised = || {
        event_organisers::table
            .inner_join(units::table)
            .filter(event_organisers::event_id.eq(details::event_id))
    };
    if let Reach::Part {
        units: exact,
        subtrees,
        responsible,
    } = reach
    {
        let exact: Vec<Uuid> = exact.iter().copied().collect();
        let subtrees: Vec<Uuid> = subtrees.iter().copied().collect();
        let within = organised_within(details::event_id, exact, subtrees);
        let responsible = events::table
            .filter(events::id.eq(details::event_id))
            .filter(events::responsible_person.eq(responsible.clone().unwrap_or_default()));
        query = query.filter(within.or(exists(responsible)));
    }
    if let Some(ids) = mine {
        query = query.filter(details::id.eq_any(ids));
    }
    // the SQL of StoredRequest::status_at: lapsed is derived until a new request takes its place
    let is_lapsed = || {
        details::status
            .eq(RequestStatus::Submitted)
            .and(details::first_start.le(now))
    };
    if let Some(statuses) = &filter.status {
        let stored: Vec<RequestStatus> = statuses.clone();
        let plain = details::status
            .eq_any(stored)
            .and(diesel::dsl::not(is_lapsed()));
        query = if statuses.contains(&RequestStatus::Lapsed) {
            query.filter(plain.or(is_lapsed()))
        } else {
            query.filter(plain)
        };
    }
    if let Some(addressees) = &filter.addressee {
        query = query.filter(details::addressee.eq_any(addressees));
    }
    if let Some(unit_ids) = &filter.unit_id {
        query = query.filter(exists(
            organised().filter(units::path.overlaps_with(unit_ids)),
        ));
    }
    if let Some(from) = filter.from {
        query = query.filter(details::created_at.ge(calendar::start_of_day(from)));
    }
    if let Some(after) = filter.to.and_then(|to| to.succ_opt()) {
        query = query.filter(details::created_at.lt(calendar::start_of_day(after)));
    }
    if let Some(rule_ids) = &filter.rule_id {
        query = query.filter(details::rule_ids.overlaps_with(rule_ids));
    }
    if let Some(day) = filter.decision_needed_before {
        query = query.filter(details::decision_needed_by.lt(day));
    }
    if let Some(stale) = filter.stale {
        let is_stale = details::stale.and(diesel::dsl::not(is_lapsed()));
        query = if stale {
            query.filter(is_stale)
        } else {
            query.filter(diesel::dsl::not(is_stale))
        };
    }
    query
}
