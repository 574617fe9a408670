//! Follow-ups and their entries over HTTP.

use actix_web::web::Data;
use actix_web::{get, patch, post};
use diesel::pg::PgConnection;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::entries::{self, FollowUpEntry, NewFollowUpEntry};
use super::{
    FollowUp, Grounds, NewFollowUp, StoredFollowUp, cancel, change, lock, plan, queries, show,
    waive,
};
use crate::db::Db;
use crate::error::Error;
use crate::events::handlers::EventPath;
use crate::events::{self, Event};
use crate::guideline;
use crate::http::answer::Answer;
use crate::http::call::{Call, Json, Path};
use crate::http::paging::{Paging, PagingParameters};
use crate::http::parameters::{IfMatch, IfNoneMatch};
use crate::rules::access::Action;
use crate::{page_of, patch_of};

page_of!(
    /// A page of follow-ups.
    FollowUpPage, FollowUp
);
page_of!(
    /// A page of entries.
    FollowUpEntryPage, FollowUpEntry
);
patch_of!(
    FollowUpPatch,
    NewFollowUp,
    "Changes to a planned follow-up. `dueDate` null makes it due by the guideline version's default again.",
    {"method": "survey"}
);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
struct FollowUpPath {
    /// The id of the follow-up.
    #[param(example = "0190a000-0000-7000-8000-000000001601")]
    follow_up_id: Uuid,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
struct EntriesPath {
    /// The id of the follow-up.
    #[param(example = "0190a000-0000-7000-8000-000000141601")]
    follow_up_id: Uuid,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
struct EntryPath {
    /// The id of the follow-up.
    #[param(example = "0190a000-0000-7000-8000-000000141601")]
    follow_up_id: Uuid,
    /// The id of the entry.
    #[param(example = "0190a000-0000-7000-8000-000000141a02")]
    entry_id: Uuid,
}

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(list_follow_ups)
        .service(create_follow_up)
        .service(get_follow_up)
        .service(change_follow_up)
        .service(waive_follow_up)
        .service(cancel_follow_up)
        .service(list_follow_up_entries)
        .service(create_follow_up_entry)
        .service(get_follow_up_entry)
        .service(void_follow_up_entry);
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
            let version = guideline::queries::find(conn, event.guideline_version_id)?;
            let (rows, total) = queries::list(conn, event.id, &window)?;
            let shown = rows.iter().map(|row| row.shown(&version, call.today()));
            Ok((shown.collect(), total))
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
            let shown = show(conn, &call, &event, &planned)?;
            Answer::created(format!("/follow-ups/{id}"), &shown, shown.revision)
        })
    })
    .await
}

/// Read a follow-up
///
/// With what its due date means today. Shown to those who plan the event, to its responsible person, and to the person who does the
/// follow-up.
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
    let shown = db
        .snapshot(move |conn| {
            let (event, follow_up) = readable(conn, &call, path.follow_up_id)?;
            show(conn, &call, &event, &follow_up)
        })
        .await?;
    Answer::ok(&shown, shown.revision)
}

/// The event and the follow-up, if the caller may read them.
fn readable(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
) -> Result<(Event, StoredFollowUp), Error> {
    let follow_up = queries::find(conn, id)?;
    let event = events::queries::load(conn, follow_up.event_id)?;
    let action = Action::ReadFollowUp {
        event: &event.facts(),
        responsible_person: &follow_up.responsible_person,
    };
    call.may_with_offices(conn, action)?;
    Ok((event, follow_up))
}

/// Change a follow-up
///
/// Level, method, due date and responsible person, while it is planned. What was planned when the event was confirmed stands in its
/// baseline.
#[utoipa::path(
    tag = "follow-ups",
    params(FollowUpPath, IfMatch),
    request_body(content((FollowUpPatch = "application/merge-patch+json"), (FollowUpPatch = "application/json"))),
    responses((status = 200, description = "The follow-up as it is now.", body = FollowUp)),
)]
#[patch("/kompetens/v1/follow-ups/{followUpId}")]
async fn change_follow_up(
    call: Call,
    db: Data<Db>,
    Path(path): Path<FollowUpPath>,
    Json(patch): Json<FollowUpPatch>,
) -> Result<Answer, Error> {
    db.write(move |conn| {
        let (event, before) = lock(conn, path.follow_up_id)?;
        call.may_with_offices(conn, Action::EditPlanning(&event.facts()))?;
        let after = change(conn, &call, (&event, &before), &patch.0)?;
        let shown = show(conn, &call, &event, &after)?;
        Answer::ok(&shown, shown.revision)
    })
    .await
}

/// Waive a follow-up
///
/// An HR administrator says, with a reason, that a planned follow-up of an event that was held will not be done.
#[utoipa::path(
    tag = "follow-ups",
    params(FollowUpPath, IfMatch),
    request_body = Grounds,
    responses((status = 200, description = "The follow-up, waived.", body = FollowUp)),
)]
#[post("/kompetens/v1/follow-ups/{followUpId}/waiver")]
async fn waive_follow_up(
    call: Call,
    db: Data<Db>,
    Path(path): Path<FollowUpPath>,
    Json(grounds): Json<Grounds>,
) -> Result<Answer, Error> {
    db.write(move |conn| {
        let (event, before) = lock(conn, path.follow_up_id)?;
        let action = Action::WaiveFollowUp {
            event: &event.facts(),
            responsible_person: &before.responsible_person,
        };
        call.may_with_offices(conn, action)?;
        call.once(conn, |conn| {
            call.expect_revision(before.revision)?;
            let after = waive(conn, &call, (&event, &before), &grounds)?;
            let shown = show(conn, &call, &event, &after)?;
            Answer::ok(&shown, shown.revision)
        })
    })
    .await
}

/// Cancel a follow-up
///
/// Those who plan the event take a planned follow-up back before the event is held, while another remains; 409 `last-follow-up`
/// otherwise, and `waive-instead` once the event is held.
#[utoipa::path(
    tag = "follow-ups",
    params(FollowUpPath, IfMatch),
    request_body = Grounds,
    responses((status = 200, description = "The follow-up, cancelled.", body = FollowUp)),
)]
#[post("/kompetens/v1/follow-ups/{followUpId}/cancellation")]
async fn cancel_follow_up(
    call: Call,
    db: Data<Db>,
    Path(path): Path<FollowUpPath>,
    Json(grounds): Json<Grounds>,
) -> Result<Answer, Error> {
    db.write(move |conn| {
        let (event, before) = lock(conn, path.follow_up_id)?;
        call.may_with_offices(conn, Action::EditPlanning(&event.facts()))?;
        call.once(conn, |conn| {
            call.expect_revision(before.revision)?;
            let after = cancel(conn, &call, (&event, &before), &grounds)?;
            let shown = show(conn, &call, &event, &after)?;
            Answer::ok(&shown, shown.revision)
        })
    })
    .await
}

/// List the entries of a follow-up
///
/// In the order in which they were written, the voided ones too. Each shows what was planned beside what happened.
#[utoipa::path(
    tag = "follow-ups",
    params(EntriesPath, PagingParameters),
    responses((status = 200, description = "The page of entries.", body = FollowUpEntryPage)),
)]
#[get("/kompetens/v1/follow-ups/{followUpId}/entries")]
async fn list_follow_up_entries(
    call: Call,
    db: Data<Db>,
    Path(path): Path<EntriesPath>,
    paging: Paging,
) -> Result<Answer, Error> {
    let window = paging.clone();
    let rows = db
        .snapshot(move |conn| {
            let (_, follow_up) = readable(conn, &call, path.follow_up_id)?;
            queries::list_entries(conn, follow_up.id, &window)
        })
        .await?;
    FollowUpEntryPage::answer(&paging, rows, |row| (row.number, row.id))
}

/// Write an entry of a follow-up
///
/// What was found, once the event is held. The first entry that was carried out at the planned level or deeper completes the
/// follow-up; a lower level never does. An entry is never edited: void it and write another. By the follow-up's responsible person,
/// managers and office holders; an HR administrator writes on behalf of someone, and the entry says so in `recordedBy`.
#[utoipa::path(
    tag = "follow-ups",
    params(EntriesPath),
    request_body(content = NewFollowUpEntry, example = json!({
        "conductedOn": "2026-10-05", "level": "behaviour", "carriedOut": "asPlanned",
        "observedBehaviour": "Alla avdelningar håller inskolningssamtalet på samma sätt.",
        "goalEffects": [{"goalId": "0190a000-0000-7000-8000-000000000402", "effect": "some", "evidence": "Fem av sju arbetslag har ändrat sitt arbetssätt."}],
        "individualEffect": {"effect": "full", "evidence": "Alla har övat och fått återkoppling."},
        "residentEffect": {"effect": "tooEarly", "evidence": "Vårdnadshavarenkäten kommer i mars."},
        "lessons": "Öva samtalet två gånger innan det används."
    })),
    responses((status = 201, description = "The entry was written.", body = FollowUpEntry)),
)]
#[post("/kompetens/v1/follow-ups/{followUpId}/entries")]
async fn create_follow_up_entry(
    call: Call,
    db: Data<Db>,
    Path(path): Path<EntriesPath>,
    Json(new): Json<NewFollowUpEntry>,
) -> Result<Answer, Error> {
    new.judge()?;
    let id = Uuid::now_v7();
    db.write(move |conn| {
        let (event, follow_up) = lock(conn, path.follow_up_id)?;
        let of = (&event, &follow_up);
        let call = entries::authored(conn, &call, of, new.on_behalf_of.as_deref())?;
        call.once(conn, |conn| {
            let entry = entries::write(conn, &call, id, of, &new)?;
            let path = format!("/follow-ups/{}/entries/{id}", follow_up.id);
            Answer::created(path, &entry, entry.revision)
        })
    })
    .await
}

/// Read an entry of a follow-up
///
/// What happened, and beside it what was planned when the event was held.
#[utoipa::path(
    tag = "follow-ups",
    params(EntryPath, IfNoneMatch),
    responses((status = 200, description = "The entry.", body = FollowUpEntry), (status = 304, description = "The caller's copy is current.")),
)]
#[get("/kompetens/v1/follow-ups/{followUpId}/entries/{entryId}")]
async fn get_follow_up_entry(
    call: Call,
    db: Data<Db>,
    Path(path): Path<EntryPath>,
) -> Result<Answer, Error> {
    let entry = db
        .snapshot(move |conn| {
            let (_, follow_up) = readable(conn, &call, path.follow_up_id)?;
            queries::find_entry(conn, follow_up.id, path.entry_id)
        })
        .await?;
    Answer::ok(&entry, entry.revision)
}

/// Void an entry of a follow-up
///
/// It stays readable, with the reason. A follow-up that it completed is planned again, unless another entry completes it. In a closed
/// event nothing is voided until an HR administrator reopens it.
#[utoipa::path(
    tag = "follow-ups",
    params(EntryPath, IfMatch),
    request_body = Grounds,
    responses((status = 200, description = "The entry, voided.", body = FollowUpEntry)),
)]
#[post("/kompetens/v1/follow-ups/{followUpId}/entries/{entryId}/voiding")]
async fn void_follow_up_entry(
    call: Call,
    db: Data<Db>,
    Path(path): Path<EntryPath>,
    Json(grounds): Json<Grounds>,
) -> Result<Answer, Error> {
    db.write(move |conn| {
        let (event, follow_up) = lock(conn, path.follow_up_id)?;
        entries::expect_may_write(conn, &call, (&event, &follow_up))?;
        let before = queries::find_entry(conn, follow_up.id, path.entry_id)?;
        call.once(conn, |conn| {
            call.expect_revision(before.revision)?;
            let after = entries::void(conn, &call, (&event, &follow_up), &before, &grounds)?;
            Answer::ok(&after, after.revision)
        })
    })
    .await
}
