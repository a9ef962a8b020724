-- What the application decides in domain/access.py, the database decides once more: a session sees and writes the
-- rows of the agency that it speaks for. It says so in the setting "aid.scope": an agency's id, or 'region' for what
-- is done for all of them (events, timers, operators, imports, the hub). A session that said nothing sees nothing.
-- The owner, who runs migrations, is not held by this.

-- Puts a table whose rows belong to agencies under that rule; the table has a column agency_id.
CREATE FUNCTION guard(guarded regclass) RETURNS void LANGUAGE plpgsql AS $guard$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', guarded);
    EXECUTE format(
        'CREATE POLICY agency ON %s USING (current_setting(''aid.scope'', true) IN (agency_id::text, ''region''))',
        guarded
    );
END
$guard$;

-- Rows about a case belong to the agency whose case it is; nobody has to say so. An allocation that no case is known
-- for yet belongs to the region.
CREATE FUNCTION agency_of_its_case() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    NEW.agency_id := (SELECT agency_id FROM case_file WHERE case_id = NEW.case_id);
    IF NEW.agency_id IS NULL AND NEW.case_id IS NOT NULL THEN
        RAISE foreign_key_violation USING MESSAGE = 'there is no such case';
    END IF;
    RETURN NEW;
END
$body$;

-- The same for a table that exists: its column, filled for the rows that it has, and kept filled.
CREATE FUNCTION belong_to_the_agency_of_its_case(about_cases regclass) RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
    EXECUTE format('ALTER TABLE %s ADD COLUMN IF NOT EXISTS agency_id uuid', about_cases);
    EXECUTE format(
        'UPDATE %s AS row SET agency_id = case_file.agency_id FROM case_file WHERE case_file.case_id = row.case_id',
        about_cases
    );
    EXECUTE format(
        'CREATE TRIGGER agency BEFORE INSERT OR UPDATE OF case_id ON %s '
        'FOR EACH ROW EXECUTE FUNCTION agency_of_its_case()',
        about_cases
    );
    PERFORM guard(about_cases);
END
$body$;

SELECT guard('agency');
SELECT guard('worker');
SELECT guard('household');
SELECT guard('person');
SELECT guard('case_file');
SELECT guard('need');
SELECT guard('keystore.agency_key');
SELECT guard('keystore.subject_key');
SELECT belong_to_the_agency_of_its_case('assignment');
SELECT belong_to_the_agency_of_its_case('referral');
SELECT belong_to_the_agency_of_its_case('allocation');
SELECT belong_to_the_agency_of_its_case('imported');
SELECT belong_to_the_agency_of_its_case('access_log');
ALTER TABLE assignment ALTER COLUMN agency_id SET NOT NULL;
ALTER TABLE referral ALTER COLUMN agency_id SET NOT NULL;
ALTER TABLE imported ALTER COLUMN agency_id SET NOT NULL;
ALTER TABLE access_log ALTER COLUMN agency_id SET NOT NULL;

-- What a decision has to know beyond its own agency, each one fact and nothing else.

-- The agency that a worker is registered with.
CREATE FUNCTION employer_of(worker_subject text) RETURNS uuid
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $body$
BEGIN
    RETURN (SELECT agency_id FROM worker WHERE subject = worker_subject);
END
$body$;

CREATE FUNCTION employing_agency(worker_subject text) RETURNS SETOF agency
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $body$
BEGIN
    RETURN QUERY SELECT agency.* FROM agency WHERE agency_id = employer_of(worker_subject);
END
$body$;

-- The agency of a case of which this worker, who may work elsewhere, was made part.
CREATE FUNCTION agency_assigning(assigned_case uuid, worker_subject text) RETURNS uuid
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $body$
BEGIN
    RETURN (SELECT agency_id FROM assignment WHERE case_id = assigned_case AND subject = worker_subject);
END
$body$;

-- Whether an id that a caller made, or a code, is in use anywhere.
CREATE FUNCTION case_id_taken(wanted uuid) RETURNS boolean
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $body$
BEGIN
    RETURN EXISTS (SELECT FROM case_file WHERE case_id = wanted);
END
$body$;

CREATE FUNCTION need_id_taken(wanted uuid) RETURNS boolean
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $body$
BEGIN
    RETURN EXISTS (SELECT FROM need WHERE need_id = wanted);
END
$body$;

CREATE FUNCTION arrival_code_taken(wanted text, by_another_than uuid) RETURNS boolean
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $body$
BEGIN
    RETURN EXISTS (SELECT FROM case_file WHERE arrival_code = wanted AND case_id <> by_another_than);
END
$body$;
