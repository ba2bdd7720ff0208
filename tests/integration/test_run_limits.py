"""Runs whose tool server does harm: each ends cleanly, is told of, and leaves nothing behind."""
import json
import pathlib

import pytest

from client import children_of, of_kind, run_processes, sign_in
from stack import Stack, wait_until

SERVER = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "harmful_server.py"
PROCESSES, MEMORY = 40, 256


@pytest.fixture(scope="module", name="limited")
def _limited(tmp_path_factory):
    folder = tmp_path_factory.mktemp("limits")
    config = folder / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"harmful": {
        "command": "/usr/bin/python3", "args": [str(SERVER)]}}}))
    for path in (config, folder, folder.parent, folder.parent.parent):
        path.chmod(path.stat().st_mode | (0o444 if path.is_file() else 0o011))
    one = Stack(env={"MCP_CONFIG": str(config), "TOOL_PROCESSES": str(PROCESSES),
                     "TOOL_MEMORY": str(MEMORY), "TOOL_TIMEOUT": "8", "JOB_MAX_ATTEMPTS": "1"})
    yield one
    one.close()


@pytest.fixture(name="call")
def _call(limited):
    """Runs a job with this tool; its tool_result and its progress events. Afterwards the worker is the
    same, with nothing left of the run."""
    user = sign_in(limited)
    idle, worker = run_processes(limited), limited.pid("worker-1")

    def call(tool, arguments="{}"):
        job = user.run(f"use tool harmful__{tool} with {arguments}")
        ended = user.finished(job, 120)
        assert ended["status"] == "completed", ended
        events = user.events(job)
        results = of_kind(events, "tool_result")
        assert len(results) == 1
        return results[0].data, of_kind(events, "progress")

    yield call
    wait_until(lambda: run_processes(limited) <= idle, 20, "the run's processes have ended")
    assert limited.pid("worker-1") == worker, "the worker is the same"
    assert user.done("Say hello")["status"] == "completed"


def logged(stack):
    return sum(file.stat().st_size for file in (stack.run / "logs").glob("*"))


def test_a_fork_bomb(call):
    result, progress = call("fork_bomb")
    assert result["is_error"] and f"more than {PROCESSES} processes" in result["content"]
    assert any("processes" in event.data["message"] for event in progress)


def test_memory_without_an_end(call):
    result, _ = call("hog")
    assert result["is_error"] and f"more than {MEMORY} MiB" in result["content"]


@pytest.mark.parametrize("tool", ["flood_line", "flood_lines"])
def test_output_without_an_end(call, limited, tool):
    before = logged(limited)
    result, _ = call(tool)
    assert result["is_error"]
    assert logged(limited) - before < 1 << 20


def test_gigabytes_of_errors(call, limited):
    """They are read and forgotten; the answer behind them counts, when it comes in time."""
    before = logged(limited)
    call("flood_errors")
    assert logged(limited) - before < 1 << 20


@pytest.mark.parametrize("tool", ["silent", "deaf"])
def test_no_answer(call, tool):
    result, _ = call(tool)
    assert result["is_error"] and "no answer within 8 s" in result["content"]


def test_a_server_that_dies(call):
    result, _ = call("die")
    assert result["is_error"] and "Whether the tool acted is unknown" in result["content"]


def test_no_descriptor_is_inherited(call):
    result, _ = call("descriptors")
    assert result["content"].split() == ["0", "1", "2", "3"], "its pipes, and the folder it lists"


def test_a_server_cannot_look_into_its_run(call):
    """Nor speak in its name: the settings of all servers are there, and the socket to the worker."""
    result, _ = call("spy")
    assert result["content"] == "nothing"


def test_a_fork_bomb_is_cancelled(limited):
    user = sign_in(limited)
    idle = run_processes(limited)
    job = user.run("use tool harmful__fork_bomb with {}")
    user.reach(job, "running")
    wait_until(lambda: children_of(limited.pid("worker-1")) - idle, 20, "its run has begun")
    assert user.cancel(job).json()["status"] == "cancelled"
    wait_until(lambda: run_processes(limited) <= idle, 20, "nothing of it is left")
