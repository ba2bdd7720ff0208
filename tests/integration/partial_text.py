"""Who follows a job with the model's text as it comes."""
import contextlib
import threading

import requests

from client import of_kind, read_events
from stack import wait_until


class Follower:
    """Reads a stream in a thread of its own."""

    def __init__(self, user, job_id, partial="true", after=None):
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        query = "" if partial is None else f"?partial={partial}"
        self.answer = user.get(f"/jobs/{job_id}/events{query}", headers=headers, stream=True)
        assert self.answer.status_code == 200, self.answer.text
        self.events, self.ended = [], False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        with self.answer, contextlib.suppress(requests.RequestException):  # its gateway may die
            for event in read_events(self.answer):
                self.events.append(event)
        self.ended = True

    def partials(self):
        return of_kind(self.events[:], "partial")

    def shown(self):
        """The text of the latest turn, put together by the rules of openapi.json. The gateway itself
        leaves out what doesn't fit: every part fits."""
        text, last = "", None
        for event in self.partials():
            data = event.data
            at = (data["attempt"], data["turn"], data["part"])
            if data["part"] == 0:
                text = ""
            else:
                assert last == (at[0], at[1], at[2] - 1), f"{last} is followed by {at}"
            last = at
            text += data["text"]
        return text

    def wait_shown(self, text):
        wait_until(lambda: self.shown() == text, 20, f"{text[:60]!r} is shown")

    def wait_some(self):
        """The text, once there is any."""
        return wait_until(self.shown, 30, "some text is shown")

    def wait(self, kind, **members):
        def found():
            return next((one for one in of_kind(self.events[:], kind)
                         if members.items() <= one.data.items()), None)
        return wait_until(found, 30, f"{kind} {members}")

    def end(self):
        """All events, once the stream has ended."""
        wait_until(lambda: self.ended, 30, "the stream ends")
        return self.events


def check_numbers(events):
    own = [event for event in events if event.kind != "partial"]
    assert [event.number for event in own] == list(range(1, len(own) + 1))
    assert all(event.has_id == (event.kind != "partial") for event in events)
