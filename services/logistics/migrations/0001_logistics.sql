-- Items, the appeal, pledges, boxes, stock and bags. No table here knows a household.

CREATE TABLE item (
    item_id   text    PRIMARY KEY CHECK (item_id ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    name      text    NOT NULL,
    pack_size integer NOT NULL CHECK (pack_size > 0)
);

-- `journal_last` is the last position of the warehouse's journal; drawing the next one locks this row until commit,
-- so positions become visible in order and a rolled-back one is drawn again.
CREATE TABLE warehouse (
    warehouse_id uuid   PRIMARY KEY,
    name         text   NOT NULL,
    area         text   NOT NULL,
    address      text   NOT NULL,
    agency       text   NOT NULL,
    journal_last bigint NOT NULL DEFAULT 0 CHECK (journal_last >= 0)
) WITH (fillfactor = 50);

-- Every event of a warehouse's shipments, once and in order; written in the transaction of its event.
CREATE TABLE journal (
    warehouse_id uuid        NOT NULL REFERENCES warehouse,
    position     bigint      NOT NULL CHECK (position > 0),
    type         text        NOT NULL,
    payload      bytea       NOT NULL,
    occurred_at  timestamptz NOT NULL,
    PRIMARY KEY (warehouse_id, position)
);

-- Counted goods. They have no lot, no box and no donor: nothing here can be traced back behind the receipt.
-- `stock_allocated_is_screened` is what keeps an unopened parcel from ever reaching a household.
CREATE TABLE stock (
    warehouse_id uuid    NOT NULL REFERENCES warehouse,
    item_id      text    NOT NULL REFERENCES item,
    unscreened   integer NOT NULL DEFAULT 0,
    screened     integer NOT NULL DEFAULT 0,
    allocated    integer NOT NULL DEFAULT 0,
    PRIMARY KEY (warehouse_id, item_id),
    CONSTRAINT stock_not_negative CHECK (unscreened >= 0 AND screened >= 0 AND allocated >= 0),
    CONSTRAINT stock_allocated_is_screened CHECK (allocated <= screened)
) WITH (fillfactor = 50);
CREATE INDEX stock_item ON stock (item_id);

-- What matching last said is short, in packs. It becomes public on the tick only, and only when the catalogue
-- knows the item.
CREATE TABLE shortfall (
    area    text    NOT NULL,
    item_id text    NOT NULL,
    packs   integer NOT NULL CHECK (packs >= 0),
    PRIMARY KEY (area, item_id)
);

-- The last tick that was published.
CREATE TABLE appeal (
    only_row  boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    ticked_at timestamptz NOT NULL
);

-- The public list, in packs. A pledge adds to `pledged` and never touches `excess`, so the last constraint refuses
-- it beyond `wanted`; only what lowers `wanted`, gives packs back or counts arrivals writes `excess` anew.
CREATE TABLE line (
    line_id  uuid    PRIMARY KEY,
    area     text    NOT NULL,
    item_id  text    NOT NULL REFERENCES item,
    state    text    NOT NULL CHECK (state IN ('published', 'fulfilled', 'closed')),
    wanted   integer NOT NULL CHECK (wanted >= 0),
    pledged  integer NOT NULL CHECK (pledged >= 0),
    arrived  integer NOT NULL CHECK (arrived >= 0),
    settling integer NOT NULL CHECK (settling >= 0),
    admitted integer NOT NULL CHECK (admitted >= 0),
    returned integer NOT NULL CHECK (returned >= 0),
    received integer NOT NULL CHECK (received >= 0),
    shown    integer NOT NULL CHECK (shown >= 0),
    excess   integer NOT NULL,
    UNIQUE (area, item_id),
    CONSTRAINT line_never_over CHECK (excess = GREATEST(0, pledged + arrived + settling - wanted))
) WITH (fillfactor = 50);

-- A donor's promise. The secret that opens it and the key it was made with are kept as hashes only.
CREATE TABLE pledge (
    pledge_id    uuid        PRIMARY KEY,
    line_id      uuid        NOT NULL REFERENCES line,
    packs        integer     NOT NULL CHECK (packs > 0),
    asked        integer     NOT NULL CHECK (asked >= packs),
    state        text        NOT NULL CHECK (state IN ('pledged', 'packed', 'sent', 'received', 'expired')),
    send_by      timestamptz NOT NULL,
    warehouse_id uuid        NOT NULL REFERENCES warehouse,
    label        text        UNIQUE,
    key_hash     bytea       NOT NULL UNIQUE,
    secret_hash  bytea       NOT NULL UNIQUE
) WITH (fillfactor = 80);
CREATE INDEX pledge_unsent ON pledge (line_id, send_by) WHERE state IN ('pledged', 'packed');

-- Boxes that travel together: those packed for a warehouse on a day, until none of them waits any more.
CREATE TABLE shipment (
    shipment_id  uuid PRIMARY KEY,
    warehouse_id uuid NOT NULL REFERENCES warehouse,
    day          date NOT NULL,
    state        text NOT NULL CHECK (state IN ('expected', 'dispatched', 'received', 'closed'))
);
CREATE UNIQUE INDEX shipment_expected ON shipment (warehouse_id, day) WHERE state = 'expected';

-- A parcel. It points at its shipment and not at its pledge: the pledge knows its label until the receipt.
CREATE TABLE box (
    label       text    PRIMARY KEY,
    shipment_id uuid    NOT NULL REFERENCES shipment,
    item_id     text    NOT NULL REFERENCES item,
    declared    integer NOT NULL CHECK (declared > 0),
    state       text    NOT NULL CHECK (state IN ('packed', 'sent', 'unscreened', 'received', 'set apart', 'given up'))
);
CREATE INDEX box_shipment ON box (shipment_id);

-- Stock set aside for one need, known by a random id. A row without an item is a withdrawal that came first.
CREATE TABLE allocation (
    allocation_id uuid    PRIMARY KEY,
    state         text    NOT NULL CHECK (state IN ('reserved', 'refused', 'withdrawn', 'dispatched', 'handed over')),
    item_id       text,
    quantity      integer CHECK (quantity > 0),
    area          text,
    week          text,
    warehouse_id  uuid    REFERENCES warehouse,
    bag_code      text    UNIQUE,
    available     integer NOT NULL DEFAULT 0,
    carrier       text    NOT NULL DEFAULT '',
    withdrawn     boolean NOT NULL DEFAULT false,
    day           date,
    CHECK (state NOT IN ('reserved', 'dispatched', 'handed over') OR (bag_code IS NOT NULL AND warehouse_id IS NOT NULL)),
    CHECK (state NOT IN ('dispatched', 'handed over') OR carrier <> ''),
    CHECK (state <> 'handed over' OR day IS NOT NULL)
);
CREATE INDEX allocation_bags ON allocation (warehouse_id, state) WHERE state IN ('reserved', 'dispatched');
CREATE INDEX allocation_carried ON allocation (carrier) WHERE state = 'dispatched';
