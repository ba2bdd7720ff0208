"""Monitors with settings of their own, on the bus of a stack that is up."""
import contextlib
import os
import re
import tempfile

from client import http
from own_bus import BIN, Program

TOKEN = "a token of this test alone, 0123456789"
START = ('source "$1/secrets/caller.env"; source "$1/secrets/stack.env"; shift; '
         'unset MONITOR_TOKEN MONITOR_ADMINS MONITOR_PUBLIC_URL; exec env "$@"')


class Monitor:
    """env: its settings; without MONITOR_… it does not start."""

    def __init__(self, stack, **env):
        env = {"MONITOR_PORT": "0", **env}
        self.program = Program(
            ["bash", "-c", START, "-", stack.run,
             *(f"{name}={value}" for name, value in env.items()), BIN / "mcpbus-monitor"],
            {**os.environ, "MCPBUS_STACK": str(stack.run)}, tempfile.gettempdir())
        self.stack = stack

    def start(self):
        self.program.wait_for("listening ")
        port = re.search(r"listening .*port=(\d+)", self.program.text()).group(1)
        self.url = f"http://127.0.0.1:{port}"
        self.host = f"127.0.0.1:{port}"
        return self

    def call(self, method, path, **arguments):
        arguments.setdefault("allow_redirects", False)
        return http(method, self.url + path, **arguments)

    def get(self, path, **arguments):
        return self.call("GET", path, **arguments)

    def post(self, path, **arguments):
        return self.call("POST", path, **arguments)

    def session(self, **headers):
        """The status of a call that needs a sign-in."""
        return self.get("/api/session", headers=headers).status_code

    def text(self):
        return self.program.text()

    def close(self):
        status = self.program.end()
        self.program.out.unlink()
        assert status == 0


@contextlib.contextmanager
def monitor(stack, **env):
    one = Monitor(stack, **env)
    try:
        yield one.start()
    finally:
        one.close()


def refused(stack, **env):
    """What a monitor that does not start says."""
    one = Monitor(stack, **env)
    try:
        assert one.program.process.wait(60) != 0
        return one.text()
    finally:
        one.program.out.unlink()


def cookie_of(answer, name="mcpbus_monitor_"):
    """(NAME=VALUE, its attributes) of the Set-Cookie whose name begins so."""
    for line in answer.raw.headers.getlist("Set-Cookie"):
        if line.startswith(name):
            pair, *attributes = line.split("; ")
            return pair, set(attributes)
    return None, set()
