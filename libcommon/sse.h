/* An incremental parser of text/event-stream (HTML Living Standard §9.2.6): bytes in, in pieces of
 * any size, events out. Bytes are passed on as they are: what is no UTF-8 is the reader's matter.
 * One thread. */
#ifndef MCPBUS_SSE_H
#define MCPBUS_SSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/err.h"

struct sse_event {
    const char *event; /* "message" when the stream names none */
    const char *data;  /* NUL-terminated; lines joined by \n */
    size_t len;
    const char *id; /* the last id that the stream gave, "" when none; all texts are borrowed */
};

/* False: enough of it; sse_feed returns at once. */
typedef bool sse_event_fn(void *arg, const struct sse_event *event);

struct sse;
/* `event_max`: bytes that a line, and an event's data, may have. */
struct sse *sse_new(size_t event_max, sse_event_fn *fn, void *arg);
/* Not from within the event function. */
void sse_destroy(struct sse **sse_p);

/* Calls the event function for each event that these bytes complete. ERR_TOO_LARGE: a line or an
 * event is longer than allowed; ERR_CANCELLED: the function said false. Nothing can be fed after
 * either. An event that the stream's end cut off is none: there is nothing to call at the end. */
MUST_CHECK enum err sse_feed(struct sse *sse, const char *data, size_t len);

/* What Last-Event-ID takes up from: the id as of the last complete event, "" when none; borrowed
 * until the next call. It holds no line break and no NUL. */
const char *sse_last_id(const struct sse *sse);
/* The last `retry` that the stream gave, at most a day; −1: none. */
int64_t sse_retry_ms(const struct sse *sse);

#endif
