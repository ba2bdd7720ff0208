"""What POST /run takes beside the message."""
import uuid

import pytest

from asking import post_run, use
from client import original_token, User

pytest_plugins = ["asking_stacks"]


@pytest.fixture
def user(asking):
    return User(asking, original_token(asking))


def tools_of(request):
    return {tool["function"]["name"] for tool in request.get("tools", [])}


def test_model_and_time_zone(user, asking):
    text = f"Say {uuid.uuid4().hex}"
    job = user.finished(post_run(user, text, model="gpt-other", time_zone="Asia/Tokyo"))
    assert job["status"] == "completed", job
    request = asking.recorder.of(text)[0]
    assert request["model"] == "gpt-other"
    assert "Asia/Tokyo" in request["messages"][0]["content"]


@pytest.mark.parametrize("allowed, offered", [
    (["tools__look", "tools__note"], {"tools__look", "tools__note"}),
    (["tools"], {"tools__look", "tools__note", "tools__send"}),
    ([], set()),
    (["elsewhere"], set()),
])
def test_tools(user, asking, allowed, offered):
    text = f"Say {uuid.uuid4().hex}"
    assert user.finished(post_run(user, text, tools=allowed))["status"] == "completed"
    assert tools_of(asking.recorder.of(text)[0]) == offered


@pytest.mark.parametrize("options", [{"max_turns": 1}, {"max_tokens": 1}])
def test_budgets(user, options):
    message, _ = use("look")
    job = user.finished(post_run(user, message, **options))
    assert job["status"] == "failed"
    assert job["error_message"].startswith("budget_exhausted: ")


def test_none_of_them(user):
    nothing = dict.fromkeys(("conversation_id", "model", "tools", "max_turns", "max_tokens",
                             "max_cost", "time_zone"))
    job = user.finished(post_run(user, "Say hello", **nothing, unknown=[1, 2]))
    assert job["status"] == "completed" and "conversation_id" not in job


def keyed(user, key, body):
    answer = user.post("/run", data=body, headers={"Idempotency-Key": key,
                                                   "Content-Type": "application/json"})
    return answer.status_code, answer.json().get("job_id")


def test_keys_cover_them(user):
    key, other = uuid.uuid4().hex, uuid.uuid4().hex
    first = keyed(user, key, '{"message": "Say hi", "max_turns": 3, "model": "m"}')
    assert first[0] == 200
    assert keyed(user, key, '{"model":"m","max_turns":3,"message":"Say hi","other":1}') == first
    for body in ('{"message": "Say hi"}', '{"message": "Say hi", "max_turns": 4, "model": "m"}',
                 '{"message": "Say hi", "max_turns": 3, "model": "m", "conversation_id": "c"}'):
        assert keyed(user, key, body)[0] == 409
    plain = keyed(user, other, '{"message": "Say hi"}')
    assert keyed(user, other, '{"message": "Say hi", "max_turns": null, "x": 1}') == plain


@pytest.mark.parametrize("name, value, kind", [
    ("conversation_id", 5, "string_type"),
    ("conversation_id", "", "string_too_short"),
    ("conversation_id", "x" * 129, "string_too_long"),
    ("conversation_id", "a\nb", "value_error"),
    ("conversation_id", "a\u0085b", "value_error"),
    ("model", ["m"], "string_type"),
    ("model", "m" * 129, "string_too_long"),
    ("tools", "google", "list_type"),
    ("tools", ["t"] * 129, "too_long"),
    ("max_turns", 0, "greater_than_equal"),
    ("max_turns", 1001, "less_than_equal"),
    ("max_turns", 1.5, "int_from_float"),
    ("max_turns", True, "int_type"),
    ("max_turns", "5", "int_type"),
    ("max_tokens", 0, "greater_than_equal"),
    ("max_tokens", -1, "greater_than_equal"),
    ("max_cost", 0, "greater_than"),
    ("max_cost", "1", "float_type"),
    ("time_zone", "", "string_too_short"),
    ("time_zone", "x" * 65, "string_too_long"),
])
def test_bad_values(user, name, value, kind):
    answer = user.post("/run", json={"message": "Say hello", name: value})
    assert answer.status_code == 422
    error = answer.json()["detail"][0]
    assert (error["loc"], error["type"]) == (["body", name], kind)
    assert isinstance(error["msg"], str)


@pytest.mark.parametrize("item", [7, "", "t" * 201])
def test_bad_tools(user, item):
    answer = user.post("/run", json={"message": "Say hello", "tools": ["good", item]})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "tools", 1]


def test_long_names_are_counted_in_characters(user):
    talk = "ü" * 128
    job = user.finished(post_run(user, "Say hello", conversation_id=talk))
    assert job["conversation_id"] == talk
