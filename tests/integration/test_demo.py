"""./dev demo: the main job told in a few lines, moving on a terminal and plain elsewhere."""
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios

from stack import DEV


def test_plain_in_a_pipe(stack):
    done = stack.dev("demo")
    job = json.loads(done.stdout)
    assert job["status"] == "completed" and job["token_usage"]["total_tokens"] > 0
    told = done.stderr
    assert not re.search("[\033\r]", told)
    steps = ["1  sign in", "2  ask", job["job_id"], "3  run", "jobs       pending", "worker     running",
             "model      calls google__gmail_list_messages", "tool       google__gmail_list_messages",
             "jobs       completed", "4  result", "Where to look next", "/app", stack.vars["MONITOR_URL"],
             "/docs"]
    place = 0
    for step in steps:
        assert step in told[place:], (step, told)
        place = told.index(step, place)
    times = [float(time) for time in re.findall(r"^ +(\d+\.\d\d) s  ", told, re.M)]
    assert len(times) >= 5 and times == sorted(times)
    assert "Found 5 messages" in told.split("4  result")[1]


def test_moving_on_a_terminal(stack):
    """What the model says can't command it, is cut at its width and between characters."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 64, 0, 0))
    evil = "[sandbox:slow=0.5] Say a\033]0;owned\007b\u202ec " + "日本語" * 60
    with subprocess.Popen([str(DEV), "demo", evil], stdin=theirs, stdout=theirs, stderr=theirs,
                          env={**stack.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8"}) as demo:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        assert demo.wait(60) == 0
    os.close(ours)
    text = shown.decode()
    frames = re.findall("\r(.) \\d+\\.\\d s  the job runs ", text)
    assert len(set(frames)) > 1, text
    assert "\033]0" not in text and "\u202e" not in text and "\ufffd]0;owned" in text
    assert '"total_tokens"' in text
    plain = re.sub("\033\\[[0-9;]*[mK]|.*\r(?!\n)", "", text)
    events = re.findall(r"^ +\d+\.\d\d s  [^\r\n]*", plain, re.M)
    assert max(len(line) for line in events) == 57, events
    said = plain[plain.index("4  result"):plain.index("The whole job")]
    assert max(len(line) for line in said.splitlines()[1:]) == 63, said


def test_one_message_or_help(stack):
    """Nothing is done with what isn't a message."""
    many = stack.dev("demo", "List", "my", "emails", check=False)
    assert many.returncode == 1 and "put it into quotes" in many.stderr
    for command in ("demo", "up", "down", "status", "logs", "token", "test"):
        told = stack.dev(command, "--help")
        assert told.stdout.startswith("usage: ./dev COMMAND") and told.stderr == ""
