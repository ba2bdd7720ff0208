#include "libcommon/http_server_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes in place. False: a malformed escape, a NUL, or not UTF-8. */
static bool percent_decode(char *text, bool plus)
{
    char *out = text;
    for (const char *in = text; *in; in++) {
        char c = *in;
        if (c == '%') {
            int high = hex_digit(in[1]);
            int low = high < 0 ? -1 : hex_digit(in[2]);
            if (low < 0 || (high == 0 && low == 0))
                return false;
            c = (char)(high << 4 | low);
            in += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        *out++ = c;
    }
    *out = '\0';
    return js_is_utf8(text, (size_t)(out - text));
}

/* RFC 9112 §3.2: a path, "*", or the absolute form, which every server must take. */
static char *path_start(char *uri)
{
    if (uri[0] == '/' || strcmp(uri, "*") == 0)
        return uri;
    if (strncasecmp(uri, "http://", 7) != 0 && strncasecmp(uri, "https://", 8) != 0)
        return NULL;
    char *host = strstr(uri, "://") + 3;
    char *slash = strchr(host, '/');
    if (slash)
        return slash;
    host[-1] = '\0';
    return host - 2; /* the second slash of "//" */
}

static bool parse_query(struct http_request *request, char *text)
{
    for (char *pair; (pair = strsep(&text, "&"));) {
        if (!*pair)
            continue;
        if (request->query_count == QUERY_MAX)
            return false;
        char *value = strchr(pair, '=');
        if (value)
            *value++ = '\0';
        if (!percent_decode(pair, true) || (value && !percent_decode(value, true)))
            return false;
        request->query[request->query_count++] =
            (struct http_query){.name = pair, .value = value ? value : ""};
    }
    return true;
}

static void parse_target(struct http_request *request, const char *uri, size_t len)
{
    request->target =
        len < TARGET_SMALL ? memcpy(request->small_target, uri, len + 1) : mem_strndup(uri, len);
    char *path = path_start(request->target);
    if (!path)
        return;
    char *query = strchr(path, '?');
    if (query)
        *query++ = '\0';
    if (percent_decode(path, false) && (!query || parse_query(request, query)))
        request->path = path;
}

/* 32 hex digits, so that it can name a trace as well, whose last half then has to look random: the
 * number is spread over it (splitmix64's finalizer), each to another. */
static void trace_new(struct http_request *request)
{
    struct http_server *server = request->server;
    uint64_t number = ++server->trace_next * 0x9e3779b97f4a7c15;
    size_t prefix = sizeof(server->trace_prefix) - 1;
    number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9;
    number = (number ^ number >> 27) * 0x94d049bb133111eb;
    number ^= number >> 31;
    memcpy(request->trace, server->trace_prefix, prefix);
    for (size_t i = prefix + 16; i-- > prefix; number >>= 4)
        request->trace[i] = "0123456789abcdef"[number & 15];
    request->trace[prefix + 16] = '\0';
}

static struct http_request *request_alloc(struct http_server *server)
{
    struct http_request *request = server->spare;
    if (!request)
        return mem_alloc(sizeof(*request));
    server->spare = request->resume_next;
    server->spare_count--;
    struct buf body = request->body;
    memset(request, 0, offsetof(struct http_request, small_target));
    buf_reset(&body);
    request->body = body;
    return request;
}

static void request_free(struct http_request *request)
{
    struct http_server *server = request->server;
    if (request->body.cap > BODY_SPARE || server->spare_count == REQUESTS_SPARE)
        buf_fini(&request->body);
    if (server->spare_count == REQUESTS_SPARE) {
        free(request);
        return;
    }
    request->resume_next = server->spare;
    server->spare = request;
    server->spare_count++;
}

void http_request_free_spare(struct http_server *server)
{
    for (struct http_request *next; server->spare; server->spare = next) {
        next = server->spare->resume_next;
        buf_fini(&server->spare->body);
        free(server->spare);
    }
}

struct http_request *http_request_new(struct http_server *server, struct http_conn *conn,
                                      const char *uri)
{
    if (server->free_count == 0)
        return NULL;
    struct http_request *request = request_alloc(server);
    uint32_t slot = server->free_slots[--server->free_count];
    request->server = server;
    request->conn = conn;
    request->id = (uint64_t)++server->slots[slot].generation << 32 | slot;
    server->slots[slot].request = request;
    server->request_count++;
    request->line = uri;
    request->line_len = strlen(uri);
    request->body.max = server->options.body_max;
    buf_init(&request->out, (size_t)2 * (STREAM_WAITING_MAX + STREAM_WRITE_MAX));
    trace_new(request);
    parse_target(request, uri, request->line_len);
    return request;
}

static void forget_resume(struct http_request *request)
{
    struct http_server *server = request->server;
    struct http_request **at = &server->resume_first;
    while (*at && *at != request)
        at = &(*at)->resume_next;
    if (!*at)
        return;
    *at = request->resume_next;
    if (server->resume_last == &request->resume_next)
        server->resume_last = at;
}

void http_request_destroy(struct http_request **request_p)
{
    struct http_request *request = *request_p;
    if (!request)
        return;
    *request_p = NULL;
    struct http_server *server = request->server;
    uint32_t slot = (uint32_t)request->id;
    server->slots[slot].request = NULL;
    server->free_slots[server->free_count++] = slot;
    server->request_count--;
    server->body_bytes -= request->body.len;
    if (request->resume_queued)
        forget_resume(request);
    if (request->conn)
        request->conn->request = NULL;
    if (request->stream) {
        server->stream_count--;
        request->on_gone(request->gone_arg, request->id);
    }
    if (request->free_data)
        request->free_data(request->data);
    if (request->response)
        MHD_destroy_response(request->response);
    buf_fini(&request->out);
    if (request->target != request->small_target)
        free(request->target);
    request_free(request);
}

/* Header checks: what a proxy in front could read otherwise than libmicrohttpd does. */
struct header_check {
    struct http_request *request;
    uintptr_t at; /* where the next header must begin */
    unsigned lengths, encodings, hosts;
    const char *length, *encoding, *why;
};

/* RFC 9110 §5.6.2. */
static bool is_token(const char *text, size_t len)
{
    static const unsigned char other[256] = {
        ['"'] = 1, ['('] = 1,  [')'] = 1, [','] = 1, ['/'] = 1, [':'] = 1,
        [';'] = 1, ['<'] = 1,  ['='] = 1, ['>'] = 1, ['?'] = 1, ['@'] = 1,
        ['['] = 1, ['\\'] = 1, [']'] = 1, ['{'] = 1, ['}'] = 1,
    };
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= 0x20 || c >= 0x7f || other[c])
            return false;
    }
    return len > 0;
}

static bool is_control(unsigned char c)
{
    return (c < 0x20 && c != '\t') || c == 0x7f;
}

/* Eight bytes at a time; where one of them may be a control character, by bytes. */
static bool has_control(const char *text, size_t len)
{
    const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
    size_t i = 0;
    for (uint64_t word; i + sizeof(word) <= len; i += sizeof(word)) {
        memcpy(&word, text + i, sizeof(word));
        uint64_t del = word ^ (ones * 0x7f);
        uint64_t suspect = ((word - ones * 0x20) & ~word) | ((del - ones) & ~del);
        for (size_t j = i; suspect & tops && j < i + sizeof(word); j++)
            if (is_control((unsigned char)text[j]))
                return true;
    }
    for (; i < len; i++)
        if (is_control((unsigned char)text[i]))
            return true;
    return false;
}

/* libmicrohttpd ends names and values with NULs in place. A line that doesn't begin right behind
 * the CR LF of the last had company: a bare CR or LF, a NUL, a line without a colon, or a folded
 * line, which it appends to the header's *name* (RFC 9112 §2.2, §5.2). (NUL LF alone looks like CR
 * LF.) */
static bool is_in_place(struct header_check *check, const char *name, size_t name_len,
                        const char *value, size_t value_len)
{
    if ((uintptr_t)name != check->at || (uintptr_t)value <= check->at + name_len)
        return false;
    const char *blank = name + name_len + 1;
    while (blank < value && (*blank == ' ' || *blank == '\t'))
        blank++;
    check->at = (uintptr_t)value + value_len + 2;
    return blank == value && memcmp(value + value_len, "\0", 2) == 0;
}

static void keep_header(struct http_request *request, const char *name, size_t name_len,
                        const char *value)
{
    if (request->header_count == HEADERS_KEPT)
        request->has_more_headers = true;
    else
        request->headers[request->header_count++] =
            (struct http_known_header){.name = name, .value = value, .name_len = name_len};
}

static enum MHD_Result check_header(void *arg, enum MHD_ValueKind kind, const char *name,
                                    size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    struct header_check *check = arg;
    if (!is_token(name, name_len))
        check->why = "malformed header name";
    else if (!value || !is_in_place(check, name, name_len, value, value_len))
        check->why = "malformed header line";
    else if (has_control(value, value_len))
        check->why = "control character in a header";
    else if (name_len == 14 && strcasecmp(name, "Content-Length") == 0 && ++check->lengths)
        check->length = value;
    else if (name_len == 17 && strcasecmp(name, "Transfer-Encoding") == 0 && ++check->encodings)
        check->encoding = value;
    else if (name_len == 4 && strcasecmp(name, "Host") == 0)
        check->hosts++;
    keep_header(check->request, name, name_len, value);
    return check->why ? MHD_NO : MHD_YES;
}

static bool all_digits(const char *text)
{
    size_t len = text ? strspn(text, "0123456789") : 0;
    return len > 0 && len < 19 && text[len] == '\0';
}

static const char *check_framing(const struct header_check *check, const char *version)
{
    bool is_11 = strcmp(version, "HTTP/1.1") == 0;
    if (check->why)
        return check->why;
    if (check->encodings && check->lengths)
        return "Transfer-Encoding together with Content-Length";
    if (check->lengths > 1 || check->encodings > 1 || check->hosts > 1)
        return "a header that may appear only once is doubled";
    if (check->lengths && !all_digits(check->length))
        return "malformed Content-Length";
    if (check->encodings &&
        (!is_11 || !check->encoding || strcasecmp(check->encoding, "chunked") != 0))
        return "unsupported Transfer-Encoding";
    if (is_11 && !check->hosts)
        return "the Host header is missing";
    return NULL;
}

const char *http_request_check(struct http_request *request, const char *version)
{
    /* libmicrohttpd ends the line's parts with NULs in place: a longer distance than one space
     * means that the line held a NUL or more spaces. */
    uintptr_t distance = (uintptr_t)version - (uintptr_t)request->line;
    if (!request->path)
        return "malformed request target";
    if (distance < 65536 && distance != request->line_len + 1)
        return "malformed request line";
    struct header_check check = {.request = request,
                                 .at = (uintptr_t)version + strlen(version) + 2};
    MHD_get_connection_values_n(request->conn->mhd, MHD_HEADER_KIND, check_header, &check);
    if (!check.why && memcmp((const char *)check.at, "\0", 2) != 0) /* the empty line */
        check.why = "malformed header line";
    const char *why = check_framing(&check, version);
    request->is_checked = !why;
    return why;
}

int64_t http_request_content_length(const struct http_request *request)
{
    const char *text = http_request_header(request, "Content-Length");
    return text ? strtoll(text, NULL, 10) : -1;
}

void http_request_trace_set(struct http_request *request)
{
    const char *given = http_request_header(request, "X-Request-Id");
    size_t len = given ? strlen(given) : 0;
    if (len == 0 || len > TRACE_MAX)
        return;
    if (strspn(given, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == len)
        memcpy(request->trace, given, len + 1);
}

uint64_t http_request_id(const struct http_request *request)
{
    return request->id;
}

struct http_request *http_request_find(struct http_server *server, uint64_t id)
{
    uint32_t slot = (uint32_t)id;
    if (slot >= server->options.connections_max)
        return NULL;
    struct http_request *request = server->slots[slot].request;
    if (!request || request->id != id || request->phase == PHASE_ABORTED)
        return NULL;
    return request->phase < PHASE_ANSWERED || request->stream ? request : NULL;
}

const char *http_request_method(const struct http_request *request)
{
    return request->head ? "GET" : request->method;
}

const char *http_request_path(const struct http_request *request)
{
    return request->path ? request->path : "";
}

const char *http_request_query_nth(const struct http_request *request, const char *name,
                                   unsigned nth)
{
    for (size_t i = 0; i < request->query_count; i++)
        if (strcmp(request->query[i].name, name) == 0 && nth-- == 0)
            return request->query[i].value;
    return NULL;
}

const char *http_request_query(const struct http_request *request, const char *name)
{
    return http_request_query_nth(request, name, 0);
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < request->header_count; i++)
        if (request->headers[i].name_len == len &&
            strncasecmp(request->headers[i].name, name, len) == 0)
            return request->headers[i].value;
    if (request->is_checked && !request->has_more_headers)
        return NULL;
    return MHD_lookup_connection_value(request->conn->mhd, MHD_HEADER_KIND, name);
}

struct header_values {
    const char *name, **values;
    size_t count, max;
};

static enum MHD_Result keep_value(void *arg, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    (void)kind;
    struct header_values *all = arg;
    if (strcasecmp(name, all->name) != 0 || !value)
        return MHD_YES;
    if (all->count == all->max)
        memmove(all->values, all->values + 1, --all->count * sizeof(*all->values));
    all->values[all->count++] = value;
    return MHD_YES;
}

size_t http_request_header_all(const struct http_request *request, const char *name,
                               const char **ret_values, size_t max)
{
    struct header_values all = {.name = name, .values = ret_values, .max = max};
    MHD_get_connection_values(request->conn->mhd, MHD_HEADER_KIND, keep_value, &all);
    return all.count;
}

const char *http_request_body(const struct http_request *request, size_t *ret_len)
{
    *ret_len = request->body.len;
    return buf_text(&request->body);
}

const char *http_request_trace(const struct http_request *request)
{
    return request->trace;
}

void http_request_peer(const struct http_request *request, char ret_address[64])
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->conn->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;
    const char *text = NULL;
    if (address && address->sa_family == AF_INET)
        text = inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr,
                         ret_address, 64);
    else if (address && address->sa_family == AF_INET6)
        text = inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr,
                         ret_address, 64);
    if (!text)
        ret_address[0] = '\0';
}

void http_request_set_data(struct http_request *request, void *data, void (*free_fn)(void *data))
{
    request->data = data;
    request->free_data = free_fn;
}

void *http_request_data(const struct http_request *request)
{
    return request->data;
}
