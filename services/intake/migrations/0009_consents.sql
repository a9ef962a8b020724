-- The words that households are informed with. Public, and never changed: a consent names the version it stands on.
CREATE TABLE consent_text (
    version      text        NOT NULL,
    language     text        NOT NULL,
    purpose      text        NOT NULL CHECK (purpose IN ('share-with-provider', 'follow-up', 'public-story', 'search')),
    body         text        NOT NULL,
    published_at timestamptz NOT NULL,
    PRIMARY KEY (version, language)
);

-- Where the evidence lies is sealed with a key of the consent's own.
CREATE TABLE consent (
    consent_id    uuid        PRIMARY KEY,
    case_id       uuid        NOT NULL REFERENCES case_file,
    agency_id     uuid        NOT NULL REFERENCES agency,
    person_ids    uuid[]      NOT NULL CHECK (cardinality(person_ids) > 0),
    signer_id     uuid        NOT NULL,
    purpose       text        NOT NULL CHECK (purpose IN ('share-with-provider', 'follow-up', 'public-story', 'search')),
    referral_id   uuid,
    text_version  text        NOT NULL,
    text_language text        NOT NULL,
    evidence      text        NOT NULL CHECK (evidence IN ('paper', 'screen', 'recorded')),
    sealed        bytea       NOT NULL,
    given_on      date        NOT NULL,
    until_date    date        NOT NULL CHECK (until_date >= given_on),
    recorded_by   text        NOT NULL,
    recorded_at   timestamptz NOT NULL,
    ended_at      timestamptz,
    ended_by      text        CHECK (ended_by IN ('expired', 'revoked', 'signer-left')),
    FOREIGN KEY (text_version, text_language) REFERENCES consent_text,
    CHECK ((purpose = 'share-with-provider') = (referral_id IS NOT NULL)),
    CHECK ((ended_at IS NULL) = (ended_by IS NULL))
);
CREATE INDEX consent_case ON consent (case_id, recorded_at);
CREATE INDEX consent_referral ON consent (referral_id) WHERE ended_at IS NULL;
SELECT guard('consent');

-- Members of a household who sign for nobody else.
CREATE TABLE barred_signer (
    person_id uuid        PRIMARY KEY,
    case_id   uuid        NOT NULL REFERENCES case_file,
    agency_id uuid        NOT NULL REFERENCES agency,
    barred_by text        NOT NULL,
    barred_at timestamptz NOT NULL
);
SELECT guard('barred_signer');
