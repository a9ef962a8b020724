-- That adults of a household parted. Such a household goes by a name that is nobody else's, also when a merge that gave
-- it another one is taken back: what it is called may lead to those it parted from.
ALTER TABLE keystore.one_place ADD COLUMN parted boolean NOT NULL DEFAULT false;
UPDATE keystore.one_place SET parted = true WHERE shared IS NOT NULL AND NOT EXISTS (
    SELECT FROM case_file JOIN case_merge ON merged_case_id = case_file.case_id
    WHERE case_file.household_id = one_place.household_id AND undone_at IS NULL
);
