-- API clients: the credentials of machines. And the versions by which every instance notices that something it keeps in memory has changed.

set local lock_timeout = '2s';

create table api_clients (
    id            uuid primary key,
    revision      integer not null,
    name          text collate "sv-x-icu" not null,
    scopes        text[] not null,
    -- none: the whole group
    unit_ids      uuid[],
    source_system text not null,
    expires_at    moment not null,
    ended_at      moment,
    created_by    text not null,
    created_at    moment not null,
    updated_at    moment not null,
    constraint api_clients_known_scopes check (scopes <@ array[
        'events:read', 'events:write', 'exceptions:write', 'follow-ups:write', 'reports:read',
        'organisation:write', 'imports:write', 'changes:read', 'audit:read'])
);
create index api_clients_by_name on api_clients (name, id);

-- The secret itself is nowhere: only its SHA-256.
create table api_client_secrets (
    id         uuid primary key,
    client_id  uuid not null references api_clients,
    hash       bytea not null,
    created_at moment not null,
    -- until when it is good beside the one that took its place; none: as long as its client
    expires_at moment,
    ended_at   moment
);
create index api_client_secrets_by_client on api_client_secrets (client_id);

-- Apart from the secrets, so that using one changes nothing that is kept in memory, and is no change of the client.
create table api_client_uses (
    secret_id    uuid primary key references api_client_secrets,
    last_used_at moment not null
);

create view api_client_details as
select c.*,
    coalesce((select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                  'id', s.id, 'createdAt', s.created_at, 'expiresAt', s.expires_at, 'lastUsedAt', u.last_used_at))
                  order by s.created_at, s.id)
              from api_client_secrets s left join api_client_uses u on u.secret_id = s.id
              where s.client_id = c.id and s.ended_at is null), '[]') as secrets
from api_clients c;

-- One row for each thing that instances keep in memory (src/references.rs). A statement that changes the thing counts its version up,
-- in its own transaction: who sees the version sees the change.
create table reference_versions (
    name    text primary key,
    version bigint not null
);

-- Counted with the rights of the schema's owner: the running role only reads it.
create function count_reference() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
begin
    update reference_versions set version = version + 1 where name = tg_argv[0];
    return null;
end $$;

insert into reference_versions values ('apiClients', 1);
create trigger api_clients_reference after insert or update or delete or truncate on api_clients
    for each statement execute function count_reference('apiClients');
create trigger api_client_secrets_reference after insert or update or delete or truncate on api_client_secrets
    for each statement execute function count_reference('apiClients');
