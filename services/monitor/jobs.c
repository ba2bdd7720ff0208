/* Jobs of all users: the list, one with its events, statistics, errors. */
#include <string.h>

#include "libcommon/mem.h"
#include "services/monitor/monitor.h"
#include "services/monitor/shapes.h"

enum {
    LIST_DEFAULT = 50,
    LIST_MAX = 200,
    TEXT_MAX = 512,
    EVENTS_MAX = 500,
    SPAN_DEFAULT_S = 900,
    SPAN_MAX_S = 30 * 24 * 3600,
    SPAN_FINE_S = 2 * 3600, /* beyond, a step is ten minutes */
    FINE_S = 10,
    COARSE_S = 600,
    ERRORS_FRESH_MS = 5000,
};

static void pass_on(struct call *call)
{
    if (!call_told_failed(call, 0))
        call_json(call, 200, json_incref(call_told(call, 0)->result));
}

void route_stats(struct call *call)
{
    int64_t span;
    if (!query_int(call, "span", FINE_S, SPAN_MAX_S, SPAN_DEFAULT_S, &span))
        return;
    call_ask(call, ask_stats(span, span <= SPAN_FINE_S ? FINE_S : COARSE_S));
    call_then(call, pass_on);
}

void route_errors(struct call *call)
{
    call_ask(call, (struct question){.method = "jobs.errors",
                                     .args = json_object(),
                                     .timeout_ms = READ_TIMEOUT_MS,
                                     .fresh_ms = ERRORS_FRESH_MS});
    call_then(call, pass_on);
}

/* The newest ones are shown beside whether all is well: that must not wait for them. */
static void ask_recent(struct call *call, json_t *args)
{
    bool searches = json_object_get(args, "text") || json_object_get(args, "status");
    call_ask(call, (struct question){.method = "jobs.recent",
                                     .args = args,
                                     .timeout_ms = searches ? READ_TIMEOUT_MS : LOOK_TIMEOUT_MS,
                                     .fresh_ms = 1000});
    call_then(call, pass_on);
}

/* The user is named by an address: whose is it? */
static void on_user(struct call *call)
{
    if (call_told_failed(call, 0))
        return;
    const json_t *users = json_object_get(call_told(call, 0)->result, "users");
    size_t count = json_array_size(users);
    if (count > 1) {
        call_detail(call, 409, "several users have this address: name one by the user's id");
        return;
    }
    if (!count) {
        call_json(
            call, 200,
            json_pack("{s:[], s:s}", "jobs", "note", "nobody has signed in with this address"));
        return;
    }
    json_t *args = call->kept;
    call->kept = NULL;
    json_object_set(args, "user_id", json_object_get(json_array_get(users, 0), "user_id"));
    call_forget_asks(call);
    ask_recent(call, args);
}

void route_jobs(struct call *call)
{
    const char *before, *status, *user, *text;
    int64_t limit;
    if (!query_int(call, "limit", 1, LIST_MAX, LIST_DEFAULT, &limit) ||
        !query_text(call, "before", ID_MAX, &before) || !query_status(call, "status", &status) ||
        !query_text(call, "user", ID_MAX, &user) || !query_text(call, "q", TEXT_MAX, &text))
        return;
    json_t *args = json_pack("{s:I, s:s*, s:s*, s:s*}", "limit", limit, "before", before, "status",
                             status, "text", text);
    if (!user || !strchr(user, '@')) {
        if (user)
            json_object_set_new(args, "user_id", json_string(user));
        ask_recent(call, args);
        return;
    }
    call->kept = args;
    call_ask(call, (struct question){.method = "auth.find",
                                     .args = json_pack("{s:s}", "email", user),
                                     .timeout_ms = LOOK_TIMEOUT_MS,
                                     .fresh_ms = ERRORS_FRESH_MS});
    call_then(call, on_user);
}

static json_t *where_of(const json_t *found)
{
    static const char *const names[] = {"session", "instance", "host", "attempt"};
    json_t *where = json_object();
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        json_t *value = json_object_get(found, names[i]);
        json_object_set(where, names[i], value ? value : json_null());
    }
    return where;
}

/* When an event happened stands in its data. */
static json_t *with_times(const json_t *events)
{
    json_t *list = json_array(), *event;
    size_t i;
    json_array_foreach(events, i, event)
    {
        json_t *one = json_copy(event);
        json_object_set(one, "timestamp",
                        json_object_get(json_object_get(event, "data"), "timestamp"));
        json_array_append_new(list, one);
    }
    return list;
}

static void show_job(struct call *call)
{
    if (call_told_failed(call, 0) || call_told_failed(call, 1))
        return;
    AUTOJSON json_t *job = json_copy(call_told(call, 0)->result);
    const json_t *answer = call_told(call, 1)->result;
    json_t *events = json_object_get(answer, "events");
    const json_t *newest = json_array_get(events, json_array_size(events) - 1);
    int64_t last = js_int(answer, "last", 0);
    json_object_set(job, "attempt", json_object_get(call->kept, "attempt"));
    json_object_set(job, "options", json_object_get(call->kept, "options"));
    call_json(call, 200,
              json_pack("{s:O, s:o, s:o, s:b}", "job", job, "where", where_of(call->kept), "events",
                        with_times(events), "more", newest && js_int(newest, "seq", 0) < last));
}

static void on_found(struct call *call)
{
    int64_t after = call->until;
    if (call_told_failed(call, 0))
        return;
    call->kept = json_incref(call_told(call, 0)->result);
    call_forget_asks(call);
    call_ask(call, ask_get(call->kept));
    call_ask(call, ask_events(call->kept, after, EVENTS_MAX));
    call_then(call, show_job);
}

void route_job(struct call *call)
{
    if (!query_int(call, "after", 0, INT32_MAX, 0, &call->until))
        return;
    call_ask(call, ask_find(call->param));
    call_then(call, on_found);
}
