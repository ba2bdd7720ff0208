"""Replicas die, freeze, are cut off or hard to reach: the others go on, nothing is lost, no job is
done by two at once, and afterwards everything is used again. The telling cases; the whole matrix is
test_net_matrix.py."""
import time
import uuid

import pytest

from net_acts import Acts, check_all_slots
from net_load import Load, check_all_serve
from stack import slow

pytestmark = pytest.mark.slow

pytest_plugins = ["net_labs"]

# A silent peer is noticed after three seconds, and its requests are sent elsewhere.
NOTICED = 7


@pytest.fixture(name="lab")
def _lab(linked_lab):
    yield linked_lab
    linked_lab.net.heal()
    for links in linked_lab.links.values():
        links.clear()


def finish(lab, load, worst=NOTICED):
    """After the fault: all that was accepted is done, and everything is used again."""
    load.judge()
    assert load.worst < worst * slow(), load.summary()
    check_all_serve(lab)


def test_a_silent_broker(lab):
    """Nothing is refused and nothing reset: only PING tells. No client has to repeat a call."""
    with Load(lab) as load:
        load.go_on(20)
        with lab.net.dropping(("broker-1", "*"), ("*", "broker-1")):
            load.go_on(20)
            time.sleep(3)
            load.go_on(40)
    assert not load.retries, load.summary()
    finish(lab, load)


def test_cut_off_from_the_database_alone(lab):
    """One of the jobs replicas and one of auth: the brokers find them as well as ever."""
    lost = [("jobs-1", "postgres"), ("postgres", "jobs-1"),
            ("auth-2", "postgres"), ("postgres", "auth-2")]
    with Load(lab) as load:
        load.go_on(20)
        with lab.net.dropping(*lost):
            load.go_on(20)
            time.sleep(3)
            load.go_on(40)
            load.worst = 0
            load.go_on(60)
            assert load.worst < 2 * slow(), f"they are asked no more: {load.summary()}"
    assert not load.retries, load.summary()
    finish(lab, load)


def test_the_database_out_of_reach_for_all(lab):
    """Silent, not refused. What was accepted just before or after runs soon, though workers have
    lost their leases and scans have waited: so does what no replica remembers, a job that waits and
    one of a worker that is gone."""
    with Load(lab) as load:
        load.go_on(20)
        with lab.net.dropping(("postgres", "*"), ("*", "postgres")):
            time.sleep(9)  # no worker keeps its lease
        load.go_on(20, 30)
        time.sleep(3)  # the scans that waited are done
        for state, session in ((0, None), (1, "gone")):
            job = uuid.uuid4().hex
            load.accepted[job] = job
            lab.sql("WITH job AS (INSERT INTO job_data (id, user_id, message) VALUES (%s, %s, %s)"
                    " RETURNING id, user_id) INSERT INTO job_queue (job_id, user_id, state, session,"
                    " attempt, claimed_at, deadline) SELECT id, user_id, %s, %s, %s, now(),"
                    " now() + interval '1 h' FROM job", job, load.users[0], job, state, session,
                    state)
    load.judge(seconds=25)
    check_all_serve(lab)


def test_slow_lossy_and_silent_links(lab):
    """Between one of each kind and the brokers: late, with lost packets, then a connection that
    is silent, the other way of another, and a reset in the middle of a message."""
    with Load(lab) as load:
        for links in lab.links.values():
            links.set(delay=0.05, jitter=0.1, loss=0.05)
        load.go_on(30, 40)
        lab.links["jobs-2"].stall(broker="broker-1")
        lab.links["gateway-2"].stall("down", broker="broker-2")
        load.go_on(10, 40)
        time.sleep(3)
        load.go_on(20, 40)
        for links in lab.links.values():
            links.cut()
        load.go_on(20, 40)
        for links in lab.links.values():
            links.clear()
    finish(lab, load, 12)


def test_brokers_in_turn_and_all_at_once(lab):
    with Load(lab) as load:
        for name in lab.names("broker"):
            load.go_on(20)
            lab.restart(name)
        load.go_on(20)
        for name in lab.names("broker"):
            lab.kill(name)
        time.sleep(2)
        for name in lab.names("broker"):
            lab.start(name)
        load.go_on(20, 30)
    finish(lab, load)


def test_a_frozen_worker(acting_lab):
    """Its loop stops for longer than its lease; its runs still live, and are ended before others
    begin their jobs anew. Woken, it writes nothing, and works."""
    lab = acting_lab
    acts = Acts(lab, 6, 13)  # longer than a lease: who is not ended would act beside another
    acts.wait_acting(6)
    with lab.freezing("worker-1"):
        time.sleep(12)
    calls = acts.judge()
    assert max(calls.values()) > 1, "jobs of the frozen worker were taken over"
    check_all_slots(lab)
