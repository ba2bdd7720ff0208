#include "services/google/schema.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"

__attribute__((format(printf, 2, 3))) static enum err refuse(char *ret_why, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(ret_why, SCHEMA_WHY_SIZE, fmt, ap);
    va_end(ap);
    return ERR_INVALID;
}

static size_t characters(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static const char *type_words(const char *type)
{
    static const char *const words[][2] = {
        {"string", "a text"},         {"integer", "a whole number"}, {"number", "a number"},
        {"boolean", "true or false"}, {"array", "a list"},           {"object", "an object"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i][0], type) == 0)
            return words[i][1];
    return type;
}

/* Many models write numbers, truth values and lists as texts, and hosts in other languages take
 * them. New; NULL: the text is none of the type. */
static json_t *from_text(const char *type, const char *text)
{
    size_t sign = *text == '-', digits = strspn(text + sign, "0123456789");
    json_t *list = NULL;
    if (strcmp(type, "integer") == 0 && digits && digits <= 15 && !text[sign + digits])
        return json_integer(strtoll(text, NULL, 10));
    if (strcmp(type, "boolean") == 0 && strcasecmp(text, "true") == 0)
        return json_true();
    if (strcmp(type, "boolean") == 0 && strcasecmp(text, "false") == 0)
        return json_false();
    if (strcmp(type, "array") == 0 && *text == '[' &&
        js_parse(text, strlen(text), &list, NULL) == ERR_OK && json_is_array(list))
        return list;
    json_decref(list);
    return NULL;
}

/* The value as the type, new; NULL when it is of another. */
static json_t *as_one_type(const char *type, json_t *value)
{
    double real = json_is_real(value) ? json_real_value(value) : 0;
    if (strcmp(type, "integer") == 0 && json_is_real(value) && real >= -1e15 && real <= 1e15 &&
        real == (double)(json_int_t)real)
        return json_integer((json_int_t)real);
    bool fits = (strcmp(type, "string") == 0 && json_is_string(value)) ||
                (strcmp(type, "integer") == 0 && json_is_integer(value)) ||
                (strcmp(type, "number") == 0 && json_is_number(value)) ||
                (strcmp(type, "boolean") == 0 && json_is_boolean(value)) ||
                (strcmp(type, "array") == 0 && json_is_array(value)) ||
                (strcmp(type, "object") == 0 && json_is_object(value));
    return fits ? json_incref(value) : NULL;
}

/* The same for a schema's type, which may be a list of several (or NULL: a text). */
static json_t *as_type(const json_t *type, json_t *value)
{
    size_t i;
    json_t *one, *typed = NULL;
    if (!json_is_array(type))
        return as_one_type(type ? json_string_value(type) : "string", value);
    json_array_foreach(type, i, one)
    {
        typed = typed ? typed : as_one_type(json_string_value(one), value);
    }
    return typed;
}

/* Ids have no white space, but what is copied out of a text may. */
static json_t *without_space(const char *text)
{
    static const char space[] = " \t\r\n";
    text += strspn(text, space);
    size_t len = strlen(text);
    while (len && strchr(space, text[len - 1]))
        len--;
    return json_stringn(text, len);
}

static bool is_id(const char *name)
{
    size_t len = strlen(name);
    return len > 3 && strcmp(name + len - 3, "_id") == 0;
}

/* The same for an argument, which may be a text that stands for a value of the first type. */
static json_t *as_argument(const json_t *type, json_t *value)
{
    const json_t *first = json_is_array(type) ? json_array_get(type, 0) : type;
    json_t *read = first && json_is_string(value)
                       ? from_text(json_string_value(first), json_string_value(value))
                       : NULL;
    return read ? read : as_type(type, value);
}

/* "a list or a text" */
static void add_type_words(struct buf *out, const json_t *type)
{
    size_t i;
    json_t *one;
    if (!json_is_array(type))
        buf_add_str(out, type_words(type ? json_string_value(type) : "string"));
    json_array_foreach(type, i, one)
    {
        buf_printf(out, "%s%s", i ? " or " : "", type_words(json_string_value(one)));
    }
}

static enum err refuse_type(char *ret_why, const char *prefix, const char *name, const json_t *type)
{
    struct buf words;
    buf_init(&words, 200);
    add_type_words(&words, type);
    enum err err = refuse(ret_why, "%s\"%s\" must be %s", prefix, name, buf_text(&words));
    buf_fini(&words);
    return err;
}

static enum err check_number(const json_t *schema, const char *name, const json_t *value,
                             char *ret_why)
{
    const json_t *min = json_object_get(schema, "minimum");
    const json_t *max = json_object_get(schema, "maximum");
    if (min && json_number_value(value) < json_number_value(min))
        return refuse(ret_why, "\"%s\" must be at least %g", name, json_number_value(min));
    if (max && json_number_value(value) > json_number_value(max))
        return refuse(ret_why, "\"%s\" must be at most %g", name, json_number_value(max));
    return ERR_OK;
}

static enum err check_enum(const json_t *schema, const char *name, const char *text, char *ret_why)
{
    const json_t *choices = json_object_get(schema, "enum");
    struct buf list;
    size_t i;
    json_t *choice;
    if (!choices)
        return ERR_OK;
    buf_init(&list, 200);
    json_array_foreach(choices, i, choice)
    {
        if (strcmp(json_string_value(choice), text) == 0) {
            buf_fini(&list);
            return ERR_OK;
        }
        buf_printf(&list, "%s%s", i ? ", " : "", json_string_value(choice));
    }
    refuse(ret_why, "\"%s\" must be one of: %s", name, buf_text(&list));
    buf_fini(&list);
    return ERR_INVALID;
}

static enum err check_text(const json_t *schema, const char *name, const char *text, char *ret_why)
{
    int64_t len = (int64_t)characters(text);
    int64_t min = js_int(schema, "minLength", 0), max = js_int(schema, "maxLength", INT64_MAX);
    if (len < min)
        return len == 0 ? refuse(ret_why, "\"%s\" must not be empty", name)
                        : refuse(ret_why, "\"%s\" must have at least %lld characters", name,
                                 (long long)min);
    if (len > max)
        return refuse(ret_why, "\"%s\" must have at most %lld characters", name, (long long)max);
    return check_enum(schema, name, text, ret_why);
}

static enum err check_list(const json_t *schema, const char *name, const json_t *list,
                           char *ret_why)
{
    int64_t max = js_int(schema, "maxItems", INT64_MAX);
    const json_t *type = json_object_get(json_object_get(schema, "items"), "type");
    size_t i;
    json_t *item;
    if ((int64_t)json_array_size(list) > max)
        return refuse(ret_why, "\"%s\" must have at most %lld entries", name, (long long)max);
    json_array_foreach(list, i, item)
    {
        AUTOJSON json_t *typed = type ? as_type(type, item) : NULL;
        if (type && !typed)
            return refuse_type(ret_why, "each entry of ", name, type);
    }
    return ERR_OK;
}

static enum err check_value(const json_t *schema, const char *name, const json_t *value,
                            char *ret_why)
{
    if (json_is_string(value))
        return check_text(schema, name, json_string_value(value), ret_why);
    if (json_is_number(value))
        return check_number(schema, name, value, ret_why);
    if (json_is_array(value))
        return check_list(schema, name, value, ret_why);
    return ERR_OK;
}

static bool is_required(const json_t *schema, const char *name)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(schema, "required"), i, item)
    {
        if (strcmp(json_string_value(item), name) == 0)
            return true;
    }
    return false;
}

/* Many models write "" for what they do not give; where an empty text would be wrong anyhow, that
 * is taken so. */
static bool is_left_out(const json_t *property, const json_t *value)
{
    const char *text = json_string_value(value);
    bool is_text = strcmp(js_str(property, "type", ""), "string") == 0;
    return json_is_null(value) || (text && !*text &&
                                   (!is_text || js_int(property, "minLength", 0) > 0 ||
                                    json_object_get(property, "enum")));
}

static enum err check_member(const json_t *schema, const char *name, json_t *value, json_t *out,
                             char *ret_why)
{
    const json_t *property = json_object_get(json_object_get(schema, "properties"), name);
    if (!property)
        return refuse(ret_why, "there is no parameter \"%.60s\"", name);
    if (is_left_out(property, value) && !is_required(schema, name))
        return ERR_OK;
    const json_t *type = json_object_get(property, "type");
    AUTOJSON json_t *typed = json_is_string(value) && is_id(name)
                                 ? without_space(json_string_value(value))
                                 : as_argument(type, value);
    if (!typed)
        return refuse_type(ret_why, "", name, type);
    json_object_set(out, name, typed);
    return check_value(property, name, typed, ret_why);
}

enum err schema_check(const json_t *schema, const json_t *args, json_t **ret_args,
                      char ret_why[SCHEMA_WHY_SIZE])
{
    const char *name;
    json_t *value;
    size_t i;
    AUTOJSON json_t *out = json_object();
    json_object_foreach((json_t *)args, name, value)
    {
        enum err err = check_member(schema, name, value, out, ret_why);
        if (err)
            return err;
    }
    json_array_foreach(json_object_get(schema, "required"), i, value)
    {
        if (!json_object_get(out, json_string_value(value)))
            return refuse(ret_why, "\"%s\" is missing", json_string_value(value));
    }
    *ret_args = json_incref(out);
    return ERR_OK;
}
