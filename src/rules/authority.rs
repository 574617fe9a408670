//! Who may decide this exception, is it decided, and does it still cover (R07–R09)?
//!
//! An exception is decided by an office, never by a role, a token or a machine: by the municipal director, or by the
//! department heads and chief executives whose units arrange the event, each for the own unit. Offices come from the
//! appointments in force at the moment that is judged, and from nothing else. [`route`] says which offices are asked,
//! [`may_decide`] whether a person holds one of them, [`verdict`] what their decisions amount to, [`Snapshot`] what
//! they were given for.
//!
//! An office is in conflict when anyone who holds it, in any capacity, is the requester or the responsible person:
//! then nobody decides through it, so that no stand-in decides for the one they stand in for.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::scope::UnitType;

/// An office that may decide exceptions (R09).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum OfficeType {
    /// Kommundirektör, of the municipality.
    MunicipalDirector,
    /// Förvaltningschef, of a department.
    DepartmentHead,
    /// VD, of a wholly owned company.
    ChiefExecutive,
}

/// What an office decided.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
#[schema(as = DecisionOutcome)]
pub enum Outcome {
    /// The exception may be made, as far as this office is concerned.
    Approved,
    /// The exception may not be made.
    Rejected,
}

/// One office of one unit, whoever holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Office {
    pub office_type: OfficeType,
    pub unit_id: Uuid,
}

/// An appointment in force at the moment that is judged, in any capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder<'a> {
    pub appointment_id: Uuid,
    pub office: Office,
    pub person_ref: &'a str,
}

/// What the authority to decide a request depends on, at the moment that is judged.
#[derive(Debug, Clone, Copy)]
pub struct RequestFacts<'a> {
    pub requester: &'a str,
    /// The event's responsible person.
    pub responsible_person: &'a str,
    pub addressee: OfficeType,
    /// The root of the unit tree, whose office the director's is.
    pub municipality: Uuid,
    /// For each organiser the units from the root down to it.
    pub organisers: &'a [Vec<(Uuid, UnitType)>],
    /// At least every appointment in force to the concerned heads' offices and the director's.
    pub holders: &'a [Holder<'a>],
    /// The version's `directorDecidesForCompanies`.
    pub director_decides_for_companies: bool,
    /// The version's `requireAllHeads`.
    pub require_all_heads: bool,
    /// In the order in which they were made.
    pub decisions: &'a [(Office, Outcome)],
}

/// The offices that are asked. Nobody in the service is when `required` is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The approvals that are asked for, sorted: the concerned heads', or the director's alone.
    pub required: Vec<Office>,
    /// The director's office, when it may decide in place of all others.
    pub director: Option<Office>,
}

impl Route {
    /// Whether the director may decide, alone or in place of the heads.
    pub fn director_may_decide(&self) -> bool {
        self.director.is_some()
    }

    /// Whether nobody in the service may decide: an HR administrator records what was decided elsewhere.
    pub fn decided_elsewhere(&self) -> bool {
        self.required.is_empty()
    }

    /// Every office whose decision counts, sorted, each once; it may be vacant.
    pub fn offices(&self) -> Vec<Office> {
        let all: BTreeSet<Office> = self.director.into_iter().chain(self.required()).collect();
        all.into_iter().collect()
    }

    fn required(&self) -> impl Iterator<Item = Office> {
        self.required.iter().copied()
    }
}

/// What the decisions amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A decision is still awaited.
    Open,
    Approved,
    Rejected,
}

/// Why someone may not decide, revoke or record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// The person is the requester or the event's responsible person (I6).
    OwnRequest,
    /// Nobody in the service may decide this request.
    DecidedElsewhere,
    /// These offices decide it, so there is nothing to record.
    DecidedHere { could: Vec<Office> },
    /// The person holds none of the offices that could, or not by the appointment that was named.
    WrongOffice { could: Vec<Office> },
    /// The person holds several of the offices that could, or one twice, and must name one of these appointments.
    SeveralOffices { appointments: Vec<Uuid> },
    /// This office's decision stands: the person's own, or the one that settled the request (I7).
    AlreadyDecided { office: Office },
}

/// None of the organisers has a head of the kind that the request is addressed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddresseeNotConcerned;

/// For each organiser the office of the nearest department or company at or above it; `None` for one without, the
/// municipality itself.
pub fn concerned_heads(
    organisers: &[Vec<(Uuid, UnitType)>],
) -> impl Iterator<Item = Option<Office>> {
    organisers.iter().map(|chain| {
        chain.iter().rev().find_map(|&(unit_id, unit_type)| {
            let office_type = match unit_type {
                UnitType::Department => OfficeType::DepartmentHead,
                UnitType::Company => OfficeType::ChiefExecutive,
                _ => return None,
            };
            Some(Office {
                office_type,
                unit_id,
            })
        })
    })
}

/// A request may always be addressed to the director; to a department head or a chief executive only when one is
/// concerned.
pub fn check_addressee(
    addressee: OfficeType,
    organisers: &[Vec<(Uuid, UnitType)>],
) -> Result<(), AddresseeNotConcerned> {
    let concerned = concerned_heads(organisers)
        .flatten()
        .any(|head| head.office_type == addressee);
    if concerned || addressee == OfficeType::MunicipalDirector {
        Ok(())
    } else {
        Err(AddresseeNotConcerned)
    }
}

/// Which offices are asked to decide the request.
pub fn route(facts: &RequestFacts) -> Route {
    let director = facts.director();
    if facts.is_held_by(director, facts.requester) {
        // no head decides what the director, their superior, asks for
        return Route {
            required: Vec::new(),
            director: None,
        };
    }
    let company_concerned = concerned_heads(facts.organisers)
        .flatten()
        .any(|head| head.office_type == OfficeType::ChiefExecutive);
    let director = (!facts.is_in_conflict(director)
        && (facts.director_decides_for_companies || !company_concerned))
        .then_some(director);
    // only when every organiser has a head
    let heads: Option<BTreeSet<Office>> = concerned_heads(facts.organisers).collect();
    let required = match heads {
        Some(heads)
            if facts.addressee != OfficeType::MunicipalDirector
                && !heads.iter().any(|head| facts.is_in_conflict(*head)) =>
        {
            heads.into_iter().collect()
        }
        _ => director.into_iter().collect(),
    };
    Route { required, director }
}

/// May the person decide the request now, and by which appointment? Who holds several of the offices that could names
/// the appointment.
///
/// Whether the request is submitted, not stale and before the first start is for the caller to ask.
pub fn may_decide<'a>(
    facts: &RequestFacts<'a>,
    person: &str,
    named: Option<Uuid>,
) -> Result<Holder<'a>, Denial> {
    if facts.is_own(person) {
        return Err(Denial::OwnRequest);
    }
    let route = route(facts);
    if route.decided_elsewhere() {
        return Err(Denial::DecidedElsewhere);
    }
    let could = route.offices();
    let held: Vec<Holder> = facts
        .held_by(person)
        .filter(|held| could.contains(&held.office))
        .filter(|held| named.is_none_or(|id| id == held.appointment_id))
        .collect();
    if held.is_empty() {
        return Err(Denial::WrongOffice { could });
    }
    let settled = verdict(facts) != Verdict::Open;
    let standing = facts.decisions.iter().rev().find(|(office, _)| {
        could.contains(office) && (settled || held.iter().all(|held| held.office == *office))
    });
    if let Some(&(office, _)) = standing {
        return Err(Denial::AlreadyDecided { office });
    }
    match held[..] {
        [held] => Ok(held),
        _ => Err(Denial::SeveralOffices {
            appointments: held.iter().map(|held| held.appointment_id).collect(),
        }),
    }
}

/// What the decisions amount to at the moment of the last of them.
///
/// It is stored then, as the request's status: appointments that change later do not change it. Until then a decision
/// counts only while its office is one of those asked.
pub fn verdict(facts: &RequestFacts) -> Verdict {
    let route = route(facts);
    if route.decided_elsewhere() {
        return Verdict::Open;
    }
    let has = |office: Office, outcome| facts.decisions.contains(&(office, outcome));
    let approved = |office| has(office, Outcome::Approved);
    if route
        .offices()
        .into_iter()
        .any(|office| has(office, Outcome::Rejected))
    {
        return Verdict::Rejected;
    }
    let by_heads = if facts.require_all_heads {
        route.required().all(approved)
    } else {
        route.required().any(approved)
    };
    if by_heads || route.director.is_some_and(approved) {
        Verdict::Approved
    } else {
        Verdict::Open
    }
}

/// May the person revoke the approval: by an office that approved, before that of the director?
///
/// Whether the request is approved and before the first start is for the caller to ask.
pub fn may_revoke<'a>(facts: &RequestFacts<'a>, person: &str) -> Result<Holder<'a>, Denial> {
    if facts.is_own(person) {
        return Err(Denial::OwnRequest);
    }
    let approved = |office| facts.decisions.contains(&(office, Outcome::Approved));
    let director = facts.director();
    facts
        .held_by(person)
        .filter(|held| held.office == director || approved(held.office))
        .min_by_key(|held| (!approved(held.office), held.office, held.appointment_id))
        .ok_or_else(|| {
            let could: BTreeSet<Office> = facts
                .decisions
                .iter()
                .map(|(office, _)| *office)
                .filter(|office| approved(*office))
                .chain([director])
                .collect();
            Denial::WrongOffice {
                could: could.into_iter().collect(),
            }
        })
}

/// May the person, an HR administrator, record what was decided elsewhere? Recording is not deciding.
pub fn may_record(facts: &RequestFacts, person: &str) -> Result<(), Denial> {
    if facts.is_own(person) {
        return Err(Denial::OwnRequest);
    }
    let route = route(facts);
    if route.decided_elsewhere() {
        Ok(())
    } else {
        Err(Denial::DecidedHere {
            could: route.offices(),
        })
    }
}

impl<'a> RequestFacts<'a> {
    fn director(&self) -> Office {
        Office {
            office_type: OfficeType::MunicipalDirector,
            unit_id: self.municipality,
        }
    }

    fn is_own(&self, person: &str) -> bool {
        person == self.requester || person == self.responsible_person
    }

    fn held_by(&self, person: &str) -> impl Iterator<Item = Holder<'a>> {
        self.holders
            .iter()
            .filter(move |held| held.person_ref == person)
            .copied()
    }

    fn is_held_by(&self, office: Office, person: &str) -> bool {
        self.held_by(person).any(|held| held.office == office)
    }

    fn is_in_conflict(&self, office: Office) -> bool {
        self.is_held_by(office, self.requester) || self.is_held_by(office, self.responsible_person)
    }
}

/// What an exception was asked for, as it was at submission. Stored as JSON.
///
/// Equal to the event's snapshot now unless the request is stale; a stale approval covers nothing (I4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// When and where, in order of time.
    occasions: Vec<SnapshotOccasion>,
    /// The organising units, in order of their ids.
    #[schema(example = json!(["0190a000-0000-7000-8000-000000000101"]))]
    organisers: Vec<Uuid>,
}

/// One occasion of a [`Snapshot`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotOccasion {
    /// When it was to start.
    #[schema(example = "2026-10-05T06:30:00Z")]
    pub starts_at: DateTime<Utc>,
    /// When it was to end.
    #[schema(example = "2026-10-05T14:30:00Z")]
    pub ends_at: DateTime<Utc>,
    /// The venue; absent when it was digital or undecided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0190a000-0000-7000-8000-000000000504")]
    pub venue_id: Option<Uuid>,
}

/// What differs between the event as it was when the exception was asked for and as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Difference {
    /// An occasion was added, removed or moved in time.
    Occasions,
    /// A venue was changed.
    Venue,
    /// The organising units were changed.
    Organisers,
}

impl Snapshot {
    /// The same for the same event in whatever order its parts come.
    pub fn new(mut occasions: Vec<SnapshotOccasion>, mut organisers: Vec<Uuid>) -> Snapshot {
        occasions.sort_unstable();
        organisers.sort_unstable();
        Snapshot {
            occasions,
            organisers,
        }
    }

    /// The first start; `None` without occasions, which no event is.
    pub fn first_start(&self) -> Option<DateTime<Utc>> {
        self.occasions.first().map(|occasion| occasion.starts_at)
    }

    /// What differs in the event as it is now. The request is stale unless nothing does.
    pub fn differences(&self, now: &Snapshot) -> Vec<Difference> {
        let times_differ = !self.times().eq(now.times());
        let venues_differ = if times_differ {
            self.venues() != now.venues()
        } else {
            self.occasions != now.occasions
        };
        [
            (times_differ, Difference::Occasions),
            (venues_differ, Difference::Venue),
            (self.organisers != now.organisers, Difference::Organisers),
        ]
        .into_iter()
        .filter_map(|(differs, difference)| differs.then_some(difference))
        .collect()
    }

    fn times(&self) -> impl Iterator<Item = (DateTime<Utc>, DateTime<Utc>)> {
        self.occasions
            .iter()
            .map(|occasion| (occasion.starts_at, occasion.ends_at))
    }

    fn venues(&self) -> BTreeSet<Option<Uuid>> {
        self.occasions
            .iter()
            .map(|occasion| occasion.venue_id)
            .collect()
    }
}

/// Has a request lapsed? It is still submitted, and the first start in its snapshot has come.
pub fn lapsed(submitted: bool, first_start: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    submitted && first_start <= now
}

#[cfg(test)]
mod tests;
