"""Machines as network namespaces, on which the commands of docs/deploy.md are run as they stand there
(host_tools.py stands in for what needs a real machine), the sandbox and the clients on hosts of their
own."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import psycopg2

from client import User, original_token
from net_spaces import Network
from stack import ROOT, rows_of, slow, wait_until

HERE = pathlib.Path(__file__).resolve().parent
BIN = pathlib.Path(os.environ.get("MCPBUS_BIN") or ROOT / "build" / "bin")
DOCUMENT = ROOT / "docs" / "deploy.md"
MACHINES = ("A", "B", "C")  # in the order of their addresses
TOOLS = ("ssh", "scp", "runuser", "apt-get", "systemctl")
GATEWAY_PORT, SANDBOX_PORT = 8000, 8090


def blocks():
    """{section: [(machine, commands), …]} of the document."""
    found = {}
    text = DOCUMENT.read_text(encoding="utf-8")
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        title = section.splitlines()[0]
        found[title] = re.findall(r"^```sh\n# (\w+)\n(.*?)^```$", section, flags=re.M | re.S)
    return found


class Door:
    def __init__(self, hosts, name):
        self.run, self.name = hosts.run, name
        self.url = f"http://{hosts.net.address(name)}:{GATEWAY_PORT}"


class Hosts:
    def __init__(self):
        parent = os.environ.get("MCPBUS_TEST_DIR") or tempfile.gettempdir()
        self.run = pathlib.Path(tempfile.mkdtemp(prefix="hosts-", dir=parent))
        self.run.chmod(0o711)
        self.bin = self.programs()
        self.net = Network()
        self.pending = blocks()
        self.processes = []
        for name in (*MACHINES, "desk", "sandbox", "client", "stranger"):
            self.add(name)
        (self.run / "hosts.json").write_text(json.dumps({
            name: {"address": self.net.address(name),
                   "space": f"/proc/{os.getpid()}/fd/{self.net[name].fd}"}
            for name in self.net.hosts}))
        (self.run / "tools").mkdir()
        for tool in TOOLS:
            (self.run / "tools" / tool).symlink_to(HERE / "host_tools.py")
        (self.run / "desk/root/mcpbus_0_test.deb").touch()
        (self.run / "secrets").mkdir()

    def programs(self):
        """Services are no root: where they couldn't pass (a tree below /root), copies are run."""
        as_other = ["setpriv", "--reuid=61184", "--regid=61184", "--clear-groups", "test", "-x"]
        if subprocess.run([*as_other, str(BIN / "mcpbus-worker")], check=False).returncode == 0:
            return BIN
        shutil.copytree(BIN, self.run / "bin")
        return self.run / "bin"

    def add(self, name):
        self.net.address(name)
        for folder in ("root", "etc", "run", "log", "var/lib"):
            (self.run / name / folder).mkdir(parents=True)

    # The document

    def follow(self, number, count=None):
        """Runs the next blocks (all, or `count`) of the section that begins with `number`."""
        (title,) = [one for one in self.pending if one.startswith(f"{number}. ")]
        todo = self.pending[title]
        assert todo, f"the document has no commands (left) in {title}"
        count = len(todo) if count is None else count
        self.pending[title] = todo[count:]
        for machine, commands in todo[:count]:
            assert machine in (*MACHINES, "desk"), f"{title}: whose commands are these?\n{commands}"
            self.execute(machine, commands)

    def execute(self, machine, commands, check=True):
        """Commands of the document on a machine. The dots become the sandbox's account."""
        home = self.run / machine / "root"
        script = self.filled_in(commands)
        if machine != "desk":
            script = self.local(machine, script)
        env = {"PATH": f"{self.run / 'tools'}:{self.bin}:{os.environ['PATH']}", "HOME": str(home),
               "LANG": "C.UTF-8", "HOST": machine, "HOSTS_RUN": str(self.run),
               "HOSTS_BIN": str(self.bin), "MCPBUS_STACK": str(self.run)}
        process = self.net[machine].popen(
            ["bash", "-euo", "pipefail", "-c", script], cwd=home, env=env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = process.communicate(timeout=120)
        assert not check or process.returncode == 0, f"{machine}: {commands}\n{output}{self.log()}"
        return output

    def local(self, machine, text):
        return re.sub(r"(?<![\w./])/(etc|root)/", f"{self.run / machine}/\\1/", text)

    def filled_in(self, text):
        sandbox = f"http://{self.net.address('sandbox')}:{SANDBOX_PORT + 1}"
        more = "\n".join([
            "GOOGLE_CLIENT_ID=sandbox-client", f"GOOGLE_AUTH_URI={sandbox}/o/oauth2/v2/auth",
            f"GOOGLE_TOKEN_URI={sandbox}/token", f"GOOGLE_USERINFO_URI={sandbox}/v1/userinfo",
            f"GOOGLE_REVOKE_URI={sandbox}/revoke", f"GOOGLE_API_BASE={sandbox}", "RATE_LIMIT=0"])
        return text.replace("GOOGLE_CLIENT_ID=…", more).replace(
            "GOOGLE_CLIENT_SECRET=…", "GOOGLE_CLIENT_SECRET=sandbox-secret").replace(
            "OPENAI_API_KEY=…", f"OPENAI_API_KEY=sandbox-key\nOPENAI_BASE_URL={sandbox}/v1")

    # What is beside the cluster

    def start_sandbox(self):
        """On its host; a proxy brings the host's port to loopback, where it listens."""
        host = self.net["sandbox"]
        env = {**os.environ, "MCPBUS_STACK": str(self.run), "SANDBOX_PORT": str(SANDBOX_PORT)}
        relay = [sys.executable, str(HERE / "net_proxy.py"),
                 f"{host.address}:{SANDBOX_PORT + 1}=127.0.0.1:{SANDBOX_PORT}"]
        for command in ([str(BIN / "mcpbus-sandbox"), "--env-file", "/dev/null"], relay):
            with open(self.run / "sandbox/log/sandbox.log", "ab") as log:
                self.processes.append(host.popen(
                    command, env=env, stdin=subprocess.PIPE, stdout=log, stderr=log,
                    cwd=self.run / "sandbox/root", start_new_session=True))

    def names(self, _kind):
        return []

    def doors(self):
        return [Door(self, "A")]

    def user(self, door="A"):
        return User(Door(self, door), original_token(self))

    def share_secret(self):
        """The desk's JWT_SECRET, for client.original_token."""
        shutil.copy(self.run / "desk/root/jwt_secret", self.run / "secrets/JWT_SECRET")

    def sql(self, query, *args):
        """As the administrator of A's PostgreSQL, by its socket's password: that of the desk."""
        password = (self.run / "desk/root/database_password").read_text().strip()
        with self.net["B"].entered():
            connection = psycopg2.connect(
                host=self.net.address("A"), dbname="mcpbus", user="mcpbus", password=password,
                sslmode="require", connect_timeout=10)
        return rows_of(connection, query, args)

    def health(self, door="A"):
        """{service: replicas} of a healthy /health; None otherwise."""
        with self.net["client"].entered(), contextlib.suppress(OSError):
            user = User.__new__(User)
            user.stack, user.token = Door(self, door), ""
            answer = user.get("/health", timeout=5)
            if answer.status_code == 200:
                found = answer.json()["dependencies"]
                return {kind: found[kind]["replicas"] for kind in ("auth", "jobs", "worker")}
        return None

    def wait_replicas(self, auth, jobs, worker, door="A", seconds=40):
        want = {"auth": auth, "jobs": jobs, "worker": worker}
        try:
            wait_until(lambda: self.health(door) == want, seconds, f"{door} sees {want}")
        except AssertionError as error:
            raise AssertionError(f"{error}, but {self.health(door)}\n{self.log()}") from None

    # Machines

    def units(self, machine):
        """{unit: pid} of those that were started there."""
        return {file.name.removesuffix(".pid"): int(file.read_text())
                for file in (self.run / machine / "run").glob("*.pid")}

    def lose(self, machine):
        """Its cables are cut, and all that runs there ends at once."""
        self.net.cut_off(machine)
        space = os.stat(f"/proc/self/fd/{self.net[machine].fd}").st_ino
        for pid in self.living():
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{pid}/ns/net").st_ino == space:
                    os.kill(pid, signal.SIGKILL)
        for unit in self.units(machine):
            (self.run / machine / "run" / f"{unit}.pid").unlink()

    def boot(self, machine):
        """A machine that was lost comes back: its firewall, and what is enabled."""
        self.net.heal()
        enabled = sorted(file.name.removesuffix(".enabled")
                         for file in (self.run / machine / "run").glob("*.enabled"))
        self.execute(machine, f"nft -f /etc/nftables.conf\nsystemctl start {' '.join(enabled)}")

    def dead(self):
        """Units that ended by themselves, which systemd would have had to start again."""
        return [f"{machine}: {unit}" for machine in MACHINES
                for unit, pid in self.units(machine).items() if pid not in self.living()
                and unit != "postgresql.service"]

    def log(self, name="*"):
        return "".join(f"\n--- {file.parent.parent.name} {file.stem}\n" +
                       "\n".join(file.read_text(errors="replace").splitlines()[-40:])
                       for file in sorted(self.run.glob(f"{name}/log/*.log")))

    def living(self):
        mark, found = f"MCPBUS_STACK={self.run}".encode(), []
        for proc in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (proc / "environ").read_bytes().split(b"\0"):
                    found.append(int(proc.name))
        return found

    def close(self):
        faults = self.run / "faults"
        found = faults.read_text() if faults.exists() else ""
        for process in self.processes:
            process.kill()
            process.wait(10)
        for pid in self.living():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        postgres = self.units("A").get("postgresql.service")
        if postgres:
            with contextlib.suppress(OSError):
                os.kill(postgres, signal.SIGQUIT)
            wait_until(lambda: not os.path.exists(f"/proc/{postgres}") or
                       "Z" in pathlib.Path(f"/proc/{postgres}/stat").read_text().split(")")[1][:3],
                       20 * slow(), "PostgreSQL ends")
        self.net.close()
        shutil.rmtree(self.run, ignore_errors=True)
        assert not found, found
