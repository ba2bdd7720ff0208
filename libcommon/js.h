/* JSON from outside, read safely, and small helpers over jansson. Values are jansson's json_t; the
 * usual ownership words apply (a returned json_t is the caller's unless it says "borrowed"). */
#ifndef MCPBUS_JS_H
#define MCPBUS_JS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/buf.h"
#include "libcommon/err.h"

static inline void js_cleanup_decref(json_t **value_p)
{
    json_decref(*value_p);
}

/* `AUTOJSON json_t *x = …`: released at the end of the scope. */
#define AUTOJSON __attribute__((cleanup(js_cleanup_decref)))

/* Parses `len` bytes of JSON (any value at the top). Refuses trailing bytes, bytes that are not
 * UTF-8, NUL in strings, doubled keys and nesting deeper than 64. ERR_INVALID otherwise; `ret_why`
 * (may be NULL, 160 bytes) then says what and where. */
MUST_CHECK enum err js_parse(const char *text, size_t len, json_t **ret_value, char *ret_why);

/* Would the text become more than `max` values, and some? For text of strangers: a tree takes up to
 * a hundred times the room of its text. */
bool js_has_more_values(const char *text, size_t len, size_t max);
enum { JS_WHY_SIZE = 160 };

/* Compact text of a value; free() it. Never NULL. */
char *js_dump(const json_t *value);
/* Appends the compact text. */
void js_dump_buf(const json_t *value, struct buf *buf);
/* Bytes of the compact text. */
size_t js_dump_size(const json_t *value);

/* Members of an object, borrowed; the default when absent or of another type. */
const char *js_str(const json_t *object, const char *key, const char *def);
int64_t js_int(const json_t *object, const char *key, int64_t def);
bool js_bool(const json_t *object, const char *key, bool def);

/* Is the text valid UTF-8 without NUL? */
bool js_is_utf8(const char *text, size_t len);
/* A JSON string of at most `max` bytes of `text`: cut at a character's border, with `marker`
 * appended when it was cut; bytes that are not UTF-8 become U+FFFD. */
json_t *js_string_capped(const char *text, size_t len, size_t max, const char *marker);

#endif
