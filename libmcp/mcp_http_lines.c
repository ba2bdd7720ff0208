/* Header lines of a call, and words for answers that are none. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_http_internal.h"
#include "libmcp/mcp_message.h"

enum { DETAIL_MAX = 160, SECRET_MIN = 4 };

static void add(json_t *lines, const char *name, const char *value)
{
    AUTOFREE char *line = mem_printf("%s: %s", name, value);
    json_array_append_new(lines, json_string_nocheck(line)); /* an event id is any bytes */
}

static void add_session(struct mcp_exchange *exchange, json_t *lines)
{
    const struct mcp_http *http = exchange->http;
    if (exchange->modern || exchange->initializes || !http->session)
        return;
    exchange->sent_session = mem_strdup(http->session);
    add(lines, "Mcp-Session-Id", http->session);
}

json_t *mcp_exchange_lines(struct mcp_exchange *exchange, const char *method)
{
    struct mcp_http *http = exchange->http;
    json_t *lines = json_array(), *value;
    const char *name;
    bool post = strcmp(method, "POST") == 0;
    json_object_foreach(http->headers, name, value) add(lines, name, json_string_value(value));
    if (post)
        add(lines, "Content-Type", "application/json");
    if (strcmp(method, "DELETE") != 0)
        add(lines, "Accept", post ? "application/json, text/event-stream" : "text/event-stream");
    if (!post && http->version)
        add(lines, "MCP-Protocol-Version", http->version);
    if (!post && exchange->last_event_id)
        add(lines, "Last-Event-ID", exchange->last_event_id);
    add_session(exchange, lines);
    if (post)
        json_array_extend(lines, exchange->lines);
    exchange->sent_generation = http->auth_generation;
    if (http->auth && !http->has_authorization) {
        json_decref(http->auth_lines);
        http->auth_lines = json_array();
        http->auth->lines(http->auth->arg, method, http->url, http->auth_lines);
        json_array_extend(lines, http->auth_lines);
    }
    return lines;
}

/* The word of an error's body that is meant for people; NULL: none. */
static const char *detail_of(const json_t *json)
{
    const json_t *error = json_object_get(json, "error");
    const char *const texts[] = {
        js_str(error, "message", NULL),
        js_str(json, "error_description", NULL),
        js_str(json, "message", NULL),
        js_str(json, "detail", NULL),
        json_is_string(error) ? json_string_value(error) : NULL,
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i])
            return texts[i];
    return NULL;
}

static bool holds(const char *text, const char *secret)
{
    const char *space = strrchr(secret, ' ');
    if (space && strlen(space + 1) >= SECRET_MIN) /* "Bearer …" */
        secret = space + 1;
    return strlen(secret) >= SECRET_MIN && strstr(text, secret);
}

/* A server may repeat what it was sent. */
static bool holds_secret(const struct mcp_http *http, const char *text)
{
    const char *name;
    json_t *value;
    size_t index;
    json_object_foreach(http->headers, name, value)
    {
        if (holds(text, json_string_value(value)))
            return true;
    }
    json_array_foreach(http->auth_lines, index, value)
    {
        if (holds(text, json_string_value(value)))
            return true;
    }
    return false;
}

/* "Bearer …" is a secret without its first word too. */
static void hide_value(char *text, const char *value)
{
    const char *space = strrchr(value, ' ');
    mcp_hide(text, value);
    if (space)
        mcp_hide(text, space + 1);
}

/* Some have their secret in the path, some behind the question mark. */
static void hide_url(char *text, const char *url)
{
    const char *host = strstr(url, "://"), *path = host ? strchr(host + 3, '/') : NULL;
    if (!path)
        return;
    AUTOFREE char *parts = mem_strdup(path);
    char *rest = strchr(parts, '?');
    if (rest)
        *rest++ = '\0';
    mcp_hide(text, parts);
    for (char *part; rest && (part = strsep(&rest, "&"));)
        if ((part = strchr(part, '=')))
            mcp_hide(text, part + 1);
}

void mcp_http_hide(const struct mcp_http *http, char *text)
{
    const char *name;
    json_t *value;
    size_t index;
    json_object_foreach(http->headers, name, value) hide_value(text, json_string_value(value));
    json_array_foreach(http->auth_lines, index, value) hide_value(text, json_string_value(value));
    hide_url(text, http->url);
}

static bool is_redirection(int status)
{
    return status >= 300 && status < 400;
}

void mcp_http_describe(const struct mcp_http *http, int status, const char *body,
                       char ret_why[MCP_WHY_SIZE_MAX])
{
    AUTOJSON json_t *json = NULL;
    const char *text = body;
    if (mcp_json_parse(body, strlen(body), &json) == ERR_OK)
        text = detail_of(json);
    else if (*body == '<')
        text = NULL;
    const char *what = is_redirection(status) ? ", which redirects to elsewhere"
                       : status < 300         ? ", but no answer to the request"
                                              : "";
    if (!text || !*text || status < 400 || holds_secret(http, body) || holds_secret(http, text)) {
        snprintf(ret_why, MCP_WHY_SIZE_MAX, "it answered HTTP %d%s", status, what);
        return;
    }
    AUTOJSON json_t *cut = js_string_capped(text, strlen(text), DETAIL_MAX, "…");
    snprintf(ret_why, MCP_WHY_SIZE_MAX, "it answered HTTP %d: %s", status, json_string_value(cut));
    for (char *at = ret_why; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = ' ';
}
