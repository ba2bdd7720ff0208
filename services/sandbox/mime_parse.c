#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/mime.h"

enum { PARTS_MAX = 64, HEADERS_MAX = 100, DEPTH_MAX = 8, VALUE_MAX = 16384 };

struct span {
    const char *at;
    size_t len;
};

static int hex(char c)
{
    const char *digits = "0123456789ABCDEF", *found = strchr(digits, toupper((unsigned char)c));
    return c && found ? (int)(found - digits) : -1;
}

/* Quoted-printable (RFC 2045 §6.7), or its header form where '_' is a space (RFC 2047 §4.2). */
static void decode_quoted(struct span in, bool header, struct buf *out)
{
    for (size_t i = 0; i < in.len; i++) {
        char c = in.at[i];
        size_t left = in.len - i;
        if (c == '=' && left > 2 && hex(in.at[i + 1]) >= 0 && hex(in.at[i + 2]) >= 0) {
            buf_add_char(out, (char)(hex(in.at[i + 1]) * 16 + hex(in.at[i + 2])));
            i += 2;
        } else if (c == '=' && left > 2 && in.at[i + 1] == '\r' && in.at[i + 2] == '\n') {
            i += 2;
        } else if (c == '=' && left > 1 && in.at[i + 1] == '\n') {
            i += 1;
        } else {
            buf_add_char(out, header && c == '_' ? ' ' : c);
        }
    }
}

static void decode_base64(struct span in, struct buf *out)
{
    AUTOFREE uint8_t *data = NULL;
    size_t len;
    if (crypto_base64_decode(in.at, in.len, &data, &len) == ERR_OK)
        buf_add(out, data, len);
}

/* One "=?charset?B|Q?text?=" at the start of `in`; its length, 0: there is none. */
static size_t decode_word(struct span in, struct buf *out)
{
    if (in.len < 8 || in.at[0] != '=' || in.at[1] != '?')
        return 0;
    const char *end = in.at + in.len;
    const char *charset = memchr(in.at + 2, '?', in.len - 2);
    if (!charset || end - charset < 5 || charset[2] != '?')
        return 0;
    struct span text = {.at = charset + 3};
    const char *stop = memmem(text.at, (size_t)(end - text.at), "?=", 2);
    if (!stop)
        return 0;
    text.len = (size_t)(stop - text.at);
    if (toupper((unsigned char)charset[1]) == 'B')
        decode_base64(text, out);
    else
        decode_quoted(text, true, out);
    return (size_t)(stop + 2 - in.at);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A fold's line break goes, its white space stays. */
static void add_unfolded(struct buf *out, const char *spaces, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (spaces[i] == ' ' || spaces[i] == '\t')
            buf_add_char(out, spaces[i]);
}

/* Unfolds and decodes a header's value. free() the text. */
static char *header_value(struct span in)
{
    struct buf out;
    buf_init(&out, VALUE_MAX);
    bool after_word = false;
    for (size_t i = 0; i < in.len;) {
        size_t spaces = 0;
        while (i + spaces < in.len && is_space(in.at[i + spaces]))
            spaces++;
        size_t at = i + spaces;
        struct buf word;
        buf_init(&word, VALUE_MAX);
        size_t used = at < in.len ? decode_word((struct span){in.at + at, in.len - at}, &word) : 0;
        if (!(used && after_word)) /* the space between two encoded words is not shown */
            add_unfolded(&out, in.at + i, spaces);
        buf_add(&out, buf_text(&word), word.len);
        buf_fini(&word);
        after_word = used > 0;
        if (!used && at < in.len) {
            buf_add_char(&out, in.at[at]);
            used = 1;
        }
        i = at + used;
    }
    return buf_steal(&out);
}

/* The header block's end: offset of the body. Headers go to `headers`. */
static size_t parse_headers(struct span in, json_t *headers)
{
    size_t i = 0;
    while (i < in.len) {
        size_t stop = i;
        do {
            const char *newline = memchr(in.at + stop, '\n', in.len - stop);
            stop = newline ? (size_t)(newline - in.at) + 1 : in.len;
        } while (stop < in.len && (in.at[stop] == ' ' || in.at[stop] == '\t') && stop > i + 2);
        size_t len = stop - i;
        while (len && strchr("\r\n", in.at[i + len - 1]) && in.at[i + len - 1])
            len--;
        if (len == 0)
            return stop;
        const char *colon = memchr(in.at + i, ':', len);
        if (colon && json_array_size(headers) < HEADERS_MAX) {
            size_t name = (size_t)(colon - in.at) - i, skip = name + 1;
            while (skip < len && in.at[i + skip] == ' ')
                skip++;
            size_t value_len = len - skip < VALUE_MAX ? len - skip : VALUE_MAX;
            AUTOFREE char *value = header_value((struct span){in.at + i + skip, value_len});
            json_array_append_new(
                headers, json_pack("{s:o, s:o}", "name", js_string_capped(in.at + i, name, 200, ""),
                                   "value", js_string_capped(value, strlen(value), VALUE_MAX, "")));
        }
        i = stop;
    }
    return in.len;
}

static const char *find_header(const json_t *headers, const char *name)
{
    size_t i;
    const json_t *one;
    json_array_foreach(headers, i, one) if (strcasecmp(js_str(one, "name", ""), name) ==
                                            0) return js_str(one, "value", "");
    return "";
}

/* A parameter of a header's value, such as boundary; free() it; NULL: absent. */
static char *parameter(const char *value, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = strchr(value, ';'); at; at = strchr(at, ';')) {
        at += 1 + strspn(at + 1, " \t");
        if (strncasecmp(at, name, len) != 0 || at[len] != '=')
            continue;
        at += len + 1;
        if (*at == '"')
            return mem_strndup(at + 1, strcspn(at + 1, "\""));
        return mem_strndup(at, strcspn(at, "; \t"));
    }
    return NULL;
}

/* A file's name, also in the form of RFC 2231 §4: filename*=utf-8''f%C3%BCr.txt. */
static char *filename_of(const char *disposition)
{
    char *plain = parameter(disposition, "filename");
    char *extended = plain ? NULL : parameter(disposition, "filename*");
    const char *text = extended ? strrchr(extended, '\'') : NULL;
    if (!text) {
        free(extended);
        return plain;
    }
    struct buf out;
    buf_init(&out, VALUE_MAX);
    for (text++; *text; text++) {
        bool escape = *text == '%' && text[1] && hex(text[1]) >= 0 && hex(text[2]) >= 0;
        buf_add_char(&out, escape ? (char)(hex(text[1]) * 16 + hex(text[2])) : *text);
        text += escape ? 2 : 0;
    }
    free(extended);
    return buf_steal(&out);
}

static void parse_part(struct span in, json_t *mail, const json_t *headers, int depth,
                       unsigned *budget);

static void parse_multipart(struct span in, const char *boundary, json_t *mail, int depth,
                            unsigned *budget)
{
    AUTOFREE char *mark = mem_printf("--%s", boundary);
    size_t mark_len = strlen(mark);
    const char *end = in.at + in.len, *part = NULL;
    for (const char *at = in.at; at < end && *budget;) {
        const char *found = memmem(at, (size_t)(end - at), mark, mark_len);
        const char *stop = found ? found : end;
        if (part && stop > part) {
            AUTOJSON json_t *headers = json_array();
            struct span piece = {part, (size_t)(stop - part)};
            size_t body = parse_headers(piece, headers);
            size_t len = piece.len - body;
            while (len && strchr("\r\n", part[body + len - 1]) && part[body + len - 1])
                len--;
            (*budget)--;
            parse_part((struct span){part + body, len}, mail, headers, depth + 1, budget);
        }
        if (!found || ((size_t)(end - found) >= mark_len + 2 && !memcmp(found + mark_len, "--", 2)))
            return;
        const char *newline = memchr(found, '\n', (size_t)(end - found));
        at = part = newline ? newline + 1 : end;
    }
}

static void add_leaf(json_t *mail, const char *type, const char *filename, const struct buf *body)
{
    const char *key = strncasecmp(type, "text/html", 9) == 0 ? "html" : "text";
    bool is_text = !*type || strncasecmp(type, "text/", 5) == 0;
    if (is_text && !filename && !json_object_get(mail, key)) {
        json_object_set_new(mail, key, js_string_capped(buf_text(body), body->len, 1 << 20, ""));
        return;
    }
    AUTOFREE char *data = crypto_base64url_encode(buf_text(body), body->len);
    json_array_append_new(
        json_object_get(mail, "attachments"),
        json_pack("{s:o, s:o, s:s, s:I}", "filename",
                  js_string_capped(filename ? filename : "attachment",
                                   strlen(filename ? filename : "attachment"), 255, ""),
                  "mimeType", js_string_capped(type, strcspn(type, "; "), 128, ""), "data", data,
                  "size", (json_int_t)body->len));
}

static void parse_part(struct span in, json_t *mail, const json_t *headers, int depth,
                       unsigned *budget)
{
    const char *type = find_header(headers, "Content-Type");
    const char *encoding = find_header(headers, "Content-Transfer-Encoding");
    AUTOFREE char *boundary = parameter(type, "boundary");
    if (strncasecmp(type, "multipart/", 10) == 0 && boundary && *boundary) {
        if (depth < DEPTH_MAX)
            parse_multipart(in, boundary, mail, depth, budget);
        return;
    }
    AUTOFREE char *filename = filename_of(find_header(headers, "Content-Disposition"));
    struct buf body;
    buf_init(&body, in.len + 1);
    if (strncasecmp(encoding, "base64", 6) == 0)
        decode_base64(in, &body);
    else if (strncasecmp(encoding, "quoted-printable", 16) == 0)
        decode_quoted(in, false, &body);
    else
        buf_add(&body, in.at, in.len);
    add_leaf(mail, type, filename, &body);
    buf_fini(&body);
}

enum err mime_parse(const char *text, size_t len, json_t **ret_mail)
{
    unsigned budget = PARTS_MAX;
    json_t *headers = json_array();
    json_t *mail = json_pack("{s:o, s:[]}", "headers", headers, "attachments");
    size_t body = parse_headers((struct span){text, len}, headers);
    if (json_array_size(headers) == 0) {
        json_decref(mail);
        return ERR_INVALID;
    }
    parse_part((struct span){text + body, len - body}, mail, headers, 0, &budget);
    if (!json_object_get(mail, "text"))
        json_object_set_new(mail, "text", json_string(""));
    *ret_mail = mail;
    return ERR_OK;
}
