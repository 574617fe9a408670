-- What other systems call what lies here: one id per source system and resource (I15), and the digest of the last body received by it.

set local lock_timeout = '2s';

alter table units
    add column source_system text,
    add column external_id text,
    add column external_digest bytea,
    add constraint units_external_id unique (source_system, external_id),
    add constraint units_external_whole check ((source_system is null) = (external_id is null));
alter table people
    add column source_system text,
    add column external_id text,
    add column external_digest bytea,
    add constraint people_external_id unique (source_system, external_id),
    add constraint people_external_whole check ((source_system is null) = (external_id is null));
alter table office_appointments
    add column source_system text,
    add column external_id text,
    add column external_digest bytea,
    add constraint office_appointments_external_id unique (source_system, external_id),
    add constraint office_appointments_external_whole check ((source_system is null) = (external_id is null));
alter table business_goals
    add column source_system text,
    add column external_id text,
    add column external_digest bytea,
    add constraint business_goals_external_id unique (source_system, external_id),
    add constraint business_goals_external_whole check ((source_system is null) = (external_id is null));
alter table venues
    add column source_system text,
    add column external_id text,
    add column external_digest bytea,
    add constraint venues_external_id unique (source_system, external_id),
    add constraint venues_external_whole check ((source_system is null) = (external_id is null));
alter table supplier_contracts
    add column source_system text,
    add column external_id text,
    add column external_digest bytea,
    add constraint supplier_contracts_external_id unique (source_system, external_id),
    add constraint supplier_contracts_external_whole check ((source_system is null) = (external_id is null));
alter table events
    add column external_digest bytea,
    add constraint events_external_whole check ((source_system is null) = (external_id is null));
