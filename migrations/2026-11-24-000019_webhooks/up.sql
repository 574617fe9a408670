-- Webhooks: who is told of changes, how far each has been told, and each delivery.

set local lock_timeout = '2s';

create table webhook_subscriptions (
    id              uuid primary key,
    revision        integer not null,
    url             text not null,
    description     text,
    resource_types  text[],
    status          text not null,
    -- signing needs the secrets themselves
    secret          bytea not null,
    previous_secret bytea,
    previous_until  moment,
    -- the last number of the change log that was delivered, or has a delivery of its own
    last_number     bigint not null,
    -- since when nothing has got through
    failing_since   moment,
    -- which instance's turn it is, by the time when it ends
    claimed_until   moment,
    created_by      text not null,
    created_at      moment not null,
    updated_at      moment not null,
    constraint webhook_subscriptions_known_status check (status in ('active', 'paused', 'disabled'))
);
create index webhook_subscriptions_by_time on webhook_subscriptions (created_at, id);

create table webhook_deliveries (
    id              uuid primary key,
    subscription_id uuid not null references webhook_subscriptions,
    -- of the change; null for a test
    number          bigint,
    status          text not null,
    -- asked for by a person: sent also while the subscription is paused or off
    requested       boolean not null,
    attempts        integer not null,
    next_attempt_at moment,
    last_attempt_at moment,
    response_status integer,
    error           text,
    created_at      moment not null,
    constraint webhook_deliveries_known_status check (status in ('pending', 'delivered', 'failing', 'failed')),
    constraint webhook_deliveries_once unique (subscription_id, number)
);
create index webhook_deliveries_by_time on webhook_deliveries (subscription_id, created_at, id);
create index webhook_deliveries_due on webhook_deliveries (subscription_id, next_attempt_at) where next_attempt_at is not null;
