-- Guarding a table twice is guarding it once.
CREATE OR REPLACE FUNCTION guard(guarded regclass) RETURNS void LANGUAGE plpgsql AS $guard$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', guarded);
    EXECUTE format('DROP POLICY IF EXISTS agency ON %s', guarded);
    EXECUTE format(
        'CREATE POLICY agency ON %s USING (current_setting(''aid.scope'', true) IN (agency_id::text, ''region''))',
        guarded
    );
END
$guard$;
SELECT guard('reminder');
SELECT guard('alarm');
SELECT guard('task');
SELECT guard('living_situation');

-- Somebody opened a confidential case that they are not assigned to. It is open to them until `until`, and a
-- supervisor who works elsewhere looks into it. `reason`: what they wrote, sealed with the case's key.
CREATE TABLE break_glass (
    glass_id        uuid        PRIMARY KEY,
    case_id         uuid        NOT NULL REFERENCES case_file,
    agency_id       uuid        NOT NULL REFERENCES agency,
    subject         text        NOT NULL,
    opened_at       timestamptz NOT NULL,
    until           timestamptz NOT NULL CHECK (until > opened_at),
    ended_at        timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by text,
    reason          bytea       NOT NULL,
    CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL))
);
SELECT guard('break_glass');
CREATE INDEX break_glass_open ON break_glass (case_id, subject) WHERE ended_at IS NULL;
CREATE INDEX break_glass_unread ON break_glass (opened_at, glass_id) WHERE acknowledged_at IS NULL;

-- The agencies that this worker, who may work elsewhere, has cases in.
CREATE FUNCTION agencies_assigning(worker_subject text) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $body$
BEGIN
    RETURN QUERY SELECT DISTINCT agency_id FROM assignment WHERE subject = worker_subject;
END
$body$;

-- What a worker's desk lists.
CREATE INDEX case_file_agency ON case_file (agency_id, opened_at, case_id);
CREATE INDEX assignment_subject ON assignment (subject);
CREATE INDEX worker_agency ON worker (agency_id, subject);
