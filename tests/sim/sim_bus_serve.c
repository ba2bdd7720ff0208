/* libcommon/bus.h: calls in. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/mem.h"
#include "tests/sim/sim_bus.h"

struct bus_call {
    struct bus *bus;
    struct bus_call *next, **prev_next;
    unsigned link;
    uint64_t generation, asker, seq;
    bool one_way, cancelled;
    const struct proto_method *method;
    int64_t deadline;
    struct trace trace;
};

static void answer(struct bus_call *call, enum err status, int64_t retry_after_ms, char *body)
{
    struct bus *bus = call->bus;
    if (call->one_way || call->cancelled || !bus->links[call->link].ready ||
        bus->links[call->link].generation != call->generation)
        return;
    struct packet *packet = packet_new(bus, PROTO_FINAL, call->link, call->seq);
    packet->asker = call->asker;
    packet->status = status;
    packet->retry_after_ms = retry_after_ms;
    packet->body = body;
    broker_send(packet);
}

static void send_answer(struct bus_call *call, enum err status, int64_t retry_after_ms, char *body)
{
    answer(call, status, retry_after_ms, body);
    *call->prev_next = call->next;
    if (call->next)
        call->next->prev_next = call->prev_next;
    call->bus->serving_count--;
    free(call);
}

void bus_reply(struct bus_call **call_p, json_t *result)
{
    struct bus_call *call = *call_p;
    *call_p = NULL;
    send_answer(call, ERR_OK, 0, body_dump(result));
    json_decref(result);
}

void bus_reply_text(struct bus_call **call_p, struct buf *result)
{
    struct bus_call *call = *call_p;
    *call_p = NULL;
    send_answer(call, ERR_OK, 0, body_take(result));
}

void bus_reply_error(struct bus_call **call_p, enum err error, const char *detail, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, detail);
    vsnprintf(text, sizeof text, detail, ap);
    va_end(ap);
    bus_reply_busy(call_p, error, 0, text);
}

void bus_reply_busy(struct bus_call **call_p, enum err error, int64_t retry_after_ms,
                    const char *detail)
{
    struct bus_call *call = *call_p;
    *call_p = NULL;
    assert(error != ERR_OK);
    AUTOJSON json_t *body = json_pack("{s:s}", "detail", detail);
    send_answer(call, error, retry_after_ms, body_dump(body));
}

void bus_reply_part(struct bus_call *call, json_t *part)
{
    (void)call;
    json_decref(part);
    assert(!"nothing here streams");
}

int64_t bus_call_time_left(const struct bus_call *call)
{
    int64_t left = call->deadline - loop_now(call->bus->loop);
    return call->cancelled || left < 0 ? 0 : left;
}

const struct trace *bus_call_trace(const struct bus_call *call)
{
    return &call->trace;
}

const char *bus_call_request_id(const struct bus_call *call)
{
    (void)call;
    return "";
}

uint64_t bus_call_from(const struct bus_call *call)
{
    return call->asker;
}

size_t bus_active(const struct bus *bus)
{
    return bus->serving_count;
}

static struct bus_call *serving(struct bus *bus, uint64_t asker, uint64_t seq)
{
    struct bus_call *call = bus->serving;
    while (call && (call->asker != asker || call->seq != seq || call->one_way))
        call = call->next;
    return call;
}

static const struct bus_method *find_handler(const struct bus *bus, const char *name)
{
    for (size_t i = 0; i < bus->options.method_count; i++)
        if (!strcmp(bus->options.methods[i].name, name))
            return &bus->options.methods[i];
    return NULL;
}

void serve_on_request(struct bus *bus, const struct packet *packet)
{
    struct proto_target target;
    if (!packet->one_way && serving(bus, packet->asker, packet->seq))
        return;
    struct bus_call *call = mem_alloc(sizeof *call);
    *call = (struct bus_call){.bus = bus,
                              .next = bus->serving,
                              .prev_next = &bus->serving,
                              .link = packet->broker,
                              .generation = bus->links[packet->broker].generation,
                              .asker = packet->asker,
                              .seq = packet->seq,
                              .one_way = packet->one_way,
                              .deadline = loop_now(bus->loop) + packet->ttl_ms};
    if (call->next)
        call->next->prev_next = &call->next;
    bus->serving = call;
    bus->serving_count++;
    if (bus->closing) {
        bus_reply_error(&call, ERR_DRAINING, "the service is shutting down");
        return;
    }
    if (bus->away && !packet->one_way) {
        bus_reply_error(&call, ERR_DRAINING, "this replica is out of service for now");
        return;
    }
    if (proto_target_parse(packet->method, strlen(packet->method), &target))
        target = (struct proto_target){.service = ""};
    const struct bus_method *method = find_handler(bus, target.method);
    call->method = proto_method_find(target.service, target.method);
    if (!method || !call->method) {
        bus_reply_error(&call, ERR_NOT_FOUND, "no such method");
        return;
    }
    AUTOJSON json_t *args = body_parse(packet, call->method->args);
    method->handler(bus->options.handler_arg, call, args);
}

void serve_on_cancel(struct bus *bus, const struct packet *packet)
{
    struct bus_call *call = serving(bus, packet->asker, packet->seq);
    if (call)
        call->cancelled = true;
}

void serve_give_back(struct bus *bus)
{
    for (struct bus_call *call = bus->serving; call; call = call->next) {
        AUTOJSON json_t *body = json_pack("{s:s}", "detail", err_text(ERR_PEER_LOST));
        answer(call, ERR_PEER_LOST, 0, body_dump(body));
        call->cancelled = true;
    }
}

void serve_release_all(struct bus *bus)
{
    while (bus->serving) {
        struct bus_call *call = bus->serving;
        bus->serving = call->next;
        free(call);
    }
}
