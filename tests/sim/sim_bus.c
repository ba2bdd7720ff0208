/* libcommon/bus.h between the instances of the world, by the brokers of sim_broker.c: calls out.
 * Retries and deadlines are those of bus_calls.c and bus_serve.c. */
#include "tests/sim/sim_bus.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { RETRY_FIRST_MS = 5, RETRY_MAX_MS = 100, AWAY_PAUSE_MS = 5000 };

bool bus_instance_parse(const char *text, uint64_t *ret_instance)
{
    return proto_instance_parse(text, strlen(text), ret_instance);
}

void bus_instance_format(uint64_t instance, char ret_text[17])
{
    proto_instance_format(instance, ret_text);
}

enum err bus_new(struct loop *loop, const struct bus_options *options, struct bus **ret_bus)
{
    struct bus *bus = mem_alloc(sizeof *bus);
    *bus = (struct bus){.owner = sim.current, .loop = loop, .options = *options};
    snprintf(bus->service, sizeof bus->service, "%s", options->service ? options->service : "");
    while (!bus->instance)
        bus->instance = sim_random();
    proto_instance_format(bus->instance, bus->instance_text);
    broker_greet(bus);
    *ret_bus = bus;
    return ERR_OK;
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
    for (unsigned i = 0; i < SIM_BROKERS; i++)
        if (bus->links[i].ready)
            return true;
    return false;
}

static int pick_link(struct bus *bus)
{
    for (unsigned i = 0; i < SIM_BROKERS; i++) {
        unsigned link = bus->next_link++ % SIM_BROKERS;
        if (bus->links[link].ready)
            return (int)link;
    }
    return -1;
}

/* --- calls out --- */

struct call {
    struct bus *bus;
    struct call *next, **prev_next;
    uint64_t id, seq; /* seq 0: not under way now */
    int link;
    uint64_t generation;
    char *method;
    char *body; /* the world's */
    const struct proto_method *described;
    int64_t deadline;
    int retries;
    bool idempotent, waiting_for_link;
    struct loop_timer *timer;
    bus_answer_fn *done;
    void *arg;
    enum err early;
};

static void call_free(struct call *call)
{
    *call->prev_next = call->next;
    if (call->next)
        call->next->prev_next = call->prev_next;
    call->bus->call_count--;
    loop_timer_destroy(&call->timer);
    free(call->method);
    free(call);
}

static void finish(struct call *call, const struct bus_answer *answer)
{
    bus_answer_fn *done = call->done;
    void *arg = call->arg;
    call_free(call);
    if (done)
        done(arg, answer);
}

static void fail(struct call *call, enum err error)
{
    finish(call, &(struct bus_answer){.error = error, .detail = err_text(error), .last = true});
}

struct packet *packet_new(struct bus *bus, enum proto_type type, unsigned link, uint64_t seq)
{
    struct packet *packet = sim_new(sizeof *packet);
    *packet = (struct packet){.type = type,
                              .broker = link,
                              .from = bus->owner,
                              .generation = bus->links[link].generation,
                              .asker = bus->instance,
                              .seq = seq};
    return packet;
}

/* The text of a message goes into the world's memory. */
char *body_dump(const json_t *body)
{
    AUTOFREE char *text = body ? js_dump(body) : NULL;
    return sim_text(text);
}

char *body_take(struct buf *body)
{
    if (body->full)
        sim_fail("a message that is too large");
    AUTOFREE char *text = buf_steal(body);
    return sim_text(text);
}

/* What came is checked as it would be on the bus. */
json_t *body_parse(const struct packet *packet, const struct proto_field *fields)
{
    char why[PROTO_WHY_SIZE];
    json_t *body = NULL;
    if (!packet->body || !*packet->body)
        return json_object();
    if (js_parse(packet->body, strlen(packet->body), &body, NULL)) {
        sim_fail("not JSON: %.200s", packet->body);
        return json_object();
    }
    if (fields && proto_check(fields, body, why))
        sim_fail("a body that does not fit, %s: %.200s", why, packet->body);
    return body;
}

static void try_send(struct call *call)
{
    struct bus *bus = call->bus;
    int64_t left = call->deadline - loop_now(bus->loop);
    if (left <= 0) {
        fail(call, ERR_TIMEOUT);
        return;
    }
    int link = pick_link(bus);
    call->waiting_for_link = link < 0;
    if (link >= 0) {
        call->seq = ++bus->next_seq;
        call->link = link;
        call->generation = bus->links[link].generation;
        struct packet *packet = packet_new(bus, PROTO_REQUEST, (unsigned)link, call->seq);
        packet->method = sim_text(call->method);
        packet->body = call->body;
        packet->ttl_ms = left;
        broker_send(packet);
    }
    loop_timer_start(call->timer, left);
}

static void send_cancel(struct call *call)
{
    if (call->seq)
        broker_send(packet_new(call->bus, PROTO_CANCEL, (unsigned)call->link, call->seq));
}

static void on_timer(void *arg)
{
    struct call *call = arg;
    if (call->early) {
        fail(call, call->early);
    } else if (call->seq || call->waiting_for_link) {
        send_cancel(call);
        fail(call, ERR_TIMEOUT);
    } else {
        try_send(call);
    }
}

static bool worth_retrying(const struct call *call, enum err error, int64_t retry_after_ms)
{
    switch (error) {
    case ERR_NO_SERVICE:
    case ERR_DRAINING:
        return true;
    case ERR_OVERLOADED:
        return retry_after_ms == 0;
    default:
        return err_group(error) == ERR_GROUP_UNKNOWN && err_retryable(error, call->idempotent);
    }
}

static bool retry(struct call *call)
{
    int64_t left = call->deadline - loop_now(call->bus->loop), delay = 0;
    if (call->retries > 0) {
        int shift = call->retries > 6 ? 6 : call->retries - 1;
        delay = (int64_t)RETRY_FIRST_MS << shift;
        delay = delay > RETRY_MAX_MS ? RETRY_MAX_MS : delay;
    }
    if (left <= delay)
        return false;
    call->retries++;
    call->seq = 0;
    loop_timer_start(call->timer, delay);
    return true;
}

static struct call *call_by_seq(struct bus *bus, uint64_t seq)
{
    struct call *call = bus->calls;
    while (call && call->seq != seq)
        call = call->next;
    return call;
}

void calls_on_answer(struct bus *bus, const struct packet *packet)
{
    struct call *call = packet->asker == bus->instance ? call_by_seq(bus, packet->seq) : NULL;
    if (!call)
        return;
    enum err error = packet->status;
    if (error && worth_retrying(call, error, packet->retry_after_ms) && retry(call))
        return;
    AUTOJSON json_t *body = body_parse(packet, error ? NULL : call->described->result);
    struct bus_answer answer = {.error = error,
                                .result = body,
                                .detail = js_str(body, "detail", err_text(error)),
                                .retry_after_ms = packet->retry_after_ms,
                                .last = true};
    finish(call, &answer);
}

/* What was under way there has an unknown outcome. */
void calls_on_link_lost(struct bus *bus, unsigned link)
{
    for (struct call *call = bus->calls; call; call = call->next) {
        if (!call->seq || call->link != (int)link)
            continue;
        if (call->idempotent && retry(call))
            continue;
        call->seq = 0;
        call->early = ERR_PEER_LOST;
        loop_timer_start(call->timer, 0);
    }
}

void calls_on_link_ready(struct bus *bus)
{
    for (struct call *call = bus->calls; call; call = call->next) {
        if (!call->waiting_for_link)
            continue;
        call->waiting_for_link = false;
        loop_timer_start(call->timer, 0);
    }
}

static enum err prepare(struct call *call, const char *method)
{
    struct proto_target target;
    if (proto_target_parse(method, strlen(method), &target) == ERR_OK)
        call->described = proto_method_find(target.service, target.method);
    if (!call->described)
        sim_fail("a call of %s, which is none", method);
    return call->described ? ERR_OK : ERR_INVALID;
}

uint64_t bus_call(struct bus *bus, struct bus_request request, bus_answer_fn *done, void *arg)
{
    struct call *call = mem_alloc(sizeof *call);
    uint64_t id = ++bus->next_id;
    *call = (struct call){.bus = bus,
                          .next = bus->calls,
                          .prev_next = &bus->calls,
                          .id = id,
                          .method = mem_strdup(request.method),
                          .body = request.text ? body_take(request.text) : body_dump(request.args),
                          .deadline = loop_now(bus->loop) + request.timeout_ms,
                          .idempotent = request.idempotent,
                          .done = done,
                          .arg = arg};
    if (call->next)
        call->next->prev_next = &call->next;
    bus->calls = call;
    bus->call_count++;
    call->timer = loop_timer_new(bus->loop, on_timer, call);
    json_decref(request.args);
    call->early = prepare(call, request.method);
    if (call->early || request.timeout_ms <= 0)
        loop_timer_start(call->timer, 0);
    else
        try_send(call);
    return id;
}

void bus_cancel(struct bus *bus, uint64_t id)
{
    struct call *call = bus->calls;
    while (call && call->id != id)
        call = call->next;
    if (!call)
        return;
    send_cancel(call);
    call_free(call);
}

size_t sim_bus_calls(const struct bus *bus)
{
    return bus->call_count;
}

static void send_one_way(struct bus *bus, int link, const char *method, char *body)
{
    if (link < 0)
        return;
    struct packet *packet = packet_new(bus, PROTO_REQUEST, (unsigned)link, ++bus->next_seq);
    packet->one_way = true;
    packet->method = sim_text(method);
    packet->body = body;
    packet->ttl_ms = PROTO_DEAD_AFTER_MS;
    broker_send(packet);
}

void bus_send(struct bus *bus, const char *method, json_t *args)
{
    send_one_way(bus, pick_link(bus), method, body_dump(args));
    json_decref(args);
}

void bus_send_text(struct bus *bus, const char *method, struct buf *args)
{
    send_one_way(bus, pick_link(bus), method, body_take(args));
}

void bus_send_every_way(struct bus *bus, const char *method, json_t *args)
{
    for (int i = 0; i < SIM_BROKERS; i++)
        if (bus->links[i].ready)
            send_one_way(bus, i, method, body_dump(args));
    json_decref(args);
}

/* --- the end, and who is there --- */

void bus_destroy(struct bus **bus_p)
{
    struct bus *bus = *bus_p;
    if (!bus)
        return;
    bus->closing = true;
    while (bus->calls)
        fail(bus->calls, ERR_CANCELLED);
    broker_goodbye(bus);
    serve_release_all(bus);
    free(bus);
    *bus_p = NULL;
}

/* How it is: whether it takes requests. */
void tell_broker(struct bus *bus, unsigned link)
{
    if (!bus->links[link].ready)
        return;
    struct packet *packet = packet_new(bus, PROTO_DRAIN, link, 0);
    packet->wants_none = bus->draining || bus->away;
    broker_send(packet);
}

void bus_drain(struct bus *bus)
{
    bus->draining = true;
    for (unsigned i = 0; i < SIM_BROKERS; i++)
        tell_broker(bus, i);
}

static bool has_another(const struct bus *bus)
{
    uint64_t peers[2];
    size_t count = bus_peers(bus, bus->service, peers, 2);
    return count > 1 || (count == 1 && peers[0] != bus->instance);
}

void bus_set_away(struct bus *bus, bool away)
{
    int64_t now = loop_now(bus->loop);
    if (!*bus->service || bus->draining)
        return;
    away = away && has_another(bus) && (bus->away || now >= bus->away_after);
    if (away == bus->away)
        return;
    bus->away = away;
    sim_trace("%s", away ? "gives its place to the others" : "takes its place again");
    for (unsigned i = 0; i < SIM_BROKERS; i++)
        tell_broker(bus, i);
    if (away)
        serve_give_back(bus);
    else
        bus->away_after = now + AWAY_PAUSE_MS + (int64_t)(bus->instance % AWAY_PAUSE_MS);
}

size_t bus_peers(const struct bus *bus, const char *service, uint64_t *ret_instances, size_t max)
{
    size_t count = 0;
    for (unsigned link = 0; link < SIM_BROKERS; link++) {
        const struct peer_list *list = bus->links[link].peers;
        for (size_t i = 0; list && i < list->count; i++) {
            size_t n = 0;
            while (n < count && ret_instances[n] != list->items[i].instance)
                n++;
            if (n == count && count < max && !strcmp(list->items[i].service, service))
                ret_instances[count++] = list->items[i].instance;
        }
    }
    return count;
}

static void tell(void *arg)
{
    struct bus *bus = arg;
    bus->peers_pending = false;
    if (bus->peers_changed)
        bus->peers_changed(bus->peers_arg);
}

void peers_on_list(struct bus *bus, unsigned link, const struct peer_list *list)
{
    bus->links[link].peers = list;
    if (!bus->peers_changed || bus->peers_pending)
        return;
    bus->peers_pending = true;
    loop_defer(bus->loop, tell, bus);
}

void bus_on_peers(struct bus *bus, void (*changed)(void *arg), void *arg)
{
    bus->peers_changed = changed;
    bus->peers_arg = arg;
}
