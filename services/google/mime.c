#include "services/google/mime.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/charset.h"
#include "services/google/html.h"
#include "services/google/result.h"

enum { CHARSET_MAX = 40 };

const char *mime_header(const json_t *part, const char *name)
{
    size_t i;
    json_t *header;
    json_array_foreach(json_object_get(part, "headers"), i, header)
    {
        if (strcasecmp(js_str(header, "name", ""), name) == 0)
            return js_str(header, "value", NULL);
    }
    return NULL;
}

static bool is_type(const json_t *part, const char *type)
{
    return strcasecmp(js_str(part, "mimeType", ""), type) == 0;
}

static bool is_multipart(const json_t *part)
{
    return json_array_size(json_object_get(part, "parts")) > 0;
}

static bool is_attachment(const json_t *part)
{
    const char *disposition = mime_header(part, "Content-Disposition");
    return *js_str(part, "filename", "") ||
           (disposition && strncasecmp(disposition, "attachment", 10) == 0);
}

/* The charset parameter of the part's Content-Type; "" when it has none. */
static void read_charset(const json_t *part, char charset[CHARSET_MAX + 1])
{
    const char *type = mime_header(part, "Content-Type");
    const char *at = type ? strcasestr(type, "charset=") : NULL;
    *charset = '\0';
    if (!at)
        return;
    at += strlen("charset=");
    at += *at == '"' || *at == '\'';
    size_t len = strcspn(at, "\"'; \t\r\n");
    if (len <= CHARSET_MAX) {
        memcpy(charset, at, len);
        charset[len] = '\0';
    }
}

enum err mime_decode_data(const json_t *data, uint8_t **ret_bytes, size_t *ret_len)
{
    size_t len = json_string_length(data);
    const char *text = json_string_value(data);
    if (!text)
        return ERR_INVALID;
    /* Gmail pads its base64url; the decoder takes none. */
    while (len && text[len - 1] == '=')
        len--;
    return crypto_base64url_decode(text, len, ret_bytes, ret_len);
}

static enum err decode_body(const json_t *part, char **ret_text, size_t *ret_len)
{
    char charset[CHARSET_MAX + 1];
    size_t raw_len = 0;
    uint8_t *raw = NULL;
    enum err err =
        mime_decode_data(json_object_get(json_object_get(part, "body"), "data"), &raw, &raw_len);
    if (err)
        return err;
    read_charset(part, charset);
    *ret_text = charset_to_utf8((const char *)raw, raw_len, charset, ret_len);
    free(raw);
    return ERR_OK;
}

/* The walk */

struct walk {
    struct buf *out;
    unsigned parts; /* seen so far */
};

static void add_fitting(struct buf *out, const char *text, size_t len)
{
    size_t room = out->max - out->len;
    if (len <= room) {
        buf_add(out, text, len);
        return;
    }
    json_t *cut = js_string_capped(text, len, room, "");
    buf_add(out, json_string_value(cut), json_string_length(cut));
    json_decref(cut);
    out->full = true;
}

static void add_leaf(struct walk *walk, const json_t *part)
{
    AUTOFREE char *text = NULL;
    size_t len = 0;
    bool html = is_type(part, "text/html");
    if (is_attachment(part) || strncasecmp(js_str(part, "mimeType", ""), "text/", 5) != 0)
        return;
    if (decode_body(part, &text, &len) != ERR_OK)
        return;
    struct buf readable;
    buf_init(&readable, 2 * len + 16);
    if (html)
        html_to_text(text, len, &readable);
    else
        buf_add(&readable, text, len);
    if (walk->out->len && readable.len)
        add_fitting(walk->out, "\n\n", 2);
    add_fitting(walk->out, buf_text(&readable), readable.len);
    buf_fini(&readable);
}

static bool has_plain(const json_t *part, int depth)
{
    size_t i;
    json_t *child;
    if (is_type(part, "text/plain") && !is_attachment(part))
        return js_str(json_object_get(part, "body"), "data", "")[0] != '\0';
    if (depth >= MIME_DEPTH_MAX)
        return false;
    json_array_foreach(json_object_get(part, "parts"), i, child)
    {
        if (i < MIME_PARTS_MAX && has_plain(child, depth + 1))
            return true;
    }
    return false;
}

static void walk_part(struct walk *walk, const json_t *part, int depth);

/* RFC 2046 §5.1.4: the same content in several forms, the best last. */
static void walk_alternatives(struct walk *walk, const json_t *parts, int depth)
{
    size_t i, count = json_array_size(parts);
    for (i = 0; i < count && i < MIME_PARTS_MAX; i++) {
        if (has_plain(json_array_get(parts, i), depth + 1)) {
            walk_part(walk, json_array_get(parts, i), depth + 1);
            return;
        }
    }
    size_t before = walk->out->len;
    for (i = count; i > 0 && walk->out->len == before; i--)
        walk_part(walk, json_array_get(parts, i - 1), depth + 1);
}

static void walk_part(struct walk *walk, const json_t *part, int depth)
{
    size_t i;
    json_t *child;
    const json_t *parts = json_object_get(part, "parts");
    if (depth > MIME_DEPTH_MAX || ++walk->parts > MIME_PARTS_MAX || walk->out->full)
        return;
    if (!is_multipart(part)) {
        add_leaf(walk, part);
    } else if (is_type(part, "multipart/alternative")) {
        walk_alternatives(walk, parts, depth);
    } else if (!is_attachment(part)) {
        json_array_foreach(parts, i, child)
        {
            walk_part(walk, child, depth + 1);
        }
    }
}

void mime_text(const json_t *payload, struct buf *out)
{
    struct walk walk = {.out = out};
    walk_part(&walk, payload, 0);
}

static void collect(const json_t *part, json_t *list, unsigned *parts, int depth)
{
    size_t i;
    json_t *child;
    if (depth > MIME_DEPTH_MAX || ++*parts > MIME_PARTS_MAX ||
        json_array_size(list) >= MIME_ATTACHMENTS_MAX)
        return;
    if (is_attachment(part)) {
        json_t *item = json_object();
        json_set_line(item, "filename", js_str(part, "filename", ""), 300);
        json_set_line(item, "mimeType", js_str(part, "mimeType", ""), 100);
        const json_t *body = json_object_get(part, "body");
        json_object_set_new(item, "size", json_integer(js_int(body, "size", 0)));
        if (js_str(body, "attachmentId", NULL))
            json_object_set(item, "attachmentId", json_object_get(body, "attachmentId"));
        else if (js_str(body, "data", NULL))
            json_object_set(item, "data", json_object_get(body, "data"));
        json_array_append_new(list, item);
        return;
    }
    json_array_foreach(json_object_get(part, "parts"), i, child)
    {
        collect(child, list, parts, depth + 1);
    }
}

json_t *mime_attachments(const json_t *payload)
{
    json_t *list = json_array();
    unsigned parts = 0;
    collect(payload, list, &parts, 0);
    return list;
}
