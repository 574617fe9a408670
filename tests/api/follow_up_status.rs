//! Who is behind with which follow-up: the list, its numbers, and the day they are seen from (domain section 9, I16).

use crate::app::{TestApp, fresh_database};
use crate::exceptions::Offices;
use crate::exceptions_properties::{Dice, SEED};
use crate::follow_ups::act;
use crate::given::Hedemora;
use crate::many::fill;
use chrono::{DateTime, Days, NaiveDate, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Jsonb, Text};
use kompetens::guideline::hedemora;
use kompetens::rules::calendar;
use kompetens::rules::follow_up::{self, DueFacts, DueStatus, EntryFacts, FollowUpStatus, Level};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Every item of a list, page after page.
fn all(app: &TestApp, path: &str, query: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("{path}?limit=100&{query}{cursor}");
        let page = app.get(&app.hr(), &path).expect(200).body;
        all.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

fn rows(app: &TestApp, query: &str) -> Vec<Value> {
    all(app, "/follow-up-status", query)
}

fn summary(app: &TestApp, query: &str) -> Vec<Value> {
    all(app, "/follow-up-status/summary", query)
}

fn count(rows: &[Value], status: &str) -> usize {
    rows.iter().filter(|row| row["dueStatus"] == status).count()
}

/// An event held on 5 October 2026, with a follow-up of its effect due on this day.
fn held(hedemora: &Hedemora, due: &str) -> (String, String) {
    let (app, planner) = (&hedemora.app, &hedemora.planner);
    let event = hedemora.confirmed();
    let follow_up = hedemora.follow_ups(&event)[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    app.patch(
        planner,
        &format!("/follow-ups/{follow_up}"),
        &json!({"dueDate": due}),
    )
    .expect(200);
    app.it_is("2026-10-06T08:00:00Z");
    let held = json!({"status": "held", "actualParticipants": {"total": 12}});
    app.change_status(planner, &event, &held).expect(200);
    (event, follow_up)
}

#[test]
fn a_follow_up_is_overdue_at_midnight_in_stockholm_while_it_is_still_the_day_before_in_utc() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    for (due, last_moment, midnight) in [
        // winter, summer, and the nights to winter time and to summer time
        ("2026-12-10", "2026-12-10T22:59:59Z", "2026-12-10T23:00:00Z"),
        ("2027-06-10", "2027-06-10T21:59:59Z", "2027-06-10T22:00:00Z"),
        ("2026-10-24", "2026-10-24T21:59:59Z", "2026-10-24T22:00:00Z"),
        ("2026-10-25", "2026-10-25T22:59:59Z", "2026-10-25T23:00:00Z"),
        ("2027-03-27", "2027-03-27T22:59:59Z", "2027-03-27T23:00:00Z"),
        ("2027-03-28", "2027-03-28T21:59:59Z", "2027-03-28T22:00:00Z"),
    ] {
        app.it_is(crate::given::NOW);
        let (_, follow_up) = held(&hedemora, due);
        let seen = || {
            let row = rows(app, &format!("dueFrom={due}&dueTo={due}"));
            assert_eq!((row.len(), &row[0]["id"]), (1, &json!(follow_up)));
            let shown = app
                .get(&hedemora.hr, &format!("/follow-ups/{follow_up}"))
                .body;
            assert_eq!(shown["dueStatus"], row[0]["dueStatus"]);
            assert_eq!(shown["daysOverdue"], row[0]["daysOverdue"]);
            (row[0]["dueStatus"].clone(), row[0]["daysOverdue"].clone())
        };
        app.it_is(last_moment);
        assert_eq!(seen(), (json!("dueSoon"), Value::Null), "{due}");
        app.it_is(midnight);
        assert_eq!(seen(), (json!("overdue"), json!(1)), "{due}");
    }
}

#[test]
fn as_of_an_earlier_day_it_stands_as_it_stood() {
    let hedemora = Hedemora::new();
    let (app, planner) = (&hedemora.app, &hedemora.planner);
    let (event, follow_up) = held(&hedemora, "2026-10-20");
    let entries = format!("/follow-ups/{follow_up}/entries");
    let entry = |level: &str, on: &str| json!({"conductedOn": on, "level": level, "carriedOut": "asPlanned"});
    app.it_is("2026-10-15T08:00:00Z");
    app.post(planner, &entries, &entry("learning", "2026-10-15"))
        .expect(201);
    app.it_is("2026-10-22T08:00:00Z");
    let first = app
        .post(planner, &entries, &entry("results", "2026-10-19"))
        .expect(201);
    app.it_is("2026-10-25T08:00:00Z");
    app.send(
        planner,
        "POST",
        &format!("{entries}/{}/voiding", first.id()),
        &[("If-Match", first.etag())],
        Some(r#"{"reason": "Fel evenemang."}"#),
    )
    .expect(200);
    app.it_is("2026-10-28T08:00:00Z");
    let waiver = app.get(planner, &format!("/follow-ups/{follow_up}"));
    app.send(
        &hedemora.hr,
        "POST",
        &format!("/follow-ups/{follow_up}/waiver"),
        &[("If-Match", waiver.etag())],
        Some(r#"{"reason": "Gruppen har upphört."}"#),
    )
    .expect(200);

    app.it_is("2026-11-01T08:00:00Z");
    for (day, due_status, overdue, held_on) in [
        ("2026-08-31", None, None, None),
        ("2026-09-01", Some("upcoming"), None, None),
        ("2026-10-05", Some("upcoming"), None, None),
        ("2026-10-06", Some("dueSoon"), None, Some("2026-10-05")),
        ("2026-10-20", Some("dueSoon"), None, Some("2026-10-05")),
        ("2026-10-21", Some("overdue"), Some(1), Some("2026-10-05")),
        // done on the 19th, which was known on the 22nd
        (
            "2026-10-22",
            Some("completedOnTime"),
            None,
            Some("2026-10-05"),
        ),
        (
            "2026-10-24",
            Some("completedOnTime"),
            None,
            Some("2026-10-05"),
        ),
        ("2026-10-25", Some("overdue"), Some(5), Some("2026-10-05")),
        ("2026-10-27", Some("overdue"), Some(7), Some("2026-10-05")),
        ("2026-10-28", Some("waived"), None, Some("2026-10-05")),
        ("2026-11-01", Some("waived"), None, Some("2026-10-05")),
    ] {
        let seen = rows(app, &format!("asOf={day}"));
        let row = seen.first().cloned().unwrap_or_default();
        assert_eq!(row["dueStatus"].as_str(), due_status, "{day}");
        assert_eq!(row["daysOverdue"].as_i64(), overdue, "{day}");
        assert_eq!(row["heldOn"].as_str(), held_on, "{day}");
        let held = i64::from(held_on.is_some());
        let numbers = &summary(app, &format!("asOf={day}"))[0];
        if day != "2026-08-31" {
            assert_eq!(numbers["held"], held, "{day} {event}");
            let ended = i64::from(day == "2026-10-05");
            assert_eq!(numbers["endedNotHeld"], ended, "{day}");
        }
    }
}

const STATUSES: [&str; 7] = [
    "upcoming",
    "dueSoon",
    "overdue",
    "completedOnTime",
    "completedLate",
    "waived",
    "cancelled",
];

/// What a follow-up was as of a day, worked out by the rules from its whole history.
#[derive(QueryableByName)]
struct History {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Jsonb)]
    entries: Value,
    #[diesel(sql_type = Jsonb)]
    facts: Value,
}

impl History {
    fn all(app: &TestApp) -> BTreeMap<String, History> {
        let histories: Vec<History> = diesel::sql_query(
            "select f.id::text as id,
                jsonb_build_object('level', f.level, 'dueDate', f.due_date, 'status', f.status, 'changedAt', f.status_changed_at,
                    'createdAt', f.created_at, 'dueSoonDays', v.content -> 'settings' -> 'dueSoonDays') as facts,
                coalesce((select jsonb_agg(jsonb_build_object('level', n.level, 'carriedOut', n.carried_out, 'conductedOn', n.conducted_on,
                                                              'recordedAt', n.recorded_at, 'voidedAt', o.voided_at) order by n.number)
                          from follow_up_entries n left join follow_up_entry_voidings o on o.entry_id = n.id
                          where n.follow_up_id = f.id), '[]') as entries
             from follow_ups f join events e on e.id = f.event_id join guideline_versions v on v.id = e.guideline_version_id",
        )
        .load(&mut app.database())
        .expect("the follow-ups");
        histories
            .into_iter()
            .map(|history| (history.id.clone(), history))
            .collect()
    }

    /// Its due status and days overdue at the end of this day; nothing before it was planned.
    fn on(&self, day: NaiveDate) -> Option<(DueStatus, Option<i64>)> {
        let end = calendar::start_of_day(day.succ_opt().unwrap());
        let moment =
            |value: &Value| serde_json::from_value::<Option<DateTime<Utc>>>(value.clone()).unwrap();
        let before = |value: &Value| moment(value).is_some_and(|moment| moment < end);
        let known = |value: &Value| serde_json::from_value::<NaiveDate>(value.clone()).unwrap();
        if !before(&self.facts["createdAt"]) {
            return None;
        }
        let level: Level = serde_json::from_value(self.facts["level"].clone()).unwrap();
        let entries: Vec<&Value> = self
            .entries
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| before(&entry["recordedAt"]))
            .collect();
        let facts: Vec<EntryFacts> = entries
            .iter()
            .map(|entry| EntryFacts {
                level: serde_json::from_value(entry["level"].clone()).unwrap(),
                carried_out: serde_json::from_value(entry["carriedOut"].clone()).unwrap(),
                voided: before(&entry["voidedAt"]),
            })
            .collect();
        let stored: FollowUpStatus = serde_json::from_value(self.facts["status"].clone()).unwrap();
        let ended = matches!(stored, FollowUpStatus::Waived | FollowUpStatus::Cancelled);
        let completed = follow_up::completing(level, &facts).map(|index| entries[index]);
        let status = match completed {
            _ if ended && before(&self.facts["changedAt"]) => stored,
            Some(_) => FollowUpStatus::Completed,
            None => FollowUpStatus::Planned,
        };
        let facts = DueFacts {
            status,
            due_date: known(&self.facts["dueDate"]),
            completed_on: completed.map(|entry| known(&entry["conductedOn"])),
        };
        let days = self.facts["dueSoonDays"].as_u64().unwrap();
        let bounds = follow_up::bounds(day, u32::try_from(days).unwrap());
        Some((
            follow_up::due_status(facts, bounds),
            follow_up::days_overdue(facts, bounds),
        ))
    }
}

/// Half of the events get another version, whose "soon" is longer.
fn another_version(app: &TestApp) {
    let mut version = serde_json::to_value(hedemora()).unwrap();
    version["versionLabel"] = json!("Längre varsel");
    version["settings"]["dueSoonDays"] = json!(40);
    let id = app
        .post(&app.hr(), "/guideline-versions", &version)
        .expect(201)
        .id();
    app.database()
        .batch_execute(&format!(
            "update events set guideline_version_id = '{id}' where (hashtext(id::text) & 1) = 0"
        ))
        .unwrap();
}

#[test]
fn as_of_any_day_each_row_is_as_the_rules_have_it_and_every_number_of_the_summary_is_that_of_the_list()
 {
    let seed: u64 = std::env::var(SEED).map_or_else(
        |_| u64::from(Uuid::new_v4().as_fields().0),
        |seed| seed.parse().expect("a number"),
    );
    println!("{SEED}={seed}");
    let mut dice = Dice(seed);
    let database = fresh_database();
    fill(&database, 400, 3, u32::try_from(seed % 10_000).unwrap());
    let app = &TestApp::on(&database, 8);
    app.it_is(crate::many::NOW);
    another_version(app);
    let histories = History::all(app);
    let today: NaiveDate = "2026-09-01".parse().unwrap();
    let units: Vec<String> = all(app, "/units", "")
        .iter()
        .map(|unit| unit["id"].as_str().unwrap().to_owned())
        .collect();
    for round in 0..24 {
        let day = match round {
            0 => today,
            _ => today - Days::new(dice.roll(900) as u64),
        };
        // each filter now and then, several together
        let mut filter = vec![];
        if day != today || dice.roll(2) == 0 {
            filter.push(format!("asOf={day}"));
        }
        let mut now_and_then = |dice: &mut Dice, text: String| {
            if dice.roll(4) == 0 && round > 1 {
                filter.push(text);
            }
        };
        let status = format!(
            "dueStatus={},{}",
            dice.pick(&STATUSES[..3]),
            dice.pick(&STATUSES[3..])
        );
        now_and_then(&mut dice, status);
        let kind = *dice.pick(&["kind=training,planningDay", "kind=other"]);
        now_and_then(&mut dice, kind.to_owned());
        now_and_then(&mut dice, "level=behaviour,results".to_owned());
        let goal = *dice.pick(&["improveOperations", "keepDeveloping"]);
        now_and_then(&mut dice, format!("guidelineGoal={goal}"));
        let due = today - Days::new(dice.roll(600) as u64);
        now_and_then(&mut dice, format!("dueFrom={due}"));
        now_and_then(&mut dice, format!("dueTo={}", due + Days::new(200)));
        let unit = dice.pick(&units).clone();
        now_and_then(&mut dice, format!("unitId={unit}"));
        if dice.roll(6) == 0 {
            filter.push("dueStatus=overdue".to_owned());
            filter.retain(|text| {
                !text.contains(",completed")
                    && !text.contains(",waived")
                    && !text.contains(",cancelled")
            });
        }
        let mut seen = BTreeSet::new();
        filter.retain(|text| seen.insert(text.split('=').next().unwrap().to_owned()));
        let filter = filter.join("&");

        let listed = rows(app, &filter);
        for row in &listed {
            let expected = histories[row["id"].as_str().unwrap()].on(day);
            let (due_status, overdue) =
                expected.unwrap_or_else(|| panic!("{filter}: {row} was planned later"));
            assert_eq!(row["dueStatus"], json!(due_status), "{filter}: {row}");
            assert_eq!(row["daysOverdue"].as_i64(), overdue, "{filter}: {row}");
        }
        if filter.is_empty() || filter == format!("asOf={day}") {
            let planned = histories
                .values()
                .filter(|history| history.on(day).is_some());
            assert_eq!(listed.len(), planned.count(), "{filter}");
        }
        let numbers = summary(app, &filter);
        assert_eq!(numbers.len(), 1, "{filter}");
        expect_numbers(&numbers[0], &listed, &filter);
        for group_by in [
            "unit",
            "kind",
            "responsible",
            "goal",
            "businessGoal",
            "year",
            "tertial",
            "month",
            "ageBand",
        ] {
            let groups = summary(app, &format!("groupBy={group_by}&{filter}"));
            // a few groups of each: the list with the group as a filter too
            for _ in 0..2.min(groups.len()) {
                let group = dice.pick(&groups);
                if let Some(narrowed) = narrowed(&filter, &group["group"]) {
                    expect_numbers(group, &rows(app, &narrowed), &narrowed);
                }
            }
            // those that are in one group each add up
            if ["kind", "responsible", "year", "tertial", "month"].contains(&group_by) {
                let sum: u64 = groups
                    .iter()
                    .map(|row| row["followUps"].as_u64().unwrap())
                    .sum();
                assert_eq!(sum, listed.len() as u64, "{group_by} {filter}");
            }
        }
    }
}

/// The numbers of follow-ups are those of the list; of held events, at least those that the list shows.
fn expect_numbers(numbers: &Value, listed: &[Value], filter: &str) {
    assert_eq!(numbers["followUps"], listed.len(), "{filter}");
    for status in STATUSES {
        assert_eq!(numbers[status], count(listed, status), "{filter} {status}");
    }
    let held: BTreeSet<&str> = listed
        .iter()
        .filter(|row| row["heldOn"].is_string())
        .map(|row| row["eventId"].as_str().unwrap())
        .collect();
    let [counted, with_follow_up] =
        ["held", "heldWithFollowUp"].map(|name| numbers[name].as_u64().unwrap() as usize);
    let by_follow_ups = ["dueStatus", "level", "due", "age", "responsible"]
        .iter()
        .any(|name| filter.contains(name));
    if by_follow_ups {
        assert_eq!(counted, held.len(), "{filter}");
    } else {
        assert!(counted >= held.len(), "{filter}");
        let standing: BTreeSet<&str> = listed
            .iter()
            .filter(|row| row["heldOn"].is_string() && row["dueStatus"] != "cancelled")
            .map(|row| row["eventId"].as_str().unwrap())
            .collect();
        assert_eq!(with_follow_up, standing.len(), "{filter}");
    }
}

/// The filter of the list that shows what a group counts; `None` where the filter says something of the same already.
fn narrowed(filter: &str, group: &Value) -> Option<String> {
    let text = |name: &str| group[name].as_str();
    let mut more = vec![];
    for (member, parameter) in [
        ("unitId", "unitId"),
        ("kind", "kind"),
        ("guidelineGoal", "guidelineGoal"),
        ("businessGoalId", "businessGoalId"),
        ("responsiblePerson", "responsiblePerson"),
        ("ageBand", "ageBand"),
        ("from", "dueFrom"),
        ("to", "dueTo"),
    ] {
        if let Some(value) = text(member) {
            more.push((parameter, value));
        }
    }
    let mut narrowed: Vec<String> = filter
        .split('&')
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .collect();
    for (parameter, value) in more {
        let there = narrowed
            .iter()
            .any(|text| text.starts_with(&format!("{parameter}=")));
        // a period is cut to what was asked for already, a unit lies within it; of goals and kinds one of several is another filter
        match parameter {
            "dueFrom" | "dueTo" | "unitId" => {
                narrowed.retain(|text| !text.starts_with(&format!("{parameter}=")));
            }
            "kind" => narrowed.retain(|text| !text.starts_with("kind=")),
            _ if there => return None,
            _ => {}
        }
        narrowed.push(format!("{parameter}={value}"));
    }
    Some(narrowed.join("&"))
}

/// Weeks in which people plan, hold, follow up, void, waive, cancel, close and reopen as it comes; what was seen each evening is what the
/// status shows as of that day, for ever.
#[test]
fn what_was_seen_on_an_evening_is_what_stands_as_of_that_day_afterwards() {
    let seed: u64 = std::env::var(SEED).map_or_else(
        |_| u64::from(Uuid::new_v4().as_fields().0),
        |seed| seed.parse().expect("a number"),
    );
    println!("{SEED}={seed}");
    let mut dice = Dice(seed);
    let hedemora = Hedemora::new();
    let (app, planner, hr) = (&hedemora.app, &hedemora.planner, &hedemora.hr);
    app.it_is("2026-10-01T08:00:00Z");
    let mut events: Vec<String> = (0..3).map(|_| hedemora.confirmed()).collect();
    events.push(hedemora.ready());
    let evening = |query: &str| {
        (
            rows(app, query),
            summary(app, query),
            summary(app, &format!("groupBy=unit&{query}")),
        )
    };
    let mut seen = vec![];
    let mut done: BTreeMap<&str, usize> = BTreeMap::new();
    // the night to winter time lies in between
    let first: NaiveDate = "2026-10-01".parse().unwrap();
    for day in first.iter_days().take(40) {
        for hour in [7, 12] {
            app.it_is(&format!("{day}T{hour:02}:00:00Z"));
            let event = dice.pick(&events).clone();
            let follow_ups = hedemora.follow_ups(&event);
            let change = |status: &str| {
                let mut body = json!({"status": status, "reason": "Det blev så."});
                if status == "held" {
                    body["actualParticipants"] = json!({"total": 9});
                }
                app.change_status(hr, &event, &body).status
            };
            let action = *dice.pick(&[
                "plan", "hold", "entry", "entry", "void", "waive", "cancel", "close", "reopen",
                "late",
            ]);
            let on = follow_ups.get(dice.roll(follow_ups.len().max(1)));
            let path = on.map(|on| format!("/follow-ups/{}", on["id"].as_str().unwrap()));
            let status = match (action, path) {
                ("plan", _) => {
                    let due = day + Days::new(dice.roll(20) as u64);
                    let body = json!({"level": "behaviour", "method": "interview", "responsiblePerson": "person-planner", "dueDate": due});
                    app.post(planner, &format!("/events/{event}/follow-ups"), &body)
                        .status
                }
                ("hold" | "reopen", _) => change("held"),
                ("close", _) => change("closed"),
                // now and then
                ("cancel", _) if dice.roll(4) > 0 => continue,
                ("cancel", Some(path)) => act(app, hr, &path, "cancellation", "Inte nu.").status,
                ("late", Some(path)) => {
                    let due = json!({"dueDate": day - Days::new(2)});
                    // today's due date counts as of every day, so only before anything is seen
                    if seen.is_empty() {
                        app.patch(planner, &path, &due).status
                    } else {
                        continue;
                    }
                }
                ("waive", Some(path)) => {
                    act(app, hr, &path, "waiver", "Gruppen har upphört.").status
                }
                ("entry", Some(path)) => {
                    let level = *dice.pick(&["learning", "behaviour", "results"]);
                    let entry =
                        json!({"conductedOn": day, "level": level, "carriedOut": "asPlanned"});
                    app.post(hr, &format!("{path}/entries"), &entry).status
                }
                ("void", Some(path)) => {
                    let entries = app
                        .get(hr, &format!("{path}/entries?limit=100"))
                        .expect(200)
                        .body;
                    let entries = entries["items"].as_array().unwrap().clone();
                    if entries.is_empty() {
                        continue;
                    }
                    let entry = dice.pick(&entries)["id"].as_str().unwrap();
                    act(
                        app,
                        hr,
                        &format!("{path}/entries/{entry}"),
                        "voiding",
                        "Fel.",
                    )
                    .status
                }
                _ => continue,
            };
            if status < 300 {
                *done.entry(action).or_default() += 1;
            }
        }
        app.it_is(&format!("{day}T21:45:00Z"));
        seen.push((day, evening("")));
    }
    for action in ["plan", "hold", "entry"] {
        assert!(done.contains_key(action), "{done:?}");
    }
    app.it_is("2027-03-01T08:00:00Z");
    for (day, then) in seen {
        let now = evening(&format!("asOf={day}"));
        assert_eq!(now.0, then.0, "{day} {done:?}");
        assert_eq!((now.1, now.2), (then.1, then.2), "{day} {done:?}");
    }
}

#[test]
fn the_csv_has_every_row_of_the_list_however_many_there_are() {
    let database = fresh_database();
    fill(&database, 3_000, 3, 7);
    let app = &TestApp::on(&database, 8);
    app.it_is(crate::many::NOW);
    for query in [
        "",
        "sort=-dueDate&level=behaviour,results,learning&asOf=2026-08-01",
    ] {
        let path = format!("/follow-up-status?{query}");
        let csv = |method| {
            app.send(&app.hr(), method, &path, &[("Accept", "text/csv")], None)
                .expect(200)
        };
        let reply = csv("GET");
        assert_eq!(
            reply.header("Content-Type"),
            Some("text/csv; charset=utf-8")
        );
        assert_eq!(reply.header("Cache-Control"), Some("private, no-cache"));
        let lines: Vec<&str> = reply.text.lines().collect();
        assert!(lines[0].ends_with(",eventId,id"), "{}", lines[0]);
        let ids: Vec<&str> = lines[1..]
            .iter()
            .map(|line| line.rsplit(',').next().unwrap())
            .collect();
        let listed = rows(app, query);
        let listed: Vec<&str> = listed
            .iter()
            .map(|row| row["id"].as_str().unwrap())
            .collect();
        assert!(ids.len() > 1_500, "{}", ids.len());
        assert_eq!(ids, listed, "{query}");
        assert_eq!(csv("HEAD").text, "");
    }
}

#[test]
fn the_demo_data_shows_every_status_and_what_was_held_without_a_plan_or_not_marked_so() {
    let (app, _) = crate::demo::demo();
    let numbers = &summary(&app, "")[0];
    for status in STATUSES {
        assert!(numbers[status].as_u64() > Some(0), "{status} in {numbers}");
        assert!(!rows(&app, &format!("dueStatus={status}")).is_empty());
    }
    for number in [
        "held",
        "heldWithFollowUp",
        "heldWithoutPlan",
        "endedNotHeld",
    ] {
        assert!(numbers[number].as_u64() > Some(0), "{number} in {numbers}");
    }
    let overdue = rows(&app, "dueStatus=overdue");
    assert!(
        overdue.iter().any(|row| row["responsibleHasLeft"] == true),
        "and one whose responsible person has left"
    );
}

#[test]
fn an_event_held_by_exception_without_a_follow_up_is_counted_so_and_one_held_from_draft_as_without_a_plan()
 {
    let offices = Offices::new();
    let hedemora = &offices.hedemora;
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    let event = hedemora.draft(&hedemora.town_hall).id();
    hedemora.answer_everything(&event);
    let unplanned = hedemora.draft(&hedemora.town_hall).id();
    let request = json!({
        "ruleIds": ["question.followUp"],
        "reason": "Vi följer upp i medarbetarsamtalen ändå.",
        "alternativesConsidered": "En enkät.",
        "addressee": "departmentHead",
        "decisionNeededBy": "2026-10-01",
    });
    let path = format!("/events/{event}/exception-requests");
    let request = app.post(hr, &path, &request).expect(201).id();
    offices
        .decide(&offices.education_head, &request, "approved")
        .expect(201);
    app.change_status(hr, &event, &json!({"status": "confirmed"}))
        .expect(200);
    let numbers = |query: &str| {
        let whole = &summary(app, query)[0];
        [
            "held",
            "heldWithFollowUp",
            "heldExcepted",
            "heldWithoutPlan",
            "endedNotHeld",
            "followUps",
        ]
        .map(|name| whole[name].as_u64().expect("a number"))
    };
    app.it_is("2026-10-06T08:00:00Z");
    assert_eq!(numbers(""), [0, 0, 0, 0, 2, 0]);
    let held = json!({"status": "held", "reason": "Den hann inte planeras.", "actualParticipants": {"total": 12}});
    for event in [&event, &unplanned] {
        app.change_status(hr, event, &held).expect(200);
    }
    assert_eq!(numbers(""), [2, 0, 1, 1, 0, 0]);
    assert_eq!(numbers("asOf=2026-10-05"), [0, 0, 0, 0, 2, 0]);
    let by_kind = &summary(app, "groupBy=kind")[0];
    assert_eq!(by_kind["group"], json!({"kind": "planningDay"}));
    assert_eq!(
        (&by_kind["held"], &by_kind["heldExcepted"]),
        (&json!(2), &json!(1))
    );
    // counted through their follow-ups there are none
    assert_eq!(numbers("level=behaviour"), [0, 0, 0, 0, 0, 0]);
}

#[test]
fn what_no_status_can_be_asked_of_is_refused_by_name() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    for path in ["/statistics/events", "/statistics/goals"] {
        let unknown = format!("{path}?unitId=0190a000-0000-7000-8000-0000000fffff");
        let refused = app
            .get(&hedemora.hr, &unknown)
            .expect_problem(400, "invalid-parameter");
        assert_eq!(refused.faults(), ["unitId"]);
        assert_eq!(refused.body["errors"][0]["code"], "unknown-unit");
    }
    for path in ["/follow-up-status", "/follow-up-status/summary"] {
        for (query, parameter) in [
            ("dueFrom=2026-10-02&dueTo=2026-10-01", "dueTo"),
            ("asOf=2026-09-02", "asOf"),
            ("asOf=1899-12-31", "asOf"),
            ("asOf=2026-02-30", "asOf"),
            ("unitId=0190a000-0000-7000-8000-0000000fffff", "unitId"),
            ("dueStatus=late", "dueStatus"),
            ("ageBand=old", "ageBand"),
        ] {
            let refused = app
                .get(&hedemora.hr, &format!("{path}?{query}"))
                .expect_problem(400, "invalid-parameter");
            assert_eq!(refused.faults(), [parameter], "{query}");
        }
        app.get(&app.employee("person-planner"), path)
            .expect_problem(403, "forbidden");
    }
}

#[test]
fn the_csv_for_excel_has_its_mark_semicolons_crlf_and_no_formula() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    let (event, _) = held(&hedemora, "2026-10-20");
    app.database()
        .batch_execute(&format!(
            "update events set title = '=HYPERLINK(\"x\"); Åsa \"Ö\"' where id = '{event}'"
        ))
        .unwrap();
    let csv = |path: &str| {
        app.send(&hedemora.hr, "GET", path, &[("Accept", "text/csv")], None)
            .expect(200)
    };
    let reply = csv("/follow-up-status?excel=true");
    assert_eq!(
        reply.header("Content-Type"),
        Some("text/csv; charset=utf-8")
    );
    let text = reply
        .text
        .strip_prefix('\u{feff}')
        .expect("a byte order mark");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(b';')
        .flexible(false)
        .from_reader(text.as_bytes());
    let columns: Vec<String> = reader
        .headers()
        .unwrap()
        .iter()
        .map(str::to_owned)
        .collect();
    let lines: Vec<csv::StringRecord> = reader.records().map(|line| line.unwrap()).collect();
    assert_eq!((columns.len(), lines.len()), (18, 1));
    let cell = |name: &str| &lines[0][columns.iter().position(|column| column == name).unwrap()];
    assert_eq!(cell("eventTitle"), "'=HYPERLINK(\"x\"); Åsa \"Ö\"");
    assert_eq!(
        (cell("dueDate"), cell("dueStatus"), cell("units")),
        ("2026-10-20", "dueSoon", "Bildningsförvaltningen")
    );
    let plain = csv("/follow-up-status/summary?groupBy=unit");
    assert!(
        plain.text.starts_with("unitId,unitName,held,"),
        "{}",
        plain.text
    );
    assert!(
        plain.text.contains(",Bildningsförvaltningen,1,"),
        "{}",
        plain.text
    );
}

#[test]
fn a_planner_sees_the_own_units_and_no_others() {
    let hedemora = Hedemora::new();
    held(&hedemora, "2026-10-20");
    let app: &TestApp = &hedemora.app;
    let seen = |unit: &str| {
        let planner = app.person(
            "person-x",
            &[kompetens::rules::access::Role::Planner],
            &[unit],
        );
        let listed = app.get(&planner, "/follow-up-status").expect(200).body["items"]
            .as_array()
            .unwrap()
            .len();
        let counted = app
            .get(&planner, "/follow-up-status/summary")
            .expect(200)
            .body["items"][0]["followUps"]
            .clone();
        assert_eq!(counted.as_u64().unwrap_or(0), listed as u64);
        listed
    };
    assert_eq!(seen(&hedemora.education), 1);
    assert_eq!(seen(&hedemora.care), 0);
    assert_eq!(seen(&hedemora.municipality), 0);
}
