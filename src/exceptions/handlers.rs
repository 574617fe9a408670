//! Exceptions over HTTP.

use actix_web::web::Data;
use actix_web::{get, post};
use chrono::NaiveDate;
use diesel::pg::PgConnection;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::{
    Authority, Decision, ExceptionRequest, NewDecision, NewExceptionRequest, NewRecordedDecision,
    RequestStatus, StoredRequest, Withdrawal, awaiting, decide, expect_may_decide,
    expect_may_revoke, lock, queries, record, revoke, show, show_all, submit, withdraw,
};
use crate::db::Db;
use crate::error::{Code, Error};
use crate::events::handlers::EventPath;
use crate::events::{self, Event};
use crate::http::answer::Answer;
use crate::http::call::{Call, Json, Path, Query};
use crate::http::paging::{Paging, PagingParameters};
use crate::http::parameters::{IfMatch, IfNoneMatch, expect_period};
use crate::identity::permitted;
use crate::organisation::appointments;
use crate::rules::access::{self, Action, Reading};
use crate::rules::authority::OfficeType;
use crate::{page_of, sort_by};

page_of!(
    /// A page of exception requests.
    ExceptionRequestPage, ExceptionRequest
);
page_of!(
    /// A page of decisions.
    DecisionPage, Decision
);
sort_by!(
    ExceptionRequestSort,
    "decisionNeededBy",
    "-decisionNeededBy",
    "By the day on which a decision is needed."
);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
struct ExceptionRequestPath {
    /// The id of the exception request.
    #[param(example = "0190a000-0000-7000-8000-000000001501")]
    exception_request_id: Uuid,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
struct DecisionPath {
    /// The id of the exception request.
    #[param(example = "0190a000-0000-7000-8000-000000001501")]
    exception_request_id: Uuid,
    /// The id of the decision.
    #[param(example = "0190a000-0000-7000-8000-000000001701")]
    decision_id: Uuid,
}

/// Which exception requests to list; several values of one parameter are separated by commas.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, style = Form)]
pub struct ExceptionRequestFilter {
    /// Only requests in one of these states.
    #[param(required = false, explode = false, min_items = 1, max_items = 10, example = json!(["submitted"]))]
    pub status: Option<Vec<RequestStatus>>,
    /// Only requests put to one of these.
    #[param(required = false, explode = false, min_items = 1, max_items = 10, example = json!(["departmentHead"]))]
    pub addressee: Option<Vec<OfficeType>>,
    /// Only requests about events of these units or units below them.
    #[param(required = false, explode = false, min_items = 1, max_items = 50, example = json!(["0190a000-0000-7000-8000-000000000101"]))]
    pub unit_id: Option<Vec<Uuid>>,
    /// Only requests submitted on this day or later (Stockholm).
    #[param(required = false, example = "2020-01-01")]
    pub from: Option<NaiveDate>,
    /// Only requests submitted on this day or earlier (Stockholm).
    #[param(required = false, example = "2199-12-31")]
    pub to: Option<NaiveDate>,
    /// Only requests that name one of these rules.
    #[param(required = false, explode = false, min_items = 1, max_items = 50, example = json!(["venueLadder"]))]
    pub rule_id: Option<Vec<String>>,
    /// Only requests that wait for a decision that the caller may take now (`true`).
    #[param(required = false, default = false, example = false)]
    #[serde(default)]
    pub awaiting_my_decision: bool,
    /// Only requests that need a decision before this day.
    #[param(required = false, example = "2030-01-01")]
    pub decision_needed_before: Option<NaiveDate>,
    /// Only requests whose event has changed since, or only those whose event has not.
    #[param(required = false, example = false)]
    pub stale: Option<bool>,
    /// The order; `-` is descending.
    #[param(required = false, inline, example = "decisionNeededBy")]
    #[serde(default)]
    pub sort: ExceptionRequestSort,
}

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(list_event_exception_requests)
        .service(create_exception_request)
        .service(list_exception_requests)
        .service(get_exception_request)
        .service(list_decisions)
        .service(create_decision)
        .service(get_decision)
        .service(withdraw_exception_request)
        .service(revoke_exception_request)
        .service(record_decision)
        .configure(super::reports::configure);
}

/// The event and the request, when the caller may read them.
fn readable(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
) -> Result<(Event, StoredRequest), Error> {
    let stored = queries::find(conn, id)?;
    let event = events::queries::load(conn, stored.event_id)?;
    call.may_with_offices(conn, Action::ReadPlanning(&event.facts()))?;
    Ok((event, stored))
}

/// List the exception requests of an event
///
/// Newest first.
#[utoipa::path(
    tag = "exceptions",
    params(EventPath, PagingParameters),
    responses((status = 200, description = "The page of exception requests.", body = ExceptionRequestPage)),
)]
#[get("/kompetens/v1/events/{eventId}/exception-requests")]
async fn list_event_exception_requests(
    call: Call,
    db: Data<Db>,
    Path(path): Path<EventPath>,
    paging: Paging,
) -> Result<Answer, Error> {
    let window = paging.clone();
    let rows = db
        .snapshot(move |conn| {
            let event = events::queries::load(conn, path.event_id)?;
            call.may_with_offices(conn, Action::ReadPlanning(&event.facts()))?;
            let (stored, total) = queries::of_event(conn, event.id, &window)?;
            Ok((show_all(conn, &call, &stored)?, total))
        })
        .await?;
    ExceptionRequestPage::answer(&paging, rows, |row| (row.created_at, row.id))
}

/// Ask for an exception
///
/// Names the rules whose findings are open, why, and what else was considered. Whom it is put to chooses the route: the municipal director
/// alone, or every concerned department head and CEO, each for the own unit, unless the director decides instead.
/// The answer says which approvals it needs. Where nobody in the service may decide, `decidedElsewhere` says so. An open request for one of the
/// rules stands in the way, unless it is stale: then this one takes its place, and it is withdrawn, whoever asked.
#[utoipa::path(
    tag = "exceptions",
    params(EventPath),
    request_body = NewExceptionRequest,
    responses((status = 201, description = "The request was submitted.", body = ExceptionRequest)),
)]
#[post("/kompetens/v1/events/{eventId}/exception-requests")]
async fn create_exception_request(
    call: Call,
    db: Data<Db>,
    Path(path): Path<EventPath>,
    Json(new): Json<NewExceptionRequest>,
) -> Result<Answer, Error> {
    let id = Uuid::now_v7();
    db.write(move |conn| {
        let event = events::queries::load_for_update(conn, path.event_id)?;
        let call = call.authored(
            conn,
            new.on_behalf_of.as_deref(),
            Action::AskException(&event.facts()),
        )?;
        call.once(conn, |conn| {
            let request = submit(conn, &call, id, &event, &new)?;
            Answer::created(
                format!("/exception-requests/{id}"),
                &request,
                request.revision,
            )
        })
    })
    .await
}

/// List exception requests
///
/// The inbox of those who decide, and the overview of those who ask: the next one that needs a decision first.
#[utoipa::path(
    tag = "exceptions",
    params(ExceptionRequestFilter, PagingParameters),
    responses((status = 200, description = "The page of exception requests.", body = ExceptionRequestPage)),
)]
#[get("/kompetens/v1/exception-requests")]
async fn list_exception_requests(
    call: Call,
    db: Data<Db>,
    Query(filter): Query<ExceptionRequestFilter>,
    paging: Paging,
) -> Result<Answer, Error> {
    expect_period(filter.from, filter.to)?;
    let window = paging.clone();
    let rows = db
        .snapshot(move |conn| {
            let asker = call.asker(conn)?;
            permitted(&asker, Action::List(Reading::Planning))?;
            let mine = if filter.awaiting_my_decision {
                let held = appointments::queries::held_by(conn, call.actor.name(), call.today())?;
                let units: Vec<Uuid> = held.iter().map(|office| office.unit_id).collect();
                let open = queries::open_below(conn, &units, call.now)?;
                Some(awaiting(conn, &call, &open)?)
            } else {
                None
            };
            let reach = access::reach(&asker, Reading::Planning);
            let (stored, total) =
                queries::list(conn, &filter, &reach, mine.as_deref(), call.now, &window)?;
            Ok((show_all(conn, &call, &stored)?, total))
        })
        .await?;
    ExceptionRequestPage::answer(&paging, rows, |row| (row.decision_needed_by, row.id))
}

/// Read an exception request
///
/// With the approvals that it needs, the decisions there are, and whether it is stale.
#[utoipa::path(
    tag = "exceptions",
    params(ExceptionRequestPath, IfNoneMatch),
    responses(
        (status = 200, description = "The exception request.", body = ExceptionRequest),
        (status = 304, description = "The caller's copy is current."),
    ),
)]
#[get("/kompetens/v1/exception-requests/{exceptionRequestId}")]
async fn get_exception_request(
    call: Call,
    db: Data<Db>,
    Path(path): Path<ExceptionRequestPath>,
) -> Result<Answer, Error> {
    let request = db
        .snapshot(move |conn| {
            let (event, stored) = readable(conn, &call, path.exception_request_id)?;
            let authority = Authority::read(conn, &call, &event)?;
            show(conn, &call, &stored, &authority)
        })
        .await?;
    Answer::ok(&request, request.revision)
}

/// List the decisions on an exception request
///
/// In order of time.
#[utoipa::path(
    tag = "exceptions",
    params(ExceptionRequestPath, PagingParameters),
    responses((status = 200, description = "The page of decisions.", body = DecisionPage)),
)]
#[get("/kompetens/v1/exception-requests/{exceptionRequestId}/decisions")]
async fn list_decisions(
    call: Call,
    db: Data<Db>,
    Path(path): Path<ExceptionRequestPath>,
    paging: Paging,
) -> Result<Answer, Error> {
    let window = paging.clone();
    let rows = db
        .snapshot(move |conn| {
            let (_, stored) = readable(conn, &call, path.exception_request_id)?;
            queries::list_decisions(conn, stored.id, &window)
        })
        .await?;
    DecisionPage::answer(&paging, rows, |row| (row.decided_at, row.id))
}

/// Read a decision
///
/// A decision never changes; it shows the office, the unit, the person and the capacity of that moment.
#[utoipa::path(
    tag = "exceptions",
    params(DecisionPath),
    responses((status = 200, description = "The decision.", body = Decision)),
)]
#[get("/kompetens/v1/exception-requests/{exceptionRequestId}/decisions/{decisionId}")]
async fn get_decision(
    call: Call,
    db: Data<Db>,
    Path(path): Path<DecisionPath>,
) -> Result<Answer, Error> {
    let decision = db
        .snapshot(move |conn| {
            let (_, stored) = readable(conn, &call, path.exception_request_id)?;
            queries::find_decision(conn, stored.id, path.decision_id)
        })
        .await?;
    Answer::plain(&decision)
}

/// Decide an exception request
///
/// By an office that the caller holds at this moment by appointment: the concerned department heads and CEOs, each for the own unit,
/// or the municipal director. Never by the requester or the event's responsible person, and only before the event starts.
#[utoipa::path(
    tag = "exceptions",
    params(ExceptionRequestPath),
    request_body = NewDecision,
    responses((status = 201, description = "The decision was taken.", body = Decision)),
)]
#[post("/kompetens/v1/exception-requests/{exceptionRequestId}/decisions")]
async fn create_decision(
    call: Call,
    db: Data<Db>,
    Path(path): Path<ExceptionRequestPath>,
    Json(new): Json<NewDecision>,
) -> Result<Answer, Error> {
    let id = Uuid::now_v7();
    db.write(move |conn| {
        let (event, stored) = lock(conn, path.exception_request_id)?;
        expect_may_decide(conn, &call, (&event, &stored), new.office_appointment_id)?;
        call.once(conn, |conn| {
            let decision = decide(conn, &call, id, (&event, &stored), &new)?;
            Answer::created(
                format!("/exception-requests/{}/decisions/{id}", stored.id),
                &decision,
                1,
            )
        })
    })
    .await
}

/// Withdraw an exception request
///
/// The requester takes it back while it is open. Without a body, or `{}`; an integration names the requester in `onBehalfOf`.
#[utoipa::path(
    tag = "exceptions",
    params(ExceptionRequestPath, IfMatch),
    request_body = Option<Withdrawal>,
    responses((status = 200, description = "The request, withdrawn.", body = ExceptionRequest)),
)]
#[post("/kompetens/v1/exception-requests/{exceptionRequestId}/withdrawal")]
async fn withdraw_exception_request(
    call: Call,
    db: Data<Db>,
    Path(path): Path<ExceptionRequestPath>,
    Json(withdrawal): Json<Withdrawal>,
) -> Result<Answer, Error> {
    db.write(move |conn| {
        let (event, stored) = lock(conn, path.exception_request_id)?;
        let call = call.authored(
            conn,
            withdrawal.on_behalf_of.as_deref(),
            Action::WithdrawException {
                event: &event.facts(),
                requester: &stored.requested_by,
            },
        )?;
        call.once(conn, |conn| {
            call.expect_revision(stored.revision)?;
            let request = withdraw(conn, &call, &event, &stored)?;
            Answer::ok(&request, request.revision)
        })
    })
    .await
}

/// Revoke an approval
///
/// An office that approved, or the municipal director, takes the approval back before the event starts. A confirmed event stays confirmed
/// and shows the findings that open again.
#[utoipa::path(
    tag = "exceptions",
    params(ExceptionRequestPath, IfMatch),
    responses((status = 200, description = "The request, revoked.", body = ExceptionRequest)),
)]
#[post("/kompetens/v1/exception-requests/{exceptionRequestId}/revocation")]
async fn revoke_exception_request(
    call: Call,
    db: Data<Db>,
    Path(path): Path<ExceptionRequestPath>,
) -> Result<Answer, Error> {
    db.write(move |conn| {
        let (event, stored) = lock(conn, path.exception_request_id)?;
        expect_may_revoke(conn, &call, (&event, &stored))?;
        call.once(conn, |conn| {
            call.expect_revision(stored.revision)?;
            let request = revoke(conn, &call, &event, &stored)?;
            Answer::ok(&request, request.revision)
        })
    })
    .await
}

/// Record a decision taken elsewhere
///
/// For a request that nobody in the service may decide, such as the municipal director's own. An HR administrator who is neither requester
/// nor responsible records what was decided, by whom and where it can be read, before the event starts. Recording is not deciding.
#[utoipa::path(
    tag = "exceptions",
    params(ExceptionRequestPath, IfMatch),
    request_body = NewRecordedDecision,
    responses((status = 200, description = "The request with the recorded decision.", body = ExceptionRequest)),
)]
#[post("/kompetens/v1/exception-requests/{exceptionRequestId}/recorded-decision")]
async fn record_decision(
    call: Call,
    db: Data<Db>,
    Path(path): Path<ExceptionRequestPath>,
    Json(new): Json<NewRecordedDecision>,
) -> Result<Answer, Error> {
    db.write(move |conn| {
        let (event, stored) = lock(conn, path.exception_request_id)?;
        call.may_with_offices(conn, Action::RecordDecision(&event.facts()))?;
        if [stored.requested_by.as_str(), &event.responsible_person].contains(&call.actor.name()) {
            return Err(Error::new(Code::OwnRequest));
        }
        call.once(conn, |conn| {
            call.expect_revision(stored.revision)?;
            let request = record(conn, &call, (&event, &stored), &new)?;
            Answer::ok(&request, request.revision)
        })
    })
    .await
}
