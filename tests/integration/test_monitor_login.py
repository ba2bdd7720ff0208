"""Who may enter the monitor, and who may not (services/monitor/login.h)."""
import base64
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from cli import mcpbus
from client import begin_sign_in, call_back, consent, fresh_email, http, sign_in
from monitors import TOKEN, cookie_of, monitor, refused
from stack import wait_until

OLD = "the token that was before this one, 987"
ADMIN = "Ada.Admin@Example.com"
DASH = "http://dash.example"
PAGE = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture(scope="module")
def gate(echo):
    """Behind a proxy, so that each test can come from an address of its own."""
    with monitor(echo, MONITOR_TOKEN=TOKEN, MONITOR_TOKEN_PREVIOUS=OLD,
                 MONITOR_ADMINS=f" {ADMIN} ,unverified-admin@example.com",
                 MONITOR_PUBLIC_URL=DASH + "/", TRUSTED_PROXIES="127.0.0.1") as one:
        yield one


def basic(password, user="anybody"):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def bearer(token):
    return {"Authorization": "Bearer " + token}


def enter(gate, token=TOKEN, **headers):
    """The cookie of who typed the token into the page."""
    answer = gate.post("/login", data={"token": token}, headers=headers)
    assert answer.status_code == 303, answer.text
    return cookie_of(answer)[0]


# The ways in


def test_bearer_and_basic(gate):
    assert gate.get("/api/session", headers=bearer(TOKEN)).json() == {"name": "token", "how": "token"}
    assert gate.get("/api/session", headers=basic(TOKEN)).json() == {"name": "token", "how": "basic"}
    assert gate.get("/api/session", headers=basic(TOKEN, "")).status_code == 200
    assert gate.session(**bearer(OLD)) == 200, "a rotation's other token opens as well"


def test_the_form_gives_a_cookie(gate):
    page = gate.get("/login", headers=PAGE)
    assert page.status_code == 200 and 'method="post"' in page.text
    answer = gate.post("/login", data={"token": f"\t{TOKEN} \r\n"}, headers=PAGE)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    cookie, attributes = cookie_of(answer)
    assert attributes == {"Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Strict"}
    assert gate.get("/api/session", headers={"Cookie": cookie}).json() == \
        {"name": "token", "how": "token"}
    assert gate.session(Cookie=f"a=b; {cookie}; mcpbus_monitor_00000000=x") == 200
    again = gate.get("/login", headers={"Cookie": cookie, **PAGE})
    assert (again.status_code, again.headers["Location"]) == (303, "/")


def test_the_form_as_json(gate):
    answer = gate.post("/login", json={"token": TOKEN})
    assert answer.json() == {"name": "token", "how": "token"}
    assert gate.session(Cookie=cookie_of(answer)[0]) == 200
    for body in ("{}", "[]", '{"token": 7}', "{", '{"token": ""}'):
        answer = gate.post("/login", data=body, headers={"Content-Type": "application/json",
                                                         "X-Forwarded-For": "192.0.2.1"})
        assert answer.status_code == 401, body
        assert cookie_of(answer)[0] is None


def test_secure_where_the_client_came_by_tls(gate):
    answer = gate.post("/login", data={"token": TOKEN}, headers={
        "X-Forwarded-For": "192.0.2.2", "X-Forwarded-Proto": "https"})
    assert "Secure" in cookie_of(answer)[1]
    assert "Strict-Transport-Security" in answer.headers


def test_a_cookie_is_good_at_every_replica_with_the_same_token(echo, gate):
    cookie = enter(gate)
    with monitor(echo, MONITOR_TOKEN=OLD, MONITOR_TOKEN_PREVIOUS=TOKEN) as other:
        assert other.session(Cookie=cookie) == 200
    with monitor(echo, MONITOR_TOKEN=TOKEN + "!", TRUSTED_PROXIES="127.0.0.1") as changed:
        assert changed.session(Cookie=cookie) == 401, "a changed token ends it"
        assert changed.get("/login", headers=PAGE).text.count("/login/google") == 0
        assert changed.get("/login/google").status_code == 404


def test_the_way_out(gate):
    cookie = enter(gate)
    answer = gate.post("/logout", headers={"Cookie": cookie, "Origin": gate.url, **PAGE})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?out=1")
    pair, attributes = cookie_of(answer)
    assert pair.endswith("=") and "Max-Age=0" in attributes
    assert "signed out" in gate.get("/login?out=1").text
    assert gate.post("/logout", headers={"Cookie": cookie}).json()["message"]


# The ways that are none


@pytest.mark.parametrize("path", ["/api/session", "/api/overview", "/api/jobs", "/api/workers",
                                  "/api/tasks", "/api/stats", "/api/queues/length", "/"])
def test_nothing_without_a_sign_in(gate, path):
    answer = gate.get(path)
    assert answer.status_code == 401 and set(answer.json()) == {"detail"}
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_browser_is_sent_to_the_sign_in(gate):
    answer = gate.get("/", headers=PAGE)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
    # The cookie of who is signed in is not sent with a link of another site.
    answer = gate.get("/", headers={**PAGE, "Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200 and 'content="0; url=/"' in answer.text


def altered(text, at):
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1:]


@pytest.mark.parametrize("make", [
    lambda one, two: one.partition("=")[0] + "=",
    lambda one, two: one.partition("=")[0] + "=admin",
    lambda one, two: altered(one, len(one) - 5),
    lambda one, two: altered(one, len(one) - 60),
    lambda one, two: one[:-1],
    lambda one, two: one + "A" * 3000,
    lambda one, two: one.replace("mcpbus_monitor_", "mcpbus_"),
    lambda one, two: two,
], ids=["empty", "plain", "tag", "text", "cut", "long", "name", "other"])
def test_a_cookie_that_is_not_ours(gate, other_cookie, make):
    assert gate.session(Cookie=make(enter(gate), other_cookie)) == 401


@pytest.fixture(scope="module")
def other_cookie(echo):
    with monitor(echo, MONITOR_TOKEN="of another installation") as other:
        return enter(other, "of another installation")


def test_a_user_is_no_operator(echo, gate):
    user = sign_in(echo)
    headers = {"X-Forwarded-For": "192.0.2.3"}
    assert gate.session(**bearer(user.token), **headers) == 401
    assert gate.session(**basic(user.token), **headers) == 401
    assert gate.session(Cookie=f"mcpbus_monitor_00000000={user.token}") == 401
    assert http("GET", echo.url + "/me", headers=bearer(TOKEN)).status_code == 401


@pytest.mark.parametrize("headers", [
    {"Authorization": TOKEN}, {"Authorization": "Bearer"}, {"Authorization": "Bearer  "},
    {"Authorization": "Basic " + TOKEN}, {"Authorization": "Basic AAAA"}, basic(TOKEN + "x"),
    basic(TOKEN[:-1]), basic("", TOKEN), bearer(TOKEN + "\t."), bearer(TOKEN.upper()),
    bearer("x" * 4000), {"Authorization": "Digest " + TOKEN}, {"X-Api-Key": TOKEN},
], ids=lambda headers: str(headers)[:60])
def test_what_is_not_the_token(gate, headers):
    assert gate.session(**headers, **{"X-Forwarded-For": "192.0.2.4"}) in (401, 429)


def test_never_in_an_address_or_a_log(gate):
    assert gate.get(f"/api/session?token={TOKEN}&api_key={TOKEN}").status_code == 401
    assert gate.get(f"/login?token={TOKEN}").status_code == 200
    gate.post("/login", data={"token": TOKEN + "nearly"}, headers={"X-Forwarded-For": "192.0.2.5"})
    said = gate.text()
    assert "login_failed client=192.0.2.5" in said and TOKEN not in said


def test_guessing_is_limited(gate):
    far = {"X-Forwarded-For": "198.51.100.1"}

    def guess(address, token="nonsense nonsense"):
        return gate.post("/login", data={"token": token}, headers={"X-Forwarded-For": address})

    def use_up(address):
        """Wrong tokens until no more are looked at; that budget grows again while we look."""
        answers = (guess(address) for _ in range(300))
        return next(answer for answer in answers if answer.status_code == 429)

    def is_limited(address, code):
        wait_until(lambda: use_up(address).status_code == code(), 60, "no answer tells of it")

    assert {guess("198.51.100.1").status_code for _ in range(10)} == {401}
    assert int(use_up("198.51.100.1").headers["Retry-After"]) >= 1
    is_limited("198.51.100.1", lambda: guess("198.51.100.1", TOKEN).status_code)
    is_limited("198.51.100.1", lambda: gate.session(**bearer(TOKEN), **far))
    is_limited("198.51.100.1", lambda: gate.session(**basic(TOKEN), **far))
    assert gate.session(**bearer(TOKEN), **{"X-Forwarded-For": "198.51.100.2"}) == 200
    assert gate.session(Cookie=enter(gate), **far) == 200, "who is signed in stays so"
    assert "login_limited client=198.51.100.1" in gate.text()
    # A network of IPv6 is one stranger.
    numbers = iter(range(1, 300))
    wait_until(lambda: guess(f"2001:db8:7::{next(numbers):x}").status_code == 429, 60, "a limit")


def test_requests_that_other_sites_make_browsers_send(gate):
    cookie, mine = enter(gate), {"X-Requested-With": "mcpbus", "Origin": gate.url}
    path = "/api/jobs/none/cancel"

    def post(auth, **headers):
        return gate.post(path, headers={**auth, **headers}).status_code

    with_cookie = {"Cookie": cookie}
    assert post(with_cookie, **mine) != 403
    assert post(with_cookie, **{**mine, "Origin": DASH}) != 403
    assert post(with_cookie) == 403
    assert post(with_cookie, Origin=gate.url) == 403
    assert post(with_cookie, **{"X-Requested-With": "mcpbus"}) == 403
    for origin in ("http://evil.example", "null", "https://evil.example", gate.url + ".evil.example",
                   "http://localhost", gate.url.replace("http:", "ftp:"), DASH + ".evil", ""):
        assert post(with_cookie, **{**mine, "Origin": origin}) == 403, origin
    assert post(basic(TOKEN)) != 403, "a script"
    assert post(basic(TOKEN), Origin="http://evil.example") == 403, "a browser that remembers it"
    assert post(basic(TOKEN), **{"Sec-Fetch-Site": "cross-site"}) == 403
    assert post(bearer(TOKEN)) != 403
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"},
                    {"Origin": "null"}):
        assert gate.post("/login", data={"token": TOKEN}, headers=headers).status_code == 403
        assert gate.post("/logout", headers={**headers, **with_cookie}).status_code == 403
    preflight = gate.call("OPTIONS", path, headers={
        "Origin": "http://evil.example", "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-requested-with"})
    assert "Access-Control-Allow-Origin" not in preflight.headers


@pytest.mark.parametrize("path", ["/login", "/api/session", "/", "/nowhere", "/style/base.css"])
def test_headers_of_every_answer(gate, path):
    headers = gate.get(path, headers=PAGE).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    if not path.startswith("/style"):
        assert headers["Cache-Control"] == "no-store"


def test_texts_of_strangers(gate):
    """No header is made, and no page changed, by what is sent."""
    for path in ("/login?out=%0d%0aSet-Cookie:%20a=b", "/login/google?here=%0d%0aX-Evil:%201",
                 "/auth/callback?error=<script>alert(1)</script>&state=%0d%0aX-Evil:%201"):
        answer = gate.get(path, headers={"Host": "evil.example", "X-Forwarded-For": "192.0.2.6"})
        assert "X-Evil" not in answer.headers and "a=b" not in str(answer.headers)
        assert "<script>alert" not in answer.text
        assert "evil.example" not in answer.headers.get("Location", "")


# Google


def begin(gate, **headers):
    """(the address to go to, the cookie that goes with it)"""
    answer = gate.get("/login/google?here=1", headers=headers)
    assert answer.status_code == 302, answer.text
    pair, attributes = cookie_of(answer, "mcpbus_monitor_google")
    assert attributes == {"Path=/auth/callback", "Max-Age=600", "HttpOnly", "SameSite=Lax"}
    return answer.headers["Location"], pair


def come_back(gate, url, cookie, **headers):
    assert url.startswith(DASH + "/auth/callback?"), url
    if cookie:
        headers["Cookie"] = cookie
    return gate.get(url.removeprefix(DASH), headers={**PAGE, **headers})


def walk(gate, email, **headers):
    url, cookie = begin(gate, **headers)
    return come_back(gate, consent(url, email), cookie, **headers)


def test_google(gate, echo):
    url, bound = begin(gate)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert asked["scope"] == "openid email profile"
    assert asked["redirect_uri"] == DASH + "/auth/callback"
    assert asked["code_challenge_method"] == "S256"
    assert not {"access_type", "include_granted_scopes"} & set(asked)
    assert "consent" not in asked.get("prompt", "")
    answer = come_back(gate, consent(url, ADMIN.lower()), bound)
    assert answer.status_code == 200 and 'content="0; url=/"' in answer.text
    cookie, attributes = cookie_of(answer)
    assert "SameSite=Strict" in attributes
    assert gate.get("/api/session", headers={"Cookie": cookie}).json() == \
        {"name": ADMIN.lower(), "how": "google"}
    assert echo.sql("SELECT count(*) FROM user_sessions WHERE user_data::text ILIKE %s",
                    f"%{ADMIN}%") == [(0,)], "nobody became a user by this"
    with monitor(echo, MONITOR_TOKEN=TOKEN, MONITOR_ADMINS="ben@example.com") as other:
        assert other.session(Cookie=cookie) == 401, "who is no longer on the list"


def test_google_starts_at_the_host_that_google_knows(gate):
    answer = gate.get("/login/google")
    assert answer.status_code == 303
    assert answer.headers["Location"] == DASH + "/login/google?here=1"
    assert gate.get("/login/google", headers={"Host": "dash.example"}).status_code == 302


@pytest.mark.parametrize("email, why", [
    ("mallory@example.com", "MONITOR_ADMINS"), ("xada.admin@example.com", "MONITOR_ADMINS"),
    ("ada.admin@example.com.evil.example", "MONITOR_ADMINS"),
    ("unverified-admin@example.com", "not verified"),
])
def test_google_accounts_that_may_not_enter(gate, email, why):
    answer = walk(gate, email, **{"X-Forwarded-For": "192.0.2.7"})
    assert answer.status_code == 403 and why in answer.text
    assert cookie_of(answer)[0] is None
    assert "login_refused how=google" in gate.text()


def test_google_denied(gate):
    url, bound = begin(gate)
    answer = come_back(gate, consent(url, ADMIN, decision="deny"), bound)
    assert answer.status_code == 400 and "access_denied" in answer.text


def test_a_sign_in_belongs_to_its_browser_and_works_once(gate):
    far = {"X-Forwarded-For": "192.0.2.8"}
    url, bound = begin(gate, **far)
    _, other = begin(gate, **far)
    back = consent(url, ADMIN)
    for cookie in (None, other, bound[:-1], altered(bound, len(bound) - 9)):
        answer = come_back(gate, back, cookie, **far)
        assert answer.status_code == 400 and cookie_of(answer)[0] is None, cookie
    assert come_back(gate, back, bound, **far).status_code == 200
    answer = come_back(gate, back, bound, **far)
    assert answer.status_code == 400 and "before" in answer.text
    assert gate.get("/auth/callback", headers={"Cookie": bound, **far}).status_code == 400


def test_states_are_for_one_purpose(gate, echo):
    """That of a user's sign-in can't open the monitor, and the monitor's makes no user."""
    url, _ = begin(gate)
    back = consent(url, ADMIN)
    answer = call_back(back.replace(DASH, echo.url))
    assert answer.status_code == 400 and "state" in answer.json()["detail"]
    query = parse_qs(urlsplit(consent(begin_sign_in(echo, ["drive"])["auth_url"],
                                      fresh_email())).query)
    args = {"state": query["state"][0], "code": query["code"][0]}
    answer = gate.get("/auth/callback", params=args, headers={"Cookie": "mcpbus_monitor_google=x"})
    assert answer.status_code == 400
    done = mcpbus(echo, "call", "auth.identify", json.dumps(args))
    assert done.returncode != 0 and "Invalid state" in done.stdout + done.stderr


# What does not start


def test_it_does_not_open_by_accident(echo):
    said = refused(echo)
    assert "MONITOR_TOKEN" in said and "MONITOR_ADMINS" in said
    assert "MONITOR_TOKEN" in refused(echo, MONITOR_TOKEN="short")
    for admins in ("ada", "ada@example.com;ben@example.com", "a b@example.com", ",", "@", "a@b@c"):
        assert "MONITOR_ADMINS takes" in refused(echo, MONITOR_ADMINS=admins), admins
    assert "TRUSTED_PROXIES" in refused(echo, MONITOR_TOKEN=TOKEN, TRUSTED_PROXIES="nonsense")


def test_google_alone(echo):
    """Without a token its replicas have the key of the bus in common."""
    settings = {"MONITOR_ADMINS": ADMIN, "MONITOR_PUBLIC_URL": DASH}
    with monitor(echo, **settings) as one, monitor(echo, **settings) as two:
        assert 'name="token"' not in one.get("/login").text
        assert one.session(**bearer("")) == 401 and one.session(**basic("")) == 401
        assert one.post("/login", data={"token": ""}).status_code == 401
        cookie = cookie_of(walk(one, ADMIN))[0]
        assert two.session(Cookie=cookie) == 200
        wait_until(lambda: "login name=" in one.text(), 10, "the log")
