"""Runs the command blocks of a page of docs/, as they stand there, in a folder that looks like the
source's with a stack in it."""
import os
import pathlib
import re
import subprocess

from stack import ROOT, slow

BIN = pathlib.Path(os.environ.get("MCPBUS_BIN", ROOT / "build" / "bin"))


def blocks(page, language="sh"):
    text = (ROOT / "docs" / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def place(folder, stack):
    """`folder` with ./dev, build/bin and .run as the stack has them."""
    for one in (folder, folder.parent, folder.parent.parent):
        one.chmod(one.stat().st_mode | 0o055)
    (folder / "dev").symlink_to(ROOT / "dev")
    (folder / ".run").symlink_to(stack.run)
    (folder / "build").mkdir()
    (folder / "build" / "bin").symlink_to(BIN)
    return folder


def carry_out(folder, stack, commands, **env):
    """The blocks, one after another in one shell, and what they print."""
    text = "set -euo pipefail\n" + "\n".join(commands)
    done = subprocess.run(["bash", "-c", text], cwd=folder, env={**stack.environ, **env}, text=True,
                          capture_output=True, stdin=subprocess.DEVNULL, check=False,
                          timeout=150 * slow())
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout
