/* What OpenAI refuses in the messages; and, beyond it, answers to tool calls out of order. */
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "services/sandbox/openai_check.h"

enum { MESSAGES_MAX = 2048, ID_MAX_CHARS = 40, TEXT_MAX_CHARS = 10 << 20, WHERE_SIZE = 64 };

static const struct role {
    const char *name;
    const char *members[8];
    const char *parts[5]; /* types that its content may have */
} ROLES[] = {
    {"system", {"role", "content", "name"}, {"text"}},
    {"developer", {"role", "content", "name"}, {"text"}},
    {"user", {"role", "content", "name"}, {"text", "image_url", "input_audio", "file"}},
    {"assistant",
     {"role", "content", "name", "refusal", "tool_calls", "audio", "function_call"},
     {"text", "refusal"}},
    {"tool", {"role", "content", "tool_call_id"}, {"text"}},
};

static const struct role *find_role(const char *name)
{
    for (size_t i = 0; i < sizeof(ROLES) / sizeof(ROLES[0]); i++)
        if (strcmp(ROLES[i].name, name) == 0)
            return &ROLES[i];
    return NULL;
}

static bool check_part(const json_t *part, const struct role *role, const char *param,
                       struct openai_fault *fault)
{
    const char *type = js_str(part, "type", "");
    const char *const *known = role->parts;
    while (*known && strcmp(*known, type) != 0)
        known++;
    if (!*known)
        return openai_refuse(fault, "invalid_value", param,
                             "Invalid value: '%.64s' in '%s'. A message of the role %s can't have "
                             "such a part.",
                             type, param, role->name);
    if (strcmp(type, "text") == 0 && !json_is_string(json_object_get(part, "text")))
        return openai_refuse(fault, "missing_required_parameter", param,
                             "Missing required parameter: '%s.text'.", param);
    return true;
}

static bool check_content(const json_t *message, const struct role *role, const char *where,
                          struct openai_fault *fault)
{
    const json_t *content = json_object_get(message, "content"), *part;
    size_t i;
    char param[WHERE_SIZE + 16];
    bool optional = strcmp(role->name, "assistant") == 0 &&
                    (json_object_get(message, "tool_calls") || json_object_get(message, "refusal"));
    snprintf(param, sizeof(param), "%s.content", where);
    if (!content || json_is_null(content))
        return optional
                   ? true
                   : openai_refuse(fault, "invalid_type", param,
                                   "Invalid value for '%s': expected a string, got null.", param);
    if (json_is_string(content))
        return openai_text_fits(content, TEXT_MAX_CHARS, param, fault);
    if (!json_is_array(content) || json_array_size(content) == 0)
        return openai_refuse(fault, "invalid_type", param,
                             "Invalid type for '%s': expected a string or an array of parts.",
                             param);
    json_array_foreach(content, i, part) if (!check_part(part, role, param, fault)) return false;
    return true;
}

static bool check_call(const json_t *call, const json_t *calls, size_t index, const char *where,
                       struct openai_fault *fault)
{
    static const char *const KNOWN[] = {"id", "type", "function", NULL};
    static const char *const OF_FUNCTION[] = {"name", "arguments", NULL};
    const json_t *function = json_object_get(call, "function");
    const char *id = js_str(call, "id", "");
    char param[WHERE_SIZE + 64];
    snprintf(param, sizeof(param), "%s.tool_calls[%zu].", where, index);
    if (!openai_members_known(call, KNOWN, param, fault) ||
        !openai_members_known(function, OF_FUNCTION, param, fault))
        return false;
    if (!*id || strcmp(js_str(call, "type", ""), "function") != 0 ||
        !js_str(function, "arguments", NULL))
        return openai_refuse(fault, "missing_required_parameter", param,
                             "Missing required parameter: '%sid', type or function.", param);
    if (!openai_name_is_valid(js_str(function, "name", "")))
        return openai_refuse(fault, "invalid_value", param,
                             "Invalid '%sfunction.name': string does not match pattern. Expected a "
                             "string that matches the pattern '^[a-zA-Z0-9_-]+$'.",
                             param);
    for (size_t i = 0; i < index; i++)
        if (strcmp(js_str(json_array_get(calls, i), "id", ""), id) == 0)
            return openai_refuse(fault, "invalid_value", param, "Duplicate value for '%sid'.",
                                 param);
    snprintf(param, sizeof(param), "%s.tool_calls[%zu].id", where, index);
    return openai_text_fits(json_object_get(call, "id"), ID_MAX_CHARS, param, fault);
}

static bool check_calls(const json_t *calls, const char *where, struct openai_fault *fault)
{
    size_t i;
    const json_t *call;
    if (!calls)
        return true;
    if (!json_is_array(calls) || json_array_size(calls) == 0 ||
        json_array_size(calls) > OPENAI_CALLS_MAX)
        return openai_refuse(
            fault, json_array_size(calls) ? "array_above_max_length" : "empty_array", "messages",
            "Invalid '%s.tool_calls': expected an array of 1 to %d calls.", where,
            OPENAI_CALLS_MAX);
    json_array_foreach(calls, i, call) if (!check_call(call, calls, i, where, fault)) return false;
    return true;
}

static bool check_message(const json_t *message, size_t index, struct openai_fault *fault)
{
    const char *name = js_str(message, "role", "");
    const struct role *role = find_role(name);
    char where[WHERE_SIZE], prefix[WHERE_SIZE + 1];
    snprintf(where, sizeof(where), "messages[%zu]", index);
    snprintf(prefix, sizeof(prefix), "%s.", where);
    if (!role)
        return openai_refuse(fault, "invalid_value", "messages",
                             "Invalid value: '%.64s' for '%s.role'.", name, where);
    if (!openai_members_known(message, role->members, prefix, fault) ||
        !check_content(message, role, where, fault))
        return false;
    if (strcmp(name, "tool") == 0 && !*js_str(message, "tool_call_id", ""))
        return openai_refuse(fault, "missing_required_parameter", prefix,
                             "Missing required parameter: '%stool_call_id'.", prefix);
    const char *sender = js_str(message, "name", NULL);
    if (sender && !openai_name_is_valid(sender))
        return openai_refuse(fault, "invalid_value", prefix,
                             "Invalid '%sname': string does not match pattern.", prefix);
    return check_calls(json_object_get(message, "tool_calls"), where, fault);
}

static bool is_tool(const json_t *message)
{
    return strcmp(js_str(message, "role", ""), "tool") == 0;
}

/* Right behind an assistant's calls: one tool message for each, in their order, and no other. */
static bool check_answers(const json_t *messages, size_t *index_p, struct openai_fault *fault)
{
    const json_t *calls = json_object_get(json_array_get(messages, *index_p), "tool_calls"), *call;
    size_t i, at = *index_p + 1;
    json_array_foreach(calls, i, call)
    {
        const json_t *message = json_array_get(messages, at + i);
        const char *id = js_str(call, "id", "");
        if (!is_tool(message))
            return openai_refuse(
                fault, NULL, "messages",
                "An assistant message with 'tool_calls' must be followed by tool messages "
                "responding to each 'tool_call_id'. The following tool_call_ids did not have "
                "response messages: %.64s",
                id);
        if (strcmp(js_str(message, "tool_call_id", ""), id) != 0)
            return openai_refuse(
                fault, NULL, "messages",
                "The tool message at messages[%zu] answers %.64s, where it is %.64s "
                "that is to be answered.",
                at + i, js_str(message, "tool_call_id", ""), id);
    }
    *index_p = at + json_array_size(calls);
    return true;
}

bool openai_check_messages(const json_t *messages, struct openai_fault *fault)
{
    size_t i;
    const json_t *message;
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return openai_refuse(fault, messages ? "empty_array" : "missing_required_parameter",
                             "messages", "Missing required parameter: 'messages'.");
    if (json_array_size(messages) > MESSAGES_MAX)
        return openai_refuse(fault, "array_above_max_length", "messages", "Too many messages.");
    json_array_foreach(messages, i, message) if (!check_message(message, i, fault)) return false;
    for (i = 0; i < json_array_size(messages);) {
        if (is_tool(json_array_get(messages, i)))
            return openai_refuse(
                fault, NULL, "messages",
                "Invalid parameter: messages with role 'tool' must be a response to a preceeding "
                "message with 'tool_calls'.");
        if (!json_object_get(json_array_get(messages, i), "tool_calls"))
            i++;
        else if (!check_answers(messages, &i, fault))
            return false;
    }
    return true;
}
