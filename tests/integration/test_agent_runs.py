"""What becomes of an agent's run: resumed after its worker's death, at the end of a budget, with a
conversation that is too long, with more tools than a request holds. All that the model was sent is
kept, and judged as strictly as an endpoint may judge it."""
import json
import pathlib
import re
import shutil
import uuid

import pytest

from asking import Recorder
from client import of_kind, original_token, User
from stack import Stack, wait_until

SERVER = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "agent_server.py"
PROMPT = "You work for {user_name} <{user_email}>, on {date} in {time_zone}."


class AgentStack(Stack):
    """Two workers; the tools are those of agent_server.py, twice: "t", and "many" with 200 more."""

    def __init__(self, folder):
        self.recorder = Recorder()
        for parent in (folder, folder.parent, folder.parent.parent):
            parent.chmod(parent.stat().st_mode | 0o055)
        server = str(shutil.copy(SERVER, folder / SERVER.name))
        self.trace, self.go = folder / "trace", folder / "go"
        self.trace.touch()
        self.trace.chmod(0o666)  # the tools may be another user
        env = {"TRACE": str(self.trace), "GO": str(self.go)}
        (folder / "mcp.json").write_text(json.dumps({"mcpServers": {
            "t": {"command": server, "env": env},
            "many": {"command": server, "env": {**env, "FILLERS": "200"}}}}))
        super().__init__(scale={"worker": 2}, env={
            "MCP_CONFIG": str(folder / "mcp.json"), "OPENAI_BASE_URL": self.recorder.url,
            "SYSTEM_PROMPT": PROMPT, "TIME_ZONE": "America/New_York", "RUN_MAX_COST": "5",
            "MODEL_PRICES": '{"gpt": [2.5, 1.25, 10], "dear": [1e5, 1e5, 1e5]}'})
        self.recorder.target = self.sandbox_url

    def acts(self, text):
        """The tools that were called with this text, in order."""
        return [line.split(" ", 1)[0] for line in self.trace.read_text().splitlines()
                if line.split(" ", 1)[1] == text]

    def kill_worker_of(self, job_id):
        session, = self.sql("SELECT session FROM job_queue WHERE job_id = %s", job_id)[0]
        name = wait_until(lambda: next((f"worker-{n}" for n in (1, 2)
                                        if session in self.log(f"worker-{n}")), None),
                          10, "the worker is known")
        self.kill("worker", int(name[-1]))


@pytest.fixture(scope="module")
def agents(tmp_path_factory):
    one = AgentStack(tmp_path_factory.mktemp("agents"))
    yield one
    one.close()
    one.recorder.close()


@pytest.fixture
def user(agents):
    return User(agents, original_token(agents, name="Ada\nLovelace", email="ada@example.com"))


def check(request):
    """Each call is answered once, in order, right behind it; names are legal, arguments objects."""
    open_calls = []
    assert request["messages"][0]["role"] == "system"
    assert len(request.get("tools", [])) <= 128
    for message in request["messages"]:
        if message["role"] == "tool":
            assert open_calls.pop(0) == message["tool_call_id"]
            assert isinstance(message["content"], str)
            continue
        assert not open_calls
        for call in message.get("tool_calls") or []:
            open_calls.append(call["id"])
            assert re.fullmatch("[A-Za-z0-9_-]{1,64}", call["function"]["name"])
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
    assert not open_calls
    return request


def requests_of(stack, text):
    return [check(request) for request in stack.recorder.of(text)]


def results(request):
    return [message["content"] for message in request["messages"] if message["role"] == "tool"]


def steps(*names, text=None, head=""):
    """(A message that has the model call these tools one after the other, their text)."""
    text = text or f"text {uuid.uuid4().hex[:12]}"
    parts = [f"use tool {name} with " + json.dumps({"text": text}) for name in names]
    return head + "\nthen ".join(parts), text


def post(user, message, **options):
    answer = user.post("/run", json={"message": message, **options})
    assert answer.status_code == 200, answer.text
    return answer.json()["job_id"]


def calls(user, job_id):
    return [event.data["name"] for event in of_kind(user.events(job_id), "tool_call")]


@pytest.fixture
def hanging(agents):
    """Tools that hang do so until the fixture is called."""
    agents.go.unlink(missing_ok=True)
    yield agents.go.touch
    agents.go.touch()


def begun(agents, text, *tools):
    wait_until(lambda: agents.acts(text) == list(tools), 30, f"{tools} are called")


# Resumed

def test_a_killed_run_goes_on_behind_its_last_call(agents, user, hanging):
    """It may not be known whether the interrupted call has acted: it is not repeated, and the model
    is told; nor is anything before it."""
    message, text = steps("t__send", "t__hang_send", "t__look")
    job_id = post(user, message)
    begun(agents, text, "send", "hang_send")
    agents.kill_worker_of(job_id)
    job = user.finished(job_id)
    hanging()
    assert job["status"] == "completed", job
    assert agents.acts(text) == ["send", "hang_send", "look"]
    assert calls(user, job_id) == ["t__send", "t__hang_send", "t__look"]
    requests = requests_of(agents, text)
    assert len(requests) == 4, "each question was asked once"
    told = results(requests[2])
    assert told[0] == f"send has done {text}"
    assert "unknown whether the tool acted" in told[1]
    events = user.events(job_id)
    assert [event.data["is_error"] for event in of_kind(events, "tool_result")] == [
        False, True, False]
    assert [event.data["turn"] for event in of_kind(events, "tool_call")] == [1, 2, 3]
    said = of_kind(events, "message")[-1].data
    assert said["usage"]["total_tokens"] == job["token_usage"]["total_tokens"], "of both attempts"


@pytest.mark.slow
def test_what_only_looks_is_called_again(agents, user, hanging):
    message, text = steps("t__send", "t__hang_look")
    job_id = post(user, message)
    for count in (1, 2):
        begun(agents, text, "send", *["hang_look"] * count)
        agents.kill_worker_of(job_id)
    begun(agents, text, "send", *["hang_look"] * 3)
    hanging()
    job = user.finished(job_id)
    assert job["status"] == "completed", job
    assert agents.acts(text) == ["send"] + ["hang_look"] * 3
    requests = requests_of(agents, text)
    assert len(requests) == 3
    assert results(requests[-1]) == [f"send has done {text}", f"hang_look has done {text}"]
    found = agents.sql("SELECT attempts FROM job_records WHERE id = %s", job_id)
    assert found == [(3,)]


@pytest.mark.slow
def test_killed_while_the_model_thinks(agents, user):
    """The question that was not answered is asked again, as it was; what is left for the answer is
    estimated anew."""
    message, text = steps("t__send", "t__look", head="[sandbox:slow=5]\n")
    job_id = post(user, message)
    wait_until(lambda: len(agents.recorder.of(text)) == 2, 30, "the second question is asked")
    agents.kill_worker_of(job_id)
    job = user.finished(job_id)
    assert job["status"] == "completed", job
    assert agents.acts(text) == ["send", "look"]
    requests = requests_of(agents, text)
    assert len(requests) == 4
    for request in requests[1:3]:
        request.pop("max_tokens", None)
    assert requests[1] == requests[2]


# Budgets

def test_turns_end_and_what_was_found_is_kept(agents, user):
    message, text = steps("t__send", "t__look", "t__send")
    job_id = post(user, message, max_turns=2)
    job = user.finished(job_id)
    assert job["status"] == "failed"
    assert job["error_message"].startswith("budget_exhausted: turns")
    assert f"look has done {text}" in job["result"]
    assert agents.acts(text) == ["send", "look"]
    requests = requests_of(agents, text)
    assert len(requests) == 3 and requests[-1]["tool_choice"] == "none"


def test_tokens_end(agents, user):
    message, text = steps(*["t__tell"] * 8)
    job = user.finished(post(user, message, max_tokens=60000))
    assert job["status"] == "failed"
    assert job["error_message"].startswith("budget_exhausted: tokens")
    assert job["token_usage"]["total_tokens"] <= 60000
    assert "story story" in job["result"]
    assert 1 < len(requests_of(agents, text)) < 8


def test_cost_ends(agents, user):
    """By the setting; a model without a price can't be asked under it."""
    message, text = steps("t__look")
    job = user.finished(post(user, message, model="dear-one"))
    assert job["error_message"].startswith("budget_exhausted: cost"), job
    job = user.finished(post(user, message, model="unknown"))
    assert "MODEL_PRICES has no price for the model unknown" in job["error_message"]
    assert agents.recorder.of(text) == []


# Context

def test_a_conversation_that_grows_too_long(agents, user):
    """The model reads 30,000 tokens; each story has 7,500. The oldest are shortened, the task and
    the newest are whole."""
    message, text = steps(*["t__tell"] * 6, head="[sandbox:window=30000]\n")
    job = user.finished(post(user, message, tools=["t"]))
    assert job["status"] == "completed", job
    requests = requests_of(agents, text)
    assert len(requests) > 7, "some were too long"
    last = requests[-1]
    told = results(last)
    assert len(told) == 6
    assert "removed here to make room" in told[0] or "removed to make room" in told[0]
    assert len(told[-1]) == 30000
    assert [one["content"] for one in last["messages"] if one["role"] == "user"] == [message]


def test_a_task_that_is_longer_than_the_model_reads(agents, user):
    message, _ = steps("t__look", head="[sandbox:window=500]\n" + "word " * 2000)
    job = user.finished(post(user, message, tools=["t"]))
    assert job["status"] == "failed"
    assert "larger than what the model can read" in job["error_message"]


# Tools

def names(request):
    return [tool["function"]["name"] for tool in request["tools"]]


def test_more_tools_than_a_request_holds(agents, user):
    """Those that don't fit are found by searching, and called."""
    text = f"text {uuid.uuid4().hex[:12]}"
    message = ('use tool search_tools with {"query": "weigh a penguin"}\n'
               'then use tool many__weigh_penguin with ' + json.dumps({"text": text}))
    job_id = post(user, message)
    job = user.finished(job_id)
    assert job["status"] == "completed", job
    assert agents.acts(text) == ["weigh_penguin"]
    assert calls(user, job_id) == ["search_tools", "many__weigh_penguin"]
    first, second, _ = requests_of(agents, text)
    assert len(names(first)) == 128 and "search_tools" in names(first)
    assert names(first)[:6] == ["t__look", "t__send", "t__hang_send", "t__hang_look", "t__tell",
                                "t__weigh_penguin"]
    assert "many__weigh_penguin" not in names(first)
    assert "many__weigh_penguin" in names(second)
    assert "many__weigh_penguin" in results(second)[0]


def test_names_that_models_invent(agents, user):
    text = f"text {uuid.uuid4().hex[:12]}"
    message = f"{text}: really use tool lok with {{}}\nand really use tool my.tool!/x with {{}}"
    job = user.finished(post(user, message, tools=["many"]))
    assert job["status"] == "completed", job
    told = results(requests_of(agents, text)[-1])
    assert told[0].startswith("There is no tool named lok. Did you mean: many__look")
    assert told[1].startswith("There is no tool named my")


def test_an_allow_list_that_fits_nothing_is_told(user):
    job_id = post(user, "Say hello", tools=["t__look", "t__lok"])
    assert user.finished(job_id)["status"] == "completed"
    told = [event.data["message"] for event in of_kind(user.events(job_id), "progress")]
    assert told == ["No tool or tool server is called t__lok"]


# The system's message

def test_the_system_prompt(agents, user):
    text = f"Say {uuid.uuid4().hex}"
    assert user.finished(post(user, text))["status"] == "completed"
    told = requests_of(agents, text)[0]["messages"][0]["content"]
    assert re.fullmatch(r"You work for .*, on \w+day, \d{4}-\d\d-\d\d in America/New_York\.", told)
