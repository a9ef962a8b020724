-- Needs of every kind, with size, latest day and constraints; and those that follow from a household by norms.
ALTER TABLE need DROP CONSTRAINT need_kind_check;
ALTER TABLE need ADD CONSTRAINT need_kind_check
    CHECK (kind IN ('lodging', 'food', 'goods', 'housing', 'services', 'job'));

-- norm: what the need follows from; empty for one that somebody reported. period: the first day of the span of days
-- that a derived need is for (null: it is needed once). carried: pieces that were received before that span began.
ALTER TABLE need ADD COLUMN size text NOT NULL DEFAULT '';
ALTER TABLE need ADD COLUMN latest_date date;
ALTER TABLE need ADD COLUMN constraints text[] NOT NULL DEFAULT '{}';
ALTER TABLE need ADD COLUMN norm text NOT NULL DEFAULT '';
ALTER TABLE need ADD COLUMN period date;
ALTER TABLE need ADD COLUMN carried integer NOT NULL DEFAULT 0 CHECK (carried >= 0);
ALTER TABLE need ADD CONSTRAINT need_derived CHECK (norm <> '' OR (period IS NULL AND carried = 0));

-- What follows from a household is asked for once, however many derive it at the same time.
CREATE UNIQUE INDEX need_asked_once ON need (case_id, norm, item_id, size, period) NULLS NOT DISTINCT
    WHERE norm <> '' AND withdrawn_at IS NULL AND met_at IS NULL;

-- Cases whose derived needs are kept in step with the household. derived_on never falls: a clock that was set back
-- brings no need back that fell away.
CREATE TABLE norms_followed (
    case_id      uuid        PRIMARY KEY REFERENCES case_file,
    agency_id    uuid        NOT NULL REFERENCES agency,
    since        date        NOT NULL,
    horizon_days integer     NOT NULL CHECK (horizon_days BETWEEN 7 AND 90),
    derived_on   date        NOT NULL CHECK (derived_on >= since),
    followed_by  text        NOT NULL,
    followed_at  timestamptz NOT NULL
);
SELECT guard('norms_followed');

-- A worker's word against a norm; quantity 0: nothing is needed. item_id empty: every item of the norm. sealed: why,
-- under the key of the case.
CREATE TABLE overrule (
    overrule_id  uuid        PRIMARY KEY,
    case_id      uuid        NOT NULL REFERENCES case_file,
    agency_id    uuid        NOT NULL REFERENCES agency,
    norm         text        NOT NULL,
    item_id      text        NOT NULL,
    quantity     integer     NOT NULL CHECK (quantity >= 0),
    sealed       bytea       NOT NULL,
    overruled_by text        NOT NULL,
    overruled_at timestamptz NOT NULL,
    UNIQUE (case_id, norm, item_id)
);
SELECT guard('overrule');
