"""What asking_stacks.py and its tests stand on: a stack whose tools may need approval, and whose
model's requests are kept: between worker and sandbox stands a recorder."""
import http.server
import json
import pathlib
import shutil
import threading
import uuid

import webhook_receiver
from client import http as call
from stack import slow, Stack, wait_until

SERVER = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "approval_server.py"


class Recorder:
    """Passes all on to `target` and keeps the requests."""

    def __init__(self):
        recorder = self
        self.target = None
        self.requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                recorder.requests.append(json.loads(body))
                answer = call("POST", recorder.target + self.path, data=body, headers={
                    name: self.headers[name] for name in ("Content-Type", "Authorization")
                    if name in self.headers})
                self.send_response(answer.status_code)
                self.send_header("Content-Type", answer.headers["Content-Type"])
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def of(self, text):
        """The requests whose last word of the user's has this text, in order."""
        return [request for request in list(self.requests)
                if text in [message["content"] for message in request["messages"]
                            if message["role"] == "user"][-1]]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class AskingStack(Stack):
    def __init__(self, folder, recorder, **kwargs):
        self.folder, self.recorder = folder, recorder
        for parent in (folder, folder.parent, folder.parent.parent):
            parent.chmod(parent.stat().st_mode | 0o055)
        server = shutil.copy(SERVER, folder / SERVER.name)
        self.trace = folder / "trace"
        self.trace.touch()
        self.trace.chmod(0o666)  # the tool may be another user
        (folder / "mcp.json").write_text(json.dumps({"mcpServers": {
            "tools": {"command": str(server), "env": {"TRACE": str(self.trace)}}}}))
        env = {"MCP_CONFIG": str(folder / "mcp.json"), "APPROVAL": "destructive",
               "OPENAI_BASE_URL": recorder.url, "RATE_LIMIT": "0", **webhook_receiver.SETTINGS}
        super().__init__(env={**env, **kwargs.pop("env", {})}, **kwargs)
        recorder.target = self.sandbox_url

    def acts(self, text):
        """The tools that were called with this text, in order."""
        return [line.split(" ", 1)[0] for line in self.trace.read_text().splitlines()
                if line.split(" ", 1)[1] == text]


def use(*calls):
    """(A message that has the sandbox's model call these tools, the text that they are given)."""
    text = f"text {uuid.uuid4().hex[:12]}"
    return " and ".join(f"use tool {name} with " + json.dumps({"text": text}) for name in calls), \
        text


def post_run(user, message, **options):
    answer = user.post("/run", json={"message": message, **options})
    assert answer.status_code == 200, answer.text
    return answer.json()["job_id"]


def waiting(user, job_id, seconds=30):
    """The calls that the job waits with, once it does."""
    return wait_until(lambda: user.result(job_id).get("waiting_approval"), seconds * slow(),
                      "the job waits for approval")


def approve(user, job_id, **body):
    return user.post(f"/jobs/{job_id}/approve", **({"json": body} if body else {}))


def deny(user, job_id, **body):
    return user.post(f"/jobs/{job_id}/deny", **({"json": body} if body else {}))
