/* What the monitor makes of the bus's answers: rates, percentiles, Flower's forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "libcommon/js.h"
#include "services/monitor/shapes.h"

static json_t *parse(const char *text)
{
    json_t *value = NULL;
    assert_int_equal(js_parse(text, strlen(text), &value, NULL), ERR_OK);
    return value;
}

static double real(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static void test_rates_are_of_the_last_minute(void **state)
{
    (void)state;
    AUTOJSON json_t *points =
        parse("[{\"at\":930,\"submitted\":1000,\"completed\":1000},"
              "{\"at\":940,\"submitted\":12,\"completed\":6,\"failed\":1},"
              "{\"at\":1000,\"submitted\":52,\"completed\":10,\"failed\":0}]");
    AUTOJSON json_t *rates = shape_rates(points, 1004);
    assert_float_equal(real(rates, "submitted"), 1.0, 1e-9);
    assert_float_equal(real(rates, "completed"), 0.25, 1e-9);
    assert_float_equal(real(rates, "failed"), 0.016, 1e-9);
    AUTOJSON json_t *none = shape_rates(NULL, 1004);
    assert_float_equal(real(none, "submitted"), 0, 1e-9);
}

static json_int_t latency(const char *points, const char *name, const char *key)
{
    AUTOJSON json_t *list = parse(points);
    AUTOJSON json_t *all = shape_latency(list);
    return js_int(json_object_get(all, name), key, -1);
}

static void test_one_point_s_percentiles_stay(void **state)
{
    (void)state;
    const char *one = "[{\"completed\":5,\"wait\":{\"p50\":10,\"p95\":40.2,\"p99\":90},"
                      "\"run\":null,\"total\":{\"p50\":7,\"p95\":7,\"p99\":7}}]";
    assert_int_equal(latency(one, "wait", "p50"), 10);
    assert_int_equal(latency(one, "wait", "p95"), 40);
    assert_int_equal(latency(one, "wait", "p99"), 90);
    assert_int_equal(latency(one, "total", "p50"), 7);
    assert_int_equal(latency(one, "total", "p99"), 7);
    assert_int_equal(latency(one, "run", "p50"), -1);
    assert_int_equal(latency("[]", "total", "p50"), -1);
    const char *absurd = "[{\"at\":1,\"wait\":{\"p50\":1,\"p95\":2e23,\"p99\":3}}]";
    assert_true(latency(absurd, "wait", "p99") >= latency(absurd, "wait", "p50"));
    assert_true(latency(absurd, "wait", "p50") >= 0);
}

static void test_points_count_by_their_jobs(void **state)
{
    (void)state;
    const char *points = "[{\"completed\":900,\"total\":{\"p50\":100,\"p95\":100,\"p99\":100}},"
                         "{\"failed\":100,\"total\":{\"p50\":5000,\"p95\":5000,\"p99\":5000}}]";
    json_int_t p50 = latency(points, "total", "p50"), p95 = latency(points, "total", "p95");
    assert_in_range(p50, 50, 101);
    assert_in_range(p95, 101, 5000);
    assert_int_equal(latency(points, "total", "p99"), 5000);
}

static void test_bad_points_do_no_harm(void **state)
{
    (void)state;
    const char *bad = "[{\"completed\":-5,\"total\":{\"p50\":50,\"p95\":-1,\"p99\":\"x\"}},"
                      "{\"total\":7},{\"completed\":\"x\",\"total\":{}}]";
    assert_in_range(latency(bad, "total", "p99"), 0, 50);
}

static void test_times(void **state)
{
    (void)state;
    double seconds = -1;
    assert_true(shape_epoch("1970-01-02T00:00:01.250000Z", &seconds));
    assert_float_equal(seconds, 86401.25, 1e-6);
    assert_true(shape_epoch("1970-01-01T00:00:00Z", &seconds));
    assert_float_equal(seconds, 0, 1e-6);
    assert_false(shape_epoch("1970-01-01", &seconds));
    assert_false(shape_epoch("1970-01-01T00:00:00.1+02:00", &seconds));
    assert_false(shape_epoch("", &seconds));
    assert_false(shape_epoch(NULL, &seconds));
}

static void test_states(void **state)
{
    (void)state;
    assert_string_equal(shape_state("pending", 0), "PENDING");
    assert_string_equal(shape_state("pending", 2), "RETRY");
    assert_string_equal(shape_state("running", 1), "STARTED");
    assert_string_equal(shape_state("completed", 1), "SUCCESS");
    assert_string_equal(shape_state("failed", 1), "FAILURE");
    assert_string_equal(shape_state("cancelled", 0), "REVOKED");
    assert_true(shape_has_ended("failed"));
    assert_false(shape_has_ended("running"));
}

static void test_a_task(void **state)
{
    (void)state;
    AUTOJSON json_t *job = parse(
        "{\"job_id\":\"j\",\"user_id\":\"u\",\"status\":\"failed\",\"message\":\"say \\\"hi\\\"\","
        "\"error_message\":\"no\",\"created_at\":\"1970-01-01T00:00:10.000000Z\","
        "\"started_at\":\"1970-01-01T00:00:11.000000Z\","
        "\"updated_at\":\"1970-01-01T00:00:14.000000Z\","
        "\"completed_at\":\"1970-01-01T00:00:13.500000Z\",\"attempt\":3}");
    AUTOJSON json_t *task = shape_task(job, NULL);
    assert_string_equal(js_str(task, "uuid", ""), "j");
    assert_string_equal(js_str(task, "state", ""), "FAILURE");
    assert_string_equal(js_str(task, "args", ""), "[\"say \\\"hi\\\"\"]");
    assert_string_equal(js_str(task, "exception", ""), "no");
    assert_int_equal(js_int(task, "retries", 0), 2);
    assert_float_equal(real(task, "received"), 10, 1e-6);
    assert_float_equal(real(task, "failed"), 13.5, 1e-6);
    assert_float_equal(real(task, "runtime"), 2.5, 1e-6);
    assert_true(json_is_null(json_object_get(task, "succeeded")));
    assert_true(json_is_null(json_object_get(task, "worker")));
    AUTOJSON json_t *found = parse("{\"instance\":\"0123\",\"attempt\":1}");
    AUTOJSON json_t *running = shape_task(job, found);
    assert_string_equal(js_str(running, "worker", ""), "worker@0123");
    assert_int_equal(js_int(running, "retries", 9), 0);
    AUTOJSON json_t *empty = json_object();
    AUTOJSON json_t *nothing = shape_task(empty, NULL);
    assert_string_equal(js_str(nothing, "state", ""), "PENDING");
}

static void test_a_worker(void **state)
{
    (void)state;
    AUTOJSON json_t *worker =
        parse("{\"name\":\"worker@1\",\"capacity\":4,\"running\":1,\"draining\":false,\"pid\":12,"
              "\"memory_bytes\":2048,\"uptime_ms\":5000,\"reachable\":true}");
    AUTOJSON json_t *one = shape_worker(worker, 1.5);
    const json_t *stats = json_object_get(one, "stats");
    assert_int_equal(js_int(json_object_get(stats, "pool"), "max-concurrency", 0), 4);
    assert_int_equal(js_int(json_object_get(stats, "rusage"), "maxrss", 0), 2);
    assert_int_equal(js_int(stats, "uptime", 0), 5);
    assert_int_equal(js_int(one, "running", 0), 1);
    assert_int_equal(json_array_size(json_object_get(one, "active_queues")), 1);
    json_object_set_new(worker, "draining", json_true());
    AUTOJSON json_t *draining = shape_worker(worker, 1.5);
    assert_int_equal(json_array_size(json_object_get(draining, "active_queues")), 0);
    AUTOJSON json_t *empty = json_object();
    AUTOJSON json_t *nothing = shape_worker(empty, 0);
    assert_non_null(nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates_are_of_the_last_minute),
        cmocka_unit_test(test_one_point_s_percentiles_stay),
        cmocka_unit_test(test_points_count_by_their_jobs),
        cmocka_unit_test(test_bad_points_do_no_harm),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_a_task),
        cmocka_unit_test(test_a_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
