-- The persons whom a command read or wrote: with them, what it said and was answered is forgotten.
ALTER TABLE idempotency ADD COLUMN subjects uuid[] NOT NULL DEFAULT '{}';
