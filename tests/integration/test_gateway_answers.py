"""What a gateway makes of the answers of a jobs service that is not ours: of other forms, and
wrong ones. A client gets its own job or an error, never what was not meant for it."""
import base64
import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import subprocess
import threading
import time

import pytest
import requests

from bus_peer import FINAL, HEADER, HELLO, OK, PING, PONG, REQUEST, Message, Peer
from pg_cluster import free_port
from stack import ROOT, wait_until

BIN = pathlib.Path(os.environ.get("MCPBUS_BIN") or ROOT / "build" / "bin")
SECRET = "a secret of this test alone, long enough"
MESSAGE = "of the user"


class Service(Peer):
    """Plays a service: `answers` gives for each method a body, or a function of the arguments."""

    def __init__(self, endpoint, name, answers):
        super().__init__(endpoint)
        self.answers = answers
        self.ended = False
        self.send(HELLO, credit=100000, metadata={
            "service": name, "methods": list(answers), "version": "1.0"}, body={})
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while not self.ended:
            if not self.socket.poll(20):
                continue
            message = Message(self.socket.recv_multipart())
            if message.type == PING:
                self.send(PONG)
            elif message.type == REQUEST:
                answer = self.answers[message.method.split(".")[1]]
                answer = answer(message.body) if callable(answer) else answer
                self.socket.send_multipart([
                    HEADER.pack(b"MCB", 1, FINAL, 0, OK, message.instance, message.seq, 0, 0, 0, 0,
                                bytes(16), bytes(8)), b"", b"", answer])

    def close(self):
        self.ended = True
        self.thread.join()
        super().close()


class World:
    def __init__(self):
        broker, self.port = free_port(), free_port()
        endpoint = f"tcp://127.0.0.1:{broker}"
        env = {**os.environ, "BROKER_PORT": str(broker), "BROKER_ENDPOINT": endpoint,
               "GATEWAY_ADDRESS": "127.0.0.1", "GATEWAY_PORT": str(self.port),
               "JWT_SECRET": SECRET, "RATE_LIMIT": "0", "BUS_SECURITY": "plain"}
        self.programs = [
            subprocess.Popen([BIN / f"mcpbus-{name}", "--env-file", "/dev/null"], env=env)
            for name in ("broker", "gateway")]
        self.answers = dict.fromkeys(("submit", "get", "get_many"), b"{}")
        self.answers["health"] = b'{"queued": 0, "running": 0}'
        self.services = [
            Service(endpoint, "auth", {"revocations": b'{"seq": 0, "revoked": []}',
                                       "check": b'{"valid": true}'}),
            Service(endpoint, "jobs", self.answers)]
        wait_until(self.is_healthy, 20, "the gateway")

    def is_healthy(self):
        with contextlib.suppress(requests.ConnectionError):
            return self.call("GET", "/health").status_code == 200
        return False

    def call(self, method, path, **more):
        return requests.request(method, f"http://127.0.0.1:{self.port}{path}",
                                headers={"Authorization": f"Bearer {token('me')}"}, timeout=30,
                                **more)

    def close(self):
        for program in self.programs:
            program.terminate()
        for program in self.programs:
            assert program.wait(30) == 0
        for service in self.services:
            service.close()


def token(user):
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    text = ".".join(part(json.dumps(data).encode()) for data in (
        {"alg": "HS256"}, {"id": user, "email": "me@mail.example", "exp": int(time.time()) + 3600}))
    return f"{text}.{part(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest())}"


def job(job_id, user="me", **more):
    return {"job_id": job_id, "user_id": user, "message": MESSAGE, "status": "pending",
            "created_at": "now", **more}


@pytest.fixture(scope="module")
def world():
    one = World()
    yield one
    one.close()


def test_a_submit_in_another_form(world):
    world.answers["submit"] = lambda args: json.dumps(
        {"more": 1, "results": [{"job_id": item["job_id"]} for item in args["items"]]}).encode()
    assert world.call("POST", "/run", json={"message": "x"}).json()["status"] == "queued"
    world.answers["submit"] = b'{"results":[{"job_id":"an earlier one"}]}'
    assert world.call("POST", "/run", json={"message": "x"}).json()["job_id"] == "an earlier one"


@pytest.mark.parametrize("answer, status", [
    (b"", 500), (b"\xff", 500), (b"{}", 500), (b"[]", 500), (b'{"results":[', 500),
    (b'{"results":[]}', 500), (b'{"results":[null]}', 500), (b'{"results":[{}]}', 500),
    (b'{"results":[{"a":1}]}', 500), (b'{"results": [{}]}', 500),
    (b'{"results":[{"job_id":1}]}', 500), (b'{"results":[{"job_id":"\xff"}]}', 500),
    (b'{"results":[{"error":"OK"}]}', 500), (b'{"results":[{"job_id":"a","error":"?"}]}', 500),
    (b'{"results":[{"error":"LIMITED","detail":"many"}]}', 429),
])
def test_no_submit(world, answer, status):
    world.answers["submit"] = answer
    assert world.call("POST", "/run", json={"message": "x"}).status_code == status


@pytest.mark.parametrize("pack", [
    json.dumps({"results": [job("mine")]}),
    '{"results":[{"detail":"first","error":"TOO_LARGE"}]}',
    json.dumps({"results": [job("mine", "other")]}, separators=(",", ":")),
    json.dumps({"results": [job("other")]}, separators=(",", ":")),
    '{"results":[{"status":"pending","job_id":"mine","user_id":"me"}]}', '{"results":[]}', "",
])
def test_a_job_that_must_be_asked_for_alone(world, pack):
    world.answers["get_many"] = pack.encode()
    world.answers["get"] = json.dumps(job("mine", private="secret")).encode()
    answer = world.call("GET", "/result/mine")
    assert answer.json() == {**job("mine"), "result": None, "error_message": None,
                             "token_usage": None, "updated_at": None, "completed_at": None}


@pytest.mark.parametrize("answer", [
    b"", b"\xff", b"{}", b'{"job_id":', b'{"job_id": "mine", "user_id": "me"}',
    json.dumps(job("mine", result=7)).encode()])
def test_no_job(world, answer):
    world.answers["get_many"] = b"{}"
    world.answers["get"] = answer
    refused = world.call("GET", "/result/mine")
    assert refused.status_code == 502
    assert list(refused.json()) == ["detail"]
