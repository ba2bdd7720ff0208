/* The JSON that the bus carries, parsed several times faster than jansson does it byte by byte.
 * Whatever is not plain (real numbers, long integers, \u0000, every kind of error) is left to
 * jansson, which then also says what is wrong. So this accepts nothing that jansson refuses. */
#include "libcommon/js_internal.h"

#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { SMALL_STRING = 256, DIGITS_MAX = 18 };

struct reader {
    const char *at, *end;
    int depth;
};

/* A string's text as it is to be kept. */
struct text {
    const char *data;
    size_t len;
    char *owned; /* NULL: `data` is borrowed */
    char small[SMALL_STRING];
};

static json_t *read_value(struct reader *r);

static void skip_space(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
        r->at++;
}

static bool take(struct reader *r, char c)
{
    skip_space(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

/* Four hexadecimal digits; -1 when they aren't. */
static int32_t read_hex4(const char *at, const char *end)
{
    int32_t code = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

static size_t put_utf8(char *out, int32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* \uXXXX behind its `u`, surrogate pairs included; bytes read, 0 when it is none. */
static size_t read_unicode(const char *at, const char *end, char *out, size_t *ret_written)
{
    int32_t code = read_hex4(at, end);
    size_t used = 4;
    if (code <= 0 || (code >= 0xdc00 && code <= 0xdfff))
        return 0;
    if (code >= 0xd800 && code <= 0xdbff) {
        int32_t low = end - at >= 10 && at[4] == '\\' && at[5] == 'u' ? read_hex4(at + 6, end) : -1;
        if (low < 0xdc00 || low > 0xdfff)
            return 0;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        used = 10;
    }
    *ret_written = put_utf8(out, code);
    return used;
}

static char unescaped(char c)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found = c ? strchr(from, c) : NULL;
    return found ? to[found - from] : 0;
}

/* An escaped text is never shorter than what it stands for. */
static bool unescape(const char *at, const char *end, struct text *text)
{
    size_t most = (size_t)(end - at);
    char *out = text->small;
    if (most > sizeof text->small)
        out = text->owned = mem_alloc(most);
    text->data = out;
    while (at < end) {
        if (*at != '\\') {
            *out++ = *at++;
            continue;
        }
        size_t used = 0, written = 1;
        at++;
        if (*at == 'u') {
            used = read_unicode(at + 1, end, out, &written);
            if (!used)
                return false;
        } else if (!(*out = unescaped(*at))) {
            return false;
        }
        at += 1 + used;
        out += written;
    }
    text->len = (size_t)(out - text->data);
    return true;
}

/* Behind the opening quote; up to and with the closing one. */
static bool read_text(struct reader *r, struct text *text)
{
    const char *start = r->at, *at = start, *end = r->end;
    bool escaped = false;
    text->owned = NULL;
    while (at < end && *at != '"') {
        unsigned char c = (unsigned char)*at;
        size_t step = 1;
        if (c == '\\') {
            escaped = true;
            step = 2;
        } else if (c < 0x20) {
            return false;
        } else if (c >= 0x80) {
            step = js_utf8_sequence((const unsigned char *)at, (size_t)(end - at));
        }
        if (!step || step > (size_t)(end - at))
            return false;
        at += step;
    }
    if (at == end)
        return false;
    r->at = at + 1;
    text->data = start;
    text->len = (size_t)(at - start);
    return !escaped || unescape(start, at, text);
}

static json_t *read_string(struct reader *r)
{
    struct text text;
    json_t *value = read_text(r, &text) ? json_stringn_nocheck(text.data, text.len) : NULL;
    free(text.owned);
    return value;
}

static bool read_member(struct reader *r, json_t *object)
{
    struct text key;
    size_t before = json_object_size(object);
    key.owned = NULL;
    bool good = take(r, '"') && read_text(r, &key) && take(r, ':');
    json_t *value = good ? read_value(r) : NULL;
    /* An object that doesn't grow had the key already. */
    good = value && !json_object_setn_new_nocheck(object, key.data, key.len, value) &&
           json_object_size(object) > before;
    free(key.owned);
    return good;
}

static json_t *read_object(struct reader *r)
{
    json_t *object = json_object();
    bool good = true;
    if (!take(r, '}')) {
        do
            good = read_member(r, object);
        while (good && take(r, ','));
        good = good && take(r, '}');
    }
    if (good)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *read_array(struct reader *r)
{
    json_t *array = json_array();
    bool good = true;
    if (!take(r, ']')) {
        do {
            json_t *value = read_value(r);
            good = value && !json_array_append_new(array, value);
        } while (good && take(r, ','));
        good = good && take(r, ']');
    }
    if (good)
        return array;
    json_decref(array);
    return NULL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Integers of up to 18 digits without a leading zero. */
static json_t *read_integer(struct reader *r)
{
    const char *at = r->at;
    bool negative = *at == '-';
    json_int_t value = 0;
    at += negative;
    const char *digits = at;
    while (at < r->end && is_digit(*at) && at - digits < DIGITS_MAX)
        value = value * 10 + (*at++ - '0');
    size_t count = (size_t)(at - digits);
    bool goes_on = at < r->end && (is_digit(*at) || *at == '.' || *at == 'e' || *at == 'E');
    if (count == 0 || goes_on || (count > 1 && *digits == '0'))
        return NULL;
    r->at = at;
    return json_integer(negative ? -value : value);
}

static json_t *read_word(struct reader *r, const char *word, json_t *value)
{
    size_t len = strlen(word);
    if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0)
        return NULL;
    r->at += len;
    return value;
}

static json_t *read_nested(struct reader *r, json_t *(*read)(struct reader *))
{
    if (r->depth == JS_DEPTH_MAX)
        return NULL;
    r->depth++;
    r->at++;
    json_t *value = read(r);
    r->depth--;
    return value;
}

static json_t *read_value(struct reader *r)
{
    skip_space(r);
    if (r->at == r->end)
        return NULL;
    switch (*r->at) {
    case '{':
        return read_nested(r, read_object);
    case '[':
        return read_nested(r, read_array);
    case '"':
        r->at++;
        return read_string(r);
    case 't':
        return read_word(r, "true", json_true());
    case 'f':
        return read_word(r, "false", json_false());
    case 'n':
        return read_word(r, "null", json_null());
    default:
        return read_integer(r);
    }
}

json_t *js_parse_plain(const char *text, size_t len)
{
    struct reader r = {.at = text, .end = text + len};
    json_t *value = read_value(&r);
    skip_space(&r);
    if (value && r.at == r.end)
        return value;
    json_decref(value);
    return NULL;
}
