-- The audit trail is asked for by actor and by time; entries come in order of time, so the second index costs next to nothing.

set local lock_timeout = '2s';

create index changes_by_actor on changes (actor, entry_id);
create index changes_by_time on changes using brin (occurred_at);
