#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "libcommon/buf.h"
#include "libcommon/clock.h"
#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_message.h"
#include "libmcp/mcp_spawn.h"

enum {
    OUT_MAX = 8 << 20,
    READ_CHUNK = 64 << 10,
    LAST_READS_MAX = 128,
    STDERR_LOGGED_MAX = 8 << 10,
    STDERR_LINE_MAX = 1024,
    STOP_STEP_MS = 300,
};

enum step { WORKING, INPUT_CLOSED, ASKED_TO_END, KILLED };

struct stdio {
    struct mcp_transport base;
    struct loop *loop;
    const struct mcp_transport_events *events;
    void *arg;
    char *name;
    struct mcp_child child;
    struct buf to, from, log;
    size_t logged; /* bytes of its standard error that were logged */
    bool ended;
    enum step step;
    int64_t step_at; /* clock_ms */
    json_t *env;     /* its values never reach the log */
};

static void close_fd(struct stdio *stdio, int *fd)
{
    if (*fd < 0)
        return;
    loop_fd_remove(stdio->loop, *fd);
    close(*fd);
    *fd = -1;
}

/* Its answers so far are still read when it has closed its input. */
static void write_some(struct stdio *stdio)
{
    int *fd = &stdio->child.in;
    while (stdio->to.len && *fd >= 0) {
        ssize_t n = write(*fd, stdio->to.data, stdio->to.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            close_fd(stdio, fd);
        else
            buf_consume(&stdio->to, (size_t)n);
    }
    if (*fd >= 0)
        loop_fd_change(stdio->loop, *fd, stdio->to.len ? EPOLLOUT : 0);
}

static void on_input(void *arg, uint32_t events)
{
    struct stdio *stdio = arg;
    if (events & EPOLLERR) /* level-triggered: it would be said for ever */
        close_fd(stdio, &stdio->child.in);
    else
        write_some(stdio);
}

static enum err stdio_send(struct mcp_transport *transport, const json_t *message,
                           const struct mcp_head *head)
{
    struct stdio *stdio = (struct stdio *)transport;
    (void)head;
    if (stdio->child.in < 0)
        return ERR_PEER_LOST;
    AUTOFREE char *text = js_dump(message);
    size_t len = strlen(text);
    if (stdio->to.len + len + 1 > OUT_MAX)
        return ERR_TOO_LARGE;
    buf_add(&stdio->to, text, len);
    buf_add_char(&stdio->to, '\n');
    write_some(stdio);
    return stdio->child.in < 0 ? ERR_PEER_LOST : ERR_OK;
}

/* What a server was given in its environment does not belong into a log. */
static void stdio_hide(const struct mcp_transport *transport, char *text)
{
    const struct stdio *stdio = (const struct stdio *)transport;
    const char *key;
    json_t *value;
    json_object_foreach(stdio->env, key, value) mcp_hide(text, json_string_value(value));
}

static void log_stderr_line(struct stdio *stdio)
{
    if (stdio->log.len && stdio->logged < STDERR_LOGGED_MAX) {
        AUTOFREE char *text = mem_strdup(buf_text(&stdio->log));
        stdio_hide(&stdio->base, text);
        log_debug("mcp_server_says", LOG_S("server", stdio->name), LOG_S("text", text));
        stdio->logged += stdio->log.len;
    }
    buf_reset(&stdio->log);
}

static void on_stderr(void *arg, uint32_t events)
{
    struct stdio *stdio = arg;
    char chunk[4096];
    (void)events;
    ssize_t n = read(stdio->child.err, chunk, sizeof chunk);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        log_stderr_line(stdio);
        close_fd(stdio, &stdio->child.err);
        return;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (chunk[i] == '\n')
            log_stderr_line(stdio);
        else
            buf_add_char(&stdio->log, chunk[i]); /* what is over a line's limit is dropped */
    }
}

static void end(struct stdio *stdio, const char *why)
{
    close_fd(stdio, &stdio->child.out);
    if (stdio->ended || stdio->step != WORKING)
        return;
    stdio->ended = true;
    stdio->events->ended(stdio->arg, why);
}

/* Hands over whole lines; a callback may stop the transport. */
static void take_lines(struct stdio *stdio)
{
    size_t at = 0;
    const char *newline;
    while (stdio->step == WORKING &&
           (newline = memchr(buf_text(&stdio->from) + at, '\n', stdio->from.len - at))) {
        const char *line = stdio->from.data + at;
        size_t len = (size_t)(newline - line);
        at += len + 1;
        if (len)
            stdio->events->message(stdio->arg, line, len, 0);
    }
    buf_consume(&stdio->from, at);
    if (!stdio->from.len)
        buf_fini(&stdio->from); /* between calls nothing of a large answer is kept */
}

/* True when there was something to read. */
static bool read_some(struct stdio *stdio)
{
    char *room = buf_reserve(&stdio->from, READ_CHUNK);
    if (!room) {
        end(stdio, "it wrote a line that is too long");
        return false;
    }
    ssize_t n = read(stdio->child.out, room, READ_CHUNK);
    if (n > 0) {
        stdio->from.len += (size_t)n;
        stdio->from.data[stdio->from.len] = '\0';
        take_lines(stdio);
        return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        end(stdio, "it ended");
    return false;
}

static void on_stdout(void *arg, uint32_t events)
{
    (void)events;
    read_some(arg);
}

/* What it has written is still read; whoever else holds its output is not waited for. */
static void on_exit_of_child(void *arg, uint32_t events)
{
    struct stdio *stdio = arg;
    (void)events;
    loop_fd_remove(stdio->loop, stdio->child.pid_fd);
    mcp_child_ended(&stdio->child);
    for (int i = 0; i < LAST_READS_MAX && stdio->child.out >= 0 && read_some(stdio); i++)
        continue;
    end(stdio, "it ended");
}

static void stdio_forget(struct mcp_transport *transport, int64_t id)
{
    (void)transport;
    (void)id;
}

static void next_step(struct stdio *stdio, enum step step, int signo)
{
    stdio->step = step;
    stdio->step_at = clock_ms();
    if (signo)
        mcp_child_signal(&stdio->child, signo);
}

/* In the order of the specification (2025-11-25, lifecycle, shutdown). */
static void stdio_stop(struct mcp_transport *transport)
{
    struct stdio *stdio = (struct stdio *)transport;
    if (stdio->step != WORKING)
        return;
    close_fd(stdio, &stdio->child.in);
    close_fd(stdio, &stdio->child.out);
    close_fd(stdio, &stdio->child.err);
    loop_fd_remove(stdio->loop, stdio->child.pid_fd);
    next_step(stdio, INPUT_CLOSED, 0);
}

static bool stdio_stopped(struct mcp_transport *transport)
{
    struct stdio *stdio = (struct stdio *)transport;
    if (mcp_child_ended(&stdio->child))
        return true;
    if (clock_ms() - stdio->step_at < STOP_STEP_MS)
        return false;
    if (stdio->step == INPUT_CLOSED)
        next_step(stdio, ASKED_TO_END, SIGTERM);
    else
        next_step(stdio, KILLED, SIGKILL);
    return false;
}

static void stdio_destroy(struct mcp_transport *transport)
{
    struct stdio *stdio = (struct stdio *)transport;
    stdio_stop(transport);
    if (!mcp_child_ended(&stdio->child)) {
        mcp_child_signal(&stdio->child, SIGKILL);
        close(stdio->child.pid_fd);
    }
    buf_fini(&stdio->to);
    buf_fini(&stdio->from);
    buf_fini(&stdio->log);
    json_decref(stdio->env);
    free(stdio->name);
    free(stdio);
}

static const struct mcp_transport_class stdio_class = {
    .send = stdio_send,
    .forget = stdio_forget,
    .hide = stdio_hide,
    .stop = stdio_stop,
    .stopped = stdio_stopped,
    .destroy = stdio_destroy,
};

enum err mcp_stdio_new(const struct mcp_transport_options *options,
                       struct mcp_transport **ret_transport, char ret_why[MCP_WHY_SIZE_MAX])
{
    const json_t *spec = options->spec;
    struct mcp_child child;
    enum err err = mcp_spawn(js_str(spec, "command", ""), json_object_get(spec, "args"),
                             json_object_get(spec, "env"), &child, ret_why);
    if (err)
        return err;
    struct stdio *stdio = mem_alloc(sizeof *stdio);
    *stdio = (struct stdio){
        .base.class = &stdio_class,
        .loop = options->loop,
        .events = options->events,
        .arg = options->arg,
        .name = mem_strdup(js_str(spec, "name", "?")),
        .child = child,
        .env = json_deep_copy(json_object_get(spec, "env")),
    };
    buf_init(&stdio->to, OUT_MAX);
    buf_init(&stdio->from, MCP_LINE_MAX + READ_CHUNK);
    buf_init(&stdio->log, STDERR_LINE_MAX);
    loop_fd_add(stdio->loop, child.in, 0, on_input, stdio);
    loop_fd_add(stdio->loop, child.out, EPOLLIN, on_stdout, stdio);
    loop_fd_add(stdio->loop, child.err, EPOLLIN, on_stderr, stdio);
    loop_fd_add(stdio->loop, child.pid_fd, EPOLLIN, on_exit_of_child, stdio);
    *ret_transport = &stdio->base;
    return ERR_OK;
}
