"""Runs against aimock, a stand-in for OpenAI that others have made: streamed, and as Azure not
streamed. Each request that it was sent is held against OpenAI's rules."""
import pytest

from client import of_kind, sign_in
from model_servers import Aimock, problems
from stack import Stack

LABELS, MAIL = "google__gmail_list_labels", "google__gmail_list_messages"
USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
FIXTURES = [
    {"match": {"userMessage": "a plain word"},
     "response": {"content": "Grüße aus dem Fixture: " + "so many words " * 20, "usage": USAGE}},
    {"match": {"userMessage": "both tools", "hasToolResult": False},
     "response": {"toolCalls": [{"name": LABELS, "arguments": {}},
                                {"name": MAIL, "arguments": {"max_results": 2}}],
                  "usage": USAGE}},
    {"match": {"userMessage": "both tools", "hasToolResult": True},
     "response": {"content": "Both were asked.", "usage": USAGE}},
    {"match": {"userMessage": "text and tool", "hasToolResult": False},
     "response": {"content": "Let me look.", "toolCalls": [{"name": LABELS, "arguments": {}}]}},
    {"match": {"userMessage": "text and tool", "hasToolResult": True},
     "response": {"content": "Looked."}},
    {"match": {"userMessage": "no such tool", "hasToolResult": False},
     "response": {"toolCalls": [{"name": "google.invented tool", "arguments": "[1, 2]"}]}},
    {"match": {"userMessage": "no such tool", "hasToolResult": True},
     "response": {"content": "There is none."}},
    {"match": {"userMessage": "limited", "sequenceIndex": 0},
     "response": {"error": {"message": "Rate limited", "type": "rate_limit_error"},
                  "status": 429}},
    {"match": {"userMessage": "limited"}, "response": {"content": "Now it went."}},
    {"match": {"userMessage": "broken", "sequenceIndex": 0},
     "response": {"error": {"message": "Oh", "type": "server_error"}, "status": 500}},
    {"match": {"userMessage": "broken"}, "response": {"content": "Mended."}},
    {"match": {"userMessage": "cut short", "sequenceIndex": 0},
     "response": {"content": "a text that is cut in the middle " * 5}, "truncateAfterChunks": 3},
    {"match": {"userMessage": "cut short"}, "response": {"content": "All of it."}},
    {"match": {"userMessage": "slowly"},
     "response": {"content": "one word after the other"},
     "streamingProfile": {"ttft": 300, "tps": 20}},
    {"match": {"userMessage": "forbidden"},
     "response": {"error": {"message": "You may not.", "type": "invalid_request_error"},
                  "status": 400}},
    {"match": {"userMessage": "too much"},
     "response": {"content": "This text ends because", "finishReason": "length"}},
]


@pytest.fixture(scope="module")
def aimock(tmp_path_factory):
    one = Aimock(tmp_path_factory.mktemp("aimock"), FIXTURES)
    yield one
    one.close()


@pytest.fixture(scope="module")
def streamed(aimock):
    one = Stack(env={"OPENAI_BASE_URL": aimock.url + "/v1", "OPENAI_API_KEY": "sk-aimock",
                     "JOB_MAX_ATTEMPTS": "1"})
    yield one
    one.close()


@pytest.fixture(scope="module")
def azure(aimock):
    one = Stack(env={"OPENAI_BASE_URL": aimock.url, "OPENAI_API_KEY": "key-aimock",
                     "OPENAI_API_VERSION": "2024-10-21", "MODEL_STREAM": "off",
                     "JOB_MAX_ATTEMPTS": "1"})
    yield one
    one.close()


@pytest.fixture(params=["streamed", pytest.param("azure", marks=pytest.mark.slow)])
def user(request):
    """The same cases over either."""
    return sign_in(request.getfixturevalue(request.param))


@pytest.fixture
def stream_user(streamed):
    return sign_in(streamed)


def run(user, aimock, text):
    """The ended job, its events, and the requests that it took, which broke no rule."""
    before = len(aimock.requests_of(text))
    job_id = user.run(f"Please: {text}")
    job, events = user.finished(job_id, 90), user.events(job_id)
    requests = aimock.requests_of(text)[before:]
    for one in requests:
        assert problems(one) == [], one
    return job, events, requests


def test_an_answer(user, aimock):
    job, _, requests = run(user, aimock, "a plain word")
    assert job["status"] == "completed", job
    assert job["result"].strip().endswith("so many words")
    assert job["result"].startswith("Grüße")
    assert {key: job["token_usage"][key] for key in ("input_tokens", "output_tokens")} == {
        "input_tokens": 100, "output_tokens": 20}
    assert len(requests) == 1


def test_parallel_calls(user, aimock):
    job, events, requests = run(user, aimock, "both tools")
    assert (job["status"], job["result"]) == ("completed", "Both were asked.")
    assert [one.data["name"] for one in of_kind(events, "tool_result")] == [LABELS, MAIL]
    assert not any(one.data["is_error"] for one in of_kind(events, "tool_result"))
    assert job["token_usage"]["total_tokens"] == 240
    assert [one["role"] for one in requests[1]["messages"][-3:]] == ["assistant", "tool", "tool"]


def test_text_beside_a_call(user, aimock):
    job, events, _ = run(user, aimock, "text and tool")
    assert job["result"] == "Looked."
    assert "Let me look." in [one.data["text"] for one in of_kind(events, "message")]


def test_a_tool_that_is_not_there(user, aimock):
    """Its name and arguments can't be sent back as they came."""
    job, events, requests = run(user, aimock, "no such tool")
    assert (job["status"], job["result"]) == ("completed", "There is none.")
    assert of_kind(events, "tool_result")[0].data["is_error"]
    assert requests[1]["messages"][-2]["tool_calls"][0]["function"]["name"] == \
        "google_invented_tool"


@pytest.mark.parametrize("text, result", [("limited", "Now it went."), ("broken", "Mended.")])
def test_failures_pass(stream_user, aimock, text, result):
    job, _, requests = run(stream_user, aimock, text)
    assert (job["status"], job["result"]) == ("completed", result)
    assert len(requests) == 2


def test_a_cut_stream(stream_user, aimock):
    job, _, requests = run(stream_user, aimock, "cut short")
    assert (job["status"], job["result"]) == ("completed", "All of it.")
    assert len(requests) == 2


def test_a_slow_stream(stream_user, aimock):
    job, _, _ = run(stream_user, aimock, "slowly")
    assert job["result"] == "one word after the other"


def test_a_refused_request(user, aimock):
    job, _, requests = run(user, aimock, "forbidden")
    assert job["status"] == "failed" and "You may not." in job["error_message"]
    assert len(requests) == 1


def test_how_a_stream_is_asked_for(stream_user, aimock):
    run(stream_user, aimock, "a plain word")
    asked = aimock.journal()[-1]
    assert asked["path"] == "/v1/chat/completions" and "authorization" in asked["headers"]
    assert asked["body"]["stream"] and asked["body"]["stream_options"]["include_usage"]


@pytest.mark.slow
def test_how_azure_is_asked(azure, aimock):
    """The model is a deployment, in the path; the key has a header of its own."""
    run(sign_in(azure), aimock, "a plain word")
    asked = aimock.journal()[-1]
    assert asked["path"] == "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    assert "api-key" in asked["headers"] and "authorization" not in asked["headers"]
    assert not asked["body"]["stream"] and "stream_options" not in asked["body"]
