#include "libcommon/trace.h"

#include <string.h>

enum {
    TRACE_DIGITS = 32,
    SPAN_DIGITS = 16,
    AT_TRACE = 3,
    AT_SPAN = 36,
    AT_FLAGS = 53,
    LEN_00 = 55
};

static const char digits[] = "0123456789abcdef";

static bool read_hex(const char *text, size_t count, uint8_t *ret_bytes)
{
    uint8_t any = 0;
    for (size_t i = 0; i < count; i++) {
        const char *digit = text[i] ? strchr(digits, text[i]) : NULL;
        if (!digit)
            return false;
        ret_bytes[i / 2] = (uint8_t)(ret_bytes[i / 2] << 4 | (digit - digits));
        any |= ret_bytes[i / 2];
    }
    return any != 0;
}

static void write_hex(const uint8_t *bytes, size_t count, char *ret_text)
{
    for (size_t i = 0; i < count; i++) {
        ret_text[2 * i] = digits[bytes[i] >> 4];
        ret_text[2 * i + 1] = digits[bytes[i] & 15];
    }
}

bool trace_is_set(const struct trace *trace)
{
    static const uint8_t none[16];
    return memcmp(trace->trace_id, none, sizeof none) != 0;
}

/* "Versioning of traceparent": of a later version as much is read as 00 has. */
static bool frame_is_good(const char *text, size_t len)
{
    uint8_t version = 0;
    if (len < LEN_00 || len > TRACE_PARENT_MAX || text[2] != '-' || text[AT_SPAN - 1] != '-' ||
        text[AT_FLAGS - 1] != '-')
        return false;
    if (strncmp(text, "00", 2) == 0)
        return len == LEN_00;
    return read_hex(text, 2, &version) && version != 0xff && (len == LEN_00 || text[LEN_00] == '-');
}

bool trace_parse(const char *text, struct trace *ret_trace)
{
    struct trace trace = {.sampled = false};
    uint8_t flags = 0;
    size_t len = text ? strnlen(text, TRACE_PARENT_MAX + 1) : 0;
    if (!frame_is_good(text, len) || !read_hex(text + AT_TRACE, TRACE_DIGITS, trace.trace_id) ||
        !read_hex(text + AT_SPAN, SPAN_DIGITS, trace.span_id))
        return false;
    if (!read_hex(text + AT_FLAGS, 2, &flags) && strncmp(text + AT_FLAGS, "00", 2) != 0)
        return false;
    trace.sampled = flags & 1;
    *ret_trace = trace;
    return true;
}

void trace_format(const struct trace *trace, char ret_text[TRACE_PARENT_SIZE])
{
    memcpy(ret_text, "00-", 3);
    write_hex(trace->trace_id, sizeof trace->trace_id, ret_text + AT_TRACE);
    ret_text[AT_SPAN - 1] = '-';
    write_hex(trace->span_id, sizeof trace->span_id, ret_text + AT_SPAN);
    memcpy(ret_text + AT_FLAGS - 1, trace->sampled ? "-01" : "-00", 4);
}

static bool is_key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr("_-*/@", c));
}

/* key "=" value, without the white space around it. */
static bool member_is_good(const char *text, size_t len)
{
    size_t key = 0;
    while (key < len && is_key_char(text[key]))
        key++;
    if (key == 0 || key > 241 || key == len || text[key] != '=' || len - key - 1 > 256)
        return false;
    for (size_t i = key + 1; i < len; i++)
        if (text[i] < 0x20 || text[i] > 0x7e || text[i] == '=')
            return false;
    return true;
}

bool trace_state_is_good(const char *text)
{
    size_t left = text ? strnlen(text, TRACE_STATE_MAX + 1) : 0, members = 0;
    if (left == 0 || left > TRACE_STATE_MAX)
        return false;
    for (;;) {
        size_t len = strcspn(text, ","), end = len, begin = 0;
        while (begin < end && (text[begin] == ' ' || text[begin] == '\t'))
            begin++;
        while (end > begin && (text[end - 1] == ' ' || text[end - 1] == '\t'))
            end--;
        if (begin < end &&
            (!member_is_good(text + begin, end - begin) || ++members > TRACE_STATE_MEMBERS_MAX))
            return false;
        if (!text[len])
            return members > 0;
        text += len + 1;
    }
}

void trace_id_format(const struct trace *trace, char ret_text[TRACE_ID_SIZE])
{
    ret_text[0] = '\0';
    if (!trace_is_set(trace))
        return;
    write_hex(trace->trace_id, sizeof trace->trace_id, ret_text);
    ret_text[TRACE_ID_SIZE - 1] = '\0';
}

bool trace_from_request_id(const char *text, struct trace *ret_trace)
{
    struct trace trace = {.sampled = false};
    if (!text || strnlen(text, TRACE_DIGITS + 1) != TRACE_DIGITS ||
        !read_hex(text, TRACE_DIGITS, trace.trace_id))
        return false;
    *ret_trace = trace;
    return true;
}
