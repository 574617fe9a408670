drop view event_details;
drop function event_findings(uuid);
drop function venue_place(uuid, date, text);
drop function stockholm_last_day(timestamptz);
drop function stockholm_day(timestamptz);
drop table baselines;
drop table follow_ups;
drop table planning_answer_revisions;
drop table planning_answers;
