"""Load from outside with an oracle: it keeps what was accepted, and afterwards each accepted job
has ended exactly once, with its own answer."""
import threading
import time

import requests

from client import User, original_token
from stack import slow, wait_until


class Answer:
    """One reply to one POST /run."""

    def __init__(self, began, status, retry_after, text):
        self.began = began
        self.ended = time.monotonic()
        self.status = status
        self.retry_after = retry_after
        self.text = text


class Load:
    """Users who submit one job after the other until stop(). A call that was not accepted is tried
    again under its key. Used as a context: ends with stop()."""

    def __init__(self, stack, users=6, pause=0.005, length=0):
        self.stack = stack
        self.pause = pause
        self.padding = "x" * length
        self.accepted = {}  # id: (user, message)
        self.answers = []
        self.lost = 0  # connections without an answer
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.users = [User(stack, original_token(stack)) for _ in range(users)]
        self.threads = [threading.Thread(target=self.submit_all, args=(user,))
                        for user in self.users]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def submit_all(self, user):
        session = requests.Session()
        session.trust_env = False
        n = 0
        while not self.over.is_set():
            self.submit(user, session, f"job {n} of {user.id}{self.padding}", f"key {n}")
            n += 1
            self.over.wait(self.pause)

    def submit(self, user, session, message, key):
        end = time.monotonic() + 240 * slow()
        while time.monotonic() < end:
            job_id = self.attempt(user, session, message, key)
            if job_id:
                with self.lock:
                    assert self.accepted.get(job_id, (user, message)) == (user, message)
                    self.accepted[job_id] = (user, message)
                return
            time.sleep(0.05)

    def attempt(self, user, session, message, key):
        began = time.monotonic()
        try:
            answer = session.post(
                self.stack.url + "/run", json={"message": message}, timeout=60,
                headers={"Authorization": f"Bearer {user.token}", "Idempotency-Key": key})
        except requests.RequestException:
            with self.lock:
                self.lost += 1
            return None
        with self.lock:
            self.answers.append(Answer(began, answer.status_code,
                                       answer.headers.get("Retry-After"), answer.text[:300]))
        return answer.json()["job_id"] if answer.status_code == 200 else None

    def stop(self):
        self.over.set()
        for thread in self.threads:
            if thread.ident:
                thread.join(120 * slow())
                assert not thread.is_alive(), "a submitter has not ended"

    def wait_accepted(self, more, seconds=60):
        """Until so many more have been accepted than now."""
        goal = len(self.accepted) + more
        wait_until(lambda: len(self.accepted) >= goal, seconds, f"{more} more jobs are accepted")

    def longest(self):
        """The longest time that one call took."""
        return max(answer.ended - answer.began for answer in self.answers)

    def check_answers(self, allowed=(200, 503)):
        """Nothing but acceptance, or an honest refusal that says when to come again."""
        for answer in self.answers:
            assert answer.status in allowed, f"{answer.status}: {answer.text}"
            if answer.status in (429, 503):
                assert int(answer.retry_after or 0) >= 1, answer.text
        assert self.lost == 0, f"{self.lost} connections to the gateway were lost"

    def check_all_ended(self, cluster, seconds=90):
        """By the table: each ended once, completed, with its own answer; none is there twice."""
        ids = list(self.accepted)
        wait_until(lambda: not cluster.sql(
            "SELECT 1 FROM unnest(%s::text[]) i LEFT JOIN job_records r ON r.id = i"
            " WHERE r.status IS DISTINCT FROM 'completed' LIMIT 1", ids), seconds,
            "all accepted jobs completed")
        rows = cluster.sql("SELECT id, user_id, message, result, attempts FROM job_records"
                           " WHERE user_id = ANY (%s)", [user.id for user in self.users])
        assert sorted(row[0] for row in rows) == sorted(ids), "one key, one job"
        for job_id, user_id, message, result, attempts in rows:
            user, wanted = self.accepted[job_id]
            assert (user_id, message, result) == (user.id, wanted, f"echo: {wanted}")
            assert 1 <= attempts <= 20
        left = cluster.sql("SELECT count(*) FROM job_queue WHERE job_id = ANY (%s)", ids)
        assert left == [(0,)], "what has ended waits no more"
        self.check_events(ids[:: max(1, len(ids) // 20)])

    def check_events(self, ids):
        """Numbered from 1 without gaps, one end, attempts that increase."""
        for job_id in ids:
            events = self.accepted[job_id][0].events(job_id)
            assert [event.number for event in events] == list(range(1, len(events) + 1))
            statuses = [event.data["status"] for event in events if event.kind == "status"]
            assert statuses.count("completed") == 1 and statuses[-1] == "completed"
            attempts = [event.data["attempt"] for event in events if "attempt" in event.data]
            assert attempts == sorted(attempts)
