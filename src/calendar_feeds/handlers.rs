//! Calendar feeds over HTTP, and the calendars themselves, which are outside the document.

use actix_web::web::{self, Data};
use actix_web::{delete, get, post};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::{CalendarFeed, NewCalendarFeed, Secret, create, icalendar, queries};
use crate::db::Db;
use crate::error::{Code, Error};
use crate::http::Service;
use crate::http::answer::{Answer, BASE};
use crate::http::call::{Call, Json, Path, Query};
use crate::http::paging::{Paging, PagingParameters};
use crate::http::parameters::{IfMatch, IfNoneMatch};
use crate::rules::access::{Action, Reading};
use crate::rules::calendar;
use crate::{page_of, sort_by};

page_of!(
    /// A page of calendar feeds.
    CalendarFeedPage, CalendarFeed
);
sort_by!(
    CalendarFeedSort,
    "createdAt",
    "-createdAt",
    "By the time when it was made."
);

#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct CalendarFeedFilter {
    /// The order; `-` is descending.
    #[param(required = false, inline, example = "createdAt")]
    #[serde(default)]
    sort: CalendarFeedSort,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
struct CalendarFeedPath {
    /// The id of the feed.
    #[param(example = "0190a000-0000-7000-8000-000000001901")]
    calendar_feed_id: Uuid,
}

/// Registers the operations.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(list_calendar_feeds)
        .service(create_calendar_feed)
        .service(get_calendar_feed)
        .service(delete_calendar_feed);
}

/// List your calendar feeds
///
/// Without their addresses, which are shown once.
#[utoipa::path(
    tag = "reports",
    params(CalendarFeedFilter, PagingParameters),
    responses((status = 200, description = "The page of the caller's feeds.", body = CalendarFeedPage)),
)]
#[get("/kompetens/v1/calendar-feeds")]
async fn list_calendar_feeds(
    call: Call,
    db: Data<Db>,
    Query(filter): Query<CalendarFeedFilter>,
    paging: Paging,
) -> Result<Answer, Error> {
    let window = paging.clone();
    let rows = db
        .snapshot(move |conn| {
            call.may(Action::List(Reading::Published))?;
            queries::list(
                conn,
                call.actor.name(),
                filter.sort.is_descending(),
                &window,
            )
        })
        .await?;
    CalendarFeedPage::answer(&paging, rows, |feed| (feed.created_at, feed.id))
}

/// Make a calendar feed
///
/// Answers the address to give to a calendar program, once: it is a secret, and whoever has it reads the calendar. It shows,
/// from 90 days back, the occasions of events that have been confirmed (cancelled ones as such), and the follow-ups still to be done
/// as days. Of a unit: what it organises; of a person: what they answer for. A calendar program sends no token, so of follow-ups
/// a feed shows only those that its owner does, those of events that its owner answers for, and those that an office gives its owner
/// to read, as of the day of reading; roles of a token give nothing. It ends when its owner leaves.
#[utoipa::path(
    tag = "reports",
    request_body = NewCalendarFeed,
    responses((status = 201, description = "The feed was made; `address` is shown this once.", body = CalendarFeed)),
)]
#[post("/kompetens/v1/calendar-feeds")]
async fn create_calendar_feed(
    call: Call,
    db: Data<Db>,
    service: Data<Service>,
    Json(new): Json<NewCalendarFeed>,
) -> Result<Answer, Error> {
    new.judge()?;
    let (id, secret) = (Uuid::now_v7(), Secret::random()?);
    let address = format!(
        "{}{BASE}/calendars/{id}/{}.ics",
        service.public_url.trim_end_matches('/'),
        URL_SAFE_NO_PAD.encode(secret.0)
    );
    db.write(move |conn| {
        call.may(Action::List(Reading::Published))?;
        call.once(conn, |conn| {
            let feed = CalendarFeed {
                address: Some(address.clone()),
                ..create(conn, &call, id, &secret, &new)?
            };
            let created = Answer::created(format!("/calendar-feeds/{id}"), &feed, feed.revision)?;
            Ok(Answer {
                shows_secret: true,
                ..created
            })
        })
    })
    .await
}

/// Read a calendar feed of yours
///
/// Without its address, which was shown once.
#[utoipa::path(
    tag = "reports",
    params(CalendarFeedPath, IfNoneMatch),
    responses((status = 200, description = "The feed.", body = CalendarFeed), (status = 304, description = "The caller's copy is current.")),
)]
#[get("/kompetens/v1/calendar-feeds/{calendarFeedId}")]
async fn get_calendar_feed(
    call: Call,
    db: Data<Db>,
    Path(path): Path<CalendarFeedPath>,
) -> Result<Answer, Error> {
    let feed = db
        .read(move |conn| {
            call.may(Action::List(Reading::Published))?;
            queries::find_own(conn, call.actor.name(), path.calendar_feed_id)
        })
        .await?;
    Answer::ok(&feed, feed.revision)
}

/// Delete a calendar feed of yours
///
/// Its address answers 404 at once. Do so when an address has come into wrong hands, and make a new one.
#[utoipa::path(
    tag = "reports",
    params(CalendarFeedPath, IfMatch),
    responses((status = 204, description = "The feed is gone.")),
)]
#[delete("/kompetens/v1/calendar-feeds/{calendarFeedId}")]
async fn delete_calendar_feed(
    call: Call,
    db: Data<Db>,
    Path(path): Path<CalendarFeedPath>,
) -> Result<Answer, Error> {
    db.write(move |conn| {
        call.may(Action::List(Reading::Published))?;
        let feed = queries::find_own_for_update(conn, call.actor.name(), path.calendar_feed_id)?;
        call.expect_revision(feed.revision)?;
        super::delete(conn, &call, &feed)?;
        Answer::gone()
    })
    .await
}

/// Where calendars are read, for the router, the log and problems: the address itself is a secret.
pub const CALENDAR_PATTERN: &str = "/kompetens/v1/calendars/{calendarFeedId}/{secret}.ics";

/// What the log and the metrics call reading a calendar.
pub const READ_CALENDAR: &str = "read_calendar";

/// Is this an address of a calendar?
pub fn is_calendar(path: &str) -> bool {
    path.starts_with("/kompetens/v1/calendars/")
}

/// Answers a calendar to whoever knows its address.
pub async fn read_calendar(
    path: web::Path<(String, String)>,
    db: Data<Db>,
    service: Data<Service>,
) -> Result<Answer, Error> {
    let (id, secret) = path.into_inner();
    let id: Uuid = id.parse().map_err(|_| Error::new(Code::NotFound))?;
    let secret = URL_SAFE_NO_PAD
        .decode(secret)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .map(Secret)
        .ok_or_else(|| Error::new(Code::NotFound))?;
    let today = calendar::stockholm_date((service.clock.0)());
    let text = db
        .snapshot(move |conn| {
            let feed = queries::find(conn, id)?;
            if !feed.opens_with(&secret) {
                return Err(Error::new(Code::NotFound));
            }
            let (name, entries) = queries::contents(conn, &feed, today)?;
            Ok(icalendar::render(&name, &entries))
        })
        .await?;
    Answer::text("text/calendar; charset=utf-8", text)
}
