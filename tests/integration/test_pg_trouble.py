"""A PostgreSQL that is up and yet of no use: locked, full of others, changed, starting. Our
services wait with pauses, say why, tell no secret, and come back by themselves."""
import contextlib
import threading
import time

import psycopg2
import pytest

from client import User, original_token
from pg_cluster import PASSWORD, cpu_seconds, health
from pg_load import Load
from stack import wait_until

pytest_plugins = ["pg_stacks"]


def cut_all(cluster):
    """Ends each connection of our services."""
    cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'mcpbus%%'")


def service_pids(stack):
    return [pid for service in ("jobs", "auth", "gateway") for pid in stack.pids(service).values()]


class Trouble:
    """Made before the trouble begins; then check(): jobs can't be accepted, /health says so, the
    log of jobs says why, nothing spins, and no secret is told."""

    def __init__(self, stack, why):
        self.stack, self.why = stack, why
        stack.wait_healthy()
        self.said = stack.log("jobs").count(why)

    def is_told(self):
        return self.stack.log("jobs").count(self.why) > self.said

    def check(self, seconds=0):
        wait_until(lambda: health(self.stack)[0] == 503, 20, "unhealthy")
        wait_until(self.is_told, 20, f"the log of jobs says {self.why!r}")
        before = cpu_seconds(service_pids(self.stack))
        time.sleep(seconds)
        used = cpu_seconds(service_pids(self.stack)) - before
        assert used < 1 + seconds / 2, "a busy loop"
        status, text = health(self.stack)
        assert status == 503
        for secret in (PASSWORD, self.why):
            assert secret not in text
        assert PASSWORD not in self.stack.log()


def test_locked_table(pg_pair):
    """Somebody's ALTER TABLE, say. What is posted meanwhile waits."""
    stack, cluster = pg_pair.stack, pg_pair.cluster
    stack.wait_healthy()
    with Load(stack) as load:
        load.wait_accepted(50)
        with contextlib.closing(cluster.connect()) as other:
            other.cursor().execute("BEGIN; LOCK TABLE job_queue IN ACCESS EXCLUSIVE MODE")
            time.sleep(3)
            other.cursor().execute("COMMIT")
        load.wait_accepted(50)
    load.check_answers(allowed=(200,))
    load.check_all_ended(cluster)


@pytest.mark.long
def test_locked_table_for_long(pg_pair):
    """Beyond the deadlines: 503, and no 500."""
    stack, cluster = pg_pair.stack, pg_pair.cluster
    stack.wait_healthy()
    with Load(stack) as load:
        load.wait_accepted(50)
        with contextlib.closing(cluster.connect()) as other:
            other.cursor().execute("BEGIN; LOCK TABLE job_queue IN ACCESS EXCLUSIVE MODE")
            time.sleep(40)
            other.cursor().execute("COMMIT")
        load.wait_accepted(50)
    load.check_answers()
    load.check_all_ended(cluster)


def test_one_locked_job(pg_pair):
    """A client that sits on one job's row, in an open transaction: only that job waits for it."""
    stack, cluster = pg_pair.stack, pg_pair.cluster
    stack.wait_healthy()
    user = User(stack, original_token(stack))
    with contextlib.closing(cluster.connect()) as other:
        # The row is there before its job is: a submit under that key waits for the transaction.
        other.cursor().execute(
            "BEGIN; INSERT INTO job_idempotency (user_id, key, hash, job_id)"
            " VALUES (%s, %s, %s, %s)", (user.id, "locked", "hash", "job"))
        answers = []
        locked = threading.Thread(target=lambda: answers.append(user.post(
            "/run", json={"message": "locked"}, headers={"Idempotency-Key": "locked"})))
        with Load(stack) as load:
            locked.start()
            load.wait_accepted(300, 60)
            locked.join(60)
        assert answers[0].status_code == 503 and int(answers[0].headers["Retry-After"]) >= 1
        load.check_answers(allowed=(200,))
        other.cursor().execute("ROLLBACK")
    assert user.finished(user.run("locked", key="locked"))["status"] == "completed"
    load.check_all_ended(cluster)


def test_no_connections_left(pg_pair):
    """Others have all of them: at the next loss ours can't come back until some are given up."""
    stack, cluster = pg_pair.stack, pg_pair.cluster
    stack.wait_healthy()
    others = []
    trouble = Trouble(stack, "too many clients")

    def take_all():
        with contextlib.suppress(psycopg2.OperationalError):
            while True:
                others.append(cluster.connect())

    with Load(stack, users=3) as load:
        load.wait_accepted(30)
        try:
            with contextlib.closing(cluster.connect()) as admin:
                end = time.monotonic() + 20
                while time.monotonic() < end:
                    admin.cursor().execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                           " WHERE application_name LIKE 'mcpbus%'")
                    take_all()  # what ours have not got by now
                    if trouble.is_told() and health(stack)[0] == 503:
                        break
                trouble.check()
                # As many come free as ours have: with fewer it would be luck who gets them.
                for _ in range(28):
                    others.pop().close()
                load.wait_accepted(30, 60)
        finally:
            for other in others:
                other.close()
        load.wait_accepted(30, 60)
    load.check_answers()
    load.check_all_ended(cluster)


def test_password_changed(pg_pair):
    stack, cluster = pg_pair.stack, pg_pair.cluster
    trouble = Trouble(stack, "password authentication failed")
    with Load(stack, users=3) as load:
        load.wait_accepted(30)
        with contextlib.closing(cluster.connect()) as admin:
            cursor = admin.cursor()
            cursor.execute("ALTER ROLE mcpbus PASSWORD 'another'")
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                           " WHERE application_name LIKE 'mcpbus%'")
            try:
                trouble.check(3)
            finally:
                cursor.execute(f"ALTER ROLE mcpbus PASSWORD '{PASSWORD}'")
        load.wait_accepted(30)
    load.check_answers()
    load.check_all_ended(cluster)


def test_commits_that_would_not_last(pg_pair):
    """synchronous_commit off, by the role, for whoever connects now: refused, until it is on."""
    stack, cluster = pg_pair.stack, pg_pair.cluster
    trouble = Trouble(stack, "fsync or synchronous_commit is off")
    user = User(stack, original_token(stack))
    cluster.sql("ALTER ROLE mcpbus SET synchronous_commit = off")
    try:
        cut_all(cluster)
        trouble.check()
    finally:
        cluster.sql("ALTER ROLE mcpbus RESET synchronous_commit")
    stack.wait_healthy()
    assert user.done("lasts")["result"] == "echo: lasts"


@pytest.mark.long
def test_fsync_off(pg_pair):
    stack, cluster = pg_pair.stack, pg_pair.cluster
    trouble = Trouble(stack, "fsync or synchronous_commit is off")
    cluster.conf["fsync"] = "off"
    try:
        cluster.restart()
        trouble.check()
    finally:
        cluster.conf["fsync"] = "on"
        cluster.restart()
    stack.wait_healthy()


@pytest.mark.long
def test_starting_up(pg_pair):
    """It answers, and takes nobody yet: a long recovery."""
    stack, cluster = pg_pair.stack, pg_pair.cluster
    trouble = Trouble(stack, "not accepting connections")
    with Load(stack) as load:
        load.wait_accepted(50)
        cluster.stop()
        signal_file = cluster.data / "standby.signal"
        signal_file.touch()
        cluster.own(signal_file)
        cluster.conf.update(hot_standby="off", restore_command="sleep 5; false")
        try:
            cluster.launch()
            trouble.check(12)
        finally:
            cluster.stop()
            signal_file.unlink()
            cluster.conf["hot_standby"] = "on"
            del cluster.conf["restore_command"]
            cluster.start()
        load.wait_accepted(50)
    load.check_answers()
    load.check_all_ended(cluster)


@pytest.mark.long
def test_database_dropped(new_cluster, new_pg_stack):
    """Nothing comes back of itself; but when the database does, so do our services."""
    cluster = new_cluster().make().start()
    stack = new_pg_stack(cluster.url())
    user = User(stack, original_token(stack))
    assert user.done("before")["status"] == "completed"
    trouble = Trouble(stack, "does not exist")
    cluster.sql("DROP DATABASE mcpbus WITH (FORCE)", database="postgres")
    trouble.check(3)
    assert user.get("/result/00000000").status_code == 503
    cluster.sql("CREATE DATABASE mcpbus", database="postgres")
    wait_until(lambda: "no_tables" in stack.log("jobs"), 30, "the log says what is missing")
    assert health(stack)[0] == 503
    stack.dev("down")
    stack.up()
    assert user.done("anew")["status"] == "completed"
