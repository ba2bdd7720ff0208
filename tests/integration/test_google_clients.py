"""Google's own client libraries against the sandbox, so that what the tools are tested with behaves as
Google does."""
import pathlib
import subprocess

import pytest

import npm_servers
from google_host import Sandbox
from stack import slow

SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "google_clients.cjs"
ALL = ["gmail.modify", "gmail.compose", "drive", "documents", "spreadsheets", "calendar"]


@pytest.fixture(scope="module", name="sandbox")
def _sandbox(tmp_path_factory):
    one = Sandbox(tmp_path_factory.mktemp("sandbox"))
    yield one
    one.stop()


@pytest.mark.parametrize("step", ["gmail", "drive", "docs", "sheets", "calendar", "scopes"])
def test_client(sandbox, step):
    tokens = sandbox.sign_in("ada@example.com", ["gmail.readonly"] if step == "scopes" else ALL)
    done = subprocess.run(
        [npm_servers.node(), SCRIPT, npm_servers.installed() / "node_modules", sandbox.base,
         tokens["access_token"], step],
        capture_output=True, text=True, timeout=120 * slow(), check=False,
        stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
