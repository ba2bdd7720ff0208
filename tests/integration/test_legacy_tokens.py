"""Tokens of the original's form work here, and the reverse."""
import time

import jwt
import pytest

from client import User, jwt_secret, original_token
from stack import wait_until

pytest_plugins = ["shared_stacks"]


@pytest.fixture
def user(wide_echo):
    return User(wide_echo, original_token(wide_echo))


def refused_everywhere(user):
    return all(user.get("/me").status_code == 401 for _ in range(24))


def test_me(user):
    answer = user.get("/me")
    assert answer.status_code == 200
    assert answer.json()["user"] == user.claims


def test_a_job(user):
    """A user without a session here: the jobs are theirs all the same."""
    job = user.done("as ever")
    assert job["user_id"] == user.id
    assert user.get("/jobs").json()["total"] == 1


def test_login_gives_a_token_of_ours(user, wide_echo):
    body = user.post("/auth/login").json()
    again = User(wide_echo, body["access_token"])
    for name in ("id", "email", "name", "picture"):
        assert again.claims[name] == user.claims[name]
    assert again.get("/me").status_code == 200


def test_ours_can_be_read_by_the_original(user, wide_echo):
    """python-jose's and PyJWT's defaults check exp, nbf, iat, and an audience if there is one."""
    token = user.post("/auth/login").json()["access_token"]
    claims = jwt.decode(token, jwt_secret(wide_echo), algorithms=["HS256"])
    assert {"id", "email", "name", "picture", "exp"} <= set(claims)


def test_status_without_a_session(user):
    body = user.get("/auth/status").json()
    assert body["authenticated"] is False
    assert body["granted_scopes"] == []
    assert body["total_granted_scopes"] == 0


def test_logout_ends_them_too(user, wide_echo):
    """Without iat a token's time of issue is exp − 24 h."""
    twin = User(wide_echo, original_token(wide_echo, id=user.id))
    later = User(wide_echo, original_token(wide_echo, seconds=86400 + 60, id=user.id))
    assert user.delete("/auth/logout").status_code == 200
    wait_until(lambda: refused_everywhere(user), 2, "every gateway refuses the token")
    assert refused_everywhere(twin)
    assert all(later.get("/me").status_code == 200 for _ in range(12))


def test_the_oldest_that_still_counts(wide_echo):
    user = User(wide_echo, original_token(wide_echo, seconds=30))
    assert user.get("/me").status_code == 200
    assert user.claims["exp"] - time.time() < 31
