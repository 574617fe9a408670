//! Statistics over HTTP, as JSON and CSV.

use actix_web::get;
use actix_web::web::Data;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::queries::{self, Asked};
use super::{
    EventStatistics, ExceptionStatistics, GoalStatistics, Group, GroupBy, Row, StatisticsFilter,
    VenueStatistics,
};
use crate::db::Db;
use crate::error::{At, Code, Error, FieldError};
use crate::guideline::Text;
use crate::http::answer::Answer;
use crate::http::call::{Call, Query};
use crate::http::csv::{self, WantsCsv};
use crate::http::json_text::name;
use crate::http::paging::{Paging, PagingParameters};
use crate::http::parameters::expect_period;
use crate::identity::permitted;
use crate::organisation::units;
use crate::page_of;
use crate::rules::access::{self, Action, Reading};

page_of!(
    /// A page of statistics of events.
    EventStatisticsPage, EventStatistics
);
page_of!(
    /// A page of statistics of exceptions.
    ExceptionStatisticsPage, ExceptionStatistics
);
page_of!(
    /// A page of statistics of venues.
    VenueStatisticsPage, VenueStatistics
);
page_of!(
    /// A page of statistics of goals.
    GoalStatisticsPage, GoalStatistics
);

/// Registers the operations.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(get_event_statistics)
        .service(get_exception_statistics)
        .service(get_venue_statistics)
        .service(get_goal_statistics);
}

/// Count events
///
/// How many in which status, and of those held what was planned beside what happened. Counted are the events that `GET /events` lists
/// with the same filter, as far as the caller may read reports of them: drafts too. An event with occasions in two periods counts in both, one of two
/// units in both. `groupBy=rule` counts the events in which a rule is open: drafts and confirmed ones that have not ended, as `finding`
/// of that list, and those held or cancelled with what was open that day; `question.…` are questions without an answer.
#[utoipa::path(
    tag = "reports",
    params(StatisticsFilter, PagingParameters),
    responses((status = 200, description = "The page of rows, in order of what they count. As CSV all of them.", content(
        (EventStatisticsPage = "application/json"),
        (String = "text/csv", example = "period,events,draft\r\n2026-T3,21,7\r\n"),
    ))),
)]
#[get("/kompetens/v1/statistics/events")]
async fn get_event_statistics(
    call: Call,
    db: Data<Db>,
    Query(filter): Query<StatisticsFilter>,
    paging: Paging,
    WantsCsv(as_csv): WantsCsv,
) -> Result<Answer, Error> {
    let rows: Vec<EventStatistics> = counted(call, &db, &filter).await?;
    answered(
        &filter,
        (&paging, as_csv),
        rows,
        EventStatisticsPage::answer,
    )
}

/// Count exceptions
///
/// How many requests became what, and how many have awaited a decision for more than seven days. A period is that of their submission.
/// `groupBy=rule` counts each request under every rule that it names. Counted are those about events that the caller may read reports of.
#[utoipa::path(
    tag = "reports",
    params(StatisticsFilter, PagingParameters),
    responses((status = 200, description = "The page of rows, in order of what they count. As CSV all of them.", content(
        (ExceptionStatisticsPage = "application/json"),
        (String = "text/csv", example = "unitId,unitName,ruleId,requests\r\n0190a000-0000-7000-8000-000000000101,Bildningsförvaltningen,venueLadder,2\r\n"),
    ))),
)]
#[get("/kompetens/v1/statistics/exceptions")]
async fn get_exception_statistics(
    call: Call,
    db: Data<Db>,
    Query(filter): Query<StatisticsFilter>,
    paging: Paging,
    WantsCsv(as_csv): WantsCsv,
) -> Result<Answer, Error> {
    let rows: Vec<ExceptionStatistics> = counted(call, &db, &filter).await?;
    answered(
        &filter,
        (&paging, as_csv),
        rows,
        ExceptionStatisticsPage::answer,
    )
}

/// Count where events are held
///
/// How many events on which rung of the venue ladder, by the owners and contracts in force on the days of their occasions. An event
/// counts once, on its worst rung; one with an undecided place as undecided. Cancelled events are counted too, where they were to be.
#[utoipa::path(
    tag = "reports",
    params(StatisticsFilter, PagingParameters),
    responses((status = 200, description = "The page of rows, in order of what they count. As CSV all of them.", content(
        (VenueStatisticsPage = "application/json"),
        (String = "text/csv", example = "period,events,ownPremises\r\n2026,21,9\r\n"),
    ))),
)]
#[get("/kompetens/v1/statistics/venues")]
async fn get_venue_statistics(
    call: Call,
    db: Data<Db>,
    Query(filter): Query<StatisticsFilter>,
    paging: Paging,
    WantsCsv(as_csv): WantsCsv,
) -> Result<Answer, Error> {
    let rows: Vec<VenueStatistics> = counted(call, &db, &filter).await?;
    answered(
        &filter,
        (&paging, as_csv),
        rows,
        VenueStatisticsPage::answer,
    )
}

/// Count goals and what came of them
///
/// For each goal of the guideline and each business goal how many events are planned for it, how many of those were followed up, and which
/// effect was seen. `events` is that of `GET /events` with `guidelineGoal` or `businessGoalId`. `groupBy=goal` leaves only the goals of the guideline,
/// `groupBy=businessGoal` only business goals; anything else divides the rows further.
#[utoipa::path(
    tag = "reports",
    params(StatisticsFilter, PagingParameters),
    responses((status = 200, description = "The page of rows, in order of what they count. As CSV all of them.", content(
        (GoalStatisticsPage = "application/json"),
        (String = "text/csv", example = "guidelineGoal,businessGoalId,businessGoalTitle,events\r\nimproveOperations,,,14\r\n"),
    ))),
)]
#[get("/kompetens/v1/statistics/goals")]
async fn get_goal_statistics(
    call: Call,
    db: Data<Db>,
    Query(mut filter): Query<StatisticsFilter>,
    paging: Paging,
    WantsCsv(as_csv): WantsCsv,
) -> Result<Answer, Error> {
    let asked = |by| filter.groupings().contains(&by);
    let (guideline, business) = (asked(GroupBy::Goal), asked(GroupBy::BusinessGoal));
    // the rows are grouped by goal as it is
    if let Some(group_by) = &mut filter.group_by {
        group_by.retain(|by| !matches!(by, GroupBy::Goal | GroupBy::BusinessGoal));
    }
    let mut rows: Vec<GoalStatistics> = counted(call, &db, &filter).await?;
    if guideline != business {
        rows.retain(|row| row.group.guideline_goal.is_some() == guideline);
    }
    answered(&filter, (&paging, as_csv), rows, GoalStatisticsPage::answer)
}

/// All rows that match, cut to what the caller may read.
async fn counted<T: Row + Send + 'static>(
    call: Call,
    db: &Db,
    filter: &StatisticsFilter,
) -> Result<Vec<T>, Error> {
    expect_period(filter.from, filter.to)?;
    if let [one, other] = *filter.groupings()
        && (one == other || is_period(one) && is_period(other))
    {
        let detail = Text::new(
            "Ange två olika indelningar, och högst en av år, tertial och månad.",
            "Give two different groupings, and at most one of year, tertial and month.",
        );
        return Err(Error::new(Code::InvalidParameter).with(FieldError {
            at: At::Parameter("groupBy".to_owned()),
            code: "repeated-item".to_owned(),
            detail,
        }));
    }
    let filter = filter.clone();
    db.report(move |conn| {
        let asker = call.asker(conn)?;
        permitted(&asker, Action::List(Reading::Reports))?;
        units::queries::expect_known(conn, filter.unit_id.as_deref())?;
        let asked = Asked {
            filter: &filter,
            reach: &access::reach(&asker, Reading::Reports),
            now: call.now,
        };
        queries::count(conn, &asked)
    })
    .await
}

fn is_period(by: GroupBy) -> bool {
    matches!(by, GroupBy::Year | GroupBy::Tertial | GroupBy::Month)
}

/// The rows as CSV, all of them, or the page that is asked for.
fn answered<T: Row>(
    filter: &StatisticsFilter,
    (paging, as_csv): (&Paging, bool),
    rows: Vec<T>,
    page: impl FnOnce(
        &Paging,
        (Vec<T>, Option<i64>),
        fn(&T) -> (Vec<String>, Uuid),
    ) -> Result<Answer, Error>,
) -> Result<Answer, Error> {
    if as_csv {
        return table(filter, rows);
    }
    let rows = window(paging, rows, |row| row.group().key())?;
    page(paging, rows, |row| (row.group().key(), Uuid::nil()))
}

/// Orders the rows and cuts them to the window that is asked for, one more than fits.
pub fn window<T>(
    paging: &Paging,
    mut rows: Vec<T>,
    key: impl Fn(&T) -> Vec<String>,
) -> Result<(Vec<T>, Option<i64>), Error> {
    rows.sort_by_cached_key(&key);
    let total = i64::try_from(rows.len()).map_err(Error::internal)?;
    if let Some((after, _)) = paging.after::<Vec<String>>()? {
        rows.retain(|row| key(row) > after);
    }
    let (skip, take) = (paging.offset(), paging.rows());
    let rows = rows
        .into_iter()
        .skip(usize::try_from(skip).map_err(Error::internal)?)
        .take(usize::try_from(take).map_err(Error::internal)?)
        .collect();
    Ok((rows, paging.include_total.then_some(total)))
}

/// The rows as CSV: the columns of what was asked for, then every number.
fn table<T: Row>(filter: &StatisticsFilter, mut rows: Vec<T>) -> Result<Answer, Error> {
    rows.sort_by_cached_key(|row| row.group().key());
    let groupings = || T::ALWAYS.iter().chain(filter.groupings());
    let groups = groupings().flat_map(|by| columns(*by));
    let columns: Vec<&str> = groups.chain(T::COLUMNS).copied().collect();
    let cells = rows.iter().map(|row| {
        let groups = groupings().flat_map(|by| cells(*by, row.group()));
        groups
            .map(Option::unwrap_or_default)
            .chain(row.numbers().iter().map(i64::to_string))
            .collect()
    });
    csv::answer(&columns, cells, filter.excel)
}

/// The columns of a grouping in CSV.
pub fn columns(by: GroupBy) -> &'static [&'static str] {
    match by {
        GroupBy::Year | GroupBy::Tertial | GroupBy::Month => &["period", "from", "to"],
        GroupBy::Unit => &["unitId", "unitName"],
        GroupBy::Kind => &["kind"],
        GroupBy::Goal => &["guidelineGoal"],
        GroupBy::BusinessGoal => &["businessGoalId", "businessGoalTitle"],
        GroupBy::Responsible => &["responsiblePerson", "responsibleName"],
        GroupBy::Rule => &["ruleId"],
        GroupBy::AgeBand => &["ageBand"],
    }
}

/// What stands in them.
pub fn cells(by: GroupBy, group: &Group) -> Vec<Option<String>> {
    let day = |day: Option<chrono::NaiveDate>| day.map(|day| day.to_string());
    let id = |id: Option<Uuid>| id.map(|id| id.to_string());
    let group = group.clone();
    match by {
        GroupBy::Year | GroupBy::Tertial | GroupBy::Month => {
            vec![group.period, day(group.from), day(group.to)]
        }
        GroupBy::Unit => vec![id(group.unit_id), group.unit_name],
        GroupBy::Kind => vec![group.kind.map(|kind| name(&kind))],
        GroupBy::Goal => vec![group.guideline_goal],
        GroupBy::BusinessGoal => vec![id(group.business_goal_id), group.business_goal_title],
        GroupBy::Responsible => vec![group.responsible_person, group.responsible_name],
        GroupBy::Rule => vec![group.rule_id],
        GroupBy::AgeBand => vec![group.age_band.map(|band| name(&band))],
    }
}
