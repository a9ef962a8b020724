-- Whether an advocate took the signature. Of the older ones nobody knows: those end when their household begins to hide.
ALTER TABLE consent ADD COLUMN by_advocate boolean NOT NULL DEFAULT false;
ALTER TABLE consent DROP CONSTRAINT consent_ended_by_check;
ALTER TABLE consent ADD CONSTRAINT consent_ended_by_check
    CHECK (ended_by IN ('expired', 'revoked', 'signer-left', 'household-hides'));

-- A bar goes with the person: `case_id` is the case in which they are, or were last.
UPDATE barred_signer SET case_id = case_file.case_id FROM person JOIN case_file USING (household_id)
WHERE person.person_id = barred_signer.person_id;
CREATE INDEX barred_signer_case ON barred_signer (case_id);

-- What a reading is called outside. access_id counts the readings of the whole region, those of hidden households too.
ALTER TABLE access_log ADD COLUMN read_id uuid NOT NULL DEFAULT gen_random_uuid();
