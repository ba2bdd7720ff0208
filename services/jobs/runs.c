/* What workers call: sessions, offers, events and ends of runs. */
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/js_write.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/metrics.h"
#include "services/jobs/jobs.h"

enum {
    EVENT_MAX_BYTES = 64 * 1024,
    ASKING_MAX_BYTES = 256 * 1024, /* calls that wait are made later just as they were asked for */
    EVENT_TEXT_MAX = 12 * 1024,
    EVENT_TYPE_MAX = 32,
    EVENTS_OF_APPEND_MAX = 1000,
    RESULT_MAX_BYTES = 512 * 1024,
    ERROR_MAX_BYTES = 8 * 1024,
    SMALL_JSON_MAX = 16 * 1024,
    SLOTS_MAX = 65536,
    APPENDED_MAX = 1024,
    MISSING_SHARE = 10,
    /* One that waited for a database that was away says nothing of its cost. */
    MISSING_PAUSE_MAX_MS = 5000,
};
static const char cut_marker[] = "… [cut]";

/* The session argument; NULL when it can't be one (the call has been answered then). */
static const char *session_of(struct bus_call **call_p, const json_t *args)
{
    const char *session = js_str(args, "session", "");
    if (jobs_is_id(session) && strlen(session) < sizeof((struct slot *)NULL)->session)
        return session;
    bus_reply_error(call_p, ERR_INVALID, "session must be 1 to 64 characters of [A-Za-z0-9._-]");
    return NULL;
}

static void take_offer(struct jobs *jobs, const char *session, const json_t *offer)
{
    const char *instance = js_str(offer, "instance", "");
    int64_t received = js_int(offer, "received", -1), slots = js_int(offer, "slots", -1);
    uint64_t number;
    if (!bus_instance_parse(instance, &number) || received < 0 || received > INT64_MAX / 2 ||
        slots < 0)
        return;
    slots_offer(jobs->slots, session, instance, received, slots < SLOTS_MAX ? slots : SLOTS_MAX,
                loop_now(jobs->loop));
    if (slots > 0)
        dispatch_wake(jobs);
}

void jobs_offer(void *service, struct bus_call *call, json_t *args)
{
    const char *session = session_of(&call, args);
    if (!session)
        return;
    take_offer(jobs_of(service), session, args);
    bus_reply(&call, json_object());
}

/* --- sessions --- */

struct session_call {
    struct jobs *jobs;
    struct bus_call *call;
    char session[STORE_ID_MAX + 1];
};

static struct session_call *session_call_new(struct jobs *jobs, struct bus_call *call,
                                             const char *session)
{
    struct session_call *opening = mem_alloc(sizeof *opening);
    opening->jobs = jobs;
    opening->call = call;
    strncpy(opening->session, session, sizeof opening->session - 1);
    return opening;
}

static void on_opened(void *arg, enum err error)
{
    struct session_call *opening = arg;
    if (error == ERR_STALE_TOKEN) {
        bus_reply_error(&opening->call, error, "this session has ended, open a new one");
    } else if (error) {
        jobs_reply_error(&opening->call, error);
    } else {
        log_info("session_opened", LOG_S("session", opening->session));
        bus_reply(&opening->call, json_pack("{s:i}", "lease_ms", STORE_LEASE_MS));
    }
    free(opening);
}

void jobs_session_open(void *service, struct bus_call *call, json_t *args)
{
    struct jobs *jobs = jobs_of(service);
    const char *session = session_of(&call, args);
    uint64_t number;
    if (!session)
        return;
    const char *instance = js_str(args, "instance", "");
    int64_t capacity = js_int(args, "capacity", 0);
    if (!bus_instance_parse(instance, &number) || capacity < 0 || capacity > SLOTS_MAX) {
        bus_reply_error(&call, ERR_INVALID, "instance or capacity is not one");
        return;
    }
    store_session_open(jobs->store, session, instance, js_str(args, "host", ""),
                       js_str(args, "version", ""), capacity, on_opened,
                       session_call_new(jobs, call, session));
}

static void on_closed(void *arg, enum err error, const struct store_change *changes, size_t count)
{
    struct session_call *closing = arg;
    if (error) {
        jobs_reply_error(&closing->call, error);
    } else {
        log_info("session_closed", LOG_S("session", closing->session), LOG_I("released", count));
        dispatch_changes(closing->jobs, changes, count);
        bus_reply(&closing->call, json_pack("{s:I}", "released", (json_int_t)count));
    }
    free(closing);
}

void jobs_session_close(void *service, struct bus_call *call, json_t *args)
{
    struct jobs *jobs = jobs_of(service);
    const char *session = session_of(&call, args);
    if (!session)
        return;
    slots_forget(jobs->slots, session);
    store_session_close(jobs->store, session, on_closed, session_call_new(jobs, call, session));
}

struct renewal {
    struct store_renew item; /* first: the store gives this back */
    struct jobs *jobs;
    struct bus_call *call;
    json_t *args;
};

static void on_missing(void *arg, enum err error, const struct store_run *runs, size_t count)
{
    struct jobs *jobs = arg;
    int64_t now = loop_now(jobs->loop);
    int64_t pause = error ? 0 : MISSING_SHARE * (now - jobs->missing_began);
    jobs->missing_next = now + (pause < MISSING_PAUSE_MAX_MS ? pause : MISSING_PAUSE_MAX_MS);
    for (size_t i = 0; i < count; i++)
        dispatch_run(jobs, &runs[i], 0);
    if (count)
        log_info("runs_sent_again", LOG_S("session", runs[0].session), LOG_I("count", count));
}

static void note_draining(const struct renewal *renewal)
{
    const json_t *draining = json_object_get(renewal->args, "draining");
    if (json_is_boolean(draining))
        store_session_draining(renewal->jobs->store, renewal->item.session,
                               json_boolean_value(draining));
}

static void on_renewed(struct store_renew *item)
{
    struct renewal *renewal = (struct renewal *)item;
    struct jobs *jobs = renewal->jobs;
    int64_t now = loop_now(jobs->loop);
    if (item->error == ERR_STALE_TOKEN) {
        slots_forget(jobs->slots, item->session);
        bus_reply_error(&renewal->call, item->error, "the lease has run out, open a new session");
    } else if (item->error) {
        jobs_reply_error(&renewal->call, item->error);
    } else {
        bus_reply(&renewal->call,
                  json_pack("{s:i, s:O}", "lease_ms", STORE_LEASE_MS, "held", item->ret_held));
        note_draining(renewal);
        if (now >= jobs->missing_next) {
            jobs->missing_began = now;
            store_missing(jobs->store, item->session, item->held, item->renewed_at, on_missing,
                          jobs);
        }
    }
    json_decref(item->ret_held);
    json_decref(renewal->args);
    free(renewal);
}

static bool is_run(const json_t *run)
{
    const char *job_id = js_str(run, "job_id", NULL);
    int64_t attempt = js_int(run, "attempt", 0);
    return job_id && strlen(job_id) <= STORE_ID_MAX && attempt > 0 && attempt <= INT32_MAX;
}

void jobs_session_renew(void *service, struct bus_call *call, json_t *args)
{
    struct jobs *jobs = jobs_of(service);
    const char *session = session_of(&call, args);
    if (!session)
        return;
    json_t *held = json_object_get(args, "held"), *run;
    size_t i;
    json_array_foreach(held, i, run)
    {
        if (is_run(run) && i < SLOTS_MAX)
            continue;
        bus_reply_error(&call, ERR_INVALID, "held must be runs, at most %d", SLOTS_MAX);
        return;
    }
    struct renewal *renewal = mem_alloc(sizeof *renewal);
    renewal->jobs = jobs;
    renewal->call = call;
    renewal->args = json_incref(args);
    renewal->item = (struct store_renew){.session = session, .held = held, .done = on_renewed};
    if (store_renew(jobs->store, &renewal->item)) {
        jobs_reply_error(&renewal->call, ERR_OVERLOADED);
        json_decref(renewal->args);
        free(renewal);
    }
}

/* --- events --- */

struct appending {
    struct store_append item; /* first: the store gives this back */
    struct request *request;
    size_t index;
};

static void appending_free(struct appending *appending)
{
    for (size_t i = 0; i < appending->item.count; i++)
        free(appending->item.events[i].data);
    free(appending->item.events);
    free(appending);
}

static void set_last(struct request *request, size_t index, enum err error, int64_t last)
{
    struct buf result;
    buf_init(&result, APPENDED_MAX);
    buf_add_char(&result, '{');
    if (error) {
        js_add_member(&result, "error", err_name(error));
        js_add_member(&result, "detail", "`after` is not the last event");
    }
    js_add_member_int(&result, "last", last);
    buf_add_char(&result, '}');
    request_set(request, index, &result);
}

static void on_appended(struct store_append *item)
{
    struct appending *appending = (struct appending *)item;
    struct request *request = appending->request;
    if (!item->error) {
        dispatch_hint(request->jobs, item->job_id);
        set_last(request, appending->index, ERR_OK, item->last);
    } else if (item->error == ERR_CONFLICT) {
        set_last(request, appending->index, ERR_CONFLICT, item->last);
    } else {
        request_set_error(request, appending->index, item->error, NULL);
    }
    appending_free(appending);
}

static bool is_asking(const char *type)
{
    return !strcmp(type, "waiting_approval");
}

/* An event that is too large keeps its short members; long texts are cut with a marker. */
static json_t *shortened(const json_t *data)
{
    json_t *small = json_object(), *value;
    const char *key;
    size_t left = EVENT_MAX_BYTES - 4096;
    json_object_foreach((json_t *)data, key, value)
    {
        AUTOJSON json_t *copy = json_is_string(value) ? js_string_capped(json_string_value(value),
                                                                         json_string_length(value),
                                                                         EVENT_TEXT_MAX, cut_marker)
                                                      : json_incref(value);
        AUTOFREE char *text = js_dump(copy);
        size_t len = strlen(text) + strlen(key) + 8;
        if (len > left)
            continue;
        left -= len;
        json_object_set(small, key, copy);
    }
    json_object_set_new(small, "truncated", json_true());
    return small;
}

/* NULL: it is too large, and must not be shortened. */
static char *event_data(const char *type, const json_t *data)
{
    char *text = js_dump(data);
    size_t len = strlen(text);
    if (len <= EVENT_MAX_BYTES || (is_asking(type) && len <= ASKING_MAX_BYTES))
        return text;
    free(text);
    if (is_asking(type))
        return NULL;
    AUTOJSON json_t *small = shortened(data);
    return js_dump(small);
}

/* Only the store tells how a job ended, and only its user what is approved. */
static bool is_event(const json_t *event)
{
    const char *type = js_str(event, "type", "");
    const json_t *data = json_object_get(event, "data");
    size_t len = strlen(type);
    if (len == 0 || len > EVENT_TYPE_MAX || strspn(type, "abcdefghijklmnopqrstuvwxyz_") != len ||
        !json_is_object(data) || !strcmp(type, "approval"))
        return false;
    if (is_asking(type))
        return jobs_asks_approval(data);
    return strcmp(type, "status") != 0 || !strcmp(js_str(data, "status", ""), "running");
}

static bool fill_events(struct store_append *append, const json_t *events)
{
    append->events = mem_alloc(json_array_size(events) * sizeof *append->events);
    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *event = json_array_get(events, i);
        if (!is_event(event))
            return false;
        const char *type = js_str(event, "type", "");
        char *data = event_data(type, json_object_get(event, "data"));
        if (!data)
            return false;
        append->events[append->count++] = (struct store_event){type, data};
    }
    return true;
}

static bool must_be_kept(const json_t *events)
{
    for (size_t i = 0; i < json_array_size(events); i++) {
        const char *type = js_str(json_array_get(events, i), "type", "");
        if (!strcmp(type, "tool_call") || is_asking(type))
            return true;
    }
    return false;
}

/* The last numbers are an approval's and the terminal event's. Behind them nothing is kept, and the
 * run goes on; but no tool is called without a record under the fence, and nobody asked. */
static void refuse_append(struct request *request, size_t index, const json_t *events,
                          int64_t after)
{
    if (must_be_kept(events))
        request_set_error(request, index, ERR_INVALID, "the job has too many events");
    else
        set_last(request, index, ERR_OK, after);
}

static void append_one(struct request *request, size_t index, const json_t *item)
{
    const json_t *events = json_object_get(item, "events");
    size_t count = json_array_size(events);
    int64_t after = js_int(item, "after", -1);
    if (!is_run(item) || after < 1 || count == 0 || count > EVENTS_OF_APPEND_MAX) {
        request_set_error(request, index, ERR_INVALID, "not an append");
        return;
    }
    if (after + (int64_t)count >= STORE_EVENTS_MAX - 1) {
        refuse_append(request, index, events, after);
        return;
    }
    struct appending *appending = mem_alloc(sizeof *appending);
    appending->request = request;
    appending->index = index;
    appending->item.job_id = js_str(item, "job_id", "");
    appending->item.attempt = js_int(item, "attempt", 0);
    appending->item.after = after;
    appending->item.done = on_appended;
    enum err error = fill_events(&appending->item, events) ? ERR_OK : ERR_INVALID;
    if (!error)
        error = store_append(request->jobs->store, &appending->item);
    if (error) {
        appending_free(appending);
        request_set_error(request, index, error, NULL);
    }
}

static struct request *items_request(struct jobs *jobs, struct bus_call *call, json_t *args)
{
    size_t count = json_array_size(json_object_get(args, "items"));
    if (count > 0 && count <= JOBS_ITEMS_MAX)
        return request_new(jobs, call, args, count);
    bus_reply_error(&call, ERR_INVALID, "items must be 1 to %d", JOBS_ITEMS_MAX);
    return NULL;
}

void jobs_append(void *service, struct bus_call *call, json_t *args)
{
    struct request *request = items_request(jobs_of(service), call, args);
    json_t *items = json_object_get(args, "items");
    for (size_t i = 0; request && i < json_array_size(items); i++)
        append_one(request, i, json_array_get(items, i));
}

/* --- the end of attempts --- */

struct finishing {
    struct store_finish item; /* first: the store gives this back */
    struct request *request;
    size_t index;
    char *result, *error_message, *token_usage, *env_names;
    const char *request_id; /* the worker says it when it logs each step too */
};

static void finishing_free(struct finishing *finishing)
{
    free(finishing->result);
    free(finishing->error_message);
    free(finishing->token_usage);
    free(finishing->env_names);
    free(finishing);
}

static void count_fate(const char *fate)
{
    static struct {
        const char *name, *labels;
        struct metric *metric;
    } fates[] = {
        {"completed", "end=\"completed\""}, {"failed", "end=\"failed\""},
        {"retry", "end=\"retry\""},         {"waiting", "end=\"waiting\""},
        {"released", "end=\"released\""},
    };
    size_t i = 0;
    while (i < sizeof(fates) / sizeof(*fates) - 1 && strcmp(fates[i].name, fate) != 0)
        i++;
    if (!fates[i].metric)
        fates[i].metric =
            metric_counter("mcpbus_jobs_attempts_total", fates[i].labels, "Attempts by their end.");
    metric_add(fates[i].metric, 1);
}

static bool end_crowded(struct finishing *finishing);

static void on_finished(struct store_finish *item)
{
    struct finishing *finishing = (struct finishing *)item;
    struct request *request = finishing->request;
    bool crowded = !item->error && !strcmp(item->fate, "crowded");
    if (crowded && end_crowded(finishing))
        return;
    if (crowded)
        item->error = ERR_OVERLOADED;
    if (!item->error && !strcmp(item->fate, "unasked"))
        item->error = ERR_INVALID;
    if (item->error) {
        /* It may have ended by the same call, sent again after a lost connection. */
        dispatch_hint(request->jobs, item->job_id);
        request_set_error(request, finishing->index, item->error, NULL);
    } else {
        count_fate(item->fate);
        log_debug("job_attempt_ended", LOG_S("job_id", item->job_id),
                  LOG_S("request_id", finishing->request_id), LOG_I("attempt", item->attempt),
                  LOG_S("fate", item->fate));
        dispatch_hint(request->jobs, item->job_id);
        if (!strcmp(item->fate, "released"))
            dispatch_queued(request->jobs, item->job_id, item->user_id);
        request_set(request, finishing->index, NULL);
    }
    finishing_free(finishing);
}

/* Another job of the user's would wait for approval, and too many do: it ends here. */
static bool end_crowded(struct finishing *finishing)
{
    struct store_finish *item = &finishing->item;
    free(finishing->error_message);
    finishing->error_message = mem_printf(
        "The run would have to wait for approval, as %d of your jobs do already: the most that may.",
        STORE_PARKED_MAX);
    item->outcome = "failed";
    item->error_message = finishing->error_message;
    item->fate[0] = '\0';
    return store_finish(finishing->request->jobs->store, item) == ERR_OK;
}

static char *text_capped(const json_t *item, const char *key, size_t max)
{
    const json_t *value = json_object_get(item, key);
    if (!json_is_string(value))
        return NULL;
    if (json_string_length(value) <= max)
        return mem_strdup(json_string_value(value));
    AUTOJSON json_t *capped =
        js_string_capped(json_string_value(value), json_string_length(value), max, cut_marker);
    return mem_strdup(json_string_value(capped));
}

static char *small_json(const json_t *item, const char *key, bool wants_array)
{
    const json_t *value = json_object_get(item, key);
    if (wants_array ? !json_is_array(value) : !json_is_object(value))
        return NULL;
    char *text = js_dump(value);
    if (strlen(text) <= SMALL_JSON_MAX)
        return text;
    free(text);
    return NULL;
}

static bool is_waiting(const char *outcome)
{
    return !strcmp(outcome, "waiting");
}

static bool is_outcome(const char *outcome)
{
    return !strcmp(outcome, "completed") || !strcmp(outcome, "failed") ||
           !strcmp(outcome, "retry") || !strcmp(outcome, "released") || is_waiting(outcome);
}

static void finish_one(struct request *request, size_t index, const json_t *item)
{
    const char *outcome = js_str(item, "outcome", "");
    if (!is_run(item) || !is_outcome(outcome)) {
        request_set_error(request, index, ERR_INVALID, "not an end of an attempt");
        return;
    }
    struct finishing *finishing = mem_alloc(sizeof *finishing);
    finishing->request = request;
    finishing->index = index;
    finishing->request_id = js_str(item, "request_id", "");
    finishing->result = text_capped(item, "result", RESULT_MAX_BYTES);
    finishing->error_message = text_capped(item, "error_message", ERROR_MAX_BYTES);
    finishing->token_usage = small_json(item, "token_usage", false);
    finishing->env_names = small_json(item, "env_names", true);
    finishing->item = (struct store_finish){
        .job_id = js_str(item, "job_id", ""),
        .attempt = js_int(item, "attempt", 0),
        .outcome = outcome,
        .result = finishing->result,
        .error_message = finishing->error_message,
        .token_usage = finishing->token_usage,
        .env_names = finishing->env_names,
        .used = stats_used_of(finishing->token_usage ? json_object_get(item, "token_usage") : NULL),
        .done = on_finished,
    };
    enum err error = is_waiting(outcome) ? store_park(request->jobs->store, &finishing->item)
                                         : store_finish(request->jobs->store, &finishing->item);
    if (error) {
        finishing_free(finishing);
        request_set_error(request, index, error, NULL);
    }
}

void jobs_finish(void *service, struct bus_call *call, json_t *args)
{
    struct jobs *jobs = jobs_of(service);
    const char *session = session_of(&call, args);
    if (!session)
        return;
    const json_t *offer = json_object_get(args, "offer");
    struct request *request = items_request(jobs, call, args);
    json_t *items = json_object_get(args, "items");
    for (size_t i = 0; request && i < json_array_size(items); i++)
        finish_one(request, i, json_array_get(items, i));
    if (json_is_object(offer))
        take_offer(jobs, session, offer);
}
