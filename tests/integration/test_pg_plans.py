"""Statements are planned once, when the tables may be empty: the plans must be right when they have
grown, whatever the statistics say."""
import pytest

from client import User, original_token

pytest_plugins = ["pg_stacks"]

ROWS = 100000
CALLS = 40
TABLES = ("job_data", "job_queue", "job_events", "job_idempotency")


def reads(cluster):
    """Rows that each table's sequential and index scans have read."""
    cluster.sql("SELECT pg_stat_force_next_flush()")
    return {name: (seq, idx) for name, seq, idx in cluster.sql(
        "SELECT t.relname, t.seq_tup_read, sum(i.idx_tup_read)::bigint FROM pg_stat_user_tables t"
        " JOIN pg_stat_user_indexes i USING (relid) WHERE t.relname = ANY (%s) GROUP BY 1, 2",
        list(TABLES))}


def use(user, name):
    """Each call that has a statement of its own."""
    job_id = user.run(f"echo {name}", key=name)
    assert user.run(f"echo {name}", key=name) == job_id
    assert user.finished(job_id)["status"] == "completed"
    assert user.events(job_id)
    assert user.get("/jobs?limit=5").json()["jobs"][0]["job_id"] == job_id
    assert user.get("/jobs?limit=5&status=completed").status_code == 200
    assert user.cancel(job_id).json()["status"] == "completed"


@pytest.fixture
def young(new_cluster, new_pg_stack):
    """A cluster that gathers no statistics, and a stack whose statements have all been planned."""
    cluster = new_cluster(conf={"autovacuum": "off"}).make().start()
    stack = new_pg_stack(cluster.url())
    user = User(stack, original_token(stack))
    for n in range(12):
        use(user, f"young {n}")
    return cluster, user


@pytest.mark.long
def test_plans_outlive_growth(young):
    cluster, user = young
    for target in ("job_data (id, user_id, message)", "job_queue (job_id, user_id, run_at)"):
        value = "now() + interval '1 day'" if "queue" in target else "'waits'"
        cluster.sql(f"INSERT INTO {target} SELECT 'old-' || n, '{user.id}', {value}"
                    f" FROM generate_series(1, {ROWS}) n")
    before = reads(cluster)
    for n in range(CALLS):
        use(user, f"grown {n}")
    after = reads(cluster)
    print({name: (after[name][0] - before[name][0], after[name][1] - before[name][1])
           for name in TABLES})
    for name in TABLES:
        sequential = after[name][0] - before[name][0]
        # The queue is counted and looked through now and then, as a whole.
        assert sequential < (CALLS * ROWS / 2 if name == "job_queue" else ROWS), name
