"""A gateway whose services are played by the test: what they answer is the test's choice."""
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

import requests

from bus_peer import FINAL, HEADER, HELLO, OK, PING, PONG, REQUEST, Message, Peer
from pg_cluster import free_port
from stack import ROOT, wait_until

BIN = pathlib.Path(os.environ.get("MCPBUS_BIN") or ROOT / "build" / "bin")
AUTH_METHODS = ("begin", "callback", "status", "login", "logout", "forget")
JOBS_METHODS = ("submit", "get", "get_many", "list", "events", "cancel", "decide", "forget")
SECRET = "a secret of this test alone, long enough"


class Service(Peer):
    """Plays a service: `answers` gives for each method a body, a status in its place, or a function
    of the arguments."""

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
                status = answer if isinstance(answer, int) else OK
                self.socket.send_multipart([
                    HEADER.pack(b"MCB", 1, FINAL, 0, status, message.instance, message.seq, 0, 0, 0,
                                0, bytes(16), bytes(8)), b"", b"", b"" if status else answer])

    def close(self):
        self.ended = True
        self.thread.join()
        super().close()


class World:
    """settings: further ones of the gateway; descriptors: how many it may open. `auth` and
    `answers` (of jobs) may be changed; revocations: what auth answers from the start."""

    def __init__(self, descriptors=1024, revocations=b'{"seq": 0, "revoked": []}', **settings):
        broker, self.port = free_port(), free_port()
        endpoint = f"tcp://127.0.0.1:{broker}"
        env = {**os.environ, "BROKER_PORT": str(broker), "BROKER_ENDPOINT": endpoint,
               "GATEWAY_ADDRESS": "127.0.0.1", "GATEWAY_PORT": str(self.port),
               "JWT_SECRET": SECRET, "RATE_LIMIT": "0", "BUS_SECURITY": "plain", **settings}
        self.programs = [
            subprocess.Popen(["prlimit", f"--nofile={number}", BIN / f"mcpbus-{name}", "--env-file",
                              "/dev/null"], env=env)
            for name, number in (("broker", 1024), ("gateway", descriptors))]
        self.answers = dict.fromkeys(JOBS_METHODS, b"{}")
        self.answers["health"] = b'{"queued": 0, "running": 0}'
        self.auth = {"revocations": revocations, "check": b'{"valid": true}'}
        self.auth.update(dict.fromkeys(AUTH_METHODS, b"{}"))
        self.services = [
            Service(endpoint, "auth", self.auth),
            Service(endpoint, "jobs", self.answers)]
        wait_until(self.is_healthy, 20, "the gateway")

    def is_healthy(self):
        with contextlib.suppress(requests.ConnectionError):
            return self.call("GET", "/health").status_code == 200
        return False

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def call(self, method, path, **more):
        return requests.request(method, self.url + path,
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
