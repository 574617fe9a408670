-- Fills the demo's organisation with :events events, as a group of that size would have them after some years:
-- five sixths in the past (closed, a few held or cancelled), one sixth within the year to come (confirmed or drafts).
-- Event n has the id `lpad(to_hex(n), 32, '0')`, its exception request `e0…`, its follow-up `f0…`, so that a load generator and
-- pgbench can name any of them. The drafts are the last numbers; all are planned by the planner who asks.

\set ON_ERROR_STOP on
set session_replication_role = replica;  -- no triggers: what is loaded is known to fit
set synchronous_commit = off;

create function pg_temp.id(prefix text, n bigint) returns uuid language sql immutable
    as $$ select (prefix || lpad(to_hex(n), 32 - length(prefix), '0'))::uuid $$;

insert into people (id, revision, person_ref, display_name, unit_id, valid_from, created_at, updated_at)
select pg_temp.id('b0', n), 1, 'person-b' || n, 'Medarbetare ' || n, '0190a000-0000-7000-8000-000000000101', '2020-01-01', now(), now()
from generate_series(1, 1000) n;

create temporary table planned as
select n, pg_temp.id('', n) as id,
    past, status,
    start + interval '7 hours' as first_start, start + interval '15 hours' as last_end,
    'person-b' || 1 + n % 1000 as responsible,
    case when status = 'draft' then '0190a000-0000-7000-8000-000000000101'
         else (array['0190a000-0000-7000-8000-000000000101', '0190a000-0000-7000-8000-000000000102', '0190a000-0000-7000-8000-000000000103',
                     '0190a000-0000-7000-8000-000000000104', '0190a000-0000-7000-8000-000000000105', '0190a000-0000-7000-8000-000000000106',
                     '0190a000-0000-7000-8000-000000000111', '0190a000-0000-7000-8000-000000000112', '0190a000-0000-7000-8000-000000000113',
                     '0190a000-0000-7000-8000-000000000121', '0190a000-0000-7000-8000-000000000131', '0190a000-0000-7000-8000-000000000141',
                     '0190a000-0000-7000-8000-000000000142', '0190a000-0000-7000-8000-000000000151'])[1 + n % 14]
    end::uuid as unit_id
from (
    select n, n * 6 <= :events * 5 as past,
        case when n * 6 <= :events * 5
            then case when n % 20 < 2 then 'held' when n % 20 = 2 then 'cancelled' else 'closed' end
            else case when n > :events - :events * 3 / 40 then 'draft' when n % 20 = 2 then 'cancelled' else 'confirmed' end
        end as status,
        case when n * 6 <= :events * 5
            then date_trunc('day', now()) - interval '1 day' * (2 + floor(1800 * (1 - n * 1.2 / :events)))
            -- scattered, as plans are
            else date_trunc('day', now()) + interval '1 day' * (3 + floor(360 * ((n * 0.6180339887) % 1)))
        end as start
    from generate_series(1, :events) n
) as numbered;

insert into events (id, revision, title, description, kind, arranger, partners, responsible_person, expected_participants, actual_participants,
    estimated_cost, actual_cost, registry_number, external_reference, guideline_version_id, status, first_start, last_end,
    kept_findings, kept_at, created_at, updated_at)
select id, 3, 'Planeringsdag ' || n || ' för arbetslaget', 'Vi planerar läsåret tillsammans och går igenom det som hände i fjol.',
    (array['planningDay', 'trainingDay', 'training', 'conference', 'kickOff'])[1 + n % 5], 'group', '[]', responsible,
    jsonb_build_object('total', 45, 'perUnit', jsonb_build_array(jsonb_build_object('unitId', unit_id, 'count', 30))),
    case when status in ('held', 'closed') then jsonb_build_object('total', 41, 'perUnit', '[]'::jsonb) end,
    12000, case when status in ('held', 'closed') then 11500 end, 'BUN ' || n, 'HR-' || n,
    '016f5e66-e800-7000-8000-000000002083', status, first_start, last_end,
    case when status in ('held', 'closed', 'cancelled') then
        '[{"ruleId": "question.purpose", "finding": "met"}, {"ruleId": "venueLadder", "finding": "met", "rungId": "ownPremises"}, {"ruleId": "question.practice", "finding": "answerNeeded"}]'::jsonb end,
    case when status in ('held', 'closed', 'cancelled') then last_end end,
    least(now(), first_start - interval '60 days'), least(now(), first_start - interval '30 days')
from planned;

insert into event_organisers (event_id, unit_id, position)
select id, unit_id, 0 from planned
union all
select id, '0190a000-0000-7000-8000-000000000107', 1 from planned where n % 10 = 0;

insert into occasions (id, event_id, starts_at, ends_at, place, venue_id)
select pg_temp.id('c0', n * 2), id, first_start, case when n % 4 = 0 then first_start + interval '3 hours' else last_end end,
    case when n % 11 = 0 then 'digital' when n % 13 = 0 or status = 'draft' then 'undecided' else 'venue' end,
    case when n % 11 = 0 or n % 13 = 0 or status = 'draft' then null else pg_temp.id('0190a00000007000800000000000050', 1 + n % 6) end
from planned
union all
select pg_temp.id('c0', n * 2 + 1), id, first_start + interval '4 hours', last_end, 'venue', '0190a000-0000-7000-8000-000000000501'
from planned where n % 4 = 0;

insert into planning_answers (id, event_id, question_id, revision, answer, answered_by, answered_at)
select md5(question || n)::uuid, id, question, 1, answer::jsonb, responsible, first_start - interval '40 days'
from planned
cross join lateral (values
    ('purpose', '{"text": "Alla ska kunna arbeta på samma sätt med läsutveckling."}', 95),
    ('businessGoals', '{"goalIds": ["0190a000-0000-7000-8000-000000000401"]}', 90),
    ('individualEffects', '{"text": "Var och en vågar leda ett samtal om läsning."}', 80),
    ('residentEffects', '{"text": "Eleverna läser mer och förstår mer."}', 80),
    ('beneficiaries', '{"text": "Elever och vårdnadshavare."}', 70),
    ('guidelineGoals', '{"goalIds": ["improveOperations", "keepDeveloping"]}', 80),
    ('form', '{"choices": ["workshop"]}', 90),
    ('trainer', '{"choices": ["internal"]}', 90),
    ('evidenceBase', '{"attested": true, "text": "Skolverkets översikt."}', 60),
    ('practice', '{"attested": false}', 50)
) as given (question, answer, share)
where ('x' || left(md5(question || n), 8))::bit(32)::bigint % 100 < share;

insert into follow_ups (id, event_id, revision, level, method, due_date, responsible_person, status, created_at, updated_at,
    completing_entry_id, completed_on, status_changed_at, status_changed_by)
select pg_temp.id('f0', n), id, 1, 'behaviour', 'interview', (last_end + interval '90 days')::date, responsible,
    case status when 'closed' then 'completed' when 'cancelled' then 'cancelled' else 'planned' end,
    first_start - interval '40 days', first_start - interval '40 days',
    case when status = 'closed' then pg_temp.id('a0', n) end, case when status = 'closed' then (last_end + interval '80 days')::date end,
    case when status in ('closed', 'cancelled') then last_end end, case when status in ('closed', 'cancelled') then responsible end
from planned where status <> 'draft' or n % 2 = 0;

insert into follow_up_entries (id, follow_up_id, number, conducted_on, level, carried_out, observed_behaviour, goal_effects, lessons, author, recorded_at)
select pg_temp.id('a0', n), pg_temp.id('f0', n), 1, (last_end + interval '80 days')::date, 'behaviour', 'asPlanned',
    'Arbetslagen läser tillsammans varje vecka.', '[]', 'Börja med ett eget exempel.', responsible, last_end + interval '80 days'
from planned where status = 'closed';

insert into status_changes (id, event_id, from_status, to_status, changed_by, changed_at)
select pg_temp.id('d0', n), id, 'draft', 'confirmed', responsible, first_start - interval '30 days' from planned where status <> 'draft';

-- one request for each draft, open to the department's head; one in ten of the others was approved
insert into exception_requests (id, event_id, revision, rule_ids, reason, alternatives_considered, addressee, decision_needed_by, requested_by,
    status, snapshot, first_start, created_at, updated_at)
select pg_temp.id('e0', n), id, 1, array['venueLadder'], 'Vi behöver en lokal med plats för 200.', 'Tjädernhuset tar 90.', 'departmentHead',
    (first_start - interval '1 day')::date, 'person-0003', case when status = 'draft' then 'submitted' else 'approved' end,
    event_snapshot(id), first_start, now(), now()
from planned where status = 'draft' or n % 10 = 5;

insert into exception_request_rules (request_id, rule_id, event_id, open)
select id, 'venueLadder', event_id, status = 'submitted' from exception_requests where id::text like 'e0000000%';

analyze;
