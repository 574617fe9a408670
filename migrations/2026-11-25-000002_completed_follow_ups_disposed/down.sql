-- Deletes rows and whatever refers to them, and so on: tables that are added later are covered by their foreign keys.
-- `above` are the tables on the way here. A reference from one of them (a follow-up names the entry that completed it) is let go of.
create or replace function delete_with_all_below(parent regclass, condition text, above regclass[] default '{}') returns void language plpgsql as $$
declare
    key record;
begin
    for key in
        select c.conrelid::regclass as child,
            (select string_agg(quote_ident(a.attname), ', ' order by k.n)
                from unnest(c.conkey) with ordinality k (attnum, n)
                join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.attnum) as columns,
            (select string_agg(quote_ident(a.attname) || ' = null', ', ')
                from unnest(c.conkey) k (attnum)
                join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.attnum) as let_go,
            (select string_agg(quote_ident(a.attname), ', ' order by k.n)
                from unnest(c.confkey) with ordinality k (attnum, n)
                join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.attnum) as referenced
        from pg_constraint c
        where c.contype = 'f' and c.confrelid = parent and c.conrelid <> parent
    loop
        if key.child = any (above) then
            execute format('update %s set %s where (%s) in (select %s from %s where %s)',
                key.child, key.let_go, key.columns, key.referenced, parent, condition);
        else
            perform delete_with_all_below(key.child,
                format('(%s) in (select %s from %s where %s)', key.columns, key.referenced, parent, condition),
                above || parent);
        end if;
    end loop;
    execute format('delete from %s where %s', parent, condition);
end $$;

alter table follow_ups alter constraint follow_ups_completing_entry_id_fkey not deferrable;
