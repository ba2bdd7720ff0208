/* Brokers' names: numbers are told from names, names become numbers. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/bus_resolve.h"

struct heard {
    bool done;
    char address[BUS_ADDRESS_SIZE];
};

static void on_done(void *arg, const char *address)
{
    struct heard *heard = arg;
    assert_false(heard->done);
    heard->done = true;
    snprintf(heard->address, sizeof heard->address, "%s", address ? address : "");
}

static bool is_done(void *arg)
{
    return ((struct heard *)arg)->done;
}

static void look_up(const char *endpoint, unsigned turn, struct heard *ret_heard)
{
    struct loop *loop = loop_new();
    *ret_heard = (struct heard){0};
    struct bus_resolve *resolve = bus_resolve_begin(loop, endpoint, turn, on_done, ret_heard);
    assert_false(ret_heard->done);
    assert_true(loop_run_until(loop, is_done, ret_heard, 60000));
    bus_resolve_end(&resolve);
    bus_resolve_end(&resolve);
    loop_destroy(&loop);
}

static void test_numbers(void **state)
{
    (void)state;
    assert_true(bus_resolve_is_numeric("tcp://127.0.0.1:5550"));
    assert_true(bus_resolve_is_numeric("tcp://[::1]:5550"));
    assert_false(bus_resolve_is_numeric("tcp://localhost:5550"));
    assert_false(bus_resolve_is_numeric("tcp://1.2.3.4.example:5550"));
    assert_false(bus_resolve_is_numeric("tcp://10.1:5550"));
}

static void test_names(void **state)
{
    (void)state;
    struct heard heard;
    for (unsigned turn = 0; turn < 3; turn++) {
        look_up("tcp://localhost:5550", turn, &heard);
        assert_string_equal(heard.address, "tcp://127.0.0.1:5550");
    }
    look_up("tcp://-:5550", 0, &heard);
    assert_string_equal(heard.address, "");
    char endpoint[400];
    snprintf(endpoint, sizeof endpoint, "tcp://%0300d:1", 7);
    look_up(endpoint, 0, &heard);
    assert_string_equal(heard.address, "");
}

static void test_given_up(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct heard heard = {0};
    for (int i = 0; i < 20; i++) {
        struct bus_resolve *resolve =
            bus_resolve_begin(loop, "tcp://localhost:1", 0, on_done, &heard);
        bus_resolve_end(&resolve);
    }
    assert_false(loop_run_until(loop, is_done, &heard, 50));
    loop_destroy(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
