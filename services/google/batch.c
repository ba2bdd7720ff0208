#include "services/google/batch.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct span {
    const char *at;
    size_t len;
};

void batch_add(struct buf *out, const char *boundary, size_t number, const char *method,
               const char *target, const char *body)
{
    buf_printf(out,
               "--%s\r\nContent-Type: application/http\r\nContent-ID: <call-%zu>\r\n\r\n%s %s "
               "HTTP/1.1\r\nAccept: application/json\r\n",
               boundary, number, method, target);
    if (body)
        buf_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                   strlen(body), body);
    else
        buf_add_str(out, "\r\n");
    buf_add_str(out, "\r\n");
}

void batch_end(struct buf *out, const char *boundary)
{
    buf_printf(out, "--%s--\r\n", boundary);
}

/* "--" and the boundary of the Content-Type; false: there is none. */
static bool read_mark(const char *type, char mark[BATCH_BOUNDARY_SIZE])
{
    static const char name[] = "boundary=";
    const char *at = strncasecmp(type, "multipart/", 10) == 0 ? strcasestr(type, name) : NULL;
    if (!at)
        return false;
    at += strlen(name);
    bool quoted = *at == '"';
    at += quoted;
    size_t len = strcspn(at, quoted ? "\"" : "; \t");
    if (len == 0 || len + 3 > BATCH_BOUNDARY_SIZE)
        return false;
    memcpy(mark, "--", 2);
    memcpy(mark + 2, at, len);
    mark[len + 2] = '\0';
    return true;
}

/* Takes the next line, without its end; false at the end of the text. */
static bool next_line(struct span *text, struct span *ret_line)
{
    if (!text->len)
        return false;
    const char *end = memchr(text->at, '\n', text->len);
    size_t used = end ? (size_t)(end - text->at) + 1 : text->len;
    size_t len = end ? used - 1 : used;
    if (len && text->at[len - 1] == '\r')
        len--;
    *ret_line = (struct span){text->at, len};
    text->at += used;
    text->len -= used;
    return true;
}

/* The value of "Content-ID: <response-call-N>"; −1: the line is another one. */
static long content_id(struct span line)
{
    static const char name[] = "content-id:", prefix[] = "response-call-";
    if (line.len < sizeof name - 1 || strncasecmp(line.at, name, sizeof name - 1) != 0)
        return -1;
    const char *at = memmem(line.at, line.len, prefix, sizeof prefix - 1);
    if (!at)
        return -1;
    const char *end = line.at + line.len;
    long number = -1;
    for (at += sizeof prefix - 1; at < end && isdigit((unsigned char)*at); at++) {
        number = (number < 0 ? 0 : number) * 10 + (*at - '0');
        if (number > BATCH_PARTS_MAX)
            return -1;
    }
    return number;
}

/* "HTTP/1.1 200 OK" */
static int status_of(struct span line)
{
    const char *space = memchr(line.at, ' ', line.len);
    size_t left = space ? (size_t)(line.at + line.len - space) : 0;
    if (left < 4 || strncmp(line.at, "HTTP/", 5) != 0)
        return 0;
    int status = 0;
    for (int i = 1; i <= 3; i++) {
        if (!isdigit((unsigned char)space[i]))
            return 0;
        status = status * 10 + (space[i] - '0');
    }
    return status;
}

/* One part: its headers, an HTTP head, the body. */
static void take_part(struct span part, struct batch_answer *answers, size_t count)
{
    struct span line;
    long number = -1;
    while (next_line(&part, &line) && line.len) {
        long id = content_id(line);
        number = id >= 0 ? id : number;
    }
    if (number < 0 || (size_t)number >= count || !next_line(&part, &line))
        return;
    int status = status_of(line);
    while (next_line(&part, &line) && line.len)
        continue;
    while (part.len && strchr("\r\n", part.at[part.len - 1]))
        part.len--;
    answers[number] = (struct batch_answer){status, part.at, part.len};
}

/* The next boundary at the begin of a line; NULL: there is none. */
static const char *find_mark(struct span text, const char *begin, const char *mark)
{
    size_t len = strlen(mark);
    while (text.len >= len) {
        const char *found = memmem(text.at, text.len, mark, len);
        if (!found || found == begin || found[-1] == '\n')
            return found;
        text.len -= (size_t)(found + 1 - text.at);
        text.at = found + 1;
    }
    return NULL;
}

enum err batch_parse(const char *content_type, const char *text, size_t len,
                     struct batch_answer *ret_answers, size_t count)
{
    char mark[BATCH_BOUNDARY_SIZE];
    if (!read_mark(content_type, mark))
        return ERR_INVALID;
    const char *end = text + len, *at = find_mark((struct span){text, len}, text, mark);
    if (!at)
        return ERR_INVALID;
    memset(ret_answers, 0, count * sizeof *ret_answers);
    for (unsigned parts = 0; at && parts < BATCH_PARTS_MAX; parts++) {
        struct span rest = {at, (size_t)(end - at)}, line = {0};
        next_line(&rest, &line);
        if (line.len >= strlen(mark) + 2 && memcmp(line.at + strlen(mark), "--", 2) == 0)
            break;
        const char *next = find_mark(rest, text, mark);
        size_t part = next ? (size_t)(next - rest.at) : rest.len;
        take_part((struct span){rest.at, part}, ret_answers, count);
        at = next;
    }
    return ERR_OK;
}
