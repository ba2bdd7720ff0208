"""Watches a system's processes: memory and open files of each service, over time."""
import contextlib
import os
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bench"))
import processes  # noqa: E402

SERVICES = ("gateway", "broker", "auth", "jobs", "worker")
MB_MORE, FILES_MORE = 64, 40  # for each process of a service: more than this is a leak


def files_of(pids):
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += len(os.listdir(f"/proc/{pid}/fd"))
    return total


def look(stack):
    """{service: (MB, files)} of all its replicas with what they have started."""
    found = {}
    for service in SERVICES:
        pids = processes.trees(stack.pids(service).values())
        found[service] = (round(processes.memory(pids), 2), files_of(pids))
    return found


class Watch:
    """Samples every ten seconds until it is closed."""

    def __init__(self, stack):
        self.stack = stack
        self.begun = time.time()
        self.samples = []
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def start(self):
        self.thread.start()

    def take(self):
        # A pid file may be gone or empty for a moment while its process is started again.
        with contextlib.suppress(OSError, ValueError):
            self.samples.append((round(time.time() - self.begun, 1), look(self.stack)))

    def run(self):
        while not self.stopped.wait(10):
            self.take()

    def close(self):
        self.stopped.set()
        if self.thread.is_alive():
            self.thread.join()

    def figures(self):
        first, last = self.samples[0][1], self.samples[-1][1]
        found = {}
        for service in SERVICES:
            found[f"{service}_mb_begin"], found[f"{service}_files_begin"] = first[service]
            found[f"{service}_mb_end"], found[f"{service}_files_end"] = last[service]
            found[f"{service}_mb_most"] = max(sample[service][0] for _, sample in self.samples)
        return found

    def findings(self):
        """What stayed open or in memory once nothing was left to do."""
        first, last = self.samples[0][1], self.samples[-1][1]
        for service in SERVICES:
            more_mb = last[service][0] - first[service][0]
            more_files = last[service][1] - first[service][1]
            if more_mb > 2 * MB_MORE:
                yield ("memory", "", f"{service}: {first[service][0]} MB, then {last[service][0]}")
            if more_files > 2 * FILES_MORE:
                yield ("open files", "", f"{service}: {first[service][1]}, then {last[service][1]}")
