//! Venues: where occasions take place. Owner and supplier decide the rung of the venue ladder (R28).
//!
//! Planners, unit managers and office holders may add a venue and change the name of their own; owner and supplier are set by HR administrators.

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
use crate::db::schema::venues;
use crate::error::{Code, Error};
use crate::events;
use crate::external_ids::{External, ExternalId, Origin, first_of};
use crate::http::answer::Answer;
use crate::http::call::{Call, Json, Path, Query};
use crate::http::paging::{Paging, PagingParameters};
use crate::http::parameters::{IfMatch, IfNoneMatch};
use crate::http::patch::merged;
use crate::identity::Reader;
use crate::rules::access::Action;
use crate::{page_of, patch_of, sort_by, window};

/// Premises where occasions take place.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = venues, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct Venue {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000000501")]
    pub id: Uuid,
    /// Goes up by one with each change.
    #[schema(example = 1)]
    pub revision: i32,
    /// Its name.
    #[schema(example = "Tjädernhuset, stora salen")]
    pub name: String,
    /// The municipality where the premises lie (SCB code).
    #[schema(example = "2083")]
    pub municipality_code: String,
    /// The unit of the group that owns the premises.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0190a000-0000-7000-8000-000000000100")]
    pub owner_unit_id: Option<Uuid>,
    /// The organisation number of the supplier, equal to that of its contracts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "556000-0011")]
    pub supplier_id: Option<String>,
    /// The first day (Stockholm).
    #[schema(example = "2020-01-01")]
    pub valid_from: NaiveDate,
    /// The first day no longer valid; null while open.
    #[schema(required = true, example = "2030-01-01")]
    pub valid_to: Option<NaiveDate>,
    /// Who added it.
    #[serde(skip)]
    pub created_by: String,
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

/// A venue to add.
#[derive(
    Debug, Clone, PartialEq, Eq, Insertable, AsChangeset, Serialize, Deserialize, ToSchema,
)]
#[diesel(table_name = venues, treat_none_as_default_value = false, treat_none_as_null = true)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewVenue {
    /// Its name.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"\S",
        example = "Tjädernhuset, stora salen"
    )]
    pub name: String,
    /// The municipality where the premises lie (SCB code).
    #[schema(pattern = r"^[0-9]{4}$", example = "2083")]
    pub municipality_code: String,
    /// The unit of the group that owns the premises.
    #[schema(example = "0190a000-0000-7000-8000-000000000100")]
    pub owner_unit_id: Option<Uuid>,
    /// The organisation number of the supplier, equal to that of its contracts.
    #[schema(pattern = r"^[0-9]{6}-[0-9]{4}$", example = "556000-0011")]
    pub supplier_id: Option<String>,
    /// The first day (Stockholm).
    #[schema(example = "2026-01-01")]
    pub valid_from: NaiveDate,
    /// The first day no longer valid; absent or null while open.
    #[schema(example = "2030-01-01")]
    pub valid_to: Option<NaiveDate>,
}

patch_of!(VenuePatch, NewVenue, "Changes to a venue. Whoever added it may change its name; the rest is for HR administrators.", {"name": "Tjädernhuset, stora salen"});
page_of!(
    /// A page of venues.
    VenuePage, Venue
);
sort_by!(VenueSort, "name", "-name", "By name, in Swedish order.");

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
struct VenuePath {
    /// The id of the venue.
    #[param(example = "0190a000-0000-7000-8000-000000000501")]
    venue_id: Uuid,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct VenueFilter {
    /// Only venues in this municipality.
    #[param(required = false, pattern = r"^[0-9]{4}$", example = "2083")]
    municipality_code: Option<String>,
    /// Only venues that this unit owns.
    #[param(required = false, example = "0190a000-0000-7000-8000-000000000100")]
    owner_unit_id: Option<Uuid>,
    /// Only venues of this supplier.
    #[param(
        required = false,
        pattern = r"^[0-9]{6}-[0-9]{4}$",
        example = "556000-0011"
    )]
    supplier_id: Option<String>,
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
    #[param(required = false, inline, example = "name")]
    #[serde(default)]
    sort: VenueSort,
}

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(list_venues)
        .service(create_venue)
        .service(get_venue)
        .service(change_venue);
}

/// List venues
///
/// Every employee may read them.
#[utoipa::path(
    tag = "organisation",
    params(VenueFilter, PagingParameters),
    responses((status = 200, description = "The page of venues.", body = VenuePage)),
)]
#[get("/kompetens/v1/venues")]
async fn list_venues(
    _: Reader,
    db: Data<Db>,
    Query(filter): Query<VenueFilter>,
    paging: Paging,
) -> Result<Answer, Error> {
    let window = paging.clone();
    let rows = db
        .snapshot(move |conn| queries::list(conn, &filter, &window))
        .await?;
    VenuePage::answer(&paging, rows, |row| (row.name.clone(), row.id))
}

/// Read a venue
///
/// Every employee may read it.
#[utoipa::path(
    tag = "organisation",
    params(VenuePath, IfNoneMatch),
    responses((status = 200, description = "The venue.", body = Venue), (status = 304, description = "The caller's copy is current.")),
)]
#[get("/kompetens/v1/venues/{venueId}")]
async fn get_venue(_: Reader, db: Data<Db>, Path(path): Path<VenuePath>) -> Result<Answer, Error> {
    let row = db
        .read(move |conn| queries::find(conn, path.venue_id))
        .await?;
    Answer::ok(&row, row.revision)
}

/// Add a venue
///
/// Planners, unit managers and office holders may, without owner and supplier, which only HR administrators set.
#[utoipa::path(
    tag = "organisation",
    request_body = NewVenue,
    responses((status = 201, description = "The venue was added.", body = Venue)),
)]
#[post("/kompetens/v1/venues")]
async fn create_venue(
    call: Call,
    db: Data<Db>,
    Json(new): Json<NewVenue>,
) -> Result<Answer, Error> {
    let id = Uuid::now_v7();
    db.write(move |conn| {
        expect_may_create(conn, &call, &new)?;
        call.once(conn, |conn| {
            let row = create(conn, &call, id, &new, None)?;
            Answer::created(format!("/venues/{id}"), &row, row.revision)
        })
    })
    .await
}

/// Change a venue
///
/// Whoever added it may change its name; the rest is for HR administrators. It is ended by giving `validTo`.
#[utoipa::path(
    tag = "organisation",
    params(VenuePath, IfMatch),
    request_body = VenuePatch,
    responses((status = 200, description = "The venue as it is now.", body = Venue)),
)]
#[patch("/kompetens/v1/venues/{venueId}")]
async fn change_venue(
    call: Call,
    db: Data<Db>,
    Path(path): Path<VenuePath>,
    Json(patch): Json<VenuePatch>,
) -> Result<Answer, Error> {
    db.write(move |conn| {
        let before = queries::find_for_update(conn, path.venue_id)?;
        let only_name = patch.0.keys().all(|name| name == "name");
        expect_may_change(conn, &call, &before, only_name)?;
        call.expect_revision(before.revision)?;
        let row = change(conn, &call, &before, &merged(&before, &patch.0)?)?;
        Answer::ok(&row, row.revision)
    })
    .await
}

/// 403 unless the caller may add this venue: with owner or supplier, which decide its rung, only HR administrators and integrations.
fn expect_may_create(conn: &mut PgConnection, call: &Call, new: &NewVenue) -> Result<(), Error> {
    let sets_rung = new.owner_unit_id.is_some() || new.supplier_id.is_some();
    call.may_with_offices(
        conn,
        if sets_rung {
            Action::WriteOrganisation
        } else {
            Action::CreateVenue
        },
    )
}

/// 403 unless the caller may change the venue: whoever added it, only its name.
fn expect_may_change(
    conn: &mut PgConnection,
    call: &Call,
    before: &Venue,
    only_name: bool,
) -> Result<(), Error> {
    let renames = Action::RenameVenue {
        created_by: &before.created_by,
    };
    call.may_with_offices(
        conn,
        if only_name {
            renames
        } else {
            Action::WriteOrganisation
        },
    )
}

/// Adds a venue and its change entry.
pub fn create(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    new: &NewVenue,
    origin: Option<&Origin>,
) -> Result<Venue, Error> {
    let row = queries::insert(conn, id, new, origin, call.now, call.author())?;
    changes::created(conn, call, &row)?;
    Ok(row)
}

/// Gives a venue other values, with its change entry; leaves it alone when they are the same.
pub fn change(
    conn: &mut PgConnection,
    call: &Call,
    before: &Venue,
    new: &NewVenue,
) -> Result<Venue, Error> {
    if *new == merged(before, &serde_json::Map::new())? {
        return Ok(before.clone());
    }
    if events::queries::planned_at_venue_outside(
        conn,
        before.id,
        new.valid_from,
        new.valid_to,
        call.now,
    )? {
        return Err(Error::at_pointer(Code::StillInUse, "/validTo"));
    }

    let row = queries::update(conn, before, new, call.now)?;
    changes::updated(conn, call, before, &row)?;
    Ok(row)
}

pub mod queries {
    use super::*;

    rows!(venues, Venue, NewVenue, Venue, "/venues", created_by: &str;
        fn expect_may_write(
            conn: &mut PgConnection,
            call: &Call,
            before: Option<&Venue>,
            new: &NewVenue,
        ) -> Result<(), Error> {
            let Some(before) = before else {
                return super::expect_may_create(conn, call, new);
            };
            let standing: NewVenue = merged(before, &serde_json::Map::new())?;
            let renamed = NewVenue { name: new.name.clone(), ..standing };
            super::expect_may_change(conn, call, before, *new == renamed)
        }
    );

    pub(super) fn list(
        conn: &mut PgConnection,
        filter: &VenueFilter,
        paging: &Paging,
    ) -> Result<(Vec<Venue>, Option<i64>), Error> {
        let matching = || {
            let mut query = venues::table.into_boxed();
            if let Some(value) = &filter.municipality_code {
                query = query.filter(venues::municipality_code.eq(value));
            }
            if let Some(value) = filter.owner_unit_id {
                query = query.filter(venues::owner_unit_id.eq(value));
            }
            if let Some(value) = &filter.supplier_id {
                query = query.filter(venues::supplier_id.eq(value));
            }
            valid_on!(external!(query, venues, filter), venues, filter.valid_on)
        };
        let total = paging.total(|| matching().count().get_result(conn))?;
        let rows = window!(
            matching().select(Venue::as_select()),
            paging,
            filter.sort.is_descending(),
            venues::name,
            venues::id,
            String
        )
        .load(conn)?;
        Ok((rows, total))
    }

    /// The venues with these ids, locked so that they do not end meanwhile.
    pub fn find_for_share(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Venue>, Error> {
        Ok(venues::table
            .filter(venues::id.eq_any(ids))
            .order(venues::id)
            .select(Venue::as_select())
            .for_share()
            .load(conn)?)
    }
}
