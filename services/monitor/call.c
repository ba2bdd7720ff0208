#include <string.h>

#include "libcommon/mem.h"
#include "services/monitor/monitor.h"

static void call_free(void *arg)
{
    struct call *call = arg;
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

void call_json(struct call *call, int status, json_t *body)
{
    struct http_request *request = call_request(call);
    struct buf text;
    buf_init(&text, SIZE_MAX / 4);
    js_dump_buf(body, &text);
    json_decref(body);
    if (request)
        http_respond_buf(request, status, "application/json", &text, NULL);
    else
        buf_fini(&text);
}

/* The detail may come from another service: what isn't UTF-8 is replaced. */
void call_detail(struct call *call, int status, const char *detail)
{
    call_json(call, status,
              json_pack("{s:o}", "detail", js_string_capped(detail, strlen(detail), 1024, "…")));
}

void call_error(struct call *call, enum err error, const char *detail)
{
    int status = error == ERR_CANCELLED ? 503 : err_http(error);
    call_detail(call, status, detail);
}
