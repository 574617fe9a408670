//! What is defined twice, in the rules and in SQL, is the same: the findings of an event and what exceptions cover, on random plans.

use crate::app::{fresh_database, owner_url};
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use kompetens::guideline::{
    AnswerKind, NewGuidelineVersion, Place, Question, Requires, Rung, Weight, hedemora,
};
use kompetens::rules::answers::PlanningAnswer;
use kompetens::rules::authority::{Snapshot, SnapshotOccasion};
use kompetens::rules::calendar;
use kompetens::rules::compliance::{self, Given, PlanFacts};
use kompetens::rules::follow_up::FollowUpStatus;
use kompetens::rules::scope::{self, UnitFacts, UnitType};
use kompetens::rules::venue_ladder::{self, OccasionPlace, VenueFacts};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use std::collections::BTreeMap;
use uuid::Uuid;

const EVENT: Uuid = Uuid::from_u128(1);
const VERSION: Uuid = Uuid::from_u128(2);
/// The municipality, a department that ends, a unit below it, and a partly owned company.
const UNITS: [Uuid; 4] = [
    Uuid::from_u128(10),
    Uuid::from_u128(11),
    Uuid::from_u128(12),
    Uuid::from_u128(13),
];

fn day(offset: u64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 10, 20).unwrap() + Days::new(offset)
}

/// From the root down to each unit.
fn chain(unit: usize) -> Vec<usize> {
    match unit {
        0 => vec![0],
        2 => vec![0, 1, 2],
        other => vec![0, other],
    }
}

fn unit_facts(unit: usize) -> UnitFacts {
    UnitFacts {
        unit_type: [
            UnitType::Municipality,
            UnitType::Department,
            UnitType::Unit,
            UnitType::PartlyOwnedCompany,
        ][unit],
        valid_from: NaiveDate::from_ymd_opt(2020, 1, 1).unwrap(),
        // the clocks change on day 5
        valid_to: (unit == 1 || unit == 2).then(|| day(6)),
    }
}

#[derive(Debug, Clone)]
struct Occasion {
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    /// `None`: undecided; `Some(None)`: digital; else the number of a venue.
    place: Option<Option<usize>>,
}

#[derive(Debug, Clone)]
struct Venue {
    owner: Option<usize>,
    local: bool,
    /// First day and first day no longer, of its supplier's contract.
    contract: Option<(u64, Option<u64>)>,
}

/// What the event was, compared with now, when an exception was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    AsNow,
    OtherVenue,
    OtherTime,
    OneOccasionMore,
    OtherOrganiser,
}

#[derive(Debug, Clone)]
struct Request {
    status: &'static str,
    rules: Vec<String>,
    then: Then,
}

#[derive(Debug, Clone)]
struct World {
    requests: Vec<Request>,
    version: NewGuidelineVersion,
    organiser: usize,
    venues: Vec<Venue>,
    occasions: Vec<Occasion>,
    answers: BTreeMap<String, (PlanningAnswer, Option<String>)>,
    follow_ups: Vec<(FollowUpStatus, NaiveDate)>,
}

fn ladder() -> impl Strategy<Value = Vec<Rung>> {
    let places = vec![
        Place::OwnPremises,
        Place::ProcuredLocal,
        Place::ProcuredOther,
        Place::NotProcured,
    ];
    let requires = || {
        select(vec![
            Requires::Nothing,
            Requires::Reason,
            Requires::Exception,
        ])
    };
    (
        subsequence(places, 1..=4).prop_shuffle(),
        proptest::collection::vec(requires(), 4),
    )
        .prop_map(|(places, requires)| {
            places
                .into_iter()
                .zip(requires)
                .enumerate()
                .map(|(index, (place, requires))| Rung {
                    id: format!("rung{index}"),
                    place,
                    requires,
                })
                .collect()
        })
}

/// Hedemora's questions with other weights, some of them for a unit only.
fn questions() -> impl Strategy<Value = Vec<Question>> {
    let question = (
        any::<bool>(),
        proptest::option::weighted(0.2, select(UNITS.to_vec())),
    );
    proptest::collection::vec(question, hedemora().questions.len()).prop_map(|changes| {
        let questions = hedemora().questions.into_iter().zip(changes);
        questions
            .map(|(question, (mandatory, unit_id))| {
                let judged_alone = matches!(
                    question.answer_kind,
                    AnswerKind::Reason | AnswerKind::FollowUps
                );
                Question {
                    weight: if mandatory {
                        Weight::Mandatory
                    } else {
                        Weight::Advisory
                    },
                    unit_id: unit_id.filter(|_| !judged_alone),
                    ..question
                }
            })
            .collect()
    })
}

fn answer() -> impl Strategy<Value = PlanningAnswer> {
    let answers = [
        json!({"text": "Ja."}),
        json!({"notApplicable": {"reason": "Gäller inte."}}),
        json!({"attested": true}),
        json!({"attested": false}),
        json!({"attested": false, "reason": {"text": "Inte än."}}),
    ];
    select(
        answers
            .map(|answer| serde_json::from_value(answer).unwrap())
            .to_vec(),
    )
}

fn request() -> impl Strategy<Value = Request> {
    let statuses = vec![
        "approved",
        "approved",
        "approved",
        "submitted",
        "rejected",
        "withdrawn",
        "revoked",
        "lapsed",
    ];
    let rules = hedemora()
        .questions
        .into_iter()
        .filter(|question| question.answer_kind != AnswerKind::Reason)
        .map(|question| format!("question.{}", question.id))
        .chain(["venueLadder".to_owned()])
        .collect::<Vec<_>>();
    let then = select(vec![
        Then::AsNow,
        Then::AsNow,
        Then::AsNow,
        Then::OtherVenue,
        Then::OtherTime,
        Then::OneOccasionMore,
        Then::OtherOrganiser,
    ]);
    (select(statuses), subsequence(rules, 1..6), then).prop_map(|(status, rules, then)| Request {
        status,
        rules,
        then,
    })
}

fn world() -> impl Strategy<Value = World> {
    let venue = (
        proptest::option::of(0..4usize),
        any::<bool>(),
        proptest::option::of((0..8u64, proptest::option::of(1..9u64))),
    )
        .prop_map(|(owner, local, contract)| Venue {
            owner,
            local,
            contract: contract.map(|(from, length)| (from, length.map(|length| from + length))),
        });
    let occasion = (
        0..9u64,
        0..24i64,
        1..30i64,
        proptest::option::weighted(0.9, proptest::option::weighted(0.8, 0..3usize)),
    )
        .prop_map(|(offset, hour, hours, place)| {
            let starts_at =
                day(offset).and_hms_opt(0, 0, 0).unwrap().and_utc() + TimeDelta::hours(hour);
            Occasion {
                starts_at,
                ends_at: starts_at + TimeDelta::hours(hours),
                place,
            }
        });
    let statuses = [
        FollowUpStatus::Planned,
        FollowUpStatus::Completed,
        FollowUpStatus::Waived,
        FollowUpStatus::Cancelled,
    ];
    let follow_up = (select(statuses.to_vec()), (0..12u64).prop_map(day));
    let answered = proptest::collection::vec(
        (
            proptest::option::weighted(0.7, answer()),
            proptest::option::of(0..5usize),
        ),
        14,
    );
    (
        (ladder(), questions()),
        0..3usize,
        proptest::collection::vec(venue, 3),
        proptest::collection::vec(occasion, 1..4),
        answered,
        proptest::collection::vec(follow_up, 0..3),
        proptest::collection::vec(request(), 0..4),
    )
        .prop_map(
            |(
                (ladder, questions),
                organiser,
                venues,
                occasions,
                answered,
                follow_ups,
                requests,
            )| {
                let answers = questions
                    .iter()
                    .zip(answered)
                    .filter(|(question, _)| question.answer_kind != AnswerKind::FollowUps)
                    .filter_map(|(question, (answer, rung))| {
                        let reason = question.answer_kind == AnswerKind::Reason;
                        let rung = rung.map(|rung| format!("rung{rung}")).filter(|_| reason);
                        (!reason || rung.is_some()).then_some(())?;
                        Some((question.id.clone(), (answer?, rung)))
                    })
                    .collect();
                World {
                    requests,
                    version: NewGuidelineVersion {
                        ladder,
                        questions,
                        ..hedemora()
                    },
                    organiser,
                    venues,
                    occasions,
                    answers,
                    follow_ups,
                }
            },
        )
}

impl World {
    /// The occasions and organisers as they are, or as they were when an exception was asked for.
    fn plan(&self, then: Then) -> (Vec<Occasion>, Vec<usize>) {
        let (mut occasions, mut organisers) = (self.occasions.clone(), vec![self.organiser]);
        let first = &mut occasions[0];
        match then {
            Then::AsNow => {}
            Then::OtherVenue => {
                first.place = match first.place {
                    Some(Some(_)) => Some(None),
                    _ => Some(Some(0)),
                }
            }
            Then::OtherTime => first.ends_at += TimeDelta::minutes(1),
            Then::OneOccasionMore => {
                let first = first.clone();
                occasions.push(first);
            }
            Then::OtherOrganiser => organisers.push(3),
        }
        (occasions, organisers)
    }

    fn snapshot(&self, then: Then) -> Snapshot {
        let (occasions, organisers) = self.plan(then);
        let occasion = |occasion: Occasion| SnapshotOccasion {
            starts_at: occasion.starts_at,
            ends_at: occasion.ends_at,
            venue_id: occasion.place.flatten().map(venue_id),
        };
        Snapshot::new(
            occasions.into_iter().map(occasion).collect(),
            organisers.into_iter().map(|unit| UNITS[unit]).collect(),
        )
    }

    /// Puts the plan into the tables in place of the one there.
    fn plan_sql(&self, then: Then) -> String {
        let (occasions, organisers) = self.plan(then);
        let mut sql = format!(
            "delete from occasions where event_id = '{EVENT}'; delete from event_organisers where event_id = '{EVENT}';"
        );
        for (position, unit) in organisers.into_iter().enumerate() {
            sql += &format!(
                "insert into event_organisers values ('{EVENT}', '{}', {position});",
                UNITS[unit]
            );
        }
        for occasion in occasions {
            let (place, venue) = match occasion.place {
                None => ("undecided", "null".to_owned()),
                Some(None) => ("digital", "null".to_owned()),
                Some(Some(number)) => ("venue", format!("'{}'", venue_id(number))),
            };
            sql += &format!(
                "insert into occasions values (gen_random_uuid(), '{EVENT}', '{}', '{}', '{place}', {venue});",
                occasion.starts_at, occasion.ends_at
            );
        }
        sql
    }

    fn is_stale(&self, request: &Request) -> bool {
        ["submitted", "approved"].contains(&request.status)
            && !self
                .snapshot(request.then)
                .differences(&self.snapshot(Then::AsNow))
                .is_empty()
    }

    /// Which request covers each rule: approved, and not stale.
    fn exceptions(&self) -> BTreeMap<String, Uuid> {
        let covering = self
            .requests
            .iter()
            .zip(200..)
            .filter(|(request, _)| request.status == "approved" && !self.is_stale(request));
        covering
            .flat_map(|(request, number)| {
                let id = Uuid::from_u128(number);
                request.rules.iter().map(move |rule| (rule.clone(), id))
            })
            .collect()
    }

    /// What the rules say.
    fn assess(&self) -> Vec<String> {
        let place = |occasion: &Occasion| match occasion.place {
            None => OccasionPlace::Undecided,
            Some(None) => OccasionPlace::Digital,
            Some(Some(number)) => {
                let venue = &self.venues[number];
                let on = calendar::stockholm_date(occasion.starts_at);
                let owner_chain =
                    |unit| chain(unit).into_iter().map(unit_facts).collect::<Vec<_>>();
                OccasionPlace::Venue(venue_ladder::place(VenueFacts {
                    owned_by_group: venue
                        .owner
                        .is_some_and(|unit| scope::in_group(&owner_chain(unit), &(on..=on))),
                    contract_in_force: venue.contract.is_some_and(|(from, to)| {
                        day(from) <= on && to.is_none_or(|to| on < day(to))
                    }),
                    in_municipality: venue.local,
                }))
            }
        };
        let facts = PlanFacts {
            answers: self
                .answers
                .iter()
                .map(|(id, (answer, rung))| (id.clone(), Given::new(answer, rung.as_deref())))
                .collect(),
            occasions: self.occasions.iter().map(place).collect(),
            last_day: calendar::last_day(
                self.occasions
                    .iter()
                    .map(|occasion| occasion.ends_at)
                    .max()
                    .unwrap(),
            ),
            follow_ups: self.follow_ups.clone(),
            exceptions: self.exceptions(),
            organisers: vec![
                chain(self.organiser)
                    .into_iter()
                    .map(|unit| UNITS[unit])
                    .collect(),
            ],
        };
        compliance::assess(&self.version.questions, &self.version.ladder, &facts)
            .into_iter()
            .map(|finding| format!("{} {}", finding.rule_id, name(finding.finding)))
            .collect()
    }

    /// The same in the tables.
    fn store(&self, conn: &mut PgConnection) {
        let content = serde_json::to_string(&self.version).unwrap();
        let mut sql = format!(
            "insert into guideline_versions (id, valid_from, content, created_at) values ('{VERSION}', '2020-01-01', $j${content}$j$, now());"
        );
        for (number, venue) in self.venues.iter().enumerate() {
            let owner = venue
                .owner
                .map_or("null".to_owned(), |unit| format!("'{}'", UNITS[unit]));
            let code = if venue.local { "2083" } else { "2080" };
            sql += &format!(
                "insert into venues values ('{}', 1, 'V', '{code}', {owner}, 'S{number}', '2020-01-01', null, 'x', now(), now());",
                Uuid::from_u128(100 + number as u128)
            );
            if let Some((from, to)) = venue.contract {
                let to = to.map_or("null".to_owned(), |to| format!("'{}'", day(to)));
                sql += &format!(
                    "insert into supplier_contracts values (gen_random_uuid(), 1, 'S{number}', 'S', 'T', null, '{}', {to}, now(), now());",
                    day(from)
                );
            }
        }
        let first = self
            .occasions
            .iter()
            .map(|occasion| occasion.starts_at)
            .min()
            .unwrap();
        let last = self
            .occasions
            .iter()
            .map(|occasion| occasion.ends_at)
            .max()
            .unwrap();
        sql += &format!(
            "insert into events (id, revision, title, kind, arranger, partners, responsible_person, guideline_version_id, status, first_start, last_end,
                 created_at, updated_at)
             values ('{EVENT}', 1, 'E', 'other', 'group', '[]', 'person', '{VERSION}', 'draft', '{first}', '{last}', now(), now());"
        );
        for (question, (answer, rung)) in &self.answers {
            let answer = serde_json::to_string(answer).unwrap();
            let rung = rung
                .as_ref()
                .map_or("null".to_owned(), |rung| format!("'{rung}'"));
            sql += &format!(
                "insert into planning_answers values (gen_random_uuid(), '{EVENT}', '{question}', 1, $j${answer}$j$, {rung}, 'person', now());"
            );
        }
        for (number, (status, due)) in self.follow_ups.iter().enumerate() {
            let id = Uuid::from_u128(200 + number as u128);
            sql += &format!(
                "insert into follow_ups (id, event_id, revision, level, method, due_date, responsible_person, status, created_at, updated_at)
                 values ('{id}', '{EVENT}', 1, 'behaviour', 'survey', '{due}', 'person', 'planned', now(), now());"
            );
            let status = name(*status);
            if status == "completed" {
                sql += &format!(
                    "insert into follow_up_entries (id, follow_up_id, number, conducted_on, level, carried_out, goal_effects, author, recorded_at)
                     values ('{id}', '{id}', 1, '{due}', 'behaviour', 'asPlanned', '[]', 'person', now());"
                );
            }
            if status != "planned" {
                sql += &format!(
                    "update follow_ups set status = '{status}', status_changed_by = 'person', status_changed_at = now(),
                         completing_entry_id = (select e.id from follow_up_entries e where e.follow_up_id = '{id}'),
                         completed_on = (select e.conducted_on from follow_up_entries e where e.follow_up_id = '{id}')
                     where id = '{id}';"
                );
            }
        }
        for (request, number) in self.requests.iter().zip(200..) {
            let id = Uuid::from_u128(number);
            let rules = request.rules.join(",");
            sql += &self.plan_sql(request.then);
            sql += &format!(
                "insert into exception_requests (id, event_id, revision, rule_ids, reason, alternatives_considered, addressee, decision_needed_by,
                     requested_by, status, snapshot, first_start, created_at, updated_at)
                 values ('{id}', '{EVENT}', 1, '{{{rules}}}', 'R', 'A', 'municipalDirector', '2026-10-20', 'person', '{}', event_snapshot('{EVENT}'),
                     '{first}', now(), now());",
                request.status
            );
            // that one is open is another test's; here several may name the same rule
            for rule in &request.rules {
                sql += &format!(
                    "insert into exception_request_rules values ('{id}', '{rule}', '{EVENT}', false);"
                );
            }
        }
        sql += &self.plan_sql(Then::AsNow);
        conn.batch_execute(&sql)
            .unwrap_or_else(|error| panic!("{error}: {sql}"));
    }
}

fn venue_id(number: usize) -> Uuid {
    Uuid::from_u128(100 + number as u128)
}

fn name(value: impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned()
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    line: String,
}

fn lines(conn: &mut PgConnection, sql: &str) -> Vec<String> {
    diesel::sql_query(sql)
        .load::<Row>(conn)
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .into_iter()
        .map(|row| row.line)
        .collect()
}

#[test]
fn the_findings_in_sql_are_the_findings_of_the_rules() {
    let mut conn = PgConnection::establish(&owner_url(&fresh_database())).unwrap();
    let mut units = "set timezone = 'UTC';".to_owned();
    for (number, id) in UNITS.iter().enumerate() {
        let facts = unit_facts(number);
        let path: Vec<String> = chain(number)
            .iter()
            .map(|unit| UNITS[*unit].to_string())
            .collect();
        let parent = path
            .len()
            .checked_sub(2)
            .map_or("null".to_owned(), |parent| format!("'{}'", path[parent]));
        let to = facts
            .valid_to
            .map_or("null".to_owned(), |to| format!("'{to}'"));
        units += &format!(
            "insert into units values ('{id}', 1, 'U', '{}', {parent}, null, null, null, '{}', {to}, '{{{}}}', now(), now());",
            name(facts.unit_type),
            facts.valid_from,
            path.join(",")
        );
    }
    units += &format!(
        "insert into people values (gen_random_uuid(), 1, 'person', 'P', '{}', '2020-01-01', null, now(), now());",
        UNITS[0]
    );
    conn.batch_execute(&units).unwrap();

    let mut runner = TestRunner::new(Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    });
    let conn = std::cell::RefCell::new(conn);
    let covered = std::cell::Cell::new(0);
    let outcome = runner.run(&world(), |world| {
        let conn = &mut *conn.borrow_mut();
        // a case that failed left its transaction open
        let _ = conn.batch_execute("rollback");
        conn.batch_execute("begin").unwrap();
        world.store(conn);
        let found = lines(
            conn,
            &format!("select rule_id || ' ' || finding as line from event_findings('{EVENT}')"),
        );
        let open = lines(
            conn,
            &format!(
                "select unnest(open_findings) as line from event_details where id = '{EVENT}'"
            ),
        );
        let stale = lines(
            conn,
            "select status || ' ' || stale as line from exception_request_details order by id",
        );
        conn.batch_execute("rollback").unwrap();
        let expected_stale: Vec<String> = world
            .requests
            .iter()
            .map(|request| format!("{} {}", request.status, world.is_stale(request)))
            .collect();
        prop_assert_eq!(stale, expected_stale);
        let expected = world.assess();
        for line in &expected {
            if line.ends_with(" coveredByException") {
                covered.set(covered.get() + 1);
            }
        }
        prop_assert_eq!(&found, &expected);
        let expected_open: Vec<&str> = expected
            .iter()
            .filter_map(|line| line.split_once(' '))
            .filter(|(_, finding)| {
                ["answerNeeded", "reasonNeeded", "exceptionNeeded"].contains(finding)
            })
            .map(|(rule, _)| rule)
            .collect();
        prop_assert_eq!(open, expected_open);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(
        covered.get() > 30,
        "exceptions covered {} findings: too few to prove anything",
        covered.get()
    );
}
