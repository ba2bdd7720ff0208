"""A network of hosts in one machine: each is a network namespace with an address of its own on one
bridge, and what passes between two of them can be dropped, one way or both.

Namespaces have no names and no processes: they live as long as this process holds them, so nothing
is left behind, whatever becomes of the tests. It takes root (CAP_SYS_ADMIN, CAP_NET_ADMIN) and a
kernel with veth, bridges and nf_tables; why_not() says what is missing."""
import contextlib
import ctypes
import os
import subprocess
import threading

CLONE_NEWNET = 0x40000000
NETWORK = "10.77.0"
LIBC = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def new_namespace():
    """Its file descriptor. Made by a thread of its own, since a thread moves into what it makes."""
    made = []

    def make():
        try:
            check(LIBC.unshare(CLONE_NEWNET), "a network namespace")
            made.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


class Space:
    """One host. `address` is its own on the bridge."""

    def __init__(self, address=None):
        self.address = address
        self.fd = new_namespace()

    def move_in(self):
        check(LIBC.setns(self.fd, CLONE_NEWNET), "setns")

    @contextlib.contextmanager
    def entered(self):
        """Sockets that this thread makes meanwhile, and threads and processes that it starts, are
        on this host."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.move_in()
            yield self
        finally:
            check(LIBC.setns(home, CLONE_NEWNET), "setns")
            os.close(home)

    def popen(self, *args, **kwargs):
        with self.entered():
            return subprocess.Popen(*args, **kwargs)

    def run(self, *args, **kwargs):
        """Its output; it must succeed."""
        with self.entered():
            done = subprocess.run(args, capture_output=True, text=True, check=False, timeout=30,
                                  **kwargs)
        if done.returncode != 0:
            raise OSError(f"{' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def received(self):
        """Bytes from the others so far."""
        for line in self.run("cat", "/proc/net/dev").splitlines():
            name, _, counters = line.partition(":")
            if name.strip() == "eth0":
                return int(counters.split()[0])
        raise AssertionError("eth0 is gone")

    def close(self):
        os.close(self.fd)


class Network:
    """Hosts by name, made when they are first asked for. Drops are rules of the bridge: the sender
    sees nothing of them."""

    def __init__(self):
        self.hosts = {}
        self.drops = set()
        self.switch = Space()
        self.switch.run("ip", "link", "add", "lan", "type", "bridge")
        self.switch.run("ip", "link", "set", "lan", "up")
        self.apply()

    def __getitem__(self, name):
        if name not in self.hosts:
            self.hosts[name] = self.plug(Space(f"{NETWORK}.{len(self.hosts) + 1}"),
                                         f"port{len(self.hosts) + 1}")
        return self.hosts[name]

    def plug(self, host, port):
        self.switch.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns",
                        f"/proc/{os.getpid()}/fd/{host.fd}")
        self.switch.run("ip", "link", "set", port, "master", "lan", "up")
        host.run("ip", "address", "add", f"{host.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            host.run("ip", "link", "set", device, "up")
        return host

    def address(self, name):
        return self[name].address

    # Drops

    def apply(self):
        rules = ["table bridge drops", "delete table bridge drops", "table bridge drops {",
                 "chain forward { type filter hook forward priority 0; policy accept;"]
        for sender, receiver in sorted(self.drops):
            rules.append(" ".join(
                [f"ip saddr {self.address(sender)}"] * (sender != "*") +
                [f"ip daddr {self.address(receiver)}"] * (receiver != "*") + ["counter drop"]))
        self.switch.run("nft", "-f", "-", input="\n".join([*rules, "}", "}"]) + "\n")

    def drop(self, sender, receiver):
        """One way; "*" is everybody."""
        self.drops.add((sender, receiver))
        self.apply()

    def cut(self, one, other):
        """Both ways."""
        self.drops |= {(one, other), (other, one)}
        self.apply()

    def cut_off(self, name):
        self.cut(name, "*")

    def heal(self):
        self.drops.clear()
        self.apply()

    @contextlib.contextmanager
    def dropping(self, *pairs):
        """(sender, receiver) pairs that don't hear each other meanwhile."""
        self.drops |= set(pairs)
        self.apply()
        try:
            yield
        finally:
            self.drops -= set(pairs)
            self.apply()

    def close(self):
        for host in [*self.hosts.values(), self.switch]:
            host.close()


def why_not():
    """None where all this can be had."""
    try:
        network = Network()
    except OSError as error:
        return f"no network namespaces here: {error}"
    try:
        network.address("one")
        network.address("other")
        network.cut("one", "other")
        return None
    except OSError as error:
        return f"no partitions here: {error}"
    finally:
        network.close()
