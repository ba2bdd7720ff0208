#include "libmcp/mcp_client.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/clock.h"
#include "libmcp/mcp_message.h"

enum {
    PENDING_MAX = 256,
    PAGES_MAX = 64,
    GARBAGE_MAX = 1000,
    NAME_MAX_BYTES = 128,
    ERROR_TEXT_MAX = 4096,
};

static const char protocol_offered[] = "2025-06-18";
static const char *const protocols[] = {"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"};

struct pending {
    int64_t id;
    struct mcp_call *call; /* NULL: a request of the start */
};

struct mcp_client {
    char *name;
    enum mcp_state state;
    char why[MCP_STDIO_WHY_SIZE];
    struct mcp_stdio *stdio;
    json_t *tools;
    int64_t next_id, start_deadline;
    bool initialized;
    unsigned pages, garbage;
    struct pending pending[PENDING_MAX];
    size_t pending_count;
    mcp_progress_fn *on_progress;
    void *arg;
};

static void end_call(struct mcp_call *call, bool is_error, char *text)
{
    call->done = true;
    call->is_error = is_error;
    call->text = text;
    call->ended = clock_ms();
}

__attribute__((format(printf, 2, 3))) static void fail(struct mcp_client *client, const char *fmt,
                                                       ...)
{
    if (client->state == MCP_FAILED)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(client->why, sizeof client->why, fmt, args);
    va_end(args);
    client->state = MCP_FAILED;
    for (size_t i = 0; i < client->pending_count; i++)
        if (client->pending[i].call)
            end_call(client->pending[i].call, true,
                     mem_printf("The tool server %s was lost before it answered (%s). Whether the "
                                "tool acted is unknown.",
                                client->name, client->why));
    client->pending_count = 0;
}

static void send_message(struct mcp_client *client, json_t *message)
{
    enum err err = mcp_stdio_send(client->stdio, message);
    json_decref(message);
    if (err == ERR_TOO_LARGE)
        fail(client, "it does not read what it is sent");
    else if (err)
        fail(client, "it has closed its input");
}

static void request(struct mcp_client *client, const char *method, json_t *params,
                    struct mcp_call *call)
{
    int64_t id = client->next_id++;
    client->pending[client->pending_count++] = (struct pending){.id = id, .call = call};
    send_message(client, json_pack("{s:s, s:I, s:s, s:o}", "jsonrpc", "2.0", "id", (json_int_t)id,
                                   "method", method, "params", params));
}

static void notify(struct mcp_client *client, const char *method, json_t *params)
{
    json_t *message = json_pack("{s:s, s:s}", "jsonrpc", "2.0", "method", method);
    if (params)
        json_object_set_new(message, "params", params);
    send_message(client, message);
}

static void initialize(struct mcp_client *client)
{
    request(client, "initialize",
            json_pack("{s:s, s:{}, s:{s:s, s:s}}", "protocolVersion", protocol_offered,
                      "capabilities", "clientInfo", "name", "mcpbus", "version", MCPBUS_VERSION),
            NULL);
}

static void list_tools(struct mcp_client *client, const char *cursor)
{
    json_t *params = json_object();
    if (cursor)
        json_object_set_new(params, "cursor", json_string(cursor));
    client->pages++;
    request(client, "tools/list", params, NULL);
}

static void on_initialized(struct mcp_client *client, const json_t *result)
{
    const char *version = js_str(result, "protocolVersion", "");
    bool known = false;
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        known = known || strcmp(version, protocols[i]) == 0;
    if (!known) {
        fail(client, "it speaks protocol version \"%.32s\", which is not known here", version);
        return;
    }
    client->initialized = true;
    notify(client, "notifications/initialized", NULL);
    if (client->state == MCP_FAILED)
        return;
    if (json_is_object(json_object_get(json_object_get(result, "capabilities"), "tools")))
        list_tools(client, NULL);
    else
        client->state = MCP_READY;
}

static void on_tools(struct mcp_client *client, const json_t *result)
{
    size_t index;
    json_t *tool;
    json_array_foreach(json_object_get(result, "tools"), index, tool)
    {
        const char *name = js_str(tool, "name", "");
        if (*name && strlen(name) <= NAME_MAX_BYTES &&
            json_array_size(client->tools) < MCP_TOOLS_MAX)
            json_array_append(client->tools, tool);
    }
    const char *cursor = js_str(result, "nextCursor", NULL);
    if (cursor && client->pages < PAGES_MAX && json_array_size(client->tools) < MCP_TOOLS_MAX)
        list_tools(client, cursor);
    else
        client->state = MCP_READY;
}

static void on_answer(struct mcp_client *client, const struct mcp_message *message)
{
    size_t i = 0;
    while (i < client->pending_count && client->pending[i].id != message->id)
        i++;
    if (i == client->pending_count)
        return; /* the answer to a call that was given up */
    struct mcp_call *call = client->pending[i].call;
    client->pending[i] = client->pending[--client->pending_count];
    bool is_error = message->kind == MCP_ERROR;
    const char *text = js_str(message->body, "message", "no message");
    if (call && is_error) {
        end_call(call, true, mem_printf("The tool failed: %.*s", ERROR_TEXT_MAX, text));
    } else if (call) {
        char *result = mcp_result_text(message->body, call->text_max, &is_error);
        end_call(call, is_error, result);
    } else if (is_error) {
        fail(client, "it refused to start: %.100s", text);
    } else if (!client->initialized) {
        on_initialized(client, message->body);
    } else {
        on_tools(client, message->body);
    }
}

static void on_request(struct mcp_client *client, const struct mcp_message *message)
{
    json_t *answer = json_pack("{s:s, s:O}", "jsonrpc", "2.0", "id", message->request_id);
    if (strcmp(message->method, "ping") == 0)
        json_object_set_new(answer, "result", json_object());
    else
        json_object_set_new(answer, "error",
                            json_pack("{s:i, s:s}", "code", -32601, "message", "Method not found"));
    send_message(client, answer);
}

static void on_notification(struct mcp_client *client, const struct mcp_message *message)
{
    if (strcmp(message->method, "notifications/progress") != 0)
        return;
    int64_t token = js_int(message->body, "progressToken", -1);
    for (size_t i = 0; i < client->pending_count; i++)
        if (client->pending[i].id == token && client->pending[i].call)
            client->on_progress(client->arg, client->pending[i].call, message->body);
}

static void on_line(struct mcp_client *client, const char *line, size_t len)
{
    struct mcp_message message;
    if (mcp_message_parse(line, len, &message)) {
        if (++client->garbage > GARBAGE_MAX)
            fail(client, "it writes too much that is not JSON-RPC");
        return;
    }
    if (message.kind == MCP_REQUEST)
        on_request(client, &message);
    else if (message.kind == MCP_NOTIFICATION)
        on_notification(client, &message);
    else
        on_answer(client, &message);
    json_decref(message.json);
}

struct mcp_client *mcp_client_new(const json_t *spec, int64_t start_deadline,
                                  mcp_progress_fn *on_progress, void *arg)
{
    struct mcp_client *client = mem_alloc(sizeof *client);
    client->name = mem_strdup(js_str(spec, "name", "?"));
    client->tools = json_array();
    client->next_id = 1;
    client->start_deadline = start_deadline;
    client->on_progress = on_progress;
    client->arg = arg;
    const char *unavailable = js_str(spec, "unavailable", NULL);
    char why[MCP_STDIO_WHY_SIZE];
    if (unavailable)
        fail(client, "%s", unavailable);
    else if (mcp_stdio_start(client->name, js_str(spec, "command", ""),
                             json_object_get(spec, "args"), json_object_get(spec, "env"),
                             &client->stdio, why))
        fail(client, "%s", why);
    else
        initialize(client);
    return client;
}

void mcp_client_destroy(struct mcp_client **client_p)
{
    struct mcp_client *client = *client_p;
    if (!client)
        return;
    *client_p = NULL;
    mcp_stdio_destroy(&client->stdio);
    json_decref(client->tools);
    free(client->name);
    free(client);
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

json_t *mcp_client_tools(const struct mcp_client *client)
{
    return client->tools;
}

struct mcp_stdio *mcp_client_stdio(const struct mcp_client *client)
{
    return client->stdio;
}

void mcp_client_call(struct mcp_client *client, struct mcp_call *call)
{
    call->started = clock_ms();
    if (client->state != MCP_READY || client->pending_count == PENDING_MAX) {
        const char *why = client->state == MCP_FAILED ? client->why : "it has too much to do";
        end_call(call, true,
                 mem_printf("The tool server %s is not available: %s. Nothing was done.",
                            client->name, why));
        return;
    }
    request(client, "tools/call",
            json_pack("{s:s, s:O, s:{s:I}}", "name", call->tool, "arguments", call->arguments,
                      "_meta", "progressToken", (json_int_t)client->next_id),
            call);
}

static void give_up(struct mcp_client *client, size_t i)
{
    struct pending late = client->pending[i];
    client->pending[i] = client->pending[--client->pending_count];
    end_call(late.call, true,
             mem_printf("The tool gave no answer within %lld s. Whether it acted is unknown.",
                        (long long)(late.call->deadline - late.call->started) / 1000));
    notify(client, "notifications/cancelled",
           json_pack("{s:I, s:s}", "requestId", (json_int_t)late.id, "reason", "timeout"));
}

static void check_deadlines(struct mcp_client *client, int64_t now)
{
    if (client->state == MCP_STARTING && now >= client->start_deadline)
        fail(client, "it did not get ready in time");
    for (size_t i = 0; i < client->pending_count;) {
        struct mcp_call *call = client->pending[i].call;
        if (call && now >= call->deadline)
            give_up(client, i);
        else
            i++;
    }
}

void mcp_client_turn(struct mcp_client *client, int64_t now)
{
    const char *line;
    size_t len;
    if (!client->stdio)
        return;
    while (client->state != MCP_FAILED && mcp_stdio_line(client->stdio, &line, &len))
        on_line(client, line, len);
    if (mcp_stdio_ended(client->stdio))
        fail(client, "it ended");
    check_deadlines(client, now);
}

int64_t mcp_client_deadline(const struct mcp_client *client, int64_t none)
{
    int64_t next = client->state == MCP_STARTING ? client->start_deadline : none;
    for (size_t i = 0; i < client->pending_count; i++)
        if (client->pending[i].call && client->pending[i].call->deadline < next)
            next = client->pending[i].call->deadline;
    return next;
}
