/* The workers: the queue knows their sessions, for as long as the lease is good; the brokers know
 * who is there, seconds after a kill. */
#include <string.h>

#include "libcommon/mem.h"
#include "services/monitor/monitor.h"

static void add_about(json_t *worker, const json_t *about, enum fleet_state state)
{
    static const char *const names[] = {"memory_bytes", "uptime_ms", "pid"};
    const char *instance = js_str(worker, "instance", "");
    AUTOFREE char *name = mem_printf("worker@%s", instance);
    json_object_set_new(worker, "name", json_string(name));
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        json_t *value = json_object_get(about, names[i]);
        json_object_set(worker, names[i], value ? value : json_null());
    }
    json_object_set_new(worker, "reachable", json_boolean(state == FLEET_WELL));
}

/* On the bus, but the queue does not know it: it is starting, or nobody tells. */
static json_t *unknown(const json_t *about, const char *instance)
{
    return json_pack("{s:n, s:s, s:s, s:s, s:n, s:n, s:b, s:n, s:n}", "session", "instance",
                     instance, "host", js_str(about, "host", ""), "version",
                     js_str(about, "version", ""), "capacity", "running", "draining", 0, "lease_ms",
                     "since");
}

static bool has(const json_t *list, const char *instance)
{
    size_t i;
    json_t *worker;
    json_array_foreach(list, i, worker)
    {
        if (strcmp(js_str(worker, "instance", ""), instance) == 0)
            return true;
    }
    return false;
}

static void add_others(json_t *list, const struct monitor *monitor)
{
    AUTOJSON json_t *all = fleet_list(monitor->fleet);
    size_t i;
    json_t *replica;
    json_array_foreach(all, i, replica)
    {
        const char *instance = js_str(replica, "instance", "");
        const json_t *about = NULL;
        if (strcmp(js_str(replica, "service", ""), "worker") != 0 || has(list, instance))
            continue;
        enum fleet_state state = fleet_find(monitor->fleet, "worker", instance, &about);
        json_t *worker = unknown(about, instance);
        add_about(worker, about, state);
        json_array_append_new(list, worker);
    }
}

json_t *team_list(const struct monitor *monitor, const json_t *workers)
{
    json_t *list = json_array(), *item;
    size_t i;
    json_array_foreach(json_object_get(workers, "workers"), i, item)
    {
        const json_t *about = NULL;
        enum fleet_state state =
            fleet_find(monitor->fleet, "worker", js_str(item, "instance", ""), &about);
        if (state == FLEET_GONE)
            continue;
        json_t *worker = json_copy(item);
        add_about(worker, about, state);
        json_array_append_new(list, worker);
    }
    add_others(list, monitor);
    return list;
}
