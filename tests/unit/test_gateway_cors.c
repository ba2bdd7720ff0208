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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
