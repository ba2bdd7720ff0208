"""GET /jobs/{job_id}/events?partial=true: the model's text as it comes, beside the events. More in
test_partial_live.py."""
import pytest

from client import of_kind, sign_in
from partial_text import Follower, check_numbers
from stack import wait_until

pytest_plugins = ["shared_stacks"]

# The sandbox says half of its answer, then nothing more.
SILENT = "[sandbox:stall] " + "say these words again, please, and then some more of them " * 6


@pytest.fixture(scope="module")
def user(wide_stack):
    return sign_in(wide_stack)


@pytest.fixture
def job_id(user):
    one = user.run(SILENT)
    yield one
    user.cancel(one)


def test_a_text_that_is_not_whole_yet(user, job_id):
    """On every gateway and from any event on: each connection meets one of them."""
    plain = Follower(user, job_id, None)
    watching = Follower(user, job_id)
    watching.wait_some()
    number = of_kind(watching.events, "status")[-1].number
    for one in [Follower(user, job_id, "1") for _ in range(4)] + [Follower(user, job_id, after=number)]:
        wait_until(lambda one=one: one.shown() and one.shown() == watching.shown(), 20, "all is shown")
    assert {(part.data["attempt"], part.data["turn"]) for part in watching.partials()} == {(1, 1)}
    user.cancel(job_id)
    events = watching.end()
    check_numbers(events)
    assert of_kind(events, "status")[-1].data["status"] == "cancelled"
    assert not of_kind(events, "message")
    assert [event.text for event in plain.end()] == \
        [event.text for event in events if event.kind != "partial"]


def test_a_text_is_the_beginning_of_its_message(user):
    job_id = user.run("[sandbox:drip=0.02] " + SILENT.partition("] ")[2])
    watching = Follower(user, job_id)
    events = watching.end()
    check_numbers(events)
    text = of_kind(events, "message")[0].data["text"]
    assert text.startswith(watching.shown())
    kinds = [event.kind for event in events]
    assert "partial" not in kinds[kinds.index("message"):]


def test_an_ended_job_has_none(user, job_id):
    user.cancel(job_id)
    assert not Follower(user, job_id).partials()
    last = Follower(user, job_id).end()[-1].number
    assert user.get(f"/jobs/{job_id}/events?partial=true",
                    headers={"Last-Event-ID": str(last)}).status_code == 204


def test_another_user_sees_none(user, job_id, wide_stack):
    assert sign_in(wide_stack).get(f"/jobs/{job_id}/events?partial=true").status_code == 404


@pytest.mark.parametrize("value", ["maybe", "", "2", "true,true"])
def test_a_parameter_that_says_nothing(user, job_id, value):
    answer = user.get(f"/jobs/{job_id}/events?partial={value}")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "partial"]


def test_not_asked_for(user, job_id):
    without, watching = Follower(user, job_id, "false"), Follower(user, job_id, "TRUE")
    watching.wait_some()
    user.cancel(job_id)
    assert not of_kind(without.end(), "partial")


def test_a_logout_ends_it(wide_stack):
    one = sign_in(wide_stack)
    job_id = one.run(SILENT)
    watching = Follower(one, job_id)
    watching.wait_some()
    assert one.delete("/auth/logout").status_code == 200
    assert not of_kind(watching.end(), "message")
    sign_in(wide_stack, one.email).cancel(job_id)
