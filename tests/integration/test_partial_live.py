"""GET /jobs/{job_id}/events?partial=true, with a model that says each word when the test wants it. What
the sandbox can show is in test_partial.py."""
import pathlib
import re
import socket
import uuid
from urllib.parse import urlsplit

import pytest

from bus_peer import HELLO, ONEWAY, REQUEST, WELCOME, Peer
from client import of_kind, sign_in
from partial_text import Follower, check_numbers
from stack import slow, wait_until

pytest_plugins = ["live_model"]
pytestmark = pytest.mark.slow

TOOL = "google__gmail_list_labels"
TEXT_MAX = 16 << 10


@pytest.fixture(scope="module")
def stack(live):
    return live


@pytest.fixture(scope="module")
def user(stack):
    return sign_in(stack)


def begin(user, model, text="Tell me"):
    """(job id, what it asks the model): each job's message is its own."""
    message = f"{text} {uuid.uuid4().hex}"
    job_id = user.run(message)
    return job_id, message


def test_the_words_as_they_come(user, model):
    job_id, message = begin(user, model)
    watching, plain = Follower(user, job_id), Follower(user, job_id, None)
    talk = model.talk(message)
    talk.say("Hel")
    watching.wait_shown("Hel")
    talk.say("lo, ", "you")
    watching.wait_shown("Hello, you")
    assert not of_kind(watching.events, "message")
    talk.end()
    events = watching.end()
    check_numbers(events)
    assert of_kind(events, "message")[0].data["text"] == "Hello, you"
    assert {(one.data["attempt"], one.data["turn"]) for one in of_kind(events, "partial")} == {(1, 1)}
    kinds = [event.kind for event in events]
    assert "partial" not in kinds[kinds.index("message"):]
    assert "partial" not in {event.kind for event in plain.end()}
    assert [event.text for event in plain.events] == \
        [event.text for event in events if event.kind != "partial"]


def test_who_comes_late_sees_it_from_the_beginning(user, model):
    """On both gateways: each connection meets one of them."""
    job_id, message = begin(user, model)
    first = Follower(user, job_id)
    talk = model.talk(message)
    talk.say("once ", "upon ")
    first.wait_shown("once upon ")
    others = [Follower(user, job_id) for _ in range(6)]
    number = of_kind(first.events, "status")[-1].number
    others += [Follower(user, job_id, after=number) for _ in range(2)]
    for one in others:
        one.wait_shown("once upon ")
    talk.say("a time")
    for one in [first, *others]:
        one.wait_shown("once upon a time")
    talk.end()
    for one in [first, *others]:
        assert of_kind(one.end(), "message")[0].data["text"] == "once upon a time"


def test_each_turn_has_its_own(user, model):
    job_id, message = begin(user, model)
    watching = Follower(user, job_id)
    talk = model.talk(message)
    talk.say("I look.")
    watching.wait_shown("I look.")
    talk.call(TOOL)
    talk.end("tool_calls")
    talk = model.talk(message, 2)
    talk.say("I found it.")
    watching.wait_shown("I found it.")
    talk.end()
    events = watching.end()
    check_numbers(events)
    told = 0
    for event in events:
        if event.kind == "message":
            told = event.data["turn"]
        elif event.kind == "partial":
            assert event.data["turn"] == told + 1
    assert told == 2


def test_an_answer_that_is_cut_begins_anew(user, model):
    job_id, message = begin(user, model)
    watching = Follower(user, job_id)
    talk = model.talk(message)
    talk.say("all wro")
    watching.wait_shown("all wro")
    talk.cut()
    talk = model.talk(message, 2)
    talk.say("right this time")
    watching.wait_shown("right this time")
    talk.end()
    assert of_kind(watching.end(), "message")[0].data["text"] == "right this time"
    assert {part.data["part"] for part in watching.partials()} == {0}


HOSTILE = ["\r\ndata: no\n\nid: 99\nevent: status\n", "<script>alert(1)</script>", "\u0001\u001b[2J",
           "😀", "é\u0301", "\u2028\ufeff", "a" * 9000, "ü" * 9000]


def test_whatever_it_says(user, model):
    """Shown to the byte, as far as an event shows it; thoughts never are."""
    job_id, message = begin(user, model)
    watching = Follower(user, job_id)
    talk = model.talk(message)
    talk.say(" \n<thi", "nk>I had better hide this</th", "ink>\n\n", *HOSTILE)
    told = "".join(HOSTILE).lstrip().encode()[:TEXT_MAX].decode(errors="ignore")
    watching.wait_shown(told)
    talk.end()
    events = watching.end()
    check_numbers(events)
    assert all("hide this" not in event.text for event in events)
    assert of_kind(events, "message")[0].data["text"].startswith(told)
    assert all(len(one.data["text"].encode()) <= TEXT_MAX for one in of_kind(events, "partial"))


def test_the_parameter(user, model):
    job_id, message = begin(user, model)
    answer = user.get(f"/jobs/{job_id}/events?partial=maybe")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "partial"]
    watching, without = Follower(user, job_id, "1"), Follower(user, job_id, "false")
    talk = model.talk(message)
    talk.say("Hi")
    watching.wait_shown("Hi")
    talk.end()
    watching.end()
    assert "partial" not in {event.kind for event in without.end()}


class Insider:
    """Somebody with a worker's key."""

    def __init__(self, stack):
        self.peer = Peer(stack.brokers[0], stack.keys, "worker")
        self.peer.hello()

    def tell(self, job_id, user_id, part, text, attempt=1, turn=1):
        self.peer.send(REQUEST, 0, ONEWAY, 10000, "gateway@*.partial", {}, {
            "job_id": job_id, "user_id": user_id, "attempt": attempt, "turn": turn, "part": part,
            "text": text})


@pytest.fixture
def insider(stack):
    one = Insider(stack)
    yield one
    one.peer.close()


def test_what_is_old_or_anothers_is_not_told(user, model, insider):
    job_id, message = begin(user, model)
    watching = Follower(user, job_id)
    talk = model.talk(message)
    talk.call(TOOL)
    talk.say("one")
    watching.wait_shown("one")
    talk.end("tool_calls")
    model.talk(message, 2)
    watching.wait("message", turn=1)
    insider.tell(job_id, user.id, 0, "told already", turn=1)
    insider.tell(job_id, "somebody-else", 0, "another's", turn=2)
    insider.tell(job_id, user.id, 1, "the beginning is missing", turn=2)
    insider.tell(job_id, user.id, 0, "newest", turn=2, attempt=2)
    insider.tell(job_id, user.id, 0, "of an older attempt", turn=2)
    insider.tell(job_id, user.id, 2, "a gap", turn=2, attempt=2)
    insider.tell(job_id, user.id, 3, "behind the gap", turn=2, attempt=2)
    insider.tell(job_id, user.id, 0, "last", turn=2, attempt=2)
    watching.wait_shown("last")
    assert [one.data["text"] for one in watching.partials()] == ["one", "newest", "last"]
    assert user.cancel(job_id).status_code == 200
    assert of_kind(watching.end(), "status")[-1].data["status"] == "cancelled"


def gateway_of_ours(stack):
    """A peer that is a gateway to the bus."""
    peer = Peer(stack.brokers[0], stack.keys, "gateway")
    peer.send(HELLO, credit=1000, body={},
              metadata={"service": "gateway", "methods": ["partial"], "version": "1"})
    peer.receive(WELCOME)
    return peer


def partials_to(peer, job_id, count):
    """The first ones of this job; none is of another."""
    found = []
    while len(found) < count:
        message = peer.receive(REQUEST)
        if message.method.endswith(".partial"):
            assert message.body["job_id"] == job_id, message.body
            found.append(message.body)
    return found


def test_a_worker_tells_nobody_of_anothers_job(stack, user, model):
    others, mine = begin(user, model), begin(user, model)
    talks = [model.talk(message) for _, message in (others, mine)]
    peer = gateway_of_ours(stack)
    try:
        for job_id, user_id in ((others[0], "somebody-else"), (mine[0], user.id)):
            peer.send(REQUEST, 0, ONEWAY, 10000, "worker@*.watch", {},
                      {"job_id": job_id, "user_id": user_id})
        for n, word in enumerate(("one", "two", "three")):
            for talk in talks:
                talk.say(word)
            part = partials_to(peer, mine[0], 1)[0]
            assert (part["part"], part["text"], part["user_id"]) == (n, word, user.id)
    finally:
        peer.close()
        for job_id, _ in (others, mine):
            user.cancel(job_id)


def memory(pid):
    """Bytes that are its own."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(re.search(r"Private_Dirty: +(\d+)", text).group(1)) << 10


def test_a_client_that_does_not_read(stack, user, model, insider):
    """It loses parts, not the stream, and the gateway keeps little for it."""
    job_id, message = begin(user, model)
    talk = model.talk(message)
    reading = Follower(user, job_id)
    reading.wait("status", status="running")
    url = urlsplit(stack.url)
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect((url.hostname, url.port))
        lazy.sendall(f"GET /jobs/{job_id}/events?partial=true HTTP/1.1\r\nHost: x\r\n"
                     f"Authorization: Bearer {user.token}\r\n\r\n".encode())
        lazy.recv(1)
        before = {pid: memory(pid) for pid in stack.pids("gateway").values()}
        for number in range(600):
            insider.tell(job_id, user.id, 0, "x" * TEXT_MAX)
            if number % 50 == 0:  # the others of the stack are to do their work, too
                wait_until(lambda n=number: insider.tell(job_id, user.id, 0, f"{n}") or
                           reading.shown() == f"{n}", 20, "it is shown")
        assert slow() > 1 or all(memory(pid) < before[pid] + (8 << 20) for pid in before)
        talk.say("the end")
        talk.end()
        reading.end()
        text = b""
        while b"completed" not in text[-4096:]:
            more = lazy.recv(1 << 16)
            assert more, text[-1000:]
            text += more
    assert len(text) < 8 << 20
    assert b"event: message" in text


def test_a_worker_that_dies_in_the_middle(stack, user, model):
    job_id, message = begin(user, model)
    watching = Follower(user, job_id)
    talk = model.talk(message)
    talk.say("from the first")
    watching.wait_shown("from the first")
    stack.kill("worker")
    talk = model.talk(message, 2)
    talk.say("from the second")
    watching.wait_shown("from the second")
    talk.end()
    events = watching.end()
    check_numbers(events)
    attempts = [event.data["attempt"] for event in events
                if event.kind == "partial" or event.data.get("status") == "running"]
    assert attempts == sorted(attempts) and set(attempts) == {1, 2}


def test_gateways_and_brokers_come_and_go(stack, user, model):
    """Whoever comes back to another replica goes on with the text from its beginning."""
    job_id, message = begin(user, model)
    watching = Follower(user, job_id)
    talk = model.talk(message)
    talk.say("before ")
    watching.wait_shown("before ")
    number = of_kind(watching.events, "status")[-1].number
    for n in (1, 2):
        stack.kill("gateway", n)
    stack.wait_healthy()
    back = Follower(user, job_id, after=number)
    back.wait_shown("before ")
    stack.kill("broker")
    talk.say("and after")
    back.wait_shown("before and after")
    talk.end()
    assert of_kind(back.end(), "message")[0].data["text"] == "before and after"
