drop index status_changes_held_from_draft;
drop index follow_ups_to_be_done;
drop index follow_ups_by_due_date;
