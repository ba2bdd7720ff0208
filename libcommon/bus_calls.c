/* Calls out: requests under way, their deadlines and retries. A call keeps its id; each sending of
 * it has a seq of its own, so an answer to an earlier sending finds nobody. */
#include <assert.h>
#include <string.h>

#include "libcommon/bus_internal.h"
#include "libcommon/js.h"
#include "libcommon/js_write.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/metrics.h"
#include "libcommon/span.h"

enum { RETRY_FIRST_MS = 5, RETRY_MAX_MS = 100, REQUEST_ID_MAX = 128 };

struct call {
    struct bus *bus;
    uint64_t id, seq; /* seq 0: not under way now */
    struct bus_link *link;
    char *method, *body;
    size_t body_len;
    const struct proto_method *described;
    int64_t deadline;
    int retries, max_repeats;
    bool idempotent, raw, waiting_for_link;
    bool named; /* for one replica alone */
    struct span span;
    char *metadata; /* NULL: none */
    int64_t started_us;
    struct loop_timer *timer; /* the next retry, or the deadline */
    bus_answer_fn *done;
    void *arg;
    enum err early; /* an error found before anything was sent */
};

enum err bus_body_parse(zmq_msg_t *frame, json_t **ret_object)
{
    if (zmq_msg_size(frame) == 0) {
        *ret_object = json_object();
        return ERR_OK;
    }
    json_t *value = NULL;
    enum err err = js_parse(zmq_msg_data(frame), zmq_msg_size(frame), &value, NULL);
    if (err)
        return err;
    if (!json_is_object(value)) {
        json_decref(value);
        return ERR_INVALID;
    }
    *ret_object = value;
    return ERR_OK;
}

static void forget_seq(struct call *call)
{
    if (call->seq)
        map_take(call->bus->calls_by_seq, &call->seq, sizeof call->seq);
    call->seq = 0;
}

static void call_free(struct call *call)
{
    forget_seq(call);
    map_take(call->bus->calls_by_id, &call->id, sizeof call->id);
    loop_timer_destroy(&call->timer);
    free(call->method);
    free(call->metadata);
    free(call->body);
    free(call);
}

static void note_end(const struct call *call, enum err error)
{
    static struct metric_set durations, failures;
    const char *method = call->described ? call->described->name : "other";
    if (call->bus->options.measured)
        metric_observe_since(
            metric_histogram_by(&durations, call->described, "mcpbus_bus_call_duration_seconds",
                                "method", method,
                                "Calls over the bus by method, from the caller's side."),
            call->started_us);
    if (call->bus->options.measured && error)
        metric_add(metric_counter_by(&failures, err_name(error), "mcpbus_bus_call_failures_total",
                                     "error", err_name(error),
                                     "Calls over the bus that failed, by error."),
                   1);
    if (span_is_on(&call->span))
        span_end(&call->span, method, SPAN_CLIENT, error ? err_name(error) : NULL,
                 SPAN_ATTRS(SPAN_S("rpc.system.name", "mcpbus"), SPAN_S("rpc.method", method),
                            SPAN_S("error.type", error ? err_name(error) : NULL),
                            SPAN_I("mcpbus.bus.retries", call->retries)));
}

static void finish(struct call *call, const struct bus_answer *answer)
{
    note_end(call, answer->error);
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

static void send_request(struct call *call, struct bus_link *link, int64_t left)
{
    struct bus *bus = call->bus;
    struct wire_message message;
    wire_init(&message);
    call->seq = ++bus->next_seq;
    call->link = link;
    message.header = (struct proto_header){
        .type = PROTO_REQUEST,
        .flags = (uint8_t)((call->idempotent ? PROTO_FLAG_IDEMPOTENT : 0) |
                           (call->span.trace.sampled ? PROTO_FLAG_SAMPLED : 0)),
        .instance = bus->instance,
        .seq = call->seq,
        .ttl_ms = left > PROTO_TTL_MAX_MS ? PROTO_TTL_MAX_MS : (uint32_t)left,
    };
    const struct trace *trace = &call->span.trace;
    memcpy(message.header.trace_id, trace->trace_id, sizeof trace->trace_id);
    memcpy(message.header.span_id, trace->span_id, sizeof trace->span_id);
    wire_set(&message.method, call->method, strlen(call->method));
    if (call->metadata)
        wire_set(&message.metadata, call->metadata, strlen(call->metadata));
    wire_set(&message.body, call->body, call->body_len);
    map_put(bus->calls_by_seq, &call->seq, sizeof call->seq, call);
    link_send(link, &message);
}

static void try_send(struct call *call)
{
    int64_t left = call->deadline - loop_now(call->bus->loop);
    if (left <= 0) {
        fail(call, ERR_TIMEOUT);
        return;
    }
    struct bus_link *link = bus_pick_link(call->bus, true);
    call->waiting_for_link = !link;
    if (link)
        send_request(call, link, left);
    loop_timer_start(call->timer, left);
}

static void send_cancel(struct call *call)
{
    struct wire_message message;
    wire_init(&message);
    message.header = (struct proto_header){
        .type = PROTO_CANCEL, .instance = call->bus->instance, .seq = call->seq};
    link_send(call->link, &message);
}

static void time_out(struct call *call)
{
    if (call->seq)
        send_cancel(call);
    fail(call, ERR_TIMEOUT);
}

/* The deadline, a retry's time, or an error to report. */
static void on_timer(void *arg)
{
    struct call *call = arg;
    if (call->early)
        fail(call, call->early);
    else if (call->seq || call->waiting_for_link)
        time_out(call);
    else
        try_send(call);
}

static bool worth_retrying(const struct call *call, enum err error, uint32_t retry_after_ms)
{
    switch (error) {
    case ERR_NO_SERVICE: /* a replica that no broker knows does not come back under its name */
        return !call->named || (size_t)call->retries <= call->bus->link_count;
    case ERR_DRAINING:
        return true;
    case ERR_OVERLOADED: /* the broker's word has no hint; a service's own is for the caller */
        return retry_after_ms == 0;
    default:
        return err_group(error) == ERR_GROUP_UNKNOWN && err_retryable(error, call->idempotent);
    }
}

/* Sends again, at once the first time and then ever more slowly; false when there is no time, or it
 * has been sent often enough. */
static bool retry(struct call *call)
{
    int64_t left = call->deadline - loop_now(call->bus->loop);
    int64_t delay = 0;
    if (call->max_repeats < 0 || (call->max_repeats && call->retries >= call->max_repeats))
        return false;
    if (call->retries > 0) {
        int shift = call->retries > 6 ? 6 : call->retries - 1;
        delay = (int64_t)RETRY_FIRST_MS << shift;
        delay = delay > RETRY_MAX_MS ? RETRY_MAX_MS : delay;
    }
    if (left <= delay)
        return false;
    call->retries++;
    forget_seq(call);
    loop_timer_start(call->timer, delay);
    return true;
}

static void hand_over(struct call *call, const struct bus_answer *answer)
{
    if (answer->last)
        finish(call, answer);
    else if (call->done)
        call->done(call->arg, answer);
}

static void give_raw(struct call *call, struct wire_message *message)
{
    hand_over(call, &(struct bus_answer){.text = zmq_msg_data(&message->body),
                                         .text_len = zmq_msg_size(&message->body),
                                         .detail = "",
                                         .last = message->header.type == PROTO_FINAL});
}

static void give(struct call *call, struct wire_message *message)
{
    AUTOJSON json_t *body = NULL;
    bool last = message->header.type == PROTO_FINAL;
    enum err error = message->header.status;
    if (bus_body_parse(&message->body, &body) != ERR_OK && error == ERR_OK)
        error = ERR_BAD_FRAME;
    char why[PROTO_WHY_SIZE];
    if (last && error == ERR_OK && call->described &&
        proto_check(call->described->result, body, why) != ERR_OK) {
        log_debug("bad_answer", LOG_S("method", call->method), LOG_S("why", why));
        error = ERR_BAD_FRAME;
    }
    struct bus_answer answer = {.error = error,
                                .result = body,
                                .detail = js_str(body, "detail", err_text(error)),
                                .retry_after_ms = message->header.retry_after_ms,
                                .last = last};
    hand_over(call, &answer);
}

void calls_on_answer(struct bus *bus, struct wire_message *message)
{
    struct call *call = map_get(bus->calls_by_seq, &message->header.seq, sizeof(uint64_t));
    if (!call || message->header.instance != bus->instance)
        return;
    const struct proto_header *header = &message->header;
    if (header->type == PROTO_FINAL && header->status != ERR_OK && header->part == 0 &&
        worth_retrying(call, header->status, header->retry_after_ms) && retry(call))
        return;
    if (call->raw && header->status == ERR_OK)
        give_raw(call, message);
    else
        give(call, message);
}

/* Taking calls out of the map while walking it is fine; what a callback adds may be missed here and
 * has a link of its own. */
static struct call **calls_where(struct bus *bus, bool (*wanted)(const struct call *, void *),
                                 void *arg, size_t *ret_count)
{
    struct call **list = mem_alloc((map_count(bus->calls_by_id) + 1) * sizeof(struct call *));
    size_t at = 0, count = 0;
    struct call *call = NULL;
    while ((call = map_next(bus->calls_by_id, &at)))
        if (wanted(call, arg))
            list[count++] = call;
    *ret_count = count;
    return list;
}

static bool is_on_link(const struct call *call, void *link)
{
    return call->seq && call->link == link;
}

static bool is_waiting(const struct call *call, void *arg)
{
    (void)arg;
    return call->waiting_for_link;
}

static bool is_any(const struct call *call, void *arg)
{
    (void)call;
    (void)arg;
    return true;
}

/* What was under way there has an unknown outcome. Failing goes through the timer, so that no
 * callback runs (and frees other calls) while this walks the list. */
void calls_on_link_lost(struct bus *bus, struct bus_link *link)
{
    size_t count = 0;
    struct call **list = calls_where(bus, is_on_link, link, &count);
    for (size_t i = 0; i < count; i++) {
        struct call *call = list[i];
        if (call->idempotent && retry(call))
            continue;
        forget_seq(call);
        call->early = ERR_PEER_LOST;
        loop_timer_start(call->timer, 0);
    }
    free(list);
}

void calls_on_link_ready(struct bus *bus)
{
    size_t count = 0;
    struct call **list = calls_where(bus, is_waiting, NULL, &count);
    for (size_t i = 0; i < count; i++) {
        list[i]->waiting_for_link = false;
        loop_timer_start(list[i]->timer, 0);
    }
    free(list);
}

void calls_cancel_all(struct bus *bus)
{
    for (;;) {
        size_t count = 0;
        struct call **list = calls_where(bus, is_any, NULL, &count);
        struct call *first = count ? list[0] : NULL;
        free(list);
        if (!first)
            return;
        fail(first, ERR_CANCELLED);
    }
}

static enum err prepare(struct call *call, struct bus_request *request)
{
    struct proto_target target;
    char why[PROTO_WHY_SIZE];
    if (proto_target_parse(request->method, strlen(request->method), &target) != ERR_OK)
        return ERR_INVALID;
    call->named = target.reach == PROTO_ONE;
    call->described = proto_method_find(target.service, target.method);
    if (target.reach == PROTO_ALL || (request->args && call->described &&
                                      proto_check(call->described->args, request->args, why)))
        return ERR_INVALID;
    if (request->args) {
        call->body = js_dump(request->args);
        call->body_len = strlen(call->body);
    }
    if (call->body_len > PROTO_BODY_MAX_BYTES)
        return ERR_TOO_LARGE;
    return map_count(call->bus->calls_by_id) >= BUS_CALLS_MAX ? ERR_OVERLOADED : ERR_OK;
}

static char *metadata_of(const char *request_id)
{
    struct buf text;
    buf_init(&text, PROTO_METADATA_MAX_BYTES);
    buf_add_char(&text, '{');
    js_add_member(&text, "request_id", request_id);
    buf_add_char(&text, '}');
    return buf_steal(&text);
}

uint64_t bus_call(struct bus *bus, struct bus_request request, bus_answer_fn *done, void *arg)
{
    struct call *call = mem_alloc(sizeof *call);
    uint64_t id = ++bus->next_id;
    *call = (struct call){.bus = bus,
                          .id = id,
                          .method = mem_strdup(request.method),
                          .deadline = loop_now(bus->loop) + request.timeout_ms,
                          .idempotent = request.idempotent,
                          .raw = request.raw,
                          .max_repeats = request.max_repeats,
                          .done = done,
                          .arg = arg};
    if (request.text) {
        call->early = buf_check(request.text);
        call->body_len = request.text->len;
        call->body = buf_steal(request.text);
    }
    if (bus->options.measured)
        call->started_us = metric_now_us();
    call->span = span_begin(request.trace);
    if (request.request_id && *request.request_id && strlen(request.request_id) <= REQUEST_ID_MAX)
        call->metadata = metadata_of(request.request_id);
    call->timer = loop_timer_new(bus->loop, on_timer, call);
    if (!call->early)
        call->early = prepare(call, &request);
    json_decref(request.args);
    map_put(bus->calls_by_id, &call->id, sizeof call->id, call);
    if (call->early || request.timeout_ms <= 0)
        loop_timer_start(call->timer, 0);
    else
        try_send(call);
    return id;
}

void bus_cancel(struct bus *bus, uint64_t id)
{
    struct call *call = map_get(bus->calls_by_id, &id, sizeof id);
    if (!call)
        return;
    if (call->seq)
        send_cancel(call);
    call_free(call);
}

/* `body` stays the caller's. */
static void send_one_way(struct bus_link *link, const char *method, zmq_msg_t *body)
{
    struct bus *bus = link->bus;
    struct wire_message message;
    wire_init(&message);
    message.header = (struct proto_header){.type = PROTO_REQUEST,
                                           .flags = PROTO_FLAG_ONEWAY,
                                           .instance = bus->instance,
                                           .seq = ++bus->next_seq,
                                           .ttl_ms = PROTO_DEAD_AFTER_MS};
    wire_set(&message.method, method, strlen(method));
    zmq_msg_copy(&message.body, body);
    link_send(link, &message);
}

/* Initialises and fills the frame; false when this can't be sent. `body` is consumed. */
static bool one_way_body(const char *method, char *body, size_t len, zmq_msg_t *ret_body)
{
    struct proto_target target;
    zmq_msg_init(ret_body);
    wire_set_owned(ret_body, body, len);
    if (len <= PROTO_BODY_MAX_BYTES &&
        proto_target_parse(method, strlen(method), &target) == ERR_OK)
        return true;
    log_debug("bus_send_refused", LOG_S("method", method), LOG_I("bytes", len));
    return false;
}

static char *dump_taken(json_t *args)
{
    char *text = js_dump(args);
    json_decref(args);
    return text;
}

static void send_somewhere(struct bus *bus, const char *method, char *text, size_t len)
{
    zmq_msg_t body;
    bool good = one_way_body(method, text, len, &body);
    struct bus_link *link = bus_pick_link(bus, false);
    if (good && link)
        send_one_way(link, method, &body);
    zmq_msg_close(&body);
}

void bus_send(struct bus *bus, const char *method, json_t *args)
{
    char *text = dump_taken(args);
    send_somewhere(bus, method, text, strlen(text));
}

void bus_send_text(struct bus *bus, const char *method, struct buf *args)
{
    size_t len = args->full ? SIZE_MAX : args->len;
    send_somewhere(bus, method, buf_steal(args), len);
}

void bus_send_every_way(struct bus *bus, const char *method, json_t *args)
{
    zmq_msg_t body;
    char *text = dump_taken(args);
    bool good = one_way_body(method, text, strlen(text), &body);
    for (size_t i = 0; good && i < bus->link_count; i++)
        if (bus->links[i].state == LINK_READY)
            send_one_way(&bus->links[i], method, &body);
    zmq_msg_close(&body);
}
