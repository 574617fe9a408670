//! What an operation can refuse beyond what all like it can: the codes of its 403, 404, 409, 412 and 422 in the document.
//! The tests hold every problem that they are answered against it.

use crate::error::Code::{self, *};

/// The codes that any operation can answer which asks for a token, has an id in its path, is repeatable or takes a body.
const SHARED: &[Code] = &[
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
    ("create_unit", &[InvalidPeriod, UnitMisplaced, OutsideValidity, UnknownUnit]),
    ("change_unit", &[StillInUse, ImmutableField, InvalidPeriod, OutsideValidity, UnknownUnit]),
    ("create_person", &[AlreadyExists, InvalidPeriod, UnknownUnit]),
    ("change_person", &[StillInUse, ImmutableField, InvalidPeriod, UnknownUnit]),
    (
        "create_office_appointment",
        &[OfficeTaken, InvalidPeriod, OfficeMisplaced, OutsideValidity, UnknownPerson, UnknownUnit],
    ),
    ("change_office_appointment", &[OfficeTaken, StillInUse, ImmutableField, InvalidPeriod, OutsideValidity]),
    ("create_business_goal", &[InvalidPeriod, UnknownUnit]),
    ("change_business_goal", &[InvalidPeriod, UnknownUnit]),
    ("create_venue", &[InvalidPeriod, UnknownUnit]),
    ("change_venue", &[StillInUse, InvalidPeriod, UnknownUnit]),
    ("create_supplier_contract", &[InvalidPeriod]),
    ("change_supplier_contract", &[InvalidPeriod]),
    // events and their planning
    (
        "create_event",
        &[NoGuideline, OutsideGuideline, UnitNotCovered, UnknownUnit, UnknownPerson, UnknownVenue, UnknownOccasion],
    ),
    (
        "change_event",
        &[NotEditableInStatus, OutsideGuideline, UnitNotCovered, UnknownUnit, UnknownPerson, UnknownVenue, UnknownOccasion],
    ),
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

/// The statuses whose codes are told by operation.
const BY_OPERATION: [u16; 4] = [403, 404, 409, 422];

/// The codes of a status that any operation may answer which can answer that status.
pub fn shared(status: u16) -> impl Iterator<Item = Code> {
    let of_status = Code::ALL
        .iter()
        .copied()
        .filter(move |code| code.status() == status);
    of_status.filter(move |code| !BY_OPERATION.contains(&status) || SHARED.contains(code))
}

/// The codes that this operation has of its own. A PUT by external id creates or changes; it needs no If-Match, but obeys one.
pub fn own(operation_id: &str) -> Vec<Code> {
    let of = |id: &str| {
        let found = OWN.iter().find(|(known, _)| *known == id);
        found.map_or(&[][..], |(_, codes)| codes)
    };
    match operation_id.strip_prefix("put_external_") {
        Some(resource) => [
            &[StaleRevision][..],
            of(&format!("create_{resource}")),
            of(&format!("change_{resource}")),
        ]
        .concat(),
        None => of(operation_id).to_vec(),
    }
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
        let of_operations = |code: &&Code| BY_OPERATION.contains(&code.status());
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
