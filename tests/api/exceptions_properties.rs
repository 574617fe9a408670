//! Whatever people do, in whatever order: no exception covers anything, and none is decided, but by the book (I4–I8).
//!
//! Sequences of random actions through HTTP. After each of them the database is read, and the API where something has changed,
//! and held against a model that is written here again, without `rules::authority`.

use crate::app::{Caller, Reply};
use crate::exceptions::Offices;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::Text;
use kompetens::guideline::{NewGuidelineVersion, hedemora};
use kompetens::rules::authority::Snapshot;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

const SEQUENCES: u64 = 520;
const LONGEST: usize = 12;
/// Each with a service, a clock and a database of its own, and another guideline version.
const WORLDS: u64 = 4;
/// Set it to the seed that a failure names to see that sequence again.
pub const SEED: &str = "KOMPETENS_TEST_SEED";

/// What must have happened, and how often at least, for the test to prove something.
const MET: &[(&str, usize)] = &[
    ("exception-requests done", 300),
    ("decisions done", 150),
    ("decisions own-request", 10),
    ("decisions wrong-office", 10),
    ("decisions already-decided", 10),
    ("decisions event-changed", 5),
    ("decisions too-late", 5),
    ("decisions decided-elsewhere", 5),
    ("withdrawal done", 5),
    ("revocation done", 3),
    ("recorded-decision done", 3),
];

/// Numbers that look random and follow from the seed (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (number ^ (number >> 31)) as usize % sides
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len())]
    }
}

const DIRECTOR: &str = "municipalDirector";
const HEAD: &str = "departmentHead";
const CEO: &str = "chiefExecutive";
const RULES: [&str; 3] = ["venueLadder", "question.purpose", "question.followUp"];

/// An appointment, until it is ended.
#[derive(Debug, Clone)]
struct Held {
    id: String,
    office: &'static str,
    unit: String,
    person: &'static str,
    capacity: &'static str,
    in_force: bool,
}

/// What a request is about, as far as it can go stale.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    days_later: i64,
    venue: String,
    organisers: BTreeSet<String>,
}

/// A request as the model knows it.
#[derive(Debug, Clone)]
struct Asked {
    id: String,
    requester: String,
    addressee: String,
    rules: Vec<String>,
    about: Plan,
    first_start: DateTime<Utc>,
    status: String,
}

/// A row of `decisions`, and whether the appointment that it names fits it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    line: String,
}

struct World {
    offices: Offices,
    people: Vec<(&'static str, Caller)>,
    conn: PgConnection,
    venues: Vec<String>,
    held: Vec<Held>,
    director_decides_for_companies: bool,
    require_all_heads: bool,
    now: DateTime<Utc>,
    /// How often which action had which outcome, over all sequences.
    met: BTreeMap<String, usize>,
}

/// One sequence: an event, and what has happened to it.
struct Sequence<'a> {
    world: &'a mut World,
    dice: Dice,
    seed: u64,
    story: String,
    event: String,
    begins: DateTime<Utc>,
    plan: Plan,
    responsible: String,
    cancelled: bool,
    requests: Vec<Asked>,
    decisions: BTreeMap<String, String>,
    recorded: BTreeSet<String>,
}

impl World {
    fn new(number: u64) -> World {
        let offices = Offices::new();
        let hedemora = &offices.hedemora;
        let (director_decides_for_companies, require_all_heads) =
            (number & 1 == 0, number & 2 == 0);
        let mut version: NewGuidelineVersion = hedemora_in_short();
        version.settings.director_decides_for_companies = director_decides_for_companies;
        version.settings.require_all_heads = require_all_heads;
        hedemora
            .app
            .post(&hedemora.hr, "/guideline-versions", &json!(version))
            .expect(201);
        let other = json!({"name": "Det andra slottet", "municipalityCode": "2083", "validFrom": "2020-01-01"});
        let other = hedemora
            .app
            .post(&hedemora.hr, "/venues", &other)
            .expect(201)
            .id();
        offices.appoint(
            HEAD,
            &hedemora.education,
            "person-stand-in",
            json!({"capacity": "acting"}),
        );
        let held = |office, unit: &str, person, capacity: &'static str| {
            let path = format!("/office-appointments?personRef={person}");
            let id = hedemora.app.get(&hedemora.hr, &path).expect(200).body["items"][0]["id"]
                .as_str()
                .expect("an id")
                .to_owned();
            Held {
                id,
                office,
                unit: unit.to_owned(),
                person,
                capacity,
                in_force: true,
            }
        };
        let held = vec![
            held(
                DIRECTOR,
                &hedemora.municipality,
                "person-director",
                "ordinary",
            ),
            held(HEAD, &hedemora.education, "person-head", "ordinary"),
            held(HEAD, &hedemora.education, "person-stand-in", "acting"),
            held(HEAD, &hedemora.care, "person-other", "ordinary"),
            held(CEO, &hedemora.energy, "person-ceo", "ordinary"),
        ];
        let app = &hedemora.app;
        let people = vec![
            ("person-hr", hedemora.hr.clone()),
            ("person-planner", hedemora.planner.clone()),
            ("person-director", offices.director.clone()),
            ("person-head", offices.education_head.clone()),
            ("person-other", offices.care_head.clone()),
            ("person-ceo", offices.ceo.clone()),
            ("person-stand-in", app.employee("person-stand-in")),
        ];
        World {
            conn: app.database(),
            venues: vec![hedemora.castle.clone(), other],
            people,
            held,
            director_decides_for_companies,
            require_all_heads,
            now: crate::given::NOW.parse().expect("a time"),
            met: BTreeMap::new(),
            offices,
        }
    }

    /// Time only goes on, also from one sequence to the next.
    fn it_is(&mut self, now: DateTime<Utc>) {
        self.now = now;
        self.offices.hedemora.app.it_is(&now.to_rfc3339());
    }

    fn appoint_again(&mut self) {
        let today = self.now.date_naive().to_string();
        for held in self.held.iter_mut().filter(|held| !held.in_force) {
            let more = json!({"capacity": held.capacity, "validFrom": today});
            let appointed = self
                .offices
                .appoint(held.office, &held.unit, held.person, more);
            (held.id, held.in_force) = (appointed.id(), true);
        }
    }

    /// The office that decides for an organiser besides the director: the guideline's table, written out.
    fn head_of(&self, unit: &str) -> Option<(&'static str, String)> {
        let hedemora = &self.offices.hedemora;
        if unit == hedemora.energy {
            Some((CEO, hedemora.energy.clone()))
        } else if unit == hedemora.care {
            Some((HEAD, hedemora.care.clone()))
        } else if unit == hedemora.municipality {
            None
        } else {
            Some((HEAD, hedemora.education.clone()))
        }
    }

    fn holds(&self, person: &str, office: &str, unit: &str) -> bool {
        self.held.iter().any(|held| {
            held.in_force && held.person == person && held.office == office && held.unit == unit
        })
    }

    fn is_director(&self, person: &str) -> bool {
        self.holds(person, DIRECTOR, &self.offices.hedemora.municipality)
    }
}

/// Three rules to ask exceptions from: a question, the follow-up and the ladder.
fn hedemora_in_short() -> NewGuidelineVersion {
    let mut version = hedemora();
    version.version_label = "I korthet".to_owned();
    version.valid_from = "2026-01-01".parse().expect("a date");
    version
        .questions
        .retain(|question| ["purpose", "followUp", "venueChoice"].contains(&question.id.as_str()));
    version
}

impl<'a> Sequence<'a> {
    fn begin(world: &'a mut World, seed: u64) -> Sequence<'a> {
        let mut dice = Dice(seed);
        let morning = (world.now + TimeDelta::days(1)).date_naive();
        world.it_is(morning.and_hms_opt(8, 0, 0).expect("a time").and_utc());
        world.appoint_again();
        let hedemora = &world.offices.hedemora;
        let choices = [
            vec![&hedemora.education],
            vec![&hedemora.preschool],
            vec![&hedemora.education, &hedemora.care],
            vec![&hedemora.preschool, &hedemora.energy],
            vec![&hedemora.energy],
            vec![&hedemora.municipality],
        ];
        let organisers = dice.pick(&choices);
        let plan = Plan {
            days_later: 0,
            venue: world.venues[0].clone(),
            organisers: organisers.iter().map(|unit| (*unit).clone()).collect(),
        };
        let anyone = dice.roll(world.people.len());
        let responsible = world.people[*dice.pick(&[0, 1, 1, anyone])].0.to_owned();
        let begins = world.now + TimeDelta::days(3);
        let mut event = hedemora.planning_day(&plan.venue);
        event["organisingUnitIds"] = json!(plan.organisers);
        event["responsiblePerson"] = json!(responsible);
        event["occasions"] = occasions(begins, &plan);
        let event = hedemora.app.post(&hedemora.hr, "/events", &event);
        let event = event.expect(201).id();
        Sequence {
            story: format!("{responsible} answers for an event of {organisers:?}\n"),
            world,
            dice,
            seed,
            event,
            begins,
            plan,
            responsible,
            cancelled: false,
            requests: Vec::new(),
            decisions: BTreeMap::new(),
            recorded: BTreeSet::new(),
        }
    }

    fn first_start(&self) -> DateTime<Utc> {
        self.begins + TimeDelta::days(self.plan.days_later)
    }

    #[track_caller]
    fn hold(&self, it_does: bool, what: &str) {
        assert!(
            it_does,
            "{what}\nSee it again with {SEED}={}. What happened:\n{}{:#?}\n{:#?}",
            self.seed, self.story, self.requests, self.world.held
        );
    }

    /// Sends it as this person; nothing but the answers that are foreseen may come.
    fn send(&mut self, who: usize, method: &str, path: &str, body: Option<Value>) -> Reply {
        let (person, caller) = &self.world.people[who];
        let body = body.map(|body| body.to_string());
        let reply = self.world.offices.hedemora.app.send(
            caller,
            method,
            path,
            &[("If-Match", "*")],
            body.as_deref(),
        );
        let _ = writeln!(
            self.story,
            "{} {person} {method} {path} {} → {} {}",
            self.world.now,
            body.unwrap_or_default(),
            reply.status,
            reply.body["code"].as_str().unwrap_or_default()
        );
        self.hold(
            [200, 201, 403, 404, 409, 422].contains(&reply.status),
            &reply.text,
        );
        if method == "POST" {
            let action = path.rsplit('/').next().unwrap_or_default();
            let outcome = reply.body["code"].as_str().unwrap_or("done");
            let met = format!("{action} {outcome}");
            *self.world.met.entry(met).or_default() += 1;
        }
        reply
    }

    fn act(&mut self) {
        let people = self.world.people.len();
        let who = self.dice.roll(people);
        let action = match self.dice.roll(20) {
            // a request first, or there is nothing to decide
            _ if self.requests.is_empty() && self.dice.roll(5) > 0 => 0,
            number => number,
        };
        match action {
            // by an administrator or a planner most often; by the director now and then, whom nobody in the service may answer
            0..=1 => {
                let who = *self.dice.pick(&[0, 0, 0, 0, 0, 1, 1, 1, 2, who]);
                self.ask(who);
            }
            2..=10 => self.decide(who),
            11 => self.end_request(who, "withdrawal"),
            12 => self.end_request(who, "revocation"),
            13 => self.record(),
            14 => self.change_plan(),
            15 => {
                let responsible = self.world.people[self.dice.roll(people)].0;
                let path = format!("/events/{}", self.event);
                let body = json!({"responsiblePerson": responsible});
                if self.send(0, "PATCH", &path, Some(body)).status == 200 {
                    self.responsible = responsible.to_owned();
                }
            }
            16 => self.change_status(),
            17 => {
                let held = self.dice.roll(self.world.held.len());
                let path = format!("/office-appointments/{}", self.world.held[held].id);
                let body = json!({"validTo": self.world.now.date_naive()});
                if self.send(0, "PATCH", &path, Some(body)).status == 200 {
                    self.world.held[held].in_force = false;
                }
            }
            _ => {
                let start = self.first_start();
                let moments = [
                    self.world.now + TimeDelta::hours(1),
                    self.world.now + TimeDelta::hours(7),
                    self.world.now + TimeDelta::hours(25),
                    start - TimeDelta::seconds(1),
                    start,
                ];
                let moment = *self.dice.pick(&moments);
                self.world.it_is(moment.max(self.world.now));
            }
        }
        self.check();
    }

    fn ask(&mut self, who: usize) {
        let rules: Vec<&str> = RULES
            .into_iter()
            .filter(|_| self.dice.roll(2) > 0)
            .collect();
        let rules = if rules.is_empty() {
            RULES.to_vec()
        } else {
            rules
        };
        let concerned = self
            .plan
            .organisers
            .iter()
            .find_map(|unit| self.world.head_of(unit));
        let addressee = match self.dice.roll(8) {
            0 => CEO,
            1..=2 => DIRECTOR,
            _ => concerned.map_or(DIRECTOR, |(office, _)| office),
        };
        let body = json!({
            "ruleIds": rules, "reason": "Skäl.", "alternativesConsidered": "Inga.", "addressee": addressee,
            "decisionNeededBy": self.world.now.date_naive(),
        });
        let path = format!("/events/{}/exception-requests", self.event);
        let reply = self.send(who, "POST", &path, Some(body));
        if reply.status == 201 {
            self.hold(
                self.world.now < self.first_start(),
                "nothing is asked for after the start",
            );
            self.requests.push(Asked {
                id: reply.id(),
                requester: self.world.people[who].0.to_owned(),
                addressee: addressee.to_owned(),
                rules: rules.into_iter().map(str::to_owned).collect(),
                about: self.plan.clone(),
                first_start: self.first_start(),
                status: "submitted".to_owned(),
            });
        }
    }

    fn decide(&mut self, who: usize) {
        let Some(request) = self.some_request() else {
            return;
        };
        let outcome = *self
            .dice
            .pick(&["approved", "approved", "approved", "rejected"]);
        let mut body =
            json!({"outcome": outcome, "reasons": "Skäl.", "noConflictOfInterest": true});
        if self.dice.roll(6) == 0 {
            body["officeAppointmentId"] = json!(self.dice.pick(&self.world.held).id);
        }
        // somebody who may, every other time
        let rightful = (0..self.world.people.len()).find(|who| {
            let person = self.world.people[*who].0;
            self.decisions.values().all(|line| !line.contains(person))
                && self
                    .world
                    .held
                    .iter()
                    .any(|held| self.is_rightful(&request, person, held.office, &held.unit))
        });
        let who = rightful.filter(|_| self.dice.roll(2) == 0).unwrap_or(who);
        let path = format!("/exception-requests/{}/decisions", request.id);
        let reply = self.send(who, "POST", &path, Some(body.clone()));
        let person = self.world.people[who].0;
        if reply.status == 201 {
            let (office, unit) = (reply.body["office"].as_str(), reply.body["unitId"].as_str());
            self.hold(
                self.is_rightful(
                    &request,
                    person,
                    office.unwrap_or_default(),
                    unit.unwrap_or_default(),
                ),
                "it is decided by an office that may, by who is not involved (I6)",
            );
            self.hold(
                request.status == "submitted",
                "only what is submitted is decided",
            );
            self.hold(self.plan == request.about, "nothing stale is decided");
            self.hold(
                self.world.now < self.first_start() && self.world.now < request.first_start,
                "nothing is decided at or after the first start (I5)",
            );
        } else if reply.status == 403 && body["officeAppointmentId"].is_null() {
            let office = self
                .world
                .held
                .iter()
                .find(|held| self.is_rightful(&request, person, held.office, &held.unit));
            self.hold(office.is_none(), "who may decide is not refused");
        }
    }

    /// May this person decide by this office, by the words of section 5?
    fn is_rightful(&self, request: &Asked, person: &str, office: &str, unit: &str) -> bool {
        let involved = [request.requester.as_str(), self.responsible.as_str()];
        if person == "person-hr"
            || involved.contains(&person)
            || !self.world.holds(person, office, unit)
        {
            return false;
        }
        let heads: Vec<_> = self
            .plan
            .organisers
            .iter()
            .map(|organiser| self.world.head_of(organiser))
            .collect();
        let involved_heads = heads.iter().flatten().any(|(office, unit)| {
            involved
                .iter()
                .any(|person| self.world.holds(person, office, unit))
        });
        let for_a_company = heads.iter().flatten().any(|(office, _)| *office == CEO);
        if self.world.is_director(&request.requester) {
            return false;
        }
        if office == DIRECTOR {
            return !involved.iter().any(|person| self.world.is_director(person))
                && (self.world.director_decides_for_companies || !for_a_company);
        }
        request.addressee != DIRECTOR
            && !heads.contains(&None)
            && !involved_heads
            && heads
                .iter()
                .flatten()
                .any(|(it, of)| *it == office && of == unit)
    }

    fn end_request(&mut self, who: usize, action: &str) {
        let Some(request) = self.some_request() else {
            return;
        };
        let asker = self
            .world
            .people
            .iter()
            .position(|(name, _)| *name == request.requester);
        let who = if action == "withdrawal" && self.dice.roll(2) == 0 {
            asker.unwrap_or(who)
        } else if action == "revocation" && self.dice.roll(2) == 0 {
            2
        } else {
            who
        };
        let path = format!("/exception-requests/{}/{action}", request.id);
        let reply = self.send(who, "POST", &path, None);
        if reply.status == 200 {
            let person = self.world.people[who].0;
            if action == "withdrawal" {
                self.hold(person == request.requester, "the requester withdraws");
            } else {
                let by: Vec<_> = self
                    .decisions
                    .values()
                    .filter(|line| line.contains(&request.id))
                    .collect();
                let approved = self.world.held.iter().any(|held| {
                    held.in_force
                        && held.person == person
                        && by.iter().any(|line| {
                            line.contains(&format!("{} {} approved", held.office, held.unit))
                        })
                });
                self.hold(
                    (approved || self.world.is_director(person))
                        && self.world.now < self.first_start(),
                    "an office that approved, or the director, revokes before the start",
                );
            }
        }
    }

    fn record(&mut self) {
        // one of the director's own, every other time that there is one
        let of_the_director = (self.requests.iter().rfind(|request| {
            request.status == "submitted" && self.world.is_director(&request.requester)
        }))
        .cloned()
        .filter(|_| self.dice.roll(2) == 0);
        let Some(request) = of_the_director.or_else(|| self.some_request()) else {
            return;
        };
        let body = json!({
            "decidedBy": "Kommunstyrelsen", "capacity": "Nämnd", "decidedAt": self.world.now, "outcome": "approved", "reasons": "Skäl.",
            "documentReference": "KS 1",
        });
        let path = format!("/exception-requests/{}/recorded-decision", request.id);
        if self.send(0, "POST", &path, Some(body)).status == 200 {
            let nobody = self
                .world
                .held
                .iter()
                .all(|held| !self.is_rightful(&request, held.person, held.office, &held.unit));
            self.hold(
                nobody && request.requester != "person-hr" && self.responsible != "person-hr",
                "only what nobody in the service may decide is recorded, by who is not involved",
            );
            self.hold(
                self.plan == request.about && self.world.now < self.first_start(),
                "in time, and nothing stale",
            );
            self.recorded.insert(request.id);
        }
    }

    /// Moves the event or changes its venue or organisers, or changes that back.
    fn change_plan(&mut self) {
        let mut plan = self.plan.clone();
        let care = &self.world.offices.hedemora.care;
        match self.dice.roll(3) {
            0 => plan.days_later = if plan.days_later == 0 { 2 } else { 0 },
            1 => {
                let other = self.world.venues.iter().find(|venue| **venue != plan.venue);
                plan.venue = other.cloned().expect("another venue");
            }
            _ if plan.organisers.contains(care) && plan.organisers.len() > 1 => {
                plan.organisers.remove(care);
            }
            _ => {
                plan.organisers.insert(care.clone());
            }
        }
        let body = json!({
            "organisingUnitIds": plan.organisers,
            "occasions": occasions(self.begins, &plan),
        });
        let path = format!("/events/{}", self.event);
        if self.send(0, "PATCH", &path, Some(body)).status == 200 {
            self.plan = plan;
        }
    }

    fn change_status(&mut self) {
        let body = match self.dice.roll(5) {
            0..=2 => json!({"status": "confirmed"}),
            3 => json!({"status": "draft", "reason": "Vi tänker om."}),
            _ => json!({"status": "cancelled", "reason": "Inställt."}),
        };
        let path = format!("/events/{}/status-changes", self.event);
        if self.send(0, "POST", &path, Some(body.clone())).status == 200 {
            self.cancelled |= body["status"] == "cancelled";
            if body["status"] == "confirmed" {
                let all_covered = RULES.iter().all(|rule| self.covering(rule).is_some());
                self.hold(
                    all_covered,
                    "unanswered, it is confirmed by exceptions only (I9)",
                );
            }
        }
    }

    fn some_request(&mut self) -> Option<Asked> {
        // the last one most often
        let last = self.requests.last()?.clone();
        if self.dice.roll(3) > 0 {
            return Some(last);
        }
        Some(self.dice.pick(&self.requests).clone())
    }

    /// The approved request that names the rule and is about the event as it is.
    fn covering(&self, rule: &str) -> Option<&Asked> {
        self.requests.iter().find(|request| {
            request.status == "approved"
                && request.about == self.plan
                && request.rules.iter().any(|named| named == rule)
        })
    }

    /// What must hold after every action.
    fn check(&mut self) {
        let rows = |conn: &mut PgConnection, sql: String| -> Vec<Row> {
            diesel::sql_query(&sql)
                .load(conn)
                .unwrap_or_else(|error| panic!("{sql}: {error}"))
        };
        let event = &self.event;
        let found = rows(
            &mut self.world.conn,
            format!(
                "select d.id::text, concat_ws(' ', d.request_id, d.office_type, d.unit_id, d.outcome, d.person_ref, d.capacity, d.decided_at,
                     d.office_appointment_id, d.reasons, d.basis,
                     (select 'held' from office_appointments a where a.id = d.office_appointment_id and a.person_ref = d.person_ref
                      and a.capacity = d.capacity and (a.office_type, a.unit_id) = (d.office_type, d.unit_id)
                      and a.valid_from <= stockholm_day(d.decided_at))) as line
                 from decisions d join exception_requests r on r.id = d.request_id where r.event_id = '{event}'"
            ),
        );
        let found: BTreeMap<String, String> =
            found.into_iter().map(|row| (row.id, row.line)).collect();
        for (id, line) in &self.decisions {
            self.hold(found.get(id) == Some(line), "decisions are immutable (I7)");
        }
        let offices: BTreeSet<String> = found
            .values()
            .map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" "))
            .collect();
        self.hold(
            offices.len() == found.len(),
            "one per request, office and unit (I7)",
        );
        self.hold(
            found.values().all(|line| line.ends_with(" held")),
            "a decision shows the office, unit, person and capacity of its appointment (I8)",
        );
        self.decisions = found;

        let statuses = rows(
            &mut self.world.conn,
            format!(
                "select id::text, status as line from exception_requests where event_id = '{event}'"
            ),
        );
        let statuses: BTreeMap<String, String> =
            statuses.into_iter().map(|row| (row.id, row.line)).collect();
        let before = self.requests.clone();
        for (request, was) in self.requests.iter_mut().zip(&before) {
            request.status.clone_from(&statuses[&was.id]);
        }
        self.hold(
            statuses.len() == self.requests.len(),
            "nothing is asked for unseen",
        );
        let mut changed = false;
        for (request, was) in self.requests.iter().zip(&before) {
            let step = (was.status.as_str(), request.status.as_str());
            changed |= step.0 != step.1;
            let foreseen = step.0 == step.1
                || matches!(
                    step,
                    (
                        "submitted",
                        "approved" | "rejected" | "withdrawn" | "lapsed"
                    ) | ("approved", "revoked")
                );
            self.hold(foreseen, &format!("{} does not become {}", step.0, step.1));
            if step == ("submitted", "approved") {
                self.hold(
                    self.is_approved(request),
                    "approved by the director or the required heads",
                );
            }
        }
        self.check_findings(changed);
    }

    /// Has the director approved it, or every concerned head (or one, where that is enough), or was that recorded?
    fn is_approved(&self, request: &Asked) -> bool {
        let approved = |office: &str, unit: &str| {
            let sought = format!("{} {office} {unit} approved", request.id);
            self.decisions
                .values()
                .any(|line| line.starts_with(&sought))
        };
        let by_head = |organiser: &String| {
            self.world
                .head_of(organiser)
                .is_some_and(|(office, unit)| approved(office, &unit))
        };
        let mut organisers = request.about.organisers.iter();
        let by_heads = if self.world.require_all_heads {
            organisers.all(by_head)
        } else {
            organisers.any(by_head)
        };
        self.recorded.contains(&request.id)
            || approved(DIRECTOR, &self.world.offices.hedemora.municipality)
            || request.addressee != DIRECTOR && by_heads
    }

    /// A finding is covered exactly by an approved request that names it and is not stale (I4).
    fn check_findings(&mut self, through_http: bool) {
        if self.cancelled {
            return;
        }
        let covered: BTreeSet<String> = diesel::sql_query(format!(
            "select rule_id as id, finding as line from event_findings('{}') where finding = 'coveredByException'",
            self.event
        ))
        .load::<Row>(&mut self.world.conn)
        .expect("findings")
        .into_iter()
        .map(|row| row.id)
        .collect();
        let expected: BTreeSet<String> = RULES
            .into_iter()
            .filter(|rule| self.covering(rule).is_some())
            .map(str::to_owned)
            .collect();
        self.hold(covered == expected, &format!("covered (I4): {covered:?}"));
        if !through_http {
            return;
        }
        let compliance = self.send(
            0,
            "GET",
            &format!("/events/{}/compliance", self.event),
            None,
        );
        for item in compliance.body["items"].as_array().expect("items") {
            let by = self.covering(item["ruleId"].as_str().expect("a rule"));
            let shown = item["exceptionRequestId"].as_str();
            self.hold(
                shown == by.map(|request| request.id.as_str()),
                &compliance.text,
            );
            let says = item["finding"] == "coveredByException";
            self.hold(says == by.is_some(), &compliance.text);
        }
    }

    /// At the end, every request as the API shows it.
    fn end(mut self) {
        let path = format!("/events/{}/exception-requests?limit=100", self.event);
        let shown = self.send(0, "GET", &path, None);
        for item in shown.body["items"].as_array().expect("items") {
            let asked = self
                .requests
                .iter()
                .find(|asked| item["id"] == json!(asked.id));
            let asked = asked.expect("a request that was made");
            let lapsed = asked.status == "submitted" && asked.first_start <= self.world.now;
            let status = if lapsed { "lapsed" } else { &asked.status };
            let live = ["submitted", "approved"].contains(&status);
            self.hold(item["status"] == status, "the status is shown");
            self.hold(
                item["stale"] == json!(live && asked.about != self.plan),
                "stale exactly while the event differs",
            );
            let decided = item["requiredApprovals"]
                .as_array()
                .expect("approvals")
                .iter();
            let decided = decided
                .filter(|approval| !approval["decision"].is_null())
                .count();
            let stored = self
                .decisions
                .values()
                .filter(|line| line.starts_with(&asked.id))
                .count();
            self.hold(decided == stored, "every decision is shown");
        }
    }
}

/// One day, so many days later.
fn occasions(begins: DateTime<Utc>, plan: &Plan) -> Value {
    let starts_at = begins + TimeDelta::days(plan.days_later);
    json!([{"startsAt": starts_at, "endsAt": starts_at + TimeDelta::hours(6), "place": "venue", "venueId": plan.venue}])
}

#[test]
fn whatever_people_do_in_whatever_order_exceptions_are_decided_by_the_book() {
    let again: Option<u64> = std::env::var(SEED)
        .ok()
        .map(|seed| seed.parse().expect("a number"));
    let first = again.unwrap_or_else(|| Utc::now().timestamp_micros().unsigned_abs() * 1000);
    let (of_each, worlds) = match again {
        Some(_) => (1, 1),
        None => (SEQUENCES / WORLDS, WORLDS),
    };
    let met: Vec<BTreeMap<String, usize>> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..worlds)
            .map(|number| {
                scope.spawn(move || {
                    let mut world = World::new(again.map_or(number, |seed| seed % 10));
                    for nth in 0..of_each {
                        // the last digit of a seed is its world
                        let seed = again.unwrap_or(first / 10 * 10 + nth * 10 + number);
                        let mut sequence = Sequence::begin(&mut world, seed);
                        for _ in 0..=sequence.dice.roll(LONGEST) {
                            sequence.act();
                        }
                        sequence.end();
                    }
                    check_lists(&mut world);
                    world.met
                })
            })
            .collect();
        runs.into_iter()
            .map(|run| {
                run.join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    if again.is_some() {
        return;
    }
    // what never happened was not tried
    for (outcome, least) in MET {
        let times: usize = met.iter().filter_map(|met| met.get(*outcome)).sum();
        assert!(times >= *least, "{outcome}: {times} times, of {met:#?}");
    }
}

/// What is stale and what has lapsed in SQL is what the rules say, for all that a world has asked for.
fn check_lists(world: &mut World) {
    let rows: Vec<Row> = diesel::sql_query(
        "select id::text, jsonb_build_object('status', status, 'then', snapshot, 'now', event_snapshot(event_id))::text as line from exception_requests",
    )
    .load(&mut world.conn)
    .expect("requests");
    assert!(!rows.is_empty());
    let mut expected: BTreeMap<&str, BTreeSet<String>> = [
        ("status=lapsed", BTreeSet::new()),
        ("stale=true", BTreeSet::new()),
    ]
    .into();
    for Row { id, line } in rows {
        let row: Value = serde_json::from_str(&line).expect("JSON");
        let snapshot = |name: &str| -> Snapshot {
            serde_json::from_value(row[name].clone()).expect("a snapshot")
        };
        let status = row["status"].as_str().expect("a status");
        let lapsed = status == "lapsed"
            || status == "submitted"
                && kompetens::rules::authority::lapsed(
                    true,
                    snapshot("then").first_start().unwrap(),
                    world.now,
                );
        let live = !lapsed && ["submitted", "approved"].contains(&status);
        if lapsed {
            expected.get_mut("status=lapsed").expect("a set").insert(id);
        } else if live && !snapshot("then").differences(&snapshot("now")).is_empty() {
            expected.get_mut("stale=true").expect("a set").insert(id);
        }
    }
    for (filter, expected) in expected {
        let mut listed = BTreeSet::new();
        for page in 1.. {
            let path = format!("/exception-requests?{filter}&limit=100&page={page}");
            let hedemora = &world.offices.hedemora;
            let items = hedemora.app.get(&hedemora.hr, &path).expect(200).body["items"].take();
            let items = items.as_array().expect("items").clone();
            listed.extend(
                items
                    .iter()
                    .filter_map(|item| item["id"].as_str())
                    .map(str::to_owned),
            );
            if items.len() < 100 {
                break;
            }
        }
        assert_eq!(listed, expected, "{filter}");
    }
}
