-- the findings as they were before exceptions
create or replace function event_findings(event uuid) returns table (rule_id text, finding text)
    language plpgsql stable parallel safe rows 14 as $$
begin
    return query with plan as (
        select e.last_end, e.guideline_version_id as version_id from events e where e.id = event
    ), organisers as (
        select u.path from event_organisers o join units u on u.id = o.unit_id where o.event_id = event
    ), standing as (
        select bool_or(o.place = 'undecided') as undecided,
               bool_or(o.place = 'venue') as physical,
               -- the worst rung; a place that the ladder does not list is worse than any
               max(case when o.place = 'venue' then coalesce(l.position, 1000) end) as worst
        from plan
        join occasions o on o.event_id = event
        left join guideline_rungs l on l.version_id = plan.version_id and o.place = 'venue'
            and l.place = venue_place(o.venue_id, stockholm_day(o.starts_at), l.municipality_code)
    ), questions as (
        select q.position, q.question_id, q.answer_kind, q.mandatory, a.id as answer_id, a.answer, a.rung_id
        from plan
        join guideline_questions q on q.version_id = plan.version_id
        left join planning_answers a on a.event_id = event and a.question_id = q.question_id
        where q.unit_id is null or exists (select from organisers where path @> array[q.unit_id])
    ), rules as (
        select q.position, 'question.' || q.question_id as rule,
            case
                when q.answer_kind = 'followUps' then
                    case when exists (
                        select from follow_ups f, plan
                        where f.event_id = event and f.status in ('planned', 'completed', 'waived')
                          and f.due_date >= stockholm_last_day(plan.last_end)
                    ) then 'met' else 'answerNeeded' end
                when q.answer_id is null then 'answerNeeded'
                when q.answer ? 'notApplicable' then case when q.mandatory then 'exceptionNeeded' else 'notApplicable' end
                when q.answer ->> 'attested' = 'false' then
                    case when q.mandatory then 'exceptionNeeded'
                         when q.answer ? 'reason' then 'met'
                         else 'reasonNeeded' end
                else 'met'
            end as verdict
        from questions q
        where q.answer_kind <> 'reason'
        union all
        select coalesce((select position from questions where answer_kind = 'reason'), 1000), 'venueLadder',
            case
                when s.undecided then 'answerNeeded'
                when not s.physical then 'notApplicable'
                when l.requires is null or l.requires = 'exception' then 'exceptionNeeded'
                when l.requires = 'nothing' then 'met'
                when exists (
                    select from questions q
                    join guideline_rungs given on given.version_id = plan.version_id and given.rung_id = q.rung_id
                    where q.answer_kind = 'reason' and given.position >= s.worst
                ) then 'met'
                else 'reasonNeeded'
            end
        from plan cross join standing s
        left join guideline_rungs l on l.version_id = plan.version_id and l.position = s.worst
    )
    select rules.rule, rules.verdict from rules order by rules.position;
end $$;

drop function event_exceptions(uuid);
drop view exception_request_details;
drop function event_snapshot(uuid);
drop table recorded_decisions;
drop table decisions;
drop table exception_request_rules;
drop table exception_requests;
