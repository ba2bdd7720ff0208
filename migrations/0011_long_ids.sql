-- Jobs of the original that no worker could be given, since their id or user's id is longer than
-- ours: a database that was taken over before this was known has them waiting for ever.
WITH gone AS (
    DELETE FROM job_queue WHERE state = 0 AND (octet_length(job_id) > 128
                                               OR octet_length(user_id) > 256)
        RETURNING job_id
)
UPDATE job_data d SET status = 'failed', completed_at = now(), updated_at = now(), events = 2,
    error_message = concat_ws(' ', nullif(error_message, ''), 'This job came from the previous'
        ' system with an id that is too long to be queued here. Send it again.')
    FROM gone WHERE d.id = gone.job_id;
