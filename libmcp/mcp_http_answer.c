/* What the answer to a message means: a JSON-RPC answer, a stream to be taken up again, a session
 * that is gone, a demand for authorization, a redirection, or nothing of use. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "libcommon/http_client_url.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_http_internal.h"
#include "libmcp/mcp_message.h"

enum { FAILURES_MAX = 5, REFUSALS_MAX = 8, REDIRECTS_MAX = 3 };
/* Between two attempts at a stream; a server that names no time is asked ever more rarely. */
enum { RETRY_MIN_MS = 50, RETRY_FIRST_MS = 1000, RETRY_MAX_MS = 30 * 1000 };

/* Does the text answer the request `id`? */
enum answer { ANSWER_NONE, ANSWER_OURS, ANSWER_NAMELESS /* an error with no id */ };

static enum answer look_at(const json_t *message, int64_t id)
{
    const json_t *its = json_object_get(message, "id");
    bool error = json_is_object(json_object_get(message, "error"));
    if (!error && !json_object_get(message, "result"))
        return ANSWER_NONE;
    if (json_is_integer(its) && json_integer_value(its) == id)
        return ANSWER_OURS;
    bool nameless = error && strcmp(js_str(message, "jsonrpc", ""), "2.0") == 0;
    return nameless && (!its || json_is_null(its)) ? ANSWER_NAMELESS : ANSWER_NONE;
}

static enum answer look(const json_t *json, int64_t id)
{
    size_t index;
    json_t *message;
    json_array_foreach(json, index,
                       message) if (look_at(message, id) == ANSWER_OURS) return ANSWER_OURS;
    return json_is_object(json) ? look_at(json, id) : ANSWER_NONE;
}

void mcp_exchange_message(struct mcp_exchange *exchange, const char *text, size_t len, int status)
{
    struct mcp_http *http = exchange->http;
    AUTOJSON json_t *json = NULL;
    if (exchange->id && !exchange->answered && mcp_json_parse(text, len, &json) == ERR_OK)
        exchange->answered = look(json, exchange->id) == ANSWER_OURS;
    http->events->message(http->arg, text, len, status);
}

/* Streams */

static void keep_place(struct mcp_exchange *exchange)
{
    if (!exchange->sse)
        return;
    if (*sse_last_id(exchange->sse)) {
        free(exchange->last_event_id);
        exchange->last_event_id = mem_strdup(sse_last_id(exchange->sse));
    }
    if (sse_retry_ms(exchange->sse) >= 0)
        exchange->retry_ms = sse_retry_ms(exchange->sse);
}

static int64_t retry_delay(const struct mcp_exchange *exchange)
{
    if (exchange->retry_ms >= 0)
        return exchange->retry_ms > RETRY_MIN_MS ? exchange->retry_ms : RETRY_MIN_MS;
    int64_t delay = (int64_t)RETRY_FIRST_MS << exchange->failures;
    return delay < RETRY_MAX_MS ? delay : RETRY_MAX_MS;
}

/* A stream that began is not a failure, however it ended: servers close streams to have them
 * polled. How long that may go on is the request's deadline's matter. */
static void resume(struct mcp_exchange *exchange, const char *why)
{
    exchange->failures = exchange->stream ? 0 : exchange->failures + 1;
    if (exchange->failures > FAILURES_MAX) {
        mcp_exchange_fail(exchange, 0, why);
        return;
    }
    exchange->resuming = true;
    mcp_exchange_start_in(exchange, retry_delay(exchange));
}

static void stream_ended(struct mcp_exchange *exchange)
{
    bool resumable = !exchange->modern && exchange->id && exchange->last_event_id;
    if (exchange->too_large)
        mcp_exchange_fail(exchange, 0, "its event stream is too large");
    else if (resumable)
        resume(exchange, "");
    else
        mcp_exchange_fail(exchange, 0, "its event stream ended before the answer");
}

static void resumption_failed(struct mcp_exchange *exchange, enum err error,
                              const struct http_answer *answer)
{
    char why[MCP_WHY_SIZE_MAX];
    if (error)
        snprintf(why, sizeof why, "its event stream broke, and it can't be reached again: %s",
                 answer->error);
    else
        snprintf(why, sizeof why, "its event stream broke, and can't be resumed (HTTP %d)",
                 answer->status);
    if (error || answer->status >= 500 || answer->status == 429)
        resume(exchange, why);
    else
        mcp_exchange_fail(exchange, 0, why);
}

static void listening_ended(struct mcp_exchange *exchange, enum err error,
                            const struct http_answer *answer)
{
    /* A server without such a stream says 405. */
    bool offered = exchange->stream || (exchange->resuming && (error || answer->status >= 500));
    exchange->failures++;
    if (exchange->received)
        exchange->failures = exchange->received = 0;
    if (!offered || exchange->too_large || exchange->failures > FAILURES_MAX) {
        mcp_exchange_drop(exchange);
        return;
    }
    exchange->resuming = true;
    mcp_exchange_start_in(exchange, retry_delay(exchange));
}

/* Authorization */

/* The next exchange that waits for it, the oldest first. */
static struct mcp_exchange *waiting(const struct mcp_http *http)
{
    struct mcp_exchange *oldest = NULL;
    for (struct mcp_exchange *each = http->exchanges; each; each = each->next)
        if (each->waits_for_auth)
            oldest = each;
    return oldest;
}

static void on_authorized(void *arg, const char *why)
{
    struct mcp_http *http = arg;
    struct mcp_exchange *exchange;
    http->authorizing = false;
    http->auth_generation += !why;
    while ((exchange = waiting(http))) {
        exchange->waits_for_auth = false;
        if (why)
            mcp_exchange_fail(exchange, exchange->status, why);
        else
            mcp_exchange_start(exchange);
    }
}

/* Takes the matter to `auth`. False: it can't help. */
static bool ask_auth(struct mcp_exchange *exchange, const struct http_answer *answer)
{
    struct mcp_http *http = exchange->http;
    bool refused = answer->status == 401 || (answer->status == 403 && *answer->www_authenticate);
    if (!refused || !http->auth || http->has_authorization || exchange->kind != MCP_EXCHANGE_POST ||
        exchange->refusals == REFUSALS_MAX)
        return false;
    exchange->refusals++;
    if (exchange->sent_generation < http->auth_generation && answer->status == 401) {
        mcp_exchange_start(exchange);
        return true;
    }
    exchange->waits_for_auth = true;
    if (!http->authorizing) {
        http->authorizing = true;
        http->auth->refused(http->auth->arg, answer, exchange->refusals, on_authorized, http);
    }
    return true;
}

/* Redirections */

/* Where it leads, when that is the same origin; else NULL. free() it. */
static char *target_of(const struct mcp_http *http, const char *location)
{
    struct http_url *urls = mem_alloc(2 * sizeof *urls);
    char *target = NULL;
    if (http_url_parse(http->url, &urls[0]) == ERR_OK) {
        bool relative = location[0] == '/' && location[1] != '/';
        target = relative ? mem_printf("%s%s", urls[0].origin, location) : mem_strdup(location);
        if (http_url_parse(target, &urls[1]) || strcmp(urls[0].origin, urls[1].origin) != 0) {
            free(target);
            target = NULL;
        }
    }
    free(urls);
    return target;
}

/* 307 and 308 say that nothing was done here and to send the same there. Elsewhere than to this
 * server the message and its credentials are not for anyone. */
static bool follow(struct mcp_exchange *exchange, const struct http_answer *answer)
{
    struct mcp_http *http = exchange->http;
    if ((answer->status != 307 && answer->status != 308) || exchange->redirects == REDIRECTS_MAX)
        return false;
    char *target = target_of(http, answer->location);
    if (!target)
        return false;
    exchange->redirects++;
    free(http->url);
    http->url = target;
    mcp_exchange_start(exchange);
    return true;
}

/* Plain answers */

/* The specification says 404; there are servers that say 400. */
static bool says_session_gone(const struct mcp_exchange *exchange, int status, const json_t *json)
{
    if (!exchange->sent_session || exchange->modern)
        return false;
    const char *text = js_str(json_object_get(json, "error"), "message", "");
    return status == 404 || (status == 400 && strcasestr(text, "session"));
}

static void lose_session(struct mcp_exchange *exchange)
{
    struct mcp_http *http = exchange->http;
    int64_t id = exchange->id;
    if (http->session && strcmp(http->session, exchange->sent_session) == 0) {
        free(http->session);
        http->session = NULL;
    }
    mcp_exchange_drop(exchange);
    if (id)
        http->events->session_lost(http->arg, id);
}

/* An error that names no request answers the one that this HTTP call brought. */
static void give_name(struct mcp_exchange *exchange, json_t *json, int status)
{
    json_object_set_new(json, "id", json_integer(exchange->id));
    AUTOFREE char *text = js_dump(json);
    mcp_exchange_message(exchange, text, strlen(text), status);
}

static void request_answered(struct mcp_exchange *exchange, int status)
{
    const char *text = buf_text(&exchange->text);
    AUTOJSON json_t *json = NULL;
    enum answer answer = ANSWER_NONE;
    if (mcp_json_parse(text, exchange->text.len, &json) == ERR_OK)
        answer = look(json, exchange->id);
    if (says_session_gone(exchange, status, json)) {
        lose_session(exchange);
        return;
    }
    if (answer == ANSWER_OURS)
        mcp_exchange_message(exchange, text, exchange->text.len, status);
    else if (answer == ANSWER_NAMELESS)
        give_name(exchange, json, status);
    if (exchange->answered) {
        mcp_exchange_drop(exchange);
        return;
    }
    char why[MCP_WHY_SIZE_MAX];
    mcp_http_describe(exchange->http, status, text, why);
    /* Who says that all is well, or to look elsewhere for the result, has perhaps acted. */
    bool unknown = status < 400 && status != 307 && status != 308;
    mcp_exchange_fail(exchange, unknown ? 0 : status, why);
}

static void notification_answered(struct mcp_exchange *exchange, int status)
{
    struct mcp_http *http = exchange->http;
    if (exchange->opens_session && status >= 200 && status < 300)
        mcp_http_listen(http);
    mcp_exchange_drop(exchange);
}

static void call_failed(struct mcp_exchange *exchange, const struct http_answer *answer)
{
    const char *why = exchange->too_large ? "its answer is too large" : answer->error;
    mcp_exchange_fail(exchange, answer->sent ? 0 : MCP_NEVER_SENT, why);
}

void mcp_exchange_called(struct mcp_exchange *exchange, enum err error,
                         const struct http_answer *answer)
{
    keep_place(exchange);
    exchange->too_large |= error == ERR_TOO_LARGE;
    if (exchange->kind == MCP_EXCHANGE_DELETE || exchange->answered)
        mcp_exchange_drop(exchange);
    else if (!error && (ask_auth(exchange, answer) || follow(exchange, answer)))
        return;
    else if (exchange->kind == MCP_EXCHANGE_LISTEN)
        listening_ended(exchange, error, answer);
    else if (exchange->stream)
        stream_ended(exchange);
    else if (exchange->resuming)
        resumption_failed(exchange, error, answer);
    else if (error)
        call_failed(exchange, answer);
    else if (exchange->id)
        request_answered(exchange, answer->status);
    else
        notification_answered(exchange, answer->status);
}
