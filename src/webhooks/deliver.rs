//! Delivery: each active subscription is served by one instance at a time, in the order of the change log.
//!
//! An instance claims a subscription for a while (a row that others skip), sends what it has not had, and lets go. What fails
//! becomes a row that is tried again on its own; the next change goes on, until ten stand open: then the receiver is taken to be down, and only
//! what is due is tried. A crash between sending and noting it means that it is sent again, under the same `webhook-id`.

use chrono::{DateTime, Duration as Span, SecondsFormat, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Timestamptz, Uuid as SqlUuid};
use serde::Serialize;
use std::time::{Duration, Instant};
use ureq::Agent;
use ureq::unversioned::transport::DefaultConnector;
use utoipa::ToSchema;
use uuid::Uuid;

use super::address::{Judging, Networks};
use super::{DeliveryStatus, Secret, SubscriptionStatus, WebhookSubscription, append};
use crate::changes::chain::Entry;
use crate::changes::{Operation, ResourceType};
use crate::db::Db;
use crate::db::schema::{
    changes, webhook_deliveries as deliveries, webhook_subscriptions as subscriptions,
};
use crate::error::Error;
use crate::http::call::Call;
use crate::http::{Clock, outbound};
use crate::identity::Actor;

/// How long a receiver may take for one answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// For how long a subscription is claimed; no turn with its last attempt takes longer.
const CLAIM: Span = Span::seconds(60);
/// After so long a turn begins no new attempt.
const TURN: Duration = Duration::from_secs(30);
/// How many subscriptions an instance serves at once: receivers that never answer take a place each, and a thread that waits.
const AT_ONCE: usize = 32;
/// With so many deliveries open the receiver is taken to be down.
const OPEN: i64 = 10;
/// After so long without success a delivery, and a subscription, is given up.
const GIVE_UP: Span = Span::days(5);
/// How long what was delivered stands in the log of deliveries.
const KEPT: Span = Span::days(30);
/// The waits after the first, second, … failed attempt, in seconds; the last one again and again.
const WAITS: [i64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// What a subscription is told of a change.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeMessage {
    /// The type of the resource and what was done: `created`, `updated`, `deleted`, `disposed` or, where nothing was done, `reminder`.
    #[serde(rename = "type")]
    #[schema(example = "event.updated")]
    kind: String,
    /// When the change was made.
    #[schema(value_type = DateTime<Utc>, example = "2026-10-05T06:30:00.000000Z")]
    timestamp: String,
    data: ChangeMessageData,
}

/// Which change, of what.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeMessageData {
    /// Its number in the change feed: `GET /changes?after=16&limit=1` begins with 17.
    #[schema(example = 17)]
    number: i64,
    /// What was changed.
    #[schema(value_type = ResourceType, example = "event")]
    resource_type: String,
    /// Its id.
    #[schema(example = "0190a000-0000-7000-8000-000000001001")]
    resource_id: Uuid,
    /// The revision it got.
    #[schema(example = 2)]
    revision: i32,
    /// The event it belongs to; null when it belongs to none.
    #[schema(required = true, example = "0190a000-0000-7000-8000-000000001001")]
    event_id: Option<Uuid>,
}

/// What a subscription is sent as a test.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestMessage {
    /// Always `webhookSubscription.test`.
    #[serde(rename = "type")]
    #[schema(example = "webhookSubscription.test")]
    kind: &'static str,
    /// When the test was asked for.
    #[schema(value_type = DateTime<Utc>, example = "2026-10-05T06:30:00.000000Z")]
    timestamp: String,
    data: TestMessageData,
}

/// Of which subscription it is a test.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestMessageData {
    /// The subscription.
    #[schema(example = "0190a000-0000-7000-8000-000000002201")]
    subscription_id: Uuid,
}

/// When to try again after so many attempts; `chance` in 0..1 spreads those that failed together over a fifth more.
fn wait(attempts: i32, chance: f64) -> Span {
    let index = usize::try_from(attempts - 1)
        .unwrap_or(0)
        .min(WAITS.len() - 1);
    Span::milliseconds((WAITS[index] as f64 * 1000.0 * (1.0 + chance / 5.0)) as i64)
}

/// Serves for as long as the service runs: when changes have been numbered, and every `poll` for what is due.
pub async fn run(db: Db, clock: Clock, networks: Networks, poll: Duration) {
    let agent = agent(&networks);
    let mut turns = tokio::task::JoinSet::new();
    let mut tidied = Instant::now();
    loop {
        while turns.len() < AT_ONCE {
            let now = (clock.0)();
            match db.keep_house(move |conn| claim(conn, now)).await {
                Ok(Some(id)) => {
                    turns.spawn_local(take_turn(db.clone(), clock.clone(), agent.clone(), id));
                }
                // nothing to do, or the database is away
                Ok(None) | Err(_) => break,
            }
        }
        if tidied.elapsed() > Duration::from_secs(3600) {
            tidied = Instant::now();
            let before = (clock.0)() - KEPT;
            let _ = db.keep_house(move |conn| forget(conn, before)).await;
        }
        tokio::select! {
            _ = tokio::time::sleep(poll) => {}
            () = db.numbered().notified() => {}
            Some(_) = turns.join_next() => {}
        }
    }
}

/// A client that connects to nothing that was not judged, follows no redirect, and goes through no proxy, which would resolve for it.
fn agent(networks: &Networks) -> Agent {
    Agent::with_parts(
        outbound::agent(PATIENCE).config().clone(),
        DefaultConnector::default(),
        Judging(networks.clone()),
    )
}

/// Claims a subscription that has something to send; any of them, so that none has to wait for all others. One whose receiver owes the
/// answer to an earlier attempt comes later, as a rule: a crowd of those would hold up the one that answers.
///
/// A claim that would last longer than one can was made by a clock that has been set back since.
fn claim(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<Option<Uuid>, Error> {
    #[derive(QueryableByName)]
    struct Claimed {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
    }
    let claimed: Option<Claimed> = diesel::sql_query(
        "update webhook_subscriptions set claimed_until = $2 where id = (
            select s.id from webhook_subscriptions s
            where (s.claimed_until is null or s.claimed_until <= $1 or s.claimed_until > $3) and (
                exists (select from webhook_deliveries d where d.subscription_id = s.id and d.next_attempt_at <= $1
                    and (s.status = 'active' or d.requested))
                or s.status = 'active' and s.last_number < (select max(number) from changes)
                    and 10 > (select count(*) from webhook_deliveries d
                        where d.subscription_id = s.id and d.next_attempt_at is not null))
            order by random() + case when exists (select from webhook_deliveries d
                where d.subscription_id = s.id and d.next_attempt_at is not null and d.attempts > 0) then 0.9 else 0 end
            limit 1 for update skip locked)
         returning id",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<Timestamptz, _>(now + CLAIM)
    .bind::<Timestamptz, _>(now + CLAIM * 2)
    .get_result(conn)
    .optional()?;
    Ok(claimed.map(|claimed| claimed.id))
}

/// What is to be sent now.
#[derive(Clone)]
struct Message {
    /// The row of the delivery, when there is one already.
    delivery: Option<Uuid>,
    number: Option<i64>,
    attempts: i32,
    created_at: DateTime<Utc>,
    url: String,
    id: String,
    body: String,
    secrets: Vec<Secret>,
}

/// Serves one subscription until nothing more is to be sent or its turn is over.
async fn take_turn(db: Db, clock: Clock, agent: Agent, id: Uuid) {
    let began = Instant::now();
    while began.elapsed() < TURN {
        let now = (clock.0)();
        let Ok(Some(message)) = db.keep_house(move |conn| next(conn, id, now)).await else {
            break;
        };
        let outcome = send(&agent, &message, now).await;
        let gave_no_answer = outcome.error == Some("timeout");
        let now = (clock.0)();
        let chance = f64::from(Uuid::new_v4().as_bytes()[0]) / 256.0;
        let delivery = message.delivery.unwrap_or_else(Uuid::now_v7);
        let request_id = Uuid::now_v7().to_string();
        let noted = db
            .keep_house(move |conn| {
                let call = Call::new(Actor::System, now, &request_id);
                note(conn, &call, id, delivery, &message, &outcome, chance)
            })
            .await;
        // not noted: it will be sent again, as the receiver must expect. And one that does not answer lets others have its place
        if noted.is_err() || gave_no_answer {
            break;
        }
    }
    let _ = db
        .keep_house(move |conn| {
            diesel::update(subscriptions::table.find(id))
                .set(subscriptions::claimed_until.eq(None::<DateTime<Utc>>))
                .execute(conn)?;
            Ok(())
        })
        .await;
}

/// The next message of a subscription: what is due again first, then the next change. Passes over changes of other types.
fn next(conn: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> Result<Option<Message>, Error> {
    type Row = (
        (String, SubscriptionStatus, i64, Option<Vec<ResourceType>>),
        (Vec<u8>, Option<Vec<u8>>, Option<DateTime<Utc>>),
    );
    let found: Option<Row> = subscriptions::table
        .find(id)
        .select((
            (
                subscriptions::url,
                subscriptions::status,
                subscriptions::last_number,
                subscriptions::resource_types,
            ),
            (
                subscriptions::secret,
                subscriptions::previous_secret,
                subscriptions::previous_until,
            ),
        ))
        .for_update()
        .first(conn)
        .optional()?;
    // it may have been deleted meanwhile
    let Some(((url, status, last_number, types), (secret, previous, until))) = found else {
        return Ok(None);
    };
    let previous = previous.filter(|_| until.is_some_and(|until| now < until));
    let secrets = std::iter::once(secret)
        .chain(previous)
        .map(Secret)
        .collect();
    let message = Message {
        delivery: None,
        number: None,
        attempts: 0,
        created_at: now,
        url,
        id: String::new(),
        body: String::new(),
        secrets,
    };

    let mut due = deliveries::table
        .filter(deliveries::subscription_id.eq(id))
        .filter(deliveries::next_attempt_at.le(now))
        .into_boxed();
    if status != SubscriptionStatus::Active {
        due = due.filter(deliveries::requested.eq(true));
    }
    let due: Option<(Uuid, Option<i64>, i32, DateTime<Utc>)> = due
        .order((deliveries::requested.desc(), deliveries::next_attempt_at))
        .select((
            deliveries::id,
            deliveries::number,
            deliveries::attempts,
            deliveries::created_at,
        ))
        .first(conn)
        .optional()?;
    if let Some((delivery, number, attempts, created_at)) = due {
        let (message_id, body) = match number {
            Some(number) => of_change(&numbered(conn, number)?, number)?,
            None => of_test(id, delivery, created_at)?,
        };
        return Ok(Some(Message {
            delivery: Some(delivery),
            number,
            attempts,
            created_at,
            id: message_id,
            body,
            ..message
        }));
    }

    let open: i64 = deliveries::table
        .filter(deliveries::subscription_id.eq(id))
        .filter(deliveries::next_attempt_at.is_not_null())
        .count()
        .get_result(conn)?;
    if status != SubscriptionStatus::Active || open >= OPEN {
        return Ok(None);
    }
    let head: Option<i64> = changes::table
        .select(diesel::dsl::max(changes::number))
        .first(conn)?;
    // no further than the head just read: what is numbered later may be of the right type
    let head = head.unwrap_or(0);
    let mut log = changes::table
        .filter(changes::number.gt(last_number))
        .filter(changes::number.le(head))
        .into_boxed();
    if let Some(types) = types {
        log = log.filter(changes::resource_type.eq_any(types));
    }
    let entry: Option<Entry> = log
        .order(changes::number)
        .select(Entry::as_select())
        .first(conn)
        .optional()?;
    match entry
        .as_ref()
        .and_then(|entry| Some((entry, entry.number?)))
    {
        Some((entry, number)) => {
            let (message_id, body) = of_change(entry, number)?;
            Ok(Some(Message {
                number: Some(number),
                id: message_id,
                body,
                ..message
            }))
        }
        None => {
            if head > last_number {
                diesel::update(subscriptions::table.find(id))
                    .set(subscriptions::last_number.eq(head))
                    .execute(conn)?;
            }
            Ok(None)
        }
    }
}

fn numbered(conn: &mut PgConnection, number: i64) -> Result<Entry, Error> {
    Ok(changes::table
        .filter(changes::number.eq(number))
        .select(Entry::as_select())
        .first(conn)?)
}

/// The id and body of a message about a change: what was done to what, and no word of a person.
fn of_change(entry: &Entry, number: i64) -> Result<(String, String), Error> {
    let done = match entry.operation.as_str() {
        "create" => "created",
        "update" => "updated",
        "delete" => "deleted",
        "remind" => "reminder",
        _ => "disposed",
    };
    let body = ChangeMessage {
        kind: format!("{}.{done}", entry.resource_type),
        timestamp: written(entry.occurred_at),
        data: ChangeMessageData {
            number,
            resource_type: entry.resource_type.clone(),
            resource_id: entry.resource_id,
            revision: entry.revision,
            event_id: entry.event_id,
        },
    };
    let body = serde_json::to_string(&body).map_err(Error::internal)?;
    Ok((format!("change-{number}"), body))
}

fn of_test(
    subscription: Uuid,
    delivery: Uuid,
    at: DateTime<Utc>,
) -> Result<(String, String), Error> {
    let body = TestMessage {
        kind: "webhookSubscription.test",
        timestamp: written(at),
        data: TestMessageData {
            subscription_id: subscription,
        },
    };
    let body = serde_json::to_string(&body).map_err(Error::internal)?;
    Ok((format!("test-{delivery}"), body))
}

fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    response_status: Option<i32>,
    error: Option<&'static str>,
}

impl Outcome {
    fn is_delivered(&self) -> bool {
        self.response_status
            .is_some_and(|status| (200..300).contains(&status))
    }
}

/// Sends a message on a thread of its own: the client blocks, and the database's threads are not for that.
async fn send(agent: &Agent, message: &Message, now: DateTime<Utc>) -> Outcome {
    let (agent, message) = (agent.clone(), message.clone());
    let (answer, answered) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("webhook".to_owned());
    let spawned = thread.spawn(move || {
        let _ = answer.send(attempt(&agent, &message, now.timestamp()));
    });
    let lost = Outcome {
        response_status: None,
        error: Some("connection-failed"),
    };
    match spawned {
        Ok(_) => answered.await.unwrap_or(lost),
        Err(_) => lost,
    }
}

fn attempt(agent: &Agent, message: &Message, timestamp: i64) -> Outcome {
    let signatures: Vec<String> = message
        .secrets
        .iter()
        .map(|secret| secret.sign(&message.id, timestamp, &message.body))
        .collect();
    let answer = agent
        .post(&message.url)
        .header("Content-Type", "application/json")
        .header("webhook-id", &message.id)
        .header("webhook-timestamp", timestamp.to_string())
        .header("webhook-signature", signatures.join(" "))
        .config()
        .proxy(None)
        .build()
        .send(message.body.as_str());
    match answer {
        Ok(response) => Outcome {
            response_status: Some(i32::from(response.status().as_u16())),
            error: None,
        },
        Err(error) => Outcome {
            response_status: None,
            error: Some(match &error {
                ureq::Error::Timeout(_) => "timeout",
                ureq::Error::HostNotFound => "unknown-host",
                ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                    "address-refused"
                }
                ureq::Error::Tls(_) | ureq::Error::Rustls(_) => "tls",
                _ => "connection-failed",
            }),
        },
    }
}

/// Notes what came of an attempt: the delivery's row, how far the subscription has come, and whether it is turned off.
fn note(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    delivery: Uuid,
    message: &Message,
    outcome: &Outcome,
    chance: f64,
) -> Result<(), Error> {
    let now = call.now;
    let found: Option<WebhookSubscription> = subscriptions::table
        .find(id)
        .select(WebhookSubscription::as_select())
        .for_update()
        .first(conn)
        .optional()?;
    let Some(subscription) = found else {
        return Ok(());
    };
    let attempts = message.attempts + 1;
    let (status, next_attempt_at) = if outcome.is_delivered() {
        (DeliveryStatus::Delivered, None)
    } else if now - message.created_at >= GIVE_UP {
        (DeliveryStatus::Failed, None)
    } else {
        (DeliveryStatus::Failing, Some(now + wait(attempts, chance)))
    };
    let became = (
        deliveries::status.eq(status),
        deliveries::requested.eq(false),
        deliveries::attempts.eq(attempts),
        deliveries::next_attempt_at.eq(next_attempt_at),
        deliveries::last_attempt_at.eq(now),
        deliveries::response_status.eq(outcome.response_status),
        deliveries::error.eq(outcome.error),
    );
    match message.delivery {
        Some(row) => {
            diesel::update(deliveries::table.find(row))
                .set(became)
                .execute(conn)?;
        }
        None => {
            diesel::insert_into(deliveries::table)
                .values((
                    deliveries::id.eq(delivery),
                    deliveries::subscription_id.eq(id),
                    deliveries::number.eq(message.number),
                    deliveries::created_at.eq(message.created_at),
                    became,
                ))
                .execute(conn)?;
            diesel::update(subscriptions::table.find(id))
                .set(subscriptions::last_number.eq(message.number.unwrap_or_default()))
                .execute(conn)?;
        }
    }
    let failing_since = match outcome.is_delivered() {
        true => None,
        false => Some(subscription.failing_since.unwrap_or(now)),
    };
    let turned_off = subscription.status == SubscriptionStatus::Active
        && failing_since.is_some_and(|since| now - since >= GIVE_UP);
    diesel::update(subscriptions::table.find(id))
        .set((
            subscriptions::failing_since.eq(failing_since),
            subscriptions::claimed_until.eq(now + CLAIM),
        ))
        .execute(conn)?;
    if turned_off {
        let after: WebhookSubscription = diesel::update(subscriptions::table.find(id))
            .set((
                subscriptions::status.eq(SubscriptionStatus::Disabled),
                subscriptions::revision.eq(subscription.revision + 1),
                subscriptions::updated_at.eq(now),
            ))
            .returning(WebhookSubscription::as_returning())
            .get_result(conn)?;
        append(
            conn,
            call,
            Operation::Update,
            Some(&subscription),
            Some(&after),
        )?;
        log::warn!(
            "webhook subscription {id} is turned off: nothing has got through for five days"
        );
    }
    Ok(())
}

/// Removes what was delivered long ago from the log of deliveries.
fn forget(conn: &mut PgConnection, before: DateTime<Utc>) -> Result<(), Error> {
    let old = deliveries::table
        .filter(deliveries::status.eq(DeliveryStatus::Delivered))
        .filter(deliveries::last_attempt_at.lt(before));
    diesel::delete(old).execute(conn)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_spaced_as_the_specification_says_with_a_fifth_of_jitter() {
        let seconds: Vec<i64> = (1..=10)
            .map(|attempt| wait(attempt, 0.0).num_seconds())
            .collect();
        assert_eq!(
            seconds,
            [
                5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400, 86_400
            ]
        );
        assert_eq!(wait(1, 0.999).num_milliseconds(), 5_999);
    }
}
