"""Design guarantee 6: one user's thousands of queued jobs don't delay another's first, by whatever
way either came into the queue. The order is that in which a worker, played here, gets them."""
import time

from bus_peer import Peer, submit, uuid7
from client import fresh_email
from stack import slow, wait_until

pytest_plugins = ["bare_stacks"]

CROWD = 2000


def crowd(stack, count=CROWD):
    """So many jobs of one user, queued."""
    peer, user = Peer(stack.brokers[0], stack.keys), fresh_email("crowd")
    peer.hello()
    for _ in range(0, count, 500):
        items = [{"job_id": uuid7(), "user_id": user, "message": "one of many"}
                 for _ in range(500)]
        final = peer.call("jobs.submit", {"items": items})
        assert final.status == 0 and all("error" not in one for one in final.body["results"])
    return peer, user


def turns_until(worker, user, most):
    """How many runs of others come before the user's; each ends at once, one slot at a time."""
    for turns in range(most + 1):
        run = worker.take_run(slots=1)
        assert worker.finish(run, "completed", result="") == {}
        if run["user_id"] == user:
            return turns
    raise AssertionError(f"{most} of others came first")


def test_a_new_user_s_job_comes_next(bare_stack, workers):
    """Two replicas of jobs: each takes turns on its own, and each may have sent one already."""
    worker = workers()
    peer, _ = crowd(bare_stack)
    for _ in range(3):
        user = fresh_email("single")
        submit(peer, user, "the only one")
        turns_until(worker, user, 6)
    peer.close()


def test_also_when_the_queues_come_from_the_store(bare_stack, workers):
    """Both replicas of jobs are killed: what they knew is gone."""
    peer, _ = crowd(bare_stack)
    user = fresh_email("single")
    submit(peer, user, "the only one")
    old = [bare_stack.kill("jobs", n) for n in (1, 2)]
    wait_until(lambda: not set(old) & set(bare_stack.pids("jobs").values()), 10, "both are back")
    bare_stack.wait_healthy()
    worker = workers()
    wait_until(lambda: len(worker_replicas(worker)) == 2, 10, "both are on the bus")
    turns_until(worker, user, 6)
    peer.close()


def worker_replicas(worker):
    worker.renew()
    return worker.replicas


def test_a_retry_has_its_turn_among_a_crowd(bare_stack, workers):
    """Only the store knows that it is due, and no slot is ever free: the crowd would take a minute
    at the pace of this worker."""
    worker = workers()
    peer = Peer(bare_stack.brokers[0], bare_stack.keys)
    peer.hello()
    user = fresh_email("single")
    job_id, _ = submit(peer, user, "once more")
    first = worker.take_run()
    assert first["job_id"] == job_id
    worker.rest(first)
    peer_of_crowd, _ = crowd(bare_stack, 10 * CROWD)
    assert worker.finish(first, "retry") == {}
    count, end = 0, time.monotonic() + 30 * slow()
    while time.monotonic() < end:
        run = worker.take_run()
        assert worker.finish(run, "completed", result="") == {}
        count += 1
        if run["user_id"] == user:
            break
    assert run["job_id"] == job_id and run["attempt"] == 2
    left = bare_stack.sql("SELECT count(*) FROM job_queue")[0][0]
    assert left > CROWD, "the crowd was served first"
    peer.close()
    peer_of_crowd.close()
