/* The forms of Flower's answers (mher/flower, flower/api). */
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/monitor/shapes.h"

bool shape_has_ended(const char *status)
{
    return strcmp(status, "completed") == 0 || strcmp(status, "failed") == 0 ||
           strcmp(status, "cancelled") == 0;
}

const char *shape_state(const char *status, int64_t attempt)
{
    if (strcmp(status, "pending") == 0)
        return attempt > 0 ? "RETRY" : "PENDING";
    if (strcmp(status, "running") == 0)
        return "STARTED";
    if (strcmp(status, "completed") == 0)
        return "SUCCESS";
    return strcmp(status, "failed") == 0 ? "FAILURE" : "REVOKED";
}

static json_t *epoch(const char *text)
{
    double seconds;
    return shape_epoch(text, &seconds) ? json_real(seconds) : json_null();
}

static json_t *epoch_if(bool is_so, const char *text)
{
    return is_so ? epoch(text) : json_null();
}

/* Celery's are texts that show a Python value. */
static json_t *arguments(const json_t *job)
{
    AUTOJSON json_t *list = json_pack("[s]", js_str(job, "message", ""));
    AUTOFREE char *text = js_dump(list);
    return json_string(text);
}

static json_t *runtime(const json_t *started, const json_t *ended)
{
    if (!json_is_real(started) || !json_is_real(ended))
        return json_null();
    double seconds = json_real_value(ended) - json_real_value(started);
    return json_real(seconds > 0 ? seconds : 0);
}

static json_t *text_or_null(const json_t *object, const char *key)
{
    const char *text = js_str(object, key, NULL);
    return text ? json_string(text) : json_null();
}

static json_t *worker_name(const json_t *job, const json_t *found)
{
    const char *instance = js_str(found, "instance", js_str(job, "instance", NULL));
    AUTOFREE char *name = instance ? mem_printf("worker@%s", instance) : NULL;
    return name ? json_string(name) : json_null();
}

static void set_nulls(json_t *task)
{
    static const char *const names[] = {"sent",        "rejected", "eta",    "expires",  "exchange",
                                        "routing_key", "client",   "parent", "parent_id"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        json_object_set_new(task, names[i], json_null());
    json_object_set_new(task, "clock", json_integer(0));
    json_object_set_new(task, "children", json_array());
}

static void set_times(json_t *task, const json_t *job, const char *status, int64_t attempt)
{
    const char *created = js_str(job, "created_at", "");
    const char *updated = js_str(job, "updated_at", created);
    const char *ended = js_str(job, "completed_at", updated);
    bool failed = strcmp(status, "failed") == 0;
    json_t *started = epoch(js_str(job, "started_at", ""));
    json_object_set_new(task, "received", epoch(created));
    json_object_set_new(task, "started", started);
    json_object_set_new(task, "succeeded", epoch_if(strcmp(status, "completed") == 0, ended));
    json_object_set_new(task, "failed", epoch_if(failed, ended));
    json_object_set_new(task, "revoked", epoch_if(strcmp(status, "cancelled") == 0, ended));
    json_object_set_new(task, "retried",
                        epoch_if(strcmp(status, "pending") == 0 && attempt > 0, updated));
    json_object_set_new(task, "timestamp", epoch(shape_has_ended(status) ? ended : updated));
    AUTOJSON json_t *end = epoch_if(shape_has_ended(status), ended);
    json_object_set_new(task, "runtime", runtime(started, end));
}

json_t *shape_task(const json_t *job, const json_t *found)
{
    const char *status = js_str(job, "status", "pending");
    int64_t attempt = js_int(found, "attempt", js_int(job, "attempt", 0));
    const char *id = js_str(job, "job_id", "");
    json_t *task = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:s, s:o, s:o, s:o, s:I, s:o}", "uuid", id, "task-id", id,
        "name", SHAPE_TASK, "state", shape_state(status, attempt), "args", arguments(job), "kwargs",
        "{}", "result", text_or_null(job, "result"), "exception",
        text_or_null(job, "error_message"), "traceback", text_or_null(job, "error_message"),
        "retries", (json_int_t)(attempt > 1 ? attempt - 1 : 0), "worker", worker_name(job, found));
    set_times(task, job, status, attempt);
    set_nulls(task);
    json_object_set_new(task, "root", json_string(id));
    json_object_set_new(task, "root_id", json_string(id));
    json_object_set_new(task, "user_id", text_or_null(job, "user_id"));
    return task;
}

static json_t *stats_of(const json_t *worker)
{
    json_t *pool = json_pack("{s:O?, s:s, s:[], s:[i,i], s:b}", "max-concurrency",
                             json_object_get(worker, "capacity"), "max-tasks-per-child", "N/A",
                             "processes", "timeouts", 0, 0, "put-guarded-by-semaphore", 0);
    json_t *broker =
        json_pack("{s:s, s:s, s:n}", "transport", "zmtp", "login_method", "CURVE", "hostname");
    int64_t up_ms = js_int(worker, "uptime_ms", 0), memory = js_int(worker, "memory_bytes", 0);
    return json_pack("{s:o, s:s, s:O?, s:o, s:O?, s:{s:I}, s:{}, s:I}", "broker", broker, "clock",
                     "0", "pid", json_object_get(worker, "pid"), "pool", pool, "prefetch_count",
                     json_object_get(worker, "capacity"), "rusage", "maxrss",
                     (json_int_t)(memory / 1024), "total", "uptime", (json_int_t)(up_ms / 1000));
}

json_t *shape_worker(const json_t *worker, double now)
{
    json_t *one = json_copy((json_t *)worker);
    json_t *queues = js_bool(worker, "draining", false)
                         ? json_array()
                         : json_pack("[{s:s, s:s, s:b, s:b, s:b, s:n, s:[]}]", "name", SHAPE_QUEUE,
                                     "routing_key", SHAPE_QUEUE, "durable", 1, "auto_delete", 0,
                                     "no_ack", 0, "alias", "bindings");
    json_object_set_new(one, "active_queues", queues);
    json_object_set_new(one, "registered", json_pack("[s]", SHAPE_TASK));
    json_object_set_new(one, "conf", json_object());
    json_object_set_new(one, "stats", stats_of(worker));
    json_object_set_new(one, "timestamp", json_real(now));
    return one;
}
