"""Proxies in front of the gateway: whose word of a client is believed, and what follows from it."""
from urllib.parse import parse_qs, urlparse

import pytest

from client import call_back, consent, fresh_email, http
from side import Side

FORWARDED = "Forwarded"
FOR = "X-Forwarded-For"


@pytest.fixture(scope="module")
def side(stack):
    with Side(stack) as one:
        yield one


@pytest.fixture(scope="module")
def behind(side):
    """A gateway behind a proxy on this host that lets each stranger in once a second."""
    return side.gateway({"TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8", "STRANGER_RATE_LIMIT": "1"})


def ask(url, path="/me", **headers):
    """Headers with the same name: a list of values."""
    pairs = {name.replace("_", "-"): value for name, value in headers.items()}
    return http("GET", url + path, headers=pairs).status_code


def refused(url, count=12, **headers):
    """Of so many requests, how many are one too many?"""
    return [ask(url, **headers) for _ in range(count)].count(429)


def test_each_client_has_a_limit_of_its_own(behind):
    assert refused(behind, X_Forwarded_For="203.0.113.1") > 0
    assert ask(behind, X_Forwarded_For="203.0.113.2") == 401
    assert refused(behind, X_Forwarded_For="2001:db8::1") > 0
    assert ask(behind, X_Forwarded_For="2001:db8:0:1::1") == 401


def test_what_a_stranger_wrote_is_not_believed(behind):
    """Through the proxy with an address invented for each request: the proxy's own word counts."""
    answers = [ask(behind, X_Forwarded_For=f"198.51.100.{n}, 203.0.113.9") for n in range(12)]
    assert 429 in answers
    answers = [ask(behind, X_Forwarded_For="203.0.113.10, 10.1.1.1", Forwarded=f"for=1.2.3.{n}")
               for n in range(12)]
    assert 429 in answers


def test_without_trust_nobody_is_believed(side):
    url = side.gateway({"STRANGER_RATE_LIMIT": "1"})
    answers = [ask(url, X_Forwarded_For=f"203.0.113.{n}", Forwarded=f"for=203.0.113.{n}")
               for n in range(12)]
    assert 429 in answers


def test_sign_in_is_limited_and_users_are_not(side, stack, behind):
    client = {FOR: "203.0.113.77"}
    answers = [http("GET", behind + "/auth/scopes", headers=client) for _ in range(12)]
    busy = [answer for answer in answers if answer.status_code == 429]
    assert busy and busy[0].headers["Retry-After"] == "1"
    assert busy[0].json() == {"detail": "Rate limit exceeded"}
    for path in ("/auth/callback?state=x&code=y", "/me"):
        assert refused(behind, count=8, X_Forwarded_For="203.0.113.77") > 0, path
    good = {**client, "Authorization": f"Bearer {stack.token()}"}
    assert {http("GET", behind + "/me", headers=good).status_code for _ in range(12)} == {200}
    assert http("GET", behind + "/health", headers=client).status_code == 200
    logs = "".join(program.log() for program in side.made)
    assert "stranger_limited client=203.0.113." in logs


@pytest.fixture(scope="module")
def own_auth(side):
    """A broker with an auth that knows no PUBLIC_URL, and the settings that lead there."""
    endpoint = side.broker()
    side.start("auth", {"BROKER_ENDPOINT": endpoint, "PUBLIC_URL": None})
    side.start("jobs", {"BROKER_ENDPOINT": endpoint})
    return {"BROKER_ENDPOINT": endpoint, "PUBLIC_URL": None}


def sign_in(url, headers, email):
    """Where the provider sends the browser, and what the gateway answers then."""
    begun = http("POST", url + "/auth/scopes", json={"scopes": ["gmail_readonly"]}, headers=headers)
    assert begun.status_code == 200, begun.text
    asked = parse_qs(urlparse(begun.json()["auth_url"]).query)["redirect_uri"][0]
    back = consent(begun.json()["auth_url"], email)
    assert back.startswith(asked)
    return asked, call_back(back.replace(back[:back.index("/auth/")], url))


@pytest.mark.parametrize("header, lines", [
    ("x-forwarded-for", {FOR: "203.0.113.1", "X-Forwarded-Proto": "https"}),
    ("forwarded", {FORWARDED: 'for="[2001:db8::1]:4711";proto=https'}),
])
def test_links_are_those_that_the_browser_knows(side, own_auth, header, lines):
    """No PUBLIC_URL, TLS ends at the proxy: the sign-in comes back to the proxy by https."""
    url = side.gateway({**own_auth, "TRUSTED_PROXIES": "127.0.0.0/8",
                        "TRUSTED_PROXY_HEADER": header})
    asked, answer = sign_in(url, {"Host": "bus.example", **lines}, fresh_email())
    assert asked == "https://bus.example/auth/callback"
    assert answer.status_code == 200, answer.text
    plain, answer = sign_in(url, {"Host": "bus.example:8080"}, fresh_email())
    assert plain == "http://bus.example:8080/auth/callback"
    assert answer.status_code == 200, answer.text


def test_a_strangers_host_is_not_believed(side, own_auth):
    url = side.gateway({**own_auth, "TRUSTED_PROXIES": "10.0.0.0/8"})
    begun = http("POST", url + "/auth/scopes", json={"scopes": ["drive"]},
                 headers={"Host": "evil.example", "X-Forwarded-Proto": "https"})
    assert begun.status_code == 200, begun.text
    asked = parse_qs(urlparse(begun.json()["auth_url"]).query)["redirect_uri"][0]
    assert asked.startswith("http://localhost:")
