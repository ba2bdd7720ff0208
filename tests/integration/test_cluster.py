"""A cluster on several machines, made by the commands of docs/deploy.md as they stand there."""
import contextlib
import pathlib
import re
import socket

import pytest

from hosts import BIN, MACHINES, Hosts, blocks
from net_labs import need_spaces
from net_load import Load
from stack import wait_until

ROLES = {"A": {"broker", "auth", "jobs", "gateway"},
         "B": {"broker", "auth", "jobs", "gateway", "worker"}, "C": {"worker"}}
# What neither a worker nor a broker needs to know.
USERS_SECRETS = ("DATABASE_URL", "JWT_SECRET", "TOKEN_ENCRYPTION_KEY")


@pytest.fixture(name="hosts", scope="module")
def _hosts():
    need_spaces()
    one = Hosts()
    yield one
    one.close()


def sessions_on(hosts, machine):
    """Live sessions of the workers of a machine, by its logs."""
    text = "".join(file.read_text(errors="replace")
                   for file in (hosts.run / machine / "log").glob("mcpbus-worker*"))
    rows = hosts.sql("SELECT session FROM worker_sessions WHERE lease_until > now()")
    return [session for (session,) in rows if session in text]


def runs_on(hosts, machine):
    rows = hosts.sql("SELECT count(*) FROM job_queue WHERE state = 1 AND session = ANY (%s)",
                     sessions_on(hosts, machine))
    return rows[0][0]


def reaches(hosts, machine, port, target="A"):
    with hosts.net[machine].entered(), contextlib.suppress(OSError), \
            socket.create_connection((hosts.net.address(target), port), timeout=2):
        return True
    return False


@pytest.mark.once
def test_the_document(hosts):
    hosts.start_sandbox()
    hosts.follow(1)
    hosts.share_secret()
    hosts.follow(2)
    hosts.wait_replicas(1, 1, 0)
    hosts.follow(3)
    hosts.wait_replicas(2, 2, 1)
    hosts.wait_replicas(2, 2, 1, door="B")
    with Load(hosts, clients=2, pause=0.2) as load:
        load.go_on(5)
        hosts.follow(4)
        hosts.wait_replicas(2, 2, 2)
        wait_until(lambda: sessions_on(hosts, "C"), 20, "C's worker has a session")
        hosts.follow(5, 1)
        hosts.wait_replicas(2, 2, 4)
        load.go_on(5)
        hosts.follow(5)
        hosts.wait_replicas(2, 2, 3)
        check_what_each_knows(hosts)
        check_firewall(hosts)
        check_stranger(hosts)
        go_by_the_other_broker(hosts, load)
        lose_a_machine(hosts, load)
        hosts.follow(6)
        hosts.wait_replicas(1, 1, 2)
        assert not hosts.units("B")
        load.go_on(5)
    judge(hosts, load)
    assert not any(hosts.pending.values()), "every block has been run"
    assert not hosts.dead()


def go_by_the_other_broker(hosts, load):
    """While A's stands still, all goes by B's."""
    hosts.execute("A", "systemctl stop mcpbus-broker@5550")
    load.go_on(5)
    hosts.wait_replicas(2, 2, 3)
    hosts.execute("A", "systemctl start mcpbus-broker@5550")
    hosts.wait_replicas(2, 2, 3)


def lose_a_machine(hosts, load):
    """B, while runs are under way there: others take them, and it joins again by itself."""
    with hosts.net["client"].entered():
        user = hosts.user()
        jobs = [user.run("[sandbox:slow=6] a long one") for _ in range(12)]
        wait_until(lambda: runs_on(hosts, "B") > 1, 20, "runs on B")
    hosts.lose("B")
    load.go_on(5)
    hosts.wait_replicas(1, 1, 2)
    with hosts.net["client"].entered():
        for job in jobs:
            assert user.finished(job, 60)["status"] == "completed", hosts.log()
    hosts.boot("B")
    hosts.wait_replicas(2, 2, 3)
    hosts.wait_replicas(2, 2, 3, door="B")


def judge(hosts, load):
    """Every accepted job completed, and one key made one job."""
    ids = list(load.accepted)
    assert len(ids) > 20
    wait_until(lambda: not hosts.sql("SELECT id FROM job_records WHERE id = ANY (%s) AND status <>"
                                     " 'completed'", ids), 60, "all jobs completed")
    rows = hosts.sql("SELECT id, message FROM job_records WHERE user_id = ANY (%s)", load.users)
    assert dict(rows) == load.accepted


def check_what_each_knows(hosts):
    """A machine has the secret keys of its own roles, and its processes know no more than they need."""
    for machine in MACHINES:
        folder = hosts.run / machine
        keys = {file.stem for file in folder.glob("etc/mcpbus/keys/*.key_secret")}
        assert keys == ROLES[machine]
        for file in folder.glob("etc/mcpbus/keys/*.key_secret"):
            assert file.stat().st_mode & 0o777 == 0o600
        assert (folder / "etc/mcpbus/mcpbus.env").stat().st_mode & 0o777 == 0o600
        for role in {"broker", "auth", "jobs", "gateway", "worker", "admin"} - ROLES[machine]:
            secret = secret_key(hosts.run / "desk/root/keys" / f"{role}.key_secret")
            assert secret not in everything(folder), f"{machine} has the secret key of {role}"
    of_c = everything(hosts.run / "C")
    for name in ("jwt_secret", "token_encryption_key", "database_password"):
        assert (hosts.run / "desk/root" / name).read_text().strip() not in of_c, name
    for unit, pid in hosts.units("B").items():
        known = pathlib.Path(f"/proc/{pid}/environ").read_bytes().decode()
        if "worker" in unit or "broker" in unit:
            assert not any(f"{name}=" in known for name in USERS_SECRETS), unit


def secret_key(file):
    return re.search(r'secret-key = "(.{40})"', file.read_text()).group(1)


def everything(folder):
    """Whatever a machine's /etc and /root hold."""
    return "".join(file.read_text(errors="replace") for part in ("etc", "root")
                   for file in (folder / part).rglob("*") if file.is_file())


def check_firewall(hosts):
    assert reaches(hosts, "C", 5550) and reaches(hosts, "C", 8000) and reaches(hosts, "B", 5432)
    assert not reaches(hosts, "C", 5432) and not reaches(hosts, "client", 5432)


def check_stranger(hosts):
    """A machine that knows every address and every public key, with a key of its own making."""
    script = f"""
        mkdir keys && cp ../../desk/root/keys/broker.key keys/
        mcpbus keygen --dir keys worker
        env BROKER_ENDPOINT=tcp://{hosts.net.address('A')}:5550 BUS_KEYS=$PWD/keys WORKER_RUNNER=echo \\
            mcpbus-worker --env-file /dev/null >../log/worker.log 2>&1 </dev/null &
    """
    hosts.execute("stranger", script)
    before = hosts.sql("SELECT count(*) FROM worker_sessions")
    log = hosts.run / "A/log/mcpbus-broker@5550.service.log"
    address = hosts.net.address("stranger")
    wait_until(lambda: any("key_refused" in line and address in line
                           for line in log.read_text().splitlines()), 20, "its key is refused")
    assert hosts.sql("SELECT count(*) FROM worker_sessions") == before
    hosts.wait_replicas(2, 2, 3)
    said = hosts.execute("stranger", "BUS_KEYS=$PWD/none WORKER_RUNNER=echo "
                         "mcpbus-worker --env-file /dev/null || true")
    assert "mcpbus keygen" in said, "one without keys says what it lacks"


def test_the_document_names_what_there_is():
    """Its commands are the programs'; each machine of its blocks is one of the table."""
    assert (BIN / "mcpbus").exists()
    found = blocks()
    assert [title[:2] for title in found if title[0].isdigit()] == [f"{n}." for n in range(1, 7)]
    assert {machine for one in found.values() for machine, _ in one} == {*MACHINES, "desk"}
