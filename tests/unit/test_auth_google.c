#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/auth/google.h"

static enum err read_tokens(const char *text, struct google_tokens *ret_tokens, json_t **ret_body)
{
    *ret_body = json_loads(text, 0, NULL);
    return google_read_tokens(*ret_body, ret_tokens);
}

static void token_answers_are_read(void **state)
{
    (void)state;
    struct google_tokens tokens;
    AUTOJSON json_t *body = NULL;
    assert_int_equal(read_tokens("{\"access_token\":\"ya29.a\",\"refresh_token\":\"1//r\","
                                 "\"expires_in\":3599,\"scope\":\"openid x\"}",
                                 &tokens, &body),
                     ERR_OK);
    assert_string_equal(tokens.access_token, "ya29.a");
    assert_string_equal(tokens.refresh_token, "1//r");
    assert_string_equal(tokens.scope, "openid x");
    assert_int_equal(tokens.expires_in, 3599);
    AUTOJSON json_t *bare = NULL;
    assert_int_equal(read_tokens("{\"access_token\":\"a\"}", &tokens, &bare), ERR_OK);
    assert_null(tokens.refresh_token);
    assert_null(tokens.scope);
    assert_int_equal(tokens.expires_in, 3600);
}

static void odd_token_answers_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}",
        "[]",
        "{\"access_token\":\"\"}",
        "{\"access_token\":7}",
        "{\"access_token\":\"a b\"}",
        "{\"access_token\":\"a\\r\\nX-Evil: 1\"}",
        "{\"access_token\":\"é\"}",
        "{\"access_token\":\"a\",\"expires_in\":-1}",
        "{\"access_token\":\"a\",\"expires_in\":1e300}",
        "{\"access_token\":\"a\",\"refresh_token\":\"\"}",
        "{\"access_token\":\"a\",\"refresh_token\":\"r\\n\"}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct google_tokens tokens;
        AUTOJSON json_t *body = NULL;
        assert_int_equal(read_tokens(bad[i], &tokens, &body), ERR_UPSTREAM);
    }
}

static void profiles_are_read_in_both_forms(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "{\"sub\":\"1\",\"email\":\"a@b.example\",\"email_verified\":true}",
        "{\"id\":\"1\",\"email\":\"a@b.example\",\"verified_email\":true}",
        "{\"sub\":\"1\",\"email\":\"a@b.example\",\"email_verified\":\"true\"}",
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        AUTOJSON json_t *body = json_loads(forms[i], 0, NULL), *profile = NULL;
        assert_int_equal(google_read_profile(body, &profile), ERR_OK);
        assert_string_equal(js_str(profile, "sub", ""), "1");
        assert_string_equal(js_str(profile, "email", ""), "a@b.example");
        assert_true(js_bool(profile, "email_verified", false));
    }
    static const char *const unverified[] = {"{\"sub\":\"1\",\"email\":\"a@b.example\"}",
                                             "{\"sub\":\"1\",\"email_verified\":false}",
                                             "{\"sub\":\"1\",\"email_verified\":\"false\"}"};
    for (size_t i = 0; i < sizeof(unverified) / sizeof(*unverified); i++) {
        AUTOJSON json_t *body = json_loads(unverified[i], 0, NULL), *profile = NULL;
        assert_int_equal(google_read_profile(body, &profile), ERR_OK);
        assert_false(js_bool(profile, "email_verified", true));
    }
}

static void a_profile_without_an_account_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"{}", "{\"sub\":\"\"}", "{\"sub\":7}",
                                      "{\"email\":\"a@b.example\"}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        AUTOJSON json_t *body = json_loads(bad[i], 0, NULL);
        json_t *profile = NULL;
        assert_int_equal(google_read_profile(body, &profile), ERR_UPSTREAM);
        assert_null(profile);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_answers_are_read),
        cmocka_unit_test(odd_token_answers_are_refused),
        cmocka_unit_test(profiles_are_read_in_both_forms),
        cmocka_unit_test(a_profile_without_an_account_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
