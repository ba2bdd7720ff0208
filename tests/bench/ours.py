"""Our side of the benchmarks: a private stack by ./dev up, echo runner, no limits."""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
import processes  # noqa: E402
from stack import Stack  # noqa: E402

SERVICES = ("broker", "auth", "jobs", "worker", "gateway")


class Ours:
    name = "ours"
    keeps = "every job with its result, committed to PostgreSQL (fsync) before POST answers"
    jobs = {"live": 60000, "drain": 20000, "lone": 2000}
    lone_options = ("--wait", "10")
    unfinished = "SELECT EXISTS (SELECT FROM job_queue)"

    def __init__(self, database_url, secret, scale=None, env=None):
        self.stack = Stack(env={"DATABASE_URL": database_url, "JWT_SECRET": secret,
                                "WORKER_RUNNER": "echo", "RATE_LIMIT": "0", "QUEUE_LIMIT": "0",
                                **(env or {})}, scale=scale)
        self.database_url = database_url
        self.port = int(self.stack.url.rpartition(":")[2])

    def _sv(self, action, *services):
        paths = [str(self.stack.run / "sv" / f"{service}-1") for service in services]
        subprocess.run(["sv", "-w", "20", action, *paths], check=True, capture_output=True)

    def stop_worker(self):
        self._sv("force-stop", "worker")

    def start_worker(self):
        self._sv("start", "worker")

    def pids(self):
        """Of the services; the sandbox and the supervisors are for development."""
        return processes.trees(self.stack.pid(f"{service}-1") for service in SERVICES)

    def start_times(self, count):
        """Seconds until /health is 200, of all services started at once, PostgreSQL being up."""
        self._sv("force-stop", *SERVICES)
        text = subprocess.run(["bash", "-c", 'set -a; . "$1"; env -0', "-",
                               str(self.stack.run / "secrets" / "stack.env")],
                              env=self.stack.environ, check=True, capture_output=True).stdout
        env = dict(item.split("=", 1) for item in text.decode().split("\0") if item)
        programs = pathlib.Path(os.environ["MCPBUS_BIN"])
        env["BROKER_PORT"] = self.stack.vars["BROKER_ENDPOINT"].rpartition(":")[2]
        plain = {name: value for name, value in env.items()
                 if name not in ("JWT_SECRET", "TOKEN_ENCRYPTION_KEY", "DATABASE_URL")}
        commands = [([str(programs / f"mcpbus-{service}")],
                     plain if service in ("worker", "broker") else env) for service in SERVICES]
        return [processes.time_to_healthy(commands, self.stack.run, self.port)
                for _ in range(count)]

    def close(self):
        self.stack.close(check=False)
