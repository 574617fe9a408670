drop view follow_up_entry_details;
alter table follow_ups
    drop constraint follow_ups_ended_by_someone,
    drop constraint follow_ups_completed_by_an_entry,
    drop completing_entry_id,
    drop completed_on,
    drop status_reason,
    drop status_changed_by,
    drop status_changed_at;
drop table follow_up_entry_voidings;
drop table follow_up_entries;
