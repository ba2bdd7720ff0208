"""Keys that are admitted, and do what disturbs the others."""
import contextlib
import signal

import pytest

from bus_peer import (CREDIT, DISCONNECT, DRAIN, HELLO, ONEWAY, PEERS, PING, PONG, REQUEST,
                      WELCOME, Message, Peer)
from own_bus import Bus, keygen
from stack import slow

FLOOD = 3000
BODY_MAX = 5 * 1024 * 1024


@pytest.fixture
def bus(tmp_path):
    one = Bus(tmp_path, brokers=1)
    yield one
    one.close()


@contextlib.contextmanager
def connected(bus, *names):
    peers = [Peer(bus.endpoints, bus.keys, name) for name in names]
    try:
        yield peers
    finally:
        for peer in peers:
            peer.close()


def greet(peer, service="", credit=0):
    peer.send(HELLO, credit=credit, body={},
              metadata={"service": service, "methods": ["now"], "version": "1"})


def greeted(peer, service="", credit=0):
    greet(peer, service, credit)
    return peer.receive(WELCOME, DISCONNECT)


def settled(peer):
    """What it has sent has been read."""
    peer.send(PING)
    peer.receive(PONG)


def lists_of(peer):
    """The lists of services that have come for it."""
    lists = []
    peer.send(PING)
    while (message := Message(peer.socket.recv_multipart())).type != PONG:
        if message.type == PEERS:
            lists.append(message.body["services"])
        if message.type == PING:
            peer.send(PONG)
    return lists


def test_who_greets_and_drains_without_end_disturbs_nobody(bus):
    """Neither with the lists that the broker sends to all, nor with the lines that it writes."""
    with connected(bus, "client", "client", "weather") as (witness, noisy, service):
        witness.hello()
        noisy.hello()
        for i in range(FLOOD):
            noisy.send(DRAIN, credit=i & 1)
        for i in range(FLOOD):
            greet(noisy)
        settled(noisy)
        assert not lists_of(witness), "nothing has changed for it"
        assert bus.brokers[0].text().count("peer_joined") < FLOOD
        greeted(service, "weather", 1)
        lists = [witness.receive(PEERS).body["services"]]
        for i in range(FLOOD):
            service.send(DRAIN, credit=i & 1)
        settled(service)
        lists += lists_of(witness)
        assert len(lists) < FLOOD / 10
        service.send(DRAIN, credit=0)
        while lists[-1]:  # the last word reaches everybody
            lists.append(witness.receive(PEERS).body["services"])


def test_a_client_can_not_keep_a_worker_out_after_a_restart(bus):
    """To a broker that has just begun everybody is the first to show an instance, and all peers know
    those of services."""
    keygen(bus.keys, "worker")
    with connected(bus, "worker") as (worker,):
        assert greeted(worker, "worker", 8).type == WELCOME
        instance = worker.instance
    endpoint = bus.brokers.pop().endpoint
    bus.started[-1].end(signal.SIGKILL)
    bus.start_broker(endpoint.rsplit(":", 1)[1])
    with connected(bus, "client", "worker") as (thief, worker):
        thief.instance = worker.instance = instance
        assert greeted(thief).type == WELCOME
        assert greeted(worker, "worker", 8).type == WELCOME
        thief.send(PING)
        assert thief.receive(DISCONNECT, PONG).type == DISCONNECT
        assert greeted(thief).type == DISCONNECT
        settled(worker)


@pytest.mark.slow
def test_one_way_messages_do_not_end_a_service_that_is_too_slow_for_them(bus):
    with connected(bus, "weather", "client") as (service, noisy):
        greeted(service, "weather", 8)
        noisy.hello()
        for _ in range(20000):
            noisy.send(REQUEST, 0, ONEWAY, 1000, "weather.now", {}, {"text": "x" * 2000})
        settled(noisy)
        service.send(PING)
        count = 0
        while (message := service.receive(REQUEST, PONG, DISCONNECT)).type == REQUEST:
            count += 1
        assert message.type == PONG and 1000 < count < 20000


def test_the_largest_body_passes_and_a_larger_one_ends_its_sender_alone(bus):
    with connected(bus, "weather", "client") as (service, caller):
        greeted(service, "weather", 8)
        caller.hello()
        body = {"text": "x" * (BODY_MAX - len('{"text": ""}'))}
        caller.send(REQUEST, 1, 0, 30000, "weather.now", {}, body)
        assert service.receive(REQUEST).body == body
        body["text"] += "x"
        caller.send(REQUEST, 2, 0, 30000, "weather.now", {}, body)
        assert caller.receive(DISCONNECT)
        settled(service)


def test_what_a_caller_leaves_behind_is_forgotten(bus):
    """At once, and not at a deadline that may be an hour away: so a broker that drains can end."""
    with connected(bus, "weather", "client") as (service, caller):
        greeted(service, "weather", 8)
        caller.hello()
        caller.send(REQUEST, 1, 0, 3600000, "weather.now", {}, {})
        request = service.receive(REQUEST)
        caller.send(DISCONNECT)
        caller.instance += 1
        greeted(caller)
        service.send(CREDIT, credit=9)
        assert (request.seq, request.ttl > 3500000) == (1, True)
        bus.brokers[0].process.send_signal(signal.SIGTERM)
        service.receive(DRAIN)
        settled(service)
        caller.receive(DRAIN)
        settled(caller)
        assert service.receive(PING) and caller.receive(PING)  # have they read the last answers?
        assert service.receive(DISCONNECT) and caller.receive(DISCONNECT)
        assert bus.brokers[0].process.wait(3 * slow()) == 0
