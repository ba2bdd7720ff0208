/* What operators do: cancel and retry jobs, drain and resume workers. Each is logged with who did
 * it before it is sent, for who asked may leave before the answer comes. */
#include <stdio.h>
#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "services/monitor/monitor.h"
#include "services/monitor/operate.h"

static void log_act(const struct call *call, const char *event, const char *what,
                    const char *new_job_id)
{
    LOG_AT(LOG_LEVEL_INFO, event, LOG_S("by", call->who.name), LOG_S("how", call->who.how),
           LOG_S("request_id", http_request_trace(call_request(call))), LOG_S(what, call->param),
           LOG_S(new_job_id ? "new_job_id" : NULL, new_job_id));
}

/* Was it refused? Then it is said, and answered. */
static bool failed(struct call *call, enum err error, const char *detail, int64_t retry_after_ms)
{
    if (!error)
        return false;
    log_warning("operator_refused", LOG_S("by", call->who.name),
                LOG_S("request_id", http_request_trace(call_request(call))),
                LOG_S("error", err_name(error)), LOG_S("why", detail));
    call_error(call, error, detail, retry_after_ms);
    return true;
}

static json_t *of_job(const json_t *found)
{
    return json_pack("{s:s, s:s}", "job_id", js_str(found, "job_id", ""), "user_id",
                     js_str(found, "user_id", ""));
}

static void on_cancelled(struct call *call, const struct bus_answer *answer)
{
    if (!failed(call, answer->error, answer->detail, answer->retry_after_ms))
        call->answer(call, answer->result);
}

static void cancel_found(struct call *call)
{
    if (call_told_failed(call, 0))
        return;
    log_act(call, "operator_cancel", "job_id", NULL);
    call_act(call, "jobs.cancel", of_job(call_told(call, 0)->result), on_cancelled);
}

void operate_cancel(struct call *call, call_result_fn *answer)
{
    call->answer = answer;
    call_ask(call, ask_find(call->param));
    call_then(call, cancel_found);
}

static void show_cancelled(struct call *call, const json_t *job)
{
    call_json(call, 200, json_incref((json_t *)job));
}

void route_cancel(struct call *call)
{
    operate_cancel(call, show_cancelled);
}

static void on_submitted(struct call *call, const struct bus_answer *answer)
{
    const json_t *one = json_array_get(json_object_get(answer->result, "results"), 0);
    const char *id = js_str(one, "job_id", NULL);
    if (failed(call, answer->error, answer->detail, answer->retry_after_ms))
        return;
    if (id)
        call_json(call, 200, json_pack("{s:s, s:s}", "job_id", id, "retry_of", call->param));
    else
        (void)failed(call, err_from_name(js_str(one, "error", "INTERNAL")),
                     js_str(one, "detail", "the job was refused"),
                     js_int(one, "retry_after_ms", 0));
}

/* A new job with what the old one was asked, as `mcpbus jobs retry` makes it. */
static void submit_again(struct call *call)
{
    char id[CRYPTO_UUID_SIZE];
    if (call_told_failed(call, 0))
        return;
    const json_t *old = call_told(call, 0)->result;
    json_t *options = json_object_get(call->kept, "options");
    crypto_uuid7(id);
    json_t *item = json_pack("{s:s, s:s, s:s, s:s*, s:s}", "job_id", id, "user_id",
                             js_str(old, "user_id", ""), "message", js_str(old, "message", ""),
                             "conversation_id", js_str(call->kept, "conversation_id", NULL),
                             "request_id", http_request_trace(call_request(call)));
    if (json_is_object(options))
        json_object_set(item, "options", options);
    log_act(call, "operator_retry", "job_id", id);
    call_act(call, "jobs.submit", json_pack("{s:[o]}", "items", item), on_submitted);
}

static void read_old(struct call *call)
{
    if (call_told_failed(call, 0))
        return;
    call->kept = json_incref(call_told(call, 0)->result);
    call_forget_asks(call);
    call_ask(call, ask_get(call->kept));
    call_then(call, submit_again);
}

void route_retry(struct call *call)
{
    call_ask(call, ask_find(call->param));
    call_then(call, read_old);
}

static bool is_drain(const struct call *call)
{
    return strstr(call->route->http.pattern, "/drain/") != NULL;
}

static void on_drained(struct call *call, const struct bus_answer *answer)
{
    enum err error = answer->error;
    bool gone = error == ERR_NO_SERVICE || error == ERR_PEER_LOST;
    if (failed(call, gone ? ERR_NOT_FOUND : error, gone ? "this worker has gone" : answer->detail,
               answer->retry_after_ms))
        return;
    AUTOFREE char *message = mem_printf(
        is_drain(call) ? "'%s' takes no more jobs" : "'%s' takes jobs again", call->param);
    json_t *body = json_copy(answer->result);
    json_object_set_new(body, "message", json_string(message));
    call_json(call, 200, body);
}

/* worker@INSTANCE, or INSTANCE. */
static void drain(struct call *call)
{
    static const char before[] = "worker@";
    const char *name = call->param;
    const json_t *about;
    if (strncmp(name, before, strlen(before)) == 0)
        name += strlen(before);
    if (fleet_find(call->monitor->fleet, "worker", name, &about) == FLEET_GONE) {
        AUTOFREE char *detail = mem_printf("Unknown worker '%s'", call->param);
        call_detail(call, 404, detail);
        return;
    }
    AUTOFREE char *method = mem_printf("worker@%s.drain", name);
    log_act(call, is_drain(call) ? "operator_drain" : "operator_resume", "worker", NULL);
    call_act(call, method, json_pack("{s:b}", "resume", !is_drain(call)), on_drained);
}

void route_drain(struct call *call)
{
    call_ask_fleet(call);
    call_then(call, drain);
}

void route_resume(struct call *call)
{
    route_drain(call);
}
