#include "services/worker/run_tools.h"

#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/clock.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_pool.h"

enum {
    START_TIMEOUT_MS = 60000,
    SCHEMA_MAX = 32 << 10,
    NOTES_MAX = 16 << 10,
    PROGRESS_TEXT_MAX = 1024,
    PROGRESS_MIN_MS = 200, /* between two progress events of a run */
};

struct run_tools {
    struct run_tools_options options;
    struct mcp_pool *pool;
    struct tool_names *names;
    json_t *list; /* for the model */
    struct buf notes;
    int64_t tool_timeout_ms, last_progress;
    struct agent_call *calls; /* of the turn under way, for progress events */
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

bool run_tools_wait(struct run_tools *tools, int fd, int64_t deadline)
{
    return mcp_pool_turn(tools->pool, fd, deadline);
}

static void start_call(struct run_tools *tools, struct agent_call *from, int index,
                       int64_t deadline, struct mcp_call *call)
{
    const struct tool *tool = tool_names_find(tools->names, from->name);
    int64_t limit = clock_ms() + tools->tool_timeout_ms;
    *call = (struct mcp_call){
        .tool = tool->server_tool,
        .arguments = from->arguments,
        .text_max = AGENT_TOOL_TEXT_MAX - 64, /* with its marker it is cut no second time */
        .deadline = limit < deadline ? limit : deadline,
        .context = index,
    };
    mcp_client_call(mcp_pool_client(tools->pool, (size_t)tool->server), call);
}

static bool all_done(const struct agent_call *from, const struct mcp_call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!from[i].text && !calls[i].done)
            return false;
    return true;
}

void run_tools_call(struct run_tools *tools, struct agent_call *from, size_t count,
                    int64_t deadline)
{
    struct mcp_call calls[AGENT_CALLS_MAX] = {0};
    tools->calls = from;
    for (size_t i = 0; i < count; i++)
        if (!from[i].text)
            start_call(tools, &from[i], (int)i, deadline, &calls[i]);
    while (!all_done(from, calls, count))
        mcp_pool_turn(tools->pool, -1, INT64_MAX);
    for (size_t i = 0; i < count; i++) {
        if (from[i].text)
            continue;
        from[i].is_error = calls[i].is_error;
        from[i].text = calls[i].text;
        from[i].duration_ms = calls[i].ended - calls[i].started;
    }
    tools->calls = NULL;
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

static json_t *schema_of(const json_t *tool)
{
    json_t *schema = json_object_get(tool, "inputSchema");
    bool usable = json_is_object(schema) && strcmp(js_str(schema, "type", ""), "object") == 0 &&
                  js_dump_size(schema) <= SCHEMA_MAX;
    json_t *copy = usable ? json_copy(schema) : json_pack("{s:s}", "type", "object");
    if (!json_is_object(json_object_get(copy, "properties")))
        json_object_set_new(copy, "properties", json_object());
    return copy;
}

static void add_tools(struct run_tools *tools, int server)
{
    const struct mcp_client *client = mcp_pool_client(tools->pool, (size_t)server);
    size_t index;
    json_t *tool;
    json_array_foreach(mcp_client_tools(client), index, tool)
    {
        const struct tool *known =
            tool_names_add(tools->names, server, mcp_client_name(client), js_str(tool, "name", ""),
                           json_object_get(tool, "annotations"));
        if (!known)
            return;
        const char *text = js_str(tool, "description", "");
        json_array_append_new(
            tools->list,
            json_pack("{s:s, s:{s:s, s:o, s:o}}", "type", "function", "function", "name",
                      known->name, "description",
                      js_string_capped(text, strlen(text), TOOL_DESCRIPTION_MAX, " [cut]"),
                      "parameters", schema_of(tool)));
    }
}

static enum err tell_unavailable(struct run_tools *tools, const struct mcp_client *client)
{
    const char *name = mcp_client_name(client), *why = mcp_client_why(client);
    buf_printf(&tools->notes, "The tool server %s is not available: %s. ", name, why);
    AUTOFREE char *text = mem_printf("The tool server %s is not available: %s", name, why);
    return tools->options.event(
        tools->options.arg, "progress",
        json_pack("{s:s, s:s, s:s}", "server", name, "message", text, "level", "warning"));
}

static enum err start_servers(struct run_tools *tools, int64_t deadline)
{
    int64_t until = clock_ms() + START_TIMEOUT_MS;
    if (until > deadline)
        until = deadline;
    tools->pool =
        mcp_pool_new(json_object_get(tools->options.job, "servers"), until, on_progress, tools);
    while (mcp_pool_starting(tools->pool))
        mcp_pool_turn(tools->pool, -1, until);
    for (size_t i = 0; i < mcp_pool_count(tools->pool); i++) {
        const struct mcp_client *client = mcp_pool_client(tools->pool, i);
        enum err err = ERR_OK;
        if (mcp_client_state(client) == MCP_READY)
            add_tools(tools, (int)i);
        else
            err = tell_unavailable(tools, client);
        if (err)
            return err;
    }
    return ERR_OK;
}

enum err run_tools_new(const struct run_tools_options *options, int64_t deadline,
                       struct run_tools **ret_tools)
{
    struct run_tools *tools = mem_alloc(sizeof *tools);
    tools->options = *options;
    tools->names = tool_names_new();
    tools->list = json_array();
    tools->tool_timeout_ms = js_int(options->job, "tool_timeout_ms", 120000);
    buf_init(&tools->notes, NOTES_MAX);
    enum err err = start_servers(tools, deadline);
    /* The servers have their environment; this process needs the secrets no longer. */
    json_object_del(options->job, "servers");
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
    tool_names_destroy(&tools->names);
    json_decref(tools->list);
    buf_fini(&tools->notes);
    free(tools);
}
