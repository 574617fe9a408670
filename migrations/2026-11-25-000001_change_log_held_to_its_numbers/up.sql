-- The running role may number an entry once, and so it may choose the number: none may be below the first, where no reader looks.
-- An entry is appended without a number; only then does the sequencer give it one.

set local lock_timeout = '2s';

alter table changes
    add constraint changes_numbered_from_one check (entry_id >= 1 and number >= 1),
    add constraint changes_hash_is_sha256 check (octet_length(hash) = 32);

-- A salt of any length could hold what stood before or after.
alter table change_payloads
    add constraint change_payloads_salt_length check (octet_length(salt) = 16);

create function refuse_number() returns trigger language plpgsql as $$
begin
    raise exception 'INSERT into changes with a number is not allowed: the sequencer numbers'
        using errcode = 'restrict_violation', constraint = 'changes_append_only';
end $$;

create trigger changes_appended_without_number before insert on changes for each row
    when (new.number is not null or new.hash is not null) execute function refuse_number();
