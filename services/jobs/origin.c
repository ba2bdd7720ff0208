#include "services/jobs/origin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libcommon/js.h"
#include "libcommon/js_write.h"
#include "libcommon/log.h"

enum { REQUEST_ID_MAX = 128 };

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

void origin_read(struct origin *ret_origin, const json_t *item)
{
    struct trace trace;
    const char *id = js_str(item, "request_id", ""), *parent = js_str(item, "traceparent", NULL);
    const char *state = js_str(item, "tracestate", NULL);
    *ret_origin = (struct origin){.request_id = NULL};
    if (*id && strlen(id) <= REQUEST_ID_MAX && is_printable(id))
        ret_origin->request_id = id;
    if (trace_parse(parent, &trace))
        ret_origin->traceparent = parent;
    if (ret_origin->traceparent && trace_state_is_good(state))
        ret_origin->tracestate = state;
}

void origin_write(const struct origin *origin, struct buf *out)
{
    if (origin->request_id)
        js_add_member(out, "request_id", origin->request_id);
    if (origin->traceparent)
        js_add_member(out, "traceparent", origin->traceparent);
    if (origin->tracestate)
        js_add_member(out, "tracestate", origin->tracestate);
}

void origin_log(const struct origin *origin, const char *event, const char *job_id, int64_t attempt)
{
    struct trace trace;
    char trace_id[TRACE_ID_SIZE] = "";
    if (!log_enabled(LOG_LEVEL_DEBUG))
        return;
    if (trace_parse(origin->traceparent, &trace) ||
        trace_from_request_id(origin->request_id, &trace))
        trace_id_format(&trace, trace_id);
    log_debug(event, LOG_S("job_id", job_id), LOG_S("request_id", origin->request_id),
              LOG_S("trace_id", trace_id), LOG_I("attempt", attempt));
}

struct span origin_span(const struct origin *origin)
{
    struct trace trace;
    return span_begin(trace_parse(origin->traceparent, &trace) ? &trace : NULL);
}

void origin_committed(const struct span *span, const char *job_id, const char *error)
{
    if (span_is_on(span))
        span_end(span, "jobs.submit", SPAN_SERVER, error,
                 SPAN_ATTRS(SPAN_S("rpc.system.name", "mcpbus"),
                            SPAN_S("rpc.method", "jobs.submit"),
                            SPAN_S("messaging.message.id", job_id), SPAN_S("error.type", error)));
}

/* "2026-01-02T03:04:05.678901Z"; 0: it is something else. */
static int64_t time_us(const char *text)
{
    struct tm tm = {.tm_isdst = 0};
    const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    return rest && *rest == '.' ? (int64_t)timegm(&tm) * 1000000 + strtol(rest + 1, NULL, 10) : 0;
}

void origin_waited(const struct origin *origin, const char *job_id, const char *created_at)
{
    struct span span = origin_span(origin);
    int64_t since = span_is_on(&span) ? time_us(created_at) : 0;
    if (!since)
        return;
    int64_t now = span.start_us;
    span.start_us = since < now ? since : now;
    span_end_at(&span, "queued", SPAN_INTERNAL, NULL,
                SPAN_ATTRS(SPAN_S("messaging.system", "mcpbus"),
                           SPAN_S("messaging.destination.name", "jobs"),
                           SPAN_S("messaging.message.id", job_id)),
                now);
}
