"""A primary with a synchronous standby, both named in DATABASE_URL: the primary dies, the standby
is promoted, the old primary comes back."""
import contextlib
import signal
import threading
import time

import pytest

from client import User, original_token
from pg_cluster import PASSWORD, health
from pg_load import Load
from stack import wait_until

pytestmark = pytest.mark.slow

pytest_plugins = ["pg_stacks"]

SYNCHRONOUS = {"synchronous_standby_names": "standby"}


@pytest.fixture
def two(new_cluster, new_pg_stack):
    """primary, standby, and a stack that knows both, in asyncpg's form of a URL."""
    primary = new_cluster(conf=SYNCHRONOUS).make().start()
    standby = new_cluster().make_standby(primary).start()
    wait_until(lambda: sync_state(primary) == "sync", 30, "the standby follows")
    stack = new_pg_stack(f"postgresql+asyncpg://mcpbus:{PASSWORD}@127.0.0.1:{primary.port},"
                         f"127.0.0.1:{standby.port}/mcpbus?prepared_statement_cache_size=0",
                         scale={"jobs": 2, "worker": 2})
    return primary, standby, stack


def sync_state(primary):
    rows = primary.sql("SELECT sync_state FROM pg_stat_replication")
    return rows[0][0] if rows else None


def test_failover_under_load(two):
    primary, standby, stack = two
    with Load(stack) as load:
        load.wait_accepted(200)
        primary.stop(signal.SIGKILL)
        wait_until(lambda: health(stack)[0] == 503, 20, "a standby alone accepts nothing")
        wait_until(lambda: "read-only" in stack.log("jobs"), 20, "the log says why")
        standby.promote()
        began = time.monotonic()
        load.wait_accepted(200, 30)
        print(f"200 accepted {time.monotonic() - began:.1f} s after the promotion")
        # The old primary comes back and knows nothing of it; the connections to the new one break.
        primary.conf = {**primary.conf, "synchronous_standby_names": ""}
        primary.start()
        for _ in range(3):
            standby.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name LIKE 'mcpbus%%'")
            load.wait_accepted(100, 30)
    load.check_answers()
    load.check_all_ended(standby)
    assert PASSWORD not in stack.log()
    new = {job_id for (job_id,) in standby.sql("SELECT id FROM job_data")}
    old = {job_id for (job_id,) in primary.sql("SELECT id FROM job_data")}
    assert old <= new, "nothing was written to the old primary"


class Post(threading.Thread):
    """POST /run in the background."""

    def __init__(self, user, message, key):
        super().__init__()
        self.user, self.message, self.key = user, message, key
        self.answer = None
        self.start()

    def run(self):
        self.answer = self.user.post("/run", json={"message": self.message},
                                     headers={"Idempotency-Key": self.key})


@contextlib.contextmanager
def cancelling(primary, how):
    """Ends every wait for the standby, as an impatient administrator would."""
    over = threading.Event()

    def work():
        while not over.wait(0.2):
            primary.sql(f"SELECT {how}(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
                        " AND application_name LIKE 'mcpbus%%'")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("how", [
    pytest.param("pg_cancel_backend", marks=pytest.mark.long), "pg_terminate_backend"])
def test_commits_that_no_standby_has(two, how):
    """Committed here, and on no standby: not acknowledged, not then and not when asked again; and
    not lost either. Then the standby has it, and it outlives the primary."""
    primary, standby, stack = two
    user = User(stack, original_token(stack))
    assert user.done("before")["result"] == "echo: before"
    standby.stop()
    with cancelling(primary, how):
        for _ in range(2):
            post = Post(user, "cut off", "key")
            post.join(60)
            assert post.answer.status_code == 503, post.answer.text
            assert int(post.answer.headers["Retry-After"]) >= 1
    standby.start()
    wait_until(lambda: sync_state(primary) == "sync", 30, "the standby follows again")
    job_id = user.run("cut off", key="key")
    primary.stop(signal.SIGKILL)
    standby.promote()
    stack.wait_healthy(40)
    job = user.finished(job_id)
    assert (job["status"], job["result"]) == ("completed", "echo: cut off")
    assert user.get("/jobs").json()["total"] == 2, "one key, one job"


@pytest.mark.long
def test_standby_away_for_long(two):
    """Commits wait for it and nothing is acknowledged; what waits does not use up PostgreSQL's
    connections; when it is back, so are we."""
    primary, standby, stack = two
    user = User(stack, original_token(stack))
    assert user.done("before")["result"] == "echo: before"
    standby.stop()
    most = 0
    with Load(stack, users=4) as load:
        end = time.monotonic() + 130
        while time.monotonic() < end:
            most = max(most, len(primary.backends()))
            time.sleep(1)
        assert not load.accepted
        print(f"at most {most} connections of ours")
        assert most <= 25
        standby.start()
        load.wait_accepted(50, 60)
    load.check_answers()
    load.check_all_ended(primary)


def test_a_primary_that_lives_on_is_left(new_cluster, new_pg_stack):
    """Promoted beside it: once some of a service's connections have met the new primary, those that
    only read, and never broke, leave the old one."""
    primary = new_cluster().make().start()
    standby = new_cluster().make_standby(primary).start()
    stack = new_pg_stack(f"postgresql://mcpbus:{PASSWORD}@127.0.0.1:{primary.port},"
                         f"127.0.0.1:{standby.port}/mcpbus")
    user = User(stack, original_token(stack))
    before = user.run("before")
    assert user.finished(before)["result"] == "echo: before"
    wait_until(lambda: standby.sql("SELECT true FROM job_data WHERE status = 'completed'"), 20,
               "the standby has it")
    standby.promote()
    primary.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'mcpbus-jobs'")
    wait_until(lambda: not primary.backends("mcpbus-jobs%"), 20, "the old primary is left")
    after = wait_until(lambda: user.post("/run", json={"message": "after"}).json().get("job_id"),
                       30, "jobs are accepted")
    assert user.finished(after)["result"] == "echo: after"
    assert user.finished(before)["result"] == "echo: before"
    assert standby.sql("SELECT true FROM job_data WHERE id = %s", after)
