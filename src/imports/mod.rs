//! Imports: what another system keeps, as JSON lines, each line one write by external id.
//!
//! The body is stored line by line as it comes, judged by its form, and carried out afterwards by whichever instance has the turn:
//! each line in a transaction of its own together with its result. So a bad line loses no good one, an import whose instance dies
//! goes on at the next line, and no line is done twice. The imports of one sender are carried out one after another, and those of
//! several senders side by side. A body that never came whole is `interrupted`, and nothing of it is done.
//! Sending the same lines again is safe, as every write by external id is. What a line said is forgotten once it has its result,
//! and the results after [`queries::KEPT`].

pub mod handlers;
pub mod queries;

use chrono::{DateTime, Utc};
use diesel::Connection;
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
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
use crate::http::call::{Call, typed};
use crate::http::contract::LARGEST_BODY;
use crate::http::problem::shown_place;
use crate::http::{Clock, json_text, operation_body_fault};
use crate::identity::{Actor, Identity, clients};
use crate::organisation::appointments::OfficeAppointment;
use crate::organisation::contracts::SupplierContract;
use crate::organisation::goals::BusinessGoal;
use crate::organisation::people::Person;
use crate::organisation::units::Unit;
use crate::organisation::venues::Venue;
use crate::rules::access::Role;

crate::stored_as_text!(ImportStatus, ImportOutcome, ImportedResource);

/// How often a line is tried while the database gives it up: it waits for a lock that another holds, say.
const TRIES: i16 = 3;
/// How often, counted in polls without work, an instance looks for what is to be forgotten.
const HOUSEKEEPING: u32 = 20;

/// An import of JSON lines.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = imports, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct ImportJob {
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
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
    #[schema(value_type = HashMap<String, Value>, example = json!({"unitId": "0190a000-0000-7000-8000-000000000101", "title": "Fler elever når gymnasiebehörighet", "validFrom": "2020-01-01"}))]
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

/// Who sent an import, for when its lines are carried out. A person has the rights of their token; an integration those that it has then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Importer {
    Person {
        person_ref: String,
        roles: BTreeSet<Role>,
        units: BTreeSet<Uuid>,
    },
    Integration {
        client_id: Uuid,
    },
}

impl Importer {
    fn of(call: &Call) -> Result<Importer, Error> {
        match &*call.actor {
            Actor::Person(person) => Ok(Importer::Person {
                person_ref: person.person_ref.clone(),
                roles: person.roles.clone(),
                units: person.units.clone(),
            }),
            Actor::Integration(machine) => Ok(Importer::Integration {
                client_id: machine.client_id,
            }),
            Actor::System => Err(Error::new(Code::Forbidden)),
        }
    }

    /// 401 when the integration has ended since.
    fn actor(&self, conn: &mut PgConnection, now: DateTime<Utc>) -> Result<Actor, Error> {
        match self {
            Importer::Person {
                person_ref,
                roles,
                units,
            } => Ok(Actor::Person(Identity {
                person_ref: person_ref.clone(),
                roles: roles.clone(),
                units: units.clone(),
            })),
            Importer::Integration { client_id } => {
                clients::queries::integration(conn, *client_id, now)?
                    .map(|integration| Actor::Integration(integration.into()))
                    .ok_or_else(|| Error::new(Code::Unauthenticated))
            }
        }
    }
}

/// A line as it is stored: its result, or what is still to be done.
#[derive(Debug)]
pub struct Received {
    pub id: Uuid,
    line: i32,
    /// What it says, when it could be read.
    pub said: Option<ImportLine>,
    /// Why it is refused; a line without waits for its turn.
    pub problem: Option<ImportProblem>,
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
    typed(value, Code::InvalidBody)
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
                    At::Pointer(place) => format!("{below}{}", shown_place(place)),
                    At::Parameter(name) => format!("/{}", shown_place(name)),
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
    let mut idle = 0;
    loop {
        let now = (clock.0)();
        match db.keep_house(move |conn| step(conn, now)).await {
            Ok(Step::Done) => db.written().notify_one(),
            Ok(Step::Nothing) => {
                if idle % HOUSEKEEPING == 0 {
                    // what is not forgotten now is so later
                    let _ = db
                        .keep_house(move |conn| queries::forget_old(conn, now))
                        .await;
                }
                idle += 1;
                tokio::time::sleep(poll).await;
            }
            // the database is away, or has enough to do, or something holds the line up: it is done later
            Ok(Step::HeldUp) | Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

/// What became of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A line has its result, or an import its end.
    Done,
    /// The line is to be tried again.
    HeldUp,
    /// There is nothing to do.
    Nothing,
}

/// Does the next line of the import whose turn it is.
pub fn step(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<Step, Error> {
    let Some(import) = queries::take(conn)? else {
        return Ok(Step::Nothing);
    };
    let Some(waiting) = queries::next(conn, import.id)? else {
        queries::complete(conn, import.id, now)?;
        return Ok(Step::Done);
    };
    let outcome = import.importer.0.actor(conn, now).and_then(|actor| {
        let call = Call::new(actor, now, &import.request_id);
        carry_out(conn, &call, &waiting.said.0, import.dry_run)
    });
    let (outcome, resource_id, problem) = match outcome {
        Ok((id, written)) => {
            let outcome = match written {
                Written::Created => ImportOutcome::Created,
                Written::Changed => ImportOutcome::Changed,
                Written::Unchanged => ImportOutcome::Unchanged,
            };
            let kept = !(import.dry_run && written == Written::Created);
            (outcome, kept.then_some(id), None)
        }
        Err(error) if error.fate() == Fate::ConnectionLost => return Err(error),
        Err(error) if error.code().status() == 503 && waiting.tries + 1 < TRIES => {
            queries::try_again(conn, waiting.id)?;
            return Ok(Step::HeldUp);
        }
        Err(error) => {
            if let Some(cause) = error.internal_cause() {
                log::warn!("a line of import {} failed: {cause}", import.id);
            }
            let outcome = if error.code() == Code::OutsideGuideline {
                ImportOutcome::OutsideGuideline
            } else {
                ImportOutcome::Refused
            };
            (outcome, None, Some(problem(&error, "/body")))
        }
    };
    queries::settle(conn, waiting.id, outcome, resource_id, problem, now)?;
    Ok(Step::Done)
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
        // a line that makes the program panic must not hold up the rest
        let written = catch_unwind(AssertUnwindSafe(|| write(conn, call, said)))
            .unwrap_or_else(|_| Err(Error::internal("a line of an import panicked")))?;
        done = Some(written);
        if dry_run {
            return Err(Error::from(diesel::result::Error::RollbackTransaction));
        }
        Ok(())
    });
    match (outcome, done) {
        (Ok(()), Some(done)) => Ok(done),
        (Err(_), Some(done)) if dry_run => Ok(done),
        (Err(error), _) => Err(error),
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
    let body: R::Body = typed(&said.body, Code::InvalidBody)?;
    R::judge(&body)?;
    let (row, written) =
        external_ids::write::<R>(conn, call, &new_ids::<R>(), &external_id(said), &body)?;
    Ok((row.id(), written))
}

/// A line's number, from 1, and its text, or why there is none.
pub type Line<'a> = (i32, Result<&'a [u8], Code>);

/// Cuts what arrives into lines, however it arrives; of a line longer than any body no more is kept.
#[derive(Default)]
pub struct Lines {
    line: Vec<u8>,
    number: i32,
    /// The line has been handed over.
    ended: bool,
}

impl Lines {
    /// Takes what has come of a line, at most to its end; hands the line over when it is complete, unless it is blank.
    pub fn feed(&mut self, part: &[u8]) -> Option<Line<'_>> {
        if std::mem::take(&mut self.ended) {
            self.line.clear();
        }
        let (part, ends) = match part.strip_suffix(b"\n") {
            Some(part) => (part, true),
            None => (part, false),
        };
        // enough to see that it is too long, with its byte order mark and carriage return
        let room = (LARGEST_BODY + 5).saturating_sub(self.line.len());
        self.line.extend_from_slice(&part[..part.len().min(room)]);
        if ends { self.line() } else { None }
    }

    /// The last line, which need not end.
    pub fn last(&mut self) -> Option<Line<'_>> {
        if self.ended { None } else { self.line() }
    }

    fn line(&mut self) -> Option<Line<'_>> {
        self.number += 1;
        self.ended = true;
        let mut text = self.line.as_slice();
        if self.number == 1 {
            // some programs begin their UTF-8 with a byte order mark (RFC 8259, section 8.1)
            text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        }
        text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.len() > LARGEST_BODY {
            return Some((self.number, Err(Code::BodyTooLarge)));
        }
        let text = text.trim_ascii();
        (!text.is_empty()).then_some((self.number, Ok(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<(i32, Result<Vec<u8>, Code>)> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        let parts = pieces
            .iter()
            .flat_map(|piece| piece.split_inclusive(|byte| *byte == b'\n'));
        for part in parts {
            found.extend(
                lines
                    .feed(part)
                    .map(|(number, text)| (number, text.map(<[u8]>::to_vec))),
            );
        }
        found.extend(
            lines
                .last()
                .map(|(number, text)| (number, text.map(<[u8]>::to_vec))),
        );
        found
    }

    #[test]
    fn lines_are_cut_alike_however_they_arrive() {
        let text = b"\xef\xbb\xbf{\"a\":1}\r\n\n  \n{\"b\":2}\nlast";
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
    fn a_line_as_long_as_a_body_is_read_and_a_longer_one_refused_and_the_next_is_read() {
        let longest = vec![b'x'; LARGEST_BODY];
        for (before, after) in [
            (&b""[..], &b"\n"[..]),
            (b"", b"\r\n"),
            (b"\xef\xbb\xbf", b"\r\n"),
        ] {
            for (more, first) in [
                (0, Ok(longest.clone())),
                (1, Err(Code::BodyTooLarge)),
                (1000, Err(Code::BodyTooLarge)),
            ] {
                let text = [before, &longest, &vec![b'x'; more], after, b"next\n"].concat();
                let pieces: Vec<&[u8]> = text.chunks(1000).collect();
                let expected = [(1, first), (2, Ok(b"next".to_vec()))];
                assert!(
                    cut(&pieces) == expected && cut(&[&text]) == expected,
                    "{more} more, then {after:?}"
                );
            }
        }
    }

    #[test]
    fn of_a_long_line_no_more_is_kept_than_is_needed_to_refuse_it() {
        let mut lines = Lines::default();
        for _ in 0..1000 {
            assert!(lines.feed(&[b'x'; 10_000]).is_none());
        }
        assert!(lines.line.capacity() < 3 * LARGEST_BODY);
        assert_eq!(lines.last(), Some((1, Err(Code::BodyTooLarge))));
    }
}
