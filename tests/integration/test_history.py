"""More than a hundred thousand jobs kept: what a call costs doesn't grow with them, totals are exact
whatever happens at the same time, and old jobs go."""
import contextlib
import json
import random
import re
import threading
import time

import psycopg2
import pytest

from client import User, original_token
from stack import Stack, slow, wait_until

pytestmark = pytest.mark.slow

ROWS, FAILED, ROWS_READ_MAX = 120000, 2, 3000
BIG_TABLES = {"job_data", "job_events", "job_idempotency", "job_mishaps"}
PLAN = re.compile(r"plan:\n((?:\t.*\n)+)")
FILL = """
INSERT INTO job_data (id, user_id, message, status, result, created_at, updated_at, completed_at,
                      attempts, events, started_at)
SELECT 'h' || n, CASE WHEN n %% 3 = 0 THEN 'other' || n %% 1000 ELSE %s END, 'm',
       CASE WHEN n %% 50000 = 1 THEN 'failed' ELSE 'completed' END, 'r', at, at, at, 1, 3, at
FROM generate_series(1, %s) n, LATERAL (SELECT now() - n * interval '0.1 s' AS at) a"""


@pytest.fixture(scope="module")
def kept():
    """A stack with a long history of one user, whose PostgreSQL tells its plans."""
    one = Stack(env={"WORKER_RUNNER": "echo", "JOB_RETENTION_DAYS": "5"})
    try:
        one.user = User(one, original_token(one))
        one.sql(FILL, one.user.get("/me").json()["user"]["id"], ROWS)
        one.sql("INSERT INTO job_mishaps (user_id, status, created_at, id)"
                " SELECT user_id, status, created_at, id FROM job_data WHERE status = 'failed'")
        for name, value in (("session_preload_libraries", "auto_explain"),
                            ("auto_explain.log_min_duration", "0"),
                            ("auto_explain.log_analyze", "on"),
                            ("auto_explain.log_timing", "off"),
                            ("auto_explain.log_nested_statements", "on"),
                            ("auto_explain.log_format", "json")):
            one.sql(f"ALTER DATABASE mcpbus SET {name} = '{value}'")
        one.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'mcpbus-jobs%%'")
        one.wait_healthy()
        yield one
    finally:
        one.close(check=False)


def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def plans_since(stack, begin):
    """Two backends that speak at once mix their words in the log's pipe: such plans are left out."""
    found = []
    for text in PLAN.findall(stack.log("postgres")[begin:]):
        with contextlib.suppress(json.JSONDecodeError):
            found.append(json.loads(text))
    return [plan for plan in found if "the test's" not in plan["Query Text"]]


def expect_cheap(stack, begin, least):
    """At least so many statements ran since; none walked through a table."""
    plans = wait_until(lambda: len(found := plans_since(stack, begin)) >= least and found,
                       what="plans in the log")
    for plan in plans:
        for node in nodes(plan["Plan"]):
            read = node.get("Rows Removed by Filter", 0) * node["Actual Loops"] \
                + node["Actual Rows"] * node["Actual Loops"]
            text = f"{node['Node Type']} of {node.get('Relation Name')}, {read} rows: " \
                f"{plan['Query Text'][:100]}"
            assert node["Node Type"] != "Seq Scan" \
                or node.get("Relation Name") not in BIG_TABLES, text
            assert read <= ROWS_READ_MAX, text


def total(stack):
    return stack.user.get("/jobs", params={"limit": 1}).json()["total"]


def real_total(stack):
    return stack.sql("/* the test's */ SELECT count(*) FROM job_data WHERE user_id ="
                     " (SELECT user_id FROM job_data WHERE id = 'h1')")[0][0]


def test_reads_and_writes_stay_cheap(kept):
    user = kept.user
    assert total(kept) == real_total(kept)
    wait_until(lambda: total(kept) and kept.sql(
        "SELECT coalesce(max(n), 0) FROM job_totals")[0][0] > 70000,
               20, "the total is counted")
    # Once for the plans of unknown tables, and again for those that are kept.
    for _ in range(7):
        begin = len(kept.log("postgres"))
        job = user.post("/run", json={"message": "m"}, headers={"Idempotency-Key": "k"}).json()
        assert total(kept) == real_total(kept)
        for query in ("offset=40", "limit=100", "status=pending", "status=running",
                      "status=completed", "status=failed", "status=cancelled"):
            page = user.get(f"/jobs?{query}").json()
            assert page["total"] == real_total(kept)
            assert len(page["jobs"]) == {"limit=100": 100, "status=failed": FAILED,
                                         "status=pending": 0, "status=running": 0,
                                         "status=cancelled": 0}.get(query, 20)
        assert user.get(f"/result/{job['job_id']}", params={"wait": 5}).status_code == 200
        assert user.get("/result/h1").json()["status"] == "failed"
        assert user.get("/jobs/h2/events").text.count("event: status") == 3
        assert user.post("/jobs/h3/cancel").status_code == 404  # another's
        assert user.post("/jobs/h2/cancel").json()["status"] == "completed"
        expect_cheap(kept, begin, 15)


def test_totals_follow_deletions(kept):
    first = total(kept)
    kept.sql("DELETE FROM job_data WHERE id IN ('h100', 'h101', 'h102', 'h103')")
    assert total(kept) == real_total(kept) == first - 3
    # The view joins two tables: PostgreSQL deletes nothing from it.
    with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState):
        kept.sql("DELETE FROM job_records WHERE id = 'h104'")


def test_old_jobs_go(kept):
    """Of many users and of one, their events and keys too; never what has not ended."""
    kept.sql("INSERT INTO job_data (id, user_id, message, status, created_at, completed_at, events)"
             " SELECT 'o' || n, CASE WHEN n %% 2 = 0 THEN 'old' ELSE 'old' || n END, 'm',"
             " CASE WHEN n %% 7 = 0 THEN 'failed' ELSE 'completed' END, at, at, 4"
             " FROM generate_series(1, 2000) n, LATERAL"
             " (SELECT now() - interval '6 days' - n * interval '1 s' AS at) a")
    kept.sql("INSERT INTO job_mishaps (user_id, status, created_at, id) SELECT user_id, status,"
             " created_at, id FROM job_data WHERE user_id LIKE 'old%%' AND status = 'failed'")
    kept.sql("INSERT INTO job_events (job_id, seq, type, data)"
             " SELECT 'o' || n, 3, 'message', '{}' FROM generate_series(1, 2000) n")
    kept.sql("INSERT INTO job_idempotency (user_id, key, hash, job_id, created_at) SELECT 'old',"
             " n, '', 'o' || n, now() - interval '6 days' FROM generate_series(1, 2000) n")
    kept.sql("SELECT job_totals_advance('old')")
    # Not ended, one of them at an odd time: as the original may have left them.
    kept.sql("INSERT INTO job_data (id, user_id, message, created_at, completed_at) VALUES"
             " ('waits', 'old', 'm', now() - interval '9 days', NULL),"
             " ('odd', 'old', 'm', '-infinity', now() - interval '8 days')")
    kept.sql("INSERT INTO job_queue (job_id, user_id, run_at) VALUES ('waits', 'old', 'infinity'),"
             " ('odd', 'old', 'infinity')")
    before, begin = real_total(kept), len(kept.log("postgres"))
    kept.sql("UPDATE job_upkeep SET next_at = now()")
    wait_until(lambda: kept.sql("SELECT count(*) FROM job_data WHERE user_id LIKE 'old%%'")
               == [(2,)], 60, "old jobs are gone")
    wait_until(lambda: kept.sql("SELECT count(*) FROM job_idempotency WHERE user_id = 'old'")
               == [(0,)], 60, "old keys are gone")
    assert kept.sql("SELECT count(*) FROM job_events WHERE job_id LIKE 'o%%'") == [(0,)]
    assert kept.sql("SELECT count(*) FROM job_mishaps WHERE user_id LIKE 'old%%'") == [(0,)]
    assert kept.sql("SELECT count(*) FROM job_totals WHERE user_id = 'old'") == [(0,)]
    assert real_total(kept) == before == total(kept)
    sweeps = [plan for plan in plans_since(kept, begin) if "job_upkeep" in plan["Query Text"]]
    assert len(sweeps) >= 4
    for plan in sweeps:
        for node in nodes(plan["Plan"]):
            assert node.get("Relation Name") not in BIG_TABLES or node["Node Type"] != "Seq Scan"
            assert node["Actual Rows"] <= 1000, plan["Query Text"]


class Counted:
    """Totals of users of its own, counted by the real function with a short margin."""

    def __init__(self, stack):
        self.stack = stack
        definition = stack.sql("SELECT pg_get_functiondef('job_totals_advance'::regproc)")[0][0]
        assert "10 seconds" in definition
        stack.sql(definition.replace("10 seconds", "20 milliseconds").replace(
            "job_totals_advance", "advance_quickly").replace("%", "%%"))

    def connect(self, name="mcpbus-jobs"):
        return psycopg2.connect(self.stack.database_url, application_name=name)

    def submit(self, cursor, user, name):
        cursor.execute("INSERT INTO job_data (id, user_id, message, created_at)"
                       " VALUES (%s, %s, 'm', now())", (name, user))

    def advance(self, user):
        return self.stack.sql("SELECT advance_quickly(%s)", user)[0][0]

    def check(self):
        """In one snapshot: what a list would say, beside what there is."""
        wrong = self.stack.sql(
            "SELECT u, said, there FROM (SELECT user_id AS u, count(*) AS there FROM job_data"
            "  WHERE user_id LIKE 'counted%%' GROUP BY 1) d FULL JOIN (SELECT t.user_id AS u, t.n +"
            "  (SELECT count(*) FROM job_data WHERE user_id = t.user_id AND created_at >= t.up_to)"
            "  AS said FROM job_totals t WHERE t.user_id LIKE 'counted%%') t USING (u)"
            " WHERE said <> coalesce(there, 0)")
        assert not wrong


@pytest.fixture(scope="module")
def counted(kept):
    return Counted(kept)


@pytest.mark.parametrize("name", ["mcpbus-jobs", "a-pooler"])
def test_a_submit_that_commits_late_is_counted(counted, name):
    """Under whatever name it comes."""
    user = f"counted-{name}"
    late = counted.connect(name)
    counted.submit(late.cursor(), user, f"{name}-late")
    counted.submit(late.cursor(), user, f"{name}-later")
    time.sleep(0.1)
    with counted.connect(name) as other:
        counted.submit(other.cursor(), user, f"{name}-early")
    other.close()
    counted.advance(user)
    late.commit()
    late.close()
    counted.check()
    time.sleep(0.1)
    counted.advance(user)
    assert counted.stack.sql("SELECT n FROM job_totals WHERE user_id = %s", user) == [(3,)]
    counted.check()


def test_nothing_is_counted_beside_a_deletion(counted):
    with counted.connect() as one:
        for n in range(5):
            counted.submit(one.cursor(), "counted2", f"beside{n}")
    one.close()
    time.sleep(0.1)
    deleting = counted.connect()
    deleting.cursor().execute("DELETE FROM job_data WHERE id = 'beside1'")
    counted.advance("counted2")
    deleting.commit()
    counted.check()
    # The other way round: the deletion waits, and finds what was counted.
    counting = counted.connect()
    counting.cursor().execute("SELECT advance_quickly('counted2')")
    thread = threading.Thread(target=counted.stack.sql, args=(
        "DELETE FROM job_data WHERE id IN ('beside2', 'beside3')",))
    thread.start()
    wait_until(lambda: counted.stack.sql("SELECT count(*) FROM pg_locks WHERE NOT granted"
                                         " AND locktype = 'advisory'")[0][0], what="it waits")
    counting.commit()
    thread.join(20)
    assert counted.stack.sql("SELECT n FROM job_totals WHERE user_id = 'counted2'") == [(2,)]
    counted.check()
    deleting.close()
    counting.close()


def test_totals_are_exact_at_every_moment(counted):
    """Submits, deletions, sweeps and counts at once, of five users."""
    end, failures = time.monotonic() + 6 * slow(), []

    def loop(seed, turn):
        dice, connection = random.Random(seed), counted.connect()
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                while time.monotonic() < end:
                    turn(dice, cursor, f"counted{dice.randint(3, 7)}")
        except Exception as failure:  # pylint: disable=broad-except
            failures.append(failure)
        finally:
            connection.close()

    def submit(dice, cursor, user):
        cursor.execute("BEGIN")
        for n in range(dice.randint(1, 5)):
            counted.submit(cursor, user, f"{user}-{dice.getrandbits(60)}-{n}")
        time.sleep(dice.random() * 0.05)
        cursor.execute("COMMIT")

    def delete(dice, cursor, _user):
        cursor.execute("WITH few AS (SELECT id FROM job_data WHERE user_id LIKE 'counted%%'"
                       " ORDER BY random() LIMIT %s) DELETE FROM job_data"
                       " WHERE id = ANY (ARRAY (SELECT id FROM few ORDER BY id))"
                       " AND (%s OR pg_sleep(0.001) IS NOT NULL)",
                       (dice.randint(1, 6), dice.random() < 0.7))

    def advance(_dice, cursor, user):
        cursor.execute("SELECT advance_quickly(%s)", (user,))

    def check(_dice, _cursor, _user):
        counted.check()

    turns = [submit] * 4 + [delete] * 2 + [advance] * 2 + [check]
    threads = [threading.Thread(target=loop, args=pair) for pair in enumerate(turns)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    time.sleep(0.1)
    for n in range(3, 8):
        counted.advance(f"counted{n}")
    counted.check()
    assert counted.stack.sql("SELECT min(n) > 0 FROM job_totals WHERE user_id LIKE 'counted%%'"
                             " AND user_id > 'counted2'") == [(True,)]
