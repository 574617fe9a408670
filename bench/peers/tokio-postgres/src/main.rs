//! Get, list and create as a user of axum and tokio-postgres would write them, on the service's own tables.

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::{StatusCode, header, request::Parts};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, NaiveDate, Utc};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use tokio_postgres::types::Json as Jsonb;
use tokio_postgres::{NoTls, Row};
use uuid::Uuid;

#[derive(Clone)]
struct App {
    pool: Pool,
    key: Arc<(DecodingKey, Validation)>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    roles: Vec<String>,
    units: Vec<Uuid>,
}

impl FromRequestParts<App> for Claims {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Claims, StatusCode> {
        let token = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let claims = token.and_then(|token| decode::<Claims>(token, &app.key.0, &app.key.1).ok());
        claims.map(|data| data.claims).ok_or(StatusCode::UNAUTHORIZED)
    }
}

const COLUMNS: &str = "id, revision, title, description, kind, arranger, partners, organising_unit_ids, responsible_person, occasions, \
    expected_participants, actual_participants, estimated_cost, actual_cost, registry_number, external_reference, guideline_version_id, \
    status, first_start::timestamptz, last_end::timestamptz, iso_week, open_findings, source_system, external_id, \
    created_at::timestamptz, updated_at::timestamptz";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    id: Uuid,
    revision: i32,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    kind: String,
    arranger: String,
    partners: Vec<String>,
    organising_unit_ids: Vec<Uuid>,
    responsible_person: String,
    occasions: Vec<Occasion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_participants: Option<Participants>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actual_participants: Option<Participants>,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_cost: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actual_cost: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registry_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_reference: Option<String>,
    guideline_version_id: Uuid,
    status: String,
    first_start: DateTime<Utc>,
    last_end: DateTime<Utc>,
    iso_week: String,
    open_findings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_system: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Row> for Event {
    fn from(row: Row) -> Event {
        let participants = |index| row.get::<_, Option<Jsonb<Participants>>>(index).map(|json| json.0);
        Event {
            id: row.get(0),
            revision: row.get(1),
            title: row.get(2),
            description: row.get(3),
            kind: row.get(4),
            arranger: row.get(5),
            partners: row.get::<_, Jsonb<_>>(6).0,
            organising_unit_ids: row.get(7),
            responsible_person: row.get(8),
            occasions: row.get::<_, Jsonb<_>>(9).0,
            expected_participants: participants(10),
            actual_participants: participants(11),
            estimated_cost: row.get(12),
            actual_cost: row.get(13),
            registry_number: row.get(14),
            external_reference: row.get(15),
            guideline_version_id: row.get(16),
            status: row.get(17),
            first_start: row.get(18),
            last_end: row.get(19),
            iso_week: row.get(20),
            open_findings: row.get(21),
            source_system: row.get(22),
            external_id: row.get(23),
            created_at: row.get(24),
            updated_at: row.get(25),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Occasion {
    id: Option<Uuid>,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    place: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    venue_id: Option<Uuid>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Participants {
    total: u32,
    #[serde(default)]
    per_unit: Vec<UnitCount>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UnitCount {
    unit_id: Uuid,
    count: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewEvent {
    title: String,
    description: Option<String>,
    kind: String,
    arranger: String,
    #[serde(default)]
    partners: Vec<String>,
    organising_unit_ids: Vec<Uuid>,
    responsible_person: String,
    occasions: Vec<Occasion>,
    expected_participants: Option<Participants>,
    estimated_cost: Option<i64>,
    registry_number: Option<String>,
    external_reference: Option<String>,
}

impl NewEvent {
    fn is_valid(&self) -> bool {
        let bounded = |text: &Option<String>, most| text.as_ref().is_none_or(|text| (1..=most).contains(&text.chars().count()));
        !self.title.trim().is_empty()
            && self.title.chars().count() <= 200
            && bounded(&self.description, 5000)
            && ["planningDay", "kickOff", "trainingDay", "training", "conference", "other"].contains(&self.kind.as_str())
            && ["group", "coArranged"].contains(&self.arranger.as_str())
            && (1..=20).contains(&self.organising_unit_ids.len())
            && (1..=100).contains(&self.occasions.len())
            && self
                .occasions
                .iter()
                .all(|of| of.ends_at > of.starts_at && (of.place == "venue") == of.venue_id.is_some())
            && self.estimated_cost.is_none_or(|cost| (0..=1_000_000_000).contains(&cost))
            && bounded(&self.registry_number, 100)
            && bounded(&self.external_reference, 200)
    }
}

/// Whatever PostgreSQL or JSON refuses is 500 here.
struct Failure;

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        eprintln!("{error}");
        Failure
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

fn answer(status: StatusCode, event: &Event) -> Result<Response, Failure> {
    let body = serde_json::to_vec(event)?;
    let hash: String = digest(&SHA256, &body).as_ref()[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let etag = format!("\"{}-{hash}\"", event.revision);
    Ok((
        status,
        [(header::CONTENT_TYPE, "application/json".to_owned()), (header::ETAG, etag)],
        body,
    )
        .into_response())
}

async fn get_event(State(app): State<App>, claims: Claims, Path(id): Path<Uuid>) -> Result<Response, Failure> {
    let client = app.pool.get().await?;
    let statement = client
        .prepare_cached(&format!("select {COLUMNS} from event_details where id = $1"))
        .await?;
    let event = client.query_opt(&statement, &[&id]).await?.map(Event::from);
    let seen = |event: &Event| {
        event.status != "draft"
            || claims.roles.iter().any(|role| role == "hrAdministrator")
            || event.organising_unit_ids.iter().any(|unit| claims.units.contains(unit))
    };
    match event.filter(seen) {
        Some(event) => answer(StatusCode::OK, &event),
        None => Ok(StatusCode::NOT_FOUND.into_response()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    limit: Option<i64>,
    cursor: Option<String>,
    from: Option<NaiveDate>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    items: Vec<Event>,
    next_cursor: Option<String>,
}

async fn list_events(State(app): State<App>, claims: Claims, Query(query): Query<ListQuery>) -> Result<Response, Failure> {
    let limit = query.limit.unwrap_or(20).clamp(1, 100);
    let from = query
        .from
        .unwrap_or(NaiveDate::MIN.max(NaiveDate::from_ymd_opt(1900, 1, 1).unwrap()))
        .and_time(Default::default())
        .and_utc();
    let (after, last): (DateTime<Utc>, Uuid) = match query.cursor.and_then(|cursor| URL_SAFE_NO_PAD.decode(cursor).ok()) {
        Some(cursor) => serde_json::from_slice(&cursor)?,
        None => (from, Uuid::nil()),
    };
    let client = app.pool.get().await?;
    let sql = format!(
        "select {COLUMNS} from event_details where last_end > $1 and first_start >= $2 and (first_start > $2 or id > $3) \
         and (status <> 'draft' or organising_unit_ids && $4::uuid[]) order by first_start, id limit $5"
    );
    let statement = client.prepare_cached(&sql).await?;
    let rows = client
        .query(&statement, &[&from, &after, &last, &claims.units, &(limit + 1)])
        .await?;
    let more = rows.len() > limit as usize;
    let items: Vec<Event> = rows.into_iter().take(limit as usize).map(Event::from).collect();
    let cursor = |event: &Event| serde_json::to_vec(&(event.first_start, event.id)).map(|key| URL_SAFE_NO_PAD.encode(key));
    let next_cursor = items.last().filter(|_| more).map(cursor).transpose()?;
    Ok(Json(Page { items, next_cursor }).into_response())
}

async fn create_event(State(app): State<App>, claims: Claims, Json(new): Json<NewEvent>) -> Result<Response, Failure> {
    let may =
        claims.roles.iter().any(|role| role == "hrAdministrator") || new.organising_unit_ids.iter().any(|unit| claims.units.contains(unit));
    if !may {
        return Ok(StatusCode::FORBIDDEN.into_response());
    }
    if !new.is_valid() {
        return Ok(StatusCode::UNPROCESSABLE_ENTITY.into_response());
    }
    let (now, id) = (Utc::now(), Uuid::now_v7());
    let mut client = app.pool.get().await?;
    let transaction = client.transaction().await?;
    let statement = transaction
        .prepare_cached("select id from units where id = any($1) and valid_from <= $2 for share")
        .await?;
    let units = transaction
        .query(&statement, &[&new.organising_unit_ids, &now.date_naive()])
        .await?;
    let statement = transaction
        .prepare_cached("select exists (select from people where person_ref = $1)")
        .await?;
    let person: bool = transaction.query_one(&statement, &[&new.responsible_person]).await?.get(0);
    if units.len() < new.organising_unit_ids.len() || !person {
        return Ok(StatusCode::UNPROCESSABLE_ENTITY.into_response());
    }
    let statement = transaction
        .prepare_cached("select id from guideline_versions where valid_from <= $1 order by valid_from desc, posted desc limit 1")
        .await?;
    let version: Uuid = transaction.query_one(&statement, &[&now.date_naive()]).await?.get(0);
    let statement = transaction
        .prepare_cached(
            "insert into events (id, revision, title, description, kind, arranger, partners, responsible_person, expected_participants, \
             estimated_cost, registry_number, external_reference, guideline_version_id, status, first_start, last_end, created_at, updated_at) \
             values ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'draft', $13::timestamptz, $14::timestamptz, $15::timestamptz, $15::timestamptz)",
        )
        .await?;
    let first_start = new.occasions.iter().map(|of| of.starts_at).min();
    let last_end = new.occasions.iter().map(|of| of.ends_at).max();
    transaction
        .execute(
            &statement,
            &[
                &id,
                &new.title,
                &new.description,
                &new.kind,
                &new.arranger,
                &Jsonb(&new.partners),
                &new.responsible_person,
                &new.expected_participants.as_ref().map(Jsonb),
                &new.estimated_cost,
                &new.registry_number,
                &new.external_reference,
                &version,
                &first_start,
                &last_end,
                &now,
            ],
        )
        .await?;
    let statement = transaction
        .prepare_cached("insert into event_organisers (event_id, unit_id, position) values ($1, $2, $3)")
        .await?;
    for (position, unit) in new.organising_unit_ids.iter().enumerate() {
        transaction.execute(&statement, &[&id, unit, &(position as i16)]).await?;
    }
    let statement = transaction
        .prepare_cached("insert into occasions (id, event_id, starts_at, ends_at, place, venue_id) values ($1, $2, $3::timestamptz, $4::timestamptz, $5, $6)")
        .await?;
    for of in &new.occasions {
        transaction
            .execute(
                &statement,
                &[&Uuid::now_v7(), &id, &of.starts_at, &of.ends_at, &of.place, &of.venue_id],
            )
            .await?;
    }
    let statement = transaction
        .prepare_cached(&format!("select {COLUMNS} from event_details where id = $1"))
        .await?;
    let event = Event::from(transaction.query_one(&statement, &[&id]).await?);
    let after: Value = serde_json::to_value(&event)?;
    let salt = *Uuid::new_v4().as_bytes();
    let hash = digest(&SHA256, &[&salt[..], after.to_string().as_bytes()].concat());
    let statement = transaction
        .prepare_cached(
            "insert into changes (request_id, occurred_at, actor, operation, resource_type, resource_id, revision, event_id, digest) \
             values ($1, $2::timestamptz, $3, 'create', 'event', $4, 1, $4, $5) returning entry_id",
        )
        .await?;
    let entry: i64 = transaction
        .query_one(&statement, &[&Uuid::new_v4().to_string(), &now, &claims.sub, &id, &hash.as_ref()])
        .await?
        .get(0);
    let statement = transaction
        .prepare_cached("insert into change_payloads (entry_id, salt, after) values ($1, $2, $3)")
        .await?;
    transaction.execute(&statement, &[&entry, &&salt[..], &Jsonb(&after)]).await?;
    transaction.commit().await?;
    answer(StatusCode::CREATED, &event)
}

fn main() {
    let setting = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is missing"));
    let jwks: JwkSet = serde_json::from_str(&std::fs::read_to_string(setting("JWKS_FILE")).expect("a JWKS")).expect("a JWKS");
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[setting("ISSUER")]);
    validation.set_audience(&[setting("AUDIENCE")]);
    let key = DecodingKey::from_jwk(&jwks.keys[0]).expect("a key");
    let config: tokio_postgres::Config = setting("DATABASE_URL").parse().expect("a database URL");
    let manager = Manager::from_config(
        config,
        NoTls,
        ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        },
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let pool = Pool::builder(manager).max_size(8).build().expect("a pool");
        let app = Router::new()
            .route("/kompetens/v1/events/{id}", get(get_event))
            .route("/kompetens/v1/events", get(list_events).post(create_event))
            .with_state(App {
                pool,
                key: Arc::new((key, validation)),
            });
        let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{}", setting("PORT")))
            .await
            .expect("a free port");
        axum::serve(listener, app).await.expect("a server");
    });
}
