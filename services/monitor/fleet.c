#include "services/monitor/fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"

enum {
    FRESH_MS = 1000,
    ASK_MS = 1500,
    SILENT_MS = 700,   /* an answer takes less */
    UNHEARD_MS = 2600, /* so long: it is the replica; less may be a broker that is frozen */
    KEEP_MS = 30 * 1000,
    FLIGHT_MAX = 64,
    SERVICE_SIZE = 65,
    ROUND_MS = 100,
    LOOK_MS = 3000, /* so long after the last look they are still asked */
};

#define SILENT "does not answer"
#define NOT_THERE "does not answer, and the brokers have given it up"

struct replica {
    struct fleet *fleet;
    char service[SERVICE_SIZE], instance[17];
    json_t *about; /* NULL: nothing heard yet */
    uint64_t call; /* under way, or 0 */
    int64_t asked_at, heard_at, gone_at;
    bool heard, gone, silent, mute; /* mute: it knows no `about` */
    bool listed;
};

struct fleet {
    struct loop *loop;
    struct bus *bus;
    struct replica *replicas[FLEET_MAX];
    size_t count, flying;
    int64_t looked_at;
    struct loop_timer *timer;
    void (*settled)(void *arg);
    void *settled_arg;
};

static void on_round(void *arg);

struct fleet *fleet_new(struct loop *loop, struct bus *bus)
{
    struct fleet *fleet = mem_alloc(sizeof(*fleet));
    fleet->loop = loop;
    fleet->bus = bus;
    fleet->timer = loop_timer_new(loop, on_round, fleet);
    return fleet;
}

static void replica_free(struct replica *replica)
{
    if (replica->call)
        bus_cancel(replica->fleet->bus, replica->call);
    json_decref(replica->about);
    free(replica);
}

void fleet_destroy(struct fleet **fleet_p)
{
    struct fleet *fleet = *fleet_p;
    if (!fleet)
        return;
    *fleet_p = NULL;
    for (size_t i = 0; i < fleet->count; i++)
        replica_free(fleet->replicas[i]);
    loop_timer_destroy(&fleet->timer);
    free(fleet);
}

void fleet_on_settled(struct fleet *fleet, void (*settled)(void *arg), void *arg)
{
    fleet->settled = settled;
    fleet->settled_arg = arg;
}

static struct replica *find(const struct fleet *fleet, const char *service, const char *instance)
{
    for (size_t i = 0; i < fleet->count; i++)
        if (strcmp(fleet->replicas[i]->instance, instance) == 0 &&
            strcmp(fleet->replicas[i]->service, service) == 0)
            return fleet->replicas[i];
    return NULL;
}

static void add(struct fleet *fleet, const char *service, const char *instance)
{
    uint64_t number;
    if (fleet->count == FLEET_MAX || strlen(service) >= SERVICE_SIZE ||
        !bus_instance_parse(instance, &number))
        return;
    struct replica *replica = mem_alloc(sizeof(*replica));
    replica->fleet = fleet;
    replica->listed = true;
    replica->asked_at = -FRESH_MS;
    replica->heard_at = loop_now(fleet->loop);
    snprintf(replica->service, sizeof(replica->service), "%s", service);
    snprintf(replica->instance, sizeof(replica->instance), "%s", instance);
    fleet->replicas[fleet->count++] = replica;
}

static void list_service(struct fleet *fleet, const char *service, const json_t *instances)
{
    size_t i;
    json_t *item;
    json_array_foreach(instances, i, item)
    {
        const char *instance = json_is_string(item) ? json_string_value(item) : "";
        struct replica *replica = find(fleet, service, instance);
        if (!replica)
            add(fleet, service, instance);
        else
            replica->listed = true;
    }
}

static bool is_silent(const struct replica *replica, int64_t now)
{
    return replica->silent || replica->gone ||
           (replica->call && now - replica->asked_at >= SILENT_MS);
}

static bool is_unreachable(const struct replica *replica, int64_t now)
{
    return is_silent(replica, now) && (replica->gone || now - replica->heard_at >= UNHEARD_MS);
}

/* Those that the brokers don't know any more: frozen ones are kept for a while. */
static void leave_out(struct fleet *fleet)
{
    int64_t now = loop_now(fleet->loop);
    size_t kept = 0;
    for (size_t i = 0; i < fleet->count; i++) {
        struct replica *replica = fleet->replicas[i];
        if (replica->listed) {
            replica->gone = false;
        } else if (!replica->gone && is_silent(replica, now)) {
            replica->gone = true;
            replica->gone_at = now;
        }
        if (replica->listed || (replica->gone && now - replica->gone_at < KEEP_MS)) {
            fleet->replicas[kept++] = replica;
            continue;
        }
        if (replica->call)
            fleet->flying--;
        replica_free(replica);
    }
    fleet->count = kept;
}

static int by_name(const void *a, const void *b)
{
    const struct replica *one = *(const struct replica *const *)a;
    const struct replica *two = *(const struct replica *const *)b;
    int order = strcmp(one->service, two->service);
    return order ? order : strcmp(one->instance, two->instance);
}

static void read_peers(struct fleet *fleet)
{
    AUTOJSON json_t *overview = bus_overview(fleet->bus);
    const char *service;
    json_t *instances;
    for (size_t i = 0; i < fleet->count; i++)
        fleet->replicas[i]->listed = false;
    json_object_foreach(json_object_get(overview, "services"), service, instances)
        list_service(fleet, service, instances);
    leave_out(fleet);
    qsort(fleet->replicas, fleet->count, sizeof(fleet->replicas[0]), by_name);
}

static void tell_if_settled(struct fleet *fleet)
{
    if (fleet->settled && fleet_settled(fleet))
        fleet->settled(fleet->settled_arg);
}

/* The brokers give up one that is silent for seconds; one whose connection broke at once. */
static bool tells_of_silence(const struct replica *replica, enum err error)
{
    if (error == ERR_TIMEOUT || error == ERR_EXPIRED)
        return true;
    bool lost = error == ERR_PEER_LOST || error == ERR_NO_SERVICE;
    return lost &&
           (replica->silent || loop_now(replica->fleet->loop) - replica->asked_at >= SILENT_MS);
}

static void answered(void *arg, const struct bus_answer *answer)
{
    struct replica *replica = arg;
    struct fleet *fleet = replica->fleet;
    if (!answer->last)
        return;
    replica->call = 0;
    fleet->flying--;
    replica->heard = true;
    replica->mute = answer->error == ERR_NOT_FOUND || answer->error == ERR_DENIED;
    replica->silent = tells_of_silence(replica, answer->error);
    if (!replica->silent)
        replica->heard_at = loop_now(fleet->loop);
    if (answer->error == ERR_OK) {
        json_decref(replica->about);
        replica->about = json_incref(answer->result);
    }
    tell_if_settled(fleet);
}

static void ask(struct replica *replica)
{
    struct fleet *fleet = replica->fleet;
    char method[SERVICE_SIZE + 32];
    snprintf(method, sizeof(method), "%s@%s.about", replica->service, replica->instance);
    replica->asked_at = loop_now(fleet->loop);
    fleet->flying++;
    replica->call = bus_call(
        fleet->bus,
        (struct bus_request){
            .method = method, .args = json_object(), .timeout_ms = ASK_MS, .max_repeats = -1},
        answered, replica);
}

static void ask_due(struct fleet *fleet)
{
    int64_t now = loop_now(fleet->loop);
    for (size_t i = 0; i < fleet->count && fleet->flying < FLIGHT_MAX; i++) {
        struct replica *replica = fleet->replicas[i];
        if (!replica->call && !replica->gone && now - replica->asked_at >= FRESH_MS)
            ask(replica);
    }
}

static void on_round(void *arg)
{
    struct fleet *fleet = arg;
    read_peers(fleet);
    if (loop_now(fleet->loop) - fleet->looked_at < LOOK_MS) {
        ask_due(fleet);
        loop_timer_start(fleet->timer, ROUND_MS);
    }
    tell_if_settled(fleet);
}

void fleet_look(struct fleet *fleet)
{
    fleet->looked_at = loop_now(fleet->loop);
    read_peers(fleet);
    ask_due(fleet);
    if (!loop_timer_active(fleet->timer))
        loop_timer_start(fleet->timer, ROUND_MS);
}

bool fleet_settled(const struct fleet *fleet)
{
    int64_t now = loop_now(fleet->loop);
    for (size_t i = 0; i < fleet->count; i++) {
        const struct replica *replica = fleet->replicas[i];
        if (!replica->heard && !is_silent(replica, now) && (replica->call || fleet->flying))
            return false;
    }
    return true;
}

static json_t *describe(const struct replica *replica, int64_t now)
{
    json_t *about = replica->about ? json_copy(replica->about) : json_object();
    bool silent = is_unreachable(replica, now);
    json_object_set_new(about, "service", json_string(replica->service));
    json_object_set_new(about, "instance", json_string(replica->instance));
    json_object_set_new(about, "reachable", json_boolean(!silent));
    if (silent)
        json_object_set_new(about, "problem", json_string(replica->gone ? NOT_THERE : SILENT));
    else if (replica->mute)
        json_object_set_new(about, "note", json_string("does not describe itself"));
    if (!json_object_get(about, "problem"))
        json_object_set_new(about, "problem", json_null());
    return about;
}

json_t *fleet_list(const struct fleet *fleet)
{
    json_t *list = json_array();
    int64_t now = loop_now(fleet->loop);
    for (size_t i = 0; i < fleet->count; i++)
        json_array_append_new(list, describe(fleet->replicas[i], now));
    return list;
}

enum fleet_state fleet_find(const struct fleet *fleet, const char *service, const char *instance,
                            const json_t **ret_about)
{
    const struct replica *replica = find(fleet, service, instance);
    if (!replica)
        return FLEET_GONE;
    *ret_about = replica->about;
    return is_unreachable(replica, loop_now(fleet->loop)) ? FLEET_SILENT : FLEET_WELL;
}
