/* Tool arguments that travel as headers too (SEP-2243). A schema is the server's, so anything. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_http.h"

enum { PARAMS_MAX = 32, NAME_MAX_BYTES = 128, VALUE_MAX_BYTES = 8192, DEPTH_MAX = 64 };

static const char keyword[] = "x-mcp-header";
static const json_int_t safe_max = ((json_int_t)1 << 53) - 1;

/* RFC 9110 §5.6.2: token. */
static bool is_token(const char *text)
{
    size_t len = strspn(text, "!#$%&'*+-.^_`|~0123456789"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    return len > 0 && len <= NAME_MAX_BYTES && !text[len];
}

static bool is_plain(const char *text)
{
    static const char prefix[] = "=?base64?", suffix[] = "?=";
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if (text[i] < 0x20 || text[i] > 0x7e)
            return false;
    if (len && (text[0] == ' ' || text[len - 1] == ' '))
        return false;
    return strncmp(text, prefix, sizeof prefix - 1) != 0 || len < sizeof suffix - 1 ||
           strcmp(text + len - (sizeof suffix - 1), suffix) != 0;
}

char *mcp_http_encode_value(const char *text)
{
    if (is_plain(text))
        return mem_strdup(text);
    AUTOFREE char *base64 = crypto_base64_encode(text, strlen(text));
    return mem_printf("=?base64?%s?=", base64);
}

/* Are the annotations in order? */

struct check {
    const char *names[PARAMS_MAX];
    size_t count;
    char *why;
};

static bool refuse(struct check *check, const char *what)
{
    snprintf(check->why, MCP_WHY_SIZE_MAX, "its parameter headers (x-mcp-header) %s", what);
    return false;
}

static bool is_primitive_name(const char *name)
{
    return strcmp(name, "string") == 0 || strcmp(name, "integer") == 0 ||
           strcmp(name, "boolean") == 0;
}

/* One of the three types, or a choice between one and null. */
static bool is_primitive(const json_t *type)
{
    if (json_is_string(type))
        return is_primitive_name(json_string_value(type));
    size_t index, primitives = 0, others = 0;
    json_t *one;
    json_array_foreach(type, index, one)
    {
        const char *name = json_is_string(one) ? json_string_value(one) : "";
        if (is_primitive_name(name))
            primitives++;
        else if (strcmp(name, "null") != 0)
            others++;
    }
    return primitives > 0 && others == 0;
}

static bool check_annotation(struct check *check, const json_t *schema, const json_t *value,
                             bool reachable)
{
    const char *name = json_is_string(value) ? json_string_value(value) : "";
    if (!is_token(name))
        return refuse(check, "have a name that can't be a header's");
    if (!reachable)
        return refuse(check, "stand where no argument can be found");
    if (!is_primitive(json_object_get(schema, "type")))
        return refuse(check, "are on something else than a string, integer or boolean");
    for (size_t i = 0; i < check->count; i++)
        if (strcasecmp(check->names[i], name) == 0)
            return refuse(check, "have one name twice");
    if (check->count == PARAMS_MAX)
        return refuse(check, "are too many");
    check->names[check->count++] = name;
    return true;
}

static bool is_one_of(const char *key, const char *const *keys)
{
    for (; *keys; keys++)
        if (strcmp(key, *keys) == 0)
            return true;
    return false;
}

static bool check_schema(struct check *check, json_t *schema, bool reachable, unsigned depth);

/* An object whose members are schemas. */
static bool check_map(struct check *check, json_t *map, bool reachable, unsigned depth)
{
    const char *key;
    json_t *schema;
    json_object_foreach(
        map, key, schema) if (!check_schema(check, schema, reachable, depth + 1)) return false;
    return true;
}

static bool check_member(struct check *check, const char *key, json_t *value, bool reachable,
                         unsigned depth)
{
    static const char *const maps[] = {"patternProperties", "$defs",        "definitions",
                                       "dependentSchemas",  "dependencies", NULL};
    static const char *const data[] = {"const", "default", "enum", "examples", NULL};
    if (strcmp(key, "properties") == 0)
        return check_map(check, value, reachable, depth);
    if (is_one_of(key, maps))
        return check_map(check, value, false, depth);
    return is_one_of(key, data) || check_schema(check, value, false, depth + 1);
}

static bool check_schema(struct check *check, json_t *schema, bool reachable, unsigned depth)
{
    if (depth > DEPTH_MAX)
        return refuse(check, "may be nested too deeply");
    size_t index;
    json_t *value;
    const char *key;
    json_array_foreach(schema, index,
                       value) if (!check_schema(check, value, false, depth + 1)) return false;
    json_object_foreach(schema, key, value)
    {
        bool fine = strcmp(key, keyword) == 0 ? check_annotation(check, schema, value, reachable)
                                              : check_member(check, key, value, reachable, depth);
        if (!fine)
            return false;
    }
    return true;
}

bool mcp_http_tool_is_valid(const json_t *tool, char ret_why[MCP_WHY_SIZE_MAX])
{
    struct check check = {.why = ret_why};
    return check_schema(&check, json_object_get(tool, "inputSchema"), true, 0);
}

/* The headers of a call */

struct params {
    json_t *lines;
    char *why;
};

/* The text of a value that a header can have; NULL: it has none. */
static char *value_text(const json_t *value)
{
    if (json_is_string(value))
        return mem_strdup(json_string_value(value));
    if (json_is_boolean(value))
        return mem_strdup(json_is_true(value) ? "true" : "false");
    if (json_is_integer(value))
        return mem_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    double real = json_real_value(value);
    if (json_is_real(value) && real >= -(double)safe_max && real <= (double)safe_max &&
        (double)(json_int_t)real == real)
        return mem_printf("%" JSON_INTEGER_FORMAT, (json_int_t)real);
    return NULL;
}

static enum err add_line(struct params *params, const char *name, const json_t *value)
{
    AUTOFREE char *text = value_text(value);
    if (!text)
        return ERR_OK;
    AUTOFREE char *encoded = mcp_http_encode_value(text);
    json_int_t number = json_integer_value(value);
    bool unsafe = number > safe_max || number < -safe_max;
    if (unsafe || strlen(encoded) > VALUE_MAX_BYTES ||
        json_array_size(params->lines) == PARAMS_MAX) {
        snprintf(params->why, MCP_WHY_SIZE_MAX,
                 "the argument for header Mcp-Param-%.64s is too %s to be sent", name,
                 unsafe ? "large a number" : "long");
        return ERR_INVALID;
    }
    AUTOFREE char *line = mem_printf("Mcp-Param-%s: %s", name, encoded);
    json_array_append_new(params->lines, json_string(line));
    return ERR_OK;
}

static enum err add_lines(struct params *params, const json_t *schema, const json_t *arguments,
                          unsigned depth)
{
    const char *key;
    json_t *property;
    if (depth > DEPTH_MAX)
        return ERR_OK;
    json_object_foreach(json_object_get(schema, "properties"), key, property)
    {
        const json_t *value = json_object_get(arguments, key);
        const char *name = js_str(property, keyword, NULL);
        enum err err = ERR_OK;
        if (name && is_token(name))
            err = add_line(params, name, value);
        else if (json_is_object(value))
            err = add_lines(params, property, value, depth + 1);
        if (err)
            return err;
    }
    return ERR_OK;
}

enum err mcp_http_param_lines(const json_t *tool, const json_t *arguments, json_t *lines,
                              char ret_why[MCP_WHY_SIZE_MAX])
{
    struct params params = {.lines = lines, .why = ret_why};
    return add_lines(&params, json_object_get(tool, "inputSchema"), arguments, 0);
}
