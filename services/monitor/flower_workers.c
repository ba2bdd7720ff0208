/* Flower's calls about workers and queues. */
#include <string.h>
#include <time.h>

#include "libcommon/mem.h"
#include "services/monitor/monitor.h"
#include "services/monitor/shapes.h"

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool is_wanted(const json_t *worker, const char *name)
{
    return !name || strcmp(js_str(worker, "name", ""), name) == 0 ||
           strcmp(js_str(worker, "instance", ""), name) == 0;
}

static void show_workers(struct call *call)
{
    const char *name = http_request_query(call_request(call), "workername");
    bool status = query_flag(call, "status");
    if (!bus_connected(call->monitor->bus)) {
        call_detail(call, 503, "no broker is connected: which workers run is not known");
        return;
    }
    AUTOJSON json_t *team = team_list(call->monitor, call_told(call, 0)->result);
    AUTOJSON json_t *workers = json_object();
    double now = seconds_now();
    size_t i;
    json_t *worker;
    name = name && *name ? name : NULL;
    json_array_foreach(team, i, worker)
    {
        if (is_wanted(worker, name))
            json_object_set_new(workers, js_str(worker, "name", ""),
                                status ? json_incref(json_object_get(worker, "reachable"))
                                       : shape_worker(worker, now));
    }
    if (name && !json_object_size(workers)) {
        AUTOFREE char *detail = mem_printf("Unknown worker '%s'", name);
        call_detail(call, 404, detail);
        return;
    }
    call_json(call, 200, json_incref(workers));
}

void route_workers(struct call *call)
{
    const char *name;
    if (!query_text(call, "workername", ID_MAX, &name))
        return;
    call_ask(call, ask_workers());
    call_ask_fleet(call);
    call_then(call, show_workers);
}

static void show_queues(struct call *call)
{
    if (!call_told_failed(call, 0))
        call_json(call, 200,
                  json_pack("{s:[{s:s, s:I}]}", "active_queues", "name", SHAPE_QUEUE, "messages",
                            (json_int_t)js_int(call_told(call, 0)->result, "queued", 0)));
}

void route_queues(struct call *call)
{
    call_ask(call, ask_health());
    call_then(call, show_queues);
}

void route_not_offered(struct call *call)
{
    call_detail(call, 501,
                "mcpbus has nothing like it: workers are started, stopped and sized by what "
                "supervises them (drain one first), jobs are submitted by POST /run or mcpbus run");
}
