#include <string.h>

#include "libcommon/js_write.h"
#include "libcommon/mem.h"
#include "services/jobs/jobs.h"

enum { DEADLINE_PERIOD_MS = 100, DEADLINE_MARGIN_MS = 150, RESULT_MAX = 4096 };

static const char *explain(enum err error)
{
    switch (error) {
    case ERR_TIMEOUT:
    case ERR_PEER_LOST:
    case ERR_OVERLOADED:
        return "the database does not answer, try again later";
    case ERR_INTERNAL:
        return "the database refused a statement";
    default:
        return err_text(error);
    }
}

void jobs_reply_error(struct bus_call **call_p, enum err error)
{
    bool busy = error == ERR_TIMEOUT || error == ERR_PEER_LOST || error == ERR_OVERLOADED;
    if (busy)
        bus_reply_busy(call_p, error, JOBS_RETRY_MS, explain(error));
    else
        bus_reply_error(call_p, error, "%s", explain(error));
}

static void unlink_request(struct request *request)
{
    if (!request->prev_next)
        return;
    *request->prev_next = request->next;
    if (request->next)
        request->next->prev_next = request->prev_next;
    request->prev_next = NULL;
}

struct request *request_new(struct jobs *jobs, struct bus_call *call, json_t *args, size_t count)
{
    struct request *request = mem_alloc(sizeof *request + count * sizeof request->results[0]);
    request->jobs = jobs;
    request->call = call;
    request->args = json_incref(args);
    request->count = request->left = count;
    request->next = jobs->requests;
    request->prev_next = &jobs->requests;
    if (request->next)
        request->next->prev_next = &request->next;
    jobs->requests = request;
    return request;
}

static void reply(struct request *request)
{
    struct buf text;
    buf_init(&text, PROTO_BODY_MAX_BYTES);
    buf_add_str(&text, "{\"results\":[");
    for (size_t i = 0; i < request->count; i++) {
        const struct request_result *result = &request->results[i];
        js_add_item(&text, result->text ? result->text : "{}", result->text ? result->len : 2);
    }
    buf_add_str(&text, "]}");
    if (buf_check(&text))
        bus_reply_error(&request->call, ERR_TOO_LARGE, "the results are too large");
    else
        bus_reply_text(&request->call, &text);
    buf_fini(&text);
}

static void request_free(struct request *request)
{
    for (size_t i = 0; i < request->count; i++)
        free(request->results[i].text);
    json_decref(request->args);
    free(request);
}

void request_set(struct request *request, size_t index, struct buf *result)
{
    if (result) {
        request->results[index].len = result->len;
        request->results[index].text = buf_steal(result);
    }
    if (--request->left)
        return;
    unlink_request(request);
    if (request->call)
        reply(request);
    request_free(request);
}

void request_set_error(struct request *request, size_t index, enum err error, const char *detail)
{
    struct buf result;
    buf_init(&result, RESULT_MAX);
    buf_add_char(&result, '{');
    js_add_member(&result, "error", err_name(error));
    js_add_member(&result, "detail", detail ? detail : explain(error));
    if (error == ERR_OVERLOADED || error == ERR_LIMITED || error == ERR_TIMEOUT ||
        error == ERR_PEER_LOST)
        js_add_member_int(&result, "retry_after_ms", JOBS_RETRY_MS);
    buf_add_char(&result, '}');
    request_set(request, index, &result);
}

/* The items stay with the store: what they did or will do stands, and a repeated call finds it. */
static void on_deadlines(void *arg)
{
    struct jobs *jobs = arg;
    for (struct request *request = jobs->requests; request; request = request->next)
        if (request->call && bus_call_time_left(request->call) <= DEADLINE_MARGIN_MS)
            jobs_reply_error(&request->call, ERR_TIMEOUT);
    loop_timer_start(jobs->deadlines, DEADLINE_PERIOD_MS);
}

void requests_init(struct jobs *jobs)
{
    jobs->deadlines = loop_timer_new(jobs->loop, on_deadlines, jobs);
    loop_timer_start(jobs->deadlines, DEADLINE_PERIOD_MS);
}

void requests_fini(struct jobs *jobs)
{
    loop_timer_destroy(&jobs->deadlines);
    struct request *next;
    for (struct request *request = jobs->requests; request; request = next) {
        next = request->next;
        if (request->call)
            jobs_reply_error(&request->call, ERR_DRAINING);
        request_free(request); /* the store, and with it all that could have set it, has gone */
    }
    jobs->requests = NULL;
}

bool jobs_is_id(const char *text)
{
    size_t len = strlen(text);
    return len >= 1 && len <= STORE_ID_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len;
}
