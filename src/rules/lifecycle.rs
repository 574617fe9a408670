//! From draft to closed: which status an event may take next, and what must hold for it.
//!
//! `draft → confirmed → held → closed`, with the ways back and out that real life needs. *Who* may
//! make a change is [`super::access`]'s question; here it is only whether the event is ready for it.
//! What is written down is reality: holding never checks compliance.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    calendar,
    follow_up::{self, FollowUpStatus},
};

/// Where an event is in its life.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum EventStatus {
    /// Being planned; seen only by those who plan it and those who oversee.
    Draft,
    /// Planned as the guideline asks, and going to take place.
    Confirmed,
    /// It has taken place; its effect is being followed up.
    Held,
    /// Followed up; nothing remains to be done.
    Closed,
    /// It did not or will not take place.
    Cancelled,
}

/// A step between two statuses, named for what it means: it decides what else happens with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transition {
    /// `draft → confirmed`; freezes the answers as the baseline (R33, I11).
    Confirm,
    /// `confirmed → draft`, with a reason.
    Replan,
    /// `confirmed → held`; keeps the findings of that day.
    Hold,
    /// `draft → held`, "held without a plan", with a reason; keeps the findings of that day.
    HoldUnplanned,
    /// `held → closed`.
    Close,
    /// `closed → held`, with a reason.
    Reopen,
    /// `draft | confirmed → cancelled`, with a reason; open requests are withdrawn and planned
    /// follow-ups cancelled with it.
    Cancel,
}

impl Transition {
    /// Whether the status log must say why.
    pub fn needs_reason(self) -> bool {
        match self {
            Self::Replan | Self::HoldUnplanned | Self::Reopen | Self::Cancel => true,
            Self::Confirm | Self::Hold | Self::Close => false,
        }
    }
}

/// The step that leads from one status to the other, if there is one.
pub fn transition(from: EventStatus, to: EventStatus) -> Option<Transition> {
    use EventStatus::{Cancelled, Closed, Confirmed, Draft, Held};
    match (from, to) {
        (Draft, Confirmed) => Some(Transition::Confirm),
        (Confirmed, Draft) => Some(Transition::Replan),
        (Confirmed, Held) => Some(Transition::Hold),
        (Draft, Held) => Some(Transition::HoldUnplanned),
        (Held, Closed) => Some(Transition::Close),
        (Closed, Held) => Some(Transition::Reopen),
        (Draft | Confirmed, Cancelled) => Some(Transition::Cancel),
        _ => None,
    }
}

/// The event as it would be after the request, and the moment of asking.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    pub now: DateTime<Utc>,
    pub first_start: DateTime<Utc>,
    pub last_end: DateTime<Utc>,
    /// Why, as the caller wrote it; blank counts as missing.
    pub reason: Option<&'a str>,
    /// The guideline covers the event on its dates ([`super::scope`]).
    pub covered: bool,
    /// The rules whose finding is `answerNeeded`, `reasonNeeded` or `exceptionNeeded`
    /// ([`super::compliance`]).
    pub open_findings: &'a [String],
    /// Status and due date of each. Their responsible persons are not asked for: no follow-up is
    /// without one.
    pub follow_ups: &'a [(FollowUpStatus, NaiveDate)],
    /// An approved exception from `question.followUp` is in force.
    pub follow_up_excepted: bool,
    /// The actual number of participants is known.
    pub participants_given: bool,
}

/// Why an event cannot take the status, first what the caller left out, then what stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No step leads from the one status to the other.
    NoSuchTransition,
    /// The step needs a reason.
    ReasonMissing,
    /// Holding needs the actual number of participants.
    ParticipantsMissing,
    /// The event has begun: it can no longer be confirmed or replanned.
    TooLate,
    /// The guideline does not cover the event on its dates.
    NotCovered,
    /// There are open findings.
    NotCompliant,
    /// Confirming needs a planned follow-up due on or after the last date (I9).
    FollowUpMissing,
    /// The last occasion has not ended.
    NotEnded,
    /// A follow-up is still planned: closing waits for it.
    FollowUpOpen,
    /// No follow-up was completed or waived, and there is no exception from it.
    NotFollowedUp,
}

/// May the event go from this status to that one now? The step, or the first thing that is missing.
pub fn change(from: EventStatus, to: EventStatus, facts: &Facts) -> Result<Transition, Refusal> {
    let step = transition(from, to).ok_or(Refusal::NoSuchTransition)?;
    let reason_given = facts.reason.is_some_and(|reason| !reason.trim().is_empty());
    require(!step.needs_reason() || reason_given, Refusal::ReasonMissing)?;
    match step {
        Transition::Confirm => {
            require(facts.now < facts.first_start, Refusal::TooLate)?;
            require(facts.covered, Refusal::NotCovered)?;
            require(facts.open_findings.is_empty(), Refusal::NotCompliant)?;
            require(
                facts.follow_up_excepted || facts.follow_up_is_planned(),
                Refusal::FollowUpMissing,
            )?;
        }
        Transition::Replan => require(facts.now < facts.first_start, Refusal::TooLate)?,
        Transition::Hold | Transition::HoldUnplanned => {
            require(facts.participants_given, Refusal::ParticipantsMissing)?;
            require(facts.last_end <= facts.now, Refusal::NotEnded)?;
        }
        Transition::Close => {
            require(
                !facts.has_follow_up(FollowUpStatus::Planned),
                Refusal::FollowUpOpen,
            )?;
            require(
                facts.follow_up_excepted
                    || facts.has_follow_up(FollowUpStatus::Completed)
                    || facts.has_follow_up(FollowUpStatus::Waived),
                Refusal::NotFollowedUp,
            )?;
        }
        Transition::Reopen | Transition::Cancel => {}
    }
    Ok(step)
}

impl Facts<'_> {
    fn follow_up_is_planned(&self) -> bool {
        let last_day = calendar::last_day(self.last_end);
        self.follow_ups.iter().any(|(status, due_date)| {
            *status == FollowUpStatus::Planned
                && follow_up::check_due_date(*due_date, last_day).is_ok()
        })
    }

    fn has_follow_up(&self, status: FollowUpStatus) -> bool {
        self.follow_ups.iter().any(|(it, _)| *it == status)
    }
}

fn require(holds: bool, otherwise: Refusal) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(otherwise) }
}

/// How much of an event may still be changed; otherwise 409 `not-editable-in-status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Editable {
    /// The event, its answers and its follow-ups.
    Everything,
    /// Its follow-ups, and of the event itself [`OUTCOME_FIELDS`].
    Outcome,
    Nothing,
}

/// What becomes known only once an event is held, by its name in the contract.
pub const OUTCOME_FIELDS: [&str; 3] = ["actualParticipants", "actualCost", "registryNumber"];

/// What may be changed in this status.
pub fn editable(status: EventStatus) -> Editable {
    match status {
        EventStatus::Draft | EventStatus::Confirmed => Editable::Everything,
        EventStatus::Held | EventStatus::Closed => Editable::Outcome,
        EventStatus::Cancelled => Editable::Nothing,
    }
}

impl Editable {
    /// Whether this property of the event, by its name in the contract, may be given another value.
    pub fn allows(self, field: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Outcome => OUTCOME_FIELDS.contains(&field),
            Self::Nothing => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use EventStatus::{Cancelled, Closed, Confirmed, Draft, Held};

    const STATUSES: [EventStatus; 5] = [Draft, Confirmed, Held, Closed, Cancelled];

    // The event is on Monday 12 October 2026, from nine to four in Stockholm.
    const BEFORE: &str = "2026-10-01T12:00:00Z";
    const START: &str = "2026-10-12T07:00:00Z";
    const END: &str = "2026-10-12T14:00:00Z";
    const AFTER: &str = "2026-10-13T08:00:00Z";

    fn moment(text: &str) -> DateTime<Utc> {
        text.parse().expect("a moment")
    }

    fn follow_up(status: FollowUpStatus, due_date: &str) -> (FollowUpStatus, NaiveDate) {
        (status, due_date.parse().expect("a date"))
    }

    /// An event that lacks nothing, but for the follow-ups it has.
    fn facts<'a>(now: &str, follow_ups: &'a [(FollowUpStatus, NaiveDate)]) -> Facts<'a> {
        Facts {
            now: moment(now),
            first_start: moment(START),
            last_end: moment(END),
            reason: Some("Lokalen brann"),
            covered: true,
            open_findings: &[],
            follow_ups,
            follow_up_excepted: false,
            participants_given: true,
        }
    }

    #[test]
    fn these_steps_exist_and_no_others() {
        let planned = [follow_up(FollowUpStatus::Planned, "2027-01-10")];
        let completed = [follow_up(FollowUpStatus::Completed, "2027-01-10")];
        let before = facts(BEFORE, &planned);
        let after = facts(AFTER, &completed);
        let steps = [
            (Draft, Confirmed, Transition::Confirm, &before),
            (Confirmed, Draft, Transition::Replan, &before),
            (Confirmed, Held, Transition::Hold, &after),
            (Draft, Held, Transition::HoldUnplanned, &after),
            (Held, Closed, Transition::Close, &after),
            (Closed, Held, Transition::Reopen, &after),
            (Draft, Cancelled, Transition::Cancel, &before),
            (Confirmed, Cancelled, Transition::Cancel, &after),
        ];
        for (from, to, step, ready) in steps {
            assert_eq!(change(from, to, ready), Ok(step), "{from:?} → {to:?}");
        }
        for from in STATUSES {
            for to in STATUSES {
                if !steps.iter().any(|step| (step.0, step.1) == (from, to)) {
                    for facts in [&before, &after] {
                        assert_eq!(
                            change(from, to, facts),
                            Err(Refusal::NoSuchTransition),
                            "{from:?} → {to:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn cancelling_replanning_reopening_and_holding_a_draft_need_a_reason() {
        let planned = [follow_up(FollowUpStatus::Planned, "2027-01-10")];
        let completed = [follow_up(FollowUpStatus::Completed, "2027-01-10")];
        for (from, to, needed) in [
            (Draft, Confirmed, false),
            (Confirmed, Draft, true),
            (Confirmed, Held, false),
            (Draft, Held, true),
            (Held, Closed, false),
            (Closed, Held, true),
            (Draft, Cancelled, true),
            (Confirmed, Cancelled, true),
        ] {
            for reason in [None, Some(""), Some(" \n")] {
                let facts = Facts {
                    reason,
                    ..match to {
                        Held | Closed => facts(AFTER, &completed),
                        _ => facts(BEFORE, &planned),
                    }
                };
                let refused = change(from, to, &facts) == Err(Refusal::ReasonMissing);
                assert_eq!(refused, needed, "{from:?} → {to:?}, {reason:?}");
            }
        }
    }

    #[test]
    fn an_event_is_confirmed_and_replanned_before_its_first_start_only() {
        let planned = [follow_up(FollowUpStatus::Planned, "2027-01-10")];
        for (from, to) in [(Draft, Confirmed), (Confirmed, Draft)] {
            let at = |now| change(from, to, &facts(now, &planned));
            assert!(at("2026-10-12T06:59:59.999999Z").is_ok());
            assert_eq!(at(START), Err(Refusal::TooLate));
            assert_eq!(at(AFTER), Err(Refusal::TooLate));
        }
    }

    #[test]
    fn an_event_is_confirmed_when_it_is_covered_and_no_finding_is_open() {
        let planned = [follow_up(FollowUpStatus::Planned, "2027-01-10")];
        let uncovered = Facts {
            covered: false,
            ..facts(BEFORE, &planned)
        };
        assert_eq!(
            change(Draft, Confirmed, &uncovered),
            Err(Refusal::NotCovered)
        );
        let open = ["venueLadder".to_owned()];
        let lacking = Facts {
            open_findings: &open,
            ..facts(BEFORE, &planned)
        };
        assert_eq!(
            change(Draft, Confirmed, &lacking),
            Err(Refusal::NotCompliant)
        );
    }

    #[test]
    fn an_event_is_confirmed_with_a_planned_follow_up_of_its_effect() {
        use FollowUpStatus::{Cancelled as Dropped, Completed, Planned, Waived};
        for (follow_ups, enough) in [
            (vec![], false),
            (vec![follow_up(Planned, "2026-10-11")], false),
            (vec![follow_up(Planned, "2026-10-12")], true),
            (vec![follow_up(Planned, "2027-01-10")], true),
            (vec![follow_up(Completed, "2027-01-10")], false),
            (vec![follow_up(Waived, "2027-01-10")], false),
            (vec![follow_up(Dropped, "2027-01-10")], false),
            (
                vec![
                    follow_up(Planned, "2026-10-11"),
                    follow_up(Dropped, "2027-01-10"),
                ],
                false,
            ),
            (
                vec![
                    follow_up(Planned, "2026-10-11"),
                    follow_up(Planned, "2027-01-10"),
                ],
                true,
            ),
        ] {
            let expected = match enough {
                true => Ok(Transition::Confirm),
                false => Err(Refusal::FollowUpMissing),
            };
            let facts = facts(BEFORE, &follow_ups);
            assert_eq!(change(Draft, Confirmed, &facts), expected, "{follow_ups:?}");
            let excepted = Facts {
                follow_up_excepted: true,
                ..facts
            };
            assert!(change(Draft, Confirmed, &excepted).is_ok());
        }
    }

    #[test]
    fn an_event_is_held_once_its_last_occasion_has_ended() {
        for from in [Confirmed, Draft] {
            let at = |now| change(from, Held, &facts(now, &[]));
            assert_eq!(at(START), Err(Refusal::NotEnded));
            assert_eq!(at("2026-10-12T13:59:59.999999Z"), Err(Refusal::NotEnded));
            assert!(at(END).is_ok());
        }
    }

    #[test]
    fn an_event_is_held_with_its_participants_and_whatever_its_findings() {
        let open = ["venueLadder".to_owned()];
        for from in [Confirmed, Draft] {
            let unplanned = Facts {
                covered: false,
                open_findings: &open,
                ..facts(AFTER, &[])
            };
            assert!(change(from, Held, &unplanned).is_ok());
            let uncounted = Facts {
                participants_given: false,
                ..unplanned
            };
            assert_eq!(
                change(from, Held, &uncounted),
                Err(Refusal::ParticipantsMissing)
            );
        }
    }

    #[test]
    fn an_event_is_closed_when_it_has_been_followed_up() {
        use FollowUpStatus::{Cancelled as Dropped, Completed, Planned, Waived};
        let with = |statuses: &[FollowUpStatus], follow_up_excepted| {
            let follow_ups: Vec<_> = statuses
                .iter()
                .map(|status| follow_up(*status, "2027-01-10"))
                .collect();
            let facts = Facts {
                follow_up_excepted,
                ..facts(AFTER, &follow_ups)
            };
            change(Held, Closed, &facts)
        };
        let closed = Ok(Transition::Close);
        for (statuses, ordinarily, excepted) in [
            (&[Completed][..], closed, closed),
            (&[Waived], closed, closed),
            (&[Completed, Waived, Dropped], closed, closed),
            (&[], Err(Refusal::NotFollowedUp), closed),
            (&[Dropped], Err(Refusal::NotFollowedUp), closed),
            (
                &[Completed, Planned],
                Err(Refusal::FollowUpOpen),
                Err(Refusal::FollowUpOpen),
            ),
        ] {
            assert_eq!(with(statuses, false), ordinarily, "{statuses:?}");
            assert_eq!(with(statuses, true), excepted, "{statuses:?}, excepted");
        }
    }

    #[test]
    fn after_holding_only_the_outcome_may_be_edited_and_after_cancelling_nothing() {
        for (status, title, participants) in [
            (Draft, true, true),
            (Confirmed, true, true),
            (Held, false, true),
            (Closed, false, true),
            (Cancelled, false, false),
        ] {
            assert_eq!(editable(status).allows("title"), title, "{status:?}");
            for field in OUTCOME_FIELDS {
                assert_eq!(editable(status).allows(field), participants, "{status:?}");
            }
        }
    }

    #[test]
    fn the_wire_speaks_camel_case() {
        let wire = ["draft", "confirmed", "held", "closed", "cancelled"];
        assert_eq!(json!(STATUSES), json!(wire));
    }
}
