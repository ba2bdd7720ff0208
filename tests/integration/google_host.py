"""mcpbus-google as a host runs it, beside a sandbox of its own."""
import json
import os
import pathlib
import queue
import re
import subprocess
import threading
import time

import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
AUTH = "https://www.googleapis.com/auth/"
CLIENT = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}
DEADLINE = 90
MODERN = {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
          "io.modelcontextprotocol/clientCapabilities": {},
          "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"}}


def program(name):
    folder = os.environ.get("MCPBUS_BIN", str(ROOT / "build" / "bin"))
    return str(pathlib.Path(folder) / name)


class Sandbox:
    def __init__(self, folder):
        self.log = folder / "sandbox.log"
        env = {"PATH": os.environ["PATH"], "SANDBOX_PORT": "0", "LOG_FORMAT": "text"}
        with self.log.open("w") as out:
            self.process = subprocess.Popen([program("mcpbus-sandbox")], stderr=out, stdout=out,
                                            env=env, cwd=folder)
        deadline = time.monotonic() + DEADLINE
        while not (port := re.search(r"\bport=(\d+)", self.log.read_text())):
            assert self.process.poll() is None and time.monotonic() < deadline, \
                self.log.read_text()
            time.sleep(0.02)
        self.base = f"http://127.0.0.1:{port.group(1)}"

    def sign_in(self, email, scopes):
        """The tokens of a walk through the real OAuth flow."""
        back = "http://localhost:9/back"
        asked = requests.get(self.base + "/o/oauth2/v2/auth", allow_redirects=False, params={
            "client_id": "sandbox-client", "redirect_uri": back, "response_type": "code",
            "scope": " ".join(["openid", "email", *map(scope_url, scopes)]), "state": "s",
            "access_type": "offline", "sandbox_auto": "allow", "login_hint": email},
            timeout=DEADLINE)
        code = re.search(r"code=([^&]+)", asked.headers["Location"]).group(1)
        return requests.post(self.base + "/token", timeout=DEADLINE, data={
            **CLIENT, "grant_type": "authorization_code", "redirect_uri": back,
            "code": requests.utils.unquote(code)}).json()

    def call(self, tokens, method, path, **kwargs):
        answer = requests.request(method, self.base + path, timeout=DEADLINE, headers={
            "Authorization": "Bearer " + tokens["access_token"]}, **kwargs)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def forget_requests(self):
        requests.delete(self.base + "/sandbox/requests", timeout=DEADLINE)

    def seen(self):
        """What has come since forget_requests, batches counted once."""
        return requests.get(self.base + "/sandbox/requests", timeout=DEADLINE).json()["requests"]

    def fail(self, match, status=500, times=1, **order):
        """The next calls whose path has `match` fail so; hold=True: they get no answer."""
        answer = requests.post(self.base + "/sandbox/failures", timeout=DEADLINE, json={
            "match": match, "status": status, "times": times, **order})
        assert answer.status_code == 204, answer.text

    def wait_for(self, request):
        deadline = time.monotonic() + DEADLINE
        while request not in self.seen():
            assert time.monotonic() < deadline, f"{request} did not come"
            time.sleep(0.02)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(DEADLINE) == 0, self.log.read_text()


def scope_url(name):
    return name if name.startswith("https://") else AUTH + name


def environment(base, tokens, scopes, **changes):
    env = {"PATH": os.environ["PATH"], "GOOGLE_ACCESS_TOKEN": tokens["access_token"],
           "GOOGLE_REFRESH_TOKEN": tokens.get("refresh_token"),
           "GOOGLE_CLIENT_ID": CLIENT["client_id"], "GOOGLE_CLIENT_SECRET": CLIENT["client_secret"],
           "GOOGLE_AUTHORIZED_SCOPES": json.dumps([scope_url(s) for s in scopes]),
           "GOOGLE_API_BASE": base, "GOOGLE_TOKEN_URI": base + "/token", **changes}
    return {name: value for name, value in env.items() if value is not None}


class Host:
    """One mcpbus-google, spoken to in the newer era unless told otherwise."""

    def __init__(self, env, modern=True):
        self.modern, self.last, self.notifications = modern, 0, []
        self.process = subprocess.Popen([program("mcpbus-google")], env=env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)
        self.messages = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        assert self.process.wait(DEADLINE) == 0

    def read(self):
        for line in self.process.stdout:
            self.messages.put(json.loads(line))
        self.messages.put(None)

    def write(self, message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def send(self, method, meta=None, **params):
        self.last += 1
        if self.modern or meta:
            params["_meta"] = {**(MODERN if self.modern else {}), **(meta or {})}
        self.write({"id": self.last, "method": method, "params": params})
        return self.last

    def next(self):
        message = self.messages.get(timeout=DEADLINE)
        assert message is not None, "it has ended"
        return message

    def wait(self, number):
        while True:
            message = self.next()
            if message.get("id") == number:
                return message
            self.notifications.append(message)

    def request(self, method, **params):
        answer = self.wait(self.send(method, **params))
        assert "error" not in answer, answer
        return answer["result"]

    def tool(self, name, **arguments):
        """The result as (text, structured content); a tool's error is an AssertionError."""
        result = self.request("tools/call", name=name, arguments=arguments)
        assert not result["isError"], result["content"][0]["text"]
        return result["content"][0]["text"], result.get("structuredContent")

    def refused(self, name, **arguments):
        """The words of a tool's error."""
        result = self.request("tools/call", name=name, arguments=arguments)
        assert result["isError"], result["content"][0]["text"]
        return result["content"][0]["text"]

    def tools(self):
        return {tool["name"]: tool for tool in self.request("tools/list")["tools"]}
