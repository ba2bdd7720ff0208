/* PARK and DECIDE: a job whose tool calls wait for its user's word. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/mem.h"
#include "services/jobs/store_internal.h"

/* How many of a user's jobs are parked is counted by a walk through the queue (see SCAN), one for
 * the whole batch: hence not a writer's statement. */
static const struct pg_statement park_statement = {
    "park",
    "WITH input AS MATERIALIZED ("
    " SELECT * FROM unnest($1::text[], $2::int[], $3::text[]) AS i (id, attempt, usage)"
    "), locked AS MATERIALIZED ("
    " SELECT q.job_id, q.user_id, q.attempt, q.events, i.usage FROM input i JOIN job_queue q"
    " ON q.job_id = i.id WHERE q.state = 1 AND q.attempt = i.attempt"
    " ORDER BY q.job_id COLLATE \"C\" FOR UPDATE OF q"
    "), parked AS MATERIALIZED ("
    " SELECT user_id, count(*) AS n FROM job_queue TABLESAMPLE SYSTEM (100)"
    " WHERE state = 2 AND user_id = ANY (ARRAY (SELECT user_id FROM locked)) GROUP BY user_id"
    "), asked AS MATERIALIZED ("
    " SELECT l.*, EXISTS (SELECT FROM job_events e WHERE e.job_id = l.job_id AND e.seq = l.events"
    "   AND e.type = 'waiting_approval') AS asked,"
    "  row_number() OVER (PARTITION BY user_id ORDER BY job_id)"
    "   + coalesce((SELECT p.n FROM parked p WHERE p.user_id = l.user_id), 0) AS n"
    " FROM locked l"
    "), judged AS MATERIALIZED ("
    " SELECT a.*, CASE WHEN NOT asked THEN 'unasked' WHEN n > $4::bigint THEN 'crowded'"
    "  ELSE 'waiting' END AS fate FROM asked a"
    "), moved AS ("
    " UPDATE job_queue q SET state = 2, session = NULL,"
    "  deadline = now() + $5::bigint * interval '1 millisecond'"
    " WHERE q.job_id = ANY (ARRAY (SELECT job_id FROM judged WHERE fate = 'waiting'))"
    "), used AS ("
    " UPDATE job_data d SET token_usage = coalesce(j.usage::json, d.token_usage),"
    "  updated_at = now() FROM judged j WHERE d.id = j.job_id"
    "  AND d.id = ANY (ARRAY (SELECT job_id FROM judged WHERE fate = 'waiting'))"
    ") SELECT job_id, fate, user_id, attempt FROM judged",
    true};

/* Never sent twice: by then the job may wait again, with calls that its user has not seen. */
static const struct pg_statement decide_statement = {
    "decide",
    "WITH moved AS ("
    " UPDATE job_queue q SET state = 0, deadline = NULL, run_at = now(), events = q.events + 1"
    " WHERE q.job_id = $1 AND q.user_id = $2 AND q.state = 2 AND q.deadline >= now()"
    "  AND ($4::text[] IS NULL OR $4::text[] <@ ARRAY (SELECT c ->> 'id' FROM job_events e"
    "   CROSS JOIN LATERAL json_array_elements(e.data -> 'calls') c"
    "   WHERE e.job_id = q.job_id AND e.seq = q.events))"
    " RETURNING q.job_id, q.user_id, q.attempt, q.events"
    "), stored AS ("
    " INSERT INTO job_events (job_id, seq, type, data)"
    " SELECT job_id, events, 'approval', $3::json FROM moved"
    ") SELECT job_id, user_id, attempt, true, false, NULL FROM moved",
    false};

static const char *id_of(const void *item)
{
    return ((const struct store_finish *)item)->job_id;
}

static void encode(void *arg, void *const *items, size_t count, struct buf *params)
{
    const struct store *store = arg;
    store_begin(params, 3);
    for (size_t i = 0; i < count; i++) {
        const struct store_finish *item = items[i];
        store_add(&params[0], item->job_id);
        pg_array_add_int(&params[1], item->attempt);
        store_add(&params[2], item->token_usage);
    }
    store_end(params, 3);
    buf_printf(&params[3], "%d", STORE_PARKED_MAX);
    buf_add_str(&params[4], store->approval_timeout);
}

/* A job may be there twice: its run's end, and that of an attempt which has lost it. */
static void fill(void *const *items, size_t count, const struct pg_rows *rows, size_t row)
{
    const char *id = pg_rows_text(rows, row, 0);
    ptrdiff_t i = store_find(items, count, id_of, id);
    for (; i >= 0 && (size_t)i < count && !strcmp(id_of(items[i]), id); i++) {
        struct store_finish *item = items[i];
        if (item->attempt != pg_rows_int(rows, row, 3, 0))
            continue;
        item->error = ERR_OK;
        store_copy(item->fate, sizeof item->fate, pg_rows_text(rows, row, 1));
        store_copy(item->user_id, sizeof item->user_id, pg_rows_text(rows, row, 2));
        return;
    }
}

static void done(void *arg, void *const *batch, size_t count, enum err error,
                 const struct pg_rows *rows)
{
    (void)arg;
    AUTOFREE void **items = store_sorted(batch, count, id_of);
    for (size_t i = 0; i < count; i++)
        ((struct store_finish *)items[i])->error = error ? error : ERR_STALE_TOKEN;
    for (size_t row = 0; row < pg_rows_count(rows); row++)
        fill(items, count, rows, row);
    for (size_t i = 0; i < count; i++) {
        struct store_finish *item = batch[i];
        item->done(item);
    }
}

void store_park_init(struct store *store)
{
    store->parks = store_group(store, &(struct store_batch){.statement = &park_statement,
                                                            .params = 5,
                                                            .pg = store->scanner,
                                                            .encode = encode,
                                                            .done = done});
}

enum err store_park(struct store *store, struct store_finish *item)
{
    return pg_group_add(store->parks, item);
}

void store_decide(struct store *store, const char *job_id, const char *user_id, const char *data,
                  const char *call_ids, store_changes_fn *done_fn, void *arg)
{
    const char *values[] = {job_id, user_id, data, call_ids};
    store_exec_changes(store, store->writers, &decide_statement, values, 4, NULL, done_fn, arg);
}
