"""Judges a run by what its clients wrote down, what the tables say, and when the faults were. Pure:
records and dictionaries in, findings out. Each finding is (kind, job id or "", text)."""
import json
import re

import oracle_events
import oracle_trail

ENDED = ("completed", "failed", "cancelled")
GRACE = 20  # seconds after a fault in which it may still be felt: a lease, a restart, a backoff
# A tool's server that was frozen with all of its worker may act for a moment when it wakes.
OVERLAP = 1.5
# Reasons that faults of ours may give a job which nobody cancelled.
REASONS = {
    "echo": ("The job was given up: the worker that ran it was lost", "The job timed out."),
    "agent": ("The job was given up: the worker that ran it was lost", "The job timed out.",
              "The run ended unexpectedly", "budget_exhausted: time: the run was ended because",
              "The run was stopped after", "The run could not begin within",
              "What became of the run could not be recorded.",
              "Nobody approved or denied the tool calls in time."),
}


class Case:
    """What is known of a run, in the form in which the checks ask for it."""

    def __init__(self, load, records, tables, windows):
        self.load, self.tables, self.windows = load, tables, windows
        self.by = {}
        for record in records:
            self.by.setdefault(record["w"], []).append(record)
        self.posts = {post["s"]: post for post in self.of("post")}
        self.message_posts = {post["message"]: post for post in self.of("post")}
        self.acked = {}
        for ack in self.of("ack"):
            self.acked.setdefault(ack["id"], []).append(ack)
        self.cancelled = {record["id"] for record in self.of("cancel")}
        self.findings = []

    def of(self, what):
        return self.by.get(what, ())

    def find(self, kind, job, text):
        self.findings.append((kind, job or "", text))

    def in_window(self, begun, ended):
        return any(begun <= until + GRACE and ended >= since for since, until in self.windows)


def judge(load, records, tables, windows):
    case = Case(load, records, tables, windows)
    for check in (check_accepted, check_messages, check_outcomes, check_keys, check_seen,
                  check_replies, check_foreign, check_totals, check_acts,
                  oracle_events.check_streams, oracle_events.check_stored,
                  oracle_trail.check_trail):
        check(case)
    return case.findings


def check_accepted(case):
    """What was accepted is there, as it was sent, and has ended."""
    for job_id, acks in case.acked.items():
        job = case.tables["jobs"].get(job_id)
        if not job:
            case.find("lost", job_id, f"accepted at {acks[0]['t']}, and not there")
            continue
        if job["user"] != acks[0]["user"]:
            case.find("wrong owner", job_id, f"{acks[0]['user']} has sent it, not {job['user']}")
        post = next((case.posts.get(ack["s"]) for ack in acks if ack["s"]), None)
        if post and post["message"] != job["message"]:
            case.find("wrong message", job_id, job["message"][:80])
    for record in case.of("gave_up"):
        if record["healthy"]:
            case.find("never accepted", "", f"{record['s']}, with nothing wrong any more")


def check_messages(case):
    """Every job comes from a submission, and none makes two."""
    seen = {}
    for job_id, job in case.tables["jobs"].items():
        if job["message"] not in case.message_posts:
            case.find("unknown job", job_id, f"nobody has sent {job['message'][:80]!r}")
        elif job["message"] in seen:
            case.find("doubled", job_id, f"the same submission as {seen[job['message']]}")
        seen[job["message"]] = job_id


def check_outcomes(case):
    for job_id, job in case.tables["jobs"].items():
        if job["status"] not in ENDED:
            case.find("stuck", job_id, f"{job['status']}, attempts {job['attempts']}")
        elif job["status"] == "cancelled" and job_id not in case.cancelled:
            case.find("cancelled by nobody", job_id, "")
        elif job["status"] == "failed" and not (job["error"] or "").startswith(REASONS[case.load]):
            case.find("failed", job_id, f"for no reason of ours: {job['error']!r}")
        elif job["status"] == "completed":
            check_answer(case, job_id, job)
    for job_id in case.tables["queue"]:
        if job_id not in case.tables["jobs"]:
            case.find("queue without job", job_id, "")
        elif case.tables["jobs"][job_id]["status"] in ENDED:
            case.find("ended and queued", job_id, "")


def check_answer(case, job_id, job):
    result, message = job["result"] or "", job["message"]
    if case.load == "echo":
        if result != "echo: " + message:
            case.find("wrong answer", job_id, f"{result[:80]!r} to {message[:80]!r}")
    elif message.startswith("Say ") and message not in result:
        case.find("wrong answer", job_id, f"{result[:80]!r} to {message[:80]!r}")
    elif not result:
        case.find("wrong answer", job_id, "none")
    usage = job["usage"] or {}
    parts = [usage.get(name, -1) for name in ("input_tokens", "output_tokens", "total_tokens")]
    if min(parts) < 0 or parts[0] + parts[1] != parts[2]:
        case.find("wrong usage", job_id, json.dumps(usage))
    if case.load == "agent" and parts[2] <= 0:
        case.find("wrong usage", job_id, "a model that counted nothing")


def check_keys(case):
    ids = {}
    for acks in case.acked.values():
        for ack in acks:
            if ack["key"]:
                ids.setdefault((ack["user"], ack["key"]), set()).add(ack["id"])
    for (user, key), found in ids.items():
        if len(found) > 1:
            case.find("one key, two jobs", min(found), f"{user} {key!r}: {sorted(found)}")
        if case.tables["keys"].get((user, key)) not in found:
            case.find("key row", min(found), f"{key!r} has {case.tables['keys'].get((user, key))}")
    for (user, key), job_id in case.tables["keys"].items():
        job = case.tables["jobs"].get(job_id)
        if not job or job["user"] != user:
            case.find("key without job", job_id, f"{user} {key!r}")
    for record in case.of("conflict"):
        if record["code"] == 200 or 400 <= record["code"] < 500 and record["code"] != 409:
            case.find("key used again", record["id"], f"answered with {record['code']}")


def check_seen(case):
    """Once seen ended, a job stays as it is; it is always its owner's."""
    first_end = {}
    for seen in case.of("seen"):
        job = case.tables["jobs"].get(seen["id"])
        if seen["owner"] != seen["user"]:
            case.find("seen by another", seen["id"], f"{seen['user']} saw {seen['owner']}'s")
        if not job:
            case.find("seen, not there", seen["id"], f"{seen['by']} said {seen['status']}")
        elif seen["status"] in ENDED:
            first_end.setdefault(seen["id"], seen)
            if seen["status"] != job["status"]:
                case.find("ended twice", seen["id"], f"{seen['status']}, then {job['status']}")
            elif seen["by"] != "list" and seen["result"] != job["result"]:
                case.find("ended twice", seen["id"], "with another result")
        elif seen["by"] == "cancel":
            case.find("cancel", seen["id"], f"a cancelled job was {seen['status']}")
    for seen in case.of("seen"):
        end = first_end.get(seen["id"])
        if end and seen["status"] not in ENDED and seen["t0"] > end["t"]:
            case.find("went back", seen["id"], f"{end['status']}, then {seen['status']}")


def check_replies(case):
    """Answers that are no success: early, honest, and only while something is wrong."""
    for reply in case.of("reply"):
        code, text = reply["code"], f"{reply['what']}: {reply['code']} {reply['detail']}"
        if code == 0:
            if not case.in_window(reply["t0"], reply["t"]):
                case.find("no answer", "", f"{text}, at {reply['t']}, with nothing wrong")
        elif code in (503, 429):
            if not (reply["retry_after"] or "").isdigit():
                case.find("no Retry-After", "", text)
            if not case.in_window(reply["t0"], reply["t"]):
                case.find("needless refusal", "", f"{text}, at {reply['t']}, with nothing wrong")
        else:
            case.find("reply", "", f"{text}, at {reply['t']}")


def check_foreign(case):
    for record in case.of("foreign"):
        if record["code"] == 200:
            case.find("seen by another", record["id"], f"by {record['user']}")
    for record in case.of("logout"):
        if record["code"] == 200:
            case.find("logged out", "", f"and let in, {record['user']} at {record['t']}")


def check_totals(case):
    """GET /jobs, once everything is over, knows exactly the user's jobs."""
    owned = {}
    for job in case.tables["jobs"].values():
        owned[job["user"]] = owned.get(job["user"], 0) + 1
    for record in case.of("total"):
        if record["total"] != owned.get(record["user"], 0):
            case.find("wrong total", "", f"{record['user']} is told {record['total']} of "
                                         f"{owned.get(record['user'], 0)} jobs")


def check_acts(case):
    """A tool that may not be repeated has acted at most once, and did if that is on record; one
    that may never acts for two attempts at the same time."""
    acts = {record["tag"]: record["spans"] for record in case.of("acts")}
    for job_id, job in case.tables["jobs"].items():
        tool = re.match(r'use tool (act_once|act_again) with {"tag": "([^"]*)"', job["message"])
        if not tool:
            continue
        spans = acts.get(tool[2], [])
        if tool[1] == "act_once" and len(spans) > 1:
            case.find("acted twice", job_id, f"{spans}")
        for one, other in zip(spans, spans[1:]):
            if one[2] > other[1] + OVERLAP:
                case.find("acted at once", job_id, f"{one} and {other}")
        if not spans and any(kind == "tool_result" and not data.get("is_error")
                             for _, kind, data in case.tables["events"].get(job_id, ())):
            case.find("did not act", job_id, "though a tool said so")
