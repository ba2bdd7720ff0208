#include "libmcp/mcp_http.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "libcommon/clock.h"
#include "libcommon/http_client_url.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_http_internal.h"
#include "libmcp/mcp_oauth.h"

enum { HEADERS_MAX = 64, GOODBYE_MS = 2000, LISTEN_MS = 500 };

static struct mcp_http *http_of(struct mcp_transport *transport)
{
    return (struct mcp_http *)transport;
}

/* Sending */

static void add_line(struct mcp_exchange *exchange, const char *name, const char *value)
{
    AUTOFREE char *line = mem_printf("%s: %s", name, value);
    json_array_append_new(exchange->lines, json_string(line));
}

static void add_modern_lines(struct mcp_exchange *exchange, const json_t *message,
                             const struct mcp_head *head)
{
    if (head->method)
        add_line(exchange, "Mcp-Method", head->method);
    if (head->name) {
        AUTOFREE char *name = mcp_http_encode_value(head->name);
        add_line(exchange, "Mcp-Name", name);
    }
    const json_t *arguments = json_object_get(json_object_get(message, "params"), "arguments");
    if (head->tool && mcp_http_param_lines(head->tool, arguments, exchange->lines, exchange->why))
        exchange->faulty = true;
}

static void note_version(struct mcp_http *http, const struct mcp_head *head)
{
    http->modern = head->modern;
    if (head->modern || !head->protocol_version)
        return;
    free(http->version);
    http->version = mem_strdup(head->protocol_version);
}

static void begin(struct mcp_exchange *exchange)
{
    struct mcp_http *http = exchange->http;
    if (exchange->opens_session && !http->gate)
        http->gate = exchange;
    /* POSTs run side by side, but a server may refuse what comes before notifications/initialized.
     */
    exchange->waits_for_gate = http->gate && http->gate != exchange;
    if (exchange->faulty)
        mcp_exchange_start_in(exchange, 0);
    else if (!exchange->waits_for_gate)
        mcp_exchange_start(exchange);
}

/* Answered ones are only read to their end. */
static bool make_room(struct mcp_http *http)
{
    for (struct mcp_exchange *each = http->exchanges, *next; each; each = next) {
        next = each->next;
        if (http->count >= MCP_HTTP_EXCHANGES_MAX && each->answered)
            mcp_exchange_drop(each);
    }
    return http->count < MCP_HTTP_EXCHANGES_MAX;
}

static enum err http_send(struct mcp_transport *transport, const json_t *message,
                          const struct mcp_head *head)
{
    struct mcp_http *http = http_of(transport);
    const char *method = head->method ? head->method : "";
    if (http->stopping)
        return ERR_PEER_LOST;
    if (!make_room(http))
        return ERR_TOO_LARGE;
    struct mcp_exchange *exchange = mcp_exchange_new(http, MCP_EXCHANGE_POST);
    exchange->id = head->id;
    exchange->body = js_dump(message);
    exchange->modern = head->modern;
    exchange->initializes = strcmp(method, "initialize") == 0;
    exchange->opens_session = !head->modern && strcmp(method, "notifications/initialized") == 0;
    exchange->deadline = head->timeout_ms > 0 ? clock_ms() + head->timeout_ms : 0;
    note_version(http, head);
    if (head->protocol_version)
        add_line(exchange, "MCP-Protocol-Version", head->protocol_version);
    if (head->modern)
        add_modern_lines(exchange, message, head);
    begin(exchange);
    return ERR_OK;
}

void mcp_http_open_gate(struct mcp_http *http)
{
    struct mcp_exchange *each = http->exchanges;
    http->gate = NULL;
    while (each && each->next)
        each = each->next;
    for (; each && !http->stopping; each = each->prev) {
        if (each->waits_for_gate && !each->faulty)
            mcp_exchange_start(each);
        each->waits_for_gate = false;
    }
}

void mcp_http_listen(struct mcp_http *http)
{
    for (struct mcp_exchange *each = http->exchanges, *next; each; each = next) {
        next = each->next;
        if (each->kind == MCP_EXCHANGE_LISTEN) /* of a session that is gone */
            mcp_exchange_drop(each);
    }
    if (http->stopping)
        return;
    /* A call may make the server ask something on this stream: it has to be there before. Some
     * servers send no head before the first event, so that isn't waited for without an end. */
    http->gate = mcp_exchange_new(http, MCP_EXCHANGE_LISTEN);
    mcp_exchange_start(http->gate);
    mcp_exchange_start_in(http->gate, LISTEN_MS);
}

static void http_forget(struct mcp_transport *transport, int64_t id)
{
    for (struct mcp_exchange *each = http_of(transport)->exchanges; each; each = each->next) {
        if (each->id != id || each->kind != MCP_EXCHANGE_POST)
            continue;
        /* The rest of an answered one's stream is read to its end, for its connection's sake. */
        if (!each->answered)
            mcp_exchange_drop(each);
        return;
    }
}

static bool http_accepts(const struct mcp_transport *transport, const json_t *tool,
                         char ret_why[MCP_WHY_SIZE_MAX])
{
    const struct mcp_http *http = (const struct mcp_http *)transport;
    return !http->modern || mcp_http_tool_is_valid(tool, ret_why);
}

static void http_hide(const struct mcp_transport *transport, char *text)
{
    mcp_http_hide((const struct mcp_http *)transport, text);
}

/* The end */

static void end_exchanges(struct mcp_http *http)
{
    http->stopping = true;
    if (http->authorizing)
        http->auth->cancel(http->auth->arg);
    http->authorizing = false;
    while (http->exchanges)
        mcp_exchange_drop(http->exchanges);
}

static void http_stop(struct mcp_transport *transport)
{
    struct mcp_http *http = http_of(transport);
    if (http->stopping)
        return;
    end_exchanges(http);
    if (!http->session || http->modern)
        return;
    http->goodbye = mcp_exchange_new(http, MCP_EXCHANGE_DELETE);
    http->goodbye->deadline = clock_ms() + GOODBYE_MS;
    mcp_exchange_start(http->goodbye);
}

static bool http_stopped(struct mcp_transport *transport)
{
    return !http_of(transport)->goodbye;
}

static void http_destroy(struct mcp_transport *transport)
{
    struct mcp_http *http = http_of(transport);
    end_exchanges(http);
    mcp_oauth_destroy(&http->oauth);
    json_decref(http->headers);
    json_decref(http->auth_lines);
    free(http->name);
    free(http->url);
    free(http->session);
    free(http->version);
    free(http);
}

/* The beginning */

static const struct mcp_transport_class http_class = {
    .forget_cancels = true,
    .send = http_send,
    .forget = http_forget,
    .accepts = http_accepts,
    .hide = http_hide,
    .stop = http_stop,
    .stopped = http_stopped,
    .destroy = http_destroy,
};

/* What this transport sets itself, and what is curl's. */
static bool is_reserved(const char *name)
{
    static const char *const names[] = {"Accept",
                                        "Content-Type",
                                        "Content-Length",
                                        "Connection",
                                        "Host",
                                        "Transfer-Encoding",
                                        "MCP-Protocol-Version",
                                        "Mcp-Session-Id",
                                        "Last-Event-ID",
                                        "Mcp-Method",
                                        "Mcp-Name",
                                        "Expect",
                                        "Content-Encoding"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(names[i], name) == 0)
            return true;
    return strncasecmp(name, "Mcp-Param-", 10) == 0;
}

static const char *refuse_headers(const json_t *headers)
{
    const char *name;
    json_t *value;
    if (headers && !json_is_object(headers))
        return "its headers are not an object of texts";
    if (json_object_size(headers) > HEADERS_MAX)
        return "it has too many headers";
    json_object_foreach((json_t *)headers, name, value)
    {
        if (!json_is_string(value))
            return "its headers are not an object of texts";
        if (is_reserved(name))
            return "it names a header that the transport sets itself";
    }
    return NULL;
}

static void take_headers(struct mcp_http *http, const json_t *headers)
{
    const char *name;
    json_t *value;
    http->headers = headers ? json_deep_copy(headers) : json_object();
    json_object_foreach(http->headers, name, value)
    {
        http->has_authorization |= strcasecmp(name, "Authorization") == 0;
    }
}

static enum err take_auth(struct mcp_http *http, const struct mcp_transport_options *options,
                          char ret_why[MCP_WHY_SIZE_MAX])
{
    const struct mcp_oauth_options oauth = {
        .loop = http->loop,
        .http = http->client,
        .server_url = http->url,
        .auth = json_object_get(options->spec, "auth"),
        .grant = options->grant,
    };
    if (!oauth.auth && !oauth.grant)
        return ERR_OK;
    enum err err = mcp_oauth_new(&oauth, &http->oauth, ret_why);
    if (!err)
        http->auth = mcp_oauth_http_auth(http->oauth);
    return err;
}

enum err mcp_http_check(const json_t *spec, char ret_why[MCP_WHY_SIZE_MAX])
{
    const char *url = js_str(spec, "url", "");
    const json_t *auth = json_object_get(spec, "auth");
    struct http_url *parts = mem_alloc(sizeof *parts);
    const char *why = http_url_parse(url, parts) ? "its url is not one of http or https"
                      : parts->has_fragment      ? "its url has a fragment"
                                                 : refuse_headers(json_object_get(spec, "headers"));
    free(parts);
    if (why)
        snprintf(ret_why, MCP_WHY_SIZE_MAX, "%s", why);
    else if (auth)
        return mcp_oauth_check(auth, url, ret_why);
    return why ? ERR_INVALID : ERR_OK;
}

enum err mcp_http_new(const struct mcp_transport_options *options,
                      struct mcp_transport **ret_transport, char ret_why[MCP_WHY_SIZE_MAX])
{
    if (mcp_http_check(options->spec, ret_why))
        return ERR_UPSTREAM;
    struct mcp_http *http = mem_alloc(sizeof *http);
    http->transport.class = &http_class;
    http->loop = options->loop;
    http->client = options->http;
    http->events = options->events;
    http->arg = options->arg;
    http->name = mem_strdup(js_str(options->spec, "name", ""));
    http->url = mem_strdup(js_str(options->spec, "url", ""));
    take_headers(http, json_object_get(options->spec, "headers"));
    if (take_auth(http, options, ret_why)) {
        http_destroy(&http->transport);
        return ERR_UPSTREAM;
    }
    *ret_transport = &http->transport;
    return ERR_OK;
}

void mcp_http_set_auth(struct mcp_transport *transport, const struct mcp_http_auth *auth)
{
    http_of(transport)->auth = auth;
}
