//! Business goals (verksamhetsmål) that events contribute to (R19, R29), per unit and period.

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
use crate::db::schema::business_goals;
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

/// A goal of a unit for a period.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = business_goals, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct BusinessGoal {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000000401")]
    pub id: Uuid,
    /// Goes up by one with each change.
    #[schema(example = 1)]
    pub revision: i32,
    /// The unit whose goal it is.
    #[schema(example = "0190a000-0000-7000-8000-000000000101")]
    pub unit_id: Uuid,
    /// The goal in words.
    #[schema(example = "Fler elever når gymnasiebehörighet")]
    pub title: String,
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

/// A business goal to add.
#[derive(
    Debug, Clone, PartialEq, Eq, Insertable, AsChangeset, Serialize, Deserialize, ToSchema,
)]
#[diesel(table_name = business_goals, treat_none_as_default_value = false, treat_none_as_null = true)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewBusinessGoal {
    /// The unit whose goal it is.
    #[schema(example = "0190a000-0000-7000-8000-000000000101")]
    pub unit_id: Uuid,
    /// The goal in words.
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"\S",
        example = "Fler elever når gymnasiebehörighet"
    )]
    pub title: String,
    /// The first day (Stockholm).
    #[schema(example = "2026-01-01")]
    pub valid_from: NaiveDate,
    /// The first day no longer valid; absent or null while open.
    #[schema(example = "2030-01-01")]
    pub valid_to: Option<NaiveDate>,
}

patch_of!(BusinessGoalPatch, NewBusinessGoal, "Changes to a business goal.", {"title": "Fler elever når gymnasiebehörighet"});
page_of!(
    /// A page of business goals.
    BusinessGoalPage, BusinessGoal
);
sort_by!(
    BusinessGoalSort,
    "title",
    "-title",
    "By title, in Swedish order."
);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
struct BusinessGoalPath {
    /// The id of the business goal.
    #[param(example = "0190a000-0000-7000-8000-000000000401")]
    business_goal_id: Uuid,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct BusinessGoalFilter {
    /// Only goals of this unit.
    #[param(required = false, example = "0190a000-0000-7000-8000-000000000101")]
    unit_id: Option<Uuid>,
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
    #[param(required = false, inline, example = "title")]
    #[serde(default)]
    sort: BusinessGoalSort,
}

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(list_business_goals)
        .service(create_business_goal)
        .service(get_business_goal)
        .service(change_business_goal);
}

/// List business goals
///
/// Every employee may read them.
#[utoipa::path(
    tag = "organisation",
    params(BusinessGoalFilter, PagingParameters),
    responses((status = 200, description = "The page of business goals.", body = BusinessGoalPage)),
)]
#[get("/kompetens/v1/business-goals")]
async fn list_business_goals(
    _: Reader,
    db: Data<Db>,
    Query(filter): Query<BusinessGoalFilter>,
    paging: Paging,
) -> Result<Answer, Error> {
    let window = paging.clone();
    let rows = db
        .snapshot(move |conn| queries::list(conn, &filter, &window))
        .await?;
    BusinessGoalPage::answer(&paging, rows, |row| (row.title.clone(), row.id))
}

/// Read a business goal
///
/// Every employee may read it.
#[utoipa::path(
    tag = "organisation",
    params(BusinessGoalPath, IfNoneMatch),
    responses((status = 200, description = "The business goal.", body = BusinessGoal), (status = 304, description = "The caller's copy is current.")),
)]
#[get("/kompetens/v1/business-goals/{businessGoalId}")]
async fn get_business_goal(
    _: Reader,
    db: Data<Db>,
    Path(path): Path<BusinessGoalPath>,
) -> Result<Answer, Error> {
    let row = db
        .read(move |conn| queries::find(conn, path.business_goal_id))
        .await?;
    Answer::ok(&row, row.revision)
}

/// Add a business goal
///
/// Only HR administrators may.
#[utoipa::path(
    tag = "organisation",
    request_body = NewBusinessGoal,
    responses((status = 201, description = "The business goal was added.", body = BusinessGoal)),
)]
#[post("/kompetens/v1/business-goals")]
async fn create_business_goal(
    call: Call,
    db: Data<Db>,
    Json(new): Json<NewBusinessGoal>,
) -> Result<Answer, Error> {
    let id = Uuid::now_v7();
    db.write(move |conn| {
        call.may(Action::WriteOrganisation)?;
        call.once(conn, |conn| {
            let row = create(conn, &call, id, &new, None)?;
            Answer::created(format!("/business-goals/{id}"), &row, row.revision)
        })
    })
    .await
}

/// Change a business goal
///
/// Only HR administrators may. It is ended by giving `validTo`, the first day no longer valid.
#[utoipa::path(
    tag = "organisation",
    params(BusinessGoalPath, IfMatch),
    request_body = BusinessGoalPatch,
    responses((status = 200, description = "The business goal as it is now.", body = BusinessGoal)),
)]
#[patch("/kompetens/v1/business-goals/{businessGoalId}")]
async fn change_business_goal(
    call: Call,
    db: Data<Db>,
    Path(path): Path<BusinessGoalPath>,
    Json(patch): Json<BusinessGoalPatch>,
) -> Result<Answer, Error> {
    db.write(move |conn| {
        let before = queries::find_for_update(conn, path.business_goal_id)?;
        call.may(Action::WriteOrganisation)?;
        call.expect_revision(before.revision)?;
        let row = change(conn, &call, &before, &merged(&before, &patch.0)?)?;
        Answer::ok(&row, row.revision)
    })
    .await
}

/// Adds a business goal and its change entry.
pub fn create(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    new: &NewBusinessGoal,
    origin: Option<&Origin>,
) -> Result<BusinessGoal, Error> {
    let row = queries::insert(conn, id, new, origin, call.now)?;
    changes::created(conn, call, &row)?;
    Ok(row)
}

/// Gives a business goal other values, with its change entry; leaves it alone when they are the same.
pub fn change(
    conn: &mut PgConnection,
    call: &Call,
    before: &BusinessGoal,
    new: &NewBusinessGoal,
) -> Result<BusinessGoal, Error> {
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
        business_goals,
        BusinessGoal,
        NewBusinessGoal,
        BusinessGoal,
        "/business-goals"
    );

    pub(super) fn list(
        conn: &mut PgConnection,
        filter: &BusinessGoalFilter,
        paging: &Paging,
    ) -> Result<(Vec<BusinessGoal>, Option<i64>), Error> {
        let matching = || {
            let mut query = business_goals::table.into_boxed();
            if let Some(value) = filter.unit_id {
                query = query.filter(business_goals::unit_id.eq(value));
            }
            valid_on!(
                external!(query, business_goals, filter),
                business_goals,
                filter.valid_on
            )
        };
        let total = paging.total(|| matching().count().get_result(conn))?;
        let rows = window!(
            matching().select(BusinessGoal::as_select()),
            paging,
            filter.sort.is_descending(),
            business_goals::title,
            business_goals::id,
            String
        )
        .load(conn)?;
        Ok((rows, total))
    }

    /// Those of these ids that are business goals.
    pub fn known(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Uuid>, Error> {
        Ok(business_goals::table
            .filter(business_goals::id.eq_any(ids))
            .select(business_goals::id)
            .load(conn)?)
    }
}
