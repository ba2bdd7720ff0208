"""Strangers at a broker's door: raw ZMTP, byte by byte, and a load that must not notice them."""
import contextlib
import os
import pathlib
import socket
import struct
import threading
import time

from stack import slow, unique, wait_until

LONG, COMMAND, MORE = 2, 4, 1


def greeting(mechanism=b"CURVE", version=(3, 0), as_server=0):
    """ZMTP 3: signature, version, mechanism, as-server, filler."""
    return b"\xff" + bytes(8) + b"\x7f" + bytes(version) + mechanism.ljust(20, b"\0") \
        + bytes([as_server]) + bytes(31)


def frame(payload, flags=0, announced=None):
    size = len(payload) if announced is None else announced
    if size < 256 and not flags & LONG:
        return bytes([flags, size]) + payload
    return bytes([flags | LONG]) + struct.pack("!Q", size) + payload


def command(name, payload=b"", announced=None):
    body = bytes([len(name)]) + name + payload
    return frame(body, COMMAND, announced)


def dial(endpoint):
    host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=10 * slow())


def is_closed(sock):
    """What still comes is read."""
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        try:
            while sock.recv(65536):
                pass
            return True
        except ConnectionError:
            return True
    return False


def shout(sock, data):
    """As much as the other side lets us send."""
    sock.settimeout(5 * slow())
    with contextlib.suppress(OSError):
        sock.sendall(data)


def wait_closed(socks, seconds=15):
    """The other side closes each; libzmq's own patience with a handshake is 3 s here."""
    left = list(socks)

    def none_left():
        left[:] = [sock for sock in left if not is_closed(sock)]
        return not left
    wait_until(none_left, seconds, f"{len(left)} connections of strangers are closed")
    for sock in socks:
        sock.close()


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


class Load:
    """Jobs, one after the other, as long as the block runs: each is accepted and completed."""

    def __init__(self, stack):
        self.stack, self.jobs, self.error = stack, 0, None
        self.token = stack.token(unique("undisturbed"))
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            while not self.end.is_set():
                job_id = self.stack.post_run(self.token, f"job {self.jobs}")
                self.stack.wait_job(self.token, job_id, 30, "completed")
                self.jobs += 1
        except BaseException as error:  # pylint: disable=broad-except
            self.error = error

    def __enter__(self):
        self.thread.start()
        self.wait_more(1)
        return self

    def wait_more(self, count):
        """So many jobs more from now on."""
        goal = self.jobs + count
        wait_until(lambda: self.error or self.jobs >= goal, 30, "jobs go on")
        assert self.error is None, self.error

    def __exit__(self, *exception):
        self.end.set()
        self.thread.join(120)
        if exception[0] is None:
            assert self.error is None, self.error


class Broker:
    """The first broker of a stack, as its host sees it."""

    def __init__(self, stack):
        self.stack = stack
        self.endpoint = stack.vars["BROKER_ENDPOINT"].split(",")[0]
        self.pid = stack.pid("broker-1")
        self.files, self.mib = open_files(self.pid), resident_mib(self.pid)

    def wait_calm(self, mib=64):
        """The same process, with as many files as before, and about the memory. Sanitizers keep
        what was freed: there memory tells nothing."""
        assert self.stack.pid("broker-1") == self.pid
        wait_until(lambda: open_files(self.pid) <= self.files + 4, 20, "connections are closed")
        if slow() == 1:
            wait_until(lambda: resident_mib(self.pid) < self.mib + mib, 20,
                       f"the broker had {self.mib:.0f} MiB and has {resident_mib(self.pid):.0f}")
        time.sleep(0)
