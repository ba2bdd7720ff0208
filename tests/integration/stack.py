"""A whole stack of its own for tests: ./dev up in a temporary run folder, on free ports."""
import contextlib
import fcntl
import json
import os
import pathlib
import shlex
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time
import uuid

import psycopg2
import requests

import api_document

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DEV = ROOT / "dev"
PORTS = ("GATEWAY_PORT", "MONITOR_PORT", "SANDBOX_PORT", "BROKER_PORT", "POSTGRES_PORT")
ENDED = ("completed", "failed", "cancelled")


def slow():
    """Sanitizers cost time: deadlines are stretched by this."""
    return 4 if "ASAN_OPTIONS" in os.environ or "TSAN_OPTIONS" in os.environ else 1


def wait_until(condition, seconds=10, what="the condition"):
    """The first true value of condition(), polled; never a sleep to let things settle."""
    deadline = time.monotonic() + seconds * slow()
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what}: not within {seconds * slow()} s"
        time.sleep(0.03)


def rows_of(connection, query, args):
    """Of one query; the connection is closed."""
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(query, args)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def is_drained(log):
    """Has svlogd read all, and written it? Then it sleeps until there is more."""
    try:
        pid = int((log / "supervise" / "pid").read_text())
        pipe = os.open(f"/proc/{pid}/fd/0", os.O_RDONLY | os.O_NONBLOCK)
        try:
            waiting = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0\0\0\0"))[0]
        finally:
            os.close(pipe)
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError):
        return True  # nobody writes it any more
    return waiting == 0 and state == "S"


class Stack:
    """env: further settings. The run folder exists until close()."""

    documented = True  # its answers must be what openapi.json says

    def __init__(self, env=None, scale=None, start=True):
        parent = os.environ.get("MCPBUS_TEST_DIR") or tempfile.gettempdir()
        self.run = pathlib.Path(tempfile.mkdtemp(prefix="stack-", dir=parent))
        self.run.chmod(0o711)
        self.environ = {**os.environ, "MCPBUS_ENV_FILE": "/dev/null",
                        **dict.fromkeys(PORTS, "0"), "RATE_LIMIT": "0",
                        "MCPBUS_LOG_BYTES": str(2**30),  # tests go by places in the log
                        "STRANGER_RATE_LIMIT": "0",
                        "MCPBUS_RUN_DIR": str(self.run), **(env or {})}
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.hooks["response"].append(api_document.look)
        self.vars = {}
        self._tokens = {}
        if start:
            try:
                self.up(scale)
            except BaseException:
                self.close(check=False)
                raise

    # The command line

    def dev(self, *args, check=True, timeout=300):
        """./dev ARGS on this stack; the finished process with its output as text."""
        done = subprocess.run([str(DEV), *args], env=self.environ, capture_output=True, text=True,
                              timeout=timeout, stdin=subprocess.DEVNULL, check=False)
        assert not check or done.returncode == 0, \
            f"./dev {' '.join(args)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def up(self, scale=None):
        args = [part for s, n in (scale or {}).items() for part in ("--scale", f"{s}={n}")]
        self.dev("up", "-d", *args)
        self.read_env()

    def read_env(self):
        self.vars = {}
        for line in (self.run / "env").read_text().splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            self.vars[name] = "".join(shlex.split(value))
        if self.documented:
            api_document.gateways.update(self.own_addresses())

    def own_addresses(self):
        """Of the gateways; the second is where browsers come back to."""
        return {self.vars.get(name, "").rstrip("/") for name in ("GATEWAY_URL", "PUBLIC_URL")} - {""}

    @property
    def run_dir(self):
        return self.run

    @property
    def gateway_url(self):
        return self.vars["GATEWAY_URL"]

    @property
    def monitor_url(self):
        return self.vars["MONITOR_URL"]

    @property
    def monitor_token(self):
        """What the monitor's API takes as a Bearer token."""
        return self.vars.get("MONITOR_TOKEN", "")

    @property
    def sandbox_url(self):
        return self.vars["SANDBOX_URL"]

    @property
    def database_url(self):
        return self.vars["DATABASE_URL"]

    @property
    def brokers(self):
        return self.vars["BROKER_ENDPOINT"].split(",")

    @property
    def keys(self):
        """The key folder of the bus; None in plain mode."""
        return self.vars["BUS_KEYS"] if self.vars["BUS_SECURITY"] == "curve" else None

    @property
    def jwt_secret(self):
        return self.environ.get("JWT_SECRET") or \
            (self.run / "secrets" / "JWT_SECRET").read_text().strip()

    @property
    def url(self):
        return self.vars["GATEWAY_URL"]

    @property
    def sandbox(self):
        return self.vars["SANDBOX_URL"]

    # Processes

    def pid(self, name):
        """Of "gateway-1"; None while it has none."""
        try:
            return int((self.run / "pids" / f"{name}.pid").read_text())
        except (OSError, ValueError):
            return None

    def pids(self, service):
        """{name: pid} of all instances of a service."""
        files = sorted((self.run / "pids").glob(f"{service}-*.pid"))
        return {file.stem: int(file.read_text()) for file in files}

    def kill(self, service, n=1, sig=signal.SIGKILL):
        """Signals one process; its pid."""
        pid = self.pid(f"{service}-{n}")
        os.kill(pid, sig)
        return pid

    def processes(self):
        """Every live process of this stack."""
        mark, found = f"MCPBUS_STACK={self.run}".encode(), []
        pg = str((self.run / "pg").resolve())
        for proc in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (proc / "environ").read_bytes().split(b"\0") \
                        or os.readlink(proc / "cwd") == pg:
                    found.append(int(proc.name))
        return found

    def log(self, name=""):
        """The text of the logs of "worker", "worker-1" or all, up to now."""
        self.drain_logs(name)
        return "".join(file.read_text(errors="replace")
                       for file in sorted((self.run / "logs").glob(f"{name}*.log")))

    def drain_logs(self, name=""):
        """What was said before this call is in the files after it."""
        for log in (self.run / "sv").glob(f"{name}*/log"):
            end = time.monotonic() + 5 * slow()
            while not is_drained(log) and time.monotonic() < end:
                time.sleep(0.005)

    def healthy(self):
        try:
            return self.http.get(self.url + "/health", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def wait_healthy(self, seconds=20):
        wait_until(self.healthy, seconds, "healthy again")

    # The API

    def sign_in(self, email="test@example.com", scopes=None, deny=False):
        """Walks the OAuth flow; the login response of /auth/callback."""
        if scopes is None:
            scopes = list(self.get("/auth/scopes").json()["available_scopes"])
        begun = self.post("/auth/scopes", json={"scopes": scopes})
        assert begun.status_code == 200, begun.text
        page = self.http.get(begun.json()["auth_url"], allow_redirects=False, timeout=30, params={
            "sandbox_auto": "deny" if deny else "allow", "login_hint": email})
        assert page.status_code in (302, 303), page.text
        # PUBLIC_URL says localhost; the gateway listens on 127.0.0.1.
        back = page.headers["Location"].replace(self.vars["PUBLIC_URL"], self.url)
        done = self.http.get(back, headers={"Accept": "application/json"}, timeout=30)
        assert done.status_code == 200, done.text
        return done.json()

    def token(self, email="test@example.com", scopes=None):
        """A JWT; kept, so that a second call with the same arguments costs nothing."""
        key = (email, tuple(scopes) if scopes is not None else None)
        if key not in self._tokens:
            self._tokens[key] = self.sign_in(email, scopes)["access_token"]
        return self._tokens[key]

    def call(self, method, path, token=None, **kwargs):
        headers = dict(kwargs.pop("headers", None) or {})
        if token:
            headers["Authorization"] = f"Bearer {token}"
        kwargs.setdefault("timeout", 70)
        return self.http.request(method, self.url + path, headers=headers, **kwargs)

    def get(self, path, token=None, **kwargs):
        return self.call("GET", path, token, **kwargs)

    def post(self, path, token=None, **kwargs):
        return self.call("POST", path, token, **kwargs)

    def delete(self, path, token=None, **kwargs):
        return self.call("DELETE", path, token, **kwargs)

    def post_run(self, token, message="List my recent emails", key=None):
        """Accepts a job; its id."""
        headers = {"Idempotency-Key": key} if key else {}
        answer = self.post("/run", token, json={"message": message}, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["job_id"]

    def job(self, token, job_id, wait=None):
        answer = self.get(f"/result/{job_id}", token, params={"wait": wait} if wait else None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wait_job(self, token, job_id, seconds=60, status=None):
        """The job once it has ended; with `status`, it must have ended so."""
        deadline = time.monotonic() + seconds * slow()
        while True:
            with contextlib.suppress(requests.RequestException, AssertionError):
                job = self.job(token, job_id, wait=5)
                if job["status"] in ENDED:
                    assert status in (None, job["status"]), json.dumps(job, indent=2)
                    return job
            assert time.monotonic() < deadline, f"job {job_id} has not ended:\n{self.log('worker')}"
            time.sleep(0.02)

    def events(self, token, job_id, after=None, seconds=60):
        """The job's events to their end: a list of {"id", "event", "data"}."""
        return list(self.follow(token, job_id, after, seconds))

    def follow(self, token, job_id, after=None, seconds=60):
        """The same, one by one as they come."""
        headers = {"Last-Event-ID": str(after)} if after is not None else {}
        with self.get(f"/jobs/{job_id}/events", token, headers=headers, stream=True,
                      timeout=seconds * slow()) as answer:
            assert answer.status_code in (200, 204), answer.text
            event = {}
            for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
                name, _, value = line.partition(":")
                if not line and "data" in event:
                    event = {**event, "id": int(event["id"]), "data": json.loads(event["data"])}
                    api_document.check_event(answer.url, event["event"], event["data"])
                    yield {key: event[key] for key in ("id", "event", "data")}
                event = {**event, name: value.removeprefix(" ")} if line else {}

    def sql(self, query, *args):
        """Rows of a query (autocommit); none for a statement without a result."""
        return rows_of(psycopg2.connect(self.vars["DATABASE_URL"]), query, args)

    # The end

    def close(self, check=True):
        """Stops and deletes all of it. Nothing may be left, and no sanitizer may have reported."""
        reports = [file.read_text(errors="replace")
                   for file in [*self.run.glob("**/*san.[0-9]*"), *self.reports()]]
        api_document.gateways.difference_update(self.own_addresses())
        failed = self.dev("down", "--purge", check=False)
        left = self.processes()
        shutil.rmtree(self.run, ignore_errors=True)
        if check:
            assert failed.returncode == 0, failed.stderr
            assert not left, f"processes left: {left}"
            assert not reports, "\n".join(reports)

    @staticmethod
    def reports():
        """Where log_path of the sanitizers' options points."""
        for options in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            for option in os.environ.get(options, "").split(":"):
                name, _, path = option.partition("=")
                if name == "log_path":
                    path = pathlib.Path(path)
                    yield from (f for f in path.parent.glob(path.name + ".*") if f.stat().st_size)


def unique(prefix="user"):
    """An address that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}@example.com"
