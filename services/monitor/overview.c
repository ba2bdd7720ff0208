/* GET /api/overview: is it well? Whatever is away, the answer comes, and says so. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "libcommon/mem.h"
#include "services/monitor/monitor.h"
#include "services/monitor/shapes.h"

enum { HEALTH, WORKERS, STATS, DATABASE };
enum { STATS_SPAN_S = 300, STATS_STEP_S = 10, PROBLEMS_MAX = 50 };

/* What every deployment has at least one of. */
static const char *const needed[] = {"gateway", "auth", "jobs", "worker"};

__attribute__((format(printf, 2, 3))) static void problem(json_t *problems, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (json_array_size(problems) < PROBLEMS_MAX)
        json_array_append_new(problems, js_string_capped(text, strlen(text), sizeof(text), ""));
}

static json_t *queue_of(const struct told *health)
{
    if (health->error)
        return json_pack("{s:n, s:n}", "queued", "running");
    return json_pack("{s:I, s:I}", "queued", (json_int_t)js_int(health->result, "queued", 0),
                     "running", (json_int_t)js_int(health->result, "running", 0));
}

/* Whoever is there is known from the brokers; what they do, from the queue. */
static json_t *totals(const json_t *team, bool told)
{
    json_int_t count = 0, capacity = 0, running = 0, draining = 0;
    size_t i;
    json_t *worker;
    json_array_foreach(team, i, worker)
    {
        if (!js_bool(worker, "reachable", false))
            continue;
        count++;
        capacity += js_int(worker, "capacity", 0);
        running += js_int(worker, "running", 0);
        draining += js_bool(worker, "draining", false);
    }
    if (!told)
        return json_pack("{s:I, s:n, s:n, s:n}", "count", count, "capacity", "running", "draining");
    return json_pack("{s:I, s:I, s:I, s:I}", "count", count, "capacity", capacity, "running",
                     running, "draining", draining);
}

static bool judge_brokers(const json_t *brokers, json_t *problems)
{
    size_t i, connected = 0;
    json_t *broker;
    json_array_foreach(brokers, i, broker)
    {
        if (js_bool(broker, "connected", false))
            connected++;
        else
            problem(problems, "broker %s: not connected", js_str(broker, "endpoint", ""));
    }
    return connected > 0;
}

/* A drained worker is as its operator wants it. */
static bool is_drained(const json_t *team, const char *instance)
{
    size_t i;
    json_t *worker;
    json_array_foreach(team, i, worker)
    {
        if (strcmp(js_str(worker, "instance", ""), instance) == 0)
            return js_bool(worker, "draining", false) && js_bool(worker, "reachable", false);
    }
    return false;
}

static void judge_replicas(const json_t *replicas, const json_t *team, json_t *problems)
{
    size_t i;
    json_t *replica;
    for (size_t n = 0; n < sizeof(needed) / sizeof(*needed); n++) {
        size_t count = 0;
        json_array_foreach(replicas, i, replica) count +=
            strcmp(js_str(replica, "service", ""), needed[n]) == 0;
        if (!count)
            problem(problems, "no replica of %s runs", needed[n]);
    }
    json_array_foreach(replicas, i, replica)
    {
        const char *what = js_str(replica, "problem", NULL);
        const char *instance = js_str(replica, "instance", "");
        if (what && !is_drained(team, instance))
            problem(problems, "%s@%s: %s", js_str(replica, "service", ""), instance, what);
    }
}

static void judge_workers(const json_t *workers, json_t *problems)
{
    int64_t count = js_int(workers, "count", 0);
    if (count && js_int(workers, "draining", 0) == count)
        problem(problems, "every worker is draining: jobs wait until one is resumed");
}

static json_t *database_of(const struct told *told)
{
    return told->error ? json_pack("{s:o}", "problem",
                                   js_string_capped(told->detail, strlen(told->detail), 300, "…"))
                       : json_incref(told->result);
}

static json_t *clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return json_real((double)now.tv_sec + (double)now.tv_nsec / 1e9);
}

/* What can't be told is null, so that the form stays. */
static json_t *rates_of(const struct told *stats)
{
    if (stats->error)
        return json_pack("{s:n, s:n, s:n}", "submitted", "completed", "failed");
    return shape_rates(json_object_get(stats->result, "points"), js_int(stats->result, "now", 0));
}

static json_t *latency_of(const struct told *stats)
{
    if (stats->error)
        return json_pack("{s:n, s:n, s:n}", "wait", "run", "total");
    return shape_latency(json_object_get(stats->result, "points"));
}

/* Without a broker all else is unknown; one reason then says more than ten. */
static json_t *judge(const struct call *call, const json_t *brokers, const json_t *replicas,
                     const json_t *team, const json_t *workers)
{
    json_t *problems = json_array();
    if (!judge_brokers(brokers, problems))
        return problems;
    judge_replicas(replicas, team, problems);
    const struct told *health = call_told(call, HEALTH), *database = call_told(call, DATABASE);
    bool said = health->error == ERR_NO_SERVICE && json_array_size(problems) > 0;
    if (health->error && !said)
        problem(problems, "jobs can't be accepted: %s", health->detail);
    else if (!health->error && database->error)
        problem(problems, database->error == ERR_NO_SERVICE ? "%s" : "PostgreSQL: %s",
                database->detail);
    judge_workers(workers, problems);
    return problems;
}

static void show(struct call *call)
{
    struct monitor *monitor = call->monitor;
    AUTOJSON json_t *bus = bus_overview(monitor->bus);
    json_t *brokers = json_object_get(bus, "brokers");
    AUTOJSON json_t *team = team_list(monitor, call_told(call, WORKERS)->result);
    json_t *replicas = fleet_list(monitor->fleet),
           *workers = totals(team, !call_told(call, WORKERS)->error);
    json_t *problems = judge(call, brokers, replicas, team, workers);
    call_json(
        call, 200,
        json_pack("{s:o, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:O, s:o}", "now", clock_now(),
                  "version", MCPBUS_VERSION, "ok", json_array_size(problems) == 0, "problems",
                  problems, "queue", queue_of(call_told(call, HEALTH)), "rates",
                  rates_of(call_told(call, STATS)), "latency", latency_of(call_told(call, STATS)),
                  "workers", workers, "replicas", replicas, "brokers", brokers, "database",
                  database_of(call_told(call, DATABASE))));
}

void route_overview(struct call *call)
{
    struct question stats = ask_stats(STATS_SPAN_S, STATS_STEP_S);
    stats.timeout_ms = LOOK_TIMEOUT_MS; /* who asks whether all is well is not kept waiting */
    call_ask(call, ask_health());
    call_ask(call, ask_workers());
    call_ask(call, stats);
    call_ask(call, ask_database());
    call_ask_fleet(call);
    call_then(call, show);
}
