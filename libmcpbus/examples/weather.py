#!/usr/bin/python3
"""A service and a client of mcpbus in Python: pyzmq and proto/PROTOCOL.md, no other library.

    ./weather.py serve                                    serves weather.now and weather.watch
    ./weather.py call weather.now '{"city": "Oslo"}'      one call
    ./weather.py stream weather.watch '{"every_ms": 100}' 3   the first three parts

Environment: BROKER_ENDPOINT (tcp://HOST:PORT, several with commas), BUS_KEYS (the folder with the
brokers' public keys), BUS_KEY (the file of one's own secret key), or BUS_SECURITY=plain."""
import json
import os
import pathlib
import re
import secrets
import signal
import struct
import sys
import time

import zmq
from zmq.utils.monitor import recv_monitor_message

HEADER = struct.Struct("!3sBBBHQQIIII16s8s")
HELLO, WELCOME, PING, PONG, CREDIT, REQUEST, PARTIAL, FINAL, CANCEL, PEERS, DRAIN, DISCONNECT = \
    range(1, 13)
IDEMPOTENT, ONEWAY = 1, 2
OK, DENIED, NO_SERVICE, OVERLOADED, DRAINING, PEER_LOST = 0, 101, 102, 103, 105, 200
TIMEOUT, NOT_FOUND, INVALID, INTERNAL = 201, 303, 304, 305
NOT_EXECUTED = range(100, 200)
CREDITS = 64
PING_AFTER, DEAD_AFTER = 1.0, 3.0
FAILED = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | \
    zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_DISCONNECTED


class Failure(Exception):
    def __init__(self, status, detail):
        super().__init__(f"status {status}: {detail}")
        self.status, self.detail = status, detail


def certificate(path):
    text = pathlib.Path(path).read_text(encoding="utf-8")
    return dict(re.findall(r'^ +([a-z-]+) *= *"([^"]*)"', text, re.M))


def broker_keys(folder):
    found = map(certificate, sorted(pathlib.Path(folder).glob("*.key")))
    return [one["public-key"].encode() for one in found if one.get("role") == "broker"]


class Message:
    def __init__(self, frames):
        header, method, metadata, body = frames
        (magic, version, self.type, self.flags, self.status, self.instance, self.seq, self.ttl_ms,
         self.credit, self.part, self.retry_after_ms, _, _) = HEADER.unpack(header)
        if (magic, version) != (b"MCB", 1):
            raise ValueError("not a message of this protocol")
        self.method = method.decode("ascii")
        self.body = json.loads(body) if body else {}


class Link:
    """The connection to one broker: keys, greeting, heartbeats."""

    def __init__(self, bus, endpoint):
        self.bus, self.endpoint = bus, endpoint
        self.socket = self.monitor = None
        self.key_turn = 0
        self.open()

    def open(self):
        """A new socket: ZeroMQ itself does not connect again after a refused key."""
        self.close()
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 200
        if self.bus.keys:
            own, brokers = certificate(self.bus.key), broker_keys(self.bus.keys)
            self.socket.curve_publickey = own["public-key"].encode()
            self.socket.curve_secretkey = own["secret-key"].encode()
            self.socket.curve_serverkey = brokers[self.key_turn % len(brokers)]
        self.monitor = self.socket.get_monitor_socket(FAILED)
        self.socket.connect(self.endpoint)
        self.greet()

    def close(self):
        if self.socket:
            self.socket.disable_monitor()
            self.monitor.close()
            self.socket.close()
            self.bus.lost(self)

    def greet(self):
        self.ready = self.draining = False
        self.generation = object()  # answers to what came before go nowhere
        self.answered, self.limit = 0, CREDITS
        self.services = {}
        self.sent = self.received = time.monotonic()
        self.pings = 0  # that the broker has not answered
        self.send(HELLO, self.bus.instance, credit=CREDITS if self.bus.methods else 0, metadata={
            "service": self.bus.service, "methods": sorted(self.bus.methods), "version": "1.0"})

    def send(self, kind, instance, seq=0, flags=0, status=0, ttl_ms=0, credit=0, part=0, method="",
             metadata=None, body=None):
        header = HEADER.pack(b"MCB", 1, kind, flags, status, instance, seq, ttl_ms, credit, part, 0,
                             bytes(16), bytes(8))
        frames = [header, method.encode(), json.dumps(metadata).encode() if metadata else b"",
                  json.dumps(body).encode() if body is not None else b""]
        try:
            self.socket.send_multipart(frames, zmq.DONTWAIT)
            self.sent = time.monotonic()
        except zmq.Again:
            pass  # no room: the other side, or the deadline, finds out

    def tick(self):
        now = time.monotonic()
        if now - self.received > DEAD_AFTER:
            self.open()
        elif self.ready and now - self.sent > PING_AFTER:
            self.ping()

    def ping(self):
        self.pings += 1
        self.send(PING, self.bus.instance)

    def count_answer(self):
        """The credit is absolute: how many requests may have come in all since HELLO."""
        self.answered += 1
        if self.answered + CREDITS - self.limit >= CREDITS // 4:
            self.limit = self.answered + CREDITS
            self.send(CREDIT, self.bus.instance, credit=self.limit % 2**32)

    def receive(self):
        while self.socket.poll(0):
            self.received = time.monotonic()
            message = Message(self.socket.recv_multipart())
            if message.type == WELCOME:
                self.ready = True
            elif message.type == PING:
                self.send(PONG, self.bus.instance)
            elif message.type == PONG:
                self.pings -= 1
            elif message.type == PEERS:
                self.services = message.body["services"]
            elif message.type == DRAIN:
                self.draining = message.credit == 0
            elif message.type == DISCONNECT:
                if message.status == DENIED:
                    self.bus.trouble = message.body.get("detail")
                    time.sleep(0.2)
                self.bus.lost(self)
                self.greet()
                return
            else:
                self.bus.take(self, message)

    def watch(self):
        """A refused key (or a broker's key that is not this broker's) looks like silence otherwise."""
        if self.monitor.poll(0):
            event = recv_monitor_message(self.monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                self.bus.trouble = "the broker refuses this key"
            elif event != zmq.EVENT_DISCONNECTED:
                self.key_turn += 1
            time.sleep(0.1)
            self.open()


class Request:
    """A request that is served here; answer it once, at once or later."""

    def __init__(self, bus, link, message):
        self.bus, self.link, self.generation = bus, link, link.generation
        self.instance, self.seq = message.instance, message.seq
        self.one_way = bool(message.flags & ONEWAY)
        self.method, self.body = message.method.partition(".")[2], message.body
        self.deadline = time.monotonic() + message.ttl_ms / 1000
        self.parts, self.cancelled = 0, False

    def wanted(self):
        return not self.cancelled and time.monotonic() < self.deadline and \
            self.generation is self.link.generation

    def part(self, body):
        self.parts += 1
        if not self.one_way and self.wanted():
            self.link.send(PARTIAL, self.instance, self.seq, part=self.parts, body=body)

    def answer(self, body, status=OK):
        self.bus.serving.pop((self.instance, self.seq), None)
        if self.one_way or self.generation is not self.link.generation:
            return
        if not self.cancelled:
            self.link.send(FINAL, self.instance, self.seq, status=status, part=self.parts, body=body)
        self.link.count_answer()

    def fail(self, status, detail):
        self.answer({"detail": detail}, status)


class Call:
    def __init__(self, link, seq):
        self.link, self.seq = link, seq
        self.parts, self.final = [], None


class Bus:
    """methods: {"now": function(request)}; without a service it only calls. One thread, no locks."""

    def __init__(self, endpoints, keys=None, key=None, service="", methods=None):
        self.keys, self.key = keys, key
        self.service, self.methods = service, methods or {}
        self.instance = secrets.randbits(64) or 1
        self.serving, self.calls, self.seq = {}, {}, 0
        self.trouble = None
        self.links = []
        for endpoint in endpoints.split(","):
            self.links.append(Link(self, endpoint))

    def close(self):
        """The answer to a last PING says that all that was sent has come."""
        end = time.monotonic() + 2
        for link in self.links:
            if link.ready:
                link.ping()
        while any(link.ready and link.pings for link in self.links) and time.monotonic() < end:
            self.turn(0.01)
        for link in self.links:
            link.send(DISCONNECT, self.instance)
            link.close()

    def turn(self, seconds):
        """Waits for something to come, and deals with it."""
        poller = zmq.Poller()
        for link in self.links:
            poller.register(link.socket, zmq.POLLIN)
            poller.register(link.monitor, zmq.POLLIN)
        poller.poll(max(0, min(seconds, 0.25)) * 1000)
        for link in self.links:
            link.receive()
            link.watch()
            link.tick()

    def lost(self, link):
        for call in self.calls.values():
            if call.link is link and not call.final:
                call.final = (PEER_LOST, {"detail": "the connection was lost"})
        for request in self.serving.values():
            if request.link is link:
                request.cancelled = True

    def take(self, link, message):
        if message.type == REQUEST:
            self.serve(Request(self, link, message))
        elif message.type == CANCEL and (message.instance, message.seq) in self.serving:
            self.serving[message.instance, message.seq].cancelled = True
        elif message.seq in self.calls and message.instance == self.instance:
            call = self.calls[message.seq]
            if message.type == PARTIAL:
                call.parts.append(message.body)
            elif message.type == FINAL:
                call.final = (message.status, message.body)

    def serve(self, request):
        self.serving[request.instance, request.seq] = request
        handler = self.methods.get(request.method)
        try:
            if handler:
                handler(request)
            else:
                request.fail(NOT_FOUND, "no such method")
        except Exception as error:  # one bad request must not end the service
            print(f"weather: {request.method}: {error!r}", file=sys.stderr)
            request.fail(INTERNAL, "internal error")

    def begin(self, method, body, ttl_ms, idempotent):
        for link in self.links:
            if link.ready and not link.draining:
                self.links.append(self.links.pop(self.links.index(link)))  # in turns
                self.seq += 1
                call = self.calls[self.seq] = Call(link, self.seq)
                link.send(REQUEST, self.instance, self.seq, IDEMPOTENT if idempotent else 0,
                          ttl_ms=max(1, ttl_ms), method=method, body=body)
                return call
        return None

    def stream(self, method, body, seconds=10, idempotent=False):
        """Yields the parts, and at last the answer. What was not executed is tried again."""
        deadline, call = time.monotonic() + seconds, None
        try:
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Failure(TIMEOUT, self.trouble or "no answer in time")
                if not call:
                    call = self.begin(method, body, int(left * 1000), idempotent)
                self.turn(left)
                while call and call.parts:
                    yield call.parts.pop(0)
                if call and call.final:
                    status, answer = call.final
                    self.calls.pop(call.seq)
                    again = status in (NO_SERVICE, OVERLOADED, DRAINING) or \
                        status == PEER_LOST and idempotent
                    if status == OK:
                        yield answer
                    elif not again:
                        raise Failure(status, answer.get("detail"))
                    if status == OK:
                        return
                    call = None
                    time.sleep(0.02)
        finally:
            if call and not call.final:
                call.link.send(CANCEL, self.instance, call.seq)
                self.calls.pop(call.seq)

    def call(self, method, body, seconds=10, idempotent=False):
        *_, answer = self.stream(method, body, seconds, idempotent)
        return answer


# --- the service -----------------------------------------------------------------------------------

watching = []  # [request, day, seconds between two parts, when the next is due]


def now(request):
    city = request.body.get("city")
    if isinstance(city, str):
        request.answer({"city": city, "temperature": len(city.encode())})
    else:
        request.fail(INVALID, "city: a text is wanted")


def watch(request):
    seconds = max(request.body.get("every_ms", 1000), 10) / 1000
    watching.append([request, 0, seconds, time.monotonic() + seconds])


def send_weather():
    for entry in list(watching):
        request, day, seconds, due = entry
        if not request.wanted():
            watching.remove(entry)
            request.answer({})
            print(f"nobody listens any more after {day} days", flush=True)
        elif time.monotonic() >= due:
            request.part({"day": day, "temperature": day % 30})
            entry[1:] = [day + 1, seconds, due + seconds]


def listed(bus):
    """Does a broker send requests here?"""
    name = f"{bus.instance:016x}"
    return any(name in link.services.get(bus.service, []) for link in bus.links)


def serve(bus):
    """Until SIGTERM; then no more requests are wanted, and those that are here are answered."""
    ends = []
    signal.signal(signal.SIGTERM, lambda *_: ends.append(True))
    while not listed(bus):
        bus.turn(0.25)
    print("serving", flush=True)
    while not ends:
        bus.turn(0.01 if watching else 0.25)
        send_weather()
    for link in bus.links:
        link.send(DRAIN, bus.instance)
    end = time.monotonic() + 5
    while (bus.serving or listed(bus)) and time.monotonic() < end:
        bus.turn(0.01)
        send_weather()


def main(arguments):
    keys = None if os.environ.get("BUS_SECURITY") == "plain" else os.environ["BUS_KEYS"]
    where = (os.environ["BROKER_ENDPOINT"], keys, os.environ.get("BUS_KEY"))
    serves = arguments[:1] == ["serve"]
    bus = Bus(*where, "weather", {"now": now, "watch": watch}) if serves else Bus(*where)
    try:
        if serves:
            serve(bus)
        elif arguments[0] == "call":
            print(json.dumps(bus.call(arguments[1], json.loads(arguments[2]))))
        else:
            parts = bus.stream(arguments[1], json.loads(arguments[2]))
            for _ in range(int(arguments[3])):
                print(json.dumps(next(parts)), flush=True)
            parts.close()
    except Failure as failure:
        print(f"weather: {failure}", file=sys.stderr)
        return 1
    finally:
        bus.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
