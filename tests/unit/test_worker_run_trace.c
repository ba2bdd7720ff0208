#include "tests/unit/unit.h"

#include "libcommon/buf.h"
#include "libcommon/metrics.h"
#include "services/worker/run_trace.h"

static char text[1 << 20];

static const char *written(void)
{
    struct buf out;
    buf_init(&out, sizeof text - 1);
    metrics_write(&out);
    assert_false(out.full);
    snprintf(text, sizeof text, "%s", buf_text(&out));
    buf_fini(&out);
    return text;
}

static void call_tool(struct run_trace *trace, const char *server, json_int_t ms)
{
    json_t *call = json_pack("{s:s, s:s, s:s}", "id", "c1", "name", "t", "server", server);
    json_t *result = json_pack("{s:s, s:s, s:I}", "id", "c1", "name", "t", "duration_ms", ms);
    run_trace_event(trace, "job", "tool_call", call);
    run_trace_event(trace, "job", "tool_result", result);
    json_decref(call);
    json_decref(result);
}

static void numbers_of_strangers_are_bounded(void **state)
{
    (void)state;
    struct run_trace trace;
    json_t *run = json_object();
    run_trace_begin(&trace, run);
    for (int i = 0; i < 3; i++)
        call_tool(&trace, "files", INT64_MAX);
    call_tool(&trace, "files", -5000);
    json_t *answer = json_pack("{s:{s:I, s:I}}", "usage", "input_tokens", (json_int_t)INT64_MAX,
                               "output_tokens", (json_int_t)-7);
    for (int i = 0; i < 3; i++)
        run_trace_answer(&trace, "job", answer);
    written();
    assert_non_null(strstr(text, "\nmcpbus_model_tokens_total{direction=\"input\"} 3221225472\n"));
    assert_non_null(strstr(text, "\nmcpbus_model_tokens_total{direction=\"output\"} 0\n"));
    assert_non_null(strstr(text, "_seconds_sum{server=\"files\"} 259200.000000\n"));
    json_decref(answer);
    json_decref(run);
    run_trace_fini(&trace);
}

static void servers_in_metrics_are_bounded(void **state)
{
    (void)state;
    struct run_trace trace;
    json_t *run = json_object();
    char name[32];
    run_trace_begin(&trace, run);
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "made-up-%d", i);
        call_tool(&trace, name, 1);
    }
    call_tool(&trace, "a\"b\n", 1);
    call_tool(&trace, "files", 1);
    written();
    assert_null(strstr(text, "made-up-64\""));
    assert_null(strstr(text, "a\""));
    assert_non_null(strstr(text, "_seconds_count{server=\"files\"}"));
    assert_non_null(strstr(text, "_seconds_count{server=\"other\"}"));
    json_decref(run);
    run_trace_fini(&trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_strangers_are_bounded),
        cmocka_unit_test(servers_in_metrics_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
