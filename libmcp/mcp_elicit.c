#include "libmcp/mcp_elicit.h"

#include <stdbool.h>
#include <string.h>

#include "libcommon/js.h"

enum { FIELDS_MAX = 256, REQUESTS_MAX = 64 };

static bool are_strings(const json_t *list)
{
    size_t index;
    json_t *item;
    json_array_foreach(list, index, item)
    {
        if (!json_is_string(item))
            return false;
    }
    return json_is_array(list);
}

static bool fits(const json_t *value, const json_t *field)
{
    const char *type = js_str(field, "type", "string");
    if (strcmp(type, "string") == 0)
        return json_is_string(value);
    if (strcmp(type, "boolean") == 0)
        return json_is_boolean(value);
    if (strcmp(type, "integer") == 0)
        return json_is_integer(value);
    if (strcmp(type, "number") == 0)
        return json_is_number(value);
    return strcmp(type, "array") == 0 && are_strings(value);
}

static json_t *defaults(json_t *fields)
{
    const char *key;
    json_t *field, *content = json_object();
    json_object_foreach(fields, key, field)
    {
        json_t *value = json_object_get(field, "default");
        if (value && fits(value, field))
            json_object_set(content, key, value);
    }
    return content;
}

static bool has_all(const json_t *content, const json_t *required)
{
    size_t index;
    json_t *key;
    json_array_foreach(required, index, key)
    {
        const char *name = json_string_value(key);
        if (!name || !json_object_get(content, name))
            return false;
    }
    return true;
}

json_t *mcp_elicit_answer(const json_t *params)
{
    json_t *schema = json_object_get(params, "requestedSchema");
    json_t *fields = json_object_get(schema, "properties");
    bool is_form = strcmp(js_str(params, "mode", "form"), "form") == 0;
    if (!is_form || json_object_size(fields) > FIELDS_MAX)
        return json_pack("{s:s}", "action", "decline");
    AUTOJSON json_t *content = defaults(fields);
    if (!json_object_size(content) || !has_all(content, json_object_get(schema, "required")))
        return json_pack("{s:s}", "action", "decline");
    return json_pack("{s:s, s:O}", "action", "accept", "content", content);
}

json_t *mcp_input_responses(json_t *requests)
{
    const char *key;
    json_t *request, *responses = json_object();
    json_object_foreach(requests, key, request)
    {
        bool known = strcmp(js_str(request, "method", ""), "elicitation/create") == 0;
        if (!known || json_object_size(responses) == REQUESTS_MAX) {
            json_decref(responses);
            return NULL;
        }
        json_object_set_new(responses, key, mcp_elicit_answer(json_object_get(request, "params")));
    }
    return responses;
}
