/* What OpenAI refuses with a 400. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "services/sandbox/openai.h"

enum { TOOLS_MAX = 128, NAME_MAX_BYTES = 64, MESSAGES_MAX = 2048, CALLS_MAX = 128 };

__attribute__((format(printf, 4, 5))) static bool
refuse(struct openai_fault *fault, const char *code, const char *param, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(fault->message, sizeof(fault->message), fmt, args);
    va_end(args);
    snprintf(fault->param, sizeof(fault->param), "%s", param);
    fault->code = code;
    /* A cut may have split a character. */
    if (!js_is_utf8(fault->message, strlen(fault->message)))
        snprintf(fault->message, sizeof(fault->message), "Invalid value for '%s'.", fault->param);
    return false;
}

static bool name_is_valid(const char *name)
{
    size_t len = strlen(name);
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-')
            return false;
    return len >= 1 && len <= NAME_MAX_BYTES;
}

static bool check_tools(const json_t *tools, struct openai_fault *fault)
{
    size_t i, j;
    const json_t *tool;
    char param[64];
    if (!tools)
        return true;
    if (!json_is_array(tools) || json_array_size(tools) == 0)
        return refuse(fault, "empty_array", "tools",
                      "Invalid 'tools': empty array. Expected an array with minimum length 1.");
    if (json_array_size(tools) > TOOLS_MAX)
        return refuse(fault, "array_above_max_length", "tools",
                      "Invalid 'tools': array too long. Expected an array with maximum length %d, "
                      "but got an array with length %zu instead.",
                      TOOLS_MAX, json_array_size(tools));
    json_array_foreach(tools, i, tool)
    {
        const json_t *function = json_object_get(tool, "function");
        const json_t *parameters = json_object_get(function, "parameters");
        const char *name = js_str(function, "name", "");
        snprintf(param, sizeof(param), "tools[%zu].function.name", i);
        if (strcmp(js_str(tool, "type", ""), "function") != 0 || !json_is_object(function))
            return refuse(fault, "invalid_value", "tools", "Invalid 'tools[%zu]'.", i);
        if (!name_is_valid(name))
            return refuse(fault, "invalid_value", param,
                          "Invalid '%s': string does not match pattern. Expected a string that "
                          "matches the pattern '^[a-zA-Z0-9_-]{1,64}$'.",
                          param);
        if (parameters && strcmp(js_str(parameters, "type", ""), "object") != 0)
            return refuse(
                fault, "invalid_function_parameters", "tools",
                "Invalid schema for function '%s': schema must be a JSON Schema of 'type: "
                "\"object\"'.",
                name);
        for (j = 0; j < i; j++)
            if (strcmp(js_str(json_object_get(json_array_get(tools, j), "function"), "name", ""),
                       name) == 0)
                return refuse(fault, "invalid_value", "tools", "Tool names must be unique.");
    }
    return true;
}

static bool content_is_valid(const json_t *content)
{
    size_t i;
    const json_t *part;
    if (json_is_string(content))
        return true;
    json_array_foreach(content, i, part) if (!js_str(part, "type", NULL)) return false;
    return json_is_array(content) && json_array_size(content) > 0;
}

static bool check_calls(const json_t *calls, size_t index, struct openai_fault *fault)
{
    size_t i;
    const json_t *call;
    if (!calls)
        return true;
    if (!json_is_array(calls) || json_array_size(calls) == 0 || json_array_size(calls) > CALLS_MAX)
        return refuse(fault, "invalid_value", "messages",
                      "Invalid 'messages[%zu].tool_calls': expected an array of 1 to %d calls.",
                      index, CALLS_MAX);
    json_array_foreach(calls, i, call)
    {
        const json_t *function = json_object_get(call, "function");
        if (!*js_str(call, "id", "") || strcmp(js_str(call, "type", ""), "function") != 0 ||
            !name_is_valid(js_str(function, "name", "")) || !js_str(function, "arguments", NULL))
            return refuse(fault, "invalid_value", "messages",
                          "Invalid 'messages[%zu].tool_calls[%zu]'.", index, i);
    }
    return true;
}

static bool check_message(const json_t *message, size_t index, struct openai_fault *fault)
{
    static const char *const ROLES[] = {"system", "developer", "user", "assistant", "tool", NULL};
    const char *role = js_str(message, "role", "");
    const json_t *content = json_object_get(message, "content");
    const json_t *calls = json_object_get(message, "tool_calls");
    bool known = false, assistant = strcmp(role, "assistant") == 0;
    for (int i = 0; ROLES[i]; i++)
        known = known || strcmp(role, ROLES[i]) == 0;
    if (!known)
        return refuse(fault, "invalid_value", "messages",
                      "Invalid value: '%.64s' for 'messages[%zu].role'.", role, index);
    if (calls && !assistant)
        return refuse(fault, "invalid_value", "messages",
                      "'messages[%zu].tool_calls' is only allowed for the role assistant.", index);
    bool optional = assistant && calls && (!content || json_is_null(content));
    if (!optional && !content_is_valid(content))
        return refuse(fault, "invalid_type", "messages",
                      "Invalid value for 'messages[%zu].content': expected a string, got %s.",
                      index, content ? "something else" : "null");
    return check_calls(calls, index, fault);
}

static bool answers(const json_t *messages, size_t index, const char *id)
{
    const json_t *message = json_array_get(messages, index);
    return strcmp(js_str(message, "role", ""), "tool") == 0 &&
           strcmp(js_str(message, "tool_call_id", ""), id) == 0;
}

/* The tool messages right behind an assistant's calls: one for each, and no other. */
static bool check_answers(const json_t *messages, size_t *index_p, struct openai_fault *fault)
{
    const json_t *calls = json_object_get(json_array_get(messages, *index_p), "tool_calls"), *call;
    size_t i, first = *index_p + 1, end = first, k;
    while (strcmp(js_str(json_array_get(messages, end), "role", ""), "tool") == 0)
        end++;
    json_array_foreach(calls, i, call)
    {
        size_t count = 0;
        for (k = first; k < end; k++)
            count += answers(messages, k, js_str(call, "id", ""));
        if (count != 1)
            return refuse(
                fault, NULL, "messages",
                "An assistant message with 'tool_calls' must be followed by tool messages "
                "responding to each 'tool_call_id'. The following tool_call_ids %s: %.64s",
                count ? "have more than one response" : "did not have response messages",
                js_str(call, "id", ""));
    }
    if (end - first != json_array_size(calls))
        return refuse(fault, NULL, "messages",
                      "Invalid parameter: messages with role 'tool' must be a response to a "
                      "preceeding message with 'tool_calls'.");
    *index_p = end;
    return true;
}

static bool check_messages(const json_t *messages, struct openai_fault *fault)
{
    size_t i;
    const json_t *message;
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return refuse(fault, messages ? "empty_array" : "missing_required_parameter", "messages",
                      "Missing required parameter: 'messages'.");
    if (json_array_size(messages) > MESSAGES_MAX)
        return refuse(fault, "array_above_max_length", "messages", "Too many messages.");
    json_array_foreach(messages, i, message) if (!check_message(message, i, fault)) return false;
    for (i = 0; i < json_array_size(messages);) {
        const char *role = js_str(json_array_get(messages, i), "role", "");
        if (strcmp(role, "tool") == 0)
            return refuse(fault, NULL, "messages",
                          "Invalid parameter: messages with role 'tool' must be a response to a "
                          "preceeding message with 'tool_calls'.");
        if (!json_object_get(json_array_get(messages, i), "tool_calls"))
            i++;
        else if (!check_answers(messages, &i, fault))
            return false;
    }
    return true;
}

static bool check_options(const json_t *request, struct openai_fault *fault)
{
    const json_t *stream = json_object_get(request, "stream");
    const json_t *temperature = json_object_get(request, "temperature");
    bool streaming = js_bool(request, "stream", false);
    if (stream && !json_is_boolean(stream) && !json_is_null(stream))
        return refuse(fault, "invalid_type", "stream",
                      "Invalid type for 'stream': expected a boolean.");
    if (temperature && !json_is_null(temperature) &&
        (!json_is_number(temperature) || json_number_value(temperature) < 0 ||
         json_number_value(temperature) > 2))
        return refuse(fault, "invalid_value", "temperature", "Invalid 'temperature': 0 to 2.");
    if (json_object_get(request, "tool_choice") && !json_object_get(request, "tools"))
        return refuse(fault, NULL, "tool_choice",
                      "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' "
                      "are specified.");
    if (json_object_get(request, "parallel_tool_calls") && !json_object_get(request, "tools"))
        return refuse(fault, NULL, "parallel_tool_calls",
                      "Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is only "
                      "allowed when 'tools' are specified.");
    if (json_is_object(json_object_get(request, "stream_options")) && !streaming)
        return refuse(fault, NULL, "stream_options",
                      "The 'stream_options' parameter is only allowed when 'stream' is enabled.");
    return true;
}

bool openai_check(const json_t *request, struct openai_fault *ret_fault)
{
    struct openai_fault fault = {.code = NULL};
    bool fine;
    if (!*js_str(request, "model", ""))
        fine = refuse(&fault, "missing_required_parameter", "model",
                      "you must provide a model parameter");
    else
        fine = check_messages(json_object_get(request, "messages"), &fault) &&
               check_tools(json_object_get(request, "tools"), &fault) &&
               check_options(request, &fault);
    if (!fine)
        *ret_fault = fault;
    return fine;
}
