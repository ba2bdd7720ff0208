#include "services/sandbox/fields.h"

#include <stdbool.h>
#include <string.h>

enum { DEPTH_MAX = 16, FIELDS_MAX = 4096, NAME_MAX_BYTES = 128 };

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

/* The selection as a tree: {name: {…}}; an empty one means everything below. */
static bool read_list(const char **at, json_t *tree, int depth);

static bool read_below(const char **at, json_t *tree, int depth)
{
    if (**at == '(') {
        ++*at;
        if (!read_list(at, tree, depth + 1) || **at != ')')
            return false;
        ++*at;
        return true;
    }
    return true;
}

static bool read_path(const char **at, json_t *tree, int depth)
{
    char name[NAME_MAX_BYTES];
    size_t len = **at == '*' ? 1 : strspn(*at, NAME_CHARACTERS);
    if (depth > DEPTH_MAX || len == 0 || len >= sizeof(name))
        return false;
    memcpy(name, *at, len);
    name[len] = 0;
    *at += len;
    json_t *below = json_object_get(tree, name);
    if (!below) {
        below = json_object();
        json_object_set_new(tree, name, below);
    }
    /* The newer APIs take a point as well. */
    if (**at == '/' || **at == '.') {
        ++*at;
        return read_path(at, below, depth + 1);
    }
    return read_below(at, below, depth);
}

static bool read_list(const char **at, json_t *tree, int depth)
{
    for (;;) {
        *at += strspn(*at, " ");
        if (!read_path(at, tree, depth))
            return false;
        *at += strspn(*at, " ");
        if (**at != ',')
            return true;
        ++*at;
    }
}

static json_t *pick(const json_t *value, const json_t *tree)
{
    const char *key;
    json_t *member, *below;
    size_t i;
    if (json_object_size(tree) == 0)
        return json_incref((json_t *)value);
    if (json_is_array(value)) {
        json_t *list = json_array();
        json_array_foreach(value, i, member) json_array_append_new(list, pick(member, tree));
        return list;
    }
    if (!json_is_object(value))
        return json_incref((json_t *)value);
    json_t *object = json_object();
    const json_t *all = json_object_get(tree, "*");
    json_object_foreach((json_t *)value, key, member)
    {
        below = json_object_get(tree, key);
        if (below || all)
            json_object_set_new(object, key, pick(member, below ? below : all));
    }
    return object;
}

enum err fields_pick(const json_t *value, const char *fields, json_t **ret_picked)
{
    const char *at = fields;
    if (strlen(fields) > FIELDS_MAX)
        return ERR_INVALID;
    json_t *tree = json_object();
    bool good = read_list(&at, tree, 0) && !*at;
    if (good)
        *ret_picked = pick(value, tree);
    json_decref(tree);
    return good ? ERR_OK : ERR_INVALID;
}
