#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "libcommon/metrics.h"
#include "libcommon/service_health.h"
#include "tests/unit/http_ask.h"

struct fixture {
    struct loop *loop;
    struct service_health *health;
    const char *problem;
    int asked;
    struct http_ask client;
};

static const char *find_problem(void *arg)
{
    struct fixture *f = arg;
    f->asked++;
    return f->problem;
}

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){.loop = loop_new()};
    struct service_health_options options = {
        .loop = f.loop, .address = "127.0.0.1", .problem = find_problem, .arg = &f};
    assert_int_equal(service_health_new(&options, &f.health), ERR_OK);
    f.client = (struct http_ask){.loop = f.loop, .port = service_health_port(f.health)};
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    service_health_destroy(&f->health);
    service_health_destroy(&f->health);
    loop_destroy(&f->loop);
    return 0;
}

static const char *ask(struct fixture *f, const char *line)
{
    return http_ask(&f->client, line, NULL);
}

static void assert_says(const char *answer, const char *status, const char *text)
{
    assert_non_null(strstr(answer, status));
    assert_non_null(strstr(answer, text));
}

static void test_alive_whatever_is_wrong(void **state)
{
    struct fixture *f = *state;
    f->problem = "no broker is connected";
    assert_says(ask(f, "GET /healthz"), "HTTP/1.1 200 ", "alive");
    assert_int_equal(f->asked, 0);
}

static void test_ready_and_not(void **state)
{
    struct fixture *f = *state;
    assert_says(ask(f, "GET /readyz"), "HTTP/1.1 200 ", "{\"status\": \"ready\"}");
    f->problem = "no broker is connected";
    assert_says(ask(f, "GET /readyz"), "HTTP/1.1 503 ",
                "{\"status\": \"not ready\", \"detail\": \"no broker is connected\"}");
    f->problem = NULL;
    assert_says(ask(f, "GET /readyz?verbose=1"), "HTTP/1.1 200 ", "no-store");
    assert_int_equal(f->asked, 3);
}

static void test_metrics(void **state)
{
    struct fixture *f = *state;
    metric_add(metric_counter("mcpbus_things_total", NULL, "Things."), 3);
    assert_says(ask(f, "GET /metrics"), "HTTP/1.1 200 ", "mcpbus_things_total 3");
}

static void test_nothing_else(void **state)
{
    struct fixture *f = *state;
    assert_says(ask(f, "GET /"), "HTTP/1.1 404 ", "Not Found");
    assert_says(ask(f, "GET /readyz/"), "HTTP/1.1 404 ", "Not Found");
    assert_says(ask(f, "DELETE /readyz"), "HTTP/1.1 405 ", "Not Allowed");
    assert_int_equal(f->asked, 0);
}

static void test_port_is_taken(void **state)
{
    struct fixture *f = *state;
    struct service_health *other = NULL;
    struct service_health_options options = {.loop = f->loop,
                                             .address = "127.0.0.1",
                                             .port = service_health_port(f->health),
                                             .problem = find_problem,
                                             .arg = f};
    assert_int_equal(service_health_new(&options, &other), ERR_CONFLICT);
    options.address = "localhost";
    assert_int_equal(service_health_new(&options, &other), ERR_INTERNAL);
    assert_null(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_alive_whatever_is_wrong, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ready_and_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_metrics, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_else, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_port_is_taken, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
