-- What is to happen with a household, and when. Due ones are taken one at a time, in the order of their times; the
-- one row of `timer` that a case has ("case-clock") is due no later than the earliest of these.
-- Kinds say nothing of a person: birthdays and due dates are all "look-again", and never farther than four weeks.
CREATE TABLE reminder (
    case_id   uuid        NOT NULL REFERENCES case_file,
    agency_id uuid        NOT NULL REFERENCES agency,
    kind      text        NOT NULL,
    about     text        NOT NULL,
    due_at    timestamptz NOT NULL,
    PRIMARY KEY (case_id, kind, about)
);

-- told_days: the nearest threshold (7, 3, 1 days) of this last night at which the search for the next place began.
ALTER TABLE stay ADD COLUMN agency_id uuid REFERENCES agency;
UPDATE stay SET agency_id = case_file.agency_id FROM case_file WHERE case_file.case_id = stay.case_id;
ALTER TABLE stay ALTER COLUMN agency_id SET NOT NULL;
ALTER TABLE stay ADD COLUMN told_days smallint;
CREATE INDEX stay_case ON stay (case_id);

-- A stay that ended with nothing next: open until somebody says what was done about it. `sealed`: what they wrote.
CREATE TABLE alarm (
    alarm_id        uuid        PRIMARY KEY,
    case_id         uuid        NOT NULL REFERENCES case_file,
    agency_id       uuid        NOT NULL REFERENCES agency,
    stay_id         bigint      NOT NULL REFERENCES stay,
    ended_on        date        NOT NULL,
    raised_at       timestamptz NOT NULL,
    acknowledged_at timestamptz,
    acknowledged_by text,
    action          text CHECK (action IN ('placed', 'found-safe', 'given-to-the-hub', 'not-reached', 'other', 'stay-goes-on')),
    sealed          bytea,
    UNIQUE (stay_id, ended_on),
    CHECK ((acknowledged_at IS NULL) = (action IS NULL))
);
CREATE INDEX alarm_open ON alarm (agency_id, raised_at) WHERE acknowledged_at IS NULL;
CREATE INDEX alarm_case ON alarm (case_id);

-- What a clock asks a worker to do. `asked` counts how often; `sealed`: what they answered in words.
CREATE TABLE task (
    task_id   uuid        PRIMARY KEY,
    case_id   uuid        NOT NULL REFERENCES case_file,
    agency_id uuid        NOT NULL REFERENCES agency,
    kind      text        NOT NULL CHECK (kind IN ('follow-up', 'ask-again', 'ask-for-birth')),
    about     text        NOT NULL,
    due_on    date        NOT NULL,
    asked     integer     NOT NULL DEFAULT 1 CHECK (asked > 0),
    raised_at timestamptz NOT NULL,
    done_at   timestamptz,
    done_by   text,
    outcome   text CHECK (outcome IN ('reached', 'not-reached', 'declined', 'answered', 'overtaken')),
    code      smallint,
    sealed    bytea,
    UNIQUE (case_id, kind, about),
    CHECK ((done_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX task_open ON task (agency_id, due_on) WHERE done_at IS NULL;

-- Where a household lives or went, in HUD codes (3.917, 4.12, 3.12). `sealed`: what was written beside it.
CREATE TABLE living_situation (
    situation_id uuid        PRIMARY KEY,
    case_id      uuid        NOT NULL REFERENCES case_file,
    agency_id    uuid        NOT NULL REFERENCES agency,
    on_date      date        NOT NULL,
    code         smallint    NOT NULL,
    returned     boolean     NOT NULL,
    recorded_by  text        NOT NULL,
    recorded_at  timestamptz NOT NULL,
    sealed       bytea
);
CREATE INDEX living_situation_case ON living_situation (case_id, on_date);
