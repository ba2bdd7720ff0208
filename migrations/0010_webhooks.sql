-- Webhooks: what happened to a job is told to the address that came with it. What is to be told is
-- written in the transaction in which it happens, whoever changes the job, a version before this
-- one too; jobs without an address write nothing. Only a new column without a default, one new table,
-- and triggers whose conditions are looked at without a call: the version before runs beside it.

ALTER TABLE job_data ADD COLUMN callback_url text;

CREATE TABLE job_webhooks (
    id text PRIMARY KEY, -- the receiver knows by it what it has heard before
    job_id text NOT NULL,
    user_id text NOT NULL,
    type text NOT NULL,
    seq integer NOT NULL, -- the number of the job's event
    url text NOT NULL,
    host text NOT NULL, -- with its port, for the limits
    created_at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL DEFAULT now(), -- whoever takes it pushes this on: a lease
    attempts integer NOT NULL DEFAULT 0 -- with id the fencing token
) WITH (fillfactor = 70);
CREATE INDEX job_webhooks_due ON job_webhooks (due_at);
CREATE INDEX job_webhooks_job ON job_webhooks (job_id);

-- The id has no full stop, which separates it from what is signed behind it.
CREATE FUNCTION job_webhook_put(of_job text, of_user text, of_type text, of_seq integer, to_url text)
    RETURNS void LANGUAGE sql SET search_path FROM CURRENT
AS $$
    INSERT INTO job_webhooks (id, job_id, user_id, type, seq, url, host)
    VALUES ('evt_' || left(encode(sha256(convert_to(
                of_job || ' ' || of_type || ' ' || of_seq, 'UTF8')), 'hex'), 32),
            of_job, of_user, of_type, of_seq, to_url,
            coalesce(lower(substring(to_url FROM '^[a-zA-Z]+://([^/?#]*)')), ''))
    ON CONFLICT DO NOTHING
$$;

CREATE FUNCTION job_data_told() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM job_webhook_put(NEW.id, NEW.user_id, 'job.' || NEW.status, NEW.events,
                            NEW.callback_url);
    RETURN NULL;
END $$;
CREATE TRIGGER job_data_told AFTER UPDATE OF status ON job_data
    FOR EACH ROW WHEN (NEW.callback_url IS NOT NULL AND OLD.status <> NEW.status
                       AND NEW.status IN ('completed', 'failed', 'cancelled'))
    EXECUTE FUNCTION job_data_told();

CREATE FUNCTION job_queue_told() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM job_webhook_put(d.id, d.user_id, 'job.waiting_approval', NEW.events, d.callback_url)
        FROM job_data d WHERE d.id = NEW.job_id AND d.callback_url IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER job_queue_told AFTER UPDATE OF state ON job_queue
    FOR EACH ROW WHEN (NEW.state = 2 AND OLD.state <> 2)
    EXECUTE FUNCTION job_queue_told();

-- A job that is deleted is not told of any more.
CREATE FUNCTION job_webhooks_deleted() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off SET enable_hashjoin = off
    SET enable_mergejoin = off
AS $$
DECLARE
    told text[];
BEGIN
    SELECT array_agg(id) INTO told FROM gone WHERE callback_url IS NOT NULL;
    IF told IS NOT NULL THEN
        DELETE FROM job_webhooks WHERE job_id = ANY (told);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER job_webhooks_deleted AFTER DELETE ON job_data REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION job_webhooks_deleted();

CREATE FUNCTION job_webhooks_truncated() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
BEGIN
    TRUNCATE job_webhooks;
    RETURN NULL;
END $$;
CREATE TRIGGER job_webhooks_truncated AFTER TRUNCATE ON job_data
    FOR EACH STATEMENT EXECUTE FUNCTION job_webhooks_truncated();
