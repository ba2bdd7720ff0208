/* Streams: parts of an answer, read one by one. */
#include <string.h>

#include "libcommon/mem.h"
#include "libmcpbus/client.h"

#define STREAM_BYTES ((size_t)16 * 1024 * 1024)
enum { PART_COST = 64 }; /* of an empty part: no endless number of them either */

struct part {
    struct part *next;
    char *json;
    size_t len;
};

struct mcpbus_stream {
    struct mcpbus *client;
    uint64_t id; /* known before the first answer */
    size_t max_bytes;
    atomic_uint users; /* the reader, and the call until its end */
    /* Under the client's lock. */
    pthread_cond_t changed;
    struct part *head, **tail;
    size_t bytes;
    bool ended, overflown, closed;
    struct mcpbus_error end;
};

static void part_free(struct part *part)
{
    if (part)
        free(part->json);
    free(part);
}

static void stream_release(struct mcpbus_stream *stream)
{
    if (atomic_fetch_sub(&stream->users, 1) > 1)
        return;
    while (stream->head) {
        struct part *part = stream->head;
        stream->head = part->next;
        part_free(part);
    }
    pthread_cond_destroy(&stream->changed);
    client_release(stream->client);
    free(stream);
}

/* Under the lock. True when this overflows it. */
static bool add_part(struct mcpbus_stream *stream, const struct mcpbus_answer *answer)
{
    size_t cost = answer->len + PART_COST;
    if (stream->closed || stream->overflown)
        return false;
    if (stream->bytes && stream->bytes + cost > stream->max_bytes) {
        stream->overflown = true;
        fail(&stream->end, MCPBUS_ERR_OVERLOADED, "the stream was read too slowly");
        return true;
    }
    struct part *part = mem_alloc(sizeof *part);
    part->json = copy_text(answer->json, answer->len);
    part->len = answer->len;
    stream->bytes += cost;
    *stream->tail = part;
    stream->tail = &part->next;
    return false;
}

static void on_answer(void *arg, const struct mcpbus_answer *answer)
{
    struct mcpbus_stream *stream = arg;
    pthread_mutex_lock(&stream->client->lock);
    bool overflows = answer->json && add_part(stream, answer);
    if (answer->last) {
        stream->ended = true;
        if (!stream->overflown)
            stream->end = *answer->error;
    }
    pthread_cond_signal(&stream->changed);
    pthread_mutex_unlock(&stream->client->lock);
    if (overflows && !answer->last)
        mcpbus_cancel(stream->client, stream->id);
    if (answer->last)
        stream_release(stream);
}

static struct mcpbus_stream *stream_new(struct mcpbus *client, size_t max_bytes)
{
    struct mcpbus_stream *stream = mem_alloc(sizeof *stream);
    *stream =
        (struct mcpbus_stream){.client = client, .max_bytes = max_bytes ? max_bytes : STREAM_BYTES};
    stream->tail = &stream->head;
    atomic_store(&stream->users, 2);
    cond_init(&stream->changed);
    client_hold(client);
    return stream;
}

enum mcpbus_status mcpbus_stream_open(struct mcpbus *client, const char *method, const char *json,
                                      size_t len, const struct mcpbus_call_options *options,
                                      struct mcpbus_stream **ret_stream, struct mcpbus_error *error)
{
    struct mcpbus_call_options read;
    call_options_read(options, &read);
    struct mcpbus_stream *stream = stream_new(client, read.stream_bytes);
    enum mcpbus_status status = mcpbus_call_async(client, method, json, len, options, on_answer,
                                                  stream, &stream->id, error);
    if (status) {
        stream_release(stream);
        stream_release(stream);
        return status;
    }
    *ret_stream = stream;
    return MCPBUS_OK;
}

static enum mcpbus_status take_part(struct mcpbus_stream *stream, char **ret_json, size_t *ret_len,
                                    bool *ret_last, struct mcpbus_error *error)
{
    struct part *part = stream->head;
    stream->head = part->next;
    if (!stream->head)
        stream->tail = &stream->head;
    stream->bytes -= part->len + PART_COST;
    bool last = stream->ended && !stream->head && stream->end.status == MCPBUS_OK;
    if (last)
        stream->closed = true;
    if (ret_len)
        *ret_len = part->len;
    if (ret_json) {
        *ret_json = part->json;
        part->json = NULL;
    }
    if (ret_last)
        *ret_last = last;
    part_free(part);
    return succeed(error);
}

/* Under the lock, with nothing left to read. */
static enum mcpbus_status take_end(struct mcpbus_stream *stream, struct mcpbus_error *error)
{
    if (stream->closed)
        return fail_plainly(error, MCPBUS_ERR_CLOSED);
    stream->closed = true;
    if (error)
        *error = stream->end;
    return stream->end.status;
}

/* A part may be the final answer only once the end is known: they come together. */
static bool has_something(const struct mcpbus_stream *stream)
{
    return stream->head || stream->ended || stream->overflown || stream->closed;
}

enum mcpbus_status mcpbus_stream_next(struct mcpbus_stream *stream, int64_t timeout_ms,
                                      char **ret_json, size_t *ret_len, bool *ret_last,
                                      struct mcpbus_error *error)
{
    struct mcpbus *client = stream->client;
    enum mcpbus_status status = client_may_wait(client, error);
    if (status)
        return status;
    int64_t end = deadline_in(timeout_ms < 0 ? INT64_MAX : timeout_ms);
    pthread_mutex_lock(&client->lock);
    while (!has_something(stream) && client_sleep(client, &stream->changed, end))
        ;
    if (stream->head)
        status = take_part(stream, ret_json, ret_len, ret_last, error);
    else if (has_something(stream))
        status = take_end(stream, error);
    else
        status = fail_plainly(error, MCPBUS_ERR_AGAIN);
    pthread_mutex_unlock(&client->lock);
    return status;
}

void mcpbus_stream_close(struct mcpbus_stream **stream_p)
{
    struct mcpbus_stream *stream = stream_p ? *stream_p : NULL;
    if (!stream)
        return;
    *stream_p = NULL;
    if (!client_is_here(stream->client))
        return;
    pthread_mutex_lock(&stream->client->lock);
    bool ended = stream->ended;
    stream->closed = true;
    pthread_mutex_unlock(&stream->client->lock);
    if (!ended)
        mcpbus_cancel(stream->client, stream->id);
    stream_release(stream);
}
