"""A TCP proxy of the tests that makes a network worse: late, slow, lossy, silent, cut.

In a test:

    with Proxy(("127.0.0.1", 5550)) as link:     # listens on a free port of loopback
        use(f"tcp://127.0.0.1:{link.port}")
        link.set(delay=0.1, jitter=0.05)         # both ways; seconds
        link.set("down", loss=0.1)               # what the server says
        link.stall()                             # accepted and held: nothing passes, nothing ends
        link.stall("up")                         # one way alone: the server hears nothing
        link.resume()                            # what was held passes now, as TCP sends it again
        link.cut()                               # RST to both ends of every connection
        link.refuse(); link.accept()             # the door shut (ECONNREFUSED), and open again
        link.cut_after(1000, "down")             # RST once so many more bytes have passed
        link.stall_after(1000)                   # silence from then on

"up" is from the client to the server, "down" is back. Every call may come from any thread and has
happened when it returns.

As a program, for a network namespace: net_proxy.py HOST:PORT=HOST:PORT… (where to listen, where to
go). It prints {"listening": [[host, port], …]} and then obeys lines of JSON from its input, such as
{"at": 0, "do": "set", "way": "up", "delay": 0.1}, and answers each with {"ok": true}; it ends with
its input."""
import asyncio
import contextlib
import json
import random
import socket
import struct
import sys
import threading
import time

CHUNK = 16 * 1024
HELD = 64  # chunks of one direction that wait in here; beyond, TCP's own windows fill
RETRANSMISSION = 0.2  # what a lost packet costs a TCP connection, at least
WAYS = ("up", "down")
RESET = object()


class Rules:
    """How one direction is. Read anew for each chunk."""

    def __init__(self):
        self.delay = 0.0  # seconds
        self.jitter = 0.0  # up to so many seconds more
        self.loss = 0.0  # the share of chunks that wait for a retransmission; the rest waits behind
        self.rate = 0  # bytes a second; 0: as they come
        self.left = None  # bytes until `then` ("cut" or "stall")
        self.then = None
        self.passed = 0  # bytes so far
        self.open = asyncio.Event()
        self.open.set()

    def due(self):
        late = self.delay + random.uniform(0, self.jitter)
        while self.loss and random.random() < self.loss:
            late += RETRANSMISSION
        return time.monotonic() + late

    def part(self, data):
        """What may pass now, and what may not."""
        if self.left is None:
            return data, b""
        return data[:self.left], data[self.left:]


class Connection:
    def __init__(self, proxy, client):
        self.proxy = proxy
        self.writers = [client]

    def reset(self):
        for writer in self.writers:
            reset(writer)

    async def serve(self, reader, writer):
        for way in WAYS:  # a network that passes nothing lets no connection be made
            await self.proxy.rules[way].open.wait()
        try:
            server = await asyncio.open_connection(*self.proxy.target)
        except OSError:
            self.reset()
            return
        self.writers.append(server[1])
        if self not in self.proxy.connections:  # it was cut meanwhile
            self.reset()
            return
        await asyncio.gather(self.pump(reader, server[1], self.proxy.rules["up"]),
                             self.pump(server[0], writer, self.proxy.rules["down"]))

    async def pump(self, reader, writer, rules):
        queue = asyncio.Queue(HELD)
        taking = asyncio.ensure_future(take(reader, queue, rules))
        try:
            await self.give(queue, writer, rules)
        except OSError:
            self.reset()
        finally:
            taking.cancel()

    async def give(self, queue, writer, rules):
        last = 0.0
        while True:
            due, data = await queue.get()
            last = max(last, due)  # a stream keeps its order
            await asyncio.sleep(max(0, last - time.monotonic()))
            await rules.open.wait()
            if data is RESET:
                self.reset()
                return
            if not data:
                with contextlib.suppress(OSError):
                    writer.write_eof()
                return
            await self.pass_on(data, writer, rules)

    async def pass_on(self, data, writer, rules):
        while data:
            await rules.open.wait()
            now, data = rules.part(data)
            if rules.rate:
                await asyncio.sleep(len(now) / rules.rate)
            if now:
                writer.write(now)
                await writer.drain()
                rules.passed += len(now)
                if rules.left is not None:
                    rules.left -= len(now)
            if rules.left == 0:
                self.proxy.reached(rules)


async def take(reader, queue, rules):
    while True:
        try:
            data = await reader.read(CHUNK)
        except OSError:
            data = RESET
        await queue.put((rules.due(), data))
        if data is RESET or not data:
            return


def reset(writer):
    with contextlib.suppress(OSError, AttributeError):
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def bound(address):
    one = socket.socket(socket.AF_INET)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(address)
    return one


class Loop:
    """One thread for all proxies of the process."""
    one = None
    lock = threading.Lock()

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    @classmethod
    def call(cls, coroutine):
        with cls.lock:
            cls.one = cls.one or Loop()
        return asyncio.run_coroutine_threadsafe(coroutine, cls.one.loop).result(30)


class Proxy:
    """target, listen: (host, port); port 0: a free one."""

    def __init__(self, target, listen=("127.0.0.1", 0)):
        self.target = target
        self.connections = set()
        self.rules = {}
        self.tasks = set()
        self.server = None
        self.holder = None
        self.address = listen
        Loop.call(self._start())

    @property
    def port(self):
        return self.address[1]

    async def _start(self):
        self.rules = {way: Rules() for way in WAYS}
        await self._listen()

    async def _listen(self):
        """A second socket keeps the port while the door is shut: nobody else gets it meanwhile, and no
        connection to it begins at that very port and meets itself."""
        if not self.holder:
            self.holder = bound(self.address)
            self.address = self.holder.getsockname()[:2]
        self.server = await asyncio.start_server(self._accepted, sock=bound(self.address),
                                                 limit=CHUNK)

    async def _accepted(self, reader, writer):
        connection = Connection(self, writer)
        self.connections.add(connection)
        self.tasks.add(asyncio.current_task())
        try:
            await connection.serve(reader, writer)
        except asyncio.CancelledError:  # the proxy is closed
            pass
        finally:
            self.tasks.discard(asyncio.current_task())
            self.connections.discard(connection)
            for one in connection.writers:
                one.close()

    def _ways(self, way):
        assert way in (None, *WAYS), way
        return [self.rules[name] for name in WAYS if way in (None, name)]

    def reached(self, rules):
        """The bytes of cut_after or stall_after have passed."""
        then, rules.left, rules.then = rules.then, None, None
        if then == "stall":
            rules.open.clear()
        else:
            self._cut()

    def _cut(self):
        for connection in list(self.connections):
            connection.reset()
        self.connections.clear()

    def _do(self, function):
        async def run():
            return function()
        return Loop.call(run())

    def set(self, way=None, **values):
        """delay, jitter (seconds), loss (0…1), rate (bytes a second)."""
        assert values.keys() <= {"delay", "jitter", "loss", "rate"}, values

        def change():
            for rules in self._ways(way):
                for name, value in values.items():
                    setattr(rules, name, value)
        self._do(change)

    def clear(self):
        """As if there were no proxy; what was held passes."""
        self.set(delay=0.0, jitter=0.0, loss=0.0, rate=0)
        self._after(None, None, None)
        self.resume()
        self.accept()

    def stall(self, way=None):
        self._do(lambda: [rules.open.clear() for rules in self._ways(way)])

    def resume(self, way=None):
        self._do(lambda: [rules.open.set() for rules in self._ways(way)])

    def cut(self):
        self._do(self._cut)

    def _after(self, count, way, then):
        def change():
            for rules in self._ways(way):
                rules.left, rules.then = count, then
        self._do(change)

    def cut_after(self, count, way=None):
        self._after(count, way, "cut")

    def stall_after(self, count, way=None):
        self._after(count, way, "stall")

    def refuse(self):
        async def stop():
            if self.server:
                self.server.close()
                self.server = None
        Loop.call(stop())

    def accept(self):
        async def start():
            if not self.server:
                await self._listen()
        Loop.call(start())

    def count(self):
        """Connections now."""
        return self._do(lambda: len(self.connections))

    def passed(self, way):
        """Bytes so far, of all connections."""
        return self.rules[way].passed

    def close(self):
        async def stop():
            tasks = list(self.tasks)
            self._cut()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.refuse()
        Loop.call(stop())
        self.holder.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def address_of(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


def main():
    proxies = []
    for argument in sys.argv[1:]:
        listen, _, target = argument.partition("=")
        proxies.append(Proxy(address_of(target), address_of(listen)))
    print(json.dumps({"listening": [proxy.address for proxy in proxies]}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        proxy, name = proxies[order.pop("at")], order.pop("do")
        assert name in ("set", "clear", "stall", "resume", "cut", "cut_after", "stall_after",
                        "refuse", "accept", "count", "passed"), name
        print(json.dumps({"ok": True, "value": getattr(proxy, name)(**order)}), flush=True)


if __name__ == "__main__":
    main()
