"""A bus without the rest of the stack: brokers, keys, and programs of others."""
import contextlib
import os
import pathlib
import signal
import subprocess
import tempfile

from stack import ROOT, slow, wait_until

BIN = pathlib.Path(os.environ.get("MCPBUS_BIN") or ROOT / "build" / "bin")
BUILD = BIN.resolve().parent
EXAMPLES = ROOT / "libmcpbus" / "examples"
PYTHON = EXAMPLES / "weather.py"


class Program:
    """A process; what it writes is in a file."""

    def __init__(self, args, env, folder):
        handle, name = tempfile.mkstemp(dir=folder)
        self.out = pathlib.Path(name)
        self.process = subprocess.Popen([str(arg) for arg in args], env=env, stdout=handle,
                                        stderr=handle, stdin=subprocess.DEVNULL)
        os.close(handle)

    def text(self):
        return self.out.read_text(errors="replace")

    def wait_for(self, text, seconds=20):
        wait_until(lambda: text in self.text() or self.process.poll() is not None, seconds, text)
        assert text in self.text(), self.text()

    def end(self, sig=signal.SIGTERM, seconds=20):
        """The exit status."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(sig)
        return self.process.wait(seconds * slow())


def keygen(folder, *args):
    subprocess.run([BIN / "mcpbus", "keygen", "--env-file", "/dev/null", "--dir", folder, *args],
                   check=True, capture_output=True)


class Bus:
    """Brokers with keys, and in the key folder `weather`, who serves and calls it, and `client`,
    who calls it alone; or, without guests, the brokers' and the admin's keys alone."""

    def __init__(self, folder, brokers=2, guests=True):
        self.folder, self.keys = folder, folder / "keys"
        self.started = []
        self.brokers = []
        keygen(self.keys, "broker", "admin")
        if guests:
            self.invite()
        try:
            for _ in range(brokers):
                self.start_broker("0")
        except BaseException:
            self.close()
            raise

    def invite(self):
        keygen(self.keys, "--name", "client", "--role", "client", "--call", "weather.*")
        keygen(self.keys, "--name", "weather", "--role", "client", "--call", "weather.*",
               "--serve", "weather")

    def start_broker(self, port):
        broker = self.start([BIN / "mcpbus-broker", "--env-file", "/dev/null"], BROKER_PORT=port)
        broker.wait_for("endpoint=")
        broker.endpoint = broker.text().partition("endpoint=")[2].split()[0].strip('"')
        self.brokers.append(broker)
        return broker

    @property
    def endpoints(self):
        return ",".join(broker.endpoint for broker in self.brokers)

    def env(self, key, **more):
        """As a program sees the bus that has the certificate of that name."""
        return {**os.environ, "BROKER_ENDPOINT": self.endpoints, "BUS_SECURITY": "curve",
                "BUS_KEYS": str(self.keys), "BUS_KEY": str(self.keys / f"{key}.key_secret"), **more}

    def start(self, args, key="broker", **env):
        self.started.append(Program(args, self.env(key, **env), self.folder))
        return self.started[-1]

    def serve(self, args):
        """A replica of the weather, once it is served."""
        program = self.start(args, "weather")
        program.wait_for("serving")
        return program

    def run(self, *args, key="client", seconds=60, **env):
        return subprocess.run([str(arg) for arg in args], env=self.env(key, **env), text=True,
                              capture_output=True, check=False, timeout=seconds * slow())

    def close(self):
        for program in reversed(self.started):
            if program.process.poll() is None:
                program.end(signal.SIGKILL)


def install(prefix):
    for component in ("lib", "dev"):
        subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix, "--component", component],
                       check=True, capture_output=True)


def pkg_config(prefix, *args):
    done = subprocess.run(["pkg-config", *args, "mcpbus"], check=True, capture_output=True,
                          text=True, env={**os.environ,
                                          "PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")})
    return done.stdout.split()


def compile_example(prefix, name, out, compiler="gcc", static=False):
    """Out of the tree, against what is installed."""
    if static:
        libs = [f"-l:lib{lib[2:]}.a" if lib == "-lmcpbus" else lib
                for lib in pkg_config(prefix, "--static", "--libs")]
    else:
        libs = [*pkg_config(prefix, "--libs"), f"-Wl,-rpath,{prefix}/lib"]
    done = subprocess.run(
        [compiler, "-std=gnu17", "-O1", "-Wall", "-Wextra", "-Werror", "-o", out,
         EXAMPLES / f"{name}.c", *pkg_config(prefix, "--cflags"), *libs, "-ljansson", "-pthread"],
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


