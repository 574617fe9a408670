drop view exception_request_details;
create view exception_request_details as
select r.*, r.status in ('submitted', 'approved') and r.snapshot <> event_snapshot(r.event_id) as stale from exception_requests r;
