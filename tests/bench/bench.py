#!/usr/bin/python3
"""./dev bench: ours and the peers in turns in one run. BENCH_ROUNDS rounds, medians of them."""
import datetime
import json
import os
import pathlib
import platform
import secrets
import statistics
import subprocess
import sys
import time

import jwt
import psycopg2

import npm_queues
import plot
import scaling_plot
from cancel import cancel
from measures import MEASURES, Failure, Tools
from ours import Ours
from peer import Peer
from scaling import SCALING, World
from waiting import runs, waiting

SCALING |= {"cancel": cancel, "runs": runs, "waiting": waiting}
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# figure, what it is, where less is better
RATIOS = (("accept_running", "POST /run, worker running", False),
          ("accept_stopped", "POST /run, worker stopped", False),
          ("end_to_end", "POST to completed", False),
          ("drain", "drain of what was queued", False),
          ("lone_p50_ms", "one job on an idle system, p50", True),
          ("lone_p99_ms", "one job on an idle system, p99", True),
          ("result", "GET /result", False),
          ("me", "GET /me", False),
          ("memory_mb", "memory, idle", True),
          ("start_ms", "start to healthy", True))


def new_database(base):
    """An empty database; its URL."""
    name = "bench_" + secrets.token_hex(4)
    connection = psycopg2.connect(f"{base}/mcpbus")
    connection.autocommit = True
    connection.cursor().execute(f"CREATE DATABASE {name}")
    connection.cursor().execute("CHECKPOINT")
    connection.close()
    return f"{base}/{name}"


def make_token(secret):
    claims = {"id": "bench", "email": "bench@example.com", "name": "Bench", "picture": "",
              "exp": int(time.time()) + 86400}
    return jwt.encode(claims, secret, algorithm="HS256")


def measure(kind, names, base):
    """{figure: value} and notes of one server, started for it and stopped again."""
    secret = secrets.token_hex(32)
    server = kind(new_database(base), secret)
    figures = {}
    try:
        tools = Tools(server, make_token(secret), os.environ["BENCH_LOAD"])
        # Once through before anything counts: connections, plans, imports.
        tools.post_jobs("--connections", 8, "--requests", 50)
        tools.wait_drained()
        time.sleep(1)
        for name in names:
            if name == "start":
                tools.check_all()
            try:
                figures.update(MEASURES[name](server, tools))
            except Failure as failure:
                print(f"# {failure}", flush=True)
                tools.note("failures", 1)
        if "start" not in names:
            tools.check_all()
        return figures, tools.notes
    finally:
        server.close()


def medians(rounds):
    return {name: statistics.median(figures[name] for figures in rounds if name in figures)
            for name in {name: None for figures in rounds for name in figures}}


def show(prefix, figures):
    for name, value in figures.items():
        print(f"{prefix}.{name}: {value:.3f}" if isinstance(value, float)
              else f"{prefix}.{name}: {value}", flush=True)


def compare(names, base, count):
    rounds = {"ours": [], "peer": []}
    notes = {"ours": {}, "peer": {}}
    for _ in range(count):
        for kind in (Ours, Peer):
            figures, seen = measure(kind, names, base)
            rounds[kind.name].append(figures)
            for name, value in seen.items():
                notes[kind.name][name] = notes[kind.name].get(name, 0) + value
    results = {name: medians(rounds[name]) for name in rounds}
    for name, figures in results.items():
        show(name, figures)
        show(f"{name}.check", notes[name])
    return {**results, "checks": notes, "rounds": rounds}


def ratios(results):
    found = {}
    for name, _, less in RATIOS:
        if name in results["ours"] and name in results["peer"]:
            ours, peer = results["ours"][name], results["peer"][name]
            found[name] = (peer / ours if less else ours / peer) if ours and peer else 0
    return found


def compare_npm(base, count):
    found = {}
    for queue in npm_queues.QUEUES:
        rounds = [npm_queues.measure(queue, lambda: new_database(base)) for _ in range(count)]
        keeps = [figures.pop("keeps") for figures in rounds][0]
        found[queue[0]] = {**medians([{name: float(value) for name, value in figures.items()}
                                      for figures in rounds]), "keeps": keeps}
        show(f"npm.{queue[0]}", found[queue[0]])
    return found


def scale(names, base):
    """What grows; figures and plots of each into $BENCH_OUT, when that is set."""
    world = World(lambda: new_database(base), make_token, os.environ["BENCH_LOAD"])
    for name in names:
        points = SCALING[name](world)
        for point in points:
            x = str(point["x"]).replace(" ", "_").replace("_×_", "x")
            show(f"{name}.{x}", {key: value for key, value in point.items() if key != "x"})
        if "BENCH_OUT" in os.environ:
            out = pathlib.Path(os.environ["BENCH_OUT"])
            out.mkdir(parents=True, exist_ok=True)
            results = {"date": datetime.date.today().isoformat(), "machine": machine(),
                       "what": SCALING[name].__doc__, "points": points}
            (out / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
            if name in scaling_plot.DRAWINGS:
                scaling_plot.draw(name, results, out / f"{name}.svg")
    if world.failures:
        sys.exit(f"ours has failed {world.failures} times")


def version_of(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        return (done.stdout or done.stderr).splitlines()[0].strip()
    except (OSError, IndexError):
        return "unknown"


def machine():
    cpu = [line.partition(":")[2].strip() for line in
           pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    total = pathlib.Path("/proc/meminfo").read_text().split()[1]
    packages = ("python3-fastapi", "python3-uvicorn", "python3-celery", "redis-server",
                "python3-sqlalchemy", "python3-asyncpg", "libmicrohttpd12", "libzmq5",
                "postgresql-15")
    return {"cpu": cpu[0] if cpu else platform.machine(), "cores": os.cpu_count(),
            "memory_mb": int(total) // 1024, "kernel": platform.release(),
            "python": platform.python_version(),
            "load_before": os.getloadavg()[0],
            "versions": {name: version_of("dpkg-query", "-W", "-f", "${Version}", name)
                         for name in packages}}


def main():
    known = [*MEASURES, "npm", *SCALING]
    wanted = sys.argv[1:] or [*MEASURES, "npm"]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        sys.exit(f"bench knows {', '.join(known)}, not {', '.join(unknown)}")
    growing = [name for name in SCALING if name in wanted]
    if growing:
        scale(growing, os.environ["BENCH_DATABASE_BASE"])
    if len(growing) == len(wanted):
        return
    base, count = os.environ["BENCH_DATABASE_BASE"], int(os.environ.get("BENCH_ROUNDS", "3"))
    results = {"date": datetime.date.today().isoformat(), "rounds_count": count,
               "machine": machine(), "what": {name: text for name, text, _ in RATIOS},
               "keeps": {kind.name: kind.keeps for kind in (Ours, Peer)},
               "jobs": {kind.name: kind.jobs for kind in (Ours, Peer)}}
    show("machine", results["machine"])
    names = [name for name in MEASURES if name in wanted]
    if names:
        results.update(compare(names, base, count))
        results["ratios"] = ratios(results)
        show("ratio", results["ratios"])
    if "npm" in wanted:
        results["npm"] = compare_npm(base, count)
    results["load_after"] = os.getloadavg()[0]
    if "BENCH_OUT" in os.environ or not sys.argv[1:]:
        out = pathlib.Path(os.environ.get("BENCH_OUT") or ROOT / "docs" / "benchmarks")
        out.mkdir(parents=True, exist_ok=True)
        (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        plot.draw(results, out / "speed.svg")
    checks = results.get("checks", {}).get("ours", {})
    bad = {name: value for name, value in checks.items() if name != "jobs" and value}
    if bad:
        sys.exit(f"ours has failed: {bad}")


if __name__ == "__main__":
    main()
