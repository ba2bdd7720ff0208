"""What the dashboard asks jobs for: numbers over time that are the tables' and survive restarts,
errors as groups, the newest jobs, the database."""
import collections
import contextlib
import json
import os
import pathlib
import signal
import time

import cli
import pytest

from client import User, original_token
from guarantees import end_lease, start_service, stop_service
from stack import slow, wait_until

pytest_plugins = ["bare_stacks"]

HOSTILE = "<script>alert(1)</script> \u202e\x07 100%_ \\d+ '; DROP TABLE job_data; --"


@pytest.fixture
def user(bare_stack):
    """Somebody new: what is theirs is this test's."""
    return User(bare_stack, original_token(bare_stack))


def ask(stack, method, **args):
    return cli.value(stack, "call", method, json.dumps(args))


def sums(stack, step=10):
    """What jobs.stats says of the last hours, in all."""
    total = collections.Counter()
    for point in ask(stack, "jobs.stats", span=6 * 3600, step=step)["points"]:
        total.update({name: value for name, value in point.items() if isinstance(value, int)
                      and name not in ("at", "queued", "running")})
        total["micro"] += round(point["cost"] * 1e6)
    return total


def told(stack, before, **want):
    """Waits until exactly that is counted since `before`, in both steps."""
    def since():
        now = [sums(stack, step) for step in (10, 600)]
        return [{name: one[name] - before[name] for name in want} for one in now]
    with contextlib.suppress(AssertionError):
        wait_until(lambda: since() == [want, want], 20, "counted")
    assert since() == [want, want]


def wait_back(stack):
    wait_until(lambda: stack.healthy() and cli.mcpbus(stack, "call", "jobs.health").returncode == 0,
               60, "jobs is back")


def restart_jobs(stack):
    stop_service(stack, "jobs")
    start_service(stack, "jobs")
    wait_back(stack)


def restart_postgres(stack):
    """As after a power failure."""
    old = stack.kill("postgres", sig=signal.SIGQUIT)
    wait_until(lambda: stack.pid("postgres-1") not in (None, old), 60, "a new server")
    wait_back(stack)


USED = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12, "cost": 0.0015}


def play(stack, workers, user):
    """Ends of every kind; how many of each."""
    worker = workers()
    for outcome in ("completed", "failed", "completed", "retry"):
        user.run(HOSTILE)
        assert worker.finish(worker.take_run(), outcome, token_usage=USED,
                             error_message="HTTP 503 at call_x7Fa0") == {}
    assert worker.finish(worker.take_run(), "completed", token_usage=USED) == {}  # tried again
    worker.rest()
    waiting = user.run("cancelled before it ran")
    assert user.cancel(waiting).json()["status"] == "cancelled"
    running = user.run("cancelled while it ran")
    assert worker.take_run()["job_id"] == running
    assert user.cancel(running).json()["status"] == "cancelled"
    lost = user.run("lost with its worker")
    run = worker.take_run()
    assert run["job_id"] == lost
    worker.rest(run)
    end_lease(stack, worker)
    other = workers()
    assert other.finish(other.take_run(), "failed", token_usage=USED, error_message="lost") == {}
    return {"submitted": 7, "completed": 3, "failed": 2, "cancelled": 2, "retried": 1, "lost": 1,
            "input_tokens": 35, "output_tokens": 25, "micro": 7500}


def check_tables(stack, user, numbers):
    ends = dict(stack.sql("SELECT status, count(*) FROM job_data WHERE user_id = %s GROUP BY 1",
                          user.id))
    assert ends == {name: numbers[name] for name in ("completed", "failed", "cancelled")}
    used = stack.sql("SELECT sum((token_usage ->> 'input_tokens')::int),"
                     " round(sum((token_usage ->> 'cost')::numeric) * 1000000) FROM job_data"
                     " WHERE user_id = %s", user.id)[0]
    assert tuple(map(int, used)) == (numbers["input_tokens"], numbers["micro"])


def test_numbers_are_the_tables_and_survive(bare_stack, workers, user):
    restart_jobs(bare_stack)  # what others have left uncounted
    before = sums(bare_stack)
    numbers = play(bare_stack, workers, user)
    restart_jobs(bare_stack)
    told(bare_stack, before, **numbers)
    restart_postgres(bare_stack)
    told(bare_stack, before, **numbers)
    worker = workers()
    user.run("one more")
    assert worker.finish(worker.take_run(), "completed", token_usage=USED) == {}
    numbers = {**numbers, "submitted": 8, "completed": 4, "input_tokens": 42, "output_tokens": 30,
               "micro": 9000}
    told(bare_stack, before, **numbers)
    check_tables(bare_stack, user, numbers)
    for point in ask(bare_stack, "jobs.stats", span=600, step=10)["points"]:
        for name in ("wait", "run", "total"):
            if point[name]:
                assert 0 <= point[name]["p50"] <= point[name]["p95"] <= point[name]["p99"]
        assert not point["completed"] or point["total"]


def test_numbers_go_to_operators_alone(bare_stack):
    """No other role may call them, and nothing on PostgreSQL's side is open to others."""
    for args in ({"span": 0, "step": 10}, {"span": 60, "step": 11}, {"span": 2592001, "step": 600}):
        refused = cli.mcpbus(bare_stack, "call", "jobs.stats", json.dumps(args))
        assert refused.returncode == cli.FAILED and "INVALID" in refused.stderr
    open_to = bare_stack.sql(
        "SELECT c.relname, a.grantee::regrole::text FROM pg_class c, aclexplode(c.relacl) a"
        " WHERE c.relname LIKE 'job_stats%%' AND a.grantee <> c.relowner")
    assert open_to == []


def test_errors_as_groups(bare_stack, workers, user):
    worker, jobs = workers(), []
    word = "".join(chr(97 + int(digit, 16)) for digit in user.id[-16:])
    for text in (f"{word} 503 at 'a'", f"{word} 17 at 'bcd'", f"{word} 4 at ''"):
        jobs.append(user.run("fail"))
        assert worker.finish(worker.take_run(), "failed", error_message=text) == {}

    def group():
        found = ask(bare_stack, "jobs.errors")["errors"]
        mine = [one for one in found if one["error"].startswith(word)]
        return mine[0] if len(mine) == 1 and mine[0]["count"] == 3 else None

    one = wait_until(group, 20, "the group")
    assert one["error"] == f"{word} # at '…'" and one["users"] == 1
    assert one["job_id"] == jobs[-1] and one["example"].startswith(f"{word} 4")
    assert one["first_at"] < one["last_at"]


def test_the_newest_jobs_are_filtered(bare_stack, workers, user):
    worker, job_id = workers(), user.run(HOSTILE)
    run = worker.take_run()

    def found(**filters):
        return [job["job_id"] for job in ask(bare_stack, "jobs.recent", limit=200, **filters)["jobs"]]

    job = ask(bare_stack, "jobs.recent", limit=1, user_id=user.id)["jobs"][0]
    assert job["status"] == "running" and job["host"] == "python" and job["message"] == HOSTILE
    assert job["instance"] == worker.name and job["started_at"] >= job["created_at"]
    assert found(user_id=user.id, text=HOSTILE.upper()) == [job_id]
    assert found(user_id=user.id, text=job_id) == [job_id]
    assert found(text=HOSTILE[:40], status="running") == [job_id]
    for text in ("' OR '1'='1", "_script_", ".*", "\u202ex", "%%"):
        assert found(user_id=user.id, text=text) == []
    assert found(user_id="' OR true --") == []
    assert worker.finish(run, "completed", result="x", token_usage=USED) == {}
    job = ask(bare_stack, "jobs.recent", limit=1, user_id=user.id)["jobs"][0]
    assert job["host"] is None and job["token_usage"]["cost"] == USED["cost"]


@contextlib.contextmanager
def frozen(stack):
    """PostgreSQL stands still, and all that it has forked."""
    pids = [stack.pid("postgres-1")]
    for task in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(task.read_text().rpartition(")")[2].split()[1]) == pids[0]:
                pids.append(int(task.parent.name))
    try:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@pytest.mark.slow
def test_the_database(bare_stack):
    there = ask(bare_stack, "jobs.database")
    assert there["server"] == "127.0.0.1:" + bare_stack.database_url.rpartition(":")[2].split("/")[0]
    assert there["role"] == "mcpbus" and not there["in_recovery"] and there["replicas"] == []
    assert 0 < there["connections"] <= there["max_connections"] and there["database_bytes"] > 0
    assert "password" not in json.dumps(there)

    def problem():
        """A word on what is wrong, soon."""
        began = time.monotonic()
        done = cli.mcpbus(bare_stack, "call", "jobs.database", "--timeout", "20")
        assert time.monotonic() - began < 15 * slow()
        return done.stderr if "The database does not answer" in done.stderr else None

    with frozen(bare_stack):
        wait_until(problem, 30, "told that it does not answer")
    wait_until(lambda: not problem(), 60, "well again")
    stop_service(bare_stack, "postgres")
    try:
        said = wait_until(problem, 30, "told that it is away")
        assert "OVERLOADED" in said
    finally:
        start_service(bare_stack, "postgres")
    wait_until(lambda: bare_stack.healthy() and not problem(), 60, "well again")
