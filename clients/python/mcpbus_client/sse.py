"""Server-sent events, as the HTML standard parses them (9.2.6)."""
from __future__ import annotations

from typing import IO, Iterator, List, NamedTuple

EVENT_MAX = 8 * 1024 * 1024


class RawEvent(NamedTuple):
    id: str
    type: str
    data: str


def read_events(stream: IO[bytes]) -> Iterator[RawEvent]:
    """Until the stream ends; an event without its empty line was cut off and is left out."""
    number, kind = "", ""
    data: List[str] = []
    left = EVENT_MAX
    while True:
        raw = stream.readline(left)
        left -= len(raw)
        if left <= 0:
            raise ValueError("an event is too large")
        if not raw.endswith(b"\n"):
            return
        line = raw.decode("utf-8").rstrip("\r\n")
        field, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if not line:
            if data:
                yield RawEvent(number, kind or "message", "\n".join(data))
            kind, data, left = "", [], EVENT_MAX
        elif field == "id":
            number = value
        elif field == "event":
            kind = value
        elif field == "data":
            data.append(value)
