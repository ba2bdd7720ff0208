#include "services/worker/model.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/http_client.h"
#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/clock.h"
#include "services/worker/model_answer.h"

enum {
    RETRIES_MAX = 4,
    BACKOFF_FIRST_MS = 500,
    BACKOFF_MAX_MS = 8000,
    RETRY_AFTER_MAX_MS = 60000,
    ANSWER_MAX = 8 << 20,
};

struct model {
    struct loop *loop;
    const struct settings *settings;
    struct http_client *http;
    char *url, *authorization;
};

struct model_call {
    struct model *model;
    char *body;
    size_t body_len;
    int64_t deadline;
    unsigned retries;
    uint64_t http_id; /* 0: waiting for the next try */
    struct loop_timer *timer;
    model_done_fn *done;
    void *arg;
};

struct model *model_new(struct loop *loop, const struct settings *settings)
{
    struct model *model = mem_alloc(sizeof *model);
    struct http_client_options options = {
        .proxy = settings->https_proxy,
        .ca_bundle = settings->ca_bundle,
        .connections_max = (unsigned)settings->worker_concurrency,
    };
    size_t len = strlen(settings->openai_base_url);
    while (len && settings->openai_base_url[len - 1] == '/')
        len--;
    model->loop = loop;
    model->settings = settings;
    model->http = http_client_new(loop, &options);
    model->url = mem_printf("%.*s/chat/completions", (int)len, settings->openai_base_url);
    model->authorization = mem_printf("Authorization: Bearer %s", settings->openai_api_key);
    return model;
}

void model_destroy(struct model **model_p)
{
    struct model *model = *model_p;
    if (!model)
        return;
    *model_p = NULL;
    http_client_destroy(&model->http);
    mem_free_secret(&model->authorization);
    free(model->url);
    free(model);
}

static void call_free(struct model_call *call)
{
    loop_timer_destroy(&call->timer);
    free(call->body);
    free(call);
}

static void finish(struct model_call *call, json_t *answer)
{
    model_done_fn *done = call->done;
    void *arg = call->arg;
    call_free(call);
    done(arg, answer);
    json_decref(answer);
}

static void finish_error(struct model_call *call, const char *outcome, const char *why)
{
    log_warning("model_call_failed", LOG_S("why", why), LOG_S("outcome", outcome));
    finish(call, json_pack("{s:s, s:s}", "error", why, "outcome", outcome));
}

static int64_t backoff(unsigned retries, int64_t retry_after_ms)
{
    if (retry_after_ms > 0 && retry_after_ms <= RETRY_AFTER_MAX_MS)
        return retry_after_ms;
    int64_t wait = (int64_t)BACKOFF_FIRST_MS << retries;
    if (wait > BACKOFF_MAX_MS)
        wait = BACKOFF_MAX_MS;
    return wait - (int64_t)(crypto_random_u64() % (uint64_t)(wait / 4));
}

/* Tries again later, if there is a try and time left; else the call ends as `outcome`. */
static void retry(struct model_call *call, int64_t retry_after_ms, const char *why)
{
    int64_t wait = backoff(call->retries, retry_after_ms);
    if (call->retries >= RETRIES_MAX || clock_ms() + wait >= call->deadline) {
        finish_error(call, "retry", why);
        return;
    }
    call->retries++;
    log_debug("model_call_retried", LOG_S("why", why), LOG_I("wait_ms", wait));
    loop_timer_start(call->timer, wait);
}

static bool passes(const struct http_answer *answer, const char *code)
{
    if (strcmp(code, "insufficient_quota") == 0)
        return false;
    if (strcmp(answer->should_retry, "true") == 0)
        return true;
    if (strcmp(answer->should_retry, "false") == 0)
        return false;
    return answer->status == 408 || answer->status == 409 || answer->status == 429 ||
           answer->status >= 500;
}

static void on_refusal(struct model_call *call, const struct http_answer *answer)
{
    char why[MODEL_WHY_SIZE], code[64], text[MODEL_WHY_SIZE + 100];
    model_error_text(answer->body, answer->len, call->model->settings->openai_api_key, why, code);
    if (answer->status == 401)
        snprintf(text, sizeof text, "The model's endpoint refused the API key (401).");
    else
        snprintf(text, sizeof text, "The model's endpoint answered with status %d: %s",
                 answer->status, why);
    if (passes(answer, code))
        retry(call, answer->retry_after_ms, text);
    else
        finish_error(call, "failed", text);
}

static void on_answer(void *arg, enum err error, const struct http_answer *answer)
{
    struct model_call *call = arg;
    char why[MODEL_WHY_SIZE], text[MODEL_WHY_SIZE + 100];
    call->http_id = 0;
    if (error) {
        snprintf(text, sizeof text, "The model could not be reached: %s",
                 answer && *answer->error ? answer->error : err_text(error));
        if (error == ERR_TOO_LARGE || error == ERR_INVALID)
            finish_error(call, "failed", text);
        else
            retry(call, -1, text);
        return;
    }
    if (answer->status != 200) {
        on_refusal(call, answer);
        return;
    }
    json_t *parsed = NULL;
    if (model_answer_parse(answer->body, answer->len, &parsed, why)) {
        snprintf(text, sizeof text, "The model's answer could not be understood: %s", why);
        retry(call, -1, text);
        return;
    }
    finish(call, parsed);
}

static void send_request(void *arg)
{
    struct model_call *call = arg;
    const struct model *model = call->model;
    const char *const headers[] = {"Content-Type: application/json", "Accept: application/json",
                                   model->authorization, NULL};
    int64_t left = call->deadline - clock_ms(), limit = model->settings->model_timeout * 1000;
    struct http_call http = {
        .method = "POST",
        .url = model->url,
        .headers = headers,
        .body = call->body,
        .body_len = call->body_len,
        .timeout_ms = left < 1       ? 1
                      : left < limit ? left
                                     : limit,
        .answer_max = ANSWER_MAX,
    };
    call->http_id = http_client_send(model->http, &http, on_answer, call);
}

struct model_call *model_ask(struct model *model, const json_t *request, int64_t timeout_ms,
                             model_done_fn *done, void *arg)
{
    struct model_call *call = mem_alloc(sizeof *call);
    AUTOJSON json_t *body =
        json_pack("{s:s, s:O, s:b}", "model", model->settings->openai_model, "messages",
                  json_object_get(request, "messages"), "stream", 0);
    json_t *tools = json_object_get(request, "tools");
    if (json_array_size(tools))
        json_object_set(body, "tools", tools);
    call->model = model;
    call->body = js_dump(body);
    call->body_len = strlen(call->body);
    call->deadline = clock_ms() + timeout_ms;
    call->done = done;
    call->arg = arg;
    call->timer = loop_timer_new(model->loop, send_request, call);
    send_request(call);
    return call;
}

void model_cancel(struct model_call **call_p)
{
    struct model_call *call = *call_p;
    if (!call)
        return;
    *call_p = NULL;
    if (call->http_id)
        http_client_cancel(call->model->http, call->http_id);
    call_free(call);
}
