/* libmcpbus against a real broker over TCP. */
#include "tests/unit/mcpbus_fixture.h"

#include <jansson.h>

/* ---- calls --------------------------------------------------------------------------------- */

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
    assert_int_equal(seen.group, MCPBUS_GROUP_UNKNOWN); /* it may have been done */
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
