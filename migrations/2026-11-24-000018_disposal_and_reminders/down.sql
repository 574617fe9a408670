drop function delete_with_all_below(regclass, text, regclass[]);
create or replace function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% on % is not allowed: it is append-only', tg_op, tg_table_name
        using errcode = 'restrict_violation', constraint = 'changes_append_only';
end $$;
drop table reminders;
drop table retention_rules;
