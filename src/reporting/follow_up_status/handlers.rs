//! The follow-up status over HTTP, as JSON and CSV.

use actix_web::web::Data;
use actix_web::{Either, HttpResponse, get};
use diesel::pg::PgConnection;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::queries::{self, Asked};
use super::{FollowUpStatusFilter, FollowUpStatusRow, FollowUpSummaryRow, SummaryGroupBy};
use crate::db::Db;
use crate::error::{At, Code, Error, FieldError};
use crate::guideline::Text;
use crate::http::answer::Answer;
use crate::http::call::{Call, Query};
use crate::http::csv::{self, WantsCsv};
use crate::http::json_text::name;
use crate::http::paging::{Paging, PagingParameters};
use crate::http::parameters::expect_order;
use crate::identity::permitted;
use crate::organisation::units;
use crate::reporting::statistics::handlers as statistics;
use crate::rules::access::{self, Action, Reach, Reading};
use crate::{page_of, sort_by};

page_of!(
    /// A page of the follow-up status.
    FollowUpStatusPage, FollowUpStatusRow
);
page_of!(
    /// A page of the summary of the follow-up status.
    FollowUpSummaryPage, FollowUpSummaryRow
);
sort_by!(
    FollowUpStatusSort,
    "dueDate",
    "-dueDate",
    "By the due date."
);

#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct SortParameter {
    /// The order; `-` is descending.
    #[param(required = false, inline, example = "dueDate")]
    #[serde(default)]
    sort: FollowUpStatusSort,
}

#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct GroupByParameter {
    /// A row for each of these that there is. Without it one row counts everything.
    #[param(required = false, inline, example = "unit")]
    group_by: Option<SummaryGroupBy>,
}

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(list_follow_up_status)
        .service(get_follow_up_summary);
}

/// List the follow-up status
///
/// One row for each follow-up of the caller's units, as of a day: what its due date meant, whose it is, and what event it is of. As of an
/// earlier day, the times of creation, holding, completion, voiding, waiving and cancelling count as they were then, with today's due date,
/// level, units and responsible person. As CSV with `Accept: text/csv` all that match, in this order and not a page: sent as they are read,
/// 1,000 at a time, so what changes meanwhile may be missing or stand twice. If the database fails on the way, the connection is closed
/// before the end of the body, and the export is to be asked for again.
#[utoipa::path(
    tag = "reports",
    params(FollowUpStatusFilter, SortParameter, PagingParameters),
    responses((status = 200, description = "The page of rows.", content(
        (FollowUpStatusPage = "application/json"),
        (String = "text/csv", example = "dueDate,dueStatus,daysOverdue,eventTitle\r\n2026-10-18,overdue,31,Studiero och tydliga lektioner\r\n"),
    ))),
)]
#[get("/kompetens/v1/follow-up-status")]
async fn list_follow_up_status(
    call: Call,
    db: Data<Db>,
    Query(filter): Query<FollowUpStatusFilter>,
    Query(order): Query<SortParameter>,
    paging: Paging,
    WantsCsv(as_csv): WantsCsv,
) -> Result<Either<Answer, HttpResponse>, Error> {
    judge(&call, &filter)?;
    let (excel, descending) = (filter.excel, order.sort.is_descending());
    let read = move |window: Paging| {
        let (db, call, filter) = (db.clone(), call.clone(), filter.clone());
        async move {
            db.report(move |conn| {
                let asked = Asked {
                    filter: &filter,
                    reach: &reach(conn, &call, &filter)?,
                    now: call.now,
                };
                queries::list(conn, &asked, descending, &window)
            })
            .await
        }
    };
    let key = |row: &FollowUpStatusRow| (row.due_date, row.id);
    if as_csv {
        let table = csv::stream(&COLUMNS, cells, excel, paging, key, read).await?;
        return Ok(Either::Right(table));
    }
    let rows = read(paging.clone()).await?;
    FollowUpStatusPage::answer(&paging, rows, key).map(Either::Left)
}

const COLUMNS: [&str; 18] = [
    "dueDate",
    "dueStatus",
    "daysOverdue",
    "eventTitle",
    "units",
    "kind",
    "eventStatus",
    "heldOn",
    "level",
    "method",
    "completedOn",
    "responsiblePerson",
    "responsibleName",
    "responsibleHasLeft",
    "businessGoalIds",
    "guidelineGoals",
    "eventId",
    "id",
];

fn cells(row: &FollowUpStatusRow) -> Vec<String> {
    let day = |day: Option<chrono::NaiveDate>| day.map(|day| day.to_string()).unwrap_or_default();
    let goals: Vec<String> = row.business_goal_ids.iter().map(Uuid::to_string).collect();
    vec![
        row.due_date.to_string(),
        name(&row.due_status),
        row.days_overdue
            .map(|days| days.to_string())
            .unwrap_or_default(),
        row.event_title.clone(),
        row.organising_unit_names.join(", "),
        name(&row.kind),
        name(&row.event_status),
        day(row.held_on),
        name(&row.level),
        name(&row.method),
        day(row.completed_on),
        row.responsible_person.clone(),
        row.responsible_name.clone(),
        row.responsible_has_left.to_string(),
        goals.join(" "),
        row.guideline_goals.join(" "),
        row.event_id.to_string(),
        row.id.to_string(),
    ]
}

/// Read the follow-up status in numbers
///
/// How many follow-ups of the list with the same filter are upcoming, due soon, overdue, done on time or late, waived or cancelled, and how
/// many of their events were held, how, and are yet to be marked so. With `groupBy` a row for each group: an event of two units or goals
/// counts in both; by unit with `includeSubtree` in those above too, as far as `unitId` asks for them. The numbers of follow-ups are those
/// of the list with the row's group as a filter too.
#[utoipa::path(
    tag = "reports",
    params(FollowUpStatusFilter, GroupByParameter, PagingParameters),
    responses((status = 200, description = "The page of rows, in order of what they count. As CSV all of them.", content(
        (FollowUpSummaryPage = "application/json"),
        (String = "text/csv", example = "unitId,unitName,held,overdue\r\n0190a000-0000-7000-8000-000000000101,Bildningsförvaltningen,2,1\r\n"),
    ))),
)]
#[get("/kompetens/v1/follow-up-status/summary")]
async fn get_follow_up_summary(
    call: Call,
    db: Data<Db>,
    Query(filter): Query<FollowUpStatusFilter>,
    Query(grouping): Query<GroupByParameter>,
    paging: Paging,
    WantsCsv(as_csv): WantsCsv,
) -> Result<Answer, Error> {
    judge(&call, &filter)?;
    let (excel, due_from, due_to) = (filter.excel, filter.due_from, filter.due_to);
    let mut rows = db
        .report(move |conn| {
            let asked = Asked {
                filter: &filter,
                reach: &reach(conn, &call, &filter)?,
                now: call.now,
            };
            queries::summary(conn, &asked, grouping.group_by)
        })
        .await?;
    for row in &mut rows {
        row.group.date(due_from, due_to);
    }
    if as_csv {
        rows.sort_by_cached_key(|row| row.group.key());
        let by = grouping.group_by.map(SummaryGroupBy::of_statistics);
        let groups = by.map(statistics::columns).unwrap_or_default();
        let columns: Vec<&str> = groups
            .iter()
            .copied()
            .chain(FollowUpSummaryRow::NUMBERS)
            .collect();
        let cells = rows.iter().map(|row| {
            let group = by
                .map(|by| statistics::cells(by, &row.group))
                .unwrap_or_default();
            let numbers = row.numbers().map(|number| number.to_string());
            group
                .into_iter()
                .map(Option::unwrap_or_default)
                .chain(numbers)
                .collect()
        });
        return csv::answer(&columns, cells, excel);
    }
    let rows = statistics::window(&paging, rows, |row| row.group.key())?;
    FollowUpSummaryPage::answer(&paging, rows, |row| (row.group.key(), Uuid::nil()))
}

/// 400 for what no status can be asked of.
fn judge(call: &Call, filter: &FollowUpStatusFilter) -> Result<(), Error> {
    expect_order(("dueFrom", filter.due_from), ("dueTo", filter.due_to))?;
    if filter.as_of.is_some_and(|day| day > call.today()) {
        return Err(Error::new(Code::InvalidParameter).with(FieldError {
            at: At::Parameter("asOf".to_owned()),
            code: "in-the-future".to_owned(),
            detail: Text::new(
                "asOf är i dag eller en tidigare dag. Utelämna den för att se läget nu.",
                "asOf is today or an earlier day. Leave it out to see how it stands now.",
            ),
        }));
    }
    Ok(())
}

/// What the caller may see of it, once the units that are asked for are known to exist.
fn reach(
    conn: &mut PgConnection,
    call: &Call,
    filter: &FollowUpStatusFilter,
) -> Result<Reach, Error> {
    let asker = call.asker(conn)?;
    permitted(&asker, Action::List(Reading::Reports))?;
    units::queries::expect_known(conn, filter.unit_id.as_deref())?;
    Ok(access::reach(&asker, Reading::Reports))
}
