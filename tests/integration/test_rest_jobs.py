"""POST /run, GET /result, GET /jobs, cancelling."""
import re
import threading
import time
import uuid

import pytest

from client import JOB_KEYS, run_processes, sign_in
from stack import wait_until

pytest_plugins = ["shared_stacks"]

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@pytest.fixture
def user(wide_echo):
    return sign_in(wide_echo)


@pytest.fixture
def agent_user(wide_stack):
    return sign_in(wide_stack)


def check_shape(job, user):
    assert set(job) == JOB_KEYS
    assert job["user_id"] == user.id
    assert TIMESTAMP.fullmatch(job["created_at"])
    assert job["status"] in ("pending", "running", "completed", "failed", "cancelled")


def test_run(user):
    answer = user.post("/run", json={"message": "Ein Gruß, 日本語, 🙂"})
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"job_id", "status", "message"}
    assert body["status"] == "queued"
    assert body["message"] == "Task has been queued for processing"
    job = user.finished(body["job_id"])
    check_shape(job, user)
    assert job["job_id"] == body["job_id"]
    assert job["message"] == "Ein Gruß, 日本語, 🙂"
    assert job["status"] == "completed"
    assert job["result"] == "echo: Ein Gruß, 日本語, 🙂"
    assert job["error_message"] is None
    for name in ("created_at", "updated_at", "completed_at"):
        assert TIMESTAMP.fullmatch(job[name]), name
    assert job["created_at"] <= job["completed_at"]


def test_run_ignores_unknown_members(user):
    answer = user.post("/run", json={"message": "a", "priority": 7, "env_vars": {"A": "b"}})
    assert answer.status_code == 200


def test_largest_message(user):
    message = "x" * (256 * 1024)
    job = user.done(message)
    assert job["message"] == message


def test_job_ids_differ(user):
    assert len({user.run("same") for _ in range(20)}) == 20


def test_unknown_job(user):
    for job_id in (str(uuid.uuid4()), "nonsense", "x" * 200, "%00", "..%2f..%2fetc"):
        answer = user.get(f"/result/{job_id}")
        assert answer.status_code in ((404, 400) if job_id == "%00" else (404,)), job_id
        assert "detail" in answer.json()
    unknown = str(uuid.uuid4())
    assert user.get(f"/jobs/{unknown}/events").status_code == 404
    assert user.cancel(unknown).status_code == 404


def test_wait_answers_when_the_job_ends(agent_user):
    job_id = agent_user.run("[sandbox:slow=2] Say hello")
    begin = time.monotonic()
    job = agent_user.result(job_id, wait=60)
    assert job["status"] == "completed", job
    assert time.monotonic() - begin < 45, "it waited for longer than the job ran"


def test_wait_ends_without_the_job(agent_user):
    job_id = agent_user.run("[sandbox:slow=60] Say hello")
    begin = time.monotonic()
    job = agent_user.result(job_id, wait=1)
    assert time.monotonic() - begin >= 0.9
    assert job["status"] in ("pending", "running")
    agent_user.cancel(job_id)


def test_wait_for_an_ended_job(user):
    job = user.done("quick")
    begin = time.monotonic()
    assert user.result(job["job_id"], wait=60) == job
    assert time.monotonic() - begin < 30


def test_many_waiters_are_all_answered(user):
    job_ids = [user.run(f"job {n}") for n in range(10)]
    results = {}

    def wait(job_id):
        results[job_id] = user.result(job_id, wait=60)["status"]

    threads = [threading.Thread(target=wait, args=(job_id,)) for job_id in job_ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert results == {job_id: "completed" for job_id in job_ids}


@pytest.mark.parametrize("wait", ["-1", "61", "abc", "", "1e99", "nan"])
def test_bad_wait(user, wait):
    answer = user.get(f"/result/{uuid.uuid4()}?wait={wait}")
    assert answer.status_code == 422
    error = answer.json()["detail"][0]
    assert error["loc"] == ["query", "wait"]
    assert error["msg"] and error["type"]


def test_list(user):
    job_ids = [user.run(f"job {n}") for n in range(5)]
    for job_id in job_ids:
        user.finished(job_id)
    body = user.get("/jobs").json()
    assert set(body) == {"jobs", "total", "limit", "offset"}
    assert (body["total"], body["limit"], body["offset"]) == (5, 20, 0)
    assert [job["job_id"] for job in body["jobs"]] == job_ids[::-1]
    for job in body["jobs"]:
        check_shape(job, user)
    assert body["jobs"][0]["result"] == "echo: job 4"


def test_pages(user):
    job_ids = [user.run(f"job {n}") for n in range(7)][::-1]
    seen = []
    for offset in range(0, 9, 3):
        body = user.get(f"/jobs?limit=3&offset={offset}").json()
        assert (body["total"], body["limit"], body["offset"]) == (7, 3, offset)
        seen += [job["job_id"] for job in body["jobs"]]
    assert seen == job_ids
    assert user.get("/jobs?limit=100&offset=7").json()["jobs"] == []


@pytest.mark.parametrize("query, name", [
    ("limit=0", "limit"), ("limit=101", "limit"), ("limit=-1", "limit"), ("limit=x", "limit"),
    ("limit=99999999999999999999", "limit"), ("offset=-1", "offset"), ("offset=x", "offset"),
    ("status=finished", "status"),
])
def test_bad_page(user, query, name):
    answer = user.get("/jobs?" + query)
    assert answer.status_code == 422
    error = answer.json()["detail"][0]
    assert error["loc"] == ["query", name]
    assert error["msg"] and error["type"]


def test_list_by_status(agent_user):
    user = agent_user
    user.done("Say hello")
    slow = user.run("[sandbox:slow=60] Say hello")
    user.reach(slow, "running")
    for status, count in (("completed", 1), ("running", 1), ("failed", 0), ("cancelled", 0)):
        body = user.get(f"/jobs?status={status}").json()
        assert [job["status"] for job in body["jobs"]] == [status] * count
    user.cancel(slow)
    assert [job["job_id"] for job in user.get("/jobs?status=cancelled").json()["jobs"]] == [slow]
    assert user.get("/jobs").json()["total"] == 2


def test_same_key_same_job(user):
    key = uuid.uuid4().hex
    first = user.run("once", key)
    assert user.run("once", key) == first
    user.finished(first)
    assert user.run("once", key) == first
    assert user.get("/jobs").json()["total"] == 1
    assert user.run("once", uuid.uuid4().hex) != first


def test_same_key_at_once(user):
    key, job_ids = uuid.uuid4().hex, []
    begin = threading.Barrier(12)

    def submit():
        begin.wait()
        job_ids.append(user.run("at once", key))

    threads = [threading.Thread(target=submit) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(job_ids) == 12
    assert len(set(job_ids)) == 1
    assert user.get("/jobs").json()["total"] == 1


def test_same_key_other_message(user):
    key = uuid.uuid4().hex
    user.run("one thing", key)
    answer = user.post("/run", json={"message": "another"}, headers={"Idempotency-Key": key})
    assert answer.status_code == 409
    assert isinstance(answer.json()["detail"], str)
    assert user.get("/jobs").json()["total"] == 1


def test_keys_belong_to_a_user(user, wide_echo):
    other, key = sign_in(wide_echo), uuid.uuid4().hex
    assert user.run("mine", key) != other.run("mine", key)
    assert other.run("yours", key + "2") != user.run("mine", key + "2")


def test_cancel_an_ended_job(user):
    job = user.done("quick")
    answer = user.cancel(job["job_id"])
    assert answer.status_code == 200
    assert answer.json() == job
    assert user.result(job["job_id"]) == job


def test_cancel_a_queued_job(small_stack):
    user = sign_in(small_stack)
    first = user.run("[sandbox:slow=60] Say hello")
    user.reach(first, "running")
    second = user.run("Say hello")
    assert user.result(second)["status"] == "pending"
    answer = user.cancel(second)
    assert answer.status_code == 200
    check_shape(answer.json(), user)
    assert answer.json()["status"] == "cancelled"
    user.cancel(first)
    third = user.done("Say hello")
    assert third["status"] == "completed"
    job = user.result(second)
    assert job["status"] == "cancelled"
    assert job["result"] is None
    assert TIMESTAMP.fullmatch(job["completed_at"])
    events = user.events(second)
    assert [event.data["status"] for event in events] == ["pending", "cancelled"]


def test_cancel_a_running_job(agent_user, wide_stack):
    user = agent_user
    idle = run_processes(wide_stack)
    job_id = user.run("[sandbox:slow=60] Say hello")
    user.reach(job_id, "running")
    started = wait_until(lambda: run_processes(wide_stack) - idle, what="the run has a process")
    answer = user.cancel(job_id)
    assert answer.status_code == 200
    assert answer.json()["status"] == "cancelled"
    wait_until(lambda: not started & run_processes(wide_stack), 5, "the run's processes end")
    wait_until(lambda: run_processes(wide_stack) <= idle, 5, "no process is left")
    job = user.result(job_id)
    assert job["status"] == "cancelled"
    assert job["result"] is None
    assert user.events(job_id)[-1].data["status"] == "cancelled"
    assert user.cancel(job_id).json() == job


def test_cancelled_job_wakes_its_waiter(agent_user):
    user = agent_user
    job_id = user.run("[sandbox:slow=60] Say hello")
    user.reach(job_id, "running")
    found = []
    waiter = threading.Thread(target=lambda: found.append(user.result(job_id, wait=60)))
    waiter.start()
    user.cancel(job_id)
    waiter.join(45)
    assert found and found[0]["status"] == "cancelled"
