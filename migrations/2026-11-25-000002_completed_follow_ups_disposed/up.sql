-- A completed follow-up names the entry that completed it, which lies below it. To let go of that entry first would leave a follow-up
-- that is completed by nothing; so what refers back up stays as it is until all of it is gone, and is checked at the end.

set local lock_timeout = '2s';

alter table follow_ups alter constraint follow_ups_completing_entry_id_fkey deferrable initially immediate;

-- Deletes rows and whatever refers to them, and so on: tables that are added later are covered by their foreign keys.
-- `above` are the tables on the way here. A reference from one of them is to be deferrable, and its row goes with the rest.
create or replace function delete_with_all_below(parent regclass, condition text, above regclass[] default '{}') returns void language plpgsql as $$
declare
    key record;
begin
    set constraints all deferred;
    for key in
        select c.conrelid::regclass as child,
            (select string_agg(quote_ident(a.attname), ', ' order by k.n)
                from unnest(c.conkey) with ordinality k (attnum, n)
                join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.attnum) as columns,
            (select string_agg(quote_ident(a.attname), ', ' order by k.n)
                from unnest(c.confkey) with ordinality k (attnum, n)
                join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.attnum) as referenced
        from pg_constraint c
        where c.contype = 'f' and c.confrelid = parent and c.conrelid <> parent and c.conrelid <> all (above)
    loop
        perform delete_with_all_below(key.child,
            format('(%s) in (select %s from %s where %s)', key.columns, key.referenced, parent, condition),
            above || parent);
    end loop;
    execute format('delete from %s where %s', parent, condition);
end $$;
