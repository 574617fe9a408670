-- Planning answers with their revisions and baselines, follow-ups, and the SQL form of the guideline's rules.

set local lock_timeout = '2s';

create table planning_answers (
    id          uuid primary key,
    event_id    uuid not null references events,
    question_id text not null,
    revision    integer not null,
    answer      jsonb not null,
    -- the rung a venue reason was given for
    rung_id     text,
    answered_by text not null,
    answered_at moment not null,
    constraint planning_answers_one_per_question unique (event_id, question_id)
);
create index planning_answers_by_goal on planning_answers using gin ((answer -> 'goalIds'));

create table planning_answer_revisions (
    answer_id   uuid not null references planning_answers,
    revision    integer not null,
    answer      jsonb not null,
    rung_id     text,
    answered_by text not null,
    answered_at moment not null,
    primary key (answer_id, revision)
);

create table follow_ups (
    id                 uuid primary key,
    event_id           uuid not null references events,
    revision           integer not null,
    level              text not null,
    method             text not null,
    due_date           day not null,
    responsible_person text not null references people (person_ref),
    status             text not null,
    created_at         moment not null,
    updated_at         moment not null,
    constraint follow_ups_known_level check (level in ('reaction', 'learning', 'behaviour', 'results')),
    constraint follow_ups_known_method check (method in ('survey', 'interview', 'observation', 'groupDiscussion', 'measurement', 'other')),
    constraint follow_ups_known_status check (status in ('planned', 'completed', 'waived', 'cancelled'))
);
create index follow_ups_by_event on follow_ups (event_id, due_date, id);
create index follow_ups_by_responsible on follow_ups (responsible_person);

-- The answers and follow-ups frozen at a confirmation.
create table baselines (
    id           uuid primary key,
    event_id     uuid not null references events,
    confirmed_by text not null,
    confirmed_at moment not null,
    answers      jsonb not null,
    follow_ups   jsonb not null
);
create index baselines_by_event on baselines (event_id, confirmed_at desc, id desc);

-- The SQL form of rules::scope, rules::venue_ladder and rules::compliance, for lists and their filters;
-- a property test compares it with the rules.

create function stockholm_day(at timestamptz) returns date
    language sql immutable parallel safe
    return (at at time zone 'Europe/Stockholm')::date;

-- The last day of something that ends at `at`: an end at midnight belongs to the day before.
create function stockholm_last_day(at timestamptz) returns date
    language sql immutable parallel safe
    return ((at - interval '1 microsecond') at time zone 'Europe/Stockholm')::date;

-- PL/pgSQL keeps the plans of its queries for the whole session; a function in SQL would be planned with every query that uses it.
create function venue_place(venue uuid, on_day date, municipality text) returns text
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

create function event_findings(event uuid) returns table (rule_id text, finding text)
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

-- The event as the service shows it, in one row.
create view event_details as
select e.id, e.revision, e.title, e.description, e.kind, e.arranger, e.partners,
    array(select o.unit_id from event_organisers o where o.event_id = e.id order by o.position) as organising_unit_ids,
    e.responsible_person,
    (select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
            'id', o.id, 'startsAt', o.starts_at, 'endsAt', o.ends_at, 'place', o.place, 'venueId', o.venue_id))
        order by o.starts_at, o.id)
     from occasions o where o.event_id = e.id) as occasions,
    e.expected_participants, e.actual_participants, e.estimated_cost, e.actual_cost,
    e.registry_number, e.external_reference, e.guideline_version_id, e.status, e.first_start, e.last_end,
    to_char(e.first_start at time zone 'Europe/Stockholm', 'IYYY-"W"IW') as iso_week,
    case when e.kept_findings is null
        then array(select f.rule_id from event_findings(e.id) f
                   where f.finding in ('answerNeeded', 'reasonNeeded', 'exceptionNeeded'))
        else array(select f ->> 'ruleId' from jsonb_array_elements(e.kept_findings) f
                   where f ->> 'finding' in ('answerNeeded', 'reasonNeeded', 'exceptionNeeded'))
    end as open_findings,
    e.source_system, e.external_id, e.created_at, e.updated_at, e.kept_findings, e.kept_at, e.words,
    (select jsonb_agg(u.path order by o.position)
     from event_organisers o join units u on u.id = o.unit_id where o.event_id = e.id) as organiser_paths
from events e;
