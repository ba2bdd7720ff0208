"""GET /jobs/{job_id}/events: numbered, live, resumable, ended by one terminal event."""
import re

import pytest

from client import ENDED, of_kind, read_events, sign_in

pytest_plugins = ["shared_stacks"]

KINDS = {"status", "tool_call", "tool_result", "message", "progress"}
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@pytest.fixture
def user(wide_stack):
    return sign_in(wide_stack)


@pytest.fixture
def ended(user):
    """A job that has ended, and its events."""
    job = user.done("List my recent emails")
    return job, user.events(job["job_id"])


def check_stream(events, first=1):
    assert [event.number for event in events] == list(range(first, first + len(events)))
    for event in events:
        assert event.kind in KINDS
        assert isinstance(event.data, dict)
        assert TIMESTAMP.fullmatch(event.data["timestamp"])
    terminal = [event for event in of_kind(events, "status") if event.data["status"] in ENDED]
    assert terminal == events[-1:], "one terminal event, the last"


def test_all_events_of_an_ended_job(ended):
    job, events = ended
    check_stream(events)
    assert [event.data["status"] for event in of_kind(events, "status")] == \
        ["pending", "running", "completed"]
    assert events[0].data["status"] == "pending"
    times = [event.data["timestamp"] for event in events]
    assert times == sorted(times)
    assert job["created_at"] <= times[0] and times[-1] >= job["completed_at"][:19]


def test_headers(user, ended):
    with user.stream(ended[0]["job_id"]) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert "no-cache" in answer.headers["Cache-Control"] \
            or "no-store" in answer.headers["Cache-Control"]
        assert answer.headers["X-Request-Id"]


def test_tool_events(ended):
    _, events = ended
    calls, results = of_kind(events, "tool_call"), of_kind(events, "tool_result")
    assert calls and len(calls) == len(results)
    assert calls[0].data["name"].endswith("gmail_list_messages")
    assert isinstance(calls[0].data["arguments"], dict)
    assert results[0].data["name"] == calls[0].data["name"]
    assert results[0].data["is_error"] is False
    assert calls[0].number < results[0].number
    assert of_kind(events, "message")[-1].data["text"]


def test_live(user):
    """Events come while the job runs, and the stream ends with it."""
    job_id = user.run("[sandbox:slow=60] Say hello")
    with user.stream(job_id) as answer:
        stream = read_events(answer)
        events = [next(stream)]
        while events[-1].data.get("status") != "running":
            events.append(next(stream))
        assert user.result(job_id)["status"] == "running"
        user.cancel(job_id)
        events += stream
    check_stream(events)
    assert events[-1].data["status"] == "cancelled"


def test_each_of_many_followers_gets_all(user):
    job_id = user.run("[sandbox:slow=1] List my recent emails")
    streams = [user.stream(job_id) for _ in range(8)]
    texts = {tuple((event.number, event.text) for event in read_events(one)) for one in streams}
    assert len(texts) == 1
    assert texts.pop() == tuple((event.number, event.text) for event in user.events(job_id))


def test_resume(user, ended):
    job, events = ended
    for after in range(len(events)):
        rest = user.events(job["job_id"], after)
        assert [(event.number, event.text) for event in rest] == \
            [(event.number, event.text) for event in events[after:]]


def test_resume_a_live_stream(user):
    job_id = user.run("[sandbox:slow=60] Say hello")
    user.reach(job_id, "running")
    with user.stream(job_id) as answer:
        first = next(read_events(answer))
    with user.stream(job_id, after=first.number) as answer:
        stream = read_events(answer)
        second = next(stream)
        user.cancel(job_id)
        check_stream([second, *stream], first=2)


def test_resume_behind_the_last(user, ended):
    job, events = ended
    for after in (events[-1].number, events[-1].number + 100):
        with user.stream(job["job_id"], after) as answer:
            assert answer.status_code == 204
            assert answer.content == b""


def test_resume_from_the_start(user, ended):
    job, events = ended
    assert len(user.events(job["job_id"], 0)) == len(events)


@pytest.mark.parametrize("after", ["abc", "-1", "1.5", "99999999999999999999999999"])
def test_strange_last_event_id(user, ended, after):
    with user.stream(ended[0]["job_id"], after) as answer:
        assert answer.status_code in (200, 204, 400, 422)


def test_events_of_a_failed_job(user):
    job_id = user.run("[sandbox:400] Say hello")
    job = user.finished(job_id)
    assert job["status"] == "failed"
    events = user.events(job_id)
    check_stream(events)
    assert events[-1].data["status"] == "failed"


def resolve(document, schema):
    while "$ref" in schema:
        node = document
        for part in schema["$ref"][2:].split("/"):
            node = node[part]
        schema = node
    return schema


def test_events_match_their_schemas(user, ended):
    """Each event has the members that a schema of the OpenAPI document requires, and no other."""
    document = user.get("/openapi.json").json()
    schemas = {re.sub("[^a-z]", "", name.lower()): resolve(document, schema)
               for name, schema in document["components"]["schemas"].items()}
    for event in ended[1]:
        kind = event.kind.replace("_", "")
        found = [schema for name, schema in schemas.items()
                 if name in (kind + "event", "event" + kind, kind + "data")]
        assert found, f"no schema for {event.kind}"
        assert set(found[0].get("required", [])) <= set(event.data), event
        assert set(event.data) <= set(found[0]["properties"]), event
