-- Keys that phones seal their entries to. A private key is sealed under the key-encryption key, and is deleted
-- when no entry can be young enough any more to be told: what was sealed to it is unreadable from then on.
CREATE TABLE keystore.entry_key (
    key_id     uuid        PRIMARY KEY,
    public     bytea       NOT NULL,
    wrapped    bytea       NOT NULL,
    sealed     bytea       NOT NULL,
    made_at    timestamptz NOT NULL
);
