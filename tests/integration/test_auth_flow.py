"""Signing in by OAuth: PKCE, state, consent in whole and in part, accounts, tokens at rest."""
import base64
import re
from urllib.parse import parse_qs, urlsplit

import pytest

from client import (SCOPE_PREFIX, User, begin_sign_in, call_back, consent, fresh_email, http,
                    jwt_secret, of_kind, short, sign_in)

pytest_plugins = ["shared_stacks"]


def parameters(url):
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def test_begin(wide_stack):
    body = begin_sign_in(wide_stack, ["gmail_readonly", "calendar_events"])
    assert set(body) == {"auth_url", "user_id", "state", "message"}
    asked = parameters(body["auth_url"])
    assert asked["state"] == body["state"]
    assert asked["response_type"] == "code"
    assert asked["access_type"] == "offline"
    assert asked["include_granted_scopes"] == "true"
    assert asked["code_challenge_method"] == "S256"
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", asked["code_challenge"])
    assert asked["redirect_uri"].endswith("/auth/callback")
    assert set(asked["scope"].split()) == {
        "openid", "email", "profile", SCOPE_PREFIX + "gmail.readonly",
        SCOPE_PREFIX + "calendar.events"}


def test_each_sign_in_is_its_own(wide_stack):
    first, second = (begin_sign_in(wide_stack, ["drive"]) for _ in range(2))
    assert first["state"] != second["state"]
    assert first["user_id"] != second["user_id"]
    assert parameters(first["auth_url"])["code_challenge"] != \
        parameters(second["auth_url"])["code_challenge"]


@pytest.mark.parametrize("scopes", [["nonsense"], ["drive", "gmail"], ["DRIVE"], [""]])
def test_unknown_scopes(wide_stack, scopes):
    answer = http("POST", wide_stack.url + "/auth/scopes", json={"scopes": scopes})
    assert answer.status_code == 400
    unknown = [name for name in scopes if name != "drive"]
    assert answer.json() == {"detail": f"Invalid scopes: {unknown}"}


def test_callback_as_json(wide_stack):
    email = fresh_email("ada.lovelace")
    begun = begin_sign_in(wide_stack, ["drive"])
    answer = call_back(consent(begun["auth_url"], email))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    assert "no-store" in answer.headers["Cache-Control"]
    body = answer.json()
    assert {"access_token", "token_type", "user", "expires_in"} <= set(body)
    assert body["token_type"] == "bearer"
    assert body["expires_in"] == 86400
    assert body["user"]["email"] == email
    assert body["user"]["id"] == begun["user_id"], "a new account takes the sign-in's id"
    assert User(wide_stack, body["access_token"]).get("/me").json()["user"]["email"] == email


def test_callback_as_html(wide_stack):
    email = fresh_email()
    url = consent(begin_sign_in(wide_stack, ["drive", "gmail_labels"])["auth_url"], email)
    answer = http("GET", url, headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "no-store" in answer.headers["Cache-Control"]
    area = re.search(r"<textarea([^>]*)>([^<]*)</textarea>", answer.text)
    assert "readonly" in area.group(1)
    user = User(wide_stack, area.group(2).strip())
    assert user.get("/me").status_code == 200
    assert user.id in answer.text
    assert "gmail.labels" in answer.text or "gmail_labels" in answer.text
    assert email in answer.text


def test_state_works_once(wide_stack):
    url = consent(begin_sign_in(wide_stack, ["drive"])["auth_url"], fresh_email())
    assert call_back(url).status_code == 200
    answer = call_back(url)
    assert answer.status_code == 400
    assert isinstance(answer.json()["detail"], str)


def test_state_works_once_with_another_code(wide_stack):
    begun = begin_sign_in(wide_stack, ["drive"])
    first, second = (consent(begun["auth_url"], fresh_email()) for _ in range(2))
    assert parameters(first)["code"] != parameters(second)["code"]
    assert call_back(first).status_code == 200
    assert call_back(second).status_code == 400


def test_tampered_state(wide_stack):
    url = consent(begin_sign_in(wide_stack, ["drive"])["auth_url"], fresh_email())
    good = parameters(url)
    state = good["state"]
    for position in (0, 10, len(state) // 2, len(state) - 3):
        other = "A" if state[position] != "A" else "B"
        bad = state[:position] + other + state[position + 1:]
        answer = http("GET", wide_stack.url + "/auth/callback", params={**good, "state": bad},
                      headers={"Accept": "application/json"})
        assert answer.status_code == 400, position
    assert call_back(url).status_code == 200, "a stranger's attempts used up the state"


@pytest.mark.parametrize("changed", [
    {"state": None}, {"state": ""}, {"state": "nonsense"}, {"state": "x" * 3000}, {"code": None},
    {"code": ""}, {"code": "4/0nonsense"}, {"error": "access_denied", "code": None},
    {"error": "<script>alert(1)</script>", "code": None},
], ids=short)
def test_bad_callback(wide_stack, changed):
    good = parameters(consent(begin_sign_in(wide_stack, ["drive"])["auth_url"], fresh_email()))
    sent = {name: value for name, value in {**good, **changed}.items() if value is not None}
    for accept in ("application/json", "text/html"):
        answer = http("GET", wide_stack.url + "/auth/callback", params=sent,
                              headers={"Accept": accept})
        assert answer.status_code == 400
        assert "<script>alert" not in answer.text
        assert answer.headers["Content-Type"].startswith(accept)


def test_denied_consent(wide_stack):
    url = consent(begin_sign_in(wide_stack, ["drive"])["auth_url"], fresh_email(), decision="deny")
    assert parameters(url)["error"] == "access_denied"
    assert call_back(url).status_code == 400


def test_code_of_another_sign_in(wide_stack):
    """PKCE: the code of one sign-in is worth nothing with the state of another."""
    victim = parameters(consent(begin_sign_in(wide_stack, ["drive"])["auth_url"], fresh_email()))
    own = begin_sign_in(wide_stack, ["drive"])
    answer = http("GET", wide_stack.url + "/auth/callback",
                  params={"code": victim["code"], "state": own["state"]},
                  headers={"Accept": "application/json"})
    assert answer.status_code == 400


def test_denied_scope(wide_stack):
    """Only what was both asked for and granted reaches the tools."""
    user = sign_in(wide_stack, scopes=["gmail_readonly", "drive"], deny=[SCOPE_PREFIX + "drive"])
    status = user.get("/auth/status").json()
    assert len(status["requested_scopes"]) == 2
    assert status["granted_scopes"] == [SCOPE_PREFIX + "gmail.readonly"]
    assert status["total_granted_scopes"] == 1
    job_id = user.run('use tool drive_search with {"query": "plan"}')
    assert "no tool that I was offered" in user.finished(job_id)["result"]
    assert not of_kind(user.events(job_id), "tool_call")
    job_id = user.run('use tool gmail_list_messages with {"max_results": 2}')
    assert user.finished(job_id)["status"] == "completed"
    results = of_kind(user.events(job_id), "tool_result")
    assert results and not results[0].data["is_error"]


def test_granted_but_not_asked_for(wide_stack):
    """Google adds what was granted before; this sign-in did not ask for it."""
    email = fresh_email()
    sign_in(wide_stack, email, ["drive"])
    user = sign_in(wide_stack, email, ["gmail_readonly"])
    assert user.get("/auth/status").json()["granted_scopes"] == [SCOPE_PREFIX + "gmail.readonly"]


def test_returning_account_keeps_its_id(wide_stack):
    email = fresh_email()
    first = sign_in(wide_stack, email)
    job_id = first.run("Say hello")
    begun = begin_sign_in(wide_stack, ["drive"])
    assert begun["user_id"] != first.id
    second = User(wide_stack, call_back(consent(begun["auth_url"], email)).json()["access_token"])
    assert second.id == first.id
    assert second.finished(job_id)["status"] == "completed"
    assert first.get("/me").status_code == 200


def test_accounts_have_ids_of_their_own(wide_stack):
    assert len({sign_in(wide_stack).id for _ in range(3)}) == 3


def every_value(stack):
    tables = stack.sql("SELECT table_name FROM information_schema.tables"
                            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'")
    for (table,) in tables:
        for row in stack.sql(f'SELECT * FROM "{table}"'):
            for value in row:
                if value is not None:
                    yield table, bytes(value) if isinstance(value, memoryview) else \
                        str(value).encode()


def forms(secret):
    """The secret, and how its beginning looks in hexadecimal and base64."""
    return [secret, secret.hex().encode(), base64.b64encode(secret)[:len(secret) * 8 // 6]]


def test_tokens_are_encrypted_at_rest(wide_stack):
    user = sign_in(wide_stack)
    user.done("List my recent emails")
    rows = wide_stack.sql("SELECT token_data::text FROM user_sessions WHERE user_id = %s", user.id)
    assert rows and rows[0][0], "no token is kept at all"
    secrets = forms(b"ya29.") + forms(b"sandbox-secret") + forms(b"sandbox-key")
    secrets += [b"1//", jwt_secret(wide_stack).encode(), user.token.encode()]
    for table, value in every_value(wide_stack):
        for secret in secrets:
            assert secret not in value, f"a secret in {table}: {value[:200]}"


def test_no_secret_in_a_log(wide_stack):
    user = sign_in(wide_stack)
    user.done("List my recent emails")
    http("GET", wide_stack.url + "/me", params={"access_token": user.token},
         headers={"Authorization": "Bearer " + user.token[:-3] + "AAA"})
    password = urlsplit(wide_stack.vars["DATABASE_URL"]).password
    secrets = ["ya29.", "1//", "eyJhbGci", "sandbox-secret", "sandbox-key", jwt_secret(wide_stack),
               password]
    logs = list((wide_stack.run / "logs").glob("*.log"))
    assert logs
    for log in logs:
        text = log.read_text(errors="replace")
        for secret in secrets:
            assert secret not in text, f"{secret[:8]}… in {log.name}"


def test_no_secret_in_a_job(wide_stack):
    user = sign_in(wide_stack)
    job = user.done("List my recent emails")
    rows = wide_stack.sql("SELECT env_vars FROM job_records WHERE id = %s", job["job_id"])
    names = rows[0][0]
    assert isinstance(names, list)
    assert "GOOGLE_ACCESS_TOKEN" in names
    assert all(re.fullmatch(r"[A-Z_][A-Z0-9_]*", name) for name in names)


def test_access_is_refreshed(small_stack):
    """The access tokens of this stack live for two seconds: each run needs a fresh one."""
    user = sign_in(small_stack)
    for _ in range(2):
        job_id = user.run("List my recent emails")
        assert user.finished(job_id)["status"] == "completed"
        results = of_kind(user.events(job_id), "tool_result")
        assert results and not results[0].data["is_error"], results
