"""What anybody may call: the root, health, docs, metrics, CORS, what there is not."""
import re

import pytest

from client import SCOPE_PREFIX, http, original_token

pytest_plugins = ["shared_stacks"]

ROUTES = {
    ("get", "/"), ("get", "/health"), ("get", "/auth/scopes"), ("post", "/auth/scopes"),
    ("get", "/auth/callback"), ("get", "/auth/status"), ("post", "/auth/login"),
    ("delete", "/auth/logout"), ("get", "/me"), ("delete", "/me"), ("post", "/run"),
    ("get", "/result/{job_id}"), ("get", "/jobs"), ("get", "/jobs/{job_id}/events"),
    ("post", "/jobs/{job_id}/cancel"), ("post", "/jobs/{job_id}/approve"),
    ("post", "/jobs/{job_id}/deny"), ("get", "/metrics"),
}
SCOPES = {
    "drive": "drive", "gmail_readonly": "gmail.readonly", "gmail_full": "gmail.modify",
    "gmail_labels": "gmail.labels", "gmail_compose": "gmail.compose",
    "calendar_events": "calendar.events", "calendar_readonly": "calendar.readonly",
    "documents": "documents", "spreadsheets": "spreadsheets",
    "spreadsheets_readonly": "spreadsheets.readonly",
}
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def get(wide_stack, path, **arguments):
    return http("GET", wide_stack.url + path, **arguments)


def test_root(wide_stack):
    answer = get(wide_stack, "/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    body = answer.json()
    assert set(body) == {"message", "version", "endpoints"}
    assert body["version"] == "2.0.0"
    assert body["endpoints"]


def test_health(wide_stack):
    answer = get(wide_stack, "/health")
    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "healthy"
    assert TIMESTAMP.fullmatch(body["timestamp"])
    assert set(body) > {"status", "timestamp"}, "no dependency's state"


def test_scopes(wide_stack):
    body = get(wide_stack, "/auth/scopes").json()
    assert set(body) == {"available_scopes", "description"}
    known = body["available_scopes"]
    assert {name: scope["scope"] for name, scope in known.items()} == {
        name: SCOPE_PREFIX + scope for name, scope in SCOPES.items()}
    for scope in known.values():
        assert set(scope) == {"scope", "description"}
        assert scope["description"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/chat", "/chat/", "/chat/history/7"])
def test_chat_is_gone(wide_stack, method, path):
    answer = http(method, wide_stack.url + path, json={"message": "hi"})
    assert answer.status_code == 410
    assert "/run" in answer.json()["detail"]
    assert "/result/{job_id}" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/no/such/page", "/result", "/jobs/", "/mee", "/auth", "/run/1"])
def test_unknown_path(wide_stack, path):
    answer = get(wide_stack, path)
    assert answer.status_code == 404
    assert answer.json() == {"detail": "Not Found"}


@pytest.mark.parametrize("method, path", [
    ("GET", "/run"), ("POST", "/me"), ("PUT", "/auth/scopes"), ("POST", "/auth/logout"),
    ("DELETE", "/jobs"), ("PATCH", "/health"), ("GET", "/jobs/abc/cancel"),
])
def test_wrong_method(wide_stack, method, path):
    answer = http(method, wide_stack.url + path)
    assert answer.status_code == 405
    assert answer.json() == {"detail": "Method Not Allowed"}
    assert answer.headers["Allow"]


def test_head_is_get_without_a_body(wide_stack):
    answer = http("HEAD", wide_stack.url + "/health")
    assert answer.status_code in (200, 405)
    assert answer.content == b""


def test_request_id_is_made(wide_stack):
    ids = [get(wide_stack, path).headers["X-Request-Id"] for path in ("/", "/health", "/me", "/no")]
    assert all(ids)
    assert len(set(ids)) == len(ids)


def test_request_id_is_kept(wide_stack):
    answer = get(wide_stack, "/", headers={"X-Request-Id": "abc-123_X.7"})
    assert answer.headers["X-Request-Id"] == "abc-123_X.7"


@pytest.mark.parametrize("bad", ["x" * 5000, "a b\tc<script>"], ids=["long", "markup"])
def test_strange_request_id_is_not_echoed(wide_stack, bad):
    answer = get(wide_stack, "/", headers={"X-Request-Id": bad})
    assert answer.status_code in (200, 400, 431)
    assert answer.headers.get("X-Request-Id") != bad


@pytest.mark.parametrize("method", ["POST", "DELETE", "GET"])
def test_cors_preflight(wide_stack, method):
    answer = http("OPTIONS", wide_stack.url + "/run", headers={
        "Origin": "https://app.example.com", "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key"})
    assert answer.status_code in (200, 204)
    assert answer.headers["Access-Control-Allow-Origin"] in ("*", "https://app.example.com")
    assert method in answer.headers["Access-Control-Allow-Methods"] \
        or answer.headers["Access-Control-Allow-Methods"] == "*"
    allowed = answer.headers["Access-Control-Allow-Headers"].lower()
    for name in ("authorization", "content-type", "idempotency-key"):
        assert name in allowed


@pytest.mark.parametrize("path, status", [("/health", 200), ("/me", 401), ("/nope", 404)])
def test_cors_on_every_answer(wide_stack, path, status):
    answer = get(wide_stack, path, headers={"Origin": "https://app.example.com"})
    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] in ("*", "https://app.example.com")
    assert "x-request-id" in answer.headers.get("Access-Control-Expose-Headers", "").lower()


def test_openapi(wide_stack):
    answer = get(wide_stack, "/openapi.json")
    assert answer.status_code == 200
    document = answer.json()
    assert document["openapi"].startswith("3.1.")
    described = {(method, path) for path, item in document["paths"].items() for method in item}
    assert ROUTES <= described, ROUTES - described


def references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_openapi_references_resolve(wide_stack):
    document = get(wide_stack, "/openapi.json").json()
    for reference in references(document):
        node = document
        assert reference.startswith("#/"), reference
        for part in reference[2:].split("/"):
            node = node[part.replace("~1", "/").replace("~0", "~")]


def test_openapi_describes_each_event(wide_stack):
    schemas = get(wide_stack, "/openapi.json").json()["components"]["schemas"]
    names = " ".join(schemas).lower().replace("_", "")
    for kind in ("status", "toolcall", "toolresult", "message", "progress", "waitingapproval",
                 "approval"):
        assert kind in names, f"no schema for {kind} events"


def test_docs_come_from_the_gateway(wide_stack):
    answer = get(wide_stack, "/docs")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    for source in re.findall(r"""(?:src|href)=["']([^"']+)""", answer.text):
        assert not re.match(r"(https?:)?//", source), source
        if not source.startswith("data:"):
            path = source if source.startswith("/") else "/" + source
            assert get(wide_stack, path).status_code == 200, source


def test_metrics(wide_stack):
    get(wide_stack, "/health")
    answer = get(wide_stack, "/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    number = r"([-+0-9.eE]+|[+-]Inf|NaN)"
    sample = re.compile(r"""[a-zA-Z_:][\w:]*(\{(\w+="([^"\\]|\\.)*",?)*\})? """ + number)
    lines = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
    assert lines
    for line in lines:
        assert sample.fullmatch(line), line


NEEDS_TOKEN = [
    ("GET", "/auth/status"), ("POST", "/auth/login"), ("DELETE", "/auth/logout"), ("GET", "/me"),
    ("DELETE", "/me"), ("POST", "/run"), ("GET", "/result/x"), ("GET", "/jobs"),
    ("GET", "/jobs/x/events"), ("POST", "/jobs/x/cancel"),
]


@pytest.mark.parametrize("method, path", NEEDS_TOKEN)
def test_no_token(wide_stack, method, path):
    answer = http(method, wide_stack.url + path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert isinstance(answer.json()["detail"], str)
    assert answer.headers["X-Request-Id"]


@pytest.mark.parametrize("method, path", [call for call in NEEDS_TOKEN if call[0] == "GET"])
def test_basic_is_no_bearer(wide_stack, method, path):
    token = original_token(wide_stack)
    answer = http(method, wide_stack.url + path,
                              headers={"Authorization": f"Basic {token}"})
    assert answer.status_code == 401
