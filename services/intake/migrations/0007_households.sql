-- Ids of offers or of their providers, where the household must never be sent; in which words it said so is sealed.
ALTER TABLE household ADD COLUMN avoid text[] NOT NULL DEFAULT '{}';

-- A household whose last person was erased is nobody: what remains of it is that it was there.
ALTER TABLE household ADD COLUMN erased_at timestamptz;
ALTER TABLE household DROP CONSTRAINT household_check;
ALTER TABLE household ADD CONSTRAINT household_not_empty
    CHECK ((erased_at IS NULL) = (adults + children + infants > 0));

-- Which fields became others with which revision: what the second of two workers is told. Names, never values.
CREATE TABLE household_change (
    household_id uuid        NOT NULL REFERENCES household,
    revision     bigint      NOT NULL,
    agency_id    uuid        NOT NULL,
    fields       text[]      NOT NULL,
    changed_by   text        NOT NULL,
    changed_at   timestamptz NOT NULL,
    PRIMARY KEY (household_id, revision)
);
SELECT guard('household_change');

-- Who of an imported household was erased, by a keyed digest of the name that the export has for them: the next
-- export does not bring them back.
CREATE TABLE erased_person (
    household_id uuid  NOT NULL REFERENCES household,
    agency_id    uuid  NOT NULL,
    digest       bytea NOT NULL,
    PRIMARY KEY (household_id, digest)
);
SELECT guard('erased_person');
