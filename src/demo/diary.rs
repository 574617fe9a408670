//! The diary: who did what when. An entry is one call of a use case.

use chrono::{DateTime, Datelike, Days as Span, NaiveDate, NaiveTime, Utc, Weekday};
use diesel::pg::PgConnection;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::organisation;
use crate::calendar_feeds::{self, NewCalendarFeed};
use crate::error::Error;
use crate::events::status::{self, NewStatusChange};
use crate::events::{self, EventContent};
use crate::exceptions::{self, NewDecision, NewExceptionRequest, NewRecordedDecision};
use crate::external_ids::{ExternalId, Origin};
use crate::follow_ups::entries::{self, NewFollowUpEntry};
use crate::follow_ups::{self, Grounds, NewFollowUp};
use crate::http::call::{Call, IfMatch};
use crate::identity::clients::{self, NewMachineClient};
use crate::imports;
use crate::organisation::appointments::{self, NewOfficeAppointment};
use crate::organisation::contracts::{self, NewSupplierContract};
use crate::organisation::goals::{self, NewBusinessGoal};
use crate::organisation::people::{self, NewPerson};
use crate::organisation::units::{self, NewUnit};
use crate::organisation::venues::{self, NewVenue};
use crate::planning;
use crate::retention::{self, NewRetentionRule};
use crate::rules::access::Action;
use crate::rules::answers::PlanningAnswer;
use crate::rules::calendar;
use crate::webhooks::{self, NewWebhookSubscription};

/// The id of the demo that ends in these digits, as in the document's examples.
pub const fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0190_a000_0000_7000_8000_0000_0000_0000 + number)
}

/// The days around the one on which the demo is loaded: 0 is today, -1 yesterday.
pub struct Days {
    pub today: NaiveDate,
}

impl Days {
    pub fn until(now: DateTime<Utc>) -> Days {
        Days {
            today: calendar::stockholm_date(now),
        }
    }

    /// So many days from today.
    pub fn date(&self, days: i64) -> NaiveDate {
        let span = Span::new(days.unsigned_abs());
        if days < 0 {
            self.today - span
        } else {
            self.today + span
        }
    }

    /// So many days from today, or the nearest working day further away. Nothing that is past becomes future by it.
    pub fn working_day(&self, days: i64) -> NaiveDate {
        let date = self.date(days);
        match (date.weekday(), days < 0) {
            (Weekday::Sat, true) => date - Span::new(1),
            (Weekday::Sun, true) => date - Span::new(2),
            (Weekday::Sat, false) => date + Span::new(2),
            (Weekday::Sun, false) => date + Span::new(1),
            _ => date,
        }
    }

    /// That working day at this hour and minute in Hedemora.
    // no working day is one on which the clocks change, so the day's start tells how far UTC is
    pub fn at(&self, days: i64, (hour, minute): (u32, u32)) -> DateTime<Utc> {
        let time = NaiveTime::from_hms_opt(hour, minute, 0).unwrap_or_default();
        calendar::start_of_day(self.working_day(days)) + (time - NaiveTime::MIN)
    }
}

/// What somebody did, and when.
#[derive(Clone)]
pub struct Entry {
    pub at: DateTime<Utc>,
    /// The personRef.
    pub by: &'static str,
    pub deed: Deed,
}

/// What can be done: one use case each.
#[derive(Debug, Clone)]
pub enum Deed {
    Unit(Uuid, NewUnit),
    Person(Uuid, NewPerson),
    Appointment(Uuid, NewOfficeAppointment),
    Goal(Uuid, NewBusinessGoal),
    Venue(Uuid, NewVenue),
    Contract(Uuid, NewSupplierContract),
    /// The ids are the event's and its occasions'.
    Event((Uuid, Vec<Uuid>), EventContent),
    /// A merge patch of an event.
    Change(Uuid, Map<String, Value>),
    /// The ids are the event's and the answer's, which is `None` for an answer that stands already.
    Answer((Uuid, Option<Uuid>), &'static str, PlanningAnswer),
    /// The ids are the event's and the follow-up's.
    FollowUp((Uuid, Uuid), NewFollowUp),
    /// The ids are the follow-up's and the entry's.
    FollowUpEntry((Uuid, Uuid), NewFollowUpEntry),
    /// The ids are the follow-up's and the entry's.
    VoidEntry((Uuid, Uuid), Grounds),
    /// The id is the follow-up's.
    Waive(Uuid, Grounds),
    /// The ids are the event's, and those of the log's row and the baseline.
    Status(Uuid, (Uuid, Uuid), NewStatusChange),
    /// The ids are the event's and the exception request's.
    Ask((Uuid, Uuid), NewExceptionRequest),
    /// The ids are the exception request's and the decision's.
    Decide((Uuid, Uuid), NewDecision),
    Withdraw(Uuid),
    /// A decision taken elsewhere.
    Record(Uuid, NewRecordedDecision),
    /// The ids are the import's and its first line's.
    Import((Uuid, Uuid), Vec<Value>),
    /// Its address is told to nobody.
    CalendarFeed(Uuid, NewCalendarFeed),
    /// Its secret is told to nobody.
    MachineClient(Uuid, NewMachineClient),
    RetentionRule(Uuid, NewRetentionRule),
    /// The ids are the subscription's and that of a test delivery, which was given up.
    Webhook((Uuid, Uuid), NewWebhookSubscription),
}

/// Replays the entries in order of time; says how many there were.
pub fn replay(conn: &mut PgConnection, mut entries: Vec<Entry>) -> Result<usize, Error> {
    entries.sort_by_key(|entry| entry.at);
    for (number, Entry { at, by, deed }) in entries.iter().enumerate() {
        let call = Call::new(organisation::actor(by), *at, &format!("demo-{number:04}"));
        perform(conn, &call, deed).map_err(|error| {
            let faults = error.errors();
            Error::internal(format!("{error} {faults:?} when {by} at {at}: {deed:?}"))
        })?;
    }
    Ok(entries.len())
}

/// What the handler does between the door and the answer.
fn perform(conn: &mut PgConnection, call: &Call, deed: &Deed) -> Result<(), Error> {
    match deed {
        Deed::Event((id, occasion_ids), content) => {
            let ground = events::expect_may_create(conn, call, content)?;
            let origin = origin(*id, content)?;
            events::create(
                conn,
                call,
                (*id, occasion_ids),
                content,
                &ground,
                origin.as_ref(),
            )
            .map(drop)
        }
        Deed::Change(event, patch) => {
            let event = events::queries::load_for_update(conn, *event)?;
            events::change(conn, call, &event, patch, &[]).map(drop)
        }
        Deed::Answer((event, id), question, answer) => {
            let event = events::queries::load_for_update(conn, *event)?;
            call.may_with_offices(conn, Action::EditPlanning(&event.facts()))?;
            let mut call = call.clone();
            call.if_match = id.is_none().then_some(IfMatch::Any);
            let id = id.unwrap_or_default();
            planning::answer(conn, &call, &event, question, id, answer).map(drop)
        }
        Deed::FollowUp((event, id), new) => {
            let event = events::queries::load_for_update(conn, *event)?;
            call.may_with_offices(conn, Action::EditPlanning(&event.facts()))?;
            follow_ups::plan(conn, call, *id, &event, new).map(drop)
        }
        Deed::FollowUpEntry((follow_up, id), new) => {
            let (event, follow_up) = follow_ups::lock(conn, *follow_up)?;
            let of = (&event, &follow_up);
            let call = entries::authored(conn, call, of, new.on_behalf_of.as_deref())?;
            entries::write(conn, &call, *id, of, new).map(drop)
        }
        Deed::VoidEntry((follow_up, id), grounds) => {
            let (event, follow_up) = follow_ups::lock(conn, *follow_up)?;
            let of = (&event, &follow_up);
            entries::expect_may_write(conn, call, of)?;
            let before = follow_ups::queries::find_entry(conn, follow_up.id, *id)?;
            entries::void(conn, call, of, &before, grounds).map(drop)
        }
        Deed::Waive(follow_up, grounds) => {
            let (event, follow_up) = follow_ups::lock(conn, *follow_up)?;
            let action = Action::WaiveFollowUp {
                event: &event.facts(),
                responsible_person: &follow_up.responsible_person,
            };
            call.may_with_offices(conn, action)?;
            follow_ups::waive(conn, call, (&event, &follow_up), grounds).map(drop)
        }
        Deed::Status(event, ids, new) => {
            let event = events::queries::load_for_update(conn, *event)?;
            let facts = event.facts();
            let (event_facts, to) = (&facts, new.status);
            call.may_with_offices(
                conn,
                Action::ChangeStatus {
                    event: event_facts,
                    to,
                },
            )?;
            status::change(conn, call, &event, new, *ids).map(drop)
        }
        Deed::Ask((event, id), new) => {
            let event = events::queries::load_for_update(conn, *event)?;
            call.may_with_offices(conn, Action::AskException(&event.facts()))?;
            exceptions::submit(conn, call, *id, &event, new).map(drop)
        }
        Deed::Decide((request, id), new) => {
            let (event, request) = exceptions::lock(conn, *request)?;
            exceptions::expect_may_decide(conn, call, (&event, &request), None)?;
            exceptions::decide(conn, call, *id, (&event, &request), new).map(drop)
        }
        Deed::Withdraw(request) => {
            let (event, request) = exceptions::lock(conn, *request)?;
            let (facts, requester) = (event.facts(), &request.requested_by);
            let action = Action::WithdrawException {
                event: &facts,
                requester,
            };
            call.may_with_offices(conn, action)?;
            exceptions::withdraw(conn, call, &event, &request).map(drop)
        }
        Deed::Record(request, new) => {
            let (event, request) = exceptions::lock(conn, *request)?;
            call.may_with_offices(conn, Action::RecordDecision(&event.facts()))?;
            exceptions::record(conn, call, (&event, &request), new).map(drop)
        }
        Deed::Import((id, first), lines) => {
            call.may(Action::Import)?;
            imports::queries::open(conn, call, *id, false)?;
            let rows: Vec<_> = (0..)
                .zip(lines)
                .map(|(nth, line)| {
                    let number = i32::try_from(nth).unwrap_or_default() + 1;
                    let mut row = imports::received(call, number, Ok(line.to_string().as_bytes()));
                    row.id = Uuid::from_u128(first.as_u128() + nth);
                    row
                })
                .collect();
            imports::queries::add(conn, *id, &rows, call.now)?;
            imports::queries::start(conn, *id, call.now)?;
            while imports::step(conn, call.now)? == imports::Step::Done {}
            Ok(())
        }
        Deed::CalendarFeed(id, new) => {
            let secret = calendar_feeds::Secret::random()?;
            calendar_feeds::create(conn, call, *id, &secret, new).map(drop)
        }
        Deed::MachineClient(id, new) => {
            call.may(Action::ManageIntegrations)?;
            clients::create(conn, call, *id, &clients::Secret::random()?, new).map(drop)
        }
        Deed::Unit(id, new) => units::create(
            conn,
            administering(call)?,
            *id,
            new,
            origin(*id, new)?.as_ref(),
        )
        .map(drop),
        Deed::Person(id, new) => people::create(
            conn,
            administering(call)?,
            *id,
            new,
            origin(*id, new)?.as_ref(),
        )
        .map(drop),
        Deed::Appointment(id, new) => appointments::create(
            conn,
            administering(call)?,
            *id,
            new,
            origin(*id, new)?.as_ref(),
        )
        .map(drop),
        Deed::Goal(id, new) => goals::create(
            conn,
            administering(call)?,
            *id,
            new,
            origin(*id, new)?.as_ref(),
        )
        .map(drop),
        Deed::Venue(id, new) => venues::create(
            conn,
            administering(call)?,
            *id,
            new,
            origin(*id, new)?.as_ref(),
        )
        .map(drop),
        Deed::Contract(id, new) => contracts::create(
            conn,
            administering(call)?,
            *id,
            new,
            origin(*id, new)?.as_ref(),
        )
        .map(drop),
        Deed::RetentionRule(id, new) => {
            call.may(Action::Dispose)?;
            retention::post(conn, call, *id, new).map(drop)
        }
        Deed::Webhook((id, delivery), new) => {
            call.may(Action::ManageIntegrations)?;
            let secret = webhooks::Secret::random()?;
            webhooks::create(conn, call, *id, &secret, new)?;
            webhooks::test(conn, call, *id, *delivery)?;
            // the receiver is an example: nothing is to be sent
            webhooks::give_up(conn, *delivery)
        }
    }
}

/// The HR system keeps one of each resource, and calls it `4711`.
fn origin(id: Uuid, body: &impl Serialize) -> Result<Option<Origin>, Error> {
    const KEPT: [u128; 7] = [0x112, 0x203, 0x301, 0x401, 0x501, 0x601, 0x1001];
    let external = ExternalId {
        source_system: "hr-system".to_owned(),
        external_id: "4711".to_owned(),
    };
    KEPT.contains(&(id.as_u128() & 0xffff))
        .then(|| Origin::new(external, body))
        .transpose()
}

/// The call, when it may write the organisation.
fn administering(call: &Call) -> Result<&Call, Error> {
    call.may(Action::WriteOrganisation).map(|()| call)
}
