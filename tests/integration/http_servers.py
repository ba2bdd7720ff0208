"""MCP servers over Streamable HTTP that the tests run in their own process: they hold the client to
every header and to the order of things, and misbehave where a test asks for it."""
import base64
import http.server
import json
import threading
import time
import uuid

SCHEMA = {"type": "object", "properties": {
    "text": {"type": "string"},
    "region": {"type": "string", "x-mcp-header": "Region"},
    "level": {"type": "integer", "x-mcp-header": "Level"}}}
TOOLS = [{"name": name, "description": name, "inputSchema": SCHEMA} for name in (
    "echo", "slow", "cut", "endless", "huge", "garbage", "silent", "leak",
    "complain")]
BAD_TOOL = {"name": "bad", "description": "may not be offered", "inputSchema": {
    "type": "object", "properties": {"a": {"type": "array", "x-mcp-header": "A"}}}}


def plain(value):
    """What a header value stands for."""
    if value and value.startswith("=?base64?") and value.endswith("?="):
        return base64.b64decode(value[9:-2]).decode()
    return value


class Server:
    """One endpoint, of one era. `violations`: what the client did wrong; `calls`: the tools called, in
    order; `requests`: the methods asked for, GET and DELETE among them."""

    def __init__(self, modern, key="none"):
        self.modern, self.key = modern, key
        self.violations, self.calls, self.requests = [], [], []
        self.sessions, self.lose_next_call = {}, False
        self.streaming = False
        self.closed = threading.Event()
        server = self

        class Handler(_Handler):
            owner = server

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://localhost:{self.http.server_port}/mcp"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def expect(self, what, good):
        if not good:
            self.violations.append(what)

    def close(self):
        self.closed.set()
        self.http.shutdown()
        self.http.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner = None

    def log_message(self, *_):
        pass

    # What goes out

    def answer(self, status, body=None, **headers):
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if body is not None:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def begin_stream(self):
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()

    def event(self, message, event_id=None, retry=None):
        lines = [f"id: {event_id}"] if event_id else []
        lines += [f"retry: {retry}"] if retry is not None else []
        lines.append("data: " + (json.dumps(message) if message else ""))
        self.wfile.write(("\n".join(lines) + "\n\n").encode())
        self.wfile.flush()

    def result(self, message, result):
        if self.owner.modern:
            result = {"resultType": "complete", **result}
        return {"jsonrpc": "2.0", "id": message["id"], "result": result}

    # What comes in

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        message = json.loads(body)
        owner, method = self.owner, message.get("method", "(answer)")
        owner.requests.append(method)
        owner.expect(f"{method}: Accept", self.headers["Accept"]
                     == "application/json, text/event-stream")
        owner.expect(f"{method}: Content-Type", self.headers["Content-Type"] == "application/json")
        owner.expect(f"{method}: X-Key", self.headers["X-Key"] == owner.key)
        (self.post_modern if owner.modern else self.post_old)(method, message)

    def post_modern(self, method, message):
        params = message["params"]
        meta = params.get("_meta", {})
        names, expect = self.headers, self.owner.expect
        version = meta.get("io.modelcontextprotocol/protocolVersion")
        expect(f"{method}: version", names["MCP-Protocol-Version"] == version == "2026-07-28")
        expect(f"{method}: capabilities", "io.modelcontextprotocol/clientCapabilities" in meta)
        expect(f"{method}: Mcp-Method", names["Mcp-Method"] == method)
        expect(f"{method}: no session", names["Mcp-Session-Id"] is None)
        expect(f"{method}: Mcp-Name", plain(names["Mcp-Name"]) == params.get("name"))
        arguments = params.get("arguments", {})
        region, level = arguments.get("region"), arguments.get("level")
        expect(f"{method}: region", plain(names["Mcp-Param-Region"]) == region)
        expect(f"{method}: level", names["Mcp-Param-Level"]
               == (None if level is None else str(level)))
        if method == "server/discover":
            self.answer(200, self.result(message, {
                "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
                "serverInfo": {"name": "strict", "version": "1"}, "ttlMs": 0,
                "cacheScope": "private"}))
        else:
            self.method(method, message)

    def post_old(self, method, message):
        owner = self.owner
        if method == "server/discover":
            self.answer(400, {"jsonrpc": "2.0", "id": None, "error": {
                "code": -32000, "message": "Bad Request: Server not initialized"}})
            return
        session = self.headers["Mcp-Session-Id"]
        if method == "initialize":
            owner.expect("initialize: no session", session is None)
            session = uuid.uuid4().hex
            owner.sessions[session] = "new"
            self.answer(200, self.result(message, {
                "protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                "serverInfo": {"name": "strict", "version": "1"}}), Mcp_Session_Id=session)
            return
        if method == "tools/call" and owner.lose_next_call:
            owner.lose_next_call = False
            owner.sessions.pop(session, None)
        if session not in owner.sessions:
            self.answer(404, {"jsonrpc": "2.0", "id": None, "error": {
                "code": -32001, "message": "Session not found"}})
            return
        owner.expect(f"{method}: version", self.headers["MCP-Protocol-Version"] == "2025-06-18")
        owner.expect(f"{method}: Mcp-Method", self.headers["Mcp-Method"] is None)
        if method == "notifications/initialized":
            owner.sessions[session] = "ready"
        owner.expect(f"{method}: after initialized", owner.sessions[session] == "ready")
        if "id" in message and "method" in message:
            self.method(method, message)
        else:
            self.answer(202)

    def do_GET(self):
        owner = self.owner
        owner.requests.append("GET")
        last = self.headers["Last-Event-ID"]
        owner.expect("GET: era", not owner.modern)
        owner.expect("GET: Accept", self.headers["Accept"] == "text/event-stream")
        owner.expect("GET: session", owner.sessions.get(self.headers["Mcp-Session-Id"]) == "ready")
        if not last:
            self.answer(405)
            return
        request, step = last.split("-")
        self.begin_stream()
        if int(step) < 3:  # not yet: ask again
            self.event(None, f"{request}-{int(step) + 1}")
        else:
            self.event(self.result({"id": int(request)}, text("resumed")))

    def do_DELETE(self):
        owner = self.owner
        owner.requests.append("DELETE")
        owner.expect("DELETE: a session", self.headers["Mcp-Session-Id"] in owner.sessions)
        owner.sessions.pop(self.headers["Mcp-Session-Id"], None)
        self.answer(200)

    def method(self, method, message):
        if method == "tools/list":
            tools = TOOLS + [BAD_TOOL] * self.owner.modern
            more = {"ttlMs": 0, "cacheScope": "private"} if self.owner.modern else {}
            self.answer(200, self.result(message, {"tools": tools, **more}))
        elif method == "tools/call":
            name = message["params"]["name"]
            self.owner.calls.append(name)
            getattr(self, f"tool_{name}")(message)
        else:
            self.answer(404 if self.owner.modern else 200, {
                "jsonrpc": "2.0", "id": message["id"],
                "error": {"code": -32601, "message": "Method not found"}})

    # The tools

    def tool_echo(self, message):
        self.answer(200, self.result(message, text(message["params"]["arguments"]["text"])))

    def tool_slow(self, message):
        """Progress on a stream that closes; the older era has it polled to the end."""
        token = message["params"]["_meta"]["progressToken"]
        self.begin_stream()
        self.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {
            "progressToken": token, "progress": 1, "total": 2}}, f"{message['id']}-1", 30)
        if self.owner.modern:
            self.event(self.result(message, text("streamed")))

    def tool_cut(self, _):
        self.close_connection = True

    def tool_silent(self, _):
        self.owner.closed.wait(120)
        self.close_connection = True

    def tool_endless(self, message):
        """Never an answer, and a word now and then."""
        token = message["params"]["_meta"]["progressToken"]
        self.begin_stream()
        self.owner.streaming = True
        try:
            while not self.owner.closed.is_set():
                self.event({"jsonrpc": "2.0", "method": "notifications/progress",
                            "params": {"progressToken": token, "progress": time.monotonic()}})
                time.sleep(0.05)
        finally:
            self.owner.streaming = False

    def tool_huge(self, _):
        self.begin_stream()
        self.wfile.write(b"data: ")
        while True:
            self.wfile.write(b"x" * 65536)

    def tool_garbage(self, _):
        self.answer(200, ["no", {"jsonrpc": "2.0"}, 1])

    def tool_leak(self, _):
        """Says back what it was sent, as bad error pages do."""
        self.answer(500, {"error": {"message": f"bad key {self.headers['X-Key']}"}})

    def tool_complain(self, message):
        """The same, in an error of JSON-RPC."""
        self.answer(200, {"jsonrpc": "2.0", "id": message["id"], "error": {
            "code": -32000, "message": f"bad key {self.headers['X-Key']}"}})

    def handle(self):
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            pass  # the client has gone, as it should


def text(value):
    return {"content": [{"type": "text", "text": value}]}
