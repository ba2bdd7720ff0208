#!/usr/bin/python3
"""Stand-ins for what a machine's administrator types: systemctl, apt-get, ssh, scp, runuser, by the name
under which this is called. Machines are those of hosts.py: $HOSTS_RUN/hosts.json knows them, $HOST is
the one on which this runs. Units and the package's files are the real ones of deploy/; where they say
/etc, /root or /var/lib, it is below the machine's folder."""
import contextlib
import ctypes
import glob
import json
import os
import pathlib
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import zlib

HERE = pathlib.Path(__file__).resolve().parent
DEPLOY = HERE.parent.parent / "deploy"
RUN = pathlib.Path(os.environ["HOSTS_RUN"])
HOSTS = json.loads((RUN / "hosts.json").read_text(encoding="utf-8"))
BIN = os.environ["HOSTS_BIN"]
PG_BIN = "/usr/lib/postgresql/15/bin"
PATHS = re.compile(r"(?<![\w./])/(etc/(?:mcpbus|postgresql|nftables)|root|var/lib/(?:mcpbus|postgresql))"
                   r"(?=[/\s\"':=.]|$)")


class Host:
    def __init__(self, name):
        self.name = name
        self.root = RUN / name
        self.unit_folder = self.root / "run"

    def local(self, text):
        """Paths of the machine, as they are on this one."""
        return PATHS.sub(lambda match: f"{self.root}/{match.group(1)}", text)

    def enter(self):
        fd = os.open(HOSTS[self.name]["space"], os.O_RDONLY | os.O_CLOEXEC)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(fd, 0x40000000) != 0:
            sys.exit(f"{self.name}: {os.strerror(ctypes.get_errno())}")
        os.close(fd)
        os.environ["HOST"] = self.name
        os.chdir(self.root / "root")

    def execute(self, command):
        """In this process's place."""
        os.execvp("bash", ["bash", "-euo", "pipefail", "-c", self.local(command)])


def host_at(address):
    for name, one in HOSTS.items():
        if one["address"] == address:
            return Host(name)
    sys.exit(f"no route to {address}")


# ssh, scp, runuser


def ssh(args):
    user, _, address = args[0].partition("@")
    assert user == "root"
    host = host_at(address)
    host.enter()
    host.execute(" ".join(args[1:]))


def scp(args):
    files = [one for one in args if not one.startswith("-")]
    where, _, path = files.pop().partition(":")
    host = host_at(where.removeprefix("root@"))
    target = pathlib.Path(host.local(path))
    assert target.is_dir() or not path.endswith("/"), f"{path} is no folder there"
    for file in files:
        (shutil.copy if "-p" in args else shutil.copyfile)(
            file, target / os.path.basename(file) if target.is_dir() else target)


def runuser(args):
    assert args[:3] == ["-u", "postgres", "--"]
    host = Host(os.environ["HOST"])
    become("postgres")
    os.environ["PGHOST"] = str(host.unit_folder)
    os.chdir("/")
    os.execvp(args[3], args[3:])


def become(user, uid=None):
    os.setgroups([])
    gid = uid or pwd.getpwnam(user).pw_gid
    os.setresgid(gid, gid, gid)
    uid = uid or pwd.getpwnam(user).pw_uid
    os.setresuid(uid, uid, uid)


# apt-get


def apt_get(args):
    host = Host(os.environ["HOST"])
    assert args[:2] == ["install", "-y"]
    for one in args[2:]:
        if one == "postgresql":
            make_postgres(host)
        else:
            (package,) = glob.glob(one)
            install(host, package)


def install(host, package):
    """What dpkg does: the files of /etc that are not there yet, then the script."""
    assert os.path.basename(package).startswith("mcpbus_")
    conf = host.root / "etc/mcpbus"
    conf.mkdir(parents=True, exist_ok=True)
    if not (conf / "mcpbus.env").exists():
        shutil.copyfile(DEPLOY / "package" / "mcpbus.env", conf / "mcpbus.env")
        (conf / "mcpbus.env").chmod(0o600)
    script = host.local((DEPLOY / "package" / "postinst").read_text(encoding="utf-8"))
    script = script.replace("/run/systemd/system", "/nonexistent")
    subprocess.run(["sh", "-c", script, "postinst", "configure", ""], check=True, timeout=60)


def make_postgres(host):
    """A cluster "main" as Debian's package has it: its settings in /etc, TLS, peers by socket."""
    conf, data = host.root / "etc/postgresql/15/main", host.root / "var/lib/postgresql/15/main"
    for folder in (conf / "conf.d", data):
        folder.mkdir(parents=True)
    for folder in (data, conf, host.unit_folder):
        shutil.chown(folder, "postgres", "postgres")
    run_as_postgres(f"{PG_BIN}/initdb", "-D", data, "-U", "postgres", "-A", "peer", "-E", "UTF8",
                    "--locale=C.UTF-8")
    (conf / "postgresql.conf").write_text(
        f"data_directory = '{data}'\nhba_file = '{conf}/pg_hba.conf'\nident_file = ''\n"
        f"unix_socket_directories = '{host.unit_folder}'\nport = 5432\nssl = on\n"
        f"ssl_cert_file = '{conf}/server.crt'\nssl_key_file = '{conf}/server.key'\n"
        "include_dir = 'conf.d'\n", encoding="utf-8")
    (conf / "pg_hba.conf").write_text("local all postgres peer\n", encoding="utf-8")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=A", "-keyout", conf / "server.key", "-out", conf / "server.crt"],
                   check=True, capture_output=True)
    shutil.chown(conf / "server.key", "postgres", "postgres")
    (conf / "server.key").chmod(0o600)
    start(host, "postgresql.service")


def run_as_postgres(*command):
    subprocess.run([str(part) for part in command], check=True, capture_output=True, cwd="/",
                   preexec_fn=lambda: become("postgres"), timeout=120)


# systemctl


class Unit:
    """What systemd would make of a file of deploy/systemd."""

    def __init__(self, host, name):
        self.host, self.name = host, name if "." in name else f"{name}.service"
        stem, _, self.instance = self.name.rpartition(".")[0].partition("@")
        file = stem + ("@" if self.instance else "") + ".service"
        self.values = {}
        self.credentials = host.unit_folder / f"{self.name}.credentials"
        text = (DEPLOY / "systemd" / file).read_text(encoding="utf-8").replace("\\\n", " ")
        for line in text.splitlines():
            key, equals, value = line.partition("=")
            if equals and not line.startswith("#"):
                value = value.replace("%i", self.instance).replace("%d", str(self.credentials))
                self.values.setdefault(key.strip(), []).append(host.local(value.strip()))

    def all(self, key):
        return self.values.get(key, [])

    def one(self, key, default=""):
        return self.all(key)[-1] if self.all(key) else default

    @property
    def uid(self):
        """DynamicUser=yes."""
        assert self.one("DynamicUser") == "yes"
        return 61184 + zlib.crc32(f"{self.host.name}{self.name}".encode()) % 4000

    @property
    def pid_file(self):
        return self.host.unit_folder / f"{self.name}.pid"

    def environment(self):
        """Files win over Environment=, whatever their order."""
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG": "C.UTF-8"}
        for value in self.all("Environment"):
            env |= dict(pair.split("=", 1) for pair in shlex.split(value))
        for value in self.all("EnvironmentFile"):
            path = pathlib.Path(value.removeprefix("-"))
            if not path.exists():
                assert value.startswith("-"), f"{path} is missing"
                continue
            for line in path.read_text(encoding="utf-8").splitlines():
                if line.strip() and line[0] not in "#;":
                    name, _, text = line.partition("=")
                    env[name.strip()] = "".join(shlex.split(text))
        for value in self.all("UnsetEnvironment"):
            for name in value.split():
                env.pop(name, None)
        return env | {"MCPBUS_STACK": str(RUN)}

    def prepare(self):
        for value in self.all("LoadCredential"):
            name, _, source = value.partition(":")
            self.credentials.mkdir(mode=0o700, exist_ok=True)
            shutil.copyfile(source, self.credentials / name)
            for path, mode in ((self.credentials / name, 0o400), (self.credentials, 0o500)):
                os.chown(path, self.uid, self.uid)
                path.chmod(mode)
        for value in self.all("StateDirectory"):
            folder = self.host.root / "var/lib" / value
            folder.mkdir(parents=True, exist_ok=True)
            os.chown(folder, self.uid, self.uid)

    def program(self):
        words = shlex.split(self.one("ExecStart"))
        return [words[0].replace("/usr/bin", BIN), *words[1:]]

    def popen(self):
        self.prepare()
        with open(self.host.root / "log" / f"{self.name}.log", "ab") as log:
            return subprocess.Popen(
                self.program(), env=self.environment(), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, cwd=self.one("WorkingDirectory", "/"), start_new_session=True,
                preexec_fn=self.move)

    def move(self):
        """Into a process that knows its machine's name and is no longer root."""
        libc = ctypes.CDLL(None, use_errno=True)
        name = self.host.name.encode()
        if libc.unshare(0x04000000) != 0 or libc.sethostname(name, len(name)) != 0:
            os._exit(100)
        become(None, self.uid)


def start(host, name):
    if name == "postgresql.service":
        start_postgres(host)
        return
    if name in ("nftables.service", "mcpbus.target"):
        return
    unit = Unit(host, name)
    if alive(unit.pid_file):
        return
    for wanted in " ".join(unit.all("Wants")).split():
        if wanted.startswith("mcpbus-"):
            assert wanted in " ".join(unit.all("After")).split(), "else it would not be waited for"
            start(host, wanted)
    if unit.one("Type") == "oneshot":
        once(unit)
    else:
        unit.pid_file.write_text(str(unit.popen().pid), encoding="utf-8")


def once(unit):
    """RemainAfterExit=yes, and again until it succeeds."""
    done = unit.host.unit_folder / f"{unit.name}.done"
    deadline = time.monotonic() + 60
    while not done.exists():
        if unit.popen().wait(60) == 0:
            done.touch()
        elif time.monotonic() > deadline:
            sys.exit(f"{unit.name} fails")


def start_postgres(host):
    conf, log = host.root / "etc/postgresql/15/main", host.root / "log/postgresql.log"
    with open(log, "ab") as out:
        process = subprocess.Popen(
            [f"{PG_BIN}/postgres", "-c", f"config_file={conf}/postgresql.conf"], cwd="/",
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            preexec_fn=lambda: become("postgres"))
    (host.unit_folder / "postgresql.service.pid").write_text(str(process.pid), encoding="utf-8")
    deadline = time.monotonic() + 60
    while subprocess.run([f"{PG_BIN}/pg_isready", "-q", "-h", str(host.unit_folder)],
                         check=False).returncode:
        if time.monotonic() > deadline or process.poll() is not None:
            sys.exit(f"PostgreSQL does not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)


def alive(pid_file):
    with contextlib.suppress(OSError, ValueError):
        stat = pathlib.Path(f"/proc/{int(pid_file.read_text())}/stat").read_text(encoding="utf-8")
        return stat.rpartition(")")[2].split()[0] not in "ZX"
    return False


def stop(host, name):
    """SIGTERM, and SIGKILL after the unit's time, which is noted as a fault."""
    pid_file = host.unit_folder / f"{name}.pid"
    if not alive(pid_file):
        return
    pid = int(pid_file.read_text())
    is_postgres = name == "postgresql.service"
    os.kill(pid, signal.SIGINT if is_postgres else signal.SIGTERM)
    seconds = 60 if is_postgres else int(Unit(host, name).one("TimeoutStopSec"))
    deadline = time.monotonic() + seconds
    while alive(pid_file):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            with open(RUN / "faults", "a", encoding="utf-8") as faults:
                faults.write(f"{host.name}: {name} did not stop within {seconds} s\n")
        time.sleep(0.02)
    pid_file.unlink()


def systemctl(args):
    host = Host(os.environ["HOST"])
    now = "--now" in args
    verb, *names = [one for one in args if one != "--now"]
    assert names and verb in ("enable", "disable", "start", "stop", "restart")
    for name in names:
        name = name if "." in name else f"{name}.service"
        enabled = host.unit_folder / f"{name}.enabled"
        if verb == "enable":
            enabled.touch()
        if verb == "disable":
            enabled.unlink()  # it must be
        if verb in ("stop", "restart") or (verb == "disable" and now):
            stop(host, name)
        if verb in ("start", "restart") or (verb == "enable" and now):
            start(host, name)


if __name__ == "__main__":
    {"ssh": ssh, "scp": scp, "runuser": runuser, "apt-get": apt_get, "systemctl": systemctl}[
        os.path.basename(sys.argv[0])](sys.argv[1:])
