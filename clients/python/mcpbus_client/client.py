"""The calls of the API: errors are raised, a submit can be repeated, a wait waits, events resume."""
from __future__ import annotations

import http.client
import json
import random
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, TypeVar, Union, cast

from . import types
from .sse import read_events

WAIT_SECONDS = 30
PAUSE_FIRST = 0.25
PAUSE_MOST = 10.0
RETRY_AFTER_MOST = 60.0
DETAIL_MAX = 64 * 1024
# A list of 100 jobs with 8 KiB of text each, all of it escaped, is far below.
ANSWER_MAX = 64 * 1024 * 1024
T = TypeVar("T")
# What becomes of a connection when its other end is away.
LOST = (OSError, http.client.HTTPException)


class McpbusError(Exception):
    """An answer that is not a good one: `status`, `detail` (a text, or with 422 a list of what is
    wrong), `request_id` (for the operators: their logs have it), `retry_after` (seconds or None)."""

    def __init__(self, status: int, detail: Any, request_id: str, retry_after: Optional[float]):
        super().__init__(f"{status}: {describe(detail)}")
        self.status = status
        self.detail = detail
        self.request_id = request_id
        self.retry_after = retry_after


class Event(NamedTuple):
    """Of a job. `types.EventData` tells what `data` is for each `type`; later versions may have more
    types: leave out what you don't know. `partial` ones have no number of their own: theirs is that
    of the event before."""
    id: int
    type: str
    data: Dict[str, Any]


def describe(detail: Any) -> str:
    if isinstance(detail, list):
        return "; ".join(f"{'.'.join(map(str, item.get('loc', ())))}: {item.get('msg')}"
                         for item in detail if isinstance(item, dict))
    return str(detail)


def has_ended(status: str) -> bool:
    return status in ("completed", "failed", "cancelled")


class Client:
    """base_url: where the gateway is. token: the user's, or what gives the one that is good now.
    retries: how often a call is repeated that could not be made (429, 503, no connection). timeout:
    seconds without a byte after which a connection is given up. Any thread; proxies as urllib has
    them."""

    def __init__(self, base_url: str, token: Union[str, Callable[[], str], None] = None, *,
                 retries: int = 4, timeout: float = 60.0):
        self._base = base_url.rstrip("/")
        self._token = token
        self._retries = retries
        self._timeout = max(timeout, WAIT_SECONDS + 10)

    # Signing in

    def scopes(self) -> Dict[str, types.ScopesAvailableScopesValue]:
        """The scopes that a user may grant, by name."""
        return cast(types.Scopes, self.call("GET", "/auth/scopes"))["available_scopes"]

    def begin_sign_in(self, scopes: List[str]) -> types.SignIn:
        """Where the user has to go (`auth_url`); the page that follows shows the token."""
        return cast(types.SignIn, self.call("POST", "/auth/scopes", {"scopes": scopes}))

    def login(self) -> types.Login:
        """A fresh token for the one in use."""
        return cast(types.Login, self.call("POST", "/auth/login"))

    def logout(self) -> None:
        """Ends all tokens of the user, everywhere."""
        self.call("DELETE", "/auth/logout")

    def me(self) -> types.MeUser:
        return cast(types.Me, self.call("GET", "/me"))["user"]

    # Jobs

    def run(self, message: str, *, key: Optional[str] = None, **options: Any) -> str:
        """Starts a job; its id. The job is committed then. It is safe to repeat the call with the
        same key, which gives the same job; repetitions of ours use one in any case. options: the
        other members of types.RunRequest."""
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        body = {"message": message, **options}
        return cast(types.RunAccepted, self.call("POST", "/run", body, headers))["job_id"]

    def job(self, job_id: str) -> types.Job:
        """The job as it is now."""
        return cast(types.Job, self.call("GET", f"/result/{quoted(job_id)}"))

    def wait(self, job_id: str, seconds: Optional[float] = None) -> types.Job:
        """The job once it has ended; TimeoutError when it has not within so many seconds (the job
        goes on). One that waits for approval has not ended: `events` tells of it."""
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            left = WAIT_SECONDS if end is None else end - time.monotonic()
            wait = f"{max(0.0, min(left, WAIT_SECONDS)):.3f}"
            job = cast(types.Job, self.call("GET", f"/result/{quoted(job_id)}?wait={wait}"))
            if has_ended(job["status"]):
                return job
            if end is not None and time.monotonic() >= end:
                raise TimeoutError(f"job {job_id} is still {job['status']}")

    def jobs(self, *, limit: int = 20, offset: int = 0, status: Optional[str] = None,
             conversation_id: Optional[str] = None) -> types.JobList:
        """The user's jobs, newest first."""
        query = {"limit": limit, "offset": offset, "status": status,
                 "conversation_id": conversation_id}
        text = urllib.parse.urlencode({key: value for key, value in query.items() if value is not None})
        return cast(types.JobList, self.call("GET", f"/jobs?{text}"))

    def cancel(self, job_id: str) -> types.Job:
        """Stops a job; one that has ended is answered as it is."""
        return cast(types.Job, self.call("POST", f"/jobs/{quoted(job_id)}/cancel"))

    def approve(self, job_id: str, call_ids: Optional[List[str]] = None) -> types.Job:
        """The job may make the tool calls that it waits with; with ids, those alone."""
        body = {} if call_ids is None else {"call_ids": call_ids}
        return cast(types.Job, self.call("POST", f"/jobs/{quoted(job_id)}/approve", body))

    def deny(self, job_id: str, reason: Optional[str] = None) -> types.Job:
        """It may not; the model is told the reason."""
        body = {} if reason is None else {"reason": reason}
        return cast(types.Job, self.call("POST", f"/jobs/{quoted(job_id)}/deny", body))

    def events(self, job_id: str, after: int = 0, *, partial: bool = False) -> Iterator[Event]:
        """The job's events behind `after` (0: all) as they happen, to its end. A lost connection is
        made anew behind the last event that came: none is missing, none comes twice. With `partial`
        the model's words come between them as it writes them; some of these may be missing."""
        failures = 0
        while True:
            before = after
            try:
                with self._stream(job_id, after, partial) as stream:
                    if stream.status == 204:
                        return
                    for raw in read_events(stream):
                        event = Event(int(raw.id or after), raw.type, json.loads(raw.data))
                        after = event.id
                        yield event
                        if event.type == "status" and has_ended(event.data.get("status", "")):
                            return
            except LOST:
                if after == before and failures >= self._retries:
                    raise
            failures = failures + 1 if after == before else 0
            pause(failures)

    def _stream(self, job_id: str, after: int, partial: bool) -> http.client.HTTPResponse:
        headers = {"Last-Event-ID": str(after)} if after else {}
        path = f"/jobs/{quoted(job_id)}/events{'?partial=true' if partial else ''}"
        return self._repeat("GET", headers, lambda: self._once("GET", path, None, headers))

    # Any call

    def call(self, method: str, path: str, body: Optional[Dict[str, Any]] = None,
             headers: Optional[Dict[str, str]] = None) -> Any:
        """Any call of the API; its JSON."""
        return json.loads(self._repeat(method, headers or {}, lambda: self._whole(
            method, path, body, headers or {})))

    def _whole(self, method: str, path: str, body: Optional[Dict[str, Any]],
               headers: Dict[str, str]) -> bytes:
        """An answer is there when it is whole: a connection may be lost in the middle of it."""
        with self._once(method, path, body, headers) as answer:
            text = answer.read(ANSWER_MAX + 1)
        if len(text) > ANSWER_MAX:
            raise ValueError("an answer is too large")
        if answer.length: # read(size) says nothing of an end that came early
            raise http.client.IncompleteRead(text, answer.length)
        return text

    def _repeat(self, method: str, headers: Dict[str, str], attempt: Callable[[], T]) -> T:
        """What a good answer gives. Repeated as long as nothing has been done, or could be done
        twice."""
        is_safe = method == "GET" or "Idempotency-Key" in headers
        count = 0
        while True:
            try:
                return attempt()
            except McpbusError as error:
                if count >= self._retries or not (error.status == 429
                                                  or error.status == 503 and is_safe):
                    raise
                seconds = error.retry_after
            except LOST:
                if count >= self._retries or not is_safe:
                    raise
                seconds = None
            pause(count, seconds)
            count += 1

    def _once(self, method: str, path: str, body: Optional[Dict[str, Any]],
              headers: Dict[str, str]) -> http.client.HTTPResponse:
        request = urllib.request.Request(self._base + path, method=method, headers=headers)
        if body is not None:
            request.data = json.dumps(body).encode("utf-8")
            request.add_header("Content-Type", "application/json")
        token = self._token() if callable(self._token) else self._token
        if token is not None:
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        try:
            return cast(http.client.HTTPResponse,
                        urllib.request.urlopen(request, timeout=self._timeout))
        except urllib.error.HTTPError as answer:
            with answer:
                raise failure(answer) from None


def failure(answer: urllib.error.HTTPError) -> McpbusError:
    """What stands between us and the gateway may answer in forms of its own."""
    text = answer.read(DETAIL_MAX)
    try:
        detail = json.loads(text)["detail"]
    except (ValueError, TypeError, KeyError):
        detail = text.decode("utf-8", "replace")[:1000] or answer.reason
    try:
        retry_after = max(0.0, float(answer.headers.get("Retry-After", "")))
    except ValueError:
        retry_after = None
    return McpbusError(answer.code, detail, answer.headers.get("X-Request-Id", ""), retry_after)


def quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def pause(count: int, seconds: Optional[float] = None) -> None:
    """As long as the server says, else ever longer; a little more by chance, so that not all come at
    once."""
    own = min(PAUSE_FIRST * 2 ** count, PAUSE_MOST)
    time.sleep((own if seconds is None else min(seconds, RETRY_AFTER_MOST))
               + random.random() * PAUSE_FIRST)
