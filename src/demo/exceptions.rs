//! Exceptions in Hedemora: one request in every state that there is.

use uuid::Uuid;

use super::HR_ADMINISTRATOR;
use super::diary::{self, Days, Deed, Entry};
use super::events;
use crate::exceptions::{NewDecision, NewExceptionRequest, NewRecordedDecision};
use crate::rules::authority::{OfficeType, Outcome};

use OfficeType::{ChiefExecutive, DepartmentHead, MunicipalDirector};

/// A request: its number, the event, the rule, whom it is put to, why, what else was considered, the one before it,
/// when and by whom it was submitted, and the day on which a decision is needed. Days are counted from today.
struct Asked {
    number: u128,
    event: u128,
    rule: &'static str,
    addressee: OfficeType,
    why: [&'static str; 2],
    previous: Option<u128>,
    at: (i64, (u32, u32)),
    by: &'static str,
    needed: i64,
}

const VENUE: [&str; 2] = [
    "Stugbyn är den enda platsen där vi kan bo och arbeta tillsammans under en dag.",
    "Stadshuset och hotellet har fullt, och gården utanför stan tar bara större grupper.",
];

#[rustfmt::skip]
const REQUESTS: &[Asked] = &[
    // about the document's example: put to the director, taken back, put to the head and rejected
    Asked { number: 2, event: 1, rule: "question.followUp", addressee: MunicipalDirector, why: ["Vi följer upp i medarbetarsamtalen ändå.", "En enkät, men den når inte vikarierna."],
            previous: None, at: (-40, (9, 1)), by: "person-0003", needed: -30 },
    Asked { number: 1, event: 1, rule: "question.followUp", addressee: DepartmentHead, why: ["Vi följer upp i medarbetarsamtalen ändå.", "En enkät, men den når inte vikarierna."],
            previous: Some(2), at: (-40, (9, 3)), by: "person-0003", needed: -30 },
    // pending
    Asked { number: 3, event: 14, rule: "venueLadder", addressee: ChiefExecutive, why: VENUE, previous: None, at: (-9, (10, 0)), by: "person-0018", needed: 20 },
    // approved by one head of two
    Asked { number: 4, event: 16, rule: "venueLadder", addressee: DepartmentHead, why: VENUE, previous: None, at: (-14, (10, 0)), by: "person-0003", needed: 15 },
    // approved
    Asked { number: 5, event: 17, rule: "venueLadder", addressee: ChiefExecutive, why: VENUE, previous: None, at: (-21, (10, 0)), by: "person-0017", needed: 10 },
    // lapsed
    Asked { number: 6, event: 18, rule: "venueLadder", addressee: DepartmentHead, why: VENUE, previous: None, at: (-25, (10, 0)), by: "person-0003", needed: -10 },
    // approved, and stale since the event was moved
    Asked { number: 7, event: 19, rule: "venueLadder", addressee: DepartmentHead, why: VENUE, previous: None, at: (-23, (10, 0)), by: "person-0003", needed: 10 },
    // decided elsewhere: the director asks
    Asked { number: 8, event: 20, rule: "venueLadder", addressee: MunicipalDirector, why: VENUE, previous: None, at: (-16, (10, 0)), by: "person-0004", needed: 10 },
    // approved, so that the event needed no follow-up
    Asked { number: 9, event: 24, rule: "question.followUp", addressee: DepartmentHead, why: ["Räddningstjänsten bedömer övningen på plats, och den görs om varje år.", "En enkät efteråt, men den säger mindre än tiden vid nästa larm."],
            previous: None, at: (-90, (10, 0)), by: "person-0003", needed: -75 },
];

/// Decisions: number, request, office holder, outcome, reasons, when.
#[rustfmt::skip]
const DECISIONS: &[(u128, u128, &str, Outcome, &str, i64)] = &[
    (1, 1, "person-0002", Outcome::Rejected, "Uppföljningen är kärnan i riktlinjen. Planera en som även når vikarierna.", -38),
    (2, 4, "person-0002", Outcome::Approved, "Dagen bygger på att båda förvaltningarna är på samma plats.", -12),
    (3, 5, "person-0008", Outcome::Approved, "Övningen kräver en plats utan mobiltäckning.", -19),
    (4, 7, "person-0002", Outcome::Approved, "Ingen egen lokal rymmer biblioteken den dagen.", -20),
    (5, 9, "person-0002", Outcome::Approved, "Räddningstjänstens protokoll räcker.", -88),
];

fn request(number: u128) -> Uuid {
    diary::id(0x1500 + number)
}

/// Everything about exceptions as entries of the diary.
pub fn diary(days: &Days) -> Vec<Entry> {
    let asked = REQUESTS.iter().map(|asked| {
        let new = NewExceptionRequest {
            rule_ids: vec![asked.rule.to_owned()],
            reason: asked.why[0].to_owned(),
            alternatives_considered: asked.why[1].to_owned(),
            addressee: asked.addressee,
            decision_needed_by: days.working_day(asked.needed),
            previous_request_id: asked.previous.map(request),
            on_behalf_of: None,
        };
        Entry {
            at: days.at(asked.at.0, asked.at.1),
            by: asked.by,
            deed: Deed::Ask((events::id(asked.event), request(asked.number)), new),
        }
    });
    let withdrawn = Entry {
        at: days.at(-40, (9, 2)),
        by: "person-0003",
        deed: Deed::Withdraw(request(2)),
    };
    let decided = DECISIONS
        .iter()
        .map(|(number, asked, by, outcome, reasons, day)| Entry {
            at: days.at(*day, (15, 0)),
            by,
            deed: Deed::Decide(
                (request(*asked), diary::id(0x1700 + number)),
                NewDecision {
                    office_appointment_id: None,
                    outcome: *outcome,
                    reasons: (*reasons).to_owned(),
                    conditions: None,
                    no_conflict_of_interest: true,
                },
            ),
        });
    let recorded = Entry {
        at: days.at(-11, (15, 0)),
        by: HR_ADMINISTRATOR,
        deed: Deed::Record(
            request(8),
            NewRecordedDecision {
                decided_by: "Kommunstyrelsens ordförande".to_owned(),
                capacity: "Ordförande".to_owned(),
                decided_at: days.at(-12, (14, 0)),
                outcome: Outcome::Approved,
                reasons: "Ledningsgruppen behöver en dag utan avbrott.".to_owned(),
                document_reference: "KS 118-2".to_owned(),
            },
        ),
    };
    asked.chain(decided).chain([withdrawn, recorded]).collect()
}
