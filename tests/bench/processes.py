"""Processes of the benchmarks: started in sessions of their own, stopped by pid, weighed."""
import contextlib
import http.client
import os
import pathlib
import signal
import socket
import subprocess
import time


class Group:
    """Processes that end together."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.running = {}

    def start(self, name, command, env=None, cwd=None):
        with open(self.folder / f"{name}.log", "ab") as log:
            self.running[name] = subprocess.Popen(
                command, env=env, cwd=cwd or self.folder, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True)

    def stop(self, *names):
        ending = [self.running.pop(name) for name in names or list(self.running)]
        for process in ending:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in ending:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                pass
            # What is left of its session: a pool that outlived its parent.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def pids(self):
        return trees(process.pid for process in self.running.values())


def trees(roots):
    """The pids and all their descendants."""
    children = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found, todo = [], list(roots)
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def memory(pids):
    """MB of memory, shared pages counted in shares."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_healthy(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_healthy(port, seconds=30):
    end = time.monotonic() + seconds
    while not is_healthy(port):
        if time.monotonic() > end:
            raise RuntimeError(f"no healthy answer on port {port} in {seconds} s")
        time.sleep(0.001)


def time_to_healthy(commands, folder, port):
    """Seconds from the start of all [(command, env)] at once; they are stopped again."""
    group = Group(folder)
    begun = time.monotonic()
    try:
        for number, (command, env) in enumerate(commands):
            group.start(f"start-{number}", command, env)
        wait_healthy(port)
        return time.monotonic() - begun
    finally:
        group.stop()
