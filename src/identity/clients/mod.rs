//! API clients: the credentials by which machines are let in, such as HR systems (domain section 7).
//!
//! An HR administrator makes one with scopes, perhaps for some units only, for one source system and until a day. Its secret is shown
//! once and kept as its SHA-256. While a secret is being replaced, both are good. What has ended is refused by every instance within
//! seconds: each keeps the secrets' digests in memory ([`crate::references`]), so that authentication takes no database thread.

pub mod handlers;
pub mod queries;

use aws_lc_rs::{constant_time, digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text as SqlText};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Integration;
use crate::changes::{self, Change, Operation, ResourceType};
use crate::db::Db;
use crate::db::schema::api_client_details;
use crate::db::sql_types::AsJson;
use crate::error::{Code, Error};
use crate::guideline::Text;
use crate::http::call::Call;
use crate::http::patch::merged;
use crate::organisation::units;
use crate::rules::Fault;
use crate::rules::access::Scope;
use crate::{page_of, patch_of, sort_by};

crate::stored_as_text!(Scope);

/// How every secret begins, so that one that lies about in a file is known for what it is.
pub const PREFIX: &str = "kompetens_";
/// How long the secret before stays good after a rotation, if nothing else is said.
const OVERLAP: Duration = Duration::days(7);
/// How often the use of a secret is written.
const NOTED_EVERY: Duration = Duration::minutes(1);

/// A machine that may use the service.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = api_client_details, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct MachineClient {
    /// The id. In the change log, and where a person would be named, the client is `client:` and this.
    #[schema(example = "0190a000-0000-7000-8000-000000001a01")]
    pub id: Uuid,
    /// Goes up by one with each change.
    #[schema(example = 1)]
    pub revision: i32,
    /// What people call it.
    #[schema(example = "HR-systemet")]
    pub name: String,
    /// What it may do.
    #[schema(example = json!(["events:read", "organisation:write", "imports:write"]))]
    pub scopes: Vec<Scope>,
    /// The units that its scopes reach, with those below them; absent: the whole group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["0190a000-0000-7000-8000-000000000101"]))]
    pub unit_ids: Option<Vec<Uuid>>,
    /// The one source system whose external ids it may read and write.
    #[schema(example = "hr-system")]
    pub source_system: String,
    /// When its secrets stop working.
    #[schema(example = "2027-12-31T23:00:00Z")]
    pub expires_at: DateTime<Utc>,
    /// When it was ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2027-03-01T08:00:00Z")]
    pub ended_at: Option<DateTime<Utc>>,
    /// Its secrets, by their ids: one, or two while one takes the other's place.
    #[schema(value_type = Vec<MachineClientSecret>)]
    pub secrets: AsJson<Vec<MachineClientSecret>>,
    /// The new secret, to be sent as `Authorization: Bearer …`: only in the answer that made it.
    #[diesel(select_expression = sql("null"), select_expression_type = SqlLiteral<Nullable<SqlText>>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        example = "kompetens_0190a000000070008000000000001b01_shown-once-and-never-again-0123456789abcdef"
    )]
    pub secret: Option<String>,
    /// Who made it.
    #[schema(example = "person-0001")]
    pub created_by: String,
    /// When it was made.
    #[schema(example = "2026-10-05T06:30:00Z")]
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    #[schema(example = "2026-10-05T06:30:00Z")]
    pub updated_at: DateTime<Utc>,
}

/// A secret of an API client, without the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MachineClientSecret {
    /// The id, which is a part of the secret.
    #[schema(example = "0190a000-0000-7000-8000-000000001b01")]
    pub id: Uuid,
    /// When it was made.
    #[schema(example = "2026-10-05T06:30:00Z")]
    pub created_at: DateTime<Utc>,
    /// Until when it works beside the one that took its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-10-12T06:30:00Z")]
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-10-06T06:30:00Z")]
    pub last_used_at: Option<DateTime<Utc>>,
}

/// An API client to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"name": "HR-systemet", "scopes": ["events:read", "organisation:write", "imports:write"], "sourceSystem": "hr-system", "expiresAt": "2099-12-31T23:00:00Z"}))]
pub struct NewMachineClient {
    /// What people call it.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"\S",
        example = "HR-systemet"
    )]
    pub name: String,
    /// What it may do.
    #[schema(min_items = 1, max_items = 9, example = json!(["events:read", "organisation:write", "imports:write"]))]
    pub scopes: BTreeSet<Scope>,
    /// The units that its scopes shall reach, with those below them; absent: the whole group, which `organisation:write` and
    /// `imports:write` always need.
    #[schema(min_items = 1, max_items = 50)]
    pub unit_ids: Option<BTreeSet<Uuid>>,
    /// The one source system whose external ids it may read and write; set once.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[A-Za-z0-9._~-]{1,100}$",
        example = "hr-system"
    )]
    pub source_system: String,
    /// When its secrets shall stop working.
    #[schema(example = "2099-12-31T23:00:00Z")]
    pub expires_at: DateTime<Utc>,
}

/// A secret to replace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretRotation {
    /// Until when the secret before stays good; without it, for seven days. A moment that has passed ends it now.
    #[schema(example = "2026-10-12T08:30:00+02:00")]
    pub previous_expires_at: Option<DateTime<Utc>>,
}

patch_of!(MachineClientPatch, NewMachineClient, "Changes to an API client. `sourceSystem` is set once.", {"name": "HR-systemet"});
page_of!(
    /// A page of API clients.
    MachineClientPage, MachineClient
);
sort_by!(
    MachineClientSort,
    "name",
    "-name",
    "By name, in Swedish order."
);

/// What a machine proves itself with: `kompetens_`, the id in hexadecimal, `_`, and 32 random bytes in base64url.
pub struct Secret {
    pub id: Uuid,
    text: String,
}

impl Secret {
    pub fn random() -> Result<Secret, Error> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).map_err(Error::internal)?;
        let id = Uuid::now_v7();
        let text = format!("{PREFIX}{}_{}", id.simple(), URL_SAFE_NO_PAD.encode(bytes));
        Ok(Secret { id, text })
    }

    /// As the machine sends it.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn hash(&self) -> Vec<u8> {
        hash(&self.text)
    }
}

fn hash(text: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, text.as_bytes())
        .as_ref()
        .to_vec()
}

/// The secrets that are good, by their ids: what an instance keeps in memory.
pub struct Secrets(HashMap<Uuid, Known>);

struct Known {
    hash: Vec<u8>,
    expires_at: DateTime<Utc>,
    integration: Arc<Integration>,
}

/// What became of a secret.
pub enum Verdict {
    /// The secret's id, and whose it is.
    Good(Uuid, Arc<Integration>),
    Refused,
    /// There is no secret with this id; perhaps it was made a moment ago.
    Unknown,
}

impl Secrets {
    /// Compares in constant time.
    pub fn judge(&self, text: &str, now: DateTime<Utc>) -> Verdict {
        let id = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('_'))
            .and_then(|(id, _)| Uuid::try_parse(id).ok());
        let Some(id) = id else {
            return Verdict::Refused;
        };
        let Some(known) = self.0.get(&id) else {
            return Verdict::Unknown;
        };
        let is_same = constant_time::verify_slices_are_equal(&known.hash, &hash(text)).is_ok();
        if is_same && now < known.expires_at {
            Verdict::Good(id, known.integration.clone())
        } else {
            Verdict::Refused
        }
    }
}

/// The secrets that were used, until it is written: apart from the requests, at most once a minute for each.
#[derive(Default)]
pub struct Uses(Mutex<UsesState>);

#[derive(Default)]
struct UsesState {
    noted: HashMap<Uuid, DateTime<Utc>>,
    unwritten: HashMap<Uuid, DateTime<Utc>>,
}

impl Uses {
    pub fn note(&self, secret: Uuid, now: DateTime<Utc>) {
        let mut state = self.state();
        if state
            .noted
            .get(&secret)
            .is_none_or(|at| now - *at >= NOTED_EVERY)
        {
            state.noted.insert(secret, now);
            state.unwritten.insert(secret, now);
        }
    }

    /// Writes them, for as long as the service runs.
    pub async fn write_regularly(self: Arc<Self>, db: Db) {
        loop {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            let unwritten = std::mem::take(&mut self.state().unwritten);
            if unwritten.is_empty() {
                continue;
            }
            let rows: Vec<(Uuid, DateTime<Utc>)> =
                unwritten.iter().map(|(id, at)| (*id, *at)).collect();
            if db
                .write(move |conn| queries::note_uses(conn, &rows))
                .await
                .is_err()
            {
                // the database is away; what was used meanwhile is later
                let mut state = self.state();
                for (id, at) in unwritten {
                    state.unwritten.entry(id).or_insert(at);
                }
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, UsesState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes an API client with its first secret, and its change entry, which has no secret.
pub fn create(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    secret: &Secret,
    new: &NewMachineClient,
) -> Result<MachineClient, Error> {
    expect_sound(conn, call, new)?;
    queries::insert(conn, call, id, new)?;
    queries::insert_secret(conn, call, id, secret)?;
    let client = queries::find(conn, id)?;
    append(conn, call, None, &client)?;
    Ok(client)
}

/// Gives an API client, which is locked, other values; leaves it alone when they are the same.
pub fn change(
    conn: &mut PgConnection,
    call: &Call,
    before: &MachineClient,
    new: &NewMachineClient,
) -> Result<MachineClient, Error> {
    if *new == merged(before, &serde_json::Map::new())? {
        return Ok(before.clone());
    }
    if new.source_system != before.source_system {
        return Err(Error::at_pointer(Code::ImmutableField, "/sourceSystem"));
    }
    expect_sound(conn, call, new)?;
    expect_not_ended(before)?;
    queries::update(conn, call, before, new)?;
    changed(conn, call, before)
}

/// Gives an API client, which is locked, a new secret. The one before stays good for a while; one that was still good from an earlier
/// rotation does not: there are never more than two.
pub fn rotate(
    conn: &mut PgConnection,
    call: &Call,
    before: &MachineClient,
    secret: &Secret,
    rotation: &SecretRotation,
) -> Result<MachineClient, Error> {
    expect_not_ended(before)?;
    let until = rotation
        .previous_expires_at
        .unwrap_or(call.now + OVERLAP)
        .min(before.expires_at);
    let mut standing = before.secrets.0.iter().rev();
    if let Some(previous) = standing.next() {
        // an earlier end stays earlier
        let until = previous.expires_at.map_or(until, |at| at.min(until));
        if until > call.now {
            queries::let_expire(conn, previous.id, until)?;
        } else {
            queries::end_secrets(conn, call, &[previous.id])?;
        }
    }
    let older: Vec<Uuid> = standing.map(|secret| secret.id).collect();
    queries::end_secrets(conn, call, &older)?;
    queries::insert_secret(conn, call, before.id, secret)?;
    queries::touch(conn, call, before)?;
    changed(conn, call, before)
}

/// Ends an API client, which is locked, with its secrets; one that has ended stays as it is.
pub fn end(
    conn: &mut PgConnection,
    call: &Call,
    before: &MachineClient,
) -> Result<MachineClient, Error> {
    if before.ended_at.is_some() {
        return Ok(before.clone());
    }
    let secrets: Vec<Uuid> = before.secrets.0.iter().map(|secret| secret.id).collect();
    queries::end_secrets(conn, call, &secrets)?;
    queries::end(conn, call, before)?;
    changed(conn, call, before)
}

fn changed(
    conn: &mut PgConnection,
    call: &Call,
    before: &MachineClient,
) -> Result<MachineClient, Error> {
    let client = queries::find(conn, before.id)?;
    append(conn, call, Some(before), &client)?;
    Ok(client)
}

fn append(
    conn: &mut PgConnection,
    call: &Call,
    before: Option<&MachineClient>,
    after: &MachineClient,
) -> Result<(), Error> {
    let change = Change {
        operation: if before.is_some() {
            Operation::Update
        } else {
            Operation::Create
        },
        resource: ResourceType::ApiClient,
        id: after.id,
        revision: after.revision,
        event_id: None,
        before,
        after: Some(after),
    };
    changes::append(conn, call, &change)
}

fn expect_not_ended(client: &MachineClient) -> Result<(), Error> {
    if client.ended_at.is_some() {
        return Err(Error::new(Code::ApiClientEnded));
    }
    Ok(())
}

/// What the document cannot say of a client.
fn expect_sound(conn: &mut PgConnection, call: &Call, new: &NewMachineClient) -> Result<(), Error> {
    if new.expires_at <= call.now {
        let detail = Text::new(
            "Tidpunkten har passerat. Välj en senare, eller avsluta klienten.",
            "The moment has passed. Choose a later one, or end the client.",
        );
        let fault = Fault::new("/expiresAt", "too-early", detail);
        return Err(Error::faults(Code::InvalidBody, vec![fault]));
    }
    let Some(unit_ids) = &new.unit_ids else {
        return Ok(());
    };
    let whole_group = [Scope::OrganisationWrite, Scope::ImportsWrite];
    if whole_group.iter().any(|scope| new.scopes.contains(scope)) {
        let detail = Text::new(
            "organisation:write och imports:write gäller hela koncernen. Ta bort dem eller unitIds.",
            "organisation:write and imports:write are for the whole group. Remove them or unitIds.",
        );
        let fault = Fault::new("/unitIds", "whole-group-only", detail);
        return Err(Error::faults(Code::InvalidBody, vec![fault]));
    }
    let asked: Vec<Uuid> = unit_ids.iter().copied().collect();
    let known = units::queries::known(conn, &asked)?;
    match asked.iter().position(|id| !known.contains(id)) {
        Some(index) => Err(Error::at_pointer(
            Code::UnknownUnit,
            format!("/unitIds/{index}"),
        )),
        None => Ok(()),
    }
}
