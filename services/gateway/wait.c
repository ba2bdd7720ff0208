/* GET /result, and its ?wait: the bus's hint, with a slow poll as the backstop. */
#include "services/gateway/gateway.h"

#include <string.h>

#include "libcommon/mem.h"
#include "proto/proto.h"

enum { POLL_FIRST_MS = 1000, POLL_MOST_MS = 4000 };

struct waiter {
    struct call *call;
    struct watch *watch;
    struct lookup *lookup; /* under way, or NULL */
    struct loop_timer *timer;
    struct buf last; /* the job as last seen, JSON; empty: not yet */
    int64_t deadline, poll_ms;
    bool ended;   /* the last one has */
    bool changed; /* while a lookup is under way */
};

json_t *job_body(const json_t *job)
{
    static const char *const names[] = {
        "job_id",        "user_id",     "message",    "status",     "result",
        "error_message", "token_usage", "created_at", "updated_at", "completed_at",
    };
    json_t *body = json_object(), *waiting = json_object_get(job, "waiting_approval"),
           *conversation = json_object_get(job, "conversation_id");
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        json_t *value = json_object_get(job, names[i]);
        json_object_set(body, names[i], value ? value : json_null());
    }
    if (json_is_string(conversation))
        json_object_set(body, "conversation_id", conversation);
    if (json_is_array(waiting))
        json_object_set(body, "waiting_approval", waiting);
    return body;
}

static bool has_ended(const struct buf *text)
{
    AUTOJSON json_t *job = NULL;
    if (js_parse(buf_text(text), text->len, &job, NULL) != ERR_OK)
        return false;
    const char *status = js_str(job, "status", "");
    return strcmp(status, "completed") == 0 || strcmp(status, "failed") == 0 ||
           strcmp(status, "cancelled") == 0;
}

static void waiter_free(void *arg)
{
    struct waiter *waiter = arg;
    watch_free(&waiter->watch);
    lookup_cancel(&waiter->lookup);
    loop_timer_destroy(&waiter->timer);
    buf_fini(&waiter->last);
    free(waiter);
}

static int64_t time_left(const struct waiter *waiter)
{
    int64_t left = waiter->deadline - loop_now(waiter->call->gateway->loop);
    return left > 0 ? left : 0;
}

static void answer_job(struct waiter *waiter)
{
    struct call *call = waiter->call;
    loop_timer_stop(waiter->timer);
    watch_free(&waiter->watch);
    if (tokens_is_dead(call))
        call_unauthenticated(call, "Token has been revoked");
    else
        call_buf(call, 200, &waiter->last);
}

static void fetch(struct waiter *waiter);

static void wait_on(struct waiter *waiter)
{
    int64_t left = time_left(waiter);
    if (waiter->last.len && (waiter->ended || left == 0 || waiter->call->gateway->draining)) {
        answer_job(waiter);
        return;
    }
    if (waiter->changed) {
        fetch(waiter);
        return;
    }
    loop_timer_start(waiter->timer, left < waiter->poll_ms ? left : waiter->poll_ms);
    waiter->poll_ms =
        waiter->poll_ms * 3 / 2 < POLL_MOST_MS ? waiter->poll_ms * 3 / 2 : POLL_MOST_MS;
}

static void on_job(void *arg, const struct lookup_answer *answer)
{
    struct waiter *waiter = arg;
    struct call *call = waiter->call;
    waiter->lookup = NULL;
    loop_timer_stop(waiter->timer);
    if (!call_request(call))
        return;
    if (answer->error == ERR_NOT_FOUND) {
        call_detail(call, 404, "Job not found");
        return;
    }
    if (answer->error == ERR_OK) {
        buf_reset(&waiter->last);
        buf_add(&waiter->last, answer->text, answer->len);
        waiter->ended = time_left(waiter) > 0 && has_ended(&waiter->last);
    } else if (!waiter->last.len) {
        call_error(call, answer->error, answer->detail, answer->retry_after_ms);
        return;
    }
    wait_on(waiter);
}

static void fetch(struct waiter *waiter)
{
    struct call *call = waiter->call;
    waiter->changed = false;
    if (waiter->last.len)
        loop_timer_start(waiter->timer, time_left(waiter));
    waiter->lookup = lookup_new(call->gateway->lookups, call->param, call->user_id, on_job, waiter);
}

static void on_changed(void *arg)
{
    struct waiter *waiter = arg;
    waiter->poll_ms = POLL_FIRST_MS;
    waiter->changed = true;
    if (!waiter->lookup && waiter->last.len)
        fetch(waiter);
}

/* The end of the wait, or time to look again. */
static void on_timer(void *arg)
{
    struct waiter *waiter = arg;
    if (time_left(waiter) == 0 || waiter->call->gateway->draining)
        answer_job(waiter);
    else if (!waiter->lookup)
        fetch(waiter);
}

void wait_for_end(struct call *call, int64_t wait_ms)
{
    struct gateway *gateway = call->gateway;
    struct waiter *waiter = mem_alloc(sizeof(*waiter));
    waiter->call = call;
    buf_init(&waiter->last, (size_t)2 * PROTO_BODY_MAX_BYTES); /* nulls may have been added */
    waiter->deadline = loop_now(gateway->loop) + wait_ms;
    waiter->poll_ms = POLL_FIRST_MS;
    waiter->timer = loop_timer_new(gateway->loop, on_timer, waiter);
    /* Watched before it is asked for, so that no change falls between. */
    if (wait_ms > 0)
        waiter->watch = watch_new(gateway->watches, call->param, on_changed, waiter);
    call->extra = waiter;
    call->free_extra = waiter_free;
    fetch(waiter);
}
