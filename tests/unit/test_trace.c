#include "tests/unit/unit.h"

#include "libcommon/trace.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

static void test_traceparent_is_read_and_written(void **state)
{
    (void)state;
    struct trace trace;
    char text[TRACE_PARENT_SIZE], id[TRACE_ID_SIZE];
    assert_true(trace_parse("00-" TRACE "-" SPAN "-01", &trace));
    assert_true(trace.sampled);
    assert_int_equal(trace.trace_id[0], 0x0a);
    assert_int_equal(trace.span_id[7], 0x31);
    trace_format(&trace, text);
    assert_string_equal(text, "00-" TRACE "-" SPAN "-01");
    trace_id_format(&trace, id);
    assert_string_equal(id, TRACE);
    assert_true(trace_parse("00-" TRACE "-" SPAN "-00", &trace));
    assert_false(trace.sampled);
    trace_format(&trace, text);
    assert_string_equal(text, "00-" TRACE "-" SPAN "-00");
    assert_true(trace_parse("00-" TRACE "-" SPAN "-fe", &trace));
    assert_false(trace.sampled);
}

static void test_later_versions(void **state)
{
    (void)state;
    struct trace trace;
    assert_true(trace_parse("cc-" TRACE "-" SPAN "-01", &trace));
    assert_true(trace_parse("cc-" TRACE "-" SPAN "-01-what-the-future", &trace));
    assert_false(trace_parse("cc-" TRACE "-" SPAN "-01.what", &trace));
    assert_false(trace_parse("ff-" TRACE "-" SPAN "-01", &trace));
}

static void test_what_does_not_fit_changes_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "00",
        "00-" TRACE "-" SPAN,
        "00-" TRACE "-" SPAN "-",
        "00-" TRACE "-" SPAN "-0",
        "00-" TRACE "-" SPAN "-1g",
        "00-" TRACE "-" SPAN "-01-",
        "00-" TRACE "-" SPAN "-01 ",
        " 00-" TRACE "-" SPAN "-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
        "0x-" TRACE "-" SPAN "-01",
        "00_" TRACE "-" SPAN "-01",
        "00-" TRACE "_" SPAN "-01",
        "00-" TRACE "-" SPAN "_01",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct trace trace = {.span_id = {7}};
        assert_false(trace_parse(bad[i], &trace));
        assert_int_equal(trace.span_id[0], 7);
    }
    struct trace trace;
    assert_false(trace_parse(NULL, &trace));
}

static void test_tracestate(void **state)
{
    (void)state;
    char many[TRACE_STATE_MAX + 10] = "";
    assert_true(trace_state_is_good("congo=t61rcWkgMzE"));
    assert_true(trace_state_is_good("rojo=00f067aa0ba902b7, congo=t61rcWkgMzE,,a@b=c d"));
    assert_false(trace_state_is_good(NULL));
    assert_false(trace_state_is_good(""));
    assert_false(trace_state_is_good(",,"));
    assert_false(trace_state_is_good("Congo=x"));
    assert_false(trace_state_is_good("congo"));
    assert_false(trace_state_is_good("congo=a=b"));
    assert_false(trace_state_is_good("congo=\x01"));
    assert_false(trace_state_is_good("congo=\xc3\xa4"));
    for (int i = 0; i < 32; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "k%d=v,", i);
    assert_true(trace_state_is_good(many));
    strcat(many, "x=y");
    assert_false(trace_state_is_good(many));
    memset(many, 'a', sizeof many - 1);
    many[1] = '=';
    assert_false(trace_state_is_good(many));
}

static void test_a_request_id_may_name_a_trace(void **state)
{
    (void)state;
    struct trace trace;
    char id[TRACE_ID_SIZE];
    assert_true(trace_from_request_id(TRACE, &trace));
    trace_id_format(&trace, id);
    assert_string_equal(id, TRACE);
    assert_false(trace.sampled);
    assert_true(trace_is_set(&trace));
    assert_false(trace_from_request_id("login-7", &trace));
    assert_false(trace_from_request_id(TRACE "0", &trace));
    assert_false(trace_from_request_id("00000000000000000000000000000000", &trace));
    trace = (struct trace){.sampled = false};
    trace_id_format(&trace, id);
    assert_string_equal(id, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traceparent_is_read_and_written),
        cmocka_unit_test(test_later_versions),
        cmocka_unit_test(test_what_does_not_fit_changes_nothing),
        cmocka_unit_test(test_tracestate),
        cmocka_unit_test(test_a_request_id_may_name_a_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
