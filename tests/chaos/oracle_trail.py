"""The trail of the triggers: what happened to each job, change by change. Only an attempt that
holds a job may store its events and end it."""

UNKNOWN, DENIED = "unknown whether the tool acted", "did not allow this call"


def check_trail(case):
    for job_id, trail in case.tables["trail"].items():
        check_changes(case, job_id, trail)
        check_end(case, job_id, trail)
        check_results(case, job_id, trail)


def check_changes(case, job_id, trail):
    state, attempt, session = 0, 0, None
    for step in trail:
        if step["what"] == "new":
            state, attempt, session = step["state"], step["attempt"], step["session"]
            if attempt != state:
                case.find("attempts", job_id, f"begins in state {state} with attempt {attempt}")
        elif step["what"] == "change":
            claimed = state == 0 and step["state"] == 1
            if step["attempt"] != attempt + (1 if claimed else 0):
                case.find("attempts", job_id,
                          f"{attempt} to {step['attempt']}, state {state} to {step['state']}")
            if state == step["state"] == 1 and step["session"] != session:
                case.find("taken over", job_id, f"attempt {attempt} from {session}")
            state, attempt, session = step["state"], step["attempt"], step["session"]
        elif step["what"] == "event" and step["attempt"] is None:
            case.find("late event", job_id, f"number {step['seq']} was stored after the end")


def check_end(case, job_id, trail):
    """Once, by the newest attempt, and nothing after it."""
    ends = [i for i, step in enumerate(trail) if step["what"] == "end"]
    gone = [i for i, step in enumerate(trail) if step["what"] == "gone"]
    job = case.tables["jobs"].get(job_id)
    if any(step["what"] == "deleted" for step in trail):
        case.find("deleted", job_id, "nobody has asked for that")
    elif len(ends) > 1 or len(gone) > 1:
        case.find("ended twice", job_id, f"{[trail[i]['status'] for i in ends]}")
    elif len(ends) != len(gone):
        case.find("half an end", job_id, f"{len(ends)} in job_data, {len(gone)} in job_queue")
    elif ends:
        newest = trail[gone[0]]["attempt"]
        if trail[ends[0]]["attempt"] != newest:
            case.find("stale end", job_id,
                      f"attempt {trail[ends[0]]['attempt']} has ended it, {newest} held it")
        if trail[ends[0]]["status"] == "completed" and trail[gone[0]]["state"] != 1:
            case.find("stale end", job_id, "completed while nobody held it")
        if job and job["attempts"] != newest:
            case.find("attempts", job_id, f"{job['attempts']} on record, {newest} were made")


def check_results(case, job_id, trail):
    """A tool's result belongs to a call of the same attempt: a stale one would not. Of what an
    earlier attempt has left open a later one can only say that its outcome is unknown, or that it
    was not allowed."""
    attempts = {step["seq"]: step["attempt"] for step in trail if step["what"] == "event"}
    calls, left_open = set(), {}
    for seq, kind, data in case.tables["events"].get(job_id, ()):
        attempt, call = attempts.get(seq), data.get("id")
        if kind == "tool_call":
            calls.add((attempt, call))
            left_open[call] = UNKNOWN
        elif kind == "waiting_approval":
            left_open.update((one["id"], DENIED) for one in data["calls"])
        elif kind == "tool_result":
            word = left_open.pop(call, None)
            if (attempt, call) not in calls and not (word and word in data.get("content", "")):
                case.find("stale event", job_id,
                          f"{seq}: a result in attempt {attempt} without its call")
