-- Needs for which no matcher is here yet wait like others; size, latest day and constraints are kept for whoever can
-- use them. An allocation remembers for which size it was made: one for another size is of no use.
ALTER TABLE need DROP CONSTRAINT need_kind_check;
ALTER TABLE need ADD CONSTRAINT need_kind_check
    CHECK (kind IN ('lodging', 'food', 'goods', 'housing', 'services', 'job'));
ALTER TABLE need DROP CONSTRAINT need_check;
ALTER TABLE need ADD CONSTRAINT need_check CHECK (
    CASE WHEN kind = 'goods' THEN item_id <> '' AND quantity > 0
         WHEN kind IN ('lodging', 'food') THEN nights > 0 AND from_date IS NOT NULL
         ELSE from_date IS NOT NULL END
);
ALTER TABLE need ADD COLUMN size text NOT NULL DEFAULT '';
ALTER TABLE need ADD COLUMN latest_date date;
ALTER TABLE need ADD COLUMN constraints text[] NOT NULL DEFAULT '{}';
ALTER TABLE allocation ADD COLUMN size text NOT NULL DEFAULT '';
