"""The network of namespaces does what it says."""
import os
import socket
import threading

import pytest

import net_spaces


@pytest.fixture(scope="module", name="network")
def _network():
    reason = net_spaces.why_not()
    if reason:
        pytest.skip(reason)
    one = net_spaces.Network()
    yield one
    one.close()


def serve(host):
    """A listening socket there."""
    with host.entered():
        return socket.create_server((host.address, 0))


def connect(host, address, timeout=10):
    with host.entered():
        return socket.create_connection(address, timeout=timeout)


def hears(one, data):
    one.settimeout(0.4)
    try:
        return one.recv(100) == data
    except TimeoutError:
        return False


def test_hosts_and_drops(network):
    a, b = network["a"], network["b"]
    home = os.stat("/proc/thread-self/ns/net").st_ino
    with serve(b) as server, connect(a, server.getsockname()) as one:
        other, peer = server.accept()
        assert peer[0] == a.address
        with other:
            one.sendall(b"1")
            assert hears(other, b"1")
            with network.dropping(("a", "b")):
                one.sendall(b"2")
                assert not hears(other, b"2")
            assert hears(other, b"2") or hears(other, b"2"), "TCP sends it again"
            with network.dropping(("*", "a")):
                other.sendall(b"3")
                assert not hears(one, b"3")
            assert hears(one, b"3") or hears(one, b"3") or hears(one, b"3")
            network.cut_off("a")
            with pytest.raises(TimeoutError):
                connect(a, server.getsockname(), timeout=0.5)
            network.heal()
            connect(a, server.getsockname()).close()
    assert os.stat("/proc/thread-self/ns/net").st_ino == home


def test_what_a_host_starts_is_on_it(network):
    host = network["a"]
    assert host.address in host.run("ip", "-4", "address")
    found = []
    with host.entered():
        thread = threading.Thread(target=lambda: found.append(
            os.stat("/proc/thread-self/ns/net").st_ino))
        thread.start()
        thread.join()
    assert found[0] == os.fstat(host.fd).st_ino
    before = host.received()
    with serve(host) as server, connect(network["b"], server.getsockname()) as one:
        one.sendall(bytes(2000))
        other, _ = server.accept()
        with other:
            other.recv(100)
    assert host.received() > before
