/* Between js.c and js_parse.c. */
#ifndef MCPBUS_JS_INTERNAL_H
#define MCPBUS_JS_INTERNAL_H

#include <jansson.h>
#include <stddef.h>

enum { JS_DEPTH_MAX = 64 };

/* Length of the valid UTF-8 sequence at `s` (RFC 3629), 0 when there is none in `left` bytes. */
size_t js_utf8_sequence(const unsigned char *s, size_t left);

/* The value of plain JSON; NULL: ask jansson. */
json_t *js_parse_plain(const char *text, size_t len);

#endif
