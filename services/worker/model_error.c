#include "services/worker/model_error.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { STATUS_OVERLOADED = 529, RETRY_MAX_S = 3600 };

static const char no_reason[] = "no reason given";

static void hide(char *text, const char *key)
{
    size_t len = key ? strlen(key) : 0;
    for (char *at = text; len >= 4 && (at = strstr(at, key)); at += len)
        memset(at, '*', len);
}

static void set_why(struct model_error *error, const char *text, const char *key)
{
    AUTOFREE char *whole = mem_strdup(text);
    hide(whole, key);
    AUTOJSON json_t *capped = js_string_capped(whole, strlen(whole), MODEL_WHY_SIZE - 8, "…");
    snprintf(error->why, sizeof error->why, "%s", json_string_value(capped));
}

static bool has(const char *text, const char *part)
{
    return strcasestr(text, part);
}

/* Words of the endpoints for a conversation that does not fit the model. */
static bool is_context(const struct model_error *error)
{
    static const char *const phrases[] = {
        "maximum context length", /* OpenAI, vLLM, OpenRouter, DeepSeek, Mistral */
        "context length exceeded",
        "context window",         /* OpenAI, Anthropic */
        "available context size", /* llama.cpp */
        "context size has been exceeded",
        "prompt is too long",       /* Anthropic */
        "input is too long",        /* Bedrock */
        "input token count",        /* Gemini: "… exceeds the maximum number of tokens" */
        "exceed context limit",     /* Anthropic */
        "maximum prompt length",    /* xAI */
        "reduce the length of",     /* OpenAI, Groq */
        "too large for model with", /* Mistral */
        "too many tokens",          /* Cohere */
        "`inputs` tokens + `max_new_tokens`", /* TGI, Together */
        "exceeds the maximum number of tokens",
        "context the overflows", /* LM Studio */
        "Request too large for", /* OpenAI, Groq: more than a minute's tokens in one request */
    };
    if (has(error->code, "context_length") || has(error->code, "exceed_context_size") ||
        has(error->code, "context_window"))
        return true;
    if (error->status && error->status != 400 && error->status != 413 && error->status != 422 &&
        error->status != 429 && error->status != 500)
        return false;
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
        if (has(error->why, phrases[i]))
            return true;
    return error->status == 413;
}

static bool is_quota(const struct model_error *error)
{
    return error->status == 402 || has(error->code, "insufficient_quota") ||
           has(error->code, "billing_") || has(error->why, "insufficient balance") ||
           has(error->why, "credit balance is too low");
}

static bool code_is(const struct model_error *error, const char *const *words)
{
    for (; *words; words++)
        if (has(error->code, *words))
            return true;
    return false;
}

/* A code and, where the body alone tells it, a status, in OpenAI's terms. */
static void settle(struct model_error *error)
{
    static const char *const limits[] = {"rate_limit", "resource_exhausted", "too_many", NULL};
    static const char *const busy[] = {"overloaded", "unavailable", "capacity", NULL};
    static const char *const broken[] = {"server_error", "internal", "api_error", "timeout", NULL};
    static const char *const keys[] = {"api_key", "authentication", "unauthenticated", NULL};
    static const char *const wrong[] = {"invalid", "not_found", "permission", "badrequest", NULL};
    const char *code = NULL;
    if (is_context(error))
        code = "context_length_exceeded";
    else if (is_quota(error))
        code = "insufficient_quota";
    else if (code_is(error, limits) || error->status == 429)
        code = "rate_limit_exceeded", error->status = error->status ? error->status : 429;
    else if (code_is(error, busy) || error->status == STATUS_OVERLOADED || error->status == 503)
        code = "overloaded", error->status = error->status ? error->status : 503;
    else if (error->status == 401 || code_is(error, keys))
        code = "invalid_api_key", error->status = error->status ? error->status : 401;
    else if (has(error->code, "content_filter"))
        code = "content_filter";
    else if (!error->status && code_is(error, broken))
        error->status = 500;
    else if (!error->status && code_is(error, wrong))
        error->status = 400;
    if (code)
        snprintf(error->code, sizeof error->code, "%s", code);
}

static const json_t *text_at(const json_t *object, const char *key)
{
    const json_t *text = json_object_get(object, key);
    return json_string_length(text) ? text : NULL;
}

/* "code" may be a name or a status, and "type" or "status" may be the name. */
static void read_code(struct model_error *error, const json_t *json, const char *key)
{
    static const char *const keys[] = {"code", "type", "status"};
    const json_t *number = json_object_get(json, "code");
    int64_t status = json_is_integer(number) ? json_integer_value(number) : 0;
    if (!error->status && status >= 400 && status <= 599)
        error->status = (int)status;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !*error->code; i++) {
        const json_t *text = text_at(json, keys[i]);
        if (text && !(key && *key && strstr(json_string_value(text), key)))
            snprintf(error->code, sizeof error->code, "%.63s", json_string_value(text));
    }
    /* insufficient_quota may stand in either */
    if (has(js_str(json, "type", ""), "insufficient_quota"))
        snprintf(error->code, sizeof error->code, "insufficient_quota");
    snprintf(error->param, sizeof error->param, "%.63s", js_str(json, "param", ""));
    if (!js_is_utf8(error->code, strlen(error->code)))
        *error->code = '\0'; /* the cut split a character: no name that is known */
}

/* google.rpc.RetryInfo: {"retryDelay": "34.5s"}. */
static void read_details(struct model_error *error, const json_t *details)
{
    size_t index;
    json_t *one;
    json_array_foreach(details, index, one)
    {
        const char *delay = js_str(one, "retryDelay", "");
        char *end;
        double seconds = strtod(delay, &end);
        if (isdigit((unsigned char)*delay) && strcmp(end, "s") == 0 && seconds <= RETRY_MAX_S)
            error->retry_after_ms = (int64_t)(seconds * 1000);
    }
}

/* FastAPI's {"detail": text, or [{loc, msg}]}. */
static const char *detail_text(const json_t *json)
{
    const json_t *detail = json_object_get(json, "detail");
    if (json_is_string(detail))
        return json_string_value(detail);
    return js_str(json_array_get(detail, 0), "msg", NULL);
}

static void read_object(struct model_error *error, const json_t *json, const char *key)
{
    const json_t *inner = json_object_get(json, "error");
    const json_t *from = json_is_object(inner) ? inner : json;
    const char *text = json_is_string(inner) ? json_string_value(inner) : NULL;
    const char *raw = js_str(json_object_get(from, "metadata"), "raw", ""); /* OpenRouter */
    if (!text)
        text = js_str(from, "message", detail_text(json));
    read_code(error, from, key);
    read_details(error, json_object_get(from, "details"));
    AUTOFREE char *both = text && *raw ? mem_printf("%s: %s", text, raw) : NULL;
    set_why(error, both ? both : text && *text ? text : no_reason, key);
}

/* A proxy's page says nothing to a user, a line of text may. */
static bool is_plain(const char *body, size_t len)
{
    size_t start = 0;
    while (start < len && isspace((unsigned char)body[start]))
        start++;
    return start < len && body[start] != '<' && js_is_utf8(body, len);
}

void model_error_read(const char *body, size_t len, int status, const char *key,
                      struct model_error *ret_error)
{
    AUTOJSON json_t *json = NULL;
    struct model_error error = {.status = status, .retry_after_ms = -1};
    snprintf(error.why, sizeof error.why, no_reason);
    if (js_parse(body, len, &json, NULL) == ERR_OK) {
        /* Gemini wraps its errors into an array. */
        const json_t *first = json_is_array(json) ? json_array_get(json, 0) : json;
        if (json_is_object(first))
            read_object(&error, first, key);
        else if (json_is_string(first))
            set_why(&error, json_string_value(first), key);
    } else if (is_plain(body, len)) {
        AUTOFREE char *text = mem_strndup(body, len);
        set_why(&error, text, key);
    }
    settle(&error);
    *ret_error = error;
}

bool model_error_inside(const json_t *json, const char *key, struct model_error *ret_error)
{
    const json_t *choice = json_array_get(json_object_get(json, "choices"), 0);
    const json_t *error = json_object_get(json, "error");
    const json_t *of_choice = json_object_get(choice, "error"); /* OpenRouter */
    struct model_error read = {.retry_after_ms = -1};
    bool bare = strcmp(js_str(json, "object", ""), "error") == 0 ||
                strcmp(js_str(json, "type", ""), "error") == 0;
    if (json_is_object(of_choice))
        read_object(&read, choice, key);
    else if (json_is_object(error) || json_string_length(error) || bare)
        read_object(&read, json, key);
    else
        return false;
    settle(&read);
    *ret_error = read;
    return true;
}

bool model_error_passes(const struct model_error *error, const char *should_retry)
{
    /* Waiting changes neither, whatever the endpoint says. */
    if (strcmp(error->code, "insufficient_quota") == 0 ||
        strcmp(error->code, "context_length_exceeded") == 0)
        return false;
    if (strcmp(should_retry, "true") == 0)
        return true;
    if (strcmp(should_retry, "false") == 0)
        return false;
    return error->status == 0 || error->status == 408 || error->status == 409 ||
           error->status == 429 || error->status >= 500;
}

bool model_error_is_limit(const struct model_error *error)
{
    return strcmp(error->code, "rate_limit_exceeded") == 0 ||
           strcmp(error->code, "overloaded") == 0;
}
