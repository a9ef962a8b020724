-- Which size of the item goes into the bag; empty where the item's name says it. Stock is counted by item alone: who packs
-- the bag picks the size.
ALTER TABLE allocation ADD COLUMN size text NOT NULL DEFAULT '' CHECK (length(size) <= 16);
