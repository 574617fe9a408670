drop index imports_by_age;
drop index imports_receiving;
delete from import_rows using imports where imports.id = import_id and imports.status = 'interrupted';
delete from imports where status = 'interrupted';
alter table imports drop constraint imports_known_status;
alter table imports add constraint imports_known_status check (status in ('receiving', 'running', 'completed'));
alter table import_rows drop column tries;
