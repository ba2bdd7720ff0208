"""Jobs of one conversation: the completed ones are the next one's history."""
import uuid

import pytest

from asking import post_run, use
from client import original_token, User

pytest_plugins = ["asking_stacks"]


@pytest.fixture
def user(asking):
    return User(asking, original_token(asking))


def name():
    return f"talk {uuid.uuid4().hex[:12]} ✓"


def say(user, text, conversation):
    job = user.finished(post_run(user, text, conversation_id=conversation))
    assert job["conversation_id"] == conversation
    return job


def history(asking, text):
    """What the model was told before this message."""
    messages = asking.recorder.of(text)[0]["messages"]
    return [(message["role"], message["content"]) for message in messages[:-1]
            if message["role"] != "system"]


def test_earlier_turns_are_history(user, asking):
    talk = name()
    first = say(user, f"Say hello to {talk}", talk)
    second = say(user, f"Say goodbye to {talk}", talk)
    say(user, f"Say more to {talk}", talk)
    assert history(asking, f"Say hello to {talk}") == []
    assert history(asking, f"Say more to {talk}") == [
        ("user", f"Say hello to {talk}"), ("assistant", first["result"]),
        ("user", f"Say goodbye to {talk}"), ("assistant", second["result"])]


def test_only_completed_turns_count(user, asking):
    talk = name()
    failed = user.finished(post_run(user, f"[sandbox:400] no {talk}", conversation_id=talk))
    assert failed["status"] == "failed"
    message, _ = use("send")
    cancelled = post_run(user, message, conversation_id=talk)
    user.cancel(cancelled)
    say(user, f"Say yes to {talk}", talk)
    assert history(asking, f"Say yes to {talk}") == []


def test_conversations_are_a_user_s_own(user, asking):
    talk, other = name(), User(asking, original_token(asking))
    say(user, f"Say secret of {talk}", talk)
    say(other, f"Say what of {talk}", talk)
    say(user, f"Say else of {talk}", name())
    assert history(asking, f"Say what of {talk}") == []
    assert history(asking, f"Say else of {talk}") == []
    assert other.get("/jobs", params={"conversation_id": talk}).json()["total"] == 1


def test_a_conversation_is_listed(user):
    talk = name()
    ids = [say(user, f"Say {n} to {talk}", talk)["job_id"] for n in range(3)]
    post_run(user, "Say hello")
    page = user.get("/jobs", params={"conversation_id": talk, "limit": 2}).json()
    assert page["total"] == 3
    assert [job["job_id"] for job in page["jobs"]] == ids[:0:-1]
    assert {job["conversation_id"] for job in page["jobs"]} == {talk}
    rest = user.get("/jobs", params={"conversation_id": talk, "limit": 2, "offset": 2}).json()
    assert [job["job_id"] for job in rest["jobs"]] == ids[:1]
    assert user.get("/jobs", params={"conversation_id": name()}).json()["jobs"] == []
    assert "conversation_id" not in user.get("/jobs").json()["jobs"][0]


@pytest.mark.parametrize("params", [
    {"conversation_id": ""}, {"conversation_id": "x" * 600},
    {"conversation_id": "talk", "status": "running"}])
def test_bad_queries(user, params):
    answer = user.get("/jobs", params=params)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "conversation_id"]
