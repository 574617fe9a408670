-- What the summary of the follow-up status counts of events, so that it need not read them: which were held, and when; which have a
-- follow-up that stands; which were held by an exception.

set local lock_timeout = '2s';

create index events_held on events (id) include (kept_at) where status in ('held', 'closed');
create index events_by_kept_at on events (kept_at) where kept_at is not null;
create index events_held_by_exception on events (id) where kept_findings @> '[{"finding": "coveredByException"}]';
create index follow_ups_standing on follow_ups (event_id) where status <> 'cancelled';
