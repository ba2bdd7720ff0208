"""Design guarantee 4: a job cannot stay running for ever. Retries with backoff, losses, deadlines:
each ends in a terminal state with a reason that a user understands."""
import time

import pytest

from bus_peer import REQUEST
from client import User, original_token
from guarantees import end_lease
from stack import wait_until

pytest_plugins = ["bare_stacks"]


@pytest.fixture
def user(bare_stack):
    return User(bare_stack, original_token(bare_stack))


def queue_row(stack, job_id):
    """(failures, losses, seconds until it may run)"""
    return stack.sql("SELECT failures, losses, extract(epoch FROM run_at - now())::float"
                     " FROM job_queue WHERE job_id = %s", job_id)[0]


def clock(stack):
    return stack.sql("SELECT extract(epoch FROM clock_timestamp())::float")[0][0]


def test_errors_that_may_pass_are_tried_again_more_and_more_slowly(bare_stack, workers, user):
    """JOB_MAX_ATTEMPTS is 3. Between 0.75 and 1 second, then twice that; then the worker's own
    reason stands."""
    worker, job_id = workers(), user.run("hello")
    for failures in (1, 2):
        run = worker.take_run()
        assert run["attempt"] == failures
        worker.rest(run)
        before = clock(bare_stack)
        assert worker.finish(run, "retry", error_message="The model is away.") == {}
        after = clock(bare_stack)
        (due,), = bare_stack.sql("SELECT extract(epoch FROM run_at)::float FROM job_queue"
                                 " WHERE job_id = %s", job_id)
        longest = 2 ** (failures - 1)
        assert before + 0.75 * longest <= due <= after + longest
        assert queue_row(bare_stack, job_id)[:2] == (failures, 0)
        assert user.result(job_id)["status"] == "pending"
    run = worker.take_run()
    assert clock(bare_stack) >= due, "it began before it was due"
    assert worker.finish(run, "retry", error_message="The model is away.") == {}
    job = user.result(job_id)
    assert (job["status"], job["error_message"]) == ("failed", "The model is away.")
    assert bare_stack.sql("SELECT attempts FROM job_records WHERE id = %s", job_id) == [(3,)]
    assert [event.data["status"] for event in user.events(job_id)][-1] == "failed"


def test_an_attempt_given_back_is_not_counted(bare_stack, workers, user):
    worker, job_id = workers(), user.run("hello")
    for _ in range(5):
        run = worker.take_run()
        worker.rest(run)
        assert worker.finish(run, "released") == {}
        assert queue_row(bare_stack, job_id)[:2] == (0, 0)
    assert worker.finish(worker.take_run(), "completed", result="good") == {}
    assert user.result(job_id)["status"] == "completed"


def test_losses_are_counted_apart_and_end_as_well(bare_stack, workers, user):
    """Two failures and eighteen losses have not ended it; the twentieth loss does."""
    job_id = user.run("hello")
    bare_stack.sql("UPDATE job_queue SET failures = 2, losses = 18 WHERE job_id = %s", job_id)
    worker = workers()
    worker.take_run()
    end_lease(bare_stack, worker)
    wait_until(lambda: queue_row(bare_stack, job_id)[:2] == (2, 19), 10, "the loss is counted")
    assert user.result(job_id)["status"] == "pending"
    worker = workers()
    worker.take_run()
    end_lease(bare_stack, worker)
    job = user.finished(job_id)
    assert job["status"] == "failed"
    assert job["error_message"] == \
        "The job was given up: the worker that ran it was lost 20 times."


def test_a_deadline_ends_what_its_worker_does_not(bare_stack, workers, user):
    """The worker lives and renews, but never says what became of the run: half a minute behind the
    deadline the job ends without it, and it is told."""
    worker, job_id = workers(), user.run("hello")
    run = worker.take_run()
    worker.rest(run)
    (left,), = bare_stack.sql("SELECT extract(epoch FROM deadline - now())::float FROM job_queue"
                              " WHERE job_id = %s", job_id)
    assert 1700 < left <= 1800 and run["time_ms"] == 1800_000
    bare_stack.sql("UPDATE job_queue SET deadline = now() - interval '29 seconds'"
                   " WHERE job_id = %s", job_id)
    assert user.result(job_id)["status"] == "running"
    end = time.monotonic() + 30
    while user.result(job_id)["status"] == "running":
        assert time.monotonic() < end
        assert worker.renew(run).status == 0
    job = user.result(job_id)
    assert (job["status"], job["error_message"]) == ("failed", "The job timed out.")
    while (job_id, 1) not in worker.cancelled:
        worker.receive(REQUEST)
    assert worker.finish(run, "completed", result="late")["error"] == "STALE_TOKEN"
    assert user.result(job_id) == job
