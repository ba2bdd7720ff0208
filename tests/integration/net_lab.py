"""A laboratory: each replica on a host of its own (net_spaces), two of everything, PostgreSQL and
the sandbox on theirs, the clients on another. No supervisor: what a test kills stays dead until it
starts it again."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

import psycopg2

from client import User, original_token
from net_spaces import Network
from stack import ROOT, rows_of, slow, wait_until

HERE = pathlib.Path(__file__).resolve().parent
BIN = pathlib.Path(os.environ.get("MCPBUS_BIN") or ROOT / "build" / "bin")
KINDS = ("broker", "auth", "jobs", "worker", "gateway")
SECRET, PASSWORD = "s" * 32, "p" * 16
BROKER_PORT, GATEWAY_PORT, SANDBOX_PORT, POSTGRES_PORT, LINK_PORT = 5550, 8000, 8090, 5432, 6000
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS",
             "TSAN_OPTIONS")

# Who changed a job's state when, by the address that the change came from.
AUDIT = """
CREATE TABLE net_audit (n bigint GENERATED ALWAYS AS IDENTITY, at timestamptz, host inet,
                        op text, job_id text, state int, attempt int, session text);
CREATE FUNCTION net_audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    IF TG_OP = 'DELETE' THEN r := OLD; ELSE r := NEW; END IF;
    INSERT INTO net_audit (at, host, op, job_id, state, attempt, session)
        VALUES (clock_timestamp(), inet_client_addr(), TG_OP, r.job_id, r.state, r.attempt,
                r.session);
    RETURN NULL;
END $$;
CREATE TRIGGER net_audit AFTER INSERT OR UPDATE OR DELETE ON job_queue
    FOR EACH ROW EXECUTE FUNCTION net_audit();
"""


class Door:
    """One gateway, for client.User."""

    def __init__(self, lab, name):
        self.run = lab.run
        self.name = name
        self.url = f"http://{lab.net.address(name)}:{GATEWAY_PORT}"


class Links:
    """Proxies (net_proxy) on a service's host, one before each broker: its only way to them. Orders
    go to all of them, or to that before one broker: links.set(delay=0.1), links.stall("down",
    broker="broker-1")."""

    def __init__(self, lab, name):
        self.brokers = lab.names("broker")
        pairs = [f"127.0.0.1:{LINK_PORT + i}={lab.address(broker)}:{BROKER_PORT}"
                 for i, broker in enumerate(self.brokers)]
        self.endpoints = ",".join(f"tcp://{pair.partition('=')[0]}" for pair in pairs)
        self.process = lab.net[name].popen(
            [sys.executable, str(HERE / "net_proxy.py"), *pairs], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
            env={**os.environ, "MCPBUS_STACK": str(lab.run)})
        assert "listening" in json.loads(self.process.stdout.readline())

    def order(self, do, broker=None, **how):
        for i, name in enumerate(self.brokers):
            if broker in (None, name):
                self.process.stdin.write(json.dumps({"at": i, "do": do, **how}) + "\n")
                self.process.stdin.flush()
                assert json.loads(self.process.stdout.readline())["ok"]

    def set(self, way=None, broker=None, **values):
        self.order("set", broker, way=way, **values)

    def stall(self, way=None, broker=None):
        self.order("stall", broker, way=way)

    def cut(self, broker=None):
        self.order("cut", broker)

    def clear(self):
        self.order("clear")


class Lab:
    """scale: {kind: count}, two unless said. env: settings for all; `own`: {name: settings} for
    one. linked: names of services that reach the brokers through Links, in `links`. named: the
    brokers are known by their names alone, broker-1.test and so on (write_names)."""

    def __init__(self, env=None, scale=None, own=None, linked=(), named=False):
        parent = os.environ.get("MCPBUS_TEST_DIR") or tempfile.gettempdir()
        self.run = pathlib.Path(tempfile.mkdtemp(prefix="lab-", dir=parent))
        self.run.chmod(0o711)
        for folder in ("secrets", "logs", "cwd"):
            (self.run / folder).mkdir()
        (self.run / "secrets" / "JWT_SECRET").write_text(SECRET)
        subprocess.run([BIN / "mcpbus", "keygen", "--dir", self.run / "keys"], check=True,
                       capture_output=True)
        self.scale = {kind: (scale or {}).get(kind, 2) for kind in KINDS}
        self.net = Network()
        self.processes = {}
        self.env, self.own = env or {}, own or {}
        self.links = {}
        self.named = named
        if named:
            self.write_names({f"{name}.test": name for name in self.names("broker")})
        try:
            for name in linked:
                self.links[name] = Links(self, name)
                self.processes[f"links of {name}"] = self.links[name].process
            self.start_all()
        except BaseException:
            self.close(check=False)
            raise

    # Names and addresses

    def names(self, kind):
        return [f"{kind}-{n}" for n in range(1, self.scale[kind] + 1)]

    def address(self, name):
        return self.net.address(name)

    @property
    def database_url(self):
        return (f"postgresql://mcpbus:{PASSWORD}@{self.address('postgres')}:{POSTGRES_PORT}"
                "/mcpbus")

    def broker_endpoints(self):
        return ",".join(
            f"tcp://{f'{name}.test' if self.named else self.address(name)}:{BROKER_PORT}"
            for name in self.names("broker"))

    # Settings

    def settings(self, name):
        kind = name.partition("-")[0]
        sandbox = f"http://{self.address('sandbox')}:{SANDBOX_PORT + 1}"
        env = {key: os.environ[key] for key in PASSED_ON if key in os.environ}
        env["PATH"] = f"{BIN}:{env.get('PATH', '/usr/bin:/bin')}"
        env |= {"MCPBUS_STACK": str(self.run), "BUS_KEYS": str(self.run / "keys"),
                "BROKER_ENDPOINT": self.broker_endpoints(),
                "RATE_LIMIT": "0", "GOOGLE_CLIENT_ID": "sandbox-client",
                "GOOGLE_CLIENT_SECRET": "sandbox-secret",
                "GOOGLE_AUTH_URI": f"{sandbox}/o/oauth2/v2/auth",
                "GOOGLE_TOKEN_URI": f"{sandbox}/token",
                "GOOGLE_USERINFO_URI": f"{sandbox}/v1/userinfo",
                "GOOGLE_REVOKE_URI": f"{sandbox}/revoke", "GOOGLE_API_BASE": sandbox,
                "OPENAI_API_KEY": "sandbox-key", "OPENAI_BASE_URL": f"{sandbox}/v1",
                "SANDBOX_PORT": str(SANDBOX_PORT), "BROKER_PORT": str(BROKER_PORT),
                "BROKER_ADDRESS": self.address(name), "GATEWAY_PORT": str(GATEWAY_PORT),
                "GATEWAY_ADDRESS": self.address(name),
                "PUBLIC_URL": f"http://localhost:{GATEWAY_PORT}"}
        if kind in ("auth", "jobs", "mcpbus"):
            env["DATABASE_URL"] = self.database_url
        if kind in ("auth", "jobs", "gateway", "mcpbus"):
            env |= {"JWT_SECRET": SECRET, "TOKEN_ENCRYPTION_KEY": "k" * 32}
        if name in self.links:
            env["BROKER_ENDPOINT"] = self.links[name].endpoints
        return env | self.env | self.own.get(name, {})

    # Processes

    def start(self, name):
        """Starts a process on its host; its log goes on."""
        kind = name.partition("-")[0]
        program = [str(BIN / f"mcpbus-{kind}"), "--env-file", "/dev/null"]
        with open(self.run / "logs" / f"{name}.log", "ab") as log:
            self.processes[name] = self.net[name].popen(
                self.wrapped(program), env=self.settings(name),
                cwd=self.run / "cwd", stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True)

    def wrapped(self, program):
        """A service sees the laboratory's names alone."""
        if not self.named:
            return program
        script = 'mount --bind "$1" /etc/hosts; mount --bind "$2" /etc/resolv.conf; shift 2'
        return ["unshare", "-m", "sh", "-ec", script + '; exec "$@"', "sh",
                str(self.run / "hosts"), str(self.run / "resolv.conf"), *program]

    def write_names(self, names):
        """{name: whose address}, as all see them from now on; what is not among them is asked of
        the name server, which is the host "nameserver"."""
        lines = [f"{self.address(host)} {name}\n" for name, host in names.items()]
        (self.run / "hosts").write_text("127.0.0.1 localhost\n" + "".join(lines))
        (self.run / "resolv.conf").write_text(f"nameserver {self.address('nameserver')}\n")

    def start_all(self):
        self.start_postgres()
        self.net["client"].run(str(BIN / "mcpbus"), "migrate", env=self.settings("mcpbus"),
                               cwd=self.run / "cwd")
        with self.net["client"].entered():
            self.sql(AUDIT)
        self.start_sandbox()
        for kind in KINDS:
            for name in self.names(kind):
                self.start(name)
        self.settle()

    def start_postgres(self):
        host = self.net["postgres"]
        script = (f'source {ROOT}/deploy/dev/common.sh; source {ROOT}/deploy/dev/postgres.sh;'
                  f' pg_make "$1" {PASSWORD}; pg_command "$1" {POSTGRES_PORT}')
        done = subprocess.run(["bash", "-euc", script, "lab", str(self.run / "pg")],
                              capture_output=True, text=True, check=True, timeout=120)
        with open(self.run / "pg" / "pg_hba.conf", "a", encoding="utf-8") as file:
            file.write("host all all 10.77.0.0/24 scram-sha-256\n")
        # Its host has the time zone's and the like; unix sockets are files, so elsewhere as well.
        command = [*done.stdout.split("\0")[:-1], "-c", f"listen_addresses={host.address}"]
        with open(self.run / "logs" / "postgres.log", "ab") as log:
            self.processes["postgres"] = host.popen(
                command, cwd=(self.run / "pg").resolve(), stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True)
        self.wait_port("postgres", POSTGRES_PORT)
        wait_until(self.answers, 30, "PostgreSQL answers")

    def start_sandbox(self):
        """The sandbox listens on loopback alone; a proxy brings its host's port there."""
        self.start("sandbox")
        host = self.net["sandbox"]
        self.processes["relay"] = host.popen(
            [sys.executable, str(HERE / "net_proxy.py"),
             f"{host.address}:{SANDBOX_PORT + 1}=127.0.0.1:{SANDBOX_PORT}"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "MCPBUS_STACK": str(self.run)})
        self.wait_port("sandbox", SANDBOX_PORT + 1)

    def wait_port(self, name, port):
        def listens():
            with contextlib.suppress(OSError), self.net["client"].entered(), \
                    socket.create_connection((self.address(name), port), timeout=2):
                return True
            return False
        wait_until(listens, 30, f"{name} listens")

    def answers(self):
        with contextlib.suppress(psycopg2.OperationalError):
            return self.sql("SELECT 1")
        return None

    def pid(self, name):
        return self.processes[name].pid

    def kill(self, name):
        """For good, or until start(name)."""
        self.processes[name].kill()
        self.processes[name].wait(10)

    def stop(self, name):
        """As a rolling upgrade does."""
        self.processes[name].terminate()
        assert self.processes[name].wait(30 * slow()) == 0, self.log(name)

    def restart(self, name):
        self.stop(name)
        self.start(name)

    @contextlib.contextmanager
    def freezing(self, name):
        os.kill(self.pid(name), signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid(name), signal.SIGCONT)

    def log(self, name=""):
        return "".join(f"\n--- {file.stem}\n{file.read_text(errors='replace')}"
                       for file in sorted((self.run / "logs").glob(f"{name}*.log")))

    # Clients

    def door(self, n=1):
        return Door(self, f"gateway-{n}")

    def doors(self):
        return [Door(self, name) for name in self.names("gateway")]

    def user(self, n=1):
        return User(self.door(n), original_token(self))

    def sql(self, query, *args):
        """From the client's host. Rows of a query; none for a statement without a result."""
        with self.net["client"].entered():
            connection = psycopg2.connect(self.database_url, connect_timeout=10)
        return rows_of(connection, query, args)

    def health(self, n=1):
        """The body of GET /health, or None."""
        with self.net["client"].entered(), contextlib.suppress(OSError):
            user = User.__new__(User)
            user.stack, user.token = self.door(n), ""
            answer = user.get("/health", timeout=5)
            return answer.json() if answer.status_code == 200 else None
        return None

    def is_whole(self):
        """Every gateway sees every replica, and each worker has one live session."""
        for n in range(1, self.scale["gateway"] + 1):
            state = self.health(n)
            if not state or any(state["dependencies"][kind]["replicas"] != self.scale[kind]
                                for kind in ("auth", "jobs", "worker")):
                return False
        sessions = self.sql("SELECT instance FROM worker_sessions WHERE lease_until > now()")
        return len(sessions) == len(set(sessions)) == self.scale["worker"]

    def settle(self, seconds=40):
        """All drops healed and the dead started, it is whole again."""
        wait_until(self.is_whole, seconds, "every replica is back")

    def sessions(self):
        """{worker's name: its live session}."""
        rows = self.sql("SELECT session, instance FROM worker_sessions WHERE lease_until > now()")
        found = {}
        for name in self.names("worker"):
            text = self.log(name)
            found |= {name: session for session, _ in rows if session in text}
        return found

    # The end

    def living(self):
        mark, found = f"MCPBUS_STACK={self.run}".encode(), []
        for proc in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (proc / "environ").read_bytes().split(b"\0"):
                    found.append(int(proc.name))
        return found

    def end(self, name, sig):
        """None, or how it should not have ended."""
        process = self.processes.pop(name, None)
        if not process or process.poll() is not None:
            return None
        os.kill(process.pid, signal.SIGCONT)
        process.send_signal(sig)
        try:
            status = process.wait(20 * slow())
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
            return f"{name} does not end\n{self.log(name)}"
        good = status == 0 or sig != signal.SIGTERM
        return None if good else f"{name} ended with {status}\n{self.log(name)}"

    def close(self, check=True):
        """Stops and deletes all of it: all that live end well, and nothing is left."""
        self.net.heal()
        order = [name for kind in reversed(KINDS) for name in self.names(kind)]
        ended = [self.end(name, signal.SIGTERM) for name in (*order, "sandbox")]
        for name in list(self.processes):
            if name != "postgres":
                self.end(name, signal.SIGKILL)
        ended.append(self.end("postgres", signal.SIGINT))
        left = self.living()
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.net.close()
        shutil.rmtree(self.run, ignore_errors=True)
        if check:
            assert not any(ended), [reason for reason in ended if reason]
            assert not left, f"processes left: {left}"
