#include "services/worker/model_answer.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { ID_MAX = 128, NAME_MAX_BYTES = 256, CONTENT_MAX = 2 << 20, TOKENS_MAX = 1 << 30 };

static enum err refuse(char *ret_why, const char *why)
{
    snprintf(ret_why, MODEL_WHY_SIZE, "%s", why);
    return ERR_INVALID;
}

/* A text, or a list of parts as some endpoints give it; a refusal counts as text. */
static json_t *content_of(const json_t *message)
{
    json_t *content = json_object_get(message, "content");
    if (json_is_string(content) && json_string_length(content))
        return json_incref(content);
    struct buf text;
    buf_init(&text, CONTENT_MAX);
    size_t index;
    json_t *part;
    json_array_foreach(content, index, part) buf_add_str(&text, js_str(part, "text", ""));
    if (!text.len)
        buf_add_str(&text, js_str(message, "refusal", ""));
    json_t *joined = text.len ? json_string(buf_text(&text)) : json_null();
    buf_fini(&text);
    return joined;
}

/* Some endpoints leave ids out or use one twice; the conversation needs distinct ones. */
static json_t *call_id(const json_t *call, json_t *seen, size_t index)
{
    const char *id = js_str(call, "id", "");
    AUTOFREE char *text = *id && strlen(id) <= ID_MAX && !json_object_get(seen, id)
                              ? mem_strdup(id)
                              : mem_printf("call_%zu_%zu", index + 1, json_object_size(seen));
    json_object_set_new(seen, text, json_true());
    return json_string(text);
}

static json_t *arguments_of(const json_t *function)
{
    json_t *arguments = json_object_get(function, "arguments");
    if (json_is_string(arguments))
        return json_incref(arguments);
    if (!json_is_object(arguments))
        return arguments && !json_is_null(arguments) ? NULL : json_string("{}");
    AUTOFREE char *text = js_dump(arguments);
    return json_string(text);
}

static enum err copy_calls(const json_t *calls, json_t *message, char *ret_why)
{
    if (!calls || json_is_null(calls) || (json_is_array(calls) && !json_array_size(calls)))
        return ERR_OK;
    if (!json_is_array(calls) || json_array_size(calls) > MODEL_CALLS_MAX)
        return refuse(ret_why, "tool_calls is not an array of at most 64");
    AUTOJSON json_t *seen = json_object();
    json_t *copies = json_array();
    json_object_set_new(message, "tool_calls", copies);
    size_t index;
    json_t *call;
    json_array_foreach(calls, index, call)
    {
        const json_t *function = json_object_get(call, "function");
        const char *name = js_str(function, "name", "");
        json_t *arguments = arguments_of(function);
        if (!*name || strlen(name) > NAME_MAX_BYTES || !arguments) {
            json_decref(arguments);
            return refuse(ret_why, "a tool call without a name, or with malformed arguments");
        }
        json_array_append_new(copies, json_pack("{s:o, s:s, s:{s:s, s:o}}", "id",
                                                call_id(call, seen, index), "type", "function",
                                                "function", "name", name, "arguments", arguments));
    }
    return ERR_OK;
}

static int64_t tokens(const json_t *usage, const char *key)
{
    int64_t count = js_int(usage, key, 0);
    return count < 0 || count > TOKENS_MAX ? 0 : count;
}

static json_t *usage_of(const json_t *body)
{
    const json_t *usage = json_object_get(body, "usage");
    int64_t input = tokens(usage, "prompt_tokens"), output = tokens(usage, "completion_tokens");
    int64_t total = tokens(usage, "total_tokens");
    return json_pack("{s:I, s:I, s:I}", "input_tokens", (json_int_t)input, "output_tokens",
                     (json_int_t)output, "total_tokens",
                     (json_int_t)(total ? total : input + output));
}

enum err model_answer_parse(const char *body, size_t len, json_t **ret_answer,
                            char ret_why[MODEL_WHY_SIZE])
{
    AUTOJSON json_t *json = NULL;
    if (js_parse(body, len, &json, NULL))
        return refuse(ret_why, "it is not JSON");
    const json_t *message =
        json_object_get(json_array_get(json_object_get(json, "choices"), 0), "message");
    if (!json_is_object(message))
        return refuse(ret_why, "it has no choices[0].message");
    AUTOJSON json_t *copy =
        json_pack("{s:s, s:o}", "role", "assistant", "content", content_of(message));
    enum err err = copy_calls(json_object_get(message, "tool_calls"), copy, ret_why);
    if (err)
        return err;
    if (json_string_length(json_object_get(copy, "content")) > CONTENT_MAX)
        return refuse(ret_why, "its text is too long");
    *ret_answer = json_pack("{s:O, s:o}", "message", copy, "usage", usage_of(json));
    return ERR_OK;
}

static void hide(char *text, const char *key)
{
    size_t len = key ? strlen(key) : 0;
    for (char *at = text; len >= 4 && (at = strstr(at, key)); at += len)
        memset(at, '*', len);
}

void model_error_text(const char *body, size_t len, const char *key, char ret_why[MODEL_WHY_SIZE],
                      char ret_code[64])
{
    AUTOJSON json_t *json = NULL;
    *ret_code = '\0';
    snprintf(ret_why, MODEL_WHY_SIZE, "no reason given");
    if (js_parse(body, len, &json, NULL))
        return;
    json_t *error = json_object_get(json, "error");
    const char *text = json_is_string(error) ? json_string_value(error)
                                             : js_str(error, "message", "no reason given");
    snprintf(ret_code, 64, "%.63s", js_str(error, "code", js_str(error, "type", "")));
    AUTOFREE char *whole = mem_strdup(text);
    hide(whole, key);
    AUTOJSON json_t *capped = js_string_capped(whole, strlen(whole), MODEL_WHY_SIZE - 8, "…");
    snprintf(ret_why, MODEL_WHY_SIZE, "%s", json_string_value(capped));
}
