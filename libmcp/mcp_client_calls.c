#include <string.h>

#include "libcommon/clock.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_client_internal.h"
#include "libmcp/mcp_content.h"
#include "libmcp/mcp_elicit.h"

enum {
    START_TIMEOUT_MS = 60000,
    ERROR_TEXT_MAX = 4096,
    ROUNDS_MAX = 10,
    LOST_MAX = 2,
    PAGES_MAX = 16,
    RESOURCES_MAX = 1000,
    CODE_VERSION = -32022,
    CODE_NO_METHOD = -32601,
    CODE_PARAMS = -32602,
};

/* ---- ends --------------------------------------------------------------------------------- */

static void end_call(struct mcp_call *call, bool is_error, char *text)
{
    call->is_error = is_error;
    call->text = text;
    call->ended = clock_ms();
    call->done = true;
}

static void forget(struct mcp_client *client, struct mcp_work *work)
{
    json_decref(work->responses);
    json_decref(work->request_state);
    json_decref(work->found[0]);
    json_decref(work->found[1]);
    *work = client->works[--client->work_count];
}

static void end_work(struct mcp_client *client, struct mcp_work *work, bool is_error, char *text)
{
    struct mcp_call *call = work->call;
    forget(client, work);
    end_call(call, is_error, text);
}

void mcp_calls_forget(struct mcp_client *client)
{
    while (client->work_count)
        forget(client, &client->works[client->work_count - 1]);
}

static struct mcp_work *find(struct mcp_client *client, int64_t id)
{
    for (size_t i = 0; i < client->work_count; i++)
        if (id && client->works[i].id == id)
            return &client->works[i];
    return NULL;
}

static char *not_available(const struct mcp_client *client, const char *why)
{
    return mem_printf("The tool server %s is not available: %s. Nothing was done.", client->name,
                      why);
}

void mcp_calls_fail(struct mcp_client *client)
{
    while (client->work_count) {
        struct mcp_work *work = &client->works[client->work_count - 1];
        char *text = work->id && work->call->kind == MCP_CALL_TOOL
                         ? mem_printf("The tool server %s was lost before it answered (%s). "
                                      "Whether the tool acted is unknown.",
                                      client->name, client->why)
                         : not_available(client, client->why);
        end_work(client, work, true, text);
    }
}

/* ---- requests ----------------------------------------------------------------------------- */

/* Only HTTP has to know more of a tool than its name. */
static const json_t *tool_named(struct mcp_client *client, const char *name)
{
    size_t index;
    json_t *tool;
    if (!json_object_get(client->spec, "url"))
        return NULL;
    json_array_foreach(mcp_client_tools(client), index, tool)
    {
        if (strcmp(js_str(tool, "name", ""), name) == 0)
            return tool;
    }
    return NULL;
}

static json_t *params_of(struct mcp_client *client, const struct mcp_work *work, const char *cursor)
{
    const struct mcp_call *call = work->call;
    json_t *params = json_pack("{s:{s:I}}", "_meta", "progressToken", (json_int_t)client->next_id);
    if (*call->traceparent)
        json_object_set_new(json_object_get(params, "_meta"), "traceparent",
                            json_string(call->traceparent));
    if (*call->traceparent && call->tracestate)
        json_object_set_new(json_object_get(params, "_meta"), "tracestate",
                            json_string(call->tracestate));
    if (call->kind == MCP_CALL_TOOL) {
        json_object_set_new(params, "name", json_string(call->tool));
        json_object_set(params, "arguments", call->arguments);
    } else if (call->kind == MCP_READ_RESOURCE) {
        json_object_set_new(params, "uri", json_string(js_str(call->arguments, "uri", "")));
    } else if (cursor) {
        json_object_set_new(params, "cursor", json_string(cursor));
    }
    if (work->responses)
        json_object_set(params, "inputResponses", work->responses);
    if (work->request_state)
        json_object_set(params, "requestState", work->request_state);
    return params;
}

static void send_work(struct mcp_client *client, struct mcp_work *work, const char *cursor)
{
    static const char *const methods[] = {"tools/call", "resources/read", "resources/list"};
    struct mcp_call *call = work->call;
    const char *method = work->stage ? "resources/templates/list" : methods[call->kind];
    int64_t ms = call->deadline - clock_ms();
    struct mcp_head head = {.timeout_ms = ms > 1 ? ms : 1};
    if (call->kind == MCP_CALL_TOOL) {
        head.name = call->tool;
        head.tool = tool_named(client, call->tool);
    } else if (call->kind == MCP_READ_RESOURCE) {
        head.name = js_str(call->arguments, "uri", "");
    }
    json_t *params = params_of(client, work, cursor);
    work->id = client->next_id; /* a failure must find what was sent */
    client->acted = true;
    mcp_client_request(client, method, params, head);
}

void mcp_calls_begin(struct mcp_client *client)
{
    for (size_t i = 0; client->state == MCP_READY && i < client->work_count; i++)
        if (!client->works[i].id)
            send_work(client, &client->works[i], NULL);
}

void mcp_client_call(struct mcp_client *client, struct mcp_call *call)
{
    call->started = clock_ms();
    client->called = true;
    client->rest_at = 0;
    if (client->state == MCP_FAILED || client->stopping || client->work_count == MCP_WORKS_MAX) {
        const char *why = client->state == MCP_FAILED ? client->why : "it has too much to do";
        end_call(call, true, not_available(client, why));
        return;
    }
    if (!client->works)
        client->works = mem_alloc(MCP_WORKS_MAX * sizeof *client->works);
    struct mcp_work *work = &client->works[client->work_count++];
    *work = (struct mcp_work){.call = call};
    if (client->state == MCP_READY) {
        send_work(client, work, NULL);
    } else if (client->state == MCP_IDLE) {
        int64_t limit = clock_ms() + START_TIMEOUT_MS;
        mcp_client_start(client, limit < call->deadline ? limit : call->deadline);
    }
    mcp_client_schedule(client);
}

/* ---- answers ------------------------------------------------------------------------------ */

/* SEP-2322: the answers go along with the request as it was, under a new id, and only there. */
static void on_input_required(struct mcp_client *client, struct mcp_work *work,
                              const json_t *result)
{
    json_t *requests = json_object_get(result, "inputRequests");
    json_t *state = json_object_get(result, "requestState");
    json_t *responses = requests ? mcp_input_responses(requests) : NULL;
    if ((requests && !responses) || (!requests && !state) || ++work->rounds > ROUNDS_MAX) {
        json_decref(responses);
        end_work(client, work, true,
                 mem_strdup("The tool asks for input that nobody can give here. Whether it acted "
                            "is unknown."));
        return;
    }
    json_decref(work->responses);
    json_decref(work->request_state);
    work->responses = responses;
    work->request_state = json_is_string(state) ? json_incref(state) : NULL;
    send_work(client, work, NULL);
}

static void end_resources(struct mcp_client *client, struct mcp_work *work)
{
    char *text = mcp_resource_lines(work->found[0], work->found[1], work->call->text_max);
    end_work(client, work, false, text);
}

static void on_resources(struct mcp_client *client, struct mcp_work *work, const json_t *result)
{
    json_t **found = &work->found[work->stage];
    json_t *page = json_object_get(result, work->stage ? "resourceTemplates" : "resources");
    if (!*found)
        *found = json_array();
    if (json_is_array(page))
        json_array_extend(*found, page);
    const char *cursor = js_str(result, "nextCursor", NULL);
    if (cursor && ++work->pages < PAGES_MAX && json_array_size(*found) < RESOURCES_MAX) {
        send_work(client, work, cursor);
    } else if (!work->stage) {
        work->stage = 1;
        work->pages = 0;
        send_work(client, work, NULL);
    } else {
        end_resources(client, work);
    }
}

static void on_result(struct mcp_client *client, struct mcp_work *work, const json_t *result)
{
    bool is_error = false;
    size_t max = work->call->text_max;
    bool asks = client->era == MCP_ERA_MODERN &&
                strcmp(js_str(result, "resultType", ""), "input_required") == 0;
    if (asks)
        on_input_required(client, work, result);
    else if (work->call->kind == MCP_LIST_RESOURCES)
        on_resources(client, work, result);
    else if (work->call->kind == MCP_READ_RESOURCE)
        end_work(client, work, false, mcp_resource_text(result, max));
    else {
        char *text = mcp_result_text(result, max, &is_error);
        end_work(client, work, is_error, text);
    }
}

static void on_error(struct mcp_client *client, struct mcp_work *work, const json_t *error)
{
    int64_t code = js_int(error, "code", 0);
    json_t *supported = json_object_get(json_object_get(error, "data"), "supported");
    if (code == CODE_VERSION && !work->retried && client->version &&
        mcp_version_is_listed(supported, client->version)) {
        work->retried = true;
        send_work(client, work, NULL);
    } else if (work->stage) {
        end_resources(client, work); /* without templates */
    } else {
        /* Perhaps the list of the tools is not what it was. */
        if (code == CODE_PARAMS || code == CODE_NO_METHOD || code == CODE_VERSION)
            client->stale = true;
        AUTOFREE char *text = mcp_client_error_text(client, error);
        end_work(client, work, true, mem_printf("The tool failed: %.*s", ERROR_TEXT_MAX, text));
    }
}

bool mcp_calls_answer(struct mcp_client *client, const struct mcp_message *message)
{
    struct mcp_work *work = find(client, message->id);
    if (!work)
        return false;
    (message->kind == MCP_ERROR ? on_error : on_result)(client, work, message->body);
    return true;
}

bool mcp_calls_no_answer(struct mcp_client *client, int64_t id, int status, const char *why)
{
    struct mcp_work *work = find(client, id);
    if (!work)
        return false;
    bool acted = status == 0 || status == 408 || status == 429 || status >= 500;
    const char *doubt = work->call->kind != MCP_CALL_TOOL ? ""
                        : acted                           ? " Whether the tool acted is unknown."
                                                          : " Nothing was done.";
    end_work(client, work, true,
             mem_printf("The tool server %s gave no answer: %s.%s", client->name, why, doubt));
    return true;
}

bool mcp_calls_session_lost(struct mcp_client *client, int64_t id)
{
    struct mcp_work *work = find(client, id);
    if (!work)
        return false;
    work->id = 0;
    if (++work->lost > LOST_MAX)
        end_work(client, work, true, not_available(client, "it loses its sessions"));
    if (client->state == MCP_READY) {
        client->start_deadline = clock_ms() + START_TIMEOUT_MS;
        mcp_client_initialize(client);
    }
    return true;
}

void mcp_calls_progress(struct mcp_client *client, const json_t *params)
{
    struct mcp_work *work = find(client, js_int(params, "progressToken", 0));
    if (work && client->options.on_progress)
        client->options.on_progress(client->options.arg, work->call, params);
}

/* ---- time --------------------------------------------------------------------------------- */

static void tell_cancelled(struct mcp_client *client, int64_t id)
{
    const struct mcp_transport_class *class = client->transport->class;
    class->forget(client->transport, id);
    if (client->era == MCP_ERA_MODERN && class->forget_cancels)
        return;
    mcp_client_notify(client, "notifications/cancelled",
                      json_pack("{s:I, s:s}", "requestId", (json_int_t)id, "reason", "timeout"));
}

static void give_up(struct mcp_client *client, struct mcp_work *work)
{
    int64_t id = work->id, waited = work->call->deadline - work->call->started;
    if (!id) {
        end_work(client, work, true, not_available(client, "it did not get ready in time"));
        return;
    }
    end_work(client, work, true,
             mem_printf("The tool gave no answer within %lld s. Whether it acted is unknown.",
                        (long long)waited / 1000));
    if (client->transport)
        tell_cancelled(client, id);
}

void mcp_calls_deadlines(struct mcp_client *client, int64_t now)
{
    for (size_t i = 0; i < client->work_count;) {
        if (now >= client->works[i].call->deadline)
            give_up(client, &client->works[i]);
        else
            i++;
    }
}
