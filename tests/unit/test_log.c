#include "tests/unit/unit.h"

#include <unistd.h>

#include "libcommon/js.h"
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

static void write_not_utf8(void)
{
    char cut[2100];
    memset(cut, 'x', sizeof cut);
    memcpy(cut + 2047, "\xe2\x82\xac", 4); /* a character across the limit */
    log_info("event", LOG_S("bad", "a\xff\xc3(\xed\xa0\x80\xf4\x90\x80\x80z"), LOG_S("cut", cut),
             LOG_S("bidi", "\xe2\x80\xae!\xc2\x85"), LOG_S("good", "\xc3\xa4\xf0\x9f\x98\x80"));
}

/* Whatever a model, a tool or a client says, each line can be read by a machine. */
static void test_json_is_json_always(void **state)
{
    (void)state;
    json_t *line = NULL;
    log_setup("test", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    capture(write_not_utf8);
    size_t len = strlen(captured);
    assert_int_equal(captured[len - 1], '\n');
    assert_int_equal(js_parse(captured, len - 1, &line, NULL), ERR_OK);
    const char *bad = js_str(line, "bad", "");
    assert_int_equal(strncmp(bad, "a\xef\xbf\xbd\xef\xbf\xbd(", 8), 0);
    assert_int_equal(bad[strlen(bad) - 1], 'z');
    assert_string_equal(js_str(line, "good", ""), "\xc3\xa4\xf0\x9f\x98\x80");
    assert_non_null(strstr(captured, "\\u202e!\\u0085"));
    json_decref(line);
}

static void write_many_long(void)
{
    memset(long_value, 1, sizeof long_value - 1); /* each is six characters when escaped */
    struct log_field fields[41];
    for (int i = 0; i < 40; i++)
        fields[i] = LOG_S("text", long_value);
    fields[40] = (struct log_field){.key = NULL};
    log_write(LOG_LEVEL_INFO, "event", fields);
}

static void test_a_line_that_is_too_long_keeps_its_event(void **state)
{
    (void)state;
    json_t *line = NULL;
    log_setup("test", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    capture(write_many_long);
    assert_int_equal(js_parse(captured, strlen(captured) - 1, &line, NULL), ERR_OK);
    assert_string_equal(js_str(line, "event", ""), "event");
    json_decref(line);
}

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
        cmocka_unit_test(test_json_is_json_always),
        cmocka_unit_test(test_long_values_are_cut),
        cmocka_unit_test(test_a_line_that_is_too_long_keeps_its_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
