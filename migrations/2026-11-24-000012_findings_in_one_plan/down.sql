create index events_by_first_start on events (first_start, id);
drop index events_by_start;
drop function first_start_of_what_goes_on(timestamptz);
drop index events_long;

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
    select rules.rule,
        -- an open finding, and only an open one, can be covered
        case when c.rule_id is not null and rules.verdict in ('answerNeeded', 'reasonNeeded', 'exceptionNeeded')
             then 'coveredByException' else rules.verdict end
    from rules left join event_exceptions(event) c on c.rule_id = rules.rule
    order by rules.position;
end $$;

create or replace function event_exceptions(event uuid) returns table (rule_id text, request_id uuid)
    language plpgsql stable parallel safe rows 1 as $$
begin
    return query
    select c.rule_id, c.request_id
    from exception_request_rules c join exception_requests r on r.id = c.request_id
    where c.event_id = event and r.status = 'approved' and r.snapshot = event_snapshot(event);
end $$;

create or replace function venue_place(venue uuid, on_day date, municipality text) returns text
    language plpgsql stable parallel safe as $$
begin
    return (
        select case
            -- the owner and every unit above it are in the group that day
            when (select bool_and(u.type <> 'partlyOwnedCompany' and u.valid_from <= on_day
                                  and (u.valid_to is null or on_day < u.valid_to))
                  from units u where u.id = any (owner.path)) then 'ownPremises'
            when not exists (
                select from supplier_contracts c
                where c.supplier_id = v.supplier_id and c.valid_from <= on_day and (c.valid_to is null or on_day < c.valid_to)
            ) then 'notProcured'
            when v.municipality_code = municipality then 'procuredLocal'
            else 'procuredOther'
        end
        from venues v left join units owner on owner.id = v.owner_unit_id
        where v.id = venue
    );
end $$;

drop function venue_places(uuid, date, text);
