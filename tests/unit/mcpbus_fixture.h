/* A broker on a thread of its own, a client of it, and the service "weather" of the same client. */
#ifndef MCPBUS_TESTS_MCPBUS_FIXTURE_H
#define MCPBUS_TESTS_MCPBUS_FIXTURE_H

#include "tests/unit/unit.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "libcommon/loop.h"
#include "libmcpbus/mcpbus.h"
#include "services/broker/broker.h"

/* A call outlives every wait, so that no deadline passes for a cancellation. */
enum { WAIT_MS = 60000, HOUR_MS = 3600000, THREADS = 8, CALLS_EACH = 100 };

static struct {
    pthread_t broker_thread;
    atomic_bool stop, up;
    char endpoint[64];
    struct mcpbus *client;
    struct mcpbus_service *service;
    _Atomic(struct mcpbus_request *) kept, kept_before;
    atomic_int handled, one_way;
} world;

static inline bool broker_must_stop(void *arg)
{
    (void)arg;
    return atomic_load(&world.stop);
}

static inline void *run_broker(void *arg)
{
    (void)arg;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    struct loop *loop = loop_new();
    struct broker *broker = NULL;
    char why[BUS_WHY_SIZE];
    struct broker_options options = {.address = "127.0.0.1", .plain = true};
    assert_int_equal(broker_new(loop, &options, &broker, why), ERR_OK);
    snprintf(world.endpoint, sizeof world.endpoint, "%s", broker_endpoint(broker));
    atomic_store(&world.up, true);
    loop_run_until(loop, broker_must_stop, NULL, INT64_MAX / 4);
    broker_destroy(&broker);
    loop_destroy(&loop);
    return NULL;
}

/* Waits for what another thread brings about. */
static inline void wait_for(bool (*done)(void *arg), void *arg)
{
    for (int64_t i = 0; i < WAIT_MS && !done(arg); i++)
        usleep(1000);
    assert_true(done(arg));
}

static inline bool is_set(void *flag)
{
    return atomic_load((atomic_bool *)flag);
}

static inline bool is_kept(void *arg)
{
    (void)arg;
    return atomic_load(&world.kept) != NULL;
}

static inline struct mcpbus_request *take_kept(void)
{
    wait_for(is_kept, NULL);
    return atomic_exchange(&world.kept, NULL);
}

static inline struct mcpbus *open_client(struct mcpbus_options options)
{
    struct mcpbus *client = NULL;
    struct mcpbus_error error;
    options.size = sizeof options;
    options.brokers = world.endpoint;
    options.plain = true;
    assert_int_equal(mcpbus_open(&options, &client, &error), MCPBUS_OK);
    return client;
}

static inline size_t entries(const char *path)
{
    DIR *dir = opendir(path);
    size_t count = 0;
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* ---- the service --------------------------------------------------------------------------- */

static inline void handle_echo(void *arg, struct mcpbus_request *request)
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

static inline void handle_keep(void *arg, struct mcpbus_request *request)
{
    (void)arg;
    atomic_store(&world.kept_before, atomic_exchange(&world.kept, request));
}

static inline void handle_fail(void *arg, struct mcpbus_request *request)
{
    (void)arg;
    atomic_fetch_add(&world.handled, 1);
    mcpbus_reply_error(&request, MCPBUS_ERR_LIMITED, 1500, "not so fast");
}

static inline void handle_parts(void *arg, struct mcpbus_request *request)
{
    (void)arg;
    assert_int_equal(mcpbus_reply_part(request, "{\"n\":1}", MCPBUS_TEXT), MCPBUS_OK);
    assert_int_equal(mcpbus_reply_part(request, "{\"n\":2}", MCPBUS_TEXT), MCPBUS_OK);
    assert_int_equal(mcpbus_reply(&request, "{\"n\":3}", MCPBUS_TEXT), MCPBUS_OK);
}

static inline void handle_broken(void *arg, struct mcpbus_request *request)
{
    (void)arg;
    assert_int_equal(mcpbus_reply(&request, "[1]", MCPBUS_TEXT), MCPBUS_ERR_INVALID);
}

static inline void handle_note(void *arg, struct mcpbus_request *request)
{
    (void)arg;
    atomic_fetch_add(&world.one_way, 1);
    mcpbus_reply(&request, NULL, 0);
}

static const struct mcpbus_method methods[] = {{"echo", handle_echo},     {"keep", handle_keep},
                                               {"fail", handle_fail},     {"parts", handle_parts},
                                               {"broken", handle_broken}, {"note", handle_note}};

static inline int set_up(void **state)
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

static inline void answer_into_nowhere(struct mcpbus_request *request)
{
    if (request)
        assert_int_equal(mcpbus_reply(&request, NULL, 0), MCPBUS_ERR_CANCELLED);
}

static inline void end_broker(void)
{
    if (!atomic_exchange(&world.stop, true))
        pthread_join(world.broker_thread, NULL);
}

static inline int tear_down(void **state)
{
    (void)state;
    assert_int_equal(mcpbus_close(&world.client), MCPBUS_OK);
    answer_into_nowhere(atomic_exchange(&world.kept, NULL));
    answer_into_nowhere(atomic_exchange(&world.kept_before, NULL));
    assert_null(world.client);
    assert_int_equal(mcpbus_close(&world.client), MCPBUS_OK);
    end_broker();
    return 0;
}

static const struct mcpbus_call_options patient = {.size = sizeof patient, .timeout_ms = HOUR_MS};

static inline enum mcpbus_status call(const char *method, const char *json,
                                      struct mcpbus_error *error)
{
    char *result = NULL;
    enum mcpbus_status status =
        mcpbus_call(world.client, method, json, MCPBUS_TEXT, &patient, &result, NULL, error);
    mcpbus_free(result);
    return status;
}

struct seen {
    atomic_int parts;
    atomic_bool done;
    enum mcpbus_status status, inner;
    enum mcpbus_group group;
};

static inline void on_answer(void *arg, const struct mcpbus_answer *answer)
{
    struct seen *seen = arg;
    if (!answer->last) {
        atomic_fetch_add(&seen->parts, 1);
        return;
    }
    seen->status = answer->error->status;
    seen->group = answer->error->group;
    seen->inner = mcpbus_call(world.client, "weather.echo", NULL, 0, NULL, NULL, NULL, NULL);
    atomic_store(&seen->done, true);
}

static inline uint64_t call_async(struct seen *seen, const char *method)
{
    uint64_t id = 0;
    assert_int_equal(
        mcpbus_call_async(world.client, method, NULL, 0, &patient, on_answer, seen, &id, NULL),
        MCPBUS_OK);
    assert_true(id > 0);
    return id;
}

static inline struct mcpbus_stream *open_stream(const char *method, size_t bytes)
{
    struct mcpbus_stream *stream = NULL;
    struct mcpbus_call_options options = {
        .size = sizeof options, .timeout_ms = HOUR_MS, .stream_bytes = bytes};
    assert_int_equal(mcpbus_stream_open(world.client, method, NULL, 0, &options, &stream, NULL),
                     MCPBUS_OK);
    return stream;
}

#endif
