//! Supplier contracts: which suppliers are procured (upphandlade), and when (R28).

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
use crate::db::schema::supplier_contracts;
use crate::error::Error;
use crate::external_ids::{External, ExternalId, Origin, first_of};
use crate::http::answer::Answer;
use crate::http::call::{Call, Json, Path, Query};
use crate::http::paging::{Paging, PagingParameters};
use crate::http::parameters::{IfMatch, IfNoneMatch};
use crate::http::patch::merged;
use crate::identity::Reader;
use crate::rules::access::Action;
use crate::{page_of, patch_of, sort_by, window};

/// A framework agreement (ramavtal) with a supplier.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = supplier_contracts, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct SupplierContract {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000000601")]
    pub id: Uuid,
    /// Goes up by one with each change.
    #[schema(example = 1)]
    pub revision: i32,
    /// The organisation number of the supplier, equal to that of its venues.
    #[schema(example = "556000-0011")]
    pub supplier_id: String,
    /// The supplier's name.
    #[schema(example = "Exempelhotellet AB")]
    pub supplier_name: String,
    /// What the contract is about.
    #[schema(example = "Konferenslokaler och förtäring")]
    pub title: String,
    /// Its registry number (diarienummer).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "KS 2026/123")]
    pub registry_number: Option<String>,
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

/// A supplier contract to add.
#[derive(
    Debug, Clone, PartialEq, Eq, Insertable, AsChangeset, Serialize, Deserialize, ToSchema,
)]
#[diesel(table_name = supplier_contracts, treat_none_as_default_value = false, treat_none_as_null = true)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSupplierContract {
    /// The organisation number of the supplier, equal to that of its venues.
    #[schema(pattern = r"^[0-9]{6}-[0-9]{4}$", example = "556000-0011")]
    pub supplier_id: String,
    /// The supplier's name.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"\S",
        example = "Exempelhotellet AB"
    )]
    pub supplier_name: String,
    /// What the contract is about.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"\S",
        example = "Konferenslokaler och förtäring"
    )]
    pub title: String,
    /// Its registry number (diarienummer).
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"\S",
        example = "KS 2026/123"
    )]
    pub registry_number: Option<String>,
    /// The first day (Stockholm).
    #[schema(example = "2026-01-01")]
    pub valid_from: NaiveDate,
    /// The first day no longer valid; absent or null while open.
    #[schema(example = "2030-01-01")]
    pub valid_to: Option<NaiveDate>,
}

patch_of!(SupplierContractPatch, NewSupplierContract, "Changes to a supplier contract.", {"validTo": "2027-07-01"});
page_of!(
    /// A page of supplier contracts.
    SupplierContractPage, SupplierContract
);
sort_by!(
    SupplierContractSort,
    "supplierName",
    "-supplierName",
    "By the supplier's name, in Swedish order."
);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
struct SupplierContractPath {
    /// The id of the supplier contract.
    #[param(example = "0190a000-0000-7000-8000-000000000601")]
    supplier_contract_id: Uuid,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct SupplierContractFilter {
    /// Only contracts with this supplier.
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
    #[param(required = false, inline, example = "supplierName")]
    #[serde(default)]
    sort: SupplierContractSort,
}

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(list_supplier_contracts)
        .service(create_supplier_contract)
        .service(get_supplier_contract)
        .service(change_supplier_contract);
}

/// List supplier contracts
///
/// Every employee may read them.
#[utoipa::path(
    tag = "organisation",
    params(SupplierContractFilter, PagingParameters),
    responses((status = 200, description = "The page of supplier contracts.", body = SupplierContractPage)),
)]
#[get("/kompetens/v1/supplier-contracts")]
async fn list_supplier_contracts(
    _: Reader,
    db: Data<Db>,
    Query(filter): Query<SupplierContractFilter>,
    paging: Paging,
) -> Result<Answer, Error> {
    let window = paging.clone();
    let rows = db
        .snapshot(move |conn| queries::list(conn, &filter, &window))
        .await?;
    SupplierContractPage::answer(&paging, rows, |row| (row.supplier_name.clone(), row.id))
}

/// Read a supplier contract
///
/// Every employee may read it.
#[utoipa::path(
    tag = "organisation",
    params(SupplierContractPath, IfNoneMatch),
    responses((status = 200, description = "The supplier contract.", body = SupplierContract), (status = 304, description = "The caller's copy is current.")),
)]
#[get("/kompetens/v1/supplier-contracts/{supplierContractId}")]
async fn get_supplier_contract(
    _: Reader,
    db: Data<Db>,
    Path(path): Path<SupplierContractPath>,
) -> Result<Answer, Error> {
    let row = db
        .read(move |conn| queries::find(conn, path.supplier_contract_id))
        .await?;
    Answer::ok(&row, row.revision)
}

/// Add a supplier contract
///
/// Only HR administrators may.
#[utoipa::path(
    tag = "organisation",
    request_body = NewSupplierContract,
    responses((status = 201, description = "The supplier contract was added.", body = SupplierContract)),
)]
#[post("/kompetens/v1/supplier-contracts")]
async fn create_supplier_contract(
    call: Call,
    db: Data<Db>,
    Json(new): Json<NewSupplierContract>,
) -> Result<Answer, Error> {
    let id = Uuid::now_v7();
    db.write(move |conn| {
        call.may(Action::WriteOrganisation)?;
        call.once(conn, |conn| {
            let row = create(conn, &call, id, &new, None)?;
            Answer::created(format!("/supplier-contracts/{id}"), &row, row.revision)
        })
    })
    .await
}

/// Change a supplier contract
///
/// Only HR administrators may. It is ended by giving `validTo`, the first day no longer valid.
#[utoipa::path(
    tag = "organisation",
    params(SupplierContractPath, IfMatch),
    request_body = SupplierContractPatch,
    responses((status = 200, description = "The supplier contract as it is now.", body = SupplierContract)),
)]
#[patch("/kompetens/v1/supplier-contracts/{supplierContractId}")]
async fn change_supplier_contract(
    call: Call,
    db: Data<Db>,
    Path(path): Path<SupplierContractPath>,
    Json(patch): Json<SupplierContractPatch>,
) -> Result<Answer, Error> {
    db.write(move |conn| {
        let before = queries::find_for_update(conn, path.supplier_contract_id)?;
        call.may(Action::WriteOrganisation)?;
        call.expect_revision(before.revision)?;
        let row = change(conn, &call, &before, &merged(&before, &patch.0)?)?;
        Answer::ok(&row, row.revision)
    })
    .await
}

/// Adds a supplier contract and its change entry.
pub fn create(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    new: &NewSupplierContract,
    origin: Option<&Origin>,
) -> Result<SupplierContract, Error> {
    let row = queries::insert(conn, id, new, origin, call.now)?;
    changes::created(conn, call, &row)?;
    Ok(row)
}

/// Gives a supplier contract other values, with its change entry; leaves it alone when they are the same.
pub fn change(
    conn: &mut PgConnection,
    call: &Call,
    before: &SupplierContract,
    new: &NewSupplierContract,
) -> Result<SupplierContract, Error> {
    if *new == merged(before, &serde_json::Map::new())? {
        return Ok(before.clone());
    }

    let row = queries::update(conn, before, new, call.now)?;
    changes::updated(conn, call, before, &row)?;
    Ok(row)
}

pub mod queries {
    use super::*;

    rows!(
        supplier_contracts,
        SupplierContract,
        NewSupplierContract,
        SupplierContract,
        "/supplier-contracts"
    );

    pub(super) fn list(
        conn: &mut PgConnection,
        filter: &SupplierContractFilter,
        paging: &Paging,
    ) -> Result<(Vec<SupplierContract>, Option<i64>), Error> {
        let matching = || {
            let mut query = supplier_contracts::table.into_boxed();
            if let Some(value) = &filter.supplier_id {
                query = query.filter(supplier_contracts::supplier_id.eq(value));
            }
            valid_on!(
                external!(query, supplier_contracts, filter),
                supplier_contracts,
                filter.valid_on
            )
        };
        let total = paging.total(|| matching().count().get_result(conn))?;
        let rows = window!(
            matching().select(SupplierContract::as_select()),
            paging,
            filter.sort.is_descending(),
            supplier_contracts::supplier_name,
            supplier_contracts::id,
            String
        )
        .load(conn)?;
        Ok((rows, total))
    }
}
