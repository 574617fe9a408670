//! Retention rules over HTTP.

use actix_web::web::Data;
use actix_web::{get, post};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::{NewRetentionRule, RetentionRule, post as post_rule};
use crate::db::Db;
use crate::db::schema::retention_rules;
use crate::error::Error;
use crate::http::answer::Answer;
use crate::http::call::{Call, Json, Path, Query};
use crate::http::paging::{Paging, PagingParameters};
use crate::http::parameters::IfNoneMatch;
use crate::rules::access::Action;
use crate::{page_of, sort_by, window};

page_of!(
    /// A page of retention rules.
    RetentionRulePage, RetentionRule
);
sort_by!(
    RetentionRuleSort,
    "createdAt",
    "-createdAt",
    "By the time when it was posted."
);

#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct RetentionRuleFilter {
    /// The order; `-` is descending.
    #[param(required = false, inline, example = "createdAt")]
    #[serde(default)]
    sort: RetentionRuleSort,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
struct RetentionRulePath {
    /// The id of the rule.
    #[param(example = "0190a000-0000-7000-8000-000000002101")]
    retention_rule_id: Uuid,
}

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(list_retention_rules)
        .service(create_retention_rule)
        .service(get_retention_rule);
}

/// List the retention rules
///
/// All that were ever posted. Of each kind of record the one posted last holds.
#[utoipa::path(
    tag = "service",
    params(RetentionRuleFilter, PagingParameters),
    responses((status = 200, description = "The page of rules.", body = RetentionRulePage)),
)]
#[get("/kompetens/v1/retention-rules")]
async fn list_retention_rules(
    call: Call,
    db: Data<Db>,
    Query(filter): Query<RetentionRuleFilter>,
    paging: Paging,
) -> Result<Answer, Error> {
    let asked = paging.clone();
    let rows = db
        .snapshot(move |conn| {
            call.may(Action::ReadOrganisation)?;
            let total = asked.total(|| retention_rules::table.count().get_result(conn))?;
            let query = retention_rules::table
                .select(RetentionRule::as_select())
                .into_boxed();
            let rows = window!(
                query,
                &asked,
                filter.sort.is_descending(),
                retention_rules::created_at,
                retention_rules::id,
                DateTime<Utc>
            )
            .load(conn)?;
            Ok((rows, total))
        })
        .await?;
    RetentionRulePage::answer(&paging, rows, |rule| (rule.created_at, rule.id))
}

/// Post a retention rule
///
/// For archivists. It takes the place of the rule for the same kind of record; without `years`, such records are kept. Nothing is
/// disposed of by posting: the operator runs `kompetens dispose`, first to see what is due.
#[utoipa::path(
    tag = "service",
    request_body = NewRetentionRule,
    responses((status = 201, description = "The rule holds from now on.", body = RetentionRule)),
)]
#[post("/kompetens/v1/retention-rules")]
async fn create_retention_rule(
    call: Call,
    db: Data<Db>,
    Json(new): Json<NewRetentionRule>,
) -> Result<Answer, Error> {
    let id = Uuid::now_v7();
    db.write(move |conn| {
        call.may(Action::Dispose)?;
        call.once(conn, |conn| {
            let rule = post_rule(conn, &call, id, &new)?;
            Answer::created(format!("/retention-rules/{id}"), &rule, rule.revision)
        })
    })
    .await
}

/// Read a retention rule
///
/// How long records of a kind are kept, and by which decision.
#[utoipa::path(
    tag = "service",
    params(RetentionRulePath, IfNoneMatch),
    responses((status = 200, description = "The rule.", body = RetentionRule), (status = 304, description = "The caller's copy is current.")),
)]
#[get("/kompetens/v1/retention-rules/{retentionRuleId}")]
async fn get_retention_rule(
    call: Call,
    db: Data<Db>,
    Path(path): Path<RetentionRulePath>,
) -> Result<Answer, Error> {
    let rule: RetentionRule = db
        .read(move |conn| {
            call.may(Action::ReadOrganisation)?;
            Ok(retention_rules::table
                .find(path.retention_rule_id)
                .select(RetentionRule::as_select())
                .first(conn)?)
        })
        .await?;
    Answer::ok(&rule, rule.revision)
}
