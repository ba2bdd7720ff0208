"""PostgreSQL killed, away, or silent under load: what was accepted is kept, what can't be accepted
waits or is told when to come again."""
import contextlib
import os
import signal
import time

import pytest

from client import User, original_token
from net_proxy import Proxy
from pg_cluster import cpu_seconds, health
from pg_load import Load
from stack import wait_until

pytest_plugins = ["pg_stacks"]


@pytest.fixture
def pg_link(pg_pair):
    """Before the stack that uses it, so that it goes after it."""
    with Proxy(("127.0.0.1", pg_pair.cluster.port)) as link:
        yield link


def test_immediate_restarts_under_load(pg_pair):
    stack, cluster = pg_pair.stack, pg_pair.cluster
    stack.wait_healthy()
    with Load(stack) as load:
        for _ in range(3):
            load.wait_accepted(150)
            cluster.restart()
        load.wait_accepted(150)
    load.check_answers()
    load.check_all_ended(cluster)


def test_away_for_five_seconds_under_load(pg_pair):
    """What is posted meanwhile waits; nothing is refused without a word on when to come again."""
    stack, cluster = pg_pair.stack, pg_pair.cluster
    stack.wait_healthy()
    pids = [*stack.pids("jobs").values(), *stack.pids("auth").values(),
            *stack.pids("gateway").values()]
    with Load(stack) as load:
        load.wait_accepted(150)
        cluster.stop()
        before, gone = cpu_seconds(pids), time.monotonic()
        time.sleep(5)
        used = cpu_seconds(pids) - before
        print(f"{used:.2f} s of processor time meanwhile")
        assert used < 1, "waiting is not a busy loop"
        cluster.start()
        back = time.monotonic()
        load.wait_accepted(150, 20)
        first = min(answer.ended for answer in load.answers
                    if answer.status == 200 and answer.ended > gone)
        print(f"away {back - gone:.1f} s, first accepted again after {first - back:.2f} s")
    load.check_answers()
    waited = [answer for answer in load.answers if answer.began < back and answer.ended > gone]
    assert [answer for answer in waited if answer.status == 200], "some waited and were accepted"
    load.check_all_ended(cluster)


def test_backends_killed_and_terminated(pg_pair):
    """SIGKILL of one backend restarts PostgreSQL; a terminated one is one connection's loss."""
    stack, cluster = pg_pair.stack, pg_pair.cluster
    stack.wait_healthy()
    with Load(stack) as load:
        for _ in range(8):
            load.wait_accepted(40)
            cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name LIKE 'mcpbus%%'")
        for name in ("mcpbus-jobs", "mcpbus-jobs-read"):
            load.wait_accepted(60)
            victims = wait_until(lambda name=name: cluster.backends(name), 20, f"{name} is back")
            with contextlib.suppress(ProcessLookupError):
                os.kill(victims[0], signal.SIGKILL)
        load.wait_accepted(60)
    load.check_answers()
    load.check_all_ended(cluster)


@pytest.mark.long
def test_away_beyond_every_deadline(pg_pair):
    """Who posts is answered at the deadline: 503, with Retry-After; /health and the log say why."""
    stack, cluster = pg_pair.stack, pg_pair.cluster
    stack.wait_healthy()
    with Load(stack) as load:
        load.wait_accepted(100)
        cluster.stop()
        try:
            wait_until(lambda: health(stack)[0] == 503, 10, "unhealthy")
            for path in ("/jobs", "/auth/status", "/result/unknown"):
                answer = load.users[0].get(path)
                assert answer.status_code == 503, f"{path}: {answer.text}"
                assert int(answer.headers["Retry-After"]) >= 1
            time.sleep(10)
        finally:
            cluster.start()
        load.wait_accepted(100, 20)
    load.check_answers()
    refused = [answer for answer in load.answers if answer.status == 503]
    assert refused, "some were told to come again"
    assert load.longest() < 18, "each is answered at its deadline"
    load.check_all_ended(cluster)
    assert "database_away" in stack.log("jobs")


@contextlib.contextmanager
def frozen_idle(cluster, pids):
    """Backends that stand still between two statements: one frozen at its commit would hold what
    all of PostgreSQL waits for."""
    for pid in pids:
        while True:
            os.kill(pid, signal.SIGSTOP)
            if cluster.sql("SELECT state FROM pg_stat_activity WHERE pid = %s", pid) == [("idle",)]:
                break
            os.kill(pid, signal.SIGCONT)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@pytest.mark.long
@pytest.mark.parametrize("name", ["mcpbus-jobs", "mcpbus-jobs-read"])
def test_frozen_backend(pg_pair, name):
    """A connection that TCP acknowledges and nobody answers: the others go on."""
    stack, cluster = pg_pair.stack, pg_pair.cluster
    stack.wait_healthy()
    with Load(stack, pause=0.1) as load:
        load.wait_accepted(50)
        with frozen_idle(cluster, cluster.backends(name)[:1]):
            load.wait_accepted(100, 60)
            time.sleep(15)
            load.wait_accepted(100, 60)
        load.wait_accepted(100, 60)
    load.check_answers()
    load.check_all_ended(cluster)


@pytest.mark.long
def test_silent_connections(pg_pair, pg_link, new_pg_stack):
    """What stands between us and PostgreSQL swallows everything without a word, then lets new
    connections through."""
    cluster = pg_pair.cluster
    stack = new_pg_stack(cluster.url().replace(f":{cluster.port}/", f":{pg_link.port}/"))
    with Load(stack) as load:
        load.wait_accepted(100)
        pg_link.stall()
        began = time.monotonic()
        wait_until(lambda: health(stack)[0] == 503, 20, "unhealthy")
        time.sleep(3)
        pg_link.cut()
        pg_link.resume()
        load.wait_accepted(100, 60)
        print(f"accepted again {time.monotonic() - began:.1f} s after the silence began")
    load.check_answers()
    load.check_all_ended(cluster)


@pytest.mark.long
def test_all_backends_frozen(pg_pair):
    """Acknowledged by TCP and never answered: the connections are given up in the end, and what was
    on them is done again on others."""
    stack, cluster = pg_pair.stack, pg_pair.cluster
    stack.wait_healthy()
    with frozen_idle(cluster, cluster.backends()), Load(stack) as load:
        began = time.monotonic()
        load.wait_accepted(100, 90)
        print(f"accepted again {time.monotonic() - began:.1f} s after they froze")
    load.check_answers()
    load.check_all_ended(cluster)


def test_reads_go_on_with_the_rest(pg_pair):
    """Reads come back as well, and what had ended is told as before."""
    stack, cluster = pg_pair.stack, pg_pair.cluster
    stack.wait_healthy()
    user = User(stack, original_token(stack))
    job_id = user.run("before")
    assert user.finished(job_id)["result"] == "echo: before"
    cluster.restart()
    assert user.result(job_id)["status"] == "completed"
    assert user.get("/jobs").json()["total"] == 1
    assert user.done("after")["result"] == "echo: after"
