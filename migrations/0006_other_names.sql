-- The submissions under way that a count must stay behind may bear another application_name than
-- ours: one in DATABASE_URL, or a pooler's. They have written already; what has been writing for
-- longer than any of them may is none, and must not hold the count up.
CREATE OR REPLACE FUNCTION job_totals_advance(of_user text) RETURNS boolean LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    step CONSTANT integer := 100000;
    old job_totals;
    goal timestamptz;
    further timestamptz;
    counted bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(779026157, 1) THEN
        RETURN false;
    END IF;
    SELECT least(now(), min(xact_start)) - interval '10 seconds' INTO goal FROM pg_stat_activity
        WHERE datname = current_database() AND (application_name = 'mcpbus-jobs'
            OR backend_xid IS NOT NULL AND xact_start > now() - interval '10 minutes');
    SELECT * INTO old FROM job_totals WHERE user_id = of_user FOR UPDATE;
    -- A clock that was put back, and whatever else was done to the tables by hand, is forgotten.
    IF old.user_id IS NULL OR old.begun_at < now() - interval '1 day' OR old.begun_at > now()
        OR old.up_to > now() THEN
        old := (of_user, '-infinity', 0, now());
    END IF;
    SELECT created_at INTO further FROM job_data
        WHERE user_id = of_user AND created_at >= old.up_to AND created_at < goal
        ORDER BY created_at OFFSET step LIMIT 1;
    -- So many of the same time are one step.
    IF further = old.up_to THEN
        SELECT min(created_at) INTO further FROM job_data
            WHERE user_id = of_user AND created_at > old.up_to AND created_at < goal;
    END IF;
    goal := coalesce(further, goal);
    IF goal <= old.up_to THEN
        RETURN false;
    END IF;
    SELECT count(*) INTO counted FROM job_data
        WHERE user_id = of_user AND created_at >= old.up_to AND created_at < goal;
    INSERT INTO job_totals AS t VALUES (of_user, goal, old.n + counted, old.begun_at)
        ON CONFLICT (user_id) DO UPDATE
        SET up_to = excluded.up_to, n = excluded.n, begun_at = excluded.begun_at;
    RETURN further IS NOT NULL;
END $$;
