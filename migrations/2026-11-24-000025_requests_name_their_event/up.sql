-- An inbox shows what each request is about without reading its event.
create or replace view exception_request_details as
select r.*, r.status in ('submitted', 'approved') and r.snapshot <> event_snapshot(r.event_id) as stale,
    (select e.title from events e where e.id = r.event_id) as event_title
from exception_requests r;
