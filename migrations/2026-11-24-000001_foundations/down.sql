drop table idempotency_records;
drop table change_payloads;
drop table changes;
drop function number_once();
drop function refuse_change();
drop domain moment;
drop domain day;
drop extension btree_gist;
