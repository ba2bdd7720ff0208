#include "services/sandbox/delay.h"

#include <stdlib.h>
#include <string.h>

#include "libcommon/mem.h"

struct delayed {
    struct sandbox *sandbox;
    struct loop_timer *timer;
    uint64_t request_id;
    struct reply reply;
    struct delayed *prev, *next;
};

static void on_gone(void *arg, uint64_t id)
{
    (void)arg;
    (void)id;
}

static void end_stream(struct sandbox *sandbox, uint64_t request_id, const struct reply *reply)
{
    if (!reply->stall)
        (reply->cut ? http_stream_cut : http_stream_end)(sandbox->server, request_id);
}

/* Sends what is due; true: there is more, after reply->drip_ms. */
static bool send_now(struct sandbox *sandbox, uint64_t request_id, struct reply *reply)
{
    struct http_request *request = http_request_find(sandbox->server, request_id);
    if (request && !reply->stream) {
        http_respond(request, 200, reply->type, buf_text(&reply->body), reply->body.len, NULL);
        return false;
    }
    if (request && !reply->begun &&
        !http_respond_stream(request, 200, reply->type, NULL, on_gone, NULL))
        return false;
    reply->begun = true;
    const char *text = buf_text(&reply->body), *end = strstr(text, "\n\n");
    size_t len = reply->drip_ms && end ? (size_t)(end - text) + 2 : reply->body.len;
    /* A refusal here ends the stream early, which is what the client then sees. */
    if (!request || http_stream_write(sandbox->server, request_id, text, len) == ERR_NOT_FOUND)
        return false;
    buf_consume(&reply->body, len);
    if (reply->body.len)
        return true;
    end_stream(sandbox, request_id, reply);
    return false;
}

static void forget(struct delayed *delayed)
{
    struct delayed **head = &delayed->sandbox->waiting;
    if (delayed->prev)
        delayed->prev->next = delayed->next;
    else
        *head = delayed->next;
    if (delayed->next)
        delayed->next->prev = delayed->prev;
    delayed->sandbox->waiting_count--;
    loop_timer_destroy(&delayed->timer);
    buf_fini(&delayed->reply.body);
    free(delayed);
}

static void on_time(void *arg)
{
    struct delayed *delayed = arg;
    if (send_now(delayed->sandbox, delayed->request_id, &delayed->reply))
        loop_timer_start(delayed->timer, delayed->reply.drip_ms);
    else
        forget(delayed);
}

void reply_later(struct sandbox *sandbox, uint64_t request_id, struct reply *reply,
                 int64_t delay_ms)
{
    if (sandbox->waiting_count >= SANDBOX_WAITING_MAX)
        reply->drip_ms = delay_ms = 0;
    if (delay_ms <= 0 && !send_now(sandbox, request_id, reply)) {
        buf_fini(&reply->body);
        return;
    }
    struct delayed *delayed = mem_alloc(sizeof(*delayed));
    *delayed = (struct delayed){
        .sandbox = sandbox, .request_id = request_id, .reply = *reply, .next = sandbox->waiting};
    buf_init(&reply->body, 0);
    if (sandbox->waiting)
        sandbox->waiting->prev = delayed;
    sandbox->waiting = delayed;
    sandbox->waiting_count++;
    delayed->timer = loop_timer_new(sandbox->loop, on_time, delayed);
    loop_timer_start(delayed->timer, delay_ms > 0 ? delay_ms : delayed->reply.drip_ms);
}

void replies_drop(struct sandbox *sandbox)
{
    for (struct delayed *delayed = sandbox->waiting, *next; delayed; delayed = next) {
        next = delayed->next;
        forget(delayed);
    }
}
