-- A desk lists open cases, and what its worker opened: neither may depend on how many cases were closed over the years.
DROP INDEX case_file_agency;
CREATE INDEX case_file_open ON case_file (agency_id, opened_at, case_id) WHERE closed_at IS NULL;
CREATE INDEX case_file_opener ON case_file (agency_id, opened_by, opened_at, case_id);
