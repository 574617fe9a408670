//! Imports over HTTP.

use actix_web::web::{self, Data};
use actix_web::{get, post};
use aws_lc_rs::digest::{Context, SHA256};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::{
    ImportJob, ImportLine, ImportOutcome, ImportRow, Lines, Received, judged, queries, received,
};
use crate::db::Db;
use crate::error::{Code, Error};
use crate::http::Service;
use crate::http::answer::{Answer, BASE};
use crate::http::call::{Call, Json, Key, Path, Query};
use crate::http::contract::{LARGEST_IMPORT, import_too_large};
use crate::http::paging::{Paging, PagingParameters};
use crate::page_of;
use crate::rules::access::Action;

/// A body of one line.
const ONE_LINE: &str = "{\"resource\": \"businessGoal\", \"sourceSystem\": \"hr-system\", \"externalId\": \"4711\", \"body\": {\"unitId\": \"0190a000-0000-7000-8000-000000000101\", \"title\": \"Fler elever når gymnasiebehörighet\", \"validFrom\": \"2020-01-01\"}}\n";
/// How many lines are stored in one transaction, at most …
const BATCH: usize = 200;
/// … and of how many bytes, so that a batch is stored well within a transaction's deadline.
const HEAVY: usize = 512 * 1024;
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
/// carried out in their order, each in a transaction of its own. `GET /imports/{importId}` says how far it has come, and `/rows` what
/// became of each line. A bad line loses no good one. What the guideline does not cover is skipped and said to be so.
/// If an instance dies, another goes on. Sending the same lines again changes nothing. Ten imports of one sender may be on their way,
/// and are carried out one after another; the next is 429. Results are kept for 90 days. HR administrators may, and integrations with
/// `imports:write`; a line needs the rights of its own write too: an integration those that it has when the line is carried out, a person those of their token.
#[utoipa::path(
    tag = "imports",
    params(ImportOptions),
    request_body(content(
        (ImportLine = "application/json", example = json!({"resource": "businessGoal", "sourceSystem": "hr-system", "externalId": "4711", "body": {"unitId": "0190a000-0000-7000-8000-000000000101", "title": "Fler elever når gymnasiebehörighet", "validFrom": "2020-01-01"}})),
        (String = "application/x-ndjson", example = json!(ONE_LINE)),
        (String = "application/jsonl", example = json!(ONE_LINE)),
    ), description = "A text of lines, each of which is an `ImportLine` in JSON. As `application/json` the body is one line, refused at once when it has not this form."),
    responses((status = 201, description = "The body has come whole; its lines are being carried out.", body = ImportJob)),
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
    let arriving = Arriving {
        call: &call,
        db: &db,
        service: &service,
        id,
    };
    let started = match arriving.receive(line, body).await {
        Ok(digest) => start(keyed(call, &digest), &db, id, (service.clock.0)()).await,
        Err(error) => Err(error),
    };
    if started.is_err() {
        // what is not forgotten now is given up later
        let _ = db.keep_house(move |conn| queries::forget(conn, id)).await;
    }
    started
}

/// Lets the lines be carried out, or replays the answer to the same lines.
async fn start(call: Call, db: &Db, id: Uuid, now: DateTime<Utc>) -> Result<Answer, Error> {
    db.write(move |conn| {
        let answer = call.once(conn, |conn| {
            let import = queries::start(conn, id, now)?;
            Ok(Answer {
                status: 201,
                location: Some(format!("{BASE}/imports/{id}")),
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

/// An import whose body is on its way. While its sender takes their time no thread and no connection of the database waits with it.
struct Arriving<'a> {
    call: &'a Call,
    db: &'a Db,
    service: &'a Service,
    id: Uuid,
}

impl Arriving<'_> {
    /// Stores the lines as they come; gives the digest of the whole body.
    async fn receive(
        &self,
        line: Option<ImportLine>,
        body: web::Payload,
    ) -> Result<Vec<u8>, Error> {
        if let Some(line) = line {
            self.store(vec![judged(self.call, 1, line)]).await?;
        }
        let whole = self.service.body_deadline * PATIENCE;
        tokio::time::timeout(whole, self.receive_lines(body))
            .await
            .unwrap_or_else(|_| Err(Error::new(Code::RequestTimeout)))
    }

    async fn receive_lines(&self, mut body: web::Payload) -> Result<Vec<u8>, Error> {
        let (mut lines, mut batch) = (Lines::default(), Vec::new());
        let (mut size, mut weight, mut count) = (0, 0, 0);
        let mut digest = Context::new(&SHA256);
        while let Some(piece) = tokio::time::timeout(self.service.body_deadline, body.next())
            .await
            .map_err(|_| Error::new(Code::RequestTimeout))?
        {
            let piece = piece.map_err(|_| Error::new(Code::MalformedJson))?;
            size += piece.len();
            if size > LARGEST_IMPORT {
                return Err(import_too_large());
            }
            digest.update(&piece);
            for part in piece.split_inclusive(|byte| *byte == b'\n') {
                weight += part.len();
                let Some((number, text)) = lines.feed(part) else {
                    continue;
                };
                batch.push(received(self.call, number, text));
                if batch.len() == BATCH || weight >= HEAVY {
                    count += batch.len();
                    if count > MOST_LINES {
                        return Err(import_too_large());
                    }
                    self.store(std::mem::take(&mut batch)).await?;
                    weight = 0;
                }
            }
        }
        if let Some((number, text)) = lines.last() {
            batch.push(received(self.call, number, text));
        }
        if count + batch.len() > MOST_LINES {
            return Err(import_too_large());
        }
        self.store(batch).await?;
        Ok(digest.finish().as_ref().to_vec())
    }

    async fn store(&self, batch: Vec<Received>) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let (id, now) = (self.id, (self.service.clock.0)());
        self.db
            .write(move |conn| queries::add(conn, id, &batch, now))
            .await
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
    responses((status = 200, description = "The import.", body = ImportJob)),
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
            let import = queries::find(conn, path.import_id)?;
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
            let import = queries::find(conn, path.import_id)?;
            expect_own(&call, &import)?;
            queries::rows(conn, import.id, filter.outcome.as_deref(), &window)
        })
        .await?;
    ImportRowPage::answer(&paging, rows, |row| (row.line, row.id))
}

/// 404 when an integration asks for another's import.
fn expect_own(call: &Call, import: &ImportJob) -> Result<(), Error> {
    if call.actor.integration().is_some() && import.created_by != call.actor.name() {
        return Err(Error::new(Code::NotFound));
    }
    Ok(())
}
