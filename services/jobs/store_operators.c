/* What operators read, of all users: workers, whose job one is. Only operators.c asks for it. */
#include "services/jobs/store_json.h"

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

/* clang-format on */

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
        json_array_append_new(
            workers,
            json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o}", "session",
                      store_json_text(rows, i, 0), "instance", store_json_text(rows, i, 1), "host",
                      store_json_text(rows, i, 2), "version", store_json_text(rows, i, 3),
                      "capacity", store_json_number(rows, i, 4), "running",
                      store_json_number(rows, i, 5), "draining", pg_rows_bool(rows, i, 6),
                      "lease_ms", store_json_number(rows, i, 7), "since",
                      store_json_text(rows, i, 8)));
    store_json_end(arg, error, json_pack("{s:o}", "workers", workers));
}

void store_workers(struct store *store, store_json_fn *done, void *arg)
{
    pg_exec(store->scanner, &workers_statement, -1, STORE_READ_MS, NULL, 0, on_workers,
            store_json_call(done, arg));
}

static void on_find(void *arg, enum err error, const struct pg_rows *rows)
{
    json_t *found = NULL;
    if (!error && pg_rows_count(rows) == 0)
        error = ERR_NOT_FOUND;
    if (!error)
        found = json_pack(
            "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "job_id", store_json_text(rows, 0, 0),
            "user_id", store_json_text(rows, 0, 1), "status", store_json_text(rows, 0, 2),
            "attempt", store_json_number(rows, 0, 3), "options", store_json_object(rows, 0, 4),
            "conversation_id", store_json_text(rows, 0, 5), "session", store_json_text(rows, 0, 6),
            "instance", store_json_text(rows, 0, 7), "host", store_json_text(rows, 0, 8));
    store_json_end(arg, error, found);
}

void store_find_job(struct store *store, const char *job_id, int64_t timeout_ms,
                    store_json_fn *done, void *arg)
{
    pg_exec(store->reader, &find_statement, -1, timeout_ms, &job_id, 1, on_find,
            store_json_call(done, arg));
}
