#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "services/gateway/cors.h"

static void test_any(void **state)
{
    (void)state;
    struct cors *cors = cors_new("*");
    assert_string_equal(cors_allow(cors, "https://a.example"), "*");
    assert_false(cors_varies(cors));
    cors_destroy(&cors);
    cors_destroy(&cors);
}

static void test_list(void **state)
{
    (void)state;
    struct cors *cors = cors_new(" https://a.example/, http://localhost:3000 ,,");
    assert_string_equal(cors_allow(cors, "https://a.example"), "https://a.example");
    assert_string_equal(cors_allow(cors, "http://localhost:3000"), "http://localhost:3000");
    assert_null(cors_allow(cors, "http://localhost"));
    assert_null(cors_allow(cors, "https://a.example.evil"));
    assert_null(cors_allow(cors, "null"));
    assert_null(cors_allow(cors, NULL));
    assert_true(cors_varies(cors));
    cors_destroy(&cors);
}

static void test_none(void **state)
{
    (void)state;
    struct cors *cors = cors_new("");
    assert_null(cors_allow(cors, ""));
    assert_null(cors_allow(cors, "https://a.example"));
    cors_destroy(&cors);
}

static void test_valid(void **state)
{
    (void)state;
    static const char *const good[] = {"*", "", "https://a.example",
                                       "https://a.example/, http://[::1]:3000,,null",
                                       "capacitor://localhost"};
    static const char *const bad[] = {
        "a.example",   "https://",     "https://a.example/path", "https://*.a.example",
        "https://a b", "https://a, x", "javascript:alert(1)",    "HTTPS//a"};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_true(cors_is_valid(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(cors_is_valid(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
