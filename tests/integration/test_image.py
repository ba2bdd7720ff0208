"""The image: built, then run as the Compose file says, until a job completes."""
import os
import shutil
import subprocess
import sys
import types

import pytest

from client import fresh_email, http, sign_in
from debian_machine import BIN
from image_runner import COMPOSE, Composed
from net_spaces import Network
from pg_cluster import PASSWORD, Cluster
from stack import ROOT, wait_until

pytest_plugins = ["debian_machine", "image_runner"]
pytestmark = pytest.mark.once

SANDBOX = "http://sandbox:8091"
WORKERS = ("worker", "worker-2", "worker-3")
# Of the whole image, on a base that is larger than debian:12-slim.
SIZE_MB = 350


@pytest.fixture
def net():
    one = Network()
    yield one
    one.close()


@pytest.fixture
def folder(tmp_path):
    """A copy of deploy/, with secrets as secrets.sh makes them."""
    shutil.copytree(ROOT / "deploy/compose", tmp_path / "compose")
    shutil.copytree(ROOT / "deploy/docker", tmp_path / "docker")
    here = tmp_path / "compose"
    shutil.rmtree(here / "secrets", ignore_errors=True)
    (here / "secrets").mkdir(mode=0o700)
    (here / "secrets/postgres_password").write_text(PASSWORD)
    subprocess.run([here / "secrets.sh"], input="sandbox-secret\nsandbox-key\n", text=True,
                   capture_output=True, check=True)
    return here


@pytest.fixture
def database(net):
    """In the place of the file's PostgreSQL, which comes from a registry."""
    one = Cluster({"listen_addresses": "*"}).make()
    one.port = 5432
    with open(one.data / "pg_hba.conf", "a", encoding="utf-8") as file:
        file.write("host all all 10.77.0.0/24 scram-sha-256\n")
    with net["postgres"].entered():
        one.start()
    yield one
    one.close()


@pytest.fixture
def sandbox(net):
    """It listens on loopback alone; a proxy brings its host's port there."""
    here = os.path.dirname(os.path.abspath(__file__))
    host = net["sandbox"]
    started = [
        host.popen([BIN / "mcpbus-sandbox"], env={**os.environ, "SANDBOX_PORT": "8090"},
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL),
        host.popen([sys.executable, os.path.join(here, "net_proxy.py"),
                    f"{host.address}:8091=127.0.0.1:8090"], stdin=subprocess.PIPE,
                   stdout=subprocess.DEVNULL)]
    yield host
    for process in started:
        process.kill()
        process.wait()
    started[1].stdin.close()


@pytest.fixture
def composed(image, net, folder, database, sandbox):
    for name in ("broker-1", "broker-2", "auth", "jobs", "gateway", "monitor", *WORKERS):
        net[name]
    one = Composed(image, net, folder, {
        "GOOGLE_CLIENT_ID": "sandbox-client", "PUBLIC_URL": f"http://{net.address('gateway')}:8000",
        "GOOGLE_AUTH_URI": f"http://{net.address('sandbox')}:8091/o/oauth2/v2/auth",
        "GOOGLE_TOKEN_URI": f"{SANDBOX}/token", "GOOGLE_USERINFO_URI": f"{SANDBOX}/v1/userinfo",
        "GOOGLE_REVOKE_URI": f"{SANDBOX}/revoke", "GOOGLE_API_BASE": SANDBOX,
        "OPENAI_BASE_URL": f"{SANDBOX}/v1"})
    yield one
    one.close()


def start_all(composed):
    """In the order that depends_on gives."""
    composed.complete("keys")
    composed.complete("migrate")
    names = [composed.start(name) for name in ("broker-1", "broker-2", "auth", "jobs", "gateway",
                                              "monitor")]
    names += [composed.start("worker", n) for n in (1, 2, 3)]
    composed.wait_healthy(*names)
    return names


def complete_a_job(composed):
    with composed.net["client"].entered():
        door = types.SimpleNamespace(url=f"http://{composed.net.address('gateway')}:8000")
        wait_until(lambda: http("GET", door.url + "/health").status_code == 200, 30, "healthy")
        return sign_in(door, fresh_email()).done("List my recent emails")


def check_image(image):
    config = image.config
    assert config["User"] == "10001:10001" and config["Healthcheck"]["Test"][0] == "CMD"
    assert config["Labels"]["org.opencontainers.image.title"] == "mcpbus"
    assert not list((image.root / "keys").glob("**/*.key*")) and \
        not (image.root / "etc/mcpbus").exists()
    size = image.size()
    print(f"image size, MB: {size}")
    assert size["mcpbus"] < SIZE_MB


def check_confined(composed, name):
    """No root, nothing to write to but /tmp, nobody else's key."""
    assert composed.execute(name, "/usr/bin/id", "-u").stdout.strip() == "10001"
    for path in ("/usr/bin/x", "/x", "/keys/public/x", "/keys/own/x"):
        assert composed.execute(name, "/usr/bin/touch", path).returncode != 0, path
    keys = composed.execute(name, "/usr/bin/find", "/keys", "-name", "*key_secret").stdout.split()
    assert keys == ["/keys/own/key_secret"]
    status = composed.execute(name, "/bin/grep", "-E", "NoNewPrivs|CapBnd", "/proc/1/status").stdout
    assert status.split() == ["CapBnd:", "0" * 16, "NoNewPrivs:", "1"]


def test_a_job_completes_in_containers(composed, image):
    check_image(image)
    names = start_all(composed)
    complete_a_job(composed)
    for name in names:
        check_confined(composed, name)
    for name in WORKERS:
        assert "mode=pid_namespace" in composed.log(name) or \
            '"mode":"pid_namespace"' in composed.log(name).replace(": ", ":"), composed.log(name)
    assert {composed.stop(name) for name in reversed(names)} == {0}
