"""The schedule of faults, drawn from a seed: the same seed, length and rate give the same list.

Where a target is known only later (a run, a connection of PostgreSQL), `pick` in [0, 1) chooses
among those that live at that moment."""
import random

SERVICES = ("gateway", "broker", "auth", "jobs", "worker")
REPLICAS = 2
BOTH, AGENT = ("echo", "agent"), ("agent",)

# kind, weight, loads, shortest and longest time in seconds (0: a moment)
KINDS = (
    ("kill", 10, BOTH, 0, 0),            # SIGKILL of a replica
    ("term", 6, BOTH, 0, 0),             # SIGTERM: drains, and is started again
    ("stop", 10, BOTH, 0.5, 15),         # SIGSTOP, then SIGCONT
    ("outlive", 3, BOTH, 11, 15),        # SIGSTOP of a worker's loop beyond its lease
    ("pause", 3, BOTH, 1, 15),           # of a worker with all that it has started, as a machine is
    ("kill_all", 2, BOTH, 0, 0),         # all replicas of a service at once
    ("roll", 2, BOTH, 0, 0),             # SIGTERM of every replica, one after the other
    ("pg_immediate", 2, BOTH, 0, 0),     # as pg_ctl -m immediate restart
    ("pg_away", 2, BOTH, 0.5, 5),        # the same, and away for a while
    ("pg_terminate", 3, BOTH, 0, 0),     # pg_terminate_backend of half the connections
    ("pg_stop", 3, BOTH, 0.5, 8),        # SIGSTOP of a backend
    ("net_delay", 2, BOTH, 1, 8),        # a broker or PostgreSQL is heard late
    ("net_loss", 2, BOTH, 1, 8),         # now and then much later, as TCP repairs losses
    ("net_stall", 2, BOTH, 0.5, 8),      # one way or both: nothing passes, nothing ends
    ("net_refuse", 2, BOTH, 0.5, 5),     # cut off, and no connection can be made
    ("net_cut", 2, BOTH, 0, 0),          # all connections are reset
    ("zygote_kill", 3, AGENT, 0, 0),
    ("zygote_stop", 3, AGENT, 0.5, 15),
    ("run_kill", 4, AGENT, 0, 0),
    ("run_stop", 4, AGENT, 0.5, 15),
    ("server_kill", 3, AGENT, 0, 0),     # a tool server of a run
)
OF_WORKERS = ("outlive", "pause", "zygote_kill", "zygote_stop")
FIRST, LAST = 3.0, 2.0


def of_service(kind):
    return kind in ("kill", "term", "stop", "kill_all") or kind in OF_WORKERS


def draw(seed, load, seconds, per_minute, only=None):
    """[{"at": seconds since the start, "kind", "service", "n", "pick", "seconds"}], in order."""
    rng = random.Random(f"{seed}/{load}")
    kinds = [kind for kind in KINDS if load in kind[2] and (not only or kind[0] in only)]
    mean = 60.0 / per_minute
    found, at = [], FIRST
    while at < seconds - LAST:
        name, _, _, least, most = rng.choices(kinds, [kind[1] for kind in kinds])[0]
        service = "worker" if name in OF_WORKERS else rng.choice(SERVICES)
        # Short ones more often: who comes back before its lease has ended is more dangerous.
        length = least + (most - least) * rng.random() ** 2
        found.append({"at": round(at, 2), "kind": name,
                      "service": service if of_service(name) else "",
                      "n": rng.randint(1, REPLICAS), "pick": round(rng.random(), 4),
                      "seconds": round(min(length, seconds - at), 2)})
        at += min(max(rng.expovariate(1 / mean), 0.2), 4 * mean)
    return found


def describe(fault):
    target = f" {fault['service']}-{fault['n']}" if fault["service"] else ""
    length = f" for {fault['seconds']} s" if fault["seconds"] else ""
    return f"{fault['at']:8.2f} {fault['kind']}{target}{length}"
