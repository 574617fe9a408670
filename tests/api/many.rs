//! As many events as a municipality has in many years, made in the database itself: plausible in every column, the same for the
//! same seed, and quickly there.

use crate::app::superuser_url;
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};

/// The moment that the data is made for: what lies before has been held, most of it.
pub const NOW: &str = "2026-09-01T08:00:00Z";

/// Fills an empty database with so many events, spread over so many years up to half a year ahead.
pub fn fill(database: &str, events: u32, years: u32, seed: u32) {
    let mut conn = PgConnection::establish(&superuser_url(database)).expect("the database answers");
    conn.batch_execute(&format!(
        "set timezone = 'UTC'; set session_replication_role = replica; set synchronous_commit = off; set work_mem = '64MB';
         create function pg_temp.r(i bigint, salt integer) returns double precision language sql immutable
             return (hashint8extended(i, salt + {seed} * 100) & 1073741823) / 1073741824.0;
         create function pg_temp.id(family integer, i bigint) returns uuid language sql immutable
             return ('0190b' || lpad(to_hex(family), 3, '0') || '-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid;
         create function pg_temp.pick(list text[], at double precision) returns text language sql immutable
             return list[1 + floor(at * cardinality(list))::integer];"
    ))
    .expect("the session is prepared");
    conn.batch_execute(ORGANISATION).expect("the organisation");
    let span = f64::from(years) * 365.0;
    conn.batch_execute(
        &EVENTS
            .replace("{events}", &events.to_string())
            .replace("{span}", &span.to_string())
            .replace("{now}", &format!("timestamptz '{NOW}'")),
    )
    .expect("the events");
    conn.batch_execute("analyze").expect("statistics");
}

const ORGANISATION: &str = "
insert into units (id, revision, name, type, parent_id, valid_from, path, created_at, updated_at)
select pg_temp.id(1, i), 1, 'Enhet ' || i,
    case when i = 0 then 'municipality' when i <= 5 then 'department' else 'unit' end,
    case when i = 0 then null when i <= 5 then pg_temp.id(1, 0) else pg_temp.id(1, i % 5 + 1) end,
    '1990-01-01',
    case when i = 0 then array[pg_temp.id(1, 0)] when i <= 5 then array[pg_temp.id(1, 0), pg_temp.id(1, i)]
         else array[pg_temp.id(1, 0), pg_temp.id(1, i % 5 + 1), pg_temp.id(1, i)] end,
    '2020-01-01', '2020-01-01'
from generate_series(0, 60) i;
insert into people (id, revision, person_ref, display_name, unit_id, valid_from, created_at, updated_at)
select pg_temp.id(2, i), 1, 'person-' || lpad(i::text, 4, '0'), 'Person ' || i, pg_temp.id(1, i % 61), '1990-01-01', '2020-01-01', '2020-01-01'
from generate_series(0, 499) i;
insert into business_goals (id, revision, unit_id, title, valid_from, created_at, updated_at)
select pg_temp.id(4, i), 1, pg_temp.id(1, i), 'Mål ' || i, '1990-01-01', '2020-01-01', '2020-01-01' from generate_series(0, 60) i;
insert into office_appointments (id, revision, office_type, unit_id, person_ref, capacity, valid_from, created_at, updated_at)
values (pg_temp.id(3, 0), 1, 'municipalDirector', pg_temp.id(1, 0), 'person-0001', 'ordinary', '1990-01-01', '2020-01-01', '2020-01-01');
insert into venues (id, revision, name, municipality_code, owner_unit_id, supplier_id, valid_from, created_by, created_at, updated_at)
select pg_temp.id(5, i), 1, 'Lokal ' || i, case when i % 3 = 0 then '2080' else '2083' end,
    case when i % 4 < 2 then pg_temp.id(1, i) end, case when i % 4 = 2 then '556000-' || lpad(i::text, 4, '0') end,
    '1990-01-01', 'person-0000', '2020-01-01', '2020-01-01'
from generate_series(0, 59) i;
insert into supplier_contracts (id, revision, supplier_id, supplier_name, title, valid_from, created_at, updated_at)
select pg_temp.id(6, i), 1, '556000-' || lpad(i::text, 4, '0'), 'Leverantör ' || i, 'Ramavtal', '1990-01-01', '2020-01-01', '2020-01-01'
from generate_series(2, 59, 4) i;
";

/// An event has one to three occasions, one or two organisers, a few answers, perhaps a follow-up and a request.
const EVENTS: &str = "
create temporary table made as
select i, pg_temp.id(16, i) as id, day, ends, status, version.id as version_id,
    1 + floor(pg_temp.r(i, 3) * 60)::integer as unit, floor(pg_temp.r(i, 4) * 500)::integer as person
from (
    select i, day, ends,
        case when ends < {now}
            then case when dice < 0.3 then 'held' when dice < 0.85 then 'closed' when dice < 0.95 then 'cancelled' when dice < 0.98 then 'draft' else 'confirmed' end
            else case when dice < 0.5 then 'draft' when dice < 0.95 then 'confirmed' else 'cancelled' end
        end as status
    from (
        select i, day, day + (floor(pg_temp.r(i, 5) * 3) * 7 + 0.33) * interval '1 day' as ends, pg_temp.r(i, 2) as dice
        from (select i, date_trunc('minute', {now} + interval '180 days' - (pg_temp.r(i, 1) * {span}) * interval '1 day') as day
              from generate_series(1, {events}) i) a
    ) b
) c cross join (select id from guideline_versions limit 1) version;

insert into events (id, revision, title, description, kind, arranger, partners, responsible_person, expected_participants, actual_participants,
    estimated_cost, actual_cost, guideline_version_id, status, first_start, last_end, kept_findings, kept_at, source_system, external_id, created_at, updated_at)
select id, 1,
    pg_temp.pick('{Planeringsdag,Utbildning,Kick-off,Handledning,Föreläsning,Konferens,Workshop,Arbetsplatsträff}', pg_temp.r(i, 10)) || ' i '
        || pg_temp.pick('{bemötande,dokumentation,lyftteknik,matematik,upphandling,brandskydd,demensvård,klarspråk,läsning,nyckeltal}', pg_temp.r(i, 11)) || ' ' || i,
    'Omgång ' || i % 1000 || ' för medarbetare.',
    pg_temp.pick('{planningDay,kickOff,trainingDay,training,conference,other}', pg_temp.r(i, 12)), 'group', '[]',
    'person-' || lpad(person::text, 4, '0'),
    case when pg_temp.r(i, 13) < 0.9 then jsonb_build_object('total', floor(pg_temp.r(i, 14) * 80)::integer, 'perUnit', '[]'::jsonb) end,
    case when status in ('held', 'closed') then jsonb_build_object('total', floor(pg_temp.r(i, 15) * 80)::integer, 'perUnit', '[]'::jsonb) end,
    case when pg_temp.r(i, 16) < 0.9 then floor(pg_temp.r(i, 17) * 50000)::bigint end,
    case when status in ('held', 'closed') and pg_temp.r(i, 18) < 0.7 then floor(pg_temp.r(i, 19) * 50000)::bigint end,
    version_id, status, day, ends,
    case when status in ('held', 'closed', 'cancelled') then jsonb_build_array(
        jsonb_build_object('ruleId', 'question.purpose', 'finding', case when pg_temp.r(i, 20) < 0.1 then 'answerNeeded' else 'met' end),
        jsonb_build_object('ruleId', 'venueLadder', 'finding', case when pg_temp.r(i, 21) < 0.1 then 'exceptionNeeded' else 'met' end)) end,
    case when status in ('held', 'closed', 'cancelled') then ends end,
    case when i % 10 = 0 then 'hr-system' end, case when i % 10 = 0 then 'HR-' || i end,
    day - interval '60 days', least(ends, {now})
from made;

insert into event_organisers (event_id, unit_id, position) select id, pg_temp.id(1, unit), 0 from made;
insert into event_organisers (event_id, unit_id, position) select id, pg_temp.id(1, unit % 60 + 1), 1 from made where pg_temp.r(i, 22) < 0.2;

insert into occasions (id, event_id, starts_at, ends_at, place, venue_id)
select pg_temp.id(17, i * 4 + n), id, at, at + interval '0.33 day', place, case when place = 'venue' then pg_temp.id(5, floor(pg_temp.r(i, 24) * 60)::integer) end
from (
    select i, id, n, day + n * interval '7 days' as at,
        case when pg_temp.r(i * 4 + n, 23) < 0.7 then 'venue' when pg_temp.r(i * 4 + n, 23) < 0.95 then 'digital' else 'undecided' end as place
    from made cross join lateral generate_series(0, extract(day from ends - day)::integer / 7) n
) o;

insert into planning_answers (id, event_id, question_id, revision, answer, answered_by, answered_at)
select pg_temp.id(18, i * 4), id, 'guidelineGoals', 1, jsonb_build_object('goalIds',
        jsonb_build_array(pg_temp.pick('{improveOperations,growCommitment,keepDeveloping,rightCompetence,attractiveEmployer}', pg_temp.r(i, 25)))), 'person-0000', day
from made where pg_temp.r(i, 26) < 0.8
union all
select pg_temp.id(18, i * 4 + 1), id, 'businessGoals', 1, jsonb_build_object('goalIds', jsonb_build_array(pg_temp.id(4, unit))), 'person-0000', day
from made where pg_temp.r(i, 27) < 0.8
union all
select pg_temp.id(18, i * 4 + 2), id, 'individualEffects', 1, case when pg_temp.r(i, 28) < 0.5 then '{\"text\": \"Vi kan mer.\"}'::jsonb
        else '{\"notApplicable\": {\"reason\": \"Inte nu.\"}}' end, 'person-0000', day
from made where pg_temp.r(i, 29) < 0.6;

insert into follow_ups (id, event_id, revision, level, method, due_date, responsible_person, status, completing_entry_id, completed_on,
    status_changed_by, status_changed_at, created_at, updated_at)
select pg_temp.id(19, i), id, 1, level, 'interview', ends::date + 90, 'person-' || lpad(person::text, 4, '0'), follow_up,
    case when follow_up = 'completed' then pg_temp.id(22, i * 2) end, case when follow_up = 'completed' then least(ends::date + 60 + (i % 60)::integer, {now}::date) end,
    case when follow_up <> 'planned' then 'person-0000' end, case when follow_up <> 'planned' then least(ends + interval '100 days', {now}) end, day, day
from (
    select *, pg_temp.pick('{reaction,learning,behaviour,results}', pg_temp.r(i, 30)) as level,
        case when status = 'closed' then 'completed' when status = 'cancelled' then 'cancelled'
             when status = 'held' and pg_temp.r(i, 31) < 0.3 then 'waived' else 'planned' end as follow_up
    from made where pg_temp.r(i, 32) < 0.9
) f;

-- the entry that completes it, and to some a later one, now and then voided
insert into follow_up_entries (id, follow_up_id, number, conducted_on, level, carried_out, goal_effects, individual_effect, operation_effect, resident_effect,
    knowledge_sharing, lessons, author, recorded_at)
select pg_temp.id(22, i * 2 + nth), pg_temp.id(19, i), 1 + nth, least(ends::date + 60 + (i % 60)::integer + nth * 10, {now}::date), level, 'asPlanned',
    case when seen < 0.6 then jsonb_build_array(jsonb_build_object('effect', pg_temp.pick('{none,some,full,tooEarly}', seen / 0.6), 'evidence', 'Vi ser det.',
        'goalId', case when i % 3 = 0 then pg_temp.id(4, unit)::text else pg_temp.pick('{improveOperations,growCommitment,keepDeveloping}', pg_temp.r(i, 42)) end)) else '[]' end,
    case when pg_temp.r(i + nth, 43) < 0.5 then jsonb_build_object('effect', pg_temp.pick('{none,some,full,tooEarly}', pg_temp.r(i + nth, 44)), 'evidence', 'Enkät.') end,
    case when pg_temp.r(i + nth, 45) < 0.5 then jsonb_build_object('effect', pg_temp.pick('{none,some,full,tooEarly}', pg_temp.r(i + nth, 46)), 'evidence', 'Mätning.') end,
    case when pg_temp.r(i + nth, 47) < 0.5 then jsonb_build_object('effect', pg_temp.pick('{none,some,full,tooEarly}', pg_temp.r(i + nth, 48)), 'evidence', 'Samtal.') end,
    case when pg_temp.r(i + nth, 49) < 0.3 then 'Berättat på arbetsplatsträff.' end,
    case when pg_temp.r(i + nth, 50) < 0.6 then 'Öva på ' || pg_temp.pick('{bemötande,dokumentation,lyftteknik,matematik,samtal,turordning}', pg_temp.r(i + nth, 51)) || ' i grupp.' end,
    'person-0000', least(ends + interval '100 days' + nth * interval '10 days', {now})
from (
    select f.level, m.*, nth, pg_temp.r(m.i + nth, 41) as seen
    from made m join follow_ups f on f.id = pg_temp.id(19, m.i) cross join generate_series(0, case when pg_temp.r(m.i, 40) < 0.1 then 1 else 0 end) nth
    where f.status = 'completed'
) e;
update follow_up_entries n
set words = to_tsvector('pg_catalog.swedish', coalesce(n.lessons, '') || ' ' || coalesce(n.knowledge_sharing, '')) || e.words
from follow_ups f join events e on e.id = f.event_id where f.id = n.follow_up_id;
insert into follow_up_entry_voidings (entry_id, reason, voided_by, voided_at)
select id, 'Fel evenemang.', 'person-0000', recorded_at from follow_up_entries where number = 2 and pg_temp.r(hashtext(id::text), 52) < 0.5;

insert into status_changes (id, event_id, from_status, to_status, changed_by, changed_at)
select pg_temp.id(20, i), id, 'draft', status, 'person-0000', least(ends, {now}) from made where status <> 'draft';

insert into baselines (id, event_id, confirmed_by, confirmed_at, answers, follow_ups)
select pg_temp.id(24, i), id, 'person-0000', day - interval '30 days', '[]', '[]' from made where status <> 'draft';

insert into exception_requests (id, event_id, revision, rule_ids, reason, alternatives_considered, addressee, decision_needed_by, requested_by, status,
    snapshot, first_start, created_at, updated_at)
select pg_temp.id(21, i), id, 1, case when pg_temp.r(i, 33) < 0.5 then '{venueLadder}' else '{venueLadder,question.followUp}' end::text[], 'Därför.', 'Inga.',
    pg_temp.pick('{departmentHead,municipalDirector}', pg_temp.r(i, 34)), day::date, 'person-0000',
    pg_temp.pick('{submitted,approved,approved,rejected,withdrawn,revoked}', pg_temp.r(i, 35)),
    case when pg_temp.r(i, 36) < 0.7 then event_snapshot(id) else event_snapshot(id) || '{\"organisers\": []}' end, day, least(day, {now}) - pg_temp.r(i, 37) * interval '20 days', day
from made where pg_temp.r(i, 38) < 0.05;
insert into exception_request_rules (request_id, rule_id, event_id, open)
select r.id, rule, r.event_id, r.status = 'submitted' from exception_requests r cross join unnest(r.rule_ids) rule;
insert into decisions (id, request_id, office_appointment_id, office_type, unit_id, person_ref, capacity, outcome, reasons, basis, decided_at)
select pg_temp.id(23, row_number() over ()), r.id, pg_temp.id(3, 0), 'municipalDirector', pg_temp.id(1, 0), 'person-0001', 'ordinary',
    case when r.status = 'rejected' then 'rejected' else 'approved' end, 'Därför.', 'execution', r.created_at + interval '1 day'
from exception_requests r where r.status in ('approved', 'rejected', 'revoked');

insert into changes (request_id, occurred_at, actor, operation, resource_type, resource_id, revision, event_id, digest)
select 'request-' || i, day, 'person-' || lpad(person::text, 4, '0'), 'create', 'event', id, 1, id, '\\x00' from made order by i;
update changes set number = entry_id, hash = sha256('x') where number is null;
insert into change_payloads (entry_id, salt) select entry_id, 'sixteen bytes...' from changes where request_id like 'request-%';
";
