"""From one request to every line and span about it: ids through the HTTP request, the bus, the queue, the
run, the model and the tools; spans at a collector; a collector that is away or hostile. And what
Prometheus finds: every service's metrics, what the dashboard and the alerts ask for."""
import http.client
import json
import pathlib
import re
import secrets
import subprocess

import pytest
import yaml

import model_servers
from client import sign_in
from otlp_collector import Collector
from pg_cluster import free_port
from side import BIN
from stack import ROOT, Stack, wait_until

OBSERVABILITY = ROOT / "deploy" / "observability"
SERVER = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "meta_server.py"
SERVICES = ("broker", "auth", "jobs", "worker", "gateway", "monitor")
STATE = "vendor=abc,other@x=1"
SERVER_KIND, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5
IN_PART = {"OTEL_TRACES_SAMPLER": "parentbased_always_off", "LOG_FORMAT": "json",
           "LOG_LEVEL": "debug", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b",
           "WORKER_CONCURRENCY": "16"}


def ask(owner, request, handler):
    """Calls the tool that the message names, then answers."""
    owner.headers.append(dict(handler.headers))
    turn = model_servers.turn(request)
    message = {"role": "assistant", "content": "done"}
    if turn == 0:
        message = {"role": "assistant", "content": None, "tool_calls": [
            {"id": f"call_{n}", "type": "function",
             "function": {"name": f"meta__{name}", "arguments": "{}"}}
            for n, name in enumerate(model_servers.last_user(request).split())]}
    handler.json(200, {
        "id": "chat-1", "object": "chat.completion", "created": 1, "model": "traced-1",
        "choices": [{"index": 0, "message": message,
                     "finish_reason": "stop" if turn else "tool_calls"}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}})


@pytest.fixture(scope="module")
def collector():
    one = Collector()
    yield one
    one.close()


@pytest.fixture(scope="module")
def model():
    one = model_servers.Endpoint({"traced": ask})
    one.headers = []
    yield one
    one.close()


@pytest.fixture(scope="module")
def traced(tmp_path_factory, collector, model):
    folder = tmp_path_factory.mktemp("traced")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(parent.stat().st_mode | 0o011)
    notes = folder / "notes"
    notes.touch()
    notes.chmod(0o666)
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": {
        "meta": {"command": str(SERVER), "env": {"TRACE": str(notes)}}}}))
    (folder / "mcp.json").chmod(0o644)
    ports = {service: free_port() for service in SERVICES}
    one = Stack(env={**IN_PART, "MCP_CONFIG": str(folder / "mcp.json"),
                     "OPENAI_BASE_URL": model.url, "OPENAI_MODEL": "traced", "OPENAI_API_KEY": "k",
                     "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
                     "MCPBUS_HEALTH_PORTS": " ".join(f"{s}-1={p}" for s, p in ports.items())})
    one.ports, one.notes = ports, notes
    one.user = sign_in(one)
    yield one
    one.close()


def run(stack, message, **headers):
    """Runs it to its end: the job, and the request's id."""
    answer = stack.user.post("/run", json={"message": message}, headers=headers)
    assert answer.status_code == 200, answer.text
    job = stack.user.finished(answer.json()["job_id"], 60)
    return job, answer.headers["X-Request-Id"]


def lines(stack, service, **fields):
    """The log's lines with these fields; each is JSON, all of them."""
    found = [json.loads(line) for line in stack.log(service).splitlines() if line.startswith("{")]
    for line in found:
        assert {"time", "level", "service", "event"} <= set(line), line
    return [line for line in found if all(line.get(key) == value for key, value in fields.items())]


def tree(collector, trace, count):
    """The spans of a trace, once there are so many: by name."""
    wait_until(lambda: len(collector.of(trace)) >= count, 20, f"{count} spans")
    spans = collector.of(trace)
    ids = {span.id for span in spans}
    assert len(ids) == len(spans), "an id is used twice"
    return spans, {span.name: span for span in spans}


def test_one_trace_from_the_request_to_the_tools(traced, collector, model):
    trace, parent = secrets.token_hex(16), secrets.token_hex(8)
    model.headers.clear()
    traced.notes.write_text("")
    job, request_id = run(traced, "note fail", traceparent=f"00-{trace}-{parent}-01",
                          tracestate=STATE, **{"X-Request-Id": "order-66"})
    assert request_id == "order-66" and job["status"] == "completed", job
    spans, by_name = tree(collector, trace, 9)
    assert not collector.problems, collector.problems
    assert collector.headers["x-key"] == "a b"
    http, send, commit = by_name["POST /run"], by_name["send jobs"], by_name["jobs.submit"]
    queued, process = by_name["queued"], by_name["process jobs"]
    assert (http.service, http.kind, http.parent) == ("mcpbus-gateway", SERVER_KIND, parent)
    assert http.attributes["http.response.status_code"] == 200
    assert http.attributes["mcpbus.request_id"] == "order-66"
    assert (send.service, send.kind, send.parent) == ("mcpbus-gateway", PRODUCER, http.id)
    assert (commit.service, commit.kind, commit.parent) == ("mcpbus-jobs", SERVER_KIND, send.id)
    assert (queued.service, queued.parent) == ("mcpbus-jobs", send.id)
    assert (process.service, process.kind, process.parent) == ("mcpbus-worker", CONSUMER, send.id)
    assert process.attributes["messaging.message.id"] == job["job_id"]
    assert process.attributes["mcpbus.job.outcome"] == "completed" and not process.error
    chats = [span for span in spans if span.name == "chat traced"]
    assert [chat.kind for chat in chats] == [CLIENT, CLIENT]
    assert {chat.parent for chat in chats} == {process.id}
    assert all(chat.attributes["gen_ai.usage.input_tokens"] == 11 and
               chat.attributes["gen_ai.usage.output_tokens"] == 7 and
               chat.attributes["gen_ai.request.model"] == "traced" and
               chat.attributes["gen_ai.response.model"] == "traced-1" for chat in chats)
    tools = {span.attributes["gen_ai.tool.name"]: span for span in spans
             if span.name.startswith("execute_tool")}
    assert set(tools) == {"meta__note", "meta__fail"}
    assert {tool.parent for tool in tools.values()} == {process.id}
    assert tools["meta__fail"].error and not tools["meta__note"].error
    assert all(process.start <= one.start and one.end <= process.end + 10**9
               for one in (*chats, *tools.values()))
    ids = {span.id for span in spans} | {parent}
    assert all(span.parent in ids for span in spans)
    told = [headers["traceparent"] for headers in model.headers]
    assert sorted(told) == sorted(f"00-{trace}-{chat.id}-01" for chat in chats)
    assert {headers["tracestate"] for headers in model.headers} == {STATE}
    notes = [json.loads(line) for line in traced.notes.read_text().splitlines()]
    assert {note["traceparent"] for note in notes} \
        == {f"00-{trace}-{tool.id}-01" for tool in tools.values()}
    assert {note["tracestate"] for note in notes} == {STATE}
    text = json.dumps([span.attributes for span in spans])
    assert "note fail" not in text and "noted" not in text  # neither prompts nor results


def test_what_nobody_follows_makes_no_span_and_tells_nobody(traced, collector, model):
    model.headers.clear()
    traced.notes.write_text("")
    job, request_id = run(traced, "note", traceparent=f"00-{'a' * 32}-{'b' * 16}-00")
    assert not collector.of("a" * 32)
    assert model.headers[0]["traceparent"] == f"00-{'a' * 32}-{'b' * 16}-00"  # goes on as it came
    job, request_id = run(traced, "note")
    assert job["status"] == "completed" and len(request_id) == 32
    assert not collector.of(request_id)
    assert "traceparent" not in model.headers[-1]
    assert "traceparent" not in json.loads(traced.notes.read_text().splitlines()[-1])
    row, = traced.sql("SELECT request_id, traceparent, tracestate FROM job_data WHERE id = %s",
                      job["job_id"])
    assert row == (request_id, None, None)


def test_every_line_about_a_request_has_its_ids(traced):
    job, request_id = run(traced, "note")
    events = {service: {line["event"] for line in lines(traced, service, request_id=request_id,
                                                        trace_id=request_id)}
              for service in ("gateway", "jobs", "worker")}
    assert "http_request" in events["gateway"]
    assert events["jobs"] & {"job_submitted", "job_submitted_claimed"}
    assert {"run_started", "model_answered", "tool_called", "run_ended"} <= events["worker"]
    wait_until(lambda: lines(traced, "jobs", event="job_attempt_ended", request_id=request_id), 10)
    assert {line["job_id"] for service in ("jobs", "worker")
            for line in lines(traced, service, request_id=request_id)
            if line["event"] != "bus_request"} == {job["job_id"]}
    answer = traced.user.get(f"/result/{job['job_id']}", headers={"X-Request-Id": "look-1"})
    assert answer.status_code == 200
    assert lines(traced, "gateway", request_id="look-1", event="http_request")
    listed = traced.user.get("/jobs", headers={"X-Request-Id": "list-1"})
    assert listed.status_code == 200
    assert lines(traced, "jobs", request_id="list-1", event="bus_request", method="list")


def test_a_malformed_traceparent_is_as_none(traced, collector):
    for parent in ("", "00-x", f"00-{'0' * 32}-{'b' * 16}-01", "00-" + "a" * 500,
                   f"ff-{'a' * 32}-{'b' * 16}-01"):
        job, request_id = run(traced, "note", traceparent=parent, tracestate="x" * 2000)
        assert job["status"] == "completed"
        assert lines(traced, "worker", job_id=job["job_id"], trace_id=request_id)
    assert not collector.of("a" * 32)


def test_spans_name_the_job_that_there_is_and_no_made_up_methods(traced, collector):
    traces = [secrets.token_hex(16) for _ in range(4)]
    headers = [{"traceparent": f"00-{trace}-{'b' * 16}-01", "Idempotency-Key": "once-traced"}
               for trace in traces]
    first, again = (traced.user.post("/run", json={"message": "note"}, headers=one)
                    for one in headers[:2])
    assert first.json() == again.json(), again.text
    other = traced.user.post("/run", json={"message": "other"}, headers=headers[2])
    assert other.status_code == 409, other.text
    job_id = first.json()["job_id"]
    jobs = [tree(collector, trace, 3)[1]["jobs.submit"].attributes.get("messaging.message.id")
            for trace in traces[:3]]
    assert jobs == [job_id, job_id, None]
    told = [{line["event"]: line["job_id"] for line in lines(traced, "jobs", trace_id=trace)
             if line["event"].startswith("job_")} for trace in traces[1:3]]
    assert told == [{"job_known": job_id}, {"job_refused": ""}]
    connection = http.client.HTTPConnection(traced.gateway_url.rpartition("/")[2], timeout=30)
    connection.request("BREW", "/coffee", headers={"traceparent": headers[3]["traceparent"]})
    assert connection.getresponse().status in (404, 405)
    connection.close()
    spans, _ = tree(collector, traces[3], 1)
    assert [(span.name, span.attributes["http.request.method"],
             span.attributes["http.request.method_original"]) for span in spans] \
        == [("HTTP", "_OTHER", "BREW")]


@pytest.mark.parametrize("endpoint", ["http://u:secret9@127.0.0.1:1", "http://127.0.0.1:1/?a=b",
                                      "http://127.0.0.1:1/#a"])
def test_an_endpoint_that_never_works_is_refused_at_the_start(endpoint):
    done = subprocess.run([BIN / "mcpbus-broker", "--env-file", "/dev/null"], timeout=60, text=True,
                          capture_output=True, check=False,
                          env={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "BUS_SECURITY": "plain",
                               "BROKER_PORT": str(free_port())})
    assert done.returncode == 1 and "OTEL_EXPORTER_OTLP_ENDPOINT" in done.stderr, done.stderr
    assert "secret9" not in done.stderr


def works_on(stack):
    """Jobs go on as ever."""
    for _ in range(5):
        parent = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
        job, _ = run(stack, "note", traceparent=parent)
        assert job["status"] == "completed", job


def counted(stack, service, name):
    return sum(float(line.rpartition(" ")[2]) for line in scrape(stack, service).splitlines()
               if line.startswith(name) and not line.startswith("#"))


def scrape(stack, service):
    return stack.http.get(f"http://127.0.0.1:{stack.ports[service]}/metrics", timeout=30).text


def names_in(text):
    return set(re.findall(r"\b(?:mcpbus|process)_[a-z0-9_]+", text))


def test_prometheus_understands_every_service(traced):
    """promtool complains of names, units and types that the conventions don't know."""
    assert run(traced, "note fail")[0]["status"] == "completed"
    assert traced.user.post("/jobs/nobody/cancel").status_code == 404  # a call that fails
    exposed = set()
    for service in SERVICES:
        text = wait_until(lambda one=service: scrape(traced, one), 10)
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                                 capture_output=True, check=False)
        assert checked.returncode == 0 and not checked.stdout + checked.stderr, \
            service + checked.stdout + checked.stderr
        assert f'mcpbus_build_info{{service="{service}",' in text
        assert {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
                "process_start_time_seconds", "mcpbus_loop_lag_seconds_bucket",
                "mcpbus_ready"} <= names_in(text)
        assert "\nmcpbus_ready 1\n" in text, service
        exposed |= names_in(text)
    board = json.loads((OBSERVABILITY / "grafana/dashboards/mcpbus.json").read_text())
    asked = names_in(json.dumps(board["panels"])) | names_in(
        (OBSERVABILITY / "prometheus/rules.yml").read_text())
    assert len(asked) > 30 and not asked - exposed, sorted(asked - exposed)


OF_A_JOB = ("mcpbus_job_duration_seconds_count", "mcpbus_job_wait_seconds_count",
            "mcpbus_jobs_submitted_total", 'mcpbus_jobs_attempts_total{end="completed"}')


def test_the_hops_of_a_job_are_measured(traced):
    before = {name: counted(traced, service, name) for service, name in (
        ("worker", "mcpbus_tool_call_duration_seconds_count"),
        ("worker", "mcpbus_tool_call_failures_total"),
        ("worker", 'mcpbus_model_tokens_total{direction="input"}'),
        *(("jobs", name) for name in OF_A_JOB))}
    run(traced, "note fail")
    assert counted(traced, "worker", "mcpbus_tool_call_duration_seconds_count") \
        == before["mcpbus_tool_call_duration_seconds_count"] + 2
    assert counted(traced, "worker", "mcpbus_tool_call_failures_total") \
        == before["mcpbus_tool_call_failures_total"] + 1
    assert counted(traced, "worker", 'mcpbus_model_tokens_total{direction="input"}') \
        == before['mcpbus_model_tokens_total{direction="input"}'] + 22
    for name in OF_A_JOB:
        wait_until(lambda one=name: counted(traced, "jobs", one) == before[one] + 1, 10, name)
    gateway = scrape(traced, "gateway")
    assert 'mcpbus_bus_call_duration_seconds_count{method="jobs.submit"}' in gateway
    assert 'mcpbus_http_request_duration_seconds_count{method="POST",route="/run"}' in gateway
    jobs = scrape(traced, "jobs")
    assert 'mcpbus_bus_request_duration_seconds_count{method="jobs.submit"}' in jobs
    assert 'mcpbus_pg_statement_duration_seconds_count{statement="submit"}' in jobs
    assert "mcpbus_broker_request_duration_seconds_count" in scrape(traced, "broker")


def test_the_alert_rules():
    folder = OBSERVABILITY / "prometheus"
    for args in (("check", "config", "prometheus.yml", "compose.yml"),
                 ("test", "rules", "rules_test.yml")):
        done = subprocess.run(["promtool", *args], cwd=folder, capture_output=True, text=True,
                              timeout=100, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    rules = (folder / "rules.yml").read_text()
    book = (ROOT / "docs" / "observability.md").read_text()
    for name in re.findall(r"alert: (\w+)", rules):
        assert f"runbook: docs/observability.md#{name.lower()}\n" in rules, name
        assert f"\n### {name}\n" in book, f"{name} has no runbook"
        assert name in (folder / "rules_test.yml").read_text(), f"{name} has no test"


def test_the_files_to_begin_with_fit_what_is_there():
    """The Compose overlay's services and settings, the dashboard's panels, the pods' port."""
    base = yaml.safe_load((ROOT / "deploy/compose/docker-compose.yml").read_text())
    more = yaml.safe_load((OBSERVABILITY / "compose.yml").read_text())
    settings = re.findall(r"SETTING\((\w+),", (ROOT / "services/settings.def").read_text())
    ours = {name for name, one in more["services"].items() if "image" not in one}
    assert ours == {name for name in base["services"] if name.partition("-")[0] in SERVICES}
    for name in ours:
        assert set(more["services"][name]["environment"]) <= set(settings)
    for name in set(more["services"]) - ours:
        one = more["services"][name]
        assert one["profiles"] == ["observability"] and ":latest" not in one["image"]
        assert set(one["networks"]) <= set(base["networks"])
        for volume in one.get("volumes", []):
            path = volume.partition(":")[0]
            assert not path.startswith(".") or (ROOT / "deploy/compose" / path).exists(), volume
    board = json.loads((OBSERVABILITY / "grafana/dashboards/mcpbus.json").read_text())
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids) and all(
        panel["targets"] for panel in board["panels"] if panel["type"] != "row")
    monitor, network = yaml.safe_load_all((OBSERVABILITY / "kubernetes.yaml").read_text())
    port, = monitor["spec"]["podMetricsEndpoints"]
    pods = (ROOT / "deploy/kubernetes/base/jobs.yaml").read_text()
    assert re.search(rf"name: {port['port']}\n\s+containerPort: 8081", pods)
    assert network["spec"]["ingress"][0]["ports"][0]["port"] == 8081


def refuse(handler):
    handler.answer(400, b"no")


def shut(handler):
    handler.answer(503, b"later", [("Retry-After", "1")])


def flood(handler):
    handler.answer(200, b"x" * (4 << 20))


def nonsense(handler):
    handler.answer(200, b'{"partialSuccess": {"rejectedSpans": [[[')


def silence(handler):
    handler.collector.closed.wait(60)


@pytest.mark.slow
@pytest.mark.parametrize("behaviour", [refuse, shut, flood, nonsense, silence])
def test_a_collector_that_misbehaves_holds_nothing_up(traced, collector, behaviour):
    asked = collector.requests
    collector.behaviour = behaviour
    try:
        works_on(traced)
        wait_until(lambda: collector.requests > asked, 20, "the collector is asked")
        assert traced.healthy()
        waiting = counted(traced, "worker", "mcpbus_trace_spans_waiting")
        assert waiting <= 2 * 2048
    finally:
        collector.behaviour = None


@pytest.mark.once
def test_a_stop_sends_what_is_left_and_waits_for_nobody(new_stack, collector):
    """Sampled by our own decision; the collector gets the last spans when the services stop."""
    stack = new_stack(env={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url + "/",
                           "OTEL_SERVICE_NAME": "shop", "OTEL_TRACES_SAMPLER": "traceidratio",
                           "WORKER_RUNNER": "echo"})
    user = sign_in(stack)
    answer = user.post("/run", json={"message": "hello"},
                       headers={"traceparent": f"00-{'c' * 32}-{'d' * 16}-00"})
    user.finished(answer.json()["job_id"])
    stack.dev("down")
    spans = {span.name: span for span in collector.of("c" * 32)}
    assert {"POST /run", "send jobs", "jobs.submit", "queued", "process jobs"} <= set(spans)
    assert spans["POST /run"].service == "shop-gateway"
    assert not collector.problems, collector.problems
