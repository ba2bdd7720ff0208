"""Tool calls that wait for their user's word: approved, denied, given up, and through restarts."""
import contextlib
import threading

import psycopg2
import pytest

from asking import approve, deny, post_run, use, waiting
from client import of_kind, original_token, sign_in, User
from stack import wait_until

pytest_plugins = ["asking_stacks"]


@pytest.fixture
def user(asking):
    return User(asking, original_token(asking))


def sql(stack, query, *args):
    with contextlib.closing(psycopg2.connect(stack.database_url)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(query, args)
        return cursor.fetchall() if cursor.description else []


def park(user, *tools):
    """(job id, the calls it waits with, the text that its tools are given)"""
    message, text = use(*tools)
    job_id = post_run(user, message)
    return job_id, waiting(user, job_id), text


def kinds(user, job_id):
    return [event.kind for event in user.events(job_id)]


def test_an_approved_call_is_made(user, asking):
    job_id, calls, text = park(user, "send")
    assert [(call["name"], call["server"], call["arguments"]) for call in calls] == [
        ("tools__send", "tools", {"text": text})]
    job = user.result(job_id)
    assert job["status"] == "running" and job["token_usage"]["total_tokens"] > 0
    assert sql(asking, "SELECT status FROM job_records WHERE id = %s", job_id) == [("running",)]
    assert sql(asking, "SELECT state, session FROM job_queue WHERE job_id = %s", job_id) == [
        (2, None)]
    assert asking.acts(text) == []
    answer = approve(user, job_id)
    assert answer.status_code == 200 and answer.json()["job_id"] == job_id
    assert "waiting_approval" not in answer.json()
    job = user.finished(job_id)
    assert job["status"] == "completed", job
    assert "waiting_approval" not in job
    assert asking.acts(text) == ["send"]
    events = user.events(job_id)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    order = [event.kind for event in events if event.kind not in ("status", "message", "progress")]
    assert order == ["waiting_approval", "approval", "tool_call", "tool_result"]
    assert of_kind(events, "waiting_approval")[0].data["calls"] == calls
    assert of_kind(events, "approval")[0].data["decision"] == "approve"
    # To wait is no failure: nothing of it is counted against the job.
    assert len(asking.recorder.of(text)) == 2


def test_a_denied_call_is_not_made(user, asking):
    job_id, _, text = park(user, "send")
    assert deny(user, job_id, reason="Not today, please").status_code == 200
    job = user.finished(job_id)
    assert job["status"] == "completed", job
    assert asking.acts(text) == []
    assert of_kind(user.events(job_id), "approval")[0].data["reason"] == "Not today, please"
    told = [message for message in asking.recorder.of(text)[-1]["messages"]
            if message["role"] == "tool"]
    assert len(told) == 1 and "Not today, please" in told[0]["content"]


def test_some_of_the_calls_are_approved(user, asking):
    message, text = use("send", "look", "send")
    message += f' and use tool send with {{"text": "{text} too"}}'
    job_id = post_run(user, message)
    calls = waiting(user, job_id)
    assert {call["name"] for call in calls} == {"tools__send"}
    last = calls[-1]["id"]
    assert approve(user, job_id, call_ids=["nobody's"]).status_code == 422
    assert approve(user, job_id, call_ids=[last, "nobody's"]).status_code == 422
    assert user.result(job_id)["waiting_approval"] == calls
    assert approve(user, job_id, call_ids=[last]).status_code == 200
    assert user.finished(job_id)["status"] == "completed"
    assert asking.acts(text) == ["look"]
    assert asking.acts(f"{text} too") == ["send"]


def test_what_is_harmless_does_not_wait(user, asking):
    message, text = use("look", "note")
    job = user.finished(post_run(user, message))
    assert job["status"] == "completed", job
    assert sorted(asking.acts(text)) == ["look", "note"]


@pytest.mark.parametrize("word", ["approve", "deny"])
@pytest.mark.parametrize("body, loc", [
    ('{"call_ids": [], "reason": ""}', None),
    ('{"call_ids": "all", "reason": 3}', None),
    ('{"call_ids": [7], "reason": {}}', None),
    ('[1]', ["body"]),
    ('{', None),
])
def test_bodies_are_checked(user, word, body, loc):
    answer = user.post(f"/jobs/none/{word}", data=body,
                       headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    error = answer.json()["detail"][0]
    assert set(error) >= {"loc", "msg", "type"} and error["loc"][0] == "body"
    assert loc is None or error["loc"] == loc


def test_who_may_decide_and_when(user, asking):
    stranger = User(asking, original_token(asking))
    job_id, _, text = park(user, "send")
    for decide in (approve, deny):
        assert decide(stranger, job_id).status_code == 404
        assert decide(user, "no-such-job").status_code == 404
    assert user.call("POST", f"/jobs/{job_id}/approve",
                     headers={"Authorization": "Bearer x"}).status_code == 401
    assert approve(user, job_id).status_code == 200
    for decide in (approve, deny):
        answer = decide(user, job_id)
        assert answer.status_code == 409
        assert answer.json()["detail"] == "The job does not wait for approval"
    user.finished(job_id)
    assert approve(user, job_id).status_code == 409
    assert asking.acts(text) == ["send"]
    assert kinds(user, job_id).count("approval") == 1


def test_a_waiting_job_is_cancelled(user, asking):
    job_id, _, text = park(user, "send")
    job = user.cancel(job_id).json()
    assert job["status"] == "cancelled" and "waiting_approval" not in job
    assert job["token_usage"]["total_tokens"] > 0
    assert len(job["token_usage"]) == 3
    assert approve(user, job_id).status_code == 409
    assert kinds(user, job_id)[-2:] == ["waiting_approval", "status"]
    assert asking.acts(text) == []


def test_two_who_decide_and_one_who_cancels(user, asking):
    """Whatever came first counts, and only that."""
    for _ in range(4):
        job_id, _, text = park(user, "send")
        answers = {}

        def act(name, function, job=job_id, into=answers):
            into[name] = function(user, job).status_code

        threads = [threading.Thread(target=act, args=one) for one in (
            ("approve", approve), ("deny", deny), ("cancel", lambda who, job: who.cancel(job)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        job = user.finished(job_id)
        assert answers["cancel"] == 200
        assert sorted((answers["approve"], answers["deny"])) in ([200, 409], [409, 409])
        assert kinds(user, job_id).count("approval") == list(answers.values()).count(200) - 1
        assert job["status"] in ("completed", "cancelled")
        if answers["approve"] != 200:
            assert asking.acts(text) == []


def test_lists_tell_who_waits(user):
    job_id, calls, _ = park(user, "send")
    for query in ("", "?status=running"):
        listed = user.get("/jobs" + query).json()["jobs"][0]
        assert listed["job_id"] == job_id and listed["waiting_approval"] == calls
    assert user.get("/jobs?status=pending").json()["jobs"] == []
    assert deny(user, job_id).status_code == 200
    user.finished(job_id)
    assert "waiting_approval" not in user.get("/jobs").json()["jobs"][0]


def test_nobody_answers(user, asking):
    job_id, calls, text = park(user, "send")
    sql(asking, "UPDATE job_queue SET deadline = now() - interval '1 second' WHERE job_id = %s",
        job_id)
    assert approve(user, job_id).status_code == 409
    assert approve(user, job_id, call_ids=[calls[0]["id"]]).status_code == 409
    job = user.finished(job_id)
    assert job["status"] == "failed"
    assert job["error_message"] == "Nobody approved or denied the tool calls in time."
    assert job["token_usage"]["total_tokens"] > 0
    assert approve(user, job_id).status_code == 409
    assert asking.acts(text) == []


def test_the_time_to_answer_is_a_setting(user, asking):
    job_id, _, _ = park(user, "send")
    left = sql(asking, "SELECT extract(epoch FROM deadline - claimed_at)::int FROM job_queue"
                       " WHERE job_id = %s", job_id)[0][0]
    assert 86400 <= left < 86400 + 600
    user.cancel(job_id)


def test_a_user_who_leaves_is_forgotten(asking):
    user = sign_in(asking)
    job_id, _, _ = park(user, "send")
    assert user.delete("/me").status_code == 200
    for table, column in (("job_queue", "job_id"), ("job_data", "id"), ("job_events", "job_id")):
        assert sql(asking, f"SELECT FROM {table} WHERE {column} = %s", job_id) == []


def test_a_waiting_job_takes_no_slot(user, asking):
    """Both workers are idle while it waits."""
    job_id, _, _ = park(user, "send")
    held = sql(asking, "SELECT count(*) FROM job_queue q JOIN worker_sessions w USING (session)"
                       " WHERE q.job_id = %s", job_id)
    assert held == [(0,)]
    user.cancel(job_id)


def test_everything_restarts_while_a_job_waits(user, asking):
    job_id, calls, text = park(user, "send")
    for service in ("worker", "jobs", "gateway", "broker"):
        for name, pid in asking.pids(service).items():
            number = int(name.rsplit("-", 1)[1])
            asking.kill(service, number)
            wait_until(lambda n=name, p=pid: asking.pid(n) not in (None, p), 20, f"{name} is back")
    asking.wait_healthy()
    assert user.result(job_id)["waiting_approval"] == calls
    decided = wait_until(lambda: approve(user, job_id).status_code in (200, 409), 30, "a decision")
    assert decided
    job = user.finished(job_id)
    assert job["status"] == "completed", job
    assert asking.acts(text) == ["send"]
    assert kinds(user, job_id).count("approval") == 1
