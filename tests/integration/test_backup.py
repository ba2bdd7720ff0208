"""The restore drill of docs/backup.md: a dump, and a base backup with WAL to a point in time, made
while jobs wait and run; what was accepted before is there afterwards and ends."""
import os
import shutil
import signal
import subprocess

import pytest

from client import User, original_token
from originals import MCPBUS
from pg_cluster import PASSWORD, PG_BIN, Cluster, as_postgres
from stack import Stack, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.once]

SECRETS = {"JWT_SECRET": "the-same-in-every-restored-copy", "WORKER_RUNNER": "echo",
           "TOKEN_ENCRYPTION_KEY": "this-one-too-and-it-is-another"}


class Source:
    """A stack with a history, backed up while its worker is frozen amid jobs."""

    def __init__(self):
        self.cluster = Cluster()
        self.archive = self.cluster.top / "archive"
        self.archive.mkdir()
        Cluster.own(self.archive)
        self.cluster.conf.update(archive_mode="on", archive_command=f"cp %p {self.archive}/%f")
        self.cluster.make().start()
        self.stack = Stack(env={**SECRETS, "DATABASE_URL": self.cluster.url()})
        self.account = self.stack.sign_in("backup@example.com")
        self.user = User(self.stack, original_token(self.stack, id="of-the-backup"))
        self.ended = {job: self.user.finished(job)
                      for job in [self.user.run(f"before {n}") for n in range(20)]}
        self.events = {job: self.stack.events(self.user.token, job) for job in self.ended}
        self.unfinished, self.later = [], []

    def freeze(self):
        """Jobs that a worker holds and never begins, and some behind them."""
        self.stack.kill("worker", sig=signal.SIGSTOP)
        self.unfinished = [self.user.run(f"amid {n}") for n in range(10)]
        assert self.cluster.sql("SELECT count(*) FROM job_queue")[0][0] == 10

    def go_on(self):
        self.stack.kill("worker", sig=signal.SIGCONT)
        for job in self.unfinished:
            self.user.finished(job)
        self.later = [self.user.run(f"after {n}") for n in range(5)]
        for job in self.later:
            self.user.finished(job)
        leaving = User(self.stack, original_token(self.stack))
        assert leaving.delete("/auth/logout").status_code == 200

    def close(self):
        self.stack.close(check=False)
        self.cluster.close()


@pytest.fixture
def source():
    one = Source()
    try:
        yield one
    finally:
        one.close()


def backup_check(url, *arguments, **env):
    done = subprocess.run([MCPBUS, "backup-check", "--env-file", "/dev/null", *arguments], text=True,
                          env={**os.environ, **SECRETS, "DATABASE_URL": url, **env},
                          capture_output=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


def serves_all(source, url):
    """A stack over the copy: what had ended is as it was, what had not ends; old tokens are good."""
    stack = Stack(env={**SECRETS, "DATABASE_URL": url})
    try:
        user = User(stack, source.user.token)
        for job in source.unfinished:
            assert user.finished(job)["result"].startswith("echo: amid")
        for job, before in source.ended.items():
            assert user.result(job) == before
            assert stack.events(user.token, job) == source.events[job]
        assert user.get("/jobs").json()["total"] == len(source.ended) + len(source.unfinished)
        assert all(user.get(f"/result/{job}").status_code == 404 for job in source.later)
        signed_in = User(stack, source.account["access_token"])
        assert signed_in.get("/auth/status").json()["authenticated"]
        assert user.done("a new one")["status"] == "completed"
    finally:
        stack.close()


def test_a_dump(source):
    source.freeze()
    dump = source.cluster.top / "dump"
    with open(dump, "wb") as file:
        subprocess.run([PG_BIN / "pg_dump", "--format=custom", source.cluster.url()], stdout=file,
                       check=True, timeout=60)
    source.go_on()
    source.cluster.sql("CREATE DATABASE restored", database="postgres")
    url = source.cluster.url("restored")
    subprocess.run([PG_BIN / "pg_restore", "--exit-on-error", "--no-owner", "--dbname", url, dump],
                   check=True, timeout=60)

    status, text = backup_check(url, "--original", source.cluster.url())
    assert status == 0, text
    assert "10 were running" in text or "waited: they run" in text
    assert "5 jobs were accepted there since" in text and "1 log-outs" in text
    faults(source, url)
    serves_all(source, url)


def faults(source, url):
    """What a copy may lack; each is mended again."""
    def broken(change, mend, said):
        source.cluster.sql(change, database="restored")
        status, text = backup_check(url, "--original", source.cluster.url())
        assert status == 1 and said in text, text
        source.cluster.sql(mend, database="restored")

    status, text = backup_check(url, TOKEN_ENCRYPTION_KEY="of another installation")
    assert status == 1 and "1 of 1 sessions can't be read" in text
    broken("CREATE TABLE kept AS SELECT * FROM job_queue; DELETE FROM job_queue",
           "INSERT INTO job_queue SELECT * FROM kept; DROP TABLE kept",
           "10 unfinished jobs are in no queue")
    broken("CREATE TABLE kept AS SELECT * FROM job_data WHERE status = 'completed';"
           "ALTER TABLE job_data DISABLE TRIGGER USER; DELETE FROM job_data USING kept"
           " WHERE job_data.id = kept.id", "INSERT INTO job_data SELECT * FROM kept;"
           "ALTER TABLE job_data ENABLE TRIGGER USER; DROP TABLE kept",
           "missing on job_data: job_data_deleted")
    broken("UPDATE token_revocation_counter SET seq = -1",
           "UPDATE token_revocation_counter SET seq = 0", "log-outs would be overlooked")
    broken("ALTER TABLE job_records RENAME TO elsewhere", "ALTER TABLE elsewhere RENAME TO"
           " job_records", "missing: job_records")
    broken("ALTER VIEW own_jobs RENAME TO elsewhere; ALTER TABLE job_queue DISABLE TRIGGER USER;"
           "ALTER TABLE audit_log RENAME TO away", "ALTER VIEW elsewhere RENAME TO own_jobs;"
           "ALTER TABLE job_queue ENABLE TRIGGER USER; ALTER TABLE away RENAME TO audit_log",
           "missing: own_jobs, job_queue_told, audit_log, audit_log_kept")
    source.cluster.sql("CREATE TABLE kept AS SELECT * FROM mcpbus_migrations WHERE version > 7;"
                       "DELETE FROM mcpbus_migrations WHERE version > 7;"
                       "ALTER TABLE job_webhooks RENAME TO away", database="restored")
    status, text = backup_check(url)
    assert status == 0 and "migrations are missing: run mcpbus migrate" in text, text
    source.cluster.sql("INSERT INTO mcpbus_migrations SELECT * FROM kept; DROP TABLE kept;"
                       "ALTER TABLE away RENAME TO job_webhooks", database="restored")
    assert backup_check(url)[0] == 0


def test_a_point_in_time(source):
    cluster = source.cluster
    copy = Cluster(conf={**cluster.conf, "archive_mode": "off"})
    try:
        shutil.rmtree(copy.data)
        copy.data.mkdir()
        Cluster.own(copy.data)
        copy.run(PG_BIN / "pg_basebackup", "-D", copy.data, "--checkpoint=fast", "--no-sync",
                 "-d", cluster.conninfo("postgres"), environ={**os.environ, "PGPASSWORD": PASSWORD})
        source.freeze()
        point = cluster.sql("SELECT clock_timestamp()::text")[0][0]
        source.go_on()
        segment = cluster.sql("SELECT pg_walfile_name(pg_switch_wal())")[0][0]
        wait_until((source.archive / segment).exists, 60, "the log is archived")

        copy.conf.update(restore_command=f"cp {source.archive}/%f %p",
                         recovery_target_time=point, recovery_target_action="promote")
        subprocess.run(as_postgres("touch", copy.data / "recovery.signal"), check=True)
        copy.start()
        wait_until(lambda: not copy.sql("SELECT pg_is_in_recovery()")[0][0], 60, "promoted")
        status, text = backup_check(copy.url(), "--original", cluster.url())
        assert status == 0, text
        assert "5 jobs were accepted there since" in text
        serves_all(source, copy.url())
    finally:
        copy.close()
