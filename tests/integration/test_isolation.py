"""Two users: neither sees, changes or notices what is the other's."""
import uuid

import pytest

from client import User, original_token, sign_in

pytest_plugins = ["shared_stacks"]


@pytest.fixture
def both(wide_echo):
    return sign_in(wide_echo), sign_in(wide_echo)


def test_ids_differ(both):
    assert both[0].id != both[1].id


def test_result(both):
    owner, other = both
    job = owner.done("private")
    answer = other.get(f"/result/{job['job_id']}")
    unknown = other.get(f"/result/{uuid.uuid4()}")
    assert answer.status_code == unknown.status_code == 404
    assert answer.json() == unknown.json(), "it tells that the job exists"
    assert other.get(f"/result/{job['job_id']}?wait=1").status_code == 404


def test_events(both):
    owner, other = both
    job = owner.done("private")
    for headers in ({}, {"Last-Event-ID": "1"}, {"Last-Event-ID": "999"}):
        answer = other.get(f"/jobs/{job['job_id']}/events", headers=headers)
        assert answer.status_code == 404
        assert "private" not in answer.text


def test_cancel(wide_stack):
    owner, other = sign_in(wide_stack), sign_in(wide_stack)
    job_id = owner.run("[sandbox:slow=60] Say hello")
    owner.reach(job_id, "running")
    assert other.cancel(job_id).status_code == 404
    assert owner.result(job_id)["status"] == "running"
    assert owner.cancel(job_id).json()["status"] == "cancelled"


def test_list(both):
    owner, other = both
    owner.done("private")
    body = other.get("/jobs").json()
    assert body["jobs"] == []
    assert body["total"] == 0
    assert other.get("/jobs?status=completed").json()["jobs"] == []


def test_a_user_named_in_the_request_is_ignored(both):
    owner, other = both
    job = owner.done("private")
    for suffix in (f"?user_id={owner.id}", f"?id={owner.id}"):
        assert other.get(f"/result/{job['job_id']}{suffix}").status_code == 404
        assert other.get(f"/jobs{suffix}").json()["total"] == 0
    answer = other.post("/run", json={"message": "mine", "user_id": owner.id})
    assert other.finished(answer.json()["job_id"])["user_id"] == other.id
    assert owner.get("/jobs").json()["total"] == 1


def test_same_email_other_id(wide_echo):
    """It is the id that counts."""
    owner = sign_in(wide_echo)
    job = owner.done("private")
    other = User(wide_echo, original_token(wide_echo, email=owner.email))
    assert other.get(f"/result/{job['job_id']}").status_code == 404


def test_ids_are_compared_as_they_are(wide_echo):
    owner = User(wide_echo, original_token(wide_echo))
    job = owner.done("private")
    for alike in (owner.id.upper(), owner.id + " ", owner.id + "%", owner.id[:-1] + "_", "%"):
        other = User(wide_echo, original_token(wide_echo, id=alike))
        assert other.get(f"/result/{job['job_id']}").status_code in (401, 404), alike


def test_each_run_gets_its_own_mail(wide_stack):
    """Two at once, each with its own Google access."""
    users = [sign_in(wide_stack) for _ in range(2)]
    jobs = [user.run("List my recent emails") for user in users]
    results = [user.finished(job_id) for user, job_id in zip(users, jobs)]
    assert [job["status"] for job in results] == ["completed"] * 2
    contents = ["".join(event.text for event in user.events(job_id)
                        if event.kind == "tool_result") for user, job_id in zip(users, jobs)]
    for (user, other), content in zip((users, users[::-1]), contents):
        assert user.email in content
        assert other.email not in content


def test_forgetting_one_leaves_the_other(both):
    gone, stays = both
    gone.done("gone")
    job = stays.done("stays")
    assert gone.delete("/me").status_code == 200
    assert stays.result(job["job_id"]) == job
    assert stays.get("/me").status_code == 200
