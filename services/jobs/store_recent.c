/* What operators read of all users' jobs: the newest, what failed lately. */
#include <inttypes.h>
#include <stdio.h>

#include "libcommon/mem.h"
#include "services/jobs/store_json.h"

/* Filters look through so many jobs, and so far into a message. */
#define LOOKED_AT "10000"
#define SEARCHED "2000"

/* Of the materialised `newest`, with the parameters limit, before, status, text. Whether something
 * fits is looked at before the worker that runs it is. A text is a text, no pattern. */
/* clang-format off */
#define RECENT(newest) \
    "WITH newest AS MATERIALIZED (" newest " LIMIT CASE WHEN $3 = '' AND $4 = '' THEN $1::bigint" \
    "   ELSE " LOOKED_AT " END), found AS MATERIALIZED (" \
    " SELECT r.*, n.at AS place FROM newest n CROSS JOIN LATERAL (SELECT * FROM job_records j WHERE j.id = n.id" \
    "  OFFSET 0) r WHERE $3 IN ('', r.status) AND ($4 = '' OR strpos(lower(r.id), lower($4)) > 0" \
    "   OR strpos(lower(left(r.message, " SEARCHED ")), lower($4)) > 0" \
    "   OR strpos(lower(left(r.error_message, " SEARCHED ")), lower($4)) > 0)" \
    "  ORDER BY n.at DESC, n.id DESC LIMIT $1::bigint)" \
    " SELECT r.id, r.user_id, r.status, left(r.message, 500), left(r.error_message, 500), " \
    STORE_TIME("r.created_at") ", " STORE_TIME("r.started_at") ", " STORE_TIME("r.updated_at") ", " \
    STORE_TIME("r.completed_at") ", r.attempts, r.token_usage, w.instance, w.host" \
    " FROM found r LEFT JOIN job_queue q ON q.job_id = r.id AND q.state = 1" \
    " LEFT JOIN worker_sessions w ON w.session = q.session ORDER BY r.place DESC, r.id DESC"

/* The ids that we make begin with the time (UUIDv7). Those of other systems, which are drawn at
 * random, mostly lie above now, and are passed over. */
static const struct pg_statement recent_statement = {
    "recent",
    RECENT("SELECT id, NULL::timestamptz AS at FROM job_data WHERE id < coalesce($2, (SELECT left(hex, 8)"
           "   || '-' || right(hex, 4) FROM (SELECT lpad(to_hex(floor(extract(epoch FROM now()"
           "   + interval '1 minute') * 1000)::bigint), 12, '0') AS hex) edge)) ORDER BY id DESC"),
    true};

/* Of one user by the time, which is the order of that user's list. */
static const struct pg_statement recent_of_user_statement = {
    "recent_of_user",
    RECENT("SELECT id, created_at AS at FROM job_data WHERE user_id = $5 AND (created_at, id) <"
           "  (CASE WHEN $2::text IS NULL THEN 'infinity' ELSE coalesce((SELECT created_at FROM job_data"
           "   WHERE id = $2), '-infinity') END, coalesce($2, '')) ORDER BY created_at DESC, id DESC"),
    true};

static const struct pg_statement failures_statement = {
    "failures",
    "SELECT m.id, d.user_id, left(d.error_message, 1000), " STORE_TIME("d.completed_at")
    " FROM (SELECT id, created_at FROM job_mishaps WHERE status || '' = 'failed'"
    "  ORDER BY created_at DESC LIMIT $1::bigint) m CROSS JOIN LATERAL"
    " (SELECT user_id, status, error_message, completed_at FROM job_data WHERE id = m.id OFFSET 0) d"
    " WHERE d.status = 'failed' ORDER BY m.created_at DESC",
    true};
/* clang-format on */

static json_t *recent_job(const struct pg_rows *rows, size_t i)
{
    static const char *const texts[] = {"job_id",     "user_id",       "status",
                                        "message",    "error_message", "created_at",
                                        "started_at", "updated_at",    "completed_at"};
    enum { TEXTS = sizeof texts / sizeof *texts };
    json_t *job = json_object();
    for (int column = 0; column < TEXTS; column++)
        json_object_set_new(job, texts[column], store_json_text(rows, i, column));
    json_object_set_new(job, "attempt", store_json_number(rows, i, TEXTS));
    json_object_set_new(job, "token_usage", store_json_usage(rows, i, TEXTS + 1));
    json_object_set_new(job, "instance", store_json_text(rows, i, TEXTS + 2));
    json_object_set_new(job, "host", store_json_text(rows, i, TEXTS + 3));
    return job;
}

static void on_recent(void *arg, enum err error, const struct pg_rows *rows)
{
    json_t *jobs = json_array();
    for (size_t i = 0; i < pg_rows_count(rows); i++)
        json_array_append_new(jobs, recent_job(rows, i));
    store_json_end(arg, error, json_pack("{s:o}", "jobs", jobs));
}

void store_recent(struct store *store, int64_t limit, const struct store_filter *filter,
                  int64_t timeout_ms, store_json_fn *done, void *arg)
{
    char count[24];
    snprintf(count, sizeof count, "%" PRId64, limit);
    const char *values[] = {count, filter->before, filter->status, filter->text, filter->user_id};
    bool of_user = filter->user_id != NULL;
    pg_exec(store->keeper, of_user ? &recent_of_user_statement : &recent_statement, -1, timeout_ms,
            values, of_user ? 5 : 4, on_recent, store_json_call(done, arg));
}

struct failures_call {
    store_failures_fn *done;
    void *arg;
};

static void on_failures(void *arg, enum err error, const struct pg_rows *rows)
{
    struct failures_call *call = arg;
    size_t count = pg_rows_count(rows);
    AUTOFREE struct store_failure *failures = mem_alloc(count * sizeof *failures);
    for (size_t i = 0; i < count; i++)
        failures[i] = (struct store_failure){
            .job_id = pg_rows_text(rows, i, 0),
            .user_id = pg_rows_text(rows, i, 1),
            .error_message = pg_rows_text(rows, i, 2),
            .at = pg_rows_text(rows, i, 3),
        };
    call->done(call->arg, error, failures, count);
    free(call);
}

void store_failures(struct store *store, store_failures_fn *done, void *arg)
{
    char count[24];
    snprintf(count, sizeof count, "%d", STORE_FAILURES_MAX);
    const char *values[] = {count};
    struct failures_call *call = mem_alloc(sizeof *call);
    *call = (struct failures_call){done, arg};
    pg_exec(store->keeper, &failures_statement, -1, STORE_READ_MS, values, 1, on_failures, call);
}
