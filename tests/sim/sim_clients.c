/* Those who submit, cancel and read: what a gateway does, with a memory of what it was told. */
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_clients.h"
#include "tests/sim/sim_db.h"

enum { CALL_MS = 10000, FLOOD_PACK = 64 };

struct order { /* one job that somebody wants */
    struct instance *client;
    char user[8], key[24], job_id[48];
    int tries;
    bool cancel, accepted, done;
    int64_t decided; /* times that it was told so */
    char status[16], *result;
};

static struct {
    struct order **orders;
    size_t count, room, done;
    unsigned next_id, refused;
    unsigned jobs;
} clients;

static void submit(void *arg);
static void look(void *arg);

static void finished(struct order *order)
{
    if (!order->done)
        clients.done++;
    order->done = true;
}

static void again(struct order *order, sim_fn *fn)
{
    sim_at(order->client, sim_range(100 * SIM_MS, 2 * SIM_SECOND), fn, order);
}

static uint64_t call(struct order *order, const char *method, json_t *args, bus_answer_fn *done)
{
    struct bus_request request = {
        .method = method, .args = args, .timeout_ms = CALL_MS, .idempotent = true};
    return bus_call(order->client->service.bus, request, done, order);
}

/* --- reading --- */

static bool is_end(const char *status)
{
    return !strcmp(status, "completed") || !strcmp(status, "failed") ||
           !strcmp(status, "cancelled");
}

/* Numbered from 1 without gaps, the last one is the end, and it is the only end. */
static void check_events(const struct order *order, const json_t *answer)
{
    json_t *events = json_object_get(answer, "events"), *event;
    size_t i, count = json_array_size(events);
    SIM_CHECK(js_bool(answer, "ended", false), "%s: events without an end", order->job_id);
    int64_t approvals = 0;
    const char *before = "";
    json_array_foreach(events, i, event)
    {
        const char *type = js_str(event, "type", "");
        bool approval = !strcmp(type, "approval");
        approvals += approval;
        SIM_CHECK(!approval || !strcmp(before, "waiting_approval"), "%s: event %zu approves %s",
                  order->job_id, i + 1, before);
        before = type;
        const char *status = js_str(json_object_get(event, "data"), "status", "");
        SIM_CHECK(js_int(event, "seq", 0) == (int64_t)i + 1, "%s: event %zu has number %lld",
                  order->job_id, i + 1, (long long)js_int(event, "seq", 0));
        SIM_CHECK(is_end(status) == (i + 1 == count), "%s: event %zu of %zu says %s", order->job_id,
                  i + 1, count, status);
    }
    SIM_CHECK(approvals >= order->decided, "%s: %lld decisions, %lld on record", order->job_id,
              (long long)order->decided, (long long)approvals);
}

static void on_events(void *arg, const struct bus_answer *answer)
{
    struct order *order = arg;
    if (answer->error) {
        again(order, look);
        return;
    }
    check_events(order, answer->result);
    finished(order);
}

static void take_status(struct order *order, const json_t *job)
{
    const char *status = js_str(job, "status", ""), *result = js_str(job, "result", "");
    SIM_CHECK(!strcmp(js_str(job, "job_id", ""), order->job_id), "another job than asked for");
    SIM_CHECK(!*order->status || (!strcmp(status, order->status) && !strcmp(result, order->result)),
              "%s was %s and is %s", order->job_id, order->status, status);
    if (!is_end(status) || *order->status)
        return;
    snprintf(order->status, sizeof order->status, "%s", status);
    order->result = sim_text(result);
    sim_trace("%s is told that %s is %s", order->user, order->job_id, status);
}

static void decide(struct order *order);

/* Some press the button twice. */
static void on_decided(void *arg, const struct bus_answer *answer)
{
    struct order *order = arg;
    order->decided += !answer->error;
    if (!answer->error && sim_chance(300000))
        decide(order);
    else
        again(order, look);
}

/* Some answer at once, some late, some never. */
static void decide(struct order *order)
{
    struct bus_request request = {.method = "jobs.decide",
                                  .args = json_pack("{s:s, s:s, s:s}", "job_id", order->job_id,
                                                    "user_id", order->user, "decision",
                                                    sim_chance(700000) ? "approve" : "deny"),
                                  .timeout_ms = CALL_MS};
    bus_call(order->client->service.bus, request, on_decided, order);
}

static void on_got(void *arg, const struct bus_answer *answer)
{
    struct order *order = arg;
    if (answer->error) {
        SIM_CHECK(answer->error != ERR_NOT_FOUND, "%s was accepted and is not found",
                  order->job_id);
        again(order, look);
        return;
    }
    take_status(order, answer->result);
    bool waits = json_object_get(answer->result, "waiting_approval") != NULL;
    if (waits && !order->cancel && sim_chance(300000))
        decide(order);
    else if (!*order->status)
        again(order, look);
    else
        call(order, "jobs.events",
             json_pack("{s:s, s:s, s:i, s:i}", "job_id", order->job_id, "user_id", order->user,
                       "after", 0, "limit", 1000),
             on_events);
}

static void on_cancelled(void *arg, const struct bus_answer *answer)
{
    struct order *order = arg;
    if (answer->error) {
        again(order, look);
        return;
    }
    order->cancel = false;
    SIM_CHECK(is_end(js_str(answer->result, "status", "")), "%s was cancelled and is %s",
              order->job_id, js_str(answer->result, "status", ""));
    on_got(order, answer);
}

static void look(void *arg)
{
    struct order *order = arg;
    bool cancels = order->cancel && sim_chance(500000);
    call(order, cancels ? "jobs.cancel" : "jobs.get",
         json_pack("{s:s, s:s}", "job_id", order->job_id, "user_id", order->user),
         cancels ? on_cancelled : on_got);
}

/* --- submitting --- */

static void retry_submit(struct order *order)
{
    order->tries++;
    /* Without a key a second try would be a second job: some try, some give up. */
    if (*order->key || sim_chance(500000))
        again(order, submit);
    else
        finished(order);
}

static void on_accepted(struct order *order, const char *job_id)
{
    order->accepted = true;
    snprintf(order->job_id, sizeof order->job_id, "%s", job_id);
    check_accepted(job_id, order->user, *order->key ? order->key : NULL);
    /* A cancel may overtake the run. */
    if (order->cancel && sim_chance(300000))
        sim_at(order->client, sim_range(0, 3 * SIM_MS), look, order);
    else
        again(order, look);
}

static void on_submitted(void *arg, const struct bus_answer *answer)
{
    struct order *order = arg;
    const json_t *result = json_array_get(json_object_get(answer->result, "results"), 0);
    const char *job_id = js_str(result, "job_id", NULL), *error = js_str(result, "error", "");
    if (!answer->error && job_id) {
        sim_trace("%s: %s is accepted", order->user, job_id);
        on_accepted(order, job_id);
        return;
    }
    SIM_CHECK(strcmp(error, "CONFLICT") != 0, "a conflict for %s", order->key);
    clients.refused++;
    retry_submit(order);
}

static json_t *item_of(struct order *order)
{
    char id[48];
    snprintf(id, sizeof id, "job-%05u", ++clients.next_id);
    json_t *item =
        json_pack("{s:s, s:s, s:s}", "job_id", id, "user_id", order->user, "message", id + 4);
    if (*order->key) {
        json_object_set_new(item, "key", json_string(order->key));
        json_object_set_new(item, "hash", json_string("h"));
    }
    return item;
}

static void submit(void *arg)
{
    struct order *order = arg;
    call(order, "jobs.submit", json_pack("{s:[o]}", "items", item_of(order)), on_submitted);
}

/* --- a thousand at once --- */

struct pack {
    size_t first, count;
};

static void on_pack(void *arg, const struct bus_answer *answer)
{
    struct pack *pack = arg;
    const json_t *results = json_object_get(answer->result, "results");
    for (size_t i = 0; i < pack->count; i++) {
        struct order *order = clients.orders[pack->first + i];
        const char *job_id = js_str(json_array_get(results, i), "job_id", NULL);
        if (!answer->error && job_id)
            on_accepted(order, job_id);
        else
            retry_submit(order);
    }
}

static void submit_pack(void *arg)
{
    struct pack *pack = arg;
    struct order *first = clients.orders[pack->first];
    json_t *items = json_array();
    for (size_t i = 0; i < pack->count; i++)
        json_array_append_new(items, item_of(clients.orders[pack->first + i]));
    struct bus_request request = {.method = "jobs.submit",
                                  .args = json_pack("{s:o}", "items", items),
                                  .timeout_ms = CALL_MS,
                                  .idempotent = true};
    bus_call(first->client->service.bus, request, on_pack, pack);
}

static struct order *order_new(const char *user)
{
    struct order *order = sim_new(sizeof *order);
    order->client = sim_find(SIM_CLIENT, (unsigned)sim_range(0, 1));
    snprintf(order->user, sizeof order->user, "%s", user);
    if (clients.count == clients.room) {
        clients.room = clients.room ? clients.room * 2 : 64;
        struct order **list = sim_new(clients.room * sizeof *list);
        if (clients.count)
            memcpy(list, clients.orders, clients.count * sizeof *list);
        clients.orders = list;
    }
    clients.orders[clients.count++] = order;
    return order;
}

void sim_clients_flood(unsigned jobs)
{
    for (unsigned left = jobs; left > 0;) {
        struct pack *pack = sim_new(sizeof *pack);
        pack->first = clients.count;
        for (; left > 0 && pack->count < FLOOD_PACK; left--, pack->count++)
            order_new("many");
        sim_at(clients.orders[pack->first]->client, sim_range(0, 50 * SIM_MS), submit_pack, pack);
    }
}

void sim_clients_one(const char *user)
{
    struct order *order = order_new(user);
    sim_at(order->client, 0, submit, order);
}

void sim_client_start(struct instance *instance)
{
    (void)instance;
}

/* Some keys are used by two orders: both must be given the same job. */
void sim_clients_begin(unsigned jobs, int64_t within)
{
    memset(&clients, 0, sizeof clients);
    for (unsigned i = 0; i < jobs; i++) {
        char user[8];
        snprintf(user, sizeof user, "u%d", (int)sim_range(0, 3));
        struct order *order = order_new(user);
        order->cancel = sim_chance(150000);
        if (sim_chance(500000)) {
            snprintf(order->user, sizeof order->user, "u0");
            snprintf(order->key, sizeof order->key, "key-%d", (int)sim_range(0, jobs));
        }
        sim_at(order->client, sim_range(0, within), submit, order);
    }
}

bool sim_clients_done(void)
{
    return clients.done == clients.count;
}
