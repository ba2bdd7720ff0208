#include "services/sandbox/delay.h"

#include <stdlib.h>

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

static void send_now(struct sandbox *sandbox, uint64_t request_id, struct reply *reply)
{
    struct http_request *request = http_request_find(sandbox->server, request_id);
    if (request && !reply->stream) {
        http_respond(request, 200, reply->type, buf_text(&reply->body), reply->body.len, NULL);
    } else if (request && http_respond_stream(request, 200, reply->type, NULL, on_gone, NULL)) {
        /* A refusal here ends the stream early, which is what the client then sees. */
        if (http_stream_write(sandbox->server, request_id, buf_text(&reply->body),
                              reply->body.len) != ERR_NOT_FOUND)
            (reply->cut ? http_stream_cut : http_stream_end)(sandbox->server, request_id);
    }
    buf_fini(&reply->body);
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
    free(delayed);
}

static void on_time(void *arg)
{
    struct delayed *delayed = arg;
    send_now(delayed->sandbox, delayed->request_id, &delayed->reply);
    forget(delayed);
}

void reply_later(struct sandbox *sandbox, uint64_t request_id, struct reply *reply,
                 int64_t delay_ms)
{
    if (delay_ms <= 0 || sandbox->waiting_count >= SANDBOX_WAITING_MAX) {
        send_now(sandbox, request_id, reply);
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
    loop_timer_start(delayed->timer, delay_ms);
}

void replies_drop(struct sandbox *sandbox)
{
    for (struct delayed *delayed = sandbox->waiting, *next; delayed; delayed = next) {
        next = delayed->next;
        buf_fini(&delayed->reply.body);
        forget(delayed);
    }
}
