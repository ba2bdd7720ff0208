/* GET /jobs/{job_id}/events: a job's events as server-sent events (WHATWG HTML §9.2). */
#include "services/gateway/gateway.h"

#include <string.h>
#include <time.h>

#include "libcommon/buf.h"
#include "libcommon/mem.h"

enum {
    FETCH_LIMIT = 256,
    WAITING_MAX = 256 * 1024, /* unsent bytes of a stream above which we hold the rest back */
    PARTIAL_WAITING_MAX = 32 * 1024, /* above which the model's text is left out */
    EVENT_MAX = 6 << 20,
    TICK_MS = 1000,
    BACKLOG_TICK_MS = 5,
    PING_MS = 15 * 1000,
    POLL_FIRST_MS = 1000,
    POLL_MOST_MS = 4000,
};

struct stream {
    struct events *events;
    struct call *call;
    struct watch *watch;
    struct partial *partial; /* NULL: not asked for */
    struct loop_timer *timer;
    json_t *batch; /* fetched, being written */
    size_t at;     /* in the batch */
    int64_t after; /* number of the last event that was written */
    int64_t written_at, poll_at, poll_ms;
    bool started, changed, more, ended, closed;
    struct stream *prev, *next; /* of those started */
};

struct events {
    struct gateway *gateway;
    struct stream *streams;
    size_t count;
};

static void unlink_stream(struct stream *stream)
{
    struct events *events = stream->events;
    if (stream->prev)
        stream->prev->next = stream->next;
    else
        events->streams = stream->next;
    if (stream->next)
        stream->next->prev = stream->prev;
    events->count--;
}

static void stream_free(void *arg)
{
    struct stream *stream = arg;
    if (stream->started)
        unlink_stream(stream);
    watch_free(&stream->watch);
    partial_free(&stream->partial);
    loop_timer_destroy(&stream->timer);
    json_decref(stream->batch);
    free(stream);
}

static void end(struct stream *stream)
{
    if (stream->closed)
        return;
    stream->closed = true;
    loop_timer_stop(stream->timer);
    watch_free(&stream->watch);
    partial_free(&stream->partial);
    http_stream_end(stream->events->gateway->http, stream->call->request);
}

static void put(struct stream *stream, const char *text, size_t len)
{
    struct gateway *gateway = stream->events->gateway;
    stream->written_at = loop_now(gateway->loop);
    if (http_stream_write(gateway->http, stream->call->request, text, len) != ERR_OK)
        end(stream);
}

static void put_event(struct stream *stream, const json_t *event)
{
    struct buf text;
    buf_init(&text, EVENT_MAX);
    stream->after = js_int(event, "seq", stream->after + 1);
    const char *type = js_str(event, "type", "message");
    buf_printf(&text, "id: %lld\nevent: %.*s\ndata: ", (long long)stream->after,
               (int)strcspn(type, "\r\n"), type);
    js_dump_buf(json_object_get(event, "data"), &text);
    buf_add_str(&text, "\n\n");
    if (buf_check(&text) == ERR_OK)
        put(stream, text.data, text.len);
    else
        end(stream);
    buf_fini(&text);
    partial_event(stream->partial, type, json_object_get(event, "data"));
}

/* A client that is slow gets the text of the events alone. */
static void on_partial(void *arg, const char *text, size_t len)
{
    struct stream *stream = arg;
    struct http_server *http = stream->events->gateway->http;
    if (stream->batch || stream->ended || stream->closed ||
        http_stream_waiting(http, stream->call->request) > PARTIAL_WAITING_MAX)
        partial_lose(stream->partial);
    else
        put(stream, text, len);
}

static void fetch(struct stream *stream);

static void look_again(struct stream *stream)
{
    int64_t now = loop_now(stream->events->gateway->loop);
    if (stream->events->gateway->draining) { /* the client resumes at another replica */
        end(stream);
        return;
    }
    if (stream->more || stream->changed) {
        fetch(stream);
        return;
    }
    partial_refresh(stream->partial);
    stream->poll_at = now + stream->poll_ms;
    stream->poll_ms =
        stream->poll_ms * 3 / 2 < POLL_MOST_MS ? stream->poll_ms * 3 / 2 : POLL_MOST_MS;
    loop_timer_start(stream->timer, TICK_MS);
}

/* Writes what was fetched, as fast as the client reads. */
static void push(struct stream *stream)
{
    struct http_server *http = stream->events->gateway->http;
    while (!stream->closed && stream->at < json_array_size(stream->batch)) {
        if (http_stream_waiting(http, stream->call->request) > WAITING_MAX) {
            loop_timer_start(stream->timer, BACKLOG_TICK_MS);
            return;
        }
        put_event(stream, json_array_get(stream->batch, stream->at++));
    }
    if (stream->closed)
        return;
    json_decref(stream->batch);
    stream->batch = NULL;
    if (stream->ended)
        end(stream);
    else
        look_again(stream);
}

static void on_gone(void *arg, uint64_t id)
{
    (void)id;
    ((struct stream *)arg)->closed = true;
}

static bool start(struct stream *stream)
{
    static const struct http_header headers[] = {
        {"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}, {0}};
    static const char hello[] = "retry: 1000\n\n";
    struct events *events = stream->events;
    if (!http_respond_stream(call_request(stream->call), 200, "text/event-stream", headers, on_gone,
                             stream))
        return false;
    stream->started = true;
    stream->next = events->streams;
    if (stream->next)
        stream->next->prev = stream;
    events->streams = stream;
    events->count++;
    put(stream, hello, sizeof(hello) - 1);
    return true;
}

/* The first answer decides what the request gets. */
static bool begin(struct stream *stream, const struct bus_answer *answer)
{
    struct call *call = stream->call;
    if (answer->error == ERR_NOT_FOUND) {
        call_detail(call, 404, "Job not found");
        return false;
    }
    if (call_failed(call, answer))
        return false;
    if (tokens_is_dead(call)) { /* ended while we asked: events_end_revoked saw no stream yet */
        call_unauthenticated(call, "Token has been revoked");
        return false;
    }
    if (js_bool(answer->result, "ended", false) &&
        json_array_size(json_object_get(answer->result, "events")) == 0) {
        http_respond(call_request(call), 204, NULL, NULL, 0, NULL);
        return false;
    }
    int64_t last = js_int(answer->result, "last", stream->after);
    if (stream->after > last)
        stream->after = last;
    return start(stream);
}

/* A question that the job does not wait with yet: who answered it now would be refused. The hint of
 * its parking has us look again. */
static void hold_back_early(json_t *events)
{
    size_t count = json_array_size(events);
    if (count > 0 && js_bool(json_array_get(events, count - 1), "early", false))
        json_array_remove(events, count - 1);
}

static void on_events(struct call *call, const struct bus_answer *answer)
{
    struct stream *stream = call->extra;
    hold_back_early(json_object_get(answer->result, "events"));
    if (!stream->started && !begin(stream, answer)) {
        watch_free(&stream->watch);
        return;
    }
    if (stream->closed)
        return;
    if (answer->error == ERR_NOT_FOUND) { /* forgotten meanwhile */
        end(stream);
        return;
    }
    if (answer->error) {
        stream->more = false;
        look_again(stream);
        return;
    }
    stream->batch = json_incref(json_object_get(answer->result, "events"));
    stream->at = 0;
    stream->ended = js_bool(answer->result, "ended", false);
    size_t count = json_array_size(stream->batch);
    stream->more = count > 0 && js_int(answer->result, "last", 0) > stream->after + (int64_t)count;
    if (count > 0)
        stream->poll_ms = POLL_FIRST_MS;
    push(stream);
}

static void fetch(struct stream *stream)
{
    struct call *call = stream->call;
    stream->changed = stream->more = false;
    if (stream->started)
        loop_timer_start(stream->timer, TICK_MS);
    call_bus(call, "jobs.events",
             json_pack("{s:s, s:s, s:I, s:i}", "job_id", call->param, "user_id", call->user_id,
                       "after", (json_int_t)stream->after, "limit", FETCH_LIMIT),
             CALL_TIMEOUT_MS, on_events);
}

static void on_changed(void *arg)
{
    struct stream *stream = arg;
    stream->poll_ms = POLL_FIRST_MS;
    stream->changed = true;
    if (stream->started && !stream->closed && !stream->call->bus_call && !stream->batch)
        fetch(stream);
}

static void on_timer(void *arg)
{
    struct stream *stream = arg;
    int64_t now = loop_now(stream->events->gateway->loop);
    if (stream->call->identity->expires_at <= time(NULL)) {
        end(stream);
        return;
    }
    if (now - stream->written_at >= PING_MS)
        put(stream, ": ping\n\n", 8);
    if (stream->closed)
        return;
    loop_timer_start(stream->timer, TICK_MS);
    if (stream->batch)
        push(stream);
    else if (!stream->call->bus_call && now >= stream->poll_at)
        fetch(stream);
    else
        partial_refresh(stream->partial);
}

static bool read_last_id(const struct call *call, int64_t *ret_after)
{
    const char *text = http_request_header(call_request(call), "Last-Event-ID");
    size_t len = text ? strlen(text) : 0;
    if (!text) {
        *ret_after = 0;
        return true;
    }
    if (len == 0 || len > 18 || strspn(text, "0123456789") != len)
        return false;
    *ret_after = strtoll(text, NULL, 10);
    return true;
}

void route_events(struct call *call)
{
    struct gateway *gateway = call->gateway;
    int64_t after = 0;
    bool partial;
    if (!read_last_id(call, &after)) {
        call_detail(call, 400, "Last-Event-ID must be a non-negative integer");
        return;
    }
    if (!validate_query_bool(call, "partial", &partial))
        return;
    struct stream *stream = mem_alloc(sizeof(*stream));
    stream->events = gateway->events;
    stream->call = call;
    stream->after = after;
    stream->poll_ms = POLL_FIRST_MS;
    stream->timer = loop_timer_new(gateway->loop, on_timer, stream);
    /* Watched before it is asked for, so that no event falls between. */
    stream->watch = watch_new(gateway->watches, call->param, on_changed, stream);
    if (partial)
        stream->partial =
            partial_new(gateway->partials, call->param, call->user_id, on_partial, stream);
    call->extra = stream;
    call->free_extra = stream_free;
    fetch(stream);
}

struct events *events_new(struct gateway *gateway)
{
    struct events *events = mem_alloc(sizeof(*events));
    events->gateway = gateway;
    return events;
}

void events_destroy(struct events **events_p)
{
    free(*events_p);
    *events_p = NULL;
}

void events_end_all(struct events *events)
{
    struct stream *next;
    for (struct stream *stream = events->streams; stream; stream = next) {
        next = stream->next;
        end(stream);
    }
}

void events_end_revoked(struct events *events)
{
    struct stream *next;
    for (struct stream *stream = events->streams; stream; stream = next) {
        next = stream->next;
        if (tokens_is_dead(stream->call))
            end(stream);
    }
}

size_t events_count(const struct events *events)
{
    return events->count;
}
