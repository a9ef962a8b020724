-- How a household's time with a project ended, as an export tells it: where it went (HUD 3.12; 99: not collected), from
-- when to when, and how many of its members. One row per day and destination: members may part.
CREATE TABLE outcome (
    case_id     uuid     NOT NULL REFERENCES case_file,
    agency_id   uuid     NOT NULL REFERENCES agency,
    entered_on  date     NOT NULL,
    exited_on   date     NOT NULL,
    destination smallint NOT NULL,
    persons     smallint NOT NULL CHECK (persons > 0),
    PRIMARY KEY (case_id, exited_on, destination)
);
CREATE INDEX outcome_exited ON outcome (agency_id, exited_on);
SELECT guard('outcome');

-- What coordinated entry did for a household (HUD 4.20.2), and what became of it (4.20.D), as an export tells it.
CREATE TABLE coordinated_entry (
    case_id   uuid     NOT NULL REFERENCES case_file,
    agency_id uuid     NOT NULL REFERENCES agency,
    on_date   date     NOT NULL,
    event     smallint NOT NULL,
    result    smallint,
    result_on date,
    UNIQUE NULLS NOT DISTINCT (case_id, on_date, event, result, result_on)
);
SELECT guard('coordinated_entry');
