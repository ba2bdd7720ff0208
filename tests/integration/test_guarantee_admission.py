"""Design guarantee 7: overload is refused early, in bounded memory; what was accepted still ends."""
import contextlib
import json
import pathlib
import resource
import select
import socket
import time

import pytest

from bus_peer import Peer, uuid7
from client import User, original_token
from guarantees import start_service, stop_service
from stack import Stack, slow, wait_until

JOBS = 100000


def pss(pid):
    """Bytes."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


@pytest.fixture(scope="module")
def idle_stack():
    """Without workers; no limit for a user."""
    one = Stack(env={"WORKER_RUNNER": "echo", "QUEUE_LIMIT": "0"})
    stop_service(one, "worker")
    yield one
    one.close()


def submit(peer, users, count):
    """By jobs.submit, a thousand at a time; how many were accepted, and the errors."""
    accepted, errors = 0, []
    for first in range(0, count, 1000):
        items = [{"job_id": uuid7(), "user_id": users[n % len(users)], "message": "x" * 200}
                 for n in range(first, min(first + 1000, count))]
        final = peer.call("jobs.submit", {"items": items}, ttl=60000)
        assert final.status == 0, final.body
        for result in final.body["results"]:
            accepted += "error" not in result
            errors += [result] if "error" in result else []
    return accepted, errors


@pytest.mark.long
def test_a_hundred_thousand_jobs_wait_in_bounded_memory_and_all_end(idle_stack):
    """And twenty thousand more than the queue in memory holds: those stay with the store, and come
    in as the others leave."""
    peer = Peer(idle_stack.brokers[0], idle_stack.keys)
    peer.hello()
    pids = {name: idle_stack.pid(f"{name}-1") for name in ("jobs", "gateway", "broker")}
    submit(peer, ["warm"], 2000)
    before = {name: pss(pid) for name, pid in pids.items()}
    users = [f"user-{n}" for n in range(1000)]
    count = JOBS + 20000
    assert submit(peer, users, count) == (count, [])
    after = {name: pss(pid) for name, pid in pids.items()}
    print(*(f"{name}_mb: {before[name] / 1e6:.1f} -> {after[name] / 1e6:.1f}" for name in pids),
          sep="\n")
    if slow() == 1:  # a sanitizer keeps what was freed
        assert after["jobs"] - before["jobs"] < 64 << 20
        assert after["gateway"] - before["gateway"] < 16 << 20
        assert after["broker"] - before["broker"] < 16 << 20
    begun = time.monotonic()
    start_service(idle_stack, "worker")
    wait_until(lambda: not idle_stack.sql("SELECT 1 FROM job_queue LIMIT 1"), 170, "all have ended")
    print(f"drained_s: {time.monotonic() - begun:.1f}")
    rows = idle_stack.sql("SELECT status, count(*) FROM job_records GROUP BY 1")
    assert rows == [("completed", count + 2000)]
    stop_service(idle_stack, "worker")
    peer.close()


class Crowd:
    """Connections to the gateway that say `text` and wait."""

    def __init__(self, stack, count, text=b""):
        host, port = stack.url.partition("//")[2].split(":")
        self.sockets = []
        for first in range(0, count, 500):
            batch = [self.begin(host, int(port)) for _ in range(min(500, count - first))]
            self.sockets += batch
            waiting, end = list(batch), time.monotonic() + 30 * slow()
            while waiting:
                assert time.monotonic() < end, f"{len(waiting)} are not connected"
                poller = select.poll()
                for one in waiting:
                    poller.register(one, select.POLLOUT)
                ready = {fd for fd, _ in poller.poll(1000)}
                waiting = [one for one in waiting if one.fileno() not in ready]
            for one in batch:
                with contextlib.suppress(OSError):
                    one.send(text)

    @staticmethod
    def begin(host, port):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex((host, port))
        return one

    def answered(self):
        """What each has got; None: nothing yet, b"": it was closed."""
        found = []
        for one in self.sockets:
            try:
                found.append(one.recv(4096))
            except BlockingIOError:
                found.append(None)
            except OSError:
                found.append(b"reset")
        return found

    def close(self):
        for one in self.sockets:
            one.close()


@contextlib.contextmanager
def crowd(*arguments):
    one = Crowd(*arguments)
    try:
        yield one
    finally:
        one.close()


@contextlib.contextmanager
def many_descriptors(count):
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    if old[1] < count:
        pytest.skip(f"ulimit -n -H is {old[1]}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (old[1], old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, old)


def check_serves(stack):
    """Others are served: calls with and without the bus, and a stream."""
    user = User(stack, original_token(stack))
    assert user.get("/me").status_code == 200
    job_id = user.run("hello")
    assert user.result(job_id)["status"] in ("pending", "running", "completed")
    with user.stream(job_id) as stream:
        assert stream.status_code == 200


def test_ten_thousand_connections(idle_stack):
    """Idle ones, half a request each, and a complete one each that is answered."""
    with many_descriptors(10500):
        pid = idle_stack.pid("gateway-1")
        check_serves(idle_stack)
        before = pss(pid)
        request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with crowd(idle_stack, 4000), crowd(idle_stack, 3000, request[:20]), \
                crowd(idle_stack, 3000, request) as asking:
            check_serves(idle_stack)
            left = 3000

            def all_answered():
                nonlocal left
                left -= sum(bool(text) for text in asking.answered())
                return left <= 0
            wait_until(all_answered, 60, "all are answered")
            after = pss(pid)
            print(f"gateway_mb: {before / 1e6:.1f} -> {after / 1e6:.1f}",
                  f"bytes_a_connection: {(after - before) / 10000:.0f}", sep="\n")
            check_serves(idle_stack)
        assert slow() > 1 or after - before < 10000 * 40960
        assert idle_stack.pid("gateway-1") == pid
        check_serves(idle_stack)


@pytest.mark.long
def test_slow_senders_are_ended(idle_stack):
    """Half a request, then now and then another byte: half a minute for the whole of it."""
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
    with crowd(idle_stack, 500, request) as slow_ones:
        end, ended = time.monotonic() + 60 * slow(), 0
        while ended < 500:
            assert time.monotonic() < end, f"{500 - ended} are still there"
            for one in slow_ones.sockets:
                with contextlib.suppress(OSError):
                    one.send(b"X")
            check_serves(idle_stack)
            answers = slow_ones.answered()
            assert all(text is None or text in (b"", b"reset") or b" 408 " in text
                       for text in answers)
            ended = sum(text is not None for text in answers)
            time.sleep(1)


def test_beyond_its_descriptors_a_gateway_refuses(new_stack):
    """As it would beyond 20,000: with 503 and Retry-After, while it goes on serving."""
    stack = new_stack(env={"WORKER_RUNNER": "echo"})
    old = stack.pid("gateway-1")
    parent = int(pathlib.Path(f"/proc/{old}/stat").read_text().rpartition(")")[2].split()[1])
    resource.prlimit(parent, resource.RLIMIT_NOFILE, (600, 600))
    stack.kill("gateway")
    wait_until(lambda: stack.pid("gateway-1") not in (None, old), 10, "it is back")
    stack.wait_healthy()
    user = User(stack, original_token(stack))
    with crowd(stack, 800) as many:
        found = {}

        def refused():
            for n, text in enumerate(many.answered()):
                if text is not None:
                    found.setdefault(n, text)
            return len(found) >= 200
        wait_until(refused, 20, "those above the limit are refused")
        for text in found.values():
            if text != b"reset":
                head = text.decode()
                assert head.startswith("HTTP/1.1 503 ") and "\r\nRetry-After: " in head
                assert json.loads(head.partition("\r\n\r\n")[2])["detail"]
        assert sum(text != b"reset" for text in found.values()) > len(found) * 0.9
    wait_until(lambda: user.get("/me").status_code == 200, 10, "it serves again")
    assert user.done("hello")["result"] == "echo: hello"
