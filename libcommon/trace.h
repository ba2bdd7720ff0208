/* Trace context (W3C Trace Context): which trace a piece of work belongs to, and below which span.
 * Texts come from outside: what doesn't fit gives nothing. Pure functions but trace_new; any
 * thread.
 */
#ifndef MCPBUS_TRACE_H
#define MCPBUS_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TRACE_ID_SIZE = 33,
    TRACE_PARENT_SIZE = 56,
    TRACE_PARENT_MAX = 128, /* of a later version, which may have more at its end */
    TRACE_STATE_MAX = 512,
    TRACE_STATE_MEMBERS_MAX = 32,
};

struct trace {
    uint8_t trace_id[16], span_id[8]; /* zeros: none */
    bool sampled;
};

bool trace_is_set(const struct trace *trace);

/* `traceparent`: 00-TRACE-SPAN-FLAGS in lower-case hex, or that of a later version. False: it fits
 * no version, or an id is all zeros. */
bool trace_parse(const char *text, struct trace *ret_trace);
void trace_format(const struct trace *trace, char ret_text[TRACE_PARENT_SIZE]);

/* `tracestate`: at most 32 members key=value, 512 characters in all. */
bool trace_state_is_good(const char *text);

/* The trace id in hex, "" when there is none. */
void trace_id_format(const struct trace *trace, char ret_text[TRACE_ID_SIZE]);
/* 32 hex digits as a trace id without a span: what a request's own id stands for when nothing else
 * named its trace. */
bool trace_from_request_id(const char *text, struct trace *ret_trace);

#endif
