"""./dev: stacks side by side, supervision, scaling, and that nothing is left."""
import json
import os
import pathlib
import signal
import socket
import subprocess

import pytest

from stack import ROOT, unique, wait_until

SERVICES = ("sandbox", "broker", "auth", "jobs", "worker", "gateway", "monitor")


@pytest.fixture(scope="module")
def own():
    """A stack whose processes this file kills."""
    from stack import Stack
    umask = os.umask(0)
    try:
        one = Stack(env={"WORKER_RUNNER": "echo",
                         "OWN_NAME": "two\nlines 'and' \"quotes\""})
    finally:
        os.umask(umask)
    yield one
    one.close()


def test_status_shows_every_process(own):
    status = own.dev("status").stdout
    for service in (*SERVICES, "postgres"):
        assert f"{service}-1 " in status
        assert own.pid(f"{service}-1"), service
    pid = own.pid("sandbox-1")
    os.kill(pid, signal.SIGSTOP)
    try:
        status = own.dev("status", check=False)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert status.returncode == 1
    assert f"stopped by a signal or a debugger; kill -CONT {pid} lets it go on" in status.stdout


def test_the_run_folder_keeps_its_secrets(own):
    for name in ("env", "secrets/JWT_SECRET", "secrets/TOKEN_ENCRYPTION_KEY",
                 "secrets/MONITOR_TOKEN", "secrets/stack.env", "secrets/caller.env"):
        assert (own.run / name).stat().st_mode & 0o077 == 0, name
    for name in ("JWT_SECRET", "MONITOR_TOKEN"):
        assert (own.run / "secrets" / name).read_text().strip() not in own.log()


def test_nobody_else_writes_into_the_run_folder_whatever_the_umask(own):
    found = subprocess.run(["find", own.run, "-path", "*/pg", "-prune", "-o", "!", "-type", "l",
                            "-perm", "/022", "-print"], capture_output=True, text=True, check=False)
    assert found.stdout == ""


def environ(pid):
    raw = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
    return dict(item.split("=", 1) for item in raw.decode().split("\0") if "=" in item)


def test_the_supervision_inherits_nothing_of_the_caller(own):
    supervisor = int((own.run / "supervisor.pid").read_text())
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(supervisor)], capture_output=True,
                           text=True, check=True).stdout.split()
    assert len(found) == len(SERVICES) + 1
    for pid in (supervisor, *found):
        assert set(environ(pid)) <= {"MCPBUS_STACK", "PATH", "HOME", "LANG", "TMPDIR", "PWD",
                                     "OLDPWD", "SHLVL", "_"}


def test_services_have_the_caller_s_environment_and_no_secret_too_many(own):
    for service in SERVICES:
        has = environ(own.pid(f"{service}-1"))
        assert has["WORKER_RUNNER"] == "echo"
        assert has["OWN_NAME"] == "two\nlines 'and' \"quotes\""
        assert ("JWT_SECRET" in has) == (service in ("auth", "jobs", "gateway"))
        assert ("MONITOR_TOKEN" in has) == (service == "monitor")


def test_private_postgresql_is_durable(own):
    for name in ("fsync", "synchronous_commit"):
        assert own.sql(f"SHOW {name}") == [("on",)]


@pytest.mark.parametrize("service", (*SERVICES, "postgres"))
def test_a_killed_process_is_back_however_often(own, service):
    """Within two seconds, on a machine that does nothing else; no wait that grows."""
    for _ in range(3):
        old = own.kill(service)
        new = wait_until(lambda: own.pid(f"{service}-1") not in (None, old)
                         and own.pid(f"{service}-1"), 10, f"{service} back")
        os.kill(new, 0)
    own.wait_healthy()


def test_jobs_run_after_all_that(own):
    token = own.sign_in(unique())["access_token"]
    job = own.wait_job(token, own.post_run(token, "still there?"))
    assert (job["status"], job["result"]) == ("completed", "echo: still there?")


def test_token_walks_the_oauth_flow(own):
    email = unique()
    token = own.dev("token", email).stdout.strip()
    assert own.get("/me", token).json()["user"]["email"] == email


def test_second_up_leaves_a_running_stack_alone(own):
    before = own.pid("gateway-1")
    own.dev("up", "-d")
    assert own.pid("gateway-1") == before


def test_foreground_up_on_a_running_stack_says_so(own):
    done = own.dev("up", check=False)
    assert done.returncode != 0
    assert "already up" in done.stderr


def test_rescale_while_running(own):
    own.dev("up", "-d", "--scale", "worker=2", "--scale", "gateway=2", "--scale", "broker=2")
    own.read_env()
    assert len(own.vars["BROKER_ENDPOINT"].split(",")) == 2
    for service in ("worker", "gateway", "broker"):
        wait_until(lambda s=service: set(own.pids(s)) == {f"{s}-1", f"{s}-2"}, 10, service)
    own.dev("status")
    token = own.sign_in(unique())["access_token"]
    own.wait_job(token, own.post_run(token), status="completed")
    own.dev("up", "-d", "--scale", "worker=1", "--scale", "gateway=1", "--scale", "broker=1")
    assert set(own.pids("worker")) == {"worker-1"}
    own.wait_healthy()


def test_a_running_stack_without_keys_is_not_mixed_with_new_programs(own):
    settings = own.run / "secrets/stack.env"
    text = settings.read_text()
    settings.write_text("".join(line for line in text.splitlines(True) if "BUS_" not in line))
    try:
        done = own.dev("up", "-d", "--scale", "worker=2", check=False)
    finally:
        settings.write_text(text)
    assert done.returncode == 1 and "without keys" in done.stderr
    assert not own.pid("worker-2")


def test_logs(own):
    assert own.dev("logs", "gateway").stdout
    assert own.dev("logs", "nobody", check=False).returncode != 0


@pytest.mark.parametrize("scale", ("monitor=0", "worker=0", "nobody=2", "worker"))
def test_scale_refuses_what_it_cannot_do(own, scale):
    done = own.dev("up", "-d", "--scale", scale, check=False)
    assert done.returncode != 0
    assert done.stderr.startswith("error: ")


def test_two_stacks_side_by_side_and_down_keeps_the_data(own, new_stack):
    other = new_stack(env={"WORKER_RUNNER": "echo"})
    assert other.url != own.url
    token = other.sign_in("keeper@example.com")["access_token"]
    job_id = other.post_run(token, "keep me")
    other.wait_job(token, job_id, status="completed")
    other.dev("down")
    assert not other.processes()
    assert own.healthy()
    other.up()
    assert other.job(token, job_id)["result"] == "echo: keep me"


@pytest.mark.slow
def test_down_leaves_nothing_when_the_supervisor_was_killed(new_stack):
    one = new_stack(env={"WORKER_RUNNER": "echo"})
    os.kill(int((one.run / "supervisor.pid").read_text()), signal.SIGKILL)
    one.dev("down")
    assert not one.processes()
    one.dev("down")
    one.dev("down", "--purge")
    assert not one.run.exists()
    status = one.dev("status", check=False)
    assert status.returncode == 1
    assert status.stdout.startswith("nothing is up")
    assert status.stderr == ""


@pytest.mark.slow
def test_an_interrupted_start_leaves_nothing(new_stack):
    """Half a stack would be taken for one that is up."""
    one = new_stack(env={"WORKER_RUNNER": "echo"}, start=False)
    with subprocess.Popen([ROOT / "dev", "up", "-d"], env=one.environ, stderr=subprocess.PIPE,
                          stdout=subprocess.DEVNULL, text=True, start_new_session=True,
                          restore_signals=True, preexec_fn=listens) as up:
        wait_until(lambda: one.pid("postgres-1"), 60, "it has begun")
        os.killpg(up.pid, signal.SIGINT)
        said = up.communicate(timeout=120)[1]
    assert up.returncode == 130
    assert "what had started is stopped" in said
    assert not one.processes()
    one.up()
    assert one.healthy()


def listens():
    """To Ctrl-C, even where the tests run in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_a_taken_port_is_named_before_anything_starts(new_stack):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        one = new_stack(env={"GATEWAY_PORT": str(port)}, start=False)
        done = one.dev("up", "-d", check=False)
    assert done.returncode != 0
    assert f"port {port} (GATEWAY_PORT) is taken" in done.stderr
    assert not one.processes()


def test_a_bad_setting_is_told_with_its_name(new_stack):
    one = new_stack(env={"WORKER_CONCURRENCY": "many"}, start=False)
    done = one.dev("up", "-d", check=False)
    assert done.returncode != 0
    assert "WORKER_CONCURRENCY" in done.stderr
    assert not one.processes()


def test_env_file_is_read_and_the_environment_wins(new_stack, tmp_path):
    env_file = tmp_path / "env"
    env_file.write_text("WORKER_RUNNER=echo # no model\nGATEWAY_PORT=1\nREDIS_URL='redis://x'\n"
                        "LOG_FORMAT=json\nlost part of a secret\n")
    one = new_stack(env={"MCPBUS_ENV_FILE": str(env_file)})
    token = one.sign_in(unique())["access_token"]
    assert one.wait_job(token, one.post_run(token, "hi"))["result"] == "echo: hi"
    notices = [json.loads(line) for line in one.log("gateway").splitlines()
               if '"setting"' in line]
    assert {notice["name"] for notice in notices} >= {"REDIS_URL", "line 5"}
    assert "lost part" not in one.log()


def test_a_folder_with_other_things_is_refused_and_kept(new_stack):
    one = new_stack(start=False)
    one.run.chmod(0o750)
    (one.run / "thesis").write_text("mine")
    done = one.dev("up", "-d", check=False)
    assert done.returncode != 0
    assert "is no run folder" in done.stderr
    one.dev("down", "--purge")
    assert [file.name for file in one.run.iterdir()] == ["thesis"]
    assert one.run.stat().st_mode & 0o777 == 0o750


def test_a_malformed_port_leaves_no_mark(new_stack):
    one = new_stack(env={"GATEWAY_PORT": "abc"}, start=False)
    done = one.dev("up", "-d", check=False)
    assert done.returncode != 0
    assert "GATEWAY_PORT" in done.stderr
    assert not list(one.run.iterdir())


def test_purge_keeps_what_is_not_ours(new_stack):
    one = new_stack(env={"POSTGRES_PORT": "0", "WORKER_CONCURRENCY": "many"}, start=False)
    one.dev("up", "-d", check=False)
    (one.run / "thesis").write_text("mine")
    one.dev("down", "--purge")
    assert [file.name for file in one.run.iterdir()] == ["thesis"]


@pytest.mark.parametrize("line,value", (
    (r'export A="a\"b\\c\nd" # no', 'a"b\\c\nd'),
    (r"A='a\"b' # no", r'a\"b'), ("A=a#b # no", "a#b"),
    ("A = a b ", "a b"), ('A="# yes', "# yes"), ("A=1\nA=2", "2"), ("export A=", ""),
    ("A=1\nA=", ""), ("ROOT=/x", ""), ("no line", "")))
def test_env_values_are_read_as_the_services_read_them(tmp_path, line, value):
    (tmp_path / "env").write_text(line + "\n")
    done = subprocess.run(
        ["bash", "-euc", 'ROOT=.; source "$1"; load_env_file; printf %s "${A-}"; [[ $ROOT == . ]]',
         "bash", str(ROOT / "deploy/dev/common.sh")], capture_output=True, text=True, check=True,
        env={"PATH": os.environ["PATH"], "MCPBUS_ENV_FILE": str(tmp_path / "env")})
    assert done.stdout == value


def test_each_unset_address_is_the_sandbox_s_alone(new_stack):
    one = new_stack(start=False, env={
        "OPENAI_API_KEY": "sk-mine", "GOOGLE_CLIENT_ID": "mine", "GOOGLE_TOKEN_URI": "http://x/t",
        "WORKER_CONCURRENCY": "many"})
    warnings = one.dev("up", "-d", check=False).stderr
    assert "OPENAI_API_KEY is set, but OPENAI_BASE_URL is not: using the sandbox" in warnings
    assert "GOOGLE_CLIENT_ID is set, but GOOGLE_API_BASE is not: using the sandbox" in warnings
    assert "GOOGLE_TOKEN_URI is not" not in warnings
    settings = dict(line.removeprefix("export ").split("=", 1) for line in
                    (one.run / "secrets/stack.env").read_text().splitlines())
    sandbox = settings["SANDBOX_URL"]
    assert settings["OPENAI_API_KEY"] == "sk-mine"
    assert settings["OPENAI_BASE_URL"] == f"{sandbox}/v1"
    assert settings["GOOGLE_CLIENT_ID"] == "mine"
    assert settings["GOOGLE_CLIENT_SECRET"] == "sandbox-secret"
    assert settings["GOOGLE_TOKEN_URI"] == "http://x/t"
    assert settings["GOOGLE_API_BASE"] == sandbox
