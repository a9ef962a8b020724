-- That one household which was entered twice gets one place for a night, without anybody seeing that it was.
-- Beside the keys, so that a backup of the vault does not hold it; deleted with the persons that it is made from.

-- `token`: a keyed digest of who a household is (its head, or all of its adults), the same in every agency. `key`: a
-- random name for the household's one place. No agency and no household stands here.
CREATE TABLE keystore.one_place_anchor (
    token bytea PRIMARY KEY,
    key   uuid  NOT NULL
);

CREATE TABLE keystore.household_token (
    household_id uuid  NOT NULL,
    agency_id    uuid  NOT NULL,
    token        bytea NOT NULL,
    PRIMARY KEY (household_id, token)
);
CREATE INDEX household_token_token ON keystore.household_token (token);
SELECT guard('keystore.household_token');

-- `own`: by what the household is called; none while it hides. `shared`: by a merge. Only `revision` is told with it.
CREATE TABLE keystore.one_place (
    household_id uuid   PRIMARY KEY,
    agency_id    uuid   NOT NULL,
    own          uuid,
    shared       uuid,
    revision     bigint NOT NULL
);
SELECT guard('keystore.one_place');

-- Two who enter one household at the same moment: the second begins again, and then finds what the first has made.
CREATE FUNCTION same_or_again(known uuid, wanted uuid) RETURNS uuid LANGUAGE plpgsql AS $body$
BEGIN
    IF known <> wanted THEN
        RAISE EXCEPTION 'another work named it first' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN known;
END
$body$;

-- The last household of a token takes its name along. Which agencies have households of it, this alone looks at.
CREATE FUNCTION anchors_go() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $body$
BEGIN
    DELETE FROM keystore.one_place_anchor AS anchor USING before
    WHERE anchor.token = before.token
      AND NOT EXISTS (SELECT FROM keystore.household_token AS left_over WHERE left_over.token = before.token);
    RETURN NULL;
END
$body$;
CREATE TRIGGER anchors_go AFTER DELETE ON keystore.household_token
    REFERENCING OLD TABLE AS before FOR EACH STATEMENT EXECUTE FUNCTION anchors_go();
