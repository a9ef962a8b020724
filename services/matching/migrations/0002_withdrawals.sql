-- `untold`: taken back, and logistics is told on the next round of goods, among all that is told then.
ALTER TABLE allocation ADD COLUMN untold boolean NOT NULL DEFAULT false;
ALTER TABLE allocation ADD CONSTRAINT allocation_untold CHECK (untold <= (state = 'withdrawn'));
CREATE INDEX allocation_untold ON allocation (allocation_id) WHERE untold;
