create or replace function first_start_of_what_goes_on(at timestamptz) returns timestamptz
    language plpgsql stable parallel safe as $$
begin
    return least(
        at - interval '14 days',
        (select min(e.first_start) from events e where e.last_end - e.first_start > interval '14 days' and e.last_end > at));
end $$;
