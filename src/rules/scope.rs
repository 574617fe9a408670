//! Is this covered by the guideline (R01, R02, R04–R06, R34)?
//!
//! Study visits and what another actor arranges are outside: nothing is registered, nothing is asked, and no approval
//! is needed. The types say so: [`judge`] alone turns what was proposed into the [`EventKind`] and [`Arranger`] that
//! an event can be stored with.

use std::ops::RangeInclusive;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::guideline::Text;

/// What someone proposes to arrange: every kind of event, and the study visit that the guideline leaves alone.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum ProposedKind {
    /// A day on which a group plans its work.
    PlanningDay,
    /// A gathering that starts something new.
    KickOff,
    /// A day of training for a group.
    TrainingDay,
    /// A course or other training.
    Training,
    /// A conference that the group arranges, alone or with others.
    Conference,
    /// Anything else of the kind; it needs a description.
    Other,
    /// A visit to learn from others: outside the guideline and never stored.
    StudyVisit,
}

/// The kind of an event that the guideline covers (R04).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum EventKind {
    /// A day on which a group plans its work.
    PlanningDay,
    /// A gathering that starts something new.
    KickOff,
    /// A day of training for a group.
    TrainingDay,
    /// A course or other training.
    Training,
    /// A conference that the group arranges, alone or with others.
    Conference,
    /// Anything else of the kind, described in the event's description.
    Other,
}

impl From<EventKind> for ProposedKind {
    fn from(kind: EventKind) -> ProposedKind {
        match kind {
            EventKind::PlanningDay => ProposedKind::PlanningDay,
            EventKind::KickOff => ProposedKind::KickOff,
            EventKind::TrainingDay => ProposedKind::TrainingDay,
            EventKind::Training => ProposedKind::Training,
            EventKind::Conference => ProposedKind::Conference,
            EventKind::Other => ProposedKind::Other,
        }
    }
}

/// Who arranges what is proposed.
///
/// An external trainer, a hired venue or an event agency does not make another actor the arranger.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum ProposedArranger {
    /// The municipal group alone.
    Group,
    /// The municipal group together with partners.
    CoArranged,
    /// Somebody else: outside the guideline and never stored.
    OtherActor,
}

/// Who arranges an event that the guideline covers.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Arranger {
    /// The municipal group alone.
    Group,
    /// The municipal group together with partners.
    CoArranged,
}

impl From<Arranger> for ProposedArranger {
    fn from(arranger: Arranger) -> ProposedArranger {
        match arranger {
            Arranger::Group => ProposedArranger::Group,
            Arranger::CoArranged => ProposedArranger::CoArranged,
        }
    }
}

/// Why something is outside the guideline.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum OutsideReason {
    /// It is a study visit (R05, R34).
    StudyVisit,
    /// It is a conference that another actor arranges (R06).
    ExternalConference,
    /// It is something else that another actor arranges (R04).
    NotArrangedByGroup,
    /// An organising unit is not in the municipal group on all of the days (R01).
    UnitNotCovered,
}

/// What is covered of what was proposed, or why it is outside. A study visit is one whoever arranges it.
pub fn judge(
    kind: ProposedKind,
    arranger: ProposedArranger,
) -> Result<(EventKind, Arranger), OutsideReason> {
    let kind = match kind {
        ProposedKind::PlanningDay => EventKind::PlanningDay,
        ProposedKind::KickOff => EventKind::KickOff,
        ProposedKind::TrainingDay => EventKind::TrainingDay,
        ProposedKind::Training => EventKind::Training,
        ProposedKind::Conference => EventKind::Conference,
        ProposedKind::Other => EventKind::Other,
        ProposedKind::StudyVisit => return Err(OutsideReason::StudyVisit),
    };
    match arranger {
        ProposedArranger::Group => Ok((kind, Arranger::Group)),
        ProposedArranger::CoArranged => Ok((kind, Arranger::CoArranged)),
        ProposedArranger::OtherActor if kind == EventKind::Conference => {
            Err(OutsideReason::ExternalConference)
        }
        ProposedArranger::OtherActor => Err(OutsideReason::NotArrangedByGroup),
    }
}

/// What a unit is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum UnitType {
    /// The municipality itself, the only root.
    Municipality,
    /// A department (förvaltning).
    Department,
    /// A wholly owned company (helägt bolag).
    Company,
    /// A unit below a department, a company or another unit.
    Unit,
    /// A partly owned company: it may be listed, and never organises.
    PartlyOwnedCompany,
}

/// What coverage depends on in a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitFacts {
    pub unit_type: UnitType,
    /// The first day.
    pub valid_from: NaiveDate,
    /// The first day no longer valid; `None` while open.
    pub valid_to: Option<NaiveDate>,
}

/// Is the last unit of this chain, from the root down to it, in the municipal group on all of these days (R01)?
///
/// So long as neither it nor any unit above it is a partly owned company and all of them are valid on every day.
pub fn in_group(chain: &[UnitFacts], days: &RangeInclusive<NaiveDate>) -> bool {
    !chain.is_empty()
        && chain.iter().all(|unit| {
            unit.unit_type != UnitType::PartlyOwnedCompany
                && unit.valid_from <= *days.start()
                && unit.valid_to.is_none_or(|end| *days.end() < end)
        })
}

/// Where a guideline says what it covers.
pub fn section() -> Text {
    Text::new(
        "Riktlinjens inledning: vad den omfattar",
        "The guideline's introduction: what it covers",
    )
}

/// The answer to a proposal that the guideline covers.
pub fn covered_text() -> Text {
    Text::new(
        "Det här omfattas av riktlinjen. Planera det som ett evenemang (POST /events), så visar tjänsten vad som \
         behövs inför genomförandet.",
        "The guideline covers this. Plan it as an event (POST /events), and the service shows what it needs before \
         it is held.",
    )
}

impl OutsideReason {
    /// The answer to a proposal that is outside: what is, and what to do instead.
    pub fn text(self) -> Text {
        match self {
            OutsideReason::StudyVisit => Text::new(
                "Studiebesök omfattas inte av riktlinjen. Inget godkännande behövs och ingenting ska registreras här. \
                 Åk gärna, och ta med er det ni lär er hem!",
                "The guideline does not cover study visits. No approval is needed and there is nothing to register \
                 here. Do go, and bring home what you learn!",
            ),
            OutsideReason::ExternalConference => Text::new(
                "Riktlinjen omfattar inte konferenser som någon annan anordnar. Inget godkännande behövs och \
                 ingenting ska registreras här. Delta gärna! Är ni själva med och anordnar konferensen väljer ni \
                 coArranged.",
                "The guideline does not cover conferences arranged by others. No approval is needed and there is \
                 nothing to register here. Do take part! If you are among the arrangers, choose coArranged.",
            ),
            OutsideReason::NotArrangedByGroup => Text::new(
                "Riktlinjen omfattar det som kommunkoncernen själv anordnar. Inget godkännande behövs för det här och \
                 ingenting ska registreras. Delta gärna! Är ni själva med och anordnar väljer ni coArranged.",
                "The guideline covers what the municipal group itself arranges. No approval is needed for this and \
                 there is nothing to register. Do take part! If you are among the arrangers, choose coArranged.",
            ),
            OutsideReason::UnitNotCovered => Text::new(
                "Riktlinjen gäller kommunen och dess helägda bolag, och en enhet i förslaget hör inte till dem alla \
                 de dagarna. Den behöver inget godkännande enligt riktlinjen. Anordnar en enhet i kommunkoncernen \
                 det tillsammans med andra anger ni den enheten och coArranged, med de andra som partners.",
                "The guideline applies to the municipality and its wholly owned companies, and a unit in the proposal \
                 is not one of them on all of those days. It needs no approval under the guideline. If a unit of the \
                 municipal group arranges it with others, name that unit and coArranged, with the others as partners.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KINDS: [EventKind; 6] = [
        EventKind::PlanningDay,
        EventKind::KickOff,
        EventKind::TrainingDay,
        EventKind::Training,
        EventKind::Conference,
        EventKind::Other,
    ];

    #[test]
    fn what_the_group_arranges_alone_or_with_others_is_covered_and_keeps_its_kind() {
        for kind in KINDS {
            for arranger in [Arranger::Group, Arranger::CoArranged] {
                assert_eq!(judge(kind.into(), arranger.into()), Ok((kind, arranger)));
            }
        }
    }

    #[test]
    fn a_study_visit_wins_over_the_rest() {
        for arranger in [
            ProposedArranger::Group,
            ProposedArranger::CoArranged,
            ProposedArranger::OtherActor,
        ] {
            assert_eq!(
                judge(ProposedKind::StudyVisit, arranger),
                Err(OutsideReason::StudyVisit)
            );
        }
    }

    #[test]
    fn another_actors_conference_is_an_external_conference_and_anything_else_is_not_arranged_by_the_group()
     {
        for kind in KINDS {
            let outside = match kind {
                EventKind::Conference => OutsideReason::ExternalConference,
                _ => OutsideReason::NotArrangedByGroup,
            };
            assert_eq!(
                judge(kind.into(), ProposedArranger::OtherActor),
                Err(outside),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn a_kind_and_an_arranger_are_called_the_same_before_and_after() {
        fn wire(value: impl Serialize) -> serde_json::Value {
            serde_json::to_value(value).expect("a name")
        }
        for kind in KINDS {
            assert_eq!(wire(kind), wire(ProposedKind::from(kind)));
        }
        for arranger in [Arranger::Group, Arranger::CoArranged] {
            assert_eq!(wire(arranger), wire(ProposedArranger::from(arranger)));
        }
    }

    #[test]
    fn whatever_is_outside_is_told_that_no_approval_is_needed() {
        for outside in [
            OutsideReason::StudyVisit,
            OutsideReason::ExternalConference,
            OutsideReason::NotArrangedByGroup,
            OutsideReason::UnitNotCovered,
        ] {
            let text = outside.text();
            assert!(text.sv.contains("inget godkännande") || text.sv.contains("Inget godkännande"));
            assert!(text.en.contains("no approval") || text.en.contains("No approval"));
        }
    }

    fn day(number: u64) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 1, 1).expect("a date") + chrono::Days::new(number)
    }

    fn unit(unit_type: UnitType, from: u64, to: Option<u64>) -> UnitFacts {
        UnitFacts {
            unit_type,
            valid_from: day(from),
            valid_to: to.map(day),
        }
    }

    #[test]
    fn the_group_is_the_municipality_its_departments_its_wholly_owned_companies_and_the_units_below_them()
     {
        let open = |unit_type| unit(unit_type, 0, None);
        let municipality = open(UnitType::Municipality);
        for (chain, covered) in [
            (vec![municipality], true),
            (vec![municipality, open(UnitType::Department)], true),
            (vec![municipality, open(UnitType::Company)], true),
            (
                vec![
                    municipality,
                    open(UnitType::Department),
                    open(UnitType::Unit),
                    open(UnitType::Unit),
                ],
                true,
            ),
            (
                vec![municipality, open(UnitType::PartlyOwnedCompany)],
                false,
            ),
            (
                vec![
                    municipality,
                    open(UnitType::PartlyOwnedCompany),
                    open(UnitType::Unit),
                ],
                false,
            ),
            (vec![], false),
        ] {
            assert_eq!(in_group(&chain, &(day(0)..=day(3))), covered, "{chain:?}");
        }
    }

    #[test]
    fn the_first_day_counts_and_valid_to_is_the_first_day_that_does_not() {
        let chain = [
            unit(UnitType::Municipality, 0, None),
            unit(UnitType::Company, 10, Some(20)),
        ];
        for (from, to, covered) in [
            (9, 9, false),
            (9, 12, false),
            (10, 10, true),
            (10, 19, true),
            (19, 19, true),
            (19, 20, false),
            (20, 20, false),
        ] {
            assert_eq!(
                in_group(&chain, &(day(from)..=day(to))),
                covered,
                "{from}..={to}"
            );
        }
    }

    fn any_chain() -> impl Strategy<Value = Vec<UnitFacts>> {
        let unit_type = prop_oneof![
            4 => Just(UnitType::Unit),
            1 => Just(UnitType::PartlyOwnedCompany),
        ];
        let facts = (unit_type, 0u64..20, prop::option::of(10u64..40))
            .prop_map(|(unit_type, from, to)| unit(unit_type, from, to));
        prop::collection::vec(facts, 1..4)
    }

    proptest! {
        #[test]
        fn a_chain_is_in_the_group_on_a_period_when_each_unit_is_on_each_day(chain in any_chain(), from in 0u64..30, days in 0u64..10) {
            let each_on_each = (from..=from + days)
                .all(|on| chain.iter().all(|unit| in_group(&[*unit], &(day(on)..=day(on)))));
            prop_assert_eq!(in_group(&chain, &(day(from)..=day(from + days))), each_on_each);
        }
    }
}
