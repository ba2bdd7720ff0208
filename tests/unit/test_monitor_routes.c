/* The monitor's table of routes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "services/monitor/routes.h"

static enum route_match match(const char *method, const char *path, const struct route **ret_route,
                              char *ret_param, char *ret_allow)
{
    return routes_match(routes, route_count, method, path, ret_route, ret_param, ret_allow);
}

static void test_paths(void **state)
{
    static const struct {
        const char *method, *path, *pattern, *param;
    } good[] = {
        {"GET", "/", "/", ""},
        {"GET", "/pages/app.js", "/pages/**", ""},
        {"GET", "/api/jobs", "/api/jobs", ""},
        {"GET", "/api/jobs/a b", "/api/jobs/*", "a b"},
        {"POST", "/api/jobs/x/cancel", "/api/jobs/*/cancel", "x"},
        {"POST", "/api/worker/drain/worker@1", "/api/worker/drain/*", "worker@1"},
        {"POST", "/api/worker/shutdown/a/b", "/api/worker/**", ""},
        {"GET", "/api/task/info/1", "/api/task/info/*", "1"},
    };
    const struct route *route;
    char param[ROUTE_PARAM_MAX + 1], allow[ROUTE_ALLOW_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(match(good[i].method, good[i].path, &route, param, allow), ROUTE_FOUND);
        assert_string_equal(route->pattern, good[i].pattern);
        assert_string_equal(param, good[i].param);
    }
}

static void test_unknown_paths(void **state)
{
    static const char *const bad[] = {"",
                                      "/api",
                                      "/api/",
                                      "/api/jobs/",
                                      "/api/jobs/a/b",
                                      "//",
                                      "/apiX/jobs",
                                      "/api/jobs/a/cancel/b"};
    const struct route *route;
    char param[ROUTE_PARAM_MAX + 1], allow[ROUTE_ALLOW_SIZE], path[ROUTE_PARAM_MAX + 32] = "";
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(match("GET", bad[i], &route, param, allow), ROUTE_UNKNOWN);
    int len = snprintf(path, sizeof path, "/api/jobs/");
    memset(path + len, 'x', ROUTE_PARAM_MAX);
    assert_int_equal(match("GET", path, &route, param, allow), ROUTE_FOUND);
    path[len + ROUTE_PARAM_MAX] = 'x';
    assert_int_equal(match("GET", path, &route, param, allow), ROUTE_UNKNOWN);
}

static void test_other_methods(void **state)
{
    const struct route *route;
    char param[ROUTE_PARAM_MAX + 1], allow[ROUTE_ALLOW_SIZE];
    (void)state;
    assert_int_equal(match("POST", "/api/overview", &route, param, allow), ROUTE_WRONG_METHOD);
    assert_string_equal(allow, "GET, HEAD");
    assert_int_equal(match("GET", "/api/jobs/x/cancel", &route, param, allow), ROUTE_WRONG_METHOD);
    assert_string_equal(allow, "POST");
}

/* Never open by accident: who adds a route that is open has to say so here. */
static void test_what_is_open(void **state)
{
    static const char *const open[] = {
        "/pages/**", "/style/**",    "/vendor/**",   "/login",   "/login/google",
        "/logout",   "/api/session", "/healthcheck", "/metrics", "/auth/callback",
    };
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        size_t n = 0;
        while (n < sizeof open / sizeof *open && strcmp(open[n], routes[i].pattern) != 0)
            n++;
        assert_int_equal(routes[i].open, n < sizeof open / sizeof *open);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_unknown_paths),
        cmocka_unit_test(test_other_methods),
        cmocka_unit_test(test_what_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
