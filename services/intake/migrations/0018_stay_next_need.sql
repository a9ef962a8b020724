-- The need with which a clock began to look for what comes next, so that an extension can take it back.
ALTER TABLE stay ADD COLUMN next_need uuid;
