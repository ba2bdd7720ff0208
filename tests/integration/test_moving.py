"""A database of the original, with what a Supabase project has around it, is taken over in place and
served."""
from urllib.parse import quote

import pytest

from client import User, original_token
from originals import fixture_sql, original
from stack import Stack, wait_until

SECRETS = "hush|ya29.plain|1//plain"
RUN = {"fresh", "of yesterday, ä ?#", "Fresh", "fresh ", "i" * 128}
REFUSED = {"running": "was running in the previous system", "forgotten": "waited too long",
           "i" * 129: "an id that is too long", "too-long": "longer than 256 KiB",
           "no-message": "without a message", "nobody": "without the name of a user"}


@pytest.fixture(scope="module")
def moved(echo):
    """Migrated; nothing runs over it yet."""
    with original(echo.database_url, fixture_sql("original.sql"),
                  fixture_sql("original_supabase.sql")) as one:
        # Its policies are FORCEd on the owner too.
        assert one.sql("SELECT id FROM job_records") == []
        one.before = one.sql("SELECT id, message, result FROM job_records", url=one.admin_url)
        one.tried = one.migrate("--dry-run")
        assert one.one("SELECT relkind FROM pg_class WHERE relname = 'job_records'") == "r"
        one.said = one.migrate()
        yield one


@pytest.fixture(scope="module")
def served(moved):
    stack = Stack(env={"WORKER_RUNNER": "echo", "DATABASE_URL": moved.url})
    yield stack
    stack.close()


def test_no_row_is_lost(moved):
    assert sorted(map(str, moved.sql("SELECT id, message, result FROM job_records"))) \
        == sorted(map(str, moved.before))
    assert moved.one("SELECT count(*) FROM user_sessions") == 3
    assert moved.said == moved.tried.replace("would be applied", "applied")
    assert f"{len(moved.before)} jobs of the original taken over: {len(RUN)} wait and will be run," \
        f" {len(REFUSED)} had not ended and are failed now" in moved.said
    assert moved.migrate() == "database: up to date\n"


def test_what_cannot_be_run_says_why(moved):
    errors = dict(moved.sql("SELECT id, error_message FROM job_records WHERE status = 'failed'"
                            " AND id NOT LIKE 'failed%'"))
    assert errors.keys() == REFUSED.keys()
    for job, why in REFUSED.items():
        assert why in errors[job]


def test_values_of_variables_are_gone(moved):
    """From the pages of the table too."""
    assert moved.one("SELECT env_vars::text FROM job_records WHERE id = 'done'") \
        == '["GOOGLE_ACCESS_TOKEN", "OPENAI_API_KEY"]'
    moved.sql("CREATE EXTENSION IF NOT EXISTS pageinspect", url=moved.admin_url)
    assert moved.sql(
        "SELECT count(*) FROM generate_series(0, pg_relation_size('job_data') / 8192 - 1) n,"
        " get_raw_page('job_data', n::int) p WHERE encode(p, 'escape') ~ 'hush'",
        url=moved.admin_url) == [(0,)]


def test_times_without_a_zone_are_utc(moved):
    assert moved.one("SELECT created_at AT TIME ZONE 'UTC' = '2024-01-02 03:04:05.678901'"
                     " FROM job_records WHERE id = 'done'")
    assert moved.one("SELECT completed_at AT TIME ZONE 'UTC' = '2024-01-02'"
                     " FROM job_records WHERE id = 'done-long'")


def test_json_can_be_read_by_everyone(moved):
    """An escape for no character in one row would end each query that looks into the column."""
    assert moved.one("SELECT user_data ->> 'name' FROM user_sessions WHERE user_id = 'user-b'") \
        == "B \ufffd \ufffd"
    assert moved.one("SELECT user_data ->> 'path' FROM user_sessions WHERE user_id = 'user-b'") \
        == "C:\\u0000"
    assert len(moved.sql("SELECT token_usage ->> 'total_tokens' FROM job_data")) \
        == len(moved.before)


def test_views_follow(moved):
    """They tell what runs, as the table did; the one that needs the table's key reads the table."""
    moved.sql("BEGIN; UPDATE job_queue SET state = 1 WHERE job_id = 'fresh'; COMMIT")
    assert ("fresh", "running") in moved.sql("SELECT id, status FROM unfinished")
    moved.sql("UPDATE job_queue SET state = 0")
    assert moved.one("SELECT n FROM unfinished_count") == len(RUN)
    assert moved.one("SELECT reloptions::text || obj_description(oid) FROM pg_class"
                     " WHERE relname = 'unfinished'") == "{security_barrier=true}What is not done"
    assert len(moved.sql("SELECT * FROM by_key")) == len(moved.before)
    moved.sql("REFRESH MATERIALIZED VIEW CONCURRENTLY per_status")
    assert moved.one("SELECT email FROM people") == "a@example.com"


def test_rights(moved):
    """Strangers get none; whoever is not bound by policies keeps them."""
    def may(role, table, right="SELECT"):
        return moved.one("SELECT has_table_privilege(%s, %s, %s)", role, table, right)

    assert may("service_role", "job_records") and may("dashboard", "unfinished")
    assert not may("service_role", "job_records", "INSERT")
    ours = [name for (name,) in moved.sql(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'v') AND relname ~ '^(job|own|mcpbus|oauth|token|worker|webhook)'")]
    assert {"job_records", "job_queue", "job_events", "mcpbus_migrations"} <= set(ours)
    assert [(role, name) for role in ("anon", "authenticated") for name in ours
            if may(role, name)] == []
    assert moved.sql("SELECT policyname FROM pg_policies ORDER BY 1") \
        == [("mine",), ("mine_to_write",)]
    assert moved.sql("SELECT tgname, tgenabled FROM pg_trigger WHERE tgname ~ '^touch' ORDER BY 1") \
        == [("touch", "O"), ("touch_off", "D")]


def test_old_tokens_read_old_jobs(served, moved):
    done = User(served, original_token(served, id="user-a")).result("done")
    assert (done["status"], done["result"]) == ("completed", "You have none.")
    assert done["token_usage"] == {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    assert done["created_at"] == "2024-01-02T03:04:05.678901Z"
    users = {name: User(served, original_token(served, id=name))
             for (name,) in moved.sql("SELECT DISTINCT user_id FROM job_data WHERE user_id <> ''")}
    for job, user in moved.sql("SELECT id, user_id FROM job_data WHERE user_id <> ''"):
        assert users[user].result(quote(job, safe=""))["job_id"] == job
        assert users[user].get(f"/jobs/{quote(job, safe='')}/events").status_code == 200
    assert users["user-a"].get("/jobs").json()["total"] == 12
    assert users["user-a"].get("/auth/status").json()["granted_scopes"] \
        == ["https://www.googleapis.com/auth/drive"]


def test_what_waited_is_run(served, moved):
    wait_until(lambda: moved.one("SELECT count(*) FROM job_queue") == 0, 30, "all jobs have ended")
    ended = dict(moved.sql("SELECT id, result FROM job_records WHERE id = ANY (%s)"
                           " AND status = 'completed'", list(RUN)))
    assert ended == dict.fromkeys(RUN, "echo: hello")
    user = User(served, original_token(served, id="user-a"))
    assert user.done("and a new one")["result"] == "echo: and a new one"


def test_google_tokens_are_sealed(served, moved):
    wait_until(lambda: moved.one("SELECT count(*) FROM user_sessions WHERE token_data::text ~ %s",
                                 SECRETS) == 0, 90, "no token lies open")
    assert moved.one("SELECT count(*) FROM user_sessions WHERE token_data::text ~ 'v1.'") == 2


def test_it_is_as_complete_as_a_backup_must_be(served, moved):
    secrets = {name: (served.run / "secrets" / name).read_text().strip()
               for name in ("JWT_SECRET", "TOKEN_ENCRYPTION_KEY")}
    status, out, errors = moved.run("backup-check", "--original", moved.url, **secrets)
    assert status == 0, out + errors
    status, out, _ = moved.run("backup-check", **{name: "x" * 40 for name in secrets})
    assert status == 1 and "2 of 2 sessions can't be read" in out


def test_a_returning_account_keeps_its_id(served):
    assert User(served, served.sign_in("b@example.com")["access_token"]).id == "user-b"


def test_forgetting_a_user_takes_all(served, moved):
    user = User(served, original_token(served, id="user-a"))
    assert user.delete("/me").status_code == 200
    assert moved.one("SELECT count(*) FROM job_data WHERE user_id = 'user-a'") == 0
    assert moved.one("SELECT count(*) FROM feedback") == 0
