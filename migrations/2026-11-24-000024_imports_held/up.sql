-- Imports: a line that the database gives up is tried again, a body that stops on its way is given up, results are kept for a time.

set local lock_timeout = '2s';

alter table import_rows add column tries smallint not null default 0;

alter table imports drop constraint imports_known_status;
alter table imports add constraint imports_known_status
    check (status in ('receiving', 'interrupted', 'running', 'completed'));
create index imports_receiving on imports (updated_at) where status = 'receiving';
create index imports_by_age on imports (created_at) where status in ('completed', 'interrupted');
