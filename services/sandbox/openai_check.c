/* What OpenAI refuses with a 400: the request's own members. */
#include "services/sandbox/openai_check.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"

enum { NAME_MAX_BYTES = 64, TOKENS_MAX = 1000000 };

bool openai_refuse(struct openai_fault *fault, const char *code, const char *param, const char *fmt,
                   ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(fault->message, sizeof(fault->message), fmt, args);
    va_end(args);
    snprintf(fault->param, sizeof(fault->param), "%s", param);
    fault->code = code;
    /* A cut may have split a character. */
    if (!js_is_utf8(fault->param, strlen(fault->param)))
        fault->param[0] = 0;
    if (!js_is_utf8(fault->message, strlen(fault->message)))
        snprintf(fault->message, sizeof(fault->message), "Invalid value for '%s'.", fault->param);
    return false;
}

static size_t characters(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

bool openai_text_fits(const json_t *text, size_t max, const char *param, struct openai_fault *fault)
{
    const char *value = json_string_value(text);
    size_t count = value ? characters(value) : 0;
    if (count <= max)
        return true;
    return openai_refuse(
        fault, "string_above_max_length", param,
        "Invalid '%s': string too long. Expected a string with maximum length %zu, "
        "but got a string with length %zu instead.",
        param, max, count);
}

bool openai_name_is_valid(const char *name)
{
    size_t len = strlen(name);
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-')
            return false;
    return len >= 1 && len <= NAME_MAX_BYTES;
}

bool openai_members_known(const json_t *object, const char *const *known, const char *where,
                          struct openai_fault *fault)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        const char *const *one = known;
        while (*one && strcmp(*one, key) != 0)
            one++;
        if (!*one)
            return openai_refuse(fault, "unknown_parameter", where, "Unknown parameter: '%s%.64s'.",
                                 where, key);
    }
    return true;
}

static bool check_number(const json_t *request, const char *key, double min, double max,
                         struct openai_fault *fault)
{
    const json_t *value = json_object_get(request, key);
    if (!value || json_is_null(value) ||
        (json_is_number(value) && json_number_value(value) >= min &&
         json_number_value(value) <= max))
        return true;
    return openai_refuse(fault, "invalid_value", key,
                         "Invalid '%s': expected a number from %g to "
                         "%g.",
                         key, min, max);
}

static bool check_integer(const json_t *request, const char *key, struct openai_fault *fault)
{
    const json_t *value = json_object_get(request, key);
    if (value && !json_is_null(value) && !json_is_integer(value))
        return openai_refuse(fault, "invalid_type", key,
                             "Invalid type for '%s': expected an integer.", key);
    return check_number(request, key, 1, TOKENS_MAX, fault);
}

/* The reasoning models take less than the others. */
static bool check_reasoning(const json_t *request, struct openai_fault *fault)
{
    const char *model = js_str(request, "model", "");
    const json_t *temperature = json_object_get(request, "temperature");
    if (strncmp(model, "gpt-5", 5) != 0 && !(model[0] == 'o' && isdigit((unsigned char)model[1])))
        return true;
    if (json_object_get(request, "max_tokens"))
        return openai_refuse(
            fault, "unsupported_parameter", "max_tokens",
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.");
    if (json_is_number(temperature) && json_number_value(temperature) != 1)
        return openai_refuse(
            fault, "unsupported_value", "temperature",
            "Unsupported value: 'temperature' does not support %g with this model. "
            "Only the default (1) value is supported.",
            json_number_value(temperature));
    return true;
}

static bool check_limits(const json_t *request, struct openai_fault *fault)
{
    if (json_object_get(request, "max_tokens") && json_object_get(request, "max_completion_tokens"))
        return openai_refuse(fault, "invalid_parameter_combination", "max_tokens",
                             "Setting 'max_tokens' and 'max_completion_tokens' at the same time is "
                             "not supported.");
    return check_integer(request, "max_tokens", fault) &&
           check_integer(request, "max_completion_tokens", fault) &&
           check_integer(request, "n", fault) &&
           check_number(request, "temperature", 0, 2, fault) &&
           check_number(request, "top_p", 0, 1, fault) && check_reasoning(request, fault);
}

static bool offers(const json_t *tools, const char *name)
{
    size_t i;
    const json_t *tool;
    json_array_foreach(tools, i, tool)
    {
        if (strcmp(js_str(json_object_get(tool, "function"), "name", ""), name) == 0)
            return true;
    }
    return false;
}

static bool check_choice(const json_t *request, struct openai_fault *fault)
{
    const json_t *choice = json_object_get(request, "tool_choice");
    const json_t *tools = json_object_get(request, "tools");
    const char *word = json_string_value(choice);
    const char *name = js_str(json_object_get(choice, "function"), "name", "");
    if (!choice)
        return true;
    if (!tools)
        return openai_refuse(fault, NULL, "tool_choice",
                             "Invalid value for 'tool_choice': 'tool_choice' is only allowed when "
                             "'tools' are specified.");
    if (word &&
        (strcmp(word, "none") == 0 || strcmp(word, "auto") == 0 || strcmp(word, "required") == 0))
        return true;
    if (json_is_object(choice) && offers(tools, name))
        return true;
    return openai_refuse(fault, "invalid_value", "tool_choice", "Invalid value for 'tool_choice'.");
}

static bool check_stream(const json_t *request, struct openai_fault *fault)
{
    static const char *const KNOWN[] = {"include_usage", "include_obfuscation", NULL};
    const json_t *stream = json_object_get(request, "stream");
    const json_t *options = json_object_get(request, "stream_options");
    if (stream && !json_is_boolean(stream) && !json_is_null(stream))
        return openai_refuse(fault, "invalid_type", "stream",
                             "Invalid type for 'stream': expected a boolean.");
    if (!options || json_is_null(options))
        return true;
    if (!json_is_object(options))
        return openai_refuse(fault, "invalid_type", "stream_options",
                             "Invalid type for 'stream_options': expected an object.");
    if (!js_bool(request, "stream", false))
        return openai_refuse(
            fault, NULL, "stream_options",
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.");
    return openai_members_known(options, KNOWN, "stream_options.", fault);
}

static bool check_members(const json_t *request, struct openai_fault *fault)
{
    static const char *const KNOWN[] = {"model",
                                        "messages",
                                        "tools",
                                        "tool_choice",
                                        "parallel_tool_calls",
                                        "stream",
                                        "stream_options",
                                        "max_tokens",
                                        "max_completion_tokens",
                                        "temperature",
                                        "top_p",
                                        "n",
                                        "stop",
                                        "seed",
                                        "user",
                                        "metadata",
                                        "store",
                                        "reasoning_effort",
                                        "verbosity",
                                        "logprobs",
                                        "top_logprobs",
                                        "logit_bias",
                                        "presence_penalty",
                                        "frequency_penalty",
                                        "response_format",
                                        "service_tier",
                                        "modalities",
                                        "prediction",
                                        "safety_identifier",
                                        "prompt_cache_key",
                                        NULL};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)request, key, value)
    {
        const char *const *one = KNOWN;
        while (*one && strcmp(*one, key) != 0)
            one++;
        if (!*one)
            return openai_refuse(fault, NULL, "", "Unrecognized request argument supplied: %.64s",
                                 key);
    }
    if (!json_string_length(json_object_get(request, "model")))
        return openai_refuse(fault, "missing_required_parameter", "model",
                             "you must provide a model parameter");
    if (json_object_get(request, "parallel_tool_calls") && !json_object_get(request, "tools"))
        return openai_refuse(fault, NULL, "parallel_tool_calls",
                             "Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is "
                             "only allowed when 'tools' are specified.");
    return true;
}

bool openai_check(const json_t *request, struct openai_fault *ret_fault)
{
    struct openai_fault fault = {.code = NULL};
    bool fine = check_members(request, &fault) &&
                openai_check_messages(json_object_get(request, "messages"), &fault) &&
                openai_check_tools(json_object_get(request, "tools"), &fault) &&
                check_choice(request, &fault) && check_stream(request, &fault) &&
                check_limits(request, &fault);
    if (!fine)
        *ret_fault = fault;
    return fine;
}
