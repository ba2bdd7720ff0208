#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "services/jobs/stats.h"

static void buckets_are_narrow_and_follow_each_other(void **state)
{
    (void)state;
    assert_int_equal(stats_bucket(-5), 0);
    assert_int_equal(stats_bucket(0), 0);
    assert_int_equal(stats_bucket(STATS_FIRST_US - 1), 0);
    assert_int_equal(stats_bucket(STATS_FIRST_US), 1);
    assert_int_equal(stats_bucket(INT64_MAX), STATS_BUCKETS - 1);
    size_t last = 0;
    for (int64_t us = 0; us < (int64_t)1 << 42; us += 1 + us / 97) {
        size_t bucket = stats_bucket(us);
        assert_true(bucket >= last && bucket <= last + 1);
        last = bucket;
        if (bucket == 0 || bucket == STATS_BUCKETS - 1)
            continue;
        double begin = stats_bucket_begin(bucket), end = stats_bucket_begin(bucket + 1);
        /* An edge is rounded to 16 bits. */
        assert_true((double)us >= begin * 0.9999 && (double)us < end * 1.0001);
        assert_true(end < begin * 1.2);
    }
    assert_int_equal(last, STATS_BUCKETS - 1);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void near(double value, int64_t want_us)
{
    double want = (double)want_us / 1000;
    if (value < want / 1.2 || value > want * 1.2)
        fail_msg("%f is not within a fifth of %f", value, want);
}

static void percentiles_are_within_a_fifth(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    static int64_t values[COUNT];
    static struct stats_times times;
    uint64_t random = 88172645463325252U;
    for (int round = 0; round < 20; round++) {
        memset(&times, 0, sizeof times);
        for (int i = 0; i < COUNT; i++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            values[i] = 100 + (int64_t)(random % (UINT64_C(1) << (random >> 58) % 36));
            stats_time(&times, values[i]);
        }
        qsort(values, COUNT, sizeof *values, compare);
        near(stats_percentile(&times, 0.5), values[COUNT / 2 - 1]);
        near(stats_percentile(&times, 0.95), values[COUNT * 95 / 100 - 1]);
        near(stats_percentile(&times, 0.99), values[COUNT * 99 / 100 - 1]);
    }
}

static void nothing_has_no_percentile(void **state)
{
    (void)state;
    struct stats_times times = {0};
    assert_true(stats_times_empty(&times));
    assert_true(stats_percentile(&times, 0.5) == 0);
    stats_time(&times, -1);
    assert_true(stats_times_empty(&times));
    stats_time(&times, 0);
    assert_false(stats_times_empty(&times));
    assert_true(stats_percentile(&times, 0.99) == 0);
}

static void one_job_is_all_percentiles(void **state)
{
    (void)state;
    struct stats_times times = {0};
    stats_time(&times, 250000);
    near(stats_percentile(&times, 0.5), 250000);
    near(stats_percentile(&times, 0.99), 250000);
    memset(&times, 0, sizeof times);
    stats_time(&times, INT64_MAX);
    assert_true(stats_percentile(&times, 0.5) > 20.0 * 24 * 3600 * 1000);
}

static void histograms_travel_as_text(void **state)
{
    (void)state;
    struct stats_times times = {0}, back;
    struct buf text;
    buf_init(&text, 4096);
    stats_times_write(&times, &text);
    assert_string_equal(buf_text(&text), "{}");
    stats_times_read(&back, buf_text(&text));
    assert_memory_equal(&times, &back, sizeof times);
    times.n[0] = 3;
    times.n[7] = INT64_MAX;
    buf_reset(&text);
    stats_times_write(&times, &text);
    assert_string_equal(buf_text(&text), "{3,0,0,0,0,0,0,9223372036854775807}");
    stats_times_read(&back, buf_text(&text));
    assert_memory_equal(&times, &back, sizeof times);
    times.n[STATS_BUCKETS - 1] = 1;
    buf_reset(&text);
    stats_times_write(&times, &text);
    stats_times_read(&back, buf_text(&text));
    assert_memory_equal(&times, &back, sizeof times);
    buf_fini(&text);
}

static void what_is_no_histogram_is_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "{", "}", "{}", "x", "{-5}", "{99999999999999999999}", "{NULL}", "{,,}", NULL};
    struct stats_times times;
    for (size_t i = 0; texts[i]; i++) {
        stats_times_read(&times, texts[i]);
        assert_true(stats_times_empty(&times));
    }
    stats_times_read(&times, NULL);
    assert_true(stats_times_empty(&times));
    char many[1000] = "";
    for (size_t i = 0; i < sizeof many - 1; i++)
        many[i] = i % 2 ? '1' : i ? ',' : '{';
    stats_times_read(&times, many);
    assert_int_equal(times.n[STATS_BUCKETS - 1], 1);
}

static struct stats_used used_of(const char *text)
{
    AUTOJSON json_t *usage = NULL;
    assert_int_equal(js_parse(text, strlen(text), &usage, NULL), ERR_OK);
    return stats_used_of(usage);
}

static void usage_is_believed_within_reason(void **state)
{
    (void)state;
    struct stats_used used =
        used_of("{\"input_tokens\": 12, \"output_tokens\": 30, \"cost\": 0.001234}");
    assert_int_equal(used.input_tokens, 12);
    assert_int_equal(used.output_tokens, 30);
    assert_int_equal(used.cost_micro, 1234);
    used = used_of("{\"input_tokens\": -12, \"output_tokens\": \"7\", \"cost\": -1}");
    assert_int_equal(used.input_tokens + used.output_tokens + used.cost_micro, 0);
    used = used_of("{\"input_tokens\": 9223372036854775807, \"cost\": 1e300}");
    assert_int_equal(used.input_tokens, (int64_t)1 << 40);
    assert_int_equal(used.cost_micro, 1000000000000);
    used = used_of("[1, 2]");
    assert_int_equal(used.input_tokens + used.output_tokens + used.cost_micro, 0);
    used = stats_used_of(NULL);
    assert_int_equal(used.input_tokens + used.output_tokens + used.cost_micro, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_are_narrow_and_follow_each_other),
        cmocka_unit_test(percentiles_are_within_a_fifth),
        cmocka_unit_test(nothing_has_no_percentile),
        cmocka_unit_test(one_job_is_all_percentiles),
        cmocka_unit_test(histograms_travel_as_text),
        cmocka_unit_test(what_is_no_histogram_is_nothing),
        cmocka_unit_test(usage_is_believed_within_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
