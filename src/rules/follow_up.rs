//! Upcoming, due soon, overdue: what a follow-up's dates mean today (R20, R32).
//!
//! The status a follow-up is *in* is stored; whether it is late is derived whenever it is read, so
//! that no nightly job can be late itself. [`bounds`] turns today into two dates, and SQL compares
//! with the same dates as [`due_status`] does.

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::calendar;

/// What a follow-up looks at: Kirkpatrick's four levels, lowest first (R20).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Level {
    /// What the participants thought of it.
    Reaction,
    /// What they learned.
    Learning,
    /// What they do differently at work.
    Behaviour,
    /// What came of it for the operation and for residents.
    Results,
}

/// How a follow-up is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum FollowUpMethod {
    /// A questionnaire.
    Survey,
    /// Conversations one by one.
    Interview,
    /// Seeing the work as it is done.
    Observation,
    /// A conversation in the work group.
    GroupDiscussion,
    /// Figures from the work, before and after.
    Measurement,
    /// Another way, which the entries describe.
    Other,
}

/// The stored state of a follow-up: `planned → completed | waived | cancelled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum FollowUpStatus {
    /// Still to be done.
    Planned,
    /// Done, at its level or above.
    Completed,
    /// An HR administrator has said, with a reason, that it will not be done.
    Waived,
    /// Withdrawn before the event was held, or cancelled with it.
    Cancelled,
}

/// A follow-up's state as seen on a given day; derived, never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum DueStatus {
    /// Planned, and due later than "soon".
    Upcoming,
    /// Planned, and due today or within the version's `dueSoonDays`.
    DueSoon,
    /// Planned, and its due date has passed.
    Overdue,
    /// Done on the due date at the latest.
    CompletedOnTime,
    /// Done after the due date.
    CompletedLate,
    /// Not to be done, for the reason given.
    Waived,
    /// The event did not take place, or the follow-up was planned by mistake.
    Cancelled,
}

/// Whether what was planned was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum CarriedOut {
    /// As it was planned.
    AsPlanned,
    /// In another way, at another time, or in part.
    Otherwise,
    /// Not at all; such an entry says why and completes nothing.
    NotCarriedOut,
}

/// How much of an effect there was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum EffectSeen {
    /// None yet.
    None,
    /// A part of what was wanted.
    Some,
    /// All that was wanted.
    Full,
    /// Too early to say.
    TooEarly,
}

/// What [`completing`] needs to know of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryFacts {
    pub level: Level,
    pub carried_out: CarriedOut,
    pub voided: bool,
}

/// Which of its entries, in the order in which they were written, completes a follow-up planned at this level: the first that is
/// not voided, was carried out, and looked at least as deep (R20). `None`: it is not completed.
pub fn completing(level: Level, entries: &[EntryFacts]) -> Option<usize> {
    entries.iter().position(|entry| {
        !entry.voided && entry.carried_out != CarriedOut::NotCarriedOut && entry.level >= level
    })
}

/// May a planned follow-up of an event that is not held yet be cancelled? Only while another remains that does as much: planned,
/// and, when this one is due on or after the last day, due so too (I9). `others` are the due dates of the other planned ones.
pub fn may_cancel(
    due_date: NaiveDate,
    others: &[NaiveDate],
    last_day: NaiveDate,
    excepted: bool,
) -> bool {
    let counts = |due: NaiveDate| check_due_date(due, last_day).is_ok();
    excepted
        || others
            .iter()
            .any(|other| counts(*other) || !counts(due_date))
}

/// A due date before the event's last date: 422 `due-before-event`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueBeforeEvent;

/// The due date of a follow-up planned without one: so many days (`followUpDueDays`) after the
/// event's last date, and no later than the last day that there is here. The guideline sets no deadline (R32).
pub fn default_due_date(last_day: NaiveDate, due_days: u32) -> NaiveDate {
    later(last_day, due_days).min(calendar::LAST_DAY)
}

/// An effect can be followed up on the event's last date at the earliest.
pub fn check_due_date(due_date: NaiveDate, last_day: NaiveDate) -> Result<(), DueBeforeEvent> {
    if due_date < last_day {
        Err(DueBeforeEvent)
    } else {
        Ok(())
    }
}

/// Today as the two dates that due dates are compared with, here and in SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueBounds {
    /// Planned and due before this date is overdue; the date is today.
    pub overdue_before: NaiveDate,
    /// Planned, not overdue and due on this date at the latest is due soon.
    pub due_soon_until: NaiveDate,
}

/// The bounds on `today` in Stockholm, with "soon" as so many days (`dueSoonDays`).
pub fn bounds(today: NaiveDate, due_soon_days: u32) -> DueBounds {
    DueBounds {
        overdue_before: today,
        due_soon_until: later(today, due_soon_days),
    }
}

/// What [`due_status`] needs to know of a follow-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueFacts {
    pub status: FollowUpStatus,
    pub due_date: NaiveDate,
    /// The date of its completion; `None` unless completed.
    pub completed_on: Option<NaiveDate>,
}

/// What the follow-up's dates mean within these bounds.
pub fn due_status(follow_up: DueFacts, bounds: DueBounds) -> DueStatus {
    let due = follow_up.due_date;
    match follow_up.status {
        FollowUpStatus::Planned if due < bounds.overdue_before => DueStatus::Overdue,
        FollowUpStatus::Planned if due <= bounds.due_soon_until => DueStatus::DueSoon,
        FollowUpStatus::Planned => DueStatus::Upcoming,
        FollowUpStatus::Completed if follow_up.completed_on.is_some_and(|on| on > due) => {
            DueStatus::CompletedLate
        }
        FollowUpStatus::Completed => DueStatus::CompletedOnTime,
        FollowUpStatus::Waived => DueStatus::Waived,
        FollowUpStatus::Cancelled => DueStatus::Cancelled,
    }
}

/// How many days ago it was due, while it is overdue.
pub fn days_overdue(follow_up: DueFacts, bounds: DueBounds) -> Option<i64> {
    (due_status(follow_up, bounds) == DueStatus::Overdue)
        .then(|| (bounds.overdue_before - follow_up.due_date).num_days())
}

/// How long a follow-up has been overdue, as it is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum AgeBand {
    /// Not more than two weeks.
    Days1To14,
    /// More, up to a month.
    Days15To30,
    /// More, up to three months.
    Days31To90,
    /// More than that.
    DaysOver90,
}

impl AgeBand {
    /// Every band, the youngest first.
    pub const ALL: [AgeBand; 4] = [
        AgeBand::Days1To14,
        AgeBand::Days15To30,
        AgeBand::Days31To90,
        AgeBand::DaysOver90,
    ];

    /// The days overdue that belong to it, from and to.
    pub fn days(self) -> (i64, i64) {
        match self {
            AgeBand::Days1To14 => (1, 14),
            AgeBand::Days15To30 => (15, 30),
            AgeBand::Days31To90 => (31, 90),
            AgeBand::DaysOver90 => (91, i64::from(i32::MAX)),
        }
    }
}

fn later(date: NaiveDate, days: u32) -> NaiveDate {
    date.checked_add_days(Days::new(days.into()))
        .unwrap_or(NaiveDate::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    #[test]
    fn a_follow_up_without_a_date_is_due_so_many_days_after_the_last_day() {
        assert_eq!(default_due_date(date("2026-10-12"), 90), date("2027-01-10"));
        assert_eq!(default_due_date(date("2026-10-12"), 0), date("2026-10-12"));
        assert_eq!(default_due_date(date("2199-12-25"), 90), calendar::LAST_DAY);
    }

    #[test]
    fn a_follow_up_is_due_on_the_last_day_at_the_earliest() {
        let last_day = date("2026-10-12");
        assert_eq!(
            check_due_date(date("2026-10-11"), last_day),
            Err(DueBeforeEvent)
        );
        assert_eq!(check_due_date(last_day, last_day), Ok(()));
        assert_eq!(check_due_date(date("2026-10-13"), last_day), Ok(()));
    }

    #[test]
    fn a_planned_follow_up_is_overdue_the_day_after_its_due_date() {
        let bounds = bounds(date("2026-11-01"), 14);
        for (due_date, seen) in [
            ("2026-10-31", DueStatus::Overdue),
            ("2026-11-01", DueStatus::DueSoon),
            ("2026-11-15", DueStatus::DueSoon),
            ("2026-11-16", DueStatus::Upcoming),
        ] {
            let follow_up = DueFacts {
                status: FollowUpStatus::Planned,
                due_date: date(due_date),
                completed_on: None,
            };
            assert_eq!(due_status(follow_up, bounds), seen, "due {due_date}");
        }
    }

    #[test]
    fn what_is_done_stays_on_time_or_late_whatever_day_it_is() {
        for (completed_on, seen) in [
            ("2026-10-30", DueStatus::CompletedOnTime),
            ("2026-10-31", DueStatus::CompletedOnTime),
            ("2026-11-01", DueStatus::CompletedLate),
        ] {
            let follow_up = DueFacts {
                status: FollowUpStatus::Completed,
                due_date: date("2026-10-31"),
                completed_on: Some(date(completed_on)),
            };
            for today in ["2026-01-01", "2026-10-31", "2028-01-01"] {
                assert_eq!(due_status(follow_up, bounds(date(today), 14)), seen);
            }
        }
    }

    #[test]
    fn the_first_entry_that_counts_completes() {
        use CarriedOut::{AsPlanned, NotCarriedOut, Otherwise};
        use Level::{Behaviour, Learning, Results};
        let entry = |(level, carried_out, voided)| EntryFacts {
            level,
            carried_out,
            voided,
        };
        for (entries, completed_by) in [
            (vec![], None),
            (vec![(Behaviour, AsPlanned, false)], Some(0)),
            (vec![(Results, Otherwise, false)], Some(0)),
            (vec![(Learning, AsPlanned, false)], None),
            (vec![(Behaviour, NotCarriedOut, false)], None),
            (vec![(Behaviour, AsPlanned, true)], None),
            (
                vec![
                    (Learning, AsPlanned, false),
                    (Behaviour, AsPlanned, true),
                    (Results, NotCarriedOut, false),
                    (Behaviour, Otherwise, false),
                    (Results, AsPlanned, false),
                ],
                Some(3),
            ),
        ] {
            let facts: Vec<_> = entries.iter().copied().map(entry).collect();
            assert_eq!(completing(Behaviour, &facts), completed_by, "{entries:?}");
        }
    }

    #[test]
    fn a_follow_up_is_cancelled_only_while_another_does_as_much() {
        let last_day = date("2026-10-12");
        let (early, late) = (date("2026-10-01"), date("2027-01-10"));
        for (due_date, others, allowed) in [
            (late, vec![], false),
            (late, vec![early], false),
            (late, vec![late], true),
            (late, vec![early, last_day], true),
            // one that is due too early answers nothing, and may go while any other is planned
            (early, vec![], false),
            (early, vec![early], true),
            (early, vec![late], true),
        ] {
            let may = |excepted| may_cancel(due_date, &others, last_day, excepted);
            assert_eq!(may(false), allowed, "{due_date}, {others:?}");
            assert!(may(true));
        }
    }

    #[test]
    fn a_higher_level_is_greater() {
        assert!(Level::Reaction < Level::Learning);
        assert!(Level::Learning < Level::Behaviour);
        assert!(Level::Behaviour < Level::Results);
    }

    #[test]
    fn the_wire_speaks_camel_case() {
        assert_eq!(json!(Level::Behaviour), "behaviour");
        assert_eq!(json!(FollowUpMethod::GroupDiscussion), "groupDiscussion");
        assert_eq!(json!(FollowUpStatus::Waived), "waived");
        assert_eq!(json!(DueStatus::CompletedOnTime), "completedOnTime");
    }

    proptest! {
        #[test]
        fn as_days_pass_a_planned_follow_up_only_gets_more_urgent(
            due in 0u32..400, today in 0u32..400, soon in 0u32..60,
        ) {
            let rank = |today: u32| {
                let epoch = date("2026-01-01");
                let follow_up = DueFacts {
                    status: FollowUpStatus::Planned,
                    due_date: later(epoch, due),
                    completed_on: None,
                };
                match due_status(follow_up, bounds(later(epoch, today), soon)) {
                    DueStatus::Upcoming => 0,
                    DueStatus::DueSoon => 1,
                    DueStatus::Overdue => 2,
                    other => panic!("a planned follow-up is {other:?}"),
                }
            };
            prop_assert!(rank(today) <= rank(today + 1));
            prop_assert_eq!(rank(today) == 2, today > due);
        }
    }
}
