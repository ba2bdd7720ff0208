-- Jobs. On an empty database this makes the tables; on one of the original Python system it takes
-- over its job_records table in place: renamed to job_data, and a view keeps the old name.
-- Only what the old version can live with may change in later migrations.

-- The names of a run's variables, out of what the original kept: an object with their values, maybe
-- within a JSON string. Values are secrets and must go.
CREATE FUNCTION pg_temp.env_names(env json) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    names json;
BEGIN
    IF json_typeof(env) = 'string' THEN
        env := (env #>> '{}')::json;
    END IF;
    IF json_typeof(env) = 'object' THEN
        SELECT coalesce(json_agg(k), '[]') INTO names FROM json_object_keys(env) k;
        RETURN names;
    END IF;
    RETURN CASE WHEN env IS NULL THEN NULL ELSE '[]'::json END;
EXCEPTION WHEN OTHERS THEN
    RETURN '[]';
END $$;

CREATE FUNCTION pg_temp.take_over() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    item record;
BEGIN
    ALTER TABLE job_records RENAME TO job_data;
    -- Constraints of the original may not know our statuses and users.
    FOR item IN SELECT conname FROM pg_constraint
                WHERE conrelid = 'job_data'::regclass AND contype IN ('c', 'f') LOOP
        EXECUTE format('ALTER TABLE job_data DROP CONSTRAINT %I', item.conname);
    END LOOP;
    FOR item IN SELECT a.attname, c.wanted, format_type(a.atttypid, NULL) AS is
                FROM (VALUES ('id', 'text'), ('user_id', 'text'), ('message', 'text'),
                             ('status', 'text'), ('result', 'text'), ('error_message', 'text'),
                             ('token_usage', 'json'), ('env_vars', 'json'),
                             ('created_at', 'timestamp with time zone'),
                             ('updated_at', 'timestamp with time zone'),
                             ('completed_at', 'timestamp with time zone')) c (name, wanted)
                JOIN pg_attribute a ON a.attrelid = 'job_data'::regclass AND a.attname = c.name
                WHERE format_type(a.atttypid, NULL) <> c.wanted LOOP
        EXECUTE format('ALTER TABLE job_data ALTER COLUMN %I DROP DEFAULT', item.attname);
        EXECUTE format('ALTER TABLE job_data ALTER COLUMN %I TYPE %s USING %s', item.attname,
            item.wanted,
            CASE WHEN item.is = 'timestamp without time zone'
                 THEN format('%I AT TIME ZONE ''UTC''', item.attname)
                 WHEN item.wanted = 'json' THEN format('to_json(%I)', item.attname)
                 ELSE format('%I::%s', item.attname, item.wanted) END);
    END LOOP;
    ALTER TABLE job_data
        ADD COLUMN IF NOT EXISTS result text,
        ADD COLUMN IF NOT EXISTS error_message text,
        ADD COLUMN IF NOT EXISTS token_usage json,
        ADD COLUMN IF NOT EXISTS env_vars json,
        ADD COLUMN IF NOT EXISTS created_at timestamptz,
        ADD COLUMN IF NOT EXISTS updated_at timestamptz,
        ADD COLUMN IF NOT EXISTS completed_at timestamptz;
    -- A new type rewrites the table, so that no dead row keeps a secret either.
    BEGIN
        ALTER TABLE job_data
            ALTER COLUMN env_vars DROP DEFAULT,
            ALTER COLUMN env_vars TYPE json USING pg_temp.env_names(env_vars);
    EXCEPTION WHEN feature_not_supported THEN -- a view of the owner's reads the column
        UPDATE job_data SET env_vars = pg_temp.env_names(env_vars) WHERE env_vars IS NOT NULL;
    END;
    UPDATE job_data SET user_id = '' WHERE user_id IS NULL;
    UPDATE job_data SET message = '' WHERE message IS NULL;
    UPDATE job_data SET created_at = coalesce(updated_at, completed_at, now())
        WHERE created_at IS NULL;
    UPDATE job_data SET status = CASE
            WHEN lower(status) IN ('running', 'processing', 'started', 'in_progress') THEN 'running'
            WHEN lower(status) IN ('completed', 'success', 'succeeded', 'done') THEN 'completed'
            WHEN lower(status) IN ('failed', 'failure', 'error') THEN 'failed'
            WHEN lower(status) IN ('cancelled', 'canceled', 'revoked') THEN 'cancelled'
            ELSE 'pending' END
        WHERE status IS NULL
           OR status NOT IN ('pending', 'running', 'completed', 'failed', 'cancelled');
    ALTER TABLE job_data
        ALTER COLUMN user_id SET NOT NULL,
        ALTER COLUMN message SET NOT NULL,
        ALTER COLUMN status SET NOT NULL,
        ALTER COLUMN status SET DEFAULT 'pending',
        ALTER COLUMN created_at SET NOT NULL,
        ALTER COLUMN created_at SET DEFAULT now(),
        ADD COLUMN IF NOT EXISTS attempts integer NOT NULL DEFAULT 0,
        ADD COLUMN IF NOT EXISTS events integer NOT NULL DEFAULT 1,
        ADD COLUMN IF NOT EXISTS started_at timestamptz;
    -- Ended jobs have two events: pending, and how they ended.
    UPDATE job_data SET completed_at = coalesce(completed_at, updated_at, created_at), events = 2
        WHERE status IN ('completed', 'failed', 'cancelled');
END $$;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_class
               WHERE oid = to_regclass('job_records') AND relkind IN ('r', 'p')) THEN
        PERFORM pg_temp.take_over();
    END IF;
END $$;

-- A job as its user sees it, written at its submission and its end.
CREATE TABLE IF NOT EXISTS job_data (
    id text PRIMARY KEY,
    user_id text NOT NULL,
    message text NOT NULL,
    status text NOT NULL DEFAULT 'pending', -- or how it ended: completed, failed, cancelled
    result text,
    error_message text,
    token_usage json,
    env_vars json, -- an array of names
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz,
    completed_at timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    events integer NOT NULL DEFAULT 1, -- the last one's number, once the job has ended
    started_at timestamptz -- of the first attempt
);
-- Room for how the job ends beside how it began: most updates are heap-only then.
ALTER TABLE job_data SET (fillfactor = 70);
CREATE INDEX IF NOT EXISTS job_data_user_created
    ON job_data (user_id, created_at DESC, id DESC);

-- Jobs that have not ended. The primary key is the only index: another one, or a predicate on
-- `state`, would end the heap-only updates that make claims cheap. Of the events, number 1 (pending)
-- and 2 (the first attempt) are not stored: they follow from this row.
CREATE TABLE job_queue (
    job_id text PRIMARY KEY,
    user_id text NOT NULL,
    state smallint NOT NULL DEFAULT 0, -- 0 queued, 1 running
    run_at timestamptz NOT NULL DEFAULT now(),
    deadline timestamptz,
    session text,
    attempt integer NOT NULL DEFAULT 0, -- with job_id the fencing token; only grows
    failures integer NOT NULL DEFAULT 0,
    losses integer NOT NULL DEFAULT 0,
    events integer NOT NULL DEFAULT 1, -- the last one's number
    claimed_at timestamptz,
    first_started_at timestamptz
) WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0);

-- A worker's lease on all that it runs.
CREATE TABLE worker_sessions (
    session text PRIMARY KEY,
    instance text NOT NULL,
    host text NOT NULL,
    version text NOT NULL,
    capacity integer NOT NULL,
    lease_until timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 45);

CREATE TABLE job_idempotency (
    user_id text NOT NULL,
    key text NOT NULL,
    hash text NOT NULL,
    job_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key)
);

CREATE TABLE job_events (
    job_id text NOT NULL,
    seq integer NOT NULL,
    type text NOT NULL,
    data json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, seq)
);

-- The original's unfinished jobs run again: its own queue would have delivered them again too.
INSERT INTO job_queue (job_id, user_id, run_at)
    SELECT id, user_id, now() FROM job_data WHERE status IN ('pending', 'running') ORDER BY id;
UPDATE job_data SET status = 'pending' WHERE status = 'running';

-- The contract's name: `running` is told by the queue.
CREATE VIEW job_records AS
    SELECT d.id, d.user_id, d.message,
           CASE WHEN q.state = 1 THEN 'running' ELSE d.status END AS status,
           d.result, d.error_message, d.token_usage, d.env_vars, d.created_at,
           greatest(d.updated_at, q.claimed_at) AS updated_at, d.completed_at,
           greatest(d.attempts, q.attempt) AS attempts,
           coalesce(d.started_at, q.first_started_at) AS started_at
    FROM job_data d LEFT JOIN job_queue q ON q.job_id = d.id;
