//! Imports over HTTP.

use actix_web::web::{self, Data};
use actix_web::{get, post};
use aws_lc_rs::digest::{Context, SHA256};
use futures_util::StreamExt;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::{Import, ImportLine, ImportOutcome, ImportRow, Lines, judged, queries, received};
use crate::db::Db;
use crate::error::{Code, Error};
use crate::http::Service;
use crate::http::answer::Answer;
use crate::http::call::{Call, Json, Key, Path, Query};
use crate::http::contract::{LARGEST_IMPORT, import_too_large};
use crate::http::paging::{Paging, PagingParameters};
use crate::page_of;
use crate::rules::access::Action;

/// How many lines are stored in one transaction.
const BATCH: usize = 200;
/// How many lines an import may have.
const MOST_LINES: usize = 50_000;
/// How much longer than a plain body an import may take to arrive.
const PATIENCE: u32 = 12;

page_of!(
    /// A page of the lines of an import.
    ImportRowPage, ImportRow
);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
struct ImportPath {
    /// The id of the import.
    #[param(example = "0190a000-0000-7000-8000-000000002001")]
    import_id: Uuid,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ImportOptions {
    /// Only try: every line is judged as it stands, and nothing is kept of it but its result.
    #[param(required = false, default = false, example = true)]
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, style = Form)]
struct ImportRowFilter {
    /// Only lines with one of these outcomes.
    #[param(required = false, explode = false, min_items = 1, max_items = 10, example = json!(["refused", "outsideGuideline"]))]
    outcome: Option<Vec<ImportOutcome>>,
}

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(create_import)
        .service(get_import)
        .service(list_import_rows);
}

/// Import JSON lines
///
/// Each line is one write by external id: `{"resource", "sourceSystem", "externalId", "body"}`, with the body and the problems of the
/// PUT by external id. At most 10 MiB and 50,000 lines of at most 64 KiB. The answer comes when the body has come whole; then the lines are
/// carried out in their order, each in a transaction of its own and with the rights that the caller has now. `GET /imports/{importId}` says how far it
/// has come, and `/rows` what became of each line. A bad line loses no good one. What the guideline does not cover is skipped and said to be so.
/// If an instance dies, another goes on. Sending the same lines again changes nothing. HR administrators may, and integrations with `imports:write`.
#[utoipa::path(
    tag = "imports",
    params(ImportOptions),
    request_body(content(
        (ImportLine = "application/json", example = json!({"resource": "businessGoal", "sourceSystem": "hr-system", "externalId": "4711", "body": {"unitId": "0190a000-0000-7000-8000-000000000101", "title": "Fler elever når gymnasiebehörighet", "validFrom": "2020-01-01"}})),
        (ImportLine = "application/x-ndjson", example = json!({"resource": "businessGoal", "sourceSystem": "hr-system", "externalId": "4711", "body": {"unitId": "0190a000-0000-7000-8000-000000000101", "title": "Fler elever når gymnasiebehörighet", "validFrom": "2020-01-01"}})),
        (ImportLine = "application/jsonl", example = json!({"resource": "businessGoal", "sourceSystem": "hr-system", "externalId": "4711", "body": {"unitId": "0190a000-0000-7000-8000-000000000101", "title": "Fler elever når gymnasiebehörighet", "validFrom": "2020-01-01"}})),
    ), description = "One JSON object a line; the schema is a line's. As `application/json` the body is one line, refused at once when it has not this form."),
    responses((status = 201, description = "The body has come whole; its lines are being carried out.", body = Import)),
)]
#[post("/kompetens/v1/imports")]
async fn create_import(
    call: Call,
    db: Data<Db>,
    service: Data<Service>,
    Query(options): Query<ImportOptions>,
    Json(line): Json<Option<ImportLine>>,
    body: web::Payload,
) -> Result<Answer, Error> {
    call.may(Action::Import)?;
    let id = Uuid::now_v7();
    let opened = call.clone();
    db.write(move |conn| queries::open(conn, &opened, id, options.dry_run))
        .await?;
    let deadline = service.body_deadline;
    let arrived = tokio::time::timeout(
        deadline * PATIENCE,
        receive(&call, &db, id, (line, body), deadline),
    )
    .await
    .unwrap_or_else(|_| Err(Error::new(Code::RequestTimeout)));
    let call = match arrived {
        Ok(digest) => keyed(call, &digest),
        Err(error) => {
            // what did not come whole is forgotten; if that fails too it shows as interrupted
            let _ = db.write(move |conn| queries::forget(conn, id)).await;
            return Err(error);
        }
    };
    let now = (service.clock.0)();
    db.write(move |conn| {
        let answer = call.once(conn, |conn| {
            let import = queries::start(conn, id, now)?;
            Ok(Answer {
                status: 201,
                location: Some(format!("{}/imports/{id}", crate::http::answer::BASE)),
                ..Answer::plain(&import)?
            })
        })?;
        if answer.replayed {
            queries::forget(conn, id)?;
        }
        Ok(answer)
    })
    .await
}

/// Stores the lines as they come; gives the digest of the whole body.
async fn receive(
    call: &Call,
    db: &Db,
    id: Uuid,
    (line, mut body): (Option<ImportLine>, web::Payload),
    deadline: Duration,
) -> Result<Vec<u8>, Error> {
    let mut lines = Lines::default();
    let mut rows: Vec<_> = line.map(|line| judged(call, 1, line)).into_iter().collect();
    let (mut size, mut count) = (0, 0);
    let mut digest = Context::new(&SHA256);
    loop {
        let piece = tokio::time::timeout(deadline, body.next())
            .await
            .map_err(|_| Error::new(Code::RequestTimeout))?;
        let is_last = piece.is_none();
        match piece {
            Some(piece) => {
                let piece = piece.map_err(|_| Error::new(Code::MalformedJson))?;
                size += piece.len();
                if size > LARGEST_IMPORT {
                    return Err(import_too_large());
                }
                digest.update(&piece);
                lines.push(&piece, |line, text| rows.push(received(call, line, text)));
            }
            None => lines.end(|line, text| rows.push(received(call, line, text))),
        }
        while rows.len() >= BATCH || is_last && !rows.is_empty() {
            let batch: Vec<_> = rows.drain(..rows.len().min(BATCH)).collect();
            count += batch.len();
            if count > MOST_LINES {
                return Err(import_too_large());
            }
            let now = chrono::Utc::now().max(call.now);
            db.write(move |conn| queries::add(conn, id, &batch, now))
                .await?;
        }
        if is_last {
            return Ok(digest.finish().as_ref().to_vec());
        }
    }
}

/// The call whose Idempotency-Key knows the body too, which the door did not read.
fn keyed(call: Call, body: &[u8]) -> Call {
    let key = call.key.as_ref().map(|key| {
        let mut both = Context::new(&SHA256);
        both.update(&key.fingerprint);
        both.update(body);
        Arc::new(Key {
            key: key.key.clone(),
            fingerprint: both.finish().as_ref().to_vec(),
        })
    });
    Call { key, ..call }
}

/// Read an import
///
/// How far it has come, and how many lines became what. An integration reads only its own.
#[utoipa::path(
    tag = "imports",
    params(ImportPath),
    responses((status = 200, description = "The import.", body = Import)),
)]
#[get("/kompetens/v1/imports/{importId}")]
async fn get_import(
    call: Call,
    db: Data<Db>,
    Path(path): Path<ImportPath>,
) -> Result<Answer, Error> {
    let import = db
        .read(move |conn| {
            call.may(Action::Import)?;
            let import = queries::find(conn, path.import_id, call.now)?;
            expect_own(&call, &import)?;
            Ok(import)
        })
        .await?;
    Answer::plain(&import)
}

/// List the lines of an import
///
/// What became of each line, in their order; why, when it was skipped or refused.
#[utoipa::path(
    tag = "imports",
    params(ImportPath, ImportRowFilter, PagingParameters),
    responses((status = 200, description = "The page of lines.", body = ImportRowPage)),
)]
#[get("/kompetens/v1/imports/{importId}/rows")]
async fn list_import_rows(
    call: Call,
    db: Data<Db>,
    Path(path): Path<ImportPath>,
    Query(filter): Query<ImportRowFilter>,
    paging: Paging,
) -> Result<Answer, Error> {
    let window = paging.clone();
    let rows = db
        .snapshot(move |conn| {
            call.may(Action::Import)?;
            let import = queries::find(conn, path.import_id, call.now)?;
            expect_own(&call, &import)?;
            queries::rows(conn, import.id, filter.outcome.as_deref(), &window)
        })
        .await?;
    ImportRowPage::answer(&paging, rows, |row| (row.line, row.id))
}

/// 404 when an integration asks for another's import.
fn expect_own(call: &Call, import: &Import) -> Result<(), Error> {
    if call.actor.integration().is_some() && import.created_by != call.actor.name() {
        return Err(Error::new(Code::NotFound));
    }
    Ok(())
}
