/* GET /result, and its ?wait: the bus's hint, with a slow poll as the backstop. */
#include "services/gateway/gateway.h"

#include <string.h>

#include "libcommon/mem.h"

enum { POLL_FIRST_MS = 1000, POLL_MOST_MS = 4000, GET_TIMEOUT_MS = 5000 };

struct waiter {
    struct call *call;
    struct watch *watch;
    struct loop_timer *timer;
    json_t *last; /* the job as last seen */
    int64_t deadline, poll_ms;
    bool changed; /* while a call is under way */
};

json_t *job_body(const json_t *job)
{
    static const char *const names[] = {
        "job_id",        "user_id",     "message",    "status",     "result",
        "error_message", "token_usage", "created_at", "updated_at", "completed_at",
    };
    json_t *body = json_object();
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        json_t *value = json_object_get(job, names[i]);
        json_object_set(body, names[i], value ? value : json_null());
    }
    return body;
}

static bool has_ended(const json_t *job)
{
    const char *status = js_str(job, "status", "");
    return strcmp(status, "completed") == 0 || strcmp(status, "failed") == 0 ||
           strcmp(status, "cancelled") == 0;
}

static void waiter_free(void *arg)
{
    struct waiter *waiter = arg;
    watch_free(&waiter->watch);
    loop_timer_destroy(&waiter->timer);
    json_decref(waiter->last);
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
        call_json(call, 200, job_body(waiter->last));
}

static void fetch(struct waiter *waiter);

static void wait_on(struct waiter *waiter)
{
    int64_t left = time_left(waiter);
    if (waiter->last && (has_ended(waiter->last) || left == 0 || waiter->call->gateway->draining)) {
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

static void on_job(struct call *call, const struct bus_answer *answer)
{
    struct waiter *waiter = call->extra;
    loop_timer_stop(waiter->timer);
    if (answer->error == ERR_NOT_FOUND) {
        call_detail(call, 404, "Job not found");
        return;
    }
    if (answer->error == ERR_OK) {
        json_decref(waiter->last);
        waiter->last = json_incref(answer->result);
    } else if (!waiter->last) {
        call_failed(call, answer);
        return;
    }
    wait_on(waiter);
}

static void fetch(struct waiter *waiter)
{
    struct call *call = waiter->call;
    waiter->changed = false;
    if (waiter->last)
        loop_timer_start(waiter->timer, time_left(waiter));
    call_bus(call, "jobs.get",
             json_pack("{s:s, s:s}", "job_id", call->param, "user_id", call->user_id),
             GET_TIMEOUT_MS, on_job);
}

static void on_changed(void *arg)
{
    struct waiter *waiter = arg;
    waiter->poll_ms = POLL_FIRST_MS;
    waiter->changed = true;
    if (!waiter->call->bus_call && waiter->last)
        fetch(waiter);
}

/* The end of the wait, or time to look again. */
static void on_timer(void *arg)
{
    struct waiter *waiter = arg;
    if (time_left(waiter) == 0 || waiter->call->gateway->draining)
        answer_job(waiter);
    else if (!waiter->call->bus_call)
        fetch(waiter);
}

void wait_for_end(struct call *call, int64_t wait_ms)
{
    struct gateway *gateway = call->gateway;
    struct waiter *waiter = mem_alloc(sizeof(*waiter));
    waiter->call = call;
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
