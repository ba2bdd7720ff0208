#include "services/worker/run.h"

#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/agent.h"
#include "libcommon/clock.h"
#include "services/worker/frames.h"
#include "services/worker/run_tools.h"
#include "services/worker/tool_allow.h"

enum {
    JOB_TIMEOUT_MS = 60000, /* until the job frame is here */
    NOTES_MAX = 24 << 10,
    ALLOW_SHOWN_MAX = 100,
};

struct run {
    struct loop *loop;
    int fd;
    struct buf in;
    bool has_news; /* since it was looked at last */
    enum err lost; /* why nothing comes any more */
    struct run_tools *tools;
    json_t *job;
    json_t *allowed; /* of the tools, those that this run may use */
};

static void on_readable(void *arg, uint32_t events)
{
    struct run *run = arg;
    (void)events;
    run->lost = frame_fill(run->fd, &run->in);
    run->has_news = true;
    if (run->lost)
        loop_fd_remove(run->loop, run->fd);
}

static bool has_news(void *arg)
{
    return ((struct run *)arg)->has_news;
}

/* Waits for the worker's loop to say something; the tool servers are heard meanwhile. */
static enum err wait_for_news(struct run *run, int64_t deadline)
{
    int64_t left = deadline == INT64_MAX ? -1 : deadline - clock_ms();
    if (run->lost)
        return run->lost;
    if (left != -1 && left <= 0)
        return ERR_TIMEOUT;
    loop_wait_until(run->loop, has_news, run, left);
    run->has_news = false;
    return ERR_OK;
}

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
        if (!frame && (err = wait_for_news(run, deadline)))
            return err;
    }
}

static int64_t now(void *arg)
{
    (void)arg;
    return clock_ms();
}

static enum err send_ask(const struct run *run, const json_t *request)
{
    AUTOJSON json_t *frame = json_copy((json_t *)request);
    const json_t *tools = json_object_get(request, "tools");
    json_object_set_new(frame, "t", json_string("ask"));
    if (tools)
        json_object_set_new(frame, "tools", run_tools_expand(tools));
    return frame_send(run->fd, frame);
}

static enum err ask(void *arg, const json_t *request, int64_t deadline, json_t **ret_answer)
{
    struct run *run = arg;
    enum err err = send_ask(run, request);
    if (err)
        return err;
    if (!run->in.len)
        buf_fini(&run->in);
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
    return run_tools_server(((struct run *)arg)->tools, tool_name);
}

static bool is_repeatable(void *arg, const char *tool_name)
{
    const struct tool *tool = run_tools_find(((struct run *)arg)->tools, tool_name);
    return tool && tool->repeatable;
}

static bool is_destructive(void *arg, const char *tool_name)
{
    const struct tool *tool = run_tools_find(((struct run *)arg)->tools, tool_name);
    return tool && tool->destructive;
}

static enum err tools_event(void *arg, const char *type, json_t *data)
{
    return event(arg, type, data, false);
}

static const json_t *allow_list(const struct run *run)
{
    return json_object_get(json_object_get(run->job, "options"), "tools");
}

/* Servers none of whose tools may be used are not started. */
static void allow_servers(struct run *run)
{
    json_t *servers = json_object_get(run->job, "servers"), *server;
    size_t index;
    json_array_foreach(servers, index,
                       server) if (!tool_allow_server(allow_list(run), js_str(server, "name", "")))
        json_array_remove(servers, index--);
}

static void allow_tools(struct run *run)
{
    const json_t *list = run_tools_list(run->tools);
    size_t index;
    json_t *tool;
    json_array_clear(run->allowed);
    json_array_foreach(list, index, tool)
    {
        const char *name = js_str(json_object_get(tool, "function"), "name", "");
        if (tool_allow(allow_list(run), run_tools_server(run->tools, name),
                       run_tools_find(run->tools, name)->server_tool, name))
            json_array_append(run->allowed, tool);
    }
}

static bool call_tools(void *arg, struct agent_call *calls, size_t count, int64_t deadline)
{
    struct run *run = arg;
    bool changed = run_tools_call(run->tools, calls, count, deadline);
    if (changed)
        allow_tools(run);
    return changed;
}

static bool allows_something(const struct run *run, json_t *entry)
{
    AUTOJSON json_t *alone = json_pack("[O]", entry);
    size_t index;
    const json_t *tool;
    json_array_foreach(run->allowed, index, tool)
    {
        const char *name = js_str(json_object_get(tool, "function"), "name", "");
        if (tool_allow(alone, run_tools_server(run->tools, name),
                       run_tools_find(run->tools, name)->server_tool, name))
            return true;
    }
    return false;
}

/* A name that fits nothing is told: else a typing error would look like a model's failure. */
static enum err tell_unknown_tools(struct run *run, struct buf *notes)
{
    size_t index;
    json_t *entry;
    json_array_foreach(allow_list(run), index, entry)
    {
        if (!json_is_string(entry) || allows_something(run, entry))
            continue;
        const char *name = json_string_value(entry);
        AUTOJSON json_t *shown = js_string_capped(name, strlen(name), ALLOW_SHOWN_MAX, "…");
        AUTOFREE char *text =
            mem_printf("No tool or tool server is called %s", json_string_value(shown));
        buf_printf(notes, "%s. ", text);
        enum err err = event(run, "progress",
                             json_pack("{s:s, s:s}", "message", text, "level", "warning"), false);
        if (err)
            return err;
    }
    return ERR_OK;
}

static enum err run_agent(struct run *run, int64_t deadline, int64_t soft_ms, const char *notes)
{
    const json_t *job = run->job;
    const struct agent_task task = {
        .message = js_str(job, "message", ""),
        .notes = notes,
        .tools = run->allowed,
        .settings = json_object_get(job, "settings"),
        .options = json_object_get(job, "options"),
        .conversation = json_object_get(job, "conversation"),
        .user = json_object_get(job, "user"),
        .usage = json_object_get(job, "usage"),
        .history = json_object_get(job, "history"),
        .deadline = deadline,
        .limit_ms = soft_ms,
    };
    const struct agent_ops ops = {
        run, now, ask, event, server_of, is_repeatable, is_destructive, call_tools};
    AUTOJSON json_t *end = agent_run(&task, &ops);
    if (!end)
        return ERR_PEER_LOST;
    json_object_set_new(end, "t", json_string("done"));
    return frame_send(run->fd, end);
}

static enum err tools_send(void *arg, json_t *frame)
{
    enum err err = frame_send(((struct run *)arg)->fd, frame);
    json_decref(frame);
    return err;
}

static enum err execute(struct run *run)
{
    int64_t soft_ms = js_int(run->job, "soft_ms", 1500000), deadline = clock_ms() + soft_ms;
    struct run_tools_options options = {
        .loop = run->loop, .job = run->job, .event = tools_event, .send = tools_send, .arg = run};
    struct buf notes;
    allow_servers(run);
    enum err err = run_tools_new(&options, deadline, &run->tools);
    if (err)
        return err;
    buf_init(&notes, NOTES_MAX);
    buf_add_str(&notes, run_tools_notes(run->tools));
    allow_tools(run);
    err = tell_unknown_tools(run, &notes);
    if (!err)
        err = run_agent(run, deadline, soft_ms, buf_text(&notes));
    buf_fini(&notes);
    return err;
}

int run_main(int fd)
{
    struct run run = {.loop = loop_new(), .fd = fd, .allowed = json_array()};
    signal(SIGPIPE, SIG_IGN);
    buf_init(&run.in, FRAME_MAX + FRAME_HEAD + (64 << 10));
    loop_fd_add(run.loop, fd, EPOLLIN, on_readable, &run);
    enum err err = receive(&run, "job", clock_ms() + JOB_TIMEOUT_MS, &run.job);
    if (!err)
        err = execute(&run);
    run_tools_destroy(&run.tools);
    json_decref(run.allowed);
    loop_destroy(&run.loop);
    json_decref(run.job);
    buf_fini(&run.in);
    return err ? 1 : 0;
}
