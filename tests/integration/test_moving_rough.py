"""mcpbus migrate on databases of the original that are odd, in use, or killed half-way."""
import contextlib
import os
import random
import signal
import threading
import time

import psycopg2
import pytest

from originals import MORE_JOBS, fixture_sql, original
from pg_cluster import Cluster
from stack import slow, wait_until

pytestmark = pytest.mark.slow

JOB = "INSERT INTO job_records VALUES (%s, 'user-a', 'hello', 'pending', NULL, NULL, NULL, '{}'," \
    " now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC', NULL)"


@pytest.fixture(scope="module")
def server():
    one = Cluster()
    try:
        one.make().start()
        yield one.url("postgres")
    finally:
        one.close()


def is_original(one):
    return one.one("SELECT relkind FROM pg_class WHERE relname = 'job_records'") == "r"


def test_killed_at_any_time(server):
    """Three replicas at once, each killed at some time: all or nothing, and no row lost. Their role's
    limits are not theirs."""
    with original(server) as one:
        one.sql(MORE_JOBS, 3000)
        one.sql(f"ALTER ROLE {one.name} SET statement_timeout = '50ms'")

        def number(text):
            return one.sql(text, url=one.admin_url)[0][0]

        def is_whole():
            return number("SELECT relkind FROM pg_class WHERE relname = 'job_records'") == "r" \
                or one.migrate() == "database: up to date\n"

        count = number("SELECT count(*) FROM job_records")
        for _ in range(8):
            began = [one.command("migrate") for _ in range(3)]
            for process in began:
                time.sleep(random.random() * 0.1)
                process.send_signal(signal.SIGKILL)
                process.communicate()
            assert number("SELECT count(*) FROM job_records") == count
            assert is_whole()
        last = [one.command("migrate") for _ in range(4)]
        for process in last:
            _, errors = process.communicate(timeout=120 * slow())
            assert process.returncode == 0, errors
        assert number("SELECT count(*) FROM job_records") == count
        assert number("SELECT count(*) FROM job_queue") \
            == number("SELECT count(*) FROM job_data WHERE status = 'pending'") > 700


def test_the_original_still_writes(server):
    """What it was told is there; afterwards it is refused, and can read."""
    with original(server) as one:
        one.sql(MORE_JOBS, 2000)
        accepted, refused, stop = [], [], threading.Event()

        def write():
            with contextlib.closing(one.connect()) as connection:
                cursor = connection.cursor()
                while not stop.is_set():
                    job = f"late-{len(accepted) + len(refused)}"
                    try:
                        cursor.execute(JOB, (job,))
                        accepted.append(job)
                    except psycopg2.Error as error:
                        refused.append(error.pgcode)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            wait_until(lambda: len(accepted) > 20, 30, "the original writes")
            one.migrate()
            wait_until(lambda: len(refused) > 20, 30, "the original is refused")
        finally:
            stop.set()
            writer.join()
        assert set(refused) == {"55000"}  # object_not_in_prerequisite_state: a view
        jobs = one.sql("SELECT job_id FROM job_queue WHERE job_id LIKE 'late-%'")
        assert sorted(job for (job,) in jobs) == sorted(accepted)
        columns = "id, user_id, message, status, result, error_message, token_usage, env_vars," \
            " created_at, updated_at, completed_at"
        assert one.sql(f"SELECT {columns} FROM job_records WHERE job_records.id = 'done'"
                       " AND job_records.user_id = 'user-a'")
        # Sign-ins still land: the table of sessions is the same one.
        one.sql("INSERT INTO user_sessions (user_id, token_data, authenticated, created_at,"
                " updated_at) VALUES ('late', '{\"access_token\": \"ya29.late\"}', true,"
                " now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC')")


def test_a_table_in_use_is_waited_for(server):
    """And those who read it meanwhile wait no longer than the lock's limit."""
    with original(server) as one, contextlib.closing(psycopg2.connect(one.url)) as holder:
        cursor = holder.cursor()
        cursor.execute("SET application_name = 'a long report'")
        cursor.execute("SELECT count(*) FROM job_records")
        process = one.command("migrate")
        assert "waiting for process" in process.stdout.readline()
        assert process.poll() is None and is_original(one)
        assert one.one("SELECT count(*) FROM job_records")
        holder.rollback()
        out, errors = process.communicate(timeout=60 * slow())
        assert process.returncode == 0, errors
        assert "applied" in out and not is_original(one)


def test_whose_table_it_is_not(server):
    with original(server) as one:
        one.sql("CREATE ROLE visitor LOGIN PASSWORD 'a-password'", url=one.admin_url)
        try:
            one.sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO visitor;"
                    "GRANT CREATE ON SCHEMA public TO visitor")
            url = one.url.replace(one.url.split("//")[1].split("@")[0], "visitor:a-password")
            status, _, errors = one.run("migrate", DATABASE_URL=url)
            assert status == 1 and "must be owner of table job_records" in errors
            assert is_original(one)
        finally:
            one.sql("DROP OWNED BY visitor; DROP ROLE visitor", url=one.admin_url)


def test_a_view_with_rules_is_named(server):
    with original(server) as one:
        one.sql("CREATE VIEW acting AS SELECT id FROM job_records;"
                "CREATE RULE no_delete AS ON DELETE TO acting DO INSTEAD NOTHING")
        status, _, errors = one.run("migrate")
        assert status == 1 and "the view public.acting on job_records has triggers or rules" in errors
        assert is_original(one)


def test_no_value_of_a_row_is_told(server):
    """PostgreSQL's details show the row that was refused."""
    with original(server) as one:
        one.sql("ALTER TABLE user_sessions ADD COLUMN google_sub TEXT DEFAULT 'ya29.plain'")
        status, out, errors = one.run("migrate")
        assert status == 1 and "could not create unique index" in errors
        assert "ya29" not in out + errors


ODD = {
    "no key, ids twice, none at all": """
        CREATE TABLE job_records (id text, user_id text, message text, status text, result text,
            created_at timestamptz);
        INSERT INTO job_records VALUES ('a', 'u', 'm', 'completed', 'r1', '2024-01-01'),
            ('a', 'u', 'm', 'completed', 'r2', '2024-01-02'), (NULL, 'u', 'm', 'SUCCESS', 'r3', NULL),
            ('b', 'u', 'm', 'PAUSED', NULL, now()), ('c', 'u', 'm', 'Pending', NULL, now())""",
    "another key, jsonb, texts of a fixed width, enums": """
        CREATE TYPE job_status AS ENUM ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED');
        CREATE TABLE job_records (pk uuid PRIMARY KEY, id char(36) NOT NULL UNIQUE,
            user_id varchar(10) NOT NULL, message varchar(100) NOT NULL,
            status job_status NOT NULL DEFAULT 'PENDING', result json, error_message text,
            token_usage text NOT NULL, env_vars text, created_at timestamptz NOT NULL,
            hours integer GENERATED ALWAYS AS (1) STORED);
        INSERT INTO job_records (pk, id, user_id, message, status, token_usage, env_vars, created_at)
            VALUES (gen_random_uuid(), 'a', 'u', 'm', 'COMPLETED', '{"total_tokens": 1}',
                    '{"KEY": "hush"}', now()),
                   (gen_random_uuid(), 'b', 'u', 'm', 'PENDING', 'no json', 'no json', now());
        CREATE TABLE user_sessions (id varchar PRIMARY KEY, user_id varchar(64),
            token_data text NOT NULL DEFAULT '{}', selected_scopes jsonb NOT NULL,
            authenticated boolean NOT NULL, user_data jsonb);
        INSERT INTO user_sessions VALUES ('1', 'u', 'null', '[]', true, '{"email": "u@x"}'),
            ('2', 'u', '{"access_token": "x"}', '[]', true, NULL), ('3', NULL, '', '[]', false, NULL)""",
    "sessions alone": "CREATE TABLE user_sessions (user_id text PRIMARY KEY, token_data json)",
}
SUBMITS = """
INSERT INTO job_data (id, user_id, message, created_at, updated_at) VALUES ('new', 'v', 'm', now(), now());
INSERT INTO job_queue (job_id, user_id) VALUES ('new', 'v');
UPDATE job_data SET status = 'completed', result = 'r', completed_at = now() WHERE id = 'new';
INSERT INTO user_sessions (user_id, google_sub, token_data, selected_scopes, granted_scopes,
    user_data, authenticated) VALUES ('new', 'sub', '{}'::json, '[]'::json, '[]'::json, '{}'::json, true)"""


@pytest.mark.parametrize("name", ODD)
def test_odd_tables(server, name):
    with original(server, ODD[name]) as one:
        tables = [table for (table,) in one.sql(
            "SELECT relname FROM pg_class WHERE relname IN ('job_records', 'user_sessions')")]
        count = {table: one.one(f"SELECT count(*) FROM {table}") for table in tables}
        one.migrate()
        assert {table: one.one(f"SELECT count(*) FROM {table}") for table in tables} == count
        for table, key in (("job_data", "id"), ("user_sessions", "user_id")):
            assert one.one(f"SELECT count(*) - count(DISTINCT {key}) FROM {table}") == 0
        if "job_records" in tables:
            assert one.one("SELECT count(*) FROM job_data WHERE status NOT IN"
                           " ('pending', 'completed', 'failed', 'cancelled')") == 0
            assert one.one("SELECT count(*) FROM job_data WHERE to_json(job_data)::text ~ 'hush'") \
                == 0
            assert one.one("SELECT count(*) FROM job_queue") == 1
        one.sql(SUBMITS)


def test_what_becomes_of_unfinished_jobs_is_a_setting(server):
    with original(server) as one:
        one.migrate(MIGRATE_RUNNING="run", MIGRATE_PENDING_HOURS="1000")
        queued = {job for (job,) in one.sql("SELECT job_id FROM job_queue")}
        assert {"running", "forgotten", "fresh"} <= queued
    with original(server) as one:
        one.migrate(MIGRATE_PENDING_HOURS="0")
        assert one.sql("SELECT job_id FROM job_queue") == []


def test_ids_that_were_stuck(server):
    """On a database that was taken over by an earlier release."""
    with original(server) as one:
        one.migrate()
        job = "x" * 200
        one.sql("INSERT INTO job_data (id, user_id, message) VALUES (%s, 'u', 'm')", job)
        one.sql("INSERT INTO job_queue (job_id, user_id) VALUES (%s, 'u')", job)
        one.sql("DELETE FROM mcpbus_migrations WHERE name LIKE '%%long_ids'")
        one.migrate()
        status, why, events = one.sql("SELECT d.status, d.error_message, d.events FROM job_data d"
                                      " WHERE id = %s", job)[0]
        assert (status, events) == ("failed", 2) and "an id that is too long" in why
        assert one.one("SELECT count(*) FROM job_mishaps WHERE id = %s", job) == 1


@pytest.mark.once
@pytest.mark.skipif("ASAN_OPTIONS" in os.environ, reason="a measurement")
def test_a_hundred_thousand_jobs(server, capsys):
    """Readers wait while the table is made anew, for seconds, not minutes."""
    with original(server) as one:
        one.sql(MORE_JOBS, 100000)
        began = time.monotonic()
        one.migrate()
        took = time.monotonic() - began
        assert one.one("SELECT count(*) FROM job_records") == 100016
        with capsys.disabled():
            print(f" migrate of 100,000 jobs: {took:.1f} s")
        assert took < 60 * slow()
