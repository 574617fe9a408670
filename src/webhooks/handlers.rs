//! Webhook subscriptions over HTTP.

use actix_web::web::Data;
use actix_web::{delete, get, patch, post};
use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde::Deserialize;
use std::time::Duration;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::address::{Networks, Refusal};
use super::{
    DeliveryStatus, NewWebhookSubscription, Secret, WebhookDelivery, WebhookSubscription,
    WebhookSubscriptionPatch,
};
use crate::db::Db;
use crate::db::schema::{webhook_deliveries, webhook_subscriptions};
use crate::error::{Code, Error};
use crate::guideline::Text;
use crate::http::Service;
use crate::http::answer::{Answer, BASE};
use crate::http::call::{Call, Json, Path, Query};
use crate::http::paging::{Paging, PagingParameters};
use crate::http::parameters::{IfMatch, IfNoneMatch};
use crate::http::patch::merged;
use crate::rules::access::Action;
use crate::{page_of, sort_by, window};

page_of!(
    /// A page of webhook subscriptions.
    WebhookSubscriptionPage, WebhookSubscription
);
page_of!(
    /// A page of deliveries.
    WebhookDeliveryPage, WebhookDelivery
);
sort_by!(
    WebhookSubscriptionSort,
    "createdAt",
    "-createdAt",
    "By the time when it was made."
);
sort_by!(
    WebhookDeliverySort,
    "createdAt",
    "-createdAt",
    "By the time when the service began with it."
);

#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct WebhookSubscriptionFilter {
    /// The order; `-` is descending.
    #[param(required = false, inline, example = "createdAt")]
    #[serde(default)]
    sort: WebhookSubscriptionSort,
}

#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, style = Form)]
struct WebhookDeliveryFilter {
    /// Only deliveries in one of these states.
    #[param(required = false, explode = false, min_items = 1, max_items = 4, example = json!(["failing", "failed"]))]
    status: Option<Vec<DeliveryStatus>>,
    /// The order; `-` is descending.
    #[param(required = false, inline, example = "createdAt")]
    #[serde(default)]
    sort: WebhookDeliverySort,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
struct WebhookSubscriptionPath {
    /// The id of the subscription.
    #[param(example = "0190a000-0000-7000-8000-000000002201")]
    webhook_subscription_id: Uuid,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
struct WebhookDeliveryPath {
    /// The id of the subscription.
    #[param(example = "0190a000-0000-7000-8000-000000002201")]
    webhook_subscription_id: Uuid,
    /// The id of the delivery.
    #[param(example = "0190a000-0000-7000-8000-000000002301")]
    delivery_id: Uuid,
}

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(list_webhook_subscriptions)
        .service(create_webhook_subscription)
        .service(get_webhook_subscription)
        .service(change_webhook_subscription)
        .service(delete_webhook_subscription)
        .service(rotate_webhook_secret)
        .service(create_test_delivery)
        .service(list_webhook_deliveries)
        .service(get_webhook_delivery)
        .service(redeliver_webhook);
}

fn find(conn: &mut PgConnection, id: Uuid) -> Result<WebhookSubscription, Error> {
    Ok(webhook_subscriptions::table
        .find(id)
        .select(WebhookSubscription::as_select())
        .first(conn)?)
}

fn find_for_update(conn: &mut PgConnection, id: Uuid) -> Result<WebhookSubscription, Error> {
    Ok(webhook_subscriptions::table
        .find(id)
        .select(WebhookSubscription::as_select())
        .for_update()
        .first(conn)?)
}

fn find_delivery(
    conn: &mut PgConnection,
    path: &WebhookDeliveryPath,
) -> Result<WebhookDelivery, Error> {
    Ok(webhook_deliveries::table
        .find(path.delivery_id)
        .filter(webhook_deliveries::subscription_id.eq(path.webhook_subscription_id))
        .select(WebhookDelivery::as_select())
        .first(conn)?)
}

/// 422 unless webhooks may be sent there, as the name resolves now. Resolving blocks, so it has a thread of its own.
async fn expect_address(networks: &Networks, url: &str) -> Result<(), Error> {
    let (networks, asked) = (networks.clone(), url.to_owned());
    let (answer, answered) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("webhook-address".to_owned())
        .spawn(move || {
            let _ = answer.send(networks.judge(&asked));
        })
        .map_err(Error::internal)?;
    let verdict = match tokio::time::timeout(Duration::from_secs(3), answered).await {
        Ok(Ok(verdict)) => verdict,
        _ => Err(Refusal::Unknown),
    };
    let detail = match verdict {
        Ok(()) => return Ok(()),
        Err(Refusal::Form) => Text::new(
            "Ange en fullständig https-adress utan användarnamn, lösenord och #.",
            "Give a whole https address without user name, password and #.",
        ),
        Err(Refusal::Unknown) => Text::new(
            "Värdnamnet i adressen hittas inte. Kontrollera det, och försök igen.",
            "The host name of the address cannot be found. Check it, and try again.",
        ),
        Err(Refusal::Inside) => Text::new(
            "Adressen leder till ett internt nät eller saknar https. Använd en publik https-adress, eller be driften tillåta nätet.",
            "The address leads to a network inside, or is not https. Use a public https address, or ask operations to allow the network.",
        ),
    };
    Err(Error::at_pointer(Code::WebhookAddressRefused, "/url").detail(detail))
}

/// List the webhook subscriptions
///
/// Without their secrets, which are shown once. For HR administrators.
#[utoipa::path(
    tag = "integrations",
    params(WebhookSubscriptionFilter, PagingParameters),
    responses((status = 200, description = "The page of subscriptions.", body = WebhookSubscriptionPage)),
)]
#[get("/kompetens/v1/webhook-subscriptions")]
async fn list_webhook_subscriptions(
    call: Call,
    db: Data<Db>,
    Query(filter): Query<WebhookSubscriptionFilter>,
    paging: Paging,
) -> Result<Answer, Error> {
    let asked = paging.clone();
    let rows = db
        .snapshot(move |conn| {
            call.may(Action::ManageIntegrations)?;
            let total = asked.total(|| webhook_subscriptions::table.count().get_result(conn))?;
            let query = webhook_subscriptions::table
                .select(WebhookSubscription::as_select())
                .into_boxed();
            let rows = window!(
                query,
                &asked,
                filter.sort.is_descending(),
                webhook_subscriptions::created_at,
                webhook_subscriptions::id,
                DateTime<Utc>
            )
            .load(conn)?;
            Ok((rows, total))
        })
        .await?;
    WebhookSubscriptionPage::answer(&paging, rows, |one| (one.created_at, one.id))
}

/// Make a webhook subscription
///
/// Its system is told of what happens from now on, by Standard Webhooks: a POST with `webhook-id`, `webhook-timestamp` and
/// `webhook-signature`, and a body that says what was changed: `{"type": "event.updated", "timestamp": …, "data": {"number": …,
/// "resourceType": …, "resourceId": …, "revision": …, "eventId": …}}`. It names no person; read the resource, or `GET /changes`.
/// Answer 2xx within 15 seconds; anything else, a redirect too, is tried again after 5 seconds, 5 and 30 minutes, 2, 5, 10 and 14 hours,
/// and so on for five days; then the subscription is turned off. A delivery may come twice, or after later ones: the number tells.
/// `secret` is shown this once.
#[utoipa::path(
    tag = "integrations",
    request_body = NewWebhookSubscription,
    responses((status = 201, description = "The subscription was made; `secret` is shown this once.", body = WebhookSubscription)),
)]
#[post("/kompetens/v1/webhook-subscriptions")]
async fn create_webhook_subscription(
    call: Call,
    db: Data<Db>,
    service: Data<Service>,
    Json(new): Json<NewWebhookSubscription>,
) -> Result<Answer, Error> {
    call.may(Action::ManageIntegrations)?;
    expect_address(&service.webhook_networks, &new.url).await?;
    let (id, secret) = (Uuid::now_v7(), Secret::random()?);
    db.write(move |conn| {
        call.once(conn, |conn| {
            let made = WebhookSubscription {
                secret: Some(secret.shown()),
                ..super::create(conn, &call, id, &secret, &new)?
            };
            let created =
                Answer::created(format!("/webhook-subscriptions/{id}"), &made, made.revision)?;
            Ok(Answer {
                shows_secret: true,
                ..created
            })
        })
    })
    .await
}

/// Read a webhook subscription
///
/// Without its secret, which was shown once.
#[utoipa::path(
    tag = "integrations",
    params(WebhookSubscriptionPath, IfNoneMatch),
    responses((status = 200, description = "The subscription.", body = WebhookSubscription), (status = 304, description = "The caller's copy is current.")),
)]
#[get("/kompetens/v1/webhook-subscriptions/{webhookSubscriptionId}")]
async fn get_webhook_subscription(
    call: Call,
    db: Data<Db>,
    Path(path): Path<WebhookSubscriptionPath>,
) -> Result<Answer, Error> {
    let subscription = db
        .read(move |conn| {
            call.may(Action::ManageIntegrations)?;
            find(conn, path.webhook_subscription_id)
        })
        .await?;
    Answer::ok(&subscription, subscription.revision)
}

/// Change a webhook subscription
///
/// Pause it, or make it active again: then it is told of all that has happened meanwhile, and what had failed is sent at once.
#[utoipa::path(
    tag = "integrations",
    params(WebhookSubscriptionPath, IfMatch),
    request_body = WebhookSubscriptionPatch,
    responses((status = 200, description = "The subscription as it is now.", body = WebhookSubscription)),
)]
#[patch("/kompetens/v1/webhook-subscriptions/{webhookSubscriptionId}")]
async fn change_webhook_subscription(
    call: Call,
    db: Data<Db>,
    service: Data<Service>,
    Path(path): Path<WebhookSubscriptionPath>,
    Json(patch): Json<WebhookSubscriptionPatch>,
) -> Result<Answer, Error> {
    call.may(Action::ManageIntegrations)?;
    if let Some(url) = patch.0.get("url").and_then(|url| url.as_str()) {
        expect_address(&service.webhook_networks, url).await?;
    }
    let answer = db
        .write(move |conn| {
            let before = find_for_update(conn, path.webhook_subscription_id)?;
            call.expect_revision(before.revision)?;
            let mut state = before.clone();
            // what the service turned off stays so until someone says otherwise, and is no status to ask for
            if state.status == super::SubscriptionStatus::Disabled
                && !patch.0.contains_key("status")
            {
                state.status = super::SubscriptionStatus::Paused;
            }
            let mut wanted: NewWebhookSubscription = merged(&state, &patch.0)?;
            if !patch.0.contains_key("status") {
                wanted.status = None;
            }
            let after = super::change(conn, &call, &before, &wanted)?;
            Answer::ok(&after, after.revision)
        })
        .await?;
    db.numbered().notify_one();
    Ok(answer)
}

/// Delete a webhook subscription
///
/// With its log of deliveries. Nothing more is sent; pause it instead if it shall go on later.
#[utoipa::path(
    tag = "integrations",
    params(WebhookSubscriptionPath, IfMatch),
    responses((status = 204, description = "The subscription is gone.")),
)]
#[delete("/kompetens/v1/webhook-subscriptions/{webhookSubscriptionId}")]
async fn delete_webhook_subscription(
    call: Call,
    db: Data<Db>,
    Path(path): Path<WebhookSubscriptionPath>,
) -> Result<Answer, Error> {
    db.write(move |conn| {
        call.may(Action::ManageIntegrations)?;
        let subscription = find_for_update(conn, path.webhook_subscription_id)?;
        call.expect_revision(subscription.revision)?;
        super::delete(conn, &call, &subscription)?;
        Answer::gone()
    })
    .await
}

/// Rotate the secret of a webhook subscription
///
/// Answers the new secret, once. For 24 hours each delivery has two signatures, by the new secret and by the one before.
#[utoipa::path(
    tag = "integrations",
    params(WebhookSubscriptionPath, IfMatch),
    responses((status = 200, description = "The subscription; `secret` is shown this once.", body = WebhookSubscription)),
)]
#[post("/kompetens/v1/webhook-subscriptions/{webhookSubscriptionId}/secret-rotation")]
async fn rotate_webhook_secret(
    call: Call,
    db: Data<Db>,
    Path(path): Path<WebhookSubscriptionPath>,
) -> Result<Answer, Error> {
    let secret = Secret::random()?;
    db.write(move |conn| {
        call.may(Action::ManageIntegrations)?;
        let before = find_for_update(conn, path.webhook_subscription_id)?;
        call.once(conn, |conn| {
            call.expect_revision(before.revision)?;
            let after = WebhookSubscription {
                secret: Some(secret.shown()),
                ..super::rotate(conn, &call, &before, &secret)?
            };
            Ok(Answer {
                shows_secret: true,
                location: Some(format!("{BASE}/webhook-subscriptions/{}", after.id)),
                ..Answer::ok(&after, after.revision)?
            })
        })
    })
    .await
}

/// Send a test delivery
///
/// A message of the type `webhookSubscription.test`, sent at once, also while the subscription is paused or turned off. Read at `Location`
/// what came of it.
#[utoipa::path(
    tag = "integrations",
    params(WebhookSubscriptionPath),
    responses((status = 201, description = "The delivery, which waits for its attempt.", body = WebhookDelivery)),
)]
#[post("/kompetens/v1/webhook-subscriptions/{webhookSubscriptionId}/test-deliveries")]
async fn create_test_delivery(
    call: Call,
    db: Data<Db>,
    Path(path): Path<WebhookSubscriptionPath>,
) -> Result<Answer, Error> {
    let id = Uuid::now_v7();
    let answer = db
        .write(move |conn| {
            call.may(Action::ManageIntegrations)?;
            let subscription = find(conn, path.webhook_subscription_id)?.id;
            call.once(conn, |conn| {
                let delivery = super::test(conn, &call, subscription, id)?;
                let path = format!("/webhook-subscriptions/{subscription}/deliveries/{id}");
                Answer::created(path, &delivery, delivery.attempts)
            })
        })
        .await?;
    db.numbered().notify_one();
    Ok(answer)
}

/// List the deliveries of a webhook subscription
///
/// What was delivered within 30 days, and all that was not.
#[utoipa::path(
    tag = "integrations",
    params(WebhookSubscriptionPath, WebhookDeliveryFilter, PagingParameters),
    responses((status = 200, description = "The page of deliveries.", body = WebhookDeliveryPage)),
)]
#[get("/kompetens/v1/webhook-subscriptions/{webhookSubscriptionId}/deliveries")]
async fn list_webhook_deliveries(
    call: Call,
    db: Data<Db>,
    Path(path): Path<WebhookSubscriptionPath>,
    Query(filter): Query<WebhookDeliveryFilter>,
    paging: Paging,
) -> Result<Answer, Error> {
    let asked = paging.clone();
    let rows = db
        .snapshot(move |conn| {
            call.may(Action::ManageIntegrations)?;
            let subscription = find(conn, path.webhook_subscription_id)?.id;
            let matching = || {
                let query = webhook_deliveries::table
                    .filter(webhook_deliveries::subscription_id.eq(subscription))
                    .into_boxed();
                match &filter.status {
                    Some(statuses) => query.filter(webhook_deliveries::status.eq_any(statuses)),
                    None => query,
                }
            };
            let total = asked.total(|| matching().count().get_result(conn))?;
            let query = matching().select(WebhookDelivery::as_select());
            let rows = window!(
                query,
                &asked,
                filter.sort.is_descending(),
                webhook_deliveries::created_at,
                webhook_deliveries::id,
                DateTime<Utc>
            )
            .load(conn)?;
            Ok((rows, total))
        })
        .await?;
    WebhookDeliveryPage::answer(&paging, rows, |one| (one.created_at, one.id))
}

/// Read a delivery
///
/// How often it was sent, what the receiver answered, and when it will be sent again.
#[utoipa::path(
    tag = "integrations",
    params(WebhookDeliveryPath, IfNoneMatch),
    responses((status = 200, description = "The delivery.", body = WebhookDelivery), (status = 304, description = "The caller's copy is current.")),
)]
#[get("/kompetens/v1/webhook-subscriptions/{webhookSubscriptionId}/deliveries/{deliveryId}")]
async fn get_webhook_delivery(
    call: Call,
    db: Data<Db>,
    Path(path): Path<WebhookDeliveryPath>,
) -> Result<Answer, Error> {
    let delivery = db
        .read(move |conn| {
            call.may(Action::ManageIntegrations)?;
            find_delivery(conn, &path)
        })
        .await?;
    Answer::ok(&delivery, delivery.attempts)
}

/// Send a delivery again
///
/// At once and whatever became of it, under the same `webhook-id`; also while the subscription is paused or turned off.
#[utoipa::path(
    tag = "integrations",
    params(WebhookDeliveryPath),
    responses((status = 200, description = "The delivery, which waits for its next attempt.", body = WebhookDelivery)),
)]
#[post(
    "/kompetens/v1/webhook-subscriptions/{webhookSubscriptionId}/deliveries/{deliveryId}/redelivery"
)]
async fn redeliver_webhook(
    call: Call,
    db: Data<Db>,
    Path(path): Path<WebhookDeliveryPath>,
) -> Result<Answer, Error> {
    let answer = db
        .write(move |conn| {
            call.may(Action::ManageIntegrations)?;
            find_delivery(conn, &path)?;
            call.once(conn, |conn| {
                let delivery: WebhookDelivery =
                    diesel::update(webhook_deliveries::table.find(path.delivery_id))
                        .set((
                            webhook_deliveries::status.eq(DeliveryStatus::Pending),
                            webhook_deliveries::requested.eq(true),
                            webhook_deliveries::next_attempt_at.eq(call.now),
                        ))
                        .returning(WebhookDelivery::as_returning())
                        .get_result(conn)?;
                Answer::ok(&delivery, delivery.attempts)
            })
        })
        .await?;
    db.numbered().notify_one();
    Ok(answer)
}
