/* Texts of others on a terminal, and short forms. */
#include "tests/unit/unit.h"

#include "libcommon/buf.h"
#include "services/cli/output.h"

static void cleaned(const char *text, size_t columns, const char *wanted)
{
    struct buf buf;
    buf_init(&buf, 1024);
    output_clean(&buf, text, columns);
    assert_string_equal(buf_text(&buf), wanted);
    buf_fini(&buf);
}

static void test_clean(void **state)
{
    (void)state;
    cleaned("", 5, "");
    cleaned("hello", 5, "hello");
    cleaned("hello!", 5, "hell…");
    cleaned("  a \t\r\n b  ", 10, "a b");
    cleaned("ä€😀", 4, "ä€😀");
    cleaned("ä€😀x", 4, "ä€…");
    cleaned("a b c", 3, "a…");
}

static void test_what_commands_a_terminal(void **state)
{
    (void)state;
    cleaned("a\033[2Jb", 20, "a\ufffd[2Jb");
    cleaned("\a\b\x7f", 20, "\ufffd\ufffd\ufffd");
    cleaned("\xc2\x9b"
            "31m",
            20, "\ufffd31m"); /* C1: CSI */
    cleaned("\xe2\x80\xae"
            "x\xe2\x81\xa6",
            20, "\ufffdx\ufffd");          /* turns what follows */
    cleaned("\xe2\x80\xa8", 20, "\ufffd"); /* ends a line */
}

static void test_what_nobody_sees_or_turns_the_order(void **state)
{
    (void)state;
    static const char *const texts[] = {"\u061c", "\u180e", "\u200b",    "\u200e", "\u200f",
                                        "\u202a", "\u2029", "\u2060",    "\u2069", "\ufeff",
                                        "\ufffa", "\u00ad", "\U000e0041"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cleaned(texts[i], 20, "\ufffd");
    cleaned("e\u0301 \u200d", 20, "e\u0301 \u200d"); /* those join what is seen */
}

static void test_wide_characters(void **state)
{
    (void)state;
    cleaned("漢字", 4, "漢字");
    cleaned("漢字", 3, "漢…");
    cleaned("a漢字", 2, "a…");
    cleaned("e\u0301e\u0301", 2, "e\u0301e\u0301");
    assert_int_equal(output_columns("漢a😀e\u0301"), 6);
    assert_int_equal(output_columns(""), 0);
}

static void test_what_is_no_utf8(void **state)
{
    (void)state;
    cleaned("\xff\xfe", 20, "\ufffd\ufffd");
    cleaned("a\xc3", 20, "a\ufffd");
    cleaned("\xe2\x82", 20, "\ufffd\ufffd");
    cleaned("\xf0\x9f\x98", 20, "\ufffd\ufffd\ufffd");
    cleaned("\x80x", 20, "\ufffdx");
    cleaned("\xe0\x80\x9b", 20, "\ufffd\ufffd\ufffd"); /* ESC, in more bytes than it has */
    cleaned("\xed\xa0\x80", 20, "\ufffd\ufffd\ufffd"); /* half of a pair */
    cleaned("\xf4\x90\x80\x80", 20, "\ufffd\ufffd\ufffd\ufffd");
}

static void test_durations(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {{-5, "0 s"},          {0, "0 s"},       {119999, "119 s"},  {120000, "2 min"},
                {7199999, "119 min"}, {7200000, "2 h"}, {172800000, "2 d"}, {INT64_MAX, NULL}};
    char text[16];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        output_duration(rows[i].ms, text);
        if (rows[i].text)
            assert_string_equal(text, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean),
        cmocka_unit_test(test_what_commands_a_terminal),
        cmocka_unit_test(test_what_nobody_sees_or_turns_the_order),
        cmocka_unit_test(test_wide_characters),
        cmocka_unit_test(test_what_is_no_utf8),
        cmocka_unit_test(test_durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
