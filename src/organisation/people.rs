//! People: who can be responsible, follow up, or hold an office. Imported from the HR system; no personal numbers (I17).

use actix_web::web::Data;
use actix_web::{get, patch, post};
use chrono::{DateTime, NaiveDate, Utc};
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use crate::changes;
use crate::db::Db;
use crate::db::schema::people;
use crate::error::{Code, Error};
use crate::external_ids::{External, ExternalId, Origin, first_of};
use crate::http::answer::Answer;
use crate::http::call::{Call, Json, Path, Query};
use crate::http::paging::{Paging, PagingParameters};
use crate::http::parameters::{IfMatch, IfNoneMatch};
use crate::http::patch::merged;
use crate::identity::Reader;
use crate::rules::access::Action;
use crate::{page_of, patch_of, sort_by, window};

/// A person of the municipal group.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = people, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000000201")]
    pub id: Uuid,
    /// Goes up by one with each change.
    #[schema(example = 1)]
    pub revision: i32,
    /// The identity provider's person claim, by which every other body names the person; never a personnummer.
    #[schema(example = "person-0001")]
    pub person_ref: String,
    /// How the person is shown.
    #[schema(example = "HR-strateg")]
    pub display_name: String,
    /// The unit where the person works.
    #[schema(example = "0190a000-0000-7000-8000-000000000101")]
    pub unit_id: Uuid,
    /// The first day (Stockholm).
    #[schema(example = "2020-01-01")]
    pub valid_from: NaiveDate,
    /// The first day no longer valid; null while open.
    #[schema(required = true, example = "2030-01-01")]
    pub valid_to: Option<NaiveDate>,
    /// The system that it comes from, when one keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "hr-system")]
    pub source_system: Option<String>,
    /// Its id in that system.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "4711")]
    pub external_id: Option<String>,
    /// When it was created.
    #[schema(example = "2026-10-05T06:30:00Z")]
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    #[schema(example = "2026-10-05T06:30:00Z")]
    pub updated_at: DateTime<Utc>,
}

/// A person to add.
#[derive(
    Debug, Clone, PartialEq, Eq, Insertable, AsChangeset, Serialize, Deserialize, ToSchema,
)]
#[diesel(table_name = people, treat_none_as_default_value = false, treat_none_as_null = true)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPerson {
    /// The identity provider's person claim, by which every other body names the person; never a personnummer.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^\S+$",
        example = "person-0101"
    )]
    pub person_ref: String,
    /// How the person is shown.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"\S",
        example = "HR-strateg"
    )]
    pub display_name: String,
    /// The unit where the person works.
    #[schema(example = "0190a000-0000-7000-8000-000000000101")]
    pub unit_id: Uuid,
    /// The first day (Stockholm).
    #[schema(example = "2026-01-01")]
    pub valid_from: NaiveDate,
    /// The first day no longer valid; absent or null while open.
    #[schema(example = "2030-01-01")]
    pub valid_to: Option<NaiveDate>,
}

patch_of!(PersonPatch, NewPerson, "Changes to a person. `personRef` is set once.", {"displayName": "Förvaltningschef, bildning"});
page_of!(
    /// A page of people.
    PersonPage, Person
);
sort_by!(
    PersonSort,
    "displayName",
    "-displayName",
    "By display name, in Swedish order."
);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
struct PersonPath {
    /// The id of the person.
    #[param(example = "0190a000-0000-7000-8000-000000000201")]
    person_id: Uuid,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct PersonFilter {
    /// Only people of this unit.
    #[param(required = false, example = "0190a000-0000-7000-8000-000000000101")]
    unit_id: Option<Uuid>,
    /// Only the person with this reference.
    #[param(
        required = false,
        min_length = 1,
        max_length = 100,
        example = "person-0001"
    )]
    person_ref: Option<String>,
    /// Only those valid on this day.
    #[param(required = false, example = "2026-10-05")]
    valid_on: Option<NaiveDate>,
    /// Only those that come from this system.
    #[param(
        required = false,
        pattern = r"^[A-Za-z0-9._~-]{1,100}$",
        example = "hr-system"
    )]
    source_system: Option<String>,
    /// Only the one with this id in its source system.
    #[param(
        required = false,
        pattern = r"^[A-Za-z0-9._~-]{1,100}$",
        example = "4711"
    )]
    external_id: Option<String>,
    /// The order; `-` is descending.
    #[param(required = false, inline, example = "displayName")]
    #[serde(default)]
    sort: PersonSort,
}

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(list_people)
        .service(create_person)
        .service(get_person)
        .service(change_person);
}

/// List people
///
/// Every employee may read them.
#[utoipa::path(
    tag = "organisation",
    params(PersonFilter, PagingParameters),
    responses((status = 200, description = "The page of people.", body = PersonPage)),
)]
#[get("/kompetens/v1/people")]
async fn list_people(
    _: Reader,
    db: Data<Db>,
    Query(filter): Query<PersonFilter>,
    paging: Paging,
) -> Result<Answer, Error> {
    let window = paging.clone();
    let rows = db
        .snapshot(move |conn| queries::list(conn, &filter, &window))
        .await?;
    PersonPage::answer(&paging, rows, |row| (row.display_name.clone(), row.id))
}

/// Read a person
///
/// Every employee may read it.
#[utoipa::path(
    tag = "organisation",
    params(PersonPath, IfNoneMatch),
    responses((status = 200, description = "The person.", body = Person), (status = 304, description = "The caller's copy is current.")),
)]
#[get("/kompetens/v1/people/{personId}")]
async fn get_person(
    _: Reader,
    db: Data<Db>,
    Path(path): Path<PersonPath>,
) -> Result<Answer, Error> {
    let row = db
        .read(move |conn| queries::find(conn, path.person_id))
        .await?;
    Answer::ok(&row, row.revision)
}

/// Add a person
///
/// Only HR administrators may.
#[utoipa::path(
    tag = "organisation",
    request_body = NewPerson,
    responses((status = 201, description = "The person was added.", body = Person)),
)]
#[post("/kompetens/v1/people")]
async fn create_person(
    call: Call,
    db: Data<Db>,
    Json(new): Json<NewPerson>,
) -> Result<Answer, Error> {
    let id = Uuid::now_v7();
    db.write(move |conn| {
        call.may(Action::WriteOrganisation)?;
        call.once(conn, |conn| {
            let row = create(conn, &call, id, &new, None)?;
            Answer::created(format!("/people/{id}"), &row, row.revision)
        })
    })
    .await
}

/// Change a person
///
/// Only HR administrators may. It is ended by giving `validTo`, the first day no longer valid.
#[utoipa::path(
    tag = "organisation",
    params(PersonPath, IfMatch),
    request_body = PersonPatch,
    responses((status = 200, description = "The person as it is now.", body = Person)),
)]
#[patch("/kompetens/v1/people/{personId}")]
async fn change_person(
    call: Call,
    db: Data<Db>,
    Path(path): Path<PersonPath>,
    Json(patch): Json<PersonPatch>,
) -> Result<Answer, Error> {
    db.write(move |conn| {
        let before = queries::find_for_update(conn, path.person_id)?;
        call.may(Action::WriteOrganisation)?;
        call.expect_revision(before.revision)?;
        let row = change(conn, &call, &before, &merged(&before, &patch.0)?)?;
        Answer::ok(&row, row.revision)
    })
    .await
}

/// Adds a person and its change entry.
pub fn create(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    new: &NewPerson,
    origin: Option<&Origin>,
) -> Result<Person, Error> {
    let row = queries::insert(conn, id, new, origin, call.now)?;
    changes::created(conn, call, &row)?;
    Ok(row)
}

/// Gives a person other values, with its change entry; leaves it alone when they are the same.
pub fn change(
    conn: &mut PgConnection,
    call: &Call,
    before: &Person,
    new: &NewPerson,
) -> Result<Person, Error> {
    if *new == merged(before, &serde_json::Map::new())? {
        return Ok(before.clone());
    }
    if new.person_ref != before.person_ref {
        return Err(Error::at_pointer(Code::ImmutableField, "/personRef"));
    }

    let row = queries::update(conn, before, new, call.now)?;
    changes::updated(conn, call, before, &row)?;
    Ok(row)
}

pub mod queries {
    use super::*;

    rows!(people, Person, NewPerson, Person, "/people");

    pub(super) fn list(
        conn: &mut PgConnection,
        filter: &PersonFilter,
        paging: &Paging,
    ) -> Result<(Vec<Person>, Option<i64>), Error> {
        let matching = || {
            let mut query = people::table.into_boxed();
            if let Some(value) = filter.unit_id {
                query = query.filter(people::unit_id.eq(value));
            }
            if let Some(value) = &filter.person_ref {
                query = query.filter(people::person_ref.eq(value));
            }
            valid_on!(external!(query, people, filter), people, filter.valid_on)
        };
        let total = paging.total(|| matching().count().get_result(conn))?;
        let rows = window!(
            matching().select(Person::as_select()),
            paging,
            filter.sort.is_descending(),
            people::display_name,
            people::id,
            String
        )
        .load(conn)?;
        Ok((rows, total))
    }

    /// The person of this reference who works here on a day.
    pub fn present(
        conn: &mut PgConnection,
        person_ref: &str,
        day: NaiveDate,
    ) -> Result<Option<Person>, Error> {
        Ok(people::table
            .filter(people::person_ref.eq(person_ref))
            .filter(people::valid_from.le(day))
            .filter(people::valid_to.is_null().or(people::valid_to.gt(day)))
            .select(Person::as_select())
            .first(conn)
            .optional()?)
    }

    /// Is there such a person?
    pub fn exists(conn: &mut PgConnection, person_ref: &str) -> Result<bool, Error> {
        Ok(diesel::select(diesel::dsl::exists(
            people::table.filter(people::person_ref.eq(person_ref)),
        ))
        .get_result(conn)?)
    }
}
