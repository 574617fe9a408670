//! Resources by external id, over HTTP: the same two operations for each of the seven.

use actix_web::web::Data;
use actix_web::{get, put};
use utoipa_actix_web::service_config::ServiceConfig;

use super::{External, ExternalId, Written, expect_own_system, new_ids, write};
use crate::db::Db;
use crate::error::Error;
use crate::events::{Event, NewEvent};
use crate::http::answer::Answer;
use crate::http::call::{Call, Json, Path};
use crate::http::parameters::IfNoneMatch;
use crate::organisation::appointments::{NewOfficeAppointment, OfficeAppointment};
use crate::organisation::contracts::{NewSupplierContract, SupplierContract};
use crate::organisation::goals::{BusinessGoal, NewBusinessGoal};
use crate::organisation::people::{NewPerson, Person};
use crate::organisation::units::{NewUnit, Unit};
use crate::organisation::venues::{NewVenue, Venue};

async fn read<R: External + Send>(call: Call, db: &Db, id: ExternalId) -> Result<Answer, Error> {
    let row = db
        .snapshot(move |conn| {
            expect_own_system(&call, &id)?;
            let row = R::find(conn, &id)?;
            row.expect_may_read(conn, &call)?;
            Ok(row)
        })
        .await?;
    Answer::ok(&row, row.revision())
}

async fn written<R: External>(
    call: Call,
    db: &Db,
    id: ExternalId,
    body: R::Body,
) -> Result<Answer, Error> {
    R::judge(&body)?;
    let ids = new_ids::<R>();
    db.write(move |conn| {
        let (row, done) = write::<R>(conn, &call, &ids, &id, &body)?;
        match done {
            Written::Created => {
                let path = format!("{}/{}", R::PATH, row.id());
                Answer::created(path, &row, row.revision())
            }
            Written::Changed | Written::Unchanged => Answer::ok(&row, row.revision()),
        }
    })
    .await
}

/// The two operations of a resource. Strings are `tt`, as in `sort_by!`.
macro_rules! external {
    (
        $row:ident, $new:ident, $tag:tt, $path:tt,
        $get:ident { $(#[$about_get:meta])+ } $read:tt,
        $put:ident { $(#[$about_put:meta])+ } $example:tt
    ) => {
        $(#[$about_get])+
        #[utoipa::path(
            tag = $tag,
            params(ExternalId, IfNoneMatch),
            responses((status = 200, description = $read, body = $row), (status = 304, description = "The caller's copy is current.")),
        )]
        #[get($path)]
        async fn $get(call: Call, db: Data<Db>, Path(id): Path<ExternalId>) -> Result<Answer, Error> {
            read::<$row>(call, &db, id).await
        }

        $(#[$about_put])+
        #[utoipa::path(
            tag = $tag,
            params(ExternalId),
            request_body(content = $new, example = json!($example)),
            responses(
                (status = 200, description = "As it stands now.", body = $row),
                (status = 201, description = "Created.", body = $row),
            ),
        )]
        #[put($path)]
        async fn $put(
            call: Call,
            db: Data<Db>,
            Path(id): Path<ExternalId>,
            Json(new): Json<$new>,
        ) -> Result<Answer, Error> {
            written::<$row>(call, &db, id, new).await
        }
    };
}

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(get_external_unit)
        .service(put_external_unit)
        .service(get_external_person)
        .service(put_external_person)
        .service(get_external_office_appointment)
        .service(put_external_office_appointment)
        .service(get_external_business_goal)
        .service(put_external_business_goal)
        .service(get_external_venue)
        .service(put_external_venue)
        .service(get_external_supplier_contract)
        .service(put_external_supplier_contract)
        .service(get_external_event)
        .service(put_external_event);
}

external!(
    Unit, NewUnit, "organisation", "/kompetens/v1/external-units/{sourceSystem}/{externalId}",
    get_external_unit {
        /// Read a unit by its external id
        ///
        /// Every employee may read it. An integration reads only what its own source system keeps.
    }
    "The unit.",
    put_external_unit {
        /// Write a unit by its external id
        ///
        /// Creates the unit (201), or replaces what stands under the rules of a change; optional fields left out are cleared.
        /// A body equal to the last one received changes nothing (200), even if the unit was edited here since. HR administrators may, and integrations with `organisation:write`.
        /// No `If-Match` is needed; one that is sent is obeyed, and so is `If-None-Match: *`.
    }
    {"name": "Grundskolan", "type": "unit", "parentId": "0190a000-0000-7000-8000-000000000101", "validFrom": "2020-01-01"}
);

external!(
    Person, NewPerson, "organisation", "/kompetens/v1/external-people/{sourceSystem}/{externalId}",
    get_external_person {
        /// Read a person by its external id
        ///
        /// Every employee may read it. An integration reads only what its own source system keeps.
    }
    "The person.",
    put_external_person {
        /// Write a person by its external id
        ///
        /// Creates the person (201), or replaces what stands under the rules of a change; optional fields left out are cleared.
        /// A body equal to the last one received changes nothing (200), even if the person was edited here since. HR administrators may, and integrations with `organisation:write`.
        /// No `If-Match` is needed; one that is sent is obeyed, and so is `If-None-Match: *`.
    }
    {"personRef": "person-0003", "displayName": "Verksamhetsutvecklare, bildning", "unitId": "0190a000-0000-7000-8000-000000000101", "validFrom": "2020-01-01"}
);

external!(
    OfficeAppointment, NewOfficeAppointment, "organisation", "/kompetens/v1/external-office-appointments/{sourceSystem}/{externalId}",
    get_external_office_appointment {
        /// Read an office appointment by its external id
        ///
        /// Every employee may read it. An integration reads only what its own source system keeps.
    }
    "The office appointment.",
    put_external_office_appointment {
        /// Write an office appointment by its external id
        ///
        /// Creates the office appointment (201), or replaces what stands under the rules of a change; optional fields left out are cleared.
        /// A body equal to the last one received changes nothing (200), even if the office appointment was edited here since. HR administrators may, and integrations with `organisation:write`.
        /// No `If-Match` is needed; one that is sent is obeyed, and so is `If-None-Match: *`.
    }
    {"officeType": "departmentHead", "unitId": "0190a000-0000-7000-8000-000000000101", "personRef": "person-0002", "capacity": "ordinary", "validFrom": "2020-01-01"}
);

external!(
    BusinessGoal, NewBusinessGoal, "organisation", "/kompetens/v1/external-business-goals/{sourceSystem}/{externalId}",
    get_external_business_goal {
        /// Read a business goal by its external id
        ///
        /// Every employee may read it. An integration reads only what its own source system keeps.
    }
    "The business goal.",
    put_external_business_goal {
        /// Write a business goal by its external id
        ///
        /// Creates the business goal (201), or replaces what stands under the rules of a change; optional fields left out are cleared.
        /// A body equal to the last one received changes nothing (200), even if the business goal was edited here since. HR administrators may, and integrations with `organisation:write`.
        /// No `If-Match` is needed; one that is sent is obeyed, and so is `If-None-Match: *`.
    }
    {"unitId": "0190a000-0000-7000-8000-000000000101", "title": "Fler elever når gymnasiebehörighet", "validFrom": "2020-01-01"}
);

external!(
    Venue, NewVenue, "organisation", "/kompetens/v1/external-venues/{sourceSystem}/{externalId}",
    get_external_venue {
        /// Read a venue by its external id
        ///
        /// Every employee may read it. An integration reads only what its own source system keeps.
    }
    "The venue.",
    put_external_venue {
        /// Write a venue by its external id
        ///
        /// Creates the venue (201), or replaces what stands under the rules of a change; optional fields left out are cleared.
        /// A body equal to the last one received changes nothing (200), even if the venue was edited here since. The rights are those of `POST /venues` and `PATCH /venues/{venueId}`.
        /// No `If-Match` is needed; one that is sent is obeyed, and so is `If-None-Match: *`.
    }
    {"name": "Tjädernhuset, stora salen", "municipalityCode": "2083", "ownerUnitId": "0190a000-0000-7000-8000-000000000100", "validFrom": "2020-01-01"}
);

external!(
    SupplierContract, NewSupplierContract, "organisation", "/kompetens/v1/external-supplier-contracts/{sourceSystem}/{externalId}",
    get_external_supplier_contract {
        /// Read a supplier contract by its external id
        ///
        /// Every employee may read it. An integration reads only what its own source system keeps.
    }
    "The supplier contract.",
    put_external_supplier_contract {
        /// Write a supplier contract by its external id
        ///
        /// Creates the supplier contract (201), or replaces what stands under the rules of a change; optional fields left out are cleared.
        /// A body equal to the last one received changes nothing (200), even if the supplier contract was edited here since. HR administrators may, and integrations with `organisation:write`.
        /// No `If-Match` is needed; one that is sent is obeyed, and so is `If-None-Match: *`.
    }
    {"supplierId": "556000-0011", "supplierName": "Exempelhotellet AB", "title": "Konferenslokaler och förtäring", "registryNumber": "KS 2020/1", "validFrom": "2020-01-01"}
);

external!(
    Event, NewEvent, "events", "/kompetens/v1/external-events/{sourceSystem}/{externalId}",
    get_external_event {
        /// Read an event by its external id
        ///
        /// A draft is shown to those who plan it; for others it does not exist. An integration reads only what its own source system keeps.
    }
    "The event.",
    put_external_event {
        /// Write an event by its external id
        ///
        /// Creates the event (201), or replaces what stands under the rules of a change; optional fields left out are cleared. What came of it (`actualParticipants`, `actualCost`) is left as it is, and an occasion with an equal start and end keeps its id.
        /// A body equal to the last one received changes nothing (200), even if the event was edited here since. Planners of an organising unit may, and integrations with `events:write`.
        /// No `If-Match` is needed; one that is sent is obeyed, and so is `If-None-Match: *`.
    }
    {"title": "Planeringsdag för förskolan", "kind": "planningDay", "arranger": "group", "organisingUnitIds": ["0190a000-0000-7000-8000-000000000101"], "responsiblePerson": "person-0003", "occasions": [{"startsAt": "2027-10-05T08:30:00+02:00", "endsAt": "2027-10-05T16:30:00+02:00", "place": "undecided"}]}
);
