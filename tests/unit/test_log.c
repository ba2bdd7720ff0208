#include "tests/unit/unit.h"

#include <unistd.h>

#include "libcommon/log.h"

/* Runs with standard error in a pipe; gives what was written. */
static char captured[65536];

static void capture(void (*fn)(void))
{
    int ends[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    fn();
    dup2(saved, STDERR_FILENO);
    close(ends[1]);
    close(saved);
    ssize_t len = read(ends[0], captured, sizeof captured - 1);
    captured[len > 0 ? len : 0] = '\0';
    close(ends[0]);
}

static void write_hostile(void)
{
    log_info("event", LOG_S("text", "a\nfake line \"x\" \x1b[31m"), LOG_I("n", -7),
             LOG_S("none", NULL), LOG_S("plain", "abc/def"));
    log_debug("hidden");
}

static void test_text_form(void **state)
{
    (void)state;
    log_setup("test", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    capture(write_hostile);
    assert_non_null(strstr(captured, " info    test event text=\"a\\u000afake line \\\"x\\\" "
                                     "\\u001b[31m\" n=-7 none=\"\" plain=abc/def\n"));
    assert_null(strstr(captured, "hidden"));
    assert_ptr_equal(strchr(captured, '\n'), captured + strlen(captured) - 1);
}

static void test_json_form(void **state)
{
    (void)state;
    log_setup("test", LOG_LEVEL_DEBUG, LOG_FORMAT_JSON);
    capture(write_hostile);
    assert_non_null(strstr(captured, "\"level\":\"info\",\"service\":\"test\",\"event\":\"event\","
                                     "\"text\":\"a\\u000afake"));
    assert_non_null(strstr(captured, "\"n\":-7"));
    assert_non_null(strstr(captured, "hidden"));
}

static char long_value[100000];

static void write_long(void)
{
    log_info("event", LOG_S("text", long_value));
}

static void test_long_values_are_cut(void **state)
{
    (void)state;
    memset(long_value, 'x', sizeof long_value - 1);
    log_setup("test", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    capture(write_long);
    assert_true(strlen(captured) < 4096);
    assert_non_null(strstr(captured, "…\"\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_form),
        cmocka_unit_test(test_json_form),
        cmocka_unit_test(test_long_values_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
