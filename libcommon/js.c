#include "libcommon/js.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/js_internal.h"
#include "libcommon/mem.h"

/* jansson's own limit is 2048 levels of recursion in the parser; this counts before it starts. */
static bool too_deep(const char *text, size_t len)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JS_DEPTH_MAX)
                return true;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

static enum err refuse(char *ret_why, const char *why, int position)
{
    if (ret_why)
        snprintf(ret_why, JS_WHY_SIZE, "%.120s at byte %d", why, position);
    return ERR_INVALID;
}

enum err js_parse(const char *text, size_t len, json_t **ret_value, char *ret_why)
{
    *ret_value = js_parse_plain(text, len);
    if (*ret_value)
        return ERR_OK;
    if (too_deep(text, len))
        return refuse(ret_why, "nested too deeply", 0);
    json_error_t error;
    json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!value)
        return refuse(ret_why, error.text, error.position);
    *ret_value = value;
    return ERR_OK;
}

const char *js_str(const json_t *object, const char *key, const char *def)
{
    const json_t *value = json_object_get(object, key);
    return json_is_string(value) ? json_string_value(value) : def;
}

int64_t js_int(const json_t *object, const char *key, int64_t def)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : def;
}

bool js_bool(const json_t *object, const char *key, bool def)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : def;
}

size_t js_utf8_sequence(const unsigned char *s, size_t left)
{
    unsigned char c = s[0];
    size_t len = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (len == 0 || len > left)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool bad = (c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) ||
               (c == 0xf0 && s[1] < 0x90) || (c == 0xf4 && s[1] > 0x8f);
    return bad ? 0 : len;
}

bool js_is_utf8(const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t step = text[i] ? js_utf8_sequence((const unsigned char *)text + i, len - i) : 0;
        if (!step)
            return false;
        i += step;
    }
    return true;
}

json_t *js_string_capped(const char *text, size_t len, size_t max, const char *marker)
{
    struct buf out;
    buf_init(&out, max + strlen(marker) + 8);
    size_t i = 0;
    while (i < len) {
        size_t step = text[i] ? js_utf8_sequence((const unsigned char *)text + i, len - i) : 0;
        size_t bytes = step ? step : 3;
        if (out.len + bytes > max)
            break;
        buf_add(&out, step ? text + i : "\xef\xbf\xbd", bytes);
        i += step ? step : 1;
    }
    if (i < len)
        buf_add_str(&out, marker);
    json_t *value = json_stringn(buf_text(&out), out.len);
    buf_fini(&out);
    return value;
}

bool js_has_more_values(const char *text, size_t len, size_t max)
{
    size_t count = 0;
    bool quoted = false;
    for (size_t i = 0; len > max && i < len; i++) {
        char c = text[i];
        if (c == '"')
            quoted = !quoted;
        else if (quoted)
            i += c == '\\';
        else
            count += c == ',' || c == '{' || c == '[';
    }
    return count > max;
}
