#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "services/gateway/routes.h"

static char param[ROUTE_PARAM_MAX + 1], allow[ROUTE_ALLOW_SIZE];
static const struct route *route;

static enum route_match match(const char *method, const char *path)
{
    return routes_match(routes, route_count, method, path, &route, param, allow);
}

static void found(const char *method, const char *path, const char *pattern, const char *value)
{
    assert_int_equal(match(method, path), ROUTE_FOUND);
    assert_string_equal(route->pattern, pattern);
    assert_string_equal(param, value);
}

static void test_found(void **state)
{
    (void)state;
    found("GET", "/", "/", "");
    found("GET", "/health", "/health", "");
    found("GET", "/result/abc", "/result/{job_id}", "abc");
    found("GET", "/jobs", "/jobs", "");
    found("GET", "/jobs/x-1/events", "/jobs/{job_id}/events", "x-1");
    found("POST", "/jobs/x-1/cancel", "/jobs/{job_id}/cancel", "x-1");
    found("PATCH", "/chat", "/chat/**", "");
    found("POST", "/chat/", "/chat/**", "");
    found("GET", "/chat/a/b", "/chat/**", "");
}

static void test_unknown(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/nope",    "/result", "/result/",        "/result/a/b", "/jobs/", "/jobs//events",
        "/health/", "//",      "/jobs/a/events/", "/chatter",    "*",      "/Health"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
        if (match("GET", paths[i]) != ROUTE_UNKNOWN)
            fail_msg("%s is known", paths[i]);
    char path[ROUTE_PARAM_MAX + 16] = "/result/";
    memset(path + 8, 'x', ROUTE_PARAM_MAX + 1);
    assert_int_equal(match("GET", path), ROUTE_UNKNOWN);
    path[8 + ROUTE_PARAM_MAX] = '\0';
    assert_int_equal(match("GET", path), ROUTE_FOUND);
}

static void test_wrong_method(void **state)
{
    (void)state;
    assert_int_equal(match("PUT", "/me"), ROUTE_WRONG_METHOD);
    assert_string_equal(allow, "GET, HEAD, DELETE");
    assert_int_equal(match("GET", "/run"), ROUTE_WRONG_METHOD);
    assert_string_equal(allow, "POST");
    assert_int_equal(match("get", "/jobs/a/cancel"), ROUTE_WRONG_METHOD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_wrong_method),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
