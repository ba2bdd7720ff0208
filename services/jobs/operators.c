/* What operators ask for: who works, whose job that is, what came in lately. */
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/jobs/look.h"

enum { RECENT_MAX = 200, READ_MAX_MS = 10000 };

struct operators {
    struct look workers;
};

static void on_workers(void *arg, enum err error, json_t *result)
{
    look_end(arg, error, result);
}

static void look_at_workers(struct look *look)
{
    store_workers(look->jobs->store, on_workers, look);
}

void operators_init(struct jobs *jobs)
{
    jobs->operators = mem_alloc(sizeof *jobs->operators);
    look_init(&jobs->operators->workers, jobs, look_at_workers);
}

void operators_fini(struct jobs *jobs)
{
    look_fini(&jobs->operators->workers);
    free(jobs->operators);
    jobs->operators = NULL;
}

void jobs_workers(void *service, struct bus_call *call, json_t *args)
{
    (void)args;
    look_ask(&jobs_of(service)->operators->workers, call);
}

static void on_read(void *arg, enum err error, json_t *result)
{
    struct bus_call *call = arg;
    if (error == ERR_NOT_FOUND)
        bus_reply_error(&call, error, "Job not found");
    else if (error)
        jobs_reply_error(&call, error);
    else
        bus_reply(&call, json_incref(result));
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
    struct store_filter filter = {
        .before = js_str(args, "before", NULL),
        .user_id = js_str(args, "user_id", NULL),
        .status = js_str(args, "status", ""),
        .text = js_str(args, "text", ""),
    };
    store_recent(jobs_of(service)->store, limit, &filter, time_for(call), on_read, call);
}
