"""Design guarantee 3: what a worker runs is dead before its lease can have run out, so that never
two attempts act at a time; and a lost worker leaves nothing behind that is stuck."""
import contextlib
import os
import pathlib
import signal
import threading
import time
import uuid

import pytest

from cancels import parent_of
from client import children_of, of_kind, run_processes, sign_in
from guarantees import living
from stack import wait_until

pytest_plugins = ["shared_stacks"]


@pytest.fixture(scope="module")
def user(wide_stack):
    return sign_in(wide_stack)


@contextlib.contextmanager
def frozen(*pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def zygote_of(stack, name):
    found = [pid for pid in children_of(stack.pid(name))
             if (pathlib.Path("/proc") / str(pid) / "comm").read_text() == "mcpbus-zygote\n"
             and parent_of(pid) == stack.pid(name)]
    assert len(found) == 1
    return found[0]


def runs_of(stack, name):
    """A worker's runs, without the tool servers that they may have for a while."""
    zygote = zygote_of(stack, name)
    return {pid for pid in children_of(zygote) if parent_of(pid) == zygote}


def begun(stack, user):
    """A job whose first attempt waits for its model: its id, and the name of its worker."""
    requests = stack.sandbox + "/sandbox/requests"
    stack.http.delete(requests, timeout=10)
    job_id = user.run(f"Say hello {uuid.uuid4()} [sandbox:slow=60x1]")
    user.reach(job_id, "running")
    wait_until(lambda: "POST /v1/chat/completions" in stack.http.get(requests, timeout=10).text, 30,
               "the model is asked")
    name = wait_until(lambda: next((name for name in stack.pids("worker")
                                    if runs_of(stack, name)), None), 30, "a worker has begun")
    return job_id, name


def check_ended_in_time(stack, job_id, processes):
    """When nothing of the run is left, its session still holds the lease, and the job."""
    assert living(processes) == processes
    wait_until(lambda: not living(processes), 20, "the run is ended")
    rows = stack.sql("SELECT attempt, state, w.lease_until > now() FROM job_queue"
                     " JOIN worker_sessions w USING (session) WHERE job_id = %s", job_id)
    assert rows == [(1, 1, True)]


def check_done_again(stack, user, job_id):
    job = user.finished(job_id, 50)
    assert job["status"] == "completed", job
    assert stack.sql("SELECT attempts FROM job_records WHERE id = %s", job_id) == [(2,)]
    return job


def test_a_frozen_loop_ends_its_runs_in_time(user, wide_stack):
    """SIGSTOP stops the loop alone; the process beside it ends the runs. Thawed, it changes
    nothing."""
    idle = run_processes(wide_stack)
    job_id, name = begun(wide_stack, user)
    with frozen(wide_stack.pid(name)):
        check_ended_in_time(wide_stack, job_id, runs_of(wide_stack, name))
        job = check_done_again(wide_stack, user, job_id)
    wait_until(lambda: run_processes(wide_stack) <= idle, 20, "the stale run has ended")
    assert user.result(job_id) == job
    assert len(of_kind(user.events(job_id), "status")) >= 3


def test_a_run_that_ended_by_mistake_is_another_attempt(user, wide_stack):
    """The zygote alone is frozen, and ends its runs before it hears of the renewals. The session
    lives on; what is done again has to know what was done before."""
    job_id, name = begun(wide_stack, user)
    session = wide_stack.sql("SELECT session FROM job_queue WHERE job_id = %s", job_id)
    with frozen(zygote_of(wide_stack, name)):
        until = time.monotonic() + 10
        wait_until(lambda: time.monotonic() > until, 20, "the zygote's lease is over")
        assert wide_stack.sql("SELECT session FROM job_queue WHERE job_id = %s", job_id) == session
    check_done_again(wide_stack, user, job_id)


def test_a_worker_cut_off_from_its_brokers_ends_its_runs_in_time(user, wide_stack):
    """It can't renew, and ends them by its own clock."""
    job_id, name = begun(wide_stack, user)
    with frozen(*wide_stack.pids("broker").values()):
        check_ended_in_time(wide_stack, job_id, runs_of(wide_stack, name))
    wide_stack.wait_healthy()
    check_done_again(wide_stack, user, job_id)


def test_a_worker_killed_among_200_jobs(wide_stack, user):
    """None is stuck, none is done twice."""
    jobs, lock = [], threading.Lock()

    def submit():
        for _ in range(25):
            job_id = user.run("[sandbox:slow=2] Say hello")
            with lock:
                jobs.append(job_id)

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(jobs) > 100, 60, "half of them are accepted")
    wide_stack.kill("worker")
    for thread in threads:
        thread.join(60)
    assert len(jobs) == 200

    def left():
        return wide_stack.sql("SELECT count(*) FROM job_queue WHERE job_id = ANY(%s)", jobs)[0][0]

    wait_until(lambda: not left(), 90, "all have ended")
    rows = wide_stack.sql("SELECT status, max(attempts), count(*) FROM job_records"
                          " WHERE id = ANY(%s) GROUP BY 1", jobs)
    assert [(status, count) for status, _, count in rows] == [("completed", 200)]
    assert rows[0][1] == 2, "the killed worker had none"
    for job_id in jobs[::20]:
        ends = [event.data["status"] for event in of_kind(user.events(job_id), "status")]
        assert ends.count("completed") == 1 and ends[-1] == "completed"
