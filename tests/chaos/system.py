"""What the chaos happens to: a private PostgreSQL that can be hurt, proxies before it and before
each broker, and a stack of two of everything."""
import contextlib
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time

import psycopg2

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))
import npm_servers  # noqa: E402, F401
from net_proxy import Proxy  # noqa: E402
from stack import Stack, wait_until  # noqa: E402

REPLICAS = dict.fromkeys(("gateway", "broker", "auth", "jobs", "worker"), 2)


class Postgres:
    """The cluster that ./dev chaos has made; `command` starts it, on `port`."""

    def __init__(self, folder, command, port, password, log):
        self.folder, self.command, self.port, self.log = folder, command, port, log
        self.base = f"postgresql://mcpbus:{password}@127.0.0.1:{port}"
        self.password = password
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, cwd=self.folder, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, start_new_session=True)

    def ready(self):
        with contextlib.suppress(psycopg2.Error):
            psycopg2.connect(self.base + "/mcpbus", connect_timeout=2).close()
            return True
        return False

    def stop(self, sig=signal.SIGINT):
        """Frozen backends would keep it: they are woken."""
        if not self.process:
            return
        for pid in self.backends():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.process.send_signal(sig)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def backends(self):
        """Pids of the postmaster's children."""
        with contextlib.suppress(OSError, AttributeError):
            pid = self.process.pid
            return [int(p) for p in
                    pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return []

    def query(self, database, text, *values):
        connection = psycopg2.connect(f"{self.base}/{database}", connect_timeout=10)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(text, values)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()


class System:
    """A stack over its own database, all connections to PostgreSQL and the brokers by proxies."""

    def __init__(self, postgres, load, env):
        self.postgres = postgres
        self.database = f"chaos_{load}"
        self.stack = None
        postgres.query("mcpbus", f"CREATE DATABASE {self.database}")
        self.links = {"postgres": Proxy(("127.0.0.1", postgres.port))}
        try:
            self.begin(env)
        except BaseException:
            self.close()
            raise

    def begin(self, env):
        """Brokers get their ports when the stack starts, so the services hear of the proxies before
        them only then."""
        url = f"postgresql://mcpbus:{self.postgres.password}@127.0.0.1:" \
              f"{self.links['postgres'].port}/{self.database}"
        self.stack = Stack(env={**env, "DATABASE_URL": url}, scale=REPLICAS)
        endpoints = []
        for n, one in enumerate(self.stack.vars["BROKER_ENDPOINT"].split(","), 1):
            proxy = Proxy(("127.0.0.1", int(one.rpartition(":")[2])))
            self.links[f"broker-{n}"] = proxy
            endpoints.append(f"tcp://127.0.0.1:{proxy.port}")
        file = self.stack.run / "secrets" / "stack.env"
        file.write_text(re.sub(r"(?m)^export BROKER_ENDPOINT=.*$",
                               "export BROKER_ENDPOINT=" + shlex.quote(",".join(endpoints)),
                               file.read_text()))
        self.sv("restart", *(f"{service}-{n}" for service in ("auth", "jobs", "worker", "gateway")
                             for n in (1, 2)))
        wait_until(lambda: all(self.stack.healthy() for _ in range(6)), 60, "a healthy start")

    def sv(self, action, *names):
        subprocess.run(["sv", "-w", "20", action,
                        *(str(self.stack.run / "sv" / name) for name in names)],
                       check=False, capture_output=True)

    def sql(self, text, *values):
        return self.postgres.query(self.database, text, *values)

    def heal(self):
        """Everything runs and is connected again; what is frozen wakes by its own timer."""
        for proxy in self.links.values():
            proxy.clear()
        if not self.postgres.process or self.postgres.process.poll() is not None:
            self.postgres.start()
        wait_until(self.postgres.ready, 60, "PostgreSQL answers again")

    def wait_healthy(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if all(self.stack.healthy() for _ in range(4)):
                return True
            time.sleep(0.2)
        return False

    def close(self):
        if self.stack:
            self.stack.close(check=False)
        for proxy in self.links.values():
            proxy.close()
