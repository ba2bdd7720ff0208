#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "services/jobs/error_groups.h"

static void expect(const char *text, const char *want)
{
    char got[ERROR_TEXT_SIZE];
    error_groups_text(text, got);
    assert_string_equal(got, want);
}

static void what_differs_each_time_is_alike(void **state)
{
    (void)state;
    expect("", "");
    expect("The job timed out.", "The job timed out.");
    expect("HTTP 503 from 10.1.2.3:8443", "HTTP # from #.#.#.#:#");
    expect("lost 20 times, 3 left", "lost # times, # left");
    expect("job 0192f0c1-7b1e-7000-8000-0123456789ab is gone", "job # is gone");
    expect("call_x7Fa0 failed", "# failed");
    expect("the model gpt4 said no", "the model gpt# said no");
    expect("a wait of 1.5s", "a wait of #.#s");
    expect("no tool \"drive_read\" here", "no tool \"…\" here");
    expect("no tool 'drive_read', 'x'", "no tool '…', '…'");
    expect("no tool `a` and “b c”", "no tool `…` and “…”");
    expect("it doesn't, can't 'x'", "it doesn't, can't '…'");
    expect("an open \"quote", "an open \"quote");
    expect("two\n\tlines\x7f and \x01 more\n", "two lines and more");
    expect("größer als 12 €", "größer als # €");
}

static void a_long_text_is_cut_between_characters(void **state)
{
    (void)state;
    char text[4000] = "", got[ERROR_TEXT_SIZE];
    for (int shift = 0; shift < 4; shift++) {
        memset(text, 'x', (size_t)shift);
        text[shift] = '\0';
        for (size_t at = (size_t)shift; at < sizeof text - 8; at += strlen("€"))
            snprintf(text + at, sizeof text - at, "€");
        error_groups_text(text, got);
        assert_true(js_is_utf8(got, strlen(got)));
        assert_in_range(strlen(got), ERROR_TEXT_SIZE - 4, ERROR_TEXT_SIZE - 1);
    }
}

static json_t *group(const json_t *result, size_t index)
{
    return json_array_get(json_object_get(result, "errors"), index);
}

static void groups_tell_how_often_whom_and_when(void **state)
{
    (void)state;
    static const struct store_failure failures[] = {
        {"j5", "alice", "HTTP 503", "2026-01-05"},
        {"j4", "bob", "no \"x\"", "2026-01-04"},
        {"j3", "bob", "HTTP 500", "2026-01-03"},
        {"j2", "alice", "HTTP 7", "2026-01-02"},
        {"j1", "carol", NULL, NULL},
    };
    AUTOJSON json_t *result = error_groups_json(failures, 5);
    assert_int_equal(js_int(result, "looked_at", 0), 5);
    assert_int_equal(json_array_size(json_object_get(result, "errors")), 3);
    const json_t *http = group(result, 0), *none = group(result, 2);
    assert_string_equal(js_str(http, "error", ""), "HTTP #");
    assert_string_equal(js_str(http, "example", ""), "HTTP 503");
    assert_int_equal(js_int(http, "count", 0), 3);
    assert_int_equal(js_int(http, "users", 0), 2);
    assert_string_equal(js_str(http, "first_at", ""), "2026-01-02");
    assert_string_equal(js_str(http, "last_at", ""), "2026-01-05");
    assert_string_equal(js_str(http, "job_id", ""), "j5");
    assert_string_equal(js_str(group(result, 1), "error", ""), "no \"…\"");
    assert_string_equal(js_str(none, "example", "?"), "");
    assert_true(json_is_null(json_object_get(none, "last_at")));
    AUTOJSON json_t *empty = error_groups_json(NULL, 0);
    assert_int_equal(json_array_size(json_object_get(empty, "errors")), 0);
}

static void groups_are_not_without_end(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    static struct store_failure failures[COUNT];
    static char texts[COUNT][8];
    for (int i = 0; i < COUNT; i++) {
        snprintf(texts[i], sizeof texts[i], "%c%c%c", 'a' + i % 26, 'a' + i / 26 % 26,
                 'a' + i / 676);
        failures[i] = (struct store_failure){"j", "u", texts[i], "2026"};
    }
    AUTOJSON json_t *result = error_groups_json(failures, COUNT);
    assert_int_equal(json_array_size(json_object_get(result, "errors")), ERROR_GROUPS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_differs_each_time_is_alike),
        cmocka_unit_test(a_long_text_is_cut_between_characters),
        cmocka_unit_test(groups_tell_how_often_whom_and_when),
        cmocka_unit_test(groups_are_not_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
