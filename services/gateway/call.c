#include "services/gateway/gateway.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/mem.h"
#include "proto/proto.h"

struct call *call_new(struct gateway *gateway, struct http_request *request)
{
    struct call *call = mem_alloc(sizeof(*call));
    call->gateway = gateway;
    call->request = http_request_id(request);
    call->started_ms = clock_ms();
    call_trace_begin(call, request);
    http_request_set_data(request, call, call_free);
    return call;
}

void call_free(void *arg)
{
    struct call *call = arg;
    if (call->bus_call)
        bus_cancel(call->gateway->bus, call->bus_call);
    if (call->free_extra)
        call->free_extra(call->extra);
    identity_release(call->identity);
    free(call);
}

struct http_request *call_request(const struct call *call)
{
    return http_request_find(call->gateway->http, call->request);
}

static void answered(void *arg, const struct bus_answer *answer)
{
    struct call *call = arg;
    if (!answer->last)
        return;
    call->bus_call = 0;
    if (call_request(call))
        call->on_answer(call, answer);
}

static bool is_repeatable(const char *name)
{
    struct proto_target target;
    const struct proto_method *method = proto_target_parse(name, strlen(name), &target)
                                            ? NULL
                                            : proto_method_find(target.service, target.method);
    return method && method->idempotent;
}

void call_bus(struct call *call, const char *method, json_t *args, int64_t timeout_ms,
              call_answer_fn *on_answer)
{
    struct http_request *request = call_request(call);
    call->on_answer = on_answer;
    call->bus_call =
        bus_call(call->gateway->bus,
                 (struct bus_request){.method = method,
                                      .args = args,
                                      .timeout_ms = timeout_ms,
                                      .idempotent = is_repeatable(method),
                                      .trace = &call->span.trace,
                                      .request_id = request ? http_request_trace(request) : NULL},
                 answered, call);
}

void call_text(struct call *call, int status, const char *text, size_t len)
{
    struct http_request *request = call_request(call);
    if (request)
        http_respond(request, status, "application/json", text, len, NULL);
}

static void respond_buf(struct call *call, int status, struct buf *json,
                        const struct http_header *headers)
{
    struct http_request *request = call_request(call);
    if (request)
        http_respond_buf(request, status, "application/json", json, headers);
    else
        buf_fini(json);
}

void call_buf(struct call *call, int status, struct buf *json)
{
    respond_buf(call, status, json, NULL);
}

static void respond(struct call *call, int status, json_t *body, const struct http_header *headers)
{
    struct buf text;
    buf_init(&text, SIZE_MAX / 4);
    js_dump_buf(body, &text);
    json_decref(body);
    respond_buf(call, status, &text, headers);
}

void call_json(struct call *call, int status, json_t *body)
{
    respond(call, status, body, NULL);
}

/* The detail may come from another service: what isn't UTF-8 is replaced. */
static json_t *detail_body(const char *detail)
{
    return json_pack("{s:o}", "detail", js_string_capped(detail, strlen(detail), 1024, "…"));
}

void call_detail(struct call *call, int status, const char *detail)
{
    respond(call, status, detail_body(detail), NULL);
}

void call_unauthenticated(struct call *call, const char *detail)
{
    static const struct http_header headers[] = {{"WWW-Authenticate", "Bearer"}, {0}};
    respond(call, 401, detail_body(detail), headers);
}

void call_busy(struct call *call, int status, const char *detail, int64_t retry_after_ms)
{
    char seconds[24];
    snprintf(seconds, sizeof(seconds), "%lld",
             (long long)(retry_after_ms > 1000 ? (retry_after_ms + 999) / 1000 : 1));
    struct http_header headers[] = {{"Retry-After", seconds}, {0}};
    respond(call, status, detail_body(detail), headers);
}

void call_error(struct call *call, enum err error, const char *detail, int64_t retry_after_ms)
{
    int status = error == ERR_CANCELLED ? 503 : err_http(error);
    if (status == 429 || status == 503)
        call_busy(call, status, detail, retry_after_ms);
    else if (status == 401)
        call_unauthenticated(call, detail);
    else if (status == 500)
        call_detail(call, 500, "Internal server error");
    else
        call_detail(call, status, detail);
}

bool call_failed(struct call *call, const struct bus_answer *answer)
{
    if (answer->error == ERR_OK)
        return false;
    call_error(call, answer->error, answer->detail, answer->retry_after_ms);
    return true;
}
