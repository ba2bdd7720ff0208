"""Headers that tell a browser what it may do with an answer (THREATS.md)."""
import pytest

from client import begin_sign_in, consent, fresh_email, http, sign_in
from side import Side

HSTS = "Strict-Transport-Security"


@pytest.fixture(scope="module")
def side(stack):
    with Side(stack) as one:
        yield one


def policy(answer):
    """The Content-Security-Policy as {directive: [sources]}."""
    parts = [part.split() for part in answer.headers["Content-Security-Policy"].split(";")]
    return {part[0]: part[1:] for part in parts if part}


def check_page(answer, scripts):
    assert answer.headers["Content-Type"].startswith("text/html")
    rules = policy(answer)
    assert rules["default-src"] == ["'none'"]
    assert rules.get("script-src", []) == scripts
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == ["'none'"]
    assert not [source for sources in rules.values() for source in sources
                if source in ("*", "'unsafe-inline'", "'unsafe-eval'") or "http" in source]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert HSTS not in answer.headers


def test_the_docs(stack):
    check_page(http("GET", stack.url + "/docs"), ["'self'"])


def test_the_page_with_the_token(stack):
    back = consent(begin_sign_in(stack, ["drive"])["auth_url"], fresh_email())
    good, used = http("GET", back), http("GET", back)
    assert (good.status_code, used.status_code) == (200, 400)
    for answer in (good, used):
        check_page(answer, ["'self'"])
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Frame-Options"] == "DENY"
    assert policy(good)["style-src"] != policy(used)["style-src"]  # a nonce each


def test_nothing_private_is_kept_by_a_cache(stack):
    user = sign_in(stack)
    job_id = user.run("hello")
    answers = [user.get(path) for path in ("/me", "/jobs", f"/result/{job_id}", "/auth/status",
                                           "/result/unknown")]
    answers += [user.post("/auth/login"), http("GET", stack.url + "/me"),
                http("POST", stack.url + "/auth/scopes", json={"scopes": ["drive"]})]
    for answer in answers:
        assert answer.headers["Cache-Control"] == "no-store", answer.url
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    # What is public may be kept; whether it has changed is asked each time.
    assert http("GET", stack.url + "/openapi.json").headers["Cache-Control"] == "no-cache"
    with user.stream(job_id) as stream:
        assert "no-" in stream.headers["Cache-Control"]
        assert "," not in stream.headers["Cache-Control"].replace("no-store, no-cache", "")


def test_tls_in_front_is_for_ever(side):
    public = side.gateway({"PUBLIC_URL": "https://mcpbus.example"})
    assert http("GET", public + "/").headers[HSTS] == "max-age=31536000"
    proxied = side.gateway({"TRUSTED_PROXIES": "127.0.0.1"})
    by_tls = {"X-Forwarded-For": "203.0.113.1", "X-Forwarded-Proto": "https"}
    plain = {"X-Forwarded-For": "203.0.113.1", "X-Forwarded-Proto": "http"}
    assert HSTS in http("GET", proxied + "/", headers=by_tls).headers
    assert HSTS not in http("GET", proxied + "/", headers=plain).headers
    alone = side.gateway({})
    assert HSTS not in http("GET", alone + "/", headers=by_tls).headers
