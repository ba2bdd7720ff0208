-- What a user reads, reads it through these views: they show the rows of the user for whom the
-- transaction says it runs (set_config('mcpbus.user', …, true)), and none when it says nothing. So a
-- statement that lacks its condition shows nothing of anybody else. The tables, and the view
-- job_records, are as they were: for our own work and for dashboards. The conditions bind whatever
-- role the service connects as; row policies would not bind a superuser, nor Supabase's `postgres`.

CREATE FUNCTION mcpbus_user() RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT nullif(pg_catalog.current_setting('mcpbus.user', true), '') $$;
CREATE FUNCTION mcpbus_users() RETURNS text[] LANGUAGE sql STABLE
    AS $$ SELECT nullif(pg_catalog.current_setting('mcpbus.users', true), '')::pg_catalog.text[] $$;

-- `user_id || ''`: these are looked up by a job's id. A plan that goes by the index on user_id
-- would walk all jobs of a user.
CREATE VIEW own_jobs AS
    SELECT id, user_id, message, status, result, error_message, token_usage, created_at, updated_at,
           completed_at, conversation_id, waiting_approval
    FROM job_records WHERE user_id || '' = mcpbus_user();
-- For several users' look-ups in one statement; the sub-select makes the list once.
CREATE VIEW own_jobs_of_many AS
    SELECT id, user_id, message, status, result, error_message, token_usage, created_at, updated_at,
           completed_at, conversation_id, waiting_approval
    FROM job_records WHERE user_id || '' = ANY ((SELECT mcpbus_users())::text[]);
CREATE VIEW own_job_rows AS
    SELECT d.id, d.status, d.message, d.result, d.error_message, d.created_at, d.completed_at,
           coalesce(d.started_at, q.first_started_at) AS started_at, q.job_id IS NULL AS ended,
           coalesce(q.events, d.events) AS last_event, greatest(d.attempts, q.attempt) AS attempts
    FROM job_data d LEFT JOIN job_queue q ON q.job_id = d.id
    WHERE d.user_id || '' = mcpbus_user();
CREATE VIEW own_job_events AS
    SELECT e.job_id, e.seq, e.type, e.data, e.created_at
    FROM job_events e JOIN job_data d ON d.id = e.job_id WHERE d.user_id || '' = mcpbus_user();

-- And these by their user.
CREATE VIEW own_job_list AS
    SELECT id, created_at, status FROM job_data WHERE user_id = mcpbus_user();
CREATE VIEW own_job_queue AS
    SELECT job_id, state FROM job_queue TABLESAMPLE SYSTEM (100) WHERE user_id = mcpbus_user();
CREATE VIEW own_job_mishaps AS
    SELECT id, status, created_at FROM job_mishaps WHERE user_id = mcpbus_user();
CREATE VIEW own_job_totals AS
    SELECT n, up_to FROM job_totals WHERE user_id = mcpbus_user();
CREATE VIEW own_conversations AS
    SELECT conversation_id, created_at, id FROM job_conversations WHERE user_id = mcpbus_user();

-- Supabase gives its REST interface's roles, strangers' among them, rights on all that is made in
-- the schema `public`. None of this is for them.
DO $$
DECLARE
    item record;
BEGIN
    FOR item IN SELECT c.oid::regclass AS name, r.rolname AS role FROM pg_class c, pg_roles r
                WHERE r.rolname IN ('anon', 'authenticated')
                  AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
                  AND c.relname IN ('job_data', 'job_queue', 'worker_sessions', 'job_idempotency',
                      'job_events', 'job_records', 'job_totals', 'job_mishaps', 'job_upkeep',
                      'job_conversations', 'user_sessions', 'token_revocation_counter',
                      'token_revocations', 'oauth_nonces', 'own_jobs', 'own_jobs_of_many',
                      'own_job_rows', 'own_job_events', 'own_job_list', 'own_job_queue',
                      'own_job_mishaps', 'own_job_totals', 'own_conversations') LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %I', item.name, item.role);
    END LOOP;
END $$;
