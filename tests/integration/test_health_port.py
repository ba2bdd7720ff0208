"""HEALTH_PORT: what each service says to probes. The services are a set of their own (one broker, one
of each), on a database of their own in the shared stack's PostgreSQL, which they reach by a proxy."""
import contextlib
import os
import signal
import socket
import subprocess
import time
from urllib.parse import urlsplit

import pytest
import requests

from client import http
from net_proxy import Proxy
from pg_cluster import free_port
from stack import ROOT, slow, wait_until

KINDS = ("broker", "auth", "jobs", "worker", "gateway")
SILENT = 1  # seconds without an answer: of a loop that stands still, none ever comes


class Probed:
    """The services' processes, and what their ports say."""

    def __init__(self, stack, folder):
        self.stack, self.folder = stack, folder
        self.bin = os.environ.get("MCPBUS_BIN") or ROOT / "build" / "bin"
        parts = urlsplit(stack.database_url)
        self.database = Proxy((parts.hostname, parts.port))
        stack.sql("CREATE DATABASE probed")
        url = parts._replace(path="/probed").geturl()
        through = parts._replace(
            netloc=f"{parts.username}:{parts.password}@127.0.0.1:{self.database.port}",
            path="/probed").geturl()
        broker = free_port()
        self.env = {**os.environ, "DATABASE_URL": through, "JWT_SECRET": "s" * 32,
                    "GOOGLE_CLIENT_ID": "id", "GOOGLE_CLIENT_SECRET": "secret",
                    "MCPBUS_STACK": str(stack.run), "WORKER_RUNNER": "echo",
                    "BUS_SECURITY": "plain", "BROKER_PORT": str(broker),
                    "BROKER_ENDPOINT": f"tcp://127.0.0.1:{broker}",
                    "GATEWAY_ADDRESS": "127.0.0.1"}
        subprocess.run([f"{self.bin}/mcpbus", "migrate"], env={**self.env, "DATABASE_URL": url},
                       cwd=folder, check=True, capture_output=True, timeout=60)
        self.ports = {kind: free_port() for kind in KINDS}
        self.processes = {}

    def start(self, kind):
        env = {**self.env, "HEALTH_PORT": str(self.ports[kind]), "GATEWAY_PORT": "0"}
        with open(self.folder / f"{kind}.log", "ab") as log:
            self.processes[kind] = subprocess.Popen(
                [f"{self.bin}/mcpbus-{kind}", "--env-file", "/dev/null"], env=env,
                cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def ask(self, kind, path, timeout=10):
        return http("GET", f"http://127.0.0.1:{self.ports[kind]}{path}", timeout=timeout * slow())

    def says(self, kind, path="/readyz"):
        """(status, detail), or None while nobody listens."""
        with contextlib.suppress(requests.ConnectionError):
            answer = self.ask(kind, path)
            return answer.status_code, answer.json().get("detail")
        return None

    def wait(self, kind, status, detail=None):
        wait_until(lambda: self.says(kind) == (status, detail), 20,
                   f"{kind} says {status} {detail}")

    def close(self):
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(10)
        self.database.close()
        self.stack.sql("DROP DATABASE probed WITH (FORCE)")


@pytest.fixture(name="probed")
def _probed(echo, tmp_path):
    one = Probed(echo, tmp_path)
    yield one
    one.close()


def test_ready_when_it_can_work(probed):
    probed.database.refuse()
    for kind in KINDS[1:]:
        probed.start(kind)
    for kind in KINDS[1:]:
        probed.wait(kind, 503, "no broker is connected")
        assert probed.says(kind, "/healthz") == (200, None)
    probed.start("broker")
    probed.wait("broker", 200)
    for kind in ("auth", "jobs"):
        probed.wait(kind, 503, "the database does not answer")
        assert probed.says(kind, "/healthz") == (200, None)
    probed.wait("worker", 503, "no session with the jobs service")
    probed.wait("gateway", 200)
    probed.database.accept()
    for kind in KINDS:
        probed.wait(kind, 200)
        assert probed.ask(kind, "/metrics").status_code == 200
    # The queue is counted now and then.
    wait_until(lambda: "mcpbus_jobs_queued" in probed.ask("jobs", "/metrics").text, 20,
               "the queue's length is told")

    # A loop that stands still answers nobody.
    os.kill(probed.processes["auth"].pid, signal.SIGSTOP)
    with pytest.raises(requests.Timeout):
        probed.ask("auth", "/healthz", timeout=SILENT)


def test_a_second_signal_ends_what_still_waits(probed):
    """In good order: nothing asks the service when it has ended and its bus has not."""
    for kind in ("broker", "jobs"):
        probed.start(kind)
    probed.wait("jobs", 200)
    probed.database.stall()
    probed.wait("jobs", 503, "the database does not answer")
    probed.processes["jobs"].terminate()
    probed.wait("jobs", 503, "draining")
    time.sleep(0.5)  # soon no broker lists it, and all that it waits for is the database
    probed.processes["jobs"].send_signal(signal.SIGINT)
    assert probed.processes["jobs"].wait(30 * slow()) == 0


@pytest.mark.slow
def test_not_ready_without_its_database_and_while_it_drains(probed):
    for kind in ("broker", "auth", "jobs"):
        probed.start(kind)
    for kind in ("auth", "jobs"):
        probed.wait(kind, 200)
    probed.database.stall()
    for kind in ("auth", "jobs"):
        probed.wait(kind, 503, "the database does not answer")
        assert probed.says(kind, "/healthz") == (200, None)
    # It waits for what it has asked of the database, alive but not ready.
    probed.processes["jobs"].terminate()
    probed.wait("jobs", 503, "draining")
    assert probed.says("jobs", "/healthz") == (200, None)
    probed.database.resume()
    probed.wait("auth", 200)
    assert probed.processes["jobs"].wait(30 * slow()) == 0


def test_refuses_what_it_can_not_listen_on(probed):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for name, value, why in (("HEALTH_PORT", str(taken.getsockname()[1]), "taken"),
                                 ("HEALTH_PORT", "65536", "HEALTH_PORT"),
                                 ("HEALTH_ADDRESS", "localhost", "IP address")):
            env = {**probed.env, "HEALTH_PORT": str(free_port()), name: value}
            done = subprocess.run([f"{probed.bin}/mcpbus-broker", "--env-file", "/dev/null"],
                                  env=env, capture_output=True, text=True, timeout=30, check=False,
                                  cwd=probed.folder)
            assert done.returncode == 1 and why in done.stderr, done.stderr
