"""Outsiders at the broker's port: half-open, slow, garbage, oversized, floods. Each costs bounded
memory for a bounded time, and jobs go on meanwhile."""
import os
import resource

import pytest
import zmq
import zmq.auth

from bus_peer import HEADER, HELLO
from hostile_peers import (Broker, COMMAND, LONG, Load, MORE, command, dial, frame, greeting,
                           is_closed, shout, wait_closed)
from stack import Stack, slow, wait_until

CURVE_HELLO = bytes([1, 0]) + bytes(72) + os.urandom(32) + os.urandom(8) + os.urandom(80)


@pytest.fixture
def load(echo):
    with Load(echo) as one:
        yield one
        one.wait_more(1)


@pytest.fixture
def broker(echo, load):
    one = Broker(echo)
    yield one
    one.wait_calm()


def test_half_open_connections(broker, load):
    beginnings = (b"", greeting()[:9], greeting()[:40], greeting(),
                  greeting() + command(b"HELLO", CURVE_HELLO)[:60],
                  greeting() + command(b"HELLO", CURVE_HELLO))
    strangers = [dial(broker.endpoint) for _ in range(300)]
    for number, stranger in enumerate(strangers):
        shout(stranger, beginnings[number % len(beginnings)])
    load.wait_more(2)
    wait_closed(strangers, 20)


def test_garbage(broker, load):
    junk = (os.urandom(65536), b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n" * 100,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(508), b"\xff" * 100000,
            bytes(100000), b"\x01\x00" * 1000,  # ZMTP 1
            b"\xff" + bytes(7) + b"\x01\x7f\x01\x05" + frame(b"id") * 100,  # ZMTP 2
            greeting(b"NULL") + command(b"READY", b"\x0bSocket-Type\0\0\0\x06DEALER"),
            greeting(b"PLAIN") + command(b"HELLO", b"\x05admin\x05admin"),
            greeting(version=(9, 9)) + os.urandom(5000), greeting(as_server=1) + os.urandom(5000),
            greeting() + frame(b"no command") * 100, greeting() + command(b"READY"),
            greeting() + command(b"INITIATE", os.urandom(300)),
            greeting() + command(b"MESSAGE", os.urandom(300)) * 50,
            greeting() + command(b"HELLO", CURVE_HELLO) * 2)
    strangers = []
    for text in junk * 5:
        strangers.append(dial(broker.endpoint))
        shout(strangers[-1], text)
    load.wait_more(2)
    wait_closed(strangers)


def test_frames_of_any_size(broker, load):
    """Announced before anybody is known: refused at once, or forgotten with the handshake."""
    strangers = []
    for announced in (2**63 - 1, 2**64 - 1, 2**40, 2**31, 6 * 2**20):
        for flags in (0, MORE, COMMAND):
            strangers.append(dial(broker.endpoint))
            shout(strangers[-1], greeting() + frame(b"x" * 1000, flags | LONG, announced))
    wait_until(lambda: all(map(is_closed, strangers)), 10, "a size that can't be is refused")
    large = [dial(broker.endpoint) for _ in range(40)]
    for stranger in large:
        shout(stranger, greeting() + command(b"HELLO", os.urandom(4 * 2**20), 5 * 2**20 - 1))
    load.wait_more(2)
    wait_closed(strangers + large)


def stranger_socket(broker, server_key, pair):
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.linger = 0
    if server_key:
        socket.curve_serverkey = server_key
        socket.curve_publickey, socket.curve_secretkey = pair
    socket.connect(broker.endpoint)
    return socket


def test_strangers_with_keys_of_their_own(broker, echo, load):
    """They know the broker's public key, or not even that: no word comes back."""
    server_key, _ = zmq.auth.load_certificate(f"{echo.keys}/broker.key")
    sockets = [stranger_socket(broker, key, zmq.curve_keypair())
               for key in [server_key] * 60 + [zmq.curve_keypair()[0]] * 30 + [None] * 30]
    try:
        hello = [HEADER.pack(b"MCB", 1, HELLO, 0, 0, 77, 0, 0, 0, 0, 0, bytes(16), bytes(8)), b"",
                 b'{"service": "worker", "methods": ["run"], "version": "2.0.0"}', b"{}"]
        for socket in sockets:
            socket.send_multipart(hello)
        load.wait_more(3)
        poller = zmq.Poller()
        for socket in sockets:
            poller.register(socket, zmq.POLLIN)
        assert poller.poll(3000) == []
    finally:
        for socket in sockets:
            socket.close()


@pytest.mark.slow
def test_connections_by_the_thousand(broker, load):
    for _ in range(20):
        strangers = [dial(broker.endpoint) for _ in range(150)]
        for stranger in strangers:
            shout(stranger, greeting()[:10])
            stranger.close()
    load.wait_more(2)


@pytest.mark.slow
def test_no_files_left(broker, load):
    """The broker may open no more: who is there goes on, and later newcomers get in again."""
    soft, hard = resource.prlimit(broker.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, (broker.files + 20, hard))
    try:
        strangers = [dial(broker.endpoint) for _ in range(50)]
        for stranger in strangers:
            shout(stranger, greeting())
        load.wait_more(2)
        wait_closed(strangers, 40)
    finally:
        resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, (soft, hard))
    newcomer = dial(broker.endpoint)
    shout(newcomer, greeting())
    newcomer.settimeout(10 * slow())
    assert newcomer.recv(10).startswith(b"\xff")
    newcomer.close()


@pytest.mark.slow
def test_a_message_without_an_end():
    """libzmq counts whole messages alone. In plain mode nobody needs a key to try it."""
    stack = Stack(env={"WORKER_RUNNER": "echo", "BUS_SECURITY": "plain", "BROKER_MEMORY": str(128 * slow())})
    try:
        with Load(stack) as load:
            pid = stack.pid("broker-1")
            stranger = dial(stack.vars["BROKER_ENDPOINT"])
            shout(stranger, greeting(b"NULL") + command(
                b"READY", b"\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0"))
            if slow() == 1:
                shout(stranger, frame(bytes(4 * 2**20), MORE | LONG) * 8)
                load.wait_more(2)
                assert stack.pid("broker-1") == pid
            for _ in range(50 * slow()):
                shout(stranger, frame(bytes(4 * 2**20), MORE | LONG))
            # With the connection what it has brought would be gone, maybe before the broker looks.
            wait_until(lambda: stack.pid("broker-1") not in (None, pid), 20, "a new broker")
            stranger.close()
            assert "memory_exceeded" in stack.log("broker-1")
            stack.wait_healthy()
            load.wait_more(2)
    finally:
        stack.close()
