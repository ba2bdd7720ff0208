"""From the last release to this one and back, under load, one process after the other: what
docs/upgrade.md says."""
import os
import pathlib
import subprocess

import pytest

from old_release import build, extract, OldStack, SERVICES
from pg_load import Load
from side import BIN


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """(The tree of the last release, the folder of its programs.)"""
    tree = extract(tmp_path_factory.mktemp("last-release") / "tree")
    return tree, build(tree).resolve()


def migrate(stack, programs):
    done = subprocess.run([programs / "mcpbus", "migrate"], capture_output=True, text=True,
                          check=False, env={**os.environ, "DATABASE_URL": stack.database_url})
    assert done.returncode == 0, done.stderr


@pytest.mark.once
def test_up_and_back_under_load(old):
    tree, before = old
    after = pathlib.Path(BIN).resolve()
    # The last release knows no keys: both speak plainly on loopback.
    stack = OldStack(tree, before, env={"WORKER_RUNNER": "echo", "BUS_SECURITY": "plain"},
                     scale=dict.fromkeys(SERVICES, 2))
    try:
        with Load(stack, users=3, pause=0.02) as load:
            load.wait_accepted(20)
            migrate(stack, after)
            load.wait_accepted(20)
            for service in SERVICES:
                for n in (1, 2):
                    stack.replace(f"{service}-{n}", before, after)
                    load.wait_accepted(10)
            for service in reversed(SERVICES):
                for n in (1, 2):
                    stack.replace(f"{service}-{n}", after, before)
                    load.wait_accepted(10)
        load.check_answers()
        load.check_all_ended(stack)
    finally:
        stack.close()
