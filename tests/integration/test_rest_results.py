"""POST /run and GET /result by many at once, and bodies in all their forms."""
import concurrent.futures
import uuid

import pytest

from client import JOB_KEYS, sign_in

pytest_plugins = ["shared_stacks"]

THREADS = 32


def test_many_at_once(wide_echo):
    users = [sign_in(wide_echo) for _ in range(3)]
    jobs = {}  # id: (user, message)
    for number in range(24):
        user = users[number % 3]
        large = number % 6 == 0
        message = f"{number} " + ("größer \"\\\x01 " * 18000 if large else "}],[{\"")
        jobs[user.run(message)] = (user, message)
    for job_id, (user, _) in jobs.items():
        user.finished(job_id)

    def own(job_id):
        user, message = jobs[job_id]
        job = user.result(job_id)
        assert set(job) == JOB_KEYS
        assert job["job_id"] == job_id
        assert job["user_id"] == user.id
        assert job["message"] == message
        assert job["status"] == "completed"
        assert job["result"].startswith("echo: " + message[:1000])

    def not_there(job_id):
        user = next(u for u in users if u is not jobs[job_id][0])
        for missing in (job_id, str(uuid.uuid4()), "\"},{", "ü" * 100):
            answer = user.get("/result/" + missing)
            assert answer.status_code == 404
            assert answer.json() == {"detail": "Job not found"}

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        work = [pool.submit(do, job_id) for job_id in jobs for do in (own, not_there)]
        for item in work:
            item.result()


@pytest.mark.parametrize("body, message", [
    ('{"message":"a"}', "a"),
    (' {\t"message" :\r\n"é 日本 🙂" }\n', "é 日本 🙂"),
    ('{"message":"\\u00e9\\n\\"\\\\"}', 'é\n"\\'),
    ('{"message":"\x7f /"}', "\x7f /"),
    ('{"m\\u0065ssage":"a"}', "a"),
    ('{"message":"}","x":{"message":1}}', "}"),
    ('{"x":[],"message":"a"}', "a"),
])
def test_body_forms(wide_echo, body, message):
    user = sign_in(wide_echo)
    answer = user.post("/run", data=body.encode())
    assert answer.status_code == 200, answer.text
    assert user.result(answer.json()["job_id"])["message"] == message


@pytest.mark.parametrize("body", [
    b'{" message":"a"}', b'{"message ":"a"}', b'{"message":"a"', b'{"message":"a"}x',
    b'{"message":"a"}}', b'{"message":"a\tb"}', b'{"message":"a\0b"}', b'{"message":"\xff"}',
    b'{"message":"\xed\xa0\x80"}', b'{"message":"\\ud800"}', b'{"message":"\\u0000"}',
    b'{"message":"a","message":"b"}', b'{"message":"a",}', b"{'message':'a'}", b'{"message":""}',
    b'{"message":a}', b'{message:"a"}', b'["message","a"]', b'\xef\xbb\xbf{"message":"a"}',
])
def test_bad_body_forms(wide_echo, body):
    user = sign_in(wide_echo)
    answer = user.post("/run", data=body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][0] == "body"
