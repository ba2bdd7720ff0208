/* Calls in: requests from a broker to this process's handlers, and their answers. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/bus_internal.h"
#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/metrics.h"
#include "libcommon/span.h"

enum { CREDIT_DEFAULT = 1024, CREDIT_MIN = 8, DETAIL_MAX = 512, REQUEST_ID_MAX = 128 };

struct bus_call {
    struct bus *bus;
    struct bus_link *link;
    uint32_t generation;
    struct proto_header header; /* of the request */
    const struct proto_method *method;
    int64_t deadline;
    uint32_t parts;
    bool cancelled;
    struct span span;
    char *request_id; /* NULL: none */
    int64_t started_us;
    enum err error; /* that it was answered with */
};

struct serving_key {
    uint64_t instance, seq;
};

unsigned serve_allowance(const struct bus *bus)
{
    if (!bus->service)
        return 0;
    unsigned total = bus->options.credit ? bus->options.credit : CREDIT_DEFAULT;
    unsigned each = total / (unsigned)(bus->link_count ? bus->link_count : 1);
    return each < CREDIT_MIN ? CREDIT_MIN : each;
}

static struct serving_key key_of(const struct proto_header *header)
{
    return (struct serving_key){header->instance, header->seq};
}

static void count_answered(struct bus_link *link)
{
    link->answered++;
    link_grant_credit(link);
}

static void note_end(const struct bus_call *call)
{
    static struct metric_set durations, failures;
    const char *method = call->method ? call->method->name : "other";
    const char *error = call->error ? err_name(call->error) : NULL;
    if (call->bus->options.measured)
        metric_observe_since(
            metric_histogram_by(
                &durations, call->method, "mcpbus_bus_request_duration_seconds", "method", method,
                "Requests from the bus by method, from their coming to the answer."),
            call->started_us);
    if (call->bus->options.measured && error)
        metric_add(metric_counter_by(&failures, error, "mcpbus_bus_request_failures_total", "error",
                                     error, "Requests from the bus answered with an error."),
                   1);
    if (span_is_on(&call->span))
        span_end(&call->span, method, SPAN_SERVER, error,
                 SPAN_ATTRS(SPAN_S("rpc.system.name", "mcpbus"), SPAN_S("rpc.method", method),
                            SPAN_S("error.type", error),
                            SPAN_S("mcpbus.request_id", call->request_id)));
}

static void call_free(struct bus_call *call)
{
    struct bus *bus = call->bus;
    note_end(call);
    if (!(call->header.flags & PROTO_FLAG_ONEWAY)) {
        struct serving_key key = key_of(&call->header);
        map_take(bus->serving, &key, sizeof key);
        if (call->link->generation == call->generation)
            count_answered(call->link);
    }
    bus->serving_count--;
    free(call->request_id);
    free(call);
}

/* The answer goes back over the link it came by; a link that was lost meanwhile takes it nowhere:
 * its broker has told the caller. */
static bool is_wanted(const struct bus_call *call)
{
    return !(call->header.flags & PROTO_FLAG_ONEWAY) && !call->cancelled &&
           call->link->generation == call->generation;
}

/* `text` is consumed. */
static void send_text(struct bus_call *call, enum proto_type type, enum err status,
                      uint32_t retry_after_ms, char *text, size_t len)
{
    call->error = status;
    if (!is_wanted(call)) {
        free(text);
        return;
    }
    struct wire_message message;
    wire_init(&message);
    message.header =
        (struct proto_header){.type = type,
                              .status = status,
                              .instance = call->header.instance,
                              .seq = call->header.seq,
                              .retry_after_ms = retry_after_ms,
                              .part = type == PROTO_PARTIAL ? ++call->parts : call->parts};
    if (len > PROTO_BODY_MAX_BYTES) {
        free(text);
        text = NULL;
        message.header.status = ERR_TOO_LARGE;
    }
    if (text)
        wire_set_owned(&message.body, text, len);
    link_send(call->link, &message);
}

/* `body` is consumed. */
static void send_answer(struct bus_call *call, enum proto_type type, enum err status,
                        uint32_t retry_after_ms, json_t *body)
{
    char *text = is_wanted(call) ? js_dump(body) : NULL;
    json_decref(body);
    send_text(call, type, status, retry_after_ms, text, text ? strlen(text) : 0);
}

void bus_reply(struct bus_call **call_p, json_t *result)
{
    struct bus_call *call = *call_p;
    char why[PROTO_WHY_SIZE];
    *call_p = NULL;
    if (call->method && proto_check(call->method->result, result, why) != ERR_OK) {
        log_error("bad_result", LOG_S("method", call->method->name), LOG_S("why", why));
        json_decref(result);
        result = json_pack("{s:s}", "detail", "internal error");
        send_answer(call, PROTO_FINAL, ERR_INTERNAL, 0, result);
    } else {
        send_answer(call, PROTO_FINAL, ERR_OK, 0, result);
    }
    call_free(call);
}

void bus_reply_text(struct bus_call **call_p, struct buf *result)
{
    struct bus_call *call = *call_p;
    size_t len = result->full ? SIZE_MAX : result->len;
    *call_p = NULL;
    send_text(call, PROTO_FINAL, ERR_OK, 0, buf_steal(result), len);
    call_free(call);
}

static json_t *detail_body(const char *detail)
{
    return json_pack("{s:o}", "detail", js_string_capped(detail, strlen(detail), DETAIL_MAX, "…"));
}

void bus_reply_error(struct bus_call **call_p, enum err error, const char *detail, ...)
{
    char text[DETAIL_MAX + 1];
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
    assert(error != ERR_OK);
    *call_p = NULL;
    send_answer(call, PROTO_FINAL, error, (uint32_t)retry_after_ms, detail_body(detail));
    call_free(call);
}

void bus_reply_part_text(struct bus_call *call, struct buf *part)
{
    size_t len = part->full ? SIZE_MAX : part->len;
    send_text(call, PROTO_PARTIAL, ERR_OK, 0, buf_steal(part), len);
}

void bus_reply_part(struct bus_call *call, json_t *part)
{
    send_answer(call, PROTO_PARTIAL, ERR_OK, 0, part);
}

int64_t bus_call_time_left(const struct bus_call *call)
{
    int64_t left = call->deadline - loop_now(call->bus->loop);
    return call->cancelled || left < 0 ? 0 : left;
}

const struct trace *bus_call_trace(const struct bus_call *call)
{
    return &call->span.trace;
}

const char *bus_call_request_id(const struct bus_call *call)
{
    return call->request_id ? call->request_id : "";
}

bool bus_call_wants_answer(const struct bus_call *call)
{
    return !(call->header.flags & PROTO_FLAG_ONEWAY);
}

uint64_t bus_call_from(const struct bus_call *call)
{
    return call->header.instance;
}

size_t bus_active(const struct bus *bus)
{
    size_t count = bus->serving_count;
    for (size_t i = 0; bus->draining && bus->service && i < bus->link_count; i++)
        count += bus->links[i].state != LINK_CONNECTING && !bus->links[i].off_list;
    return count;
}

static struct bus_call *call_new(struct bus *bus, struct bus_link *link,
                                 const struct proto_header *header)
{
    struct bus_call *call = mem_alloc(sizeof *call);
    *call = (struct bus_call){.bus = bus,
                              .link = link,
                              .generation = link->generation,
                              .header = *header,
                              .deadline = loop_now(bus->loop) + header->ttl_ms};
    struct trace trace = {.sampled = header->flags & PROTO_FLAG_SAMPLED};
    memcpy(trace.trace_id, header->trace_id, sizeof header->trace_id);
    memcpy(trace.span_id, header->span_id, sizeof header->span_id);
    call->span = span_begin(&trace);
    if (bus->options.measured)
        call->started_us = metric_now_us();
    bus->serving_count++;
    if (!(header->flags & PROTO_FLAG_ONEWAY)) {
        struct serving_key key = key_of(header);
        map_put(bus->serving, &key, sizeof key, call);
    }
    return call;
}

static const struct bus_method *find_handler(const struct bus *bus, const char *name)
{
    for (size_t i = 0; i < bus->options.method_count; i++)
        if (strcmp(bus->options.methods[i].name, name) == 0)
            return &bus->options.methods[i];
    return NULL;
}

/* What does not fit is left out: it is for logs alone. */
static void read_metadata(struct bus_call *call, zmq_msg_t *metadata)
{
    AUTOJSON json_t *object = NULL;
    if (zmq_msg_size(metadata) == 0 ||
        js_parse(zmq_msg_data(metadata), zmq_msg_size(metadata), &object, NULL) != ERR_OK)
        return;
    const char *id = js_str(object, "request_id", "");
    if (*id && strlen(id) <= REQUEST_ID_MAX)
        call->request_id = mem_strdup(id);
}

/* For those who follow one request through the services. */
static void log_request(const struct bus_call *call, const char *method)
{
    char trace_id[TRACE_ID_SIZE];
    if (!log_enabled(LOG_LEVEL_DEBUG) || !call->request_id)
        return;
    trace_id_format(&call->span.trace, trace_id);
    log_debug("bus_request", LOG_S("method", method), LOG_S("request_id", call->request_id),
              LOG_S("trace_id", trace_id));
}

static bool is_doubled(struct bus *bus, const struct proto_header *header)
{
    struct serving_key key = key_of(header);
    return !(header->flags & PROTO_FLAG_ONEWAY) && map_get(bus->serving, &key, sizeof key);
}

/* `call` is the handler's. */
static void handle(struct bus_call *call, const struct bus_method *method, zmq_msg_t *body)
{
    const struct bus_options *options = &call->bus->options;
    AUTOJSON json_t *args = NULL;
    char why[PROTO_WHY_SIZE] = "the body is not a JSON object";
    if (bus_body_parse(body, &args) != ERR_OK ||
        (call->method && proto_check(call->method->args, args, why) != ERR_OK))
        bus_reply_error(&call, ERR_INVALID, "%s", why);
    else if (!options->text_handler)
        method->handler(options->handler_arg, call, args);
    else if (zmq_msg_size(body) == 0)
        options->text_handler(options->handler_arg, call, method->name, "{}", 2);
    else
        options->text_handler(options->handler_arg, call, method->name, zmq_msg_data(body),
                              zmq_msg_size(body));
}

void serve_on_request(struct bus *bus, struct bus_link *link, struct wire_message *message)
{
    struct proto_target target = {0};
    const struct bus_method *method = NULL;
    if (is_doubled(bus, &message->header)) {
        count_answered(link); /* the broker has spent a credit on it */
        return;
    }
    struct bus_call *call = call_new(bus, link, &message->header);
    read_metadata(call, &message->metadata);
    if (bus->closing) {
        bus_reply_error(&call, ERR_DRAINING, "the service is shutting down");
        return;
    }
    if (bus->away && !(message->header.flags & PROTO_FLAG_ONEWAY)) {
        bus_reply_error(&call, ERR_DRAINING, "this replica is out of service for now");
        return;
    }
    if (bus->service &&
        proto_target_parse(zmq_msg_data(&message->method), zmq_msg_size(&message->method),
                           &target) == ERR_OK &&
        strcmp(target.service, bus->service) == 0) {
        method = find_handler(bus, target.method);
        call->method = proto_method_find(target.service, target.method);
    }
    if (method) {
        log_request(call, method->name);
        handle(call, method, &message->body);
    } else {
        bus_reply_error(&call, ERR_NOT_FOUND, "no such method");
    }
}

static void withdraw(struct bus_call *call)
{
    const struct bus_options *options = &call->bus->options;
    call->cancelled = true;
    if (options->cancelled)
        options->cancelled(options->handler_arg, call);
}

void serve_on_cancel(struct bus *bus, const struct proto_header *header)
{
    struct serving_key key = key_of(header);
    struct bus_call *call = map_get(bus->serving, &key, sizeof key);
    if (call)
        withdraw(call);
}

void serve_on_link_lost(struct bus *bus, const struct bus_link *link)
{
    const struct bus_options *options = &bus->options;
    size_t at = 0;
    struct bus_call *call = NULL;
    while (options->cancelled && (call = map_next(bus->serving, &at)))
        if (call->link == link)
            options->cancelled(options->handler_arg, call);
}

void serve_give_back(struct bus *bus)
{
    size_t at = 0;
    struct bus_call *call = NULL;
    while ((call = map_next(bus->serving, &at))) {
        send_answer(call, PROTO_FINAL, ERR_PEER_LOST, 0, detail_body(err_text(ERR_PEER_LOST)));
        withdraw(call);
    }
}

/* At the end of the process: handlers that never answered. */
void serve_release_all(struct bus *bus)
{
    size_t at = 0;
    struct bus_call *call = NULL;
    while ((call = map_next(bus->serving, &at))) {
        free(call->request_id);
        free(call);
    }
    map_destroy(&bus->serving);
}
