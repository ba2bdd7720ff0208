/* What operators read of all users' jobs: the newest, what failed lately, the database. */
/* Not all that the fixture offers is of use here. */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "tests/unit/job_store_fixture.h"

static void recent(int64_t limit, struct store_filter filter, const char *want)
{
    filter.status = filter.status ? filter.status : "";
    filter.text = filter.text ? filter.text : "";
    env->waiting++;
    store_recent(env->store, limit, &filter, WAIT_MS, on_read, NULL);
    wait_all();
    assert_int_equal(read_error, ERR_OK);
    char got[256] = "";
    const json_t *jobs = json_object_get(read_result, "jobs");
    for (size_t i = 0; i < json_array_size(jobs); i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s ",
                 js_str(json_array_get(jobs, i), "job_id", "?"));
    assert_string_equal(got, want);
}

#define BY(...) ((struct store_filter){__VA_ARGS__})

static void fill(void)
{
    sql("TRUNCATE job_mishaps");
    sql("INSERT INTO job_data (id, user_id, message, created_at) SELECT '01' || n, 'u' || n % 2,"
        " 'message ' || n, now() - interval '1 minute' * (9 - n) FROM generate_series(1, 6) n");
    sql("UPDATE job_data SET status = 'failed', error_message = 'It BROKE: 100% of \\d+ _x_',"
        " completed_at = now() WHERE id IN ('012', '015')");
    sql("UPDATE job_data SET message = 'GRÜSSE an ''; DROP TABLE job_data; --' WHERE id = '013'");
}

static void filters_of_the_newest(void **state)
{
    need_database(state);
    fill();
    recent(10, BY(0), "016 015 014 013 012 011 ");
    recent(2, BY(0), "016 015 ");
    recent(2, BY(.before = "015"), "014 013 ");
    recent(9, BY(.status = "failed"), "015 012 ");
    recent(9, BY(.user_id = "u0"), "016 014 012 ");
    recent(2, BY(.user_id = "u0", .before = "016"), "014 012 ");
    recent(9, BY(.user_id = "u0", .before = "none"), "");
    recent(9, BY(.user_id = "u0", .status = "failed"), "012 ");
    recent(9, BY(.user_id = "nobody"), "");
    recent(9, BY(.text = "MESSAGE 4"), "014 ");
    recent(9, BY(.text = "014"), "014 ");
    recent(9, BY(.text = "it broke", .user_id = "u1"), "015 ");
    recent(1, BY(.text = "it broke"), "015 ");
    recent(1, BY(.text = "it broke", .before = "015"), "012 ");
}

/* A text is looked for as it is: nothing in it means anything. */
static void hostile_texts_are_texts(void **state)
{
    need_database(state);
    fill();
    recent(9, BY(.text = "%"), "015 012 ");
    recent(9, BY(.text = "_x_"), "015 012 ");
    recent(9, BY(.text = "\\d+"), "015 012 ");
    recent(9, BY(.text = ".*"), "");
    recent(9, BY(.text = "'; DROP TABLE"), "013 ");
    recent(9, BY(.text = "grüsse"), "013 ");
    recent(9, BY(.text = "\x01\x1b[31m\xe2\x80\xae"), "");
    recent(9, BY(.text = "' OR '1'='1"), "");
    recent(9, BY(.user_id = "' OR '1'='1"), "");
    recent(9, BY(.status = "failed' OR 'x'='x"), "");
    recent(9, BY(.before = "' OR 1=1 --"), "");
    expect_sql("SELECT count(*) FROM job_data", "6");
}

static void a_running_job_tells_where(void **state)
{
    need_database(state);
    assert_int_equal(open_session("s"), ERR_OK);
    submit("01a", "u", NULL, NULL, "s");
    recent(9, BY(0), "01a ");
    const json_t *job = json_array_get(json_object_get(read_result, "jobs"), 0);
    assert_string_equal(js_str(job, "status", ""), "running");
    assert_string_equal(js_str(job, "host", ""), "host");
    assert_string_equal(js_str(job, "instance", ""), "0123456789abcdef");
    assert_int_equal(strlen(js_str(job, "started_at", "")), STORE_TIME_SIZE - 1);
    assert_int_equal(finish("01a", 1, "completed").error, ERR_OK);
    recent(9, BY(0), "01a ");
    job = json_array_get(json_object_get(read_result, "jobs"), 0);
    assert_true(json_is_null(json_object_get(job, "host")));
    assert_int_equal(js_int(json_object_get(job, "token_usage"), "total_tokens", 0), 3);
}

static char seen[256];

static void on_failures(void *arg, enum err error, const struct store_failure *failures,
                        size_t count)
{
    (void)arg;
    assert_int_equal(error, ERR_OK);
    seen[0] = '\0';
    for (size_t i = 0; i < count; i++)
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s/%s ", failures[i].job_id,
                 failures[i].user_id);
    count_down();
}

static void failures_come_newest_first(void **state)
{
    need_database(state);
    fill();
    sql("UPDATE job_data SET status = 'cancelled' WHERE id = '014'");
    env->waiting++;
    store_failures(env->store, on_failures, NULL);
    wait_all();
    assert_string_equal(seen, "015/u1 012/u0 ");
}

/* No list of one user's failures may be planned by everybody's, however few there are. */
static void the_index_of_all_failures_is_for_nothing_else(void **state)
{
    need_database(state);
    fill();
    sql("ANALYZE job_mishaps");
    sql("CREATE OR REPLACE FUNCTION pg_temp.plan(query text) RETURNS text LANGUAGE plpgsql AS $$"
        " DECLARE line text; all_lines text := ''; BEGIN SET enable_seqscan = off;"
        " SET enable_bitmapscan = off; FOR line IN EXECUTE 'EXPLAIN ' || query LOOP"
        " all_lines := all_lines || line; END LOOP; RETURN all_lines; END $$");
    expect_sql("SELECT pg_temp.plan('SELECT id FROM job_mishaps WHERE user_id = ''u'' AND status ="
               " ''failed'' ORDER BY created_at DESC, id DESC LIMIT 5') ~ 'job_mishaps_pkey'",
               "t");
    expect_sql("SELECT pg_temp.plan('SELECT id FROM job_mishaps WHERE status || '''' = ''failed''"
               " ORDER BY created_at DESC LIMIT 5') ~ 'Backward using job_mishaps_newest'",
               "t");
}

static void the_database_says_how_it_does(void **state)
{
    need_database(state);
    env->waiting++;
    store_database(env->store, on_read, NULL);
    wait_all();
    assert_int_equal(read_error, ERR_OK);
    assert_true(strtol(js_str(read_result, "version", ""), NULL, 10) >= 13);
    assert_non_null(strchr(js_str(read_result, "server", ""), ':'));
    assert_null(strchr(js_str(read_result, "server", ""), '@'));
    assert_false(js_bool(read_result, "in_recovery", true));
    assert_in_range(js_int(read_result, "connections", 0), 1, 10000);
    assert_in_range(js_int(read_result, "max_connections", 0), 5, 10000);
    assert_true(js_int(read_result, "database_bytes", 0) > 1000000);
    assert_true(json_is_array(json_object_get(read_result, "replicas")));
    json_decref(read_result);
    read_result = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(filters_of_the_newest, setup, teardown),
        cmocka_unit_test_setup_teardown(hostile_texts_are_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_running_job_tells_where, setup, teardown),
        cmocka_unit_test_setup_teardown(failures_come_newest_first, setup, teardown),
        cmocka_unit_test_setup_teardown(the_index_of_all_failures_is_for_nothing_else, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_database_says_how_it_does, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
