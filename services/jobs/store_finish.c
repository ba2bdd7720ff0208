/* COMPLETE and FAIL: the end of an attempt, under the fence. */
#include <inttypes.h>
#include <string.h>

#include "libcommon/mem.h"
#include "services/jobs/store_stats.h"

/* Rows that go are locked before rows that stay; only a batch that has both must lock them all in
 * the order of their ids first, which costs a third more. */
static const struct pg_statement finish_statement = {
    "finish",
    "WITH input AS MATERIALIZED ("
    " SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[],"
    "  $7::text[]) AS i (id, attempt, outcome, result, error, usage, env)"
    "), locked AS MATERIALIZED ("
    " SELECT q.job_id FROM input i JOIN job_queue q ON q.job_id = i.id"
    " WHERE (SELECT count(*) > 1 AND bool_or(outcome IN ('retry', 'released')) FROM input)"
    "  AND q.state = 1 AND q.attempt = i.attempt ORDER BY q.job_id COLLATE \"C\" FOR UPDATE OF q"
    "), gone AS ("
    " DELETE FROM job_queue q USING input i"
    " WHERE (SELECT count(*) FROM locked) >= 0"
    "  AND q.job_id = i.id AND q.state = 1 AND q.attempt = i.attempt"
    "  AND (i.outcome IN ('completed', 'failed')"
    "   OR (i.outcome = 'retry' AND q.failures + 1 >= $8::int))"
    " RETURNING i.*, q.user_id, q.events, q.first_started_at,"
    "  CASE i.outcome WHEN 'completed' THEN 'completed' ELSE 'failed' END AS fate"
    "), back AS ("
    " UPDATE job_queue q SET state = 0, session = NULL, deadline = NULL,"
    "  failures = CASE i.outcome WHEN 'retry' THEN q.failures + 1 ELSE q.failures END,"
    "  run_at = CASE i.outcome WHEN 'retry' THEN now() + interval '1 second' *"
    "   (least(60, power(2, least(q.failures, 10))) * (0.75 + random() * 0.25)) ELSE now() END"
    " FROM input i WHERE q.job_id = i.id AND q.state = 1 AND q.attempt = i.attempt"
    "  AND (i.outcome = 'released' OR (i.outcome = 'retry' AND q.failures + 1 < $8::int))"
    " RETURNING q.job_id, i.outcome, q.user_id, q.attempt"
    "), ended AS ("
    " UPDATE job_data d SET status = g.fate, result = g.result, error_message = g.error,"
    "  token_usage = g.usage::json, env_vars = g.env::json, attempts = g.attempt,"
    "  events = g.events + 1, started_at = g.first_started_at, completed_at = now(),"
    "  updated_at = now()"
    " FROM gone g WHERE d.id = g.id"
    " RETURNING " STORE_TIMES_OF_END
    ") SELECT id, fate, user_id, attempt FROM gone UNION ALL SELECT * FROM back"
    " UNION ALL SELECT NULL, array_agg(ARRAY[run, total])::text, NULL, NULL FROM ended"
    " HAVING count(*) > 0",
    true};

static const char *id_of(const void *item)
{
    return ((const struct store_finish *)item)->job_id;
}

static void encode(void *arg, void *const *items, size_t count, struct buf *params)
{
    const struct store *store = arg;
    AUTOFREE void **sorted = store_sorted(items, count, id_of);
    store_begin(params, 7);
    for (size_t i = 0; i < count; i++) {
        const struct store_finish *item = sorted[i];
        store_add(&params[0], item->job_id);
        pg_array_add_int(&params[1], item->attempt);
        store_add(&params[2], item->outcome);
        store_add(&params[3], item->result);
        store_add(&params[4], item->error_message);
        store_add(&params[5], item->token_usage);
        store_add(&params[6], item->env_names);
    }
    store_end(params, 7);
    buf_add_str(&params[7], store->max_attempts);
}

/* A job may be there twice: its run's end, and that of an attempt which has lost it. */
static struct store_finish *item_of(void *const *items, size_t count, const struct pg_rows *rows,
                                    size_t row)
{
    const char *id = pg_rows_text(rows, row, 0);
    ptrdiff_t i = store_find(items, count, id_of, id);
    for (; i >= 0 && (size_t)i < count && !strcmp(id_of(items[i]), id); i++) {
        struct store_finish *item = items[i];
        if (item->attempt == pg_rows_int(rows, row, 3, 0))
            return item;
    }
    return NULL;
}

static void tally(struct store *store, const struct store_finish *item)
{
    struct stats *stats = store_stats_now(store);
    bool completed = !strcmp(item->fate, "completed"), failed = !strcmp(item->fate, "failed");
    stats->completed += completed;
    stats->failed += failed;
    stats->retried += !strcmp(item->fate, "retry");
    if (completed || failed)
        stats_used(stats, &item->used);
}

static void done(void *arg, void *const *batch, size_t count, enum err error,
                 const struct pg_rows *rows)
{
    void **items = store_sorted(batch, count, id_of);
    for (size_t i = 0; i < count; i++)
        ((struct store_finish *)items[i])->error = error ? error : ERR_STALE_TOKEN;
    for (size_t row = 0; row < pg_rows_count(rows); row++) {
        bool is_tally = !pg_rows_text(rows, row, 0);
        if (is_tally)
            store_stats_ends(arg, pg_rows_text(rows, row, 1));
        struct store_finish *item = is_tally ? NULL : item_of(items, count, rows, row);
        if (!item)
            continue;
        item->error = ERR_OK;
        store_copy(item->fate, sizeof item->fate, pg_rows_text(rows, row, 1));
        store_copy(item->user_id, sizeof item->user_id, pg_rows_text(rows, row, 2));
        tally(arg, item);
    }
    for (size_t i = 0; i < count; i++) {
        struct store_finish *item = batch[i];
        item->done(item);
    }
    free(items);
}

void store_finish_init(struct store *store)
{
    store->finishes = store_group(
        store, &(struct store_batch){
                   .statement = &finish_statement, .params = 8, .encode = encode, .done = done});
}

enum err store_finish(struct store *store, struct store_finish *item)
{
    return pg_group_add(store->finishes, item);
}
