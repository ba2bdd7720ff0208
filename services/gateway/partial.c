/* The model's text as it comes, beside the events of a stream that asked for it. The workers are
 * told now and then that somebody watches the job; the one that has it sends what the model says.
 */
#include "services/gateway/gateway.h"

#include <string.h>

#include "libcommon/mem.h"
#include "services/gateway/partial_order.h"

enum {
    WATCHES_MAX = 200, /* sent in a second */
    WINDOW_MS = 1000,
    WATCH_MS = 5000,
    WATCH_SOON_MS = 900, /* of an attempt that has just begun: its worker may not have it yet */
    SOON_MAX = 3,
    TEXT_MAX = 128 << 10, /* of one event: each byte of a part may need six */
};

struct partials {
    struct gateway *gateway;
    struct watches *streams; /* by job */
    const json_t *news;      /* what is being handed out */
    int64_t window;          /* loop_now; when it began */
    unsigned sent;           /* in it */
};

struct partial {
    struct partials *partials;
    const char *job_id, *user_id;
    partial_write_fn *write;
    void *arg;
    struct watch *watch; /* NULL: not begun */
    struct partial_order order;
    unsigned soon;
    int64_t watch_at; /* loop_now */
};

struct partials *partials_new(struct gateway *gateway)
{
    struct partials *partials = mem_alloc(sizeof(*partials));
    partials->gateway = gateway;
    partials->streams = watches_new();
    return partials;
}

void partials_destroy(struct partials **partials_p)
{
    struct partials *partials = *partials_p;
    if (!partials)
        return;
    *partials_p = NULL;
    watches_destroy(&partials->streams);
    free(partials);
}

struct partial *partial_new(struct partials *partials, const char *job_id, const char *user_id,
                            partial_write_fn *write, void *arg)
{
    struct partial *partial = mem_alloc(sizeof(*partial));
    partial->partials = partials;
    partial->job_id = job_id;
    partial->user_id = user_id;
    partial->write = write;
    partial->arg = arg;
    partial->soon = SOON_MAX;
    return partial;
}

void partial_free(struct partial **partial_p)
{
    struct partial *partial = *partial_p;
    if (!partial)
        return;
    *partial_p = NULL;
    watch_free(&partial->watch);
    free(partial);
}

void partial_event(struct partial *partial, const char *type, const json_t *data)
{
    if (!partial || !partial_order_event(&partial->order, type, data))
        return;
    partial->soon = SOON_MAX;
    partial->watch_at = 0;
}

void partial_lose(struct partial *partial)
{
    partial_order_lose(&partial->order);
}

static void write_part(struct partial *partial, const json_t *news)
{
    struct buf text;
    AUTOJSON json_t *data =
        json_pack("{s:O, s:O, s:O, s:O}", "attempt", json_object_get(news, "attempt"), "turn",
                  json_object_get(news, "turn"), "part", json_object_get(news, "part"), "text",
                  json_object_get(news, "text"));
    buf_init(&text, TEXT_MAX);
    buf_add_str(&text, "event: partial\ndata: ");
    js_dump_buf(data, &text);
    buf_add_str(&text, "\n\n");
    if (buf_check(&text) == ERR_OK)
        partial->write(partial->arg, text.data, text.len);
    else
        partial_lose(partial);
    buf_fini(&text);
}

static void on_news(void *arg)
{
    struct partial *partial = arg;
    const json_t *news = partial->partials->news;
    if (strcmp(js_str(news, "user_id", ""), partial->user_id) != 0)
        return;
    int64_t part = js_int(news, "part", -1);
    if (!partial_order_take(&partial->order, js_int(news, "attempt", 0), js_int(news, "turn", 0),
                            part))
        return;
    partial->soon = 0;
    write_part(partial, news); /* last: it may end the stream */
}

/* So many streams may be open that telling of all would be a flood: the rest waits its turn. */
static bool may_send(struct partials *partials, int64_t now)
{
    if (now - partials->window >= WINDOW_MS) {
        partials->window = now;
        partials->sent = 0;
    }
    return partials->sent++ < WATCHES_MAX;
}

void partial_refresh(struct partial *partial)
{
    if (!partial)
        return;
    struct partials *partials = partial->partials;
    struct gateway *gateway = partials->gateway;
    int64_t now = loop_now(gateway->loop);
    if (!partial->watch)
        partial->watch = watch_new(partials->streams, partial->job_id, on_news, partial);
    if (partial->order.idle || now < partial->watch_at || !may_send(partials, now))
        return;
    partial->watch_at = now + (partial->soon ? WATCH_SOON_MS : WATCH_MS);
    partial->soon -= partial->soon > 0;
    bus_send(gateway->bus, "worker@*.watch",
             json_pack("{s:s, s:s, s:I}", "job_id", partial->job_id, "user_id", partial->user_id,
                       "next", (json_int_t)partial->order.next));
}

void gateway_partial(void *arg, struct bus_call *call, json_t *args)
{
    struct gateway *gateway = ((struct service *)arg)->state;
    if (gateway) {
        gateway->partials->news = args;
        watches_notify(gateway->partials->streams, js_str(args, "job_id", ""));
        gateway->partials->news = NULL;
    }
    bus_reply(&call, json_object());
}
