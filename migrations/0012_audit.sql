-- Who did what, from where: sign-ins and their refusals, tokens, ends of sessions, and which job got
-- whose access. Only new things.
CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    event text NOT NULL,   -- the log line's id: docs/audit.md lists them
    outcome text NOT NULL, -- ok, refused
    user_id text,
    job_id text,
    address text,    -- the client's, as far as proxies are trusted
    request_id text, -- the answer's X-Request-Id
    detail json      -- scopes, why; never a secret
);
CREATE INDEX audit_log_at ON audit_log (at);
CREATE INDEX audit_log_user ON audit_log (user_id, at);

-- Rows are added. Only our own statements for retention and DELETE /me take some away, and they say
-- so: nobody's slip of the hand does. (Whoever owns the table can still drop the trigger.)
CREATE FUNCTION audit_log_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(current_setting('mcpbus.audit', true), '') NOT IN ('sweep', 'forget') THEN
        RAISE EXCEPTION 'audit_log is append-only' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_log_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_kept();

-- See 0008: Supabase's REST roles.
DO $$
DECLARE
    role text;
BEGIN
    FOR role IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON audit_log FROM %I', role);
    END LOOP;
END $$;
