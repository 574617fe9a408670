set local lock_timeout = '2s';

drop table import_rows;
drop table imports;
