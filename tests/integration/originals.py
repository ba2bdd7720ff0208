"""Databases as the original left them, in the PostgreSQL of a stack or a cluster; mcpbus migrate."""
import contextlib
import os
import pathlib
import subprocess
import urllib.parse
import uuid

import psycopg2

from stack import ROOT, slow

FIXTURES = ROOT / "tests" / "fixtures"
MCPBUS = pathlib.Path(os.environ.get("MCPBUS_BIN") or ROOT / "build" / "bin") / "mcpbus"
MORE_JOBS = """
INSERT INTO job_records SELECT 'more-' || n, 'user-' || n %% 50, repeat('word ', 40),
    (ARRAY['completed', 'failed', 'pending', 'running'])[1 + n %% 4], repeat('answer ', 100), NULL,
    '{"total_tokens": 3}', '{"KEY": "hush"}', now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC',
    NULL FROM generate_series(1, %s) n"""


SUPABASE_ROLES = """
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['anon', 'authenticated', 'service_role', 'dashboard'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I', role);
        END IF;
    END LOOP;
END $$;
ALTER ROLE service_role BYPASSRLS"""


class Original:
    """One database, owned by a role of its own, which is no superuser. `sql`: what makes it."""

    def __init__(self, server_url, *sql):
        self.server_url = server_url
        self.name = f"original_{uuid.uuid4().hex[:12]}"
        parts = urllib.parse.urlsplit(server_url)
        here = f"{parts.hostname}:{parts.port}"
        self.url = f"postgresql://{self.name}:{self.name}@{here}/{self.name}"
        self.admin_url = parts._replace(path="/" + self.name).geturl()
        self.on_server(f"CREATE ROLE {self.name} LOGIN PASSWORD '{self.name}'")
        self.on_server(f"CREATE DATABASE {self.name} OWNER {self.name}")
        self.on_server(SUPABASE_ROLES)
        for text in sql:
            self.sql(text)

    def on_server(self, text):
        with contextlib.closing(psycopg2.connect(self.server_url)) as connection:
            connection.autocommit = True
            connection.cursor().execute(text)

    def drop(self):
        self.on_server(f"DROP DATABASE {self.name} WITH (FORCE)")
        self.on_server(f"DROP ROLE {self.name}")

    def connect(self, url=None):
        connection = psycopg2.connect(url or self.url)
        connection.autocommit = True
        return connection

    def sql(self, text, *values, url=None):
        with contextlib.closing(self.connect(url)) as connection:
            cursor = connection.cursor()
            cursor.execute(text, values or None)
            return cursor.fetchall() if cursor.description else []

    def one(self, text, *values):
        return self.sql(text, *values)[0][0]

    def command(self, *arguments, **env):
        """Begins mcpbus ARGUMENTS."""
        return subprocess.Popen(
            [MCPBUS, *arguments, "--env-file", "/dev/null"], text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "DATABASE_URL": self.url, **env})

    def run(self, *arguments, **env):
        """Its status, output and errors."""
        process = self.command(*arguments, **env)
        out, errors = process.communicate(timeout=120 * slow())
        return process.returncode, out, errors

    def migrate(self, *arguments, **env):
        status, out, errors = self.run("migrate", *arguments, **env)
        assert status == 0, errors
        return out


def fixture_sql(name):
    return (FIXTURES / name).read_text()


@contextlib.contextmanager
def original(server_url, *sql):
    one = Original(server_url, *(sql or (fixture_sql("original.sql"),)))
    try:
        yield one
    finally:
        one.drop()
