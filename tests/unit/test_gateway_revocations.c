#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "libcommon/js.h"
#include "services/gateway/revocations.h"

static void add(struct revocation_list *list, const char *user, int generation, int64_t at)
{
    AUTOJSON json_t *items = json_pack("[{s:i, s:s, s:i, s:I}]", "seq", 1, "user_id", user,
                                       "generation", generation, "at", (json_int_t)at);
    revocation_list_apply(list, items);
}

static void test_generations(void **state)
{
    (void)state;
    struct revocation_list *list = revocation_list_new(10);
    assert_false(revocation_list_is_dead(list, "u", 0, 0));
    add(list, "u", 2, 1000);
    assert_true(revocation_list_is_dead(list, "u", 1, 5000));
    assert_false(revocation_list_is_dead(list, "u", 2, 1000)); /* signed in in the same second */
    assert_true(revocation_list_is_dead(list, "u", -1, 1000));
    assert_true(revocation_list_is_dead(list, "u", -1, 999));
    assert_false(revocation_list_is_dead(list, "u", -1, 1001));
    assert_false(revocation_list_is_dead(list, "v", -1, 0));
    add(list, "u", 1, 500); /* an older item changes nothing */
    assert_true(revocation_list_is_dead(list, "u", 1, 5000));
    add(list, "u", 3, 2000);
    assert_true(revocation_list_is_dead(list, "u", 2, 0));
    assert_int_equal(revocation_list_count(list), 1);
    revocation_list_destroy(&list);
}

static int64_t issued_at(const char *claims, int64_t now)
{
    AUTOJSON json_t *object = json_loads(claims, 0, NULL);
    return revocation_issued_at(object, now);
}

static void test_issued_at(void **state)
{
    (void)state;
    assert_int_equal(issued_at("{\"exp\":186400}", 150000), 100000);
    assert_int_equal(issued_at("{\"exp\":186400,\"iat\":120000}", 150000), 120000);
    assert_int_equal(issued_at("{\"exp\":236700}", 150000), 150300); /* a clock ahead of ours */
    assert_int_equal(issued_at("{\"exp\":236701}", 150000), 0);
    assert_int_equal(issued_at("{\"exp\":9223372036854775807}", 150000), 0);
    assert_int_equal(issued_at("{\"exp\":236701,\"iat\":999999}", 150000), 0);
}

static void test_strange_items(void **state)
{
    (void)state;
    struct revocation_list *list = revocation_list_new(10);
    AUTOJSON json_t *items =
        json_pack("[{s:i}, s, n, i, {s:i}]", "user_id", 7, "text", 3, "seq", 1);
    revocation_list_apply(list, items);
    revocation_list_apply(list, NULL);
    assert_int_equal(revocation_list_count(list), 0);
    revocation_list_destroy(&list);
}

static void test_prune(void **state)
{
    (void)state;
    struct revocation_list *list = revocation_list_new(10);
    add(list, "old", 1, 1000);
    add(list, "young", 1, 200000);
    revocation_list_prune(list, 200000);
    assert_int_equal(revocation_list_count(list), 1);
    assert_true(revocation_list_is_dead(list, "young", 0, 0));
    revocation_list_destroy(&list);
}

static void test_full_is_incomplete(void **state)
{
    (void)state;
    struct revocation_list *list = revocation_list_new(2);
    add(list, "a", 1, 1);
    add(list, "b", 1, 1);
    assert_true(revocation_list_complete(list));
    add(list, "a", 2, 2);
    assert_true(revocation_list_complete(list));
    add(list, "c", 1, 1);
    assert_false(revocation_list_complete(list));
    revocation_list_destroy(&list);
    assert_null(list);
    revocation_list_destroy(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generations),        cmocka_unit_test(test_issued_at),
        cmocka_unit_test(test_strange_items),      cmocka_unit_test(test_prune),
        cmocka_unit_test(test_full_is_incomplete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
