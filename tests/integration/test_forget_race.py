"""DELETE /me while another gateway has not heard of it yet."""
import contextlib
import http.client
import json
import signal
from urllib.parse import urlsplit

import psycopg2
import pytest

from client import sign_in
from stack import wait_until


def connect(stack):
    """A kept connection and the gateway that it has reached; nothing while that one is frozen."""
    conn = http.client.HTTPConnection(urlsplit(stack.url).netloc, timeout=0.5)
    try:
        conn.request("GET", "/")
        answer = conn.getresponse()
        answer.read()
    except TimeoutError:
        return None
    conn.sock.settimeout(30)
    return answer.headers["X-Request-Id"][:16], conn


@pytest.fixture(scope="module")
def pair(echo):
    """Connections to the first and to the second gateway."""
    echo.kill("gateway", 2, signal.SIGSTOP)
    gateway, first = wait_until(lambda: connect(echo), 20, "the first gateway answers")
    echo.kill("gateway", 2, signal.SIGCONT)

    def another():
        found = connect(echo)
        return found and found[0] != gateway and found[1]
    return first, wait_until(another, 20, "the second gateway answers")


@pytest.mark.parametrize("attempt", range(6))
def test_nothing_is_left(echo, pair, attempt):  # pylint: disable=unused-argument
    """A gateway that wakes up may still take a job: which of the two it hears first is chance."""
    first, second = pair
    user = sign_in(echo)
    bearer = {"Authorization": f"Bearer {user.token}"}
    echo.kill("gateway", 2, signal.SIGSTOP)
    second.request("POST", "/run", json.dumps({"message": "too late"}), bearer)
    first.request("DELETE", "/me", headers=bearer)
    wait_until(lambda: f"tokens_ended user_id={user.id}" in echo.log("auth"), 5, "their end")
    echo.kill("gateway", 2, signal.SIGCONT)
    for conn, statuses in ((second, (200, 401)), (first, (200,))):
        answer = conn.getresponse()
        answer.read()
        assert answer.status in statuses
    with contextlib.closing(psycopg2.connect(echo.database_url)) as db, db.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM job_records WHERE user_id = %s", (user.id,))
        assert cursor.fetchone() == (0,)
