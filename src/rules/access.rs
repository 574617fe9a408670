//! Who may do what: the table of roles and rights, as one function.
//!
//! Roles and units come from the caller's token, offices from the appointments in force today, scopes
//! from an integration's credential; nothing else gives a right. [`may`] judges one thing, [`reach`]
//! says the same of a list, as data for its SQL; both are made of the same few sentences, so that a
//! list never shows what a single read refuses.
//!
//! Access is only the first question. *Which* office decides is `authority`'s, whether the
//! event is ready for it [`super::lifecycle`]'s.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::lifecycle::{EventStatus, Transition, transition};

/// What a token makes of a person. Everyone is an employee, with or without the role.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Reads what is not a draft, and what they are responsible for.
    Employee,
    /// Plans events for exactly the units listed.
    Planner,
    /// Plans events for the units listed and those below them.
    UnitManager,
    /// Administers the whole group; never decides an exception.
    HrAdministrator,
    /// Reads everything but the change feed, and disposes.
    Archivist,
    /// Reads everything.
    Auditor,
}

/// What an integration's credential allows it; an integration has scopes instead of roles.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
pub enum Scope {
    /// Reads events, their planning, requests and follow-ups.
    #[serde(rename = "events:read")]
    EventsRead,
    /// Plans: makes and changes events, answers and follow-ups, and changes the status of events.
    #[serde(rename = "events:write")]
    EventsWrite,
    /// Asks for exceptions and withdraws requests, for a person.
    #[serde(rename = "exceptions:write")]
    ExceptionsWrite,
    /// Writes the entries of follow-ups, for a person.
    #[serde(rename = "follow-ups:write")]
    FollowUpsWrite,
    /// Reads statistics, follow-up status and decision reports.
    #[serde(rename = "reports:read")]
    ReportsRead,
    /// Reads and writes units, people, appointments, goals, venues and contracts.
    #[serde(rename = "organisation:write")]
    OrganisationWrite,
    /// Imports rows by external id.
    #[serde(rename = "imports:write")]
    ImportsWrite,
    /// Follows the change feed, as far as its other scopes read.
    #[serde(rename = "changes:read")]
    ChangesRead,
    /// Reads the audit trail.
    #[serde(rename = "audit:read")]
    AuditRead,
}

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asker {
    Person {
        person_ref: String,
        roles: BTreeSet<Role>,
        /// The token's one list of units, for all roles.
        units: BTreeSet<Uuid>,
        /// The units whose director, head or CEO the person is today, by appointment.
        office_units: BTreeSet<Uuid>,
    },
    Integration {
        scopes: BTreeSet<Scope>,
        /// The units that the scopes reach, with those below them; none: the whole group.
        units: Option<BTreeSet<Uuid>>,
    },
}

/// A unit and all above it, the root first and the unit itself last.
pub type Chain = Vec<Uuid>;

/// What access needs to know of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFacts {
    pub status: EventStatus,
    /// One chain per organising unit; any one of them gives access.
    pub organisers: Vec<Chain>,
    /// The `personRef` of the event's responsible person.
    pub responsible_person: String,
}

/// The kinds of list that are cut to what the caller may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reading {
    /// Events that are not drafts, and lessons.
    Published,
    /// Drafts, and the answers, requests and follow-ups of any event.
    Planning,
    /// Follow-up status, summary, statistics.
    Reports,
    /// The audit trail.
    Audit,
}

/// What is done, with the facts that decide whether it may be.
///
/// Persons are `personRef`s. An integration that names `onBehalfOf` is judged twice: as itself, and
/// as that person.
#[derive(Debug, Clone, Copy)]
pub enum Action<'a> {
    /// A list, with no more in it than [`reach`] says.
    List(Reading),

    /// The event itself.
    ReadEvent(&'a EventFacts),
    /// Its answers, compliance, baselines, status log, requests and list of follow-ups.
    ReadPlanning(&'a EventFacts),
    /// One follow-up and its entries.
    ReadFollowUp {
        event: &'a EventFacts,
        responsible_person: &'a str,
    },

    CreateEvent {
        organisers: &'a [Chain],
    },
    /// The event's own properties: at least one organiser must be within reach before and after.
    EditEvent {
        event: &'a EventFacts,
        organisers_after: &'a [Chain],
    },
    /// Its planning answers, and planning, changing and cancelling its follow-ups.
    EditPlanning(&'a EventFacts),
    ChangeStatus {
        event: &'a EventFacts,
        to: EventStatus,
    },

    AskException(&'a EventFacts),
    WithdrawException {
        event: &'a EventFacts,
        requester: &'a str,
    },
    /// Decide, or revoke: open to the offices at or above an organiser, of which
    /// `authority` then says whether it is theirs to decide.
    DecideException(&'a EventFacts),
    /// Mark delegated decisions as reported to a board.
    ReportDecisions,
    /// Read what was reported to a board.
    ReadDecisionReport,
    /// Record a decision taken elsewhere.
    RecordDecision(&'a EventFacts),

    /// Write an entry, or void one. An HR administrator does so on behalf of someone, and the entry
    /// says so.
    LogFollowUp {
        event: &'a EventFacts,
        responsible_person: &'a str,
    },
    WaiveFollowUp {
        event: &'a EventFacts,
        responsible_person: &'a str,
    },

    /// Units, people, appointments, business goals, venues, contracts and guideline versions.
    ReadOrganisation,
    WriteOrganisation,
    /// Without owner and supplier, which are [`Action::WriteOrganisation`].
    CreateVenue,
    /// The name only; `created_by` is who created the venue.
    RenameVenue {
        created_by: &'a str,
    },

    /// Webhook subscriptions and API clients.
    ManageIntegrations,
    Import,
    /// The change feed, each change filtered as the resource it is about.
    ReadChanges,
    Dispose,
}

/// May it be done?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Allowed,
    /// The caller may see it but not do this: 403.
    Forbidden,
    /// The caller may not know that it exists: 404.
    Hidden,
}

/// The part of all events that a list may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    Everything,
    /// The events with an organiser among `units`, or among `subtrees` or below, or whose responsible
    /// person is `responsible`.
    Part {
        units: BTreeSet<Uuid>,
        subtrees: BTreeSet<Uuid>,
        responsible: Option<String>,
    },
}

impl Reach {
    /// Whether the list can hold nothing at all, so that asking for it is refused.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Everything => false,
            Self::Part {
                units,
                subtrees,
                responsible,
            } => units.is_empty() && subtrees.is_empty() && responsible.is_none(),
        }
    }

    /// Whether the list shows this event; its SQL says the same once more.
    pub fn includes(&self, event: &EventFacts) -> bool {
        let is_responsible = match self {
            Self::Everything => true,
            Self::Part { responsible, .. } => {
                responsible.as_ref() == Some(&event.responsible_person)
            }
        };
        is_responsible || self.includes_units(&event.organisers)
    }

    /// Whether one of these units lies within it, whoever is responsible.
    fn includes_units(&self, organisers: &[Chain]) -> bool {
        match self {
            Self::Everything => true,
            Self::Part {
                units, subtrees, ..
            } => organisers.iter().any(|chain| {
                chain.last().is_some_and(|unit| units.contains(unit))
                    || chain.iter().any(|unit| subtrees.contains(unit))
            }),
        }
    }
}

/// What a list of this kind may show this caller. A list of events shows [`Reading::Published`] of
/// those that are not drafts and [`Reading::Planning`] of the drafts.
pub fn reach(asker: &Asker, reading: Reading) -> Reach {
    let row = match reading {
        Reading::Published => READ_PUBLISHED,
        Reading::Planning => READ_PLANNING,
        Reading::Reports => READ_REPORTS,
        Reading::Audit => READ_AUDIT,
    };
    row.reach(asker)
}

/// May this caller do this?
pub fn may(asker: &Asker, action: Action) -> Access {
    match action {
        Action::List(reading) => open(!reach(asker, reading).is_empty()),

        Action::ReadEvent(event) => of_event(asker, event, reads(asker, event)),
        Action::ReadPlanning(event) => of_event(asker, event, READ_PLANNING.covers(asker, event)),
        Action::ReadFollowUp {
            event,
            responsible_person,
        } => of_follow_up(
            asker,
            event,
            responsible_person,
            READ_PLANNING.covers(asker, event) || asker.is_person(responsible_person),
        ),

        Action::CreateEvent { organisers } => open(WORK.covers_units(asker, organisers)),
        Action::EditEvent {
            event,
            organisers_after,
        } => of_event(
            asker,
            event,
            WORK.covers(asker, event) && WORK.covers_units(asker, organisers_after),
        ),
        Action::EditPlanning(event) => of_event(asker, event, WORK.covers(asker, event)),
        Action::ChangeStatus { event, to } => {
            let row = match transition(event.status, to) {
                Some(Transition::Hold) => HOLD,
                Some(Transition::HoldUnplanned | Transition::Reopen) => OVERRULE,
                _ => WORK,
            };
            of_event(asker, event, row.covers(asker, event))
        }

        Action::AskException(event) => of_event(asker, event, ASK_EXCEPTION.covers(asker, event)),
        Action::WithdrawException { event, requester } => of_event(
            asker,
            event,
            ASK_EXCEPTION.covers(asker, event)
                && (asker.is_person(requester) || asker.is_integration()),
        ),
        Action::DecideException(event) => of_event(
            asker,
            event,
            DECIDE_EXCEPTION.covers(asker, event) && !asker.has_role(Role::HrAdministrator),
        ),
        Action::RecordDecision(event) => of_event(asker, event, OVERRULE.covers(asker, event)),

        Action::LogFollowUp {
            event,
            responsible_person,
        } => of_follow_up(
            asker,
            event,
            responsible_person,
            LOG_FOLLOW_UP.covers_units(asker, &event.organisers)
                || asker.is_person(responsible_person),
        ),
        Action::WaiveFollowUp {
            event,
            responsible_person,
        } => of_follow_up(
            asker,
            event,
            responsible_person,
            OVERRULE.covers(asker, event),
        ),

        Action::ReportDecisions => open(OVERRULE.is_open_to(asker)),
        Action::ReadDecisionReport => open(READ_DECISION_REPORT.is_open_to(asker)),

        Action::ReadOrganisation => open(READ_ORGANISATION.is_open_to(asker)),
        Action::WriteOrganisation => open(WRITE_ORGANISATION.is_open_to(asker)),
        Action::CreateVenue => open(CREATE_VENUE.is_open_to(asker)),
        Action::RenameVenue { created_by } => open(
            WRITE_ORGANISATION.is_open_to(asker)
                || CREATE_VENUE.is_open_to(asker) && asker.is_person(created_by),
        ),

        Action::ManageIntegrations => open(MANAGE_INTEGRATIONS.is_open_to(asker)),
        Action::Import => open(IMPORT.is_open_to(asker)),
        Action::ReadChanges => open(READ_CHANGES.is_open_to(asker)),
        Action::Dispose => open(DISPOSE.is_open_to(asker)),
    }
}

/// May this caller write an entry only as an HR administrator, and so on someone's behalf?
pub fn logs_only_as_hr(asker: &Asker, event: &EventFacts, responsible_person: &str) -> bool {
    let own = Row {
        ticked: &[],
        ..LOG_FOLLOW_UP
    };
    asker.has_role(Role::HrAdministrator)
        && !asker.is_person(responsible_person)
        && !own.covers_units(asker, &event.organisers)
}

/// What everyone may know of is refused openly.
fn open(allowed: bool) -> Access {
    if allowed {
        Access::Allowed
    } else {
        Access::Forbidden
    }
}

/// What is part of an event is refused openly to those who may know of the event.
fn of_event(asker: &Asker, event: &EventFacts, allowed: bool) -> Access {
    if allowed || reads(asker, event) || WORK.covers(asker, event) {
        open(allowed)
    } else {
        Access::Hidden
    }
}

/// A follow-up is known to its responsible person too, be the event a draft.
fn of_follow_up(asker: &Asker, event: &EventFacts, responsible: &str, allowed: bool) -> Access {
    if asker.is_person(responsible) {
        open(allowed)
    } else {
        of_event(asker, event, allowed)
    }
}

fn reads(asker: &Asker, event: &EventFacts) -> bool {
    match event.status {
        EventStatus::Draft => READ_PLANNING.covers(asker, event),
        _ => READ_PUBLISHED.covers(asker, event),
    }
}

/// A row of the table: to whom it gives what.
struct Row {
    /// The roles with ✓, which ignore units.
    ticked: &'static [Role],
    /// A planner, for exactly the listed units.
    planner: bool,
    /// A unit manager, for the listed units and below.
    unit_manager: bool,
    /// The holder of an office, for its unit and below.
    office_holder: bool,
    /// The event's responsible person.
    responsible: bool,
    scope: Option<Scope>,
}

const NOBODY: Row = Row {
    ticked: &[],
    planner: false,
    unit_manager: false,
    office_holder: false,
    responsible: false,
    scope: None,
};

const READ_PUBLISHED: Row = Row {
    ticked: &[Role::Employee],
    scope: Some(Scope::EventsRead),
    ..NOBODY
};
const READ_PLANNING: Row = Row {
    ticked: &[Role::HrAdministrator, Role::Archivist, Role::Auditor],
    planner: true,
    unit_manager: true,
    office_holder: true,
    responsible: true,
    scope: Some(Scope::EventsRead),
};
/// Create and edit events, answers and follow-ups; change status.
const WORK: Row = Row {
    ticked: &[Role::HrAdministrator],
    planner: true,
    unit_manager: true,
    office_holder: true,
    responsible: false,
    scope: Some(Scope::EventsWrite),
};
const HOLD: Row = Row {
    responsible: true,
    ..WORK
};
/// Reopen, hold a draft, waive a follow-up, record a decision taken elsewhere.
const OVERRULE: Row = Row {
    ticked: &[Role::HrAdministrator],
    ..NOBODY
};
const ASK_EXCEPTION: Row = Row {
    scope: Some(Scope::ExceptionsWrite),
    ..WORK
};
const DECIDE_EXCEPTION: Row = Row {
    office_holder: true,
    ..NOBODY
};
/// And the responsible person, who is the follow-up's here and not the event's.
const LOG_FOLLOW_UP: Row = Row {
    ticked: &[Role::HrAdministrator],
    unit_manager: true,
    office_holder: true,
    scope: Some(Scope::FollowUpsWrite),
    ..NOBODY
};
const READ_REPORTS: Row = Row {
    responsible: false,
    scope: Some(Scope::ReportsRead),
    ..READ_PLANNING
};
const READ_DECISION_REPORT: Row = Row {
    ticked: &[Role::HrAdministrator, Role::Archivist, Role::Auditor],
    scope: Some(Scope::ReportsRead),
    ..NOBODY
};
const READ_ORGANISATION: Row = Row {
    ticked: &[Role::Employee],
    scope: Some(Scope::OrganisationWrite),
    ..NOBODY
};
const WRITE_ORGANISATION: Row = Row {
    ticked: &[Role::HrAdministrator],
    scope: Some(Scope::OrganisationWrite),
    ..NOBODY
};
const CREATE_VENUE: Row = Row {
    ticked: &[Role::Planner, Role::UnitManager, Role::HrAdministrator],
    office_holder: true,
    scope: Some(Scope::OrganisationWrite),
    ..NOBODY
};
const MANAGE_INTEGRATIONS: Row = OVERRULE;
const IMPORT: Row = Row {
    ticked: &[Role::HrAdministrator],
    scope: Some(Scope::ImportsWrite),
    ..NOBODY
};
const READ_CHANGES: Row = Row {
    ticked: &[Role::HrAdministrator, Role::Auditor],
    scope: Some(Scope::ChangesRead),
    ..NOBODY
};
const READ_AUDIT: Row = Row {
    ticked: &[Role::Archivist, Role::Auditor],
    office_holder: true,
    scope: Some(Scope::AuditRead),
    ..NOBODY
};
const DISPOSE: Row = Row {
    ticked: &[Role::Archivist],
    ..NOBODY
};

impl Row {
    /// What of all events the row gives this caller.
    fn reach(&self, asker: &Asker) -> Reach {
        let mut units = BTreeSet::new();
        let mut subtrees = BTreeSet::new();
        let mut responsible = None;
        match asker {
            Asker::Integration { scopes, units } => {
                if self.scope.is_some_and(|scope| scopes.contains(&scope)) {
                    let Some(units) = units else {
                        return Reach::Everything;
                    };
                    subtrees.extend(units);
                }
            }
            Asker::Person {
                person_ref,
                units: own,
                office_units,
                ..
            } => {
                if self.ticked.iter().any(|role| asker.has_role(*role)) {
                    return Reach::Everything;
                }
                if self.planner && asker.has_role(Role::Planner) {
                    units.extend(own);
                }
                if self.unit_manager && asker.has_role(Role::UnitManager) {
                    subtrees.extend(own);
                }
                if self.office_holder {
                    subtrees.extend(office_units);
                }
                if self.responsible {
                    responsible = Some(person_ref.clone());
                }
            }
        }
        Reach::Part {
            units,
            subtrees,
            responsible,
        }
    }

    fn covers(&self, asker: &Asker, event: &EventFacts) -> bool {
        self.reach(asker).includes(event)
    }

    fn covers_units(&self, asker: &Asker, organisers: &[Chain]) -> bool {
        self.reach(asker).includes_units(organisers)
    }

    /// Of what belongs to no event: whether the row gives this caller anything.
    fn is_open_to(&self, asker: &Asker) -> bool {
        !self.reach(asker).is_empty()
    }
}

impl Asker {
    fn has_role(&self, role: Role) -> bool {
        match self {
            Self::Person { roles, .. } => role == Role::Employee || roles.contains(&role),
            Self::Integration { .. } => false,
        }
    }

    fn is_person(&self, reference: &str) -> bool {
        matches!(self, Self::Person { person_ref, .. } if person_ref == reference)
    }

    fn is_integration(&self) -> bool {
        matches!(self, Self::Integration { .. })
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::subsequence};
    use serde_json::json;

    use super::*;

    const ASKER: &str = "person-0001";
    const OTHER: &str = "person-0002";

    // The municipality, two departments, and units below the first.
    const MUNICIPALITY: Uuid = Uuid::from_u128(1);
    const DEPARTMENT: Uuid = Uuid::from_u128(2);
    const OTHER_DEPARTMENT: Uuid = Uuid::from_u128(3);
    /// The unit that every asker here lists, and whose office the office holder holds.
    const UNIT: Uuid = Uuid::from_u128(4);
    const BELOW: Uuid = Uuid::from_u128(5);
    const UNITS: [Uuid; 5] = [MUNICIPALITY, DEPARTMENT, OTHER_DEPARTMENT, UNIT, BELOW];

    fn chain(unit: Uuid) -> Chain {
        let above = match unit {
            BELOW => chain(UNIT),
            UNIT => chain(DEPARTMENT),
            DEPARTMENT | OTHER_DEPARTMENT => chain(MUNICIPALITY),
            _ => vec![],
        };
        [above, vec![unit]].concat()
    }

    fn person(roles: &[Role], units: &[Uuid], office_units: &[Uuid]) -> Asker {
        Asker::Person {
            person_ref: ASKER.to_owned(),
            roles: roles.iter().copied().collect(),
            units: units.iter().copied().collect(),
            office_units: office_units.iter().copied().collect(),
        }
    }

    /// The columns of the table, each with `UNIT` as its own.
    fn columns() -> [(&'static str, Asker); 7] {
        let with = |role| person(&[role], &[UNIT], &[]);
        [
            ("employee", with(Role::Employee)),
            ("planner", with(Role::Planner)),
            ("unit manager", with(Role::UnitManager)),
            ("office holder", person(&[], &[], &[UNIT])),
            ("HR administrator", with(Role::HrAdministrator)),
            ("archivist", with(Role::Archivist)),
            ("auditor", with(Role::Auditor)),
        ]
    }

    fn event(status: EventStatus, unit: Uuid, responsible_person: &str) -> EventFacts {
        EventFacts {
            status,
            organisers: vec![chain(unit)],
            responsible_person: responsible_person.to_owned(),
        }
    }

    /// The six letters of a cell: the event's organiser is the asker's own unit, one below it, the one
    /// above it, another; another, and the asker is responsible for the event; another, and the asker
    /// is responsible for the follow-up.
    fn relations(status: EventStatus) -> [(EventFacts, &'static str); 6] {
        [
            (event(status, UNIT, OTHER), OTHER),
            (event(status, BELOW, OTHER), OTHER),
            (event(status, DEPARTMENT, OTHER), OTHER),
            (event(status, OTHER_DEPARTMENT, OTHER), OTHER),
            (event(status, OTHER_DEPARTMENT, ASKER), OTHER),
            (event(status, OTHER_DEPARTMENT, OTHER), ASKER),
        ]
    }

    fn letter(access: Access) -> char {
        match access {
            Access::Allowed => 'A',
            Access::Forbidden => 'F',
            Access::Hidden => 'H',
        }
    }

    /// Every action on an event, by the name it has in the tables. The requester is the asker.
    fn on_event<'a>(name: &str, event: &'a EventFacts, follow_ups_person: &'a str) -> Action<'a> {
        use EventStatus::{Cancelled, Closed, Confirmed, Draft, Held};
        let to = |to| Action::ChangeStatus { event, to };
        match name {
            "read-event" => Action::ReadEvent(event),
            "read-planning" => Action::ReadPlanning(event),
            "read-follow-up" => Action::ReadFollowUp {
                event,
                responsible_person: follow_ups_person,
            },
            "edit-event" => Action::EditEvent {
                event,
                organisers_after: &event.organisers,
            },
            "edit-planning" => Action::EditPlanning(event),
            "confirm" => to(Confirmed),
            "replan" => to(Draft),
            "hold" | "hold-unplanned" | "reopen" => to(Held),
            "close" => to(Closed),
            "cancel" => to(Cancelled),
            "ask-exception" => Action::AskException(event),
            "withdraw-exception" => Action::WithdrawException {
                event,
                requester: ASKER,
            },
            "decide-exception" => Action::DecideException(event),
            "record-decision" => Action::RecordDecision(event),
            "log-follow-up" => Action::LogFollowUp {
                event,
                responsible_person: follow_ups_person,
            },
            "waive-follow-up" => Action::WaiveFollowUp {
                event,
                responsible_person: follow_ups_person,
            },
            other => panic!("no such action: {other}"),
        }
    }

    fn status(name: &str) -> EventStatus {
        serde_json::from_value(json!(name)).expect("a status")
    }

    /// Section 7 by hand: A allowed, F forbidden (403), H hidden (404); the letters of a cell are the
    /// relations in their order.
    const EVENT_TABLE: &str = "
        action              status     employee  planner  manager  office   HR       archivist auditor
        read-event          draft      HHHHAH    AHHHAH   AAHHAH   AAHHAH   AAAAAA   AAAAAA    AAAAAA
        read-event          confirmed  AAAAAA    AAAAAA   AAAAAA   AAAAAA   AAAAAA   AAAAAA    AAAAAA
        read-event          held       AAAAAA    AAAAAA   AAAAAA   AAAAAA   AAAAAA   AAAAAA    AAAAAA
        read-event          closed     AAAAAA    AAAAAA   AAAAAA   AAAAAA   AAAAAA   AAAAAA    AAAAAA
        read-event          cancelled  AAAAAA    AAAAAA   AAAAAA   AAAAAA   AAAAAA   AAAAAA    AAAAAA
        read-planning       draft      HHHHAH    AHHHAH   AAHHAH   AAHHAH   AAAAAA   AAAAAA    AAAAAA
        read-planning       confirmed  FFFFAF    AFFFAF   AAFFAF   AAFFAF   AAAAAA   AAAAAA    AAAAAA
        read-follow-up      draft      HHHHAA    AHHHAA   AAHHAA   AAHHAA   AAAAAA   AAAAAA    AAAAAA
        read-follow-up      held       FFFFAA    AFFFAA   AAFFAA   AAFFAA   AAAAAA   AAAAAA    AAAAAA
        edit-event          draft      HHHHFH    AHHHFH   AAHHFH   AAHHFH   AAAAAA   FFFFFF    FFFFFF
        edit-event          confirmed  FFFFFF    AFFFFF   AAFFFF   AAFFFF   AAAAAA   FFFFFF    FFFFFF
        edit-planning       draft      HHHHFH    AHHHFH   AAHHFH   AAHHFH   AAAAAA   FFFFFF    FFFFFF
        edit-planning       held       FFFFFF    AFFFFF   AAFFFF   AAFFFF   AAAAAA   FFFFFF    FFFFFF
        confirm             draft      HHHHFH    AHHHFH   AAHHFH   AAHHFH   AAAAAA   FFFFFF    FFFFFF
        replan              confirmed  FFFFFF    AFFFFF   AAFFFF   AAFFFF   AAAAAA   FFFFFF    FFFFFF
        hold                confirmed  FFFFAF    AFFFAF   AAFFAF   AAFFAF   AAAAAA   FFFFAF    FFFFAF
        hold-unplanned      draft      HHHHFH    FHHHFH   FFHHFH   FFHHFH   AAAAAA   FFFFFF    FFFFFF
        close               held       FFFFFF    AFFFFF   AAFFFF   AAFFFF   AAAAAA   FFFFFF    FFFFFF
        reopen              closed     FFFFFF    FFFFFF   FFFFFF   FFFFFF   AAAAAA   FFFFFF    FFFFFF
        cancel              draft      HHHHFH    AHHHFH   AAHHFH   AAHHFH   AAAAAA   FFFFFF    FFFFFF
        cancel              confirmed  FFFFFF    AFFFFF   AAFFFF   AAFFFF   AAAAAA   FFFFFF    FFFFFF
        cancel              held       FFFFFF    AFFFFF   AAFFFF   AAFFFF   AAAAAA   FFFFFF    FFFFFF
        ask-exception       draft      HHHHFH    AHHHFH   AAHHFH   AAHHFH   AAAAAA   FFFFFF    FFFFFF
        ask-exception       confirmed  FFFFFF    AFFFFF   AAFFFF   AAFFFF   AAAAAA   FFFFFF    FFFFFF
        withdraw-exception  draft      HHHHFH    AHHHFH   AAHHFH   AAHHFH   AAAAAA   FFFFFF    FFFFFF
        decide-exception    draft      HHHHFH    FHHHFH   FFHHFH   AAHHFH   FFFFFF   FFFFFF    FFFFFF
        decide-exception    confirmed  FFFFFF    FFFFFF   FFFFFF   AAFFFF   FFFFFF   FFFFFF    FFFFFF
        record-decision     draft      HHHHFH    FHHHFH   FFHHFH   FFHHFH   AAAAAA   FFFFFF    FFFFFF
        record-decision     confirmed  FFFFFF    FFFFFF   FFFFFF   FFFFFF   AAAAAA   FFFFFF    FFFFFF
        log-follow-up       draft      HHHHFA    FHHHFA   AAHHFA   AAHHFA   AAAAAA   FFFFFA    FFFFFA
        log-follow-up       held       FFFFFA    FFFFFA   AAFFFA   AAFFFA   AAAAAA   FFFFFA    FFFFFA
        waive-follow-up     draft      HHHHFF    FHHHFF   FFHHFF   FFHHFF   AAAAAA   FFFFFF    FFFFFF
        waive-follow-up     held       FFFFFF    FFFFFF   FFFFFF   FFFFFF   AAAAAA   FFFFFF    FFFFFF
    ";

    #[test]
    fn every_cell_about_an_event_holds() {
        for row in EVENT_TABLE.trim().lines().skip(1) {
            let words: Vec<&str> = row.split_whitespace().collect();
            let [action, in_status, cells @ ..] = &words[..] else {
                panic!("an action, a status and cells: {row}");
            };
            assert_eq!(cells.len(), columns().len(), "{row}");
            for (cell, (role, asker)) in cells.iter().zip(columns()) {
                let found: String = relations(status(in_status))
                    .iter()
                    .map(|(event, follow_ups_person)| {
                        letter(may(&asker, on_event(action, event, follow_ups_person)))
                    })
                    .collect();
                assert_eq!(&found, cell, "{role}: {action}, {in_status}");
            }
        }
    }

    /// The rows without an event; a venue is of the asker's own making, or of someone else's.
    const OTHER_TABLE: &str = "
        action              employee planner manager office HR archivist auditor
        list-published      A        A       A       A      A  A         A
        list-planning       A        A       A       A      A  A         A
        list-reports        F        A       A       A      A  A         A
        list-audit          F        F       F       A      F  A         A
        read-organisation   A        A       A       A      A  A         A
        write-organisation  F        F       F       F      A  F         F
        create-venue        F        A       A       A      A  F         F
        rename-own-venue    F        A       A       A      A  F         F
        rename-other-venue  F        F       F       F      A  F         F
        manage-integrations F        F       F       F      A  F         F
        import              F        F       F       F      A  F         F
        read-changes        F        F       F       F      A  F         A
        dispose             F        F       F       F      F  A         F
    ";

    fn elsewhere(name: &str) -> Action<'static> {
        match name {
            "list-published" => Action::List(Reading::Published),
            "list-planning" => Action::List(Reading::Planning),
            "list-reports" => Action::List(Reading::Reports),
            "list-audit" => Action::List(Reading::Audit),
            "read-organisation" => Action::ReadOrganisation,
            "write-organisation" => Action::WriteOrganisation,
            "create-venue" => Action::CreateVenue,
            "rename-own-venue" => Action::RenameVenue { created_by: ASKER },
            "rename-other-venue" => Action::RenameVenue { created_by: OTHER },
            "manage-integrations" => Action::ManageIntegrations,
            "import" => Action::Import,
            "read-changes" => Action::ReadChanges,
            "dispose" => Action::Dispose,
            other => panic!("no such action: {other}"),
        }
    }

    #[test]
    fn every_cell_without_an_event_holds() {
        for row in OTHER_TABLE.trim().lines().skip(1) {
            let words: Vec<&str> = row.split_whitespace().collect();
            let [action, cells @ ..] = &words[..] else {
                panic!("an action and cells: {row}");
            };
            assert_eq!(cells.len(), columns().len(), "{row}");
            for (cell, (role, asker)) in cells.iter().zip(columns()) {
                let found = letter(may(&asker, elsewhere(action))).to_string();
                assert_eq!(&found, cell, "{role}: {action}");
            }
        }
    }

    /// Where an event may be organised: own unit, below, above, another, and own with another.
    #[test]
    fn an_event_is_created_and_left_with_an_organiser_within_reach() {
        let choices = [
            vec![chain(UNIT)],
            vec![chain(BELOW)],
            vec![chain(DEPARTMENT)],
            vec![chain(OTHER_DEPARTMENT)],
            vec![chain(OTHER_DEPARTMENT), chain(UNIT)],
            vec![],
        ];
        for ((role, asker), cell) in columns().iter().zip([
            "FFFFFF", "AFFFAF", "AAFFAF", "AAFFAF", "AAAAAA", "FFFFFF", "FFFFFF",
        ]) {
            let created: String = choices
                .iter()
                .map(|organisers| letter(may(asker, Action::CreateEvent { organisers })))
                .collect();
            assert_eq!(created, cell, "{role} creates");

            let event = event(EventStatus::Confirmed, UNIT, OTHER);
            let moved: String = choices
                .iter()
                .map(|organisers_after| {
                    let event = &event;
                    letter(may(
                        asker,
                        Action::EditEvent {
                            event,
                            organisers_after,
                        },
                    ))
                })
                .collect();
            assert_eq!(moved, cell, "{role} moves");
        }
    }

    #[test]
    fn only_the_requester_withdraws() {
        let event = event(EventStatus::Draft, UNIT, OTHER);
        for (role, asker) in columns() {
            let withdraw = Action::WithdrawException {
                event: &event,
                requester: OTHER,
            };
            assert_ne!(may(&asker, withdraw), Access::Allowed, "{role}");
        }
    }

    #[test]
    fn an_hr_administrator_never_decides_even_as_the_holder_of_an_office() {
        let event = event(EventStatus::Draft, UNIT, OTHER);
        let head = person(&[Role::HrAdministrator], &[], &[UNIT]);
        assert_eq!(
            may(&head, Action::DecideException(&event)),
            Access::Forbidden
        );
    }

    #[test]
    fn a_step_that_does_not_exist_is_refused_as_any_other_change() {
        let event = event(EventStatus::Cancelled, UNIT, OTHER);
        let to_confirmed = Action::ChangeStatus {
            event: &event,
            to: EventStatus::Confirmed,
        };
        let planner = person(&[Role::Planner], &[UNIT], &[]);
        let employee = person(&[], &[UNIT], &[]);
        assert_eq!(may(&planner, to_confirmed), Access::Allowed);
        assert_eq!(may(&employee, to_confirmed), Access::Forbidden);
    }

    #[test]
    fn everyone_is_an_employee_and_a_list_of_units_alone_gives_nothing() {
        let nobody = person(&[], &UNITS, &[]);
        let employee = person(&[Role::Employee], &UNITS, &[]);
        for reading in [
            Reading::Published,
            Reading::Planning,
            Reading::Reports,
            Reading::Audit,
        ] {
            assert_eq!(reach(&nobody, reading), reach(&employee, reading));
        }
        assert!(reach(&nobody, Reading::Reports).is_empty());
    }

    /// Each right of an integration, by the one scope that gives it; `never` where none does.
    const SCOPE_TABLE: &str = "
        read-event           events:read
        read-planning        events:read
        read-follow-up       events:read
        edit-event           events:write
        edit-planning        events:write
        confirm              events:write
        cancel               events:write
        hold-unplanned       never
        ask-exception        exceptions:write
        withdraw-exception   exceptions:write
        decide-exception     never
        record-decision      never
        log-follow-up        follow-ups:write
        waive-follow-up      never
        list-published       events:read
        list-planning        events:read
        list-reports         reports:read
        list-audit           audit:read
        read-organisation    organisation:write
        write-organisation   organisation:write
        create-venue         organisation:write
        rename-other-venue   organisation:write
        manage-integrations  never
        import               imports:write
        read-changes         changes:read
        dispose              never
    ";

    const SCOPES: [(Scope, &str); 9] = [
        (Scope::EventsRead, "events:read"),
        (Scope::EventsWrite, "events:write"),
        (Scope::ExceptionsWrite, "exceptions:write"),
        (Scope::FollowUpsWrite, "follow-ups:write"),
        (Scope::ReportsRead, "reports:read"),
        (Scope::OrganisationWrite, "organisation:write"),
        (Scope::ImportsWrite, "imports:write"),
        (Scope::ChangesRead, "changes:read"),
        (Scope::AuditRead, "audit:read"),
    ];

    #[test]
    fn an_integration_may_what_its_scope_says_and_nothing_else() {
        let draft = event(EventStatus::Draft, UNIT, OTHER);
        for row in SCOPE_TABLE.trim().lines() {
            let words: Vec<&str> = row.split_whitespace().collect();
            let [name, needed] = words[..] else {
                panic!("an action and a scope: {row}");
            };
            let is_elsewhere = OTHER_TABLE.contains(&format!(" {name} "));
            for (scope, wire) in SCOPES {
                assert_eq!(json!(scope), wire);
                let asker = Asker::Integration {
                    scopes: [scope].into(),
                    units: None,
                };
                let action = match is_elsewhere {
                    true => elsewhere(name),
                    false => on_event(name, &draft, OTHER),
                };
                let knows = is_elsewhere || matches!(scope, Scope::EventsRead | Scope::EventsWrite);
                let expected = match (wire == needed, knows) {
                    (true, _) => Access::Allowed,
                    (false, true) => Access::Forbidden,
                    (false, false) => Access::Hidden,
                };
                assert_eq!(may(&asker, action), expected, "{wire}: {name}");
            }
        }
    }

    #[test]
    fn the_wire_speaks_camel_case() {
        assert_eq!(json!(Role::UnitManager), "unitManager");
        assert_eq!(json!(Role::HrAdministrator), "hrAdministrator");
    }

    fn any_asker() -> impl Strategy<Value = Asker> {
        use Role::{Archivist, Auditor, Employee, HrAdministrator, Planner, UnitManager};
        let roles = vec![
            Employee,
            Planner,
            UnitManager,
            HrAdministrator,
            Archivist,
            Auditor,
        ];
        let scopes: Vec<Scope> = SCOPES.iter().map(|(scope, _)| *scope).collect();
        prop_oneof![
            4 => (
                subsequence(roles, 0..=2),
                subsequence(UNITS.to_vec(), 0..=3),
                subsequence(UNITS.to_vec(), 0..=1),
            )
                .prop_map(|(roles, units, offices)| person(&roles, &units, &offices)),
            1 => (subsequence(scopes, 0..=3), prop::option::of(subsequence(UNITS.to_vec(), 0..=2)))
                .prop_map(|(scopes, units)| Asker::Integration {
                    scopes: scopes.into_iter().collect(),
                    units: units.map(|units| units.into_iter().collect()),
                }),
        ]
    }

    fn any_event() -> impl Strategy<Value = EventFacts> {
        (
            prop::sample::select(vec!["draft", "confirmed", "held", "closed", "cancelled"]),
            subsequence(UNITS.to_vec(), 1..=3),
            prop::bool::ANY,
        )
            .prop_map(|(in_status, organisers, own)| EventFacts {
                status: status(in_status),
                organisers: organisers.into_iter().map(chain).collect(),
                responsible_person: if own { ASKER } else { OTHER }.to_owned(),
            })
    }

    /// What a list's SQL does with a reach: units joined, subtrees walked down, persons compared.
    fn selects(reach: &Reach, event: &EventFacts) -> bool {
        let Reach::Part {
            units,
            subtrees,
            responsible,
        } = reach
        else {
            return true;
        };
        let mut within = units.clone();
        within.extend(
            UNITS
                .iter()
                .filter(|unit| chain(**unit).iter().any(|above| subtrees.contains(above))),
        );
        let organisers = event.organisers.iter().filter_map(|chain| chain.last());
        organisers.clone().any(|unit| within.contains(unit))
            || responsible.as_deref() == Some(event.responsible_person.as_str())
    }

    proptest! {
        #[test]
        fn a_list_shows_exactly_what_a_single_read_allows(
            asker in any_asker(), event in any_event(),
        ) {
            let planning = selects(&reach(&asker, Reading::Planning), &event);
            let listed = match event.status {
                EventStatus::Draft => planning,
                _ => selects(&reach(&asker, Reading::Published), &event),
            };
            let read = |action| may(&asker, action) == Access::Allowed;
            prop_assert_eq!(listed, read(Action::ReadEvent(&event)));
            prop_assert_eq!(planning, read(Action::ReadPlanning(&event)));
        }

        #[test]
        fn a_person_is_told_of_an_event_by_every_action_or_by_none(
            asker in any_asker(), event in any_event(),
        ) {
            prop_assume!(matches!(asker, Asker::Person { .. }));
            let hidden = |action| may(&asker, action) == Access::Hidden;
            let unseen = hidden(Action::ReadEvent(&event));
            for name in [
                "read-planning", "read-follow-up", "edit-event", "edit-planning", "confirm", "hold",
                "reopen", "cancel", "ask-exception", "withdraw-exception", "decide-exception",
                "record-decision", "log-follow-up", "waive-follow-up",
            ] {
                prop_assert_eq!(hidden(on_event(name, &event, OTHER)), unseen, "{}", name);
            }
        }
    }
}
