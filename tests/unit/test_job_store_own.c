/* A read that lacks its condition shows nothing of another user: the own_… views. */
/* Not all that the fixture offers is of use here. */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "tests/unit/job_store_fixture.h"

#include "libcommon/buf.h"

static void fill(const char *user, const char *prefix)
{
    char text[1024];
    snprintf(text, sizeof text,
             "INSERT INTO job_data (id, user_id, message, status, conversation_id)"
             " VALUES ('%1$s-done', '%2$s', 'secret of %2$s', 'completed', 'talk'),"
             "  ('%1$s-wait', '%2$s', 'secret of %2$s', 'pending', NULL),"
             "  ('%1$s-fail', '%2$s', 'secret of %2$s', 'failed', NULL);"
             "INSERT INTO job_queue (job_id, user_id) VALUES ('%1$s-wait', '%2$s');"
             "INSERT INTO job_events (job_id, seq, type, data)"
             " VALUES ('%1$s-done', 3, 'message', '{}');"
             "INSERT INTO job_mishaps SELECT user_id, status, created_at, id FROM job_data"
             " WHERE id = '%1$s-fail';"
             "INSERT INTO job_conversations SELECT user_id, 'talk', created_at, id FROM job_data"
             " WHERE id = '%1$s-done';"
             "INSERT INTO job_totals VALUES ('%2$s', now(), 7, now())",
             prefix, user);
    sql(text);
}

static void fill_both(void)
{
    sql("TRUNCATE job_totals, job_mishaps, job_conversations");
    fill("alice", "a");
    fill("bob", "b");
}

/* What is left of each view's statement when its condition is forgotten. */
static void each_view_ends_at_its_user(void **state)
{
    need_database(state);
    static const char *const views[][2] = {
        {"own_jobs", "3"},        {"own_jobs_of_many", "3"}, {"own_job_rows", "3"},
        {"own_job_events", "1"},  {"own_job_list", "3"},     {"own_job_queue", "1"},
        {"own_job_mishaps", "1"}, {"own_job_totals", "1"},   {"own_conversations", "1"},
    };
    fill_both();
    char query[256];
    snprintf(query, sizeof query, "%zu", sizeof views / sizeof *views);
    expect_sql("SELECT count(*) FROM pg_views WHERE schemaname = current_schema()"
               " AND viewname LIKE 'own\\_%'",
               query);
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
        snprintf(query, sizeof query, "SELECT count(*) FROM %s", views[i][0]);
        sql("SELECT set_config('mcpbus.user', '', false), set_config('mcpbus.users', '', false)");
        expect_sql(query, "0");
        sql("SELECT set_config('mcpbus.user', 'bob', false),"
            " set_config('mcpbus.users', '{bob}', false)");
        expect_sql(query, views[i][1]);
        snprintf(query, sizeof query,
                 "SELECT count(*) FROM %s v WHERE to_json(v)::text ~ 'alice|\"a-'", views[i][0]);
        expect_sql(query, "0");
    }
    expect_sql("SELECT string_agg(DISTINCT user_id, ',') FROM own_jobs", "bob");
    expect_sql("SELECT count(DISTINCT user_id) FROM job_records", "2"); /* as dashboards read it */
}

/* The rows without an id of a user, as the original could leave them, are nobody's. */
static void nobody_owns_what_has_no_user(void **state)
{
    need_database(state);
    fill_both();
    sql("INSERT INTO job_data (id, user_id, message) VALUES ('x', '', 'm')");
    expect_sql("SELECT count(*) FROM own_jobs", "0");
    expect_sql("SELECT count(*) FROM own_job_list", "0");
}

static size_t jobs_seen;

static void on_jobs(void *arg, enum err error, const struct store_job *jobs, size_t count)
{
    const char *owner = arg;
    assert_int_equal(error, ERR_OK);
    jobs_seen = count;
    for (size_t i = 0; i < count; i++)
        assert_string_equal(jobs[i].user_id, owner);
    env->waiting--;
}

static int64_t total(void)
{
    wait_all();
    assert_int_equal(read_error, ERR_OK);
    return js_int(read_result, "total", -1);
}

static void read_all(struct store *store)
{
    static const char *const statuses[] = {"", "pending", "running", "completed", "failed"};
    const char *ids[] = {"b-done", "a-done", "b-wait"}, *users[] = {"bob", "bob", "bob"};
    env->waiting++;
    store_get(store, "a-done", "bob", WAIT_MS, on_read, NULL);
    wait_all();
    assert_int_equal(read_error, ERR_NOT_FOUND);
    env->waiting++;
    store_events(store, "a-done", "bob", 0, 100, WAIT_MS, on_read, NULL);
    wait_all();
    assert_int_equal(read_error, ERR_NOT_FOUND);
    env->waiting++;
    store_events(store, "b-done", "bob", 2, 100, WAIT_MS, on_read, NULL);
    wait_all();
    assert_int_equal(json_array_size(json_object_get(read_result, "events")), 1);
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        env->waiting++;
        store_list(store, "bob", 100, 0, statuses[i], WAIT_MS, on_read, NULL);
        total();
        size_t count = json_array_size(json_object_get(read_result, "jobs"));
        assert_int_equal(count, i == 0 ? 3 : i == 2 ? 0 : 1);
    }
    env->waiting++;
    store_list_conversation(store, "bob", 100, 0, "talk", WAIT_MS, on_read, NULL);
    assert_int_equal(total(), 1);
    env->waiting++;
    store_conversation(store, "bob", "talk", "b-wait", 10, WAIT_MS, on_read, NULL);
    wait_all();
    assert_int_equal(read_error, ERR_OK);
    env->waiting++;
    store_get_many(store, ids, users, 3, WAIT_MS, on_jobs, (char[]){"bob"});
    wait_all();
    assert_int_equal(jobs_seen, 2);
}

/* A role that may read the views and nothing else: so no read goes by the tables. */
static void reads_need_the_views_alone(void **state)
{
    need_database(state);
    fill_both();
    sql("DO $$ BEGIN CREATE ROLE mcpbus_test_reads;"
        " EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$");
    sql("DO $$ DECLARE v text; BEGIN FOR v IN SELECT viewname FROM pg_views"
        "  WHERE schemaname = current_schema() AND viewname LIKE 'own\\_%' LOOP"
        "  EXECUTE format('GRANT SELECT ON %I TO mcpbus_test_reads', v); END LOOP; END $$");
    const char *url = getenv("TEST_DATABASE_URL");
    AUTOFREE char *narrow = mem_printf("%s%coptions=-c%%20role%%3Dmcpbus_test_reads", url,
                                       strchr(url, '?') ? '&' : '?');
    struct store *wide = env->store;
    struct store_options options = {.loop = env->loop,
                                    .url = narrow,
                                    .job_timeout_ms = 60000,
                                    .max_attempts = 3,
                                    .approval_timeout_ms = 60000};
    assert_int_equal(store_new(&options, &env->store), ERR_OK);
    assert_true(loop_run_until(env->loop, ready, env, WAIT_MS));
    read_all(env->store);
    store_cancel(env->store, "b-wait", "bob", on_changes, NULL);
    env->waiting++;
    wait_all();
    assert_int_equal(changes_error, ERR_INTERNAL); /* it really has no right to a table */
    store_destroy(&env->store);
    env->store = wide;
    read_all(wide);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_view_ends_at_its_user),
        TEST(nobody_owns_what_has_no_user),
        TEST(reads_need_the_views_alone),
    };
    int failed = cmocka_run_group_tests_name("job_store_own", tests, NULL, NULL);
    json_decref(read_result);
    return failed;
}
