"""mcpbus, the command line, against a stack: what operators do daily, and what goes wrong."""
import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import uuid

import pytest

import cli
from bus_peer import (FINAL, HEADER, HELLO, INVALID, NOT_FOUND, OK, PARTIAL, Peer, PEERS,
                      REQUEST)
from cli import good, mcpbus, MCPBUS, Terminal, value
from client import fresh_email, sign_in
from stack import ROOT, slow, wait_until


def fresh_user():
    return f"user-{uuid.uuid4().hex}"


def test_call(echo):
    assert value(echo, "call", "jobs.health").keys() == {"queued", "running"}
    found = json.loads(good(echo, "call", "jobs.list", "-", text=json.dumps(
        {"user_id": fresh_user(), "limit": 5, "offset": 0})).stdout)
    assert found["jobs"] == [] and found["total"] == 0
    good(echo, "call", "gateway@*.jobs_changed", '{"ids": []}', "--one-way")


@pytest.mark.parametrize("args, status, said", [
    (("jobs.get", '{"job_id": "x", "user_id": "y"}'), cli.FAILED, "NOT_FOUND: Job not found"),
    (("jobs.nothing",), cli.FAILED, "NOT_FOUND: no such method"),
    pytest.param(("nothing.at_all", "--timeout", str(3 * slow())), cli.FAILED, "NO_SERVICE",
                 marks=pytest.mark.once),
    (("jobs.get", '{"job_id": 5, "user_id": "y"}'), cli.FAILED, "INVALID: job_id"),
    (("jobs",), cli.USAGE, "it takes SERVICE.METHOD"),
    (("jobs..get",), cli.USAGE, "it takes SERVICE.METHOD"),
    (("jobs@.get",), cli.USAGE, "it takes SERVICE.METHOD"),
    (("jobs.get", "[]"), cli.USAGE, "must be a JSON object"),
    (("jobs.get", '{"a": '), cli.USAGE, "must be a JSON object"),
])
def test_a_call_that_fails(echo, args, status, said):
    done = mcpbus(echo, "call", *args)
    assert done.returncode == status and said in done.stderr, done.stderr
    assert done.stdout == ""


def test_standard_input_with_a_nul(echo):
    """What stands behind it would be dropped without a word."""
    done = mcpbus(echo, "call", "jobs.health", "-", text="{}\0{")
    assert done.returncode == cli.USAGE and "NUL" in done.stderr


def test_an_error_as_json(echo):
    done = mcpbus(echo, "call", "jobs.get", '{"job_id": "x", "user_id": "y"}', "--json")
    assert done.returncode == cli.FAILED
    assert json.loads(done.stdout) == {"error": "NOT_FOUND", "detail": "Job not found",
                                       "retry": False, "retry_after_ms": 0}


class Weather(Peer):
    """A service of one's own, on a broker: a forecast is a stream of parts."""

    def __init__(self, stack):
        super().__init__(stack.vars["BROKER_ENDPOINT"].split(",")[0], stack.keys, "weather")
        self.send(HELLO, credit=100, metadata={"service": "weather", "methods": ["forecast", "note"],
                                               "version": "1.0"}, body={})
        self.receive(PEERS)

    def answer(self, asked, kind, part, body, status=OK):
        self.socket.send_multipart([HEADER.pack(
            b"MCB", 1, kind, 0, status, asked.instance, asked.seq, 0, 0, part, 0, bytes(16), bytes(8)),
            b"", b"", json.dumps(body).encode()])


@pytest.fixture
def weather(echo):
    good(None, "keygen", "--dir", echo.keys, "--name", "weather", "--role", "client", "--serve",
         "weather", "--call", "jobs.get")
    one = wait_until(lambda: greeted(echo), 20, "the brokers have read the key")
    yield one
    one.close()
    for file in pathlib.Path(echo.keys).glob("weather.key*"):
        file.unlink()


def greeted(stack):
    with contextlib.suppress(AssertionError):
        return Weather(stack)


def test_streams_and_one_way(echo, weather):
    with subprocess.Popen([str(MCPBUS), "call", "weather.forecast", '{"of": "Rome"}', "--stream"],
                          env=cli.environment(echo), stdout=subprocess.PIPE, text=True) as call:
        asked = weather.receive(REQUEST)
        assert (asked.method, asked.body) == ("weather.forecast", {"of": "Rome"})
        for part, body in ((1, {"day": 1}), (2, {"day": 2})):
            weather.answer(asked, PARTIAL, part, body)
            assert json.loads(call.stdout.readline()) == body
        weather.answer(asked, FINAL, 2, {"days": 2})
        assert json.loads(call.communicate(timeout=30)[0]) == {"days": 2}
        assert call.returncode == cli.OK
    # It listens without a pause: the brokers give up who is silent for three seconds.
    first = echo.vars["BROKER_ENDPOINT"].split(",")[0]  # the other does not know it
    with subprocess.Popen([str(MCPBUS), "call", "weather.note", '{"n": 1}', "--one-way", "--brokers",
                           first], env=cli.environment(echo)) as call:
        assert weather.receive(REQUEST).body == {"n": 1}
        assert call.wait(30) == cli.OK
    with subprocess.Popen([str(MCPBUS), "status", "--json"], env=cli.environment(echo), text=True,
                          stdout=subprocess.PIPE) as status:
        weather.answer(weather.receive(REQUEST), FINAL, 0, {"detail": "no such method"}, NOT_FOUND)
        now = json.loads(status.communicate(timeout=30)[0])
    assert [one["problem"] for one in now["services"] if one["service"] == "weather"] == [
        "does not say"]


def test_run_and_look_at_it(echo):
    user, text = fresh_user(), f"Say {uuid.uuid4().hex}"
    assert good(echo, "run", text, "--user", user).stdout == f"echo: {text}\n"
    job = value(echo, "run", "-", "--user", user, text=f"{text} again\n")
    assert (job["status"], job["message"]) == ("completed", f"{text} again")
    assert job["user_id"] == user
    listed = value(echo, "jobs", "list", "--user", user)["jobs"]
    assert [one["message"] for one in listed] == [f"{text} again", text]
    assert value(echo, "jobs", "list", "--user", user, "--limit", "1")["jobs"] == listed[:1]
    newest = value(echo, "jobs", "list", "--limit", "200", "--status", "completed")["jobs"]
    assert job["job_id"] in [one["job_id"] for one in newest]
    assert value(echo, "jobs", "get", job["job_id"]) == job
    assert job["job_id"] in good(echo, "jobs", "get", job["job_id"], "--user", user).stdout
    lines = good(echo, "jobs", "events", job["job_id"], "--json").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert json.loads(lines[-1])["data"]["status"] == "completed"
    behind = good(echo, "jobs", "events", job["job_id"], "--json", "--after", "1").stdout
    assert behind.splitlines() == lines[1:]
    assert value(echo, "jobs", "cancel", job["job_id"])["status"] == "completed"
    again = value(echo, "jobs", "retry", job["job_id"])
    assert again["job_id"] != job["job_id"] and again["result"] == job["result"]


def test_the_newest_jobs_of_all_users(echo):
    made = [value(echo, "run", f"one of {n}", "--user", fresh_user())["job_id"] for n in range(3)]

    def recent(**args):
        answer = good(echo, "call", "jobs.recent", json.dumps({"limit": 2, **args})).stdout
        return [job["job_id"] for job in json.loads(answer)["jobs"]]

    assert recent() == [made[2], made[1]]
    assert recent(before=made[1])[0] == made[0]
    assert recent(before=made[2], status="completed") == [made[1], made[0]]
    for limit in (0, 201):
        done = mcpbus(echo, "call", "jobs.recent", json.dumps({"limit": limit}))
        assert done.returncode == cli.FAILED and "limit must be 1 to 200" in done.stderr


def test_a_key_gives_the_same_job(echo):
    user, key = fresh_user(), uuid.uuid4().hex
    args = ("run", "once", "--user", user, "--idempotency-key", key, "--no-wait")
    job_id = good(echo, *args).stdout.strip()
    assert good(echo, *args).stdout.strip() == job_id
    other = mcpbus(echo, "run", "twice", "--user", user, "--idempotency-key", key)
    assert other.returncode == cli.FAILED and "CONFLICT" in other.stderr
    assert value(echo, "jobs", "get", job_id)["user_id"] == user


def test_a_client_s_key_runs_jobs(echo):
    """What a program of one's own may do: not look users up, but run jobs for them."""
    key, user = ("--key", f"{echo.keys}/client.key_secret"), fresh_user()
    assert good(echo, "run", "hello", "--user", user, *key).stdout == "echo: hello\n"
    denied = mcpbus(echo, "run", "hello", "--user", "ada@example.com", *key)
    assert denied.returncode == cli.NO_BROKER and "auth.find: DENIED" in denied.stderr


def test_users_by_their_address(echo):
    email = fresh_email()
    user = sign_in(echo, email)
    found = value(echo, "users", email.upper())["users"]
    assert [(one["user_id"], one["email"]) for one in found] == [(user.id, email)]
    job = value(echo, "run", "for me", "--user", email)
    assert user.result(job["job_id"])["result"] == "echo: for me"
    wrong = mcpbus(echo, "jobs", "get", job["job_id"], "--user", fresh_user())
    assert wrong.returncode == cli.FAILED and "there is no job" in wrong.stderr
    nobody = mcpbus(echo, "run", "x", "--user", "nobody@example.com")
    assert nobody.returncode == cli.FAILED and "nobody has signed in" in nobody.stderr


def well(stack, *args):
    """The status once all is well: a machine under load has moments."""
    def look():
        done = mcpbus(stack, "status", "--json", *args)
        return done.returncode == cli.OK and json.loads(done.stdout)
    return wait_until(look, 30, "all is well")


def test_status(echo):
    now = well(echo)
    assert [broker["state"] for broker in now["brokers"]] == ["connected"] * 2
    services = [replica["service"] for replica in now["services"]]
    for service in ("gateway", "auth", "jobs", "worker"):
        assert services.count(service) == 2
        pids = {replica["pid"] for replica in now["services"] if replica["service"] == service}
        assert pids == set(echo.pids(service).values())
    assert {replica["problem"] for replica in now["services"]} == {None}
    assert now["jobs"].keys() == {"queued", "running"} and now["problems"] == []
    assert {worker["instance"] for worker in now["workers"]} == {
        replica["instance"] for replica in now["services"] if replica["service"] == "worker"}
    assert well(echo, "--key", f"{echo.keys}/monitor.key_secret")["jobs"].keys() == now["jobs"].keys()
    text = mcpbus(echo, "status").stdout
    assert "all is well" in text or "problem" in text
    assert "\033" not in text


@pytest.mark.slow
def test_status_of_half_the_brokers(echo):
    first = echo.vars["BROKER_ENDPOINT"].split(",")[0]
    done = mcpbus(echo, "status", "--json", "--timeout", str(3 * slow()),
                  "--brokers", f"{first},tcp://127.0.0.1:1")
    now = json.loads(done.stdout)
    assert done.returncode == cli.FAILED
    assert [broker["state"] for broker in now["brokers"]] == ["connected", "no answer"]
    assert now["problems"] == ["tcp://127.0.0.1:1: no answer"]


def test_no_broker(echo):
    done = mcpbus(echo, "call", "jobs.health", "--timeout", "1", "--brokers",
                  "tcp://127.0.0.1:1")
    assert done.returncode == cli.NO_BROKER
    assert "tcp://127.0.0.1:1" in done.stderr and "--brokers" in done.stderr


def test_keys_that_are_refused(echo, tmp_path):
    strange = tmp_path / "keys"
    shutil.copytree(echo.keys, strange)
    (strange / "admin.key").unlink()
    (strange / "admin.key_secret").unlink()
    good(None, "keygen", "--dir", str(strange), "admin")
    done = mcpbus(echo, "call", "jobs.health", "--keys", str(strange))
    assert done.returncode == cli.NO_BROKER and "refuses our key" in done.stderr, done.stderr
    role = mcpbus(echo, "call", "worker.drain", "--key", f"{echo.keys}/client.key_secret")
    assert role.returncode == cli.NO_BROKER and "DENIED" in role.stderr and "--key" in role.stderr
    none = mcpbus(echo, "call", "jobs.health", "--keys", str(tmp_path))
    assert none.returncode == cli.USAGE and "admin.key_secret" in none.stderr


def test_settings_from_elsewhere(echo, tmp_path):
    """By the environment, a .env file, and a stack of this folder."""
    env = {"BROKER_ENDPOINT": echo.vars["BROKER_ENDPOINT"], "BUS_KEYS": echo.keys}
    good(None, "call", "jobs.health", env=env)
    (tmp_path / ".env").write_text("".join(f"{name}={text}\n" for name, text in env.items()))
    good(None, "call", "jobs.health", cwd=tmp_path)
    good(None, "call", "jobs.health", "--env-file", str(tmp_path / ".env"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / ".run").symlink_to(echo.run)
    good(None, "call", "jobs.health", cwd=tmp_path / "elsewhere")
    lost = mcpbus(None, "call", "jobs.health", cwd=tmp_path / "elsewhere", env={
        "MCPBUS_RUN_DIR": str(tmp_path)})
    assert lost.returncode == cli.USAGE and "BUS_KEYS" in lost.stderr


@pytest.mark.parametrize("args, said", [
    ((), "usage: mcpbus"), (("nothing",), "there is no command nothing"),
    (("jobs",), "jobs list"), (("jobs", "nothing"), "no command jobs nothing"),
    (("run",), "usage: mcpbus run"), (("run", "x"), "--user is missing"),
    (("stauts",), "did you mean mcpbus status?"), (("drain", "x"), "mcpbus workers drain?"),
    (("jobs", "evnts"), "did you mean mcpbus jobs events?"), (("workers", "dran"), "workers drain?"),
    (("help", "jobs", "lits"), "did you mean mcpbus jobs list?"),
    (("run", "x", "--nothing"), "--nothing: no such option\n"),
    (("run", "x", "--usr=u"), "--usr: no such option; did you mean --user?"),
    (("call", "jobs.health", "--broker", "x"), "did you mean --brokers?"),
    (("run", "x", "--user", "u", "--wait", "--no-wait"), "exclude each other"),
    (("run", "x", "--user"), "its value is missing"),
    (("run", "x", "--no-wait=1", "--user", "u"), "takes no value"),
    (("run", "x", "--user", "u", "--max-turns", "many"), "takes a whole number from 1 to 1000"),
    (("jobs", "get"), "usage: mcpbus jobs get"), (("jobs", "get", "a", "b"), "b: not expected"),
    (("jobs", "list", "--conversation", "c"), "needs --user"),
    (("jobs", "list", "--status", "complete"), 'cancelled, not "complete"'),
    (("jobs", "list", "--status="), 'cancelled, not ""'),
    (("workers", "zzzzzz"), "usage: mcpbus workers [OPTION]… [list]"),
    (("workers", "drain"), "usage: mcpbus workers drain"), (("completion", "tcsh"), "not tcsh"),
    (("help", "nothing"), "no such command"), (("migrate", "--env-file", "/dev/null"), "DATABASE_URL"),
])
def test_wrong_usage(args, said):
    done = mcpbus(None, *args)
    assert done.returncode == cli.USAGE and said in done.stderr and done.stdout == ""


def test_help():
    text = good(None, "help").stdout
    for name in ("run", "jobs events", "workers drain", "migrate", "keygen", "status"):
        assert f"  {name}" in text
        one = good(None, "help", *name.split()).stdout
        assert one == good(None, *name.split(), "--help").stdout
        assert one.startswith(f"usage: mcpbus {name}")
    assert good(None, "--help").stdout == text
    assert "  jobs get JOB" in good(None, "help", "jobs").stdout
    assert good(None, "jobs", "--help").stdout == good(None, "help", "jobs").stdout


def test_docs_are_up_to_date():
    made = good(None, "help", "--markdown").stdout
    assert made in (ROOT / "docs" / "cli.md").read_text(), \
        "docs/cli.md lacks what mcpbus help --markdown says: services/cli/update_docs.py"


def test_the_manual_page():
    page = good(None, "help", "--man").stdout
    done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-"], input=page,
                          capture_output=True, text=True, check=False,
                          env=cli.environment(None, MANWIDTH="100")) if shutil.which("man") else None
    if done:
        assert done.returncode == 0 and done.stderr == "", done.stderr
        shown = re.sub("\033\\[[0-9;]*m|.\b", "", done.stdout)
        assert "mcpbus workers drain NAME" in shown and "It lists the workers" in shown
    assert ".SH EXIT STATUS" in page


@pytest.mark.parametrize("line, words", [
    ("mcpbus st", ["status"]), ("mcpbus jo", ["jobs"]), ("mcpbus jobs ev", ["events"]),
    ("mcpbus jobs events --fo", ["--follow"]), ("mcpbus workers dr", ["drain"]),
    ("mcpbus run --conv", ["--conversation"]), ("mcpbus run text --no", ["--no-wait"]),
    ("mcpbus completion f", ["fish"]), ("mcpbus help workers re", ["resume"]),
    ("mcpbus jobs list --status fa", ["failed"]), ("mcpbus call --env-file /etc/host",
                                                   ["/etc/host.conf", "/etc/hostname", "/etc/hosts"]),
    ("mcpbus run --user ", []), ("mcpbus xyz", []), ("mcpbus migrate --wait ", []),
    ("mcpbus workers drain x --wait --js", ["--json"]),
])
def test_completion(line, words):
    """In a real bash: what it offers for a line."""
    script = f"""
        source <({MCPBUS} completion bash)
        words=({line}{" ''" if line.endswith(" ") else ""})
        COMP_WORDS=("${{words[@]}}") COMP_CWORD=$((${{#words[@]}} - 1))
        _mcpbus
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "--norc", "-u", "-c", script], capture_output=True, text=True,
                          env=cli.environment(None), check=False)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    offered = sorted(done.stdout.split())
    assert offered == words or set(words) <= set(offered) and line.endswith("/etc/host"), offered


def test_completion_of_names_with_blanks_and_stars(tmp_path):
    for name in ("a b.key", "*.key", "$(touch x).key"):
        (tmp_path / name).touch()
    script = f"""
        source <({MCPBUS} completion bash)
        COMP_WORDS=(mcpbus call --key '') COMP_CWORD=3
        _mcpbus
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "--norc", "-u", "-c", script], capture_output=True, text=True,
                          env=cli.environment(None), check=False, cwd=tmp_path)
    assert sorted(done.stdout.splitlines()) == ["$(touch x).key", "*.key", "a b.key"], done


def test_a_service_s_error_cannot_command_the_terminal(echo, weather):
    shown = Terminal(echo, "call", "weather.forecast")
    weather.answer(weather.receive(REQUEST), FINAL, 0, {"detail": "a\033]0;owned\007b\u202e"}, INVALID)
    assert shown.status() == cli.FAILED
    assert "INVALID: a\ufffd]0;owned\ufffdb\ufffd" in shown.output
    assert "\033]0" not in shown.output and "\u202e" not in shown.output


def test_what_a_service_says_of_itself_cannot_command_the_terminal(echo, weather):
    shown = Terminal(echo, "status")
    asked = weather.receive(REQUEST)
    assert asked.method.endswith(".about")
    weather.answer(asked, FINAL, 0, {"service": "weather", "problem": "a\033]0;owned\007b"})
    assert shown.status() == cli.FAILED
    assert "a\ufffd]0;owned\ufffdb" in shown.output and "\033]0" not in shown.output


def test_an_error_too_long_is_cut_between_characters(echo, weather):
    with subprocess.Popen([str(MCPBUS), "call", "weather.forecast", "--json"], text=True,
                          env=cli.environment(echo), stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as call:
        weather.answer(weather.receive(REQUEST), FINAL, 0, {"detail": "\u00e4" * 400}, INVALID)
        assert json.loads(call.communicate(timeout=30)[0])["detail"] == "\u00e4" * 255


def test_output_that_cannot_be_written(echo):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([str(MCPBUS), "call", "jobs.health"], env=cli.environment(echo),
                              stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        cli.FAILED, "mcpbus: standard output: No space left on device\n")


def test_texts_cannot_command_the_terminal(echo):
    evil = "a\033]0;owned\007b\033[2Jc\u202ed"
    shown = Terminal(echo, "run", evil, "--user", fresh_user())
    assert shown.status() == cli.OK
    assert "\ufffd]0;owned\ufffdb\ufffd[2Jc\ufffdd" in shown.output
    assert "\033]0" not in shown.output and "\033[2J" not in shown.output
    assert good(echo, "run", evil, "--user", fresh_user()).stdout == f"echo: {evil}\n"


@pytest.mark.slow
def test_waiting_has_an_end_and_a_failed_job_fails(stack):
    user = fresh_user()
    late = mcpbus(stack, "run", "[sandbox:slow=60] Say hello", "--user", user, "--timeout", "1")
    assert late.returncode == cli.TIMEOUT and "goes on" in late.stderr
    job_id = value(stack, "jobs", "list", "--user", user)["jobs"][0]["job_id"]
    found = value(stack, "call", "jobs.find", json.dumps({"job_id": job_id}))
    workers = [worker["instance"] for worker in value(stack, "workers")]
    assert found["user_id"] == user and found["instance"] in workers
    good(stack, "jobs", "cancel", job_id)
    done = mcpbus(stack, "jobs", "retry", job_id, "--timeout", "1", "--json")
    assert done.returncode == cli.TIMEOUT
    follower = subprocess.Popen([str(MCPBUS), "run", "[sandbox:slow=60] x", "--user", user],
                                env=cli.environment(stack), stderr=subprocess.PIPE, text=True)
    running = wait_until(lambda: [
        job for job in value(stack, "jobs", "list", "--user", user, "--status", "running")["jobs"]
        if job["message"].endswith("] x")], 30, "it runs")
    for job in value(stack, "jobs", "list", "--user", user, "--status", "running")["jobs"]:
        good(stack, "jobs", "cancel", job["job_id"])
    assert running
    assert follower.wait(60) == cli.FAILED and "cancelled" in follower.stderr.read()
