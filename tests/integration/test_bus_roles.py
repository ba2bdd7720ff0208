"""The bus against outsiders and against insiders that want more than their key allows, from Python."""
import os
import pathlib
import subprocess
import time

import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from bus_peer import (CANCEL, DENIED, DISCONNECT, FINAL, HEADER, HELLO, IDEMPOTENT, NOT_FOUND,
                      NO_SERVICE, OK, ONEWAY, REQUEST, WELCOME, Peer, certificate, handshake)
from stack import ROOT, slow, unique, wait_until

pytest_plugins = ["shared_stacks"]
BIN = pathlib.Path(os.environ.get("MCPBUS_BIN") or ROOT / "build" / "bin")


def keygen(folder, *args):
    subprocess.run([BIN / "mcpbus", "keygen", "--dir", folder, *args], check=True,
                   capture_output=True)


class Bus:
    """The shared stack's bus, and peers on it."""

    def __init__(self, stack):
        self.stack, self.peers, self.made = stack, [], []

    def key(self, **options):
        """A client's certificate, admitted; its name."""
        name = unique("client").partition("@")[0]
        keygen(self.stack.keys, "--name", name, "--role", "client",
               *(part for option, value in options.items() for part in (f"--{option}", value)))
        self.made.append(name)
        return name

    def peer(self, role, keys=None, broker="broker"):
        self.peers.append(Peer(self.stack.brokers[0], keys or self.stack.keys, role, broker))
        return self.peers[-1]

    def greeted(self, role):
        one = self.peer(role)
        one.services = one.hello()
        return one

    def close(self):
        for one in self.peers:
            one.close()
        for name in self.made:
            for suffix in (".key", ".key_secret"):
                (pathlib.Path(self.stack.keys) / f"{name}{suffix}").unlink(missing_ok=True)


@pytest.fixture
def bus(wide_echo):
    one = Bus(wide_echo)
    yield one
    one.close()


def test_strangers_get_nowhere(bus, tmp_path):
    """Without a key, with an unknown one, with the right key and another broker's."""
    endpoint, keys = bus.stack.brokers[0], bus.stack.keys
    keygen(tmp_path)
    known = certificate(f"{keys}/client.key_secret")
    broker = certificate(f"{keys}/broker.key")
    stranger = certificate(f"{tmp_path}/admin.key_secret")
    assert handshake(endpoint) != zmq.EVENT_HANDSHAKE_SUCCEEDED
    assert handshake(endpoint, stranger, broker) == zmq.EVENT_HANDSHAKE_FAILED_AUTH
    assert handshake(endpoint, known, certificate(f"{tmp_path}/broker.key")) \
        != zmq.EVENT_HANDSHAKE_SUCCEEDED
    assert handshake(endpoint, certificate(f"{keys}/broker.key_secret"), broker) \
        == zmq.EVENT_HANDSHAKE_FAILED_AUTH
    assert handshake(endpoint, known, broker) == zmq.EVENT_HANDSHAKE_SUCCEEDED
    wait_until(lambda: stranger["public-key"] in bus.stack.log("broker-1"), 10, "a line of audit")


def test_a_key_may_call_what_its_role_may(bus):
    body = {"user_id": "nobody"}
    assert bus.greeted("worker").call("auth.google_access", body).status == NOT_FOUND
    assert bus.greeted("gateway").call("auth.google_access", body).status == DENIED
    assert bus.greeted("client").call("auth.google_access", body).status == DENIED
    assert bus.greeted("admin").call("auth.google_access", body).status == NOT_FOUND
    jobs = bus.greeted("client").services["jobs"][0]
    for method in ("jobs.health", f"jobs@{jobs}.health"):
        assert bus.greeted("client").call(method, {}).status == OK
        final = bus.greeted("worker").call(method, {})
        assert final.status == DENIED and final.body["detail"]


def test_a_client_calls_what_its_certificate_names(bus):
    one = bus.greeted(bus.key(call="jobs.health"))
    assert one.call("jobs.health", {}).status == OK
    assert one.call("jobs.list", {"user_id": "u", "limit": 1, "offset": 0}).status == DENIED
    other = bus.greeted(bus.key(call="jobs.*"))
    assert other.call("jobs.list", {"user_id": "u", "limit": 1, "offset": 0}).status == OK


def serve(peer, service):
    peer.send(HELLO, credit=100, body={}, metadata={
        "service": service, "methods": ["charge"], "version": "1"})
    return peer.receive(WELCOME, DISCONNECT)


def test_a_service_is_served_by_its_key_alone(bus):
    name = bus.key(serve="billing", call="billing.*")
    for role, service in (("client", "billing"), (name, "mail"), (name, "jobs"), ("worker", "jobs"),
                          ("admin", "auth"), ("gateway", "billing")):
        answer = serve(bus.peer(role), service)
        assert (answer.type, answer.status) == (DISCONNECT, DENIED), (role, service)
        assert "may not serve" in answer.body["detail"]
    service = bus.peer(name)
    assert serve(service, "billing").type == WELCOME
    caller = bus.greeted(name)
    caller.seq += 1
    caller.send(REQUEST, caller.seq, IDEMPOTENT, 9000, "billing.charge", {}, {"cents": 5})
    assert service.receive(REQUEST).body == {"cents": 5}


def test_an_instance_belongs_to_the_key_that_greeted_first(bus):
    """Else a client could take a worker's runs, or answers meant for a gateway."""
    admin = bus.greeted("admin")
    for role, service in (("admin", "worker"), ("client", "jobs")):
        thief = bus.peer(role)
        thief.instance = int(admin.services[service][0], 16)
        thief.send(HELLO, metadata={"service": "", "methods": [], "version": "1"}, body={})
        answer = thief.receive(WELCOME, DISCONNECT)
        assert (answer.type, answer.status) == (DISCONNECT, DENIED)
    again = bus.greeted("admin")
    assert again.services["worker"] == admin.services["worker"]
    assert again.services["jobs"] == admin.services["jobs"]


def answer(peer, instance, seq, body):
    peer.socket.send_multipart([
        HEADER.pack(b"MCB", 1, FINAL, 0, OK, instance, seq, 0, 0, 0, 0, bytes(16), bytes(8)),
        b"", b"", body])


def test_only_those_involved_answer_and_cancel(bus):
    name = bus.key(serve="billing,other", call="billing.*")
    service, third, caller = bus.peer(name), bus.peer(name), bus.greeted(name)
    assert serve(service, "billing").type == WELCOME
    assert serve(third, "other").type == WELCOME
    caller.send(REQUEST, 1, IDEMPOTENT, 20000, "billing.charge", {}, {})
    request = service.receive(REQUEST)
    answer(third, request.instance, request.seq, b'{"from": "third"}')
    third.socket.send_multipart([
        HEADER.pack(b"MCB", 1, CANCEL, 0, 0, request.instance, request.seq, 0, 0, 0, 0, bytes(16),
                    bytes(8)), b"", b"", b""])
    # Its answer shows that what went before has been read.
    assert third.call("billing@00000000000000ff.charge", {}).status == NO_SERVICE
    answer(service, request.instance, request.seq, b'{"from": "service"}')
    with pytest.raises(AssertionError, match="came"):
        service.receive(CANCEL, seconds=0.2 / slow())
    assert caller.receive(FINAL).body == {"from": "service"}


def test_one_way_and_broadcast_follow_the_table(bus):
    """They have no answer: the refusal is in the log, and nothing of it reaches the service."""
    listener, sender = bus.peer(bus.key(serve="billing")), bus.greeted("client")
    assert serve(listener, "billing").type == WELCOME
    allowed = bus.greeted(bus.key(call="billing.allowed"))
    for method in ("billing.charge", "billing@*.charge", f"billing@{listener.instance:016x}.charge"):
        sender.send(REQUEST, flags=ONEWAY, ttl=3000, method=method, body={"n": 1})
    sender.call("billing.charge", {})  # comes behind them
    allowed.send(REQUEST, flags=ONEWAY, ttl=3000, method="billing@*.allowed", body={"n": 2})
    assert listener.receive(REQUEST).body == {"n": 2}
    wait_until(lambda: "call_denied role=client name=client service=billing method=charge"
               in bus.stack.log("broker-1"), 10, "a line of audit")


def test_a_removed_key_is_cut_off_within_seconds(bus):
    name = bus.key(call="jobs.health")
    one, other = bus.greeted(name), bus.greeted("client")
    assert one.call("jobs.health", {}).status == OK
    monitor = one.socket.get_monitor_socket()
    (pathlib.Path(bus.stack.keys) / f"{name}.key").unlink()
    goodbye = one.receive(DISCONNECT)
    assert goodbye.status == DENIED and "removed" in goodbye.body["detail"]
    seen = set()
    end = time.monotonic() + 20 * slow()
    while zmq.EVENT_HANDSHAKE_FAILED_AUTH not in seen:
        assert time.monotonic() < end, seen
        if monitor.poll(500):
            seen.add(recv_monitor_message(monitor)["event"])
    one.socket.disable_monitor()
    assert zmq.EVENT_DISCONNECTED in seen
    assert other.call("jobs.health", {}).status == OK
