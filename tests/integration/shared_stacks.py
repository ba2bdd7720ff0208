"""Stacks that several files share, beside those of conftest.py. A file that uses them says
pytest_plugins = ["shared_stacks"]."""
import json

import pytest

import npm_servers
from client import http
from stack import Stack, wait_until


def meet_all(stack):
    """Returns when connection after connection finds a healthy gateway: up waits for one."""
    wait_until(lambda: all(http("GET", stack.url + "/health").status_code == 200
                           for _ in range(24)), 20, "every gateway is healthy")
    return stack


@pytest.fixture(scope="session")
def wide_stack(stack):
    return meet_all(stack)


@pytest.fixture(scope="session")
def wide_echo(echo):
    return meet_all(echo)


@pytest.fixture(scope="session")
def small_stack():
    """Agents, narrow: limits that a test reaches, one run at a time for twelve seconds, Google
    tokens that live for two."""
    one = Stack(env={"RATE_LIMIT": "40", "QUEUE_LIMIT": "5", "WORKER_CONCURRENCY": "1",
                     "JOB_TIMEOUT": "12", "SANDBOX_TOKEN_SECONDS": "2"})
    yield one
    one.close()


@pytest.fixture(scope="session")
def npm_stack(tmp_path_factory):
    """Agents with two MCP servers from npm, mcpbus-google, and two that can't start; a job is tried
    once."""
    folder = tmp_path_factory.mktemp("npm")
    folder.chmod(0o755)
    for parent in (folder.parent, folder.parent.parent):
        parent.chmod(parent.stat().st_mode | 0o011)
    (folder / "files").mkdir()
    (folder / "files" / "hello.txt").write_text("Hello from a file\n")
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": {
        "google": npm_servers.GOOGLE,
        "filesystem": npm_servers.server("server-filesystem", str(folder / "files")),
        "everything": {**npm_servers.server("server-everything"),
                       "env": {"GREETING": "${HOME}", "MAIL": "${user.email}"}},
        "broken": {"command": "/nonexistent/server", "args": []},
        "dying": {"command": "/bin/false", "args": []},
    }}))
    (folder / "mcp.json").chmod(0o644)
    one = Stack(env={"MCP_CONFIG": str(folder / "mcp.json"), "JOB_MAX_ATTEMPTS": "1"})
    one.folder = folder
    yield one
    one.close()
