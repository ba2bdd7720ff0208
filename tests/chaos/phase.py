"""One load on one stack: start, load and faults, heal, drain, read everything, judge."""
import http.client
import json
import shutil
import threading
import time
import uuid

import jwt

import oracle
import record
import tables
import tools
from caller import events_of
from clients import Clients
from faults import Faults
from figures import figures_of
from plan import describe
from system import System
from watch import Watch

USERS = 12
DRAIN_SECONDS = 180   # a lease, then retries that wait up to a minute
CALM_SECONDS = 3      # before the first fault
HEALTHY_SECONDS = 60
AGENT_TIMEOUT = "120"
STREAMS_MAX = 4000    # whose events are read again in the end


class Phase:
    def __init__(self, load, seconds, plan, given, postgres, folder, stopped):
        self.load, self.seconds, self.plan = load, seconds, plan
        self.given, self.postgres, self.stopped = given, postgres, stopped
        self.folder = folder
        folder.mkdir()
        folder.chmod(0o711)
        (folder / "plan.txt").write_text("".join(describe(fault) + "\n" for fault in plan))
        self.log = None
        self.findings = []
        self.begun = time.monotonic()

    def say(self, text):
        print(f"{self.load} {time.monotonic() - self.begun:6.0f} s  {text}", flush=True)

    def run(self):
        env = {"WORKER_RUNNER": "echo"} if self.load == "echo" else \
            {"WORKER_RUNNER": "agent", "JOB_TIMEOUT": AGENT_TIMEOUT,
             "MCP_CONFIG": tools.lay_out(self.folder / "tools")}
        self.say("starting two of everything")
        system = System(self.postgres, self.load, {**env, "QUEUE_LIMIT": "0", "RATE_LIMIT": "0"})
        try:
            return self.run_on(system)
        finally:
            shutil.copytree(system.stack.run / "logs", self.folder / "logs", dirs_exist_ok=True)
            system.close()

    def run_on(self, system):
        tables.lay_trail(system)
        self.log = record.Log(self.folder / "client-0.jsonl")
        users = self.make_users(system.stack)
        watch = Watch(system.stack)
        clients = Clients(self.folder, self.config(system.stack, users))
        faults = Faults(system, self.folder / "faults.jsonl")
        try:
            clients.start()
            self.stopped.wait(CALM_SECONDS)
            watch.take()
            watch.start()
            self.begun = time.monotonic()
            self.do_faults(faults, clients)
            self.settle(system, faults, clients)
        finally:
            faults.end_now()
            clients.close()
            watch.close()
        watch.take()
        self.look_again(system, users)
        return self.judge(system, faults, watch)

    # Before

    def make_users(self, stack):
        """[{"id", "email", "token"}]; agents need accounts that have signed in."""
        found = []
        for n in range(USERS):
            email = f"chaos-{n}@example.com"
            token = stack.token(email) if self.load == "agent" else self.mint(stack, f"chaos-{n}")
            claims = jwt.decode(token, options={"verify_signature": False})
            found.append({"id": claims["id"], "email": email, "token": token})
        return found

    @staticmethod
    def mint(stack, user):
        return jwt.encode({"id": user, "email": f"{user}@example.com", "name": user, "picture": "",
                           "exp": int(time.time()) + 86400}, stack.jwt_secret, algorithm="HS256")

    def config(self, stack, users):
        host, _, port = stack.url.partition("//")[2].partition(":")
        rate = self.given.rate or (60 if self.load == "echo" else 6)
        spare = [self.mint(stack, f"spare-{uuid.uuid4().hex}") for _ in range(400)]
        return {"load": self.load, "seed": self.given.seed, "host": host, "port": int(port),
                "rate": rate, "users": users, "spare": spare}

    # During

    def do_faults(self, faults, clients):
        done = threading.Event()
        teller = threading.Thread(target=self.tell, args=(faults, clients, done))
        teller.start()
        try:
            faults.run(self.plan, self.stopped)
            self.stopped.wait(max(0, self.begun + self.seconds - time.monotonic()))
        finally:
            done.set()
            teller.join()

    def tell(self, faults, clients, done):
        while not done.wait(10):
            counts = clients.counts()
            self.say(f"accepted {counts.get('accepted', 0)}, seen to their end "
                     f"{counts.get('ended', 0)}, 5xx {counts.get('reply 5xx', 0)}, no answer "
                     f"{counts.get('no answer', 0)}, faults {sum(faults.counts.values())}")

    def settle(self, system, faults, clients):
        """Nothing is wrong any more: all that was accepted must end, within a bounded time."""
        if self.stopped.is_set():
            faults.end_now()
        faults.join()
        system.heal()
        self.say("the faults are over")
        healed = time.time()
        if not system.wait_healthy(HEALTHY_SECONDS):
            self.findings.append(("unhealthy", "", f"{HEALTHY_SECONDS} s after the last fault"))
        self.log.write("healed", at=healed)
        clients.finish()
        end = time.monotonic() + DRAIN_SECONDS
        while tables.left(system) or clients.are_busy():
            if time.monotonic() > end:
                break
            time.sleep(0.3)
        for job, state, attempt, session in tables.left(system):
            self.findings.append(("stuck", job, f"state {state}, attempt {attempt}, {session}"))
        if clients.are_busy():
            self.findings.append(("busy clients", "", "they wait for what does not come"))
        for text in clients.errors():
            self.findings.append(("broken client", "", text))
        self.say("drained")

    # After

    def look_again(self, system, users):
        """By the API, with nothing wrong: lists, totals, the events of what was followed."""
        stack = system.stack
        owners = {}
        for one in record.read(self.folder):
            if one["w"] == "event" and one["e"] == "status":
                owners[one["id"]] = None
            elif one["w"] == "ack" and one["id"] in owners:
                owners[one["id"]] = one["user"]
        jobs = dict(system.sql("SELECT id, user_id FROM job_data"))
        tokens = {user["id"]: user["token"] for user in users}
        for user in users:
            answer = stack.get("/jobs?limit=1", user["token"])
            self.log.write("total", user=user["id"], total=answer.json().get("total"))
        for job in list(owners)[-STREAMS_MAX:]:
            if job in jobs:
                self.log.write("final", id=job, events=self.events(stack, tokens[jobs[job]], job))
        if self.load == "agent":
            for tag, spans in tools.acts(self.folder / "tools").items():
                self.log.write("acts", tag=tag, spans=spans)

    @staticmethod
    def events(stack, token, job):
        host, _, port = stack.url.partition("//")[2].partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        try:
            connection.request("GET", f"/jobs/{job}/events",
                               headers={"Authorization": f"Bearer {token}"})
            return [[n, kind, json.loads(data)]
                    for n, kind, data in events_of(connection.getresponse())]
        finally:
            connection.close()

    def judge(self, system, faults, watch):
        records = record.read(self.folder)
        seen = tables.read(system)
        found = self.findings + list(watch.findings()) + \
            oracle.judge(self.load, records, seen, faults.windows)
        for _, job, _ in found[:40]:
            if job:
                self.keep_story(system, seen, records, job)
        values = figures_of(records, seen, faults, watch)
        self.say(f"{len(found)} findings")
        return found, values

    def keep_story(self, system, seen, records, job):
        """All that is known of one job, in a file of its own."""
        lines = [json.dumps(seen["jobs"].get(job), default=str)]
        lines += [json.dumps(step) for step in seen["trail"].get(job, ())]
        lines += [json.dumps(one) for one in records if one.get("id") == job]
        lines += tables.log_lines(system, job)
        (self.folder / f"job-{job}.txt").write_text("\n".join(lines) + "\n")
