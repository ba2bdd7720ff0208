#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/rpc.h"

enum {
    READ_SIZE = 64 * 1024,
    INPUT_MAX = 2 * RPC_LINE_MAX, /* read ahead while a request is being answered */
    CANCELLED_MAX = 64,           /* requests that were cancelled before their turn */
    CONSUME = 256 * 1024,         /* answered lines are cleared away in such lumps */
};

struct rpc {
    struct loop *loop;
    int in, out;
    rpc_method_fn *fn;
    void *arg;
    struct buf input;
    size_t from;        /* of input: where the first line not yet answered begins */
    size_t scanned;     /* of input: searched for cancellations */
    bool watched;       /* the loop reads `in`; else it is a file, which epoll doesn't take */
    bool paused;        /* the input is full */
    bool ended, broken; /* no more input; because reading failed */
    bool skipping;      /* the rest of a line that was too long */
    const json_t *current;
    bool cancelled; /* the current request */
    json_t *cancelled_ids[CANCELLED_MAX];
    unsigned cancelled_next;
};

static enum err write_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ERR_PEER_LOST;
        data += n;
        len -= (size_t)n;
    }
    return ERR_OK;
}

/* `message` is consumed; NULL writes nothing. */
static enum err write_message(const struct rpc *rpc, json_t *message)
{
    if (!message)
        return ERR_OK;
    AUTOFREE char *text = js_dump(message);
    json_decref(message);
    size_t len = strlen(text);
    text[len] = '\n'; /* in the NUL's place, so that a line is one write */
    return write_all(rpc->out, text, len + 1);
}

void rpc_notify(struct rpc *rpc, const char *method, json_t *params)
{
    json_t *message =
        json_pack("{s:s,s:s,s:o}", "jsonrpc", "2.0", "method", method, "params", params);
    if (rpc->cancelled)
        json_decref(message);
    else if (write_message(rpc, message) != ERR_OK)
        rpc->cancelled = true; /* nobody is there any more; the next answer says so */
}

/* Cancellation */

bool rpc_cancelled(void *arg)
{
    const struct rpc *rpc = arg;
    return rpc->cancelled;
}

static void note_cancelled(struct rpc *rpc, const json_t *id)
{
    if (!json_is_string(id) && !json_is_integer(id))
        return;
    if (rpc->current && json_equal(rpc->current, id)) {
        rpc->cancelled = true;
        return;
    }
    json_t **slot = &rpc->cancelled_ids[rpc->cancelled_next++ % CANCELLED_MAX];
    json_decref(*slot);
    *slot = json_copy((json_t *)id);
}

/* Was the request cancelled before its turn came? Forgets it. */
static bool take_cancelled(struct rpc *rpc, const json_t *id)
{
    for (unsigned i = 0; i < CANCELLED_MAX; i++) {
        if (!rpc->cancelled_ids[i] || !json_equal(rpc->cancelled_ids[i], id))
            continue;
        json_decref(rpc->cancelled_ids[i]);
        rpc->cancelled_ids[i] = NULL;
        return true;
    }
    return false;
}

static void look_ahead(struct rpc *rpc, const char *line, size_t len)
{
    static const char name[] = "notifications/cancelled";
    AUTOJSON json_t *message = NULL;
    if (!memmem(line, len, name, sizeof name - 1) ||
        js_parse(line, len, &message, NULL) != ERR_OK ||
        strcmp(js_str(message, "method", ""), name) != 0)
        return;
    note_cancelled(rpc, json_object_get(json_object_get(message, "params"), "requestId"));
}

/* Only what is read while a request is under way, so that a cancellation that stands before its
 * request (which then has another one's id) cancels nothing. */
static void look_through(struct rpc *rpc)
{
    const char *end;
    if (rpc->scanned < rpc->from)
        rpc->scanned = rpc->from;
    while (
        (end = memchr(buf_text(&rpc->input) + rpc->scanned, '\n', rpc->input.len - rpc->scanned))) {
        size_t to = (size_t)(end - rpc->input.data);
        look_ahead(rpc, rpc->input.data + rpc->scanned, to - rpc->scanned);
        rpc->scanned = to + 1;
    }
}

/* Input */

static void read_some(struct rpc *rpc)
{
    char *room = buf_reserve(&rpc->input, READ_SIZE);
    if (!room) {
        rpc->paused = true;
        loop_fd_remove(rpc->loop, rpc->in);
        return;
    }
    ssize_t n = read(rpc->in, room, READ_SIZE);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        rpc->ended = true;
        rpc->broken = n < 0;
        if (rpc->watched)
            loop_fd_remove(rpc->loop, rpc->in);
        return;
    }
    rpc->input.len += (size_t)n;
    if (rpc->current)
        look_through(rpc);
}

static void on_readable(void *arg, uint32_t events)
{
    (void)events;
    read_some(arg);
}

static void watch(struct rpc *rpc)
{
    rpc->paused = false;
    if (rpc->watched && !rpc->ended)
        loop_fd_add(rpc->loop, rpc->in, EPOLLIN, on_readable, rpc);
}

struct rpc *rpc_new(struct loop *loop, int in, int out, rpc_method_fn *fn, void *arg)
{
    struct stat stat;
    struct rpc *rpc = mem_alloc(sizeof *rpc);
    rpc->loop = loop;
    rpc->in = in;
    rpc->out = out;
    rpc->fn = fn;
    rpc->arg = arg;
    buf_init(&rpc->input, INPUT_MAX);
    rpc->watched = fstat(in, &stat) == 0 && (S_ISFIFO(stat.st_mode) || S_ISSOCK(stat.st_mode) ||
                                             (S_ISCHR(stat.st_mode) && isatty(in)));
    watch(rpc);
    return rpc;
}

void rpc_destroy(struct rpc **rpc_p)
{
    struct rpc *rpc = *rpc_p;
    if (!rpc)
        return;
    if (rpc->watched && !rpc->ended)
        loop_fd_remove(rpc->loop, rpc->in);
    for (unsigned i = 0; i < CANCELLED_MAX; i++)
        json_decref(rpc->cancelled_ids[i]);
    buf_fini(&rpc->input);
    free(rpc);
    *rpc_p = NULL;
}

/* Answers */

/* The user's method, with what is known of cancellations. */
static json_t *tracked(void *arg, const char *method, const json_t *params, const json_t *id,
                       struct rpc_error *error)
{
    struct rpc *rpc = arg;
    if (id && take_cancelled(rpc, id)) {
        error->code = RPC_CANCELLED;
        return NULL;
    }
    rpc->current = id;
    rpc->cancelled = false;
    look_through(rpc);
    json_t *result = rpc->cancelled ? NULL : rpc->fn(rpc->arg, method, params, id, error);
    rpc->current = NULL;
    if (!rpc->cancelled)
        return result;
    json_decref(result);
    error->code = RPC_CANCELLED;
    return NULL;
}

static enum err refuse_long(struct rpc *rpc)
{
    return write_message(rpc, json_pack("{s:s,s:n,s:{s:i,s:s}}", "jsonrpc", "2.0", "id", "error",
                                        "code", RPC_INVALID_REQUEST, "message",
                                        "a message may have at most 4 MiB"));
}

static enum err take_line(struct rpc *rpc, const char *line, size_t len)
{
    if (rpc->skipping) {
        rpc->skipping = false;
        return ERR_OK;
    }
    while (len && strchr(" \t\r", line[len - 1]))
        len--;
    if (!len)
        return ERR_OK;
    if (len > RPC_LINE_MAX)
        return refuse_long(rpc);
    return write_message(rpc, rpc_answer(line, len, tracked, rpc));
}

static void clear(struct rpc *rpc, size_t used)
{
    rpc->from += used;
    if (rpc->from < CONSUME && rpc->from < rpc->input.len)
        return;
    buf_consume(&rpc->input, rpc->from);
    rpc->scanned = rpc->scanned > rpc->from ? rpc->scanned - rpc->from : 0;
    rpc->from = 0;
}

/* Answers the input's first line; false: there is no whole one. */
static bool take_first(struct rpc *rpc, enum err *ret_err)
{
    const char *begin = buf_text(&rpc->input) + rpc->from;
    size_t left = rpc->input.len - rpc->from;
    const char *end = memchr(begin, '\n', left);
    if (!end && !(rpc->ended && left))
        return false;
    size_t len = end ? (size_t)(end - begin) : left;
    /* A copy: more is read into the buffer while the request is being answered. */
    AUTOFREE char *line = mem_alloc(len + 1);
    memcpy(line, begin, len);
    clear(rpc, end ? len + 1 : len);
    *ret_err = take_line(rpc, line, len);
    return true;
}

/* A line that goes on and on is dropped as it comes, and refused once. */
static enum err refuse_endless(struct rpc *rpc)
{
    if (rpc->input.len - rpc->from <= RPC_LINE_MAX && !rpc->skipping)
        return ERR_OK;
    bool known = rpc->skipping;
    buf_reset(&rpc->input);
    rpc->from = rpc->scanned = 0;
    rpc->skipping = true;
    return known ? ERR_OK : refuse_long(rpc);
}

struct waiting {
    struct rpc *rpc;
    size_t len;
};

static bool has_input(void *arg)
{
    const struct waiting *waiting = arg;
    return waiting->rpc->ended || waiting->rpc->input.len != waiting->len;
}

static void wait_for_input(struct rpc *rpc)
{
    struct waiting waiting = {rpc, rpc->input.len};
    if (rpc->paused)
        watch(rpc);
    if (rpc->watched)
        loop_wait_until(rpc->loop, has_input, &waiting, -1);
    else
        read_some(rpc);
}

enum err rpc_serve(struct rpc *rpc)
{
    enum err err = ERR_OK;
    while (!err) {
        if (take_first(rpc, &err))
            continue;
        if (rpc->ended)
            return rpc->broken ? ERR_INTERNAL : ERR_OK;
        err = refuse_endless(rpc);
        if (!err)
            wait_for_input(rpc);
    }
    return err;
}
