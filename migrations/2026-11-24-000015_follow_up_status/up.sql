-- What the follow-up status reads: follow-ups by due date, those that are still to be done apart, so that history costs nothing.

set local lock_timeout = '2s';

create index follow_ups_by_due_date on follow_ups (due_date, id);
create index follow_ups_to_be_done on follow_ups (due_date, id) where status = 'planned';
create index status_changes_held_from_draft on status_changes (event_id) where from_status = 'draft' and to_status = 'held';
