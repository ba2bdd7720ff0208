#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "services/gateway/rate_limit.h"

static int take_many(struct rate_limit *limit, const char *user, int64_t now, int times)
{
    int passed = 0;
    for (int i = 0; i < times; i++)
        passed += rate_limit_take(limit, user, now);
    return passed;
}

static void test_burst_and_refill(void **state)
{
    (void)state;
    struct rate_limit *limit = rate_limit_new(10, 100);
    assert_int_equal(take_many(limit, "a", 1000, 50), 20);
    assert_int_equal(take_many(limit, "b", 1000, 50), 20);
    assert_int_equal(take_many(limit, "a", 1099, 50), 0);
    assert_int_equal(take_many(limit, "a", 1100, 50), 1);
    assert_int_equal(take_many(limit, "a", 2100, 50), 10);
    assert_int_equal(take_many(limit, "a", 1000000, 50), 20);
    assert_int_equal(take_many(limit, "a", 1, 50), 0); /* a clock that goes back gives nothing */
    rate_limit_destroy(&limit);
    assert_null(limit);
    rate_limit_destroy(&limit);
}

static void test_off(void **state)
{
    (void)state;
    struct rate_limit *limit = rate_limit_new(0, 1);
    assert_int_equal(take_many(limit, "a", 0, 1000), 1000);
    assert_int_equal(rate_limit_users(limit), 0);
    rate_limit_destroy(&limit);
}

static void test_bounded(void **state)
{
    (void)state;
    struct rate_limit *limit = rate_limit_new(5, 64);
    char user[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(user, sizeof(user), "user%d", i);
        assert_true(rate_limit_take(limit, user, 10));
    }
    assert_int_equal(rate_limit_users(limit), 64);
    assert_true(rate_limit_take(limit, "late", 5000));
    assert_int_equal(rate_limit_users(limit), 1);
    rate_limit_destroy(&limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst_and_refill),
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
