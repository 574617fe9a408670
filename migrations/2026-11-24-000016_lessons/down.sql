drop index exception_requests_by_created;
drop function organised_within;
drop view lesson_details;
drop index follow_up_entries_lessons;
drop trigger follow_up_entries_words on follow_up_entries;
drop function index_lesson;
alter table follow_up_entries drop column words;
