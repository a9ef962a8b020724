SELECT belong_to_the_agency_of_its_case('stay');
ALTER TABLE stay ALTER COLUMN agency_id SET NOT NULL;
