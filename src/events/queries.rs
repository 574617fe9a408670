//! Events in the database. Reads go through the view `event_details`, one row an event; writes touch its tables.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::dsl::{AsSelect, SqlTypeOf, exists, not, sql};
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::handlers::{EventFilter, EventSort};
use super::status::StatusChange;
use super::{Event, EventContent, Occasion, OccasionPlaceKind};
use crate::db::schema::{
    event_details, event_organisers, events, guideline_versions, occasions, people, status_changes,
    units,
};
use crate::db::sql_types::AsJson;
use crate::error::Error;
use crate::external_ids::Kept;
use crate::external_ids::{ExternalId, Origin};
use crate::guideline;
use crate::http::call::Call;
use crate::http::json_text::name;
use crate::http::paging::Paging;
use crate::organisation::units::Unit;
use crate::organisation::units::queries::with_ancestors;
use crate::rules::access::Reach;
use crate::rules::calendar;
use crate::rules::lifecycle::EventStatus;
use crate::rules::scope::{Arranger, EventKind};
use crate::window;

define_sql_function! {
    /// Where, in the order of first starts, the events begin that are not over at this time.
    fn first_start_of_what_goes_on(at: Timestamptz) -> Timestamptz;
}

/// The event as the service shows it, or 404.
pub fn load(conn: &mut PgConnection, id: Uuid) -> Result<Event, Error> {
    Ok(event_details::table
        .find(id)
        .select(Event::as_select())
        .first(conn)?)
}

define_sql_function! {
    /// Does one of these units, or one at or below those of the last list, organise the event?
    fn organised_within(event: SqlUuid, exact: Array<SqlUuid>, subtrees: Array<SqlUuid>) -> Bool;
}

/// Locks the event, as every write below it does first, and loads it.
pub fn load_for_update(conn: &mut PgConnection, id: Uuid) -> Result<Event, Error> {
    events::table
        .find(id)
        .select(events::id)
        .for_no_key_update()
        .first::<Uuid>(conn)?;
    load(conn, id)
}

/// The events with these ids.
pub fn load_many(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Event>, Error> {
    Ok(event_details::table
        .filter(event_details::id.eq_any(ids))
        .select(Event::as_select())
        .load(conn)?)
}

/// The events that match and that the caller may see.
pub fn list(
    conn: &mut PgConnection,
    filter: &EventFilter,
    planning: &Reach,
    now: DateTime<Utc>,
    paging: &Paging,
) -> Result<(Vec<Event>, Option<i64>), Error> {
    let total = paging.total(|| matching(filter, planning, now).count().get_result(conn))?;
    let query = matching(filter, planning, now).select(event_details::id);
    let descending = filter.sort.is_descending();
    let ids = match filter.sort {
        EventSort::FirstStart | EventSort::FirstStartDescending => window!(
            query,
            paging,
            descending,
            event_details::first_start,
            event_details::id,
            DateTime<Utc>
        ),
        EventSort::Title | EventSort::TitleDescending => window!(
            query,
            paging,
            descending,
            event_details::title,
            event_details::id,
            String
        ),
        EventSort::UpdatedAt | EventSort::UpdatedAtDescending => window!(
            query,
            paging,
            descending,
            event_details::updated_at,
            event_details::id,
            DateTime<Utc>
        ),
    };
    let page = EventsOf {
        ids,
        selection: Event::as_select(),
    };
    Ok((page.load(conn)?, total))
}

/// The events whose ids a query selects, in its order: one statement, of which only the query for the ids is planned each time.
struct EventsOf<Q> {
    ids: Q,
    selection: AsSelect<Event, Pg>,
}

impl<Q> QueryId for EventsOf<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for EventsOf<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("select ");
        self.selection.walk_ast(out.reborrow())?;
        out.push_sql(" from event_page(array(");
        self.ids.walk_ast(out.reborrow())?;
        out.push_sql(")) event_details");
        Ok(())
    }
}

impl<Q> Query for EventsOf<Q> {
    type SqlType = SqlTypeOf<AsSelect<Event, Pg>>;
}

impl<Q> RunQueryDsl<PgConnection> for EventsOf<Q> {}

fn matching<'a>(
    filter: &'a EventFilter,
    planning: &'a Reach,
    now: DateTime<Utc>,
) -> event_details::BoxedQuery<'a, diesel::pg::Pg> {
    use event_details as e;
    let mut query = e::table.into_boxed();
    // the events whose planning the caller may read; all of them without this
    let planned = || match planning {
        Reach::Everything => None,
        Reach::Part {
            units: exact,
            subtrees,
            responsible,
        } => {
            let exact: Vec<Uuid> = exact.iter().copied().collect();
            let subtrees: Vec<Uuid> = subtrees.iter().copied().collect();
            let responsible = responsible.clone().unwrap_or_default();
            let organised = organised_within(e::id, exact, subtrees);
            Some(organised.or(e::responsible_person.eq(responsible)))
        }
    };
    if let Some(planned) = planned() {
        query = query.filter(e::status.ne("draft").or(planned));
    }
    if let Some(statuses) = &filter.status {
        query = query.filter(e::status.eq_any(statuses));
    }
    if let Some(kinds) = &filter.kind {
        query = query.filter(e::kind.eq_any(kinds));
    }
    if let Some(unit_ids) = &filter.unit_id {
        let of_event = event_organisers::table
            .inner_join(units::table)
            .filter(event_organisers::event_id.eq(e::id));
        query = if filter.include_subtree {
            query.filter(exists(of_event.filter(units::path.overlaps_with(unit_ids))))
        } else {
            query.filter(exists(
                of_event.filter(event_organisers::unit_id.eq_any(unit_ids)),
            ))
        };
    }
    if let Some(people) = &filter.responsible_person {
        query = query.filter(e::responsible_person.eq_any(people));
    }
    // the event's own bounds beside those of its occasions: they are indexed
    let from = filter
        .from
        .map(|day| within_range(calendar::start_of_day(day)));
    let after = filter
        .to
        .and_then(|day| day.succ_opt())
        .map(|day| within_range(calendar::start_of_day(day)));
    if let Some(from) = from {
        query = query
            .filter(e::first_start.ge(first_start_of_what_goes_on(from)))
            .filter(e::last_end.gt(from));
    }
    if let Some(after) = after {
        query = query.filter(e::first_start.lt(after));
    }
    if let (Some(from), Some(after)) = (from, after) {
        // an event may pause for all of the period
        query = query.filter(exists(
            occasions::table
                .filter(occasions::event_id.eq(e::id))
                .filter(occasions::starts_at.lt(after))
                .filter(occasions::ends_at.gt(from)),
        ));
    }
    let goals = [
        (
            filter
                .business_goal_id
                .as_ref()
                .map(|ids| ids.iter().map(Uuid::to_string).collect::<Vec<_>>()),
            "businessGoals",
        ),
        (filter.guideline_goal.clone(), "guidelineGoals"),
    ];
    for (ids, kind) in goals {
        if let Some(ids) = ids {
            // goals are answers: of published events too they are for those who may read the planning
            if let Some(planned) = planned() {
                query = query.filter(planned);
            }
            query = query.filter(
                sql::<Bool>(
                    "exists (select from planning_answers a join guideline_versions v on v.id = event_details.guideline_version_id \
                     where a.event_id = event_details.id and a.answer -> 'goalIds' ?| ",
                )
                .bind::<Array<Text>, _>(ids)
                .sql(" and v.content -> 'questions' @> jsonb_build_array(jsonb_build_object('id', a.question_id, 'answerKind', ")
                .bind::<Text, _>(kind)
                .sql("::text)))"),
            );
        }
    }
    if let Some(findings) = &filter.finding {
        let names: Vec<String> = findings.iter().map(name).collect();
        query = query.filter(e::status.eq_any(["draft", "confirmed"])).filter(e::last_end.gt(now)).filter(
            sql::<Bool>("exists (select from event_findings(event_details.id) f where f.finding = any (")
                .bind::<Array<Text>, _>(names)
                .sql("))"),
        );
    }
    if let Some(system) = &filter.source_system {
        query = query.filter(e::source_system.eq(system));
    }
    if let Some(id) = &filter.external_id {
        query = query.filter(e::external_id.eq(id));
    }
    if let Some(words) = &filter.q {
        query = query.filter(
            sql::<Bool>("event_details.words @@ plainto_tsquery('pg_catalog.swedish', ")
                .bind::<Text, _>(words)
                .sql(")"),
        );
    }
    if let Some(since) = filter.updated_since {
        query = query.filter(e::updated_at.ge(since));
    }
    query
}

/// Keeps a bound within what a column can hold.
fn within_range(at: DateTime<Utc>) -> DateTime<Utc> {
    let edge = |year| {
        NaiveDate::from_ymd_opt(year, 1, 1)
            .unwrap_or_default()
            .and_time(chrono::NaiveTime::MIN)
            .and_utc()
    };
    at.clamp(edge(1900), edge(2201))
}

/// The event that another system calls so.
pub fn find_external(conn: &mut PgConnection, external: &ExternalId) -> Result<Event, Error> {
    Ok(event_details::table
        .filter(event_details::source_system.eq(&external.source_system))
        .filter(event_details::external_id.eq(&external.external_id))
        .select(Event::as_select())
        .first(conn)?)
}

/// The same, locked, with the digest of the last body received.
pub fn find_external_for_update(
    conn: &mut PgConnection,
    external: &ExternalId,
) -> Result<Option<Kept<Event>>, Error> {
    let locked: Option<(Uuid, Option<Vec<u8>>)> = events::table
        .filter(events::source_system.eq(&external.source_system))
        .filter(events::external_id.eq(&external.external_id))
        .select((events::id, events::external_digest))
        .for_no_key_update()
        .first(conn)
        .optional()?;
    match locked {
        Some((id, digest)) => Ok(Some((load(conn, id)?, digest))),
        None => Ok(None),
    }
}

pub fn keep_digest(conn: &mut PgConnection, id: Uuid, digest: &[u8]) -> Result<(), Error> {
    diesel::update(events::table.find(id))
        .set(events::external_digest.eq(digest))
        .execute(conn)?;
    Ok(())
}

/// What a new event is judged by, in one statement: the organising units with those above them, locked so that they do not end
/// meanwhile, whether the responsible person exists, and the guideline version in force.
pub fn ground(
    conn: &mut PgConnection,
    unit_ids: &[Uuid],
    responsible_person: &str,
    today: NaiveDate,
) -> Result<Vec<(Unit, bool, Option<Uuid>)>, Error> {
    let known = exists(people::table.filter(people::person_ref.eq(responsible_person)));
    let version = guideline::queries::in_force(today).select(guideline_versions::id);
    Ok(units::table
        .filter(units::id.eq_any(with_ancestors(unit_ids)))
        .order(units::id)
        .select((Unit::as_select(), known, version.single_value()))
        .for_share()
        .load(conn)?)
}

/// Stores a draft with its organisers and occasions; the event as the service shows it.
pub fn insert(
    conn: &mut PgConnection,
    call: &Call,
    (id, origin): (Uuid, Option<&Origin>),
    (kind, arranger): (EventKind, Arranger),
    guideline_version_id: Uuid,
    content: &EventContent,
    occasions: &[Occasion],
) -> Result<Event, Error> {
    let (first_start, last_end) = bounds(occasions);
    let event = diesel::insert_into(events::table).values((
        events::id.eq(id),
        events::revision.eq(1),
        events::title.eq(&content.title),
        events::description.eq(&content.description),
        events::kind.eq(kind),
        events::arranger.eq(arranger),
        events::partners.eq(AsJson(content.partners.clone().unwrap_or_default())),
        events::responsible_person.eq(&content.responsible_person),
        events::expected_participants.eq(content.expected_participants.clone().map(AsJson)),
        events::estimated_cost.eq(content.estimated_cost),
        events::registry_number.eq(&content.registry_number),
        events::external_reference.eq(&content.external_reference),
        events::guideline_version_id.eq(guideline_version_id),
        events::status.eq(EventStatus::Draft),
        (
            events::first_start.eq(first_start),
            events::last_end.eq(last_end),
        ),
        (
            events::created_at.eq(call.now),
            events::updated_at.eq(call.now),
        ),
        (
            events::source_system.eq(origin.map(|from| &from.id.source_system)),
            events::external_id.eq(origin.map(|from| &from.id.external_id)),
            events::external_digest.eq(origin.map(|from| &from.digest)),
        ),
    ));
    let whole = Whole {
        selection: Event::as_select(),
        id,
        event,
        organisers: Organisers {
            event_id: id,
            unit_ids: content.organising_unit_ids.clone(),
        },
        occasions: Occasions::of(id, occasions),
    };
    Ok(whole.get_result(conn)?)
}

/// An event with its organisers and occasions, written and read in one statement: one round trip.
#[derive(QueryId)]
struct Whole<E> {
    selection: AsSelect<Event, Pg>,
    id: Uuid,
    event: E,
    organisers: Organisers,
    occasions: Occasions,
}

impl<E: QueryFragment<Pg>> QueryFragment<Pg> for Whole<E> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("with event as (");
        self.event.walk_ast(out.reborrow())?;
        out.push_sql(" returning id), organisers as (");
        self.organisers.walk_ast(out.reborrow())?;
        out.push_sql(" returning event_id), occasions as (");
        self.occasions.walk_ast(out.reborrow())?;
        out.push_sql(" returning event_id) select ");
        self.selection.walk_ast(out.reborrow())?;
        out.push_sql(" from event_written(");
        out.push_bind_param::<SqlUuid, _>(&self.id)?;
        out.push_sql(
            ", (select count(*) from event) + (select count(*) from organisers) + (select count(*) from occasions)) event_details",
        );
        Ok(())
    }
}

impl<E> Query for Whole<E> {
    type SqlType = SqlTypeOf<AsSelect<Event, Pg>>;
}

impl<E> RunQueryDsl<PgConnection> for Whole<E> {}

/// Organisers as rows, however many: arrays keep the statement the same, so that it is prepared once.
#[derive(QueryId)]
struct Organisers {
    event_id: Uuid,
    unit_ids: Vec<Uuid>,
}

impl QueryFragment<Pg> for Organisers {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("insert into event_organisers (event_id, unit_id, position) select ");
        out.push_bind_param::<SqlUuid, _>(&self.event_id)?;
        out.push_sql(", unit_id, position - 1 from unnest(");
        out.push_bind_param::<Array<SqlUuid>, _>(&self.unit_ids)?;
        out.push_sql("::uuid[]) with ordinality as given (unit_id, position)");
        Ok(())
    }
}

impl RunQueryDsl<PgConnection> for Organisers {}

/// Occasions as rows, likewise.
#[derive(QueryId)]
struct Occasions {
    event_id: Uuid,
    ids: Vec<Uuid>,
    starts_at: Vec<DateTime<Utc>>,
    ends_at: Vec<DateTime<Utc>>,
    places: Vec<OccasionPlaceKind>,
    venue_ids: Vec<Option<Uuid>>,
}

impl Occasions {
    fn of(event_id: Uuid, occasions: &[Occasion]) -> Occasions {
        Occasions {
            event_id,
            ids: occasions.iter().map(|of| of.id).collect(),
            starts_at: occasions.iter().map(|of| of.starts_at).collect(),
            ends_at: occasions.iter().map(|of| of.ends_at).collect(),
            places: occasions.iter().map(|of| of.place).collect(),
            venue_ids: occasions.iter().map(|of| of.venue_id).collect(),
        }
    }
}

impl QueryFragment<Pg> for Occasions {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "insert into occasions (event_id, id, starts_at, ends_at, place, venue_id) select ",
        );
        out.push_bind_param::<SqlUuid, _>(&self.event_id)?;
        out.push_sql(", * from unnest(");
        out.push_bind_param::<Array<SqlUuid>, _>(&self.ids)?;
        out.push_sql("::uuid[], ");
        out.push_bind_param::<Array<Timestamptz>, _>(&self.starts_at)?;
        out.push_sql("::timestamptz[], ");
        out.push_bind_param::<Array<Timestamptz>, _>(&self.ends_at)?;
        out.push_sql("::timestamptz[], ");
        out.push_bind_param::<Array<Text>, _>(&self.places)?;
        out.push_sql("::text[], ");
        out.push_bind_param::<Array<Nullable<SqlUuid>>, _>(&self.venue_ids)?;
        out.push_sql("::uuid[])");
        Ok(())
    }
}

impl RunQueryDsl<PgConnection> for Occasions {}

/// Stores the event's own values after a change; organisers and occasions have functions of their own.
pub fn update(
    conn: &mut PgConnection,
    call: &Call,
    before: &Event,
    (kind, arranger): (EventKind, Arranger),
    content: &EventContent,
) -> Result<(), Error> {
    diesel::update(events::table.find(before.id))
        .set((
            events::revision.eq(before.revision + 1),
            events::title.eq(&content.title),
            events::description.eq(&content.description),
            events::kind.eq(kind),
            events::arranger.eq(arranger),
            events::partners.eq(AsJson(content.partners.clone().unwrap_or_default())),
            events::responsible_person.eq(&content.responsible_person),
            events::expected_participants.eq(content.expected_participants.clone().map(AsJson)),
            events::actual_participants.eq(content.actual_participants.clone().map(AsJson)),
            events::estimated_cost.eq(content.estimated_cost),
            events::actual_cost.eq(content.actual_cost),
            events::registry_number.eq(&content.registry_number),
            events::external_reference.eq(&content.external_reference),
            events::updated_at.eq(call.now),
        ))
        .execute(conn)?;
    Ok(())
}

fn bounds(occasions: &[Occasion]) -> (DateTime<Utc>, DateTime<Utc>) {
    (
        occasions
            .iter()
            .map(|occasion| occasion.starts_at)
            .min()
            .unwrap_or_default(),
        occasions
            .iter()
            .map(|occasion| occasion.ends_at)
            .max()
            .unwrap_or_default(),
    )
}

pub fn replace_organisers(
    conn: &mut PgConnection,
    event_id: Uuid,
    unit_ids: &[Uuid],
) -> Result<(), Error> {
    diesel::delete(event_organisers::table.filter(event_organisers::event_id.eq(event_id)))
        .execute(conn)?;
    Organisers {
        event_id,
        unit_ids: unit_ids.to_vec(),
    }
    .execute(conn)?;
    Ok(())
}

/// Makes the occasions these, keeping the rows whose ids stay.
pub fn replace_occasions(
    conn: &mut PgConnection,
    event_id: Uuid,
    before: &[Occasion],
    after: &[Occasion],
) -> Result<(), Error> {
    let changed: Vec<Occasion> = after
        .iter()
        .filter(|occasion| !before.contains(occasion))
        .cloned()
        .collect();
    let kept: Vec<Uuid> = after
        .iter()
        .filter(|occasion| before.contains(occasion))
        .map(|occasion| occasion.id)
        .collect();
    diesel::delete(
        occasions::table
            .filter(occasions::event_id.eq(event_id))
            .filter(not(occasions::id.eq_any(kept))),
    )
    .execute(conn)?;
    Occasions::of(event_id, &changed).execute(conn)?;
    let (first_start, last_end) = bounds(after);
    diesel::update(events::table.find(event_id))
        .set((
            events::first_start.eq(first_start),
            events::last_end.eq(last_end),
        ))
        .execute(conn)?;
    Ok(())
}

/// Stores a status change: the event's row and the log's.
pub fn change_status(
    conn: &mut PgConnection,
    before: &Event,
    after: &StatusChange,
    outcome: &super::status::Outcome,
) -> Result<(), Error> {
    diesel::update(events::table.find(before.id))
        .set((
            events::status.eq(after.to),
            events::revision.eq(before.revision + 1),
            events::updated_at.eq(after.changed_at),
            events::actual_participants.eq(outcome.actual_participants.clone().map(AsJson)),
            events::kept_findings.eq(outcome.kept_findings.clone().map(AsJson)),
            events::kept_at.eq(outcome.kept_at),
        ))
        .execute(conn)?;
    diesel::insert_into(status_changes::table)
        .values((status_changes::event_id.eq(before.id), after))
        .execute(conn)?;
    Ok(())
}

/// The status log of an event, newest first.
pub fn status_log(
    conn: &mut PgConnection,
    event_id: Uuid,
    paging: &Paging,
) -> Result<(Vec<StatusChange>, Option<i64>), Error> {
    let matching = || {
        status_changes::table
            .filter(status_changes::event_id.eq(event_id))
            .into_boxed()
    };
    let total = paging.total(|| matching().count().get_result(conn))?;
    let query = matching().select(StatusChange::as_select());
    let rows = window!(
        query,
        paging,
        true,
        status_changes::changed_at,
        status_changes::id,
        DateTime<Utc>
    )
    .load(conn)?;
    Ok((rows, total))
}

/// Does the unit organise a planned event with an occasion to come that the period does not hold?
pub fn planned_by_unit_outside(
    conn: &mut PgConnection,
    unit_id: Uuid,
    from: NaiveDate,
    to: Option<NaiveDate>,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let planned = events::table
        .inner_join(event_organisers::table.on(event_organisers::event_id.eq(events::id)))
        .filter(event_organisers::unit_id.eq(unit_id))
        .filter(events::status.eq_any(["draft", "confirmed"]))
        .filter(events::last_end.gt(now));
    let outside = planned
        .filter(starts_before(events::first_start, from).or(ends_after(events::last_end, to)));
    Ok(diesel::select(exists(outside)).get_result(conn)?)
}

/// Has the venue an occasion to come, of a planned event, that the period does not hold?
pub fn planned_at_venue_outside(
    conn: &mut PgConnection,
    venue_id: Uuid,
    from: NaiveDate,
    to: Option<NaiveDate>,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let planned = occasions::table
        .inner_join(events::table.on(events::id.eq(occasions::event_id)))
        .filter(occasions::venue_id.eq(venue_id))
        .filter(events::status.eq_any(["draft", "confirmed"]))
        .filter(occasions::ends_at.gt(now));
    let outside = planned
        .filter(starts_before(occasions::starts_at, from).or(ends_after(occasions::ends_at, to)));
    Ok(diesel::select(exists(outside)).get_result(conn)?)
}

type BeforeDay<C> = diesel::dsl::Lt<C, DateTime<Utc>>;
type AfterDay<C> = diesel::dsl::Gt<C, DateTime<Utc>>;

fn starts_before<C>(column: C, first_day: NaiveDate) -> BeforeDay<C>
where
    C: Expression<SqlType = diesel::sql_types::Timestamptz>,
{
    column.lt(calendar::start_of_day(first_day))
}

/// The end is past the last day when it lies after midnight that begins `to`.
fn ends_after<C>(column: C, to: Option<NaiveDate>) -> AfterDay<C>
where
    C: Expression<SqlType = diesel::sql_types::Timestamptz>,
{
    column.gt(within_range(
        to.map_or(DateTime::<Utc>::MAX_UTC, calendar::start_of_day),
    ))
}
