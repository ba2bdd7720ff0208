"""HTTP as a client speaks it: connections kept for a while, so that calls spread over the gateways,
and nothing repeated behind the caller's back."""
import http.client
import json
import random
import socket
import time

CALLS_A_CONNECTION = 12
TIMEOUT = 25
READ_ERRORS = (OSError, http.client.HTTPException)


class Caller:
    def __init__(self, host, port, log, count):
        self.address = (host, port)
        self.log = log
        self.count = count
        self.connection = None
        self.left = 0

    def open(self, timeout=TIMEOUT):
        return http.client.HTTPConnection(*self.address, timeout=timeout)

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def call(self, method, path, token, body=None, headers=None, what=None, timeout=TIMEOUT,
             expected=()):
        """(status, JSON or None, milliseconds); status 0: no answer, so the outcome is unknown."""
        begun = time.monotonic()
        code, text, fields = self.exchange(method, path, token, body, headers, timeout)
        elapsed = (time.monotonic() - begun) * 1000
        what = what or f"{method} {path}"
        self.count(f"reply {code // 100}xx" if code else "no answer")
        try:
            answer = json.loads(text) if text else None
        except ValueError:
            answer, code = None, code or 0
        if not 200 <= code < 300 and code not in expected:
            self.log.write("reply", what=what, code=code, t0=round(time.time() - elapsed / 1000, 3),
                           retry_after=fields.get("Retry-After"),
                           detail=str(answer.get("detail"))[:200] if isinstance(answer, dict)
                           else text[:200].decode("utf-8", "replace"))
        return code, answer, elapsed

    def exchange(self, method, path, token, body, headers, timeout):
        fields = {"Authorization": f"Bearer {token}", **(headers or {})}
        if body is not None:
            body = json.dumps(body).encode()
            fields["Content-Type"] = "application/json"
        # A kept connection may have been closed by the other side meanwhile; a POST can't be
        # repeated on a guess, so each sending is on a connection that has just been looked at.
        if self.connection and (self.left <= 0 or self.is_stale()):
            self.close()
        if not self.connection:
            self.connection = self.open(timeout)
            self.left = random.randint(1, CALLS_A_CONNECTION)
        self.left -= 1
        try:
            if self.connection.sock:
                self.connection.sock.settimeout(timeout)
            self.connection.request(method, path, body, fields)
            answer = self.connection.getresponse()
            text = answer.read()
            if answer.will_close:
                self.close()
            return answer.status, text, answer.headers
        except READ_ERRORS as error:
            self.close()
            return 0, type(error).__name__.encode(), {}

    def is_stale(self):
        """Whether the other side has closed a connection that should be silent."""
        sock = self.connection.sock
        if sock is None:
            return False
        try:
            sock.settimeout(0)
            sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def stream(self, path, token, after):
        """(connection, answer) of an event stream; None where none came. The caller closes it."""
        connection = self.open(20)
        fields = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        if after:
            fields["Last-Event-ID"] = str(after)
        try:
            connection.request("GET", path, headers=fields)
            return connection, connection.getresponse()
        except READ_ERRORS as error:
            connection.close()
            self.count("no answer")
            self.log.write("reply", what="GET /jobs/ID/events", code=0,
                           t0=round(time.time(), 3), retry_after=None,
                           detail=type(error).__name__)
            return None


def events_of(answer):
    """(number, type, data as text) of a text/event-stream, one by one; ends as it ends."""
    number, kind, data = 0, "message", []
    for line in answer:
        line = line.decode("utf-8").rstrip("\r\n")
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield number, kind, "\n".join(data)
            kind, data = "message", []
        elif field == "id":
            number = int(value)
        elif field == "event":
            kind = value
        elif field == "data":
            data.append(value)
