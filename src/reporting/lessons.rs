//! Lessons: what follow-ups say that others can learn, and how it was passed on, for every employee to find (R24).
//!
//! A lesson is an entry that stands, was carried out, and says so, of an event that has been held. Whose entry it is, and who
//! answers for the event, is not shown.

use actix_web::get;
use actix_web::web::Data;
use chrono::{DateTime, NaiveDate, Utc};
use diesel::dsl::{exists, sql};
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use crate::db::Db;
use crate::db::schema::{event_organisers, lesson_details, units};
use crate::error::Error;
use crate::http::answer::Answer;
use crate::http::call::{Call, Query};
use crate::http::paging::{Paging, PagingParameters};
use crate::http::parameters::expect_period;
use crate::organisation;
use crate::rules::access::{Action, Reading};
use crate::rules::calendar;
use crate::rules::follow_up::Level;
use crate::rules::scope::EventKind;
use crate::{page_of, window};

/// What was learned of an event.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = lesson_details, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct Lesson {
    /// The id of the entry that says it.
    #[schema(example = "0190a000-0000-7000-8000-000000141a02")]
    pub id: Uuid,
    /// The event.
    #[schema(example = "0190a000-0000-7000-8000-000000001015")]
    pub event_id: Uuid,
    /// What the event is called.
    #[schema(example = "Planeringsdag för förskolan")]
    pub event_title: String,
    /// What kind of event it was.
    #[schema(example = "planningDay")]
    pub kind: EventKind,
    /// The units that organised it.
    #[schema(example = json!(["0190a000-0000-7000-8000-000000000101"]))]
    pub organising_unit_ids: Vec<Uuid>,
    /// When its first occasion started.
    #[schema(example = "2026-10-05T06:30:00Z")]
    pub first_start: DateTime<Utc>,
    /// When its last occasion ended.
    #[schema(example = "2026-10-05T14:30:00Z")]
    pub last_end: DateTime<Utc>,
    /// How deep the follow-up looked.
    #[schema(example = "behaviour")]
    pub level: Level,
    /// The day of the follow-up (Stockholm).
    #[schema(example = "2026-12-15")]
    pub conducted_on: NaiveDate,
    /// What others can learn of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Öva samtalet två gånger innan det används.")]
    pub lessons: Option<String>,
    /// How what was learned was passed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Två kollegor berättade på arbetsplatsträffen.")]
    pub knowledge_sharing: Option<String>,
}

page_of!(
    /// A page of lessons.
    LessonPage, Lesson
);

/// Which lessons to list; several values of one parameter are separated by commas.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, style = Form)]
struct LessonFilter {
    /// Only lessons with all of these words, in any Swedish inflection, in what was learned, how it was passed on, or the event's title
    /// and description.
    #[param(
        required = false,
        min_length = 1,
        max_length = 200,
        example = "inskolning"
    )]
    q: Option<String>,
    /// Only of events that one of these units organised.
    #[param(required = false, explode = false, min_items = 1, max_items = 50, example = json!(["0190a000-0000-7000-8000-000000000101"]))]
    unit_id: Option<Vec<Uuid>>,
    /// Count the units below them too.
    #[param(required = false, default = true, example = true)]
    #[serde(default = "yes")]
    include_subtree: bool,
    /// Only of events of one of these kinds.
    #[param(required = false, explode = false, min_items = 1, max_items = 10, example = json!(["planningDay"]))]
    kind: Option<Vec<EventKind>>,
    /// Only of events that were under way on this day or later (Stockholm).
    #[param(required = false, example = "2020-01-01")]
    from: Option<NaiveDate>,
    /// Only of events that were under way on this day or earlier (Stockholm).
    #[param(required = false, example = "2199-12-31")]
    to: Option<NaiveDate>,
    /// The order, by the day of the follow-up; `-` is descending.
    #[param(required = false, inline, example = "-conductedOn")]
    #[serde(default)]
    sort: LessonSort,
}

fn yes() -> bool {
    true
}

/// The orders of the list of lessons.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
enum LessonSort {
    #[default]
    #[serde(rename = "-conductedOn")]
    Newest,
    #[serde(rename = "conductedOn")]
    Oldest,
}

/// Registers the operation.
pub fn configure(config: &mut ServiceConfig) {
    config.service(list_lessons);
}

/// List lessons
///
/// What follow-ups of events that were held say that others can learn, and how it was passed on; the newest first. Every employee may read and
/// search them. Nobody is named, and nothing of drafts is shown; an entry that is voided is no lesson.
#[utoipa::path(
    tag = "reports",
    params(LessonFilter, PagingParameters),
    responses((status = 200, description = "The page of lessons.", body = LessonPage)),
)]
#[get("/kompetens/v1/lessons")]
async fn list_lessons(
    call: Call,
    db: Data<Db>,
    Query(filter): Query<LessonFilter>,
    paging: Paging,
) -> Result<Answer, Error> {
    expect_period(filter.from, filter.to)?;
    let window = paging.clone();
    let rows = db
        .snapshot(move |conn| {
            call.may(Action::List(Reading::Published))?;
            organisation::units::queries::expect_known(conn, filter.unit_id.as_deref())?;
            list(conn, &filter, &window)
        })
        .await?;
    LessonPage::answer(&paging, rows, |row| (row.conducted_on, row.id))
}

fn list(
    conn: &mut PgConnection,
    filter: &LessonFilter,
    paging: &Paging,
) -> Result<(Vec<Lesson>, Option<i64>), Error> {
    let total = paging.total(|| matching(filter).count().get_result(conn))?;
    let query = matching(filter).select(Lesson::as_select());
    let rows = window!(
        query,
        paging,
        filter.sort == LessonSort::Newest,
        lesson_details::conducted_on,
        lesson_details::id,
        NaiveDate
    )
    .load(conn)?;
    Ok((rows, total))
}

fn matching(filter: &LessonFilter) -> lesson_details::BoxedQuery<'_, Pg> {
    use lesson_details as l;
    let mut query = l::table.into_boxed();
    if let Some(words) = &filter.q {
        query = query.filter(
            sql::<Bool>("lesson_details.words @@ plainto_tsquery('pg_catalog.swedish', ")
                .bind::<Text, _>(words)
                .sql(")"),
        );
    }
    if let Some(unit_ids) = &filter.unit_id {
        let of_event = event_organisers::table
            .inner_join(units::table)
            .filter(event_organisers::event_id.eq(l::event_id));
        query = if filter.include_subtree {
            query.filter(exists(of_event.filter(units::path.overlaps_with(unit_ids))))
        } else {
            query.filter(exists(
                of_event.filter(event_organisers::unit_id.eq_any(unit_ids)),
            ))
        };
    }
    if let Some(kinds) = &filter.kind {
        query = query.filter(l::kind.eq_any(kinds));
    }
    if let Some(from) = filter.from {
        query = query.filter(l::last_end.gt(calendar::start_of_day(from)));
    }
    if let Some(after) = filter.to.and_then(|to| to.succ_opt()) {
        query = query.filter(l::first_start.lt(calendar::start_of_day(after)));
    }
    query
}
