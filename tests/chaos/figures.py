"""The figures of a run, for its summary."""


def at_percent(values, percent):
    values = sorted(values)
    return round(values[min(len(values) - 1, int(len(values) * percent / 100))], 2) if values else 0


def longest_gap(times):
    times = sorted(times)
    return round(max((b - a for a, b in zip(times, times[1:])), default=0), 2)


def figures_of(records, tables, faults, watch):
    by = {}
    for record in records:
        by.setdefault(record["w"], []).append(record)
    acks, replies = by.get("ack", []), by.get("reply", [])
    healed = next((record["t"] for record in by.get("healed", [])), None)
    latency = [ack["ms"] for ack in acks]
    found = {
        "jobs": len(tables["jobs"]),
        "accepted": len({ack["id"] for ack in acks}),
        **{status: sum(job["status"] == status for job in tables["jobs"].values())
           for status in ("completed", "failed", "cancelled")},
        "run_again": sum(job["attempts"] > 1 for job in tables["jobs"].values()),
        "attempts_most": max((job["attempts"] for job in tables["jobs"].values()), default=0),
        "events_seen": len(by.get("event", [])),
        "streams": len(by.get("stream", [])),
        "longest_unavailable_s": longest_gap([ack["t"] for ack in acks
                                              if not healed or ack["t"] < healed]),
        "accept_p50_ms": at_percent(latency, 50),
        "accept_p99_ms": at_percent(latency, 99),
        "db_mb": round(tables["bytes"] / 1e6, 1),
        "worker_sessions": tables["sessions"],
    }
    for reply in replies:
        name = f"reply.{reply['what'].replace(' ', '_')}.{reply['code'] or 'none'}"
        found[name] = found.get(name, 0) + 1
    for kind, count in sorted(faults.counts.items()):
        found[f"fault.{kind.replace(' ', '_')}"] = count
    for job in tables["jobs"].values():
        if job["status"] == "failed":
            name = f"failed.{(job['error'] or '')[:50]}"
            found[name] = found.get(name, 0) + 1
    found.update(watch.figures())
    return found
