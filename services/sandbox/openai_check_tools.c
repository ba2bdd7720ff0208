/* What OpenAI refuses in the tools: names, sizes, and schemas that are none. */
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "services/sandbox/openai_check.h"

enum { DESCRIPTION_MAX_CHARS = 1024, DEPTH_MAX = 64 };

struct schema {
    const json_t *root;
    const char *name, *param;
    struct openai_fault *fault;
};

static bool refuse(const struct schema *schema, const char *why, const char *what)
{
    return openai_refuse(schema->fault, "invalid_function_parameters", schema->param,
                         "Invalid schema for function '%.64s': %s%.100s.", schema->name, why, what);
}

static bool is_type(const char *name)
{
    static const char *const TYPES[] = {"string", "number", "integer", "boolean",
                                        "object", "array",  "null",    NULL};
    for (int i = 0; TYPES[i]; i++)
        if (strcmp(TYPES[i], name) == 0)
            return true;
    return false;
}

static bool has_type(const json_t *type, const char *name)
{
    size_t i;
    const json_t *one;
    if (json_is_string(type))
        return strcmp(json_string_value(type), name) == 0;
    json_array_foreach(type, i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), name) == 0)
            return true;
    }
    return false;
}

static bool check_type(const struct schema *schema, const json_t *type)
{
    size_t i;
    const json_t *one;
    if (!type || (json_is_string(type) && is_type(json_string_value(type))))
        return true;
    if (!json_is_array(type) || json_array_size(type) == 0)
        return refuse(schema, "not a type: ", json_is_string(type) ? json_string_value(type) : "");
    json_array_foreach(type, i, one)
    {
        if (!json_is_string(one) || !is_type(json_string_value(one)))
            return refuse(schema, "not a list of types", "");
    }
    return true;
}

/* Only "#" and "#/…" into the schema itself. */
static bool check_reference(const struct schema *schema, const json_t *reference)
{
    const char *path = json_string_value(reference);
    const json_t *at = schema->root;
    if (!reference)
        return true;
    if (!path || path[0] != '#')
        return refuse(schema, "reference can only point to definitions defined at the top level",
                      "");
    for (path++; *path == '/' && at;) {
        char key[256];
        size_t len = strcspn(++path, "/");
        if (len >= sizeof(key))
            return refuse(schema, "reference is too long", "");
        memcpy(key, path, len);
        key[len] = 0;
        at = json_object_get(at, key);
        path += len;
    }
    return at && !*path ? true
                        : refuse(schema, "reference to a component which was not found: ",
                                 json_string_value(reference));
}

static bool check_one(const struct schema *schema, const json_t *value, int depth);

static bool check_members(const struct schema *schema, const json_t *object, int depth)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key,
                        value) if (!check_one(schema, value, depth)) return false;
    return true;
}

static bool check_list(const struct schema *schema, const json_t *list, int depth)
{
    size_t i;
    const json_t *value;
    if (!list)
        return true;
    if (!json_is_array(list) || json_array_size(list) == 0)
        return refuse(schema, "expected a list of schemas", "");
    json_array_foreach(list, i, value) if (!check_one(schema, value, depth)) return false;
    return true;
}

static bool check_words(const struct schema *schema, const json_t *value)
{
    const json_t *required = json_object_get(value, "required"), *one;
    const json_t *words = json_object_get(value, "enum");
    size_t i;
    if (required && !json_is_array(required))
        return refuse(schema, "'required' is not of type 'array'", "");
    json_array_foreach(required, i, one) if (!json_is_string(one)) return refuse(
        schema, "'required' holds what is no string", "");
    if (words && (!json_is_array(words) || json_array_size(words) == 0))
        return refuse(schema, "'enum' is not a list of values", "");
    return true;
}

static bool check_one(const struct schema *schema, const json_t *value, int depth)
{
    static const char *const MAPS[] = {"properties", "patternProperties", "$defs", "definitions",
                                       NULL};
    static const char *const LISTS[] = {"anyOf", "oneOf", "allOf", NULL};
    static const char *const ONES[] = {"items", "additionalProperties", "not", NULL};
    const json_t *type = json_object_get(value, "type"), *part;
    if (json_is_boolean(value))
        return true;
    if (!json_is_object(value) || depth > DEPTH_MAX)
        return refuse(schema, "a schema that is not of type 'object', 'boolean'", "");
    if (!check_type(schema, type) || !check_words(schema, value) ||
        !check_reference(schema, json_object_get(value, "$ref")))
        return false;
    if (has_type(type, "array") && !json_object_get(value, "items"))
        return refuse(schema, "array schema missing items", "");
    for (int i = 0; MAPS[i]; i++)
        if ((part = json_object_get(value, MAPS[i])) &&
            (!json_is_object(part) || !check_members(schema, part, depth + 1)))
            return json_is_object(part) ? false : refuse(schema, "not of type 'object': ", MAPS[i]);
    for (int i = 0; LISTS[i]; i++)
        if (!check_list(schema, json_object_get(value, LISTS[i]), depth + 1))
            return false;
    for (int i = 0; ONES[i]; i++)
        if ((part = json_object_get(value, ONES[i])) && !check_one(schema, part, depth + 1))
            return false;
    return true;
}

bool openai_check_schema(const json_t *parameters, const char *name, const char *param,
                         struct openai_fault *fault)
{
    static const char *const BANNED[] = {"oneOf", "anyOf", "allOf", "enum", "not", NULL};
    struct schema schema = {parameters, name, param, fault};
    if (!parameters)
        return true;
    bool fine = json_is_object(parameters) && strcmp(js_str(parameters, "type", ""), "object") == 0;
    for (int i = 0; BANNED[i]; i++)
        fine = fine && !json_object_get(parameters, BANNED[i]);
    if (!fine)
        return refuse(&schema,
                      "schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/"
                      "'not' at the top level",
                      "");
    return check_one(&schema, parameters, 0);
}

static bool check_tool(const json_t *tool, size_t index, struct openai_fault *fault)
{
    static const char *const KNOWN[] = {"type", "function", NULL};
    static const char *const OF_FUNCTION[] = {"name", "description", "parameters", "strict", NULL};
    const json_t *function = json_object_get(tool, "function");
    const json_t *description = json_object_get(function, "description");
    const char *name = js_str(function, "name", "");
    char where[64], param[96];
    snprintf(where, sizeof(where), "tools[%zu].", index);
    if (strcmp(js_str(tool, "type", ""), "function") != 0 || !json_is_object(function))
        return openai_refuse(fault, "invalid_value", "tools", "Invalid 'tools[%zu]'.", index);
    if (!openai_members_known(tool, KNOWN, where, fault))
        return false;
    snprintf(where, sizeof(where), "tools[%zu].function.", index);
    if (!openai_members_known(function, OF_FUNCTION, where, fault))
        return false;
    snprintf(param, sizeof(param), "%sname", where);
    if (!openai_name_is_valid(name))
        return openai_refuse(fault, "invalid_value", param,
                             "Invalid '%s': string does not match pattern. Expected a string that "
                             "matches the pattern '^[a-zA-Z0-9_-]{1,64}$'.",
                             param);
    snprintf(param, sizeof(param), "%sdescription", where);
    if (description && !json_is_string(description))
        return openai_refuse(fault, "invalid_type", param, "Invalid type for '%s'.", param);
    if (!openai_text_fits(description, DESCRIPTION_MAX_CHARS, param, fault))
        return false;
    snprintf(param, sizeof(param), "%sparameters", where);
    return openai_check_schema(json_object_get(function, "parameters"), name, param, fault);
}

bool openai_check_tools(const json_t *tools, struct openai_fault *fault)
{
    size_t i;
    const json_t *tool;
    if (!tools)
        return true;
    if (!json_is_array(tools) || json_array_size(tools) == 0)
        return openai_refuse(fault, "empty_array", "tools",
                             "Invalid 'tools': empty array. Expected an array with minimum length "
                             "1.");
    if (json_array_size(tools) > OPENAI_TOOLS_MAX)
        return openai_refuse(
            fault, "array_above_max_length", "tools",
            "Invalid 'tools': array too long. Expected an array with maximum length "
            "%d, but got an array with length %zu instead.",
            OPENAI_TOOLS_MAX, json_array_size(tools));
    AUTOJSON json_t *names = json_object();
    json_array_foreach(tools, i, tool)
    {
        if (!check_tool(tool, i, fault))
            return false;
        const char *name = js_str(json_object_get(tool, "function"), "name", "");
        if (json_object_get(names, name))
            return openai_refuse(fault, "invalid_value", "tools", "Tool names must be unique.");
        json_object_set_new(names, name, json_true());
    }
    return true;
}
