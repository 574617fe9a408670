drop function event_page(uuid[]);
