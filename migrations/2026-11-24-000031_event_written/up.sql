-- What an event is once it is written, within the statement that writes it: one round trip less for each event created.
--
-- A query does not see the rows that its own WITH clauses insert. A volatile function takes a snapshot of its own when it is called,
-- and it is called after its arguments are known: the number of rows written is an argument so that they are written first.

set local lock_timeout = '2s';

create function event_written(event uuid, rows_written bigint) returns setof event_details
    language plpgsql volatile as $$
begin
    return query select e.* from event_details e where e.id = event;
end $$;
