"""PostgreSQL on a disk that is full, and on one that is slow."""
import contextlib
import os
import pathlib
import shutil
import time

import pytest

from client import User, original_token
from pg_cluster import Cluster, cpu_seconds, stack_over, tmpfs
from pg_load import Load
from stack import ROOT, wait_until

pytestmark = pytest.mark.slow

pytest_plugins = ["pg_stacks"]

BIN = pathlib.Path(os.environ.get("MCPBUS_BIN", ROOT / "build" / "bin"))
SLOW_SYNC = BIN.parent / "tests" / "slow_sync.so"
# Pages are written soon, so that a full disk is noticed by who extends a table, as on a real one.
SMALL = {"shared_buffers": "8MB", "min_wal_size": "32MB", "max_wal_size": "32MB",
         "checkpoint_timeout": "30s", "autovacuum": "off"}


@contextlib.contextmanager
def ballast(folder):
    """Fills a disk to its last byte; then frees that again."""
    path = folder / "ballast"
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def refused(load, count):
    """Waits until so many more have been told to come again."""
    def now():
        return len([answer for answer in load.answers if answer.status == 503])

    goal = now() + count
    wait_until(lambda: now() >= goal, 90, f"{count} are refused")


def test_no_room_for_tables(new_cluster, new_pg_stack):
    """The WAL has room elsewhere, the tables have none: 503 until they have, nothing is lost, and
    what runs keeps its outcome until it can be recorded."""
    with tmpfs(110) as disk:
        cluster = new_cluster(conf=SMALL, folder=disk / "data").make(wal_elsewhere=True).start()
        stack = new_pg_stack(cluster.url(), scale={"jobs": 2, "worker": 2})
        processes = stack.pids("jobs")
        with Load(stack, length=20000) as load:
            load.wait_accepted(100)
            with ballast(disk):
                refused(load, 20)
                wait_until(lambda: load.users[0].get("/jobs").status_code == 200, 20, "reads go on")
            load.wait_accepted(100)
        load.check_answers()
        load.check_all_ended(cluster)
        assert "No space left" in cluster.log(), "the disk was full indeed"
        assert stack.pids("jobs") == processes, "no restart was needed"
        stack.close()
        cluster.close()


@pytest.mark.long
def test_no_room_for_the_wal(new_cluster, new_pg_stack):
    """PostgreSQL gives up (PANIC) and can't start again before there is room; then all goes on."""
    with tmpfs(130) as disk:
        cluster = new_cluster(conf=SMALL, folder=disk / "data").make().start()
        stack = new_pg_stack(cluster.url(), scale={"jobs": 2, "worker": 2})
        processes = stack.pids("jobs")
        with Load(stack, length=20000) as load:
            load.wait_accepted(100)
            with ballast(disk):
                wait_until(lambda: "PANIC" in cluster.log(), 90, "PostgreSQL gives up")
                refused(load, 6)
            if cluster.process.poll() is not None:
                cluster.process = None
                cluster.start()
            load.wait_accepted(100)
        load.check_answers()
        load.check_all_ended(cluster)
        assert stack.pids("jobs") == processes
        stack.close()
        cluster.close()


def slow_down(cluster, milliseconds):
    """From now on each fdatasync and fsync takes so much longer."""
    file = cluster.data / "slow_sync_ms"
    file.write_text(str(milliseconds))
    file.chmod(0o644)


@pytest.fixture(scope="module")
def slow_pair():
    """cluster, stack."""
    assert SLOW_SYNC.exists(), f"{SLOW_SYNC} was not built"
    cluster, stack = Cluster(), None
    library = cluster.top / "slow_sync.so"
    shutil.copy(SLOW_SYNC, library)
    library.chmod(0o755)
    cluster.environ["LD_PRELOAD"] = str(library)
    try:
        cluster.make().start()
        stack = stack_over(cluster.url(), {"jobs": 2, "worker": 2})
        yield cluster, stack
    finally:
        if stack:
            stack.close()
        cluster.close()


@pytest.fixture
def slow(slow_pair):
    """The same, healthy; its disk is slowed down by slow_down(), and quick again afterwards."""
    slow_pair[1].wait_healthy()
    yield slow_pair
    slow_down(slow_pair[0], 0)


def syncs(cluster):
    return cluster.sql("SELECT wal_sync FROM pg_stat_wal")[0][0]


@pytest.mark.parametrize("milliseconds", [50, pytest.param(200, marks=pytest.mark.long)])
def test_slow_disk(slow, milliseconds):
    """Many jobs share one slow commit; no lease is lost over it, nothing runs twice."""
    cluster, stack = slow
    lost = stack.log("worker").count("session_lost")
    slow_down(cluster, milliseconds)
    with Load(stack, users=24) as load:
        load.wait_accepted(50)
        begun, before = syncs(cluster), len(load.accepted)
        load.wait_accepted(600, 120)
        used, jobs = syncs(cluster) - begun, len(load.accepted) - before
    slow_down(cluster, 0)
    load.check_answers(allowed=(200,))
    load.check_all_ended(cluster)
    # Each job is committed at its submission and at its end, and renewals come in between.
    print(f"{jobs} jobs with {used} syncs, longest call {load.longest():.2f} s")
    assert jobs > 1.5 * used
    twice = cluster.sql("SELECT count(*) FROM job_records WHERE attempts > 1"
                        " AND user_id = ANY (%s)", [user.id for user in load.users])
    assert twice == [(0,)], "no lease was lost"
    assert stack.log("worker").count("session_lost") == lost


def test_accepted_means_on_disk(slow):
    """No answer comes before the disk has it: a commit that hangs has no 200."""
    cluster, stack = slow
    user = User(stack, original_token(stack))
    assert user.done("quick")["result"] == "echo: quick"
    slow_down(cluster, 4000)
    began = time.monotonic()
    job_id = user.run("slow")
    assert time.monotonic() - began > 3.5, "acknowledged before it was on the disk"
    slow_down(cluster, 0)
    assert user.finished(job_id)["result"] == "echo: slow"


@pytest.mark.long
def test_disk_that_hangs(slow):
    """Each commit takes longer than any lease and deadline: what can't be done is refused, and
    afterwards all is well."""
    cluster, stack = slow
    with Load(stack, users=8) as load:
        load.wait_accepted(100)
        slow_down(cluster, 12000)
        pids = [*stack.pids("jobs").values(), *stack.pids("worker").values()]
        before = cpu_seconds(pids)
        refused(load, 8)
        assert cpu_seconds(pids) - before < 10
        slow_down(cluster, 0)
        load.wait_accepted(100, 120)
    load.check_answers()
    load.check_all_ended(cluster)
