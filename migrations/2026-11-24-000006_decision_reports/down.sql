drop view delegated_decision_details;
drop table decision_report_entries;
drop table decision_reports;
