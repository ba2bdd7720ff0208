#include "tests/unit/unit.h"

#include "libcommon/zone.h"

static void names(void **state)
{
    (void)state;
    assert_true(zone_is_known("UTC"));
    assert_true(zone_is_known("Europe/Berlin"));
    assert_true(zone_is_known("America/Argentina/Buenos_Aires"));
    static const char *const bad[] = {"",
                                      "Europe/Nowhere",
                                      "Europe",
                                      "Europe/",
                                      "/etc/passwd",
                                      "../../../etc/passwd",
                                      "Europe/../Europe/Berlin",
                                      "CET-1\n",
                                      ":UTC",
                                      "tzdata.zi"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(zone_is_known(bad[i]));
}

static void expect(const char *zone, struct tm local, const char *expected)
{
    int64_t seconds;
    char text[ZONE_TEXT_SIZE];
    local.tm_year -= 1900;
    local.tm_mon -= 1;
    assert_int_equal(zone_to_utc(zone, &local, &seconds), ERR_OK);
    assert_int_equal(zone_format(zone, seconds, text), ERR_OK);
    assert_string_equal(text, expected);
}

static void clocks(void **state)
{
    (void)state;
    setenv("TZ", "Asia/Tokyo", 1);
    expect("UTC", (struct tm){.tm_year = 2025, .tm_mon = 1, .tm_mday = 31, .tm_hour = 9},
           "2025-01-31T09:00:00Z");
    expect("Europe/Berlin", (struct tm){.tm_year = 2025, .tm_mon = 1, .tm_mday = 31, .tm_hour = 9},
           "2025-01-31T09:00:00+01:00");
    expect("Europe/Berlin", (struct tm){.tm_year = 2045, .tm_mon = 7, .tm_mday = 1, .tm_hour = 9},
           "2045-07-01T09:00:00+02:00");
    expect("America/St_Johns",
           (struct tm){.tm_year = 2025, .tm_mon = 1, .tm_mday = 31, .tm_hour = 9},
           "2025-01-31T09:00:00-03:30");
    /* The hour that the change of the clock skips. */
    expect("Europe/Berlin",
           (struct tm){.tm_year = 2025, .tm_mon = 3, .tm_mday = 30, .tm_hour = 2, .tm_min = 30},
           "2025-03-30T03:30:00+02:00");
    assert_string_equal(getenv("TZ"), "Asia/Tokyo");
    int64_t untouched = 7;
    struct tm tm = {0};
    assert_int_equal(zone_to_utc("Nowhere", &tm, &untouched), ERR_NOT_FOUND);
    assert_int_equal(untouched, 7);
    unsetenv("TZ");
    assert_int_equal(zone_from_utc("Europe/Berlin", 0, &tm), ERR_OK);
    assert_int_equal(tm.tm_gmtoff, 3600);
    assert_null(getenv("TZ"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names), cmocka_unit_test(clocks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
