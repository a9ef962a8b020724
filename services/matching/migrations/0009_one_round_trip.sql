-- A statement that takes nights of offers and nights of households at once must not find the name of the one table in
-- what it says of the other.
ALTER TABLE one_place_night RENAME COLUMN night TO on_night;

-- A case asks for what its household has through other cases: all of one key, but for its own.
DROP INDEX referral_one_place;
CREATE INDEX referral_one_place ON referral (one_place, case_id)
    WHERE shares IS NULL AND state IN ('proposed', 'accepted');
