"""The peer: the original's stack (FastAPI on uvicorn, Celery, Redis, SQLAlchemy), from Debian."""
import os
import pathlib
import tempfile

import processes

HERE = pathlib.Path(__file__).resolve().parent / "peer"
PYTHON = "/usr/bin/python3"


def redis_command(port, folder, fsync):
    return ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
            "--save", "", "--appendonly", "yes", "--appendfsync", fsync]


class Peer:
    name = "peer"
    keeps = "every job with its result in PostgreSQL; what is queued in Redis, synced every second"
    jobs = {"live": 1500, "drain": 2000, "lone": 300}
    lone_options = ("--poll-us", "1000")
    unfinished = "SELECT EXISTS (SELECT FROM job_records WHERE status <> 'completed')"

    def __init__(self, database_url, secret):
        self.database_url = database_url
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="peer-",
                                                    dir=os.environ["MCPBUS_TEST_DIR"]))
        self.redis_port, self.port = processes.free_port(), processes.free_port()
        self.env = {**os.environ, "PEER_DATABASE_URL": database_url, "PEER_JWT_SECRET": secret,
                    "PEER_REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
                    "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
        self.group = processes.Group(self.folder)
        self._make_tables()
        self.start()

    def _make_tables(self):
        group = processes.Group(self.folder)
        group.start("tables", [PYTHON, "-c", "import models, settings, sqlalchemy as s; "
                               "models.Base.metadata.create_all("
                               "s.create_engine(settings.DATABASE_URL))"], self.env)
        if group.running["tables"].wait(60) != 0:
            raise RuntimeError((self.folder / "tables.log").read_text())

    def commands(self):
        """{name: command}; two processes of each kind, as many as a machine of two cores feeds."""
        return {
            "redis": redis_command(self.redis_port, self.folder, "everysec"),
            "worker": [PYTHON, "-m", "celery", "-A", "tasks", "worker", "--pool", "prefork",
                       "--concurrency", "2", "--without-gossip", "--without-mingle",
                       "--without-heartbeat", "--loglevel", "warning"],
            "api": [PYTHON, "-m", "uvicorn", "api:app", "--host", "127.0.0.1", "--port",
                    str(self.port), "--loop", "uvloop", "--http", "httptools", "--workers",
                    os.environ.get("BENCH_PEER_WORKERS", "2"), "--no-access-log", "--log-level",
                    "warning"],
        }

    def start(self):
        for name, command in self.commands().items():
            self.group.start(name, command, self.env)
        processes.wait_healthy(self.port)

    def stop_worker(self):
        self.group.stop("worker")

    def start_worker(self):
        self.group.start("worker", self.commands()["worker"], self.env)

    def pids(self):
        return self.group.pids()

    def start_times(self, count):
        self.group.stop()
        commands = [(command, self.env) for command in self.commands().values()]
        return [processes.time_to_healthy(commands, self.folder, self.port) for _ in range(count)]

    def close(self):
        self.group.stop()
