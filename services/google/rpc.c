#include "services/google/rpc.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { READ_SIZE = 64 * 1024 };

/* Messages */

/* `id` NULL: it is not known. */
static json_t *refusal(const json_t *id, int code, const char *message)
{
    json_t *text = js_string_capped(message, strlen(message), 1000, "…");
    return json_pack("{s:s,s:O?,s:{s:i,s:o}}", "jsonrpc", "2.0", "id", id, "error", "code", code,
                     "message", text);
}

static bool is_response(const json_t *message)
{
    return !json_object_get(message, "method") &&
           (json_object_get(message, "result") || json_object_get(message, "error"));
}

static json_t *call(const json_t *message, const json_t *id, rpc_method_fn *fn, void *arg)
{
    struct rpc_error error = {0};
    const char *method = js_str(message, "method", NULL);
    const json_t *given = json_object_get(message, "params");
    if (given && !json_is_object(given))
        return refusal(id, RPC_INVALID_PARAMS, "params must be an object");
    AUTOJSON json_t *params = given ? json_incref((json_t *)given) : json_object();
    json_t *result = fn(arg, method, params, id, &error);
    if (!result)
        return refusal(id, error.code, error.message);
    return json_pack("{s:s,s:O,s:o}", "jsonrpc", "2.0", "id", id ? id : json_null(), "result",
                     result);
}

static json_t *answer_one(const json_t *message, rpc_method_fn *fn, void *arg)
{
    const json_t *id = json_object_get(message, "id");
    if (!json_is_object(message))
        return refusal(NULL, RPC_INVALID_REQUEST, "a message must be an object");
    if (id && !json_is_string(id) && !json_is_integer(id))
        return refusal(NULL, RPC_INVALID_REQUEST, "id must be a text or a whole number");
    if (strcmp(js_str(message, "jsonrpc", ""), "2.0") != 0)
        return refusal(id, RPC_INVALID_REQUEST, "jsonrpc must be \"2.0\"");
    if (is_response(message))
        return NULL; /* we ask the client nothing */
    if (!js_str(message, "method", NULL))
        return refusal(id, RPC_INVALID_REQUEST, "method must be a text");
    json_t *answer = call(message, id, fn, arg);
    if (id)
        return answer;
    json_decref(answer);
    return NULL;
}

static json_t *answer_batch(const json_t *batch, rpc_method_fn *fn, void *arg)
{
    size_t i, count = json_array_size(batch);
    if (count == 0 || count > RPC_BATCH_MAX)
        return refusal(NULL, RPC_INVALID_REQUEST, "a batch must have 1 to 64 messages");
    json_t *answers = json_array();
    for (i = 0; i < count; i++) {
        json_t *answer = answer_one(json_array_get(batch, i), fn, arg);
        if (answer)
            json_array_append_new(answers, answer);
    }
    if (json_array_size(answers) > 0)
        return answers;
    json_decref(answers);
    return NULL;
}

json_t *rpc_answer(const char *line, size_t len, rpc_method_fn *fn, void *arg)
{
    char why[JS_WHY_SIZE] = "";
    AUTOJSON json_t *message = NULL;
    if (js_parse(line, len, &message, why) != ERR_OK) {
        AUTOFREE char *text = mem_printf("not JSON: %s", why);
        return refusal(NULL, RPC_PARSE_ERROR, text);
    }
    if (json_is_array(message))
        return answer_batch(message, fn, arg);
    return answer_one(message, fn, arg);
}

/* Lines */

struct stream {
    int in, out;
    rpc_method_fn *fn;
    void *arg;
    struct buf buf;
    size_t scanned; /* of buf: no line end before it */
    bool skipping;  /* the rest of a line that was too long */
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

/* `answer` is consumed; NULL writes nothing. */
static enum err write_answer(const struct stream *stream, json_t *answer)
{
    if (!answer)
        return ERR_OK;
    AUTOFREE char *text = js_dump(answer);
    json_decref(answer);
    size_t len = strlen(text);
    text[len] = '\n'; /* in the NUL's place, so that a line is one write */
    return write_all(stream->out, text, len + 1);
}

static enum err take_line(struct stream *stream, const char *line, size_t len)
{
    if (stream->skipping) {
        stream->skipping = false;
        return ERR_OK;
    }
    while (len && strchr(" \t\r", line[len - 1]))
        len--;
    if (!len)
        return ERR_OK;
    return write_answer(stream, rpc_answer(line, len, stream->fn, stream->arg));
}

static enum err take_lines(struct stream *stream)
{
    size_t from = 0;
    const char *end;
    struct buf *buf = &stream->buf;
    while ((end = memchr(buf_text(buf) + stream->scanned, '\n', buf->len - stream->scanned))) {
        size_t to = (size_t)(end - buf->data);
        enum err err = take_line(stream, buf->data + from, to - from);
        if (err)
            return err;
        from = stream->scanned = to + 1;
    }
    buf_consume(buf, from);
    stream->scanned = buf->len;
    if (buf->len <= RPC_LINE_MAX && !stream->skipping)
        return ERR_OK;
    bool known = stream->skipping;
    buf_reset(buf);
    stream->scanned = 0;
    stream->skipping = true;
    return known ? ERR_OK
                 : write_answer(stream, refusal(NULL, RPC_INVALID_REQUEST,
                                                "a message may have at most 4 MiB"));
}

/* *ret_more: false at the end of the input. */
static enum err read_some(struct stream *stream, bool *ret_more)
{
    char *room = buf_reserve(&stream->buf, READ_SIZE);
    if (!room)
        return ERR_INTERNAL;
    ssize_t n = read(stream->in, room, READ_SIZE);
    if (n < 0 && errno != EINTR)
        return ERR_INTERNAL;
    *ret_more = n != 0;
    if (n > 0)
        stream->buf.len += (size_t)n;
    return ERR_OK;
}

enum err rpc_serve(int in, int out, rpc_method_fn *fn, void *arg)
{
    struct stream stream = {.in = in, .out = out, .fn = fn, .arg = arg};
    bool more = true;
    enum err err = ERR_OK;
    buf_init(&stream.buf, RPC_LINE_MAX + 2 * READ_SIZE);
    while (!err && more) {
        err = read_some(&stream, &more);
        if (!err)
            err = take_lines(&stream);
    }
    /* The last line may lack its end. */
    if (!err)
        err = take_line(&stream, buf_text(&stream.buf), stream.buf.len);
    buf_fini(&stream.buf);
    return err;
}
