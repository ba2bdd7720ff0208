/* What the store counts of its own statements, and what becomes of the counts. */
/* Not all that the fixture offers is of use here. */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "tests/unit/job_store_fixture.h"

#include "libcommon/buf.h"

static bool flushed(void *arg)
{
    struct store *store = arg;
    store_stats_flush(store, true);
    return store_stats_flushed(store);
}

static void flush(void)
{
    assert_true(loop_run_until(env->loop, flushed, env->store, WAIT_MS));
}

static void begin(void **state)
{
    need_database(state);
    flush();
    sql("TRUNCATE job_stats, job_stats_sources, job_mishaps");
}

/* Both steps add up to the same. */
static void expect_sum(const char *expression, const char *want)
{
    char query[512];
    for (int step = 10; step <= 600; step += 590) {
        snprintf(query, sizeof query, "SELECT coalesce(sum(%s), 0) FROM job_stats WHERE step = %d",
                 expression, step);
        expect_sql(query, want);
    }
}

#define JOBS_IN(times) "(SELECT coalesce(sum(n), 0) FROM unnest(" times ") AS n)"

static void end(const char *id, const char *outcome)
{
    struct store_finish item = {.job_id = id,
                                .attempt = 1,
                                .outcome = outcome,
                                .error_message = "broken",
                                .token_usage = "{\"total_tokens\": 12}",
                                .used = {7, 5, 300},
                                .done = on_finish};
    assert_int_equal(store_finish(env->store, &item), ERR_OK);
    env->waiting++;
    wait_all();
    assert_int_equal(item.error, ERR_OK);
}

#define DAYS(n) ((int64_t)(n)*24 * 3600)

static json_t *points;
static int64_t told_step;

static void on_stats(void *arg, enum err error, struct buf *text)
{
    (void)arg;
    AUTOJSON json_t *result = NULL;
    assert_int_equal(error, ERR_OK);
    assert_int_equal(js_parse(text->data, text->len, &result, NULL), ERR_OK);
    told_step = js_int(result, "step", 0);
    assert_true(js_int(result, "now", 0) > 1700000000);
    json_decref(points);
    points = json_incref(json_object_get(result, "points"));
    count_down();
}

static size_t read_stats(int64_t span, int64_t step)
{
    env->waiting++;
    store_stats_read(env->store, span, step, WAIT_MS, on_stats, NULL);
    wait_all();
    assert_int_equal(told_step, step);
    return json_array_size(points);
}

static void each_end_is_counted(void **state)
{
    begin(state);
    assert_int_equal(open_session("s"), ERR_OK);
    submit("a", "u", NULL, NULL, "s");
    submit("b", "u", NULL, NULL, "s");
    submit("c", "u", NULL, NULL, "s");
    submit("d", "u", NULL, NULL, NULL);
    submit("d", "u", NULL, NULL, NULL); /* sent again: there already */
    end("a", "completed");
    end("b", "failed");
    end("c", "retry");
    assert_int_equal(claim("d", "s").error, ERR_OK);
    sql("UPDATE job_data SET created_at = now() - interval '2 seconds' WHERE id = 'd'");
    sql("UPDATE job_queue SET first_started_at = now() - interval '1 second' WHERE job_id = 'd'");
    end("d", "completed");
    flush();
    expect_sum("submitted", "4");
    expect_sum("completed", "2");
    expect_sum("failed", "1");
    expect_sum("retried", "1");
    expect_sum("cancelled + lost", "0");
    expect_sum("input_tokens", "21"); /* of those that ended */
    expect_sum("output_tokens", "15");
    expect_sum("cost_micro", "900");
    expect_sum(JOBS_IN("wait_times"), "4");
    expect_sum("wait_times[1]", "3"); /* claimed as they came */
    expect_sum(JOBS_IN("run_times"), "3");
    expect_sum(JOBS_IN("total_times"), "3");
    /* 2^(55/4) times 64 µs is 0.88 s, 2^(60/4) 2.1 s. */
    expect_sum("run_times[57]", "1");
    expect_sum("total_times[61]", "1");
}

static void an_end_under_a_lost_fence_is_not(void **state)
{
    begin(state);
    assert_int_equal(open_session("s"), ERR_OK);
    submit("a", "u", NULL, NULL, "s");
    assert_int_equal(finish("a", 2, "completed").error, ERR_STALE_TOKEN);
    flush();
    expect_sum("completed", "0");
    assert_int_equal(finish("a", 1, "completed").error, ERR_OK);
    assert_int_equal(finish("a", 1, "completed").error, ERR_STALE_TOKEN);
    flush();
    expect_sum("completed", "1");
}

static void cancel(const char *id)
{
    env->waiting++;
    store_cancel(env->store, id, "u", on_changes, NULL);
    wait_all();
}

static void cancelled_jobs_tell_what_they_used(void **state)
{
    begin(state);
    assert_int_equal(open_session("s"), ERR_OK);
    submit("a", "u", NULL, NULL, "s");
    submit("b", "u", NULL, NULL, NULL);
    sql("INSERT INTO job_events (job_id, seq, type, data) VALUES ('a', 3, 'message',"
        " '{\"usage\": {\"input_tokens\": 40, \"output_tokens\": 2, \"total_tokens\": 42,"
        " \"cost\": 0.5}}')");
    cancel("a");
    assert_int_equal(change_count, 1);
    assert_string_equal(first_id, "a");
    cancel("a");
    assert_int_equal(change_count, 0);
    cancel("b");
    flush();
    expect_sum("cancelled", "2");
    expect_sum("input_tokens", "40");
    expect_sum("output_tokens", "2");
    expect_sum("cost_micro", "500000");
    expect_sum(JOBS_IN("total_times"), "2");
    expect_sum(JOBS_IN("run_times"), "1"); /* the other never ran */
}

static void what_the_reaper_takes_is_counted(void **state)
{
    begin(state);
    assert_int_equal(open_session("s"), ERR_OK);
    submit("a", "u", NULL, NULL, "s");
    submit("b", "u", NULL, NULL, "s");
    submit("c", "u", NULL, NULL, "s");
    submit("d", "u", NULL, NULL, "s");
    sql("UPDATE worker_sessions SET lease_until = now() - interval '1 minute'");
    sql("UPDATE job_queue SET losses = 19 WHERE job_id = 'b'");
    sql("UPDATE job_queue SET deadline = now() - interval '1 minute' WHERE job_id = 'c'");
    sql("UPDATE job_queue SET state = 2, session = NULL, deadline = now() - interval '1 second'"
        " WHERE job_id = 'd'");
    env->waiting++;
    store_reap(env->store, on_changes, NULL);
    wait_all();
    assert_int_equal(change_count, 4);
    flush();
    expect_sum("lost", "2");
    expect_sum("failed", "3");
    expect_sum(JOBS_IN("total_times"), "3");
}

static void a_forgotten_user_cancels(void **state)
{
    begin(state);
    submit("a", "u", NULL, NULL, NULL);
    sql("INSERT INTO job_data (id, user_id, message, status, completed_at)"
        " VALUES ('old', 'u', 'm', 'completed', now())");
    env->waiting++;
    store_forget(env->store, "u", on_changes, NULL);
    wait_all();
    assert_int_equal(change_count, 2);
    flush();
    expect_sum("cancelled", "1");
}

/* Whatever stops it from being written, nothing counted is lost, nor counted twice. */
static void counts_wait_for_the_database(void **state)
{
    begin(state);
    submit("a", "u", NULL, NULL, NULL);
    read_stats(1, 10); /* its connection comes after those that a job needs */
    sql("ALTER TABLE job_stats RENAME TO away");
    store_stats_flush(env->store, true);
    assert_false(store_stats_flushed(env->store));
    submit("b", "u", NULL, NULL, NULL);
    sql("ALTER TABLE away RENAME TO job_stats");
    flush();
    expect_sum("submitted", "2");
}

/* A batch that comes again after a lost answer: its number is there already. */
static void a_batch_counts_once(void **state)
{
    begin(state);
    submit("a", "u", NULL, NULL, NULL);
    flush();
    expect_sum("submitted", "1");
    sql("UPDATE job_stats_sources SET seq = seq + 1");
    submit("b", "u", NULL, NULL, NULL);
    flush();
    expect_sum("submitted", "1");
    submit("c", "u", NULL, NULL, NULL);
    flush();
    expect_sum("submitted", "2");
}

static void two_replicas_add_up(void **state)
{
    begin(state);
    struct store *first = env->store, *second = NULL;
    struct store_options options = {.loop = env->loop,
                                    .url = getenv("TEST_DATABASE_URL"),
                                    .job_timeout_ms = 60000,
                                    .max_attempts = 3,
                                    .approval_timeout_ms = 60000};
    assert_int_equal(store_new(&options, &second), ERR_OK);
    env->store = second;
    assert_true(loop_run_until(env->loop, ready, env, WAIT_MS));
    submit("a", "u", NULL, NULL, NULL);
    env->store = first;
    submit("b", "u", NULL, NULL, NULL);
    submit("c", "u", NULL, NULL, NULL);
    flush();
    assert_true(loop_run_until(env->loop, flushed, second, WAIT_MS));
    store_destroy(&second);
    expect_sum("submitted", "3");
    expect_sql("SELECT count(*) FROM job_stats_sources", "2");
}

static void an_idle_queue_writes_nothing(void **state)
{
    begin(state);
    store_stats_depth(env->store, 0, 0);
    flush();
    store_stats_flush(env->store, true);
    assert_true(store_stats_flushed(env->store));
    sql("TRUNCATE job_stats, job_stats_sources");
    for (int i = 0; i < 3; i++) {
        store_stats_depth(env->store, 0, 0);
        flush();
    }
    expect_sql("SELECT count(*) FROM job_stats", "0");
}

static void old_rows_go(void **state)
{
    begin(state);
    sql("INSERT INTO job_stats (step, at) SELECT s, now() - d FROM unnest('{10,600}'::integer[]) s,"
        " unnest('{5 hours,7 hours,29 days,31 days,-2 hours}'::interval[]) d");
    sql("INSERT INTO job_stats_sources VALUES ('x', 1, now() - interval '2 hours')");
    submit("a", "u", NULL, NULL, NULL); /* the first that is told in a store's life */
    flush();
    read_stats(1, 10); /* by the same connection, so behind it */
    expect_sql("SELECT string_agg(step || '/' || n, ' ' ORDER BY step) FROM"
               " (SELECT step, count(*) AS n FROM job_stats GROUP BY step) s",
               "10/2 600/4");
    expect_sql("SELECT count(*) FROM job_stats_sources WHERE source = 'x'", "0");
}

static void points_tell_what_happened(void **state)
{
    begin(state);
    assert_int_equal(read_stats(3600, 10), 0);
    sql("INSERT INTO job_stats (step, at, submitted, cost_micro, queued, run_times) VALUES"
        " (10, date_trunc('minute', now()) - interval '10 minutes', 5, 1500000, 3, '{0,0,2}'),"
        " (10, date_trunc('minute', now()) - interval '20 minutes', 4, 0, NULL, '{}'),"
        " (600, date_trunc('hour', now()) - interval '20 days', 3, 0, NULL, '{1}')");
    assert_int_equal(read_stats(3600, 10), 2);
    const json_t *point = json_array_get(points, 1);
    assert_int_equal(js_int(json_array_get(points, 0), "submitted", 0), 4);
    assert_int_equal(js_int(point, "submitted", 0), 5);
    assert_int_equal(js_int(point, "at", 0) % 60, 0);
    assert_true(json_real_value(json_object_get(point, "cost")) == 1.5);
    assert_int_equal(js_int(point, "queued", 0), 3);
    assert_true(json_is_null(json_object_get(point, "running")));
    assert_true(json_is_null(json_object_get(point, "wait")));
    double p50 = json_number_value(json_object_get(json_object_get(point, "run"), "p50"));
    assert_true(p50 > 0.07 && p50 < 0.1);
    assert_int_equal(read_stats(700, 10), 1);
    assert_int_equal(read_stats(DAYS(30), 600), 1);
    assert_int_equal(read_stats(DAYS(10), 600), 0);
    json_decref(points);
    points = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_end_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(an_end_under_a_lost_fence_is_not, setup, teardown),
        cmocka_unit_test_setup_teardown(cancelled_jobs_tell_what_they_used, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_reaper_takes_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_forgotten_user_cancels, setup, teardown),
        cmocka_unit_test_setup_teardown(counts_wait_for_the_database, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_counts_once, setup, teardown),
        cmocka_unit_test_setup_teardown(two_replicas_add_up, setup, teardown),
        cmocka_unit_test_setup_teardown(an_idle_queue_writes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(old_rows_go, setup, teardown),
        cmocka_unit_test_setup_teardown(points_tell_what_happened, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
