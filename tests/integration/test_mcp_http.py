"""Agents whose tools lie behind a url: servers of both eras that are strict, lose their sessions, die,
stream without an end or answer nonsense; and one from npm."""
import json
import os
import signal
import socket
import subprocess

import pytest

import npm_servers
from client import of_kind, read_events, sign_in
from http_servers import Server
from stack import Stack, wait_until

KEY = "a-key-that-nobody-sees"


class Everything:
    """server-everything over Streamable HTTP, on a port that it keeps when it is started again."""

    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/mcp"
        self.process = None
        self.start()

    def start(self):
        entry = npm_servers.server("server-everything", "streamableHttp")
        self.process = subprocess.Popen(
            [entry["command"], *entry["args"]], env=os.environ | {"PORT": str(self.port)},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def answers():
            assert self.process.poll() is None, "server-everything has ended"
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0
        wait_until(answers, 60, "server-everything listens")

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def servers():
    made = {"modern": Server(True, KEY), "old": Server(False, KEY)}
    yield made
    for one in made.values():
        one.close()


@pytest.fixture(scope="module")
def everything():
    one = Everything()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def url_stack(servers, everything, tmp_path_factory):
    config = tmp_path_factory.mktemp("http") / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {
        "modern": {"type": "http", "url": servers["modern"].url,
                   "headers": {"X-Key": "${MODERN_KEY}"}},
        "old": {"url": servers["old"].url, "headers": {"X-Key": "${MODERN_KEY}"}},
        "everything": {"type": "streamable-http", "url": everything.url},
        "nowhere": {"url": "http://127.0.0.1:1/mcp"}}}))
    one = Stack(env={"MCP_CONFIG": str(config), "MODERN_KEY": KEY, "JOB_MAX_ATTEMPTS": "1",
                     "JOB_TIMEOUT": "60"})
    yield one
    one.close()


@pytest.fixture
def user(url_stack):
    return sign_in(url_stack)


def use(user, tool, **arguments):
    """One call in a run of its own: its tool_result, and all events."""
    job_id = user.run(f"use tool {tool} with {json.dumps(arguments)}")
    user.finished(job_id, 90)
    events = user.events(job_id)
    answers = of_kind(events, "tool_result")
    assert len(answers) == 1, events
    return answers[0].data, events


def called(server, before):
    return server.calls[before:]


@pytest.mark.parametrize("era", ("modern", "old"))
def test_a_strict_server_has_nothing_to_complain_about(user, servers, era):
    server = servers[era]
    answer, _ = use(user, f"{era}__echo", text="hello", region="Zürich", level=-7)
    assert answer["is_error"] is False and answer["content"] == "hello"
    answer, events = use(user, f"{era}__slow", text="")
    assert answer["content"] == ("streamed" if era == "modern" else "resumed")
    progress = [event.data for event in of_kind(events, "progress") if "progress" in event.data]
    assert progress and progress[0]["total"] == 2
    wait_until(lambda: not server.sessions, 20, "the sessions are deleted")
    assert server.violations == []


def test_a_tool_with_illegal_headers_is_not_offered(user, servers):
    job_id = user.run('use tool modern__bad with {"a": []}')
    assert user.finished(job_id)["status"] == "completed"
    assert not of_kind(user.events(job_id), "tool_call"), "the model calls what it is offered"
    assert "bad" not in servers["modern"].calls


def test_a_lost_session_is_begun_again(user, servers):
    server = servers["old"]
    server.lose_next_call, calls, requests = True, len(server.calls), len(server.requests)
    answer, _ = use(user, "old__echo", text="again")
    assert answer["is_error"] is False and answer["content"] == "again"
    assert called(server, calls) == ["echo"]
    assert server.requests[requests:].count("initialize") == 2
    assert server.requests[requests:].count("tools/call") == 2


@pytest.mark.parametrize("era", ("modern", "old"))
@pytest.mark.parametrize("tool, said", (
    ("cut", "is unknown"), ("garbage", "is unknown"), ("huge", "too large"), ("leak", "HTTP 500"),
    ("complain", "bad key")))
def test_a_bad_answer_is_told_and_nothing_is_called_twice(user, servers, era, tool, said):
    server = servers[era]
    before = len(server.calls)
    answer, events = use(user, f"{era}__{tool}", text="")
    assert answer["is_error"] is True
    assert said in answer["content"]
    assert called(server, before) == [tool]
    assert KEY not in " ".join(event.text for event in events)


def test_cancelling_closes_an_endless_stream(user, servers):
    server = servers["modern"]
    before = len(server.calls)
    job_id = user.run('use tool modern__endless with {"text": ""}')
    wait_until(lambda: called(server, before) == ["endless"], 60, "the tool is called")
    assert user.cancel(job_id).json()["status"] == "cancelled"
    wait_until(lambda: not server.streaming, 30, "the stream is closed")


def test_a_server_that_cannot_be_reached(user):
    job_id = user.run('use tool nowhere__echo with {"text": ""}')
    job = user.finished(job_id, 60)
    assert job["status"] == "completed"
    told = " ".join(event.text for event in user.events(job_id))
    assert "The tool server nowhere is not available" in told


def test_no_secret_in_the_logs(user, url_stack, servers):
    use(user, "modern__echo", text="hello")
    assert servers["modern"].violations == []
    assert KEY not in url_stack.log()


def test_server_everything(user):
    answer, _ = use(user, "everything__get-sum", a=19, b=23)
    assert answer["is_error"] is False and "42" in answer["content"]
    answer, events = use(user, "everything__trigger-long-running-operation", duration=1, steps=2)
    assert answer["is_error"] is False
    assert [event for event in of_kind(events, "progress") if "progress" in event.data]


def test_a_server_that_dies_in_the_middle(user, everything):
    job_id = user.run("use tool everything__trigger-long-running-operation with "
                      '{"duration": 100, "steps": 1000}')
    with user.stream(job_id) as answer:
        assert any("progress" in event.data for event in read_events(answer)
                   if event.kind == "progress")
    everything.stop()
    everything.start()
    job = user.finished(job_id, 60)
    assert job["status"] == "completed"
    answer, = of_kind(user.events(job_id), "tool_result")
    assert answer.data["is_error"] is True and "is unknown" in answer.data["content"]
    answer, _ = use(user, "everything__echo", message="back")
    assert answer["is_error"] is False and "back" in answer["content"]
