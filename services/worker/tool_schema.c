#include "services/worker/tool_schema.h"

#include <stdbool.h>
#include <string.h>

#include "libcommon/js.h"

enum { SCHEMA_MAX = 32 << 10, KEY_MAX = 256, DEPTH_MAX = 60 };

static bool is_type(const json_t *name)
{
    static const char *const types[] = {"string", "number", "integer", "boolean",
                                        "object", "array",  "null"};
    for (size_t i = 0; json_is_string(name) && i < sizeof types / sizeof *types; i++)
        if (strcmp(json_string_value(name), types[i]) == 0)
            return true;
    return false;
}

static bool has_type(const json_t *type, const char *name)
{
    size_t i;
    json_t *one;
    if (json_is_string(type))
        return strcmp(json_string_value(type), name) == 0;
    json_array_foreach(type, i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), name) == 0)
            return true;
    }
    return false;
}

/* Drops what is no type; without a type, anything fits. */
static void fix_type(json_t *schema)
{
    json_t *type = json_object_get(schema, "type");
    if (!type || is_type(type))
        return;
    for (size_t i = json_array_size(type); i-- > 0;)
        if (!is_type(json_array_get(type, i)))
            json_array_remove(type, i);
    if (!json_array_size(type))
        json_object_del(schema, "type");
}

/* Earlier drafts describe an array by a list of its items' schemas. */
static void fix_items(json_t *schema)
{
    json_t *items = json_object_get(schema, "items");
    if (json_is_array(items))
        json_object_set_new(schema, "items",
                            json_array_size(items) ? json_pack("{s:O}", "anyOf", items)
                                                   : json_object());
    else if (items && !json_is_object(items) && !json_is_boolean(items))
        json_object_del(schema, "items");
    if (has_type(json_object_get(schema, "type"), "array") && !json_object_get(schema, "items"))
        json_object_set_new(schema, "items", json_object());
}

static void fix_words(json_t *schema)
{
    json_t *required = json_object_get(schema, "required");
    json_t *words = json_object_get(schema, "enum");
    if (words && !json_array_size(words))
        json_object_del(schema, "enum");
    for (size_t i = json_array_size(required); i-- > 0;)
        if (!json_is_string(json_array_get(required, i)))
            json_array_remove(required, i);
    if (required && !json_is_array(required))
        json_object_del(schema, "required");
}

/* "#", or "#/a/b" that is there. */
static bool leads_somewhere(const json_t *root, const json_t *reference)
{
    const char *path = json_string_value(reference);
    if (!path || *path++ != '#')
        return false;
    while (*path == '/' && root) {
        char key[KEY_MAX];
        size_t len = strcspn(++path, "/");
        if (len >= sizeof key)
            return false;
        memcpy(key, path, len);
        key[len] = '\0';
        root = json_object_get(root, key);
        path += len;
    }
    return root && !*path;
}

static json_t *fix(const json_t *root, json_t *schema, int depth);

/* The members of a map of schemas. */
static void fix_map(const json_t *root, json_t *schema, const char *name, int depth)
{
    json_t *map = json_object_get(schema, name), *value;
    const char *key;
    void *next;
    if (map && !json_is_object(map)) {
        json_object_del(schema, name);
        return;
    }
    json_object_foreach_safe(map, next, key, value)
    {
        json_object_set_new(map, key, fix(root, value, depth));
    }
}

static void fix_list(const json_t *root, json_t *schema, const char *name, int depth)
{
    json_t *list = json_object_get(schema, name), *value;
    size_t i;
    if (list && !json_array_size(list))
        json_object_del(schema, name);
    else
        json_array_foreach(list, i, value) json_array_set_new(list, i, fix(root, value, depth));
}

/* A new reference to what is to stand there: the schema itself, or one that fits anything. */
static json_t *fix(const json_t *root, json_t *schema, int depth)
{
    static const char *const maps[] = {"properties", "patternProperties", "$defs", "definitions"};
    static const char *const lists[] = {"anyOf", "oneOf", "allOf"};
    static const char *const ones[] = {"items", "additionalProperties", "not"};
    if (json_is_boolean(schema))
        return json_incref(schema);
    if (!json_is_object(schema) || depth > DEPTH_MAX)
        return json_object();
    fix_type(schema);
    fix_items(schema);
    fix_words(schema);
    json_t *reference = json_object_get(schema, "$ref");
    if (reference && !leads_somewhere(root, reference))
        json_object_del(schema, "$ref");
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        fix_map(root, schema, maps[i], depth + 1);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        fix_list(root, schema, lists[i], depth + 1);
    for (size_t i = 0; i < sizeof ones / sizeof *ones; i++) {
        json_t *value = json_object_get(schema, ones[i]);
        if (value)
            json_object_set_new(schema, ones[i], fix(root, value, depth + 1));
    }
    return json_incref(schema);
}

/* What the alternatives at the top name becomes optional members: no combinator may stand there. */
static void flatten(json_t *schema)
{
    static const char *const banned[] = {"anyOf", "oneOf", "allOf", "enum", "not"};
    json_t *properties = json_object_get(schema, "properties"), *one;
    size_t index;
    for (size_t i = 0; i < sizeof banned / sizeof *banned; i++) {
        json_array_foreach(json_object_get(schema, banned[i]), index, one)
        {
            json_t *members = json_object_get(one, "properties");
            if (json_is_object(members))
                json_object_update_missing(properties, members);
        }
        json_object_del(schema, banned[i]);
    }
}

json_t *tool_schema(const json_t *schema)
{
    AUTOJSON json_t *copy = json_is_object(schema) && js_dump_size(schema) <= SCHEMA_MAX
                                ? json_deep_copy(schema)
                                : json_object();
    json_object_set_new(copy, "type", json_string("object"));
    json_object_del(copy, "$schema");
    if (!json_is_object(json_object_get(copy, "properties")))
        json_object_set_new(copy, "properties", json_object());
    flatten(copy);
    /* References are judged by the copy as it is while it is mended: nothing of it moves. */
    return fix(copy, copy, 0);
}
