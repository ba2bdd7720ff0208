"""A model whose every word a test says when it wants to: one answer, a Talk, for each request. A file
that uses it and its stack says pytest_plugins = ["live_model"]."""
import json
import queue

import pytest

from model_servers import Endpoint
from stack import Stack, slow, wait_until

MODEL = "live"


def chunk(delta, finish=None):
    return {"id": "x", "object": "chat.completion.chunk", "model": MODEL,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


class Talk:
    """One answer, as long as it takes."""

    def __init__(self, request):
        self.request = request
        self.words = queue.Queue()

    def say(self, *texts):
        for text in texts:
            self.words.put(chunk({"content": text}))

    def call(self, name, arguments="{}"):
        self.words.put(chunk({"tool_calls": [{"index": 0, "id": "call1", "type": "function",
                                              "function": {"name": name, "arguments": arguments}}]}))

    def end(self, finish="stop"):
        self.words.put(chunk({}, finish))
        self.words.put("data: [DONE]\n\n")
        self.words.put(None)

    def cut(self):
        """The connection ends without the answer's end."""
        self.words.put(None)


class LiveModel(Endpoint):
    def __init__(self):
        super().__init__({MODEL: self.answer})
        self.talks = []

    def answer(self, _, request, handler):
        talk = Talk(request)
        self.talks.append(talk)
        handler.events(*[])
        while not self.stopped.is_set():
            try:
                word = talk.words.get(timeout=0.5)
            except queue.Empty:
                continue
            if word is None:
                return
            try:
                text = word if isinstance(word, str) else f"data: {json.dumps(word)}\n\n"
                handler.wfile.write(text.encode())
                handler.wfile.flush()
            except OSError:
                return  # the run has ended

    def talk(self, message, number=1):
        """The number-th answer to a conversation that holds this message."""
        def found():
            mine = [one for one in self.talks if message in json.dumps(one.request["messages"])]
            return len(mine) >= number and mine[number - 1]
        return wait_until(found, 30 * slow(), f"the model is asked {number} times")


@pytest.fixture(scope="module")
def model():
    one = LiveModel()
    yield one
    one.close()


@pytest.fixture(scope="module")
def live(model):
    """Two gateways, and workers that ask this model."""
    one = Stack(env={"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "sk-live", "OPENAI_MODEL": MODEL,
                     "RATE_LIMIT": "0"}, scale={"gateway": 2})
    yield one
    one.close()
