//! Guideline versions over HTTP: read by everyone, posted by HR administrators.

use actix_web::web::Data;
use actix_web::{get, post};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::{GuidelineVersion, NewGuidelineVersion, queries};
use crate::db::Db;
use crate::error::{Code, Error};
use crate::http::answer::Answer;
use crate::http::call::{Call, Json, Path, Query};
use crate::http::paging::{Paging, PagingParameters};
use crate::http::parameters::IfNoneMatch;
use crate::identity::Reader;
use crate::organisation::units;
use crate::rules::access::Action;
use crate::{page_of, sort_by};

page_of!(
    /// A page of guideline versions.
    GuidelineVersionPage, GuidelineVersion
);
sort_by!(
    GuidelineVersionSort,
    "validFrom",
    "-validFrom",
    "By first day."
);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
struct GuidelineVersionPath {
    /// The id of the guideline version.
    #[param(example = "016f5e66-e800-7000-8000-000000002083")]
    guideline_version_id: Uuid,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct GuidelineVersionFilter {
    /// The order; `-` is descending.
    #[param(required = false, inline, example = "-validFrom")]
    #[serde(default)]
    sort: GuidelineVersionSort,
}

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(list_guideline_versions)
        .service(create_guideline_version)
        .service(get_guideline_version);
}

/// List guideline versions
///
/// Every version that has been posted, with its questions, goals, ladder and settings. A new event gets the one with the latest
/// `validFrom` that is not in the future, of equal ones the last posted, and keeps it.
#[utoipa::path(
    tag = "guideline",
    params(GuidelineVersionFilter, PagingParameters),
    responses((status = 200, description = "The page of guideline versions.", body = GuidelineVersionPage)),
)]
#[get("/kompetens/v1/guideline-versions")]
async fn list_guideline_versions(
    _: Reader,
    db: Data<Db>,
    Query(filter): Query<GuidelineVersionFilter>,
    paging: Paging,
) -> Result<Answer, Error> {
    let window = paging.clone();
    let rows = db
        .snapshot(move |conn| queries::list(conn, filter.sort.is_descending(), &window))
        .await?;
    GuidelineVersionPage::answer(&paging, rows, |version| (version.valid_from, version.id))
}

/// Read a guideline version
///
/// From it a front end draws the whole planning form: the questions with their choices, the goals, the titles of all enums.
/// A version never changes, so a copy may be kept for ever.
#[utoipa::path(
    tag = "guideline",
    params(GuidelineVersionPath, IfNoneMatch),
    responses(
        (status = 200, description = "The guideline version.", body = GuidelineVersion),
        (status = 304, description = "The caller's copy is current."),
    ),
)]
#[get("/kompetens/v1/guideline-versions/{guidelineVersionId}")]
async fn get_guideline_version(
    _: Reader,
    db: Data<Db>,
    Path(path): Path<GuidelineVersionPath>,
) -> Result<Answer, Error> {
    let version = db
        .read(move |conn| queries::find(conn, path.guideline_version_id))
        .await?;
    Answer::ok(&version, version.revision)
}

/// Post a guideline version
///
/// The version is checked as a whole and never changes afterwards. Events that are planned already keep theirs.
/// Only HR administrators may.
#[utoipa::path(
    tag = "guideline",
    request_body(content = NewGuidelineVersion, example = json!({
        "versionLabel": "2027:1",
        "validFrom": "2030-01-01",
        "municipalityCode": "2083",
        "title": {"sv": "Riktlinje för lärande", "en": "Guideline for learning"},
        "titles": {"officeTypes": {}, "eventKinds": {}, "forms": {}, "roles": {}},
        "questions": [
            {
                "id": "purpose",
                "section": {"sv": "Syfte", "en": "Purpose"},
                "text": {"sv": "Varför?", "en": "Why?"},
                "answerKind": "text",
                "weight": "advisory",
            },
            {
                "id": "followUp",
                "section": {"sv": "Uppföljning", "en": "Follow-up"},
                "text": {"sv": "Hur följs det upp?", "en": "How is it followed up?"},
                "answerKind": "followUps",
                "weight": "advisory",
            },
        ],
        "goals": [{"id": "improve", "text": {"sv": "Bli bättre", "en": "Improve"}}],
        "desiredEffects": [{"id": "quality", "text": {"sv": "Kvalitet", "en": "Quality"}}],
        "ladder": [
            {"id": "own", "place": "ownPremises", "requires": "nothing"},
            {"id": "procured", "place": "procuredLocal", "requires": "nothing"},
        ],
        "settings": {
            "followUpDueDays": 60,
            "dueSoonDays": 14,
            "directorDecidesForCompanies": true,
            "requireAllHeads": true,
            "decisionBasis": {
                "municipalDirector": "execution",
                "departmentHead": "execution",
                "chiefExecutive": "companyManagement",
            },
        },
    })),
    responses((status = 201, description = "The guideline version was stored.", body = GuidelineVersion)),
)]
#[post("/kompetens/v1/guideline-versions")]
async fn create_guideline_version(
    call: Call,
    db: Data<Db>,
    Json(new): Json<NewGuidelineVersion>,
) -> Result<Answer, Error> {
    let id = Uuid::now_v7();
    let faults = new.check();
    if !faults.is_empty() {
        return Err(Error::faults(Code::InvalidBody, faults));
    }
    db.write(move |conn| {
        call.may(Action::WriteOrganisation)?;
        call.once(conn, |conn| {
            for (position, question) in new.questions.iter().enumerate() {
                if let Some(unit_id) = question.unit_id {
                    units::queries::find(conn, unit_id).map_err(|error| {
                        error.as_unknown(Code::UnknownUnit, format!("/questions/{position}/unitId"))
                    })?;
                }
            }
            let version = queries::insert(conn, &call, id, &new)?;
            Answer::created(
                format!("/guideline-versions/{id}"),
                &version,
                version.revision,
            )
        })
    })
    .await
}
