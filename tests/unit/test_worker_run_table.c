#include "tests/unit/unit.h"

#include "services/worker/run_table.h"

static void a_run_is_its_job_and_attempt(void **state)
{
    (void)state;
    struct run_table *table = run_table_new();
    int first, second;
    run_table_put(table, "job", 1, &first);
    run_table_put(table, "job", 2, &second);
    assert_ptr_equal(run_table_get(table, "job", 1), &first);
    assert_ptr_equal(run_table_get(table, "job", 2), &second);
    assert_null(run_table_get(table, "job", 3));
    assert_int_equal(run_table_count(table), 2);
    run_table_destroy(&table);
}

static void what_ended_is_remembered_for_a_while(void **state)
{
    (void)state;
    struct run_table *table = run_table_new();
    int run;
    run_table_put(table, "job", 1, &run);
    run_table_take(table, "job", 1, true);
    assert_null(run_table_get(table, "job", 1));
    assert_true(run_table_knows(table, "job", 1));
    run_table_put(table, "killed", 1, &run);
    run_table_take(table, "killed", 1, false);
    assert_false(run_table_knows(table, "killed", 1));
    for (int i = 0; i < RUN_TABLE_REMEMBERED; i++) {
        run_table_put(table, "other", i, &run);
        run_table_take(table, "other", i, true);
    }
    assert_false(run_table_knows(table, "job", 1));
    assert_true(run_table_knows(table, "other", 0));
    run_table_destroy(&table);
}

static void a_cancel_may_come_before_its_run(void **state)
{
    (void)state;
    struct run_table *table = run_table_new();
    int run;
    run_table_remember(table, "job", 1);
    run_table_remember(table, "job", 1);
    assert_null(run_table_get(table, "job", 1));
    assert_int_equal(run_table_count(table), 0);
    assert_true(run_table_knows(table, "job", 1));
    assert_false(run_table_knows(table, "job", 2));
    run_table_put(table, "here", 1, &run);
    run_table_remember(table, "here", 1);
    assert_ptr_equal(run_table_get(table, "here", 1), &run);
    run_table_take(table, "here", 1, false);
    assert_true(run_table_knows(table, "here", 1));
    run_table_destroy(&table);
}

static void runs_may_be_taken_while_walking(void **state)
{
    (void)state;
    struct run_table *table = run_table_new();
    int numbers[100];
    size_t at = 0, seen = 0;
    for (int i = 0; i < 100; i++) {
        numbers[i] = i;
        run_table_put(table, "job", i, &numbers[i]);
    }
    for (int *number; (number = run_table_next(table, &at)); seen++)
        run_table_take(table, "job", *number, true);
    assert_int_equal(seen, 100);
    assert_int_equal(run_table_count(table), 0);
    run_table_destroy(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_its_job_and_attempt),
        cmocka_unit_test(a_cancel_may_come_before_its_run),
        cmocka_unit_test(what_ended_is_remembered_for_a_while),
        cmocka_unit_test(runs_may_be_taken_while_walking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
