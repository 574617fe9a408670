//! Exceptions from the guideline (undantag): asked for by those who plan, decided by the right office (R07–R09).
//!
//! `submitted → approved | rejected | withdrawn`, `approved → revoked`; `lapsed` once the event has started undecided.
//! Who may decide is `rules::authority`'s, from the appointments in force at the moment of the decision. A request is stale while
//! the event is no longer what it was when it was asked for; then it covers nothing and cannot be decided (I4, I5).

pub mod handlers;
pub mod queries;
pub mod reports;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chrono::{DateTime, NaiveDate, Utc};
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::changes::{self, Change, Operation, ResourceType};
use crate::db::schema::{decisions, exception_request_details, recorded_decisions};
use crate::db::sql_types::AsJson;
use crate::error::{At, Code, Error, FieldError};
use crate::events::{Event, Organisers};
use crate::guideline::{self, Basis, Settings, Text};
use crate::http::call::Call;
use crate::http::json_text::name;
use crate::organisation::appointments::{self, Capacity, OfficeAppointment};
use crate::planning::Plan;
use crate::rules::Fault;
use crate::rules::access::{Action, Role};
use crate::rules::authority::{
    self, Denial, Difference, Holder, Office, OfficeType, Outcome, RequestFacts, Route, Snapshot,
    Verdict,
};
use crate::rules::calendar;
use crate::rules::lifecycle::{self, Editable};
use crate::rules::scope::UnitType;

crate::stored_as_text!(RequestStatus, Outcome, Basis);

/// Where a request is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum RequestStatus {
    /// Waiting for a decision.
    Submitted,
    /// Approved: covers its rules while it is not stale.
    Approved,
    /// Rejected, finally; a new request may refer to it.
    Rejected,
    /// Taken back by the requester, or with the event's cancellation.
    Withdrawn,
    /// Approved, and taken back by an office before the event.
    Revoked,
    /// Not decided before the event started.
    Lapsed,
}

/// A request as it is stored, and whether it is stale now.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = exception_request_details, check_for_backend(Pg))]
pub struct StoredRequest {
    pub id: Uuid,
    pub event_id: Uuid,
    pub revision: i32,
    pub rule_ids: Vec<String>,
    pub reason: String,
    pub alternatives_considered: String,
    pub addressee: OfficeType,
    pub decision_needed_by: NaiveDate,
    pub previous_request_id: Option<Uuid>,
    pub requested_by: String,
    pub status: RequestStatus,
    pub snapshot: AsJson<Snapshot>,
    pub first_start: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub stale: bool,
    pub event_title: String,
}

impl StoredRequest {
    /// Where it is in its life at this moment: what is still submitted when the event starts, as it was asked for, has lapsed.
    pub fn status_at(&self, now: DateTime<Utc>) -> RequestStatus {
        if authority::lapsed(
            self.status == RequestStatus::Submitted,
            self.first_start,
            now,
        ) {
            RequestStatus::Lapsed
        } else {
            self.status
        }
    }

    /// Only what is submitted or approved can be stale; what is over has nothing left to cover.
    fn is_stale_at(&self, now: DateTime<Utc>) -> bool {
        self.stale && self.status_at(now) != RequestStatus::Lapsed
    }
}

/// A request for an exception from rules of the guideline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExceptionRequest {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000001501")]
    pub id: Uuid,
    /// The event.
    #[schema(example = "0190a000-0000-7000-8000-000000001003")]
    pub event_id: Uuid,
    /// What the event is called.
    #[schema(example = "Personaldag för hemtjänsten")]
    pub event_title: String,
    /// Goes up by one with each change.
    #[schema(example = 1)]
    pub revision: i32,
    /// The rules it asks an exception from.
    #[schema(example = json!(["venueLadder"]))]
    pub rule_ids: Vec<String>,
    /// Why.
    #[schema(example = "Vi behöver en lokal med plats för 200, och ingen upphandlad har det.")]
    pub reason: String,
    /// What else was considered.
    #[schema(
        example = "Tjädernhuset tar 90. Två dagar i stället för en skulle kräva vikarier i två dagar."
    )]
    pub alternatives_considered: String,
    /// Whom it is put to; chooses the route.
    #[schema(example = "departmentHead")]
    pub addressee: OfficeType,
    /// The last day on which a decision helps (Stockholm).
    #[schema(example = "2026-09-25")]
    pub decision_needed_by: NaiveDate,
    /// The request that this one follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0190a000-0000-7000-8000-000000001502")]
    pub previous_request_id: Option<Uuid>,
    /// Who asks.
    #[schema(example = "person-0003")]
    pub requested_by: String,
    /// Where it is in its life.
    #[schema(example = "submitted")]
    pub status: RequestStatus,
    /// Is the event no longer what it was when this was asked for? Changing it back ends that.
    #[schema(example = false)]
    pub stale: bool,
    /// The event as it was when this was asked for, which is what an approval is about.
    pub snapshot: Snapshot,
    /// While it is submitted the approvals that it needs, with the decisions there are; by the version's setting one of the heads is enough.
    /// Afterwards the decisions that were taken.
    pub required_approvals: Vec<RequiredApproval>,
    /// May the municipal director decide it now, alone or instead of the heads?
    #[schema(example = true)]
    pub director_may_decide: bool,
    /// Can nobody in the service decide it? Then it is decided elsewhere and recorded, or has been.
    #[schema(example = false)]
    pub decided_elsewhere: bool,
    /// The decision taken elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_decision: Option<RecordedDecision>,
    /// When it was submitted.
    #[schema(example = "2026-09-03T08:00:00Z")]
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    #[schema(example = "2026-09-03T08:00:00Z")]
    pub updated_at: DateTime<Utc>,
}

/// An approval that a request needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequiredApproval {
    /// The office.
    #[schema(example = "departmentHead")]
    pub office: OfficeType,
    /// The unit whose office it is.
    #[schema(example = "0190a000-0000-7000-8000-000000000101")]
    pub unit_id: Uuid,
    /// Its decision, once it has decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
}

/// A request to submit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewExceptionRequest {
    /// The rules to be excepted from; each must have an open finding.
    #[schema(min_items = 1, max_items = 50, value_type = Vec<RuleId>, example = json!(["venueLadder"]))]
    pub rule_ids: Vec<String>,
    /// Why.
    #[schema(
        min_length = 1,
        max_length = 4000,
        pattern = r"\S",
        example = "Vi behöver en lokal med plats för 200, och ingen upphandlad har det."
    )]
    pub reason: String,
    /// What else was considered.
    #[schema(
        min_length = 1,
        max_length = 4000,
        pattern = r"\S",
        example = "Tjädernhuset tar 90. Två dagar i stället för en skulle kräva vikarier i två dagar."
    )]
    pub alternatives_considered: String,
    /// Whom it is put to: the municipal director alone, or the concerned heads and CEOs, one of whose kind must be concerned.
    #[schema(example = "departmentHead")]
    pub addressee: OfficeType,
    /// The last day on which a decision helps (Stockholm), not after the day of the first start.
    #[schema(example = "2026-09-25")]
    pub decision_needed_by: NaiveDate,
    /// The request that this one follows.
    #[schema(example = "0190a000-0000-7000-8000-000000001502")]
    pub previous_request_id: Option<Uuid>,
    /// Whose request it is: needed by an integration, refused from a person, who asks in their own name.
    #[schema(min_length = 1, max_length = 100, pattern = r"^\S+$")]
    pub on_behalf_of: Option<String>,
}

/// A request to take back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Withdrawal {
    /// The requester: needed by an integration, refused from a person, who withdraws in their own name.
    #[schema(min_length = 1, max_length = 100, pattern = r"^\S+$")]
    pub on_behalf_of: Option<String>,
}

/// The id of a rule: `question.<id>` or `venueLadder`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(
    min_length = 1,
    max_length = 100,
    pattern = r"^(venueLadder|question\.[A-Za-z][A-Za-z0-9]{0,63})$",
    example = "venueLadder"
)]
pub struct RuleId(pub String);

/// What an office decided. It never changes (I7).
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, Serialize, ToSchema)]
#[diesel(table_name = decisions, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000001701")]
    pub id: Uuid,
    /// The request.
    #[diesel(column_name = request_id)]
    #[schema(example = "0190a000-0000-7000-8000-000000001501")]
    pub exception_request_id: Uuid,
    /// The appointment by which the person held the office.
    #[schema(example = "0190a000-0000-7000-8000-000000000301")]
    pub office_appointment_id: Uuid,
    /// The office.
    #[diesel(column_name = office_type)]
    #[schema(example = "departmentHead")]
    pub office: OfficeType,
    /// The unit whose office it is.
    #[schema(example = "0190a000-0000-7000-8000-000000000101")]
    pub unit_id: Uuid,
    /// Who decided.
    #[schema(example = "person-0004")]
    pub person_ref: String,
    /// In which capacity.
    #[schema(example = "ordinary")]
    pub capacity: Capacity,
    /// Approved or rejected.
    #[schema(example = "approved")]
    pub outcome: Outcome,
    /// Why.
    #[schema(example = "Lokalerna räcker inte och resan blir kort.")]
    pub reasons: String,
    /// Under which conditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Samåkning ordnas.")]
    pub conditions: Option<String>,
    /// On what ground, by the guideline version's settings.
    #[schema(example = "execution")]
    pub basis: Basis,
    /// When.
    #[schema(example = "2026-09-10T08:00:00Z")]
    pub decided_at: DateTime<Utc>,
}

/// A decision to take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewDecision {
    /// By which appointment; needed by someone who holds several offices that may decide.
    #[schema(example = "0190a000-0000-7000-8000-000000000301")]
    pub office_appointment_id: Option<Uuid>,
    /// Approved or rejected.
    #[schema(example = "approved")]
    pub outcome: Outcome,
    /// Why.
    #[schema(
        min_length = 1,
        max_length = 4000,
        pattern = r"\S",
        example = "Lokalerna räcker inte och resan blir kort."
    )]
    pub reasons: String,
    /// Under which conditions.
    #[schema(
        min_length = 1,
        max_length = 4000,
        pattern = r"\S",
        example = "Samåkning ordnas."
    )]
    pub conditions: Option<String>,
    /// That there is no conflict of interest (jäv); only `true` is accepted.
    #[schema(example = true)]
    pub no_conflict_of_interest: bool,
}

/// A decision taken outside the service, where nobody in it may decide.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = recorded_decisions, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct RecordedDecision {
    /// Who decided: a board or a person, by function.
    #[schema(example = "Kommunstyrelsens ordförande")]
    pub decided_by: String,
    /// In which capacity.
    #[schema(example = "Ordförande")]
    pub capacity: String,
    /// When it was decided.
    #[schema(example = "2026-09-09T12:00:00Z")]
    pub decided_at: DateTime<Utc>,
    /// Approved or rejected.
    #[schema(example = "approved")]
    pub outcome: Outcome,
    /// Why.
    #[schema(example = "Dagen kan inte hållas i egna lokaler.")]
    pub reasons: String,
    /// Where the decision can be read.
    #[schema(example = "KS 2026/123-4")]
    pub document_reference: String,
    /// Who recorded it; recording is not deciding.
    #[schema(example = "person-0001")]
    pub recorded_by: String,
    /// When it was recorded.
    #[schema(example = "2026-09-10T08:00:00Z")]
    pub recorded_at: DateTime<Utc>,
}

/// A decision taken elsewhere, to record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewRecordedDecision {
    /// Who decided: a board or a person, by function.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"\S",
        example = "Kommunstyrelsens ordförande"
    )]
    pub decided_by: String,
    /// In which capacity.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"\S",
        example = "Ordförande"
    )]
    pub capacity: String,
    /// When it was decided: before now and before the first start.
    #[serde(deserialize_with = "crate::http::json_text::moment")]
    #[schema(example = "2026-09-09T14:00:00+02:00")]
    pub decided_at: DateTime<Utc>,
    /// Approved or rejected.
    #[schema(example = "approved")]
    pub outcome: Outcome,
    /// Why.
    #[schema(
        min_length = 1,
        max_length = 4000,
        pattern = r"\S",
        example = "Dagen kan inte hållas i egna lokaler."
    )]
    pub reasons: String,
    /// Where the decision can be read.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"\S",
        example = "KS 2026/123-4"
    )]
    pub document_reference: String,
}

/// Everything that authority over one event's requests is judged by, as it is at the moment.
pub struct Authority {
    organisers: Vec<Vec<(Uuid, UnitType)>>,
    appointments: Rc<[OfficeAppointment]>,
    settings: Settings,
    responsible_person: String,
}

impl Authority {
    /// Of an event, with the appointments in force today locked so that none ends meanwhile.
    pub fn for_decision(
        conn: &mut PgConnection,
        call: &Call,
        event: &Event,
    ) -> Result<Authority, Error> {
        let organisers = Organisers::find(conn, &event.organising_unit_ids)?;
        let appointments = appointments::queries::in_force_for_share(conn, call.today())?;
        Authority::of(conn, event, &organisers, appointments)
    }

    /// Of an event, only read.
    pub fn read(conn: &mut PgConnection, call: &Call, event: &Event) -> Result<Authority, Error> {
        let organisers = Organisers::read(conn, &event.organising_unit_ids)?;
        let appointments = appointments::queries::in_force(conn, call.today())?;
        Authority::of(conn, event, &organisers, appointments)
    }

    fn of(
        conn: &mut PgConnection,
        event: &Event,
        organisers: &Organisers,
        appointments: Vec<OfficeAppointment>,
    ) -> Result<Authority, Error> {
        let version = guideline::queries::find(conn, event.guideline_version_id)?;
        Ok(Authority {
            organisers: organisers.typed_chains(&event.organising_unit_ids),
            appointments: appointments.into(),
            settings: version.settings,
            responsible_person: event.responsible_person.clone(),
        })
    }

    /// Of each of several events, only read, with as many statements as for one.
    fn read_all(
        conn: &mut PgConnection,
        call: &Call,
        event_ids: &[Uuid],
    ) -> Result<BTreeMap<Uuid, Authority>, Error> {
        let subjects = queries::subjects(conn, event_ids)?;
        let unit_ids: BTreeSet<Uuid> = subjects
            .iter()
            .flat_map(|subject| subject.organising_unit_ids.iter().copied())
            .collect();
        let organisers = Organisers::read(conn, &Vec::from_iter(unit_ids))?;
        let version_ids: BTreeSet<Uuid> = subjects
            .iter()
            .map(|subject| subject.guideline_version_id)
            .collect();
        let settings = guideline::queries::settings(conn, &Vec::from_iter(version_ids))?;
        let appointments: Rc<[OfficeAppointment]> =
            appointments::queries::in_force(conn, call.today())?.into();
        subjects
            .into_iter()
            .map(|subject| {
                let settings = settings
                    .get(&subject.guideline_version_id)
                    .copied()
                    .ok_or_else(|| Error::internal("an event without its guideline version"))?;
                let authority = Authority {
                    organisers: organisers.typed_chains(&subject.organising_unit_ids),
                    appointments: appointments.clone(),
                    settings,
                    responsible_person: subject.responsible_person,
                };
                Ok((subject.id, authority))
            })
            .collect()
    }

    /// Asks the rules something about a request with these decisions.
    fn ask<T>(
        &self,
        requester: &str,
        addressee: OfficeType,
        decisions: &[Decision],
        question: impl FnOnce(&RequestFacts<'_>) -> T,
    ) -> T {
        let holders: Vec<Holder<'_>> = self
            .appointments
            .iter()
            .map(|held| Holder {
                appointment_id: held.id,
                office: Office {
                    office_type: held.office_type,
                    unit_id: held.unit_id,
                },
                person_ref: &held.person_ref,
            })
            .collect();
        let decided: Vec<(Office, Outcome)> = decisions
            .iter()
            .map(|decision| {
                (
                    Office {
                        office_type: decision.office,
                        unit_id: decision.unit_id,
                    },
                    decision.outcome,
                )
            })
            .collect();
        question(&RequestFacts {
            requester,
            responsible_person: &self.responsible_person,
            addressee,
            municipality: self
                .organisers
                .first()
                .and_then(|chain| chain.first())
                .map(|(id, _)| *id)
                .unwrap_or_default(),
            organisers: &self.organisers,
            holders: &holders,
            director_decides_for_companies: self.settings.director_decides_for_companies,
            require_all_heads: self.settings.require_all_heads,
            decisions: &decided,
        })
    }

    fn basis(&self, office: OfficeType) -> Basis {
        let basis = self.settings.decision_basis;
        match office {
            OfficeType::MunicipalDirector => basis.municipal_director,
            OfficeType::DepartmentHead => basis.department_head,
            OfficeType::ChiefExecutive => basis.chief_executive,
        }
    }
}

/// The request as it is shown: with the approvals that it needs at the moment.
pub fn show(
    conn: &mut PgConnection,
    call: &Call,
    stored: &StoredRequest,
    authority: &Authority,
) -> Result<ExceptionRequest, Error> {
    let decisions = queries::decisions(conn, stored.id)?;
    let recorded = queries::recorded_decision(conn, stored.id)?;
    Ok(shown(call, stored, authority, decisions, recorded))
}

/// Several requests as they are shown, with as many statements as for one.
pub fn show_all(
    conn: &mut PgConnection,
    call: &Call,
    stored: &[StoredRequest],
) -> Result<Vec<ExceptionRequest>, Error> {
    let of = Surroundings::read(conn, call, stored)?;
    stored
        .iter()
        .map(|request| {
            let authority = of.authority(request)?;
            let recorded = of.recorded.get(&request.id).cloned();
            Ok(shown(
                call,
                request,
                authority,
                of.decisions(request),
                recorded,
            ))
        })
        .collect()
}

/// Those of the open requests that the caller could decide now, and has not, by the rule that judges the decision.
pub fn awaiting(
    conn: &mut PgConnection,
    call: &Call,
    open: &[StoredRequest],
) -> Result<Vec<Uuid>, Error> {
    if never_decides(call) {
        return Ok(Vec::new());
    }
    let of = Surroundings::read(conn, call, open)?;
    let person = call.actor.name();
    let mut mine = Vec::new();
    for request in open.iter().filter(|request| !request.stale) {
        let may = of.authority(request)?.ask(
            &request.requested_by,
            request.addressee,
            &of.decisions(request),
            |facts| authority::may_decide(facts, person, None).map(drop),
        );
        if matches!(may, Ok(()) | Err(Denial::SeveralOffices { .. })) {
            mine.push(request.id);
        }
    }
    Ok(mine)
}

/// What several requests are shown and judged by, read together.
struct Surroundings {
    authorities: BTreeMap<Uuid, Authority>,
    decisions: BTreeMap<Uuid, Vec<Decision>>,
    recorded: BTreeMap<Uuid, RecordedDecision>,
}

impl Surroundings {
    fn read(
        conn: &mut PgConnection,
        call: &Call,
        requests: &[StoredRequest],
    ) -> Result<Surroundings, Error> {
        let ids: Vec<Uuid> = requests.iter().map(|request| request.id).collect();
        let events: BTreeSet<Uuid> = requests.iter().map(|request| request.event_id).collect();
        let mut decisions: BTreeMap<Uuid, Vec<Decision>> = BTreeMap::new();
        for decision in queries::decisions_of(conn, &ids)? {
            decisions
                .entry(decision.exception_request_id)
                .or_default()
                .push(decision);
        }
        Ok(Surroundings {
            authorities: Authority::read_all(conn, call, &Vec::from_iter(events))?,
            decisions,
            recorded: queries::recorded_of(conn, &ids)?,
        })
    }

    fn authority(&self, request: &StoredRequest) -> Result<&Authority, Error> {
        self.authorities
            .get(&request.event_id)
            .ok_or_else(|| Error::internal("a request without its event"))
    }

    fn decisions(&self, request: &StoredRequest) -> Vec<Decision> {
        self.decisions.get(&request.id).cloned().unwrap_or_default()
    }
}

fn shown(
    call: &Call,
    stored: &StoredRequest,
    authority: &Authority,
    decisions: Vec<Decision>,
    recorded_decision: Option<RecordedDecision>,
) -> ExceptionRequest {
    // what is over needs no approval: what was decided stands, whoever holds the offices today
    let route = (stored.status_at(call.now) == RequestStatus::Submitted).then(|| {
        authority.ask(
            &stored.requested_by,
            stored.addressee,
            &decisions,
            authority::route,
        )
    });
    let required = route.as_ref().map_or(&[][..], |route| &route.required);
    ExceptionRequest {
        id: stored.id,
        event_id: stored.event_id,
        event_title: stored.event_title.clone(),
        revision: stored.revision,
        rule_ids: stored.rule_ids.clone(),
        reason: stored.reason.clone(),
        alternatives_considered: stored.alternatives_considered.clone(),
        addressee: stored.addressee,
        decision_needed_by: stored.decision_needed_by,
        previous_request_id: stored.previous_request_id,
        requested_by: stored.requested_by.clone(),
        status: stored.status_at(call.now),
        stale: stored.is_stale_at(call.now),
        snapshot: stored.snapshot.0.clone(),
        required_approvals: approvals(required, decisions),
        director_may_decide: route.as_ref().is_some_and(Route::director_may_decide),
        decided_elsewhere: recorded_decision.is_some()
            || route.as_ref().is_some_and(Route::decided_elsewhere),
        recorded_decision,
        created_at: stored.created_at,
        updated_at: stored.updated_at,
    }
}

/// The offices that are required, and those that have decided without being required any more or instead.
fn approvals(required: &[Office], mut decisions: Vec<Decision>) -> Vec<RequiredApproval> {
    let mut approvals: Vec<RequiredApproval> = Vec::new();
    for office in required {
        let at = decisions.iter().position(|decision| {
            decision.office == office.office_type && decision.unit_id == office.unit_id
        });
        let decision = at.map(|at| decisions.remove(at));
        approvals.push(RequiredApproval {
            office: office.office_type,
            unit_id: office.unit_id,
            decision,
        });
    }
    let others = decisions.into_iter();
    approvals.extend(others.map(|decision| RequiredApproval {
        office: decision.office,
        unit_id: decision.unit_id,
        decision: Some(decision),
    }));
    approvals
}

/// The event and the request, both locked, in this order.
pub fn lock(conn: &mut PgConnection, id: Uuid) -> Result<(Event, StoredRequest), Error> {
    let event_id = queries::event_of(conn, id)?;
    let event = crate::events::queries::load_for_update(conn, event_id)?;
    let stored = queries::find_for_update(conn, id)?;
    Ok((event, stored))
}

/// Submits a request about an event, which is locked.
pub fn submit(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    event: &Event,
    new: &NewExceptionRequest,
) -> Result<ExceptionRequest, Error> {
    let mut seen = BTreeSet::new();
    if let Some(index) = new.rule_ids.iter().position(|rule| !seen.insert(rule)) {
        let detail = Text::new("Regeln står två gånger.", "The rule stands twice.");
        return Err(Error::faults(
            Code::InvalidBody,
            vec![Fault::new(
                format!("/ruleIds/{index}"),
                "repeated-item",
                detail,
            )],
        ));
    }
    if let Some(previous) = new.previous_request_id
        && !queries::is_of_event(conn, previous, event.id)?
    {
        return Err(Error::at_pointer(
            Code::UnknownExceptionRequest,
            "/previousRequestId",
        ));
    }
    if new.decision_needed_by > calendar::stockholm_date(event.first_start) {
        return Err(Error::at_pointer(Code::NeededTooLate, "/decisionNeededBy"));
    }
    crate::organisation::people::queries::exists(conn, call.author())?
        .then_some(())
        .ok_or(Error::new(Code::UnknownPerson))?;
    let authority = Authority::for_decision(conn, call, event)?;
    authority::check_addressee(new.addressee, &authority.organisers)
        .map_err(|_| Error::at_pointer(Code::AddresseeNotConcerned, "/addressee"))?;

    if lifecycle::editable(event.status) != Editable::Everything {
        return Err(Error::new(Code::NotEditableInStatus));
    }
    if call.now >= event.first_start {
        return Err(Error::new(Code::TooLate));
    }
    let findings = Plan::load(conn, event)?.findings();
    for (index, rule) in new.rule_ids.iter().enumerate() {
        match findings.iter().find(|finding| finding.rule_id == *rule) {
            None => {
                return Err(Error::at_pointer(
                    Code::UnknownRule,
                    format!("/ruleIds/{index}"),
                ));
            }
            Some(finding) if !finding.finding.is_open() => {
                return Err(Error::at_pointer(
                    Code::NoExceptionNeeded,
                    format!("/ruleIds/{index}"),
                ));
            }
            Some(_) => {}
        }
    }
    // what has lapsed, or is about another event than this has become, makes room for what is asked now
    for stored in queries::submitted_of_event_for_update(conn, event.id)? {
        if stored.status_at(call.now) == RequestStatus::Lapsed {
            set_status(conn, call, event, &stored, RequestStatus::Lapsed)?;
        } else if stored.stale
            && stored
                .rule_ids
                .iter()
                .any(|rule| new.rule_ids.contains(rule))
        {
            set_status(conn, call, event, &stored, RequestStatus::Withdrawn)?;
        }
    }

    queries::insert(conn, call, id, event, new)?;
    let stored = queries::find(conn, id)?;
    let shown = show(conn, call, &stored, &authority)?;
    append(conn, call, Operation::Create, None, &shown)?;
    Ok(shown)
}

/// Decides a request, which is locked with its event, by the office that the caller holds.
pub fn decide(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    (event, stored): (&Event, &StoredRequest),
    new: &NewDecision,
) -> Result<Decision, Error> {
    if !new.no_conflict_of_interest {
        return Err(Error::at_pointer(
            Code::ConflictOfInterest,
            "/noConflictOfInterest",
        ));
    }
    let authority = Authority::for_decision(conn, call, event)?;
    let decisions = queries::decisions(conn, stored.id)?;
    let before = show(conn, call, stored, &authority)?;
    let person = call.actor.name();
    let chosen = authority.ask(
        &stored.requested_by,
        stored.addressee,
        &decisions,
        |facts| {
            authority::may_decide(facts, person, new.office_appointment_id)
                .map(|held| (held.appointment_id, held.office))
        },
    );
    expect_open(conn, stored, &decisions)?;
    let (appointment_id, office) = chosen.map_err(|denial| denied(denial, &decisions))?;
    expect_in_time(call, event, stored)?;
    expect_unchanged(conn, stored)?;

    let appointment = authority
        .appointments
        .iter()
        .find(|held| held.id == appointment_id);
    let appointment =
        appointment.ok_or_else(|| Error::internal("an appointment that is not in force"))?;
    let decision = Decision {
        id,
        exception_request_id: stored.id,
        office_appointment_id: appointment.id,
        office: office.office_type,
        unit_id: office.unit_id,
        person_ref: person.to_owned(),
        capacity: appointment.capacity,
        outcome: new.outcome,
        reasons: new.reasons.clone(),
        conditions: new.conditions.clone(),
        basis: authority.basis(office.office_type),
        decided_at: call.now,
    };
    queries::insert_decision(conn, &decision)?;
    let change = Change {
        operation: Operation::Create,
        resource: ResourceType::Decision,
        id,
        revision: 1,
        event_id: Some(event.id),
        before: None,
        after: Some(&decision),
    };
    changes::append(conn, call, &change)?;
    let mut decisions = decisions;
    decisions.push(decision.clone());
    let status = match authority.ask(
        &stored.requested_by,
        stored.addressee,
        &decisions,
        authority::verdict,
    ) {
        Verdict::Open => RequestStatus::Submitted,
        Verdict::Approved => RequestStatus::Approved,
        Verdict::Rejected => RequestStatus::Rejected,
    };
    let after = queries::set_status(conn, call, stored, status)?;
    let shown = show(conn, call, &after, &authority)?;
    append(conn, call, Operation::Update, Some(&before), &shown)?;
    Ok(decision)
}

/// A machine never decides nor revokes, nor does an HR administrator, whatever office they hold.
fn never_decides(call: &Call) -> bool {
    call.actor.integration().is_some() || call.actor.has_role(Role::HrAdministrator)
}

/// 403 unless the caller holds an office that may decide the request, whether or not it has decided already; to whoever may know of
/// the event it names the offices that could. 404 to the others.
pub fn expect_may_decide(
    conn: &mut PgConnection,
    call: &Call,
    (event, stored): (&Event, &StoredRequest),
    named: Option<Uuid>,
) -> Result<(), Error> {
    let readable = call.may_with_offices(conn, Action::ReadPlanning(&event.facts()));
    if let Err(hidden) = &readable
        && hidden.code() == Code::NotFound
    {
        return readable;
    }
    let authority = Authority::read(conn, call, event)?;
    let person = call.actor.name();
    let may = authority.ask(&stored.requested_by, stored.addressee, &[], |facts| {
        authority::may_decide(facts, person, named).map(drop)
    });
    match may {
        Err(denial @ (Denial::WrongOffice { .. } | Denial::OwnRequest)) => Err(denied(denial, &[])),
        _ if never_decides(call) => Err(Error::new(Code::Forbidden)),
        _ => readable,
    }
}

/// 403 unless the caller holds an office that approved the request, or is the director.
pub fn expect_may_revoke(
    conn: &mut PgConnection,
    call: &Call,
    (event, stored): (&Event, &StoredRequest),
) -> Result<(), Error> {
    call.may_with_offices(conn, Action::ReadPlanning(&event.facts()))?;
    let authority = Authority::read(conn, call, event)?;
    let decisions = queries::decisions(conn, stored.id)?;
    let person = call.actor.name();
    authority
        .ask(
            &stored.requested_by,
            stored.addressee,
            &decisions,
            |facts| authority::may_revoke(facts, person).map(drop),
        )
        .map_err(|denial| denied(denial, &decisions))?;
    if never_decides(call) {
        return Err(Error::new(Code::Forbidden));
    }
    Ok(())
}

/// Takes a request back: the requester, while it is open.
pub fn withdraw(
    conn: &mut PgConnection,
    call: &Call,
    event: &Event,
    stored: &StoredRequest,
) -> Result<ExceptionRequest, Error> {
    if stored.status_at(call.now) == RequestStatus::Lapsed {
        return Err(Error::new(Code::RequestNotOpen));
    }
    let decisions = queries::decisions(conn, stored.id)?;
    expect_open(conn, stored, &decisions)?;
    set_status(conn, call, event, stored, RequestStatus::Withdrawn)
}

/// Takes an approval back before the event: an office that approved, or the director.
pub fn revoke(
    conn: &mut PgConnection,
    call: &Call,
    event: &Event,
    stored: &StoredRequest,
) -> Result<ExceptionRequest, Error> {
    if stored.status != RequestStatus::Approved {
        return Err(Error::new(Code::RequestNotApproved));
    }
    expect_in_time(call, event, stored)?;
    set_status(conn, call, event, stored, RequestStatus::Revoked)
}

/// Records a decision taken elsewhere about a request that nobody in the service may decide.
pub fn record(
    conn: &mut PgConnection,
    call: &Call,
    (event, stored): (&Event, &StoredRequest),
    new: &NewRecordedDecision,
) -> Result<ExceptionRequest, Error> {
    let authority = Authority::for_decision(conn, call, event)?;
    let decisions = queries::decisions(conn, stored.id)?;
    let person = call.actor.name();
    let recordable = authority.ask(
        &stored.requested_by,
        stored.addressee,
        &decisions,
        |facts| authority::may_record(facts, person),
    );
    if new.decided_at > call.now || new.decided_at >= event.first_start {
        return Err(Error::at_pointer(Code::DecidedOutOfTime, "/decidedAt"));
    }
    expect_open(conn, stored, &decisions)?;
    recordable.map_err(|denial| denied(denial, &decisions))?;
    expect_in_time(call, event, stored)?;
    expect_unchanged(conn, stored)?;
    queries::insert_recorded(conn, call, stored.id, new)?;
    let status = match new.outcome {
        Outcome::Approved => RequestStatus::Approved,
        Outcome::Rejected => RequestStatus::Rejected,
    };
    set_status(conn, call, event, stored, status)
}

/// Withdraws the open requests of an event that is cancelled, each with its change entry; one that has lapsed stays so.
pub fn withdraw_open(conn: &mut PgConnection, call: &Call, event: &Event) -> Result<(), Error> {
    for stored in queries::submitted_of_event_for_update(conn, event.id)? {
        if stored.status_at(call.now) == RequestStatus::Submitted {
            set_status(conn, call, event, &stored, RequestStatus::Withdrawn)?;
        }
    }
    Ok(())
}

fn set_status(
    conn: &mut PgConnection,
    call: &Call,
    event: &Event,
    stored: &StoredRequest,
    status: RequestStatus,
) -> Result<ExceptionRequest, Error> {
    let authority = Authority::read(conn, call, event)?;
    let before = show(conn, call, stored, &authority)?;
    let after = queries::set_status(conn, call, stored, status)?;
    let shown = show(conn, call, &after, &authority)?;
    append(conn, call, Operation::Update, Some(&before), &shown)?;
    Ok(shown)
}

/// 409 with the decisions unless the request is waiting for one.
fn expect_open(
    conn: &mut PgConnection,
    stored: &StoredRequest,
    decisions: &[Decision],
) -> Result<(), Error> {
    match stored.status {
        RequestStatus::Submitted => Ok(()),
        RequestStatus::Approved | RequestStatus::Rejected => {
            let recorded = queries::recorded_decision(conn, stored.id)?;
            Err(recorded
                .into_iter()
                .fold(already_decided(decisions), |error, recorded| {
                    let by = format!("{} ({})", recorded.decided_by, recorded.capacity);
                    error.with(decided(
                        recorded.outcome,
                        &by,
                        recorded.decided_at,
                        &recorded.document_reference,
                    ))
                }))
        }
        RequestStatus::Withdrawn | RequestStatus::Revoked | RequestStatus::Lapsed => {
            Err(Error::new(Code::RequestNotOpen))
        }
    }
}

/// 409 at or after the first start (I5), as it was asked for and as it is now.
fn expect_in_time(call: &Call, event: &Event, stored: &StoredRequest) -> Result<(), Error> {
    if call.now >= event.first_start || call.now >= stored.first_start {
        Err(Error::new(Code::TooLate))
    } else {
        Ok(())
    }
}

/// 409 naming what differs while the event is not what it was when it was asked for.
fn expect_unchanged(conn: &mut PgConnection, stored: &StoredRequest) -> Result<(), Error> {
    if !stored.stale {
        return Ok(());
    }
    let now = queries::snapshot_now(conn, stored.event_id)?;
    let differences = stored.snapshot.0.differences(&now);
    Err(differences
        .into_iter()
        .fold(Error::new(Code::EventChanged), |error, difference| {
            error.with(FieldError {
                at: At::Rule,
                code: name(&difference),
                detail: differs(difference),
            })
        }))
}

fn differs(difference: Difference) -> Text {
    match difference {
        Difference::Occasions => Text::new(
            "Tillfällena är andra, eller börjar eller slutar vid andra tider.",
            "There are other occasions, or they start or end at other times.",
        ),
        Difference::Venue => Text::new("Lokalerna är andra.", "The venues are others."),
        Difference::Organisers => Text::new(
            "De arrangerande enheterna är andra.",
            "The organising units are others.",
        ),
    }
}

/// What the rules of authority refuse, as a problem.
fn denied(denial: Denial, decisions: &[Decision]) -> Error {
    match denial {
        Denial::OwnRequest => Error::new(Code::OwnRequest),
        Denial::SeveralOffices { .. } => {
            Error::at_pointer(Code::SeveralOffices, "/officeAppointmentId")
        }
        Denial::DecidedElsewhere => Error::new(Code::DecidedElsewhere),
        Denial::DecidedHere { .. } => Error::new(Code::NotDecidedElsewhere),
        Denial::AlreadyDecided { .. } => already_decided(decisions),
        Denial::WrongOffice { could } => {
            could
                .into_iter()
                .fold(Error::new(Code::WrongOffice), |error, office| {
                    let detail = Text::new(
                        format!("Kan beslutas av ämbetet för enhet {}.", office.unit_id),
                        format!("Can be decided by the office of unit {}.", office.unit_id),
                    );
                    error.with(FieldError {
                        at: At::Rule,
                        code: name(&office.office_type),
                        detail,
                    })
                })
        }
    }
}

fn already_decided(decisions: &[Decision]) -> Error {
    decisions
        .iter()
        .fold(Error::new(Code::AlreadyDecided), |error, decision| {
            error.with(decided(
                decision.outcome,
                &decision.person_ref,
                decision.decided_at,
                &decision.id.to_string(),
            ))
        })
}

/// A decision that stands, as a problem says it.
fn decided(outcome: Outcome, by: &str, at: DateTime<Utc>, reference: &str) -> FieldError {
    let (sv, en) = match outcome {
        Outcome::Approved => ("Godkänt", "Approved"),
        Outcome::Rejected => ("Avslaget", "Rejected"),
    };
    let at = at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    FieldError {
        at: At::Rule,
        code: "decided".to_owned(),
        detail: Text::new(
            format!("{sv} av {by} {at}: beslut {reference}."),
            format!("{en} by {by} {at}: decision {reference}."),
        ),
    }
}

fn append(
    conn: &mut PgConnection,
    call: &Call,
    operation: Operation,
    before: Option<&ExceptionRequest>,
    after: &ExceptionRequest,
) -> Result<(), Error> {
    let change = Change {
        operation,
        resource: ResourceType::ExceptionRequest,
        id: after.id,
        revision: after.revision,
        event_id: Some(after.event_id),
        before,
        after: Some(after),
    };
    changes::append(conn, call, &change)
}
