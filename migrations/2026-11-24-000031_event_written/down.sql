drop function event_written(uuid, bigint);
