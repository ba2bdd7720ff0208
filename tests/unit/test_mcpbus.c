/* libmcpbus against a real broker over TCP. */
#include "tests/unit/mcpbus_fixture.h"

#include <jansson.h>
#include <sys/wait.h>

/* ---- the service --------------------------------------------------------------------------- */

static void handle_echo(void *arg, struct mcpbus_request *request)
{
    size_t len = 0;
    const char *json = mcpbus_request_json(request, &len);
    assert_ptr_equal(arg, &world);
    assert_string_equal(mcpbus_request_method(request), "echo");
    assert_true(mcpbus_request_time_left(request) > 0);
    atomic_fetch_add(&world.handled, 1);
    assert_int_equal(mcpbus_reply(&request, json, len), MCPBUS_OK);
    assert_null(request);
}

static void handle_keep(void *arg, struct mcpbus_request *request)
{
    (void)arg;
    atomic_store(&world.kept_before, atomic_exchange(&world.kept, request));
}

static void handle_fail(void *arg, struct mcpbus_request *request)
{
    (void)arg;
    atomic_fetch_add(&world.handled, 1);
    mcpbus_reply_error(&request, MCPBUS_ERR_LIMITED, 1500, "not so fast");
}

static void handle_parts(void *arg, struct mcpbus_request *request)
{
    (void)arg;
    assert_int_equal(mcpbus_reply_part(request, "{\"n\":1}", MCPBUS_TEXT), MCPBUS_OK);
    assert_int_equal(mcpbus_reply_part(request, "{\"n\":2}", MCPBUS_TEXT), MCPBUS_OK);
    assert_int_equal(mcpbus_reply(&request, "{\"n\":3}", MCPBUS_TEXT), MCPBUS_OK);
}

static void handle_broken(void *arg, struct mcpbus_request *request)
{
    (void)arg;
    assert_int_equal(mcpbus_reply(&request, "[1]", MCPBUS_TEXT), MCPBUS_ERR_INVALID);
}

static void handle_note(void *arg, struct mcpbus_request *request)
{
    (void)arg;
    atomic_fetch_add(&world.one_way, 1);
    mcpbus_reply(&request, NULL, 0);
}

static const struct mcpbus_method methods[] = {{"echo", handle_echo},     {"keep", handle_keep},
                                               {"fail", handle_fail},     {"parts", handle_parts},
                                               {"broken", handle_broken}, {"note", handle_note}};

static int set_up(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    assert_int_equal(pthread_create(&world.broker_thread, NULL, run_broker, NULL), 0);
    wait_for(is_set, &world.up);
    world.client = open_client((struct mcpbus_options){0});
    struct mcpbus_service_options options = {.size = sizeof options,
                                             .name = "weather",
                                             .methods = methods,
                                             .method_count = sizeof methods / sizeof *methods,
                                             .arg = &world};
    assert_int_equal(mcpbus_serve(world.client, &options, &world.service, NULL), MCPBUS_OK);
    assert_int_equal(mcpbus_service_wait(world.service, WAIT_MS, NULL), MCPBUS_OK);
    assert_int_equal(mcpbus_wait(world.client, "weather", WAIT_MS, NULL), MCPBUS_OK);
    return 0;
}

static void answer_into_nowhere(struct mcpbus_request *request)
{
    if (request)
        assert_int_equal(mcpbus_reply(&request, NULL, 0), MCPBUS_ERR_CANCELLED);
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(mcpbus_close(&world.client), MCPBUS_OK);
    answer_into_nowhere(atomic_exchange(&world.kept, NULL));
    answer_into_nowhere(atomic_exchange(&world.kept_before, NULL));
    assert_null(world.client);
    assert_int_equal(mcpbus_close(&world.client), MCPBUS_OK);
    atomic_store(&world.stop, true);
    pthread_join(world.broker_thread, NULL);
    return 0;
}

/* ---- calls --------------------------------------------------------------------------------- */

static const struct mcpbus_call_options patient = {.size = sizeof patient, .timeout_ms = WAIT_MS};

static enum mcpbus_status call(const char *method, const char *json, struct mcpbus_error *error)
{
    char *result = NULL;
    enum mcpbus_status status =
        mcpbus_call(world.client, method, json, MCPBUS_TEXT, &patient, &result, NULL, error);
    mcpbus_free(result);
    return status;
}

static void test_call(void **state)
{
    (void)state;
    char *json = NULL;
    size_t len = 0;
    struct mcpbus_error error;
    assert_int_equal(mcpbus_call(world.client, "weather.echo", "{\"of\": [1.50, \"ü\"]}",
                                 MCPBUS_TEXT, &patient, &json, &len, &error),
                     MCPBUS_OK);
    assert_string_equal(json, "{\"of\": [1.50, \"ü\"]}");
    assert_int_equal(len, strlen(json));
    assert_int_equal(error.status, MCPBUS_OK);
    mcpbus_free(json);
    assert_int_equal(call("weather.echo", NULL, NULL), MCPBUS_OK);
}

static void test_errors(void **state)
{
    (void)state;
    struct mcpbus_error error;
    assert_int_equal(call("weather.fail", "{}", &error), MCPBUS_ERR_LIMITED);
    assert_int_equal(error.status, MCPBUS_ERR_LIMITED);
    assert_int_equal(error.group, MCPBUS_GROUP_NOT_EXECUTED);
    assert_true(error.retry);
    assert_int_equal(error.retry_after_ms, 1500);
    assert_string_equal(error.detail, "not so fast");
    assert_int_equal(atomic_load(&world.handled), 1);
    assert_int_equal(call("weather.storm", "{}", &error), MCPBUS_ERR_NOT_FOUND);
    assert_int_equal(error.group, MCPBUS_GROUP_EXECUTED);
    assert_false(error.retry);
    assert_int_equal(call("weather.broken", "{}", &error), MCPBUS_ERR_INTERNAL);
}

static void test_what_is_wrong_never_leaves(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "[]", "{", "{} x", "{\"a\":\"\xff\"}", "1"};
    struct mcpbus_error error;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        assert_int_equal(call("weather.echo", bodies[i], &error), MCPBUS_ERR_INVALID);
    assert_non_null(strstr(error.detail, "object"));
    assert_int_equal(call("weather", "{}", &error), MCPBUS_ERR_INVALID);
    assert_int_equal(call("weather@*.echo", "{}", &error), MCPBUS_ERR_INVALID);
    struct mcpbus_call_options options = {.size = sizeof options, .traceparent = "00-1"};
    assert_int_equal(
        mcpbus_call(world.client, "weather.echo", NULL, 0, &options, NULL, NULL, &error),
        MCPBUS_ERR_INVALID);
    char *big = malloc(MCPBUS_BODY_MAX + 3);
    memset(big, ' ', MCPBUS_BODY_MAX + 2);
    big[0] = '{';
    big[MCPBUS_BODY_MAX] = '}';
    big[MCPBUS_BODY_MAX + 1] = 0;
    assert_int_equal(call("weather.echo", big, &error), MCPBUS_ERR_TOO_LARGE);
    big[MCPBUS_BODY_MAX] = 0;
    big[MCPBUS_BODY_MAX - 1] = '}';
    assert_int_equal(call("weather.echo", big, &error), MCPBUS_OK);
    free(big);
    assert_int_equal(atomic_load(&world.handled), 1);
}

static void test_nobody_serves_it(void **state)
{
    (void)state;
    struct mcpbus_error error;
    struct mcpbus_call_options once = {
        .size = sizeof once, .timeout_ms = WAIT_MS, .max_repeats = -1};
    assert_int_equal(mcpbus_call(world.client, "nobody.echo", NULL, 0, &once, NULL, NULL, &error),
                     MCPBUS_ERR_NO_SERVICE);
    assert_true(error.retry);
    struct mcpbus_call_options briefly = {.size = sizeof briefly, .timeout_ms = 100};
    enum mcpbus_status status =
        mcpbus_call(world.client, "nobody.echo", NULL, 0, &briefly, NULL, NULL, &error);
    assert_true(status == MCPBUS_ERR_NO_SERVICE || status == MCPBUS_ERR_TIMEOUT);
    assert_int_equal(mcpbus_wait(world.client, "nobody", 10, &error), MCPBUS_ERR_TIMEOUT);
}

static void test_deadline_is_seen_by_the_service(void **state)
{
    (void)state;
    struct mcpbus_error error;
    struct mcpbus_call_options options = {.size = sizeof options, .timeout_ms = 200};
    assert_int_equal(
        mcpbus_call(world.client, "weather.keep", NULL, 0, &options, NULL, NULL, &error),
        MCPBUS_ERR_TIMEOUT);
    assert_int_equal(error.group, MCPBUS_GROUP_UNKNOWN);
    assert_false(error.retry); /* who knows whether it may be repeated? */
    struct mcpbus_request *request = take_kept();
    assert_true(mcpbus_request_sleep(request, WAIT_MS));
    assert_int_equal(mcpbus_request_time_left(request), 0);
    assert_int_equal(mcpbus_reply_part(request, "{}", 2), MCPBUS_ERR_CANCELLED);
    assert_int_equal(mcpbus_reply(&request, NULL, 0), MCPBUS_ERR_CANCELLED);
    assert_int_equal(call("weather.echo", "{}", NULL), MCPBUS_OK);
}

struct seen {
    atomic_int parts;
    atomic_bool done;
    enum mcpbus_status status, inner;
};

static void on_answer(void *arg, const struct mcpbus_answer *answer)
{
    struct seen *seen = arg;
    if (!answer->last) {
        atomic_fetch_add(&seen->parts, 1);
        return;
    }
    seen->status = answer->error->status;
    seen->inner = mcpbus_call(world.client, "weather.echo", NULL, 0, NULL, NULL, NULL, NULL);
    atomic_store(&seen->done, true);
}

static uint64_t call_async(struct seen *seen, const char *method)
{
    uint64_t id = 0;
    assert_int_equal(
        mcpbus_call_async(world.client, method, NULL, 0, &patient, on_answer, seen, &id, NULL),
        MCPBUS_OK);
    assert_true(id > 0);
    return id;
}

static void test_cancel(void **state)
{
    (void)state;
    struct seen seen = {0};
    uint64_t id = call_async(&seen, "weather.keep");
    struct mcpbus_request *request = take_kept();
    assert_false(mcpbus_request_cancelled(request));
    assert_false(mcpbus_request_sleep(request, 1));
    mcpbus_cancel(world.client, id);
    wait_for(is_set, &seen.done);
    assert_int_equal(seen.status, MCPBUS_ERR_CANCELLED);
    assert_true(mcpbus_request_sleep(request, WAIT_MS));
    mcpbus_cancel(world.client, id);
    mcpbus_cancel(world.client, 12345);
    assert_int_equal(mcpbus_reply(&request, NULL, 0), MCPBUS_ERR_CANCELLED);
}

static void test_callbacks_may_not_wait(void **state)
{
    (void)state;
    struct seen seen = {0};
    call_async(&seen, "weather.parts");
    wait_for(is_set, &seen.done);
    assert_int_equal(atomic_load(&seen.parts), 2);
    assert_int_equal(seen.status, MCPBUS_OK);
    assert_int_equal(seen.inner, MCPBUS_ERR_MISUSE);
}

static void test_more_than_allowed(void **state)
{
    (void)state;
    struct mcpbus *client = open_client((struct mcpbus_options){.max_calls = 2});
    struct seen seen[3] = {0};
    struct mcpbus_error error;
    for (int i = 0; i < 2; i++)
        assert_int_equal(mcpbus_call_async(client, "weather.keep", NULL, 0, &patient, on_answer,
                                           &seen[i], NULL, &error),
                         MCPBUS_OK);
    assert_int_equal(mcpbus_call_async(client, "weather.keep", NULL, 0, &patient, on_answer,
                                       &seen[2], NULL, &error),
                     MCPBUS_ERR_OVERLOADED);
    assert_int_equal(error.group, MCPBUS_GROUP_NOT_EXECUTED);
    assert_int_equal(mcpbus_close(&client), MCPBUS_OK);
    for (int i = 0; i < 2; i++) {
        assert_true(atomic_load(&seen[i].done)); /* before the close returned */
        assert_int_equal(seen[i].status, MCPBUS_ERR_CANCELLED);
    }
    assert_false(atomic_load(&seen[2].done));
}

/* ---- streams ------------------------------------------------------------------------------- */

static struct mcpbus_stream *open_stream(const char *method, size_t bytes)
{
    struct mcpbus_stream *stream = NULL;
    struct mcpbus_call_options options = {
        .size = sizeof options, .timeout_ms = WAIT_MS, .stream_bytes = bytes};
    assert_int_equal(mcpbus_stream_open(world.client, method, NULL, 0, &options, &stream, NULL),
                     MCPBUS_OK);
    return stream;
}

static void test_stream(void **state)
{
    (void)state;
    struct mcpbus_stream *stream = open_stream("weather.parts", 0);
    for (int i = 1; i <= 3; i++) {
        char *json = NULL, expected[16];
        bool last = false;
        assert_int_equal(mcpbus_stream_next(stream, -1, &json, NULL, &last, NULL), MCPBUS_OK);
        snprintf(expected, sizeof expected, "{\"n\":%d}", i);
        assert_string_equal(json, expected);
        assert_int_equal(last, i == 3);
        mcpbus_free(json);
    }
    assert_int_equal(mcpbus_stream_next(stream, -1, NULL, NULL, NULL, NULL), MCPBUS_ERR_CLOSED);
    mcpbus_stream_close(&stream);
    mcpbus_stream_close(&stream);
}

static void test_stream_from_another_thread(void **state)
{
    (void)state;
    struct mcpbus_stream *stream = open_stream("weather.keep", 0);
    struct mcpbus_request *request = take_kept();
    bool last = true;
    assert_int_equal(mcpbus_stream_next(stream, 1, NULL, NULL, &last, NULL), MCPBUS_ERR_AGAIN);
    for (int i = 0; i < 100; i++)
        assert_int_equal(mcpbus_reply_part(request, "{}", 2), MCPBUS_OK);
    assert_int_equal(mcpbus_reply_error(&request, MCPBUS_ERR_CONFLICT, 0, "the wind has turned"),
                     MCPBUS_OK);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(mcpbus_stream_next(stream, -1, NULL, NULL, &last, NULL), MCPBUS_OK);
        assert_false(last);
    }
    struct mcpbus_error error;
    assert_int_equal(mcpbus_stream_next(stream, -1, NULL, NULL, &last, &error),
                     MCPBUS_ERR_CONFLICT);
    assert_string_equal(error.detail, "the wind has turned");
    assert_int_equal(mcpbus_stream_next(stream, -1, NULL, NULL, NULL, NULL), MCPBUS_ERR_CLOSED);
    mcpbus_stream_close(&stream);
}

/* Who reads too slowly loses the rest, not the memory; and the service is told. */
static void test_stream_has_a_ceiling(void **state)
{
    (void)state;
    struct mcpbus_stream *stream = open_stream("weather.keep", 1000);
    struct mcpbus_request *request = take_kept();
    while (mcpbus_reply_part(request, "{\"of\":\"the wind\"}", MCPBUS_TEXT) == MCPBUS_OK)
        if (mcpbus_request_sleep(request, 1))
            break;
    assert_true(mcpbus_request_cancelled(request));
    mcpbus_reply(&request, NULL, 0);
    int parts = 0;
    while (mcpbus_stream_next(stream, -1, NULL, NULL, NULL, NULL) == MCPBUS_OK)
        parts++;
    assert_true(parts > 1 && parts < 100);
    assert_int_equal(mcpbus_stream_next(stream, -1, NULL, NULL, NULL, NULL), MCPBUS_ERR_CLOSED);
    mcpbus_stream_close(&stream);
}

static void test_stream_closed_early(void **state)
{
    (void)state;
    struct mcpbus_stream *stream = open_stream("weather.keep", 0);
    struct mcpbus_request *request = take_kept();
    mcpbus_stream_close(&stream);
    assert_true(mcpbus_request_sleep(request, WAIT_MS));
    mcpbus_reply(&request, NULL, 0);
}

/* ---- threads ------------------------------------------------------------------------------- */

static void *call_often(void *arg)
{
    atomic_int *good = arg;
    for (int i = 0; i < CALLS_EACH; i++) {
        char *json = NULL, body[64];
        snprintf(body, sizeof body, "{\"thread\":\"%p\",\"n\":%d}", (void *)&json, i);
        if (mcpbus_call(world.client, "weather.echo", body, MCPBUS_TEXT, &patient, &json, NULL,
                        NULL) == MCPBUS_OK &&
            strcmp(json, body) == 0)
            atomic_fetch_add(good, 1);
        mcpbus_free(json);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    atomic_int good = 0;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &good), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&good), THREADS * CALLS_EACH);
    assert_int_equal(atomic_load(&world.handled), THREADS * CALLS_EACH);
}

static bool has_notes(void *count)
{
    return atomic_load(&world.one_way) == *(int *)count;
}

static void test_one_way(void **state)
{
    (void)state;
    char instance[MCPBUS_INSTANCE_SIZE], method[64];
    int count = 3;
    mcpbus_service_instance(world.service, instance);
    snprintf(method, sizeof method, "weather@%s.note", instance);
    assert_int_equal(mcpbus_send(world.client, "weather.note", NULL, 0, NULL), MCPBUS_OK);
    assert_int_equal(mcpbus_send(world.client, "weather@*.note", NULL, 0, NULL), MCPBUS_OK);
    assert_int_equal(mcpbus_send(world.client, method, NULL, 0, NULL), MCPBUS_OK);
    assert_int_equal(mcpbus_send(world.client, "weather", NULL, 0, NULL), MCPBUS_ERR_INVALID);
    wait_for(has_notes, &count);
}

static void test_peers(void **state)
{
    (void)state;
    char instance[MCPBUS_INSTANCE_SIZE], peers[4][MCPBUS_INSTANCE_SIZE];
    mcpbus_service_instance(world.service, instance);
    assert_int_equal(mcpbus_peers(world.client, "weather", peers, 4), 1);
    assert_string_equal(peers[0], instance);
    assert_int_equal(mcpbus_peers(world.client, "nobody", peers, 4), 0);
    char *overview = mcpbus_overview(world.client);
    json_t *value = json_loads(overview, 0, NULL);
    const char *listed = NULL, *endpoint = NULL;
    int connected = 0;
    assert_int_equal(json_unpack(value, "{s:[{s:s, s:b}], s:{s:[s]}}", "brokers", "endpoint",
                                 &endpoint, "connected", &connected, "services", "weather",
                                 &listed),
                     0);
    assert_string_equal(listed, instance);
    assert_string_equal(endpoint, world.endpoint);
    assert_true(connected);
    json_decref(value);
    mcpbus_free(overview);
}

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
    bad.max_calls = 1000000;
    assert_int_equal(try_open(bad), MCPBUS_ERR_INVALID);
    bad = good;
    bad.timeout_ms = -1;
    assert_int_equal(try_open(bad), MCPBUS_ERR_INVALID);
    assert_string_equal(mcpbus_status_name(MCPBUS_ERR_NO_SERVICE), "NO_SERVICE");
    assert_string_equal(mcpbus_status_name((enum mcpbus_status)299), "UNKNOWN");
    assert_int_equal(mcpbus_status_group((enum mcpbus_status)299), MCPBUS_GROUP_UNKNOWN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_call),
        TEST(test_errors),
        TEST(test_what_is_wrong_never_leaves),
        TEST(test_nobody_serves_it),
        TEST(test_deadline_is_seen_by_the_service),
        TEST(test_cancel),
        TEST(test_callbacks_may_not_wait),
        TEST(test_more_than_allowed),
        TEST(test_stream),
        TEST(test_stream_from_another_thread),
        TEST(test_stream_has_a_ceiling),
        TEST(test_stream_closed_early),
        TEST(test_threads),
        TEST(test_one_way),
        TEST(test_peers),
        TEST(test_service_ends_without_losing_a_request),
        TEST(test_service_ends_in_time),
        TEST(test_client_ends_under_those_who_wait),
        TEST(test_nothing_is_left),
        TEST(test_child_of_fork),
        TEST(test_signals_are_the_programs),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
