"""audit_log and the log lines of the same ids (docs/audit.md)."""
import hashlib
import json

import psycopg2
import pytest

import cli
from client import begin_sign_in, call_back, consent, fresh_email, http, sign_in
from stack import wait_until

SECRETS = ("ya29.", "1//", "eyJ")


def rows(stack, user_id):
    return [dict(zip(("event", "outcome", "job_id", "address", "request_id", "detail"), row))
            for row in stack.sql(
                "SELECT event, outcome, job_id, address, request_id, detail FROM audit_log"
                " WHERE user_id = %s ORDER BY id", user_id)]


def wait_for(stack, user_id, event):
    """Rows are written behind the answer."""
    return wait_until(lambda: next((row for row in rows(stack, user_id) if row["event"] == event),
                                   None), 10, event)


def test_a_session_from_its_beginning_to_its_end(stack):
    user = sign_in(stack, fresh_email("audit"), scopes=["gmail_readonly"])
    begun = wait_for(stack, user.id, "signed_in")
    assert begun["outcome"] == "ok"
    assert begun["address"] == "127.0.0.1"
    assert [scope.rsplit("/", 1)[1] for scope in begun["detail"]["scopes"]] == ["gmail.readonly"]
    job = user.done("List my recent emails")
    given = wait_for(stack, user.id, "access_given")
    assert given["job_id"] == job["job_id"]
    assert given["detail"]["scopes"] == begun["detail"]["scopes"]
    assert user.post("/auth/login", headers={"X-Request-Id": "login-7"}).status_code == 200
    assert wait_for(stack, user.id, "token_issued")["request_id"] == "login-7"
    assert user.delete("/auth/logout").status_code == 200
    assert wait_for(stack, user.id, "tokens_ended")["address"] == "127.0.0.1"
    text = json.dumps(rows(stack, user.id)) + stack.log("auth")
    assert not [secret for secret in SECRETS if secret in text]
    assert user.email not in text


def test_what_is_refused_says_why(stack):
    email = fresh_email("audit")
    refused = call_back(consent(begin_sign_in(stack, ["drive"])["auth_url"], email,
                                decision="deny"))
    assert refused.status_code == 400
    wait_until(lambda: "sign_in_refused client=127.0.0.1" in stack.log("auth"), 10, "the line")
    back = consent(begin_sign_in(stack, ["drive"])["auth_url"], email)
    assert call_back(back).status_code == 200
    assert call_back(back).status_code == 400
    wait_until(lambda: 'why="This sign-in was completed before' in stack.log("auth"), 10, "so")


def test_strangers_fill_no_table(stack):
    def count():
        return stack.sql("SELECT count(*) FROM audit_log WHERE user_id IS NULL")[0][0]

    before = count()
    state = begin_sign_in(stack, ["drive"])["state"]
    for query in ("state=x&code=y", "error=access_denied", f"state={state}&code=invented", ""):
        assert http("GET", f"{stack.url}/auth/callback?{query}").status_code in (400, 502)
    user = sign_in(stack, fresh_email("audit"))
    wait_for(stack, user.id, "signed_in")  # rows keep their order within a replica
    assert count() == before


def test_rows_stay_and_the_forgotten_leave_only_a_mark(stack):
    user = sign_in(stack, fresh_email("audit"))
    wait_for(stack, user.id, "signed_in")
    for change in ("DELETE FROM audit_log", "UPDATE audit_log SET event = 'x'",
                   "TRUNCATE audit_log"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            stack.sql(change)
    assert user.delete("/me").status_code == 200
    mark = "forgotten:" + hashlib.sha256(user.id.encode()).hexdigest()[:32]
    wait_for(stack, mark, "user_forgotten")
    left = rows(stack, mark)
    assert {"signed_in", "user_forgotten"} <= {row["event"] for row in left}
    assert all(row[name] is None for row in left
               for name in ("job_id", "address", "request_id", "detail"))
    assert not rows(stack, user.id)


def test_a_run_that_outlives_its_user_leaves_no_more(stack):
    """Whoever is forgotten while jobs run: a worker may ask for their access afterwards."""
    user = sign_in(stack, fresh_email("audit"))
    wait_for(stack, user.id, "signed_in")  # behind it nothing is written any more
    assert user.delete("/me").status_code == 200
    asked = cli.mcpbus(stack, "call", "auth.google_access",
                       json.dumps({"user_id": user.id, "job_id": "late-1"}))
    assert "no session of this user" in asked.stderr
    mark = "forgotten:" + hashlib.sha256(user.id.encode()).hexdigest()[:32]
    late = wait_for(stack, mark, "access_refused")
    assert late == {"event": "access_refused", "outcome": "refused", "job_id": None,
                    "address": None, "request_id": None, "detail": None}
    assert not rows(stack, user.id)


@pytest.mark.slow
def test_what_was_left_amid_forgetting_goes_with_the_next_sweep(stack):
    user = sign_in(stack, fresh_email("audit"))
    assert user.delete("/me").status_code == 200
    stack.sql("INSERT INTO audit_log (event, outcome, user_id, address)"
              " VALUES ('signed_in', 'ok', %s, '192.0.2.1')", user.id)
    stack.kill("auth")  # its successor sweeps at once, the others within a minute and a half
    wait_until(lambda: not rows(stack, user.id), 120, "the sweep")
    stack.wait_healthy()
