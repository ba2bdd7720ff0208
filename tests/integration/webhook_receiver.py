"""A receiver of webhooks that does what each test's path says, and keeps all that came."""
import base64
import hashlib
import hmac
import http.server
import json
import threading
import uuid

import api_document

NEW = "whsec_" + base64.b64encode(b"the secret that is to come 01234").decode()
OLD = "whsec_" + base64.b64encode(b"the secret that was here 0123456").decode()
SETTINGS = {"WEBHOOK_SECRET": f"{NEW},{OLD}", "WEBHOOK_PRIVATE": "allow"}


def signature_of(secret, request):
    """By the specification's words alone."""
    key = base64.b64decode(secret[len("whsec_"):])
    text = b"%s.%s.%s" % (request.id.encode(), request.timestamp.encode(), request.body)
    return "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


class Request:
    def __init__(self, path, headers, body):
        self.path, self.headers, self.body = path, headers, body
        self.id, self.timestamp = headers["webhook-id"], headers["webhook-timestamp"]
        self.event = json.loads(body)
        api_document.check_webhook(self.event)


class Receiver:
    """answers: {path: [what to do, …]}, the last for all that follow: a status, (status, headers), or
    "hang"; a path that isn't there is answered with 204."""

    def __init__(self):
        self.answers, self.requests = {}, []
        self.released = threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                receiver.handle(self)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.base = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def handle(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        self.requests.append(Request(handler.path, handler.headers, body))
        todo = self.answers.get(handler.path, [204])
        act = todo.pop(0) if len(todo) > 1 else todo[0]
        if act == "hang":
            self.released.wait(120)
            handler.close_connection = True
            return
        status, headers = act if isinstance(act, tuple) else (act, {})
        handler.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()

    def path(self, *answers):
        """A new path that is answered so; its URL, with a secret that no log may show."""
        path = f"/{uuid.uuid4().hex}?key=hunter2"
        if answers:
            self.answers[path] = list(answers)
        return self.base + path

    def of(self, url):
        """What came there, in order."""
        return [request for request in list(self.requests) if self.base + request.path == url]

    def close(self):
        self.released.set()
        self.http.shutdown()
        self.http.server_close()
