-- A page of events in one statement, so that it is one snapshot without BEGIN and COMMIT.
--
-- Which events is asked anew with other filters each time, and so is its plan. What they are is the same query always: in a function
-- its plan is made once a session, where making it costs more than following it (docs/PERFORMANCE.md).

set local lock_timeout = '2s';

-- The events with these ids, in the order of the ids.
create function event_page(ids uuid[]) returns setof event_details
    language plpgsql stable parallel safe as $$
begin
    return query select e.* from unnest(ids) with ordinality as page (id, place) join event_details e on e.id = page.id order by page.place;
end $$;
