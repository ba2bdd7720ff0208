#include "services/gateway/gateway.h"

#include <stdio.h>
#include <string.h>

enum {
    OFFSET_MAX = 1000000000, /* as jobs takes it */
    REVOKED_EVERYWHERE_MS = 1000,
    CALLS_MAX = 128,
    CALL_ID_MAX = 200,
    REASON_MAX = 2000,
};

void route_result(struct call *call)
{
    int64_t wait_ms = 0;
    if (validate_query_seconds(call, "wait", WAIT_MAX_S, &wait_ms))
        wait_for_end(call, wait_ms);
}

static void on_list(struct call *call, const struct bus_answer *answer)
{
    if (call_failed(call, answer))
        return;
    json_t *body = json_object();
    static const char *const names[] = {"jobs", "total", "limit", "offset"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        json_object_set(body, names[i], json_object_get(answer->result, names[i]));
    call_json(call, 200, body);
}

static bool is_status(const char *text)
{
    static const char *const names[] = {"pending", "running", "completed", "failed", "cancelled"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(text, names[i]) == 0)
            return true;
    return false;
}

static bool check_conversation(struct call *call, const char *conversation, const char *status)
{
    static const char both[] = "status and conversation_id don't go together";
    char msg[64];
    if (status) {
        validation_error(call, "value_error", json_pack("[s, s]", "query", "conversation_id"),
                         "Value error, status and conversation_id don't go together", NULL,
                         json_pack("{s:s}", "error", both));
        return false;
    }
    if (*conversation && strlen(conversation) <= (size_t)4 * CONVERSATION_MAX)
        return true;
    snprintf(msg, sizeof(msg), "String should have 1 to %d characters", CONVERSATION_MAX);
    validation_error(call, *conversation ? "string_too_long" : "string_too_short",
                     json_pack("[s, s]", "query", "conversation_id"), msg, NULL, NULL);
    return false;
}

void route_jobs(struct call *call)
{
    int64_t limit = 0, offset = 0;
    const char *status = http_request_query(call_request(call), "status");
    const char *conversation = http_request_query(call_request(call), "conversation_id");
    if (!validate_query_int(call, "limit", 1, 100, 20, &limit) ||
        !validate_query_int(call, "offset", 0, OFFSET_MAX, 0, &offset))
        return;
    if (status && !is_status(status)) {
        AUTOJSON json_t *input = json_string(status);
        validation_error(
            call, "enum", json_pack("[s, s]", "query", "status"),
            "Input should be 'pending', 'running', 'completed', 'failed' or 'cancelled'", input,
            json_pack("{s:s}", "expected",
                      "'pending', 'running', 'completed', 'failed' or 'cancelled'"));
        return;
    }
    if (conversation && !check_conversation(call, conversation, status))
        return;
    json_t *args = json_pack("{s:s, s:I, s:I}", "user_id", call->user_id, "limit",
                             (json_int_t)limit, "offset", (json_int_t)offset);
    if (status)
        json_object_set_new(args, "status", json_string(status));
    if (conversation)
        json_object_set_new(args, "conversation_id", json_string(conversation));
    call_bus(call, "jobs.list", args, CALL_TIMEOUT_MS, on_list);
}

static void on_cancelled(struct call *call, const struct bus_answer *answer)
{
    if (answer->error == ERR_NOT_FOUND)
        call_detail(call, 404, "Job not found");
    else if (!call_failed(call, answer))
        call_json(call, 200, job_body(answer->result));
}

void route_cancel(struct call *call)
{
    call_bus(call, "jobs.cancel",
             json_pack("{s:s, s:s}", "job_id", call->param, "user_id", call->user_id),
             CALL_TIMEOUT_MS, on_cancelled);
}

static void on_decided(struct call *call, const struct bus_answer *answer)
{
    if (answer->error == ERR_NOT_FOUND)
        call_detail(call, 404, "Job not found");
    else if (answer->error == ERR_CONFLICT)
        call_detail(call, 409, "The job does not wait for approval");
    else if (answer->error == ERR_INVALID)
        validation_error(call, "value_error", json_pack("[s, s]", "body", "call_ids"),
                         "Value error, the job does not wait with each of these calls", NULL,
                         json_pack("{s:s}", "error", "no such call"));
    else if (!call_failed(call, answer))
        call_json(call, 200, job_body(answer->result));
}

static void decide(struct call *call, const char *decision, const char *name, json_t *value)
{
    json_t *args = json_pack("{s:s, s:s, s:s}", "job_id", call->param, "user_id", call->user_id,
                             "decision", decision);
    if (value)
        json_object_set_new(args, name, value);
    call_bus(call, "jobs.decide", args, CALL_TIMEOUT_MS, on_decided);
}

/* The body, which may be left out. False: it was answered. */
static bool optional_body(struct call *call, json_t **ret_body)
{
    size_t len;
    http_request_body(call_request(call), &len);
    *ret_body = len ? validate_body(call) : NULL;
    return !len || *ret_body;
}

void route_approve(struct call *call)
{
    AUTOJSON json_t *body = NULL;
    json_t *ids;
    if (optional_body(call, &body) &&
        validate_texts(call, body, "call_ids", 1, CALLS_MAX, CALL_ID_MAX, &ids))
        decide(call, "approve", "call_ids", json_incref(ids));
}

void route_deny(struct call *call)
{
    AUTOJSON json_t *body = NULL;
    const char *reason;
    if (optional_body(call, &body) &&
        validate_text(call, body, "reason", REASON_MAX, false, &reason))
        decide(call, "deny", "reason", reason ? json_string(reason) : NULL);
}

static json_t *user_args(const struct call *call)
{
    return json_pack("{s:s}", "user_id", call->user_id);
}

static void on_forgotten(struct call *call, const struct bus_answer *answer)
{
    if (!call_failed(call, answer))
        call_json(call, 200,
                  json_pack("{s:s}", "message",
                            "Your access to Google, session, jobs and events have been deleted"));
}

static void forget_again(void *arg)
{
    struct call *call = arg;
    call_bus(call, "jobs.forget", user_args(call), CALL_TIMEOUT_MS, on_forgotten);
}

static void stop_waiting(void *timer)
{
    loop_timer_destroy((struct loop_timer **)&timer);
}

/* Again, for what was submitted in between: by then every gateway knows that no token is good. */
static void on_access_forgotten(struct call *call, const struct bus_answer *answer)
{
    if (call_failed(call, answer))
        return;
    struct loop_timer *timer = loop_timer_new(call->gateway->loop, forget_again, call);
    call->extra = timer;
    call->free_extra = stop_waiting;
    loop_timer_start(timer, REVOKED_EVERYWHERE_MS);
}

/* Jobs first: once auth has forgotten the user, the token can't ask for the rest again. */
static void on_jobs_forgotten(struct call *call, const struct bus_answer *answer)
{
    if (!call_failed(call, answer))
        call_bus(call, "auth.forget", client_add(call, user_args(call)), CALL_TIMEOUT_MS,
                 on_access_forgotten);
}

void route_forget(struct call *call)
{
    call_bus(call, "jobs.forget", user_args(call), CALL_TIMEOUT_MS, on_jobs_forgotten);
}
