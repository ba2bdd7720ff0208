#include "libcommon/bus_resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/mem.h"

enum { HOST_SIZE = 256, STACK_BYTES = 256 * 1024, LOOK_MS = 10 };

/* Shared with the thread, which may outlive the wish by as long as a name server is silent. */
struct lookup {
    atomic_int users;
    atomic_bool ready; /* `address` is filled in */
    unsigned turn;
    char host[HOST_SIZE], port[8];
    char address[BUS_ADDRESS_SIZE]; /* "": not found */
};

struct bus_resolve {
    struct lookup *lookup;
    struct loop_timer *timer; /* by which it is noticed: no descriptor may be left for more */
    void (*done)(void *arg, const char *address);
    void *arg;
};

/* Splits tcp://HOST:PORT; false when the host is too long to be one. */
static bool split(const char *endpoint, char ret_host[HOST_SIZE], char ret_port[8])
{
    const char *host = endpoint + strlen("tcp://"), *colon = strrchr(host, ':');
    if ((size_t)(colon - host) >= HOST_SIZE)
        return false;
    snprintf(ret_host, HOST_SIZE, "%.*s", (int)(colon - host), host);
    snprintf(ret_port, 8, "%s", colon + 1);
    return true;
}

bool bus_resolve_is_numeric(const char *endpoint)
{
    char host[HOST_SIZE], port[8];
    struct in_addr address;
    return split(endpoint, host, port) && (host[0] == '[' || inet_pton(AF_INET, host, &address));
}

static void release(struct lookup *lookup)
{
    if (atomic_fetch_sub(&lookup->users, 1) > 1)
        return;
    free(lookup);
}

static void choose(struct lookup *lookup, const struct addrinfo *list)
{
    unsigned count = 0;
    char numbers[INET_ADDRSTRLEN];
    for (const struct addrinfo *one = list; one; one = one->ai_next)
        count++;
    if (count == 0)
        return;
    for (unsigned skip = lookup->turn % count; skip > 0; skip--)
        list = list->ai_next;
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)list->ai_addr;
    if (inet_ntop(AF_INET, &in->sin_addr, numbers, sizeof numbers))
        snprintf(lookup->address, sizeof lookup->address, "tcp://%s:%s", numbers, lookup->port);
}

static void tell(struct lookup *lookup)
{
    atomic_store(&lookup->ready, true);
    release(lookup);
}

static void *look_up(void *arg)
{
    struct lookup *lookup = arg;
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list = NULL;
    if (getaddrinfo(lookup->host, NULL, &hints, &list) == 0) {
        choose(lookup, list);
        freeaddrinfo(list);
    }
    tell(lookup);
    return NULL;
}

static bool start_thread(struct lookup *lookup)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    bool started = pthread_create(&thread, &attributes, look_up, lookup) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

static void on_timer(void *arg)
{
    struct bus_resolve *resolve = arg;
    if (!atomic_load(&resolve->lookup->ready)) {
        loop_timer_start(resolve->timer, LOOK_MS);
        return;
    }
    const char *address = resolve->lookup->address;
    resolve->done(resolve->arg, *address ? address : NULL);
}

struct bus_resolve *bus_resolve_begin(struct loop *loop, const char *endpoint, unsigned turn,
                                      void (*done)(void *arg, const char *address), void *arg)
{
    struct bus_resolve *resolve = mem_alloc(sizeof *resolve);
    struct lookup *lookup = mem_alloc(sizeof *lookup);
    *resolve = (struct bus_resolve){.lookup = lookup, .done = done, .arg = arg};
    lookup->turn = turn;
    atomic_init(&lookup->users, 2);
    resolve->timer = loop_timer_new(loop, on_timer, resolve);
    loop_timer_start(resolve->timer, LOOK_MS);
    if (!split(endpoint, lookup->host, lookup->port) || !start_thread(lookup))
        tell(lookup);
    return resolve;
}

void bus_resolve_end(struct bus_resolve **resolve_p)
{
    struct bus_resolve *resolve = *resolve_p;
    if (!resolve)
        return;
    *resolve_p = NULL;
    loop_timer_destroy(&resolve->timer);
    release(resolve->lookup);
    free(resolve);
}
