#include "services/worker/run.h"

#include <malloc.h>
#include <signal.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/agent.h"
#include "libcommon/clock.h"
#include "services/worker/frames.h"
#include "services/worker/history.h"
#include "libmcp/mcp_message.h"
#include "libmcp/mcp_pool.h"
#include "services/worker/tool_names.h"

enum {
    START_TIMEOUT_MS = 60000,
    SCHEMA_MAX = 32 << 10,
    NOTES_MAX = 16 << 10,
    HISTORY_NOTES_MAX = 8 << 10,
    PROGRESS_TEXT_MAX = 1024,
    PROGRESS_MIN_MS = 200, /* between two progress events of a run */
};

struct run {
    int fd;
    struct buf in;
    struct mcp_pool *pool;
    struct tool_names *names;
    json_t *tools; /* for the model */
    json_t *job;
    struct buf notes;
    int64_t tool_timeout_ms, last_progress;
    struct agent_call *calls; /* of the turn under way, for progress events */
};

static enum err event(void *arg, const char *type, json_t *data, bool committed);

/* The loop's next frame of type `t` by `deadline`; whatever else it says is skipped. */
static enum err receive(struct run *run, const char *t, int64_t deadline, json_t **ret_frame)
{
    for (;;) {
        json_t *frame = NULL;
        enum err err = frame_take(&run->in, &frame);
        if (err)
            return err;
        if (frame && strcmp(js_str(frame, "t", ""), t) == 0) {
            *ret_frame = frame;
            return ERR_OK;
        }
        json_decref(frame);
        if (frame)
            continue;
        if (clock_ms() >= deadline)
            return ERR_TIMEOUT;
        if (mcp_pool_turn(run->pool, run->fd, deadline) && (err = frame_fill(run->fd, &run->in)))
            return err;
    }
}

static int64_t now(void *arg)
{
    (void)arg;
    return clock_ms();
}

static enum err ask(void *arg, const json_t *request, int64_t deadline, json_t **ret_answer)
{
    struct run *run = arg;
    AUTOJSON json_t *frame = json_copy((json_t *)request);
    json_object_set_new(frame, "t", json_string("ask"));
    enum err err = frame_send(run->fd, frame);
    if (err)
        return err;
    malloc_trim(0); /* the model thinks for seconds; hundreds of runs wait like this one */
    return receive(run, "answer", deadline, ret_answer);
}

static enum err event(void *arg, const char *type, json_t *data, bool committed)
{
    struct run *run = arg;
    AUTOJSON json_t *frame = json_pack("{s:s, s:s, s:o, s:b}", "t", "event", "type", type, "data",
                                       data, "ack", committed);
    enum err err = frame_send(run->fd, frame);
    if (err || !committed)
        return err;
    AUTOJSON json_t *ack = NULL;
    err = receive(run, "ack", INT64_MAX, &ack);
    /* When all of the worker was frozen, this may wake before the zygote ends it: by now the job
     * can be another's. */
    return err ? err : clock_ms() < js_int(ack, "until", 0) ? ERR_OK : ERR_PEER_LOST;
}

static const char *server_of(void *arg, const char *tool_name)
{
    struct run *run = arg;
    const struct tool *tool = tool_names_find(run->names, tool_name);
    return tool ? mcp_client_name(mcp_pool_client(run->pool, (size_t)tool->server)) : "";
}

static bool is_repeatable(void *arg, const char *tool_name)
{
    const struct tool *tool = tool_names_find(((struct run *)arg)->names, tool_name);
    return tool && tool->repeatable;
}

static void start_call(struct run *run, struct agent_call *from, int index, int64_t deadline,
                       struct mcp_call *call)
{
    const struct tool *tool = tool_names_find(run->names, from->name);
    int64_t limit = clock_ms() + run->tool_timeout_ms;
    *call = (struct mcp_call){
        .tool = tool->server_tool,
        .arguments = from->arguments,
        .text_max = AGENT_TOOL_TEXT_MAX - 64, /* with its marker it is cut no second time */
        .deadline = limit < deadline ? limit : deadline,
        .context = index,
    };
    mcp_client_call(mcp_pool_client(run->pool, (size_t)tool->server), call);
}

static bool all_done(const struct agent_call *from, const struct mcp_call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!from[i].text && !calls[i].done)
            return false;
    return true;
}

static void call_tools(void *arg, struct agent_call *from, size_t count, int64_t deadline)
{
    struct run *run = arg;
    struct mcp_call calls[AGENT_CALLS_MAX] = {0};
    run->calls = from;
    for (size_t i = 0; i < count; i++)
        if (!from[i].text)
            start_call(run, &from[i], (int)i, deadline, &calls[i]);
    while (!all_done(from, calls, count))
        mcp_pool_turn(run->pool, -1, INT64_MAX);
    for (size_t i = 0; i < count; i++) {
        if (from[i].text)
            continue;
        from[i].is_error = calls[i].is_error;
        from[i].text = calls[i].text;
        from[i].duration_ms = calls[i].ended - calls[i].started;
    }
    run->calls = NULL;
}

static void on_progress(void *arg, const struct mcp_call *call, const json_t *params)
{
    struct run *run = arg;
    if (!run->calls || clock_ms() - run->last_progress < PROGRESS_MIN_MS)
        return;
    run->last_progress = clock_ms();
    const char *text = js_str(params, "message", "");
    json_t *data = json_pack("{s:s}", "name", run->calls[call->context].name);
    json_t *progress = json_object_get(params, "progress"),
           *total = json_object_get(params, "total");
    if (json_is_number(progress))
        json_object_set(data, "progress", progress);
    if (json_is_number(total))
        json_object_set(data, "total", total);
    json_object_set_new(data, "message",
                        js_string_capped(text, strlen(text), PROGRESS_TEXT_MAX, "…"));
    if (event(run, "progress", data, false))
        run->calls = NULL; /* nobody hears it: the run's next message ends it */
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

static void add_tools(struct run *run, int server)
{
    const struct mcp_client *client = mcp_pool_client(run->pool, (size_t)server);
    size_t index;
    json_t *tool;
    json_array_foreach(mcp_client_tools(client), index, tool)
    {
        const json_t *hints = json_object_get(tool, "annotations");
        bool repeatable =
            js_bool(hints, "readOnlyHint", false) || js_bool(hints, "idempotentHint", false);
        const struct tool *known = tool_names_add(run->names, server, mcp_client_name(client),
                                                  js_str(tool, "name", ""), repeatable);
        if (!known)
            return;
        const char *text = js_str(tool, "description", "");
        json_array_append_new(
            run->tools,
            json_pack("{s:s, s:{s:s, s:o, s:o}}", "type", "function", "function", "name",
                      known->name, "description",
                      js_string_capped(text, strlen(text), TOOL_DESCRIPTION_MAX, " [cut]"),
                      "parameters", schema_of(tool)));
    }
}

static enum err tell_unavailable(struct run *run, const struct mcp_client *client)
{
    const char *name = mcp_client_name(client), *why = mcp_client_why(client);
    buf_printf(&run->notes, "The tool server %s is not available: %s. ", name, why);
    AUTOFREE char *text = mem_printf("The tool server %s is not available: %s", name, why);
    return event(run, "progress",
                 json_pack("{s:s, s:s, s:s}", "server", name, "message", text, "level", "warning"),
                 false);
}

static enum err start_servers(struct run *run, int64_t deadline)
{
    int64_t until = clock_ms() + START_TIMEOUT_MS;
    if (until > deadline)
        until = deadline;
    run->pool = mcp_pool_new(json_object_get(run->job, "servers"), until, on_progress, run);
    while (mcp_pool_starting(run->pool))
        mcp_pool_turn(run->pool, -1, until);
    for (size_t i = 0; i < mcp_pool_count(run->pool); i++) {
        const struct mcp_client *client = mcp_pool_client(run->pool, i);
        enum err err = ERR_OK;
        if (mcp_client_state(client) == MCP_READY)
            add_tools(run, (int)i);
        else
            err = tell_unavailable(run, client);
        if (err)
            return err;
    }
    return ERR_OK;
}

static enum err execute(struct run *run)
{
    int64_t soft_ms = js_int(run->job, "soft_ms", 1500000), deadline = clock_ms() + soft_ms;
    run->tool_timeout_ms = js_int(run->job, "tool_timeout_ms", 120000);
    enum err err = start_servers(run, deadline);
    json_t *history = json_object_get(run->job, "history");
    AUTOFREE char *notes = history_notes(history, HISTORY_NOTES_MAX);
    buf_add_str(&run->notes, notes);
    /* The servers have their environment; this process needs the secrets no longer. */
    json_object_del(run->job, "servers");
    if (err)
        return err;
    struct agent_task task = {
        .message = js_str(run->job, "message", ""),
        .notes = buf_text(&run->notes),
        .tools = run->tools,
        .history = history,
        .max_turns = (int)js_int(run->job, "max_turns", 25),
        .deadline = deadline,
        .limit_ms = soft_ms,
    };
    struct agent_ops ops = {run, now, ask, event, server_of, is_repeatable, call_tools};
    AUTOJSON json_t *end = agent_run(&task, &ops);
    if (!end)
        return ERR_PEER_LOST;
    json_object_set_new(end, "t", json_string("done"));
    return frame_send(run->fd, end);
}

int run_main(int fd)
{
    struct run run = {.fd = fd};
    signal(SIGPIPE, SIG_IGN);
    buf_init(&run.in, FRAME_MAX + FRAME_HEAD + (64 << 10));
    buf_init(&run.notes, NOTES_MAX);
    run.names = tool_names_new();
    run.tools = json_array();
    run.pool = mcp_pool_new(NULL, 0, NULL, NULL); /* nothing to wait for but the job */
    enum err err = receive(&run, "job", clock_ms() + START_TIMEOUT_MS, &run.job);
    mcp_pool_destroy(&run.pool);
    if (!err)
        err = execute(&run);
    mcp_pool_destroy(&run.pool);
    tool_names_destroy(&run.names);
    json_decref(run.tools);
    json_decref(run.job);
    buf_fini(&run.in);
    buf_fini(&run.notes);
    return err ? 1 : 0;
}
