-- What every resource stands on: bounded dates, the change log, the idempotency records.

set local lock_timeout = '2s';

create extension if not exists btree_gist;

-- A far year or `infinity` in one row would break every list that reads it.
create domain day as date
    constraint day_in_range check (value >= date '1900-01-01' and value < date '2200-01-01');
create domain moment as timestamptz
    constraint moment_in_range check (value >= timestamptz '1900-01-01 00:00Z' and value < timestamptz '2200-01-01 00:00Z');

-- One log, three readers: the audit trail, the change feed and the webhooks.
-- A changed resource appends one entry in its own transaction; the sequencer numbers and chains
-- the entries afterwards, so that no write waits for another.
create table changes (
    entry_id      bigint generated always as identity primary key,
    request_id    text not null,
    occurred_at   moment not null,
    actor         text not null,
    on_behalf_of  text,
    client        text,
    operation     text not null,
    resource_type text not null,
    resource_id   uuid not null,
    revision      integer not null,
    event_id      uuid,
    digest        bytea not null,
    number        bigint,
    hash          bytea,
    constraint changes_numbered_with_hash check ((number is null) = (hash is null))
);
create unique index changes_number on changes (number) where number is not null;
create index changes_unnumbered on changes (entry_id) where number is null;
create index changes_by_request on changes (request_id);
create index changes_by_resource on changes (resource_id, entry_id);
create index changes_by_event on changes (event_id, entry_id) where event_id is not null;

-- `digest` covers what lies here (src/changes/chain.rs), so that disposal can delete it and the chain
-- still verifies. `json` keeps the bytes as they were digested.
create table change_payloads (
    entry_id bigint primary key references changes,
    salt     bytea not null,
    before   json,
    after    json
);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% on % is not allowed: it is append-only', tg_op, tg_table_name
        using errcode = 'restrict_violation', constraint = 'changes_append_only';
end $$;

-- The one change an entry may see: its number and hash, once.
create function number_once() returns trigger language plpgsql as $$
begin
    if old.number is null and new.number is not null
       and to_jsonb(new) - 'number' - 'hash' = to_jsonb(old) - 'number' - 'hash' then
        return new;
    end if;
    raise exception 'UPDATE on changes is not allowed: it is append-only'
        using errcode = 'restrict_violation', constraint = 'changes_append_only';
end $$;

create trigger changes_number_once before update on changes for each row execute function number_once();
create trigger changes_no_delete before delete on changes for each row execute function refuse_change();
create trigger changes_no_truncate before truncate on changes for each statement execute function refuse_change();
create trigger change_payloads_no_change before update or delete on change_payloads for each row execute function refuse_change();
create trigger change_payloads_no_truncate before truncate on change_payloads for each statement execute function refuse_change();

-- Answers of writes with an Idempotency-Key, kept for 24 hours.
create table idempotency_records (
    caller      text not null,
    key         text not null,
    fingerprint bytea not null,
    status      smallint not null,
    location    text,
    etag        text,
    body        bytea not null,
    created_at  moment not null,
    primary key (caller, key)
);
create index idempotency_records_by_age on idempotency_records (created_at);
