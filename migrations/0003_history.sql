-- What keeps the cost of reading and sweeping flat, however many jobs are kept. Nothing here is
-- written when a job is submitted; the version before runs beside it.

-- How many of a user's jobs were created before `up_to`; those behind it are counted when they are
-- asked for. No row: count all. A job's user and time of creation never change.
CREATE TABLE job_totals (
    user_id text PRIMARY KEY,
    up_to timestamptz NOT NULL,
    n bigint NOT NULL,
    begun_at timestamptz NOT NULL -- of this count; an old one is dropped and made anew
) WITH (fillfactor = 60);

-- The ends that are rare, for lists of them: jobs that failed or were cancelled. An index on
-- job_data's status would end the heap-only update with which a job ends.
CREATE TABLE job_mishaps (
    user_id text NOT NULL,
    status text NOT NULL,
    created_at timestamptz NOT NULL,
    id text NOT NULL,
    PRIMARY KEY (user_id, status, created_at, id)
);

-- What one replica does for all, a turn at a time. The place of the sweep: a user, and a time among
-- the user's jobs.
CREATE TABLE job_upkeep (
    task text PRIMARY KEY,
    next_at timestamptz NOT NULL,
    place_user text NOT NULL,
    place_at timestamptz NOT NULL
) WITH (fillfactor = 20);
INSERT INTO job_upkeep VALUES ('sweep', now(), '', '-infinity');

-- Keys of a day; submits without a key don't pay for it.
CREATE INDEX job_idempotency_created ON job_idempotency (created_at);

-- Statements that delete jobs, whoever sends them, take what was counted of them away. They hold a
-- lock together, which job_totals_advance takes alone: each deleted row is either seen as gone by
-- the count, or finds what was counted. In the users' order, so that two deletions wait in line.
-- Whoever may delete jobs needs the right to change these tables too.
CREATE FUNCTION job_data_deleted() RETURNS trigger LANGUAGE plpgsql
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

CREATE FUNCTION job_data_truncated() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(779026157, 1);
    TRUNCATE job_totals, job_mishaps;
    RETURN NULL;
END $$;

CREATE FUNCTION job_data_mishap() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO job_mishaps (user_id, status, created_at, id)
        VALUES (NEW.user_id, NEW.status, NEW.created_at, NEW.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

-- Counts on, some jobs further; true when there are more to count. A job's time is when its
-- submission began, so the count stays behind every submission that is under way, and behind the
-- moments that one needs to be seen as under way. Each query below sees what was committed before
-- it, the lock included.
CREATE FUNCTION job_totals_advance(of_user text) RETURNS boolean LANGUAGE plpgsql
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
        WHERE datname = current_database() AND application_name = 'mcpbus-jobs';
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

CREATE TRIGGER job_data_deleted AFTER DELETE ON job_data REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION job_data_deleted();
CREATE TRIGGER job_data_truncated AFTER TRUNCATE ON job_data
    FOR EACH STATEMENT EXECUTE FUNCTION job_data_truncated();
CREATE TRIGGER job_data_mishap AFTER UPDATE OF status ON job_data
    FOR EACH ROW WHEN (NEW.status IN ('failed', 'cancelled'))
    EXECUTE FUNCTION job_data_mishap();

INSERT INTO job_mishaps (user_id, status, created_at, id)
    SELECT user_id, status, created_at, id FROM job_data WHERE status IN ('failed', 'cancelled');
