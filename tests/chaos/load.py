#!/usr/bin/python3
"""One client process of the chaos suite: several actors, each a thread that submits jobs and
follows them. Its configuration is one JSON line on stdin; then "finish" (no new jobs; what is open
is seen to its end) and the end of input (stop). Counters go to stdout, a JSON line a second."""
import json
import random
import sys
import threading
import time

from caller import READ_ERRORS, Caller, events_of
from record import Log

ENDED = ("completed", "failed", "cancelled")
RETRY_SECONDS = (0.1, 0.6)
GIVE_UP_SECONDS = 60  # after "finish", when nothing is wrong any more
STREAM_ROUNDS = 60


class Process:
    def __init__(self, config):
        self.config = config
        self.log = Log(config["log"])
        self.finish, self.stop = threading.Event(), threading.Event()
        self.lock = threading.Lock()
        self.counters = {}
        self.finish_at = None
        self.known = []  # (id, user) of jobs, for those who ask for what isn't theirs
        self.serial = 0

    def count(self, name, by=1):
        with self.lock:
            self.counters[name] = self.counters.get(name, 0) + by

    def next_serial(self):
        with self.lock:
            self.serial += 1
            return f"{self.config['name']}-{self.serial}"

    def is_late(self):
        return self.stop.is_set() or (
            self.finish_at and time.monotonic() > self.finish_at + GIVE_UP_SECONDS)

    def listen(self):
        for line in sys.stdin:
            if line.strip() == "finish":
                self.finish_at = time.monotonic()
                self.finish.set()
        self.finish.set()
        self.stop.set()

    def main(self):
        threading.Thread(target=self.listen, daemon=True).start()
        actors = [Actor(self, n) for n in range(self.config["actors"])]
        threads = [threading.Thread(target=actor.main) for actor in actors]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.5)
            self.report()
        self.report()

    def report(self):
        with self.lock:
            print(json.dumps(self.counters), flush=True)


class Actor:
    """One user's client; several actors share a user."""

    def __init__(self, process, n):
        config = process.config
        self.process, self.log = process, process.log
        self.random = random.Random(f"{config['seed']}/{config['name']}/{n}")
        self.user = config["users"][n % len(config["users"])]
        self.token, self.id = self.user["token"], self.user["id"]
        self.caller = Caller(config["host"], config["port"], self.log, process.count)
        self.pause = config["actors"] / config["rate"]

    def main(self):
        while not self.process.finish.is_set():
            begun = time.monotonic()
            self.turn()
            pause = self.pause * self.random.uniform(0.5, 1.5) - (time.monotonic() - begun)
            self.process.finish.wait(max(0.0, pause))
        self.caller.close()

    def turn(self):
        chance = self.random.random()
        if chance < 0.04:
            self.list_jobs()
        elif chance < 0.06:
            self.look_at_another()
        elif chance < 0.075:
            self.sign_in_and_out()
        serial = self.process.next_serial()
        message = self.message(serial)
        key = f"key {serial}" if self.random.random() < 0.8 else None
        job = self.submit(serial, message, key)
        if job:
            self.follow(job, message, key)

    # Submitting

    def message(self, serial):
        """Different in every job, so that an answer tells whose it is."""
        tag = f"tag-{serial}-{self.random.getrandbits(32):08x}"
        if self.process.config["load"] == "echo":
            return f"{tag} " + "x" * self.random.choice((0, 0, 10, 200, 3000))
        slow = f" [sandbox:slow={self.random.choice((0.1, 0.5, 1, 2, 4, 8))}]" \
            if self.random.random() < 0.6 else ""
        tool = self.random.random()
        if tool < 0.5:
            name = self.random.choice(("act_once", "act_again"))
            seconds = self.random.choice((0, 0.2, 1, 4))
            return f'use tool {name} with {{"tag": "{tag}", "seconds": {seconds}}}{slow}'
        if tool < 0.7:
            return f'use tool drive_search with {{"query": "{tag}"}}{slow}'
        if tool < 0.85:
            return f"List my recent emails ({tag}){slow}"
        return f"Say {tag}{slow}"

    def submit(self, serial, message, key):
        """Its id once it is accepted; None: it never was, or nobody knows."""
        self.log.write("post", s=serial, user=self.id, message=message, key=key)
        headers = {"Idempotency-Key": key} if key else {}
        twin = None
        if key and self.random.random() < 0.05:
            twin = threading.Thread(target=self.submit_again, args=(message, key))
            twin.start()
        try:
            return self.submit_until_accepted(serial, message, key, headers)
        finally:
            if twin:
                twin.join()

    def submit_until_accepted(self, serial, message, key, headers):
        while True:
            code, answer, ms = self.caller.call("POST", "/run", self.token, {"message": message},
                                                headers, "POST /run")
            if code == 200:
                job = answer["job_id"]
                self.log.write("ack", s=serial, user=self.id, id=job, key=key, ms=round(ms, 2))
                self.process.count("accepted")
                with self.process.lock:
                    self.process.known.append((job, self.id))
                    del self.process.known[:-500]
                return job
            if not key or self.process.is_late():
                self.log.write("gave_up", s=serial, key=key,
                               healthy=bool(key and self.process.finish_at))
                return None
            time.sleep(self.random.uniform(*RETRY_SECONDS))

    # Following

    def follow(self, job, message, key):
        chance = self.random.random()
        if chance < 0.12:
            self.cancel(job)
        if key and chance > 0.97:
            self.submit_again(message, key)
        elif key and chance > 0.96:
            self.use_key_again(job, key)
        way = self.random.random()
        if way < 0.4:
            self.wait(job)
        elif way < 0.65:
            self.poll(job)
        elif way < 0.9:
            self.read_stream(job)

    def saw(self, by, job, begun):
        self.log.write("seen", by=by, id=job.get("job_id"), user=self.id, owner=job.get("user_id"),
                       status=job.get("status"), result=job.get("result"),
                       error=job.get("error_message"), usage=job.get("token_usage"), t0=begun)

    def look(self, job, wait=None):
        """Whether it has ended."""
        begun = round(time.time(), 4)
        path = f"/result/{job}" + (f"?wait={wait}" if wait else "")
        code, answer, _ = self.caller.call("GET", path, self.token, timeout=25 + (wait or 0),
                                           what="GET /result?wait" if wait else "GET /result")
        if code != 200:
            time.sleep(self.random.uniform(*RETRY_SECONDS))
            return False
        self.saw("wait" if wait else "poll", answer, begun)
        return answer["status"] in ENDED

    def wait(self, job):
        begun = time.monotonic()
        while not self.look(job, self.random.choice((1, 5, 30, 60))):
            if self.process.is_late():
                return
        self.process.count("ended")
        self.process.count("ended_ms", (time.monotonic() - begun) * 1000)

    def poll(self, job):
        while not self.look(job):
            if self.process.is_late():
                return
            time.sleep(self.random.uniform(0.02, 0.5))
        self.process.count("ended")

    def cancel(self, job):
        time.sleep(self.random.choice((0, 0, 0.05, 0.5, 2)))
        self.log.write("cancel", id=job)
        begun = round(time.time(), 4)
        code, answer, _ = self.caller.call("POST", f"/jobs/{job}/cancel", self.token,
                                           what="POST cancel")
        if code == 200:
            self.saw("cancel", answer, begun)

    def submit_again(self, message, key):
        """The same once more, on a connection of its own: maybe at the same time, elsewhere."""
        caller = Caller(*self.caller.address, self.log, self.process.count)
        code, answer, ms = caller.call("POST", "/run", self.token, {"message": message},
                                       {"Idempotency-Key": key}, "POST /run")
        caller.close()
        if code == 200:
            self.log.write("ack", s=None, user=self.id, id=answer["job_id"], key=key,
                           ms=round(ms, 2))

    def use_key_again(self, job, key):
        code, _, _ = self.caller.call("POST", "/run", self.token, {"message": "another"},
                                      {"Idempotency-Key": key}, "POST /run", expected=(409,))
        self.log.write("conflict", id=job, code=code)

    def read_stream(self, job):
        """To its end, with breaks of our own making and of the system's."""
        after = 0
        for _ in range(STREAM_ROUNDS):
            name = self.process.next_serial()
            how, after = self.read_some(job, name, after)
            self.log.write("stream", id=job, stream=name, after=after, how=how)
            if how in ("end", "204") or self.process.is_late():
                break
            time.sleep(self.random.uniform(0, 0.5))
        self.process.count("ended")

    def read_some(self, job, name, after):
        opened = self.caller.stream(f"/jobs/{job}/events", self.token, after)
        if not opened:
            return "lost", after
        connection, answer = opened
        leave = self.random.choice((1, 2, 3, 1000, 1000))
        try:
            if answer.status != 200:
                return self.no_stream(answer), after
            for number, kind, data in events_of(answer):
                self.log.write("event", id=job, stream=name, n=number, e=kind, d=data)
                after = number
                leave -= 1
                if kind == "status" and json.loads(data).get("status") in ENDED:
                    return "end", after
                if leave <= 0:
                    return "left", after
        except READ_ERRORS:
            pass
        finally:
            connection.close()
        return "lost", after

    def no_stream(self, answer):
        self.process.count(f"reply {answer.status // 100}xx")
        if answer.status == 204:
            return "204"
        self.log.write("reply", what="GET /jobs/ID/events", code=answer.status,
                       t0=round(time.time(), 3), retry_after=answer.headers.get("Retry-After"),
                       detail=answer.read(200).decode("utf-8", "replace"))
        return "lost"

    # Besides

    def list_jobs(self):
        offset = self.random.choice((0, 0, 20, 100))
        begun = round(time.time(), 4)
        code, answer, _ = self.caller.call("GET", f"/jobs?limit=20&offset={offset}", self.token,
                                           what="GET /jobs")
        if code == 200:
            for job in answer["jobs"]:
                # Texts are cut in lists.
                self.saw("list", {**job, "result": None}, begun)

    def look_at_another(self):
        with self.process.lock:
            others = [job for job, user in self.process.known if user != self.id]
        if others:
            job = self.random.choice(others)
            code, _, _ = self.caller.call("GET", f"/result/{job}", self.token, expected=(404,),
                                          what="GET /result of another")
            self.log.write("foreign", id=job, user=self.id, code=code)

    def sign_in_and_out(self):
        """A token that was logged out is refused everywhere a second later."""
        config = self.process.config
        if not config.get("spare"):
            return
        with self.process.lock:
            token = config["spare"].pop() if config["spare"] else None
        if not token:
            return
        code, answer, _ = self.caller.call("POST", "/auth/login", token, what="POST /auth/login")
        fresh = answer["access_token"] if code == 200 else token
        code, _, _ = self.caller.call("DELETE", "/auth/logout", fresh, what="DELETE /auth/logout")
        if code != 200:
            return
        time.sleep(1.2)
        for used in (fresh, token):
            code, _, _ = self.caller.call("GET", "/me", used, expected=(401,), what="GET /me")
            self.log.write("logout", user=self.id, code=code)


if __name__ == "__main__":
    Process(json.loads(sys.stdin.readline())).main()
