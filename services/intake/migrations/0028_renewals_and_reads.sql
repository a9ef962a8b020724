-- Consents to the search that were given before anybody was told to ask for them anew: asked for on the day of those
-- that are given now, two weeks before the last one or half-way. At noon of UTC it is that day in all of the world.
INSERT INTO reminder (case_id, agency_id, kind, about, due_at)
SELECT case_id, agency_id, 'consent-ends-soon', consent_id::text,
       (until_date - least(14, (until_date - given_on) / 2) + time '12:00') AT TIME ZONE 'UTC'
FROM consent WHERE purpose = 'search' AND ended_at IS NULL
ON CONFLICT DO NOTHING;
INSERT INTO timer (kind, subject, due_at)
SELECT 'case-clock', case_id::text, min(due_at) FROM reminder WHERE kind = 'consent-ends-soon' GROUP BY case_id
ON CONFLICT (kind, subject) DO UPDATE SET due_at = least(timer.due_at, EXCLUDED.due_at);

-- Who read of one case, the latest first, and from one reading on.
CREATE INDEX access_log_case ON access_log (case_id, access_id);
CREATE INDEX access_log_read ON access_log (read_id);
