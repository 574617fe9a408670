-- Reporting of delegated decisions to the boards (anmälan av delegationsbeslut): each once.

set local lock_timeout = '2s';

create table decision_reports (
    id           uuid primary key,
    board        text not null,
    period_from  day not null,
    period_to    day not null,
    meeting_date day not null,
    created_by   text not null,
    created_at   moment not null
);

create table decision_report_entries (
    decision_id uuid primary key references decisions,
    report_id   uuid not null references decision_reports
);
create index decision_report_entries_by_report on decision_report_entries (report_id);

create trigger decision_reports_no_change before update or delete on decision_reports for each row execute function refuse_change();
create trigger decision_report_entries_no_change before update or delete on decision_report_entries
    for each row execute function refuse_change();

-- Every delegated decision with the board it is reported to: that of its unit, or of the nearest unit above that has one.
create view delegated_decision_details as
select d.id, d.request_id, r.event_id, e.title as event_title, r.rule_ids, d.office_type, d.unit_id,
    (select above.board from units above
     where above.id = any (u.path) and above.board is not null
     order by array_position(u.path, above.id) desc limit 1) as board,
    d.person_ref, d.capacity, d.outcome, d.reasons, d.conditions, d.decided_at, p.id as report_id, p.meeting_date
from decisions d
join exception_requests r on r.id = d.request_id
join events e on e.id = r.event_id
join units u on u.id = d.unit_id
left join decision_report_entries n on n.decision_id = d.id
left join decision_reports p on p.id = n.report_id
where d.basis = 'delegated';
