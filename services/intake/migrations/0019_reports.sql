-- What was published, as it was published: never changed, never published again.
CREATE TABLE report (
    period       text        PRIMARY KEY,
    published_at timestamptz NOT NULL,
    cells        jsonb       NOT NULL
);
DO $$
DECLARE
    role text;
BEGIN
    FOR role IN
        SELECT DISTINCT grantee FROM information_schema.role_table_grants
        WHERE table_schema = 'public' AND table_name = 'report' AND grantee <> current_user
    LOOP
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON report FROM %I', role);
    END LOOP;
END
$$;
