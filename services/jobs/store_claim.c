/* CLAIM and SCAN. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/mem.h"
#include "services/jobs/store_stats.h"

static const struct pg_statement claim_statement = {
    "claim",
    "WITH input AS MATERIALIZED ("
    " SELECT i.id, w.session FROM unnest($1::text[], $2::text[]) AS i (id, session)"
    " JOIN worker_sessions w ON w.session = i.session AND w.lease_until > now()"
    "), claimed AS ("
    " UPDATE job_queue q SET state = 1, session = i.session, attempt = q.attempt + 1,"
    "  claimed_at = now(), deadline = now() + $3::bigint * interval '1 millisecond',"
    "  first_started_at = coalesce(q.first_started_at, now()), events = greatest(q.events, 2)"
    " FROM input i WHERE q.job_id = i.id AND q.state = 0 AND q.run_at <= now()"
    " RETURNING q.job_id, q.attempt, q.events, q.session"
    ") SELECT c.job_id, c.attempt, c.events, d.user_id, d.message, " STORE_TIME(
        "d.created_at") ", c.session, d.options, d.conversation_id, d.token_usage,"
                        " d.request_id, d.traceparent, d.tracestate,"
                        " CASE c.attempt WHEN 1 THEN " STORE_MICROSECONDS(
                            "d.created_at",
                            "now()") " END FROM claimed c JOIN job_data d ON d.id = c.job_id",
    true};

/* TABLESAMPLE, all of it: a walk through the table's pages and nothing else. By its index, which
 * any other walk may take for the order's sake, dead rows that a long transaction keeps would be
 * looked up one by one. */
static const struct pg_statement scan_statement = {
    "scan",
    "SELECT job_id, user_id, 0, true, false, NULL FROM (SELECT job_id, user_id,"
    " row_number() OVER (PARTITION BY user_id ORDER BY job_id) AS n"
    " FROM job_queue TABLESAMPLE SYSTEM (100) WHERE state = 0 AND run_at <= now()) s"
    " WHERE n <= $1::bigint"
    " ORDER BY n, job_id LIMIT $2::bigint",
    true};

static const char *id_of(const void *item)
{
    return ((const struct store_claim *)item)->job_id;
}

static void encode(void *arg, void *const *items, size_t count, struct buf *params)
{
    const struct store *store = arg;
    AUTOFREE void **sorted = store_sorted(items, count, id_of);
    store_begin(params, 2);
    for (size_t i = 0; i < count; i++) {
        const struct store_claim *item = sorted[i];
        store_add(&params[0], item->job_id);
        store_add(&params[1], item->session);
    }
    store_end(params, 2);
    buf_add_str(&params[2], store->job_timeout);
}

static void fill(struct store_claim *item, const struct pg_rows *rows, size_t row)
{
    item->error = ERR_OK;
    item->attempt = pg_rows_int(rows, row, 1, 0);
    item->events = pg_rows_int(rows, row, 2, 0);
    item->user_id = pg_rows_text(rows, row, 3);
    item->message = pg_rows_text(rows, row, 4);
    item->created_at = pg_rows_text(rows, row, 5);
    item->options = pg_rows_text(rows, row, 7);
    item->conversation_id = pg_rows_text(rows, row, 8);
    item->usage = pg_rows_text(rows, row, 9);
    item->origin = (struct origin){.request_id = pg_rows_text(rows, row, 10),
                                   .traceparent = pg_rows_text(rows, row, 11),
                                   .tracestate = pg_rows_text(rows, row, 12)};
}

/* The first claim ends the time that the job has waited. */
static void tally(struct store *store, const struct pg_rows *rows)
{
    for (size_t row = 0; row < pg_rows_count(rows); row++)
        if (pg_rows_text(rows, row, 13))
            store_stats_waited(store, pg_rows_int(rows, row, 13, -1));
}

static void done(void *arg, void *const *batch, size_t count, enum err error,
                 const struct pg_rows *rows)
{
    void **items = store_sorted(batch, count, id_of);
    for (size_t i = 0; i < count; i++)
        ((struct store_claim *)items[i])->error = error ? error : ERR_NOT_FOUND;
    for (size_t row = 0; row < pg_rows_count(rows); row++) {
        const char *id = pg_rows_text(rows, row, 0);
        ptrdiff_t i = store_find(items, count, id_of, id);
        /* An id that is twice in the batch went to one of its sessions. */
        for (; i >= 0 && (size_t)i < count && !strcmp(id_of(items[i]), id); i++) {
            struct store_claim *item = items[i];
            if (strcmp(item->session, pg_rows_text(rows, row, 6)) != 0)
                continue;
            fill(item, rows, row);
            break;
        }
    }
    tally(arg, rows);
    for (size_t i = 0; i < count; i++) {
        struct store_claim *item = batch[i];
        item->done(item);
    }
    free(items);
}

void store_claim_init(struct store *store)
{
    store->claims = store_group(
        store, &(struct store_batch){
                   .statement = &claim_statement, .params = 3, .encode = encode, .done = done});
}

enum err store_claim(struct store *store, struct store_claim *item)
{
    return pg_group_add(store->claims, item);
}

void store_scan(struct store *store, int64_t per_user, int64_t max, store_changes_fn *done_fn,
                void *arg)
{
    char values[2][24];
    snprintf(values[0], sizeof values[0], "%" PRId64, per_user);
    snprintf(values[1], sizeof values[1], "%" PRId64, max);
    const char *texts[] = {values[0], values[1]};
    store_exec_changes(store, store->scanner, &scan_statement, texts, 2, NULL, done_fn, arg);
}
