#include "libcommon/bus.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "libcommon/bus_internal.h"
#include "libcommon/mem.h"

enum { DELIVER_MS = 2000 };

bool bus_instance_parse(const char *text, uint64_t *ret_instance)
{
    return proto_instance_parse(text, strlen(text), ret_instance);
}

void bus_instance_format(uint64_t instance, char ret_text[17])
{
    proto_instance_format(instance, ret_text);
}

static bool turn(void *arg)
{
    struct bus *bus = arg;
    bool busy = false;
    for (size_t i = 0; i < bus->link_count; i++)
        busy |= link_turn(&bus->links[i]);
    return busy;
}

static bool is_endpoint(const char *text)
{
    const char *colon = strrchr(text, ':'), *port = colon ? colon + 1 : "";
    size_t digits = strspn(port, "0123456789");
    long number = digits <= 5 ? strtol(port, NULL, 10) : 0;
    return strncmp(text, "tcp://", 6) == 0 && colon > text + 6 && !port[digits] && number > 0 &&
           number <= 65535;
}

/* Splits "tcp://a:1,tcp://b:2" in place; their number, 0 when they don't fit. */
static size_t split(char *endpoints, const char *ret_found[BUS_LINKS_MAX])
{
    char *endpoint = NULL;
    size_t count = 0;
    while ((endpoint = strsep(&endpoints, ", "))) {
        if (!*endpoint)
            continue;
        if (count == BUS_LINKS_MAX || !is_endpoint(endpoint))
            return 0;
        ret_found[count++] = endpoint;
    }
    return count;
}

static void open_links(struct bus *bus, const char *endpoints)
{
    AUTOFREE char *copy = mem_strdup(endpoints);
    const char *found[BUS_LINKS_MAX];
    bus->link_count = split(copy, found); /* before the first greeting: it divides the credit */
    for (size_t i = 0; i < bus->link_count; i++)
        link_open(&bus->links[i], bus, found[i]);
}

static uint64_t random_instance(void)
{
    uint64_t instance = 0;
    while (instance == 0)
        if (getrandom(&instance, sizeof instance, 0) != (ssize_t)sizeof instance)
            instance = 0;
    return instance;
}

static enum err check_options(const struct bus_options *options)
{
    AUTOFREE char *copy = mem_strdup(options->endpoints);
    const char *found[BUS_LINKS_MAX];
    char why[BUS_WHY_SIZE] = "";
    if (split(copy, found) == 0)
        return ERR_INVALID;
    enum err err = secure_check(options, why);
    if (err && options->why)
        memcpy(options->why, why, sizeof why);
    return err;
}

enum err bus_new(struct loop *loop, const struct bus_options *options, struct bus **ret_bus)
{
    enum err err = check_options(options);
    if (err)
        return err;
    struct bus *bus = mem_alloc(sizeof *bus);
    *bus = (struct bus){.loop = loop, .options = *options, .instance = random_instance()};
    bus->service = mem_strdup_opt(options->service);
    bus->keys = mem_strdup_opt(options->keys);
    bus->key = mem_strdup_opt(options->key);
    proto_instance_format(bus->instance, bus->instance_text);
    bus->calls_by_id = map_new();
    bus->calls_by_seq = map_new();
    bus->serving = map_new();
    bus->context = zmq_ctx_new();
    assert(bus->context);
    loop_source_add(loop, turn, bus);
    open_links(bus, options->endpoints);
    *ret_bus = bus;
    return ERR_OK;
}

static bool all_delivered(void *arg)
{
    struct bus *bus = arg;
    bool delivered = true;
    for (size_t i = 0; i < bus->link_count; i++)
        delivered &= link_delivered(&bus->links[i]);
    return delivered;
}

/* From here on whoever made the bus hears nothing but the end of its calls. */
static void close_ears(struct bus *bus)
{
    bus->closing = true;
    bus->options.cancelled = NULL;
    bus->peers_changed = NULL;
}

void bus_destroy(struct bus **bus_p)
{
    struct bus *bus = *bus_p;
    if (!bus)
        return;
    close_ears(bus);
    calls_cancel_all(bus);
    loop_run_through(bus->loop, all_delivered, bus, DELIVER_MS);
    calls_cancel_all(bus); /* begun by the ends of the others */
    peers_end(bus);
    loop_source_remove(bus->loop, turn, bus);
    for (size_t i = 0; i < bus->link_count; i++)
        link_close(&bus->links[i]);
    serve_release_all(bus);
    map_destroy(&bus->calls_by_id);
    map_destroy(&bus->calls_by_seq);
    zmq_ctx_term(bus->context);
    free(bus->service);
    free(bus->keys);
    free(bus->key);
    free(bus);
    *bus_p = NULL;
}

uint64_t bus_instance(const struct bus *bus)
{
    return bus->instance;
}

const char *bus_instance_text(const struct bus *bus)
{
    return bus->instance_text;
}

bool bus_connected(const struct bus *bus)
{
    for (size_t i = 0; i < bus->link_count; i++)
        if (bus->links[i].state == LINK_READY)
            return true;
    return false;
}

void bus_drain(struct bus *bus)
{
    bus->draining = true;
    for (size_t i = 0; i < bus->link_count; i++)
        away_tell(&bus->links[i]);
}
