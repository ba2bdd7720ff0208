"""mcpbus on a terminal of its own: progress, colours, questions, Ctrl-C, widths, texts of others."""
import json
import re
import signal
import uuid

import pytest

import cli
from asking import use
from cli import good, mcpbus, Terminal, value
from stack import wait_until

pytest_plugins = ["asking_stacks"]

HIDE, SHOW = "\033[?25l", "\033[?25h"
COLOUR = re.compile("\033\\[[0-9;]*m")


def fresh_user():
    return f"user-{uuid.uuid4().hex}"


def lines(output):
    """What stays on the screen, line by line, without colours."""
    text = COLOUR.sub("", output).replace(HIDE, "").replace(SHOW, "")
    kept = [re.sub("^.*\r(?:\033\\[[0-9]+A)?(?:\033\\[J)?", "", line) for line in text.split("\r\n")]
    return [re.sub("\033\\[J", "", line) for line in kept]


def frames(output):
    """The lines of progress that were drawn."""
    return re.findall("\r(?:\033\\[[0-9]+A)?([^\r\033\n]+)\033\\[J", output)


def test_progress_moves(stack):
    text = f"[sandbox:slow=1] Say {uuid.uuid4().hex}"
    shown = Terminal(stack, "run", text, "--user", fresh_user())
    assert shown.status() == cli.OK
    drawn = frames(shown.output)
    assert len(set(drawn)) > 5, drawn
    assert re.match("[⠋⠙⠹⠸⠼⠴⠦⠧] \\d\\.\\d s asks the model$", drawn[-1]), drawn
    assert len({frame[0] for frame in drawn}) > 2, "its sign moves"
    assert shown.output.count(HIDE) >= 1 and shown.output.rindex(SHOW) > shown.output.rindex(HIDE)
    kept = lines(shown.output)
    assert any(re.match(r"   2 +0\.\d\d s  status +running", line) for line in kept), kept
    assert any("completed" in line for line in kept)
    assert kept[-2].startswith("You said: ") or "You said: " in "\n".join(kept)


def test_a_pipe_gets_nothing_but_the_result(stack):
    done = good(stack, "run", "[sandbox:slow=0.3] Say hello", "--user", fresh_user())
    assert done.stderr == "" and not re.search("[\033\r]", done.stdout)


def test_a_dumb_terminal_is_not_drawn_upon(stack):
    shown = Terminal(stack, "run", "[sandbox:slow=0.3] Say hello", "--user", fresh_user(), TERM="dumb")
    assert shown.status() == cli.OK
    assert "\033" not in shown.output and "completed" in shown.output


def test_a_locale_without_utf8_gets_plain_signs(stack):
    shown = Terminal(stack, "run", "[sandbox:slow=0.5] Say hello", "--user", fresh_user(),
                     LC_ALL="C")
    assert shown.status() == cli.OK
    assert {frame[0] for frame in frames(shown.output)} <= set("|/-\\")


@pytest.mark.parametrize("env, terminal, pipe", [
    ({}, True, False), ({"NO_COLOR": "1"}, False, False), ({"TERM": "dumb"}, False, False),
    ({"CLICOLOR_FORCE": "1"}, True, True), ({"CLICOLOR_FORCE": "0"}, True, False),
    ({"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, False, False), ({"NO_COLOR": ""}, True, False),
])
def test_colours(echo, env, terminal, pipe):
    shown = Terminal(echo, "jobs", "list", "--limit", "1", **env)
    assert shown.status() == cli.OK
    assert bool(COLOUR.search(shown.output)) == terminal, shown.output
    assert bool(COLOUR.search(good(echo, "jobs", "list", "--limit", "1", env=env).stdout)) == pipe


def test_json_has_no_colours_where_none_are_forced(echo):
    json.loads(good(echo, "status", "--json", env={"CLICOLOR_FORCE": "1"}).stdout)


@pytest.mark.parametrize("size", [64, 78, 100])
def test_lines_fit_the_terminal(echo, size):
    user = fresh_user()
    good(echo, "run", "漢字 and a message that is far too long for a terminal " * 3, "--user", user)
    job = value(echo, "jobs", "list", "--user", user)["jobs"][0]["job_id"]
    for args in (("workers",), ("jobs", "events", job), ("jobs", "list", "--user", user)):
        shown = Terminal(echo, *args, size=size)
        assert shown.status() == cli.OK
        for line in lines(shown.output):
            wide = sum(2 if "\u4e00" <= c <= "\u9fff" else 1 for c in line)
            # An id is for copying: it is never cut, whatever the width.
            assert wide <= max(size, 76 if job in line or "USER" in line else 0), (size, line)
    assert "…" in shown.output


def test_a_terminal_made_narrower(stack):
    """What the old width has left is cleaned: the line has become two, and the upper one goes too."""
    shown = Terminal(stack, "run", "[sandbox:slow=1.5] Say hello", "--user", fresh_user(), size=100)
    shown.read_until("asks the model")
    shown.resize(12)
    shown.read_until("\033[1A")
    end = len(shown.output)
    assert shown.status() == cli.OK
    assert all(len(frame) < 12 for frame in frames(shown.output[end:])), shown.output[end:]


def test_texts_of_others_cannot_command_the_terminal(echo):
    evil = "".join(("a\033]0;owned\007b\033[2Jc", "a\u202egnp.exe", "a\u2066b\u2069", "a\u200fb\u061cb",
                    "a\x9b2Jb", "a\rb\x08c", "a\ufeffb\u2028c", "a\U000e0041b"))
    bad = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"
                     "\U000e0000-\U000e007f]")
    user = fresh_user()
    for args in (("run", evil, "--user", user), ("jobs", "list", "--user", user),
                 ("run", "x", "--user", f"{evil}@example.com"), ("jobs", "get", evil),
                 ("workers", "drain", evil), ("call", evil), (evil,), ("help", evil),
                 ("run", f"--{evil}"), ("users", evil), ("jobs", "list", "--limit", evil)):
        shown = Terminal(echo, *args)
        shown.status()
        text = "\n".join(lines(shown.output)).replace("\r", "")
        assert not bad.search(text), (args, shown.output)


def ask(asking, *calls):
    """A terminal that asks about these calls, and the text that they are given."""
    message, text = use(*calls)
    shown = Terminal(asking, "run", message, "--user", fresh_user())
    shown.read_until("[l]ater: ")
    return shown, text


def test_a_job_that_waits_asks(asking):
    shown, text = ask(asking, "send")
    assert "The job asks to make 1 tool call:" in shown.output
    assert "1 of 1  tools__send" in shown.output and text in shown.output
    shown.type("\n")  # no answer approves
    wait_until(lambda: shown.read(0.1) and shown.output.count("[l]ater: ") == 2, 30, "it asks again")
    assert asking.acts(text) == []
    shown.type("y\n")
    assert shown.status() == cli.OK
    assert asking.acts(text) == ["send"]


@pytest.mark.parametrize("answers, acts, reason", [
    (["no", "yes"], ["send"], None), (["all"], ["send", "send"], None), (["deny", "not today"], [],
                                                                        "not today")])
def test_some_all_or_none(asking, answers, acts, reason):
    shown, text = ask(asking, "send", "send")
    for n, answer in enumerate(answers):
        shown.type(answer + "\n")
        if n + 1 < len(answers):
            shown.read_until("2 of 2" if not reason else "(Enter: no reason): ")
            asked = shown.output.count("[l]ater: ")
            if not reason and asked < 2:
                wait_until(lambda: shown.read(0.1) and shown.output.count("[l]ater: ") == 2, 30,
                           "it asks about the second")
    assert shown.status() == cli.OK
    assert asking.acts(text) == acts
    if reason:
        assert reason in shown.output.split("(Enter: no reason): ")[1]


def test_later_and_by_somebody_else(asking):
    shown, _ = ask(asking, "send")
    job = re.search("job ([0-9a-f-]{36})", shown.output).group(1)
    shown.type("later\n")
    shown.read_until(f"mcpbus jobs approve {job}")
    shown.signal(signal.SIGHUP)
    assert shown.status() == -signal.SIGHUP
    again = Terminal(asking, "jobs", "watch", job)
    again.read_until("[l]ater: ")
    good(asking, "jobs", "approve", job)
    again.read_until("somebody else has answered")
    assert again.status() == cli.OK


def test_the_cursor_is_back_whatever_ends_it(stack):
    user = fresh_user()
    for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        shown = Terminal(stack, "run", "[sandbox:slow=60] Say hello", "--user", user)
        shown.read_until("asks the model")
        shown.signal(signo)
        if signo in (signal.SIGINT, signal.SIGTERM):
            shown.read_until("Ctrl-C again")
            shown.signal(signo)
        status = shown.status()
        assert status == (cli.INTERRUPTED if signo in (signal.SIGINT, signal.SIGTERM) else -signo)
        assert shown.output.rindex(SHOW) > shown.output.rindex(HIDE)
    for job in value(stack, "jobs", "list", "--user", user)["jobs"]:
        good(stack, "jobs", "cancel", job["job_id"])


def test_watching_the_status(echo):
    shown = Terminal(echo, "status", "--watch", size=90)
    shown.read_until("WORKER")
    wait_until(lambda: shown.read(0.1) and shown.output.count("\033[H") >= 2, 30, "it looks again")
    shown.signal()
    assert shown.status() == cli.INTERRUPTED
    assert "Ctrl-C ends it" in shown.output
    assert shown.output.rindex(SHOW) > shown.output.rindex(HIDE)


def test_status_says_where_to_look(echo):
    text = mcpbus(echo, "status").stdout
    now = value(echo, "status") if "all is well" in text else json.loads(
        mcpbus(echo, "status", "--json").stdout)
    assert f"{echo.vars['PUBLIC_URL']}/app" in text and now["gateway_url"] == echo.vars["PUBLIC_URL"]
    assert echo.vars["MONITOR_URL"] in text and now["monitor_url"] == echo.vars["MONITOR_URL"]


@pytest.mark.slow
def test_ctrl_c_leaves_the_job_and_twice_cancels_it(stack):
    user = fresh_user()
    for signals, status in ((1, "running"), (2, "cancelled")):
        shown = Terminal(stack, "run", "[sandbox:slow=60] Say hello", "--user", user)
        shown.read_until("running")
        shown.signal()
        shown.read_until("Ctrl-C again within 3 seconds cancels it")
        if signals == 2:
            shown.signal()
        assert shown.status() == cli.INTERRUPTED
        job_id = value(stack, "jobs", "list", "--user", user)["jobs"][0]["job_id"]
        assert f"mcpbus jobs cancel {job_id}" in shown.output
        assert value(stack, "jobs", "get", job_id)["status"] == status
        if signals == 1:
            late = mcpbus(stack, "jobs", "events", job_id, "--follow", "--timeout", "1")
            assert late.returncode == cli.TIMEOUT
            assert good(stack, "jobs", "cancel", job_id).stdout == f"{job_id} cancelled\n"
            followed = good(stack, "jobs", "events", job_id, "--follow").stdout
            assert "cancelled" in followed.splitlines()[-1]
