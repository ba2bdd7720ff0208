/* What operators ask for: who works, whose job that is, what came in lately. One look at the
 * workers serves all who ask within its time: it walks through the queue. */
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/jobs/jobs.h"

enum {
    ASKING_MAX = 64,
    FRESH_MS = 1000,
    FRESH_MAX_MS = 10000,
    SHARE = 10, /* of the time that a look takes */
    RECENT_MAX = 200,
    READ_MAX_MS = 10000,
};

struct operators {
    struct jobs *jobs;
    json_t *workers; /* NULL: not looked yet */
    int64_t began, fresh_until;
    bool looking;
    struct bus_call *asking[ASKING_MAX];
    size_t asking_count;
};

void operators_init(struct jobs *jobs)
{
    jobs->operators = mem_alloc(sizeof *jobs->operators);
    jobs->operators->jobs = jobs;
}

void operators_fini(struct jobs *jobs)
{
    json_decref(jobs->operators->workers);
    free(jobs->operators);
    jobs->operators = NULL;
}

static void answer(struct bus_call **call_p, enum err error, json_t *result)
{
    if (error == ERR_NOT_FOUND)
        bus_reply_error(call_p, error, "Job not found");
    else if (error)
        jobs_reply_error(call_p, error);
    else
        bus_reply(call_p, json_incref(result));
}

static void on_workers(void *arg, enum err error, json_t *result)
{
    struct operators *operators = arg;
    int64_t now = loop_now(operators->jobs->loop);
    int64_t fresh = SHARE * (now - operators->began);
    operators->looking = false;
    if (!error) {
        json_decref(operators->workers);
        operators->workers = json_incref(result);
        operators->fresh_until = now + (fresh < FRESH_MS       ? FRESH_MS
                                        : fresh < FRESH_MAX_MS ? fresh
                                                               : FRESH_MAX_MS);
    }
    for (size_t i = 0; i < operators->asking_count; i++)
        answer(&operators->asking[i], error, result);
    operators->asking_count = 0;
}

void jobs_workers(void *service, struct bus_call *call, json_t *args)
{
    struct operators *operators = jobs_of(service)->operators;
    int64_t now = loop_now(operators->jobs->loop);
    (void)args;
    if (operators->workers && now < operators->fresh_until) {
        bus_reply(&call, json_incref(operators->workers));
        return;
    }
    if (operators->asking_count == ASKING_MAX) {
        jobs_reply_error(&call, ERR_OVERLOADED);
        return;
    }
    operators->asking[operators->asking_count++] = call;
    if (operators->looking)
        return;
    operators->looking = true;
    operators->began = now;
    store_workers(operators->jobs->store, on_workers, operators);
}

static void on_read(void *arg, enum err error, json_t *result)
{
    struct bus_call *call = arg;
    answer(&call, error, result);
}

static int64_t time_for(const struct bus_call *call)
{
    int64_t left = bus_call_time_left(call);
    return left < READ_MAX_MS ? left : READ_MAX_MS;
}

void jobs_find(void *service, struct bus_call *call, json_t *args)
{
    store_find_job(jobs_of(service)->store, js_str(args, "job_id", ""), time_for(call), on_read,
                   call);
}

void jobs_recent(void *service, struct bus_call *call, json_t *args)
{
    int64_t limit = js_int(args, "limit", 0);
    if (limit < 1 || limit > RECENT_MAX) {
        bus_reply_error(&call, ERR_INVALID, "limit must be 1 to %d", RECENT_MAX);
        return;
    }
    store_recent(jobs_of(service)->store, limit, js_str(args, "before", NULL),
                 js_str(args, "status", ""), time_for(call), on_read, call);
}
