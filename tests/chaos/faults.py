"""Does to a system what the plan says. Frozen processes are held by pidfd: a pid that was used anew
is never woken or killed in place of its former owner."""
import contextlib
import json
import os
import pathlib
import signal
import threading
import time

import psycopg2

from watch import processes

FROZEN_MAX = 16


def children(pid):
    with contextlib.suppress(OSError):
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(word) for word in text.split()]
    return []


def alive(pids):
    """Without zombies."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if stat[0] not in "ZX":
                found.append(pid)
    return found


class Faults:
    def __init__(self, system, path):
        self.system = system
        self.file = open(path, "a", encoding="utf-8")
        self.lock = threading.Lock()
        self.timers = []
        self.counts = {}
        self.windows = []  # (from, to) by the machine's clock

    def run(self, plan, stopped):
        """Returns when the plan is over, or `stopped` is set."""
        begun = time.monotonic()
        for fault in plan:
            if stopped.wait(max(0, begun + fault["at"] - time.monotonic())):
                break
            at = time.time()
            try:
                did = getattr(self, "do_" + fault["kind"])(fault)
            except (OSError, psycopg2.Error) as error:
                did = f"failed: {type(error).__name__}"
            self.note(fault, did, at)

    def note(self, fault, did, at):
        hit = did and not str(did).startswith("failed")
        name = fault["kind"] if hit else fault["kind"] + " (no target)"
        self.counts[name] = self.counts.get(name, 0) + 1
        if hit:
            self.windows.append((at, max(time.time(), at + fault["seconds"])))
        self.file.write(json.dumps({"t": at, **fault, "did": did}) + "\n")
        self.file.flush()

    # What several kinds do

    def signal(self, pid, sig):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sig)
            return True
        return False

    def freeze(self, pid, seconds):
        """Stopped now, woken later, whatever happens to this program's other threads meanwhile."""
        try:
            fd = os.pidfd_open(pid)
            signal.pidfd_send_signal(fd, signal.SIGSTOP)
        except ProcessLookupError:
            return False
        self.later(seconds, lambda: self.wake(fd))
        return True

    @staticmethod
    def wake(fd):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, signal.SIGCONT)
        os.close(fd)

    def later(self, seconds, what):
        timer = threading.Timer(seconds, what)
        timer.start()
        self.timers = [one for one in self.timers if one.is_alive()] + [timer]

    def join(self):
        for timer in self.timers:
            timer.join()

    def end_now(self):
        """Wakes all at once; for an interrupted run."""
        for timer in self.timers:
            timer.cancel()
            if timer.is_alive():
                timer.function()

    def pid(self, fault):
        return self.system.stack.pid(f"{fault['service']}-{fault['n']}")

    def choose(self, fault, pids):
        pids = alive(sorted(pids))
        return pids[int(fault["pick"] * len(pids))] if pids else None

    # The services

    def do_kill(self, fault):
        pid = self.pid(fault)
        return pid and self.signal(pid, signal.SIGKILL) and pid

    def do_term(self, fault):
        pid = self.pid(fault)
        return pid and self.signal(pid, signal.SIGTERM) and pid

    def do_stop(self, fault):
        pid = self.pid(fault)
        return pid and self.freeze(pid, fault["seconds"]) and pid

    do_outlive = do_stop

    def do_pause(self, fault):
        """From the outside in, so that nobody sees the others frozen."""
        pid = self.pid(fault)
        pids = processes.trees([pid]) if pid else []
        return [one for one in pids if self.freeze(one, fault["seconds"])]

    def do_kill_all(self, fault):
        pids = self.system.stack.pids(fault["service"]).values()
        return [pid for pid in pids if self.signal(pid, signal.SIGKILL)]

    def do_roll(self, fault):
        done = []
        for service in ("broker", "auth", "jobs", "worker", "gateway"):
            for n in (1, 2):
                pid = self.system.stack.pid(f"{service}-{n}")
                if pid and self.signal(pid, signal.SIGTERM):
                    done.append(pid)
                time.sleep(0.3)
        return done

    # Workers' inner processes

    def zygotes(self, n=None):
        names = [f"worker-{n}"] if n else ["worker-1", "worker-2"]
        return [z for name in names if self.system.stack.pid(name)
                for z in children(self.system.stack.pid(name))]

    def runs(self):
        return [run for zygote in self.zygotes() for run in children(zygote)]

    def do_zygote_kill(self, fault):
        pid = self.choose(fault, self.zygotes(fault["n"]))
        return pid and self.signal(pid, signal.SIGKILL) and pid

    def do_zygote_stop(self, fault):
        pid = self.choose(fault, self.zygotes(fault["n"]))
        return pid and self.freeze(pid, fault["seconds"]) and pid

    def do_run_kill(self, fault):
        pid = self.choose(fault, self.runs())
        return pid and self.signal(pid, signal.SIGKILL) and pid

    def do_run_stop(self, fault):
        pid = self.choose(fault, self.runs())
        return pid and self.freeze(pid, fault["seconds"]) and pid

    def do_server_kill(self, fault):
        pid = self.choose(fault, [server for run in self.runs() for server in children(run)])
        return pid and self.signal(pid, signal.SIGKILL) and pid

    # PostgreSQL

    def do_pg_immediate(self, fault):
        self.do_pg_away(fault)
        return True

    def do_pg_away(self, fault):
        """Nothing else happens meanwhile: the plan goes on when it is back."""
        postgres = self.system.postgres
        postgres.stop(signal.SIGQUIT)
        time.sleep(fault["seconds"])
        postgres.start()
        return True

    def clients(self):
        return [pid for (pid,) in self.system.sql(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() ORDER BY pid")]

    def do_pg_terminate(self, fault):
        pids = self.clients()
        chosen = pids[::2] if fault["pick"] < 0.5 else pids
        self.system.sql("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", chosen)
        return chosen

    def do_pg_stop(self, fault):
        pid = self.choose(fault, self.clients())
        return pid and self.freeze(pid, fault["seconds"]) and pid

    # The network

    def link(self, fault):
        names = list(self.system.links)
        name = names[int(fault["pick"] * len(names))]
        return name, self.system.links[name]

    def way(self, fault):
        """One direction, or both (None)."""
        return ("up", "down", None)[int(fault["pick"] * 1000) % 3]

    def do_net_delay(self, fault):
        name, proxy = self.link(fault)
        proxy.set(delay=0.02 + fault["pick"] % 0.1 * 2, jitter=0.05)
        self.later(fault["seconds"], proxy.clear)
        return name

    def do_net_loss(self, fault):
        name, proxy = self.link(fault)
        proxy.set(self.way(fault), loss=0.3)
        self.later(fault["seconds"], proxy.clear)
        return name

    def do_net_stall(self, fault):
        name, proxy = self.link(fault)
        proxy.stall(self.way(fault))
        self.later(fault["seconds"], proxy.clear)
        return f"{name} {self.way(fault) or 'both ways'}"

    def do_net_refuse(self, fault):
        """Connections are cut, and none can be made."""
        name, proxy = self.link(fault)
        proxy.refuse()
        proxy.cut()
        self.later(fault["seconds"], proxy.clear)
        return name

    def do_net_cut(self, fault):
        name, proxy = self.link(fault)
        proxy.cut()
        return name
