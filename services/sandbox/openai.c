/* OpenAI's API v1: chat completions by simple rules, failures on request. */
#include "services/sandbox/openai.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/delay.h"
#include "services/sandbox/errors.h"
#include "services/sandbox/rules.h"

enum { EVENTS_MAX = 4 << 20, CACHE_MIN = 1024, CACHE_STEP = 128 };

static const char *const MODELS[] = {"gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-5", "sandbox"};

static bool is_authorized(struct call *call)
{
    const char *header = http_request_header(call->request, "Authorization");
    const char *azure = http_request_header(call->request, "api-key");
    if ((header && strncasecmp(header, "Bearer ", 7) == 0 && header[7]) || (azure && *azure))
        return true;
    openai_error(call, 401, "invalid_request_error", NULL, "invalid_api_key",
                 "You didn't provide an API key. You need to provide your API key in an "
                 "Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).");
    return false;
}

void openai_models(struct call *call)
{
    if (!is_authorized(call))
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof(MODELS) / sizeof(MODELS[0]); i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:i, s:s}", "id", MODELS[i], "object", "model",
                                        "created", 1715367049, "owned_by", "sandbox"));
    reply_json(call, 200, json_pack("{s:s, s:o}", "object", "list", "data", list));
}

/* The request, checked; NULL after an error answer. */
static json_t *read_request(struct call *call)
{
    size_t len;
    const char *text = http_request_body(call->request, &len);
    struct openai_fault fault;
    json_t *request = NULL;
    if (js_parse(text, len, &request, NULL) || !json_is_object(request)) {
        json_decref(request);
        openai_error(call, 400, "invalid_request_error", NULL, NULL,
                     "We could not parse the JSON body of your request.");
        return NULL;
    }
    if (openai_check(request, &fault))
        return request;
    json_decref(request);
    openai_error(call, 400, "invalid_request_error", fault.param, fault.code, fault.message);
    return NULL;
}

/* A limit that says when to come again. */
static void answer_limit(struct call *call, const struct fault *fault)
{
    char seconds[24], ms[24];
    snprintf(seconds, sizeof(seconds), "%lld", (long long)((fault->retry_after_ms + 999) / 1000));
    snprintf(ms, sizeof(ms), "%lld", (long long)fault->retry_after_ms);
    const struct http_header headers[] = {
        {"Retry-After", seconds}, {"retry-after-ms", ms}, {NULL, NULL}};
    reply_fields(call, fault->status,
                 json_pack("{s:{s:s, s:s, s:n, s:s}}", "error", "message",
                           "Rate limit reached for requests.", "type", "requests", "param", "code",
                           "rate_limit_exceeded"),
                 NULL, headers);
}

static void answer_status(struct call *call, const struct fault *fault)
{
    if (fault->quota)
        openai_error(
            call, 429, "insufficient_quota", NULL, "insufficient_quota",
            "You exceeded your current quota, please check your plan and billing details.");
    else if (fault->retry_after_ms && (fault->status == 429 || fault->status == 503))
        answer_limit(call, fault);
    else if (fault->status == 429)
        openai_error(call, 429, "requests", NULL, "rate_limit_exceeded",
                     "Rate limit reached for requests. Please try again in 1s.");
    else if (fault->status == 401)
        openai_error(call, 401, "invalid_request_error", NULL, "invalid_api_key",
                     "Incorrect API key provided.");
    else if (fault->status < 500)
        openai_error(call, fault->status, "invalid_request_error", NULL, NULL,
                     "The sandbox was asked to refuse this request.");
    else
        openai_error(call, fault->status, "server_error", NULL, NULL,
                     "The server had an error while processing your request. Sorry about that!");
}

/* What this model, as the message has it, does not take. */
static bool is_taken(struct call *call, const json_t *request, const struct fault *fault)
{
    if (fault->no_stream && js_bool(request, "stream", false)) {
        openai_error(call, 400, "invalid_request_error", "stream", "unsupported_value",
                     "Your organization must be verified to stream this model.");
        return false;
    }
    if (fault->no_options && json_object_get(request, "stream_options")) {
        openai_error(call, 400, "invalid_request_error", NULL, NULL,
                     "Unrecognized request argument supplied: stream_options");
        return false;
    }
    return true;
}

static bool fits_window(struct call *call, const struct completion *completion,
                        const struct fault *fault)
{
    char message[256];
    if (!fault->window || completion->prompt_tokens <= fault->window)
        return true;
    snprintf(message, sizeof(message),
             "This model's maximum context length is %lld tokens. However, your messages resulted "
             "in %lld tokens. Please reduce the length of the messages.",
             (long long)fault->window, (long long)completion->prompt_tokens);
    openai_error(call, 400, "invalid_request_error", "messages", "context_length_exceeded",
                 message);
    return false;
}

/* Tokens are about four bytes each; a long prompt counts as cached in steps, as OpenAI counts. */
static void count_tokens(struct completion *completion, const json_t *request)
{
    AUTOFREE char *messages = js_dump(json_object_get(request, "messages"));
    AUTOFREE char *tools = js_dump(json_object_get(request, "tools"));
    AUTOFREE char *calls = js_dump(completion->calls);
    size_t prompt = strlen(messages) + strlen(tools);
    completion->prompt_tokens = (int64_t)(prompt + 3) / 4;
    completion->completion_tokens =
        (int64_t)((completion->text ? strlen(completion->text) : strlen(calls)) + 3) / 4;
    if (completion->prompt_tokens >= CACHE_MIN &&
        json_array_size(json_object_get(request, "messages")) > 2)
        completion->cached_tokens = completion->prompt_tokens / 2 / CACHE_STEP * CACHE_STEP;
}

/* Half of it, at a character's border. */
static void halve(char *text)
{
    size_t len = text ? strlen(text) / 2 : 0;
    while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    if (text)
        text[len] = 0;
}

static struct completion think(struct call *call, const json_t *request, const char *id,
                               const struct fault *fault)
{
    const json_t *messages = json_object_get(request, "messages");
    const char *choice = js_str(request, "tool_choice", "auto");
    bool may_call = strcmp(choice, "none") != 0 && !fault->refusal;
    struct completion completion = {
        .id = id,
        .model = js_str(request, "model", ""),
        .created = call->now_ms / 1000,
        .usage_chunk = js_bool(json_object_get(request, "stream_options"), "include_usage", false),
        .no_usage = fault->no_usage,
        .no_done = fault->no_done,
        .refusal = fault->refusal,
        .finish = *fault->finish ? fault->finish : NULL,
        .calls = rules_calls(messages, may_call ? json_object_get(request, "tools") : NULL,
                             call->now_ms, fault->loop)};
    if (json_array_size(completion.calls) == 0)
        completion.text = fault->refusal ? mem_strdup("I'm sorry, I can't assist with that.")
                                         : rules_answer(messages);
    if (completion.finish)
        halve(completion.text);
    count_tokens(&completion, request);
    return completion;
}

/* The first half of a stream's events, with what makes it fail behind them. */
static void break_stream(struct buf *body, const struct fault *fault)
{
    size_t half = body->len / 2;
    const char *end = half < body->len ? strstr(body->data + half, "\n\n") : NULL;
    if (!end || fault->cut) {
        body->len = half;
        return;
    }
    body->len = (size_t)(end - body->data) + 2;
    if (fault->broken)
        buf_add_str(body, "data: {\"error\":{\"message\":\"The server had an error while "
                          "processing your request.\",\"type\":\"server_error\",\"param\":null,"
                          "\"code\":null}}\n\n");
}

static void make_body(const struct completion *completion, bool streamed, const struct fault *fault,
                      struct reply *reply)
{
    reply->type = "application/json";
    reply->stream = streamed;
    buf_init(&reply->body, EVENTS_MAX);
    if (fault->garbage) {
        buf_add_str(&reply->body, "<html><body>This is not what you asked for");
        reply->stream = false;
    } else if (streamed) {
        reply->type = "text/event-stream; charset=utf-8";
        reply->drip_ms = fault->drip_ms;
        completion_events(completion, &reply->body);
    } else {
        AUTOJSON json_t *object = completion_object(completion);
        js_dump_buf(object, &reply->body);
    }
    if (fault->cut || (streamed && (fault->stall || fault->broken)))
        break_stream(&reply->body, fault);
    reply->cut = fault->cut;
    reply->stall = streamed && fault->stall;
    reply->stream = reply->stream || fault->cut;
}

static void answer(struct call *call, const json_t *request, const struct fault *fault)
{
    char id[64];
    struct reply reply = {0};
    snprintf(id, sizeof(id), "chatcmpl-%016llx%08llx", (unsigned long long)crypto_random_u64(),
             (unsigned long long)(crypto_random_u64() & 0xffffffff));
    struct completion completion = think(call, request, id, fault);
    bool fits = fits_window(call, &completion, fault);
    if (fits)
        make_body(&completion, js_bool(request, "stream", false), fault, &reply);
    completion_fini(&completion);
    if (!fits)
        return;
    if (buf_check(&reply.body) && !fault->cut) {
        buf_fini(&reply.body);
        openai_error(call, 500, "server_error", NULL, NULL, "The answer is too long.");
        return;
    }
    reply_later(call->sandbox, http_request_id(call->request), &reply, fault->slow_ms);
}

void openai_chat(struct call *call)
{
    AUTOJSON json_t *request = is_authorized(call) ? read_request(call) : NULL;
    if (!request)
        return;
    const json_t *messages = json_object_get(request, "messages");
    long user = rules_last_user(messages);
    AUTOFREE char *text =
        user < 0 ? mem_strdup("") : rules_text(json_array_get(messages, (size_t)user));
    struct fault fault = faults_take(call->sandbox->faults, text,
                                     http_request_header(call->request, "X-Sandbox-Fail"));
    if (fault.status)
        answer_status(call, &fault);
    else if (is_taken(call, request, &fault))
        answer(call, request, &fault);
}
