"""What is measured of one server, ours or the peer: each is a function of (server, tools)."""
import contextlib
import os
import pathlib
import statistics
import subprocess
import time

import psycopg2

import processes

MESSAGE = "hello"
BODY = '{"message": "%s"}' % MESSAGE
DRAIN_SECONDS = 120
CONNECTIONS = 64


class Failure(Exception):
    """A figure that would not be true."""


class Tools:
    """The load generator and the database of one server."""

    def __init__(self, server, token, load):
        self.server, self.token, self.load_program = server, token, load
        self.ids = str(pathlib.Path(os.environ["MCPBUS_TEST_DIR"]) / f"ids-{server.name}")
        self.expected = 0
        self.notes = {}

    def load(self, *arguments):
        """{name: number} of one run of the load generator."""
        command = [self.load_program, "--port", str(self.server.port), *map(str, arguments)]
        done = subprocess.run(command, env={**os.environ, "LOAD_TOKEN": self.token},
                              capture_output=True, text=True, timeout=300, check=False)
        if done.returncode not in (0, 3):
            raise Failure(f"{command}: {done.stderr}")
        figures = {name: float(value) for name, _, value in
                   (line.partition(": ") for line in done.stdout.splitlines())}
        if done.returncode == 3 or figures["ok"] != figures["requests"]:
            self.note("not_200_or_broken", figures["requests"] - figures["ok"] + figures["errors"])
            print(f"# {self.server.name}: {done.stdout}{done.stderr}".replace("\n", "; "))
        return figures

    def note(self, name, count):
        self.notes[name] = self.notes.get(name, 0) + count

    def post_jobs(self, *arguments):
        figures = self.load("--method", "POST", "--path", "/run", "--body", BODY, *arguments)
        self.expected += int(figures["ok"])
        return figures

    def sql(self, query, *args):
        with contextlib.closing(psycopg2.connect(self.server.database_url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(query, args)
                return cursor.fetchone()

    def clock(self):
        return self.sql("SELECT clock_timestamp()")[0]

    def wait_drained(self):
        end = time.monotonic() + DRAIN_SECONDS
        while self.sql(self.server.unfinished)[0]:
            if time.monotonic() > end:
                raise Failure(f"{self.server.name}: jobs have not ended in {DRAIN_SECONDS} s")
            time.sleep(0.05)

    def completed_since(self, begun):
        """Count, first and last completion of jobs that were completed since."""
        return self.sql("SELECT count(*), min(completed_at), max(completed_at) FROM job_records"
                        " WHERE completed_at >= %s AND status = 'completed'", begun)

    def check_all(self):
        """Each accepted job is there once, completed with its own answer."""
        total, good = self.sql(
            "SELECT count(*), count(*) FILTER (WHERE status = 'completed' AND result = %s)"
            " FROM job_records", f"echo: {MESSAGE}")
        self.note("jobs", total)
        self.note("jobs_wrong", total - good)
        self.note("jobs_lost", max(0, self.expected - total))
        self.note("jobs_unasked", max(0, total - self.expected))


def rate(count, begun, ended):
    return count / max((ended - begun).total_seconds(), 1e-6)


def live(server, tools):
    """accept with workers running, and end to end: POST to the last completion."""
    begun = tools.clock()
    load = tools.post_jobs("--connections", CONNECTIONS, "--requests", server.jobs["live"],
                           "--ids-out", tools.ids)
    tools.wait_drained()
    count, _, last = tools.completed_since(begun)
    return {"accept_running": load["rate"], "accept_running_p50_ms": load["p50_ms"],
            "accept_running_p99_ms": load["p99_ms"], "end_to_end": rate(count, begun, last)}


def drain(server, tools):
    """accept with the worker stopped, then the drain of what was queued."""
    server.stop_worker()
    try:
        load = tools.post_jobs("--connections", CONNECTIONS, "--requests", server.jobs["drain"])
        begun = tools.clock()
    finally:
        server.start_worker()
    tools.wait_drained()
    count, first, last = tools.completed_since(begun)
    return {"accept_stopped": load["rate"], "accept_stopped_p50_ms": load["p50_ms"],
            "accept_stopped_p99_ms": load["p99_ms"],
            "drain": rate(count, first, last), "drain_with_start": rate(count, begun, last)}


def lone(server, tools):
    """One job after another on an idle system, POST until the result is there."""
    load = tools.load("--job", "--method", "POST", "--path", "/run", "--body", BODY, "--requests",
                      server.jobs["lone"], *server.lone_options)
    tools.expected += int(load["requests"])
    return {"lone_p50_ms": load["p50_ms"], "lone_p90_ms": load["p90_ms"],
            "lone_p99_ms": load["p99_ms"]}


def result(_server, tools):
    """GET /result of ended jobs, each a different one."""
    if not os.path.exists(tools.ids):
        tools.post_jobs("--connections", CONNECTIONS, "--requests", 500, "--ids-out", tools.ids)
        tools.wait_drained()
    load = tools.load("--path", "/result/{id}", "--ids", tools.ids, "--connections", CONNECTIONS,
                      "--seconds", 3)
    return {"result": load["rate"], "result_p50_ms": load["p50_ms"],
            "result_p99_ms": load["p99_ms"]}


def me(_server, tools):
    load = tools.load("--path", "/me", "--connections", CONNECTIONS, "--seconds", 3)
    return {"me": load["rate"], "me_p50_ms": load["p50_ms"], "me_p99_ms": load["p99_ms"]}


def memory(server, _tools):
    return {"memory_mb": processes.memory(server.pids())}


def curve(_server, tools):
    """Latency percentiles of accepts against load."""
    figures = {}
    for connections in (1, 4, 16, 64, 256):
        load = tools.post_jobs("--connections", connections, "--seconds", 1.5)
        tools.wait_drained()
        figures[f"curve_{connections}"] = load["rate"]
        for part in ("p50", "p90", "p99"):
            figures[f"curve_{connections}_{part}_ms"] = load[f"{part}_ms"]
    return figures


def start(server, _tools):
    return {"start_ms": statistics.median(server.start_times(5)) * 1000}


# In this order; memory comes first, before any load, and start stops the server.
MEASURES = {"memory": memory, "lone": lone, "live": live, "drain": drain, "result": result,
            "me": me, "curve": curve, "start": start}
