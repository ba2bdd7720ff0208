/* Days and times, busy times. */
#include "tests/unit/unit.h"

#include "libcommon/mem.h"
#include "services/google/calendar_busy.h"
#include "services/google/when.h"

static void expect(const char *text, enum when_kind kind, const char *expected)
{
    struct when when;
    assert_int_equal(when_parse(text, &when), ERR_OK);
    assert_int_equal(when.kind, kind);
    assert_string_equal(when.text, expected);
}

static void times_are_read(void **state)
{
    (void)state;
    struct when when;
    expect("2025-01-31", WHEN_DAY, "2025-01-31");
    expect("0025-01-31 09:00", WHEN_LOCAL, "0025-01-31T09:00:00");
    expect(" 2024-02-29 ", WHEN_DAY, "2024-02-29");
    expect("2025-01-31T09:00:00", WHEN_LOCAL, "2025-01-31T09:00:00");
    expect("2025-01-31 09:00", WHEN_LOCAL, "2025-01-31T09:00:00");
    expect("2025-01-31T09:00:00.250", WHEN_LOCAL, "2025-01-31T09:00:00");
    expect("2025-01-31T09:00:00Z", WHEN_MOMENT, "2025-01-31T09:00:00Z");
    expect("2025-01-31t09:00z", WHEN_MOMENT, "2025-01-31T09:00:00Z");
    expect("2025-01-31T09:00:00+01:00", WHEN_MOMENT, "2025-01-31T09:00:00+01:00");
    expect("2025-01-31T09:00:00-0330", WHEN_MOMENT, "2025-01-31T09:00:00-03:30");
    expect("2025-01-31T09:00:00+05", WHEN_MOMENT, "2025-01-31T09:00:00+05:00");
    expect("2025-01-31T09:00:00.5+00:00", WHEN_MOMENT, "2025-01-31T09:00:00Z");
    assert_int_equal(when_parse("1970-01-01T01:00:01+01:00", &when), ERR_OK);
    assert_int_equal(when.ms, 1000);
    assert_int_equal(when_parse("2025-12-31T23:30:00-01:00", &when), ERR_OK);
    assert_int_equal(when.ms, INT64_C(1767227400000));
}

static void nonsense_is_no_time(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "today",
                                      "2025-02-29",
                                      "2025-13-01",
                                      "2025-00-10",
                                      "2025-01-32",
                                      "2025-1-1",
                                      "0000-01-01",
                                      "20250131",
                                      "2025-01-31T",
                                      "2025-01-31T24:00:00",
                                      "2025-01-31T09",
                                      "2025-01-31T09:60",
                                      "2025-01-31T09:00:60",
                                      "2025-01-31T09:00:00+25:00",
                                      "2025-01-31T09:00:00+1:00",
                                      "2025-01-31T09:00:00+01:00x",
                                      "2025-01-31T09:00:00.",
                                      "2025-01-31T09:00:00ZZ",
                                      "2025-01-31x",
                                      "2025-01-31T09:00:00 CET",
                                      "2025-01-31 ' or '1",
                                      "-025-01-31",
                                      NULL};
    struct when untouched = {.ms = 7};
    for (int i = 0; bad[i]; i++) {
        assert_int_equal(when_parse(bad[i], &untouched), ERR_INVALID);
        assert_int_equal(untouched.ms, 7);
    }
}

static void the_day_after(void **state)
{
    (void)state;
    static const char *const days[][2] = {
        {"2024-02-28", "2024-02-29"}, {"2025-02-28", "2025-03-01"}, {"2025-12-31", "2026-01-01"}};
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        struct when day, next;
        assert_int_equal(when_parse(days[i][0], &day), ERR_OK);
        when_next_day(&day, &next);
        assert_string_equal(next.text, days[i][1]);
    }
}

static void check(const struct spans *spans, const int64_t *expected, size_t count)
{
    assert_int_equal(spans->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(spans->list[i].start, expected[2 * i]);
        assert_int_equal(spans->list[i].end, expected[2 * i + 1]);
    }
}

static void busy_and_free(void **state)
{
    (void)state;
    AUTOFREE struct spans *busy = mem_alloc(sizeof *busy);
    AUTOFREE struct spans *gaps = mem_alloc(sizeof *gaps);
    spans_gaps(busy, 0, 100, gaps);
    check(gaps, (int64_t[]){0, 100}, 1);
    spans_add(busy, 50, 60, 0, 100);
    spans_add(busy, -10, 10, 0, 100);
    spans_add(busy, 60, 70, 0, 100);
    spans_add(busy, 52, 55, 0, 100);
    spans_add(busy, 90, 200, 0, 100);
    spans_add(busy, 200, 300, 0, 100);
    spans_add(busy, 20, 20, 0, 100);
    spans_merge(busy);
    check(busy, (int64_t[]){0, 10, 50, 70, 90, 100}, 3);
    spans_gaps(busy, 0, 100, gaps);
    check(gaps, (int64_t[]){10, 50, 70, 90}, 2);
    busy->count = 0;
    spans_add(busy, 0, 100, 0, 100);
    spans_gaps(busy, 0, 100, gaps);
    check(gaps, NULL, 0);
}

static void no_more_spans_than_there_is_room_for(void **state)
{
    (void)state;
    AUTOFREE struct spans *busy = mem_alloc(sizeof *busy);
    for (int64_t i = 0; i <= SPANS_MAX; i++)
        spans_add(busy, 2 * i, 2 * i + 1, 0, INT64_MAX);
    assert_int_equal(busy->count, SPANS_MAX);
    assert_true(busy->full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(nonsense_is_no_time),
        cmocka_unit_test(the_day_after),
        cmocka_unit_test(busy_and_free),
        cmocka_unit_test(no_more_spans_than_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
