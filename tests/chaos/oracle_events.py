"""Events: numbered from 1 without gaps, one terminal event, the same for everybody who looks."""
import json

ENDED = ("completed", "failed", "cancelled")


def is_terminal(kind, data):
    return kind == "status" and data.get("status") in ENDED


def check_streams(case):
    final = {record["id"]: {n: (kind, data) for n, kind, data in record["events"]}
             for record in case.of("final")}
    for record in case.of("final"):
        check_final(case, record)
    last_of = {}  # a job has one reader, who resumes behind the last that it saw
    for event in case.of("event"):
        job_id, n = event["id"], event["n"]
        if n != last_of.get(job_id, 0) + 1:
            case.find("stream's gap", job_id, f"{n} after {last_of.get(job_id, 0)}")
        last_of[job_id] = n
        data = json.loads(event["d"])
        there = final.get(job_id, {}).get(n)
        if job_id in final and there != (event["e"], data):
            case.find("stream differs", job_id, f"{n}: {event['e']} {event['d'][:120]}; "
                                                f"the store has {json.dumps(there)[:120]}")
    for stream in case.of("stream"):
        last = max(final.get(stream["id"], {0: None}))
        if stream["how"] in ("204", "end") and stream["id"] in final and stream["after"] != last:
            case.find("stream's end", stream["id"], f"at {stream['after']} of {last}")


def check_final(case, record):
    job_id, events = record["id"], record["events"]
    numbers = [n for n, _, _ in events]
    if numbers != list(range(1, len(numbers) + 1)):
        case.find("events' gap", job_id, str(numbers)[:120])
    ends = [n for n, kind, data in events if is_terminal(kind, data)]
    job = case.tables["jobs"].get(job_id)
    if job and job["status"] in ENDED:
        if ends != numbers[-1:]:
            case.find("terminal event", job_id, f"{ends} of {len(numbers)}")
        elif events[-1][2]["status"] != job["status"]:
            case.find("terminal event", job_id, f"{events[-1][2]['status']}, not {job['status']}")


def check_stored(case):
    """The rows: those of every job, not only of those that somebody followed."""
    for job_id, events in case.tables["events"].items():
        job = case.tables["jobs"].get(job_id)
        if not job:
            case.find("events without job", job_id, "")
        elif job["status"] in ENDED:
            first = 3 if job["attempts"] else 2
            if [seq for seq, _, _ in events] != list(range(first, job["events"])):
                case.find("events' gap", job_id,
                          f"{[seq for seq, _, _ in events]} up to {job['events']}"[:160])
        for before, event in zip([(0, None, {}), *events], events):
            if event[1] == "approval" and before[1] != "waiting_approval":
                case.find("approved unasked", job_id, f"{event[0]} behind {before[1]}")
    for job_id, job in case.tables["jobs"].items():
        none = 3 if job["attempts"] else 2
        if job["status"] in ENDED and job_id not in case.tables["events"] and job["events"] != none:
            case.find("events' gap", job_id, f"none stored, the last is {job['events']}")
