-- Gives a database that `mcpbus migrate` took over back to the original: psql -1 -f docs/back-out.sql.
-- Stop mcpbus first. All jobs stay, those made here too. See docs/moving.md, "Back out".

LOCK TABLE job_data, job_queue IN ACCESS EXCLUSIVE MODE;

-- Its queue knows none of these, and `cancelled` is no status of it.
UPDATE job_data d SET status = 'failed', completed_at = now(), updated_at = now(),
    error_message = 'This job had not ended when the previous system came back. Send it again.'
    FROM job_queue q WHERE q.job_id = d.id;
UPDATE job_data SET status = 'failed', error_message = coalesce(error_message, 'Cancelled.')
    WHERE status = 'cancelled';

-- Views of your own that read job_records go with it: make them again afterwards.
DROP VIEW IF EXISTS own_jobs, own_jobs_of_many, own_job_rows, own_job_events, own_job_list,
    own_job_queue, own_job_mishaps, own_job_totals, own_conversations;
DROP VIEW job_records CASCADE;
DROP TABLE IF EXISTS job_queue, job_events, job_idempotency, job_totals, job_mishaps, job_upkeep,
    job_conversations, job_webhooks, worker_sessions, token_revocations, token_revocation_counter,
    oauth_nonces, audit_log, job_stats, job_stats_sources, mcpbus_migrations;
DROP FUNCTION IF EXISTS job_data_deleted, job_data_truncated, job_data_mishap, job_data_told,
    job_webhooks_deleted, job_webhooks_truncated CASCADE;
DROP FUNCTION IF EXISTS job_queue_told, job_webhook_put, job_totals_advance, job_usage, audit_log_kept,
    mcpbus_user, mcpbus_users;
DROP INDEX IF EXISTS job_data_user_created;
ALTER TABLE job_data
    DROP COLUMN IF EXISTS attempts, DROP COLUMN IF EXISTS events, DROP COLUMN IF EXISTS started_at,
    DROP COLUMN IF EXISTS options, DROP COLUMN IF EXISTS conversation_id,
    DROP COLUMN IF EXISTS callback_url, DROP COLUMN IF EXISTS request_id,
    DROP COLUMN IF EXISTS traceparent, DROP COLUMN IF EXISTS tracestate;
ALTER TABLE job_data RENAME TO job_records;
ALTER TABLE job_records RESET (fillfactor);

-- Tokens are encrypted now: it can't read them, and asks these users to sign in.
UPDATE user_sessions SET token_data = NULL, authenticated = false
    WHERE position('"v1.' IN token_data::text) > 0;
DROP INDEX IF EXISTS user_sessions_google_sub, user_sessions_unadopted;
ALTER TABLE user_sessions DROP COLUMN IF EXISTS google_sub, DROP COLUMN IF EXISTS generation;
