/* Optional members of a body, in the shapes of FastAPI's validation errors. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/mem.h"
#include "services/gateway/gateway.h"

enum { MSG_SIZE = 128 };

static json_t *place(const char *name)
{
    return json_pack("[s, s]", "body", name);
}

static bool refuse(struct call *call, const char *type, json_t *loc, const char *msg,
                   const json_t *input, json_t *ctx)
{
    validation_error(call, type, loc, msg, input, ctx);
    return false;
}

/* Of valid UTF-8. */
static size_t characters(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

/* C0, DEL and C1 are no text that anybody means. */
static bool is_printable(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++)
        if (*at < 0x20 || *at == 0x7f || (*at == 0xc2 && at[1] < 0xa0))
            return false;
    return true;
}

/* `loc` is consumed. */
static bool check_text(struct call *call, const json_t *value, json_t *loc, size_t max,
                       bool printable)
{
    char msg[MSG_SIZE];
    const char *text = json_string_value(value);
    size_t count = text ? characters(text) : 0;
    if (!text)
        return refuse(call, "string_type", loc, "Input should be a valid string", value, NULL);
    if (count == 0)
        return refuse(call, "string_too_short", loc, "String should have at least 1 character",
                      value, json_pack("{s:i}", "min_length", 1));
    if (count > max) {
        snprintf(msg, sizeof msg, "String should have at most %zu characters", max);
        return refuse(call, "string_too_long", loc, msg, value,
                      json_pack("{s:I}", "max_length", (json_int_t)max));
    }
    if (printable && !is_printable(text))
        return refuse(call, "value_error", loc, "Value error, only printable characters", value,
                      json_pack("{s:s}", "error", "only printable characters"));
    json_decref(loc);
    return true;
}

bool validate_text(struct call *call, const json_t *body, const char *name, size_t max,
                   bool printable, const char **ret_text)
{
    const json_t *value = json_object_get(body, name);
    *ret_text = NULL;
    if (!value || json_is_null(value))
        return true;
    if (!check_text(call, value, place(name), max, printable))
        return false;
    *ret_text = json_string_value(value);
    return true;
}

static bool list_length(struct call *call, const char *name, const json_t *list, size_t min,
                        size_t max)
{
    char msg[MSG_SIZE];
    size_t count = json_array_size(list);
    if (count >= min && count <= max)
        return true;
    bool few = count < min;
    snprintf(msg, sizeof msg, "List should have at %s %zu item%s after validation, not %zu",
             few ? "least" : "most", few ? min : max, (few ? min : max) == 1 ? "" : "s", count);
    return refuse(call, few ? "too_short" : "too_long", place(name), msg, list,
                  json_pack("{s:s, s:I, s:I}", "field_type", "List",
                            few ? "min_length" : "max_length", (json_int_t)(few ? min : max),
                            "actual_length", (json_int_t)count));
}

bool validate_texts(struct call *call, const json_t *body, const char *name, size_t min,
                    size_t count_max, size_t max, json_t **ret_list)
{
    json_t *list = json_object_get(body, name), *value;
    size_t i;
    *ret_list = NULL;
    if (!list || json_is_null(list))
        return true;
    if (!json_is_array(list))
        return refuse(call, "list_type", place(name), "Input should be a valid list", list, NULL);
    if (!list_length(call, name, list, min, count_max))
        return false;
    json_array_foreach(list, i, value)
    {
        json_t *loc = json_pack("[s, s, i]", "body", name, (int)i);
        if (!check_text(call, value, loc, max, true))
            return false;
    }
    *ret_list = list;
    return true;
}

static bool whole(const json_t *value, int64_t *ret_number)
{
    double real = json_is_real(value) ? json_real_value(value) : NAN;
    bool is_whole = json_is_integer(value) || (fabs(real) < 9e15 && trunc(real) == real);
    if (is_whole)
        *ret_number = json_is_integer(value) ? json_integer_value(value) : (int64_t)real;
    return is_whole;
}

bool validate_int(struct call *call, const json_t *body, const char *name, int64_t min, int64_t max,
                  int64_t *ret_value)
{
    const json_t *value = json_object_get(body, name);
    char msg[MSG_SIZE];
    int64_t number = 0;
    *ret_value = 0;
    if (!value || json_is_null(value))
        return true;
    if (!json_is_number(value))
        return refuse(call, "int_type", place(name), "Input should be a valid integer", value,
                      NULL);
    if (!whole(value, &number))
        return refuse(call, "int_from_float", place(name),
                      "Input should be a valid integer, got a number with a fractional part", value,
                      NULL);
    if (number >= min && number <= max) {
        *ret_value = number;
        return true;
    }
    bool below = number < min;
    snprintf(msg, sizeof msg, "Input should be %s than or equal to %" PRId64,
             below ? "greater" : "less", below ? min : max);
    return refuse(call, below ? "greater_than_equal" : "less_than_equal", place(name), msg, value,
                  json_pack("{s:I}", below ? "ge" : "le", (json_int_t)(below ? min : max)));
}

bool validate_above_0(struct call *call, const json_t *body, const char *name, double *ret_value)
{
    const json_t *value = json_object_get(body, name);
    *ret_value = 0;
    if (!value || json_is_null(value))
        return true;
    if (!json_is_number(value))
        return refuse(call, "float_type", place(name), "Input should be a valid number", value,
                      NULL);
    if (!(json_number_value(value) > 0))
        return refuse(call, "greater_than", place(name), "Input should be greater than 0", value,
                      json_pack("{s:i}", "gt", 0));
    *ret_value = json_number_value(value);
    return true;
}
