/* The gateway's table of routes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "services/gateway/routes.h"

static void found(const char *method, const char *path, const char *pattern, const char *value)
{
    char param[HTTP_PARAM_MAX + 1], allow[HTTP_ALLOW_SIZE];
    size_t row;
    assert_int_equal(http_routes_match(&route_table, method, path, &row, param, allow),
                     HTTP_ROUTE_FOUND);
    assert_string_equal(routes[row].http.pattern, pattern);
    assert_string_equal(param, value);
}

static void test_paths(void **state)
{
    (void)state;
    found("GET", "/", "/", "");
    found("GET", "/result/abc", "/result/{job_id}", "abc");
    found("GET", "/jobs", "/jobs", "");
    found("GET", "/jobs/x-1/events", "/jobs/{job_id}/events", "x-1");
    found("PATCH", "/chat", "/chat/**", "");
    found("GET", "/docs", "/docs/**", "");
    found("GET", "/app/style/a.css", "/app/**", "");
}

/* Never open by accident: who adds a route that needs no token has to say so here. */
static void test_what_is_open(void **state)
{
    static const char *const open[] = {"/",        "/health", "/metrics",     "/openapi.json",
                                       "/docs/**", "/app/**", "/auth/scopes", "/auth/callback",
                                       "/chat/**"};
    (void)state;
    for (size_t i = 0; i < route_table.count; i++) {
        size_t n = 0;
        while (n < sizeof(open) / sizeof(*open) && strcmp(open[n], routes[i].http.pattern) != 0)
            n++;
        assert_int_equal(routes[i].auth, n == sizeof(open) / sizeof(*open));
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
