"""The log of a client: one JSON object a line, on the disk before the client goes on.

Each has "t" (seconds, the machine's clock) and "w", what it is:
post      s, user, message, key        a POST /run is about to be sent (s: which submission)
ack       s, user, id, key, ms         its 200
gave_up   s, key, healthy              never accepted; healthy: though nothing was wrong any more
cancel    id                           a cancel is about to be sent
seen      id, user, owner, status, result, error, usage, by, t0      what an answer said of a job
event     id, stream, n, e, d          an event of a stream: type, data as text
stream    id, stream, after, how       a stream has ended: "end", "left", "lost", "204"
reply     what, code, retry_after      an answer that is no success; code 0: none came
total     user, total                  what GET /jobs said
foreign   id, user, code               another user's job was asked for
conflict  id, code                     a key was used again with another message
logout    user, code                   a token that was logged out over a second before was used
final     id, events                   the events once everything is over: [[n, type, data]]
acts      tag, spans                   who acted when, by a tool's trace: [[process, first beat, last]]
"""
import json
import os
import threading
import time


class Log:
    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8")
        self.lock = threading.Lock()

    def write(self, what, /, **fields):
        line = json.dumps({"t": round(time.time(), 4), "w": what, **fields}, ensure_ascii=False)
        with self.lock:
            self.file.write(line + "\n")
            self.file.flush()
            os.fdatasync(self.file.fileno())


def read(folder):
    """All lines of all logs in a folder, in the order of time; a torn last line is left out."""
    found = []
    for path in sorted(folder.glob("client-*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
    return sorted(found, key=lambda one: one["t"])
