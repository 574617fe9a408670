-- Disposal (gallring) by rules that were decided, and reminders of what is due.

set local lock_timeout = '2s';

-- Of each kind of record the rule posted last holds. No rule, or one without years: kept.
create table retention_rules (
    id                 uuid primary key,
    revision           integer not null,
    posted             bigint generated always as identity,
    record_kind        text not null,
    years              integer,
    decision_reference text not null,
    created_by         text not null,
    created_at         moment not null,
    constraint retention_rules_known_kind check (record_kind in ('closedEvent', 'cancelledEvent')),
    constraint retention_rules_years check (years between 1 and 200)
);
create index retention_rules_latest on retention_rules (record_kind, posted desc);
create index retention_rules_by_time on retention_rules (created_at, id);
create trigger retention_rules_no_change before update or delete on retention_rules for each row execute function refuse_change();
create trigger retention_rules_no_truncate before truncate on retention_rules for each statement execute function refuse_change();

-- What has been reminded of: once per thing, kind and date.
create table reminders (
    resource_id uuid not null,
    kind        text not null,
    date        day not null,
    primary key (resource_id, kind, date)
);

-- Append-only, but for disposal: there the owner of a table deletes rows, having said so, and never from the log itself.
create or replace function refuse_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and tg_level = 'ROW' and tg_table_name <> 'changes'
       and current_setting('kompetens.disposal', true) = 'on'
       and pg_has_role(current_user, (select relowner from pg_class where oid = tg_relid), 'usage') then
        return old;
    end if;
    raise exception '% on % is not allowed: it is append-only', tg_op, tg_table_name
        using errcode = 'restrict_violation', constraint = 'changes_append_only';
end $$;

-- Deletes rows and whatever refers to them, and so on: tables that are added later are covered by their foreign keys.
-- `above` are the tables on the way here. A reference from one of them (a follow-up names the entry that completed it) is let go of.
create function delete_with_all_below(parent regclass, condition text, above regclass[] default '{}') returns void language plpgsql as $$
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
revoke execute on function delete_with_all_below(regclass, text, regclass[]) from public;
