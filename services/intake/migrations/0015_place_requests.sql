-- What a victim service provider asks for: the constraints of one placement. No person, no agency, no worker and no
-- time of asking: nothing joins two of them, or one of them to anybody. Matching knows `request_id` as it knows a
-- case. A request that is over keeps nothing but that id, for as long as matching may still speak of it.
CREATE TABLE place_request (
    request_id   uuid    PRIMARY KEY,
    token_hash   bytea   UNIQUE,
    fingerprint  bytea,
    arrival_code text    UNIQUE,
    need_id      uuid,
    adults       integer,
    children     integer,
    infants      integer,
    wheelchair   boolean,
    pets         boolean,
    area         text,
    from_date    date,
    nights       integer,
    CHECK (num_nonnulls(token_hash, fingerprint, arrival_code, need_id, adults, children, infants, wheelchair, pets,
                        area, from_date, nights) IN (0, 12))
);

-- Of a place request nothing is kept that matching tells of it.
CREATE OR REPLACE FUNCTION agency_of_its_case() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    NEW.agency_id := (SELECT agency_id FROM case_file WHERE case_id = NEW.case_id);
    IF NEW.agency_id IS NULL AND NEW.case_id IS NOT NULL THEN
        IF EXISTS (SELECT FROM place_request WHERE request_id = NEW.case_id) THEN
            RETURN NULL;
        END IF;
        RAISE foreign_key_violation USING MESSAGE = 'there is no such case';
    END IF;
    RETURN NEW;
END
$body$;

CREATE OR REPLACE FUNCTION arrival_code_taken(wanted text, by_another_than uuid) RETURNS boolean
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $body$
BEGIN
    RETURN EXISTS (SELECT FROM case_file WHERE arrival_code = wanted AND case_id <> by_another_than)
        OR EXISTS (SELECT FROM place_request WHERE arrival_code = wanted AND request_id <> by_another_than);
END
$body$;
