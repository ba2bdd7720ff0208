"""What a gateway makes of the answers of a jobs service that is not ours: of other forms, and
wrong ones. A client gets its own job or an error, never what was not meant for it."""
import json

import pytest

from played_services import World

MESSAGE = "of the user"


def job(job_id, user="me", **more):
    return {"job_id": job_id, "user_id": user, "message": MESSAGE, "status": "pending",
            "created_at": "now", **more}


@pytest.fixture(scope="module")
def world():
    one = World()
    yield one
    one.close()


def test_a_submit_in_another_form(world):
    world.answers["submit"] = lambda args: json.dumps(
        {"more": 1, "results": [{"job_id": item["job_id"]} for item in args["items"]]}).encode()
    assert world.call("POST", "/run", json={"message": "x"}).json()["status"] == "queued"
    world.answers["submit"] = b'{"results":[{"job_id":"an earlier one"}]}'
    assert world.call("POST", "/run", json={"message": "x"}).json()["job_id"] == "an earlier one"


@pytest.mark.parametrize("answer, status", [
    (b"", 500), (b"\xff", 500), (b"{}", 500), (b"[]", 500), (b'{"results":[', 500),
    (b'{"results":[]}', 500), (b'{"results":[null]}', 500), (b'{"results":[{}]}', 500),
    (b'{"results":[{"a":1}]}', 500), (b'{"results": [{}]}', 500),
    (b'{"results":[{"job_id":1}]}', 500), (b'{"results":[{"job_id":"\xff"}]}', 500),
    (b'{"results":[{"error":"OK"}]}', 500), (b'{"results":[{"job_id":"a","error":"?"}]}', 500),
    (b'{"results":[{"error":"LIMITED","detail":"many"}]}', 429),
])
def test_no_submit(world, answer, status):
    world.answers["submit"] = answer
    assert world.call("POST", "/run", json={"message": "x"}).status_code == status


@pytest.mark.parametrize("pack", [
    json.dumps({"results": [job("mine")]}),
    '{"results":[{"detail":"first","error":"TOO_LARGE"}]}',
    json.dumps({"results": [job("mine", "other")]}, separators=(",", ":")),
    json.dumps({"results": [job("other")]}, separators=(",", ":")),
    '{"results":[{"status":"pending","job_id":"mine","user_id":"me"}]}', '{"results":[]}', "",
])
def test_a_job_that_must_be_asked_for_alone(world, pack):
    world.answers["get_many"] = pack.encode()
    world.answers["get"] = json.dumps(job("mine", private="secret")).encode()
    answer = world.call("GET", "/result/mine")
    assert answer.json() == {**job("mine"), "result": None, "error_message": None,
                             "token_usage": None, "updated_at": None, "completed_at": None}


@pytest.mark.parametrize("answer", [
    b"", b"\xff", b"{}", b'{"job_id":', b'{"job_id": "mine", "user_id": "me"}',
    json.dumps(job("mine", result=7)).encode()])
def test_no_job(world, answer):
    world.answers["get_many"] = b"{}"
    world.answers["get"] = answer
    refused = world.call("GET", "/result/mine")
    assert refused.status_code == 502
    assert list(refused.json()) == ["detail"]
