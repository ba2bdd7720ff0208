#include "tests/unit/unit.h"

#include "services/gateway/results.h"

static bool split(const char *text, size_t count, const char **ret_begins, size_t *ret_lens)
{
    return results_split(text, strlen(text), count, ret_begins, ret_lens);
}

static void test_items_in_place(void **state)
{
    (void)state;
    const char *begins[3] = {0};
    size_t lens[3] = {0};
    static const char text[] = "{\"results\":[{},{\"a\":[{\"}]\":\"\\\"{\\\\\"}]},{\"b\":\"]}\"}]}";
    assert_true(split(text, 3, begins, lens));
    assert_int_equal(lens[0], 2);
    assert_memory_equal(begins[1], "{\"a\":[{\"}]\":\"\\\"{\\\\\"}]}", lens[1]);
    assert_memory_equal(begins[2], "{\"b\":\"]}\"}", lens[2]);
    assert_int_equal(lens[0] + lens[1] + lens[2] + 16, sizeof(text) - 1);
    assert_true(split("{\"results\":[]}", 0, begins, lens));
}

static void test_other_forms(void **state)
{
    (void)state;
    const char *begins[4];
    size_t lens[4];
    static const char *const texts[] = {
        "",
        "{",
        "{\"results\":[",
        "{\"results\":[]}",
        "{\"results\":[{}]}",
        "{\"results\":[{},{},{}]}",
        "{\"results\":[{},{}]",
        "{\"results\":[{},{}]}}",
        "{\"results\":[{},{}]} ",
        "{\"results\":[{} ,{}]}",
        "{\"results\":[{};{}]}",
        "{\"results\":[1,{}]}",
        "{\"results\":[[],{}]}",
        "{\"results\":[{},{\"]}",
        "{\"results\":[{},{\"\\",
        "{\"result\":[{},{}]}",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        assert_false(split(texts[i], 2, begins, lens));
}

/* No byte behind the end is looked at: each prefix alone, for the sanitizer. */
static void test_cut_anywhere(void **state)
{
    (void)state;
    static const char whole[] = "{\"results\":[{\"a\":\"\\\"}\"},{\"b\":{\"c\":1}}]}";
    const char *begins[2];
    size_t lens[2];
    for (size_t len = 0; len < sizeof(whole) - 1; len++) {
        char *part = malloc(len + 1);
        assert_non_null(part);
        memcpy(part + 1, whole, len);
        assert_false(results_split(part + 1, len, 2, begins, lens));
        free(part);
    }
    assert_true(split(whole, 2, begins, lens));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_in_place),
        cmocka_unit_test(test_other_forms),
        cmocka_unit_test(test_cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
