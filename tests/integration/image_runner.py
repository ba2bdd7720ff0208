"""The image built by buildah on a base of the tests' own, and what deploy/compose says of its services
carried out by crun: each container in the network, with the user, mounts, limits of rights and
seccomp profile that Compose would give it. There is no Docker daemon and no registry here."""
import contextlib
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess

import pytest
import yaml

from debian_machine import run
from stack import ROOT, wait_until

COMPOSE = ROOT / "deploy" / "compose"
MASKED = ("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
          "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware")
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


class Image:
    """`root` is its file system, `config` what its Dockerfile says of running it."""

    def __init__(self, folder, base, packages):
        self.folder = folder
        self.environ = {**os.environ, "BUILDAH_ISOLATION": "chroot", "TMPDIR": str(folder)}
        container = self.buildah("from", "scratch").strip()
        self.buildah("add", "--quiet", container, base, "/")
        self.buildah("commit", "--quiet", "--rm", container, "localhost/mcpbus-base")
        self.buildah("build", "--format", "docker", "--network", "host", "--build-arg",
                     "BASE=localhost/mcpbus-base", "--build-context", f"packages={packages}",
                     "-t", "localhost/mcpbus", "-f", ROOT / "deploy/docker/Dockerfile", ROOT)
        self.config = json.loads(self.buildah("inspect", "--type", "image",
                                              "localhost/mcpbus"))["Docker"]["config"]
        container = self.buildah("from", "localhost/mcpbus").strip()
        self.root = pathlib.Path(self.buildah("mount", container).strip())

    def buildah(self, *args):
        return run("buildah", "--root", self.folder / "root", "--runroot", self.folder / "run",
                   *args, env=self.environ)

    def size(self):
        """Bytes on top of the base, and of everything."""
        base = json.loads(self.buildah("images", "--json"))
        sizes = {image["names"][0].rpartition("/")[2].partition(":")[0]: image["size"]
                 for image in base if image.get("names")}
        return {name: float(size.split()[0]) for name, size in sizes.items()}


@pytest.fixture(scope="session")
def image(disk, packages):
    folder = disk.top / "image"
    folder.mkdir()
    server = folder / "packages"
    server.mkdir()
    shutil.copy(packages["mcpbus"], server)
    return Image(folder, disk.base, server)


def compose_config(folder, environ):
    """Compose's own reading of the file, variables and merges filled in."""
    done = subprocess.run(["docker-compose", "-f", folder / "docker-compose.yml", "config"],
                          capture_output=True, text=True, check=False, cwd=folder,
                          env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environ})
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


class Composed:
    """The services of the Compose file, each container a host of `net`. Volumes and secrets are
    folders and files below `folder`, which holds a copy of deploy/compose."""

    def __init__(self, image, net, folder, environ):
        self.image, self.net, self.folder = image, net, folder
        self.config = compose_config(folder, environ)
        self.running = {}
        (folder / "volumes").mkdir()

    def hosts(self):
        lines = ["127.0.0.1 localhost"]
        lines += [f"{host.address} {name}" for name, host in self.net.hosts.items()]
        path = self.folder / "hosts"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def volume(self, name, where):
        """A new one takes over owner and mode of what the image has in its place."""
        path = self.folder / "volumes" / name
        if not path.exists():
            path.mkdir()
            status = (self.image.root / where.lstrip("/")).stat()
            os.chown(path, status.st_uid, status.st_gid)
            path.chmod(status.st_mode & 0o7777)
        return path

    def mounts(self, service):
        yield {"destination": "/proc", "type": "proc", "source": "proc"}
        yield {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
               "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]}
        yield {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
               "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]}
        yield {"destination": "/sys", "type": "sysfs", "source": "sysfs",
               "options": ["nosuid", "noexec", "nodev", "ro"]}
        yield self.bind(self.hosts(), "/etc/hosts", "ro")
        for text in service.get("tmpfs", []):
            where, _, options = text.partition(":")
            options = options.split(",")
            yield {"destination": where, "type": "tmpfs", "source": "tmpfs",
                   "options": ["nosuid", "nodev", *options] + ["noexec"] * ("exec" not in options)}
        for text in service.get("volumes", []):
            name, where, *mode = text.split(":")
            yield self.bind(self.volume(name, where), where, *(m for m in mode if m == "ro"))
        for secret in service.get("secrets", []):
            name = secret if isinstance(secret, str) else secret["source"]
            yield self.bind(self.config["secrets"][name]["file"], f"/run/secrets/{name}", "ro")

    @staticmethod
    def bind(source, where, *options):
        return {"destination": where, "type": "bind", "source": str(source),
                "options": ["rbind", "nosuid", "nodev", *options]}

    def linux(self, name, options):
        """Namespaces, and what of the kernel is hidden, as Docker does it by default."""
        host = self.net[name]
        linux = {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")] +
                 [{"type": "network", "path": f"/proc/{os.getpid()}/fd/{host.fd}"}]}
        if "systempaths=unconfined" not in options:
            linux |= {"maskedPaths": list(MASKED), "readonlyPaths": list(READ_ONLY)}
        for option in options:
            if option.startswith("seccomp="):
                path = self.folder / option.partition("=")[2]
                linux["seccomp"] = json.loads(path.resolve().read_text(encoding="utf-8"))
        return linux

    def bundle(self, name, service, command):
        """What runc and crun take for a container."""
        options = [text.replace("no-new-privileges:", "no-new-privileges=", 1)
                   for text in service["security_opt"]]
        assert service["cap_drop"] == ["ALL"] and service["read_only"] is True
        environment = dict(text.split("=", 1) for text in self.image.config["Env"])
        environment |= {k: str(v) for k, v in (service.get("environment") or {}).items()}
        user = [int(part) for part in self.image.config["User"].split(":")]
        files = min(service.get("ulimits", {}).get("nofile", 1024),
                    resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        folder = self.folder / "bundles" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({
            "ociVersion": "1.0.2", "hostname": name,
            "root": {"path": str(self.image.root), "readonly": True},
            "mounts": list(self.mounts(service)), "linux": self.linux(name, options),
            "process": {
                "user": {"uid": user[0], "gid": user[1]},
                "args": [*self.image.config["Entrypoint"], *command],
                "env": [f"{key}={value}" for key, value in environment.items()],
                "cwd": self.image.config["WorkingDir"],
                "noNewPrivileges": "no-new-privileges=true" in options,
                "capabilities": {kind: [] for kind in ("bounding", "effective", "inheritable",
                                                       "permitted", "ambient")},
                "rlimits": [{"type": "RLIMIT_NOFILE", "soft": files, "hard": files}]}}),
            encoding="utf-8")
        return folder

    def crun(self, *args):
        """It refuses a machine with control groups of both versions, so it sees the newer alone."""
        return ["unshare", "--mount", "sh", "-ec",
                'mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec crun "$@"', "crun",
                "--root", str(self.folder / "crun"), "--cgroup-manager", "disabled", *args]

    def start(self, service, n=1, command=None):
        """Its name. `n`: of several replicas."""
        name = service if n == 1 else f"{service}-{n}"
        description = self.config["services"][service]
        folder = self.bundle(name, description, command or description["command"])
        with open(self.folder / f"{name}.log", "wb") as log:
            self.running[name] = subprocess.Popen(
                self.crun("run", "--bundle", str(folder), name), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True)
        return name

    def complete(self, service, command=None):
        """Runs one to its end; its output."""
        name = self.start(service, command=command)
        assert self.running.pop(name).wait(60) == 0, self.log(name)
        return self.log(name)

    def execute(self, name, *command):
        return subprocess.run(
            self.crun("exec", "--user", self.image.config["User"], name, *command),
            capture_output=True, text=True, check=False, timeout=30)

    def healthy(self, name):
        assert self.running[name].poll() is None, self.log(name)
        test = self.config["services"][name.rstrip("-123456789") if name not in
                                       self.config["services"] else name]["healthcheck"]["test"]
        return self.execute(name, *test[1:]).returncode == 0

    def wait_healthy(self, *names):
        for name in names:
            wait_until(lambda: self.healthy(name), 40, f"{name} is healthy")

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def stop(self, name):
        """Its exit status, as Docker would see it."""
        subprocess.run(self.crun("kill", name, "TERM"), check=True)
        return self.running.pop(name).wait(20)

    def close(self):
        for name, process in self.running.items():
            subprocess.run(self.crun("kill", name, "KILL"), check=False,
                           capture_output=True)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            subprocess.run(self.crun("delete", "--force", name), check=False, capture_output=True)
