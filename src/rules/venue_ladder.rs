//! Which rung is this venue, and what does it ask for (R28)?
//!
//! Own premises first, procured firms in the municipality second, other procured firms third. The rung is computed
//! from who owned the premises and which contracts were in force on the occasion's date; nobody can set it. It
//! applies to every covered event with a physical occasion, and the worst occasion counts.

use crate::guideline::{Place, Requires, Rung};

/// What a venue's place depends on, on the occasion's date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VenueFacts {
    /// A unit in the municipal group owned it that day; company premises are own premises (R02).
    pub owned_by_group: bool,
    /// Its supplier had a contract in force that day.
    pub contract_in_force: bool,
    /// The premises lie in the guideline version's municipality; here the word is geographic (R02).
    pub in_municipality: bool,
}

/// The venue's place that day.
pub fn place(venue: VenueFacts) -> Place {
    match venue {
        VenueFacts {
            owned_by_group: true,
            ..
        } => Place::OwnPremises,
        VenueFacts {
            contract_in_force: false,
            ..
        } => Place::NotProcured,
        VenueFacts {
            in_municipality: true,
            ..
        } => Place::ProcuredLocal,
        VenueFacts {
            in_municipality: false,
            ..
        } => Place::ProcuredOther,
    }
}

/// Where an occasion is held, as the ladder sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OccasionPlace {
    Digital,
    Undecided,
    Venue(Place),
}

/// Where an event stands on the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<'a> {
    /// Every occasion is digital.
    NotApplicable,
    /// The place of an occasion is still undecided.
    Undecided,
    /// Its worst occasion is on this rung, the `position`th from the top, counted from 0.
    OnLadder { position: usize, rung: &'a Rung },
    /// The ladder does not list the place of an occasion, which needs an exception.
    OffLadder,
}

/// Where an event with these occasions stands on this ladder.
pub fn standing<'a>(ladder: &'a [Rung], occasions: &[OccasionPlace]) -> Standing<'a> {
    if occasions.contains(&OccasionPlace::Undecided) {
        return Standing::Undecided;
    }
    let mut worst = Standing::NotApplicable;
    for occasion in occasions {
        let OccasionPlace::Venue(place) = occasion else {
            continue;
        };
        let Some(position) = ladder.iter().position(|rung| rung.place == *place) else {
            return Standing::OffLadder;
        };
        if !matches!(worst, Standing::OnLadder { position: so_far, .. } if so_far >= position) {
            worst = Standing::OnLadder {
                position,
                rung: &ladder[position],
            };
        }
    }
    worst
}

/// Does a reason given for one rung do for another? It does for its own rung and better ones.
pub fn satisfies(ladder: &[Rung], given_for: &str, rung: &str) -> bool {
    let position = |id: &str| ladder.iter().position(|rung| rung.id == id);
    matches!((position(given_for), position(rung)), (Some(given), Some(asked)) if given >= asked)
}

impl<'a> Standing<'a> {
    /// The rung that the event stands on.
    pub fn rung(self) -> Option<&'a Rung> {
        match self {
            Standing::OnLadder { rung, .. } => Some(rung),
            _ => None,
        }
    }

    /// The rung that a venue reason would be given for now; `None` while none is asked for (409 `not-asked`).
    pub fn rung_asking_for_reason(self) -> Option<&'a Rung> {
        self.rung().filter(|rung| rung.requires == Requires::Reason)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::OccasionPlace::{Digital, Undecided, Venue};
    use super::*;
    use crate::guideline::hedemora;

    #[test]
    fn the_place_follows_from_owner_contract_and_municipality() {
        for (owned_by_group, contract_in_force, in_municipality, expected) in [
            (true, true, true, Place::OwnPremises),
            (true, true, false, Place::OwnPremises),
            (true, false, true, Place::OwnPremises),
            (true, false, false, Place::OwnPremises),
            (false, true, true, Place::ProcuredLocal),
            (false, true, false, Place::ProcuredOther),
            (false, false, true, Place::NotProcured),
            (false, false, false, Place::NotProcured),
        ] {
            let venue = VenueFacts {
                owned_by_group,
                contract_in_force,
                in_municipality,
            };
            assert_eq!(place(venue), expected, "{venue:?}");
        }
    }

    /// The position of the rung, what it asks for, or the other standings.
    fn on_hedemoras(occasions: &[OccasionPlace]) -> String {
        match standing(&hedemora().ladder, occasions) {
            Standing::OnLadder { position, rung } => {
                format!("{} {:?}", position + 1, rung.requires)
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn own_premises_ask_for_nothing_procured_firms_for_a_reason_and_others_for_an_exception() {
        for (place, stands) in [
            (Place::OwnPremises, "1 Nothing"),
            (Place::ProcuredLocal, "2 Reason"),
            (Place::ProcuredOther, "3 Reason"),
            (Place::NotProcured, "4 Exception"),
        ] {
            assert_eq!(on_hedemoras(&[Venue(place)]), stands);
        }
    }

    #[test]
    fn the_worst_of_several_occasions_counts_and_digital_ones_do_not() {
        let own = Venue(Place::OwnPremises);
        let local = Venue(Place::ProcuredLocal);
        let other = Venue(Place::ProcuredOther);
        for (occasions, stands) in [
            (vec![own, local], "2 Reason"),
            (vec![other, own, local], "3 Reason"),
            (vec![Digital, own], "1 Nothing"),
            (vec![own, Digital, Venue(Place::NotProcured)], "4 Exception"),
        ] {
            assert_eq!(on_hedemoras(&occasions), stands, "{occasions:?}");
        }
    }

    #[test]
    fn the_ladder_does_not_apply_to_a_digital_event() {
        assert_eq!(on_hedemoras(&[Digital, Digital]), "NotApplicable");
    }

    #[test]
    fn an_undecided_occasion_leaves_the_whole_event_undecided() {
        for beside in [
            Digital,
            Venue(Place::OwnPremises),
            Venue(Place::NotProcured),
        ] {
            assert_eq!(on_hedemoras(&[beside, Undecided]), "Undecided");
        }
    }

    #[test]
    fn a_place_that_the_ladder_does_not_list_is_off_it() {
        let mut ladder = hedemora().ladder;
        ladder.retain(|rung| rung.place == Place::OwnPremises);
        let venues = [Venue(Place::OwnPremises), Venue(Place::ProcuredLocal)];
        assert_eq!(standing(&ladder, &venues[..1]).rung(), Some(&ladder[0]));
        assert_eq!(standing(&ladder, &venues), Standing::OffLadder);
    }

    #[test]
    fn only_a_rung_that_asks_for_a_reason_takes_one() {
        let ladder = hedemora().ladder;
        let asking = |occasion| {
            standing(&ladder, &[occasion])
                .rung_asking_for_reason()
                .map(|rung| rung.id.as_str())
        };
        assert_eq!(asking(Venue(Place::ProcuredLocal)), Some("procuredLocal"));
        assert_eq!(asking(Venue(Place::ProcuredOther)), Some("procuredOther"));
        for occasion in [
            Digital,
            Undecided,
            Venue(Place::OwnPremises),
            Venue(Place::NotProcured),
        ] {
            assert_eq!(asking(occasion), None, "{occasion:?}");
        }
    }

    fn any_place() -> impl Strategy<Value = OccasionPlace> {
        prop::sample::select(vec![
            Digital,
            Venue(Place::OwnPremises),
            Venue(Place::ProcuredLocal),
            Venue(Place::ProcuredOther),
            Venue(Place::NotProcured),
        ])
    }

    proptest! {
        #[test]
        fn one_more_occasion_never_lifts_an_event(occasions in prop::collection::vec(any_place(), 0..6), more in any_place(), rungs in 0usize..=4) {
            let depth = |standing| match standing {
                Standing::NotApplicable | Standing::Undecided => 0,
                Standing::OnLadder { position, .. } => position + 1,
                Standing::OffLadder => usize::MAX,
            };
            let ladder = &hedemora().ladder[..rungs];
            let before = depth(standing(ladder, &occasions));
            let alone = depth(standing(ladder, &[more]));
            let after = depth(standing(ladder, &[occasions, vec![more]].concat()));
            prop_assert_eq!(after, before.max(alone));
        }
    }
}
