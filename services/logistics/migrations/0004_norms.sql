-- What follows from a household by norms, where the catalogue did not have it. A warehouse that is here already gets
-- its shelves; matching learns their pack size with the first piece on one, or by a reseed.
INSERT INTO item (item_id, name, pack_size) VALUES
    ('soap-bar',     'Soap, bar of 100 g',         6),
    ('laundry-soap', 'Laundry soap, bar of 200 g', 4)
ON CONFLICT (item_id) DO NOTHING;
INSERT INTO stock (warehouse_id, item_id)
SELECT warehouse_id, item_id FROM warehouse CROSS JOIN item WHERE item_id IN ('soap-bar', 'laundry-soap')
ON CONFLICT DO NOTHING;
