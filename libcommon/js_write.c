/* JSON text without a tree, and the text of a tree: as jansson writes it, several times faster,
 * since it looks for no loops and measures nothing twice. */
#include "libcommon/js_write.h"

#include <string.h>

#include "libcommon/mem.h"

enum { DIGITS_MAX = 20 };

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\';
}

static void add_escape(struct buf *buf, unsigned char c)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt", hex[] = "0123456789ABCDEF";
    const char *found = c ? strchr(from, c) : NULL;
    char brief[] = {'\\', found ? to[found - from] : 'u'};
    char code[] = {'0', '0', hex[c >> 4], hex[c & 15]};
    buf_add(buf, brief, sizeof brief);
    if (!found)
        buf_add(buf, code, sizeof code);
}

static size_t plain_len(const char *text, size_t len)
{
    size_t i = 0;
    while (i < len && is_plain((unsigned char)text[i]))
        i++;
    return i;
}

static void wrote(struct buf *buf, size_t len)
{
    buf->len += len;
    buf->data[buf->len] = '\0';
}

/* A text without escapes, which most are, in one piece. */
static void add_plain(struct buf *buf, const char *text, size_t len)
{
    char *room = buf_reserve(buf, len + 2);
    if (!room)
        return;
    *room = '"';
    memcpy(room + 1, text, len);
    room[1 + len] = '"';
    wrote(buf, len + 2);
}

void js_add_string(struct buf *buf, const char *text, size_t len)
{
    size_t plain = plain_len(text, len);
    if (plain == len) {
        add_plain(buf, text, len);
        return;
    }
    buf_add_char(buf, '"');
    while (plain < len) {
        buf_add(buf, text, plain);
        add_escape(buf, (unsigned char)text[plain]);
        text += plain + 1;
        len -= plain + 1;
        plain = plain_len(text, len);
    }
    buf_add(buf, text, len);
    buf_add_char(buf, '"');
}

void js_add_int(struct buf *buf, int64_t value)
{
    char text[DIGITS_MAX], *at = text + sizeof text;
    uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do {
        *--at = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (value < 0)
        *--at = '-';
    buf_add(buf, at, (size_t)(text + sizeof text - at));
}

/* A comma, unless this is the first of its object or array. */
static void separate(struct buf *buf)
{
    char last = buf->len ? buf->data[buf->len - 1] : '[';
    if (last != '{' && last != '[')
        buf_add_char(buf, ',');
}

/* Keys are names: they hold nothing to escape. */
void js_add_key(struct buf *buf, const char *key)
{
    size_t len = strlen(key);
    separate(buf);
    char *room = buf_reserve(buf, len + 3);
    if (!room)
        return;
    *room = '"';
    memcpy(room + 1, key, len);
    memcpy(room + 1 + len, "\":", 2);
    wrote(buf, len + 3);
}

void js_add_member(struct buf *buf, const char *key, const char *text)
{
    js_add_key(buf, key);
    js_add_string(buf, text, strlen(text));
}

void js_add_member_int(struct buf *buf, const char *key, int64_t value)
{
    js_add_key(buf, key);
    js_add_int(buf, value);
}

void js_add_item(struct buf *buf, const char *json, size_t len)
{
    separate(buf);
    buf_add(buf, json, len);
}

static void add_value(struct buf *buf, const json_t *value);

static void add_object(struct buf *buf, const json_t *object)
{
    json_t *members = (json_t *)object;
    const char *before = "{";
    for (void *at = json_object_iter(members); at; at = json_object_iter_next(members, at)) {
        buf_add(buf, before, 1);
        js_add_string(buf, json_object_iter_key(at), json_object_iter_key_len(at));
        buf_add_char(buf, ':');
        add_value(buf, json_object_iter_value(at));
        before = ",";
    }
    buf_add_str(buf, *before == '{' ? "{}" : "}");
}

static void add_array(struct buf *buf, const json_t *array)
{
    size_t count = json_array_size(array);
    buf_add_char(buf, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add_char(buf, ',');
        add_value(buf, json_array_get(array, i));
    }
    buf_add_char(buf, ']');
}

static void add_real(struct buf *buf, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    buf_add_str(buf, text ? text : "null");
    free(text);
}

static void add_value(struct buf *buf, const json_t *value)
{
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT:
        add_object(buf, value);
        break;
    case JSON_ARRAY:
        add_array(buf, value);
        break;
    case JSON_STRING:
        js_add_string(buf, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        js_add_int(buf, json_integer_value(value));
        break;
    case JSON_REAL:
        add_real(buf, value);
        break;
    case JSON_TRUE:
        buf_add_str(buf, "true");
        break;
    case JSON_FALSE:
        buf_add_str(buf, "false");
        break;
    case JSON_NULL:
        buf_add_str(buf, "null");
        break;
    }
}

void js_dump_buf(const json_t *value, struct buf *buf)
{
    add_value(buf, value);
}

char *js_dump(const json_t *value)
{
    struct buf text;
    buf_init(&text, SIZE_MAX / 4);
    add_value(&text, value);
    return buf_steal(&text);
}

size_t js_dump_size(const json_t *value)
{
    struct buf text;
    buf_init(&text, SIZE_MAX / 4);
    add_value(&text, value);
    size_t len = text.len;
    buf_fini(&text);
    return len;
}
