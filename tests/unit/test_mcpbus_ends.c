/* libmcpbus: how services, clients and processes end, and what is left of them. */
#include "tests/unit/mcpbus_fixture.h"

#include <sys/wait.h>

/* ---- ends ---------------------------------------------------------------------------------- */

static void *answer_later(void *request)
{
    struct mcpbus_request *one = request;
    mcpbus_request_sleep(one, 50);
    mcpbus_reply(&one, NULL, 0);
    return NULL;
}

static void test_service_ends_without_losing_a_request(void **state)
{
    (void)state;
    struct seen seen = {0};
    pthread_t thread;
    call_async(&seen, "weather.keep");
    assert_int_equal(pthread_create(&thread, NULL, answer_later, take_kept()), 0);
    assert_int_equal(mcpbus_service_close(&world.service, WAIT_MS), MCPBUS_OK);
    assert_null(world.service);
    pthread_join(thread, NULL);
    wait_for(is_set, &seen.done);
    assert_int_equal(seen.status, MCPBUS_OK);
    assert_int_equal(mcpbus_service_close(&world.service, WAIT_MS), MCPBUS_OK);
}

static void test_service_ends_in_time(void **state)
{
    (void)state;
    struct seen seen = {0};
    call_async(&seen, "weather.keep");
    struct mcpbus_request *request = take_kept();
    assert_int_equal(mcpbus_service_close(&world.service, 50), MCPBUS_ERR_TIMEOUT);
    wait_for(is_set, &seen.done);
    assert_int_equal(seen.status, MCPBUS_ERR_PEER_LOST);
    assert_true(mcpbus_request_cancelled(request));
    assert_int_equal(mcpbus_reply_part(request, NULL, 0), MCPBUS_ERR_CANCELLED);
    assert_int_equal(mcpbus_reply(&request, NULL, 0), MCPBUS_ERR_CANCELLED);
}

/* Calls that may not be repeated, while one of two replicas ends: each is answered. */
static void test_service_ends_under_load(void **state)
{
    (void)state;
    enum { CALLS = 2000, CLOSE_AT = 1000 };
    static struct seen seen[CALLS];
    memset(seen, 0, sizeof seen);
    struct mcpbus *second = open_client((struct mcpbus_options){0});
    struct mcpbus_service *replica = NULL;
    struct mcpbus_service_options options = {.size = sizeof options,
                                             .name = "weather",
                                             .methods = methods,
                                             .method_count = 1,
                                             .arg = &world};
    assert_int_equal(mcpbus_serve(second, &options, &replica, NULL), MCPBUS_OK);
    assert_int_equal(mcpbus_service_wait(replica, WAIT_MS, NULL), MCPBUS_OK);
    for (int i = 0; i < CALLS; i++) {
        call_async(&seen[i], "weather.echo");
        if (i == CLOSE_AT)
            assert_int_equal(mcpbus_service_close(&replica, WAIT_MS), MCPBUS_OK);
    }
    for (int i = 0; i < CALLS; i++) {
        wait_for(is_set, &seen[i].done);
        assert_int_equal(seen[i].status, MCPBUS_OK);
    }
    mcpbus_close(&second);
}

static enum mcpbus_status serve_keep(struct mcpbus *client, const char *name,
                                     struct mcpbus_service **ret_service)
{
    struct mcpbus_service_options options = {.size = sizeof options,
                                             .name = name,
                                             .methods = &methods[1],
                                             .method_count = 1,
                                             .arg = &world};
    enum mcpbus_status status = mcpbus_serve(client, &options, ret_service, NULL);
    return status ? status : mcpbus_service_wait(*ret_service, WAIT_MS, NULL);
}

static bool is_gone(void *name)
{
    char instance[1][MCPBUS_INSTANCE_SIZE];
    return mcpbus_peers(world.client, name, instance, 1) == 0;
}

static void *close_service(void *service)
{
    struct mcpbus_service *one = service;
    return (void *)(intptr_t)mcpbus_service_close(&one, HOUR_MS);
}

static void *close_client(void *client)
{
    struct mcpbus *one = client;
    return (void *)(intptr_t)mcpbus_close(&one);
}

/* The end of one service, closed before, does not take away the time of the other. */
static void test_client_ends_with_a_service_that_ends(void **state)
{
    (void)state;
    enum { SECOND_MS = 1000 }; /* that a client's end gives its services */
    struct seen rain = {0}, snow = {0};
    pthread_t service_thread, client_thread;
    struct mcpbus *second = open_client((struct mcpbus_options){0});
    struct mcpbus_service *raining = NULL, *snowing = NULL;
    assert_int_equal(serve_keep(second, "rain", &raining), MCPBUS_OK);
    assert_int_equal(serve_keep(second, "snow", &snowing), MCPBUS_OK);
    call_async(&rain, "rain.keep");
    struct mcpbus_request *first = take_kept();
    call_async(&snow, "snow.keep");
    struct mcpbus_request *other = take_kept();
    assert_int_equal(pthread_create(&service_thread, NULL, close_service, raining), 0);
    wait_for(is_gone, "rain");
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    assert_int_equal(pthread_create(&client_thread, NULL, close_client, second), 0);
    wait_for(is_gone, "snow");
    mcpbus_reply(&first, NULL, 0);
    wait_for(is_set, &rain.done);
    usleep(50 * 1000); /* the first service ends */
    mcpbus_reply(&other, NULL, 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    pthread_join(service_thread, NULL);
    pthread_join(client_thread, NULL);
    wait_for(is_set, &snow.done);
    assert_int_equal(rain.status, MCPBUS_OK);
    if ((end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000 <
        SECOND_MS / 2)
        assert_int_equal(snow.status, MCPBUS_OK);
}

static void test_client_ends_under_who_closes_a_service(void **state)
{
    (void)state;
    struct seen seen = {0};
    pthread_t thread;
    void *status = NULL;
    struct mcpbus *second = open_client((struct mcpbus_options){0});
    struct mcpbus_service *service = NULL;
    assert_int_equal(serve_keep(second, "rain", &service), MCPBUS_OK);
    call_async(&seen, "rain.keep");
    struct mcpbus_request *request = take_kept();
    assert_int_equal(pthread_create(&thread, NULL, close_service, service), 0);
    wait_for(is_gone, "rain");
    assert_int_equal(mcpbus_close(&second), MCPBUS_OK);
    pthread_join(thread, &status);
    assert_int_equal((intptr_t)status, MCPBUS_ERR_TIMEOUT);
    wait_for(is_set, &seen.done);
    assert_int_equal(seen.status, MCPBUS_ERR_PEER_LOST);
    assert_int_equal(mcpbus_reply(&request, NULL, 0), MCPBUS_ERR_CANCELLED);
}

static void call_again(void *arg, const struct mcpbus_answer *answer)
{
    struct seen *seen = arg;
    assert_int_equal(answer->error->status, MCPBUS_ERR_CANCELLED);
    seen->inner = mcpbus_call_async(world.client, "weather.keep", NULL, 0, &patient, call_again,
                                    seen, NULL, NULL);
    atomic_fetch_add(&seen->parts, 1);
}

/* Whoever calls again whenever a call fails does not keep a client from its end. */
static void test_client_ends_under_who_calls_again(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct mcpbus *client = world.client;
    assert_int_equal(mcpbus_call_async(world.client, "weather.keep", NULL, 0, &patient, call_again,
                                       &seen, NULL, NULL),
                     MCPBUS_OK);
    struct mcpbus_request *request = take_kept();
    assert_int_equal(mcpbus_close(&client), MCPBUS_OK);
    world.client = NULL;
    assert_int_equal(atomic_load(&seen.parts), 1);
    assert_int_equal(seen.inner, MCPBUS_ERR_CLOSED);
    assert_int_equal(mcpbus_reply(&request, NULL, 0), MCPBUS_ERR_CANCELLED);
}

static void *call_into_the_end(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)mcpbus_call(world.client, "weather.keep", NULL, 0, &patient, NULL,
                                         NULL, NULL);
}

static void test_client_ends_under_those_who_wait(void **state)
{
    (void)state;
    pthread_t thread;
    void *status = NULL;
    struct mcpbus *client = world.client;
    struct mcpbus_stream *stream = open_stream("weather.echo", 0);
    assert_int_equal(mcpbus_stream_next(stream, -1, NULL, NULL, NULL, NULL), MCPBUS_OK);
    assert_int_equal(pthread_create(&thread, NULL, call_into_the_end, NULL), 0);
    struct mcpbus_request *request = take_kept();
    assert_int_equal(mcpbus_close(&client), MCPBUS_OK);
    world.client = NULL;
    pthread_join(thread, &status);
    assert_int_equal((intptr_t)status, MCPBUS_ERR_CANCELLED);
    assert_true(mcpbus_request_cancelled(request));
    assert_int_equal(mcpbus_reply(&request, NULL, 0), MCPBUS_ERR_CANCELLED);
    assert_int_equal(mcpbus_stream_next(stream, -1, NULL, NULL, NULL, NULL), MCPBUS_ERR_CLOSED);
    mcpbus_stream_close(&stream);
}

struct count {
    const char *path;
    size_t expected;
};

static bool has_entries(void *arg)
{
    const struct count *count = arg;
    return entries(count->path) <= count->expected;
}

/* The broker, in this process, sees a little later that they have gone. */
static void test_nothing_is_left(void **state)
{
    (void)state;
    struct count descriptors = {"/proc/self/fd", entries("/proc/self/fd")};
    struct count threads = {"/proc/self/task", entries("/proc/self/task")};
    for (int i = 0; i < 3; i++) {
        struct mcpbus *client = open_client((struct mcpbus_options){.name = "brief"});
        struct mcpbus_service *service = NULL;
        struct mcpbus_service_options options = {
            .size = sizeof options, .name = "brief", .methods = methods, .method_count = 1};
        assert_int_equal(mcpbus_serve(client, &options, &service, NULL), MCPBUS_OK);
        assert_int_equal(mcpbus_close(&client), MCPBUS_OK);
    }
    wait_for(has_entries, &descriptors);
    wait_for(has_entries, &threads);
}

static void test_child_of_fork(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        bool refused =
            mcpbus_call(world.client, "weather.echo", NULL, 0, NULL, NULL, NULL, NULL) ==
                MCPBUS_ERR_MISUSE &&
            mcpbus_send(world.client, "weather.note", NULL, 0, NULL) == MCPBUS_ERR_MISUSE &&
            mcpbus_overview(world.client) == NULL &&
            mcpbus_close(&world.client) == MCPBUS_ERR_MISUSE && world.client == NULL;
        _exit(refused ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(call("weather.echo", "{}", NULL), MCPBUS_OK);
}

static atomic_int signals_seen;

static void on_signal(int signo)
{
    (void)signo;
    atomic_fetch_add(&signals_seen, 1);
}

/* With the signal blocked here it stays pending: no thread of the library takes it. */
static void test_signals_are_the_programs(void **state)
{
    (void)state;
    sigset_t set, pending;
    signal(SIGUSR1, on_signal);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    struct mcpbus *client = open_client((struct mcpbus_options){0});
    assert_int_equal(mcpbus_wait(client, NULL, WAIT_MS, NULL), MCPBUS_OK);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGUSR1);
    assert_int_equal(call("weather.echo", "{}", NULL), MCPBUS_OK);
    sigpending(&pending);
    assert_true(sigismember(&pending, SIGUSR1));
    assert_int_equal(atomic_load(&signals_seen), 0);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    assert_int_equal(atomic_load(&signals_seen), 1);
    mcpbus_close(&client);
    signal(SIGUSR1, SIG_DFL);
}

static enum mcpbus_status try_open(struct mcpbus_options options)
{
    struct mcpbus *client = NULL;
    struct mcpbus_error error = {0};
    enum mcpbus_status status = mcpbus_open(&options, &client, &error);
    assert_true(status ? !client && *error.detail : client != NULL);
    mcpbus_close(&client);
    return status;
}

static void test_options(void **state)
{
    (void)state;
    const struct mcpbus_options good = {
        .size = sizeof good, .brokers = "tcp://127.0.0.1:1", .plain = true};
    struct mcpbus_options bad = good;
    assert_int_equal(try_open(good), MCPBUS_OK);
    bad.size = 0;
    assert_int_equal(try_open(bad), MCPBUS_ERR_INVALID);
    bad = good;
    bad.brokers = "127.0.0.1:5550";
    assert_int_equal(try_open(bad), MCPBUS_ERR_INVALID);
    bad = good;
    bad.plain = false;
    assert_int_equal(try_open(bad), MCPBUS_ERR_INVALID);
    bad = good;
    bad.brokers = "tcp://192.0.2.1:5550"; /* plain goes no farther than loopback */
    assert_int_equal(try_open(bad), MCPBUS_ERR_INVALID);
    bad = good;
    bad.plain = false;
    bad.keys = "/nonexistent";
    assert_int_equal(try_open(bad), MCPBUS_ERR_SYSTEM);
    bad = good;
    bad.max_calls = 1000000;
    assert_int_equal(try_open(bad), MCPBUS_ERR_INVALID);
    bad = good;
    bad.timeout_ms = -1;
    assert_int_equal(try_open(bad), MCPBUS_ERR_INVALID);
    assert_string_equal(mcpbus_status_name(MCPBUS_ERR_NO_SERVICE), "NO_SERVICE");
    assert_string_equal(mcpbus_status_name((enum mcpbus_status)299), "UNKNOWN");
    assert_int_equal(mcpbus_status_group((enum mcpbus_status)299), MCPBUS_GROUP_UNKNOWN);
}

static void test_broker_ends_under_a_request(void **state)
{
    (void)state;
    struct seen seen = {0};
    call_async(&seen, "weather.keep");
    struct mcpbus_request *request = take_kept();
    assert_false(mcpbus_request_cancelled(request));
    end_broker();
    assert_true(mcpbus_request_sleep(request, WAIT_MS));
    assert_int_equal(mcpbus_reply(&request, NULL, 0), MCPBUS_ERR_CANCELLED);
    wait_for(is_set, &seen.done);
    assert_int_equal(seen.status, MCPBUS_ERR_PEER_LOST);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_service_ends_without_losing_a_request),
        TEST(test_service_ends_in_time),
        TEST(test_service_ends_under_load),
        TEST(test_broker_ends_under_a_request),
        TEST(test_client_ends_with_a_service_that_ends),
        TEST(test_client_ends_under_who_closes_a_service),
        TEST(test_client_ends_under_who_calls_again),
        TEST(test_client_ends_under_those_who_wait),
        TEST(test_nothing_is_left),
        TEST(test_child_of_fork),
        TEST(test_signals_are_the_programs),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
