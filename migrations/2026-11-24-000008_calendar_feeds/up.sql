-- Calendar feeds: addresses at which a calendar program reads events and due dates.

set local lock_timeout = '2s';

create table calendar_feeds (
    id              uuid primary key,
    revision        integer not null,
    owner           text not null references people (person_ref),
    name            text,
    unit_id         uuid references units,
    include_subtree boolean not null,
    person_ref      text references people (person_ref),
    -- SHA-256 of the secret in the address, which is nowhere else
    secret_hash     bytea not null,
    created_at      moment not null,
    constraint calendar_feeds_of_a_unit_or_a_person check ((unit_id is null) <> (person_ref is null))
);
create index calendar_feeds_by_owner on calendar_feeds (owner, created_at, id);
create index calendar_feeds_by_unit on calendar_feeds (unit_id);
create index calendar_feeds_by_person on calendar_feeds (person_ref);
