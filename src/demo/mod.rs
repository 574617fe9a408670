//! Hedemora's demo data: a diary of what people in the municipality have done up to the day on which it is loaded.
//!
//! `organisation` and `events` are the tables. What they say is put in order of time and replayed through the functions
//! that HTTP uses, each entry as one call of its own by the person who would have made it, with that day as now. So access is
//! judged, baselines are frozen and findings kept as they would have been, and the change log tells the same story.
//!
//! Ids are fixed, and they are the ids of the document's examples. Dates are relative to the day of loading; people are
//! plainly invented, and their names are functions.

mod diary;
mod events;
mod exceptions;
mod organisation;

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use serde_json::json;
use std::fmt;
use uuid::Uuid;

use crate::calendar_feeds::NewCalendarFeed;
use crate::changes::ResourceType;
use crate::db::migrations;
use crate::error::Error;
use crate::identity::clients::NewMachineClient;
use crate::organisation::units;
use crate::retention::{NewRetentionRule, RecordKind};
use crate::rules::access::Scope;
use crate::webhooks::{NewWebhookSubscription, WantedStatus};
use diary::{Days, Deed, Entry};

/// The HR administrator of the demo.
pub const HR_ADMINISTRATOR: &str = "person-0001";
const ARCHIVIST: &str = "person-0020";
/// A draft worth reading the compliance of: half answered, in a hired venue in town that asks for a reason.
pub const FIRST_EVENT: Uuid = events::id(2);

/// Any number will do that no other lock has.
const LOCK: i64 = 0x6b6f_6d70_6465_6d6f;

/// What became of loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The demo data was loaded, by so many calls.
    Loaded { calls: usize },
    /// It was there already; nothing was changed.
    There,
    /// The database holds other units; nothing was changed.
    Foreign,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Loaded { calls } => write!(
                f,
                "Hedemora's demo data is loaded: {} events, and the organisation around them, by {calls} calls.",
                events::STORIES.len()
            ),
            Outcome::There => f.write_str(
                "Hedemora's demo data is already there, from the day it was first loaded. Nothing was changed.",
            ),
            Outcome::Foreign => f.write_str(
                "the database holds units that are not the demo's, so nothing was loaded; give `kompetens demo` an empty database",
            ),
        }
    }
}

/// Loads the demo data into an empty database. A second time, on any later day, changes nothing; a database that holds other
/// units is refused.
pub fn load(url: &str) -> Result<Outcome, String> {
    match load_at(url, Utc::now())? {
        Outcome::Foreign => Err(Outcome::Foreign.to_string()),
        outcome => Ok(outcome),
    }
}

/// The HR administrator keeps an eye on the education department's days.
fn calendar_feed(days: &Days) -> Entry {
    let new = NewCalendarFeed {
        name: Some("Bildningsförvaltningens dagar".to_owned()),
        unit_id: Some(diary::id(0x101)),
        include_subtree: None,
        person_ref: None,
    };
    Entry {
        at: days.at(-30, (8, 0)),
        by: HR_ADMINISTRATOR,
        deed: Deed::CalendarFeed(diary::id(0x1901), new),
    }
}

/// The HR system keeps units and people as they are there. Whoever wants to try it rotates its secret.
fn hr_system(days: &Days) -> Entry {
    let new = NewMachineClient {
        name: "HR-systemet".to_owned(),
        scopes: [
            Scope::EventsRead,
            Scope::OrganisationWrite,
            Scope::ImportsWrite,
        ]
        .into(),
        unit_ids: None,
        source_system: "hr-system".to_owned(),
        expires_at: days.at(730, (8, 0)),
    };
    Entry {
        at: days.at(-30, (8, 30)),
        by: HR_ADMINISTRATOR,
        deed: Deed::MachineClient(diary::id(0x1a01), new),
    }
}

/// The archivist has the council's decision on how long closed events are kept.
fn retention_rule(days: &Days) -> Entry {
    let new = NewRetentionRule {
        record_kind: RecordKind::ClosedEvent,
        years: Some(10),
        decision_reference: "KS 2026/117 § 42".to_owned(),
    };
    Entry {
        at: days.at(-200, (9, 0)),
        by: ARCHIVIST,
        deed: Deed::RetentionRule(diary::id(0x2101), new),
    }
}

/// The HR system is to be told of events; its receiver is not there, so the subscription is paused.
fn webhook(days: &Days) -> Entry {
    let new = NewWebhookSubscription {
        url: "https://hr.example.se/hooks/kompetens".to_owned(),
        description: Some("HR-systemet".to_owned()),
        resource_types: Some(vec![ResourceType::Event, ResourceType::FollowUp]),
        status: Some(WantedStatus::Paused),
    };
    Entry {
        at: days.at(-20, (8, 0)),
        by: HR_ADMINISTRATOR,
        deed: Deed::Webhook((diary::id(0x2201), diary::id(0x2301)), new),
    }
}

/// What the HR system keeps, sent once more by hand: a goal that is so already, and a study visit, which needs no approval.
fn import(days: &Days) -> Entry {
    let lines = vec![
        json!({"resource": "businessGoal", "sourceSystem": "hr-system", "externalId": "4711", "body": {
            "unitId": diary::id(0x101), "title": "Fler elever når gymnasiebehörighet", "validFrom": "2020-01-01",
        }}),
        json!({"resource": "event", "sourceSystem": "hr-system", "externalId": "4712", "body": {
            "title": "Studiebesök hos en grannkommun", "kind": "studyVisit", "arranger": "group",
            "organisingUnitIds": [diary::id(0x101)], "responsiblePerson": "person-0003",
            "occasions": [{"startsAt": days.at(30, (9, 0)), "endsAt": days.at(30, (15, 0)), "place": "undecided"}],
        }}),
    ];
    Entry {
        at: days.at(-2, (8, 0)),
        by: HR_ADMINISTRATOR,
        deed: Deed::Import((diary::id(0x2001), diary::id(0x2002)), lines),
    }
}

/// Loads the demo data unless there are units already, for `serve --local`.
pub fn load_if_empty(url: &str) -> Result<(), String> {
    load_at(url, Utc::now()).map(|_| ())
}

/// The same at a given moment, as one transaction. The message of an error never names the URL.
pub fn load_at(url: &str, now: DateTime<Utc>) -> Result<Outcome, String> {
    let mut conn = PgConnection::establish(url).map_err(|_| {
        "the database could not be reached; check the URL and that it accepts connections"
            .to_owned()
    })?;
    if !migrations::is_current(&mut conn).unwrap_or(false) {
        return Err(
            "the database does not have this program's schema; run `kompetens migrate` first"
                .to_owned(),
        );
    }
    conn.transaction(|conn| {
        // whoever loads at the same time waits here, and then finds it there
        conn.batch_execute(&format!(
            "set local timezone = 'UTC'; select pg_advisory_xact_lock({LOCK})"
        ))?;
        if !units::queries::known(conn, &[organisation::MUNICIPALITY])?.is_empty() {
            return Ok(Outcome::There);
        }
        if units::queries::any(conn)? {
            return Ok(Outcome::Foreign);
        }
        let days = Days::until(now);
        let entries = [
            organisation::diary(&days),
            events::diary(&days),
            exceptions::diary(&days),
            vec![
                calendar_feed(&days),
                hr_system(&days),
                retention_rule(&days),
                webhook(&days),
                import(&days),
            ],
        ]
        .concat();
        let calls = diary::replay(conn, entries)?;
        Ok(Outcome::Loaded { calls })
    })
    .map_err(|error: Error| format!("the demo data could not be loaded: {error}"))
}
