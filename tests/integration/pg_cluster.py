"""PostgreSQL clusters of the tests' own: killed, starved, promoted, slowed down."""
import contextlib
import json
import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile

import psycopg2
import pytest

from stack import Stack, wait_until

PG_BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
PASSWORD = "a-password-that-no-log-may-hold"
CONF = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "60",
        "fsync": "on", "synchronous_commit": "on", "shared_buffers": "32MB",
        "wal_level": "replica", "max_wal_senders": "4", "hot_standby": "on",
        "password_encryption": "scram-sha-256", "log_lock_waits": "on"}


def as_postgres(*command):
    """PostgreSQL refuses root."""
    command = [str(part) for part in command]
    if os.geteuid() == 0:
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
    return command


def free_port():
    """Below the range of outgoing connections, since a stopped cluster must get it again."""
    while True:
        port = random.randrange(11000, 30000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Cluster:
    """One postmaster. `folder`: an empty folder for its data; `env`: further environment."""

    def __init__(self, conf=None, folder=None, env=None):
        parent = os.environ.get("MCPBUS_TEST_DIR") or tempfile.gettempdir()
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="pg-", dir=parent))
        self.top.chmod(0o711)
        self.data = pathlib.Path(folder) if folder else self.top / "data"
        self.data.mkdir(exist_ok=True)
        self.own(self.data)
        self.port = free_port()
        self.conf = {**CONF, **(conf or {})}
        self.environ = {**os.environ, **(env or {})}
        self.process = None

    @staticmethod
    def own(path):
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(path, user.pw_uid, user.pw_gid)
        path.chmod(0o700)

    def run(self, *command, environ=None, **kwargs):
        done = subprocess.run(as_postgres(*command), capture_output=True, text=True, timeout=120,
                              check=False, cwd=self.data, env=environ or os.environ, **kwargs)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    def make(self, wal_elsewhere=False):
        """An empty cluster with an empty database; its WAL in another folder if wanted."""
        wal = [f"--waldir={self.top / 'wal'}"] if wal_elsewhere else []
        if wal_elsewhere:
            (self.top / "wal").mkdir()
            self.own(self.top / "wal")
        secret = self.top / "password"
        secret.write_text(PASSWORD)
        self.own(secret)
        self.run(PG_BIN / "initdb", "-D", self.data, "-U", "mcpbus", "-A", "scram-sha-256", "-E",
                 "UTF8", "--locale=C.UTF-8", "--no-sync", f"--pwfile={secret}", *wal)
        self.run(PG_BIN / "postgres", "--single", "-D", self.data, "postgres",
                 input="CREATE DATABASE mcpbus;\n")
        return self

    def make_standby(self, primary):
        """A copy of a running cluster that follows it; its name there is `standby`."""
        shutil.rmtree(self.data)
        self.data.mkdir()
        self.own(self.data)
        self.run(PG_BIN / "pg_basebackup", "-D", self.data, "-R", "--checkpoint=fast", "--no-sync",
                 "-d", primary.conninfo("postgres") + " application_name=standby",
                 environ={**os.environ, "PGPASSWORD": PASSWORD})
        with open(self.data / "postgresql.auto.conf", encoding="utf-8") as file:
            assert "application_name=standby" in file.read()
        return self

    def url(self, database="mcpbus", password=PASSWORD):
        return f"postgresql://mcpbus:{password}@127.0.0.1:{self.port}/{database}"

    def conninfo(self, database="mcpbus"):
        return f"host=127.0.0.1 port={self.port} user=mcpbus dbname={database} " \
            f"password={PASSWORD}"

    # Starting, stopping

    def launch(self):
        """Starts the postmaster; does not wait."""
        settings = [part for name, value in self.conf.items() for part in ("-c", f"{name}={value}")]
        with open(self.top / "log", "ab") as log:
            self.process = subprocess.Popen(
                as_postgres(PG_BIN / "postgres", "-D", self.data, "-p", self.port, *settings),
                cwd=self.data, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.environ, start_new_session=True)
        return self

    def start(self):
        self.launch()
        wait_until(self.answers, 60, "PostgreSQL answers")
        return self

    def answers(self):
        with contextlib.suppress(psycopg2.OperationalError):
            return self.sql("SELECT true")[0][0]
        assert self.process.poll() is None, self.log()[-2000:]
        return False

    def stop(self, how=signal.SIGQUIT):
        """SIGQUIT: pg_ctl -m immediate. SIGKILL: the postmaster and all its children at once."""
        if not self.process:
            return
        pids = self.pids() if how == signal.SIGKILL else []
        for pid in [self.process.pid, *pids]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
        self.process.wait(60)
        self.process = None
        wait_until(lambda: not self.pids(), 30, "no process of PostgreSQL is left")

    def restart(self, how=signal.SIGQUIT):
        self.stop(how)
        self.start()

    def promote(self):
        self.run(PG_BIN / "pg_ctl", "promote", "-D", self.data)

    def pids(self):
        """By the working directory, which a postmaster and its children share."""
        found = []
        for proc in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(proc / "cwd") == str(self.data.resolve()):
                    found.append(int(proc.name))
        return found

    def close(self):
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                for pid in self.pids():
                    os.kill(pid, signal.SIGCONT)
            self.stop(signal.SIGKILL)
        shutil.rmtree(self.top, ignore_errors=True)

    def log(self):
        return (self.top / "log").read_text(errors="replace")

    # Looking inside

    def connect(self, database="mcpbus"):
        connection = psycopg2.connect(self.conninfo(database), connect_timeout=5,
                                      application_name="test")
        connection.autocommit = True
        return connection

    def sql(self, query, *args, database="mcpbus"):
        with contextlib.closing(self.connect(database)) as connection:
            with connection.cursor() as cursor:
                cursor.execute(query, args or None)
                return cursor.fetchall() if cursor.description else []

    def backends(self, like="mcpbus%"):
        """Pids of our services' backends."""
        return [pid for (pid,) in self.sql("SELECT pid FROM pg_stat_activity"
                                           " WHERE application_name LIKE %s ORDER BY pid", like)]


@contextlib.contextmanager
def tmpfs(megabytes):
    """A small disk; skips the test where none may be mounted."""
    parent = os.environ.get("MCPBUS_TEST_DIR") or tempfile.gettempdir()
    folder = tempfile.mkdtemp(prefix="disk-", dir=parent)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "mcpbus",
                           folder], capture_output=True, text=True, check=False)
    if done.returncode:
        os.rmdir(folder)
        pytest.skip(f"no tmpfs may be mounted here: {done.stderr.strip()}")
    try:
        yield pathlib.Path(folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=False)
        os.rmdir(folder)


def stack_over(url, scale=None, env=None):
    """The bus alone, over that database."""
    return Stack(env={"WORKER_RUNNER": "echo", "DATABASE_URL": url, **(env or {})}, scale=scale)


def health(stack):
    """Status and text of /health."""
    answer = stack.get("/health", timeout=10)
    return answer.status_code, json.dumps(answer.json())


def cpu_seconds(pids):
    """Processor time that these have used."""
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
