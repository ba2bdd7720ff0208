#include <stdio.h>
#include <string.h>

#include "libcommon/mem.h"
#include "services/monitor/monitor.h"

static void call_free(void *arg)
{
    struct call *call = arg;
    call_forget_asks(call);
    if (call->bus_call)
        bus_cancel(call->monitor->bus, call->bus_call);
    loop_timer_destroy(&call->patience);
    loop_timer_destroy(&call->again);
    json_decref(call->kept);
    free(call);
}

struct call *call_new(struct monitor *monitor, struct http_request *request)
{
    struct call *call = mem_alloc(sizeof(*call));
    call->monitor = monitor;
    call->request = http_request_id(request);
    http_request_set_data(request, call, call_free);
    return call;
}

struct http_request *call_request(const struct call *call)
{
    return http_request_find(call->monitor->http, call->request);
}

static void respond(struct call *call, int status, json_t *body, const struct http_header *headers)
{
    struct http_request *request = call_request(call);
    struct buf text;
    buf_init(&text, SIZE_MAX / 4);
    js_dump_buf(body, &text);
    json_decref(body);
    if (request)
        http_respond_buf(request, status, "application/json", &text, headers);
    else
        buf_fini(&text);
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

void call_error(struct call *call, enum err error, const char *detail, int64_t retry_after_ms)
{
    int status = error == ERR_CANCELLED ? 503 : err_http(error);
    char seconds[24];
    snprintf(seconds, sizeof(seconds), "%lld",
             (long long)(retry_after_ms > 1000 ? (retry_after_ms + 999) / 1000 : 1));
    struct http_header headers[] = {{"Retry-After", seconds}, {0}};
    respond(call, status, detail_body(detail), status == 429 || status == 503 ? headers : NULL);
}

bool call_failed(struct call *call, const struct bus_answer *answer)
{
    if (answer->error == ERR_OK)
        return false;
    call_error(call, answer->error, answer->detail, answer->retry_after_ms);
    return true;
}
