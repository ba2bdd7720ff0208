"""mcpbus-google as an MCP server: both eras, progress, cancellation, resources."""
import json
import subprocess

import pytest

from google_host import MODERN, Host, Sandbox, environment, program

META = "io.modelcontextprotocol/"
SCOPES = ["gmail.modify", "drive", "calendar.events"]
LABELS = "GET /gmail/v1/users/me/labels"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    sandbox = Sandbox(tmp_path_factory.mktemp("sandbox"))
    yield sandbox
    sandbox.stop()


@pytest.fixture(scope="module")
def env(sandbox):
    return environment(sandbox.base, sandbox.sign_in("mcp@example.com", SCOPES), SCOPES)


@pytest.fixture
def host(env):
    with Host(env) as host:
        yield host


def test_discovery(host):
    found = host.request("server/discover")
    assert found["supportedVersions"] == ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26",
                                          "2024-11-05"]
    assert set(found["capabilities"]) == {"tools", "resources"}
    assert "instructions" in found and found["resultType"] == "complete"
    assert found["ttlMs"] > 0 and found["cacheScope"] == "private"
    assert found["_meta"][META + "serverInfo"]["name"] == "mcpbus-google"


def test_results_of_the_newer_era(host):
    listed = host.request("tools/list")
    assert listed["resultType"] == "complete" and listed["cacheScope"] == "private"
    assert [tool["name"] for tool in listed["tools"]] == [
        tool["name"] for tool in host.request("tools/list")["tools"]]
    called = host.request("tools/call", name="gmail_list_labels", arguments={})
    assert called["resultType"] == "complete" and "ttlMs" not in called
    assert called["_meta"][META + "serverInfo"]["version"]


@pytest.mark.parametrize("method, meta, code", [
    ("tools/list", {META + "protocolVersion": "2027-01-01"}, -32022),
    ("server/discover", {META + "protocolVersion": "2025-11-25"}, -32022),
    ("tools/list", {META + "clientCapabilities": None}, -32602),
    ("tools/list", {META + "protocolVersion": None}, -32602),
    ("ping", {}, -32601), ("initialize", {}, -32601), ("subscriptions/listen", {}, -32601)])
def test_refusals_of_the_newer_era(env, method, meta, code):
    with Host(env, modern=False) as host:
        kept = {name: value for name, value in {**MODERN, **meta}.items() if value is not None}
        error = host.wait(host.send(method, meta=kept))["error"]
        assert error["code"] == code
        if code == -32022:
            assert "2026-07-28" in error["data"]["supported"]
            assert error["data"]["requested"] == meta[META + "protocolVersion"]


def test_the_older_era(env):
    with Host(env, modern=False) as host:
        assert host.wait(host.send("server/discover"))["error"]["code"] == -32601
        hello = host.request("initialize", protocolVersion="2025-06-18", capabilities={},
                             clientInfo={"name": "old", "version": "1"})
        assert hello["protocolVersion"] == "2025-06-18"
        assert "resources" in hello["capabilities"] and "_meta" not in hello
        host.write({"method": "notifications/initialized"})
        listed = host.request("tools/list")
        assert "resultType" not in listed and "ttlMs" not in listed
        assert host.request("ping") == {}


def test_both_eras_side_by_side(env):
    with Host(env, modern=False) as host:
        old = host.request("tools/list")
        new = host.wait(host.send("tools/list", meta=MODERN))["result"]
        assert old["tools"] == new["tools"] and "resultType" not in old


def test_tools_are_well_described(host):
    for tool in host.tools().values():
        schema, hints = tool["inputSchema"], tool["annotations"]
        assert schema["type"] == "object" and schema["additionalProperties"] is False
        assert set(schema.get("required", [])) <= set(schema["properties"])
        assert all(item["description"] for item in schema["properties"].values())
        assert set(hints) == {"title", "readOnlyHint", "destructiveHint", "idempotentHint",
                              "openWorldHint"}
        assert not (hints["readOnlyHint"] and hints["destructiveHint"])
    hints = {name: tool["annotations"] for name, tool in host.tools().items()}
    assert hints["gmail_list_messages"]["readOnlyHint"]
    assert hints["gmail_delete_message"]["destructiveHint"]
    assert not hints["gmail_send_message"]["idempotentHint"]
    assert hints["gmail_modify_labels"]["idempotentHint"]


# Resources


def test_resources(host):
    template, = host.request("resources/templates/list")["resourceTemplates"]
    assert template["uriTemplate"] == "gdrive:///{file_id}"
    assert host.request("resources/list")["resources"] == []


@pytest.mark.parametrize("modern, code", [(True, -32602), (False, -32002)])
def test_no_such_resource(env, modern, code):
    with Host(env, modern=modern) as host:
        for uri in ("gdrive:///nothing", "file:///etc/passwd", "gdrive:///../x", "gdrive:///"):
            error = host.wait(host.send("resources/read", uri=uri))["error"]
            assert error["code"] == code and error["data"] == {"uri": uri}
        assert host.wait(host.send("resources/read"))["error"]["code"] == -32602


def test_resources_take_their_scope(sandbox):
    tokens = sandbox.sign_in("nodrive@example.com", ["gmail.readonly"])
    with Host(environment(sandbox.base, tokens, ["gmail.readonly"])) as host:
        assert "resources" not in host.request("server/discover")["capabilities"]
        assert host.request("resources/templates/list")["resourceTemplates"] == []
        assert "error" in host.wait(host.send("resources/read", uri="gdrive:///abc"))


# Progress and cancellation


def test_progress(sandbox, env, host):
    tokens = {"access_token": env["GOOGLE_ACCESS_TOKEN"]}
    for number in range(100):
        sandbox.call(tokens, "POST", "/gmail/v1/users/me/messages",
                     json={"raw": "RnJvbTogYUBiLmV4YW1wbGUNCg0KeA"})
    host.wait(host.send("tools/call", meta={"progressToken": "p1"}, name="gmail_list_messages",
                        arguments={"max_results": 120}))
    told = [n["params"] for n in host.notifications if n["method"] == "notifications/progress"]
    assert [note["progress"] for note in told] == [50, 100]
    assert all(note["progressToken"] == "p1" and note["total"] == 120 for note in told)
    host.notifications.clear()
    host.tool("gmail_list_messages", max_results=120)
    assert host.notifications == []


def test_a_call_is_cancelled_while_google_has_yet_to_answer(sandbox, host):
    sandbox.forget_requests()
    sandbox.fail("/labels", hold=True)
    number = host.send("tools/call", name="gmail_list_labels", arguments={})
    sandbox.wait_for(LABELS)
    host.write({"method": "notifications/cancelled",
                "params": {"requestId": number, "reason": "no longer wanted"}})
    later = host.send("tools/list")
    assert host.next()["id"] == later
    host.tool("gmail_list_labels")


def test_a_call_is_cancelled_before_its_turn(sandbox, host):
    sandbox.forget_requests()
    sandbox.fail("/labels", hold=True)
    first = host.send("tools/call", name="gmail_list_labels", arguments={})
    sandbox.wait_for(LABELS)
    second = host.send("tools/call", name="gmail_send_message",
                       arguments={"to": "a@b.example", "subject": "x", "body": "x"})
    third = host.send("tools/list")
    for number in (second, first, "unknown"):
        host.write({"method": "notifications/cancelled", "params": {"requestId": number}})
    assert host.next()["id"] == third
    assert sandbox.seen() == [LABELS]


def test_pauses_are_cancelled_too(sandbox, host):
    sandbox.forget_requests()
    sandbox.fail("/labels", 429, reason="rateLimitExceeded", retry_after=14)
    number = host.send("tools/call", name="gmail_list_labels", arguments={})
    sandbox.wait_for(LABELS)
    host.write({"method": "notifications/cancelled", "params": {"requestId": number}})
    later = host.send("tools/list")
    assert host.next()["id"] == later
    assert sandbox.seen() == [LABELS]


def test_the_end_of_the_input_in_the_middle(env):
    lines = [{"jsonrpc": "2.0", "id": n, "method": "tools/call",
              "params": {"name": "gmail_list_labels", "arguments": {}}} for n in range(5)]
    done = subprocess.run([program("mcpbus-google")], env=env, capture_output=True, check=False,
                          input="\n".join(map(json.dumps, lines)).encode(), timeout=90)
    assert done.returncode == 0
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == list(range(5))


def test_input_from_a_file(env, tmp_path):
    path = tmp_path / "input"
    path.write_text('{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
    for source, count in ((path, 1), ("/dev/null", 0)):
        with open(source, "rb") as stream:
            done = subprocess.run([program("mcpbus-google")], env=env, stdin=stream, timeout=90,
                                  capture_output=True, check=False)
        assert done.returncode == 0 and len(done.stdout.splitlines()) == count
