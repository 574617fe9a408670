//! Units of the municipal group (R01, R02): the municipality, its departments and companies, and the units below them.
//!
//! The only root is one `municipality`. A unit never moves: it is ended, and a new one names it as `successorOf`.

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
use crate::db::schema::units;
use crate::error::{At, Code, Error, FieldError};
use crate::events;
use crate::external_ids::{External, ExternalId, Origin, first_of};
use crate::http::answer::Answer;
use crate::http::call::{Call, Json, Path, Query};
use crate::http::paging::{Paging, PagingParameters};
use crate::http::parameters::{IfMatch, IfNoneMatch};
use crate::http::patch::merged;
use crate::identity::Reader;
use crate::rules::access::Action;
use crate::rules::scope::UnitType;
use crate::{page_of, patch_of, sort_by, window};

/// A unit of the municipal group, or a partly owned company, which is listed and never organises.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = units, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct Unit {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000000101")]
    pub id: Uuid,
    /// Goes up by one with each change.
    #[schema(example = 1)]
    pub revision: i32,
    /// Its name.
    #[schema(example = "Bildningsförvaltningen")]
    pub name: String,
    /// What it is.
    #[serde(rename = "type")]
    #[schema(example = "department")]
    pub unit_type: UnitType,
    /// The unit above it; absent only for the municipality.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0190a000-0000-7000-8000-000000000100")]
    pub parent_id: Option<Uuid>,
    /// Its organisation number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "556000-0001")]
    pub organisation_number: Option<String>,
    /// The board (nämnd) that it answers to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Bildningsnämnden")]
    pub board: Option<String>,
    /// The unit that it took over from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0190a000-0000-7000-8000-000000000101")]
    pub successor_of: Option<Uuid>,
    /// The first day (Stockholm).
    #[schema(example = "2020-01-01")]
    pub valid_from: NaiveDate,
    /// The first day no longer valid; null while open.
    #[schema(required = true, example = "2030-01-01")]
    pub valid_to: Option<NaiveDate>,
    /// The units from the root down to this one; `parentId` never changes, so neither does this.
    #[serde(skip)]
    pub path: Vec<Uuid>,
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

/// A unit to add.
#[derive(
    Debug, Clone, PartialEq, Eq, Insertable, AsChangeset, Serialize, Deserialize, ToSchema,
)]
#[diesel(table_name = units, treat_none_as_default_value = false, treat_none_as_null = true)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewUnit {
    /// Its name.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"\S",
        example = "Bildningsförvaltningen"
    )]
    pub name: String,
    /// What it is.
    #[serde(rename = "type")]
    #[schema(example = "department")]
    pub unit_type: UnitType,
    /// The unit above it; absent only for the municipality.
    #[schema(example = "0190a000-0000-7000-8000-000000000100")]
    pub parent_id: Option<Uuid>,
    /// Its organisation number.
    #[schema(pattern = r"^[0-9]{6}-[0-9]{4}$", example = "556000-0001")]
    pub organisation_number: Option<String>,
    /// The board (nämnd) that it answers to.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"\S",
        example = "Bildningsnämnden"
    )]
    pub board: Option<String>,
    /// The unit that it took over from.
    #[schema(example = "0190a000-0000-7000-8000-000000000101")]
    pub successor_of: Option<Uuid>,
    /// The first day (Stockholm).
    #[schema(example = "2026-01-01")]
    pub valid_from: NaiveDate,
    /// The first day no longer valid; absent or null while open.
    #[schema(example = "2030-01-01")]
    pub valid_to: Option<NaiveDate>,
}

patch_of!(UnitPatch, NewUnit, "Changes to a unit. `type` and `parentId` are set once: a unit that moves is ended and a new one names it as `successorOf`.", {"validTo": "2030-01-01"});
page_of!(
    /// A page of units.
    UnitPage, Unit
);
sort_by!(UnitSort, "name", "-name", "By name, in Swedish order.");

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
struct UnitPath {
    /// The id of the unit.
    #[param(example = "0190a000-0000-7000-8000-000000000101")]
    unit_id: Uuid,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct UnitFilter {
    /// Only units of this type.
    #[serde(rename = "type")]
    #[param(required = false, inline, example = "department")]
    unit_type: Option<UnitType>,
    /// Only units right below this one.
    #[param(required = false, example = "0190a000-0000-7000-8000-000000000100")]
    parent_id: Option<Uuid>,
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
    sort: UnitSort,
}

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(list_units)
        .service(create_unit)
        .service(get_unit)
        .service(change_unit);
}

/// List units
///
/// Every employee may read them.
#[utoipa::path(
    tag = "organisation",
    params(UnitFilter, PagingParameters),
    responses((status = 200, description = "The page of units.", body = UnitPage)),
)]
#[get("/kompetens/v1/units")]
async fn list_units(
    _: Reader,
    db: Data<Db>,
    Query(filter): Query<UnitFilter>,
    paging: Paging,
) -> Result<Answer, Error> {
    let window = paging.clone();
    let rows = db
        .snapshot(move |conn| queries::list(conn, &filter, &window))
        .await?;
    UnitPage::answer(&paging, rows, |row| (row.name.clone(), row.id))
}

/// Read a unit
///
/// Every employee may read it.
#[utoipa::path(
    tag = "organisation",
    params(UnitPath, IfNoneMatch),
    responses((status = 200, description = "The unit.", body = Unit), (status = 304, description = "The caller's copy is current.")),
)]
#[get("/kompetens/v1/units/{unitId}")]
async fn get_unit(_: Reader, db: Data<Db>, Path(path): Path<UnitPath>) -> Result<Answer, Error> {
    let row = db
        .read(move |conn| queries::find(conn, path.unit_id))
        .await?;
    Answer::ok(&row, row.revision)
}

/// Add a unit
///
/// Only HR administrators may.
#[utoipa::path(
    tag = "organisation",
    request_body(content = NewUnit, example = json!({
        "name": "Förskolan Knytet",
        "type": "unit",
        "parentId": "0190a000-0000-7000-8000-000000000101",
        "validFrom": "2026-01-01",
    })),
    responses((status = 201, description = "The unit was added.", body = Unit)),
)]
#[post("/kompetens/v1/units")]
async fn create_unit(call: Call, db: Data<Db>, Json(new): Json<NewUnit>) -> Result<Answer, Error> {
    let id = Uuid::now_v7();
    db.write(move |conn| {
        call.may(Action::WriteOrganisation)?;
        call.once(conn, |conn| {
            let row = create(conn, &call, id, &new, None)?;
            Answer::created(format!("/units/{id}"), &row, row.revision)
        })
    })
    .await
}

/// Change a unit
///
/// Only HR administrators may. It is ended by giving `validTo`, the first day no longer valid.
#[utoipa::path(
    tag = "organisation",
    params(UnitPath, IfMatch),
    request_body = UnitPatch,
    responses((status = 200, description = "The unit as it is now.", body = Unit)),
)]
#[patch("/kompetens/v1/units/{unitId}")]
async fn change_unit(
    call: Call,
    db: Data<Db>,
    Path(path): Path<UnitPath>,
    Json(patch): Json<UnitPatch>,
) -> Result<Answer, Error> {
    db.write(move |conn| {
        let before = queries::find_for_update(conn, path.unit_id)?;
        call.may(Action::WriteOrganisation)?;
        call.expect_revision(before.revision)?;
        let row = change(conn, &call, &before, &merged(&before, &patch.0)?)?;
        Answer::ok(&row, row.revision)
    })
    .await
}

/// Adds a unit and its change entry.
pub fn create(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    new: &NewUnit,
    origin: Option<&Origin>,
) -> Result<Unit, Error> {
    let path = match new.parent_id {
        Some(parent) => {
            queries::find(conn, parent)
                .map_err(|error| error.as_unknown(Code::UnknownUnit, "/parentId"))?
                .path
        }
        None => Vec::new(),
    };
    let row = queries::insert(
        conn,
        id,
        new,
        origin,
        call.now,
        path.into_iter().chain([id]).collect(),
    )?;
    changes::created(conn, call, &row)?;
    Ok(row)
}

/// Gives a unit other values, with its change entry; leaves it alone when they are the same.
pub fn change(
    conn: &mut PgConnection,
    call: &Call,
    before: &Unit,
    new: &NewUnit,
) -> Result<Unit, Error> {
    if *new == merged(before, &serde_json::Map::new())? {
        return Ok(before.clone());
    }
    if new.unit_type != before.unit_type {
        return Err(Error::at_pointer(Code::ImmutableField, "/type"));
    }
    if new.parent_id != before.parent_id {
        return Err(Error::at_pointer(Code::ImmutableField, "/parentId"));
    }
    if events::queries::planned_by_unit_outside(
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
    use diesel::dsl::auto_type;
    use diesel::sql_types::{self, Array};
    use diesel::{alias, define_sql_function};

    rows!(units, Unit, NewUnit, Unit, "/units", path: Vec<Uuid>);

    pub(super) fn list(
        conn: &mut PgConnection,
        filter: &UnitFilter,
        paging: &Paging,
    ) -> Result<(Vec<Unit>, Option<i64>), Error> {
        let matching = || {
            let mut query = units::table.into_boxed();
            if let Some(value) = filter.unit_type {
                query = query.filter(units::unit_type.eq(value));
            }
            if let Some(value) = filter.parent_id {
                query = query.filter(units::parent_id.eq(value));
            }
            valid_on!(external!(query, units, filter), units, filter.valid_on)
        };
        let total = paging.total(|| matching().count().get_result(conn))?;
        let rows = window!(
            matching().select(Unit::as_select()),
            paging,
            filter.sort.is_descending(),
            units::name,
            units::id,
            String
        )
        .load(conn)?;
        Ok((rows, total))
    }

    /// Those of these ids that are units.
    pub fn known(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Uuid>, Error> {
        Ok(units::table
            .filter(units::id.eq_any(ids))
            .select(units::id)
            .load(conn)?)
    }

    /// 400 unless these ids of the parameter `unitId` are all units.
    pub fn expect_known(conn: &mut PgConnection, asked: Option<&[Uuid]>) -> Result<(), Error> {
        let asked = asked.unwrap_or_default();
        if asked.is_empty() {
            return Ok(());
        }
        let known = known(conn, asked)?;
        if asked.iter().all(|id| known.contains(id)) {
            return Ok(());
        }
        let code = Code::UnknownUnit;
        Err(Error::new(Code::InvalidParameter).with(FieldError {
            at: At::Parameter("unitId".to_owned()),
            code: code.as_str().to_owned(),
            detail: code.advice(),
        }))
    }

    /// Is there any unit yet?
    pub fn any(conn: &mut PgConnection) -> Result<bool, Error> {
        Ok(diesel::select(diesel::dsl::exists(units::table.select(units::id))).get_result(conn)?)
    }

    /// The units with these ids and all above them.
    pub fn chains(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Unit>, Error> {
        Ok(units::table
            .filter(units::id.eq_any(with_ancestors(ids)))
            .select(Unit::as_select())
            .load(conn)?)
    }

    /// The same, locked so that they do not end meanwhile. A unit never moves, so those above it need no lock to stay so.
    pub fn chains_for_share(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Unit>, Error> {
        Ok(units::table
            .filter(units::id.eq_any(with_ancestors(ids)))
            .order(units::id)
            .select(Unit::as_select())
            .for_share()
            .load(conn)?)
    }

    define_sql_function! {
        /// The elements of an array as rows.
        #[sql_name = "unnest"]
        fn elements(array: Array<sql_types::Uuid>) -> sql_types::Uuid;
    }

    alias!(units as organising: Organising);

    /// The ids of these units and of all above them.
    #[auto_type(no_type_alias)]
    pub fn with_ancestors(ids: &[Uuid]) -> _ {
        organising
            .filter(organising.field(units::id).eq_any(ids))
            .select(elements(organising.field(units::path)))
    }
}
