#include "services/jobs/store_json.h"

#include "libcommon/js.h"
#include "libcommon/mem.h"

struct store_json_call {
    store_json_fn *done;
    void *arg;
};

struct store_json_call *store_json_call(store_json_fn *done, void *arg)
{
    struct store_json_call *call = mem_alloc(sizeof *call);
    *call = (struct store_json_call){done, arg};
    return call;
}

void store_json_end(struct store_json_call *call, enum err error, json_t *result)
{
    call->done(call->arg, error, result);
    json_decref(result);
    free(call);
}

json_t *store_json_text(const struct pg_rows *rows, size_t row, int column)
{
    const char *value = pg_rows_text(rows, row, column);
    return value ? json_stringn(value, pg_rows_len(rows, row, column)) : json_null();
}

json_t *store_json_number(const struct pg_rows *rows, size_t row, int column)
{
    if (!pg_rows_text(rows, row, column))
        return json_null();
    return json_integer((json_int_t)pg_rows_int(rows, row, column, 0));
}

json_t *store_json_object(const struct pg_rows *rows, size_t row, int column)
{
    const char *value = pg_rows_text(rows, row, column);
    json_t *json = NULL;
    if (!value || js_parse(value, pg_rows_len(rows, row, column), &json, NULL))
        return json_null();
    if (json_is_object(json))
        return json;
    json_decref(json);
    return json_null();
}

json_t *store_json_usage(const struct pg_rows *rows, size_t row, int column)
{
    json_t *usage = store_json_object(rows, row, column);
    if (json_is_object(usage))
        json_object_del(usage, "cached_tokens");
    return usage;
}
