#include "libcommon/span.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libcommon/crypto.h"

enum { RANDOM_AT_ONCE = 512 };

static struct {
    struct span_sampler sampler;
    span_sink_fn *sink;
    void *arg;
    uint8_t random[RANDOM_AT_ONCE];
    size_t random_left;
} spans;

void span_set_sink(const struct span_sampler *sampler, span_sink_fn *sink, void *arg)
{
    if (sampler)
        spans.sampler = *sampler;
    spans.sink = sink;
    spans.arg = arg;
}

static bool read_ratio(const char *text, double *ret_ratio)
{
    char *end = NULL;
    if (!text) {
        *ret_ratio = 1;
        return true;
    }
    double ratio = strtod(text, &end);
    if (end == text || *end || !(ratio >= 0 && ratio <= 1))
        return false;
    *ret_ratio = ratio;
    return true;
}

bool span_sampler_read(const char *name, const char *arg, struct span_sampler *ret_sampler)
{
    static const char prefix[] = "parentbased_";
    struct span_sampler sampler = {.ratio = 1};
    if (strncmp(name, prefix, sizeof prefix - 1) == 0) {
        sampler.parent_based = true;
        name += sizeof prefix - 1;
    }
    if (strcmp(name, "always_off") == 0)
        sampler.ratio = 0;
    else if (strcmp(name, "traceidratio") == 0 && !read_ratio(arg, &sampler.ratio))
        return false;
    *ret_sampler = sampler;
    return true;
}

int64_t span_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void random_id(uint8_t *ret_id, size_t len)
{
    if (spans.random_left < len) {
        crypto_random(spans.random, sizeof spans.random);
        spans.random_left = sizeof spans.random;
    }
    memcpy(ret_id, spans.random + sizeof spans.random - spans.random_left, len);
    spans.random_left -= len;
}

/* The last 56 bits, as the specification of the trace id's random part has them. */
static bool is_chosen(const uint8_t trace_id[16])
{
    uint64_t value = 0;
    for (size_t i = 9; i < 16; i++)
        value = value << 8 | trace_id[i];
    return (double)value / (double)((uint64_t)1 << 56) < spans.sampler.ratio;
}

static struct span begin(const struct trace *parent)
{
    struct span span = {.trace = *parent};
    if (!spans.sink || !parent->sampled || !trace_is_set(parent))
        return span;
    memcpy(span.parent_id, parent->span_id, sizeof span.parent_id);
    random_id(span.trace.span_id, sizeof span.trace.span_id);
    span.start_us = span_now_us();
    return span;
}

struct span span_begin_root(const struct trace *given, const struct trace *fallback)
{
    struct trace trace = {.sampled = false};
    if (given)
        trace = *given;
    else if (fallback)
        trace = *fallback;
    if (!trace_is_set(&trace)) {
        random_id(trace.trace_id, sizeof trace.trace_id);
        if (!spans.sink)
            random_id(trace.span_id, sizeof trace.span_id);
    }
    if (!spans.sink)
        return (struct span){.trace = trace};
    if (!given || !spans.sampler.parent_based)
        trace.sampled = is_chosen(trace.trace_id);
    return begin(&trace);
}

struct span span_begin(const struct trace *parent)
{
    static const struct trace none;
    return begin(parent ? parent : &none);
}

void span_named_id(const struct trace *parent, const char *text, uint8_t ret_id[8])
{
    uint8_t digest[CRYPTO_SHA256_BYTES], input[sizeof parent->span_id + 256];
    size_t len = strnlen(text, sizeof input - sizeof parent->span_id);
    memcpy(input, parent->span_id, sizeof parent->span_id);
    memcpy(input + sizeof parent->span_id, text, len);
    crypto_sha256(input, sizeof parent->span_id + len, digest);
    memcpy(ret_id, digest, 8);
}

struct span span_begin_named(const struct trace *parent, const char *text)
{
    struct span span = span_begin(parent);
    if (parent && span_is_on(&span))
        span_named_id(parent, text, span.trace.span_id);
    return span;
}

bool span_is_on(const struct span *span)
{
    return span->start_us != 0;
}

void span_end_at(const struct span *span, const char *name, enum span_kind kind, const char *error,
                 const struct span_attr *attrs, int64_t end_us)
{
    struct span_record record = {.span = span,
                                 .name = name,
                                 .error = error,
                                 .kind = kind,
                                 .end_us = end_us < span->start_us ? span->start_us : end_us,
                                 .attrs = attrs};
    if (span_is_on(span) && spans.sink)
        spans.sink(spans.arg, &record);
}

void span_end(const struct span *span, const char *name, enum span_kind kind, const char *error,
              const struct span_attr *attrs)
{
    if (span_is_on(span) && spans.sink)
        span_end_at(span, name, kind, error, attrs, span_now_us());
}
