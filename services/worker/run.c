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
#include "services/worker/history.h"
#include "services/worker/run_tools.h"

enum {
    JOB_TIMEOUT_MS = 60000, /* until the job frame is here */
    HISTORY_NOTES_MAX = 8 << 10,
};

struct run {
    struct loop *loop;
    int fd;
    struct buf in;
    bool has_news; /* since it was looked at last */
    enum err lost; /* why nothing comes any more */
    struct run_tools *tools;
    json_t *job;
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
    return run_tools_server(((struct run *)arg)->tools, tool_name);
}

static bool is_repeatable(void *arg, const char *tool_name)
{
    const struct tool *tool = run_tools_find(((struct run *)arg)->tools, tool_name);
    return tool && tool->repeatable;
}

static void call_tools(void *arg, struct agent_call *calls, size_t count, int64_t deadline)
{
    /* The list is the same array, so the agent sees what has changed in it. */
    (void)!run_tools_call(((struct run *)arg)->tools, calls, count, deadline);
}

static enum err tools_event(void *arg, const char *type, json_t *data)
{
    return event(arg, type, data, false);
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
    enum err err = run_tools_new(&options, deadline, &run->tools);
    if (err)
        return err;
    json_t *history = json_object_get(run->job, "history");
    AUTOFREE char *done = history_notes(history, HISTORY_NOTES_MAX);
    AUTOFREE char *notes = mem_printf("%s%s", run_tools_notes(run->tools), done);
    struct agent_task task = {
        .message = js_str(run->job, "message", ""),
        .notes = notes,
        .tools = run_tools_list(run->tools),
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
    struct run run = {.loop = loop_new(), .fd = fd};
    signal(SIGPIPE, SIG_IGN);
    buf_init(&run.in, FRAME_MAX + FRAME_HEAD + (64 << 10));
    loop_fd_add(run.loop, fd, EPOLLIN, on_readable, &run);
    enum err err = receive(&run, "job", clock_ms() + JOB_TIMEOUT_MS, &run.job);
    if (!err)
        err = execute(&run);
    run_tools_destroy(&run.tools);
    loop_destroy(&run.loop);
    json_decref(run.job);
    buf_fini(&run.in);
    return err ? 1 : 0;
}
