"""The Debian packages on a Debian of their own, under its systemd: installed, configured as
docs/install.md says, run until a job completes, upgraded, removed, purged."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import types

import pytest
import requests

from client import children_of, fresh_email, http, sign_in
from debian_machine import Machine, apt_install, run
from pg_cluster import Cluster
from stack import wait_until

pytest_plugins = ["debian_machine"]
pytestmark = pytest.mark.once

SERVICES = ("broker@5550", "auth@1", "jobs@1", "worker@1", "gateway@1", "monitor@1")
UNITS = [f"mcpbus-{name}.service" for name in SERVICES]
KEYS, CREDENTIALS = "etc/mcpbus/keys", "run/credentials"
# Of a package in Debian's own archive these would be faults; ldconfig is called by cpack's scripts.
LINTIAN = ("bogus-mail-host", "bogus-mail-host-in-debian-changelog", "initial-upload-closes-no-bugs",
           "lacks-ldconfig-trigger", "maintscript-calls-ldconfig",
           "pkg-config-unavailable-for-cross-compilation")


def settings(cluster):
    sandbox = "http://127.0.0.1:8090"
    return {"DATABASE_URL": cluster.url(), "JWT_SECRET": "j" * 32, "TOKEN_ENCRYPTION_KEY": "t" * 32,
            "MONITOR_TOKEN": "m" * 32,
            "GOOGLE_CLIENT_ID": "sandbox-client", "GOOGLE_CLIENT_SECRET": "sandbox-secret",
            "PUBLIC_URL": "http://127.0.0.1:8000", "OPENAI_API_KEY": "sandbox-key",
            "OPENAI_BASE_URL": f"{sandbox}/v1", "GOOGLE_AUTH_URI": f"{sandbox}/o/oauth2/v2/auth",
            "GOOGLE_TOKEN_URI": f"{sandbox}/token", "GOOGLE_USERINFO_URI": f"{sandbox}/v1/userinfo",
            "GOOGLE_REVOKE_URI": f"{sandbox}/revoke", "GOOGLE_API_BASE": sandbox}


@pytest.fixture(scope="module")
def tree(disk, packages):
    """A machine on which the packages have been installed; nothing has been started."""
    with disk.tree() as root:
        for name in ("mcpbus", "mcpbus-sandbox"):
            shutil.copy(packages[name], root / "root" / f"{name}.deb")
        apt_install(root, "systemd", "systemd-sysv", "/root/mcpbus.deb",
                    "/root/mcpbus-sandbox.deb")
        yield root


@pytest.fixture
def machine(tree):
    one = Machine(tree)
    yield one
    one.close()


@pytest.fixture
def cluster(machine):
    """PostgreSQL of this side's, in the machine's network."""
    one = Cluster().make()
    with machine.space.entered():
        one.start()
        yield one
    one.close()


def complete_a_job(machine):
    with machine.space.entered():
        door = types.SimpleNamespace(url="http://127.0.0.1:8000")
        wait_until(lambda: healthy(door), 30, "the gateway is healthy")
        return sign_in(door, fresh_email()).done("List my recent emails")


def healthy(door):
    try:
        return http("GET", door.url + "/health", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def configure(machine, cluster):
    """Below what the package's file says, as an administrator would uncomment it."""
    with open(machine.root / "etc/mcpbus/mcpbus.env", "a", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in settings(cluster).items())


def start_sandbox(machine):
    machine.run("systemd-run", "--quiet", "--unit=sandbox", "--property=DynamicUser=yes",
                "--setenv=SANDBOX_PORT=8090", "/usr/bin/mcpbus-sandbox")


def status_of(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def environment_of(pid):
    text = pathlib.Path(f"/proc/{pid}/environ").read_bytes().decode()
    return dict(line.partition("=")[::2] for line in text.split("\0") if line)


def installed_files(root):
    """{path: text} of what an upgrade has to keep."""
    return {path.relative_to(root): path.read_text(encoding="utf-8")
            for path in (root / "etc/mcpbus").glob("**/*") if path.is_file()}


def newer(deb, folder):
    """The same package under a higher version."""
    run("dpkg-deb", "-R", deb, folder)
    control = folder / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", "Version: 99.0-1", control.read_text()))
    return run("dpkg-deb", "--root-owner-group", "-b", folder, folder.parent)


def check_installed(machine):
    """As the package leaves it: closed, and nothing runs that is not configured."""
    env = machine.root / "etc/mcpbus/mcpbus.env"
    assert env.stat().st_mode & 0o777 == 0o600 and env.stat().st_uid == 0
    secrets = list((machine.root / KEYS).glob("*.key_secret"))
    assert {file.stem for file in secrets} >= {name.partition("@")[0] for name in SERVICES}
    assert all(file.stat().st_mode & 0o77 == 0 for file in secrets)
    assert (machine.root / KEYS).stat().st_mode & 0o777 == 0o755
    assert not machine.run("systemctl", "list-units", "--plain", "--no-legend", "mcpbus*").strip()
    verified = machine.try_run("systemd-analyze", "--man=no", "verify", *UNITS, "mcpbus-migrate.service",
                               "mcpbus.target")
    assert verified.returncode == 0 and not verified.stdout.strip(), verified.stdout
    for units, exposure in ((UNITS[:3] + UNITS[4:] + ["mcpbus-migrate.service"], 15),
                            (UNITS[3:4], 30)):
        machine.run("systemd-analyze", "security", "--offline=true", f"--threshold={exposure}",
                    *units)


def check_confined(machine):
    """Each has a user of its own, no right to gain others, no secret that is not its own."""
    pids = {name: machine.pid_of(f"mcpbus-{name}.service") for name in SERVICES}
    status = {name: status_of(pid) for name, pid in pids.items()}
    users = {name: status[name]["Uid"].split()[0] for name in SERVICES}
    assert len(set(users.values())) == len(SERVICES) and "0" not in users.values(), users
    for name in SERVICES:
        assert status[name]["NoNewPrivs"] == "1" and status[name]["Seccomp"] == "2"
        assert int(status[name]["CapBnd"], 16) == 0 and int(status[name]["CapEff"], 16) == 0
    secret = {"broker@5550": set(), "auth@1": {"DATABASE_URL", "JWT_SECRET", "TOKEN_ENCRYPTION_KEY",
                                               "GOOGLE_CLIENT_SECRET"},
              "jobs@1": {"DATABASE_URL"}, "gateway@1": {"JWT_SECRET"},
              "worker@1": {"OPENAI_API_KEY", "GOOGLE_CLIENT_SECRET"}, "monitor@1": {"MONITOR_TOKEN"}}
    every = set().union(*secret.values())
    for name, pid in pids.items():
        assert every & set(environment_of(pid)) == secret[name]
    assert "mode=pid_namespace" in machine.log("mcpbus-worker@1")
    check_runs_see_no_key(machine, pids["worker@1"])
    return pids


def check_runs_see_no_key(machine, worker):
    """The worker reads its key and the public ones; what it starts for its runs finds nothing."""
    credential = f"{CREDENTIALS}/mcpbus-worker@1.service/bus.key_secret"
    (zygote,) = [pid for pid in children_of(worker)
                 if status_of(pid)["Name"].strip() == "mcpbus-zygote"]
    for pid, there in ((worker, True), (zygote, False)):
        root = pathlib.Path(f"/proc/{pid}/root")
        assert bool((root / credential).read_bytes()) is there
        assert bool(list((root / KEYS).iterdir())) is there


def check_restarts(machine, pid):
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: machine.property("mcpbus-jobs@1", "NRestarts") == "1" and
               machine.property("mcpbus-jobs@1", "ActiveState") == "active", 20, "jobs is back")


def check_upgrade(machine, packages, folder):
    before, pids = installed_files(machine.root), [machine.pid_of(unit) for unit in UNITS]
    newer(packages["mcpbus"], folder / "newer")
    (deb,) = folder.glob("mcpbus_99*.deb")
    shutil.copy(deb, machine.root / "root")
    machine.run("dpkg", "-i", f"/root/{deb.name}", timeout=120)
    assert installed_files(machine.root) == before
    after = [machine.pid_of(unit) for unit in UNITS]
    assert not set(pids) & set(after), "the new version runs"


def check_stop(machine):
    machine.run("systemctl", "stop", "mcpbus.target", timeout=60)
    for unit in UNITS:
        wait_until(lambda: machine.property(unit, "ActiveState") == "inactive", 30, f"{unit} ends")
        assert machine.property(unit, "Result") == "success", machine.log(unit)


def check_gone(machine):
    """Removed: the configuration stays. Purged: nothing does."""
    machine.run("dpkg", "-r", "mcpbus", timeout=120)
    assert (machine.root / KEYS).exists() and not (machine.root / "usr/bin/mcpbus-jobs").exists()
    machine.run("dpkg", "-P", "mcpbus", timeout=120)
    left = [path for top in ("etc", "usr", "var/lib") for path in
            (machine.root / top).glob("**/*mcpbus*") if "sandbox" not in path.name and
            "var/lib/dpkg" not in str(path)]
    assert not left


def test_install_run_upgrade_purge(machine, cluster, packages, tmp_path):
    check_installed(machine)
    configure(machine, cluster)
    start_sandbox(machine)
    machine.run("systemctl", "enable", "--now", "mcpbus.target", *UNITS)
    complete_a_job(machine)
    pids = check_confined(machine)
    check_restarts(machine, pids["jobs@1"])
    check_upgrade(machine, packages, tmp_path)
    complete_a_job(machine)
    check_stop(machine)
    check_gone(machine)


def test_lintian(packages):
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", "--suppress-tags",
         ",".join(LINTIAN), *packages.values()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
