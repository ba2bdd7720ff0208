"""Cancels of runs that are blocked in their model call, or in a tool call."""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
from cancels import cancel_stack, measure, percentile  # noqa: E402

COUNT = int(os.environ.get("BENCH_CANCELS", "200"))


def cancel(_world):
    """POST cancel until no process of the run is left and the result says so, milliseconds"""
    folder = pathlib.Path(os.environ["MCPBUS_TEST_DIR"])
    stack = cancel_stack(folder)
    try:
        points = []
        for kind in ("model", "tool"):
            took = [seconds * 1000 for seconds in measure(stack, kind, COUNT, at_once=20)]
            points.append({"x": kind, "count": len(took), "p50_ms": percentile(took, 0.5),
                           "p90_ms": percentile(took, 0.9), "p99_ms": percentile(took, 0.99),
                           "max_ms": max(took)})
        return points
    finally:
        stack.close()
