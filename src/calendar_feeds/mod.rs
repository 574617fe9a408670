//! Calendar feeds: an unguessable address at which a calendar program reads what a unit or a person has ahead, and the
//! follow-ups to come, as iCalendar (RFC 5545).
//!
//! A calendar program sends no token, so the roles of the owner are unknown when it reads. A feed therefore shows only what
//! the database itself says that the owner may read now: what every employee may, what the owner answers for, and what
//! offices held today give. It ends when the owner leaves. The secret of the address is shown once, and kept as its SHA-256.

pub mod handlers;
mod icalendar;
pub mod queries;

use aws_lc_rs::{constant_time, digest, rand};
use chrono::{DateTime, NaiveDate, Utc};
use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text as SqlText};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::changes::{self, Change, Operation, ResourceType};
use crate::db::schema::calendar_feeds;
use crate::error::{Code, Error};
use crate::guideline::Text;
use crate::http::call::Call;
use crate::organisation::{people, units};
use crate::rules::Fault;

/// A calendar feed of the caller's.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = calendar_feeds, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct CalendarFeed {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000001901")]
    pub id: Uuid,
    /// A feed never changes: always 1.
    #[schema(example = 1)]
    pub revision: i32,
    /// Who made it, and may read and delete it (personRef).
    #[schema(example = "person-0001")]
    pub owner: String,
    /// What calendar programs call it; without it the name of the unit or person.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Bildningsförvaltningens dagar")]
    pub name: Option<String>,
    /// The unit whose events and due dates it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0190a000-0000-7000-8000-000000000101")]
    pub unit_id: Option<Uuid>,
    /// Does it show those of the units below too?
    #[schema(example = true)]
    pub include_subtree: bool,
    /// The person whose events and due dates it shows (personRef).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "person-0003")]
    pub person_ref: Option<String>,
    /// When it was made.
    #[schema(example = "2026-10-05T06:30:00Z")]
    pub created_at: DateTime<Utc>,
    /// The address to give to a calendar program, a secret: only in the answer that made the feed.
    #[diesel(select_expression = sql("null"), select_expression_type = SqlLiteral<Nullable<SqlText>>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        example = "https://kompetens.example.se/kompetens/v1/calendars/0190a000-0000-7000-8000-000000001901/tqX1vXl2m0bXk9zYw3uQe7r5c4s8d6f2g1h0j9k8L7M.ics"
    )]
    pub address: Option<String>,
    #[serde(skip)]
    secret_hash: Vec<u8>,
}

/// A calendar feed to make: of a unit or of a person.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"unitId": "0190a000-0000-7000-8000-000000000101", "name": "Bildningsförvaltningens dagar"}))]
pub struct NewCalendarFeed {
    /// What calendar programs shall call it.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"\S",
        example = "Bildningsförvaltningens dagar"
    )]
    pub name: Option<String>,
    /// The unit whose events and due dates it shall show; exactly one of `unitId` and `personRef`.
    #[schema(example = "0190a000-0000-7000-8000-000000000101")]
    pub unit_id: Option<Uuid>,
    /// Of a unit: shall it show those of the units below too? Without it, yes.
    #[schema(example = true)]
    pub include_subtree: Option<bool>,
    /// The person whose events and due dates it shall show (personRef); exactly one of `unitId` and `personRef`.
    #[schema(min_length = 1, max_length = 100, example = "person-0003")]
    pub person_ref: Option<String>,
}

impl NewCalendarFeed {
    /// What can be judged without the database.
    pub fn judge(&self) -> Result<(), Error> {
        if self.unit_id.is_some() != self.person_ref.is_some() {
            return Ok(());
        }
        let detail = Text::new(
            "Ange precis en av unitId och personRef.",
            "Give exactly one of unitId and personRef.",
        );
        let fault = Fault::new("/unitId", "unit-or-person", detail);
        Err(Error::faults(Code::InvalidBody, vec![fault]))
    }
}

/// What makes an address unguessable: 32 random bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    pub fn random() -> Result<Secret, Error> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).map_err(Error::internal)?;
        Ok(Secret(bytes))
    }

    fn hash(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, &self.0).as_ref().to_vec()
    }
}

impl CalendarFeed {
    /// Is this the secret that was shown? Takes as long whatever the answer is.
    fn opens_with(&self, secret: &Secret) -> bool {
        constant_time::verify_slices_are_equal(&self.secret_hash, &secret.hash()).is_ok()
    }
}

/// A day or a time in a calendar, of an event or of a follow-up.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// The id of the occasion or follow-up.
    id: Uuid,
    /// Goes up with each change.
    sequence: i32,
    changed_at: DateTime<Utc>,
    when: When,
    title: String,
    description: Option<String>,
    place: Option<String>,
    cancelled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Between(DateTime<Utc>, DateTime<Utc>),
    On(NaiveDate),
}

/// Makes a feed for the caller, who is one of the people: it ends when they leave.
pub fn create(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    secret: &Secret,
    new: &NewCalendarFeed,
) -> Result<CalendarFeed, Error> {
    let owner = call.actor.name();
    if !people::queries::exists(conn, owner)? {
        let detail = Text::new(
            "Den som skapar ett flöde ska finnas bland personerna, så att flödet slutar när hen gör det. Be HR lägga till dig.",
            "Who makes a feed must be among the people, so that it ends when they leave. Ask HR to add you.",
        );
        return Err(Error::new(Code::UnknownPerson).detail(detail));
    }
    if let Some(unit) = new.unit_id
        && units::queries::known(conn, &[unit])?.is_empty()
    {
        return Err(Error::at_pointer(Code::UnknownUnit, "/unitId"));
    }
    if let Some(person) = &new.person_ref
        && !people::queries::exists(conn, person)?
    {
        return Err(Error::at_pointer(Code::UnknownPerson, "/personRef"));
    }
    let feed = queries::insert(conn, call, id, secret, new)?;
    append(conn, call, Operation::Create, None, Some(&feed))?;
    Ok(feed)
}

/// Deletes a feed of the caller's: its address answers 404 from now on.
pub fn delete(conn: &mut PgConnection, call: &Call, feed: &CalendarFeed) -> Result<(), Error> {
    queries::delete(conn, feed.id)?;
    append(conn, call, Operation::Delete, Some(feed), None)
}

fn append(
    conn: &mut PgConnection,
    call: &Call,
    operation: Operation,
    before: Option<&CalendarFeed>,
    after: Option<&CalendarFeed>,
) -> Result<(), Error> {
    let Some(feed) = after.or(before) else {
        return Ok(());
    };
    let change = Change {
        operation,
        resource: ResourceType::CalendarFeed,
        id: feed.id,
        revision: feed.revision,
        event_id: None,
        before,
        after,
    };
    changes::append(conn, call, &change)
}
