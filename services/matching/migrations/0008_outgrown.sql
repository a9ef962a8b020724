-- For how many heads it was last said that the place is too small for who lives there; null while it is not.
ALTER TABLE occupancy ADD COLUMN outgrown_persons integer CHECK (outgrown_persons > 0);
