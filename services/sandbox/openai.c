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

static void answer_status(struct call *call, const struct fault *fault)
{
    if (fault->quota)
        openai_error(
            call, 429, "insufficient_quota", NULL, "insufficient_quota",
            "You exceeded your current quota, please check your plan and billing details.");
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

static struct completion think(struct call *call, const json_t *request, const char *id, bool loop)
{
    const json_t *messages = json_object_get(request, "messages");
    const char *choice = js_str(request, "tool_choice", "auto");
    bool may_call = strcmp(choice, "none") != 0;
    struct completion completion = {
        .id = id,
        .model = js_str(request, "model", ""),
        .created = call->now_ms / 1000,
        .usage_chunk = js_bool(json_object_get(request, "stream_options"), "include_usage", false),
        .calls = rules_calls(messages, may_call ? json_object_get(request, "tools") : NULL,
                             call->now_ms, loop)};
    if (json_array_size(completion.calls) == 0)
        completion.text = rules_answer(messages);
    count_tokens(&completion, request);
    return completion;
}

static struct reply make_reply(struct call *call, const json_t *request, const struct fault *fault)
{
    char id[64];
    struct reply reply = {.type = "application/json"};
    snprintf(id, sizeof(id), "chatcmpl-%016llx%08llx", (unsigned long long)crypto_random_u64(),
             (unsigned long long)(crypto_random_u64() & 0xffffffff));
    struct completion completion = think(call, request, id, fault->loop);
    buf_init(&reply.body, EVENTS_MAX);
    if (fault->garbage) {
        buf_add_str(&reply.body, "<html><body>This is not what you asked for");
    } else if (js_bool(request, "stream", false)) {
        reply.type = "text/event-stream; charset=utf-8";
        completion_events(&completion, &reply.body);
        reply.stream = true;
    } else {
        AUTOJSON json_t *object = completion_object(&completion);
        js_dump_buf(object, &reply.body);
    }
    if (fault->cut) {
        reply.body.len /= 2;
        reply.stream = reply.cut = true;
    }
    completion_fini(&completion);
    return reply;
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
    if (fault.status) {
        answer_status(call, &fault);
        return;
    }
    struct reply reply = make_reply(call, request, &fault);
    if (buf_check(&reply.body) && !fault.cut) {
        buf_fini(&reply.body);
        openai_error(call, 500, "server_error", NULL, NULL, "The answer is too long.");
        return;
    }
    reply_later(call->sandbox, http_request_id(call->request), &reply, fault.slow_ms);
}
