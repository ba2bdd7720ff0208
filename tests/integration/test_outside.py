"""HTTPS_PROXY and CA_BUNDLE: every call to the outside goes through the proxy, to servers that a
private authority vouches for. Nothing could go around it: no other way knows the names."""
import json
import uuid

import pytest

from client import sign_in
from guarantees import start_service, stop_service
from http_servers import Server
from outside_world import World
from side import free_port, Side
from stack import Stack, wait_until
from webhook_receiver import NEW, Receiver

NAMES = ("google.test", "model.test", "mcp.test", "hook.test")


@pytest.fixture(scope="module")
def far():
    one = Server(modern=False)
    yield one
    one.close()


@pytest.fixture(scope="module")
def receiver():
    one = Receiver()
    yield one
    one.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory, far, receiver):
    folder = tmp_path_factory.mktemp("outside")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(parent.stat().st_mode | 0o011)
    sandbox = free_port()
    with World(folder, {"google.test": sandbox, "model.test": sandbox,
                        "mcp.test": far.http.server_port,
                        "hook.test": receiver.http.server_port}) as one:
        one.folder = folder
        yield one


@pytest.fixture(scope="module")
def confined(world):
    """A stack for which the outside has those four names alone."""
    one = Stack(env={
        "SANDBOX_PORT": str(world.backends["google.test"]),
        "HTTPS_PROXY": world.proxy_url, "CA_BUNDLE": str(world.ca), "NO_PROXY": "elsewhere.test",
        "GOOGLE_TOKEN_URI": "https://google.test/token", "GOOGLE_API_BASE": "https://google.test",
        "GOOGLE_USERINFO_URI": "https://google.test/v1/userinfo",
        "GOOGLE_REVOKE_URI": "https://google.test/revoke",
        "OPENAI_BASE_URL": "https://model.test/v1", "WEBHOOK_SECRET": NEW,
        "JOB_MAX_ATTEMPTS": "1"})
    yield one
    one.close()


@pytest.mark.slow
def test_each_call_goes_through_the_proxy(confined, world, receiver):
    user = sign_in(confined, scopes=("gmail_readonly",))
    assert set(world.connected) == {"google.test"}, "auth"
    before = world.connected.count("google.test")

    path = receiver.path().rpartition("/")[2]
    answer = user.post("/run", json={"message": "List my recent emails",
                                     "callback_url": f"https://hook.test/{path}"})
    assert answer.status_code == 200, answer.text
    job = user.finished(answer.json()["job_id"])
    assert job["status"] == "completed", job
    assert "model.test" in world.connected, "the model"
    assert world.connected.count("google.test") > before, "mcpbus-google"
    wait_until(lambda: any(request.path == f"/{path}" for request in receiver.requests), 20,
               "the webhook")
    assert "hook.test" in world.connected
    assert user.delete("/me").status_code == 200  # gives the access back
    assert world.refused == []
    assert "hunter2" not in confined.log()


@pytest.mark.slow
def test_servers_with_an_address(confined, world, far):
    """A worker in the place of the stack's, which knows an MCP server far away."""
    config = world.folder / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"far": {
        "url": "https://mcp.test/mcp", "headers": {"X-Key": "none"}}}}))
    stop_service(confined, "worker")
    with Side(confined) as side:
        side.start("worker", {"MCP_CONFIG": str(config)})
        user = sign_in(confined, scopes=("gmail_readonly",))
        text = uuid.uuid4().hex
        job = user.done(f'use tool far__echo with {{"text": "{text}"}}')
        assert "mcp.test" in world.connected, job
        assert "echo" in far.calls and far.violations == []
    start_service(confined, "worker")
    assert world.refused == []
