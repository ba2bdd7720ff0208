"""Services of one's own: examples of libmcpbus, built against what is installed, and the Python one
that knows the protocol's document alone."""
import json
import re
import signal
import subprocess

import pytest

from bus_peer import Peer, submit
from own_bus import BIN, EXAMPLES, PYTHON, Bus, compile_example, install, keygen
from stack import ROOT, slow, wait_until

pytest_plugins = ["shared_stacks"]

OSLO = '{"city": "Oslo"}'
COUNT = 60000


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prefix")
    install(folder)
    return folder


@pytest.fixture(scope="module")
def programs(prefix):
    """{"weather", "client"}: linked with the shared library, or in the tree where that needs a
    sanitizer's runtime."""
    if slow() > 1:
        pytest.skip("programs of others are not built with sanitizers")
    return {name: compile_example(prefix, name, prefix / name) for name in ("weather", "client")}


@pytest.fixture
def bus(tmp_path):
    one = Bus(tmp_path)
    yield one
    one.close()


def test_the_example_is_short():
    assert len((EXAMPLES / "weather.c").read_text().splitlines()) < 100


def test_a_service_in_c(bus, programs):
    first, second = [bus.serve([programs["weather"]]) for _ in range(2)]
    done = bus.run(programs["client"], "call", "weather.now", OSLO)
    assert json.loads(done.stdout) == {"city": "Oslo", "temperature": 4}, done.stderr
    done = bus.run(programs["client"], "many", "weather.now", OSLO, "1000")
    assert done.stdout == "1000 of 1000\n", done.stderr
    done = bus.run(programs["client"], "stream", "weather.watch", '{"every_ms": 5}', "3")
    assert [json.loads(line)["day"] for line in done.stdout.splitlines()] == [0, 1, 2], done.stderr
    wait_until(lambda: "nobody listens" in first.text() + second.text(), 20, "the cancellation")
    done = bus.run(programs["client"], "call", "weather.now", "{}")
    assert done.returncode == 1 and "INVALID: city" in done.stderr
    assert first.end() == second.end() == 0


def test_a_service_in_python(bus, programs):
    service = bus.serve([PYTHON, "serve"])
    for program in ([programs["client"]], [PYTHON]):
        done = bus.run(*program, "call", "weather.now", OSLO)
        assert json.loads(done.stdout) == {"city": "Oslo", "temperature": 4}, done.stderr
        done = bus.run(*program, "stream", "weather.watch", '{"every_ms": 10}', "3")
        assert [json.loads(line)["day"] for line in done.stdout.splitlines()] == [0, 1, 2]
        done = bus.run(*program, "call", "weather.now", "{}")
        assert done.returncode == 1 and "city: a text is wanted" in done.stderr
    service.wait_for("nobody listens any more")
    done = bus.run(programs["client"], "many", "weather.now", OSLO, "500")
    assert done.stdout == "500 of 500\n", done.stderr
    assert service.end() == 0, service.text()


def test_strangers_get_nowhere(bus, programs):
    bus.serve([programs["weather"]])
    keygen(bus.folder / "other", "client")
    stranger = {"BUS_KEY": str(bus.folder / "other" / "client.key_secret")}
    done = bus.run(programs["weather"], **stranger)
    assert done.returncode == 1 and "DENIED" in done.stderr, done.stderr
    done = bus.run(programs["weather"], key="client")
    assert done.returncode == 1 and "DENIED" in done.stderr, done.stderr
    done = bus.run(programs["client"], "call", "jobs.health", "{}")
    assert done.returncode == 1 and "DENIED" in done.stderr, done.stderr
    done = bus.run(programs["client"], "call", "weather.now", OSLO)
    assert done.returncode == 0, done.stderr


def test_events_of_a_job(wide_echo, programs):
    peer = Peer(wide_echo.brokers[0], wide_echo.keys)
    try:
        peer.hello()
        job_id, _ = submit(peer, "own", "followed")
    finally:
        peer.close()
    env = {"BROKER_ENDPOINT": wide_echo.vars["BROKER_ENDPOINT"], "BUS_KEYS": wide_echo.keys or "",
           "BUS_SECURITY": wide_echo.vars["BUS_SECURITY"], "PATH": "/usr/bin:/bin"}
    done = subprocess.run([programs["client"], "job", "own", job_id], env=env, text=True,
                          capture_output=True, timeout=60, check=False)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events, done.stderr
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "completed" or events[-1]["data"]["status"] == "completed"


@pytest.mark.once
def test_the_guide(prefix, tmp_path):
    """Every command of docs/own-service.md, as it stands there."""
    guide = (ROOT / "docs" / "own-service.md").read_text()
    script = "set -euo pipefail\n" + "\n".join(re.findall(r"^```sh\n(.*?)^```$", guide, re.M | re.S))
    bus = Bus(tmp_path, guests=False)
    try:
        done = bus.run("bash", "-c", f"cd {tmp_path}\n{script}", key="admin", seconds=90,
                       PATH=f"{BIN}:/usr/bin:/bin", LD_LIBRARY_PATH=f"{prefix}/lib",
                       PKG_CONFIG_PATH=f"{prefix}/lib/pkgconfig", EXAMPLES=str(EXAMPLES))
    finally:
        bus.close()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('"temperature":4}') == 2, done.stdout
    assert '{"day":2,"temperature":2}' in done.stdout and "1000 of 1000" in done.stdout


def load(bus, programs, count):
    """Calls that may be repeated, under way when this returns."""
    before = sum(broker.text().count("key=client") for broker in bus.brokers)
    client = bus.start([programs["client"], "many", "weather.now", OSLO, str(count)], "client")
    wait_until(lambda: sum(broker.text().count("key=client") for broker in bus.brokers) > before,
               20, "the client has come")
    return client


def ends_without_a_loss(client, count):
    assert client.process.wait(120 * slow()) == 0, client.text()
    assert client.text() == f"{count} of {count}\n"


@pytest.mark.slow
def test_replicas_are_lost_under_load(bus, programs):
    replicas = [bus.serve([programs["weather"]]), bus.serve([programs["weather"]])]
    client = load(bus, programs, COUNT)
    for replica in replicas:
        replica.end(signal.SIGKILL)
        assert replica is not replicas[0] or client.process.poll() is None
        bus.serve([programs["weather"]])
    ends_without_a_loss(client, COUNT)


@pytest.mark.slow
def test_brokers_are_lost_under_load(bus, programs):
    bus.serve([programs["weather"]])
    bus.serve([PYTHON, "serve"])
    client = load(bus, programs, COUNT)
    first = bus.brokers[0].endpoint.rpartition(":")[2]
    for broker in list(bus.brokers):
        port = broker.endpoint.rpartition(":")[2]
        broker.end(signal.SIGKILL)
        assert port != first or client.process.poll() is None
        bus.brokers.remove(broker)
        bus.start_broker(port)
        wait_until(lambda: "service=weather" in bus.brokers[-1].text(), 20, "a replica is back")
    assert client.process.poll() is None, "the load was too short to show anything"
    ends_without_a_loss(client, COUNT)
