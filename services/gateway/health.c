/* GET /health: what this gateway sees of the others. */
#include "services/gateway/gateway.h"

#include <stdio.h>
#include <time.h>

#include "libcommon/mem.h"

/* Bad news is kept for a moment only, so that who waits for a start hears of it at once. */
enum {
    CACHE_MS = 1000,
    CACHE_BAD_MS = 20,
    ASK_TIMEOUT_MS = 2000,
    ASK_START_MS = 50, /* the bus tries ever more slowly: asked anew while all are starting */
    WAITING_MAX = 1024,
    REPLICAS_MAX = 64
};

struct health {
    struct gateway *gateway;
    uint64_t call;
    bool known, database_up;
    enum err error; /* of the last answer */
    int64_t known_at, queued, running;
    int64_t begun;
    uint64_t waiting[WAITING_MAX]; /* HTTP requests that the answer is for */
    size_t waiting_count;
};

struct health *health_new(struct gateway *gateway)
{
    struct health *health = mem_alloc(sizeof(*health));
    health->gateway = gateway;
    health->begun = loop_now(gateway->loop);
    return health;
}

void health_destroy(struct health **health_p)
{
    struct health *health = *health_p;
    if (!health)
        return;
    *health_p = NULL;
    if (health->call)
        bus_cancel(health->gateway->bus, health->call);
    free(health);
}

static const char *up(bool is_up)
{
    return is_up ? "up" : "down";
}

static size_t replicas(const struct health *health, const char *service)
{
    uint64_t instances[REPLICAS_MAX];
    return bus_peers(health->gateway->bus, service, instances, REPLICAS_MAX);
}

static json_t *service_state(size_t count)
{
    return json_pack("{s:s, s:I}", "status", up(count > 0), "replicas", (json_int_t)count);
}

static json_t *timestamp(void)
{
    struct timespec now;
    struct tm utc;
    char date[32], text[48];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text, sizeof(text), "%s.%06dZ", date, (int)(now.tv_nsec / 1000 % 1000000));
    return json_string(text);
}

/* Why jobs can't be accepted. Everybody may read it: in words of ours, none of another server. */
static const char *problem(const struct health *health, bool broker, size_t jobs)
{
    if (!broker)
        return "jobs can't be accepted: no broker is connected";
    if (jobs == 0)
        return "jobs can't be accepted: no replica of jobs is running";
    if (health->error == ERR_TIMEOUT)
        return "jobs can't be accepted: jobs does not answer in time";
    return "jobs can't be accepted: the database is not available";
}

static void respond(const struct health *health, struct call *call, bool database_up)
{
    bool broker = bus_connected(health->gateway->bus);
    size_t jobs = replicas(health, "jobs");
    bool healthy = broker && jobs > 0 && database_up;
    json_t *database = json_pack("{s:s}", "status", up(database_up));
    if (database_up) {
        json_object_set_new(database, "queued", json_integer(health->queued));
        json_object_set_new(database, "running", json_integer(health->running));
    }
    json_t *dependencies =
        json_pack("{s:{s:s}, s:o, s:o, s:o, s:o}", "broker", "status", up(broker), "auth",
                  service_state(replicas(health, "auth")), "jobs", service_state(jobs), "worker",
                  service_state(replicas(health, "worker")), "database", database);
    json_t *body =
        json_pack("{s:s, s:o, s:s, s:o}", "status", healthy ? "healthy" : "unhealthy", "timestamp",
                  timestamp(), "version", MCPBUS_VERSION, "dependencies", dependencies);
    if (!healthy)
        json_object_set_new(body, "detail", json_string(problem(health, broker, jobs)));
    call_json(call, healthy ? 200 : 503, body);
}

static bool is_starting(const struct health *health)
{
    return !health->known && loop_now(health->gateway->loop) < health->begun + ASK_TIMEOUT_MS;
}

static void ask(struct health *health);

static void answered(void *arg, const struct bus_answer *answer)
{
    struct health *health = arg;
    if (!answer->last)
        return;
    health->call = 0;
    bool nobody = answer->error == ERR_NO_SERVICE || answer->error == ERR_TIMEOUT;
    if (nobody && is_starting(health)) {
        ask(health);
        return;
    }
    health->known = true;
    health->known_at = loop_now(health->gateway->loop);
    health->error = answer->error;
    health->database_up = answer->error == ERR_OK;
    health->queued = js_int(answer->result, "queued", 0);
    health->running = js_int(answer->result, "running", 0);
    size_t count = health->waiting_count;
    health->waiting_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct http_request *request = http_request_find(health->gateway->http, health->waiting[i]);
        if (request)
            respond(health, http_request_data(request), health->database_up);
    }
}

static void ask(struct health *health)
{
    health->call = bus_call(
        health->gateway->bus,
        (struct bus_request){.method = "jobs.health",
                             .args = json_object(),
                             .timeout_ms = is_starting(health) ? ASK_START_MS : ASK_TIMEOUT_MS,
                             .idempotent = true},
        answered, health);
}

void route_health(struct call *call)
{
    struct health *health = call->gateway->health;
    int64_t age = loop_now(call->gateway->loop) - health->known_at;
    bool there = bus_connected(call->gateway->bus) && replicas(health, "jobs") > 0;
    if (!there && !is_starting(health)) {
        respond(health, call, false);
        return;
    }
    if ((health->known && age < (health->database_up ? CACHE_MS : CACHE_BAD_MS)) ||
        health->waiting_count == WAITING_MAX) {
        respond(health, call, health->database_up);
        return;
    }
    health->waiting[health->waiting_count++] = call->request;
    if (!health->call)
        ask(health);
}
