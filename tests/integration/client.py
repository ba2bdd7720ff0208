"""What a client of mcpbus does, for the tests: sign in, call, wait, follow events."""
import json
import os
import time
import uuid
from urllib.parse import quote

import jwt
import requests

import api_document
from stack import ENDED, slow

SCOPE_PREFIX = "https://www.googleapis.com/auth/"
JOB_KEYS = {
    "job_id", "user_id", "message", "status", "result", "error_message", "token_usage",
    "created_at", "updated_at", "completed_at",
}


def http(method, url, **arguments):
    """A connection of its own, with no proxy of the environment's."""
    arguments.setdefault("timeout", 75)
    with requests.Session() as session:
        session.trust_env = False
        session.hooks["response"].append(api_document.look)
        return session.request(method, url, **arguments)


def jwt_secret(stack):
    return getattr(stack, "environ", {}).get("JWT_SECRET") \
        or (stack.run / "secrets" / "JWT_SECRET").read_text().strip()


def fresh_email(name="user"):
    return f"{name}-{uuid.uuid4().hex[:10]}@example.com"


def begin_sign_in(stack, scopes):
    answer = http("POST", stack.url + "/auth/scopes", json={"scopes": scopes})
    assert answer.status_code == 200, answer.text
    return answer.json()


def consent(auth_url, email, deny=(), decision="allow"):
    """Where the provider sends the browser back to."""
    url = f"{auth_url}&sandbox_auto={decision}&login_hint={quote(email)}"
    if deny:
        url += "&sandbox_deny=" + quote(" ".join(deny))
    answer = http("GET", url, allow_redirects=False)
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"]


def call_back(url):
    return http("GET", url, headers={"Accept": "application/json"})


def sign_in(stack, email=None, scopes=("gmail_readonly",), deny=()):
    """A User of that account."""
    begun = begin_sign_in(stack, list(scopes))
    answer = call_back(consent(begun["auth_url"], email or fresh_email(), deny))
    assert answer.status_code == 200, answer.text
    return User(stack, answer.json()["access_token"])


def original_token(stack, seconds=86400, **claims):
    """A token as the original made them: five claims, no iat."""
    body = {"id": f"user-{uuid.uuid4().hex}", "email": "old@example.com", "name": "Old User",
            "picture": "https://example.com/old.png", "exp": int(time.time()) + seconds}
    body.update(claims)
    body = {name: value for name, value in body.items() if value is not None}
    return jwt.encode(body, jwt_secret(stack), algorithm="HS256")


class User:
    """Someone with a token. Each call is a connection of its own, so that calls spread over the
    gateways."""

    def __init__(self, stack, token):
        self.stack = stack
        self.token = token
        self.claims = jwt.decode(token, options={"verify_signature": False})
        self.id = self.claims["id"]
        self.email = self.claims["email"]

    def call(self, method, path, headers=None, **arguments):
        return http(
            method, self.stack.url + path,
            headers={"Authorization": f"Bearer {self.token}", **(headers or {})}, **arguments)

    def get(self, path, **arguments):
        return self.call("GET", path, **arguments)

    def post(self, path, **arguments):
        return self.call("POST", path, **arguments)

    def delete(self, path, **arguments):
        return self.call("DELETE", path, **arguments)

    def run(self, message, key=None):
        """Submits; the job's id."""
        headers = {"Idempotency-Key": key} if key else {}
        answer = self.post("/run", json={"message": message}, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["job_id"]

    def result(self, job_id, wait=None):
        query = "" if wait is None else f"?wait={wait}"
        answer = self.get(f"/result/{job_id}{query}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def finished(self, job_id, seconds=60):
        """The job once it has ended."""
        end = time.monotonic() + seconds * slow()
        while True:
            job = self.result(job_id, wait=10)
            if job["status"] in ENDED:
                return job
            assert time.monotonic() < end, f"the job is still {job['status']}"

    def done(self, message, seconds=60):
        """Submits, and gives the job once it has completed."""
        job = self.finished(self.run(message), seconds)
        assert job["status"] == "completed", job
        return job

    def reach(self, job_id, status, seconds=30):
        """Asks ten times a second, which is within every limit."""
        end = time.monotonic() + seconds * slow()
        while self.result(job_id)["status"] != status:
            assert time.monotonic() < end, f"the job is not {status}"
            time.sleep(0.1)

    def cancel(self, job_id):
        return self.post(f"/jobs/{job_id}/cancel")

    def stream(self, job_id, after=None):
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        return self.get(f"/jobs/{job_id}/events", headers=headers, stream=True)

    def events(self, job_id, after=None):
        """All of a job's events; returns when it has ended."""
        with self.stream(job_id, after) as answer:
            assert answer.status_code == 200, answer.text
            return list(read_events(answer))


class Event:
    def __init__(self, number, kind, data, has_id=True):
        self.number = number
        self.has_id = has_id
        self.kind = kind
        self.text = data
        self.data = json.loads(data)

    def __repr__(self):
        return f"<{self.number} {self.kind} {self.text[:200]}>"


def read_events(answer):
    """Events of a text/event-stream, as the HTML standard parses it."""
    number, kind, data, has_id = 0, "message", [], False
    for line in answer.iter_lines(chunk_size=1, decode_unicode=False):
        line = line.decode("utf-8")
        field, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if not line and data:
            event = Event(int(number), kind, "\n".join(data), has_id)
            api_document.check_event(answer.url, kind, event.data)
            yield event
        if not line:
            kind, data, has_id = "message", [], False
        elif field == "id":
            number, has_id = value, True
        elif field == "event":
            kind = value
        elif field == "data":
            data.append(value)


def of_kind(events, kind):
    return [event for event in events if event.kind == kind]


def children_of(*roots):
    """Pids of all descendants, zombies aside."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] not in "ZX":
                parents[int(entry)] = int(fields[1])
    found, grew = set(roots), True
    while grew:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        grew = bool(more)
        found |= more
    return found - set(roots)


def run_processes(stack):
    """What the workers have started, the runs among them."""
    return children_of(*stack.pids("worker").values())


def short(value):
    """Ids of parameters that a terminal can show."""
    text = value.decode("latin-1") if isinstance(value, bytes) else repr(value)
    return text.encode("unicode_escape").decode()[:24]
