drop table status_changes;
drop table occasions;
drop table event_organisers;
drop table events;
