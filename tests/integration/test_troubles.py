"""What goes wrong on the first day, and what people are told then: one clear sentence with what to do,
without a secret. docs/troubleshooting.md has a row for each of these; the last test holds them against
each other."""
import http.server
import json
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import threading
import uuid
from urllib.parse import urlsplit

import pytest

import cli
from asking import use
from cli import good, mcpbus
from own_bus import BIN, Program
from stack import DEV, ROOT

pytest_plugins = ["asking_stacks"]

SECRET = "hunter2hunter2hunter2"
SETTINGS = {"JWT_SECRET": SECRET, "GOOGLE_CLIENT_ID": "id", "GOOGLE_CLIENT_SECRET": SECRET,
            "OPENAI_API_KEY": SECRET, "MONITOR_TOKEN": SECRET, "BUS_SECURITY": "plain",
            "BROKER_ENDPOINT": "tcp://127.0.0.1:1", "GATEWAY_PORT": "0", "MONITOR_PORT": "0",
            "GATEWAY_ADDRESS": "127.0.0.1", "MONITOR_ADDRESS": "127.0.0.1",
            "DATABASE_URL": f"postgresql://u:{SECRET}@127.0.0.1:1/x"}


class Service(Program):
    """One service alone, and what it says."""

    def __init__(self, name, folder, env_file="/dev/null", **env):
        super().__init__([BIN / f"mcpbus-{name}", "--env-file", env_file],
                         cli.environment(None, **{**SETTINGS, **env}), folder)

    def says(self, *texts):
        """Once, and no secret beside it."""
        self.wait_for(texts[0], 40)
        told = [line for line in self.text().splitlines() if texts[0] in line]
        assert len(told) == 1 and all(text in told[0] for text in texts), self.text()
        assert SECRET not in self.text()


@pytest.fixture
def service(tmp_path):
    made = []

    def start(name, **env):
        made.append(Service(name, tmp_path, **env))
        return made[-1]
    yield start
    for one in made:
        one.process.kill()
        one.process.wait()


def ends(service, *texts):
    """It has refused to start, with this as its last line."""
    assert service.process.wait(60) != 0
    last = service.text().splitlines()[-1]
    assert all(text in last for text in texts), service.text()
    assert SECRET not in service.text()


def database(echo, user=None, password=None, name=None, port=None, host="127.0.0.1", more=""):
    parts = urlsplit(echo.database_url)
    return (f"postgresql://{user or parts.username}:{password or parts.password}@{host}:"
            f"{port or parts.port}/{name or parts.path[1:]}{more}")


def refused(url, *texts, args=("secrets", "status")):
    """The command line's word on a database, on one line."""
    done = mcpbus(None, *args, "--env-file", "/dev/null",
                  env={"DATABASE_URL": url, "JWT_SECRET": SECRET})
    assert done.returncode == cli.FAILED, done
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert all(text in done.stderr for text in ("DATABASE_URL", *texts)), done.stderr
    assert SECRET not in done.stderr and urlsplit(url).password not in done.stderr


def test_postgresql_is_not_there(echo, service):
    refused(database(echo, port=1), "Connection refused; is PostgreSQL running there?")
    refused(database(echo, host="nowhere.invalid"), "correct the host in DATABASE_URL")
    service("jobs").says("Connection refused; is PostgreSQL running there? DATABASE_URL says where")


def test_wrong_password(echo):
    refused(database(echo, password="wrongwrong"), "correct the user or the password in DATABASE_URL")
    refused(database(echo, user="stranger"), "correct the user or the password in DATABASE_URL")


def test_database_is_missing(echo):
    refused(database(echo, name="nothere"), '"nothere" does not exist; create it (createdb)')


def test_not_enough_rights(echo):
    echo.sql("DROP ROLE IF EXISTS weak")
    echo.sql("CREATE ROLE weak LOGIN PASSWORD 'weakweakweak'")
    done = mcpbus(None, "migrate", "--env-file", "/dev/null",
                  env={"DATABASE_URL": database(echo, user="weak", password="weakweakweak")})
    echo.sql("DROP ROLE weak")
    assert done.returncode == cli.FAILED and len(done.stderr.splitlines()) == 1, done.stderr
    assert "GRANT CREATE, USAGE ON SCHEMA public to the user of DATABASE_URL" in done.stderr


def test_without_tls(echo):
    refused(database(echo, more="?sslmode=require"), "take sslmode out of DATABASE_URL")


class OldPostgres:
    """As much of the protocol as a login takes: a server of a version long gone."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            while True:
                one, _ = self.socket.accept()
                while one.recv(4096)[4:8] == struct.pack("!I", 80877103):  # does it speak TLS?
                    one.sendall(b"N")
                text = b"server_version\0009.6.24\0"
                one.sendall(b"R" + struct.pack("!II", 8, 0) + b"S" + struct.pack("!I", 4 + len(text)) +
                            text + b"Z" + struct.pack("!I", 5) + b"I")
        except OSError:
            return


def test_postgresql_is_too_old(echo):
    old = OldPostgres()
    refused(database(echo, port=old.port, more="?target_session_attrs=any"),
            "PostgreSQL there is too old: mcpbus needs version 13 or newer")
    old.socket.close()


def test_tables_are_missing_or_newer(echo):
    name = f"tables_{uuid.uuid4().hex[:8]}"
    echo.sql(f"CREATE DATABASE {name}")
    env = {"DATABASE_URL": database(echo, name=name)}
    args = ("migrate", "--env-file", "/dev/null")
    waited = mcpbus(None, *args, "--wait", "0", env=env)
    assert waited.returncode == cli.FAILED
    assert re.search(r"\d+ migrations are missing: mcpbus migrate\n$", waited.stderr)
    good(None, *args, env=env)
    subprocess.run(["psql", env["DATABASE_URL"], "-qc",
                    "INSERT INTO mcpbus_migrations VALUES (9999, '9999_later')"], check=True)
    assert "1 migrations are of a newer release than this mcpbus: update it" in good(
        None, *args, env=env).stdout
    echo.sql(f"DROP DATABASE {name}")


@pytest.mark.parametrize("name, setting", [
    ("gateway", "GATEWAY_PORT"), ("monitor", "MONITOR_PORT"), ("broker", "BROKER_PORT"),
    ("jobs", "HEALTH_PORT")])
def test_port_taken(service, name, setting):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        one = service(name, **{setting: str(taken.getsockname()[1]), "HEALTH_ADDRESS": "127.0.0.1"})
        ends(one, setting, "taken")


@pytest.mark.parametrize("name", ["gateway", "monitor"])
def test_an_address_of_another_machine(service, name):
    setting = f"{name.upper()}_ADDRESS"
    ends(service(name, **{setting: "192.0.2.1", "HEALTH_ADDRESS": "127.0.0.1"}),
         f"{setting} takes an address of this machine")


def test_port_taken_and_by_whom():
    """Before anything is started, ./dev names who has it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = dev(f"RUN=/nowhere; refuse_port BROKER_PORT {port}")
    assert f"port {port} (BROKER_PORT) is taken" in done.stderr
    assert "set BROKER_PORT to another one, or to 0 for a free one" in done.stderr
    if shutil.which("ss"):
        assert f"(pid {os.getpid()})" in done.stderr


def dev(script, **env):
    """The functions of ./dev, without its commands."""
    return subprocess.run(["bash", "-c", f"""
        ROOT={ROOT}; set -Eeuo pipefail
        for part in common progress install build settings postgres supervise stack; do
            source "$ROOT/deploy/dev/$part.sh"
        done
        {script}"""], capture_output=True, text=True, check=False, timeout=120,
                          env={"PATH": os.environ["PATH"], **env})


def test_broker_not_reachable(service, echo):
    service("auth").says("no broker is connected", "is one running at tcp://127.0.0.1:1?",
                         "BROKER_ENDPOINT says where they are")
    done = mcpbus(echo, "jobs", "list", "--brokers", "tcp://127.0.0.1:1", "--timeout", "1")
    assert done.returncode == cli.NO_BROKER and "No broker answers there" in done.stderr
    assert "Elsewhere: --brokers or BROKER_ENDPOINT" in done.stderr


def keys(folder):
    good(None, "keygen", "--dir", str(folder))
    return {"BUS_SECURITY": "curve", "BUS_KEYS": str(folder)}


def test_key_missing(service, tmp_path):
    env = keys(tmp_path / "keys")
    (tmp_path / "keys" / "auth.key_secret").unlink()
    ends(service("auth", **env), "auth.key_secret can't be used", "mcpbus keygen makes keys")
    done = mcpbus(None, "jobs", "list", "--keys", "/nonexistent")
    assert done.returncode == cli.USAGE and "admin.key_secret" in done.stderr
    done = mcpbus(None, "jobs", "list")
    assert done.returncode == cli.USAGE and "BUS_KEYS or --keys takes the folder" in done.stderr


def test_key_that_others_can_read(service, tmp_path):
    env = keys(tmp_path / "keys")
    (tmp_path / "keys" / "auth.key_secret").chmod(0o644)
    ends(service("auth", **env), "others can read it; chmod 600 it")


def test_key_of_another_role(service, tmp_path):
    env = keys(tmp_path / "keys")
    ends(service("auth", **env, BUS_KEY=str(tmp_path / "keys" / "client.key_secret")),
         "is for the role client, not for auth")


def test_wrong_key(service, echo, tmp_path):
    env = keys(tmp_path / "keys")
    service("auth", **env, BROKER_ENDPOINT=echo.brokers[0]).says(
        "bus_refused", "none of the brokers' public keys in our BUS_KEYS folder is its own")
    done = mcpbus(echo, "jobs", "list", "--keys", env["BUS_KEYS"])
    assert done.returncode == cli.NO_BROKER and "docs/keys.md tells how they are made" in done.stderr


def test_setting_malformed(service):
    ends(service("worker", WORKER_CONCURRENCY="many"),
         'WORKER_CONCURRENCY takes a whole number from 1 to 10000, not "many"')
    ends(service("worker", OPENAI_API_KEY=""), "OPENAI_API_KEY is not set")


def test_setting_with_a_near_name(service, tmp_path):
    (tmp_path / "env").write_text("OPENAI_MODLE=gpt-4o\n")
    service("worker", env_file=str(tmp_path / "env")).says(
        "OPENAI_MODLE", "is not a setting of mcpbus; it is ignored (did you mean OPENAI_MODEL?)")


@pytest.mark.parametrize("status, code, said", [
    (401, "invalid_api_key", "refused the API key (401): OPENAI_API_KEY must be one of its own"),
    (404, "model_not_found", "(OPENAI_MODEL must be a model of OPENAI_BASE_URL's)"),
    (429, "insufficient_quota", "(the account behind OPENAI_API_KEY has no quota left)")])
def test_model_refuses(asking, status, code, said):
    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"error": {"message": "no", "code": code, "type": code}}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    asking.recorder.target = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        done = mcpbus(asking, "run", use("look")[0], "--user", f"user-{uuid.uuid4().hex}")
    finally:
        asking.recorder.target = asking.sandbox_url
        server.shutdown()
        server.server_close()
    assert done.returncode == cli.FAILED
    assert len(done.stderr.splitlines()) == 1 and said in done.stderr, done.stderr


def test_output_disk_full(echo):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([str(cli.MCPBUS), "jobs", "list", "--json"], env=cli.environment(echo),
                              stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        cli.FAILED, "mcpbus: standard output: No space left on device\n")


def test_no_network_for_packages(tmp_path):
    done = dev("sleep() { :; }; apt_retry false")
    assert done.returncode == 1
    assert "error: the packages could not be installed: is there a network" in done.stderr


@pytest.mark.parametrize("why, said", [
    ('invalid locale name "C.UTF-8"', "without the locale C.UTF-8: apt-get install libc-bin"),
    ("could not write: No space left on device", "the disk is full; MCPBUS_RUN_DIR names another place")])
def test_no_private_postgresql(tmp_path, why, said):
    done = dev(f"""as_postgres() {{ [[ $1 != */initdb ]] || {{ echo 'initdb: error: {why}'; return 1; }}; }}
               pg_make {tmp_path}/pg secret""")
    assert done.returncode == 1 and "PostgreSQL's folder can't be made" in done.stderr
    assert said in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


def test_run_folder_without_rights(tmp_path):
    (tmp_path / "run").write_text("")  # even root can make no folder below a file
    done = subprocess.run([str(DEV), "up", "-d"], capture_output=True, text=True, check=False,
                          env={**os.environ, "MCPBUS_RUN_DIR": str(tmp_path / "run" / "x"),
                               "MCPBUS_BIN": str(BIN), "MCPBUS_ENV_FILE": "/dev/null"}, timeout=120)
    assert done.returncode == 1
    assert f"error: the run folder {tmp_path}/run/x can't be made" in done.stderr
    done = dev(f"RUN={tmp_path}; rm -rf {tmp_path}/*; touch {tmp_path}/.mcpbus; mkdir {tmp_path}/lock; lock_run_dir 0")
    assert done.returncode == 1 and f"error: the run folder {tmp_path} can't be" in done.stderr


def test_run_folder_without_room(tmp_path):
    (tmp_path / "lock.room").symlink_to("/dev/full")
    done = dev(f"RUN={tmp_path}; check_room")
    assert done.returncode == 1
    assert f"error: the run folder {tmp_path} has no room left; make some, or MCPBUS_RUN_DIR" in done.stderr
    assert not (tmp_path / "lock.room").is_symlink()


def test_a_failed_start_shows_the_logs_of_this_start(tmp_path):
    """Not those of services that said something the last time."""
    (tmp_path / "logs").mkdir()
    for name in ("old-1", "migrate", "keygen"):
        (tmp_path / "logs" / f"{name}.log").write_text(f"words of {name}\n")
    os.utime(tmp_path / "logs" / "old-1.log", (1, 1))
    (tmp_path / "supervisor.pid").write_text("")
    os.utime(tmp_path / "supervisor.pid", (2, 2))
    for logs in ("", f"{tmp_path}/logs/migrate.log"):
        done = dev(f"RUN={tmp_path}; stop_stack() {{ :; }}; fail_start broken {logs}")
        assert done.returncode == 1
        said = done.stderr.splitlines()
        assert said[0] == "migrate  words of migrate" and said[1].startswith("error: broken; ") and len(said) == 2


def test_lines_that_repeat_are_said_once(tmp_path):
    """A service that is started again and again says the same again and again."""
    log = tmp_path / "auth-1.log"
    log.write_text("".join(f"2026-01-01T00:00:0{n}.000000Z error   auth not_ready why=x\n"
                           for n in range(9)))
    done = dev(f"last_words {log}")
    assert done.stdout == "auth-1  2026-01-01T00:00:00.000000Z error   auth not_ready why=x\n"


def test_the_page_has_a_row_for_each():
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| ")][1:]
    named = set()
    for row in rows[1:]:
        assert len(row) == 6, row
        file, _, name = row[4].strip().strip("`").partition("::")
        text = (ROOT / "tests" / "integration" / file).read_text()
        assert f"\ndef {name}(" in text, row
        named.add((file, name))
    here = pathlib.Path(__file__)
    for name in re.findall(r"^def (test_\w+)\(", here.read_text(), re.M):
        assert (here.name, name) in named or name in (
            "test_the_page_has_a_row_for_each", "test_lines_that_repeat_are_said_once",
            "test_a_failed_start_shows_the_logs_of_this_start"), name
