-- The findings of an event as part of the query that asks for them.
--
-- A function in SQL that is one SELECT becomes a part of the plan of its caller: there is no executor to start and stop for each event,
-- and what is not asked for is not computed. The venue's place is found once an occasion instead of once a rung.
-- A list of fifty costs a tenth of what it did (docs/PERFORMANCE.md).

set local lock_timeout = '2s';

-- What a venue is on a day, by the ladder's kinds of place; no row for a venue that does not exist.
create function venue_places(venue uuid, on_day date, municipality text) returns table (place text)
    language sql stable parallel safe rows 1 as $$
    select case
            -- the owner and every unit above it are in the group that day
            when (select bool_and(u.type <> 'partlyOwnedCompany' and u.valid_from <= on_day
                                  and (u.valid_to is null or on_day < u.valid_to))
                  from units u where u.id = any ((select owner.path from units owner where owner.id = v.owner_unit_id)::uuid[])) then 'ownPremises'
            when not exists (
                select from supplier_contracts c
                where c.supplier_id = v.supplier_id and c.valid_from <= on_day and (c.valid_to is null or on_day < c.valid_to)
            ) then 'notProcured'
            when v.municipality_code = municipality then 'procuredLocal'
            else 'procuredOther'
        end
    from venues v where v.id = venue
$$;

create or replace function venue_place(venue uuid, on_day date, municipality text) returns text
    language plpgsql stable parallel safe as $$
begin
    return (select p.place from venue_places(venue, on_day, municipality) p);
end $$;

-- Which approved request, if any, covers each rule of an event now.
create or replace function event_exceptions(event uuid) returns table (rule_id text, request_id uuid)
    language sql stable parallel safe rows 1 as $$
    select c.rule_id, c.request_id
    from exception_request_rules c join exception_requests r on r.id = c.request_id
    where c.event_id = event and r.status = 'approved' and r.snapshot = event_snapshot(event)
$$;

create or replace function event_findings(event uuid) returns table (rule_id text, finding text)
    language sql stable parallel safe rows 14 as $$
    select judged.rule,
        -- an open finding, and only an open one, can be covered
        case when judged.verdict in ('answerNeeded', 'reasonNeeded', 'exceptionNeeded')
                  and judged.rule in (select c.rule_id from event_exceptions(event) c)
             then 'coveredByException' else judged.verdict end
    from (
        select q.position, 'question.' || q.question_id as rule,
            case
                when q.answer_kind = 'followUps' then
                    case when exists (
                        select from follow_ups f
                        where f.event_id = event and f.status in ('planned', 'completed', 'waived')
                          and f.due_date >= stockholm_last_day(e.last_end)
                    ) then 'met' else 'answerNeeded' end
                when a.id is null then 'answerNeeded'
                when a.answer ? 'notApplicable' then case when q.mandatory then 'exceptionNeeded' else 'notApplicable' end
                when a.answer ->> 'attested' = 'false' then
                    case when q.mandatory then 'exceptionNeeded'
                         when a.answer ? 'reason' then 'met'
                         else 'reasonNeeded' end
                else 'met'
            end as verdict
        from events e
        join guideline_questions q on q.version_id = e.guideline_version_id
        left join planning_answers a on a.event_id = event and a.question_id = q.question_id
        where e.id = event and q.answer_kind <> 'reason'
          and (q.unit_id is null or exists (
              select from event_organisers o join units u on u.id = o.unit_id where o.event_id = event and u.path @> array[q.unit_id]))
        union all
        select coalesce(reason.position, 1000), 'venueLadder',
            case
                when standing.undecided then 'answerNeeded'
                when not standing.physical then 'notApplicable'
                when rung.requires is null or rung.requires = 'exception' then 'exceptionNeeded'
                when rung.requires = 'nothing' then 'met'
                when exists (
                    select from planning_answers a
                    join guideline_rungs given on given.version_id = e.guideline_version_id and given.rung_id = a.rung_id
                    where a.event_id = event and a.question_id = reason.question_id and given.position >= standing.worst
                ) then 'met'
                else 'reasonNeeded'
            end
        from events e
        cross join lateral (
            select bool_or(o.place = 'undecided') as undecided,
                   bool_or(o.place = 'venue') as physical,
                   -- the worst rung; a place that the ladder does not list is worse than any
                   max(case when o.place = 'venue' then coalesce(
                       (select l.position from guideline_rungs l where l.version_id = e.guideline_version_id and l.place = (
                           select p.place from venue_places(o.venue_id, stockholm_day(o.starts_at), ladder.municipality_code) p)),
                       1000) end) as worst
            from occasions o
            left join (select l.municipality_code from guideline_rungs l where l.version_id = e.guideline_version_id limit 1) ladder on true
            where o.event_id = event
        ) standing
        left join guideline_rungs rung on rung.version_id = e.guideline_version_id and rung.position = standing.worst
        left join lateral (
            select q.position, q.question_id from guideline_questions q
            where q.version_id = e.guideline_version_id and q.answer_kind = 'reason'
              and (q.unit_id is null or exists (
                  select from event_organisers o join units u on u.id = o.unit_id where o.event_id = event and u.path @> array[q.unit_id]))
        ) reason on true
        where e.id = event
    ) judged
    order by judged.position
$$;

-- "From this day on" begins with the events that are still going on then. Nearly all are over within two weeks; the few that are not
-- have an index of their own, so that the list begins where they do and not at the first event ever.
create index events_long on events (last_end) where last_end - first_start > interval '14 days';

create function first_start_of_what_goes_on(at timestamptz) returns timestamptz
    language plpgsql stable parallel safe as $$
begin
    return least(
        at - interval '14 days',
        (select min(e.first_start) from events e where e.last_end - e.first_start > interval '14 days' and e.last_end > at));
end $$;

-- What ends too early is seen in the index, without a look at the event.
create index events_by_start on events (first_start, id, last_end);
drop index events_by_first_start;
