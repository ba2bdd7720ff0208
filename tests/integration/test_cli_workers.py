"""mcpbus workers: drained and resumed, under load; mcpbus jobs approve and deny."""
import json
import signal
import subprocess
import uuid

import pytest

import cli
from asking import use
from cli import good, MCPBUS, mcpbus, value
from stack import slow, wait_until

pytest_plugins = ["asking_stacks"]


def fresh_user():
    return f"user-{uuid.uuid4().hex}"


def workers(stack):
    return {worker["instance"]: worker for worker in value(stack, "workers")}


def submit(stack, seconds, count):
    """Jobs of one user, each of which waits so long for its model; their ids."""
    user = fresh_user()
    items = [{"job_id": str(uuid.uuid4()), "user_id": user,
              "message": f"[sandbox:slow={seconds}] Say {n}"} for n in range(count)]
    answer = json.loads(good(stack, "call", "jobs.submit", "-",
                             text=json.dumps({"items": items})).stdout)
    return [result["job_id"] for result in answer["results"]]


def running(stack, job_ids):
    """{job: the session that runs it}"""
    return dict(stack.sql("SELECT job_id, session FROM job_queue WHERE state = 1"
                          " AND job_id = ANY (%s)", job_ids))


def where(stack, count=8):
    """The sessions to which new jobs go."""
    job_ids = submit(stack, 60, count)
    found = wait_until(lambda: len(running(stack, job_ids)) == count and running(stack, job_ids), 30,
                       "they run")
    for job_id in job_ids:
        good(stack, "jobs", "cancel", job_id)
    return set(found.values())


def status_of(stack, job_ids):
    """{(status, attempts): how many}"""
    return {tuple(row[:2]): row[2] for row in stack.sql(
        "SELECT status, attempts, count(*) FROM job_records WHERE id = ANY (%s) GROUP BY 1, 2",
        job_ids)}


def test_drain_and_resume(asking):
    before = workers(asking)
    assert len(before) == 2 and not any(one["draining"] for one in before.values())
    name, other = before
    told = value(asking, "workers", "drain", name[:8])
    assert [(one["instance"], one["draining"]) for one in told] == [(name, True)]
    try:
        wait_until(lambda: workers(asking)[name]["draining"], 10, "the store knows")
        wait_until(lambda: "drained" in good(asking, "workers").stdout, 10, "it is shown")
        # Each replica of jobs knows it by the worker's next offer.
        wait_until(lambda: where(asking, 4) == {before[other]["session"]}, 20, "it takes none")
    finally:
        good(asking, "workers", "resume", before[name]["session"])
    wait_until(lambda: not workers(asking)[name]["draining"], 10, "the store knows")
    wait_until(lambda: before[name]["session"] in where(asking, 4), 20, "it takes jobs again")
    assert workers(asking).keys() == before.keys()


def test_names(asking):
    known = workers(asking)
    host = next(iter(known.values()))["host"]
    both = value(asking, "workers", "resume", host)
    assert {one["instance"] for one in both} == set(known)
    assert {one["draining"] for one in both} == {False}
    for name in ("nobody", "abc", "0" * 17):
        done = mcpbus(asking, "workers", "drain", name)
        assert done.returncode == cli.FAILED and f"no worker is called {name}" in done.stderr


def lose_sessions(stack, session):
    """No jobs replica answers for as long as a lease; then there are others."""
    for n in (1, 2):
        stack.kill("jobs", n, signal.SIGSTOP)
    try:
        wait_until(lambda: all("session_lost" in stack.log(f"worker-{n}") for n in (1, 2)), 60,
                   "both leases run out")
    finally:
        for n in (1, 2):
            stack.kill("jobs", n, signal.SIGCONT)
    # Each replica of jobs has a list of its own, which may be a second old.
    fresh = [0]

    def seen():
        now = [one["session"] for one in workers(stack).values()]
        fresh[0] = fresh[0] + 1 if len(now) == 2 and session not in now else 0
        return fresh[0] == 20
    wait_until(seen, 60, "both have new sessions")


@pytest.mark.once
def test_drain_under_load(new_stack):
    """Of 300 jobs none is lost or run twice; the drained worker empties, whatever dies beside it, and
    begins anew when it is restarted."""
    stack = new_stack(scale={"worker": 2, "jobs": 2, "broker": 2})
    name, other = workers(stack)
    session = workers(stack)[name]["session"]
    first = submit(stack, 3 * slow(), 200)
    wait_until(lambda: sum(one == session for one in running(stack, first).values()) > 20, 60,
               "the worker has its share")
    good(stack, "workers", "drain", name)
    stack.kill("jobs", 1)  # what it knew of offers is gone
    wait_until(lambda: session not in where(stack), 60, "it takes none")
    more = submit(stack, 1, 100)
    waited = mcpbus(stack, "workers", "drain", name, "--wait", "--timeout", str(90 * slow()))
    assert waited.returncode == cli.OK, waited.stderr
    assert session not in running(stack, first + more).values()
    wait_until(lambda: status_of(stack, first + more) == {("completed", 1): 300}, 120,
               lambda: status_of(stack, first + more))
    wait_until(lambda: workers(stack)[name]["draining"], 10, "the store knows")
    lose_sessions(stack, session)
    wait_until(lambda: stack.sql("SELECT count(*) FROM worker_sessions WHERE instance = %s AND"
                                 " draining AND session <> %s", name, session)[0][0], 60,
               "the new session is told of")
    session = workers(stack)[name]["session"]
    assert session not in where(stack)
    good(stack, "workers", "resume", name)
    wait_until(lambda: session in where(stack), 60, "it takes jobs again")
    good(stack, "workers", "drain", name)
    for n in (1, 2):
        stack.kill("worker", n)
    wait_until(lambda: [one["draining"] for key, one in workers(stack).items()
                        if key not in (name, other)] == [False, False], 60, "both begin anew")


def parked(stack, user):
    """A job that waits for approval, and the text that its tool is given."""
    message, text = use("send")
    job_id = good(stack, "run", message, "--user", user, "--no-wait").stdout.strip()
    wait_until(lambda: value(stack, "jobs", "get", job_id).get("waiting_approval"), 30, "it waits")
    return job_id, text


def test_approve_and_deny(asking):
    user = fresh_user()
    message, text = use("send")
    with subprocess.Popen([str(MCPBUS), "run", message, "--user", user], text=True,
                          env=cli.environment(asking), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as run:
        job_id = run.stderr.readline().split("jobs get ")[1].split()[0]
        approve(asking, job_id)
        out, _ = run.communicate(timeout=60 * slow())
        assert run.returncode == cli.OK and out
    assert asking.acts(text) == ["send"]
    again = mcpbus(asking, "jobs", "approve", job_id)
    assert again.returncode == cli.FAILED and "CONFLICT" in again.stderr
    job_id, text = parked(asking, user)
    good(asking, "jobs", "deny", job_id, "--reason", "not today", "--user", user)
    assert "not today" in good(asking, "jobs", "events", job_id, "--follow").stdout
    assert asking.acts(text) == []


def approve(asking, job_id):
    calls = value(asking, "jobs", "get", job_id)["waiting_approval"]
    assert good(asking, "jobs", "approve", job_id, "--call", calls[0]["id"]).stdout.startswith(job_id)
