"""What clients get wrong, and what attackers send."""
import base64
import hashlib
import hmac
import json
import re
import socket
import time
from urllib.parse import urlsplit

import jwt
import pytest
import requests

from client import User, http, jwt_secret, original_token, short, sign_in

pytest_plugins = ["shared_stacks"]

MIB = 1024 * 1024


@pytest.fixture
def user(wide_echo):
    return User(wide_echo, original_token(wide_echo))


def post_bytes(user, body, content_type="application/json", path="/run"):
    return user.post(path, data=body, headers={"Content-Type": content_type})


def check_validation(answer, *loc):
    assert answer.status_code == 422, answer.text
    errors = answer.json()["detail"]
    assert isinstance(errors, list) and errors
    for error in errors:
        assert {"loc", "msg", "type"} <= set(error)
    if loc:
        assert errors[0]["loc"] == list(loc)


@pytest.mark.parametrize("value", [None, 7, 1.5, True, [], ["a"], {}, {"a": "b"}])
def test_message_of_wrong_type(user, value):
    check_validation(user.post("/run", json={"message": value}), "body", "message")
    assert user.get("/jobs").json()["total"] == 0


@pytest.mark.parametrize("body", [{}, {"text": "x"}, {"Message": "x"}])
def test_no_message(user, body):
    answer = user.post("/run", json=body)
    check_validation(answer, "body", "message")
    assert answer.json()["detail"][0]["type"] == "missing"


@pytest.mark.parametrize("body", ["text", 7, None, True, [], [{"message": "x"}]])
def test_body_of_wrong_type(user, body):
    check_validation(post_bytes(user, json.dumps(body)))


@pytest.mark.parametrize("body", [
    b"", b"{", b"message=x", b'{"message": "x"', b'{"message": "x"}}', b"{'message': 'x'}",
    b'{"message": "x",}', b'{"message": x}', b'{"message": "\\ud800"}', b'{"message": "a\nb"}',
    b'[' * 100000, b'{"a":' * 100000,
], ids=short)
def test_not_json(user, body):
    answer = post_bytes(user, body)
    check_validation(answer)
    assert answer.json()["detail"][0]["loc"][0] == "body"


@pytest.mark.parametrize("body", [
    b'{"message": "\xff"}', b'{"message": "\xc3"}', b'{"message": "\xed\xa0\x80"}',
    b'{"message": "\xc0\xaf"}', '{"message": "x"}'.encode("utf-16"),
])
def test_not_utf8(user, body):
    answer = post_bytes(user, body)
    assert answer.status_code in (400, 422)
    assert answer.json()["detail"]
    assert user.get("/jobs").json()["total"] == 0


@pytest.mark.parametrize("body", [
    b'{"message": "a\\u0000b"}', b'{"message": "a\x00b"}', b'\x00{"message": "x"}',
    b'{"message": "x"}\x00', b'{"message": "x", "a\\u0000b": 1}',
])
def test_nul(user, body):
    check_validation(post_bytes(user, body))
    assert user.get("/jobs").json()["total"] == 0


def test_message_too_long(user):
    check_validation(user.post("/run", json={"message": "x" * (256 * 1024 + 1)}), "body", "message")


@pytest.mark.parametrize("size", [MIB + 1, 3 * MIB])
def test_body_too_large(user, size):
    body = json.dumps({"message": "x"}).encode().ljust(size)
    answer = post_bytes(user, body)
    assert answer.status_code == 413
    assert isinstance(answer.json()["detail"], str)
    assert answer.headers["X-Request-Id"]


def test_largest_body(user):
    body = json.dumps({"message": "x"}).encode().ljust(MIB)
    assert post_bytes(user, body).status_code == 200


def test_body_too_large_in_chunks(user):
    def chunks():
        for _ in range(48):
            yield b" " * 65536

    try:
        answer = post_bytes(user, chunks())
        assert answer.status_code == 413
    except requests.exceptions.ConnectionError:
        pass  # it may close before all is sent
    assert user.get("/me").status_code == 200


def test_chunked_body(user):
    answer = post_bytes(user, iter([b'{"mess', b'age": "in chunks"}']))
    assert answer.status_code == 200
    assert user.finished(answer.json()["job_id"])["result"] == "echo: in chunks"


def test_bad_body_without_a_token(wide_echo):
    for body in (b"{", b"\xff", b" " * (3 * MIB)):
        answer = http("POST", wide_echo.url + "/run", data=body,
                               headers={"Content-Type": "application/json"})
        assert answer.status_code in (401, 413)


@pytest.mark.parametrize("body", [
    {}, {"scopes": None}, {"scopes": "drive"}, {"scopes": 7}, {"scopes": [7]},
    {"scopes": [["drive"]]}, {"scopes": {"drive": True}},
])
def test_scopes_of_wrong_type(wide_echo, body):
    answer = http("POST", wide_echo.url + "/auth/scopes", json=body)
    check_validation(answer)
    assert answer.json()["detail"][0]["loc"][:2] == ["body", "scopes"]


def test_key_too_long(user):
    answer = user.post("/run", json={"message": "x"}, headers={"Idempotency-Key": "k" * 1000})
    assert answer.status_code in (400, 422)


def test_markup_and_sql_are_text(user):
    message = """'; DROP TABLE job_data; -- <script>alert(1)</script> %s %n ${HOME} \\u0041 \x01"""
    assert user.done(message)["result"] == "echo: " + message


# Tokens

def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def claims(**changes):
    body = {"id": "user-1", "email": "a@example.com", "name": "A", "picture": "",
            "exp": int(time.time()) + 3600, **changes}
    return {name: value for name, value in body.items() if value is not None}


def signed(secret, header, body, digest=hashlib.sha256):
    text = f"{part(header)}.{part(body)}"
    mac = hmac.new(secret.encode(), text.encode(), digest).digest()
    return text + "." + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


HS256 = {"alg": "HS256", "typ": "JWT"}
BAD_TOKENS = {
    "forged": lambda s: jwt.encode(claims(), "another secret of the right length", "HS256"),
    "empty secret": lambda s: signed("", HS256, claims()),
    "expired": lambda s: jwt.encode(claims(exp=int(time.time()) - 1), s, "HS256"),
    "expired long ago": lambda s: jwt.encode(claims(exp=0), s, "HS256"),
    "exp before 1970": lambda s: signed(s, HS256, claims(exp=-5)),
    "no exp": lambda s: jwt.encode(claims(exp=None), s, "HS256"),
    "exp is text": lambda s: signed(s, HS256, claims(exp="9999999999")),
    "exp is null": lambda s: signed(s, HS256, {**claims(), "exp": None}),
    "not yet": lambda s: jwt.encode(claims(nbf=int(time.time()) + 3600), s, "HS256"),
    "no id": lambda s: jwt.encode(claims(id=None), s, "HS256"),
    "empty id": lambda s: jwt.encode(claims(id=""), s, "HS256"),
    "id is a number": lambda s: jwt.encode(claims(id=7), s, "HS256"),
    "id is an object": lambda s: signed(s, HS256, claims(id={"a": 1})),
    "id with NUL": lambda s: signed(s, HS256, claims(id="user\0-1")),
    "endless id": lambda s: jwt.encode(claims(id="x" * 4000), s, "HS256"),
    "none": lambda s: jwt.encode(claims(), None, "none"),
    "none, signed": lambda s: signed(s, {"alg": "none", "typ": "JWT"}, claims()),
    "None": lambda s: f"{part({'alg': 'None'})}.{part(claims())}.",
    "no alg": lambda s: signed(s, {"typ": "JWT"}, claims()),
    "HS384": lambda s: jwt.encode(claims(), s, "HS384"),
    "HS512": lambda s: jwt.encode(claims(), s, "HS512"),
    "HS512 that says HS256": lambda s: signed(s, HS256, claims(), hashlib.sha512),
    "HS256 that says RS256": lambda s: signed(s, {"alg": "RS256", "typ": "JWT"}, claims()),
    "no signature": lambda s: jwt.encode(claims(), s, "HS256").rpartition(".")[0] + ".",
    "two parts": lambda s: jwt.encode(claims(), s, "HS256").rpartition(".")[0],
    "four parts": lambda s: jwt.encode(claims(), s, "HS256") + ".x",
    "cut": lambda s: jwt.encode(claims(), s, "HS256")[:-1],
    "longer": lambda s: jwt.encode(claims(), s, "HS256") + "A",
    "other payload": lambda s: ".".join([
        jwt.encode(claims(), s, "HS256").split(".")[0], part(claims(id="user-2")),
        jwt.encode(claims(), s, "HS256").split(".")[2]]),
    "payload is no object": lambda s: signed(s, HS256, [1, 2]),
    "payload is no JSON": lambda s: signed(s, HS256, claims())[:20],
    "nothing": lambda s: "",
    "dots": lambda s: "..",
    "not base64": lambda s: "!!!.???.***",
    "many dots": lambda s: "." * 4000,
}


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_bad_token(wide_echo, name):
    token = BAD_TOKENS[name](jwt_secret(wide_echo))
    for method, path in (("GET", "/me"), ("POST", "/run"), ("GET", "/jobs")):
        answer = http(method, wide_echo.url + path,
                                  json={"message": "x"},
                                  headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, answer.text
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert isinstance(answer.json()["detail"], str)


def test_endless_token(wide_echo):
    for size in (9000, 100000, MIB):
        try:
            answer = http("GET", wide_echo.url + "/me",
                          headers={"Authorization": "Bearer " + "x" * size})
            assert answer.status_code in (400, 401, 431)
        except requests.exceptions.ConnectionError:
            pass  # it may close before all is sent
    assert http("GET", wide_echo.url + "/health").status_code == 200


def test_token_in_the_address_is_no_token(user):
    answer = http("GET", user.stack.url + "/me",
                  params={"token": user.token, "access_token": user.token})
    assert answer.status_code == 401


# HTTP itself

def exchange(wide_stack, data, keep_open=False):
    """Sends raw bytes; all that comes back until the gateway closes."""
    address = urlsplit(wide_stack.url)
    received = b""
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(data)
        if not keep_open:
            connection.shutdown(socket.SHUT_WR)
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionResetError:
            pass
    return received


HIDDEN = b"GET /health HTTP/1.1\r\nHost: hidden\r\n\r\n"
SMUGGLING = {
    "length and chunked": b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
    "two equal lengths": b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "list of lengths": b"Content-Length: 0, 44\r\n\r\n",
    "blank before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "blank before the colon of the length": b"Content-Length : 2\r\n\r\n{}",
    "gzip, chunked": b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "identity": b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
    "xchunked": b"Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\n{}",
    "negative length": b"Content-Length: -1\r\n\r\n",
    "signed length": b"Content-Length: +2\r\n\r\n{}",
    "hexadecimal length": b"Content-Length: 0x2\r\n\r\n{}",
    "endless length": b"Content-Length: 99999999999999999999999\r\n\r\n",
    "length is a word": b"Content-Length: two\r\n\r\n{}",
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_smuggling(user, name):
    """Refused, and the connection closed: what follows is never taken for a request."""
    head = (b"POST /run HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer " + user.token.encode() + b"\r\n")
    received = exchange(user.stack, head + SMUGGLING[name] + HIDDEN, keep_open=True)
    status = received.split(b" ", 2)[1] if received else b""
    assert status in (b"400", b"411", b"413", b"501", b""), received[:300]
    assert received.count(b"HTTP/1.1 ") <= 1, received
    assert b"healthy" not in received


def test_two_hosts(wide_echo):
    received = exchange(wide_echo, b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("data", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
    b"GET\r\n\r\n", b"\r\n" * 100, b"GET /health HTTP/9.9\r\n\r\n", b"\xff" * 5000,
    b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 20000 + b"\r\n",
    b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
], ids=short)
def test_garbage(wide_echo, data):
    address = urlsplit(wide_echo.url)
    try:
        with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
            connection.sendall(data)
    except OSError:
        pass  # it may close before all is sent
    assert http("GET", wide_echo.url + "/health").status_code == 200


@pytest.mark.parametrize("path", [
    "/../../etc/passwd", "/docs/../../etc/passwd", "/docs/%2e%2e/%2e%2e/etc/passwd", "/%00",
    "/docs/%00", "//", "/%ff", "/result/%ff%fe",
])
def test_strange_paths(user, path):
    raw = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" \
          f"Authorization: Bearer {user.token}\r\n\r\n"
    received = exchange(user.stack, raw.encode())
    assert received.split(b" ", 2)[1] in (b"400", b"404"), received[:200]
    assert b"root:" not in received


def test_pipelined_requests_are_answered_in_order(user):
    one = "GET {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + user.token + "\r\n{}\r\n"
    calls = [one.format("/me", ""), one.format("/nope", ""),
             one.format("/", "Connection: close\r\n")]
    received = exchange(user.stack, "".join(calls).encode(), keep_open=True)
    assert re.findall(rb"HTTP/1\.1 (\d+)", received) == [b"200", b"404", b"200"]


def test_the_stack_has_taken_it(wide_echo):
    """After all that: nothing has crashed, and a job still runs."""
    assert sign_in(wide_echo).done("well?")["result"] == "echo: well?"
