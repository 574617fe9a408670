-- Imports of JSON lines: what was sent, line by line, until each line has its result.

set local lock_timeout = '2s';

create table imports (
    id                uuid primary key,
    status            text not null,
    dry_run           boolean not null,
    lines             integer not null default 0,
    processed         integer not null default 0,
    created           integer not null default 0,
    changed           integer not null default 0,
    unchanged         integer not null default 0,
    outside_guideline integer not null default 0,
    refused           integer not null default 0,
    created_by        text not null,
    -- who sent it, with the rights of that moment
    importer          jsonb not null,
    request_id        text not null,
    created_at        moment not null,
    updated_at        moment not null,
    constraint imports_known_status check (status in ('receiving', 'running', 'completed'))
);
create index imports_running on imports (created_at, id) where status = 'running';

create table import_rows (
    id            uuid primary key,
    import_id     uuid not null references imports,
    line          integer not null,
    outcome       text not null,
    resource      text,
    source_system text,
    external_id   text,
    resource_id   uuid,
    problem       jsonb,
    -- what the line says, until it has its result
    said          jsonb,
    constraint import_rows_known_outcome check
        (outcome in ('pending', 'created', 'changed', 'unchanged', 'outsideGuideline', 'refused')),
    constraint import_rows_one_a_line unique (import_id, line)
);
create index import_rows_waiting on import_rows (import_id, line) where said is not null;
