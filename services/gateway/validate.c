/* The shapes of FastAPI's validation errors (pydantic 2): what its clients parse. */
#include "services/gateway/gateway.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "libcommon/mem.h"

enum { ECHO_MAX = 256 };

/* Big inputs are not sent back. */
static bool may_echo(const json_t *input)
{
    if (!input)
        return false;
    AUTOFREE char *text = js_dump(input);
    return strlen(text) <= ECHO_MAX;
}

void validation_error(struct call *call, const char *type, json_t *loc, const char *msg,
                      const json_t *input, json_t *ctx)
{
    json_t *error = json_pack("{s:s, s:o, s:s}", "type", type, "loc", loc, "msg", msg);
    if (may_echo(input))
        json_object_set(error, "input", (json_t *)(uintptr_t)input);
    if (ctx)
        json_object_set_new(error, "ctx", ctx);
    call_json(call, 422, json_pack("{s:[o]}", "detail", error));
}

static int position_of(const char *why)
{
    const char *at = strrchr(why, ' ');
    return at ? (int)strtol(at, NULL, 10) : 0;
}

json_t *validate_body(struct call *call)
{
    size_t len;
    const char *text = http_request_body(call_request(call), &len);
    char why[JS_WHY_SIZE] = "";
    json_t *body = NULL;
    if (len == 0) {
        AUTOJSON json_t *null = json_null();
        validation_error(call, "missing", json_pack("[s]", "body"), "Field required", null, NULL);
        return NULL;
    }
    if (!js_is_utf8(text, len)) {
        validation_error(call, "json_invalid", json_pack("[s, i]", "body", 0), "JSON decode error",
                         NULL, json_pack("{s:s}", "error", "not UTF-8"));
        return NULL;
    }
    if (js_parse(text, len, &body, why) != ERR_OK) {
        /* The library's text quotes the input behind "near", and for a NUL its own flags. */
        const char *near = strstr(why, " near ");
        json_t *reason = strstr(why, "u0000")
                             ? json_string("NUL is not allowed")
                             : json_stringn(why, near ? (size_t)(near - why) : strlen(why));
        validation_error(call, "json_invalid", json_pack("[s, i]", "body", position_of(why)),
                         "JSON decode error", NULL, json_pack("{s:o}", "error", reason));
        return NULL;
    }
    if (json_is_object(body))
        return body;
    validation_error(call, "model_attributes_type", json_pack("[s]", "body"),
                     "Input should be a valid dictionary or object to extract fields from", body,
                     NULL);
    json_decref(body);
    return NULL;
}

static const char *validate_string(struct call *call, const json_t *body, const char *name,
                                   size_t max)
{
    const json_t *value = json_object_get(body, name);
    char msg[96];
    size_t len = json_is_string(value) ? json_string_length(value) : 0;
    if (len > 0 && len <= max)
        return json_string_value(value);
    json_t *loc = json_pack("[s, s]", "body", name);
    if (!value) {
        validation_error(call, "missing", loc, "Field required", body, NULL);
    } else if (!json_is_string(value)) {
        validation_error(call, "string_type", loc, "Input should be a valid string", value, NULL);
    } else if (len == 0) {
        validation_error(call, "string_too_short", loc, "String should have at least 1 character",
                         value, json_pack("{s:i}", "min_length", 1));
    } else {
        snprintf(msg, sizeof(msg), "String should have at most %zu characters", max);
        validation_error(call, "string_too_long", loc, msg, value,
                         json_pack("{s:I}", "max_length", (json_int_t)max));
    }
    return NULL;
}

static const char *after_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at;
}

/* Takes the text when it comes next, white space before it skipped; NULL otherwise. */
static const char *after(const char *at, const char *end, const char *text, size_t len)
{
    at = at ? after_space(at, end) : NULL;
    return at && (size_t)(end - at) >= len && memcmp(at, text, len) == 0 ? at + len : NULL;
}

/* The string of a body that has this one member and no escapes: nothing needs to be parsed then.
 * NULL: it may be anything else. */
static const char *only_member(const char *text, size_t size, const char *name, size_t *ret_len)
{
    const char *end = text + size;
    const char *at = after(after(text, end, "{", 1), end, "\"", 1);
    size_t name_len = strlen(name);
    if (!at || (size_t)(end - at) <= name_len || memcmp(at, name, name_len) != 0 ||
        at[name_len] != '"')
        return NULL;
    at = after(after(at + name_len + 1, end, ":", 1), end, "\"", 1);
    if (!at)
        return NULL;
    const char *first = at;
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
        at++;
    size_t len = (size_t)(at - first);
    if (at == end || *at != '"')
        return NULL;
    at = after(at + 1, end, "}", 1);
    if (!at || after_space(at, end) != end || !js_is_utf8(first, len))
        return NULL;
    *ret_len = len;
    return first;
}

const char *validate_member(struct call *call, const char *name, size_t max, json_t **ret_body,
                            size_t *ret_len)
{
    size_t size, len = 0;
    const char *body = http_request_body(call_request(call), &size);
    const char *text = only_member(body, size, name, &len);
    if (!text || len == 0 || len > max) {
        *ret_body = validate_body(call);
        text = *ret_body ? validate_string(call, *ret_body, name, max) : NULL;
        len = text ? strlen(text) : 0;
    }
    *ret_len = len;
    return text;
}

static void range_error(struct call *call, const char *name, const char *text, bool below,
                        int64_t limit)
{
    char msg[96];
    AUTOJSON json_t *input = js_string_capped(text, strlen(text), ECHO_MAX, "…");
    snprintf(msg, sizeof(msg), "Input should be %s than or equal to %lld",
             below ? "greater" : "less", (long long)limit);
    validation_error(call, below ? "greater_than_equal" : "less_than_equal",
                     json_pack("[s, s]", "query", name), msg, input,
                     json_pack("{s:I}", below ? "ge" : "le", (json_int_t)limit));
}

bool validate_query_int(struct call *call, const char *name, int64_t min, int64_t max, int64_t def,
                        int64_t *ret_value)
{
    const char *text = http_request_query(call_request(call), name);
    if (!text) {
        *ret_value = def;
        return true;
    }
    const char *digits = text + (*text == '-' || *text == '+');
    if (!*digits || strspn(digits, "0123456789") != strlen(digits)) {
        AUTOJSON json_t *input = js_string_capped(text, strlen(text), ECHO_MAX, "…");
        validation_error(call, "int_parsing", json_pack("[s, s]", "query", name),
                         "Input should be a valid integer, unable to parse string as an integer",
                         input, NULL);
        return false;
    }
    int64_t value = strtoll(text, NULL, 10); /* saturates */
    if (value >= min && value <= max) {
        *ret_value = value;
        return true;
    }
    range_error(call, name, text, value < min, value < min ? min : max);
    return false;
}

bool validate_query_bool(struct call *call, const char *name, bool *ret_value)
{
    static const char *const words[] = {"false", "0", "off", "f", "n", "no",
                                        "true",  "1", "on",  "t", "y", "yes"};
    enum { COUNT = sizeof words / sizeof *words };
    const char *text = http_request_query(call_request(call), name);
    for (size_t i = 0; text && i < COUNT; i++)
        if (strcasecmp(text, words[i]) == 0) {
            *ret_value = i >= COUNT / 2;
            return true;
        }
    if (!text) {
        *ret_value = false;
        return true;
    }
    AUTOJSON json_t *input = js_string_capped(text, strlen(text), ECHO_MAX, "…");
    validation_error(call, "bool_parsing", json_pack("[s, s]", "query", name),
                     "Input should be a valid boolean, unable to interpret input", input, NULL);
    return false;
}

bool validate_query_seconds(struct call *call, const char *name, int64_t max_s, int64_t *ret_ms)
{
    const char *text = http_request_query(call_request(call), name);
    if (!text) {
        *ret_ms = 0;
        return true;
    }
    char *end;
    double value = strtod(text, &end);
    bool plain = strspn(text, "0123456789.eE+-") == strlen(text);
    if (end == text || *end || !plain || isnan(value)) {
        AUTOJSON json_t *input = js_string_capped(text, strlen(text), ECHO_MAX, "…");
        validation_error(call, "float_parsing", json_pack("[s, s]", "query", name),
                         "Input should be a valid number, unable to parse string as a number",
                         input, NULL);
        return false;
    }
    if (value >= 0 && value <= (double)max_s) {
        *ret_ms = (int64_t)(value * 1000);
        return true;
    }
    range_error(call, name, text, value < 0, value < 0 ? 0 : max_s);
    return false;
}
