-- An alarm of a stay that has not ended: the household was found outside while it was to sleep there. The stay's end is
-- another matter, also on the same day.
ALTER TABLE alarm ADD COLUMN doubted boolean NOT NULL DEFAULT false;
ALTER TABLE alarm DROP CONSTRAINT alarm_stay_id_ended_on_key;
ALTER TABLE alarm ADD UNIQUE (stay_id, ended_on, doubted);
