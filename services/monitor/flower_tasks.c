/* Flower's calls about tasks, which are jobs here. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libcommon/mem.h"
#include "services/monitor/monitor.h"
#include "services/monitor/operate.h"
#include "services/monitor/shapes.h"

enum {
    LIST_DEFAULT = 100,
    LIST_MAX = 200,
    TEXT_MAX = 512,
    WAIT_MAX_S = 20,
    WAIT_STEP_MS = 300,
    FIRST_EVENTS = 4
};

/* "%Y-%m-%d %H:%M", in UTC; infinite when absent. */
static bool read_minute(struct call *call, const char *name, double def, double *ret_seconds)
{
    const char *text = http_request_query(call_request(call), name);
    struct tm utc = {0};
    *ret_seconds = def;
    if (!text || !*text)
        return true;
    const char *rest = strptime(text, "%Y-%m-%d %H:%M", &utc);
    if (!rest || *rest) {
        AUTOFREE char *detail = mem_printf("%s takes YYYY-MM-DD HH:MM, in UTC", name);
        call_detail(call, 400, detail);
        return false;
    }
    *ret_seconds = (double)timegm(&utc);
    return true;
}

struct listing {
    int64_t limit, offset;
    double from, until;
    const char *worker, *name, *sort;
};

static bool read_listing(struct call *call, struct listing *ret_listing)
{
    static const char *const keys[] = {"name", "state", "received", "started"};
    struct listing *l = ret_listing;
    if (!query_int(call, "limit", 1, LIST_MAX, LIST_DEFAULT, &l->limit) ||
        !query_int(call, "offset", 0, LIST_MAX - 1, 0, &l->offset) ||
        !read_minute(call, "received_start", -INFINITY, &l->from) ||
        !read_minute(call, "received_end", INFINITY, &l->until) ||
        !query_text(call, "workername", ID_MAX, &l->worker) ||
        !query_text(call, "taskname", ID_MAX, &l->name) ||
        !query_text(call, "sort_by", ID_MAX, &l->sort))
        return false;
    for (size_t i = 0; l->sort && i < sizeof(keys) / sizeof(*keys); i++)
        if (strcmp(l->sort + (*l->sort == '-'), keys[i]) == 0)
            return true;
    if (!l->sort)
        return true;
    call_detail(call, 400, "sort_by takes name, state, received or started, with - before it too");
    return false;
}

static bool is_any(const char *text)
{
    return !text || strcmp(text, "All") == 0;
}

static bool is_wanted(const struct listing *listing, const json_t *task)
{
    double received = json_number_value(json_object_get(task, "received"));
    return (is_any(listing->name) || strcmp(listing->name, SHAPE_TASK) == 0) &&
           (is_any(listing->worker) || strcmp(listing->worker, js_str(task, "worker", "")) == 0) &&
           received > listing->from && received < listing->until;
}

static int compare(const json_t *a, const json_t *b, const char *key)
{
    const json_t *one = json_object_get(a, key), *two = json_object_get(b, key);
    if (json_is_string(one) && json_is_string(two))
        return strcmp(json_string_value(one), json_string_value(two));
    double x = json_number_value(one), y = json_number_value(two);
    return x < y ? -1 : x > y;
}

/* At most LIST_MAX. */
static void sort(json_t **tasks, size_t count, const char *by)
{
    int sign = *by == '-' ? -1 : 1;
    by += *by == '-';
    for (size_t i = 1; i < count; i++)
        for (size_t n = i; n > 0 && sign * compare(tasks[n - 1], tasks[n], by) > 0; n--) {
            json_t *other = tasks[n];
            tasks[n] = tasks[n - 1];
            tasks[n - 1] = other;
        }
}

static void show_tasks(struct call *call)
{
    struct listing listing;
    json_t *tasks[LIST_MAX], *all = json_object(), *job;
    size_t i, count = 0;
    if (call_told_failed(call, 0) || !read_listing(call, &listing)) {
        json_decref(all);
        return;
    }
    json_array_foreach(json_object_get(call_told(call, 0)->result, "jobs"), i, job)
    {
        json_t *task = count < LIST_MAX ? shape_task(job, NULL) : NULL;
        if (task && is_wanted(&listing, task))
            tasks[count++] = task;
        else
            json_decref(task);
    }
    if (listing.sort)
        sort(tasks, count, listing.sort);
    for (i = 0; i < count; i++) {
        if ((int64_t)i >= listing.offset && (int64_t)i < listing.offset + listing.limit)
            json_object_set(all, js_str(tasks[i], "uuid", ""), tasks[i]);
        json_decref(tasks[i]);
    }
    call_json(call, 200, all);
}

void route_tasks(struct call *call)
{
    struct listing listing;
    const char *status, *text;
    if (!read_listing(call, &listing) || !query_status(call, "state", &status) ||
        !query_text(call, "search", TEXT_MAX, &text))
        return;
    call_ask(call, (struct question){.method = "jobs.recent",
                                     .args = json_pack("{s:i, s:s*, s:s*}", "limit", LIST_MAX,
                                                       "status", status, "text", text),
                                     .timeout_ms = READ_TIMEOUT_MS,
                                     .fresh_ms = 1000});
    call_then(call, show_tasks);
}

static void unknown_task(struct call *call)
{
    AUTOFREE char *detail = mem_printf("Unknown task '%s'", call->param);
    call_detail(call, 404, detail);
}

static void read_job(struct call *call, bool with_events, call_fn *then)
{
    if (call_told(call, 0)->error == ERR_NOT_FOUND) {
        unknown_task(call);
        return;
    }
    if (call_told_failed(call, 0))
        return;
    json_decref(call->kept);
    call->kept = json_incref(call_told(call, 0)->result);
    call_forget_asks(call);
    call_ask(call, ask_get(call->kept));
    if (with_events)
        call_ask(call, ask_events(call->kept, 0, FIRST_EVENTS));
    call_then(call, then);
}

/* When it first ran stands in its events alone. */
static void add_start(json_t *job, const json_t *events)
{
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event)
    {
        const json_t *data = json_object_get(event, "data");
        if (strcmp(js_str(event, "type", ""), "status") == 0 &&
            strcmp(js_str(data, "status", ""), "running") == 0) {
            json_object_set(job, "started_at", json_object_get(data, "timestamp"));
            return;
        }
    }
}

static void show_info(struct call *call)
{
    if (call_told_failed(call, 0))
        return;
    AUTOJSON json_t *job = json_copy(call_told(call, 0)->result);
    add_start(job, json_object_get(call_told(call, 1)->result, "events"));
    call_json(call, 200, shape_task(job, call->kept));
}

static void info_found(struct call *call)
{
    read_job(call, true, show_info);
}

void route_task_info(struct call *call)
{
    call_ask(call, ask_find(call->param));
    call_then(call, info_found);
}

static void result_asked(struct call *call);

static void show_result(struct call *call)
{
    if (call_told_failed(call, 0))
        return;
    const json_t *job = call_told(call, 0)->result;
    const char *status = js_str(job, "status", "pending");
    if (!shape_has_ended(status) && loop_now(call->monitor->loop) < call->until) {
        call_later(call, WAIT_STEP_MS, result_asked);
        return;
    }
    bool failed = strcmp(status, "failed") == 0;
    json_t *body = json_pack("{s:s, s:s}", "task-id", call->param, "state",
                             shape_state(status, js_int(call->kept, "attempt", 0)));
    if (shape_has_ended(status))
        json_object_set(body, "result", json_object_get(job, failed ? "error_message" : "result"));
    if (failed)
        json_object_set(body, "traceback", json_object_get(job, "error_message"));
    call_json(call, 200, body);
}

static void result_found(struct call *call)
{
    read_job(call, false, show_result);
}

static void result_asked(struct call *call)
{
    call_ask(call, ask_find(call->param));
    call_then(call, result_found);
}

void route_task_result(struct call *call)
{
    const char *text = http_request_query(call_request(call), "timeout");
    char *end = NULL;
    double wait = text && *text ? strtod(text, &end) : 0;
    if ((end && *end) || !(wait >= 0)) {
        call_detail(call, 400, "timeout takes seconds");
        return;
    }
    call->until =
        loop_now(call->monitor->loop) + (int64_t)(1000 * (wait < WAIT_MAX_S ? wait : WAIT_MAX_S));
    result_asked(call);
}

static void say(struct call *call, const char *done)
{
    AUTOFREE char *message = mem_printf("%s '%s'", done, call->param);
    call_json(call, 200, json_pack("{s:s}", "message", message));
}

static void show_revoked(struct call *call, const json_t *job)
{
    (void)job;
    say(call, "Revoked");
}

static void show_aborted(struct call *call, const json_t *job)
{
    (void)job;
    say(call, "Aborted");
}

void route_task_revoke(struct call *call)
{
    operate_cancel(call, show_revoked);
}

void route_task_abort(struct call *call)
{
    operate_cancel(call, show_aborted);
}

void route_task_types(struct call *call)
{
    call_json(call, 200, json_pack("{s:[s]}", "task-types", SHAPE_TASK));
}
