/* What users ask for: jobs, lists, events; and ending jobs. */
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "services/jobs/jobs.h"

enum {
    READ_MAX_MS = 10000,
    LIMIT_MAX = 100,
    TURNS_MAX = 200,
    EVENTS_LIMIT_MAX = 1000,
    OFFSET_MAX = 1000000000
};

struct reading {
    struct jobs *jobs;
    struct bus_call *call;
    char *job_id, *user_id;
    int64_t deleted;
};

static struct reading *reading_new(struct jobs *jobs, struct bus_call *call, const json_t *args)
{
    struct reading *reading = mem_alloc(sizeof *reading);
    reading->jobs = jobs;
    reading->call = call;
    reading->job_id = mem_strdup(js_str(args, "job_id", ""));
    reading->user_id = mem_strdup(js_str(args, "user_id", ""));
    return reading;
}

static void reading_free(struct reading *reading)
{
    free(reading->job_id);
    free(reading->user_id);
    free(reading);
}

static int64_t time_for(const struct bus_call *call)
{
    int64_t left = bus_call_time_left(call);
    return left < READ_MAX_MS ? left : READ_MAX_MS;
}

static void on_read(void *arg, enum err error, json_t *result)
{
    struct reading *reading = arg;
    if (error == ERR_NOT_FOUND)
        bus_reply_error(&reading->call, error, "Job not found");
    else if (error)
        jobs_reply_error(&reading->call, error);
    else
        bus_reply(&reading->call, json_incref(result));
    reading_free(reading);
}

void jobs_get(void *service, struct bus_call *call, json_t *args)
{
    struct jobs *jobs = jobs_of(service);
    struct reading *reading = reading_new(jobs, call, args);
    store_get(jobs->store, reading->job_id, reading->user_id, time_for(call), on_read, reading);
}

void jobs_list(void *service, struct bus_call *call, json_t *args)
{
    struct jobs *jobs = jobs_of(service);
    int64_t limit = js_int(args, "limit", 20), offset = js_int(args, "offset", 0);
    if (limit < 0 || limit > LIMIT_MAX || offset < 0 || offset > OFFSET_MAX) {
        bus_reply_error(&call, ERR_INVALID, "limit must be 0 to %d, offset at least 0", LIMIT_MAX);
        return;
    }
    struct reading *reading = reading_new(jobs, call, args);
    const char *conversation_id = js_str(args, "conversation_id", NULL);
    if (conversation_id)
        store_list_conversation(jobs->store, reading->user_id, limit, offset, conversation_id,
                                time_for(call), on_read, reading);
    else
        store_list(jobs->store, reading->user_id, limit, offset, js_str(args, "status", ""),
                   time_for(call), on_read, reading);
}

void jobs_conversation(void *service, struct bus_call *call, json_t *args)
{
    struct jobs *jobs = jobs_of(service);
    int64_t limit = js_int(args, "limit", 0);
    if (limit < 1 || limit > TURNS_MAX) {
        bus_reply_error(&call, ERR_INVALID, "limit must be 1 to %d", TURNS_MAX);
        return;
    }
    struct reading *reading = reading_new(jobs, call, args);
    store_conversation(jobs->store, reading->user_id, js_str(args, "conversation_id", ""),
                       js_str(args, "before", ""), limit, time_for(call), on_read, reading);
}

void jobs_events(void *service, struct bus_call *call, json_t *args)
{
    struct jobs *jobs = jobs_of(service);
    int64_t after = js_int(args, "after", 0), limit = js_int(args, "limit", EVENTS_LIMIT_MAX);
    after = after < 0 ? 0 : after > STORE_EVENTS_MAX ? STORE_EVENTS_MAX : after;
    limit = limit < 1 ? 1 : limit > EVENTS_LIMIT_MAX ? EVENTS_LIMIT_MAX : limit;
    struct reading *reading = reading_new(jobs, call, args);
    store_events(jobs->store, reading->job_id, reading->user_id, after, limit, time_for(call),
                 on_read, reading);
}

static void on_cancelled(void *arg, enum err error, const struct store_change *changes,
                         size_t count)
{
    struct reading *reading = arg;
    struct jobs *jobs = reading->jobs;
    if (error) {
        on_read(reading, error, NULL);
        return;
    }
    dispatch_changes(jobs, changes, count);
    store_get(jobs->store, reading->job_id, reading->user_id, time_for(reading->call), on_read,
              reading);
}

void jobs_cancel(void *service, struct bus_call *call, json_t *args)
{
    struct jobs *jobs = jobs_of(service);
    struct reading *reading = reading_new(jobs, call, args);
    store_cancel(jobs->store, reading->job_id, reading->user_id, on_cancelled, reading);
}

static void on_forgotten(void *arg, enum err error, const struct store_change *changes,
                         size_t count)
{
    struct reading *reading = arg;
    struct jobs *jobs = reading->jobs;
    if (error) {
        on_read(reading, error, NULL);
        return;
    }
    dispatch_changes(jobs, changes, count);
    reading->deleted += (int64_t)count;
    if (count) {
        store_forget(jobs->store, reading->user_id, on_forgotten, reading);
        return;
    }
    log_info("user_forgotten", LOG_S("user_id", reading->user_id), LOG_I("jobs", reading->deleted));
    bus_reply(&reading->call, json_pack("{s:I}", "deleted", (json_int_t)reading->deleted));
    reading_free(reading);
}

void jobs_forget(void *service, struct bus_call *call, json_t *args)
{
    struct jobs *jobs = jobs_of(service);
    struct reading *reading = reading_new(jobs, call, args);
    store_forget(jobs->store, reading->user_id, on_forgotten, reading);
}

void jobs_health(void *service, struct bus_call *call, json_t *args)
{
    struct jobs *jobs = jobs_of(service);
    (void)args;
    if (!jobs->answered_at) /* it has only begun: another replica may know */
        bus_reply_error(&call, ERR_NO_SERVICE, "the database has not answered yet");
    else if (!store_ready(jobs->store) ||
             loop_now(jobs->loop) - jobs->answered_at > JOBS_SILENCE_MS)
        jobs_reply_error(&call, ERR_OVERLOADED);
    else if (jobs->count_error == ERR_INTERNAL)
        bus_reply_error(&call, ERR_INTERNAL, "the database lacks its tables: run mcpbus migrate");
    else
        bus_reply(&call, json_pack("{s:I, s:I}", "queued", (json_int_t)jobs->queued, "running",
                                   (json_int_t)jobs->running));
}
