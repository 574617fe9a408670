//! Office appointments: who is municipal director, department head or CEO, when and in which capacity (R09).
//!
//! Being one comes only from here, never from a token.

use actix_web::web::Data;
use actix_web::{get, patch, post};
use chrono::{DateTime, NaiveDate, Utc};
use diesel::dsl::{max, min};
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use crate::changes;
use crate::db::Db;
use crate::db::schema::{decisions, office_appointments};
use crate::error::{Code, Error};
use crate::external_ids::{External, ExternalId, Origin, first_of};
use crate::http::answer::Answer;
use crate::http::call::{Call, Json, Path, Query};
use crate::http::paging::{Paging, PagingParameters};
use crate::http::parameters::{IfMatch, IfNoneMatch};
use crate::http::patch::merged;
use crate::identity::Reader;
use crate::rules::access::Action;
use crate::rules::authority::OfficeType;
use crate::rules::calendar;
use crate::{page_of, patch_of, sort_by, stored_as_text, window};

/// Who holds an office, when, and in which capacity.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = office_appointments, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct OfficeAppointment {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000000301")]
    pub id: Uuid,
    /// Goes up by one with each change.
    #[schema(example = 1)]
    pub revision: i32,
    /// Which office.
    #[schema(example = "departmentHead")]
    pub office_type: OfficeType,
    /// The municipality of a director, the department of a head, the company of a CEO.
    #[schema(example = "0190a000-0000-7000-8000-000000000101")]
    pub unit_id: Uuid,
    /// Who holds it.
    #[schema(example = "person-0002")]
    pub person_ref: String,
    /// In which capacity. There is one ordinary holder at a time.
    #[schema(example = "ordinary")]
    pub capacity: Capacity,
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

/// An appointment to add.
#[derive(
    Debug, Clone, PartialEq, Eq, Insertable, AsChangeset, Serialize, Deserialize, ToSchema,
)]
#[diesel(table_name = office_appointments, treat_none_as_default_value = false, treat_none_as_null = true)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"officeType": "departmentHead", "unitId": "0190a000-0000-7000-8000-000000000101", "personRef": "person-0003", "capacity": "acting", "validFrom": "2030-06-24", "validTo": "2030-08-05"}))]
pub struct NewOfficeAppointment {
    /// Which office.
    #[schema(example = "departmentHead")]
    pub office_type: OfficeType,
    /// The municipality of a director, the department of a head, the company of a CEO.
    #[schema(example = "0190a000-0000-7000-8000-000000000101")]
    pub unit_id: Uuid,
    /// Who holds it.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^\S+$",
        example = "person-0003"
    )]
    pub person_ref: String,
    /// In which capacity. There is one ordinary holder at a time.
    #[schema(example = "acting")]
    pub capacity: Capacity,
    /// The first day (Stockholm).
    #[schema(example = "2030-06-24")]
    pub valid_from: NaiveDate,
    /// The first day no longer valid; absent or null while open.
    #[schema(example = "2030-08-05")]
    pub valid_to: Option<NaiveDate>,
}

patch_of!(OfficeAppointmentPatch, NewOfficeAppointment, "Changes to an office appointment. Office, unit, person and capacity are set once: end it and add another.", {"validTo": "2030-01-01"});
page_of!(
    /// A page of office appointments.
    OfficeAppointmentPage, OfficeAppointment
);
sort_by!(
    OfficeAppointmentSort,
    "validFrom",
    "-validFrom",
    "By first day."
);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
struct OfficeAppointmentPath {
    /// The id of the office appointment.
    #[param(example = "0190a000-0000-7000-8000-000000000301")]
    office_appointment_id: Uuid,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct OfficeAppointmentFilter {
    /// Only this office.
    #[param(required = false, inline, example = "departmentHead")]
    office_type: Option<OfficeType>,
    /// Only offices of this unit.
    #[param(required = false, example = "0190a000-0000-7000-8000-000000000101")]
    unit_id: Option<Uuid>,
    /// Only offices of this person.
    #[param(
        required = false,
        min_length = 1,
        max_length = 100,
        example = "person-0002"
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
    #[param(required = false, inline, example = "validFrom")]
    #[serde(default)]
    sort: OfficeAppointmentSort,
}

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(list_office_appointments)
        .service(create_office_appointment)
        .service(get_office_appointment)
        .service(change_office_appointment);
}

/// List office appointments
///
/// Every employee may read them.
#[utoipa::path(
    tag = "organisation",
    params(OfficeAppointmentFilter, PagingParameters),
    responses((status = 200, description = "The page of office appointments.", body = OfficeAppointmentPage)),
)]
#[get("/kompetens/v1/office-appointments")]
async fn list_office_appointments(
    _: Reader,
    db: Data<Db>,
    Query(filter): Query<OfficeAppointmentFilter>,
    paging: Paging,
) -> Result<Answer, Error> {
    let window = paging.clone();
    let rows = db
        .snapshot(move |conn| queries::list(conn, &filter, &window))
        .await?;
    OfficeAppointmentPage::answer(&paging, rows, |row| (row.valid_from, row.id))
}

/// Read an office appointment
///
/// Every employee may read it.
#[utoipa::path(
    tag = "organisation",
    params(OfficeAppointmentPath, IfNoneMatch),
    responses((status = 200, description = "The office appointment.", body = OfficeAppointment), (status = 304, description = "The caller's copy is current.")),
)]
#[get("/kompetens/v1/office-appointments/{officeAppointmentId}")]
async fn get_office_appointment(
    _: Reader,
    db: Data<Db>,
    Path(path): Path<OfficeAppointmentPath>,
) -> Result<Answer, Error> {
    let row = db
        .read(move |conn| queries::find(conn, path.office_appointment_id))
        .await?;
    Answer::ok(&row, row.revision)
}

/// Add an office appointment
///
/// Only HR administrators may.
#[utoipa::path(
    tag = "organisation",
    request_body = NewOfficeAppointment,
    responses((status = 201, description = "The office appointment was added.", body = OfficeAppointment)),
)]
#[post("/kompetens/v1/office-appointments")]
async fn create_office_appointment(
    call: Call,
    db: Data<Db>,
    Json(new): Json<NewOfficeAppointment>,
) -> Result<Answer, Error> {
    let id = Uuid::now_v7();
    db.write(move |conn| {
        call.may(Action::WriteOrganisation)?;
        call.once(conn, |conn| {
            let row = create(conn, &call, id, &new, None)?;
            Answer::created(format!("/office-appointments/{id}"), &row, row.revision)
        })
    })
    .await
}

/// Change an office appointment
///
/// Only HR administrators may. It is ended by giving `validTo`, the first day no longer valid.
#[utoipa::path(
    tag = "organisation",
    params(OfficeAppointmentPath, IfMatch),
    request_body = OfficeAppointmentPatch,
    responses((status = 200, description = "The office appointment as it is now.", body = OfficeAppointment)),
)]
#[patch("/kompetens/v1/office-appointments/{officeAppointmentId}")]
async fn change_office_appointment(
    call: Call,
    db: Data<Db>,
    Path(path): Path<OfficeAppointmentPath>,
    Json(patch): Json<OfficeAppointmentPatch>,
) -> Result<Answer, Error> {
    db.write(move |conn| {
        let before = queries::find_for_update(conn, path.office_appointment_id)?;
        call.may(Action::WriteOrganisation)?;
        call.expect_revision(before.revision)?;
        let row = change(conn, &call, &before, &merged(&before, &patch.0)?)?;
        Answer::ok(&row, row.revision)
    })
    .await
}

/// Adds an office appointment and its change entry.
pub fn create(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    new: &NewOfficeAppointment,
    origin: Option<&Origin>,
) -> Result<OfficeAppointment, Error> {
    let row = queries::insert(conn, id, new, origin, call.now)?;
    changes::created(conn, call, &row)?;
    Ok(row)
}

/// Gives an office appointment other values, with its change entry; leaves it alone when they are the same.
pub fn change(
    conn: &mut PgConnection,
    call: &Call,
    before: &OfficeAppointment,
    new: &NewOfficeAppointment,
) -> Result<OfficeAppointment, Error> {
    if *new == merged(before, &serde_json::Map::new())? {
        return Ok(before.clone());
    }
    if new.office_type != before.office_type {
        return Err(Error::at_pointer(Code::ImmutableField, "/officeType"));
    }
    if new.unit_id != before.unit_id {
        return Err(Error::at_pointer(Code::ImmutableField, "/unitId"));
    }
    if new.person_ref != before.person_ref {
        return Err(Error::at_pointer(Code::ImmutableField, "/personRef"));
    }
    if new.capacity != before.capacity {
        return Err(Error::at_pointer(Code::ImmutableField, "/capacity"));
    }
    // a decision names the appointment that was in force when it was taken (I8)
    if queries::has_decided_outside(conn, before.id, new)? {
        let pointer = if new.valid_from > before.valid_from {
            "/validFrom"
        } else {
            "/validTo"
        };
        return Err(Error::at_pointer(Code::StillInUse, pointer));
    }

    let row = queries::update(conn, before, new, call.now)?;
    changes::updated(conn, call, before, &row)?;
    Ok(row)
}

pub mod queries {
    use super::*;

    rows!(
        office_appointments,
        OfficeAppointment,
        NewOfficeAppointment,
        OfficeAppointment,
        "/office-appointments"
    );

    pub(super) fn list(
        conn: &mut PgConnection,
        filter: &OfficeAppointmentFilter,
        paging: &Paging,
    ) -> Result<(Vec<OfficeAppointment>, Option<i64>), Error> {
        let matching = || {
            let mut query = office_appointments::table.into_boxed();
            if let Some(value) = filter.office_type {
                query = query.filter(office_appointments::office_type.eq(value));
            }
            if let Some(value) = filter.unit_id {
                query = query.filter(office_appointments::unit_id.eq(value));
            }
            if let Some(value) = &filter.person_ref {
                query = query.filter(office_appointments::person_ref.eq(value));
            }
            valid_on!(
                external!(query, office_appointments, filter),
                office_appointments,
                filter.valid_on
            )
        };
        let total = paging.total(|| matching().count().get_result(conn))?;
        let rows = window!(
            matching().select(OfficeAppointment::as_select()),
            paging,
            filter.sort.is_descending(),
            office_appointments::valid_from,
            office_appointments::id,
            NaiveDate
        )
        .load(conn)?;
        Ok((rows, total))
    }

    /// Was a decision taken by this appointment on a day that is none of these? It may still end on the day of a decision: an office can
    /// be taken away at once.
    pub(super) fn has_decided_outside(
        conn: &mut PgConnection,
        id: Uuid,
        days: &NewOfficeAppointment,
    ) -> Result<bool, Error> {
        let (first, last): (Option<DateTime<Utc>>, Option<DateTime<Utc>>) = decisions::table
            .filter(decisions::office_appointment_id.eq(id))
            .select((min(decisions::decided_at), max(decisions::decided_at)))
            .first(conn)?;
        let (first, last) = (
            first.map(calendar::stockholm_date),
            last.map(calendar::stockholm_date),
        );
        Ok(first.is_some_and(|day| day < days.valid_from)
            || last.is_some_and(|day| days.valid_to.is_some_and(|end| end < day)))
    }

    /// Every appointment in force on a day.
    pub fn in_force(
        conn: &mut PgConnection,
        day: NaiveDate,
    ) -> Result<Vec<OfficeAppointment>, Error> {
        Ok(on(day).select(OfficeAppointment::as_select()).load(conn)?)
    }

    /// The same, locked in the order of their ids so that none ends meanwhile.
    pub fn in_force_for_share(
        conn: &mut PgConnection,
        day: NaiveDate,
    ) -> Result<Vec<OfficeAppointment>, Error> {
        let ids: Vec<Uuid> = on(day).select(office_appointments::id).load(conn)?;
        let locked = office_appointments::table
            .filter(office_appointments::id.eq_any(ids))
            .order(office_appointments::id)
            .select(OfficeAppointment::as_select())
            .for_share()
            .load(conn)?;
        // one that was ended while its lock was waited for is in force no more
        let in_force = |held: &OfficeAppointment| {
            held.valid_from <= day && held.valid_to.is_none_or(|end| day < end)
        };
        Ok(locked.into_iter().filter(in_force).collect())
    }

    fn on(day: NaiveDate) -> office_appointments::BoxedQuery<'static, Pg> {
        office_appointments::table
            .filter(office_appointments::valid_from.le(day))
            .filter(
                office_appointments::valid_to
                    .is_null()
                    .or(office_appointments::valid_to.gt(day)),
            )
            .into_boxed()
    }

    /// The appointments that a person has on a day.
    pub fn held_by(
        conn: &mut PgConnection,
        person_ref: &str,
        day: NaiveDate,
    ) -> Result<Vec<OfficeAppointment>, Error> {
        Ok(office_appointments::table
            .filter(office_appointments::person_ref.eq(person_ref))
            .filter(office_appointments::valid_from.le(day))
            .filter(
                office_appointments::valid_to
                    .is_null()
                    .or(office_appointments::valid_to.gt(day)),
            )
            .order((office_appointments::valid_from, office_appointments::id))
            .select(OfficeAppointment::as_select())
            .load(conn)?)
    }
}

/// In which capacity an office is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Capacity {
    /// Ordinarie.
    Ordinary,
    /// Tillförordnad (tf).
    Acting,
    /// Tjänsteförrättande (tjf), during a short absence.
    ActingShortAbsence,
}

stored_as_text!(OfficeType, Capacity);
