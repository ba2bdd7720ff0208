"""Design guarantee 2: a stale attempt changes nothing. Each write of a run that the protocol has is
sent by a worker, played here, that no longer has the job."""
import pytest

from bus_peer import REQUEST, STALE_TOKEN
from client import User, original_token
from guarantees import end_lease

pytest_plugins = ["bare_stacks"]

USAGE = {"input_tokens": 7, "output_tokens": 7, "total_tokens": 14}
APPENDS = {
    "message": {"type": "message", "data": {"text": "stale"}},
    "tool_call": {"type": "tool_call", "data": {"id": "c", "name": "x", "arguments": {}}},
    "tool_result": {"type": "tool_result", "data": {"id": "c", "name": "x", "text": "stale"}},
    "progress": {"type": "progress", "data": {"text": "stale"}},
    "running": {"type": "status", "data": {"status": "running"}},
}
ENDS = {
    "completed": {"result": "stale", "token_usage": USAGE, "env_names": ["STALE"]},
    "failed": {"error_message": "stale", "token_usage": USAGE},
    "retry": {"error_message": "stale"},
    "released": {},
}


@pytest.fixture
def user(bare_stack):
    return User(bare_stack, original_token(bare_stack))


def everything(stack, job_id):
    """All that is on record of a job."""
    return [stack.sql(f"SELECT * FROM {table} WHERE {key} = %s ORDER BY 1, 2", job_id)
            for table, key in (("job_data", "id"), ("job_queue", "job_id"),
                               ("job_events", "job_id"))]


def check_all_refused(stack, worker, run, session=None):
    """By whatever number of the last event that it may believe in."""
    before = everything(stack, run["job_id"])
    last = max([run["events"]] + [row[1] for row in before[2]] + [row[9] for row in before[1]])
    for name, event in APPENDS.items():
        for after in {run["events"], last}:
            answer = worker.append(run, event, after=after, session=session)
            assert answer.get("error") == "STALE_TOKEN", (name, after, answer)
    for outcome, more in ENDS.items():
        answer = worker.finish(run, outcome, session=session, **more)
        assert answer.get("error") == "STALE_TOKEN", (outcome, answer)
    assert everything(stack, run["job_id"]) == before


def taken_over(stack, workers, user):
    """A job whose first worker has lost it to a second: (job id, worker, run, worker, run)."""
    first, second = workers(), workers()
    job_id = user.run("hello")
    run = first.take_run()
    assert (run["job_id"], run["attempt"]) == (job_id, 1)
    assert first.append(run, APPENDS["tool_call"]) == {"last": run["events"] + 1}
    end_lease(stack, first)
    again = second.take_run()
    assert (again["job_id"], again["attempt"]) == (job_id, 2)
    assert again["events"] > run["events"], "what the first had recorded stays"
    return job_id, first, run, second, again


def test_an_attempt_that_was_taken_over(bare_stack, workers, user):
    """While the second runs, and when it has ended."""
    job_id, first, run, second, again = taken_over(bare_stack, workers, user)
    check_all_refused(bare_stack, first, run)
    check_all_refused(bare_stack, first, run, session=second.session)
    good = {"type": "message", "data": {"text": "good"}}
    assert second.append(again, good) == {"last": again["events"] + 1}
    assert second.finish(again, "completed", result="good") == {}
    check_all_refused(bare_stack, first, run)
    job = user.result(job_id)
    assert (job["status"], job["result"], job["token_usage"]) == ("completed", "good", None)
    assert "stale" not in str([event.text for event in user.events(job_id)])


def test_an_attempt_that_is_still_to_come(bare_stack, workers, user):
    worker = workers()
    user.run("hello")
    run = worker.take_run()
    check_all_refused(bare_stack, worker, {**run, "attempt": run["attempt"] + 1})
    assert worker.finish(run, "completed", result="good") == {}


def test_an_attempt_that_was_given_back(bare_stack, workers, user):
    """Released, and waiting for a retry: nobody holds the job."""
    worker = workers()
    job_id = user.run("hello")
    for outcome in ("released", "retry"):
        run = worker.take_run()
        worker.rest(run)
        assert worker.finish(run, outcome) == {}
        check_all_refused(bare_stack, worker, run)
    assert user.cancel(job_id).json()["status"] == "cancelled"


def test_a_cancelled_attempt(bare_stack, workers, user):
    worker = workers()
    job_id = user.run("hello")
    run = worker.take_run()
    assert user.cancel(job_id).json()["status"] == "cancelled"
    check_all_refused(bare_stack, worker, run)
    worker.offer(0)
    while (job_id, 1) not in worker.cancelled:
        worker.receive(REQUEST)
    assert user.result(job_id)["result"] is None


def test_a_forgotten_user_s_attempt(bare_stack, workers, user):
    worker = workers()
    user.run("hello")
    run = worker.take_run()
    assert user.delete("/me").status_code == 200
    check_all_refused(bare_stack, worker, run)


def test_a_session_that_has_ended(bare_stack, workers, user):
    """It is not renewed, not opened again, and gets no runs; nor does it give back what another
    session holds."""
    dead, alive = workers(), workers()
    end_lease(bare_stack, dead)
    assert dead.renew().status == STALE_TOKEN
    assert dead.open().status == STALE_TOKEN
    for _ in range(3):
        dead.offer(5)
    job_id = user.run("hello")
    run = alive.take_run()
    assert (run["job_id"], run["attempt"]) == (job_id, 1)
    assert not dead.runs
    assert dead.call("jobs.session_close", {"session": dead.session}).body == {"released": 0}
    assert alive.finish(run, "completed", result="good") == {}


def test_a_renewal_names_what_is_another_s(bare_stack, workers, user):
    """So that a worker which has missed the news ends its stale runs."""
    _, first, run, second, again = taken_over(bare_stack, workers, user)
    bare_stack.sql("UPDATE worker_sessions SET lease_until = now() + interval '10 seconds'"
                   " WHERE session = %s", first.session)
    assert first.renew(run, again).body["held"] == []
    held = second.renew(run, again).body["held"]
    assert held == [{"job_id": again["job_id"], "attempt": 2}]
    assert second.finish(again, "completed", result="good") == {}
