"""Too many requests, too many jobs, too much waiting: refused early, and what was accepted ends."""
import threading

import pytest

from client import sign_in
from stack import wait_until

pytest_plugins = ["shared_stacks"]


def test_rate_limit(small_stack):
    """The limit of this stack is 40 a second."""
    user, other, answers = sign_in(small_stack), sign_in(small_stack), []

    def ask():
        for _ in range(25):
            answers.append(user.get("/me"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    refused = wait_until(lambda: [one for one in answers if one.status_code == 429], 30, "a 429")
    assert other.get("/me").status_code == 200, "another user suffers"
    for thread in threads:
        thread.join(60)
    assert {one.status_code for one in answers} == {200, 429}
    assert int(refused[0].headers["Retry-After"]) >= 1
    assert isinstance(refused[0].json()["detail"], str)
    assert refused[0].headers["X-Request-Id"]
    wait_until(lambda: user.get("/me").status_code == 200, 10, "the user may call again")


def test_queue_limit(small_stack):
    """One job runs and five wait in this stack, for each user."""
    user, other = sign_in(small_stack), sign_in(small_stack)
    accepted = [user.run("[sandbox:slow=60] Say hello")]
    user.reach(accepted[0], "running")
    refused = None
    for n in range(12):
        answer = user.post("/run", json={"message": f"Say hello {n}"})
        if answer.status_code != 200:
            refused = answer
            break
        accepted.append(answer.json()["job_id"])
    assert refused is not None, "all were accepted"
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= 1
    assert isinstance(refused.json()["detail"], str)
    assert len(accepted) == 6
    assert user.get("/jobs").json()["total"] == 6
    others = other.run("Say hello")
    assert user.cancel(accepted[0]).status_code == 200
    for job_id in accepted[1:]:
        assert user.finished(job_id)["status"] == "completed"
    assert other.finished(others)["status"] == "completed"
    assert user.done("Say hello")["status"] == "completed"


@pytest.mark.slow
def test_a_job_does_not_run_for_ever(small_stack):
    """Ten seconds, five sixths of JOB_TIMEOUT, and it is told to end."""
    user = sign_in(small_stack)
    job = user.finished(user.run("[sandbox:slow=60] Say hello"))
    assert job["status"] == "failed"
    assert "10 seconds" in job["error_message"]
    assert user.done("Say hello")["status"] == "completed"


def test_a_crowd_does_not_delay_another_user(small_stack):
    """One run at a time: the second user's first job is before the first user's last."""
    many, one = sign_in(small_stack), sign_in(small_stack)
    first = many.run("[sandbox:slow=60] Say hello")
    many.reach(first, "running")
    crowd = [many.run(f"Say hello {n}") for n in range(5)]
    single = one.run("Say hello")
    many.cancel(first)
    last = [many.finished(job_id) for job_id in crowd][-1]
    assert one.finished(single)["completed_at"] < last["completed_at"]
