"""Every kind of replica × every kind of fault. Long: ./dev test --long runs it."""
import contextlib
import os
import signal
import time

import pytest

from net_acts import Acts, check_all_slots, tree
from net_lab import KINDS
from net_load import Load, check_all_serve
from stack import slow, wait_until

pytest_plugins = ["net_labs"]
pytestmark = pytest.mark.long

NOTICED = 8
LEASE = 10
FAULTS = ("killed", "frozen", "cut", "mute", "deaf")


@pytest.fixture(name="lab")
def _lab(linked_lab):
    yield linked_lab
    heal(linked_lab)


def heal(lab):
    lab.net.heal()
    for links in lab.links.values():
        links.clear()
    for kind in KINDS:
        for name in lab.names(kind):
            if lab.processes[name].poll() is not None:
                lab.start(name)


def pairs(name, fault, other="*"):
    return {"cut": [(name, other), (other, name)], "mute": [(name, other)],
            "deaf": [(other, name)]}[fault]


@contextlib.contextmanager
def suffering(lab, name, fault):
    """The fault lasts as long as the block; killed is for longer."""
    if fault == "killed":
        lab.kill(name)
        yield
    elif fault == "frozen":
        with lab.freezing(name):
            yield
    else:
        with lab.net.dropping(*pairs(name, fault)):
            yield


def through(lab, kind):
    """Clients of a gateway that suffers use the other one."""
    return [lab.door(2)] if kind == "gateway" else lab.doors()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", KINDS)
def test_one_of_two(lab, kind, fault):
    """The others go on at once or, where the fault is silent, when it is noticed; no client has to
    repeat a call."""
    name = f"{kind}-1"
    with Load(lab, through(lab, kind)) as load:
        load.go_on(20)
        with suffering(lab, name, fault):
            load.go_on(20)
            time.sleep(6)
            load.worst, before = 0, load.worst
            load.go_on(40)
            assert load.worst < 3 * slow(), f"it is asked no more: {load.summary()}"
        load.go_on(20)
    assert not load.retries, load.summary()
    assert before < NOTICED * slow()
    load.judge()
    heal(lab)
    check_all_serve(lab)


def backends(lab, name):
    """Of PostgreSQL's processes, those that serve this host."""
    return lab.sql("SELECT count(*) FROM pg_stat_activity WHERE client_addr = %s::inet",
                   lab.address(name))[0][0]


@pytest.mark.parametrize("fault", ["cut", "mute", "deaf"])
@pytest.mark.parametrize("kind", ["jobs", "auth"])
def test_without_the_database(lab, kind, fault):
    with Load(lab) as load:
        load.go_on(20)
        with lab.net.dropping(*pairs(f"{kind}-1", fault, "postgres")):
            load.go_on(20)
            time.sleep(6)
            load.worst, before = 0, load.worst
            load.go_on(40)
            assert load.worst < 3 * slow(), f"it is asked no more: {load.summary()}"
            time.sleep(8)  # beyond TCP's own patience
        load.go_on(20)
    assert not load.retries, load.summary()
    wait_until(lambda: backends(lab, f"{kind}-1") <= backends(lab, f"{kind}-2"), 30,
               "PostgreSQL has given up what it kept for the lost connections")
    assert before < (NOTICED + 4) * slow()
    load.judge()
    check_all_serve(lab)


@pytest.mark.parametrize("name", ["jobs-1", "worker-1", "gateway-1", "auth-1"])
@pytest.mark.parametrize("fault", ["cut", "mute", "deaf"])
def test_from_one_broker_only(lab, name, fault):
    """The other broker still joins them."""
    with Load(lab) as load:
        load.go_on(20)
        with lab.net.dropping(*pairs(name, fault, "broker-1")):
            load.go_on(20)
            time.sleep(5)
            load.go_on(60)
    assert not load.retries, load.summary()
    assert load.worst < NOTICED * slow(), load.summary()
    load.judge()
    check_all_serve(lab)


@pytest.mark.parametrize("name", ["broker-1", "jobs-1", "gateway-1", "worker-1"])
def test_a_long_cut_is_over_soon(lab, name):
    """TCP waits ever longer between its tries; we don't."""
    with Load(lab, [lab.door(2)]) as load:
        with lab.net.dropping(*pairs(name, "cut")):
            time.sleep(46)  # the kernel tries a connect after half a minute, then after a whole one
            load.go_on(20)
        lab.settle(12)
    load.judge()
    check_all_serve(lab)


@pytest.mark.parametrize("kind", ["jobs", "auth", "gateway", "broker"])
def test_both_frozen_and_woken(lab, kind):
    """For longer than any lease and peer's patience."""
    with Load(lab) as load:
        load.go_on(20)
        with contextlib.ExitStack() as frozen:
            for name in lab.names(kind):
                frozen.enter_context(lab.freezing(name))
            time.sleep(LEASE + 3)
        load.go_on(20, 60)
    load.judge()
    check_all_serve(lab)


@pytest.mark.parametrize("seconds", [2, 10])
def test_all_brokers_away(lab, seconds):
    with Load(lab) as load:
        load.go_on(20)
        for name in lab.names("broker"):
            lab.kill(name)
        time.sleep(seconds)
        heal(lab)
        load.go_on(20, 40)
    load.judge()
    check_all_serve(lab)


@pytest.mark.parametrize("kind", KINDS)
def test_restarted_in_turn(lab, kind):
    with Load(lab) as load:
        for name in lab.names(kind) * 2:
            load.go_on(20)
            lab.restart(name)
            lab.settle()
        load.go_on(20)
    load.judge()
    check_all_serve(lab)


@pytest.mark.parametrize("delay", [0.05, 0.2])
def test_far_away(lab, delay):
    """Half of everything is on another continent, by a bad line."""
    with Load(lab) as load:
        for links in lab.links.values():
            links.set(delay=delay, jitter=delay / 2, loss=0.03)
        load.go_on(60, 60)
        for links in lab.links.values():
            links.clear()
    load.judge()
    check_all_serve(lab)


@pytest.mark.parametrize("broker", [None, "broker-1"])
@pytest.mark.parametrize("way", [None, "up", "down"])
@pytest.mark.parametrize("name", ["jobs-2", "worker-2", "gateway-2"])
def test_silence_without_a_reset(lab, name, way, broker):
    doors = [lab.door(1)] if name == "gateway-2" and broker is None else lab.doors()
    with Load(lab, doors) as load:
        load.go_on(20)
        lab.links[name].stall(way, broker=broker)
        load.go_on(20)
        time.sleep(5)
        load.go_on(40)
        lab.links[name].clear()
        load.go_on(20)
    assert not load.retries, load.summary()
    assert load.worst < NOTICED * slow(), load.summary()
    load.judge()
    check_all_serve(lab)


# Runs that act

@pytest.mark.parametrize("fault", FAULTS)
def test_a_worker_with_runs(acting_lab, fault):
    lab = acting_lab
    acts = Acts(lab, 6, 13)
    acts.wait_acting(6)
    with suffering(lab, "worker-1", fault):
        time.sleep(LEASE + 3)
    heal(lab)
    assert max(acts.judge().values()) > 1, "jobs were taken over"
    check_all_slots(lab)


def test_a_worker_that_freezes_whole(acting_lab):
    """Loop, zygote, runs and tools, as a virtual machine does. Woken, it records nothing; its tools
    act no longer than it takes to notice."""
    lab = acting_lab
    acts = Acts(lab, 6, 8)
    acts.wait_acting(6)
    session = lab.sessions()["worker-1"]
    pids = tree(lab.pid("worker-1"))
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: not lab.sql(
            "SELECT 1 FROM job_queue WHERE state = 1 AND session = %s", session), 30,
                   "its jobs are taken back")
        last = lab.sql("SELECT max(n) FROM net_audit WHERE session = %s", session)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    with lab.net["client"].entered():
        for job in acts.jobs:
            assert acts.user.finished(job)["status"] == "completed"
    assert lab.sql("SELECT max(n) FROM net_audit WHERE session = %s", session) == last
    check_all_slots(lab)


@pytest.mark.parametrize("kind", ["jobs", "broker"])
@pytest.mark.parametrize("fault", ["killed", "frozen", "cut"])
def test_runs_outlive_others(acting_lab, kind, fault):
    """One of the jobs replicas or brokers is gone while tools act: no run is ended for it."""
    lab = acting_lab
    acts = Acts(lab, 6, 9)
    acts.wait_acting(6)
    with suffering(lab, f"{kind}-1", fault):
        time.sleep(6)
    heal(lab)
    assert set(acts.judge().values()) == {1}
    check_all_slots(lab)
