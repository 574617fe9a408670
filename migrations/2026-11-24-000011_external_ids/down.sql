set local lock_timeout = '2s';

alter table events drop constraint events_external_whole, drop column external_digest;
alter table supplier_contracts drop column external_digest, drop column external_id, drop column source_system;
alter table venues drop column external_digest, drop column external_id, drop column source_system;
alter table business_goals drop column external_digest, drop column external_id, drop column source_system;
alter table office_appointments drop column external_digest, drop column external_id, drop column source_system;
alter table people drop column external_digest, drop column external_id, drop column source_system;
alter table units drop column external_digest, drop column external_id, drop column source_system;
