"""A client of the bus in another language, written from proto/PROTOCOL.md alone."""
import time
import uuid

import pytest

from bus_peer import (DENIED, DISCONNECT, FINAL, HEADER, HELLO, IDEMPOTENT, INVALID, NOT_FOUND,
                      NO_SERVICE, OK, Peer, REQUEST, WELCOME, submit)
from stack import slow

pytest_plugins = ["shared_stacks"]


@pytest.fixture
def endpoints(wide_echo):
    return wide_echo.vars["BROKER_ENDPOINT"].split(",")


@pytest.fixture
def keys(wide_echo):
    return wide_echo.keys


@pytest.fixture
def peer(endpoints, keys):
    one = Peer(endpoints[0], keys)
    yield one
    one.close()


def finished(peer, job_id, user):
    end = time.monotonic() + 30 * slow()
    while True:
        final = peer.call("jobs.get", {"job_id": job_id, "user_id": user})
        assert final.status == OK, final.body
        if final.body["status"] == "completed":
            return final.body
        assert time.monotonic() < end, final.body


def test_hello(peer):
    services = peer.hello()
    for name in ("jobs", "auth", "worker", "gateway"):
        assert len(services[name]) == 2, name
        for instance in services[name]:
            assert len(instance) == 16
            int(instance, 16)


def test_a_job(peer):
    peer.hello()
    job_id, result = submit(peer, "python", "from Python")
    assert result == {"job_id": job_id}
    job = finished(peer, job_id, "python")
    assert job["result"] == "echo: from Python"
    assert job["user_id"] == "python"
    events = peer.call("jobs.events", {"job_id": job_id, "user_id": "python", "after": 0,
                                       "limit": 100}).body
    assert events["ended"] is True
    assert [event["seq"] for event in events["events"]] == list(range(1, events["last"] + 1))


def test_every_broker_leads_to_the_same_jobs(endpoints, keys):
    peers = [Peer(endpoint, keys) for endpoint in endpoints]
    try:
        assert len(peers) == 2
        for one in peers:
            one.hello()
        job_id, _ = submit(peers[0], "python", "by one broker")
        assert finished(peers[1], job_id, "python")["result"] == "echo: by one broker"
    finally:
        for one in peers:
            one.close()


def test_same_key_same_job(peer):
    peer.hello()
    user, key = uuid.uuid4().hex, {"key": "k", "hash": "h"}
    first, _ = submit(peer, user, "once", **key)
    assert submit(peer, user, "once", **key)[1] == {"job_id": first}
    assert submit(peer, user, "other", key="k", hash="h2")[1]["error"] == "CONFLICT"


def test_failures(peer):
    peer.hello()
    for method, body, status in (
            ("jobs.get", {"job_id": str(uuid.uuid4()), "user_id": "python"}, NOT_FOUND),
            ("jobs.get", {"job_id": 7, "user_id": "python"}, INVALID),
            ("jobs.get", {}, INVALID),
            ("nobody.get", {}, DENIED)):
        final = peer.call(method, body)
        assert final.status == status, method
        assert isinstance(final.body["detail"], str)


def test_what_is_malformed_is_dropped(endpoints, keys):
    """DISCONNECT; and the broker goes on serving others."""
    header = HEADER.pack(b"MCB", 1, HELLO, 0, 0, 1, 0, 0, 0, 0, 0, bytes(16), bytes(8))
    for frames in ([b"x"], [header, b"", b""], [header, b"", b"", b"", b""],
                   [header[:-1], b"", b"", b""], [b"XCB" + header[3:], b"", b"", b""],
                   [header[:4] + b"\x63" + header[5:], b"", b"", b""],
                   [header, b"", b"{}" + b" " * 5000, b""]):
        one = Peer(endpoints[0], keys)
        try:
            one.socket.send_multipart(frames)
            assert one.receive(DISCONNECT, WELCOME).type == DISCONNECT, frames
        finally:
            one.close()
    again = Peer(endpoints[0], keys)
    try:
        assert "jobs" in again.hello()
    finally:
        again.close()


def test_a_stranger_must_say_hello(endpoints, keys):
    one = Peer(endpoints[0], keys)
    try:
        one.send(REQUEST, 1, IDEMPOTENT, 1000, "jobs.health", {}, {})
        assert one.receive(DISCONNECT, FINAL).type == DISCONNECT
    finally:
        one.close()
