#include "services/gateway/gateway.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/log.h"

void call_trace_begin(struct call *call, const struct http_request *request)
{
    struct trace given, own;
    bool is_given = trace_parse(http_request_header(request, "traceparent"), &given);
    bool is_own = !is_given && trace_from_request_id(http_request_trace(request), &own);
    call->span = span_begin_root(is_given ? &given : NULL, is_own ? &own : NULL);
    call->is_own_trace = is_own && !call->span.trace.sampled;
}

static void log_answer(const struct call *call, const struct http_request *request, int status)
{
    char trace_id[TRACE_ID_SIZE];
    trace_id_format(&call->span.trace, trace_id);
    log_debug("http_request", LOG_S("method", http_request_method(request)),
              LOG_S("route", call->route ? call->route->http.pattern : ""), LOG_I("status", status),
              LOG_I("us", (clock_ms() - call->started_ms) * 1000),
              LOG_S("request_id", http_request_trace(request)), LOG_S("trace_id", trace_id));
}

/* A trace store makes families of spans by their name: strangers don't make up names. NULL: it is
 * none of HTTP's own. */
static const char *known_method(const char *method)
{
    static const char *const methods[] = {"GET",   "HEAD",    "POST",    "PUT",  "DELETE",
                                          "PATCH", "OPTIONS", "CONNECT", "TRACE"};
    for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
        if (strcmp(methods[i], method) == 0)
            return methods[i];
    return NULL;
}

static void end_span(const struct call *call, const struct http_request *request, int status)
{
    char name[128], code[16];
    const struct route *route = call->route;
    const char *given = http_request_method(request), *method = known_method(given);
    snprintf(name, sizeof(name), "%s%s%s", method ? method : "HTTP", route ? " " : "",
             route ? route->http.pattern : "");
    snprintf(code, sizeof(code), "%d", status);
    span_end(&call->span, name, SPAN_SERVER, status >= 500 ? code : NULL,
             SPAN_ATTRS(SPAN_S("http.request.method", method ? method : "_OTHER"),
                        SPAN_S("http.request.method_original", method ? NULL : given),
                        SPAN_S("http.route", route ? route->http.pattern : NULL),
                        SPAN_S("url.scheme", "http"),
                        SPAN_S("url.path", http_request_path(request)),
                        SPAN_I("http.response.status_code", status),
                        SPAN_S("error.type", status >= 500 ? code : NULL),
                        SPAN_S("mcpbus.request_id", http_request_trace(request))));
}

void call_trace_end(const struct call *call, const struct http_request *request, int status)
{
    if (!call)
        return;
    if (log_enabled(LOG_LEVEL_DEBUG))
        log_answer(call, request, status);
    if (span_is_on(&call->span))
        end_span(call, request, status);
}
