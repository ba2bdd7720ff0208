/* Spans: what a piece of work took, for a trace. Without an exporter nothing is made and nothing
 * costs; with one, only what its trace's sampling asks for. Loop's thread only.
 *
 *     struct span span = span_begin(parent);        a context of its own below `parent`
 *     … give span.trace to what is called …
 *     span_end(&span, "name", SPAN_CLIENT, NULL, SPAN_ATTRS(SPAN_S("key", text)));
 */
#ifndef MCPBUS_SPAN_H
#define MCPBUS_SPAN_H

#include "libcommon/err.h"
#include "libcommon/trace.h"

/* As OTLP numbers them. */
enum span_kind { SPAN_INTERNAL = 1, SPAN_SERVER, SPAN_CLIENT, SPAN_PRODUCER, SPAN_CONSUMER };

struct span {
    struct trace trace;   /* its own id, or just the parent's when it is not recorded */
    uint8_t parent_id[8]; /* zeros: the root */
    int64_t start_us;     /* since 1970; 0: it is not recorded */
};

struct span_attr {
    const char *key; /* NULL ends a list */
    enum { SPAN_ATTR_STRING, SPAN_ATTR_INT } kind;
    const char *string; /* NULL: the attribute is left out */
    int64_t integer;
};
#define SPAN_S(k, v) ((struct span_attr){.key = (k), .kind = SPAN_ATTR_STRING, .string = (v)})
#define SPAN_I(k, v) \
    ((struct span_attr){.key = (k), .kind = SPAN_ATTR_INT, .integer = (int64_t)(v)})
#define SPAN_ATTRS(...) ((struct span_attr[]){__VA_ARGS__ __VA_OPT__(, ){.key = NULL}})

/* OTEL_TRACES_SAMPLER. Parent-based: as the caller decided; where nobody did, as the rest says. */
struct span_sampler {
    bool parent_based;
    double ratio; /* 0 to 1, by the trace id, so that every service decides alike */
};
MUST_CHECK bool span_sampler_read(const char *name, const char *arg,
                                  struct span_sampler *ret_sampler);

struct span_record {
    const struct span *span;
    const char *name, *error; /* NULL: it went well */
    enum span_kind kind;
    int64_t end_us;
    const struct span_attr *attrs;
};
typedef void span_sink_fn(void *arg, const struct span_record *record);
/* The exporter. NULL: none (any more). */
void span_set_sink(const struct span_sampler *sampler, span_sink_fn *sink, void *arg);

int64_t span_now_us(void);

/* The context of work that came with `given` (NULL: with none), decided by the sampler: the root of
 * our part. Without an exporter it is `given`, else `fallback`, which names the trace when nothing
 * else does; NULL: a random one. */
struct span span_begin_root(const struct trace *given, const struct trace *fallback);
/* Below work of our own: recorded when that is sampled. NULL, or not sampled: the same context. */
struct span span_begin(const struct trace *parent);
/* The same with an id that others have worked out as well, from the parent's and a text. */
struct span span_begin_named(const struct trace *parent, const char *text);
bool span_is_on(const struct span *span);
/* What it was; `name`, `error` and attributes are copied. Once; a span that is not ended is never
 * told. */
void span_end(const struct span *span, const char *name, enum span_kind kind, const char *error,
              const struct span_attr *attrs);
/* The same with another end. */
void span_end_at(const struct span *span, const char *name, enum span_kind kind, const char *error,
                 const struct span_attr *attrs, int64_t end_us);

/* The id that span_begin_named gives, also where there is no exporter. */
void span_named_id(const struct trace *parent, const char *text, uint8_t ret_id[8]);

#endif
