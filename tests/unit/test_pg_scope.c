/* pg_exec_scoped, on the PostgreSQL of $TEST_DATABASE_URL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "libcommon/pg.h"

enum { WAIT_MS = 20000 };

static struct loop *loop;
static struct pg *pg;

struct outcome {
    int calls;
    enum err error;
    char text[64];
};

static void record(void *arg, enum err error, const struct pg_rows *rows)
{
    struct outcome *outcome = arg;
    const char *text = rows ? pg_rows_text(rows, 0, 0) : NULL;
    outcome->calls++;
    outcome->error = error;
    snprintf(outcome->text, sizeof outcome->text, "%s", text ? text : "NULL");
}

static bool called(void *arg)
{
    return ((struct outcome *)arg)->calls > 0;
}

static bool connected(void *arg)
{
    (void)arg;
    return pg_connected(pg);
}

static int setup(void **state)
{
    const char *url = getenv("TEST_DATABASE_URL");
    (void)state;
    if (!url)
        return 0;
    loop = loop_new();
    struct pg_options options = {
        .url = url, .application = "test", .connections = 1, .waiting_max = 100};
    assert_int_equal(pg_new(loop, &options, &pg), ERR_OK);
    assert_true(loop_run_until(loop, connected, NULL, WAIT_MS));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pg_destroy(&pg);
    loop_destroy(&loop);
    return 0;
}

static const struct pg_statement scope = {"s_scope", "SELECT set_config('test.who', $1, true)",
                                          true};
static const struct pg_statement who = {"s_who", "SELECT current_setting('test.who', true)", true};

static struct outcome run(const char *value, const struct pg_statement *statement)
{
    struct outcome outcome = {0};
    if (!pg)
        skip();
    if (value)
        pg_exec_scoped(pg, &scope, value, statement, WAIT_MS, NULL, 0, record, &outcome);
    else
        pg_exec(pg, statement, -1, WAIT_MS, NULL, 0, record, &outcome);
    assert_true(loop_run_until(loop, called, &outcome, WAIT_MS));
    return outcome;
}

static void expect(const char *value, const char *text)
{
    struct outcome outcome = run(value, &who);
    assert_int_equal(outcome.error, ERR_OK);
    assert_string_equal(outcome.text, text);
}

static void a_scope_is_its_statements_alone(void **state)
{
    (void)state;
    expect("alice", "alice");
    expect("", "");
    expect("bob", "bob");
    expect(NULL, "");
}

static void each_of_many_in_flight_has_its_own(void **state)
{
    (void)state;
    enum { COUNT = 50 };
    struct outcome outcomes[COUNT] = {{0}};
    char values[COUNT][8];
    if (!pg)
        skip();
    for (int i = 0; i < COUNT; i++) {
        snprintf(values[i], sizeof values[i], "u%d", i);
        if (i % 3)
            pg_exec_scoped(pg, &scope, values[i], &who, WAIT_MS, NULL, 0, record, &outcomes[i]);
        else
            pg_exec(pg, &who, -1, WAIT_MS, NULL, 0, record, &outcomes[i]);
    }
    assert_true(loop_run_until(loop, called, &outcomes[COUNT - 1], WAIT_MS));
    for (int i = 1; i < COUNT; i++)
        assert_string_equal(outcomes[i].text, i % 3 ? values[i] : "");
}

static void what_fails_within_leaves_no_scope(void **state)
{
    (void)state;
    static const struct pg_statement wrong = {"s_wrong", "SELECT 1 / 0", true};
    static const struct pg_statement syntax = {"s_syntax", "SELEC", true};
    assert_int_equal(run("carol", &wrong).error, ERR_INVALID);
    expect(NULL, "");
    assert_int_equal(run("carol", &syntax).error, ERR_INTERNAL);
    assert_int_equal(run("carol", &syntax).error, ERR_INTERNAL);
    expect("dave", "dave");
}

/* As behind a pooler, whose server connections know, or have forgotten, what a client prepared. */
static void either_may_be_prepared_or_forgotten(void **state)
{
    (void)state;
    static const struct pg_statement forget = {"s_forget", "DEALLOCATE s_scope", true};
    static const struct pg_statement forget_who = {"s_forget_who", "DEALLOCATE s_who", true};
    static const struct pg_statement other = {
        "s_other", "PREPARE s_late AS SELECT current_setting('test.who', true)", true};
    static const struct pg_statement late = {"s_late", "SELECT current_setting('test.who', true)",
                                             true};
    expect("alice", "alice");
    assert_int_equal(run(NULL, &forget).error, ERR_OK);
    expect("bob", "bob");
    assert_int_equal(run(NULL, &forget_who).error, ERR_OK);
    expect("carol", "carol");
    assert_int_equal(run(NULL, &forget).error, ERR_OK);
    assert_int_equal(run(NULL, &forget_who).error, ERR_OK);
    assert_int_equal(run(NULL, &other).error, ERR_OK);
    struct outcome outcome = run("dave", &late);
    assert_int_equal(outcome.error, ERR_OK);
    assert_string_equal(outcome.text, "dave");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_scope_is_its_statements_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(each_of_many_in_flight_has_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(what_fails_within_leaves_no_scope, setup, teardown),
        cmocka_unit_test_setup_teardown(either_may_be_prepared_or_forgotten, setup, teardown),
    };
    return cmocka_run_group_tests_name("pg_scope", tests, NULL, NULL);
}
