/* What a tool answers: a readable text with a ceiling, JSON beside it when that helps, and whether
 * it is an error. Texts that come from outside are put in by the helpers here, which keep one value
 * from looking like several lines. */
#ifndef MCPBUS_GOOGLE_RESULT_H
#define MCPBUS_GOOGLE_RESULT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "libcommon/buf.h"
#include "libcommon/err.h"

enum { RESULT_TEXT_MAX = 256 * 1024, RESULT_ITEM_MAX = 16 * 1024 };

struct result {
    struct buf text;
    json_t *structured; /* NULL: none */
    bool error;
};

void result_init(struct result *result);
void result_fini(struct result *result);

/* Makes it an error that says only this. */
__attribute__((format(printf, 2, 3))) void result_fail(struct result *result, const char *fmt, ...);

/* The CallToolResult object. */
json_t *result_json(const struct result *result);

/* Appends `value` on one line, control characters as spaces, cut at `max` bytes with "…". NULL and
 * "" append "(none)". */
void text_add_line(struct buf *out, const char *value, size_t max);
/* What a stranger wrote stands between two lines with a mark that was drawn for this one time: no
 * text can have the line that ends it. `kind`: "message, as its sender wrote it". */
enum { TEXT_MARK_SIZE = 9 };
void text_begin(struct buf *out, const char *kind, char ret_mark[TEXT_MARK_SIZE]);
void text_end(struct buf *out, const char *mark);
/* text_add_line as a string of an object's member; leaves it out when the value is NULL. */
void json_set_line(json_t *object, const char *key, const char *value, size_t max);

/* A list under way: the result's text takes items while they fit, and the structured member `key`
 * takes the same ones. */
struct listing {
    struct result *result;
    json_t *items;
    size_t count;
    bool full; /* an item didn't fit */
};
void listing_begin(struct listing *listing, struct result *result, const char *key);
/* Adds an item; `json` is consumed. False when it doesn't fit any more. */
bool listing_add(struct listing *listing, const char *text, size_t len, json_t *json);
/* Completes the result: a heading with the number of things (`what`: "message"), and what is
 * missing, because there is more, it didn't fit, or `error` (said by `why`) came in between. With
 * an error and no items the result is the error. */
void listing_end(struct listing *listing, const char *what, enum err error, const char *why,
                 bool more);

#endif
