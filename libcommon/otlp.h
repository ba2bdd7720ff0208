/* Sends spans to a collector by OTLP/HTTP in JSON (opentelemetry-proto, "OTLP/HTTP"). In batches,
 * from a queue with a bound: when the collector is away or slow, spans are dropped and counted, and
 * nothing else waits or grows. Loop's thread only. */
#ifndef MCPBUS_OTLP_H
#define MCPBUS_OTLP_H

#include "libcommon/err.h"
#include "libcommon/http_client.h"
#include "libcommon/loop.h"
#include "libcommon/span.h"

struct otlp;

struct otlp_options {
    struct loop *loop;
    const char *endpoint; /* its base URL; spans go to …/v1/traces */
    const char *headers;  /* "name=value,…", values percent-encoded; secret; may be NULL */
    const char *service, *instance, *version; /* of the resource; the first is prefix-name */
    struct span_sampler sampler;
    struct http_client_options http;
};

/* Takes all spans of the process from now on. ERR_INVALID: the headers. */
MUST_CHECK enum err otlp_new(const struct otlp_options *options, struct otlp **ret_otlp);
/* Sends what waits, for `flush_ms` at most, then drops the rest. */
void otlp_destroy(struct otlp **otlp_p, int64_t flush_ms);

/* One span in OTLP's JSON form, behind what is in `out`. */
struct buf;
void otlp_encode(struct buf *out, const struct span_record *record);

#endif
