"""The clients of clients/, against a real stack: what a user of them does, and what they promise when
connections are lost. Their types are those of the OpenAPI document."""
import http.server
import io
import json
import shutil
import subprocess
import sys
import threading
from urllib.parse import parse_qs, urlsplit

import pytest

import npm_servers
from asking import use
from client import fresh_email, sign_in
from stack import ROOT, slow, wait_until

sys.path.insert(0, str(ROOT / "clients" / "python"))

from mcpbus_client import Client, McpbusError, has_ended  # noqa: E402
from mcpbus_client.sse import read_events  # noqa: E402

pytest_plugins = ["asking_stacks", "shared_stacks"]

PLAIN = "say hello"


@pytest.mark.skipif(slow() > 1, reason="the same under any build")
def test_they_are_up_to_date():
    done = subprocess.run([sys.executable, ROOT / "clients" / "generate.py", "--check",
                           "--typescript"], capture_output=True, text=True, check=False,
                          timeout=120 * slow())
    assert done.returncode == 0, done.stderr


# TypeScript

@pytest.fixture(scope="module")
def check_program(tmp_path_factory):
    """The client and client_check.ts, compiled as strictly as tsconfig.json says."""
    folder = tmp_path_factory.mktemp("typescript") / "client"
    shutil.copytree(ROOT / "clients" / "typescript", folder,
                    ignore=shutil.ignore_patterns("node_modules", "dist"))
    shutil.copy(ROOT / "tests" / "fixtures" / "client_check.ts", folder / "src")
    modules = npm_servers.installed() / "node_modules"
    (folder / "node_modules").symlink_to(modules)
    done = subprocess.run([npm_servers.node(), modules / "typescript" / "bin" / "tsc", "-p", folder],
                          capture_output=True, text=True, check=False, timeout=120 * slow())
    assert done.returncode == 0, done.stdout
    return folder / "dist" / "client_check.js"


def test_typescript(check_program, asking):
    email = fresh_email()
    user = sign_in(asking, email)
    message, text = use("send")
    done = subprocess.run([npm_servers.node(), check_program, asking.url, user.token, PLAIN, message],
                          capture_output=True, text=True, check=False, timeout=120 * slow())
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(map(json.loads, done.stdout.splitlines()))
    events = said.pop("events")
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["data"]["status"] == "pending" and events[-1]["data"]["status"] == "completed"
    job = said.pop("job")
    assert job[0] == "completed" and job[1] and job[2:] == [True, True]
    resumed = said.pop("resumed")
    assert resumed == list(range(1, len(resumed) + 1)) and len(resumed) >= 4
    assert said.pop("partial") == [
        [["?partial=true", None], ["?partial=true", "1"]],
        [[0, 0, "Hel"], 1, [1, 1, "l"], [1, 0, "Hello"], 2, 3]]
    assert said.pop("invalid")[:3] == [422, "object", True]
    for name, status in (("conflict", 409), ("late", 409), ("unknown", 404), ("stranger", 401),
                         ("after", 401)):
        refusal = said.pop(name)
        assert refusal[:3] == [status, "string", True], refusal
        assert refusal[3].startswith(f"{status}: ")
    assert said.pop("cancelled") in (True, "asked")
    assert said == {
        "scopes": 10, "sign_in": "offline", "email": email, "login": 86400, "same": True, "rest": 1,
        "nothing": 0, "jobs": [True], "calls": True, "approved": "completed",
        "denied": ["deny", "not today"], "ended": "cancelled", "aborted": "enough",
        "typed": "healthy"}
    assert asking.acts(text) == ["send"]


# Python

@pytest.fixture
def bus(asking):
    return Client(asking.url + "/", sign_in(asking).token)


def refusal(call):
    try:
        call()
    except McpbusError as error:
        return error
    return None


def test_python_signs_in(asking):
    email = fresh_email()
    token = sign_in(asking, email).token
    bus = Client(asking.url, lambda: token)
    assert len(bus.scopes()) == 10
    assert parse_qs(urlsplit(bus.begin_sign_in(["drive"])["auth_url"]).query)["scope"]
    assert bus.me()["email"] == email
    assert Client(asking.url, bus.login()["access_token"]).me()["email"] == email
    bus.logout()
    refused = wait_until(lambda: refusal(bus.me), 5, "the token no longer works")
    assert refused.status == 401 and refused.request_id and "401" in str(refused)


def test_python_runs(bus):
    job_id = bus.run(PLAIN, key="the same")
    assert bus.run(PLAIN, key="the same") == job_id
    with pytest.raises(McpbusError) as refused:
        bus.run("another", key="the same")
    assert refused.value.status == 409
    events = list(bus.events(job_id))
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    assert events[-1].data["status"] == "completed"
    assert len(list(bus.events(job_id, after=len(events) - 1))) == 1
    assert not list(bus.events(job_id, after=len(events)))
    job = bus.wait(job_id)
    assert job["status"] == "completed" and job["result"] and job["token_usage"]["total_tokens"] > 0
    assert [each["job_id"] for each in bus.jobs(limit=1, status="completed")["jobs"]] == [job_id]
    assert bus.call("GET", "/health")["status"] == "healthy"


def test_python_reads_what_is_being_written(wide_stack):
    """By the sandbox, which says half of its answer and then nothing more. What has no number goes
    by the one before, behind which the stream goes on."""
    user = sign_in(wide_stack)
    bus = Client(wide_stack.url, user.token)
    job_id = bus.run("[sandbox:stall] " + "say these words again, please, and some more " * 6)
    number, written = 0, []
    for event in bus.events(job_id, partial=True):
        if event.type == "partial":
            assert event.id == number
            if not written:
                bus.cancel(job_id)
            written.append(event.data)
            continue
        number += 1
        assert event.id == number
    assert written[0]["part"] == 0 and written[0]["text"]
    assert "partial" not in [event.type for event in bus.events(job_id)]


def test_python_asks(bus, asking):
    message, text = use("send")
    job_id = bus.run(message, max_turns=5)
    for event in bus.events(job_id):
        if event.type == "waiting_approval":
            bus.approve(job_id, [call["id"] for call in event.data["calls"]])
    assert bus.job(job_id)["status"] == "completed"
    assert asking.acts(text) == ["send"]
    other = bus.run(message)
    words = []
    for event in bus.events(other):
        if event.type == "waiting_approval":
            bus.deny(other, "not today")
        elif event.type == "approval":
            words.append((event.data["decision"], event.data["reason"]))
    assert words == [("deny", "not today")]
    assert asking.acts(text) == ["send"]


def test_python_ends(bus):
    job_id = bus.run("[sandbox:slow=60] Say hello")
    with pytest.raises(TimeoutError):
        bus.wait(job_id, 0.1)
    for event in bus.events(job_id):
        if event.data.get("status") == "running":
            bus.cancel(job_id)
    assert has_ended(bus.job(job_id)["status"])
    for call, status, kind in ((lambda: bus.job("no/such job"), 404, str),
                               (lambda: bus.run(""), 422, list)):
        with pytest.raises(McpbusError) as refused:
            call()
        assert refused.value.status == status and isinstance(refused.value.detail, kind)


class Cut:
    """A stream that breaks after so many lines."""

    def __init__(self, stream, lines):
        self.stream, self.left = stream, lines
        self.status = stream.status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()

    def readline(self, limit):
        self.left -= 1
        if self.left < 0:
            raise ConnectionResetError("cut")
        return self.stream.readline(limit)


class LossyClient(Client):
    """Every second call is lost, after it was made; each stream is cut."""

    calls = 0

    def _once(self, method, path, body, headers):
        answer = super()._once(method, path, body, headers)
        self.calls += 1
        if self.calls % 2:
            answer.close()
            raise ConnectionResetError("lost")
        return Cut(answer, 6) if "/events" in path else answer


def test_python_loses_connections(asking):
    user = sign_in(asking)
    bus = LossyClient(asking.url, user.token)
    job_id = bus.run(PLAIN)
    numbers = [event.id for event in bus.events(job_id)]
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 4
    assert bus.wait(job_id)["status"] == "completed"
    assert user.get("/jobs").json()["total"] == 1, "a repeated submit started a second job"
    assert bus.calls > 6
    with pytest.raises(ConnectionResetError):
        bus.cancel(job_id)
        bus.cancel(job_id)


class Short(http.server.BaseHTTPRequestHandler):
    """The first answer is cut off in the middle."""

    keys = []

    def do_POST(self):
        self.keys.append(self.headers["Idempotency-Key"])
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"job_id": "one"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:5] if len(self.keys) == 1 else body)

    def log_message(self, *_):
        pass


def test_python_takes_no_half_answer():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Short)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert Client(f"http://127.0.0.1:{server.server_address[1]}").run(PLAIN) == "one"
    finally:
        server.shutdown()
        server.server_close()
    assert len(Short.keys) == 2 and len(set(Short.keys)) == 1


def test_python_bounds_an_event():
    lines = b"".join(b"data: " + b"x" * (1 << 20) + b"\n" for _ in range(9))
    with pytest.raises(ValueError):
        list(read_events(io.BytesIO(lines)))
    assert len(list(read_events(io.BytesIO(lines.replace(b"\n", b"\n\n"))))) == 9
