-- A permanent home is no bed for a night: its places are known and counted, and no lodging need is sent there.
ALTER TABLE offer DROP CONSTRAINT offer_kind_check;
ALTER TABLE offer ADD CONSTRAINT offer_kind_check CHECK (kind IN ('lodging', 'food', 'housing'));
