drop trigger changes_appended_without_number on changes;
drop function refuse_number();
alter table change_payloads drop constraint change_payloads_salt_length;
alter table changes drop constraint changes_hash_is_sha256, drop constraint changes_numbered_from_one;
