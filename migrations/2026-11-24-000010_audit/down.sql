drop index changes_by_time;
drop index changes_by_actor;
