//! Reporting of delegated decisions to the boards (anmälan av delegationsbeslut): which there are, and each reported once.

use actix_web::web::Data;
use actix_web::{Either, HttpResponse, get, post};
use chrono::{DateTime, NaiveDate, Utc};
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use crate::changes::{self, Change, Operation, ResourceType};
use crate::db::Db;
use crate::db::schema::{decision_reports, delegated_decision_details};
use crate::error::{Code, Error};
use crate::guideline::Text;
use crate::http::answer::Answer;
use crate::http::call::{Call, Json, Path, Query};
use crate::http::csv::{self, WantsCsv};
use crate::http::json_text::name;
use crate::http::paging::{Paging, PagingParameters};
use crate::http::parameters::{IfNoneMatch, expect_period};
use crate::identity::permitted;
use crate::organisation::appointments::Capacity;
use crate::rules::Fault;
use crate::rules::access::{self, Action, Reading};
use crate::rules::authority::{OfficeType, Outcome};
use crate::{page_of, sort_by};

/// A decision by delegation, with the board that it is reported to.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = delegated_decision_details, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct DelegatedDecision {
    /// The id of the decision.
    #[schema(example = "0190a000-0000-7000-8000-000000001701")]
    pub id: Uuid,
    /// The request that was decided.
    #[diesel(column_name = request_id)]
    #[schema(example = "0190a000-0000-7000-8000-000000001501")]
    pub exception_request_id: Uuid,
    /// The event.
    #[schema(example = "0190a000-0000-7000-8000-000000001001")]
    pub event_id: Uuid,
    /// What the event is called.
    #[schema(example = "Planeringsdag för förskolan")]
    pub event_title: String,
    /// The rules excepted from.
    #[schema(example = json!(["venueLadder"]))]
    pub rule_ids: Vec<String>,
    /// The office that decided.
    #[diesel(column_name = office_type)]
    #[schema(example = "departmentHead")]
    pub office: OfficeType,
    /// The unit whose office it is.
    #[schema(example = "0190a000-0000-7000-8000-000000000101")]
    pub unit_id: Uuid,
    /// The board that it is reported to: the unit's, or that of the nearest unit above.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Bildningsnämnden")]
    pub board: Option<String>,
    /// Who decided.
    #[schema(example = "person-0002")]
    pub person_ref: String,
    /// In which capacity.
    #[schema(example = "ordinary")]
    pub capacity: Capacity,
    /// Approved or rejected.
    #[schema(example = "approved")]
    pub outcome: Outcome,
    /// Why.
    #[schema(example = "Lokalerna räcker inte och resan blir kort.")]
    pub reasons: String,
    /// Under which conditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Samåkning ordnas.")]
    pub conditions: Option<String>,
    /// When.
    #[schema(example = "2026-09-10T08:00:00Z")]
    pub decided_at: DateTime<Utc>,
    /// The report that it was reported with; absent while it is to be reported.
    #[diesel(column_name = report_id)]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0190a000-0000-7000-8000-000000001801")]
    pub decision_report_id: Option<Uuid>,
    /// The meeting that it was reported to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-10-20")]
    pub meeting_date: Option<NaiveDate>,
}

/// Delegated decisions reported to a board's meeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionReport {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000001801")]
    pub id: Uuid,
    /// A report never changes: always 1.
    #[schema(example = 1)]
    pub revision: i32,
    /// The board.
    #[schema(example = "Bildningsnämnden")]
    pub board: String,
    /// The first day of the period.
    #[schema(example = "2026-09-01")]
    pub from: NaiveDate,
    /// The last day of the period.
    #[schema(example = "2026-09-30")]
    pub to: NaiveDate,
    /// The day of the meeting.
    #[schema(example = "2026-10-20")]
    pub meeting_date: NaiveDate,
    /// The decisions that were reported, in order of time.
    pub decisions: Vec<DelegatedDecision>,
    /// Who reported them.
    #[schema(example = "person-0001")]
    pub created_by: String,
    /// When.
    #[schema(example = "2026-10-01T08:00:00Z")]
    pub created_at: DateTime<Utc>,
}

/// A report to make: every delegated decision of the board and period that was not reported before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewDecisionReport {
    /// The board.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"\S",
        example = "Bildningsnämnden"
    )]
    pub board: String,
    /// The first day of the period (Stockholm).
    #[schema(example = "2026-09-01")]
    pub from: NaiveDate,
    /// The last day of the period (Stockholm).
    #[schema(example = "2026-09-30")]
    pub to: NaiveDate,
    /// The day of the meeting.
    #[schema(example = "2026-10-20")]
    pub meeting_date: NaiveDate,
}

page_of!(
    /// A page of delegated decisions.
    DelegatedDecisionPage, DelegatedDecision
);
sort_by!(
    DelegatedDecisionSort,
    "decidedAt",
    "-decidedAt",
    "By the time of the decision."
);

#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct DelegatedDecisionFilter {
    /// Only decisions that are reported to this board.
    #[param(
        required = false,
        min_length = 1,
        max_length = 200,
        example = "Bildningsnämnden"
    )]
    board: Option<String>,
    /// Only decisions of this day or later (Stockholm).
    #[param(required = false, example = "2020-01-01")]
    from: Option<NaiveDate>,
    /// Only decisions of this day or earlier (Stockholm).
    #[param(required = false, example = "2199-12-31")]
    to: Option<NaiveDate>,
    /// Only decisions reported to the meeting of this day.
    #[param(required = false, example = "2026-10-20")]
    meeting_date: Option<NaiveDate>,
    /// Only decisions that have been reported, or only those that have not.
    #[param(required = false, example = false)]
    reported: Option<bool>,
    /// As CSV: for Excel in Swedish, with a byte order mark and semicolons.
    #[param(required = false, default = false, example = false)]
    #[serde(default)]
    excel: bool,
    /// The order; `-` is descending.
    #[param(required = false, inline, example = "decidedAt")]
    #[serde(default)]
    sort: DelegatedDecisionSort,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
struct DecisionReportPath {
    /// The id of the report.
    #[param(example = "0190a000-0000-7000-8000-000000001801")]
    decision_report_id: Uuid,
}

/// Registers the operations.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(list_delegated_decisions)
        .service(create_decision_report)
        .service(get_decision_report);
}

/// List delegated decisions
///
/// Those decisions that the guideline version's settings call delegated, which are to be reported to a board. As CSV with `Accept: text/csv`:
/// all that match and not a page, sent as they are read.
#[utoipa::path(
    tag = "exceptions",
    params(DelegatedDecisionFilter, PagingParameters),
    responses((status = 200, description = "The page of delegated decisions.", content(
        (DelegatedDecisionPage = "application/json"),
        (String = "text/csv", example = "decidedAt,board,office\r\n2026-09-10T08:00:00Z,Bildningsnämnden,departmentHead\r\n"),
    ))),
)]
#[get("/kompetens/v1/decision-reports")]
async fn list_delegated_decisions(
    call: Call,
    db: Data<Db>,
    Query(filter): Query<DelegatedDecisionFilter>,
    paging: Paging,
    WantsCsv(as_csv): WantsCsv,
) -> Result<Either<Answer, HttpResponse>, Error> {
    expect_period(filter.from, filter.to)?;
    let excel = filter.excel;
    let read = move |window: Paging| {
        let (db, call, filter) = (db.clone(), call.clone(), filter.clone());
        async move {
            db.snapshot(move |conn| {
                let asker = call.asker(conn)?;
                permitted(&asker, Action::List(Reading::Reports))?;
                let reach = access::reach(&asker, Reading::Reports);
                queries::list(conn, &filter, &reach, &window)
            })
            .await
        }
    };
    let key = |row: &DelegatedDecision| (row.decided_at, row.id);
    if as_csv {
        let table = csv::stream(&COLUMNS, cells, excel, paging, key, read).await?;
        return Ok(Either::Right(table));
    }
    let rows = read(paging.clone()).await?;
    DelegatedDecisionPage::answer(&paging, rows, key).map(Either::Left)
}

const COLUMNS: [&str; 12] = [
    "decidedAt",
    "board",
    "office",
    "unitId",
    "personRef",
    "capacity",
    "outcome",
    "eventTitle",
    "ruleIds",
    "reasons",
    "conditions",
    "meetingDate",
];

fn cells(row: &DelegatedDecision) -> Vec<String> {
    vec![
        row.decided_at
            .to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        row.board.clone().unwrap_or_default(),
        name(&row.office),
        row.unit_id.to_string(),
        row.person_ref.clone(),
        name(&row.capacity),
        name(&row.outcome),
        row.event_title.clone(),
        row.rule_ids.join(" "),
        row.reasons.clone(),
        row.conditions.clone().unwrap_or_default(),
        row.meeting_date
            .map(|day| day.to_string())
            .unwrap_or_default(),
    ]
}

/// Report delegated decisions to a board
///
/// Marks every delegated decision of the board and period that was not reported before, once and for all; 409 `nothing-to-report`
/// when there is none. Only HR administrators may.
#[utoipa::path(
    tag = "exceptions",
    request_body = NewDecisionReport,
    responses((status = 201, description = "The decisions were reported.", body = DecisionReport)),
)]
#[post("/kompetens/v1/decision-reports")]
async fn create_decision_report(
    call: Call,
    db: Data<Db>,
    Json(new): Json<NewDecisionReport>,
) -> Result<Answer, Error> {
    if new.to < new.from {
        let detail = Text::new("to får inte ligga före from.", "to may not be before from.");
        return Err(Error::faults(
            Code::InvalidBody,
            vec![Fault::new("/to", "ends-before-start", detail)],
        ));
    }
    let id = Uuid::now_v7();
    db.write(move |conn| {
        call.may(Action::ReportDecisions)?;
        call.once(conn, |conn| {
            let report = report(conn, &call, id, &new)?;
            Answer::created(format!("/decision-reports/{id}"), &report, report.revision)
        })
    })
    .await
}

/// Read a report of delegated decisions
///
/// With the decisions that were reported.
#[utoipa::path(
    tag = "exceptions",
    params(DecisionReportPath, IfNoneMatch),
    responses((status = 200, description = "The report.", body = DecisionReport), (status = 304, description = "The caller's copy is current.")),
)]
#[get("/kompetens/v1/decision-reports/{decisionReportId}")]
async fn get_decision_report(
    call: Call,
    db: Data<Db>,
    Path(path): Path<DecisionReportPath>,
) -> Result<Answer, Error> {
    let report = db
        .snapshot(move |conn| {
            call.may(Action::ReadDecisionReport)?;
            queries::find(conn, path.decision_report_id)
        })
        .await?;
    Answer::ok(&report, report.revision)
}

/// Reports what is to be reported of a board's period; 409 when nothing is.
pub fn report(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    new: &NewDecisionReport,
) -> Result<DecisionReport, Error> {
    if queries::insert(conn, call, id, new)? == 0 {
        return Err(Error::new(Code::NothingToReport));
    }
    let report = queries::find(conn, id)?;
    let change = Change {
        operation: Operation::Create,
        resource: ResourceType::DecisionReport,
        id,
        revision: report.revision,
        event_id: None,
        before: None,
        after: Some(&report),
    };
    changes::append(conn, call, &change)?;
    Ok(report)
}

mod queries {
    use super::*;
    use crate::db::schema::{decision_report_entries as entries, event_organisers, units};
    use crate::rules::access::Reach;
    use crate::rules::calendar;
    use crate::window;
    use delegated_decision_details as details;
    use diesel::dsl::exists;

    /// The moments of a period of days.
    fn moments(
        from: Option<NaiveDate>,
        to: Option<NaiveDate>,
    ) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        (
            from.map(calendar::start_of_day),
            to.and_then(|day| day.succ_opt())
                .map(calendar::start_of_day),
        )
    }

    pub(super) fn list(
        conn: &mut PgConnection,
        filter: &DelegatedDecisionFilter,
        reach: &Reach,
        paging: &Paging,
    ) -> Result<(Vec<DelegatedDecision>, Option<i64>), Error> {
        let matching = || {
            let mut query = details::table.into_boxed();
            if let Reach::Part {
                units: exact,
                subtrees,
                ..
            } = reach
            {
                let exact: Vec<Uuid> = exact.iter().copied().collect();
                let subtrees: Vec<Uuid> = subtrees.iter().copied().collect();
                query = query.filter(exists(
                    event_organisers::table
                        .inner_join(units::table)
                        .filter(event_organisers::event_id.eq(details::event_id))
                        .filter(
                            event_organisers::unit_id
                                .eq_any(exact)
                                .or(units::path.overlaps_with(subtrees)),
                        ),
                ));
            }
            if let Some(board) = &filter.board {
                query = query.filter(details::board.eq(board));
            }
            let (from, to) = moments(filter.from, filter.to);
            if let Some(from) = from {
                query = query.filter(details::decided_at.ge(from));
            }
            if let Some(to) = to {
                query = query.filter(details::decided_at.lt(to));
            }
            if let Some(day) = filter.meeting_date {
                query = query.filter(details::meeting_date.eq(day));
            }
            match filter.reported {
                Some(true) => query.filter(details::report_id.is_not_null()),
                Some(false) => query.filter(details::report_id.is_null()),
                None => query,
            }
        };
        let total = paging.total(|| matching().count().get_result(conn))?;
        let query = matching().select(DelegatedDecision::as_select());
        let rows = window!(
            query,
            paging,
            filter.sort.is_descending(),
            details::decided_at,
            details::id,
            DateTime<Utc>
        )
        .load(conn)?;
        Ok((rows, total))
    }

    /// Stores a report of what is to be reported, and says how many decisions it holds. A decision that another report
    /// takes meanwhile breaks a key, so that each is reported once.
    pub(super) fn insert(
        conn: &mut PgConnection,
        call: &Call,
        id: Uuid,
        new: &NewDecisionReport,
    ) -> Result<usize, Error> {
        let (from, to) = moments(Some(new.from), Some(new.to));
        let ids: Vec<Uuid> = details::table
            .filter(details::report_id.is_null())
            .filter(details::board.eq(&new.board))
            .filter(details::decided_at.ge(from.unwrap_or_default()))
            .filter(details::decided_at.lt(to.unwrap_or_default()))
            .order(details::id)
            .select(details::id)
            .load(conn)?;
        if ids.is_empty() {
            return Ok(0);
        }
        diesel::insert_into(decision_reports::table)
            .values((
                decision_reports::id.eq(id),
                decision_reports::board.eq(&new.board),
                decision_reports::period_from.eq(new.from),
                decision_reports::period_to.eq(new.to),
                decision_reports::meeting_date.eq(new.meeting_date),
                decision_reports::created_by.eq(call.author()),
                decision_reports::created_at.eq(call.now),
            ))
            .execute(conn)?;
        let rows: Vec<_> = ids
            .iter()
            .map(|decision| {
                (
                    entries::decision_id.eq(*decision),
                    entries::report_id.eq(id),
                )
            })
            .collect();
        Ok(diesel::insert_into(entries::table)
            .values(rows)
            .on_conflict_do_nothing()
            .execute(conn)?)
    }

    pub(super) fn find(conn: &mut PgConnection, id: Uuid) -> Result<DecisionReport, Error> {
        let (board, from, to, meeting_date, created_by, created_at) = decision_reports::table
            .find(id)
            .select((
                decision_reports::board,
                decision_reports::period_from,
                decision_reports::period_to,
                decision_reports::meeting_date,
                decision_reports::created_by,
                decision_reports::created_at,
            ))
            .first(conn)?;
        let decisions = details::table
            .filter(details::report_id.eq(id))
            .order((details::decided_at, details::id))
            .select(DelegatedDecision::as_select())
            .load(conn)?;
        Ok(DecisionReport {
            id,
            revision: 1,
            board,
            from,
            to,
            meeting_date,
            decisions,
            created_by,
            created_at,
        })
    }
}
