#include "libmcp/mcp_client.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/clock.h"
#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_client_internal.h"
#include "libmcp/mcp_elicit.h"

enum { GARBAGE_MAX = 1000, BATCH_MAX = 256, STOP_LOOK_MS = 50 };

/* ---- sending ------------------------------------------------------------------------------ */

void mcp_client_fail(struct mcp_client *client, const char *fmt, ...)
{
    if (client->state == MCP_FAILED)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(client->why, sizeof client->why, fmt, args);
    va_end(args);
    client->state = MCP_FAILED;
    mcp_client_close(client);
    mcp_calls_fail(client);
}

static bool send_message(struct mcp_client *client, json_t *message, const struct mcp_head *head)
{
    enum err err = client->transport
                       ? client->transport->class->send(client->transport, message, head)
                       : ERR_PEER_LOST;
    json_decref(message);
    if (err == ERR_TOO_LARGE)
        mcp_client_fail(client, "it does not read what it is sent");
    else if (err && client->state == MCP_READY)
        mcp_client_fail(client, "it has closed its input");
    return !err; /* during a start the transport's end is still to come, and may be no failure */
}

/* What the stateless era has in each request (2026-07-28, basic, _meta). */
static void add_meta(const struct mcp_client *client, json_t *params)
{
    json_t *meta = json_object_get(params, "_meta");
    if (!meta) {
        meta = json_object();
        json_object_set_new(params, "_meta", meta);
    }
    json_object_set_new(meta, "io.modelcontextprotocol/protocolVersion",
                        json_string(client->version));
    json_object_set_new(meta, "io.modelcontextprotocol/clientInfo",
                        json_pack("{s:s, s:s}", "name", "mcpbus", "version", MCPBUS_VERSION));
    json_object_set_new(meta, "io.modelcontextprotocol/clientCapabilities",
                        json_pack("{s:{s:{}}}", "elicitation", "form"));
}

int64_t mcp_client_request(struct mcp_client *client, const char *method, json_t *params,
                           struct mcp_head head)
{
    int64_t id = client->next_id++;
    head.id = id;
    head.method = method;
    head.protocol_version = client->version;
    head.modern = client->era == MCP_ERA_MODERN;
    if (head.modern)
        add_meta(client, params);
    json_t *message = json_pack("{s:s, s:I, s:s, s:o}", "jsonrpc", "2.0", "id", (json_int_t)id,
                                "method", method, "params", params);
    send_message(client, message, &head);
    return client->state == MCP_FAILED ? 0 : id;
}

void mcp_client_notify(struct mcp_client *client, const char *method, json_t *params)
{
    json_t *message = json_pack("{s:s, s:s}", "jsonrpc", "2.0", "method", method);
    struct mcp_head head = {.method = method,
                            .protocol_version = client->version,
                            .modern = client->era == MCP_ERA_MODERN};
    if (params)
        json_object_set_new(message, "params", params);
    send_message(client, message, &head);
}

char *mcp_client_error_text(const struct mcp_client *client, const json_t *error)
{
    char *text = mem_strdup(js_str(error, "message", "no message"));
    if (client->transport)
        client->transport->class->hide(client->transport, text);
    return text;
}

bool mcp_version_is_listed(const json_t *list, const char *version)
{
    size_t index;
    json_t *item;
    json_array_foreach(list, index, item)
    {
        if (json_is_string(item) && strcmp(json_string_value(item), version) == 0)
            return true;
    }
    return false;
}

/* ---- what comes --------------------------------------------------------------------------- */

static void on_request(struct mcp_client *client, const struct mcp_message *message)
{
    json_t *answer = json_pack("{s:s, s:O}", "jsonrpc", "2.0", "id", message->request_id);
    struct mcp_head head = {.protocol_version = client->version,
                            .modern = client->era == MCP_ERA_MODERN};
    if (strcmp(message->method, "ping") == 0)
        json_object_set_new(answer, "result", json_object());
    else if (strcmp(message->method, "elicitation/create") == 0)
        json_object_set_new(answer, "result", mcp_elicit_answer(message->body));
    else
        json_object_set_new(answer, "error",
                            json_pack("{s:i, s:s}", "code", -32601, "message", "Method not found"));
    send_message(client, answer, &head);
}

static void on_notification(struct mcp_client *client, const struct mcp_message *message)
{
    if (strcmp(message->method, "notifications/progress") == 0)
        mcp_calls_progress(client, message->body);
    else if (strcmp(message->method, "notifications/tools/list_changed") == 0)
        client->stale = true;
}

static void on_garbage(struct mcp_client *client)
{
    if (++client->garbage > GARBAGE_MAX)
        mcp_client_fail(client, "it writes too much that is not JSON-RPC");
}

static void on_json(struct mcp_client *client, json_t *json)
{
    struct mcp_message message;
    if (mcp_message_of(json, &message))
        on_garbage(client);
    else if (message.kind == MCP_REQUEST)
        on_request(client, &message);
    else if (message.kind == MCP_NOTIFICATION)
        on_notification(client, &message);
    else if (!mcp_start_answer(client, &message))
        mcp_calls_answer(client, &message); /* or it is to a call that was given up */
}

static void on_message(void *arg, const char *text, size_t len, int status)
{
    struct mcp_client *client = arg;
    (void)status;
    AUTOJSON json_t *json = NULL;
    size_t index;
    json_t *item;
    if (client->state == MCP_FAILED || client->stopping)
        return;
    if (mcp_json_parse(text, len, &json))
        on_garbage(client);
    else if (!json_is_array(json) || json_array_size(json) > BATCH_MAX)
        on_json(client, json);
    else
        json_array_foreach(json, index, item) on_json(client, item);
    mcp_client_schedule(client);
}

static void on_no_answer(void *arg, int64_t id, int status, const char *why)
{
    struct mcp_client *client = arg;
    if (!mcp_start_no_answer(client, id, status, why))
        mcp_calls_no_answer(client, id, status, why);
    mcp_client_schedule(client);
}

static void on_session_lost(void *arg, int64_t id)
{
    struct mcp_client *client = arg;
    if (!mcp_calls_session_lost(client, id))
        mcp_start_session_lost(client, id);
    mcp_client_schedule(client);
}

static void on_ended(void *arg, const char *why)
{
    struct mcp_client *client = arg;
    if (!client->stopping && !mcp_start_ended(client))
        mcp_client_fail(client, "%s", why);
    mcp_client_schedule(client);
}

static const struct mcp_transport_events events = {on_message, on_no_answer, on_session_lost,
                                                   on_ended};

/* ---- transports --------------------------------------------------------------------------- */

bool mcp_client_open(struct mcp_client *client)
{
    char why[MCP_WHY_SIZE_MAX];
    bool remote = json_object_get(client->spec, "url") != NULL;
    struct mcp_client_options *options = &client->options;
    struct mcp_transport_options wanted = {
        .loop = options->loop,
        .http = remote && options->http ? options->http(options->arg) : NULL,
        .spec = client->spec,
        .grant = options->grant,
        .events = &events,
        .arg = client,
    };
    client->probed = false;
    if (!(remote ? mcp_http_new : mcp_stdio_new)(&wanted, &client->transport, why))
        return true;
    mcp_client_fail(client, "%s", why);
    return false;
}

static void destroy_transport(struct mcp_transport **transport_p)
{
    if (*transport_p)
        (*transport_p)->class->destroy(*transport_p);
    *transport_p = NULL;
}

void mcp_client_close(struct mcp_client *client)
{
    client->discover_id = client->initialize_id = client->list_id = client->listen_id = 0;
    json_decref(client->fresh);
    client->fresh = NULL;
    if (!client->transport)
        return;
    client->transport->class->stop(client->transport);
    /* There are two at most: a start begins anew once. */
    destroy_transport(&client->retired);
    client->retired = client->transport;
    client->transport = NULL;
}

void mcp_client_rest(struct mcp_client *client)
{
    client->rest_at = 0;
    client->state = MCP_IDLE;
    client->remembered = true;
    mcp_client_close(client);
}

/* ---- time --------------------------------------------------------------------------------- */

static void on_timer(void *arg)
{
    struct mcp_client *client = arg;
    int64_t now = clock_ms();
    if (client->retired && client->retired->class->stopped(client->retired))
        destroy_transport(&client->retired);
    mcp_start_deadlines(client, now);
    mcp_calls_deadlines(client, now);
    if (client->rest_at && now >= client->rest_at && client->state == MCP_READY && !client->list_id)
        mcp_client_rest(client);
    mcp_client_schedule(client);
}

static void earliest(int64_t *next, int64_t deadline)
{
    if (deadline && deadline < *next)
        *next = deadline;
}

void mcp_client_schedule(struct mcp_client *client)
{
    int64_t next = INT64_MAX, now = clock_ms();
    if (client->state == MCP_STARTING) {
        earliest(&next, client->start_deadline);
        earliest(&next, client->step_deadline);
    }
    if (client->list_id)
        earliest(&next, client->list_deadline);
    else if (client->state == MCP_READY)
        earliest(&next, client->rest_at);
    for (size_t i = 0; i < client->work_count; i++)
        earliest(&next, client->works[i].call->deadline);
    if (client->retired)
        earliest(&next, now + STOP_LOOK_MS);
    if (next == INT64_MAX)
        loop_timer_stop(client->timer);
    else
        loop_timer_start(client->timer, next - now);
}

/* ---- from outside ------------------------------------------------------------------------- */

static void take_known(struct mcp_client *client, const json_t *known)
{
    const char *era = js_str(known, "era", "");
    client->era = strcmp(era, "modern") == 0   ? MCP_ERA_MODERN
                  : strcmp(era, "legacy") == 0 ? MCP_ERA_LEGACY
                                               : MCP_ERA_UNKNOWN;
    client->remembered = client->era != MCP_ERA_UNKNOWN;
    json_t *tools = json_object_get(known, "tools");
    if (!client->remembered || !json_is_array(tools))
        return;
    json_decref(client->tools);
    client->tools = json_incref(tools);
    client->known = true;
    client->stale = js_bool(known, "stale", false);
    client->has_resources = js_bool(known, "resources", false);
    client->tells_changes = js_bool(known, "changes", false);
    client->instructions = mem_strdup_opt(js_str(known, "instructions", NULL));
}

struct mcp_client *mcp_client_new(const struct mcp_client_options *options)
{
    struct mcp_client *client = mem_alloc(sizeof *client);
    client->options = *options;
    client->options.spec = client->options.known = NULL;
    client->spec = json_incref((json_t *)options->spec);
    client->name = mem_strdup(js_str(options->spec, "name", "?"));
    client->tools = json_array();
    client->timer = loop_timer_new(options->loop, on_timer, client);
    client->next_id = 1;
    client->ttl_ms = -1;
    take_known(client, options->known);
    const char *unavailable = js_str(options->spec, "unavailable", NULL);
    if (unavailable)
        mcp_client_fail(client, "%s", unavailable);
    return client;
}

void mcp_client_destroy(struct mcp_client **client_p)
{
    struct mcp_client *client = *client_p;
    if (!client)
        return;
    *client_p = NULL;
    client->stopping = true;
    mcp_calls_forget(client);
    destroy_transport(&client->transport);
    destroy_transport(&client->retired);
    loop_timer_destroy(&client->timer);
    json_decref(client->spec);
    json_decref(client->tools);
    json_decref(client->fresh);
    free(client->packed);
    free(client->works);
    free(client->instructions);
    free(client->name);
    free(client);
}

void mcp_client_stop(struct mcp_client *client)
{
    client->stopping = true;
    loop_timer_stop(client->timer);
    if (client->transport)
        client->transport->class->stop(client->transport);
}

bool mcp_client_stopped(struct mcp_client *client)
{
    if (client->transport && client->transport->class->stopped(client->transport))
        destroy_transport(&client->transport);
    if (client->retired && client->retired->class->stopped(client->retired))
        destroy_transport(&client->retired);
    return !client->transport && !client->retired;
}

void mcp_client_list(struct mcp_client *client, int64_t deadline)
{
    if (client->state == MCP_IDLE && !client->known) {
        mcp_client_start(client, deadline);
    } else if (client->state == MCP_READY && client->stale && !client->list_id) {
        client->list_deadline = deadline;
        mcp_list_tools(client);
    }
    mcp_client_schedule(client);
}

bool mcp_client_busy(const struct mcp_client *client)
{
    return client->state == MCP_STARTING || client->list_id;
}

bool mcp_client_stale(const struct mcp_client *client)
{
    return client->stale;
}

const char *mcp_client_name(const struct mcp_client *client)
{
    return client->name;
}

enum mcp_state mcp_client_state(const struct mcp_client *client)
{
    return client->state;
}

const char *mcp_client_why(const struct mcp_client *client)
{
    return client->why;
}

const char *mcp_client_version(const struct mcp_client *client)
{
    return client->version ? client->version : "";
}

json_t *mcp_client_tools(struct mcp_client *client)
{
    if (!client->tools && js_parse(client->packed, strlen(client->packed), &client->tools, NULL))
        client->tools = json_array();
    free(client->packed);
    client->packed = NULL;
    return client->tools;
}

void mcp_client_pack_tools(struct mcp_client *client)
{
    if (!client->tools)
        return;
    client->packed = js_dump(client->tools);
    json_decref(client->tools);
    client->tools = NULL;
}

bool mcp_client_has_resources(const struct mcp_client *client)
{
    return client->has_resources;
}

unsigned mcp_client_lists(const struct mcp_client *client)
{
    return client->lists;
}

const char *mcp_client_instructions(const struct mcp_client *client)
{
    return client->instructions ? client->instructions : "";
}

json_t *mcp_client_known(struct mcp_client *client)
{
    if (!client->known)
        return NULL;
    json_t *known = json_pack("{s:s, s:O, s:b, s:b}", "era",
                              client->era == MCP_ERA_MODERN ? "modern" : "legacy", "tools",
                              mcp_client_tools(client), "resources", client->has_resources,
                              "changes", client->tells_changes);
    if (client->instructions)
        json_object_set_new(known, "instructions", json_string(client->instructions));
    if (client->ttl_ms >= 0)
        json_object_set_new(known, "ttl_ms", json_integer(client->ttl_ms));
    if (client->is_private || client->after_calls)
        json_object_set_new(known, "private", json_true());
    return known;
}
