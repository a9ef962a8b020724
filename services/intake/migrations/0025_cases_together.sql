-- The look past the agency's own rows of case_id_taken, for many at once: cases that come at one time are opened together.
CREATE FUNCTION case_ids_taken(wanted uuid[]) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp ROWS 1 AS $body$
BEGIN
    RETURN QUERY SELECT case_file.case_id FROM case_file WHERE case_file.case_id = ANY (wanted);
END
$body$;
