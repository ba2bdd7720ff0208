/* jobs.decide: a user's word on tool calls that wait for it. */
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/pg.h"
#include "services/jobs/jobs.h"

enum {
    CALLS_MAX = 128, /* of a turn; more, no run may ask for */
    CALL_ID_MAX = 256,
    READ_MAX_MS = 10000,
    IDS_MAX_BYTES = 512 * 1024,
};

struct decision {
    struct jobs *jobs;
    struct bus_call *call;
    char *job_id, *user_id;
    json_t *call_ids; /* NULL: all */
    bool changed;
};

static const char *call_id(const json_t *id)
{
    size_t len = json_is_string(id) ? json_string_length(id) : 0;
    return len >= 1 && len <= CALL_ID_MAX ? json_string_value(id) : NULL;
}

bool jobs_asks_approval(const json_t *data)
{
    const json_t *calls = json_object_get(data, "calls");
    size_t count = json_array_size(calls);
    for (size_t i = 0; i < count; i++) {
        const json_t *call = json_array_get(calls, i);
        if (!call_id(json_object_get(call, "id")) || !json_is_string(json_object_get(call, "name")))
            return false;
    }
    return count >= 1 && count <= CALLS_MAX;
}

static void decision_free(struct decision *decision)
{
    free(decision->job_id);
    free(decision->user_id);
    json_decref(decision->call_ids);
    free(decision);
}

static bool has_call(const json_t *calls, const char *id)
{
    for (size_t i = 0; i < json_array_size(calls); i++)
        if (!strcmp(js_str(json_array_get(calls, i), "id", ""), id))
            return true;
    return false;
}

/* Is one of the ids none of those that the job waits with? */
static bool names_others(const json_t *call_ids, const json_t *calls)
{
    for (size_t i = 0; i < json_array_size(call_ids); i++)
        if (!has_call(calls, json_string_value(json_array_get(call_ids, i))))
            return true;
    return false;
}

static void on_got(void *arg, enum err error, json_t *job)
{
    struct decision *decision = arg;
    const json_t *calls = json_object_get(job, "waiting_approval");
    if (error == ERR_NOT_FOUND)
        bus_reply_error(&decision->call, error, "Job not found");
    else if (error)
        jobs_reply_error(&decision->call, error);
    else if (decision->changed)
        bus_reply(&decision->call, json_incref(job));
    else if (calls && names_others(decision->call_ids, calls))
        bus_reply_error(&decision->call, ERR_INVALID,
                        "the job does not wait with each of these call_ids");
    else
        bus_reply_error(&decision->call, ERR_CONFLICT, "The job does not wait for approval");
    decision_free(decision);
}

static void on_decided(void *arg, enum err error, const struct store_change *changes, size_t count)
{
    struct decision *decision = arg;
    struct jobs *jobs = decision->jobs;
    if (error) {
        jobs_reply_error(&decision->call, error);
        decision_free(decision);
        return;
    }
    decision->changed = count > 0;
    if (count)
        log_info("approval_decided", LOG_S("job_id", decision->job_id));
    dispatch_changes(jobs, changes, count);
    int64_t left = bus_call_time_left(decision->call);
    store_get(jobs->store, decision->job_id, decision->user_id,
              left < READ_MAX_MS ? left : READ_MAX_MS, on_got, decision);
}

/* The event's data, and the ids as PostgreSQL takes them; NULL: the arguments are no decision. */
static json_t *event_of(const json_t *args, struct buf *ret_ids)
{
    const char *word = js_str(args, "decision", ""), *reason = js_str(args, "reason", NULL);
    const json_t *ids = json_object_get(args, "call_ids");
    bool approves = !strcmp(word, "approve");
    size_t count = json_array_size(ids);
    if ((!approves && strcmp(word, "deny") != 0) ||
        (json_is_array(ids) && (!approves || count < 1 || count > CALLS_MAX)))
        return NULL;
    pg_array_begin(ret_ids);
    for (size_t i = 0; i < count; i++) {
        const char *id = call_id(json_array_get(ids, i));
        if (!id)
            return NULL;
        pg_array_add(ret_ids, id, strlen(id));
    }
    pg_array_end(ret_ids);
    json_t *event = json_pack("{s:s}", "decision", word);
    if (count)
        json_object_set(event, "call_ids", (json_t *)(uintptr_t)ids);
    if (reason)
        json_object_set_new(event, "reason", json_string(reason));
    return event;
}

void jobs_decide(void *service, struct bus_call *call, json_t *args)
{
    struct jobs *jobs = jobs_of(service);
    struct buf ids;
    buf_init(&ids, IDS_MAX_BYTES);
    AUTOJSON json_t *event = event_of(args, &ids);
    if (!event || buf_check(&ids)) {
        buf_fini(&ids);
        bus_reply_error(&call, ERR_INVALID,
                        "decision must be approve, with 1 to %d call_ids or none, or deny",
                        CALLS_MAX);
        return;
    }
    struct decision *decision = mem_alloc(sizeof *decision);
    decision->jobs = jobs;
    decision->call = call;
    decision->job_id = mem_strdup(js_str(args, "job_id", ""));
    decision->user_id = mem_strdup(js_str(args, "user_id", ""));
    decision->call_ids = json_incref(json_object_get(event, "call_ids"));
    AUTOFREE char *data = js_dump(event);
    store_decide(jobs->store, decision->job_id, decision->user_id, data,
                 decision->call_ids ? buf_text(&ids) : NULL, on_decided, decision);
    buf_fini(&ids);
}
