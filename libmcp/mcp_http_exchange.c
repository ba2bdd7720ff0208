/* One message's HTTP calls: begun, read, ended. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "libcommon/clock.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_http_internal.h"

enum { NOTIFICATION_MS = 30 * 1000, ENDLESS_MS = 24 * 3600 * 1000, LINGER_MS = 2000 };

static void on_timer(void *arg);

struct mcp_exchange *mcp_exchange_new(struct mcp_http *http, enum mcp_exchange_kind kind)
{
    struct mcp_exchange *exchange = mem_alloc(sizeof *exchange);
    exchange->http = http;
    exchange->kind = kind;
    exchange->retry_ms = -1;
    exchange->lines = json_array();
    exchange->timer = loop_timer_new(http->loop, on_timer, exchange);
    buf_init(&exchange->text, MCP_HTTP_MESSAGE_MAX);
    exchange->next = http->exchanges;
    if (exchange->next)
        exchange->next->prev = exchange;
    http->exchanges = exchange;
    http->count++;
    return exchange;
}

static void exchange_free(struct mcp_exchange *exchange)
{
    sse_destroy(&exchange->sse);
    buf_fini(&exchange->text);
    json_decref(exchange->lines);
    free(exchange->sent_session);
    free(exchange->last_event_id);
    free(exchange->body);
    free(exchange);
}

static void leave(struct mcp_exchange *exchange)
{
    struct mcp_http *http = exchange->http;
    if (exchange->prev)
        exchange->prev->next = exchange->next;
    else
        http->exchanges = exchange->next;
    if (exchange->next)
        exchange->next->prev = exchange->prev;
    http->count--;
    if (http->goodbye == exchange)
        http->goodbye = NULL;
    if (http->gate == exchange)
        mcp_http_open_gate(http);
}

void mcp_exchange_drop(struct mcp_exchange *exchange)
{
    if (exchange->dropped)
        return;
    exchange->dropped = true;
    if (exchange->call)
        http_client_cancel(exchange->http->client, exchange->call);
    loop_timer_destroy(&exchange->timer);
    leave(exchange);
    if (!exchange->busy)
        exchange_free(exchange);
}

void mcp_exchange_fail(struct mcp_exchange *exchange, int status, const char *why)
{
    struct mcp_http *http = exchange->http;
    int64_t id = exchange->answered ? 0 : exchange->id;
    char text[MCP_WHY_SIZE_MAX];
    snprintf(text, sizeof text, "%s", why);
    mcp_exchange_drop(exchange);
    if (id)
        http->events->no_answer(http->arg, id, status, text);
}

/* From here on `exchange` may be dropped by any callback, and is freed only by `end_callback`. */
static void begin_callback(struct mcp_exchange *exchange)
{
    exchange->busy = true;
}

static void end_callback(struct mcp_exchange *exchange)
{
    exchange->busy = false;
    if (exchange->dropped)
        exchange_free(exchange);
}

/* The calls */

static bool is_event_stream(const char *type)
{
    static const char name[] = "text/event-stream";
    size_t len = sizeof name - 1;
    return strncasecmp(type, name, len) == 0 && (!type[len] || strchr("; \t", type[len]));
}

/* "Only visible ASCII": and nothing that fills memory. */
static bool is_session_id(const char *id)
{
    size_t len = 0;
    for (; id[len]; len++)
        if (id[len] < 0x21 || id[len] > 0x7e)
            return false;
    return len > 0 && len <= 1024;
}

static bool on_event(void *arg, const struct sse_event *event)
{
    struct mcp_exchange *exchange = arg;
    if (event->len && strcmp(event->event, "message") == 0)
        mcp_exchange_message(exchange, event->data, event->len, exchange->status);
    return !exchange->dropped;
}

static enum http_body on_head(void *arg, const struct http_answer *head)
{
    struct mcp_exchange *exchange = arg;
    struct mcp_http *http = exchange->http;
    bool good = head->status >= 200 && head->status < 300;
    exchange->status = head->status;
    exchange->stream = good && is_event_stream(head->content_type);
    if (exchange->stream)
        exchange->sse = sse_new(MCP_HTTP_MESSAGE_MAX + 64, on_event, exchange);
    if (good && exchange->initializes && is_session_id(head->session_id)) {
        free(http->session);
        http->session = mem_strdup(head->session_id);
    }
    if (exchange->kind == MCP_EXCHANGE_LISTEN && exchange == http->gate)
        mcp_http_open_gate(http);
    return HTTP_BODY_STREAM;
}

static bool take_data(struct mcp_exchange *exchange, const char *data, size_t len)
{
    exchange->received += len;
    exchange->too_large = exchange->received > MCP_HTTP_STREAM_MAX;
    if (exchange->stream && !exchange->too_large) {
        exchange->too_large = sse_feed(exchange->sse, data, len) == ERR_TOO_LARGE;
    } else if (!exchange->stream) {
        buf_add(&exchange->text, data, len);
        exchange->too_large |= buf_check(&exchange->text) != ERR_OK;
    }
    return !exchange->too_large && !exchange->dropped;
}

static bool on_data(void *arg, const char *data, size_t len)
{
    struct mcp_exchange *exchange = arg;
    begin_callback(exchange);
    bool more = take_data(exchange, data, len);
    /* The server ends the stream after its answer; if it doesn't, we do. */
    if (more && exchange->answered && !loop_timer_active(exchange->timer))
        loop_timer_start(exchange->timer, LINGER_MS);
    end_callback(exchange);
    return more;
}

static void on_done(void *arg, enum err error, const struct http_answer *answer)
{
    struct mcp_exchange *exchange = arg;
    exchange->call = 0;
    begin_callback(exchange);
    mcp_exchange_called(exchange, error, answer);
    end_callback(exchange);
}

static int64_t time_left(const struct mcp_exchange *exchange)
{
    if (exchange->kind == MCP_EXCHANGE_POST && !exchange->id && !exchange->deadline)
        return NOTIFICATION_MS;
    if (!exchange->deadline)
        return ENDLESS_MS;
    int64_t left = exchange->deadline - clock_ms();
    return left > 0 ? left : 1;
}

static void forget_call(struct mcp_exchange *exchange)
{
    sse_destroy(&exchange->sse);
    buf_reset(&exchange->text);
    exchange->stream = exchange->too_large = false;
    exchange->status = 0;
    free(exchange->sent_session);
    exchange->sent_session = NULL;
}

void mcp_exchange_start(struct mcp_exchange *exchange)
{
    struct mcp_http *http = exchange->http;
    bool post = exchange->kind == MCP_EXCHANGE_POST && !exchange->resuming;
    const char *method = post ? "POST" : exchange->kind == MCP_EXCHANGE_DELETE ? "DELETE" : "GET";
    forget_call(exchange);
    AUTOJSON json_t *lines = mcp_exchange_lines(exchange, method);
    size_t count = json_array_size(lines);
    const char **headers = mem_alloc((count + 1) * sizeof *headers);
    for (size_t i = 0; i < count; i++)
        headers[i] = json_string_value(json_array_get(lines, i));
    struct http_call call = {
        .method = method,
        .url = http->url,
        .headers = headers,
        .body = post ? exchange->body : NULL,
        .body_len = post ? strlen(exchange->body) : 0,
        .timeout_ms = time_left(exchange),
        .answer_max = MCP_HTTP_STREAM_MAX,
        .on_head = on_head,
        .on_data = on_data,
        .arg = exchange,
    };
    exchange->call = http_client_send(http->client, &call, on_done, exchange);
    free(headers);
}

void mcp_exchange_start_in(struct mcp_exchange *exchange, int64_t delay_ms)
{
    loop_timer_start(exchange->timer, delay_ms);
}

static void on_timer(void *arg)
{
    struct mcp_exchange *exchange = arg;
    if (exchange->answered)
        mcp_exchange_drop(exchange);
    else if (exchange->faulty)
        mcp_exchange_fail(exchange, MCP_NEVER_SENT, exchange->why);
    else if (!exchange->call)
        mcp_exchange_start(exchange);
    else if (exchange == exchange->http->gate)
        mcp_http_open_gate(exchange->http); /* the head of the stream is long in coming */
}
