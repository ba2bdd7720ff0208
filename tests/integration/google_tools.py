"""mcpbus-google over stdio against mcpbus-sandbox: a sandbox, its accounts, and calls of tools."""
import base64
import collections
import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import re
import subprocess
import threading
import time
import urllib.parse

import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
AUTH = "https://www.googleapis.com/auth/"
CLIENT = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}
VERIFIER = "v" * 43
BACK = "http://localhost:9/back"


def program(name):
    return str(pathlib.Path(os.environ.get("MCPBUS_BIN", str(ROOT / "build" / "bin"))) / name)


@contextlib.contextmanager
def running_sandbox(folder):
    """Yields its address."""
    log = folder / "sandbox.log"
    env = {"PATH": os.environ["PATH"], "SANDBOX_PORT": "0", "LOG_FORMAT": "text"}
    with log.open("w") as out:
        process = subprocess.Popen([program("mcpbus-sandbox")], stderr=out, stdout=out, env=env,
                                   cwd=folder)
    deadline = time.monotonic() + 60
    while not (port := re.search(r"\bport=(\d+)", log.read_text())):
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{port.group(1)}"
    finally:
        process.terminate()
        assert process.wait(60) == 0, log.read_text()


def sign_in(base, email, scopes):
    """The tokens of an account that has allowed the scopes (names behind AUTH)."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest())
    answer = requests.get(base + "/o/oauth2/v2/auth", allow_redirects=False, timeout=60, params={
        "client_id": CLIENT["client_id"], "redirect_uri": BACK, "response_type": "code",
        "scope": " ".join(["openid", "email", *(AUTH + s for s in scopes)]), "state": "s",
        "access_type": "offline", "code_challenge_method": "S256", "sandbox_auto": "allow",
        "code_challenge": challenge.decode().rstrip("="), "login_hint": email})
    code = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(answer.headers["Location"]).query))
    return requests.post(base + "/token", timeout=60, data={
        **CLIENT, "grant_type": "authorization_code", "code": code["code"], "redirect_uri": BACK,
        "code_verifier": VERIFIER}).json()


class Account:
    """An account of the sandbox: its API with all of Google's scopes, and its tools with some."""

    WIDE = ("gmail.modify", "drive", "calendar", "documents", "spreadsheets")

    def __init__(self, base, email):
        self.base, self.email = base, email
        self.token = sign_in(base, email, self.WIDE)["access_token"]

    def api(self, method, path, **kwargs):
        headers = {"Authorization": "Bearer " + self.token, **kwargs.pop("headers", {})}
        return requests.request(method, self.base + path, headers=headers, timeout=60, **kwargs)

    def tools(self, *scopes, said=None, through=None, **env):
        """Tools with a token of these scopes; `said`: what GOOGLE_AUTHORIZED_SCOPES says instead;
        `through`: a Recorder."""
        scopes = scopes or self.WIDE
        token = sign_in(self.base, self.email, scopes)["access_token"]
        return Tools(self.base, token, said or scopes, env, through and through.base)


class Tools:
    """One mcpbus-google."""

    def __init__(self, base, token, scopes, env, api_base=None):
        self.process = subprocess.Popen(
            [program("mcpbus-google")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env={
                "PATH": os.environ["PATH"], "GOOGLE_ACCESS_TOKEN": token,
                "GOOGLE_AUTHORIZED_SCOPES": json.dumps([AUTH + s for s in scopes]),
                "GOOGLE_API_BASE": api_base or base, "GOOGLE_TOKEN_URI": base + "/token", **env})
        self.log, self.id = [], 0
        self.reader = threading.Thread(target=self.read_log, daemon=True)
        self.reader.start()

    def read_log(self):
        for line in self.process.stderr:
            self.log.append(line.decode(errors="replace"))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.stdin.close()
        code = self.process.wait(60)
        self.reader.join(60)
        if kind is None:
            assert code == 0, "".join(self.log)
            assert "ya29." not in "".join(self.log)

    def request(self, method, **params):
        self.id += 1
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": self.id, "method": method,
                                             "params": params}).encode() + b"\n")
        self.process.stdin.flush()
        answer = {}
        while answer.get("id") != self.id:
            line = self.process.stdout.readline()
            assert line, "".join(self.log)
            answer = json.loads(line)
        return answer

    def names(self):
        return {tool["name"] for tool in self.request("tools/list")["result"]["tools"]}

    def call(self, name, /, **arguments):
        """The text and the structured content of a good call."""
        text, result = self.result(name, arguments)
        assert not result["isError"], text
        return text, result.get("structuredContent")

    def fails(self, name, /, **arguments):
        """The text of a call that is an error."""
        text, result = self.result(name, arguments)
        assert result["isError"], text
        return text

    def result(self, name, arguments):
        answer = self.request("tools/call", name=name, arguments=arguments)
        assert "result" in answer, answer
        result = answer["result"]
        assert [part["type"] for part in result["content"]] == ["text"]
        return result["content"][0]["text"], result


class Recorder:
    """Stands between mcpbus-google and the sandbox: notes each request, and asks `hook` (may be
    None) first, which may answer in its place with (status, body)."""

    def __init__(self, base):
        self.requests, self.hook = [], None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65536

            def log_message(self, *_):
                pass

            def forward(self):
                url = urllib.parse.urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                seen = Seen(self.command, url.path, dict(urllib.parse.parse_qsl(url.query)),
                            dict(self.headers), body)
                outer.requests.append(seen)
                instead = outer.hook and outer.hook(seen)
                if instead:
                    return self.reply(instead[0], {}, json.dumps(instead[1]).encode())
                answer = requests.request(self.command, base + self.path, data=body, timeout=60,
                                          headers=seen.headers, allow_redirects=False)
                kept = {name: value for name, value in answer.headers.items() if name.lower() in (
                    "content-type", "range", "location", "etag", "content-range")}
                return self.reply(answer.status_code, kept, answer.content)

            def reply(self, status, headers, body):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def seen(self, method, path):
        return [one for one in self.requests if (one.method, one.path) == (method, path)]


Seen = collections.namedtuple("Seen", "method path query headers body")
