"""What the database says: a trail of every change of a job, written by triggers of the suite's own,
and the tables once everything is over."""
import re

# Changes of one job are ordered by its row's lock, so `n` is the order of one job's history.
TRAIL = """
CREATE TABLE chaos_trail (
    n bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    job_id text NOT NULL, what text NOT NULL, state int, attempt int, session text, seq int,
    status text);

CREATE FUNCTION chaos_queue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO chaos_trail (job_id, what, state, attempt, session)
            VALUES (OLD.job_id, 'gone', OLD.state, OLD.attempt, OLD.session);
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO chaos_trail (job_id, what, state, attempt, session)
            VALUES (NEW.job_id, 'new', NEW.state, NEW.attempt, NEW.session);
    ELSIF (NEW.state, NEW.attempt, NEW.session) IS DISTINCT FROM
          (OLD.state, OLD.attempt, OLD.session) THEN
        INSERT INTO chaos_trail (job_id, what, state, attempt, session)
            VALUES (NEW.job_id, 'change', NEW.state, NEW.attempt, NEW.session);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER chaos AFTER INSERT OR UPDATE OR DELETE ON job_queue
    FOR EACH ROW EXECUTE FUNCTION chaos_queue();

CREATE FUNCTION chaos_data() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO chaos_trail (job_id, what) VALUES (OLD.id, 'deleted');
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO chaos_trail (job_id, what, status, attempt)
            VALUES (NEW.id, 'made', NEW.status, NEW.attempts);
    ELSE
        INSERT INTO chaos_trail (job_id, what, status, attempt)
            VALUES (NEW.id, 'end', NEW.status, NEW.attempts);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER chaos AFTER INSERT OR UPDATE OR DELETE ON job_data
    FOR EACH ROW EXECUTE FUNCTION chaos_data();

-- The attempt that the queue knows when an event is stored; none: its job had ended.
CREATE FUNCTION chaos_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos_trail (job_id, what, seq, attempt) SELECT NEW.job_id, 'event', NEW.seq,
        (SELECT attempt FROM job_queue WHERE job_id = NEW.job_id);
    RETURN NULL;
END $$;
CREATE TRIGGER chaos AFTER INSERT ON job_events FOR EACH ROW EXECUTE FUNCTION chaos_event();
"""

JOBS = """SELECT id, user_id, message, status, result, error_message, token_usage, attempts, events
          FROM job_data"""


def lay_trail(system):
    system.sql(TRAIL)


def read(system):
    """Everything, as plain dictionaries and lists."""
    names = ("user", "message", "status", "result", "error", "usage", "attempts", "events")
    jobs = {row[0]: dict(zip(names, row[1:])) for row in system.sql(JOBS)}
    events = {}
    for job, seq, kind, data in system.sql(
            "SELECT job_id, seq, type, data FROM job_events ORDER BY job_id, seq"):
        events.setdefault(job, []).append((seq, kind, data))
    trail = {}
    for job, *rest in system.sql("SELECT job_id, what, state, attempt, session, seq, status,"
                                 " extract(epoch FROM at)::float8 FROM chaos_trail ORDER BY n"):
        trail.setdefault(job, []).append(
            dict(zip(("what", "state", "attempt", "session", "seq", "status", "at"), rest)))
    return {
        "jobs": jobs, "events": events, "trail": trail,
        "queue": {row[0] for row in system.sql("SELECT job_id FROM job_queue")},
        "keys": {(user, key): job for user, key, job in
                 system.sql("SELECT user_id, key, job_id FROM job_idempotency")},
        "live_sessions": system.sql("SELECT count(*) FROM worker_sessions"
                                    " WHERE lease_until > now()")[0][0],
        "sessions": system.sql("SELECT count(*) FROM worker_sessions")[0][0],
        "bytes": system.sql("SELECT pg_database_size(current_database())")[0][0],
    }


def left(system):
    """(id, state, attempt, session) of what has not ended."""
    return system.sql("SELECT job_id, state, attempt, session FROM job_queue LIMIT 50")


def log_lines(system, job, most=12):
    """What the services' logs say of a job."""
    found = [line for line in system.stack.log().splitlines() if job in line]
    return [re.sub(r"\s+", " ", line)[:300] for line in found[-most:]]
