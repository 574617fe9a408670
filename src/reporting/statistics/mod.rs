//! Statistics: events, exceptions, venues and goals in numbers, by period, unit, kind, goal, responsible person or rule.
//!
//! Every number is a count over what the lists show, so each equals the list with the same filter (I16): an event with
//! occasions in two months counts in both, one of two units in both, and the whole counts it once. Answers are read where they
//! are; nothing is stored twice.

pub mod handlers;
pub mod queries;

use chrono::{Datelike, Months, NaiveDate};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::http::json_text::name;
use crate::rules::follow_up::AgeBand;
use crate::rules::scope::EventKind;

/// What rows are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum GroupBy {
    /// The calendar years of the occasions; of a request, of its submission.
    Year,
    /// The thirds of the year: January to April, May to August, September to December.
    Tertial,
    /// The months.
    Month,
    /// The organising units, and with `includeSubtree` each unit above them too.
    Unit,
    /// The kinds of event.
    Kind,
    /// The goals of the guideline that events contribute to.
    Goal,
    /// The business goals that events contribute to.
    BusinessGoal,
    /// The people who answer for the events.
    Responsible,
    /// Of events: the rules that something is still needed for. Of requests: the rules that they name.
    Rule,
    /// Only of follow-ups: how long they have been overdue.
    #[serde(skip)]
    AgeBand,
}

/// What a row counts: those of its members that were asked for with `groupBy`; none where everything is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// The year, tertial or month.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-T3")]
    pub period: Option<String>,
    /// The first day of the period that is counted (Stockholm), for `from` of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-09-01")]
    pub from: Option<NaiveDate>,
    /// The last day of the period that is counted (Stockholm), for `to` of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-12-31")]
    pub to: Option<NaiveDate>,
    /// The unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0190a000-0000-7000-8000-000000000101")]
    pub unit_id: Option<Uuid>,
    /// What the unit is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Bildningsförvaltningen")]
    pub unit_name: Option<String>,
    /// The kind of event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "planningDay")]
    pub kind: Option<EventKind>,
    /// The goal of the guideline.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "improveOperations")]
    pub guideline_goal: Option<String>,
    /// The business goal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0190a000-0000-7000-8000-000000000401")]
    pub business_goal_id: Option<Uuid>,
    /// What the business goal is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Fler elever når gymnasiebehörighet")]
    pub business_goal_title: Option<String>,
    /// The person who answers for the events (personRef).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "person-0003")]
    pub responsible_person: Option<String>,
    /// How that person is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Verksamhetsutvecklare, bildning")]
    pub responsible_name: Option<String>,
    /// The rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "question.purpose")]
    pub rule_id: Option<String>,
    /// How long the follow-ups have been overdue.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "days15To30")]
    pub age_band: Option<AgeBand>,
}

/// Which events, and how they are grouped.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, style = Form)]
pub struct StatisticsFilter {
    /// From this day on (Stockholm): events with an occasion on it or later; of exceptions, requests submitted then.
    #[param(required = false, example = "2020-01-01")]
    pub from: Option<NaiveDate>,
    /// Up to and with this day (Stockholm).
    #[param(required = false, example = "2199-12-31")]
    pub to: Option<NaiveDate>,
    /// Only events that one of these units organises.
    #[param(required = false, explode = false, min_items = 1, max_items = 50, example = json!(["0190a000-0000-7000-8000-000000000101"]))]
    pub unit_id: Option<Vec<Uuid>>,
    /// Count the units below them too, here and in `groupBy=unit`.
    #[param(required = false, default = true, example = true)]
    #[serde(default = "yes")]
    pub include_subtree: bool,
    /// Only events of one of these kinds.
    #[param(required = false, explode = false, min_items = 1, max_items = 10, example = json!(["planningDay"]))]
    pub kind: Option<Vec<EventKind>>,
    /// A row for each of these that there is, or for each pair of two. Without it one row counts everything.
    #[param(required = false, inline, explode = false, min_items = 1, max_items = 2, example = json!(["unit"]))]
    pub group_by: Option<Vec<GroupBy>>,
    /// As CSV: for Excel in Swedish, with a byte order mark and semicolons.
    #[param(required = false, default = false, example = false)]
    #[serde(default)]
    pub excel: bool,
}

fn yes() -> bool {
    true
}

impl StatisticsFilter {
    /// What rows are grouped by; nothing, and one row counts everything.
    fn groupings(&self) -> &[GroupBy] {
        self.group_by.as_deref().unwrap_or_default()
    }
}

impl Group {
    /// The days of a period, cut to those that were asked for.
    pub fn date(&mut self, from: Option<NaiveDate>, to: Option<NaiveDate>) {
        let Some((first, last)) = self.period.as_deref().and_then(days_of) else {
            return;
        };
        self.from = Some(from.map_or(first, |from| first.max(from)));
        self.to = Some(to.map_or(last, |to| last.min(to)));
    }

    /// What rows are ordered by, and their cursors hold; age bands from the youngest.
    pub fn key(&self) -> Vec<String> {
        let keys = [
            self.period.clone(),
            self.unit_id.map(|id| id.to_string()),
            self.kind.map(|kind| name(&kind)),
            self.guideline_goal.clone(),
            self.business_goal_id.map(|id| id.to_string()),
            self.responsible_person.clone(),
            self.rule_id.clone(),
            self.age_band.map(|band| format!("{:03}", band.days().0)),
        ];
        keys.into_iter().flatten().collect()
    }
}

/// The first and the last day of "2026", "2026-T3" or "2026-10".
fn days_of(period: &str) -> Option<(NaiveDate, NaiveDate)> {
    let (year, part) = period.split_once('-').unwrap_or((period, ""));
    let (month, months) = match part.strip_prefix('T') {
        Some(tertial) => (tertial.parse::<u32>().ok()?.checked_sub(1)? * 4 + 1, 4),
        None if part.is_empty() => (1, 12),
        None => (part.parse().ok()?, 1),
    };
    let first = NaiveDate::from_ymd_opt(year.parse().ok()?, month, 1)?;
    let last = first.checked_add_months(Months::new(months))?.pred_opt()?;
    (first.year() == last.year()).then_some((first, last))
}

/// Events in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventStatistics {
    /// What the row counts.
    pub group: Group,
    /// All of them.
    #[schema(example = 21)]
    pub events: i64,
    /// Drafts.
    #[schema(example = 7)]
    pub draft: i64,
    /// Confirmed.
    #[schema(example = 6)]
    pub confirmed: i64,
    /// Held, and not closed yet.
    #[schema(example = 5)]
    pub held: i64,
    /// Closed.
    #[schema(example = 2)]
    pub closed: i64,
    /// Cancelled.
    #[schema(example = 1)]
    pub cancelled: i64,
    /// What was planned beside what happened, of those held or closed.
    pub outcome: PlannedAndActual,
    /// Effects on those who took part (R11).
    pub individual_effect: EffectStatistics,
    /// Effects on the operation (R11).
    pub operation_effect: EffectStatistics,
    /// Effects on residents, customers, users and patients (R22).
    pub resident_effect: EffectStatistics,
}

/// In how many events an effect was planned, and in how many which effect was seen: what the latest entry that stands says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EffectStatistics {
    /// Events whose plan says what effect is wanted: the question is answered, and not with "not applicable". (On individuals
    /// `individualEffects`, on the operation `businessGoals`, on residents `residentEffects`.)
    #[schema(example = 18)]
    pub planned: i64,
    /// Events in which none was seen.
    #[schema(example = 0)]
    pub none: i64,
    /// Events in which some was seen.
    #[schema(example = 3)]
    pub some: i64,
    /// Events in which all of it was seen.
    #[schema(example = 1)]
    pub full: i64,
    /// Events in which it was too early to say.
    #[schema(example = 0)]
    pub too_early: i64,
}

/// A goal in numbers: of the guideline (R13–R17) or of an operation (R19).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "group": {"guidelineGoal": "improveOperations"},
    "events": 14, "heldOrClosed": 5, "followedUp": 3, "none": 0, "some": 2, "full": 1, "tooEarly": 0,
}))]
pub struct GoalStatistics {
    /// The goal, `guidelineGoal` or `businessGoalId`, and what else the row counts.
    pub group: Group,
    /// Events that are planned for it.
    #[schema(example = 14)]
    pub events: i64,
    /// Of those, held or closed.
    #[schema(example = 5)]
    pub held_or_closed: i64,
    /// Of those, with a completed follow-up.
    #[schema(example = 3)]
    pub followed_up: i64,
    /// Events, planned for it or not, in which no effect on it was seen: what the latest entry that stands says of it.
    #[schema(example = 0)]
    pub none: i64,
    /// Events in which some effect was seen.
    #[schema(example = 2)]
    pub some: i64,
    /// Events in which all of it was seen.
    #[schema(example = 1)]
    pub full: i64,
    /// Events in which it was too early to say.
    #[schema(example = 0)]
    pub too_early: i64,
}

/// What was planned beside what happened, of the events held or closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedAndActual {
    /// Held or closed.
    #[schema(example = 7)]
    pub events: i64,
    /// Participants that were expected; events that did not say count as none.
    #[schema(example = 320)]
    pub expected_participants: i64,
    /// Participants that came.
    #[schema(example = 298)]
    pub actual_participants: i64,
    /// Events that did not say how many were expected.
    #[schema(example = 0)]
    pub without_expected_participants: i64,
    /// What they were to cost, in whole kronor excluding VAT.
    #[schema(example = 154000)]
    pub estimated_cost: i64,
    /// What they cost, in whole kronor excluding VAT.
    #[schema(example = 147500)]
    pub actual_cost: i64,
    /// Events that have not said what they were to cost.
    #[schema(example = 0)]
    pub without_estimated_cost: i64,
    /// Events that have not said what they cost.
    #[schema(example = 2)]
    pub without_actual_cost: i64,
}

/// Exception requests in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExceptionStatistics {
    /// What the row counts.
    pub group: Group,
    /// All of them.
    #[schema(example = 8)]
    pub requests: i64,
    /// Submitted and awaiting a decision.
    #[schema(example = 2)]
    pub submitted: i64,
    /// Of those, submitted more than seven days ago.
    #[schema(example = 2)]
    pub pending_over_seven_days: i64,
    /// Approved.
    #[schema(example = 3)]
    pub approved: i64,
    /// Rejected.
    #[schema(example = 1)]
    pub rejected: i64,
    /// Withdrawn.
    #[schema(example = 1)]
    pub withdrawn: i64,
    /// Approved, and then revoked.
    #[schema(example = 0)]
    pub revoked: i64,
    /// Not decided before the event started.
    #[schema(example = 1)]
    pub lapsed: i64,
    /// Submitted or approved, while the event is no longer what the request was about.
    #[schema(example = 1)]
    pub stale: i64,
}

/// Where events are held, in numbers: each event on its worst rung of the ladder (R28).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VenueStatistics {
    /// What the row counts.
    pub group: Group,
    /// All of them.
    #[schema(example = 21)]
    pub events: i64,
    /// In premises that the group owns.
    #[schema(example = 9)]
    pub own_premises: i64,
    /// With a supplier under contract, in the municipality.
    #[schema(example = 3)]
    pub procured_local: i64,
    /// With a supplier under contract, elsewhere.
    #[schema(example = 2)]
    pub procured_other: i64,
    /// With one without contract.
    #[schema(example = 4)]
    pub not_procured: i64,
    /// Over the net only.
    #[schema(example = 2)]
    pub digital: i64,
    /// With an occasion whose place is not decided yet.
    #[schema(example = 1)]
    pub undecided: i64,
}

/// A row of one of the statistics.
pub trait Row: Serialize + DeserializeOwned {
    /// What is counted of which rows: SQL, see [`queries`].
    const SQL: queries::Counting;
    /// What rows are grouped by without being asked to.
    const ALWAYS: &'static [GroupBy];
    /// The names of the numbers, as columns of CSV.
    const COLUMNS: &'static [&'static str];

    fn group(&self) -> &Group;
    fn group_mut(&mut self) -> &mut Group;
    /// The numbers, in the order of the columns.
    fn numbers(&self) -> Vec<i64>;
}

macro_rules! row {
    ($name:ident, $sql:expr, $always:expr, $($column:literal = $($field:ident).+),+ $(,)?) => {
        impl Row for $name {
            const SQL: queries::Counting = $sql;
            const ALWAYS: &'static [GroupBy] = &$always;
            const COLUMNS: &'static [&'static str] = &[$($column),+];

            fn group(&self) -> &Group {
                &self.group
            }

            fn group_mut(&mut self) -> &mut Group {
                &mut self.group
            }

            fn numbers(&self) -> Vec<i64> {
                vec![$(self.$($field).+),+]
            }
        }
    };
}

row!(
    EventStatistics,
    queries::EVENTS,
    [],
    "events" = events,
    "draft" = draft,
    "confirmed" = confirmed,
    "held" = held,
    "closed" = closed,
    "cancelled" = cancelled,
    "heldOrClosed" = outcome.events,
    "expectedParticipants" = outcome.expected_participants,
    "actualParticipants" = outcome.actual_participants,
    "withoutExpectedParticipants" = outcome.without_expected_participants,
    "estimatedCost" = outcome.estimated_cost,
    "actualCost" = outcome.actual_cost,
    "withoutEstimatedCost" = outcome.without_estimated_cost,
    "withoutActualCost" = outcome.without_actual_cost,
    "individualEffectPlanned" = individual_effect.planned,
    "individualEffectNone" = individual_effect.none,
    "individualEffectSome" = individual_effect.some,
    "individualEffectFull" = individual_effect.full,
    "individualEffectTooEarly" = individual_effect.too_early,
    "operationEffectPlanned" = operation_effect.planned,
    "operationEffectNone" = operation_effect.none,
    "operationEffectSome" = operation_effect.some,
    "operationEffectFull" = operation_effect.full,
    "operationEffectTooEarly" = operation_effect.too_early,
    "residentEffectPlanned" = resident_effect.planned,
    "residentEffectNone" = resident_effect.none,
    "residentEffectSome" = resident_effect.some,
    "residentEffectFull" = resident_effect.full,
    "residentEffectTooEarly" = resident_effect.too_early,
);

row!(
    GoalStatistics,
    queries::GOALS,
    [GroupBy::Goal, GroupBy::BusinessGoal],
    "events" = events,
    "heldOrClosed" = held_or_closed,
    "followedUp" = followed_up,
    "none" = none,
    "some" = some,
    "full" = full,
    "tooEarly" = too_early,
);

row!(
    ExceptionStatistics,
    queries::EXCEPTIONS,
    [],
    "requests" = requests,
    "submitted" = submitted,
    "pendingOverSevenDays" = pending_over_seven_days,
    "approved" = approved,
    "rejected" = rejected,
    "withdrawn" = withdrawn,
    "revoked" = revoked,
    "lapsed" = lapsed,
    "stale" = stale,
);

row!(
    VenueStatistics,
    queries::VENUES,
    [],
    "events" = events,
    "ownPremises" = own_premises,
    "procuredLocal" = procured_local,
    "procuredOther" = procured_other,
    "notProcured" = not_procured,
    "digital" = digital,
    "undecided" = undecided,
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::calendar;

    #[test]
    fn the_days_of_a_period_are_those_that_the_calendar_puts_in_it() {
        let mut day: NaiveDate = "2026-01-01".parse().expect("a day");
        while day.year() < 2029 {
            let year = day.format("%Y").to_string();
            let month = day.format("%Y-%m").to_string();
            for period in [year, month, calendar::tertial(day)] {
                let (first, last) = days_of(&period).expect("days");
                assert!((first..=last).contains(&day), "{day} in {period}");
                let before = first.pred_opt().expect("a day");
                let outside = [before, last.succ_opt().expect("a day")];
                let length = (last - first).num_days();
                assert!(outside.iter().all(|day| calendar::tertial(*day) != period));
                assert!(
                    matches!(length, 27..=30 | 119..=122 | 364 | 365),
                    "{period}"
                );
            }
            day = day.succ_opt().expect("tomorrow");
        }
        for wrong in ["", "x", "2026-13", "2026-T4", "2026-T0", "2026-"] {
            assert_eq!(days_of(wrong).is_some(), wrong == "2026-", "{wrong}");
        }
    }
}
