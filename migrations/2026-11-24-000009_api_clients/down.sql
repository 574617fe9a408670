drop view api_client_details;
drop table api_client_uses, api_client_secrets, api_clients;
drop table reference_versions;
drop function count_reference();
