/* Who may call and serve what. */
#include "tests/unit/unit.h"

#include "services/broker/policy.h"

static struct bus_cert cert(enum proto_role role, const char *call, const char *serve)
{
    struct bus_cert one = {.role = role};
    snprintf(one.call, sizeof one.call, "%s", call);
    snprintf(one.serve, sizeof one.serve, "%s", serve);
    return one;
}

static bool may_call(enum proto_role role, const char *call, const char *service,
                     const char *method)
{
    struct bus_cert one = cert(role, call, "");
    return policy_may_call(&one, service, method);
}

static bool may_serve(enum proto_role role, const char *serve, const char *service)
{
    struct bus_cert one = cert(role, "", serve);
    return policy_may_serve(&one, service);
}

static void test_services_call_what_the_table_says(void **state)
{
    (void)state;
    assert_true(may_call(PROTO_ROLE_WORKER, "", "auth", "google_access"));
    assert_false(may_call(PROTO_ROLE_GATEWAY, "", "auth", "google_access"));
    assert_true(may_call(PROTO_ROLE_GATEWAY, "", "jobs", "submit"));
    assert_false(may_call(PROTO_ROLE_WORKER, "", "jobs", "submit"));
    assert_true(may_call(PROTO_ROLE_JOBS, "", "worker", "run"));
    assert_false(may_call(PROTO_ROLE_GATEWAY, "", "worker", "run"));
    assert_false(may_call(PROTO_ROLE_GATEWAY, "", "billing", "charge"));
    assert_false(may_call(PROTO_ROLE_GATEWAY, "", "jobs", "nothing"));
    assert_false(may_call(PROTO_ROLE_BROKER, "", "jobs", "health"));
}

static void test_admin_calls_everything_and_serves_nothing(void **state)
{
    (void)state;
    assert_true(may_call(PROTO_ROLE_ADMIN, "", "auth", "google_access"));
    assert_true(may_call(PROTO_ROLE_ADMIN, "", "billing", "charge"));
    assert_false(may_serve(PROTO_ROLE_ADMIN, "", "jobs"));
    assert_false(may_serve(PROTO_ROLE_ADMIN, "", "billing"));
}

static void test_clients(void **state)
{
    (void)state;
    assert_true(may_call(PROTO_ROLE_CLIENT, "", "jobs", "submit"));
    assert_false(may_call(PROTO_ROLE_CLIENT, "", "jobs", "finish"));
    assert_false(may_call(PROTO_ROLE_CLIENT, "", "billing", "charge"));
    assert_true(may_call(PROTO_ROLE_CLIENT, "billing.*,jobs.get", "billing", "charge"));
    assert_true(may_call(PROTO_ROLE_CLIENT, "billing.*,jobs.get", "jobs", "get"));
    assert_false(may_call(PROTO_ROLE_CLIENT, "billing.*,jobs.get", "jobs", "submit"));
    assert_false(may_call(PROTO_ROLE_WORKER, "jobs.submit", "jobs", "submit"));
}

static void test_who_serves(void **state)
{
    (void)state;
    for (int role = 0; role < PROTO_ROLE_COUNT; role++) {
        for (int other = 0; other < PROTO_ROLE_COUNT; other++) {
            const char *service = proto_role_name((enum proto_role)other);
            bool good = role == other && proto_role_serves((enum proto_role)role);
            assert_int_equal(may_serve((enum proto_role)role, service, service), good);
        }
    }
    assert_true(may_serve(PROTO_ROLE_CLIENT, "mail,billing", "billing"));
    assert_false(may_serve(PROTO_ROLE_CLIENT, "mail", "billing"));
    assert_false(may_serve(PROTO_ROLE_JOBS, "billing", "billing"));
}

static void test_a_broker_is_no_peer(void **state)
{
    (void)state;
    for (int role = 0; role < PROTO_ROLE_COUNT; role++) {
        struct bus_cert one = cert((enum proto_role)role, "", "");
        assert_int_equal(policy_may_connect(&one), role != PROTO_ROLE_BROKER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_services_call_what_the_table_says),
        cmocka_unit_test(test_admin_calls_everything_and_serves_nothing),
        cmocka_unit_test(test_clients),
        cmocka_unit_test(test_who_serves),
        cmocka_unit_test(test_a_broker_is_no_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
