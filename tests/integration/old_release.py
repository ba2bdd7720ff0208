"""The programs of the last release, built from the history, and a stack that runs them."""
import os
import pathlib
import shutil
import subprocess

import pytest

from side import BIN
from stack import ROOT, Stack, wait_until

SERVICES = ("broker", "auth", "jobs", "worker", "gateway")  # in the order of an upgrade
TARGETS = ("mcpbus", *(f"mcpbus-{service}" for service in SERVICES))


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900,
                          **options)
    assert done.returncode == 0, f"{command}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def extract(folder):
    """The tree of the commit that deploy/last-release names."""
    commit = (ROOT / "deploy" / "last-release").read_text().strip()
    known = subprocess.run(["git", "-C", ROOT, "cat-file", "-e", f"{commit}^{{commit}}"],
                           capture_output=True, check=False)
    if known.returncode != 0:
        pytest.skip(f"the history does not hold {commit}, the last release")
    folder.mkdir()
    archive = folder.with_suffix(".tar")
    run("git", "-C", ROOT, "archive", "-o", archive, commit)
    run("tar", "-xf", archive, "-C", folder)
    return folder


def build(tree):
    """Its services, as a release; the rest of a stack is ours. The folder of the programs."""
    launcher = ["-DCMAKE_C_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
    run("cmake", "--preset", "release", *launcher, cwd=tree)
    run("nice", "ninja", "-C", "build", "-j2", *(f"bin/{target}" for target in TARGETS), cwd=tree)
    folder = tree / "build" / "bin"
    for name in ("mcpbus-sandbox", "mcpbus-google", "mcpbus-files"):
        if not (folder / name).exists():
            (folder / name).symlink_to(BIN / name)
    for parent in (folder, *folder.parents):
        if os.stat(parent).st_uid == os.getuid() and parent != pathlib.Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    return folder


class OldStack(Stack):
    """Begins as the last release is; each process can be given other programs."""

    documented = False

    def __init__(self, tree, programs, **kwargs):
        self.tree = tree
        super().__init__(**{**kwargs, "env": {**kwargs.get("env", {}),
                                              "MCPBUS_BIN": str(programs)}})

    def dev(self, *args, check=True, timeout=300):
        done = subprocess.run([str(self.tree / "dev"), *args], env=self.environ,
                              capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL, check=False)
        assert not check or done.returncode == 0, f"{args}: {done.stdout}\n{done.stderr}"
        return done

    def replace(self, name, old, new):
        """Ends the process in an orderly way; its successor runs the other programs."""
        script = self.run / "sv" / name / "run"
        changed = script.with_name("run.new")
        changed.write_text(script.read_text().replace(str(old), str(new)))
        changed.chmod(0o755)
        changed.rename(script)
        before = self.pid(name)
        run("sv", "term", self.run / "sv" / name)
        wait_until(lambda: self.pid(name) not in (None, before) and self.program(name) == new, 30,
                   f"{name} runs from {new}")
        self.wait_healthy()

    def program(self, name):
        """The folder of what a process runs."""
        try:
            return pathlib.Path(os.readlink(f"/proc/{self.pid(name)}/exe")).parent
        except OSError:
            return None
