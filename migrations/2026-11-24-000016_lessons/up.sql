-- Lessons: what entries say to everyone, searched in Swedish together with the event; and what keeps lists flat as data grows.

set local lock_timeout = '2s';

-- An entry is written of an event that has been held, whose title and description no longer change: one index finds both.
alter table follow_up_entries add column words tsvector;
create function index_lesson() returns trigger language plpgsql as $$
begin
    select to_tsvector('pg_catalog.swedish', coalesce(new.lessons, '') || ' ' || coalesce(new.knowledge_sharing, '')) || e.words into new.words
    from follow_ups f join events e on e.id = f.event_id where f.id = new.follow_up_id;
    return new;
end $$;
create trigger follow_up_entries_words before insert on follow_up_entries for each row execute function index_lesson();
alter table follow_up_entries disable trigger follow_up_entries_no_change;
update follow_up_entries n
set words = to_tsvector('pg_catalog.swedish', coalesce(n.lessons, '') || ' ' || coalesce(n.knowledge_sharing, '')) || e.words
from follow_ups f join events e on e.id = f.event_id where f.id = n.follow_up_id;
alter table follow_up_entries enable trigger follow_up_entries_no_change;
create index follow_up_entries_by_words on follow_up_entries using gin (words);
create index follow_up_entries_lessons on follow_up_entries (conducted_on, id)
    where carried_out <> 'notCarriedOut' and (lessons is not null or knowledge_sharing is not null);

-- A lesson: what an entry that stands says was learned or passed on, of an event that has been held. Nobody is named.
create view lesson_details as
select n.id, e.id as event_id, e.title as event_title, e.kind,
    array(select o.unit_id from event_organisers o where o.event_id = e.id order by o.position) as organising_unit_ids,
    e.first_start, e.last_end, n.level, n.conducted_on, n.lessons, n.knowledge_sharing, n.words
from follow_up_entries n
join follow_ups f on f.id = n.follow_up_id
join events e on e.id = f.event_id
where n.carried_out <> 'notCarriedOut' and (n.lessons is not null or n.knowledge_sharing is not null)
  and e.status in ('held', 'closed')
  and not exists (select from follow_up_entry_voidings v where v.entry_id = n.id);

-- Does one of these units, or one at or below those of `subtrees`, organise the event? Asked beside other conditions with OR, where
-- a subquery would be answered by reading every organiser there is.
create function organised_within(event uuid, exact uuid[], subtrees uuid[]) returns boolean
    language plpgsql stable parallel safe as $$
begin
    return exists (
        select from event_organisers o join units u on u.id = o.unit_id
        where o.event_id = event and (o.unit_id = any (exact) or u.path && subtrees));
end $$;

create index exception_requests_by_created on exception_requests (created_at, id);
