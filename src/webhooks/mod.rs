//! Webhooks: systems that are told of changes as they happen, by Standard Webhooks (standardwebhooks.com).
//!
//! A delivery says what was changed, not to what: it names no person, and the receiver reads the rest with its own rights.
//! Each subscription follows the numbered change log and keeps the last number delivered, so a receiver that is down misses nothing;
//! what fails is tried again for five days, then the subscription is turned off. `deliver` sends, one instance at a time for each.

pub mod address;
pub mod deliver;
pub mod handlers;

use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Duration, Utc};
use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text as SqlText};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::changes::{self, Change, Operation, ResourceType, sequencer};
use crate::db::schema::{webhook_deliveries, webhook_subscriptions};
use crate::error::Error;
use crate::http::call::Call;
use crate::{patch_of, stored_as_text};

/// How long the secret before a rotation signs too.
const BOTH_SECRETS: i64 = 24;

/// Whether a subscription is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum SubscriptionStatus {
    /// It is told of every change.
    Active,
    /// Someone has paused it; when it is active again it is told of what has happened meanwhile.
    Paused,
    /// Turned off by the service after five days without a delivery that got through. Set `active` to begin again where it stopped.
    Disabled,
}

/// What has become of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum DeliveryStatus {
    /// It waits for its first attempt.
    Pending,
    /// The receiver answered 2xx.
    Delivered,
    /// It has failed and will be tried again.
    Failing,
    /// It has failed for five days; it is sent again only when someone asks for it.
    Failed,
}

stored_as_text!(SubscriptionStatus, DeliveryStatus);

/// A system that is told of changes.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = webhook_subscriptions, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct WebhookSubscription {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000002201")]
    pub id: Uuid,
    /// Goes up by one with each change.
    #[schema(example = 1)]
    pub revision: i32,
    /// Where deliveries are sent.
    #[schema(example = "https://hr.example.se/hooks/kompetens")]
    pub url: String,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "HR-systemet")]
    pub description: Option<String>,
    /// The types of resource it is told of; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["event", "followUp"]))]
    pub resource_types: Option<Vec<ResourceType>>,
    pub status: SubscriptionStatus,
    /// Since when nothing has got through; absent while all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-10-05T06:30:00Z")]
    pub failing_since: Option<DateTime<Utc>>,
    /// Who made it.
    #[schema(example = "person-0001")]
    pub created_by: String,
    /// When it was made.
    #[schema(example = "2026-10-05T06:30:00Z")]
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    #[schema(example = "2026-10-05T06:30:00Z")]
    pub updated_at: DateTime<Utc>,
    /// The secret that signs, as Standard Webhooks' libraries take it: only in the answer that made it.
    #[diesel(select_expression = sql("null"), select_expression_type = SqlLiteral<Nullable<SqlText>>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=")]
    pub secret: Option<String>,
}

/// A subscription to make.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"url": "https://hr.example.se/hooks/kompetens", "description": "HR-systemet", "resourceTypes": ["event", "followUp"]}))]
pub struct NewWebhookSubscription {
    /// Where deliveries shall be sent: https, and an address of the public internet unless the operator allows others.
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = "^https?://",
        example = "https://hr.example.se/hooks/kompetens"
    )]
    pub url: String,
    /// What it is for.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"\S",
        example = "HR-systemet"
    )]
    pub description: Option<String>,
    /// The types of resource it shall be told of; without it, all.
    #[schema(min_items = 1, max_items = 30, example = json!(["event", "followUp"]))]
    pub resource_types: Option<Vec<ResourceType>>,
    /// `active` or `paused`; without it, active.
    #[schema(example = "active")]
    pub status: Option<WantedStatus>,
}

/// What the status of a subscription may be set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum WantedStatus {
    /// To be told of every change, also of those that came while it was not active.
    Active,
    /// To be told of nothing until it is active again.
    Paused,
}

patch_of!(WebhookSubscriptionPatch, NewWebhookSubscription, "Changes to a webhook subscription; what is left out stays as it is.", {"status": "paused"});

/// One delivery of a subscription: a change, or a test.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = webhook_deliveries, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct WebhookDelivery {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000002301")]
    pub id: Uuid,
    /// The subscription.
    #[schema(example = "0190a000-0000-7000-8000-000000002201")]
    pub subscription_id: Uuid,
    /// The number of the change that it tells of; absent for a test.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 17)]
    pub number: Option<i64>,
    pub status: DeliveryStatus,
    /// How often it has been sent.
    #[schema(example = 1)]
    pub attempts: i32,
    /// When it will be sent next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-10-05T06:30:00Z")]
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it was sent last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-10-05T06:30:00Z")]
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// What the receiver answered last (HTTP status).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 204)]
    pub response_status: Option<i32>,
    /// Why the last attempt failed, when no answer came: `timeout`, `address-refused`, `unknown-host`, `connection-failed` or `tls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "timeout")]
    pub error: Option<String>,
    /// When the service began with it.
    #[schema(example = "2026-10-05T06:30:00Z")]
    pub created_at: DateTime<Utc>,
}

/// What signs deliveries: 32 random bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    pub fn random() -> Result<Secret, Error> {
        let mut bytes = vec![0; 32];
        rand::fill(&mut bytes).map_err(Error::internal)?;
        Ok(Secret(bytes))
    }

    /// As Standard Webhooks writes it.
    fn shown(&self) -> String {
        format!("whsec_{}", STANDARD.encode(&self.0))
    }

    /// The signature of a message (scheme v1: HMAC-SHA256).
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(tag.as_ref()))
    }
}

/// Makes a subscription that is told of what happens from now on.
pub fn create(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    secret: &Secret,
    new: &NewWebhookSubscription,
) -> Result<WebhookSubscription, Error> {
    let (last_number, _) = sequencer::head(conn)?;
    let subscription = diesel::insert_into(webhook_subscriptions::table)
        .values((
            webhook_subscriptions::id.eq(id),
            webhook_subscriptions::revision.eq(1),
            webhook_subscriptions::url.eq(&new.url),
            webhook_subscriptions::description.eq(&new.description),
            webhook_subscriptions::resource_types.eq(&new.resource_types),
            webhook_subscriptions::status.eq(status(new, SubscriptionStatus::Active)),
            webhook_subscriptions::secret.eq(&secret.0),
            webhook_subscriptions::last_number.eq(last_number),
            webhook_subscriptions::created_by.eq(call.author()),
            webhook_subscriptions::created_at.eq(call.now),
            webhook_subscriptions::updated_at.eq(call.now),
        ))
        .returning(WebhookSubscription::as_returning())
        .get_result(conn)?;
    append(conn, call, Operation::Create, None, Some(&subscription))?;
    Ok(subscription)
}

fn status(new: &NewWebhookSubscription, otherwise: SubscriptionStatus) -> SubscriptionStatus {
    match new.status {
        Some(WantedStatus::Active) => SubscriptionStatus::Active,
        Some(WantedStatus::Paused) => SubscriptionStatus::Paused,
        None => otherwise,
    }
}

/// Gives a subscription other values; leaves it alone when they are the same. Made active again, it tries at once what has failed.
pub fn change(
    conn: &mut PgConnection,
    call: &Call,
    before: &WebhookSubscription,
    new: &NewWebhookSubscription,
) -> Result<WebhookSubscription, Error> {
    let status = status(new, before.status);
    if before.url == new.url
        && before.description == new.description
        && before.resource_types == new.resource_types
        && before.status == status
    {
        return Ok(before.clone());
    }
    let resumes = status == SubscriptionStatus::Active && before.status != status;
    let after = diesel::update(webhook_subscriptions::table.find(before.id))
        .set((
            webhook_subscriptions::url.eq(&new.url),
            webhook_subscriptions::description.eq(&new.description),
            webhook_subscriptions::resource_types.eq(&new.resource_types),
            webhook_subscriptions::status.eq(status),
            webhook_subscriptions::failing_since.eq(before.failing_since.filter(|_| !resumes)),
            webhook_subscriptions::revision.eq(before.revision + 1),
            webhook_subscriptions::updated_at.eq(call.now),
        ))
        .returning(WebhookSubscription::as_returning())
        .get_result(conn)?;
    if resumes {
        let undelivered = webhook_deliveries::table
            .filter(webhook_deliveries::subscription_id.eq(before.id))
            .filter(webhook_deliveries::status.ne(DeliveryStatus::Delivered));
        diesel::update(undelivered)
            .set((
                webhook_deliveries::status.eq(DeliveryStatus::Pending),
                webhook_deliveries::next_attempt_at.eq(call.now),
                // five days more
                webhook_deliveries::created_at.eq(call.now),
            ))
            .execute(conn)?;
    }
    append(conn, call, Operation::Update, Some(before), Some(&after))?;
    Ok(after)
}

/// Gives a subscription a new secret; for a day both sign.
pub fn rotate(
    conn: &mut PgConnection,
    call: &Call,
    before: &WebhookSubscription,
    secret: &Secret,
) -> Result<WebhookSubscription, Error> {
    let after = diesel::update(webhook_subscriptions::table.find(before.id))
        .set((
            webhook_subscriptions::previous_secret.eq(webhook_subscriptions::secret.nullable()),
            webhook_subscriptions::previous_until.eq(call.now + Duration::hours(BOTH_SECRETS)),
            webhook_subscriptions::secret.eq(&secret.0),
            webhook_subscriptions::revision.eq(before.revision + 1),
            webhook_subscriptions::updated_at.eq(call.now),
        ))
        .returning(WebhookSubscription::as_returning())
        .get_result(conn)?;
    append(conn, call, Operation::Update, Some(before), Some(&after))?;
    Ok(after)
}

/// Deletes a subscription with its deliveries.
pub fn delete(
    conn: &mut PgConnection,
    call: &Call,
    subscription: &WebhookSubscription,
) -> Result<(), Error> {
    diesel::delete(
        webhook_deliveries::table.filter(webhook_deliveries::subscription_id.eq(subscription.id)),
    )
    .execute(conn)?;
    diesel::delete(webhook_subscriptions::table.find(subscription.id)).execute(conn)?;
    append(conn, call, Operation::Delete, Some(subscription), None)
}

/// Asks for a test delivery.
pub fn test(
    conn: &mut PgConnection,
    call: &Call,
    subscription: Uuid,
    id: Uuid,
) -> Result<WebhookDelivery, Error> {
    Ok(diesel::insert_into(webhook_deliveries::table)
        .values((
            webhook_deliveries::id.eq(id),
            webhook_deliveries::subscription_id.eq(subscription),
            webhook_deliveries::status.eq(DeliveryStatus::Pending),
            webhook_deliveries::requested.eq(true),
            webhook_deliveries::attempts.eq(0),
            webhook_deliveries::next_attempt_at.eq(call.now),
            webhook_deliveries::created_at.eq(call.now),
        ))
        .returning(WebhookDelivery::as_returning())
        .get_result(conn)?)
}

/// Gives a delivery up, as it is given up after five days: it is sent again only when someone asks for it.
pub fn give_up(conn: &mut PgConnection, delivery: Uuid) -> Result<(), Error> {
    diesel::update(webhook_deliveries::table.find(delivery))
        .set((
            webhook_deliveries::status.eq(DeliveryStatus::Failed),
            webhook_deliveries::requested.eq(false),
            webhook_deliveries::next_attempt_at.eq(None::<DateTime<Utc>>),
        ))
        .execute(conn)?;
    Ok(())
}

fn append(
    conn: &mut PgConnection,
    call: &Call,
    operation: Operation,
    before: Option<&WebhookSubscription>,
    after: Option<&WebhookSubscription>,
) -> Result<(), Error> {
    let Some(subscription) = after.or(before) else {
        return Ok(());
    };
    let change = Change {
        operation,
        resource: ResourceType::WebhookSubscription,
        id: subscription.id,
        revision: subscription.revision,
        event_id: None,
        before,
        after,
    };
    changes::append(conn, call, &change)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification of Standard Webhooks.
    #[test]
    fn a_message_is_signed_as_the_specification_shows() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = Secret(secret).sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
