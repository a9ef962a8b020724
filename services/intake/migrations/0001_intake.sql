-- Person keys stand apart from what they open: a backup of the vault leaves this schema out.
CREATE SCHEMA keystore;

-- Wrapped by the key-encryption key, which is in no database.
CREATE TABLE keystore.agency_key (
    agency_id  uuid        PRIMARY KEY,
    wrapped    bytea       NOT NULL,
    created_at timestamptz NOT NULL
);

-- One key per person, and one per household for what is said of it as a whole; wrapped by the agency's key.
-- Deleting a row makes everything sealed with it unreadable for ever.
CREATE TABLE keystore.subject_key (
    subject_id uuid        PRIMARY KEY,
    agency_id  uuid        NOT NULL,
    wrapped    bytea       NOT NULL,
    created_at timestamptz NOT NULL
);

-- Secrets of the service itself: the one behind arrival codes, the one behind import digests.
CREATE TABLE keystore.secret (
    name       text        PRIMARY KEY,
    wrapped    bytea       NOT NULL,
    sealed     bytea       NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE agency (
    agency_id     uuid        PRIMARY KEY,
    name          text        NOT NULL,
    type          text        NOT NULL CHECK (type IN ('shelter', 'outreach', 'police', 'victim-service-provider',
                                                       'hospital', 'food-bank', 'hub', 'imported')),
    source_id     text,
    source_key    text,
    registered_at timestamptz NOT NULL,
    UNIQUE (source_id, source_key)
);

CREATE TABLE worker (
    subject       text        PRIMARY KEY,
    agency_id     uuid        NOT NULL REFERENCES agency,
    registered_at timestamptz NOT NULL
);

-- The facts that others may know stand in columns; whatever else was said of the household is sealed.
CREATE TABLE household (
    household_id            uuid    PRIMARY KEY,
    agency_id               uuid    NOT NULL REFERENCES agency,
    adults                  integer NOT NULL CHECK (adults >= 0),
    children                integer NOT NULL CHECK (children >= 0),
    infants                 integer NOT NULL CHECK (infants >= 0),
    newborn_space_from_week text    NOT NULL,
    wheelchair              boolean NOT NULL,
    pets                    boolean NOT NULL,
    unsheltered             boolean NOT NULL,
    confidential            boolean NOT NULL,
    area                    text    NOT NULL,
    revision                bigint  NOT NULL CHECK (revision > 0),
    sealed                  bytea   NOT NULL,
    CHECK (adults + children + infants > 0)
);

CREATE TABLE person (
    person_id    uuid     PRIMARY KEY,
    household_id uuid     NOT NULL REFERENCES household,
    agency_id    uuid     NOT NULL REFERENCES agency,
    position     smallint NOT NULL,
    sealed       bytea    NOT NULL
);
CREATE INDEX person_household ON person (household_id, position);

-- "case" is a word of SQL. version rises with every command; a command that read an older one is run again.
CREATE TABLE case_file (
    case_id      uuid        PRIMARY KEY,
    household_id uuid        NOT NULL REFERENCES household,
    agency_id    uuid        NOT NULL REFERENCES agency,
    opened_by    text        NOT NULL,
    opened_at    timestamptz NOT NULL,
    recorded_at  timestamptz NOT NULL,
    closed_at    timestamptz,
    arrival_code text        UNIQUE,
    version      bigint      NOT NULL DEFAULT 1
);

-- Who may see and act on a confidential case.
CREATE TABLE assignment (
    case_id     uuid        NOT NULL REFERENCES case_file,
    subject     text        NOT NULL,
    assigned_by text        NOT NULL,
    assigned_at timestamptz NOT NULL,
    PRIMARY KEY (case_id, subject)
);

-- ordinal keeps the order in which needs were reported. import_mark tells what an export asked for.
CREATE TABLE need (
    need_id        uuid        PRIMARY KEY,
    case_id        uuid        NOT NULL REFERENCES case_file,
    agency_id      uuid        NOT NULL REFERENCES agency,
    ordinal        bigint      GENERATED ALWAYS AS IDENTITY,
    kind           text        NOT NULL CHECK (kind IN ('lodging', 'food', 'goods')),
    item_id        text        NOT NULL,
    quantity       integer     NOT NULL,
    from_date      date,
    nights         integer     NOT NULL,
    urgency        text        NOT NULL CHECK (urgency IN ('tonight', 'soon', 'planned')),
    reported_at    timestamptz NOT NULL,
    withdrawn_at   timestamptz,
    met_at         timestamptz,
    unmatched      text CHECK (unmatched IN ('no-eligible-place', 'all-full', 'no-stock')),
    would_change   text CHECK (would_change IN ('area', 'fewer-nights', 'pets')),
    import_mark    bytea,
    version        bigint      NOT NULL DEFAULT 1,
    CHECK (withdrawn_at IS NULL OR met_at IS NULL),
    CHECK ((kind = 'goods') = (quantity > 0)),
    CHECK ((kind = 'goods') = (from_date IS NULL))
);
CREATE INDEX need_case ON need (case_id, ordinal);

-- What matching proposed. A later event of a referral may be the first one seen (after a snapshot): then only
-- its state is known.
CREATE TABLE referral (
    referral_id uuid        PRIMARY KEY,
    case_id     uuid        NOT NULL REFERENCES case_file,
    need_id     uuid        NOT NULL,
    ordinal     bigint      GENERATED ALWAYS AS IDENTITY,
    state       text        NOT NULL CHECK (state IN ('proposed', 'accepted', 'declined', 'rejected', 'expired',
                                                      'withdrawn')),
    place       text        NOT NULL DEFAULT '',
    contact     text        NOT NULL DEFAULT '',
    from_date   date,
    nights      integer     NOT NULL DEFAULT 0,
    expires_at  timestamptz,
    version     bigint      NOT NULL DEFAULT 1
);
CREATE INDEX referral_case ON referral (case_id, ordinal);

-- A household living in a placement. Stays of an import have no referral.
CREATE TABLE stay (
    stay_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id     uuid   NOT NULL REFERENCES case_file,
    referral_id uuid   UNIQUE,
    from_date   date   NOT NULL,
    last_night  date,
    ended_on    date
);
CREATE UNIQUE INDEX stay_imported ON stay (case_id, from_date) WHERE referral_id IS NULL;

-- Written from two sides that are not ordered among each other: matching tells the case, logistics the state.
CREATE TABLE allocation (
    allocation_id uuid    PRIMARY KEY,
    case_id       uuid    REFERENCES case_file,
    need_id       uuid,
    quantity      integer NOT NULL DEFAULT 0,
    taken_back    boolean NOT NULL DEFAULT false,
    told          text    CHECK (told IN ('reserved', 'refused', 'handed over', 'withdrawn')),
    bag_code      text    NOT NULL DEFAULT '',
    version       bigint  NOT NULL DEFAULT 1
);
CREATE INDEX allocation_case ON allocation (case_id);

-- Which households came from which export. The digest is keyed: nobody can try names against it.
CREATE TABLE imported (
    source_id    text  NOT NULL,
    source_key   text  NOT NULL,
    household_id uuid  NOT NULL REFERENCES household,
    case_id      uuid  NOT NULL REFERENCES case_file,
    digest       bytea NOT NULL,
    PRIMARY KEY (source_id, source_key)
);
CREATE INDEX imported_case ON imported (case_id);

-- Every reading of a person, and of where a household meets its goods.
CREATE TABLE access_log (
    access_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        timestamptz NOT NULL,
    reader    text        NOT NULL,
    agency    text        NOT NULL,
    case_id   uuid        NOT NULL,
    person_id uuid,
    why       text        NOT NULL,
    consent   text        NOT NULL DEFAULT ''
);
CREATE INDEX access_log_person ON access_log (person_id, at);

-- Append-only for everyone but the owner: whoever takes over the service cannot cover the tracks.
DO $$
DECLARE
    role text;
BEGIN
    FOR role IN
        SELECT DISTINCT grantee FROM information_schema.role_table_grants
        WHERE table_schema = 'public' AND table_name = 'access_log' AND grantee <> current_user
    LOOP
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON access_log FROM %I', role);
    END LOOP;
END
$$;
