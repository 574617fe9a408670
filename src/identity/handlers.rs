//! What the service is, and who the caller is to it.

use actix_web::get;
use actix_web::web::Data;
use serde::Serialize;
use std::collections::BTreeSet;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::Actor;
use crate::db::Db;
use crate::error::Error;
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::organisation::appointments::{self, OfficeAppointment};
use crate::rules::access::{Role, Scope};

pub fn configure(config: &mut ServiceConfig) {
    config.service(get_api_info).service(get_me);
}

/// What this service is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ApiInfo {
    /// The service's name.
    #[schema(example = "kompetens")]
    name: &'static str,
    /// The version of the contract and the program (SemVer).
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// When this version was released.
    #[schema(example = "2026-11-24", format = Date)]
    released: &'static str,
    /// Where its documentation is.
    #[schema(example = "https://kompetens.example.se/docs/")]
    documentation: &'static str,
    /// Its place in its life: `beta` until 1.0, then `active`, `deprecated` and `retired`.
    #[schema(example = "beta")]
    status: &'static str,
}

/// Read what this service is
///
/// Name, version and where the documentation lies. Needs no token.
#[utoipa::path(
    tag = "service",
    security(()),
    responses((status = 200, description = "What this service is.", body = ApiInfo)),
)]
#[get("/kompetens/v1/api-info")]
async fn get_api_info() -> Result<Answer, Error> {
    Answer::plain(&ApiInfo {
        name: "kompetens",
        version: env!("CARGO_PKG_VERSION"),
        released: "2026-11-24",
        documentation: "https://kompetens.example.se/docs/",
        status: "beta",
    })
}

/// The caller, as the service sees them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Me {
    /// The identity provider's person claim; absent for an integration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "person-0001")]
    person_ref: Option<String>,
    /// The roles of the token; every person is an employee, an integration has none.
    #[schema(example = json!(["employee", "planner"]))]
    roles: BTreeSet<Role>,
    /// The units of the token, for all of its roles. Of an integration: what its scopes reach, with all below; none is the whole group.
    #[schema(example = json!(["0190a000-0000-7000-8000-000000000101"]))]
    units: BTreeSet<Uuid>,
    /// The API client, when an integration asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0190a000-0000-7000-8000-000000001a01")]
    client_id: Option<Uuid>,
    /// The scopes of the integration; none for a person.
    #[schema(example = json!(["events:read"]))]
    scopes: BTreeSet<Scope>,
    /// The offices that the caller holds today.
    offices: Vec<OfficeAppointment>,
}

/// Read who I am
///
/// The roles and units of the token, and the offices that the caller holds today by appointment.
#[utoipa::path(
    tag = "service",
    responses((status = 200, description = "The caller.", body = Me)),
)]
#[get("/kompetens/v1/me")]
async fn get_me(call: Call, db: Data<Db>) -> Result<Answer, Error> {
    match &*call.actor {
        Actor::Person(identity) => {
            let (person, today) = (identity.person_ref.clone(), call.today());
            let offices = db
                .read(move |conn| appointments::queries::held_by(conn, &person, today))
                .await?;
            Answer::plain(&Me {
                person_ref: Some(identity.person_ref.clone()),
                roles: identity.roles.clone(),
                units: identity.units.clone(),
                client_id: None,
                scopes: BTreeSet::new(),
                offices,
            })
        }
        Actor::Integration(integration) => Answer::plain(&Me {
            person_ref: None,
            roles: BTreeSet::new(),
            units: integration.units.clone().unwrap_or_default(),
            client_id: Some(integration.client_id),
            scopes: integration.scopes.clone(),
            offices: Vec::new(),
        }),
        Actor::System => Err(Error::internal("the service does not ask itself who it is")),
    }
}
