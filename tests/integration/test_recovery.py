"""Processes and PostgreSQL killed under load: an accepted job is never lost, nor done twice."""
import os
import signal
import threading

import pytest
import requests

from client import User, original_token
from stack import wait_until

pytest_plugins = ["shared_stacks"]

JOBS = 240


class Load:
    """Several users who submit until JOBS have been accepted. A call without an answer, or with a
    503, is tried again under the same key: what then counts is what was accepted."""

    def __init__(self, stack, users=4):
        self.accepted = {}
        self.refused = 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.submit, args=(stack, JOBS // users))
                        for _ in range(users)]
        for thread in self.threads:
            thread.start()

    def submit(self, stack, count):
        user = User(stack, original_token(stack))
        for n in range(count):
            job_id = wait_until(lambda n=n: self.attempt(user, n), 60, "a job is accepted")
            with self.lock:
                self.accepted[job_id] = (user, n)

    def attempt(self, user, n):
        try:
            answer = user.post("/run", json={"message": f"job {n}"},
                               headers={"Idempotency-Key": f"key {n}"})
        except requests.RequestException:
            return None
        if answer.status_code == 200:
            return answer.json()["job_id"]
        assert answer.status_code in (503, 504), answer.text
        assert isinstance(answer.json()["detail"], str)
        with self.lock:
            self.refused += 1
        return None

    def wait_accepted(self, count):
        wait_until(lambda: len(self.accepted) >= count, 60, f"{count} jobs are accepted")

    def join(self):
        for thread in self.threads:
            thread.join(120)
            assert not thread.is_alive()
        assert len(self.accepted) == JOBS


def check_all_completed(stack, load):
    """By the API and by the table."""
    def open_jobs():
        rows = stack.sql("SELECT id FROM job_records WHERE id = ANY(%s) AND status <> 'completed'",
                         list(load.accepted))
        return [job_id for (job_id,) in rows]

    wait_until(lambda: not open_jobs(), 90, "all accepted jobs completed")
    for job_id, (user, n) in load.accepted.items():
        job = user.result(job_id)
        assert (job["status"], job["result"]) == ("completed", f"echo: job {n}")
    for user in {user for user, _ in load.accepted.values()}:
        assert user.get("/jobs").json()["total"] == JOBS // 4, "one key, one job"


@pytest.mark.parametrize("service", ["broker", "jobs", "worker", "gateway", "auth", "postgres"])
def test_killed_under_load(wide_echo, service):
    wide_echo.wait_healthy()
    load = Load(wide_echo)
    for part in (1, 2):
        load.wait_accepted(part * JOBS // 4)
        old = wide_echo.kill(service)
        wait_until(lambda old=old: wide_echo.pid(f"{service}-1") not in (None, old), 10,
                   f"{service}-1 is back")
    load.join()
    check_all_completed(wide_echo, load)
    wide_echo.wait_healthy()


@pytest.mark.slow
def test_all_of_a_service_killed_at_once(wide_echo):
    """Both brokers, then both jobs: the queue is in PostgreSQL."""
    wide_echo.wait_healthy()
    load = Load(wide_echo)
    for part, service in ((1, "broker"), (2, "jobs"), (3, "worker")):
        load.wait_accepted(part * JOBS // 5)
        for n in (1, 2):
            wide_echo.kill(service, n)
    load.join()
    check_all_completed(wide_echo, load)
    wide_echo.wait_healthy()


@pytest.mark.slow
def test_without_the_job_service(wide_echo):
    """Jobs can't be accepted: /health and POST /run say so, early, until it is back."""
    wide_echo.wait_healthy()
    user = User(wide_echo, original_token(wide_echo))
    frozen = wide_echo.pids("jobs").values()
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: not wide_echo.healthy(), 30, "unhealthy")
        answer = user.get("/health")
        assert answer.status_code == 503
        assert answer.json()["status"] != "healthy"
        assert answer.json()["detail"] in (
            "jobs can't be accepted: no replica of jobs is running",
            "jobs can't be accepted: jobs does not answer in time")
        answer = user.post("/run", json={"message": "x"})
        assert answer.status_code in (503, 504)
        assert isinstance(answer.json()["detail"], str)
        assert int(answer.headers["Retry-After"]) >= 1
        assert user.get("/me").status_code == 200, "what needs no jobs goes on"
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    wide_echo.wait_healthy()
    assert user.done("and on")["result"] == "echo: and on"


@pytest.mark.slow
def test_a_fresh_start_knows_the_jobs(new_stack):
    """down keeps the data; what waits at that moment runs after the next up."""
    stack = new_stack(env={"WORKER_CONCURRENCY": "1"})
    user = User(stack, original_token(stack))
    running = user.run("[sandbox:slow=4] Say hello")
    user.reach(running, "running")
    waiting = [user.run(f"Say hello {n}") for n in range(3)]
    stack.dev("down")
    assert stack.processes() == []
    stack.up()
    assert user.get("/me").status_code == 200, "tokens outlive a restart"
    for job_id in (running, *waiting):
        assert user.finished(job_id)["status"] == "completed"
