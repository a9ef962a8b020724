-- A handover is told together with the others of its time, in no order: bags that were given one after the other
-- may belong to one household. False: it has happened and was not told yet.
ALTER TABLE allocation ADD COLUMN told boolean NOT NULL DEFAULT true;
CREATE INDEX allocation_untold ON allocation (allocation_id) WHERE NOT told;
