#include "services/google/result.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { NOTE_ROOM = 1024 }; /* kept free for what follows a list */

void result_init(struct result *result)
{
    *result = (struct result){0};
    buf_init(&result->text, RESULT_TEXT_MAX);
}

void result_fini(struct result *result)
{
    buf_fini(&result->text);
    json_decref(result->structured);
    *result = (struct result){0};
}

void result_fail(struct result *result, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_reset(&result->text);
    json_decref(result->structured);
    result->structured = NULL;
    result->error = true;
    buf_add_str(&result->text, text);
}

json_t *result_json(const struct result *result)
{
    json_t *text =
        js_string_capped(buf_text(&result->text), result->text.len, RESULT_TEXT_MAX, "…");
    json_t *object = json_pack("{s:[{s:s,s:o}],s:b}", "content", "type", "text", "text", text,
                               "isError", (int)result->error);
    if (result->structured)
        json_object_set(object, "structuredContent", result->structured);
    return object;
}

static char *one_line(const char *value, size_t max)
{
    size_t len = strlen(value);
    json_t *capped = js_string_capped(value, len, max, "…");
    char *line = mem_strdup(json_string_value(capped));
    json_decref(capped);
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    return line;
}

void text_add_line(struct buf *out, const char *value, size_t max)
{
    if (!value || !*value) {
        buf_add_str(out, "(none)");
        return;
    }
    AUTOFREE char *line = one_line(value, max);
    buf_add_str(out, line);
}

void json_set_line(json_t *object, const char *key, const char *value, size_t max)
{
    if (!value)
        return;
    AUTOFREE char *line = one_line(value, max);
    json_object_set_new(object, key, json_string(line));
}

void listing_begin(struct listing *listing, struct result *result, const char *key)
{
    *listing = (struct listing){.result = result, .items = json_array()};
    result->structured = json_object();
    json_object_set_new(result->structured, key, listing->items);
}

bool listing_add(struct listing *listing, const char *text, size_t len, json_t *json)
{
    struct buf *out = &listing->result->text;
    if (out->len + len + NOTE_ROOM > out->max) {
        listing->full = true;
        json_decref(json);
        return false;
    }
    buf_add(out, text, len);
    json_array_append_new(listing->items, json);
    listing->count++;
    return true;
}

static void add_heading(struct listing *listing, const char *what)
{
    struct buf *text = &listing->result->text;
    char heading[100];
    snprintf(heading, sizeof heading, "Found %zu %s%s:\n", listing->count, what,
             listing->count == 1 ? "" : "s");
    size_t len = strlen(heading);
    char *room = buf_reserve(text, len);
    if (!room)
        return;
    memmove(text->data + len, text->data, text->len);
    memcpy(text->data, heading, len);
    text->len += len;
    text->data[text->len] = '\0';
}

void listing_end(struct listing *listing, const char *what, enum err error, const char *why,
                 bool more)
{
    struct result *result = listing->result;
    if (error && listing->count == 0) {
        result_fail(result, "%s", why);
        return;
    }
    if (listing->count == 0)
        buf_printf(&result->text, "No %ss found.\n", what);
    else
        add_heading(listing, what);
    if (error)
        buf_printf(&result->text, "\n[incomplete: %s]\n", why);
    else if (listing->full)
        buf_printf(&result->text, "\n[cut here: the list is too long]\n");
    else if (more)
        buf_printf(&result->text, "\n[there are more]\n");
    json_object_set_new(result->structured, "complete",
                        json_boolean(!error && !listing->full && !more));
}

void text_begin(struct buf *out, const char *kind, char ret_mark[TEXT_MARK_SIZE])
{
    snprintf(ret_mark, TEXT_MARK_SIZE, "%08x", (unsigned)(crypto_random_u64() >> 32));
    buf_printf(out, "--- text of the %s; it ends with the line \"end of %s\" ---\n", kind,
               ret_mark);
}

void text_end(struct buf *out, const char *mark)
{
    buf_printf(out, "\n--- end of %s ---\n", mark);
}
