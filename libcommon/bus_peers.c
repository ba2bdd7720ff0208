/* The replicas that the brokers know. */
#include <string.h>

#include "libcommon/bus_internal.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"

static void tell(void *arg)
{
    struct bus *bus = arg;
    bus->peers_pending = false;
    if (bus->peers_changed)
        bus->peers_changed(bus->peers_arg);
}

static void changed(struct bus *bus)
{
    if (!bus->peers_changed || bus->peers_pending)
        return;
    bus->peers_pending = true;
    loop_defer(bus->loop, tell, bus);
}

void peers_end(struct bus *bus)
{
    loop_defer_cancel(bus->loop, tell, bus);
}

/* A broker tells everyone when it has taken us off its list; no request comes behind that. */
static bool lists_us(const struct bus_link *link)
{
    const json_t *list = json_object_get(link->services, link->bus->service), *item;
    size_t index;
    json_array_foreach(list, index, item)
    {
        if (json_is_string(item) && !strcmp(json_string_value(item), link->bus->instance_text))
            return true;
    }
    return false;
}

void peers_on_list(struct bus *bus, struct bus_link *link, struct wire_message *message)
{
    json_t *body = NULL;
    if (bus_body_parse(&message->body, &body) != ERR_OK)
        return;
    json_t *services = json_object_get(body, "services");
    if (json_is_object(services)) {
        json_decref(link->services);
        link->services = json_incref(services);
        link->off_list = link->bus->draining && !lists_us(link);
        changed(bus);
    }
    json_decref(body);
}

void peers_on_link_lost(struct bus *bus, struct bus_link *link)
{
    json_decref(link->services);
    link->services = NULL;
    changed(bus);
}

static bool is_listed(const uint64_t *list, size_t count, uint64_t instance)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == instance)
            return true;
    return false;
}

size_t bus_peers(const struct bus *bus, const char *service, uint64_t *ret_instances, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < bus->link_count; i++) {
        json_t *list = json_object_get(bus->links[i].services, service), *item = NULL;
        size_t index = 0;
        json_array_foreach(list, index, item)
        {
            uint64_t instance = 0;
            if (count < max && json_is_string(item) &&
                bus_instance_parse(json_string_value(item), &instance) &&
                !is_listed(ret_instances, count, instance))
                ret_instances[count++] = instance;
        }
    }
    return count;
}

void bus_on_peers(struct bus *bus, void (*peers_changed)(void *arg), void *arg)
{
    bus->peers_changed = peers_changed;
    bus->peers_arg = arg;
}

static json_t *brokers_of(const struct bus *bus)
{
    json_t *list = json_array();
    for (size_t i = 0; i < bus->link_count; i++)
        json_array_append_new(list, json_pack("{s:s, s:b}", "endpoint", bus->links[i].endpoint,
                                              "connected", bus->links[i].state == LINK_READY));
    return list;
}

static bool has_text(const json_t *list, const json_t *text)
{
    size_t index;
    const json_t *item = NULL;
    json_array_foreach(list, index, item)
    {
        if (json_equal(item, text))
            return true;
    }
    return false;
}

/* What each broker says, as one. */
static void merge_services(json_t *into, json_t *services)
{
    const char *name = NULL;
    json_t *list = NULL, *item = NULL;
    json_object_foreach(services, name, list)
    {
        json_t *merged = json_object_get(into, name);
        size_t index;
        if (!merged)
            json_object_set_new(into, name, merged = json_array());
        json_array_foreach(list, index, item)
        {
            if (json_is_string(item) && !has_text(merged, item))
                json_array_append(merged, item);
        }
    }
}

json_t *bus_overview(const struct bus *bus)
{
    json_t *services = json_object();
    for (size_t i = 0; i < bus->link_count; i++)
        merge_services(services, bus->links[i].services);
    return json_pack("{s:s, s:o, s:o}", "instance", bus->instance_text, "brokers", brokers_of(bus),
                     "services", services);
}
