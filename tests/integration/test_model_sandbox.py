"""Runs over the sandbox's model, which fails, ends and streams as the message asks, and refuses what
OpenAI would. The model's name keeps what the worker learns from one case out of the others."""
import uuid

import pytest

from asking import post_run
from client import http, of_kind, sign_in

pytest_plugins = ["shared_stacks"]


@pytest.fixture(scope="module")
def user(wide_stack):
    return sign_in(wide_stack)


def run(user, message, model="gpt-4o"):
    """The ended job and its events; the message is one that was never sent before."""
    job_id = post_run(user, f"{message} ({uuid.uuid4().hex})", model=model)
    return user.finished(job_id, 90), user.events(job_id)


@pytest.mark.parametrize("words, model", [
    ("[sandbox:brokenx1]", "gpt-4o"), ("[sandbox:nodone]", "gpt-4o"),
    ("[sandbox:nousage]", "gpt-4o"), ("[sandbox:drip=0.02]", "gpt-4o"),
    ("[sandbox:nostream]", "no-stream"), ("[sandbox:nooptions]", "no-options"),
    ("[sandbox:cutx3]", "cut-often"), ("[sandbox:429x2][sandbox:retry=0.2]", "limited")])
def test_it_completes_all_the_same(user, words, model):
    job, events = run(user, f"List my recent emails {words}", model)
    assert job["status"] == "completed", job
    assert "Here is what I found" in job["result"]
    assert len(of_kind(events, "tool_result")) == 1
    assert job["token_usage"]["input_tokens"] > 0


def test_a_refusal_is_an_answer(user):
    job, _ = run(user, "List my recent emails [sandbox:refusal]")
    assert job["status"] == "completed" and "I'm sorry, I can't" in job["result"], job


def test_parallel_calls_are_answered_in_order(user):
    job, events = run(user, 'use tool gmail_list_labels with {}\n'
                            'use tool gmail_list_messages with {"max_results": 1}\n'
                            'use tool gmail_list_labels with {}\n')
    assert job["status"] == "completed", job
    assert [one.data["name"] for one in of_kind(events, "tool_result")] == [
        "google__gmail_list_labels", "google__gmail_list_messages", "google__gmail_list_labels"]
    assert len({one.data["id"] for one in of_kind(events, "tool_call")}) == 3


def test_arguments_that_are_no_json(user):
    """The sandbox takes the conversation back only with arguments in order."""
    job, events = run(user, "use tool gmail_list_labels with {broken\n")
    assert job["status"] == "completed", job
    assert of_kind(events, "tool_result")[0].data["is_error"]


def test_a_window_that_is_too_small(user):
    """For the first question already: nothing can be left out."""
    job, _ = run(user, "List my recent emails [sandbox:window=20]", "small-window")
    assert job["status"] == "failed", job
    assert "larger than what the model can read" in job["error_message"], job


def test_the_sandbox_refuses_as_openai_does(wide_stack):
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [{"role": "user", "content": "u"},
                {"role": "assistant", "content": None, "tool_calls": [call]}]
    url = wide_stack.sandbox_url + "/v1/chat/completions"
    for more in ([], [{"role": "user", "content": "u"}],
                 [{"role": "tool", "tool_call_id": "c2", "content": "r"}]):
        answer = http("POST", url, json={"model": "m", "messages": messages + more},
                      headers={"Authorization": "Bearer k"})
        error = answer.json()["error"]
        assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    fine = http("POST", url, headers={"Authorization": "Bearer k"}, json={
        "model": "m", "messages": [*messages, {"role": "tool", "tool_call_id": "c1",
                                               "content": "r"}]})
    assert fine.status_code == 200, fine.text
