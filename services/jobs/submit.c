/* jobs.submit: items go to the store's group commit, with a worker's slot when one is free. */
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/js_write.h"
#include "libcommon/mem.h"
#include "libcommon/metrics.h"
#include "services/jobs/jobs.h"
#include "services/jobs/store_webhook.h"

enum {
    SUBMIT_MAX_BYTES = 128 * 1024 * 1024, /* messages under way */
    ACCEPTED_MAX = 1024,
};

struct submission {
    struct store_submit item; /* first: the store gives this back */
    struct request *request;
    struct span span;
    size_t index;
    char session[STORE_ID_MAX + 1]; /* reserved there; "": none */
    char *options;                  /* JSON; NULL: none */
};

static void submission_free(struct submission *submission)
{
    free(submission->options);
    free(submission);
}

static void unreserve_slot(struct slot *slot)
{
    if (slot)
        slots_unreserve(slot);
}

static void unreserve(struct jobs *jobs, const char *session)
{
    unreserve_slot(*session ? slots_find(jobs->slots, session) : NULL);
}

static void send_run(struct jobs *jobs, const struct submission *submission)
{
    const struct store_submit *item = &submission->item;
    struct slot *slot = slots_find(jobs->slots, submission->session);
    if (!slot)
        return; /* the worker's next renewal shows that it lacks this run */
    struct store_run run = {
        .job_id = item->job_id,
        .user_id = item->user_id,
        .message = item->message,
        .created_at = item->created_at,
        .session = slot->session,
        .instance = slot->instance,
        .attempt = 1,
        .events = 2,
        .time_ms = jobs->settings->job_timeout * 1000,
        .options = item->options,
        .conversation_id = item->conversation_id,
        .origin = item->origin,
    };
    dispatch_run(jobs, &run, slots_sent(slot, loop_now(jobs->loop)));
}

static size_t bytes_of(const struct submission *submission)
{
    return strlen(submission->item.message) +
           (submission->options ? strlen(submission->options) : 0);
}

static void accept(struct request *request, size_t index, const char *job_id)
{
    struct buf result;
    buf_init(&result, ACCEPTED_MAX);
    buf_add_char(&result, '{');
    js_add_member(&result, "job_id", job_id);
    buf_add_char(&result, '}');
    request_set(request, index, &result);
}

/* Of the job that there is: a request that comes again finds its first one, one that is refused
 * finds none. */
static void tell(const struct submission *submission)
{
    const struct store_submit *item = &submission->item;
    const char *job_id = item->error ? NULL : *item->existing ? item->existing : item->job_id;
    const char *event = item->error       ? "job_refused"
                        : *item->existing ? "job_known"
                        : item->claimed   ? "job_submitted_claimed"
                                          : "job_submitted";
    origin_log(&item->origin, event, job_id, item->claimed);
    origin_committed(&submission->span, job_id, item->error ? err_name(item->error) : NULL);
}

static void count_submitted(void)
{
    static struct metric *metric;
    if (!metric)
        metric = metric_counter("mcpbus_jobs_submitted_total", NULL, "Jobs committed.");
    metric_add(metric, 1);
}

static void on_submitted(struct store_submit *item)
{
    struct submission *submission = (struct submission *)item;
    struct request *request = submission->request;
    struct jobs *jobs = request->jobs;
    fair_queue_hold(jobs->queue, item->user_id, -1);
    jobs->submit_bytes -= bytes_of(submission);
    bool fresh = !item->error && !*item->existing;
    tell(submission);
    if (fresh && item->claimed)
        origin_waited(&item->origin, item->job_id, item->created_at);
    if (fresh && item->claimed) {
        send_run(jobs, submission);
    } else {
        unreserve(jobs, submission->session);
        if (fresh)
            dispatch_queued(jobs, item->job_id, item->user_id);
    }
    if (fresh)
        count_submitted();
    if (item->error == ERR_CONFLICT)
        request_set_error(request, submission->index, ERR_CONFLICT,
                          "the Idempotency-Key was used for another request");
    else if (item->error)
        request_set_error(request, submission->index, item->error, NULL);
    else
        accept(request, submission->index, fresh ? item->job_id : item->existing);
    submission_free(submission);
}

static const char *bounded(const json_t *item, const char *key, size_t min, size_t max)
{
    const json_t *value = json_object_get(item, key);
    if (!json_is_string(value))
        return NULL;
    size_t len = json_string_length(value);
    return len >= min && len <= max ? json_string_value(value) : NULL;
}

/* Why an item is refused; NULL when it is good. */
static const char *fill(struct store_submit *submit, const json_t *item)
{
    submit->job_id = bounded(item, "job_id", 1, STORE_ID_MAX);
    submit->user_id = bounded(item, "user_id", 1, STORE_USER_MAX);
    submit->message = bounded(item, "message", 0, JOBS_MESSAGE_MAX);
    submit->key = bounded(item, "key", 1, JOBS_KEY_MAX);
    submit->hash = bounded(item, "hash", 1, JOBS_HASH_MAX);
    if (!submit->job_id || !jobs_is_id(submit->job_id))
        return "job_id must be 1 to 128 characters of [A-Za-z0-9._-]";
    if (!submit->user_id)
        return "user_id must be 1 to 256 bytes";
    if (!submit->message)
        return "message must be a text of at most 256 KiB";
    if (json_is_string(json_object_get(item, "key")) && !submit->key)
        return "key must be 1 to 256 bytes";
    if (submit->key && !submit->hash)
        return "key needs hash";
    return NULL;
}

static const char *fill_callback(struct submission *submission, const json_t *item)
{
    const json_t *url = json_object_get(item, "callback_url");
    if (!url || json_is_null(url))
        return NULL;
    submission->item.callback_url = bounded(item, "callback_url", 1, STORE_URL_MAX);
    if (!webhooks_configured(submission->request->jobs->webhooks))
        return "callback_url needs WEBHOOK_SECRET";
    return submission->item.callback_url ? NULL : "callback_url must be 1 to 2047 bytes";
}

/* The same of what most jobs have not. */
static const char *fill_more(struct submission *submission, const json_t *item)
{
    const json_t *options = json_object_get(item, "options");
    const json_t *conversation = json_object_get(item, "conversation_id");
    if (conversation && !json_is_null(conversation)) {
        submission->item.conversation_id =
            bounded(item, "conversation_id", 1, STORE_CONVERSATION_MAX);
        if (!submission->item.conversation_id)
            return "conversation_id must be 1 to 512 bytes";
    }
    const char *why = fill_callback(submission, item);
    if (why || !options || json_is_null(options))
        return why;
    if (!json_is_object(options))
        return "options must be an object";
    submission->options = js_dump(options);
    submission->item.options = submission->options;
    return strlen(submission->options) <= JOBS_OPTIONS_MAX ? NULL
                                                           : "options must be 256 KiB at most";
}

static bool over_limit(struct jobs *jobs, const char *user_id)
{
    int64_t limit = jobs->settings->queue_limit;
    return limit > 0 && (int64_t)fair_queue_user_count(jobs->queue, user_id) >= limit;
}

/* A free slot may be taken at once only when nobody waits for it. */
static struct slot *free_slot(struct jobs *jobs)
{
    bool nobody_waits = fair_queue_count(jobs->queue) == 0 && !jobs->overflow;
    return nobody_waits && !jobs->draining ? slots_reserve(jobs->slots) : NULL;
}

static void submit_one(struct request *request, size_t index, const json_t *item)
{
    struct jobs *jobs = request->jobs;
    struct store_submit submit = {.done = on_submitted};
    const char *why = fill(&submit, item);
    if (why) {
        request_set_error(request, index, ERR_INVALID, why);
        return;
    }
    struct slot *slot = free_slot(jobs);
    if (!slot && over_limit(jobs, submit.user_id)) {
        request_set_error(request, index, ERR_LIMITED, "too many of your jobs are waiting");
        return;
    }
    struct submission *submission = mem_alloc(sizeof *submission);
    submission->item = submit;
    origin_read(&submission->item.origin, item);
    submission->span = origin_span(&submission->item.origin);
    submission->request = request;
    submission->index = index;
    why = fill_more(submission, item);
    if (why) {
        unreserve_slot(slot);
        submission_free(submission);
        request_set_error(request, index, ERR_INVALID, why);
        return;
    }
    if (slot) {
        snprintf(submission->session, sizeof submission->session, "%s", slot->session);
        submission->item.session = submission->session;
    }
    size_t bytes = bytes_of(submission);
    if (jobs->submit_bytes + bytes > SUBMIT_MAX_BYTES ||
        store_submit(jobs->store, &submission->item)) {
        unreserve_slot(slot);
        submission_free(submission);
        request_set_error(request, index, ERR_OVERLOADED, "too many jobs are being accepted");
        return;
    }
    jobs->submit_bytes += bytes;
    fair_queue_hold(jobs->queue, submit.user_id, 1);
}

void jobs_submit(void *service, struct bus_call *call, json_t *args)
{
    struct jobs *jobs = jobs_of(service);
    json_t *items = json_object_get(args, "items");
    size_t count = json_array_size(items);
    if (count == 0 || count > JOBS_ITEMS_MAX) {
        bus_reply_error(&call, ERR_INVALID, "items must be 1 to %d", JOBS_ITEMS_MAX);
        return;
    }
    struct request *request = request_new(jobs, call, args, count);
    for (size_t i = 0; i < count; i++)
        submit_one(request, i, json_array_get(items, i));
}
