"""A thousand runs of one worker that wait for a slow model: their memory, and cancels among them."""
import os
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
from cancels import percentile  # noqa: E402
from client import User, original_token  # noqa: E402
from processes import memory, trees  # noqa: E402
from stack import Stack, wait_until  # noqa: E402

COUNT = int(os.environ.get("BENCH_WAITING", "1000"))
CANCELS = 200


def available():
    """MiB that could be given to programs."""
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no MemAvailable")


def waiting(_world):
    """One worker, so many runs that wait for the model: MB of its processes, KiB that the machine has
    less for each run (all services' share, sockets and page tables included), the rate of starts,
    and milliseconds of cancels: from the worker's word to the last process's end, and from POST to
    its answer"""
    stack = Stack(env={"WORKER_CONCURRENCY": str(COUNT), "LOG_LEVEL": "debug"})
    try:
        user = User(stack, original_token(stack))
        user.finished(user.run("Say hello"), 30)
        before, begun = available(), time.monotonic()
        jobs = [user.run("[sandbox:slow=600] Say hello") for _ in range(COUNT)]
        wait_until(lambda: stack.log("worker-1").count("run_started") > COUNT, 300,
                   "every run has started")
        took = time.monotonic() - begun
        time.sleep(3)  # the last ones ask their model, and give back what they don't need
        each = (before - available()) * 1024 / COUNT
        held = memory(trees([stack.pid("worker-1")]))
        answered = []
        for job in jobs[:CANCELS]:
            at = time.monotonic()
            assert user.cancel(job).json()["status"] == "cancelled"
            answered.append((time.monotonic() - at) * 1000)
        ended = wait_until(lambda: len(killed := re.findall(
            r"run_killed.* ms=(\d+)", stack.log("worker-1"))) >= CANCELS and killed, 60,
            "all are ended")
        ended = [int(ms) for ms in ended]
        return [{"x": COUNT, "worker_mb": held, "kib_each": each, "starts_per_second": COUNT / took,
                 "ended_p50_ms": percentile(ended, 0.5), "ended_p99_ms": percentile(ended, 0.99),
                 "cancel_p50_ms": percentile(answered, 0.5),
                 "cancel_p99_ms": percentile(answered, 0.99)}]
    finally:
        stack.close()


def runs(_world):
    """What a run's process costs, by mcpbus-bench-runs: milliseconds from the order to start it until
    its first question to the model, starts a second in a burst, and KiB that the machine has less
    for each of a thousand that wait for their answer; in PID namespaces of their own, and without"""
    program = pathlib.Path(os.environ["BENCH_LOAD"]).with_name("mcpbus-bench-runs")
    points = []
    for x, arguments in (("isolated", []), ("shared", ["--shared"])):
        text = subprocess.run([program, *arguments], check=True, capture_output=True,
                              text=True).stdout
        points.append({"x": x, **{name: float(value) for name, _, value in
                                  (line.partition(": ") for line in text.splitlines())}})
    return points
