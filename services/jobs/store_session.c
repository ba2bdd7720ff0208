/* Workers' sessions: OPEN, RENEW, CLOSE, and runs that a worker should have but hasn't. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/jobs/store_internal.h"

#define LEASE "interval '10 seconds'"
_Static_assert(STORE_LEASE_MS == 10000, "LEASE says the same");

static const struct pg_statement open_statement = {
    "session_open",
    "INSERT INTO worker_sessions AS w (session, instance, host, version, capacity, lease_until)"
    " VALUES ($1, $2, $3, $4, $5::int, now() + " LEASE ")"
    " ON CONFLICT (session) DO UPDATE SET lease_until = CASE WHEN w.lease_until > now()"
    "  THEN excluded.lease_until ELSE w.lease_until END"
    " RETURNING lease_until > now()",
    true};

static const struct pg_statement renew_statement = {
    "session_renew",
    "WITH locked AS MATERIALIZED ("
    " SELECT session FROM worker_sessions"
    " WHERE session = ANY ($1::text[]) AND lease_until > clock_timestamp()"
    " ORDER BY session FOR UPDATE"
    "), renewed AS ("
    " UPDATE worker_sessions w SET lease_until = clock_timestamp() + " LEASE
    " FROM locked l WHERE w.session = l.session RETURNING w.session"
    "), held AS ("
    " SELECT h.session, q.job_id, q.attempt FROM"
    " unnest($2::text[], $3::text[], $4::int[]) AS h (session, id, attempt)"
    " JOIN job_queue q ON q.job_id = h.id"
    " WHERE q.state = 1 AND q.attempt = h.attempt AND q.session = h.session"
    ") SELECT r.session, h.job_id, h.attempt, " STORE_TIME(
        "now()") " FROM renewed r LEFT JOIN held h ON h.session = r.session",
    true};

static const struct pg_statement close_statement = {
    "session_close",
    "WITH closed AS ("
    " UPDATE worker_sessions SET lease_until = least(lease_until, now()) WHERE session = $1"
    "), locked AS MATERIALIZED ("
    " SELECT job_id FROM job_queue WHERE state = 1 AND session = $1 ORDER BY job_id COLLATE \"C\" FOR UPDATE"
    ") UPDATE job_queue q SET state = 0, session = NULL, deadline = NULL, run_at = now()"
    " FROM locked l WHERE q.job_id = l.job_id"
    " RETURNING q.job_id, q.user_id, q.attempt, true, false, NULL",
    true};

/* As SCAN does: a walk through the pages. */
static const struct pg_statement missing_statement = {
    "session_missing",
    "SELECT q.job_id, q.user_id, d.message, " STORE_TIME(
        "d.created_at") ", q.session, w.instance, q.attempt, q.events,"
                        " floor(extract(epoch FROM q.deadline - now()) * 1000)::bigint,"
                        " d.options, d.conversation_id, d.token_usage,"
                        " d.request_id, d.traceparent, d.tracestate"
                        " FROM job_queue q TABLESAMPLE SYSTEM (100)"
                        " JOIN worker_sessions w ON w.session = q.session"
                        " JOIN job_data d ON d.id = q.job_id"
                        " WHERE q.state = 1 AND q.session = $1 AND q.deadline > now()"
                        "  AND q.claimed_at < $3::timestamptz - interval '1 second'"
                        "  AND q.job_id <> ALL ($2::text[]) LIMIT 256",
    true};

static const char *id_of(const void *item)
{
    return ((const struct store_renew *)item)->session;
}

static void encode(void *arg, void *const *items, size_t count, struct buf *params)
{
    (void)arg;
    store_begin(params, 4);
    for (size_t i = 0; i < count; i++) {
        const struct store_renew *item = items[i];
        size_t n;
        json_t *run;
        store_add(&params[0], item->session);
        json_array_foreach(item->held, n, run)
        {
            store_add(&params[1], item->session);
            store_add(&params[2], js_str(run, "job_id", ""));
            pg_array_add_int(&params[3], js_int(run, "attempt", 0));
        }
    }
    store_end(params, 4);
}

static void done(void *arg, void *const *batch, size_t count, enum err error,
                 const struct pg_rows *rows)
{
    (void)arg;
    void **items = store_sorted(batch, count, id_of);
    for (size_t i = 0; i < count; i++) {
        struct store_renew *item = items[i];
        item->error = error ? error : ERR_STALE_TOKEN;
        item->ret_held = json_array();
    }
    for (size_t row = 0; row < pg_rows_count(rows); row++) {
        const char *session = pg_rows_text(rows, row, 0);
        ptrdiff_t i = store_find(items, count, id_of, session);
        /* A session may be twice in a batch: both get the same answer. */
        for (; i >= 0 && (size_t)i < count && !strcmp(id_of(items[i]), session); i++) {
            struct store_renew *item = items[i];
            item->error = ERR_OK;
            store_copy(item->renewed_at, sizeof item->renewed_at, pg_rows_text(rows, row, 3));
            if (pg_rows_text(rows, row, 1))
                json_array_append_new(
                    item->ret_held, json_pack("{s:s, s:I}", "job_id", pg_rows_text(rows, row, 1),
                                              "attempt", (json_int_t)pg_rows_int(rows, row, 2, 0)));
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct store_renew *item = batch[i];
        item->done(item);
    }
    free(items);
}

void store_renew_init(struct store *store)
{
    store->renewals = store_group(
        store, &(struct store_batch){
                   .statement = &renew_statement, .params = 4, .encode = encode, .done = done});
}

enum err store_renew(struct store *store, struct store_renew *item)
{
    return pg_group_add(store->renewals, item);
}

struct open_call {
    store_done_fn *done;
    void *arg;
};

static void on_open(void *arg, enum err error, const struct pg_rows *rows)
{
    struct open_call *call = arg;
    if (!error && !pg_rows_bool(rows, 0, 0))
        error = ERR_STALE_TOKEN;
    call->done(call->arg, error);
    free(call);
}

void store_session_open(struct store *store, const char *session, const char *instance,
                        const char *host, const char *version, int64_t capacity,
                        store_done_fn *done_fn, void *arg)
{
    struct open_call *call = mem_alloc(sizeof *call);
    *call = (struct open_call){done_fn, arg};
    char number[24];
    snprintf(number, sizeof number, "%" PRId64, capacity);
    const char *values[] = {session, instance, host, version, number};
    pg_exec(store->writers, &open_statement, -1, STORE_WRITE_MS, values, 5, on_open, call);
}

void store_session_close(struct store *store, const char *session, store_changes_fn *done_fn,
                         void *arg)
{
    const char *values[] = {session};
    store_exec_changes(store, store->writers, &close_statement, values, 1, NULL, done_fn, arg);
}

struct runs_call {
    store_runs_fn *done;
    void *arg;
};

static void on_missing(void *arg, enum err error, const struct pg_rows *rows)
{
    struct runs_call *call = arg;
    size_t count = pg_rows_count(rows);
    struct store_run *runs = mem_alloc(count * sizeof *runs);
    for (size_t i = 0; i < count; i++)
        runs[i] = (struct store_run){
            .job_id = pg_rows_text(rows, i, 0),
            .user_id = pg_rows_text(rows, i, 1),
            .message = pg_rows_text(rows, i, 2),
            .created_at = pg_rows_text(rows, i, 3),
            .session = pg_rows_text(rows, i, 4),
            .instance = pg_rows_text(rows, i, 5),
            .attempt = pg_rows_int(rows, i, 6, 0),
            .events = pg_rows_int(rows, i, 7, 0),
            .time_ms = pg_rows_int(rows, i, 8, 0),
            .options = pg_rows_text(rows, i, 9),
            .conversation_id = pg_rows_text(rows, i, 10),
            .usage = pg_rows_text(rows, i, 11),
            .origin = {.request_id = pg_rows_text(rows, i, 12),
                       .traceparent = pg_rows_text(rows, i, 13),
                       .tracestate = pg_rows_text(rows, i, 14)},
        };
    call->done(call->arg, error, runs, count);
    free(runs);
    free(call);
}

void store_missing(struct store *store, const char *session, const json_t *held,
                   const char *renewed_at, store_runs_fn *done_fn, void *arg)
{
    struct runs_call *call = mem_alloc(sizeof *call);
    *call = (struct runs_call){done_fn, arg};
    struct buf ids;
    buf_init(&ids, (size_t)16 * 1024 * 1024);
    pg_array_begin(&ids);
    size_t n;
    json_t *run;
    json_array_foreach(held, n, run) store_add(&ids, js_str(run, "job_id", ""));
    pg_array_end(&ids);
    const char *values[] = {session, buf_text(&ids), renewed_at};
    pg_exec(store->scanner, &missing_statement, -1, STORE_READ_MS, values, 3, on_missing, call);
    buf_fini(&ids);
}
