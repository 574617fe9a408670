//! The follow-up status over HTTP, as JSON and CSV.

use actix_web::get;
use actix_web::web::Data;
use diesel::pg::PgConnection;
use serde::{Deserialize, Serialize};
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
use crate::http::paging::{Paging, PagingParameters};
use crate::identity::permitted;
use crate::organisation::units;
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
/// level, units and responsible person. As CSV with `Accept: text/csv`: then all that match, up to 10,000, and not a page.
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
) -> Result<Answer, Error> {
    judge(&call, &filter)?;
    let window = if as_csv {
        paging.everything()
    } else {
        paging.clone()
    };
    let (excel, descending) = (filter.excel, order.sort.is_descending());
    let rows = db
        .report(move |conn| {
            let reach = reach(conn, &call, &filter)?;
            let asked = Asked {
                filter: &filter,
                reach: &reach,
                now: call.now,
            };
            queries::list(conn, &asked, descending, &window)
        })
        .await?;
    if as_csv {
        return csv::answer(&COLUMNS, rows.0.iter().map(cells), excel);
    }
    FollowUpStatusPage::answer(&paging, rows, |row| (row.due_date, row.id))
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

fn name(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// Read the follow-up status in numbers
///
/// How many follow-ups of the list with the same filter are upcoming, due soon, overdue, done on time or late, waived or cancelled, and how
/// many of their events were held, how, and are yet to be marked so. With `groupBy` a row for each group: an event of two units or goals
/// counts in both; by unit with `includeSubtree` in those above too.
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
    let excel = filter.excel;
    let mut rows = db
        .report(move |conn| {
            let reach = reach(conn, &call, &filter)?;
            let asked = Asked {
                filter: &filter,
                reach: &reach,
                now: call.now,
            };
            queries::summary(conn, &asked, grouping.group_by)
        })
        .await?;
    rows.sort_by_key(key);
    if as_csv {
        return csv::answer(&SUMMARY_COLUMNS, rows.iter().map(summary_cells), excel);
    }
    let total = paging.include_total.then_some(rows.len() as i64);
    let after: Option<(String, Uuid)> = paging.after()?;
    let window = rows
        .into_iter()
        .filter(|row| after.as_ref().is_none_or(|(last, _)| key(row) > *last))
        .skip(usize::try_from(paging.offset()).map_err(Error::internal)?)
        .take(usize::try_from(paging.rows()).map_err(Error::internal)?)
        .collect();
    FollowUpSummaryPage::answer(&paging, (window, total), |row| (key(row), Uuid::nil()))
}

const SUMMARY_COLUMNS: [&str; 15] = [
    "group",
    "name",
    "held",
    "heldWithFollowUp",
    "heldExcepted",
    "heldWithoutPlan",
    "endedNotHeld",
    "followUps",
    "upcoming",
    "dueSoon",
    "overdue",
    "completedOnTime",
    "completedLate",
    "waived",
    "cancelled",
];

fn summary_cells(row: &FollowUpSummaryRow) -> Vec<String> {
    let group = &row.group;
    let named = [
        &group.unit_name,
        &group.business_goal_title,
        &group.responsible_name,
    ];
    let named = named.into_iter().flatten().next().cloned();
    let numbers = [
        row.held,
        row.held_with_follow_up,
        row.held_excepted,
        row.held_without_plan,
        row.ended_not_held,
        row.follow_ups,
        row.upcoming,
        row.due_soon,
        row.overdue,
        row.completed_on_time,
        row.completed_late,
        row.waived,
        row.cancelled,
    ];
    [counted(row), named.unwrap_or_default()]
        .into_iter()
        .chain(numbers.iter().map(i64::to_string))
        .collect()
}

/// The order of the rows: by what they count, age bands from the youngest.
fn key(row: &FollowUpSummaryRow) -> String {
    let band = row.group.age_band;
    band.map_or_else(|| counted(row), |band| format!("{:03}", band.days().0))
}

/// What the row counts.
fn counted(row: &FollowUpSummaryRow) -> String {
    let group = &row.group;
    let keys = [
        group.period.clone(),
        group.unit_id.map(|id| id.to_string()),
        group.kind.map(|kind| name(&kind)),
        group.guideline_goal.clone(),
        group.business_goal_id.map(|id| id.to_string()),
        group.responsible_person.clone(),
        group.age_band.map(|band| name(&band)),
    ];
    keys.into_iter().flatten().next().unwrap_or_default()
}

/// 400 for what no status can be asked of.
fn judge(call: &Call, filter: &FollowUpStatusFilter) -> Result<(), Error> {
    if filter
        .due_from
        .zip(filter.due_to)
        .is_some_and(|(from, to)| to < from)
    {
        let detail = Text::new(
            "dueTo får inte ligga före dueFrom.",
            "dueTo may not be before dueFrom.",
        );
        return Err(wrong("dueTo", "ends-before-start", detail));
    }
    if filter.as_of.is_some_and(|day| day > call.today()) {
        let detail = Text::new(
            "asOf är i dag eller en tidigare dag. Utelämna den för att se läget nu.",
            "asOf is today or an earlier day. Leave it out to see how it stands now.",
        );
        return Err(wrong("asOf", "in-the-future", detail));
    }
    Ok(())
}

fn wrong(parameter: &str, code: &str, detail: Text) -> Error {
    Error::new(Code::InvalidParameter).with(FieldError {
        at: At::Parameter(parameter.to_owned()),
        code: code.to_owned(),
        detail,
    })
}

/// What the caller may see of it, once the units that are asked for are known to exist.
fn reach(
    conn: &mut PgConnection,
    call: &Call,
    filter: &FollowUpStatusFilter,
) -> Result<Reach, Error> {
    let asker = call.asker(conn)?;
    permitted(&asker, Action::List(Reading::Reports))?;
    if let Some(asked) = &filter.unit_id {
        let known = units::queries::known(conn, asked)?;
        if asked.iter().any(|id| !known.contains(id)) {
            let code = Code::UnknownUnit;
            return Err(wrong("unitId", code.as_str(), code.advice()));
        }
    }
    Ok(access::reach(&asker, Reading::Reports))
}
