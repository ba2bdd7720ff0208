#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/auth/scopes.h"

static json_t *json(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    return value;
}

static void names_have_urls(void **state)
{
    (void)state;
    assert_string_equal(scopes_url("gmail_full"), "https://www.googleapis.com/auth/gmail.modify");
    assert_null(scopes_url("gmail"));
    assert_null(scopes_url(""));
}

static void repeated_names_count_once(void **state)
{
    (void)state;
    AUTOJSON json_t *names = json("[\"drive\",\"documents\",\"drive\"]"), *checked = NULL;
    char *why = NULL;
    assert_int_equal(scopes_check(names, &checked, &why), ERR_OK);
    AUTOFREE char *text = js_dump(checked);
    assert_string_equal(text, "[\"drive\",\"documents\"]");
}

static void an_empty_list_is_fine(void **state)
{
    (void)state;
    AUTOJSON json_t *names = json("[]"), *checked = NULL;
    char *why = NULL;
    assert_int_equal(scopes_check(names, &checked, &why), ERR_OK);
    assert_int_equal(json_array_size(checked), 0);
}

static void assert_refused(const char *names_text, const char *want)
{
    AUTOJSON json_t *names = json(names_text);
    json_t *checked = NULL;
    AUTOFREE char *why = NULL;
    assert_int_equal(scopes_check(names, &checked, &why), ERR_INVALID);
    assert_null(checked);
    assert_string_equal(why, want);
}

static void unknown_names_are_named(void **state)
{
    (void)state;
    assert_refused("[\"drive\",\"nope\",\"x y\"]", "Invalid scopes: ['nope', 'x?y']");
    assert_refused("[\"a'],<b>\\n\"]", "Invalid scopes: ['a?],<b>?']");
    assert_refused("[1]", "Invalid scopes: ['']");
    assert_refused("\"drive\"", "scopes must be a list of at most 64 names");
}

static void a_flood_of_names_is_bounded(void **state)
{
    (void)state;
    AUTOJSON json_t *names = json_array();
    for (int i = 0; i < 64; i++)
        json_array_append_new(names, json_string("an-unknown-name-of-some-length"));
    json_t *checked = NULL;
    AUTOFREE char *why = NULL;
    assert_int_equal(scopes_check(names, &checked, &why), ERR_INVALID);
    assert_true(strlen(why) < 1024);
    json_array_append_new(names, json_string("drive"));
    free(why);
    assert_int_equal(scopes_check(names, &checked, &why), ERR_INVALID);
}

static void identity_is_always_asked_for(void **state)
{
    (void)state;
    AUTOJSON json_t *names = json("[\"drive\",\"calendar_events\"]"), *none = json("[]");
    AUTOFREE char *text = scopes_request(names), *bare = scopes_request(none);
    assert_string_equal(text, "openid email profile https://www.googleapis.com/auth/drive "
                              "https://www.googleapis.com/auth/calendar.events");
    assert_string_equal(bare, "openid email profile");
}

static void assert_granted(const char *names_text, const char *granted_text, const char *want)
{
    AUTOJSON json_t *names = json(names_text), *granted = json(granted_text);
    AUTOJSON json_t *urls = scopes_granted(names, granted);
    AUTOFREE char *text = js_dump(urls);
    assert_string_equal(text, want);
}

static void only_what_was_asked_and_granted_counts(void **state)
{
    (void)state;
#define G "https://www.googleapis.com/auth/"
    assert_granted("[\"drive\",\"documents\"]", "\"openid " G "drive " G "gmail.modify\"",
                   "[\"" G "drive\"]");
    assert_granted("[\"drive\"]", "\"" G "drive.file\"", "[]");
    assert_granted("[\"gmail_readonly\"]", "[\"" G "gmail.readonly\",\"" G "drive\",7]",
                   "[\"" G "gmail.readonly\"]");
    assert_granted("[\"" G "drive\",\"drive\"]", "[\"" G "drive\"]", "[\"" G "drive\"]");
    assert_granted("[\"openid\"]", "[\"openid\"]", "[]");
    assert_granted("null", "null", "[]");
    assert_granted("[\"drive\"]", "{}", "[]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_have_urls),
        cmocka_unit_test(repeated_names_count_once),
        cmocka_unit_test(an_empty_list_is_fine),
        cmocka_unit_test(unknown_names_are_named),
        cmocka_unit_test(a_flood_of_names_is_bounded),
        cmocka_unit_test(identity_is_always_asked_for),
        cmocka_unit_test(only_what_was_asked_and_granted_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
