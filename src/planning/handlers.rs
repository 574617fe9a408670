//! Planning answers, compliance and baselines over HTTP.

use actix_web::web::Data;
use actix_web::{get, put};
use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::queries::{self, AnswerRevision, Baseline};
use super::{GivenAnswer, Plan, PlanningItem, answer};
use crate::db::Db;
use crate::error::{Code, Error};
use crate::events::handlers::EventPath;
use crate::events::{self, Event, Organisers, status};
use crate::guideline::Text;
use crate::http::answer::Answer;
use crate::http::call::{Call, Json, Path};
use crate::http::paging::{Paging, PagingParameters};
use crate::http::parameters::{IfNoneMatch, PutPreconditions};
use crate::page_of;
use crate::rules::access::Action;
use crate::rules::advice;
use crate::rules::answers::PlanningAnswer;
use crate::rules::calendar;
use crate::rules::compliance::{self, Finding};

page_of!(
    /// A page of the revisions of an answer.
    AnswerRevisionPage, AnswerRevision
);
page_of!(
    /// A page of baselines.
    BaselinePage, Baseline
);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
struct AnswerPath {
    /// The id of the event.
    #[param(example = "0190a000-0000-7000-8000-000000001001")]
    event_id: Uuid,
    /// The id of the question in the event's guideline version.
    #[param(
        min_length = 1,
        max_length = 64,
        pattern = "^[A-Za-z][A-Za-z0-9]*$",
        example = "purpose"
    )]
    question_id: String,
}

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(list_planning_answers)
        .service(get_planning_answer)
        .service(put_planning_answer)
        .service(list_answer_revisions)
        .service(get_compliance)
        .service(get_baseline)
        .service(list_baselines);
}

/// The event, when the caller may read what is planned for it.
fn readable(conn: &mut PgConnection, call: &Call, event_id: Uuid) -> Result<Event, Error> {
    let event = events::queries::load(conn, event_id)?;
    call.may_with_offices(conn, Action::ReadPlanning(&event.facts()))?;
    Ok(event)
}

/// All questions of an event with their answers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PlanningAnswers {
    /// Every question that applies, in the guideline's order.
    items: Vec<PlanningItem>,
    /// For how many of them nothing more is to be answered now.
    #[schema(example = 3)]
    answered: usize,
    /// How many there are.
    #[schema(example = 14)]
    total: usize,
}

/// List the planning questions of an event with their answers
///
/// Every question of the event's guideline version that applies to its organisers. The question of kind `followUps` counts as answered
/// once a follow-up is planned, the question of kind `reason` unless the venue asks for a reason that is missing, an attestation answered no
/// once its reason is given.
#[utoipa::path(
    tag = "planning",
    params(EventPath, IfNoneMatch),
    responses(
        (status = 200, description = "The questions and answers.", body = PlanningAnswers),
        (status = 304, description = "The caller's copy is current."),
    ),
)]
#[get("/kompetens/v1/events/{eventId}/planning-answers")]
async fn list_planning_answers(
    call: Call,
    db: Data<Db>,
    Path(path): Path<EventPath>,
) -> Result<Answer, Error> {
    let (event, plan) = db
        .snapshot(move |conn| {
            let event = readable(conn, &call, path.event_id)?;
            let plan = Plan::load(conn, &event)?;
            Ok((event, plan))
        })
        .await?;
    let items = plan.items();
    let findings = plan.findings();
    let answered = items
        .iter()
        .filter(|item| compliance::is_settled(&item.question, &findings))
        .count();
    let total = items.len();
    Answer::ok(
        &PlanningAnswers {
            items,
            answered,
            total,
        },
        event.revision,
    )
}

/// Read the answer to a planning question
///
/// The answer that stands, with its own revision; 404 while there is none.
#[utoipa::path(
    tag = "planning",
    params(AnswerPath, IfNoneMatch),
    responses((status = 200, description = "The answer.", body = GivenAnswer), (status = 304, description = "The caller's copy is current.")),
)]
#[get("/kompetens/v1/events/{eventId}/planning-answers/{questionId}")]
async fn get_planning_answer(
    call: Call,
    db: Data<Db>,
    Path(path): Path<AnswerPath>,
) -> Result<Answer, Error> {
    let given = db
        .snapshot(move |conn| {
            let event = readable(conn, &call, path.event_id)?;
            queries::find_answer(conn, event.id, &path.question_id)
        })
        .await?;
    Answer::ok(&given, given.revision)
}

/// Answer a planning question
///
/// The first answer needs no precondition, or `If-None-Match: *`; a changed one needs `If-Match` with the answer's ETag.
/// Only the fields of the question's kind are allowed. An equal answer changes nothing.
#[utoipa::path(
    tag = "planning",
    params(AnswerPath, PutPreconditions),
    request_body(content = PlanningAnswer, example = json!({"text": "Alla ska arbeta på samma sätt med inskolningen."})),
    responses(
        (status = 200, description = "The answer as it stands.", body = GivenAnswer),
        (status = 201, description = "The first answer to the question.", body = GivenAnswer),
    ),
)]
#[put("/kompetens/v1/events/{eventId}/planning-answers/{questionId}")]
async fn put_planning_answer(
    call: Call,
    db: Data<Db>,
    Path(path): Path<AnswerPath>,
    Json(given): Json<PlanningAnswer>,
) -> Result<Answer, Error> {
    let id = Uuid::now_v7();
    db.write(move |conn| {
        let event = events::queries::load_for_update(conn, path.event_id)?;
        call.may_with_offices(conn, Action::EditPlanning(&event.facts()))?;
        let (given, is_new) = answer(conn, &call, &event, &path.question_id, id, &given)?;
        if is_new {
            Answer::created(
                format!(
                    "/events/{}/planning-answers/{}",
                    path.event_id, path.question_id
                ),
                &given,
                given.revision,
            )
        } else {
            Answer::ok(&given, given.revision)
        }
    })
    .await
}

/// List the revisions of an answer
///
/// Every answer that was given to the question, newest first.
#[utoipa::path(
    tag = "planning",
    params(AnswerPath, PagingParameters),
    responses((status = 200, description = "The page of revisions.", body = AnswerRevisionPage)),
)]
#[get("/kompetens/v1/events/{eventId}/planning-answers/{questionId}/revisions")]
async fn list_answer_revisions(
    call: Call,
    db: Data<Db>,
    Path(path): Path<AnswerPath>,
    paging: Paging,
) -> Result<Answer, Error> {
    let window = paging.clone();
    let rows = db
        .snapshot(move |conn| {
            let event = readable(conn, &call, path.event_id)?;
            queries::answer_revisions(conn, event.id, &path.question_id, &window)
        })
        .await?;
    AnswerRevisionPage::answer(&paging, rows, |row| (row.revision, row.answer_id))
}

/// What an event still lacks.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Compliance {
    /// The event.
    #[schema(example = "0190a000-0000-7000-8000-000000001001")]
    event_id: Uuid,
    /// The guideline version that it is judged by.
    #[schema(example = "016f5e66-e800-7000-8000-000000002083")]
    guideline_version_id: Uuid,
    /// One finding per rule, in the guideline's order.
    items: Vec<ComplianceItem>,
    /// Could the event be confirmed now?
    #[schema(example = false)]
    confirmable: bool,
    /// When the findings were kept: at holding or cancelling. Absent while they are computed anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-10-06T08:00:00Z")]
    as_of: Option<DateTime<Utc>>,
}

/// What the guideline says of one rule.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ComplianceItem {
    /// The rule: `question.<id>` or `venueLadder`.
    #[schema(example = "question.purpose")]
    rule_id: String,
    /// How it stands.
    #[schema(example = "answerNeeded")]
    finding: Finding,
    /// Where the guideline says so.
    section: Text,
    /// What to do now.
    text: Text,
    /// The rung of the venue ladder that the event stands on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "procuredLocal")]
    rung_id: Option<String>,
    /// The exception request that covers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0190a000-0000-7000-8000-000000001501")]
    exception_request_id: Option<Uuid>,
}

/// Read what an event still lacks
///
/// One finding per rule of the event's guideline version, with what to do now. Computed whenever it is read; from holding on,
/// and for a cancelled event, the findings as they were kept then.
#[utoipa::path(
    tag = "planning",
    params(EventPath, IfNoneMatch),
    responses((status = 200, description = "The findings.", body = Compliance), (status = 304, description = "The caller's copy is current.")),
)]
#[get("/kompetens/v1/events/{eventId}/compliance")]
async fn get_compliance(
    call: Call,
    db: Data<Db>,
    Path(path): Path<EventPath>,
) -> Result<Answer, Error> {
    let (event, plan, covered, now) = db
        .snapshot(move |conn| {
            let event = readable(conn, &call, path.event_id)?;
            let plan = Plan::load(conn, &event)?;
            let organisers = Organisers::read(conn, &event.organising_unit_ids)?;
            let days = calendar::event_days(event.first_start, event.last_end);
            let covered = event
                .organising_unit_ids
                .iter()
                .all(|id| organisers.covers(*id, &days));
            Ok((event, plan, covered, call.now))
        })
        .await?;
    let findings = match &event.kept_findings {
        Some(kept) => kept.0.clone(),
        None => plan.findings(),
    };
    let confirmable = event.kept_findings.is_none()
        && status::confirmable(&event, &plan, &findings, covered, now);
    let items = findings
        .into_iter()
        .map(|finding| {
            let advice = advice::advise(&plan.version.questions, &plan.version.ladder, &finding);
            ComplianceItem {
                rule_id: finding.rule_id,
                finding: finding.finding,
                section: advice.section,
                text: advice.text,
                rung_id: finding.rung_id,
                exception_request_id: finding.exception_request_id,
            }
        })
        .collect();
    let compliance = Compliance {
        event_id: event.id,
        guideline_version_id: event.guideline_version_id,
        items,
        confirmable,
        as_of: event.kept_at,
    };
    Answer::ok(&compliance, event.revision)
}

/// Read the latest baseline of an event
///
/// The answers and follow-ups as they stood when the event was last confirmed; 404 `no-baseline` before.
#[utoipa::path(
    tag = "planning",
    params(EventPath),
    responses((status = 200, description = "The baseline.", body = Baseline)),
)]
#[get("/kompetens/v1/events/{eventId}/baseline")]
async fn get_baseline(
    call: Call,
    db: Data<Db>,
    Path(path): Path<EventPath>,
) -> Result<Answer, Error> {
    let baseline = db
        .snapshot(move |conn| {
            let event = readable(conn, &call, path.event_id)?;
            queries::latest_baseline(conn, event.id)
        })
        .await?;
    Answer::plain(&baseline.ok_or(Error::new(Code::NoBaseline))?)
}

/// List the baselines of an event
///
/// One for each confirmation, newest first.
#[utoipa::path(
    tag = "planning",
    params(EventPath, PagingParameters),
    responses((status = 200, description = "The page of baselines.", body = BaselinePage)),
)]
#[get("/kompetens/v1/events/{eventId}/baselines")]
async fn list_baselines(
    call: Call,
    db: Data<Db>,
    Path(path): Path<EventPath>,
    paging: Paging,
) -> Result<Answer, Error> {
    let window = paging.clone();
    let rows = db
        .snapshot(move |conn| {
            let event = readable(conn, &call, path.event_id)?;
            queries::event_baselines(conn, event.id, &window)
        })
        .await?;
    BaselinePage::answer(&paging, rows, |row| (row.confirmed_at, row.id))
}
