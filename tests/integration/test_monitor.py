"""The monitor's HTTP: what operators see and do, Flower's calls, and that watching costs nothing."""
import concurrent.futures
import os
import re
import signal
import subprocess
import time

import pytest
import requests

from monitor_client import Monitor
from stack import Stack, slow, unique, wait_until

ROUTES = ("/api/overview", "/api/stats", "/api/errors", "/api/jobs", "/api/jobs/x", "/api/workers",
          "/api/tasks", "/api/task/info/x", "/api/task/result/x", "/api/task/types",
          "/api/queues/length")
ACTS = ("/api/jobs/x/cancel", "/api/jobs/x/retry", "/api/worker/drain/x", "/api/worker/resume/x",
        "/api/task/revoke/x", "/api/task/abort/x", "/api/worker/shutdown/x")
FLOWER_TASK = {"uuid", "name", "state", "received", "sent", "started", "rejected", "succeeded",
               "failed", "retried", "revoked", "args", "kwargs", "eta", "expires", "retries",
               "worker", "result", "exception", "timestamp", "runtime", "traceback", "exchange",
               "routing_key", "clock", "client", "root", "root_id", "parent", "parent_id",
               "children"}


@pytest.fixture(scope="module")
def own():
    """A stack whose processes this file kills and stops."""
    one = Stack(env={"WORKER_RUNNER": "echo"}, scale={"broker": 2, "worker": 2})
    yield one
    one.close()


@pytest.fixture(scope="module")
def monitor(own):
    with Monitor(own) as one:
        yield one


@pytest.fixture(scope="module")
def token(own):
    return own.token(unique("watched"))


def resume(monitor):
    for name in monitor.workers():
        assert monitor.post(f"/api/worker/resume/{name}").status_code == 200


@pytest.fixture
def drained(monitor):
    """Nobody takes jobs, so that they wait; resumed behind the test."""
    for name in monitor.workers():
        assert monitor.post(f"/api/worker/drain/{name}").status_code == 200
    yield monitor
    resume(monitor)
    wait_until(lambda: not any(one["draining"] for one in monitor.workers().values()), 20, "resumed")


def status_of(own, job_id):
    return own.sql("SELECT status FROM job_records WHERE id = %s", job_id)[0][0]


def post_waiting(own, drained, token, message):
    """A job that waits. Jobs may hear later than we that a worker takes no more, and a job that
    comes in between is run."""
    while True:
        job_id = own.post_run(token, message)
        wait_until(lambda one=job_id: status_of(own, one) == "completed" or drained.json(
            "/api/queues/length") == {"active_queues": [{"name": "celery", "messages": 1}]},
            20, "it waits, or has been run")
        if status_of(own, job_id) == "pending":
            return job_id


# Who may

def test_nothing_is_told_to_strangers(own):
    url = own.monitor_url
    for path in ROUTES:
        assert own.http.get(url + path, timeout=30).status_code == 401, path
    for path in ACTS:
        assert own.http.post(url + path, timeout=30).status_code == 401, path
    for path in ("/healthcheck", "/metrics"):
        assert own.http.get(url + path, timeout=30).status_code == 200, path
    assert own.http.get(url + "/healthcheck", timeout=30).text == "OK"


def test_unknown_paths_and_methods(monitor):
    assert monitor.get("/api/nothing").status_code == 404
    refused = monitor.post("/api/overview")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")
    assert monitor.post("/api/worker/pool/grow/x").status_code == 501
    for answer in (monitor.get("/api/nothing"), refused, monitor.get("/api/jobs/nothing")):
        assert isinstance(answer.json()["detail"], str)


@pytest.mark.parametrize("query", (
    "jobs?limit=0", "jobs?limit=201", "jobs?limit=x", "jobs?limit=%201", "jobs?status=good",
    "jobs?user=" + 257 * "x", "jobs?q=" + 513 * "x", "stats?span=5", "stats?span=1e9",
    "stats?span=99999999999999999999", "jobs/x?after=-1", "tasks?limit=1000", "tasks?offset=-1",
    "tasks?sort_by=args", "tasks?received_start=yesterday", "tasks?state=GOOD",
    "task/result/x?timeout=nan", "task/result/x?timeout=long"))
def test_bad_parameters_are_named(monitor, query):
    answer = monitor.get("/api/" + query)
    assert answer.status_code == 400, answer.text
    name = re.search(r"\?(\w+)=", query).group(1)
    assert answer.json()["detail"].startswith(f"{name} takes "), answer.text


@pytest.mark.parametrize("path", ("jobs?limit=1%00", "jobs?q=%ff", "jobs/%ff", "jobs/a%00b"))
def test_what_is_no_text_is_refused(monitor, path):
    assert monitor.get("/api/" + path).status_code == 400


# What is seen

def test_overview_shows_who_is_there(own, monitor):
    seen = wait_until(lambda: (now := monitor.overview())["ok"] and now, 20, "all is well")
    assert seen["problems"] == []
    assert seen["version"] and abs(seen["now"] - time.time()) < 60
    pids = {name.rpartition("-")[0] + str(pid): pid
            for service in ("gateway", "auth", "jobs", "worker", "monitor")
            for name, pid in own.pids(service).items()}
    assert {one["service"] + str(one["pid"]) for one in seen["replicas"]} == set(pids)
    for one in seen["replicas"]:
        assert one["reachable"] and one["problem"] is None
        assert one["memory_bytes"] > 0 and one["uptime_ms"] >= 0 and one["version"]
    assert seen["brokers"] == [{"endpoint": one, "connected": True} for one in own.brokers]
    assert seen["workers"] == {"count": 2, "capacity": 512, "running": 0, "draining": 0}
    assert seen["database"]["version"].startswith("15")
    assert own.vars["DATABASE_URL"].split(":")[2].split("@")[0] not in str(seen)


def test_numbers_are_the_database_s(own, monitor, token):
    ids = [own.post_run(token, f"count me {n}") for n in range(12)]
    for job_id in ids:
        own.wait_job(token, job_id, status="completed")

    def counted():
        points = monitor.json("/api/stats?span=3600")["points"]
        rows = own.sql("SELECT count(*), count(*) FILTER (WHERE status = 'completed')"
                       " FROM job_records")[0]
        sums = tuple(sum(point[name] for point in points) for name in ("submitted", "completed"))
        return sums == rows and points
    points = wait_until(counted, 20, "as many as in the table")
    assert any(point["total"] and point["total"]["p50"] >= 0 for point in points)
    seen = wait_until(lambda: (now := monitor.overview())["rates"]["completed"] and now, 30,
                      "an overview of after that")
    assert seen["rates"]["submitted"] > 0
    assert seen["latency"]["total"]["p50"] <= seen["latency"]["total"]["p99"]
    coarse = monitor.json("/api/stats?span=86400")
    assert coarse["step"] == 600


def test_jobs_by_filter_and_page(own, monitor, token):
    email = unique("searched")
    other = own.token(email)
    mine = own.get("/me", token).json()["user"]["id"]
    needle = own.post_run(other, "the needle's message")
    own.wait_job(other, needle, status="completed")
    hay = own.post_run(token, "hay")
    own.wait_job(token, hay, status="completed")

    def ids(query):
        return [job["job_id"] for job in monitor.json(f"/api/jobs?{query}")["jobs"]]
    newest = wait_until(lambda: (found := ids("limit=50"))[:2] == [hay, needle] and found, 5)
    assert ids(f"limit=10&before={hay}") == newest[1:11]
    assert ids("q=NEEDLE's") == [needle]
    assert ids(f"q={needle}") == [needle]
    assert ids(f"user={email}") == [needle]
    assert needle not in ids(f"user={mine}") and hay in ids(f"user={mine}")
    assert ids("user=nobody@example.com") == []
    assert ids("status=cancelled&q=needle") == []
    assert needle in ids("status=completed")


def test_one_job_with_its_events(own, monitor, token):
    job_id = own.post_run(token, "<script>alert(1)</script>\u202e")
    own.wait_job(token, job_id, status="completed")
    seen = monitor.json(f"/api/jobs/{job_id}")
    assert seen["job"]["message"] == "<script>alert(1)</script>\u202e"
    assert seen["job"]["status"] == "completed" and seen["job"]["result"]
    assert seen["where"]["attempt"] == 1 and set(seen["where"]) == {"session", "instance", "host",
                                                                    "attempt"}
    events = seen["events"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert all(event["timestamp"] and event["type"] for event in events) and not seen["more"]
    behind = monitor.json(f"/api/jobs/{job_id}?after={events[0]['seq']}")["events"]
    assert behind == events[1:]


# What is done

def test_a_job_is_cancelled_and_run_again_and_the_log_tells_who(own, drained, token):
    job_id = post_waiting(own, drained, token, "wait for me")
    assert drained.overview()["queue"] == {"queued": 1, "running": 0}
    wait_until(lambda: drained.overview()["problems"] == [
        "every worker is draining: jobs wait until one is resumed"], 10, "it is said")
    cancelled = drained.post(f"/api/jobs/{job_id}/cancel").json()
    assert cancelled["status"] == status_of(own, job_id) == "cancelled"
    assert drained.json(f"/api/jobs/{job_id}")["job"]["status"] == "cancelled"
    again = drained.post(f"/api/jobs/{job_id}/retry").json()["job_id"]
    rows = own.sql("SELECT user_id, message, status FROM job_records WHERE id IN (%s, %s)"
                   " ORDER BY id", job_id, again)
    assert rows[0][:2] == rows[1][:2] and rows[1][2] == "pending"
    third = own.post_run(token, "revoke me")
    assert drained.post(f"/api/task/revoke/{third}").json() == {"message": f"Revoked '{third}'"}
    assert status_of(own, third) == "cancelled"
    resume(drained)
    assert own.wait_job(token, again, status="completed")["result"] == "echo: wait for me"
    log = own.log("monitor")
    for event, what in (("operator_drain", "worker@"), ("operator_cancel", job_id),
                        ("operator_retry", again), ("operator_cancel", third),
                        ("operator_resume", "worker@")):
        assert re.search(rf" {event} by=token .*{what}", log), event


def test_acts_on_what_is_not_there(monitor):
    for path in ACTS[:-1]:
        answer = monitor.post(path)
        assert answer.status_code == 404, path
        assert isinstance(answer.json()["detail"], str)


# Flower's

def test_workers_in_flower_s_form(own, monitor):
    workers = wait_until(lambda: len(found := monitor.workers()) == 2 and found, 20, "two workers")
    assert {one["pid"] for one in workers.values()} == set(own.pids("worker").values())
    for name, one in workers.items():
        assert name == f"worker@{one['instance']}" and one["host"] and one["version"]
        assert one["active_queues"][0]["name"] == "celery"
        assert one["registered"] == monitor.json("/api/task/types")["task-types"]
        assert one["stats"]["pool"]["max-concurrency"] == one["capacity"] == 256
        assert one["running"] == 0 and not one["draining"] and one["reachable"]
        assert one["timestamp"] > 0 and one["stats"]["pid"] == one["pid"]
    assert monitor.json("/api/workers?status=true") == dict.fromkeys(workers, True)
    assert list(monitor.json(f"/api/workers?refresh=1&workername={name}")) == [name]
    unknown = monitor.get("/api/workers?workername=celery@x")
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "Unknown worker 'celery@x'")


def test_tasks_in_flower_s_form(own, monitor, token):
    job_id = own.post_run(token, "a task")
    job = own.wait_job(token, job_id, status="completed")
    task = wait_until(lambda: (found := monitor.json("/api/tasks").get(job_id))
                      and found["state"] == "SUCCESS" and found, 5, "listed as ended")
    assert set(task) >= FLOWER_TASK
    assert task["name"] == "run_mcp_toolkit" and task["args"] == '["a task"]'
    assert task["received"] <= task["started"] <= task["succeeded"] == task["timestamp"]
    info = monitor.json(f"/api/task/info/{job_id}")
    assert set(info) >= FLOWER_TASK and info["task-id"] == job_id
    assert (info["state"], info["result"]) == ("SUCCESS", job["result"])
    assert (info["started"], info["runtime"]) == (task["started"], task["runtime"])
    assert monitor.json(f"/api/task/result/{job_id}") == {
        "task-id": job_id, "state": "SUCCESS", "result": job["result"]}
    assert job_id in monitor.json("/api/tasks?state=SUCCESS&taskname=run_mcp_toolkit&search=task")
    assert job_id not in monitor.json("/api/tasks?state=FAILURE")
    assert monitor.json("/api/tasks?taskname=tasks.add") == {}
    assert monitor.json("/api/tasks?workername=celery@x") == {}
    assert monitor.json("/api/tasks?received_end=2001-01-01 00:00") == {}
    times = [one["received"] for one in monitor.json("/api/tasks?sort_by=received").values()]
    assert times == sorted(times) and len(times) > 2
    some = list(monitor.json("/api/tasks?sort_by=-received&limit=2&offset=1"))
    assert some == list(monitor.json("/api/tasks?sort_by=-received"))[1:3]
    unknown = monitor.get("/api/task/info/nothing")
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "Unknown task 'nothing'")


def test_a_result_is_waited_for(own, drained, token):
    job_id = post_waiting(own, drained, token, "later")
    assert drained.json(f"/api/task/result/{job_id}") == {"task-id": job_id, "state": "PENDING"}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(drained.json, f"/api/task/result/{job_id}?timeout=15")
        resume(drained)
        assert waiting.result()["result"] == "echo: later"


def test_metrics_have_the_queue_and_the_workers(own, monitor):
    text = own.http.get(own.monitor_url + "/metrics", timeout=30).text
    workers = monitor.workers()
    for name in workers:
        assert f'flower_worker_online{{worker="{name}"}} 1' in text
        assert f'mcpbus_monitor_worker_capacity{{worker="{name}"}} 256' in text
    assert 'mcpbus_replicas{service="worker"} 2' in text
    for name in ("mcpbus_monitor_queued", "mcpbus_monitor_running"):
        assert re.search(rf"^{name} \d+$", text, re.M), name
    assert "@example.com" not in text


# That watching costs nothing

def test_ten_viewers_cost_no_more_than_one(own, monitor):
    def look(_):
        with Monitor(own) as one:
            for _ in range(20):
                one.overview()
    before, began = monitor.metric("mcpbus_monitor_questions_total"), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        list(pool.map(look, range(10)))
    seconds = time.monotonic() - began
    asked = monitor.metric("mcpbus_monitor_questions_total") - before
    assert asked <= 4 * (seconds + 2), f"{asked} questions in {seconds:.1f} s, for 200 looks"


# What breaks

def test_a_killed_worker_is_gone_within_five_seconds(own, monitor):
    wait_until(lambda: len(monitor.workers()) == 2, 20, "two workers")
    before = {one["pid"]: name for name, one in monitor.workers().items()}
    gone = before[own.kill("worker", 2)]
    wait_until(lambda: gone not in monitor.workers(), 5, "gone")
    assert all(f"worker@{one['instance']}" != gone for one in monitor.overview()["replicas"])
    back = wait_until(lambda: len(found := monitor.workers()) == 2 and found, 20, "another")
    assert gone not in back


@pytest.mark.slow
def test_a_frozen_replica_is_shown_and_delays_nothing(own, monitor):
    wait_until(lambda: monitor.overview()["ok"], 20, "all is well")
    pid = own.kill("worker", 2, signal.SIGSTOP)

    def frozen():
        began = time.monotonic()
        found = [one for one in monitor.overview()["replicas"] if one["pid"] == pid]
        assert time.monotonic() - began < 5 * slow()
        return found and not found[0]["reachable"] and found[0]
    try:
        shown = wait_until(frozen, 10, "unreachable")
        assert shown["problem"].startswith("does not answer")
        name = f"worker@{shown['instance']}"
        assert monitor.json("/api/workers?status=true").get(name) is not True
        assert any(name in problem for problem in monitor.overview()["problems"])
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: monitor.overview()["ok"], 30, "all is well again")


@pytest.mark.slow
def test_a_frozen_jobs_is_said(own, monitor):
    pid = own.kill("jobs", 1, signal.SIGSTOP)
    try:
        seen = wait_until(lambda: (now := monitor.overview())["queue"]["queued"] is None and now,
                          20, "not known")
        assert not seen["ok"] and any("jobs" in one for one in seen["problems"])
        seen = wait_until(lambda: (now := monitor.overview())["workers"]["capacity"] is None and now,
                          20, "what workers can do is not known either")
        assert seen["workers"]["count"] == 2 and seen["workers"]["running"] is None
        assert monitor.get("/api/jobs").status_code == 503
        assert monitor.get("/api/workers").status_code == 200
        assert monitor.metric("mcpbus_monitor_queue_known") == 0
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: monitor.overview()["ok"], 30, "all is well again")


def sessions_of_postgresql(pid):
    """The processes that serve its clients."""
    lines = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True,
                           text=True, check=True).stdout.splitlines()
    return [int(line.split()[0]) for line in lines if "127.0.0.1(" in line]


@pytest.mark.slow
def test_postgresql_away_is_said(own, monitor):
    pid = own.kill("postgres", 1, signal.SIGSTOP)
    try:
        for session in sessions_of_postgresql(pid):
            os.kill(session, signal.SIGTERM)

        def away():
            now = monitor.overview()
            return "problem" in now["database"] and now["problems"] and now
        seen = wait_until(away, 30, "it is said")
        assert not seen["ok"]
        assert [one["connected"] for one in seen["brokers"]] == [True, True]
        assert monitor.get("/healthcheck").text == "OK"
        refused = monitor.get("/api/stats")
        assert refused.status_code == 503 and refused.json()["detail"]
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: monitor.overview()["ok"], 60, "all is well again")


@pytest.mark.slow
def test_brokers_away_are_said(own, monitor):
    pids = [own.kill("broker", n, signal.SIGSTOP) for n in (1, 2)]

    def apart():
        now = monitor.overview()
        return not any(one["connected"] for one in now["brokers"]) and now
    try:
        seen = wait_until(apart, 30, "not connected")
        assert len(seen["problems"]) == 2
        assert monitor.get("/api/workers").status_code == 503
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    wait_until(lambda: monitor.overview()["ok"], 60, "all is well again")


@pytest.mark.slow
def test_a_killed_monitor_comes_back_with_the_history(own, monitor, token):
    own.wait_job(token, own.post_run(token, "remember me"), status="completed")

    def history():
        points = monitor.json("/api/stats?span=3600")["points"]
        return sum(point["completed"] for point in points)

    def told():
        return own.sql("SELECT count(*) FROM job_records WHERE status = 'completed'")[0][0]
    wait_until(lambda: history() == told(), 20, "all are counted")
    old = own.kill("monitor")

    def again():
        try:
            return own.pid("monitor-1") != old and history()
        except requests.RequestException:
            return 0
    assert wait_until(again, 20, "back") == told()


@pytest.mark.slow
def test_jobs_run_while_many_look(own, monitor, token):
    def look(_):
        with Monitor(own) as one:
            for path in 15 * ("/api/overview", "/api/jobs", "/api/stats", "/api/workers"):
                one.json(path)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        looks = [pool.submit(look, n) for n in range(6)]
        jobs = list(pool.map(lambda n: own.post_run(token, f"beside {n}"), range(200)))
        for one in looks:
            one.result()
    for job_id in jobs:
        own.wait_job(token, job_id, status="completed")
    assert monitor.overview()["queue"]["queued"] == 0
