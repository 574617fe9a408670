//! What an operation can refuse beyond what all like it can: the codes of its 403, 404, 409, 412 and 422 in the document.
//! The tests hold every problem that they are answered against it.

use crate::error::Code::{self, *};

/// The codes that any operation can answer which asks for a token, has an id in its path, is repeatable or takes a body.
pub const SHARED: &[Code] = &[
    Forbidden,
    NotFound,
    KeyInUse,
    KeyReused,
    InvalidBody,
    PersonalNumber,
];

/// Those of single operations, by operation id.
#[rustfmt::skip]
const OWN: &[(&str, &[Code])] = &[
    // a replace needs no If-Match, but obeys one
    ("put_external_unit", &[StaleRevision]),
    ("put_external_person", &[StaleRevision]),
    ("put_external_office_appointment", &[StaleRevision]),
    ("put_external_business_goal", &[StaleRevision]),
    ("put_external_venue", &[StaleRevision]),
    ("put_external_supplier_contract", &[StaleRevision]),
    ("put_external_event", &[StaleRevision]),
    ("check_scope", &[UnknownUnit]),
    ("create_guideline_version", &[UnknownUnit]),
    // integrations
    ("create_api_client", &[SecretAlreadyShown, UnknownUnit]),
    ("change_api_client", &[ApiClientEnded, ImmutableField, UnknownUnit]),
    ("end_api_client", &[ApiClientEnded]),
    ("rotate_api_client_secret", &[SecretAlreadyShown, ApiClientEnded]),
    ("create_webhook_subscription", &[SecretAlreadyShown, WebhookAddressRefused]),
    ("change_webhook_subscription", &[WebhookAddressRefused]),
    ("rotate_webhook_secret", &[SecretAlreadyShown]),
    ("create_calendar_feed", &[SecretAlreadyShown, UnknownPerson, UnknownUnit]),
    // organisation
    ("create_unit", NEW_UNIT),
    ("change_unit", CHANGED_UNIT),
    ("put_external_unit", NEW_UNIT),
    ("put_external_unit", CHANGED_UNIT),
    ("create_person", NEW_PERSON),
    ("change_person", CHANGED_PERSON),
    ("put_external_person", NEW_PERSON),
    ("put_external_person", CHANGED_PERSON),
    ("create_office_appointment", NEW_APPOINTMENT),
    ("change_office_appointment", CHANGED_APPOINTMENT),
    ("put_external_office_appointment", NEW_APPOINTMENT),
    ("put_external_office_appointment", CHANGED_APPOINTMENT),
    ("create_business_goal", NEW_GOAL),
    ("change_business_goal", NEW_GOAL),
    ("put_external_business_goal", NEW_GOAL),
    ("create_venue", NEW_VENUE),
    ("change_venue", CHANGED_VENUE),
    ("put_external_venue", NEW_VENUE),
    ("put_external_venue", CHANGED_VENUE),
    ("create_supplier_contract", &[InvalidPeriod]),
    ("change_supplier_contract", &[InvalidPeriod]),
    ("put_external_supplier_contract", &[InvalidPeriod]),
    // events and their planning
    ("create_event", NEW_EVENT),
    ("change_event", CHANGED_EVENT),
    ("put_external_event", NEW_EVENT),
    ("put_external_event", CHANGED_EVENT),
    (
        "change_event_status",
        &[StatusChangeNotAllowed, TooLate, NotCompliant, NotEnded, FollowUpsOpen, UnitNotCovered, UnknownUnit],
    ),
    ("get_baseline", &[NoBaseline]),
    ("put_planning_answer", &[NotEditableInStatus, NotAsked, AnsweredByFollowUps, UnknownGoal]),
    // exceptions
    (
        "create_exception_request",
        &[
            NotEditableInStatus, TooLate, RequestOpen, UnknownRule, NoExceptionNeeded, AddresseeNotConcerned, NeededTooLate,
            UnknownExceptionRequest, UnknownPerson,
        ],
    ),
    ("withdraw_exception_request", &[AlreadyDecided, RequestNotOpen]),
    (
        "create_decision",
        &[
            OwnRequest, WrongOffice, AlreadyDecided, RequestNotOpen, DecidedElsewhere, TooLate, EventChanged, SeveralOffices,
            ConflictOfInterest,
        ],
    ),
    ("revoke_exception_request", &[OwnRequest, WrongOffice, RequestNotApproved, TooLate]),
    (
        "record_decision",
        &[OwnRequest, AlreadyDecided, RequestNotOpen, NotDecidedElsewhere, TooLate, EventChanged, DecidedOutOfTime],
    ),
    ("create_decision_report", &[NothingToReport]),
    // follow-ups
    ("create_follow_up", &[NotEditableInStatus, DueBeforeEvent, UnknownPerson]),
    ("change_follow_up", &[FollowUpNotOpen, DueBeforeEvent, UnknownPerson]),
    ("cancel_follow_up", &[FollowUpNotOpen, WaiveInstead, LastFollowUp]),
    ("waive_follow_up", &[FollowUpNotOpen, NotHeld]),
    ("create_follow_up_entry", &[FollowUpNotOpen, NotHeld, ConductedOutOfTime, UnknownGoal, UnknownPerson]),
    ("void_follow_up_entry", &[AlreadyVoided, EventClosed]),
];

const NEW_UNIT: &[Code] = &[InvalidPeriod, UnitMisplaced, OutsideValidity, UnknownUnit];
const CHANGED_UNIT: &[Code] = &[
    StillInUse,
    ImmutableField,
    InvalidPeriod,
    OutsideValidity,
    UnknownUnit,
];
const NEW_PERSON: &[Code] = &[AlreadyExists, InvalidPeriod, UnknownUnit];
const CHANGED_PERSON: &[Code] = &[StillInUse, ImmutableField, InvalidPeriod, UnknownUnit];
const NEW_APPOINTMENT: &[Code] = &[
    OfficeTaken,
    InvalidPeriod,
    OfficeMisplaced,
    OutsideValidity,
    UnknownPerson,
    UnknownUnit,
];
const CHANGED_APPOINTMENT: &[Code] = &[
    OfficeTaken,
    StillInUse,
    ImmutableField,
    InvalidPeriod,
    OutsideValidity,
];
const NEW_GOAL: &[Code] = &[InvalidPeriod, UnknownUnit];
const NEW_VENUE: &[Code] = &[InvalidPeriod, UnknownUnit];
const CHANGED_VENUE: &[Code] = &[StillInUse, InvalidPeriod, UnknownUnit];
const NEW_EVENT: &[Code] = &[
    NoGuideline,
    OutsideGuideline,
    UnitNotCovered,
    UnknownUnit,
    UnknownPerson,
    UnknownVenue,
    UnknownOccasion,
];
const CHANGED_EVENT: &[Code] = &[
    NotEditableInStatus,
    OutsideGuideline,
    UnitNotCovered,
    UnknownUnit,
    UnknownPerson,
    UnknownVenue,
    UnknownOccasion,
];

/// The codes that this operation has of its own.
pub fn own(operation_id: &str) -> impl Iterator<Item = Code> {
    OWN.iter()
        .filter(move |(id, _)| *id == operation_id)
        .flat_map(|(_, codes)| codes.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::document;

    #[test]
    fn each_code_is_shared_or_some_operations_own_and_each_operation_exists() {
        let paths = document()["paths"].as_object().expect("paths");
        let ids: Vec<&str> = paths
            .values()
            .flat_map(|item| item.as_object().into_iter().flatten())
            .filter_map(|(_, operation)| operation["operationId"].as_str())
            .collect();
        for (id, _) in OWN {
            assert!(ids.contains(id), "{id} is no operation");
        }
        let of_operations = |code: &&Code| matches!(code.status(), 403 | 404 | 409 | 422);
        for code in Code::ALL.iter().filter(of_operations) {
            let own = OWN.iter().any(|(_, codes)| codes.contains(code));
            assert!(
                own != SHARED.contains(code),
                "{} is shared, or the own of operations",
                code.as_str()
            );
        }
    }
}
