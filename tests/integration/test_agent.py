"""Agent runs over the sandbox's model: tools, failures, the model's own failures."""
import json
import os
import signal
import uuid

import pytest

from client import children_of, of_kind, run_processes, sign_in
from guarantees import living
from stack import wait_until

pytest_plugins = ["shared_stacks"]

ALL_SCOPES = ["gmail_readonly", "drive", "calendar_events"]


@pytest.fixture
def user(wide_stack):
    return sign_in(wide_stack, scopes=ALL_SCOPES)


@pytest.fixture
def npm_user(npm_stack):
    return sign_in(npm_stack, scopes=ALL_SCOPES)


def run(user, message):
    """The ended job and its events."""
    job_id = user.run(message)
    return user.finished(job_id, 90), user.events(job_id)


def results(events):
    """Tool names and contents, in order."""
    return [(event.data["name"], event.data["content"]) for event in of_kind(events, "tool_result")]


def test_the_main_job(user):
    job, events = run(user, "List my recent emails")
    assert job["status"] == "completed", job
    assert "Here is what I found" in job["result"]
    calls, answers = of_kind(events, "tool_call"), of_kind(events, "tool_result")
    assert [call.data["name"] for call in calls] == ["google__gmail_list_messages"]
    assert calls[0].data["arguments"] == {"max_results": 5}
    assert calls[0].data["id"] == answers[0].data["id"]
    assert answers[0].data["is_error"] is False
    assert user.email in answers[0].data["content"]


def test_token_usage(user):
    """Summed over all calls of the model: the second asks with the tool's result in it."""
    one = user.done("Say hello")["token_usage"]
    two = user.done("List my recent emails")["token_usage"]
    for usage in (one, two):
        assert set(usage) == {"input_tokens", "output_tokens", "total_tokens"}
        assert usage["input_tokens"] > 0 and usage["output_tokens"] > 0
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert two["input_tokens"] > 1.5 * one["input_tokens"]


def test_two_turns(user):
    """The second call takes an id out of the first one's result."""
    _, events = run(user, "List my emails and read the first one")
    assert [call.data["name"] for call in of_kind(events, "tool_call")] == [
        "google__gmail_list_messages", "google__gmail_read_message_without_attachments"]
    assert all(not answer.data["is_error"] for answer in of_kind(events, "tool_result"))


def test_tools_in_several_turns(user):
    """A mail is found, read, and becomes an event."""
    job, events = run(user, "Find the mail about the dentist appointment and put it into my "
                            "calendar")
    assert job["status"] == "completed", job
    assert [(call.data["turn"], call.data["name"]) for call in of_kind(events, "tool_call")] == [
        (1, "google__gmail_list_messages"), (1, "google__calendar_list_events"),
        (2, "google__gmail_read_message_without_attachments"),
        (3, "google__calendar_create_event_with_invitations")]
    assert not any(answer.data["is_error"] for answer in of_kind(events, "tool_result"))
    _, listed = run(user, "Show my calendar")
    assert "dentist appointment" in results(listed)[0][1]


def test_tools_in_parallel(user):
    job, events = run(user, "Show my emails, my files and my calendar")
    assert job["status"] == "completed"
    kinds = [event.kind for event in events if event.kind in ("tool_call", "tool_result")]
    assert kinds == ["tool_call"] * 3 + ["tool_result"] * 3
    calls, answers = of_kind(events, "tool_call"), of_kind(events, "tool_result")
    assert [call.data["id"] for call in calls] == [answer.data["id"] for answer in answers]
    assert {call.data["name"] for call in calls} == {
        "google__gmail_list_messages", "google__drive_list_all_files",
        "google__calendar_list_events"}
    assert not any(answer.data["is_error"] for answer in answers)


def test_a_tool_that_fails(user):
    """The model is told, and the run goes on."""
    job, events = run(user, "use tool gmail_read_message_without_attachments with "
                            '{"message_id": "0000000000000000"}')
    assert job["status"] == "completed"
    answer = of_kind(events, "tool_result")[0]
    assert answer.data["is_error"] is True
    assert answer.data["content"]
    assert "ya29." not in answer.text


@pytest.mark.parametrize("arguments", ["{}", '{"query": 7}', "[1]", "7", "{not json",
                                       '{"query": "a\\u0000b"}', '{"query": "x", "more": {}}'])
def test_arguments_that_models_invent(user, arguments):
    job, events = run(user, f"use tool drive_search with {arguments}")
    assert job["status"] == "completed", job
    assert len(of_kind(events, "tool_result")) == 1


def test_a_conversation_without_tools(user):
    job, events = run(user, "Say hello")
    assert job["result"].startswith("You said: Say hello")
    assert not of_kind(events, "tool_call")


@pytest.mark.parametrize("fault", ["429x2", "500x1", "503x1", "408x1", "502x2"])
def test_the_model_fails_for_a_while(user, fault):
    job, _ = run(user, f"Say hello {uuid.uuid4()} [sandbox:{fault}]")
    assert job["status"] == "completed", job


def test_the_model_breaks_off(user):
    job, _ = run(user, f"Say hello {uuid.uuid4()} [sandbox:cutx1]")
    assert job["status"] == "completed", job


@pytest.mark.parametrize("fault", ["400", "401", "quota", "garbage"])
def test_the_model_fails_for_good(npm_stack, fault):
    """In a stack that tries a job once."""
    user = sign_in(npm_stack)
    job, events = run(user, f"Say hello [sandbox:{fault}]")
    assert job["status"] == "failed"
    assert job["result"] is None
    assert len(job["error_message"]) > 10
    assert "sandbox-key" not in job["error_message"]
    assert events[-1].data["status"] == "failed"


def test_a_model_without_end(user):
    job, events = run(user, "List my recent emails [sandbox:loop]")
    assert job["status"] == "failed"
    assert "25 model calls" in job["error_message"]
    assert len(of_kind(events, "tool_call")) == 25


def test_no_process_is_left(user, wide_stack):
    idle = run_processes(wide_stack)
    for message in ("List my recent emails", "Say hello [sandbox:400]"):
        run(user, message)
    wait_until(lambda: run_processes(wide_stack) <= idle, 10, "the runs' processes have ended")


# Servers of others

def test_three_servers_at_once(npm_user, npm_stack):
    hello = npm_stack.folder / "files" / "hello.txt"
    job, events = run(npm_user, f"""
        use tool filesystem__read_text_file with {json.dumps({"path": str(hello)})}
        use tool everything__get-sum with {{"a": 19, "b": 23}}
        use tool google__gmail_list_messages with {{"max_results": 1}}""")
    assert job["status"] == "completed", job
    assert [name for name, _ in results(events)] == [
        "filesystem__read_text_file", "everything__get-sum", "google__gmail_list_messages"]
    assert [event.data["server"] for event in of_kind(events, "tool_call")] == [
        "filesystem", "everything", "google"]
    contents = [content for _, content in results(events)]
    assert "Hello from a file" in contents[0]
    assert "42" in contents[1]
    assert npm_user.email in contents[2]
    assert not any(event.data["is_error"] for event in of_kind(events, "tool_result"))
    assert "42" in job["result"]


def test_servers_that_cannot_start(npm_user):
    """The run completes; the events say which and why."""
    job, events = run(npm_user, "Say hello")
    assert job["status"] == "completed"
    told = " ".join(event.text for event in events)
    for name in ("broken", "dying"):
        assert f"The tool server {name} is not available" in told


def test_a_server_keeps_to_its_folder(npm_user):
    _, events = run(npm_user, 'use tool filesystem__read_text_file with {"path": "/etc/passwd"}')
    answer = of_kind(events, "tool_result")[0]
    assert answer.data["is_error"] is True
    assert "root:" not in answer.data["content"]


def test_a_server_gets_only_what_its_entry_names(npm_user):
    _, events = run(npm_user, "use tool everything__get-env with {}")
    environment = json.loads(results(events)[0][1])
    assert set(environment) - {"PATH", "HOME", "LANG", "TMPDIR"} == {"GREETING", "MAIL"}
    assert environment["MAIL"] == npm_user.email
    assert environment["GREETING"] == environment["HOME"]


def test_progress_of_a_long_tool(npm_user):
    _, events = run(npm_user, "use tool everything__trigger-long-running-operation with "
                              '{"duration": 2, "steps": 4}')
    progress = [event for event in of_kind(events, "progress") if "progress" in event.data]
    assert progress
    assert progress[0].data["name"] == "everything__trigger-long-running-operation"
    assert progress[0].data["total"] == 4


def test_cancel_takes_the_tool_servers_along(npm_user, npm_stack):
    idle = run_processes(npm_stack)
    job_id = npm_user.run("use tool everything__trigger-long-running-operation with "
                          '{"duration": 60, "steps": 6}')
    with npm_user.stream(job_id) as answer:
        wait_until(lambda: any(b"event: tool_call" in line for line in answer.iter_lines(1)),
                   60, "the tool is called")
    assert len(run_processes(npm_stack) - idle) >= 2, "the run and the server that it calls"
    assert npm_user.cancel(job_id).json()["status"] == "cancelled"
    wait_until(lambda: run_processes(npm_stack) <= idle, 5, "the tool servers end")


# Workers that die

def worker_of(stack, idle):
    """The worker, of two, that has started a process beside the idle ones."""
    def find():
        busy = [name for name, pid in stack.pids("worker").items()
                if children_of(pid) - idle]
        return busy[0] if busy else None
    return wait_until(find, 30, "a worker has begun")


@pytest.mark.slow
def test_a_killed_worker_does_not_lose_its_job(user, wide_stack):
    """It begins anew on another, with the events of both attempts in one numbering."""
    idle = run_processes(wide_stack)
    job_id = user.run("[sandbox:slow=6] Say hello")
    user.reach(job_id, "running")
    name = worker_of(wide_stack, idle)
    orphans = children_of(wide_stack.pid(name))
    os.kill(wide_stack.pid(name), signal.SIGKILL)
    job = user.finished(job_id, 50)
    assert job["status"] == "completed", job
    assert wide_stack.sql("SELECT attempts FROM job_records WHERE id = %s", job_id) == [(2,)]
    events = user.events(job_id)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert [event.data["status"] for event in of_kind(events, "status")][-1] == "completed"
    wait_until(lambda: not living(orphans), 15, "what it ran has ended")
    wide_stack.wait_healthy()
