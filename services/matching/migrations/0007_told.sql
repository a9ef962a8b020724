-- As of which day an export last told of this place. One that a whole later export does not tell of has ended.
ALTER TABLE occupancy ADD COLUMN told_as_of date;
