/* GET /healthcheck, GET /metrics: open to all, as Flower's are; no job's text, no user in them. */
#include <stdio.h>

#include "libcommon/metrics.h"
#include "services/monitor/monitor.h"

enum { METRICS_MAX_BYTES = 4 << 20, REPLICAS_MAX = 256, HEALTH = 0, WORKERS = 1 };

void route_healthcheck(struct call *call)
{
    http_respond(call_request(call), 200, "text/plain; charset=utf-8", "OK", 2, NULL);
}

static void gauge(struct buf *out, const char *name, const char *help, int64_t value)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s gauge\n%s %lld\n", name, help, name, name,
               (long long)value);
}

static void add_queue(struct buf *out, const struct told *health)
{
    gauge(out, "mcpbus_monitor_queue_known", "1 when the queue can be asked", !health->error);
    if (health->error)
        return;
    gauge(out, "mcpbus_monitor_queued", "Jobs that wait", js_int(health->result, "queued", 0));
    gauge(out, "mcpbus_monitor_running", "Jobs that run", js_int(health->result, "running", 0));
}

static void add_worker_lines(struct buf *out, const json_t *team, const char *name,
                             const char *help, const char *key)
{
    size_t i;
    json_t *worker;
    buf_printf(out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
    json_array_foreach(team, i, worker)
    {
        const json_t *value = json_object_get(worker, key);
        if (json_is_integer(value) || json_is_boolean(value))
            buf_printf(out, "%s{worker=\"%s\"} %lld\n", name, js_str(worker, "name", ""),
                       json_is_true(value) ? 1 : (long long)json_integer_value(value));
    }
}

/* Flower's names, so that its dashboards go on; and what it has not. */
static void add_workers(struct buf *out, const json_t *team)
{
    add_worker_lines(out, team, "flower_worker_online", "Worker online status", "reachable");
    add_worker_lines(out, team, "flower_worker_number_of_currently_executing_tasks",
                     "Number of tasks currently executing at a worker", "running");
    add_worker_lines(out, team, "mcpbus_monitor_worker_capacity",
                     "Runs that a worker takes at once", "capacity");
    add_worker_lines(out, team, "mcpbus_monitor_worker_draining", "1 when it takes no more runs",
                     "draining");
}

static void count_replicas(struct bus *bus)
{
    static const char *const services[] = {"auth", "gateway", "jobs", "monitor", "worker"};
    static const char *const labels[] = {"service=\"auth\"", "service=\"gateway\"",
                                         "service=\"jobs\"", "service=\"monitor\"",
                                         "service=\"worker\""};
    uint64_t instances[REPLICAS_MAX];
    for (size_t i = 0; i < sizeof(services) / sizeof(*services); i++)
        metric_set(metric_gauge("mcpbus_replicas", labels[i], "Replicas that the brokers know"),
                   (int64_t)bus_peers(bus, services[i], instances, REPLICAS_MAX));
}

static void show(struct call *call)
{
    struct buf text;
    AUTOJSON json_t *team = team_list(call->monitor, call_told(call, WORKERS)->result);
    buf_init(&text, METRICS_MAX_BYTES);
    count_replicas(call->monitor->bus);
    metrics_write(&text);
    add_queue(&text, call_told(call, HEALTH));
    add_workers(&text, team);
    if (buf_check(&text) == ERR_OK)
        http_respond_buf(call_request(call), 200, "text/plain; version=0.0.4; charset=utf-8", &text,
                         NULL);
    else
        call_detail(call, 500, "the metrics are too many");
    buf_fini(&text);
}

void route_metrics(struct call *call)
{
    call_ask(call, ask_health());
    call_ask(call, ask_workers());
    call_ask_fleet(call);
    call_then(call, show);
}
