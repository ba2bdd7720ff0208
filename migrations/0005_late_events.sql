-- Events that a run added while its job was being deleted: the statement that deletes the job began
-- before they were committed and can't see them, but the trigger's queries can. No more can come,
-- since the deletion has taken the job's row of the queue.
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
    RETURN NULL;
END $$;
