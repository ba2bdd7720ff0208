"""Signing out, a fresh token, who am I, being forgotten."""
import time
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from client import (SCOPE_PREFIX, User, begin_sign_in, consent, fresh_email, jwt_secret,
                    sign_in)
from stack import wait_until

pytest_plugins = ["shared_stacks"]


@pytest.fixture
def user(wide_stack):
    return sign_in(wide_stack)


def refused_everywhere(user):
    """Enough connections to have met each gateway."""
    return all(user.get("/me").status_code == 401 for _ in range(24))


def test_me(user):
    answer = user.get("/me")
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"user", "message"}
    assert set(body["user"]) == {"id", "email", "name", "picture", "exp"}
    for name, value in body["user"].items():
        assert value == user.claims[name]
    assert isinstance(body["message"], str)


def test_token_claims(user, wide_stack):
    claims = jwt.decode(user.token, jwt_secret(wide_stack), algorithms=["HS256"],
                        options={"verify_aud": False})
    assert set(claims) >= {"id", "email", "name", "picture", "exp"}
    assert 86000 < claims["exp"] - time.time() <= 86410
    assert jwt.get_unverified_header(user.token)["alg"] == "HS256"


def test_status(wide_stack):
    email = fresh_email()
    user = sign_in(wide_stack, email, ["gmail_readonly", "drive"])
    answer = user.get("/auth/status")
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"authenticated", "requested_scopes", "granted_scopes", "email",
                         "total_granted_scopes"}
    assert body["authenticated"] is True
    assert body["email"] == email
    assert len(body["requested_scopes"]) == 2
    assert set(body["granted_scopes"]) == {SCOPE_PREFIX + "gmail.readonly", SCOPE_PREFIX + "drive"}
    assert body["total_granted_scopes"] == len(body["granted_scopes"])


def test_login(user, wide_stack):
    answer = user.post("/auth/login")
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"access_token", "token_type", "user", "expires_in"}
    assert body["token_type"] == "bearer"
    assert body["expires_in"] == 86400
    assert body["user"]["id"] == user.id
    assert body["user"]["email"] == user.email
    again = User(wide_stack, body["access_token"])
    assert again.id == user.id
    assert again.claims["exp"] >= user.claims["exp"]
    assert again.get("/me").status_code == 200


def test_logout(wide_stack):
    email = fresh_email()
    user, second = sign_in(wide_stack, email), sign_in(wide_stack, email)
    job_id = user.run("Say hello")
    assert all(user.get("/me").status_code == 200 for _ in range(12))
    answer = user.delete("/auth/logout")
    assert answer.status_code == 200
    assert set(answer.json()) == {"message"}
    wait_until(lambda: refused_everywhere(user), 2, "every gateway refuses the token")
    for method, path in (("POST", "/run"), ("GET", f"/result/{job_id}"), ("GET", "/jobs"),
                         ("GET", f"/jobs/{job_id}/events"), ("POST", "/auth/login"),
                         ("GET", "/auth/status"), ("DELETE", "/me")):
        answer = user.call(method, path, json={"message": "x"})
        assert answer.status_code == 401, path
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert second.get("/me").status_code == 401, "another token of the same user lives on"


def test_sign_in_after_logout_works_at_once(wide_stack):
    email = fresh_email()
    old = sign_in(wide_stack, email)
    job_id = old.run("Say hello")
    assert old.delete("/auth/logout").status_code == 200
    user = sign_in(wide_stack, email)
    assert user.id == old.id
    assert all(user.get("/me").status_code == 200 for _ in range(24))
    wait_until(lambda: refused_everywhere(old), 2, "every gateway refuses the old token")
    assert all(user.get("/me").status_code == 200 for _ in range(24))
    assert user.finished(job_id)["status"] == "completed"


def test_logout_ends_an_event_stream(wide_stack):
    user = sign_in(wide_stack)
    job_id = user.run("[sandbox:slow=60] Say hello")
    user.reach(job_id, "running")
    with user.stream(job_id) as answer:
        lines = answer.iter_lines(chunk_size=1)
        next(lines)
        assert user.delete("/auth/logout").status_code == 200
        for _ in lines:
            pass
    again = sign_in(wide_stack, user.email)
    assert again.result(job_id)["status"] == "running"
    again.cancel(job_id)


def test_logout_is_for_one_user(wide_stack):
    user, other = sign_in(wide_stack), sign_in(wide_stack)
    user.delete("/auth/logout")
    wait_until(lambda: refused_everywhere(user), 2, "every gateway refuses the token")
    assert all(other.get("/me").status_code == 200 for _ in range(12))


def rows_about(stack, text):
    """Tables that hold the text anywhere."""
    tables = stack.sql("SELECT table_name FROM information_schema.tables"
                       " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'")
    return {name for (name,) in tables
            if stack.sql(f'SELECT 1 FROM "{name}" t WHERE position(%s in t::text) > 0 LIMIT 1',
                     text)}


def test_forget_gives_google_access_back(wide_stack):
    """The provider tells with the next consent what was granted before: nothing any more."""
    email = fresh_email()

    def granted_with_the_next_consent():
        begun = begin_sign_in(wide_stack, ["gmail_readonly"])
        back = parse_qs(urlsplit(consent(begun["auth_url"], email)).query)
        return back["scope"][0].split()

    user = sign_in(wide_stack, email, ["drive"])
    assert SCOPE_PREFIX + "drive" in granted_with_the_next_consent()
    assert user.delete("/me").status_code == 200
    assert SCOPE_PREFIX + "drive" not in granted_with_the_next_consent()


def test_forget(wide_stack):
    email = fresh_email()
    user, other = sign_in(wide_stack, email), sign_in(wide_stack)
    ended = user.done("List my recent emails")["job_id"]
    running = user.run("[sandbox:slow=60] Say hello")
    user.reach(running, "running")
    kept = other.done("Say hello")["job_id"]
    answer = user.delete("/me")
    assert answer.status_code == 200
    wait_until(lambda: refused_everywhere(user), 2, "every gateway refuses the token")
    for job_id in (ended, running):
        wait_until(lambda: not rows_about(wide_stack, job_id), 10, f"job {job_id} is gone")
    assert not rows_about(wide_stack, email)
    # That its tokens are dead is all that may be known of the user.
    assert rows_about(wide_stack, user.id) <= {"token_revocations"}
    assert other.result(kept)["status"] == "completed"
    again = sign_in(wide_stack, email)
    assert again.get("/jobs").json()["total"] == 0
    assert again.get(f"/result/{ended}").status_code == 404
    assert again.done("List my recent emails")["status"] == "completed"
