/* Calls a second through one broker, with so many under way at once: mcpbus-bench-calls
 * bus|library| threads SECONDS. `bus`: libcommon's bus, in the caller's own loop; `library`:
 * libmcpbus's asynchronous calls; `threads`: its synchronous ones, from eight threads. Broker,
 * service and caller are threads of this process; no encryption, an empty body. Prints
 * `calls_per_second: N`. */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/bus.h"
#include "libmcpbus/mcpbus.h"
#include "services/broker/broker.h"

enum { UNDER_WAY = 100, THREADS = 8, TIMEOUT_MS = 30000 };

static char endpoint[64];
static atomic_bool ready, stop;
static atomic_ullong answered;

static bool must_stop(void *arg)
{
    (void)arg;
    return atomic_load(&stop);
}

static void *run_broker(void *arg)
{
    struct loop *loop = loop_new();
    struct broker *broker = NULL;
    char why[BUS_WHY_SIZE];
    struct broker_options options = {.address = "127.0.0.1", .plain = true};
    (void)arg;
    if (broker_new(loop, &options, &broker, why) != ERR_OK)
        abort();
    snprintf(endpoint, sizeof endpoint, "%s", broker_endpoint(broker));
    atomic_store(&ready, true);
    loop_wait_until(loop, must_stop, NULL, -1);
    return NULL;
}

static void handle(void *arg, struct bus_call *call, json_t *args)
{
    (void)arg;
    (void)args;
    bus_reply(&call, json_object());
}

static void *run_service(void *arg)
{
    static const struct bus_method methods[] = {{"now", handle}};
    struct loop *loop = loop_new();
    struct bus *bus = NULL;
    struct bus_options options = {.endpoints = endpoint,
                                  .plain = true,
                                  .service = "weather",
                                  .methods = methods,
                                  .method_count = 1};
    (void)arg;
    if (bus_new(loop, &options, &bus) != ERR_OK)
        abort();
    loop_wait_until(loop, must_stop, NULL, -1);
    return NULL;
}

/* ---- the bus ------------------------------------------------------------------------------- */

static void call_again(void *bus, const struct bus_answer *answer)
{
    struct bus_request request = {
        .method = "weather.now", .args = json_object(), .timeout_ms = TIMEOUT_MS};
    if (answer && answer->error == ERR_OK)
        atomic_fetch_add(&answered, 1);
    bus_call(bus, request, call_again, bus);
}

static void *call_by_bus(void *arg)
{
    struct loop *loop = loop_new();
    struct bus *bus = NULL;
    struct bus_options options = {.endpoints = endpoint, .plain = true};
    (void)arg;
    if (bus_new(loop, &options, &bus) != ERR_OK)
        abort();
    for (int i = 0; i < UNDER_WAY; i++)
        call_again(bus, NULL);
    loop_wait_until(loop, must_stop, NULL, -1);
    return NULL;
}

/* ---- the library --------------------------------------------------------------------------- */

static struct mcpbus *client;

static void async_again(void *arg, const struct mcpbus_answer *answer)
{
    if (answer && answer->error->status == MCPBUS_OK)
        atomic_fetch_add(&answered, 1);
    if (mcpbus_call_async(client, "weather.now", NULL, 0, NULL, async_again, arg, NULL, NULL))
        abort();
}

static void *call_in_turn(void *arg)
{
    while (!atomic_load(&stop))
        if (mcpbus_call(client, "weather.now", NULL, 0, NULL, NULL, NULL, NULL) == MCPBUS_OK)
            atomic_fetch_add(&answered, 1);
    return arg;
}

static void start(void *(*run)(void *arg))
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, NULL) != 0)
        abort();
    pthread_detach(thread);
}

static void open_client(void)
{
    struct mcpbus_options options = {.size = sizeof options, .brokers = endpoint, .plain = true};
    if (mcpbus_open(&options, &client, NULL) || mcpbus_wait(client, "weather", TIMEOUT_MS, NULL))
        abort();
}

static bool begin(const char *how)
{
    if (strcmp(how, "bus") == 0) {
        start(call_by_bus);
        return true;
    }
    open_client();
    if (strcmp(how, "library") == 0)
        for (int i = 0; i < UNDER_WAY; i++)
            async_again(NULL, NULL);
    else if (strcmp(how, "threads") == 0)
        for (int i = 0; i < THREADS; i++)
            start(call_in_turn);
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 3;
    start(run_broker);
    while (!atomic_load(&ready))
        usleep(1000);
    start(run_service);
    if (argc < 2 || !begin(argv[1]))
        return 2;
    while (atomic_load(&answered) < 1000)
        usleep(1000);
    unsigned long long before = atomic_load(&answered);
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    sleep(seconds);
    unsigned long long count = atomic_load(&answered) - before;
    clock_gettime(CLOCK_MONOTONIC, &to);
    double passed = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    printf("calls_per_second: %.0f\n", (double)count / passed);
    fflush(stdout);
    _exit(0);
}
