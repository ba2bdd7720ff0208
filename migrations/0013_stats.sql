-- What happened when, for the dashboard: numbers alone, of no user and no job. Written about once a
-- second by each replica of jobs, and never with a job's own statement. Only new things.

-- In steps of 10 and of 600 seconds. `wait_times`, `run_times` and `total_times` are histograms:
-- element 1 counts jobs below 64 µs, element n+1 those below 64 µs times the fourth root of 2^n.
CREATE TABLE job_stats (
    step integer NOT NULL,
    at timestamptz NOT NULL, -- where the step begins
    submitted bigint NOT NULL DEFAULT 0,
    completed bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    retried bigint NOT NULL DEFAULT 0,
    lost bigint NOT NULL DEFAULT 0,
    queued bigint, -- when last looked at
    running bigint,
    input_tokens bigint NOT NULL DEFAULT 0, -- of jobs that ended
    output_tokens bigint NOT NULL DEFAULT 0,
    cost_micro bigint NOT NULL DEFAULT 0, -- millionths of a US$
    wait_times bigint[] NOT NULL DEFAULT '{}',
    run_times bigint[] NOT NULL DEFAULT '{}',
    total_times bigint[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (step, at)
) WITH (fillfactor = 50);

-- How far each replica has told: a batch of counts that is sent again counts once.
CREATE TABLE job_stats_sources (
    source text PRIMARY KEY,
    seq bigint NOT NULL,
    at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- The newest failures of all users. Of an expression, so that no list of one user's jobs is planned
-- as a walk through everybody's.
CREATE INDEX job_mishaps_newest ON job_mishaps ((status || ''), created_at);

-- See 0008: by default rights all that is new may be open to Supabase's REST roles.
DO $$
DECLARE
    role text;
BEGIN
    FOR role IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON job_stats, job_stats_sources FROM %I', role);
    END LOOP;
END $$;
