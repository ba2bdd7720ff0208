"""What libmcpbus costs, beside the bus that it is made of."""
import os
import pathlib
import subprocess

WAYS = {"bus": "bus", "library": "library", "threads": "library 8 threads in turn"}


def library(_world):
    """Empty calls a second by mcpbus-bench-calls, broker and service in the same process: a hundred
    under way on the bus itself, a hundred by libmcpbus, and its waiting calls from eight threads."""
    program = pathlib.Path(os.environ["BENCH_LOAD"]).with_name("mcpbus-bench-calls")
    points = []
    for way, name in WAYS.items():
        done = subprocess.run([program, way, "3"], capture_output=True, text=True, timeout=60,
                              check=True)
        points.append({"x": name, "calls_per_second": float(done.stdout.partition(":")[2])})
    return points
