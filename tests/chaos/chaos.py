#!/usr/bin/python3
"""./dev chaos: load from several clients, faults from a seed, and an oracle that compares what the
clients wrote down with what is there in the end. Exit status 1: it has found something."""
import argparse
import datetime
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import threading

import plan as plans
from phase import Phase
from system import Postgres, wait_until

LOADS = ("echo", "agent")


def arguments():
    parser = argparse.ArgumentParser(prog="./dev chaos", description="Faults under load, and an "
                                     "oracle outside the system that looks for what was lost.")
    parser.add_argument("--minutes", type=float, default=5, help="of load and faults (5)")
    parser.add_argument("--seed", type=int, help="of the schedule of faults and the load; printed")
    parser.add_argument("--load", choices=LOADS, action="append",
                        help="echo: the bus alone; agent: the model and tools; unless one "
                        "is named, both in turns")
    parser.add_argument("--faults", type=float, metavar="N", help="a minute (24; --soak: 6)")
    parser.add_argument("--rate", type=float, metavar="N",
                        help="jobs a second offered (echo 60, agent 6)")
    parser.add_argument("--soak", action="store_true",
                        help="few faults, so that processes grow old")
    parser.add_argument("--only", metavar="KIND,KIND", help="only these kinds of faults")
    parser.add_argument("--plan", action="store_true", help="prints the schedule, does nothing")
    parser.add_argument("--keep", action="store_true", help="the logs, also when nothing was found")
    parser.add_argument("--out", type=pathlib.Path, help="the summary as JSON")
    given = parser.parse_args()
    given.faults = given.faults or (6 if given.soak else 24)
    given.load = given.load or list(LOADS)
    given.only = given.only.split(",") if given.only else None
    unknown = set(given.only or ()) - {kind[0] for kind in plans.KINDS}
    if unknown or given.minutes <= 0 or given.faults <= 0:
        parser.error(f"no such faults: {', '.join(sorted(unknown))}" if unknown
                     else "--minutes and --faults take more than 0")
    if given.seed is None:
        given.seed = random.SystemRandom().randrange(1 << 31)
    return given


def make_plans(given):
    """[(load, seconds, plan)]; agents get a third of the time."""
    shares = {"echo": 2, "agent": 1}
    total = sum(shares[load] for load in given.load)
    return [(load, seconds, plans.draw(given.seed, load, seconds, given.faults, given.only))
            for load in given.load
            for seconds in [given.minutes * 60 * shares[load] / total]]


def open_postgres(folder):
    """The cluster that deploy/dev/chaos.sh has made, with its command line."""
    command = pathlib.Path(os.environ["CHAOS_PG_COMMAND"]).read_bytes().rstrip(b"\0").split(b"\0")
    return Postgres(os.environ["CHAOS_PG"], [os.fsdecode(word) for word in command],
                    int(os.environ["CHAOS_PG_PORT"]), os.environ["CHAOS_PG_PASSWORD"],
                    folder / "postgres.log")


def run_all(given, folder, stopped):
    figures = {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
               "seed": given.seed, "minutes": given.minutes, "faults_a_minute": given.faults,
               "cores": os.cpu_count(), "load_before": os.getloadavg()[0]}
    findings = []
    threading.excepthook = lambda broken: findings.append(
        ("suite", "broken thread", "", repr(broken.exc_value)))
    postgres = open_postgres(folder)
    try:
        postgres.start()
        wait_until(postgres.ready, 30, "PostgreSQL answers")
        for load, seconds, plan in make_plans(given):
            if stopped.is_set():
                break
            phase = Phase(load, seconds, plan, given, postgres, folder / load, stopped)
            found, values = phase.run()
            findings += [(load, *finding) for finding in found]
            figures.update({f"{load}.{name}": value for name, value in values.items()})
    finally:
        postgres.stop()
    figures["findings"] = len(findings)
    return figures, findings


def report(given, figures, findings, folder):
    for name, value in figures.items():
        print(f"{name}: {value}")
    if given.out:
        given.out.write_text(json.dumps(figures, indent=1) + "\n")
    if not findings:
        return
    lines = [f"FINDING {load}: {kind}: {job} {text}" for load, kind, job, text in findings]
    (folder / "findings.txt").write_text("\n".join(lines) + "\n")
    print("\n".join(lines[:60]))
    print(f"{len(findings)} findings; again with --seed {given.seed} --minutes {given.minutes:g}; "
          f"all that is known lies in {folder}")


def main():
    given = arguments()
    if given.plan:
        for load, seconds, plan in make_plans(given):
            print(f"{load}, {seconds:g} s")
            for fault in plan:
                print(plans.describe(fault))
        return 0
    stopped = threading.Event()
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, lambda *_: stopped.set())
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mcpbus-chaos-"))
    folder.chmod(0o711)
    print(f"seed: {given.seed}", flush=True)
    keep = True
    try:
        figures, findings = run_all(given, folder, stopped)
        report(given, figures, findings, folder)
        keep = bool(findings) or given.keep
        if given.keep and not findings:
            print(f"the logs lie in {folder}")
    except BaseException:
        print(f"interrupted by an error; what there is lies in {folder}", flush=True)
        raise
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    if stopped.is_set():
        return 130
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
