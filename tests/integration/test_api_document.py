"""services/gateway/openapi.json: it is good OpenAPI 3.1, it is the route table, and each answer that
it promises can happen and is as it says. Every other test's answers are looked at too
(api_document.py)."""
import http.client
import json
import re
import socket
import subprocess
import threading
from urllib.parse import urlsplit

import pytest

import api_document
import npm_servers
from api_document import DOCUMENT, OPERATIONS, validator
from bus_peer import NOT_FOUND
from client import begin_sign_in, consent, fresh_email, http as call, sign_in
from played_services import AUTH_METHODS, JOBS_METHODS, World, token
from stack import ROOT, slow, wait_until

pytest_plugins = ["shared_stacks"]

CONFLICT, INTERNAL, UPSTREAM = 302, 305, 307
BODIES = {"begin": {"scopes": ["drive"]}, "run": {"message": "List my recent emails"}}
JOB = {"job_id": "x", "user_id": "me", "message": "Hi", "status": "running",
       "created_at": "2026-01-31T12:00:00.000000Z"}
BAD = {"begin": {"json": {}}, "run": {"json": {}}, "approve": {"json": {"call_ids": []}},
       "deny": {"json": {"reason": ""}}, "result": {"params": {"wait": "x"}},
       "jobs": {"params": {"limit": "0"}}, "events": {"params": {"partial": "x"}}}


def promised(status):
    """(operationId, method, path) of those that may answer so."""
    return [(operation["operationId"], method, path.replace("{job_id}", "x"))
            for (method, path), operation in OPERATIONS.items() if str(status) in operation["responses"]]


def ask(world, status, stranger=False):
    """Each operation that may answer with the status does."""
    for name, method, path in promised(status):
        arguments = {"json": BODIES[name]} if name in BODIES else {}
        if name == "me" and not stranger:  # asks nobody but auth, and that only if in doubt
            world.auth["check"] = world.auth["status"]
        headers = {} if stranger else {"Authorization": f"Bearer {token('me')}"}
        answer = call(method, world.url + path, headers=headers, **arguments)
        world.auth["check"] = b'{"valid": true}'
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"


def all_answer(world, answer):
    for name in AUTH_METHODS:
        world.auth[name] = answer
    for name in JOBS_METHODS:
        world.answers[name] = answer
    world.answers["get_many"] = b"{}"  # then each job is asked for alone


def send_raw(url, method, path, lines):
    """A request as no client of HTTP would send it; its answer is looked at."""
    with socket.create_connection(urlsplit(url).netloc.split(":"), timeout=60 * slow()) as peer:
        peer.sendall("\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode())
        return receive_raw(peer, method, path)


def receive_raw(peer, method, path):
    answer = http.client.HTTPResponse(peer, method=method)
    answer.begin()
    headers = headers_of(answer)
    api_document.check(method, path, answer.status, headers, answer.read())
    return answer.status


def headers_of(answer):
    return {name.title() if name.lower() != "etag" else "ETag": value
            for name, value in answer.getheaders()}


# What the document is

@pytest.mark.skipif(slow() > 1, reason="the same under any build")
def test_it_is_openapi(tmp_path):
    script = tmp_path / "validate.mjs"
    (tmp_path / "node_modules").symlink_to(npm_servers.installed() / "node_modules")
    script.write_text("""
        import { Validator } from "@seriousme/openapi-schema-validator";
        const validator = new Validator();
        const result = await validator.validate(process.argv[2]);
        if (!result.valid || validator.version !== "3.1")
            throw new Error(JSON.stringify(result.errors, null, 2));
    """)
    done = subprocess.run([npm_servers.node(), script, ROOT / "services/gateway/openapi.json"],
                          capture_output=True, text=True, timeout=60 * slow(), check=False)
    assert done.returncode == 0, done.stderr


def test_it_is_the_route_table():
    source = (ROOT / "services" / "gateway" / "routes.c").read_text()
    rows = re.findall(r'^ +\{\{"([A-Z*]+)", "([^"]+)"', source, re.M)
    table = {(method, pattern.removesuffix("/**") or "/") for method, pattern in rows}
    anything = {path for method, path in table if method == "*"}
    described = {("*" if path in anything else method, path) for method, path in OPERATIONS}
    assert len(rows) > 20
    assert table == described, table ^ described


def test_operations_have_names():
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(names)) == len(names)
    assert all(operation.get("summary") for operation in OPERATIONS.values())


def examples(node):
    """(schema, example) of all of them."""
    if isinstance(node, list):
        for value in node:
            yield from examples(value)
    elif isinstance(node, dict):
        if isinstance(node.get("examples"), list):
            yield from ((node, example) for example in node["examples"])
        elif isinstance(node.get("examples"), dict) and "schema" in node:
            yield from ((node["schema"], example["value"]) for example in node["examples"].values())
        for value in node.values():
            yield from examples(value)


def test_examples_are_good():
    found = list(examples(DOCUMENT))
    assert len(found) > 10
    for schema, example in found:
        validator(schema)(example)


def test_what_it_does_not_know_is_found():
    """The check can fail."""
    job = {**JOB, **dict.fromkeys(("result", "error_message", "token_usage", "updated_at",
                                   "completed_at"))}
    headers = {"X-Request-Id": "a", "Content-Type": "application/json"}

    def problems(path, status, body, **more):
        api_document.check("GET", path, status, {**headers, **more}, json.dumps(body).encode())
        return len(api_document.take_problems())

    assert problems("/result/x", 200, job) == 0
    assert problems("/result/x", 200, {**job, "secret": 1}) == 1
    assert problems("/result/x", 200, {**job, "status": "lost"}) == 1
    assert problems("/result/x", 200, {**job, "created_at": "2026-01-31 12:00:00"}) == 1
    assert problems("/result/x", 200, {name: job[name] for name in job if name != "result"}) == 1
    assert problems("/result/x", 418, job) == 1
    assert problems("/result/x", 200, job, **{"X-Other": "1"}) == 1
    assert problems("/result/x", 200, job, **{"Content-Type": "text/plain"}) == 1
    assert problems("/result/x", 503, {"detail": "x"}) == 1
    assert problems("/result/x", 503, {"detail": "x"}, **{"Retry-After": "1"}) == 0
    assert problems("/no/such", 404, {"detail": "x"}) == 0
    assert problems("/no/such", 200, {}) == 1


# What it promises

def good_answers(stack):
    """Of the real services."""
    user = sign_in(stack)
    for name, method, path in promised(200):
        if "{" not in path and name in ("root", "health", "metrics", "docs", "openapi", "scopes",
                                        "authStatus", "me", "jobs", "login"):
            assert user.call(method, path).status_code == 200, path
    page = call("GET", consent(begin_sign_in(stack, ["drive"])["auth_url"], fresh_email()))
    assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html")
    job = user.done("say hello")
    assert user.events(job["job_id"])[-1].data["status"] == "completed"
    assert user.cancel(job["job_id"]).status_code == 200
    behind = user.get(f"/jobs/{job['job_id']}/events", headers={"Last-Event-ID": "1000"})
    assert behind.status_code == 204
    assert user.delete("/auth/logout").status_code == 200
    assert sign_in(stack).delete("/me").status_code == 200


def pages_and_remains(stack):
    for _, method, path in promised(304):
        first = call(method, stack.url + path)
        again = call(method, stack.url + path, headers={"If-None-Match": first.headers["ETag"]})
        assert again.status_code == 304
    for _, method, path in promised(404):
        if path in ("/docs", "/app"):
            assert call(method, f"{stack.url}{path}/no-such-file").status_code == 404
    for _, method, path in promised(410):
        assert call(method, stack.url + path).status_code == 410


def refusals(world):
    """By what services say, of what is asked, and of how."""
    for answer, status in ((INTERNAL, 500), (UPSTREAM, 502)):
        all_answer(world, answer)
        ask(world, status)
    all_answer(world, NOT_FOUND)
    for name, method, path in promised(404):
        if path not in ("/docs", "/app"):
            answer = world.call(method, path)
            assert answer.status_code == 404, name
            api_document.look(answer)
    world.answers["decide"] = json.dumps(JOB).encode()
    ask_some(world, 200, ("approve", "deny"))
    world.answers["decide"] = CONFLICT
    world.answers["submit"] = b'{"results":[{"error":"CONFLICT","detail":"another message"}]}'
    ask(world, 409)
    ask(world, 401, stranger=True)
    for name, method, path in promised(422):
        answer = world.call(method, path, **BAD[name])
        assert answer.status_code == 422, name
        api_document.look(answer)


def ask_some(world, status, names):
    for name, method, path in promised(status):
        if name in names:
            answer = world.call(method, path)
            assert answer.status_code == status, answer.text
            api_document.look(answer)


def malformed(world):
    for _, method, path in promised(400):
        assert send_raw(world.url, method, path, ["Host: a", "Host: b"]) == 400
    for _, method, path in promised(413):
        assert send_raw(world.url, method, path, [
            "Host: a", "Content-Length: 100000000", f"Authorization: Bearer {token('me')}"]) == 413


def limits(world):
    """Of users, of strangers, and of connections: then whoever comes is refused unheard."""
    for name, method, path in promised(429):
        wait_until(lambda m=method, p=path: world_status(world, m, p) == 429, 20, name)
    room = []
    try:
        while not room or not is_refused(room[-1]):
            room.append(socket.create_connection(("127.0.0.1", world.port), timeout=20 * slow()))
            assert len(room) < 200, "there is always room for one more"
        for _, method, path in promised(503):
            with socket.create_connection(("127.0.0.1", world.port), timeout=20 * slow()) as peer:
                assert receive_raw(peer, method, path) == 503
    finally:
        for one in room:
            one.close()


def is_refused(peer):
    """It is told at once; who is not within a moment is in."""
    peer.settimeout(0.05)
    try:
        return peer.recv(1, socket.MSG_PEEK) != b""
    except TimeoutError:
        return False


def world_status(world, method, path):
    answer = world.call(method, path)
    api_document.look(answer)
    return answer.status_code


def within(world, *steps):
    api_document.gateways.add(world.url)
    try:
        for step in steps:
            step(world)
    finally:
        api_document.gateways.discard(world.url)
        world.close()


def test_each_promised_answer_happens(wide_stack):
    api_document.seen.clear()
    good_answers(wide_stack)
    pages_and_remains(wide_stack)
    within(World(revocations=INTERNAL, STRANGER_RATE_LIMIT="0"), refusals, malformed)
    within(World(descriptors=96, RATE_LIMIT="1", STRANGER_RATE_LIMIT="1"), limits)
    expected = {(operation["operationId"], int(status)) for operation in OPERATIONS.values()
                for status in operation["responses"]}
    missing = {pair for pair in expected - api_document.seen if pair[1] != 408}
    assert not missing, sorted(missing)


@pytest.mark.once
def test_who_is_slow_is_told(wide_stack):
    """408, after thirty seconds: all at once."""
    found = {}

    def wait_for(name, method, path):
        place = (urlsplit(wide_stack.url).hostname, urlsplit(wide_stack.url).port)
        with socket.create_connection(place, timeout=90) as peer:
            peer.sendall(f"{method} {path} HTTP/1.1\r\nHost: a\r\n".encode())
            found[name] = receive_raw(peer, method, path)

    threads = [threading.Thread(target=wait_for, args=each) for each in promised(408)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(threads) > 15 and set(found.values()) == {408}, found
