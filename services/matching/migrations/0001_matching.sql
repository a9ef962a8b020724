-- Who gets what: needs as intake reported them, offers with capacity by night, holds, referrals, occupancies,
-- allocations of goods. No name, no birth date, no address of a household.

-- What may be known of a household. A higher revision replaces a lower one. Closing a case empties the row and
-- keeps it, so that a late request for the case finds that it is over.
CREATE TABLE household (
    case_id      uuid    PRIMARY KEY,
    revision     bigint  NOT NULL,
    adults       integer NOT NULL CHECK (adults >= 0),
    children     integer NOT NULL CHECK (children >= 0),
    infants      integer NOT NULL CHECK (infants >= 0),
    newborn_week text    NOT NULL,
    wheelchair   boolean NOT NULL,
    pets         boolean NOT NULL,
    unsheltered  boolean NOT NULL,
    confidential boolean NOT NULL,
    area         text    NOT NULL,
    arrival_code text    NOT NULL DEFAULT '',
    closed       boolean NOT NULL DEFAULT false
);

-- `tier` and `waiting_since` are the priority. `reason` and `would_change` are what was last said about why
-- nothing was found. `rests_until`: a household that let a hold run out is not asked again before then.
CREATE TABLE need (
    need_id       uuid        PRIMARY KEY,
    case_id       uuid        NOT NULL,
    kind          text        NOT NULL CHECK (kind IN ('lodging', 'food', 'goods')),
    urgency       text        NOT NULL CHECK (urgency IN ('tonight', 'soon', 'planned')),
    item_id       text        NOT NULL DEFAULT '',
    quantity      integer     NOT NULL DEFAULT 0 CHECK (quantity >= 0),
    from_date     date,
    nights        integer     NOT NULL DEFAULT 0 CHECK (nights >= 0),
    state         text        NOT NULL CHECK (state IN ('waiting', 'referred', 'placed', 'closed')),
    tier          smallint    NOT NULL,
    waiting_since timestamptz NOT NULL,
    reason        text,
    would_change  text,
    rests_until   timestamptz,
    excluded      uuid[]      NOT NULL DEFAULT '{}',
    CHECK (CASE kind WHEN 'goods' THEN item_id <> '' AND quantity > 0 ELSE nights > 0 AND from_date IS NOT NULL END)
) WITH (fillfactor = 80);
CREATE INDEX need_case ON need (case_id);
CREATE INDEX need_waiting ON need (kind, tier, waiting_since, need_id) WHERE state = 'waiting';

-- `standing`: units of occupancies without an end, which take every night that has no row of its own.
-- `source_id`, `source_key`: where an imported offer has its name.
CREATE TABLE offer (
    offer_id         uuid        PRIMARY KEY,
    agency           text        NOT NULL,
    kind             text        NOT NULL CHECK (kind IN ('lodging', 'food')),
    name             text        NOT NULL,
    contact          text        NOT NULL,
    area             text        NOT NULL,
    unit             text        NOT NULL CHECK (unit IN ('bed', 'room', 'portion')),
    capacity         integer     NOT NULL CHECK (capacity >= 0),
    standing         integer     NOT NULL DEFAULT 0 CHECK (standing >= 0),
    max_nights       integer     NOT NULL CHECK (max_nights >= 0),
    max_persons      integer     NOT NULL CHECK (max_persons >= 0),
    children         boolean     NOT NULL,
    without_children boolean     NOT NULL,
    wheelchair       boolean     NOT NULL,
    pets             boolean     NOT NULL,
    confidential     boolean     NOT NULL,
    capacity_set_at  timestamptz NOT NULL,
    source_id        text,
    source_key       text,
    UNIQUE (source_id, source_key)
);
CREATE INDEX offer_kind ON offer (kind);
CREATE INDEX offer_agency ON offer (agency);

-- One night of an offer, written down when it is first held, occupied or given a capacity of its own (`said`).
-- Overbooking is impossible by the constraint: a hold adds to `taken` and never touches `excess`, so it is
-- refused above capacity. Only what has already happened may write `excess`: an import of occupancies, a
-- capacity that was lowered. While there is excess nothing can be held; a release works it off.
CREATE TABLE night (
    offer_id uuid    NOT NULL REFERENCES offer,
    night    date    NOT NULL,
    capacity integer NOT NULL CHECK (capacity >= 0),
    taken    integer NOT NULL CHECK (taken >= 0),
    excess   integer NOT NULL DEFAULT 0,
    said     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (offer_id, night),
    CONSTRAINT night_not_overbooked CHECK (excess = GREATEST(0, taken - capacity))
) WITH (fillfactor = 80);

CREATE TABLE referral (
    referral_id       uuid        PRIMARY KEY,
    case_id           uuid        NOT NULL,
    need_id           uuid        NOT NULL REFERENCES need,
    offer_id          uuid        NOT NULL REFERENCES offer,
    state             text        NOT NULL
        CHECK (state IN ('proposed', 'accepted', 'declined', 'rejected', 'expired', 'withdrawn')),
    from_date         date        NOT NULL,
    nights            integer     NOT NULL CHECK (nights > 0),
    units             integer     NOT NULL CHECK (units > 0),
    head_count        integer     NOT NULL CHECK (head_count > 0),
    place_handle      uuid        NOT NULL,
    arrival_code      text        NOT NULL,
    expires_at        timestamptz NOT NULL,
    client_said_yes   boolean     NOT NULL DEFAULT false,
    provider_said_yes boolean     NOT NULL DEFAULT false,
    occupied          boolean     NOT NULL DEFAULT false,
    proposed_at       timestamptz NOT NULL,
    CHECK ((state = 'accepted') <= (client_said_yes AND provider_said_yes)),
    CHECK (occupied <= (state = 'accepted'))
) WITH (fillfactor = 80);
-- A need has one live referral at most.
CREATE UNIQUE INDEX referral_live ON referral (need_id) WHERE state IN ('proposed', 'accepted');
CREATE INDEX referral_case ON referral (case_id);
CREATE INDEX referral_offer ON referral (offer_id, proposed_at);

-- Capacity set aside until `expires_at`. The row is the hold: it is deleted when the place is let go or taken.
CREATE TABLE hold (
    referral_id uuid        PRIMARY KEY REFERENCES referral,
    offer_id    uuid        NOT NULL REFERENCES offer,
    units       integer     NOT NULL CHECK (units > 0),
    from_date   date        NOT NULL,
    until_date  date        NOT NULL CHECK (until_date > from_date),
    expires_at  timestamptz NOT NULL
);

-- A place taken. `until_date`: the first night not slept there; null while no end is known (an import).
CREATE TABLE occupancy (
    occupancy_id uuid    PRIMARY KEY,
    offer_id     uuid    NOT NULL REFERENCES offer,
    case_id      uuid    NOT NULL,
    referral_id  uuid    UNIQUE REFERENCES referral,
    units        integer NOT NULL CHECK (units > 0),
    from_date    date    NOT NULL,
    until_date   date    CHECK (until_date >= from_date),
    ended        boolean NOT NULL DEFAULT false,
    source_id    text,
    source_key   text,
    UNIQUE (source_id, source_key)
);
CREATE INDEX occupancy_case ON occupancy (case_id);
CREATE INDEX occupancy_standing ON occupancy (offer_id) WHERE until_date IS NULL;

-- Goods set aside for a need. `need_id` and `case_id` are the only join between the two; they are emptied when
-- the case closes.
CREATE TABLE allocation (
    allocation_id uuid        PRIMARY KEY,
    need_id       uuid,
    case_id       uuid,
    item_id       text        NOT NULL,
    quantity      integer     NOT NULL CHECK (quantity > 0),
    area          text        NOT NULL,
    week          text        NOT NULL,
    state         text        NOT NULL CHECK (state IN ('proposed', 'reserved', 'refused', 'withdrawn', 'handed over')),
    proposed_at   timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX allocation_need ON allocation (need_id);
CREATE INDEX allocation_case ON allocation (case_id);
CREATE INDEX allocation_proposed ON allocation (item_id) WHERE state = 'proposed';

-- Free stock as logistics last told it, or as a refusal corrected it.
CREATE TABLE stock (
    warehouse_id uuid        NOT NULL,
    item_id      text        NOT NULL,
    area         text        NOT NULL,
    free         integer     NOT NULL CHECK (free >= 0),
    pack_size    integer     NOT NULL CHECK (pack_size > 0),
    told_at      timestamptz NOT NULL,
    PRIMARY KEY (warehouse_id, item_id)
) WITH (fillfactor = 80);

-- What was last said about what the region is short of.
CREATE TABLE shortfall (
    area     text    NOT NULL,
    item_id  text    NOT NULL,
    packs    integer NOT NULL CHECK (packs >= 0),
    revision bigint  NOT NULL,
    PRIMARY KEY (area, item_id)
);

-- The public appeal as logistics last told it: what is wanted and what is promised, in packs.
CREATE TABLE appeal_line (
    line_id uuid    PRIMARY KEY,
    area    text    NOT NULL DEFAULT '',
    item_id text    NOT NULL DEFAULT '',
    packs   integer NOT NULL DEFAULT 0,
    pledged integer NOT NULL DEFAULT 0,
    state   text    NOT NULL CHECK (state IN ('published', 'fulfilled', 'closed'))
);
