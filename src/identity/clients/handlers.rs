//! API clients over HTTP. Every operation is the HR administrators'.

use actix_web::web::Data;
use actix_web::{get, patch, post};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::{
    MachineClient, MachineClientPage, MachineClientPatch, MachineClientSort, NewMachineClient,
    Secret, SecretRotation, change, create, end, queries, rotate,
};
use crate::db::Db;
use crate::error::Error;
use crate::http::answer::{Answer, BASE};
use crate::http::call::{Call, Json, Path, Query};
use crate::http::paging::{Paging, PagingParameters};
use crate::http::parameters::{IfMatch, IfNoneMatch};
use crate::http::patch::merged;
use crate::rules::access::Action;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
struct MachineClientPath {
    /// The id of the API client.
    #[param(example = "0190a000-0000-7000-8000-000000001a01")]
    api_client_id: Uuid,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct MachineClientFilter {
    /// Only the clients of this source system.
    #[param(
        required = false,
        min_length = 1,
        max_length = 100,
        example = "hr-system"
    )]
    source_system: Option<String>,
    /// The order; `-` is descending.
    #[param(required = false, inline, example = "name")]
    #[serde(default)]
    sort: MachineClientSort,
}

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(list_api_clients)
        .service(create_api_client)
        .service(get_api_client)
        .service(change_api_client)
        .service(rotate_api_client_secret)
        .service(end_api_client);
}

/// List API clients
///
/// With those that have ended; `endedAt` says when. For HR administrators.
#[utoipa::path(
    tag = "integrations",
    params(MachineClientFilter, PagingParameters),
    responses((status = 200, description = "The page of API clients.", body = MachineClientPage)),
)]
#[get("/kompetens/v1/api-clients")]
async fn list_api_clients(
    call: Call,
    db: Data<Db>,
    Query(filter): Query<MachineClientFilter>,
    paging: Paging,
) -> Result<Answer, Error> {
    call.may(Action::ManageIntegrations)?;
    let window = paging.clone();
    let rows = db
        .snapshot(move |conn| {
            queries::list(conn, filter.source_system.as_deref(), filter.sort, &window)
        })
        .await?;
    MachineClientPage::answer(&paging, rows, |row| (row.name.clone(), row.id))
}

/// Make an API client
///
/// The answer shows its secret, this once: the machine sends it as `Authorization: Bearer …`. It works within a second. For HR administrators.
#[utoipa::path(
    tag = "integrations",
    request_body = NewMachineClient,
    responses((status = 201, description = "The client was made; `secret` is shown this once.", body = MachineClient)),
)]
#[post("/kompetens/v1/api-clients")]
async fn create_api_client(
    call: Call,
    db: Data<Db>,
    Json(new): Json<NewMachineClient>,
) -> Result<Answer, Error> {
    let (id, secret) = (Uuid::now_v7(), Secret::random()?);
    db.write(move |conn| {
        call.may(Action::ManageIntegrations)?;
        call.once(conn, |conn| {
            let client = create(conn, &call, id, &secret, &new)?;
            showing(&secret, client, 201)
        })
    })
    .await
}

/// Read an API client
///
/// Without its secrets, of which only the ids and their use are known. For HR administrators.
#[utoipa::path(
    tag = "integrations",
    params(MachineClientPath, IfNoneMatch),
    responses((status = 200, description = "The API client.", body = MachineClient), (status = 304, description = "The caller's copy is current.")),
)]
#[get("/kompetens/v1/api-clients/{apiClientId}")]
async fn get_api_client(
    call: Call,
    db: Data<Db>,
    Path(path): Path<MachineClientPath>,
) -> Result<Answer, Error> {
    call.may(Action::ManageIntegrations)?;
    let client = db
        .read(move |conn| queries::find(conn, path.api_client_id))
        .await?;
    Answer::ok(&client, client.revision)
}

/// Change an API client
///
/// Name, scopes, units and expiry; they hold for its next request a second later. For HR administrators.
#[utoipa::path(
    tag = "integrations",
    params(MachineClientPath, IfMatch),
    request_body = MachineClientPatch,
    responses((status = 200, description = "The API client as it is now.", body = MachineClient)),
)]
#[patch("/kompetens/v1/api-clients/{apiClientId}")]
async fn change_api_client(
    call: Call,
    db: Data<Db>,
    Path(path): Path<MachineClientPath>,
    Json(patch): Json<MachineClientPatch>,
) -> Result<Answer, Error> {
    db.write(move |conn| {
        call.may(Action::ManageIntegrations)?;
        let before = queries::find_for_update(conn, path.api_client_id)?;
        call.expect_revision(before.revision)?;
        let client = change(conn, &call, &before, &merged(&before, &patch.0)?)?;
        Answer::ok(&client, client.revision)
    })
    .await
}

/// Replace the secret of an API client
///
/// The answer shows the new one, this once. The one before stays good for seven days or until `previousExpiresAt`, so that the machine
/// can be given the new one meanwhile; `lastUsedAt` tells which is in use. There are never more than two. For HR administrators.
#[utoipa::path(
    tag = "integrations",
    params(MachineClientPath, IfMatch),
    request_body = Option<SecretRotation>,
    responses((status = 200, description = "The API client; `secret` is shown this once.", body = MachineClient)),
)]
#[post("/kompetens/v1/api-clients/{apiClientId}/secret-rotation")]
async fn rotate_api_client_secret(
    call: Call,
    db: Data<Db>,
    Path(path): Path<MachineClientPath>,
    Json(rotation): Json<SecretRotation>,
) -> Result<Answer, Error> {
    let secret = Secret::random()?;
    db.write(move |conn| {
        call.may(Action::ManageIntegrations)?;
        let before = queries::find_for_update(conn, path.api_client_id)?;
        call.once(conn, |conn| {
            call.expect_revision(before.revision)?;
            let client = rotate(conn, &call, &before, &secret, &rotation)?;
            showing(&secret, client, 200)
        })
    })
    .await
}

/// End an API client
///
/// Its secrets are refused by every instance within five seconds, and it never works again. For HR administrators.
#[utoipa::path(
    tag = "integrations",
    params(MachineClientPath, IfMatch),
    responses((status = 200, description = "The API client, ended.", body = MachineClient)),
)]
#[post("/kompetens/v1/api-clients/{apiClientId}/ending")]
async fn end_api_client(
    call: Call,
    db: Data<Db>,
    Path(path): Path<MachineClientPath>,
) -> Result<Answer, Error> {
    db.write(move |conn| {
        call.may(Action::ManageIntegrations)?;
        let before = queries::find_for_update(conn, path.api_client_id)?;
        call.once(conn, |conn| {
            call.expect_revision(before.revision)?;
            let client = end(conn, &call, &before)?;
            Answer::ok(&client, client.revision)
        })
    })
    .await
}

/// The client with its new secret, which a replay does not show again but says where the client is.
fn showing(secret: &Secret, client: MachineClient, status: u16) -> Result<Answer, Error> {
    let (id, revision) = (client.id, client.revision);
    let shown = MachineClient {
        secret: Some(secret.text().to_owned()),
        ..client
    };
    Ok(Answer {
        status,
        location: Some(format!("{BASE}/api-clients/{id}")),
        shows_secret: true,
        ..Answer::ok(&shown, revision)?
    })
}
