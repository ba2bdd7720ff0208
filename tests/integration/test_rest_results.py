"""GET /result by many at once: the gateway asks for all of them together, each gets its own."""
import concurrent.futures
import uuid

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
