"""Debian machines of the tests' own: a minimal Debian 12 (mmdebstrap), made once, each machine on top
of it, with systemd as its first process in namespaces of its own and a network where only lo is.

What a container manager does is done here by hand, since systemd-nspawn wants to be started by
systemd. It takes root; why_not() says what is missing."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from net_spaces import Space
from stack import ROOT, wait_until

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BIN = pathlib.Path(os.environ.get("MCPBUS_BIN") or ROOT / "build" / "bin")

BOOT = r"""
set -e
mount --make-rprivate /
cd "$1"
mount --bind . . && cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
for name in null zero full random urandom tty; do
    touch "dev/$name" && mount --bind "/dev/$name" "dev/$name"
done
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
touch dev/console && mount --bind "$2" dev/console
hostname machine
mkdir -p old && pivot_root . old && umount -l /old
mount --make-rshared /
exec env -i container=mcpbus-test PATH="$3" /lib/systemd/systemd --unit=multi-user.target
"""


def cgroup_root():
    """Where version 2 is mounted; None: nowhere."""
    for line in pathlib.Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2" and os.access(where, os.W_OK):
            return pathlib.Path(where)
    return None


def why_not():
    """Why no machine can be made here; None when it can."""
    if os.geteuid() != 0:
        return "machines of one's own take root"
    if not shutil.which("mmdebstrap"):
        return "mmdebstrap is not installed"
    if subprocess.run(["unshare", "--mount", "--pid", "--cgroup", "--fork", "true"],
                      capture_output=True, check=False).returncode:
        return "namespaces can't be made here"
    return None


def run(*command, timeout=170, **kwargs):
    """Its output; it must succeed."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=timeout,
                          check=False, **kwargs)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-4000:]}"
    return done.stdout


class Disk:
    """Memory to make machines on: a hundred thousand small files and their fsync take a minute on a
    disk. `base` is a minimal Debian."""

    def __init__(self):
        parent = os.environ.get("MCPBUS_TEST_DIR") or tempfile.gettempdir()
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="machines-", dir=parent))
        run("mount", "-t", "tmpfs", "-o", "mode=755,size=6g", "mcpbus-test", self.top)
        self.base = self.top / "base"
        self.made = 0

    def fill(self):
        run("mmdebstrap", "--mode=root", "--variant=apt", "--dpkgopt=force-unsafe-io",
            "--aptopt=APT::Install-Recommends \"false\"", "--skip=cleanup/apt/lists",
            "bookworm", self.base, env={**os.environ, "TMPDIR": str(self.top)})
        return self

    @contextlib.contextmanager
    def tree(self):
        """A machine's root folder, on top of the base; nothing reaches the base."""
        self.made += 1
        folder = self.top / f"tree-{self.made}"
        for name in ("upper", "work", "root"):
            (folder / name).mkdir(parents=True)
        run("mount", "-t", "overlay", "-o", f"lowerdir={self.base},upperdir={folder / 'upper'},"
            f"workdir={folder / 'work'}", "overlay", folder / "root")
        try:
            yield folder / "root"
        finally:
            run("umount", "-l", folder / "root")

    def close(self):
        run("umount", "-l", self.top)
        self.top.rmdir()


def apt_install(root, *packages):
    """As a person would, over the network of this machine."""
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    run("chroot", root, "apt-get", "-q", "-y", "install", "--no-install-recommends", *packages,
        env={"PATH": PATH, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"})


class Machine:
    """A booted tree. Its network is `space`."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.space = Space()
        self.space.run("ip", "link", "set", "lo", "up")
        self.console = self.root.parent / "console"
        self.console.touch()
        self.cgroup = cgroup_root() / f"mcpbus-test-{os.getpid()}-{self.root.parent.name}"
        self.cgroup.mkdir()
        self.process = self.space.popen(
            ["unshare", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork",
             "--kill-child", "/bin/bash", "-c", BOOT, "boot", self.root, self.console, PATH],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            preexec_fn=self.move)
        try:
            self.pid = wait_until(self.first_process, 20, "the machine's first process")
            wait_until(self.booted, 60, "the machine has booted")
        except BaseException:
            self.close()
            raise

    def move(self):
        (self.cgroup / "cgroup.procs").write_text(str(os.getpid()), encoding="utf-8")

    def first_process(self):
        assert self.process.poll() is None, self.process.stdout.read().decode()
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for pid in children.read_text(encoding="utf-8").split():
            with contextlib.suppress(OSError):
                if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "systemd":
                    return int(pid)
        return None

    def booted(self):
        return self.try_run("systemctl", "is-system-running").stdout.strip() in (
            "running", "degraded")

    def try_run(self, *command, timeout=60):
        """In the machine, as root."""
        return subprocess.run(
            ["nsenter", "-t", str(self.pid), "-m", "-p", "-u", "-i", "-n", "-C", "env", "-i",
             f"PATH={PATH}", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
             *map(str, command)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, timeout=timeout, check=False)

    def run(self, *command, timeout=60):
        done = self.try_run(*command, timeout=timeout)
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-4000:]}"
        return done.stdout

    def property(self, unit, name):
        return self.run("systemctl", "show", "--value", "--property", name, unit).strip()

    def pid_of(self, unit):
        """As this side sees it."""
        inner = self.property(unit, "MainPID")
        for proc in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                status = (proc / "status").read_text(encoding="utf-8")
                ids = status.partition("NSpid:")[2].splitlines()[0].split()
                if len(ids) > 1 and ids[1] == inner and os.readlink(proc / "ns/pid") == \
                        os.readlink(f"/proc/{self.pid}/ns/pid"):
                    return int(proc.name)
        raise AssertionError(f"{unit} has no process")

    def log(self, unit):
        return self.try_run("journalctl", "--no-pager", "-q", "-o", "cat", "-u", unit).stdout

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        deadline = time.monotonic() + 20
        while self.cgroup.exists() and time.monotonic() < deadline:
            self.sweep()
            time.sleep(0.05)
        self.space.close()

    def sweep(self):
        """What the machine left in its control groups ends with them."""
        folders = sorted(self.cgroup.glob("**/"), reverse=True)
        for folder in folders:
            with contextlib.suppress(OSError):
                for pid in (folder / "cgroup.procs").read_text(encoding="utf-8").split():
                    os.kill(int(pid), signal.SIGKILL)
                folder.rmdir()


def pack(folder):
    """The packages of the build that is tested, by name."""
    config = BIN.parent / "CPackConfig.cmake"
    run("cpack", "--config", config, "-B", folder, cwd=BIN.parent)
    return {file.name.partition("_")[0]: file for file in pathlib.Path(folder).glob("*.deb")}


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    return pack(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="session")
def disk():
    missing = why_not()
    if missing:
        pytest.skip(missing)
    one = Disk()
    try:
        yield one.fill()
    finally:
        one.close()
