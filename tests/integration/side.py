"""Programs of ours beside a stack that is up, with settings of their own.

    with Side(stack) as side:
        gateway = side.gateway({"TRUSTED_PROXIES": "127.0.0.1"})    # its URL
        side.start("broker", {…}); side.start("jobs", {…})
"""
import itertools
import os
import pathlib
import re
import signal
import socket
import subprocess

import requests

from stack import ROOT, slow, wait_until

BIN = pathlib.Path(os.environ.get("MCPBUS_BIN") or ROOT / "build" / "bin")
NUMBERS = itertools.count(1)  # of a process of the tests: each log is one program's
LISTENING = re.compile(r"listening .*port=(\d+)")


def free_port():
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


def stack_environment(stack):
    """What the stack's own services run with."""
    files = [stack.run / "secrets" / name for name in ("caller.env", "stack.env")]
    done = subprocess.run(["env", "-i", "bash", "-c", 'source "$0" && source "$1" && env -0', *files],
                          capture_output=True, check=True)
    pairs = (entry.partition("=") for entry in done.stdout.decode().split("\0") if entry)
    return {name: value for name, _, value in pairs}


class Program:
    """One process; its log is a file."""

    def __init__(self, path, log, env, cwd):
        self.log_file = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen(
                [path, "--env-file", "/dev/null"], env=env, stdout=out, stderr=out, cwd=cwd,
                stdin=subprocess.DEVNULL)

    def log(self):
        return self.log_file.read_text(errors="replace")

    def stop(self, sig=signal.SIGTERM):
        """Its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        return self.process.wait(timeout=30 * slow())


class Side:
    def __init__(self, stack, folder=BIN):
        self.stack, self.bin = stack, folder
        self.made = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for program in reversed(self.made):
            program.stop()

    def start(self, service, env=None, folder=None):
        """env: what differs from the stack's; None takes a setting away."""
        settings = {**stack_environment(self.stack), "PATH": os.environ["PATH"],
                    "MCPBUS_BIN": str(folder or self.bin), **(env or {})}
        settings = {name: value for name, value in settings.items() if value is not None}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                settings[name] = os.environ[name]
        log = self.stack.run / "logs" / f"side-{service}-{next(NUMBERS)}.log"
        self.made.append(Program((folder or self.bin) / f"mcpbus-{service}", log, settings,
                                 self.stack.run))
        return self.made[-1]

    def broker(self, env=None, folder=None):
        """The endpoint of a broker of its own."""
        port = free_port()
        self.start("broker", {"BROKER_PORT": str(port), **(env or {})}, folder)
        return f"tcp://127.0.0.1:{port}"

    def gateway(self, env=None, folder=None):
        """The URL of a healthy gateway."""
        one = self.start("gateway", {"GATEWAY_PORT": "0", **(env or {})}, folder)
        port = wait_until(lambda: LISTENING.search(one.log()), 20, "listening").group(1)
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: self.answers(url), 20, "a healthy gateway at the side")
        return url

    @staticmethod
    def answers(url):
        with requests.Session() as session:
            session.trust_env = False
            try:
                return session.get(url + "/health", timeout=5).status_code == 200
            except requests.RequestException:
                return False
