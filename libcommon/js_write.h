/* JSON text built straight into a buffer, for messages too frequent for a tree. Commas come by
 * themselves: before each key and item but the first. The ceiling is the buffer's: check it once,
 * at the end. Texts must be UTF-8. Any thread. */
#ifndef MCPBUS_JS_WRITE_H
#define MCPBUS_JS_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"

/* A string with its quotes. */
void js_add_string(struct buf *buf, const char *text, size_t len);
void js_add_int(struct buf *buf, int64_t value);

/* `"key":`; the caller adds the value. The key is a name, with nothing to escape. */
void js_add_key(struct buf *buf, const char *key);
void js_add_member(struct buf *buf, const char *key, const char *text);
void js_add_member_int(struct buf *buf, const char *key, int64_t value);

/* A value of an array that is JSON already. */
void js_add_item(struct buf *buf, const char *json, size_t len);

#endif
