-- Ids of offers, or of the agencies that offer them, to which the household must never be sent.
ALTER TABLE household ADD COLUMN avoid text[] NOT NULL DEFAULT '{}';
