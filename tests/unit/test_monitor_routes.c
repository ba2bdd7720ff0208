/* The monitor's table of routes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "services/monitor/routes.h"

static void test_paths(void **state)
{
    static const struct {
        const char *method, *path, *pattern, *param;
    } good[] = {
        {"GET", "/", "/", ""},
        {"GET", "/pages/app.js", "/pages/**", ""},
        {"GET", "/api/jobs", "/api/jobs", ""},
        {"GET", "/api/jobs/a b", "/api/jobs/{id}", "a b"},
        {"POST", "/api/jobs/x/cancel", "/api/jobs/{id}/cancel", "x"},
        {"POST", "/api/worker/drain/worker@1", "/api/worker/drain/{id}", "worker@1"},
        {"POST", "/api/worker/shutdown/a/b", "/api/worker/**", ""},
        {"GET", "/api/task/info/1", "/api/task/info/{id}", "1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char param[HTTP_PARAM_MAX + 1], allow[HTTP_ALLOW_SIZE];
        size_t row;
        assert_int_equal(
            http_routes_match(&route_table, good[i].method, good[i].path, &row, param, allow),
            HTTP_ROUTE_FOUND);
        assert_string_equal(routes[row].http.pattern, good[i].pattern);
        assert_string_equal(param, good[i].param);
    }
}

/* Never open by accident: who adds a route that is open has to say so here. */
static void test_what_is_open(void **state)
{
    static const char *const open[] = {
        "/pages/**", "/style/**",    "/vendor/**",   "/login",   "/login/google",
        "/logout",   "/api/session", "/healthcheck", "/metrics", "/auth/callback",
    };
    (void)state;
    for (size_t i = 0; i < route_table.count; i++) {
        size_t n = 0;
        while (n < sizeof open / sizeof *open && strcmp(open[n], routes[i].http.pattern) != 0)
            n++;
        assert_int_equal(routes[i].open, n < sizeof open / sizeof *open);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_what_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
