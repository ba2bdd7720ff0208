#include "tests/unit/unit.h"

#include "libcommon/metrics.h"

static void test_text_form(void **state)
{
    (void)state;
    metric_add(metric_counter("t_requests_total", "method=\"GET\"", "Requests."), 3);
    metric_set(metric_gauge("t_open", NULL, "Open."), 7);
    metric_add(metric_counter("t_requests_total", "method=\"PUT\"", "Requests."), 1);
    metric_add(metric_counter("t_requests_total", "method=\"GET\"", "Requests."), 1);
    struct metric *h = metric_histogram("t_seconds", NULL, "Time.");
    metric_observe_ms(h, 3);
    metric_observe_ms(h, 1e9);
    struct buf out;
    buf_init(&out, 100000);
    metrics_write(&out);
    const char *text = buf_text(&out);
    const char *requests = strstr(text, "# HELP t_requests_total Requests.\n"
                                        "# TYPE t_requests_total counter\n"
                                        "t_requests_total{method=\"GET\"} 4\n"
                                        "t_requests_total{method=\"PUT\"} 1\n");
    assert_non_null(requests);
    assert_non_null(strstr(text, "t_open 7\n"));
    assert_non_null(strstr(text, "t_seconds_bucket{le=\"0.0025\"} 0\n"));
    assert_non_null(strstr(text, "t_seconds_bucket{le=\"0.005\"} 1\n"));
    assert_non_null(strstr(text, "t_seconds_bucket{le=\"+Inf\"} 2\n"));
    assert_non_null(strstr(text, "t_seconds_count 2\n"));
    buf_fini(&out);
}

static void test_table_is_bounded(void **state)
{
    (void)state;
    static char names[1100][16];
    for (int i = 0; i < 1100; i++) {
        snprintf(names[i], sizeof names[i], "m%d", i);
        metric_add(metric_counter(names[i], NULL, "Many."), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_form),
        cmocka_unit_test(test_table_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
