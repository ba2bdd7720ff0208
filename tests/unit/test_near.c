/* Words that are nearly others. */
#include "tests/unit/unit.h"

#include "libcommon/near.h"

static void test_distance(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        unsigned most, distance;
    } rows[] = {{"", "", 5, 0},
                {"a", "a", 5, 0},
                {"a", "A", 5, 1},
                {"ab", "ba", 5, 2},
                {"", "ab", 5, 4},
                {"status", "stauts", 6, 2},
                {"status", "statu", 6, 2},
                {"status", "ststatus", 6, 4},
                {"abc", "xyz", 9, 6},
                {"abc", "xyz", 4, 5},
                {"kitten", "sitting", 9, 6}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(near_distance(rows[i].a, rows[i].b, rows[i].most), rows[i].distance);
        assert_int_equal(near_distance(rows[i].b, rows[i].a, rows[i].most), rows[i].distance);
    }
}

static void test_too_long(void **state)
{
    (void)state;
    char word[80];
    memset(word, 'x', sizeof word);
    word[64] = '\0';
    assert_int_equal(near_distance(word, word, 3), 0);
    word[64] = 'x';
    word[65] = '\0';
    assert_int_equal(near_distance(word, word, 3), 4);
}

static const char *best(const char *word)
{
    struct near near;
    near_begin(&near, word);
    near_offer(&near, "OPENAI_MODEL");
    near_offer(&near, "OPENAI_BASE_URL");
    near_offer(&near, "RATE_LIMIT");
    return near.best ? near.best : "";
}

static void test_the_best(void **state)
{
    (void)state;
    assert_string_equal(best("OPENAI_MODLE"), "OPENAI_MODEL");
    assert_string_equal(best("openai_model"), "");
    assert_string_equal(best("OPENAI_Model"), "OPENAI_MODEL");
    assert_string_equal(best("OPEN_AI_BASE_URL"), "OPENAI_BASE_URL");
    assert_string_equal(best("RATELIMIT"), "RATE_LIMIT");
    assert_string_equal(best("SOMETHING_ELSE"), "");
    assert_string_equal(best(""), "");
    assert_string_equal(best("X"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_the_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
