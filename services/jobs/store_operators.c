/* What operators read, of all users: workers, whose job one is, the newest jobs. Only operators.c
 * asks for it. */
#include <inttypes.h>
#include <stdio.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/jobs/store_internal.h"

/* clang-format off */
static const struct pg_statement draining_statement = {
    "session_draining",
    "UPDATE worker_sessions SET draining = $2::boolean WHERE session = $1 AND draining <> $2::boolean",
    true};

/* A worker that could not open its session at once may have begun several: the one that it renews
 * ends last. */
static const struct pg_statement workers_statement = {
    "workers",
    "WITH held AS MATERIALIZED (SELECT session, count(*) AS n FROM job_queue WHERE state = 1"
    " GROUP BY session)"
    " SELECT w.session, w.instance, w.host, w.version, w.capacity, coalesce(h.n, 0), w.draining,"
    "  floor(extract(epoch FROM w.lease_until - now()) * 1000)::bigint, " STORE_TIME("w.created_at")
    " FROM (SELECT DISTINCT ON (instance) * FROM worker_sessions WHERE lease_until > now()"
    "   ORDER BY instance, lease_until DESC) w"
    " LEFT JOIN held h ON h.session = w.session ORDER BY w.host, w.created_at, w.session LIMIT 1000",
    true};

static const struct pg_statement find_statement = {
    "find",
    "SELECT r.id, r.user_id, r.status, r.attempts, r.options, r.conversation_id, q.session, w.instance,"
    "  w.host"
    " FROM job_records r LEFT JOIN job_queue q ON q.job_id = r.id AND q.state = 1"
    " LEFT JOIN worker_sessions w ON w.session = q.session WHERE r.id = $1",
    true};

/* The ids that we make begin with the time (UUIDv7). Those of other systems, which are drawn at
 * random, mostly lie above now, and are passed over. */
static const struct pg_statement recent_statement = {
    "recent",
    "WITH edge AS (SELECT lpad(to_hex(floor(extract(epoch FROM now() + interval '1 minute') * 1000)"
    "   ::bigint), 12, '0') AS hex),"
    " newest AS MATERIALIZED (SELECT id FROM job_data"
    "  WHERE id < coalesce($2, (SELECT left(hex, 8) || '-' || right(hex, 4) FROM edge))"
    "  ORDER BY id DESC LIMIT CASE WHEN $3 = '' THEN $1::bigint ELSE 10000 END)"
    " SELECT r.id, r.user_id, r.status, left(r.message, 500), left(r.error_message, 500), "
    STORE_TIME("r.created_at") ", " STORE_TIME("r.updated_at") ", " STORE_TIME("r.completed_at")
    ", r.attempts FROM newest n CROSS JOIN LATERAL (SELECT * FROM job_records j WHERE j.id = n.id"
    "  OFFSET 0) r WHERE $3 IN ('', r.status) ORDER BY n.id DESC LIMIT $1::bigint",
    true};
/* clang-format on */

struct operator_call {
    store_json_fn *done;
    void *arg;
};

static struct operator_call *call_new(store_json_fn *done, void *arg)
{
    struct operator_call *call = mem_alloc(sizeof *call);
    *call = (struct operator_call){done, arg};
    return call;
}

static void call_end(struct operator_call *call, enum err error, json_t *result)
{
    call->done(call->arg, error, result);
    json_decref(result);
    free(call);
}

static json_t *text(const struct pg_rows *rows, size_t row, int column)
{
    const char *value = pg_rows_text(rows, row, column);
    return value ? json_stringn(value, pg_rows_len(rows, row, column)) : json_null();
}

static json_t *number(const struct pg_rows *rows, size_t row, int column)
{
    return json_integer((json_int_t)pg_rows_int(rows, row, column, 0));
}

static json_t *object(const struct pg_rows *rows, size_t row, int column)
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

static void on_draining(void *arg, enum err error, const struct pg_rows *rows)
{
    (void)arg;
    (void)error; /* told again with the next renewal */
    (void)rows;
}

void store_session_draining(struct store *store, const char *session, bool draining)
{
    const char *values[] = {session, draining ? "true" : "false"};
    pg_exec(store->writers, &draining_statement, -1, STORE_WRITE_MS, values, 2, on_draining, NULL);
}

static void on_workers(void *arg, enum err error, const struct pg_rows *rows)
{
    json_t *workers = json_array();
    for (size_t i = 0; i < pg_rows_count(rows); i++)
        json_array_append_new(workers,
                              json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o}", "session",
                                        text(rows, i, 0), "instance", text(rows, i, 1), "host",
                                        text(rows, i, 2), "version", text(rows, i, 3), "capacity",
                                        number(rows, i, 4), "running", number(rows, i, 5),
                                        "draining", pg_rows_bool(rows, i, 6), "lease_ms",
                                        number(rows, i, 7), "since", text(rows, i, 8)));
    call_end(arg, error, json_pack("{s:o}", "workers", workers));
}

void store_workers(struct store *store, store_json_fn *done, void *arg)
{
    pg_exec(store->scanner, &workers_statement, -1, STORE_READ_MS, NULL, 0, on_workers,
            call_new(done, arg));
}

static void on_find(void *arg, enum err error, const struct pg_rows *rows)
{
    json_t *found = NULL;
    if (!error && pg_rows_count(rows) == 0)
        error = ERR_NOT_FOUND;
    if (!error)
        found = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "job_id",
                          text(rows, 0, 0), "user_id", text(rows, 0, 1), "status", text(rows, 0, 2),
                          "attempt", number(rows, 0, 3), "options", object(rows, 0, 4),
                          "conversation_id", text(rows, 0, 5), "session", text(rows, 0, 6),
                          "instance", text(rows, 0, 7), "host", text(rows, 0, 8));
    call_end(arg, error, found);
}

void store_find_job(struct store *store, const char *job_id, int64_t timeout_ms,
                    store_json_fn *done, void *arg)
{
    pg_exec(store->reader, &find_statement, -1, timeout_ms, &job_id, 1, on_find,
            call_new(done, arg));
}

static void on_recent(void *arg, enum err error, const struct pg_rows *rows)
{
    json_t *jobs = json_array();
    for (size_t i = 0; i < pg_rows_count(rows); i++)
        json_array_append_new(jobs, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                                              "job_id", text(rows, i, 0), "user_id",
                                              text(rows, i, 1), "status", text(rows, i, 2),
                                              "message", text(rows, i, 3), "error_message",
                                              text(rows, i, 4), "created_at", text(rows, i, 5),
                                              "updated_at", text(rows, i, 6), "completed_at",
                                              text(rows, i, 7), "attempt", number(rows, i, 8)));
    call_end(arg, error, json_pack("{s:o}", "jobs", jobs));
}

void store_recent(struct store *store, int64_t limit, const char *before, const char *status,
                  int64_t timeout_ms, store_json_fn *done, void *arg)
{
    char count[24];
    snprintf(count, sizeof count, "%" PRId64, limit);
    const char *values[] = {count, before, status};
    pg_exec(store->keeper, &recent_statement, -1, timeout_ms, values, 3, on_recent,
            call_new(done, arg));
}
