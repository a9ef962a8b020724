-- A consent to the search that ends soon is asked for anew.
ALTER TABLE task DROP CONSTRAINT task_kind_check;
ALTER TABLE task ADD CONSTRAINT task_kind_check
    CHECK (kind IN ('follow-up', 'ask-again', 'ask-for-birth', 'renew-consent'));
