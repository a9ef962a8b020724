-- One household gets one place for a night, whoever entered it. Its cases have one key; which cases those are, and
-- that there is more than one, is told to nobody.
ALTER TABLE household ADD COLUMN one_place uuid, ADD COLUMN one_place_revision bigint NOT NULL DEFAULT 0;

-- The case that has the household's place of that night, and in how many ways. A second case cannot be written here:
-- it is given the same place, without a unit of its own.
CREATE TABLE one_place_night (
    one_place uuid    NOT NULL,
    night     date    NOT NULL,
    case_id   uuid    NOT NULL,
    places    integer NOT NULL CHECK (places > 0),
    PRIMARY KEY (one_place, night)
);

-- `shares`: the referral whose place this one is, too; it takes no units.
ALTER TABLE referral ADD COLUMN one_place uuid, ADD COLUMN shares uuid REFERENCES referral;
ALTER TABLE referral DROP CONSTRAINT referral_units_check;
ALTER TABLE referral ADD CONSTRAINT referral_units_check CHECK (units >= 0 AND (units = 0) = (shares IS NOT NULL));
ALTER TABLE hold DROP CONSTRAINT hold_units_check;
ALTER TABLE hold ADD CONSTRAINT hold_units_check CHECK (units >= 0);
ALTER TABLE occupancy DROP CONSTRAINT occupancy_units_check;
ALTER TABLE occupancy ADD CONSTRAINT occupancy_units_check CHECK (units >= 0);
CREATE INDEX referral_shares ON referral (shares) WHERE shares IS NOT NULL AND state IN ('proposed', 'accepted');
CREATE INDEX referral_one_place ON referral (one_place) WHERE shares IS NULL AND state IN ('proposed', 'accepted');
