#include "tests/unit/unit.h"

#include "libcommon/map.h"

enum { COUNT = 5000 };

static int values[COUNT];

static void test_put_get_take(void **state)
{
    (void)state;
    struct map *map = map_new();
    for (int i = 0; i < COUNT; i++)
        assert_null(map_put(map, &i, sizeof i, &values[i]));
    for (int i = 0; i < COUNT; i += 2)
        assert_ptr_equal(map_take(map, &i, sizeof i), &values[i]);
    assert_int_equal(map_count(map), COUNT / 2);
    for (int i = 0; i < COUNT; i++)
        assert_ptr_equal(map_get(map, &i, sizeof i), i % 2 ? &values[i] : NULL);
    int one = 1;
    assert_ptr_equal(map_put(map, &one, sizeof one, &values[0]), &values[1]);
    assert_null(map_get(map, "", 0));
    assert_null(map_put(map, "", 0, &values[7]));
    assert_ptr_equal(map_get(map, "", 0), &values[7]);
    map_destroy(&map);
    map_destroy(&map);
}

/* Keys that come and go for ever must not make it grow or slow down. */
static void test_churn(void **state)
{
    (void)state;
    struct map *map = map_new();
    for (int i = 0; i < 200000; i++) {
        map_put(map, &i, sizeof i, &values[0]);
        if (i >= 100) {
            int old = i - 100;
            assert_non_null(map_take(map, &old, sizeof old));
        }
    }
    assert_int_equal(map_count(map), 100);
    map_destroy(&map);
}

static void test_walk_may_take(void **state)
{
    (void)state;
    struct map *map = map_new();
    for (int i = 0; i < COUNT; i++) {
        values[i] = i;
        map_put(map, &i, sizeof i, &values[i]);
    }
    size_t at = 0, seen = 0;
    int *value = NULL;
    while ((value = map_next(map, &at))) {
        seen++;
        assert_ptr_equal(map_take(map, value, sizeof *value), value);
    }
    assert_int_equal(seen, COUNT);
    assert_int_equal(map_count(map), 0);
    map_destroy(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_get_take),
        cmocka_unit_test(test_churn),
        cmocka_unit_test(test_walk_may_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
