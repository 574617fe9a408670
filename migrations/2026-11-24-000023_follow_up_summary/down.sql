drop index follow_ups_standing;
drop index events_held_by_exception;
drop index events_by_kept_at;
drop index events_held;
