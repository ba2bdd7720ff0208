/* Google's batch endpoints: multipart/mixed of application/http, each part a call of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "libcommon/buf.h"
#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/errors.h"
#include "services/sandbox/inner.h"
#include "services/sandbox/routes.h"

enum { PARTS_MAX = 100, ANSWER_MAX = 64 << 20, HEAD_MAX = 16384, LINE_MAX_HERE = 8192 };

struct part {
    char id[256]; /* of Content-ID, without the angle brackets */
    char method[16], target[LINE_MAX_HERE];
    const char *body;
    size_t body_len;
};

/* Takes a line off the text; false at its end, or when it is too long. */
static bool take_line(const char **at, const char *end, char line[LINE_MAX_HERE])
{
    const char *stop = *at < end ? memchr(*at, '\n', (size_t)(end - *at)) : NULL;
    const char *next = stop ? stop + 1 : end;
    size_t len = (size_t)((stop ? stop : end) - *at);
    if (*at >= end || len >= LINE_MAX_HERE)
        return false;
    while (len && (*at)[len - 1] == '\r')
        len--;
    memcpy(line, *at, len);
    line[len] = '\0';
    *at = next;
    return true;
}

static void take_id(const char *line, char id[256])
{
    if (strncasecmp(line, "Content-ID:", 11) != 0)
        return;
    line += 11 + strspn(line + 11, " <");
    snprintf(id, 256, "%.*s", (int)strcspn(line, ">"), line);
}

/* "GET /path?query HTTP/1.1", headers, a body. */
static bool read_part(const char *at, const char *end, struct part *part)
{
    char line[LINE_MAX_HERE];
    *part = (struct part){0};
    while (take_line(&at, end, line) && *line)
        take_id(line, part->id);
    if (!take_line(&at, end, line))
        return false;
    size_t method = strcspn(line, " ");
    if (!line[method] || method >= sizeof part->method)
        return false;
    memcpy(part->method, line, method);
    snprintf(part->target, sizeof part->target, "%.*s", (int)strcspn(line + method + 1, " "),
             line + method + 1);
    while (take_line(&at, end, line) && *line)
        continue;
    while (end > at && strchr("\r\n", end[-1]))
        end--;
    part->body = at;
    part->body_len = end > at ? (size_t)(end - at) : 0;
    return part->target[0] == '/';
}

static bool read_boundary(struct call *call, char mark[128])
{
    const char *type = http_request_header(call->request, "Content-Type");
    const char *at = type && strncasecmp(type, "multipart/mixed", 15) == 0
                         ? strcasestr(type, "boundary=")
                         : NULL;
    if (!at)
        return false;
    at += strlen("boundary=");
    bool quoted = *at == '"';
    snprintf(mark, 128, "--%.*s", (int)strcspn(at + quoted, quoted ? "\"" : "; "), at + quoted);
    return mark[2] != '\0';
}

static void answer_part(struct call *call, const struct part *part, const char *boundary,
                        struct buf *out)
{
    struct inner inner = {.status = 500};
    buf_init(&inner.answer, ANSWER_MAX);
    inner_read_target(&inner, part->target);
    inner.body = part->body;
    inner.body_len = part->body_len;
    routes_handle_inner(call, part->method, &inner);
    buf_printf(out,
               "--%s\r\nContent-Type: application/http\r\nContent-ID: <response-%s>\r\n\r\n"
               "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
               boundary, part->id, inner.status, inner.status < 300 ? "OK" : "Error",
               inner.type ? inner.type : "text/plain", inner.answer.len);
    buf_add(out, buf_text(&inner.answer), inner.answer.len);
    buf_add_str(out, "\r\n");
    inner_fini(&inner);
}

/* Calls fn for each part; false: there are too many, or one is malformed. */
static bool answer_parts(struct call *call, const char *mark, const char *boundary, struct buf *out)
{
    size_t len, mark_len = strlen(mark);
    const char *text = http_request_body(call->request, &len), *end = text + len;
    const char *at = memmem(text, len, mark, mark_len);
    unsigned count = 0;
    while (at && (size_t)(end - at) >= mark_len + 2 && memcmp(at + mark_len, "--", 2) != 0) {
        struct part *part = mem_alloc(sizeof *part);
        const char *begin = memchr(at, '\n', (size_t)(end - at));
        begin = begin ? begin + 1 : end;
        const char *next = memmem(begin, (size_t)(end - begin), mark, mark_len);
        bool good = count++ < PARTS_MAX && read_part(begin, next ? next : end, part);
        if (good)
            answer_part(call, part, boundary, out);
        free(part);
        if (!good)
            return false;
        at = next;
    }
    return count > 0;
}

void google_batch(struct call *call)
{
    char mark[128], boundary[40];
    struct buf out;
    if (call->inner || !read_boundary(call, mark)) {
        google_error(call, 400, "badRequest", "Failed to parse batch request.");
        return;
    }
    snprintf(boundary, sizeof boundary, "batch_%016llx", (unsigned long long)crypto_random_u64());
    buf_init(&out, ANSWER_MAX);
    bool good = answer_parts(call, mark, boundary, &out);
    buf_printf(&out, "--%s--\r\n", boundary);
    AUTOFREE char *type = mem_printf("multipart/mixed; boundary=%s", boundary);
    if (good && buf_check(&out) == ERR_OK)
        call_respond(call, 200, type, buf_text(&out), out.len, NULL);
    else
        google_error(call, 400, "badRequest",
                     "Failed to parse batch request, error: it must have 1 to 100 calls.");
    buf_fini(&out);
}
