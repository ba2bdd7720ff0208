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

enum { WAIT_MS = 60000, THREADS = 8, CALLS_EACH = 100 };

static struct {
    pthread_t broker_thread;
    atomic_bool stop, up;
    char endpoint[64];
    struct mcpbus *client;
    struct mcpbus_service *service;
    _Atomic(struct mcpbus_request *) kept, kept_before;
    atomic_int handled, one_way;
} world;

static bool broker_must_stop(void *arg)
{
    (void)arg;
    return atomic_load(&world.stop);
}

static void *run_broker(void *arg)
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
static void wait_for(bool (*done)(void *arg), void *arg)
{
    for (int64_t i = 0; i < WAIT_MS && !done(arg); i++)
        usleep(1000);
    assert_true(done(arg));
}

static bool is_set(void *flag)
{
    return atomic_load((atomic_bool *)flag);
}

static bool is_kept(void *arg)
{
    (void)arg;
    return atomic_load(&world.kept) != NULL;
}

static struct mcpbus_request *take_kept(void)
{
    wait_for(is_kept, NULL);
    return atomic_exchange(&world.kept, NULL);
}

static struct mcpbus *open_client(struct mcpbus_options options)
{
    struct mcpbus *client = NULL;
    struct mcpbus_error error;
    options.size = sizeof options;
    options.brokers = world.endpoint;
    options.plain = true;
    assert_int_equal(mcpbus_open(&options, &client, &error), MCPBUS_OK);
    return client;
}

static size_t entries(const char *path)
{
    DIR *dir = opendir(path);
    size_t count = 0;
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

#endif
