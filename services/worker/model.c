#include "services/worker/model.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/clock.h"
#include "libcommon/crypto.h"
#include "libcommon/http_client.h"
#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/metrics.h"
#include "services/outside.h"
#include "services/worker/model_endpoint.h"
#include "services/worker/model_lane.h"
#include "services/worker/model_request.h"
#include "services/worker/model_stream.h"
#include "services/worker/model_usage.h"

enum {
    BACKOFF_FIRST_MS = 500,
    BACKOFF_MAX_MS = 8000,
    RETRY_AFTER_MAX_MS = 300000,
    LIMIT_FIRST_MS = 1000, /* for a limit that names no time */
    USAGE_GRACE_MS = 5000, /* for the usage, behind an answer that is whole */
    END_GRACE_MS = 250,    /* for the connection's end, so that it can be kept */
    CUTS_MAX = 2,          /* cut streams, until it is tried without streaming */
    TEMPERATURE_MAX = 16,  /* characters */
};

struct model {
    struct loop *loop;
    const struct settings *settings;
    struct http_client *http;
    struct model_endpoint endpoint;
    struct model_lanes *lanes;
    uint64_t tries;
};

struct model_call {
    struct model *model;
    struct model_lane *lane;
    struct model_place place;
    struct model_request *request;
    char *traceparent, *tracestate; /* header lines; NULL: none */
    int64_t deadline, sent;
    uint64_t number; /* of this try */
    unsigned retries, cuts;
    char *retried_for; /* why the last try but one failed; NULL: there was one try */
    unsigned lacks;    /* what was left out of what was sent */
    uint64_t http_id;  /* 0: waiting for the next try */
    struct loop_timer *timer;
    /* What came */
    int status;
    struct model_stream *stream;
    struct buf refusal;
    model_done_fn *done;
    void *arg;
};

static void send_request(struct model_call *call);

static void on_go(struct model_place *place)
{
    struct model_call *call =
        (struct model_call *)((char *)place - offsetof(struct model_call, place));
    send_request(call);
}

enum err model_check_settings(const struct settings *settings, char ret_why[MODEL_CONFIG_WHY_SIZE])
{
    const char *text = settings->model_temperature;
    AUTOJSON json_t *number = NULL;
    /* It is sent as it stands there: a number in JSON's form. */
    if (!text || (js_parse(text, strlen(text), &number, NULL) == ERR_OK && json_is_number(number) &&
                  json_number_value(number) >= 0 && json_number_value(number) <= 2 &&
                  strlen(text) <= TEMPERATURE_MAX))
        return ERR_OK;
    snprintf(ret_why, MODEL_CONFIG_WHY_SIZE, "MODEL_TEMPERATURE takes a number from 0 to 2");
    return ERR_INVALID;
}

struct model *model_new(struct loop *loop, const struct settings *settings)
{
    struct model *model = mem_alloc(sizeof *model);
    struct http_client_options options =
        outside_options(settings, (unsigned)settings->worker_concurrency);
    model->loop = loop;
    model->settings = settings;
    model->http = http_client_new(loop, &options);
    model->lanes = model_lanes_new(loop, on_go);
    if (settings->openai_model) /* has one of its own, whatever models jobs will name */
        model_lanes_get(model->lanes, settings->openai_model);
    model_endpoint_init(&model->endpoint, settings);
    return model;
}

void model_destroy(struct model **model_p)
{
    struct model *model = *model_p;
    if (!model)
        return;
    *model_p = NULL;
    http_client_destroy(&model->http);
    model_lanes_destroy(&model->lanes);
    model_endpoint_fini(&model->endpoint);
    free(model);
}

/* The end of a try's connection, and of what it brought. */
static void drop_try(struct model_call *call)
{
    if (call->http_id)
        http_client_cancel(call->model->http, call->http_id);
    call->http_id = 0;
    call->status = 0;
    loop_timer_stop(call->timer);
    model_stream_destroy(&call->stream);
    buf_fini(&call->refusal);
}

static void call_free(struct model_call *call)
{
    drop_try(call);
    model_lane_leave(call->lane, &call->place);
    loop_timer_destroy(&call->timer);
    model_request_destroy(&call->request);
    free(call->traceparent);
    free(call->tracestate);
    free(call->retried_for);
    free(call);
}

/* Consumes the answer. */
static void finish(struct model_call *call, json_t *answer)
{
    model_done_fn *done = call->done;
    void *arg = call->arg;
    call_free(call);
    done(arg, answer);
    json_decref(answer);
}

static void finish_error(struct model_call *call, const char *outcome, const char *code,
                         const char *why)
{
    log_warning("model_call_failed", LOG_S("why", why), LOG_S("code", code),
                LOG_S("outcome", outcome));
    finish(call, json_pack("{s:s, s:s, s:s}", "error", why, "code", code, "outcome", outcome));
}

/* As OpenAI's own clients wait: what the answer says, else twice as long each time, a little less
 * by chance. */
static int64_t backoff(unsigned retries, int64_t retry_after_ms)
{
    if (retry_after_ms >= 0 && retry_after_ms <= RETRY_AFTER_MAX_MS)
        return retry_after_ms;
    int64_t wait = retries < 8 ? (int64_t)BACKOFF_FIRST_MS << retries : BACKOFF_MAX_MS;
    if (wait > BACKOFF_MAX_MS)
        wait = BACKOFF_MAX_MS;
    return wait - (int64_t)(crypto_random_u64() % (uint64_t)(wait / 4));
}

/* Tries again later, if there is a try and time left; else the call ends, the run is tried again.
 */
static void retry(struct model_call *call, int64_t wait, const char *code, const char *why)
{
    drop_try(call);
    if (call->retries >= (unsigned)call->model->settings->model_retries ||
        clock_ms() + wait >= call->deadline) {
        finish_error(call, "retry", code, why);
        return;
    }
    call->retries++;
    metric_add(metric_counter("mcpbus_model_retries_total", NULL,
                              "Tries of a question to the model after a first one that failed."),
               1);
    free(call->retried_for);
    call->retried_for = mem_strdup(why);
    log_debug("model_call_retried", LOG_S("why", why), LOG_I("wait_ms", wait));
    loop_timer_start(call->timer, wait);
}

/* The endpoint wants to be left alone by all: this call takes its turn with the others. */
static void retry_limit(struct model_call *call, int64_t wait, const char *code, const char *why)
{
    model_lane_refused(call->lane, call->sent, wait);
    retry(call, wait, code, why);
}

/* Sends it again without what the endpoint does not understand, if that is what it said. */
static bool adapt(struct model_call *call, const struct model_error *error)
{
    unsigned lacks = model_endpoint_lacks(error, call->lacks);
    if (!lacks ||
        (lacks == MODEL_LACKS_STREAM && strcmp(call->model->settings->model_stream, "auto") != 0))
        return false;
    log_info("model_adapted", LOG_S("model", call->lane->model), LOG_S("why", error->why),
             LOG_I("lacks", lacks));
    call->lane->lacks |= lacks;
    call->lacks |= lacks;
    drop_try(call);
    send_request(call);
    return true;
}

/* What an operator can do about it. */
static const char *advice(const struct model_error *error)
{
    if (strcmp(error->code, "insufficient_quota") == 0)
        return " (the account behind OPENAI_API_KEY has no quota left)";
    if (error->status == 404)
        return " (OPENAI_MODEL must be a model of OPENAI_BASE_URL's)";
    return "";
}

static void on_refusal(struct model_call *call, const struct model_error *error,
                       int64_t retry_after_ms, const char *should_retry)
{
    char text[MODEL_WHY_SIZE + 160];
    if (adapt(call, error))
        return;
    int64_t wait =
        backoff(call->retries, retry_after_ms >= 0 ? retry_after_ms : error->retry_after_ms);
    if (error->status == 401)
        snprintf(
            text, sizeof text,
            "The model's endpoint refused the API key (401): OPENAI_API_KEY must be one of its own.");
    else if (error->status)
        snprintf(text, sizeof text, "The model's endpoint answered with status %d: %s%s",
                 error->status, error->why, advice(error));
    else
        snprintf(text, sizeof text, "The model's endpoint answered with an error: %s", error->why);
    if (!model_error_passes(error, should_retry))
        finish_error(call, "failed", error->code, text);
    else if (model_error_is_limit(error))
        retry_limit(call, wait > LIMIT_FIRST_MS || retry_after_ms >= 0 ? wait : LIMIT_FIRST_MS,
                    error->code, text);
    else
        retry(call, wait, error->code, text);
}

/* Budgets go by what an answer cost: one without usage is estimated. */
static void complete(struct model_call *call, json_t *answer)
{
    size_t input;
    model_lane_answered(call->lane, call->sent);
    model_request_new_ids(call->request, answer);
    if (!json_object_get(answer, "usage")) {
        model_request_body(call->request, &call->model->endpoint, call->lacks, &input);
        json_object_set_new(
            answer, "usage",
            model_usage_estimate(input, js_dump_size(json_object_get(answer, "message"))));
    }
    if (call->retries) {
        json_object_set_new(answer, "retries", json_integer(call->retries));
        json_object_set_new(answer, "retry_reason", json_string(call->retried_for));
    }
    finish(call, answer);
}

static void on_cut(struct model_call *call, const char *why)
{
    if (++call->cuts >= CUTS_MAX && strcmp(call->model->settings->model_stream, "auto") == 0)
        call->lacks |= MODEL_LACKS_STREAM;
    retry(call, backoff(call->retries, -1), "", why);
}

/* What the body of a 200 comes to. */
static void conclude(struct model_call *call, const char *why_cut)
{
    json_t *answer = NULL;
    struct model_error error;
    char text[MODEL_WHY_SIZE + 160];
    switch (model_stream_end(call->stream, &answer, &error)) {
    case MODEL_ANSWERED:
        complete(call, answer);
        break;
    case MODEL_REFUSED:
        on_refusal(call, &error, -1, "");
        break;
    case MODEL_CUT:
        snprintf(text, sizeof text, "The model's answer was cut off: %s", why_cut);
        on_cut(call, text);
        break;
    case MODEL_MALFORMED:
        snprintf(text, sizeof text, "The model's answer could not be understood: %s", error.why);
        on_cut(call, text);
        break;
    }
}

static bool is_success(int status)
{
    return status >= 200 && status < 300;
}

static void on_answer(void *arg, enum err error, const struct http_answer *answer)
{
    struct model_call *call = arg;
    char text[MODEL_WHY_SIZE + 160];
    const char *why = answer && *answer->error ? answer->error : err_text(error);
    call->http_id = 0;
    loop_timer_stop(call->timer);
    if (is_success(call->status)) {
        conclude(call, error ? why : "it ended before its end");
    } else if (call->status) {
        struct model_error refusal;
        model_error_read(buf_text(&call->refusal), call->refusal.len, call->status,
                         call->model->settings->openai_api_key, &refusal);
        on_refusal(call, &refusal, answer ? answer->retry_after_ms : -1,
                   answer ? answer->should_retry : "");
    } else {
        snprintf(text, sizeof text, "The model could not be reached: %s", why);
        if (error == ERR_TOO_LARGE || error == ERR_INVALID)
            finish_error(call, "failed", "", text);
        else
            retry(call, backoff(call->retries, -1), "", text);
    }
}

static enum http_body on_head(void *arg, const struct http_answer *head)
{
    struct model_call *call = arg;
    call->status = head->status;
    buf_init(&call->refusal, MODEL_ERROR_BODY_MAX);
    if (is_success(head->status))
        call->stream = model_stream_new(call->model->settings->openai_api_key);
    return HTTP_BODY_STREAM;
}

static bool on_data(void *arg, const char *data, size_t len)
{
    struct model_call *call = arg;
    if (!call->stream) {
        buf_add(&call->refusal, data, len);
        return !call->refusal.full;
    }
    if (!model_stream_feed(call->stream, data, len))
        return false;
    enum model_stream_state state = model_stream_state(call->stream);
    if (state == MODEL_STREAM_DONE)
        loop_timer_start(call->timer, END_GRACE_MS);
    else if (state == MODEL_STREAM_FINISHED)
        loop_timer_start(call->timer, USAGE_GRACE_MS);
    else if (model_stream_is_events(call->stream))
        loop_timer_start(call->timer, call->model->settings->model_idle_timeout * 1000);
    return true;
}

/* Its turn among the others, before its time is over. */
static void enter(struct model_call *call)
{
    int64_t left = call->deadline - clock_ms();
    loop_timer_start(call->timer, left > 1 ? left : 1);
    model_lane_enter(call->lane, &call->place);
}

/* Time for the next try; or nothing came for too long. */
static void on_timer(void *arg)
{
    struct model_call *call = arg;
    if (call->place.waiting) {
        finish_error(call, "retry", "rate_limit_exceeded",
                     "The model's endpoint was too busy for all of the run's time.");
        return;
    }
    if (!call->http_id) {
        enter(call);
        return;
    }
    http_client_cancel(call->model->http, call->http_id);
    call->http_id = 0;
    conclude(call, "nothing came for too long");
}

static void send_request(struct model_call *call)
{
    const struct model *model = call->model;
    const char *headers[6] = {"Content-Type: application/json",
                              "Accept: application/json, text/event-stream"};
    size_t header_count = 2;
    if (model->endpoint.credential)
        headers[header_count++] = model->endpoint.credential;
    if (call->traceparent)
        headers[header_count++] = call->traceparent;
    if (call->tracestate)
        headers[header_count++] = call->tracestate;
    int64_t now = clock_ms(), left = call->deadline - now;
    int64_t limit = model->settings->model_timeout * 1000;
    AUTOFREE char *url = model_endpoint_url(&model->endpoint, model_request_model(call->request));
    call->lacks |= call->lane->lacks;
    call->sent = now;
    call->number = ++call->model->tries;
    loop_timer_stop(call->timer);
    struct http_call http = {
        .method = "POST",
        .url = url,
        .headers = headers,
        .body_kept = true,
        .timeout_ms = left < 1       ? 1
                      : left < limit ? left
                                     : limit,
        .answer_max = MODEL_STREAM_MAX,
        .repeatable = true,
        .on_head = on_head,
        .on_data = on_data,
        .arg = call,
    };
    http.body = model_request_body(call->request, &model->endpoint, call->lacks, &http.body_len);
    call->http_id = http_client_send(model->http, &http, on_answer, call);
}

static char *header_of(const char *name, const char *value)
{
    return value ? mem_printf("%s: %s", name, value) : NULL;
}

struct model_call *model_ask(struct model *model, const json_t *request, int64_t timeout_ms,
                             model_done_fn *done, void *arg)
{
    struct model_call *call = mem_alloc(sizeof *call);
    call->model = model;
    call->request = model_request_new(model->settings, request);
    call->lane = model_lanes_get(model->lanes, model_request_model(call->request));
    call->traceparent = header_of("traceparent", js_str(request, "traceparent", NULL));
    call->tracestate = header_of("tracestate", js_str(request, "tracestate", NULL));
    call->deadline = clock_ms() + timeout_ms;
    call->done = done;
    call->arg = arg;
    call->timer = loop_timer_new(model->loop, on_timer, call);
    enter(call);
    return call;
}

bool model_text(struct model_call *call, const char **ret_text, size_t *ret_len,
                uint64_t *ret_number)
{
    size_t len = 0;
    const char *text = call->stream ? model_stream_text(call->stream, &len) : NULL;
    if (!len)
        return false;
    *ret_text = text;
    *ret_len = len;
    *ret_number = call->number;
    return true;
}

void model_cancel(struct model_call **call_p)
{
    struct model_call *call = *call_p;
    if (!call)
        return;
    *call_p = NULL;
    call_free(call);
}
