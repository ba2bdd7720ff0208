#include "services/sandbox/upload.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { BOUNDARY_MAX = 200, PARTS = 2 };

struct part {
    const char *headers, *data;
    size_t headers_len, len;
};

/* "\r\n--" and the boundary. */
static bool read_mark(const char *content_type, char mark[BOUNDARY_MAX + 8])
{
    const char *at = strcasestr(content_type, "boundary=");
    if (strncasecmp(content_type, "multipart/", 10) != 0 || !at)
        return false;
    at += 9;
    bool quoted = *at == '"';
    at += quoted;
    size_t len = strcspn(at, quoted ? "\"" : "; \t");
    if (len == 0 || len > BOUNDARY_MAX)
        return false;
    snprintf(mark, BOUNDARY_MAX + 8, "\r\n--%.*s", (int)len, at);
    return true;
}

/* The headers end at an empty line; a part may have none. */
static void split_part(const char *start, size_t len, struct part *ret_part)
{
    const char *end = memmem(start, len, "\r\n\r\n", 4);
    const char *data = end ? end + 4 : start + len;
    if (len >= 2 && memcmp(start, "\r\n", 2) == 0) {
        end = start;
        data = start + 2;
    }
    *ret_part = (struct part){.headers = start,
                              .headers_len = end ? (size_t)(end - start) : 0,
                              .data = data,
                              .len = (size_t)(start + len - data)};
}

/* A header's value within a part; "" when it has none. */
static void part_header(const struct part *part, const char *name, char value[128])
{
    size_t name_len = strlen(name);
    const char *end = part->headers + part->headers_len;
    value[0] = 0;
    for (const char *line = part->headers; line < end;) {
        const char *stop = memmem(line, (size_t)(end - line), "\r\n", 2);
        stop = stop ? stop : end;
        if ((size_t)(stop - line) > name_len && strncasecmp(line, name, name_len) == 0 &&
            line[name_len] == ':') {
            const char *at = line + name_len + 1;
            while (at < stop && *at == ' ')
                at++;
            snprintf(value, 128, "%.*s", (int)(stop - at), at);
        }
        line = stop + 2;
    }
}

enum err upload_split(const char *content_type, const char *body, size_t len,
                      struct upload *ret_upload)
{
    char mark[BOUNDARY_MAX + 8], type[128], encoding[128];
    struct part parts[PARTS];
    if (!read_mark(content_type, mark))
        return ERR_INVALID;
    size_t mark_len = strlen(mark);
    const char *end = body + len;
    const char *at =
        memmem(body, len, mark + 2, mark_len - 2); /* the first has no line before it */
    if (!at)
        return ERR_INVALID;
    at += mark_len - 2;
    for (int i = 0; i < PARTS; i++) {
        const char *line = memmem(at, (size_t)(end - at), "\r\n", 2);
        if (!line)
            return ERR_INVALID;
        const char *stop = memmem(line, (size_t)(end - line), mark, mark_len);
        /* The part's own first line break may be the one before the mark. */
        if (!stop || stop < line + 2)
            return ERR_INVALID;
        split_part(line + 2, (size_t)(stop - line - 2), &parts[i]);
        at = stop + mark_len;
    }
    part_header(&parts[1], "Content-Type", type);
    part_header(&parts[1], "Content-Transfer-Encoding", encoding);
    *ret_upload = (struct upload){.metadata = parts[0].data,
                                  .metadata_len = parts[0].len,
                                  .data = parts[1].data,
                                  .len = parts[1].len,
                                  .base64 = strcasecmp(encoding, "base64") == 0};
    snprintf(ret_upload->type, sizeof(ret_upload->type), "%s",
             *type ? type : "application/octet-stream");
    return ERR_OK;
}
