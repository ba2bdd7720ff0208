"""Keys change while jobs run: add, roll, remove. Nothing is refused and nothing lost."""
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import time

import pytest
import zmq

from bus_peer import HANDSHAKES, Peer, certificate, handshake
from stack import ROOT, Stack, wait_until

BIN = pathlib.Path(os.environ.get("MCPBUS_BIN") or ROOT / "build" / "bin")
pytestmark = pytest.mark.slow


class Load:
    """Jobs, one after the other from each of a few users, until it ends."""

    def __init__(self, stack):
        self.stack, self.ended, self.jobs, self.refused = stack, False, [], []
        self.token = stack.token()
        self.pool = concurrent.futures.ThreadPoolExecutor(4)
        self.posting = [self.pool.submit(self.post) for _ in range(4)]

    def post(self):
        while not self.ended:
            answer = self.stack.post("/run", self.token, json={"message": "while keys change"})
            if answer.status_code == 200:
                self.jobs.append(answer.json()["job_id"])
            else:
                self.refused.append(answer.text)
            time.sleep(0.02)

    def end(self):
        self.ended = True
        for one in self.posting:
            one.result()
        self.pool.shutdown()
        return self.jobs


@pytest.fixture(scope="module")
def stack():
    one = Stack(env={"WORKER_RUNNER": "echo"},
                scale=dict.fromkeys(("broker", "auth", "jobs", "worker", "gateway"), 2))
    yield one
    one.close()


@pytest.fixture
def load(stack):
    one = Load(stack)
    wait_until(lambda: len(one.jobs) > 20, 20, "the first jobs")
    yield one
    one.end()


def keygen(stack, *args):
    subprocess.run([BIN / "mcpbus", "keygen", "--dir", stack.keys, *args], check=True,
                   capture_output=True)


def key_of(stack, endpoint):
    """Of the brokers' keys that which is this one's; None while it is away."""
    own = certificate(f"{stack.keys}/admin.key_secret")
    for file in sorted(pathlib.Path(stack.keys).glob("broker*.key")):
        if handshake(endpoint, own, certificate(file)) == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            return file.stem
    return None


def whole(stack, services):
    """Every broker lists two of each."""
    for endpoint in stack.brokers:
        broker = key_of(stack, endpoint)
        if not broker:
            return False
        peer = Peer(endpoint, stack.keys, "admin", broker)
        try:
            listed = peer.hello()
        except AssertionError:
            return False
        finally:
            peer.close()
        if any(len(listed.get(service, ())) != 2 for service in services):
            return False
    return True


def roll(stack, service):
    """One process after the other, as an upgrade does."""
    for name in stack.pids(service):
        subprocess.run(["sv", "-w", "20", "restart", str(stack.run / "sv" / name)], check=True,
                       capture_output=True)
        wait_until(lambda: whole(stack, ("auth", "jobs", "worker", "gateway")), 30, f"{name} is back")


def check(stack, load):
    jobs = load.end()
    assert not load.refused, load.refused[:3]
    done = ("SELECT count(*) FROM job_records WHERE status = 'completed' AND id = ANY (%s)", jobs)
    wait_until(lambda: stack.sql(*done)[0][0] == len(jobs), 30, "every job has been done")


@pytest.mark.parametrize("service", ["jobs", "gateway", "worker"])
def test_of_a_service(stack, load, tmp_path, service):
    """The old key admits nobody any more when it has been retired."""
    shutil.copy(f"{stack.keys}/{service}.key_secret", tmp_path / "old")
    keygen(stack, "--rotate", service)
    roll(stack, service)
    keygen(stack, "--retire", service)
    old, broker = certificate(tmp_path / "old"), certificate(f"{stack.keys}/broker.key")
    wait_until(lambda: handshake(stack.brokers[0], old, broker)
               == zmq.EVENT_HANDSHAKE_FAILED_AUTH, 10, "the old key is refused")
    check(stack, load)


def test_without_a_restart(stack, load):
    """Its connections are cut, and the processes come back with the new key by themselves."""
    keygen(stack, "--rotate", "jobs")
    keygen(stack, "--retire", "jobs")
    wait_until(lambda: stack.log("broker").count("its key has been removed") >= 4, 20, "cut off")
    wait_until(lambda: whole(stack, ("jobs",)), 30, "all are back")
    check(stack, load)


def test_of_the_brokers(stack, load):
    before = certificate(f"{stack.keys}/broker.key")
    keygen(stack, "--rotate", "broker")
    roll(stack, "broker")
    keygen(stack, "--retire", "broker")
    client = certificate(f"{stack.keys}/client.key_secret")
    for endpoint in stack.brokers:
        assert handshake(endpoint, client, before) in HANDSHAKES[1:]
        assert handshake(endpoint, client, certificate(f"{stack.keys}/broker.key")) \
            == zmq.EVENT_HANDSHAKE_SUCCEEDED
    check(stack, load)
