"""How ours behaves when something grows: the history, connections, replicas, workers, dead rows.
Each is a function of a World and gives a list of {x: …, figure: …}; they run only when asked for."""
import contextlib
import os
import random
import secrets
import subprocess
import time

import psycopg2

from library import library
from measures import CONNECTIONS, Tools, rate
from ours import Ours

SECONDS = float(os.environ.get("BENCH_SECONDS", "4"))
DRAIN_JOBS = 20000
OTHER_USERS = 5000
# Half of them one user's, who asks; a second apart, the newest `hours` ago.
FILL = """
INSERT INTO job_data (id, user_id, message, status, result, created_at, updated_at, completed_at,
                      attempts, events, started_at)
SELECT substr(u, 1, 8) || '-' || substr(u, 9, 4) || '-7' || substr(u, 13) || to_hex(n), CASE n %% 2
       WHEN 0 THEN 'bench' ELSE 'user' || n %% {users} END, 'hello', 'completed', 'echo: hello',
       at, at, at, 1, 3, at
FROM generate_series(%s, %s) n, LATERAL (SELECT now() - %s * interval '1 hour'
     - (%s - n) * interval '1 s' AS at) a,
     LATERAL (SELECT lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
              || lpad(to_hex(n %% 4096), 3, '0') || '-8000-' AS u) b
""".format(users=OTHER_USERS)


def around(word):
    """BENCH_AROUND: a command that whoever shares the machine wants to be called around what is
    measured, with "begin" and "end"."""
    if os.environ.get("BENCH_AROUND"):
        subprocess.run([os.environ["BENCH_AROUND"], word], check=True)


class World:
    """Where servers are made."""

    def __init__(self, new_database, make_token, load):
        self.new_database, self.make_token, self.load = new_database, make_token, load
        self.failures = 0

    @contextlib.contextmanager
    def server(self, scale=None, env=None):
        """(server, tools), warm."""
        secret = secrets.token_hex(32)
        server = Ours(self.new_database(), secret, scale, env)
        try:
            tools = Tools(server, self.make_token(secret), self.load)
            tools.post_jobs("--connections", 8, "--requests", 50)
            tools.wait_drained()
            yield server, tools
            self.failures += sum(tools.notes.values())
        finally:
            server.close()


@contextlib.contextmanager
def measuring():
    around("begin")
    try:
        yield
    finally:
        around("end")


def execute(tools, query, *args):
    with contextlib.closing(psycopg2.connect(tools.server.database_url)) as connection:
        connection.autocommit = True
        connection.cursor().execute(query, args)


def fill(tools, begin, end, hours):
    step = 250000
    for n in range(begin, end, step):
        execute(tools, FILL, n + 1, min(n + step, end), hours, end)
    # What came by hand into the past is counted anew.
    execute(tools, "DELETE FROM job_totals")
    execute(tools, "VACUUM ANALYZE job_data")
    execute(tools, "CHECKPOINT")


def live(tools, seconds=SECONDS, connections=CONNECTIONS, jobs=None):
    """Rates of acceptance and of completion while jobs come, with latencies: for a time, or so many
    jobs."""
    begun = tools.clock()
    load = tools.post_jobs("--connections", connections,
                           *(("--requests", jobs) if jobs else ("--seconds", seconds)))
    # What is too much is told so; that is no failure.
    refused = load.get("status_503", 0)
    if refused:
        tools.note("not_200_or_broken", -refused)
    tools.wait_drained()
    count, _, last = tools.sql(
        "SELECT count(*), min(completed_at), max(completed_at) FROM job_data"
        " WHERE user_id = 'bench' AND created_at >= %s AND status = 'completed'", begun)
    return {"accepted": load["rate"], "p50_ms": load["p50_ms"], "p99_ms": load["p99_ms"],
            "ended": rate(count, begun, last), "refused": refused}


def drain(server, tools, jobs=DRAIN_JOBS):
    server.stop_worker()
    begun = tools.clock()
    try:
        tools.post_jobs("--connections", CONNECTIONS, "--requests", jobs)
    finally:
        server.start_worker()
    tools.wait_drained()
    count, first, last = tools.sql(
        "SELECT count(*), min(completed_at), max(completed_at) FROM job_data"
        " WHERE user_id = 'bench' AND created_at >= %s AND status = 'completed'", begun)
    return rate(count, first, last)


def sample_ids(tools, count):
    """Ids of some of the asking user's jobs, of any age, in a file."""
    with contextlib.closing(psycopg2.connect(tools.server.database_url)) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT id FROM job_data TABLESAMPLE SYSTEM (%s) WHERE user_id = 'bench'"
                       " LIMIT %s", (100 if count < 30000 else 10, count))
        ids = [row[0] for row in cursor]
    random.Random(1).shuffle(ids)
    with open(tools.ids, "w", encoding="ascii") as out:
        out.writelines(f"{job_id}\n" for job_id in ids)


def gets(tools, name, path, *options):
    load = tools.load("--path", path, "--connections", CONNECTIONS, "--seconds", SECONDS / 2,
                      *options)
    return {name: load["rate"], f"{name}_p50_ms": load["p50_ms"], f"{name}_p99_ms": load["p99_ms"]}


def history(world):
    """Rates against the number of jobs kept."""
    points, there = [], 0
    with world.server() as (server, tools):
        for kept in (10000, 100000, 1000000, 5000000):
            fill(tools, there, kept, 1)
            there = kept
            sample_ids(tools, 20000)
            with measuring():
                # The first list counts them all, once.
                first = tools.load("--path", "/jobs", "--requests", 1)["max_ms"]
                time.sleep(1)
                # Lists before the rest: what came in the last ten seconds they count themselves.
                points.append({"x": kept, "first_list_ms": first, **gets(tools, "jobs", "/jobs"),
                               **gets(tools, "jobs_failed", "/jobs?status=failed"),
                               **gets(tools, "result", "/result/{id}", "--ids", tools.ids),
                               **live(tools), "drained": drain(server, tools)})
    return points


def connections(world):
    """Against the number of clients' connections."""
    points = []
    with world.server() as (_, tools), measuring():
        for count in (1, 4, 16, 64, 256, 1000, 4000, 10000):
            points.append({"x": count, **live(tools, SECONDS, count)})
    return points


def replicas(world):
    """With two and three of each service, and of all."""
    services = ("gateway", "broker", "jobs", "worker")
    cases = [("one of each", {})]
    for n in (2, 3):
        cases += [(f"{n} × {service}", {service: n}) for service in services]
        cases.append((f"{n} × all", dict.fromkeys(services, n)))
    points = []
    for name, scale in cases:
        with world.server(scale) as (_, tools), measuring():
            points.append({"x": name, **live(tools)})
    return points


def workers(world):
    """Against the number of workers and the runs that each has at once."""
    points = []
    for count, each in ((1, 1), (1, 4), (1, 16), (1, 64), (1, 256), (2, 16), (4, 16), (4, 64)):
        with world.server({"worker": count}, {"WORKER_CONCURRENCY": str(each)}) as \
                (_, tools), measuring():
            points.append({"x": f"{count} × {each}",
                           **live(tools, jobs=min(20000, 1000 * count * each))})
    return points


def held(world):
    """Rates over time, first without, then with a transaction that is held open all the while, so
    that no dead row can be taken away."""
    points = []
    for holds in (False, True):
        with world.server() as (_, tools), measuring(), contextlib.closing(
                psycopg2.connect(tools.server.database_url)) as connection:
            if holds:
                connection.set_session(isolation_level="REPEATABLE READ")
                connection.cursor().execute("SELECT count(*) FROM job_queue")
            begun = time.monotonic()
            for _ in range(8):
                point = live(tools, SECONDS)
                size, scan = queue_state(tools)
                points.append({"x": round(time.monotonic() - begun, 1), "held": holds, **point,
                               "queue_mb": size, "queue_scan_ms": scan})
            connection.rollback()
    return points


def queue_state(tools):
    """MB of the queue's table, and how long one walk through it takes, without a job in it."""
    size = tools.sql("SELECT pg_total_relation_size('job_queue')")[0] / 1e6
    begun = time.monotonic()
    tools.sql("SELECT count(*) FROM job_queue")
    return size, (time.monotonic() - begun) * 1000


def retention(world):
    """Rates beside a sweep of old jobs, and how quick it is alone."""
    points = []
    with world.server(env={"JOB_RETENTION_DAYS": "1"}) as (server, tools):
        execute(tools, "UPDATE job_upkeep SET next_at = 'infinity'")
        fill(tools, 0, 500000, 25)
        with measuring():
            for x, when in (("without", "infinity"), ("beside a sweep", "now"),
                            ("without, again", "infinity")):
                execute(tools, "UPDATE job_upkeep SET next_at = %s", when)
                # The replicas look every ten seconds.
                if when == "now":
                    wait_for(tools, "SELECT place_user <> '' FROM job_upkeep")
                before, begun = old_rows(tools), time.monotonic()
                points.append({"x": x, **live(tools, SECONDS * 2)})
                took = time.monotonic() - begun
                points[-1]["swept"] = (before - old_rows(tools)) / took
        execute(tools, "UPDATE job_upkeep SET next_at = now()")
        wait_for(tools, "SELECT place_user <> '' FROM job_upkeep")
        before, begun = old_rows(tools), time.monotonic()
        wait_for(tools, "SELECT next_at > now() + interval '1 minute' FROM job_upkeep")
        took = time.monotonic() - begun
        points.append({"x": "the sweep alone", "swept": (before - old_rows(tools)) / took,
                       "seconds": took})
        server.stack.wait_healthy()
    return points


def wait_for(tools, query, seconds=600):
    end = time.monotonic() + seconds
    while not tools.sql(query)[0]:
        if time.monotonic() > end:
            raise RuntimeError(f"not within {seconds} s: {query}")
        time.sleep(0.05)


def old_rows(tools):
    """How many jobs are past their time."""
    return tools.sql("SELECT count(*) FROM job_data"
                     " WHERE completed_at < now() - interval '1 day'")[0]


SCALING = {"history": history, "connections": connections, "replicas": replicas,
           "workers": workers, "held": held, "retention": retention, "library": library}
