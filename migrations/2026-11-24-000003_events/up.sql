-- Events, their occasions and their status log.

set local lock_timeout = '2s';

create table events (
    id                    uuid primary key,
    revision              integer not null,
    title                 text collate "sv-x-icu" not null,
    description           text,
    kind                  text not null,
    arranger              text not null,
    partners              jsonb not null,
    responsible_person    text not null references people (person_ref),
    expected_participants jsonb,
    actual_participants   jsonb,
    estimated_cost        bigint,
    actual_cost           bigint,
    registry_number       text,
    external_reference    text,
    guideline_version_id  uuid not null references guideline_versions,
    status                text not null,
    first_start           moment not null,
    last_end              moment not null,
    -- the findings kept when the event was held or cancelled, and when that was
    kept_findings         jsonb,
    kept_at               moment,
    source_system         text,
    external_id           text,
    created_at            moment not null,
    updated_at            moment not null,
    words                 tsvector not null generated always as
                          (to_tsvector('pg_catalog.swedish', title || ' ' || coalesce(description, ''))) stored,
    constraint events_known_kind check (kind in ('planningDay', 'kickOff', 'trainingDay', 'training', 'conference', 'other')),
    constraint events_arranged_by_the_group check (arranger in ('group', 'coArranged')),
    constraint events_known_status check (status in ('draft', 'confirmed', 'held', 'closed', 'cancelled')),
    constraint events_cost_not_negative check (estimated_cost >= 0 and actual_cost >= 0),
    constraint events_end_after_start check (last_end > first_start),
    constraint events_keep_findings check (
        (kept_findings is null) = (status in ('draft', 'confirmed')) and (kept_at is null) = (kept_findings is null)),
    constraint events_external_id unique (source_system, external_id)
);
create index events_by_first_start on events (first_start, id);
create index events_by_title on events (title, id);
create index events_by_updated_at on events (updated_at, id);
create index events_by_responsible on events (responsible_person, first_start);
create index events_by_version on events (guideline_version_id);
create index events_by_words on events using gin (words);
create index events_in_planning on events (last_end) where status in ('draft', 'confirmed');

create table event_organisers (
    event_id uuid not null references events,
    unit_id  uuid not null references units,
    position smallint not null,
    primary key (event_id, unit_id)
);
create index event_organisers_by_unit on event_organisers (unit_id, event_id);

create table occasions (
    id        uuid primary key,
    event_id  uuid not null references events,
    starts_at moment not null,
    ends_at   moment not null,
    place     text not null,
    venue_id  uuid references venues,
    constraint occasions_end_after_start check (ends_at > starts_at),
    constraint occasions_known_place check (place in ('venue', 'digital', 'undecided')),
    constraint occasions_venue_given check ((place = 'venue') = (venue_id is not null))
);
create index occasions_by_event on occasions (event_id, starts_at);
create index occasions_by_venue on occasions (venue_id, ends_at);
create index occasions_by_end on occasions (ends_at, starts_at, event_id);

create table status_changes (
    id          uuid primary key,
    event_id    uuid not null references events,
    from_status text not null,
    to_status   text not null,
    reason      text,
    changed_by  text not null,
    changed_at  moment not null
);
create index status_changes_by_event on status_changes (event_id, changed_at, id);
