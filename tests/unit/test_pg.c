/* Against the PostgreSQL of $TEST_DATABASE_URL (skipped without); URL forms always. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libcommon/loop.h"
#include "libcommon/mem.h"
#include "libcommon/pg.h"

enum { WAIT_MS = 60000 };

static void expect_url(const char *from, const char *to)
{
    AUTOFREE char *url = NULL;
    assert_int_equal(pg_url_normalize(from, &url), ERR_OK);
    assert_string_equal(url, to);
}

static void urls_are_normalized(void **state)
{
    (void)state;
    expect_url("postgresql+asyncpg://u:p%40w@h:5432/db?ssl=require",
               "postgresql://u:p%40w@h:5432/db?sslmode=require");
    expect_url("postgres://u@h/db", "postgresql://u@h/db");
    expect_url("postgresql://a:1,b:2/db?sslmode=verify-full&application_name=x",
               "postgresql://a:1,b:2/db?sslmode=verify-full&application_name=x");
    expect_url("postgresql+asyncpg://h/db?prepared_statement_cache_size=0&ssl=true&a=b",
               "postgresql://h/db?sslmode=require&a=b");
    expect_url("postgresql://h/db?pgbouncer=true", "postgresql://h/db");
    expect_url("postgresql+asyncpg://u:p@/db?host=a:5432&host=b:5433&target_session_attrs=any",
               "postgresql://u:p@/db?target_session_attrs=any&host=a,b&port=5432,5433");
    expect_url("postgresql://u@/db?host=a,b:2&sslmode=disable",
               "postgresql://u@/db?sslmode=disable&host=a,b&port=,2");
    expect_url("postgresql://u@/db?host=/run/pg&port=7", "postgresql://u@/db?port=7&host=/run/pg");
    expect_url("postgresql://u@/db?host=::1", "postgresql://u@/db?host=::1");
    expect_url("host=/tmp dbname=x", "host=/tmp dbname=x");
    char *url = NULL;
    assert_int_equal(pg_url_normalize("mysql://h/db", &url), ERR_INVALID);
    assert_int_equal(pg_url_normalize("postgresqlx://h/db", &url), ERR_INVALID);
    assert_int_equal(pg_url_normalize("nonsense", &url), ERR_INVALID);
    assert_null(url);
}

struct outcome {
    int calls;
    enum err error;
    char text[4096];
    size_t rows;
    int order;
};

static int order;

static void record(void *arg, enum err error, const struct pg_rows *rows)
{
    struct outcome *outcome = arg;
    outcome->calls++;
    outcome->error = error;
    outcome->order = ++order;
    outcome->rows = pg_rows_count(rows);
    const char *text = rows ? pg_rows_text(rows, 0, 0) : NULL;
    snprintf(outcome->text, sizeof outcome->text, "%s", text ? text : "");
}

static bool called(void *arg)
{
    return ((struct outcome *)arg)->calls > 0;
}

struct env {
    struct loop *loop;
    struct pg *pg;
};

static bool connected(void *arg)
{
    return pg_connected(((struct env *)arg)->pg);
}

static void open_env(struct env *env, unsigned connections)
{
    const char *url = getenv("TEST_DATABASE_URL");
    if (!url)
        skip();
    env->loop = loop_new();
    struct pg_options options = {.url = url,
                                 .application = "test",
                                 .connections = connections,
                                 .waiting_max = 1000,
                                 .setup = "SELECT 1"};
    assert_int_equal(pg_new(env->loop, &options, &env->pg), ERR_OK);
    assert_true(loop_run_until(env->loop, connected, env, WAIT_MS));
    assert_string_equal(pg_problem(env->pg), "");
}

static void close_env(struct env *env)
{
    pg_destroy(&env->pg);
    loop_destroy(&env->loop);
}

static struct outcome run(struct env *env, const struct pg_statement *statement, const char *value)
{
    struct outcome outcome = {0};
    const char *values[] = {value};
    pg_exec(env->pg, statement, -1, WAIT_MS, values, value ? 1 : 0, record, &outcome);
    assert_int_equal(outcome.calls, 0);
    assert_true(loop_run_until(env->loop, called, &outcome, WAIT_MS));
    return outcome;
}

static const struct pg_statement st_text = {"t_text", "SELECT $1::text", true};
static const struct pg_statement st_zero = {"t_zero", "SELECT 1 / $1::int", true};
static const struct pg_statement st_syntax = {"t_syntax", "SELEC", true};
static const struct pg_statement st_unnest = {"t_unnest",
                                              "SELECT string_agg(coalesce(t, '~'), '|')"
                                              " FROM unnest($1::text[]) t",
                                              true};
static const struct pg_statement st_sleep = {"t_sleep",
                                             "SELECT pg_backend_pid()::text, pg_sleep(1)", true};
static const struct pg_statement st_sleep_once = {"t_sleep_once", "SELECT pg_sleep(1)", false};
static const struct pg_statement st_kill = {
    "t_kill",
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE application_name = $1 AND pid <> pg_backend_pid() AND state = 'active'",
    true};

static void answers_come_in_order(void **state)
{
    (void)state;
    struct env env = {0};
    open_env(&env, 1);
    struct outcome outcomes[200] = {0};
    order = 0;
    for (int i = 0; i < 200; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i % 7 == 3 ? 0 : i + 1);
        const char *values[] = {text};
        pg_exec(env.pg, i % 7 == 3 ? &st_zero : &st_text, 0, WAIT_MS, values, 1, record,
                &outcomes[i]);
    }
    assert_true(loop_run_until(env.loop, called, &outcomes[199], WAIT_MS));
    for (int i = 0; i < 200; i++) {
        assert_int_equal(outcomes[i].calls, 1);
        assert_int_equal(outcomes[i].order, i + 1);
        assert_int_equal(outcomes[i].error, i % 7 == 3 ? ERR_INVALID : ERR_OK);
        if (i % 7 != 3)
            assert_int_equal(atoi(outcomes[i].text), i + 1);
    }
    assert_int_equal(pg_pending(env.pg), 0);
    close_env(&env);
}

static void errors_are_mapped(void **state)
{
    (void)state;
    struct env env = {0};
    open_env(&env, 1);
    static const struct pg_statement make = {
        "t_make", "CREATE TABLE IF NOT EXISTS test_pg (id text PRIMARY KEY)", true};
    static const struct pg_statement clear = {"t_clear", "DELETE FROM test_pg", true};
    static const struct pg_statement insert = {"t_insert", "INSERT INTO test_pg VALUES ($1)",
                                               false};
    static const struct pg_statement drop = {"t_drop", "DROP TABLE test_pg", true};
    assert_int_equal(run(&env, &make, NULL).error, ERR_OK);
    assert_int_equal(run(&env, &clear, NULL).error, ERR_OK);
    assert_int_equal(run(&env, &insert, "a").error, ERR_OK);
    assert_int_equal(run(&env, &insert, "a").error, ERR_CONFLICT);
    assert_int_equal(run(&env, &st_syntax, NULL).error, ERR_INTERNAL);
    assert_int_equal(run(&env, &drop, NULL).error, ERR_OK);
    assert_int_equal(run(&env, &insert, "b").error, ERR_INTERNAL);
    assert_string_equal(run(&env, &st_text, "still here").text, "still here");
    close_env(&env);
}

static void arrays_round_trip(void **state)
{
    (void)state;
    struct env env = {0};
    open_env(&env, 1);
    static const char *const odd[] = {"",
                                      "NULL",
                                      "a\"b",
                                      "back\\slash\\",
                                      "{x,y}",
                                      " lead and trail ",
                                      "new\nline\ttab",
                                      "\xc3\xa9\xf0\x9f\x98\x80",
                                      "'; DROP",
                                      "{"};
    enum { COUNT = sizeof odd / sizeof *odd };
    struct buf array, want;
    buf_init(&array, 4096);
    buf_init(&want, 4096);
    pg_array_begin(&array);
    for (int i = 0; i < COUNT; i++) {
        pg_array_add(&array, odd[i], strlen(odd[i]));
        buf_printf(&want, "%s|", odd[i]);
    }
    pg_array_add_null(&array);
    pg_array_add_int(&array, -42);
    pg_array_end(&array);
    buf_add_str(&want, "~|-42");
    struct outcome outcome = run(&env, &st_unnest, buf_text(&array));
    assert_int_equal(outcome.error, ERR_OK);
    assert_string_equal(outcome.text, buf_text(&want));
    buf_reset(&array);
    pg_array_begin(&array);
    pg_array_end(&array);
    assert_string_equal(buf_text(&array), "{}");
    assert_int_equal(run(&env, &st_unnest, "{}").error, ERR_OK);
    buf_fini(&array);
    buf_fini(&want);
    close_env(&env);
}

/* Ends every busy connection of the application "test" from one of its own. */
static void kill_busy(const char *application)
{
    struct pg_blocking *pg = NULL;
    char why[512], *value = NULL;
    assert_int_equal(pg_blocking_open(getenv("TEST_DATABASE_URL"), &pg, why), ERR_OK);
    const char *values[] = {application};
    for (int i = 0; i < 200; i++) {
        free(value);
        assert_int_equal(pg_blocking_value(pg, st_kill.sql, values, 1, &value, why), ERR_OK);
        if (atoi(value) > 0)
            break;
    }
    assert_true(atoi(value) > 0);
    free(value);
    pg_blocking_close(&pg);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static void lost_connections_come_back(void **state)
{
    (void)state;
    struct env env = {0};
    open_env(&env, 1);
    struct outcome again = {0}, once = {0}, later = {0};
    const char *values[] = {"later"};
    pg_exec(env.pg, &st_sleep, 0, WAIT_MS, NULL, 0, record, &again);
    pg_exec(env.pg, &st_sleep_once, 0, WAIT_MS, NULL, 0, record, &once);
    pg_exec(env.pg, &st_text, 0, WAIT_MS, values, 1, record, &later);
    loop_run_until(env.loop, never, NULL, 100);
    kill_busy("test");
    assert_true(loop_run_until(env.loop, called, &later, WAIT_MS));
    assert_int_equal(again.error, ERR_OK);
    assert_int_equal(again.calls, 1);
    assert_int_equal(once.error, ERR_PEER_LOST);
    assert_int_equal(once.calls, 1);
    assert_string_equal(later.text, "later");
    close_env(&env);
}

static void unreachable_servers_time_out(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct pg *pg = NULL;
    struct pg_options options = {
        .url = "postgres://u:hush@127.0.0.1:1/x", .connections = 2, .waiting_max = 2};
    assert_int_equal(pg_new(loop, &options, &pg), ERR_OK);
    struct outcome outcomes[4] = {0};
    const char *values[] = {"x"};
    for (int i = 0; i < 3; i++)
        pg_exec(pg, &st_text, -1, 300, values, 1, record, &outcomes[i]);
    assert_int_equal(outcomes[2].calls, 0);
    assert_true(loop_run_until(loop, called, &outcomes[2], WAIT_MS));
    assert_int_equal(outcomes[2].error, ERR_OVERLOADED);
    assert_true(loop_run_until(loop, called, &outcomes[1], WAIT_MS));
    assert_int_equal(outcomes[0].error, ERR_TIMEOUT);
    assert_int_equal(outcomes[1].error, ERR_TIMEOUT);
    assert_false(pg_connected(pg));
    assert_non_null(strstr(pg_problem(pg), "127.0.0.1"));
    assert_null(strstr(pg_problem(pg), "hush"));
    pg_exec(pg, &st_text, -1, 10000, values, 1, record, &outcomes[3]);
    pg_destroy(&pg);
    assert_int_equal(outcomes[3].error, ERR_CANCELLED);
    loop_destroy(&loop);
}

static void bad_urls_are_refused(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct pg *pg = NULL;
    struct pg_options options = {.url = "postgresql://h/db?nonsense=1", .connections = 1};
    assert_int_equal(pg_new(loop, &options, &pg), ERR_INVALID);
    assert_null(pg);
    loop_destroy(&loop);
}

struct tally {
    size_t batches, items, largest;
    enum err error;
    size_t expect;
};

static void encode_items(void *arg, void *const *items, size_t count, struct buf *params)
{
    (void)arg;
    pg_array_begin(&params[0]);
    for (size_t i = 0; i < count; i++)
        pg_array_add(&params[0], items[i], strlen(items[i]));
    pg_array_end(&params[0]);
}

static void count_batch(void *arg, void *const *items, size_t count, enum err error,
                        const struct pg_rows *rows)
{
    struct tally *tally = arg;
    assert_non_null(items[count - 1]);
    assert_true(error || pg_rows_count(rows) == 1);
    tally->batches++;
    tally->items += count;
    tally->error = error ? error : tally->error;
    tally->largest = count > tally->largest ? count : tally->largest;
}

static bool all_done(void *arg)
{
    const struct tally *tally = arg;
    return tally->items >= tally->expect;
}

static void groups_batch_what_gathers(void **state)
{
    (void)state;
    struct env env = {0};
    open_env(&env, 2);
    struct tally tally = {0};
    struct pg_group_options options = {.pg = env.pg,
                                       .writers = 2,
                                       .batch_max = 50,
                                       .waiting_max = 220,
                                       .statement = &st_unnest,
                                       .params = 1,
                                       .timeout_ms = WAIT_MS,
                                       .encode = encode_items,
                                       .done = count_batch,
                                       .arg = &tally};
    struct pg_group *group = pg_group_new(&options);
    assert_int_equal(pg_group_add(group, (void *)"lone"), ERR_OK);
    tally.expect = 1;
    assert_true(loop_run_until(env.loop, all_done, &tally, WAIT_MS));
    assert_int_equal(tally.batches, 1);
    for (int i = 0; i < 220; i++)
        assert_int_equal(pg_group_add(group, (void *)"many"), ERR_OK);
    assert_int_equal(pg_group_add(group, (void *)"too many"), ERR_OVERLOADED);
    tally.expect = 221;
    assert_true(loop_run_until(env.loop, all_done, &tally, WAIT_MS));
    assert_int_equal(tally.batches, 6);
    assert_int_equal(tally.largest, 50);
    assert_int_equal(tally.error, ERR_OK);
    assert_int_equal(pg_group_pending(group), 0);
    assert_int_equal(pg_group_add(group, (void *)"left"), ERR_OK);
    pg_group_destroy(&group);
    close_env(&env);
}

/* Items of a group that yields come in one batch though each would have gone alone; and they don't
 * wait for ever for a group that is never done. */
static void a_group_yields_and_gathers(void **state)
{
    (void)state;
    struct env env = {0};
    open_env(&env, 1);
    struct pg *busy_pg = NULL;
    const struct pg_options pg_options = {.url = getenv("TEST_DATABASE_URL"),
                                          .application = "test",
                                          .connections = 1,
                                          .waiting_max = 10,
                                          .setup = "SELECT 1"};
    assert_int_equal(pg_new(env.loop, &pg_options, &busy_pg), ERR_OK);
    static const struct pg_statement slow = {
        "t_slow", "SELECT count(*) FROM unnest($1::text[]) t, pg_sleep(10)", true};
    struct tally busy = {.expect = 1}, tally = {.expect = 1};
    struct pg_group_options options = {.pg = busy_pg,
                                       .writers = 1,
                                       .batch_max = 50,
                                       .waiting_max = 100,
                                       .statement = &slow,
                                       .params = 1,
                                       .timeout_ms = WAIT_MS,
                                       .encode = encode_items,
                                       .done = count_batch,
                                       .arg = &busy};
    struct pg_group *first = pg_group_new(&options);
    options.statement = &st_unnest;
    options.arg = &tally;
    options.pg = env.pg;
    struct pg_group *group = pg_group_new(&options);
    pg_group_yield(group, first, 4, 500);
    assert_int_equal(pg_group_add(group, (void *)"alone"), ERR_OK);
    assert_true(loop_run_until(env.loop, all_done, &tally, WAIT_MS));
    assert_int_equal(pg_group_add(first, (void *)"busy"), ERR_OK);
    for (size_t i = 1; i <= 3; i++) {
        assert_int_equal(pg_group_add(group, (void *)"few"), ERR_OK);
        loop_run_until(env.loop, all_done, &busy, 10);
    }
    assert_int_equal(tally.batches, 1);
    tally.expect = 4;
    assert_true(loop_run_until(env.loop, all_done, &tally, WAIT_MS));
    assert_int_equal(tally.batches, 2);
    assert_int_equal(busy.batches, 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pg_group_add(group, (void *)"enough"), ERR_OK);
    tally.expect = 8;
    assert_true(loop_run_until(env.loop, all_done, &tally, WAIT_MS));
    assert_int_equal(tally.batches, 3);
    assert_int_equal(tally.largest, 4);
    assert_int_equal(busy.batches, 0);
    pg_group_destroy(&group);
    pg_group_destroy(&first);
    pg_destroy(&busy_pg);
    close_env(&env);
}

/* The test database's URL for role t_few. */
static char *few_url(void)
{
    const char *url = getenv("TEST_DATABASE_URL"), *host = strchr(url, '@');
    assert_non_null(host);
    return mem_printf("postgresql://t_few:few%s", host);
}

/* Of two connections one can't come back: what was on it, and what is meant for it, goes by the
 * other. */
static void a_batch_waits_for_no_certain_connection(void **state)
{
    (void)state;
    struct env admin = {0}, env = {0};
    open_env(&admin, 1);
    static const struct pg_statement make = {
        "t_make",
        "DO $$ BEGIN DROP ROLE IF EXISTS t_few; CREATE ROLE t_few LOGIN PASSWORD 'few'; END $$",
        true};
    static const struct pg_statement limit = {"t_limit", "ALTER ROLE t_few CONNECTION LIMIT 1",
                                              true};
    static const struct pg_statement cut = {
        "t_cut",
        "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity"
        " WHERE usename = 't_few' AND query LIKE '%pg_sleep%' LIMIT 1) a",
        true};
    static const struct pg_statement drop = {"t_drop", "DROP ROLE t_few", true};
    static const struct pg_statement nap = {
        "t_nap", "SELECT string_agg(t, '|') FROM unnest($1::text[]) t, pg_sleep(0.3)", true};
    assert_int_equal(run(&admin, &make, NULL).error, ERR_OK);
    AUTOFREE char *url = few_url();
    struct pg_options pg = {.url = url, .connections = 2, .waiting_max = 100};
    env.loop = admin.loop;
    assert_int_equal(pg_new(env.loop, &pg, &env.pg), ERR_OK);
    struct tally tally = {0};
    struct pg_group_options options = {.pg = env.pg,
                                       .writers = 2,
                                       .batch_max = 10,
                                       .waiting_max = 100,
                                       .statement = &nap,
                                       .params = 1,
                                       .timeout_ms = WAIT_MS,
                                       .encode = encode_items,
                                       .done = count_batch,
                                       .arg = &tally};
    struct pg_group *group = pg_group_new(&options);
    for (tally.expect = 20; tally.items < 20;) {
        for (int i = 0; i < 20; i++)
            assert_int_equal(pg_group_add(group, (void *)"before"), ERR_OK);
        assert_true(loop_run_until(env.loop, all_done, &tally, WAIT_MS));
    }
    assert_int_equal(run(&admin, &limit, NULL).error, ERR_OK);
    for (int i = 0; i < 20; i++)
        assert_int_equal(pg_group_add(group, (void *)"cut off"), ERR_OK);
    loop_run_until(env.loop, all_done, &tally, 100);
    tally.expect = 40;
    loop_run_until(env.loop, all_done, &tally, 100);
    assert_string_equal(run(&admin, &cut, NULL).text, "1");
    assert_true(loop_run_until(env.loop, all_done, &tally, WAIT_MS / 2));
    for (int i = 0; i < 20; i++)
        assert_int_equal(pg_group_add(group, (void *)"after"), ERR_OK);
    tally.expect = 60;
    assert_true(loop_run_until(env.loop, all_done, &tally, WAIT_MS / 2));
    assert_int_equal(tally.error, ERR_OK);
    pg_group_destroy(&group);
    pg_destroy(&env.pg);
    assert_int_equal(run(&admin, &drop, NULL).error, ERR_OK);
    close_env(&admin);
}

/* Each alone is small enough, all together are not. */
static void groups_bound_a_batch(void **state)
{
    (void)state;
    enum { BYTES = 5 << 20, COUNT = 8 };
    struct env env = {0};
    open_env(&env, 1);
    AUTOFREE char *item = mem_alloc(BYTES + 1);
    memset(item, 'x', BYTES);
    static const struct pg_statement count = {
        "t_count", "SELECT sum(length(t)) FROM unnest($1::text[]) t", true};
    struct tally tally = {.expect = COUNT};
    struct pg_group_options options = {.pg = env.pg,
                                       .writers = 1,
                                       .batch_max = 50,
                                       .waiting_max = 50,
                                       .statement = &count,
                                       .params = 1,
                                       .timeout_ms = WAIT_MS,
                                       .encode = encode_items,
                                       .done = count_batch,
                                       .arg = &tally};
    struct pg_group *group = pg_group_new(&options);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(pg_group_add(group, item), ERR_OK);
    assert_true(loop_run_until(env.loop, all_done, &tally, WAIT_MS));
    assert_int_equal(tally.error, ERR_OK);
    assert_true(tally.largest > 1 && tally.largest <= 3);
    pg_group_destroy(&group);
    close_env(&env);
}

/* As behind a pooler, whose server connections know what another client prepared. */
static void what_is_prepared_already_is_used(void **state)
{
    (void)state;
    struct env env = {0};
    open_env(&env, 1);
    static const struct pg_statement other = {"t_other", "PREPARE t_twice AS SELECT 'there'::text",
                                              true};
    static const struct pg_statement twice = {"t_twice", "SELECT 'there'::text", true};
    assert_int_equal(run(&env, &other, NULL).error, ERR_OK);
    for (int i = 0; i < 2; i++) {
        struct outcome outcome = run(&env, &twice, NULL);
        assert_int_equal(outcome.error, ERR_OK);
        assert_string_equal(outcome.text, "there");
    }
    close_env(&env);
}

struct verdicts {
    int good, bad;
};

static void count_verdict(void *arg, void *const *items, size_t count, enum err error,
                          const struct pg_rows *rows)
{
    struct verdicts *verdicts = arg;
    (void)rows;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(error, strcmp(items[i], "0") ? ERR_OK : ERR_INVALID);
        *(error ? &verdicts->bad : &verdicts->good) += 1;
    }
}

static bool all_judged(void *arg)
{
    const struct verdicts *verdicts = arg;
    return verdicts->good + verdicts->bad == 100;
}

static void a_bad_item_fails_alone(void **state)
{
    (void)state;
    struct env env = {0};
    open_env(&env, 2);
    static const struct pg_statement divide = {"t_divide",
                                               "SELECT sum(1 / t) FROM unnest($1::int[]) t", true};
    struct verdicts verdicts = {0};
    struct pg_group_options options = {.pg = env.pg,
                                       .writers = 2,
                                       .batch_max = 30,
                                       .waiting_max = 1000,
                                       .statement = &divide,
                                       .params = 1,
                                       .timeout_ms = WAIT_MS,
                                       .encode = encode_items,
                                       .done = count_verdict,
                                       .arg = &verdicts};
    struct pg_group *group = pg_group_new(&options);
    for (int i = 0; i < 100; i++)
        assert_int_equal(pg_group_add(group, (void *)(i % 40 ? "1" : "0")), ERR_OK);
    assert_true(loop_run_until(env.loop, all_judged, &verdicts, WAIT_MS));
    assert_int_equal(verdicts.bad, 3);
    pg_group_destroy(&group);
    close_env(&env);
}

static void blocking_runs_scripts(void **state)
{
    (void)state;
    const char *url = getenv("TEST_DATABASE_URL");
    if (!url)
        skip();
    struct pg_blocking *pg = NULL;
    char why[512], *value = NULL;
    assert_int_equal(pg_blocking_open(url, &pg, why), ERR_OK);
    assert_int_equal(pg_blocking_run(pg, "BEGIN; SELECT 1; COMMIT;", why), ERR_OK);
    assert_int_equal(pg_blocking_run(pg, "SELECT nonsense", why), ERR_INTERNAL);
    assert_non_null(strstr(why, "nonsense"));
    const char *values[] = {"41"};
    assert_int_equal(pg_blocking_value(pg, "SELECT $1::int + 1", values, 1, &value, why), ERR_OK);
    assert_string_equal(value, "42");
    free(value);
    pg_blocking_close(&pg);
    assert_int_equal(pg_blocking_open("postgresql://127.0.0.1:1/x", &pg, why), ERR_PEER_LOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_normalized),
        cmocka_unit_test(bad_urls_are_refused),
        cmocka_unit_test(unreachable_servers_time_out),
        cmocka_unit_test(answers_come_in_order),
        cmocka_unit_test(errors_are_mapped),
        cmocka_unit_test(arrays_round_trip),
        cmocka_unit_test(lost_connections_come_back),
        cmocka_unit_test(groups_batch_what_gathers),
        cmocka_unit_test(a_group_yields_and_gathers),
        cmocka_unit_test(a_batch_waits_for_no_certain_connection),
        cmocka_unit_test(groups_bound_a_batch),
        cmocka_unit_test(what_is_prepared_already_is_used),
        cmocka_unit_test(a_bad_item_fails_alone),
        cmocka_unit_test(blocking_runs_scripts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
