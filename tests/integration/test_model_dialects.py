"""Runs against endpoints that call themselves OpenAI-compatible and are so in ways of their own. The
model's name says which; each does a tool call and an answer, unless it says otherwise."""
import pytest

from asking import post_run
from client import of_kind, sign_in
from model_servers import Endpoint, turn
from stack import Stack, slow

LABELS = "google__gmail_list_labels"
MAIL = "google__gmail_list_messages"


def delta(delta=None, finish=None, **more):
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **more}


def call_piece(name=None, arguments=None, **more):
    function = {"name": name, "arguments": arguments}
    return {**more, "function": {k: v for k, v in function.items() if v is not None}}


def words(*texts):
    """A whole text answer as events."""
    return [delta({"role": "assistant", "content": ""}), *(delta({"content": t}) for t in texts),
            delta(finish="stop")]


DONE = "data: [DONE]\n\n"


def ollama(_, request, handler):
    """Whole calls with arguments as an object, no ids, finish_reason stop, no usage."""
    if turn(request) == 0:
        pieces = [call_piece(LABELS, {}, index=0, type="function"),
                  call_piece(MAIL, {"max_results": 1}, index=1, type="function")]
        handler.events(delta({"role": "assistant", "content": "", "tool_calls": pieces}),
                       delta(finish="stop"), DONE)
    else:
        handler.events(*words("from ", "ollama"), DONE)


def gemini(endpoint, request, handler):
    """All calls of index 0, signed; usage in each chunk, with reasoning in the total alone."""
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 45}
    signed = {"google": {"thought_signature": "c2lnbmVk"}}
    if turn(request) == 0:
        handler.events(
            delta({"role": "assistant", "tool_calls": [
                call_piece(LABELS, "{}", index=0, id="g1", extra_content=signed)]}, usage=usage),
            delta({"tool_calls": [call_piece(MAIL, "{}", index=0, id="g2")]}, "stop", usage=usage),
            DONE)
        return
    calls = [one for one in request["messages"] if "tool_calls" in one][0]["tool_calls"]
    if calls[0].get("extra_content") != signed:
        endpoint.problems.append("Gemini's signature is lost")
    handler.events(*words("from gemini"), delta(usage=usage), DONE)


def openrouter(endpoint, request, handler):
    """Comments while it thinks; first an upstream's error inside a 200."""
    if endpoint.count("openrouter") == 1:
        handler.events(": OPENROUTER PROCESSING\n\n", delta({"content": "ha"}), {
            **delta({"content": ""}, "error"), "error": {"code": 502, "message": "upstream"}})
    elif turn(request) == 0:
        handler.events(": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n",
                       delta({"role": "assistant", "content": None, "reasoning": "hm"}),
                       delta({"tool_calls": [call_piece(LABELS, "", index=0, id="r1")]}),
                       delta({"tool_calls": [call_piece(None, "{", index=0)]}),
                       delta({"tool_calls": [call_piece(None, "}", index=0)]}, "tool_calls"), DONE)
    else:
        handler.events(*words("from ", "openrouter"), DONE)


def llamacpp(_, request, handler):
    """One JSON object, though a stream was asked for."""
    if turn(request) == 0:
        message = {"role": "assistant", "content": None,
                   "tool_calls": [call_piece(LABELS, "{}", type="function", id="")]}
        reason = "tool_calls"
    else:
        message, reason = {"role": "assistant", "content": "from llama.cpp"}, "stop"
    handler.json(200, {"choices": [{"finish_reason": reason, "index": 0, "message": message}],
                       "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
                       "timings": {"predicted_ms": 1.5}})


def vllm(_, request, handler):
    """Thoughts beside the text, and an id that is used twice."""
    if turn(request) == 0:
        handler.events(
            delta({"role": "assistant", "content": ""}, usage=None),
            delta({"reasoning_content": "Let me think."}),
            delta({"tool_calls": [call_piece(LABELS, "{}", index=0, id="chatcmpl-tool-1")]}),
            delta({"tool_calls": [call_piece(MAIL, "{}", index=1, id="chatcmpl-tool-1")]}),
            delta(finish="stop"), DONE)
    else:
        handler.events(delta({"reasoning_content": "Done."}), *words("from vllm"), DONE)


def anthropic(endpoint, request, handler):
    """Overloaded at first, and calls counted from one."""
    if endpoint.count("anthropic") == 1:
        handler.json(529, {"type": "error", "error": {"type": "overloaded_error",
                                                      "message": "Overloaded"}})
    elif turn(request) == 0:
        handler.events(delta({"role": "assistant", "content": "I look."}),
                       delta({"tool_calls": [call_piece(LABELS, "", index=1, id="toolu_1")]}),
                       delta({"tool_calls": [call_piece(None, "{}", index=1)]}),
                       delta(finish="end_turn"))  # no [DONE]
    else:
        handler.events(*words("from anthropic"))


def mistral(_, request, handler):
    """Refuses what it does not know, in FastAPI's form; wants ids of nine characters."""
    if "stream_options" in request:
        handler.json(422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"],
                                       "msg": "Extra inputs are not permitted: stream_options"}]})
    elif turn(request) == 0:
        handler.events(delta({"role": "assistant", "content": [
            {"type": "text", "text": "A moment."}]}), delta({"tool_calls": [
                call_piece(LABELS, "{}", index=0, id="D681PevKs")]}, "tool_calls"), DONE)
    else:
        handler.events(*words("from mistral"), DONE)


def reasoner(_, request, handler):
    """A reasoning model of OpenAI's: other limits, no temperature, no stream without a passport."""
    for name, value in (("max_tokens", "max_completion_tokens"), ("temperature", None),
                        ("stream", None)):
        if request.get(name):
            hint = f" Use '{value}' instead." if value else ""
            handler.json(400, {"error": {
                "message": f"Unsupported parameter: '{name}' is not supported with this model.{hint}",
                "type": "invalid_request_error", "param": name, "code": "unsupported_parameter"}})
            return
    handler.json(200, {"choices": [{"index": 0, "finish_reason": "stop", "message": {
        "role": "assistant", "content": "from a reasoner", "refusal": None}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 9, "total_tokens": 10,
                  "completion_tokens_details": {"reasoning_tokens": 8}}})


def lingering(_, request, handler):
    """The answer is whole, the connection stays open."""
    handler.events(*words("from one that lingers"), DONE, hold=True)


def silent(endpoint, request, handler):
    """Says nothing more in the middle of its first answer."""
    if endpoint.count("silent") == 1:
        handler.events(delta({"content": "ha"}), hold=True)
    else:
        handler.events(*words("from a silent one"), DONE)


def broken(_, request, handler):
    handler.json(400, b"<html><body>Bad Request", [("x-should-retry", "false")])


def poor(_, request, handler):
    handler.json(429, {"error": {"message": "You exceeded your current quota.",
                                 "type": "insufficient_quota", "code": "insufficient_quota"}},
                 [("Retry-After", "1")])


def flooding(_, request, handler):
    """More text than anyone may send."""
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.end_headers()
    event = f"data: {{\"choices\":[{{\"delta\":{{\"content\":\"{'x' * 65000}\"}}}}]}}\n\n".encode()
    try:
        for _ in range(1200):
            handler.wfile.write(event)
    except OSError:
        pass
    handler.close_connection = True


GOOD = (ollama, gemini, openrouter, llamacpp, vllm, anthropic, mistral)
PLAIN = (reasoner, lingering, silent)
BAD = (broken, poor, flooding)
DIALECTS = {one.__name__: one for one in (*GOOD, *PLAIN, *BAD)}


@pytest.fixture(scope="module")
def endpoint():
    one = Endpoint(DIALECTS)
    yield one
    one.close()


@pytest.fixture(scope="module")
def dialects(endpoint):
    one = Stack(env={"OPENAI_BASE_URL": endpoint.url, "OPENAI_API_KEY": "sk-dialects",
                     "JOB_MAX_ATTEMPTS": "1", "MODEL_IDLE_TIMEOUT": str(3 * slow()),
                     "MODEL_RETRIES": "2", "MODEL_MAX_TOKENS": "500", "MODEL_TEMPERATURE": "0.5"})
    yield one
    one.close()


@pytest.fixture(scope="module")
def user(dialects):
    return sign_in(dialects)


def run(user, model):
    job_id = post_run(user, f"Say something as {model}", model=model)
    return user.finished(job_id, 90), user.events(job_id)


@pytest.mark.parametrize("model", [one.__name__ for one in GOOD])
def test_a_call_and_an_answer(user, endpoint, model):
    job, events = run(user, model)
    assert job["status"] == "completed", job
    assert job["result"].replace(".", "") == f"from {model}"
    results = of_kind(events, "tool_result")
    assert results and not any(one.data["is_error"] for one in results), results
    assert len({one.data["id"] for one in results}) == len(results)
    assert job["token_usage"]["total_tokens"] > 0
    assert endpoint.problems == []


@pytest.mark.parametrize("model, result", [
    ("reasoner", "from a reasoner"), ("lingering", "from one that lingers"),
    ("silent", "from a silent one")])
def test_an_answer(user, endpoint, model, result):
    job, _ = run(user, model)
    assert (job["status"], job["result"]) == ("completed", result)
    assert endpoint.problems == []


def test_what_was_learned_is_kept(user, endpoint):
    """The second run of a model sends at once what it takes."""
    run(user, "reasoner")
    before = endpoint.count("reasoner")
    run(user, "reasoner")
    assert endpoint.count("reasoner") == before + 1
    asked = endpoint.requests["reasoner"][-1]
    assert asked["max_completion_tokens"] == 500 and not asked["stream"]
    assert "max_tokens" not in asked and "temperature" not in asked


def test_reasoning_is_paid_for(user):
    """Gemini counts it in the total alone."""
    job, _ = run(user, "gemini")
    assert job["token_usage"]["output_tokens"] == 70


@pytest.mark.parametrize("model, words, tries", [
    ("broken", "status 400", 1), ("poor", "exceeded your current quota", 1),
    ("flooding", "text is too long", 3)])
def test_what_does_not_pass(user, endpoint, model, words, tries):
    job, _ = run(user, model)
    assert job["status"] == "failed" and words in job["error_message"], job
    assert endpoint.count(model) == tries
    assert "sk-dialects" not in str(job)
