"""The bus in Python, written from proto/PROTOCOL.md alone: a peer that calls, and one that plays a
worker."""
import contextlib
import json
import os
import pathlib
import re
import secrets
import struct
import time
import uuid

import zmq
from zmq.utils.monitor import recv_monitor_message

from stack import slow

HEADER = struct.Struct("!3sBBBHQQIIII16s8s")
HELLO, WELCOME, PING, PONG, CREDIT, REQUEST, PARTIAL, FINAL, CANCEL, PEERS, DRAIN, DISCONNECT = \
    range(1, 13)
IDEMPOTENT, ONEWAY = 1, 2
OK, DENIED, NO_SERVICE, EXPIRED, STALE_TOKEN, NOT_FOUND, INVALID = 0, 101, 102, 104, 301, 303, 304


class Message:
    def __init__(self, frames):
        assert len(frames) == 4
        (magic, version, self.type, self.flags, self.status, self.instance, self.seq, self.ttl,
         self.credit, self.part, self.retry_after, _, _) = HEADER.unpack(frames[0])
        assert (magic, version) == (b"MCB", 1)
        self.method = frames[1].decode("ascii")
        self.metadata = json.loads(frames[2]) if frames[2] else {}
        self.body = json.loads(frames[3]) if frames[3] else {}


def certificate(path):
    """{"public-key", "secret-key", "role", …} of a certificate in CZMQ's form."""
    text = pathlib.Path(path).read_text(encoding="ascii")
    return dict(re.findall(r'^ {4}([a-z-]+) *= *"([^"]*)"', text, re.M))


class Peer:
    """A peer that only calls. keys: the key folder, None for a bus in plain mode; role: the name of
    its own certificate there."""

    role = "client"

    def __init__(self, endpoint, keys=None, role=None, broker="broker"):
        self.instance = secrets.randbits(64)
        self.seq = 0
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        if keys:
            self.show_key(certificate(f"{keys}/{role or self.role}.key_secret"),
                          certificate(f"{keys}/{broker}.key"))
        self.socket.connect(endpoint)

    def show_key(self, own, broker):
        self.socket.curve_publickey = own["public-key"].encode()
        self.socket.curve_secretkey = own["secret-key"].encode()
        self.socket.curve_serverkey = broker["public-key"].encode()

    def close(self):
        self.socket.close()

    def send(self, kind, seq=0, flags=0, ttl=0, method="", metadata=None, body=None, credit=0):
        header = HEADER.pack(b"MCB", 1, kind, flags, 0, self.instance, seq, ttl, credit, 0, 0,
                             bytes(16), bytes(8))
        self.socket.send_multipart([
            header, method.encode(), json.dumps(metadata).encode() if metadata is not None else b"",
            json.dumps(body).encode() if body is not None else b""])

    def receive(self, *wanted, seconds=10):
        """The next message of one of the types; PINGs are answered on the way."""
        end = time.monotonic() + seconds * slow()
        while True:
            left = end - time.monotonic()
            assert left > 0 and self.socket.poll(left * 1000), f"none of {wanted} came"
            message = Message(self.socket.recv_multipart())
            if message.type == PING:
                self.send(PONG)
            self.take(message)
            if message.type in wanted:
                return message

    def take(self, message):
        """Sees every message that comes."""

    def hello(self):
        self.send(HELLO, metadata={"service": "", "methods": [], "version": "1.0"}, body={})
        welcome = self.receive(WELCOME)
        assert welcome.instance not in (0, self.instance)
        return self.receive(PEERS).body["services"]

    def call(self, method, body, ttl=10000):
        self.seq += 1
        self.send(REQUEST, self.seq, IDEMPOTENT, ttl, method, {}, body)
        while True:
            final = self.receive(FINAL)
            if final.seq == self.seq:
                assert final.instance == self.instance
                return final


def end_of(peer, wanted):
    """The first of these events of its connection."""
    monitor = peer.socket.get_monitor_socket()
    end = time.monotonic() + 20 * slow()
    try:
        while time.monotonic() < end:
            if monitor.poll(500):
                event = recv_monitor_message(monitor)["event"]
                if event in wanted:
                    return event
    finally:
        peer.socket.disable_monitor()
    raise AssertionError("nothing became of the connection")


HANDSHAKES = (zmq.EVENT_HANDSHAKE_SUCCEEDED, zmq.EVENT_HANDSHAKE_FAILED_AUTH,
              zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)


def handshake(endpoint, own=None, broker=None):
    peer = Peer.__new__(Peer)
    peer.socket = zmq.Context.instance().socket(zmq.DEALER)
    peer.socket.linger = 0
    if own:
        peer.show_key(own, broker)
    peer.socket.get_monitor_socket()
    peer.socket.connect(endpoint)
    try:
        return end_of(peer, HANDSHAKES)
    finally:
        peer.close()


def uuid7():
    """RFC 9562, 5.7."""
    bits = int(time.time() * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    bits = bits & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62
    return str(uuid.UUID(int=bits))


def submit(peer, user, message, **more):
    job_id = uuid7()
    final = peer.call("jobs.submit", {"items": [
        {"job_id": job_id, "user_id": user, "message": message, **more}]})
    assert final.status == OK, final.body
    return job_id, final.body["results"][0]


class Worker(Peer):
    """Plays a worker: a session, offers to every replica of jobs, and the runs that they send. It
    runs nothing; the test says what becomes of each."""

    role = "worker"

    def __init__(self, endpoint, keys=None):
        super().__init__(endpoint, keys)
        self.name = f"{self.instance:016x}"
        self.session = str(uuid.uuid4())
        self.replicas = []
        self.received = {}
        self.runs = []
        self.cancelled = []
        self.greet()

    def greet(self):
        self.send(HELLO, credit=100000, metadata={
            "service": "worker", "methods": ["run", "cancel"], "version": "1.0"}, body={})
        self.receive(WELCOME)
        self.replicas = []
        while not self.replicas:
            self.receive(PEERS)

    def call(self, method, body, ttl=10000):
        """While the test was busy elsewhere the broker may have given it up."""
        self.send(PING)
        if self.receive(PONG, DISCONNECT).type == DISCONNECT:
            self.greet()
        return super().call(method, body, ttl)

    def take(self, message):
        if message.type == PEERS:
            self.replicas = message.body["services"].get("jobs", [])
        elif message.type == REQUEST and message.method.endswith(".cancel"):
            self.cancelled += [(job["job_id"], job["attempt"]) for job in message.body["jobs"]]
        elif message.type == REQUEST and message.body["session"] == self.session:
            sender = message.body["from"]
            for run in message.body["runs"]:
                self.received[sender] = max(self.received.get(sender, 0), run["ordinal"])
                self.runs.append(run)

    def open(self):
        return self.call("jobs.session_open", {
            "session": self.session, "instance": self.name, "host": "python", "version": "1.0",
            "capacity": 1})

    def renew(self, *held, method="jobs.session_renew"):
        return self.call(method, {"session": self.session, "held": [
            {"job_id": run["job_id"], "attempt": run["attempt"]} for run in held]})

    def offer(self, slots):
        """So many runs more from each replica."""
        for replica in self.replicas:
            self.send(REQUEST, flags=ONEWAY, ttl=3000, method=f"jobs@{replica}.offer", body={
                "session": self.session, "instance": self.name,
                "received": self.received.get(replica, 0), "slots": slots})

    def rest(self, *held):
        """No runs more: each replica has read that, and answered what stood behind it."""
        self.offer(0)
        for replica in self.replicas:
            assert self.renew(*held, method=f"jobs@{replica}.session_renew").status == 0

    def take_run(self, seconds=20, slots=1):
        """The next run; offers until one comes."""
        end = time.monotonic() + seconds * slow()
        while not self.runs:
            assert time.monotonic() < end, "no run came"
            self.offer(slots)
            with contextlib.suppress(AssertionError):
                self.receive(REQUEST, seconds=0.3 / slow())
        return self.runs.pop(0)

    def append(self, run, *events, after=None, session=None):
        """The result: {"last"} or {"error"}."""
        return self.call("jobs.append", {"session": session or self.session, "items": [
            {"job_id": run["job_id"], "attempt": run["attempt"],
             "after": run["events"] if after is None else after,
             "events": list(events)}]}).body["results"][0]

    def finish(self, run, outcome, session=None, **more):
        return self.call("jobs.finish", {"session": session or self.session, "items": [
            {"job_id": run["job_id"], "attempt": run["attempt"], "outcome": outcome,
             **more}]}).body["results"][0]
