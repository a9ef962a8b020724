-- The same two looks past the agency's own rows as employer_of and need_id_taken, for many at once: a call of such a
-- function costs more than what it looks up.
CREATE FUNCTION employers_of(worker_subjects text[]) RETURNS TABLE (employed text, works_for uuid)
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $body$
BEGIN
    RETURN QUERY SELECT worker.subject, worker.agency_id FROM worker WHERE worker.subject = ANY (worker_subjects);
END
$body$;

CREATE FUNCTION need_ids_taken(wanted uuid[]) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp ROWS 1 AS $body$
BEGIN
    RETURN QUERY SELECT need.need_id FROM need WHERE need.need_id = ANY (wanted);
END
$body$;
