/* What a new connection says first, looked at before libmicrohttpd reads it: that answers a bad
 * header block with a page of its own and no request id, and takes some that it should not. */
#include "libcommon/http_server_internal.h"

#include <string.h>

enum { HEADER_LINES_MAX = 128 };

static const char bad_request[] = "400 Bad Request";
static const char too_large[] = "431 Request Header Fields Too Large";

struct peek {
    const char *at, *end;
    unsigned lines;
    bool is_11, hosts;
    struct http_peek_refusal *refusal;
};

struct line {
    const char *text, *end; /* without its CRLF */
};

static enum http_peek refuse(struct peek *peek, const char *status, const char *why)
{
    *peek->refusal = (struct http_peek_refusal){.status = status, .why = why};
    return HTTP_PEEK_REFUSE;
}

/* RFC 9112 §2.2: we need not take a bare LF, and a proxy in front may not see a line end in it. */
static enum http_peek next_line(struct peek *peek, struct line *ret_line)
{
    size_t left = (size_t)(peek->end - peek->at);
    const char *lf = memchr(peek->at, '\n', left);
    if (!lf)
        return HTTP_PEEK_MORE;
    if (lf == peek->at || lf[-1] != '\r')
        return refuse(peek, bad_request, "a line of the header does not end with CR LF");
    struct line line = {peek->at, lf - 1};
    size_t len = (size_t)(line.end - line.text);
    if (memchr(line.text, '\0', len) || memchr(line.text, '\r', len))
        return refuse(peek, bad_request, "control character in a header");
    peek->at = lf + 1;
    *ret_line = line;
    return HTTP_PEEK_READY;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* RFC 9112 §3: method SP request-target SP HTTP-version. */
static enum http_peek check_request_line(struct peek *peek, const struct line *line)
{
    const char *target = memchr(line->text, ' ', (size_t)(line->end - line->text));
    const char *version = target ? memchr(target + 1, ' ', (size_t)(line->end - target - 1)) : NULL;
    if (!version || target == line->text || version == target + 1 || line->end - version != 9 ||
        memcmp(version + 1, "HTTP/", 5) != 0 || !is_digit(version[6]) || version[7] != '.' ||
        !is_digit(version[8]))
        return refuse(peek, bad_request, "malformed request line");
    if (version[6] != '1')
        return refuse(peek, "505 HTTP Version Not Supported", "HTTP/1.1 is spoken here");
    peek->is_11 = version[8] >= '1';
    return HTTP_PEEK_READY;
}

static bool is_length(const char *text, const char *end)
{
    while (text < end && (*text == ' ' || *text == '\t'))
        text++;
    const char *first = text;
    while (text < end && is_digit(*text))
        text++;
    bool some = text > first && text - first < 19;
    while (text < end && (*text == ' ' || *text == '\t'))
        text++;
    return some && text == end;
}

static bool is_named(const struct line *line, const char *colon, const char *name)
{
    size_t len = strlen(name);
    return (size_t)(colon - line->text) == len && strncasecmp(line->text, name, len) == 0;
}

static enum http_peek check_header_line(struct peek *peek, const struct line *line)
{
    const char *colon = memchr(line->text, ':', (size_t)(line->end - line->text));
    if (++peek->lines > HEADER_LINES_MAX)
        return refuse(peek, too_large, "too many headers");
    if (line->text[0] == ' ' || line->text[0] == '\t' || !colon || colon == line->text)
        return refuse(peek, bad_request, "malformed header line");
    if (is_named(line, colon, "Host"))
        peek->hosts = true;
    else if (is_named(line, colon, "Content-Length") && !is_length(colon + 1, line->end))
        return refuse(peek, bad_request, "malformed Content-Length");
    return HTTP_PEEK_READY;
}

static enum http_peek look(struct peek *peek)
{
    struct line line;
    while (peek->end - peek->at >= 2 && memcmp(peek->at, "\r\n", 2) == 0)
        peek->at += 2; /* RFC 9112 §2.2: empty lines before a request are nothing */
    if (peek->at < peek->end && (*peek->at <= ' ' || *peek->at > '~') && *peek->at != '\r')
        return refuse(peek, bad_request, "malformed request line"); /* TLS, say */
    enum http_peek result = next_line(peek, &line);
    if (result == HTTP_PEEK_READY)
        result = check_request_line(peek, &line);
    while (result == HTTP_PEEK_READY) {
        result = next_line(peek, &line);
        if (result != HTTP_PEEK_READY)
            break;
        if (line.text == line.end)
            return peek->is_11 && !peek->hosts
                       ? refuse(peek, bad_request, "the Host header is missing")
                       : HTTP_PEEK_READY;
        result = check_header_line(peek, &line);
    }
    return result;
}

enum http_peek http_peek(const char *text, size_t len, struct http_peek_refusal *ret_refusal)
{
    struct peek peek = {.at = text, .end = text + len, .refusal = ret_refusal};
    enum http_peek result = look(&peek);
    if (result == HTTP_PEEK_MORE && len >= HTTP_PEEK_MAX)
        return refuse(&peek, too_large, "the request's headers are too large");
    return result;
}
