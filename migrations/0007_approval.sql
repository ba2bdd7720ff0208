-- Run options, conversations, and jobs that wait for approval of their tool calls. Only new columns
-- without a default, one new table, and functions and a view that do more: the version before runs
-- beside it. What has no options and no conversation writes nothing of this.

ALTER TABLE job_data
    ADD COLUMN options json,
    ADD COLUMN conversation_id text;

-- A user's conversations, in order. Not an index of job_data: to build that one would hold up every
-- submit while it reads all jobs that are kept.
CREATE TABLE job_conversations (
    user_id text NOT NULL,
    conversation_id text NOT NULL,
    created_at timestamptz NOT NULL,
    id text NOT NULL,
    PRIMARY KEY (user_id, conversation_id, created_at, id)
);

-- job_queue.state 2: parked. No session holds it; `deadline` is when waiting ends; its last event
-- is the `waiting_approval` that names the calls.
CREATE OR REPLACE VIEW job_records AS
    SELECT d.id, d.user_id, d.message,
           CASE WHEN q.state IN (1, 2) THEN 'running' ELSE d.status END AS status,
           d.result, d.error_message, d.token_usage, d.env_vars, d.created_at,
           greatest(d.updated_at, q.claimed_at) AS updated_at, d.completed_at,
           greatest(d.attempts, q.attempt) AS attempts,
           coalesce(d.started_at, q.first_started_at) AS started_at,
           d.options, d.conversation_id,
           CASE WHEN q.state = 2 THEN (SELECT e.data -> 'calls' FROM job_events e
                                       WHERE e.job_id = q.job_id AND e.seq = q.events)
           END AS waiting_approval
    FROM job_data d LEFT JOIN job_queue q ON q.job_id = d.id;

-- What a job has used so far, when nobody is there to say it: the newest of its events that tells,
-- or what is known already, whichever is more. Both are sums over all attempts.
CREATE FUNCTION job_usage(of_job text, known json) RETURNS json LANGUAGE sql STABLE
    SET search_path FROM CURRENT AS $$
    SELECT CASE WHEN coalesce(substring(e.usage ->> 'total_tokens' FROM '^\d{1,18}$')::bigint, 0)
                     < coalesce(substring(known ->> 'total_tokens' FROM '^\d{1,18}$')::bigint, 0)
                THEN known ELSE coalesce(e.usage, known) END
    FROM (SELECT 1) one LEFT JOIN LATERAL (
        SELECT data -> 'usage' AS usage FROM job_events
        WHERE job_id = of_job AND type IN ('message', 'tool_call', 'waiting_approval')
          AND json_typeof(data -> 'usage') = 'object'
        ORDER BY seq DESC LIMIT 1) e ON true
$$;

CREATE OR REPLACE FUNCTION job_data_deleted() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off SET enable_hashjoin = off
    SET enable_mergejoin = off
AS $$
DECLARE
    users text[];
BEGIN
    SELECT array_agg(DISTINCT user_id ORDER BY user_id) INTO users FROM gone;
    IF users IS NULL THEN
        RETURN NULL;
    END IF;
    DELETE FROM job_events WHERE job_id = ANY (ARRAY (SELECT id FROM gone));
    PERFORM pg_advisory_xact_lock_shared(779026157, 1);
    PERFORM FROM job_totals WHERE user_id = ANY (users) ORDER BY user_id FOR UPDATE;
    UPDATE job_totals t SET n = t.n - (SELECT count(*) FROM gone g
                                       WHERE g.user_id = t.user_id AND g.created_at < t.up_to)
        WHERE t.user_id = ANY (users)
          AND EXISTS (SELECT FROM gone g WHERE g.user_id = t.user_id AND g.created_at < t.up_to);
    DELETE FROM job_totals WHERE user_id = ANY (users) AND n <= 0;
    DELETE FROM job_mishaps m USING gone g
        WHERE g.status IN ('failed', 'cancelled') AND m.user_id = g.user_id
          AND m.status = g.status AND m.created_at = g.created_at AND m.id = g.id;
    DELETE FROM job_conversations c USING gone g
        WHERE g.conversation_id IS NOT NULL AND c.user_id = g.user_id
          AND c.conversation_id = g.conversation_id AND c.created_at = g.created_at
          AND c.id = g.id;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION job_data_truncated() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(779026157, 1);
    TRUNCATE job_totals, job_mishaps, job_conversations;
    RETURN NULL;
END $$;
