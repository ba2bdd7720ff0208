"""Clients who go on whatever happens to the network, and the judge of what became of their jobs."""
import threading
import time
import uuid

import requests

from client import User, original_token
from stack import slow, wait_until

CALL_SECONDS = 20  # what a client waits for an answer before it tries elsewhere
RETRIED = (503, 504)  # the contract's "try again"


class Load:
    """Submits jobs through the given gateways, in turns, until stop(). What fails in a way that may
    be tried again is tried again under the same key, at the next gateway. Beside each fifth job it
    reads a result and a sign-in's state, so that every service is asked."""

    def __init__(self, lab, doors=None, clients=3, pause=0.02):
        self.lab = lab
        self.doors = doors or lab.doors()
        self.pause = pause
        self.accepted = {}  # id: message
        self.users = []
        self.retries = []  # why calls were repeated
        self.worst = 0.0  # seconds until a call had its answer
        self.faults = []
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        with lab.net["client"].entered():
            self.threads = [threading.Thread(target=self.client) for _ in range(clients)]
            for thread in self.threads:
                thread.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.stop()
        assert kind or not self.faults, self.faults

    def client(self):
        token = original_token(self.lab)
        with self.lock:
            self.users.append(User(self.doors[0], token).id)
        try:
            self.submit(token)
        except Exception as error:  # for the test's own thread to tell
            self.faults.append(error)

    def submit(self, token):
        n = 0
        while not self.stopping.wait(self.pause):
            n += 1
            message = f"{n} {uuid.uuid4()}"
            answer = self.call(token, n, "POST", "/run", json={"message": message},
                               headers={"Idempotency-Key": message})
            with self.lock:
                self.accepted[answer["job_id"]] = message
            if n % 5 == 0:
                job = self.call(token, n, "GET", f"/result/{answer['job_id']}")
                assert job["message"] == message
                self.call(token, n, "GET", "/auth/status")

    def call(self, token, n, *args, **kwargs):
        """The answer, from whichever gateway gives one."""
        begun = time.monotonic()
        while True:
            n += 1
            user = User(self.doors[n % len(self.doors)], token)
            try:
                answer = user.call(*args, timeout=CALL_SECONDS * slow(), **kwargs)
                if answer.status_code == 200:
                    break
                assert answer.status_code in RETRIED, f"{args}: {answer.status_code} {answer.text}"
                why = f"{answer.status_code} {answer.json()['detail']}"
            except requests.RequestException as error:
                why = type(error).__name__
            with self.lock:
                self.retries.append(f"{user.stack.name} {args[1].split('/')[1]}: {why}")
            assert time.monotonic() - begun < 100 * slow(), f"{args}: never answered, {why}"
            time.sleep(0.05)
        with self.lock:
            self.worst = max(self.worst, time.monotonic() - begun)
        return answer.json()

    def go_on(self, count=30, seconds=20):
        """Waits until so many more jobs have been accepted."""
        wanted = len(self.accepted) + count
        wait_until(lambda: self.faults or len(self.accepted) >= wanted, seconds,
                   f"{count} more jobs are accepted")

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(120 * slow())
            assert not thread.is_alive()

    def summary(self):
        reasons = {why: self.retries.count(why) for why in set(self.retries)}
        return f"{len(self.accepted)} accepted, worst {self.worst:.2f} s, retried {reasons}"

    # The judge

    def judge(self, answer="echo: {}", seconds=60):
        """Each accepted job has ended once with its own answer; attempts only grew."""
        lab, ids = self.lab, list(self.accepted)
        assert ids

        def open_jobs():
            return lab.sql("SELECT id, status FROM job_records WHERE id = ANY (%s)"
                           " AND status <> 'completed'", ids)
        try:
            wait_until(lambda: not open_jobs(), seconds, "all jobs completed")
        except AssertionError:
            raise AssertionError(f"not completed: {open_jobs()[:10]}\n{lab.log()}") from None
        rows = lab.sql("SELECT id, message, result FROM job_records WHERE user_id = ANY (%s)",
                       self.users)
        assert {row[0]: row[1] for row in rows} == self.accepted, "one key, one job; none is lost"
        for job_id, message, result in rows:
            assert result.startswith(answer.format(message)), (job_id, message, result)
        judge_audit(lab, ids)


def judge_audit(lab, ids):
    """From the trail of the table of the queue: each job left it once, its attempts only grew, and
    no attempt was in two sessions."""
    last, ended = {}, set()
    for job_id, op, state, attempt, session in lab.sql(
            "SELECT job_id, op, state, attempt, session FROM net_audit WHERE job_id = ANY (%s)"
            " ORDER BY n", ids):
        assert job_id not in ended, f"{job_id} came back"
        if op == "DELETE":
            ended.add(job_id)
            continue
        before = last.get(job_id, (0, None))
        assert attempt >= before[0], f"{job_id}: attempt {before[0]}, then {attempt}"
        if state == 1 and before[1]:
            assert attempt > before[0] or session == before[1], f"{job_id}: two at once"
        last[job_id] = (attempt, session)
    assert ended == set(ids), "each has left the queue"


def now(lab):
    """The database's clock."""
    return lab.sql("SELECT clock_timestamp()")[0][0]


def hosts_since(lab, begun, state=None):
    """Names of the hosts that have written since."""
    names = {lab.address(name): name for name in lab.names("jobs")}
    return {names[host] for (host,) in lab.sql(
        "SELECT DISTINCT host(host) FROM net_audit WHERE at > %s"
        " AND (%s::int IS NULL OR state = %s)", begun, state, state)}


def check_all_serve(lab, seconds=40):
    """Every gateway, broker, jobs replica and worker takes part again."""
    lab.settle(seconds)
    begun = now(lab)
    received = {name: lab.net[name].received() for name in lab.names("broker")}
    sessions = set(lab.sessions().values())
    assert len(sessions) == lab.scale["worker"], "a live session for each worker"

    def all_took_part():
        with Load(lab, pause=0.0) as load:
            load.go_on(40)
        load.judge()
        used = {row[0] for row in lab.sql(
            "SELECT DISTINCT session FROM net_audit WHERE at > %s AND state = 1", begun)}
        return (hosts_since(lab, begun) == set(lab.names("jobs")) and used >= sessions and
                all(lab.net[name].received() - before > 20_000
                    for name, before in received.items()))
    wait_until(all_took_part, 30, "all replicas serve")
