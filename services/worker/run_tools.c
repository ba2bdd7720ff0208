#include "services/worker/run_tools.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/clock.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libcommon/span.h"
#include "libmcp/mcp_pool.h"
#include "services/worker/run_watch.h"
#include "services/worker/tool_memory.h"
#include "services/worker/tool_schema.h"

enum {
    START_TIMEOUT_MS = 60000,
    LIST_TIMEOUT_MS = 20000,
    REST_MS = 5000,
    NOTES_MAX = 16 << 10,
    PROGRESS_TEXT_MAX = 1024,
    PROGRESS_MIN_MS = 200, /* between two progress events of a run */
};

struct server {
    const struct tool *list_resources, *read_resource; /* NULL: it has none */
    bool has_key;                                      /* its tools can be remembered */
    unsigned lists; /* how many of its lists were sent for that */
    bool told;      /* that it is unavailable */
};

struct run_tools {
    struct run_tools_options options;
    struct mcp_pool *pool;
    struct server servers[MCP_SERVERS_MAX];
    struct tool_names *names;
    json_t *list;   /* for the model */
    unsigned lists; /* of the servers, that it was made from */
    struct buf notes;
    int64_t tool_timeout_ms, last_progress;
    struct run_watch *watch;
    /* Of the turn under way: */
    char exceeded[160]; /* why the servers were killed, "" when they were not */
    struct agent_call *calls;
    struct mcp_call *mcp_calls;
    size_t count;
};

const char *run_tools_notes(const struct run_tools *tools)
{
    return buf_text(&tools->notes);
}

json_t *run_tools_list(struct run_tools *tools)
{
    return tools->list;
}

const struct tool *run_tools_find(const struct run_tools *tools, const char *name)
{
    return tool_names_find(tools->names, name);
}

const char *run_tools_server(const struct run_tools *tools, const char *name)
{
    const struct tool *tool = run_tools_find(tools, name);
    return tool ? mcp_client_name(mcp_pool_client(tools->pool, (size_t)tool->server)) : "";
}

/* ---- the list for the model --------------------------------------------------------------- */

/* Most of a tool is its schema, and a schema takes seven times as much as its text. */
static json_t *schema_text(const json_t *tool)
{
    AUTOJSON json_t *schema = tool_schema(json_object_get(tool, "inputSchema"));
    AUTOFREE char *text = js_dump(schema);
    return json_string(text);
}

static json_t *expanded(const json_t *tool)
{
    json_t *copy = json_copy((json_t *)tool);
    json_t *function = json_copy(json_object_get(tool, "function"));
    const char *text = js_str(function, "parameters", NULL);
    json_t *schema = NULL;
    if (text && !js_parse(text, strlen(text), &schema, NULL))
        json_object_set_new(function, "parameters", schema);
    json_object_set_new(copy, "function", function);
    return copy;
}

json_t *run_tools_expand(const json_t *list)
{
    json_t *all = json_array(), *tool;
    size_t index;
    json_array_foreach(list, index, tool) json_array_append_new(all, expanded(tool));
    return all;
}

static const struct tool *add_tool(struct run_tools *tools, int server, const json_t *tool)
{
    const struct mcp_client *client = mcp_pool_client(tools->pool, (size_t)server);
    const struct tool *known =
        tool_names_add(tools->names, server, mcp_client_name(client), js_str(tool, "name", ""),
                       json_object_get(tool, "annotations"));
    if (!known)
        return NULL;
    const char *text = js_str(tool, "description", "");
    json_array_append_new(
        tools->list, json_pack("{s:s, s:{s:s, s:o, s:o}}", "type", "function", "function", "name",
                               known->name, "description",
                               js_string_capped(text, strlen(text), TOOL_DESCRIPTION_MAX, " [cut]"),
                               "parameters", schema_text(tool)));
    return known;
}

/* A server's resources are for the host to offer; a model takes them by two tools of ours. */
static void add_resource_tools(struct run_tools *tools, int server)
{
    static const char list[] =
        "{\"name\":\"list_resources\",\"description\":\"Lists the resources of this server, and "
        "templates for URIs of more.\",\"inputSchema\":{\"type\":\"object\",\"properties\":{}},"
        "\"annotations\":{\"readOnlyHint\":true}}";
    static const char read[] =
        "{\"name\":\"read_resource\",\"description\":\"Reads one resource of this server.\","
        "\"inputSchema\":{\"type\":\"object\",\"properties\":{\"uri\":{\"type\":\"string\","
        "\"description\":\"The resource's URI, from list_resources or made from one of its "
        "templates.\"}},\"required\":[\"uri\"]},\"annotations\":{\"readOnlyHint\":true}}";
    AUTOJSON json_t *list_tool = json_loads(list, 0, NULL);
    AUTOJSON json_t *read_tool = json_loads(read, 0, NULL);
    tools->servers[server].list_resources = add_tool(tools, server, list_tool);
    tools->servers[server].read_resource = add_tool(tools, server, read_tool);
}

static void add_tools(struct run_tools *tools, int server)
{
    struct mcp_client *client = mcp_pool_client(tools->pool, (size_t)server);
    size_t index;
    json_t *tool;
    tools->servers[server].list_resources = tools->servers[server].read_resource = NULL;
    if (mcp_client_state(client) == MCP_FAILED)
        return;
    json_array_foreach(mcp_client_tools(client), index, tool)
    {
        if (!add_tool(tools, server, tool))
            return;
    }
    if (mcp_client_has_resources(client))
        add_resource_tools(tools, server);
}

static void make_list(struct run_tools *tools)
{
    tool_names_destroy(&tools->names);
    tools->names = tool_names_new();
    json_array_clear(tools->list);
    for (size_t i = 0; i < mcp_pool_count(tools->pool); i++) {
        add_tools(tools, (int)i);
        mcp_client_pack_tools(mcp_pool_client(tools->pool, i));
    }
}

/* ---- what is told ------------------------------------------------------------------------- */

static enum err tell_unavailable(struct run_tools *tools, size_t server)
{
    const struct mcp_client *client = mcp_pool_client(tools->pool, server);
    const char *name = mcp_client_name(client), *why = mcp_client_why(client);
    if (mcp_client_state(client) != MCP_FAILED || tools->servers[server].told)
        return ERR_OK;
    tools->servers[server].told = true;
    buf_printf(&tools->notes, "The tool server %s is not available: %s. ", name, why);
    AUTOFREE char *text = mem_printf("The tool server %s is not available: %s", name, why);
    return tools->options.event(
        tools->options.arg, "progress",
        json_pack("{s:s, s:o, s:s}", "server", name, "message",
                  js_string_capped(text, strlen(text), PROGRESS_TEXT_MAX, "…"), "level",
                  "warning"));
}

/* New lists are for the next runs too; what led to a failure is for none. */
static enum err remember(struct run_tools *tools, size_t index)
{
    struct mcp_client *client = mcp_pool_client(tools->pool, index);
    struct server *server = &tools->servers[index];
    bool failed = mcp_client_state(client) == MCP_FAILED;
    if (!server->has_key || (!failed && mcp_client_lists(client) == server->lists))
        return ERR_OK;
    json_t *frame = failed ? json_object() : mcp_client_known(client);
    if (js_dump_size(frame) > TOOL_MEMORY_ENTRY_MAX)
        json_object_clear(frame); /* it is not kept, and a frame may not even hold it */
    json_object_set_new(frame, "t", json_string("remember"));
    json_object_set_new(frame, "server", json_string(mcp_client_name(client)));
    server->lists = mcp_client_lists(client);
    mcp_client_pack_tools(client);
    if (failed)
        server->has_key = false;
    return tools->options.send(tools->options.arg, frame);
}

static enum err tell_news(struct run_tools *tools)
{
    enum err err = ERR_OK;
    for (size_t i = 0; !err && i < mcp_pool_count(tools->pool); i++) {
        err = tell_unavailable(tools, i);
        if (!err)
            err = remember(tools, i);
    }
    return err;
}

static void note_instructions(struct run_tools *tools)
{
    for (size_t i = 0; i < mcp_pool_count(tools->pool); i++) {
        const struct mcp_client *client = mcp_pool_client(tools->pool, i);
        const char *text = mcp_client_instructions(client);
        if (*text && mcp_client_state(client) != MCP_FAILED)
            buf_printf(&tools->notes, "\nThe tool server %s says: %s\n", mcp_client_name(client),
                       text);
    }
}

static void on_progress(void *arg, const struct mcp_call *call, const json_t *params)
{
    struct run_tools *tools = arg;
    if (!tools->calls || clock_ms() - tools->last_progress < PROGRESS_MIN_MS)
        return;
    tools->last_progress = clock_ms();
    const char *text = js_str(params, "message", "");
    json_t *data = json_pack("{s:s}", "name", tools->calls[call->context].name);
    json_t *progress = json_object_get(params, "progress"),
           *total = json_object_get(params, "total");
    if (json_is_number(progress))
        json_object_set(data, "progress", progress);
    if (json_is_number(total))
        json_object_set(data, "total", total);
    json_object_set_new(data, "message",
                        js_string_capped(text, strlen(text), PROGRESS_TEXT_MAX, "…"));
    if (tools->options.event(tools->options.arg, "progress", data))
        tools->calls = NULL; /* nobody hears it: the run's next message ends it */
}

static void on_exceeded(void *arg, const char *why)
{
    struct run_tools *tools = arg;
    snprintf(tools->exceeded, sizeof tools->exceeded, "%s", why);
    json_t *data = json_pack("{s:s, s:s}", "message", why, "level", "warning");
    if (tools->options.event(tools->options.arg, "progress", data))
        tools->calls = NULL;
}

/* ---- calls -------------------------------------------------------------------------------- */

/* The span that the worker's loop will tell of this call, by the same rule. */
static void add_trace(const struct run_tools *tools, const struct agent_call *from,
                      struct mcp_call *call)
{
    const json_t *context = json_object_get(tools->options.job, "trace");
    struct trace trace;
    if (!from->id || !trace_parse(js_str(context, "traceparent", NULL), &trace))
        return;
    if (trace.sampled)
        span_named_id(&trace, from->id, trace.span_id);
    trace_format(&trace, call->traceparent);
    call->tracestate = js_str(context, "tracestate", NULL);
}

static void start_call(struct run_tools *tools, const struct agent_call *from, int index,
                       int64_t deadline, struct mcp_call *call)
{
    const struct tool *tool = run_tools_find(tools, from->name);
    const struct server *server = &tools->servers[tool->server];
    int64_t limit = clock_ms() + tools->tool_timeout_ms;
    *call = (struct mcp_call){
        .kind = tool == server->list_resources  ? MCP_LIST_RESOURCES
                : tool == server->read_resource ? MCP_READ_RESOURCE
                                                : MCP_CALL_TOOL,
        .tool = tool->server_tool,
        .arguments = from->arguments,
        .text_max = AGENT_TOOL_TEXT_MAX - 64, /* with its marker it is cut no second time */
        .deadline = limit < deadline ? limit : deadline,
        .context = index,
    };
    add_trace(tools, from, call);
    mcp_client_call(mcp_pool_client(tools->pool, (size_t)tool->server), call);
}

static bool all_done(void *arg)
{
    const struct run_tools *tools = arg;
    for (size_t i = 0; i < tools->count; i++)
        if (!tools->mcp_calls[i].done)
            return false;
    return true;
}

static unsigned count_lists(const struct run_tools *tools)
{
    unsigned lists = 0;
    for (size_t i = 0; i < mcp_pool_count(tools->pool); i++)
        lists += mcp_client_lists(mcp_pool_client(tools->pool, i));
    return lists;
}

/* Before the model is asked again it is told of tools that have come or gone. */
static bool list_anew(struct run_tools *tools, int64_t deadline)
{
    int64_t until = clock_ms() + LIST_TIMEOUT_MS;
    mcp_pool_list(tools->pool, until < deadline ? until : deadline);
    if (count_lists(tools) == tools->lists)
        return false;
    make_list(tools);
    tools->lists = count_lists(tools);
    return true;
}

/* The call's text, which may have to say why its server was lost. */
static char *with_reason(const struct run_tools *tools, struct mcp_call *call)
{
    if (!call->is_error || !*tools->exceeded)
        return call->text;
    AUTOFREE char *text = call->text;
    return mem_printf("%s %s", tools->exceeded, text);
}

bool run_tools_call(struct run_tools *tools, struct agent_call *from, size_t count,
                    int64_t deadline)
{
    struct mcp_call calls[AGENT_CALLS_MAX] = {0};
    tools->calls = from;
    tools->mcp_calls = calls;
    tools->count = count;
    *tools->exceeded = '\0';
    run_watch_arm(tools->watch);
    for (size_t i = 0; i < count; i++) {
        if (from[i].text)
            calls[i].done = true;
        else
            start_call(tools, &from[i], (int)i, deadline, &calls[i]);
    }
    loop_wait_until(tools->options.loop, all_done, tools, -1);
    for (size_t i = 0; i < count; i++) {
        if (from[i].text)
            continue;
        from[i].is_error = calls[i].is_error;
        from[i].text = with_reason(tools, &calls[i]);
        from[i].duration_ms = calls[i].ended - calls[i].started;
    }
    tools->calls = NULL;
    bool changed = list_anew(tools, deadline);
    if (tell_news(tools))
        tools->count = 0; /* nobody hears it: the run's next message ends it */
    return changed;
}

/* ---- the start ---------------------------------------------------------------------------- */

/* The servers' settings hold secrets, which the job needs no longer. */
static json_t *take_servers(struct run_tools *tools)
{
    json_t *job = tools->options.job, *spec;
    json_t *servers = json_incref(json_object_get(job, "servers"));
    size_t index;
    json_array_foreach(servers, index, spec)
    {
        if (index < MCP_SERVERS_MAX)
            tools->servers[index].has_key = json_object_get(spec, "key") != NULL;
    }
    json_object_del(job, "servers");
    return servers;
}

static enum err find_tools(struct run_tools *tools, int64_t deadline)
{
    const json_t *job = tools->options.job, *http = json_object_get(job, "http");
    AUTOJSON json_t *servers = take_servers(tools);
    struct mcp_pool_options options = {
        .loop = tools->options.loop,
        .specs = servers,
        .known = json_object_get(job, "known"),
        .http = {.proxy = js_str(http, "proxy", NULL),
                 .no_proxy = js_str(http, "no_proxy", NULL),
                 .ca_bundle = js_str(http, "ca_bundle", NULL)},
        .on_progress = on_progress,
        .arg = tools,
        .rest_ms = REST_MS,
    };
    tools->pool = mcp_pool_new(&options);
    json_object_del(tools->options.job, "known"); /* the clients have it */
    run_watch_arm(tools->watch);
    int64_t until = clock_ms() + START_TIMEOUT_MS;
    mcp_pool_list(tools->pool, until < deadline ? until : deadline);
    make_list(tools);
    tools->lists = count_lists(tools);
    enum err err = tell_news(tools);
    note_instructions(tools);
    return err;
}

enum err run_tools_new(const struct run_tools_options *options, int64_t deadline,
                       struct run_tools **ret_tools)
{
    struct run_tools *tools = mem_alloc(sizeof *tools);
    tools->options = *options;
    tools->names = tool_names_new();
    tools->list = json_array();
    tools->tool_timeout_ms = js_int(options->job, "tool_timeout_ms", 120000);
    struct run_watch_options watch = {
        options->loop, js_int(options->job, "tool_processes", INT64_MAX),
        js_int(options->job, "tool_memory", INT64_MAX), on_exceeded, tools};
    tools->watch = run_watch_new(&watch);
    buf_init(&tools->notes, NOTES_MAX);
    enum err err = find_tools(tools, deadline);
    if (err)
        run_tools_destroy(&tools);
    else
        *ret_tools = tools;
    return err;
}

void run_tools_destroy(struct run_tools **tools_p)
{
    struct run_tools *tools = *tools_p;
    if (!tools)
        return;
    *tools_p = NULL;
    mcp_pool_destroy(&tools->pool);
    run_watch_destroy(&tools->watch);
    tool_names_destroy(&tools->names);
    json_decref(tools->list);
    buf_fini(&tools->notes);
    free(tools);
}
