"""The tutorial and the guides: who follows them, command by command, sees what they say."""
import contextlib
import json
import subprocess

import pytest

import npm_servers
from guides import blocks, carry_out, place
from stack import Stack, slow, wait_until


def json_in(text):
    """The JSON objects that begin a line."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while (at := text.find("\n{", at) + 1) > 0:
        with contextlib.suppress(ValueError):
            found.append(decoder.raw_decode(text, at)[0])
    return found


def test_the_tutorial(stack, tmp_path):
    """All but its end, over a stack that is up."""
    up, token, by_curl, by_command, kill, down = blocks("tutorial.md")
    assert (up, down) == ("./dev up -d\n", "./dev down\n")
    said = carry_out(place(tmp_path, stack), stack, [token, by_curl, by_command])
    assert stack.monitor_token in said.splitlines()
    assert "event: tool_call" in said and "gmail_list_messages" in said
    (job,) = [one for one in json_in(said) if "job_id" in one]
    assert job["status"] == "completed" and "Found 5 messages" in job["result"]
    assert "kill -9" in kill and "worker-1" in kill


@pytest.fixture
def bare():
    """A run folder in which nothing is up."""
    with contextlib.closing(Stack(start=False)) as one:
        yield one


@pytest.mark.once
def test_up_kill_and_down(bare, tmp_path):
    """The rest of the tutorial."""
    said = carry_out(place(tmp_path, bare), bare, blocks("tutorial.md"))
    assert said.count("Found 5 messages") > 1
    assert bare.processes() == []


@pytest.mark.skipif(slow() > 1, reason="nothing of ours runs in it")
def test_the_same_in_javascript(tmp_path):
    """It says what the one in Python does, whatever it is asked."""
    python = next(block for block in blocks("own-mcp-server.md") if "stock.py" in block)
    subprocess.run(["bash", "-ec", python], cwd=tmp_path, check=True)
    (tmp_path / "stock.js").write_text(blocks("own-mcp-server.md", "js")[0])
    asked = [("initialize", {"protocolVersion": "2025-11-25"}), ("server/discover", {}),
             ("tools/list", {}), ("ping", {}),
             *(("tools/call", {"name": "stock", "arguments": {"item": item}})
               for item in ("pears", "figs"))]
    lines = [{"method": "notifications/initialized"},
             *({"id": number, "method": method, "params": params}
               for number, (method, params) in enumerate(asked))]
    text = "".join(json.dumps({"jsonrpc": "2.0", **line}) + "\n" for line in lines)
    said = []
    for command in (["/usr/bin/python3", "my-tools/stock.py"], [npm_servers.node(), "stock.js"]):
        done = subprocess.run(command, cwd=tmp_path, input=text, text=True, capture_output=True,
                              timeout=30, check=True)
        said.append([json.loads(line) for line in done.stdout.splitlines()])
    assert said[0] == said[1]
    assert len(said[0]) == 6 and said[0][1]["error"]["code"] == -32601
    texts = [one["result"]["content"][0]["text"] for one in said[0][-2:]]
    assert texts == ["pears: 0", "figs: unknown"]


@pytest.mark.once
def test_own_server_and_own_model(bare, stack, tmp_path):
    """A server is written, tried alone, configured, called; then the endpoint is another one, and
    its model's name is what was asked for."""
    folder = place(tmp_path, bare)
    said = carry_out(folder, bare, blocks("own-mcp-server.md"))
    alone, *_ = said.splitlines()
    assert json.loads(alone)["result"]["content"][0]["text"] == "apples: 12"
    assert said.count("apples: 12") > 1
    assert len((folder / "my-tools" / "stock.py").read_text().splitlines()) < 35
    theirs = [block.replace("http://localhost:11434", stack.sandbox_url)
              for block in blocks("own-model.md")]
    assert theirs != blocks("own-model.md")
    said = carry_out(folder, bare, theirs)
    assert set(said.splitlines()[-1:]) == {"qwen3"}
    bare.dev("down")
    wait_until(lambda: bare.processes() == [], 20, "all has ended")
