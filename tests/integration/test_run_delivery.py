"""Runs reach their worker, whatever is in them."""
import os
import signal
import threading
import time

from client import User, original_token, sign_in
from stack import wait_until

pytest_plugins = ["shared_stacks"]


def test_runs_sent_again_fit_the_bus(wide_echo):
    """Messages of control characters, each sixfold as JSON: the runs that a worker lacks must still
    arrive, and those of others that travel with them."""
    wide_echo.wait_healthy()
    user, other = (User(wide_echo, original_token(wide_echo)) for _ in range(2))
    workers = wide_echo.pids("worker").values()
    jobs = []
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        threads = [threading.Thread(target=lambda: jobs.append(user.run("\1" * 100_000)))
                   for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        small = other.run("hello")
        time.sleep(4.5)  # the brokers drop the messages; the leases go on
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
    assert len(jobs) == 40
    assert other.finished(small, 30)["status"] == "completed"
    wait_until(lambda: all(user.result(job)["status"] == "completed" for job in jobs), 30,
               "the large ones completed")


def test_no_tool_call_without_a_record(small_stack):
    """A job's last event number is kept for its end: a call that could not be recorded before it
    starts must not start."""
    user = sign_in(small_stack)
    first = user.run("[sandbox:slow=3] Say hello")
    job = user.run("List my recent emails")
    small_stack.sql("UPDATE job_queue SET events = 9999 WHERE job_id = %s AND state = 0", job)
    assert user.finished(first)["status"] == "completed"
    ended = user.finished(job)
    assert (ended["status"], ended["error_message"]) == \
        ("failed", "The run's events could not be recorded.")


def test_a_run_that_finds_no_slot_is_given_back(small_stack):
    """The only slot is taken when a second run comes, as two replicas may send one each: its time
    runs out before the slot is free, and its job is done all the same."""
    user = sign_in(small_stack)
    first = user.run("[sandbox:slow=60] Say hello")
    user.reach(first, "running")
    second = user.run("Say hello")
    small_stack.sql("UPDATE job_queue SET state = 1, attempt = attempt + 1, events = 2,"
                    " claimed_at = now() - interval '5 s', deadline = now() + interval '5 s',"
                    " session = (SELECT session FROM job_queue WHERE job_id = %s)"
                    " WHERE job_id = %s", first, second)
    wait_until(lambda: small_stack.sql("SELECT 1 FROM job_queue WHERE job_id = %s AND state = 0"
                                       " AND failures + losses = 0", second), 20,
               "the second is given back")
    assert user.result(first)["status"] == "running"
    user.cancel(first)
    assert user.finished(second)["status"] == "completed"


def test_an_outcome_outlives_a_fault_of_the_store(wide_echo):
    """PostgreSQL refuses to record outcomes for a while; a job that has ended is told of after."""
    wide_echo.wait_healthy()
    user = User(wide_echo, original_token(wide_echo))
    wide_echo.sql("CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS "
                  "$$ BEGIN RAISE 'a fault' USING ERRCODE = 'XX000'; END $$")
    try:
        wide_echo.sql("CREATE TRIGGER fault BEFORE UPDATE ON job_data EXECUTE FUNCTION fault()")
        job = user.run("hello")
        time.sleep(1.5)
        assert user.result(job)["status"] == "running"
    finally:
        wide_echo.sql("DROP FUNCTION fault CASCADE")
    assert user.finished(job, 10)["status"] == "completed"


def test_a_run_that_ended_unrecorded_is_tried_again(wide_echo):
    """The store believes that a worker still runs what it has ended long ago."""
    wide_echo.wait_healthy()
    user = User(wide_echo, original_token(wide_echo))
    sessions = wide_echo.sql("SELECT session FROM worker_sessions WHERE lease_until > now()")
    jobs = [user.run(f"job {n}") for n in range(4)]
    for n, job in enumerate(jobs):  # each of the two workers ran some of them, or none
        user.finished(job)
        wide_echo.sql("UPDATE job_data SET status = 'pending', completed_at = NULL WHERE id = %s",
                      job)
        wide_echo.sql("INSERT INTO job_queue (job_id, user_id, state, session, attempt, events,"
                      " claimed_at, deadline) SELECT id, user_id, 1, %s, 1, 2,"
                      " now() - interval '5 s', now() + interval '1 h' FROM job_data WHERE id = %s",
                      sessions[n % 2][0], job)
    for job in jobs:
        assert user.finished(job, 20)["status"] == "completed"
