-- What every service needs to say each thing once, in order, and to hear each thing once, in order.

-- The generation of this database. Restoring a backup raises it, because sequences drawn after the backup are lost.
CREATE TABLE lineage (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch    integer NOT NULL CHECK (epoch > 0)
);
INSERT INTO lineage (epoch) VALUES (1);

-- One order of events: the last sequence drawn. Its row lock is what serialises the writers of a key.
CREATE TABLE stream (
    topic text    NOT NULL,
    key   text    NOT NULL,
    epoch integer NOT NULL,
    last  bigint  NOT NULL CHECK (last >= 0),
    PRIMARY KEY (topic, key)
) WITH (fillfactor = 80);

-- Events that are committed and not yet in Kafka. A row lives for milliseconds; the relay deletes it.
CREATE TABLE outbox (
    id         bigint      GENERATED ALWAYS AS IDENTITY,
    bucket     smallint    NOT NULL,
    topic      text        NOT NULL,
    key        text        NOT NULL,
    headers    jsonb       NOT NULL,
    payload    bytea       NOT NULL,
    epoch      integer     NOT NULL,
    sequence   bigint      NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (bucket, id)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500);

-- Where a consumer stands in a partition. The version moves with every change to what it has seen of it,
-- a replay included, so that whoever decided on an older view cannot commit.
CREATE TABLE consumer_position (
    consumer    text    NOT NULL,
    topic       text    NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint  NOT NULL,
    version     bigint  NOT NULL DEFAULT 0,
    PRIMARY KEY (consumer, topic, partition)
) WITH (fillfactor = 50);

-- What a consumer has applied of each key.
CREATE TABLE inbox (
    consumer text    NOT NULL,
    topic    text    NOT NULL,
    key      text    NOT NULL,
    epoch    integer NOT NULL,
    last     bigint  NOT NULL,
    last_id  uuid,
    PRIMARY KEY (consumer, topic, key)
) WITH (fillfactor = 80);

-- Records that came before an earlier one of their key, kept until it or a snapshot arrives.
CREATE TABLE waiting (
    consumer  text        NOT NULL,
    topic     text        NOT NULL,
    key       text        NOT NULL,
    epoch     integer     NOT NULL,
    sequence  bigint      NOT NULL,
    partition integer     NOT NULL,
    "offset"  bigint      NOT NULL,
    headers   bytea       NOT NULL,
    payload   bytea       NOT NULL,
    since     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, topic, key, epoch, sequence)
);

-- Records that cannot be applied, and those of the same key behind them. Epoch and sequence are null when the
-- record could not even be read.
CREATE TABLE parked (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer  text        NOT NULL,
    topic     text        NOT NULL,
    key       text        NOT NULL,
    epoch     integer,
    sequence  bigint,
    partition integer     NOT NULL,
    "offset"  bigint      NOT NULL,
    headers   bytea       NOT NULL,
    payload   bytea       NOT NULL,
    reason    text        NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX parked_sequence ON parked (consumer, topic, key, epoch, sequence);

-- Promises with a due time. `due_at` is domain time; `next_try_at` is wall time and moves when an attempt failed.
CREATE TABLE timer (
    kind        text        NOT NULL,
    subject     text        NOT NULL,
    due_at      timestamptz NOT NULL,
    payload     bytea       NOT NULL DEFAULT '',
    attempts    integer     NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (kind, subject)
);
CREATE INDEX timer_due ON timer (due_at);

-- The answers that were given, by the key the client made. `created_at` is domain time.
CREATE TABLE idempotency (
    principal   text        NOT NULL,
    key         text        NOT NULL,
    fingerprint bytea       NOT NULL,
    answer      bytea       NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (principal, key)
);
CREATE INDEX idempotency_created ON idempotency (created_at);

-- True when a statement changed as many rows as its writer counted on; otherwise nothing is committed.
CREATE FUNCTION landed(changed bigint, wanted integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF changed <> wanted THEN
        RAISE EXCEPTION 'what was read has changed since' USING ERRCODE = 'AID01';
    END IF;
    RETURN true;
END
$$;
