"""Tool servers of others, over stdio and in every era: the oldest and the newest SDK, many tools,
resources, forms. What a run has found out about them is remembered for the next."""
import json
import pathlib

import pytest

import npm_servers
from client import of_kind, sign_in
from stack import Stack

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures"


def open_folder(folder):
    """Tool servers may run as another user."""
    folder.chmod(0o777)
    for parent in (folder.parent, folder.parent.parent):
        parent.chmod(parent.stat().st_mode | 0o011)


def sdk_server(*arguments):
    modules = npm_servers.installed() / "node_modules"
    return {"command": str(npm_servers.node()),
            "args": [str(FIXTURES / "mcp_sdk.mjs"), str(modules), *arguments]}


def oldest_server():
    script = npm_servers.installed() / "node_modules/server-everything-2024/dist/index.js"
    return {"command": str(npm_servers.node()), "args": [str(script)]}


def counted(folder, name, *arguments):
    """A server that notes each of its starts."""
    return {"command": str(FIXTURES / "mcp_eras.py"),
            "args": ["--log-discover", str(folder / name), *arguments]}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("servers")
    open_folder(folder)
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": {
        "counted": counted(folder, "shared"),
        "personal": {**counted(folder, "personal"), "env": {"WHO": "${user.id}"}},
        "growing": counted(folder, "growing", "--public"),
        "oldest": oldest_server(),
        "everything": npm_servers.server("server-everything"),
        "newest": sdk_server("5", "modern"),
        "both": sdk_server("5"),
        "many": sdk_server("120"),
        "broken": {"command": "/nonexistent/server", "args": []},
    }}))
    (folder / "mcp.json").chmod(0o644)
    one = Stack(env={"MCP_CONFIG": str(folder / "mcp.json"), "JOB_MAX_ATTEMPTS": "1"})
    one.folder = folder
    yield one
    one.close()


@pytest.fixture(scope="module")
def user(stack):
    return sign_in(stack)


def starts(stack, name):
    path = stack.folder / name
    return path.read_text().count("discover") if path.exists() else 0


def use(user, tool, arguments=None, between=""):
    """The result of the tool in a run that may use its server alone, or of several of them."""
    calls = tool if isinstance(tool, list) else [(tool, arguments or {})]
    message = f"\n{between}".join(
        f"use tool {name} with {json.dumps(args)}" for name, args in calls)
    answer = user.post("/run", json={"message": message, "tools": [calls[0][0].split("__")[0]]})
    assert answer.status_code == 200, answer.text
    job_id = answer.json()["job_id"]
    job = user.finished(job_id, 90)
    assert job["status"] == "completed", job
    answers = of_kind(user.events(job_id), "tool_result")
    assert [answer.data["name"] for answer in answers] == [name for name, _ in calls]
    return answers if isinstance(tool, list) else answers[0].data


def test_a_server_of_2024(user):
    """It knows 2024-11-05 alone."""
    answer = use(user, "oldest__add", {"a": 19, "b": 23})
    assert not answer["is_error"] and "42" in answer["content"]


def test_a_server_of_the_stateless_era(user):
    """The official SDK, which refuses initialize."""
    answer = use(user, "newest__tool_3", {"text": "hello"})
    assert (answer["is_error"], answer["content"]) == (False, "3 hello")


def test_a_server_of_both_eras(user):
    assert use(user, "both__tool_4", {"text": "hello"})["content"] == "4 hello"


def test_a_server_of_over_a_hundred_tools(user):
    assert use(user, "many__tool_119", {"text": "hello"})["content"] == "119 hello"


def test_a_form_is_answered_with_its_defaults(user):
    answer = use(user, "newest__where")
    assert json.loads(answer["content"]) == {"action": "accept", "content": {"city": "Ghent"}}


def test_resources(user):
    listed, read = use(user, [("newest__list_resources", {}),
                              ("newest__read_resource", {"uri": "note://motto"})])
    assert "motto: note://motto, text/plain" in listed.data["content"]
    assert "Festina lente" in read.data["content"]
    listed = use(user, "everything__list_resources")
    assert not listed["is_error"] and "template" in listed["content"]


def test_an_image_is_described(user):
    answer = use(user, "everything__get-tiny-image")
    assert "[image, image/png, " in answer["content"]
    assert len(answer["content"]) < 1000


def test_tools_that_come_during_a_run(user):
    """They are offered with the next question: the model calls only what is offered."""
    for server in ("newest", "both"):
        more, added = use(user, [(f"{server}__more", {}), (f"{server}__added", {})],
                          between="then ")
        assert more.data["content"] == "added one"
        assert added.data["content"] == "here I am"


def test_a_run_that_calls_no_tool_starts_no_server(user, stack):
    user.done("Say hello")
    before = {name: starts(stack, name) for name in ("shared", "personal")}
    assert min(before.values()) >= 1
    user.done("Say hello")
    assert {name: starts(stack, name) for name in before} == before
    assert use(user, "counted__echo", {"text": "called"})["content"] == "called"
    assert starts(stack, "shared") == before["shared"] + 1
    assert starts(stack, "personal") == before["personal"]


def test_lists_that_may_differ_are_kept_for_each_user(user, stack):
    """The servers say that their lists are private, or their configuration names the user."""
    user.done("Say hello")
    before = starts(stack, "personal")
    other = sign_in(stack)
    other.done("Say hello")
    assert starts(stack, "personal") == before + 1
    user.done("Say hello")
    assert starts(stack, "personal") == before + 1


def test_tools_that_a_users_calls_have_made_are_theirs_alone(user, stack):
    more, grown = use(user, [("growing__grow", {}), ("growing__grown", {})], between="then ")
    assert more.data["content"] == "grown" and "grown" in grown.data["content"]
    other = sign_in(stack)
    job_id = other.run("use tool growing__grown with {}")
    assert other.finished(job_id, 60)["status"] == "completed"
    assert not of_kind(other.events(job_id), "tool_call"), "the model calls what it is offered"


def test_a_server_that_cannot_start_is_told_each_time(user):
    for _ in range(2):
        job_id = user.run("Say hello")
        assert user.finished(job_id, 60)["status"] == "completed"
        told = " ".join(event.text for event in user.events(job_id))
        assert "The tool server broken is not available" in told
