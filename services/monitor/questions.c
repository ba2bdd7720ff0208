#include "services/monitor/monitor.h"

enum { FRESH_MS = 1000, FRESH_SLOW_MS = 10 * 1000, KEEP_MS = 10 * 1000 };

static struct question look(const char *method, json_t *args)
{
    return (struct question){.method = method,
                             .args = args,
                             .timeout_ms = LOOK_TIMEOUT_MS,
                             .fresh_ms = FRESH_MS,
                             .patience_ms = PATIENCE_MS,
                             .keep_ms = KEEP_MS};
}

struct question ask_health(void)
{
    return look("jobs.health", json_object());
}

struct question ask_workers(void)
{
    return look("jobs.workers", json_object());
}

struct question ask_database(void)
{
    return look("jobs.database", json_object());
}

struct question ask_stats(int64_t span, int64_t step)
{
    struct question question =
        look("jobs.stats", json_pack("{s:I, s:I}", "span", span, "step", step));
    question.timeout_ms = READ_TIMEOUT_MS;
    question.fresh_ms = step > 10 ? FRESH_SLOW_MS : FRESH_MS;
    return question;
}

struct question ask_find(const char *job_id)
{
    return (struct question){.method = "jobs.find",
                             .args = json_pack("{s:s}", "job_id", job_id),
                             .timeout_ms = READ_TIMEOUT_MS,
                             .fresh_ms = FRESH_MS / 2};
}

struct question ask_get(const json_t *found)
{
    return (struct question){.method = "jobs.get",
                             .args = json_pack("{s:s, s:s}", "job_id", js_str(found, "job_id", ""),
                                               "user_id", js_str(found, "user_id", "")),
                             .timeout_ms = READ_TIMEOUT_MS,
                             .fresh_ms = FRESH_MS / 2};
}

struct question ask_events(const json_t *found, int64_t after, int64_t limit)
{
    json_t *args = json_pack("{s:s, s:s, s:I, s:I}", "job_id", js_str(found, "job_id", ""),
                             "user_id", js_str(found, "user_id", ""), "after", (json_int_t)after,
                             "limit", (json_int_t)limit);
    return (struct question){.method = "jobs.events",
                             .args = args,
                             .timeout_ms = READ_TIMEOUT_MS,
                             .fresh_ms = FRESH_MS / 2};
}
