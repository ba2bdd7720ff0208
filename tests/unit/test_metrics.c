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

static void add_seven(void *arg)
{
    metric_set(arg, 7);
}

static const char *written(void)
{
    static char copy[400000];
    struct buf out;
    buf_init(&out, sizeof copy - 1);
    metrics_write(&out);
    assert_false(out.full);
    snprintf(copy, sizeof copy, "%s", buf_text(&out));
    buf_fini(&out);
    return copy;
}

static void test_what_is_looked_at_when_it_is_written(void **state)
{
    (void)state;
    struct metric *gauge = metric_gauge("t_looked_at", NULL, "Looked at.");
    metrics_on_write(add_seven, gauge);
    assert_non_null(strstr(written(), "\nt_looked_at 7\n"));
    metrics_off_write(add_seven, gauge);
    metric_set(gauge, 3);
    assert_non_null(strstr(written(), "\nt_looked_at 3\n"));
    metric_set_seconds(metric_counter("t_cpu_seconds_total", NULL, "Time."), 1.25);
    assert_non_null(strstr(written(), "\nt_cpu_seconds_total 1.250000\n"));
}

static void test_families_are_bounded(void **state)
{
    (void)state;
    static struct metric_set set;
    static char names[200][16];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 200; i++) {
            snprintf(names[i], sizeof names[i], "v%d", i);
            metric_add(
                metric_counter_by(&set, names[i], "t_family_total", "label", names[i], "Of."), 1);
        }
    const char *text = written();
    assert_non_null(strstr(text, "\nt_family_total{label=\"v0\"} 2\n"));
    assert_non_null(strstr(text, "\nt_family_total{label=\"v95\"} 2\n"));
    assert_null(strstr(text, "label=\"v96\""));
    assert_non_null(strstr(text, "\nt_family_total{label=\"other\"} 208\n"));
}

static void test_table_is_bounded(void **state)
{
    (void)state;
    static char names[2200][16];
    for (int i = 0; i < 2200; i++) {
        snprintf(names[i], sizeof names[i], "m%d", i);
        metric_add(metric_counter(names[i], NULL, "Many."), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_form),
        cmocka_unit_test(test_what_is_looked_at_when_it_is_written),
        cmocka_unit_test(test_families_are_bounded),
        cmocka_unit_test(test_table_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
