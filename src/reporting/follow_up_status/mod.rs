//! Follow-up status: who is behind with which follow-up, as of a day; and the same in numbers (domain section 9).
//!
//! A row is a follow-up. What its due date means is `rules::follow_up`'s: today becomes bounds there, and SQL compares with the bounds.
//! The summary counts the rows of the list with the same filter, and the events that they belong to (I16).

pub mod handlers;
pub mod queries;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::statistics::{Group, GroupBy};
use crate::rules::follow_up::{AgeBand, DueStatus, FollowUpMethod, Level};
use crate::rules::lifecycle::EventStatus;
use crate::rules::scope::EventKind;

/// A follow-up, and how it stands on the day that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FollowUpStatusRow {
    /// The id of the follow-up.
    #[schema(example = "0190a000-0000-7000-8000-000000061601")]
    pub id: Uuid,
    /// The event.
    #[schema(example = "0190a000-0000-7000-8000-000000001007")]
    pub event_id: Uuid,
    /// What the event is called.
    #[schema(example = "Studiero och tydliga lektioner")]
    pub event_title: String,
    /// Where the event was in its life on the day that was asked for.
    #[schema(example = "held")]
    pub event_status: EventStatus,
    /// What kind of event it is.
    #[schema(example = "training")]
    pub kind: EventKind,
    /// The units that organise it.
    #[schema(example = json!(["0190a000-0000-7000-8000-000000000101"]))]
    pub organising_unit_ids: Vec<Uuid>,
    /// What these units are called, in the same order.
    #[schema(example = json!(["Bildningsförvaltningen"]))]
    pub organising_unit_names: Vec<String>,
    /// The last day of the event (Stockholm), once it was marked as held.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-07-20")]
    pub held_on: Option<NaiveDate>,
    /// How deep it looks.
    #[schema(example = "behaviour")]
    pub level: Level,
    /// How it looks.
    #[schema(example = "observation")]
    pub method: FollowUpMethod,
    /// The last day to do it (Stockholm).
    #[schema(example = "2026-10-18")]
    pub due_date: NaiveDate,
    /// What the due date meant on the day that was asked for.
    #[schema(example = "overdue")]
    pub due_status: DueStatus,
    /// How many days it was overdue then; only while it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 31)]
    pub days_overdue: Option<i64>,
    /// The day on which it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-10-12")]
    pub completed_on: Option<NaiveDate>,
    /// Who does it (personRef).
    #[schema(example = "person-0022")]
    pub responsible_person: String,
    /// How that person is shown.
    #[schema(example = "Utvecklingsledare, bildning")]
    pub responsible_name: String,
    /// Has that person left?
    #[schema(example = true)]
    pub responsible_has_left: bool,
    /// The business goals that the event is to serve.
    #[schema(example = json!(["0190a000-0000-7000-8000-000000000401"]))]
    pub business_goal_ids: Vec<Uuid>,
    /// The goals of the guideline that it is to serve.
    #[schema(example = json!(["improveOperations"]))]
    pub guideline_goals: Vec<String>,
}

/// Follow-ups in numbers, and the events that they belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FollowUpSummaryRow {
    /// What the row counts.
    pub group: Group,
    /// Events held by then. Events are counted that match the filter; by due status, level, due date, age or person, those with such a
    /// follow-up.
    #[schema(example = 7)]
    pub held: i64,
    /// Of these, with a follow-up that was not cancelled.
    #[schema(example = 6)]
    pub held_with_follow_up: i64,
    /// Of these, by exception without a follow-up.
    #[schema(example = 0)]
    pub held_excepted: i64,
    /// Of these, held from draft: without a plan.
    #[schema(example = 1)]
    pub held_without_plan: i64,
    /// Events that had ended and were not marked as held or cancelled.
    #[schema(example = 2)]
    pub ended_not_held: i64,
    /// Follow-ups: the rows of the list.
    #[schema(example = 19)]
    pub follow_ups: i64,
    /// Planned, and due later than soon.
    #[schema(example = 10)]
    pub upcoming: i64,
    /// Planned, and due within the version's days (Hedemora: 14).
    #[schema(example = 1)]
    pub due_soon: i64,
    /// Planned, and past the due date.
    #[schema(example = 1)]
    pub overdue: i64,
    /// Done on the due date at the latest.
    #[schema(example = 1)]
    pub completed_on_time: i64,
    /// Done after the due date.
    #[schema(example = 1)]
    pub completed_late: i64,
    /// Waived.
    #[schema(example = 1)]
    pub waived: i64,
    /// Cancelled.
    #[schema(example = 1)]
    pub cancelled: i64,
}

impl FollowUpSummaryRow {
    /// The names of the numbers, in their order.
    pub const NUMBERS: [&'static str; 13] = [
        "held",
        "heldWithFollowUp",
        "heldExcepted",
        "heldWithoutPlan",
        "endedNotHeld",
        "followUps",
        "upcoming",
        "dueSoon",
        "overdue",
        "completedOnTime",
        "completedLate",
        "waived",
        "cancelled",
    ];

    /// The numbers, in the same order.
    pub fn numbers(&self) -> [i64; 13] {
        [
            self.held,
            self.held_with_follow_up,
            self.held_excepted,
            self.held_without_plan,
            self.ended_not_held,
            self.follow_ups,
            self.upcoming,
            self.due_soon,
            self.overdue,
            self.completed_on_time,
            self.completed_late,
            self.waived,
            self.cancelled,
        ]
    }
}

/// What rows of the summary are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum SummaryGroupBy {
    /// The calendar years of the due dates.
    Year,
    /// The thirds of the year.
    Tertial,
    /// The months.
    Month,
    /// The organising units, and with `includeSubtree` each unit above them too.
    Unit,
    /// The kinds of event.
    Kind,
    /// The goals of the guideline that the events are to serve.
    Goal,
    /// The business goals that the events are to serve.
    BusinessGoal,
    /// The people who do the follow-ups.
    Responsible,
    /// How long they have been overdue; those that are not are in no row.
    AgeBand,
}

impl SummaryGroupBy {
    /// The grouping of the same name of statistics.
    pub fn of_statistics(self) -> GroupBy {
        match self {
            SummaryGroupBy::Year => GroupBy::Year,
            SummaryGroupBy::Tertial => GroupBy::Tertial,
            SummaryGroupBy::Month => GroupBy::Month,
            SummaryGroupBy::Unit => GroupBy::Unit,
            SummaryGroupBy::Kind => GroupBy::Kind,
            SummaryGroupBy::Goal => GroupBy::Goal,
            SummaryGroupBy::BusinessGoal => GroupBy::BusinessGoal,
            SummaryGroupBy::Responsible => GroupBy::Responsible,
            SummaryGroupBy::AgeBand => GroupBy::AgeBand,
        }
    }
}

/// Which follow-ups; several values of one parameter are separated by commas.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, style = Form)]
pub struct FollowUpStatusFilter {
    /// As it stood at the end of this day (Stockholm), today at the latest; without it today.
    #[param(required = false, example = "2026-09-01")]
    pub as_of: Option<NaiveDate>,
    /// Only follow-ups whose due date meant one of these.
    #[param(required = false, explode = false, min_items = 1, max_items = 10, example = json!(["overdue", "dueSoon"]))]
    pub due_status: Option<Vec<DueStatus>>,
    /// Only of events that one of these units organises.
    #[param(required = false, explode = false, min_items = 1, max_items = 50, example = json!(["0190a000-0000-7000-8000-000000000101"]))]
    pub unit_id: Option<Vec<Uuid>>,
    /// Count the units below them too.
    #[param(required = false, default = true, example = true)]
    #[serde(default = "yes")]
    pub include_subtree: bool,
    /// Only of events of one of these kinds.
    #[param(required = false, explode = false, min_items = 1, max_items = 10, example = json!(["training"]))]
    pub kind: Option<Vec<EventKind>>,
    /// Only those that one of these people does.
    #[param(required = false, explode = false, min_items = 1, max_items = 50, example = json!(["person-0022"]))]
    pub responsible_person: Option<Vec<String>>,
    /// Only of events that are to serve one of these business goals.
    #[param(required = false, explode = false, min_items = 1, max_items = 50, example = json!(["0190a000-0000-7000-8000-000000000401"]))]
    pub business_goal_id: Option<Vec<Uuid>>,
    /// Only of events that are to serve one of these goals of the guideline.
    #[param(required = false, explode = false, min_items = 1, max_items = 50, example = json!(["improveOperations"]))]
    pub guideline_goal: Option<Vec<String>>,
    /// Only those that look as deep as one of these.
    #[param(required = false, explode = false, min_items = 1, max_items = 10, example = json!(["behaviour"]))]
    pub level: Option<Vec<Level>>,
    /// Only those due on this day or later (Stockholm).
    #[param(required = false, example = "2020-01-01")]
    pub due_from: Option<NaiveDate>,
    /// Only those due on this day or earlier (Stockholm).
    #[param(required = false, example = "2199-12-31")]
    pub due_to: Option<NaiveDate>,
    /// Only those that have been overdue for so long.
    #[param(required = false, explode = false, min_items = 1, max_items = 10, example = json!(["days15To30", "days31To90"]))]
    pub age_band: Option<Vec<AgeBand>>,
    /// As CSV: for Excel in Swedish, with a byte order mark and semicolons.
    #[param(required = false, default = false, example = false)]
    #[serde(default)]
    pub excel: bool,
}

fn yes() -> bool {
    true
}
