"""MCP servers that want OAuth, in a run of the whole stack: client credentials, and the servers of
an attacker."""
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from client import of_kind, sign_in
from oauth_servers import ID, SECRET, Behaviour, Servers
from stack import Stack

KEY = ec.generate_private_key(ec.SECP256R1())
PRIVATE = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                            serialization.NoEncryption()).decode()
PUBLIC = KEY.public_key().public_bytes(serialization.Encoding.PEM,
                                       serialization.PublicFormat.SubjectPublicKeyInfo).decode()

SERVERS = {
    "basic": Behaviour(),
    "post": Behaviour(methods=("client_secret_post",)),
    "key": Behaviour(methods=("private_key_jwt",), public_key=PUBLIC),
    "fixed": Behaviour(metadata="error"),
    "named": Behaviour(),
    "short": Behaviour(seconds=2),
    "worn": Behaviour(uses=1),
    "repeating": Behaviour(repeats=True),
    "step": Behaviour(call_needs="mcp:call"),
    "capped": Behaviour(call_needs="mcp:call"),
}
# What the run says about each of these; none may see the secret.
HOSTILE = {
    "other_resource": (Behaviour(resource="https://mcp.example/mcp"), "of another server"),
    "other_issuer": (Behaviour(said_issuer="https://as.example"), "of another issuer"),
    "plain_issuer": (Behaviour(issuer="http://as.example"), "safe URL"),
    "plain_token": (Behaviour(token_url="http://as.example/token"), "no safe URL"),
    "not_named": (Behaviour(issuer="https://as.example"), "another authorization server"),
    "redirect": (Behaviour(metadata="redirect"), "can't be had"),
    "huge": (Behaviour(metadata="huge"), "too large"),
    "deep": (Behaviour(metadata="deep"), "not a JSON object"),
    "far_metadata": (Behaviour(challenge='Bearer resource_metadata="http://10.0.0.1/x"'),
                     "no safe URL"),
}
# These get the secret, being who they say they are, and still give nothing.
USELESS = {
    "no_token": (Behaviour(no_token=True), "does not accept the token"),
    "never_enough": (Behaviour(never_enough=True), "asked for already"),
    "refusing": (Behaviour(error="invalid_grant"), "invalid_grant"),
    "garbage": (Behaviour(token="deep"), "other than JSON"),
    "token_huge": (Behaviour(token="huge"), "too large"),
    "token_moved": (Behaviour(token="redirect"), "HTTP status 302"),
}
EVERY = {**SERVERS, **{name: entry[0] for name, entry in {**HOSTILE, **USELESS}.items()}}


def entry(servers, name):
    """Of MCP_CONFIG."""
    auth = {"type": "client_credentials", "client_id": ID, "client_secret": "${THE_SECRET}"}
    if name == "key":
        auth = {**auth, "private_key": "${THE_KEY}"}
        del auth["client_secret"]
    elif name == "fixed":
        auth["token_url"] = servers.issuer(name) + "/token"
        auth["scope"] = "mcp:list"
    elif name in ("named", "not_named"):
        auth["issuer"] = servers.issuer(name)
    elif name == "capped":
        auth["scope"] = "mcp:list"
    return {"url": servers.url(name), "auth": auth}


@pytest.fixture(scope="module")
def servers():
    one = Servers(**EVERY)
    yield one
    one.close()


@pytest.fixture(scope="module")
def oauth_stack(servers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("oauth")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(parent.stat().st_mode | 0o011)
    config = folder / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {name: entry(servers, name) for name in EVERY}}))
    config.chmod(0o644)
    one = Stack(env={"MCP_CONFIG": str(config), "THE_SECRET": SECRET, "THE_KEY": PRIVATE,
                     "JOB_MAX_ATTEMPTS": "1"})
    one.user = sign_in(one)
    # Every server is asked for its tools: one run finds out about all of them.
    one.first = one.user.run("Say hello")
    job = one.user.finished(one.first, 90)
    assert job["status"] == "completed", (job, one.log())
    one.first_asked = {name: len(servers.token_requests(name)) for name in EVERY}
    yield one
    one.close()


def call(stack, name, text="hello"):
    """The result of one call of NAME's tool, and the run's events; the others are left alone."""
    message = f"use tool {name}__echo with " + json.dumps({"text": text})
    answer = stack.user.post("/run", json={"message": message, "tools": [name]})
    assert answer.status_code == 200, answer.text
    job_id = answer.json()["job_id"]
    assert stack.user.finished(job_id, 60)["status"] == "completed"
    events = stack.user.events(job_id)
    return of_kind(events, "tool_result")[0].data, events


@pytest.mark.parametrize("name", ["basic", "post", "key", "fixed", "named", "short", "worn", "step"])
def test_client_credentials(oauth_stack, name):
    result, _ = call(oauth_stack, name)
    assert result["is_error"] is False, result
    assert result["content"] == f"{name} says hello"


def test_a_token_is_for_one_server(servers, oauth_stack):
    """Scopes as the server says, the resource as it calls itself, the secret nowhere else."""
    call(oauth_stack, "basic")
    form = servers.token_requests("basic")[0]
    assert form == {"grant_type": "client_credentials", "scope": "mcp:list",
                    "resource": servers.url("basic")}
    assert "client_secret" not in servers.token_requests("key")[0]
    assert not servers.asked_of("fixed", "/.well-known/")


def test_one_token_serves_a_whole_run(servers, oauth_stack):
    before = len(servers.token_requests("basic"))
    call(oauth_stack, "basic")
    assert len(servers.token_requests("basic")) == before + 1


def test_a_token_that_has_ended_is_replaced(servers, oauth_stack):
    before = len(servers.token_requests("worn"))
    result, _ = call(oauth_stack, "worn")
    assert result["content"] == "worn says hello"
    assert len(servers.token_requests("worn")) > before + 1


def test_more_scopes_are_asked_for_when_they_are_missing(servers, oauth_stack):
    result, _ = call(oauth_stack, "step")
    assert result["is_error"] is False, result
    assert [form["scope"] for form in servers.token_requests("step")[-2:]] == [
        "mcp:list", "mcp:list mcp:call"]


def test_a_token_that_comes_back_is_not_passed_on(oauth_stack):
    result, events = call(oauth_stack, "repeating")
    assert result["is_error"] is True
    assert "HTTP 500" in result["content"]
    assert not any("token-" in event.text for event in events)


def test_never_more_than_configured(servers, oauth_stack):
    result, _ = call(oauth_stack, "capped")
    assert result["is_error"] is True
    assert "more scopes than its configuration" in result["content"]
    assert {form["scope"] for form in servers.token_requests("capped")} == {"mcp:list"}


def told(stack, name):
    """What the first run's events say about a server that can't be used."""
    events = stack.user.events(stack.first)
    lines = [event.text for event in events if f'"{name}"' in event.text or f" {name}" in event.text]
    assert lines, f"nothing is said about {name}"
    return "\n".join(lines)


@pytest.mark.parametrize("name", HOSTILE)
def test_an_attackers_server_gets_no_secret(servers, oauth_stack, name):
    assert HOSTILE[name][1] in told(oauth_stack, name)
    assert not servers.token_requests(name)
    assert not any(SECRET in request.body or "Authorization" in request.headers
                   for request in servers.asked_of(name, "/"))


@pytest.mark.parametrize("name", USELESS)
def test_a_token_is_not_asked_for_without_end(oauth_stack, name):
    text = told(oauth_stack, name)
    assert USELESS[name][1] in text
    assert SECRET not in text
    assert 1 <= oauth_stack.first_asked[name] <= 3


def test_nothing_secret_is_written_anywhere(oauth_stack):
    """Logs, rows, events."""
    call(oauth_stack, "basic")
    assert SECRET not in oauth_stack.log()
    assert "token-" not in oauth_stack.log()
    assert PRIVATE.splitlines()[1] not in oauth_stack.log()
    for table in ("job_records", "job_events"):
        rows = oauth_stack.sql(f"SELECT t::text FROM {table} t")
        assert rows
        assert not any(SECRET in row[0] or "-of-basic" in row[0] for row in rows)
