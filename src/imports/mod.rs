//! Imports: what another system keeps, as JSON lines, each line one write by external id.
//!
//! The body is stored line by line as it comes, judged by its form, and carried out afterwards by whichever instance has the turn:
//! each line in a transaction of its own together with its result. So a bad line loses no good one, an import whose instance dies
//! goes on at the next line, and no line is done twice. A body that never came whole is `interrupted`, and nothing of it is done.
//! Sending the same lines again is safe, as every write by external id is. What a line said is forgotten once it has its result.

pub mod handlers;
pub mod queries;

use chrono::{DateTime, Utc};
use diesel::Connection;
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::db::Db;
use crate::db::schema::{import_rows, imports};
use crate::db::sql_types::AsJson;
use crate::error::{At, Code, Error, Fate, FieldError};
use crate::events::Event;
use crate::external_ids::{self, External, ExternalId, Written, new_ids};
use crate::guideline::Text;
use crate::http::call::{Call, pointer};
use crate::http::contract::LARGEST_BODY;
use crate::http::{Clock, json_text, operation_body_fault};
use crate::identity::{Actor, Identity, Integration};
use crate::organisation::appointments::OfficeAppointment;
use crate::organisation::contracts::SupplierContract;
use crate::organisation::goals::BusinessGoal;
use crate::organisation::people::Person;
use crate::organisation::units::Unit;
use crate::organisation::venues::Venue;
use crate::rules::access::{Role, Scope};

crate::stored_as_text!(ImportStatus, ImportOutcome, ImportedResource);

/// An import of JSON lines.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = imports, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct Import {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000002001")]
    pub id: Uuid,
    /// How far it has come.
    #[schema(example = "completed")]
    pub status: ImportStatus,
    /// Is it only tried? Then every line is judged as it stands, and nothing is kept of it but its result.
    #[schema(example = false)]
    pub dry_run: bool,
    /// How many lines it has.
    #[schema(example = 2)]
    pub lines: i32,
    /// How many of them have their result.
    #[schema(example = 2)]
    pub processed: i32,
    /// How many resources were created.
    #[schema(example = 0)]
    pub created: i32,
    /// How many were changed.
    #[schema(example = 0)]
    pub changed: i32,
    /// How many were left alone, for they are so already.
    #[schema(example = 1)]
    pub unchanged: i32,
    /// How many lines were skipped, for the guideline does not cover them; they need no approval.
    #[schema(example = 1)]
    pub outside_guideline: i32,
    /// How many were refused; each says why.
    #[schema(example = 0)]
    pub refused: i32,
    /// Who sent it.
    #[schema(example = "person-0001")]
    pub created_by: String,
    /// When it was sent.
    #[schema(example = "2026-10-05T06:30:00Z")]
    pub created_at: DateTime<Utc>,
    /// When it last came further.
    #[schema(example = "2026-10-05T06:30:01Z")]
    pub updated_at: DateTime<Utc>,
}

/// How far an import has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ImportStatus {
    /// Its body is on its way.
    Receiving,
    /// Its body never came whole, and nothing of it was done. Send it again.
    Interrupted,
    /// Its lines are being carried out, by whichever instance has the turn.
    Running,
    /// Every line has its result.
    Completed,
}

/// One line of an import and what became of it.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = import_rows, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct ImportRow {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000002002")]
    pub id: Uuid,
    /// Which line of the body, from 1; blank lines count and have no row.
    #[schema(example = 1)]
    pub line: i32,
    /// What became of it.
    #[schema(example = "unchanged")]
    pub outcome: ImportOutcome,
    /// Which resource it is; absent when the line could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "businessGoal")]
    pub resource: Option<ImportedResource>,
    /// The system that keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "hr-system")]
    pub source_system: Option<String>,
    /// Its id in that system.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "4711")]
    pub external_id: Option<String>,
    /// The resource's own id, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0190a000-0000-7000-8000-000000000401")]
    pub resource_id: Option<Uuid>,
    /// Why it was skipped or refused: what the single operation would have answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ImportProblem>)]
    pub problem: Option<AsJson<ImportProblem>>,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ImportOutcome {
    /// It waits for its turn.
    Pending,
    /// The resource was created.
    Created,
    /// The resource was changed.
    Changed,
    /// The resource is so already.
    Unchanged,
    /// The guideline does not cover it, so it is not stored. It needs no approval.
    OutsideGuideline,
    /// It was refused; `problem` says why.
    Refused,
}

/// Why a line was skipped or refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportProblem {
    /// The code of the problem, as in docs/API.md.
    #[schema(example = "outside-guideline")]
    pub code: String,
    /// What is wrong.
    pub title: Text,
    /// What to do next.
    pub detail: Text,
    /// What is wrong where in the line.
    pub errors: Vec<ImportFault>,
}

/// What is wrong at one place of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportFault {
    /// A JSON pointer into the line, or the name of what was wrong.
    #[schema(example = "/body/kind")]
    pub pointer: String,
    /// The code of the fault.
    #[schema(example = "studyVisit")]
    pub code: String,
    /// What was expected.
    pub detail: Text,
}

/// One line: a write by external id.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportLine {
    /// Which resource it is.
    #[schema(example = "businessGoal")]
    pub resource: ImportedResource,
    /// The system that keeps it. An integration may leave it out: then it is its own.
    #[schema(pattern = r"^[A-Za-z0-9._~-]{1,100}$", example = "hr-system")]
    pub source_system: Option<String>,
    /// Its id in that system.
    #[schema(pattern = r"^[A-Za-z0-9._~-]{1,100}$", example = "4711")]
    pub external_id: String,
    /// The resource, as the body of the PUT by external id.
    #[schema(value_type = Object, example = json!({"unitId": "0190a000-0000-7000-8000-000000000101", "title": "Fler elever når gymnasiebehörighet", "validFrom": "2020-01-01"}))]
    pub body: Value,
}

/// The resources that can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ImportedResource {
    /// A unit.
    Unit,
    /// A person.
    Person,
    /// An office appointment.
    OfficeAppointment,
    /// A business goal.
    BusinessGoal,
    /// A venue.
    Venue,
    /// A supplier contract.
    SupplierContract,
    /// An event.
    Event,
}

impl ImportedResource {
    /// The operation that writes one of it.
    fn operation(self) -> &'static str {
        match self {
            ImportedResource::Unit => "put_external_unit",
            ImportedResource::Person => "put_external_person",
            ImportedResource::OfficeAppointment => "put_external_office_appointment",
            ImportedResource::BusinessGoal => "put_external_business_goal",
            ImportedResource::Venue => "put_external_venue",
            ImportedResource::SupplierContract => "put_external_supplier_contract",
            ImportedResource::Event => "put_external_event",
        }
    }
}

/// Who sent an import, with the rights of that moment, for when its lines are carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Importer {
    name: String,
    roles: BTreeSet<Role>,
    units: Option<BTreeSet<Uuid>>,
    client_id: Option<Uuid>,
    scopes: BTreeSet<Scope>,
    source_system: String,
}

impl Importer {
    fn of(call: &Call) -> Result<Importer, Error> {
        let name = call.actor.name().to_owned();
        match &*call.actor {
            Actor::Person(person) => Ok(Importer {
                name,
                roles: person.roles.clone(),
                units: Some(person.units.clone()),
                client_id: None,
                scopes: BTreeSet::new(),
                source_system: String::new(),
            }),
            Actor::Integration(machine) => Ok(Importer {
                name,
                roles: BTreeSet::new(),
                units: machine.units.clone(),
                client_id: Some(machine.client_id),
                scopes: machine.scopes.clone(),
                source_system: machine.source_system.clone(),
            }),
            Actor::System => Err(Error::new(Code::Forbidden)),
        }
    }

    fn actor(&self) -> Actor {
        match self.client_id {
            Some(id) => Actor::Integration(
                Integration::new(
                    id,
                    self.scopes.clone(),
                    self.units.clone(),
                    self.source_system.clone(),
                )
                .into(),
            ),
            None => Actor::Person(Identity {
                person_ref: self.name.clone(),
                roles: self.roles.clone(),
                units: self.units.clone().unwrap_or_default(),
            }),
        }
    }
}

/// A line as it is stored: its result, or what is still to be done.
pub struct Received {
    pub id: Uuid,
    line: i32,
    said: Option<ImportLine>,
    /// Why it is refused; a line without waits for its turn.
    problem: Option<ImportProblem>,
}

impl Received {
    fn refused(line: i32, said: Option<ImportLine>, problem: ImportProblem) -> Received {
        Received {
            id: Uuid::now_v7(),
            line,
            said,
            problem: Some(problem),
        }
    }
}

/// Judges a line of text by its form. What is refused here is stored without what it said.
pub fn received(call: &Call, line: i32, text: Result<&[u8], Code>) -> Received {
    match text.map_err(Error::new).and_then(read) {
        Ok(said) => judged(call, line, said),
        Err(error) => Received::refused(line, None, problem(&error, "")),
    }
}

fn read(text: &[u8]) -> Result<ImportLine, Error> {
    let value = json_text::parse(text)?;
    operation_body_fault("create_import", &value)?;
    serde_path_to_error::deserialize(value)
        .map_err(|error| Error::at_pointer(Code::InvalidBody, pointer(error.path())))
}

/// Judges a line by its form: as what it says it is, and from whom.
pub fn judged(call: &Call, line: i32, mut said: ImportLine) -> Received {
    let own = call.actor.integration();
    if said.source_system.is_none() {
        said.source_system = own.map(|machine| machine.source_system.clone());
    }
    if said.source_system.is_none() {
        let error = Error::new(Code::InvalidBody).with(FieldError {
            at: At::Pointer("/sourceSystem".to_owned()),
            code: "required".to_owned(),
            detail: Text::new(
                "Ange vilket system som håller posten. Bara en integration kan utelämna det.",
                "Say which system keeps it. Only an integration may leave it out.",
            ),
        });
        return Received::refused(line, Some(said), problem(&error, ""));
    }
    let fault = operation_body_fault(said.resource.operation(), &said.body)
        .and_then(|()| external_ids::expect_own_system(call, &external_id(&said)));
    match fault {
        Ok(()) => Received {
            id: Uuid::now_v7(),
            line,
            said: Some(said),
            problem: None,
        },
        Err(error) => Received::refused(line, Some(said), problem(&error, "/body")),
    }
}

fn external_id(said: &ImportLine) -> ExternalId {
    ExternalId {
        source_system: said.source_system.clone().unwrap_or_default(),
        external_id: said.external_id.clone(),
    }
}

/// The problem that the single operation would have answered, with pointers into the line.
fn problem(error: &Error, below: &str) -> ImportProblem {
    ImportProblem {
        code: error.code().as_str().to_owned(),
        title: error.code().title(),
        detail: error.shown_detail(),
        errors: error
            .errors()
            .iter()
            .map(|fault| ImportFault {
                pointer: match &fault.at {
                    At::Pointer(place) => format!("{below}{place}"),
                    At::Parameter(name) => format!("/{name}"),
                    At::Header(name) => (*name).to_owned(),
                    At::Rule => String::new(),
                },
                code: fault.code.clone(),
                detail: fault.detail.clone(),
            })
            .collect(),
    }
}

/// Carries out imports for as long as the service runs, a line at a time.
pub async fn run(db: Db, clock: Clock, poll: Duration) {
    loop {
        let now = (clock.0)();
        match db.write(move |conn| step(conn, now)).await {
            Ok(true) => {}
            Ok(false) => tokio::time::sleep(poll).await,
            // the database is away, or has enough to do: the line is done later
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

/// Does the next line of the oldest import that no other instance is at; says whether there may be more.
pub fn step(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<bool, Error> {
    let Some(import) = queries::take(conn)? else {
        return Ok(false);
    };
    let Some((row, said)) = queries::next(conn, import.id)? else {
        queries::complete(conn, import.id, now)?;
        return Ok(true);
    };
    let call = Call::new(import.importer.0.actor(), now, &import.request_id);
    let (outcome, resource_id, problem) = match carry_out(conn, &call, &said.0, import.dry_run) {
        Ok((id, written)) => {
            let outcome = match written {
                Written::Created => ImportOutcome::Created,
                Written::Changed => ImportOutcome::Changed,
                Written::Unchanged => ImportOutcome::Unchanged,
            };
            let kept = !(import.dry_run && written == Written::Created);
            (outcome, kept.then_some(id), None)
        }
        Err(error) if error.fate() != Fate::Final || error.code().status() == 503 => {
            return Err(error);
        }
        Err(error) => {
            let outcome = if error.code() == Code::OutsideGuideline {
                ImportOutcome::OutsideGuideline
            } else {
                ImportOutcome::Refused
            };
            (outcome, None, Some(problem(&error, "/body")))
        }
    };
    queries::settle(conn, row, outcome, resource_id, problem, now)?;
    Ok(true)
}

/// Writes what a line says, in a transaction within that of its result; a dry run takes it back.
fn carry_out(
    conn: &mut PgConnection,
    call: &Call,
    said: &ImportLine,
    dry_run: bool,
) -> Result<(Uuid, Written), Error> {
    let mut done = None;
    let outcome = conn.transaction(|conn| {
        done = Some(write(conn, call, said)?);
        if dry_run {
            return Err(Error::from(diesel::result::Error::RollbackTransaction));
        }
        Ok(())
    });
    match (outcome, done) {
        (Err(error), None) => Err(error),
        (Err(error), _) if !dry_run => Err(error),
        (_, Some(done)) => Ok(done),
        (Ok(()), None) => Err(Error::internal("a line that did nothing")),
    }
}

fn write(
    conn: &mut PgConnection,
    call: &Call,
    said: &ImportLine,
) -> Result<(Uuid, Written), Error> {
    match said.resource {
        ImportedResource::Unit => written::<Unit>(conn, call, said),
        ImportedResource::Person => written::<Person>(conn, call, said),
        ImportedResource::OfficeAppointment => written::<OfficeAppointment>(conn, call, said),
        ImportedResource::BusinessGoal => written::<BusinessGoal>(conn, call, said),
        ImportedResource::Venue => written::<Venue>(conn, call, said),
        ImportedResource::SupplierContract => written::<SupplierContract>(conn, call, said),
        ImportedResource::Event => written::<Event>(conn, call, said),
    }
}

fn written<R: External>(
    conn: &mut PgConnection,
    call: &Call,
    said: &ImportLine,
) -> Result<(Uuid, Written), Error> {
    let body: R::Body = serde_path_to_error::deserialize(&said.body)
        .map_err(|error| Error::at_pointer(Code::InvalidBody, pointer(error.path())))?;
    R::judge(&body)?;
    let (row, written) =
        external_ids::write::<R>(conn, call, &new_ids::<R>(), &external_id(said), &body)?;
    Ok((row.id(), written))
}

/// Cuts what arrives into lines, however it arrives; a line longer than any body is not kept.
#[derive(Default)]
pub struct Lines {
    line: Vec<u8>,
    number: i32,
    too_long: bool,
}

impl Lines {
    /// Hands over each line that is complete with this piece: its number, and its text or why there is none.
    pub fn push(&mut self, piece: &[u8], mut take: impl FnMut(i32, Result<&[u8], Code>)) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + part.len() > LARGEST_BODY {
                self.too_long = true;
                self.line.clear();
            } else if !self.too_long {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                self.end(&mut take);
            }
        }
    }

    /// The last line, which need not end.
    pub fn end(&mut self, mut take: impl FnMut(i32, Result<&[u8], Code>)) {
        self.number += 1;
        if self.too_long {
            take(self.number, Err(Code::BodyTooLarge));
        } else if !self.line.trim_ascii().is_empty() {
            take(self.number, Ok(self.line.trim_ascii()));
        }
        self.line.clear();
        self.too_long = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<(i32, Result<Vec<u8>, Code>)> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        let mut take = |number, text: Result<&[u8], Code>| {
            found.push((number, text.map(<[u8]>::to_vec)));
        };
        for piece in pieces {
            lines.push(piece, &mut take);
        }
        lines.end(&mut take);
        found
    }

    #[test]
    fn lines_are_cut_alike_however_they_arrive() {
        let text = b"{\"a\":1}\r\n\n  \n{\"b\":2}\nlast";
        let whole = cut(&[text]);
        assert_eq!(
            whole,
            [
                (1, Ok(b"{\"a\":1}".to_vec())),
                (4, Ok(b"{\"b\":2}".to_vec())),
                (5, Ok(b"last".to_vec())),
            ]
        );
        for at in 0..text.len() {
            assert_eq!(cut(&[&text[..at], &text[at..]]), whole, "cut at {at}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(cut(&bytes), whole);
    }

    #[test]
    fn a_line_longer_than_a_body_may_be_is_refused_and_the_next_is_read() {
        let mut text = vec![b'x'; LARGEST_BODY + 1];
        text.extend_from_slice(b"\nnext\n");
        let pieces: Vec<&[u8]> = text.chunks(1000).collect();
        assert_eq!(
            cut(&pieces),
            [(1, Err(Code::BodyTooLarge)), (2, Ok(b"next".to_vec()))]
        );
    }
}
