"""Every answer that a test gets from a gateway, held against services/gateway/openapi.json: its
status, headers, body and events. What the document doesn't know is a problem too; conftest.py fails
the test that met one. Who makes a gateway known: `gateways`."""
import functools
import json
import pathlib
import re
import threading
from urllib.parse import urlsplit

import fastjsonschema

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DOCUMENT = json.loads((ROOT / "services" / "gateway" / "openapi.json").read_text(encoding="utf-8"))
# Where those listen whose answers are looked at: "http://127.0.0.1:8000".
gateways = set()
# What was found, until `take_problems`.
problems = []
# (operation, status) of all that was looked at.
seen = set()
LOCK = threading.Lock()

# As info.description has them: answers to any request, before a route is looked for.
ANYWHERE = {404, 405, 413, 431, 505}
# Headers that are HTTP's, the browsers' or a policy for them; all others the document must know.
COMMON = {"connection", "content-length", "content-type", "content-encoding", "date", "vary",
          "transfer-encoding", "keep-alive", "cache-control", "x-content-type-options",
          "x-frame-options", "referrer-policy", "content-security-policy", "allow",
          "strict-transport-security", "access-control-allow-origin",
          "access-control-expose-headers"}
FORMATS = {
    "date-time": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
    "uuid": r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    "uri": r"^[a-z][a-z0-9+.-]*:[!-~]+$",
}


def closed(node):
    """The schema, without room for members that it doesn't name."""
    if isinstance(node, list):
        return [closed(value) for value in node]
    if not isinstance(node, dict):
        return node
    made = {name: closed(value) for name, value in node.items() if name not in ("examples", "default")}
    if isinstance(made.get("properties"), dict):
        made.setdefault("additionalProperties", False)
    return made


SCHEMAS = closed(DOCUMENT["components"]["schemas"])


def resolve(node):
    """What a $ref of the document stands for."""
    while "$ref" in node:
        place = node["$ref"].removeprefix("#/").split("/")
        node = functools.reduce(lambda where, name: where[name], place, DOCUMENT)
    return node


@functools.cache
def compiled(text):
    schema = json.loads(text)
    schema["components"] = {"schemas": SCHEMAS}
    return fastjsonschema.compile(schema, formats=FORMATS)


def validator(schema):
    return compiled(json.dumps(closed(schema)))


def event_validator(kind):
    kinds = DOCUMENT["components"]["schemas"]["EventData"]["properties"]
    return validator(kinds[kind]) if kind in kinds else None


def operations():
    """{(method, path): operation}"""
    return {(method.upper(), path): operation for path, item in DOCUMENT["paths"].items()
            for method, operation in item.items()}


OPERATIONS = operations()
PATTERNS = [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + r"\Z"), path)
            for path in sorted(DOCUMENT["paths"], key=lambda path: "{" in path)]


def template(path):
    """The document's path; None: it has none. What lies below a page or /chat is theirs."""
    for pattern, known in PATTERNS:
        if pattern.match(path):
            return known
    for folder in ("/chat", "/docs", "/app"):
        if path.startswith(folder + "/") and folder in DOCUMENT["paths"]:
            return folder
    return None


def look(response, *_, **__):
    """A hook of requests."""
    url = urlsplit(response.url)
    if f"{url.scheme}://{url.netloc}" not in gateways:
        return
    kind = response.headers.get("Content-Type", "")
    body = None if kind.startswith("text/event-stream") else response.content
    check(response.request.method, url.path, response.status_code, response.headers, body)


def check(method, path, status, headers, body):
    """body: None when it isn't looked at. Problems are noted."""
    try:
        known = template(path)
        operation = OPERATIONS.get(("GET" if method == "HEAD" else method, known))
        if operation is None or str(status) not in operation["responses"]:
            check_general(method, operation, status, headers, body)
        else:
            with LOCK:
                seen.add((operation["operationId"], status))
            below = known != path and "{" not in known
            check_documented(method, resolve(operation["responses"][str(status)]), headers, body, below)
    except (AssertionError, ValueError, KeyError, fastjsonschema.JsonSchemaException) as why:
        note(f"{method} {path}: {status}: {why}: {(body or b'')[:500]!r}")


def note(problem):
    with LOCK:
        problems.append(problem)


def take_problems():
    with LOCK:
        taken = problems[:]
        problems.clear()
    return taken


def check_general(method, operation, status, headers, body):
    assert headers.get("X-Request-Id"), "no X-Request-Id"
    if method == "OPTIONS" and status == 204:
        return
    allowed = ANYWHERE if operation is None else ANYWHERE - {404, 405}
    assert status in allowed, "the document doesn't know this status"
    assert (status == 405) == ("Allow" in headers), "Allow"
    if method != "HEAD":
        validator({"$ref": "#/components/schemas/Error"})(json.loads(body))


def check_documented(method, response, headers, body, below):
    check_headers(response.get("headers", {}), headers)
    kind = headers.get("Content-Type", "").partition(";")[0]
    content = response.get("content", {})
    if not content:
        assert not kind, f"Content-Type {kind}"
        assert not body, "a body"
    elif not below:
        assert kind in content, f"Content-Type {kind or 'is missing'}"
        if kind == "application/json" and method != "HEAD":
            validator(content[kind]["schema"])(json.loads(body))


def check_headers(documented, headers):
    for name, header in documented.items():
        header, value = resolve(header), headers.get(name)
        assert value is not None or not header.get("required"), f"no {name}"
        if value is not None:
            is_number = header["schema"].get("type") == "integer"
            validator(header["schema"])(int(value) if is_number else value)
    known = COMMON | {name.lower() for name in documented}
    strange = {name for name in headers if name.lower() not in known}
    assert not strange, f"headers {strange}"


def check_event(url, kind, data):
    """An event of a stream from that address."""
    url = urlsplit(url)
    if f"{url.scheme}://{url.netloc}" not in gateways:
        return
    valid = event_validator(kind)
    try:
        assert valid, "the document doesn't know this event"
        valid(data)
    except (AssertionError, fastjsonschema.JsonSchemaException) as why:
        note(f"event {kind}: {why}: {str(data)[:500]}")


def check_webhook(event):
    try:
        validator({"$ref": "#/components/schemas/WebhookEvent"})(event)
    except fastjsonschema.JsonSchemaException as why:
        note(f"webhook: {why}: {str(event)[:500]}")
