//! Follow-ups over HTTP.

use actix_web::web::Data;
use actix_web::{get, post};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::{FollowUp, NewFollowUp, plan, queries};
use crate::db::Db;
use crate::error::Error;
use crate::events;
use crate::events::handlers::EventPath;
use crate::http::answer::Answer;
use crate::http::call::{Call, Json, Path};
use crate::http::paging::{Paging, PagingParameters};
use crate::http::parameters::IfNoneMatch;
use crate::page_of;
use crate::rules::access::Action;

page_of!(
    /// A page of follow-ups.
    FollowUpPage, FollowUp
);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
struct FollowUpPath {
    /// The id of the follow-up.
    #[param(example = "0190a000-0000-7000-8000-000000001601")]
    follow_up_id: Uuid,
}

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(list_follow_ups)
        .service(create_follow_up)
        .service(get_follow_up);
}

/// List the follow-ups of an event
///
/// The next one due first.
#[utoipa::path(
    tag = "follow-ups",
    params(EventPath, PagingParameters),
    responses((status = 200, description = "The page of follow-ups.", body = FollowUpPage)),
)]
#[get("/kompetens/v1/events/{eventId}/follow-ups")]
async fn list_follow_ups(
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
            queries::list(conn, event.id, &window)
        })
        .await?;
    FollowUpPage::answer(&paging, rows, |row| (row.due_date, row.id))
}

/// Plan a follow-up of an event
///
/// Answers the question of kind `followUps` while it is due on or after the last occasion. Without `dueDate` it is due
/// the guideline version's number of days after the last occasion (Hedemora: 90).
#[utoipa::path(
    tag = "follow-ups",
    params(EventPath),
    request_body = NewFollowUp,
    responses((status = 201, description = "The follow-up was planned.", body = FollowUp)),
)]
#[post("/kompetens/v1/events/{eventId}/follow-ups")]
async fn create_follow_up(
    call: Call,
    db: Data<Db>,
    Path(path): Path<EventPath>,
    Json(new): Json<NewFollowUp>,
) -> Result<Answer, Error> {
    let id = Uuid::now_v7();
    db.write(move |conn| {
        let event = events::queries::load_for_update(conn, path.event_id)?;
        call.may_with_offices(conn, Action::EditPlanning(&event.facts()))?;
        call.once(conn, |conn| {
            let planned = plan(conn, &call, id, &event, &new)?;
            Answer::created(format!("/follow-ups/{id}"), &planned, planned.revision)
        })
    })
    .await
}

/// Read a follow-up
///
/// Shown to those who plan the event, to its responsible person, and to the person who does the follow-up.
#[utoipa::path(
    tag = "follow-ups",
    params(FollowUpPath, IfNoneMatch),
    responses((status = 200, description = "The follow-up.", body = FollowUp), (status = 304, description = "The caller's copy is current.")),
)]
#[get("/kompetens/v1/follow-ups/{followUpId}")]
async fn get_follow_up(
    call: Call,
    db: Data<Db>,
    Path(path): Path<FollowUpPath>,
) -> Result<Answer, Error> {
    let follow_up = db
        .snapshot(move |conn| {
            let follow_up = queries::find(conn, path.follow_up_id)?;
            let event = events::queries::load(conn, follow_up.event_id)?;
            let responsible_person = &follow_up.responsible_person;
            call.may_with_offices(
                conn,
                Action::ReadFollowUp {
                    event: &event.facts(),
                    responsible_person,
                },
            )?;
            Ok(follow_up)
        })
        .await?;
    Answer::ok(&follow_up, follow_up.revision)
}
