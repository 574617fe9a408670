//! Events: planning days, kick-offs, training days, trainings, conferences and the like that the municipal group arranges (R04).
//!
//! `draft → confirmed → held → closed`, or `cancelled` before it is held. An event is planned under the guideline version of
//! the day it was created and keeps it. Study visits and other actors' conferences are never stored (R05, R06): they need no approval.
//!
//! The event is the aggregate: every write below it locks it first. [`queries::load`] is the one function that reads it.

pub mod handlers;
pub mod queries;
pub mod status;

use chrono::{DateTime, NaiveDate, Utc};
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::changes::{self, Change, Operation, Resource, ResourceType};
use crate::db::schema::event_details;
use crate::db::sql_types::AsJson;
use crate::error::{At, Code, Error, FieldError};
use crate::external_ids::{External, ExternalId, Origin, first_of};
use crate::guideline::Text;
use crate::http::call::Call;
use crate::http::patch::merged;
use crate::organisation::units::{self, Unit};
use crate::organisation::{people, venues};
use crate::rules::access::{Action, Chain, EventFacts};
use crate::rules::compliance::RuleFinding;
use crate::rules::lifecycle::{self, EventStatus};
use crate::rules::scope::{
    self, Arranger, EventKind, OutsideReason, ProposedArranger, ProposedKind, UnitFacts, UnitType,
};
use crate::rules::{Fault, calendar};

crate::stored_as_text!(EventKind, Arranger, EventStatus, OccasionPlaceKind);

/// An event that the guideline covers.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = event_details, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000001001")]
    pub id: Uuid,
    /// Goes up by one with each change of the event itself.
    #[schema(example = 3)]
    pub revision: i32,
    /// What it is called.
    #[schema(example = "Planeringsdag för förskolan")]
    pub title: String,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Vi planerar läsåret tillsammans.")]
    pub description: Option<String>,
    /// What kind of event it is.
    #[schema(example = "planningDay")]
    pub kind: EventKind,
    /// Who arranges it.
    #[schema(example = "group")]
    pub arranger: Arranger,
    /// Those it is arranged together with.
    #[schema(value_type = Vec<String>, example = json!([]))]
    pub partners: AsJson<Vec<String>>,
    /// The units that organise it.
    #[schema(example = json!(["0190a000-0000-7000-8000-000000000101"]))]
    pub organising_unit_ids: Vec<Uuid>,
    /// The person who answers for it.
    #[schema(example = "person-0003")]
    pub responsible_person: String,
    /// When and where, in order of time.
    #[schema(value_type = Vec<Occasion>)]
    pub occasions: AsJson<Vec<Occasion>>,
    /// How many are expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Participants>)]
    pub expected_participants: Option<AsJson<Participants>>,
    /// How many came.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Participants>)]
    pub actual_participants: Option<AsJson<Participants>>,
    /// What it is expected to cost, in whole kronor excluding VAT.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1000000000, example = 12000)]
    pub estimated_cost: Option<i64>,
    /// What it cost, in whole kronor excluding VAT.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1000000000, example = 11500)]
    pub actual_cost: Option<i64>,
    /// Its registry number (diarienummer).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "BUN 2026/123")]
    pub registry_number: Option<String>,
    /// What another system calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "HR-4711")]
    pub external_reference: Option<String>,
    /// The guideline version it is planned under.
    #[schema(example = "016f5e66-e800-7000-8000-000000002083")]
    pub guideline_version_id: Uuid,
    /// Where it is in its life.
    #[schema(example = "draft")]
    pub status: EventStatus,
    /// When its first occasion starts.
    #[schema(example = "2026-10-05T06:30:00Z")]
    pub first_start: DateTime<Utc>,
    /// When its last occasion ends.
    #[schema(example = "2026-10-05T14:30:00Z")]
    pub last_end: DateTime<Utc>,
    /// The ISO week of its first start, in Stockholm.
    #[schema(example = "2026-W41")]
    pub iso_week: String,
    /// The rules that something is still needed for; `GET /events/{eventId}/compliance` says what.
    #[schema(example = json!(["question.purpose", "question.followUp"]))]
    pub open_findings: Vec<String>,
    /// The system that it was imported from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "hr-system")]
    pub source_system: Option<String>,
    /// Its id in that system.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "4711")]
    pub external_id: Option<String>,
    /// When it was created.
    #[schema(example = "2026-09-01T07:00:00Z")]
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    #[schema(example = "2026-09-01T07:00:00Z")]
    pub updated_at: DateTime<Utc>,
    /// The findings kept when it was held or cancelled, and when that was.
    #[serde(skip)]
    pub kept_findings: Option<AsJson<Vec<RuleFinding>>>,
    #[serde(skip)]
    pub kept_at: Option<DateTime<Utc>>,
    /// For each organiser the units from the root down to it.
    #[serde(skip)]
    pub organiser_paths: AsJson<Vec<Chain>>,
}

/// When and where an event takes place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Occasion {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000001101")]
    pub id: Uuid,
    /// When it starts.
    #[schema(example = "2026-10-05T06:30:00Z")]
    pub starts_at: DateTime<Utc>,
    /// When it ends.
    #[schema(example = "2026-10-05T14:30:00Z")]
    pub ends_at: DateTime<Utc>,
    /// Where: in a venue, digitally, or not decided yet.
    pub place: OccasionPlaceKind,
    /// The venue, exactly when `place` is `venue`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0190a000-0000-7000-8000-000000000501")]
    pub venue_id: Option<Uuid>,
}

/// An occasion of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewOccasion {
    /// In a change: the occasion that this is. Absent for a new one; an equal start and end keeps its id too.
    pub id: Option<Uuid>,
    /// When it starts; any offset, kept to the microsecond.
    #[serde(deserialize_with = "crate::http::json_text::moment")]
    #[schema(example = "2030-10-07T08:30:00+02:00")]
    pub starts_at: DateTime<Utc>,
    /// When it ends, after it starts.
    #[serde(deserialize_with = "crate::http::json_text::moment")]
    #[schema(example = "2030-10-07T16:30:00+02:00")]
    pub ends_at: DateTime<Utc>,
    /// Where: in a venue, digitally, or not decided yet.
    #[schema(example = "venue")]
    pub place: OccasionPlaceKind,
    /// The venue, exactly when `place` is `venue`.
    #[schema(example = "0190a000-0000-7000-8000-000000000501")]
    pub venue_id: Option<Uuid>,
}

/// Where an occasion takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum OccasionPlaceKind {
    /// In the venue named.
    Venue,
    /// Over the net; the venue ladder does not apply.
    Digital,
    /// Not decided yet; confirming needs an answer.
    Undecided,
}

/// How many people, never who.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Participants {
    /// How many in all.
    #[schema(minimum = 0, maximum = 100000, example = 45)]
    pub total: i32,
    /// How many of them from which unit; at most `total` together.
    #[serde(default)]
    #[schema(max_items = 200)]
    pub per_unit: Vec<UnitCount>,
}

/// How many people of one unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnitCount {
    /// The unit.
    #[schema(example = "0190a000-0000-7000-8000-000000000101")]
    pub unit_id: Uuid,
    /// How many.
    #[schema(minimum = 0, maximum = 100000, example = 30)]
    pub count: i32,
}

/// An event to plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewEvent {
    /// What it is called.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"\S",
        example = "Planeringsdag för förskolan"
    )]
    pub title: String,
    /// What it is about; required for kind `other`.
    #[schema(max_length = 5000, example = "Vi planerar läsåret tillsammans.")]
    pub description: Option<String>,
    /// What kind of event it is. A study visit is outside the guideline and needs no approval.
    #[schema(example = "planningDay")]
    pub kind: ProposedKind,
    /// Who arranges it. What another actor arranges is outside the guideline and needs no approval.
    #[schema(example = "group")]
    pub arranger: ProposedArranger,
    /// Those it is arranged together with; required when `coArranged`.
    #[serde(default)]
    #[schema(max_items = 50, value_type = Option<Vec<PartnerName>>, example = json!([]))]
    pub partners: Option<Vec<String>>,
    /// The units that organise it, in the group on all of its dates.
    #[schema(min_items = 1, max_items = 20, example = json!(["0190a000-0000-7000-8000-000000000101"]))]
    pub organising_unit_ids: Vec<Uuid>,
    /// The person who answers for it (personRef).
    #[schema(min_length = 1, max_length = 100, example = "person-0003")]
    pub responsible_person: String,
    /// When and where.
    #[schema(min_items = 1, max_items = 100)]
    pub occasions: Vec<NewOccasion>,
    /// How many are expected.
    pub expected_participants: Option<Participants>,
    /// What it is expected to cost, in whole kronor excluding VAT.
    #[schema(minimum = 0, maximum = 1000000000, example = 12000)]
    pub estimated_cost: Option<i64>,
    /// Its registry number (diarienummer).
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"\S",
        example = "BUN 2026/123"
    )]
    pub registry_number: Option<String>,
    /// What another system calls it.
    #[schema(min_length = 1, max_length = 200, pattern = r"\S", example = "HR-4711")]
    pub external_reference: Option<String>,
}

/// The name of a partner.
#[derive(Debug, Serialize, ToSchema)]
#[schema(
    min_length = 1,
    max_length = 200,
    pattern = r"\S",
    example = "Region Dalarna"
)]
pub struct PartnerName(pub String);

/// All that a client may say of an event: a [`NewEvent`], and what becomes known once it is held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventContent {
    /// What it is called.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"\S",
        example = "Planeringsdag för förskolan"
    )]
    pub title: String,
    /// What it is about; required for kind `other`.
    #[schema(max_length = 5000, example = "Vi planerar läsåret tillsammans.")]
    pub description: Option<String>,
    /// What kind of event it is. A study visit is outside the guideline and needs no approval.
    #[schema(example = "planningDay")]
    pub kind: ProposedKind,
    /// Who arranges it. What another actor arranges is outside the guideline and needs no approval.
    #[schema(example = "group")]
    pub arranger: ProposedArranger,
    /// Those it is arranged together with; required when `coArranged`.
    #[serde(default)]
    #[schema(max_items = 50, value_type = Option<Vec<PartnerName>>, example = json!([]))]
    pub partners: Option<Vec<String>>,
    /// The units that organise it, in the group on all of its dates.
    #[schema(min_items = 1, max_items = 20, example = json!(["0190a000-0000-7000-8000-000000000101"]))]
    pub organising_unit_ids: Vec<Uuid>,
    /// The person who answers for it (personRef).
    #[schema(min_length = 1, max_length = 100, example = "person-0003")]
    pub responsible_person: String,
    /// When and where. A given `id` keeps its occasion; those left out are removed.
    #[schema(min_items = 1, max_items = 100)]
    pub occasions: Vec<NewOccasion>,
    /// How many are expected.
    pub expected_participants: Option<Participants>,
    /// How many came.
    pub actual_participants: Option<Participants>,
    /// What it is expected to cost, in whole kronor excluding VAT.
    #[schema(minimum = 0, maximum = 1000000000, example = 12000)]
    pub estimated_cost: Option<i64>,
    /// What it cost, in whole kronor excluding VAT.
    #[schema(minimum = 0, maximum = 1000000000, example = 11500)]
    pub actual_cost: Option<i64>,
    /// Its registry number (diarienummer).
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"\S",
        example = "BUN 2026/123"
    )]
    pub registry_number: Option<String>,
    /// What another system calls it.
    #[schema(min_length = 1, max_length = 200, pattern = r"\S", example = "HR-4711")]
    pub external_reference: Option<String>,
}

impl From<NewEvent> for EventContent {
    fn from(new: NewEvent) -> EventContent {
        EventContent {
            title: new.title,
            description: new.description,
            kind: new.kind,
            arranger: new.arranger,
            partners: new.partners,
            organising_unit_ids: new.organising_unit_ids,
            responsible_person: new.responsible_person,
            occasions: new.occasions,
            expected_participants: new.expected_participants,
            actual_participants: None,
            estimated_cost: new.estimated_cost,
            actual_cost: None,
            registry_number: new.registry_number,
            external_reference: new.external_reference,
        }
    }
}

impl EventContent {
    /// What can be judged of it without the database: its scope, and what one field asks of another.
    pub fn judge(&self) -> Result<(EventKind, Arranger), Error> {
        let verdict = scope::judge(self.kind, self.arranger).map_err(outside_guideline)?;
        let faults = self.faults();
        if faults.is_empty() {
            Ok(verdict)
        } else {
            Err(Error::faults(Code::InvalidBody, faults))
        }
    }

    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let blank = |text: &Option<String>| text.as_ref().is_none_or(|text| text.trim().is_empty());
        if self.kind == ProposedKind::Other && blank(&self.description) {
            let detail = Text::new(
                "Beskriv evenemanget när kind är other.",
                "Describe the event when kind is other.",
            );
            faults.push(Fault::new("/description", "required", detail));
        }
        if self.arranger == ProposedArranger::CoArranged
            && self.partners.as_ref().is_none_or(Vec::is_empty)
        {
            let detail = Text::new(
                "Ange vilka ni arrangerar tillsammans med.",
                "Name those you arrange it together with.",
            );
            faults.push(Fault::new("/partners", "required", detail));
        }
        let mut seen = BTreeSet::new();
        for (index, unit_id) in self.organising_unit_ids.iter().enumerate() {
            if !seen.insert(unit_id) {
                let detail = Text::new("Enheten står två gånger.", "The unit stands twice.");
                faults.push(Fault::new(
                    format!("/organisingUnitIds/{index}"),
                    "repeated-item",
                    detail,
                ));
            }
        }
        let mut ids = BTreeSet::new();
        for (index, occasion) in self.occasions.iter().enumerate() {
            if occasion.ends_at <= occasion.starts_at {
                let detail = Text::new(
                    "endsAt ska ligga efter startsAt.",
                    "endsAt must be after startsAt.",
                );
                faults.push(Fault::new(
                    format!("/occasions/{index}/endsAt"),
                    "ends-before-start",
                    detail,
                ));
            }
            if (occasion.place == OccasionPlaceKind::Venue) != occasion.venue_id.is_some() {
                let detail = Text::new(
                    "Ange venueId precis när place är venue.",
                    "Give venueId exactly when place is venue.",
                );
                faults.push(Fault::new(
                    format!("/occasions/{index}/venueId"),
                    "venue-mismatch",
                    detail,
                ));
            }
            if occasion.id.is_some_and(|id| !ids.insert(id)) {
                let detail = Text::new("Tillfället står två gånger.", "The occasion stands twice.");
                faults.push(Fault::new(
                    format!("/occasions/{index}/id"),
                    "repeated-item",
                    detail,
                ));
            }
        }
        for (field, participants) in [
            ("expectedParticipants", &self.expected_participants),
            ("actualParticipants", &self.actual_participants),
        ] {
            faults.extend(
                participants
                    .as_ref()
                    .and_then(|participants| participants.fault(field)),
            );
        }
        faults
    }

    fn days(&self) -> RangeInclusive<NaiveDate> {
        let first = self
            .occasions
            .iter()
            .map(|occasion| occasion.starts_at)
            .min()
            .unwrap_or_default();
        let last = self
            .occasions
            .iter()
            .map(|occasion| occasion.ends_at)
            .max()
            .unwrap_or_default();
        calendar::event_days(first, last)
    }
}

impl Participants {
    /// Do the units' counts exceed the total?
    pub fn fault(&self, field: &str) -> Option<Fault> {
        let sum: i64 = self.per_unit.iter().map(|unit| i64::from(unit.count)).sum();
        let units: BTreeSet<Uuid> = self.per_unit.iter().map(|unit| unit.unit_id).collect();
        if units.len() < self.per_unit.len() {
            let detail = Text::new("En enhet står två gånger.", "A unit stands twice.");
            return Some(Fault::new(
                format!("/{field}/perUnit"),
                "repeated-item",
                detail,
            ));
        }
        (sum > i64::from(self.total)).then(|| {
            let detail = Text::new(
                "Summan av perUnit är större än total.",
                "The sum of perUnit is larger than total.",
            );
            Fault::new(format!("/{field}/perUnit"), "sum-exceeds-total", detail)
        })
    }
}

/// 422 for what the guideline does not cover, with the rule's own friendly words.
fn outside_guideline(reason: OutsideReason) -> Error {
    let code = match reason {
        OutsideReason::UnitNotCovered => Code::UnitNotCovered,
        _ => Code::OutsideGuideline,
    };
    let pointer = match reason {
        OutsideReason::StudyVisit => "/kind",
        OutsideReason::UnitNotCovered => "/organisingUnitIds",
        OutsideReason::ExternalConference | OutsideReason::NotArrangedByGroup => "/arranger",
    };
    let reason_code = serde_json::to_value(reason)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default();
    Error::new(code).detail(reason.text()).with(FieldError {
        at: At::Pointer(pointer.to_owned()),
        code: reason_code,
        detail: scope::section(),
    })
}

/// Organising units with all units above them.
pub struct Organisers(BTreeMap<Uuid, Unit>);

impl Organisers {
    /// Locked until the transaction ends, so that they cannot end meanwhile.
    pub fn find(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Organisers, Error> {
        Ok(Organisers::of(units::queries::chains_for_share(conn, ids)?))
    }

    /// Only read.
    pub fn read(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Organisers, Error> {
        Ok(Organisers::of(units::queries::chains(conn, ids)?))
    }

    fn of(units: Vec<Unit>) -> Organisers {
        Organisers(units.into_iter().map(|unit| (unit.id, unit)).collect())
    }

    /// For each of these units that exists, the units from the root down to it.
    pub fn chains(&self, ids: &[Uuid]) -> Vec<Chain> {
        ids.iter()
            .filter_map(|id| self.0.get(id))
            .map(|unit| unit.path.clone())
            .collect()
    }

    /// The same with what each unit is.
    pub fn typed_chains(&self, ids: &[Uuid]) -> Vec<Vec<(Uuid, UnitType)>> {
        let typed = |chain: Chain| {
            chain
                .iter()
                .filter_map(|id| self.0.get(id))
                .map(|unit| (unit.id, unit.unit_type))
                .collect()
        };
        self.chains(ids).into_iter().map(typed).collect()
    }

    /// Is the unit in the group on all of these days (R01)?
    pub fn covers(&self, id: Uuid, days: &RangeInclusive<NaiveDate>) -> bool {
        let chain = self
            .0
            .get(&id)
            .map(|unit| unit.path.as_slice())
            .unwrap_or_default();
        let facts: Vec<UnitFacts> = chain
            .iter()
            .filter_map(|id| self.0.get(id))
            .map(|unit| UnitFacts {
                unit_type: unit.unit_type,
                valid_from: unit.valid_from,
                valid_to: unit.valid_to,
            })
            .collect();
        scope::in_group(&facts, days)
    }

    /// 422 unless every unit exists and is in the group on all of the days.
    fn expect_covered(&self, ids: &[Uuid], days: &RangeInclusive<NaiveDate>) -> Result<(), Error> {
        for (index, id) in ids.iter().enumerate() {
            let pointer = format!("/organisingUnitIds/{index}");
            if !self.0.contains_key(id) {
                return Err(Error::at_pointer(Code::UnknownUnit, pointer));
            }
            if !self.covers(*id, days) {
                let detail = OutsideReason::UnitNotCovered.text();
                return Err(Error::at_pointer(Code::UnitNotCovered, pointer).detail(detail));
            }
        }
        Ok(())
    }
}

/// What a new event is judged by.
pub struct Ground {
    organisers: Organisers,
    responsible_person_known: bool,
    /// The guideline version in force today.
    version_id: Option<Uuid>,
}

impl Ground {
    fn find(conn: &mut PgConnection, call: &Call, content: &EventContent) -> Result<Ground, Error> {
        let (unit_ids, person) = (&content.organising_unit_ids, &content.responsible_person);
        let rows = queries::ground(conn, unit_ids, person, call.today())?;
        // the same in each row; without a row no unit is known, which is refused first
        let (responsible_person_known, version_id) = rows
            .first()
            .map_or((false, None), |(_, known, version)| (*known, *version));
        Ok(Ground {
            organisers: Organisers::of(rows.into_iter().map(|(unit, ..)| unit).collect()),
            responsible_person_known,
            version_id,
        })
    }
}

/// 403 unless the caller may create an event for these units.
pub fn expect_may_create(
    conn: &mut PgConnection,
    call: &Call,
    content: &EventContent,
) -> Result<Ground, Error> {
    let ground = Ground::find(conn, call, content)?;
    let chains = ground.organisers.chains(&content.organising_unit_ids);
    call.may_with_offices(
        conn,
        Action::CreateEvent {
            organisers: &chains,
        },
    )?;
    Ok(ground)
}

/// Creates an event with these ids, planned under the guideline version in force today.
pub fn create(
    conn: &mut PgConnection,
    call: &Call,
    (id, occasion_ids): (Uuid, &[Uuid]),
    content: &EventContent,
    ground: &Ground,
    origin: Option<&Origin>,
) -> Result<Event, Error> {
    let (kind, arranger) = content.judge()?;
    if let Some(index) = content
        .occasions
        .iter()
        .position(|occasion| occasion.id.is_some())
    {
        return Err(Error::at_pointer(
            Code::UnknownOccasion,
            format!("/occasions/{index}/id"),
        ));
    }
    let organisers = &ground.organisers;
    organisers.expect_covered(&content.organising_unit_ids, &content.days())?;
    expect_known_person(ground.responsible_person_known)?;
    expect_known_participants(conn, content, organisers)?;
    expect_known_venues(conn, &content.occasions)?;
    let version_id = ground
        .version_id
        .ok_or_else(|| Error::new(Code::NoGuideline))?;

    let occasions = numbered(&content.occasions, occasion_ids);
    let event = queries::insert(
        conn,
        call,
        (id, origin),
        (kind, arranger),
        version_id,
        content,
        &occasions,
    )?;
    append(conn, call, Operation::Create, None, &event)?;
    Ok(event)
}

/// Gives an event the values of a merge patch; leaves it alone when they are the same.
pub fn change(
    conn: &mut PgConnection,
    call: &Call,
    before: &Event,
    patch: &Map<String, Value>,
    occasion_ids: &[Uuid],
) -> Result<Event, Error> {
    let standing: EventContent = merged(before, &Map::new())?;
    let content: EventContent = merged(before, patch)?;
    let organisers = expect_may_edit(conn, call, before, &content)?;
    call.expect_revision(before.revision)?;
    replace(
        conn,
        call,
        before,
        (standing, content),
        &organisers,
        occasion_ids,
    )
}

/// 403 or 404 unless the caller may make this of the event.
fn expect_may_edit(
    conn: &mut PgConnection,
    call: &Call,
    before: &Event,
    content: &EventContent,
) -> Result<Organisers, Error> {
    let organisers = Organisers::find(conn, &content.organising_unit_ids)?;
    let chains_after = organisers.chains(&content.organising_unit_ids);
    call.may_with_offices(
        conn,
        Action::EditEvent {
            event: &before.facts(),
            organisers_after: &chains_after,
        },
    )?;
    Ok(organisers)
}

/// Gives an event other values than those standing; leaves it alone when they are the same.
fn replace(
    conn: &mut PgConnection,
    call: &Call,
    before: &Event,
    (standing, mut content): (EventContent, EventContent),
    organisers: &Organisers,
    occasion_ids: &[Uuid],
) -> Result<Event, Error> {
    let verdict = content.judge()?;
    let occasions = keep_ids(&before.occasions.0, &content.occasions, occasion_ids)?;
    let moved = !same_occasions(&occasions, &before.occasions.0);
    // said in other words, the same is the same: occasions without their ids or in another order, no partners as null
    content.partners.get_or_insert_default();
    if !moved {
        content.occasions.clone_from(&standing.occasions);
    }
    let reorganised = content.organising_unit_ids != standing.organising_unit_ids;
    if content == standing && !moved {
        return Ok(before.clone());
    }
    if moved || reorganised {
        organisers.expect_covered(&content.organising_unit_ids, &content.days())?;
    }
    expect_known_person(people::queries::exists(conn, &content.responsible_person)?)?;
    expect_known_participants(conn, &content, organisers)?;
    if moved {
        // a venue may end after what was held there
        expect_known_venues(conn, &content.occasions)?;
    }
    expect_editable(before.status, &standing, &content)?;
    // what was given when it was held can be mended, not taken away
    if standing.actual_participants.is_some() && content.actual_participants.is_none() {
        return Err(status::participants_missing());
    }

    queries::update(conn, call, before, verdict, &content)?;
    if reorganised {
        queries::replace_organisers(conn, before.id, &content.organising_unit_ids)?;
    }
    if moved {
        queries::replace_occasions(conn, before.id, &before.occasions.0, &occasions)?;
    }
    let event = queries::load(conn, before.id)?;
    append(conn, call, Operation::Update, Some(before), &event)?;
    Ok(event)
}

/// Appends the event's one change entry.
pub fn append(
    conn: &mut PgConnection,
    call: &Call,
    operation: Operation,
    before: Option<&Event>,
    after: &Event,
) -> Result<(), Error> {
    let change = Change {
        operation,
        resource: Event::NAME,
        id: after.id,
        revision: after.revision,
        event_id: Some(after.id),
        before,
        after: Some(after),
    };
    changes::append(conn, call, &change)
}

impl Resource for Event {
    const NAME: ResourceType = ResourceType::Event;

    fn id(&self) -> Uuid {
        self.id
    }

    fn revision(&self) -> i32 {
        self.revision
    }

    fn event_id(&self) -> Option<Uuid> {
        Some(self.id)
    }
}

impl External for Event {
    type Body = NewEvent;
    const PATH: &'static str = "/events";
    /// Its own, and its occasions'.
    const IDS: usize = 101;

    fn judge(body: &NewEvent) -> Result<(), Error> {
        EventContent::from(body.clone()).judge().map(drop)
    }

    fn expect_may_read(&self, conn: &mut PgConnection, call: &Call) -> Result<(), Error> {
        call.may_with_offices(conn, Action::ReadEvent(&self.facts()))
    }

    fn expect_may_write(
        conn: &mut PgConnection,
        call: &Call,
        before: Option<&Event>,
        body: &NewEvent,
    ) -> Result<(), Error> {
        let content = body.clone().into();
        match before {
            None => expect_may_create(conn, call, &content).map(drop),
            Some(before) => expect_may_edit(conn, call, before, &content).map(drop),
        }
    }

    fn find(conn: &mut PgConnection, id: &ExternalId) -> Result<Event, Error> {
        queries::find_external(conn, id)
    }

    fn find_for_update(
        conn: &mut PgConnection,
        id: &ExternalId,
    ) -> Result<Option<(Event, Option<Vec<u8>>)>, Error> {
        queries::find_external_for_update(conn, id)
    }

    fn keep_digest(conn: &mut PgConnection, id: Uuid, digest: &[u8]) -> Result<(), Error> {
        queries::keep_digest(conn, id, digest)
    }

    fn create(
        conn: &mut PgConnection,
        call: &Call,
        ids: &[Uuid],
        body: &NewEvent,
        origin: &Origin,
    ) -> Result<Event, Error> {
        let content = EventContent::from(body.clone());
        let ground = Ground::find(conn, call, &content)?;
        let ids = (first_of(ids)?, &ids[1..]);
        create(conn, call, ids, &content, &ground, Some(origin))
    }

    fn replace(
        conn: &mut PgConnection,
        call: &Call,
        ids: &[Uuid],
        before: &Event,
        body: &NewEvent,
    ) -> Result<Event, Error> {
        let standing: EventContent = merged(before, &Map::new())?;
        // a NewEvent says nothing of what came of the event
        let content = EventContent {
            actual_participants: standing.actual_participants.clone(),
            actual_cost: standing.actual_cost,
            ..EventContent::from(body.clone())
        };
        let organisers = Organisers::find(conn, &content.organising_unit_ids)?;
        replace(conn, call, before, (standing, content), &organisers, ids)
    }
}

impl Event {
    /// What access is judged by.
    pub fn facts(&self) -> EventFacts {
        EventFacts {
            status: self.status,
            organisers: self.organiser_paths.0.clone(),
            responsible_person: self.responsible_person.clone(),
        }
    }

    /// The last of the event's dates.
    pub fn last_day(&self) -> NaiveDate {
        calendar::last_day(self.last_end)
    }
}

/// 422 unless the responsible person is known.
fn expect_known_person(known: bool) -> Result<(), Error> {
    if known {
        Ok(())
    } else {
        Err(Error::at_pointer(Code::UnknownPerson, "/responsiblePerson"))
    }
}

/// 422 unless the units of the participants exist.
fn expect_known_participants(
    conn: &mut PgConnection,
    content: &EventContent,
    organisers: &Organisers,
) -> Result<(), Error> {
    for (field, participants) in [
        ("expectedParticipants", &content.expected_participants),
        ("actualParticipants", &content.actual_participants),
    ] {
        // most count those of the organisers, which are known already
        let counted = |of: &Participants| {
            of.per_unit
                .iter()
                .all(|unit| organisers.0.contains_key(&unit.unit_id))
        };
        if let Some(participants) = participants.as_ref().filter(|of| !counted(of)) {
            expect_known_units(conn, participants, field)?;
        }
    }
    Ok(())
}

/// 422 unless the venues exist on their days.
fn expect_known_venues(conn: &mut PgConnection, occasions: &[NewOccasion]) -> Result<(), Error> {
    let venue_ids: Vec<Uuid> = occasions
        .iter()
        .filter_map(|occasion| occasion.venue_id)
        .collect();
    let venues = if venue_ids.is_empty() {
        Vec::new()
    } else {
        venues::queries::find_for_share(conn, &venue_ids)?
    };
    for (index, occasion) in occasions.iter().enumerate() {
        let Some(venue_id) = occasion.venue_id else {
            continue;
        };
        let days = calendar::event_days(occasion.starts_at, occasion.ends_at);
        let valid = venues.iter().any(|venue| {
            venue.id == venue_id
                && venue.valid_from <= *days.start()
                && venue.valid_to.is_none_or(|end| *days.end() < end)
        });
        if !valid {
            return Err(Error::at_pointer(
                Code::UnknownVenue,
                format!("/occasions/{index}/venueId"),
            ));
        }
    }
    Ok(())
}

/// 422 unless every unit that participants are counted for exists.
pub fn expect_known_units(
    conn: &mut PgConnection,
    participants: &Participants,
    field: &str,
) -> Result<(), Error> {
    let ids: Vec<Uuid> = participants
        .per_unit
        .iter()
        .map(|unit| unit.unit_id)
        .collect();
    if ids.is_empty() {
        return Ok(());
    }
    let known = units::queries::known(conn, &ids)?;
    match ids.iter().position(|id| !known.contains(id)) {
        Some(index) => Err(Error::at_pointer(
            Code::UnknownUnit,
            format!("/{field}/perUnit/{index}/unitId"),
        )),
        None => Ok(()),
    }
}

/// 409 naming each field that the event's status does not let change.
fn expect_editable(
    status: EventStatus,
    before: &EventContent,
    after: &EventContent,
) -> Result<(), Error> {
    let (before, after) = (
        serde_json::to_value(before).map_err(Error::internal)?,
        serde_json::to_value(after).map_err(Error::internal)?,
    );
    let editable = lifecycle::editable(status);
    let refused: Vec<String> = after
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| before.get(name) != Some(value) && !editable.allows(name))
        .map(|(name, _)| format!("/{name}"))
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    let code = Code::NotEditableInStatus;
    Err(refused
        .into_iter()
        .fold(Error::new(code), |error, pointer| {
            error.with(FieldError {
                at: At::Pointer(pointer),
                code: code.as_str().to_owned(),
                detail: code.advice(),
            })
        }))
}

/// New occasions under the ids made for them.
fn numbered(new: &[NewOccasion], ids: &[Uuid]) -> Vec<Occasion> {
    new.iter()
        .zip(ids)
        .map(|(occasion, id)| occasion.with_id(*id))
        .collect()
}

/// The occasions of a change: by their given id, else by an equal start and end, else new.
fn keep_ids(
    standing: &[Occasion],
    given: &[NewOccasion],
    new_ids: &[Uuid],
) -> Result<Vec<Occasion>, Error> {
    let mut taken: BTreeSet<Uuid> = given.iter().filter_map(|occasion| occasion.id).collect();
    let mut new_ids = new_ids.iter();
    given
        .iter()
        .enumerate()
        .map(|(index, occasion)| {
            let id = match occasion.id {
                Some(id) if standing.iter().any(|known| known.id == id) => id,
                Some(_) => {
                    return Err(Error::at_pointer(
                        Code::UnknownOccasion,
                        format!("/occasions/{index}/id"),
                    ));
                }
                None => {
                    let same = |known: &&Occasion| {
                        known.starts_at == occasion.starts_at
                            && known.ends_at == occasion.ends_at
                            && !taken.contains(&known.id)
                    };
                    match standing.iter().find(same) {
                        Some(known) => known.id,
                        None => *new_ids
                            .next()
                            .ok_or_else(|| Error::internal("too few ids for the occasions"))?,
                    }
                }
            };
            taken.insert(id);
            Ok(occasion.with_id(id))
        })
        .collect()
}

fn same_occasions(one: &[Occasion], other: &[Occasion]) -> bool {
    one.len() == other.len() && one.iter().all(|occasion| other.contains(occasion))
}

impl NewOccasion {
    fn with_id(&self, id: Uuid) -> Occasion {
        Occasion {
            id,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            place: self.place,
            venue_id: self.venue_id,
        }
    }
}
