-- From a household to its cases.
CREATE INDEX case_file_household ON case_file (household_id);
