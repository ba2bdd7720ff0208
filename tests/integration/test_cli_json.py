"""mcpbus for scripts: the shape of each command's --json, as docs/cli.md tells it, and each exit
status of its table."""
import json
import re
import uuid

import cli
from cli import good, mcpbus, value
from stack import ROOT

JOB = {"job_id", "user_id", "message", "status", "result", "error_message", "token_usage",
       "created_at", "updated_at", "completed_at"}
ERROR = {"error", "detail", "retry", "retry_after_ms"}


def test_every_command_has_it():
    """All but those whose output is made for something else."""
    table = json.loads(good(None, "help", "--json").stdout)
    assert table.keys() == {"version", "commands", "bus_options", "statuses"}
    lacking = [command["name"] for command in table["commands"]
               if "--json" not in [option["name"] for option in command["options"]]]
    assert lacking == ["completion"]


def test_shapes_without_a_stack(tmp_path):
    assert value(None, "version").keys() == {"version"}
    settings = {row["name"]: row for row in value(None, "settings")}
    assert settings["GATEWAY_PORT"] == {
        "name": "GATEWAY_PORT", "type": "number", "default": "8000", "min": 0, "max": 65535,
        "help": settings["GATEWAY_PORT"]["help"]}
    assert settings["LOG_FORMAT"]["choices"] == ["text", "json"]
    assert settings["JWT_SECRET"]["type"] == "secret" and settings["JWT_SECRET"]["default"] is None
    keys = str(tmp_path / "keys")
    made = value(None, "keygen", "admin", "--dir", keys)
    assert made == [{"did": "made", "name": "admin", "public": f"{keys}/admin.key",
                     "secret": f"{keys}/admin.key_secret"}]
    assert [row["did"] for row in value(None, "keygen", "admin", "--dir", keys)] == ["kept"]
    assert [row["did"] for row in value(None, "keygen", "--rotate", "admin", "--dir", keys)] == [
        "rotated"]
    assert [row["did"] for row in value(None, "keygen", "--retire", "admin", "--dir", keys)] == [
        "retired"]


def test_shapes(echo):
    user = f"user-{uuid.uuid4().hex}"
    job = value(echo, "run", "hello", "--user", user)
    job_id = job["job_id"]
    assert job.keys() >= JOB
    assert value(echo, "run", "hello", "--user", user, "--no-wait").keys() == {"job_id", "user_id"}
    for args in (("get",), ("cancel",), ("watch",), ("retry",)):
        assert value(echo, "jobs", *args, job_id).keys() >= JOB
    assert value(echo, "jobs", "list", "--user", user).keys() >= {"jobs", "total", "limit", "offset"}
    for line in good(echo, "jobs", "events", job_id, "--json").stdout.splitlines():
        assert json.loads(line).keys() >= {"seq", "type", "data"}
    worker = value(echo, "workers")[0]
    assert worker.keys() >= {"instance", "host", "session", "version", "capacity", "running",
                             "draining"}
    assert value(echo, "workers", "resume", worker["instance"])[0].keys() >= {"instance", "draining"}


def test_shapes_of_the_database(echo):
    env = {name: echo.vars.get(name) or (echo.run / "secrets" / name).read_text().strip()
           for name in ("DATABASE_URL", "JWT_SECRET", "TOKEN_ENCRYPTION_KEY")}

    def of(*args):
        return json.loads(mcpbus(None, *args, "--json", "--env-file", "/dev/null", env=env).stdout)
    assert of("migrate") == {"ok": True, "said": ["database: up to date"]}
    status = of("migrate", "--status")
    assert status["missing"] == 0 and {"name", "applied_at"} == status["migrations"][0].keys()
    check = of("backup-check")
    assert check.keys() == {"usable", "faults", "checks"}
    assert check["checks"][0].keys() == {"name", "level", "text"}
    secrets = of("secrets", "status")
    assert secrets.keys() == {"keys", "not_encrypted", "left", "lost"}
    assert secrets["keys"][0].keys() == {"name", "id", "sessions"}


def test_each_exit_status(echo, tmp_path):
    """docs/cli.md's table, row by row, and what stdout has with --json then."""
    table = (ROOT / "docs" / "cli.md").read_text().split("### Exit status")[1]
    told = {int(row[1]) for row in re.finditer(r"^\| (\d+) \|", table, re.M)}
    job = good(echo, "run", "x", "--user", "u", "--no-wait").stdout.strip()
    nowhere = {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x", "JWT_SECRET": "0123456789abcdef"}
    good(None, "keygen", "admin", "--dir", str(tmp_path))
    tried = {
        cli.OK: [("jobs", "watch", job)],
        cli.FAILED: [("jobs", "get", str(uuid.uuid4())), ("workers", "drain", "nobody"),
                     ("run", "x", "--user", "nobody@example.com"),
                     ("call", "jobs.get", '{"job_id": "x", "user_id": "y"}'),
                     ("secrets", "status", "--env-file", "/dev/null"),
                     ("backup-check", "--env-file", "/dev/null")],
        cli.USAGE: [("jobs", "get"), ("run", "x"), ("call", "jobs"), ("nothing",),
                    ("status", "--keys", "/nonexistent")],
        cli.NO_BROKER: [("status", "--brokers", "tcp://127.0.0.1:1", "--timeout", "1"),
                        ("call", "jobs.health", "--brokers", "tcp://127.0.0.1:1", "--timeout", "1"),
                        ("run", "x", "--user", "u", "--key", str(tmp_path / "admin.key_secret"))],
    }
    for status, commands in tried.items():
        for args in commands:
            done = mcpbus(echo, *args, "--json", env=nowhere if "/dev/null" in args else None)
            assert done.returncode == status, (args, done.stdout, done.stderr)
            assert (done.stderr == "") == (status == cli.OK), (args, done.stderr)
            if status == cli.USAGE:
                assert done.stdout == "" or args[0] == "status"
            elif status != cli.OK and args[0] != "status":
                assert json.loads(done.stdout).keys() == ERROR, (args, done.stdout)
    # TIMEOUT and INTERRUPTED: test_cli.py, test_cli_terminal.py
    assert told == {*tried, cli.TIMEOUT, cli.INTERRUPTED}
