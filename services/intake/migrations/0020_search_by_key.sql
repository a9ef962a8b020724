-- Both are called for statements that changed nothing, too, and must not read whole tables then: households and tokens
-- are looked for by their keys.
CREATE OR REPLACE FUNCTION household_of_persons_changes() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
    touched uuid[] := ARRAY(SELECT DISTINCT household_id FROM before);
BEGIN
    IF cardinality(touched) > 0 THEN
        UPDATE household SET changed_in = pg_current_xact_id()
        WHERE household_id = ANY (touched) AND changed_in <> pg_current_xact_id();
    END IF;
    RETURN NULL;
END
$body$;

CREATE OR REPLACE FUNCTION anchors_go() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $body$
DECLARE
    left_behind bytea[] := ARRAY(
        SELECT DISTINCT token FROM before
        WHERE NOT EXISTS (SELECT FROM keystore.household_token AS other WHERE other.token = before.token)
    );
BEGIN
    IF cardinality(left_behind) > 0 THEN
        DELETE FROM keystore.one_place_anchor WHERE token = ANY (left_behind);
    END IF;
    RETURN NULL;
END
$body$;
