//! Calendar feeds in the database, and what they show.

use chrono::{DateTime, Days, NaiveDate, Utc};
use diesel::dsl::exists;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use std::collections::BTreeSet;
use uuid::Uuid;

use super::{CalendarFeed, Entry, NewCalendarFeed, Secret, When};
use crate::db::schema::{
    baselines, calendar_feeds, event_organisers, events, follow_ups, occasions, people, units,
    venues,
};
use crate::error::{Code, Error};
use crate::events::queries::organised_within;
use crate::http::call::Call;
use crate::http::paging::Paging;
use crate::organisation::appointments;
use crate::rules::access::{self, Asker, Reach, Reading};
use crate::rules::calendar;
use crate::rules::follow_up::{FollowUpMethod, FollowUpStatus, Level};
use crate::rules::lifecycle::EventStatus;
use crate::window;

/// How far back a calendar goes, in days.
const DAYS_BACK: u64 = 90;
/// How many occasions, and how many follow-ups, a calendar holds at most: the first ones.
const MOST: i64 = 5000;

pub fn insert(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    secret: &Secret,
    new: &NewCalendarFeed,
) -> Result<CalendarFeed, Error> {
    Ok(diesel::insert_into(calendar_feeds::table)
        .values((
            calendar_feeds::id.eq(id),
            calendar_feeds::revision.eq(1),
            calendar_feeds::owner.eq(call.actor.name()),
            calendar_feeds::name.eq(&new.name),
            calendar_feeds::unit_id.eq(new.unit_id),
            calendar_feeds::include_subtree
                .eq(new.unit_id.is_some() && new.include_subtree.unwrap_or(true)),
            calendar_feeds::person_ref.eq(&new.person_ref),
            calendar_feeds::secret_hash.eq(secret.hash()),
            calendar_feeds::created_at.eq(call.now),
        ))
        .returning(CalendarFeed::as_returning())
        .get_result(conn)?)
}

pub fn delete(conn: &mut PgConnection, id: Uuid) -> Result<(), Error> {
    diesel::delete(calendar_feeds::table.find(id)).execute(conn)?;
    Ok(())
}

pub fn find(conn: &mut PgConnection, id: Uuid) -> Result<CalendarFeed, Error> {
    Ok(calendar_feeds::table
        .find(id)
        .select(CalendarFeed::as_select())
        .first(conn)?)
}

/// The feed, or 404 when it is another's.
pub fn find_own(conn: &mut PgConnection, owner: &str, id: Uuid) -> Result<CalendarFeed, Error> {
    Ok(calendar_feeds::table
        .find(id)
        .filter(calendar_feeds::owner.eq(owner))
        .select(CalendarFeed::as_select())
        .first(conn)?)
}

/// The same, locked.
pub fn find_own_for_update(
    conn: &mut PgConnection,
    owner: &str,
    id: Uuid,
) -> Result<CalendarFeed, Error> {
    Ok(calendar_feeds::table
        .find(id)
        .filter(calendar_feeds::owner.eq(owner))
        .select(CalendarFeed::as_select())
        .for_update()
        .first(conn)?)
}

pub fn list(
    conn: &mut PgConnection,
    owner: &str,
    descending: bool,
    paging: &Paging,
) -> Result<(Vec<CalendarFeed>, Option<i64>), Error> {
    let matching = || {
        calendar_feeds::table
            .filter(calendar_feeds::owner.eq(owner))
            .into_boxed()
    };
    let total = paging.total(|| matching().count().get_result(conn))?;
    let query = matching().select(CalendarFeed::as_select());
    let rows = window!(
        query,
        paging,
        descending,
        calendar_feeds::created_at,
        calendar_feeds::id,
        DateTime<Utc>
    )
    .load(conn)?;
    Ok((rows, total))
}

/// The name of a calendar and what its owner may read of it today; 404 when the owner has left.
pub(super) fn contents(
    conn: &mut PgConnection,
    feed: &CalendarFeed,
    today: NaiveDate,
) -> Result<(String, Vec<Entry>), Error> {
    let in_service = people::table
        .filter(people::person_ref.eq(&feed.owner))
        .filter(people::valid_from.le(today))
        .filter(people::valid_to.is_null().or(people::valid_to.gt(today)));
    if !diesel::select(exists(in_service)).get_result(conn)? {
        return Err(Error::new(Code::NotFound));
    }
    let offices = appointments::queries::held_by(conn, &feed.owner, today)?;
    // the roles and units of the owner's token are not known here, and give nothing
    let owner = Asker::Person {
        person_ref: feed.owner.clone(),
        roles: BTreeSet::new(),
        units: BTreeSet::new(),
        office_units: offices.into_iter().map(|office| office.unit_id).collect(),
    };
    let from = today - Days::new(DAYS_BACK);
    let mut entries = occasions_of(conn, feed, calendar::start_of_day(from))?;
    let readable = access::reach(&owner, Reading::Planning);
    entries.extend(due_dates_of(conn, feed, &readable, from)?);
    Ok((name(conn, feed)?, entries))
}

fn name(conn: &mut PgConnection, feed: &CalendarFeed) -> Result<String, Error> {
    if let Some(name) = &feed.name {
        return Ok(name.clone());
    }
    Ok(match (feed.unit_id, &feed.person_ref) {
        (Some(unit), _) => units::table.find(unit).select(units::name).first(conn)?,
        (None, Some(person)) => people::table
            .filter(people::person_ref.eq(person))
            .select(people::display_name)
            .first(conn)?,
        (None, None) => String::new(),
    })
}

/// Occasions of events that every employee may read; of cancelled ones only those that had been confirmed.
fn occasions_of(
    conn: &mut PgConnection,
    feed: &CalendarFeed,
    from: DateTime<Utc>,
) -> Result<Vec<Entry>, Error> {
    // asked of each cancelled event; as `exists` every baseline would be read to know
    let confirmed = baselines::table
        .filter(baselines::event_id.eq(events::id))
        .select(baselines::id)
        .single_value()
        .is_not_null();
    let mut query = occasions::table
        .inner_join(events::table)
        .left_join(venues::table)
        .filter(occasions::ends_at.gt(from))
        .filter(
            events::status
                .eq_any([
                    EventStatus::Confirmed,
                    EventStatus::Held,
                    EventStatus::Closed,
                ])
                .or(events::status.eq(EventStatus::Cancelled).and(confirmed)),
        )
        .into_boxed();
    if let Some(units) = units_of(conn, feed)? {
        query = query.filter(exists(organised_by(units)));
    }
    if let Some(person) = &feed.person_ref {
        query = query.filter(events::responsible_person.eq(person));
    }
    let rows: Vec<OccasionRow> = query
        .order((occasions::starts_at, occasions::id))
        .limit(MOST)
        .select((
            (occasions::id, occasions::starts_at, occasions::ends_at),
            (events::title, events::description, events::status),
            (events::revision, events::updated_at),
            (venues::name.nullable(), occasions::place),
        ))
        .load(conn)?;
    let entries = rows.into_iter().map(
        |((id, starts_at, ends_at), (title, description, status), (sequence, changed_at), at)| {
            let digital = (at.1 == "digital").then(|| "Digitalt".to_owned());
            Entry {
                id,
                sequence,
                changed_at,
                when: When::Between(starts_at, ends_at),
                title,
                description,
                place: at.0.or(digital),
                cancelled: status == EventStatus::Cancelled,
            }
        },
    );
    Ok(entries.collect())
}

type OccasionRow = (
    (Uuid, DateTime<Utc>, DateTime<Utc>),
    (String, Option<String>, EventStatus),
    (i32, DateTime<Utc>),
    (Option<String>, String),
);

/// The units whose events a feed shows; none where it is of a person.
fn units_of(conn: &mut PgConnection, feed: &CalendarFeed) -> Result<Option<Vec<Uuid>>, Error> {
    let Some(unit) = feed.unit_id else {
        return Ok(None);
    };
    if !feed.include_subtree {
        return Ok(Some(vec![unit]));
    }
    let below = units::table.filter(units::path.overlaps_with(vec![unit]));
    Ok(Some(below.select(units::id).load(conn)?))
}

#[diesel::dsl::auto_type(no_type_alias)]
fn organised_by(units: Vec<Uuid>) -> _ {
    event_organisers::table
        .filter(event_organisers::event_id.eq(events::id))
        .filter(event_organisers::unit_id.eq_any(units))
}

/// Follow-ups still to be done, as far as the feed's owner may read them.
fn due_dates_of(
    conn: &mut PgConnection,
    feed: &CalendarFeed,
    readable: &Reach,
    from: NaiveDate,
) -> Result<Vec<Entry>, Error> {
    let mut query = follow_ups::table
        .inner_join(events::table)
        .filter(follow_ups::status.eq(FollowUpStatus::Planned))
        .filter(follow_ups::due_date.ge(from))
        .into_boxed();
    if let Some(units) = units_of(conn, feed)? {
        query = query.filter(exists(organised_by(units)));
    }
    if let Some(person) = &feed.person_ref {
        query = query.filter(follow_ups::responsible_person.eq(person));
    }
    if let Reach::Part {
        subtrees,
        responsible,
        ..
    } = readable
    {
        let subtrees: Vec<Uuid> = subtrees.iter().copied().collect();
        let below_office = organised_within(events::id, Vec::<Uuid>::new(), subtrees);
        query = query.filter(
            follow_ups::responsible_person
                .eq(&feed.owner)
                .or(events::responsible_person.eq(responsible.clone().unwrap_or_default()))
                .or(below_office),
        );
    }
    let rows: Vec<DueRow> = query
        .order((follow_ups::due_date, follow_ups::id))
        .limit(MOST)
        .select((
            (follow_ups::id, follow_ups::due_date),
            (follow_ups::level, follow_ups::method),
            (follow_ups::revision, follow_ups::updated_at),
            (events::title, events::revision, events::updated_at),
        ))
        .load(conn)?;
    let entries = rows
        .into_iter()
        .map(|((id, due), (level, method), own, of_event)| Entry {
            id,
            // the title is the event's: either may change it
            sequence: own.0 + of_event.1,
            changed_at: own.1.max(of_event.2),
            when: When::On(due),
            title: format!("Uppföljning: {}", of_event.0),
            description: Some(format!("{}, {}", in_swedish(level), by_method(method))),
            place: None,
            cancelled: false,
        });
    Ok(entries.collect())
}

type DueRow = (
    (Uuid, NaiveDate),
    (Level, FollowUpMethod),
    (i32, DateTime<Utc>),
    (String, i32, DateTime<Utc>),
);

fn in_swedish(level: Level) -> &'static str {
    match level {
        Level::Reaction => "Vad deltagarna tyckte",
        Level::Learning => "Vad deltagarna lärde sig",
        Level::Behaviour => "Vad som görs annorlunda i arbetet",
        Level::Results => "Vad det gav verksamheten och invånarna",
    }
}

fn by_method(method: FollowUpMethod) -> &'static str {
    match method {
        FollowUpMethod::Survey => "genom enkät",
        FollowUpMethod::Interview => "genom intervju",
        FollowUpMethod::Observation => "genom observation",
        FollowUpMethod::GroupDiscussion => "genom gruppsamtal",
        FollowUpMethod::Measurement => "genom mätning",
        FollowUpMethod::Other => "på annat sätt",
    }
}
