"""A rolling restart of everything under load: each process in turn is told to end (SIGTERM), its
successor is waited for. Nothing accepted is lost, and a client that never tries again sees no
failure; one that keeps its connection may have to open it anew."""
import collections
import http.client
import json
import subprocess
import threading
import time

from client import (User, begin_sign_in, call_back, consent, fresh_email, http as http_call,
                    original_token, read_events)
from stack import slow, wait_until

pytest_plugins = ["shared_stacks"]

SERVICES = ("gateway", "broker", "auth", "jobs", "worker")
CALLS = (("POST", "/run", {"message": "hello"}), ("GET", "/me", None),
         ("GET", "/jobs?limit=1", None), ("GET", "/health", None))


class Client:
    """Calls without end, each on a connection of its own, or on one that is kept."""

    def __init__(self, stack, token, keep):
        self.address = stack.url.partition("//")[2]
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.keep, self.connection, self.used = keep, None, False
        self.count, self.reopened, self.accepted, self.failures = 0, 0, [], []

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection, self.used = None, False

    def exchange(self, method, path, body):
        if not self.connection:
            self.connection = http.client.HTTPConnection(self.address, timeout=30 * slow())
        self.connection.request(method, path, json.dumps(body) if body else None, self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        self.used = True
        if answer.will_close or not self.keep:
            self.close()
        return answer.status, text

    def call(self, method, path, body):
        self.count += 1
        was_used = self.used
        try:
            status, text = self.exchange(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if was_used:
                self.reopened += 1
                self.call(method, path, body)
            else:
                self.failures.append((method, path, repr(error)))
            return
        if status != 200:
            self.failures.append((method, path, status, text[:200]))
        elif path == "/run":
            self.accepted.append(json.loads(text)["job_id"])

    def once(self):
        for method, path, body in CALLS:
            self.call(method, path, body)


class SignIns:
    """The OAuth flow without end: its last step can't be repeated."""

    def __init__(self, stack):
        self.stack, self.count, self.failures = stack, 0, []

    def once(self):
        self.count += 1
        begun = begin_sign_in(self.stack, ["gmail_readonly"])
        answer = call_back(consent(begun["auth_url"], fresh_email()))
        if answer.status_code != 200:
            self.failures.append(("callback", answer.status_code, answer.text[:200]))
            return
        token = answer.json()["access_token"]
        status = User(self.stack, token).get("/auth/status")
        if status.status_code != 200:
            self.failures.append(("status", status.status_code, status.text[:200]))


class Follower:
    """Follows the events of one job after another, resuming where a stream ends."""

    def __init__(self, stack, token):
        self.user, self.count, self.failures = User(stack, token), 0, []

    def once(self):
        self.count += 1
        job_id, seen = self.user.run("hello"), []
        while not seen or seen[-1].data.get("status") != "completed":
            with self.user.stream(job_id, seen[-1].number if seen else None) as answer:
                if answer.status_code != 200:
                    self.failures.append(("events", answer.status_code))
                    return
                seen += read_events(answer)
        if [event.number for event in seen] != list(range(1, len(seen) + 1)):
            self.failures.append(("events", seen))


class Load:
    def __init__(self, stack):
        token = original_token(stack)
        self.clients = [Client(stack, token, keep) for keep in (False, False, False, True, True)]
        self.others = [*(SignIns(stack) for _ in range(3)),
                       Follower(stack, original_token(stack))]
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(one,))
                        for one in self.clients + self.others]
        for thread in self.threads:
            thread.start()

    def work(self, one):
        while not self.stopped.is_set():
            try:
                one.once()
            except Exception as error:  # pylint: disable=broad-except
                one.failures.append(repr(error))

    def end(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(60 * slow())

    def failures(self):
        return [failure for one in self.clients + self.others for failure in one.failures]

    def count(self):
        return sum(one.count for one in self.clients + self.others)


def is_there(stack, name, lines):
    """The successor: a gateway listens, a broker has all its peers, others are on the bus,
    whichever gateway is asked. `lines` of its log are its predecessor's."""
    service, log = name.split("-")[0], stack.log(name).splitlines()[lines:]
    answers = [http_call("GET", stack.url + "/health") for _ in range(8)]
    if service == "gateway":
        return any(" listening " in line for line in log)
    if service == "broker":
        return sum(" peer_joined " in line for line in log) >= 2 * (len(SERVICES) - 1)
    return all(answer.json()["dependencies"][service]["replicas"] == 2 for answer in answers)


def restart(stack, name):
    """Orderly; how long it took to end and to come back as a process."""
    old, begun = stack.pid(name), time.monotonic()
    lines = len(stack.log(name).splitlines())
    subprocess.run(["sv", "term", str(stack.run / "sv" / name)], check=True, capture_output=True)
    wait_until(lambda: stack.pid(name) not in (None, old), 30, f"{name} has a successor")
    took = time.monotonic() - begun
    wait_until(lambda: is_there(stack, name, lines), 20, f"{name} is there")
    return took


def test_a_rolling_restart_of_everything(wide_echo):
    wide_echo.wait_healthy()
    load, took = Load(wide_echo), {}
    try:
        wait_until(lambda: load.count() > 100, 20, "load")
        for service in SERVICES:
            for name in wide_echo.pids(service):
                before = load.count()
                took[name] = restart(wide_echo, name)
                wait_until(lambda before=before: load.count() > before + 50, 20, "load goes on")
    finally:
        load.end()
    accepted = [job_id for one in load.clients for job_id in one.accepted]
    wide_echo.wait_healthy()
    wait_until(lambda: not wide_echo.sql("SELECT 1 FROM job_queue LIMIT 1"), 30, "all have ended")
    ended = collections.Counter(dict(wide_echo.sql(
        "SELECT status, count(*) FROM job_records WHERE id = ANY(%s) GROUP BY 1", accepted)))
    print(f"calls: {load.count()}", f"accepted: {len(accepted)}",
          f"reopened: {sum(one.reopened for one in load.clients)}",
          *(f"{name}_s: {seconds:.2f}" for name, seconds in took.items()), sep="\n")
    assert not load.failures()
    assert ended == {"completed": len(accepted)}
    assert max(took.values()) < 15 * slow(), took
