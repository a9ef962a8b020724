-- Searches read what changed since they last looked. `changed_in` is the transaction that changed the household or
-- one of its persons: whoever reads again all that is no older than the oldest transaction still running when they
-- last looked misses nothing, in whatever order transactions commit. It tells nothing of what changed.
ALTER TABLE household ADD COLUMN changed_in xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX household_changed ON household (agency_id, changed_in, household_id);

CREATE FUNCTION household_changes() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    NEW.changed_in := pg_current_xact_id();
    RETURN NEW;
END
$body$;
CREATE TRIGGER changes BEFORE UPDATE ON household FOR EACH ROW EXECUTE FUNCTION household_changes();

-- Persons who join come with a change of their household; who is renamed, leaves or is erased may not.
CREATE FUNCTION household_of_persons_changes() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    UPDATE household SET changed_in = pg_current_xact_id()
    WHERE household_id IN (SELECT household_id FROM before) AND changed_in <> pg_current_xact_id();
    RETURN NULL;
END
$body$;
CREATE TRIGGER changes AFTER UPDATE ON person
    REFERENCING OLD TABLE AS before FOR EACH STATEMENT EXECUTE FUNCTION household_of_persons_changes();
CREATE TRIGGER leaves AFTER DELETE ON person
    REFERENCING OLD TABLE AS before FOR EACH STATEMENT EXECUTE FUNCTION household_of_persons_changes();

-- Two cases of one agency are said to be with one household. The cases themselves stay as they are, so taking it
-- back is as if it had never been said. A case is part of one other case at most, and nothing is part of it then.
CREATE TABLE case_merge (
    merge_id       uuid        PRIMARY KEY,
    agency_id      uuid        NOT NULL REFERENCES agency,
    case_id        uuid        NOT NULL REFERENCES case_file,
    merged_case_id uuid        NOT NULL REFERENCES case_file,
    merged_by      text        NOT NULL,
    merged_at      timestamptz NOT NULL,
    undone_by      text,
    undone_at      timestamptz,
    CHECK (case_id <> merged_case_id),
    CHECK ((undone_by IS NULL) = (undone_at IS NULL))
);
CREATE UNIQUE INDEX case_merge_into ON case_merge (merged_case_id) WHERE undone_at IS NULL;
CREATE INDEX case_merge_from ON case_merge (case_id) WHERE undone_at IS NULL;
SELECT guard('case_merge');
