"""Webhooks: who gave a callback_url is told how the job ended."""
import contextlib
import ipaddress
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from asking import approve, post_run, use
from client import http, original_token, User
from side import free_port, Side
from stack import ROOT, wait_until
from webhook_receiver import NEW, OLD, Receiver, SETTINGS, signature_of

pytest_plugins = ["asking_stacks"]

SEND_SECONDS = 15  # then a request that hangs is given up


@pytest.fixture(scope="module")
def receiver():
    one = Receiver()
    yield one
    one.close()


@pytest.fixture
def user(echo):
    return User(echo, original_token(echo))


def told(receiver, url, count=1, seconds=20):
    """The requests there, once there are so many."""
    wait_until(lambda: len(receiver.of(url)) >= count, seconds, f"{count} requests at {url}")
    return receiver.of(url)


def waiting_rows(stack, job_id):
    return stack.sql("SELECT attempts, extract(epoch FROM due_at - now())::float8"
                     " FROM job_webhooks WHERE job_id = %s", job_id)


def logged(stack, event, job_id):
    """The line of the log, once it is there."""
    line = re.compile(rf".* {event} .*job_id={job_id}.*")
    found = wait_until(lambda: line.search(stack.log("jobs")), 20, f"{event} in the log").group(0)
    assert "host=127.0.0.1:" in found
    return found


def test_a_completed_job_is_told(echo, user, receiver):
    url = receiver.path()
    job_id = post_run(user, "Grüße ☃", callback_url=url)
    request = told(receiver, url)[0]
    assert request.event["type"] == "job.completed"
    assert request.event["data"] == user.result(job_id)
    assert request.event["timestamp"] == request.event["data"]["completed_at"]
    assert request.headers["Content-Type"] == "application/json"
    assert re.fullmatch(r"evt_[0-9a-f]{32}", request.id)
    signatures = request.headers["webhook-signature"].split(" ")
    assert signatures == [signature_of(NEW, request), signature_of(OLD, request)]
    wait_until(lambda: waiting_rows(echo, job_id) == [], 10, "the event is settled")
    assert len(receiver.of(url)) == 1


def test_the_receiver_of_the_documentation(user, tmp_path):
    text = (ROOT / "docs" / "webhooks.md").read_text()
    program = tmp_path / "receiver.py"
    program.write_text(re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1))
    port = free_port()
    with subprocess.Popen([sys.executable, program, str(port)], stdout=subprocess.PIPE, text=True,
                          env={"WEBHOOK_SECRET": OLD}) as process:
        try:
            wait_until(lambda: http("POST", f"http://127.0.0.1:{port}/", data=b"{}",
                                    headers={"webhook-id": "evt_1", "webhook-timestamp": "1"})
                       .status_code == 401 if is_open(port) else False, 20, "it refuses forgeries")
            job_id = post_run(user, "Say hello", callback_url=f"http://127.0.0.1:{port}/hook")
            assert process.stdout.readline() == f"job.completed {job_id} completed\n"
        finally:
            process.terminate()


def is_open(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
def test_failures_are_tried_again(echo, user, receiver):
    """Those that answer badly at first, all at once: what each costs is waiting."""
    moved = receiver.path()
    urls = {"twice": receiver.path(500, 404, 200),
            "moved": receiver.path((302, {"Location": moved}), 204),
            "later": receiver.path((503, {"Retry-After": "300"}), 204),
            "gone": receiver.path(410)}
    jobs = {name: post_run(user, name, callback_url=url) for name, url in urls.items()}

    three = told(receiver, urls["twice"], 3)
    assert len({request.id for request in three}) == 1
    assert len({request.body for request in three}) == 1
    for request in three:
        assert signature_of(NEW, request) in request.headers["webhook-signature"]
    assert len(told(receiver, urls["moved"], 2)) == 2
    assert receiver.of(moved) == []

    told(receiver, urls["later"])
    wait_until(lambda: waiting_rows(echo, jobs["later"])[0][1] > 200, 10, "Retry-After is honoured")
    assert waiting_rows(echo, jobs["later"])[0][0] == 1

    line = logged(echo, "webhook_gone", jobs["gone"])
    assert "status=410" in line
    wait_until(lambda: waiting_rows(echo, jobs["gone"]) == [], 10, "nothing is left of it")
    assert len(receiver.of(urls["gone"])) == 1
    assert "hunter2" not in echo.log()

    # DELETE /me takes along what was not sent.
    assert user.delete("/me").status_code == 200
    assert waiting_rows(echo, jobs["later"]) == []


@pytest.mark.slow
@pytest.mark.parametrize("host", ["127.0.0.1", f"{'0' * 250}177.0.0.1"])
def test_one_that_hangs_holds_up_nobody(echo, receiver, host):
    """More jobs for a receiver that hangs than both replicas have room for; then another's."""
    hanging = Receiver()
    try:
        url = hanging.path("hang")
        crowd = [User(echo, original_token(echo)) for _ in range(14)]
        began = time.monotonic()
        with ThreadPoolExecutor(8) as many:
            list(many.map(lambda n: post_run(crowd[n % len(crowd)], f"hang {n}",
                                             callback_url=url.replace("127.0.0.1", host)),
                          range(140)))
        wait_until(lambda: len(hanging.of(url)) >= 8, 20, "requests hang")
        good = receiver.path()
        post_run(User(echo, original_token(echo)), "Say hello", callback_url=good)
        told(receiver, good, seconds=10)
        rounds = 1 + (time.monotonic() - began) // SEND_SECONDS
        assert len(hanging.of(url)) <= 2 * 11 * rounds, "about eight of a host in each replica"
        with ThreadPoolExecutor(14) as many:
            assert {answer.status_code for answer in many.map(
                lambda one: one.delete("/me"), crowd)} == {200}
    finally:
        hanging.close()


@pytest.mark.slow
def test_killed_while_telling(echo, user, receiver):
    url = receiver.path("hang", 204)
    job_id = post_run(user, "Say hello", callback_url=url)
    first = told(receiver, url)[0]
    for n in (1, 2):
        echo.kill("jobs", n, signal.SIGKILL)
    receiver.released.set()
    receiver.released.clear()
    assert waiting_rows(echo, job_id), "the event is gone before it was told"
    echo.wait_healthy()
    # What only time would do: the lease of the dead one ends.
    echo.sql("UPDATE job_webhooks SET due_at = now() WHERE job_id = %s", job_id)
    assert told(receiver, url, 2)[1].id == first.id
    wait_until(lambda: waiting_rows(echo, job_id) == [], 10, "the event is settled")


def test_waiting_for_approval_is_told_too(asking, receiver):
    user = User(asking, original_token(asking))
    message, _ = use("send")
    url = receiver.path()
    job_id = post_run(user, message, callback_url=url)
    request = told(receiver, url)[0]
    assert request.event["type"] == "job.waiting_approval"
    calls = request.event["data"]["waiting_approval"]
    assert [call["name"] for call in calls] == ["tools__send"]
    assert approve(user, job_id).status_code == 200
    both = told(receiver, url, 2)
    assert [request.event["type"] for request in both][1] == "job.completed"
    assert both[0].id != both[1].id


def test_a_cancelled_job_is_told(asking, receiver):
    user = User(asking, original_token(asking))
    message, _ = use("send")
    url = receiver.path()
    job_id = post_run(user, message, callback_url=url)
    told(receiver, url)
    assert user.cancel(job_id).status_code == 200
    assert told(receiver, url, 2)[1].event["data"]["status"] == "cancelled"


def refusal(url, token, value):
    answer = http("POST", url + "/run", json={"message": "Say hello", "callback_url": value},
                  headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 422, answer.text
    detail = answer.json()["detail"][0]
    assert detail["loc"] == ["body", "callback_url"] and "hunter2" not in detail["msg"]
    return detail["type"]


@pytest.mark.parametrize("value, kind", [
    (7, "url_type"), ("/hook", "url_parsing"), ("https://u:hunter2@a.example/", "url_parsing"),
    ("ftp://a.example/", "url_parsing"), ("https://a.example/" + "x" * 2048, "url_too_long"),
    ("", "url_parsing"), ("https://a.example/\n", "url_parsing"),
])
def test_no_address(echo, user, value, kind):
    assert refusal(echo.url, user.token, value) == kind


def test_not_configured(stack):
    assert refusal(stack.url, original_token(stack), "https://a.example/") == "value_error"


@pytest.fixture(scope="module")
def careful(stack):
    """A gateway and a jobs with a secret, and no word of private addresses, on the database of a
    stack that sends nothing."""
    with Side(stack) as side:
        env = {"WEBHOOK_SECRET": NEW}
        side.start("jobs", env)
        side.url = side.gateway(env)
        yield side


def test_private_addresses_are_refused(stack, careful):
    token = original_token(stack)
    for value in ("https://127.0.0.1/", "https://[::1]:8443/x", "https://localhost/",
                  "https://0x7f000001/", "https://192.168.1.1/", "https://x.localhost./",
                  "https://[::ffff:10.0.0.1]/", "https://169.254.169.254/latest/meta-data/"):
        assert refusal(careful.url, token, value) == "value_error", value
    assert refusal(careful.url, token, "http://a.example/") == "url_scheme"


def own_names():
    """This host's, if it resolves to an address of its own networks."""
    with contextlib.suppress(OSError):
        address = ipaddress.ip_address(socket.gethostbyname(socket.gethostname()))
        if address.is_private:
            yield socket.gethostname()


def test_where_a_name_leads_is_checked_when_it_is_called(stack, careful):
    """A name of this host's, which says nothing by its text; and rows that were never checked."""
    with socket.create_server(("0.0.0.0", 0)) as door:
        door.settimeout(0.2)
        port = door.getsockname()[1]
        user = User(stack, original_token(stack))
        job = user.done("Say hello")
        places = [f"https://{name}:{port}/hunter2"
                  for name in (*own_names(), "127.0.0.1", "localhost")]
        for n, url in enumerate(places):
            stack.sql("INSERT INTO job_webhooks (id, job_id, user_id, type, seq, url, host)"
                      " VALUES (%s, %s, %s, 'job.completed', 9, %s, %s)",
                      f"evt_{n}{job['job_id']}"[:36], job["job_id"], user.id, url,
                      url.split("/")[2])
        wait_until(lambda: waiting_rows(stack, job["job_id"]) == [], 20, "all are given up")
        with pytest.raises(TimeoutError):
            door.accept()
        log = stack.log("side-jobs")
        assert log.count(f" webhook_refused job_id={job['job_id']}") == len(places)
        assert "hunter2" not in log
