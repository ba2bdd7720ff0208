-- Jobs. On an empty database this makes the tables; on one of the original Python system it takes
-- over its job_records table in place: renamed to job_data, and a view keeps the old name.
-- Only what the old version can live with may change in later migrations.

CREATE OR REPLACE FUNCTION pg_temp.take_over() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    all_jobs bigint;
    waiting bigint;
    refused bigint;
    item record;
BEGIN
    PERFORM pg_temp.take_down('job_records', 'job_data');
    PERFORM pg_temp.relax('job_data', ARRAY['id']);
    -- One rewrite of the table, after which no dead row keeps a secret either.
    PERFORM pg_temp.set_types('job_data', ARRAY[['id', 'text'], ['user_id', 'text'],
        ['message', 'text'], ['status', 'text'], ['result', 'text'], ['error_message', 'text'],
        ['token_usage', 'json'], ['env_vars', 'json'], ['created_at', 'timestamp with time zone'],
        ['updated_at', 'timestamp with time zone'], ['completed_at', 'timestamp with time zone']]);
    PERFORM pg_temp.make_key('job_data', 'id', 'created_at');
    -- Nothing reads by it any more, and each job's end would have to write it.
    FOR item IN SELECT i.indexrelid::regclass AS name FROM pg_index i
                JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = 'status'
                WHERE i.indrelid = 'job_data'::regclass AND NOT i.indisunique
                  AND (a.attnum = ANY (i.indkey)
                       OR pg_get_expr(i.indpred, i.indrelid) ~ '\mstatus\M') LOOP
        EXECUTE format('DROP INDEX %s', item.name);
    END LOOP;
    UPDATE job_data SET user_id = '' WHERE user_id IS NULL;
    UPDATE job_data SET message = '' WHERE message IS NULL;
    UPDATE job_data SET created_at = coalesce(updated_at, completed_at, now())
        WHERE created_at IS NULL;
    -- Celery's names too. A status that says nothing may mean that the job was done.
    UPDATE job_data SET status = CASE
            WHEN lower(status) IN ('running', 'processing', 'started', 'in_progress') THEN 'running'
            WHEN lower(status) IN ('completed', 'success', 'succeeded', 'done', 'finished')
                THEN 'completed'
            WHEN lower(status) IN ('failed', 'failure', 'error', 'timeout', 'rejected') THEN 'failed'
            WHEN lower(status) IN ('cancelled', 'canceled', 'revoked', 'ignored') THEN 'cancelled'
            WHEN lower(coalesce(status, '')) IN ('', 'pending', 'queued', 'created', 'submitted',
                'new', 'waiting', 'received', 'scheduled', 'retry') THEN 'pending'
            ELSE status END
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
        -- Ended jobs have two events: pending, and how they ended.
        ADD COLUMN IF NOT EXISTS events integer NOT NULL DEFAULT 2,
        ADD COLUMN IF NOT EXISTS started_at timestamptz;
    ALTER TABLE job_data ALTER COLUMN events SET DEFAULT 1;
    UPDATE job_data SET completed_at = coalesce(updated_at, created_at)
        WHERE status IN ('completed', 'failed', 'cancelled') AND completed_at IS NULL;
    UPDATE job_data SET status = 'failed', completed_at = now(), updated_at = now(),
            error_message = concat_ws(' ', nullif(error_message, ''),
                pg_temp.why_not(status, created_at, id, user_id, message))
        WHERE status NOT IN ('completed', 'failed', 'cancelled')
          AND pg_temp.why_not(status, created_at, id, user_id, message) IS NOT NULL;
    GET DIAGNOSTICS refused = ROW_COUNT;
    UPDATE job_data SET status = 'pending', events = 1, completed_at = NULL
        WHERE status IN ('pending', 'running');
    GET DIAGNOSTICS waiting = ROW_COUNT;
    SELECT count(*) INTO all_jobs FROM job_data;
    PERFORM set_config('mcpbus.took_over', format('%s jobs of the original taken over: %s wait and'
        ' will be run, %s had not ended and are failed now, with the reason; the others had ended',
        all_jobs, waiting, refused), true);
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

INSERT INTO job_queue (job_id, user_id, run_at)
    SELECT id, user_id, now() FROM job_data WHERE status = 'pending' ORDER BY id;

-- The contract's name: `running` is told by the queue.
CREATE VIEW job_records AS
    SELECT d.id, d.user_id, d.message,
           CASE WHEN q.state = 1 THEN 'running' ELSE d.status END AS status,
           d.result, d.error_message, d.token_usage, d.env_vars, d.created_at,
           greatest(d.updated_at, q.claimed_at) AS updated_at, d.completed_at,
           greatest(d.attempts, q.attempt) AS attempts,
           coalesce(d.started_at, q.first_started_at) AS started_at
    FROM job_data d LEFT JOIN job_queue q ON q.job_id = d.id;

-- Who could read the table can read the view, and nobody else: by default rights a new view may be
-- open to strangers. Beside policies only those whom they don't bind, since a view goes past them.
DO $$
DECLARE
    statement text;
BEGIN
    PERFORM pg_temp.take_rights('job_records');
    FOR statement IN SELECT format('GRANT SELECT ON job_records TO %s', pg_temp.role_name(a.grantee))
            FROM pg_class c, aclexplode(c.relacl) a
            WHERE c.oid = 'job_data'::regclass AND a.privilege_type = 'SELECT'
              AND a.grantee <> c.relowner
              AND (NOT c.relrowsecurity OR EXISTS (SELECT FROM pg_roles r WHERE r.oid = a.grantee
                                                   AND (r.rolbypassrls OR r.rolsuper))) LOOP
        EXECUTE statement;
    END LOOP;
    PERFORM pg_temp.put_up('job_records');
END $$;
