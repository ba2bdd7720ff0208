"""The command line `mcpbus` as operators run it: in a pipe, and on a terminal."""
import fcntl
import json
import os
import pathlib
import pty
import select
import signal
import struct
import subprocess
import termios
import time

from stack import ROOT, slow

MCPBUS = pathlib.Path(os.environ.get("MCPBUS_BIN") or ROOT / "build" / "bin") / "mcpbus"
OK, FAILED, USAGE, NO_BROKER, TIMEOUT, INTERRUPTED = 0, 1, 2, 3, 4, 130


def environment(stack, **more):
    """Nothing but the stack's run folder: the rest is found there. Sanitizers' settings stay."""
    kept = {name: os.environ[name] for name in os.environ if name.endswith("_OPTIONS")}
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TERM": "xterm", **kept,
            **({"MCPBUS_RUN_DIR": str(stack.run)} if stack else {}), **more}


def mcpbus(stack, *args, env=None, text="", cwd="/"):
    """The ended process, with its output as text."""
    return subprocess.run([str(MCPBUS), *args], env=environment(stack, **(env or {})), input=text,
                          capture_output=True, text=True, timeout=120 * slow(), cwd=cwd, check=False)


def good(stack, *args, **more):
    done = mcpbus(stack, *args, **more)
    assert done.returncode == OK, (args, done.returncode, done.stdout, done.stderr)
    return done


def value(stack, *args, **more):
    """What --json prints."""
    return json.loads(good(stack, *args, "--json", **more).stdout)


class Terminal:
    """mcpbus on a terminal of its own; stdin, stdout and stderr are all there. `size`: its columns."""

    def __init__(self, stack, *args, size=100, **env):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                # Whoever runs the tests in the background ignores some of them, and we inherit it.
                for signo in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTSTP):
                    signal.signal(signo, signal.SIG_DFL)
                self.resize(size, 0)
                os.execve(str(MCPBUS), [str(MCPBUS), *args], environment(stack, **env))
            finally:
                os._exit(126)
        self.output = ""

    def resize(self, columns, fd=None):
        fcntl.ioctl(self.fd if fd is None else fd, termios.TIOCSWINSZ,
                    struct.pack("HHHH", 40, columns, 0, 0))

    def type(self, text):
        os.write(self.fd, text.encode())

    def read(self, seconds):
        """Some more output; False at the end of it."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            piece = os.read(self.fd, 65536)
        except OSError:
            piece = b""
        self.output += piece.decode(errors="replace")
        return bool(piece)

    def read_until(self, text, seconds=30):
        end = time.monotonic() + seconds * slow()
        while text not in self.output:
            assert time.monotonic() < end, f"no {text!r} in {self.output!r}"
            assert self.read(0.2) or text in self.output, f"it ended without {text!r}: {self.output!r}"

    def signal(self, signo=signal.SIGINT):
        os.kill(self.pid, signo)

    def status(self, seconds=60):
        """Its exit status, once it has ended."""
        end = time.monotonic() + seconds * slow()
        while self.read(0.2):
            assert time.monotonic() < end, f"it goes on: {self.output!r}"
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
