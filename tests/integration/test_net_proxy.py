"""The proxy that makes a network worse does what it says."""
import json
import pathlib
import socket
import subprocess
import sys
import threading
import time

import pytest

from net_proxy import Proxy
from stack import wait_until

PROGRAM = pathlib.Path(__file__).resolve().parent / "net_proxy.py"


class Echo:
    """Sends back what it gets; a thread for each connection."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = self.socket.getsockname()
        self.ended = []  # how each connection did
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                one, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(one,), daemon=True).start()

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)  # else a thread in accept() keeps it
        self.socket.close()

    def serve(self, one):
        with one:
            try:
                while data := one.recv(65536):
                    one.sendall(data)
                self.ended.append("end")
            except ConnectionError:
                self.ended.append("reset")


@pytest.fixture(name="echo_server")
def _echo_server():
    server = Echo()
    yield server
    server.close()


@pytest.fixture(name="proxy")
def _proxy(echo_server):
    with Proxy(echo_server.address) as one:
        yield one


def connect(proxy):
    return socket.create_connection(proxy.address, timeout=10)


def receive(one, count):
    data = b""
    while len(data) < count:
        part = one.recv(65536)
        assert part, f"ended after {len(data)} of {count} bytes"
        data += part
    return data


def ask(one, data=b"hello"):
    """Seconds until it came back."""
    begun = time.monotonic()
    one.sendall(data)
    assert receive(one, len(data)) == data
    return time.monotonic() - begun


def is_silent(one, seconds=0.3):
    one.settimeout(seconds)
    try:
        data = one.recv(1)
        assert data, "the connection has ended"
        return False
    except TimeoutError:
        return True
    finally:
        one.settimeout(10)


def test_everything_passes_in_order(proxy):
    data = bytes(range(256)) * 8000
    with connect(proxy) as one, connect(proxy) as other:
        sender = threading.Thread(target=one.sendall, args=(data,))
        sender.start()
        ask(other)
        assert receive(one, len(data)) == data
        sender.join()
        one.shutdown(socket.SHUT_WR)
        assert one.recv(1) == b"", "an end passes too"
    assert proxy.passed("up") == proxy.passed("down") == len(data) + 5
    wait_until(lambda: proxy.count() == 0, 10, "the connections are forgotten")


def test_late_lossy_and_slow(proxy):
    with connect(proxy) as one:
        ask(one)
        proxy.set("up", delay=0.15)
        assert ask(one) >= 0.15
        proxy.set(delay=0.1, jitter=0.05)
        assert ask(one) >= 0.2
        proxy.set(delay=0.0, jitter=0.0, rate=20_000)
        assert ask(one, bytes(4000)) >= 0.15
        proxy.set(rate=0)
        proxy.set("down", loss=0.5)
        wait_until(lambda: ask(one) >= 0.2, 20, "a lost packet")
        proxy.clear()
        ask(one)


def test_silence(proxy, echo_server):
    with connect(proxy) as one:
        ask(one)
        proxy.stall()
        with connect(proxy) as other:
            one.sendall(b"held")
            other.sendall(b"too")
            assert is_silent(one) and is_silent(other)
            proxy.resume()
            assert receive(one, 4) == b"held"
            assert receive(other, 3) == b"too"
        proxy.stall("down")
        one.sendall(b"heard")
        assert is_silent(one)
        wait_until(lambda: proxy.passed("up") == 17, 10, "the other way is open")
        proxy.resume()
        assert receive(one, 5) == b"heard"
        proxy.stall("up")
        ended = len(echo_server.ended)
        one.shutdown(socket.SHUT_WR)
        assert is_silent(one)
        assert len(echo_server.ended) == ended, "an end is held as well"
        proxy.resume()
        assert one.recv(1) == b""


def test_cut(proxy, echo_server):
    with connect(proxy) as one:
        ask(one)
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            one.recv(1)
        wait_until(lambda: "reset" in echo_server.ended, 10, "the server is told")
    with connect(proxy) as one:
        ask(one)
        proxy.stall()
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            one.recv(1)
        proxy.resume()


def test_after_some_bytes(proxy):
    with connect(proxy) as one:
        ask(one)
        proxy.stall_after(3, "down")
        one.sendall(b"abcdef")
        assert receive(one, 3) == b"abc"
        assert is_silent(one)
        proxy.resume()
        assert receive(one, 3) == b"def"
        proxy.cut_after(2, "up")
        one.sendall(b"xyz")
        with pytest.raises(ConnectionResetError):
            while one.recv(16):
                pass
    with connect(proxy) as one:
        ask(one)


def test_refused(proxy):
    address = proxy.address
    with connect(proxy) as one:
        ask(one)  # asyncio forgets a connection that is not set up yet when its listener is closed
        proxy.refuse()
        ask(one)
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        proxy.accept()
        assert proxy.address == address
        with connect(proxy) as other:
            ask(other)


def test_nobody_behind_it():
    server = Echo()
    server.close()
    with Proxy(server.address) as proxy:
        with pytest.raises(ConnectionResetError), connect(proxy) as one:
            one.recv(1)


def test_as_a_program(echo_server):
    target = f"127.0.0.1:{echo_server.address[1]}"
    with subprocess.Popen([sys.executable, str(PROGRAM), f"127.0.0.1:0={target}",
                           f"127.0.0.1:0={target}"], text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as program:
        def order(**what):
            program.stdin.write(json.dumps(what) + "\n")
            program.stdin.flush()
            answer = json.loads(program.stdout.readline())
            assert answer["ok"]
            return answer["value"]

        addresses = json.loads(program.stdout.readline())["listening"]
        with socket.create_connection(addresses[0], timeout=10) as one, \
                socket.create_connection(addresses[1], timeout=10) as other:
            ask(one)
            order(at=0, do="stall")
            one.sendall(b"x")
            assert is_silent(one)
            ask(other)
            assert order(at=1, do="count") == 1
            order(at=0, do="resume", way=None)
            assert receive(one, 1) == b"x"
        program.stdin.close()
        assert program.wait(10) == 0
