//! Events over HTTP.

use actix_web::web::Data;
use actix_web::{get, patch, post};
use chrono::{DateTime, NaiveDate, Utc};
use diesel::pg::PgConnection;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::status::{self, NewStatusChange, StatusChange};
use super::{
    Event, EventContent, NewEvent, Organisers, Participants, change, create, expect_may_create,
    queries,
};
use crate::db::Db;
use crate::error::{At, Code, Error, FieldError};
use crate::guideline::Text;
use crate::http::answer::Answer;
use crate::http::call::{Call, Json, Path, Query};
use crate::http::paging::{Paging, PagingParameters};
use crate::http::parameters::{IfMatch, IfNoneMatch, expect_period};
use crate::rules::access::{Action, Reading};
use crate::rules::compliance::Finding;
use crate::rules::lifecycle::EventStatus;
use crate::rules::scope::{self, EventKind, OutsideReason, ProposedArranger, ProposedKind};
use crate::{page_of, patch_of};

page_of!(
    /// A page of events.
    EventPage, Event
);
page_of!(
    /// A page of status changes.
    StatusChangePage, StatusChange
);
patch_of!(
    ParticipantsPatch,
    Participants,
    "Changes to how many take part.",
    {"total": 45}
);
patch_of!(
    EventPatch,
    EventContent,
    "Changes to an event. Of a held or closed event only actual participants, actual cost and registry number can be changed.",
    {"title": "Planeringsdag för förskola och fritidshem", "estimatedCost": null},
    "expectedParticipants": ParticipantsPatch,
    "actualParticipants": ParticipantsPatch
);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
pub struct EventPath {
    /// The id of the event.
    #[param(example = "0190a000-0000-7000-8000-000000001001")]
    pub event_id: Uuid,
}

/// Which events to list; several values of one parameter are separated by commas.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, style = Form)]
pub struct EventFilter {
    /// Only events in one of these statuses.
    #[param(required = false, explode = false, min_items = 1, max_items = 10, example = json!(["draft", "confirmed"]))]
    pub status: Option<Vec<EventStatus>>,
    /// Only events of one of these kinds.
    #[param(required = false, explode = false, min_items = 1, max_items = 10, example = json!(["planningDay"]))]
    pub kind: Option<Vec<EventKind>>,
    /// Only events that one of these units organises.
    #[param(required = false, explode = false, min_items = 1, max_items = 50, example = json!(["0190a000-0000-7000-8000-000000000101"]))]
    pub unit_id: Option<Vec<Uuid>>,
    /// Count the units below them too.
    #[param(required = false, default = true, example = true)]
    #[serde(default = "yes")]
    pub include_subtree: bool,
    /// Only events that one of these people answers for.
    #[param(required = false, explode = false, min_items = 1, max_items = 50, example = json!(["person-0003"]))]
    pub responsible_person: Option<Vec<String>>,
    /// Only events with an occasion on or after this day (Stockholm).
    #[param(required = false, example = "2020-01-01")]
    pub from: Option<NaiveDate>,
    /// Only events with an occasion on or before this day (Stockholm).
    #[param(required = false, example = "2199-12-31")]
    pub to: Option<NaiveDate>,
    /// Only events that contribute to one of these business goals. It is an answer: only events whose planning the caller may read.
    #[param(required = false, explode = false, min_items = 1, max_items = 50, example = json!(["0190a000-0000-7000-8000-000000000401"]))]
    pub business_goal_id: Option<Vec<Uuid>>,
    /// Only events that contribute to one of these goals of the guideline. It is an answer: only events whose planning the caller may read.
    #[param(required = false, explode = false, min_items = 1, max_items = 50, example = json!(["improveOperations"]))]
    pub guideline_goal: Option<Vec<String>>,
    /// Only drafts and confirmed events whose last occasion has not ended and that have such a finding now.
    #[param(required = false, explode = false, min_items = 1, max_items = 10, example = json!(["answerNeeded"]))]
    pub finding: Option<Vec<Finding>>,
    /// Only events imported from this system.
    #[param(
        required = false,
        min_length = 1,
        max_length = 100,
        example = "hr-system"
    )]
    pub source_system: Option<String>,
    /// Only the event with this id in its source system.
    #[param(required = false, min_length = 1, max_length = 100, example = "4711")]
    pub external_id: Option<String>,
    /// Only events with all of these words in title or description, in any Swedish inflection.
    #[param(
        required = false,
        min_length = 1,
        max_length = 200,
        example = "planeringsdag"
    )]
    pub q: Option<String>,
    /// Only events changed at or after this moment.
    #[param(required = false, example = "2020-01-01T00:00:00Z")]
    pub updated_since: Option<DateTime<Utc>>,
    /// The order; `-` is descending.
    #[param(required = false, inline, example = "firstStart")]
    #[serde(default)]
    pub sort: EventSort,
}

fn yes() -> bool {
    true
}

/// The orders of the list of events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
pub enum EventSort {
    #[default]
    #[serde(rename = "firstStart")]
    FirstStart,
    #[serde(rename = "-firstStart")]
    FirstStartDescending,
    #[serde(rename = "title")]
    Title,
    #[serde(rename = "-title")]
    TitleDescending,
    #[serde(rename = "updatedAt")]
    UpdatedAt,
    #[serde(rename = "-updatedAt")]
    UpdatedAtDescending,
}

impl EventSort {
    pub fn is_descending(self) -> bool {
        matches!(
            self,
            EventSort::FirstStartDescending
                | EventSort::TitleDescending
                | EventSort::UpdatedAtDescending
        )
    }
}

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(check_scope)
        .service(list_events)
        .service(create_event)
        .service(get_event)
        .service(change_event)
        .service(list_status_changes)
        .service(change_event_status);
}

/// Ask whether the guideline covers something
///
/// Answers yes or no with the reason in plain words, and stores nothing. What is outside needs no approval: go ahead.
#[utoipa::path(
    tag = "events",
    request_body = ScopeCheck,
    responses((status = 200, description = "Covered or not, and why.", body = ScopeVerdict)),
)]
#[post("/kompetens/v1/scope-checks")]
async fn check_scope(
    call: Call,
    db: Data<Db>,
    Json(asked): Json<ScopeCheck>,
) -> Result<Answer, Error> {
    if let (Some(from), Some(to)) = (asked.from, asked.to)
        && to < from
    {
        let detail = Text::new("to får inte ligga före from.", "to may not be before from.");
        let fault = FieldError {
            at: At::Pointer("/to".to_owned()),
            code: "ends-before-start".to_owned(),
            detail,
        };
        return Err(Error::new(Code::InvalidBody).with(fault));
    }
    let verdict = db
        .snapshot(move |conn| {
            if let Err(reason) = scope::judge(asked.kind, asked.arranger) {
                return Ok(ScopeVerdict::outside(reason));
            }
            let unit_ids = asked.organising_unit_ids.clone().unwrap_or_default();
            let today = call.today();
            let from = asked.from.or(asked.to).unwrap_or(today);
            let days = from..=asked.to.unwrap_or(from);
            let organisers = Organisers::read(conn, &unit_ids)?;
            for (index, id) in unit_ids.iter().enumerate() {
                if organisers.chains(&[*id]).is_empty() {
                    return Err(Error::at_pointer(
                        Code::UnknownUnit,
                        format!("/organisingUnitIds/{index}"),
                    ));
                }
                if !organisers.covers(*id, &days) {
                    return Ok(ScopeVerdict::outside(OutsideReason::UnitNotCovered));
                }
            }
            Ok(ScopeVerdict {
                covered: true,
                reason: None,
                section: Some(scope::section()),
                text: scope::covered_text(),
            })
        })
        .await?;
    Answer::plain(&verdict)
}

/// Something that may or may not be covered.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"kind": "studyVisit", "arranger": "group"}))]
struct ScopeCheck {
    /// What kind of thing it is.
    #[schema(example = "studyVisit")]
    kind: ProposedKind,
    /// Who arranges it.
    #[schema(example = "group")]
    arranger: ProposedArranger,
    /// The units that would organise it.
    #[schema(max_items = 20, example = json!(["0190a000-0000-7000-8000-000000000101"]))]
    organising_unit_ids: Option<Vec<Uuid>>,
    /// Its first day (Stockholm); without it today.
    #[schema(example = "2026-10-05")]
    from: Option<NaiveDate>,
    /// Its last day (Stockholm); without it the first.
    #[schema(example = "2026-10-05")]
    to: Option<NaiveDate>,
}

/// Covered by the guideline or not.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "covered": false,
    "reason": "studyVisit",
    "section": {"sv": "Inledning", "en": "Introduction"},
    "text": {"sv": "Studiebesök omfattas inte av riktlinjen. Inget godkännande behövs.", "en": "The guideline does not cover study visits. No approval is needed."},
}))]
struct ScopeVerdict {
    /// Does the guideline cover it?
    covered: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<OutsideReason>,
    /// Where the guideline says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    section: Option<Text>,
    /// What that means for whoever asks.
    text: Text,
}

impl ScopeVerdict {
    fn outside(reason: OutsideReason) -> ScopeVerdict {
        ScopeVerdict {
            covered: false,
            reason: Some(reason),
            section: Some(scope::section()),
            text: reason.text(),
        }
    }
}

/// List events
///
/// Confirmed, held, closed and cancelled events are for every employee to read; drafts for those who plan them.
#[utoipa::path(
    tag = "events",
    params(EventFilter, PagingParameters),
    responses((status = 200, description = "The page of events.", body = EventPage)),
)]
#[get("/kompetens/v1/events")]
async fn list_events(
    call: Call,
    db: Data<Db>,
    Query(filter): Query<EventFilter>,
    paging: Paging,
) -> Result<Answer, Error> {
    expect_period(filter.from, filter.to)?;
    call.may(Action::List(Reading::Published))?;
    let counts = paging.include_total;
    let list = move |conn: &mut PgConnection| {
        let drafts = call.reach(conn, Reading::Planning)?;
        let rows = queries::list(conn, &filter, &drafts, call.now, &paging)?;
        EventPage::answer(&paging, rows, |event| {
            let key = match filter.sort {
                EventSort::FirstStart | EventSort::FirstStartDescending => {
                    serde_json::to_value(event.first_start)
                }
                EventSort::Title | EventSort::TitleDescending => serde_json::to_value(&event.title),
                EventSort::UpdatedAt | EventSort::UpdatedAtDescending => {
                    serde_json::to_value(event.updated_at)
                }
            };
            (key.unwrap_or_default(), event.id)
        })
    };
    // the page is one statement and one snapshot by itself; with a total it is two
    if counts {
        db.snapshot(list).await
    } else {
        db.read(list).await
    }
}

/// Create an event
///
/// The event is a draft, planned under the guideline version in force today. `openFindings` of the answer says what is still needed;
/// `GET /events/{eventId}/compliance` says what to do about each. At least one organising unit must be one that the caller plans for.
#[utoipa::path(
    tag = "events",
    request_body = NewEvent,
    responses((status = 201, description = "The event was created as a draft.", body = Event)),
)]
#[post("/kompetens/v1/events")]
async fn create_event(
    call: Call,
    db: Data<Db>,
    Json(new): Json<NewEvent>,
) -> Result<Answer, Error> {
    let content = EventContent::from(new);
    content.judge()?;
    let ids = (Uuid::now_v7(), new_ids(content.occasions.len()));
    db.write(move |conn| {
        let ground = expect_may_create(conn, &call, &content)?;
        call.once(conn, |conn| {
            let event = create(conn, &call, (ids.0, &ids.1), &content, &ground, None)?;
            Answer::created(format!("/events/{}", event.id), &event, event.revision)
        })
    })
    .await
}

fn new_ids(count: usize) -> Vec<Uuid> {
    std::iter::repeat_with(Uuid::now_v7).take(count).collect()
}

/// Read an event
///
/// A draft is shown to those who plan it and to its responsible person; for others it does not exist.
#[utoipa::path(
    tag = "events",
    params(EventPath, IfNoneMatch),
    responses((status = 200, description = "The event.", body = Event), (status = 304, description = "The caller's copy is current.")),
)]
#[get("/kompetens/v1/events/{eventId}")]
async fn get_event(call: Call, db: Data<Db>, Path(path): Path<EventPath>) -> Result<Answer, Error> {
    let event = db
        .read(move |conn| {
            let event = queries::load(conn, path.event_id)?;
            call.may_with_offices(conn, Action::ReadEvent(&event.facts()))?;
            Ok(event)
        })
        .await?;
    Answer::ok(&event, event.revision)
}

/// Change an event
///
/// A draft can be changed in everything. So can a confirmed event, which stays confirmed and shows the findings that open again.
/// In `occasions` a given `id` keeps its occasion, and an equal start and end keeps its id; those left out are removed.
#[utoipa::path(
    tag = "events",
    params(EventPath, IfMatch),
    request_body(content((EventPatch = "application/merge-patch+json"), (EventPatch = "application/json"))),
    responses((status = 200, description = "The event as it is now.", body = Event)),
)]
#[patch("/kompetens/v1/events/{eventId}")]
async fn change_event(
    call: Call,
    db: Data<Db>,
    Path(path): Path<EventPath>,
    Json(patch): Json<EventPatch>,
) -> Result<Answer, Error> {
    let ids = new_ids(100);
    db.write(move |conn| {
        let before = queries::load_for_update(conn, path.event_id)?;
        let event = change(conn, &call, &before, &patch.0, &ids)?;
        Answer::ok(&event, event.revision)
    })
    .await
}

/// List the status changes of an event
///
/// The log of the event's life, newest first.
#[utoipa::path(
    tag = "events",
    params(EventPath, PagingParameters),
    responses((status = 200, description = "The page of status changes.", body = StatusChangePage)),
)]
#[get("/kompetens/v1/events/{eventId}/status-changes")]
async fn list_status_changes(
    call: Call,
    db: Data<Db>,
    Path(path): Path<EventPath>,
    paging: Paging,
) -> Result<Answer, Error> {
    let window = paging.clone();
    let rows = db
        .snapshot(move |conn| {
            let event = queries::load(conn, path.event_id)?;
            call.may_with_offices(conn, Action::ReadPlanning(&event.facts()))?;
            queries::status_log(conn, event.id, &window)
        })
        .await?;
    StatusChangePage::answer(&paging, rows, |row| (row.changed_at, row.id))
}

/// Change the status of an event
///
/// `confirmed` needs every finding settled, a planned follow-up due on or after the last occasion, and time before the first start;
/// the answers are frozen as a baseline. `held` needs the last occasion to have ended and actual participants. `closed` needs the follow-ups done.
/// `cancelled`, back to `draft` and back to `held` need a reason.
#[utoipa::path(
    tag = "events",
    params(EventPath, IfMatch),
    request_body(content = NewStatusChange, example = json!({"status": "confirmed"})),
    responses((status = 200, description = "The event in its new status.", body = Event)),
)]
#[post("/kompetens/v1/events/{eventId}/status-changes")]
async fn change_event_status(
    call: Call,
    db: Data<Db>,
    Path(path): Path<EventPath>,
    Json(new): Json<NewStatusChange>,
) -> Result<Answer, Error> {
    new.judge()?;
    let ids = (Uuid::now_v7(), Uuid::now_v7());
    db.write(move |conn| {
        let before = queries::load_for_update(conn, path.event_id)?;
        call.may_with_offices(
            conn,
            Action::ChangeStatus {
                event: &before.facts(),
                to: new.status,
            },
        )?;
        call.once(conn, |conn| {
            call.expect_revision(before.revision)?;
            let event = status::change(conn, &call, &before, &new, ids)?;
            Answer::ok(&event, event.revision)
        })
    })
    .await
}
