"""Runs whose tool leaves a trace on this machine's clock (fixtures/acting_server.py): the witness of
who acted when, which needs neither the network nor the database."""
import collections
import json
import os
import pathlib
import shutil
import uuid

from client import original_token, User
from net_lab import Lab
from net_load import judge_audit
from stack import slow, wait_until

SERVER = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "acting_server.py"
SLOTS = 4  # of each worker


class ActingLab(Lab):
    """Agents with that one tool."""

    def __init__(self):
        super().__init__(env={"WORKER_CONCURRENCY": str(SLOTS)})

    def settings(self, name):
        env = super().settings(name)
        if name.startswith("worker-"):
            env["MCP_CONFIG"] = self.configure(name)
        return env

    @property
    def trace(self):
        return self.run / "tools" / "trace"

    def configure(self, worker):
        folder = self.run / "tools"
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        server = folder / SERVER.name
        if not server.exists():
            shutil.copy(SERVER, server)
            server.chmod(0o755)
            self.trace.touch()
            self.trace.chmod(0o666)  # the tool may be another user
        config = folder / f"{worker}.json"
        config.write_text(json.dumps({"mcpServers": {"acting": {
            "command": str(server), "env": {"TRACE": str(self.trace), "HOST": worker}}}}))
        config.chmod(0o644)
        return str(config)

    def acts(self):
        """{job: [(worker, first beat, last beat), …]} in the order of their beginning. A call of the
        tool is told from the next by another worker, or by a pause."""
        found = collections.defaultdict(list)
        for line in self.trace.read_text().splitlines():
            job, worker, at = line.split()
            at = float(at)
            for i, (who, first, last) in enumerate(found[job]):
                if who == worker and at - last < 1.0 * slow():
                    found[job][i] = (who, first, at)
                    break
            else:
                found[job].append((worker, at, at))
        return found


class Acts:
    """Some jobs of one user that each act for some seconds."""

    def __init__(self, lab, count, seconds, door=2):
        self.lab = lab
        with lab.net["client"].entered():
            self.user = User(lab.door(door), original_token(lab))
            self.jobs = {}
            for _ in range(count):
                name = uuid.uuid4().hex
                arguments = json.dumps({"job": name, "seconds": seconds})
                self.jobs[self.user.run(f"use tool act with {arguments}")] = name

    def wait_acting(self, count, seconds=20):
        """So many act at once, on both workers."""
        def acting():
            seen = [calls[-1][0] for job, calls in self.lab.acts().items()
                    if job in self.jobs.values()]
            return len(seen) >= count and len(set(seen)) == 2
        wait_until(acting, seconds, f"{count} runs act")

    def on(self, worker):
        """The jobs that have acted there."""
        return [job for job, name in self.jobs.items()
                if worker in [who for who, _, _ in self.lab.acts()[name]]]

    def judge(self, seconds=60):
        """All completed, no two calls of a job's tool at once, events numbered without gaps and
        with one end, and the number of calls of each."""
        with self.lab.net["client"].entered():
            for job in self.jobs:
                ended = self.user.finished(job, seconds)
                assert ended["status"] == "completed", f"{ended}\n{self.lab.log()}"
                events = self.user.events(job)
                assert [event.number for event in events] == list(range(1, len(events) + 1))
                ends = [e for e in events if e.kind == "status" and
                        e.data["status"] in ("completed", "failed", "cancelled")]
                assert len(ends) == 1 and events[-1] is ends[0], events
        acts = self.lab.acts()
        for name in self.jobs.values():
            calls = acts[name]
            assert calls, "each has acted"
            for (_, _, last), (_, first, _) in zip(calls, calls[1:]):
                assert first > last, f"two at once: {calls}"
        judge_audit(self.lab, list(self.jobs))
        return {job: len(acts[name]) for job, name in self.jobs.items()}


def check_all_slots(lab):
    """Every slot of every worker is free, and used when there is work for all. A worker may hold one
    more for a moment, when two replicas have seen its last slot free."""
    lab.settle()
    acts = Acts(lab, 3 * SLOTS * lab.scale["worker"], 2)
    most = collections.Counter()

    def all_used():
        for session, count in lab.sql("SELECT session, count(*) FROM job_queue WHERE state = 1 "
                                      "GROUP BY session"):
            most[session] = max(most[session], count)
        return len(most) >= lab.scale["worker"] and min(most.values()) >= SLOTS
    try:
        wait_until(all_used, 20, "all slots are used")
    except AssertionError as error:
        raise AssertionError(f"{error}: {most}\n{lab.log()}") from None
    acts.judge()


def tree(pid):
    """The process and all that it has started."""
    found = [pid]
    for one in found:
        for task in pathlib.Path(f"/proc/{one}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return [one for one in found if os.path.exists(f"/proc/{one}")]
