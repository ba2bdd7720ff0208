/* What comes to the monitor: paths of requests (the first line), and answers of the bus (the rest),
 * whose texts users, models and workers write. A route takes a whole segment or nothing; each form
 * can be written out again; percentiles stay in their order. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/monitor/routes.h"
#include "services/monitor/shapes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void match(const char *path)
{
    size_t row;
    char param[HTTP_PARAM_MAX + 1] = "", allow[HTTP_ALLOW_SIZE] = "";
    if (http_routes_match(&route_table, "POST", path, &row, param, allow) != HTTP_ROUTE_FOUND)
        return;
    if (strchr(param, '/') || (*param && !strstr(path, param)))
        abort();
}

/* Consumes it. */
static void write_out(json_t *form)
{
    free(js_dump(form));
    json_decref(form);
}

static void check_order(const json_t *latency)
{
    const char *name;
    json_t *one;
    json_object_foreach((json_t *)latency, name, one)
    {
        if (json_is_object(one) && (js_int(one, "p50", 0) > js_int(one, "p95", 0) ||
                                    js_int(one, "p95", 0) > js_int(one, "p99", 0)))
            abort();
    }
}

static void shape(const json_t *value)
{
    double seconds;
    AUTOJSON json_t *latency = shape_latency(value);
    check_order(latency);
    write_out(shape_rates(value, js_int(value, "now", 1000)));
    if (!json_is_object(value))
        return;
    write_out(shape_task(value, NULL));
    write_out(shape_task(value, value));
    write_out(shape_worker(value, 1.5));
    shape_epoch(js_str(value, "created_at", ""), &seconds);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, '\n', size);
    size_t len = end ? (size_t)(end - data) : size;
    AUTOFREE char *path = mem_strndup((const char *)data, len);
    AUTOJSON json_t *value = NULL;
    match(path);
    if (!end || js_parse((const char *)end + 1, size - len - 1, &value, NULL) != ERR_OK)
        return 0;
    shape(value);
    return 0;
}
