"""JWT_SECRET and TOKEN_ENCRYPTION_KEY changed over running replicas (docs/secrets.md)."""
import os
import pathlib
import secrets
import signal
import subprocess
import threading

import pytest
import requests

from client import User, begin_sign_in, call_back, consent, fresh_email, original_token, sign_in
from stack import ROOT, Stack, wait_until

pytestmark = pytest.mark.slow

BIN = pathlib.Path(os.environ.get("MCPBUS_BIN", ROOT / "build" / "bin"))
NAMES = ("JWT_SECRET", "JWT_SECRET_PREVIOUS", "TOKEN_ENCRYPTION_KEY",
         "TOKEN_ENCRYPTION_KEY_PREVIOUS")


@pytest.fixture(scope="module")
def stack():
    """Two of each that knows a secret; `secrets` are what they run with."""
    one = Stack(env={"WORKER_RUNNER": "echo"}, scale={"gateway": 2, "auth": 2})
    one.secrets = {name: (one.run / "secrets" / name).read_text().strip()
                   for name in ("JWT_SECRET", "TOKEN_ENCRYPTION_KEY")}
    yield one
    one.close()


def set_secrets(stack, values):
    """For services that start from now on."""
    lines = [f"unset {name}" if values.get(name) is None else f"export {name}={values[name]}"
             for name in NAMES]
    with open(stack.run / "secrets" / "stack.env", "a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def restart(stack, name):
    before = stack.pid(name)
    started = stack.log(name).count(" started version=")
    os.kill(before, signal.SIGTERM)
    wait_until(lambda: stack.pid(name) not in (None, before), 30, f"{name} is back")
    wait_until(lambda: stack.log(name).count(" started version=") > started, 30, f"{name} started")


def roll(stack, values):
    set_secrets(stack, values)
    for name in ("gateway-1", "auth-1", "gateway-2", "auth-2"):
        restart(stack, name)
        stack.wait_healthy()


class Load:
    """Users who must not notice; everything that was refused."""

    def __init__(self, stack, users):
        self.stack = stack
        self.users = users
        self.refused = []
        self.rounds = 0
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(user,)) for user in users]
        self.threads.append(threading.Thread(target=self.sign_in))
        for thread in self.threads:
            thread.start()

    def note(self, what, answer):
        if answer.status_code == 401 or (answer.status_code == 400 and "state" in answer.text):
            self.refused.append(f"{what}: {answer.text}")

    def work(self, user):
        while not self.stopping.wait(0.02):
            try:
                self.note("/me", user.get("/me"))
                self.note("/run", user.post("/run", json={"message": "m"}))
                self.note("/login", user.post("/auth/login"))
                self.rounds += 1
            except requests.RequestException:
                pass  # a replica that stops may cut a connection: that is no refusal

    def sign_in(self):
        """The token of each sign-in is used at once, and each begins before the last one ends, so
        that it ends at another replica or under another secret."""
        url = None
        while not self.stopping.wait(0.05):
            try:
                begun = begin_sign_in(self.stack, ["gmail_readonly"])
                if url:
                    back = call_back(consent(url, fresh_email()))
                    self.note("callback", back)
                    if back.status_code == 200:
                        self.note("new", User(self.stack, back.json()["access_token"]).get("/me"))
                url = begun["auth_url"]
            except (requests.RequestException, AssertionError):
                pass

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


def status(stack, values):
    done = subprocess.run(
        [BIN / "mcpbus", "secrets", "status", "--env-file", "/dev/null"], check=False, text=True,
        capture_output=True, timeout=60,
        env={**os.environ, "DATABASE_URL": stack.database_url,
             **{name: value for name, value in values.items() if value}})
    for value in filter(None, values.values()):
        assert value not in done.stdout + done.stderr
    return done


def key_ids(stack):
    return {row[0] for row in stack.sql(
        "SELECT DISTINCT substring(token_data::text FROM '\"v1\\.([0-9a-f]{8})\\.')"
        " FROM user_sessions WHERE position('token' IN token_data::text) > 0")}


def session_row(stack, user):
    return stack.sql("SELECT token_data::text FROM user_sessions WHERE user_id = %s", user.id)


def test_a_wrong_key_is_said_and_loses_nothing(stack):
    good = stack.secrets
    user = sign_in(stack)
    before = session_row(stack, user)
    wrong = {**good, "TOKEN_ENCRYPTION_KEY": secrets.token_hex(32)}
    set_secrets(stack, wrong)
    restart(stack, "auth-1")
    wait_until(lambda: " tokens_under_unknown_key " in stack.log("auth-1"), 30, "the log says it")
    told = status(stack, wrong)
    assert told.returncode == 1
    assert "can't be read" in told.stdout
    assert before == session_row(stack, user)
    set_secrets(stack, {**wrong, "TOKEN_ENCRYPTION_KEY_PREVIOUS": good["TOKEN_ENCRYPTION_KEY"]})
    restart(stack, "auth-1")
    wait_until(lambda: status(stack, wrong).returncode == 0, 30, "what was under the old key")
    assert user.get("/auth/status").json()["authenticated"] is True
    stack.secrets = {**wrong, "TOKEN_ENCRYPTION_KEY_PREVIOUS": None}
    set_secrets(stack, stack.secrets)
    for name in ("auth-1", "auth-2"):
        restart(stack, name)


def test_both_secrets_change_and_nobody_is_refused(stack):
    old = {name: stack.secrets[name] for name in ("JWT_SECRET", "TOKEN_ENCRYPTION_KEY")}
    new = {name: secrets.token_hex(32) for name in old}
    users = [sign_in(stack), User(stack, original_token(stack))]
    first_ids = key_ids(stack)
    load = Load(stack, users)
    try:
        roll(stack, {**old, **{f"{name}_PREVIOUS": value for name, value in new.items()}})
        both = {**new, **{f"{name}_PREVIOUS": value for name, value in old.items()}}
        roll(stack, both)
        wait_until(lambda: status(stack, both).returncode == 0, 60, "all is under the new key")
        assert load.rounds > 0
    finally:
        load.stop()
    assert not load.refused, load.refused[:5]
    assert not first_ids & key_ids(stack)
    assert all(user.get("/me").status_code == 200 for user in users)
    assert " tokens_sealed " in stack.log("auth")

    # The second secrets go: the old tokens with them, and nothing else.
    newer = User(stack, users[0].post("/auth/login").json()["access_token"])
    roll(stack, new)
    assert users[0].get("/me").status_code == 401
    assert newer.get("/me").status_code == 200
    assert newer.get("/auth/status").json()["authenticated"] is True
