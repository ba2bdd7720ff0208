"""An attacker's MCP server over HTTP, with our client on its own: whatever it answers, the client ends
by itself, in bounded memory, and goes nowhere else."""
import http.server
import json
import os
import subprocess
import tempfile
import threading

import pytest

from client import sign_in
from stack import ROOT, slow

CLIENT = os.path.join(os.environ.get("MCPBUS_BIN", ROOT / "build" / "bin"), "mcpbus-mcp-client")
MEMORY_MAX = (300 if slow() == 1 else 3000) << 10  # KiB; a sanitizer keeps what is freed

TOOL = {"name": "echo", "description": "echo", "inputSchema": {"type": "object"}}


class Handler(http.server.BaseHTTPRequestHandler):
    """tools/list is answered as the path says, everything else well; 2025-11-25."""
    protocol_version = "HTTP/1.1"
    elsewhere = None
    counts = None

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(405, b"")

    def do_DELETE(self):
        self.answer(200, b"")

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        data = self.rfile.read(length)
        if len(data) < length:  # the client has left
            self.close_connection = True
            return
        body = json.loads(data)
        method = body.get("method", "")
        self.counts[method] = self.counts.get(method, 0) + 1
        self.id = body.get("id")
        if method == "initialize":
            self.result({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                         "serverInfo": {"name": "evil", "version": "1"}})
        elif method == "tools/list":
            try:
                getattr(self, self.path.strip("/"))(body)
            except ConnectionError:
                self.close_connection = True
        elif method == "tools/call":
            self.result({"content": [{"type": "text", "text": "done"}]})
        elif method == "server/discover":
            self.answer(404, b"")
        else:
            self.answer(202, b"")

    def answer(self, status, data, **headers):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def message(self, result):
        return json.dumps({"jsonrpc": "2.0", "id": self.id, "result": result})

    def result(self, result):
        self.answer(200, self.message(result).encode())

    def stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()

    def event(self, message):
        self.wfile.write(b"data: " + json.dumps(message).encode() + b"\n\n")

    # What it does:

    def values(self, _):
        """Three bytes a value; as a tree they would take a hundred times the room."""
        self.answer(200, self.message("@").replace('"@"', "[" + "{}," * 1300000 + "{}]").encode())

    def values_in_tools(self, _):
        for_each = {**TOOL, "inputSchema": {"enum": ["@"]}}
        text = self.message({"tools": [for_each], "nextCursor": "more"})
        self.answer(200, text.replace('"@"', "{}," * 80000 + "{}").encode())

    def deep(self, _):
        self.answer(200, self.message("@").replace('"@"', "[" * 1000000 + "]" * 1000000).encode())

    def long_text(self, _):
        self.result({"tools": [{**TOOL, "description": "x" * (1 << 20)}], "nextCursor": "more"})

    def cursors(self, _):
        self.result({"tools": [TOOL], "nextCursor": "x" * (1 << 18)})

    def notifications(self, _):
        """More than a stream may have."""
        self.stream()
        message = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x" * 900}}
        for _ in range(100000):
            self.event(message)

    def pings(self, _):
        self.stream()
        for number in range(20000):
            self.event({"jsonrpc": "2.0", "id": number, "method": "ping"})
        self.event(json.loads(self.message({"tools": [TOOL]})))

    def forms(self, _):
        self.stream()
        fields = {f"f{i}": {"type": "string", "default": "x" * 1000} for i in range(200)}
        for number in range(400):
            self.event({"jsonrpc": "2.0", "id": number, "method": "elicitation/create", "params": {
                "message": "?", "requestedSchema": {"type": "object", "properties": fields}}})
        self.event(json.loads(self.message({"tools": [TOOL]})))

    def head(self, _):
        self.answer(200, b"{}", **{f"X-{i}": "x" * 8000 for i in range(64)})

    def redirect(self, _):
        self.answer(307, b"", Location=self.elsewhere)

    def redirect_round(self, _):
        self.answer(307, b"", Location="/redirect_round")

    def names(self, _):
        names = ["a\nb", "a\r\nX-Evil: 1", "\u202e", "x" * 10000, "", "__proto__", "ok"]
        self.result({"tools": [{**TOOL, "name": name} for name in names] + [7, None, [], {}]})

    def session(self, _):
        self.answer(404, b"")


def serve(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


@pytest.fixture
def elsewhere():
    """A server that only this host can reach; what came to it."""
    asked = []

    class Inner(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            asked.append(self.path)
            self.send_error(404)

    server = serve(Inner)
    server.asked = asked
    yield server
    server.shutdown()
    server.server_close()


def run(handler, path):
    """The client's exit status, output and memory (KiB)."""
    server = serve(handler)
    try:
        with tempfile.TemporaryFile() as out:
            process = subprocess.Popen(
                [CLIENT, f"http://127.0.0.1:{server.server_port}/{path}"], stdin=subprocess.DEVNULL,
                stdout=out, stderr=subprocess.STDOUT,
                env={**os.environ, "MCP_CONFORMANCE_SCENARIO": "tools_call"})
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            return process.returncode, out.read().decode(errors="replace"), usage.ru_maxrss
    finally:
        server.shutdown()
        server.server_close()


# What the client does about each: it gives up, or takes what there is.
GIVES_UP = ["values", "deep", "notifications", "head", "redirect", "redirect_round", "session"]
TAKES = ["values_in_tools", "long_text", "cursors", "pings", "forms", "names"]
SLOW = ["values_in_tools", "long_text", "cursors", "forms", "notifications"]


@pytest.mark.parametrize("path", [
    pytest.param(path, marks=pytest.mark.slow if path in SLOW else ()) for path in GIVES_UP + TAKES])
def test_a_hostile_server(path, elsewhere):
    handler = type("Evil", (Handler,), {
        "elsewhere": f"http://127.0.0.1:{elsewhere.server_port}/secret", "counts": {}})
    status, output, memory = run(handler, path)
    print(output[-2000:], memory, handler.counts)
    assert status in (0, 1), "no signal, no sanitizer's report"
    assert (status == 1) == (path in GIVES_UP) or path in ("pings", "forms")
    assert memory < MEMORY_MAX
    assert not elsewhere.asked
    assert handler.counts["tools/list"] <= 65
    assert handler.counts["initialize"] <= 3


@pytest.mark.slow
def test_a_run_with_lists_that_are_too_large(new_stack, tmp_path):
    """What can't be remembered, nor all be offered, is used all the same."""
    command = str(ROOT / "tests" / "fixtures" / "mcp_eras.py")
    config = tmp_path / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {
        "small": {"command": command, "args": []}, "fat": {"command": command, "args": ["--fat"]},
        "wide": {"command": command, "args": ["--wide"]}}}))
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o011)
    config.chmod(0o644)
    user = sign_in(new_stack(env={"MCP_CONFIG": str(config), "JOB_MAX_ATTEMPTS": "1"}))
    for _ in range(2):
        job = user.done('use tool small__echo with {"text": "still here"}')
        assert "still here" in job["result"]
