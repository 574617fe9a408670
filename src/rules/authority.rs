//! Who may decide this exception, and is it decided (R08, R09; domain section 5)?
//!
//! Authority follows from the appointments in force at the moment of asking, and from nothing else. The addressee chooses the route:
//! the municipal director alone, or every concerned head and CEO, each for the own unit, unless the director decides instead.
//! Nobody decides what they ask for or answer for.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::scope::UnitType;
use crate::guideline::Text;

/// An office that may decide exceptions.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
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

/// What an office decides.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// The exception is granted.
    Approved,
    /// The exception is refused, finally for this request.
    Rejected,
}

/// The office of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Office {
    pub office_type: OfficeType,
    pub unit_id: Uuid,
}

/// Who holds an office at the moment, in whatever capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder<'a> {
    pub appointment_id: Uuid,
    pub office: Office,
    pub person_ref: &'a str,
}

/// An organising unit: the units from the root down to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Organiser<'a> {
    pub chain: &'a [(Uuid, UnitType)],
}

/// What authority over a request is judged by.
#[derive(Debug, Clone, Copy)]
pub struct RequestFacts<'a> {
    pub requester: &'a str,
    pub responsible_person: &'a str,
    pub addressee: OfficeType,
    /// The root, whose office is the director's.
    pub municipality: Uuid,
    pub organisers: &'a [Organiser<'a>],
    /// The appointments in force at the moment.
    pub holders: &'a [Holder<'a>],
    pub director_decides_for_companies: bool,
    pub require_all_heads: bool,
    pub decisions: &'a [(Office, Outcome)],
}

/// Which decisions a request needs at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The offices whose approval it needs, in a stable order: all of them, or any one where the version says so.
    pub required: Vec<Office>,
    /// May the director decide, alone or instead of the heads?
    pub director_may_decide: bool,
    /// Nobody in the service may decide.
    pub decided_elsewhere: bool,
}

/// How a request stands by the decisions there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Open,
    Approved,
    Rejected,
}

/// Why a person may not decide or revoke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// The requester and the responsible person never decide.
    OwnRequest,
    /// The person holds none of the offices that could.
    WrongOffice { could: Vec<Office> },
    /// The person holds several that could, and named none.
    SeveralOffices { could: Vec<Office> },
    /// Nobody in the service may decide.
    DecidedElsewhere,
    /// The office has decided, or the request is decided.
    AlreadyDecided { office: Office },
}

/// The office and appointment by which a person decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecidesBy {
    pub appointment_id: Uuid,
    pub office: Office,
}

/// No organising unit has an office of the addressee's kind above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotConcerned;

/// For each organising unit the office of the nearest department or company at or above it; `None` for one without,
/// the municipality itself, which has only the director.
pub fn concerned_heads(organisers: &[Organiser<'_>]) -> Vec<Option<Office>> {
    let head = |organiser: &Organiser<'_>| {
        organiser
            .chain
            .iter()
            .rev()
            .find_map(|(unit_id, unit_type)| {
                let office_type = match unit_type {
                    UnitType::Department => OfficeType::DepartmentHead,
                    UnitType::Company => OfficeType::ChiefExecutive,
                    UnitType::Municipality | UnitType::Unit | UnitType::PartlyOwnedCompany => {
                        return None;
                    }
                };
                Some(Office {
                    office_type,
                    unit_id: *unit_id,
                })
            })
    };
    organisers.iter().map(head).collect()
}

/// A request can be put to the director, or to the kind of a concerned head.
pub fn check_addressee(facts: &RequestFacts<'_>) -> Result<(), NotConcerned> {
    let concerned = concerned_heads(facts.organisers);
    let is_concerned = concerned
        .iter()
        .flatten()
        .any(|office| office.office_type == facts.addressee);
    if facts.addressee == OfficeType::MunicipalDirector || is_concerned {
        Ok(())
    } else {
        Err(NotConcerned)
    }
}

/// Which decisions the request needs now.
pub fn route(facts: &RequestFacts<'_>) -> Route {
    let director = Office {
        office_type: OfficeType::MunicipalDirector,
        unit_id: facts.municipality,
    };
    let concerned = concerned_heads(facts.organisers);
    let heads: BTreeSet<Office> = concerned.iter().flatten().copied().collect();

    let company_is_concerned = heads
        .iter()
        .any(|office| office.office_type == OfficeType::ChiefExecutive);
    let director_may_decide = !facts.is_involved(director)
        && (facts.director_decides_for_companies || !company_is_concerned);
    // an organiser without a head, or a head who is one of the involved, leaves the director alone
    let director_alone = facts.addressee == OfficeType::MunicipalDirector
        || concerned.contains(&None)
        || heads.iter().any(|office| facts.is_involved(*office));
    let director_asks = facts.holds(facts.requester, director);

    if director_asks || director_alone && !director_may_decide {
        return Route {
            required: Vec::new(),
            director_may_decide: false,
            decided_elsewhere: true,
        };
    }
    Route {
        required: if director_alone {
            vec![director]
        } else {
            heads.into_iter().collect()
        },
        director_may_decide,
        decided_elsewhere: false,
    }
}

/// How the request stands by its decisions. Those of offices that are not required count only if they are the director's,
/// when the director may decide.
pub fn verdict(facts: &RequestFacts<'_>) -> Verdict {
    let route = route(facts);
    let of = |office: &Office| {
        facts
            .decisions
            .iter()
            .find(|(decided, _)| decided == office)
            .map(|(_, outcome)| *outcome)
    };
    let director = facts
        .decisions
        .iter()
        .find(|(office, _)| office.office_type == OfficeType::MunicipalDirector)
        .map(|(_, outcome)| *outcome)
        .filter(|_| route.director_may_decide);
    let required: Vec<Option<Outcome>> = route.required.iter().map(of).collect();
    let approves = |outcome: &Option<Outcome>| *outcome == Some(Outcome::Approved);

    if director == Some(Outcome::Rejected) || required.contains(&Some(Outcome::Rejected)) {
        Verdict::Rejected
    } else if director == Some(Outcome::Approved)
        || !required.is_empty() && required.iter().all(approves)
        || !facts.require_all_heads && required.iter().any(approves)
    {
        Verdict::Approved
    } else {
        Verdict::Open
    }
}

/// May this person decide now, and by which office? Someone with several offices that could names the appointment.
pub fn may_decide(
    facts: &RequestFacts<'_>,
    person: &str,
    named: Option<Uuid>,
) -> Result<DecidesBy, Denial> {
    if facts.is_person_involved(person) {
        return Err(Denial::OwnRequest);
    }
    let route = route(facts);
    if route.decided_elsewhere {
        return Err(Denial::DecidedElsewhere);
    }
    let could = route.offices(facts.municipality);
    let held: Vec<&Holder<'_>> = facts
        .holders
        .iter()
        .filter(|holder| holder.person_ref == person && could.contains(&holder.office))
        .filter(|holder| named.is_none_or(|named| holder.appointment_id == named))
        .collect();
    let offices: BTreeSet<Office> = held.iter().map(|holder| holder.office).collect();
    let Some(by) = held.first() else {
        return Err(Denial::WrongOffice { could });
    };
    if offices.len() > 1 {
        return Err(Denial::SeveralOffices {
            could: offices.into_iter().collect(),
        });
    }
    let decided = facts
        .decisions
        .iter()
        .any(|(office, _)| *office == by.office);
    if decided || verdict(facts) != Verdict::Open {
        return Err(Denial::AlreadyDecided { office: by.office });
    }
    Ok(DecidesBy {
        appointment_id: by.appointment_id,
        office: by.office,
    })
}

/// May this person revoke the approval: as an office that approved, or as the director?
pub fn may_revoke(facts: &RequestFacts<'_>, person: &str) -> Result<Office, Denial> {
    if facts.is_person_involved(person) {
        return Err(Denial::OwnRequest);
    }
    let director = Office {
        office_type: OfficeType::MunicipalDirector,
        unit_id: facts.municipality,
    };
    let approved = facts
        .decisions
        .iter()
        .filter(|(_, outcome)| *outcome == Outcome::Approved)
        .map(|(office, _)| *office);
    let could: BTreeSet<Office> = approved.chain([director]).collect();
    could
        .iter()
        .copied()
        .find(|office| facts.holds(person, *office))
        .ok_or(Denial::WrongOffice {
            could: could.into_iter().collect(),
        })
}

impl RequestFacts<'_> {
    fn holds(&self, person: &str, office: Office) -> bool {
        self.holders
            .iter()
            .any(|holder| holder.office == office && holder.person_ref == person)
    }

    fn is_person_involved(&self, person: &str) -> bool {
        person == self.requester || person == self.responsible_person
    }

    /// Does the requester or the responsible person hold the office? Then no one acting for them counts either.
    fn is_involved(&self, office: Office) -> bool {
        self.holds(self.requester, office) || self.holds(self.responsible_person, office)
    }
}

impl Route {
    /// The offices that could decide.
    fn offices(&self, municipality: Uuid) -> Vec<Office> {
        let director = Office {
            office_type: OfficeType::MunicipalDirector,
            unit_id: municipality,
        };
        let instead = self.director_may_decide.then_some(director);
        let all: BTreeSet<Office> = self.required.iter().copied().chain(instead).collect();
        all.into_iter().collect()
    }
}

/// What a decision is made about: each occasion's start, end and venue, and the organisers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    pub occasions: Vec<SnapshotOccasion>,
    pub organisers: Vec<Uuid>,
}

/// An occasion as a decision knows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotOccasion {
    pub starts_at: DateTime<Utc>,
    pub ends_at: DateTime<Utc>,
    pub venue_id: Option<Uuid>,
}

/// How an event differs from what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Difference {
    Times,
    Venues,
    Organisers,
}

impl Difference {
    /// The same in words.
    pub fn text(self) -> Text {
        match self {
            Difference::Times => Text::new(
                "Tillfällenas start eller slut är inte desamma.",
                "The starts or ends of the occasions are not the same.",
            ),
            Difference::Venues => {
                Text::new("Lokalerna är inte desamma.", "The venues are not the same.")
            }
            Difference::Organisers => Text::new(
                "De arrangerande enheterna är inte desamma.",
                "The organising units are not the same.",
            ),
        }
    }
}

impl Snapshot {
    /// How the event now differs from this; nothing while the request is not stale. The order of things does not matter.
    pub fn differences(&self, now: &Snapshot) -> Vec<Difference> {
        fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
            let mut items: Vec<T> = items.collect();
            items.sort();
            items
        }
        let times = |snapshot: &Snapshot| {
            sorted(
                snapshot
                    .occasions
                    .iter()
                    .map(|occasion| (occasion.starts_at, occasion.ends_at)),
            )
        };
        let occasions = |snapshot: &Snapshot| sorted(snapshot.occasions.iter().cloned());
        let organisers = |snapshot: &Snapshot| sorted(snapshot.organisers.iter().copied());
        let mut differences = Vec::new();
        if times(self) != times(now) {
            differences.push(Difference::Times);
        } else if occasions(self) != occasions(now) {
            differences.push(Difference::Venues);
        }
        if organisers(self) != organisers(now) {
            differences.push(Difference::Organisers);
        }
        differences
    }
}
