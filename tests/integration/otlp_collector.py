"""A collector of traces for tests: takes OTLP/HTTP in JSON and holds every request to the form that
opentelemetry-proto gives it. It can be made to refuse, to be slow, and to talk nonsense."""
import http.server
import json
import re
import threading
import time

ID, TRACE = re.compile(r"[0-9a-f]{16}"), re.compile(r"[0-9a-f]{32}")
SPAN_MEMBERS = {"traceId", "spanId", "parentSpanId", "flags", "name", "kind", "startTimeUnixNano",
                "endTimeUnixNano", "attributes", "status"}


def attributes(listed):
    """{key: value} of OTLP's list."""
    found = {}
    for one in listed:
        assert set(one) == {"key", "value"} and len(one["value"]) == 1, one
        (kind, value), = one["value"].items()
        assert isinstance(value, str) and kind in ("stringValue", "intValue"), one
        assert one["key"] not in found, one
        found[one["key"]] = int(value) if kind == "intValue" else value
    return found


class Span:
    def __init__(self, service, raw):
        assert set(raw) <= SPAN_MEMBERS, raw
        assert TRACE.fullmatch(raw["traceId"]) and ID.fullmatch(raw["spanId"]), raw
        assert "parentSpanId" not in raw or ID.fullmatch(raw["parentSpanId"]), raw
        assert set(raw["traceId"]) != {"0"} and set(raw["spanId"]) != {"0"}, raw
        assert raw["kind"] in range(1, 6) and raw["name"], raw
        assert isinstance(raw["startTimeUnixNano"], str), raw
        assert isinstance(raw["endTimeUnixNano"], str), raw
        self.service, self.name, self.kind = service, raw["name"], raw["kind"]
        self.trace, self.id, self.parent = raw["traceId"], raw["spanId"], raw.get("parentSpanId")
        self.start, self.end = int(raw["startTimeUnixNano"]), int(raw["endTimeUnixNano"])
        assert abs(self.start / 1e9 - time.time()) < 3600 and self.end >= self.start, raw
        self.attributes = attributes(raw["attributes"])
        assert set(raw["status"]) <= {"code", "message"}, raw
        self.error = raw["status"].get("message") if raw["status"].get("code") == 2 else None

    def __repr__(self):
        return f"{self.service} {self.name} {self.id}<{self.parent} {self.attributes} {self.error}"


class Collector:
    """`behaviour`(handler) answers in the place of the collector, when set."""

    def __init__(self):
        self.spans, self.problems, self.requests, self.headers = [], [], 0, {}
        self.behaviour = None
        self.closed = threading.Event()
        self.lock = threading.Lock()
        owner = self

        class Handler(_Handler):
            collector = owner

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def take(self, body):
        for resource in body["resourceSpans"]:
            about = attributes(resource["resource"]["attributes"])
            assert about["service.namespace"] == "mcpbus" and about["service.version"], about
            assert about["service.instance.id"] and about["host.name"], about
            for scope in resource["scopeSpans"]:
                assert scope["scope"]["name"] == "mcpbus", scope
                spans = [Span(about["service.name"], raw) for raw in scope["spans"]]
                assert spans
                with self.lock:
                    self.spans += spans

    def of(self, trace):
        with self.lock:
            return [span for span in self.spans if span.trace == trace]

    def close(self):
        self.closed.set()
        self.http.shutdown()
        self.http.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    collector = None

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"{}", headers=()):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        collector = self.collector
        body = self.rfile.read(int(self.headers["Content-Length"]))
        collector.requests += 1
        collector.headers = dict(self.headers)
        try:
            assert self.path == "/v1/traces", self.path
            assert self.headers["Content-Type"] == "application/json"
            if not collector.behaviour:
                collector.take(json.loads(body))
        except (AssertionError, KeyError, TypeError, ValueError) as why:
            collector.problems.append(f"{why!r}: {body[:2000]}")
        try:
            if collector.behaviour:
                collector.behaviour(self)
            else:
                self.answer(200)
        except OSError:
            pass
