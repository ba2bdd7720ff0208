/* Spans as OTLP/JSON: ids in hex, 64-bit numbers as texts, enums as numbers. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/js_write.h"
#include "libcommon/otlp.h"

enum { TEXT_MAX = 256, ATTRS_MAX = 32, STATUS_ERROR = 2, FLAG_SAMPLED = 1 };

static void add_text(struct buf *out, const char *text)
{
    json_t *capped = js_string_capped(text, strlen(text), TEXT_MAX, "…");
    js_add_string(out, json_string_value(capped), json_string_length(capped));
    json_decref(capped);
}

static void add_hex(struct buf *out, const char *key, const uint8_t *bytes, size_t len)
{
    js_add_key(out, key);
    buf_add_char(out, '"');
    for (size_t i = 0; i < len; i++)
        buf_printf(out, "%02x", bytes[i]);
    buf_add_char(out, '"');
}

static void add_time(struct buf *out, const char *key, int64_t us)
{
    js_add_key(out, key);
    buf_printf(out, "\"%" PRId64 "000\"", us);
}

static void add_attr(struct buf *out, const struct span_attr *attr)
{
    buf_add_char(out, '{');
    js_add_member(out, "key", attr->key);
    js_add_key(out, "value");
    if (attr->kind == SPAN_ATTR_INT) {
        buf_printf(out, "{\"intValue\":\"%" PRId64 "\"}}", attr->integer);
        return;
    }
    buf_add_str(out, "{\"stringValue\":");
    add_text(out, attr->string);
    buf_add_str(out, "}}");
}

static void add_attrs(struct buf *out, const struct span_attr *attrs)
{
    bool first = true;
    js_add_key(out, "attributes");
    buf_add_char(out, '[');
    for (size_t i = 0; i < ATTRS_MAX && attrs[i].key; i++) {
        if (attrs[i].kind == SPAN_ATTR_STRING && !attrs[i].string)
            continue;
        if (!first)
            buf_add_char(out, ',');
        first = false;
        add_attr(out, &attrs[i]);
    }
    buf_add_char(out, ']');
}

void otlp_encode(struct buf *out, const struct span_record *record)
{
    static const uint8_t none[8];
    const struct span *span = record->span;
    buf_add_char(out, '{');
    add_hex(out, "traceId", span->trace.trace_id, sizeof span->trace.trace_id);
    add_hex(out, "spanId", span->trace.span_id, sizeof span->trace.span_id);
    if (memcmp(span->parent_id, none, sizeof none) != 0)
        add_hex(out, "parentSpanId", span->parent_id, sizeof span->parent_id);
    js_add_member_int(out, "flags", FLAG_SAMPLED);
    js_add_key(out, "name");
    add_text(out, record->name);
    js_add_member_int(out, "kind", record->kind);
    add_time(out, "startTimeUnixNano", span->start_us);
    add_time(out, "endTimeUnixNano", record->end_us);
    if (record->attrs)
        add_attrs(out, record->attrs);
    js_add_key(out, "status");
    buf_add_char(out, '{');
    if (record->error) {
        js_add_member_int(out, "code", STATUS_ERROR);
        js_add_key(out, "message");
        add_text(out, record->error);
    }
    buf_add_str(out, "}}");
}
