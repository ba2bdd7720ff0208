"""Stand-ins for a model that are not ours: aimock from npm, and endpoints in this process that speak
the dialects of other providers. What they are sent is held against the rules of OpenAI's API."""
import http.server
import json
import pathlib
import re
import subprocess
import threading

from client import http as call
import npm_servers
from stack import wait_until

NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
ROLES = ("system", "developer", "user", "assistant", "tool")


def problems_of_calls(message, following):
    """An assistant's calls, each answered once, in order, by the messages right behind it."""
    calls = message["tool_calls"]
    ids = [call["id"] for call in calls]
    if not calls or len(set(ids)) != len(ids) or any(not 0 < len(one) <= 40 for one in ids):
        yield f"ids {ids}"
    answered = [one.get("tool_call_id") for one in following[:len(ids)]
                if one["role"] == "tool" and isinstance(one["content"], str)]
    if answered != ids:
        yield f"{ids} answered by {answered}"
    if following[len(ids):] and following[len(ids)]["role"] == "tool":
        yield "an answer too many"
    for call in calls:
        function = call["function"]
        if call["type"] != "function" or not NAME.match(function["name"]):
            yield f"call {call}"
        if not isinstance(json.loads(function["arguments"]), dict):
            yield f"arguments {function['arguments']}"


def problems_of_messages(messages):
    behind_calls = 0
    for index, message in enumerate(messages):
        role, content = message["role"], message.get("content")
        if role not in ROLES:
            yield f"role {role}"
        if role == "tool":
            behind_calls -= 1
            if behind_calls < 0:
                yield "an answer to nothing"
            continue
        calls = message.get("tool_calls")
        behind_calls = len(calls or [])
        if calls is not None:
            yield from problems_of_calls(message, messages[index + 1:])
        elif not isinstance(content, str):
            yield f"content {content!r} of {role}"


def problems_of_tools(tools):
    names = [tool["function"]["name"] for tool in tools]
    if not 1 <= len(tools) <= 128 or len(set(names)) != len(names):
        yield f"{len(tools)} tools"
    for tool in tools:
        function = tool["function"]
        if tool["type"] != "function" or not NAME.match(function["name"]):
            yield f"tool {function['name']}"
        if len(function.get("description", "")) > 1024:
            yield f"the description of {function['name']}"
        if function["parameters"]["type"] != "object":
            yield f"the schema of {function['name']}"


def problems(request):
    """What OpenAI would refuse in this chat completion request; a list of texts."""
    found = list(problems_of_messages(request["messages"]))
    if "tools" in request:
        found += problems_of_tools(request["tools"])
    if "stream_options" in request and not request.get("stream"):
        found.append("stream_options without stream")
    if "tool_choice" in request and "tools" not in request:
        found.append("tool_choice without tools")
    return found


class Aimock:
    """aimock as a process: answers by fixtures, added while it runs, and keeps a journal."""

    def __init__(self, folder, fixtures):
        file = pathlib.Path(folder) / "fixtures.json"
        file.write_text(json.dumps({"fixtures": fixtures}))
        self.log = open(pathlib.Path(folder) / "aimock.log", "w+", encoding="utf-8")
        script = npm_servers.installed() / "node_modules" / "@copilotkit" / "aimock" / "dist"
        self.process = subprocess.Popen(
            [npm_servers.node(), script / "cli.js", "--port", "0", "--fixtures", file, "--strict",
             "--validate-on-load", "--chunk-size", "7"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT, cwd=folder)
        try:
            self.url = wait_until(self._listening, 60, "aimock listens")
        except BaseException:
            self.close()
            raise

    def _listening(self):
        self.log.seek(0)
        text = self.log.read()
        assert self.process.poll() is None, text
        found = re.search(r"listening on (http://[0-9.:]+)", text)
        return found and found.group(1)

    def journal(self):
        """The chat completion requests so far: [{method, path, headers, body, response}]."""
        entries = call("GET", self.url + "/__aimock/journal").json()
        return [one for one in entries if one["path"].split("?")[0].endswith("/chat/completions")]

    def requests_of(self, text):
        """Bodies of the requests whose last user message holds the text, in order."""
        return [one["body"] for one in self.journal() if text in last_user(one["body"])]

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def last_user(request):
    return [one["content"] for one in request["messages"] if one["role"] == "user"][-1]


def turn(request):
    """How often the assistant has spoken since the user did."""
    roles = [one["role"] for one in request["messages"]]
    return roles[len(roles) - roles[::-1].index("user"):].count("assistant")


class Endpoint:
    """One HTTP server for many dialects: `dialects` is {model: function(endpoint, request, handler)},
    which answers. `requests` by model; `problems` found in any."""

    def __init__(self, dialects):
        self.dialects, self.requests, self.problems = dialects, {}, []
        self.stopped = threading.Event()
        endpoint = self

        class Handler(_Handler):
            owner = endpoint

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def count(self, model):
        return len(self.requests.get(model, []))

    def close(self):
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner = None

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        owner, model = self.owner, request["model"]
        owner.requests.setdefault(model, []).append(request)
        owner.problems += problems(strip_extra(request))
        owner.dialects[model](owner, request, self)

    def json(self, status, body, headers=()):
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (("Content-Type", "application/json"), *headers):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def events(self, *events, hold=False):
        """Each a chunk, or a text that is sent as it is. `hold`: the connection stays open."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for event in events:
            text = event if isinstance(event, str) else f"data: {json.dumps(event)}\n\n"
            self.wfile.write(text.encode())
            self.wfile.flush()
        if hold:
            self.owner.stopped.wait()
        self.close_connection = True

    def log_message(self, *_):
        pass


def strip_extra(request):
    """The request without what only Gemini knows."""
    return {**request, "messages": [
        {**one, "tool_calls": [{k: v for k, v in call.items() if k != "extra_content"}
                               for call in one["tool_calls"]]} if "tool_calls" in one else one
        for one in request["messages"]]}
