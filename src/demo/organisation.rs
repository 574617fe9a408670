//! Who and what there is in Hedemora's group, as HR entered it when the service was introduced.
//!
//! The towns, departments and companies are Hedemora's; suppliers, organisation numbers and people are invented.

use chrono::{Datelike, Duration, NaiveDate};
use uuid::Uuid;

use super::HR_ADMINISTRATOR;
use super::diary::{Days, Deed, Entry, id};
use crate::identity::{Actor, Identity};
use crate::organisation::appointments::{Capacity, NewOfficeAppointment};
use crate::organisation::contracts::NewSupplierContract;
use crate::organisation::goals::NewBusinessGoal;
use crate::organisation::people::NewPerson;
use crate::organisation::units::NewUnit;
use crate::organisation::venues::NewVenue;
use crate::rules::access::Role;
use crate::rules::authority::OfficeType;
use crate::rules::scope::UnitType;

use Capacity::{Acting, ActingShortAbsence, Ordinary};
use OfficeType::{ChiefExecutive, DepartmentHead, MunicipalDirector};
use Role::{Archivist, Auditor, HrAdministrator, Planner, UnitManager};
use UnitType::{Company, Department, Municipality, PartlyOwnedCompany, Unit};

pub const MUNICIPALITY: Uuid = id(0x100);

/// The day on which HR entered it.
const INTRODUCED: i64 = -200;

/// A period: the first day and the first day no longer valid, in days from today; `None` is since ever and for good.
type Period = (Option<i64>, Option<i64>);
const ALWAYS: Period = (None, None);

const fn until(day: i64) -> Period {
    (None, Some(day))
}
const fn from(day: i64) -> Period {
    (Some(day), None)
}

/// Id, name, type, the unit above, board, and when.
type UnitRow = (
    u128,
    &'static str,
    UnitType,
    Option<u128>,
    Option<&'static str>,
    Period,
);

#[rustfmt::skip]
const UNITS: &[UnitRow] = &[
    (0x100, "Hedemora kommun", Municipality, None, Some("Kommunstyrelsen"), ALWAYS),
    (0x101, "Bildningsförvaltningen", Department, Some(0x100), Some("Bildningsnämnden"), ALWAYS),
    (0x102, "Kommunstyrelseförvaltningen", Department, Some(0x100), Some("Kommunstyrelsen"), ALWAYS),
    (0x103, "Miljö- och samhällsbyggnadsförvaltningen", Department, Some(0x100), Some("Miljö- och samhällsbyggnadsnämnden"), ALWAYS),
    (0x104, "Omsorgsförvaltningen", Department, Some(0x100), Some("Omsorgsnämnden"), ALWAYS),
    (0x105, "Hedemora Energi AB", Company, Some(0x100), None, ALWAYS),
    (0x106, "Hedemorabostäder AB", Company, Some(0x100), None, ALWAYS),
    (0x107, "Hedemora kommunfastigheter AB", Company, Some(0x100), None, ALWAYS),
    (0x108, "Visit Dalarna AB", PartlyOwnedCompany, Some(0x100), None, ALWAYS),
    (0x111, "Förskolan", Unit, Some(0x101), None, ALWAYS),
    (0x112, "Grundskolan", Unit, Some(0x101), None, ALWAYS),
    (0x113, "Gymnasieskolan", Unit, Some(0x101), None, ALWAYS),
    (0x114, "Måltidsenheten", Unit, Some(0x101), None, until(-100)),
    (0x121, "HR-enheten", Unit, Some(0x102), None, ALWAYS),
    (0x122, "Måltidsenheten", Unit, Some(0x102), None, from(-100)),
    (0x131, "Bygglovsenheten", Unit, Some(0x103), None, ALWAYS),
    (0x141, "Hemtjänsten", Unit, Some(0x104), None, ALWAYS),
    (0x142, "Särskilt boende", Unit, Some(0x104), None, ALWAYS),
    (0x151, "Elnät", Unit, Some(0x105), None, ALWAYS),
];

/// The unit that moved, and the one that took over from it.
const SUCCESSION: (u128, u128) = (0x114, 0x122);

#[rustfmt::skip]
const COMPANY_NUMBERS: &[(u128, &str)] = &[
    (0x105, "556000-0105"), (0x106, "556000-0106"), (0x107, "556000-0107"), (0x108, "556000-0108"),
];

/// Who works where, with which roles; the last has left.
#[rustfmt::skip]
const PEOPLE: &[(&str, &str, u128, &[Role], Period)] = &[
    ("person-0001", "HR-strateg", 0x121, &[HrAdministrator], ALWAYS),
    ("person-0002", "Förvaltningschef, bildning", 0x101, &[], ALWAYS),
    ("person-0003", "Verksamhetsutvecklare, bildning", 0x101, &[Planner], ALWAYS),
    ("person-0004", "Kommundirektör", 0x102, &[], ALWAYS),
    ("person-0005", "Administrativ chef", 0x102, &[], ALWAYS),
    ("person-0006", "Förvaltningschef, miljö och samhällsbyggnad", 0x103, &[], ALWAYS),
    ("person-0007", "Förvaltningschef, omsorg", 0x104, &[], ALWAYS),
    ("person-0008", "VD, Hedemora Energi", 0x105, &[], ALWAYS),
    ("person-0009", "VD, Hedemorabostäder", 0x106, &[], ALWAYS),
    ("person-0010", "Fastighetschef, kommunfastigheter", 0x107, &[], ALWAYS),
    ("person-0011", "Rektor, förskolan", 0x111, &[UnitManager], ALWAYS),
    ("person-0012", "Rektor, gymnasieskolan", 0x113, &[UnitManager], ALWAYS),
    ("person-0013", "Utvecklingsledare, omsorg", 0x104, &[Planner], ALWAYS),
    ("person-0014", "Enhetschef, hemtjänsten", 0x141, &[UnitManager], ALWAYS),
    ("person-0015", "Utvecklingsstrateg, kommunledning", 0x102, &[Planner], ALWAYS),
    ("person-0016", "Utvecklingsledare, samhällsbyggnad", 0x103, &[Planner], ALWAYS),
    ("person-0017", "Personalsamordnare, Hedemora Energi", 0x105, &[Planner], ALWAYS),
    ("person-0018", "Bosocial samordnare, Hedemorabostäder", 0x106, &[Planner], ALWAYS),
    ("person-0019", "Enhetschef, särskilt boende", 0x142, &[UnitManager], ALWAYS),
    ("person-0020", "Kommunarkivarie", 0x102, &[Archivist], ALWAYS),
    ("person-0021", "Förtroendevald revisor", 0x100, &[Auditor], ALWAYS),
    ("person-0022", "Specialpedagog, grundskolan", 0x101, &[Planner], until(-20)),
];

/// One department's head is on leave, another's is being recruited, and so is a chief executive.
#[rustfmt::skip]
const APPOINTMENTS: &[(u128, OfficeType, u128, &str, Capacity, Period)] = &[
    (0x301, DepartmentHead, 0x101, "person-0002", Ordinary, ALWAYS),
    (0x302, MunicipalDirector, 0x100, "person-0004", Ordinary, ALWAYS),
    (0x303, DepartmentHead, 0x102, "person-0004", Ordinary, until(-60)),
    (0x304, DepartmentHead, 0x102, "person-0005", Acting, from(-60)),
    (0x305, DepartmentHead, 0x103, "person-0006", Ordinary, ALWAYS),
    (0x306, DepartmentHead, 0x104, "person-0007", Ordinary, ALWAYS),
    (0x307, DepartmentHead, 0x104, "person-0019", ActingShortAbsence, (Some(-4), Some(10))),
    (0x308, ChiefExecutive, 0x105, "person-0008", Ordinary, ALWAYS),
    (0x309, ChiefExecutive, 0x106, "person-0009", Ordinary, ALWAYS),
    (0x30a, ChiefExecutive, 0x107, "person-0010", Acting, from(-150)),
];

#[rustfmt::skip]
const GOALS: &[(u128, u128, &str, Period)] = &[
    (0x401, 0x101, "Fler elever når gymnasiebehörighet", ALWAYS),
    (0x402, 0x101, "Alla barn i förskolan har en språkutvecklande vardag", ALWAYS),
    (0x403, 0x104, "Färre olika medarbetare hemma hos varje brukare", ALWAYS),
    (0x404, 0x104, "Anhöriga känner sig sedda och lyssnade på", ALWAYS),
    (0x405, 0x103, "Bygglov handläggs inom åtta veckor", ALWAYS),
    (0x406, 0x100, "Invånarna förstår det vi skriver och får svar i tid", ALWAYS),
    (0x407, 0x100, "Digitala verktyg frigör tid för invånarna", ALWAYS),
    (0x408, 0x105, "Inga olyckor i nätet", ALWAYS),
    (0x409, 0x106, "Hyresgästerna känner sig trygga i sitt område", ALWAYS),
    (0x40a, 0x102, "Mindre matsvinn i kommunens kök", from(-100)),
    (0x40b, 0x101, "Alla skolor har en plan för studiero", until(-90)),
];

/// Id, name, municipality, owner and supplier.
type VenueRow = (
    u128,
    &'static str,
    &'static str,
    Option<u128>,
    Option<&'static str>,
);

/// The places: own premises, hired with a contract in town and elsewhere, hired without one, and one whose contract has ended.
#[rustfmt::skip]
const VENUES: &[VenueRow] = &[
    (0x501, "Tjädernhuset, stora salen", "2083", Some(0x100), None),
    (0x502, "Gymnasieskolans aula", "2083", Some(0x107), None),
    (0x503, "Hedemora Energi, utbildningslokalen", "2083", Some(0x105), None),
    (0x504, "Exempelhotellet, konferensvåningen", "2083", None, Some("556000-0011")),
    (0x505, "Exempelgården i Säter", "2082", None, Some("556000-0012")),
    (0x506, "Exempelstugan vid sjön", "2083", None, Some("556000-0013")),
    (0x507, "Exempelslottet", "2083", None, None),
];

#[rustfmt::skip]
const CONTRACTS: &[(u128, &str, &str, &str, Period)] = &[
    (0x601, "556000-0011", "Exempelhotellet AB", "Konferenslokaler och förtäring", ALWAYS),
    (0x602, "556000-0012", "Exempelgården AB", "Konferenslokaler med övernattning", ALWAYS),
    (0x603, "556000-0013", "Exempelstugan AB", "Konferenslokaler", until(-30)),
    (0x604, "556000-0013", "Exempelstugan AB", "Konferenslokaler, nytt avtal", from(120)),
];

/// The person as the identity provider knows them.
pub fn actor(person: &str) -> Actor {
    let known = PEOPLE.iter().find(|(person_ref, ..)| *person_ref == person);
    Actor::Person(Identity {
        person_ref: person.to_owned(),
        roles: known
            .into_iter()
            .flat_map(|(.., roles, _)| roles.iter().copied())
            .collect(),
        units: known
            .map(|(_, _, unit, ..)| id(*unit))
            .into_iter()
            .collect(),
    })
}

/// HR enters one thing a minute.
pub fn diary(days: &Days) -> Vec<Entry> {
    let began = days.at(INTRODUCED, (8, 0));
    let minutes = (0..).map(|minute| began + Duration::minutes(minute));
    let deeds = (units(days).chain(people(days)).chain(appointments(days)))
        .chain(goals(days).chain(venues()).chain(contracts(days)));
    minutes
        .zip(deeds)
        .map(|(at, deed)| Entry {
            at,
            by: HR_ADMINISTRATOR,
            deed,
        })
        .collect()
}

/// The dates of a period. What has always been so began when the built-in guideline version came into force.
fn dates(days: &Days, (from, to): Period) -> (NaiveDate, Option<NaiveDate>) {
    let first = from.map_or_else(since_ever, |day| days.date(day));
    (first, to.map(|day| days.date(day)))
}

fn since_ever() -> NaiveDate {
    NaiveDate::from_ymd_opt(2020, 1, 1).unwrap_or_default()
}

fn units(days: &Days) -> impl Iterator<Item = Deed> {
    UNITS
        .iter()
        .map(|(number, name, unit_type, parent, board, period)| {
            let (valid_from, valid_to) = dates(days, *period);
            let organisation_number = COMPANY_NUMBERS
                .iter()
                .find(|(company, _)| company == number);
            let new = NewUnit {
                name: (*name).to_owned(),
                unit_type: *unit_type,
                parent_id: parent.map(id),
                organisation_number: organisation_number.map(|(_, given)| (*given).to_owned()),
                board: board.map(str::to_owned),
                successor_of: (*number == SUCCESSION.1).then_some(id(SUCCESSION.0)),
                valid_from,
                valid_to,
            };
            Deed::Unit(id(*number), new)
        })
}

fn people(days: &Days) -> impl Iterator<Item = Deed> {
    (0x201..)
        .zip(PEOPLE)
        .map(|(number, (person_ref, display_name, unit, _, period))| {
            let (valid_from, valid_to) = dates(days, *period);
            let new = NewPerson {
                person_ref: (*person_ref).to_owned(),
                display_name: (*display_name).to_owned(),
                unit_id: id(*unit),
                valid_from,
                valid_to,
            };
            Deed::Person(id(number), new)
        })
}

fn appointments(days: &Days) -> impl Iterator<Item = Deed> {
    APPOINTMENTS.iter().map(
        |(number, office_type, unit, person_ref, capacity, period)| {
            let (valid_from, valid_to) = dates(days, *period);
            let new = NewOfficeAppointment {
                office_type: *office_type,
                unit_id: id(*unit),
                person_ref: (*person_ref).to_owned(),
                capacity: *capacity,
                valid_from,
                valid_to,
            };
            Deed::Appointment(id(*number), new)
        },
    )
}

fn goals(days: &Days) -> impl Iterator<Item = Deed> {
    GOALS.iter().map(|(number, unit, title, period)| {
        let (valid_from, valid_to) = dates(days, *period);
        let new = NewBusinessGoal {
            unit_id: id(*unit),
            title: (*title).to_owned(),
            valid_from,
            valid_to,
        };
        Deed::Goal(id(*number), new)
    })
}

fn venues() -> impl Iterator<Item = Deed> {
    VENUES
        .iter()
        .map(|(number, name, municipality_code, owner, supplier)| {
            let new = NewVenue {
                name: (*name).to_owned(),
                municipality_code: (*municipality_code).to_owned(),
                owner_unit_id: owner.map(id),
                supplier_id: supplier.map(str::to_owned),
                valid_from: since_ever(),
                valid_to: None,
            };
            Deed::Venue(id(*number), new)
        })
}

fn contracts(days: &Days) -> impl Iterator<Item = Deed> {
    CONTRACTS
        .iter()
        .map(|(number, supplier_id, supplier_name, title, period)| {
            let (valid_from, valid_to) = dates(days, *period);
            let new = NewSupplierContract {
                supplier_id: (*supplier_id).to_owned(),
                supplier_name: (*supplier_name).to_owned(),
                title: (*title).to_owned(),
                registry_number: Some(format!("KS {}/{}", valid_from.year(), number & 0xff)),
                valid_from,
                valid_to,
            };
            Deed::Contract(id(*number), new)
        })
}
