-- What came of a follow-up: entries, and how a follow-up left the status planned.

set local lock_timeout = '2s';

-- `number` is the order in which the entries of a follow-up were written: the first one that counts completes it.
create table follow_up_entries (
    id                 uuid primary key,
    follow_up_id       uuid not null references follow_ups,
    number             integer not null,
    conducted_on       day not null,
    level              text not null,
    carried_out        text not null,
    observed_behaviour text,
    goal_effects       jsonb not null,
    individual_effect  jsonb,
    operation_effect   jsonb,
    resident_effect    jsonb,
    knowledge_sharing  text,
    lessons            text,
    next_step          text,
    author             text not null references people (person_ref),
    -- who wrote it down on the author's behalf: an HR administrator or an integration
    recorded_by        text,
    recorded_at        moment not null,
    constraint follow_up_entries_in_order unique (follow_up_id, number),
    constraint follow_up_entries_known_level check (level in ('reaction', 'learning', 'behaviour', 'results')),
    constraint follow_up_entries_known_outcome check (carried_out in ('asPlanned', 'otherwise', 'notCarriedOut'))
);
create index follow_up_entries_by_author on follow_up_entries (author);

-- An entry is never edited: voiding it is a row of its own.
create table follow_up_entry_voidings (
    entry_id  uuid primary key references follow_up_entries,
    reason    text not null,
    voided_by text not null,
    voided_at moment not null
);

create trigger follow_up_entries_no_change before update or delete on follow_up_entries
    for each row execute function refuse_change();
create trigger follow_up_entries_no_truncate before truncate on follow_up_entries
    for each statement execute function refuse_change();
create trigger follow_up_entry_voidings_no_change before update or delete on follow_up_entry_voidings
    for each row execute function refuse_change();
create trigger follow_up_entry_voidings_no_truncate before truncate on follow_up_entry_voidings
    for each statement execute function refuse_change();

-- The entry that completed it and its day; why, by whom and when it took its present status, null while it never took another.
alter table follow_ups
    add completing_entry_id uuid references follow_up_entries,
    add completed_on        day,
    add status_reason       text,
    add status_changed_by   text,
    add status_changed_at   moment;
create index follow_ups_by_completing_entry on follow_ups (completing_entry_id);

update follow_ups f
set status_changed_at = f.updated_at,
    status_changed_by = coalesce((select c.actor from changes c where c.resource_id = f.id order by c.entry_id desc limit 1), 'system')
where f.status <> 'planned';

alter table follow_ups
    add constraint follow_ups_completed_by_an_entry check (
        (status = 'completed') = (completing_entry_id is not null) and (completed_on is null) = (completing_entry_id is null)),
    add constraint follow_ups_ended_by_someone check (
        (status_changed_at is null) = (status_changed_by is null) and (status = 'planned' or status_changed_at is not null));

-- An entry as the service shows it: what happened, and beside it what was planned when the event was held. An event held from
-- draft was held without a plan, whatever was frozen at a confirmation that was taken back.
create view follow_up_entry_details as
select e.*, case when v.entry_id is null then 1 else 2 end as revision, v.reason as voiding_reason, v.voided_by, v.voided_at,
    (select jsonb_strip_nulls(jsonb_build_object(
        'baselineId', b.id,
        'confirmedAt', b.confirmed_at,
        'followUp', (select planned from jsonb_array_elements(b.follow_ups) planned where planned ->> 'id' = f.id::text),
        'answers', (
            select jsonb_agg(jsonb_build_object(
                       'questionId', item -> 'question' -> 'id', 'text', item -> 'question' -> 'text',
                       'answer', item -> 'given' -> 'answer') order by position)
            from jsonb_array_elements(b.answers) with ordinality as items (item, position)
            where item ? 'given' and item -> 'question' ->> 'answerKind' in ('text', 'businessGoals', 'guidelineGoals'))))
     from baselines b
     where b.event_id = f.event_id
       and not exists (select from status_changes s
                       where s.event_id = f.event_id and s.from_status = 'draft' and s.to_status = 'held')
     order by b.confirmed_at desc, b.id desc limit 1) as planned
from follow_up_entries e
join follow_ups f on f.id = e.follow_up_id
left join follow_up_entry_voidings v on v.entry_id = e.id;
