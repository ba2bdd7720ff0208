"""docs/moving.md: the names in its tables exist, and the way back works."""
import json
import re
import subprocess

import pytest

from originals import MCPBUS, fixture_sql, original
from stack import ROOT

GUIDE = (ROOT / "docs" / "moving.md").read_text()
TABLES = ("Commands", "Variables", "Endpoints", "Flower's HTTP API", "Celery's Python API")


def help_of(*command):
    return subprocess.run([MCPBUS, "help", *command], capture_output=True, text=True,
                          check=False).stdout


def right_hand(section):
    """The code in the last column of a section's table."""
    body = GUIDE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in body.splitlines() if line.startswith("| ")]
    return [name for row in rows[2:] for name in re.findall(r"`([^`]+)`", row[-1])]


def is_command(name):
    """"mcpbus jobs list --status failed": the words are a command, and the options are its."""
    words = name.split()[1:]
    command = [word for word in words if re.fullmatch("[a-z-]+", word) and word[0] != "-"]
    while command and command[-1] not in help_of(*command).split("\n")[0].split():
        command.pop()
    text = help_of(*command)
    return command and text.startswith(f"usage: mcpbus {' '.join(command)}") \
        and all(f"  {option} " in text for option in words if option.startswith("--"))


def exists(name, settings, routes, methods):
    if name.startswith("mcpbus "):
        return is_command(name)
    if name.startswith("mcpbus-"):
        return (MCPBUS.parent / name).exists()
    if re.fullmatch("[A-Z]+ /.*", name):
        method, path = name.split()
        return method.lower() in routes.get(path, {})
    if re.fullmatch("[A-Z]+(_[A-Z]+)+", name):
        return name in settings
    if re.fullmatch(r"[a-z]+\.[a-z]+", name):
        return name in methods
    return None


def test_the_names_exist():
    settings = re.findall(r"SETTING\((\w+)", (ROOT / "services/settings.def").read_text())
    routes = json.loads((ROOT / "services/gateway/openapi.json").read_text())["paths"]
    methods = (ROOT / "proto/protocol.json").read_text()
    kinds = {name: exists(name, settings, routes, methods)
             for section in TABLES for name in right_hand(section)}
    assert [name for name, found in kinds.items() if found is False] == []
    assert sum(bool(found) for found in kinds.values()) > 60
    assert [name for name, found in kinds.items() if found is None] \
        == [name for name in kinds if name.startswith(("?wait=", "?status=", "/health", "/readyz",
                                                       "mcpbus_", "deploy/", "Idempotency-Key",
                                                       "callback_url"))]


def test_a_name_that_does_not_exist_is_found():
    assert not exists("mcpbus jobs liste", [], {}, "")
    assert not exists("mcpbus jobs list --stat", [], {}, "")
    assert exists("GET /job", [], {"/jobs": {"get": {}}}, "") is False


@pytest.mark.slow
def test_back_out_and_forward(echo):
    with original(echo.database_url, fixture_sql("original.sql")) as one:
        count = one.one("SELECT count(*) FROM job_records")
        before = {name for (name,) in one.sql("SELECT relname FROM pg_class WHERE relnamespace ="
                                              " 'public'::regnamespace AND relkind IN ('r', 'v')")}
        for _ in range(2):
            one.migrate()
            one.sql("UPDATE user_sessions SET token_data = '{\"access_token\": \"v1.x\"}'"
                    " WHERE user_id = 'user-a'")
            one.sql((ROOT / "docs" / "back-out.sql").read_text())
            after = {name for (name,) in one.sql("SELECT relname FROM pg_class WHERE relnamespace ="
                                                 " 'public'::regnamespace AND relkind IN ('r', 'v')")}
            assert after == before, "docs/back-out.sql must drop what a migration makes"
            assert one.sql("SELECT proname FROM pg_proc"
                           " WHERE pronamespace = 'public'::regnamespace") == []
            assert one.one("SELECT count(*) FROM job_records") == count
            assert one.one("SELECT count(*) FROM job_records"
                           " WHERE status NOT IN ('completed', 'failed')") == 0
            assert one.one("SELECT authenticated FROM user_sessions WHERE user_id = 'user-a'") \
                is False
            # As SQLAlchemy writes.
            one.sql("INSERT INTO job_records (id, user_id, message, status, result, error_message,"
                    " token_usage, env_vars, created_at, updated_at, completed_at) VALUES"
                    " (gen_random_uuid()::text, 'user-a', 'hello', 'pending', NULL, NULL, NULL,"
                    " '{}', now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC', NULL)")
            count += 1
        one.migrate()
        assert one.one("SELECT count(*) FROM job_queue") == 1
