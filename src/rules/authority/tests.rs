use chrono::TimeDelta;
use proptest::{prelude::*, sample::Index};
use serde_json::json;

use super::*;

const MUNICIPALITY: Uuid = Uuid::from_u128(1);
const SCHOOLS: Uuid = Uuid::from_u128(2);
const CARE: Uuid = Uuid::from_u128(3);
const ENERGY: Uuid = Uuid::from_u128(4);
const HOUSING: Uuid = Uuid::from_u128(5);
const ONE_SCHOOL: Uuid = Uuid::from_u128(6);
const CLASSROOM: Uuid = Uuid::from_u128(7);
const POWER_PLANT: Uuid = Uuid::from_u128(8);

const ROOT: (Uuid, UnitType) = (MUNICIPALITY, UnitType::Municipality);
const ORGANISERS: [&[(Uuid, UnitType)]; 8] = [
    &[ROOT],
    &[ROOT, (SCHOOLS, UnitType::Department)],
    &[ROOT, (CARE, UnitType::Department)],
    &[ROOT, (ENERGY, UnitType::Company)],
    &[ROOT, (HOUSING, UnitType::Company)],
    &[
        ROOT,
        (SCHOOLS, UnitType::Department),
        (ONE_SCHOOL, UnitType::Unit),
    ],
    &[
        ROOT,
        (SCHOOLS, UnitType::Department),
        (ONE_SCHOOL, UnitType::Unit),
        (CLASSROOM, UnitType::Unit),
    ],
    &[
        ROOT,
        (ENERGY, UnitType::Company),
        (POWER_PLANT, UnitType::Unit),
    ],
];

const fn office(office_type: OfficeType, unit_id: Uuid) -> Office {
    Office {
        office_type,
        unit_id,
    }
}

const DIRECTOR: Office = office(OfficeType::MunicipalDirector, MUNICIPALITY);
const SCHOOLS_HEAD: Office = office(OfficeType::DepartmentHead, SCHOOLS);
const CARE_HEAD: Office = office(OfficeType::DepartmentHead, CARE);
const ENERGY_CEO: Office = office(OfficeType::ChiefExecutive, ENERGY);
const HOUSING_CEO: Office = office(OfficeType::ChiefExecutive, HOUSING);
const OFFICES: [Office; 5] = [DIRECTOR, SCHOOLS_HEAD, CARE_HEAD, ENERGY_CEO, HOUSING_CEO];

/// A request with the offices' holders; appointments are numbered from 1 in the order given.
#[derive(Debug, Clone)]
struct Case {
    requester: &'static str,
    responsible: &'static str,
    addressee: OfficeType,
    organisers: Vec<Vec<(Uuid, UnitType)>>,
    holders: Vec<Holder<'static>>,
    for_companies: bool,
    all_heads: bool,
    decisions: Vec<(Office, Outcome)>,
}

/// A planner's request to the heads of these units, every office held by the person of its name.
fn asked_of_the_heads(of: &[Uuid]) -> Case {
    let organisers = of.iter().map(|unit| {
        let chain = ORGANISERS
            .iter()
            .find(|chain| chain.last().is_some_and(|(id, _)| id == unit))
            .expect("a unit of the tree");
        chain.to_vec()
    });
    Case {
        requester: "planner",
        responsible: "responsible",
        addressee: OfficeType::DepartmentHead,
        organisers: organisers.collect(),
        holders: Vec::new(),
        for_companies: true,
        all_heads: true,
        decisions: Vec::new(),
    }
    .held(DIRECTOR, "director")
    .held(SCHOOLS_HEAD, "schools head")
    .held(CARE_HEAD, "care head")
    .held(ENERGY_CEO, "energy ceo")
    .held(HOUSING_CEO, "housing ceo")
}

impl Case {
    fn held(mut self, office: Office, person_ref: &'static str) -> Case {
        self.holders.push(Holder {
            appointment_id: Uuid::from_u128(self.holders.len() as u128 + 1),
            office,
            person_ref,
        });
        self
    }

    fn requested_by(self, requester: &'static str) -> Case {
        Case { requester, ..self }
    }

    fn for_event_of(self, responsible: &'static str) -> Case {
        Case {
            responsible,
            ..self
        }
    }

    fn addressed_to(self, addressee: OfficeType) -> Case {
        Case { addressee, ..self }
    }

    fn vacant(mut self, office: Office) -> Case {
        self.holders.retain(|held| held.office != office);
        self
    }

    fn decided(mut self, office: Office, outcome: Outcome) -> Case {
        self.decisions.push((office, outcome));
        self
    }

    fn approved_by(self, office: Office) -> Case {
        self.decided(office, Outcome::Approved)
    }

    fn rejected_by(self, office: Office) -> Case {
        self.decided(office, Outcome::Rejected)
    }

    fn facts(&self) -> RequestFacts<'_> {
        RequestFacts {
            requester: self.requester,
            responsible_person: self.responsible,
            addressee: self.addressee,
            municipality: MUNICIPALITY,
            organisers: &self.organisers,
            holders: &self.holders,
            director_decides_for_companies: self.for_companies,
            require_all_heads: self.all_heads,
            decisions: &self.decisions,
        }
    }

    fn required(&self) -> Vec<Office> {
        route(&self.facts()).required
    }

    fn director_may_decide(&self) -> bool {
        route(&self.facts()).director_may_decide()
    }

    fn is_decided_elsewhere(&self) -> bool {
        route(&self.facts()).decided_elsewhere()
    }

    fn verdict(&self) -> Verdict {
        verdict(&self.facts())
    }

    /// The office by which the person decides.
    fn decides(&self, person: &str) -> Result<Office, Denial> {
        may_decide(&self.facts(), person, None).map(|held| held.office)
    }

    fn revokes(&self, person: &str) -> Result<Office, Denial> {
        may_revoke(&self.facts(), person).map(|held| held.office)
    }
}

fn wrong_office(could: &[Office]) -> Denial {
    Denial::WrongOffice {
        could: could.to_vec(),
    }
}

// Being director, department head or chief executive comes only from office appointments.

#[test]
fn an_office_comes_only_from_an_appointment_in_force() {
    let case = asked_of_the_heads(&[SCHOOLS]);
    assert_eq!(case.decides("schools head"), Ok(SCHOOLS_HEAD));
    let ended = case.vacant(SCHOOLS_HEAD);
    assert_eq!(
        ended.decides("schools head"),
        Err(wrong_office(&[DIRECTOR, SCHOOLS_HEAD]))
    );
}

#[test]
fn whoever_holds_the_office_in_whatever_capacity_decides_by_the_own_appointment() {
    let case = asked_of_the_heads(&[SCHOOLS]).held(SCHOOLS_HEAD, "stand-in");
    let facts = case.facts();
    let decided = may_decide(&facts, "stand-in", None).expect("the stand-in's to decide");
    assert_eq!(decided.office, SCHOOLS_HEAD);
    assert_eq!(decided.appointment_id, Uuid::from_u128(6));
}

#[test]
fn a_vacant_office_waits_for_a_holder_and_the_director_may_still_decide() {
    let case = asked_of_the_heads(&[SCHOOLS]).vacant(SCHOOLS_HEAD);
    assert_eq!(case.required(), [SCHOOLS_HEAD]);
    assert_eq!(case.decides("director"), Ok(DIRECTOR));
    assert!(!case.vacant(DIRECTOR).is_decided_elsewhere());
}

// The concerned heads.

#[test]
fn the_concerned_head_is_that_of_the_nearest_department_or_company_at_or_above_each_organiser() {
    for (unit, head) in [
        (MUNICIPALITY, None),
        (SCHOOLS, Some(SCHOOLS_HEAD)),
        (ONE_SCHOOL, Some(SCHOOLS_HEAD)),
        (CLASSROOM, Some(SCHOOLS_HEAD)),
        (ENERGY, Some(ENERGY_CEO)),
        (POWER_PLANT, Some(ENERGY_CEO)),
    ] {
        let case = asked_of_the_heads(&[unit]);
        assert_eq!(
            concerned_heads(&case.organisers).collect::<Vec<_>>(),
            [head]
        );
    }
}

#[test]
fn two_organisers_under_one_head_need_that_head_once() {
    let case = asked_of_the_heads(&[CLASSROOM, SCHOOLS, ONE_SCHOOL]);
    assert_eq!(case.required(), [SCHOOLS_HEAD]);
}

#[test]
fn when_the_municipality_itself_organises_only_the_director_decides() {
    for organisers in [&[MUNICIPALITY][..], &[SCHOOLS, MUNICIPALITY]] {
        let case = asked_of_the_heads(organisers);
        assert_eq!(case.required(), [DIRECTOR]);
        assert_eq!(case.decides("director"), Ok(DIRECTOR));
        assert_eq!(case.decides("schools head"), Err(wrong_office(&[DIRECTOR])));
    }
}

// The addressee chooses the route.

#[test]
fn addressed_to_the_director_only_the_director_decides() {
    let case = asked_of_the_heads(&[SCHOOLS]).addressed_to(OfficeType::MunicipalDirector);
    assert_eq!(case.required(), [DIRECTOR]);
    assert_eq!(case.decides("director"), Ok(DIRECTOR));
    assert_eq!(case.decides("schools head"), Err(wrong_office(&[DIRECTOR])));
}

#[test]
fn a_request_is_addressed_to_a_kind_of_head_only_when_one_is_concerned() {
    use OfficeType::{ChiefExecutive, DepartmentHead, MunicipalDirector};
    for (organisers, addressee, accepted) in [
        (&[MUNICIPALITY][..], MunicipalDirector, true),
        (&[MUNICIPALITY], DepartmentHead, false),
        (&[MUNICIPALITY], ChiefExecutive, false),
        (&[ONE_SCHOOL], MunicipalDirector, true),
        (&[ONE_SCHOOL], DepartmentHead, true),
        (&[ONE_SCHOOL], ChiefExecutive, false),
        (&[POWER_PLANT], MunicipalDirector, true),
        (&[POWER_PLANT], DepartmentHead, false),
        (&[POWER_PLANT], ChiefExecutive, true),
        (&[SCHOOLS, ENERGY], DepartmentHead, true),
        (&[SCHOOLS, ENERGY], ChiefExecutive, true),
    ] {
        let organisers = asked_of_the_heads(organisers).organisers;
        let expected = if accepted {
            Ok(())
        } else {
            Err(AddresseeNotConcerned)
        };
        assert_eq!(
            check_addressee(addressee, &organisers),
            expected,
            "{addressee:?} of {organisers:?}"
        );
    }
}

#[test]
fn addressed_to_either_kind_of_head_every_concerned_head_of_both_kinds_is_asked() {
    for addressee in [OfficeType::DepartmentHead, OfficeType::ChiefExecutive] {
        let case = asked_of_the_heads(&[ENERGY, CARE, SCHOOLS]).addressed_to(addressee);
        assert_eq!(case.required(), [SCHOOLS_HEAD, CARE_HEAD, ENERGY_CEO]);
        assert!(case.director_may_decide());
    }
}

#[test]
fn each_head_decides_for_the_own_unit_and_another_departments_head_does_not() {
    let case = asked_of_the_heads(&[SCHOOLS, ENERGY]);
    assert_eq!(case.decides("schools head"), Ok(SCHOOLS_HEAD));
    assert_eq!(case.decides("energy ceo"), Ok(ENERGY_CEO));
    for outsider in ["care head", "housing ceo", "HR administrator"] {
        assert_eq!(
            case.decides(outsider),
            Err(wrong_office(&[DIRECTOR, SCHOOLS_HEAD, ENERGY_CEO]))
        );
    }
}

#[test]
fn who_holds_several_of_the_offices_names_the_appointment() {
    let case = asked_of_the_heads(&[SCHOOLS, CARE]).held(CARE_HEAD, "schools head");
    let (schools, care) = (Uuid::from_u128(2), Uuid::from_u128(6));
    assert_eq!(
        case.decides("schools head"),
        Err(Denial::SeveralOffices {
            appointments: vec![schools, care]
        })
    );
    let by = |case: &Case, appointment| {
        may_decide(&case.facts(), "schools head", Some(appointment)).map(|held| held.office)
    };
    assert_eq!(by(&case, schools), Ok(SCHOOLS_HEAD));
    assert_eq!(by(&case, care), Ok(CARE_HEAD));

    let half = case.approved_by(SCHOOLS_HEAD);
    assert_eq!(
        by(&half, schools),
        Err(Denial::AlreadyDecided {
            office: SCHOOLS_HEAD
        })
    );
    assert_eq!(by(&half, care), Ok(CARE_HEAD));
}

#[test]
fn an_office_that_has_no_say_does_not_make_the_choice_harder() {
    let case = asked_of_the_heads(&[SCHOOLS]).held(CARE_HEAD, "schools head");
    assert_eq!(case.decides("schools head"), Ok(SCHOOLS_HEAD));
}

#[test]
fn nobody_decides_by_another_persons_appointment() {
    let case = asked_of_the_heads(&[SCHOOLS]);
    let directors = Uuid::from_u128(1);
    assert_eq!(
        may_decide(&case.facts(), "schools head", Some(directors)),
        Err(wrong_office(&[DIRECTOR, SCHOOLS_HEAD]))
    );
}

// Approved, rejected.

#[test]
fn approved_when_all_required_heads_have_approved() {
    let half = asked_of_the_heads(&[SCHOOLS, ENERGY]).approved_by(ENERGY_CEO);
    assert_eq!(half.verdict(), Verdict::Open);
    assert_eq!(half.approved_by(SCHOOLS_HEAD).verdict(), Verdict::Approved);
}

#[test]
fn approved_when_the_director_alone_approves() {
    let case = asked_of_the_heads(&[SCHOOLS, ENERGY]);
    assert_eq!(case.verdict(), Verdict::Open);
    assert_eq!(case.decides("director"), Ok(DIRECTOR));
    assert_eq!(case.approved_by(DIRECTOR).verdict(), Verdict::Approved);
}

#[test]
fn rejected_when_the_director_or_any_required_head_rejects() {
    for office in [DIRECTOR, SCHOOLS_HEAD, ENERGY_CEO] {
        let case = asked_of_the_heads(&[SCHOOLS, ENERGY]).rejected_by(office);
        assert_eq!(case.verdict(), Verdict::Rejected);
    }
    let after_an_approval = asked_of_the_heads(&[SCHOOLS, ENERGY])
        .approved_by(SCHOOLS_HEAD)
        .rejected_by(ENERGY_CEO);
    assert_eq!(after_an_approval.verdict(), Verdict::Rejected);
}

#[test]
fn a_verdict_is_final_for_the_request() {
    let rejected = asked_of_the_heads(&[SCHOOLS, ENERGY]).rejected_by(ENERGY_CEO);
    let approved = asked_of_the_heads(&[SCHOOLS, ENERGY]).approved_by(DIRECTOR);
    for (case, office) in [(rejected, ENERGY_CEO), (approved, DIRECTOR)] {
        for person in ["director", "schools head", "energy ceo"] {
            assert_eq!(case.decides(person), Err(Denial::AlreadyDecided { office }));
        }
    }
}

#[test]
fn an_office_decides_once_whoever_holds_it() {
    let case = asked_of_the_heads(&[SCHOOLS, ENERGY])
        .held(SCHOOLS_HEAD, "stand-in")
        .approved_by(SCHOOLS_HEAD);
    for person in ["schools head", "stand-in"] {
        assert_eq!(
            case.decides(person),
            Err(Denial::AlreadyDecided {
                office: SCHOOLS_HEAD
            })
        );
    }
    assert_eq!(case.decides("energy ceo"), Ok(ENERGY_CEO));
}

#[test]
fn a_decision_of_an_office_that_is_not_asked_counts_for_nothing() {
    let case = asked_of_the_heads(&[SCHOOLS]);
    assert_eq!(case.clone().approved_by(CARE_HEAD).verdict(), Verdict::Open);
    assert_eq!(case.rejected_by(CARE_HEAD).verdict(), Verdict::Open);
}

#[test]
fn without_require_all_heads_one_head_approves_for_all_and_any_still_rejects() {
    let case = Case {
        all_heads: false,
        ..asked_of_the_heads(&[SCHOOLS, ENERGY])
    };
    assert_eq!(case.verdict(), Verdict::Open);
    assert_eq!(
        case.clone().approved_by(ENERGY_CEO).verdict(),
        Verdict::Approved
    );
    assert_eq!(case.rejected_by(ENERGY_CEO).verdict(), Verdict::Rejected);
}

// The requester and the event's responsible person never decide.

#[test]
fn the_requester_and_the_responsible_person_never_decide() {
    for own in [
        asked_of_the_heads(&[SCHOOLS]).requested_by("schools head"),
        asked_of_the_heads(&[SCHOOLS]).for_event_of("schools head"),
    ] {
        assert_eq!(own.decides("schools head"), Err(Denial::OwnRequest));
    }
}

#[test]
fn nor_through_another_office() {
    let case = asked_of_the_heads(&[SCHOOLS])
        .held(DIRECTOR, "schools head")
        .for_event_of("schools head");
    assert_eq!(case.decides("schools head"), Err(Denial::OwnRequest));
}

#[test]
fn when_a_concerned_head_asks_or_is_responsible_the_director_alone_decides() {
    for own in [
        asked_of_the_heads(&[SCHOOLS, ENERGY]).requested_by("schools head"),
        asked_of_the_heads(&[SCHOOLS, ENERGY]).for_event_of("schools head"),
        asked_of_the_heads(&[SCHOOLS, ENERGY]).requested_by("energy ceo"),
    ] {
        assert_eq!(own.required(), [DIRECTOR]);
        assert_eq!(own.decides("director"), Ok(DIRECTOR));
        assert_eq!(
            own.approved_by(SCHOOLS_HEAD)
                .approved_by(ENERGY_CEO)
                .verdict(),
            Verdict::Open
        );
    }
}

#[test]
fn no_one_acting_for_that_head_counts() {
    let case = asked_of_the_heads(&[SCHOOLS])
        .held(SCHOOLS_HEAD, "stand-in")
        .requested_by("schools head");
    assert_eq!(case.decides("stand-in"), Err(wrong_office(&[DIRECTOR])));
    assert_eq!(case.approved_by(SCHOOLS_HEAD).verdict(), Verdict::Open);
}

#[test]
fn nor_does_the_head_for_whom_the_requester_acts() {
    let case = asked_of_the_heads(&[SCHOOLS])
        .held(SCHOOLS_HEAD, "stand-in")
        .requested_by("stand-in");
    assert_eq!(case.decides("schools head"), Err(wrong_office(&[DIRECTOR])));
}

#[test]
fn a_head_who_is_not_concerned_may_ask_as_anyone_may() {
    let case = asked_of_the_heads(&[SCHOOLS]).requested_by("care head");
    assert_eq!(case.required(), [SCHOOLS_HEAD]);
}

// Nobody in the service may decide.

#[test]
fn what_the_director_asks_for_is_decided_elsewhere_whoever_it_is_addressed_to() {
    for addressee in [OfficeType::MunicipalDirector, OfficeType::DepartmentHead] {
        let case = asked_of_the_heads(&[SCHOOLS])
            .addressed_to(addressee)
            .held(DIRECTOR, "acting director")
            .requested_by("director");
        assert!(case.is_decided_elsewhere());
        assert!(!case.director_may_decide());
        assert_eq!(case.decides("director"), Err(Denial::OwnRequest));
        for person in ["acting director", "schools head"] {
            assert_eq!(case.decides(person), Err(Denial::DecidedElsewhere));
        }
    }
}

#[test]
fn when_the_director_is_responsible_the_heads_decide_and_the_director_does_not() {
    let case = asked_of_the_heads(&[SCHOOLS]).for_event_of("director");
    assert_eq!(case.required(), [SCHOOLS_HEAD]);
    assert!(!case.director_may_decide());
    assert_eq!(case.decides("schools head"), Ok(SCHOOLS_HEAD));
    assert_eq!(case.approved_by(DIRECTOR).verdict(), Verdict::Open);
}

#[test]
fn when_the_director_is_responsible_and_alone_could_decide_it_is_decided_elsewhere() {
    for case in [
        asked_of_the_heads(&[SCHOOLS]).addressed_to(OfficeType::MunicipalDirector),
        asked_of_the_heads(&[MUNICIPALITY]),
        asked_of_the_heads(&[SCHOOLS]).requested_by("schools head"),
    ] {
        assert!(case.for_event_of("director").is_decided_elsewhere());
    }
}

#[test]
fn a_chief_executives_own_request_is_the_directors_unless_the_director_does_not_decide_for_companies()
 {
    let case = asked_of_the_heads(&[ENERGY]).requested_by("energy ceo");
    assert_eq!(case.required(), [DIRECTOR]);
    let case = Case {
        for_companies: false,
        ..case
    };
    assert!(case.is_decided_elsewhere());
    assert_eq!(case.decides("director"), Err(Denial::DecidedElsewhere));
}

#[test]
fn where_the_director_does_not_decide_for_companies_their_chief_executives_do() {
    let for_company = |organisers| Case {
        for_companies: false,
        ..asked_of_the_heads(organisers)
    };
    let case = for_company(&[SCHOOLS, ENERGY]);
    assert_eq!(case.required(), [SCHOOLS_HEAD, ENERGY_CEO]);
    assert_eq!(
        case.decides("director"),
        Err(wrong_office(&[SCHOOLS_HEAD, ENERGY_CEO]))
    );
    assert!(for_company(&[SCHOOLS]).director_may_decide());
}

#[test]
fn what_is_decided_elsewhere_takes_no_decisions() {
    let case = asked_of_the_heads(&[SCHOOLS])
        .requested_by("director")
        .approved_by(SCHOOLS_HEAD)
        .approved_by(DIRECTOR);
    assert_eq!(case.verdict(), Verdict::Open);
}

#[test]
fn it_is_recorded_by_one_who_is_neither_requester_nor_responsible() {
    let case = asked_of_the_heads(&[SCHOOLS]).requested_by("director");
    let facts = case.facts();
    assert_eq!(may_record(&facts, "HR administrator"), Ok(()));
    for own in ["director", "responsible"] {
        assert_eq!(may_record(&facts, own), Err(Denial::OwnRequest));
    }
}

#[test]
fn what_an_office_in_the_service_may_decide_is_not_recorded() {
    let case = asked_of_the_heads(&[SCHOOLS]);
    assert_eq!(
        may_record(&case.facts(), "HR administrator"),
        Err(Denial::DecidedHere {
            could: vec![DIRECTOR, SCHOOLS_HEAD]
        })
    );
}

// Revoking.

#[test]
fn an_office_that_approved_or_the_director_revokes() {
    let case = asked_of_the_heads(&[SCHOOLS, ENERGY])
        .held(SCHOOLS_HEAD, "stand-in")
        .approved_by(SCHOOLS_HEAD)
        .approved_by(ENERGY_CEO);
    assert_eq!(case.revokes("schools head"), Ok(SCHOOLS_HEAD));
    assert_eq!(case.revokes("stand-in"), Ok(SCHOOLS_HEAD));
    assert_eq!(case.revokes("energy ceo"), Ok(ENERGY_CEO));
    assert_eq!(case.revokes("director"), Ok(DIRECTOR));
    assert_eq!(
        case.revokes("care head"),
        Err(wrong_office(&[DIRECTOR, SCHOOLS_HEAD, ENERGY_CEO]))
    );
    assert_eq!(case.revokes("planner"), Err(Denial::OwnRequest));
}

#[test]
fn a_head_in_whose_place_the_director_approved_does_not_revoke() {
    let case = asked_of_the_heads(&[SCHOOLS]).approved_by(DIRECTOR);
    assert_eq!(case.revokes("schools head"), Err(wrong_office(&[DIRECTOR])));
}

#[test]
fn a_director_who_also_approved_as_head_revokes_as_head() {
    let case = asked_of_the_heads(&[SCHOOLS])
        .held(SCHOOLS_HEAD, "director")
        .approved_by(SCHOOLS_HEAD);
    assert_eq!(case.revokes("director"), Ok(SCHOOLS_HEAD));
}

// Stale and lapsed.

fn moment(minutes: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
}

fn occasion(start: i64, venue: Option<u128>) -> SnapshotOccasion {
    SnapshotOccasion {
        starts_at: moment(start),
        ends_at: moment(start + 60),
        venue_id: venue.map(Uuid::from_u128),
    }
}

fn snapshot(occasions: &[(i64, Option<u128>)], organisers: &[Uuid]) -> Snapshot {
    Snapshot::new(
        occasions
            .iter()
            .map(|&(start, venue)| occasion(start, venue))
            .collect(),
        organisers.to_vec(),
    )
}

#[test]
fn a_request_is_stale_when_occasions_venues_or_organisers_differ_and_says_which() {
    use Difference::{Occasions, Organisers, Venue};
    let asked = snapshot(&[(0, Some(1)), (100, Some(2))], &[SCHOOLS]);
    for (now, expected) in [
        (
            snapshot(&[(0, Some(1)), (100, Some(2))], &[SCHOOLS]),
            &[][..],
        ),
        (
            snapshot(&[(0, Some(1)), (90, Some(2))], &[SCHOOLS]),
            &[Occasions],
        ),
        (
            snapshot(&[(0, Some(1)), (100, Some(2)), (200, Some(2))], &[SCHOOLS]),
            &[Occasions],
        ),
        (snapshot(&[(0, Some(1))], &[SCHOOLS]), &[Occasions, Venue]),
        (
            snapshot(&[(0, Some(1)), (100, Some(3))], &[SCHOOLS]),
            &[Venue],
        ),
        (snapshot(&[(0, Some(1)), (100, None)], &[SCHOOLS]), &[Venue]),
        (
            snapshot(&[(0, Some(2)), (100, Some(1))], &[SCHOOLS]),
            &[Venue],
        ),
        (
            snapshot(&[(0, Some(1)), (100, Some(2))], &[SCHOOLS, CARE]),
            &[Organisers],
        ),
        (
            snapshot(&[(1, Some(4))], &[CARE]),
            &[Occasions, Venue, Organisers],
        ),
    ] {
        assert_eq!(asked.differences(&now), expected, "{now:?}");
    }
}

#[test]
fn an_end_that_moves_is_a_difference_too() {
    let asked = snapshot(&[(0, None)], &[SCHOOLS]);
    let mut longer = occasion(0, None);
    longer.ends_at = moment(61);
    let now = Snapshot::new(vec![longer], vec![SCHOOLS]);
    assert_eq!(asked.differences(&now), [Difference::Occasions]);
}

#[test]
fn a_request_lapses_at_the_first_start_unless_it_was_decided() {
    let first_start = snapshot(&[(100, None), (0, None)], &[SCHOOLS])
        .first_start()
        .expect("an occasion");
    assert_eq!(first_start, moment(0));
    for (submitted, now, expected) in [
        (true, -1, false),
        (true, 0, true),
        (true, 1, true),
        (false, 1, false),
    ] {
        assert_eq!(lapsed(submitted, first_start, moment(now)), expected);
    }
}

#[test]
fn the_wire_and_the_store_speak_camel_case() {
    assert_eq!(json!(OfficeType::ChiefExecutive), "chiefExecutive");
    assert_eq!(json!(Outcome::Approved), "approved");
    assert_eq!(json!(Difference::Organisers), "organisers");
    assert_eq!(
        json!(snapshot(&[(0, None)], &[MUNICIPALITY])),
        json!({
            "occasions": [{
                "startsAt": "1970-01-01T00:00:00Z", "endsAt": "1970-01-01T01:00:00Z",
            }],
            "organisers": [MUNICIPALITY],
        })
    );
}

// What holds whatever the facts.

const PEOPLE: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn person() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&PEOPLE[..])
}

/// Any request before its first decision; offices may be vacant, shared, and held several by one person.
fn any_case() -> impl Strategy<Value = Case> {
    let organisers = prop::collection::vec(prop::sample::select(&ORGANISERS[..]), 1..4);
    let holders = prop::collection::vec((prop::sample::select(&OFFICES[..]), person()), 0..9);
    let addressee = prop::sample::select(vec![
        OfficeType::MunicipalDirector,
        OfficeType::DepartmentHead,
        OfficeType::ChiefExecutive,
    ]);
    let settings = (any::<bool>(), any::<bool>());
    (person(), person(), addressee, organisers, holders, settings).prop_map(
        |(requester, responsible, addressee, organisers, holders, (for_companies, all_heads))| {
            let case = Case {
                requester,
                responsible,
                addressee,
                organisers: organisers.into_iter().map(<[_]>::to_vec).collect(),
                holders: Vec::new(),
                for_companies,
                all_heads,
                decisions: Vec::new(),
            };
            holders
                .into_iter()
                .fold(case, |case, (office, person)| case.held(office, person))
        },
    )
}

/// Who tries, by which of the appointments if any, and to what effect.
type Attempt = (&'static str, Option<Index>, bool);

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    prop::collection::vec((person(), any::<Option<Index>>(), any::<bool>()), 0..20)
}

/// Everyone tries as they like, and what is accepted stands.
fn lived(mut case: Case, attempts: Vec<Attempt>) -> Case {
    for (person, named, approves) in attempts {
        let named = named
            .filter(|_| !case.holders.is_empty())
            .map(|index| index.get(&case.holders).appointment_id);
        let by = may_decide(&case.facts(), person, named).map(|held| held.office);
        if let Ok(office) = by {
            let outcome = if approves {
                Outcome::Approved
            } else {
                Outcome::Rejected
            };
            case = case.decided(office, outcome);
        }
    }
    case
}

/// Whether anyone may decide, by whatever appointment.
fn someone_may_decide(case: &Case) -> bool {
    case.holders
        .iter()
        .any(|held| may_decide(&case.facts(), held.person_ref, Some(held.appointment_id)).is_ok())
}

proptest! {
    #[test]
    fn nobody_decides_revokes_or_records_their_own_request(
        case in any_case(), attempts in attempts(),
    ) {
        let case = lived(case, attempts);
        let facts = case.facts();
        for own in [case.requester, case.responsible] {
            let named = case.holders.iter().map(|held| Some(held.appointment_id));
            for named in named.chain([None]) {
                prop_assert_eq!(may_decide(&facts, own, named), Err(Denial::OwnRequest));
            }
            prop_assert_eq!(may_revoke(&facts, own), Err(Denial::OwnRequest));
            prop_assert_eq!(may_record(&facts, own), Err(Denial::OwnRequest));
        }
    }

    #[test]
    fn no_office_of_the_requester_or_the_responsible_person_ever_decides(
        case in any_case(), attempts in attempts(),
    ) {
        let case = lived(case, attempts);
        for (office, _) in &case.decisions {
            for held in case.holders.iter().filter(|held| held.office == *office) {
                prop_assert!(![case.requester, case.responsible].contains(&held.person_ref));
            }
        }
    }

    #[test]
    fn who_decides_holds_the_office_by_that_appointment(case in any_case(), person in person()) {
        if let Ok(held) = may_decide(&case.facts(), person, None) {
            prop_assert_eq!(held.person_ref, person);
            prop_assert!(case.holders.contains(&held));
        }
    }

    #[test]
    fn approved_means_that_the_director_or_all_or_where_enough_one_of_the_heads_approved(
        case in any_case(), attempts in attempts(),
    ) {
        let case = lived(case, attempts);
        let approved = |office: &Office| case.decisions.contains(&(*office, Outcome::Approved));
        let required = case.required();
        match case.verdict() {
            Verdict::Approved => {
                let by_heads = if case.all_heads {
                    required.iter().all(approved)
                } else {
                    required.iter().any(approved)
                };
                prop_assert!(approved(&DIRECTOR) || by_heads);
                prop_assert!(case.decisions.iter().all(|(_, of)| *of == Outcome::Approved));
            }
            Verdict::Rejected => {
                prop_assert!(case.decisions.iter().any(|(_, of)| *of == Outcome::Rejected));
            }
            Verdict::Open => {
                prop_assert!(case.decisions.iter().all(|(_, of)| *of == Outcome::Approved));
                prop_assert!(!approved(&DIRECTOR));
            }
        }
    }

    #[test]
    fn decided_elsewhere_means_that_no_office_is_asked_and_no_decision_counts(case in any_case()) {
        let elsewhere = case.is_decided_elsewhere();
        prop_assert_eq!(route(&case.facts()).offices().is_empty(), elsewhere);
        let decided = OFFICES.into_iter().fold(case, Case::approved_by);
        prop_assert_eq!(decided.verdict() == Verdict::Open, elsewhere);
    }

    #[test]
    fn someone_may_decide_exactly_while_the_request_is_open_and_not_decided_elsewhere(
        case in any_case(), attempts in attempts(),
    ) {
        let mut case = lived(case, attempts);
        let awaited = case.verdict() == Verdict::Open && !case.is_decided_elsewhere();
        // a vacant office waits for someone
        for office in OFFICES {
            case = case.held(office, "new");
        }
        prop_assert_eq!(someone_may_decide(&case), awaited);
    }

    #[test]
    fn an_office_decides_at_most_once(case in any_case(), attempts in attempts()) {
        let decisions = lived(case, attempts).decisions;
        let offices: BTreeSet<Office> = decisions.iter().map(|(office, _)| *office).collect();
        prop_assert_eq!(offices.len(), decisions.len());
    }

    #[test]
    fn who_could_decide_does_not_depend_on_the_order_of_organisers_or_appointments(
        case in any_case(),
    ) {
        let mut reversed = case.clone();
        reversed.organisers.reverse();
        reversed.holders.reverse();
        prop_assert_eq!(route(&case.facts()), route(&reversed.facts()));
    }

    #[test]
    fn the_order_of_occasions_and_organisers_is_no_difference(
        occasions in occasions(), organisers in organisers(),
    ) {
        let asked = snapshot(&occasions, &organisers);
        let reversed = snapshot(
            &occasions.into_iter().rev().collect::<Vec<_>>(),
            &organisers.into_iter().rev().collect::<Vec<_>>(),
        );
        prop_assert_eq!(asked.differences(&reversed), []);
    }

    #[test]
    fn there_is_a_difference_exactly_when_something_was_changed_and_not_changed_back(
        asked in (occasions(), organisers()), now in (occasions(), organisers()),
    ) {
        let (asked, now) = (snapshot(&asked.0, &asked.1), snapshot(&now.0, &now.1));
        prop_assert_eq!(asked.differences(&now).is_empty(), asked == now);
        prop_assert_eq!(asked.differences(&now), now.differences(&asked));
        prop_assert_eq!(asked.differences(&asked.clone()), []);
    }

    #[test]
    fn a_stored_snapshot_is_read_as_it_was(occasions in occasions(), organisers in organisers()) {
        let asked = snapshot(&occasions, &organisers);
        let stored = serde_json::to_value(&asked).expect("JSON");
        prop_assert_eq!(serde_json::from_value::<Snapshot>(stored).expect("a snapshot"), asked);
    }
}

// few values, so that equal ones are met

fn occasions() -> impl Strategy<Value = Vec<(i64, Option<u128>)>> {
    prop::collection::vec((0..3i64, prop::option::of(0..2u128)), 1..4)
}

fn organisers() -> impl Strategy<Value = Vec<Uuid>> {
    prop::collection::vec(prop::sample::select(vec![SCHOOLS, CARE]), 1..4)
}
