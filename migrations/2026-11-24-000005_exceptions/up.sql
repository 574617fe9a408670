-- Exceptions: requests, the rules they name, decisions, and decisions taken elsewhere and recorded here.

set local lock_timeout = '2s';

create table exception_requests (
    id                      uuid primary key,
    event_id                uuid not null references events,
    revision                integer not null,
    rule_ids                text[] not null,
    reason                  text not null,
    alternatives_considered text not null,
    addressee               text not null,
    decision_needed_by      day not null,
    previous_request_id     uuid references exception_requests,
    requested_by            text not null references people (person_ref),
    status                  text not null,
    -- what the event was when it was asked for, as event_snapshot() says it
    snapshot                jsonb not null,
    first_start             moment not null,
    created_at              moment not null,
    updated_at              moment not null,
    constraint exception_requests_known_addressee check (addressee in ('municipalDirector', 'departmentHead', 'chiefExecutive')),
    constraint exception_requests_known_status check (
        status in ('submitted', 'approved', 'rejected', 'withdrawn', 'revoked', 'lapsed'))
);
create index exception_requests_by_event on exception_requests (event_id, created_at, id);
create index exception_requests_by_needed on exception_requests (decision_needed_by, id);
create index exception_requests_by_previous on exception_requests (previous_request_id);
create index exception_requests_by_requester on exception_requests (requested_by);
create index exception_requests_submitted on exception_requests (first_start) where status = 'submitted';

create table exception_request_rules (
    request_id uuid not null references exception_requests,
    rule_id    text not null,
    event_id   uuid not null references events,
    -- is the request submitted?
    open       boolean not null,
    primary key (request_id, rule_id)
);
create unique index exception_request_rules_one_open on exception_request_rules (event_id, rule_id) where open;
create index exception_request_rules_by_event on exception_request_rules (event_id, rule_id);

create table decisions (
    id                    uuid primary key,
    request_id            uuid not null references exception_requests,
    office_appointment_id uuid not null references office_appointments,
    office_type           text not null,
    unit_id               uuid not null references units,
    person_ref            text not null references people (person_ref),
    capacity              text not null,
    outcome               text not null,
    reasons               text not null,
    conditions            text,
    basis                 text not null,
    decided_at            moment not null,
    constraint decisions_one_per_office unique (request_id, office_type, unit_id),
    constraint decisions_known_outcome check (outcome in ('approved', 'rejected')),
    constraint decisions_known_basis check (basis in ('execution', 'delegated', 'companyManagement'))
);
create index decisions_by_appointment on decisions (office_appointment_id);
create index decisions_by_unit on decisions (unit_id);
create index decisions_by_person on decisions (person_ref);
create index decisions_delegated on decisions (decided_at, id) where basis = 'delegated';

-- Decided outside the service, where nobody in it may, and recorded by an HR administrator.
create table recorded_decisions (
    request_id         uuid primary key references exception_requests,
    decided_by         text not null,
    capacity           text not null,
    decided_at         moment not null,
    outcome            text not null,
    reasons            text not null,
    document_reference text not null,
    recorded_by        text not null,
    recorded_at        moment not null,
    constraint recorded_decisions_known_outcome check (outcome in ('approved', 'rejected'))
);

create trigger decisions_no_change before update or delete on decisions for each row execute function refuse_change();
create trigger decisions_no_truncate before truncate on decisions for each statement execute function refuse_change();
create trigger recorded_decisions_no_change before update or delete on recorded_decisions for each row execute function refuse_change();
create trigger recorded_decisions_no_truncate before truncate on recorded_decisions for each statement execute function refuse_change();

-- What a decision is made about: each occasion's start, end and venue, and the organisers, in a canonical order.
create function event_snapshot(event uuid) returns jsonb
    language plpgsql stable parallel safe as $$
begin
    return jsonb_build_object(
        'occasions', (
            select jsonb_agg(jsonb_build_object('startsAt', o.starts_at, 'endsAt', o.ends_at, 'venueId', o.venue_id)
                             order by o.starts_at, o.ends_at, o.venue_id)
            from occasions o where o.event_id = event),
        'organisers', (select jsonb_agg(o.unit_id order by o.unit_id) from event_organisers o where o.event_id = event));
end $$;

-- A request, submitted or approved, is stale while the event differs from what it was when it was asked for; changing back ends it.
create view exception_request_details as
select r.*, r.status in ('submitted', 'approved') and r.snapshot <> event_snapshot(r.event_id) as stale from exception_requests r;

-- Which approved request, if any, covers each rule of an event now.
create function event_exceptions(event uuid) returns table (rule_id text, request_id uuid)
    language plpgsql stable parallel safe rows 1 as $$
begin
    return query
    select c.rule_id, c.request_id
    from exception_request_rules c join exception_requests r on r.id = c.request_id
    where c.event_id = event and r.status = 'approved' and r.snapshot = event_snapshot(event);
end $$;

-- The findings of an event as before, and what exceptions cover.
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
